/*
 * The plan as nftables syntax that `nft -f` loads (nft 1.0.6 and later) and that
 * gives the same table as committing the plan.
 */
#ifndef BH_RENDER_H
#define BH_RENDER_H

#include "bh/buf.h"
#include "bh/plan.h"

/* The same plan gives the same bytes. */
void bh_render(const struct bh_plan *plan, struct bh_buf *out);
/* One rule without newline, for errors and tests. */
void bh_render_rule(const struct bh_plan_rule *rule, struct bh_buf *out);

#endif
