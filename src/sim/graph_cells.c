/*
 * Addresses: each family is cut where a block of a rule begins or ends, and
 * neighbours that are in the same blocks are put together again.
 */
#include <string.h>

#include "graph_impl.h"

struct piece {
	struct bh_addr first;
	uint32_t *matchers;
	size_t n, cap;
};

struct pieces {
	struct piece *items;
	size_t n, cap;
};

static void cut_at(struct pieces *ps, const struct bh_addr *first)
{
	bh_grow(&ps->items, &ps->cap, ps->n, sizeof(*ps->items));
	ps->items[ps->n++] = (struct piece){ .first = *first };
}

static void cut_out(struct pieces *ps, const struct bh_cidr *c)
{
	struct bh_range r = bh_cidr_range(c);

	cut_at(ps, &r.first);
	if (bh_addr_next(&r.last))
		cut_at(ps, &r.last);
}

static int cmp_pieces(const void *a, const void *b)
{
	return bh_addr_cmp(&((const struct piece *)a)->first, &((const struct piece *)b)->first);
}

static bool is_block(const struct bh_g_matcher *m, enum bh_family family)
{
	return m->peer->kind == BH_PEER_CIDR && m->peer->cidr.addr.family == family;
}

static void cut(const struct bh_graph *g, enum bh_family family, struct pieces *ps)
{
	struct bh_addr zero = { .family = (uint8_t)family };
	size_t i, k, n = 0;

	cut_at(ps, &zero);
	for (i = 0; i < g->n_matchers; i++) {
		if (!is_block(&g->matchers[i], family))
			continue;
		cut_out(ps, &g->matchers[i].peer->cidr);
		for (k = 0; k < g->matchers[i].peer->n_except; k++)
			cut_out(ps, &g->matchers[i].peer->except[k]);
	}
	bh_sort(ps->items, ps->n, sizeof(*ps->items), cmp_pieces);
	for (i = 1; i < ps->n; i++)
		if (!bh_addr_eq(&ps->items[i].first, &ps->items[n].first))
			ps->items[++n] = ps->items[i];
	ps->n = n + 1;
}

/* The last piece that begins at or before @a. */
static size_t piece_at(const struct pieces *ps, const struct bh_addr *a)
{
	size_t low = 0, high = ps->n;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (bh_addr_cmp(&ps->items[mid].first, a) <= 0)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static void mark(struct pieces *ps, uint32_t matcher, const struct bh_peer *peer)
{
	struct bh_range r = bh_cidr_range(&peer->cidr);
	size_t i;

	for (i = piece_at(ps, &r.first);
	     i < ps->n && bh_addr_cmp(&ps->items[i].first, &r.last) <= 0; i++) {
		struct piece *p = &ps->items[i];

		if (!bh_peer_has_addr(peer, &p->first))
			continue;
		bh_grow(&p->matchers, &p->cap, p->n, sizeof(*p->matchers));
		p->matchers[p->n++] = matcher;
	}
}

static struct bh_addr last_of(enum bh_family family)
{
	struct bh_addr a = { .family = (uint8_t)family };

	memset(a.bytes, 0xff, bh_family_len(family));
	return a;
}

static void join(struct bh_graph *g, enum bh_family family, const struct pieces *ps)
{
	struct bh_g_cell *cells = bh_arena_array(g->arena, ps->n, sizeof(*cells));
	size_t i, n = 0;

	for (i = 0; i < ps->n; i++) {
		const struct piece *p = &ps->items[i];
		uint32_t matched = bh_g_list_of(g, p->matchers, p->n);

		if (n > 0 && cells[n - 1].matched == matched)
			continue;
		if (n > 0) {
			cells[n - 1].range.last = p->first;
			bh_addr_prev(&cells[n - 1].range.last);
		}
		cells[n++] = (struct bh_g_cell){ .range.first = p->first, .matched = matched };
	}
	cells[n - 1].range.last = last_of(family);
	g->cells[family] = cells;
	g->n_cells[family] = n;
}

static void make_cells_of(struct bh_graph *g, enum bh_family family)
{
	struct pieces ps = { 0 };
	size_t i;

	cut(g, family, &ps);
	for (i = 0; i < g->n_matchers; i++)
		if (is_block(&g->matchers[i], family))
			mark(&ps, (uint32_t)i, g->matchers[i].peer);
	join(g, family, &ps);
	for (i = 0; i < ps.n; i++)
		free(ps.items[i].matchers);
	free(ps.items);
}

void bh_g_make_cells(struct bh_graph *g)
{
	make_cells_of(g, BH_IPV4);
	make_cells_of(g, BH_IPV6);
}

const struct bh_g_cell *bh_g_cell_of(const struct bh_graph *g, const struct bh_addr *a)
{
	const struct bh_g_cell *cells = g->cells[a->family];
	size_t low = 0, high = g->n_cells[a->family];

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (bh_addr_cmp(&cells[mid].range.first, a) <= 0)
			low = mid;
		else
			high = mid;
	}
	return &cells[low];
}
