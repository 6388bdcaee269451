/*
 * The agent's tables as one: the compiler's of policy, and the port guard's two.
 */
#ifndef BH_TABLES_H
#define BH_TABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "bh/err.h"
#include "bh/nft.h"

struct bh_agent;

/* At most one for each table, for one transaction. */
struct bh_deltas {
	struct bh_delta *of[BH_TABLE_COUNT_];
};
void bh_deltas_free(struct bh_deltas *d);
bool bh_deltas_are_empty(const struct bh_deltas *d);
size_t bh_deltas_n_ops(const struct bh_deltas *d);

struct bh_tables {
	/* Why the kernel has no such table; "" where it can. */
	char lacks[BH_TABLE_COUNT_][BH_ERR_MAX];
};

/* Follows the world: the compiler, then the guard.  Settles the world. */
void bh_tables_update(struct bh_agent *a);
struct bh_plan *bh_tables_plan(const struct bh_agent *a, enum bh_table table);
/* Some plan is not what the kernel was told last. */
bool bh_tables_are_dirty(const struct bh_agent *a);
/* What happened to the plans since they were settled. */
void bh_tables_delta(const struct bh_agent *a, struct bh_deltas *ret);
/* Free all deltas before. */
void bh_tables_settle(const struct bh_agent *a);

/*
 * What of the guard the kernel refused goes, so that policy is enforced: a port whose
 * link is gone by now, or a table that this kernel cannot have.  False if it was not
 * the guard's.
 */
bool bh_tables_give_up(struct bh_agent *a, const struct bh_nft_refusal *refusal,
		       const struct bh_err *why);

#endif
