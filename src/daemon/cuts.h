/*
 * The kernel's sets of what was cut: packets that would bring a connection back.
 */
#ifndef BH_CUTS_H
#define BH_CUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/addr.h"
#include "bh/err.h"
#include "bh/nft.h"
#include "bh/plan.h"

/*
 * Packets that begin no connection (any but TCP's SYN) and belong to none are dropped
 * if they are of this kind.  Ports are in host byte order, 0 in a pair.
 */
struct bh_cut {
	struct bh_addr src, dst;
	uint8_t protocol;
	bool is_pair; /* whatever the ports */
	uint16_t src_port, dst_port;
};

/*
 * All that the kernel has, in the network namespace of the calling thread; the caller
 * frees *ret.  Uses no object of the agent, so that any thread may call it.
 */
int bh_cuts_list(struct bh_cut **ret, size_t *ret_n, struct bh_err *err);

/*
 * Adds to the sets of @plan, which the kernel must have; what is there already is no
 * error.  -ENFILE: a set is full, nothing was added.
 */
int bh_cuts_put(struct bh_nft *nft, const struct bh_plan *plan, const struct bh_cut *cuts, size_t n,
		struct bh_err *err);
/* Removes them; those that ran out meanwhile are no error. */
int bh_cuts_drop(struct bh_nft *nft, const struct bh_plan *plan, const struct bh_cut *cuts,
		 size_t n, struct bh_err *err);

/* Accepts TCP in mid-stream for BH_PICKUP_SECONDS. */
int bh_cuts_pick_up(struct bh_nft *nft, const struct bh_plan *plan, struct bh_err *err);
/* It still is, because another agent was here just before. */
bool bh_cuts_are_picked_up(void);
/* Packets that were accepted so, since the table was made; 0 if the kernel does not say. */
uint64_t bh_cuts_count_picked_up(struct bh_nft *nft);

#endif
