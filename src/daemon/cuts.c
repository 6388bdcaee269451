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

/* One transaction. */
static int change(struct bh_nft *nft, const struct bh_plan *plan, enum bh_op_kind kind,
		  const struct bh_cut *cuts, size_t n, struct bh_err *err)
{
	bh_auto_free struct bh_elem *elems = bh_calloc(n, sizeof(*elems));
	struct bh_op ops[BH_ARRAY_LEN(sets)];
	struct bh_delta delta = { .ops = ops };
	const struct bh_delta *deltas = &delta;
	size_t used = 0;

	for (size_t s = 0; s < BH_ARRAY_LEN(sets); s++) {
		size_t first = used;

		for (size_t i = 0; i < n; i++)
			if (is_of(&sets[s], &cuts[i]))
				pack(&sets[s], &cuts[i], elems[used++].key);
		if (used == first)
			continue;
		ops[delta.n_ops++] = (struct bh_op){
			.kind = kind,
			.name = sets[s].name,
			.set = bh_plan_set(plan, sets[s].name),
			.elems = elems + first,
			.n_elems = used - first,
		};
	}
	return delta.n_ops > 0 ? bh_nft_commit(nft, &deltas, 1, NULL, err) : 0;
}

int bh_cuts_put(struct bh_nft *nft, const struct bh_plan *plan, const struct bh_cut *cuts, size_t n,
		struct bh_err *err)
{
	int r = change(nft, plan, BH_OP_ADD_ELEMS, cuts, n, err);

	return r < 0 ? bh_err_wrap(err, r, "cannot keep connections from coming back") : 0;
}

int bh_cuts_drop(struct bh_nft *nft, const struct bh_plan *plan, const struct bh_cut *cuts,
		 size_t n, struct bh_err *err)
{
	int r = change(nft, plan, BH_OP_DEL_ELEMS, cuts, n, err);

	/* One that ran out makes the kernel refuse them all. */
	for (size_t i = 0; r == -ENOENT && n > 1 && i < n; i++) {
		int one = change(nft, plan, BH_OP_DEL_ELEMS, &cuts[i], 1, err);

		if (one < 0 && one != -ENOENT)
			return one;
	}
	return r == -ENOENT ? 0 : r;
}

int bh_cuts_pick_up(struct bh_nft *nft, const struct bh_plan *plan, struct bh_err *err)
{
	struct bh_elem elem = { .key = { IPPROTO_TCP } };
	struct bh_op op = {
		.kind = BH_OP_ADD_ELEMS,
		.name = BH_SET_NAME_PICKUP,
		.set = bh_plan_set(plan, BH_SET_NAME_PICKUP),
		.elems = &elem,
		.n_elems = 1,
	};
	const struct bh_delta delta = { .ops = &op, .n_ops = 1 }, *deltas = &delta;

	return bh_nft_commit(nft, &deltas, 1, NULL, err);
}

static void on_protocol(void *ctx, const uint8_t *key)
{
	(void)key;
	*(bool *)ctx = true;
}

bool bh_cuts_are_picked_up(void)
{
	bool found = false;

	(void)bh_nft_list_keys(BH_SET_NAME_PICKUP, bh_set_key_len(BH_SET_PROTO, BH_IPV4),
			       on_protocol, &found, NULL);
	return found;
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
