/*
 * What the agent offers to others: a control socket for the CLI, and metrics
 * and health over HTTP.
 */
#ifndef BH_SERVE_H
#define BH_SERVE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "bh/buf.h"
#include "bh/err.h"

/*
 * Control socket.  A client sends one JSON object on a line, {"method": "status",
 * ...parameters}, and gets JSON objects, one a line: any number of
 * {"data": ...} and then {"end": true} or {"error": "text", "code": -22}.  One
 * request per connection, at most 64 KiB, complete within 10 s; at most 64
 * clients at a time: one more takes the place of the oldest that has not asked yet.
 *
 * Peers may be root, the user that runs the agent, and members of the socket
 * file's group while its mode lets the group write (SO_PEERCRED, unix(7)); the
 * file starts as 0660 with the agent's own group, and chgrp(1) opens it.
 *
 * The program must ignore SIGPIPE.
 */
#define BH_CONTROL_PATH        "/run/bulkhead/control.sock"
#define BH_CONTROL_MAX_REQUEST 65536
/* A client with more than this still unread is too slow. */
#define BH_CONTROL_MAX_QUEUED (16u << 20)
/* And the one with most, where all together have more than this. */
#define BH_CONTROL_MAX_TOTAL (64u << 20)

struct bh_control;
struct bh_reply;

struct bh_control_method {
	const char *name;
	/*
	 * Answers now or later: any number of bh_reply_data(), then one
	 * bh_reply_end() or bh_reply_error(), which free @reply.  @params (the
	 * whole request) is borrowed during the call.
	 */
	void (*on_call)(void *ctx, const json_t *params, struct bh_reply *reply);
};

/*
 * @methods ends with a NULL name and outlives the server; so does @ctx.
 * -EADDRINUSE if another agent is running on @path.
 */
int bh_control_new(struct bh_control **ret, uv_loop_t *loop, const char *path,
		   const struct bh_control_method *methods, void *ctx, struct bh_err *err);
/*
 * Removes the socket file and drops all clients (their on_close is called
 * before this returns).  Safe while the loop runs; handles are closed by it
 * later.
 */
void bh_control_free(struct bh_control **c);

/*
 * Steals @data.  -EPIPE if the client is gone, -ENOBUFS if it reads too slowly
 * and was dropped; @reply stays valid after either until it is ended or its
 * on_close is called, which never happens within this call.  One large answer
 * always fits: the limit is on what is unread before it.
 */
int bh_reply_data(struct bh_reply *reply, json_t *data);
/* The same for a JSON value that is text already, ASCII in one line; borrowed. */
int bh_reply_text(struct bh_reply *reply, const char *json);
/* Bytes that the client has not read yet; 0 once it is gone. */
size_t bh_reply_unread(const struct bh_reply *reply);
void bh_reply_end(struct bh_reply *reply);
/* @code: a negative errno. */
void bh_reply_error(struct bh_reply *reply, int code, const char *text);
/* The client is root or the user that runs the agent, and not only a member of the group. */
bool bh_reply_is_owner(const struct bh_reply *reply);
/* The client's user; that of nobody, 65534, once it is gone. */
unsigned int bh_reply_uid(const struct bh_reply *reply);
/*
 * Called once when the client goes away before the end; @reply dies after it.
 * Without an on_close the reply lives on, deaf, until it is ended.
 */
void bh_reply_on_close(struct bh_reply *reply, void (*on_close)(void *ctx), void *ctx);

/*
 * The client's side, blocking.  Calls @on_data for each answer; it returns 0 to
 * go on, 1 to stop early, or a negative errno that is returned.  The server's
 * error comes back as its code and text.  @timeout_ms: the longest wait for the
 * next answer (-ETIMEDOUT); -1: for ever.  -EHOSTDOWN: nobody listens on @path;
 * -ECONNRESET: the agent went away in between.
 */
int bh_control_call(const char *path, const json_t *request, int timeout_ms,
		    int (*on_data)(void *ctx, const json_t *data), void *ctx, struct bh_err *err);

/* One request line (without newline) -> its object, a new reference; for the server. */
int bh_control_parse(const char *line, size_t len, json_t **ret, struct bh_err *err);

/*
 * HTTP on "unix:/path" (0660), "127.0.0.1:9633" or "[::1]:9633"; anything but
 * loopback is refused.  GET and HEAD only, one request a connection.
 *
 * Whoever is on the machine may connect, and the service manager's probes must get through
 * all the same.  So a connection has 2 s to send its request, whatever trickles in, and 10 s to
 * take the answer; and there is always room for one more: where the places run short, the
 * user who has most of them loses one, the oldest that had time for its request and did not
 * complete it, else the oldest of all.
 */
struct bh_http;

/* @pages ends with a NULL path and outlives the server; so does @ctx. */
struct bh_http_page {
	const char *path; /* "/metrics" */
	const char *content_type;
	/* Fills @body, returns the HTTP status. */
	int (*on_get)(void *ctx, struct bh_buf *body);
	/*
	 * Its work is worth saving: it is made no more than 10 times a second, after a burst of
	 * 20; whoever asks more often gets the one made last.
	 */
	bool is_costly;
};

int bh_http_new(struct bh_http **ret, uv_loop_t *loop, const char *listen,
		const struct bh_http_page *pages, void *ctx, struct bh_err *err);
/* Safe while the loop runs; handles are closed by it later. */
void bh_http_free(struct bh_http **h);

/* Whether @listen is one of the forms above; -EINVAL with text. */
int bh_http_check(const char *listen, struct bh_err *err);

#endif
