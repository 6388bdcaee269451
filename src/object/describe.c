/*
 * Verdicts in words.  Names and labels come from outside and are escaped.
 */
#include "describe.h"

#include <netinet/in.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/selector.h"

static void add_addr(struct bh_buf *b, const struct bh_addr *a)
{
	char text[BH_ADDR_STRLEN];

	bh_buf_puts(b, bh_addr_format(a, text));
}

static void add_pod(struct bh_buf *b, const struct bh_pod *pod)
{
	bh_buf_escape(b, pod->namespace);
	bh_buf_putc(b, '/');
	bh_buf_escape(b, pod->name);
}

/* Nobody knows it, or it was made up. */
static bool is_unspecified(const struct bh_addr *a)
{
	static const uint8_t zero[sizeof(a->bytes)];

	return memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

void describe_end(struct bh_buf *b, const struct bh_end *end, const struct bh_addr *addr)
{
	switch (end->entity) {
	case BH_ENTITY_POD:
		bh_buf_puts(b, "pod ");
		add_pod(b, end->pod);
		break;
	case BH_ENTITY_NODE:
		bh_buf_puts(b, "node ");
		bh_buf_escape(b, end->node ? end->node->name : "?");
		break;
	case BH_ENTITY_EXTERNAL:
	case BH_ENTITY_COUNT_: add_addr(b, addr); return;
	}
	if (is_unspecified(addr))
		return;
	bh_buf_puts(b, " (");
	add_addr(b, addr);
	bh_buf_putc(b, ')');
}

void describe_port(struct bh_buf *b, const struct bh_flow *flow)
{
	switch (flow->protocol) {
	case IPPROTO_TCP: bh_buf_printf(b, "TCP %u", flow->dst_port); return;
	case IPPROTO_UDP: bh_buf_printf(b, "UDP %u", flow->dst_port); return;
	case IPPROTO_SCTP: bh_buf_printf(b, "SCTP %u", flow->dst_port); return;
	case IPPROTO_ICMP: bh_buf_puts(b, "ICMP"); return;
	case IPPROTO_ICMPV6: bh_buf_puts(b, "ICMPv6"); return;
	default: bh_buf_printf(b, "IP protocol %u", flow->protocol); return;
	}
}

void describe_policy(struct bh_buf *b, const struct bh_policy *p)
{
	if (p->kind == BH_DEFAULT_DENY) {
		bh_buf_puts(b, "the default deny of namespace ");
		bh_buf_escape(b, p->namespace);
		return;
	}
	if (p->kind == BH_QUARANTINE) {
		bh_buf_puts(b, "the quarantine ");
		bh_buf_puts(b, p->is_by_annotation ? "by annotation in namespace " : "of ");
		bh_buf_escape(b, p->namespace);
		if (!p->is_by_annotation) {
			bh_buf_putc(b, '/');
			bh_buf_escape(b, p->name);
		}
		return;
	}
	bh_buf_printf(b, "%s ", bh_policy_kind_str(p->kind));
	if (*p->namespace) {
		bh_buf_escape(b, p->namespace);
		bh_buf_putc(b, '/');
	}
	bh_buf_escape(b, p->name);
}

/* " (file:line)" where it is known. */
void describe_place(struct bh_buf *b, const struct bh_policy *p, int line)
{
	if (!p->file)
		return;
	bh_buf_puts(b, " (");
	bh_buf_escape(b, p->file);
	if (line > 0)
		bh_buf_printf(b, ":%d", line);
	bh_buf_putc(b, ')');
}

const struct bh_rule *describe_rule_of(const struct bh_rule_ref *ref, enum bh_dir dir)
{
	const struct bh_rules *rules = &ref->policy->rules[dir];

	return ref->rule_index < rules->n ? &rules->items[ref->rule_index] : NULL;
}

void describe_rule(struct bh_buf *b, const struct bh_rule_ref *ref, enum bh_dir dir)
{
	const struct bh_rule *rule = describe_rule_of(ref, dir);

	describe_policy(b, ref->policy);
	if (ref->policy->kind == BH_DEFAULT_DENY || ref->policy->kind == BH_QUARANTINE)
		return;
	bh_buf_printf(b, " %s rule %zu", bh_dir_str(dir), ref->rule_index);
	if (rule && rule->name) {
		bh_buf_puts(b, " \"");
		bh_buf_escape(b, rule->name);
		bh_buf_putc(b, '"');
	}
	describe_place(b, ref->policy, rule ? rule->line : ref->policy->line);
}

/* "A", "A and B", "A, B and 3 more"; only the first @kept of @n can be named. */
static void add_policies(struct bh_buf *b, const struct bh_policy *const *policies, size_t n)
{
	size_t i, kept = n < BH_MAX_ISOLATING ? n : BH_MAX_ISOLATING;
	bool is_cut = n > 4;

	if (is_cut)
		kept = 3;
	for (i = 0; i < kept; i++) {
		if (i > 0)
			bh_buf_puts(b, i + 1 == n ? " and " : ", ");
		describe_policy(b, policies[i]);
		describe_place(b, policies[i], policies[i]->line);
	}
	if (is_cut)
		bh_buf_printf(b, " and %zu more", n - kept);
}

/* The pod that judges in @dir is at one end, whom it judges at the other. */
static const struct bh_end *other_end(const struct tale *t, enum bh_dir dir)
{
	return dir == BH_INGRESS ? &t->result->src : &t->result->dst;
}

const struct bh_end *describe_own_end(const struct tale *t, enum bh_dir dir)
{
	return dir == BH_INGRESS ? &t->result->dst : &t->result->src;
}

static const struct bh_addr *other_addr(const struct tale *t, enum bh_dir dir)
{
	return dir == BH_INGRESS ? &t->flow->src : &t->flow->dst;
}

const struct bh_addr *describe_own_addr(const struct tale *t, enum bh_dir dir)
{
	return dir == BH_INGRESS ? &t->flow->dst : &t->flow->src;
}

/* What @labels say to each key that @sel asks for. */
static void add_labels(struct bh_buf *b, const struct bh_selector *sel,
		       const struct bh_labels *labels)
{
	size_t i, k;

	for (i = 0; i < sel->n_reqs; i++) {
		const char *key = sel->reqs[i].key, *value = bh_labels_get(labels, key);

		for (k = 0; k < i && strcmp(sel->reqs[k].key, key) != 0; k++)
			continue;
		if (k < i)
			continue;
		bh_buf_puts(b, i > 0 ? ", " : "");
		bh_buf_puts(b, value ? "" : "no ");
		bh_buf_escape(b, key);
		if (value) {
			bh_buf_putc(b, '=');
			bh_buf_escape(b, value);
		}
	}
}

static void add_selector_miss(struct bh_buf *b, const char *field, const struct bh_selector *sel,
			      const char *what, const struct bh_labels *labels)
{
	bh_buf_printf(b, "its %s wants ", field);
	bh_selector_describe(sel, b);
	bh_buf_printf(b, ", the %s has ", what);
	add_labels(b, sel, labels);
}

/* The first peer of the rule that misses the other end in just this way. */
static const struct bh_peer *missed_peer(const struct tale *t, const struct bh_near_miss *near,
					 enum bh_dir dir)
{
	const struct bh_rule *rule = describe_rule_of(&near->ref, dir);
	const struct bh_end *other = other_end(t, dir);
	size_t i;

	for (i = 0; rule && i < rule->n_peers; i++) {
		const struct bh_peer *peer = &rule->peers[i];
		struct bh_peer any_pod = *peer;

		if (near->why == BH_MISS_IP_BLOCK) {
			if (peer->kind == BH_PEER_CIDR)
				return peer;
			continue;
		}
		if (peer->kind != BH_PEER_PODS || other->entity != BH_ENTITY_POD)
			continue;
		any_pod.pods = (struct bh_selector){ 0 };
		if (bh_world_peer_is(t->w, near->ref.policy, &any_pod, other->pod) ==
		    (near->why == BH_MISS_POD_SELECTOR))
			return peer;
	}
	return NULL;
}

static void add_block_miss(struct bh_buf *b, const struct bh_peer *peer, const struct bh_addr *a)
{
	char text[BH_CIDR_STRLEN];
	size_t i;

	for (i = 0; i < peer->n_except; i++) {
		if (!bh_cidr_contains(&peer->except[i], a))
			continue;
		bh_buf_printf(b, "its ipBlock excepts %s", bh_cidr_format(&peer->except[i], text));
		return;
	}
	bh_buf_printf(b, "its ipBlock is %s", bh_cidr_format(&peer->cidr, text));
}

static void add_namespace_miss(const struct tale *t, const struct bh_peer *peer,
			       const struct bh_near_miss *near, const struct bh_end *other)
{
	const struct bh_namespace *ns;

	if (!peer) {
		bh_buf_puts(t->out, "it is about pods");
		return;
	}
	if (!peer->has_namespaces) {
		bh_buf_puts(t->out, "it is about pods of its own namespace ");
		bh_buf_escape(t->out, near->ref.policy->namespace);
		return;
	}
	ns = bh_world_namespace(t->w, other->pod->namespace);
	add_selector_miss(t->out, "namespaceSelector", &peer->namespaces, "namespace", &ns->labels);
}

void describe_miss(const struct tale *t, const struct bh_near_miss *near, enum bh_dir dir)
{
	const struct bh_peer *peer = missed_peer(t, near, dir);
	const struct bh_end *other = other_end(t, dir);

	switch (near->why) {
	case BH_MISS_PROTOCOL: bh_buf_puts(t->out, "it allows another protocol"); return;
	case BH_MISS_PORT: bh_buf_puts(t->out, "it allows another port"); return;
	case BH_MISS_POD_SELECTOR:
		if (peer)
			add_selector_miss(t->out, "podSelector", &peer->pods, "pod",
					  &other->pod->labels);
		else
			bh_buf_puts(t->out, "its podSelector does not match");
		return;
	case BH_MISS_IP_BLOCK:
		if (peer)
			add_block_miss(t->out, peer, other_addr(t, dir));
		else
			bh_buf_puts(t->out, "its ipBlock does not match");
		return;
	case BH_MISS_NAMESPACE_SELECTOR: add_namespace_miss(t, peer, near, other); return;
	case BH_MISS_COUNT_: break;
	}
}

static void describe_near(const struct tale *t, const struct bh_dir_verdict *v, enum bh_dir dir)
{
	size_t i;

	for (i = 0; i < v->n_near; i++) {
		bh_buf_puts(t->out, i == 0 ? "  nearest: " : "  then: ");
		describe_rule(t->out, &v->near[i].ref, dir);
		bh_buf_puts(t->out, ", but ");
		describe_miss(t, &v->near[i], dir);
		bh_buf_putc(t->out, '\n');
	}
}

/* Policies that failed validation deny by themselves; that is worth a line. */
static void describe_invalid(const struct tale *t, const struct bh_dir_verdict *v)
{
	size_t i;

	for (i = 0; i < v->n_isolating && i < BH_MAX_ISOLATING; i++) {
		const struct bh_policy *p = v->isolating[i];

		if (!p->invalid)
			continue;
		bh_buf_puts(t->out, "  ");
		describe_policy(t->out, p);
		bh_buf_puts(t->out, " is not valid and allows nothing: ");
		bh_buf_escape(t->out, p->invalid);
		bh_buf_putc(t->out, '\n');
	}
}

void describe_audit(const struct tale *t, const struct bh_dir_verdict *v, enum bh_dir dir)
{
	if (v->audit_verdict == v->verdict)
		return;
	bh_buf_printf(t->out, "  audit: would be %s", bh_verdict_str(v->audit_verdict));
	if (!v->audit_rule.policy && v->n_audit_isolating == 0) {
		bh_buf_putc(t->out, '\n');
		return;
	}
	bh_buf_puts(t->out, " by ");
	if (v->audit_rule.policy)
		describe_rule(t->out, &v->audit_rule, dir);
	else
		add_policies(t->out, v->audit_isolating, v->n_audit_isolating);
	bh_buf_putc(t->out, '\n');
}

static void add_not_subject(const struct tale *t, enum bh_dir dir)
{
	const struct bh_end *own = describe_own_end(t, dir);

	bh_buf_puts(t->out, "not judged, ");
	describe_end(t->out, own, describe_own_addr(t, dir));
	bh_buf_puts(t->out, own->entity == BH_ENTITY_POD    ? " is on the host network"
			    : own->entity == BH_ENTITY_NODE ? " is no pod"
							    : " is outside");
}

void describe_reason(const struct tale *t, const struct bh_dir_verdict *v, enum bh_dir dir)
{
	struct bh_buf *b = t->out;

	switch (v->reason) {
	case BH_REASON_NOT_SUBJECT: add_not_subject(t, dir); return;
	case BH_REASON_NOT_ISOLATED:
		bh_buf_puts(b, "allowed, no policy isolates ");
		describe_end(b, describe_own_end(t, dir), describe_own_addr(t, dir));
		return;
	case BH_REASON_SELF: bh_buf_puts(b, "allowed, a pod always reaches itself"); return;
	case BH_REASON_OWN_NODE:
		bh_buf_puts(b, "allowed, a node always reaches its own pods");
		return;
	case BH_REASON_RULE:
	case BH_REASON_QUARANTINE:
		bh_buf_printf(b, "%s by ", bh_verdict_str(v->verdict));
		describe_rule(b, &v->rule, dir);
		return;
	case BH_REASON_DEFAULT_DENY:
		bh_buf_puts(b, "denied, ");
		describe_end(b, describe_own_end(t, dir), describe_own_addr(t, dir));
		bh_buf_puts(b, " is isolated by ");
		add_policies(b, v->isolating, v->n_isolating);
		bh_buf_puts(b, v->n_isolating > 1 ? ", none of which allows it"
						  : ", which does not allow it");
		return;
	case BH_REASON_NO_LABELS:
		bh_buf_printf(b, "%s, the labels of ", bh_verdict_str(v->verdict));
		describe_end(b, describe_own_end(t, dir), describe_own_addr(t, dir));
		bh_buf_puts(b, " are not known yet");
		return;
	case BH_REASON_CONTESTED:
		bh_buf_printf(b, "%s, another pod claims an address of ",
			      bh_verdict_str(v->verdict));
		describe_end(b, describe_own_end(t, dir), describe_own_addr(t, dir));
		bh_buf_puts(b, ", and nobody can tell who has it");
		return;
	case BH_REASON_SPOOFED:
	case BH_REASON_UNLISTED:
		bh_buf_printf(b, "%s, ", bh_verdict_str(v->verdict));
		describe_end(b, describe_own_end(t, dir), describe_own_addr(t, dir));
		bh_buf_printf(b, " does not own that %s address (%s)",
			      dir == BH_EGRESS ? "source" : "destination",
			      bh_reason_str(v->reason));
		return;
	case BH_REASON_NO_POD:
		bh_buf_printf(b, "%s, no pod of this node is known to have that address yet (%s)",
			      bh_verdict_str(v->verdict), bh_reason_str(v->reason));
		return;
	case BH_REASON_COUNT_: break;
	}
}

void describe_head(const struct tale *t)
{
	bh_buf_printf(t->out, "%s: ", bh_verdict_str(t->result->verdict));
	describe_end(t->out, &t->result->src, &t->flow->src);
	bh_buf_puts(t->out, " to ");
	describe_end(t->out, &t->result->dst, &t->flow->dst);
	bh_buf_puts(t->out, ", ");
	describe_port(t->out, t->flow);
	bh_buf_putc(t->out, '\n');
}

void bh_result_describe(const struct bh_world *w, const struct bh_flow *flow,
			const struct bh_result *result, struct bh_buf *out)
{
	static const enum bh_dir order[] = { BH_EGRESS, BH_INGRESS };
	const struct tale t = { .w = w, .flow = flow, .result = result, .out = out };
	size_t i;

	describe_head(&t);
	for (i = 0; i < BH_ARRAY_LEN(order); i++) {
		const struct bh_dir_verdict *v = &result->dir[order[i]];

		bh_buf_printf(out, "%s: ", bh_dir_str(order[i]));
		describe_reason(&t, v, order[i]);
		bh_buf_putc(out, '\n');
		describe_invalid(&t, v);
		describe_near(&t, v, order[i]);
		describe_audit(&t, v, order[i]);
	}
}

void bh_dir_verdict_describe(const struct bh_world *w, const struct bh_flow *flow,
			     const struct bh_result *result, enum bh_dir dir, struct bh_buf *out)
{
	const struct tale t = { .w = w, .flow = flow, .result = result, .out = out };

	describe_reason(&t, &result->dir[dir], dir);
}
