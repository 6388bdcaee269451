/*
 * Who is who to the rules: classes of pods, distinct peers of rules, views.
 */
#include <string.h>

#include "bh/selector.h"
#include "graph_impl.h"

/* --- dense numbers --------------------------------------------------------------------- */

uint32_t bh_ids_get(struct bh_ids *ids, struct bh_arena *arena, const void *key, size_t len)
{
	struct bh_id *item;

	HASH_FIND(hh, ids->items, key, (unsigned int)len, item);
	if (item)
		return item->id;
	item = bh_arena_alloc(arena, sizeof(*item) + len);
	item->id = ids->n++;
	memcpy(item->key, key, len);
	HASH_ADD(hh, ids->items, key, (unsigned int)len, item);
	return item->id;
}

void bh_ids_done(struct bh_ids *ids)
{
	HASH_CLEAR(hh, ids->items);
}

static int cmp_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

size_t bh_ids_sort(uint32_t *list, size_t n)
{
	size_t i, kept = 0;

	if (n == 0)
		return 0;
	bh_sort(list, n, sizeof(*list), cmp_numbers);
	for (i = 1; i < n; i++)
		if (list[i] != list[kept])
			list[++kept] = list[i];
	return kept + 1;
}

uint32_t bh_g_list_of(struct bh_graph *g, uint32_t *items, size_t n)
{
	struct bh_g_list *list;
	uint32_t id;

	n = bh_ids_sort(items, n);
	id = bh_ids_get(&g->list_ids, g->arena, n ? (const void *)items : "", n * sizeof(*items));
	if (id < g->n_lists)
		return id;
	bh_grow(&g->lists, &g->cap_lists, g->n_lists, sizeof(*g->lists));
	list = &g->lists[g->n_lists++];
	*list = (struct bh_g_list){ .n = n };
	if (n > 0)
		list->items = bh_arena_memdup(g->arena, items, n * sizeof(*items));
	return id;
}

/* --- peers of rules ------------------------------------------------------------------------ */

static void add_cidr(const struct bh_cidr *c, struct bh_buf *key)
{
	char text[BH_CIDR_STRLEN];

	bh_buf_printf(key, "%s ", bh_cidr_format(c, text));
}

void bh_g_peer_text(const struct bh_policy *p, const struct bh_peer *peer, struct bh_buf *key)
{
	size_t i;

	switch (peer->kind) {
	case BH_PEER_PODS:
		if (peer->has_namespaces) {
			bh_buf_puts(key, "pods of ");
			bh_selector_canonical(&peer->namespaces, key);
		} else {
			bh_buf_printf(key, "pods in %s", p->namespace);
		}
		bh_buf_putc(key, '\n');
		bh_selector_canonical(&peer->pods, key);
		return;
	case BH_PEER_CIDR:
		bh_buf_puts(key, "block ");
		add_cidr(&peer->cidr, key);
		for (i = 0; i < peer->n_except; i++)
			add_cidr(&peer->except[i], key);
		return;
	case BH_PEER_NODES:
		bh_buf_puts(key, "nodes ");
		bh_selector_canonical(&peer->pods, key);
		return;
	case BH_PEER_NOTHING: bh_buf_puts(key, "nothing"); return;
	case BH_PEER_KIND_COUNT_: break;
	}
	abort();
}

static uint32_t matcher_of(struct bh_graph *g, const struct bh_policy *p,
			   const struct bh_peer *peer, bool is_denying, enum bh_dir dir)
{
	bh_auto(bh_buf_done) struct bh_buf key = { 0 };
	struct bh_g_matcher *m;
	uint32_t id;

	/* Blocks and nodes are the same for all rules. */
	is_denying &= peer->kind == BH_PEER_PODS;
	if (is_denying)
		bh_buf_puts(&key, "maybe ");
	bh_g_peer_text(p, peer, &key);
	id = bh_ids_get(&g->matcher_ids, g->arena, bh_buf_str(&key), key.len);
	if (id == g->n_matchers) {
		bh_grow(&g->matchers, &g->cap_matchers, id, sizeof(*g->matchers));
		g->matchers[g->n_matchers++] = (struct bh_g_matcher){ .policy = p,
								      .peer = peer,
								      .is_denying = is_denying };
	}
	m = &g->matchers[id];
	m->is_used[dir] = true;
	return id;
}

static void compile_rule(struct bh_graph *g, const struct bh_policy *p, enum bh_dir dir,
			 const struct bh_rule *rule, struct bh_g_rule *ret)
{
	size_t i;

	ret->rule = rule;
	ret->fixed = rule->has_ports ? bh_conns_none(g->table) : bh_conns_all(g->table);
	for (i = 0; rule->has_ports && i < rule->n_ports; i++) {
		const struct bh_policy_port *port = &rule->ports[i];

		ret->has_names |= port->name != NULL;
		if (!port->name)
			ret->fixed = bh_conns_or(
				g->table, ret->fixed,
				bh_conns_range(g->table, port->protocol, port->first, port->last));
	}
	ret->matchers = bh_arena_array(g->arena, rule->n_peers, sizeof(*ret->matchers));
	for (i = 0; rule->has_peers && i < rule->n_peers; i++)
		ret->matchers[i] = matcher_of(g, p, &rule->peers[i], rule->action == BH_DENY, dir);
}

const struct bh_g_policy *bh_g_policy_of(struct bh_graph *g, const struct bh_policy *policy)
{
	struct bh_g_policy *p;
	enum bh_dir dir;
	size_t i;

	HASH_FIND_PTR(g->policies, &policy, p);
	if (p)
		return p;
	p = bh_arena_alloc(g->arena, sizeof(*p));
	p->policy = policy;
	p->is_audited = bh_world_policy_mode(g->source.world, policy) == BH_AUDIT;
	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		const struct bh_rules *rules = &policy->rules[dir];

		p->rules[dir] = bh_arena_array(g->arena, rules->n, sizeof(*p->rules[dir]));
		for (i = 0; i < rules->n; i++)
			compile_rule(g, policy, dir, &rules->items[i], &p->rules[dir][i]);
	}
	HASH_ADD_PTR(g->policies, policy, p);
	return p;
}

/* --- profiles --------------------------------------------------------------------------------- */

static bool names_ports(const struct bh_g_policy *p, enum bh_dir dir)
{
	size_t i;

	for (i = 0; i < p->policy->rules[dir].n; i++)
		if (p->rules[dir][i].has_names)
			return true;
	return false;
}

static void ports_key(const struct bh_pod *pod, struct bh_buf *key)
{
	size_t i;

	for (i = 0; i < pod->n_ports; i++)
		if (pod->ports[i].name)
			bh_buf_printf(key, "%s\n%u %u\n", pod->ports[i].name, pod->ports[i].number,
				      pod->ports[i].protocol);
}

static void take_policy(struct bh_graph *g, struct bh_g_profile *profile,
			const struct bh_policy *policy, size_t *cap)
{
	const struct bh_g_policy *p = bh_g_policy_of(g, policy);

	bh_grow(&profile->policies, cap, profile->n_policies, sizeof(*profile->policies));
	profile->policies[profile->n_policies++] = p;
	profile->has_audited |= p->is_audited;
	if (bh_policy_isolates(policy, profile->dir)) {
		profile->is_isolated_if_audited = true;
		profile->is_isolated |= !p->is_audited;
	}
}

static void find_policies(struct bh_graph *g, struct bh_g_profile *profile)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies_of(g->source.world, profile->subject->namespace, &policies);
	size_t i, cap = 0;

	for (i = 0; i < n; i++)
		if (bh_policy_speaks(policies[i], profile->dir) &&
		    bh_world_selects(g->source.world, policies[i], profile->subject))
			take_policy(g, profile, policies[i], &cap);
}

static void profile_key(const struct bh_g_profile *p, struct bh_buf *key)
{
	bool has_names = false;
	size_t i;

	bh_buf_printf(key, "%d%d%d%d ", p->is_free, p->is_closed_if_audited,
		      p->is_closed_if_audited && p->subject->has_no_labels_yet, p->dir);
	for (i = 0; i < p->n_policies; i++) {
		bh_buf_add(key, &p->policies[i], sizeof(p->policies[i]));
		has_names |= names_ports(p->policies[i], p->dir);
	}
	if (has_names && p->dir == BH_INGRESS)
		ports_key(p->subject, key);
}

uint32_t bh_g_profile_of(struct bh_graph *g, const struct bh_pod *pod, enum bh_dir dir)
{
	struct bh_g_profile p = { .dir = dir, .subject = pod };
	bh_auto(bh_buf_done) struct bh_buf key = { 0 };
	uint32_t id;

	p.is_free = !pod || pod->is_host_network || pod->is_finished;
	p.is_closed_if_audited = !p.is_free && bh_pod_is_closed(pod);
	p.is_closed = p.is_closed_if_audited && bh_world_mode(g->source.world) != BH_AUDIT;
	p.has_audited = p.is_closed_if_audited != p.is_closed;
	if (!p.is_free && !p.is_closed_if_audited)
		find_policies(g, &p);
	profile_key(&p, &key);
	id = bh_ids_get(&g->profile_ids, g->arena, bh_buf_str(&key), key.len);
	if (id < g->n_profiles) {
		free(p.policies);
		return id;
	}
	bh_grow(&g->profiles, &g->cap_profiles, g->n_profiles, sizeof(*g->profiles));
	g->profiles[g->n_profiles++] = p;
	return id;
}

/* --- classes --------------------------------------------------------------------- */

static void class_key(const struct bh_pod *pod, struct bh_buf *key)
{
	size_t i;

	bh_buf_printf(key, "%s\n%s\n%d%d%d%d%d\n", pod->namespace,
		      pod->is_host_network ? pod->node : "", pod->is_host_network, pod->is_finished,
		      pod->has_no_labels_yet, pod->is_contested, pod->is_quarantined);
	/* Strings of the world are equal if their pointers are. */
	bh_buf_add(key, &pod->labels.n, sizeof(pod->labels.n));
	for (i = 0; i < pod->labels.n; i++) {
		bh_buf_add(key, &pod->labels.items[i].key, sizeof(char *));
		bh_buf_add(key, &pod->labels.items[i].value, sizeof(char *));
	}
	ports_key(pod, key);
}

uint32_t bh_g_class_of(struct bh_graph *g, const struct bh_pod *pod)
{
	bh_auto(bh_buf_done) struct bh_buf key = { 0 }, ports = { 0 };
	struct bh_g_class *c;
	enum bh_dir dir;
	uint32_t id;

	class_key(pod, &key);
	id = bh_ids_get(&g->class_ids, g->arena, bh_buf_str(&key), key.len);
	if (id < g->n_classes)
		return id;
	bh_grow(&g->classes, &g->cap_classes, g->n_classes, sizeof(*g->classes));
	c = &g->classes[g->n_classes++];
	*c = (struct bh_g_class){ .pod = pod };
	ports_key(pod, &ports);
	c->ports = bh_ids_get(&g->ports_ids, g->arena, bh_buf_str(&ports), ports.len);
	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		uint32_t profile = bh_g_profile_of(g, pod, dir);

		g->classes[id].profile[dir] = profile;
	}
	return id;
}

/* --- who is matched -------------------------------------------------------------- */

struct numbers {
	uint32_t *items;
	size_t n, cap;
};

static void add_number(struct numbers *l, uint32_t number)
{
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] = number;
}

/* Matchers for pods of one namespace. */
struct own {
	const char *namespace;
	struct numbers matchers;
	UT_hash_handle hh;
};

struct index {
	struct own *own;
	struct numbers everywhere;
};

static void index_matchers(const struct bh_graph *g, struct index *ret)
{
	uint32_t i;

	for (i = 0; i < g->n_matchers; i++) {
		const struct bh_g_matcher *m = &g->matchers[i];
		struct own *own;

		if (m->peer->kind != BH_PEER_PODS)
			continue;
		if (m->peer->has_namespaces) {
			add_number(&ret->everywhere, i);
			continue;
		}
		HASH_FIND_STR(ret->own, m->policy->namespace, own);
		if (!own) {
			own = bh_calloc(1, sizeof(*own));
			own->namespace = m->policy->namespace;
			HASH_ADD_KEYPTR(hh, ret->own, own->namespace, strlen(own->namespace), own);
		}
		add_number(&own->matchers, i);
	}
}

static void index_done(struct index *index)
{
	struct own *own, *next;

	HASH_ITER (hh, index->own, own, next) {
		HASH_DEL(index->own, own);
		free(own->matchers.items);
		free(own);
	}
	free(index->everywhere.items);
}

static bool matches(const struct bh_graph *g, const struct bh_g_matcher *m,
		    const struct bh_pod *pod)
{
	return m->is_denying ? bh_world_peer_may_be(g->source.world, m->policy, m->peer, pod)
			     : bh_world_peer_is(g->source.world, m->policy, m->peer, pod);
}

static void match_some(const struct bh_graph *g, const struct numbers *candidates,
		       const struct bh_pod *pod, struct numbers *ret)
{
	size_t i;

	for (i = 0; i < candidates->n; i++)
		if (matches(g, &g->matchers[candidates->items[i]], pod))
			add_number(ret, candidates->items[i]);
}

/* One that may be any pod is matched by rules about other namespaces than its own. */
static void match_closed(const struct bh_graph *g, const struct bh_pod *pod, struct numbers *ret)
{
	for (uint32_t i = 0; i < g->n_matchers; i++)
		if (matches(g, &g->matchers[i], pod))
			add_number(ret, i);
}

/* Nodes are few: no index. */
static uint32_t match_node(struct bh_graph *g, const struct bh_node *node)
{
	struct numbers matched = { 0 };
	uint32_t i, id;

	for (i = 0; node && i < g->n_matchers; i++) {
		const struct bh_peer *peer = g->matchers[i].peer;

		if (peer->kind == BH_PEER_NODES && bh_selector_matches(&peer->pods, &node->labels))
			add_number(&matched, i);
	}
	id = bh_g_list_of(g, matched.items, matched.n);
	free(matched.items);
	return id;
}

void bh_g_match_classes(struct bh_graph *g)
{
	struct numbers matched = { 0 };
	struct index index = { 0 };
	size_t i;

	index_matchers(g, &index);
	for (i = 0; i < g->n_classes; i++) {
		struct bh_g_class *c = &g->classes[i];
		struct own *own;

		if (c->pod->is_host_network) {
			c->matched = match_node(g, bh_world_node(g->source.world, c->pod->node));
			continue;
		}
		matched.n = 0;
		HASH_FIND_STR(index.own, c->pod->namespace, own);
		if (bh_pod_is_closed(c->pod)) {
			match_closed(g, c->pod, &matched);
		} else {
			if (own)
				match_some(g, &own->matchers, c->pod, &matched);
			match_some(g, &index.everywhere, c->pod, &matched);
		}
		c->matched = bh_g_list_of(g, matched.items, matched.n);
	}
	free(matched.items);
	index_done(&index);
}

/* --- views ----------------------------------------------------------------------- */

static uint32_t view_of(struct bh_graph *g, const struct bh_g_view *v, uint32_t ports)
{
	uint32_t doubt = !v->pod ? 0 : bh_pod_is_closed(v->pod) + v->pod->is_contested;
	uint32_t key[] = { v->entity, v->matched, v->cell_matched, ports, doubt };
	uint32_t id = bh_ids_get(&g->view_ids, g->arena, key, sizeof(key));

	if (id < g->n_views)
		return id;
	bh_grow(&g->views, &g->cap_views, g->n_views, sizeof(*g->views));
	g->views[g->n_views++] = *v;
	return id;
}

static uint32_t cell_matched(struct bh_graph *g, const struct bh_addr *address)
{
	return address ? bh_g_cell_of(g, address)->matched : bh_g_list_of(g, NULL, 0);
}

uint32_t bh_g_view_of_class(struct bh_graph *g, uint32_t class, const struct bh_addr *address)
{
	const struct bh_g_class *c = &g->classes[class];
	bool is_node = c->pod->is_host_network;
	struct bh_g_view v = { .entity = is_node ? BH_ENTITY_NODE : BH_ENTITY_POD,
			       .matched = c->matched,
			       .cell_matched = cell_matched(g, address),
			       .pod = is_node ? NULL : c->pod };

	return view_of(g, &v, is_node ? BH_G_NONE : c->ports);
}

uint32_t bh_g_view_of_node(struct bh_graph *g, const struct bh_node *node,
			   const struct bh_addr *address)
{
	struct bh_g_view v = { .entity = BH_ENTITY_NODE,
			       .matched = match_node(g, node),
			       .cell_matched = cell_matched(g, address) };

	return view_of(g, &v, BH_G_NONE);
}

uint32_t bh_g_view_of_cell(struct bh_graph *g, const struct bh_g_cell *cell)
{
	struct bh_g_view v = { .entity = BH_ENTITY_EXTERNAL,
			       .matched = bh_g_list_of(g, NULL, 0),
			       .cell_matched = cell->matched };

	return view_of(g, &v, BH_G_NONE);
}

static void link_list(struct bh_graph *g, uint32_t view, uint32_t list)
{
	size_t i;

	for (i = 0; i < g->lists[list].n; i++) {
		struct bh_g_matcher *m = &g->matchers[g->lists[list].items[i]];

		bh_grow(&m->views, &m->cap_views, m->n_views, sizeof(*m->views));
		m->views[m->n_views++] = view;
	}
}

void bh_g_link_views(struct bh_graph *g)
{
	uint32_t v;

	for (v = 0; v < g->n_views; v++) {
		link_list(g, v, g->views[v].matched);
		link_list(g, v, g->views[v].cell_matched);
	}
}

static bool list_has(const struct bh_g_list *list, uint32_t number)
{
	return list->n > 0 &&
	       bh_search(&number, list->items, list->n, sizeof(*list->items), cmp_numbers) != NULL;
}

bool bh_g_view_has(const struct bh_graph *g, uint32_t view, uint32_t matcher)
{
	const struct bh_g_view *v = &g->views[view];

	return list_has(&g->lists[v->matched], matcher) ||
	       list_has(&g->lists[v->cell_matched], matcher);
}
