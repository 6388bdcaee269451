/*
 * Random worlds of worldgen.h as if they were read from files, and what the
 * evaluator says of all connections of two ends, asked one by one.
 */
#ifndef BH_SIMGEN_H
#define BH_SIMGEN_H

#include "bh/eval.h"
#include "bh/sim.h"
#include "worldgen.h"

/* --- simulators ------------------------------------------------------------------------- */

struct simgen {
	struct gen gen; /* of the simulator's world */
	struct bh_sim *sim;
};

/* Empty; to be filled and finished. */
static inline void simgen_init(struct simgen *s, uint64_t seed)
{
	gen_begin(&s->gen, seed, BH_SOURCE_MANIFEST);
	s->sim = bh_sim_new(&(struct bh_sim_config){ .world = s->gen.config });
	s->gen.w = bh_sim_world(s->sim);
}

/* The world of that seed after so many things happened to it. */
static inline void simgen_fill(struct simgen *s, uint32_t n_steps)
{
	gen_fill(&s->gen);
	while (n_steps-- > 0)
		gen_step(&s->gen);
}

static inline void simgen_done(struct simgen *s)
{
	bh_sim_free(&s->sim);
	s->gen.w = NULL; /* it was the simulator's */
	gen_done(&s->gen);
}

/* --- pods that there could be ------------------------------------------------------------- */

/*
 * The labels that selectors of the generator can tell apart are few enough to try
 * them all: in the namespaces that there are, and in new ones.
 */
static const char *const simgen_values[] = { NULL, "a", "b", "c", "else" };
#define SIMGEN_LABEL_SETS (BH_ARRAY_LEN(simgen_values) * BH_ARRAY_LEN(simgen_values))
#define SIMGEN_SPACES     (BH_ARRAY_LEN(gen_spaces) + SIMGEN_LABEL_SETS)

static inline struct bh_labels simgen_labels(struct gen *g, size_t set)
{
	struct bh_label *items = bh_arena_array(g->arena, BH_ARRAY_LEN(gen_keys), sizeof(*items));
	struct bh_labels l = { .items = items };
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(gen_keys); i++, set /= BH_ARRAY_LEN(simgen_values)) {
		const char *value = simgen_values[set % BH_ARRAY_LEN(simgen_values)];

		if (value)
			items[l.n++] = (struct bh_label){ gen_keys[i], value };
	}
	return l;
}

static inline const char *simgen_space(struct gen *g, size_t space)
{
	if (space < BH_ARRAY_LEN(gen_spaces))
		return gen_spaces[space];
	return bh_arena_printf(g->arena, "new%zu", space);
}

static inline void simgen_add_spaces(struct gen *g)
{
	size_t i;

	for (i = BH_ARRAY_LEN(gen_spaces); i < SIMGEN_SPACES; i++) {
		struct bh_fact f = { .kind = BH_KIND_NAMESPACE };

		f.ns.name = simgen_space(g, i);
		f.ns.labels = simgen_labels(g, i - BH_ARRAY_LEN(gen_spaces));
		gen_apply(g, &f);
	}
}

static inline const char *simgen_pod_name(struct gen *g, size_t set)
{
	return bh_arena_printf(g->arena, "to-come%zu", set);
}

/* Nobody knows its addresses and ports. */
static inline void simgen_add_pod(struct gen *g, size_t space, size_t set)
{
	struct bh_fact f = { .kind = BH_KIND_POD };

	f.pod = (struct bh_pod){ .namespace = simgen_space(g, space),
				 .name = simgen_pod_name(g, set),
				 .uid = "",
				 .node = "",
				 .labels = simgen_labels(g, set) };
	gen_apply(g, &f);
}

static inline const struct bh_pod *simgen_pod(struct gen *g, size_t space, size_t set)
{
	return bh_world_pod_by_name(g->w, simgen_space(g, space), simgen_pod_name(g, set));
}

/* --- connections of which rules may say something else than of others ------------------ */

#define SIMGEN_MAX_CUTS 512

/*
 * One of each protocol and range of ports between two cuts.  A set of them is
 * a number with a bit for each.
 */
struct simgen_conns {
	size_t n;
	uint8_t protocols[64]; /* IPPROTO_ICMP stands for ICMPv6 too */
	uint16_t ports[64];
	bool is_all; /* else there are more than 64, and these are some of them */
};

struct simgen_cuts {
	uint32_t items[SIMGEN_MAX_CUTS]; /* protocol << 16 | port */
	size_t n;
};

/* @protocol 0: of each. */
static inline void simgen_cut(struct simgen_cuts *cuts, uint8_t protocol, unsigned int port)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(gen_protocols); i++)
		if (port > 0 && port <= UINT16_MAX && cuts->n < SIMGEN_MAX_CUTS &&
		    (!protocol || protocol == gen_protocols[i]))
			cuts->items[cuts->n++] = (uint32_t)gen_protocols[i] << 16 | port;
}

static inline void simgen_cut_rule(struct simgen_cuts *cuts, const struct bh_rule *r)
{
	size_t i;

	for (i = 0; i < r->n_ports; i++) {
		simgen_cut(cuts, r->ports[i].protocol, r->ports[i].first);
		simgen_cut(cuts, r->ports[i].protocol, r->ports[i].last + 1u);
	}
}

static inline void simgen_cut_world(struct simgen_cuts *cuts, const struct bh_world *w)
{
	const struct bh_policy *const *policies;
	const struct bh_pod *const *pods;
	size_t n = bh_world_policies(w, &policies), i, k;
	enum bh_dir d;

	for (i = 0; i < n; i++)
		for (d = 0; d < BH_DIR_COUNT_; d++)
			for (k = 0; k < policies[i]->rules[d].n; k++)
				simgen_cut_rule(cuts, &policies[i]->rules[d].items[k]);
	n = bh_world_pods(w, &pods);
	for (i = 0; i < n; i++)
		for (k = 0; k < pods[i]->n_ports; k++) {
			const struct bh_port *p = &pods[i]->ports[k];

			simgen_cut(cuts, p->protocol, p->number);
			simgen_cut(cuts, p->protocol, p->number + 1u);
		}
}

static inline int simgen_cmp_cuts(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Beyond 64 each has the same chance to stay. */
static inline void simgen_add_conn(struct simgen_conns *c, struct gen *g, size_t n_before,
				   uint8_t protocol, uint32_t port)
{
	size_t at = c->n;

	if (c->n == 64) {
		c->is_all = false;
		at = gen_next(g, (uint32_t)n_before + 1);
		if (at >= 64)
			return;
	} else {
		c->n++;
	}
	c->protocols[at] = protocol;
	c->ports[at] = (uint16_t)port;
}

/* Of each range its first port or its last, as @g has it. */
static inline struct simgen_conns simgen_pick_conns(struct simgen_cuts *cuts, struct gen *g)
{
	struct simgen_conns c = { .is_all = true };
	size_t i, n = 0;

	simgen_cut(cuts, 0, 1);
	bh_sort(cuts->items, cuts->n, sizeof(cuts->items[0]), simgen_cmp_cuts);
	simgen_add_conn(&c, g, n++, IPPROTO_ICMP, 0);
	for (i = 0; i < cuts->n; i++) {
		uint32_t cut = cuts->items[i], next = cut | UINT16_MAX;

		if (i + 1 < cuts->n && cuts->items[i + 1] >> 16 == cut >> 16)
			next = cuts->items[i + 1] - 1;
		if (next >= cut)
			simgen_add_conn(&c, g, n++, (uint8_t)(cut >> 16),
					gen_chance(g, 50) ? cut : next);
	}
	return c;
}

/* Those that are in @set. */
static inline uint64_t simgen_bits(const struct simgen_conns *c, const struct bh_conns *set)
{
	uint64_t bits = 0;
	size_t i;

	for (i = 0; i < c->n; i++)
		bits |= (uint64_t)bh_conns_has(set, c->protocols[i], c->ports[i]) << i;
	return bits;
}

static inline uint64_t simgen_all_bits(const struct simgen_conns *c)
{
	return c->n == 64 ? UINT64_MAX : (UINT64_C(1) << c->n) - 1;
}

/* --- the evaluator, connection by connection -------------------------------------------- */

static inline void simgen_set_conn(const struct simgen_conns *c, size_t i, struct bh_flow *f)
{
	f->protocol = c->protocols[i];
	if (f->protocol == IPPROTO_ICMP && f->src.family == BH_IPV6)
		f->protocol = IPPROTO_ICMPV6;
	f->dst_port = c->ports[i];
}

/* Of the connections in @among those that are allowed, and of these those that audit denies. */
static inline uint64_t simgen_ask(const struct bh_world *w, struct bh_flow f,
				  const struct simgen_conns *c, uint64_t among,
				  uint64_t *ret_audited)
{
	uint64_t allowed = 0, audited = 0;
	size_t i;

	for (i = 0; i < c->n; i++) {
		struct bh_result r;

		if (!(among >> i & 1))
			continue;
		simgen_set_conn(c, i, &f);
		bh_eval(w, &f, &r);
		if (r.verdict == BH_VERDICT_DENIED)
			continue;
		allowed |= UINT64_C(1) << i;
		audited |= (uint64_t)(r.audit_verdict == BH_VERDICT_DENIED) << i;
	}
	*ret_audited = audited;
	return allowed;
}

/* The same of one direction, where audit does not matter. */
static inline uint64_t simgen_ask_dir(const struct bh_world *w, struct bh_flow f, enum bh_dir dir,
				      const struct simgen_conns *c, uint64_t among)
{
	uint64_t allowed = 0;
	size_t i;

	for (i = 0; i < c->n; i++) {
		struct bh_dir_verdict v;

		if (!(among >> i & 1))
			continue;
		simgen_set_conn(c, i, &f);
		bh_eval_dir(w, &f, dir, &v);
		allowed |= (uint64_t)(v.verdict == BH_VERDICT_ALLOWED) << i;
	}
	return allowed;
}

/* "TCP 80" of the first of @bits, for messages. */
static inline const char *simgen_conn_text(const struct simgen_conns *c, uint64_t bits)
{
	static char text[32];
	size_t i = bits ? (size_t)__builtin_ctzll(bits) : 0;

	snprintf(text, sizeof(text), "protocol %u port %u", c->protocols[i], c->ports[i]);
	return text;
}

/* --- addresses outside --------------------------------------------------------------------- */

static inline bool simgen_is_outside(const struct bh_world *w, const struct bh_addr *a)
{
	return !bh_world_pod_by_addr(w, a) && !bh_world_node_by_addr(w, a);
}

#define SIMGEN_MAX_EDGES (4 * BH_ARRAY_LEN(gen_cidrs))

/* First and last addresses of all blocks, and those next to them. */
static inline size_t simgen_edges(struct bh_addr ret[SIMGEN_MAX_EDGES])
{
	size_t i, n = 0;

	for (i = 0; i < BH_ARRAY_LEN(gen_cidrs); i++) {
		struct bh_cidr c;
		struct bh_range r;

		bh_cidr_parse(gen_cidrs[i], &c, NULL);
		r = bh_cidr_range(&c);
		ret[n++] = r.first;
		ret[n++] = r.last;
		if (bh_addr_prev(&r.first))
			ret[n++] = r.first;
		if (bh_addr_next(&r.last))
			ret[n++] = r.last;
	}
	return n;
}

#endif
