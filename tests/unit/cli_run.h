/*
 * Runs the real `bulkhead` program, with a control server of the test's own on
 * the other side that answers what the test put into it.
 */
#ifndef BH_TEST_CLI_RUN_H
#define BH_TEST_CLI_RUN_H

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bh/buf.h"
#include "bh/serve.h"

#define CLI_MAX_ARGS 32

struct cli_test {
	uv_loop_t loop;
	char dir[64];
	char path[128]; /* of the control socket */
	struct bh_control *control;

	/* What the server answers to any method. */
	json_t *answers; /* array: each is one data object */
	int error_code;  /* then this error, where not 0 */
	const char *error_text;
	/* Called before each answer, with the number of calls before it. */
	void (*on_call)(struct cli_test *t, int n_before);
	json_t *request; /* the last one */
	int n_calls;

	bool has_no_net_admin; /* the program starts without CAP_NET_ADMIN */

	/* What the program did. */
	int status;
	struct bh_buf out, err;
};

static inline void cli_on_call(void *ctx, const json_t *params, struct bh_reply *reply)
{
	struct cli_test *t = ctx;
	json_t *answer;
	size_t i;

	json_decref(t->request);
	t->request = json_deep_copy(params);
	if (t->on_call)
		t->on_call(t, t->n_calls);
	t->n_calls++;
	json_array_foreach(t->answers, i, answer) bh_reply_data(reply, json_incref(answer));
	if (t->error_code)
		bh_reply_error(reply, t->error_code, t->error_text);
	else
		bh_reply_end(reply);
}

static const struct bh_control_method cli_methods[] = {
	{ "status", cli_on_call }, { "explain", cli_on_call }, { "flows", cli_on_call },
	{ "render", cli_on_call }, { "reload", cli_on_call },  { NULL, NULL },
};

static inline int cli_setup(void **state)
{
	struct cli_test *t = bh_calloc(1, sizeof(*t));
	struct bh_err err = { 0 };

	strcpy(t->dir, "/tmp/bh-cli-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/control.sock", t->dir);
	assert_int_equal(uv_loop_init(&t->loop), 0);
	assert_ok(bh_control_new(&t->control, &t->loop, t->path, cli_methods, t, &err), &err);
	t->answers = json_array();
	*state = t;
	return 0;
}

static inline int cli_teardown(void **state)
{
	struct cli_test *t = *state;
	char lock[160];

	bh_control_free(&t->control);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t->loop), 0);
	snprintf(lock, sizeof(lock), "%s.lock", t->path);
	rmdir(lock);
	assert_int_equal(rmdir(t->dir), 0);
	json_decref(t->answers);
	json_decref(t->request);
	bh_buf_done(&t->out);
	bh_buf_done(&t->err);
	free(t);
	return 0;
}

/* build/VARIANT/tests/unit/test_x -> build/VARIANT/bulkhead */
static inline const char *cli_program(void)
{
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	int i;

	assert_true(n > 0);
	path[n] = '\0';
	for (i = 0; i < 3; i++) {
		char *slash = strrchr(path, '/');

		assert_non_null(slash);
		*slash = '\0';
	}
	strcat(path, "/bulkhead");
	return path;
}

static inline void cli_exec(const struct cli_test *t, int in, int out, int err,
			    const char *const *args)
{
	const char *argv[CLI_MAX_ARGS + 2] = { "bulkhead" };
	size_t i;

	for (i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	if (t->has_no_net_admin && prctl(PR_CAPBSET_DROP, CAP_NET_ADMIN) < 0)
		_exit(125);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(126);
	signal(SIGPIPE, SIG_DFL);
	setenv("BULKHEAD_CONTROL", t->path, 1);
	execv(cli_program(), (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* True at the end of @fd. */
static inline bool cli_drain(int fd, struct bh_buf *buf)
{
	char part[65536];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) > 0)
		bh_buf_add(buf, part, (size_t)n);
	return n == 0;
}

/* Runs the program to its end, with @input on its standard input. */
static inline void cli_run_with(struct cli_test *t, const char *input, const char *const *args)
{
	bool is_out_over = false, is_err_over = false;
	int in[2], out[2], err[2], status;
	pid_t pid;

	bh_buf_reset(&t->out);
	bh_buf_reset(&t->err);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	assert_int_equal(write(in[1], input, strlen(input)), strlen(input));
	close(in[1]);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		cli_exec(t, in[0], out[1], err[1], args);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	while (!is_out_over || !is_err_over) {
		uv_run(&t->loop, UV_RUN_NOWAIT);
		is_out_over = is_out_over || cli_drain(out[0], &t->out);
		is_err_over = is_err_over || cli_drain(err[0], &t->err);
	}
	close(out[0]);
	close(err[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	t->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define CLI_ARGS(...)   ((const char *const[]){ __VA_ARGS__, NULL })
#define cli_run(t, ...) cli_run_with((t), "", CLI_ARGS(__VA_ARGS__))

#define assert_status(t, want)                                                                     \
	do {                                                                                       \
		if ((t)->status != (want))                                                         \
			fail_msg("exit status %d, not %d: %s%s", (t)->status, (want),              \
				 bh_buf_str(&(t)->out), bh_buf_str(&(t)->err));                    \
	} while (0)
#define assert_out(t, part)   assert_contains(bh_buf_str(&(t)->out), part)
#define assert_error(t, part) assert_contains(bh_buf_str(&(t)->err), part)
#define assert_not_out(t, part)                                                                    \
	do {                                                                                       \
		if (strstr(bh_buf_str(&(t)->out), (part)))                                         \
			fail_msg("'%s' in '%s'", (part), bh_buf_str(&(t)->out));                   \
	} while (0)

#define CLI_TEST(f) cmocka_unit_test_setup_teardown(f, cli_setup, cli_teardown)

#endif
