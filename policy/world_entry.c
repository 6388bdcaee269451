/*
 * Namespaces, nodes and policies: told by up to one object of each source,
 * the highest source's is live.
 */
#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

/* --- tables ----------------------------------------------------------------------- */

struct entry_key {
	enum bh_policy_kind policy_kind;
	const char *namespace, *name;
};

static uint32_t hash_key(const struct entry_key *k)
{
	uint64_t hash = bh_hash(k->name, strlen(k->name));
	uint64_t parts[3] = { hash, k->policy_kind };

	if (!*k->namespace)
		return (uint32_t)hash + k->policy_kind;
	parts[2] = bh_hash(k->namespace, strlen(k->namespace));
	return (uint32_t)bh_hash(parts, sizeof(parts));
}

static bool entry_eq(const struct bh_hnode *item, const void *key)
{
	const struct bh_entry *e = bh_item(item, struct bh_entry, node);
	const struct entry_key *k = key;

	return e->policy_kind == k->policy_kind && strcmp(e->name, k->name) == 0 &&
	       strcmp(e->namespace, k->namespace) == 0;
}

struct bh_entry *bh_entry_find(const struct bh_world *w, enum bh_kind kind,
			       enum bh_policy_kind policy_kind, const char *ns, const char *name)
{
	struct entry_key key = { policy_kind, ns, name };
	struct bh_hnode **slot;

	slot = bh_table_find(&w->entries[kind], hash_key(&key), entry_eq, &key);
	return slot ? bh_item(*slot, struct bh_entry, node) : NULL;
}

struct bh_space *bh_space_find(const struct bh_world *w, const char *name)
{
	struct bh_entry *e = bh_entry_find(w, BH_KIND_NAMESPACE, 0, "", name);

	return e ? bh_item(e, struct bh_space, entry) : NULL;
}

static void init_entry(struct bh_world *w, struct bh_entry *e, enum bh_kind kind,
		       const struct entry_key *key)
{
	e->kind = (uint8_t)kind;
	e->policy_kind = (uint8_t)key->policy_kind;
	e->namespace = bh_intern(&w->strings, key->namespace);
	e->name = bh_intern(&w->strings, key->name);
	e->node.hash = hash_key(key);
}

/* It is looked at by the next settle, in case that nobody comes to use it. */
static struct bh_entry *add_entry(struct bh_world *w, enum bh_kind kind,
				  const struct entry_key *key)
{
	struct bh_space *space = NULL;
	struct bh_entry *e;

	if (kind == BH_KIND_NAMESPACE) {
		space = bh_calloc(1, sizeof(*space));
		e = &space->entry;
	} else {
		e = bh_calloc(1, sizeof(*e));
	}
	init_entry(w, e, kind, key);
	bh_table_add(&w->entries[kind], &e->node);
	bh_entry_doom(w, e);
	return e;
}

struct bh_space *bh_space_get(struct bh_world *w, const char *name, struct bh_err *err)
{
	struct entry_key key = { 0, "", name };
	struct bh_space *space = bh_space_find(w, name);

	if (space)
		return space;
	if (w->entries[BH_KIND_NAMESPACE].n >= BH_MAX_NAMESPACES) {
		bh_err(err, -E2BIG, "namespace %s: there are %d namespaces already", name,
		       BH_MAX_NAMESPACES);
		return NULL;
	}
	return bh_item(add_entry(w, BH_KIND_NAMESPACE, &key), struct bh_space, entry);
}

void bh_entry_doom(struct bh_world *w, struct bh_entry *e)
{
	if (e->is_doomed || e->is_own)
		return;
	e->is_doomed = true;
	bh_ptrs_add(&w->doomed, e);
}

static bool is_same_item(const struct bh_hnode *item, const void *key)
{
	return item == key;
}

void bh_entry_free(struct bh_world *w, struct bh_entry *e)
{
	struct bh_space *space = bh_item(e, struct bh_space, entry);

	bh_intern_unref(&w->strings, e->namespace);
	bh_intern_unref(&w->strings, e->name);
	if (e->kind != BH_KIND_NAMESPACE) {
		free(e);
		return;
	}
	bh_intern_unref(&w->strings, space->deny.namespace);
	bh_intern_unref(&w->strings, space->deny.name);
	bh_intern_unref(&w->strings, space->quarantine.namespace);
	bh_intern_unref(&w->strings, space->quarantine.name);
	free(space->classes.items);
	free(space->policies);
	free(space->merged);
	free(space);
}

void bh_entry_reap(struct bh_world *w, struct bh_entry *e)
{
	struct bh_space *space = bh_item(e, struct bh_space, entry);
	struct bh_table *t = &w->entries[e->kind];
	size_t i;

	e->is_doomed = false;
	for (i = 0; i < BH_SOURCE_COUNT_; i++)
		if (e->told[i])
			return;
	if (e->live || (e->kind == BH_KIND_NAMESPACE && (space->n_users || space->n_classes)))
		return;
	bh_table_del(t, bh_table_find(t, e->node.hash, is_same_item, &e->node));
	bh_entry_free(w, e);
}

/* --- lists of policies ------------------------------------------------------------------ */

int bh_policy_cmp(const struct bh_policy *a, const struct bh_policy *b)
{
	int c;

	if (a->tier != b->tier)
		return a->tier < b->tier ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	c = strcmp(a->name, b->name);
	return c ? c : strcmp(a->namespace, b->namespace);
}

/* Where @p is or belongs. */
static size_t position(const struct bh_policy *const *list, size_t n, const struct bh_policy *p)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (bh_policy_cmp(list[mid], p) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void list_policy(struct bh_world *w, const struct bh_policy *p, bool is_added)
{
	struct bh_space *space = *p->namespace ? bh_space_find(w, p->namespace) : NULL;
	const struct bh_policy ***list = space ? &space->policies : &w->cluster;
	size_t *n = space ? &space->n_policies : &w->n_cluster;
	size_t *cap = space ? &space->cap_policies : &w->cap_cluster;
	size_t at = position(*list, *n, p);

	if (is_added) {
		bh_grow(list, cap, *n, sizeof(**list));
		memmove(*list + at + 1, *list + at, (*n - at) * sizeof(**list));
		(*list)[at] = p;
		++*n;
	} else {
		--*n;
		memmove(*list + at, *list + at + 1, (*n - at) * sizeof(**list));
	}
	if (space)
		space->merged_at = 0;
	else
		w->cluster_stamp++;
}

/* --- what is live ------------------------------------------------------------------------ */

static struct bh_node_obj *node_of(struct bh_obj *o)
{
	return bh_item(o, struct bh_node_obj, obj);
}

/* Takes the live version out of the indexes; @o is @e->live. */
static void detach(struct bh_world *w, struct bh_entry *e, struct bh_obj *o)
{
	switch ((enum bh_kind)e->kind) {
	case BH_KIND_NAMESPACE: bh_index_del_ns(w, bh_item(e, struct bh_space, entry)); break;
	case BH_KIND_NODE: bh_claims_del(w, node_of(o)->claims, node_of(o)->n_claims); break;
	case BH_KIND_POLICY: list_policy(w, bh_obj_public(o), false); break;
	case BH_KIND_POD:
	case BH_KIND_COUNT_: abort();
	}
	e->live = NULL;
	w->n_live[e->kind]--;
}

static void attach(struct bh_world *w, struct bh_entry *e, struct bh_obj *o)
{
	o->roles |= BH_OBJ_LIVE;
	o->was_seen = true;
	e->live = o;
	w->n_live[e->kind]++;
	switch ((enum bh_kind)e->kind) {
	case BH_KIND_NAMESPACE: bh_index_add_ns(w, bh_item(e, struct bh_space, entry)); break;
	case BH_KIND_NODE:
		bh_claims_add(w, node_of(o)->claims, node_of(o)->n_claims, BH_CLAIM_OF_NODE);
		break;
	case BH_KIND_POLICY: list_policy(w, bh_obj_public(o), true); break;
	case BH_KIND_POD:
	case BH_KIND_COUNT_: abort();
	}
}

static bool owns_same(struct bh_obj *a, struct bh_obj *b)
{
	const struct bh_node *p = &node_of(a)->pub, *q = &node_of(b)->pub;

	/* Of the same claims, in the same order. */
	return a->kind != BH_KIND_NODE ||
	       (p->n_addrs == q->n_addrs &&
		(p->n_addrs == 0 ||
		 memcmp(p->addrs, q->addrs, p->n_addrs * sizeof(*p->addrs)) == 0));
}

/* What went and came back the same within one change is the same object. */
static struct bh_obj *revive(struct bh_world *w, struct bh_entry *e, struct bh_obj *o)
{
	struct bh_obj *before = bh_change_before(w, (enum bh_kind)e->kind, e->change);

	if (!before || before == o || !bh_obj_equal(before, o) || !owns_same(before, o))
		return o;
	/* Unless another source tells it, it takes over the role as well. */
	if ((o->roles & BH_OBJ_TOLD) && !(before->roles & BH_OBJ_TOLD)) {
		before->roles |= BH_OBJ_TOLD;
		before->source = o->source;
		e->told[o->source] = before;
		bh_obj_drop_role(w, o, BH_OBJ_TOLD);
	} else {
		bh_obj_drop_role(w, o, 0);
	}
	return before;
}

/* Others that depend on what just became live. */
static void follow(struct bh_world *w, struct bh_entry *e, struct bh_obj *old, struct bh_obj *o)
{
	if (e->kind == BH_KIND_NODE && old)
		bh_addrs_resolve(w, bh_node_claimed(node_of(old)), node_of(old)->n_claims, true);
	if (e->kind == BH_KIND_NODE && o)
		bh_addrs_resolve(w, bh_node_claimed(node_of(o)), node_of(o)->n_claims, true);
	if (e->kind == BH_KIND_NAMESPACE) {
		struct bh_space *space = bh_item(e, struct bh_space, entry);

		space->merged_at = 0;
		bh_space_update_deny(w, space);
		bh_space_update_quarantine(w, space);
	}
}

static void publish(struct bh_world *w, struct bh_entry *e, struct bh_obj *o)
{
	struct bh_obj *old = e->live;

	if (old)
		detach(w, e, old);
	if (o) {
		if (e->kind == BH_KIND_NODE)
			o = &bh_node_with_owned(w, node_of(o))->obj;
		o = revive(w, e, o);
		attach(w, e, o);
	} else {
		bh_entry_doom(w, e);
	}
	e->change = bh_change_note(w, (enum bh_kind)e->kind, e->change, old, o, e);
	if (old && old != o)
		bh_obj_drop_role(w, old, BH_OBJ_LIVE);
	follow(w, e, old, o);
}

void bh_node_reown(struct bh_world *w, struct bh_node_obj *node)
{
	struct bh_entry *e = bh_entry_find(w, BH_KIND_NODE, 0, "", node->pub.name);

	publish(w, e, &node->obj);
}

/* A namespace that something names, but nobody described. */
static struct bh_obj *implied(struct bh_world *w, struct bh_entry *e)
{
	struct bh_fact fact = { .kind = BH_KIND_NAMESPACE, .ns = { .name = e->name } };

	return bh_obj_copy(w, &fact);
}

static void update_entry(struct bh_world *w, struct bh_entry *e)
{
	struct bh_obj *o = NULL;
	size_t i;

	for (i = 0; i < BH_SOURCE_COUNT_; i++)
		if (e->told[i])
			o = e->told[i];
	if (!o && e->kind == BH_KIND_NAMESPACE && bh_item(e, struct bh_space, entry)->n_users > 0)
		o = implied(w, e);
	if (o == e->live)
		return;
	if (o && e->live && bh_obj_equal(o, e->live))
		bh_obj_drop_role(w, o, 0);
	else
		publish(w, e, o);
}

void bh_space_use(struct bh_world *w, struct bh_space *space)
{
	if (space->n_users++ == 0)
		update_entry(w, &space->entry);
}

void bh_space_unuse(struct bh_world *w, struct bh_space *space)
{
	if (--space->n_users == 0)
		update_entry(w, &space->entry);
}

/* --- policies of the world's own ------------------------------------------------------------ */

/* @policy NULL: there is none. */
static void publish_own(struct bh_world *w, struct bh_entry *e, const struct bh_policy *policy)
{
	struct bh_fact fact = { .kind = BH_KIND_POLICY };
	struct bh_obj *o = NULL;

	if (policy) {
		const struct entry_key key = { policy->kind, policy->namespace, policy->name };

		if (!e->name)
			init_entry(w, e, BH_KIND_POLICY, &key);
		e->is_own = true;
		fact.policy = *policy;
		o = bh_obj_copy(w, &fact);
	}
	if (o && e->live && bh_obj_equal(o, e->live))
		bh_obj_drop_role(w, o, 0);
	else if (o || e->live)
		publish(w, e, o);
}

void bh_space_update_deny(struct bh_world *w, struct bh_space *space)
{
	static const struct bh_rule deny_all = { .action = BH_DENY };
	struct bh_policy policy = { .kind = BH_DEFAULT_DENY,
				    .tier = BH_TIER_DEFAULT_DENY,
				    .namespace = space->entry.name,
				    .name = "default-deny",
				    .uid = "" };
	bool dirs[BH_DIR_COUNT_] = { false };
	size_t d;

	if (space->entry.live)
		bh_world_wanted_deny(w, bh_obj_public(space->entry.live), dirs);
	for (d = 0; d < BH_DIR_COUNT_; d++)
		if (dirs[d])
			policy.rules[d] = (struct bh_rules){ &deny_all, 1 };
	publish_own(w, &space->deny, dirs[BH_INGRESS] || dirs[BH_EGRESS] ? &policy : NULL);
}

void bh_space_update_quarantine(struct bh_world *w, struct bh_space *space)
{
	static const struct bh_rule deny_all = { .action = BH_DENY };
	const struct bh_policy policy = {
		.kind = BH_QUARANTINE,
		.tier = BH_TIER_QUARANTINE,
		.namespace = space->entry.name,
		.name = BH_QUARANTINE_BY_ANNOTATION,
		.uid = "",
		.is_by_annotation = true,
		.rules = { [BH_INGRESS] = { &deny_all, 1 }, [BH_EGRESS] = { &deny_all, 1 } }
	};
	bool is_wanted = space->entry.live && space->n_quarantined > 0 &&
			 bh_world_honours(w, BH_ANNOTATION_QUARANTINE, space->entry.name, NULL);

	publish_own(w, &space->quarantine, is_wanted ? &policy : NULL);
}

/* --- what sources tell ---------------------------------------------------------------------- */

static const size_t max_of[BH_KIND_COUNT_] = {
	[BH_KIND_NAMESPACE] = BH_MAX_NAMESPACES,
	[BH_KIND_NODE] = BH_MAX_NODES,
	[BH_KIND_POLICY] = BH_MAX_POLICIES,
};

static const char *name_of(const struct bh_fact *fact)
{
	if (fact->kind == BH_KIND_NAMESPACE)
		return fact->ns.name;
	return fact->kind == BH_KIND_NODE ? fact->node.name : fact->policy.name;
}

static struct entry_key key_of(const struct bh_fact *fact)
{
	struct entry_key key = { 0, "", name_of(fact) };

	if (fact->kind == BH_KIND_POLICY) {
		key.policy_kind = fact->policy.kind;
		if (bh_policy_kind_is_namespaced(key.policy_kind))
			key.namespace = fact->policy.namespace;
	}
	return key;
}

/* The namespace whose existence @e implies, or NULL. */
static struct bh_space *named_space(const struct bh_world *w, const struct bh_entry *e)
{
	if (e->kind == BH_KIND_POLICY && *e->namespace)
		return bh_space_find(w, e->namespace);
	return NULL;
}

int bh_entry_apply(struct bh_world *w, const struct bh_fact *fact, struct bh_err *err)
{
	struct entry_key key = key_of(fact);
	struct bh_entry *e = bh_entry_find(w, fact->kind, key.policy_kind, key.namespace, key.name);
	struct bh_space *space;
	struct bh_obj *o, *old;

	if (!e && w->entries[fact->kind].n >= max_of[fact->kind])
		return bh_err(err, -E2BIG, "%s %s: there are %zu already", bh_kind_str(fact->kind),
			      key.name, max_of[fact->kind]);
	if (*key.namespace && !bh_space_get(w, key.namespace, err))
		return bh_err_wrap(err, -E2BIG, "%s %s/%s", bh_kind_str(fact->kind), key.namespace,
				   key.name);
	if (!e)
		e = add_entry(w, fact->kind, &key);

	o = bh_obj_copy(w, fact);
	old = e->told[fact->source];
	if (old && bh_obj_equal(old, o)) {
		bh_obj_drop_role(w, o, 0);
		return 0;
	}
	o->roles |= BH_OBJ_TOLD;
	e->told[fact->source] = o;
	space = named_space(w, e);
	if (!old && space)
		bh_space_use(w, space);
	update_entry(w, e);
	if (old)
		bh_obj_drop_role(w, old, BH_OBJ_TOLD);
	return 0;
}

void bh_entry_remove(struct bh_world *w, const struct bh_key *key)
{
	bool is_policy = key->kind == BH_KIND_POLICY;
	bool has_ns = is_policy && bh_policy_kind_is_namespaced(key->policy_kind);
	struct bh_space *space;
	struct bh_entry *e;
	struct bh_obj *old;

	e = bh_entry_find(w, key->kind, is_policy ? key->policy_kind : 0,
			  has_ns ? key->namespace : "", key->name);
	if (!e || !e->told[key->source])
		return;
	old = e->told[key->source];
	e->told[key->source] = NULL;
	space = named_space(w, e);
	update_entry(w, e);
	bh_obj_drop_role(w, old, BH_OBJ_TOLD);
	if (space)
		bh_space_unuse(w, space);
}
