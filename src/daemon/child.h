/*
 * A piece of work in a process of its own, which sees memory as it is when it
 * starts, while the loop goes on.
 */
#ifndef BH_CHILD_H
#define BH_CHILD_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "bh/err.h"

/* Zero is one that does not run. */
struct bh_child {
	uv_poll_t answer;
	int fd;
	pid_t pid;
	void *ctx;
	void (*on_done)(void *ctx, const char *error);
};

/*
 * fork() for a child that only computes and writes: of the agent's files it keeps the
 * standard ones and @keep, and it ends with the agent.
 */
pid_t bh_child_fork(int keep);

/*
 * @work runs in the child, must not touch the loop, and ends it.  @on_done is called
 * in the loop, with NULL or what went wrong; after it, another may be started.
 */
int bh_child_start(struct bh_child *c, uv_loop_t *loop, int (*work)(void *ctx, struct bh_err *err),
		   void (*on_done)(void *ctx, const char *error), void *ctx, struct bh_err *err);
bool bh_child_is_running(const struct bh_child *c);
/* Kills it where it runs; @on_done is not called. */
void bh_child_stop(struct bh_child *c);

#endif
