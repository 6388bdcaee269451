/*
 * Writing is a child's job: fork() freezes the world for it in about the time
 * that a pass takes, and the parent goes on.  The child writes, says what went
 * wrong through a pipe, and ends; it never returns to the loop.
 */
#include "statewriter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/file.h"
#include "bh/log.h"
#include "child.h"
#include "handle.h"

/* Between two writes: at least this times what the last one took. */
#define PAUSE_FACTOR 20

static void on_timer(uv_timer_t *timer);

static void arm(struct bh_statewriter *w)
{
	uint64_t now = uv_now(w->loop), next = now + w->first_ms, pause_ms = w->every_ms;

	if (w->child > 0 || uv_is_active((uv_handle_t *)&w->timer))
		return;
	if (pause_ms < PAUSE_FACTOR * w->last_took_ms)
		pause_ms = PAUSE_FACTOR * w->last_took_ms;
	if (w->last_write_ms > 0 && w->last_write_ms + pause_ms > next)
		next = w->last_write_ms + pause_ms;
	uv_timer_start(&w->timer, on_timer, next - now, 0);
}

static void count(struct bh_statewriter *w, uint64_t state_ns, const char *error)
{
	if (w->on_written)
		w->on_written(w->ctx, *error ? error : NULL);
	if (!*error) {
		w->n_writes++;
		w->state_ns = state_ns;
		return;
	}
	w->n_failures++;
	w->is_changed = true;
	bh_log_error("%s: %s", error, w->loss);
}

static void on_answer_closed(uv_handle_t *handle)
{
	struct bh_statewriter *w = bh_container_of(handle, struct bh_statewriter, answer);

	bh_close(&w->answer_fd);
	if (w->is_changed && !w->is_stopping)
		arm(w);
}

static void reap(struct bh_statewriter *w)
{
	while (waitpid(w->child, NULL, 0) < 0 && errno == EINTR)
		;
	w->child = 0;
}

/* The child's answer is the time of the state, then what went wrong, if anything. */
static void on_answer(uv_poll_t *poll, int status, int events)
{
	struct bh_statewriter *w = bh_container_of(poll, struct bh_statewriter, answer);
	char text[BH_ERR_MAX + 32] = "";
	ssize_t n = read(w->answer_fd, text, sizeof(text) - 1);
	char *error = NULL;
	uint64_t state_ns = 0;

	(void)status;
	(void)events;
	if (n > 0)
		state_ns = strtoull(text, &error, 10);
	reap(w);
	w->last_took_ms = uv_now(w->loop) - w->last_write_ms;
	count(w, state_ns, n > 0 ? error : "the process that writes the state was killed");
	uv_close((uv_handle_t *)&w->answer, on_answer_closed);
}

static void answer(int fd, uint64_t real_ns, const struct bh_err *err, int r)
{
	char text[BH_ERR_MAX + 32];
	int n = snprintf(text, sizeof(text), "%llu%s", (unsigned long long)real_ns,
			 r < 0 ? bh_err_text(err) : "");

	(void)bh_write_all(fd, text, (size_t)n);
}

static void write_in_child(struct bh_statewriter *w)
{
	struct bh_err err = { 0 };
	uint64_t real_ns = 0;
	int fds[2], r;

	w->last_write_ms = uv_now(w->loop);
	if (pipe2(fds, O_CLOEXEC) < 0) {
		count(w, 0, "no pipe to write the state");
		arm(w);
		return;
	}
	w->is_changed = false;
	w->child = bh_child_fork(fds[1]);
	if (w->child == 0) {
		r = w->write(w->ctx, &real_ns, &err);
		answer(fds[1], real_ns, &err, r);
		_exit(0);
	}
	close(fds[1]);
	if (w->child < 0) {
		close(fds[0]);
		w->child = 0;
		count(w, 0, "no process to write the state");
		arm(w);
		return;
	}
	w->answer_fd = fds[0];
	uv_poll_init(w->loop, &w->answer, w->answer_fd);
	uv_poll_start(&w->answer, UV_READABLE | UV_DISCONNECT, on_answer);
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_statewriter *w = bh_container_of(timer, struct bh_statewriter, timer);

	if (w->is_allowed && w->is_changed)
		write_in_child(w);
}

void bh_statewriter_note(struct bh_statewriter *w)
{
	w->is_changed = true;
	if (w->is_allowed)
		arm(w);
}

void bh_statewriter_start(struct bh_statewriter *w)
{
	w->answer_fd = -1;
	uv_timer_init(w->loop, &w->timer);
}

static void write_now(struct bh_statewriter *w)
{
	struct bh_err err = { 0 };
	uint64_t real_ns;

	if (w->write(w->ctx, &real_ns, &err) < 0)
		bh_log_error("%s: %s", bh_err_text(&err), w->loss);
}

void bh_statewriter_stop(struct bh_statewriter *w)
{
	w->is_stopping = true;
	if (w->child > 0) {
		kill(w->child, SIGKILL);
		reap(w);
		w->is_changed = true;
		uv_close((uv_handle_t *)&w->answer, on_answer_closed);
	}
	if (w->is_allowed && w->is_changed)
		write_now(w);
	bh_close_handle((uv_handle_t *)&w->timer);
}
