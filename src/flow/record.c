/*
 * The record of a flow, from a packet and from whom it was and why it was denied.
 */
#include <linux/if_ether.h>
#include <string.h>

#include "bh/alloc.h"
#include "flow.h"

static void fill_end(struct bh_record_end *ret, const struct bh_addr *a, uint16_t port,
		     const struct flow_end *end)
{
	ret->has_address = a->family != BH_FAMILY_COUNT_;
	ret->address = *a;
	ret->port = port;
	ret->entity = end->entity;
	ret->confidence = end->confidence;
	ret->pod = end->pod;
}

static void fill_network(struct bh_record_flow *ret, const struct flow_sample *s)
{
	ret->class = s->class;
	ret->dir = s->dir;
	ret->ether_type = s->ether_type;
	ret->has_protocol = s->ether_type == ETH_P_IP || s->ether_type == ETH_P_IPV6;
	ret->protocol = s->protocol;
	ret->has_ports = s->has_ports;
	ret->has_icmp = s->has_icmp;
	ret->icmp_type = s->icmp_type;
	ret->icmp_code = s->icmp_code;
}

/* --- the policy ----------------------------------------------------------------------- */

static struct bh_record_name name_of(const struct bh_policy *p)
{
	return (struct bh_record_name){ p->namespace, p->name };
}

static void set_rule(struct bh_record_rule *ret, const struct bh_rule_ref *ref, enum bh_dir dir)
{
	const struct bh_rules *rules = &ref->policy->rules[dir];

	*ret = (struct bh_record_rule){
		.kind = bh_policy_kind_str(ref->policy->kind),
		.policy = name_of(ref->policy),
		.has_index = true,
		.index = (uint32_t)ref->rule_index,
		.rule_name = ref->rule_index < rules->n ? rules->items[ref->rule_index].name : NULL,
	};
}

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

/* Of @n there are at most BH_MAX_ISOLATING in @policies. */
static void set_denied_by(struct bh_record_flow *ret, const struct bh_policy *const *policies,
			  size_t n, struct flow_room *room)
{
	const size_t n_known = at_most(n, BH_MAX_ISOLATING);

	for (size_t i = 0; i < n_known; i++)
		room->denied_by[i] = name_of(policies[i]);
	ret->denied_by = (struct bh_record_names){ room->denied_by, n_known, n - n_known };
}

static void set_nearest(struct bh_record_flow *ret, const struct bh_dir_verdict *v,
			struct flow_room *room)
{
	for (size_t i = 0; i < v->n_near; i++)
		room->near[i] = (struct bh_record_near){
			.policy = name_of(v->near[i].ref.policy),
			.index = (uint32_t)v->near[i].ref.rule_index,
			.why = v->near[i].why,
		};
	ret->nearest = (struct bh_record_nears){ .items = room->near, .n = v->n_near };
}

static void fill_evaluated(struct bh_record_flow *ret, const struct flow_sample *s,
			   const struct bh_dir_verdict *v, struct flow_room *room)
{
	const bool is_audit = s->class == BH_CLASS_AUDIT;
	const struct bh_rule_ref *rule = is_audit ? &v->audit_rule : &v->rule;
	const bool has_rule = is_audit ? rule->policy != NULL : bh_reason_has_rule(v->reason);
	enum bh_reason reason = !has_rule                             ? BH_REASON_DEFAULT_DENY
				: rule->policy->kind == BH_QUARANTINE ? BH_REASON_QUARANTINE
								      : BH_REASON_RULE;

	/* What the verdict says of itself, not of the policies in audit. */
	if (!is_audit || v->reason == BH_REASON_NO_LABELS || v->reason == BH_REASON_CONTESTED)
		reason = v->reason;
	ret->explained = BH_EXPLAINED_WORLD;
	ret->reason = bh_reason_str(reason);
	if (has_rule)
		set_rule(&ret->rule, rule, s->dir);
	if (is_audit)
		set_denied_by(ret, v->audit_isolating, v->n_audit_isolating, room);
	else
		set_denied_by(ret, v->isolating, v->n_isolating, room);
	set_nearest(ret, v, room);
}

/* Which of its policies denied is not known any more, only which could have. */
static void fill_profile(struct bh_record_flow *ret, const struct flow_sample *s,
			 const struct bh_profile *p, struct flow_room *room)
{
	const bool is_audit = s->class == BH_CLASS_AUDIT;
	const struct bh_policy_id *ids = is_audit ? p->audited : p->enforced;
	const size_t n = is_audit ? p->n_audited : p->n_enforced;
	const size_t n_shown = at_most(n, BH_MAX_ISOLATING);

	for (size_t i = 0; i < n_shown; i++)
		room->denied_by[i] = (struct bh_record_name){ ids[i].namespace, ids[i].name };
	ret->explained = BH_EXPLAINED_PROFILE;
	ret->denied_by = (struct bh_record_names){ room->denied_by, n_shown, n - n_shown };
}

/* No policy decided, but what a pod's port lets pass. */
static void fill_guard(struct bh_record_flow *ret, const struct flow_sample *s)
{
	ret->explained = BH_EXPLAINED_PORT;
	ret->reason = s->chain;
	if (s->dir == BH_EGRESS)
		ret->ingress_link = s->link;
	else
		ret->egress_link = s->link;
}

static void fill_policy(struct bh_record_flow *ret, const struct flow_sample *s,
			const struct flow_reason *r, struct flow_room *room)
{
	ret->explained = BH_EXPLAINED_NOTHING;
	if (flow_is_no_pod(s->chain))
		ret->reason = BH_GUARD_NO_POD;
	if (s->link)
		fill_guard(ret, s);
	else if (r->is_evaluated)
		fill_evaluated(ret, s, &r->verdict, room);
	else if (r->profile)
		fill_profile(ret, s, r->profile, room);
	ret->closed = r->profile ? r->profile->closed : NULL;
	ret->profile = s->link ? NULL : s->chain;
}

void flow_fill_record(struct bh_record_flow *ret, const struct flow_sample *sample,
		      const struct flow_attribution *a, const struct flow_counts *counts,
		      struct flow_room *room)
{
	fill_network(ret, sample);
	fill_end(&ret->src, &sample->src, sample->src_port, &a->src);
	fill_end(&ret->dst, &sample->dst, sample->dst_port, &a->dst);
	fill_policy(ret, sample, &a->reason, room);
	ret->count = counts->count;
	ret->suppressed = counts->suppressed;
	if (counts->first_ns > 0) {
		ret->first_ns = counts->first_ns;
		ret->last_ns = counts->last_ns;
	}
}
