/*
 * Checks of objects as such: what the decoder said of them, and of the API they
 * are written in.
 */
#include <netinet/in.h>
#include <string.h>

#include "lint_impl.h"

/* --- what the decoder said ---------------------------------------------------------------- */

/*
 * Remarks that are findings of their own, by a part of their text; what is not
 * among them is an invalid object or a questionable field.
 */
static const struct {
	const char *part, *check, *fix;
} remarks[] = {
	{ "must be a strict subset of `cidr`", "except-outside-cidr",
	  "make every part of `except` smaller than `cidr` and inside it" },
	{ "because policyTypes does not list", "rules-without-effect",
	  "add the direction to policyTypes, or remove the rules" },
};

static const char *fix_of(const char *text, const char *check)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(remarks); i++)
		if (strcmp(remarks[i].check, check) == 0 && strstr(text, remarks[i].part))
			return remarks[i].fix;
	return NULL;
}

static const char *check_of(const struct bh_sim_remark *r)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(remarks); i++)
		if (strstr(r->text, remarks[i].part))
			return remarks[i].check;
	return r->is_error ? "invalid-object" : "questionable-field";
}

/* All remarks that belong to the check that runs. */
static void check_remarks(struct lint *l)
{
	const struct bh_sim_remark *r;
	size_t i, n = bh_sim_remarks(l->sim, &r);

	for (i = 0; i < n; i++)
		if (strcmp(check_of(&r[i]), l->check->name) == 0)
			lint_add(l, l->check->severity, r[i].file, r[i].line, r[i].subject,
				 fix_of(r[i].text, l->check->name), "%s", r[i].text);
}

static void check_duplicates(struct lint *l)
{
	const struct bh_sim_duplicate *d;
	size_t i, n = bh_sim_duplicates(l->sim, &d);

	for (i = 0; i < n; i++)
		lint_add(l, l->check->severity, d[i].other_file, d[i].other_line, d[i].subject,
			 "rename one of the two, or remove the earlier",
			 "replaces the one in %s:%d, of which nothing is left",
			 d[i].file ? d[i].file : "the input", d[i].line);
}

/* --- versions and kinds ----------------------------------------------------------------------- */

static void check_api(struct lint *l, const struct bh_policy *p)
{
	if (p->kind == BH_ADMIN_NETWORK_POLICY || p->kind == BH_BASELINE_ADMIN_NETWORK_POLICY)
		lint_policy(l, p, 0,
			    lint_printf(l, "write it as ClusterNetworkPolicy, tier %s",
					bh_tier_str(p->tier)),
			    "policy.networking.k8s.io/v1alpha1 was given up for "
			    "ClusterNetworkPolicy (v1alpha2)");
	else if (p->kind == BH_CLUSTER_NETWORK_POLICY)
		lint_policy(l, p, 0, NULL,
			    "policy.networking.k8s.io/v1alpha2 is an alpha API: clusters may not "
			    "serve it, and it may change");
}

static const struct bh_policy_port *sctp_port(const struct bh_policy *p)
{
	size_t d, i, k;

	for (d = 0; d < BH_DIR_COUNT_; d++)
		for (i = 0; i < p->rules[d].n; i++)
			for (k = 0; k < p->rules[d].items[i].n_ports; k++)
				if (p->rules[d].items[i].ports[k].protocol == IPPROTO_SCTP)
					return &p->rules[d].items[i].ports[k];
	return NULL;
}

/* What a kernel can do is not known here. */
static void check_sctp(struct lint *l, const struct bh_policy *p)
{
	const struct bh_policy_port *port = sctp_port(p);

	if (port)
		lint_policy(l, p, port->line,
			    "load the modules sctp and nf_conntrack (with SCTP) on the nodes",
			    "allows SCTP, which not every kernel and network provider carries");
}

/* --- priorities ------------------------------------------------------------------ */

static const struct bh_pod *common_pod(const struct lint *l, const struct bh_policy *a,
				       const struct bh_policy *b)
{
	size_t i;

	for (i = 0; i < l->n_pods; i++)
		if (bh_world_selects(l->w, a, l->pods[i]) && bh_world_selects(l->w, b, l->pods[i]))
			return l->pods[i];
	return NULL;
}

static bool has_equal_place(const struct bh_policy *a, const struct bh_policy *b)
{
	return a->tier == b->tier && a->priority == b->priority &&
	       a->tier != BH_TIER_NETWORK_POLICY && !b->invalid;
}

static void check_priority(struct lint *l, const struct bh_policy *p)
{
	size_t i;

	for (i = 0; i < l->n_policies && l->policies[i] != p; i++) {
		const struct bh_policy *other = l->policies[i];
		const struct bh_pod *pod;

		if (!has_equal_place(p, other))
			continue;
		pod = common_pod(l, p, other);
		if (!pod)
			continue;
		lint_policy(l, p, 0, "give each a priority of its own",
			    "has priority %d in tier %s as %s has, and both select %s: the API "
			    "leaves their order open (here it is that of their names)",
			    p->priority, bh_tier_str(p->tier), lint_subject(l, other),
			    lint_pod(l, pod));
		return;
	}
}

const struct lint_row lint_object_rows[] = {
	{ .check = { "invalid-object", BH_SEVERITY_ERROR,
		     "the policy is not valid: it isolates its pods and allows nothing" },
	  .on_world = check_remarks },
	{ .check = { "except-outside-cidr", BH_SEVERITY_ERROR,
		     "a part of `except` is not inside its `cidr`" },
	  .on_world = check_remarks },
	{ .check = { "rules-without-effect", BH_SEVERITY_WARNING,
		     "rules of a direction that policyTypes does not list" },
	  .on_world = check_remarks },
	{ .check = { "questionable-field", BH_SEVERITY_WARNING,
		     "a field that is not what it looks like" },
	  .on_world = check_remarks },
	{ .check = { "duplicate-name", BH_SEVERITY_ERROR,
		     "two objects of one kind and name: the later replaces the earlier" },
	  .on_world = check_duplicates },
	{ .check = { "alpha-api", BH_SEVERITY_INFO,
		     "the policy is of an API version that is alpha, or was given up" },
	  .on_policy = check_api },
	{ .check = { "sctp", BH_SEVERITY_INFO, "a rule allows SCTP, which needs support" },
	  .on_policy = check_sctp },
	{ .check = { "equal-priority", BH_SEVERITY_WARNING,
		     "two policies of one tier and priority select the same pod" },
	  .needs_pods = true,
	  .on_policy = check_priority },
	{ .check = { .name = NULL } },
};
