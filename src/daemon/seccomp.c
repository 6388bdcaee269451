/*
 * Builds the filter of system calls from the tables of syscalls.c and loads it.
 *
 * What is outside the table is most often no attack but a new version of a library
 * that tries a newer call first.  ENOSYS is what such a call returns on an older
 * kernel, so libraries fall back: the default mode keeps the agent enforcing.
 * Calls that only an intruder makes end the process in every mode.
 *
 * clone3 always fails with ENOSYS: its flags are in memory, where a filter cannot
 * look, and the C library then uses clone.
 */
#include "seccomp.h"

#include <assert.h>
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/file.h"
#include "bh/log.h"
#include "syscalls.h"

static const char *const mode_names[] = {
	[BH_SECCOMP_ERRNO] = "errno",
	[BH_SECCOMP_KILL] = "kill",
	[BH_SECCOMP_LOG] = "log",
	[BH_SECCOMP_OFF] = "off",
};
static_assert(BH_ARRAY_LEN(mode_names) == BH_SECCOMP_MODE_COUNT_, "every mode has a name");

const char *bh_seccomp_mode_str(enum bh_seccomp_mode mode)
{
	return mode_names[mode];
}

void bh_seccomp_prepare(void)
{
	setenv("UV_USE_IO_URING", "0", 1);
}

static uint32_t default_action(enum bh_seccomp_mode mode)
{
	switch (mode) {
	case BH_SECCOMP_ERRNO: return SCMP_ACT_ERRNO(ENOSYS);
	case BH_SECCOMP_KILL: return SCMP_ACT_KILL_PROCESS;
	case BH_SECCOMP_LOG: return SCMP_ACT_LOG;
	case BH_SECCOMP_OFF:
	case BH_SECCOMP_MODE_COUNT_: break;
	}
	abort();
}

/*
 * A name that this architecture does not have needs no rule, and the library refuses
 * a rule that repeats the default.
 */
static int add_call(scmp_filter_ctx ctx, const char *call, uint32_t action)
{
	int nr = seccomp_syscall_resolve_name(call);
	uint32_t otherwise;
	int r = seccomp_attr_get(ctx, SCMP_FLTATR_ACT_DEFAULT, &otherwise);

	if (r < 0)
		return r;
	return nr < 0 || action == otherwise ? 0 : seccomp_rule_add(ctx, action, nr, 0);
}

static int add_check(scmp_filter_ctx ctx, const struct bh_syscall_check *c)
{
	int nr = seccomp_syscall_resolve_name(c->call), r = 0;

	if (nr < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < c->n_values; i++) {
		const struct scmp_arg_cmp cmp = { .arg = c->arg,
						  .op = SCMP_CMP_MASKED_EQ,
						  .datum_a = c->mask,
						  .datum_b = c->values[i] };

		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 1, &cmp);
	}
	return r;
}

static int add_forbidden(scmp_filter_ctx ctx)
{
	const char *const *calls = bh_syscalls_forbidden();
	int r = 0;

	/* A build with sanitizers needs some of them. */
	for (size_t i = 0; r == 0 && calls[i]; i++)
		if (!bh_syscall_is_allowed(calls[i]))
			r = add_call(ctx, calls[i], SCMP_ACT_KILL_PROCESS);
	return r;
}

static int add_allowed(scmp_filter_ctx ctx)
{
	const struct bh_syscall_group *groups;
	const struct bh_syscall_check *checks;
	size_t n_groups, n_checks;
	int r = 0;

	groups = bh_syscall_groups(&n_groups);
	for (size_t i = 0; r == 0 && i < n_groups; i++)
		for (size_t k = 0; r == 0 && groups[i].calls[k]; k++)
			r = add_call(ctx, groups[i].calls[k], SCMP_ACT_ALLOW);
	checks = bh_syscall_checks(&n_checks);
	for (size_t i = 0; r == 0 && i < n_checks; i++)
		r = add_check(ctx, &checks[i]);
	return r;
}

static int set_attributes(scmp_filter_ctx ctx)
{
	static const struct {
		enum scmp_filter_attr attr;
		uint32_t value;
	} t[] = {
		/* calls of a foreign ABI of this machine, as 32-bit ones on x86_64 */
		{ SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS },
		/* all threads */
		{ SCMP_FLTATR_CTL_TSYNC, 1 },
		/* what is denied gets an audit entry, whatever the mode */
		{ SCMP_FLTATR_CTL_LOG, 1 },
		/* a binary tree instead of a list */
		{ SCMP_FLTATR_CTL_OPTIMIZE, 2 },
		/* the kernel's own error */
		{ SCMP_FLTATR_API_SYSRAWRC, 1 },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < BH_ARRAY_LEN(t); i++)
		r = seccomp_attr_set(ctx, t[i].attr, t[i].value);
	return r;
}

static int build(scmp_filter_ctx ctx)
{
	int r = set_attributes(ctx);

	if (r == 0)
		r = add_allowed(ctx);
	if (r == 0)
		r = add_forbidden(ctx);
	return r == 0 ? add_call(ctx, "clone3", SCMP_ACT_ERRNO(ENOSYS)) : r;
}

int bh_seccomp_load(struct bh_seccomp *s, enum bh_seccomp_mode mode, struct bh_err *err)
{
	struct bh_err why = { 0 };
	scmp_filter_ctx ctx;
	int r;

	*s = (struct bh_seccomp){ .mode = mode };
	if (mode == BH_SECCOMP_OFF)
		return 0;
	ctx = seccomp_init(default_action(mode));
	r = ctx ? build(ctx) : -EINVAL;
	if (r == 0)
		r = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	s->is_in_force = r == 0;
	if (r == 0)
		return 0;
	bh_err(&why, r,
	       "the kernel takes no filter of system calls: %s (fix: a kernel with "
	       "CONFIG_SECCOMP_FILTER, in a sandbox that allows seccomp)",
	       strerror(-r));
	snprintf(s->trouble, sizeof(s->trouble), "%s", bh_err_text(&why));
	return bh_err(err, r, "%s", bh_err_text(&why));
}

void bh_seccomp_start(struct bh_seccomp *s, enum bh_seccomp_mode mode)
{
	struct bh_err err = { 0 };

	if (bh_seccomp_load(s, mode, &err) < 0)
		bh_log_error("%s, going on without it", bh_err_text(&err));
	else if (s->is_in_force)
		bh_log_debug("system calls are filtered (%s)", bh_seccomp_mode_str(s->mode));
	else
		bh_log_warning("system calls are not filtered (--seccomp off)");
}

/* The number behind "Seccomp:" in /proc/self/status, proc(5); -1 if it is not there. */
static int kernel_mode(void)
{
	bh_auto_free char *text = NULL;
	const char *line;
	size_t len;

	if (bh_read_file("/proc/self/status", 65536, &text, &len, NULL) < 0)
		return -1;
	line = strstr(text, "\nSeccomp:");
	return line ? atoi(line + strlen("\nSeccomp:")) : -1;
}

json_t *bh_seccomp_json(const struct bh_seccomp *s)
{
	static const char *const kernel[] = { "disabled", "strict", "filter" };
	int mode = kernel_mode();

	return json_pack("{s:s, s:b, s:s, s:s?}", "mode", bh_seccomp_mode_str(s->mode), "in_force",
			 (int)s->is_in_force, "kernel",
			 mode >= 0 && mode < (int)BH_ARRAY_LEN(kernel) ? kernel[mode] : "unknown",
			 "error", *s->trouble ? s->trouble : NULL);
}
