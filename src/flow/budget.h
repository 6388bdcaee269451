/*
 * A rate in bytes that tenants share fairly.
 */
#ifndef BH_FLOW_BUDGET_H
#define BH_FLOW_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_budget;

/* @bytes_per_s is above 0; bursts of up to 8 s of it pass. */
struct flow_budget *flow_budget_new(uint64_t bytes_per_s);
void flow_budget_free(struct flow_budget **b);
/*
 * Whether @tenant (any name; "" is those without one) may write @bytes at @now_ns, which
 * only goes forward.  They count as written then.
 */
bool flow_budget_take(struct flow_budget *b, const char *tenant, size_t bytes, uint64_t now_ns);
/* Tenants that have a share of their own. */
size_t flow_budget_shares(const struct flow_budget *b);

#endif
