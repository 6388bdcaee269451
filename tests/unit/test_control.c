/*
 * The control socket with its real server and client.  One thread drives the
 * server's loop; clients are plain sockets beside it, or a thread of their own
 * where they block.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bh/buf.h"
#include "bh/serve.h"

struct server {
	uv_loop_t loop;
	char dir[64];
	char path[128];
	struct bh_control *control;
	struct bh_reply *held;
	int n_closed;
	int last_result;
};

/* --- methods --------------------------------------------------------------- */

static void on_echo(void *ctx, const json_t *params, struct bh_reply *reply)
{
	(void)ctx;
	bh_reply_data(reply, json_deep_copy(params));
	bh_reply_end(reply);
}

static void on_count(void *ctx, const json_t *params, struct bh_reply *reply)
{
	json_int_t i, n = json_integer_value(json_object_get(params, "n"));

	(void)ctx;
	for (i = 0; i < n; i++)
		bh_reply_data(reply, json_integer(i));
	bh_reply_end(reply);
}

static void on_fail(void *ctx, const json_t *params, struct bh_reply *reply)
{
	(void)ctx;
	(void)params;
	bh_reply_error(reply, -ESRCH, "pod shop/\033[31mweb is not known");
}

static void on_held_close(void *ctx)
{
	struct server *s = ctx;

	s->held = NULL;
	s->n_closed++;
}

static void on_hold(void *ctx, const json_t *params, struct bh_reply *reply)
{
	struct server *s = ctx;

	s->held = reply;
	if (!json_is_true(json_object_get(params, "deaf")))
		bh_reply_on_close(reply, on_held_close, s);
}

/* One answer of @size bytes. */
static void on_big(void *ctx, const json_t *params, struct bh_reply *reply)
{
	size_t size = (size_t)json_integer_value(json_object_get(params, "size"));
	char *text = bh_malloc(size + 1);

	(void)ctx;
	memset(text, 'x', size);
	text[size] = '\0';
	bh_reply_data(reply, json_string(text));
	bh_reply_end(reply);
	free(text);
}

/* Answers until the client is found too slow. */
static void on_flood(void *ctx, const json_t *params, struct bh_reply *reply)
{
	struct server *s = ctx;
	char text[65537];

	(void)params;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	do
		s->last_result = bh_reply_data(reply, json_string(text));
	while (s->last_result == 0);
	assert_int_equal(bh_reply_data(reply, json_null()), -EPIPE);
	bh_reply_end(reply);
}

static const struct bh_control_method methods[] = {
	{ "echo", on_echo }, { "count", on_count }, { "fail", on_fail }, { "hold", on_hold },
	{ "big", on_big },   { "flood", on_flood }, { NULL, NULL },
};

/* --- fixture --------------------------------------------------------------- */

static int setup(void **state)
{
	struct server *s = bh_calloc(1, sizeof(*s));
	struct bh_err err = { 0 };

	strcpy(s->dir, "/tmp/bh-control-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	assert_int_equal(chmod(s->dir, 0755), 0);
	snprintf(s->path, sizeof(s->path), "%s/run/control.sock", s->dir);
	assert_int_equal(uv_loop_init(&s->loop), 0);
	umask(0077); /* must not matter */
	assert_ok(bh_control_new(&s->control, &s->loop, s->path, methods, s, &err), &err);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct server *s = *state;
	char name[256];

	bh_control_free(&s->control);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	snprintf(name, sizeof(name), "%s.lock", s->path);
	rmdir(name);
	snprintf(name, sizeof(name), "%s/run", s->dir);
	assert_int_equal(rmdir(name), 0);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static int send_text(struct server *s, const char *text)
{
	int fd = connect_to(s->path);

	assert_true(fd >= 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

/* Runs the server until it closes @fd; the text it sent. */
static char *read_to_end(struct server *s, int fd)
{
	struct bh_buf text = { 0 };
	char part[65536];

	for (;;) {
		ssize_t n = recv(fd, part, sizeof(part), MSG_DONTWAIT);

		if (n > 0)
			bh_buf_add(&text, part, (size_t)n);
		else if (n == 0 || errno == ECONNRESET)
			break;
		else
			assert_int_equal(errno, EAGAIN);
		uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	close(fd);
	return bh_buf_take(&text);
}

static void run_until(struct server *s, const int *counter, int value)
{
	while (*counter != value)
		uv_run(&s->loop, UV_RUN_ONCE);
}

/* bh_control_call() in a thread of its own. */
struct call {
	const char *path;
	json_t *request;
	int timeout_ms;
	int stop_after; /* answers; 0: never */
	struct bh_err err;
	int result;
	int n_answers;
	char *last;
	atomic_bool is_done;
};

static int on_answer(void *ctx, const json_t *data)
{
	struct call *c = ctx;

	free(c->last);
	c->last = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	c->n_answers++;
	if (c->stop_after < 0)
		return c->stop_after;
	return c->n_answers == c->stop_after;
}

static void *call_thread(void *arg)
{
	struct call *c = arg;

	c->result = bh_control_call(c->path, c->request, c->timeout_ms, on_answer, c, &c->err);
	atomic_store(&c->is_done, true);
	return NULL;
}

static void call(struct server *s, struct call *c)
{
	pthread_t thread;

	c->path = c->path ? c->path : s->path;
	c->timeout_ms = c->timeout_ms ? c->timeout_ms : -1;
	assert_int_equal(pthread_create(&thread, NULL, call_thread, c), 0);
	while (!atomic_load(&c->is_done))
		uv_run(&s->loop, UV_RUN_NOWAIT);
	pthread_join(thread, NULL);
	json_decref(c->request);
}

static void done(struct call *c)
{
	free(c->last);
}

/* --- requests and answers ---------------------------------------------------- */

static void a_request_is_answered_with_data_and_an_end(void **state)
{
	struct server *s = *state;
	int fd = send_text(s, "{\"method\":\"echo\",\"x\":1}\n");
	bh_auto_free char *text = read_to_end(s, fd);

	assert_string_equal(text, "{\"data\":{\"method\":\"echo\",\"x\":1}}\n{\"end\":true}\n");
}

static void a_request_may_come_in_pieces_and_end_with_a_half_close(void **state)
{
	struct server *s = *state;
	int fd = send_text(s, "{\"method\":");
	bh_auto_free char *text = NULL;

	uv_run(&s->loop, UV_RUN_NOWAIT);
	uv_run(&s->loop, UV_RUN_NOWAIT);
	assert_int_equal(send(fd, "\"hold\"}\n", 8, 0), 8);
	shutdown(fd, SHUT_WR);
	while (!s->held)
		uv_run(&s->loop, UV_RUN_ONCE);
	uv_run(&s->loop, UV_RUN_NOWAIT);
	assert_int_equal(s->n_closed, 0);
	bh_reply_end(s->held);
	text = read_to_end(s, fd);
	assert_string_equal(text, "{\"end\":true}\n");
}

static void what_is_not_a_request_is_answered_with_the_reason(void **state)
{
	static const struct {
		const char *request, *want;
	} t[] = {
		{ "\n", "not JSON" },
		{ "hello\n", "not JSON" },
		{ "{\"method\":\"echo\"\n", "not JSON" },
		{ "{\"method\":\"echo\",\"method\":\"echo\"}\n", "duplicate" },
		{ "{\"method\":\"\\u0000\"}\n", "not JSON" },
		{ "[]\n", "not an object with a \\\"method\\\"" },
		{ "{}\n", "not an object with a \\\"method\\\"" },
		{ "{\"method\":7}\n", "not an object with a \\\"method\\\"" },
		{ "{\"method\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}\n", "1 to 32" },
		{ "{\"method\":\"reboot\"}\n", "no method 'reboot'" },
	};
	struct server *s = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		int fd = send_text(s, t[i].request);
		bh_auto_free char *text = read_to_end(s, fd);

		assert_contains(text, "{\"error\":");
		assert_contains(text, t[i].want);
		assert_null(strstr(text, "\"end\""));
	}
}

static void a_request_over_the_limit_is_refused_before_its_end(void **state)
{
	struct server *s = *state;
	bh_auto_free char *text = NULL;
	char part[8192];
	size_t sent = 0;
	int fd = connect_to(s->path);

	memset(part, ' ', sizeof(part));
	while (sent <= BH_CONTROL_MAX_REQUEST) {
		ssize_t n = send(fd, part, sizeof(part), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			sent += (size_t)n;
		uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	text = read_to_end(s, fd);
	assert_contains(text, "over 65536 bytes");
}

static void the_client_gets_every_answer_in_order(void **state)
{
	struct server *s = *state;
	struct call c = { .request = json_pack("{s:s,s:i}", "method", "count", "n", 20000) };

	call(s, &c);
	assert_ok(c.result, &c.err);
	assert_int_equal(c.n_answers, 20000);
	assert_string_equal(c.last, "19999");
	done(&c);
}

static void the_client_may_stop_early_or_fail_by_itself(void **state)
{
	struct server *s = *state;
	struct call early = { .request = json_pack("{s:s,s:i}", "method", "count", "n", 9),
			      .stop_after = 2 };
	struct call failed = { .request = json_pack("{s:s,s:i}", "method", "count", "n", 9),
			       .stop_after = -EDOM };

	call(s, &early);
	assert_int_equal(early.result, 0);
	assert_int_equal(early.n_answers, 2);
	call(s, &failed);
	assert_int_equal(failed.result, -EDOM);
	assert_int_equal(failed.n_answers, 1);
	done(&early);
	done(&failed);
}

static void an_error_reaches_the_client_as_code_and_clean_text(void **state)
{
	struct server *s = *state;
	struct call c = { .request = json_pack("{s:s}", "method", "fail") };

	call(s, &c);
	assert_err(c.result, &c.err, -ESRCH, "pod shop/\\x1b[31mweb is not known");
	done(&c);
}

static void one_answer_may_be_larger_than_the_queue_limit(void **state)
{
	int size = 2 * BH_CONTROL_MAX_QUEUED;
	struct server *s = *state;
	struct call c = { .request = json_pack("{s:s,s:i}", "method", "big", "size", size) };

	call(s, &c);
	assert_ok(c.result, &c.err);
	assert_int_equal(strlen(c.last), size + 2);
	done(&c);
}

static void a_client_that_does_not_read_is_dropped_with_the_reason(void **state)
{
	struct server *s = *state;
	int fd = send_text(s, "{\"method\":\"flood\"}\n");
	bh_auto_free char *text = NULL;
	const char *last;

	while (s->last_result == 0)
		uv_run(&s->loop, UV_RUN_ONCE);
	assert_int_equal(s->last_result, -ENOBUFS);
	text = read_to_end(s, fd);
	last = strstr(text, "{\"error\":");
	assert_non_null(last);
	assert_contains(last, "reads too slowly");
}

/* Each takes less than it may alone, and all together more than all may. */
static void unread_answers_of_all_clients_are_bounded_together(void **state)
{
	const int size = BH_CONTROL_MAX_QUEUED - 65536;
	struct server *s = *state;
	size_t n_cut = 0;
	int fds[12];

	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++) {
		bh_auto_free char *text = bh_asprintf("{\"method\":\"big\",\"size\":%d}\n", size);

		fds[i] = send_text(s, text);
		for (unsigned int k = 0; k < 20; k++)
			uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++) {
		bh_auto_free char *text = read_to_end(s, fds[i]);

		n_cut += strlen(text) < (size_t)size;
	}
	assert_in_range(n_cut, BH_ARRAY_LEN(fds) - 6, BH_ARRAY_LEN(fds) - 3);
}

/* As many as may be connected say nothing, and one more has a question. */
static void silent_clients_make_room(void **state)
{
	struct call c = { .request = json_pack("{s:s,s:i}", "method", "count", "n", 2) };
	struct server *s = *state;
	int fds[64];

	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++) {
		fds[i] = send_text(s, "{");
		uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	call(s, &c);
	assert_ok(c.result, &c.err);
	assert_int_equal(c.n_answers, 2);
	done(&c);
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

/* --- clients that go ---------------------------------------------------------- */

static void a_held_reply_learns_that_its_client_left(void **state)
{
	struct server *s = *state;
	int fd = send_text(s, "{\"method\":\"hold\"}\n");

	while (!s->held)
		uv_run(&s->loop, UV_RUN_ONCE);
	close(fd);
	run_until(s, &s->n_closed, 1);
}

static void a_reply_without_on_close_may_be_ended_after_its_client_left(void **state)
{
	struct server *s = *state;
	int fd = send_text(s, "{\"method\":\"hold\",\"deaf\":true}\n");
	bh_auto_free char *text = NULL;

	while (!s->held)
		uv_run(&s->loop, UV_RUN_ONCE);
	close(fd);
	/* Another client's whole life shows that the first one's end was seen. */
	fd = send_text(s, "{\"method\":\"echo\"}\n");
	text = read_to_end(s, fd);
	assert_int_equal(bh_reply_data(s->held, json_true()), -EPIPE);
	bh_reply_end(s->held);
	assert_int_equal(s->n_closed, 0);
}

static void freeing_the_server_closes_held_replies_at_once(void **state)
{
	struct server *s = *state;
	int fd = send_text(s, "{\"method\":\"hold\"}\n");
	char byte;

	while (!s->held)
		uv_run(&s->loop, UV_RUN_ONCE);
	bh_control_free(&s->control);
	assert_int_equal(s->n_closed, 1);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	assert_int_equal(access(s->path, F_OK), -1);
}

static void the_65th_client_is_refused_and_room_comes_back(void **state)
{
	struct server *s = *state;
	bh_auto_free char *text = NULL;
	bh_auto_free char *again = NULL;
	int fds[64], i;

	for (i = 0; i < 64; i++) {
		fds[i] = send_text(s, "{\"method\":\"hold\"}\n");
		s->held = NULL;
		while (!s->held)
			uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	text = read_to_end(s, connect_to(s->path));
	assert_contains(text, "too many clients");

	close(fds[0]);
	uv_run(&s->loop, UV_RUN_ONCE);
	again = read_to_end(s, send_text(s, "{\"method\":\"echo\"}\n"));
	assert_contains(again, "\"end\":true");
	for (i = 1; i < 64; i++)
		close(fds[i]);
}

/* --- where it listens ---------------------------------------------------------- */

static void the_folder_is_0755_and_the_socket_0660(void **state)
{
	const struct server *s = *state;
	char dir[128];
	struct stat st;

	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0660);
	snprintf(dir, sizeof(dir), "%s/run", s->dir);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
}

static void a_second_agent_on_the_same_path_is_refused(void **state)
{
	struct server *s = *state;
	struct bh_control *second = NULL;
	struct bh_err err = { 0 };
	bh_auto_free char *text = NULL;

	assert_err(bh_control_new(&second, &s->loop, s->path, methods, s, &err), &err, -EADDRINUSE,
		   "another agent is running on");
	assert_null(second);
	text = read_to_end(s, send_text(s, "{\"method\":\"echo\"}\n"));
	assert_contains(text, "\"end\":true");
}

static void agents_with_different_paths_live_side_by_side(void **state)
{
	struct server *s = *state;
	struct bh_control *second = NULL;
	struct bh_err err = { 0 };
	char path[128], lock[160];

	snprintf(path, sizeof(path), "%s/run/second.sock", s->dir);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	assert_ok(bh_control_new(&second, &s->loop, path, methods, s, &err), &err);
	close(connect_to(path));
	bh_control_free(&second);
	assert_int_equal(rmdir(lock), 0);
}

/* Version 0.1.0 locks a file; it does not start where there is a folder. */
static void the_lock_of_an_older_version_is_taken_over_and_never_given_back(void **state)
{
	struct server *s = *state;
	struct bh_control *second = NULL;
	struct bh_err err = { 0 };
	char path[128], lock[160];
	int fd;

	snprintf(path, sizeof(path), "%s/run/second.sock", s->dir);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	fd = open(lock, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_err(bh_control_new(&second, &s->loop, path, methods, s, &err), &err, -EADDRINUSE,
		   "another agent is running on");
	close(fd);
	err = (struct bh_err){ 0 };
	assert_ok(bh_control_new(&second, &s->loop, path, methods, s, &err), &err);
	bh_control_free(&second);
	assert_int_equal(open(lock, O_RDWR | O_CREAT, 0600), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(rmdir(lock), 0);
}

/* A socket file that nobody listens on any more, as after kill -9. */
static void leave_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
}

static void a_stale_socket_file_is_replaced(void **state)
{
	struct server *s = *state;
	struct bh_err err = { 0 };
	bh_auto_free char *text = NULL;

	bh_control_free(&s->control);
	leave_socket(s->path);
	assert_ok(bh_control_new(&s->control, &s->loop, s->path, methods, s, &err), &err);
	text = read_to_end(s, send_text(s, "{\"method\":\"echo\"}\n"));
	assert_contains(text, "\"end\":true");
}

static void what_is_not_ours_is_never_replaced(void **state)
{
	struct server *s = *state;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct bh_err err = { 0 };
	int fd;

	bh_control_free(&s->control);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(sun.sun_path, s->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_err(bh_control_new(&s->control, &s->loop, s->path, methods, s, &err), &err,
		   -EADDRINUSE, "another program listens on");
	close(fd);
	unlink(s->path);

	fd = creat(s->path, 0600);
	close(fd);
	assert_err(bh_control_new(&s->control, &s->loop, s->path, methods, s, &err), &err, -EEXIST,
		   "is not a socket");
	assert_int_equal(unlink(s->path), 0);
}

static void a_path_that_cannot_be_is_refused(void **state)
{
	char longest[200];
	struct server *s = *state;
	struct bh_control *c = NULL;
	struct bh_err err = { 0 };

	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	assert_err(bh_control_new(&c, &s->loop, longest, methods, s, &err), &err, -ENAMETOOLONG,
		   "path over 107 characters: ");
	assert_err(bh_control_new(&c, &s->loop, "control.sock", methods, s, &err), &err, -EINVAL,
		   "does not start with /");
	assert_err(bh_control_new(&c, &s->loop, "/nonexistent/a/b.sock", methods, s, &err), &err,
		   -ENOENT, "cannot make the folder '/nonexistent/a'");
}

/* --- who may ---------------------------------------------------------------- */

/* What user @uid with the extra group @gid is told. */
static char *ask_as(struct server *s, uid_t uid, gid_t gid)
{
	struct bh_buf text = { 0 };
	char part[4096];
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd;

		if (setgroups(1, &gid) < 0 || setresgid(65534, 65534, 65534) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			_exit(1);
		fd = connect_to(s->path);
		if (fd < 0)
			dprintf(fds[1], "connect: %s", strerror(-fd));
		if (fd < 0 || send(fd, "{\"method\":\"echo\"}\n", 18, MSG_NOSIGNAL) < 0)
			_exit(0);
		while ((n = recv(fd, part, sizeof(part), 0)) > 0)
			if (write(fds[1], part, (size_t)n) < 0)
				break;
		_exit(0);
	}
	close(fds[1]);
	while (waitpid(pid, &status, WNOHANG) == 0)
		uv_run(&s->loop, UV_RUN_NOWAIT);
	while ((n = read(fds[0], part, sizeof(part))) > 0)
		bh_buf_add(&text, part, (size_t)n);
	close(fds[0]);
	return bh_buf_take(&text);
}

static void only_root_owner_and_the_group_of_the_file_are_served(void **state)
{
	struct server *s = *state;
	static const struct {
		gid_t file_group;
		mode_t mode;
		gid_t peer_group;
		const char *want;
	} t[] = {
		{ 0, 0660, 12345, "connect: Permission denied" },
		{ 0, 0666, 12345, "user 65534 may not use this socket" },
		{ 12345, 0660, 12345, "\"end\":true" },
		{ 12345, 0660, 12346, "connect: Permission denied" },
		{ 12345, 0606, 12346, "user 65534 may not use this socket" },
	};
	size_t i;

	if (geteuid() != 0) {
		print_message("skipped: needs root to become other users\n");
		skip();
	}
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text = NULL;

		assert_int_equal(chown(s->path, 0, t[i].file_group), 0);
		assert_int_equal(chmod(s->path, t[i].mode), 0);
		text = ask_as(s, 65534, t[i].peer_group);
		assert_contains(text, t[i].want);
	}
}

/* --- the client's errors ------------------------------------------------------ */

static void nobody_on_the_path_is_said_so(void **state)
{
	struct server *s = *state;
	struct bh_err err = { 0 };
	char path[128];
	json_t *request = json_pack("{s:s}", "method", "echo");
	struct call c = { 0 };

	snprintf(path, sizeof(path), "%s/nobody.sock", s->dir);
	assert_err(bh_control_call(path, request, -1, on_answer, &c, &err), &err, -EHOSTDOWN,
		   "no agent listens on");
	leave_socket(path);
	assert_err(bh_control_call(path, request, -1, on_answer, &c, &err), &err, -EHOSTDOWN,
		   "no agent listens on");
	assert_int_equal(unlink(path), 0);
	json_decref(request);
}

static void an_agent_that_is_silent_or_dies_is_said_so(void **state)
{
	struct server *s = *state;
	struct call silent = { .request = json_pack("{s:s}", "method", "hold"), .timeout_ms = 1 };
	struct call dying = { .request = json_pack("{s:s}", "method", "hold") };
	pthread_t thread;

	call(s, &silent);
	assert_err(silent.result, &silent.err, -ETIMEDOUT, "did not answer within 1 ms");
	while (s->n_closed < 1 && s->held)
		uv_run(&s->loop, UV_RUN_ONCE);

	dying.path = s->path;
	dying.timeout_ms = -1;
	s->held = NULL;
	assert_int_equal(pthread_create(&thread, NULL, call_thread, &dying), 0);
	while (!s->held)
		uv_run(&s->loop, UV_RUN_ONCE);
	bh_control_free(&s->control);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	assert_err(dying.result, &dying.err, -ECONNRESET, "went away before its answer's end");
	json_decref(dying.request);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_is_answered_with_data_and_an_end),
		T(a_request_may_come_in_pieces_and_end_with_a_half_close),
		T(what_is_not_a_request_is_answered_with_the_reason),
		T(a_request_over_the_limit_is_refused_before_its_end),
		T(the_client_gets_every_answer_in_order),
		T(the_client_may_stop_early_or_fail_by_itself),
		T(an_error_reaches_the_client_as_code_and_clean_text),
		T(one_answer_may_be_larger_than_the_queue_limit),
		T(a_client_that_does_not_read_is_dropped_with_the_reason),
		T(unread_answers_of_all_clients_are_bounded_together),
		T(silent_clients_make_room),
		T(a_held_reply_learns_that_its_client_left),
		T(a_reply_without_on_close_may_be_ended_after_its_client_left),
		T(freeing_the_server_closes_held_replies_at_once),
		T(the_65th_client_is_refused_and_room_comes_back),
		T(the_folder_is_0755_and_the_socket_0660),
		T(a_second_agent_on_the_same_path_is_refused),
		T(agents_with_different_paths_live_side_by_side),
		T(the_lock_of_an_older_version_is_taken_over_and_never_given_back),
		T(a_stale_socket_file_is_replaced),
		T(what_is_not_ours_is_never_replaced),
		T(a_path_that_cannot_be_is_refused),
		T(only_root_owner_and_the_group_of_the_file_are_served),
		T(nobody_on_the_path_is_said_so),
		T(an_agent_that_is_silent_or_dies_is_said_so),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
