/*
 * Checks of whom a policy is about.
 */
#include <string.h>

#include "bh/selector.h"
#include "lint_impl.h"

static bool is_in_scope(const struct lint *l, const struct bh_policy *p, const char *ns)
{
	if (!p->has_namespaces)
		return strcmp(p->namespace, ns) == 0;
	return bh_selector_matches(&p->namespaces, &bh_world_namespace(l->w, ns)->labels);
}

static void check_namespace(struct lint *l, const struct bh_policy *p)
{
	if (!p->has_namespaces && lint_is_unknown(l, p->namespace))
		lint_policy(l, p, 0, "correct metadata.namespace, or add the Namespace",
			    "no Namespace of the input is called %s and no pod lives in it",
			    p->namespace);
}

static void check_selects(struct lint *l, const struct bh_policy *p)
{
	size_t i;

	if (!p->has_namespaces && lint_is_unknown(l, p->namespace))
		return; /* is said by check_namespace() */
	if (p->has_namespaces && lint_namespaces(l, &p->namespaces) == 0) {
		lint_policy(l, p, 0, "correct the selector of namespaces, or remove the policy",
			    "selects no namespace (%s)", lint_selector(l, &p->namespaces));
		return;
	}
	for (i = 0; i < l->n_pods; i++)
		if (is_in_scope(l, p, l->pods[i]->namespace) &&
		    bh_selector_matches(&p->pods, &l->pods[i]->labels))
			return; /* one that policy is not about counts elsewhere */
	lint_policy(l, p, 0, "correct the podSelector, or remove the policy",
		    "selects no pod (podSelector %s)", lint_selector(l, &p->pods));
}

/* A selector for everybody is seldom meant for the host's own pods. */
static void check_host_network(struct lint *l, const struct bh_policy *p)
{
	size_t i, n = 0, first = 0;

	for (i = 0; i < l->n_pods && p->pods.n_reqs; i++) {
		if (!l->pods[i]->is_host_network || l->pods[i]->is_finished ||
		    !is_in_scope(l, p, l->pods[i]->namespace) ||
		    !bh_selector_matches(&p->pods, &l->pods[i]->labels))
			continue;
		if (n++ == 0)
			first = i;
	}
	if (n)
		lint_policy(l, p, 0,
			    "restrict the node itself, or take the pod off the host's network",
			    "says nothing to %zu host-network pod%s that it selects, such as %s", n,
			    n == 1 ? "" : "s", lint_pod(l, l->pods[first]));
}

static void check_input(struct lint *l)
{
	if (!l->has_pods && l->n_policies)
		lint_add(l, l->check->severity, NULL, 0, "input",
			 "give the manifests of the workloads, too",
			 "there are no pods or workloads: checks that need them were left out");
}

const struct lint_row lint_select_rows[] = {
	{ .check = { "unknown-namespace", BH_SEVERITY_WARNING,
		     "the policy is in a namespace that does not exist" },
	  .needs_pods = true,
	  .on_policy = check_namespace },
	{ .check = { "selects-no-pod", BH_SEVERITY_WARNING, "the policy selects no pod" },
	  .needs_pods = true,
	  .on_policy = check_selects },
	{ .check = { "host-network-selected", BH_SEVERITY_WARNING,
		     "the policy selects pods on the host's network, which it cannot restrict" },
	  .needs_pods = true,
	  .on_policy = check_host_network },
	{ .check = { "no-workloads", BH_SEVERITY_INFO,
		     "the input has policies and nothing that they could be about" },
	  .on_world = check_input },
	{ .check = { .name = NULL } },
};
