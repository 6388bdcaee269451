/*
 * libcurl on the loop.
 *
 * Of an HTTP/2 connection libcurl reads as long as there is anything to read, and comes
 * back only then: a server that sends PING frames without a pause keeps the whole
 * agent from its work.  So a timer's signal ends the connections of a call that takes
 * too much; what the transfers get is an error like that of any connection that ends.
 */
#include "bh/multi.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <utlist.h>

#include "bh/alloc.h"
#include "bh/clock.h"

/* CPU time of one call of libcurl; a megabyte of JSON takes a hundredth of it. */
#define MAX_CALL_MS 1000
/* Sockets at a time that can be ended so: the agent has a few. */
#define MAX_SOCKETS 64

struct bh_multi {
	CURLM *curl;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct bh_multi_owner owner;
	struct bh_transfer *transfers, *ready;
	struct bh_transfer *current; /* that the owner is told of; NULL once it is done */
	size_t n_handles;            /* that the loop has not closed yet */
	volatile sig_atomic_t sockets[MAX_SOCKETS]; /* and 1; 0: none */
	uint64_t cut_ns;                            /* when its connections were ended last */
	bool is_closing;
};

struct watch {
	uv_poll_t poll;
	struct bh_multi *multi;
	curl_socket_t fd;
};

static void drop_handle(struct bh_multi *m)
{
	struct bh_multi_owner owner = m->owner;

	if (--m->n_handles > 0)
		return;
	free(m);
	owner.on_closed(owner.ctx);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct watch *w = bh_container_of(handle, struct watch, poll);
	struct bh_multi *m = w->multi;

	free(w);
	drop_handle(m);
}

static void on_timer_closed(uv_handle_t *handle)
{
	drop_handle(bh_container_of(handle, struct bh_multi, timer));
}

/* --- calls that take too much -------------------------------------------------------- */

/* The one that libcurl works for; NULL: none. */
static struct bh_multi *volatile busy;
static volatile sig_atomic_t is_cut;

static void on_alarm(int signal_number)
{
	struct bh_multi *m = busy;

	(void)signal_number;
	for (size_t i = 0; m && i < MAX_SOCKETS; i++)
		if (m->sockets[i])
			(void)shutdown(m->sockets[i] - 1, SHUT_RDWR);
	is_cut = true;
}

static void set_alarm(long ms)
{
	const struct itimerval t = { .it_value = { ms / 1000, ms % 1000 * 1000 } };

	(void)setitimer(ITIMER_PROF, &t, NULL);
}

static void catch_alarm(void)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

	(void)sigaction(SIGPROF, &sa, NULL);
}

/* libcurl says that it uses a socket, or @old and not any more; before it is closed. */
static void note_socket(struct bh_multi *m, sig_atomic_t old, sig_atomic_t new)
{
	for (size_t i = 0; i < MAX_SOCKETS; i++) {
		if (m->sockets[i] != old)
			continue;
		m->sockets[i] = new;
		return;
	}
}

static void call_curl(struct bh_multi *m, curl_socket_t fd, int events)
{
	int running;

	is_cut = false;
	busy = m;
	set_alarm(MAX_CALL_MS);
	curl_multi_socket_action(m->curl, fd, events, &running);
	set_alarm(0);
	busy = NULL;
	if (is_cut)
		m->cut_ns = bh_mono_ns();
}

/* --- transfers --------------------------------------------------------------------- */

void bh_transfer_set_ready(struct bh_transfer *t)
{
	if (t->is_ready)
		return;
	t->is_ready = true;
	DL_APPEND2(t->multi->ready, t, ready_prev, ready_next);
}

static void unset_ready(struct bh_transfer *t)
{
	if (!t->is_ready)
		return;
	t->is_ready = false;
	DL_DELETE2(t->multi->ready, t, ready_prev, ready_next);
}

static void end(CURL *easy, CURLcode code)
{
	struct bh_transfer *t;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
	t->code = code;
	t->is_ended = true;
	if (code != CURLE_OK && t->multi->cut_ns + BH_NS_PER_S > bh_mono_ns())
		snprintf(t->error, sizeof(t->error),
			 "the peer sends without a pause, ended after %d ms of work", MAX_CALL_MS);
	bh_transfer_set_ready(t);
}

static void hand_out(struct bh_multi *m)
{
	struct bh_transfer *t;

	while ((t = m->ready)) {
		unset_ready(t);
		m->current = t;
		m->owner.on_ready(m->owner.ctx, t);
		m->current = NULL;
	}
}

void bh_transfer_init(struct bh_transfer *t, struct bh_multi *m)
{
	*t = (struct bh_transfer){ .multi = m, .easy = curl_easy_init() };
	if (!t->easy)
		abort();
	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	DL_APPEND(m->transfers, t);
}

void bh_transfer_start(struct bh_transfer *t)
{
	curl_multi_add_handle(t->multi->curl, t->easy);
}

void bh_transfer_done(struct bh_transfer *t)
{
	struct bh_multi *m = t->multi;

	if (m->current == t)
		m->current = NULL;
	unset_ready(t);
	DL_DELETE(m->transfers, t);
	curl_multi_remove_handle(m->curl, t->easy);
	curl_easy_cleanup(t->easy);
	t->easy = NULL;
}

bool bh_transfer_is_alive(const struct bh_multi *m, const struct bh_transfer *t)
{
	return m->current == t;
}

struct bh_transfer *bh_multi_transfers(const struct bh_multi *m)
{
	return m->transfers;
}

int bh_transfer_error(const struct bh_transfer *t, int code, struct bh_err *err)
{
	long os_errno = 0;

	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_errno);
	if (t->code == CURLE_COULDNT_CONNECT && os_errno > 0) {
		bh_err_clear(err);
		bh_err_wrap(err, -(int)os_errno, "cannot connect");
		return code;
	}
	return bh_err(err, code, "%s", t->error[0] ? t->error : curl_easy_strerror(t->code));
}

/* --- the event loop ---------------------------------------------------------------- */

static void act(struct bh_multi *m, curl_socket_t fd, int events)
{
	CURLMsg *msg;
	int left;

	call_curl(m, fd, events);
	while ((msg = curl_multi_info_read(m->curl, &left))) {
		if (msg->msg == CURLMSG_DONE)
			end(msg->easy_handle, msg->data.result);
	}
	hand_out(m);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = bh_container_of(poll, struct watch, poll);
	int flags = 0;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	act(w->multi, w->fd, flags);
}

static void on_timeout(uv_timer_t *timer)
{
	act(bh_container_of(timer, struct bh_multi, timer), CURL_SOCKET_TIMEOUT, 0);
}

static struct watch *new_watch(struct bh_multi *m, curl_socket_t fd)
{
	struct watch *w = bh_calloc(1, sizeof(*w));

	w->multi = m;
	w->fd = fd;
	if (uv_poll_init(m->loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	m->n_handles++;
	curl_multi_assign(m->curl, fd, w);
	note_socket(m, 0, fd + 1);
	return w;
}

/* libcurl says what it wants to know of @fd. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *assigned)
{
	struct bh_multi *m = ctx;
	struct watch *w = assigned;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		note_socket(m, fd + 1, 0);
		if (w) {
			/* libcurl closes the descriptor next: leave epoll(7) now. */
			uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, on_watch_closed);
			curl_multi_assign(m->curl, fd, NULL);
		}
		return 0;
	}
	if (!w)
		w = new_watch(m, fd);
	if (!w)
		return -1;
	if (what != CURL_POLL_OUT)
		events |= UV_READABLE;
	if (what != CURL_POLL_IN)
		events |= UV_WRITABLE;
	return uv_poll_start(&w->poll, events, on_ready) < 0 ? -1 : 0;
}

static int on_curl_timer(CURLM *curl, long timeout_ms, void *ctx)
{
	struct bh_multi *m = ctx;

	(void)curl;
	if (m->is_closing)
		return 0;
	if (timeout_ms < 0)
		uv_timer_stop(&m->timer);
	else
		uv_timer_start(&m->timer, on_timeout, (uint64_t)timeout_ms, 0);
	return 0;
}

struct bh_multi *bh_multi_new(uv_loop_t *loop, const struct bh_multi_owner *owner)
{
	struct bh_multi *m = bh_calloc(1, sizeof(*m));

	curl_global_init(CURL_GLOBAL_DEFAULT);
	m->curl = curl_multi_init();
	if (!m->curl)
		abort();
	m->loop = loop;
	m->owner = *owner;
	m->n_handles = 1;
	catch_alarm();
	uv_timer_init(loop, &m->timer);
	curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
	curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
	curl_multi_setopt(m->curl, CURLMOPT_PIPELINING,
			  owner->shares_connections ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
	return m;
}

void bh_multi_close(struct bh_multi *m)
{
	m->is_closing = true;
	uv_timer_stop(&m->timer);
	curl_multi_cleanup(m->curl);
	curl_global_cleanup();
	uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}
