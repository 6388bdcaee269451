/*
 * Sends packets as fast as one core can and says what one costs.
 *
 *	blast echo PORT                     answers datagrams that start with 'P'
 *	blast est COUNT DST PORT            one connection, primed by an answer
 *	blast new COUNT SRC DST PORT        a new connection with each packet
 *	blast sink PORT                     reads what TCP connections send, and answers each MiB
 *	blast bulk COUNT DST PORT           sends so many MiB over one of them
 *
 * On a veth pair the whole way to the receiver's socket, forwarding and its
 * rules included, runs in the sender's context, so wall time on a pinned core
 * is the cost of that way.  Prints nanoseconds per packet, and of bulk per KiB: the median of
 *batches, which leaves out those during which the scheduler ran something else.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/clock.h"

#define BATCH       64u
#define FIRST_PORT  1024u
#define MAX_FLOWS   (65536u - FIRST_PORT)
#define MIB         (1024u * 1024)
#define MAX_BATCHES 16384u

static int die(const char *what)
{
	perror(what);
	return 1;
}

static struct sockaddr_in to_addr(const char *ip, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		fprintf(stderr, "'%s' is not an IPv4 address\n", ip);
		exit(2);
	}
	return a;
}

static int echo(const char *port)
{
	struct sockaddr_in me = to_addr("0.0.0.0", port), peer;
	bh_auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len;
	char buf[64];
	ssize_t n;

	if (fd < 0 || bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0)
		return die("echo");
	for (;;) {
		len = sizeof(peer);
		n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &len);
		if (n > 0 && buf[0] == 'P')
			(void)sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&peer, len);
	}
}

/* What the batches took that were sent so far. */
struct times {
	double ns[MAX_BATCHES];
	unsigned int n;
};

static int cmp_times(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* @size: packets or KiB of a batch */
static void print_median(struct times *t, unsigned int size)
{
	bh_sort(t->ns, t->n, sizeof(*t->ns), cmp_times);
	printf("%.1f\n", t->n > 0 ? t->ns[t->n / 2] / size : 0.0);
}

/* Sends all of @msgs; what the device refuses for lack of room is sent again. */
static int send_batch(int fd, struct mmsghdr *msgs, struct times *t)
{
	const uint64_t start = bh_mono_ns();
	unsigned int done = 0;
	int r;

	while (done < BATCH) {
		r = sendmmsg(fd, msgs + done, BATCH - done, 0);
		if (r < 0 && errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
			return -errno;
		done += r > 0 ? (unsigned int)r : 0;
	}
	t->ns[t->n++] = (double)(bh_mono_ns() - start);
	return 0;
}

static int est(unsigned int count, const char *dst, const char *port)
{
	bh_auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = to_addr(dst, port);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	struct mmsghdr msgs[BATCH] = { 0 };
	char prime[32] = "P", data[32] = "x";
	struct iovec iov = { data, sizeof(data) };
	static struct times times;
	unsigned int i;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return die("connect");
	/* The answer makes the connection ESTABLISHED for conntrack. */
	if (send(fd, prime, sizeof(prime), 0) < 0 || poll(&wait, 1, 2000) != 1)
		return die("no answer from the echo server");
	(void)recv(fd, prime, sizeof(prime), 0);

	for (i = 0; i < BATCH; i++) {
		msgs[i].msg_hdr.msg_iov = &iov;
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	for (i = 0; i + BATCH <= count && times.n < MAX_BATCHES; i += BATCH)
		if (send_batch(fd, msgs, &times) < 0)
			return die("send");
	print_median(&times, BATCH);
	return 0;
}

struct datagram {
	struct iphdr ip;
	struct udphdr udp;
	char data[32];
};

static int new (unsigned int count, const char *src, const char *dst, const char *port)
{
	bh_auto_close int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	struct sockaddr_in to = to_addr(dst, port), from = to_addr(src, "0");
	struct datagram pkt[BATCH] = { 0 };
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec iov[BATCH];
	static struct times times;
	unsigned int i, k, sent;

	if (fd < 0)
		return die("raw socket");
	if (count > MAX_FLOWS) {
		fprintf(stderr, "at most %u new connections\n", MAX_FLOWS);
		return 2;
	}
	for (i = 0; i < BATCH; i++) {
		pkt[i].ip = (struct iphdr){ .version = 4,
					    .ihl = 5,
					    .ttl = 64,
					    .protocol = IPPROTO_UDP,
					    .tot_len = htons(sizeof(pkt[i])),
					    .saddr = from.sin_addr.s_addr,
					    .daddr = to.sin_addr.s_addr };
		/* No UDP checksum (RFC 768): nobody on the way computes it. */
		pkt[i].udp = (struct udphdr){ .dest = to.sin_port,
					      .len = htons(sizeof(pkt[i]) - sizeof(pkt[i].ip)) };
		iov[i] = (struct iovec){ &pkt[i], sizeof(pkt[i]) };
		msgs[i].msg_hdr = (struct msghdr){ .msg_name = &to,
						   .msg_namelen = sizeof(to),
						   .msg_iov = &iov[i],
						   .msg_iovlen = 1 };
	}
	for (sent = 0; sent + BATCH <= count; sent += BATCH) {
		for (k = 0; k < BATCH; k++)
			pkt[k].udp.source = htons((uint16_t)(FIRST_PORT + sent + k));
		if (send_batch(fd, msgs, &times) < 0)
			return die("send");
	}
	print_median(&times, BATCH);
	return 0;
}

static int sink(const char *port)
{
	struct sockaddr_in me = to_addr("0.0.0.0", port);
	bh_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static char buf[MIB];

	if (fd < 0 || bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0 || listen(fd, 8) < 0)
		return die("sink");
	for (;;) {
		bh_auto_close int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (peer < 0)
			return die("accept");
		while (recv(peer, buf, sizeof(buf), MSG_WAITALL) == (ssize_t)sizeof(buf))
			(void)send(peer, "x", 1, MSG_NOSIGNAL);
	}
}

static int bulk(unsigned int count, const char *dst, const char *port)
{
	bh_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = to_addr(dst, port);
	static struct times times;
	static char buf[MIB];
	char answer;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return die("connect");
	while (count-- > 0 && times.n < MAX_BATCHES) {
		const uint64_t start = bh_mono_ns();

		for (size_t at = 0; at < sizeof(buf);) {
			ssize_t n = send(fd, buf + at, sizeof(buf) - at, MSG_NOSIGNAL);

			if (n < 0)
				return die("send");
			at += (size_t)n;
		}
		if (recv(fd, &answer, 1, 0) != 1)
			return die("no answer from the sink");
		times.ns[times.n++] = (double)(bh_mono_ns() - start);
	}
	print_median(&times, MIB / 1024);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return echo(argv[2]);
	if (argc == 3 && strcmp(argv[1], "sink") == 0)
		return sink(argv[2]);
	if (argc == 5 && strcmp(argv[1], "bulk") == 0)
		return bulk((unsigned int)atoi(argv[2]), argv[3], argv[4]);
	if (argc == 5 && strcmp(argv[1], "est") == 0)
		return est((unsigned int)atoi(argv[2]), argv[3], argv[4]);
	if (argc == 6 && strcmp(argv[1], "new") == 0)
		return new ((unsigned int)atoi(argv[2]), argv[3], argv[4], argv[5]);
	fputs("usage: blast echo PORT | est COUNT DST PORT | new COUNT SRC DST PORT |\n"
	      "       sink PORT | bulk COUNT DST PORT\n",
	      stderr);
	return 2;
}
