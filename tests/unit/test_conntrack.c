/*
 * The kernel's real connection table, each test in a network namespace of its own,
 * with real flows over loopback.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bh/node.h"
#include "test.h"

/* Connection tracking starts in a namespace with the first rule that uses it. */
static void track_connections(void)
{
	if (system("nft 'add table inet t; add chain inet t c { type filter hook output priority 0 "
		   "; }; "
		   "add rule inet t c ct state new accept'") != 0) {
		print_message("skipped: nft or connection tracking is not there\n");
		skip();
	}
}

static void in_tracked_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: a network namespace needs root\n");
		skip();
	}
	assert_int_equal(system("ip link set lo up && ip addr add 192.0.2.9/32 dev lo"), 0);
	track_connections();
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

/* What a listing told. */
struct table {
	struct bh_conn conns[2 * BH_CONNTRACK_MIN_ROOM];
	size_t n;
};

static struct bh_conntrack *open_table(void)
{
	struct bh_conntrack *ct = NULL;
	struct bh_err err = { 0 };

	assert_ok(bh_conntrack_new(&ct, &err), &err);
	return ct;
}

static void list_some(struct table *t, enum bh_conn_side side, const struct bh_addr *addr)
{
	bh_auto(bh_conntrack_free) struct bh_conntrack *ct = open_table();
	struct bh_err err = { 0 };
	int r = 1;

	t->n = 0;
	assert_ok(bh_conntrack_list(ct, side, addr, &err), &err);
	while (r > 0) {
		size_t n = 0;

		assert_true(t->n <= BH_CONNTRACK_MIN_ROOM);
		r = bh_conntrack_read(ct, NULL, NULL, t->conns + t->n,
				      BH_ARRAY_LEN(t->conns) - t->n, &n, &err);
		assert_ok(r < 0 ? r : 0, &err);
		t->n += n;
	}
}

static size_t list_all(struct table *t)
{
	list_some(t, BH_CONN_SIDE_ANY, NULL);
	return t->n;
}

/* Those to the ports; returns how many there were. */
static size_t delete_ports(const struct table *t, uint16_t a, uint16_t b)
{
	bh_auto(bh_conntrack_free) struct bh_conntrack *ct = open_table();
	struct bh_conn chosen[BH_ARRAY_LEN(t->conns)];
	struct bh_err err = { 0 };
	size_t n = 0, gone = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->conns[i].dst_port == a || t->conns[i].dst_port == b)
			chosen[n++] = t->conns[i];
	assert_ok(bh_conntrack_delete(ct, chosen, n, &gone, &err), &err);
	return gone;
}

static const struct bh_conn *find(const struct table *t, uint8_t protocol, enum bh_family family,
				  uint16_t port)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->conns[i].protocol == protocol && t->conns[i].dst.family == family &&
		    t->conns[i].dst_port == port)
			return &t->conns[i];
	return NULL;
}

static void every_connection_is_shown_once_with_both_ends(void **state)
{
	const struct bh_conn *c;
	struct bh_addr lo;
	struct table t;
	int fds[4];

	(void)state;
	in_tracked_netns();
	fds[0] = listener(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	fds[1] = listener(AF_INET6, SOCK_DGRAM, "::1", 53);
	fds[2] = flow(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	fds[3] = flow(AF_INET6, SOCK_DGRAM, "::1", 53);

	assert_int_equal(list_all(&t), 2);
	c = find(&t, IPPROTO_TCP, BH_IPV4, 80);
	assert_non_null(c);
	assert_int_equal(bh_addr_parse("127.0.0.1", &lo, NULL), 0);
	assert_true(bh_addr_eq(&c->src, &lo));
	assert_true(bh_addr_eq(&c->dst, &lo));
	assert_true(bh_addr_eq(&c->back_dst, &lo));
	assert_true(c->src_port > 0);
	assert_int_equal(c->back_dst_port, c->src_port);
	assert_int_equal(c->orig_dst_port, 80);
	assert_true(c->is_reply_seen);
	assert_false(c->is_block);
	assert_false(c->is_picked_up);
	c = find(&t, IPPROTO_UDP, BH_IPV6, 53);
	assert_non_null(c);
	assert_false(c->is_reply_seen);
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void only_those_that_are_named_are_deleted(void **state)
{
	struct table t;
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

	assert_int_equal(list_all(&t), 4);
	assert_int_equal(delete_ports(&t, 53, 5432), 2);
	/* What is gone is no error. */
	assert_int_equal(delete_ports(&t, 53, 5432), 0);
	assert_int_equal(list_all(&t), 2);
	assert_non_null(find(&t, IPPROTO_TCP, BH_IPV4, 80));
	assert_non_null(find(&t, IPPROTO_UDP, BH_IPV6, 123));
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void more_than_one_request_holds_are_deleted_at_a_time(void **state)
{
	int fds[201];
	struct table t;

	(void)state;
	in_tracked_netns();
	fds[200] = listener(AF_INET, SOCK_DGRAM, "127.0.0.1", 53);
	for (size_t i = 0; i < 200; i++)
		fds[i] = flow(AF_INET, SOCK_DGRAM, "127.0.0.1", 53);
	assert_int_equal(list_all(&t), 200);
	assert_int_equal(delete_ports(&t, 53, 0), 200);
	assert_int_equal(list_all(&t), 0);
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static bool wants_port_53(void *ctx, const struct bh_conn *conn)
{
	(void)ctx;
	return conn->dst_port == 53;
}

/* A portion ends where less than a message's room is left. */
static void a_listing_comes_in_portions(void **state)
{
	bh_auto(bh_conntrack_free) struct bh_conntrack *ct = NULL;
	struct bh_conn conns[BH_CONNTRACK_MIN_ROOM];
	size_t n = 0, total = 0, n_portions = 0;
	struct bh_err err = { 0 };
	int fds[402], r = 1;
	uint32_t count;

	(void)state;
	in_tracked_netns();
	fds[400] = listener(AF_INET, SOCK_DGRAM, "127.0.0.1", 53);
	fds[401] = listener(AF_INET, SOCK_DGRAM, "127.0.0.1", 80);
	for (size_t i = 0; i < 400; i++)
		fds[i] = flow(AF_INET, SOCK_DGRAM, "127.0.0.1", i % 2 ? 53 : 80);
	ct = open_table();
	assert_ok(bh_conntrack_count(ct, &count, &err), &err);
	assert_int_equal(count, 400);
	assert_ok(bh_conntrack_list(ct, BH_CONN_SIDE_ANY, NULL, &err), &err);
	for (; r > 0; n_portions++) {
		r = bh_conntrack_read(ct, wants_port_53, NULL, conns, BH_ARRAY_LEN(conns), &n,
				      &err);
		assert_true(r >= 0);
		total += n;
	}
	assert_int_equal(total, 200);
	assert_true(n_portions > 1);
	/* In the middle of one, another may begin. */
	assert_ok(bh_conntrack_list(ct, BH_CONN_SIDE_ANY, NULL, &err), &err);
	assert_int_equal(bh_conntrack_read(ct, NULL, NULL, conns, BH_ARRAY_LEN(conns), &n, &err),
			 1);
	assert_ok(bh_conntrack_list(ct, BH_CONN_SIDE_ANY, NULL, &err), &err);
	for (total = 0, r = 1; r > 0; total += n)
		r = bh_conntrack_read(ct, NULL, NULL, conns, BH_ARRAY_LEN(conns), &n, &err);
	assert_int_equal(total, 400);
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void a_listing_can_be_of_one_address(void **state)
{
	struct bh_addr lo, other;
	struct table t;
	int fds[3];

	(void)state;
	in_tracked_netns();
	assert_int_equal(bh_addr_parse("127.0.0.1", &lo, NULL), 0);
	assert_int_equal(bh_addr_parse("192.0.2.9", &other, NULL), 0);
	fds[0] = listener(AF_INET, SOCK_DGRAM, "192.0.2.9", 53);
	fds[1] = flow(AF_INET, SOCK_DGRAM, "127.0.0.1", 80);
	fds[2] = flow(AF_INET, SOCK_DGRAM, "192.0.2.9", 53);

	list_some(&t, BH_CONN_SIDE_DST, &other);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.conns[0].dst_port, 53);
	list_some(&t, BH_CONN_SIDE_SRC, &lo);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.conns[0].dst_port, 80);
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void all_of_an_address_can_be_forgotten(void **state)
{
	bh_auto(bh_conntrack_free) struct bh_conntrack *ct = NULL;
	struct bh_addr other, nobody, lo6, nobody6;
	struct bh_err err = { 0 };
	struct table t;
	int fds[4], r;

	(void)state;
	in_tracked_netns();
	assert_int_equal(bh_addr_parse("192.0.2.9", &other, NULL), 0);
	assert_int_equal(bh_addr_parse("192.0.2.8", &nobody, NULL), 0);
	assert_int_equal(bh_addr_parse("::1", &lo6, NULL), 0);
	assert_int_equal(bh_addr_parse("2001:db8::1", &nobody6, NULL), 0);
	fds[0] = listener(AF_INET, SOCK_DGRAM, "192.0.2.9", 53);
	fds[1] = flow(AF_INET, SOCK_DGRAM, "127.0.0.1", 80);
	fds[2] = flow(AF_INET, SOCK_DGRAM, "192.0.2.9", 53);
	fds[3] = flow(AF_INET6, SOCK_DGRAM, "::1", 53);

	r = bh_conntrack_peek(&other, 1);
	if (r >= 0) {
		assert_int_equal(r, 1);
		assert_int_equal(bh_conntrack_peek(&nobody, 1), 0);
		assert_int_equal(bh_conntrack_peek((struct bh_addr[]){ nobody, lo6 }, 2), 1);
		assert_int_equal(bh_conntrack_peek(&nobody6, 1), 0);
	}
	ct = open_table();
	r = bh_conntrack_forget(ct, &other, &err);
	if (r == -EOPNOTSUPP || r == -EINVAL) {
		assert_int_equal(list_all(&t), 3);
		print_message("skipped: this kernel does not delete by address\n");
		skip();
	}
	assert_ok(r, &err);
	assert_int_equal(list_all(&t), 2);
	assert_non_null(find(&t, IPPROTO_UDP, BH_IPV4, 80));
	assert_non_null(find(&t, IPPROTO_UDP, BH_IPV6, 53));
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void only_those_of_the_address_are_forgotten_in_ipv6_too(void **state)
{
	bh_auto(bh_conntrack_free) struct bh_conntrack *ct = NULL;
	struct bh_err err = { 0 };
	struct bh_addr other;
	struct table t;
	int fds[4], r;

	(void)state;
	in_tracked_netns();
	/* The kernel begins to use the address a moment later. */
	assert_int_equal(system("ip addr add 2001:db8::9/128 dev lo nodad && "
				"until ip -6 route get 2001:db8::9 | grep -q '^local'; "
				"do sleep 0.01; done"),
			 0);
	assert_int_equal(bh_addr_parse("2001:db8::9", &other, NULL), 0);
	fds[0] = listener(AF_INET6, SOCK_DGRAM, "2001:db8::9", 53);
	fds[1] = flow(AF_INET6, SOCK_DGRAM, "2001:db8::9", 53);
	fds[2] = flow(AF_INET6, SOCK_DGRAM, "::1", 54);
	fds[3] = flow(AF_INET, SOCK_DGRAM, "127.0.0.1", 80);
	ct = open_table();
	r = bh_conntrack_forget(ct, &other, &err);
	/* Deleted or refused, others stay: the kernel's own filter takes the others. */
	assert_int_equal(list_all(&t), r == 0 ? 2 : 3);
	assert_non_null(find(&t, IPPROTO_UDP, BH_IPV6, 54));
	assert_non_null(find(&t, IPPROTO_UDP, BH_IPV4, 80));
	for (size_t i = 0; i < BH_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void the_destination_is_the_one_behind_dnat(void **state)
{
	struct bh_addr service, pod;
	const struct bh_conn *c;
	struct table t;
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

	list_all(&t);
	c = find(&t, IPPROTO_UDP, BH_IPV4, 5353);
	assert_non_null(c);
	assert_int_equal(bh_addr_parse("192.0.2.1", &service, NULL), 0);
	assert_int_equal(bh_addr_parse("192.0.2.9", &pod, NULL), 0);
	assert_true(bh_addr_eq(&c->orig_dst, &service));
	assert_int_equal(c->orig_dst_port, 53);
	assert_true(bh_addr_eq(&c->dst, &pod));

	assert_int_equal(delete_ports(&t, 5353, 0), 1);
	assert_int_equal(list_all(&t), 0);
	close(fds[0]);
	close(fds[1]);
}

static void icmp_has_no_ports(void **state)
{
	struct table t;

	(void)state;
	in_tracked_netns();
	assert_int_equal(system("ping -q -c 1 -W 5 127.0.0.1 >/dev/null"), 0);
	assert_int_equal(list_all(&t), 1);
	assert_int_equal(t.conns[0].protocol, IPPROTO_ICMP);
	assert_int_equal(t.conns[0].src_port, 0);
	assert_int_equal(t.conns[0].dst_port, 0);
	assert_int_equal(delete_ports(&t, 0, 0), 1);
	assert_int_equal(list_all(&t), 0);
}

static void an_empty_table_is_no_error(void **state)
{
	struct table t;

	(void)state;
	in_tracked_netns();
	assert_int_equal(list_all(&t), 0);
}

/* Nothing was tracked when it was opened: which end did, the entry does not tell. */
static void what_is_met_in_mid_stream_is_marked(void **state)
{
	struct table t;
	int server, client, accepted;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		skip();
	assert_int_equal(system("ip link set lo up"), 0);
	server = listener(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	client = flow(AF_INET, SOCK_STREAM, "127.0.0.1", 80);
	accepted = accept(server, NULL, NULL);
	assert_true(accepted >= 0);
	track_connections();
	assert_int_equal(send(accepted, "x", 1, 0), 1);
	if (list_all(&t) == 0) {
		print_message("skipped: this kernel does not pick up TCP\n");
		skip();
	}
	assert_int_equal(t.conns[0].src_port, 80);
	assert_true(t.conns[0].is_picked_up);
	close(server), close(client), close(accepted);
}

/* What version 0.1.0 left of 127.0.0.1:5000 -> 127.0.0.1:80, by conntrack's own tool. */
static void a_block_of_an_earlier_version_is_told(void **state)
{
	struct table t;

	(void)state;
	in_tracked_netns();
	if (system("conntrack -I -p tcp -s 127.0.0.1 -d 127.0.0.1 --sport 5000 --dport 80 "
		   "-r 127.0.0.1 -q 127.0.0.1 --reply-port-src 0 --reply-port-dst 5000 "
		   "--state SYN_SENT -t 3600 -u FIXED_TIMEOUT >/dev/null 2>&1") != 0) {
		print_message("skipped: conntrack(8) is not there\n");
		skip();
	}
	assert_int_equal(list_all(&t), 1);
	assert_true(t.conns[0].is_block);
	assert_int_equal(t.conns[0].src_port, 5000);
	assert_int_equal(t.conns[0].dst_port, 80);
	assert_int_equal(delete_ports(&t, 80, 0), 1);
	assert_int_equal(list_all(&t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_connection_is_shown_once_with_both_ends),
		cmocka_unit_test(only_those_that_are_named_are_deleted),
		cmocka_unit_test(more_than_one_request_holds_are_deleted_at_a_time),
		cmocka_unit_test(a_listing_comes_in_portions),
		cmocka_unit_test(a_listing_can_be_of_one_address),
		cmocka_unit_test(all_of_an_address_can_be_forgotten),
		cmocka_unit_test(only_those_of_the_address_are_forgotten_in_ipv6_too),
		cmocka_unit_test(the_destination_is_the_one_behind_dnat),
		cmocka_unit_test(icmp_has_no_ports),
		cmocka_unit_test(an_empty_table_is_no_error),
		cmocka_unit_test(what_is_met_in_mid_stream_is_marked),
		cmocka_unit_test(a_block_of_an_earlier_version_is_told),
	};

	return cmocka_run_group_tests_name("conntrack", tests, NULL, NULL);
}
