/*
 * Two random worlds, who is who in them, and what the evaluator says of each
 * pair in either.
 */
#ifndef BH_DUEL_H
#define BH_DUEL_H

#include "simgen.h"

struct duel_side {
	struct simgen gen;
	const struct bh_world *w;
	struct bh_graph *graph;
};

/* Something that is in one of the worlds or in both, see diff_ends.c. */
struct duel_end {
	const struct bh_graph_peer *peers[2]; /* NULL where it is not */
	const char *label;                    /* NULL: the address */
	struct bh_addr addr;                  /* outside in both */
};

#define DUEL_MAX_ENDS 128

struct duel {
	uint64_t seed;
	struct duel_side sides[2];
	struct simgen_conns conns;
	bool has_family[BH_FAMILY_COUNT_]; /* else made-up addresses of it do not count */
	struct bh_graph_diff *diff, *back; /* from the first to the second, and back */
	struct duel_end ends[DUEL_MAX_ENDS];
	size_t n_ends;
};

/* What the evaluator says of two ends in one of the worlds; each a set of connections. */
struct duel_word {
	uint64_t allowed, audited, only[BH_FAMILY_COUNT_];
};

/* --- who is who ---------------------------------------------------------------------------- */

static inline void duel_add_end(struct duel *d, struct duel_end e)
{
	assert_true(d->n_ends < DUEL_MAX_ENDS);
	d->ends[d->n_ends++] = e;
}

static inline size_t duel_n_members(const struct bh_graph_peer *p)
{
	return p->kind == BH_GRAPH_NODE ? p->n_nodes : p->n_pods;
}

static inline const char *duel_member(const struct bh_graph_peer *p, size_t i)
{
	return p->kind == BH_GRAPH_NODE ? p->nodes[i]->name : p->pods[i]->name;
}

static inline bool duel_has_common(const struct bh_graph_peer *a, const struct bh_graph_peer *b)
{
	size_t i, k;

	for (i = 0; i < duel_n_members(a); i++)
		for (k = 0; k < duel_n_members(b); k++)
			if (strcmp(duel_member(a, i), duel_member(b, k)) == 0)
				return true;
	return false;
}

static inline bool duel_is_one(const struct bh_graph_peer *a, const struct bh_graph_peer *b)
{
	if (a->kind != b->kind || a->kind == BH_GRAPH_NODE)
		return a->kind == b->kind;
	return strcmp(a->workload->kind, b->workload->kind) == 0 &&
	       strcmp(a->workload->name, b->workload->name) == 0 &&
	       strcmp(a->workload->namespace, b->workload->namespace) == 0;
}

/* Both are of one workload; parts are the same if they have a pod in common. */
static inline bool duel_is_same(const struct bh_graph_peer *a, const struct bh_graph_peer *b)
{
	if (!duel_is_one(a, b))
		return false;
	return (a->kind == BH_GRAPH_WORKLOAD && (!a->is_part || !b->is_part)) ||
	       duel_has_common(a, b);
}

static inline const char *duel_label_of(const struct bh_graph_peer *a,
					const struct bh_graph_peer *b)
{
	if (a->is_part != b->is_part)
		return a->is_part ? a->label : b->label;
	return duel_n_members(a) < duel_n_members(b) ? a->label : b->label;
}

/* Peers of one world for which there is none in the other. */
static inline void duel_add_single(struct duel *d, size_t side, const struct bh_graph_peer *p)
{
	struct duel_end e = { .label = p->label };
	size_t i;

	for (i = 0; i < d->n_ends; i++)
		if (d->ends[i].peers[side] == p)
			return;
	e.peers[side] = p;
	duel_add_end(d, e);
}

static inline void duel_add_members(struct duel *d)
{
	const struct bh_graph_peer *a, *b;
	size_t n = bh_graph_peers(d->sides[0].graph, &a), n_b, i, k;

	n_b = bh_graph_peers(d->sides[1].graph, &b);
	for (i = 0; i < n; i++)
		for (k = 0; k < n_b; k++)
			if (a[i].kind != BH_GRAPH_EXTERNAL && duel_is_same(&a[i], &b[k]))
				duel_add_end(d, (struct duel_end){
							.peers = { &a[i], &b[k] },
							.label = duel_label_of(&a[i], &b[k]) });
	for (i = 0; i < n; i++)
		if (a[i].kind != BH_GRAPH_EXTERNAL)
			duel_add_single(d, 0, &a[i]);
	for (k = 0; k < n_b; k++)
		if (b[k].kind != BH_GRAPH_EXTERNAL)
			duel_add_single(d, 1, &b[k]);
}

/* Both worlds are looked at in the families that one of them shows. */
static inline void duel_find_families(struct duel *d)
{
	const struct bh_graph_peer *p;
	size_t side, i;

	for (side = 0; side < 2; side++)
		for (i = bh_graph_peers(d->sides[side].graph, &p); i-- > 0;)
			if (p[i].kind == BH_GRAPH_EXTERNAL)
				d->has_family[p[i].range.first.family] = true;
}

static inline bool duel_is_outside(const struct duel *d, const struct bh_addr *a)
{
	return simgen_is_outside(d->sides[0].w, a) && simgen_is_outside(d->sides[1].w, a);
}

static inline void duel_add_addrs(struct duel *d)
{
	struct bh_addr edges[SIMGEN_MAX_EDGES];
	size_t n = simgen_edges(edges), i;

	for (i = 0; i < n; i++)
		if (duel_is_outside(d, &edges[i]))
			duel_add_end(d, (struct duel_end){ .addr = edges[i] });
}

/* --- what the evaluator says --------------------------------------------------------------- */

/* One pod, node or address. */
struct duel_one {
	const struct bh_pod *pod;
	const struct bh_node *node; /* of a node, or of a pod on the host's network */
	const struct bh_addr *addrs;
	size_t n_addrs;
};

static inline size_t duel_n_ones(const struct duel_end *e, size_t side)
{
	if (!e->label)
		return 1;
	return e->peers[side] ? duel_n_members(e->peers[side]) : 0;
}

static inline struct duel_one duel_one_of(const struct duel *d, const struct duel_end *e,
					  size_t side, size_t i)
{
	const struct bh_graph_peer *p = e->peers[side];
	struct duel_one o = { .addrs = &e->addr, .n_addrs = 1 };

	if (!e->label)
		return o;
	if (p->kind == BH_GRAPH_NODE)
		o.node = p->nodes[i];
	else
		o.pod = p->pods[i];
	if (o.pod && o.pod->is_host_network)
		o.node = bh_world_node(d->sides[side].w, o.pod->node);
	o.addrs = o.node ? o.node->addrs : o.pod->addrs;
	o.n_addrs = o.node ? o.node->n_addrs : o.pod->n_addrs;
	return o;
}

static inline bool duel_is_subject(const struct duel_one *o)
{
	return o->pod && !o->node;
}

/* Of connections that policy is not about nothing is listed. */
static inline bool duel_is_about(const struct duel_one *src, const struct duel_one *dst)
{
	return (duel_is_subject(src) || duel_is_subject(dst)) &&
	       (!src->pod || src->pod != dst->pod);
}

static inline bool duel_is_own_node(const struct duel_one *src, const struct duel_one *dst)
{
	return src->node && duel_is_subject(dst) && strcmp(src->node->name, dst->pod->node) == 0;
}

struct duel_families {
	uint64_t allowed[BH_FAMILY_COUNT_], audited;
	bool has[BH_FAMILY_COUNT_];
};

static inline void duel_ask_flow(const struct duel *d, size_t side, const struct duel_one *src,
				 const struct duel_one *dst, const struct bh_addr *a,
				 const struct bh_addr *b, struct duel_families *ret)
{
	const struct bh_flow f = { .src = *a, .dst = *b, .src_pod = src->pod, .dst_pod = dst->pod };
	uint64_t audited;

	ret->has[a->family] = true;
	ret->allowed[a->family] |=
		simgen_ask(d->sides[side].w, f, &d->conns, simgen_all_bits(&d->conns), &audited);
	ret->audited |= audited;
}

/* Two pods that have no family in common are judged without addresses. */
static inline struct duel_word duel_ask_ones(const struct duel *d, size_t side,
					     const struct duel_one *src, const struct duel_one *dst)
{
	static const struct bh_addr nothing;
	struct duel_families all = { 0 };
	struct duel_word w = { 0 };
	size_t i, k, f;

	for (i = 0; i < src->n_addrs; i++)
		for (k = 0; k < dst->n_addrs; k++)
			if (src->addrs[i].family == dst->addrs[k].family &&
			    d->has_family[src->addrs[i].family])
				duel_ask_flow(d, side, src, dst, &src->addrs[i], &dst->addrs[k],
					      &all);
	if (!all.has[BH_IPV4] && !all.has[BH_IPV6] && (src->pod || src->node) &&
	    (dst->pod || dst->node))
		duel_ask_flow(d, side, src, dst, &nothing, &nothing, &all);
	w.allowed = all.allowed[BH_IPV4] | all.allowed[BH_IPV6];
	w.audited = all.audited;
	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		if (all.has[!f])
			w.only[f] = all.allowed[f] & ~all.allowed[!f];
	return w;
}

/* A pod that is a part in one world and with others in the other has none to connect to. */
static inline bool duel_is_alone(const struct duel_end *e)
{
	size_t i;

	for (i = 0; e->label && e->peers[0] && e->peers[1] && i < 2; i++)
		if (e->peers[i]->is_part && e->peers[i]->n_pods == 1 && !e->peers[!i]->is_part)
			return true;
	return false;
}

/*
 * All pairs of the two are judged alike, or they would be parts; only a node and
 * a pod of its own are not, of which lists tell where there are no others.
 */
static inline struct duel_word duel_ask_ends(const struct duel *d, size_t side,
					     const struct duel_end *src, const struct duel_end *dst)
{
	struct duel_word ret = { 0 };
	bool has_other = false;
	size_t i, k;

	if (src == dst && duel_is_alone(src))
		return ret;
	for (i = 0; i < duel_n_ones(src, side); i++)
		for (k = 0; k < duel_n_ones(dst, side); k++) {
			struct duel_one a = duel_one_of(d, src, side, i),
					b = duel_one_of(d, dst, side, k);
			bool is_own = duel_is_own_node(&a, &b);
			struct duel_word w;

			if (!duel_is_about(&a, &b) || (is_own && has_other))
				continue;
			w = duel_ask_ones(d, side, &a, &b);
			if (has_other && memcmp(&w, &ret, sizeof(w)) != 0)
				fail_msg("seed %llu: pods of %s or %s are not alike",
					 (unsigned long long)d->seed, src->label, dst->label);
			has_other |= !is_own;
			ret = w;
		}
	return ret;
}

/* --- making them --------------------------------------------------------------------------- */

static inline void duel_side(struct duel *d, size_t i, uint64_t seed, uint32_t n_steps)
{
	struct duel_side *s = &d->sides[i];

	simgen_init(&s->gen, seed);
	s->gen.gen.has_workloads = true;
	s->gen.gen.is_ipv4_only = seed % 4 == 0;
	simgen_fill(&s->gen, n_steps);
	bh_sim_finish(s->gen.sim);
	s->w = s->gen.gen.w;
}

/* The world of that seed after so many steps, and after some more. */
static inline void duel_init(struct duel *d, uint64_t seed, uint32_t n_steps, uint32_t n_more)
{
	struct simgen_cuts cuts = { .n = 0 };

	*d = (struct duel){ .seed = seed };
	duel_side(d, 0, seed, n_steps);
	duel_side(d, 1, seed, n_steps + n_more);
	simgen_cut_world(&cuts, d->sides[0].w);
	simgen_cut_world(&cuts, d->sides[1].w);
	d->conns = simgen_pick_conns(&cuts, &d->sides[1].gen.gen);
	bh_graph_new_two(d->sides[0].gen.sim, d->sides[1].gen.sim, &d->sides[0].graph,
			 &d->sides[1].graph);
	d->diff = bh_graph_diff_new(d->sides[0].graph, d->sides[1].graph);
	d->back = bh_graph_diff_new(d->sides[1].graph, d->sides[0].graph);
	duel_find_families(d);
	duel_add_members(d);
	duel_add_addrs(d);
}

static inline void duel_done(struct duel *d)
{
	size_t i;

	bh_graph_diff_free(&d->diff);
	bh_graph_diff_free(&d->back);
	for (i = 0; i < 2; i++) {
		bh_graph_free(&d->sides[i].graph);
		simgen_done(&d->sides[i].gen);
	}
}

#endif
