/*
 * The plan as nftables text: as `nft list table` prints it, except that every
 * element has its own line, so that a diff of two plans is readable.
 */
#include "bh/render.h"

#include <assert.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>

static const char *const hook_names[] = {
	[BH_HOOK_NONE] = "",         [BH_HOOK_PREROUTING] = "prerouting",
	[BH_HOOK_INPUT] = "input",   [BH_HOOK_FORWARD] = "forward",
	[BH_HOOK_OUTPUT] = "output", [BH_HOOK_INGRESS] = "ingress",
};
static_assert(BH_ARRAY_LEN(hook_names) == BH_HOOK_COUNT_, "every hook has a name");

static const char *const verdict_names[] = {
	[BH_V_ACCEPT] = "accept", [BH_V_DROP] = "drop", [BH_V_RETURN] = "return",
	[BH_V_JUMP] = "jump",     [BH_V_GOTO] = "goto",
};
static_assert(BH_ARRAY_LEN(verdict_names) == BH_V_COUNT_, "every verdict has a name");

/* The names nft gives them (those of /etc/protocols). */
static void add_protocol(struct bh_buf *out, uint32_t protocol)
{
	static const struct {
		uint32_t number;
		const char *name;
	} names[] = {
		{ IPPROTO_TCP, "tcp" },   { IPPROTO_UDP, "udp" },          { IPPROTO_SCTP, "sctp" },
		{ IPPROTO_ICMP, "icmp" }, { IPPROTO_ICMPV6, "ipv6-icmp" },
	};
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(names); i++) {
		if (names[i].number == protocol) {
			bh_buf_puts(out, names[i].name);
			return;
		}
	}
	bh_buf_printf(out, "%u", protocol);
}

static const struct {
	uint32_t number;
	const char *name;
} ether_types[] = {
	{ ETH_P_IP, "ip" },       { ETH_P_ARP, "arp" },       { ETH_P_IPV6, "ip6" },
	{ ETH_P_8021Q, "8021q" }, { ETH_P_8021AD, "8021ad" },
};

static void add_ether_type(struct bh_buf *out, uint32_t type)
{
	for (size_t i = 0; i < BH_ARRAY_LEN(ether_types); i++) {
		if (ether_types[i].number == type) {
			bh_buf_puts(out, ether_types[i].name);
			return;
		}
	}
	bh_buf_printf(out, "0x%04x", type);
}

static void add_addr(struct bh_buf *out, enum bh_family family, const uint8_t *bytes)
{
	struct bh_addr a = { .family = (uint8_t)family };
	char text[BH_ADDR_STRLEN];

	memcpy(a.bytes, bytes, bh_family_len(family));
	bh_buf_puts(out, bh_addr_format(&a, text));
}

/* The length of the prefix that is this range, or -1. */
static int prefix_len(const uint8_t *first, const uint8_t *last, size_t len)
{
	size_t i, bits = len * 8, n = 0;

	while (n < bits && (first[n / 8] ^ last[n / 8]) >> (7 - n % 8) == 0)
		n++;
	for (i = n; i < bits; i++) {
		uint8_t bit = (uint8_t)(0x80 >> i % 8);

		if ((first[i / 8] & bit) || !(last[i / 8] & bit))
			return -1;
	}
	return (int)n;
}

static void add_addr_range(struct bh_buf *out, enum bh_family family, const uint8_t *first,
			   const uint8_t *last)
{
	size_t len = bh_family_len(family);
	int prefix = prefix_len(first, last, len);

	add_addr(out, family, first);
	if (prefix == (int)len * 8)
		return;
	if (prefix >= 0) {
		bh_buf_printf(out, "/%d", prefix);
		return;
	}
	bh_buf_putc(out, '-');
	add_addr(out, family, last);
}

static uint32_t get_u16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void add_mac(struct bh_buf *out, const uint8_t *mac)
{
	for (size_t i = 0; i < ETH_ALEN; i++)
		bh_buf_printf(out, "%s%02x", i ? ":" : "", mac[i]);
}

/* nft: an integer without leading zeros. */
static void add_target(struct bh_buf *out, const uint8_t *target, size_t len)
{
	size_t i = 0;

	while (i + 1 < len && target[i] == 0)
		i++;
	bh_buf_printf(out, "0x%x", target[i]);
	while (++i < len)
		bh_buf_printf(out, "%02x", target[i]);
}

/* As handles of traffic classes are written. */
static void add_priority_value(struct bh_buf *out, uint32_t priority)
{
	bh_buf_printf(out, "%x:%x", priority >> 16, priority & UINT16_MAX);
}

/* --- sets --------------------------------------------------------------------*/

static const char *field_type(enum bh_field field, enum bh_family family)
{
	static const char *const names[] = {
		[BH_FIELD_PROTO] = "inet_proto",      [BH_FIELD_PORT] = "inet_service",
		[BH_FIELD_LINK] = "iface_index",      [BH_FIELD_MAC] = "ether_addr",
		[BH_FIELD_ETHER_TYPE] = "ether_type", [BH_FIELD_TARGET] = "@th,64,128",
		[BH_FIELD_PRIORITY] = "classid",
	};
	static_assert(BH_ARRAY_LEN(names) == BH_FIELD_COUNT_, "every field has a type");

	if (field == BH_FIELD_ADDR)
		return family == BH_IPV4 ? "ipv4_addr" : "ipv6_addr";
	return names[field];
}

/* Bytes that have no type of their own need a set that is declared by its key. */
static bool has_target(const struct bh_set_shape *shape)
{
	for (size_t i = 0; i < shape->n_fields; i++) {
		if (shape->fields[i] == BH_FIELD_TARGET)
			return true;
	}
	return false;
}

static void add_type(struct bh_buf *out, const struct bh_set_spec *spec)
{
	const struct bh_set_shape *shape = bh_set_shape_of(spec->kind);
	bool is_typeof = has_target(shape);

	bh_buf_puts(out, is_typeof ? "typeof " : "type ");
	for (size_t i = 0; i < shape->n_fields; i++) {
		const char *type = field_type(shape->fields[i], spec->family);

		bh_buf_printf(out, "%s%s", i ? " . " : "",
			      is_typeof && shape->fields[i] == BH_FIELD_LINK ? "iif" : type);
	}
	bh_buf_puts(out, shape->is_map       ? " : verdict\n"
			 : shape->has_values ? " : classid\n"
					     : "\n");
}

static void add_field(struct bh_buf *out, enum bh_field field, enum bh_family family,
		      const uint8_t *first, const uint8_t *last)
{
	uint32_t number;

	switch (field) {
	case BH_FIELD_ADDR: add_addr_range(out, family, first, last); return;
	case BH_FIELD_PROTO: add_protocol(out, first[0]); return;
	case BH_FIELD_PORT:
		bh_buf_printf(out, "%u", get_u16(first));
		if (get_u16(last) != get_u16(first))
			bh_buf_printf(out, "-%u", get_u16(last));
		return;
	case BH_FIELD_LINK:
		memcpy(&number, first, sizeof(number));
		bh_buf_printf(out, "%u", number);
		return;
	case BH_FIELD_PRIORITY:
		memcpy(&number, first, sizeof(number));
		add_priority_value(out, number);
		return;
	case BH_FIELD_MAC: add_mac(out, first); return;
	case BH_FIELD_ETHER_TYPE: add_ether_type(out, get_u16(first)); return;
	case BH_FIELD_TARGET: add_target(out, first, bh_field_len(field, family)); return;
	case BH_FIELD_COUNT_: break;
	}
	abort();
}

static void add_elem(struct bh_buf *out, const struct bh_plan_set *set, const struct bh_elem *e)
{
	const struct bh_set_spec *spec = &set->spec;
	const struct bh_set_shape *shape = bh_set_shape_of(spec->kind);
	const uint8_t *end = spec->is_interval ? e->end : e->key;
	size_t at = 0;

	for (size_t i = 0; i < shape->n_fields; i++) {
		if (i)
			bh_buf_puts(out, " . ");
		add_field(out, shape->fields[i], spec->family, e->key + at, end + at);
		at += bh_field_width(shape->fields[i], spec->family);
	}
	if (shape->is_map)
		bh_buf_printf(out, " : jump %s", e->chain->name);
	if (shape->has_values) {
		bh_buf_puts(out, " : ");
		add_priority_value(out, e->value);
	}
}

/* As nft has it: "20m", "1m30s". */
static void add_duration(struct bh_buf *out, uint32_t seconds)
{
	static const struct {
		uint32_t seconds;
		char unit;
	} units[] = { { 24 * 60 * 60, 'd' }, { 60 * 60, 'h' }, { 60, 'm' }, { 1, 's' } };

	for (size_t i = 0; i < BH_ARRAY_LEN(units); i++) {
		if (seconds >= units[i].seconds)
			bh_buf_printf(out, "%u%c", seconds / units[i].seconds, units[i].unit);
		seconds %= units[i].seconds;
	}
}

static void add_set(struct bh_buf *out, const struct bh_plan_set *set)
{
	const struct bh_set_spec *spec = &set->spec;
	const struct bh_set_shape *shape = bh_set_shape_of(spec->kind);
	struct bh_elem e;
	size_t i;

	bh_buf_printf(out, "\t%s %s {\n\t\t", shape->is_map || shape->has_values ? "map" : "set",
		      spec->name);
	add_type(out, spec);
	if (shape->is_dynamic) {
		bh_buf_printf(out, "\t\tsize %u\n\t\tflags dynamic,timeout\n\t\ttimeout ",
			      spec->size ? spec->size : BH_SET_SIZE);
		add_duration(out, spec->timeout_s ? spec->timeout_s : BH_SET_TIMEOUT_S);
		bh_buf_putc(out, '\n');
	}
	if (spec->is_interval)
		bh_buf_puts(out, "\t\tflags interval\n");
	if (spec->comment)
		bh_buf_printf(out, "\t\tcomment \"%s\"\n", spec->comment);
	for (i = 0; i < set->n; i++) {
		bh_plan_elem(set, i, &e);
		bh_buf_puts(out, i ? ",\n\t\t\t     " : "\t\telements = { ");
		add_elem(out, set, &e);
	}
	bh_buf_puts(out, set->n ? " }\n\t}\n\n" : "\t}\n\n");
}

/* --- rules -------------------------------------------------------------------*/

/* How the values of a load are written. */
enum notation {
	NOTE_NUMBER,
	NOTE_FAMILY,
	NOTE_PROTOCOL,
	NOTE_ETHER_TYPE,
	NOTE_ARP_OP,
	NOTE_FLAGS,
	NOTE_ADDR,
	NOTE_MAC,
	NOTE_BYTES,
	NOTE_PRIORITY,
};

static const struct {
	const char *name;
	enum notation notation;
} loads[] = {
	[BH_LOAD_NFPROTO] = { "meta nfproto", NOTE_FAMILY },
	[BH_LOAD_L4PROTO] = { "meta l4proto", NOTE_PROTOCOL },
	[BH_LOAD_LENGTH] = { "meta length", NOTE_NUMBER },
	[BH_LOAD_IIF] = { "iif", NOTE_NUMBER },
	[BH_LOAD_OIF] = { "oif", NOTE_NUMBER },
	[BH_LOAD_PRIORITY] = { "meta priority", NOTE_PRIORITY },
	[BH_LOAD_SADDR] = { "saddr", NOTE_ADDR },
	[BH_LOAD_DADDR] = { "daddr", NOTE_ADDR },
	[BH_LOAD_CT_ORIGINAL] = { "ct original", NOTE_ADDR },
	[BH_LOAD_CT_REPLY] = { "ct reply", NOTE_ADDR },
	[BH_LOAD_SPORT] = { "sport", NOTE_NUMBER },
	[BH_LOAD_DPORT] = { "dport", NOTE_NUMBER },
	[BH_LOAD_TCP_FLAGS] = { "tcp flags", NOTE_FLAGS },
	[BH_LOAD_NEXTHDR] = { "ip6 nexthdr", NOTE_PROTOCOL },
	[BH_LOAD_HOPLIMIT] = { "ip6 hoplimit", NOTE_NUMBER },
	[BH_LOAD_PAYLOAD_LEN] = { "ip6 length", NOTE_NUMBER },
	[BH_LOAD_ICMP6_TYPE] = { "icmpv6 type", NOTE_NUMBER },
	[BH_LOAD_TARGET] = { "@th,64,128", NOTE_BYTES },
	[BH_LOAD_ETHER_SADDR] = { "ether saddr", NOTE_MAC },
	[BH_LOAD_ETHER_DADDR] = { "ether daddr", NOTE_MAC },
	[BH_LOAD_ETHER_TYPE] = { "ether type", NOTE_ETHER_TYPE },
	[BH_LOAD_ETHER_FROM] = { "@ll,48,64", NOTE_BYTES },
	[BH_LOAD_RAW_SADDR] = { NULL, NOTE_BYTES },
	[BH_LOAD_ARP_HTYPE] = { "arp htype", NOTE_NUMBER },
	[BH_LOAD_ARP_PTYPE] = { "arp ptype", NOTE_ETHER_TYPE },
	[BH_LOAD_ARP_HLEN] = { "arp hlen", NOTE_NUMBER },
	[BH_LOAD_ARP_PLEN] = { "arp plen", NOTE_NUMBER },
	[BH_LOAD_ARP_OP] = { "arp operation", NOTE_ARP_OP },
	[BH_LOAD_ARP_SHA] = { "arp saddr ether", NOTE_MAC },
	[BH_LOAD_ARP_SPA] = { "arp saddr ip", NOTE_ADDR },
	[BH_LOAD_ARP_TPA] = { "arp daddr ip", NOTE_ADDR },
};
static_assert(BH_ARRAY_LEN(loads) == BH_LOAD_COUNT_, "every load has a name");

/* @header is what nft calls the transport header here. */
static void add_load(struct bh_buf *out, enum bh_load load, enum bh_family family,
		     const char *header)
{
	if (load == BH_LOAD_SADDR || load == BH_LOAD_DADDR)
		bh_buf_puts(out, family == BH_IPV4 ? "ip " : "ip6 ");
	if (load == BH_LOAD_SPORT || load == BH_LOAD_DPORT)
		bh_buf_printf(out, "%s ", header);
	if (load == BH_LOAD_RAW_SADDR)
		bh_buf_puts(out, family == BH_IPV4 ? "@nh,96,32" : "@nh,64,128");
	else
		bh_buf_puts(out, loads[load].name);
	if (load == BH_LOAD_CT_ORIGINAL || load == BH_LOAD_CT_REPLY)
		bh_buf_puts(out, family == BH_IPV4 ? " ip saddr" : " ip6 saddr");
}

static void add_key(struct bh_buf *out, enum bh_lookup_key key, enum bh_family family)
{
	const struct bh_key_loads *k = bh_key_loads_of(key);

	for (size_t i = 0; i < k->n; i++) {
		if (i)
			bh_buf_puts(out, " . ");
		add_load(out, k->loads[i], family, "th");
	}
}

static void add_arp_op(struct bh_buf *out, uint32_t op)
{
	static const char *const names[] = { [ARPOP_REQUEST] = "request",
					     [ARPOP_REPLY] = "reply",
					     [ARPOP_RREQUEST] = "rrequest",
					     [ARPOP_RREPLY] = "rreply",
					     [ARPOP_InREQUEST] = "inrequest",
					     [ARPOP_InREPLY] = "inreply",
					     [ARPOP_NAK] = "nak" };

	if (op < BH_ARRAY_LEN(names) && names[op])
		bh_buf_puts(out, names[op]);
	else
		bh_buf_printf(out, "%u", op);
}

static void add_number(struct bh_buf *out, enum notation notation, uint32_t value)
{
	if (notation == NOTE_PROTOCOL)
		add_protocol(out, value);
	else if (notation == NOTE_ETHER_TYPE)
		add_ether_type(out, value);
	else if (notation == NOTE_ARP_OP)
		add_arp_op(out, value);
	else if (notation == NOTE_FAMILY && (value == NFPROTO_IPV4 || value == NFPROTO_IPV6))
		bh_buf_puts(out, value == NFPROTO_IPV4 ? "ipv4" : "ipv6");
	else
		bh_buf_printf(out, "%u", value);
}

static void add_range(struct bh_buf *out, const struct bh_expr *e)
{
	static const char *const signs[] = {
		[BH_RANGE_IS] = " ",       [BH_RANGE_IS_NOT] = " != ", [BH_RANGE_ABOVE] = " > ",
		[BH_RANGE_UP_TO] = " <= ", [BH_RANGE_WITHIN] = " ",    [BH_RANGE_OUTSIDE] = " != ",
	};
	static_assert(BH_ARRAY_LEN(signs) == BH_RANGE_FORM_COUNT_, "every form has a sign");
	enum notation notation = loads[e->load].notation;
	uint32_t first, last;
	enum bh_range_form form = bh_plan_range_form(e, &first, &last);

	bh_buf_puts(out, signs[form]);
	/* Bounds have no names. */
	if (form != BH_RANGE_WITHIN && form != BH_RANGE_OUTSIDE)
		add_number(out, notation, first);
	else if (notation == NOTE_ETHER_TYPE)
		bh_buf_printf(out, "0x%04x-0x%04x", first, last);
	else
		bh_buf_printf(out, "%u-%u", first, last);
}

static bool is_all(const uint8_t *bytes, size_t len, uint8_t value)
{
	return bytes[0] == value && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static void add_flags(struct bh_buf *out, uint8_t flags)
{
	static const char *const names[] = {
		"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"
	};
	const char *comma = "";

	for (size_t i = 0; i < BH_ARRAY_LEN(names); i++) {
		if (!(flags & 1u << i))
			continue;
		bh_buf_printf(out, "%s%s", comma, names[i]);
		comma = ",";
	}
}

/* nft 1.0.6 has a form of its own for each of these. */
static void add_flags_match(struct bh_buf *out, uint8_t flags, uint8_t mask, bool is_not)
{
	bool is_one = (mask & (mask - 1)) == 0;

	if (mask == UINT8_MAX || (is_one && flags)) {
		const char *sign = is_not ? "!=" : "==";

		if (mask != UINT8_MAX) {
			bh_buf_puts(out, " & ");
			add_flags(out, mask);
		}
		bh_buf_printf(out, " %s ", sign);
		if (flags && (flags & (flags - 1)) == 0)
			add_flags(out, flags);
		else
			bh_buf_printf(out, "0x%x", flags);
		return;
	}
	if (flags == 0) {
		bh_buf_puts(out, is_not ? " " : " ! ");
	} else {
		bh_buf_puts(out, is_not ? " != " : " ");
		add_flags(out, flags);
		bh_buf_puts(out, " / ");
	}
	add_flags(out, mask);
}

/* The length of the prefix with this mask, or -1: such a range is all that the mask leaves open. */
static int mask_len(const uint8_t *mask, size_t len)
{
	static const uint8_t zeros[16];
	uint8_t last[16];

	for (size_t i = 0; i < len; i++)
		last[i] = (uint8_t)~mask[i];
	return prefix_len(zeros, last, len);
}

static void add_bytes(struct bh_buf *out, const struct bh_expr *e, const uint8_t *bytes, size_t len)
{
	uint32_t priority;

	switch (loads[e->load].notation) {
	case NOTE_PRIORITY:
		memcpy(&priority, bytes, sizeof(priority));
		add_priority_value(out, priority);
		return;
	case NOTE_MAC: add_mac(out, bytes); return;
	case NOTE_BYTES: add_target(out, bytes, len); return;
	default: add_addr(out, len == 4 ? BH_IPV4 : BH_IPV6, bytes); return;
	}
}

static void add_bytes_match(struct bh_buf *out, const struct bh_expr *e)
{
	size_t len = bh_load_len(e->load, e->family);
	bool is_not = e->op == BH_MATCH_NOT_BYTES;
	bool is_whole = is_all(e->mask, len, 0) || is_all(e->mask, len, UINT8_MAX);
	int prefix = mask_len(e->mask, len);

	if (loads[e->load].notation == NOTE_FLAGS) {
		add_flags_match(out, e->bytes[0], is_whole ? UINT8_MAX : e->mask[0], is_not);
		return;
	}
	if (is_whole || (loads[e->load].notation == NOTE_ADDR && prefix > 0)) {
		bh_buf_puts(out, is_not ? " != " : " ");
		add_bytes(out, e, e->bytes, len);
		if (!is_whole)
			bh_buf_printf(out, "/%d", prefix);
		return;
	}
	bh_buf_puts(out, " & ");
	add_bytes(out, e, e->mask, len);
	bh_buf_puts(out, is_not ? " != " : " == ");
	add_bytes(out, e, e->bytes, len);
}

static void add_match(struct bh_buf *out, const struct bh_expr *e, const char *header)
{
	add_load(out, e->load, e->family, header);
	if (e->op == BH_MATCH_BYTES || e->op == BH_MATCH_NOT_BYTES)
		add_bytes_match(out, e);
	else
		add_range(out, e);
}

static void add_ct_state(struct bh_buf *out, uint32_t mask)
{
	bool both = (mask & BH_CT_ESTABLISHED) && (mask & BH_CT_RELATED);

	bh_buf_printf(out, "ct state %s%s%s", mask & BH_CT_ESTABLISHED ? "established" : "",
		      both ? "," : "", mask & BH_CT_RELATED ? "related" : "");
}

/* @header is what ports are fields of: "th", or the protocol that is known. */
static void add_expr(struct bh_buf *out, const struct bh_expr *e, const char *header)
{
	switch (e->kind) {
	case BH_EXPR_CT_STATE: add_ct_state(out, e->value); return;
	case BH_EXPR_FIB_LOCAL: bh_buf_puts(out, "fib saddr type local"); return;
	case BH_EXPR_FIB_BROADCAST: bh_buf_puts(out, "fib daddr type broadcast"); return;
	case BH_EXPR_MATCH: add_match(out, e, header); return;
	case BH_EXPR_LOOKUP:
	case BH_EXPR_VMAP:
		add_key(out, e->key, e->set->spec.family);
		bh_buf_printf(out, " %s%s@%s", e->kind == BH_EXPR_VMAP ? "vmap " : "",
			      e->is_negated ? "!= " : "", e->set->spec.name);
		return;
	case BH_EXPR_COUNTER: bh_buf_printf(out, "counter name \"%s\"", e->name); return;
	case BH_EXPR_LIMIT:
	case BH_EXPR_UPDATE:
		bh_buf_printf(out, "update @%s { ", e->set->spec.name);
		add_key(out, e->key, e->set->spec.family);
		if (e->kind == BH_EXPR_LIMIT)
			bh_buf_printf(out, " limit rate %u/second burst %u packets",
				      e->set->spec.rate, e->set->spec.burst);
		bh_buf_puts(out, " }");
		return;
	case BH_EXPR_PRIORITY:
		bh_buf_puts(out, "meta priority set ");
		if (!e->set) {
			bh_buf_puts(out, "none");
			return;
		}
		add_key(out, e->key, e->set->spec.family);
		bh_buf_printf(out, " map @%s", e->set->spec.name);
		return;
	case BH_EXPR_LOG:
		bh_buf_printf(out, "log prefix \"%s\" group %u", e->name, e->group);
		if (e->snaplen)
			bh_buf_printf(out, " snaplen %u", e->snaplen);
		return;
	case BH_EXPR_VERDICT:
		bh_buf_puts(out, verdict_names[e->verdict]);
		if (e->chain)
			bh_buf_printf(out, " %s", e->chain->name);
		return;
	case BH_EXPR_KIND_COUNT_: break;
	}
	abort();
}

static const char *transport_header(const struct bh_expr *implied)
{
	switch (implied->value) {
	case IPPROTO_TCP: return "tcp";
	case IPPROTO_UDP: return "udp";
	case IPPROTO_SCTP: return "sctp";
	default: return "th";
	}
}

void bh_render_rule(const struct bh_plan_rule *rule, struct bh_buf *out)
{
	const char *header = "th";
	bool is_first = true;

	for (size_t i = 0; i < rule->n_exprs; i++) {
		const struct bh_expr *e = &rule->exprs[i];

		if (bh_plan_is_implied(rule, i)) {
			if (e->load == BH_LOAD_L4PROTO)
				header = transport_header(e);
			continue;
		}
		if (!is_first)
			bh_buf_putc(out, ' ');
		add_expr(out, e, header);
		is_first = false;
	}
}

/* --- chains ------------------------------------------------------------------*/

static void add_priority(struct bh_buf *out, enum bh_table table, enum bh_hook hook,
			 int32_t priority)
{
	static const struct {
		int32_t number;
		const char *name;
		int tables; /* 1 << enum bh_table */
		int hook;   /* -1: any */
	} names[] = {
		{ NF_IP_PRI_RAW, "raw", 1 << BH_TABLE_INET, -1 },
		{ NF_IP_PRI_MANGLE, "mangle", 1 << BH_TABLE_INET, -1 },
		{ NF_IP_PRI_NAT_DST, "dstnat", 1 << BH_TABLE_INET, BH_HOOK_PREROUTING },
		{ NF_IP_PRI_FILTER, "filter", 1 << BH_TABLE_INET | 1 << BH_TABLE_NETDEV, -1 },
		{ NF_IP_PRI_SECURITY, "security", 1 << BH_TABLE_INET, -1 },
		{ NF_BR_PRI_NAT_DST_BRIDGED, "dstnat", 1 << BH_TABLE_BRIDGE, BH_HOOK_PREROUTING },
		{ NF_BR_PRI_FILTER_BRIDGED, "filter", 1 << BH_TABLE_BRIDGE, -1 },
		{ NF_BR_PRI_NAT_DST_OTHER, "out", 1 << BH_TABLE_BRIDGE, BH_HOOK_OUTPUT },
	};

	for (size_t i = 0; i < BH_ARRAY_LEN(names); i++) {
		int32_t offset = priority - names[i].number;

		if (!(names[i].tables & 1 << table) || offset < -10 || offset > 10 ||
		    (names[i].hook >= 0 && names[i].hook != (int)hook))
			continue;
		bh_buf_puts(out, names[i].name);
		if (offset)
			bh_buf_printf(out, " %c %d", offset < 0 ? '-' : '+', abs(offset));
		return;
	}
	bh_buf_printf(out, "%d", priority);
}

static void add_chain(struct bh_buf *out, enum bh_table table, const struct bh_plan_chain *chain)
{
	size_t i;

	bh_buf_printf(out, "\tchain %s {\n", chain->name);
	if (chain->comment)
		bh_buf_printf(out, "\t\tcomment \"%s\"\n", chain->comment);
	if (chain->hook != BH_HOOK_NONE) {
		bh_buf_printf(out, "\t\ttype filter hook %s ", hook_names[chain->hook]);
		if (chain->device)
			bh_buf_printf(out, "device \"%s\" ", chain->device);
		bh_buf_puts(out, "priority ");
		add_priority(out, table, chain->hook, chain->priority);
		bh_buf_puts(out, "; policy accept;\n");
	}
	for (i = 0; i < chain->n_rules; i++) {
		bh_buf_puts(out, "\t\t");
		bh_render_rule(&chain->rules[i], out);
		bh_buf_putc(out, '\n');
	}
	bh_buf_puts(out, "\t}\n\n");
}

void bh_render(const struct bh_plan *plan, struct bh_buf *out)
{
	const struct bh_plan_chain *const *chains;
	const struct bh_plan_set *const *sets;
	const char *const *counters;
	size_t n, i;

	bh_buf_printf(out, "table %s " BH_TABLE " {\n", bh_table_str(bh_plan_table(plan)));
	n = bh_plan_counters(plan, &counters);
	for (i = 0; i < n; i++)
		bh_buf_printf(out, "\tcounter %s {\n\t\tpackets 0 bytes 0\n\t}\n\n", counters[i]);
	n = bh_plan_sets(plan, &sets);
	for (i = 0; i < n; i++)
		add_set(out, sets[i]);
	n = bh_plan_chains(plan, &chains);
	for (i = 0; i < n; i++)
		add_chain(out, bh_plan_table(plan), chains[i]);
	/* No empty line after the last block. */
	if (out->data[out->len - 2] == '\n')
		out->data[--out->len] = '\0';
	bh_buf_puts(out, "}\n");
}
