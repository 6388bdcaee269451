/*
 * fork() takes about the time that copying the page tables takes.  The child answers
 * with text through a pipe: nothing if all is well; a pipe that closes without the
 * final NUL is a child that was killed.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/file.h"

/*
 * In the child: it holds copies of the agent's sockets and of its lock, which end with
 * the agent, so that another one may start at once after this one was killed.
 */
static void let_go(int keep)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (keep > STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 1, (unsigned int)keep - 1, 0);
	(void)close_range((unsigned int)keep + 1, UINT_MAX, 0);
}

/* Handlers of the loop would write to its pipe, which the child shares. */
pid_t bh_child_fork(int keep)
{
	static const int handled[] = { SIGHUP, SIGTERM, SIGINT };
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid == 0)
		let_go(keep);
	for (size_t i = 0; pid == 0 && i < BH_ARRAY_LEN(handled); i++)
		signal(handled[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static void run(int fd, int (*work)(void *ctx, struct bh_err *err), void *ctx)
{
	struct bh_err err = { 0 };
	const char *text = "";

	if (work(ctx, &err) < 0)
		text = bh_err_text(&err);
	(void)bh_write_all(fd, text, strlen(text) + 1);
	_exit(0);
}

static void reap(struct bh_child *c)
{
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct bh_child *c = bh_container_of(handle, struct bh_child, answer);

	bh_close(&c->fd);
	*c = (struct bh_child){ .fd = -1 };
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
	struct bh_child *c = bh_container_of(poll, struct bh_child, answer);
	char text[BH_ERR_MAX + 1] = "";
	ssize_t n = read(c->fd, text, sizeof(text) - 1);

	(void)status;
	(void)events;
	reap(c);
	uv_close((uv_handle_t *)&c->answer, on_closed);
	c->on_done(c->ctx, n <= 0 ? "the process was killed" : *text ? text : NULL);
}

int bh_child_start(struct bh_child *c, uv_loop_t *loop, int (*work)(void *ctx, struct bh_err *err),
		   void (*on_done)(void *ctx, const char *error), void *ctx, struct bh_err *err)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return bh_err_wrap(err, -errno, "no pipe to a process");
	pid = bh_child_fork(fds[1]);
	if (pid == 0)
		run(fds[1], work, ctx);
	close(fds[1]);
	if (pid < 0) {
		int e = -errno;

		close(fds[0]);
		return bh_err_wrap(err, e, "no process");
	}
	*c = (struct bh_child){ .fd = fds[0], .pid = pid, .ctx = ctx, .on_done = on_done };
	uv_poll_init(loop, &c->answer, c->fd);
	uv_poll_start(&c->answer, UV_READABLE | UV_DISCONNECT, on_answer);
	return 0;
}

bool bh_child_is_running(const struct bh_child *c)
{
	/* Its handle is in use until the loop has closed it. */
	return c->pid > 0 || c->answer.type != UV_UNKNOWN_HANDLE;
}

void bh_child_stop(struct bh_child *c)
{
	if (c->pid <= 0)
		return;
	kill(c->pid, SIGKILL);
	reap(c);
	uv_close((uv_handle_t *)&c->answer, on_closed);
}
