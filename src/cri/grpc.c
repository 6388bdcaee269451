/*
 * A call is one HTTP/2 POST with prior knowledge on a connection of its own.
 * libcurl 7.88 (Debian 12) breaks the second request on a connection (curl
 * issue 10634), so none is reused; a connection costs half a millisecond.
 */
#include "grpc.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "bh/alloc.h"
#include "bh/multi.h"
#include "frame.h"

#define CONNECT_TIMEOUT_MS 5000L
#define MAX_TEXT           200

struct bh_grpc_call {
	struct bh_transfer transfer;
	struct bh_grpc *g;
	struct bh_grpc_request req;
	struct curl_slist *headers;
	struct bh_buf body;
	struct bh_frames frames;
	struct bh_err err; /* why the transfer was given up, "" if it was not */
	int status;
	bool has_status;
	char text[MAX_TEXT + 1];
};

struct bh_grpc {
	struct bh_multi *multi;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

void bh_grpc_cancel(struct bh_grpc_call **callp)
{
	struct bh_grpc_call *call = *callp;

	if (!call)
		return;
	*callp = NULL;
	bh_transfer_done(&call->transfer);
	curl_slist_free_all(call->headers);
	bh_buf_done(&call->body);
	bh_frames_done(&call->frames);
	free(call);
}

/* --- what libcurl hands in ------------------------------------------------------ */

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct bh_grpc_call *call = ctx;

	(void)size; /* always 1 */
	if (bh_frames_pending(&call->frames) + n > 2 * BH_FRAME_MAX) {
		bh_err(&call->err, -EMSGSIZE, "over %u bytes of one answer at once",
		       2 * BH_FRAME_MAX);
		return 0;
	}
	bh_frames_add(&call->frames, data, n);
	bh_transfer_set_ready(&call->transfer);
	return n;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* grpc-message is percent-encoded (gRPC over HTTP/2, "Status-Message"). */
static void decode_text(const char *s, size_t len, char ret[MAX_TEXT + 1])
{
	size_t i, n = 0;

	for (i = 0; i < len && n < MAX_TEXT; i++) {
		if (s[i] == '%' && i + 2 < len && hex_digit(s[i + 1]) >= 0 &&
		    hex_digit(s[i + 2]) >= 0) {
			ret[n] = (char)(hex_digit(s[i + 1]) << 4 | hex_digit(s[i + 2]));
			i += 2;
		} else {
			ret[n] = s[i];
		}
		if (ret[n] != '\0')
			n++;
	}
	ret[n] = '\0';
}

static bool header_is(const char *line, size_t len, const char *name, const char **value,
		      size_t *value_len)
{
	size_t n = strlen(name);

	if (len < n || strncasecmp(line, name, n) != 0)
		return false;
	while (n < len && line[n] == ' ')
		n++;
	while (len > n && isspace((unsigned char)line[len - 1]))
		len--;
	*value = line + n;
	*value_len = len - n;
	return true;
}

/* Headers and trailers; an answer without messages has everything in headers. */
static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
	struct bh_grpc_call *call = ctx;
	const char *value;
	size_t len, i;

	(void)size;
	if (header_is(data, n, "grpc-status:", &value, &len)) {
		call->status = 0;
		for (i = 0; i < len && i < 4 && isdigit((unsigned char)value[i]); i++)
			call->status = call->status * 10 + (value[i] - '0');
		call->has_status = len > 0 && i == len;
	} else if (header_is(data, n, "grpc-message:", &value, &len)) {
		decode_text(value, len, call->text);
	}
	return n;
}

/* --- what is handed out --------------------------------------------------------- */

static int no_answer(struct bh_grpc_call *call)
{
	if (call->err.text[0])
		return BH_GRPC_NO_ANSWER;
	if (call->transfer.code == CURLE_OPERATION_TIMEDOUT)
		bh_err(&call->err, -ETIMEDOUT, "no answer within %u ms", call->req.timeout_ms);
	else
		bh_transfer_error(&call->transfer, -EPROTO, &call->err);
	return BH_GRPC_NO_ANSWER;
}

/* The call's status; its text is in call->err. */
static int judge(struct bh_grpc_call *call)
{
	long http = 0;

	/*
	 * A server that has said its status may reset the stream before it has
	 * read the request to its end; libcurl calls that an error.
	 */
	if (call->err.text[0] || (call->transfer.code != CURLE_OK && !call->has_status))
		return no_answer(call);
	curl_easy_getinfo(call->transfer.easy, CURLINFO_RESPONSE_CODE, &http);
	if (http != 200) {
		bh_err(&call->err, -EPROTO, "HTTP status %ld", http);
		return BH_GRPC_NO_ANSWER;
	}
	if (!call->has_status) {
		bh_err(&call->err, -EPROTO, "the answer has no gRPC status");
		return BH_GRPC_NO_ANSWER;
	}
	if (call->status == BH_GRPC_OK && bh_frames_pending(&call->frames) > 0) {
		bh_err(&call->err, -EPROTO, "the answer ends within a message");
		return BH_GRPC_NO_ANSWER;
	}
	if (call->text[0])
		bh_err(&call->err, 0, "%s", call->text);
	else if (call->status != BH_GRPC_OK)
		bh_err(&call->err, 0, "gRPC status %d", call->status);
	return call->status;
}

static bool is_alive(const struct bh_grpc *g, const struct bh_grpc_call *call)
{
	return bh_transfer_is_alive(g->multi, &call->transfer);
}

static void on_ready(void *ctx, struct bh_transfer *t)
{
	struct bh_grpc_call *call = bh_container_of(t, struct bh_grpc_call, transfer);
	struct bh_grpc *g = ctx;
	const uint8_t *data;
	size_t len;
	int r = 0;

	while (!call->err.text[0] &&
	       (r = bh_frames_next(&call->frames, BH_FRAME_MAX, &data, &len, &call->err)) > 0) {
		call->req.on_message(call->req.ctx, data, len);
		if (!is_alive(g, call))
			return;
	}
	/* What breaks the framing never gets better: end it here. */
	if (t->is_ended || r < 0) {
		int status = judge(call);

		call->req.on_done(call->req.ctx, status, bh_err_text(&call->err));
		if (is_alive(g, call))
			bh_grpc_cancel(&call);
	}
}

/* --- calls ---------------------------------------------------------------------- */

static void add_header(struct bh_grpc_call *call, const char *line)
{
	struct curl_slist *list = curl_slist_append(call->headers, line);

	if (!list)
		abort();
	call->headers = list;
}

static void set_headers(struct bh_grpc_call *call)
{
	char line[160];

	add_header(call, "Content-Type: application/grpc");
	add_header(call, "TE: trailers");
	add_header(call, "Accept:");
	add_header(call, "Expect:");
	add_header(call, "User-Agent: bulkhead/" BH_VERSION);
	if (call->req.namespace) {
		snprintf(line, sizeof(line), "containerd-namespace: %s", call->req.namespace);
		add_header(call, line);
	}
	if (call->req.timeout_ms) {
		snprintf(line, sizeof(line), "grpc-timeout: %um", call->req.timeout_ms);
		add_header(call, line);
	}
}

static void set_options(struct bh_grpc_call *call)
{
	CURL *e = call->transfer.easy;
	char url[256];

	snprintf(url, sizeof(url), "http://localhost%s", call->req.path);
	curl_easy_setopt(e, CURLOPT_URL, url);
	curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, call->g->path);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(e, CURLOPT_POST, 1L);
	curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)call->body.len);
	curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->body.data);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)call->req.timeout_ms);
}

struct bh_grpc_call *bh_grpc_start(struct bh_grpc *g, const struct bh_grpc_request *request)
{
	struct bh_grpc_call *call = bh_calloc(1, sizeof(*call));

	call->g = g;
	call->req = *request;
	bh_transfer_init(&call->transfer, g->multi);
	bh_frame_head(&call->body, (uint32_t)request->len);
	bh_buf_add(&call->body, request->body, request->len);
	/* The caller's memory ends with this call. */
	call->req.body = NULL;
	set_headers(call);
	set_options(call);
	call->req.path = call->req.namespace = NULL;
	bh_transfer_start(&call->transfer);
	return call;
}

static void on_closed(void *ctx)
{
	free(ctx);
}

int bh_grpc_new(struct bh_grpc **ret, uv_loop_t *loop, const char *path, struct bh_err *err)
{
	struct bh_grpc *g;

	if (strlen(path) >= sizeof(g->path))
		return bh_err(err, -EINVAL, "the socket's path '%.100s' is over %zu bytes", path,
			      sizeof(g->path) - 1);
	g = bh_calloc(1, sizeof(*g));
	memcpy(g->path, path, strlen(path) + 1);
	g->multi = bh_multi_new(loop, &(struct bh_multi_owner){
					      .ctx = g,
					      .on_ready = on_ready,
					      .on_closed = on_closed,
				      });
	*ret = g;
	return 0;
}

void bh_grpc_free(struct bh_grpc **gp)
{
	struct bh_grpc *g = *gp;
	struct bh_transfer *t;

	if (!g)
		return;
	*gp = NULL;
	while ((t = bh_multi_transfers(g->multi))) {
		struct bh_grpc_call *call = bh_container_of(t, struct bh_grpc_call, transfer);

		bh_grpc_cancel(&call);
	}
	bh_multi_close(g->multi);
}
