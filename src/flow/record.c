/*
 * The fields of a flow record, bulkhead-flow(5).
 */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/object.h"
#include "flow.h"

void flow_set_string(json_t *record, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(record, key, flow_text_json(value));
}

void flow_set_number(json_t *record, const char *key, uint64_t value)
{
	json_object_set_new(record, key, json_integer((json_int_t)value));
}

void flow_set_time(json_t *record, const char *key, uint64_t ns)
{
	char text[BH_TIME_STRLEN];

	flow_set_string(record, key, bh_time_format(ns, text));
}

/* --- ends --------------------------------------------------------------------------- */

/* "source" and "port" make "source.port"; neither comes from outside. */
struct key {
	char text[64];
};

static const char *key_of(struct key *k, const char *end, const char *name)
{
	snprintf(k->text, sizeof(k->text), "%s%s", end, name);
	return k->text;
}

/* @at: "source.", "destination.", or "" where the record is about one pod. */
static void fill_pod(json_t *record, const char *at, const struct bh_identity *pod)
{
	bh_auto_free char *workload = NULL;
	struct key k;

	flow_set_string(record, key_of(&k, at, "k8s.namespace.name"), pod->namespace);
	flow_set_string(record, key_of(&k, at, "k8s.pod.name"), pod->name);
	flow_set_string(record, key_of(&k, at, "k8s.pod.uid"), pod->uid);
	bh_record_set_labels(record, key_of(&k, at, "k8s.pod.labels"), &pod->labels,
			     pod->n_labels_omitted);
	flow_set_string(record, key_of(&k, at, "k8s.node.name"), pod->node);
	if (!pod->workload_kind || !pod->workload_name)
		return;
	workload = bh_asprintf("%s/%s", pod->workload_kind, pod->workload_name);
	flow_set_string(record, key_of(&k, at, "k8s.workload"), workload);
}

static void fill_end(json_t *record, const char *at, const struct bh_addr *a, bool has_port,
		     uint16_t port, const struct flow_end *end)
{
	char text[BH_ADDR_STRLEN];
	struct key k;

	if (a->family != BH_FAMILY_COUNT_)
		flow_set_string(record, key_of(&k, at, "address"), bh_addr_format(a, text));
	if (has_port)
		flow_set_number(record, key_of(&k, at, "port"), port);
	flow_set_string(record, key_of(&k, at, "entity"), end->entity);
	flow_set_string(record, key_of(&k, at, "identity.confidence"), end->confidence);
	if (end->has_pod)
		fill_pod(record, at, &end->pod);
	flow_set_string(record, key_of(&k, at, "k8s.node.name"), end->node);
}

void flow_fill_pod(json_t *record, const struct bh_addr *a, const struct flow_end *end)
{
	char text[BH_ADDR_STRLEN];

	flow_set_string(record, "pod.address", bh_addr_format(a, text));
	if (end->has_pod)
		fill_pod(record, "", &end->pod);
}

/* --- the network ---------------------------------------------------------------------- */

/* "ipv4", "ipv6", "arp", or the EtherType as in "0x88cc". */
static void fill_type(json_t *record, uint16_t ether_type)
{
	char number[8];

	switch (ether_type) {
	case ETH_P_IP: flow_set_string(record, "network.type", "ipv4"); return;
	case ETH_P_IPV6: flow_set_string(record, "network.type", "ipv6"); return;
	case ETH_P_ARP: flow_set_string(record, "network.type", "arp"); return;
	default: break;
	}
	snprintf(number, sizeof(number), "0x%04x", ether_type);
	flow_set_string(record, "network.type", number);
}

static void fill_network(json_t *record, const struct flow_sample *s)
{
	static const struct {
		uint8_t protocol;
		const char *name;
	} t[] = {
		{ IPPROTO_TCP, "tcp" },   { IPPROTO_UDP, "udp" },          { IPPROTO_SCTP, "sctp" },
		{ IPPROTO_ICMP, "icmp" }, { IPPROTO_ICMPV6, "ipv6-icmp" },
	};
	char number[4];
	const char *transport = NULL;

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++)
		if (t[i].protocol == s->protocol)
			transport = t[i].name;
	fill_type(record, s->ether_type);
	if (s->ether_type == ETH_P_IP || s->ether_type == ETH_P_IPV6)
		flow_set_string(record, "network.transport",
				transport ? transport : bh_protocol_str(s->protocol, number));
	flow_set_string(record, "network.direction", bh_dir_str(s->dir));
	if (s->has_icmp) {
		flow_set_number(record, "icmp.type", s->icmp_type);
		flow_set_number(record, "icmp.code", s->icmp_code);
	}
}

#define DENIED_BY "policy.default_deny_by"
#define NEAREST   "policy.nearest_miss"

/* --- the policy ----------------------------------------------------------------------- */

/* "ns/name", or the name alone where it has no namespace. */
static void append_name(json_t *list, const char *ns, const char *name)
{
	bh_auto_free char *text = *ns ? bh_asprintf("%s/%s", ns, name) : bh_strdup(name);

	json_array_append_new(list, bh_text_json(text));
}

/* Of @n there are at most BH_MAX_ISOLATING in @policies. */
static void set_denied_by(json_t *record, const struct bh_policy *const *policies, size_t n)
{
	const size_t n_known = n < BH_MAX_ISOLATING ? n : BH_MAX_ISOLATING;
	json_t *list = json_array();

	for (size_t i = 0; i < n_known; i++)
		append_name(list, policies[i]->namespace, policies[i]->name);
	flow_set_bounded(record, DENIED_BY, list, n - n_known);
}

static json_t *near_json(const struct bh_dir_verdict *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n_near; i++) {
		const struct bh_policy *p = v->near[i].ref.policy;
		bh_auto_free char *name = *p->namespace
						  ? bh_asprintf("%s/%s", p->namespace, p->name)
						  : bh_strdup(p->name);
		json_t *item = json_object();

		flow_set_string(item, "name", name);
		flow_set_number(item, "rule_index", v->near[i].ref.rule_index);
		flow_set_string(item, "why", bh_miss_str(v->near[i].why));
		json_array_append_new(list, item);
	}
	return list;
}

static void fill_evaluated(json_t *record, const struct flow_sample *s,
			   const struct bh_dir_verdict *v)
{
	const bool is_audit = s->book == FLOW_AUDIT;
	const struct bh_rule_ref *rule = is_audit ? &v->audit_rule : &v->rule;
	const bool has_rule = is_audit ? rule->policy != NULL : bh_reason_has_rule(v->reason);
	enum bh_reason reason = !has_rule                             ? BH_REASON_DEFAULT_DENY
				: rule->policy->kind == BH_QUARANTINE ? BH_REASON_QUARANTINE
								      : BH_REASON_RULE;

	/* What the verdict says of itself, not of the policies in audit. */
	if (!is_audit || v->reason == BH_REASON_NO_LABELS || v->reason == BH_REASON_CONTESTED)
		reason = v->reason;
	flow_set_string(record, "policy.explained_from", "world");
	flow_set_string(record, "policy.reason", bh_reason_str(reason));
	if (has_rule)
		flow_set_bounded(record, "policy.rule", bh_rule_ref_json(rule, s->dir), 0);
	if (is_audit)
		set_denied_by(record, v->audit_isolating, v->n_audit_isolating);
	else
		set_denied_by(record, v->isolating, v->n_isolating);
	flow_set_bounded(record, NEAREST, near_json(v), 0);
}

/* Which of its policies denied is not known any more, only which could have. */
static void fill_profile(json_t *record, const struct flow_sample *s, const struct bh_profile *p)
{
	const struct bh_policy_id *ids = s->book == FLOW_AUDIT ? p->audited : p->enforced;
	const size_t n = s->book == FLOW_AUDIT ? p->n_audited : p->n_enforced;
	const size_t n_shown = n < BH_MAX_ISOLATING ? n : BH_MAX_ISOLATING;
	json_t *list = json_array();

	for (size_t i = 0; i < n_shown; i++)
		append_name(list, ids[i].namespace, ids[i].name);
	flow_set_string(record, "policy.explained_from", "profile");
	flow_set_bounded(record, DENIED_BY, list, n - n_shown);
	json_object_set_new(record, NEAREST, json_array());
}

/* No policy decided, but what a pod's port lets pass. */
static void fill_guard(json_t *record, const struct flow_sample *s)
{
	flow_set_string(record, "policy.explained_from", "port");
	flow_set_string(record, "policy.reason", s->chain);
	flow_set_number(record,
			s->dir == BH_EGRESS ? "observer.ingress.interface.id"
					    : "observer.egress.interface.id",
			s->link);
	json_object_set_new(record, "policy.default_deny_by", json_array());
	json_object_set_new(record, "policy.nearest_miss", json_array());
}

static void fill_policy(json_t *record, const struct flow_sample *s, const struct flow_reason *r)
{
	flow_set_string(record, "policy.verdict", flow_book_str(s->book));
	if (flow_is_no_pod(s->chain))
		flow_set_string(record, "policy.reason", "no-pod-yet");
	if (s->link) {
		fill_guard(record, s);
	} else if (r->is_evaluated) {
		fill_evaluated(record, s, &r->verdict);
	} else if (r->profile) {
		fill_profile(record, s, r->profile);
	} else {
		flow_set_string(record, "policy.explained_from", "none");
		json_object_set_new(record, DENIED_BY, json_array());
		json_object_set_new(record, NEAREST, json_array());
	}
	if (r->profile)
		flow_set_string(record, "policy.closed", r->profile->closed);
	if (!s->link)
		flow_set_string(record, "policy.profile", s->chain);
}

void flow_fill_record(json_t *record, const struct flow_sample *sample,
		      const struct flow_attribution *a, const struct flow_counts *counts,
		      uint64_t generation)
{
	fill_network(record, sample);
	fill_end(record, "source.", &sample->src, sample->has_ports, sample->src_port, &a->src);
	fill_end(record, "destination.", &sample->dst, sample->has_ports, sample->dst_port,
		 &a->dst);
	fill_policy(record, sample, &a->reason);
	flow_set_number(record, "policy.generation", generation);
	flow_set_number(record, "flow.count", counts->count);
	flow_set_number(record, "flow.suppressed", counts->suppressed);
	if (counts->first_ns > 0) {
		flow_set_time(record, "event.start", counts->first_ns);
		flow_set_time(record, "event.end", counts->last_ns);
	}
}
