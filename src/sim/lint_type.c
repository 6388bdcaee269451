/*
 * Checks of what a policy closes, and of rules that close nothing.
 */
#include "lint_impl.h"

/* Another policy lets the pod do something in that direction. */
static bool has_other_rules(const struct lint *l, const struct bh_policy *p,
			    const struct bh_pod *pod, enum bh_dir dir)
{
	const struct bh_policy *const *policies;
	size_t i, n = bh_world_policies_of(l->w, pod->namespace, &policies);

	for (i = 0; i < n; i++)
		if (policies[i] != p && policies[i]->rules[dir].n > 0 &&
		    bh_world_selects(l->w, policies[i], pod))
			return true;
	return false;
}

/* Another policy isolates it as well, so that this one is not to blame. */
static bool is_isolated_otherwise(const struct lint *l, const struct bh_policy *p,
				  const struct bh_pod *pod, enum bh_dir dir)
{
	const struct bh_policy *const *policies;
	size_t i, n = bh_world_policies_of(l->w, pod->namespace, &policies);

	for (i = 0; i < n; i++)
		if (policies[i] != p && policies[i]->isolates[dir] &&
		    bh_world_selects(l->w, policies[i], pod))
			return true;
	return false;
}

/* A pod that @p alone closes in @dir, with nothing let through. */
static const struct bh_pod *closed_pod(const struct lint *l, const struct bh_policy *p,
				       enum bh_dir dir)
{
	size_t i;

	for (i = 0; i < l->n_pods; i++)
		if (bh_world_selects(l->w, p, l->pods[i]) &&
		    !has_other_rules(l, p, l->pods[i], dir) &&
		    !is_isolated_otherwise(l, p, l->pods[i], dir))
			return l->pods[i];
	return NULL;
}

/* Without policyTypes, Ingress is always among them. */
static void check_default_types(struct lint *l, const struct bh_policy *p)
{
	const struct bh_pod *pod;

	if (p->kind != BH_NETWORK_POLICY || p->has_policy_types || !p->isolates[BH_INGRESS] ||
	    p->rules[BH_INGRESS].n > 0 || p->rules[BH_EGRESS].n == 0)
		return;
	pod = closed_pod(l, p, BH_INGRESS);
	if (pod)
		lint_policy(l, p, 0, "write policyTypes: [Egress], or add ingress rules",
			    "has egress rules only, but without policyTypes it denies all ingress "
			    "as well, of %s for one",
			    lint_pod(l, pod));
}

/* Ingress rules were written, and Egress came along. */
static void check_whole_egress(struct lint *l, const struct bh_policy *p)
{
	const struct bh_pod *pod;

	if (p->kind != BH_NETWORK_POLICY || !p->isolates[BH_EGRESS] || p->rules[BH_EGRESS].n > 0 ||
	    p->rules[BH_INGRESS].n == 0)
		return;
	pod = closed_pod(l, p, BH_EGRESS);
	if (pod)
		lint_policy(l, p, 0, "take Egress out of policyTypes, or add egress rules",
			    "has ingress rules only, but policyTypes lists Egress: %s may not open "
			    "any connection, name resolution included",
			    lint_pod(l, pod));
}

static void check_open(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
		       const struct bh_rule *r)
{
	if (r->action == BH_ALLOW && !r->has_peers && !r->has_ports)
		lint_policy(l, p, r->line,
			    dir == BH_INGRESS ? "add `from` or `ports` if not everything is meant"
					      : "add `to` or `ports` if not everything is meant",
			    "%s allows everything", lint_rule(l, p, dir, r));
}

const struct lint_row lint_type_rows[] = {
	{ .check = { "ingress-closed-by-default", BH_SEVERITY_WARNING,
		     "a policy with egress rules denies all ingress, for want of policyTypes" },
	  .needs_pods = true,
	  .on_policy = check_default_types },
	{ .check = { "egress-closed-whole", BH_SEVERITY_WARNING,
		     "a policy with ingress rules denies all egress" },
	  .needs_pods = true,
	  .on_policy = check_whole_egress },
	{ .check = { "open-rule", BH_SEVERITY_INFO, "a rule allows everything" },
	  .on_rule = check_open },
	{ .check = { .name = NULL } },
};
