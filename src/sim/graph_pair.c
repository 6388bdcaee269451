/*
 * Two ends: what the source's egress and the destination's ingress allow, in
 * each family that a connection between them may have.
 */
#include "graph_impl.h"

static size_t n_views(const struct bh_g_end *e)
{
	return e->n_views[BH_IPV4] + e->n_views[BH_IPV6];
}

/* Takes the @i'th pair of views of @family, or counts *i down. */
static bool take_pair(const struct bh_g_end *src, const struct bh_g_end *dst, enum bh_family family,
		      bool is_src_bare, bool is_dst_bare, size_t *i, uint32_t *ret_src,
		      uint32_t *ret_dst)
{
	size_t n_src = is_src_bare ? 1 : src->n_views[family];
	size_t n_dst = is_dst_bare ? 1 : dst->n_views[family];

	if (*i >= n_src * n_dst) {
		*i -= n_src * n_dst;
		return false;
	}
	*ret_src = is_src_bare ? src->bare : src->views[family][*i / n_dst];
	*ret_dst = is_dst_bare ? dst->bare : dst->views[family][*i % n_dst];
	return true;
}

bool bh_g_view_pair(const struct bh_g_end *src, const struct bh_g_end *dst, size_t i,
		    uint32_t *ret_src, uint32_t *ret_dst, enum bh_family *ret_family)
{
	bool is_src_bare = n_views(src) == 0, is_dst_bare = n_views(dst) == 0;
	bool has_common = false;
	enum bh_family f;

	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		has_common |= (is_src_bare || src->n_views[f]) && (is_dst_bare || dst->n_views[f]);
	/* Nobody knows the addresses, or they do not meet: blocks do not matter. */
	if ((is_src_bare && is_dst_bare) || !has_common) {
		*ret_src = src->bare;
		*ret_dst = dst->bare;
		*ret_family = BH_IPV4;
		return i == 0;
	}
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		*ret_family = f;
		if (take_pair(src, dst, f, is_src_bare, is_dst_bare, &i, ret_src, ret_dst))
			return true;
	}
	return false;
}

void bh_g_pair(struct bh_graph *g, const struct bh_g_end *src, const struct bh_g_end *dst,
	       struct bh_graph_edge *ret)
{
	const struct bh_g_profile *egress = &g->profiles[src->profile[BH_EGRESS]];
	const struct bh_g_profile *ingress = &g->profiles[dst->profile[BH_INGRESS]];
	const struct bh_conns *none = bh_conns_none(g->table);
	const struct bh_conns *per_family[BH_FAMILY_COUNT_] = { NULL, NULL };
	uint32_t src_view, dst_view;
	enum bh_family f;
	size_t i;

	*ret = (struct bh_graph_edge){ .allowed = none,
				       .egress = none,
				       .ingress = none,
				       .audited = none,
				       .only = { none, none } };
	for (i = 0; bh_g_view_pair(src, dst, i, &src_view, &dst_view, &f); i++) {
		struct bh_g_verdict out = bh_g_verdict_of(egress, dst_view);
		struct bh_g_verdict in = bh_g_verdict_of(ingress, src_view);
		const struct bh_conns *both = bh_conns_and(g->table, out.allowed, in.allowed);
		const struct bh_conns *held = bh_conns_and(g->table, out.audited, in.audited);

		ret->egress = bh_conns_or(g->table, ret->egress, out.allowed);
		ret->ingress = bh_conns_or(g->table, ret->ingress, in.allowed);
		ret->allowed = bh_conns_or(g->table, ret->allowed, both);
		ret->audited =
			bh_conns_or(g->table, ret->audited, bh_conns_minus(g->table, both, held));
		per_family[f] = per_family[f] ? bh_conns_or(g->table, per_family[f], both) : both;
	}
	if (!per_family[BH_IPV4] || !per_family[BH_IPV6])
		return;
	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		ret->only[f] = bh_conns_minus(g->table, per_family[f], per_family[!f]);
}
