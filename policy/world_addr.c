/*
 * Who owns an address.
 *
 * One table leads from each address to the claims on it, of live pods and of
 * nodes.  The strongest claim wins, see world.h.  Whenever claims come or go, the
 * pods and nodes that are concerned are replaced by versions with the addresses
 * that are theirs now; only these.
 */
#include <limits.h>
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

struct bh_pod_obj *bh_claim_pod(const struct bh_claim *c)
{
	if (c->index & BH_CLAIM_OF_NODE)
		return NULL;
	return bh_item(c - c->index, struct bh_pod_obj, claims);
}

struct bh_node_obj *bh_claim_node(const struct bh_claim *c)
{
	if (!(c->index & BH_CLAIM_OF_NODE))
		return NULL;
	return bh_item(c - (c->index & ~BH_CLAIM_OF_NODE), struct bh_node_obj, claims);
}

static const struct bh_addr *addr_of(const struct bh_claim *c)
{
	const struct bh_pod_obj *p = bh_claim_pod(c);

	return p ? &bh_pod_claimed(p)[c->index]
		 : &bh_node_claimed(bh_claim_node(c))[c->index & ~BH_CLAIM_OF_NODE];
}

static bool claim_eq(const struct bh_hnode *item, const void *key)
{
	return bh_addr_eq(addr_of(bh_item(item, struct bh_claim, node)), key);
}

static uint32_t hash_addr(const struct bh_addr *a)
{
	return (uint32_t)bh_hash(a->bytes, bh_family_len((enum bh_family)a->family));
}

struct bh_claim *bh_claims_of(const struct bh_world *w, const struct bh_addr *a)
{
	struct bh_hnode **slot = bh_table_find(&w->addrs, hash_addr(a), claim_eq, a);

	return slot ? bh_item(*slot, struct bh_claim, node) : NULL;
}

bool bh_pod_is_newer(const struct bh_pod_obj *a, const struct bh_pod_obj *b)
{
	if (a->pub.created_ns != b->pub.created_ns)
		return a->pub.created_ns > b->pub.created_ns;
	return a->told > b->told;
}

/* Stronger claims have larger ones. */
enum rank { RANK_REMOTE_POD, RANK_NODE, RANK_LOCAL_POD, RANK_KNOWN_POD, RANK_KERNEL };

/*
 * What the runtime of this node has or what has a port here is here; what others
 * say of a pod may be what was, or what somebody wants us to believe.
 */
static enum rank rank_of_pod(const struct bh_pod_obj *p)
{
	if (!p->pub.is_local)
		return RANK_REMOTE_POD;
	return p->pub.sandbox_id || p->pub.n_pod_ports ? RANK_KNOWN_POD : RANK_LOCAL_POD;
}

static enum rank rank_of(const struct bh_claim *c)
{
	const struct bh_pod_obj *p = bh_claim_pod(c);
	bool is_kernel;

	if (p)
		return rank_of_pod(p);
	is_kernel = (c->index & ~BH_CLAIM_OF_NODE) < bh_claim_node(c)->pub.n_kernel;
	return is_kernel ? RANK_KERNEL : RANK_NODE;
}

static bool beats(const struct bh_pod_obj *a, const struct bh_pod_obj *b)
{
	enum rank rank = rank_of_pod(a), other = rank_of_pod(b);

	return rank != other ? rank > other : bh_pod_is_newer(a, b);
}

/* Whether @a goes before @b; nodes of one rank go before each other. */
static bool is_stronger(const struct bh_claim *a, const struct bh_claim *b)
{
	const struct bh_pod_obj *p = bh_claim_pod(a), *q = bh_claim_pod(b);
	enum rank rank = rank_of(a), other = rank_of(b);

	if (rank != other)
		return rank > other;
	return p && q && beats(p, q);
}

/* Two pods, of which @p has the address: whether it is sure that @q has not. */
static bool is_decided(const struct bh_pod_obj *p, const struct bh_pod_obj *q)
{
	enum rank rank = rank_of_pod(p);

	if (rank == RANK_KNOWN_POD)
		return true;
	/* One follows the other under its name. */
	if (p->pub.namespace == q->pub.namespace && strcmp(p->pub.name, q->pub.name) == 0)
		return true;
	if (rank != rank_of_pod(q) || !p->pub.created_ns || !q->pub.created_ns ||
	    p->pub.created_ns == q->pub.created_ns)
		return false;
	/* The order in which they were created is the order of one node's runtime. */
	return rank == RANK_LOCAL_POD || (*p->pub.node && p->pub.node == q->pub.node);
}

/* Whether none of those that claim it has it: the two strongest are known on their links. */
static bool is_nobodys(const struct bh_addr *a, const struct bh_pod_obj *p,
		       const struct bh_pod_obj *q)
{
	return bh_addr_is_link_local(a) && rank_of_pod(p) == RANK_KNOWN_POD &&
	       rank_of_pod(q) == RANK_KNOWN_POD;
}

static struct bh_claim *claim_at(struct bh_hnode **slot)
{
	return bh_item(*slot, struct bh_claim, node);
}

/*
 * The strongest claim is the first; the others are in no order, except that
 * who was the first a moment ago stays the second until bh_addrs_resolve().
 */
static void add_claim(struct bh_world *w, struct bh_claim *c)
{
	struct bh_hnode **slot = bh_table_find(&w->addrs, c->node.hash, claim_eq, addr_of(c));
	struct bh_claim *after;

	c->next = NULL;
	if (!slot) {
		bh_table_add(&w->addrs, &c->node);
	} else if (is_stronger(c, claim_at(slot))) {
		c->next = claim_at(slot);
		*slot = &c->node;
	} else {
		after = claim_at(slot)->next ? claim_at(slot)->next : claim_at(slot);
		c->next = after->next;
		after->next = c;
	}
}

void bh_claims_add(struct bh_world *w, struct bh_claim *claims, size_t n, uint32_t flag)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		claims[i].index = i | flag;
		claims[i].node.hash = hash_addr(addr_of(&claims[i]));
		add_claim(w, &claims[i]);
	}
}

/* Takes the strongest of a list off it; the rest goes after it. */
static struct bh_claim *strongest_first(struct bh_claim *list)
{
	struct bh_claim **at, **best = &list, *c;

	for (at = &list; *at; at = &(*at)->next)
		if (is_stronger(*at, *best))
			best = at;
	c = *best;
	*best = c->next;
	c->next = list;
	return c;
}

static void del_claim(struct bh_world *w, struct bh_claim *c)
{
	struct bh_hnode **slot = bh_table_find(&w->addrs, c->node.hash, claim_eq, addr_of(c));
	struct bh_claim *prev = claim_at(slot);

	if (prev != c) {
		while (prev->next != c)
			prev = prev->next;
		prev->next = c->next;
	} else if (c->next) {
		*slot = &strongest_first(c->next)->node;
	} else {
		bh_table_del(&w->addrs, slot);
	}
	c->next = NULL;
}

void bh_claims_del(struct bh_world *w, struct bh_claim *claims, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		del_claim(w, &claims[i]);
}

/* The strongest of the claims that are not @p's own. */
static const struct bh_claim *rival(const struct bh_claim *first, const struct bh_pod_obj *p)
{
	const struct bh_claim *best = NULL;

	if (first && bh_claim_pod(first) != p)
		return first;
	for (; first; first = first->next)
		if (bh_claim_pod(first) != p && (!best || is_stronger(first, best)))
			best = first;
	return best;
}

bool bh_addr_would_win(const struct bh_world *w, const struct bh_addr *a,
		       const struct bh_pod_obj *p)
{
	const struct bh_claim *c = rival(bh_claims_of(w, a), p);
	const struct bh_pod_obj *other = c ? bh_claim_pod(c) : NULL;

	if (!c)
		return true;
	if (!other)
		return rank_of_pod(p) > rank_of(c);
	return beats(p, other) && !is_nobodys(a, p, other);
}

/* With more pods than this on one address, who has it is not worth finding out. */
#define MANY_CLAIMS 32

static bool is_contested(const struct bh_world *w, const struct bh_addr *a,
			 const struct bh_pod_obj *p)
{
	const struct bh_claim *c;
	int n = 0;

	if (rank_of_pod(p) == RANK_KNOWN_POD)
		return false;
	for (c = bh_claims_of(w, a); c; c = c->next) {
		const struct bh_pod_obj *other = bh_claim_pod(c);

		if (!other || other == p)
			continue;
		if (!is_decided(p, other) || ++n >= MANY_CLAIMS)
			return true;
	}
	return false;
}

bool bh_addrs_are_contested(const struct bh_world *w, const struct bh_addr *addrs, size_t n,
			    const struct bh_pod_obj *p)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (is_contested(w, &addrs[i], p))
			return true;
	return false;
}

bool bh_addr_is_left_to_nodes(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_claim *first = bh_claims_of(w, a);

	return !first || rank_of(first) < RANK_LOCAL_POD || !bh_claim_pod(first);
}

static bool node_owns(const struct bh_node *node, const struct bh_addr *a)
{
	size_t i;

	for (i = 0; i < node->n_addrs; i++)
		if (bh_addr_eq(&node->addrs[i], a))
			return true;
	return false;
}

/*
 * Of pods only the winner and who was the winner before can own what they should
 * not or not own what they should, and these two are the first of the list.
 */
static struct bh_pod_obj *find_wronged_pod(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_claim *first = bh_claims_of(w, a), *c = first;
	int i;

	for (i = 0; i < 2 && c; i++, c = c->next) {
		struct bh_pod_obj *p = bh_claim_pod(c);
		bool should = c == first;

		if (!p)
			continue;
		if (should && bh_addr_is_link_local(a))
			should = bh_addr_would_win(w, a, p);
		if (bh_pod_owns(&p->pub, a) != should)
			return p;
		if (should && p->pub.is_contested !=
				      bh_addrs_are_contested(w, p->pub.addrs, p->pub.n_addrs, p))
			return p;
	}
	return NULL;
}

static struct bh_node_obj *find_wronged_node(const struct bh_world *w, const struct bh_addr *a,
					     int n)
{
	bool should = bh_addr_is_left_to_nodes(w, a);
	struct bh_claim *c = bh_claims_of(w, a);

	for (; c && n > 0; c = c->next, n--) {
		struct bh_node_obj *node = bh_claim_node(c);

		if (node && node_owns(&node->pub, a) != should)
			return node;
	}
	return NULL;
}

/*
 * Nodes have an address together or not at all.  Where one was the strongest until a
 * pod came, or is it since one went, it is among the first two and speaks for all.
 */
static void resolve_nodes(struct bh_world *w, const struct bh_addr *a, bool is_after_node)
{
	struct bh_node_obj *node = find_wronged_node(w, a, is_after_node ? INT_MAX : 2);

	while (node) {
		bh_node_reown(w, node);
		node = find_wronged_node(w, a, INT_MAX);
	}
}

void bh_addrs_resolve(struct bh_world *w, const struct bh_addr *addrs, size_t n, bool is_after_node)
{
	struct bh_pod_obj *p;
	size_t i;

	for (i = 0; i < n; i++) {
		resolve_nodes(w, &addrs[i], is_after_node);
		while ((p = find_wronged_pod(w, &addrs[i])))
			bh_pod_reown(w, p);
	}
}

void bh_world_conflicts(const struct bh_world *w,
			void (*on_conflict)(void *ctx, const struct bh_addr *a,
					    const struct bh_pod *owner, const struct bh_pod *pod,
					    const struct bh_node *node),
			void *ctx)
{
	const struct bh_claim *c;
	size_t i;

	for (i = 0; i < w->addrs.cap; i++) {
		const struct bh_pod *owner;

		if (!w->addrs.slots[i])
			continue;
		c = bh_item(w->addrs.slots[i], struct bh_claim, node);
		owner = bh_world_pod_by_addr(w, addr_of(c));
		for (; c; c = c->next) {
			const struct bh_pod_obj *p = bh_claim_pod(c);

			if (p && &p->pub != owner)
				on_conflict(ctx, addr_of(c), owner, &p->pub, NULL);
			else if (!p && owner)
				on_conflict(ctx, addr_of(c), owner, NULL, &bh_claim_node(c)->pub);
		}
	}
}
