/*
 * One flow, judged from the text of the API.
 *
 * Each end that is a pod judges in its own direction.  There, the tiers speak
 * in order.  Admin: the first rule that matches decides; Pass goes on to the
 * next tier.  NetworkPolicy: a pod that no policy isolates is left to the next
 * tier; an isolated one is open to what any rule of any of its policies allows,
 * and to nothing else.  Baseline: the first rule that matches decides; what
 * none matches is allowed, unless the namespace has the default deny.
 */
#include "bh/eval.h"

#include <netinet/in.h>
#include <string.h>

#include "bh/selector.h"

/* One direction of one flow. */
struct query {
	const struct bh_world *w;
	const struct bh_flow *flow;
	enum bh_dir dir;
	const struct bh_pod *subject; /* the pod that judges */
	struct bh_end other;          /* whom it judges */
	const struct bh_addr *addr;   /* of the other; NULL if it has none */
	const struct bh_pod *dst_pod; /* where named ports are looked up, or NULL */
	const struct bh_policy *const *policies;
	size_t n_policies;
};

struct judgement {
	enum bh_verdict verdict;
	enum bh_reason reason;
	struct bh_rule_ref rule;
	const struct bh_policy *isolating[BH_MAX_ISOLATING];
	size_t n_isolating;
	/* A policy that selects the pod was left out on the way to the verdict. */
	bool saw_audited;
	/* Asked for in a second walk over what denies, so that most flows are quick. */
	bool wants_near;
	struct bh_near_miss near[BH_MAX_NEAR_MISSES];
	size_t n_near;
};

/* --- ports -------------------------------------------------------------------------- */

enum ports { PORTS_MATCH, PORTS_OTHER_PORT, PORTS_OTHER_PROTOCOL };

static bool has_port_numbers(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/*
 * What cannot be decided about the other end counts for rules that deny and not for
 * those that allow or pass.
 */
static bool is_undecided(const struct query *q)
{
	return q->other.entity == BH_ENTITY_POD && bh_pod_is_closed(q->other.pod);
}

static bool counts_undecided(const struct query *q, const struct bh_rule *r)
{
	return r->action == BH_DENY && is_undecided(q);
}

/* Whether the destination's port of that name is the one of the flow. */
static bool is_named_port(const struct query *q, const char *name)
{
	size_t i;

	if (q->dst_pod && q->dst_pod->is_contested)
		return false;
	for (i = 0; q->dst_pod && i < q->dst_pod->n_ports; i++) {
		const struct bh_port *p = &q->dst_pod->ports[i];

		if (p->protocol == q->flow->protocol && p->number == q->flow->dst_port && p->name &&
		    strcmp(p->name, name) == 0)
			return true;
	}
	return false;
}

static bool port_matches(const struct query *q, const struct bh_policy_port *p, bool may_resolve)
{
	if (p->name)
		return may_resolve && has_port_numbers(q->flow->protocol) &&
		       is_named_port(q, p->name);
	if (!has_port_numbers(q->flow->protocol))
		return p->first == 0 && p->last == UINT16_MAX;
	return q->flow->dst_port >= p->first && q->flow->dst_port <= p->last;
}

/* @may_resolve: names of ports mean something here. */
static enum ports match_ports(const struct query *q, const struct bh_rule *r, bool may_resolve)
{
	enum ports best = PORTS_OTHER_PROTOCOL;
	size_t i;

	if (!r->has_ports)
		return PORTS_MATCH;
	for (i = 0; i < r->n_ports; i++) {
		const struct bh_policy_port *p = &r->ports[i];

		/* Which port has the name is not known, either. */
		if (p->name && may_resolve && q->dir == BH_EGRESS && counts_undecided(q, r))
			return PORTS_MATCH;
		if (p->protocol && p->protocol != q->flow->protocol)
			continue;
		if (port_matches(q, p, may_resolve))
			return PORTS_MATCH;
		best = PORTS_OTHER_PORT;
	}
	return best;
}

/* --- peers -------------------------------------------------------------------------- */

static bool peer_matches(const struct query *q, const struct bh_policy *p, const struct bh_rule *r,
			 const struct bh_peer *peer)
{
	switch (peer->kind) {
	case BH_PEER_PODS:
		if (q->other.entity != BH_ENTITY_POD)
			return false;
		return r->action == BH_DENY ? bh_world_peer_may_be(q->w, p, peer, q->other.pod)
					    : bh_world_peer_is(q->w, p, peer, q->other.pod);
	case BH_PEER_CIDR: return q->addr && bh_peer_has_addr(peer, q->addr);
	case BH_PEER_NODES:
		return q->other.entity == BH_ENTITY_NODE && q->other.node &&
		       bh_selector_matches(&peer->pods, &q->other.node->labels);
	case BH_PEER_NOTHING:
	case BH_PEER_KIND_COUNT_: break;
	}
	return false;
}

/*
 * A block of addresses has no pod in which the name of an egress port could be
 * looked up; that a pod may happen to be there does not matter.
 */
static bool may_resolve(const struct query *q, const struct bh_peer *peer)
{
	return q->dir == BH_INGRESS || peer->kind != BH_PEER_CIDR;
}

static bool rule_matches(const struct query *q, const struct bh_policy *p, const struct bh_rule *r)
{
	size_t i;

	if (match_ports(q, r, true) != PORTS_MATCH)
		return false;
	if (!r->has_peers)
		return true;
	for (i = 0; i < r->n_peers; i++)
		if (peer_matches(q, p, r, &r->peers[i]) &&
		    match_ports(q, r, may_resolve(q, &r->peers[i])) == PORTS_MATCH)
			return true;
	return false;
}

/* --- near misses ---------------------------------------------------------------------- */

static enum bh_miss miss_of_peer(const struct query *q, const struct bh_policy *p,
				 const struct bh_rule *r, const struct bh_peer *peer)
{
	struct bh_peer any_pod = *peer;

	if (peer->kind == BH_PEER_CIDR)
		return BH_MISS_IP_BLOCK;
	if (peer->kind == BH_PEER_NOTHING ||
	    (q->other.entity == BH_ENTITY_POD && q->other.pod->is_contested))
		return BH_MISS_COUNT_;
	any_pod.pods = (struct bh_selector){ 0 };
	return peer_matches(q, p, r, &any_pod) ? BH_MISS_POD_SELECTOR : BH_MISS_NAMESPACE_SELECTOR;
}

/* What alone is missing for the rule to match; BH_MISS_COUNT_ if it is more. */
static enum bh_miss miss_of_rule(const struct query *q, const struct bh_policy *p,
				 const struct bh_rule *r)
{
	enum ports ports = match_ports(q, r, true);
	enum bh_miss best = BH_MISS_COUNT_;
	bool is_peer = !r->has_peers;
	size_t i;

	for (i = 0; i < r->n_peers && !is_peer; i++) {
		enum bh_miss miss;

		is_peer = peer_matches(q, p, r, &r->peers[i]);
		miss = miss_of_peer(q, p, r, &r->peers[i]);
		best = miss < best ? miss : best;
	}
	if (is_peer)
		return ports == PORTS_OTHER_PROTOCOL ? BH_MISS_PROTOCOL : BH_MISS_PORT;
	return ports == PORTS_MATCH ? best : BH_MISS_COUNT_;
}

static void note_near(const struct query *q, struct judgement *j, const struct bh_policy *p,
		      size_t rule_index)
{
	const struct bh_rule *r = &p->rules[q->dir].items[rule_index];
	enum bh_miss why = miss_of_rule(q, p, r);
	size_t at = j->n_near;

	if (why == BH_MISS_COUNT_)
		return;
	while (at > 0 && j->near[at - 1].why > why)
		at--;
	if (at == BH_MAX_NEAR_MISSES)
		return;
	if (j->n_near < BH_MAX_NEAR_MISSES)
		j->n_near++;
	memmove(&j->near[at + 1], &j->near[at], (j->n_near - at - 1) * sizeof(j->near[0]));
	j->near[at] = (struct bh_near_miss){ { p, rule_index }, why };
}

/* --- tiers ---------------------------------------------------------------------------- */

/* Whether @p is about the pod and has a say in this walk. */
static bool is_present(const struct query *q, const struct bh_policy *p, bool with_audited,
		       struct judgement *j)
{
	if (!bh_world_selects(q->w, p, q->subject))
		return false;
	if (with_audited || bh_world_policy_mode(q->w, p) == BH_ENFORCE)
		return true;
	j->saw_audited = true;
	return false;
}

/* The first rule of @p that matches; a near miss of it if that is asked for. */
static const struct bh_rule *first_match(const struct query *q, const struct bh_policy *p,
					 struct judgement *j)
{
	const struct bh_rules *rules = &p->rules[q->dir];
	size_t i;

	for (i = 0; i < rules->n; i++) {
		if (rule_matches(q, p, &rules->items[i])) {
			j->rule = (struct bh_rule_ref){ p, i };
			return &rules->items[i];
		}
		if (j->wants_near && rules->items[i].action == BH_ALLOW)
			note_near(q, j, p, i);
	}
	return NULL;
}

bool bh_reason_has_rule(enum bh_reason r)
{
	return r == BH_REASON_RULE || r == BH_REASON_QUARANTINE;
}

static void decide(struct judgement *j, enum bh_verdict verdict, enum bh_reason reason)
{
	j->verdict = verdict;
	j->reason = reason;
	if (!bh_reason_has_rule(reason))
		j->rule = (struct bh_rule_ref){ 0 };
}

/* Quarantine, Admin, Baseline, default deny.  False where the next tier is asked. */
static bool judge_in_order(const struct query *q, enum bh_tier tier, bool with_audited,
			   struct judgement *j)
{
	size_t i;

	for (i = 0; i < q->n_policies; i++) {
		const struct bh_policy *p = q->policies[i];
		const struct bh_rule *r;

		if (bh_policy_tier(p) != tier || !is_present(q, p, with_audited, j))
			continue;
		r = first_match(q, p, j);
		if (!r)
			continue;
		if (r->action == BH_PASS)
			return false;
		decide(j, r->action == BH_ALLOW ? BH_VERDICT_ALLOWED : BH_VERDICT_DENIED,
		       r->action == BH_DENY && p->kind == BH_QUARANTINE ? BH_REASON_QUARANTINE
									: BH_REASON_RULE);
		return true;
	}
	return false;
}

static void note_isolating(struct judgement *j, const struct bh_policy *p)
{
	size_t n = j->n_isolating < BH_MAX_ISOLATING ? j->n_isolating : BH_MAX_ISOLATING;
	size_t at = n;

	j->n_isolating++;
	while (at > 0 && strcmp(j->isolating[at - 1]->name, p->name) > 0)
		at--;
	if (at == BH_MAX_ISOLATING)
		return;
	if (n == BH_MAX_ISOLATING)
		n--;
	memmove(&j->isolating[at + 1], &j->isolating[at], (n - at) * sizeof(j->isolating[0]));
	j->isolating[at] = p;
}

static bool judge_additive(const struct query *q, bool with_audited, struct judgement *j)
{
	size_t i;

	for (i = 0; i < q->n_policies; i++) {
		const struct bh_policy *p = q->policies[i];

		if (!bh_policy_isolates(p, q->dir) || !is_present(q, p, with_audited, j))
			continue;
		note_isolating(j, p);
		if (!p->invalid && first_match(q, p, j)) {
			decide(j, BH_VERDICT_ALLOWED, BH_REASON_RULE);
			return true;
		}
	}
	if (j->n_isolating == 0)
		return false;
	decide(j, BH_VERDICT_DENIED, BH_REASON_DEFAULT_DENY);
	return true;
}

static void judge(const struct query *q, bool with_audited, struct judgement *j)
{
	if (judge_in_order(q, BH_TIER_QUARANTINE, with_audited, j) ||
	    judge_in_order(q, BH_TIER_ADMIN, with_audited, j) ||
	    judge_additive(q, with_audited, j) ||
	    judge_in_order(q, BH_TIER_BASELINE, with_audited, j) ||
	    judge_in_order(q, BH_TIER_DEFAULT_DENY, with_audited, j))
		return;
	decide(j, BH_VERDICT_ALLOWED, BH_REASON_NOT_ISOLATED);
}

static size_t keep_isolating(const struct judgement *j, const struct bh_policy **ret)
{
	size_t n = j->n_isolating < BH_MAX_ISOLATING ? j->n_isolating : BH_MAX_ISOLATING;

	if (j->reason != BH_REASON_DEFAULT_DENY)
		return 0;
	memcpy(ret, j->isolating, n * sizeof(*ret));
	return j->n_isolating;
}

static void judge_policies(const struct query *q, struct bh_dir_verdict *ret)
{
	struct judgement all = { 0 }, j = { 0 };
	bool saw_audited;

	judge(q, false, &j);
	saw_audited = j.saw_audited;
	if (j.verdict == BH_VERDICT_DENIED) {
		j = (struct judgement){ .wants_near = true };
		judge(q, false, &j);
	}
	ret->verdict = j.verdict;
	ret->reason = j.reason;
	ret->rule = j.rule;
	ret->n_isolating = keep_isolating(&j, ret->isolating);
	memcpy(ret->near, j.near, sizeof(j.near));
	ret->n_near = j.n_near;
	ret->audit_verdict = j.verdict;
	if (!saw_audited)
		return;

	judge(q, true, &all);
	ret->audit_verdict = all.verdict;
	if (all.verdict == BH_VERDICT_ALLOWED || j.verdict == BH_VERDICT_DENIED)
		return;
	ret->audit_rule = all.rule;
	ret->n_audit_isolating = keep_isolating(&all, ret->audit_isolating);
}

/* --- ends ------------------------------------------------------------------------------ */

struct bh_end bh_eval_end(const struct bh_world *w, const struct bh_addr *a,
			  const struct bh_pod *pod)
{
	struct bh_end end = { .entity = BH_ENTITY_EXTERNAL };

	end.pod = pod ? pod : bh_world_pod_by_addr(w, a);
	if (end.pod && end.pod->is_host_network) {
		end.entity = BH_ENTITY_NODE;
		end.node = bh_world_node(w, end.pod->node);
	} else if (end.pod) {
		end.entity = BH_ENTITY_POD;
		end.is_here = end.pod->is_local;
	} else {
		end.node = bh_world_node_by_addr(w, a);
		if (end.node)
			end.entity = BH_ENTITY_NODE;
	}
	return end;
}

static bool same_pod(const struct bh_pod *a, const struct bh_pod *b)
{
	return a == b || (strcmp(a->name, b->name) == 0 &&
			  strcmp(a->namespace, b->namespace) == 0 && strcmp(a->uid, b->uid) == 0);
}

static bool is_addr_of(const struct bh_node *node, const struct bh_addr *a)
{
	size_t i;

	for (i = 0; i < node->n_addrs; i++)
		if (bh_addr_eq(&node->addrs[i], a))
			return true;
	return false;
}

/* The name of the node a pod runs on; "" where nobody said. */
static const char *node_of(const struct bh_world *w, const struct bh_pod *pod)
{
	if (*pod->node)
		return pod->node;
	return pod->is_local ? bh_world_own_node(w) : "";
}

/*
 * Whether @src is the node on which @pod runs.  Where nobody named that node,
 * it is the only one that is known.
 */
static bool is_own_node(const struct bh_world *w, const struct bh_pod *pod,
			const struct bh_end *src, const struct bh_addr *a)
{
	const char *name = node_of(w, pod);
	const struct bh_node *node;

	if (src->entity != BH_ENTITY_NODE)
		return false;
	if (src->pod)
		return strcmp(node_of(w, src->pod), name) == 0;
	if (!*name)
		return bh_world_stats(w).n_nodes == 1;
	node = bh_world_node(w, name);
	return node && is_addr_of(node, a);
}

static bool is_unspecified(const struct bh_addr *a)
{
	static const uint8_t zero[sizeof(a->bytes)];

	return memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

static void settle_at(struct bh_dir_verdict *ret, enum bh_verdict verdict, enum bh_reason reason)
{
	ret->verdict = verdict;
	ret->audit_verdict = verdict;
	ret->reason = reason;
}

/* True where policies judge, which *ret_query asks them; else *ret is the answer. */
static bool is_judged(const struct bh_world *w, const struct bh_flow *flow, enum bh_dir dir,
		      const struct bh_end *src, const struct bh_end *dst, struct query *ret_query,
		      struct bh_dir_verdict *ret)
{
	const struct bh_end *own = dir == BH_INGRESS ? dst : src;
	const struct bh_end *other = dir == BH_INGRESS ? src : dst;
	const struct bh_addr *addr = dir == BH_INGRESS ? &flow->src : &flow->dst;
	struct query q = { .w = w, .flow = flow, .dir = dir, .subject = own->pod, .other = *other };

	memset(ret, 0, sizeof(*ret));
	if (own->entity != BH_ENTITY_POD || own->pod->is_finished) {
		settle_at(ret, BH_VERDICT_ALLOWED, BH_REASON_NOT_SUBJECT);
	} else if (other->entity == BH_ENTITY_POD && same_pod(own->pod, other->pod)) {
		settle_at(ret, BH_VERDICT_ALLOWED, BH_REASON_SELF);
	} else if (dir == BH_INGRESS && is_own_node(w, own->pod, other, addr)) {
		settle_at(ret, BH_VERDICT_ALLOWED, BH_REASON_OWN_NODE);
	} else if (bh_pod_is_closed(own->pod)) {
		settle_at(ret, BH_VERDICT_DENIED,
			  own->pod->has_no_labels_yet ? BH_REASON_NO_LABELS : BH_REASON_CONTESTED);
		if (bh_world_mode(w) == BH_AUDIT)
			ret->verdict = BH_VERDICT_ALLOWED;
	} else {
		q.addr = other->pod && is_unspecified(addr) ? NULL : addr;
		q.dst_pod = dst->entity == BH_ENTITY_POD ? dst->pod : NULL;
		q.n_policies = bh_world_policies_of(w, own->pod->namespace, &q.policies);
		*ret_query = q;
		return true;
	}
	return false;
}

static void eval_dir(const struct bh_world *w, const struct bh_flow *flow, enum bh_dir dir,
		     const struct bh_end *src, const struct bh_end *dst, struct bh_dir_verdict *ret)
{
	struct query q;

	if (is_judged(w, flow, dir, src, dst, &q, ret))
		judge_policies(&q, ret);
}

void bh_eval_dir(const struct bh_world *w, const struct bh_flow *flow, enum bh_dir dir,
		 struct bh_dir_verdict *ret)
{
	struct bh_end src = bh_eval_end(w, &flow->src, flow->src_pod);
	struct bh_end dst = bh_eval_end(w, &flow->dst, flow->dst_pod);

	eval_dir(w, flow, dir, &src, &dst, ret);
}

void bh_eval_policy(const struct bh_world *w, const struct bh_flow *flow, enum bh_dir dir,
		    const struct bh_policy *p, struct bh_policy_word *ret)
{
	struct bh_end src = bh_eval_end(w, &flow->src, flow->src_pod);
	struct bh_end dst = bh_eval_end(w, &flow->dst, flow->dst_pod);
	struct judgement j = { .wants_near = true };
	struct bh_dir_verdict unjudged;
	struct query q;

	memset(ret, 0, sizeof(*ret));
	if (!is_judged(w, flow, dir, &src, &dst, &q, &unjudged) ||
	    !bh_world_selects(w, p, q.subject))
		return;
	ret->is_about = bh_policy_speaks(p, dir);
	if (!ret->is_about || p->invalid)
		return;
	ret->matches = first_match(&q, p, &j) != NULL;
	if (ret->matches) {
		ret->rule_index = j.rule.rule_index;
		return;
	}
	memcpy(ret->near, j.near, sizeof(j.near));
	ret->n_near = j.n_near;
}

/* What both directions come to. */
static void unite(struct bh_result *r)
{
	r->verdict = BH_VERDICT_ALLOWED;
	r->audit_verdict = BH_VERDICT_ALLOWED;
	r->here = BH_VERDICT_ALLOWED;
	for (enum bh_dir d = 0; d < BH_DIR_COUNT_; d++) {
		const struct bh_end *own = d == BH_INGRESS ? &r->dst : &r->src;
		const struct bh_dir_verdict *v = &r->dir[d];
		bool is_here = own->is_here || v->reason == BH_REASON_NO_POD;

		if (v->verdict == BH_VERDICT_DENIED)
			r->verdict = BH_VERDICT_DENIED;
		if (v->verdict == BH_VERDICT_DENIED && is_here)
			r->here = BH_VERDICT_DENIED;
		if (v->audit_verdict == BH_VERDICT_DENIED)
			r->audit_verdict = BH_VERDICT_DENIED;
	}
}

void bh_eval(const struct bh_world *w, const struct bh_flow *flow, struct bh_result *ret)
{
	ret->src = bh_eval_end(w, &flow->src, flow->src_pod);
	ret->dst = bh_eval_end(w, &flow->dst, flow->dst_pod);
	for (enum bh_dir d = 0; d < BH_DIR_COUNT_; d++)
		eval_dir(w, flow, d, &ret->src, &ret->dst, &ret->dir[d]);
	unite(ret);
}

void bh_eval_copy(const struct bh_world *w, const struct bh_flow *flow, struct bh_result *ret)
{
	struct bh_flow sent = *flow;

	sent.dst_pod = NULL;
	bh_eval(w, flow, ret);
	bh_eval_dir(w, &sent, BH_EGRESS, &ret->dir[BH_EGRESS]);
	unite(ret);
}

void bh_result_close(struct bh_result *result, enum bh_dir dir, enum bh_reason reason,
		     bool is_audit)
{
	struct bh_dir_verdict v = { 0 };

	settle_at(&v, BH_VERDICT_DENIED, reason);
	if (is_audit)
		v.verdict = BH_VERDICT_ALLOWED;
	result->dir[dir] = v;
	unite(result);
}
