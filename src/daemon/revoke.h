/*
 * Cuts established connections that policy no longer allows, and only those.
 */
#ifndef BH_REVOKE_H
#define BH_REVOKE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bh/addr.h"

struct bh_agent;
struct bh_touched;

struct bh_revoker {
	struct bh_agent *agent;
	uv_timer_t timer;
	uint64_t last_walk_ms; /* loop time of its end */
	uint64_t pause_ms;     /* after it */
	unsigned int n_retries;
	bool is_due, is_all, has_forgotten;
	struct bh_touched *touched;
	uint64_t n_walks, n_revoked, n_failed;
};

void bh_revoker_init(struct bh_revoker *rv, struct bh_agent *agent);
void bh_revoker_stop(struct bh_revoker *rv);

/* Connections of @a are to be judged again after the next commit. */
void bh_revoker_touch(struct bh_revoker *rv, const struct bh_addr *a);
/* @a went from one pod to another or to nobody: all its connections go. */
void bh_revoker_forget(struct bh_revoker *rv, const struct bh_addr *a);
/* Connections of every local pod are to be judged again. */
void bh_revoker_touch_all(struct bh_revoker *rv);
/*
 * The rules are what they were before: no connection is judged otherwise, only those
 * of forgotten addresses go.
 */
void bh_revoker_spare(struct bh_revoker *rv);
/* The kernel has the rules now: walks at once, or soon after the last walk. */
void bh_revoker_commit(struct bh_revoker *rv);

#endif
