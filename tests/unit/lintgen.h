/*
 * A random world as lint is asked about it, and the same without what lint found.
 */
#ifndef BH_LINTGEN_H
#define BH_LINTGEN_H

#include "bh/selector.h"
#include "simgen.h"
#include "twingen.h"

/* Pods of the input, nodes, addresses outside, and pods that there could be. */
struct lintgen_end {
	struct bh_addr addr;
	const struct bh_pod *pods[2]; /* of either world; NULL if none */
	bool is_to_come;
};

#define LINTGEN_ELSEWHERE 8
#define LINTGEN_MAX_ENDS  128

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

static inline bool lintgen_make(struct simgen *s, uint64_t seed, uint32_t n_steps, enum twin twin)
{
	bool is_for_group = twin == TWIN_OPEN || twin == TWIN_AMONG, has_twin;

	simgen_init(s, seed);
	s->gen.is_plain = true;
	/* Who is for a group of pods matters least where there are few others. */
	s->gen.n_pods = is_for_group ? 1 : 3;
	s->gen.n_policies = is_for_group ? 2 : 3;
	s->gen.n_spaces = 1;
	simgen_fill(s, n_steps);
	has_twin = twin_add(&s->gen, twin);
	bh_sim_finish(s->sim);
	return has_twin;
}

static inline bool lintgen_init(struct lintgen *r, uint64_t seed, uint32_t n_steps, enum twin twin)
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
		if (simgen_is_outside(r->now.gen.w, &edges[i]))
			lintgen_add_end(r, (struct lintgen_end){ .addr = edges[i] });
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		lintgen_add_end(r, (struct lintgen_end){ .addr = gen_node_addr(1, f) });
		lintgen_add_end(r, (struct lintgen_end){ .addr = gen_node_addr(2, f) });
	}
}

static inline void lintgen_add_one_to_come(struct lintgen *r, size_t space, size_t set)
{
	struct lintgen_end e = { .is_to_come = true };
	size_t side;

	for (side = 0; side < 2; side++) {
		simgen_add_pod(&r->sides[side].gen, space, set);
		e.pods[side] = simgen_pod(&r->sides[side].gen, space, set);
	}
	lintgen_add_end(r, e);
}

/* All sets of labels where policies are, and some elsewhere. */
static inline void lintgen_add_to_come(struct lintgen *r)
{
	struct gen *g = &r->now.gen;
	size_t i;

	simgen_add_spaces(&r->sides[0].gen);
	simgen_add_spaces(&r->sides[1].gen);
	for (i = 0; i < SIMGEN_LABEL_SETS; i++)
		lintgen_add_one_to_come(r, 0, i);
	for (i = 0; i < LINTGEN_ELSEWHERE; i++)
		lintgen_add_one_to_come(r, 1 + gen_next(g, SIMGEN_SPACES - 1), 3 * i);
}

/* Pods to come may be several of a kind. */
static inline bool lintgen_can_meet(const struct lintgen_end *a, const struct lintgen_end *b)
{
	if (a->is_to_come || b->is_to_come)
		return true;
	return a != b && (a->pods[0] || b->pods[0]) && a->addr.family == b->addr.family;
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

/* A finding of its own is that there was too much to prove. */
static inline bool lintgen_is_about_policy(const struct bh_finding *f)
{
	return strcmp(f->subject, "input") != 0;
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
				      const bool is_gone[BH_DIR_COUNT_][TWIN_MAX_RULES])
{
	struct bh_fact f = { .kind = BH_KIND_POLICY, .policy = *p };
	struct bh_rule rules[BH_DIR_COUNT_][TWIN_MAX_RULES];
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
	bool is_gone[BH_DIR_COUNT_][TWIN_MAX_RULES] = { 0 };
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
		if (policies[i]->kind != BH_DEFAULT_DENY && policies[i]->kind != BH_QUARANTINE)
			lintgen_remove_found(r, l, policies[i], is_for_all);
	bh_world_settle(r->sides[1].gen.w);
}

/* --- is it the same ------------------------------------------------------------------------- */

static inline uint64_t lintgen_ask(const struct lintgen *r, size_t side,
				   const struct lintgen_end *src, const struct lintgen_end *dst,
				   uint64_t *ret_audited)
{
	struct bh_flow f = { .src = src->addr,
			     .dst = dst->addr,
			     .src_pod = src->pods[side],
			     .dst_pod = dst->pods[side] };
	struct bh_pod other;

	if (src == dst) {
		other = *src->pods[side];
		other.uid = "other";
		f.dst_pod = &other;
	}
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

static inline void lintgen_fail(const struct lintgen *r, const struct lintgen_end *src,
				const struct lintgen_end *dst, uint64_t bits)
{
	char text[2][BH_ADDR_STRLEN];

	fail_msg("seed %llu: %s => %s, %s changed", (unsigned long long)r->seed,
		 lintgen_name_of(src, text[0]), lintgen_name_of(dst, text[1]),
		 simgen_conn_text(&r->conns, bits));
}

/* Of the input; or of pods to come, with some of the addresses. */
static inline bool lintgen_is_asked(struct lintgen *r, bool with_to_come,
				    const struct lintgen_end *src, const struct lintgen_end *dst)
{
	bool is_to_come = src->is_to_come || dst->is_to_come;

	return lintgen_can_meet(src, dst) && is_to_come == with_to_come &&
	       (!is_to_come || (src->pods[0] && dst->pods[0]) || gen_chance(&r->now.gen, 20));
}

static inline bool lintgen_is_same(struct lintgen *r, bool with_to_come, bool must_be)
{
	size_t i, k;

	for (i = 0; i < r->n_ends; i++)
		for (k = 0; k < r->n_ends; k++) {
			const struct lintgen_end *src = &r->ends[i], *dst = &r->ends[k];
			uint64_t bits;

			if (!lintgen_is_asked(r, with_to_come, src, dst))
				continue;
			bits = lintgen_differs(r, src, dst);
			if (bits && must_be)
				lintgen_fail(r, src, dst, bits);
			if (bits)
				return false;
		}
	return true;
}

#endif
