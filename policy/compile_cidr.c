/*
 * Address ranges: prefixes with exceptions made disjoint, because the kernel
 * refuses intervals that overlap.
 */
#include "compile_impl.h"

#include <string.h>

void ranges_done(struct range_list *l)
{
	free(l->items);
	*l = (struct range_list){ 0 };
}

static void add(struct range_list *l, struct bh_addr first, struct bh_addr last)
{
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] = (struct bh_range){ .first = first, .last = last };
}

static int cmp_range(const void *a, const void *b)
{
	const struct bh_range *x = a, *y = b;

	return bh_addr_cmp(&x->first, &y->first);
}

/* @b starts within @a or right behind it, given that it does not start before it. */
static bool touches(const struct bh_range *a, const struct bh_range *b)
{
	struct bh_addr next = a->last;

	if (a->last.family != b->first.family)
		return false;
	bh_addr_next(&next); /* stays at the end of the family */
	return bh_addr_cmp(&b->first, &next) <= 0;
}

void ranges_normalise(struct range_list *l)
{
	size_t n = 0, i;

	if (l->n == 0)
		return;
	qsort(l->items, l->n, sizeof(*l->items), cmp_range);
	for (i = 0; i < l->n; i++) {
		const struct bh_range *r = &l->items[i];
		struct bh_range *last = n ? &l->items[n - 1] : NULL;

		if (!last || !touches(last, r))
			l->items[n++] = *r;
		else if (bh_addr_cmp(&r->last, &last->last) > 0)
			last->last = r->last;
	}
	l->n = n;
}

void ranges_add_peer(struct range_list *l, const struct bh_peer *peer)
{
	struct bh_range whole = bh_cidr_range(&peer->cidr);
	struct bh_addr at = whole.first;
	struct range_list holes = { 0 };
	bool is_used_up = false;
	size_t i;

	for (i = 0; i < peer->n_except; i++) {
		struct bh_range hole = bh_cidr_range(&peer->except[i]);

		if (bh_cidr_covers(&peer->except[i], &peer->cidr))
			is_used_up = true;
		else if (bh_cidr_covers(&peer->cidr, &peer->except[i]))
			add(&holes, hole.first, hole.last);
	}
	ranges_normalise(&holes);
	for (i = 0; i < holes.n && !is_used_up; i++) {
		struct bh_addr before = holes.items[i].first;

		if (bh_addr_cmp(&at, &before) < 0 && bh_addr_prev(&before))
			add(l, at, before);
		at = holes.items[i].last;
		is_used_up = bh_addr_eq(&at, &whole.last) || !bh_addr_next(&at);
	}
	if (!is_used_up)
		add(l, at, whole.last);
	ranges_done(&holes);
}

/* Where a list begins or ends to hold addresses. */
struct edge {
	struct bh_addr at;
	size_t list;
	bool is_start;
};

static int cmp_edge(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return bh_addr_cmp(&x->at, &y->at);
}

static size_t find_edges(const struct range_list *lists, size_t n, struct edge **ret)
{
	struct edge *edges = NULL;
	size_t n_edges = 0, cap = 0, i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < lists[i].n; j++) {
			struct bh_addr end = lists[i].items[j].last;

			bh_grow(&edges, &cap, n_edges, sizeof(*edges));
			edges[n_edges++] = (struct edge){ lists[i].items[j].first, i, true };
			if (!bh_addr_next(&end))
				continue; /* reaches the end of the family */
			bh_grow(&edges, &cap, n_edges, sizeof(*edges));
			edges[n_edges++] = (struct edge){ end, i, false };
		}
	}
	if (n_edges)
		qsort(edges, n_edges, sizeof(*edges), cmp_edge);
	*ret = edges;
	return n_edges;
}

static bool ports_equal(const struct port_set *a, const struct port_set *b)
{
	size_t i;

	if (a->n_ranges != b->n_ranges)
		return false;
	for (i = 0; i < a->n_ranges; i++) {
		const struct port_range *x = &a->ranges[i], *y = &b->ranges[i];

		if (x->protocol != y->protocol || x->first != y->first || x->last != y->last)
			return false;
	}
	return true;
}

struct joined {
	struct range_ports *items;
	size_t n, cap;
};

/* Takes @ports over. */
static void add_joined(struct joined *j, struct bh_range range, struct port_set ports)
{
	struct range_ports *last = j->n ? &j->items[j->n - 1] : NULL;
	struct bh_addr before = range.first;

	if (last && bh_addr_prev(&before) && bh_addr_eq(&before, &last->range.last) &&
	    ports_equal(&last->ports, &ports)) {
		last->range.last = range.last;
		ports_done(&ports);
		return;
	}
	bh_grow(&j->items, &j->cap, j->n, sizeof(*j->items));
	j->items[j->n++] = (struct range_ports){ .range = range, .ports = ports };
}

size_t ranges_join(const struct range_list *lists, const struct port_set *ports, size_t n,
		   struct range_ports **ret)
{
	bh_auto_free bool *is_open = bh_calloc(n, sizeof(*is_open));
	bh_auto_free struct edge *edges = NULL;
	struct joined j = { 0 };
	size_t n_edges = find_edges(lists, n, &edges), i = 0, k;

	while (i < n_edges) {
		struct bh_range range = { .first = edges[i].at };
		struct port_set open = { 0 };

		for (; i < n_edges && bh_addr_eq(&edges[i].at, &range.first); i++)
			is_open[edges[i].list] = edges[i].is_start;
		if (i < n_edges) {
			range.last = edges[i].at;
			bh_addr_prev(&range.last);
		} else {
			/* Whatever is still open reaches the end of the family. */
			memset(range.last.bytes, 0xff, bh_family_len(range.first.family));
			range.last.family = range.first.family;
		}
		for (k = 0; k < n; k++) {
			if (is_open[k])
				ports_union(&open, &ports[k]);
		}
		ports_normalise(&open);
		if (ports_is_empty(&open))
			ports_done(&open);
		else
			add_joined(&j, range, open);
	}
	*ret = j.items;
	return j.n;
}
