/*
 * Prefixes with many distinct sets of ports -> one list of disjoint boxes, each
 * some addresses and some ports, for one interval set of address . protocol .
 * port.
 *
 * There are two ways to make boxes disjoint.  Cut the addresses wherever a
 * prefix begins or ends, and give each piece the union of the ports that are
 * open to it: small where the prefixes hardly overlap.  Or cut the ports, and
 * give each piece the union of the prefixes that it is open to: small where the
 * sets of ports hardly overlap.  Either multiplies where the other does not, so
 * the caller counts both.  Both stop as soon as they pass a limit, so that what
 * is too large costs no more than what just fits.
 */
#include "compile_impl.h"

#include <string.h>

void joined_done(struct joined *j)
{
	for (size_t i = 0; i < j->n; i++)
		ports_done(&j->items[i].ports);
	free(j->items);
	*j = (struct joined){ 0 };
}

/* Takes @ports over. */
static void add_box(struct joined *j, struct bh_range range, struct port_set ports)
{
	bh_grow(&j->items, &j->cap, j->n, sizeof(*j->items));
	j->items[j->n++] = (struct range_ports){ .range = range, .ports = ports };
	j->n_elems += ports.n_ranges;
}

/* --- the blocks that are open at one point of a sweep ------------------------------- */

struct open_blocks {
	size_t *ids, *places; /* places: 1 + the index in ids, 0 if not open */
	size_t n;
};

static void open_init(struct open_blocks *o, size_t n)
{
	*o = (struct open_blocks){ .ids = bh_calloc(n, sizeof(size_t)),
				   .places = bh_calloc(n, sizeof(size_t)) };
}

static void open_done(struct open_blocks *o)
{
	free(o->ids);
	free(o->places);
}

static void open_set(struct open_blocks *o, size_t id, bool is_open)
{
	size_t last;

	if (is_open && o->places[id] == 0) {
		o->ids[o->n++] = id;
		o->places[id] = o->n;
	} else if (!is_open && o->places[id] > 0) {
		last = o->ids[--o->n];
		o->ids[o->places[id] - 1] = last;
		o->places[last] = o->places[id];
		o->places[id] = 0;
	}
}

/* --- by address --------------------------------------------------------------------- */

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

static size_t find_edges(const struct join_block *blocks, size_t n, struct edge **ret)
{
	struct edge *edges = NULL;
	size_t n_edges = 0, cap = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < blocks[i].ranges->n; j++) {
			struct bh_addr end = blocks[i].ranges->items[j].last;

			bh_grow(&edges, &cap, n_edges, sizeof(*edges));
			edges[n_edges++] =
				(struct edge){ blocks[i].ranges->items[j].first, i, true };
			if (!bh_addr_next(&end))
				continue; /* reaches the end of the family */
			bh_grow(&edges, &cap, n_edges, sizeof(*edges));
			edges[n_edges++] = (struct edge){ end, i, false };
		}
	}
	if (n_edges)
		bh_sort(edges, n_edges, sizeof(*edges), cmp_edge);
	*ret = edges;
	return n_edges;
}

static bool ports_equal(const struct port_set *a, const struct port_set *b)
{
	if (a->n_ranges != b->n_ranges)
		return false;
	for (size_t i = 0; i < a->n_ranges; i++) {
		const struct port_range *x = &a->ranges[i], *y = &b->ranges[i];

		if (x->protocol != y->protocol || x->first != y->first || x->last != y->last)
			return false;
	}
	return true;
}

/* Takes @ports over; widens the last box where it has the same ports and touches. */
static void add_by_addr(struct joined *j, struct bh_range range, struct port_set ports)
{
	struct range_ports *last = j->n ? &j->items[j->n - 1] : NULL;
	struct bh_addr before = range.first;

	if (last && bh_addr_prev(&before) && bh_addr_eq(&before, &last->range.last) &&
	    ports_equal(&last->ports, &ports)) {
		last->range.last = range.last;
		ports_done(&ports);
		return;
	}
	add_box(j, range, ports);
}

static bool take_work(struct join_limit *limit, size_t n)
{
	if (n > limit->work)
		return false;
	limit->work -= n;
	*limit->spent += n;
	return true;
}

/* False if that would pass the limit of work. */
static bool union_ports(const struct join_block *blocks, const struct open_blocks *o,
			struct join_limit *limit, struct port_set *ret)
{
	size_t n = 0;

	for (size_t k = 0; k < o->n; k++)
		n += blocks[o->ids[k]].ports->n_ranges;
	if (!take_work(limit, n))
		return false;
	for (size_t k = 0; k < o->n; k++)
		ports_union(ret, blocks[o->ids[k]].ports);
	ports_normalise(ret);
	return true;
}

bool join_by_addr(const struct join_block *blocks, size_t n, struct join_limit limit,
		  struct joined *ret)
{
	bh_auto(open_done) struct open_blocks open;
	bh_auto_free struct edge *edges = NULL;
	size_t n_edges = find_edges(blocks, n, &edges), i = 0;

	*ret = (struct joined){ 0 };
	open_init(&open, n);
	while (i < n_edges) {
		struct bh_range range = { .first = edges[i].at };
		struct port_set ports = { 0 };

		for (; i < n_edges && bh_addr_eq(&edges[i].at, &range.first); i++)
			open_set(&open, edges[i].list, edges[i].is_start);
		if (open.n == 0)
			continue;
		if (i < n_edges) {
			range.last = edges[i].at;
			bh_addr_prev(&range.last);
		} else {
			/* Whatever is still open reaches the end of the family. */
			memset(range.last.bytes, 0xff, bh_family_len(range.first.family));
			range.last.family = range.first.family;
		}
		if (!union_ports(blocks, &open, &limit, &ports)) {
			joined_done(ret);
			return false;
		}
		add_by_addr(ret, range, ports);
		if (ret->n_elems > limit.elems) {
			joined_done(ret);
			return false;
		}
	}
	return true;
}

/* --- by port ------------------------------------------------------------------------ */

/* Where a block begins or ends to hold ports: protocol << 17 | port. */
struct port_edge {
	uint32_t at;
	size_t block;
	bool is_start;
};

static int cmp_port_edge(const void *a, const void *b)
{
	const struct port_edge *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static uint32_t port_at(uint8_t protocol, uint32_t port)
{
	return (uint32_t)protocol << 17 | port;
}

static size_t find_port_edges(const struct join_block *blocks, size_t n, struct port_edge **ret)
{
	struct port_edge *edges = NULL;
	size_t n_edges = 0, cap = 0;

	for (size_t i = 0; i < n; i++) {
		const struct port_set *p = blocks[i].ports;

		for (size_t j = 0; j < p->n_ranges && blocks[i].ranges->n; j++) {
			const struct port_range *r = &p->ranges[j];

			bh_grow(&edges, &cap, n_edges + 1, sizeof(*edges));
			edges[n_edges++] =
				(struct port_edge){ port_at(r->protocol, r->first), i, true };
			edges[n_edges++] =
				(struct port_edge){ port_at(r->protocol, (uint32_t)r->last + 1), i,
						    false };
		}
	}
	if (n_edges)
		bh_sort(edges, n_edges, sizeof(*edges), cmp_port_edge);
	*ret = edges;
	return n_edges;
}

/* Ports that are open to the same blocks. */
struct port_class {
	size_t *ids; /* sorted */
	size_t n_ids;
	struct port_set ports;
	struct range_list ranges;
	UT_hash_handle hh;
};

static void classes_done(struct port_class **classes)
{
	struct port_class *c, *next;

	HASH_ITER (hh, *classes, c, next) {
		HASH_DEL(*classes, c);
		free(c->ids);
		ports_done(&c->ports);
		ranges_done(&c->ranges);
		free(c);
	}
}

static int cmp_id(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static struct port_class *class_of(struct port_class **classes, const struct open_blocks *o)
{
	size_t bytes = o->n * sizeof(size_t);
	bh_auto_free size_t *ids = bh_malloc(bytes);
	struct port_class *c;

	memcpy(ids, o->ids, bytes);
	bh_sort(ids, o->n, sizeof(size_t), cmp_id);
	HASH_FIND(hh, *classes, ids, bytes, c);
	if (c)
		return c;
	c = bh_calloc(1, sizeof(*c));
	c->ids = bh_take_ptr(ids);
	c->n_ids = o->n;
	HASH_ADD_KEYPTR(hh, *classes, c->ids, bytes, c);
	return c;
}

static bool find_classes(const struct join_block *blocks, size_t n, struct join_limit *limit,
			 struct port_class **classes)
{
	bh_auto(open_done) struct open_blocks open;
	bh_auto_free struct port_edge *edges = NULL;
	size_t n_edges = find_port_edges(blocks, n, &edges), i = 0;

	open_init(&open, n);
	while (i < n_edges) {
		uint32_t at = edges[i].at;
		struct port_class *c;

		for (; i < n_edges && edges[i].at == at; i++) {
			/* Of ranges that touch, one may end where the same block's next begins. */
			if (!edges[i].is_start)
				open_set(&open, edges[i].block, false);
			else
				open_set(&open, edges[i].block, true);
		}
		if (open.n == 0)
			continue;
		if (!take_work(limit, open.n))
			return false;
		/* Something is open, so its end is still to come. */
		c = class_of(classes, &open);
		ports_add(&c->ports, (uint8_t)(at >> 17), (uint16_t)at,
			  (uint16_t)(edges[i].at - 1));
	}
	return true;
}

/* Calls for each class; false beyond the limit. */
static bool add_class(const struct join_block *blocks, struct port_class *c,
		      struct join_limit *limit, struct joined *ret)
{
	size_t n = 0;

	for (size_t k = 0; k < c->n_ids; k++)
		n += blocks[c->ids[k]].ranges->n;
	if (!take_work(limit, n))
		return false;
	for (size_t k = 0; k < c->n_ids; k++)
		ranges_add_all(&c->ranges, blocks[c->ids[k]].ranges);
	ranges_normalise(&c->ranges);
	ports_normalise(&c->ports);
	if (c->ranges.n * c->ports.n_ranges + ret->n_elems > limit->elems)
		return false;
	for (size_t k = 0; k < c->ranges.n; k++) {
		struct port_set copy = { 0 };

		ports_union(&copy, &c->ports);
		add_box(ret, c->ranges.items[k], copy);
	}
	return true;
}

bool join_by_port(const struct join_block *blocks, size_t n, struct join_limit limit,
		  struct joined *ret)
{
	bh_auto(classes_done) struct port_class *classes = NULL;
	struct port_class *c, *next;

	*ret = (struct joined){ 0 };
	if (!find_classes(blocks, n, &limit, &classes))
		return false;
	HASH_ITER (hh, classes, c, next) {
		if (!add_class(blocks, c, &limit, ret)) {
			joined_done(ret);
			return false;
		}
	}
	return true;
}
