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
#include <linux/netfilter_bridge.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/* An attribute's length has 16 bits, so a list of elements ends before this. */
#define LIST_BYTES 60000u
/* Enough for one element. */
#define ELEM_BYTES 512u

/* nft's numbers of its data types (include/datatype.h), 6 bits each in a concatenation. */
#define TYPE_INTEGER      4u
#define TYPE_IPV4_ADDR    7u
#define TYPE_IPV6_ADDR    8u
#define TYPE_ETHER_ADDR   9u
#define TYPE_ETHER_TYPE   10u
#define TYPE_INET_PROTO   12u
#define TYPE_INET_SERVICE 13u
#define TYPE_IFACE_INDEX  20u
#define TYPE_CLASSID      23u
#define TYPE_BITS         6

/* Its byte orders, which it keeps in the set's user data in order to print elements. */
#define BYTEORDER_NONE 0u
#define BYTEORDER_HOST 1u
#define BYTEORDER_BIG  2u

/* User data of an element: the interval has no end (nft's SEGTREE code). */
static const uint8_t open_interval[] = { NFTNL_UDATA_SET_ELEM_FLAGS, 4, 1, 0, 0, 0 };

static const uint8_t families[] = {
	[BH_TABLE_INET] = NFPROTO_INET,
	[BH_TABLE_NETDEV] = NFPROTO_NETDEV,
	[BH_TABLE_BRIDGE] = NFPROTO_BRIDGE,
};
static_assert(BH_ARRAY_LEN(families) == BH_TABLE_COUNT_, "every table has a family");

static_assert((int)NF_INET_PRE_ROUTING == (int)NF_BR_PRE_ROUTING &&
		      (int)NF_INET_LOCAL_IN == (int)NF_BR_LOCAL_IN &&
		      (int)NF_INET_FORWARD == (int)NF_BR_FORWARD &&
		      (int)NF_INET_LOCAL_OUT == (int)NF_BR_LOCAL_OUT,
	      "hooks of inet and bridge have the same numbers");
static const uint32_t hook_numbers[] = {
	[BH_HOOK_PREROUTING] = NF_INET_PRE_ROUTING, [BH_HOOK_INGRESS] = NF_NETDEV_INGRESS,
	[BH_HOOK_INPUT] = NF_INET_LOCAL_IN,         [BH_HOOK_FORWARD] = NF_INET_FORWARD,
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

uint8_t nft_family(enum bh_table table)
{
	return families[table];
}

bool nft_table_of(uint8_t family, enum bh_table *ret)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		if (families[t] == family) {
			*ret = t;
			return true;
		}
	}
	return false;
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

static void *next_message(struct nft_batch *b, const struct bh_op *op, uint32_t *ret_seq)
{
	reserve(b, NFT_MESSAGE_MAX);
	bh_grow(&b->msgs, &b->msgs_cap, b->n_msgs, sizeof(*b->msgs));
	*ret_seq = b->first_seq + (uint32_t)b->n_msgs;
	b->msgs[b->n_msgs++] = (struct nft_batch_msg){ .at = b->len, .table = b->table, .op = op };
	return b->data + b->len;
}

static struct nlmsghdr *start(struct nft_batch *b, uint16_t type, uint16_t flags)
{
	uint32_t seq;
	void *at = next_message(b, b->op, &seq);

	return nftnl_nlmsg_build_hdr(at, type, families[b->table], flags, seq);
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
	h = nftnl_batch_begin(next_message(b, NULL, &seq), first_seq);
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
	h = nftnl_batch_end(next_message(b, NULL, &seq), b->first_seq + (uint32_t)b->n_msgs);
	b->n_msgs--;
	finish(b, h);
}

void nft_batch_done(struct nft_batch *b)
{
	free(b->data);
	free(b->msgs);
	*b = (struct nft_batch){ 0 };
}

struct nlmsghdr *nft_put_request(void *buf, uint16_t type, uint8_t family, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(buf, type, family, flags, 0);
}

/* --- sets --------------------------------------------------------------------*/

static uint32_t field_type(enum bh_field field, enum bh_family family)
{
	static const uint32_t types[] = {
		[BH_FIELD_PROTO] = TYPE_INET_PROTO,      [BH_FIELD_PORT] = TYPE_INET_SERVICE,
		[BH_FIELD_LINK] = TYPE_IFACE_INDEX,      [BH_FIELD_MAC] = TYPE_ETHER_ADDR,
		[BH_FIELD_ETHER_TYPE] = TYPE_ETHER_TYPE, [BH_FIELD_TARGET] = TYPE_INTEGER,
		[BH_FIELD_PRIORITY] = TYPE_CLASSID,
	};
	static_assert(BH_ARRAY_LEN(types) == BH_FIELD_COUNT_, "every field has a type");

	if (field == BH_FIELD_ADDR)
		return family == BH_IPV4 ? TYPE_IPV4_ADDR : TYPE_IPV6_ADDR;
	return types[field];
}

struct nft_set_shape nft_set_shape(const struct bh_set_spec *spec)
{
	const struct bh_set_shape *shape = bh_set_shape_of(spec->kind);
	bool is_concat = shape->n_fields > 1;
	struct nft_set_shape s = {
		.key_len = (uint32_t)bh_set_key_len(spec->kind, spec->family),
		.is_map = shape->is_map,
	};

	for (size_t i = 0; i < shape->n_fields; i++)
		s.key_type = s.key_type << TYPE_BITS | field_type(shape->fields[i], spec->family);
	if (shape->is_map)
		s.data_type = NFT_DATA_VERDICT;
	else if (shape->has_values)
		s.data_type = TYPE_CLASSID;
	if (s.data_type)
		s.flags |= NFT_SET_MAP;
	if (shape->is_dynamic) {
		s.flags |= NFT_SET_EVAL | NFT_SET_TIMEOUT;
		s.size = spec->size ? spec->size : BH_SET_SIZE;
		s.timeout_ms =
			1000u * (uint64_t)(spec->timeout_s ? spec->timeout_s : BH_SET_TIMEOUT_S);
	}
	if (!spec->is_interval)
		return s;
	s.flags |= NFT_SET_INTERVAL;
	if (is_concat)
		s.flags |= NFT_SET_CONCAT;
	for (size_t i = 0; is_concat && i < shape->n_fields; i++)
		s.fields[s.n_fields++] = (uint8_t)bh_field_len(shape->fields[i], spec->family);
	return s;
}

bool nft_set_shape_equal(const struct nft_set_shape *a, const struct nft_set_shape *b)
{
	return a->flags == b->flags && a->key_type == b->key_type && a->key_len == b->key_len &&
	       a->data_type == b->data_type && a->size == b->size &&
	       a->timeout_ms == b->timeout_ms && a->n_fields == b->n_fields &&
	       memcmp(a->fields, b->fields, a->n_fields) == 0;
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

/* nft keeps these numbers in user data (include/expression.h, proto.h; src/meta.c, payload.c). */
#define EXPR_PAYLOAD         7u
#define EXPR_META            9u
#define EXPR_CONCAT          13u
#define UDATA_SUBKEY_EXPR    0u
#define UDATA_SUBKEY_DATA    1u
#define UDATA_META_KEY       0u
#define UDATA_PAYLOAD_DESC   0u
#define UDATA_PAYLOAD_TYPE   1u
#define UDATA_PAYLOAD_BASE   2u
#define UDATA_PAYLOAD_AT     3u
#define UDATA_PAYLOAD_BITS   4u
#define PROTO_BASE_TRANSPORT 3u

static void put_meta_iif(struct nftnl_udata_buf *u)
{
	struct nftnl_udata *data;

	nftnl_udata_put_u32(u, UDATA_SUBKEY_EXPR, EXPR_META);
	data = nftnl_udata_nest_start(u, UDATA_SUBKEY_DATA);
	nftnl_udata_put_u32(u, UDATA_META_KEY, NFT_META_IIF);
	nftnl_udata_nest_end(u, data);
}

static void put_raw_payload(struct nftnl_udata_buf *u)
{
	struct nftnl_udata *data;

	nftnl_udata_put_u32(u, UDATA_SUBKEY_EXPR, EXPR_PAYLOAD);
	data = nftnl_udata_nest_start(u, UDATA_SUBKEY_DATA);
	nftnl_udata_put_u32(u, UDATA_PAYLOAD_DESC, 0);
	nftnl_udata_put_u32(u, UDATA_PAYLOAD_TYPE, 0);
	nftnl_udata_put_u32(u, UDATA_PAYLOAD_BASE, PROTO_BASE_TRANSPORT);
	nftnl_udata_put_u32(u, UDATA_PAYLOAD_AT, 8 * NFT_TARGET_OFFSET);
	nftnl_udata_put_u32(u, UDATA_PAYLOAD_BITS, 8 * NFT_TARGET_LEN);
	nftnl_udata_nest_end(u, data);
}

/* "typeof iif . @th,64,128": raw bytes have no type that nft could print and load again. */
static void put_typeof_target(struct nftnl_udata_buf *u)
{
	struct nftnl_udata *key = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_KEY_TYPEOF);
	struct nftnl_udata *data, *field;

	nftnl_udata_put_u32(u, NFTNL_UDATA_SET_TYPEOF_EXPR, EXPR_CONCAT);
	data = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_TYPEOF_DATA);
	field = nftnl_udata_nest_start(u, 0);
	put_meta_iif(u);
	nftnl_udata_nest_end(u, field);
	field = nftnl_udata_nest_start(u, 1);
	put_raw_payload(u);
	nftnl_udata_nest_end(u, field);
	nftnl_udata_nest_end(u, data);
	nftnl_udata_nest_end(u, key);
}

static uint32_t byte_order(const struct bh_set_shape *shape)
{
	if (shape->n_fields > 1)
		return BYTEORDER_NONE;
	return shape->fields[0] == BH_FIELD_LINK || shape->fields[0] == BH_FIELD_PRIORITY
		       ? BYTEORDER_HOST
		       : BYTEORDER_BIG;
}

static void put_set_udata(struct nftnl_set *s, const struct bh_set_spec *spec)
{
	const struct bh_set_shape *shape = bh_set_shape_of(spec->kind);
	struct nftnl_udata_buf *u = must(nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));

	nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER, byte_order(shape));
	if (shape->is_map)
		nftnl_udata_put_u32(u, NFTNL_UDATA_SET_DATABYTEORDER, BYTEORDER_NONE);
	else if (shape->has_values)
		nftnl_udata_put_u32(u, NFTNL_UDATA_SET_DATABYTEORDER, BYTEORDER_HOST);
	if (spec->kind == BH_SET_LINK_TARGET)
		put_typeof_target(u);
	put_comment(u, NFTNL_UDATA_SET_COMMENT, spec->comment);
	nftnl_set_set_data(s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
	nftnl_udata_buf_free(u);
}

/*
 * Only sets that are filled outside of plans have a size: for the others it would
 * be a number of pods at which the kernel starts to refuse (ENFILE).
 */
static struct nftnl_set *new_set(const struct bh_set_spec *spec, uint32_t id)
{
	struct nft_set_shape shape = nft_set_shape(spec);
	struct nftnl_set *s = must(nftnl_set_alloc());

	nftnl_set_set_str(s, NFTNL_SET_TABLE, BH_TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, spec->name);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, shape.flags);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, shape.key_type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, shape.key_len);
	if (shape.data_type) {
		nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, shape.data_type);
		nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, shape.is_map ? 0 : sizeof(uint32_t));
	}
	if (shape.size)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, shape.size);
	if (shape.timeout_ms)
		nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, shape.timeout_ms);
	if (shape.n_fields)
		nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, shape.fields,
				   (uint32_t)shape.n_fields);
	put_set_udata(s, spec);
	return s;
}

static void add_set(struct nft_batch *b, const struct bh_op *op)
{
	struct nftnl_set *s = new_set(&op->set->spec, ++b->set_id);
	struct nlmsghdr *h = start(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);

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
	const struct bh_set_shape *shape = bh_set_shape_of(set->spec.kind);
	struct nlattr *nest;

	if (set->spec.is_interval && shape->n_fields == 1) {
		put_interval(h, e, set->key_len);
		return;
	}
	nest = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	put_value(h, NFTA_SET_ELEM_KEY, e->key, set->key_len);
	if (set->spec.is_interval)
		put_value(h, NFTA_SET_ELEM_KEY_END, e->end, set->key_len);
	if (shape->is_map && is_add)
		put_jump(h, e->chain);
	if (shape->has_values && is_add)
		put_value(h, NFTA_SET_ELEM_DATA, (const uint8_t *)&e->value, sizeof(e->value));
	mnl_attr_nest_end(h, nest);
}

static void change_elems(struct nft_batch *b, const struct bh_op *op)
{
	bool is_add = op->kind == BH_OP_ADD_ELEMS;
	size_t i = 0;

	while (i < op->n_elems) {
		struct nlmsghdr *h;
		struct nlattr *list;

		reserve(b, LIST_BYTES + NFT_MESSAGE_MAX);
		h = start(b, is_add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
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
static void flush_set(struct nft_batch *b, const char *name)
{
	struct nlmsghdr *h = start(b, NFT_MSG_DELSETELEM, 0);

	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, BH_TABLE);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, name);
	finish(b, h);
}

/* --- everything else ---------------------------------------------------------*/

/* Without NLM_F_EXCL, so that a dormant table wakes up. */
static void add_table(struct nft_batch *b)
{
	struct nlmsghdr *h = start(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, BH_TABLE);
	mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(0));
	finish(b, h);
}

static void add_counter(struct nft_batch *b, const char *name)
{
	struct nftnl_obj *o = must(nftnl_obj_alloc());
	struct nlmsghdr *h = start(b, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL);

	nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, BH_TABLE);
	nftnl_obj_set_str(o, NFTNL_OBJ_NAME, name);
	nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_PKTS, 0);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_BYTES, 0);
	nftnl_obj_nlmsg_build_payload(h, o);
	finish(b, h);
	nftnl_obj_free(o);
}

static void add_chain(struct nft_batch *b, const struct bh_plan_chain *chain)
{
	struct nftnl_chain *c = must(nftnl_chain_alloc());
	struct nlmsghdr *h = start(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);

	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, BH_TABLE);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, chain->name);
	if (chain->hook != BH_HOOK_NONE) {
		nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook_numbers[chain->hook]);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, chain->priority);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
		if (chain->device)
			nftnl_chain_set_str(c, NFTNL_CHAIN_DEV, chain->device);
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

static void add_rules(struct nft_batch *b, const struct bh_plan_chain *chain)
{
	for (size_t i = 0; i < chain->n_rules; i++) {
		struct nftnl_rule *r = nft_encode_rule(b->table, chain, &chain->rules[i]);
		struct nlmsghdr *h = start(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

		nftnl_rule_nlmsg_build_payload(h, r);
		finish(b, h);
		nftnl_rule_free(r);
	}
}

/* All of these have the table as attribute 1; rules have the chain as 2, the rest their name. */
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
		      NFTA_SET_TABLE == 1 && NFTA_OBJ_TABLE == 1,
	      "the table comes first");

static void delete (struct nft_batch *b, uint16_t type, uint16_t attr, const char *name)
{
	struct nlmsghdr *h = start(b, type, 0);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, BH_TABLE);
	if (name)
		mnl_attr_put_strz(h, attr, name);
	if (type == NFT_MSG_DELOBJ)
		mnl_attr_put_u32(h, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	finish(b, h);
}

void nft_batch_add(struct nft_batch *b, enum bh_table table, const struct bh_op *op)
{
	b->table = table;
	b->op = op;
	switch (op->kind) {
	case BH_OP_ADD_TABLE: add_table(b); return;
	case BH_OP_ADD_COUNTER: add_counter(b, op->name); return;
	case BH_OP_ADD_SET: add_set(b, op); return;
	case BH_OP_ADD_CHAIN: add_chain(b, op->chain); return;
	case BH_OP_ADD_ELEMS:
	case BH_OP_DEL_ELEMS: change_elems(b, op); return;
	case BH_OP_FLUSH_CHAIN: delete (b, NFT_MSG_DELRULE, NFTA_RULE_CHAIN, op->name); return;
	case BH_OP_ADD_RULES: add_rules(b, op->chain); return;
	case BH_OP_FLUSH_SET: flush_set(b, op->name); return;
	case BH_OP_DEL_CHAIN: delete (b, NFT_MSG_DELCHAIN, NFTA_CHAIN_NAME, op->name); return;
	case BH_OP_DEL_SET: delete (b, NFT_MSG_DELSET, NFTA_SET_NAME, op->name); return;
	case BH_OP_DEL_COUNTER: delete (b, NFT_MSG_DELOBJ, NFTA_OBJ_NAME, op->name); return;
	case BH_OP_DEL_TABLE: delete (b, NFT_MSG_DELTABLE, 0, NULL); return;
	case BH_OP_COUNT_: break;
	}
	abort();
}
