/*
 * What sets, keys and loads are made of, as tables, and packing keys by them.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>

#include "bh/plan.h"

static const char *const table_names[] = {
	[BH_TABLE_INET] = "inet",
	[BH_TABLE_NETDEV] = "netdev",
	[BH_TABLE_BRIDGE] = "bridge",
};
static_assert(BH_ARRAY_LEN(table_names) == BH_TABLE_COUNT_, "every table has a name");

const char *bh_table_str(enum bh_table table)
{
	return table_names[table];
}

/* 0: by the family. */
static const uint8_t field_lens[] = {
	[BH_FIELD_ADDR] = 0,    [BH_FIELD_PROTO] = 1,    [BH_FIELD_PORT] = 2,
	[BH_FIELD_LINK] = 4,    [BH_FIELD_MAC] = 6,      [BH_FIELD_ETHER_TYPE] = 2,
	[BH_FIELD_TARGET] = 16, [BH_FIELD_PRIORITY] = 4,
};
static_assert(BH_ARRAY_LEN(field_lens) == BH_FIELD_COUNT_, "every field has a length");

size_t bh_field_len(enum bh_field field, enum bh_family family)
{
	return field_lens[field] ? field_lens[field] : bh_family_len(family);
}

size_t bh_field_width(enum bh_field field, enum bh_family family)
{
	return (bh_field_len(field, family) + 3) & ~(size_t)3;
}

#define SHAPE(...)                                                                                 \
	.fields = { __VA_ARGS__ },                                                                 \
	.n_fields = sizeof((const enum bh_field[]){ __VA_ARGS__ }) / sizeof(enum bh_field)

#define ADDR     BH_FIELD_ADDR
#define PROTO    BH_FIELD_PROTO
#define PORT     BH_FIELD_PORT
#define LINK     BH_FIELD_LINK
#define MAC      BH_FIELD_MAC
#define TYPE     BH_FIELD_ETHER_TYPE
#define TARGET   BH_FIELD_TARGET
#define PRIORITY BH_FIELD_PRIORITY

static const struct bh_set_shape shapes[] = {
	[BH_SET_ADDR] = { SHAPE(ADDR) },
	[BH_SET_ADDR_PROTO_PORT] = { SHAPE(ADDR, PROTO, PORT) },
	[BH_SET_PROTO_PORT] = { SHAPE(PROTO, PORT) },
	[BH_SET_VERDICT_MAP] = { SHAPE(ADDR), .is_map = true },
	[BH_SET_LOG_LIMIT] = { SHAPE(ADDR), .is_dynamic = true },
	[BH_SET_CUT] = { SHAPE(ADDR, ADDR, PROTO, PORT, PORT), .is_dynamic = true },
	[BH_SET_CUT_PAIR] = { SHAPE(ADDR, ADDR, PROTO), .is_dynamic = true },
	[BH_SET_ADDR_PAIR] = { SHAPE(ADDR, ADDR) },
	[BH_SET_PROTO] = { SHAPE(PROTO), .is_dynamic = true },
	[BH_SET_LINK] = { SHAPE(LINK) },
	[BH_SET_LINK_ADDR] = { SHAPE(LINK, ADDR) },
	[BH_SET_LINK_MAC] = { SHAPE(LINK, MAC) },
	[BH_SET_LINK_TYPE_ADDR] = { SHAPE(LINK, TYPE, ADDR) },
	[BH_SET_LINK_TARGET] = { SHAPE(LINK, TARGET) },
	[BH_SET_LINK_MAP] = { SHAPE(LINK), .is_map = true },
	[BH_SET_LINK_TYPE_MAP] = { SHAPE(LINK, TYPE), .is_map = true },
	[BH_SET_LINK_LIMIT] = { SHAPE(LINK), .is_dynamic = true },
	[BH_SET_LINK_PRIORITY] = { SHAPE(LINK), .has_values = true },
	[BH_SET_PRIORITY_MAP] = { SHAPE(PRIORITY), .is_map = true },
	[BH_SET_PRIORITY_LIMIT] = { SHAPE(PRIORITY), .is_dynamic = true },
};
static_assert(BH_ARRAY_LEN(shapes) == BH_SET_KIND_COUNT_, "every kind of set has a shape");

const struct bh_set_shape *bh_set_shape_of(enum bh_set_kind kind)
{
	return &shapes[kind];
}

size_t bh_set_key_len(enum bh_set_kind kind, enum bh_family family)
{
	const struct bh_set_shape *s = &shapes[kind];
	size_t len = 0;

	if (s->n_fields == 1)
		return bh_field_len(s->fields[0], family);
	for (size_t i = 0; i < s->n_fields; i++)
		len += bh_field_width(s->fields[i], family);
	return len;
}

#define LOADS(...)                                                                                 \
	{                                                                                          \
		.loads = { __VA_ARGS__ },                                                          \
		.n = sizeof((const enum bh_load[]){ __VA_ARGS__ }) / sizeof(enum bh_load)          \
	}

static const struct bh_key_loads keys[] = {
	[BH_KEY_SADDR] = LOADS(BH_LOAD_SADDR),
	[BH_KEY_DADDR] = LOADS(BH_LOAD_DADDR),
	[BH_KEY_SADDR_PROTO_PORT] = LOADS(BH_LOAD_SADDR, BH_LOAD_L4PROTO, BH_LOAD_DPORT),
	[BH_KEY_DADDR_PROTO_PORT] = LOADS(BH_LOAD_DADDR, BH_LOAD_L4PROTO, BH_LOAD_DPORT),
	[BH_KEY_PROTO_PORT] = LOADS(BH_LOAD_L4PROTO, BH_LOAD_DPORT),
	[BH_KEY_FLOW] =
		LOADS(BH_LOAD_SADDR, BH_LOAD_DADDR, BH_LOAD_L4PROTO, BH_LOAD_SPORT, BH_LOAD_DPORT),
	[BH_KEY_PAIR] = LOADS(BH_LOAD_SADDR, BH_LOAD_DADDR, BH_LOAD_L4PROTO),
	[BH_KEY_SADDR_TWICE] = LOADS(BH_LOAD_SADDR, BH_LOAD_SADDR),
	[BH_KEY_SADDR_CT_ORIGINAL] = LOADS(BH_LOAD_SADDR, BH_LOAD_CT_ORIGINAL),
	[BH_KEY_SADDR_CT_REPLY] = LOADS(BH_LOAD_SADDR, BH_LOAD_CT_REPLY),
	[BH_KEY_PROTO] = LOADS(BH_LOAD_L4PROTO),
	[BH_KEY_IIF] = LOADS(BH_LOAD_IIF),
	[BH_KEY_IIF_SADDR] = LOADS(BH_LOAD_IIF, BH_LOAD_SADDR),
	[BH_KEY_IIF_ETHER_SADDR] = LOADS(BH_LOAD_IIF, BH_LOAD_ETHER_SADDR),
	[BH_KEY_IIF_TARGET] = LOADS(BH_LOAD_IIF, BH_LOAD_TARGET),
	[BH_KEY_IIF_ARP_SHA] = LOADS(BH_LOAD_IIF, BH_LOAD_ARP_SHA),
	[BH_KEY_IIF_ARP_SPA] = LOADS(BH_LOAD_IIF, BH_LOAD_ARP_SPA),
	[BH_KEY_IIF_ARP_TPA] = LOADS(BH_LOAD_IIF, BH_LOAD_ARP_TPA),
	[BH_KEY_OIF] = LOADS(BH_LOAD_OIF),
	[BH_KEY_OIF_DADDR] = LOADS(BH_LOAD_OIF, BH_LOAD_DADDR),
	[BH_KEY_OIF_ETHER_DADDR] = LOADS(BH_LOAD_OIF, BH_LOAD_ETHER_DADDR),
	[BH_KEY_OIF_TYPE] = LOADS(BH_LOAD_OIF, BH_LOAD_ETHER_TYPE),
	[BH_KEY_OIF_TYPE_DADDR] = LOADS(BH_LOAD_OIF, BH_LOAD_ETHER_TYPE, BH_LOAD_DADDR),
	[BH_KEY_PRIORITY] = LOADS(BH_LOAD_PRIORITY),
};
static_assert(BH_ARRAY_LEN(keys) == BH_KEY_COUNT_, "every key has loads");

const struct bh_key_loads *bh_key_loads_of(enum bh_lookup_key key)
{
	return &keys[key];
}

/* 0: by the family. */
static const uint8_t load_lens[] = {
	[BH_LOAD_NFPROTO] = 1,     [BH_LOAD_L4PROTO] = 1,     [BH_LOAD_LENGTH] = 4,
	[BH_LOAD_IIF] = 4,         [BH_LOAD_OIF] = 4,         [BH_LOAD_SADDR] = 0,
	[BH_LOAD_DADDR] = 0,       [BH_LOAD_SPORT] = 2,       [BH_LOAD_DPORT] = 2,
	[BH_LOAD_TCP_FLAGS] = 1,   [BH_LOAD_NEXTHDR] = 1,     [BH_LOAD_HOPLIMIT] = 1,
	[BH_LOAD_PAYLOAD_LEN] = 2, [BH_LOAD_ICMP6_TYPE] = 1,  [BH_LOAD_TARGET] = 16,
	[BH_LOAD_ETHER_SADDR] = 6, [BH_LOAD_ETHER_DADDR] = 6, [BH_LOAD_ETHER_TYPE] = 2,
	[BH_LOAD_ARP_HTYPE] = 2,   [BH_LOAD_ARP_PTYPE] = 2,   [BH_LOAD_ARP_HLEN] = 1,
	[BH_LOAD_ARP_PLEN] = 1,    [BH_LOAD_ARP_OP] = 2,      [BH_LOAD_ARP_SHA] = 6,
	[BH_LOAD_ARP_SPA] = 4,     [BH_LOAD_ARP_TPA] = 4,     [BH_LOAD_ETHER_FROM] = 8,
	[BH_LOAD_RAW_SADDR] = 0,   [BH_LOAD_CT_ORIGINAL] = 0, [BH_LOAD_CT_REPLY] = 0,
	[BH_LOAD_PRIORITY] = 4,
};
static_assert(BH_ARRAY_LEN(load_lens) == BH_LOAD_COUNT_, "every load has a length");

size_t bh_load_len(enum bh_load load, enum bh_family family)
{
	return load_lens[load] ? load_lens[load] : bh_family_len(family);
}

enum bh_range_form bh_plan_range_form(const struct bh_expr *e, uint32_t *first, uint32_t *last)
{
	bool is_not = e->op == BH_MATCH_NOT_RANGE;
	size_t bits = 8 * bh_load_len(e->load, BH_IPV4);
	uint32_t max = bits < 32 ? (1u << bits) - 1 : UINT32_MAX;
	bool is_open = e->last >= max;

	assert(e->value <= e->last && (e->value > 0 || !is_open));
	*first = e->value;
	*last = e->last;
	if (e->value == e->last)
		return is_not ? BH_RANGE_IS_NOT : BH_RANGE_IS;
	if (is_open)
		*first = *last = e->value - 1;
	if (e->value == 0)
		*first = e->last;
	if (is_open || e->value == 0)
		return is_open != is_not ? BH_RANGE_ABOVE : BH_RANGE_UP_TO;
	return is_not ? BH_RANGE_OUTSIDE : BH_RANGE_WITHIN;
}

/* --- packing -----------------------------------------------------------------*/

static void put_u16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

void bh_plan_pack(enum bh_set_kind kind, const struct bh_key_values *v, uint8_t ret[BH_KEY_MAX])
{
	const struct bh_set_shape *s = &shapes[kind];
	const struct bh_addr *addr = v->addr;
	uint16_t port = v->port;
	size_t at = 0;

	memset(ret, 0, BH_KEY_MAX);
	for (size_t i = 0; i < s->n_fields; i++) {
		enum bh_family family = s->fields[i] == ADDR ? addr->family : BH_IPV4;
		size_t len = bh_field_len(s->fields[i], family);

		switch (s->fields[i]) {
		case BH_FIELD_ADDR:
			memcpy(ret + at, addr->bytes, len);
			addr = v->addr2;
			break;
		case BH_FIELD_PROTO: ret[at] = v->protocol; break;
		case BH_FIELD_PORT:
			put_u16(ret + at, port);
			port = v->port2;
			break;
		case BH_FIELD_LINK: memcpy(ret + at, &v->link, len); break;
		case BH_FIELD_MAC: memcpy(ret + at, v->mac, len); break;
		case BH_FIELD_ETHER_TYPE: put_u16(ret + at, v->ether_type); break;
		case BH_FIELD_TARGET: memcpy(ret + at, v->target->bytes, len); break;
		case BH_FIELD_PRIORITY: memcpy(ret + at, &v->priority, len); break;
		case BH_FIELD_COUNT_: abort();
		}
		at += bh_field_width(s->fields[i], family);
	}
}

void bh_plan_key(enum bh_set_kind kind, const struct bh_addr *addr, uint8_t protocol, uint16_t port,
		 uint8_t ret[BH_KEY_MAX])
{
	const struct bh_key_values v = { .addr = addr, .protocol = protocol, .port = port };

	bh_plan_pack(kind, &v, ret);
}

/* --- protocols ---------------------------------------------------------------*/

/* Does nft name the load by this protocol, as in "udp dport"? */
static bool is_of_protocol(enum bh_load load, uint32_t protocol)
{
	switch (load) {
	case BH_LOAD_ICMP6_TYPE: return protocol == IPPROTO_ICMPV6;
	case BH_LOAD_TCP_FLAGS: return protocol == IPPROTO_TCP;
	case BH_LOAD_SPORT:
	case BH_LOAD_DPORT:
		return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
		       protocol == IPPROTO_SCTP;
	default: return false;
	}
}

static bool is_of_family(enum bh_load load, enum bh_family of_load, enum bh_family family)
{
	switch (load) {
	case BH_LOAD_SADDR:
	case BH_LOAD_CT_ORIGINAL:
	case BH_LOAD_CT_REPLY:
	case BH_LOAD_DADDR: return of_load == family;
	case BH_LOAD_NEXTHDR:
	case BH_LOAD_HOPLIMIT:
	case BH_LOAD_PAYLOAD_LEN:
	case BH_LOAD_ICMP6_TYPE: return family == BH_IPV6;
	default: return false;
	}
}

/* Does @e match what only packets of the protocol that @of matches have? */
static bool depends_on(const struct bh_expr *e, const struct bh_expr *of)
{
	enum bh_family family = of->value == NFPROTO_IPV4 ? BH_IPV4 : BH_IPV6;

	if (e->kind == BH_EXPR_MATCH)
		return of->load == BH_LOAD_L4PROTO ? is_of_protocol(e->load, of->value)
						   : is_of_family(e->load, e->family, family);
	if ((e->kind == BH_EXPR_LOOKUP || e->kind == BH_EXPR_VMAP) && of->load == BH_LOAD_NFPROTO) {
		const struct bh_key_loads *k = bh_key_loads_of(e->key);

		for (size_t i = 0; i < k->n; i++) {
			if (is_of_family(k->loads[i], e->set->spec.family, family))
				return true;
		}
	}
	return false;
}

bool bh_plan_is_implied(const struct bh_plan_rule *rule, size_t i)
{
	const struct bh_expr *e = &rule->exprs[i];

	if (e->kind != BH_EXPR_MATCH || e->op != BH_MATCH_RANGE || e->value != e->last ||
	    (e->load != BH_LOAD_NFPROTO && e->load != BH_LOAD_L4PROTO))
		return false;
	for (size_t k = i + 1; k < rule->n_exprs; k++) {
		const struct bh_expr *later = &rule->exprs[k];

		if (depends_on(later, e))
			return true;
		/* Anything else has an effect that must not come before the match. */
		if (later->kind != BH_EXPR_MATCH && later->kind != BH_EXPR_LOOKUP)
			return false;
	}
	return false;
}
