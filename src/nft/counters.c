/*
 * The named counters, which status and metrics show.
 */
#include "nft_impl.h"

#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

struct listing {
	struct bh_nft_counter *counters;
	size_t n, cap;
};

static int on_message(const struct nlmsghdr *msg, void *ctx)
{
	struct listing *l = ctx;
	struct nft_attrs o, data;
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(msg);
	const char *table, *name;
	struct bh_nft_counter *c;
	enum bh_table which;

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(struct nfgenmsg))
		return 0;
	o = nft_read_attrs(msg);
	data = nft_read_nested(o.attrs[NFTA_OBJ_DATA]);
	table = nft_get_str(&o, NFTA_OBJ_TABLE);
	name = nft_get_str(&o, NFTA_OBJ_NAME);
	/* Longer names are none of ours. */
	if (!nft_table_of(g->nfgen_family, &which) || !table || strcmp(table, BH_TABLE) != 0 ||
	    !name || strlen(name) >= sizeof(c->name) ||
	    nft_get_u32(&o, NFTA_OBJ_TYPE) != NFT_OBJECT_COUNTER)
		return 0;
	bh_grow(&l->counters, &l->cap, l->n, sizeof(*l->counters));
	c = &l->counters[l->n++];
	*c = (struct bh_nft_counter){
		.table = which,
		.packets = nft_get_u64(&data, NFTA_COUNTER_PACKETS),
		.bytes = nft_get_u64(&data, NFTA_COUNTER_BYTES),
	};
	snprintf(c->name, sizeof(c->name), "%s", name);
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
	struct nlmsghdr *h = nft_put_request(buf, NFT_MSG_GETOBJ, NFPROTO_UNSPEC, NLM_F_DUMP);
	struct listing l = { 0 };
	int r;

	mnl_attr_put_strz(h, NFTA_OBJ_TABLE, BH_TABLE);
	r = bh_nl_request(nft->nl, h, on_message, on_restart, &l, err);
	if (r < 0) {
		free(l.counters);
		return bh_err_wrap(err, r, "cannot read the counters of table " BH_TABLE);
	}
	*ret = l.counters;
	*n = l.n;
	return 0;
}
