/*
 * Addresses for pods and nodes that have none.
 *
 * From the blocks that are set aside for benchmarks of network devices (RFC
 * 2544, RFC 5180): no network uses them for anything that a policy could mean,
 * and unlike the documentation's they are large, and not what examples are
 * written with.  Where some policy names them nevertheless, what it names is
 * left out: a made-up address says nothing about the blocks of the input, but
 * that it is an address.  Should nothing be left, the reserved class E block
 * (RFC 1112) and the discard-only block (RFC 6666) are next.
 *
 * Where in its block an address lies depends on the name alone, except that
 * the next free one is taken where two names meet.
 */
#include <string.h>

#include "sim.h"

/* Of at most 2^32 addresses each, which differ in their last 32 bits. */
static const char *const pools[BH_FAMILY_COUNT_][3] = {
	[BH_IPV4] = { "198.18.0.0/15", "240.0.0.0/5", NULL },
	[BH_IPV6] = { "2001:2::/96", "100::/96", NULL },
};

/* Numbers within a pool; @end is the first behind them. */
struct span {
	uint64_t first, end;
};

struct spans {
	struct span *items;
	size_t n, cap;
};

/* One family's addresses in the making. */
struct maker {
	struct bh_sim *sim;
	enum bh_family family;
	struct bh_cidr pool;
	struct spans free;
	uint64_t n_free;
};

/* --- what is to be avoided ----------------------------------------------------------------- */

static uint32_t low_bits(const struct bh_addr *a)
{
	const uint8_t *b = a->bytes + bh_family_len((enum bh_family)a->family) - 4;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static struct bh_addr with_low_bits(const struct bh_addr *base, uint32_t v)
{
	struct bh_addr a = *base;
	uint8_t *b = a.bytes + bh_family_len((enum bh_family)a.family) - 4;

	b[0] = (uint8_t)(v >> 24);
	b[1] = (uint8_t)(v >> 16);
	b[2] = (uint8_t)(v >> 8);
	b[3] = (uint8_t)v;
	return a;
}

static void avoid(struct spans *s, const struct bh_cidr *pool, const struct bh_cidr *block)
{
	struct bh_range r;

	if (!bh_cidr_covers(pool, block))
		return;
	r = bh_cidr_range(block);
	bh_grow(&s->items, &s->cap, s->n, sizeof(*s->items));
	s->items[s->n++] = (struct span){ low_bits(&r.first), low_bits(&r.last) + UINT64_C(1) };
}

static void avoid_addrs(struct spans *s, const struct bh_cidr *pool, const struct bh_addr *addrs,
			size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct bh_cidr block = {
			.addr = addrs[i],
			.prefix_len = (uint8_t)(bh_family_len((enum bh_family)addrs[i].family) * 8),
		};

		avoid(s, pool, &block);
	}
}

/* Adds what @p names; true where it names all of the pool, and not simply everybody. */
static bool avoid_policy(struct spans *s, const struct bh_cidr *pool, const struct bh_policy *p)
{
	bool is_all = false;
	size_t d, r, i, k;

	for (d = 0; d < BH_DIR_COUNT_; d++) {
		for (r = 0; r < p->rules[d].n; r++) {
			const struct bh_rule *rule = &p->rules[d].items[r];

			for (i = 0; i < rule->n_peers; i++) {
				const struct bh_peer *peer = &rule->peers[i];

				if (peer->kind != BH_PEER_CIDR)
					continue;
				avoid(s, pool, &peer->cidr);
				is_all |= peer->cidr.prefix_len > 0 &&
					  bh_cidr_covers(&peer->cidr, pool);
				for (k = 0; k < peer->n_except; k++) {
					avoid(s, pool, &peer->except[k]);
					is_all |= bh_cidr_covers(&peer->except[k], pool);
				}
			}
		}
	}
	return is_all;
}

/* Everything that the input says is at some address. */
static bool find_used(const struct bh_sim *sim, const struct bh_cidr *pool, struct spans *ret)
{
	const struct bh_policy *const *policies;
	const struct bh_node *const *nodes;
	const struct bh_pod *const *pods;
	bool is_all = false;
	size_t i, n;

	n = bh_world_policies(sim->world, &policies);
	for (i = 0; i < n; i++)
		is_all |= avoid_policy(ret, pool, policies[i]);
	n = bh_world_pods(sim->world, &pods);
	for (i = 0; i < n; i++)
		avoid_addrs(ret, pool, pods[i]->addrs, pods[i]->n_addrs);
	n = bh_world_nodes(sim->world, &nodes);
	for (i = 0; i < n; i++)
		avoid_addrs(ret, pool, nodes[i]->addrs, nodes[i]->n_addrs);
	for (i = 0; i < sim->n_services; i++)
		avoid_addrs(ret, pool, sim->services[i]->addrs, sim->services[i]->n_addrs);
	return is_all;
}

static int by_first(const void *a, const void *b)
{
	const struct span *s = a, *t = b;

	return (s->first > t->first) - (s->first < t->first);
}

/* What is left of the pool; its first and last address are left out as well. */
static void find_free(struct maker *m, struct spans *used)
{
	struct bh_range all = bh_cidr_range(&m->pool);
	uint64_t at = low_bits(&all.first) + UINT64_C(1), end = low_bits(&all.last);
	size_t i;

	if (used->n)
		bh_sort(used->items, used->n, sizeof(*used->items), by_first);
	m->free.n = 0;
	m->n_free = 0;
	for (i = 0; i <= used->n && at < end; i++) {
		struct span gap = { at, i < used->n ? used->items[i].first : end };

		if (gap.first < gap.end) {
			bh_grow(&m->free.items, &m->free.cap, m->free.n, sizeof(gap));
			m->free.items[m->free.n++] = gap;
			m->n_free += gap.end - gap.first;
		}
		if (i < used->n && used->items[i].end > at)
			at = used->items[i].end;
	}
}

/*
 * The first pool that has room and is not wholly meant by some policy; else
 * the first that has room: who excepts every reserved block means that one of
 * a cluster is not outside.
 */
static void choose_pool(struct maker *m, size_t n_wanted)
{
	bool allows_all;
	size_t i;

	for (allows_all = false;; allows_all = true) {
		for (i = 0; pools[m->family][i]; i++) {
			struct spans used = { 0 };
			bool is_all;

			bh_cidr_parse(pools[m->family][i], &m->pool, NULL);
			is_all = find_used(m->sim, &m->pool, &used);
			find_free(m, &used);
			free(used.items);
			if (m->n_free >= n_wanted && (allows_all || !is_all))
				return;
		}
		if (allows_all)
			return;
	}
}

/* --- giving them out ------------------------------------------------------------- */

static struct bh_addr nth_free(const struct maker *m, uint64_t n)
{
	size_t i;

	for (i = 0; n >= m->free.items[i].end - m->free.items[i].first; i++)
		n -= m->free.items[i].end - m->free.items[i].first;
	return with_low_bits(&m->pool.addr, (uint32_t)(m->free.items[i].first + n));
}

static uint64_t number_of(const char *name)
{
	char digest[BH_DIGEST_LEN + 1];

	bh_digest(name, strlen(name), digest);
	digest[16] = '\0';
	return strtoull(digest, NULL, 16);
}

/* False where the pool is used up. */
static bool make_addr(struct maker *m, const char *name, struct bh_addr *ret)
{
	uint64_t start = number_of(name), i;

	for (i = 0; i < m->n_free; i++) {
		struct bh_addr a = nth_free(m, (start % m->n_free + i) % m->n_free);
		struct made_up *made;

		if (bh_sim_is_made_up(m->sim, &a))
			continue;
		made = bh_arena_alloc(m->sim->arena, sizeof(*made));
		made->addr = a;
		HASH_ADD(hh, m->sim->made_up, addr, sizeof(made->addr), made);
		*ret = a;
		return true;
	}
	return false;
}

static size_t make_both(struct maker makers[BH_FAMILY_COUNT_], const char *name,
			struct bh_addr ret[BH_FAMILY_COUNT_])
{
	size_t f, n = 0;

	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		n += make_addr(&makers[f], name, &ret[n]);
	return n;
}

static bool lacks_addr(const struct bh_pod *pod)
{
	return pod->n_addrs == 0 && !pod->is_host_network && !pod->is_finished;
}

static void make_pod_addrs(struct bh_sim *sim, struct maker makers[BH_FAMILY_COUNT_],
			   const struct bh_pod *pod)
{
	bh_auto_free char *name = bh_asprintf("%s/%s", pod->namespace, pod->name);
	struct bh_fact fact = { .kind = BH_KIND_POD, .source = BH_SOURCE_MANIFEST, .pod = *pod };
	struct bh_addr addrs[BH_FAMILY_COUNT_];

	fact.pod.n_addrs = make_both(makers, name, addrs);
	fact.pod.addrs = addrs;
	bh_world_apply(sim->world, &fact, NULL);
}

static void make_node_addrs(struct bh_sim *sim, struct maker makers[BH_FAMILY_COUNT_],
			    const struct bh_node *node)
{
	bh_auto_free char *name = bh_asprintf("node:%s", node->name);
	struct bh_fact fact = { .kind = BH_KIND_NODE, .source = BH_SOURCE_MANIFEST, .node = *node };
	struct bh_addr addrs[BH_FAMILY_COUNT_];

	fact.node.n_addrs = make_both(makers, name, addrs);
	fact.node.addrs = addrs;
	bh_world_apply(sim->world, &fact, NULL);
}

void sim_make_addrs(struct bh_sim *sim)
{
	struct maker makers[BH_FAMILY_COUNT_];
	const struct bh_node *const *nodes;
	const struct bh_pod *const *pods;
	size_t n_pods = bh_world_pods(sim->world, &pods), n_nodes, i, f;
	bh_auto_free const struct bh_pod **some_pods = bh_calloc(n_pods, sizeof(struct bh_pod *));
	bh_auto_free const struct bh_node **some_nodes = NULL;
	size_t n_some_pods = 0, n_some_nodes = 0;

	/* Listings are good until something is told; the objects are until the world settles. */
	for (i = 0; i < n_pods && !sim->is_compat; i++)
		if (lacks_addr(pods[i]))
			some_pods[n_some_pods++] = pods[i];
	n_nodes = bh_world_nodes(sim->world, &nodes);
	some_nodes = bh_calloc(n_nodes, sizeof(struct bh_node *));
	for (i = 0; i < n_nodes; i++)
		if (nodes[i]->n_addrs == 0)
			some_nodes[n_some_nodes++] = nodes[i];

	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		makers[f] = (struct maker){ .sim = sim, .family = (enum bh_family)f };
		choose_pool(&makers[f], n_some_pods + n_some_nodes);
	}
	for (i = 0; i < n_some_nodes; i++)
		make_node_addrs(sim, makers, some_nodes[i]);
	for (i = 0; i < n_some_pods; i++)
		make_pod_addrs(sim, makers, some_pods[i]);
	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		free(makers[f].free.items);
}

bool bh_sim_is_made_up(const struct bh_sim *sim, const struct bh_addr *a)
{
	struct made_up *made;

	HASH_FIND(hh, sim->made_up, a, sizeof(*a), made);
	return made != NULL;
}
