/*
 * A TCP relay whose connections misbehave on command, for tests.
 *
 *	relay LISTEN-ADDR PORT TARGET-ADDR PORT
 *
 * Commands come on standard input, one a line; each is answered with itself on
 * standard output once it is in force:
 *
 *	pass	everything is forwarded; so it starts
 *	hold	connections stay and nothing moves; what was sent moves when
 *		`pass` comes
 *	freeze	the same for the connections that are open, as behind a firewall
 *		that forgot them, and forever; new ones pass
 *	delay MS	as pass, each way so much later
 *	cut N	each connection that is open is reset when N more bytes have come
 *		back through it; new ones are not
 *	drop	all connections are reset, new ones are accepted
 *	off	all connections are reset and new ones are refused
 *	count	answers "count CONNECTIONS BYTES": accepted so far, and brought back
 *
 * The end of standard input ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINKS   64
#define CHUNK_BYTES 16384
/* What waits in one direction; then nothing more is read. */
#define MAX_CHUNKS 64
#define NO_CUT     UINT64_MAX

struct chunk {
	uint64_t due_ms;
	size_t len, sent;
	uint8_t bytes[CHUNK_BYTES];
};

/* One direction of a connection: a ring of chunks. */
struct pipe {
	int from, to;
	bool is_ended;    /* nothing more is read */
	bool has_told_so; /* and the other end knows */
	size_t first, n;
	struct chunk *chunks;
};

struct link {
	bool is_used, is_broken, is_frozen;
	uint64_t cut_after; /* bytes that may still come back */
	struct pipe out, back;
};

static struct link links[MAX_LINKS];
static struct sockaddr_in listen_addr, target_addr;
static int listener = -1;
static bool is_holding;
static uint64_t delay_ms, n_accepted, n_back;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(3);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- connections ----------------------------------------------------------------- */

static void set_up(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl");
}

/* With a reset, not with an orderly end. */
static void reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void link_free(struct link *l)
{
	reset(l->out.from);
	reset(l->out.to);
	free(l->out.chunks);
	free(l->back.chunks);
	*l = (struct link){ 0 };
}

static void reset_all(void)
{
	for (size_t i = 0; i < MAX_LINKS; i++)
		if (links[i].is_used)
			link_free(&links[i]);
}

static void listen_start(void)
{
	int one = 1;

	if (listener >= 0)
		return;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&listen_addr, sizeof(listen_addr)) < 0 ||
	    listen(listener, 64) < 0)
		die("listen");
	set_up(listener);
}

static void listen_stop(void)
{
	if (listener >= 0)
		close(listener);
	listener = -1;
}

static struct chunk *new_chunks(void)
{
	struct chunk *c = calloc(MAX_CHUNKS, sizeof(*c));

	if (!c)
		die("calloc");
	return c;
}

static void link_new(void)
{
	int client = accept(listener, NULL, NULL), server;
	struct link *l = NULL;

	if (client < 0)
		return;
	n_accepted++;
	for (size_t i = 0; i < MAX_LINKS && !l; i++)
		if (!links[i].is_used)
			l = &links[i];
	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!l || server < 0 ||
	    connect(server, (struct sockaddr *)&target_addr, sizeof(target_addr)) < 0) {
		reset(client);
		if (server >= 0)
			close(server);
		return;
	}
	set_up(client);
	set_up(server);
	*l = (struct link){
		.is_used = true,
		.cut_after = NO_CUT,
		.out = { .from = client, .to = server, .chunks = new_chunks() },
		.back = { .from = server, .to = client, .chunks = new_chunks() },
	};
}

/* --- bytes ----------------------------------------------------------------------- */

static bool can_read(const struct pipe *p)
{
	return !p->is_ended && p->n < MAX_CHUNKS && !is_holding;
}

static bool can_write(const struct pipe *p, uint64_t now)
{
	return p->n > 0 && p->chunks[p->first].due_ms <= now && !is_holding;
}

/* -1 when the connection is gone. */
static int pipe_read(struct pipe *p)
{
	struct chunk *c = &p->chunks[(p->first + p->n) % MAX_CHUNKS];
	ssize_t n = read(p->from, c->bytes, sizeof(c->bytes));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0) {
		p->is_ended = true;
		return 0;
	}
	c->due_ms = now_ms() + delay_ms;
	c->len = (size_t)n;
	c->sent = 0;
	p->n++;
	return 0;
}

/* Writes at most *@allowed bytes, and counts them off. */
static int pipe_write(struct pipe *p, uint64_t *allowed)
{
	struct chunk *c = &p->chunks[p->first];
	size_t left = c->len - c->sent;
	ssize_t n;

	if (left > *allowed)
		left = (size_t)*allowed;
	n = send(p->to, c->bytes + c->sent, left, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (*allowed != NO_CUT)
		*allowed -= (uint64_t)n;
	c->sent += (size_t)n;
	if (c->sent == c->len) {
		p->first = (p->first + 1) % MAX_CHUNKS;
		p->n--;
	}
	return (int)n;
}

static void pipe_end(struct pipe *p)
{
	if (p->is_ended && p->n == 0 && !p->has_told_so) {
		shutdown(p->to, SHUT_WR);
		p->has_told_so = true;
	}
}

static void link_move(struct link *l, short client, short server)
{
	uint64_t now = now_ms(), unlimited = NO_CUT;
	int r = 0;

	if ((client & (POLLIN | POLLHUP | POLLERR)) && can_read(&l->out))
		r |= pipe_read(&l->out);
	if ((server & (POLLIN | POLLHUP | POLLERR)) && can_read(&l->back))
		r |= pipe_read(&l->back);
	if (r == 0 && can_write(&l->out, now))
		r = pipe_write(&l->out, &unlimited) < 0 ? -1 : 0;
	if (r == 0 && l->cut_after > 0 && can_write(&l->back, now)) {
		r = pipe_write(&l->back, &l->cut_after);
		n_back += r > 0 ? (uint64_t)r : 0;
		r = r < 0 ? -1 : 0;
	}
	pipe_end(&l->out);
	pipe_end(&l->back);
	if (r < 0 || l->cut_after == 0 || (l->out.has_told_so && l->back.has_told_so))
		l->is_broken = true;
}

/* --- commands -------------------------------------------------------------------- */

static void on_pass(uint64_t n)
{
	is_holding = false;
	delay_ms = n;
	listen_start();
}

static void on_hold(uint64_t n)
{
	(void)n;
	is_holding = true;
}

static void on_freeze(uint64_t n)
{
	(void)n;
	for (size_t i = 0; i < MAX_LINKS; i++)
		links[i].is_frozen = links[i].is_used;
}

static void on_cut(uint64_t n)
{
	for (size_t i = 0; i < MAX_LINKS; i++)
		if (links[i].is_used)
			links[i].cut_after = n;
}

static void on_drop(uint64_t n)
{
	(void)n;
	reset_all();
}

static void on_off(uint64_t n)
{
	(void)n;
	listen_stop();
	reset_all();
}

static void on_count(uint64_t n)
{
	(void)n;
	printf("count %" PRIu64 " %" PRIu64 "\n", n_accepted, n_back);
}

static const struct {
	const char *name;
	void (*run)(uint64_t n);
} commands[] = {
	{ "pass", on_pass }, { "delay", on_pass }, { "hold", on_hold }, { "freeze", on_freeze },
	{ "cut", on_cut },   { "drop", on_drop },  { "off", on_off },   { "count", on_count },
};

static void command(const char *line)
{
	char name[16] = "";
	uint64_t n = 0;

	sscanf(line, "%15s %" SCNu64, name, &n);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		commands[i].run(n);
		if (commands[i].run != on_count)
			printf("%s\n", line);
		return;
	}
	printf("no such command: %s\n", line);
}

/* False at the end of standard input. */
static bool read_commands(void)
{
	static char text[256];
	static size_t used;
	ssize_t n = read(STDIN_FILENO, text + used, sizeof(text) - 1 - used);
	char *end;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	used += (size_t)n;
	text[used] = '\0';
	while ((end = strchr(text, '\n'))) {
		*end++ = '\0';
		command(text);
		used -= (size_t)(end - text);
		memmove(text, end, used + 1);
	}
	return used < sizeof(text) - 1;
}

/* --- the loop -------------------------------------------------------------------- */

/* What to wait for at @p's ends; lowers *@timeout_ms to when its next chunk is due. */
static void interest(const struct pipe *p, struct pollfd *from, struct pollfd *to, int *timeout_ms)
{
	uint64_t now = now_ms();

	if (can_read(p))
		from->events |= POLLIN;
	if (p->n == 0 || is_holding)
		return;
	if (p->chunks[p->first].due_ms <= now)
		to->events |= POLLOUT;
	else if (*timeout_ms < 0 || p->chunks[p->first].due_ms - now < (uint64_t)*timeout_ms)
		*timeout_ms = (int)(p->chunks[p->first].due_ms - now);
}

static bool turn(void)
{
	struct pollfd fds[2 + 2 * MAX_LINKS] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = is_holding ? -1 : listener, .events = POLLIN },
	};
	int timeout_ms = -1;

	for (size_t i = 0; i < MAX_LINKS; i++) {
		struct pollfd *f = &fds[2 + 2 * i];

		f[0].fd = f[1].fd = -1;
		if (!links[i].is_used || links[i].is_frozen)
			continue;
		interest(&links[i].out, &f[0], &f[1], &timeout_ms);
		interest(&links[i].back, &f[1], &f[0], &timeout_ms);
		/* One that waits for nothing would be told of its hang-up forever. */
		f[0].fd = f[0].events ? links[i].out.from : -1;
		f[1].fd = f[1].events ? links[i].out.to : -1;
	}
	if (poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms) < 0 && errno != EINTR)
		die("poll");
	for (size_t i = 0; i < MAX_LINKS; i++) {
		if (links[i].is_used)
			link_move(&links[i], fds[2 + 2 * i].revents, fds[3 + 2 * i].revents);
		if (links[i].is_broken)
			link_free(&links[i]);
	}
	if (fds[1].revents && listener >= 0)
		link_new();
	return !fds[0].revents || read_commands();
}

static void address(struct sockaddr_in *a, const char *host, const char *port)
{
	a->sin_family = AF_INET;
	a->sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (inet_pton(AF_INET, host, &a->sin_addr) != 1) {
		fprintf(stderr, "relay: '%s' is not an IPv4 address\n", host);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: relay LISTEN-ADDR PORT TARGET-ADDR PORT\n", stderr);
		return 2;
	}
	address(&listen_addr, argv[1], argv[2]);
	address(&target_addr, argv[3], argv[4]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	listen_start();
	puts("ready");
	while (turn())
		;
	return 0;
}
