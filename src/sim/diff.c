/*
 * Two worlds: which connections are not what they were.
 *
 * The edges of both graphs are put on the ends that both have in common, sorted
 * and walked side by side.
 */
#include <assert.h>
#include <string.h>

#include "diff_impl.h"

static const char *const kinds[] = {
	[BH_CHANGE_ADDED] = "added",
	[BH_CHANGE_REMOVED] = "removed",
	[BH_CHANGE_CHANGED] = "changed",
	[BH_CHANGE_AUDITED] = "audited",
};
static_assert(BH_ARRAY_LEN(kinds) == BH_CHANGE_COUNT_, "every kind of change has a name");

const char *bh_change_str(enum bh_change_kind kind)
{
	return kinds[kind];
}

/* --- edges on common ends ------------------------------------------------------------- */

struct item {
	uint32_t src, dst; /* ends */
	const struct bh_graph_edge *edge;
};

struct items {
	struct item *items;
	size_t n, cap;
};

/* The ends that a peer is, one after the other: those of peer i from first[i] on. */
struct ends_of {
	uint32_t *first, *ends;
};

static uint32_t peer_of(const struct bh_d_end *e, bool is_after)
{
	return is_after ? e->after : e->before;
}

static void index_ends(const struct bh_graph_diff *d, bool is_after, struct ends_of *ret)
{
	size_t n = (is_after ? d->after : d->before)->n_peers, i;

	ret->first = bh_calloc(n + 2, sizeof(*ret->first));
	ret->ends = bh_calloc(d->n_ends + 1, sizeof(*ret->ends));
	for (i = 0; i < d->n_ends; i++)
		if (peer_of(&d->ends[i], is_after) != BH_D_NONE)
			ret->first[peer_of(&d->ends[i], is_after) + 2]++;
	for (i = 2; i < n + 2; i++)
		ret->first[i] += ret->first[i - 1];
	for (i = 0; i < d->n_ends; i++)
		if (peer_of(&d->ends[i], is_after) != BH_D_NONE)
			ret->ends[ret->first[peer_of(&d->ends[i], is_after) + 1]++] = (uint32_t)i;
}

static const struct bh_graph_peer *pub_of(const struct bh_graph_diff *d, const struct bh_d_end *e,
					  bool is_after)
{
	return &(is_after ? d->after : d->before)->peers[peer_of(e, is_after)].pub;
}

/*
 * A pod that is a part by itself in one world and in the whole in the other: what
 * the whole may open to itself is between this pod and those of the other parts.
 */
static bool is_alone(const struct bh_graph_diff *d, const struct bh_d_end *e)
{
	const struct bh_graph_peer *before, *after, *part;

	if (e->before == BH_D_NONE || e->after == BH_D_NONE)
		return false;
	before = pub_of(d, e, false);
	after = pub_of(d, e, true);
	part = before->is_part ? before : after;
	return before->is_part != after->is_part && part->n_pods == 1;
}

static bool is_pair(const struct bh_graph_diff *d, uint32_t src, uint32_t dst)
{
	return d->ends[src].is_src && d->ends[dst].is_dst &&
	       (src != dst || !is_alone(d, &d->ends[src]));
}

static void put_edge(const struct bh_graph_diff *d, const struct ends_of *of,
		     const struct bh_graph_edge *e, struct items *ret)
{
	uint32_t i, k;

	for (i = of->first[e->src]; i < of->first[e->src + 1]; i++) {
		for (k = of->first[e->dst]; k < of->first[e->dst + 1]; k++) {
			if (!is_pair(d, of->ends[i], of->ends[k]))
				continue;
			bh_grow(&ret->items, &ret->cap, ret->n, sizeof(*ret->items));
			ret->items[ret->n++] = (struct item){ of->ends[i], of->ends[k], e };
		}
	}
}

static int cmp_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->src != y->src)
		return x->src < y->src ? -1 : 1;
	return (x->dst > y->dst) - (x->dst < y->dst);
}

static void put_edges(const struct bh_graph_diff *d, bool is_after, struct items *ret)
{
	const struct bh_graph *g = is_after ? d->after : d->before;
	struct ends_of of;
	size_t i;

	index_ends(d, is_after, &of);
	for (i = 0; i < g->n_edges; i++)
		put_edge(d, &of, &g->edges[i], ret);
	if (ret->n > 0)
		bh_sort(ret->items, ret->n, sizeof(*ret->items), cmp_items);
	free(of.first);
	free(of.ends);
}

/* --- changes ------------------------------------------------------------------------------ */

static const struct bh_conns *import(struct bh_graph_diff *d, const struct bh_conns *c)
{
	return bh_conns_import(d->after->table, c);
}

/* The two ends with what is between them; no edge: nothing. */
static void fill(struct bh_graph_diff *d, const struct bh_graph_edge *before,
		 const struct bh_graph_edge *after, struct bh_graph_change *c)
{
	const struct bh_conns *none = bh_conns_none(d->after->table);
	enum bh_family f;

	c->before = before ? import(d, before->allowed) : none;
	c->after = after ? after->allowed : none;
	c->audited_before = before ? import(d, before->audited) : none;
	c->audited_after = after ? after->audited : none;
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		c->only_before[f] = before ? import(d, before->only[f]) : none;
		c->only_after[f] = after ? after->only[f] : none;
	}
}

/* False where nothing changed. */
static bool classify(struct bh_graph_change *c)
{
	bool is_same = c->before == c->after &&
		       memcmp(c->only_before, c->only_after, sizeof(c->only_before)) == 0;

	if (is_same && c->audited_before == c->audited_after)
		return false;
	if (is_same)
		c->kind = BH_CHANGE_AUDITED;
	else if (bh_conns_is_empty(c->before))
		c->kind = BH_CHANGE_ADDED;
	else if (bh_conns_is_empty(c->after))
		c->kind = BH_CHANGE_REMOVED;
	else
		c->kind = BH_CHANGE_CHANGED;
	return true;
}

static void compare(struct bh_graph_diff *d, const struct item *before, const struct item *after)
{
	const struct item *any = before ? before : after;
	const struct bh_d_end *src = &d->ends[any->src], *dst = &d->ends[any->dst];
	struct bh_graph_change c = { .src = src->label, .dst = dst->label };

	fill(d, before ? before->edge : NULL, after ? after->edge : NULL, &c);
	if (!classify(&c))
		return;
	c.is_src_new = src->before == BH_D_NONE;
	c.is_src_gone = src->after == BH_D_NONE;
	c.is_dst_new = dst->before == BH_D_NONE;
	c.is_dst_gone = dst->after == BH_D_NONE;
	bh_d_find_causes(d, src, dst, &c);
	bh_grow(&d->changes, &d->cap_changes, d->n_changes, sizeof(*d->changes));
	d->changes[d->n_changes] = c;
	bh_grow(&d->pairs, &d->cap_pairs, d->n_changes, sizeof(*d->pairs));
	d->pairs[d->n_changes++] = (struct bh_d_pair){ any->src, any->dst };
}

static void find_changes(struct bh_graph_diff *d)
{
	struct items before = { 0 }, after = { 0 };
	size_t i = 0, k = 0;

	put_edges(d, false, &before);
	put_edges(d, true, &after);
	while (i < before.n || k < after.n) {
		int c = i == before.n  ? 1
			: k == after.n ? -1
				       : cmp_items(&before.items[i], &after.items[k]);

		compare(d, c <= 0 ? &before.items[i] : NULL, c >= 0 ? &after.items[k] : NULL);
		i += c <= 0;
		k += c >= 0;
	}
	free(before.items);
	free(after.items);
}

/* --- neighbours that changed alike ---------------------------------------------------------- */

static bool is_alike(const struct bh_graph_change *a, const struct bh_graph_change *b)
{
	return a->kind == b->kind && a->before == b->before && a->after == b->after &&
	       a->audited_before == b->audited_before && a->audited_after == b->audited_after &&
	       a->n_because == b->n_because &&
	       memcmp(a->because, b->because, a->n_because * sizeof(*a->because)) == 0;
}

static bool follows(const struct bh_range *a, const struct bh_range *b)
{
	struct bh_addr next = a->last;

	return next.family == b->first.family && bh_addr_next(&next) &&
	       bh_addr_eq(&next, &b->first);
}

struct order {
	struct bh_graph_change change;
	struct bh_d_pair pair;
	struct bh_range range; /* of the external end */
	const char *other;     /* label of the other */
	bool is_src, is_external;
};

static int cmp_order(const void *a, const void *b)
{
	const struct order *x = a, *y = b;
	int c;

	if (x->is_external != y->is_external)
		return x->is_external - y->is_external;
	if (x->is_src != y->is_src)
		return x->is_src - y->is_src;
	c = strcmp(x->other, y->other);
	return c ? c : bh_addr_cmp(&x->range.first, &y->range.first);
}

static int cmp_labels(const void *a, const void *b)
{
	const struct order *x = a, *y = b;
	int c = strcmp(x->change.src, y->change.src);

	return c ? c : strcmp(x->change.dst, y->change.dst);
}

static void relabel(struct bh_graph_diff *d, struct order *o)
{
	*(o->is_src ? &o->change.src : &o->change.dst) = bh_d_range_label(d, &o->range);
}

static size_t join(struct bh_graph_diff *d, struct order *list, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++) {
		struct order *last = kept > 0 ? &list[kept - 1] : NULL, *o = &list[i];

		if (last && o->is_external && last->is_external && last->is_src == o->is_src &&
		    strcmp(last->other, o->other) == 0 && follows(&last->range, &o->range) &&
		    is_alike(&last->change, &o->change)) {
			last->range.last = o->range.last;
			relabel(d, last);
			continue;
		}
		list[kept++] = *o;
	}
	return kept;
}

static void order_changes(struct bh_graph_diff *d)
{
	struct order *list = bh_calloc(d->n_changes + 1, sizeof(*list));
	size_t i, n;

	for (i = 0; i < d->n_changes; i++) {
		const struct bh_d_end *src = &d->ends[d->pairs[i].src];
		const struct bh_d_end *dst = &d->ends[d->pairs[i].dst];

		list[i] = (struct order){ .change = d->changes[i],
					  .pair = d->pairs[i],
					  .is_src = src->is_external,
					  .is_external = src->is_external || dst->is_external,
					  .range = src->is_external ? src->range : dst->range,
					  .other = src->is_external ? dst->label : src->label };
	}
	bh_sort(list, d->n_changes, sizeof(*list), cmp_order);
	n = join(d, list, d->n_changes);
	bh_sort(list, n, sizeof(*list), cmp_labels);
	for (i = 0; i < n; i++)
		d->changes[i] = list[i].change;
	d->n_changes = n;
	free(list);
}

static int cmp_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct bh_graph_diff *bh_graph_diff_new(struct bh_graph *before, struct bh_graph *after)
{
	struct bh_graph_diff *d = bh_calloc(1, sizeof(*d));
	size_t i;

	d->arena = bh_arena_new();
	d->before = before;
	d->after = after;
	bh_d_make_ends(d);
	for (i = 0; i < 2; i++)
		if (d->n_workloads[i] > 0)
			bh_sort(d->workloads[i], d->n_workloads[i], sizeof(*d->workloads[i]),
				cmp_strings);
	find_changes(d);
	order_changes(d);
	return d;
}

void bh_graph_diff_free(struct bh_graph_diff **diff)
{
	struct bh_graph_diff *d = *diff;

	if (!d)
		return;
	bh_ids_done(&d->strings);
	free(d->ends);
	free(d->changes);
	free(d->pairs);
	free(d->texts);
	free(d->workloads[0]);
	free(d->workloads[1]);
	bh_arena_free(&d->arena);
	free(d);
	*diff = NULL;
}

size_t bh_graph_diff_changes(const struct bh_graph_diff *d, const struct bh_graph_change **ret)
{
	*ret = d->changes;
	return d->n_changes;
}

size_t bh_graph_diff_workloads(const struct bh_graph_diff *d, bool is_new, const char *const **ret)
{
	*ret = d->workloads[is_new];
	return d->n_workloads[is_new];
}
