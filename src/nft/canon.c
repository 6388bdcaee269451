/*
 * One form for all rules that do the same, whoever wrote them: Bulkhead, nft, or
 * the kernel that dumps them.
 *
 * They differ in the order of attributes, in the flag NLA_F_NESTED, and in
 * defaults, which the kernel dumps whether they were given or not.  nft also joins
 * matches of neighbouring header fields into one, so each of them is taken as
 * matches of single bytes.  Everything else counts, known or not: a rule with an
 * attribute of a newer kernel is none of ours.
 */
#include "nft_impl.h"

#include <arpa/inet.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "bh/hash.h"

/* Of one level; expressions have about ten. */
#define MAX_ATTRS 32u

#define BIT(attr) (1u << (attr))

/* What is known of an expression's attributes. */
struct schema {
	const char *name;
	uint32_t data;     /* these hold a value or a verdict */
	uint32_t exprs;    /* these hold an expression */
	uint32_t defaults; /* if 0, these may be left out */
	uint32_t strings;  /* these may end with a NUL or not */
};

static const struct schema schemas[] = {
	{ .name = "bitwise",
	  .data = BIT(NFTA_BITWISE_MASK) | BIT(NFTA_BITWISE_XOR),
	  .defaults = BIT(NFTA_BITWISE_OP) },
	{ .name = "cmp", .data = BIT(NFTA_CMP_DATA) },
	{ .name = "immediate", .data = BIT(NFTA_IMMEDIATE_DATA) },
	{ .name = "range", .data = BIT(NFTA_RANGE_FROM_DATA) | BIT(NFTA_RANGE_TO_DATA) },
	{ .name = "objref", .strings = BIT(NFTA_OBJREF_IMM_NAME) },
	{ .name = "lookup", .defaults = BIT(NFTA_LOOKUP_FLAGS) },
	{ .name = "limit", .defaults = BIT(NFTA_LIMIT_TYPE) | BIT(NFTA_LIMIT_FLAGS) },
	{ .name = "dynset",
	  .exprs = BIT(NFTA_DYNSET_EXPR),
	  .defaults = BIT(NFTA_DYNSET_TIMEOUT) | BIT(NFTA_DYNSET_FLAGS) },
};

static const struct schema unknown = { 0 };

static const struct schema *find_schema(const char *name)
{
	for (size_t i = 0; i < BH_ARRAY_LEN(schemas); i++) {
		if (strcmp(schemas[i].name, name) == 0)
			return &schemas[i];
	}
	return &unknown;
}

/* The attributes of one level, sorted by type. */
struct level {
	const struct nlattr *attrs[MAX_ATTRS];
	size_t n;
	bool is_cut; /* there were more */
};

static int on_attr(const struct nlattr *a, void *ctx)
{
	struct level *l = ctx;
	size_t i = l->n;

	if (l->n == MAX_ATTRS) {
		l->is_cut = true;
		return MNL_CB_STOP;
	}
	for (; i > 0 && mnl_attr_get_type(l->attrs[i - 1]) > mnl_attr_get_type(a); i--)
		l->attrs[i] = l->attrs[i - 1];
	l->attrs[i] = a;
	l->n++;
	return MNL_CB_OK;
}

static struct level read_level(const struct nlattr *nest)
{
	struct level l = { .n = 0 };

	(void)mnl_attr_parse_nested(nest, on_attr, &l);
	return l;
}

static const struct nlattr *find(const struct level *l, uint16_t type)
{
	for (size_t i = 0; i < l->n; i++) {
		if (mnl_attr_get_type(l->attrs[i]) == type)
			return l->attrs[i];
	}
	return NULL;
}

static void put_head(struct bh_buf *out, uint16_t type, size_t len)
{
	uint16_t head[2] = { type, (uint16_t)len };

	bh_buf_add(out, head, sizeof(head));
}

static void put_string(struct bh_buf *out, const struct nlattr *a)
{
	const char *s = mnl_attr_get_payload(a);
	size_t len = strnlen(s, mnl_attr_get_payload_len(a));

	put_head(out, mnl_attr_get_type(a), len);
	bh_buf_add(out, s, len);
}

static void put_leaf(struct bh_buf *out, const struct nlattr *a)
{
	put_head(out, mnl_attr_get_type(a), mnl_attr_get_payload_len(a));
	bh_buf_add(out, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
}

/* No rule of ours has this mark. */
static void put_cut(struct bh_buf *out, const struct level *l)
{
	if (l->is_cut)
		put_head(out, UINT16_MAX, UINT16_MAX);
}

/* A value, or a verdict with code and chain; how many levels says @depth. */
static void put_data(struct bh_buf *out, const struct nlattr *nest, unsigned int depth)
{
	struct level l = read_level(nest);

	put_head(out, mnl_attr_get_type(nest), l.n);
	for (size_t i = 0; i < l.n; i++) {
		if (depth && mnl_attr_get_type(l.attrs[i]) == NFTA_DATA_VERDICT)
			put_data(out, l.attrs[i], depth - 1);
		else
			put_leaf(out, l.attrs[i]);
	}
	put_cut(out, &l);
}

static bool is_zero(const struct nlattr *a)
{
	const uint8_t *p = mnl_attr_get_payload(a);

	for (size_t i = 0; i < mnl_attr_get_payload_len(a); i++) {
		if (p[i])
			return false;
	}
	return true;
}

static uint32_t get_u32(const struct level *l, uint16_t type)
{
	const struct nlattr *a = find(l, type);

	return a && mnl_attr_validate(a, MNL_TYPE_U32) == 0 ? ntohl(mnl_attr_get_u32(a)) : 0;
}

/*
 * nft converts the protocol of a lookup in an interval concatenation to network
 * byte order in units of two bytes, of one byte: the kernel copies nothing then.
 */
static bool does_nothing(const char *name, const struct level *data)
{
	return strcmp(name, "byteorder") == 0 && get_u32(data, NFTA_BYTEORDER_LEN) == 1 &&
	       get_u32(data, NFTA_BYTEORDER_SIZE) == 2;
}

static void put_expr(struct bh_buf *out, const struct nlattr *expr, unsigned int depth)
{
	struct level l = read_level(expr), data;
	const struct nlattr *name = find(&l, NFTA_EXPR_NAME), *nest = find(&l, NFTA_EXPR_DATA);
	const struct schema *s;

	put_cut(out, &l);
	if (!name || mnl_attr_validate(name, MNL_TYPE_NUL_STRING) < 0 || !nest) {
		put_leaf(out, expr);
		return;
	}
	s = find_schema(mnl_attr_get_str(name));
	data = read_level(nest);
	if (does_nothing(mnl_attr_get_str(name), &data))
		return;
	put_leaf(out, name);
	put_cut(out, &data);
	for (size_t i = 0; i < data.n; i++) {
		const struct nlattr *a = data.attrs[i];
		uint16_t type = mnl_attr_get_type(a);
		uint32_t bit = type < 32 ? BIT(type) : 0;

		if (s->defaults & bit && is_zero(a))
			continue;
		if (s->data & bit)
			put_data(out, a, 1);
		else if (s->exprs & bit && depth)
			put_expr(out, a, depth - 1);
		else if (s->strings & bit)
			put_string(out, a);
		else
			put_leaf(out, a);
	}
}

/* --- matches of bytes --------------------------------------------------------*/

/* Ours have some twenty. */
#define MAX_EXPRS 64u

struct exprs {
	const struct nlattr *attrs[MAX_EXPRS];
	size_t n;
	bool is_cut; /* there were more */
};

static int on_expr(const struct nlattr *a, void *ctx)
{
	struct exprs *x = ctx;

	if (x->n == MAX_EXPRS) {
		x->is_cut = true;
		return MNL_CB_STOP;
	}
	x->attrs[x->n++] = a;
	return MNL_CB_OK;
}

/* One byte of a header, and what it must be. */
struct byte_match {
	uint32_t base, at;
	uint8_t value;
};

#define MAX_BYTES 256u

struct byte_matches {
	struct byte_match data[MAX_BYTES];
	size_t n;
};

static bool is_expr(const struct nlattr *a, const char *name, struct level *ret)
{
	struct level l = read_level(a);
	const struct nlattr *n = find(&l, NFTA_EXPR_NAME), *nest = find(&l, NFTA_EXPR_DATA);

	if (!n || !nest || mnl_attr_validate(n, MNL_TYPE_NUL_STRING) < 0 ||
	    strcmp(mnl_attr_get_str(n), name) != 0)
		return false;
	*ret = read_level(nest);
	return true;
}

/* Nothing but these attributes, so that nothing is lost. */
static bool has_only(const struct level *l, uint32_t bits)
{
	for (size_t i = 0; i < l->n; i++) {
		uint16_t type = mnl_attr_get_type(l->attrs[i]);

		if (type >= 32 || !(bits & BIT(type)))
			return false;
	}
	return !l->is_cut;
}

/* "load bytes of a header, compare them": adds what they must be, false if it is no such pair. */
static bool take_bytes(const struct nlattr *load, const struct nlattr *compare,
		       struct byte_matches *ret)
{
	struct level p, c, data;
	const struct nlattr *nest, *value;
	uint32_t len;

	if (!is_expr(load, "payload", &p) || !is_expr(compare, "cmp", &c) ||
	    !has_only(&p, BIT(NFTA_PAYLOAD_DREG) | BIT(NFTA_PAYLOAD_BASE) |
				  BIT(NFTA_PAYLOAD_OFFSET) | BIT(NFTA_PAYLOAD_LEN)) ||
	    !has_only(&c, BIT(NFTA_CMP_SREG) | BIT(NFTA_CMP_OP) | BIT(NFTA_CMP_DATA)))
		return false;
	nest = find(&c, NFTA_CMP_DATA);
	len = get_u32(&p, NFTA_PAYLOAD_LEN);
	if (!nest || get_u32(&c, NFTA_CMP_OP) != NFT_CMP_EQ ||
	    get_u32(&p, NFTA_PAYLOAD_DREG) != NFT_REG_1 || get_u32(&c, NFTA_CMP_SREG) != NFT_REG_1)
		return false;
	data = read_level(nest);
	value = find(&data, NFTA_DATA_VALUE);
	if (data.n != 1 || !value || len == 0 || mnl_attr_get_payload_len(value) != len ||
	    len > MAX_BYTES - ret->n)
		return false;
	for (uint32_t i = 0; i < len; i++)
		ret->data[ret->n++] = (struct byte_match){
			.base = get_u32(&p, NFTA_PAYLOAD_BASE),
			.at = get_u32(&p, NFTA_PAYLOAD_OFFSET) + i,
			.value = ((const uint8_t *)mnl_attr_get_payload(value))[i],
		};
	return true;
}

static int cmp_byte(const void *a, const void *b)
{
	const struct byte_match *x = a, *y = b;

	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->value > y->value) - (x->value < y->value);
}

/* Their order is of no account. */
static void put_bytes(struct bh_buf *out, struct byte_matches *m)
{
	bh_sort(m->data, m->n, sizeof(*m->data), cmp_byte);
	for (size_t i = 0; i < m->n; i++) {
		put_head(out, UINT16_MAX - 1, (size_t)m->data[i].base);
		bh_buf_add(out, &m->data[i].at, sizeof(m->data[i].at));
		bh_buf_add(out, &m->data[i].value, sizeof(m->data[i].value));
	}
	m->n = 0;
}

static void put_exprs(struct bh_buf *out, const struct nlattr *nest)
{
	struct byte_matches bytes = { .n = 0 };
	struct exprs x = { .n = 0 };

	(void)mnl_attr_parse_nested(nest, on_expr, &x);
	for (size_t i = 0; i < x.n; i++) {
		if (i + 1 < x.n && take_bytes(x.attrs[i], x.attrs[i + 1], &bytes)) {
			i++;
			continue;
		}
		put_bytes(out, &bytes);
		put_expr(out, x.attrs[i], 1);
	}
	put_bytes(out, &bytes);
	if (x.is_cut)
		put_head(out, UINT16_MAX, UINT16_MAX);
}

/* Every attribute that says what the rule does; the rest says where it is. */
static int on_rule_attr(const struct nlattr *a, void *ctx)
{
	switch (mnl_attr_get_type(a)) {
	case NFTA_RULE_EXPRESSIONS: put_exprs(ctx, a); break;
	case NFTA_RULE_TABLE:
	case NFTA_RULE_CHAIN:
	case NFTA_RULE_HANDLE:
	case NFTA_RULE_POSITION:
	case NFTA_RULE_PAD: break;
	default: put_leaf(ctx, a); break; /* ours have no comment and nothing of iptables */
	}
	return MNL_CB_OK;
}

uint64_t nft_rule_hash(const struct nlmsghdr *msg, struct bh_buf *scratch)
{
	bh_buf_reset(scratch);
	(void)mnl_attr_parse(msg, sizeof(struct nfgenmsg), on_rule_attr, scratch);
	return bh_hash(bh_buf_str(scratch), scratch->len);
}

uint64_t nft_plan_rule_hash(enum bh_table table, const struct bh_plan_chain *chain,
			    const struct bh_plan_rule *rule, struct bh_buf *scratch)
{
	_Alignas(struct nlmsghdr) char message[NFT_MESSAGE_MAX];
	struct nftnl_rule *r = nft_encode_rule(table, chain, rule);
	struct nlmsghdr *h = nft_put_request(message, NFT_MSG_NEWRULE, nft_family(table), 0);

	nftnl_rule_nlmsg_build_payload(h, r);
	nftnl_rule_free(r);
	return nft_rule_hash(h, scratch);
}
