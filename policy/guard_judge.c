/*
 * What the guard's rules do with a packet, for who explains it: the same as guard_base.c and
 * guard.c say in rules.
 */
#include "guard_impl.h"

static bool is_guarded(const struct bh_guard *g, const struct bh_pod *pod)
{
	return !g->config.is_off && pod && pod->is_local && pod->n_pod_ports > 0;
}

static bool is_extra(const struct bh_pod *pod, const struct bh_addr *addr)
{
	for (size_t i = 0; i < pod->n_extra; i++)
		if (bh_cidr_contains(&pod->extra[i], addr))
			return true;
	return false;
}

static bool is_denying(const struct bh_guard *g, const struct bh_pod *pod, enum bh_dir dir)
{
	const struct bh_profile *p = bh_compiler_profile_of(g->c, pod, dir);

	return p && p->is_denying;
}

static bool share_a_bridge(const struct bh_pod *a, const struct bh_pod *b)
{
	return a->pod_ports[0].bridge && a->pod_ports[0].bridge == b->pod_ports[0].bridge;
}

/* What is for a pod's port but not for the pod. */
static bool is_unlisted(const struct bh_guard *g, const struct bh_flow *flow)
{
	const struct bh_pod *src = flow->src_pod, *dst = flow->dst_pod;

	if (!is_guarded(g, dst) || bh_pod_owns(dst, &flow->dst))
		return false;
	return is_denying(g, dst, BH_INGRESS) ||
	       (is_guarded(g, src) && share_a_bridge(src, dst) && is_denying(g, src, BH_EGRESS) &&
		dst->n_extra == 0);
}

static bool is_spoofed(const struct bh_guard *g, const struct bh_flow *flow)
{
	const struct bh_pod *src = flow->src_pod;

	return is_guarded(g, src) && !bh_pod_owns(src, &flow->src) && !is_extra(src, &flow->src);
}

void bh_guard_judge(const struct bh_guard *g, const struct bh_flow *flow, bool is_to_group,
		    struct bh_result *result)
{
	const bool is_audit = g->config.mode == BH_AUDIT;

	if (!is_to_group && is_unlisted(g, flow))
		bh_result_close(result, BH_INGRESS, BH_REASON_UNLISTED, is_audit);
	if (is_spoofed(g, flow))
		bh_result_close(result, BH_EGRESS, BH_REASON_SPOOFED, is_audit);
}
