/*
 * Rules as the expressions that nft itself would write, so that `nft list`
 * prints them and `nft -f` brings the same ones back.
 *
 * Registers: nft puts the first field into NFT_REG_1.  The kernel dumps a 32-bit
 * register at a 128-bit boundary under the number of the latter, so what is
 * written here uses these numbers too (nft_dump_register(),
 * net/netfilter/nf_tables_api.c).
 */
#include "nft_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

/* Where a load is: a field of a header, or of what the kernel knows of the packet. */
struct source {
	bool is_meta;
	uint8_t base;   /* NFT_PAYLOAD_* */
	bool is_ct;     /* an address of the connection, in direction @key */
	uint8_t key;    /* NFT_META_*, or IP_CT_DIR_* */
	uint8_t offset; /* of IPv4 for addresses */
	uint8_t offset6;
};

#define ETHER_TYPE_OFFSET 12

#define META(KEY)                                                                                  \
	{                                                                                          \
		.is_meta = true, .key = NFT_META_##KEY                                             \
	}
#define CT(DIR)                                                                                    \
	{                                                                                          \
		.is_ct = true, .key = IP_CT_DIR_##DIR                                              \
	}
#define FIELD(HEADER, AT)                                                                          \
	{                                                                                          \
		.base = NFT_PAYLOAD_##HEADER##_HEADER, .offset = (AT)                              \
	}
#define ADDR_FIELD(AT, AT6)                                                                        \
	{                                                                                          \
		.base = NFT_PAYLOAD_NETWORK_HEADER, .offset = (AT), .offset6 = (AT6)               \
	}

static const struct source sources[] = {
	[BH_LOAD_NFPROTO] = META(NFPROTO),
	[BH_LOAD_L4PROTO] = META(L4PROTO),
	[BH_LOAD_LENGTH] = META(LEN),
	[BH_LOAD_IIF] = META(IIF),
	[BH_LOAD_OIF] = META(OIF),
	[BH_LOAD_PRIORITY] = META(PRIORITY),
	[BH_LOAD_SADDR] = ADDR_FIELD(12, 8),
	[BH_LOAD_DADDR] = ADDR_FIELD(16, 24),
	[BH_LOAD_CT_ORIGINAL] = CT(ORIGINAL),
	[BH_LOAD_CT_REPLY] = CT(REPLY),
	[BH_LOAD_SPORT] = FIELD(TRANSPORT, 0),
	[BH_LOAD_DPORT] = FIELD(TRANSPORT, 2),
	[BH_LOAD_TCP_FLAGS] = FIELD(TRANSPORT, 13),
	[BH_LOAD_NEXTHDR] = FIELD(NETWORK, 6),
	[BH_LOAD_HOPLIMIT] = FIELD(NETWORK, 7),
	[BH_LOAD_PAYLOAD_LEN] = FIELD(NETWORK, 4),
	[BH_LOAD_ICMP6_TYPE] = FIELD(TRANSPORT, 0),
	[BH_LOAD_TARGET] = FIELD(TRANSPORT, NFT_TARGET_OFFSET),
	[BH_LOAD_ETHER_SADDR] = FIELD(LL, 6),
	[BH_LOAD_ETHER_DADDR] = FIELD(LL, 0),
	[BH_LOAD_ETHER_TYPE] = FIELD(LL, ETHER_TYPE_OFFSET),
	[BH_LOAD_ETHER_FROM] = FIELD(LL, 6),
	[BH_LOAD_RAW_SADDR] = ADDR_FIELD(12, 8),
	[BH_LOAD_ARP_HTYPE] = FIELD(NETWORK, 0),
	[BH_LOAD_ARP_PTYPE] = FIELD(NETWORK, 2),
	[BH_LOAD_ARP_HLEN] = FIELD(NETWORK, 4),
	[BH_LOAD_ARP_PLEN] = FIELD(NETWORK, 5),
	[BH_LOAD_ARP_OP] = FIELD(NETWORK, 6),
	[BH_LOAD_ARP_SHA] = FIELD(NETWORK, 8),
	[BH_LOAD_ARP_SPA] = FIELD(NETWORK, 14),
	[BH_LOAD_ARP_TPA] = FIELD(NETWORK, 24),
};
static_assert(BH_ARRAY_LEN(sources) == BH_LOAD_COUNT_, "every load has a source");

/*
 * A rule being built: libnftnl's, and the protocols it has been narrowed to, as
 * nft's protocol context; 0 where none is known.
 */
struct builder {
	struct nftnl_rule *rule;
	enum bh_table table;
	bool is_ether;       /* the link layer is Ethernet */
	uint16_t ether_type; /* ETH_P_* of the network header */
	uint8_t l4proto;     /* IPPROTO_* of the transport header */
	uint8_t implied;     /* l4proto that a later match depends on; not matched yet */
};

static struct nftnl_expr *new_expr(const char *name)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	/* Out of memory; bh_malloc() ends the same way. */
	if (!e)
		abort();
	return e;
}

static struct nftnl_expr *add(struct builder *b, const char *name)
{
	struct nftnl_expr *e = new_expr(name);

	nftnl_rule_add_expr(b->rule, e);
	return e;
}

static void add_cmp(struct builder *b, enum nft_cmp_ops op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = add(b, "cmp");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

/* The last bytes of @value in network byte order. */
static void put_number(uint8_t ret[4], uint32_t value, size_t len)
{
	for (size_t i = len; i-- > 0; value >>= 8)
		ret[i] = (uint8_t)value;
}

static void add_cmp_number(struct builder *b, enum nft_cmp_ops op, uint32_t value, size_t len)
{
	uint8_t bytes[4];

	put_number(bytes, value, len);
	add_cmp(b, op, bytes, (uint32_t)len);
}

static void load_meta(struct builder *b, enum nft_meta_keys key, uint32_t reg)
{
	struct nftnl_expr *e = add(b, "meta");

	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

static void load_payload(struct builder *b, enum nft_payload_bases base, uint32_t offset,
			 uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = add(b, "payload");

	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
}

/* The source address of the connection's packets in the direction @dir. */
static void load_ct_saddr(struct builder *b, uint8_t dir, enum bh_family family, uint32_t reg)
{
	struct nftnl_expr *e = add(b, "ct");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY,
			   family == BH_IPV4 ? NFT_CT_SRC_IP : NFT_CT_SRC_IP6);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, reg);
	nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, dir);
}

/* --- protocols ---------------------------------------------------------------*/

/* As nft does before it looks into the frame's header. */
static void need_ether(struct builder *b)
{
	uint16_t type = ARPHRD_ETHER;

	if (b->is_ether)
		return;
	load_meta(b, NFT_META_IIFTYPE, NFT_REG_1);
	add_cmp(b, NFT_CMP_EQ, &type, sizeof(type));
	b->is_ether = true;
}

static void match_nfproto(struct builder *b, uint16_t ether_type)
{
	load_meta(b, NFT_META_NFPROTO, NFT_REG_1);
	add_cmp_number(b, NFT_CMP_EQ, ether_type == ETH_P_IP ? NFPROTO_IPV4 : NFPROTO_IPV6, 1);
}

/*
 * A field of the network header means nothing before the protocol is known; nft
 * leaves the match out when it prints such a rule.  Which of two matches it adds
 * depends on what it knows of the frame; on a bridge it prefers the protocol of
 * the packet, but neither for ARP nor for what ICMPv6 depends on.
 */
static void need_network(struct builder *b, uint16_t ether_type, bool is_for_icmp6)
{
	bool is_bridged = b->table == BH_TABLE_BRIDGE && ether_type != ETH_P_ARP && !is_for_icmp6;

	if (b->ether_type == ether_type)
		return;
	b->ether_type = ether_type;
	if (b->table == BH_TABLE_INET) {
		match_nfproto(b, ether_type);
		return;
	}
	if (b->is_ether && !is_bridged)
		load_payload(b, NFT_PAYLOAD_LL_HEADER, ETHER_TYPE_OFFSET, 2, NFT_REG_1);
	else
		load_meta(b, NFT_META_PROTOCOL, NFT_REG_1);
	add_cmp_number(b, NFT_CMP_EQ, ether_type, 2);
}

static void need_l4proto(struct builder *b, uint8_t protocol)
{
	if (b->l4proto == protocol)
		return;
	if (protocol == IPPROTO_ICMPV6 && !b->ether_type)
		need_network(b, ETH_P_IPV6, true);
	load_meta(b, NFT_META_L4PROTO, NFT_REG_1);
	add_cmp_number(b, NFT_CMP_EQ, protocol, 1);
	b->l4proto = protocol;
}

/* Matches the protocol that the load is of, unless the rule has done so. */
static void need(struct builder *b, enum bh_load load, enum bh_family family)
{
	switch (load) {
	case BH_LOAD_NFPROTO:
	case BH_LOAD_L4PROTO:
	case BH_LOAD_LENGTH:
	case BH_LOAD_IIF:
	case BH_LOAD_OIF:
	case BH_LOAD_PRIORITY:
	case BH_LOAD_TARGET:
	case BH_LOAD_ETHER_FROM:
	case BH_LOAD_RAW_SADDR: return;
	case BH_LOAD_SADDR:
	case BH_LOAD_DADDR:
	case BH_LOAD_CT_ORIGINAL:
	case BH_LOAD_CT_REPLY:
		need_network(b, family == BH_IPV4 ? ETH_P_IP : ETH_P_IPV6, false);
		return;
	case BH_LOAD_SPORT:
	case BH_LOAD_DPORT:
		if (b->implied)
			need_l4proto(b, b->implied);
		return;
	case BH_LOAD_TCP_FLAGS: need_l4proto(b, IPPROTO_TCP); return;
	case BH_LOAD_NEXTHDR:
	case BH_LOAD_HOPLIMIT:
	case BH_LOAD_PAYLOAD_LEN: need_network(b, ETH_P_IPV6, false); return;
	case BH_LOAD_ICMP6_TYPE: need_l4proto(b, IPPROTO_ICMPV6); return;
	case BH_LOAD_ETHER_SADDR:
	case BH_LOAD_ETHER_DADDR:
	case BH_LOAD_ETHER_TYPE: need_ether(b); return;
	case BH_LOAD_ARP_HTYPE:
	case BH_LOAD_ARP_PTYPE:
	case BH_LOAD_ARP_HLEN:
	case BH_LOAD_ARP_PLEN:
	case BH_LOAD_ARP_OP:
	case BH_LOAD_ARP_SHA:
	case BH_LOAD_ARP_SPA:
	case BH_LOAD_ARP_TPA: need_network(b, ETH_P_ARP, false); return;
	case BH_LOAD_COUNT_: break;
	}
	abort();
}

/* --- loads -------------------------------------------------------------------*/

/* The register of the @word'th 32 bits of a key. */
static uint32_t reg_at(uint32_t word)
{
	return word % 4 == 0 ? NFT_REG_1 + word / 4 : NFT_REG32_00 + word;
}

/* The first @len bytes; what it needs has been matched. */
static void load(struct builder *b, enum bh_load what, enum bh_family family, uint32_t len,
		 uint32_t reg)
{
	const struct source *s = &sources[what];
	bool is_addr6 = s->offset6 && family == BH_IPV6;

	if (s->is_meta)
		load_meta(b, s->key, reg);
	else if (s->is_ct)
		load_ct_saddr(b, s->key, family, reg);
	else
		load_payload(b, s->base, is_addr6 ? s->offset6 : s->offset, len, reg);
}

/* What the fields of a key depend on comes before all of them. */
static void load_key(struct builder *b, enum bh_lookup_key key, enum bh_family family)
{
	const struct bh_key_loads *k = bh_key_loads_of(key);
	uint32_t word = 0;

	for (size_t i = 0; i < k->n; i++) {
		/* Within a key, ports are of any protocol. */
		if (k->loads[i] != BH_LOAD_SPORT && k->loads[i] != BH_LOAD_DPORT)
			need(b, k->loads[i], family);
	}
	for (size_t i = 0; i < k->n; i++) {
		uint32_t len = (uint32_t)bh_load_len(k->loads[i], family);

		load(b, k->loads[i], family, len, reg_at(word));
		word += (len + 3) / 4;
	}
}

/* --- statements --------------------------------------------------------------*/

static void add_mask(struct builder *b, const void *mask, uint32_t len)
{
	static const uint8_t zeros[16];
	struct nftnl_expr *e = add(b, "bitwise");

	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zeros, len);
}

static void add_ct_state(struct builder *b, uint32_t mask)
{
	uint32_t zero = 0;
	struct nftnl_expr *e = add(b, "ct");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
	add_mask(b, &mask, sizeof(mask));
	add_cmp(b, NFT_CMP_NEQ, &zero, sizeof(zero));
}

/* A value that is compared by size must be in network byte order. */
static void add_byteorder(struct builder *b, uint32_t len)
{
	struct nftnl_expr *e = add(b, "byteorder");

	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, len);
}

static void add_outside(struct builder *b, uint32_t first, uint32_t last, size_t len)
{
	struct nftnl_expr *e = add(b, "range");
	uint8_t from[4], to[4];

	put_number(from, first, len);
	put_number(to, last, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_RANGE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_RANGE_OP, NFT_RANGE_NEQ);
	nftnl_expr_set(e, NFTNL_EXPR_RANGE_FROM_DATA, from, (uint32_t)len);
	nftnl_expr_set(e, NFTNL_EXPR_RANGE_TO_DATA, to, (uint32_t)len);
}

static void add_range(struct builder *b, const struct bh_expr *x)
{
	uint32_t len = (uint32_t)bh_load_len(x->load, x->family), first, last;
	enum bh_range_form form = bh_plan_range_form(x, &first, &last);
	bool is_host_order = sources[x->load].is_meta && len > 1;

	load(b, x->load, x->family, len, NFT_REG_1);
	if (form == BH_RANGE_IS || form == BH_RANGE_IS_NOT) {
		if (is_host_order)
			first = htonl(first);
	} else if (is_host_order) {
		add_byteorder(b, len);
	}
	switch (form) {
	case BH_RANGE_IS: add_cmp_number(b, NFT_CMP_EQ, first, len); return;
	case BH_RANGE_IS_NOT: add_cmp_number(b, NFT_CMP_NEQ, first, len); return;
	case BH_RANGE_ABOVE: add_cmp_number(b, NFT_CMP_GT, first, len); return;
	case BH_RANGE_UP_TO: add_cmp_number(b, NFT_CMP_LTE, first, len); return;
	case BH_RANGE_WITHIN:
		add_cmp_number(b, NFT_CMP_GTE, first, len);
		add_cmp_number(b, NFT_CMP_LTE, last, len);
		return;
	case BH_RANGE_OUTSIDE: add_outside(b, first, last, len); return;
	case BH_RANGE_FORM_COUNT_: break;
	}
	abort();
}

static bool is_filled(const uint8_t *bytes, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != value)
			return false;
	}
	return true;
}

/* How many bytes a mask of whole bytes at the beginning leaves, 0 if it is none. */
static uint32_t whole_bytes(const uint8_t *mask, uint32_t len)
{
	uint32_t n = 0;

	while (n < len && mask[n] == UINT8_MAX)
		n++;
	return is_filled(mask + n, len - n, 0) ? n : 0;
}

/* Only for addresses of IP nft loads fewer bytes instead of masking the others. */
static bool has_prefixes(enum bh_load load)
{
	return load == BH_LOAD_SADDR || load == BH_LOAD_DADDR || load == BH_LOAD_ARP_SPA ||
	       load == BH_LOAD_ARP_TPA;
}

static void add_bytes(struct builder *b, const struct bh_expr *x)
{
	uint32_t len = (uint32_t)bh_load_len(x->load, x->family), n = whole_bytes(x->mask, len);
	enum nft_cmp_ops op = x->op == BH_MATCH_BYTES ? NFT_CMP_EQ : NFT_CMP_NEQ;

	if (is_filled(x->mask, len, 0))
		n = len;
	if (n == len || (n && has_prefixes(x->load))) {
		load(b, x->load, x->family, n, NFT_REG_1);
		add_cmp(b, op, x->bytes, n);
		return;
	}
	load(b, x->load, x->family, len, NFT_REG_1);
	add_mask(b, x->mask, len);
	add_cmp(b, op, x->bytes, len);
}

/* What a match of one value tells of the protocols, for what comes after. */
static void learn(struct builder *b, const struct bh_expr *x)
{
	if (x->op != BH_MATCH_RANGE || x->value != x->last)
		return;
	if (x->load == BH_LOAD_NFPROTO)
		b->ether_type = x->value == NFPROTO_IPV4 ? ETH_P_IP : ETH_P_IPV6;
	if (x->load == BH_LOAD_ETHER_TYPE)
		b->ether_type = (uint16_t)x->value;
	if (x->load == BH_LOAD_L4PROTO)
		b->l4proto = (uint8_t)x->value;
}

static void add_match(struct builder *b, const struct bh_expr *x)
{
	need(b, x->load, x->family);
	if (x->op == BH_MATCH_BYTES || x->op == BH_MATCH_NOT_BYTES)
		add_bytes(b, x);
	else
		add_range(b, x);
	learn(b, x);
}

/* @of: NFTA_FIB_F_*; @type: RTN_*. */
static void add_fib(struct builder *b, uint32_t of, uint32_t type)
{
	struct nftnl_expr *e = add(b, "fib");

	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, of);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	add_cmp(b, NFT_CMP_EQ, &type, sizeof(type));
}

static struct nftnl_expr *add_lookup(struct builder *b, const struct bh_expr *x)
{
	struct nftnl_expr *e;

	load_key(b, x->key, x->set->spec.family);
	e = add(b, "lookup");
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	if (x->kind == BH_EXPR_VMAP)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
	if (x->is_negated)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, x->set->spec.name);
	return e;
}

static void add_priority(struct builder *b, const struct bh_expr *x)
{
	struct nftnl_expr *e;

	if (x->set) {
		nftnl_expr_set_u32(add_lookup(b, x), NFTNL_EXPR_LOOKUP_DREG, NFT_REG_1);
	} else {
		e = add(b, "immediate");
		nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
		nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DATA, 0);
	}
	e = add(b, "meta");
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_PRIORITY);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

static struct nftnl_expr *add_update(struct builder *b, const struct bh_expr *x)
{
	struct nftnl_expr *e;

	load_key(b, x->key, x->set->spec.family);
	e = add(b, "dynset");
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, x->set->spec.name);
	return e;
}

static void add_limit(struct builder *b, const struct bh_expr *x)
{
	struct nftnl_expr *limit = new_expr("limit");

	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, x->set->spec.rate);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1); /* a second */
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, x->set->spec.burst);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_FLAGS, 0);
	nftnl_expr_add_expr(add_update(b, x), NFTNL_EXPR_DYNSET_EXPR, limit);
}

/*
 * No queue threshold here: whoever reads the group sets it for all rules at
 * once (NFULA_CFG_QTHRESH), and a rule's can only lower that.
 */
static void add_log(struct builder *b, const struct bh_expr *x)
{
	struct nftnl_expr *e = add(b, "log");

	nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, x->name);
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, x->group);
	if (x->snaplen)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOG_SNAPLEN, x->snaplen);
}

static uint32_t verdict_code(enum bh_plan_verdict verdict)
{
	switch (verdict) {
	case BH_V_ACCEPT: return NF_ACCEPT;
	case BH_V_DROP: return NF_DROP;
	case BH_V_RETURN: return (uint32_t)NFT_RETURN;
	case BH_V_JUMP: return (uint32_t)NFT_JUMP;
	case BH_V_GOTO: return (uint32_t)NFT_GOTO;
	case BH_V_COUNT_: break;
	}
	abort();
}

static void add_verdict(struct builder *b, const struct bh_expr *x)
{
	struct nftnl_expr *e = add(b, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, verdict_code(x->verdict));
	if (x->chain)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, x->chain->name);
}

static void add_counter(struct builder *b, const char *name)
{
	struct nftnl_expr *e = add(b, "objref");

	nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, name);
}

static void add_expr(struct builder *b, const struct bh_expr *x)
{
	switch (x->kind) {
	case BH_EXPR_CT_STATE: add_ct_state(b, x->value); return;
	case BH_EXPR_MATCH: add_match(b, x); return;
	case BH_EXPR_FIB_LOCAL: add_fib(b, NFTA_FIB_F_SADDR, RTN_LOCAL); return;
	case BH_EXPR_FIB_BROADCAST: add_fib(b, NFTA_FIB_F_DADDR, RTN_BROADCAST); return;
	case BH_EXPR_LOOKUP:
	case BH_EXPR_VMAP: (void)add_lookup(b, x); return;
	case BH_EXPR_COUNTER: add_counter(b, x->name); return;
	case BH_EXPR_LIMIT: add_limit(b, x); return;
	case BH_EXPR_UPDATE: (void)add_update(b, x); return;
	case BH_EXPR_PRIORITY: add_priority(b, x); return;
	case BH_EXPR_LOG: add_log(b, x); return;
	case BH_EXPR_VERDICT: add_verdict(b, x); return;
	case BH_EXPR_KIND_COUNT_: break;
	}
	abort();
}

struct nftnl_rule *nft_encode_rule(enum bh_table table, const struct bh_plan_chain *chain,
				   const struct bh_plan_rule *rule)
{
	struct builder b = { .rule = nftnl_rule_alloc(),
			     .table = table,
			     .is_ether = table == BH_TABLE_BRIDGE };

	if (!b.rule)
		abort();
	nftnl_rule_set_u32(b.rule, NFTNL_RULE_FAMILY, nft_family(table));
	nftnl_rule_set_str(b.rule, NFTNL_RULE_TABLE, BH_TABLE);
	nftnl_rule_set_str(b.rule, NFTNL_RULE_CHAIN, chain->name);
	for (size_t i = 0; i < rule->n_exprs; i++) {
		const struct bh_expr *x = &rule->exprs[i];

		/* It comes right before what depends on it, as nft has it. */
		if (!bh_plan_is_implied(rule, i))
			add_expr(&b, x);
		else if (x->load == BH_LOAD_L4PROTO)
			b.implied = (uint8_t)x->value;
	}
	return b.rule;
}
