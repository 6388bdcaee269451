/*
 * Checks of ports: names that nobody has, and numbers of the wrong end.
 */
#include <netinet/in.h>
#include <string.h>

#include "bh/selector.h"
#include "lint_impl.h"

/* In which pods a name is looked up: the selected ones, or the peers of egress. */
struct lookup {
	const struct bh_policy_port *port;
	size_t n_pods;
	bool is_there;
	const struct bh_pod *other; /* that has the name with another protocol */
	uint8_t other_protocol;
};

static const char *protocol_str(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP: return "TCP";
	case IPPROTO_UDP: return "UDP";
	case IPPROTO_SCTP: return "SCTP";
	default: return "any protocol";
	}
}

static void look_in(struct lookup *k, const struct bh_pod *pod)
{
	size_t i;

	k->n_pods++;
	for (i = 0; i < pod->n_ports; i++) {
		const struct bh_port *p = &pod->ports[i];

		if (!p->name || strcmp(p->name, k->port->name) != 0)
			continue;
		if (!k->port->protocol || p->protocol == k->port->protocol) {
			k->is_there = true;
		} else {
			k->other = pod;
			k->other_protocol = p->protocol;
		}
	}
}

static bool is_peer(const struct lint *l, const struct bh_policy *p, const struct bh_rule *r,
		    const struct bh_pod *pod)
{
	size_t i;

	for (i = 0; i < r->n_peers; i++)
		if (bh_world_peer_is(l->w, p, &r->peers[i], pod))
			return true;
	return !r->has_peers && !pod->is_host_network && !pod->is_finished;
}

static struct lookup look_up(const struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			     const struct bh_rule *r, const struct bh_policy_port *port)
{
	struct lookup k = { .port = port };
	size_t i;

	for (i = 0; i < l->n_pods && !k.is_there; i++) {
		const struct bh_pod *pod = l->pods[i];

		if (dir == BH_INGRESS ? bh_world_selects(l->w, p, pod) : is_peer(l, p, r, pod))
			look_in(&k, pod);
	}
	return k;
}

static void check_name(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
		       const struct bh_rule *r, const struct bh_policy_port *port)
{
	struct lookup k = look_up(l, p, dir, r, port);
	const char *whose = dir == BH_INGRESS ? "selected pod" : "pod among the destinations";

	if (k.is_there || k.n_pods == 0)
		return; /* who selects nobody has another finding */
	if (k.other)
		lint_policy(l, p, port->line,
			    "make the protocol of the rule and of the container port the same",
			    "%s: port %s is %s, but %s has it as %s: it matches nothing",
			    lint_rule(l, p, dir, r), port->name, protocol_str(port->protocol),
			    lint_pod(l, k.other), protocol_str(k.other_protocol));
	else
		lint_policy(l, p, port->line,
			    "name the container port in the pods, or give its number here",
			    "%s: no %s has a port named %s: it matches nothing",
			    lint_rule(l, p, dir, r), whose, port->name);
}

static void check_names(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			const struct bh_rule *r)
{
	size_t i;

	for (i = 0; i < r->n_ports; i++)
		if (r->ports[i].name)
			check_name(l, p, dir, r, &r->ports[i]);
}

/* Semantics: an address has no pod in which the name could be looked up. */
static void check_blocks(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			 const struct bh_rule *r)
{
	bool has_block = false;
	size_t i;

	for (i = 0; i < r->n_peers; i++)
		has_block |= r->peers[i].kind == BH_PEER_CIDR;
	for (i = 0; i < r->n_ports && has_block && dir == BH_EGRESS; i++)
		if (r->ports[i].name)
			lint_policy(l, p, r->ports[i].line, "give the number of the port",
				    "%s: port %s has a name, which matches nothing together with "
				    "an ipBlock",
				    lint_rule(l, p, dir, r), r->ports[i].name);
}

/* --- Services ------------------------------------------------------------------------------ */

static bool allows_number(const struct bh_policy *p, uint8_t protocol, uint16_t number)
{
	size_t i, k;

	for (i = 0; i < p->rules[BH_INGRESS].n; i++) {
		const struct bh_rule *r = &p->rules[BH_INGRESS].items[i];

		if (!r->has_ports)
			return true;
		for (k = 0; k < r->n_ports; k++)
			if (r->ports[k].protocol == protocol && !r->ports[k].name &&
			    number >= r->ports[k].first && number <= r->ports[k].last)
				return true;
	}
	return false;
}

static bool allows_name(const struct bh_policy *p, const char *name)
{
	size_t i, k;

	for (i = 0; name && i < p->rules[BH_INGRESS].n; i++)
		for (k = 0; k < p->rules[BH_INGRESS].items[i].n_ports; k++) {
			const char *n = p->rules[BH_INGRESS].items[i].ports[k].name;

			if (n && strcmp(n, name) == 0)
				return true;
		}
	return false;
}

/* The number behind a Service's port in @pod; 0 where the pod has no such name. */
static uint16_t target_in(const struct bh_pod *pod, const struct bh_service_port *port)
{
	size_t i;

	if (!port->target_name)
		return port->target;
	for (i = 0; i < pod->n_ports; i++)
		if (pod->ports[i].name && strcmp(pod->ports[i].name, port->target_name) == 0 &&
		    pod->ports[i].protocol == port->protocol)
			return pod->ports[i].number;
	return 0;
}

static bool has_number(const struct bh_pod *pod, uint16_t number)
{
	size_t i;

	for (i = 0; i < pod->n_ports; i++)
		if (pod->ports[i].number == number)
			return true;
	return false;
}

static const struct bh_pod *pod_behind(const struct lint *l, const struct bh_policy *p,
				       const struct bh_service *s)
{
	size_t i;

	for (i = 0; i < l->n_pods && s->has_selector; i++)
		if (strcmp(l->pods[i]->namespace, s->namespace) == 0 &&
		    bh_world_selects(l->w, p, l->pods[i]) &&
		    bh_selector_matches(&s->selector, &l->pods[i]->labels))
			return l->pods[i];
	return NULL;
}

static void check_service_port(struct lint *l, const struct bh_policy *p, const struct bh_rule *r,
			       const struct bh_policy_port *port, const struct bh_service *s,
			       const struct bh_pod *pod)
{
	size_t i;

	for (i = 0; i < s->n_ports; i++) {
		const struct bh_service_port *sp = &s->ports[i];
		uint16_t target = target_in(pod, sp);

		if (sp->protocol != port->protocol || sp->port != port->first || !target ||
		    target == sp->port || has_number(pod, sp->port) ||
		    allows_number(p, sp->protocol, target) || allows_name(p, sp->target_name))
			continue;
		lint_policy(l, p, port->line, lint_printf(l, "allow port %u", target),
			    "%s: %u is the port of Service %s/%s; policies are about the port of "
			    "the pod, which is %u",
			    lint_rule(l, p, BH_INGRESS, r), sp->port, s->namespace, s->name,
			    target);
		return;
	}
}

static void check_services(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			   const struct bh_rule *r)
{
	const struct bh_service *const *services;
	size_t n = bh_sim_services(l->sim, &services), i, k;

	for (i = 0; i < n && dir == BH_INGRESS && r->has_ports; i++) {
		const struct bh_pod *pod = pod_behind(l, p, services[i]);

		for (k = 0; pod && k < r->n_ports; k++)
			if (!r->ports[k].name && r->ports[k].first == r->ports[k].last)
				check_service_port(l, p, r, &r->ports[k], services[i], pod);
	}
}

const struct lint_row lint_port_rows[] = {
	{ .check = { "named-port-unknown", BH_SEVERITY_WARNING,
		     "no pod has a port of the name that a rule uses" },
	  .needs_pods = true,
	  .on_rule = check_names },
	{ .check = { "named-port-ip-block", BH_SEVERITY_WARNING,
		     "a port's name in an egress rule with an ipBlock matches nothing" },
	  .on_rule = check_blocks },
	{ .check = { "service-port", BH_SEVERITY_WARNING,
		     "a rule has the port of a Service instead of the pod's" },
	  .needs_pods = true,
	  .on_rule = check_services },
	{ .check = { .name = NULL } },
};
