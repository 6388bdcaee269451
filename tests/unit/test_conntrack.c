/*
 * Revocation on the kernel's real connection table, each test in a network
 * namespace of its own, with real flows over loopback.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bh/node.h"
#include "test.h"

/* Connection tracking starts in a namespace with the first rule that uses it. */
static void in_tracked_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: a network namespace needs root\n");
		skip();
	}
	assert_int_equal(system("ip link set lo up && ip addr add 192.0.2.9/32 dev lo"), 0);
	if (system("nft 'add table inet t; add chain inet t c { type filter hook output priority 0 "
		   "; }; "
		   "add rule inet t c ct state new accept'") != 0) {
		print_message("skipped: nft or connection tracking is not there\n");
		skip();
	}
}

static struct sockaddr_storage address(int family, const char *host, uint16_t port, socklen_t *len)
{
	struct sockaddr_storage ss = { .ss_family = (sa_family_t)family };

	if (family == AF_INET) {
		struct sockaddr_in *a = (struct sockaddr_in *)&ss;

		a->sin_port = htons(port);
		assert_int_equal(inet_pton(family, host, &a->sin_addr), 1);
		*len = sizeof(*a);
	} else {
		struct sockaddr_in6 *a = (struct sockaddr_in6 *)&ss;

		a->sin6_port = htons(port);
		assert_int_equal(inet_pton(family, host, &a->sin6_addr), 1);
		*len = sizeof(*a);
	}
	return ss;
}

static int listener(int family, int type, const char *host, uint16_t port)
{
	socklen_t len;
	struct sockaddr_storage ss = address(family, host, port, &len);
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* A flow that conntrack has seen: connected, and for UDP one datagram sent. */
static int flow(int family, int type, const char *host, uint16_t port)
{
	socklen_t len;
	struct sockaddr_storage ss = address(family, host, port, &len);
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	return fd;
}

/* What a walk saw, and what it is to delete: connections to these ports. */
struct spy {
	uint16_t revoked[4];
	enum bh_conn_fate fate; /* of these; BH_CONN_CUT if not set */
	struct bh_conn seen[32];
	size_t n, n_blocks;
};

static enum bh_conn_fate judge(void *ctx, const struct bh_conn *conn)
{
	struct spy *s = ctx;

	if (conn->is_block) {
		s->n_blocks++;
	} else {
		assert_true(s->n < BH_ARRAY_LEN(s->seen));
		s->seen[s->n++] = *conn;
	}
	for (size_t i = 0; i < BH_ARRAY_LEN(s->revoked); i++)
		if (s->revoked[i] && s->revoked[i] == conn->dst_port)
			return s->fate == BH_CONN_KEEP ? BH_CONN_CUT : s->fate;
	return BH_CONN_KEEP;
}

static const struct bh_conn *find(const struct spy *s, uint8_t protocol, enum bh_family family,
				  uint16_t port)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->seen[i].protocol == protocol && s->seen[i].dst.family == family &&
		    s->seen[i].dst_port == port)
			return &s->seen[i];
	return NULL;
}

static size_t walk(struct spy *s)
{
	struct bh_err err = { 0 };
	size_t n = 99;

	s->n = s->n_blocks = 0;
	assert_ok(bh_conntrack_walk(judge, s, &n, &err), &err);
	return n;
}

static void every_connection_is_shown_once_with_both_ends(void **state)
{
	struct spy s = { .n = 0 };
	const struct bh_conn *c;
	struct bh_addr lo;
	int fds[4];

	(void)state;
	in_tracked_netns();
	fds[0] = listener(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	fds[1] = listener(AF_INET6, SOCK_DGRAM, "::1", 53);
	fds[2] = flow(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	fds[3] = flow(AF_INET6, SOCK_DGRAM, "::1", 53);

	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n, 2);
	c = find(&s, IPPROTO_TCP, BH_IPV4, 80);
	assert_non_null(c);
	assert_int_equal(bh_addr_parse("127.0.0.1", &lo, NULL), 0);
	assert_true(bh_addr_eq(&c->src, &lo));
	assert_true(bh_addr_eq(&c->dst, &lo));
	assert_true(c->src_port > 0);
	assert_true(c->is_reply_seen);
	c = find(&s, IPPROTO_UDP, BH_IPV6, 53);
	assert_non_null(c);
	assert_false(c->is_reply_seen);
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void only_the_revoked_are_deleted(void **state)
{
	struct spy s = { .revoked = { 53, 5432 } };
	int fds[8];

	(void)state;
	in_tracked_netns();
	fds[0] = listener(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	fds[1] = listener(AF_INET, SOCK_STREAM, "127.0.0.1", 5432);
	fds[2] = listener(AF_INET6, SOCK_DGRAM, "::1", 53);
	fds[3] = listener(AF_INET6, SOCK_DGRAM, "::1", 123);
	fds[4] = flow(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	fds[5] = flow(AF_INET, SOCK_STREAM, "127.0.0.1", 5432);
	fds[6] = flow(AF_INET6, SOCK_DGRAM, "::1", 53);
	fds[7] = flow(AF_INET6, SOCK_DGRAM, "::1", 123);

	assert_int_equal(walk(&s), 2);
	assert_int_equal(s.n, 4);
	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n, 2);
	assert_non_null(find(&s, IPPROTO_TCP, BH_IPV4, 80));
	assert_non_null(find(&s, IPPROTO_UDP, BH_IPV6, 123));
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void the_destination_is_the_one_behind_dnat(void **state)
{
	struct spy s = { .n = 0 };
	struct bh_addr service, pod;
	const struct bh_conn *c;
	int fds[2];

	(void)state;
	in_tracked_netns();
	if (system("nft 'add table ip n; add chain ip n o { type nat hook output priority -100 ; "
		   "}; "
		   "add rule ip n o ip daddr 192.0.2.1 udp dport 53 dnat to 192.0.2.9:5353'") !=
	    0) {
		print_message("skipped: this kernel has no NAT\n");
		skip();
	}
	assert_int_equal(system("ip route add default dev lo"), 0);
	fds[0] = listener(AF_INET, SOCK_DGRAM, "192.0.2.9", 5353);
	fds[1] = flow(AF_INET, SOCK_DGRAM, "192.0.2.1", 53);

	assert_int_equal(walk(&s), 0);
	c = find(&s, IPPROTO_UDP, BH_IPV4, 5353);
	assert_non_null(c);
	assert_int_equal(bh_addr_parse("192.0.2.1", &service, NULL), 0);
	assert_int_equal(bh_addr_parse("192.0.2.9", &pod, NULL), 0);
	assert_true(bh_addr_eq(&c->orig_dst, &service));
	assert_true(bh_addr_eq(&c->dst, &pod));

	s.revoked[0] = 5353;
	assert_int_equal(walk(&s), 1);
	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n, 0);
	close(fds[0]);
	close(fds[1]);
}

static void icmp_has_no_ports(void **state)
{
	struct spy s = { .n = 0 };

	(void)state;
	in_tracked_netns();
	assert_int_equal(system("ping -q -c 1 -W 5 127.0.0.1 >/dev/null"), 0);
	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.seen[0].protocol, IPPROTO_ICMP);
	assert_int_equal(s.seen[0].src_port, 0);
	assert_int_equal(s.seen[0].dst_port, 0);
}

static void an_empty_table_is_no_error(void **state)
{
	struct spy s = { .n = 0 };

	(void)state;
	in_tracked_netns();
	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n, 0);
}

/* Which of "yes" and "no" comes within a moment; on loopback, that is at once. */
static const char *arrives(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 300) > 0 ? "yes" : "no";
}

static void a_cut_connection_is_not_revived_by_the_other_end(void **state)
{
	struct spy s = { .revoked = { 80, 53 } };
	socklen_t len = sizeof(struct sockaddr_storage);
	struct sockaddr_storage peer;
	int tcp, udp, tcp_client, udp_client, accepted;
	char data[16];

	(void)state;
	in_tracked_netns();
	tcp = listener(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	udp = listener(AF_INET6, SOCK_DGRAM, "::1", 53);
	tcp_client = flow(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	udp_client = flow(AF_INET6, SOCK_DGRAM, "::1", 53);
	accepted = accept(tcp, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(recv(accepted, data, sizeof(data), 0), 1);
	assert_int_equal(recvfrom(udp, data, sizeof(data), 0, (struct sockaddr *)&peer, &len), 1);
	assert_int_equal(send(accepted, "a", 1, 0), 1);
	assert_string_equal(arrives(tcp_client), "yes");
	assert_int_equal(recv(tcp_client, data, sizeof(data), 0), 1);

	assert_int_equal(walk(&s), 2);
	assert_int_equal(send(accepted, "b", 1, 0), 1);
	assert_string_equal(arrives(tcp_client), "no");
	/* A datagram of the server's own may pass, but it opens nothing for the client. */
	(void)!sendto(udp, "b", 1, 0, (struct sockaddr *)&peer, len);

	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n_blocks, 2);
	for (size_t i = 0; i < s.n; i++)
		assert_false(s.seen[i].protocol == IPPROTO_TCP);
	close(tcp), close(udp), close(tcp_client), close(udp_client), close(accepted);
}

static void a_block_goes_when_the_connection_is_allowed_again(void **state)
{
	struct spy s = { .revoked = { 80 } };
	int fds[2];

	(void)state;
	in_tracked_netns();
	fds[0] = listener(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	fds[1] = flow(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	assert_int_equal(walk(&s), 1);
	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n_blocks, 1);

	s.revoked[0] = 0;
	assert_int_equal(walk(&s), 0);
	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n_blocks, 0);

	/* The client's next packet opens the connection again. */
	assert_int_equal(send(fds[1], "y", 1, 0), 1);
	assert_int_equal(walk(&s), 0);
	assert_non_null(find(&s, IPPROTO_TCP, BH_IPV4, 80));
	close(fds[0]), close(fds[1]);
}

static void a_forgotten_connection_leaves_nothing(void **state)
{
	struct spy s = { .revoked = { 80 }, .fate = BH_CONN_FORGET };
	int fds[2];

	(void)state;
	in_tracked_netns();
	fds[0] = listener(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	fds[1] = flow(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	assert_int_equal(walk(&s), 1);
	assert_int_equal(walk(&s), 0);
	assert_int_equal(s.n + s.n_blocks, 0);
	close(fds[0]), close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_connection_is_shown_once_with_both_ends),
		cmocka_unit_test(only_the_revoked_are_deleted),
		cmocka_unit_test(the_destination_is_the_one_behind_dnat),
		cmocka_unit_test(icmp_has_no_ports),
		cmocka_unit_test(an_empty_table_is_no_error),
		cmocka_unit_test(a_cut_connection_is_not_revived_by_the_other_end),
		cmocka_unit_test(a_block_goes_when_the_connection_is_allowed_again),
		cmocka_unit_test(a_forgotten_connection_leaves_nothing),
	};

	return cmocka_run_group_tests_name("conntrack", tests, NULL, NULL);
}
