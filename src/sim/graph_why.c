/*
 * Which rules make an edge what it is.
 */
#include <string.h>

#include "graph_impl.h"

struct reasons {
	struct bh_conn_table *table;
	struct bh_graph_reason *items;
	size_t n, cap;
};

static bool is_same(const struct bh_graph_reason *a, const struct bh_graph_reason *b)
{
	return a->rule.policy == b->rule.policy && a->rule.rule_index == b->rule.rule_index &&
	       a->reason == b->reason && a->is_allowed == b->is_allowed;
}

static void add(struct reasons *r, const struct bh_graph_reason *reason)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (!is_same(&r->items[i], reason))
			continue;
		r->items[i].conns = bh_conns_or(r->table, r->items[i].conns, reason->conns);
		return;
	}
	bh_grow(&r->items, &r->cap, r->n, sizeof(*r->items));
	r->items[r->n++] = *reason;
}

static void on_part(void *ctx, const struct bh_g_hit *hit, enum bh_reason reason, bool is_allowed,
		    const struct bh_conns *conns)
{
	struct bh_graph_reason r = { .reason = reason, .is_allowed = is_allowed, .conns = conns };

	if (hit)
		r.rule = (struct bh_rule_ref){ hit->policy->policy, hit->rule };
	add(ctx, &r);
}

size_t bh_graph_why(struct bh_graph *g, const struct bh_graph_edge *e, enum bh_dir dir,
		    struct bh_graph_reason **ret)
{
	const struct bh_g_end *src = g->peers[e->src].end, *dst = g->peers[e->dst].end;
	const struct bh_g_profile *p =
		&g->profiles[dir == BH_INGRESS ? dst->profile[dir] : src->profile[dir]];
	struct reasons reasons = { .table = g->table };
	struct bh_graph_reason one = { .is_allowed = true, .conns = bh_conns_all(g->table) };
	uint32_t src_view, dst_view;
	enum bh_family f;
	size_t i;

	if (e->src == e->dst && g->peers[e->src].pub.n_pods == 1) {
		one.reason = BH_REASON_SELF;
		add(&reasons, &one);
	} else if (dir == BH_INGRESS && e->own_node == BH_GRAPH_ALL_OWN) {
		one.reason = BH_REASON_OWN_NODE;
		add(&reasons, &one);
	} else {
		for (i = 0; bh_g_view_pair(src, dst, i, &src_view, &dst_view, &f); i++) {
			struct bh_g_hit *hits;
			size_t n = bh_g_hits(g, p, dir == BH_INGRESS ? src_view : dst_view, &hits);

			bh_g_walk(g, p, hits, n, false, on_part, &reasons);
			free(hits);
		}
	}
	*ret = reasons.items;
	return reasons.n;
}
