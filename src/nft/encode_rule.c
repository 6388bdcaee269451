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

#include <assert.h>
#include <endian.h>
#include <netinet/in.h>
#include <stdio.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

struct field {
	uint32_t offset, len; /* in the network header */
};

static const struct field saddr[] = { [BH_IPV4] = { 12, 4 }, [BH_IPV6] = { 8, 16 } };
static const struct field daddr[] = { [BH_IPV4] = { 16, 4 }, [BH_IPV6] = { 24, 16 } };
static const uint8_t nfproto[] = { [BH_IPV4] = NFPROTO_IPV4, [BH_IPV6] = NFPROTO_IPV6 };

#define HOPLIMIT_OFFSET 7
#define DPORT_OFFSET    2

/* A rule being built: libnftnl's, and the families it has been narrowed to. */
struct builder {
	struct nftnl_rule *rule;
	bool is_narrowed[BH_FAMILY_COUNT_];
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

static void add_cmp_u8(struct builder *b, enum nft_cmp_ops op, uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	add_cmp(b, op, &byte, sizeof(byte));
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

/*
 * A network header field means nothing before the family is known; nft leaves
 * the match out when it prints such a rule.
 */
static void narrow(struct builder *b, enum bh_family family)
{
	load_meta(b, NFT_META_NFPROTO, NFT_REG_1);
	add_cmp_u8(b, NFT_CMP_EQ, nfproto[family]);
	b->is_narrowed[family] = true;
}

static void load_addr(struct builder *b, const struct field *fields, enum bh_family family)
{
	if (!b->is_narrowed[family])
		narrow(b, family);
	load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, fields[family].offset, fields[family].len,
		     NFT_REG_1);
}

/* Protocol and port, behind an address of @words 32-bit words. */
static void load_proto_port(struct builder *b, uint32_t words)
{
	uint32_t reg = words == 0 ? NFT_REG_1 : words == 4 ? NFT_REG_2 : NFT_REG32_00 + words;

	load_meta(b, NFT_META_L4PROTO, reg);
	load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, DPORT_OFFSET, sizeof(uint16_t),
		     NFT_REG32_00 + words + 1);
}

static void load_key(struct builder *b, enum bh_lookup_key key, enum bh_family family)
{
	uint32_t words = (uint32_t)bh_family_len(family) / 4;

	switch (key) {
	case BH_KEY_SADDR: load_addr(b, saddr, family); return;
	case BH_KEY_DADDR: load_addr(b, daddr, family); return;
	case BH_KEY_SADDR_PROTO_PORT:
		load_addr(b, saddr, family);
		load_proto_port(b, words);
		return;
	case BH_KEY_DADDR_PROTO_PORT:
		load_addr(b, daddr, family);
		load_proto_port(b, words);
		return;
	case BH_KEY_PROTO_PORT: load_proto_port(b, 0); return;
	case BH_KEY_COUNT_: break;
	}
	abort();
}

static void add_ct_state(struct builder *b, uint32_t mask)
{
	uint32_t zero = 0;
	struct nftnl_expr *e = add(b, "ct");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
	e = add(b, "bitwise");
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, &zero, sizeof(zero));
	add_cmp(b, NFT_CMP_NEQ, &zero, sizeof(zero));
}

static void add_icmp6_type(struct builder *b, uint32_t first, uint32_t last)
{
	load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
	if (first == last) {
		add_cmp_u8(b, NFT_CMP_EQ, first);
		return;
	}
	add_cmp_u8(b, NFT_CMP_GTE, first);
	add_cmp_u8(b, NFT_CMP_LTE, last);
}

static void add_fib_local(struct builder *b)
{
	struct nftnl_expr *e = add(b, "fib");
	uint32_t local = RTN_LOCAL;

	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_SADDR);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	add_cmp(b, NFT_CMP_EQ, &local, sizeof(local));
}

static void add_lookup(struct builder *b, const struct bh_expr *x)
{
	struct nftnl_expr *e;

	load_key(b, x->key, x->set->spec.family);
	e = add(b, "lookup");
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	if (x->kind == BH_EXPR_VMAP)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, x->set->spec.name);
}

static void add_limit(struct builder *b, const struct bh_expr *x)
{
	struct nftnl_expr *limit = new_expr("limit"), *e;

	load_key(b, x->key, x->set->spec.family);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, x->set->spec.rate);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1); /* a second */
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, x->set->spec.burst);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_FLAGS, 0);
	e = add(b, "dynset");
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, x->set->spec.name);
	nftnl_expr_add_expr(e, NFTNL_EXPR_DYNSET_EXPR, limit);
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
	case BH_EXPR_NFPROTO: narrow(b, x->family); return;
	case BH_EXPR_L4PROTO:
		load_meta(b, NFT_META_L4PROTO, NFT_REG_1);
		add_cmp_u8(b, NFT_CMP_EQ, x->value);
		return;
	case BH_EXPR_ICMP6_TYPE: add_icmp6_type(b, x->value, x->last); return;
	case BH_EXPR_HOPLIMIT:
		load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, HOPLIMIT_OFFSET, 1, NFT_REG_1);
		add_cmp_u8(b, NFT_CMP_EQ, x->value);
		return;
	case BH_EXPR_FIB_LOCAL: add_fib_local(b); return;
	case BH_EXPR_LOOKUP:
	case BH_EXPR_VMAP: add_lookup(b, x); return;
	case BH_EXPR_COUNTER: add_counter(b, x->name); return;
	case BH_EXPR_LIMIT: add_limit(b, x); return;
	case BH_EXPR_LOG: add_log(b, x); return;
	case BH_EXPR_VERDICT: add_verdict(b, x); return;
	case BH_EXPR_KIND_COUNT_: break;
	}
	abort();
}

struct nftnl_rule *nft_encode_rule(const struct bh_plan_chain *chain,
				   const struct bh_plan_rule *rule)
{
	struct builder b = { .rule = nftnl_rule_alloc() };

	if (!b.rule)
		abort();
	nftnl_rule_set_u32(b.rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(b.rule, NFTNL_RULE_TABLE, BH_TABLE);
	nftnl_rule_set_str(b.rule, NFTNL_RULE_CHAIN, chain->name);
	for (size_t i = 0; i < rule->n_exprs; i++)
		add_expr(&b, &rule->exprs[i]);
	return b.rule;
}
