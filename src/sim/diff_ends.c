/*
 * Who is who in two worlds.
 *
 * Workloads are the same by kind, namespace and name.  Where policies part the
 * pods of one in one of the worlds, the parts are looked at; where in both,
 * those that have a pod in common.  Ranges of addresses are cut where either
 * world cuts them.
 */
#include <string.h>

#include "diff_impl.h"

static void add_end(struct bh_graph_diff *d, uint32_t before, uint32_t after, const char *label)
{
	bh_grow(&d->ends, &d->cap_ends, d->n_ends, sizeof(*d->ends));
	d->ends[d->n_ends++] = (struct bh_d_end){
		.before = before, .after = after, .label = label, .is_src = true, .is_dst = true
	};
}

/* --- workloads and nodes -------------------------------------------------------------------- */

struct parts {
	uint32_t *items;
	size_t n, cap;
};

/* The peers of one workload, or all peers that are nodes. */
struct same {
	char *key;
	struct parts parts[2]; /* before, after */
	UT_hash_handle hh;
};

static const struct bh_graph_peer *peer_of(const struct bh_graph_diff *d, bool is_after, uint32_t i)
{
	return &(is_after ? d->after : d->before)->peers[i].pub;
}

static size_t n_members(const struct bh_graph_peer *p)
{
	return p->kind == BH_GRAPH_NODE ? p->n_nodes : p->n_pods;
}

static const char *member(const struct bh_graph_peer *p, size_t i)
{
	return p->kind == BH_GRAPH_NODE ? p->nodes[i]->name : p->pods[i]->name;
}

static bool has_common(const struct bh_graph_peer *a, const struct bh_graph_peer *b)
{
	size_t i, k;

	for (i = 0; i < n_members(a); i++)
		for (k = 0; k < n_members(b); k++)
			if (strcmp(member(a, i), member(b, k)) == 0)
				return true;
	return false;
}

/* Of two that are the same in part, the smaller one has the better name. */
static const char *better_label(const struct bh_graph_peer *a, const struct bh_graph_peer *b)
{
	if (a->is_part != b->is_part)
		return a->is_part ? a->label : b->label;
	return n_members(a) < n_members(b) ? a->label : b->label;
}

/* Names of pods change from day to day: they are asked where both worlds have parts. */
static bool is_same(const struct same *s, const struct bh_graph_peer *a,
		    const struct bh_graph_peer *b)
{
	if (a->kind == BH_GRAPH_WORKLOAD && (s->parts[0].n == 1 || s->parts[1].n == 1))
		return true;
	return has_common(a, b);
}

static void pair_parts(struct bh_graph_diff *d, const struct same *s)
{
	bool *is_paired = bh_calloc(s->parts[1].n + 1, sizeof(*is_paired));
	size_t i, k;

	for (i = 0; i < s->parts[0].n; i++) {
		uint32_t before = s->parts[0].items[i];
		const struct bh_graph_peer *a = peer_of(d, false, before);
		bool is_gone = true;

		for (k = 0; k < s->parts[1].n; k++) {
			uint32_t after = s->parts[1].items[k];
			const struct bh_graph_peer *b = peer_of(d, true, after);

			if (!is_same(s, a, b))
				continue;
			add_end(d, before, after, better_label(a, b));
			is_paired[k] = true;
			is_gone = false;
		}
		if (is_gone)
			add_end(d, before, BH_D_NONE, a->label);
	}
	for (k = 0; k < s->parts[1].n; k++)
		if (!is_paired[k])
			add_end(d, BH_D_NONE, s->parts[1].items[k],
				peer_of(d, true, s->parts[1].items[k])->label);
	free(is_paired);
}

static void note_workload(struct bh_graph_diff *d, const struct same *s)
{
	bool is_new = s->parts[0].n == 0;

	if (s->parts[0].n > 0 && s->parts[1].n > 0)
		return;
	bh_grow(&d->workloads[is_new], &d->cap_workloads[is_new], d->n_workloads[is_new],
		sizeof(*d->workloads[is_new]));
	d->workloads[is_new][d->n_workloads[is_new]++] = bh_arena_strdup(d->arena, s->key);
}

static void collect(struct bh_graph_diff *d, bool is_after, struct same **all)
{
	const struct bh_graph *g = is_after ? d->after : d->before;
	uint32_t i;

	for (i = 0; i < g->n_peers; i++) {
		const struct bh_graph_peer *p = &g->peers[i].pub;
		bh_auto(bh_buf_done) struct bh_buf key = { 0 };
		struct parts *parts;
		struct same *s;

		if (p->kind == BH_GRAPH_EXTERNAL)
			continue;
		if (p->kind == BH_GRAPH_WORKLOAD)
			bh_sim_workload_label(p->workload, &key);
		HASH_FIND(hh, *all, bh_buf_str(&key), (unsigned int)key.len, s);
		if (!s) {
			s = bh_calloc(1, sizeof(*s));
			s->key = bh_strdup(bh_buf_str(&key));
			HASH_ADD_KEYPTR(hh, *all, s->key, (unsigned int)key.len, s);
		}
		parts = &s->parts[is_after];
		bh_grow(&parts->items, &parts->cap, parts->n, sizeof(*parts->items));
		parts->items[parts->n++] = i;
	}
}

static void make_members(struct bh_graph_diff *d)
{
	struct same *all = NULL, *s, *next;

	collect(d, false, &all);
	collect(d, true, &all);
	HASH_ITER (hh, all, s, next) {
		pair_parts(d, s);
		if (*s->key)
			note_workload(d, s);
		HASH_DEL(all, s);
		free(s->key);
		free(s->parts[0].items);
		free(s->parts[1].items);
		free(s);
	}
}

/* --- addresses ------------------------------------------------------------------- */

const char *bh_d_range_label(struct bh_graph_diff *d, const struct bh_range *r)
{
	char first[BH_ADDR_STRLEN], last[BH_ADDR_STRLEN];

	return bh_arena_printf(d->arena, "%s-%s[External]", bh_addr_format(&r->first, first),
			       bh_addr_format(&r->last, last));
}

static struct bh_addr later(const struct bh_addr *a, const struct bh_addr *b)
{
	return bh_addr_cmp(a, b) > 0 ? *a : *b;
}

static struct bh_addr earlier(const struct bh_addr *a, const struct bh_addr *b)
{
	return bh_addr_cmp(a, b) < 0 ? *a : *b;
}

struct ranges {
	uint32_t *items; /* peers, by first address */
	size_t n, cap;
};

static int cmp_ranges(const void *a, const void *b, void *ctx)
{
	const struct bh_graph *g = ctx;

	return bh_addr_cmp(&g->peers[*(const uint32_t *)a].pub.range.first,
			   &g->peers[*(const uint32_t *)b].pub.range.first);
}

static void find_ranges(struct bh_graph *g, bool is_src, struct ranges *ret)
{
	uint32_t i;

	for (i = 0; i < g->n_peers; i++) {
		const struct bh_graph_peer *p = &g->peers[i].pub;

		if (p->kind != BH_GRAPH_EXTERNAL || !(is_src ? p->is_src : p->is_dst))
			continue;
		bh_grow(&ret->items, &ret->cap, ret->n, sizeof(*ret->items));
		ret->items[ret->n++] = i;
	}
	if (ret->n > 0)
		qsort_r(ret->items, ret->n, sizeof(*ret->items), cmp_ranges, g);
}

/* Addresses that are outside in one world only say nothing: there they are somebody's. */
static void make_ranges(struct bh_graph_diff *d, bool is_src)
{
	struct ranges before = { 0 }, after = { 0 };
	size_t i = 0, k = 0;

	find_ranges(d->before, is_src, &before);
	find_ranges(d->after, is_src, &after);
	while (i < before.n && k < after.n) {
		const struct bh_range *a = &peer_of(d, false, before.items[i])->range;
		const struct bh_range *b = &peer_of(d, true, after.items[k])->range;
		struct bh_range both = { later(&a->first, &b->first), earlier(&a->last, &b->last) };

		if (bh_addr_cmp(&both.first, &both.last) <= 0) {
			add_end(d, before.items[i], after.items[k], bh_d_range_label(d, &both));
			d->ends[d->n_ends - 1].is_external = true;
			d->ends[d->n_ends - 1].is_src = is_src;
			d->ends[d->n_ends - 1].is_dst = !is_src;
			d->ends[d->n_ends - 1].range = both;
		}
		if (bh_addr_cmp(&a->last, &b->last) <= 0)
			i++;
		else
			k++;
	}
	free(before.items);
	free(after.items);
}

void bh_d_make_ends(struct bh_graph_diff *d)
{
	make_members(d);
	make_ranges(d, true);
	make_ranges(d, false);
}
