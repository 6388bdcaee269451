/*
 * What a profile may need: counted before it is built, closed beyond it.
 *
 * The counts depend on the policies and, for peers, on the pods that there are,
 * never on the order in which they came; see struct bh_compile_limits.
 */
#include "compile_impl.h"

#include <stddef.h>

static const struct bh_compile_limits defaults = {
	.rules = BH_LIMIT_RULES,
	.selectors = BH_LIMIT_SELECTORS,
	.elems = BH_LIMIT_ELEMS,
	.slots = BH_LIMIT_SLOTS,
	.peer_elems = BH_LIMIT_PEER_ELEMS,
	.peer_addrs = BH_LIMIT_PEER_ADDRS,
	.work = BH_LIMIT_WORK,
	.reopen_percent = BH_LIMIT_REOPEN_PERCENT,
	.many_ports = BH_LIMIT_MANY_PORTS,
	.small_join = BH_LIMIT_SMALL_JOIN,
	.ns_rules = BH_LIMIT_NS_RULES,
	.node_rules = BH_LIMIT_NODE_RULES,
	.ns_elems = BH_LIMIT_NS_ELEMS,
	.node_elems = BH_LIMIT_NODE_ELEMS,
	.ns_bytes = BH_LIMIT_NS_BYTES,
	.node_bytes = BH_LIMIT_NODE_BYTES,
	.ns_us = BH_LIMIT_NS_US,
	.node_us = BH_LIMIT_NODE_US,
};

struct bh_compile_limits limits_of(const struct bh_compile_limits *wanted)
{
	struct bh_compile_limits l = *wanted;

#define DEFAULT(member) l.member = l.member ? l.member : defaults.member
	DEFAULT(rules);
	DEFAULT(selectors);
	DEFAULT(elems);
	DEFAULT(slots);
	DEFAULT(peer_elems);
	DEFAULT(peer_addrs);
	DEFAULT(work);
	DEFAULT(reopen_percent);
	DEFAULT(many_ports);
	DEFAULT(small_join);
	DEFAULT(ns_rules);
	DEFAULT(node_rules);
	DEFAULT(ns_elems);
	DEFAULT(node_elems);
	DEFAULT(ns_bytes);
	DEFAULT(node_bytes);
	DEFAULT(ns_us);
	DEFAULT(node_us);
#undef DEFAULT
	return l;
}

static size_t count_port_prefixes(const struct port_range *r)
{
	const struct bh_range as_addrs = {
		.first = { .bytes = { 0, 0, (uint8_t)(r->first >> 8), (uint8_t)r->first } },
		.last = { .bytes = { 0, 0, (uint8_t)(r->last >> 8), (uint8_t)r->last } },
	};

	return range_count_prefixes(&as_addrs);
}

void need_add_ports(const struct port_set *ports, struct need *need)
{
	if (!ports)
		return;
	if (ports_is_exact(ports)) {
		need->elems += ports_count_exact(ports);
		return;
	}
	/* All have one of three protocols, so each insertion compares with every port. */
	for (size_t i = 0; i < ports->n_ranges; i++)
		need->slots += 2 * count_port_prefixes(&ports->ranges[i]);
}

/* IPv6 addresses are four times as long, and so is each row of the kernel's table. */
void need_add_joined(const struct range_ports *items, size_t n_items, struct need *need)
{
	for (size_t i = 0; i < n_items; i++) {
		const struct range_ports *box = &items[i];
		size_t n = range_count_prefixes(&box->range);

		if (box->range.first.family == BH_IPV6)
			n *= 4;
		need->slots += n * box->ports.n_ranges;
		for (size_t k = 0; k < box->ports.n_ranges; k++)
			need->slots += count_port_prefixes(&box->ports.ranges[k]);
	}
}

static const struct {
	size_t need, limit; /* offsets */
	const char *what;
} rows[] = {
	{ offsetof(struct need, rules), offsetof(struct bh_compile_limits, rules), "rules" },
	{ offsetof(struct need, selectors), offsetof(struct bh_compile_limits, selectors),
	  "selectors of peers" },
	{ offsetof(struct need, elems), offsetof(struct bh_compile_limits, elems), "set elements" },
	{ offsetof(struct need, slots), offsetof(struct bh_compile_limits, slots),
	  "rows of tables of ranges" },
};

static size_t member(const void *of, size_t offset)
{
	return *(const size_t *)(const void *)((const char *)of + offset);
}

bool budget_subject(const struct profile *p, struct bh_buf *out)
{
	const struct bh_policy_id *h = &p->blame;
	size_t n_others = p->pub.n_enforced + p->pub.n_audited - 1;

	bh_buf_printf(out, "%s %s%s%s", bh_policy_kind_str(h->kind), h->namespace,
		      *h->namespace ? "/" : "", h->name);
	if (n_others)
		bh_buf_printf(out, " and %zu other%s", n_others, n_others > 1 ? "s" : "");
	return n_others > 0;
}

static void add_subject(const struct profile *p, struct bh_buf *out)
{
	bool is_many = budget_subject(p, out);

	bh_buf_puts(out, is_many ? " need " : " needs ");
}

static bool exceed(struct profile *p, struct bh_buf *text)
{
	p->over = bh_arena_strdup(p->arena, bh_buf_str(text));
	return false;
}

bool need_add(struct bh_compiler *c, struct profile *p, const struct need *need)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };

	p->need.rules += need->rules;
	p->need.selectors += need->selectors;
	p->need.elems += need->elems;
	p->need.slots += need->slots;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		size_t n = member(&p->need, rows[i].need), max = member(&c->budget, rows[i].limit);

		if (n <= max)
			continue;
		add_subject(p, &text);
		bh_buf_printf(&text, "%zu %s, limit %zu", n, rows[i].what, max);
		return exceed(p, &text);
	}
	return true;
}

static bool need_more(struct profile *p, size_t max, const char *what)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };

	add_subject(p, &text);
	bh_buf_printf(&text, "more than %zu %s, which is the limit", max, what);
	return exceed(p, &text);
}

bool need_more_elems(struct bh_compiler *c, struct profile *p)
{
	return need_more(p, c->budget.elems, "set elements");
}

bool need_more_work(struct bh_compiler *c, struct profile *p)
{
	return need_more(p, c->budget.work, "steps to unite its ports");
}

bool need_more_peers(struct bh_compiler *c, struct profile *p, const struct shared_set *s)
{
	/* So many were counted before that was given up. */
	p->work += 2 * (size_t)sets_limit(c, s);
	return need_more(p, (size_t)sets_limit(c, s),
			 s->is_with_ports ? "set elements for peers"
					  : "addresses of peers, each counted per selector");
}
