/*
 * The control socket's server.
 *
 * Life of a client: READING its one request, ANSWERING while the method holds
 * the reply, DRAINING what is still unread, CLOSING.  A client is freed when
 * libuv has closed its handles, always in a later turn than the call that
 * started it, so methods may go on using their reply until they return.
 *
 * A reply is a heap object apart from the client: whoever answers later may hold
 * it longer than the client lives.
 */
#include "bh/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "bh/alloc.h"
#include "listen.h"

#define MAX_CLIENTS        64
#define REQUEST_TIMEOUT_MS 10000
/* A pager may be in no hurry. */
#define DRAIN_TIMEOUT_MS 60000

enum client_state { CLIENT_READING, CLIENT_ANSWERING, CLIENT_DRAINING, CLIENT_CLOSING };

struct client {
	uv_pipe_t pipe;
	uv_timer_t timer;
	unsigned int n_open_handles;
	struct bh_control *control; /* not valid when CLOSING */
	struct client *prev, *next;
	enum client_state state;
	bool is_owner; /* root, or the agent's own user */
	uid_t uid;
	struct bh_buf request;
	struct bh_reply *reply; /* NULL before the call and after the end */
};

struct bh_reply {
	struct client *client; /* NULL once it is gone */
	void (*on_close)(void *ctx);
	void *ctx;
};

struct bh_control {
	uv_pipe_t listener;
	uv_loop_t *loop;
	struct bh_unix_listener socket;
	uid_t owner;
	const struct bh_control_method *methods;
	void *ctx;
	struct client *clients;
	size_t n_clients;
	char scratch[16384]; /* what is read is taken out at once */
};

struct answer {
	uv_write_t req;
	char *line;
};

/* --- closing --------------------------------------------------------------- */

/* The client is gone, so whoever holds the reply learns of it. */
static void detach_reply(struct client *c)
{
	struct bh_reply *reply = bh_take_ptr(c->reply);

	if (!reply)
		return;
	reply->client = NULL;
	if (!reply->on_close)
		return;
	reply->on_close(reply->ctx);
	free(reply);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;

	if (--c->n_open_handles > 0)
		return;
	detach_reply(c);
	bh_buf_done(&c->request);
	free(c);
}

static void close_client(struct client *c)
{
	if (c->state == CLIENT_CLOSING)
		return;
	c->state = CLIENT_CLOSING;
	if (c->prev)
		c->prev->next = c->next;
	else
		c->control->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->control->n_clients--;
	uv_close((uv_handle_t *)&c->pipe, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

static void on_drain_timeout(uv_timer_t *timer)
{
	close_client(timer->data);
}

/* Nothing more will be said: close as soon as all is written. */
static void drain(struct client *c)
{
	c->state = CLIENT_DRAINING;
	if (uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) == 0)
		close_client(c);
	else
		uv_timer_start(&c->timer, on_drain_timeout, DRAIN_TIMEOUT_MS, 0);
}

/* --- answering ------------------------------------------------------------- */

static void on_written(uv_write_t *req, int status)
{
	struct answer *a = bh_container_of(req, struct answer, req);
	struct client *c = req->handle->data;

	free(a->line);
	free(a);
	if (c->state == CLIENT_CLOSING)
		return;
	if (status < 0 || (c->state == CLIENT_DRAINING &&
			   uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) == 0))
		close_client(c);
}

/* Takes the memory of @line. */
static int send_line(struct client *c, struct bh_buf *line)
{
	struct answer *a = bh_calloc(1, sizeof(*a));
	size_t len;
	uv_buf_t buf;
	int r;

	bh_buf_putc(line, '\n');
	len = line->len;
	a->line = bh_buf_take(line);
	buf = (uv_buf_t){ .base = a->line, .len = len };
	r = uv_write(&a->req, (uv_stream_t *)&c->pipe, &buf, 1, on_written);
	if (r < 0) {
		free(a->line);
		free(a);
		close_client(c);
		return -EPIPE;
	}
	return 0;
}

static int add_json(const char *text, size_t len, void *ctx)
{
	bh_buf_add(ctx, text, len);
	return 0;
}

static void format_error(struct bh_buf *line, int code, const char *text)
{
	struct bh_buf clean = { 0 };
	json_t *o;

	bh_buf_escape(&clean, text);
	o = json_pack("{s:s, s:i}", "error", bh_buf_str(&clean), "code", code);
	json_dump_callback(o, add_json, line, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(o);
	bh_buf_done(&clean);
}

static void send_error(struct client *c, int code, const char *text)
{
	struct bh_buf line = { 0 };

	format_error(&line, code, text);
	send_line(c, &line);
}

static size_t unread(const struct client *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
}

size_t bh_reply_unread(const struct bh_reply *reply)
{
	const struct client *c = reply->client;

	return c && c->state != CLIENT_CLOSING ? unread(c) : 0;
}

/* The one that has most unread, where all together leave too much; NULL otherwise. */
static struct client *worst_of_too_much(const struct bh_control *control)
{
	struct client *c, *worst = NULL;
	size_t total = 0;

	for (c = control->clients; c; c = c->next) {
		total += unread(c);
		if (!worst || unread(c) > unread(worst))
			worst = c;
	}
	return total > BH_CONTROL_MAX_TOTAL ? worst : NULL;
}

/* Where another one is the worst, it goes without a word: it would not read that either. */
static bool is_too_slow(const struct client *c)
{
	struct client *worst = worst_of_too_much(c->control);

	if (worst && worst != c)
		close_client(worst);
	return worst == c || unread(c) > BH_CONTROL_MAX_QUEUED;
}

/* Whether the client takes data; if not, why. */
static int can_answer(struct client *c)
{
	if (!c || c->state != CLIENT_ANSWERING)
		return -EPIPE;
	if (!is_too_slow(c))
		return 0;
	send_error(c, -ENOBUFS, "the client reads too slowly, answers were dropped");
	if (c->state == CLIENT_ANSWERING)
		drain(c);
	return -ENOBUFS;
}

int bh_reply_text(struct bh_reply *reply, const char *json)
{
	struct bh_buf line = { 0 };
	int r = can_answer(reply->client);

	if (r < 0)
		return r;
	bh_buf_printf(&line, "{\"data\":%s}", json);
	return send_line(reply->client, &line);
}

int bh_reply_data(struct bh_reply *reply, json_t *data)
{
	struct bh_buf line = { 0 };
	int r = can_answer(reply->client);

	if (r == 0) {
		bh_buf_puts(&line, "{\"data\":");
		json_dump_callback(data, add_json, &line,
				   JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		bh_buf_putc(&line, '}');
		r = send_line(reply->client, &line);
	}
	json_decref(data);
	return r;
}

/* Gives up the reply; the client, if it still waits for an end, or NULL. */
static struct client *end_reply(struct bh_reply *reply)
{
	struct client *c = reply->client;

	if (c)
		c->reply = NULL;
	free(reply);
	return c && c->state == CLIENT_ANSWERING ? c : NULL;
}

void bh_reply_end(struct bh_reply *reply)
{
	struct client *c = end_reply(reply);
	struct bh_buf line = { 0 };

	if (!c)
		return;
	bh_buf_puts(&line, "{\"end\":true}");
	if (send_line(c, &line) == 0)
		drain(c);
}

void bh_reply_error(struct bh_reply *reply, int code, const char *text)
{
	struct client *c = end_reply(reply);

	if (!c)
		return;
	send_error(c, code, text);
	if (c->state == CLIENT_ANSWERING)
		drain(c);
}

void bh_reply_on_close(struct bh_reply *reply, void (*on_close)(void *ctx), void *ctx)
{
	reply->on_close = on_close;
	reply->ctx = ctx;
}

bool bh_reply_is_owner(const struct bh_reply *reply)
{
	return reply->client && reply->client->is_owner;
}

unsigned int bh_reply_uid(const struct bh_reply *reply)
{
	return reply->client ? reply->client->uid : 65534;
}

/* --- the request ----------------------------------------------------------- */

static const struct bh_control_method *find_method(const struct bh_control *control,
						   const char *name)
{
	const struct bh_control_method *m;

	for (m = control->methods; m->name; m++)
		if (!strcmp(m->name, name))
			return m;
	return NULL;
}

static void call_method(struct client *c, const char *line, size_t len)
{
	const struct bh_control *control = c->control;
	const struct bh_control_method *m;
	struct bh_err err = { 0 };
	json_t *request;
	const char *name;
	int r;

	uv_timer_stop(&c->timer);
	c->state = CLIENT_ANSWERING;
	c->reply = bh_calloc(1, sizeof(*c->reply));
	c->reply->client = c;

	r = bh_control_parse(line, len, &request, &err);
	if (r < 0) {
		bh_reply_error(c->reply, r, bh_err_text(&err));
		return;
	}
	name = json_string_value(json_object_get(request, "method"));
	m = find_method(control, name);
	if (m) {
		m->on_call(control->ctx, request, c->reply);
	} else {
		bh_err(&err, -ENOSYS, "this agent has no method '%s'", name);
		bh_reply_error(c->reply, -ENOSYS, bh_err_text(&err));
	}
	json_decref(request);
}

static void take_input(struct client *c, const char *data, size_t len)
{
	const char *newline = memchr(data, '\n', len);

	bh_buf_add(&c->request, data, newline ? (size_t)(newline - data) : len);
	if (newline || c->request.len > BH_CONTROL_MAX_REQUEST)
		call_method(c, bh_buf_str(&c->request), c->request.len);
}

/* Tells a peer that closed from one that only shut its writing half down. */
static bool is_gone(const struct client *c)
{
	struct pollfd p = { 0 };

	if (uv_fileno((const uv_handle_t *)&c->pipe, &p.fd) < 0)
		return true;
	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	const struct client *c = handle->data;

	(void)suggested;
	*buf = (uv_buf_t){ .base = c->control->scratch, .len = sizeof(c->control->scratch) };
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	if (n < 0) {
		if (n != UV_EOF || c->state == CLIENT_READING || is_gone(c))
			close_client(c);
		return;
	}
	if (n > 0 && c->state == CLIENT_READING)
		take_input(c, buf->base, (size_t)n);
}

static void on_request_timeout(uv_timer_t *timer)
{
	struct client *c = timer->data;

	send_error(c, -ETIMEDOUT, "no complete request came in time");
	if (c->state == CLIENT_READING)
		drain(c);
}

/* --- who may ---------------------------------------------------------------- */

static bool is_in_group(int fd, gid_t gid)
{
	bh_auto_free gid_t *groups = NULL;
	socklen_t len = 0;
	size_t i;

	/* The first call tells the size. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
		return false;
	groups = bh_malloc(len);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static int check_peer(const struct bh_control *control, struct client *c, struct bh_err *err)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;
	struct stat st;
	int fd;

	if (uv_fileno((const uv_handle_t *)&c->pipe, &fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return bh_err(err, -EACCES, "the peer's credentials are unknown");
	c->uid = peer.uid;
	c->is_owner = peer.uid == 0 || peer.uid == control->owner;
	if (c->is_owner)
		return 0;
	if (stat(control->socket.path, &st) == 0 && st.st_mode & S_IWGRP &&
	    (peer.gid == st.st_gid || is_in_group(fd, st.st_gid)))
		return 0;
	return bh_err(err, -EACCES, "user %u may not use this socket", peer.uid);
}

/* There is room for one short line in a new connection's buffer. */
static void refuse(struct client *c, int code, const char *text)
{
	struct bh_buf line = { 0 };
	uv_buf_t buf;

	format_error(&line, code, text);
	bh_buf_putc(&line, '\n');
	buf = (uv_buf_t){ .base = line.data, .len = line.len };
	uv_try_write((uv_stream_t *)&c->pipe, &buf, 1);
	bh_buf_done(&line);
	close_client(c);
}

static struct client *add_client(struct bh_control *control)
{
	struct client *c = bh_calloc(1, sizeof(*c));

	c->control = control;
	uv_pipe_init(control->loop, &c->pipe, 0);
	uv_timer_init(control->loop, &c->timer);
	c->pipe.data = c->timer.data = c;
	c->n_open_handles = 2;
	c->next = control->clients;
	if (c->next)
		c->next->prev = c;
	control->clients = c;
	control->n_clients++;
	return c;
}

/* The oldest that has not asked yet makes room; false if all others have. */
static bool drop_silent(struct bh_control *control, const struct client *but)
{
	struct client *c, *oldest = NULL;

	/* The newest is the first. */
	for (c = control->clients; c; c = c->next)
		if (c != but && c->state == CLIENT_READING)
			oldest = c;
	if (oldest)
		close_client(oldest);
	return oldest != NULL;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct bh_control *control = listener->data;
	struct bh_err err = { 0 };
	struct client *c;

	if (status < 0)
		return;
	c = add_client(control);
	if (uv_accept(listener, (uv_stream_t *)&c->pipe) < 0) {
		close_client(c);
		return;
	}
	if (check_peer(control, c, &err) < 0) {
		refuse(c, -EACCES, bh_err_text(&err));
		return;
	}
	if (control->n_clients > MAX_CLIENTS && !drop_silent(control, c)) {
		refuse(c, -EBUSY, "too many clients are connected");
		return;
	}
	uv_timer_start(&c->timer, on_request_timeout, REQUEST_TIMEOUT_MS, 0);
	uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
}

/* --- the server -------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int bh_control_new(struct bh_control **ret, uv_loop_t *loop, const char *path,
		   const struct bh_control_method *methods, void *ctx, struct bh_err *err)
{
	struct bh_control *control = bh_calloc(1, sizeof(*control));
	int r;

	*control = (struct bh_control){
		.loop = loop,
		.socket = { .fd = -1, .lock_fd = -1 },
		.owner = geteuid(),
		.methods = methods,
		.ctx = ctx,
	};
	r = bh_unix_listen(&control->socket, path, err);
	if (r < 0) {
		free(control);
		return r;
	}

	uv_pipe_init(loop, &control->listener, 0);
	control->listener.data = control;
	r = uv_pipe_open(&control->listener, control->socket.fd);
	if (r == 0) {
		/* The handle closes it from here on. */
		control->socket.fd = -1;
		r = uv_listen((uv_stream_t *)&control->listener, MAX_CLIENTS, on_connection);
	}
	if (r < 0) {
		bh_control_free(&control);
		return bh_err(err, r, "cannot listen on '%s': %s", path, uv_strerror(r));
	}
	*ret = control;
	return 0;
}

void bh_control_free(struct bh_control **c)
{
	struct bh_control *control = bh_take_ptr(*c);

	if (!control)
		return;
	while (control->clients) {
		struct client *client = control->clients;

		close_client(client);
		detach_reply(client);
	}
	bh_unix_unlisten(&control->socket);
	uv_close((uv_handle_t *)&control->listener, on_listener_closed);
}
