/*
 * Who owns an address.
 *
 * One table leads from each address to the claims on it, of live pods and of
 * nodes.  The strongest claim wins: a node's, else that of a pod which the
 * runtime has, else the newest pod's.  Whenever claims come or go, the pods that are concerned are
 * replaced by versions with the addresses that are theirs now; only these.
 */
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
		 : &bh_claim_node(c)->pub.addrs[c->index & ~BH_CLAIM_OF_NODE];
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

/*
 * What the runtime of this node has is so; what others say of a pod here may be
 * what was, as long as nobody told them otherwise.
 */
static bool beats(const struct bh_pod_obj *a, const struct bh_pod_obj *b)
{
	bool is_run = a->pub.sandbox_id != NULL;

	if (is_run != (b->pub.sandbox_id != NULL))
		return is_run;
	return bh_pod_is_newer(a, b);
}

/* Whether @a goes before @b: nodes first, then the pods that beat others. */
static bool is_stronger(const struct bh_claim *a, const struct bh_claim *b)
{
	const struct bh_pod_obj *p = bh_claim_pod(a), *q = bh_claim_pod(b);

	return q && (!p || beats(p, q));
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

bool bh_addr_would_win(const struct bh_world *w, const struct bh_addr *a,
		       const struct bh_pod_obj *p)
{
	const struct bh_claim *first = bh_claims_of(w, a);
	const struct bh_pod_obj *other = first ? bh_claim_pod(first) : NULL;

	return !first || (other && (other == p || beats(p, other)));
}

bool bh_pod_owns(const struct bh_pod *p, const struct bh_addr *a)
{
	size_t i;

	for (i = 0; i < p->n_addrs; i++)
		if (bh_addr_eq(&p->addrs[i], a))
			return true;
	return false;
}

/*
 * A claimant that owns what it should not or does not own what it should.
 * Only the winner and who was the winner before can be that, and these two
 * are the first of the list.
 */
static struct bh_pod_obj *find_wronged(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_claim *first = bh_claims_of(w, a), *c = first;
	int i;

	for (i = 0; i < 2 && c; i++, c = c->next) {
		struct bh_pod_obj *p = bh_claim_pod(c);

		if (p && bh_pod_owns(&p->pub, a) != (c == first))
			return p;
	}
	return NULL;
}

void bh_addrs_resolve(struct bh_world *w, const struct bh_addr *addrs, size_t n)
{
	struct bh_pod_obj *p;
	size_t i;

	for (i = 0; i < n; i++)
		while ((p = find_wronged(w, &addrs[i])))
			bh_pod_reown(w, p);
}
