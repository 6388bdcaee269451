/*
 * Who and why.  Identities are as of the packet's time, from the history.  The
 * reason is the evaluator's, on the world of now, if nothing that it depends on
 * has changed: the pod still has the chain that logged the packet (chains are
 * named by what they are made of), both ends are who they were, and the answer
 * is the one the kernel gave.  Otherwise only the chain's policies are known.
 */
#include <netinet/in.h>
#include <string.h>

#include "bh/clock.h"
#include "flow.h"

/* The kernel's, the runtime's and our clocks do not agree exactly. */
#define SLACK_NS (2 * BH_NS_PER_S)

static struct bh_identity identity_of(const struct bh_pod *pod)
{
	return (struct bh_identity){
		.namespace = pod->namespace,
		.name = pod->name,
		.uid = pod->uid,
		.node = pod->node,
		.labels = pod->labels,
		.workload_kind = pod->workload_kind,
		.workload_name = pod->workload_name,
	};
}

static void set_pod(struct flow_end *end, const struct bh_identity *id, bool is_exact)
{
	end->entity = BH_RECORD_POD;
	end->confidence = is_exact ? BH_CONFIDENCE_EXACT : BH_CONFIDENCE_RECENT;
	end->pod = *id;
}

/* Whom neither the history nor the settled world knows: who has the address now. */
static void attribute_now(const struct bh_world *w, const struct bh_addr *a, bool is_judged,
			  struct flow_end *ret)
{
	struct bh_end now = bh_eval_end(w, a, NULL);
	struct bh_identity id;

	ret->is_current = true;
	switch (now.entity) {
	case BH_ENTITY_POD:
		id = identity_of(now.pod);
		set_pod(ret, &id, false);
		return;
	case BH_ENTITY_NODE:
		ret->entity = BH_RECORD_NODE;
		ret->confidence = BH_CONFIDENCE_RECENT;
		ret->pod.node = now.node ? now.node->name : NULL;
		return;
	case BH_ENTITY_EXTERNAL:
		/* Only a pod of ours has such a chain; we do not know which. */
		ret->entity = is_judged ? BH_RECORD_UNKNOWN : BH_RECORD_EXTERNAL;
		ret->confidence = BH_CONFIDENCE_NONE;
		return;
	case BH_ENTITY_COUNT_: abort();
	}
}

/* What the world still gathers counts from the moment when the history notes it. */
static void attribute_settled(const struct bh_world *w, const struct bh_addr *a,
			      const struct bh_pod *pod, bool is_exact, struct flow_end *ret)
{
	const struct bh_identity id = identity_of(pod);

	set_pod(ret, &id, is_exact);
	ret->is_current = bh_world_pod_by_addr(w, a) == pod;
}

void flow_attribute_end(const struct flow_sources *s, const struct bh_addr *a, uint64_t at_ns,
			bool is_judged, struct flow_end *ret)
{
	const uint64_t since_ns = bh_history_since(s->history, a);
	uint64_t ago_ns = UINT64_MAX;
	const struct bh_identity *was = bh_history_near(s->history, a, at_ns, &ago_ns);
	const uint64_t ahead_ns = at_ns < since_ns ? since_ns - at_ns : 0;
	/* Nothing is settled before the history's first note. */
	const struct bh_pod *pod =
		since_ns < UINT64_MAX ? bh_world_settled_pod_by_addr(s->world, a) : NULL;

	*ret = (struct flow_end){ 0 };
	if (ago_ns > SLACK_NS)
		was = NULL;
	if (pod && (!was || ahead_ns <= ago_ns))
		attribute_settled(s->world, a, pod, ahead_ns == 0, ret);
	else if (was)
		set_pod(ret, was, ago_ns == 0);
	else
		attribute_now(s->world, a, is_judged, ret);
}

/* Without the port there is nothing to evaluate: a later fragment, a packet cut short. */
static bool has_needed_port(const struct flow_sample *s)
{
	return s->has_ports || (s->protocol != IPPROTO_TCP && s->protocol != IPPROTO_UDP &&
				s->protocol != IPPROTO_SCTP);
}

bool flow_is_no_pod(const char *chain)
{
	return strcmp(chain, BH_CHAIN_NO_POD_FROM) == 0 || strcmp(chain, BH_CHAIN_NO_POD_TO) == 0;
}

static bool has_chain(const struct flow_sources *s, const struct flow_sample *sample,
		      const struct bh_pod *receiver)
{
	const struct bh_pod *pod =
		receiver ? receiver
			 : bh_world_pod_by_addr(s->world, sample->dir == BH_INGRESS ? &sample->dst
										    : &sample->src);
	const struct bh_profile *p =
		pod ? bh_compiler_profile_of(s->compiler, pod, sample->dir) : NULL;

	return p && strcmp(p->name, sample->chain) == 0;
}

static bool agrees(const struct bh_dir_verdict *v, enum bh_verdict_class class)
{
	if (class == BH_CLASS_DENIED)
		return v->verdict == BH_VERDICT_DENIED;
	return v->verdict != BH_VERDICT_DENIED && v->audit_verdict == BH_VERDICT_DENIED;
}

static void explain(const struct flow_sources *s, const struct flow_sample *sample,
		    const struct flow_attribution *a, struct flow_reason *ret)
{
	/* NULL unless the address is a group's. */
	const struct bh_pod *receiver = bh_guard_pod_of(s->guard, sample->copy_to);
	const struct bh_flow flow = {
		.src = sample->src,
		.dst = sample->dst,
		.protocol = sample->protocol,
		.dst_port = sample->dst_port,
		.dst_pod = receiver,
	};

	*ret = (struct flow_reason){ 0 };
	ret->profile = bh_compiler_profile(s->compiler, sample->chain);
	if (!a->src.is_current || !a->dst.is_current || !has_needed_port(sample) ||
	    !has_chain(s, sample, receiver))
		return;
	bh_eval_dir(s->world, &flow, sample->dir, &ret->verdict);
	ret->is_evaluated = agrees(&ret->verdict, sample->class);
}

/* The judged pod is the one behind the port, whatever addresses the packet bears. */
static void attribute_port(const struct flow_sources *s, uint32_t link, struct flow_end *ret)
{
	const struct bh_pod *pod = bh_guard_pod_of(s->guard, link);
	struct bh_identity id;

	*ret = (struct flow_end){ .entity = BH_RECORD_UNKNOWN, .confidence = BH_CONFIDENCE_NONE };
	if (!pod)
		return;
	id = identity_of(pod);
	set_pod(ret, &id, true);
	ret->is_current = true;
}

static void attribute_guarded(const struct flow_sources *s, const struct flow_sample *sample,
			      struct flow_attribution *ret)
{
	const bool is_ingress = sample->dir == BH_INGRESS;
	struct flow_end *other = is_ingress ? &ret->src : &ret->dst;

	*ret = (struct flow_attribution){ 0 };
	attribute_port(s, sample->link, is_ingress ? &ret->dst : &ret->src);
	if (sample->src.family == BH_FAMILY_COUNT_)
		*other = (struct flow_end){ .entity = BH_RECORD_UNKNOWN,
					    .confidence = BH_CONFIDENCE_NONE };
	else
		flow_attribute_end(s, is_ingress ? &sample->src : &sample->dst, sample->at_ns,
				   false, other);
}

void flow_attribute(const struct flow_sources *s, const struct flow_sample *sample,
		    struct flow_attribution *ret)
{
	const bool is_ingress = sample->dir == BH_INGRESS;

	if (sample->link) {
		attribute_guarded(s, sample, ret);
		return;
	}

	flow_attribute_end(s, &sample->src, sample->at_ns, !is_ingress, &ret->src);
	if (sample->copy_to)
		attribute_port(s, sample->copy_to, &ret->dst);
	else
		flow_attribute_end(s, &sample->dst, sample->at_ns, is_ingress, &ret->dst);
	explain(s, sample, ret, &ret->reason);
}
