/*
 * A plan as the messages that make it from nothing, to be sent again later.
 *
 * These bytes are what the kernel takes (include/uapi/linux/netfilter/nf_tables.h),
 * so loading them needs no plan, no compiler and no parser.  They are valid on
 * this machine: byte order is its own.  Each batch has its length before it.
 */
#include "nft_impl.h"

#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>

static void keep_elems(const struct bh_save_filter *filter, struct bh_delta *delta,
		       struct bh_op *op)
{
	struct bh_elem *elems =
		bh_arena_memdup(delta->arena, op->elems, op->n_elems * sizeof(*op->elems));
	size_t kept = 0;

	for (size_t i = 0; i < op->n_elems; i++) {
		if (filter->is_kept(filter->ctx, op->set, &elems[i]))
			elems[kept++] = elems[i];
	}
	op->elems = elems;
	op->n_elems = kept;
}

static void on_batch(void *ctx, struct nft_batch *b)
{
	uint32_t len = (uint32_t)b->len;

	bh_buf_add(ctx, &len, sizeof(len));
	bh_buf_add(ctx, b->data, b->len);
}

void bh_nft_save(struct bh_nft *nft, const struct bh_plan *plan,
		 const struct bh_save_filter *filter, struct bh_buf *out)
{
	static const struct bh_nft_state nothing = { .is_absent = true };
	bh_auto(bh_delta_free) struct bh_delta *delta = bh_nft_diff(&nothing, plan);

	for (size_t i = 0; i < delta->n_ops; i++) {
		if (delta->ops[i].kind == BH_OP_ADD_ELEMS)
			keep_elems(filter, delta, &delta->ops[i]);
	}
	nft_encode_delta(nft, delta, on_batch, out);
}

/* Gives its messages new numbers; false where it is no batch. */
static bool renumber(struct bh_nft *nft, struct nft_batch *b)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)b->data;
	int left = (int)b->len;

	b->first_seq = bh_nl_next_seq(nft->nl);
	b->n_msgs = 0;
	for (; bh_nl_ok(h, left); h = mnl_nlmsg_next(h, &left))
		h->nlmsg_seq = b->first_seq + (uint32_t)b->n_msgs++;
	/* The end is no message of its own: nft_batch_end(). */
	return left == 0 && b->n_msgs-- >= 3;
}

static int load_batch(struct bh_nft *nft, const void *data, size_t len, struct bh_err *err)
{
	bh_auto(nft_batch_done) struct nft_batch b = { .len = len, .cap = len };
	struct nft_answer a;
	int r;

	b.data = bh_calloc(len, 1);
	memcpy(b.data, data, len);
	if (!renumber(nft, &b))
		return bh_err(err, -EBADMSG, "these are no messages");
	r = nft_send_batch(nft, &b, 0, &a, err);
	nft->generation = 0;
	if (r < 0)
		return r;
	if (a.code < 0)
		return bh_err(err, a.code, "message %u: %s", a.number, bh_err_text(&a.text));
	if (a.is_lost || !a.is_acked)
		return bh_err(err, -ENOBUFS, "the kernel's answer was lost");
	return 0;
}

int bh_nft_load(struct bh_nft *nft, const struct bh_buf *saved, struct bh_err *err)
{
	size_t at = 0;
	uint32_t len;

	while (at < saved->len) {
		int r;

		if (saved->len - at < sizeof(len))
			return bh_err(err, -EBADMSG, "it is cut off");
		memcpy(&len, saved->data + at, sizeof(len));
		at += sizeof(len);
		if (len > saved->len - at || len > INT32_MAX)
			return bh_err(err, -EBADMSG, "it is cut off");
		r = load_batch(nft, saved->data + at, len, err);
		if (r < 0)
			return r;
		at += len;
	}
	return 0;
}
