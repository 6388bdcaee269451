/*
 * What is left open, so that a simulation must not claim to know it.
 *
 * By the API: policies of one tier and priority are asked in no particular
 * order.  Our engine asks them by name; here is asked whether another order
 * could change the verdict.  The walk is that of eval.c, with sets of verdicts
 * instead of one.  A policy in audit is absent, as for the verdict.
 *
 * By the input: on which node a pod runs.
 */
#include <stdio.h>
#include <string.h>

#include "query.h"

enum { MAY_ALLOW = 1, MAY_DENY = 2 };

struct walk {
	const struct bh_world *w;
	const struct bh_flow *flow;
	enum bh_dir dir;
	const struct bh_policy *const *policies;
	size_t n;
	/* The first two that say different things, and what. */
	struct bh_rule_ref says[2];
	bool has_conflict;
};

static bool word_of(const struct walk *walk, const struct bh_policy *p, struct bh_policy_word *ret)
{
	if (bh_world_policy_mode(walk->w, p) != BH_ENFORCE)
		return false;
	bh_eval_policy(walk->w, walk->flow, walk->dir, p, ret);
	return ret->is_about;
}

static unsigned int verdicts_of_additive(const struct walk *walk)
{
	bool is_isolated = false;
	size_t i;

	for (i = 0; i < walk->n; i++) {
		const struct bh_policy *p = walk->policies[i];
		struct bh_policy_word word;

		if (bh_policy_tier(p) != BH_TIER_NETWORK_POLICY || !word_of(walk, p, &word))
			continue;
		if (word.matches)
			return MAY_ALLOW;
		is_isolated = true;
	}
	return is_isolated ? MAY_DENY : 0;
}

static unsigned int verdicts_from(struct walk *walk, enum bh_tier tier);

static unsigned int verdicts_after(struct walk *walk, enum bh_tier tier)
{
	return tier + 1 == BH_TIER_COUNT_ ? MAY_ALLOW : verdicts_from(walk, tier + 1);
}

static enum bh_action action_of(const struct walk *walk, const struct bh_rule_ref *ref)
{
	return ref->policy->rules[walk->dir].items[ref->rule_index].action;
}

static void note_conflict(struct walk *walk, const struct bh_rule_ref *a,
			  const struct bh_rule_ref *b)
{
	if (walk->has_conflict)
		return;
	walk->has_conflict = true;
	walk->says[0] = *a;
	walk->says[1] = *b;
}

static unsigned int verdicts_of_action(struct walk *walk, enum bh_tier tier, enum bh_action action)
{
	switch (action) {
	case BH_ALLOW: return MAY_ALLOW;
	case BH_DENY: return MAY_DENY;
	case BH_PASS: return verdicts_after(walk, tier);
	case BH_ACTION_COUNT_: break;
	}
	abort();
}

/* Any of the policies of the first priority that has something to say may be the first. */
static unsigned int verdicts_of_order(struct walk *walk, enum bh_tier tier)
{
	struct bh_rule_ref first = { 0 };
	unsigned int verdicts = 0;
	size_t i;

	for (i = 0; i < walk->n; i++) {
		struct bh_rule_ref ref = { .policy = walk->policies[i] };
		struct bh_policy_word word;
		unsigned int more;

		if (bh_policy_tier(ref.policy) != tier)
			continue;
		if (first.policy && ref.policy->priority != first.policy->priority)
			break;
		if (!word_of(walk, ref.policy, &word) || !word.matches)
			continue;
		ref.rule_index = word.rule_index;
		more = verdicts_of_action(walk, tier, action_of(walk, &ref));
		if (!first.policy)
			first = ref;
		else if ((verdicts | more) != verdicts)
			note_conflict(walk, &first, &ref);
		verdicts |= more;
	}
	return first.policy ? verdicts : verdicts_after(walk, tier);
}

static unsigned int verdicts_from(struct walk *walk, enum bh_tier tier)
{
	unsigned int verdicts;

	if (tier != BH_TIER_NETWORK_POLICY)
		return verdicts_of_order(walk, tier);
	verdicts = verdicts_of_additive(walk);
	return verdicts ? verdicts : verdicts_after(walk, tier);
}

static unsigned int verdicts_of_dir(const struct bh_sim *sim, const struct bh_flow *flow,
				    enum bh_dir dir, struct walk *walk)
{
	const struct bh_pod *pod = dir == BH_INGRESS ? flow->dst_pod : flow->src_pod;
	struct bh_dir_verdict v;

	*walk = (struct walk){ .w = sim->world, .flow = flow, .dir = dir };
	bh_eval_dir(sim->world, flow, dir, &v);
	if (!pod || (!bh_reason_has_rule(v.reason) && v.reason != BH_REASON_DEFAULT_DENY &&
		     v.reason != BH_REASON_NOT_ISOLATED))
		return v.verdict == BH_VERDICT_ALLOWED ? MAY_ALLOW : MAY_DENY;
	walk->n = bh_world_policies_of(sim->world, pod->namespace, &walk->policies);
	return verdicts_from(walk, BH_TIER_QUARANTINE);
}

bool sim_is_undecidable(const struct bh_sim *sim, const struct bh_flow *flow, char *why,
			size_t size)
{
	struct walk walks[BH_DIR_COUNT_];
	const struct walk *open = NULL;
	size_t d;

	if (!sim->has_equal_priorities)
		return false;
	for (d = 0; d < BH_DIR_COUNT_; d++) {
		unsigned int v = verdicts_of_dir(sim, flow, (enum bh_dir)d, &walks[d]);

		/* Denied for sure by one end is denied. */
		if (v == MAY_DENY)
			return false;
		if (v == (MAY_ALLOW | MAY_DENY))
			open = &walks[d];
	}
	if (!open)
		return false;
	snprintf(why, size,
		 "%s: %s %s (%s) and %s %s (%s) have the same priority %d, and the API does not "
		 "say which is asked first",
		 bh_dir_str(open->dir), bh_policy_kind_str(open->says[0].policy->kind),
		 open->says[0].policy->name, bh_action_str(action_of(open, &open->says[0])),
		 bh_policy_kind_str(open->says[1].policy->kind), open->says[1].policy->name,
		 bh_action_str(action_of(open, &open->says[1])), open->says[0].policy->priority);
	return true;
}

/* --- where pods run ------------------------------------------------------------------- */

/* A node, or a pod on its network, to a pod: is it the pod's own node? */
static bool may_be_own_node(const struct bh_world *w, const struct bh_result *r)
{
	const struct bh_pod *src = r->src.pod, *dst = r->dst.pod;

	return r->src.entity == BH_ENTITY_NODE && r->dst.entity == BH_ENTITY_POD &&
	       (!*dst->node || (src && !*src->node)) && bh_world_stats(w).n_nodes != 1;
}

/* The verdict if the source were on another node than the pod. */
static enum bh_verdict verdict_elsewhere(const struct bh_world *w, const struct bh_flow *flow,
					 const struct bh_result *result)
{
	struct bh_flow f = *flow;
	struct bh_result r;
	struct bh_pod twin;

	if (result->dir[BH_INGRESS].reason != BH_REASON_OWN_NODE || !flow->src_pod)
		return result->verdict;
	twin = *flow->src_pod;
	twin.node = "\n"; /* no node has this name */
	f.src_pod = &twin;
	bh_eval(w, &f, &r);
	return r.verdict;
}

bool sim_is_node_unknown(const struct bh_sim *sim, const struct bh_flow *flow,
			 const struct bh_result *result, char *why, size_t size)
{
	const struct bh_pod *unknown = result->dst.pod;

	if (!may_be_own_node(sim->world, result) ||
	    verdict_elsewhere(sim->world, flow, result) == BH_VERDICT_ALLOWED)
		return false;
	if (*unknown->node)
		unknown = result->src.pod;
	snprintf(why, size,
		 "nobody says on which node %s/%s runs; a pod's own node is allowed, others are "
		 "denied here",
		 unknown->namespace, unknown->name);
	return true;
}

static int by_order(const void *a, const void *b)
{
	const struct bh_policy *p = *(const struct bh_policy *const *)a;
	const struct bh_policy *q = *(const struct bh_policy *const *)b;

	if (p->tier != q->tier)
		return p->tier < q->tier ? -1 : 1;
	return (p->priority > q->priority) - (p->priority < q->priority);
}

void sim_compare_priorities(struct bh_sim *sim)
{
	const struct bh_policy *const *all;
	size_t i, n_all = bh_world_policies(sim->world, &all), n = 0;
	bh_auto_free const struct bh_policy **ordered = bh_calloc(n_all, sizeof(*ordered));

	for (i = 0; i < n_all; i++)
		if (bh_policy_tier(all[i]) != BH_TIER_NETWORK_POLICY &&
		    all[i]->kind != BH_DEFAULT_DENY && all[i]->kind != BH_QUARANTINE)
			ordered[n++] = all[i];
	if (n)
		bh_sort(ordered, n, sizeof(*ordered), by_order);
	for (i = 1; i < n && !sim->has_equal_priorities; i++)
		sim->has_equal_priorities = by_order(&ordered[i - 1], &ordered[i]) == 0;
}
