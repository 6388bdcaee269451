/*
 * The HTTP pages, asked by plain sockets while one thread drives the loop.
 */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bh/buf.h"
#include "bh/serve.h"

struct server {
	uv_loop_t loop;
	char dir[64];
	char path[128];
	struct bh_http *http;
	size_t body_size, n_costly;
};

static int get_metrics(void *ctx, struct bh_buf *body)
{
	(void)ctx;
	bh_buf_puts(body, "bulkhead_pods 3\n");
	return 200;
}

static int get_ready(void *ctx, struct bh_buf *body)
{
	(void)ctx;
	bh_buf_puts(body, "manifest: not in sync\n");
	return 503;
}

static int get_big(void *ctx, struct bh_buf *body)
{
	const struct server *s = ctx;
	size_t i;

	for (i = 0; i < s->body_size; i++)
		bh_buf_putc(body, 'x');
	return 200;
}

static int get_costly(void *ctx, struct bh_buf *body)
{
	struct server *s = ctx;

	s->n_costly++;
	bh_buf_printf(body, "made %zu\n", s->n_costly);
	return 200;
}

static const struct bh_http_page pages[] = {
	{ "/metrics", "text/plain; version=0.0.4", get_metrics, false },
	{ "/readyz", "text/plain", get_ready, false },
	{ "/big", "text/plain", get_big, false },
	{ "/costly", "text/plain", get_costly, true },
	{ NULL, NULL, NULL, false },
};

static int setup(void **state)
{
	struct server *s = bh_calloc(1, sizeof(*s));
	struct bh_err err = { 0 };
	char listen[160];

	strcpy(s->dir, "/tmp/bh-http-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/metrics.sock", s->dir);
	snprintf(listen, sizeof(listen), "unix:%s", s->path);
	assert_int_equal(uv_loop_init(&s->loop), 0);
	assert_ok(bh_http_new(&s->http, &s->loop, listen, pages, s, &err), &err);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct server *s = *state;
	char lock[160];

	bh_http_free(&s->http);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	snprintf(lock, sizeof(lock), "%s.lock", s->path);
	rmdir(lock);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

static int connect_unix(const struct server *s)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

/* Sends @request on @fd and runs the server until it closes. */
static char *ask(struct server *s, int fd, const char *request)
{
	struct bh_buf text = { 0 };
	char part[16384];

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	for (;;) {
		ssize_t n = recv(fd, part, sizeof(part), MSG_DONTWAIT);

		if (n > 0)
			bh_buf_add(&text, part, (size_t)n);
		else if (n == 0 || errno == ECONNRESET)
			break;
		uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	close(fd);
	return bh_buf_take(&text);
}

static void requests_get_the_answers_they_should(void **state)
{
	static const struct {
		const char *request, *status, *part, *not_part;
	} t[] = {
		{ "GET /metrics", "200 OK", "\r\n\r\nbulkhead_pods 3\n", "not-there" },
		{ "GET /metrics", "200 OK", "Content-Type: text/plain; version=0.0.4\r\n",
		  "chunked" },
		{ "GET /metrics?x=1", "200 OK", "bulkhead_pods 3\n", "not-there" },
		{ "HEAD /metrics", "200 OK", "Content-Length: 16\r\n", "bulkhead_pods" },
		{ "GET /readyz", "503 ", "manifest: not in sync", "bulkhead_pods" },
		{ "GET /", "404 ", "no such page", "bulkhead_pods" },
		{ "GET /metrics/", "404 ", "no such page", "bulkhead_pods" },
		{ "GET /../metrics", "404 ", "no such page", "bulkhead_pods" },
		{ "POST /metrics", "405 ", "Allow: GET, HEAD\r\n", "bulkhead_pods" },
		{ "DELETE /metrics", "405 ", "only GET and HEAD", "bulkhead_pods" },
	};
	struct server *s = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *request = bh_asprintf(
			"%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", t[i].request);
		bh_auto_free char *text = ask(s, connect_unix(s), request);

		assert_contains(text, "HTTP/1.1 ");
		assert_contains(text, t[i].status);
		assert_contains(text, t[i].part);
		assert_null(strstr(text, t[i].not_part));
	}
}

static void what_is_not_http_is_refused(void **state)
{
	struct server *s = *state;
	bh_auto_free char *junk = ask(s, connect_unix(s), "hello\r\n\r\n");
	bh_auto_free char *no_host = ask(s, connect_unix(s), "GET /metrics HTTP/1.1\r\n\r\n");

	assert_null(strstr(junk, " 200 "));
	assert_contains(no_host, " 400 ");
}

static void a_page_larger_than_any_buffer_arrives_whole(void **state)
{
	struct server *s = *state;
	bh_auto_free char *text = NULL;

	s->body_size = 8u << 20;
	text = ask(s, connect_unix(s), "GET /big HTTP/1.0\r\n\r\n");
	assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4), s->body_size);
}

static void headers_beyond_the_limit_are_refused(void **state)
{
	struct server *s = *state;
	struct bh_buf request = { 0 };
	bh_auto_free char *text = NULL;
	int i;

	bh_buf_puts(&request, "GET /metrics HTTP/1.1\r\nHost: x\r\n");
	for (i = 0; i < 3000; i++)
		bh_buf_puts(&request, "X-Padding: 0123456789\r\n");
	bh_buf_puts(&request, "\r\n");
	text = ask(s, connect_unix(s), bh_buf_str(&request));
	assert_null(strstr(text, " 200 "));
	bh_buf_done(&request);
}

static void connections_beyond_the_limit_do_not_stop_the_others(void **state)
{
	struct server *s = *state;
	bh_auto_free char *text = NULL;
	int fds[20];
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(fds); i++) {
		fds[i] = connect_unix(s);
		uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	for (i = 1; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
	text = ask(s, fds[0], "GET /metrics HTTP/1.0\r\n\r\n");
	assert_contains(text, "bulkhead_pods 3");
}

static void turns(struct server *s, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		uv_run(&s->loop, UV_RUN_NOWAIT);
}

static bool is_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* Far more than there are places, each with half a request, again and again. */
static void held_connections_do_not_keep_a_probe_out(void **state)
{
	struct server *s = *state;
	int fds[900];
	size_t n_open = 0;

	for (unsigned int round = 0; round < 3; round++) {
		bh_auto_free char *text = NULL;

		for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++) {
			fds[i] = connect_unix(s);
			send(fds[i], "GET /metrics HTTP/1.1\r\nX: ", 27, MSG_NOSIGNAL);
			turns(s, (unsigned int)(i % 3));
		}
		text = ask(s, connect_unix(s), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_contains(text, "bulkhead_pods 3");
		n_open = 0;
		for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
			n_open += !is_closed(fds[i]);
		assert_in_range(n_open, 1, 640);
		for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
			close(fds[i]);
	}
}

/* Answers that nobody takes fill all places too. */
static void unread_answers_do_not_keep_a_probe_out(void **state)
{
	struct server *s = *state;
	bh_auto_free char *text = NULL;
	int fds[700];

	s->body_size = 1u << 20;
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++) {
		fds[i] = connect_unix(s);
		send(fds[i], "GET /big HTTP/1.0\r\n\r\n", 22, MSG_NOSIGNAL);
		turns(s, 3);
	}
	text = ask(s, connect_unix(s), "GET /readyz HTTP/1.0\r\n\r\n");
	assert_contains(text, "manifest: not in sync");
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

/* A byte now and then makes no connection young again. */
static void a_request_that_trickles_in_ends(void **state)
{
	struct server *s = *state;
	uint64_t start = uv_hrtime();
	int fd = connect_unix(s);

	send(fd, "GET /metrics HTTP/1.1\r\nX: ", 27, MSG_NOSIGNAL);
	while (uv_hrtime() - start < 1500000000) {
		assert_false(is_closed(fd));
		turns(s, 1);
		usleep(20000);
		assert_int_equal(send(fd, "a", 1, MSG_NOSIGNAL), 1);
	}
	while (!is_closed(fd) && uv_hrtime() - start < 20000000000) {
		turns(s, 1);
		usleep(20000);
		send(fd, "a", 1, MSG_NOSIGNAL);
	}
	assert_true(is_closed(fd));
	/* Well before an idle one would have had to go. */
	assert_in_range((uv_hrtime() - start) / 1000000, 1900, 9000);
	close(fd);
}

static void a_connection_is_good_for_one_request(void **state)
{
	struct server *s = *state;
	bh_auto_free char *text = NULL;

	text = ask(s, connect_unix(s),
		   "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
		   "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_contains(text, "Connection: close\r\n");
	assert_contains(text, "bulkhead_pods 3");
	assert_null(strstr(text, "manifest"));
}

static void what_is_costly_is_not_made_for_everybody_who_asks(void **state)
{
	struct server *s = *state;

	for (unsigned int i = 0; i < 200; i++) {
		bh_auto_free char *text = ask(s, connect_unix(s), "GET /costly HTTP/1.0\r\n\r\n");

		assert_contains(text, "made ");
	}
	assert_in_range(s->n_costly, 20, 120);
}

static void addresses_that_are_not_of_this_machine_are_refused(void **state)
{
	static const struct {
		const char *listen;
		const char *want; /* NULL: fine */
	} t[] = {
		{ "127.0.0.1:9633", NULL },
		{ "127.1.2.3:1", NULL },
		{ "[::1]:65535", NULL },
		{ "unix:/run/x.sock", NULL },
		{ "unix:x.sock", "is not unix:/path" },
		{ "0.0.0.0:9633", "not a loopback address" },
		{ "[::]:9633", "not a loopback address" },
		{ "10.0.0.1:9633", "not a loopback address" },
		{ "[fe80::1]:9633", "not a loopback address" },
		{ "127.0.0.1", "is not unix:/path" },
		{ "127.0.0.1:", "not a port number" },
		{ "127.0.0.1:-1", "not a port number" },
		{ "127.0.0.1:0", "not within 1-65535" },
		{ "127.0.0.1:65536", "not within 1-65535" },
		{ "127.0.0.1:99999999999999999999999", "not within 1-65535" },
		{ "::1:9633", "needs brackets" },
		{ "[::1]9633", "is not unix:/path" },
		{ "[", "is not unix:/path" },
		{ "[:1", "is not unix:/path" },
		{ "[]:1", "not" },
		{ ":9633", "not" },
		{ "localhost:9633", "not" },
		{ "", "is not unix:/path" },
	};
	struct server *s = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_err err = { 0 };
		struct bh_http *http = NULL;

		if (!t[i].want) {
			assert_ok(bh_http_check(t[i].listen, &err), &err);
			continue;
		}
		assert_err(bh_http_check(t[i].listen, &err), &err, -EINVAL, t[i].want);
		assert_int_equal(bh_http_new(&http, &s->loop, t[i].listen, pages, s, &err),
				 -EINVAL);
	}
}

/* A port of loopback that was free a moment ago. */
static uint16_t free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	return ntohs(sin.sin_port);
}

static void loopback_is_served_and_a_busy_port_is_named(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	struct server *s = *state;
	struct bh_http *http = NULL, *second = NULL;
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	uint16_t port = free_port();
	char listen[32];
	int fd;

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	assert_ok(bh_http_new(&http, &s->loop, listen, pages, s, &err), &err);
	assert_err(bh_http_new(&second, &s->loop, listen, pages, s, &err), &err, -EADDRINUSE,
		   "cannot listen on 127.0.0.1 port");

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sin.sin_port = htons(port);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	text = ask(s, fd, "GET /metrics HTTP/1.0\r\n\r\n");
	assert_contains(text, "bulkhead_pods 3");
	bh_http_free(&http);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(requests_get_the_answers_they_should),
		T(what_is_not_http_is_refused),
		T(a_page_larger_than_any_buffer_arrives_whole),
		T(headers_beyond_the_limit_are_refused),
		T(connections_beyond_the_limit_do_not_stop_the_others),
		T(held_connections_do_not_keep_a_probe_out),
		T(unread_answers_do_not_keep_a_probe_out),
		T(a_request_that_trickles_in_ends),
		T(a_connection_is_good_for_one_request),
		T(what_is_costly_is_not_made_for_everybody_who_asks),
		T(addresses_that_are_not_of_this_machine_are_refused),
		T(loopback_is_served_and_a_busy_port_is_named),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
