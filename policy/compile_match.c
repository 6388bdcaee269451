/*
 * A run of rules of one action -> a number of lookups that does not grow.
 *
 * All that the run matches is sorted into
 *
 *	anybody x ports		one lookup of the ports
 *	pods and nodes		each selector once, with the union of its ports
 *	addresses		prefixes without their exceptions, made disjoint
 *
 * Selectors that are open on all ports share one set of addresses.  The others
 * get one rule (addresses, then ports) for each distinct set of ports as long
 * as these are few, which keeps a pod's change at one element; else one hash
 * set of address . protocol . port.  Hash sets hold no ranges, so long ranges of
 * ports stay with the first form: rules grow with the number of distinct sets of
 * long ranges, and with nothing else.  Prefixes do the same with interval sets,
 * and with an interval set of address . protocol . port where the sets of ports
 * are many.
 */
#include "compile_impl.h"

#include <string.h>

/* Up to so many distinct sets of ports get a rule each. */
#define FEW 4

struct peer {
	struct peer_selector selector;
	char *canonical;
	struct port_set ports;
	UT_hash_handle hh;
};

/* Prefixes with the same ports. */
struct block {
	char *canonical; /* of the ports */
	struct port_set ports;
	struct range_list ranges[BH_FAMILY_COUNT_];
	UT_hash_handle hh;
};

struct match {
	struct bh_compiler *c;
	struct profile *p;
	struct bh_plan_chain *chain;
	enum bh_dir dir;
	const struct bh_pod *pod;
	const struct bh_expr *verdict;
	struct port_set anybody;
	struct peer *peers;
	struct block *blocks;
};

/* --- what the rules say --------------------------------------------------------------- */

static void add_resolved(struct port_set *ports, const struct bh_policy_port *port,
			 const struct bh_pod *pod)
{
	size_t i;

	for (i = 0; i < pod->n_ports; i++) {
		const struct bh_port *p = &pod->ports[i];

		if (p->name && strcmp(p->name, port->name) == 0 &&
		    (!port->protocol || port->protocol == p->protocol))
			ports_add(ports, p->protocol, p->number, p->number);
	}
}

/* Names mean a port of the destination: this pod, or each peer for itself. */
static struct port_set ports_of(const struct bh_rule *rule, enum bh_dir dir,
				const struct bh_pod *pod)
{
	struct port_set ports = { 0 };
	size_t i;

	ports_add_numbers(&ports, rule);
	for (i = 0; rule->has_ports && i < rule->n_ports; i++) {
		const struct bh_policy_port *port = &rule->ports[i];

		if (port->name && dir == BH_INGRESS)
			add_resolved(&ports, port, pod);
		else if (port->name)
			ports_add_name(&ports, port->name, port->protocol);
	}
	ports_normalise(&ports);
	return ports;
}

bool run_is_unconditional(const struct rule_run *run, enum bh_dir dir, const struct bh_pod *pod)
{
	size_t i;

	for (i = 0; i < run->n; i++) {
		struct port_set ports;
		bool is_all;

		if (run->rules[i].rule->has_peers)
			continue;
		ports = ports_of(run->rules[i].rule, dir, pod);
		is_all = ports.is_all;
		ports_done(&ports);
		if (is_all)
			return true;
	}
	return false;
}

static void add_peer(struct match *m, const struct peer_selector *selector,
		     const struct port_set *ports)
{
	struct bh_buf text = { 0 };
	struct peer *peer;

	selector_canonical(selector, &text);
	HASH_FIND(hh, m->peers, text.data, text.len, peer);
	if (peer) {
		bh_buf_done(&text);
	} else {
		size_t len = text.len;

		peer = bh_calloc(1, sizeof(*peer));
		peer->selector = *selector;
		peer->canonical = bh_buf_take(&text);
		HASH_ADD_KEYPTR(hh, m->peers, peer->canonical, len, peer);
	}
	ports_union(&peer->ports, ports);
}

/* No pod is asked for names: a prefix has none (semantics of ipBlock). */
static void add_block(struct match *m, const struct bh_peer *cidr, const struct port_set *ports)
{
	struct port_set numbers = { 0 };
	struct bh_buf text = { 0 };
	struct block *block;

	ports_union(&numbers, ports);
	numbers.n_names = 0;
	ports_normalise(&numbers);
	if (ports_is_empty(&numbers)) {
		ports_done(&numbers);
		return;
	}
	ports_canonical(&numbers, &text);
	HASH_FIND(hh, m->blocks, text.data, text.len, block);
	if (block) {
		ports_done(&numbers);
		bh_buf_done(&text);
	} else {
		size_t len = text.len;

		block = bh_calloc(1, sizeof(*block));
		block->ports = numbers;
		block->canonical = bh_buf_take(&text);
		HASH_ADD_KEYPTR(hh, m->blocks, block->canonical, len, block);
	}
	ranges_add_peer(&block->ranges[cidr->cidr.addr.family], cidr);
}

/* Anybody has no pod's names, but every pod that has the name is meant too. */
static void add_anybody(struct match *m, const struct port_set *ports)
{
	static const struct peer_selector every_pod = { .kind = ATOM_PODS };
	struct port_set names = { 0 };
	size_t i;

	ports_union(&m->anybody, ports);
	m->anybody.n_names = 0;
	for (i = 0; i < ports->n_names; i++)
		ports_add_name(&names, ports->names[i].name, ports->names[i].protocol);
	if (names.n_names)
		add_peer(m, &every_pod, &names);
	ports_done(&names);
}

static void add_rule(struct match *m, const struct run_rule *r)
{
	struct port_set ports = ports_of(r->rule, m->dir, m->pod);
	size_t i;

	if (!r->rule->has_peers && !ports_is_empty(&ports))
		add_anybody(m, &ports);
	for (i = 0; r->rule->has_peers && i < r->rule->n_peers && !ports_is_empty(&ports); i++) {
		const struct bh_peer *peer = &r->rule->peers[i];
		struct peer_selector selector;

		switch (peer->kind) {
		case BH_PEER_PODS:
		case BH_PEER_NODES:
			selector = selector_of(r->ns, peer);
			add_peer(m, &selector, &ports);
			break;
		case BH_PEER_CIDR: add_block(m, peer, &ports); break;
		case BH_PEER_NOTHING:
		case BH_PEER_KIND_COUNT_: break;
		}
	}
	ports_done(&ports);
}

/* --- rules of the plan ---------------------------------------------------------------------- */

void match_add_rule(struct bh_compiler *c, struct bh_plan_chain *chain, const struct bh_expr *exprs,
		    size_t n)
{
	struct bh_plan_rule rule = { .n_exprs = n };

	memcpy(rule.exprs, exprs, n * sizeof(*exprs));
	bh_plan_add_rule(c->plan, chain, &rule);
}

static void use_set(struct match *m, struct shared_set *s)
{
	struct profile *p = m->p;
	size_t i;

	for (i = 0; i < p->n_sets; i++) {
		if (p->sets[i] == s)
			return;
	}
	bh_grow(&p->sets, &p->sets_cap, p->n_sets, sizeof(struct shared_set *));
	p->sets[p->n_sets++] = s;
	s->n_users++;
}

/* Addresses in @addrs (a set for each family, or one), ports in @ports if not NULL. */
static void emit(struct match *m, struct shared_set *addrs, bool is_with_ports,
		 struct shared_set *ports)
{
	static const enum bh_lookup_key keys[BH_DIR_COUNT_][2] = {
		[BH_INGRESS] = { BH_KEY_SADDR, BH_KEY_SADDR_PROTO_PORT },
		[BH_EGRESS] = { BH_KEY_DADDR, BH_KEY_DADDR_PROTO_PORT },
	};
	enum bh_family f;

	use_set(m, addrs);
	if (ports)
		use_set(m, ports);
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		struct bh_expr exprs[3];
		size_t n = 0;

		if (!addrs->set[f])
			continue;
		exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_LOOKUP,
					       .set = addrs->set[f],
					       .key = keys[m->dir][is_with_ports] };
		if (ports)
			exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_LOOKUP,
						       .set = ports->set[BH_IPV4],
						       .key = BH_KEY_PROTO_PORT };
		exprs[n++] = *m->verdict;
		match_add_rule(m->c, m->chain, exprs, n);
	}
}

static void emit_anybody(struct match *m)
{
	struct shared_set *ports;

	ports_normalise(&m->anybody);
	if (ports_is_empty(&m->anybody))
		return;
	ports = sets_ports(m->c, &m->anybody);
	use_set(m, ports);
	match_add_rule(m->c, m->chain,
		       (const struct bh_expr[]){ { .kind = BH_EXPR_LOOKUP,
						   .set = ports->set[BH_IPV4],
						   .key = BH_KEY_PROTO_PORT },
						 *m->verdict },
		       2);
}

/* A selector and some of its ports, with their text. */
struct share {
	const struct peer *peer;
	struct port_set ports;
	char *canonical;
};

struct shares {
	struct share *items;
	size_t n, cap;
};

/* Takes @ports over. */
static void add_share(struct shares *l, const struct peer *peer, struct port_set ports)
{
	struct bh_buf text = { 0 };

	if (ports_is_empty(&ports)) {
		ports_done(&ports);
		return;
	}
	ports_canonical(&ports, &text);
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] =
		(struct share){ .peer = peer, .ports = ports, .canonical = bh_buf_take(&text) };
}

static void shares_done(struct shares *l)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		ports_done(&l->items[i].ports);
		free(l->items[i].canonical);
	}
	free(l->items);
}

static int cmp_share(const void *a, const void *b)
{
	const struct share *x = a, *y = b;
	int c = strcmp(x->canonical, y->canonical);

	return c ? c : strcmp(x->peer->canonical, y->peer->canonical);
}

static bool is_same_ports(const struct shares *l, size_t i, size_t j)
{
	return strcmp(l->items[i].canonical, l->items[j].canonical) == 0;
}

static size_t count_port_sets(const struct shares *l)
{
	size_t n = 0, i;

	for (i = 0; i < l->n; i++)
		n += i == 0 || !is_same_ports(l, i - 1, i);
	return n;
}

static struct shared_set *peers_set(struct match *m, const struct share *shares, size_t n,
				    bool is_with_ports)
{
	bh_auto_free struct set_member *members = bh_calloc(n, sizeof(*members));
	size_t i;

	for (i = 0; i < n; i++) {
		members[i] = (struct set_member){ .selector = shares[i].peer->selector,
						  .canonical = shares[i].peer->canonical };
		if (is_with_ports)
			members[i].ports = &shares[i].ports;
	}
	return sets_peers(m->c, members, n, is_with_ports);
}

/* One rule for each distinct set of ports, for each family. */
static void emit_by_ports(struct match *m, struct shares *l)
{
	size_t first = 0, i;

	for (i = 1; i <= l->n; i++) {
		const struct share *s = &l->items[first];

		if (i < l->n && is_same_ports(l, first, i))
			continue;
		emit(m, peers_set(m, s, i - first, false), false,
		     s->ports.is_all ? NULL : sets_ports(m->c, &s->ports));
		first = i;
	}
}

static void split(const struct port_set *from, struct port_set *exact, struct port_set *ranges)
{
	size_t i;

	for (i = 0; i < from->n_ranges; i++) {
		const struct port_range *r = &from->ranges[i];

		ports_add(r->last - r->first < SMALL_RANGE ? exact : ranges, r->protocol, r->first,
			  r->last);
	}
	for (i = 0; i < from->n_names; i++)
		ports_add_name(exact, from->names[i].name, from->names[i].protocol);
}

static void emit_concatenated(struct match *m, const struct shares *l)
{
	struct shares exact = { 0 }, ranges = { 0 };
	size_t i;

	for (i = 0; i < l->n; i++) {
		struct port_set e = { 0 }, r = { 0 };

		split(&l->items[i].ports, &e, &r);
		add_share(&exact, l->items[i].peer, e);
		add_share(&ranges, l->items[i].peer, r);
	}
	if (exact.n)
		emit(m, peers_set(m, exact.items, exact.n, true), true, NULL);
	if (ranges.n) {
		qsort(ranges.items, ranges.n, sizeof(*ranges.items), cmp_share);
		emit_by_ports(m, &ranges);
	}
	shares_done(&exact);
	shares_done(&ranges);
}

static void emit_peers(struct match *m)
{
	struct shares all = { 0 }, some = { 0 };
	bool has_names = false;
	struct peer *peer, *next;

	HASH_ITER (hh, m->peers, peer, next) {
		struct port_set copy = { 0 };

		ports_normalise(&peer->ports);
		has_names = has_names || peer->ports.n_names;
		ports_union(&copy, &peer->ports);
		ports_normalise(&copy);
		add_share(peer->ports.is_all ? &all : &some, peer, copy);
	}
	if (all.n)
		emit(m, peers_set(m, all.items, all.n, false), false, NULL);
	if (some.n) {
		qsort(some.items, some.n, sizeof(*some.items), cmp_share);
		if (!has_names && count_port_sets(&some) <= FEW)
			emit_by_ports(m, &some);
		else
			emit_concatenated(m, &some);
	}
	shares_done(&all);
	shares_done(&some);
}

static int cmp_block(const void *a, const void *b)
{
	const struct block *const *x = a, *const *y = b;

	return strcmp((*x)->canonical, (*y)->canonical);
}

static void emit_joined(struct match *m, struct block *const *blocks, size_t n, enum bh_family f)
{
	bh_auto_free struct range_list *lists = bh_calloc(n, sizeof(*lists));
	bh_auto_free struct port_set *ports = bh_calloc(n, sizeof(*ports));
	struct range_ports *joined;
	struct shared_set *s;
	size_t n_joined, i;

	for (i = 0; i < n; i++) {
		lists[i] = blocks[i]->ranges[f];
		ports[i] = blocks[i]->ports;
	}
	n_joined = ranges_join(lists, ports, n, &joined);
	s = sets_range_ports(m->c, joined, n_joined);
	if (s)
		emit(m, s, true, NULL);
	for (i = 0; i < n_joined; i++)
		ports_done(&joined[i].ports);
	free(joined);
}

static void emit_ranges(struct match *m, const struct block *b, enum bh_family f)
{
	struct shared_set *s = sets_ranges(m->c, &b->ranges[f]);

	if (s)
		emit(m, s, false, b->ports.is_all ? NULL : sets_ports(m->c, &b->ports));
}

static void emit_blocks(struct match *m)
{
	size_t n = HASH_COUNT(m->blocks), n_some = 0, i;
	bh_auto_free struct block **some = bh_calloc(n, sizeof(struct block *));
	struct block *b, *next;
	enum bh_family f;

	HASH_ITER (hh, m->blocks, b, next) {
		for (f = 0; f < BH_FAMILY_COUNT_; f++) {
			ranges_normalise(&b->ranges[f]);
			if (b->ports.is_all)
				emit_ranges(m, b, f);
		}
		if (!b->ports.is_all)
			some[n_some++] = b;
	}
	if (n_some == 0)
		return;
	qsort(some, n_some, sizeof(struct block *), cmp_block);
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		if (n_some > FEW) {
			emit_joined(m, some, n_some, f);
			continue;
		}
		for (i = 0; i < n_some; i++)
			emit_ranges(m, some[i], f);
	}
}

static void match_done(struct match *m)
{
	struct peer *peer, *next_peer;
	struct block *b, *next_block;
	enum bh_family f;

	HASH_ITER (hh, m->peers, peer, next_peer) {
		HASH_DEL(m->peers, peer);
		ports_done(&peer->ports);
		free(peer->canonical);
		free(peer);
	}
	HASH_ITER (hh, m->blocks, b, next_block) {
		HASH_DEL(m->blocks, b);
		for (f = 0; f < BH_FAMILY_COUNT_; f++)
			ranges_done(&b->ranges[f]);
		ports_done(&b->ports);
		free(b->canonical);
		free(b);
	}
	ports_done(&m->anybody);
}

void match_build(struct bh_compiler *c, struct profile *p, struct bh_plan_chain *chain,
		 const struct rule_run *run, const struct bh_pod *pod,
		 const struct bh_expr *verdict)
{
	struct match m = {
		.c = c, .p = p, .chain = chain, .dir = p->pub.dir, .pod = pod, .verdict = verdict
	};
	size_t i;

	for (i = 0; i < run->n; i++)
		add_rule(&m, &run->rules[i]);
	emit_anybody(&m);
	emit_peers(&m);
	emit_blocks(&m);
	match_done(&m);
}
