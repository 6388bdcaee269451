/*
 * Writes a file of state after changes, from a process of its own, now and then.
 */
#ifndef BH_STATEWRITER_H
#define BH_STATEWRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "bh/err.h"

/* Set by the owner; the rest is the writer's. */
struct bh_statewriter {
	uv_loop_t *loop;
	/* Writes the file, in the child or at the end in the agent itself. */
	int (*write)(void *ctx, uint64_t *ret_real_ns, struct bh_err *err);
	/* A write ended, well or with @err; may be NULL. */
	void (*on_written)(void *ctx, const char *err);
	void *ctx;
	uint64_t first_ms, every_ms; /* after a change; between two writes */
	const char *loss;            /* what a failure means, for the log */

	bool is_allowed; /* there is a state worth writing */
	bool is_changed; /* since what is written, or being written */
	bool is_stopping;
	uv_timer_t timer;
	uv_poll_t answer; /* of the child that writes */
	int answer_fd;
	pid_t child;
	uint64_t state_ns; /* since 1970: of the state in the file; 0 unknown */
	uint64_t n_writes, n_failures;
	uint64_t last_write_ms, last_took_ms; /* loop time */
};

void bh_statewriter_start(struct bh_statewriter *w);
/* Something changed. */
void bh_statewriter_note(struct bh_statewriter *w);
/* Writes what is not written yet. */
void bh_statewriter_stop(struct bh_statewriter *w);

#endif
