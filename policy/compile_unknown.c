/*
 * Addresses that only pods of this node may have, and that no known pod has.
 *
 * A pod sends before anybody tells of it.  Where ranges are given, packets from and to
 * an address in them that is not in the set of this node's pods are denied by a chain
 * of their own, before the maps.  The same transaction that puts an address into
 * that set leads it to its profile's chain, so there is no moment between closed
 * and judged.
 *
 * In input only what comes in by a link counts: what the node sends to itself over its
 * loopback has addresses of these ranges too, such as a bridge's.
 */
#include "compile_impl.h"

/* Always the first link of a network namespace (net/core/dev.c, dev_index_reserve()). */
#define LOOPBACK_INDEX 1

static void add_sets(struct bh_compiler *c, struct denial_limits limits[BH_DIR_COUNT_])
{
	static const char *const closed_names[BH_FAMILY_COUNT_] = { "closed4", "closed6" };
	/* Not the pods' own: who scans a range must not use up what they have. */
	static const char *const limit_names[BH_DIR_COUNT_][BH_FAMILY_COUNT_] = {
		[BH_INGRESS] = { "lim_in_no_pod4", "lim_in_no_pod6" },
		[BH_EGRESS] = { "lim_eg_no_pod4", "lim_eg_no_pod6" },
	};

	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++) {
		struct bh_set_spec closed = { .name = closed_names[f],
					      .kind = BH_SET_ADDR,
					      .family = f,
					      .is_interval = true };

		c->closed[f] = bh_plan_add_set(c->plan, &closed);
		for (enum bh_dir d = 0; d < BH_DIR_COUNT_ && c->config.log_rate; d++) {
			struct bh_set_spec limit = { .name = limit_names[d][f],
						     .kind = BH_SET_LOG_LIMIT,
						     .family = f,
						     .rate = c->config.log_rate,
						     .burst = c->config.log_burst };

			limits[d].addr[f] = bh_plan_add_set(c->plan, &limit);
		}
	}
}

void unknown_build(struct bh_compiler *c)
{
	static const char *const names[BH_DIR_COUNT_] = {
		[BH_INGRESS] = BH_CHAIN_NO_POD_TO, [BH_EGRESS] = BH_CHAIN_NO_POD_FROM
	};
	const struct bh_expr count = { .kind = BH_EXPR_COUNTER, .name = BH_COUNTER_NO_POD };
	/* A subnet's broadcast address is within its range, and never a pod's (RFC 919). */
	const struct bh_expr broadcast[] = {
		{ .kind = BH_EXPR_FIB_BROADCAST },
		{ .kind = BH_EXPR_VERDICT, .verdict = BH_V_RETURN },
	};
	struct denial_limits limits[BH_DIR_COUNT_] = { 0 };

	if (!c->config.closes_unknown)
		return;
	bh_plan_add_counter(c->plan, BH_COUNTER_NO_POD);
	add_sets(c, limits);
	for (enum bh_dir d = 0; d < BH_DIR_COUNT_; d++) {
		c->unknown[d] = bh_plan_add_chain(c->plan, names[d], "no pod yet", BH_HOOK_NONE, 0);
		if (d == BH_INGRESS)
			match_add_rule(c, c->unknown[d], broadcast, BH_ARRAY_LEN(broadcast));
		match_add_rule(c, c->unknown[d], &count, 1);
		denial_add(c, c->unknown[d], names[d], d, &limits[d],
			   bh_world_mode(c->w) == BH_AUDIT);
	}
}

void unknown_add(struct bh_compiler *c, struct bh_plan_chain *chain, enum bh_dir dir,
		 enum bh_family family)
{
	const enum bh_lookup_key key = dir == BH_INGRESS ? BH_KEY_DADDR : BH_KEY_SADDR;
	struct bh_expr exprs[4];
	size_t n = 0;

	if (!c->config.closes_unknown)
		return;
	if (chain->hook == BH_HOOK_INPUT)
		exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_MATCH,
					       .load = BH_LOAD_IIF,
					       .op = BH_MATCH_NOT_RANGE,
					       .value = LOOPBACK_INDEX,
					       .last = LOOPBACK_INDEX };
	/* Most packets have a pod of this node at the end that is looked at. */
	exprs[n++] = (struct bh_expr){
		.kind = BH_EXPR_LOOKUP, .set = c->local[family], .key = key, .is_negated = true
	};
	exprs[n++] =
		(struct bh_expr){ .kind = BH_EXPR_LOOKUP, .set = c->closed[family], .key = key };
	exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_VERDICT,
				       .verdict = BH_V_JUMP,
				       .chain = c->unknown[dir] };
	match_add_rule(c, chain, exprs, n);
}

static void drop_all(struct bh_compiler *c, struct bh_plan_set *set)
{
	bh_auto_free struct bh_elem *elems = NULL;
	size_t n;

	bh_plan_merge(c->plan);
	n = set->n;
	elems = bh_calloc(n + 1, sizeof(*elems));
	for (size_t i = 0; i < n; i++)
		bh_plan_elem(set, i, &elems[i]);
	for (size_t i = 0; i < n; i++)
		bh_plan_drop(c->plan, set, &elems[i]);
}

void bh_compiler_close_unknown(struct bh_compiler *c, const struct bh_range *ranges, size_t n)
{
	struct range_list lists[BH_FAMILY_COUNT_] = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct range_list *l = &lists[ranges[i].first.family];

		bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
		l->items[l->n++] = ranges[i];
	}
	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++) {
		drop_all(c, c->closed[f]);
		ranges_normalise(&lists[f]);
		for (size_t i = 0; i < lists[f].n; i++) {
			struct bh_elem e = { .chain = NULL };

			bh_plan_key(BH_SET_ADDR, &lists[f].items[i].first, 0, 0, e.key);
			bh_plan_key(BH_SET_ADDR, &lists[f].items[i].last, 0, 0, e.end);
			bh_plan_put(c->plan, c->closed[f], &e);
		}
		ranges_done(&lists[f]);
	}
	bh_plan_merge(c->plan);
}
