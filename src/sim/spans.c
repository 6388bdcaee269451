/*
 * All ports and protocols between two ends.
 *
 * Between two neighbouring numbers that some rule or named port of the
 * destination mentions, nothing can change: the engine is asked once for each
 * such span, and what it decides by the same rule is put together.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "query.h"

/* First ports of spans. */
struct cuts {
	uint32_t *items;
	size_t n, cap;
};

static void cut(struct cuts *c, uint32_t port)
{
	/* Nobody is at port 0: 1-65535 is all there is. */
	if (port <= 1 || port > UINT16_MAX)
		return;
	bh_grow(&c->items, &c->cap, c->n, sizeof(*c->items));
	c->items[c->n++] = port;
}

static void cut_rule(struct cuts *c, const struct bh_rule *rule)
{
	size_t i;

	for (i = 0; i < rule->n_ports; i++) {
		if (rule->ports[i].name)
			continue;
		cut(c, rule->ports[i].first);
		cut(c, rule->ports[i].last + 1u);
	}
}

static void cut_pod(const struct bh_sim *sim, struct cuts *c, const struct bh_pod *pod,
		    enum bh_dir dir)
{
	const struct bh_policy *const *policies;
	size_t i, k, n = bh_world_policies_of(sim->world, pod->namespace, &policies);

	for (i = 0; i < n; i++)
		for (k = 0; k < policies[i]->rules[dir].n; k++)
			cut_rule(c, &policies[i]->rules[dir].items[k]);
}

static int by_port(const void *a, const void *b)
{
	const uint32_t *p = a, *q = b;

	return (*p > *q) - (*p < *q);
}

static void find_cuts(const struct bh_sim *sim, const struct bh_flow *f, struct cuts *c)
{
	size_t i, n = 0;

	bh_grow(&c->items, &c->cap, c->n, sizeof(*c->items));
	c->items[c->n++] = 0;
	if (f->src_pod)
		cut_pod(sim, c, f->src_pod, BH_EGRESS);
	if (f->dst_pod)
		cut_pod(sim, c, f->dst_pod, BH_INGRESS);
	for (i = 0; f->dst_pod && i < f->dst_pod->n_ports; i++) {
		cut(c, f->dst_pod->ports[i].number);
		cut(c, f->dst_pod->ports[i].number + 1u);
	}
	bh_sort(c->items, c->n, sizeof(*c->items), by_port);
	for (i = 0; i < c->n; i++)
		if (i == 0 || c->items[i] != c->items[n - 1])
			c->items[n++] = c->items[i];
	c->n = n;
}

/* --- putting together ------------------------------------------------------------------ */

static bool is_alike(const struct bh_dir_verdict *a, const struct bh_dir_verdict *b)
{
	return a->verdict == b->verdict && a->reason == b->reason &&
	       a->rule.policy == b->rule.policy && a->rule.rule_index == b->rule.rule_index &&
	       a->audit_verdict == b->audit_verdict;
}

static void add_span(struct bh_sim_spans *s, size_t cap[], enum bh_dir dir,
		     const struct bh_conns *conns, const struct bh_flow *flow,
		     const struct bh_result *result)
{
	struct bh_sim_span *items = s->items[dir];
	size_t i;

	for (i = 0; i < s->n[dir]; i++) {
		if (!is_alike(&items[i].result.dir[dir], &result->dir[dir]))
			continue;
		items[i].conns = bh_conns_or(s->table, items[i].conns, conns);
		return;
	}
	bh_grow(&s->items[dir], &cap[dir], s->n[dir], sizeof(*items));
	s->items[dir][s->n[dir]++] =
		(struct bh_sim_span){ .conns = conns, .flow = *flow, .result = *result };
}

static void judge(const struct bh_sim *sim, struct bh_sim_spans *s, size_t cap[],
		  const struct bh_flow *flow, const struct bh_conns *conns)
{
	struct bh_result result;
	char why[BH_ERR_MAX];
	size_t d;

	bh_eval(sim->world, flow, &result);
	for (d = 0; d < BH_DIR_COUNT_; d++)
		add_span(s, cap, (enum bh_dir)d, conns, flow, &result);
	if (sim_is_undecidable(sim, flow, why, sizeof(why)) ||
	    sim_is_node_unknown(sim, flow, &result, why, sizeof(why))) {
		s->undecidable = bh_conns_or(s->table, s->undecidable, conns);
		memcpy(s->why, why, sizeof(why));
		return;
	}
	if (result.verdict == BH_VERDICT_ALLOWED)
		s->allowed = bh_conns_or(s->table, s->allowed, conns);
	if (result.verdict == BH_VERDICT_ALLOWED && result.audit_verdict == BH_VERDICT_DENIED)
		s->audited = bh_conns_or(s->table, s->audited, conns);
}

static void judge_all(const struct bh_sim *sim, struct bh_sim_spans *s, struct bh_flow *flow)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	size_t cap[BH_DIR_COUNT_] = { 0 }, i, k;
	struct cuts cuts = { 0 };

	find_cuts(sim, flow, &cuts);
	for (i = 0; i < BH_ARRAY_LEN(protocols); i++) {
		flow->protocol = protocols[i];
		for (k = 0; k < cuts.n; k++) {
			uint32_t first = cuts.items[k];
			uint32_t last = k + 1 < cuts.n ? cuts.items[k + 1] - 1 : UINT16_MAX;

			flow->dst_port = (uint16_t)(first ? first : 1);
			judge(sim, s, cap, flow,
			      bh_conns_range(s->table, protocols[i], (uint16_t)first,
					     (uint16_t)last));
		}
	}
	flow->protocol = flow->src.family == BH_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	flow->dst_port = 0;
	/* Protocols without ports are one to policy; this one stands for them. */
	judge(sim, s, cap, flow, bh_conns_range(s->table, flow->protocol, 0, UINT16_MAX));
	free(cuts.items);
}

int bh_sim_ask_all(const struct bh_sim *sim, const struct bh_sim_query *q, struct bh_sim_spans *ret,
		   struct bh_err *err)
{
	struct bh_sim_spans s = { 0 };
	enum bh_family family = q->family;
	struct end src, dst;
	struct bh_flow flow;
	int r = sim_find_end(sim, q->src, false, &src, err);

	if (r == 0)
		r = sim_find_end(sim, q->dst, true, &dst, err);
	if (r == 0 && dst.service)
		r = bh_err(err, -EINVAL, "%s is a Service; ask with one of its ports, or a pod",
			   q->dst);
	if (r == 0)
		r = sim_choose_family(q, &src, &dst, &family, err);
	if (r < 0)
		return r;
	s.table = bh_conn_table_new();
	s.allowed = s.audited = s.undecidable = bh_conns_none(s.table);
	flow = sim_flow(&src, &dst, family);
	judge_all(sim, &s, &flow);
	*ret = s;
	return 0;
}

void bh_sim_spans_done(struct bh_sim_spans *s)
{
	size_t d;

	for (d = 0; d < BH_DIR_COUNT_; d++)
		free(s->items[d]);
	bh_conn_table_free(&s->table);
	*s = (struct bh_sim_spans){ 0 };
}

void bh_sim_span_describe(const struct bh_sim *sim, const struct bh_sim_span *s, enum bh_dir dir,
			  struct bh_buf *out)
{
	struct bh_flow shown = sim_shown(sim, &s->flow);

	bh_dir_verdict_describe(sim->world, &shown, &s->result, dir, out);
}
