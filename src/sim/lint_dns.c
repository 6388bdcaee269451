/*
 * Checks of name resolution: a policy that restricts egress cuts it off unless
 * another rule lets it through, and then everything looks down.
 */
#include <netinet/in.h>
#include <string.h>

#include "lint_impl.h"

#define DNS_PORT 53

/* Servers of the input, by the labels that every distribution gives them. */
static bool is_dns_server(const struct bh_pod *pod)
{
	const char *app = bh_labels_get(&pod->labels, "k8s-app");
	const char *name = bh_labels_get(&pod->labels, "app.kubernetes.io/name");

	return (app && (strcmp(app, "kube-dns") == 0 || strcmp(app, "coredns") == 0)) ||
	       (name && strcmp(name, "coredns") == 0);
}

static bool reaches(const struct lint *l, const struct bh_pod *pod, const struct bh_pod *server,
		    uint8_t protocol)
{
	struct bh_flow f = {
		.protocol = protocol, .dst_port = DNS_PORT, .src_pod = pod, .dst_pod = server
	};
	struct bh_dir_verdict v;

	if (pod->n_addrs)
		f.src = pod->addrs[0];
	if (server->n_addrs)
		f.dst = server->addrs[0];
	bh_eval_dir(l->w, &f, BH_EGRESS, &v);
	return v.verdict == BH_VERDICT_ALLOWED;
}

static bool allows_dns_port(const struct bh_rule *r, uint8_t protocol)
{
	size_t i;

	if (r->action != BH_ALLOW)
		return false;
	for (i = 0; i < r->n_ports; i++) {
		const struct bh_policy_port *p = &r->ports[i];

		/* A name may well be that of the DNS port. */
		if ((!p->protocol || p->protocol == protocol) &&
		    (p->name || (p->first <= DNS_PORT && p->last >= DNS_PORT)))
			return true;
	}
	return !r->has_ports;
}

/*
 * Where the servers are not in the input: whether some rule lets the pod out to
 * their port at all.
 */
static bool may_reach_somebody(const struct lint *l, const struct bh_pod *pod, uint8_t protocol)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies_of(l->w, pod->namespace, &policies), i, k;

	for (i = 0; i < n; i++)
		for (k = 0; k < policies[i]->rules[BH_EGRESS].n &&
			    bh_world_selects(l->w, policies[i], pod);
		     k++)
			if (allows_dns_port(&policies[i]->rules[BH_EGRESS].items[k], protocol))
				return true;
	return false;
}

static bool can_resolve(const struct lint *l, const struct bh_pod *pod, uint8_t protocol)
{
	bool has_servers = false;
	size_t i;

	for (i = 0; i < l->n_pods; i++) {
		if (!is_dns_server(l->pods[i]))
			continue;
		has_servers = true;
		if (reaches(l, pod, l->pods[i], protocol))
			return true;
	}
	return !has_servers && may_reach_somebody(l, pod, protocol);
}

/*
 * The policy to tell: one that isolates the pod's egress and lets something
 * through.  A pod that may talk to nobody needs no names.
 */
static const struct bh_policy *restricting(const struct lint *l, const struct bh_pod *pod)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies_of(l->w, pod->namespace, &policies), i;

	for (i = 0; i < n; i++)
		if (policies[i]->isolates[BH_EGRESS] && policies[i]->rules[BH_EGRESS].n > 0 &&
		    bh_world_selects(l->w, policies[i], pod))
			return policies[i];
	return NULL;
}

static bool is_cut_off(const struct lint *l, const struct bh_pod *pod)
{
	return !is_dns_server(pod) && !can_resolve(l, pod, IPPROTO_UDP) &&
	       !can_resolve(l, pod, IPPROTO_TCP);
}

static bool is_without_tcp(const struct lint *l, const struct bh_pod *pod)
{
	return !is_dns_server(pod) && can_resolve(l, pod, IPPROTO_UDP) &&
	       !can_resolve(l, pod, IPPROTO_TCP);
}

/* One finding per policy that restricts, with the number of workloads it meets. */
static void check_workloads(struct lint *l,
			    bool (*is_hit)(const struct lint *l, const struct bh_pod *pod),
			    const char *fix, const char *what)
{
	const struct bh_sim_workload *w;
	size_t n = bh_sim_workloads(l->sim, &w), i, k;

	for (i = 0; i < l->n_policies; i++) {
		const struct bh_pod *first = NULL;
		size_t n_hit = 0;

		for (k = 0; k < n; k++) {
			const struct bh_pod *pod = w[k].pods[0];

			if (restricting(l, pod) != l->policies[i] || !is_hit(l, pod))
				continue;
			if (n_hit++ == 0)
				first = pod;
		}
		if (n_hit == 1)
			lint_policy(l, l->policies[i], 0, fix, "restricts the egress of %s, %s",
				    lint_pod(l, first), what);
		else if (n_hit > 1)
			lint_policy(l, l->policies[i], 0, fix,
				    "restricts the egress of %zu workloads such as %s, %s", n_hit,
				    lint_pod(l, first), what);
	}
}

static void check_dns(struct lint *l)
{
	check_workloads(l, is_cut_off,
			"allow UDP and TCP 53 to the cluster's DNS servers (see the example "
			"dns-egress.yaml)",
			"and no rule of any policy lets it resolve names");
}

static void check_tcp(struct lint *l)
{
	check_workloads(l, is_without_tcp, "allow TCP 53 where UDP 53 is allowed",
			"and lets it resolve names over UDP only: long answers come over TCP");
}

const struct lint_row lint_dns_rows[] = {
	{ .check = { "dns-cut-off", BH_SEVERITY_WARNING,
		     "egress is restricted, and names cannot be resolved" },
	  .needs_pods = true,
	  .on_world = check_dns },
	{ .check = { "dns-udp-only", BH_SEVERITY_INFO, "DNS is allowed over UDP, but not TCP" },
	  .needs_pods = true,
	  .on_world = check_tcp },
	{ .check = { .name = NULL } },
};
