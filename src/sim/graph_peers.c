/*
 * The peers of a graph: workloads or their parts, nodes, ranges of addresses.
 */
#include <string.h>

#include "graph_impl.h"

/* --- ends ----------------------------------------------------------------------------- */

static bool is_made_up(const struct bh_graph *g, const struct bh_addr *a)
{
	return g->source.is_made_up && g->source.is_made_up(g->source.ctx, a);
}

/* @views has room for all addresses. */
static void add_view(struct bh_g_end *e, const struct bh_addr *a, size_t room,
		     struct bh_arena *arena, uint32_t view)
{
	if (!e->views[a->family])
		e->views[a->family] = bh_arena_array(arena, room, sizeof(uint32_t));
	e->views[a->family][e->n_views[a->family]++] = view;
}

static void sort_views(struct bh_g_end *e)
{
	enum bh_family f;

	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		e->n_views[f] = bh_ids_sort(e->views[f], e->n_views[f]);
}

/* A host-network pod has the addresses of its node. */
static size_t addrs_of(const struct bh_graph *g, const struct bh_pod *pod,
		       const struct bh_addr **ret)
{
	const struct bh_node *node;

	*ret = pod->addrs;
	if (!pod->is_host_network)
		return pod->n_addrs;
	node = bh_world_node(g->source.world, pod->node);
	*ret = node ? node->addrs : NULL;
	return node ? node->n_addrs : 0;
}

static struct bh_g_end *end_of_pod(struct bh_graph *g, const struct bh_pod *pod)
{
	struct bh_g_end *e = bh_arena_alloc(g->arena, sizeof(*e));
	uint32_t class = bh_g_class_of(g, pod);
	const struct bh_addr *addrs;
	size_t n = addrs_of(g, pod, &addrs), i;
	enum bh_dir d;

	e->entity = pod->is_host_network ? BH_ENTITY_NODE : BH_ENTITY_POD;
	for (d = 0; d < BH_DIR_COUNT_; d++)
		e->profile[d] = g->classes[class].profile[d];
	e->bare = bh_g_view_of_class(g, class, NULL);
	e->has_unknown_addresses = n == 0;
	for (i = 0; i < n; i++) {
		bool is_known = !is_made_up(g, &addrs[i]);

		e->has_unknown_addresses |= !is_known;
		if (!g->source.is_compat && (is_known || g->has_family[addrs[i].family]))
			add_view(e, &addrs[i], n, g->arena,
				 bh_g_view_of_class(g, class, &addrs[i]));
	}
	sort_views(e);
	return e;
}

static struct bh_g_end *end_of_node(struct bh_graph *g, const struct bh_node *node)
{
	struct bh_g_end *e = bh_arena_alloc(g->arena, sizeof(*e));
	enum bh_dir d;
	size_t i;

	e->entity = BH_ENTITY_NODE;
	for (d = 0; d < BH_DIR_COUNT_; d++)
		e->profile[d] = bh_g_profile_of(g, NULL, d);
	e->bare = bh_g_view_of_node(g, node, NULL);
	for (i = 0; i < node->n_addrs; i++)
		add_view(e, &node->addrs[i], node->n_addrs, g->arena,
			 bh_g_view_of_node(g, node, &node->addrs[i]));
	sort_views(e);
	return e;
}

static struct bh_g_end *end_of_cell(struct bh_graph *g, const struct bh_g_cell *cell)
{
	struct bh_g_end *e = bh_arena_alloc(g->arena, sizeof(*e));
	enum bh_dir d;

	e->entity = BH_ENTITY_EXTERNAL;
	for (d = 0; d < BH_DIR_COUNT_; d++)
		e->profile[d] = bh_g_profile_of(g, NULL, d);
	e->bare = bh_g_view_of_cell(g, cell);
	add_view(e, &cell->range.first, 1, g->arena, e->bare);
	return e;
}

/* --- groups ------------------------------------------------------------------------------ */

static void add_outcome(const struct bh_graph *g, uint32_t view, struct bh_buf *key)
{
	bh_buf_add(key, g->views[view].outcome, sizeof(g->views[view].outcome));
}

static uint32_t group_of(struct bh_graph *g, const struct bh_g_end *e)
{
	bh_auto(bh_buf_done) struct bh_buf key = { 0 };
	enum bh_family f;
	uint32_t id;
	size_t i;

	bh_buf_printf(&key, "%d%d ", e->entity, e->has_unknown_addresses);
	bh_buf_add(&key, e->profile, sizeof(e->profile));
	add_outcome(g, e->bare, &key);
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		bh_buf_add(&key, &e->n_views[f], sizeof(e->n_views[f]));
		for (i = 0; i < e->n_views[f]; i++)
			add_outcome(g, e->views[f][i], &key);
	}
	id = bh_ids_get(&g->group_ids, g->arena, bh_buf_str(&key), key.len);
	if (id < g->n_groups)
		return id;
	bh_grow(&g->groups, &g->cap_groups, g->n_groups, sizeof(*g->groups));
	g->groups[g->n_groups++] = (struct bh_g_group){ .end = *e };
	return id;
}

static struct bh_g_peer *add_peer(struct bh_graph *g, const struct bh_g_end *e, uint32_t group)
{
	bh_grow(&g->peers, &g->cap_peers, g->n_peers, sizeof(*g->peers));
	g->peers[g->n_peers] = (struct bh_g_peer){ .group = group,
						   .end = e,
						   .pub = { .is_src = true, .is_dst = true } };
	return &g->peers[g->n_peers++];
}

/* --- parts of one thing ---------------------------------------------------------------------- */

#define MAX_NAMES 3

struct member {
	const struct bh_g_end *end;
	uint32_t group;
	const void *object; /* pod or node */
	size_t place;
};

static int cmp_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

static size_t run_of(const struct member *m, size_t n)
{
	size_t i = 1;

	while (i < n && m[i].group == m[0].group)
		i++;
	return i;
}

static const void **objects_of(struct bh_graph *g, const struct member *m, size_t n)
{
	const void **objects = bh_arena_array(g->arena, n, sizeof(*objects));
	size_t i;

	for (i = 0; i < n; i++)
		objects[i] = m[i].object;
	return objects;
}

static void add_more(struct bh_buf *out, size_t n)
{
	if (n > MAX_NAMES)
		bh_buf_printf(out, ",+%zu", n - MAX_NAMES);
}

static const char *workload_label(struct bh_graph *g, const struct bh_graph_peer *p)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };
	size_t i;

	bh_buf_printf(&b, "%s/%s[%s]", p->workload->namespace, p->workload->name,
		      p->workload->kind);
	for (i = 0; p->is_part && i < p->n_pods && i < MAX_NAMES; i++)
		bh_buf_printf(&b, "%c%s", i ? ',' : '{', p->pods[i]->name);
	if (p->is_part) {
		add_more(&b, p->n_pods);
		bh_buf_putc(&b, '}');
	}
	return bh_arena_strdup(g->arena, bh_buf_str(&b));
}

static void add_workload(struct bh_graph *g, const struct bh_sim_workload *w, struct member *m,
			 size_t n)
{
	size_t i, run;

	bh_sort(m, n, sizeof(*m), cmp_members);
	for (i = 0; i < n; i += run) {
		struct bh_graph_peer *p = &add_peer(g, m[i].end, m[i].group)->pub;

		run = run_of(m + i, n - i);
		p->kind = BH_GRAPH_WORKLOAD;
		p->workload = w;
		p->pods = (const struct bh_pod *const *)objects_of(g, m + i, run);
		p->n_pods = run;
		p->is_part = run < n;
		p->label = workload_label(g, p);
	}
}

static const char *node_label(struct bh_graph *g, const struct bh_graph_peer *p)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };
	size_t i;

	for (i = 0; i < p->n_nodes && i < MAX_NAMES; i++)
		bh_buf_printf(&b, "%s%s", i ? "," : "", p->nodes[i]->name);
	add_more(&b, p->n_nodes);
	bh_buf_puts(&b, "[Node]");
	return bh_arena_strdup(g->arena, bh_buf_str(&b));
}

static void add_nodes(struct bh_graph *g, struct member *m, size_t n)
{
	size_t i, run;

	bh_sort(m, n, sizeof(*m), cmp_members);
	for (i = 0; i < n; i += run) {
		struct bh_graph_peer *p = &add_peer(g, m[i].end, m[i].group)->pub;

		run = run_of(m + i, n - i);
		p->kind = BH_GRAPH_NODE;
		p->nodes = (const struct bh_node *const *)objects_of(g, m + i, run);
		p->n_nodes = run;
		p->label = node_label(g, p);
	}
}

/* --- ranges of addresses --------------------------------------------------------- */

/* Addresses that are somebody's, sorted. */
struct known {
	struct bh_addr *items;
	size_t n, cap;
	bool has_family[BH_FAMILY_COUNT_];
	bool has_unknown;
};

static void know(struct known *k, const struct bh_addr *a)
{
	bh_grow(&k->items, &k->cap, k->n, sizeof(*k->items));
	k->items[k->n++] = *a;
	k->has_family[a->family] = true;
}

static int cmp_addrs(const void *a, const void *b)
{
	return bh_addr_cmp(a, b);
}

static void find_known(const struct bh_graph *g, struct known *k)
{
	const struct bh_pod *const *pods;
	const struct bh_node *const *nodes;
	size_t n_pods = bh_world_pods(g->source.world, &pods);
	size_t n_nodes = bh_world_nodes(g->source.world, &nodes);
	size_t i, a;

	for (i = 0; i < n_pods; i++) {
		k->has_unknown |= pods[i]->n_addrs == 0;
		for (a = 0; a < pods[i]->n_addrs; a++) {
			if (is_made_up(g, &pods[i]->addrs[a]))
				k->has_unknown = true;
			else
				know(k, &pods[i]->addrs[a]);
		}
	}
	for (i = 0; i < n_nodes; i++)
		for (a = 0; a < nodes[i]->n_addrs; a++)
			if (!is_made_up(g, &nodes[i]->addrs[a]))
				know(k, &nodes[i]->addrs[a]);
	if (k->n > 0)
		bh_sort(k->items, k->n, sizeof(*k->items), cmp_addrs);
}

/* Whether every address of @r is somebody's. */
static bool is_all_known(const struct known *k, const struct bh_range *r)
{
	struct bh_addr a = r->first;

	while (k->n > 0 && bh_search(&a, k->items, k->n, sizeof(*k->items), cmp_addrs)) {
		if (bh_addr_eq(&a, &r->last))
			return true;
		bh_addr_next(&a);
	}
	return false;
}

/* Blocks are cut where they differ, as netpol-analyzer does it, even if it makes no difference. */
static bool is_same_blocks(struct bh_graph *g, enum bh_dir dir, const struct bh_g_cell *a,
			   const struct bh_g_cell *b)
{
	const struct bh_g_list *x = &g->lists[a->matched], *y = &g->lists[b->matched];
	size_t i = 0, k = 0;

	for (;;) {
		while (i < x->n && !g->matchers[x->items[i]].is_used[dir])
			i++;
		while (k < y->n && !g->matchers[y->items[k]].is_used[dir])
			k++;
		if (i == x->n || k == y->n)
			return i == x->n && k == y->n;
		if (x->items[i++] != y->items[k++])
			return false;
	}
}

struct cells {
	const struct bh_g_cell *items;
	const struct bh_g_end *const *ends;
	size_t n;
};

static bool is_alike(struct bh_graph *g, enum bh_dir dir, const struct cells *c, size_t a, size_t b)
{
	if (g->source.is_compat)
		return is_same_blocks(g, dir, &c->items[a], &c->items[b]);
	return g->views[c->ends[a]->bare].outcome[dir] == g->views[c->ends[b]->bare].outcome[dir];
}

static const char *range_label(struct bh_graph *g, const struct bh_range *r)
{
	char first[BH_ADDR_STRLEN], last[BH_ADDR_STRLEN];

	return bh_arena_printf(g->arena, "%s-%s[External]", bh_addr_format(&r->first, first),
			       bh_addr_format(&r->last, last));
}

/* Sources are judged by ingress, destinations by egress. */
static void add_range(struct bh_graph *g, enum bh_dir dir, const struct bh_g_end *e,
		      const struct bh_range *range, size_t first_peer)
{
	struct bh_g_peer *p = NULL;
	size_t i;

	for (i = first_peer; i < g->n_peers && !p; i++)
		if (bh_addr_eq(&g->peers[i].pub.range.first, &range->first) &&
		    bh_addr_eq(&g->peers[i].pub.range.last, &range->last))
			p = &g->peers[i];
	if (!p) {
		p = add_peer(g, e, group_of(g, e));
		p->pub.is_src = p->pub.is_dst = false;
		p->pub.kind = BH_GRAPH_EXTERNAL;
		p->pub.range = *range;
		p->pub.label = range_label(g, range);
	}
	*(dir == BH_INGRESS ? &p->pub.is_src : &p->pub.is_dst) = true;
}

static void add_ranges(struct bh_graph *g, enum bh_dir dir, const struct cells *c,
		       const struct known *known, size_t first_peer)
{
	size_t i, next;

	for (i = 0; i < c->n; i = next) {
		struct bh_range range = c->items[i].range;

		for (next = i + 1; next < c->n && is_alike(g, dir, c, i, next); next++)
			range.last = c->items[next].range.last;
		if (g->source.is_compat || !is_all_known(known, &range))
			add_range(g, dir, c->ends[i], &range, first_peer);
	}
}

/*
 * A family is there if pods, nodes or rules have addresses of it, and IPv4
 * where nobody knows.  Made-up addresses of another family do not count: they
 * would tell of a dual stack that nobody has.
 */
static bool has_family(const struct bh_graph *g, enum bh_family family, const struct known *k)
{
	size_t i;

	if (family == BH_IPV6 && g->source.is_compat)
		return false;
	if (g->wants_family[family] || k->has_family[family])
		return true;
	for (i = 0; i < g->n_matchers; i++)
		if (g->matchers[i].peer->kind == BH_PEER_CIDR &&
		    g->matchers[i].peer->cidr.addr.family == family)
			return true;
	return family == BH_IPV4 && (k->has_unknown || k->n == 0);
}

/* --- all of them ----------------------------------------------------------------- */

static size_t n_pods(const struct bh_g_source *s)
{
	size_t n = 0, i;

	for (i = 0; i < s->n_workloads; i++)
		n += s->workloads[i].n_pods;
	return n;
}

/* Policies decide what blocks there are; in the other tool also those that select nobody. */
static void find_rules(struct bh_graph *g)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(g->source.world, &policies), i, k;

	for (i = 0; i < g->source.n_workloads; i++)
		for (k = 0; k < g->source.workloads[i].n_pods; k++)
			if (!g->source.workloads[i].pods[k]->is_finished)
				bh_g_class_of(g, g->source.workloads[i].pods[k]);
	for (i = 0; g->source.is_compat && i < n; i++)
		bh_g_policy_of(g, policies[i]);
}

static const struct bh_g_end **make_cell_ends(struct bh_graph *g, enum bh_family f)
{
	const struct bh_g_end **ends = bh_calloc(g->n_cells[f], sizeof(*ends));
	size_t i;

	for (i = 0; i < g->n_cells[f]; i++)
		ends[i] = end_of_cell(g, &g->cells[f][i]);
	return ends;
}

static struct member *make_pod_ends(struct bh_graph *g)
{
	struct member *members = bh_calloc(n_pods(&g->source) + 1, sizeof(*members)), *m = members;
	size_t i, k;

	for (i = 0; i < g->source.n_workloads; i++)
		for (k = 0; k < g->source.workloads[i].n_pods; k++) {
			const struct bh_pod *pod = g->source.workloads[i].pods[k];

			if (!pod->is_finished)
				*m++ = (struct member){ end_of_pod(g, pod), 0, pod, k };
		}
	return members;
}

/* Nodes that somebody described, not those that pods only name. */
static bool is_described(const struct bh_graph *g, const struct bh_node *node)
{
	size_t i;

	for (i = 0; i < node->n_addrs; i++)
		if (is_made_up(g, &node->addrs[i]))
			return false;
	return true;
}

static struct member *make_node_ends(struct bh_graph *g, size_t *ret_n)
{
	const struct bh_node *const *nodes;
	size_t n = g->source.is_compat ? 0 : bh_world_nodes(g->source.world, &nodes), i, kept = 0;
	struct member *members = bh_calloc(n + 1, sizeof(*members));

	for (i = 0; i < n; i++)
		if (is_described(g, nodes[i]))
			members[kept++] =
				(struct member){ end_of_node(g, nodes[i]), 0, nodes[i], i };
	*ret_n = kept;
	return members;
}

static void group_members(struct bh_graph *g, struct member *m, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		m[i].group = group_of(g, m[i].end);
}

static size_t n_living(const struct bh_sim_workload *w)
{
	size_t n = 0, i;

	for (i = 0; i < w->n_pods; i++)
		n += !w->pods[i]->is_finished;
	return n;
}

static void add_externals(struct bh_graph *g, enum bh_family f, const struct bh_g_end *const *ends,
			  const struct known *known)
{
	struct cells c = { g->cells[f], ends, g->n_cells[f] };
	size_t first = g->n_peers;

	if (!g->has_family[f])
		return;
	add_ranges(g, BH_INGRESS, &c, known, first);
	add_ranges(g, BH_EGRESS, &c, known, first);
}

static int cmp_peers(const void *a, const void *b)
{
	return strcmp(((const struct bh_g_peer *)a)->pub.label,
		      ((const struct bh_g_peer *)b)->pub.label);
}

static void sort_peers(struct bh_graph *g)
{
	uint32_t i;

	if (g->n_peers > 0)
		bh_sort(g->peers, g->n_peers, sizeof(*g->peers), cmp_peers);
	g->public_peers = bh_calloc(g->n_peers + 1, sizeof(*g->public_peers));
	for (i = 0; i < g->n_peers; i++) {
		struct bh_g_group *group = &g->groups[g->peers[i].group];

		g->public_peers[i] = g->peers[i].pub;
		bh_grow(&group->peers, &group->cap_peers, group->n_peers, sizeof(*group->peers));
		group->peers[group->n_peers++] = i;
	}
}

void bh_g_make_peers(struct bh_graph *g)
{
	const struct bh_g_end **cells[BH_FAMILY_COUNT_];
	struct member *pods, *nodes, *at;
	struct known known = { 0 };
	enum bh_family f;
	size_t n_nodes, i;

	find_rules(g);
	find_known(g, &known);
	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		g->has_family[f] = has_family(g, f, &known);
	bh_g_make_cells(g);
	bh_g_match_classes(g);
	pods = at = make_pod_ends(g);
	nodes = make_node_ends(g, &n_nodes);
	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		cells[f] = make_cell_ends(g, f);
	bh_g_link_views(g);
	bh_g_judge(g);

	for (i = 0; i < g->source.n_workloads; i++) {
		size_t n = n_living(&g->source.workloads[i]);

		group_members(g, at, n);
		add_workload(g, &g->source.workloads[i], at, n);
		at += n;
	}
	group_members(g, nodes, n_nodes);
	add_nodes(g, nodes, n_nodes);
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		add_externals(g, f, cells[f], &known);
		free(cells[f]);
	}
	sort_peers(g);
	free(known.items);
	free(pods);
	free(nodes);
}
