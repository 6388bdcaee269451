/*
 * Who owns an address.
 *
 * One table leads from each address to the claims on it, of live pods and of
 * nodes.  Whenever claims come or go, the pods that still claim the same
 * address are looked at again; only these.
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

void bh_claims_add(struct bh_world *w, struct bh_claim *claims, size_t n, uint32_t flag)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct bh_claim *c = &claims[i];
		struct bh_hnode **slot;

		c->index = i | flag;
		c->node.hash = hash_addr(addr_of(c));
		slot = bh_table_find(&w->addrs, c->node.hash, claim_eq, addr_of(c));
		c->next = slot ? bh_item(*slot, struct bh_claim, node) : NULL;
		if (slot)
			*slot = &c->node;
		else
			bh_table_add(&w->addrs, &c->node);
	}
}

void bh_claims_del(struct bh_world *w, struct bh_claim *claims, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct bh_claim *c = &claims[i], *prev;
		struct bh_hnode **slot =
			bh_table_find(&w->addrs, c->node.hash, claim_eq, addr_of(c));

		prev = bh_item(*slot, struct bh_claim, node);
		if (prev != c) {
			while (prev->next != c)
				prev = prev->next;
			prev->next = c->next;
		} else if (c->next) {
			*slot = &c->next->node;
		} else {
			bh_table_del(&w->addrs, slot);
		}
		c->next = NULL;
	}
}

bool bh_pod_is_newer(const struct bh_pod_obj *a, const struct bh_pod_obj *b)
{
	if (a->pub.created_ns != b->pub.created_ns)
		return a->pub.created_ns > b->pub.created_ns;
	return a->told > b->told;
}

bool bh_addr_is_won(const struct bh_world *w, const struct bh_addr *a, const struct bh_pod_obj *p)
{
	const struct bh_claim *c;

	for (c = bh_claims_of(w, a); c; c = c->next) {
		const struct bh_pod_obj *other = bh_claim_pod(c);

		if (!other || (other != p && bh_pod_is_newer(other, p)))
			return false;
	}
	return true;
}

static bool owns(const struct bh_pod_obj *p, const struct bh_addr *a)
{
	size_t i;

	for (i = 0; i < p->pub.n_addrs; i++)
		if (bh_addr_eq(&p->pub.addrs[i], a))
			return true;
	return false;
}

/* A claimant that owns what it should not or does not own what it should. */
static struct bh_pod_obj *find_wronged(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_claim *c;

	for (c = bh_claims_of(w, a); c; c = c->next) {
		struct bh_pod_obj *p = bh_claim_pod(c);

		if (p && owns(p, a) != bh_addr_is_won(w, a, p))
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
