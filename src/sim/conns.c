/*
 * Sets of connections: sorted ranges per protocol, each set kept once.
 *
 * A graph asks for the same few sets over and over, so what was once computed
 * of two sets is remembered by their pointers.
 */
#include "bh/conns.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/hash.h"

#define N_PORTS 65536u

/*
 * What makes two sets the same: the number of ranges per protocol, then the
 * ranges.
 */
struct set {
	struct bh_conns pub;
	UT_hash_handle hh;
	struct bh_port_range key[];
};

/* What is in the result, by what is in @a and @b: bit 2 * in_a + in_b. */
enum op { OP_AND = 1 << 3, OP_OR = 1 << 1 | 1 << 2 | 1 << 3, OP_MINUS = 1 << 2 };

struct known {
	struct {
		const struct bh_conns *a, *b;
		uint64_t op;
	} key;
	const struct bh_conns *result;
	UT_hash_handle hh;
};

struct bh_conn_table {
	struct set *sets;
	struct known *known;
	const struct bh_conns *none, *all;
	/* The set that is being made. */
	struct bh_port_range *ranges;
	size_t cap;
};

/* --- making sets ------------------------------------------------------------------- */

/* The ranges lie in t->ranges, behind the number of them per protocol. */
static const struct bh_conns *intern(struct bh_conn_table *t,
				     const size_t counts[BH_CONNS_PROTO_COUNT_])
{
	size_t n = BH_CONNS_PROTO_COUNT_, size, p;
	const struct bh_port_range *at;
	struct set *s;

	for (p = 0; p < BH_CONNS_PROTO_COUNT_; p++) {
		t->ranges[p] = (struct bh_port_range){ (uint16_t)counts[p], 0 };
		n += counts[p];
	}
	size = n * sizeof(*t->ranges);
	HASH_FIND(hh, t->sets, t->ranges, (unsigned int)size, s);
	if (s)
		return &s->pub;

	s = bh_calloc(1, sizeof(*s) + size);
	memcpy(s->key, t->ranges, size);
	at = s->key + BH_CONNS_PROTO_COUNT_;
	for (p = 0; p < BH_CONNS_PROTO_COUNT_; p++) {
		s->pub.ranges[p] = at;
		s->pub.n[p] = counts[p];
		at += counts[p];
	}
	HASH_ADD(hh, t->sets, key, (unsigned int)size, s);
	return &s->pub;
}

static void push(struct bh_conn_table *t, size_t n, uint32_t first, uint32_t last)
{
	bh_grow(&t->ranges, &t->cap, n, sizeof(*t->ranges));
	t->ranges[n] = (struct bh_port_range){ (uint16_t)first, (uint16_t)last };
}

struct bh_conn_table *bh_conn_table_new(void)
{
	struct bh_conn_table *t = bh_calloc(1, sizeof(*t));
	const size_t none[BH_CONNS_PROTO_COUNT_] = { 0 };

	t->cap = 2 * BH_CONNS_PROTO_COUNT_;
	t->ranges = bh_calloc(t->cap, sizeof(*t->ranges));
	t->none = intern(t, none);
	t->all = bh_conns_range(t, 0, 0, UINT16_MAX);
	return t;
}

void bh_conn_table_free(struct bh_conn_table **t)
{
	struct set *s, *next_set;
	struct known *k, *next_known;

	if (!*t)
		return;
	HASH_ITER (hh, (*t)->sets, s, next_set) {
		HASH_DEL((*t)->sets, s);
		free(s);
	}
	HASH_ITER (hh, (*t)->known, k, next_known) {
		HASH_DEL((*t)->known, k);
		free(k);
	}
	free((*t)->ranges);
	free(*t);
	*t = NULL;
}

const struct bh_conns *bh_conns_none(struct bh_conn_table *t)
{
	return t->none;
}

const struct bh_conns *bh_conns_all(struct bh_conn_table *t)
{
	return t->all;
}

static enum bh_conns_proto proto_of(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP: return BH_CONNS_TCP;
	case IPPROTO_UDP: return BH_CONNS_UDP;
	case IPPROTO_SCTP: return BH_CONNS_SCTP;
	default: return BH_CONNS_OTHER;
	}
}

const struct bh_conns *bh_conns_range(struct bh_conn_table *t, uint8_t protocol, uint16_t first,
				      uint16_t last)
{
	bool is_whole = first == 0 && last == UINT16_MAX;
	size_t counts[BH_CONNS_PROTO_COUNT_] = { 0 };
	size_t n = BH_CONNS_PROTO_COUNT_, p;

	for (p = 0; p < BH_CONNS_PROTO_COUNT_; p++) {
		if (first > last || (protocol && proto_of(protocol) != p) ||
		    (p == BH_CONNS_OTHER && !is_whole))
			continue;
		push(t, n++, first, last);
		counts[p] = 1;
	}
	return intern(t, counts);
}

const struct bh_conns *bh_conns_import(struct bh_conn_table *t, const struct bh_conns *c)
{
	size_t counts[BH_CONNS_PROTO_COUNT_];
	size_t n = BH_CONNS_PROTO_COUNT_, p, i;

	for (p = 0; p < BH_CONNS_PROTO_COUNT_; p++) {
		counts[p] = c->n[p];
		for (i = 0; i < c->n[p]; i++)
			push(t, n++, c->ranges[p][i].first, c->ranges[p][i].last);
	}
	return intern(t, counts);
}

/* --- parsing ------------------------------------------------------------------------- */

static bool parse_protocol(const char *text, size_t len, uint8_t *ret)
{
	static const struct {
		const char *name;
		uint8_t protocol;
	} t[] = { { "tcp", IPPROTO_TCP },
		  { "udp", IPPROTO_UDP },
		  { "sctp", IPPROTO_SCTP },
		  { "icmp", IPPROTO_ICMP },
		  { "any", 0 } };
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++)
		if (strlen(t[i].name) == len && strncasecmp(text, t[i].name, len) == 0) {
			*ret = t[i].protocol;
			return true;
		}
	return false;
}

/* Digits up to @end, with or without a second number behind a dash. */
static bool parse_ports(const char *text, const char *end, struct bh_port_range *ret)
{
	unsigned long first = 0, last = 0, *v = &first;

	for (; text < end; text++) {
		if (*text == '-' && v == &first && first) {
			v = &last;
		} else if (*text >= '0' && *text <= '9') {
			*v = *v * 10 + (unsigned long)(*text - '0');
		} else {
			return false;
		}
		if (*v > UINT16_MAX)
			return false;
	}
	if (v == &first)
		last = first;
	*ret = (struct bh_port_range){ (uint16_t)first, (uint16_t)last };
	return first > 0 && last >= first;
}

int bh_conns_parse(struct bh_conn_table *t, const char *text, const struct bh_conns **ret,
		   struct bh_err *err)
{
	struct bh_port_range ports = { 0, UINT16_MAX };
	const char *slash = strchr(text, '/'), *end = text + strlen(text);
	uint8_t protocol = 0;
	bool is_right;

	if (!slash)
		is_right = parse_protocol(text, strlen(text), &protocol);
	else if (*text >= '0' && *text <= '9')
		is_right = parse_ports(text, slash, &ports) &&
			   parse_protocol(slash + 1, (size_t)(end - slash - 1), &protocol);
	else
		is_right = parse_protocol(text, (size_t)(slash - text), &protocol) &&
			   parse_ports(slash + 1, end, &ports);
	if (slash && protocol == IPPROTO_ICMP)
		is_right = false;
	if (!is_right)
		return bh_err(err, -EINVAL,
			      "'%.64s' is not a connection such as tcp/80, udp/8080-8090 or icmp",
			      text);
	*ret = bh_conns_range(t, protocol, ports.first, ports.last);
	return 0;
}

/* --- algebra ----------------------------------------------------------------------- */

struct walk {
	const struct bh_port_range *ranges;
	size_t n, i;
};

/* Whether @port is in the set, and the first port after it where that changes. */
static bool is_in(struct walk *w, uint32_t port, uint32_t *change)
{
	while (w->i < w->n && w->ranges[w->i].last < port)
		w->i++;
	if (w->i == w->n) {
		*change = N_PORTS;
		return false;
	}
	if (w->ranges[w->i].first > port) {
		*change = w->ranges[w->i].first;
		return false;
	}
	*change = w->ranges[w->i].last + 1u;
	return true;
}

/* Appends the ranges of one protocol from t->ranges[@at] on; returns their number. */
static size_t combine_proto(struct bh_conn_table *t, size_t at, struct walk a, struct walk b,
			    enum op op)
{
	uint32_t port = 0;
	size_t n = 0;

	while (port < N_PORTS) {
		uint32_t change_a, change_b, next;
		unsigned int in = 2u * is_in(&a, port, &change_a);

		in += is_in(&b, port, &change_b);
		next = change_a < change_b ? change_a : change_b;
		if ((unsigned int)op >> in & 1) {
			if (n > 0 && t->ranges[at + n - 1].last + 1u == port)
				t->ranges[at + n - 1].last = (uint16_t)(next - 1);
			else
				push(t, at + n++, port, next - 1);
		}
		port = next;
	}
	return n;
}

static const struct bh_conns *compute(struct bh_conn_table *t, const struct bh_conns *a,
				      const struct bh_conns *b, enum op op)
{
	size_t counts[BH_CONNS_PROTO_COUNT_];
	size_t n = BH_CONNS_PROTO_COUNT_, p;

	for (p = 0; p < BH_CONNS_PROTO_COUNT_; p++) {
		counts[p] = combine_proto(t, n, (struct walk){ a->ranges[p], a->n[p], 0 },
					  (struct walk){ b->ranges[p], b->n[p], 0 }, op);
		n += counts[p];
	}
	return intern(t, counts);
}

static const struct bh_conns *combine(struct bh_conn_table *t, const struct bh_conns *a,
				      const struct bh_conns *b, enum op op)
{
	struct known *k, key = { .key = { a, b, op } };

	HASH_FIND(hh, t->known, &key.key, sizeof(key.key), k);
	if (k)
		return k->result;
	k = bh_calloc(1, sizeof(*k));
	k->key = key.key;
	k->result = compute(t, a, b, op);
	HASH_ADD(hh, t->known, key, sizeof(k->key), k);
	return k->result;
}

const struct bh_conns *bh_conns_and(struct bh_conn_table *t, const struct bh_conns *a,
				    const struct bh_conns *b)
{
	if (a == b || b == t->all || a == t->none)
		return a;
	if (a == t->all || b == t->none)
		return b;
	return a < b ? combine(t, a, b, OP_AND) : combine(t, b, a, OP_AND);
}

const struct bh_conns *bh_conns_or(struct bh_conn_table *t, const struct bh_conns *a,
				   const struct bh_conns *b)
{
	if (a == b || b == t->none || a == t->all)
		return a;
	if (a == t->none || b == t->all)
		return b;
	return a < b ? combine(t, a, b, OP_OR) : combine(t, b, a, OP_OR);
}

const struct bh_conns *bh_conns_minus(struct bh_conn_table *t, const struct bh_conns *a,
				      const struct bh_conns *b)
{
	if (a == b || b == t->all)
		return t->none;
	if (a == t->none || b == t->none)
		return a;
	return combine(t, a, b, OP_MINUS);
}

/* --- questions ------------------------------------------------------------------------ */

bool bh_conns_is_empty(const struct bh_conns *c)
{
	size_t p;

	for (p = 0; p < BH_CONNS_PROTO_COUNT_; p++)
		if (c->n[p])
			return false;
	return true;
}

/* From port @first on, or from before it. */
static bool is_whole(const struct bh_conns *c, enum bh_conns_proto p, uint16_t first)
{
	return c->n[p] == 1 && c->ranges[p][0].first <= first && c->ranges[p][0].last == UINT16_MAX;
}

static bool are_all_ports(const struct bh_conns *c, uint16_t first)
{
	return is_whole(c, BH_CONNS_TCP, first) && is_whole(c, BH_CONNS_UDP, first) &&
	       is_whole(c, BH_CONNS_SCTP, first);
}

bool bh_conns_is_all(const struct bh_conns *c)
{
	return are_all_ports(c, 0) && c->n[BH_CONNS_OTHER];
}

bool bh_conns_has(const struct bh_conns *c, uint8_t protocol, uint16_t port)
{
	enum bh_conns_proto p = proto_of(protocol);
	size_t low = 0, high = c->n[p];

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (port > c->ranges[p][mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < c->n[p] && port >= c->ranges[p][low].first;
}

/* Nothing listens on port 0: ranges are shown as if they began at 1. */
static void format_range(const struct bh_port_range *r, struct bh_buf *out)
{
	unsigned int first = r->first == 0 && r->last > 0 ? 1 : r->first;

	if (first == r->last)
		bh_buf_printf(out, "%u", first);
	else
		bh_buf_printf(out, "%u-%u", first, r->last);
}

void bh_conns_format(const struct bh_conns *c, bool with_other, struct bh_buf *out)
{
	static const struct {
		enum bh_conns_proto proto;
		const char *name;
	} t[] = { { BH_CONNS_SCTP, "SCTP" }, { BH_CONNS_TCP, "TCP" }, { BH_CONNS_UDP, "UDP" } };
	size_t start = out->len, i, k;

	if (are_all_ports(c, 1) && (!with_other || c->n[BH_CONNS_OTHER])) {
		bh_buf_puts(out, "All Connections");
		return;
	}
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		for (k = 0; k < c->n[t[i].proto]; k++) {
			if (k == 0)
				bh_buf_printf(out, "%s%s ", out->len > start ? "," : "", t[i].name);
			else
				bh_buf_putc(out, ',');
			format_range(&c->ranges[t[i].proto][k], out);
		}
	}
	if (with_other && c->n[BH_CONNS_OTHER])
		bh_buf_printf(out, "%sother protocols", out->len > start ? "," : "");
	if (out->len == start)
		bh_buf_puts(out, "No Connections");
}
