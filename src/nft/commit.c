/*
 * The deltas of all tables, one transaction.
 *
 * nf_tables handles a batch within sendmsg(): when that returns, every answer
 * is in our receive buffer, and an empty buffer is the end of them.  An error
 * of any message undoes all.  The acknowledgement that we ask of the last
 * message comes even if the transaction as a whole then fails, so success is
 * that acknowledgement and no error at all; neither means that the answer found
 * no room.
 *
 * Generations: the kernel counts transactions of all tables together and
 * refuses (ERESTART) a batch made for another count than the current one.  Then
 * somebody wrote; the watch says whether to our tables.  Between the kernel's
 * count and its notifications there is a gap in which we would see the new
 * count and no message, so nft_sync() first sends an empty batch for that count:
 * it waits for the lock that the other transaction holds until it has notified.
 *
 * As long as anybody listens, the kernel builds a notification for each element,
 * which takes ten times as long as adding it (100k elements: 2-3 s against
 * 0.3 s).  So the watch leaves its group during large batches.  The generation
 * tells whether anybody wrote in the meantime; what it was can then only be
 * learnt by reading back.  Where that has happened, somebody writes often, and
 * the next batches are sent with the watch open: that costs less than reading back.
 */
#include "nft_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/* Answers of some ten thousand messages, all refused. */
#define COMMIT_RCVBUF (4u * 1024u * 1024u)
/*
 * Other programs' transactions wait while one of ours is carried out.  So many
 * bytes are about 9,000 elements of a hash set or 5,000 intervals, and take 20 to
 * 60 ms; smaller batches make the whole slower, since each waits for readers.
 */
#define MAX_BATCH (256u * 1024u)
/* What is kept of the batch's buffer between commits. */
#define KEEP_BYTES (256u * 1024u)
#define MAX_TRIES  32
/* For elements that run out just now. */
#define MAX_RACES 3
/* From here on the watch is closed while the kernel works. */
#define QUIET_BYTES (16u * 1024u)
/* So many batches are sent with the watch open after somebody wrote behind its back. */
#define LISTENING_BATCHES 256

int bh_nft_new(struct bh_nft **ret, struct bh_err *err)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = bh_calloc(1, sizeof(*nft));
	int r;

	nft->max_batch = MAX_BATCH;
	r = bh_nl_new(&nft->nl, NETLINK_NETFILTER, err);
	if (r < 0)
		return bh_err_wrap(err, r, "nftables");
	(void)bh_nl_set_rcvbuf(nft->nl, COMMIT_RCVBUF);
	r = nft_watch_init(&nft->watch, bh_nl_portid(nft->nl), err);
	if (r < 0)
		return bh_err_wrap(err, r, "nftables");
	*ret = bh_take_ptr(nft);
	return 0;
}

void bh_nft_free(struct bh_nft **nft)
{
	if (!*nft)
		return;
	nft_watch_done(&(*nft)->watch);
	nft_batch_done(&(*nft)->batch);
	bh_nl_free(&(*nft)->nl);
	free(*nft);
	*nft = NULL;
}

void bh_nft_set_max_batch(struct bh_nft *nft, size_t bytes)
{
	nft->max_batch = bytes;
}

/* --- generations -------------------------------------------------------------*/

static int on_generation_attr(const struct nlattr *a, void *ctx)
{
	uint32_t *generation = ctx;

	if (mnl_attr_get_type(a) == NFTA_GEN_ID && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		*generation = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static int on_generation(const struct nlmsghdr *msg, void *ctx)
{
	(void)mnl_attr_parse(msg, sizeof(struct nfgenmsg), on_generation_attr, ctx);
	return 0;
}

int bh_nft_generation(struct bh_nft *nft, uint32_t *ret, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[NFT_REQUEST_MAX];
	struct nlmsghdr *h = nft_put_request(buf, NFT_MSG_GETGEN, NFPROTO_UNSPEC, 0);
	uint32_t generation = 0;
	int r = bh_nl_request(nft->nl, h, on_generation, NULL, &generation, err);

	if (r == 0 && generation == 0)
		r = bh_err(err, -EPROTO, "the kernel did not say");
	if (r < 0)
		return bh_err_wrap(err, r, "cannot read the generation of nftables");
	*ret = generation;
	return 0;
}

/* What the kernel counts to after a transaction; 0 is left out. */
static uint32_t next_generation(uint32_t generation)
{
	return generation + 1 ? generation + 1 : 1;
}

/* --- sending -----------------------------------------------------------------*/

static void on_status(const struct nft_batch *b, const struct nlmsghdr *msg, struct nft_answer *a)
{
	uint32_t number = msg->nlmsg_seq - b->first_seq, offset;
	struct bh_err text = { 0 };
	int code = bh_nl_status(msg, &offset, &text);

	if (number >= b->n_msgs)
		return;
	if (code == 0) {
		a->is_acked = a->is_acked || number == b->n_msgs - 1;
		return;
	}
	if (code == -ERESTART && number == 0) {
		a->is_restart = true;
		return;
	}
	/*
	 * The first refused operation is the cause, and the others follow from
	 * it.  Number 0 is the transaction as a whole: it failed at the end.
	 */
	a->n_refused++;
	if (a->code == 0 || (number != 0 && (a->number == 0 || number < a->number))) {
		a->code = code;
		a->number = number;
		a->offset = offset;
		a->text = text;
	}
}

/* Answers to anything else have been read, so numbers cannot be mistaken. */
static int collect(struct bh_nft *nft, const struct nft_batch *b, struct nft_answer *ret,
		   struct bh_err *err)
{
	struct nft_answer a = { 0 };

	for (;;) {
		const struct nlmsghdr *msg;
		int n = bh_nl_recv(nft->nl, false, &msg);

		if (n == -EAGAIN)
			break;
		if (n == -ENOBUFS) {
			a.is_lost = true;
			continue;
		}
		if (n < 0)
			return bh_err_wrap(err, n, "cannot receive the kernel's answer");
		for (; bh_nl_ok(msg, n); msg = mnl_nlmsg_next(msg, &n)) {
			if (msg->nlmsg_type == NLMSG_ERROR)
				on_status(b, msg, &a);
		}
	}
	*ret = a;
	return 0;
}

int nft_send_batch(struct bh_nft *nft, struct nft_batch *b, uint32_t generation,
		   struct nft_answer *ret, struct bh_err *err)
{
	int r;

	nft_batch_set_generation(b, generation);
	/* Where it is not allowed, a small batch may still fit. */
	(void)bh_nl_set_sndbuf(nft->nl, b->len + 4096);
	r = bh_nl_send(nft->nl, b->data, b->len, err);
	/* Out of memory before anything happened; -ENOBUFS would say it did. */
	if (r == -ENOBUFS)
		r = -ENOMEM;
	if (r < 0)
		return r;
	return collect(nft, b, ret, err);
}

static int busy(struct bh_err *err)
{
	return bh_err(err, -EAGAIN, "other programs change nftables all the time");
}

int nft_sync(struct bh_nft *nft, uint32_t *ret, struct bh_err *err)
{
	bh_auto(nft_batch_done) struct nft_batch empty = { 0 };
	int r;

	nft_batch_begin(&empty, bh_nl_next_seq(nft->nl));
	nft_batch_end(&empty);
	for (unsigned int i = 0; i < MAX_TRIES; i++) {
		struct nft_answer a;
		uint32_t generation;

		r = bh_nft_generation(nft, &generation, err);
		if (r == 0)
			r = nft_send_batch(nft, &empty, generation, &a, err);
		if (r < 0)
			return r;
		if (a.is_restart || a.is_lost)
			continue;
		if (a.code < 0)
			return bh_err_wrap(err, a.code, "nftables");
		r = nft_watch_drain(&nft->watch, err);
		if (r == 0)
			*ret = generation;
		return r;
	}
	return busy(err);
}

/* --- refusals ----------------------------------------------------------------*/

static const char *const op_nouns[] = {
	[BH_OP_ADD_TABLE] = "table", [BH_OP_ADD_COUNTER] = "counter",
	[BH_OP_ADD_SET] = "set",     [BH_OP_ADD_CHAIN] = "chain",
	[BH_OP_ADD_ELEMS] = "set",   [BH_OP_FLUSH_CHAIN] = "chain",
	[BH_OP_ADD_RULES] = "chain", [BH_OP_DEL_ELEMS] = "set",
	[BH_OP_FLUSH_SET] = "set",   [BH_OP_DEL_CHAIN] = "chain",
	[BH_OP_DEL_SET] = "set",     [BH_OP_DEL_COUNTER] = "counter",
	[BH_OP_DEL_TABLE] = "table",
};
static_assert(BH_ARRAY_LEN(op_nouns) == BH_OP_COUNT_, "every operation has a noun");

static const char *const op_verbs[] = {
	[BH_OP_ADD_TABLE] = "add",    [BH_OP_ADD_COUNTER] = "add",  [BH_OP_ADD_SET] = "add",
	[BH_OP_ADD_CHAIN] = "add",    [BH_OP_ADD_ELEMS] = "add",    [BH_OP_FLUSH_CHAIN] = "flush",
	[BH_OP_ADD_RULES] = "add",    [BH_OP_DEL_ELEMS] = "delete", [BH_OP_FLUSH_SET] = "flush",
	[BH_OP_DEL_CHAIN] = "delete", [BH_OP_DEL_SET] = "delete",   [BH_OP_DEL_COUNTER] = "delete",
	[BH_OP_DEL_TABLE] = "delete",
};
static_assert(BH_ARRAY_LEN(op_verbs) == BH_OP_COUNT_, "every operation has a verb");

static bool is_table(const struct bh_op *op)
{
	return op->kind == BH_OP_ADD_TABLE || op->kind == BH_OP_DEL_TABLE;
}

/* Which element, rule or whole object of the operation it was. */
static void describe_refused(const struct nft_batch *b, const struct nft_answer *a,
			     struct bh_buf *out)
{
	const struct nft_batch_msg *m = &b->msgs[a->number];
	const struct bh_op *op = m->op;
	const uint8_t *key;

	if (m->table != BH_TABLE_INET)
		bh_buf_printf(out, "table %s " BH_TABLE ": ", bh_table_str(m->table));
	bh_buf_printf(out, "%s ", op_nouns[op->kind]);
	bh_buf_escape(out, is_table(op) ? BH_TABLE : op->name);
	bh_buf_printf(out, ": cannot %s", op_verbs[op->kind]);
	if (op->kind == BH_OP_ADD_RULES) {
		size_t first = a->number;

		while (first > 1 && b->msgs[first - 1].op == m->op)
			first--;
		bh_buf_printf(out, " rule %zu", a->number - first + 1);
	}
	key = op->set ? nft_batch_key_at(b, m->at + a->offset) : NULL;
	if (key && a->offset) {
		bh_buf_puts(out, " element ");
		nft_format_elem(out, &op->set->spec, key, key);
	}
}

static int refuse(const struct nft_batch *b, const struct nft_answer *a,
		  struct bh_nft_refusal *refusal, struct bh_err *err)
{
	bh_auto(bh_buf_done) struct bh_buf what = { 0 };
	const struct bh_op *op = b->msgs[a->number].op;

	if (refusal) {
		refusal->code = a->code;
		refusal->table = b->msgs[a->number].table;
		if (op && !is_table(op))
			snprintf(refusal->name, sizeof(refusal->name), "%s", op->name);
	}
	if (op)
		describe_refused(b, a, &what);
	else
		bh_buf_puts(&what, "cannot commit");
	if (a->n_refused > 1)
		bh_buf_printf(&what, " (and %zu more)", a->n_refused - 1);
	return bh_err(err, a->code, "%s: %s", bh_buf_str(&what), bh_err_text(&a->text));
}

/* --- commit ------------------------------------------------------------------*/

/* Learns what was written meanwhile; 0 if our tables are as we left them. */
static int catch_up(struct bh_nft *nft, struct bh_err *err)
{
	uint32_t generation;
	int r = nft_sync(nft, &generation, err);

	nft->generation = 0;
	if (r < 0)
		return r;
	if (nft->watch.is_foreign || nft->watch.is_lost)
		return bh_err(err, -ESTALE, "another program may have changed table " BH_TABLE);
	nft->generation = generation;
	return 0;
}

/* Like nft_send_batch(), with the watch closed where that pays. */
static int send_quietly(struct bh_nft *nft, struct nft_answer *ret, struct bh_err *err)
{
	struct nft_watch *w = &nft->watch;
	uint32_t generation = 0;
	int r;

	if (nft->n_listening > 0)
		nft->n_listening--;
	if (nft->batch.len < QUIET_BYTES || nft->n_listening > 0)
		return nft_send_batch(nft, &nft->batch, nft->generation, ret, err);
	r = nft_watch_pause(w, err);
	if (r < 0)
		return r;
	r = nft_send_batch(nft, &nft->batch, nft->generation, ret, err);
	if (nft_watch_resume(w, r < 0 ? NULL : err) < 0 ||
	    bh_nft_generation(nft, &generation, NULL) < 0)
		generation = 0;
	if (r < 0)
		return r;
	if (generation != (ret->is_acked && ret->code == 0 ? next_generation(nft->generation)
							   : nft->generation)) {
		w->is_lost = w->is_disturbed = true;
		nft->n_listening = LISTENING_BATCHES;
	}
	return 0;
}

static int transact(struct bh_nft *nft, struct bh_nft_refusal *refusal, struct bh_err *err)
{
	struct nft_batch *b = &nft->batch;
	struct nft_answer a;
	int r;

	nft_batch_end(b);
	for (unsigned int i = 0; i < MAX_TRIES; i++) {
		/* Before the watch closes, it must have shown all there was to see. */
		if (nft->generation == 0 || i > 0 || b->len >= QUIET_BYTES) {
			r = catch_up(nft, err);
			if (r < 0)
				return r;
		}
		r = send_quietly(nft, &a, err);
		if (r < 0)
			return r;
		if (a.code < 0)
			return refuse(b, &a, refusal, err);
		if (a.is_restart)
			continue;
		if (a.is_lost || !a.is_acked) {
			nft->generation = 0;
			return bh_err(err, -ENOBUFS, "the kernel's answer was lost");
		}
		nft->generation = next_generation(nft->generation);
		return 0;
	}
	return busy(err);
}

/* The operations of several deltas in one order. */
struct step {
	const struct bh_op *op;
	enum bh_table table;
	bool is_cut;
};

struct steps {
	struct step *data;
	size_t n, cap;
};

static void steps_done(struct steps *s)
{
	free(s->data);
}

/* A transaction may end before a part of a delta, if not @is_whole. */
static void add_steps(struct steps *s, const struct bh_delta *d, size_t first, size_t end,
		      bool is_whole)
{
	for (size_t i = first; i < end; i++) {
		bh_grow(&s->data, &s->cap, s->n, sizeof(*s->data));
		s->data[s->n++] = (struct step){
			.op = &d->ops[i],
			.table = d->table,
			.is_cut = !is_whole && (i == first || d->ops[i].is_cut),
		};
	}
}

/*
 * First what nothing leads to yet, then everything that packets see the change of,
 * in one, then what nothing leads to any more.
 */
static void order_steps(struct steps *s, const struct bh_delta *const *deltas, size_t n)
{
	size_t whole;

	for (size_t i = 0; i < n; i++) {
		if (deltas[i])
			add_steps(s, deltas[i], 0, deltas[i]->whole, false);
	}
	whole = s->n;
	for (size_t i = 0; i < n; i++) {
		if (deltas[i])
			add_steps(s, deltas[i], deltas[i]->whole, deltas[i]->rest, true);
	}
	if (whole < s->n)
		s->data[whole].is_cut = true;
	for (size_t i = 0; i < n; i++) {
		if (deltas[i])
			add_steps(s, deltas[i], deltas[i]->rest, deltas[i]->n_ops, false);
	}
}

/*
 * Encodes steps from @first on: all that are left, or up to the last cut that keeps
 * the batch within the limit.  Returns where the rest begins.
 */
static size_t fill_batch(struct bh_nft *nft, const struct steps *steps, size_t first)
{
	struct nft_batch *b = &nft->batch;
	size_t cut = 0, msgs_at_cut = 0, i;

	nft_batch_begin(b, bh_nl_next_seq(nft->nl));
	for (i = first; i < steps->n; i++) {
		const struct step *s = &steps->data[i];

		if (s->is_cut && i > first) {
			cut = i;
			msgs_at_cut = b->n_msgs;
		}
		nft_batch_add(b, s->table, s->op);
		if (b->len > nft->max_batch && cut) {
			nft_batch_truncate(b, msgs_at_cut);
			return cut;
		}
	}
	return i;
}

void nft_encode_delta(struct bh_nft *nft, const struct bh_delta *delta,
		      void (*on_batch)(void *ctx, struct nft_batch *b), void *ctx)
{
	bh_auto(steps_done) struct steps steps = { 0 };
	size_t at = 0;

	order_steps(&steps, &delta, 1);
	while (at < steps.n) {
		at = fill_batch(nft, &steps, at);
		nft_batch_end(&nft->batch);
		on_batch(ctx, &nft->batch);
	}
	nft_batch_done(&nft->batch);
}

int bh_nft_commit(struct bh_nft *nft, const struct bh_delta *const *deltas, size_t n,
		  struct bh_nft_refusal *refusal, struct bh_err *err)
{
	bh_auto(steps_done) struct steps steps = { 0 };
	size_t at = 0;
	bool is_first = true;

	if (refusal)
		*refusal = (struct bh_nft_refusal){ 0 };
	order_steps(&steps, deltas, n);
	while (at < steps.n) {
		int r;

		at = fill_batch(nft, &steps, at);
		/* Rules of an empty chain are no message, and nothing to acknowledge. */
		r = nft->batch.n_msgs > 1 ? transact(nft, refusal, err) : 0;
		if (r < 0 && !is_first)
			r = bh_err_wrap(err, -EINPROGRESS, "only a part was committed");
		if (nft->batch.cap > KEEP_BYTES)
			nft_batch_done(&nft->batch);
		if (r < 0)
			return r;
		is_first = false;
	}
	return 0;
}

/* Sends what is in the batch, for whatever generation there is. */
static int send_alone(struct bh_nft *nft, struct bh_err *err)
{
	struct nft_answer a;
	int r;

	nft_batch_end(&nft->batch);
	r = nft_send_batch(nft, &nft->batch, 0, &a, err);
	if (r < 0)
		return r;
	if (a.code < 0)
		return refuse(&nft->batch, &a, NULL, err);
	if (a.is_lost || !a.is_acked)
		return bh_err(err, -ENOBUFS, "the kernel's answer was lost");
	return 0;
}

static int cmp_elem(const void *a, const void *b, void *ctx)
{
	const struct bh_elem *x = a, *y = b;
	const size_t *len = ctx;

	return memcmp(x->key, y->key, *len);
}

/* Sorted copies without duplicates; the caller frees them. */
static struct bh_elem *unique_elems(const struct bh_elem *elems, size_t *n, size_t key_len)
{
	struct bh_elem *copy = bh_reallocarray(NULL, *n, sizeof(*copy));
	size_t kept = 0;

	memcpy(copy, elems, *n * sizeof(*copy));
	qsort_r(copy, *n, sizeof(*copy), cmp_elem, &key_len);
	for (size_t i = 0; i < *n; i++) {
		if (kept == 0 || memcmp(copy[kept - 1].key, copy[i].key, key_len) != 0)
			copy[kept++] = copy[i];
	}
	*n = kept;
	return copy;
}

/*
 * Kernels before 6.12 do not make the life of an element longer that is there, and
 * refuse to delete one that is not.  So elements are added, which is nothing where
 * they are there, deleted and added anew.  One that runs out between the first two
 * is a refusal (ENOENT).
 */
int bh_nft_add_elems(struct bh_nft *nft, const struct bh_plan_set *set, const struct bh_elem *elems,
		     size_t n, struct bh_err *err)
{
	static const enum bh_op_kind kinds[] = { BH_OP_ADD_ELEMS, BH_OP_DEL_ELEMS,
						 BH_OP_ADD_ELEMS };
	bh_auto_free struct bh_elem *unique = NULL;
	struct bh_op ops[BH_ARRAY_LEN(kinds)];
	int r = -ENOENT;

	assert(bh_set_shape_of(set->spec.kind)->is_dynamic);
	if (n == 0)
		return 0;
	unique = unique_elems(elems, &n, set->key_len);
	for (size_t i = 0; i < BH_ARRAY_LEN(kinds); i++)
		ops[i] = (struct bh_op){ .kind = kinds[i],
					 .name = set->spec.name,
					 .set = set,
					 .elems = unique,
					 .n_elems = n };
	for (unsigned int i = 0; r == -ENOENT && i < MAX_RACES; i++) {
		bh_err_clear(err);
		nft_batch_begin(&nft->batch, bh_nl_next_seq(nft->nl));
		for (size_t k = 0; k < BH_ARRAY_LEN(kinds); k++)
			nft_batch_add(&nft->batch, BH_TABLE_INET, &ops[k]);
		r = send_alone(nft, err);
	}
	if (nft->batch.cap > KEEP_BYTES)
		nft_batch_done(&nft->batch);
	return r;
}

int bh_nft_cleanup(struct bh_nft *nft, struct bh_err *err)
{
	const struct bh_op op = { .kind = BH_OP_DEL_TABLE };

	nft->generation = 0;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		int r;

		nft_batch_begin(&nft->batch, bh_nl_next_seq(nft->nl));
		nft_batch_add(&nft->batch, t, &op);
		r = send_alone(nft, err);
		if (r == -ENOENT)
			bh_err_clear(err);
		else if (r < 0)
			return r;
	}
	return 0;
}
