/*
 * The agent's own filter of system calls, seccomp(2).
 *
 * It is loaded once, after capabilities are dropped and before anything is read
 * from a manifest, a peer or the runtime.  Every thread and child inherits it and
 * nothing takes it off again.
 */
#ifndef BH_SECCOMP_H
#define BH_SECCOMP_H

#include <jansson.h>
#include <stdbool.h>

#include "bh/err.h"

/* What happens to a call that is not in the table (syscalls.h). */
enum bh_seccomp_mode {
	BH_SECCOMP_ERRNO, /* it fails with ENOSYS */
	BH_SECCOMP_KILL,  /* it ends the process with SIGSYS */
	BH_SECCOMP_LOG,   /* it is done, and the kernel writes an audit entry */
	BH_SECCOMP_OFF,   /* no filter */
	BH_SECCOMP_MODE_COUNT_
};

const char *bh_seccomp_mode_str(enum bh_seccomp_mode mode);

struct bh_seccomp {
	enum bh_seccomp_mode mode;
	bool is_in_force;
	char trouble[BH_ERR_MAX]; /* why it is not, although @mode asks for it; else empty */
};

/*
 * Keeps the event library from making calls through io_uring, which no filter sees.
 * Before the first uv_loop_init().
 */
void bh_seccomp_prepare(void);

/*
 * Loads the filter into every thread of this process, which must have
 * no_new_privs.  0, or a negative errno with text and *s says why: the caller goes
 * on without.
 */
int bh_seccomp_load(struct bh_seccomp *s, enum bh_seccomp_mode mode, struct bh_err *err);

/*
 * The same, and the log says what came of it: an agent without a filter protects pods
 * better than no agent.
 */
void bh_seccomp_start(struct bh_seccomp *s, enum bh_seccomp_mode mode);

/* For `status`, with what the kernel says about this process: a new reference. */
json_t *bh_seccomp_json(const struct bh_seccomp *s);

#endif
