/*
 * Packets for tests: a server and a matrix of probes for TCP, UDP, SCTP, ICMP.
 *
 *	probe serve PROTO:PORT...      answers on both families; prints "ready"
 *	probe matrix [-t MS] [-n N] [-i MS] [-s ADDR]
 *	                               reads "PROTO ADDR PORT [open|blocked]" lines and
 *	                               probes all of them at once; N rounds (0: until
 *	                               SIGTERM), MS apart; exit 1 if one is not as expected
 *	probe try [-t MS] [-s ADDR] PROTO ADDR [PORT]
 *	                               one probe: prints open, refused or timeout
 *	probe stream [-i MS] PROTO ADDR PORT
 *	                               one connection, a line each MS; prints "ok N" or
 *	                               "miss N" for each
 *	probe pull ADDR PORT           reads what a push:PORT server sends; prints bytes
 *
 * PROTO is tcp, udp, sctp or icmp; `serve` also knows push: TCP that sends
 * without being asked.  SCTP is INIT and INIT ACK on raw sockets (RFC 9260), so
 * that no kernel module is needed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROBES  4096
#define MAX_SERVERS 512

enum proto { TCP, UDP, SCTP, ICMP, PUSH, N_PROTOS };

static const char *const proto_names[N_PROTOS] = { "tcp", "udp", "sctp", "icmp", "push" };

static volatile sig_atomic_t is_ended;

static void on_term(int number)
{
	(void)number;
	is_ended = 1;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(3);
}

static _Noreturn void usage(void)
{
	fputs("usage: probe serve|matrix|try|stream|pull ... (see the head of probe.c)\n", stderr);
	exit(2);
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static enum proto parse_proto(const char *s)
{
	for (enum proto p = 0; p < N_PROTOS; p++)
		if (strcmp(s, proto_names[p]) == 0)
			return p;
	usage();
}

struct address {
	struct sockaddr_storage ss;
	socklen_t len;
};

/* A link-local address bears its link: "fe80::1%eth0" (RFC 4007 section 11). */
static struct address parse_addr(const char *text, unsigned int port)
{
	const char *zone = strchr(text, '%');
	char s[INET6_ADDRSTRLEN] = "";
	struct address a = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.ss;

	snprintf(s, sizeof(s), "%.*s", zone ? (int)(zone - text) : (int)strlen(text), text);
	if (inet_pton(AF_INET, s, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		a.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, s, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		v6->sin6_scope_id = zone ? if_nametoindex(zone + 1) : 0;
		a.len = sizeof(*v6);
	} else {
		fprintf(stderr, "probe: '%s' is not an address\n", text);
		exit(2);
	}
	return a;
}

/* --- SCTP ------------------------------------------------------------------------ */

struct sctp_init {
	uint16_t sport, dport;
	uint32_t vtag, checksum;
	uint8_t type, flags;
	uint16_t length;
	uint32_t tag, rwnd;
	uint16_t n_out, n_in;
	uint32_t tsn;
};

enum { SCTP_INIT = 1, SCTP_INIT_ACK = 2 };

/* CRC32c, RFC 9260 appendix A; bit by bit is quick enough here. */
static uint32_t crc32c(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

static struct sctp_init make_init(uint16_t sport, uint16_t dport, uint8_t type, uint32_t vtag)
{
	struct sctp_init p = {
		.sport = htons(sport),
		.dport = htons(dport),
		.vtag = vtag,
		.type = type,
		.length = htons(20),
		.tag = htonl(0x42424242),
		.rwnd = htonl(65536),
		.n_out = htons(1),
		.n_in = htons(1),
		.tsn = htonl(1),
	};
	uint32_t crc = crc32c(&p, sizeof(p));

	/* Little-endian on the wire. */
	p.checksum = htonl(__builtin_bswap32(crc));
	return p;
}

/* The transport header of what a raw socket read; NULL if too short. */
static const void *raw_payload(int family, const uint8_t *data, size_t len, size_t min)
{
	size_t skip = 0;

	if (family == AF_INET) {
		if (len < sizeof(struct iphdr))
			return NULL;
		skip = (size_t)(data[0] & 15) * 4;
	}
	return len >= skip + min ? data + skip : NULL;
}

/* --- server ---------------------------------------------------------------------- */

struct server {
	enum proto proto;
	int fd, family;
	uint16_t port;
	bool is_listener;
};

static struct server servers[MAX_SERVERS];
static size_t n_servers;

static void add_server(struct server s)
{
	if (n_servers == MAX_SERVERS) {
		close(s.fd);
		return;
	}
	servers[n_servers++] = s;
}

static void listen_on(enum proto proto, uint16_t port)
{
	int type = proto == UDP ? SOCK_DGRAM : SOCK_STREAM, on = 1, off = 0;
	struct address a = parse_addr("::", port);
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&a.ss, a.len) < 0)
		die("bind");
	if (proto != UDP && listen(fd, 128) < 0)
		die("listen");
	add_server((struct server){
		.proto = proto, .fd = fd, .port = port, .is_listener = proto != UDP });
}

static void listen_sctp(uint16_t port)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		int fd = socket(families[i], SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP);

		if (fd < 0)
			die("raw socket");
		add_server((struct server){
			.proto = SCTP, .fd = fd, .family = families[i], .port = port });
	}
}

static void answer_udp(const struct server *s)
{
	struct address from = { .len = sizeof(from.ss) };
	char data[2048];
	ssize_t n = recvfrom(s->fd, data, sizeof(data), 0, (struct sockaddr *)&from.ss, &from.len);

	if (n >= 0)
		(void)!sendto(s->fd, data, (size_t)n, 0, (struct sockaddr *)&from.ss, from.len);
}

static void answer_sctp(const struct server *s)
{
	struct address from = { .len = sizeof(from.ss) };
	uint8_t data[2048];
	ssize_t n = recvfrom(s->fd, data, sizeof(data), 0, (struct sockaddr *)&from.ss, &from.len);
	const struct sctp_init *in;
	struct sctp_init out;

	if (n < 0)
		return;
	in = raw_payload(s->family, data, (size_t)n, sizeof(*in));
	if (!in || in->type != SCTP_INIT || ntohs(in->dport) != s->port)
		return;
	out = make_init(s->port, ntohs(in->sport), SCTP_INIT_ACK, in->tag);
	if (from.ss.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&from.ss)->sin6_port = 0;
	(void)!sendto(s->fd, &out, sizeof(out), 0, (struct sockaddr *)&from.ss, from.len);
}

/* False once the connection is over. */
static bool answer_tcp(const struct server *s)
{
	char data[4096];
	ssize_t n = recv(s->fd, data, sizeof(data), 0);

	return n > 0 && send(s->fd, data, (size_t)n, MSG_NOSIGNAL) == n;
}

static void push_data(void)
{
	static const char chunk[512];

	for (size_t i = 0; i < n_servers; i++)
		if (servers[i].proto == PUSH && !servers[i].is_listener)
			(void)!send(servers[i].fd, chunk, sizeof(chunk),
				    MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void serve_one(size_t i)
{
	struct server *s = &servers[i];

	if (s->is_listener) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			add_server((struct server){ .proto = s->proto, .fd = fd });
	} else if (s->proto == UDP) {
		answer_udp(s);
	} else if (s->proto == SCTP) {
		answer_sctp(s);
	} else if (!answer_tcp(s)) {
		close(s->fd);
		*s = servers[--n_servers];
	}
}

static int serve(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		char *colon = strchr(argv[i], ':');
		uint16_t port;

		if (!colon)
			usage();
		*colon = '\0';
		port = (uint16_t)atoi(colon + 1);
		if (parse_proto(argv[i]) == SCTP)
			listen_sctp(port);
		else
			listen_on(parse_proto(argv[i]), port);
	}
	puts("ready");
	fflush(stdout);

	while (!is_ended) {
		struct pollfd fds[MAX_SERVERS];
		size_t n = n_servers;

		for (size_t i = 0; i < n; i++)
			fds[i] = (struct pollfd){ .fd = servers[i].fd, .events = POLLIN };
		if (poll(fds, n, 20) < 0 && errno != EINTR)
			die("poll");
		/* Backwards: serve_one() moves the last one into a gap. */
		for (size_t i = n; i-- > 0;)
			if (fds[i].revents)
				serve_one(i);
		push_data();
	}
	return 0;
}

/* --- probes ---------------------------------------------------------------------- */

enum result { WAITING, OPEN, REFUSED, TIMEOUT, N_RESULTS };

static const char *const result_names[N_RESULTS] = { "waiting", "open", "refused", "timeout" };

struct probe {
	enum proto proto;
	char addr[64], want[16];
	unsigned int port;
	struct address to;
	int fd;
	bool is_connected; /* TCP: the line was sent */
	uint16_t id;
	enum result result;
};

static struct probe probes[MAX_PROBES];
static size_t n_probes;
static const char *source_addr;

static int socket_of(const struct probe *p)
{
	int family = p->to.ss.ss_family;

	switch (p->proto) {
	case UDP: return socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	case SCTP: return socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_SCTP);
	case ICMP:
		return socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			      family == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
	case TCP:
	case PUSH:
	case N_PROTOS: break;
	}
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static uint16_t checksum(const void *data, size_t len)
{
	const uint8_t *b = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static ssize_t send_icmp(const struct probe *p)
{
	struct icmphdr echo = { .type = ICMP_ECHO, .un.echo.id = htons(p->id) };

	if (p->to.ss.ss_family == AF_INET6)
		echo.type = ICMP6_ECHO_REQUEST; /* its checksum is the kernel's work */
	else
		echo.checksum = checksum(&echo, sizeof(echo));
	return send(p->fd, &echo, sizeof(echo), MSG_NOSIGNAL);
}

static ssize_t send_first(const struct probe *p)
{
	struct sctp_init init;

	if (p->proto == ICMP)
		return send_icmp(p);
	if (p->proto != SCTP)
		return send(p->fd, "probe\n", 6, MSG_NOSIGNAL);
	init = make_init((uint16_t)(20000 + p->id % 40000), (uint16_t)p->port, SCTP_INIT, 0);
	return send(p->fd, &init, sizeof(init), MSG_NOSIGNAL);
}

static enum result result_of_errno(void)
{
	if (errno == EAGAIN || errno == EINPROGRESS || errno == EINTR)
		return WAITING;
	/* An address that cannot be reached is as closed as one that does not answer. */
	return errno == ECONNREFUSED ? REFUSED : TIMEOUT;
}

static void start_probe(struct probe *p, uint16_t id)
{
	bool is_raw = p->proto == SCTP || p->proto == ICMP;
	struct address to = p->to;

	p->id = id;
	p->is_connected = false;
	p->result = WAITING;
	p->fd = socket_of(p);
	if (p->fd < 0)
		die("socket");
	if (source_addr) {
		struct address from = parse_addr(source_addr, 0);

		if (bind(p->fd, (struct sockaddr *)&from.ss, from.len) < 0)
			die("bind");
	}
	/* Raw sockets take no port, and IPv6 refuses one that is not the protocol. */
	if (is_raw && to.ss.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&to.ss)->sin6_port = 0;
	if (connect(p->fd, (struct sockaddr *)&to.ss, to.len) < 0) {
		p->result = result_of_errno();
		return;
	}
	if (p->proto != TCP && send_first(p) < 0)
		p->result = result_of_errno();
}

static bool is_answer(const struct probe *p, const uint8_t *data, size_t len)
{
	int family = p->to.ss.ss_family;
	const struct sctp_init *sctp;
	const struct icmphdr *icmp;

	switch (p->proto) {
	case SCTP:
		sctp = raw_payload(family, data, len, 12 + 4);
		return sctp && sctp->type == SCTP_INIT_ACK && ntohs(sctp->sport) == p->port &&
		       ntohs(sctp->dport) == 20000 + p->id % 40000;
	case ICMP:
		icmp = raw_payload(family, data, len, sizeof(*icmp));
		return icmp && ntohs(icmp->un.echo.id) == p->id &&
		       icmp->type == (family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
	case TCP:
	case UDP:
	case PUSH:
	case N_PROTOS: break;
	}
	return len > 0;
}

static void advance(struct probe *p)
{
	uint8_t data[2048];
	ssize_t n;

	if (p->proto == TCP && !p->is_connected) {
		int code = 0;
		socklen_t len = sizeof(code);

		getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &code, &len);
		errno = code;
		if (code != 0) {
			p->result = result_of_errno();
			return;
		}
		p->is_connected = true;
		if (send_first(p) < 0)
			p->result = result_of_errno();
		return;
	}
	n = recv(p->fd, data, sizeof(data), 0);
	if (n < 0)
		p->result = result_of_errno();
	else if (n == 0 && p->proto == TCP)
		p->result = REFUSED;
	else if (is_answer(p, data, (size_t)n))
		p->result = OPEN;
}

static void run_probes(long timeout_ms)
{
	static uint16_t next_id;
	static struct pollfd fds[MAX_PROBES];
	long end = now_ms() + timeout_ms;

	if (next_id == 0)
		next_id = (uint16_t)(getpid() * 131);
	for (size_t i = 0; i < n_probes; i++)
		start_probe(&probes[i], next_id++);
	for (;;) {
		size_t n_waiting = 0;
		long left = end - now_ms();

		for (size_t i = 0; i < n_probes; i++) {
			const struct probe *p = &probes[i];
			bool is_connecting = p->proto == TCP && !p->is_connected;

			fds[i] = (struct pollfd){ .fd = p->result == WAITING ? p->fd : -1,
						  .events = is_connecting ? POLLOUT : POLLIN };
			n_waiting += p->result == WAITING;
		}
		if (n_waiting == 0 || left <= 0)
			break;
		if (poll(fds, n_probes, (int)left) < 0 && errno != EINTR)
			die("poll");
		for (size_t i = 0; i < n_probes; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				advance(&probes[i]);
	}
	for (size_t i = 0; i < n_probes; i++) {
		const struct linger reset = { .l_onoff = 1 };

		if (probes[i].result == WAITING)
			probes[i].result = TIMEOUT;
		/* No TIME_WAIT: matrices are large. */
		if (probes[i].proto == TCP)
			setsockopt(probes[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(probes[i].fd);
	}
}

static void add_probe(const char *proto, const char *addr, unsigned int port, const char *want)
{
	struct probe *p = &probes[n_probes];

	if (n_probes == MAX_PROBES)
		usage();
	*p = (struct probe){ .proto = parse_proto(proto), .port = port };
	snprintf(p->addr, sizeof(p->addr), "%s", addr);
	snprintf(p->want, sizeof(p->want), "%s", want);
	p->to = parse_addr(addr, port);
	n_probes++;
}

static bool is_wrong(const struct probe *p)
{
	if (!p->want[0])
		return false;
	return strcmp(p->want, p->result == OPEN ? "open" : "blocked") != 0;
}

static void read_matrix(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		char proto[16], addr[64], want[16] = "";
		unsigned int port = 0;

		if (sscanf(line, "%15s %63s %u %15s", proto, addr, &port, want) >= 2)
			add_probe(proto, addr, port, want);
	}
}

static int matrix(long timeout_ms, long n_rounds, int interval_ms)
{
	size_t n_wrong = 0;
	long round = 0;

	read_matrix();
	if (n_probes == 0)
		usage();
	do {
		run_probes(timeout_ms);
		for (size_t i = 0; i < n_probes; i++) {
			const struct probe *p = &probes[i];

			n_wrong += is_wrong(p);
			if (n_rounds == 1 || is_wrong(p))
				printf("%s %s %u %s%s\n", proto_names[p->proto], p->addr, p->port,
				       result_names[p->result], is_wrong(p) ? " WRONG" : "");
		}
		fflush(stdout);
		round++;
		if (interval_ms > 0)
			poll(NULL, 0, interval_ms);
	} while (!is_ended && (n_rounds == 0 || round < n_rounds));
	if (n_rounds != 1)
		printf("%ld rounds of %zu probes, %zu wrong\n", round, n_probes, n_wrong);
	return n_wrong > 0;
}

static int try_one(long timeout_ms, int argc, char **argv)
{
	if (argc < 2)
		usage();
	add_probe(argv[0], argv[1], argc > 2 ? (unsigned int)atoi(argv[2]) : 0, "");
	run_probes(timeout_ms);
	puts(result_names[probes[0].result]);
	return probes[0].result != OPEN;
}

/* --- long-lived connections ------------------------------------------------------ */

static int open_stream(enum proto proto, const char *addr, unsigned int port)
{
	struct address to = parse_addr(addr, port);
	int fd = socket(to.ss.ss_family, (proto == UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
			0);

	if (fd < 0)
		die("socket");
	if (connect(fd, (struct sockaddr *)&to.ss, to.len) < 0)
		die("connect");
	return fd;
}

/* True when the answer to round @n came, at last. */
static bool exchange(int fd, unsigned long n, int wait_ms)
{
	long end = now_ms() + wait_ms;
	static char text[8192];
	char want[32];
	size_t used = 0;

	snprintf(want, sizeof(want), "<%lu>\n", n);
	(void)!send(fd, want, strlen(want), MSG_NOSIGNAL | MSG_DONTWAIT);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		long left = end - now_ms();
		ssize_t got;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return false;
		if (used >= sizeof(text) - 1)
			used = 0;
		got = recv(fd, text + used, sizeof(text) - 1 - used, MSG_DONTWAIT);
		if (got <= 0 && errno != EAGAIN) {
			/* Reset or closed: do not spin. */
			poll(NULL, 0, (int)left);
			return false;
		}
		used += got > 0 ? (size_t)got : 0;
		text[used] = '\0';
		if (strstr(text, want))
			return true;
	}
}

static int stream(int interval_ms, int argc, char **argv)
{
	int fd;

	if (argc != 3)
		usage();
	fd = open_stream(parse_proto(argv[0]), argv[1], (unsigned int)atoi(argv[2]));
	for (unsigned long n = 1; !is_ended; n++) {
		long start = now_ms(), rest;
		bool is_ok = exchange(fd, n, interval_ms);

		printf("%s %lu\n", is_ok ? "ok" : "miss", n);
		fflush(stdout);
		rest = start + interval_ms - now_ms();
		if (rest > 0)
			poll(NULL, 0, (int)rest);
	}
	return 0;
}

static int pull(int argc, char **argv)
{
	size_t total = 0;
	char data[4096];
	ssize_t n;
	int fd;

	if (argc != 2)
		usage();
	fd = open_stream(TCP, argv[0], (unsigned int)atoi(argv[1]));
	while (!is_ended && (n = recv(fd, data, sizeof(data), 0)) > 0) {
		total += (size_t)n;
		printf("%zu\n", total);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction term = { .sa_handler = on_term };
	long timeout_ms = 1000, n_rounds = 1;
	int c, interval_ms = -1;
	const char *verb = argc > 1 ? argv[1] : "";

	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGINT, &term, NULL);
	argc--, argv++;
	while ((c = getopt(argc, argv, "+t:n:s:i:")) != -1) {
		switch (c) {
		case 't': timeout_ms = atol(optarg); break;
		case 'n': n_rounds = atol(optarg); break;
		case 's': source_addr = optarg; break;
		case 'i': interval_ms = atoi(optarg); break;
		default: usage();
		}
	}
	argc -= optind, argv += optind;

	if (strcmp(verb, "serve") == 0)
		return serve(argc, argv);
	if (strcmp(verb, "matrix") == 0)
		return matrix(timeout_ms, n_rounds, interval_ms);
	if (strcmp(verb, "try") == 0)
		return try_one(timeout_ms, argc, argv);
	if (strcmp(verb, "stream") == 0)
		return stream(interval_ms < 0 ? 100 : interval_ms, argc, argv);
	if (strcmp(verb, "pull") == 0)
		return pull(argc, argv);
	usage();
}
