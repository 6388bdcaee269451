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
 *
 * The set of address . protocol . port has an element for each peer and each of
 * its ports, and that is a product.  So the sets of ports that would multiply
 * most get rules of their own even where the sets are many, as many as there
 * would be if they were few; and prefixes that overlap are joined by address or
 * by port, whichever gives fewer elements (compile_join.c).
 *
 * The lookups are laid out first, then counted against the profile's budget
 * (compile_budget.c), and only then built.
 */
#include "compile_impl.h"

#include <string.h>

/* Up to so many distinct sets of ports get a rule each. */
#define FEW 4

/* Ports that some rules or peers have in common, and the parts that lookups take. */
struct port_group {
	char *canonical;
	size_t id; /* in the order of the rules */
	struct port_set ports;
	struct port_group *exact, *ranges, *numbers, *names; /* NULL: not asked for yet */
	UT_hash_handle hh;
};

struct peer {
	struct peer_selector selector;
	char *canonical;
	struct port_group **groups; /* of the rules that name it */
	size_t n_groups, groups_cap;
	UT_hash_handle hh;
};

/* Prefixes with the same ports. */
struct block {
	struct port_group *group;
	struct range_list ranges[BH_FAMILY_COUNT_];
	UT_hash_handle hh;
};

/* A selector and ports. */
struct share {
	const struct peer *peer;
	struct port_group *group;
};

struct shares {
	struct share *items;
	size_t n, cap;
};

enum lookup_kind {
	LOOKUP_PORTS,       /* ports */
	LOOKUP_PEERS,       /* addresses of peers, then ports unless they are all */
	LOOKUP_PEERS_PORTS, /* addresses of peers, each with its ports */
	LOOKUP_RANGES,      /* prefixes, then ports unless they are all */
	LOOKUP_JOINED,      /* prefixes, each with its ports */
};

struct lookup {
	enum lookup_kind kind;
	const struct port_set *ports; /* PORTS; PEERS and RANGES: NULL for all */
	struct shares shares;
	const struct range_list *ranges;
	struct joined joined;
};

struct match {
	struct bh_compiler *c;
	struct profile *p;
	struct bh_plan_chain *chain;
	enum bh_dir dir;
	const struct bh_pod *pod;
	const struct bh_expr *verdict;
	bool is_denying;
	struct port_set anybody;
	struct peer *peers;
	struct block *blocks;
	struct port_group *groups;
	struct lookup *lookups;
	size_t n_lookups, lookups_cap;
};

/* --- groups of ports ------------------------------------------------------------------- */

/* The one with these ports, which are normalised and taken over. */
static struct port_group *group_of(struct match *m, struct port_set ports)
{
	struct bh_buf text = { 0 };
	struct port_group *g;
	size_t len;

	ports_canonical(&ports, &text);
	len = text.len;
	HASH_FIND(hh, m->groups, bh_buf_str(&text), len, g);
	if (g) {
		ports_done(&ports);
		bh_buf_done(&text);
		return g;
	}
	g = bh_calloc(1, sizeof(*g));
	g->ports = ports;
	g->id = HASH_COUNT(m->groups);
	g->canonical = bh_buf_take(&text);
	HASH_ADD_KEYPTR(hh, m->groups, g->canonical, len, g);
	return g;
}

static void add_names(struct port_set *to, const struct port_set *from)
{
	for (size_t i = 0; i < from->n_names; i++)
		ports_add_name(to, from->names[i].name, from->names[i].protocol);
}

static void add_ranges(struct port_set *to, const struct port_set *from, bool is_long)
{
	for (size_t i = 0; i < from->n_ranges; i++) {
		const struct port_range *r = &from->ranges[i];

		if ((r->last - r->first >= SMALL_RANGE) == is_long)
			ports_add(to, r->protocol, r->first, r->last);
	}
}

/* What fits a hash set: short ranges and names. */
static struct port_group *exact_of(struct match *m, struct port_group *g)
{
	struct port_set part = { 0 };

	if (g->exact)
		return g->exact;
	add_ranges(&part, &g->ports, false);
	add_names(&part, &g->ports);
	ports_normalise(&part);
	return g->exact = group_of(m, part);
}

static struct port_group *long_of(struct match *m, struct port_group *g)
{
	struct port_set part = { 0 };

	if (g->ranges)
		return g->ranges;
	add_ranges(&part, &g->ports, true);
	ports_normalise(&part);
	return g->ranges = group_of(m, part);
}

static struct port_group *numbers_of(struct match *m, struct port_group *g)
{
	struct port_set part = { 0 };

	if (g->numbers)
		return g->numbers;
	ports_union(&part, &g->ports);
	part.n_names = 0;
	ports_normalise(&part);
	return g->numbers = group_of(m, part);
}

static struct port_group *names_of(struct match *m, struct port_group *g)
{
	struct port_set part = { 0 };

	if (g->names)
		return g->names;
	add_names(&part, &g->ports);
	ports_normalise(&part);
	return g->names = group_of(m, part);
}

/* --- what the rules say --------------------------------------------------------------- */

static void on_resolved(void *ctx, const struct bh_port *port)
{
	ports_add(ctx, port->protocol, port->number, port->number);
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
		struct port_name name = { port->name, port->protocol };

		if (port->name && dir == BH_INGRESS)
			ports_resolve(&name, pod, on_resolved, &ports);
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
		     struct port_group *group)
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
	if (peer->n_groups && peer->groups[peer->n_groups - 1] == group)
		return;
	bh_grow(&peer->groups, &peer->groups_cap, peer->n_groups, sizeof(struct port_group *));
	peer->groups[peer->n_groups++] = group;
}

/* A prefix has no named ports (semantics of ipBlock). */
static void add_block(struct match *m, const struct bh_peer *cidr, struct port_group *group)
{
	struct port_group *numbers = numbers_of(m, group);
	struct block *block;

	if (ports_is_empty(&numbers->ports))
		return;
	HASH_FIND_PTR(m->blocks, &numbers, block);
	if (!block) {
		block = bh_calloc(1, sizeof(*block));
		block->group = numbers;
		HASH_ADD_PTR(m->blocks, group, block);
	}
	ranges_add_peer(&block->ranges[cidr->cidr.addr.family], cidr);
}

/* An any-peer has no named ports of its own: every pod that defines the name is a peer. */
static void add_anybody(struct match *m, struct port_group *group)
{
	static const struct peer_selector every_pod = { .kind = ATOM_PODS };

	ports_union(&m->anybody, &group->ports);
	m->anybody.n_names = 0;
	if (group->ports.n_names)
		add_peer(m, &every_pod, names_of(m, group));
}

/* A closed pod may be whom the rule denies, and whatever port of it may have the name. */
static void add_undecided(struct match *m, const struct bh_rule *r, struct port_group *group)
{
	static const struct peer_selector undecided = { .kind = ATOM_UNDECIDED };
	struct port_set all = { .is_all = true };
	bool has_pods = false;

	for (size_t i = 0; r->has_peers && i < r->n_peers; i++)
		has_pods |= r->peers[i].kind == BH_PEER_PODS;
	if (group->ports.n_names > 0 && (has_pods || !r->has_peers))
		add_peer(m, &undecided, group_of(m, all));
	else if (has_pods)
		add_peer(m, &undecided, group);
}

static void add_rule(struct match *m, const struct run_rule *r)
{
	struct port_group *group = group_of(m, ports_of(r->rule, m->dir, m->pod));
	size_t i;

	if (ports_is_empty(&group->ports))
		return;
	if (m->is_denying)
		add_undecided(m, r->rule, group);
	if (!r->rule->has_peers)
		add_anybody(m, group);
	for (i = 0; r->rule->has_peers && i < r->rule->n_peers; i++) {
		const struct bh_peer *peer = &r->rule->peers[i];
		struct peer_selector selector;

		switch (peer->kind) {
		case BH_PEER_PODS:
		case BH_PEER_NODES:
			selector = selector_of(r->ns, peer);
			add_peer(m, &selector, group);
			break;
		case BH_PEER_CIDR: add_block(m, peer, group); break;
		case BH_PEER_NOTHING:
		case BH_PEER_KIND_COUNT_: break;
		}
	}
}

/* --- the layout: peers ------------------------------------------------------------------- */

static struct lookup *add_lookup(struct match *m, enum lookup_kind kind)
{
	bh_grow(&m->lookups, &m->lookups_cap, m->n_lookups, sizeof(*m->lookups));
	m->lookups[m->n_lookups] = (struct lookup){ .kind = kind };
	return &m->lookups[m->n_lookups++];
}

/*
 * Long ranges need an interval set, which takes far longer to fill than a hash
 * set.  So the numbers of a large set are looked up apart from its long ranges.
 * The parts come without names; @ret has room for two, NULL stands for all ports.
 */
static size_t port_parts(struct match *m, struct port_group *g, const struct port_set **ret)
{
	bool is_large = g->ports.n_ranges > m->c->budget.many_ports;
	struct port_group *exact, *ranges;

	ret[0] = g->ports.is_all ? NULL : &g->ports;
	if (!is_large || ports_is_exact(&g->ports))
		return 1;
	exact = exact_of(m, g);
	ranges = long_of(m, g);
	ret[0] = &ranges->ports;
	ret[1] = &exact->ports;
	return ports_is_empty(&exact->ports) ? 1 : 2;
}

static void add_share(struct shares *l, const struct peer *peer, struct port_group *group)
{
	if (ports_is_empty(&group->ports))
		return;
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] = (struct share){ .peer = peer, .group = group };
}

static void shares_done(struct shares *l)
{
	free(l->items);
}

static int cmp_share(const void *a, const void *b)
{
	const struct share *x = a, *y = b;
	int c = strcmp(x->group->canonical, y->group->canonical);

	return c ? c : strcmp(x->peer->canonical, y->peer->canonical);
}

static void sort_shares(struct shares *l)
{
	if (l->n)
		bh_sort(l->items, l->n, sizeof(*l->items), cmp_share);
}

/* Of sorted shares: where those with the ports of the @first'th end. */
static size_t group_end(const struct shares *l, size_t first)
{
	size_t i = first;

	while (i < l->n && l->items[i].group == l->items[first].group)
		i++;
	return i;
}

static size_t count_groups(const struct shares *l)
{
	size_t n = 0, i;

	for (i = 0; i < l->n; i = group_end(l, i))
		n++;
	return n;
}

/* One lookup for each distinct set of ports; @l is sorted. */
static void lay_by_ports(struct match *m, const struct shares *l)
{
	size_t first, end;

	for (first = 0; first < l->n; first = end) {
		const struct port_set *parts[2];
		size_t n = port_parts(m, l->items[first].group, parts);

		end = group_end(l, first);
		for (size_t part = 0; part < n; part++) {
			struct lookup *k = add_lookup(m, LOOKUP_PEERS);

			k->ports = parts[part];
			for (size_t i = first; i < end; i++)
				add_share(&k->shares, l->items[i].peer, l->items[i].group);
		}
	}
}

/* One lookup for all short ranges and names, one for each distinct set of long ranges. */
static void lay_with_ports(struct match *m, const struct shares *l)
{
	bh_auto(shares_done) struct shares ranges = { 0 };
	struct shares exact = { 0 };

	for (size_t i = 0; i < l->n; i++) {
		add_share(&exact, l->items[i].peer, exact_of(m, l->items[i].group));
		add_share(&ranges, l->items[i].peer, long_of(m, l->items[i].group));
	}
	sort_shares(&ranges);
	if (exact.n)
		add_lookup(m, LOOKUP_PEERS_PORTS)->shares = exact;
	lay_by_ports(m, &ranges);
}

static int cmp_group_by_ports(const void *a, const void *b)
{
	const struct port_group *const *x = a, *const *y = b;
	size_t n = ports_count_exact(&(*x)->ports), k = ports_count_exact(&(*y)->ports);

	if (n != k)
		return n > k ? -1 : 1;
	return strcmp((*x)->canonical, (*y)->canonical);
}

/* The distinct sets of ports of @l, sorted, which has @n of them; the caller frees them. */
static struct port_group **groups_by_ports(const struct shares *l, size_t n)
{
	struct port_group **groups = bh_calloc(n, sizeof(struct port_group *));
	size_t k = 0, i;

	for (i = 0; i < l->n; i = group_end(l, i))
		groups[k++] = l->items[i].group;
	bh_sort(groups, n, sizeof(struct port_group *), cmp_group_by_ports);
	return groups;
}

/*
 * Whether the ports get rules of their own: those of a set that is large, and
 * among the largest few.  It depends on the rules alone and not on how many
 * pods there are, so that no pod that comes or goes changes a chain.
 */
static bool is_apart(const struct match *m, struct port_group *const *groups, size_t n,
		     const struct port_group *g)
{
	for (size_t i = 0; i < n && i < FEW - 1; i++) {
		if (groups[i] == g)
			return ports_count_exact(&g->ports) > m->c->budget.many_ports;
	}
	return false;
}

/* Where the sets of ports are many; @l is sorted. */
static void lay_many(struct match *m, const struct shares *l)
{
	size_t n = count_groups(l);
	bh_auto_free struct port_group **groups = groups_by_ports(l, n);
	bh_auto(shares_done) struct shares apart = { 0 }, rest = { 0 };

	for (size_t i = 0; i < l->n; i++) {
		const struct share *s = &l->items[i];

		if (is_apart(m, groups, n, s->group)) {
			add_share(&apart, s->peer, numbers_of(m, s->group));
			add_share(&rest, s->peer, names_of(m, s->group));
		} else {
			add_share(&rest, s->peer, s->group);
		}
	}
	sort_shares(&apart);
	sort_shares(&rest);
	lay_by_ports(m, &apart);
	lay_with_ports(m, &rest);
}

static int cmp_group_id(const void *a, const void *b)
{
	const struct port_group *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

/* Sorts the groups of @peer and leaves each out but once. */
static void unite_groups(struct peer *peer)
{
	size_t n = 0;

	bh_sort(peer->groups, peer->n_groups, sizeof(struct port_group *), cmp_group_id);
	for (size_t i = 0; i < peer->n_groups; i++) {
		if (n == 0 || peer->groups[n - 1] != peer->groups[i])
			peer->groups[n++] = peer->groups[i];
	}
	peer->n_groups = n;
}

/* Peers of the same rules have the same union of ports. */
struct group_union {
	const void *key; /* the groups of one of these peers */
	struct port_group *group;
	UT_hash_handle hh;
};

static struct port_group *make_union(struct match *m, const struct peer *peer, size_t *work)
{
	struct port_set ports = { 0 };

	if (peer->n_groups == 1)
		return peer->groups[0];
	for (size_t i = 0; i < peer->n_groups; i++) {
		const struct port_set *p = &peer->groups[i]->ports;

		*work += p->n_ranges + p->n_names;
		if (*work > m->c->budget.work) {
			ports_done(&ports);
			return NULL;
		}
		ports_union(&ports, p);
	}
	ports_normalise(&ports);
	return group_of(m, ports);
}

static void unions_done(struct group_union **unions)
{
	struct group_union *u, *next;

	HASH_ITER (hh, *unions, u, next) {
		HASH_DEL(*unions, u);
		free(u);
	}
}

/* NULL where that takes too much work. */
static struct port_group *union_of(struct match *m, struct group_union **unions, struct peer *peer,
				   size_t *work)
{
	size_t bytes;
	struct group_union *u;

	unite_groups(peer);
	bytes = peer->n_groups * sizeof(struct port_group *);
	HASH_FIND(hh, *unions, peer->groups, bytes, u);
	if (u)
		return u->group;
	u = bh_calloc(1, sizeof(*u));
	u->key = peer->groups;
	u->group = make_union(m, peer, work);
	HASH_ADD_KEYPTR(hh, *unions, u->key, bytes, u);
	return u->group;
}

static bool lay_peers(struct match *m)
{
	bh_auto(unions_done) struct group_union *unions = NULL;
	bh_auto(shares_done) struct shares some = { 0 };
	struct shares all = { 0 };
	bool has_names = false;
	struct peer *peer, *next;
	size_t work = 0;

	HASH_ITER (hh, m->peers, peer, next) {
		struct port_group *g = union_of(m, &unions, peer, &work);

		if (!g) {
			m->p->work += work;
			free(all.items);
			return need_more_work(m->c, m->p);
		}
		has_names = has_names || g->ports.n_names;
		add_share(g->ports.is_all ? &all : &some, peer, g);
	}
	m->p->work += work;
	if (all.n)
		add_lookup(m, LOOKUP_PEERS)->shares = all;
	sort_shares(&some);
	if (!has_names && count_groups(&some) <= FEW)
		lay_by_ports(m, &some);
	else
		lay_many(m, &some);
	return true;
}

/* --- the layout: addresses --------------------------------------------------------------- */

static int cmp_block(const void *a, const void *b)
{
	const struct block *const *x = a, *const *y = b;

	return strcmp((*x)->group->canonical, (*y)->group->canonical);
}

static void lay_ranges(struct match *m, const struct block *b, enum bh_family f)
{
	const struct port_set *parts[2];
	size_t n = b->ranges[f].n ? port_parts(m, b->group, parts) : 0;

	for (size_t part = 0; part < n; part++) {
		struct lookup *k = add_lookup(m, LOOKUP_RANGES);

		k->ranges = &b->ranges[f];
		k->ports = parts[part];
	}
}

/* The smaller of the two ways; false beyond the limit. */
static bool join(const struct bh_compiler *c, struct profile *p, struct block *const *blocks,
		 size_t n, enum bh_family f, struct joined *ret)
{
	bh_auto_free struct join_block *list = bh_calloc(n, sizeof(*list));
	struct join_limit limit = { .elems = c->budget.elems,
				    .work = c->budget.work,
				    .spent = &p->work };
	struct joined by_port;

	for (size_t i = 0; i < n; i++)
		list[i] = (struct join_block){ &blocks[i]->ranges[f], &blocks[i]->group->ports };
	if (join_by_addr(list, n, limit, ret)) {
		if (ret->n_elems <= c->budget.small_join)
			return true;
		limit.elems = ret->n_elems - 1;
	}
	if (!join_by_port(list, n, limit, &by_port))
		return ret->n_elems > 0;
	joined_done(ret);
	*ret = by_port;
	return true;
}

struct weighed {
	struct block *block;
	size_t weight; /* elements it has at least in a joined set */
};

static int cmp_weighed(const void *a, const void *b)
{
	const struct weighed *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return cmp_block(&x->block, &y->block);
}

/* Moves the few that multiply most to the front, the others stay in order. */
static void move_heavy(struct block **blocks, size_t n, enum bh_family f)
{
	bh_auto_free struct weighed *w = bh_calloc(n, sizeof(*w));

	for (size_t i = 0; i < n; i++)
		w[i] = (struct weighed){ blocks[i], blocks[i]->ranges[f].n *
							    blocks[i]->group->ports.n_ranges };
	bh_sort(w, n, sizeof(*w), cmp_weighed);
	for (size_t i = 0; i < n; i++)
		blocks[i] = w[i].block;
	bh_sort(blocks + FEW - 1, n - (FEW - 1), sizeof(struct block *), cmp_block);
}

static size_t count_apart(struct block *const *blocks, enum bh_family f)
{
	size_t n = 0;

	for (size_t i = 0; i < FEW - 1; i++)
		n += blocks[i]->ranges[f].n + blocks[i]->group->ports.n_ranges;
	return n;
}

/* All in one set; or if that is smaller, some apart and the others in one set. */
static bool lay_joined(struct match *m, struct block **blocks, size_t n, enum bh_family f)
{
	struct joined whole, rest;
	bool fits = join(m->c, m->p, blocks, n, f, &whole);

	if (fits && whole.n_elems <= m->c->budget.small_join) {
		if (whole.n)
			add_lookup(m, LOOKUP_JOINED)->joined = whole;
		return true;
	}
	move_heavy(blocks, n, f);
	if (!join(m->c, m->p, blocks + FEW - 1, n - (FEW - 1), f, &rest)) {
		if (!fits)
			return need_more_elems(m->c, m->p);
	} else if (!fits || rest.n_elems + count_apart(blocks, f) < whole.n_elems) {
		joined_done(&whole);
		for (size_t i = 0; i < FEW - 1; i++)
			lay_ranges(m, blocks[i], f);
		if (rest.n)
			add_lookup(m, LOOKUP_JOINED)->joined = rest;
		return true;
	} else {
		joined_done(&rest);
	}
	add_lookup(m, LOOKUP_JOINED)->joined = whole;
	return true;
}

static bool lay_blocks(struct match *m)
{
	size_t n = HASH_COUNT(m->blocks), n_some = 0, i;
	bh_auto_free struct block **some = bh_calloc(n, sizeof(struct block *));
	struct block *b, *next;
	enum bh_family f;

	HASH_ITER (hh, m->blocks, b, next) {
		for (f = 0; f < BH_FAMILY_COUNT_; f++) {
			ranges_normalise(&b->ranges[f]);
			if (b->group->ports.is_all)
				lay_ranges(m, b, f);
		}
		if (!b->group->ports.is_all)
			some[n_some++] = b;
	}
	if (n_some == 0)
		return true;
	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		bh_sort(some, n_some, sizeof(struct block *), cmp_block);
		if (n_some > FEW) {
			if (!lay_joined(m, some, n_some, f))
				return false;
			continue;
		}
		for (i = 0; i < n_some; i++)
			lay_ranges(m, some[i], f);
	}
	return true;
}

static void lay_anybody(struct match *m)
{
	const struct port_set *parts[2];
	struct port_set copy = { 0 };
	size_t n;

	ports_normalise(&m->anybody);
	if (ports_is_empty(&m->anybody))
		return;
	ports_union(&copy, &m->anybody);
	n = port_parts(m, group_of(m, copy), parts);
	for (size_t i = 0; i < n; i++)
		add_lookup(m, LOOKUP_PORTS)->ports = parts[i];
}

/* --- what it needs ------------------------------------------------------------------------ */

static void need_lookup(const struct lookup *k, struct need *need)
{
	need->rules += k->kind == LOOKUP_PEERS || k->kind == LOOKUP_PEERS_PORTS ? 2 : 1;
	need->selectors += k->shares.n;
	need_add_ports(k->ports, need);
	need_add_joined(k->joined.items, k->joined.n, need);
	if (k->ranges)
		need->elems += k->ranges->n;
	for (size_t i = 0; i < k->shares.n && k->kind == LOOKUP_PEERS_PORTS; i++) {
		const struct port_set *ports = &k->shares.items[i].group->ports;

		need->elems += ports_count_exact(ports) + ports->n_names;
	}
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
	if (!profile_looks_into(m->p, s))
		profile_use(m->p, s);
}

/* Addresses in @addrs (a set for each family, or one), ports in @ports if not NULL. */
static void emit(struct match *m, struct shared_set *addrs, bool is_with_ports,
		 const struct port_set *numbers)
{
	static const enum bh_lookup_key keys[BH_DIR_COUNT_][2] = {
		[BH_INGRESS] = { BH_KEY_SADDR, BH_KEY_SADDR_PROTO_PORT },
		[BH_EGRESS] = { BH_KEY_DADDR, BH_KEY_DADDR_PROTO_PORT },
	};
	struct shared_set *ports = numbers ? sets_ports(m->c, numbers) : NULL;
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

static void emit_ports(struct match *m, const struct port_set *numbers)
{
	struct shared_set *ports = sets_ports(m->c, numbers);

	use_set(m, ports);
	match_add_rule(m->c, m->chain,
		       (const struct bh_expr[]){ { .kind = BH_EXPR_LOOKUP,
						   .set = ports->set[BH_IPV4],
						   .key = BH_KEY_PROTO_PORT },
						 *m->verdict },
		       2);
}

/* False where the peers of today bring more than the budget holds. */
static bool emit_peers(struct match *m, const struct lookup *k)
{
	bool is_with_ports = k->kind == LOOKUP_PEERS_PORTS;
	bh_auto_free struct set_member *members = bh_calloc(k->shares.n, sizeof(*members));
	struct shared_set *s;

	for (size_t i = 0; i < k->shares.n; i++) {
		const struct share *share = &k->shares.items[i];

		members[i] = (struct set_member){ .selector = share->peer->selector,
						  .canonical = share->peer->canonical };
		if (is_with_ports)
			members[i].ports = &share->group->ports;
	}
	s = sets_peers(m->c, members, k->shares.n, is_with_ports);
	emit(m, s, is_with_ports, k->ports);
	return !s->is_over || need_more_peers(m->c, m->p, s);
}

static bool emit_lookup(struct match *m, const struct lookup *k)
{
	switch (k->kind) {
	case LOOKUP_PORTS: emit_ports(m, k->ports); return true;
	case LOOKUP_PEERS:
	case LOOKUP_PEERS_PORTS: return emit_peers(m, k);
	case LOOKUP_RANGES: emit(m, sets_ranges(m->c, k->ranges), false, k->ports); return true;
	case LOOKUP_JOINED:
		emit(m, sets_range_ports(m->c, k->joined.items, k->joined.n), true, NULL);
		return true;
	}
	abort();
}

/* --- all of it ------------------------------------------------------------------------------ */

static void groups_done(struct match *m)
{
	struct port_group *g, *next;

	HASH_ITER (hh, m->groups, g, next) {
		HASH_DEL(m->groups, g);
		ports_done(&g->ports);
		free(g->canonical);
		free(g);
	}
}

static void match_done(struct match *m)
{
	struct peer *peer, *next_peer;
	struct block *b, *next_block;
	enum bh_family f;

	for (size_t i = 0; i < m->n_lookups; i++) {
		shares_done(&m->lookups[i].shares);
		joined_done(&m->lookups[i].joined);
	}
	free(m->lookups);
	HASH_ITER (hh, m->peers, peer, next_peer) {
		HASH_DEL(m->peers, peer);
		free(peer->groups);
		free(peer->canonical);
		free(peer);
	}
	HASH_ITER (hh, m->blocks, b, next_block) {
		HASH_DEL(m->blocks, b);
		for (f = 0; f < BH_FAMILY_COUNT_; f++)
			ranges_done(&b->ranges[f]);
		free(b);
	}
	groups_done(m);
	ports_done(&m->anybody);
}

static bool lay_out(struct match *m, const struct rule_run *run)
{
	struct need need = { 0 };

	for (size_t i = 0; i < run->n; i++)
		add_rule(m, &run->rules[i]);
	lay_anybody(m);
	if (!lay_peers(m) || !lay_blocks(m))
		return false;
	for (size_t i = 0; i < m->n_lookups; i++)
		need_lookup(&m->lookups[i], &need);
	return need_add(m->c, m->p, &need);
}

bool match_build(struct bh_compiler *c, struct profile *p, struct bh_plan_chain *chain,
		 const struct rule_run *run, const struct bh_pod *pod,
		 const struct bh_expr *verdict)
{
	bh_auto(match_done) struct match m = {
		.c = c,
		.p = p,
		.chain = chain,
		.dir = p->pub.dir,
		.pod = pod,
		.verdict = verdict,
		.is_denying = run->action == BH_DENY,
	};

	if (!lay_out(&m, run))
		return false;
	for (size_t i = 0; i < m.n_lookups; i++) {
		if (!emit_lookup(&m, &m.lookups[i]))
			return false;
	}
	return true;
}
