/*
 * NFLOG messages, made by hand and by the kernel.  The latter in a network
 * namespace of its own, over its loopback.
 */
#include "test.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bh/clock.h"
#include "bh/nflog.h"
#include "bh/packet.h"

/* --- by hand ----------------------------------------------------------------------- */

struct message {
	char buf[1024] __attribute__((aligned(8)));
	struct nlmsghdr *h;
};

static void start(struct message *m)
{
	struct nfgenmsg *g;

	memset(m, 0, sizeof(*m));
	m->h = mnl_nlmsg_put_header(m->buf);
	m->h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
	g = mnl_nlmsg_put_extra_header(m->h, sizeof(*g));
	g->nfgen_family = AF_INET;
}

static void a_whole_message_is_read(void **state)
{
	const struct nfulnl_msg_packet_hdr hdr = { .hw_protocol = htons(0x800), .hook = 2 };
	const uint64_t time[2] = { htobe64(1700000000), htobe64(123456) };
	struct bh_nflog_msg msg;
	struct message m;

	(void)state;
	start(&m);
	mnl_attr_put(m.h, NFULA_PACKET_HDR, sizeof(hdr), &hdr);
	mnl_attr_put_strz(m.h, NFULA_PREFIX, "bh:d:in_0123");
	mnl_attr_put(m.h, NFULA_TIMESTAMP, sizeof(time), time);
	mnl_attr_put_u32(m.h, NFULA_IFINDEX_INDEV, htonl(3));
	mnl_attr_put_u32(m.h, NFULA_IFINDEX_OUTDEV, htonl(4));
	mnl_attr_put_u32(m.h, NFULA_IFINDEX_PHYSINDEV, htonl(5));
	mnl_attr_put_u32(m.h, NFULA_IFINDEX_PHYSOUTDEV, htonl(6));
	mnl_attr_put_u32(m.h, NFULA_MARK, htonl(7));
	mnl_attr_put_u32(m.h, NFULA_SEQ, htonl(42));
	mnl_attr_put_u32(m.h, 200, 0); /* of a newer kernel */
	mnl_attr_put(m.h, NFULA_PAYLOAD, 5, "E\0\0\1\2");

	assert_int_equal(bh_nflog_parse(m.h, &msg), 0);
	assert_string_equal(msg.prefix, "bh:d:in_0123");
	assert_int_equal(msg.hook, 2);
	assert_int_equal(msg.family, AF_INET);
	assert_true(msg.timestamp_ns == UINT64_C(1700000000123456000));
	assert_int_equal(msg.in_ifindex, 3);
	assert_int_equal(msg.out_ifindex, 4);
	assert_int_equal(msg.physin_ifindex, 5);
	assert_int_equal(msg.physout_ifindex, 6);
	assert_int_equal(msg.mark, 7);
	assert_true(msg.has_seq);
	assert_int_equal(msg.seq, 42);
	assert_int_equal(msg.payload_len, 5);
	assert_memory_equal(msg.payload, "E\0\0\1\2", 5);
}

static void what_the_kernel_did_not_send_is_empty(void **state)
{
	struct bh_nflog_msg msg;
	struct message m;

	(void)state;
	start(&m);
	assert_int_equal(bh_nflog_parse(m.h, &msg), 0);
	assert_string_equal(msg.prefix, "");
	assert_int_equal(msg.payload_len, 0);
	assert_true(msg.timestamp_ns == 0);
	assert_false(msg.has_seq);
}

static void a_time_that_is_none_counts_as_missing(void **state)
{
	const uint64_t micro[2] = { htobe64(1), htobe64(1000000) };
	const uint64_t late[2] = { htobe64(UINT64_MAX), htobe64(0) };
	struct bh_nflog_msg msg;
	struct message m;

	(void)state;
	start(&m);
	mnl_attr_put(m.h, NFULA_TIMESTAMP, sizeof(micro), micro);
	assert_int_equal(bh_nflog_parse(m.h, &msg), 0);
	assert_true(msg.timestamp_ns == 0);
	start(&m);
	mnl_attr_put(m.h, NFULA_TIMESTAMP, sizeof(late), late);
	assert_int_equal(bh_nflog_parse(m.h, &msg), 0);
	assert_true(msg.timestamp_ns == 0);
}

static void malformed_messages_are_refused(void **state)
{
	static const struct {
		uint16_t type, len;
		const char *data;
	} t[] = {
		{ NFULA_SEQ, 2, "\0\1" },
		{ NFULA_MARK, 3, "\0\0\1" },
		{ NFULA_IFINDEX_INDEV, 0, "" },
		{ NFULA_PACKET_HDR, 3, "\0\0\1" },
		{ NFULA_TIMESTAMP, 8, "\0\0\0\0\0\0\0\1" },
		{ NFULA_PREFIX, 4, "bh:d" }, /* no NUL */
		{ NFULA_PREFIX, 0, "" },
	};
	struct bh_nflog_msg msg = { .mark = 9 };
	struct message m;

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		start(&m);
		mnl_attr_put(m.h, t[i].type, t[i].len, t[i].data);
		assert_int_equal(bh_nflog_parse(m.h, &msg), -EBADMSG);
	}
	start(&m);
	m.h->nlmsg_type = NLMSG_DONE;
	assert_int_equal(bh_nflog_parse(m.h, &msg), -EBADMSG);
	start(&m);
	m.h->nlmsg_len = sizeof(*m.h);
	assert_int_equal(bh_nflog_parse(m.h, &msg), -EBADMSG);
	start(&m);
	mnl_attr_put_u32(m.h, NFULA_SEQ, 0);
	m.h->nlmsg_len -= 2;
	assert_int_equal(bh_nflog_parse(m.h, &msg), -EBADMSG);
	/* An attribute that reaches over the end is not read. */
	start(&m);
	mnl_attr_put_u32(m.h, NFULA_SEQ, 0);
	((struct nlattr *)mnl_nlmsg_get_payload_offset(m.h, sizeof(struct nfgenmsg)))->nla_len = 99;
	assert_true(bh_nflog_parse(m.h, &msg) == -EBADMSG || !msg.has_seq);
}

/* --- by the kernel ------------------------------------------------------------------ */

#define GROUP 77

static bool runs(const char *command)
{
	return system(command) == 0;
}

static void in_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: a network namespace needs root\n");
		skip();
	}
	if (!runs("nft --version >/dev/null 2>&1")) {
		print_message("skipped: nft is not installed\n");
		skip();
	}
	assert_true(runs("ip link set lo up"));
	assert_true(
		runs("nft 'add table inet t; add chain inet t o "
		     "{ type filter hook output priority 0; }; "
		     "add rule inet t o udp dport 9 log prefix \"bh:d:eg_7\" group 77 snaplen 64 "
		     "drop'"));
}

struct seen {
	unsigned int n, n_overruns, n_ports;
	uint64_t lost;
	uint32_t last_seq;
	uint64_t timestamp_ns;
	char prefix[64];
	size_t payload_len;
	struct bh_packet packet;
};

static void on_packet(void *ctx, const struct bh_nflog_msg *msg)
{
	struct seen *s = ctx;

	s->n++;
	s->last_seq = msg->seq;
	s->timestamp_ns = msg->timestamp_ns;
	s->payload_len = msg->payload_len;
	snprintf(s->prefix, sizeof(s->prefix), "%s", msg->prefix);
	assert_true(msg->has_seq);
	assert_int_equal(bh_packet_parse(msg->payload, msg->payload_len, &s->packet), 0);
	s->n_ports += s->packet.dst_port == 9;
}

static void on_lost(void *ctx, uint32_t n)
{
	((struct seen *)ctx)->lost += n;
}

static void on_overrun(void *ctx)
{
	((struct seen *)ctx)->n_overruns++;
}

static int read_once(struct bh_nflog *n, struct seen *s)
{
	const struct bh_nflog_handler handler = {
		.ctx = s, .on_packet = on_packet, .on_lost = on_lost, .on_overrun = on_overrun
	};
	struct bh_err err = { 0 };
	int r = bh_nflog_read(n, &handler, &err);

	if (r != -EAGAIN)
		assert_ok(r, &err);
	return r;
}

/* Until @want packets came or went lost; a kernel that forgot them fails the test. */
static void read_until(struct bh_nflog *n, struct seen *s, uint64_t want)
{
	struct pollfd p = { .fd = bh_nflog_fd(n), .events = POLLIN };

	while (s->n + s->lost < want) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		while (read_once(n, s) == 0)
			;
	}
}

static void send_udp(unsigned int n, const char *host, int family)
{
	struct sockaddr_in6 sa6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct sockaddr_in sa4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	const bool is_4 = family == AF_INET;
	char data[200] = "x";
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(
		inet_pton(family, host, is_4 ? (void *)&sa4.sin_addr : (void *)&sa6.sin6_addr), 1);
	while (n-- > 0) {
		/* The drop in output is reported to the sender as EPERM. */
		(void)!sendto(fd, data, sizeof(data), 0, is_4 ? (void *)&sa4 : (void *)&sa6,
			      is_4 ? sizeof(sa4) : sizeof(sa6));
	}
	close(fd);
}

static void open_group(struct bh_nflog **n, uint32_t rcvbuf_bytes)
{
	const struct bh_nflog_config config = { .group = GROUP,
						.copy_len = 96,
						.rcvbuf_bytes = rcvbuf_bytes };
	struct bh_err err = { 0 };

	assert_ok(bh_nflog_new(n, &config, &err), &err);
}

static void a_dropped_packet_comes_with_prefix_and_headers(void **state)
{
	bh_auto(bh_nflog_free) struct bh_nflog *n = NULL;
	struct seen s = { 0 };
	char text[BH_ADDR_STRLEN];

	(void)state;
	in_netns();
	open_group(&n, 0);
	assert_int_equal(read_once(n, &s), -EAGAIN);
	send_udp(1, "127.0.0.1", AF_INET);
	read_until(n, &s, 1);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.last_seq, 0);
	assert_string_equal(s.prefix, "bh:d:eg_7");
	assert_int_equal(s.payload_len, 64); /* the rule's snaplen */
	assert_string_equal(bh_addr_format(&s.packet.dst, text), "127.0.0.1");
	assert_int_equal(s.packet.dst_port, 9);
	assert_int_equal(s.packet.length, 228);

	send_udp(1, "::1", AF_INET6);
	read_until(n, &s, 2);
	assert_string_equal(bh_addr_format(&s.packet.dst, text), "::1");
	assert_int_equal(s.last_seq, 1);
}

static void many_packets_come_in_few_datagrams_and_none_is_lost(void **state)
{
	bh_auto(bh_nflog_free) struct bh_nflog *n = NULL;
	struct seen s = { 0 };
	unsigned int reads = 0;

	(void)state;
	in_netns();
	open_group(&n, 0);
	send_udp(1000, "127.0.0.1", AF_INET);
	while (s.n < 1000) {
		struct pollfd p = { .fd = bh_nflog_fd(n), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(read_once(n, &s), 0);
		reads++;
	}
	assert_int_equal(s.n, 1000);
	assert_int_equal(s.n_ports, 1000);
	assert_int_equal(s.lost, 0);
	assert_int_equal(s.last_seq, 999);
	assert_true(reads <= 100);
}

static void what_did_not_fit_is_counted_to_the_packet(void **state)
{
	bh_auto(bh_nflog_free) struct bh_nflog *n = NULL;
	struct seen s = { 0 };

	(void)state;
	in_netns();
	open_group(&n, 1); /* the kernel's minimum */
	send_udp(5000, "127.0.0.1", AF_INET);
	while (read_once(n, &s) == 0)
		;
	/* The loss shows with the next packet that fits. */
	for (int i = 0; i < 50 && s.n + s.lost < 5001; i++) {
		struct pollfd p = { .fd = bh_nflog_fd(n), .events = POLLIN };

		send_udp(1, "127.0.0.1", AF_INET);
		assert_int_equal(poll(&p, 1, 10000), 1);
		while (read_once(n, &s) == 0)
			;
	}
	assert_true(s.n_overruns > 0);
	assert_true(s.lost > 0);
	assert_true(s.n + s.lost >= 5001);
	assert_true(s.n + s.lost == (uint64_t)s.last_seq + 1);
}

static void a_second_reader_of_a_group_is_told_so(void **state)
{
	const struct bh_nflog_config config = { .group = GROUP, .copy_len = 96 };
	bh_auto(bh_nflog_free) struct bh_nflog *n = NULL, *second = NULL;
	struct bh_err err = { 0 };

	(void)state;
	in_netns();
	open_group(&n, 0);
	assert_err(bh_nflog_new(&second, &config, &err), &err, -EBUSY,
		   "NFLOG group 77 is taken by another process in this network namespace");
	assert_null(second);
	/* It is free as soon as its reader goes. */
	bh_nflog_free(&n);
	assert_null(n);
	open_group(&second, 0);
}

static void without_the_capability_the_error_names_it(void **state)
{
	const struct bh_nflog_config config = { .group = GROUP, .copy_len = 96 };
	pid_t pid;
	int status;

	(void)state;
	in_netns();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct bh_nflog *n = NULL;
		struct bh_err err = { 0 };

		if (setuid(65534) < 0)
			_exit(2);
		_exit(bh_nflog_new(&n, &config, &err) == -EPERM &&
				      strstr(bh_err_text(&err), "needs CAP_NET_ADMIN")
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_timestamp_is_about_now_where_the_hook_has_one(void **state)
{
	bh_auto(bh_nflog_free) struct bh_nflog *n = NULL;
	uint64_t before_ns, after_ns;
	struct seen s = { 0 };

	(void)state;
	in_netns();
	assert_true(runs("nft 'flush chain inet t o; add chain inet t i "
			 "{ type filter hook input priority 0; }; "
			 "add rule inet t i udp dport 9 log prefix \"bh:d:in_7\" group 77 drop'"));
	open_group(&n, 0);
	before_ns = bh_real_ns();
	send_udp(1, "127.0.0.1", AF_INET);
	after_ns = bh_real_ns();
	read_until(n, &s, 1);
	assert_string_equal(s.prefix, "bh:d:in_7");
	assert_in_range(s.timestamp_ns, before_ns - BH_NS_PER_MS, after_ns + BH_NS_PER_MS);
	assert_int_equal(s.payload_len, 96); /* the reader's copy range */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_message_is_read),
		cmocka_unit_test(what_the_kernel_did_not_send_is_empty),
		cmocka_unit_test(a_time_that_is_none_counts_as_missing),
		cmocka_unit_test(malformed_messages_are_refused),
		cmocka_unit_test(a_dropped_packet_comes_with_prefix_and_headers),
		cmocka_unit_test(many_packets_come_in_few_datagrams_and_none_is_lost),
		cmocka_unit_test(what_did_not_fit_is_counted_to_the_packet),
		cmocka_unit_test(a_second_reader_of_a_group_is_told_so),
		cmocka_unit_test(without_the_capability_the_error_names_it),
		cmocka_unit_test(a_timestamp_is_about_now_where_the_hook_has_one),
	};

	return cmocka_run_group_tests_name("nflog", tests, NULL, NULL);
}
