/*
 * Checks of rules and policies without which nothing changes, proved on the
 * engine.
 *
 * Two copies of the world are kept, with pods of the future in both (future.h).
 * A rule is taken out of the one, and every flow that it matches is judged in
 * both: of every pod that its policy selects, with every pod, node and kind of
 * address, at every port where some rule makes a difference.  The first flow
 * that comes out otherwise ends it, which makes it quick where nothing is to be
 * found.  What is found stays out, so that all findings hold together: of two
 * equal rules one is told.  The last are tried first.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bh/selector.h"
#include "future.h"
#include "lint_impl.h"

/* Flows judged for one rule, and for all; beyond them nothing is claimed. */
#define MAX_FLOWS     200000u
#define MAX_ALL_FLOWS 10000000u

struct end {
	struct bh_addr addr;
	const struct bh_pod *pods[2]; /* of either world; NULL if none */
	const struct bh_node *node;
};

struct lint_proof {
	struct future *worlds[2]; /* as it is, and what is tried */
	struct end *ends;
	size_t n_ends, cap_ends;
	uint16_t *ports;
	size_t n_ports, cap_ports;
	size_t n_flows, n_all_flows;
	bool is_unfinished;

	/* What is tried now. */
	const struct bh_policy *policy; /* of the first world */
	const struct bh_rule *rule;     /* NULL: all of the policy */
	bool has_sample;
	struct bh_dir_verdict sample; /* of the first flow, in the second world */
};

/* --- ends and ports -------------------------------------------------------------------- */

static void add_end(struct lint_proof *p, struct end e)
{
	bh_grow(&p->ends, &p->cap_ends, p->n_ends, sizeof(*p->ends));
	p->ends[p->n_ends++] = e;
}

/* The first from @a on that is nobody's: a pod and a node are ends of their own. */
static void add_addr(struct lint_proof *p, const struct bh_addr *a)
{
	const struct bh_world *w = p->worlds[0]->w;
	struct bh_addr at = *a;

	while (bh_world_pod_by_addr(w, &at) || bh_world_node_by_addr(w, &at))
		if (!bh_addr_next(&at))
			return;
	add_end(p, (struct end){ .addr = at });
}

/* Where a block begins, and where it has just ended: what lies between is judged alike. */
static void add_block(struct lint_proof *p, const struct bh_cidr *c)
{
	struct bh_range r = bh_cidr_range(c);

	add_addr(p, &r.first);
	if (bh_addr_next(&r.last))
		add_addr(p, &r.last);
}

static void add_port(struct lint_proof *p, unsigned int port)
{
	if (port == 0 || port > UINT16_MAX)
		return;
	bh_grow(&p->ports, &p->cap_ports, p->n_ports, sizeof(*p->ports));
	p->ports[p->n_ports++] = (uint16_t)port;
}

static void add_rule(struct lint_proof *p, const struct bh_rule *r)
{
	size_t i, k;

	for (i = 0; i < r->n_ports; i++) {
		if (r->ports[i].name)
			continue;
		add_port(p, r->ports[i].first);
		add_port(p, r->ports[i].last + 1u);
	}
	for (i = 0; i < r->n_peers; i++) {
		if (r->peers[i].kind != BH_PEER_CIDR)
			continue;
		add_block(p, &r->peers[i].cidr);
		for (k = 0; k < r->peers[i].n_except; k++)
			add_block(p, &r->peers[i].except[k]);
	}
}

static void add_pods(struct lint_proof *p)
{
	const struct bh_pod *const *a, *const *b;
	size_t n = bh_world_pods(p->worlds[0]->w, &a), i, k;

	bh_world_pods(p->worlds[1]->w, &b);
	for (i = 0; i < n; i++) {
		struct end e = { .pods = { a[i], b[i] } };

		if (!a[i]->n_addrs)
			add_end(p, e);
		for (k = 0; k < a[i]->n_addrs; k++) {
			e.addr = a[i]->addrs[k];
			add_end(p, e);
		}
		for (k = 0; k < a[i]->n_ports; k++) {
			add_port(p, a[i]->ports[k].number);
			add_port(p, a[i]->ports[k].number + 1u);
		}
	}
}

static void add_nodes(struct lint_proof *p)
{
	const struct bh_node *const *nodes;
	size_t n = bh_world_nodes(p->worlds[0]->w, &nodes), i, k;

	for (i = 0; i < n; i++)
		for (k = 0; k < nodes[i]->n_addrs; k++)
			add_end(p, (struct end){ .addr = nodes[i]->addrs[k], .node = nodes[i] });
}

static int cmp_ports(const void *a, const void *b)
{
	const uint16_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void collect(struct lint_proof *p, const struct lint *l)
{
	const struct bh_addr v4 = { .family = BH_IPV4, .bytes = { 1 } };
	const struct bh_addr v6 = { .family = BH_IPV6, .bytes = { 0x20, 1 } };
	size_t i, k, n = 0;
	enum bh_dir d;

	add_pods(p);
	add_nodes(p);
	add_addr(p, &v4);
	add_addr(p, &v6);
	add_port(p, 1);
	for (i = 0; i < l->n_policies; i++)
		for (d = 0; d < BH_DIR_COUNT_; d++)
			for (k = 0; k < l->policies[i]->rules[d].n; k++)
				add_rule(p, &l->policies[i]->rules[d].items[k]);
	bh_sort(p->ports, p->n_ports, sizeof(*p->ports), cmp_ports);
	for (i = 0; i < p->n_ports; i++)
		if (n == 0 || p->ports[n - 1] != p->ports[i])
			p->ports[n++] = p->ports[i];
	p->n_ports = n;
}

/* --- flows ------------------------------------------------------------------------------- */

static bool is_peer(const struct lint_proof *p, const struct bh_peer *peer, const struct end *e)
{
	switch (peer->kind) {
	case BH_PEER_PODS:
		return e->pods[0] && bh_world_peer_is(p->worlds[0]->w, p->policy, peer, e->pods[0]);
	case BH_PEER_CIDR: return bh_cidr_contains(&peer->cidr, &e->addr);
	case BH_PEER_NODES: return e->node && bh_selector_matches(&peer->pods, &e->node->labels);
	case BH_PEER_NOTHING:
	case BH_PEER_KIND_COUNT_: break;
	}
	return false;
}

static bool may_match_end(const struct lint_proof *p, const struct end *e)
{
	size_t i;

	for (i = 0; p->rule && i < p->rule->n_peers; i++)
		if (is_peer(p, &p->rule->peers[i], e))
			return true;
	return !p->rule || !p->rule->has_peers;
}

static bool may_match_port(const struct lint_proof *p, uint8_t protocol, uint16_t port)
{
	size_t i;

	for (i = 0; p->rule && i < p->rule->n_ports; i++) {
		const struct bh_policy_port *q = &p->rule->ports[i];

		if ((!q->protocol || q->protocol == protocol) &&
		    (q->name || (port >= q->first && port <= q->last)))
			return true;
	}
	return !p->rule || !p->rule->has_ports;
}

static struct bh_dir_verdict judge(const struct lint_proof *p, size_t world, enum bh_dir dir,
				   const struct end *own, const struct end *other, uint8_t protocol,
				   uint16_t port)
{
	const struct end *src = dir == BH_EGRESS ? own : other;
	const struct end *dst = dir == BH_EGRESS ? other : own;
	struct bh_flow f = { .src = src->addr,
			     .dst = dst->addr,
			     .protocol = protocol,
			     .dst_port = port,
			     .src_pod = src->pods[world],
			     .dst_pod = dst->pods[world] };
	struct bh_dir_verdict v;
	struct bh_pod twin;

	/* Of pods to come there may be two that are alike. */
	if (own == other && own->pods[world]->n_addrs == 0) {
		twin = *own->pods[world];
		twin.uid = "another";
		f.src_pod = &twin;
	}

	bh_eval_dir(p->worlds[world]->w, &f, dir, &v);
	return v;
}

/* False if it comes out otherwise, or where that takes too long to say. */
static bool is_same(struct lint_proof *p, enum bh_dir dir, const struct end *own,
		    const struct end *other, uint8_t protocol, uint16_t port)
{
	struct bh_dir_verdict was, is;

	if (!may_match_port(p, protocol, port))
		return true;
	p->n_all_flows++;
	if (++p->n_flows > MAX_FLOWS || p->n_all_flows > MAX_ALL_FLOWS) {
		p->is_unfinished = true;
		return false;
	}
	was = judge(p, 0, dir, own, other, protocol, port);
	is = judge(p, 1, dir, own, other, protocol, port);
	if (!p->has_sample)
		p->sample = is;
	p->has_sample = true;
	return was.verdict == is.verdict && was.audit_verdict == is.audit_verdict;
}

static bool is_same_between(struct lint_proof *p, enum bh_dir dir, const struct end *own,
			    const struct end *other)
{
	static const uint8_t with_ports[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	size_t i, k;

	for (i = 0; i < BH_ARRAY_LEN(with_ports); i++)
		for (k = 0; k < p->n_ports; k++)
			if (!is_same(p, dir, own, other, with_ports[i], p->ports[k]))
				return false;
	return is_same(p, dir, own, other, IPPROTO_ICMP, 0);
}

/* Whether all flows of the pods that the policy selects come out as before. */
static bool is_same_in(struct lint_proof *p, enum bh_dir dir)
{
	size_t i, k;

	for (i = 0; i < p->n_ends; i++) {
		const struct end *own = &p->ends[i];

		if (!own->pods[0] || !bh_world_selects(p->worlds[0]->w, p->policy, own->pods[0]))
			continue;
		for (k = 0; k < p->n_ends; k++)
			if (may_match_end(p, &p->ends[k]) &&
			    !is_same_between(p, dir, own, &p->ends[k]))
				return false;
	}
	return true;
}

/* --- trials ---------------------------------------------------------------------------------- */

static void begin(struct lint_proof *p, const struct bh_policy *policy, const struct bh_rule *rule)
{
	p->policy = bh_world_policy(p->worlds[0]->w, policy->kind, policy->namespace, policy->name);
	p->rule = rule;
	p->n_flows = 0;
	p->has_sample = false;
}

static void put(struct lint_proof *p, const struct bh_policy *policy)
{
	struct bh_fact f = { .kind = BH_KIND_POLICY,
			     .source = BH_SOURCE_MANIFEST,
			     .policy = *policy };

	bh_world_apply(p->worlds[1]->w, &f, NULL);
	bh_world_settle(p->worlds[1]->w);
}

static bool is_policy_idle(struct lint_proof *p, const struct bh_policy *policy)
{
	const struct bh_key key = { .kind = BH_KIND_POLICY,
				    .source = BH_SOURCE_MANIFEST,
				    .policy_kind = policy->kind,
				    .namespace = policy->namespace,
				    .name = policy->name };
	bool is_idle;

	begin(p, policy, NULL);
	bh_world_remove(p->worlds[1]->w, &key);
	bh_world_settle(p->worlds[1]->w);
	is_idle = is_same_in(p, BH_INGRESS) && is_same_in(p, BH_EGRESS) && p->has_sample;
	if (!is_idle)
		put(p, p->policy);
	return is_idle;
}

/* @now: the policy with the rules that are left; loses rule @i where that changes nothing. */
static bool is_rule_idle(struct lint_proof *p, struct bh_policy *now, enum bh_dir dir, size_t i)
{
	struct bh_rules before = now->rules[dir];
	struct bh_rule *left = bh_calloc(before.n, sizeof(*left));
	bool is_idle;

	begin(p, now, &before.items[i]);
	memcpy(left, before.items, i * sizeof(*left));
	memcpy(left + i, before.items + i + 1, (before.n - i - 1) * sizeof(*left));
	now->rules[dir] = (struct bh_rules){ left, before.n - 1 };
	put(p, now);
	is_idle = is_same_in(p, dir) && p->has_sample;
	now->rules[dir] = before;
	if (!is_idle)
		put(p, now);
	free(left);
	return is_idle;
}

static const char *who_decides(struct lint *l, const struct lint_proof *p, enum bh_dir dir)
{
	const struct bh_policy *by = p->sample.rule.policy;
	const struct bh_rule *r;

	if (!by && p->sample.n_isolating)
		return lint_subject(l, p->sample.isolating[0]);
	if (!by)
		return "the absence of any policy";
	/* Its number may be another by now. */
	r = &by->rules[dir].items[p->sample.rule.rule_index];
	return lint_printf(l, "a rule of %s (%s:%d)", lint_subject(l, by),
			   by->file ? by->file : "input", r->line ? r->line : by->line);
}

/*
 * A rule that allows is covered by others for every pod if it is for those with
 * the fewest labels.  Where some rule denies or passes on, and of whole policies,
 * it takes pods that several selectors match, of which only those of the input
 * were asked: so much is said then, and no more.
 */
static bool has_tiers(const struct lint *l)
{
	size_t i;

	for (i = 0; i < l->n_policies; i++)
		if (l->policies[i]->tier != BH_TIER_NETWORK_POLICY)
			return true;
	return false;
}

static enum bh_severity severity(const struct lint *l)
{
	return has_tiers(l) ? BH_SEVERITY_INFO : BH_SEVERITY_WARNING;
}

static void tell_rule(struct lint *l, const struct lint_proof *p, const struct bh_policy *policy,
		      enum bh_dir dir, const struct bh_rule *r)
{
	lint_add(l, severity(l), policy->file, r->line ? r->line : policy->line,
		 lint_subject(l, policy), "remove the rule",
		 "%s changes nothing, %s: %s says the same, or is asked first",
		 lint_rule(l, policy, dir, r),
		 has_tiers(l) ? "for the pods of the input" : "whatever pods there will be",
		 who_decides(l, p, dir));
}

/* @now: the policy with the rules that are left; @rules: its own copy of those of @dir. */
static void try_rules_in(struct lint *l, struct lint_proof *p, const struct bh_policy *policy,
			 enum bh_dir dir, struct bh_policy *now, struct bh_rule *rules)
{
	size_t i;

	now->rules[dir].items = rules;
	for (i = policy->rules[dir].n; i-- > 0;) {
		if (!is_rule_idle(p, now, dir, i))
			continue;
		tell_rule(l, p, policy, dir, &policy->rules[dir].items[i]);
		memmove(&rules[i], &rules[i + 1], (now->rules[dir].n - i - 1) * sizeof(*rules));
		now->rules[dir].n--;
	}
}

static struct bh_rule *copy_rules(const struct bh_rules *rules)
{
	struct bh_rule *copy = bh_calloc(rules->n, sizeof(*copy));

	memcpy(copy, rules->items, rules->n * sizeof(*copy));
	return copy;
}

static void try_rules(struct lint *l, struct lint_proof *p, const struct bh_policy *policy)
{
	bh_auto_free struct bh_rule *ingress = copy_rules(&policy->rules[BH_INGRESS]);
	bh_auto_free struct bh_rule *egress = copy_rules(&policy->rules[BH_EGRESS]);
	struct bh_policy now = *policy;

	/* What is found in one direction stays out while the other is tried. */
	try_rules_in(l, p, policy, BH_INGRESS, &now, ingress);
	try_rules_in(l, p, policy, BH_EGRESS, &now, egress);
}

static void check_idle(struct lint *l)
{
	struct lint_proof p = { .worlds = { future_new(l->w, &future_few),
					    future_new(l->w, &future_few) } };
	size_t i;

	p.is_unfinished = p.worlds[0]->is_cut;
	collect(&p, l);
	for (i = l->n_policies; i-- > 0 && !p.is_unfinished;) {
		const struct bh_policy *policy = l->policies[i];

		if (policy->invalid)
			continue;
		if (is_policy_idle(&p, policy))
			lint_policy(l, policy, 0, "remove the policy",
				    "changes nothing, for the pods of the input: without it every "
				    "connection comes out the same");
		else
			try_rules(l, &p, policy);
	}
	if (p.is_unfinished)
		lint_add(l, BH_SEVERITY_INFO, NULL, 0, "input", NULL,
			 "there is too much to prove of every rule whether it changes something");
	free(p.ends);
	free(p.ports);
	future_free(&p.worlds[0]);
	future_free(&p.worlds[1]);
}

const struct lint_row lint_proof_rows[] = {
	{ .check = { "redundant", BH_SEVERITY_WARNING,
		     "a rule or policy without which nothing changes" },
	  .needs_pods = true,
	  .on_world = check_idle },
	{ .check = { .name = NULL } },
};
