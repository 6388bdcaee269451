/*
 * What one source told, handed back: for whoever keeps it over a restart.
 */
#include <string.h>

#include "world_impl.h"

struct teller {
	enum bh_source source;
	void (*on_fact)(void *ctx, const struct bh_fact *fact);
	void *ctx;
};

/* With every address that was told, whoever has it. */
static struct bh_node told_node(const struct bh_node_obj *o)
{
	struct bh_node node = o->pub;

	node.addrs = bh_node_claimed(o);
	node.n_addrs = o->n_claims;
	return node;
}

static void tell_obj(const struct teller *t, struct bh_obj *o)
{
	struct bh_fact fact = { .kind = (enum bh_kind)o->kind, .source = t->source };

	switch (fact.kind) {
	case BH_KIND_NAMESPACE: fact.ns = bh_item(o, struct bh_ns_obj, obj)->pub; break;
	case BH_KIND_NODE: fact.node = told_node(bh_item(o, struct bh_node_obj, obj)); break;
	case BH_KIND_POLICY: fact.policy = bh_item(o, struct bh_policy_obj, obj)->pub; break;
	case BH_KIND_POD:
	case BH_KIND_COUNT_: return;
	}
	t->on_fact(t->ctx, &fact);
}

static void tell_entries(const struct bh_world *w, enum bh_kind kind, const struct teller *t)
{
	const struct bh_table *table = &w->entries[kind];
	size_t i;

	for (i = 0; i < table->cap; i++) {
		const struct bh_entry *e;

		if (!table->slots[i])
			continue;
		e = bh_item(table->slots[i], struct bh_entry, node);
		if (e->told[t->source])
			tell_obj(t, e->told[t->source]);
	}
}

static void tell_pods(const struct bh_world *w, const struct teller *t)
{
	size_t i;

	for (i = 0; i < w->pods.cap; i++) {
		const struct bh_pod_obj *p;

		if (!w->pods.slots[i])
			continue;
		p = bh_item(w->pods.slots[i], struct bh_pod_obj, by_name);
		for (; p; p = p->next) {
			struct bh_fact fact = { .kind = BH_KIND_POD, .source = t->source };

			if (!(p->obj.roles & BH_OBJ_TOLD) || p->obj.source != t->source)
				continue;
			fact.pod = p->pub;
			fact.pod.addrs = bh_pod_claimed(p);
			fact.pod.n_addrs = p->n_claims;
			t->on_fact(t->ctx, &fact);
		}
	}
}

void bh_world_told(const struct bh_world *w, enum bh_source source,
		   void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx)
{
	const struct teller t = { source, on_fact, ctx };

	tell_entries(w, BH_KIND_NAMESPACE, &t);
	tell_entries(w, BH_KIND_NODE, &t);
	tell_entries(w, BH_KIND_POLICY, &t);
	tell_pods(w, &t);
}

bool bh_world_is_told(const struct bh_world *w, const struct bh_key *key)
{
	const struct bh_entry *e;

	if (key->kind == BH_KIND_POD)
		return bh_pod_find_told(w, key->namespace, key->name, key->uid, key->source);
	e = bh_entry_find(w, key->kind, key->policy_kind, key->namespace ? key->namespace : "",
			  key->name);
	return e && e->told[key->source];
}
