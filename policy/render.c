/*
 * The plan as nftables text: as `nft list table` prints it, except that every
 * element has its own line, so that a diff of two plans is readable.
 */
#include "bh/render.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

static const char *const addr_types[] = {
	[BH_IPV4] = "ipv4_addr",
	[BH_IPV6] = "ipv6_addr",
};

static const char *const addr_headers[] = {
	[BH_IPV4] = "ip",
	[BH_IPV6] = "ip6",
};

static const char *const hook_names[] = {
	[BH_HOOK_NONE] = "",
	[BH_HOOK_INPUT] = "input",
	[BH_HOOK_FORWARD] = "forward",
	[BH_HOOK_OUTPUT] = "output",
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

static void add_type(struct bh_buf *out, const struct bh_set_spec *spec)
{
	const char *addr = addr_types[spec->family];

	switch (spec->kind) {
	case BH_SET_ADDR:
	case BH_SET_LOG_LIMIT: bh_buf_puts(out, addr); return;
	case BH_SET_ADDR_PROTO_PORT:
		bh_buf_printf(out, "%s . inet_proto . inet_service", addr);
		return;
	case BH_SET_PROTO_PORT: bh_buf_puts(out, "inet_proto . inet_service"); return;
	case BH_SET_VERDICT_MAP: bh_buf_printf(out, "%s : verdict", addr); return;
	case BH_SET_KIND_COUNT_: break;
	}
	abort();
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

static void add_proto_port(struct bh_buf *out, const uint8_t *first, const uint8_t *last)
{
	unsigned int lo = (unsigned int)first[4] << 8 | first[5];
	unsigned int hi = (unsigned int)last[4] << 8 | last[5];

	add_protocol(out, first[0]);
	bh_buf_printf(out, " . %u", lo);
	if (hi != lo)
		bh_buf_printf(out, "-%u", hi);
}

static void add_elem(struct bh_buf *out, const struct bh_plan_set *set, const struct bh_elem *e)
{
	enum bh_set_kind kind = set->spec.kind;
	enum bh_family family = set->spec.family;
	const uint8_t *end = set->spec.is_interval ? e->end : e->key;
	size_t addr_len = bh_family_len(family);

	if (kind == BH_SET_PROTO_PORT) {
		add_proto_port(out, e->key, end);
		return;
	}
	add_addr_range(out, family, e->key, end);
	if (kind == BH_SET_ADDR_PROTO_PORT) {
		bh_buf_puts(out, " . ");
		add_proto_port(out, e->key + addr_len, end + addr_len);
	}
	if (kind == BH_SET_VERDICT_MAP)
		bh_buf_printf(out, " : jump %s", e->chain->name);
}

static void add_set(struct bh_buf *out, const struct bh_plan_set *set)
{
	const struct bh_set_spec *spec = &set->spec;
	struct bh_elem e;
	size_t i;

	bh_buf_printf(out, "\t%s %s {\n\t\ttype ", spec->kind == BH_SET_VERDICT_MAP ? "map" : "set",
		      spec->name);
	add_type(out, spec);
	bh_buf_putc(out, '\n');
	if (spec->kind == BH_SET_LOG_LIMIT)
		bh_buf_puts(out, "\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 1m\n");
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

static void add_key(struct bh_buf *out, enum bh_lookup_key key, enum bh_family family)
{
	static const char *const ports = "meta l4proto . th dport";
	const char *header = addr_headers[family];

	switch (key) {
	case BH_KEY_SADDR: bh_buf_printf(out, "%s saddr", header); return;
	case BH_KEY_DADDR: bh_buf_printf(out, "%s daddr", header); return;
	case BH_KEY_SADDR_PROTO_PORT: bh_buf_printf(out, "%s saddr . %s", header, ports); return;
	case BH_KEY_DADDR_PROTO_PORT: bh_buf_printf(out, "%s daddr . %s", header, ports); return;
	case BH_KEY_PROTO_PORT: bh_buf_puts(out, ports); return;
	case BH_KEY_COUNT_: break;
	}
	abort();
}

static void add_ct_state(struct bh_buf *out, uint32_t mask)
{
	bool both = (mask & BH_CT_ESTABLISHED) && (mask & BH_CT_RELATED);

	bh_buf_printf(out, "ct state %s%s%s", mask & BH_CT_ESTABLISHED ? "established" : "",
		      both ? "," : "", mask & BH_CT_RELATED ? "related" : "");
}

static void add_expr(struct bh_buf *out, const struct bh_expr *e)
{
	switch (e->kind) {
	case BH_EXPR_CT_STATE: add_ct_state(out, e->value); return;
	case BH_EXPR_NFPROTO:
		bh_buf_printf(out, "meta nfproto ipv%c", e->family == BH_IPV4 ? '4' : '6');
		return;
	case BH_EXPR_L4PROTO:
		bh_buf_puts(out, "meta l4proto ");
		add_protocol(out, e->value);
		return;
	case BH_EXPR_ICMP6_TYPE:
		bh_buf_printf(out, "icmpv6 type %u", e->value);
		if (e->last != e->value)
			bh_buf_printf(out, "-%u", e->last);
		return;
	case BH_EXPR_HOPLIMIT: bh_buf_printf(out, "ip6 hoplimit %u", e->value); return;
	case BH_EXPR_FIB_LOCAL: bh_buf_puts(out, "fib saddr type local"); return;
	case BH_EXPR_LOOKUP:
	case BH_EXPR_VMAP:
		add_key(out, e->key, e->set->spec.family);
		bh_buf_printf(out, " %s@%s", e->kind == BH_EXPR_VMAP ? "vmap " : "",
			      e->set->spec.name);
		return;
	case BH_EXPR_COUNTER: bh_buf_printf(out, "counter name \"%s\"", e->name); return;
	case BH_EXPR_LIMIT:
		bh_buf_printf(out, "update @%s { ", e->set->spec.name);
		add_key(out, e->key, e->set->spec.family);
		bh_buf_printf(out, " limit rate %u/second burst %u packets }", e->set->spec.rate,
			      e->set->spec.burst);
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

static bool has_expr(const struct bh_plan_rule *rule, enum bh_expr_kind kind)
{
	size_t i;

	for (i = 0; i < rule->n_exprs; i++) {
		if (rule->exprs[i].kind == kind)
			return true;
	}
	return false;
}

/* What nft leaves out, because a later match of the rule implies it. */
static bool is_implied(const struct bh_plan_rule *rule, enum bh_expr_kind kind)
{
	return (kind == BH_EXPR_NFPROTO && has_expr(rule, BH_EXPR_HOPLIMIT)) ||
	       (kind == BH_EXPR_L4PROTO && has_expr(rule, BH_EXPR_ICMP6_TYPE));
}

void bh_render_rule(const struct bh_plan_rule *rule, struct bh_buf *out)
{
	bool is_first = true;
	size_t i;

	for (i = 0; i < rule->n_exprs; i++) {
		if (is_implied(rule, rule->exprs[i].kind))
			continue;
		if (!is_first)
			bh_buf_putc(out, ' ');
		add_expr(out, &rule->exprs[i]);
		is_first = false;
	}
}

static void add_chain(struct bh_buf *out, const struct bh_plan_chain *chain)
{
	size_t i;

	bh_buf_printf(out, "\tchain %s {\n", chain->name);
	if (chain->comment)
		bh_buf_printf(out, "\t\tcomment \"%s\"\n", chain->comment);
	if (chain->hook != BH_HOOK_NONE) {
		bh_buf_printf(out, "\t\ttype filter hook %s priority ", hook_names[chain->hook]);
		if (chain->priority == 0)
			bh_buf_puts(out, "filter");
		else
			bh_buf_printf(out, "%d", chain->priority);
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

	bh_buf_puts(out, "table inet " BH_TABLE " {\n");
	n = bh_plan_counters(plan, &counters);
	for (i = 0; i < n; i++)
		bh_buf_printf(out, "\tcounter %s {\n\t\tpackets 0 bytes 0\n\t}\n\n", counters[i]);
	n = bh_plan_sets(plan, &sets);
	for (i = 0; i < n; i++)
		add_set(out, sets[i]);
	n = bh_plan_chains(plan, &chains);
	for (i = 0; i < n; i++)
		add_chain(out, chains[i]);
	/* No empty line after the last block. */
	if (out->data[out->len - 2] == '\n')
		out->data[--out->len] = '\0';
	bh_buf_puts(out, "}\n");
}
