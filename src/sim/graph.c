/*
 * The graph: peers, and the edges between them.
 */
#include <string.h>

#include "graph_impl.h"

/* --- pods of a node ------------------------------------------------------------------------ */

static const char *node_of(const struct bh_graph *g, const struct bh_pod *pod)
{
	if (*pod->node)
		return pod->node;
	return pod->is_local ? bh_world_own_node(g->source.world) : "";
}

static bool is_own_node(const struct bh_graph *g, const struct bh_graph_peer *src, size_t i,
			const struct bh_pod *pod)
{
	const char *name = node_of(g, pod);

	if (src->kind == BH_GRAPH_WORKLOAD)
		return strcmp(node_of(g, src->pods[i]), name) == 0;
	if (!*name)
		return bh_world_stats(g->source.world).n_nodes == 1;
	return strcmp(src->nodes[i]->name, name) == 0;
}

static enum bh_graph_own_node own_node(const struct bh_graph *g, const struct bh_g_peer *src,
				       const struct bh_g_peer *dst)
{
	size_t n_src = src->pub.kind == BH_GRAPH_NODE ? src->pub.n_nodes : src->pub.n_pods;
	bool has_own = false, has_other = false;
	size_t i, k;

	if (src->end->entity != BH_ENTITY_NODE || dst->end->entity != BH_ENTITY_POD)
		return BH_GRAPH_OTHER_NODES;
	for (i = 0; i < n_src; i++)
		for (k = 0; k < dst->pub.n_pods && !(has_own && has_other); k++) {
			bool is_own = is_own_node(g, &src->pub, i, dst->pub.pods[k]);

			has_own |= is_own;
			has_other |= !is_own;
		}
	if (!has_own)
		return BH_GRAPH_OTHER_NODES;
	return has_other ? BH_GRAPH_SOME_OWN : BH_GRAPH_ALL_OWN;
}

/* --- one edge -------------------------------------------------------------------------------- */

static void allow_all(struct bh_graph *g, struct bh_graph_edge *e)
{
	const struct bh_conns *all = bh_conns_all(g->table), *none = bh_conns_none(g->table);

	e->allowed = e->egress = e->ingress = all;
	e->audited = e->only[BH_IPV4] = e->only[BH_IPV6] = none;
}

/* Puts the peers into an edge of their groups. */
static void place(struct bh_graph *g, uint32_t src, uint32_t dst, struct bh_graph_edge *e)
{
	const struct bh_g_peer *s = &g->peers[src], *d = &g->peers[dst];

	e->src = src;
	e->dst = dst;
	e->own_node = own_node(g, s, d);
	if (e->own_node == BH_GRAPH_ALL_OWN || (src == dst && s->pub.n_pods == 1))
		allow_all(g, e);
}

void bh_graph_pair(struct bh_graph *g, uint32_t src, uint32_t dst, struct bh_graph_edge *ret)
{
	bh_g_pair(g, g->peers[src].end, g->peers[dst].end, ret);
	place(g, src, dst, ret);
}

/* --- all edges ------------------------------------------------------------------- */

struct list {
	uint32_t *items;
	size_t n, cap;
};

static void add(struct list *l, uint32_t item)
{
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] = item;
}

/* Which destinations can come into question, without a look at all. */
struct search {
	struct list *groups_of; /* per view: groups that have it */
	struct list *allow;     /* per view: groups whose ingress allows it by a rule */
	struct list open;       /* groups whose ingress is not closed to the rest */
	bool *is_found;         /* per group */
	struct list found;
};

static bool allows(const struct bh_g_verdict *v)
{
	return !bh_conns_is_empty(v->allowed);
}

static void add_views(struct list *lists, const struct bh_g_end *e, uint32_t group)
{
	enum bh_family f;
	size_t i;

	add(&lists[e->bare], group);
	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		for (i = 0; i < e->n_views[f]; i++)
			if (e->views[f][i] != e->bare)
				add(&lists[e->views[f][i]], group);
}

static void search_init(struct search *s, const struct bh_graph *g)
{
	uint32_t i;
	size_t k;

	*s = (struct search){ 0 };
	s->groups_of = bh_calloc(g->n_views + 1, sizeof(*s->groups_of));
	s->allow = bh_calloc(g->n_views + 1, sizeof(*s->allow));
	s->is_found = bh_calloc(g->n_groups + 1, sizeof(*s->is_found));
	for (i = 0; i < g->n_groups; i++) {
		const struct bh_g_end *e = &g->groups[i].end;
		const struct bh_g_profile *p = &g->profiles[e->profile[BH_INGRESS]];

		add_views(s->groups_of, e, i);
		if (allows(&p->standard)) {
			add(&s->open, i);
			continue;
		}
		for (k = 0; k < p->n_overrides; k++)
			if (allows(&p->overrides[k].verdict))
				add(&s->allow[p->overrides[k].view], i);
	}
}

static void search_done(struct search *s, const struct bh_graph *g)
{
	size_t i;

	for (i = 0; i < g->n_views; i++) {
		free(s->groups_of[i].items);
		free(s->allow[i].items);
	}
	free(s->groups_of);
	free(s->allow);
	free(s->open.items);
	free(s->is_found);
	free(s->found.items);
}

static void find(struct search *s, const struct list *groups)
{
	size_t i;

	for (i = 0; i < groups->n; i++) {
		uint32_t group = groups->items[i];

		if (s->is_found[group])
			continue;
		s->is_found[group] = true;
		add(&s->found, group);
	}
}

static void find_all(struct search *s, const struct bh_graph *g)
{
	uint32_t i;

	for (i = 0; i < g->n_groups; i++)
		add(&s->found, i);
}

/* Fills s->found with the groups that @src may reach, and maybe others. */
static void search(struct search *s, const struct bh_graph *g, const struct bh_g_end *src)
{
	const struct bh_g_profile *p = &g->profiles[src->profile[BH_EGRESS]];
	enum bh_family f;
	size_t i;

	for (i = 0; i < s->found.n; i++)
		s->is_found[s->found.items[i]] = false;
	s->found.n = 0;
	if (src->entity == BH_ENTITY_NODE) {
		find_all(s, g);
		return;
	}
	if (!allows(&p->standard)) {
		for (i = 0; i < p->n_overrides; i++)
			if (allows(&p->overrides[i].verdict))
				find(s, &s->groups_of[p->overrides[i].view]);
		return;
	}
	find(s, &s->open);
	find(s, &s->allow[src->bare]);
	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		for (i = 0; i < src->n_views[f]; i++)
			find(s, &s->allow[src->views[f][i]]);
}

static bool has_family(const struct bh_g_end *e, const struct bh_g_end *external)
{
	enum bh_family f = external->n_views[BH_IPV4] ? BH_IPV4 : BH_IPV6;

	return e->has_unknown_addresses || e->n_views[f] > 0;
}

/* Whether connections of the two are worth a line. */
static bool is_worth(const struct bh_g_end *src, const struct bh_g_end *dst)
{
	if (src->entity != BH_ENTITY_POD && dst->entity != BH_ENTITY_POD)
		return false;
	if (src->entity == BH_ENTITY_EXTERNAL)
		return has_family(dst, src);
	return dst->entity != BH_ENTITY_EXTERNAL || has_family(src, dst);
}

static bool is_wanted(const struct bh_graph *g, const struct bh_g_peer *src,
		      const struct bh_g_peer *dst)
{
	if (!src->pub.is_src || !dst->pub.is_dst)
		return false;
	if (src == dst && src->pub.n_pods < 2)
		return false;
	return !g->source.is_compat || !src->pub.workload || src->pub.workload != dst->pub.workload;
}

/* From one peer to all peers of a group. */
static void add_edges(struct bh_graph *g, uint32_t src, uint32_t group,
		      const struct bh_graph_edge *like)
{
	const struct bh_g_group *to = &g->groups[group];
	size_t i;

	for (i = 0; i < to->n_peers; i++) {
		struct bh_graph_edge e = *like;

		if (!is_wanted(g, &g->peers[src], &g->peers[to->peers[i]]))
			continue;
		place(g, src, to->peers[i], &e);
		if (bh_conns_is_empty(e.allowed) && e.own_node == BH_GRAPH_OTHER_NODES)
			continue;
		bh_grow(&g->edges, &g->cap_edges, g->n_edges, sizeof(*g->edges));
		g->edges[g->n_edges++] = e;
	}
}

static void connect_group(struct bh_graph *g, struct search *s, const struct bh_g_group *from)
{
	size_t i, k;

	search(s, g, &from->end);
	for (i = 0; i < s->found.n; i++) {
		const struct bh_g_group *to = &g->groups[s->found.items[i]];
		struct bh_graph_edge e;

		if (!is_worth(&from->end, &to->end))
			continue;
		bh_g_pair(g, &from->end, &to->end, &e);
		for (k = 0; k < from->n_peers; k++)
			add_edges(g, from->peers[k], s->found.items[i], &e);
	}
}

static int cmp_edges(const void *a, const void *b)
{
	const struct bh_graph_edge *x = a, *y = b;

	if (x->src != y->src)
		return x->src < y->src ? -1 : 1;
	return (x->dst > y->dst) - (x->dst < y->dst);
}

static void connect(struct bh_graph *g)
{
	struct search s;
	size_t i;

	search_init(&s, g);
	for (i = 0; i < g->n_groups; i++)
		connect_group(g, &s, &g->groups[i]);
	search_done(&s, g);
	if (g->n_edges > 0)
		bh_sort(g->edges, g->n_edges, sizeof(*g->edges), cmp_edges);
}

/* --- the graph ------------------------------------------------------------------- */

/* @families NULL: those that the input shows. */
static struct bh_graph *new_graph(const struct bh_g_source *source, const bool *families)
{
	struct bh_graph *g = bh_calloc(1, sizeof(*g));
	enum bh_family f;

	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		g->wants_family[f] = families && families[f];

	g->arena = bh_arena_new();
	g->table = bh_conn_table_new();
	g->source = *source;
	bh_g_make_peers(g);
	connect(g);
	return g;
}

static bool is_made_up(const void *ctx, const struct bh_addr *a)
{
	return bh_sim_is_made_up(ctx, a);
}

static struct bh_g_source source_of(const struct bh_sim *sim)
{
	struct bh_g_source source = { .world = bh_sim_world(sim),
				      .is_compat = bh_sim_is_compat(sim),
				      .is_made_up = is_made_up,
				      .ctx = sim };

	source.n_workloads = bh_sim_workloads(sim, &source.workloads);
	return source;
}

static struct bh_graph *graph_of_sim(const struct bh_sim *sim, const bool *families)
{
	const struct bh_g_source source = source_of(sim);

	return new_graph(&source, families);
}

struct bh_graph *bh_graph_new(const struct bh_sim *sim)
{
	return graph_of_sim(sim, NULL);
}

void bh_graph_new_two(const struct bh_sim *before, const struct bh_sim *after,
		      struct bh_graph **ret_before, struct bh_graph **ret_after)
{
	struct bh_graph *a = bh_graph_new(before), *b = bh_graph_new(after);
	bool families[BH_FAMILY_COUNT_], differs_a = false, differs_b = false;
	enum bh_family f;

	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		families[f] = a->has_family[f] || b->has_family[f];
		differs_a |= families[f] != a->has_family[f];
		differs_b |= families[f] != b->has_family[f];
	}
	if (differs_a) {
		bh_graph_free(&a);
		a = graph_of_sim(before, families);
	}
	if (differs_b) {
		bh_graph_free(&b);
		b = graph_of_sim(after, families);
	}
	*ret_before = a;
	*ret_after = b;
}

/* Every pod a workload of its own. */
static struct bh_graph *graph_of_pods(struct bh_g_source *source, bool wants_finished)
{
	const struct bh_pod *const *pods;
	size_t n = bh_world_pods(source->world, &pods), n_meant = 0, i;
	struct bh_sim_workload *workloads = bh_calloc(n + 1, sizeof(*workloads));
	struct bh_graph *g;

	for (i = 0; i < n; i++) {
		if (pods[i]->is_finished && !wants_finished)
			continue;
		workloads[n_meant++] = (struct bh_sim_workload){ .kind = "Pod",
								 .namespace = pods[i]->namespace,
								 .name = pods[i]->name,
								 .pods = &pods[i],
								 .n_pods = 1,
								 .file = pods[i]->file,
								 .line = pods[i]->line };
	}
	source->workloads = workloads;
	source->n_workloads = n_meant;
	g = new_graph(source, NULL);
	g->own_workloads = workloads;
	return g;
}

struct bh_graph *bh_graph_of_world(const struct bh_world *world)
{
	struct bh_g_source source = { .world = world };

	return graph_of_pods(&source, true);
}

struct bh_graph *bh_graph_of_pods(const struct bh_sim *sim)
{
	struct bh_g_source source = source_of(sim);

	return graph_of_pods(&source, false);
}

void bh_graph_free(struct bh_graph **graph)
{
	struct bh_graph *g = *graph;
	size_t i;

	if (!g)
		return;
	HASH_CLEAR(hh, g->policies);
	bh_ids_done(&g->matcher_ids);
	bh_ids_done(&g->list_ids);
	bh_ids_done(&g->class_ids);
	bh_ids_done(&g->ports_ids);
	bh_ids_done(&g->view_ids);
	bh_ids_done(&g->profile_ids);
	bh_ids_done(&g->group_ids);
	for (i = 0; i < g->n_matchers; i++)
		free(g->matchers[i].views);
	for (i = 0; i < g->n_profiles; i++) {
		free(g->profiles[i].policies);
		free(g->profiles[i].overrides);
	}
	for (i = 0; i < g->n_groups; i++)
		free(g->groups[i].peers);
	free(g->matchers);
	free(g->lists);
	free(g->classes);
	free(g->views);
	free(g->profiles);
	free(g->groups);
	free(g->peers);
	free(g->public_peers);
	free(g->edges);
	free(g->own_workloads);
	bh_conn_table_free(&g->table);
	bh_arena_free(&g->arena);
	free(g);
	*graph = NULL;
}

size_t bh_graph_peers(const struct bh_graph *g, const struct bh_graph_peer **ret)
{
	*ret = g->public_peers;
	return g->n_peers;
}

size_t bh_graph_edges(const struct bh_graph *g, const struct bh_graph_edge **ret)
{
	*ret = g->edges;
	return g->n_edges;
}

struct bh_conn_table *bh_graph_table(const struct bh_graph *g)
{
	return g->table;
}
