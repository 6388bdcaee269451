/*
 * The named counters, which status and metrics show.
 */
#include "nft_impl.h"

#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <libnftnl/object.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

struct listing {
	struct bh_nft_counter *counters;
	size_t n, cap;
};

static void add(struct listing *l, struct nftnl_obj *o)
{
	const char *table = nftnl_obj_get_str(o, NFTNL_OBJ_TABLE);
	const char *name = nftnl_obj_get_str(o, NFTNL_OBJ_NAME);
	struct bh_nft_counter *c;

	/* Longer names are none of ours. */
	if (!table || strcmp(table, BH_TABLE) != 0 || !name || strlen(name) >= sizeof(c->name) ||
	    nftnl_obj_get_u32(o, NFTNL_OBJ_TYPE) != NFT_OBJECT_COUNTER)
		return;
	bh_grow(&l->counters, &l->cap, l->n, sizeof(*l->counters));
	c = &l->counters[l->n++];
	*c = (struct bh_nft_counter){
		.packets = nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS),
		.bytes = nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_BYTES),
	};
	snprintf(c->name, sizeof(c->name), "%s", name);
}

static int on_message(const struct nlmsghdr *msg, void *ctx)
{
	struct nftnl_obj *o = nftnl_obj_alloc();

	if (!o)
		abort();
	if (mnl_nlmsg_get_payload_len(msg) >= sizeof(struct nfgenmsg) &&
	    nftnl_obj_nlmsg_parse(msg, o) == 0)
		add(ctx, o);
	nftnl_obj_free(o);
	return 0;
}

static void on_restart(void *ctx)
{
	struct listing *l = ctx;

	l->n = 0;
}

int bh_nft_counters(struct bh_nft *nft, struct bh_nft_counter **ret, size_t *n, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[NFT_REQUEST_MAX];
	struct nlmsghdr *h = nft_put_request(buf, NFT_MSG_GETOBJ, NLM_F_DUMP);
	struct listing l = { 0 };
	int r;

	mnl_attr_put_strz(h, NFTA_OBJ_TABLE, BH_TABLE);
	r = bh_nl_request(nft->nl, h, on_message, on_restart, &l, err);
	if (r < 0) {
		free(l.counters);
		return bh_err_wrap(err, r, "cannot read the counters of table inet " BH_TABLE);
	}
	*ret = l.counters;
	*n = l.n;
	return 0;
}
