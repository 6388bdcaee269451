/*
 * Cuts established connections that the rules of this node no longer allow, and only
 * those.
 */
#ifndef BH_REVOKE_H
#define BH_REVOKE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bh/addr.h"
#include "bh/err.h"

struct bh_agent;
struct bh_policy;
struct bh_touched;
struct bh_walk;

struct bh_revoker {
	struct bh_agent *agent;
	uv_timer_t timer;  /* until the next walk */
	uv_timer_t pickup; /* every second while connections are picked up */
	uv_idle_t slice;   /* while there is something to judge or to cut */

	/* For the next walk. */
	struct bh_touched *touched;
	bool is_all;
	bool is_due;              /* the rules that it is about are in the kernel */
	uint64_t wanted_ms;       /* loop time from which on it is wanted, while it is due */
	unsigned int round;       /* how often the same connections were looked for before */
	unsigned int n_retries;   /* after failures */
	size_t n_ordered;         /* policies of tiers that can deny one peer */
	size_t budget;            /* connections of one pod that the next walk cuts */
	uint64_t pickup_until_ms; /* loop time; until then connections are picked up */
	uint64_t n_picked_up;     /* packets so far */

	struct bh_walk *walk; /* under way, or NULL */

	uint64_t last_walk_ms; /* loop time of its end */
	uint64_t pause_ms;     /* after it */
	/* Connections that are not allowed by the rules of up to here are cut. */
	uint64_t generation;
	bool has_cuts;            /* the kernel's sets may hold some */
	size_t n_open;            /* of the walk under way and those before that it follows */
	size_t n_live;            /* connections that the last cuts did not end */
	char trouble[BH_ERR_MAX]; /* why connections may live on; "" if none does */
	uint64_t n_walks, n_spared, n_entries, n_revoked, n_failed, n_live_total;
	uint64_t cpu_ns; /* of all walks */
};

void bh_revoker_init(struct bh_revoker *rv, struct bh_agent *agent);
/* A listing that runs in a thread is waited for. */
void bh_revoker_stop(struct bh_revoker *rv);

/* Why connections of an address are judged again. */
enum bh_touch {
	BH_TOUCH_NEW,     /* a pod that nobody knew has it now */
	BH_TOUCH_GONE,    /* a pod of another node had it, and nobody has it now */
	BH_TOUCH_CHANGED, /* whatever else */
};
/*
 * Connections of @a are to be judged again after the next commit; with --revoke no, only if
 * its pod is in quarantine.
 */
void bh_revoker_touch(struct bh_revoker *rv, const struct bh_addr *a, enum bh_touch why);
/* @a went from one pod to another or to nobody: all its connections go. */
void bh_revoker_forget(struct bh_revoker *rv, const struct bh_addr *a);
/* A policy that changed, for what tells whether a new pod can be denied to others. */
void bh_revoker_count_policy(struct bh_revoker *rv, const struct bh_policy *before,
			     const struct bh_policy *after);
/* Connections of every local pod are to be judged again. */
void bh_revoker_touch_all(struct bh_revoker *rv);
/*
 * The rules are what they were before: no connection is judged otherwise, only those
 * of forgotten addresses go.
 */
void bh_revoker_spare(struct bh_revoker *rv);
/* The kernel has the rules now: a walk starts soon. */
void bh_revoker_commit(struct bh_revoker *rv);
/* Somebody waits for the cuts: a walk that could wait for others starts now. */
void bh_revoker_hurry(struct bh_revoker *rv);
/*
 * The kernel has rules.  Where it had none (@is_first), it may have tracked nothing
 * before: connections that are older are picked up for a while, whichever end speaks
 * first, and judged then.
 */
void bh_revoker_start(struct bh_revoker *rv, bool is_first);
/* Up to which generation of the rules all cuts are done. */
uint64_t bh_revoker_generation(const struct bh_revoker *rv);

#endif
