/*
 * Metrics and health over HTTP.
 *
 * libmicrohttpd runs without a thread: it keeps its connections in an epoll set
 * of its own, whose descriptor libuv watches, and is called when that is
 * readable or when a connection's time is up.
 *
 * Its own time-out is of idle connections, and each byte makes one young again; at its own
 * limit it accepts nobody.  Neither will do where anybody may connect, so connections are
 * kept in a list here, oldest first, and those whose time is up are shut down: to
 * libmicrohttpd that is a client that left.
 */
#include "bh/serve.h"

#include <errno.h>
#include <linux/netlink.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bh/addr.h"
#include "bh/alloc.h"
#include "bh/nl.h"
#include "listen.h"
#include "peer.h"

/*
 * One that is pushed out by others had as much time as it takes to fill the rest: where
 * somebody makes 5,000 connections a second, a tenth of one.
 */
#define MAX_CONNECTIONS 640u
/* Beyond these, somebody goes; the rest is for those accepted meanwhile. */
#define MAX_KEPT   512u
#define REQUEST_MS 2000
#define ANSWER_MS  10000
/* Whoever has no complete request after that is in no hurry. */
#define FAIR_MS           200
#define CONNECTION_MEMORY ((size_t)8192) /* request line and headers must fit */
/* Of costly pages. */
#define PAGES_PER_S 10
#define PAGES_BURST 20
/* As long as that much is unsent, no more of them is made. */
#define MAX_BYTES ((size_t)16 << 20)
#define MAX_PAGES 16

/* Of clients; BH_PEER_UNKNOWN is one too. */
struct user {
	uid_t uid;
	size_t n;        /* connections, without those that are shut */
	size_t n_listed; /* with them */
	struct user *next;
};

struct connection {
	int fd;
	struct user *user;
	uint64_t start_ms;
	bool has_request; /* complete, and it is being answered */
	bool is_shut;     /* goes as soon as libmicrohttpd looks */
	struct connection *next, *prev;
};

struct bh_http {
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	uv_loop_t *loop;
	struct bh_nl *diag; /* see peer.h */
	unsigned int n_open_handles;
	struct bh_unix_listener socket; /* fd stays -1: libmicrohttpd closes it */
	const struct bh_http_page *pages;
	void *ctx;
	struct connection *first, *last; /* oldest first */
	struct user *users;
	size_t n_connections; /* without those that are shut */
	size_t n_bytes;       /* of answers, until they are sent */
	struct {
		struct MHD_Response *response; /* the last; NULL before the first */
		int status;
	} made[MAX_PAGES]; /* of costly pages */
	uint64_t pages_ms; /* time of the bucket's last filling */
	double n_pages;    /* that may be made now */
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

/* What is sent, until everybody has got it or is gone. */
struct body {
	struct bh_http *http;
	size_t len;
	char *data;
};

static void free_body(void *cls)
{
	struct body *b = cls;

	b->http->n_bytes -= b->len;
	free(b->data);
	free(b);
}

/* Takes the memory of @text; NULL without memory. */
static struct MHD_Response *make_response(struct bh_http *h, int status, const char *type,
					  struct bh_buf *text)
{
	struct body *body = bh_calloc(1, sizeof(*body));
	struct MHD_Response *response;

	*body = (struct body){ .http = h, .len = text->len };
	body->data = bh_buf_take(text);
	h->n_bytes += body->len;
	response = MHD_create_response_from_buffer_with_free_callback_cls(body->len, body->data,
									  free_body, body);
	if (!response) {
		free_body(body);
		return NULL;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	return response;
}

static enum MHD_Result respond(struct bh_http *h, struct MHD_Connection *connection, int status,
			       const char *type, struct bh_buf *body)
{
	struct MHD_Response *response = make_response(h, status, type, body);
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	r = MHD_queue_response(connection, (unsigned int)status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result respond_text(struct bh_http *h, struct MHD_Connection *connection,
				    int status, const char *text)
{
	struct bh_buf body = { 0 };

	bh_buf_puts(&body, text);
	return respond(h, connection, status, "text/plain; charset=utf-8", &body);
}

static uint64_t now_ms(const struct bh_http *h)
{
	return uv_now(h->loop);
}

/* Whether a costly page may be made once more. */
static bool take_page(struct bh_http *h)
{
	h->n_pages += (double)(now_ms(h) - h->pages_ms) * PAGES_PER_S / 1000;
	if (h->n_pages > PAGES_BURST)
		h->n_pages = PAGES_BURST;
	h->pages_ms = now_ms(h);
	if (h->n_pages < 1 || h->n_bytes > MAX_BYTES)
		return false;
	h->n_pages--;
	return true;
}

/* All who get the same page share its memory. */
static enum MHD_Result respond_costly(struct bh_http *h, struct MHD_Connection *connection,
				      const struct bh_http_page *page)
{
	size_t i = (size_t)(page - h->pages);
	struct bh_buf body = { 0 };

	if (take_page(h) || !h->made[i].response) {
		if (h->made[i].response)
			MHD_destroy_response(h->made[i].response);
		h->made[i].status = page->on_get(h->ctx, &body);
		h->made[i].response =
			make_response(h, h->made[i].status, page->content_type, &body);
	}
	if (!h->made[i].response)
		return MHD_NO;
	return MHD_queue_response(connection, (unsigned int)h->made[i].status, h->made[i].response);
}

static void note_request(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *c = info ? info->socket_context : NULL;

	if (c)
		c->has_request = true;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_data_size, void **con_cls)
{
	struct bh_http *h = cls;
	const struct bh_http_page *page;
	struct bh_buf body = { 0 };
	int status;

	(void)version;
	(void)upload_data;
	(void)upload_data_size;
	(void)con_cls;
	note_request(connection);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return respond_text(h, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				    "only GET and HEAD are allowed\n");
	for (page = h->pages; page->path; page++)
		if (!strcmp(page->path, url))
			break;
	if (!page->path)
		return respond_text(h, connection, MHD_HTTP_NOT_FOUND, "there is no such page\n");
	if (page->is_costly)
		return respond_costly(h, connection, page);
	status = page->on_get(h->ctx, &body);
	return respond(h, connection, status, page->content_type, &body);
}

/* --- connections --------------------------------------------------------------- */

static void shut(struct bh_http *h, struct connection *c)
{
	if (c->is_shut)
		return;
	c->is_shut = true;
	c->user->n--;
	h->n_connections--;
	shutdown(c->fd, SHUT_RDWR);
}

/* What one user holds is held against nobody else. */
static struct user *greediest(const struct bh_http *h)
{
	struct user *u, *max = h->users;

	for (u = h->users; u; u = u->next)
		if (u->n > max->n)
			max = u;
	return max;
}

static struct user *get_user(struct bh_http *h, uid_t uid)
{
	struct user *u;

	for (u = h->users; u; u = u->next)
		if (u->uid == uid)
			return u;
	u = bh_calloc(1, sizeof(*u));
	u->uid = uid;
	u->next = h->users;
	h->users = u;
	return u;
}

static void forget_users(struct bh_http *h)
{
	for (struct user **at = &h->users; *at;) {
		struct user *u = *at;

		if (u->n_listed > 0) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		free(u);
	}
}

/* The oldest that had time for its request and did not complete it, else the oldest. */
static struct connection *dispensable(const struct bh_http *h)
{
	const struct user *user = greediest(h);
	struct connection *c, *oldest = NULL;

	for (c = h->first; c; c = c->next) {
		if (c->is_shut || c->user != user)
			continue;
		if (!c->has_request && now_ms(h) - c->start_ms > FAIR_MS)
			return c;
		if (!oldest)
			oldest = c;
	}
	return oldest;
}

static void add_connection(struct bh_http *h, struct connection *c)
{
	c->prev = h->last;
	if (h->last)
		h->last->next = c;
	else
		h->first = c;
	h->last = c;
	c->user->n++;
	c->user->n_listed++;
	h->n_connections++;
	if (h->n_connections > MAX_KEPT)
		shut(h, dispensable(h));
}

static void del_connection(struct bh_http *h, struct connection *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		h->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		h->last = c->prev;
	if (!c->is_shut) {
		c->user->n--;
		h->n_connections--;
	}
	if (--c->user->n_listed == 0)
		forget_users(h);
	free(c);
}

/* Before libmicrohttpd closes the descriptor, or after it accepted it. */
static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct bh_http *h = cls;
	struct connection *c;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*context)
			del_connection(h, *context);
		*context = NULL;
		return;
	}
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (!info)
		return;
	c = bh_calloc(1, sizeof(*c));
	c->fd = info->connect_fd;
	c->user = get_user(h, bh_peer_uid(h->diag, c->fd));
	c->start_ms = now_ms(h);
	*context = c;
	add_connection(h, c);
}

static uint64_t deadline_ms(const struct connection *c)
{
	return c->start_ms + (c->has_request ? ANSWER_MS : REQUEST_MS);
}

/* Shuts those whose time is up; how long until the next one, or -1. */
static int64_t check_deadlines(struct bh_http *h)
{
	uint64_t now = now_ms(h), next = UINT64_MAX;

	for (struct connection *c = h->first; c; c = c->next) {
		if (!c->is_shut && deadline_ms(c) <= now)
			shut(h, c);
		else if (!c->is_shut && deadline_ms(c) < next)
			next = deadline_ms(c);
	}
	return next == UINT64_MAX ? -1 : (int64_t)(next - now);
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
	int64_t deadline;

	MHD_run(h->daemon);
	deadline = check_deadlines(h);
	/* What libmicrohttpd read ahead shows as a wait of 0, not in epoll. */
	if (MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES &&
	    (deadline < 0 || wait_ms < (MHD_UNSIGNED_LONG_LONG)deadline))
		deadline = (int64_t)wait_ms;
	if (deadline >= 0)
		uv_timer_start(&h->timer, on_timeout, (uint64_t)deadline, 0);
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
	bh_nl_free(&h->diag);
	for (size_t i = 0; i < MAX_PAGES; i++)
		if (h->made[i].response)
			MHD_destroy_response(h->made[i].response);
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
				MAX_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				CONNECTION_MEMORY, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
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
		.loop = loop,
		.n_pages = PAGES_BURST,
	};
	/* Without it, all clients over TCP are one user. */
	(void)bh_nl_new(&h->diag, NETLINK_SOCK_DIAG, NULL);
	r = open_listener(h, listen, &fd, err);
	if (r < 0) {
		bh_nl_free(&h->diag);
		free(h);
		return r;
	}
	h->daemon = start_daemon(h, fd);
	if (!h->daemon) {
		bh_unix_unlisten(&h->socket);
		bh_nl_free(&h->diag);
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
		bh_nl_free(&h->diag);
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
