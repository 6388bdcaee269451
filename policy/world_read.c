/*
 * Reading the world: look-ups, listings, policies of a namespace.
 */
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

/* The strongest claim is the owner's, except where two link-local ones are as strong. */
static const struct bh_pod_obj *owner_of(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_claim *first = bh_claims_of(w, a);
	const struct bh_pod_obj *p = first ? bh_claim_pod(first) : NULL;

	return p && bh_pod_owns(&p->pub, a) ? p : NULL;
}

const struct bh_pod *bh_world_pod_by_addr(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_pod_obj *p = owner_of(w, a);

	return p ? &p->pub : NULL;
}

/* The pod of a pending change as it was. */
static const struct bh_pod *before_of(const struct bh_change *c)
{
	return c->before ? bh_obj_public(c->before) : NULL;
}

const struct bh_pod *bh_world_settled_pod_by_addr(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_pod_obj *now = owner_of(w, a);
	const struct bh_change_list *changes = &w->changes[BH_KIND_POD];
	size_t i;

	if (now && !now->obj.change)
		return &now->pub;
	for (i = 0; i < changes->n; i++) {
		const struct bh_pod *before = before_of(&changes->items[i]);

		if (before && bh_pod_owns(before, a))
			return before;
	}
	return NULL;
}

const struct bh_pod *bh_world_pod_by_name(const struct bh_world *w, const char *ns,
					  const char *name)
{
	const struct bh_pod_obj *p, *best = NULL;

	for (p = bh_pod_first(w, ns, name); p; p = p->next) {
		if (!(p->obj.roles & BH_OBJ_LIVE))
			continue;
		if (!best || bh_pod_is_preferred(p, best))
			best = p;
	}
	return best ? &best->pub : NULL;
}

const struct bh_namespace *bh_world_namespace(const struct bh_world *w, const char *name)
{
	const struct bh_space *space = bh_space_find(w, name);

	return space ? bh_obj_public(space->entry.live) : NULL;
}

const struct bh_node *bh_world_node(const struct bh_world *w, const char *name)
{
	const struct bh_entry *e = bh_entry_find(w, BH_KIND_NODE, 0, "", name);

	return e ? bh_obj_public(e->live) : NULL;
}

const char *bh_world_own_node(const struct bh_world *w)
{
	return w->node;
}

const struct bh_node *bh_world_node_by_addr(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_node_obj *best = NULL;
	const struct bh_claim *c;

	if (!bh_addr_is_left_to_nodes(w, a))
		return NULL;
	for (c = bh_claims_of(w, a); c; c = c->next) {
		const struct bh_node_obj *node = bh_claim_node(c);

		if (node && (!best || strcmp(node->pub.name, best->pub.name) < 0))
			best = node;
	}
	return best ? &best->pub : NULL;
}

const struct bh_policy *bh_world_policy(const struct bh_world *w, enum bh_policy_kind kind,
					const char *ns, const char *name)
{
	const struct bh_space *space;
	const struct bh_entry *e;

	if (kind == BH_DEFAULT_DENY) {
		space = bh_space_find(w, ns);
		e = space && space->deny.name && strcmp(space->deny.name, name) == 0 ? &space->deny
										     : NULL;
	} else if (kind == BH_QUARANTINE && strcmp(name, BH_QUARANTINE_BY_ANNOTATION) == 0) {
		space = bh_space_find(w, ns);
		e = space ? &space->quarantine : NULL;
	} else {
		e = bh_entry_find(w, BH_KIND_POLICY, kind,
				  bh_policy_kind_is_namespaced(kind) ? ns : "", name);
	}
	return e && e->live ? bh_obj_public(e->live) : NULL;
}

enum bh_mode bh_world_mode(const struct bh_world *w)
{
	return w->mode;
}

/* --- listings ----------------------------------------------------------------------- */

static int cmp_pods(const void *a, const void *b)
{
	const struct bh_pod *p = *(const struct bh_pod *const *)a;
	const struct bh_pod *q = *(const struct bh_pod *const *)b;
	int c = strcmp(p->namespace, q->namespace);

	if (c == 0)
		c = strcmp(p->name, q->name);
	return c ? c : strcmp(p->uid, q->uid);
}

static int cmp_namespaces(const void *a, const void *b)
{
	return strcmp((*(const struct bh_namespace *const *)a)->name,
		      (*(const struct bh_namespace *const *)b)->name);
}

static int cmp_nodes(const void *a, const void *b)
{
	return strcmp((*(const struct bh_node *const *)a)->name,
		      (*(const struct bh_node *const *)b)->name);
}

static int cmp_policies(const void *a, const void *b)
{
	const struct bh_policy *p = *(const struct bh_policy *const *)a;
	const struct bh_policy *q = *(const struct bh_policy *const *)b;
	int c = strcmp(p->namespace, q->namespace);

	if (c == 0)
		c = strcmp(p->name, q->name);
	return c ? c : (p->kind > q->kind) - (p->kind < q->kind);
}

static void collect_pods(const struct bh_world *w, struct bh_listing *l)
{
	const struct bh_pod_obj *p;
	size_t i;

	for (i = 0; i < w->pods.cap; i++) {
		if (!w->pods.slots[i])
			continue;
		p = bh_item(w->pods.slots[i], struct bh_pod_obj, by_name);
		for (; p; p = p->next)
			if (p->obj.roles & BH_OBJ_LIVE)
				l->items[l->n++] = &p->pub;
	}
}

static void collect_entries(const struct bh_table *t, struct bh_listing *l)
{
	size_t i;

	for (i = 0; i < t->cap; i++) {
		const struct bh_entry *e;

		if (!t->slots[i])
			continue;
		e = bh_item(t->slots[i], struct bh_entry, node);
		if (e->live)
			l->items[l->n++] = bh_obj_public(e->live);
	}
}

static void collect_own(const struct bh_world *w, struct bh_listing *l)
{
	size_t i;

	for (i = 0; i < w->entries[BH_KIND_NAMESPACE].cap; i++) {
		const struct bh_space *space;

		if (!w->entries[BH_KIND_NAMESPACE].slots[i])
			continue;
		space = bh_item(w->entries[BH_KIND_NAMESPACE].slots[i], struct bh_space,
				entry.node);
		if (space->deny.live)
			l->items[l->n++] = bh_obj_public(space->deny.live);
		if (space->quarantine.live)
			l->items[l->n++] = bh_obj_public(space->quarantine.live);
	}
}

static const struct bh_listing *listing(const struct bh_world *w, enum bh_kind kind)
{
	static int (*const cmp[BH_KIND_COUNT_])(const void *, const void *) = {
		[BH_KIND_POD] = cmp_pods,
		[BH_KIND_NAMESPACE] = cmp_namespaces,
		[BH_KIND_NODE] = cmp_nodes,
		[BH_KIND_POLICY] = cmp_policies,
	};
	struct bh_listing *l = &w->lazy->listings[kind];

	if (l->is_valid)
		return l;
	free(l->items);
	*l = (struct bh_listing){ .is_valid = true };
	l->items = bh_calloc(w->n_live[kind], sizeof(*l->items));
	switch (kind) {
	case BH_KIND_POD: collect_pods(w, l); break;
	case BH_KIND_NAMESPACE: collect_entries(&w->entries[BH_KIND_NAMESPACE], l); break;
	case BH_KIND_NODE: collect_entries(&w->entries[BH_KIND_NODE], l); break;
	case BH_KIND_POLICY:
		collect_entries(&w->entries[BH_KIND_POLICY], l);
		collect_own(w, l);
		break;
	case BH_KIND_COUNT_: abort();
	}
	bh_sort(l->items, l->n, sizeof(*l->items), cmp[kind]);
	return l;
}

size_t bh_world_pods(const struct bh_world *w, const struct bh_pod *const **ret)
{
	const struct bh_listing *l = listing(w, BH_KIND_POD);

	*ret = (const struct bh_pod *const *)l->items;
	return l->n;
}

size_t bh_world_namespaces(const struct bh_world *w, const struct bh_namespace *const **ret)
{
	const struct bh_listing *l = listing(w, BH_KIND_NAMESPACE);

	*ret = (const struct bh_namespace *const *)l->items;
	return l->n;
}

size_t bh_world_nodes(const struct bh_world *w, const struct bh_node *const **ret)
{
	const struct bh_listing *l = listing(w, BH_KIND_NODE);

	*ret = (const struct bh_node *const *)l->items;
	return l->n;
}

size_t bh_world_policies(const struct bh_world *w, const struct bh_policy *const **ret)
{
	const struct bh_listing *l = listing(w, BH_KIND_POLICY);

	*ret = (const struct bh_policy *const *)l->items;
	return l->n;
}

/* --- policies and pods ------------------------------------------------------------------ */

static void merge_policies(const struct bh_world *w, struct bh_space *space)
{
	const struct bh_namespace *ns = bh_obj_public(space->entry.live);
	size_t own = 0, i;

	free(space->merged);
	space->merged = bh_calloc(space->n_policies + w->n_cluster, sizeof(*space->merged));
	space->n_merged = 0;
	for (i = 0; i < w->n_cluster; i++) {
		const struct bh_policy *p = w->cluster[i];

		if (!p->has_namespaces || !bh_selector_matches(&p->namespaces, &ns->labels))
			continue;
		while (own < space->n_policies && bh_policy_cmp(space->policies[own], p) < 0)
			space->merged[space->n_merged++] = space->policies[own++];
		space->merged[space->n_merged++] = p;
	}
	while (own < space->n_policies)
		space->merged[space->n_merged++] = space->policies[own++];
	space->merged_at = w->cluster_stamp;
}

size_t bh_world_policies_of(const struct bh_world *w, const char *ns,
			    const struct bh_policy *const **ret)
{
	struct bh_space *space = bh_space_find(w, ns);

	*ret = NULL;
	if (!space || !space->entry.live)
		return 0;
	if (w->n_cluster == 0) {
		*ret = space->policies;
		return space->n_policies;
	}
	if (space->merged_at != w->cluster_stamp)
		merge_policies(w, space);
	*ret = space->merged;
	return space->n_merged;
}

/* Whether a pod can be chosen by a selector at all. */
static bool is_selectable(const struct bh_pod *pod)
{
	return !pod->is_host_network && !pod->is_finished;
}

/* The cheap part first: another namespace than the own one has to be looked up. */
static bool selects(const struct bh_world *w, const struct bh_policy *p,
		    const struct bh_selector *namespaces, const struct bh_selector *pods,
		    const struct bh_pod *pod)
{
	const struct bh_namespace *ns;

	if (!is_selectable(pod))
		return false;
	if (!namespaces)
		return (p->namespace == pod->namespace ||
			strcmp(p->namespace, pod->namespace) == 0) &&
		       bh_selector_matches_pod(pods, pod);
	if (!bh_selector_matches_pod(pods, pod))
		return false;
	ns = bh_world_namespace(w, pod->namespace);
	return ns && bh_selector_matches(namespaces, &ns->labels);
}

bool bh_world_selects(const struct bh_world *w, const struct bh_policy *p, const struct bh_pod *pod)
{
	if (p->pod && strcmp(p->pod, pod->name) != 0)
		return false;
	if (p->is_by_annotation && !pod->is_quarantined)
		return false;
	return !bh_pod_is_closed(pod) &&
	       selects(w, p, p->has_namespaces ? &p->namespaces : NULL, &p->pods, pod);
}

bool bh_world_peer_is(const struct bh_world *w, const struct bh_policy *p,
		      const struct bh_peer *peer, const struct bh_pod *pod)
{
	return peer->kind == BH_PEER_PODS && !pod->is_contested &&
	       selects(w, p, peer->has_namespaces ? &peer->namespaces : NULL, &peer->pods, pod);
}

bool bh_world_peer_may_be(const struct bh_world *w, const struct bh_policy *p,
			  const struct bh_peer *peer, const struct bh_pod *pod)
{
	if (bh_pod_is_closed(pod))
		return peer->kind == BH_PEER_PODS && is_selectable(pod);
	return bh_world_peer_is(w, p, peer, pod);
}
