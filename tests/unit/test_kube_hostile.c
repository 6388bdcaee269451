/*
 * The source against a server that means harm: answers without an end, or that unpack to
 * far more than they are.  A scripted double, because a real API server sends none of this;
 * it is a process of its own, so that the memory measured is the source's alone.
 */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/kube.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

/* --- the server ------------------------------------------------------------------ */

#define CHUNK 65536

static void put(int fd, const void *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		/* The client had enough. */
		if (n <= 0)
			_exit(0);
		data = (const char *)data + n;
		len -= (size_t)n;
	}
}

static void puts_to(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

#define HEAD_JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define LIST      "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":["

/* The beginning of a list, and a member's name without end; RFC 1951: 13 bits are 258 bytes. */
static void send_gzip_bomb(int fd)
{
	static const unsigned char head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };
	unsigned char block[CHUNK] = { 0 };
	size_t bit = 0;

	puts_to(fd, HEAD_JSON "Content-Encoding: gzip\r\nConnection: close\r\n\r\n");
	put(fd, head, sizeof(head));
/* Huffman codes begin with their highest bit, everything else with its lowest. */
#define BITS(text)                                                                                 \
	for (const char *c_ = (text); *c_; c_++, bit++)                                            \
	block[bit / 8] |= (unsigned char)((*c_ == '1') << (bit % 8))
	BITS("0");        /* not the last block */
	BITS("10");       /* fixed codes */
	BITS("10101011"); /* the literals '{', '"' and 'A' */
	BITS("01010010");
	BITS("01110001");
	BITS("1100010100000"); /* length 258, distance 1: five bytes are full */
	put(fd, block, bit / 8);
	memset(block, 0, sizeof(block));
	bit = 0;
	for (size_t i = 0; i < 8 * 5000; i++)
		BITS("1100010100000"); /* length 258, distance 1 */
	for (;;)
		put(fd, block, bit / 8);
#undef BITS
}

static void send_endless(int fd, const char *head, const char *piece)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };

	while (b.len < CHUNK)
		bh_buf_puts(&b, piece);
	puts_to(fd, head);
	for (;;)
		put(fd, b.data, b.len);
}

static void send_body_without_end(int fd)
{
	send_endless(fd, HEAD_JSON "Connection: close\r\n\r\n" LIST "{\"metadata\":{\"name\":\"",
		     "x");
}

static void send_unknown_member_without_end(int fd)
{
	send_endless(fd, HEAD_JSON "Connection: close\r\n\r\n{\"nonsense\":\"", "x");
}

static void send_header_without_end(int fd)
{
	send_endless(fd, HEAD_JSON "X: ", "x");
}

static void send_headers_without_end(int fd)
{
	send_endless(fd, HEAD_JSON, "X-Header: something\r\n");
}

static void send_interim_answers_without_end(int fd)
{
	send_endless(fd, "", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

static void send_tiny_objects_without_end(int fd)
{
	send_endless(fd, HEAD_JSON "Connection: close\r\n\r\n" LIST "{}", ",{}");
}

typedef void attack_fn(int fd);

static void hold(int fd)
{
	char c;

	puts_to(fd, HEAD_JSON "\r\n");
	(void)!recv(fd, &c, 1, 0);
}

static void serve(int fd, attack_fn *attack, int good)
{
	char request[8192];
	size_t used = 0;
	ssize_t n;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((n = recv(fd, request + used, sizeof(request) - 1 - used, 0)) > 0) {
		used += (size_t)n;
		request[used] = '\0';
		if (strstr(request, "\r\n\r\n"))
			break;
	}
	if (strstr(request, "GET /version"))
		puts_to(fd,
			HEAD_JSON "Connection: close\r\n\r\n"
				  "{\"major\":\"1\",\"minor\":\"30\",\"gitVersion\":\"v1.30.0\"}");
	else if (strstr(request, "clusternetworkpolicies"))
		puts_to(fd, "HTTP/1.1 404 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	else if (strstr(request, "GET /api/v1/pods") && strstr(request, "watch=1"))
		/* After the good list, so that there is a last state: it is to list again. */
		puts_to(fd, HEAD_JSON
			"Connection: close\r\n\r\n"
			"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
			"\"reason\":\"Expired\"}}\n");
	else if (strstr(request, "watch=1"))
		hold(fd);
	else if (strstr(request, "GET /api/v1/pods") && read(good, &go, 1) == 1)
		puts_to(fd,
			HEAD_JSON "Connection: close\r\n\r\n" LIST
				  "{\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"uid\":"
				  "\"u\",\"resourceVersion\":\"4\"}}]}");
	else if (strstr(request, "GET /api/v1/pods"))
		attack(fd);
	else
		puts_to(fd, HEAD_JSON "Connection: close\r\n\r\n" LIST "]}");
	_exit(0);
}

/* @good has a byte for each list of pods that is as it should be. */
static pid_t start_server(attack_fn *attack, int *ret_port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, good[2];
	socklen_t len = sizeof(sin);
	pid_t pid;

	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	*ret_port = ntohs(sin.sin_port);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		if (pipe(good) < 0 || write(good[1], "x", 1) != 1)
			_exit(1);
		close(good[1]);
		while ((fd = accept(listener, NULL, NULL)) >= 0) {
			if (fork() == 0) {
				alarm(60);
				serve(fd, attack, good[0]);
			}
			close(fd);
		}
		_exit(1);
	}
	close(listener);
	return pid;
}

/* --- the source ------------------------------------------------------------------ */

struct world {
	uv_loop_t loop;
	uv_timer_t limit;
	struct bh_kube *kube;
	struct bh_buf told;
	const char *want; /* in the problem that is told */
	bool is_over_time;
};

static void on_put(void *ctx, const struct bh_fact *f)
{
	struct world *w = ctx;

	if (f->kind == BH_KIND_POD)
		bh_buf_printf(&w->told, "+pod %s\n", f->pod.name);
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	struct world *w = ctx;

	bh_buf_printf(&w->told, "-%s\n", key->name);
}

static void on_synced(void *ctx, enum bh_source source)
{
	(void)ctx;
	(void)source;
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	struct world *w = ctx;

	(void)source;
	(void)subject;
	if (!text)
		return;
	bh_buf_printf(&w->told, "problem %s\n", text);
	if (strstr(bh_buf_str(&w->told), "+pod") && strstr(text, w->want))
		uv_stop(&w->loop);
}

static void on_limit(uv_timer_t *timer)
{
	struct world *w = bh_container_of(timer, struct world, limit);

	w->is_over_time = true;
	uv_stop(&w->loop);
}

static void reset_peak(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "w");

	if (!f)
		return;
	fputs("5", f);
	fclose(f);
}

static long peak_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %ld kB", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

static void run_attack(attack_fn *attack, const char *want)
{
	const struct bh_sink sink = { .on_put = on_put,
				      .on_delete = on_delete,
				      .on_synced = on_synced,
				      .on_problem = on_problem };
	struct world w = { 0 };
	struct bh_sink own = sink;
	char path[] = "/tmp/bh-hostile-XXXXXX";
	struct bh_kube_config config = { .kubeconfig = path, .allows_plain = true };
	struct bh_err err = { 0 };
	int port, fd = mkstemp(path), status;
	long before, more;
	pid_t server = start_server(attack, &port);
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	fprintf(f,
		"{kind: Config, current-context: x, contexts: [{name: x, context: {cluster: c, "
		"user: u}}], clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%d'}}], "
		"users: [{name: u, user: {token: t0ken}}]}\n",
		port);
	fclose(f);
	own.ctx = &w;
	w.want = want;
	uv_loop_init(&w.loop);
	reset_peak();
	before = peak_kib();
	uv_timer_init(&w.loop, &w.limit);
	uv_timer_start(&w.limit, on_limit, 50000, 0);
	assert_ok(bh_kube_new(&w.kube, &w.loop, &config, &own, &err), &err);
	uv_run(&w.loop, UV_RUN_DEFAULT);

	if (w.is_over_time)
		fail_msg("'%s' does not come; told:\n%s", want, bh_buf_str(&w.told));
	/* What it had is still there. */
	assert_non_null(strstr(bh_buf_str(&w.told), "+pod web\n"));
	assert_null(strstr(bh_buf_str(&w.told), "-web"));
	more = peak_kib() - before;
	print_message("%ld KiB more memory\n", more);
	/* Sanitizers keep freed memory for a while. */
	if (!IS_SANITIZED && more > 160L * 1024)
		fail_msg("%ld KiB more memory", more);

	bh_kube_free(&w.kube);
	uv_close((uv_handle_t *)&w.limit, NULL);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w.loop), 0);
	bh_buf_done(&w.told);
	kill(server, SIGKILL);
	assert_int_equal(waitpid(server, &status, 0), server);
	unlink(path);
}

#define ATTACK(name, fn, want)                                                                     \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		run_attack(fn, want);                                                              \
	}

ATTACK(a_gzip_bomb_is_let_go, send_gzip_bomb, "64 MiB")
ATTACK(a_name_without_end_is_let_go, send_body_without_end, "64 MiB without an object")
ATTACK(a_member_without_end_is_let_go, send_unknown_member_without_end, "64 MiB without an object")
ATTACK(a_header_without_end_is_let_go, send_header_without_end, "")
ATTACK(headers_without_end_are_let_go, send_headers_without_end, "headers have over 256 KiB")
ATTACK(interim_answers_without_end_are_let_go, send_interim_answers_without_end,
       "headers have over 256 KiB")
ATTACK(objects_without_end_are_let_go, send_tiny_objects_without_end, "over 2000000 objects")

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gzip_bomb_is_let_go),
		cmocka_unit_test(a_name_without_end_is_let_go),
		cmocka_unit_test(a_member_without_end_is_let_go),
		cmocka_unit_test(a_header_without_end_is_let_go),
		cmocka_unit_test(headers_without_end_are_let_go),
		cmocka_unit_test(interim_answers_without_end_are_let_go),
		cmocka_unit_test(objects_without_end_are_let_go),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("kube_hostile", tests, NULL, NULL);
}
