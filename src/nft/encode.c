/*
 * Operations of a delta as netlink messages of one batch.
 *
 * Table, sets, chains, rules and counters through libnftnl; elements, of which
 * there are a hundred thousand, are written directly.
 */
#include "nft_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <libnftnl/batch.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/* An attribute's length has 16 bits, so a list of elements ends before this. */
#define LIST_BYTES 60000u
/* Enough for one element. */
#define ELEM_BYTES 512u

/* nft's numbers of its data types (include/datatype.h), 6 bits each in a concatenation. */
#define TYPE_IPV4_ADDR    7u
#define TYPE_IPV6_ADDR    8u
#define TYPE_INET_PROTO   12u
#define TYPE_INET_SERVICE 13u
#define TYPE_BITS         6

/* Its byte orders, which it keeps in the set's user data in order to print elements. */
#define BYTEORDER_NONE 0u
#define BYTEORDER_BIG  2u

/* User data of an element: the interval has no end (nft's SEGTREE code). */
static const uint8_t open_interval[] = { NFTNL_UDATA_SET_ELEM_FLAGS, 4, 1, 0, 0, 0 };

static const uint32_t hook_numbers[] = {
	[BH_HOOK_INPUT] = NF_INET_LOCAL_IN,
	[BH_HOOK_FORWARD] = NF_INET_FORWARD,
	[BH_HOOK_OUTPUT] = NF_INET_LOCAL_OUT,
};
static_assert(BH_ARRAY_LEN(hook_numbers) == BH_HOOK_COUNT_, "every hook has a number");

static void *must(void *p)
{
	/* Out of memory; bh_malloc() ends the same way. */
	if (!p)
		abort();
	return p;
}

/* --- the batch ---------------------------------------------------------------*/

static void reserve(struct nft_batch *b, size_t bytes)
{
	if (b->len + bytes <= b->cap)
		return;
	b->cap = b->cap ? b->cap : 4096;
	while (b->cap < b->len + bytes)
		b->cap *= 2;
	b->data = bh_reallocarray(b->data, b->cap, 1);
}

static void *next_message(struct nft_batch *b, uint32_t op, uint32_t *ret_seq)
{
	reserve(b, NFT_MESSAGE_MAX);
	bh_grow(&b->msgs, &b->msgs_cap, b->n_msgs, sizeof(*b->msgs));
	*ret_seq = b->first_seq + (uint32_t)b->n_msgs;
	b->msgs[b->n_msgs++] = (struct nft_batch_msg){ .at = b->len, .op = op };
	return b->data + b->len;
}

static struct nlmsghdr *start(struct nft_batch *b, uint32_t op, uint16_t type, uint16_t flags)
{
	uint32_t seq;
	void *at = next_message(b, op, &seq);

	return nftnl_nlmsg_build_hdr(at, type, NFPROTO_INET, flags, seq);
}

static void finish(struct nft_batch *b, const struct nlmsghdr *h)
{
	/* libmnl pads every attribute. */
	assert(h->nlmsg_len % MNL_ALIGNTO == 0);
	assert(b->len + h->nlmsg_len <= b->cap);
	b->len += h->nlmsg_len;
}

void nft_batch_begin(struct nft_batch *b, uint32_t first_seq)
{
	uint32_t seq;
	struct nlmsghdr *h;

	b->len = 0;
	b->n_msgs = 0;
	b->first_seq = first_seq;
	h = nftnl_batch_begin(next_message(b, 0, &seq), first_seq);
	mnl_attr_put_u32(h, NFNL_BATCH_GENID, 0);
	finish(b, h);
}

void nft_batch_set_generation(struct nft_batch *b, uint32_t generation)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)b->data;

	h->nlmsg_len = (uint32_t)mnl_nlmsg_size(sizeof(struct nfgenmsg));
	mnl_attr_put_u32(h, NFNL_BATCH_GENID, htonl(generation));
}

void nft_batch_truncate(struct nft_batch *b, size_t n_msgs)
{
	if (n_msgs >= b->n_msgs)
		return;
	b->len = b->msgs[n_msgs].at;
	b->n_msgs = n_msgs;
}

/*
 * The acknowledgement is that of the last operation, since kernels before 6.10
 * give none for the end of the batch.
 */
void nft_batch_end(struct nft_batch *b)
{
	uint32_t seq;
	struct nlmsghdr *h;

	if (b->n_msgs > 1) {
		h = (struct nlmsghdr *)(void *)(b->data + b->msgs[b->n_msgs - 1].at);
		h->nlmsg_flags |= NLM_F_ACK;
	}
	h = nftnl_batch_end(next_message(b, 0, &seq), b->first_seq + (uint32_t)b->n_msgs);
	b->n_msgs--;
	finish(b, h);
}

void nft_batch_done(struct nft_batch *b)
{
	free(b->data);
	free(b->msgs);
	*b = (struct nft_batch){ 0 };
}

struct nlmsghdr *nft_put_request(void *buf, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(buf, type, NFPROTO_INET, flags, 0);
}

/* --- sets --------------------------------------------------------------------*/

static uint32_t concat(uint32_t a, uint32_t b)
{
	return a << TYPE_BITS | b;
}

struct nft_set_shape nft_set_shape(enum bh_set_kind kind, enum bh_family family, bool is_interval)
{
	uint32_t addr_type = family == BH_IPV4 ? TYPE_IPV4_ADDR : TYPE_IPV6_ADDR;
	uint32_t proto_port = concat(TYPE_INET_PROTO, TYPE_INET_SERVICE);
	uint8_t addr_len = (uint8_t)bh_family_len(family);
	struct nft_set_shape s = {
		.flags = is_interval ? NFT_SET_INTERVAL : 0,
		.key_type = addr_type,
		.key_len = addr_len,
	};

	switch (kind) {
	case BH_SET_ADDR: return s;
	case BH_SET_ADDR_PROTO_PORT:
		s.key_type = addr_type << 2 * TYPE_BITS | proto_port;
		s.key_len = addr_len + 8u;
		break;
	case BH_SET_PROTO_PORT:
		s.key_type = proto_port;
		s.key_len = 8;
		break;
	case BH_SET_VERDICT_MAP:
		s.flags |= NFT_SET_MAP;
		s.is_map = true;
		return s;
	case BH_SET_LOG_LIMIT:
		s.flags |= NFT_SET_EVAL | NFT_SET_TIMEOUT;
		s.size = 65535;
		s.timeout_ms = 60 * 1000;
		return s;
	case BH_SET_KIND_COUNT_: abort();
	}
	if (is_interval) {
		s.flags |= NFT_SET_CONCAT;
		if (kind == BH_SET_ADDR_PROTO_PORT)
			s.fields[s.n_fields++] = addr_len;
		s.fields[s.n_fields++] = 1;
		s.fields[s.n_fields++] = 2;
	}
	return s;
}

bool nft_set_shape_equal(const struct nft_set_shape *a, const struct nft_set_shape *b)
{
	return a->flags == b->flags && a->key_type == b->key_type && a->key_len == b->key_len &&
	       a->is_map == b->is_map && a->size == b->size && a->timeout_ms == b->timeout_ms &&
	       a->n_fields == b->n_fields && memcmp(a->fields, b->fields, a->n_fields) == 0;
}

size_t nft_comment_len(const char *comment)
{
	return comment ? strnlen(comment, NFT_COMMENT_MAX) : 0;
}

static void put_comment(struct nftnl_udata_buf *u, uint8_t type, const char *comment)
{
	char text[NFT_COMMENT_MAX + 1] = "";

	if (!comment)
		return;
	memcpy(text, comment, nft_comment_len(comment));
	nftnl_udata_put_strz(u, type, text);
}

/*
 * Only sets that the packet path fills have a size: for the others it would be
 * a number of pods at which the kernel starts to refuse (ENFILE).
 */
static struct nftnl_set *new_set(const struct bh_set_spec *spec, uint32_t id)
{
	struct nft_set_shape shape = nft_set_shape(spec->kind, spec->family, spec->is_interval);
	bool is_concat = spec->kind == BH_SET_ADDR_PROTO_PORT || spec->kind == BH_SET_PROTO_PORT;
	struct nftnl_udata_buf *u = must(nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
	struct nftnl_set *s = must(nftnl_set_alloc());

	nftnl_set_set_str(s, NFTNL_SET_TABLE, BH_TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, spec->name);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, shape.flags);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, shape.key_type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, shape.key_len);
	nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER,
			    is_concat ? BYTEORDER_NONE : BYTEORDER_BIG);
	if (shape.is_map) {
		nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, NFT_DATA_VERDICT);
		nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, 0);
		nftnl_udata_put_u32(u, NFTNL_UDATA_SET_DATABYTEORDER, BYTEORDER_NONE);
	}
	if (shape.size)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, shape.size);
	if (shape.timeout_ms)
		nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, shape.timeout_ms);
	if (shape.n_fields)
		nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, shape.fields,
				   (uint32_t)shape.n_fields);
	put_comment(u, NFTNL_UDATA_SET_COMMENT, spec->comment);
	nftnl_set_set_data(s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
	nftnl_udata_buf_free(u);
	return s;
}

static void add_set(struct nft_batch *b, const struct bh_op *op, uint32_t i)
{
	struct nftnl_set *s = new_set(&op->set->spec, ++b->set_id);
	struct nlmsghdr *h = start(b, i, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);

	nftnl_set_nlmsg_build_payload(h, s);
	finish(b, h);
	nftnl_set_free(s);
}

/* --- elements ----------------------------------------------------------------*/

static void put_value(struct nlmsghdr *h, uint16_t type, const uint8_t *value, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(h, type);

	mnl_attr_put(h, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(h, nest);
}

static void put_jump(struct nlmsghdr *h, const struct bh_plan_chain *chain)
{
	struct nlattr *data = mnl_attr_nest_start(h, NFTA_SET_ELEM_DATA);
	struct nlattr *verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);

	mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_JUMP));
	mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, chain->name);
	mnl_attr_nest_end(h, verdict);
	mnl_attr_nest_end(h, data);
}

/* The key behind @key; false if there is none. */
static bool next_key(const uint8_t *key, size_t len, uint8_t *ret)
{
	memcpy(ret, key, len);
	while (len-- > 0) {
		if (++ret[len])
			return true;
	}
	return false;
}

bool nft_is_open_interval(const void *udata, size_t len)
{
	return len == sizeof(open_interval) && memcmp(udata, open_interval, len) == 0;
}

/*
 * An interval of a set with one field is two elements to the kernel: where it
 * begins, and where the next key is outside again.
 */
static void put_interval(struct nlmsghdr *h, const struct bh_elem *e, size_t key_len)
{
	uint8_t behind[BH_KEY_MAX];
	bool has_end = next_key(e->end, key_len, behind);
	struct nlattr *nest = mnl_attr_nest_start(h, NFTA_LIST_ELEM);

	put_value(h, NFTA_SET_ELEM_KEY, e->key, key_len);
	if (!has_end)
		mnl_attr_put(h, NFTA_SET_ELEM_USERDATA, sizeof(open_interval), open_interval);
	mnl_attr_nest_end(h, nest);
	if (!has_end)
		return;
	nest = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	put_value(h, NFTA_SET_ELEM_KEY, behind, key_len);
	mnl_attr_put_u32(h, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
	mnl_attr_nest_end(h, nest);
}

static void put_elem(struct nlmsghdr *h, const struct bh_plan_set *set, const struct bh_elem *e,
		     bool is_add)
{
	struct nlattr *nest;

	if (set->spec.is_interval && set->spec.kind == BH_SET_ADDR) {
		put_interval(h, e, set->key_len);
		return;
	}
	nest = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	put_value(h, NFTA_SET_ELEM_KEY, e->key, set->key_len);
	if (set->spec.is_interval)
		put_value(h, NFTA_SET_ELEM_KEY_END, e->end, set->key_len);
	if (set->spec.kind == BH_SET_VERDICT_MAP && is_add)
		put_jump(h, e->chain);
	mnl_attr_nest_end(h, nest);
}

static void change_elems(struct nft_batch *b, const struct bh_op *op, uint32_t op_index)
{
	bool is_add = op->kind == BH_OP_ADD_ELEMS;
	size_t i = 0;

	while (i < op->n_elems) {
		struct nlmsghdr *h;
		struct nlattr *list;

		reserve(b, LIST_BYTES + NFT_MESSAGE_MAX);
		h = start(b, op_index, is_add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
			  is_add ? NLM_F_CREATE : 0);
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, BH_TABLE);
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, op->set->spec.name);
		list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
		while (i < op->n_elems && h->nlmsg_len < LIST_BYTES - ELEM_BYTES)
			put_elem(h, op->set, &op->elems[i++], is_add);
		mnl_attr_nest_end(h, list);
		finish(b, h);
	}
}

/* Within an element, the key comes first, and its value is first in that. */
const uint8_t *nft_batch_key_at(const struct nft_batch *b, size_t at)
{
	struct nlattr elem, key;
	const size_t head = 3 * sizeof(elem);

	if (at + head + BH_KEY_MAX > b->cap)
		return NULL;
	memcpy(&elem, b->data + at, sizeof(elem));
	memcpy(&key, b->data + at + sizeof(elem), sizeof(key));
	if (mnl_attr_get_type(&elem) != NFTA_LIST_ELEM ||
	    mnl_attr_get_type(&key) != NFTA_SET_ELEM_KEY)
		return NULL;
	return b->data + at + head;
}

/* Without elements it means all of them. */
static void flush_set(struct nft_batch *b, const char *name, uint32_t i)
{
	struct nlmsghdr *h = start(b, i, NFT_MSG_DELSETELEM, 0);

	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, BH_TABLE);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, name);
	finish(b, h);
}

/* --- everything else ---------------------------------------------------------*/

/* Without NLM_F_EXCL, so that a dormant table wakes up. */
static void add_table(struct nft_batch *b, uint32_t i)
{
	struct nlmsghdr *h = start(b, i, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, BH_TABLE);
	mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(0));
	finish(b, h);
}

static void add_counter(struct nft_batch *b, const char *name, uint32_t i)
{
	struct nftnl_obj *o = must(nftnl_obj_alloc());
	struct nlmsghdr *h = start(b, i, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL);

	nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, BH_TABLE);
	nftnl_obj_set_str(o, NFTNL_OBJ_NAME, name);
	nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_PKTS, 0);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_BYTES, 0);
	nftnl_obj_nlmsg_build_payload(h, o);
	finish(b, h);
	nftnl_obj_free(o);
}

static void add_chain(struct nft_batch *b, const struct bh_plan_chain *chain, uint32_t i)
{
	struct nftnl_chain *c = must(nftnl_chain_alloc());
	struct nlmsghdr *h = start(b, i, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);

	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, BH_TABLE);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, chain->name);
	if (chain->hook != BH_HOOK_NONE) {
		nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook_numbers[chain->hook]);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, chain->priority);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	}
	if (chain->comment) {
		struct nftnl_udata_buf *u = must(nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));

		put_comment(u, NFTNL_UDATA_CHAIN_COMMENT, chain->comment);
		nftnl_chain_set_data(c, NFTNL_CHAIN_USERDATA, nftnl_udata_buf_data(u),
				     nftnl_udata_buf_len(u));
		nftnl_udata_buf_free(u);
	}
	nftnl_chain_nlmsg_build_payload(h, c);
	finish(b, h);
	nftnl_chain_free(c);
}

static void add_rules(struct nft_batch *b, const struct bh_plan_chain *chain, uint32_t op_index)
{
	for (size_t i = 0; i < chain->n_rules; i++) {
		struct nftnl_rule *r = nft_encode_rule(chain, &chain->rules[i]);
		struct nlmsghdr *h =
			start(b, op_index, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

		nftnl_rule_nlmsg_build_payload(h, r);
		finish(b, h);
		nftnl_rule_free(r);
	}
}

/* All of these have the table as attribute 1; rules have the chain as 2, the rest their name. */
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
		      NFTA_SET_TABLE == 1 && NFTA_OBJ_TABLE == 1,
	      "the table comes first");

static void delete (struct nft_batch *b, uint32_t i, uint16_t type, uint16_t attr, const char *name)
{
	struct nlmsghdr *h = start(b, i, type, 0);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, BH_TABLE);
	if (name)
		mnl_attr_put_strz(h, attr, name);
	if (type == NFT_MSG_DELOBJ)
		mnl_attr_put_u32(h, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	finish(b, h);
}

void nft_batch_add(struct nft_batch *b, const struct bh_op *op, uint32_t i)
{
	switch (op->kind) {
	case BH_OP_ADD_TABLE: add_table(b, i); return;
	case BH_OP_ADD_COUNTER: add_counter(b, op->name, i); return;
	case BH_OP_ADD_SET: add_set(b, op, i); return;
	case BH_OP_ADD_CHAIN: add_chain(b, op->chain, i); return;
	case BH_OP_ADD_ELEMS:
	case BH_OP_DEL_ELEMS: change_elems(b, op, i); return;
	case BH_OP_FLUSH_CHAIN: delete (b, i, NFT_MSG_DELRULE, NFTA_RULE_CHAIN, op->name); return;
	case BH_OP_ADD_RULES: add_rules(b, op->chain, i); return;
	case BH_OP_FLUSH_SET: flush_set(b, op->name, i); return;
	case BH_OP_DEL_CHAIN: delete (b, i, NFT_MSG_DELCHAIN, NFTA_CHAIN_NAME, op->name); return;
	case BH_OP_DEL_SET: delete (b, i, NFT_MSG_DELSET, NFTA_SET_NAME, op->name); return;
	case BH_OP_DEL_COUNTER: delete (b, i, NFT_MSG_DELOBJ, NFTA_OBJ_NAME, op->name); return;
	case BH_OP_DEL_TABLE: delete (b, i, NFT_MSG_DELTABLE, 0, NULL); return;
	case BH_OP_COUNT_: break;
	}
	abort();
}
