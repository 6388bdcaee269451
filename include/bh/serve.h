/*
 * What the agent offers to others: a control socket for the CLI, and metrics
 * and health over HTTP.
 */
#ifndef BH_SERVE_H
#define BH_SERVE_H

#include <jansson.h>
#include <uv.h>

#include "bh/buf.h"
#include "bh/err.h"

/*
 * Control socket.  A client sends one JSON object on a line, {"method": "status",
 * ...parameters}, and gets JSON objects, one a line: any number of
 * {"data": ...} and then {"end": true} or {"error": "text", "code": -22}.  One
 * request per connection.  Requests are at most 64 KiB; peers other than root
 * and the socket's owner are refused (SO_PEERCRED, unix(7)).
 */
#define BH_CONTROL_PATH        "/run/bulkhead/control.sock"
#define BH_CONTROL_MAX_REQUEST 65536

struct bh_control;
struct bh_reply;

struct bh_control_method {
	const char *name;
	/*
	 * Answers now or later: any number of bh_reply_data(), then one
	 * bh_reply_end() or bh_reply_error(), which free @reply.  @params is
	 * borrowed during the call.
	 */
	void (*on_call)(void *ctx, const json_t *params, struct bh_reply *reply);
};

/* @methods ends with a NULL name and outlives the server; so does @ctx. */
int bh_control_new(struct bh_control **ret, uv_loop_t *loop, const char *path,
		   const struct bh_control_method *methods, void *ctx, struct bh_err *err);
void bh_control_free(struct bh_control **c);

/* Steals @data.  -EPIPE if the client is gone, -ENOBUFS if it reads too slowly. */
int bh_reply_data(struct bh_reply *reply, json_t *data);
void bh_reply_end(struct bh_reply *reply);
void bh_reply_error(struct bh_reply *reply, int code, const char *text);
/* Called once when the client goes away before the end; @reply dies after it. */
void bh_reply_on_close(struct bh_reply *reply, void (*on_close)(void *ctx), void *ctx);

/*
 * The client's side, blocking.  Calls @on_data for each answer; it returns 0 to
 * go on, 1 to stop early.  The server's error comes back as its code and text.
 * @timeout_ms -1: none.
 */
int bh_control_call(const char *path, const json_t *request, int timeout_ms,
		    int (*on_data)(void *ctx, const json_t *data), void *ctx, struct bh_err *err);

/*
 * HTTP on "unix:/path" or "127.0.0.1:9633" / "[::1]:9633" (loopback only).
 * GET only.
 */
struct bh_http;

struct bh_http_page {
	const char *path; /* "/metrics" */
	const char *content_type;
	/* Fills @body, returns the HTTP status. */
	int (*on_get)(void *ctx, struct bh_buf *body);
};

int bh_http_new(struct bh_http **ret, uv_loop_t *loop, const char *listen,
		const struct bh_http_page *pages, void *ctx, struct bh_err *err);
void bh_http_free(struct bh_http **h);

#endif
