/*
 * closed-until-known: which addresses are closed while no pod is known to have them.
 */
#ifndef BH_CLOSED_H
#define BH_CLOSED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "bh/addr.h"
#include "bh/err.h"

struct bh_agent;
struct bh_config;

enum bh_closed_mode {
	BH_CLOSED_BY_DENY, /* nothing was said: auto with --default-deny, else off */
	BH_CLOSED_OFF,
	BH_CLOSED_AUTO,
	BH_CLOSED_GIVEN,
};

struct bh_ranges {
	struct bh_range *items;
	size_t n;
};

/* Zero closes nothing. */
struct bh_closed {
	struct bh_agent *agent;
	char *path;              /* of what was found, kept for the next start; NULL: not kept */
	struct bh_ranges ranges; /* in force, or about to be */
	struct bh_ranges told;   /* podCIDRs of this node, by its object */
	char from[512];          /* where the ranges come from, or why there are none */
};

/* Rules for it are wanted; whether there are ranges turns out later. */
bool bh_closed_is_wanted(const struct bh_config *c);

/* Before the first facts. */
void bh_closed_start(struct bh_closed *c, struct bh_agent *agent);
void bh_closed_stop(struct bh_closed *c);
/* The object of this node says which ranges its pods have; none is no news. */
void bh_closed_tell(struct bh_closed *c, const struct bh_cidr *cidrs, size_t n);
/* Looks for ranges again: links changed, or time passed. */
void bh_closed_check(struct bh_closed *c);
/* {"mode","ranges","interfaces","from"}; a new reference. */
json_t *bh_closed_json(const struct bh_closed *c);

/* The ranges that --boot closes, without an agent.  The caller frees ret->items. */
void bh_closed_at_boot(const struct bh_config *config, struct bh_ranges *ret);

#endif
