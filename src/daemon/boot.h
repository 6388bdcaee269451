/*
 * The last rules on disk, for the time between the machine's start and the agent's.
 */
#ifndef BH_BOOT_H
#define BH_BOOT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bh/err.h"
#include "child.h"

struct bh_agent;
struct bh_config;

/* Zero does nothing: an agent without --state. */
struct bh_boot {
	struct bh_agent *agent;
	char *path;
	uv_timer_t timer;
	struct bh_child child;
	bool is_changed; /* since what is written, or being written */
	uint64_t n_writes, n_failures;
	uint64_t saved_ns; /* since 1970, of the rules in the file; 0: none by this run */
	uint64_t start_ms; /* loop time of the write that runs, or ran last */
	uint64_t next_ms;  /* loop time of the next write, at the earliest */
};

/* Before capabilities are given up. */
int bh_boot_start(struct bh_boot *b, struct bh_agent *agent, struct bh_err *err);
/* Writes what is not written yet. */
void bh_boot_stop(struct bh_boot *b);
/* The kernel has new rules, made of all sources. */
void bh_boot_note(struct bh_boot *b);
/* {"file","time","writes","failures"}; a new reference. */
json_t *bh_boot_json(const struct bh_boot *b);

/*
 * How many quarantines the rules that an earlier run kept are of, by their head alone; 0
 * where there are none, or it cannot be read.
 */
size_t bh_boot_quarantines(const struct bh_config *config);

/* --boot: loads what was saved and ends.  Returns the exit code. */
int bh_boot_load(const struct bh_config *config);

#endif
