/*
 * A random world as lint is asked about it, and the same without what lint found.
 */
#ifndef BH_LINTGEN_H
#define BH_LINTGEN_H

#include "bh/selector.h"
#include "simgen.h"

/* Pods of the input, nodes, addresses outside, and pods that there could be. */
struct lintgen_end {
	struct bh_addr addr;
	const struct bh_pod *pods[2]; /* of either world; NULL if none */
	bool is_to_come;
};

#define LINTGEN_N_TO_COME 20
#define LINTGEN_MAX_ENDS  80

struct lintgen {
	uint64_t seed;
	struct simgen now;      /* that lint is asked about */
	struct simgen sides[2]; /* with pods to come; in the second without what is found */
	struct simgen_conns conns;
	struct lintgen_end ends[LINTGEN_MAX_ENDS];
	size_t n_ends;
	size_t n_found, n_whole; /* so far: rules, policies */
};

/* A finding, as the policy of the input and a rule of it. */
struct lintgen_found {
	const struct bh_policy *policy;
	enum bh_dir dir;
	size_t rule;
	bool is_whole;
	bool is_for_all; /* pods to come, too */
};

/* --- worlds -------------------------------------------------------------------------------- */

/* A policy is there twice, or once more with a rule that nobody else has. */
#define LINTGEN_TWIN       "twin"
#define LINTGEN_OWN_PORT   4444
#define LINTGEN_TWIN_RULES 8

/* A little more than @r: a port more at the end of a range, or nothing excepted. */
static inline struct bh_rule lintgen_widen(struct gen *g, const struct bh_rule *r)
{
	struct bh_policy_port *ports = bh_arena_array(g->arena, r->n_ports, sizeof(*ports));
	struct bh_peer *peers = bh_arena_array(g->arena, r->n_peers, sizeof(*peers));
	struct bh_rule wide = *r;
	size_t i;

	wide.ports = ports;
	wide.peers = peers;
	for (i = 0; i < r->n_ports; i++) {
		ports[i] = r->ports[i];
		if (!ports[i].name && ports[i].last < UINT16_MAX && gen_chance(g, 40))
			ports[i].last++;
	}
	for (i = 0; i < r->n_peers; i++) {
		peers[i] = r->peers[i];
		if (gen_chance(g, 40))
			peers[i].n_except = 0;
	}
	return wide;
}

/* @room is for its ingress rules. */
static inline struct bh_policy lintgen_twin_of(struct gen *g, const struct bh_policy *p,
					       bool has_own, struct bh_rule *room)
{
	static const struct bh_policy_port port = { IPPROTO_TCP, NULL, LINTGEN_OWN_PORT,
						    LINTGEN_OWN_PORT, 0 };
	const struct bh_rules *rules = &p->rules[BH_INGRESS];
	struct bh_policy twin = *p;
	size_t i;

	twin.name = LINTGEN_TWIN;
	if (!has_own)
		return twin;
	for (i = 0; i < rules->n; i++)
		room[i] = lintgen_widen(g, &rules->items[i]);
	room[rules->n] = (struct bh_rule){ .has_ports = true, .ports = &port, .n_ports = 1 };
	twin.rules[BH_INGRESS] = (struct bh_rules){ room, rules->n + 1 };
	return twin;
}

/* Of the first policy that isolates ingress and is valid. */
static inline bool lintgen_add_twin(struct gen *g, bool has_own)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(g->w, &policies), i;
	struct bh_rule room[LINTGEN_TWIN_RULES];

	for (i = 0; i < n; i++) {
		struct bh_fact f = { .kind = BH_KIND_POLICY };

		if (policies[i]->invalid || !policies[i]->isolates[BH_INGRESS])
			continue;
		f.policy = lintgen_twin_of(g, policies[i], has_own, room);
		gen_apply(g, &f);
		return true;
	}
	return false;
}

enum lintgen_twin { LINTGEN_NO_TWIN, LINTGEN_SAME_TWIN, LINTGEN_OTHER_TWIN };

static inline bool lintgen_make(struct simgen *s, uint64_t seed, uint32_t n_steps,
				enum lintgen_twin twin)
{
	bool has_twin = false;

	simgen_init(s, seed);
	s->gen.is_plain = true;
	s->gen.n_pods = 3;
	s->gen.n_policies = 3;
	s->gen.n_spaces = 1;
	simgen_fill(s, n_steps);
	if (twin != LINTGEN_NO_TWIN)
		has_twin = lintgen_add_twin(&s->gen, twin == LINTGEN_OTHER_TWIN);
	bh_sim_finish(s->sim);
	return has_twin;
}

static inline bool lintgen_init(struct lintgen *r, uint64_t seed, uint32_t n_steps,
				enum lintgen_twin twin)
{
	struct simgen_cuts cuts = { .n = 0 };
	bool has_twin = lintgen_make(&r->now, seed, n_steps, twin);

	lintgen_make(&r->sides[0], seed, n_steps, twin);
	lintgen_make(&r->sides[1], seed, n_steps, twin);
	r->seed = seed;
	r->n_ends = 0;
	simgen_cut_world(&cuts, r->now.gen.w);
	r->conns = simgen_pick_conns(&cuts, &r->now.gen);
	return has_twin;
}

static inline void lintgen_done(struct lintgen *r)
{
	simgen_done(&r->now);
	simgen_done(&r->sides[0]);
	simgen_done(&r->sides[1]);
}

/* --- ends --------------------------------------------------------------------------------------
 */

static inline void lintgen_add_end(struct lintgen *r, struct lintgen_end e)
{
	assert_true(r->n_ends < LINTGEN_MAX_ENDS);
	r->ends[r->n_ends++] = e;
}

static inline void lintgen_add_pods(struct lintgen *r)
{
	const struct bh_pod *const *pods;
	size_t n = bh_world_pods(r->now.gen.w, &pods), i, k, side;

	for (i = 0; i < n; i++) {
		struct lintgen_end e = { 0 };

		if (pods[i]->is_host_network || pods[i]->is_finished)
			continue;
		for (side = 0; side < 2; side++)
			e.pods[side] = bh_world_pod_by_name(r->sides[side].gen.w,
							    pods[i]->namespace, pods[i]->name);
		for (k = 0; k < pods[i]->n_addrs; k++) {
			e.addr = pods[i]->addrs[k];
			lintgen_add_end(r, e);
		}
	}
}

static inline void lintgen_add_addrs(struct lintgen *r)
{
	struct bh_addr edges[SIMGEN_MAX_EDGES];
	size_t n = simgen_edges(edges), i;
	enum bh_family f;

	for (i = 0; i < n; i++)
		if (gen_chance(&r->now.gen, 30) && simgen_is_outside(r->now.gen.w, &edges[i]))
			lintgen_add_end(r, (struct lintgen_end){ .addr = edges[i] });
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		lintgen_add_end(r, (struct lintgen_end){ .addr = gen_node_addr(1, f) });
		lintgen_add_end(r, (struct lintgen_end){ .addr = gen_node_addr(2, f) });
	}
}

static inline void lintgen_add_to_come(struct lintgen *r)
{
	struct gen *g = &r->now.gen;
	size_t i, side;

	simgen_add_spaces(&r->sides[0].gen);
	simgen_add_spaces(&r->sides[1].gen);
	for (i = 0; i < LINTGEN_N_TO_COME; i++) {
		/* Every second one where policies are. */
		size_t space = gen_next(g, i % 2 ? g->n_spaces : SIMGEN_SPACES);
		size_t set = gen_next(g, SIMGEN_LABEL_SETS);
		struct lintgen_end e = { .is_to_come = true };

		for (side = 0; side < 2; side++) {
			simgen_add_pod(&r->sides[side].gen, space, set);
			e.pods[side] = simgen_pod(&r->sides[side].gen, space, set);
		}
		lintgen_add_end(r, e);
	}
}

static inline bool lintgen_can_meet(const struct lintgen_end *a, const struct lintgen_end *b)
{
	return a != b && (a->pods[0] || b->pods[0]) &&
	       (a->is_to_come || b->is_to_come || a->addr.family == b->addr.family);
}

/* --- findings -------------------------------------------------------------------------------- */

static inline const struct bh_policy *lintgen_policy_of(const struct lintgen *r,
							const char *subject)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(r->now.gen.w, &policies), i;

	for (i = 0; i < n; i++) {
		const struct bh_policy *p = policies[i];
		bh_auto_free char *name =
			bh_asprintf("%s %s%s%s", bh_policy_kind_str(p->kind), p->namespace,
				    *p->namespace ? "/" : "", p->name);

		if (strcmp(name, subject) == 0)
			return p;
	}
	fail_msg("seed %llu: what is '%s'", (unsigned long long)r->seed, subject);
	return NULL;
}

static inline struct lintgen_found lintgen_found_of(const struct lintgen *r,
						    const struct bh_finding *f)
{
	struct lintgen_found ret = { .policy = lintgen_policy_of(r, f->subject) };

	ret.is_for_all = strstr(f->text, "whatever pods there will be") != NULL;
	ret.is_whole = sscanf(f->text, "ingress rule %zu", &ret.rule) != 1;
	if (ret.is_whole && sscanf(f->text, "egress rule %zu", &ret.rule) == 1) {
		ret.is_whole = false;
		ret.dir = BH_EGRESS;
	}
	return ret;
}

static inline struct bh_lint *lintgen_lint(const struct lintgen *r)
{
	static const char *const check = "redundant";
	const struct bh_lint_config config = { .only = &check, .n_only = 1 };
	struct bh_lint *l = NULL;

	assert_ok(bh_lint_new(&l, r->now.sim, &config, NULL), NULL);
	return l;
}

/* A finding of its own is that there was too much to prove. */
static inline bool lintgen_is_about_policy(const struct bh_finding *f)
{
	return strcmp(f->subject, "input") != 0;
}

static inline bool lintgen_is_finished(const struct bh_lint *l)
{
	const struct bh_finding *f;
	size_t n = bh_lint_findings(l, &f), i;

	for (i = 0; i < n; i++)
		if (!lintgen_is_about_policy(&f[i]))
			return false;
	return true;
}

static inline bool lintgen_is_found(const struct lintgen *r, const struct bh_lint *l,
				    const char *policy, enum bh_dir dir, size_t rule)
{
	const struct bh_finding *f;
	size_t n = bh_lint_findings(l, &f), i;

	for (i = 0; i < n; i++) {
		struct lintgen_found found = { 0 };

		if (!lintgen_is_about_policy(&f[i]))
			continue;
		found = lintgen_found_of(r, &f[i]);
		if (strcmp(found.policy->name, policy) == 0 &&
		    (found.is_whole || (found.dir == dir && found.rule == rule)))
			return true;
	}
	return false;
}

/* --- without them ---------------------------------------------------------------------------- */

static inline void lintgen_remove_policy(struct lintgen *r, const struct bh_policy *p)
{
	const struct bh_key key = { .kind = BH_KIND_POLICY,
				    .source = BH_SOURCE_MANIFEST,
				    .policy_kind = p->kind,
				    .namespace = p->namespace,
				    .name = p->name };

	bh_world_remove(r->sides[1].gen.w, &key);
}

/* The policy of the second world without those of its rules that are marked. */
static inline void lintgen_keep_rules(struct lintgen *r, const struct bh_policy *p,
				      const bool is_gone[BH_DIR_COUNT_][LINTGEN_TWIN_RULES])
{
	struct bh_fact f = { .kind = BH_KIND_POLICY, .policy = *p };
	struct bh_rule rules[BH_DIR_COUNT_][LINTGEN_TWIN_RULES];
	enum bh_dir d;
	size_t i;

	for (d = 0; d < BH_DIR_COUNT_; d++) {
		size_t n = 0;

		for (i = 0; i < p->rules[d].n; i++)
			if (!is_gone[d][i])
				rules[d][n++] = p->rules[d].items[i];
		f.policy.rules[d] = (struct bh_rules){ rules[d], n };
	}
	gen_apply(&r->sides[1].gen, &f);
}

static inline void lintgen_remove_found(struct lintgen *r, const struct bh_lint *l,
					const struct bh_policy *p, bool is_for_all)
{
	bool is_gone[BH_DIR_COUNT_][LINTGEN_TWIN_RULES] = { 0 };
	const struct bh_finding *f;
	size_t n = bh_lint_findings(l, &f), i;

	for (i = 0; i < n; i++) {
		struct lintgen_found found = { 0 };

		if (!lintgen_is_about_policy(&f[i]))
			continue;
		found = lintgen_found_of(r, &f[i]);
		if (found.policy != p || (is_for_all && !found.is_for_all))
			continue;
		if (found.is_whole) {
			lintgen_remove_policy(r, p);
			return;
		}
		is_gone[found.dir][found.rule] = true;
	}
	lintgen_keep_rules(r, p, is_gone);
}

/* All that was found; or what is said to hold for all pods to come. */
static inline void lintgen_remove_all(struct lintgen *r, const struct bh_lint *l, bool is_for_all)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(r->now.gen.w, &policies), i;

	for (i = 0; i < n; i++)
		if (policies[i]->kind != BH_DEFAULT_DENY)
			lintgen_remove_found(r, l, policies[i], is_for_all);
	bh_world_settle(r->sides[1].gen.w);
}

/* --- is it the same ------------------------------------------------------------------------- */

static inline uint64_t lintgen_ask(const struct lintgen *r, size_t side,
				   const struct lintgen_end *src, const struct lintgen_end *dst,
				   uint64_t *ret_audited)
{
	const struct bh_flow f = { .src = src->addr,
				   .dst = dst->addr,
				   .src_pod = src->pods[side],
				   .dst_pod = dst->pods[side] };

	return simgen_ask(r->sides[side].gen.w, f, &r->conns, simgen_all_bits(&r->conns),
			  ret_audited);
}

/* Connections that come out otherwise in the second world. */
static inline uint64_t lintgen_differs(const struct lintgen *r, const struct lintgen_end *src,
				       const struct lintgen_end *dst)
{
	uint64_t audited[2], was = lintgen_ask(r, 0, src, dst, &audited[0]);
	uint64_t is = lintgen_ask(r, 1, src, dst, &audited[1]);

	return (was ^ is) | (audited[0] ^ audited[1]);
}

static inline const char *lintgen_name_of(const struct lintgen_end *e, char text[BH_ADDR_STRLEN])
{
	return e->pods[0] ? e->pods[0]->name : bh_addr_format(&e->addr, text);
}

static inline bool lintgen_is_same(const struct lintgen *r, bool with_to_come, bool must_be)
{
	size_t i, k;

	for (i = 0; i < r->n_ends; i++)
		for (k = 0; k < r->n_ends; k++) {
			const struct lintgen_end *src = &r->ends[i], *dst = &r->ends[k];
			char text[2][BH_ADDR_STRLEN];
			uint64_t bits;

			if (!lintgen_can_meet(src, dst) ||
			    (!with_to_come && (src->is_to_come || dst->is_to_come)))
				continue;
			bits = lintgen_differs(r, src, dst);
			if (bits && must_be)
				fail_msg("seed %llu: %s => %s, %s changed",
					 (unsigned long long)r->seed, lintgen_name_of(src, text[0]),
					 lintgen_name_of(dst, text[1]),
					 simgen_conn_text(&r->conns, bits));
			if (bits)
				return false;
		}
	return true;
}

#endif
