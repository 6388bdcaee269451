#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/daemon/seccomp.h"
#include "../../src/daemon/syscalls.h"
#include "test.h"

/* What the child's exit status says if the filter could not be loaded. */
#define NOT_LOADED 250

/* Makes one call under the filter, in a process of its own: its wait status. */
static int call_under(enum bh_seccomp_mode mode, long nr, const unsigned long args[3])
{
	struct bh_seccomp s = { 0 };
	pid_t child = fork();
	int status = 0;
	long r;

	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_DUMPABLE, 0);
		if (bh_seccomp_load(&s, mode, NULL) < 0)
			syscall(SYS_exit_group, NOT_LOADED);
		r = syscall(nr, args[0], args[1], args[2], 0, 0, 0);
		syscall(SYS_exit_group, r < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_LOADED)
		skip();
	return status;
}

static void assert_killed(const char *what, int status)
{
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("%s: wait status 0x%x, not ended by SIGSYS", what, (unsigned int)status);
}

static void assert_fails_with(const char *what, int status, int error)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != error)
		fail_msg("%s: wait status 0x%x, not error %d", what, (unsigned int)status, error);
}

static const unsigned long no_args[3];

static void every_group_and_check_has_a_reason(void **state)
{
	const struct bh_syscall_group *groups;
	const struct bh_syscall_check *checks;
	size_t n;

	(void)state;
	groups = bh_syscall_groups(&n);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(groups[i].name) > 0 && strlen(groups[i].reason) > 10);
		assert_non_null(groups[i].calls[0]);
	}
	checks = bh_syscall_checks(&n);
	for (size_t i = 0; i < n; i++)
		assert_true(strlen(checks[i].reason) > 4 && checks[i].n_values > 0);
}

static size_t count(const char *call)
{
	const struct bh_syscall_group *groups;
	const struct bh_syscall_check *checks;
	size_t n, found = 0;

	groups = bh_syscall_groups(&n);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; strcmp(groups[i].name, "sanitizers") && groups[i].calls[k]; k++)
			found += !strcmp(groups[i].calls[k], call);
	checks = bh_syscall_checks(&n);
	for (size_t i = 0; i < n; i++)
		found += !strcmp(checks[i].call, call);
	return found;
}

/* A call in a group and in the checks would be allowed with any argument. */
static void every_call_is_in_one_place(void **state)
{
	const char *const *forbidden = bh_syscalls_forbidden();
	const struct bh_syscall_group *groups;
	const struct bh_syscall_check *checks;
	size_t n;

	(void)state;
	groups = bh_syscall_groups(&n);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; strcmp(groups[i].name, "sanitizers") && groups[i].calls[k]; k++)
			if (count(groups[i].calls[k]) != 1)
				fail_msg("%s is in two places", groups[i].calls[k]);
	checks = bh_syscall_checks(&n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(count(checks[i].call), 1);
	for (size_t i = 0; forbidden[i]; i++)
		if (count(forbidden[i]) != 0)
			fail_msg("%s is allowed and forbidden", forbidden[i]);
}

/* A name with a typing error would be skipped as one of another architecture. */
static void every_name_is_a_system_call(void **state)
{
	const char *const *forbidden = bh_syscalls_forbidden();
	const struct bh_syscall_group *groups;
	const struct bh_syscall_check *checks;
	size_t n;

	(void)state;
	groups = bh_syscall_groups(&n);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; groups[i].calls[k]; k++)
			if (seccomp_syscall_resolve_name(groups[i].calls[k]) == __NR_SCMP_ERROR)
				fail_msg("%s is no system call", groups[i].calls[k]);
	checks = bh_syscall_checks(&n);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(seccomp_syscall_resolve_name(checks[i].call), __NR_SCMP_ERROR);
	for (size_t i = 0; forbidden[i]; i++)
		if (seccomp_syscall_resolve_name(forbidden[i]) == __NR_SCMP_ERROR)
			fail_msg("%s is no system call", forbidden[i]);
}

/* --- the record of the test suite's calls --------------------------------------- */

#define RECORD "tests/seccomp/calls"

static char record[512][64];
static size_t n_record;

static void read_record(void)
{
	FILE *f = fopen(RECORD, "re");
	char line[512];

	if (!f)
		fail_msg("%s: %s", RECORD, strerror(errno));
	n_record = 0;
	while (fgets(line, sizeof(line), f)) {
		if (*line == '#' || sscanf(line, "%63s", record[n_record]) != 1)
			continue;
		assert_true(++n_record < BH_ARRAY_LEN(record));
	}
	fclose(f);
	assert_true(n_record > 30);
}

static bool is_recorded(const char *call)
{
	for (size_t i = 0; i < n_record; i++)
		if (strcmp(record[i], call) == 0)
			return true;
	return false;
}

/* But for clone3, which the C library tries first. */
static void what_the_suite_calls_is_allowed(void **state)
{
	(void)state;
	read_record();
	for (size_t i = 0; i < n_record; i++)
		if (!bh_syscall_is_allowed(record[i]) && strcmp(record[i], "clone3"))
			fail_msg("the suite calls %s, which no group has", record[i]);
}

/*
 * The rest are other names of the same, and rare paths: groups that say so.  The record
 * is of a build without sanitizers.
 */
static void what_is_allowed_is_called_by_the_suite(void **state)
{
	const struct bh_syscall_group *groups;
	size_t n;

	(void)state;
	read_record();
	groups = bh_syscall_groups(&n);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; strcmp(groups[i].name, "sanitizers") && groups[i].calls[k];
		     k++) {
			bool is_seen = is_recorded(groups[i].calls[k]);

			if (groups[i].use == BH_SYSCALL_SEEN && !is_seen)
				fail_msg("no test calls %s of group %s", groups[i].calls[k],
					 groups[i].name);
			if (groups[i].use == BH_SYSCALL_SPARE && is_seen)
				fail_msg("tests call %s, which group %s has as a spare",
					 groups[i].calls[k], groups[i].name);
		}
}

/* --- the filter ------------------------------------------------------------------- */

static void forbidden_calls_end_the_process_in_every_mode(void **state)
{
	static const enum bh_seccomp_mode modes[] = { BH_SECCOMP_ERRNO, BH_SECCOMP_KILL,
						      BH_SECCOMP_LOG };
	const char *const *calls = bh_syscalls_forbidden();

	(void)state;
	for (size_t m = 0; m < BH_ARRAY_LEN(modes); m++)
		for (size_t i = 0; calls[i]; i++) {
			int nr = seccomp_syscall_resolve_name(calls[i]);

			/* Sanitizers need some. */
			if (nr >= 0 && !bh_syscall_is_allowed(calls[i]))
				assert_killed(calls[i], call_under(modes[m], nr, no_args));
		}
}

static void a_call_of_no_list_is_denied_as_the_mode_says(void **state)
{
	(void)state;
	assert_fails_with("errno", call_under(BH_SECCOMP_ERRNO, SYS_memfd_create, no_args), ENOSYS);
	assert_killed("kill", call_under(BH_SECCOMP_KILL, SYS_memfd_create, no_args));
	assert_fails_with("log", call_under(BH_SECCOMP_LOG, SYS_memfd_create, no_args), EFAULT);
	assert_fails_with("off", call_under(BH_SECCOMP_OFF, SYS_memfd_create, no_args), EFAULT);
	/* A number that no kernel of today has. */
	assert_fails_with("errno", call_under(BH_SECCOMP_ERRNO, 4000, no_args), ENOSYS);
	assert_killed("kill", call_under(BH_SECCOMP_KILL, 4000, no_args));
}

/* The C library then uses clone, whose flags a filter can see. */
static void clone3_is_not_there_in_every_mode(void **state)
{
	(void)state;
	assert_fails_with("errno", call_under(BH_SECCOMP_ERRNO, SYS_clone3, no_args), ENOSYS);
	assert_fails_with("kill", call_under(BH_SECCOMP_KILL, SYS_clone3, no_args), ENOSYS);
	assert_fails_with("log", call_under(BH_SECCOMP_LOG, SYS_clone3, no_args), ENOSYS);
}

static void arguments_are_checked(void **state)
{
	static const struct {
		const char *what;
		long nr;
		unsigned long args[3];
		int allowed; /* the error it has then; -1: not allowed */
	} t[] = {
		{ "unix", SYS_socket, { AF_UNIX, SOCK_STREAM }, 0 },
		{ "inet", SYS_socket, { AF_INET, SOCK_DGRAM }, 0 },
		{ "inet6", SYS_socket, { AF_INET6, SOCK_STREAM }, 0 },
		{ "netlink", SYS_socket, { AF_NETLINK, SOCK_RAW }, 0 },
		{ "packet", SYS_socket, { AF_PACKET, SOCK_RAW }, -1 },
		{ "vsock", SYS_socket, { AF_VSOCK, SOCK_STREAM }, -1 },
		{ "alg", SYS_socket, { AF_ALG, SOCK_SEQPACKET }, -1 },
		{ "xdp", SYS_socket, { AF_XDP, SOCK_RAW }, -1 },
		/* The kernel looks at the lower half of the register. */
		{ "unix with rubbish above", SYS_socket, { AF_UNIX | 1ul << 40, SOCK_STREAM }, 0 },
		{ "packet with rubbish above",
		  SYS_socket,
		  { AF_PACKET | 1ul << 40, SOCK_RAW },
		  -1 },
		{ "pair of inet", SYS_socketpair, { AF_INET, SOCK_STREAM }, -1 },
		{ "new user namespace", SYS_clone, { CLONE_NEWUSER }, -1 },
		{ "new network among others",
		  SYS_clone,
		  { CLONE_VM | CLONE_FS | CLONE_NEWNET | SIGCHLD },
		  -1 },
		{ "code", SYS_mprotect, { 0, 0, PROT_READ | PROT_EXEC }, -1 },
		{ "data", SYS_mprotect, { 0, 0, PROT_READ | PROT_WRITE }, 0 },
		{ "writable code", SYS_mmap, { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC }, -1 },
		{ "terminal input", SYS_ioctl, { 0, 0x5412 }, -1 },
		{ "limits of this process are set", SYS_prlimit64, { 0, 0, 1 }, -1 },
		{ "limits are read", SYS_prlimit64, { 0, 0, 0 }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		if (t[i].allowed >= 0) {
			assert_fails_with(t[i].what,
					  call_under(BH_SECCOMP_KILL, t[i].nr, t[i].args),
					  t[i].allowed);
			continue;
		}
		assert_killed(t[i].what, call_under(BH_SECCOMP_KILL, t[i].nr, t[i].args));
		assert_fails_with(t[i].what, call_under(BH_SECCOMP_ERRNO, t[i].nr, t[i].args),
				  ENOSYS);
	}
}

static void *in_thread(void *arg)
{
	return arg;
}

static void thread_and_child(void)
{
	pthread_t thread;
	pid_t child;
	int status;

	if (pthread_create(&thread, NULL, in_thread, NULL) || pthread_join(thread, NULL))
		_exit(1);
	child = fork();
	if (child == 0)
		_exit(0);
	_exit(child < 0 || waitpid(child, &status, 0) != child || status != 0);
}

static void abort_with_message(void)
{
	fputs("as an assertion that fails:\n", stderr);
	abort();
}

/* Runs @fn under the filter, in a process of its own: its wait status. */
static int run_under(enum bh_seccomp_mode mode, void (*fn)(void))
{
	struct bh_seccomp s = { 0 };
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_DUMPABLE, 0);
		if (bh_seccomp_load(&s, mode, NULL) < 0)
			_exit(NOT_LOADED);
		fn();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_LOADED)
		skip();
	return status;
}

static void threads_and_children_can_be_made(void **state)
{
	(void)state;
	assert_int_equal(run_under(BH_SECCOMP_KILL, thread_and_child), 0);
	assert_int_equal(run_under(BH_SECCOMP_ERRNO, thread_and_child), 0);
}

/* The service manager and the core see what it was. */
static void an_abort_stays_an_abort(void **state)
{
	int status = run_under(BH_SECCOMP_KILL, abort_with_message);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void the_state_is_told(void **state)
{
	struct bh_seccomp s = { .mode = BH_SECCOMP_KILL, .trouble = "no" };
	json_t *o = bh_seccomp_json(&s);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(o, "mode")), "kill");
	assert_true(json_is_false(json_object_get(o, "in_force")));
	assert_string_equal(json_string_value(json_object_get(o, "error")), "no");
	assert_non_null(json_object_get(o, "kernel"));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_group_and_check_has_a_reason),
		cmocka_unit_test(every_call_is_in_one_place),
		cmocka_unit_test(every_name_is_a_system_call),
		cmocka_unit_test(what_the_suite_calls_is_allowed),
		cmocka_unit_test(what_is_allowed_is_called_by_the_suite),
		cmocka_unit_test(forbidden_calls_end_the_process_in_every_mode),
		cmocka_unit_test(a_call_of_no_list_is_denied_as_the_mode_says),
		cmocka_unit_test(clone3_is_not_there_in_every_mode),
		cmocka_unit_test(arguments_are_checked),
		cmocka_unit_test(threads_and_children_can_be_made),
		cmocka_unit_test(an_abort_stays_an_abort),
		cmocka_unit_test(the_state_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
