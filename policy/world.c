/*
 * The world as a whole: its life, changes and limits.  See world_impl.h for
 * how objects and their versions are kept.
 */
#include "bh/world.h"

#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

/* --- objects without a role ------------------------------------------------------------ */

static void discard(struct bh_world *w, struct bh_obj *o)
{
	if (o->kind == BH_KIND_POD)
		bh_pod_unlink(w, bh_item(o, struct bh_pod_obj, obj));
	bh_obj_free(w, o);
}

/* A pod's list keeps what a pending change starts from, to find the change. */
static void bury(struct bh_world *w, struct bh_obj *o)
{
	if (o->kind == BH_KIND_POD && !o->change)
		bh_pod_unlink(w, bh_item(o, struct bh_pod_obj, obj));
	o->is_buried = true;
	bh_ptrs_add(&w->buried, o);
}

void bh_obj_drop_role(struct bh_world *w, struct bh_obj *o, int role)
{
	o->roles &= (uint8_t)~role;
	if (o->roles || o->is_buried)
		return;
	if (!role && !o->was_seen) {
		discard(w, o);
		return;
	}
	bury(w, o);
}

static void free_buried(struct bh_world *w)
{
	uint32_t i;

	for (i = 0; i < w->buried.n; i++) {
		struct bh_obj *o = w->buried.items[i];

		o->is_buried = false;
		if (!o->roles)
			discard(w, o);
	}
	free(w->buried.items);
	w->buried = (struct bh_ptrs){ 0 };
}

/* --- changes ------------------------------------------------------------------------------ */

uint32_t bh_change_note(struct bh_world *w, enum bh_kind kind, uint32_t index,
			struct bh_obj *before, struct bh_obj *after, struct bh_entry *entry)
{
	struct bh_change_list *list = &w->changes[kind];

	w->lazy->listings[kind].is_valid = false;
	if (index) {
		list->items[index - 1].after = after;
		return index;
	}
	bh_grow(&list->items, &list->cap, list->n, sizeof(*list->items));
	list->items[list->n] = (struct bh_change){ before, after, entry };
	return (uint32_t)++list->n;
}

struct bh_obj *bh_change_before(const struct bh_world *w, enum bh_kind kind, uint32_t index)
{
	return index ? w->changes[kind].items[index - 1].before : NULL;
}

/* Whether anything is left of a change: what went may have come back. */
static bool is_real(const struct bh_change *c)
{
	return c->before != c->after;
}

/*
 * Makes w->out's typed array of one kind from the pending changes.  A macro,
 * because the four arrays differ in nothing but their types.
 */
#define FILL_OUT(w, kind, what, type)                                                              \
	do {                                                                                       \
		const struct bh_change_list *list_ = &(w)->changes[kind];                          \
		struct bh_##type##_change *out_ = bh_calloc(list_->n, sizeof(*out_));              \
		size_t n_ = 0;                                                                     \
                                                                                                   \
		for (size_t i_ = 0; i_ < list_->n; i_++) {                                         \
			if (!is_real(&list_->items[i_]))                                           \
				continue;                                                          \
			out_[n_].before = bh_obj_public(list_->items[i_].before);                  \
			out_[n_].after = bh_obj_public(list_->items[i_].after);                    \
			n_++;                                                                      \
		}                                                                                  \
		(w)->out.what = out_;                                                              \
		(w)->out.n_##what = n_;                                                            \
	} while (0)

/* Modes of policies depend on it, or on whose annotations count. */
static bool is_mode_changed(const struct bh_world *w)
{
	return w->mode != w->settled_mode || w->is_trust_changed;
}

static void free_array(const void *array)
{
	void *p;

	memcpy(&p, &array, sizeof(p));
	free(p);
}

static void forget_out(struct bh_world *w)
{
	free_array(w->out.pods);
	free_array(w->out.namespaces);
	free_array(w->out.nodes);
	free_array(w->out.policies);
	w->out = (struct bh_changes){ 0 };
}

const struct bh_changes *bh_world_changes(struct bh_world *w)
{
	forget_out(w);
	FILL_OUT(w, BH_KIND_POD, pods, pod);
	FILL_OUT(w, BH_KIND_NAMESPACE, namespaces, namespace);
	FILL_OUT(w, BH_KIND_NODE, nodes, node);
	FILL_OUT(w, BH_KIND_POLICY, policies, policy);
	w->out.is_mode_changed = is_mode_changed(w);
	return &w->out;
}

bool bh_world_is_dirty(const struct bh_world *w)
{
	size_t kind, i;

	for (kind = 0; kind < BH_KIND_COUNT_; kind++)
		for (i = 0; i < w->changes[kind].n; i++)
			if (is_real(&w->changes[kind].items[i]))
				return true;
	return is_mode_changed(w);
}

static void forget_changes(struct bh_world *w)
{
	size_t kind, i;

	for (kind = 0; kind < BH_KIND_COUNT_; kind++) {
		struct bh_change_list *list = &w->changes[kind];

		for (i = 0; i < list->n; i++) {
			const struct bh_change *c = &list->items[i];

			if (c->before)
				c->before->change = 0;
			if (c->after)
				c->after->change = 0;
			if (c->entry)
				c->entry->change = 0;
		}
		free(list->items);
		*list = (struct bh_change_list){ 0 };
	}
}

void bh_world_settle(struct bh_world *w)
{
	struct bh_ptrs doomed;
	uint32_t i;

	forget_out(w);
	forget_changes(w);
	w->settled_mode = w->mode;
	w->is_trust_changed = false;
	free_buried(w);
	doomed = w->doomed;
	w->doomed = (struct bh_ptrs){ 0 };
	for (i = 0; i < doomed.n; i++)
		bh_entry_reap(w, doomed.items[i]);
	free(doomed.items);
}

/* --- life --------------------------------------------------------------------------------- */

static void free_names(char **names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static char **copy_names(const char *const *names, size_t n)
{
	char **copy = bh_calloc(n, sizeof(*copy));
	size_t i;

	for (i = 0; i < n; i++)
		copy[i] = bh_strdup(names[i]);
	return copy;
}

static void free_config(struct bh_world *w)
{
	free(w->node);
	free_names(w->exempt, w->n_exempt);
	free_names(w->trusted, w->n_trusted);
}

static void copy_config(struct bh_world *w, const struct bh_world_config *config)
{
	w->node = bh_strdup(config->node ? config->node : "");
	memcpy(w->default_deny, config->default_deny, sizeof(w->default_deny));
	w->n_exempt = config->n_exempt_namespaces;
	w->exempt = copy_names(config->exempt_namespaces, w->n_exempt);
	w->mode = config->mode;
	memcpy(w->trust, config->trust.of, sizeof(w->trust));
	w->n_trusted = config->trust.n_namespaces;
	w->trusted = copy_names(config->trust.namespaces, w->n_trusted);
}

static bool is_same_trust(const struct bh_world *w, const struct bh_world_config *config)
{
	size_t i;

	if (memcmp(w->trust, config->trust.of, sizeof(w->trust)) != 0 ||
	    w->n_trusted != config->trust.n_namespaces)
		return false;
	for (i = 0; i < w->n_trusted; i++)
		if (strcmp(w->trusted[i], config->trust.namespaces[i]) != 0)
			return false;
	return true;
}

/* What a namespace's audit covers depends on what the configuration demands. */
static bool is_same_demand(const struct bh_world *w, const struct bh_world_config *config)
{
	size_t i;

	if (memcmp(w->default_deny, config->default_deny, sizeof(w->default_deny)) != 0 ||
	    w->n_exempt != config->n_exempt_namespaces)
		return false;
	for (i = 0; i < w->n_exempt; i++)
		if (strcmp(w->exempt[i], config->exempt_namespaces[i]) != 0)
			return false;
	return true;
}

struct bh_world *bh_world_new(const struct bh_world_config *config)
{
	struct bh_world *w = bh_calloc(1, sizeof(*w));

	copy_config(w, config);
	w->settled_mode = w->mode;
	w->lazy = bh_calloc(1, sizeof(*w->lazy));
	w->cluster_stamp = 1;
	w->name_key = bh_intern(&w->strings, "kubernetes.io/metadata.name");
	return w;
}

static void update_own_policies(struct bh_world *w)
{
	size_t i;

	for (i = 0; i < w->entries[BH_KIND_NAMESPACE].cap; i++) {
		struct bh_space *space;

		if (!w->entries[BH_KIND_NAMESPACE].slots[i])
			continue;
		space = bh_item(w->entries[BH_KIND_NAMESPACE].slots[i], struct bh_space,
				entry.node);
		bh_space_update_deny(w, space);
		bh_space_update_quarantine(w, space);
	}
}

void bh_world_configure(struct bh_world *w, const struct bh_world_config *config)
{
	bool is_moved = strcmp(w->node, config->node ? config->node : "") != 0;

	w->is_trust_changed |= !is_same_trust(w, config) || !is_same_demand(w, config);
	free_config(w);
	copy_config(w, config);
	update_own_policies(w);
	if (is_moved)
		bh_pod_update_all(w);
}

static void free_pods(struct bh_world *w)
{
	size_t i;

	for (i = 0; i < w->pods.cap; i++) {
		struct bh_pod_obj *p, *next;

		if (!w->pods.slots[i])
			continue;
		p = bh_item(w->pods.slots[i], struct bh_pod_obj, by_name);
		for (; p; p = next) {
			next = p->next;
			bh_pod_free(w, p);
		}
	}
}

static void free_entry(struct bh_world *w, struct bh_entry *e)
{
	size_t i;

	for (i = 0; i < BH_SOURCE_COUNT_; i++) {
		if (e->told[i] && e->told[i] != e->live)
			bh_obj_free(w, e->told[i]);
	}
	if (e->live)
		bh_obj_free(w, e->live);
}

static void free_entries(struct bh_world *w, struct bh_table *t, bool are_spaces)
{
	size_t i;

	for (i = 0; i < t->cap; i++) {
		struct bh_entry *e;

		if (!t->slots[i])
			continue;
		e = bh_item(t->slots[i], struct bh_entry, node);
		free_entry(w, e);
		if (are_spaces) {
			free_entry(w, &bh_item(e, struct bh_space, entry)->deny);
			free_entry(w, &bh_item(e, struct bh_space, entry)->quarantine);
		}
		bh_entry_free(w, e);
	}
	bh_table_done(t);
}

/*
 * After a settle nothing is left but objects with a role.  The indexes are not
 * kept in order any more on the way down.
 */
void bh_world_free(struct bh_world **world)
{
	struct bh_world *w = *world;
	size_t i;

	if (!w)
		return;
	bh_world_settle(w);
	free_pods(w);
	bh_table_done(&w->pods);
	bh_table_done(&w->classes);
	bh_table_done(&w->addrs);
	bh_index_done(&w->pod_labels);
	bh_index_done(&w->ns_labels);
	free_entries(w, &w->entries[BH_KIND_POLICY], false);
	free_entries(w, &w->entries[BH_KIND_NODE], false);
	free_entries(w, &w->entries[BH_KIND_NAMESPACE], true);
	bh_intern_unref(&w->strings, w->name_key);
	bh_table_done(&w->strings);
	for (i = 0; i < BH_KIND_COUNT_; i++)
		free(w->lazy->listings[i].items);
	free(w->lazy);
	free(w->cluster);
	free(w->scratch.items);
	free(w->doomed.items);
	free_config(w);
	free(w);
	*world = NULL;
}

/* --- what sources tell ---------------------------------------------------------------------- */

static int check_name(const char *what, const char *s, struct bh_err *err)
{
	if (!s || !*s)
		return bh_err(err, -EINVAL, "%s is missing", what);
	return 0;
}

static int check_fact(const struct bh_fact *fact, struct bh_err *err)
{
	const char *ns = NULL, *name = NULL;
	int r;

	switch (fact->kind) {
	case BH_KIND_POD:
		ns = fact->pod.namespace;
		name = fact->pod.name;
		break;
	case BH_KIND_POLICY:
		ns = bh_policy_kind_is_namespaced(fact->policy.kind) ? fact->policy.namespace : "-";
		name = fact->policy.name;
		if (fact->policy.kind == BH_DEFAULT_DENY)
			return bh_err(err, -EINVAL, "the world makes its own default deny");
		if (fact->policy.kind == BH_QUARANTINE && fact->source != BH_SOURCE_NODE)
			return bh_err(err, -EPERM, "only the operator of this node sets it");
		break;
	case BH_KIND_NAMESPACE:
		ns = "-";
		name = fact->ns.name;
		break;
	case BH_KIND_NODE:
		ns = "-";
		name = fact->node.name;
		break;
	case BH_KIND_COUNT_: abort();
	}
	r = check_name("name", name, err);
	return r < 0 ? r : check_name("namespace", ns, err);
}

int bh_world_apply(struct bh_world *w, const struct bh_fact *fact, struct bh_err *err)
{
	int r = check_fact(fact, err);

	if (r < 0)
		return bh_err_wrap(err, r, "%s", bh_kind_str(fact->kind));
	if (fact->kind == BH_KIND_POD)
		return bh_pod_apply(w, fact, err);
	return bh_entry_apply(w, fact, err);
}

void bh_world_remove(struct bh_world *w, const struct bh_key *key)
{
	if (key->kind == BH_KIND_POD)
		bh_pod_remove(w, key);
	else
		bh_entry_remove(w, key);
}

struct bh_world_stats bh_world_stats(const struct bh_world *w)
{
	return (struct bh_world_stats){
		.n_pods = w->n_live[BH_KIND_POD],
		.n_local_pods = w->n_local,
		.n_closed = w->n_closed,
		.n_namespaces = w->n_live[BH_KIND_NAMESPACE],
		.n_nodes = w->n_live[BH_KIND_NODE],
		.n_policies = w->n_live[BH_KIND_POLICY],
	};
}
