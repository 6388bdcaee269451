#include "bh/multi.h"

#include "bh/alloc.h"

struct bh_multi {
	CURLM *curl;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct bh_multi_owner owner;
	size_t n_handles; /* that the loop has not closed yet */
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

static void act(struct bh_multi *m, curl_socket_t fd, int events)
{
	int running, left;
	CURLMsg *msg;

	curl_multi_socket_action(m->curl, fd, events, &running);
	while ((msg = curl_multi_info_read(m->curl, &left))) {
		if (msg->msg == CURLMSG_DONE)
			m->owner.on_end(m->owner.ctx, msg->easy_handle, msg->data.result);
	}
	m->owner.on_turn(m->owner.ctx);
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

void bh_multi_add(struct bh_multi *m, CURL *easy)
{
	curl_multi_add_handle(m->curl, easy);
}

void bh_multi_remove(struct bh_multi *m, CURL *easy)
{
	curl_multi_remove_handle(m->curl, easy);
}
