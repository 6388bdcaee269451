/*
 * Three plans are followed, committed and settled together.  What the guard wants
 * never keeps policy from the kernel: a table that the kernel refuses is left out and
 * said to be missing.
 */
#include "tables.h"

#include <stdio.h>

#include "agent.h"
#include "bh/log.h"

void bh_deltas_free(struct bh_deltas *d)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		bh_delta_free(&d->of[t]);
}

bool bh_deltas_are_empty(const struct bh_deltas *d)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		if (d->of[t])
			return false;
	return true;
}

size_t bh_deltas_n_ops(const struct bh_deltas *d)
{
	size_t n = 0;

	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		n += d->of[t] ? d->of[t]->n_ops : 0;
	return n;
}

struct bh_plan *bh_tables_plan(const struct bh_agent *a, enum bh_table table)
{
	return table == BH_TABLE_INET ? bh_compiler_plan(a->compiler)
				      : bh_guard_plan(a->guard, table);
}

static bool is_lacking(const struct bh_agent *a, enum bh_table table)
{
	return a->tables.lacks[table][0] != '\0';
}

void bh_tables_update(struct bh_agent *a)
{
	const struct bh_guard_link *unknown = NULL;
	const struct bh_addr *broadcasts;
	size_t n = bh_sources_unknown_links(&a->sources, &unknown);

	bh_compiler_update(a->compiler);
	bh_guard_update(a->guard, unknown, n);
	n = bh_sources_broadcasts(&a->sources, &broadcasts);
	bh_guard_set_broadcasts(a->guard, broadcasts, n);
}

bool bh_tables_are_dirty(const struct bh_agent *a)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		if (!is_lacking(a, t) && bh_plan_is_dirty(bh_tables_plan(a, t)))
			return true;
	return false;
}

void bh_tables_delta(const struct bh_agent *a, struct bh_deltas *ret)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		if (!is_lacking(a, t) && !ret->of[t])
			ret->of[t] = bh_plan_delta(bh_tables_plan(a, t));
}

void bh_tables_settle(const struct bh_agent *a)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		bh_plan_settle(bh_tables_plan(a, t));
}

bool bh_tables_give_up(struct bh_agent *a, const struct bh_nft_refusal *refusal,
		       const struct bh_err *why)
{
	char *lacks = a->tables.lacks[refusal->table];

	if (refusal->code == 0 || refusal->table == BH_TABLE_INET)
		return false;
	/* Its link went; the news of that is on its way. */
	if (bh_guard_forget(a->guard, refusal->name))
		return true;
	if (is_lacking(a, refusal->table))
		return false;
	snprintf(lacks, BH_ERR_MAX, "the kernel refuses table %s %s: %s",
		 bh_table_str(refusal->table), BH_TABLE, bh_err_text(why));
	bh_log_error("%s: pods' ports are not guarded, policy is enforced by addresses", lacks);
	return true;
}
