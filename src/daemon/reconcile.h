/*
 * Brings the kernel to what the world says, and keeps it there.
 */
#ifndef BH_RECONCILE_H
#define BH_RECONCILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "bh/err.h"
#include "bh/plan.h"
#include "pass.h"

struct bh_agent;

/* Upper bounds of the buckets of durations, in seconds. */
#define BH_DURATION_BUCKETS                                                                        \
	{                                                                                          \
		0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5                           \
	}
#define BH_N_DURATION_BUCKETS 10

struct bh_durations {
	uint64_t buckets[BH_N_DURATION_BUCKETS]; /* each with those before it */
	uint64_t n;
	double seconds;
};

/* What the kernel's table is made from; the theory is told in reconcile.c. */
enum bh_stage {
	BH_STAGE_GRACE, /* all sources are waited for */
	BH_STAGE_FOUND, /* no longer; the kernel was not looked at yet */
	BH_STAGE_HELD,  /* what was in force stays, with additions that close */
	BH_STAGE_PART,  /* what is known, since nothing was in force */
	BH_STAGE_WHOLE, /* everything: all sources were in sync, or their last state serves */
};

struct bh_reconcile {
	struct bh_agent *agent;
	struct bh_pass pass;
	uv_timer_t job;
	uv_timer_t grace; /* of BH_STAGE_GRACE, then until a part is trusted */
	enum bh_stage stage;
	struct bh_plan_set *part_mark; /* in the plan while it is of a part of the world */
	bool is_part_trusted;          /* what is missing will not come soon */
	uint64_t hold_ms; /* BH_STAGE_HELD: loop time of the next look, at the earliest */
	uv_poll_t watch;
	bool is_armed;
	uint64_t deadline_ms; /* loop time by which an armed job runs at the latest */
	uint64_t due_ms;      /* loop time at which it is planned */
	uint64_t backoff_ms;  /* 0: the last commit was fine */
	uint64_t last_job_ms; /* loop time at which it ran last */

	bool is_adopted;          /* what was in the kernel was read and brought to the plan */
	bool is_first;            /* the kernel had no rules of ours before those */
	bool has_new_links;       /* the port guard did not see them yet */
	bool is_doubtful;         /* the kernel may hold something else than the settled plan */
	char trouble[BH_ERR_MAX]; /* why the kernel is not at the plan; "" if it is */
	uint32_t ruleset_id;      /* of the kernel when we last knew its content */

	uint64_t generation; /* acknowledged by the kernel */
	uint64_t last_real_ns, last_duration_us;
	size_t last_n_ops;
	uint64_t n_commits, n_failures, n_read_backs, n_tampers;
	struct bh_durations commits;
	/* From the first fact that a commit is about to the kernel's acknowledgement. */
	struct bh_durations changes;
	uint64_t change_ns; /* monotonic, of that fact; 0: none waits */
};

int bh_reconcile_start(struct bh_reconcile *r, struct bh_agent *agent, struct bh_err *err);
void bh_reconcile_stop(struct bh_reconcile *r);

/* The world may have changed: runs the job soon, or with @is_urgent in this turn. */
void bh_reconcile_defer(struct bh_reconcile *r, bool is_urgent);
/* Links that may be pods' ports came or went: the port guard follows in this turn. */
void bh_reconcile_note_links(struct bh_reconcile *r);
/* Generation that the kernel will have once it is at what the world says now. */
uint64_t bh_reconcile_wanted(const struct bh_reconcile *r);
/* The last commit failed and was not made good since. */
bool bh_reconcile_has_trouble(const struct bh_reconcile *r);
/* Reads back if anybody changed the ruleset since our last look. */
void bh_reconcile_audit(struct bh_reconcile *r);
/* What the kernel enforces is ours: of this run, or held from before it. */
bool bh_reconcile_is_in_force(const struct bh_reconcile *r);
/* The world is good enough to cut connections that it denies. */
bool bh_reconcile_may_revoke(const struct bh_reconcile *r);
/* The job is long overdue: something is wrong with this process. */
bool bh_reconcile_is_stuck(const struct bh_reconcile *r);

#endif
