/*
 * The elements of one set, for those that are filled outside of the plan.
 */
#include "nft_impl.h"

#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

struct listing {
	size_t key_len;
	void (*on_key)(void *ctx, const uint8_t *key);
	void *ctx;
};

static int on_elem(const struct nlattr *elem, void *ctx)
{
	const struct listing *l = ctx;
	struct nft_attrs attrs = nft_read_nested(elem);
	struct nft_attrs key = nft_read_nested(attrs.attrs[NFTA_SET_ELEM_KEY]);
	const struct nlattr *value = key.attrs[NFTA_DATA_VALUE];

	if (value && mnl_attr_get_payload_len(value) == l->key_len)
		l->on_key(l->ctx, mnl_attr_get_payload(value));
	return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *msg, void *ctx)
{
	struct nft_attrs attrs;

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(struct nfgenmsg))
		return 0;
	attrs = nft_read_attrs(msg);
	if (attrs.attrs[NFTA_SET_ELEM_LIST_ELEMENTS])
		(void)mnl_attr_parse_nested(attrs.attrs[NFTA_SET_ELEM_LIST_ELEMENTS], on_elem, ctx);
	return 0;
}

int bh_nft_list_keys(const char *set, size_t key_len, void (*on_key)(void *ctx, const uint8_t *key),
		     void *ctx, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[NFT_REQUEST_MAX];
	struct nlmsghdr *h = nft_put_request(buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP);
	struct listing l = { .key_len = key_len, .on_key = on_key, .ctx = ctx };
	bh_auto(bh_nl_free) struct bh_nl *nl = NULL;
	int r = bh_nl_new(&nl, NETLINK_NETFILTER, err);

	if (r < 0)
		return r;
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, BH_TABLE);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, set);
	return bh_nl_request(nl, h, on_message, NULL, &l, err);
}
