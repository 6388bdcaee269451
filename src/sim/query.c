/*
 * One question: who is meant, which flow it is, what the engine says.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "query.h"

const char *bh_sim_verdict_str(enum bh_sim_verdict v)
{
	static const char *const names[] = {
		[BH_SIM_ALLOWED] = "allowed",
		[BH_SIM_DENIED] = "denied",
		[BH_SIM_UNDECIDABLE] = "undecidable",
	};

	return names[v];
}

/* --- families --------------------------------------------------------------------------- */

static const struct bh_addr *addr_of(const struct end *e, enum bh_family family)
{
	size_t i;

	for (i = 0; i < e->n_addrs; i++)
		if (e->addrs[i].family == family)
			return &e->addrs[i];
	return NULL;
}

/* Pods whose address nobody knows are of either family. */
static bool has_family(const struct end *e, enum bh_family family)
{
	return addr_of(e, family) || (e->pod && e->n_addrs == 0);
}

static struct bh_addr addr_or_none(const struct end *e, enum bh_family family)
{
	const struct bh_addr *a = addr_of(e, family);

	return a ? *a : (struct bh_addr){ .family = (uint8_t)family };
}

static int no_family(const struct bh_sim_query *q, const struct end *src, const struct end *dst,
		     struct bh_err *err)
{
	if (q->has_family)
		return bh_err(err, -EINVAL, "%s has no %s address",
			      has_family(src, q->family) ? dst->text : src->text,
			      bh_family_str(q->family));
	return bh_err(err, -EINVAL, "%s and %s have no addresses of the same family", src->text,
		      dst->text);
}

int sim_choose_family(const struct bh_sim_query *q, const struct end *src, const struct end *dst,
		      enum bh_family *ret, struct bh_err *err)
{
	size_t f;

	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		if (q->has_family && f != q->family)
			continue;
		if (!has_family(src, (enum bh_family)f) || !has_family(dst, (enum bh_family)f))
			continue;
		*ret = (enum bh_family)f;
		return 0;
	}
	return no_family(q, src, dst, err);
}

static uint8_t protocol_of(uint8_t protocol, enum bh_family family)
{
	if (protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6)
		return protocol;
	return family == BH_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

struct bh_flow sim_flow(const struct end *src, const struct end *dst, enum bh_family family)
{
	return (struct bh_flow){
		.src = addr_or_none(src, family),
		.dst = addr_or_none(dst, family),
		.src_pod = src->pod,
		.dst_pod = dst->pod,
	};
}

/* --- one flow ----------------------------------------------------------------------------- */

static void judge(const struct bh_sim *sim, struct bh_sim_answers *ret, struct bh_sim_answer *a)
{
	bh_eval(sim->world, &a->flow, &a->result);
	a->verdict = a->result.verdict == BH_VERDICT_ALLOWED ? BH_SIM_ALLOWED : BH_SIM_DENIED;
	if (sim_is_undecidable(sim, &a->flow, ret->why, sizeof(ret->why)) ||
	    sim_is_node_unknown(sim, &a->flow, &a->result, ret->why, sizeof(ret->why)))
		a->verdict = BH_SIM_UNDECIDABLE;
}

struct bh_pod sim_twin(const struct bh_pod *pod)
{
	struct bh_pod twin = *pod;

	twin.uid = "itself through its Service";
	return twin;
}

/*
 * A pod that reaches itself through its Service: translated, the packet comes
 * back to where it was sent from, and is judged there like any other by us.
 * The API does not say so, nor that it passes.  To the engine it must not look
 * like a pod that talks to itself directly.
 */
static void judge_hairpin(const struct bh_sim *sim, struct bh_sim_answers *ret,
			  struct bh_sim_answer *a)
{
	const struct bh_pod *pod = a->flow.src_pod;
	struct bh_pod twin = sim_twin(pod);

	a->flow.src_pod = &twin;
	judge(sim, ret, a);
	a->flow.src_pod = pod;
	a->result.src.pod = pod;
	if (a->verdict != BH_SIM_DENIED)
		return;
	a->verdict = BH_SIM_UNDECIDABLE;
	snprintf(ret->why, sizeof(ret->why),
		 "%s/%s reaches itself through the Service; policy denies that here, and the API "
		 "does not say whether it applies",
		 pod->namespace, pod->name);
}

/* --- what an agent does beside policy ------------------------------------------------------ */

/* One address in place of the pod's. */
static int replace_addr(const char *text, struct end *end, struct bh_err *err)
{
	if (!text)
		return 0;
	if (!end->pod)
		return bh_err(err, -EINVAL, "only a pod can bear another address, not %s",
			      end->text);
	if (bh_addr_parse(text, &end->single, NULL) < 0)
		return bh_err(err, -EINVAL, "'%s' is no address", text);
	end->addrs = &end->single;
	end->n_addrs = 1;
	return 0;
}

static int read_addrs(const struct bh_sim_query *q, struct end *src, struct end *dst,
		      struct bh_err *err)
{
	int r = replace_addr(q->from, src, err);

	if (r == 0)
		r = replace_addr(q->to, dst, err);
	if (r == 0 && q->to && !bh_addr_is_group(&dst->single))
		return bh_err(err, -EINVAL, "%s is no group's address (multicast or broadcast)",
			      q->to);
	return r;
}

static bool is_closed(const struct bh_sim_query *q, const struct bh_addr *a,
		      const struct bh_end *end)
{
	for (size_t i = 0; i < q->n_closed && end->entity == BH_ENTITY_EXTERNAL; i++)
		if (bh_cidr_contains(&q->closed[i], a))
			return true;
	return false;
}

/* The addresses of pods that no source tells are made up. */
static bool has_addrs(const struct bh_sim *sim, const struct bh_pod *pod)
{
	struct bh_flow flow = { .src_pod = pod }, shown;

	if (pod->n_addrs == 0)
		return false;
	flow.src = pod->addrs[0];
	shown = sim_shown(sim, &flow);
	return bh_addr_eq(&shown.src, &flow.src);
}

static void judge_source(const struct bh_sim *sim, struct bh_sim_answers *ret,
			 struct bh_sim_answer *a)
{
	const struct bh_pod *pod = a->flow.src_pod;

	if (bh_pod_owns(pod, &a->flow.src))
		return;
	if (has_addrs(sim, pod)) {
		bh_result_close(&a->result, BH_EGRESS, BH_REASON_SPOOFED, false);
		return;
	}
	a->verdict = BH_SIM_UNDECIDABLE;
	snprintf(ret->why, sizeof(ret->why), "the manifests do not say which addresses %s/%s has",
		 pod->namespace, pod->name);
}

static void judge_ports(const struct bh_sim *sim, const struct bh_sim_query *q,
			struct bh_sim_answers *ret, struct bh_sim_answer *a)
{
	if (q->to)
		bh_eval_copy(sim->world, &a->flow, &a->result);
	if (is_closed(q, &a->flow.src, &a->result.src))
		bh_result_close(&a->result, BH_EGRESS, BH_REASON_NO_POD, false);
	if (is_closed(q, &a->flow.dst, &a->result.dst))
		bh_result_close(&a->result, BH_INGRESS, BH_REASON_NO_POD, false);
	if (q->from)
		judge_source(sim, ret, a);
	if (a->verdict != BH_SIM_UNDECIDABLE)
		a->verdict =
			a->result.verdict == BH_VERDICT_ALLOWED ? BH_SIM_ALLOWED : BH_SIM_DENIED;
}

static int ask_one(const struct bh_sim *sim, const struct bh_sim_query *q, const struct end *src,
		   const struct end *dst, uint16_t port, const struct bh_service *service,
		   struct bh_sim_answers *ret, struct bh_err *err)
{
	struct bh_sim_answer *a = &ret->items[ret->n];
	enum bh_family family = q->family;
	int r = sim_choose_family(q, src, dst, &family, err);

	if (r < 0)
		return r;
	a->service = service;
	a->flow = sim_flow(src, dst, family);
	a->flow.protocol = protocol_of(q->protocol, family);
	a->flow.dst_port = port;
	if (service && src->pod && src->pod == dst->pod)
		judge_hairpin(sim, ret, a);
	else
		judge(sim, ret, a);
	if (q->from || q->to || q->n_closed > 0)
		judge_ports(sim, q, ret, a);
	ret->n++;
	return 0;
}

/* --- Services -------------------------------------------------------------------------------- */

static const struct bh_service_port *find_port(const struct bh_service *s,
					       const struct bh_sim_query *q)
{
	size_t i;

	for (i = 0; i < s->n_ports; i++)
		if (s->ports[i].protocol == q->protocol && s->ports[i].port == q->port)
			return &s->ports[i];
	return NULL;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static int no_port(const struct bh_service *s, const struct bh_sim_query *q, struct bh_err *err)
{
	static const char *const names[] = {
		[IPPROTO_TCP] = "TCP", [IPPROTO_UDP] = "UDP", [IPPROTO_SCTP] = "SCTP"
	};
	struct bh_buf has = { 0 };
	size_t i;

	if (!has_ports(q->protocol))
		return bh_err(err, -EINVAL,
			      "Service %s/%s passes on TCP, UDP and SCTP only; name a pod",
			      s->namespace, s->name);
	for (i = 0; i < s->n_ports && has.len < 100; i++)
		bh_buf_printf(&has, "%s%s %u", i ? ", " : "",
			      has_ports(s->ports[i].protocol) ? names[s->ports[i].protocol] : "?",
			      s->ports[i].port);
	bh_err(err, -EINVAL, "Service %s/%s has no port %s %u; it has %s", s->namespace, s->name,
	       names[q->protocol], q->port, has.len ? bh_buf_str(&has) : "none");
	bh_buf_done(&has);
	return -EINVAL;
}

/* The port of @pod that @p leads to; 0 if it has none of that name. */
static uint16_t target_port(const struct bh_service_port *p, const struct bh_pod *pod)
{
	size_t i;

	if (!p->target_name)
		return p->target;
	for (i = 0; i < pod->n_ports; i++)
		if (pod->ports[i].protocol == p->protocol && pod->ports[i].name &&
		    strcmp(pod->ports[i].name, p->target_name) == 0)
			return pod->ports[i].number;
	return 0;
}

static int ask_service(const struct bh_sim *sim, const struct bh_sim_query *q,
		       const struct end *src, const struct bh_service *s,
		       const struct bh_service_port *p, struct bh_sim_answers *ret,
		       struct bh_err *err)
{
	size_t i, n;
	const struct bh_pod *const *pods = sim_endpoints(sim, s, &n);

	ret->items = bh_calloc(n, sizeof(*ret->items));
	for (i = 0; i < n; i++) {
		uint16_t port = p ? target_port(p, pods[i]) : q->port;
		struct end dst = { .text = pods[i]->name };
		int r;

		if (p && port == 0)
			continue;
		sim_end_of_pod(sim, pods[i], &dst);
		r = ask_one(sim, q, src, &dst, port, s, ret, err);
		if (r < 0)
			return r;
	}
	if (ret->n > 0)
		return 0;
	if (!s->has_selector)
		return bh_err(err, -EINVAL,
			      "Service %s/%s has no selector, so nobody knows where it leads",
			      s->namespace, s->name);
	return bh_err(err, -ENOENT, "Service %s/%s leads to no pod", s->namespace, s->name);
}

/* --- asking ---------------------------------------------------------------------- */

static void differ(struct bh_sim_answers *ret, const struct bh_sim_answer *a,
		   const struct bh_sim_answer *b)
{
	ret->verdict = BH_SIM_UNDECIDABLE;
	snprintf(ret->why, sizeof(ret->why), "the pods of the Service differ: %s is %s, %s is %s",
		 a->flow.dst_pod->name, bh_sim_verdict_str(a->verdict), b->flow.dst_pod->name,
		 bh_sim_verdict_str(b->verdict));
}

static void unite(struct bh_sim_answers *ret)
{
	size_t i;

	ret->verdict = ret->items[0].verdict;
	for (i = 1; i < ret->n; i++) {
		if (ret->items[i].verdict == ret->verdict)
			continue;
		differ(ret, &ret->items[0], &ret->items[i]);
		return;
	}
}

static int ask(const struct bh_sim *sim, const struct bh_sim_query *q, struct bh_sim_answers *ret,
	       struct bh_err *err)
{
	const struct bh_service_port *port = NULL;
	struct end src, dst;
	int r = sim_find_end(sim, q->src, false, &src, err);

	if (r == 0)
		r = sim_find_end(sim, q->dst, true, &dst, err);
	if (r == 0)
		r = read_addrs(q, &src, &dst, err);
	if (r < 0)
		return r;
	if (dst.service && !dst.service->is_headless)
		port = find_port(dst.service, q);
	/* To its address, what is not one of its ports goes untranslated. */
	if (dst.service && (port || dst.service->is_headless))
		return ask_service(sim, q, &src, dst.service, port, ret, err);
	if (dst.service && dst.n_addrs == 0)
		return no_port(dst.service, q, err);
	ret->items = bh_calloc(1, sizeof(*ret->items));
	return ask_one(sim, q, &src, &dst, q->port, NULL, ret, err);
}

int bh_sim_ask(const struct bh_sim *sim, const struct bh_sim_query *q, struct bh_sim_answers *ret,
	       struct bh_err *err)
{
	struct bh_sim_answers a = { 0 };
	int r = ask(sim, q, &a, err);

	if (r < 0) {
		bh_sim_answers_done(&a);
		return r;
	}
	unite(&a);
	*ret = a;
	return 0;
}

void bh_sim_answers_done(struct bh_sim_answers *a)
{
	free(a->items);
	a->items = NULL;
	a->n = 0;
}
