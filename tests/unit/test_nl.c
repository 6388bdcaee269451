/*
 * Netlink sockets, each test in a network namespace of its own.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "bh/nl.h"
#include "test.h"

static struct bh_nl *open_in_netns(void)
{
	struct bh_nl *nl = NULL;
	struct bh_err err = { 0 };

	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: a network namespace needs root\n");
		skip();
	}
	assert_ok(bh_nl_new(&nl, NETLINK_NETFILTER, &err), &err);
	return nl;
}

static struct nlmsghdr *put(void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	g->nfgen_family = 1;
	return h;
}

struct seen {
	size_t n, n_restarts;
	int answer;
};

static int on_msg(const struct nlmsghdr *msg, void *ctx)
{
	struct seen *s = ctx;

	(void)msg;
	s->n++;
	return s->answer;
}

static void on_restart(void *ctx)
{
	struct seen *s = ctx;

	s->n = 0;
	s->n_restarts++;
}

static void add_tables(int n)
{
	char command[160];

	snprintf(command, sizeof(command),
		 "for i in $(seq %d); do echo add table inet "
		 "a_rather_long_name_of_a_table_so_that_a_dump_has_parts_$i; done | nft -f -",
		 n);
	if (system(command) != 0) {
		print_message("skipped: needs nft\n");
		skip();
	}
}

static void a_request_ends_with_its_acknowledgement(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	_Alignas(struct nlmsghdr) char buf[256];
	struct seen s = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(bh_nl_request(nl, put(buf, NFT_MSG_GETGEN, 0), on_msg, NULL, &s, &err), &err);
	assert_int_equal(s.n, 1);
}

static void a_refusal_is_an_errno_with_text(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *h = put(buf, NFT_MSG_GETTABLE, 0);
	struct seen s = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, "none");
	assert_err(bh_nl_request(nl, h, on_msg, NULL, &s, &err), &err, -ENOENT,
		   "No such file or directory");
	assert_int_equal(s.n, 0);
}

static void a_dump_is_handed_over_whole(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	_Alignas(struct nlmsghdr) char buf[256];
	struct seen s = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	add_tables(1000);
	assert_ok(bh_nl_request(nl, put(buf, NFT_MSG_GETTABLE, NLM_F_DUMP), on_msg, NULL, &s, &err),
		  &err);
	assert_int_equal(s.n, 1000);
}

static void the_callers_error_ends_the_walk_and_the_socket_stays_usable(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	_Alignas(struct nlmsghdr) char buf[256];
	struct seen s = { .answer = -E2BIG };
	struct bh_err err = { 0 };

	(void)state;
	add_tables(1000);
	assert_int_equal(
		bh_nl_request(nl, put(buf, NFT_MSG_GETTABLE, NLM_F_DUMP), on_msg, NULL, &s, &err),
		-E2BIG);
	assert_int_equal(s.n, 1);
	s = (struct seen){ 0 };
	assert_ok(bh_nl_request(nl, put(buf, NFT_MSG_GETTABLE, NLM_F_DUMP), on_msg, NULL, &s, &err),
		  &err);
	assert_int_equal(s.n, 1000);
}

/* The writer goes on until the dumps are done; nothing is timed. */
struct disturbed {
	struct seen seen;
	unsigned int n_to_disturb;
};

static int disturb(const struct nlmsghdr *msg, void *ctx)
{
	struct disturbed *d = ctx;

	(void)msg;
	if (d->seen.n++ == 0 && d->n_to_disturb) {
		d->n_to_disturb--;
		assert_int_equal(system("nft add table inet x; nft delete table inet x"), 0);
	}
	return 0;
}

static void an_interrupted_dump_is_repeated(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	_Alignas(struct nlmsghdr) char buf[256];
	struct disturbed d = { .n_to_disturb = 2 };
	struct bh_err err = { 0 };

	(void)state;
	add_tables(1000);
	assert_ok(bh_nl_request(nl, put(buf, NFT_MSG_GETTABLE, NLM_F_DUMP), disturb, on_restart, &d,
				&err),
		  &err);
	assert_int_equal(d.seen.n_restarts, 2);
	assert_int_equal(d.seen.n, 1000);
}

static void a_dump_that_is_interrupted_for_ever_is_given_up(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	_Alignas(struct nlmsghdr) char buf[256];
	struct disturbed d = { .n_to_disturb = 100 };
	struct bh_err err = { 0 };

	(void)state;
	add_tables(1000);
	assert_err(bh_nl_request(nl, put(buf, NFT_MSG_GETTABLE, NLM_F_DUMP), disturb, on_restart,
				 &d, &err),
		   &err, -EINTR, "interrupted 5 times");
	assert_int_equal(d.seen.n_restarts, 4);
}

static void lost_notifications_are_an_error_once(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	const struct nlmsghdr *msg;
	struct bh_err err = { 0 };
	int bytes = 2048, n, n_lost = 0, n_read = 0;

	(void)state;
	assert_int_equal(setsockopt(bh_nl_fd(nl), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
	assert_ok(bh_nl_join(nl, NFNLGRP_NFTABLES, &err), &err);
	add_tables(1000);
	while ((n = bh_nl_recv(nl, false, &msg)) != -EAGAIN) {
		assert_true(n > 0 || n == -ENOBUFS);
		n_lost += n == -ENOBUFS;
		n_read += n > 0;
	}
	assert_int_equal(n_lost, 1);
	assert_true(n_read > 0);
}

static void buffers_grow_past_the_systems_limit(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	int now = 0;
	socklen_t len = sizeof(now);

	(void)state;
	assert_int_equal(bh_nl_set_sndbuf(nl, 16u << 20), 0);
	assert_int_equal(getsockopt(bh_nl_fd(nl), SOL_SOCKET, SO_SNDBUF, &now, &len), 0);
	assert_true(now >= 16 << 20);
	/* They never shrink. */
	assert_int_equal(bh_nl_set_sndbuf(nl, 4096), 0);
	assert_int_equal(getsockopt(bh_nl_fd(nl), SOL_SOCKET, SO_SNDBUF, &now, &len), 0);
	assert_true(now >= 16 << 20);
	assert_int_equal(bh_nl_set_rcvbuf(nl, 16u << 20), 0);
}

static void a_group_that_does_not_exist_is_refused(void **state)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = open_in_netns();
	struct bh_err err = { 0 };

	(void)state;
	assert_err(bh_nl_join(nl, 4000, &err), &err, -EINVAL, "netlink group 4000");
}

static void put_ack(char *buf, int code, uint16_t flags, const char *text)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(h, sizeof(*e));

	h->nlmsg_type = NLMSG_ERROR;
	h->nlmsg_flags = flags;
	e->error = code;
	e->msg.nlmsg_len = sizeof(e->msg);
	if (text)
		mnl_attr_put(h, NLMSGERR_ATTR_MSG, strlen(text) + 1, text);
	mnl_attr_put_u32(h, NLMSGERR_ATTR_OFFS, 28);
}

static void the_kernels_words_are_part_of_the_error(void **state)
{
	static const struct {
		int code;
		uint16_t flags;
		const char *text;
		int want;
		const char *words;
		uint32_t offset;
	} t[] = {
		{ 0, 0, NULL, 0, "", 0 },
		{ -EINVAL, 0, "no", -EINVAL, "Invalid argument", 0 },
		{ -EINVAL, NLM_F_ACK_TLVS, "no", -EINVAL, "Invalid argument (no)", 28 },
		{ -EINVAL, NLM_F_ACK_TLVS | NLM_F_CAPPED, "no", -EINVAL, "Invalid argument (no)",
		  28 },
		{ -EINVAL, NLM_F_ACK_TLVS, NULL, -EINVAL, "Invalid argument", 28 },
		{ 5, 0, NULL, -EPROTO, "code 5", 0 },
	};
	_Alignas(struct nlmsghdr) char buf[256];

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_err err = { 0 };
		uint32_t offset = 1;

		put_ack(buf, t[i].code, t[i].flags, t[i].text);
		assert_int_equal(bh_nl_status((void *)buf, &offset, &err), t[i].want);
		assert_contains(bh_err_text(&err), t[i].words);
		assert_int_equal(offset, t[i].offset);
	}
}

static void an_acknowledgement_that_is_cut_says_no_more_than_its_code(void **state)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *h = (void *)buf;
	struct bh_err err = { 0 };

	(void)state;
	put_ack(buf, -EINVAL, NLM_F_ACK_TLVS, "text");
	h->nlmsg_len = sizeof(*h) + 2;
	assert_int_equal(bh_nl_status(h, NULL, &err), -EPROTO);
	put_ack(buf, -EINVAL, NLM_F_ACK_TLVS, "text");
	((struct nlmsgerr *)mnl_nlmsg_get_payload(h))->msg.nlmsg_len = 4000;
	assert_err(bh_nl_status(h, NULL, &err), &err, -EINVAL, "Invalid argument");
	put_ack(buf, -EINVAL, NLM_F_ACK_TLVS, "text");
	h->nlmsg_len -= 10;
	assert_err(bh_nl_status(h, NULL, &err), &err, -EINVAL, "Invalid argument");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_ends_with_its_acknowledgement),
		cmocka_unit_test(a_refusal_is_an_errno_with_text),
		cmocka_unit_test(a_dump_is_handed_over_whole),
		cmocka_unit_test(the_callers_error_ends_the_walk_and_the_socket_stays_usable),
		cmocka_unit_test(an_interrupted_dump_is_repeated),
		cmocka_unit_test(a_dump_that_is_interrupted_for_ever_is_given_up),
		cmocka_unit_test(lost_notifications_are_an_error_once),
		cmocka_unit_test(buffers_grow_past_the_systems_limit),
		cmocka_unit_test(a_group_that_does_not_exist_is_refused),
		cmocka_unit_test(the_kernels_words_are_part_of_the_error),
		cmocka_unit_test(an_acknowledgement_that_is_cut_says_no_more_than_its_code),
	};

	return cmocka_run_group_tests_name("nl", tests, NULL, NULL);
}
