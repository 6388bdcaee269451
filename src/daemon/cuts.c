#include "cuts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/compile.h"

struct set {
	const char *name;
	enum bh_set_kind kind;
	enum bh_family family;
};

static const struct set sets[] = {
	{ BH_SET_NAME_CUT4, BH_SET_CUT, BH_IPV4 },
	{ BH_SET_NAME_CUT6, BH_SET_CUT, BH_IPV6 },
	{ BH_SET_NAME_CUT_PAIR4, BH_SET_CUT_PAIR, BH_IPV4 },
	{ BH_SET_NAME_CUT_PAIR6, BH_SET_CUT_PAIR, BH_IPV6 },
};

static bool is_of(const struct set *s, const struct bh_cut *c)
{
	return s->family == c->src.family && (s->kind == BH_SET_CUT_PAIR) == c->is_pair;
}

static void pack(const struct set *s, const struct bh_cut *c, uint8_t key[BH_KEY_MAX])
{
	const struct bh_key_values values = {
		.addr = &c->src,
		.addr2 = &c->dst,
		.protocol = c->protocol,
		.port = c->src_port,
		.port2 = c->dst_port,
	};

	bh_plan_pack(s->kind, &values, key);
}

/* The reverse, by the same layout. */
static void unpack(const struct set *s, const uint8_t *key, struct bh_cut *ret)
{
	size_t len = bh_family_len(s->family);
	struct bh_cut c = { .is_pair = s->kind == BH_SET_CUT_PAIR, .protocol = key[2 * len] };
	uint16_t port;

	(void)bh_addr_from_bytes(key, len, &c.src);
	(void)bh_addr_from_bytes(key + len, len, &c.dst);
	if (!c.is_pair) {
		memcpy(&port, key + 2 * len + 4, sizeof(port));
		c.src_port = ntohs(port);
		memcpy(&port, key + 2 * len + 8, sizeof(port));
		c.dst_port = ntohs(port);
	}
	*ret = c;
}

/* --- listing ---------------------------------------------------------------------- */

struct listing {
	const struct set *set;
	struct bh_cut *cuts;
	size_t n, cap;
};

static void on_key(void *ctx, const uint8_t *key)
{
	struct listing *l = ctx;

	bh_grow(&l->cuts, &l->cap, l->n, sizeof(*l->cuts));
	unpack(l->set, key, &l->cuts[l->n++]);
}

int bh_cuts_list(struct bh_cut **ret, size_t *ret_n, struct bh_err *err)
{
	struct listing l = { .cuts = NULL };

	for (size_t i = 0; i < BH_ARRAY_LEN(sets); i++) {
		int r;

		l.set = &sets[i];
		r = bh_nft_list_keys(sets[i].name, bh_set_key_len(sets[i].kind, sets[i].family),
				     on_key, &l, err);
		if (r < 0) {
			free(l.cuts);
			return bh_err_wrap(err, r, "cannot list set %s", sets[i].name);
		}
	}
	*ret = l.cuts;
	*ret_n = l.n;
	return 0;
}

/* --- changing --------------------------------------------------------------------- */

/* Protocols by number: those whose packets are led to the sets, for one. */
struct protocols {
	bool is_in[UINT8_MAX + 1];
};

static void on_protocol(void *ctx, const uint8_t *key)
{
	struct protocols *p = ctx;

	p->is_in[*key] = true;
}

static int list_protocols(const char *set, struct protocols *ret, struct bh_err *err)
{
	*ret = (struct protocols){ .is_in = { false } };
	return bh_nft_list_keys(set, bh_set_key_len(BH_SET_PROTO, BH_IPV4), on_protocol, ret, err);
}

/* A transaction on the sets of cuts: each once, and that of protocols twice. */
struct change {
	const struct bh_plan *plan;
	struct bh_op ops[BH_ARRAY_LEN(sets) + 3];
	size_t n_ops;
	struct bh_elem *elems;
	size_t n_elems;
};

/* With the elements from @first on. */
static void add_op(struct change *c, enum bh_op_kind kind, const char *set, size_t first)
{
	if (c->n_elems == first)
		return;
	c->ops[c->n_ops++] = (struct bh_op){
		.kind = kind,
		.name = set,
		.set = bh_plan_set(c->plan, set),
		.elems = c->elems + first,
		.n_elems = c->n_elems - first,
	};
}

static void add_cuts(struct change *c, enum bh_op_kind kind, const struct bh_cut *cuts, size_t n)
{
	for (size_t s = 0; s < BH_ARRAY_LEN(sets); s++) {
		size_t first = c->n_elems;

		for (size_t i = 0; i < n; i++)
			if (is_of(&sets[s], &cuts[i]))
				pack(&sets[s], &cuts[i], c->elems[c->n_elems++].key);
		add_op(c, kind, sets[s].name, first);
	}
}

static void add_protocols(struct change *c, enum bh_op_kind kind, const struct protocols *these,
			  const struct protocols *also)
{
	size_t first = c->n_elems;

	for (size_t i = 0; i < BH_ARRAY_LEN(these->is_in); i++)
		if (these->is_in[i] && (!also || also->is_in[i]))
			c->elems[c->n_elems++].key[0] = (uint8_t)i;
	add_op(c, kind, BH_SET_NAME_CUT_PROTO, first);
}

/*
 * The life of an element of protocols begins anew: an element that is there keeps its
 * end when it is added, so it goes first.
 */
static int lead(struct change *c, const struct protocols *these, struct bh_err *err)
{
	struct protocols there;
	int r = list_protocols(BH_SET_NAME_CUT_PROTO, &there, err);

	if (r < 0)
		return r;
	add_protocols(c, BH_OP_DEL_ELEMS, these, &there);
	add_protocols(c, BH_OP_ADD_ELEMS, these, NULL);
	return 0;
}

static int commit(struct bh_nft *nft, struct change *c, struct bh_err *err)
{
	const struct bh_delta delta = { .ops = c->ops, .n_ops = c->n_ops }, *deltas = &delta;

	return c->n_ops > 0 ? bh_nft_commit(nft, &deltas, 1, NULL, err) : 0;
}

int bh_cuts_put(struct bh_nft *nft, const struct bh_plan *plan, const struct bh_cut *cuts, size_t n,
		struct bh_err *err)
{
	bh_auto_free struct bh_elem *elems = bh_calloc(n + 2 * UINT8_MAX + 2, sizeof(*elems));
	struct change c = { .plan = plan, .elems = elems };
	struct protocols used = { .is_in = { false } };
	int r;

	for (size_t i = 0; i < n; i++)
		used.is_in[cuts[i].protocol] = true;
	r = lead(&c, &used, err);
	if (r == 0) {
		add_cuts(&c, BH_OP_ADD_ELEMS, cuts, n);
		r = commit(nft, &c, err);
	}
	return r < 0 ? bh_err_wrap(err, r, "cannot keep connections from coming back") : 0;
}

static int drop(struct bh_nft *nft, const struct bh_plan *plan, const struct bh_cut *cuts, size_t n,
		struct bh_err *err)
{
	bh_auto_free struct bh_elem *elems = bh_calloc(n, sizeof(*elems));
	struct change c = { .plan = plan, .elems = elems };

	add_cuts(&c, BH_OP_DEL_ELEMS, cuts, n);
	return commit(nft, &c, err);
}

int bh_cuts_drop(struct bh_nft *nft, const struct bh_plan *plan, const struct bh_cut *cuts,
		 size_t n, struct bh_err *err)
{
	int r = drop(nft, plan, cuts, n, err);

	/* One that ran out makes the kernel refuse them all. */
	for (size_t i = 0; r == -ENOENT && n > 1 && i < n; i++) {
		int one = drop(nft, plan, &cuts[i], 1, err);

		if (one < 0 && one != -ENOENT)
			return one;
	}
	return r == -ENOENT ? 0 : r;
}

int bh_cuts_pick_up(struct bh_nft *nft, const struct bh_plan *plan, struct bh_err *err)
{
	struct bh_elem elems[3] = { { .key = { IPPROTO_TCP } } };
	struct change c = { .plan = plan, .elems = elems, .n_elems = 1 };
	const struct protocols tcp = { .is_in[IPPROTO_TCP] = true };
	int r;

	add_op(&c, BH_OP_ADD_ELEMS, BH_SET_NAME_PICKUP, 0);
	r = lead(&c, &tcp, err);
	return r < 0 ? r : commit(nft, &c, err);
}

bool bh_cuts_are_picked_up(void)
{
	struct protocols there;

	return list_protocols(BH_SET_NAME_PICKUP, &there, NULL) == 0 && there.is_in[IPPROTO_TCP];
}

uint64_t bh_cuts_count_picked_up(struct bh_nft *nft)
{
	struct bh_nft_counter *counters = NULL;
	uint64_t packets = 0;
	size_t n = 0;

	if (bh_nft_counters(nft, &counters, &n, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (counters[i].table == BH_TABLE_INET &&
		    strcmp(counters[i].name, BH_COUNTER_PICKUP) == 0)
			packets = counters[i].packets;
	free(counters);
	return packets;
}
