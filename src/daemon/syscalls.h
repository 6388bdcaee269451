/*
 * The system calls of the agent: what it may ask of the kernel once it is set up.
 *
 * One table, by groups, each with the reason why the agent needs it.  A call that
 * is in no group is not allowed.  tests/seccomp/collect.sh records which calls the
 * test suite makes; tests/unit/test_seccomp.c compares the table with that record.
 */
#ifndef BH_SYSCALLS_H
#define BH_SYSCALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bh_syscall_use {
	BH_SYSCALL_SEEN,  /* some test makes every call of the group */
	BH_SYSCALL_SPARE, /* same purpose under another name, or a rare path: not all are seen */
};

struct bh_syscall_group {
	const char *name;
	const char *reason;
	enum bh_syscall_use use;
	const char *const *calls; /* ends with NULL */
};

/* A call that is allowed for some values of one argument only. */
struct bh_syscall_check {
	const char *call;
	const char *reason;
	unsigned int arg;       /* index, from 0 */
	uint64_t mask;          /* allowed if (argument & mask) is one of @values */
	const uint64_t *values; /* n_values of them */
	size_t n_values;
};

/* The groups of this build: a build with sanitizers has one more. */
const struct bh_syscall_group *bh_syscall_groups(size_t *n);
const struct bh_syscall_check *bh_syscall_checks(size_t *n);

/*
 * Calls that no library falls back from and that only an intruder makes: they end
 * the process in every mode.  Ends with NULL.
 */
const char *const *bh_syscalls_forbidden(void);

/* Whether the table allows @call at all, with whatever arguments. */
bool bh_syscall_is_allowed(const char *call);

#endif
