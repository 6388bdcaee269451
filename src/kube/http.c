#include "http.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/multi.h"

#define CONNECT_TIMEOUT_MS 10000L
/* A peer that acknowledges nothing for that long is away. */
#define PEER_TIMEOUT_MS   30000
#define KEEPALIVE_IDLE_S  15L
#define KEEPALIVE_PAUSE_S 5L
#define READ_SIZE         (64L << 10)
/* Of an answer that is an error; a Status has a few hundred bytes. */
#define MAX_ERROR_BODY 16384
#define MAX_RETRY_MS   UINT32_C(120000)
/* All headers of an answer, interim ones too; the server's own have a few hundred bytes. */
#define MAX_HEAD ((size_t)256 << 10)
/*
 * Of a body, between two looks at it: what one read of the connection becomes when it is
 * unpacked.  A list is packed to a twentieth, a bomb to a thousandth.
 */
#define MAX_PENDING ((size_t)64 << 20)

struct bh_kube_call {
	struct bh_transfer transfer;
	struct bh_kube_http *h;
	struct bh_kube_request req;
	struct curl_slist *headers, *connect_to;
	struct bh_buf body; /* not handed out yet, or of an error */
	size_t n_head;      /* bytes of headers */
	uint32_t retry_after_ms;
	bool has_head, told_head;
	const char *refused; /* why we end it ourselves; NULL if we do not */
};

struct bh_kube_http {
	const struct bh_kube_access *access;
	struct bh_multi *multi;
	char *ca, *cert, *key;
	bool is_http2; /* the last answer was */
	struct bh_kube_http_stats stats;
};

static uint64_t bytes_of(const struct bh_kube_call *call)
{
	curl_off_t n = 0;

	curl_easy_getinfo(call->transfer.easy, CURLINFO_SIZE_DOWNLOAD_T, &n);
	return (uint64_t)n;
}

void bh_kube_call_cancel(struct bh_kube_call **callp)
{
	struct bh_kube_call *call = *callp;

	if (!call)
		return;
	*callp = NULL;
	call->h->stats.bytes_received += bytes_of(call);
	bh_transfer_done(&call->transfer);
	curl_slist_free_all(call->headers);
	curl_slist_free_all(call->connect_to);
	bh_buf_done(&call->body);
	free(call);
}

/* --- what libcurl hands in ------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct bh_kube_call *call = ctx;

	(void)size; /* always 1 */
	if (call->body.len + n > MAX_PENDING) {
		call->refused = "the answer unpacks to over 64 MiB at a time";
		return 0;
	}
	if (call->has_head || call->body.len + n <= MAX_ERROR_BODY)
		bh_buf_add(&call->body, data, n);
	if (call->has_head)
		bh_transfer_set_ready(&call->transfer);
	return n;
}

/* Retry-After in seconds; a date there is too rare to be read. */
static uint32_t parse_retry_after(const char *s, size_t len)
{
	uint32_t seconds = 0;
	size_t i = 0;

	while (i < len && s[i] == ' ')
		i++;
	for (; i < len && isdigit((unsigned char)s[i]) && seconds < MAX_RETRY_MS; i++)
		seconds = seconds * 10 + (uint32_t)(s[i] - '0');
	return seconds > MAX_RETRY_MS / 1000 ? MAX_RETRY_MS : seconds * 1000;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
	static const char retry[] = "retry-after:";
	struct bh_kube_call *call = ctx;
	long status = 0;

	(void)size;
	call->n_head += n;
	if (call->n_head > MAX_HEAD) {
		call->refused = "the answer's headers have over 256 KiB";
		return 0;
	}
	if (n >= strlen(retry) && strncasecmp(data, retry, strlen(retry)) == 0) {
		call->retry_after_ms = parse_retry_after(data + strlen(retry), n - strlen(retry));
	} else if (n <= 2) { /* the empty line behind the headers */
		curl_easy_getinfo(call->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
		call->has_head = status == 200;
		if (call->has_head)
			bh_transfer_set_ready(&call->transfer);
	}
	return n;
}

static int on_connect(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	struct bh_kube_http *h = ctx;
	const unsigned int ms = PEER_TIMEOUT_MS;

	(void)purpose;
	h->stats.n_connects++;
	/* Without it a dead peer is noticed after a quarter of an hour. */
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

/* --- what is handed out ---------------------------------------------------------- */

/* A Status says it in "message"; anything else is not worth repeating. */
static void describe_error(struct bh_kube_call *call, int status, struct bh_err *ret)
{
	json_t *json =
		json_loadb(bh_buf_str(&call->body), call->body.len, JSON_DISABLE_EOF_CHECK, NULL);
	const char *message = json_string_value(json_object_get(json, "message"));
	struct bh_buf text = { 0 };

	if (message)
		bh_buf_escape(&text, message);
	bh_err(ret, 0, text.len > 0 ? "HTTP status %d: %s" : "HTTP status %d%s", status,
	       bh_buf_str(&text));
	bh_buf_done(&text);
	json_decref(json);
}

static struct bh_kube_answer judge(struct bh_kube_call *call, struct bh_err *text)
{
	struct bh_kube_answer a = { .retry_after_ms = call->retry_after_ms };
	CURLcode code = call->transfer.code;
	long status = 0;

	a.text = text->text;
	curl_easy_getinfo(call->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
	a.status = (int)status;
	if (code == CURLE_OK) {
		a.outcome = BH_ANSWERED;
		if (status != 200)
			describe_error(call, a.status, text);
		return a;
	}
	if (call->refused) {
		a.outcome = BH_BROKEN;
		bh_err(text, 0, "%s", call->refused);
		return a;
	}
	a.outcome = code == CURLE_HTTP2_STREAM || code == CURLE_PARTIAL_FILE ? BH_BROKEN : BH_AWAY;
	bh_transfer_error(&call->transfer, 0, text);
	return a;
}

static bool is_alive(const struct bh_kube_http *h, const struct bh_kube_call *call)
{
	return bh_transfer_is_alive(h->multi, &call->transfer);
}

static void end_call(struct bh_kube_http *h, struct bh_kube_call *call)
{
	struct bh_err text = { 0 };
	struct bh_kube_answer answer = judge(call, &text);
	long version = 0;

	curl_easy_getinfo(call->transfer.easy, CURLINFO_HTTP_VERSION, &version);
	h->is_http2 = version == CURL_HTTP_VERSION_2_0;
	call->req.on_done(call->req.ctx, &answer);
	if (is_alive(h, call))
		bh_kube_call_cancel(&call);
}

static void on_ready(void *ctx, struct bh_transfer *t)
{
	struct bh_kube_call *call = bh_container_of(t, struct bh_kube_call, transfer);
	struct bh_kube_http *h = ctx;

	if (call->has_head && !call->told_head) {
		call->told_head = true;
		call->req.on_head(call->req.ctx);
	}
	if (is_alive(h, call) && call->has_head && call->body.len > 0) {
		struct bh_buf data = call->body;

		call->body = (struct bh_buf){ 0 };
		call->req.on_data(call->req.ctx, data.data, data.len);
		bh_buf_done(&data);
	}
	if (is_alive(h, call) && t->is_ended)
		end_call(h, call);
}

/* --- calls ----------------------------------------------------------------------- */

static void add_header(struct bh_kube_call *call, const char *line)
{
	call->headers = curl_slist_append(call->headers, line);
	if (!call->headers)
		abort();
}

static void set_headers(struct bh_kube_call *call, const char *token)
{
	add_header(call, "Accept: application/json");
	add_header(call, "User-Agent: bulkheadd/" BH_VERSION);
	if (token) {
		bh_auto_free char *line = bh_asprintf("Authorization: Bearer %s", token);

		add_header(call, line);
	}
}

static void set_blob(CURL *e, CURLoption option, char *text)
{
	struct curl_blob blob = { .data = text, .flags = CURL_BLOB_NOCOPY };

	if (!text)
		return;
	blob.len = strlen(text);
	curl_easy_setopt(e, option, &blob);
}

static void set_tls(struct bh_kube_call *call)
{
	struct bh_kube_http *h = call->h;
	CURL *e = call->transfer.easy;

	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (h->ca) {
		set_blob(e, CURLOPT_CAINFO_BLOB, h->ca);
		/* Otherwise the system's authorities are trusted besides. */
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
		curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
	}
	set_blob(e, CURLOPT_SSLCERT_BLOB, h->cert);
	set_blob(e, CURLOPT_SSLKEY_BLOB, h->key);
	/* A key with a pass phrase fails instead of asking the terminal. */
	curl_easy_setopt(e, CURLOPT_KEYPASSWD, "");
}

/*
 * libcurl checks the certificate against the URL's host: the URL has the name
 * that the certificate must have, and the connection goes elsewhere.
 */
static void set_url(struct bh_kube_call *call)
{
	const struct bh_kube_access *a = call->h->access;
	bh_auto_free char *url = NULL, *to = NULL;
	const char *path = strstr(a->server, "://") + 3;

	path += strcspn(path, "/");
	if (!a->server_name) {
		url = bh_asprintf("%s%s", a->server, call->req.path);
	} else {
		url = bh_asprintf("https://%s:%s%s%s", a->server_name, a->port, path,
				  call->req.path);
		to = bh_asprintf(strchr(a->host, ':') ? "::[%s]:%s" : "::%s:%s", a->host, a->port);
		call->connect_to = curl_slist_append(NULL, to);
		if (!call->connect_to)
			abort();
		curl_easy_setopt(call->transfer.easy, CURLOPT_CONNECT_TO, call->connect_to);
	}
	curl_easy_setopt(call->transfer.easy, CURLOPT_URL, url);
}

static void set_options(struct bh_kube_call *call)
{
	CURL *e = call->transfer.easy;

	set_url(call);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, call->h->access->is_plain ? "http" : "https");
	if (!call->h->access->is_plain)
		set_tls(call);
	/* Nothing from the environment has a say in where this goes. */
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	/* With HTTP/1.1 a watch would make everything behind it wait for its end. */
	curl_easy_setopt(e, CURLOPT_PIPEWAIT, call->h->is_http2 ? 1L : 0L);
	if (call->req.accepts_gzip)
		curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, READ_SIZE);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_PAUSE_S);
	curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_connect);
	curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, call->h);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
}

struct bh_kube_call *bh_kube_call_start(struct bh_kube_http *h,
					const struct bh_kube_request *request, struct bh_err *err)
{
	bh_auto_free char *token = NULL;
	struct bh_kube_call *call;

	if (bh_token_read(&h->access->token, &token, err) < 0)
		return NULL;
	call = bh_calloc(1, sizeof(*call));
	call->h = h;
	call->req = *request;
	bh_transfer_init(&call->transfer, h->multi);
	set_headers(call, token);
	set_options(call);
	call->req.path = NULL; /* the caller's memory ends with this call */
	bh_transfer_start(&call->transfer);
	return call;
}

/* --- sessions -------------------------------------------------------------------- */

static void free_http(struct bh_kube_http *h)
{
	free(h->ca);
	free(h->cert);
	free(h->key);
	free(h);
}

static void on_closed(void *ctx)
{
	free_http(ctx);
}

int bh_kube_http_new(struct bh_kube_http **ret, uv_loop_t *loop,
		     const struct bh_kube_access *access, struct bh_err *err)
{
	struct bh_kube_http *h = bh_calloc(1, sizeof(*h));
	int r;

	h->access = access;
	r = bh_secret_read(&access->ca, "certificate-authority", &h->ca, err);
	if (r == 0)
		r = bh_secret_read(&access->cert, "client-certificate", &h->cert, err);
	if (r == 0)
		r = bh_secret_read(&access->key, "client-key", &h->key, err);
	if (r < 0) {
		free_http(h);
		return r;
	}
	h->multi = bh_multi_new(loop, &(struct bh_multi_owner){
					      .ctx = h,
					      .on_ready = on_ready,
					      .on_closed = on_closed,
					      .shares_connections = true,
				      });
	*ret = h;
	return 0;
}

void bh_kube_http_free(struct bh_kube_http **hp)
{
	struct bh_kube_http *h = *hp;
	struct bh_transfer *t;

	if (!h)
		return;
	*hp = NULL;
	while ((t = bh_multi_transfers(h->multi))) {
		struct bh_kube_call *call = bh_container_of(t, struct bh_kube_call, transfer);

		bh_kube_call_cancel(&call);
	}
	bh_multi_close(h->multi);
}

struct bh_kube_http_stats bh_kube_http_stats(const struct bh_kube_http *h)
{
	struct bh_kube_http_stats stats = h->stats;
	struct bh_transfer *t;

	for (t = bh_multi_transfers(h->multi); t; t = t->next)
		stats.bytes_received += bytes_of(bh_container_of(t, struct bh_kube_call, transfer));
	return stats;
}
