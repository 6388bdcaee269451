/*
 * The client's side of the control socket, for the CLI: blocking.
 */
#include "bh/serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bh/alloc.h"

/* The agent is trusted not to fill our memory, but not blindly. */
#define MAX_ANSWER (1u << 30)

struct call {
	const char *path;
	int fd;
	int timeout_ms;
	char *data;
	size_t start, used, cap;
};

static int open_socket(const char *path, int *ret, struct bh_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	bh_auto_close int fd = -1;

	if (strlen(path) >= sizeof(sun.sun_path))
		return bh_err(err, -ENAMETOOLONG, "socket path over %zu characters: '%s'",
			      sizeof(sun.sun_path) - 1, path);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bh_err_wrap(err, -errno, "socket");
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return bh_err(err, -EHOSTDOWN, "no agent listens on '%s'", path);
		return bh_err_wrap(err, -errno, "cannot connect to '%s'", path);
	}
	*ret = bh_take_fd(fd);
	return 0;
}

/*
 * A server that refuses us answers and closes without a look at the request, so
 * a broken pipe here is no reason not to read what it said.
 */
static int send_request(const struct call *call, const json_t *request, struct bh_err *err)
{
	bh_auto_free char *text = json_dumps(request, JSON_COMPACT);
	struct bh_buf line = { 0 };
	size_t sent = 0;
	int r = 0;

	if (!text)
		return bh_err(err, -EINVAL, "the request cannot be written as JSON");
	bh_buf_puts(&line, text);
	bh_buf_putc(&line, '\n');
	while (sent < line.len) {
		ssize_t n = send(call->fd, line.data + sent, line.len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EPIPE)
				r = bh_err_wrap(err, -errno, "cannot write to '%s'", call->path);
			break;
		}
		sent += (size_t)n;
	}
	bh_buf_done(&line);
	return r;
}

static int make_room(struct call *call, struct bh_err *err)
{
	char *grown;

	if (call->start > 0) {
		memmove(call->data, call->data + call->start, call->used - call->start);
		call->used -= call->start;
		call->start = 0;
	}
	if (call->used < call->cap)
		return 0;
	if (call->cap >= MAX_ANSWER)
		return bh_err(err, -EMSGSIZE, "an answer of the agent is over %u bytes",
			      MAX_ANSWER);
	grown = realloc(call->data, call->cap ? call->cap * 2 : 65536);
	if (!grown) {
		bh_err_wrap(err, -ENOMEM, "answer of the agent");
		return -ENOMEM;
	}
	call->data = grown;
	call->cap = call->cap ? call->cap * 2 : 65536;
	return 0;
}

static int read_more(struct call *call, struct bh_err *err)
{
	struct pollfd p = { .fd = call->fd, .events = POLLIN };
	ssize_t n;
	int r;

	r = make_room(call, err);
	if (r < 0)
		return r;
	do
		r = poll(&p, 1, call->timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return bh_err(err, -ETIMEDOUT, "the agent on '%s' did not answer within %d ms",
			      call->path, call->timeout_ms);
	do
		n = recv(call->fd, call->data + call->used, call->cap - call->used, 0);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return bh_err(err, -ECONNRESET,
			      "the agent on '%s' went away before its answer's end", call->path);
	if (n < 0)
		return bh_err_wrap(err, -errno, "cannot read from '%s'", call->path);
	call->used += (size_t)n;
	return 0;
}

/* *ret, without newline, is valid until the next call. */
static int read_line(struct call *call, const char **ret, size_t *ret_len, struct bh_err *err)
{
	size_t seen = 0;
	int r;

	for (;;) {
		const char *line = call->data ? call->data + call->start : "";
		const char *end = NULL;

		if (call->used > call->start + seen)
			end = memchr(line + seen, '\n', call->used - call->start - seen);
		if (end) {
			*ret = line;
			*ret_len = (size_t)(end - line);
			call->start += *ret_len + 1;
			return 0;
		}
		seen = call->used - call->start;
		r = read_more(call, err);
		if (r < 0)
			return r;
	}
}

/* 0: go on, 1: done, negative: an error, ours or the server's. */
static int take_answer(const json_t *answer, int (*on_data)(void *ctx, const json_t *data),
		       void *ctx, struct bh_err *err)
{
	const json_t *data = json_object_get(answer, "data");
	const json_t *text = json_object_get(answer, "error");
	json_int_t code;

	if (data)
		return on_data(ctx, data);
	if (json_is_true(json_object_get(answer, "end")))
		return 1;
	if (!json_is_string(text))
		return bh_err(err, -EPROTO, "the agent's answer is neither data, end nor error");
	code = json_integer_value(json_object_get(answer, "code"));
	if (code >= 0 || code < -4095)
		code = -EPROTO;
	return bh_err(err, (int)code, "%s", json_string_value(text));
}

int bh_control_call(const char *path, const json_t *request, int timeout_ms,
		    int (*on_data)(void *ctx, const json_t *data), void *ctx, struct bh_err *err)
{
	struct call call = { .path = path, .fd = -1, .timeout_ms = timeout_ms };
	int r;

	r = open_socket(path, &call.fd, err);
	if (r < 0)
		return r;
	r = send_request(&call, request, err);
	while (r == 0) {
		json_error_t where;
		const char *line;
		json_t *answer;
		size_t len;

		r = read_line(&call, &line, &len, err);
		if (r < 0)
			break;
		answer = json_loadb(line, len, 0, &where);
		r = answer ? take_answer(answer, on_data, ctx, err)
			   : bh_err(err, -EPROTO, "the agent's answer is not JSON: %s", where.text);
		json_decref(answer);
	}
	bh_close(&call.fd);
	free(call.data);
	return r < 0 ? r : 0;
}
