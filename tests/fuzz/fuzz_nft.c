/*
 * Messages of nf_tables: the listings of sets, chains, rules, objects and
 * elements that are read back, and the notifications of the watch.  The input
 * is what a datagram holds.
 */
#include <assert.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

#include "../../src/nft/nft_impl.h"

#define MAX_INPUT 65536u
/* What follows a datagram, see bh_nl_recv(). */
#define ZERO_BYTES 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As bh_nft_read() does, but with all messages in one heap. */
static void read_back(enum bh_table table, const struct nlmsghdr *first, int size)
{
	bh_auto(nft_reader_done) struct nft_reader r = { .state = nft_state_new(table) };
	const struct nlmsghdr *msg = first;
	int len = size;

	for (; bh_nl_ok(msg, len); msg = mnl_nlmsg_next(msg, &len)) {
		uint16_t type = msg->nlmsg_type & 0xff;

		if (type != NFT_MSG_NEWRULE && type != NFT_MSG_NEWSETELEM &&
		    nft_reader_message(msg, &r) < 0)
			return;
	}
	nft_reader_sort(&r);
	for (size_t i = 0; i <= r.state->n_sets; i++) {
		r.set = i < r.state->n_sets ? &r.state->sets[i] : NULL;
		for (msg = first, len = size; bh_nl_ok(msg, len); msg = mnl_nlmsg_next(msg, &len)) {
			uint16_t type = msg->nlmsg_type & 0xff;
			bool is_wanted =
				r.set ? type == NFT_MSG_NEWSETELEM : type == NFT_MSG_NEWRULE;

			if (is_wanted && nft_reader_message(msg, &r) < 0)
				return;
		}
		if (r.set)
			nft_reader_finish_set(r.set);
	}

	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(table);
	bh_auto(bh_delta_free) struct bh_delta *d = bh_nft_diff(r.state, plan);
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };

	bh_nft_diff_describe(d, 100, &text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size < MAX_INPUT ? size : MAX_INPUT;
	bh_auto_free uint8_t *buf = bh_calloc(len + ZERO_BYTES, 1);
	struct nft_watch watch = { .own_port = 1 };
	const struct nlmsghdr *msg = (const struct nlmsghdr *)(const void *)buf;

	if (len)
		memcpy(buf, data, len);
	nft_watch_datagram(&watch, msg, (int)len);
	assert(memchr(watch.program, 0, sizeof(watch.program)));
	if (bh_nl_ok(msg, (int)len))
		(void)bh_nl_status(msg, NULL, &(struct bh_err){ 0 });
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		read_back(t, msg, (int)len);
	return 0;
}
