/*
 * Metrics and health over HTTP.
 *
 * libmicrohttpd runs without a thread: it keeps its connections in an epoll set
 * of its own, whose descriptor libuv watches, and is called when that is
 * readable or when a connection's time is up.
 */
#include "bh/serve.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "bh/addr.h"
#include "bh/alloc.h"
#include "listen.h"

#define MAX_CONNECTIONS   16u
#define IDLE_TIMEOUT_S    10u
#define CONNECTION_MEMORY ((size_t)16384) /* request line and headers must fit */

struct bh_http {
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned int n_open_handles;
	struct bh_unix_listener socket; /* fd stays -1: libmicrohttpd closes it */
	const struct bh_http_page *pages;
	void *ctx;
};

/* --- where to listen ---------------------------------------------------------- */

#define UNIX_PREFIX "unix:"

static int parse_port(const char *s, uint16_t *ret, struct bh_err *err)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || *end)
		return bh_err(err, -EINVAL, "'%s' is not a port number", s);
	if (errno || v == 0 || v > UINT16_MAX)
		return bh_err(err, -EINVAL, "port %s is not within 1-65535", s);
	*ret = (uint16_t)v;
	return 0;
}

/* "127.0.0.1:9633", "[::1]:9633" */
static int parse_tcp(const char *listen, struct bh_addr *addr, uint16_t *port, struct bh_err *err)
{
	const char *colon = strrchr(listen, ':');
	bool has_brackets = listen[0] == '[';
	char host[BH_ADDR_STRLEN];
	size_t len;
	int r;

	if (!colon || (has_brackets && (colon < listen + 2 || colon[-1] != ']')))
		return bh_err(err, -EINVAL, "'%s' is not unix:/path, 127.0.0.1:port or [::1]:port",
			      listen);
	len = (size_t)(colon - listen) - (has_brackets ? 2 : 0);
	if (len >= sizeof(host))
		return bh_err(err, -EINVAL, "'%s' does not start with an address", listen);
	memcpy(host, listen + (has_brackets ? 1 : 0), len);
	host[len] = '\0';
	if (!has_brackets && strchr(host, ':'))
		return bh_err(err, -EINVAL, "the IPv6 address in '%s' needs brackets", listen);
	r = bh_addr_parse(host, addr, err);
	if (r < 0)
		return r;
	return parse_port(colon + 1, port, err);
}

static bool is_unix(const char *listen)
{
	return !strncmp(listen, UNIX_PREFIX, strlen(UNIX_PREFIX));
}

int bh_http_check(const char *listen, struct bh_err *err)
{
	struct bh_addr addr = { 0 };
	uint16_t port = 0;
	int r;

	if (is_unix(listen)) {
		if (listen[strlen(UNIX_PREFIX)] != '/')
			return bh_err(err, -EINVAL, "'%s' is not unix:/path", listen);
		return 0;
	}
	r = parse_tcp(listen, &addr, &port, err);
	if (r < 0)
		return r;
	if (!bh_is_loopback(&addr))
		return bh_err(err, -EINVAL, "'%s' is not a loopback address", listen);
	return 0;
}

static int open_listener(struct bh_http *h, const char *listen, int *ret, struct bh_err *err)
{
	struct bh_addr addr = { 0 };
	uint16_t port = 0;
	int r;

	r = bh_http_check(listen, err);
	if (r < 0)
		return r;
	if (is_unix(listen)) {
		r = bh_unix_listen(&h->socket, listen + strlen(UNIX_PREFIX), err);
		if (r < 0)
			return r;
		*ret = bh_take_fd(h->socket.fd);
		return 0;
	}
	r = parse_tcp(listen, &addr, &port, err);
	if (r < 0)
		return r;
	return bh_tcp_listen(&addr, port, ret, err);
}

/* --- requests ---------------------------------------------------------------- */

/* Takes the memory of @body. */
static enum MHD_Result respond(struct MHD_Connection *connection, int status, const char *type,
			       struct bh_buf *body)
{
	size_t len = body->len;
	struct MHD_Response *response;
	enum MHD_Result r;
	char *data = bh_buf_take(body);

	response = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(data);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	r = MHD_queue_response(connection, (unsigned int)status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result respond_text(struct MHD_Connection *connection, int status, const char *text)
{
	struct bh_buf body = { 0 };

	bh_buf_puts(&body, text);
	return respond(connection, status, "text/plain; charset=utf-8", &body);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_data_size, void **con_cls)
{
	const struct bh_http *h = cls;
	const struct bh_http_page *page;
	struct bh_buf body = { 0 };
	int status;

	(void)version;
	(void)upload_data;
	(void)upload_data_size;
	(void)con_cls;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return respond_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				    "only GET and HEAD are allowed\n");
	for (page = h->pages; page->path; page++)
		if (!strcmp(page->path, url))
			break;
	if (!page->path)
		return respond_text(connection, MHD_HTTP_NOT_FOUND, "there is no such page\n");
	status = page->on_get(h->ctx, &body);
	return respond(connection, status, page->content_type, &body);
}

/* --- the loop ---------------------------------------------------------------- */

static void run(struct bh_http *h);

static void on_timeout(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void run(struct bh_http *h)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(h->daemon);
	/* What libmicrohttpd read ahead shows as a wait of 0, not in epoll. */
	if (MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES)
		uv_timer_start(&h->timer, on_timeout, wait_ms, 0);
	else
		uv_timer_stop(&h->timer);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct bh_http *h = handle->data;

	if (--h->n_open_handles > 0)
		return;
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	free(h);
}

void bh_http_free(struct bh_http **http)
{
	struct bh_http *h = bh_take_ptr(*http);

	if (!h)
		return;
	bh_unix_unlisten(&h->socket);
	/* The epoll descriptor must live until libuv has let go of it. */
	uv_close((uv_handle_t *)&h->poll, on_handle_closed);
	uv_close((uv_handle_t *)&h->timer, on_handle_closed);
}

static struct MHD_Daemon *start_daemon(struct bh_http *h, int fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h,
				MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
				MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

int bh_http_new(struct bh_http **ret, uv_loop_t *loop, const char *listen,
		const struct bh_http_page *pages, void *ctx, struct bh_err *err)
{
	struct bh_http *h = bh_calloc(1, sizeof(*h));
	const union MHD_DaemonInfo *info;
	bh_auto_close int fd = -1;
	int r;

	*h = (struct bh_http){
		.socket = { .fd = -1, .lock_fd = -1 },
		.pages = pages,
		.ctx = ctx,
	};
	r = open_listener(h, listen, &fd, err);
	if (r < 0) {
		free(h);
		return r;
	}
	h->daemon = start_daemon(h, fd);
	if (!h->daemon) {
		bh_unix_unlisten(&h->socket);
		free(h);
		return bh_err(err, -EIO, "libmicrohttpd does not start on '%s'", listen);
	}
	/* MHD_stop_daemon() closes the listening socket. */
	fd = -1;

	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	r = info ? uv_poll_init(loop, &h->poll, info->epoll_fd) : UV_ENOTSUP;
	if (r < 0) {
		bh_unix_unlisten(&h->socket);
		MHD_stop_daemon(h->daemon);
		free(h);
		return bh_err(err, r, "cannot watch libmicrohttpd: %s", uv_strerror(r));
	}
	uv_timer_init(loop, &h->timer);
	h->poll.data = h->timer.data = h;
	h->n_open_handles = 2;
	uv_poll_start(&h->poll, UV_READABLE, on_readable);
	*ret = h;
	return 0;
}
