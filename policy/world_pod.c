/*
 * Pods: what the sources say of each, and the one pod that it makes.
 *
 * All pod objects of one namespace and name are on one short list, told ones,
 * live ones and the before-images of pending changes alike.  Whatever is told
 * or forgotten, the list is looked at afresh: told objects are grouped by uid,
 * each group makes one live pod.  Telling again what was said makes none.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

#define MAX_ADDRS 256

/* --- the objects ---------------------------------------------------------------- */

struct pod_name {
	const char *namespace, *name;
};

static uint32_t hash_name(const char *ns, const char *name)
{
	uint64_t parts[2] = { bh_hash(ns, strlen(ns)), bh_hash(name, strlen(name)) };

	return (uint32_t)bh_hash(parts, sizeof(parts));
}

static bool name_eq(const struct bh_hnode *item, const void *key)
{
	const struct bh_pod_obj *p = bh_item(item, struct bh_pod_obj, by_name);
	const struct pod_name *n = key;

	return strcmp(p->pub.name, n->name) == 0 && strcmp(p->pub.namespace, n->namespace) == 0;
}

static struct bh_hnode **name_slot(const struct bh_world *w, const char *ns, const char *name,
				   uint32_t hash)
{
	struct pod_name key = { ns, name };

	return bh_table_find(&w->pods, hash, name_eq, &key);
}

struct bh_pod_obj *bh_pod_first(const struct bh_world *w, const char *ns, const char *name)
{
	struct bh_hnode **slot = name_slot(w, ns, name, hash_name(ns, name));

	return slot ? bh_item(*slot, struct bh_pod_obj, by_name) : NULL;
}

static void link_pod(struct bh_world *w, struct bh_pod_obj *p)
{
	uint32_t hash = hash_name(p->pub.namespace, p->pub.name);
	struct bh_hnode **slot = name_slot(w, p->pub.namespace, p->pub.name, hash);

	p->by_name.hash = hash;
	p->next = slot ? bh_item(*slot, struct bh_pod_obj, by_name) : NULL;
	if (slot)
		*slot = &p->by_name;
	else
		bh_table_add(&w->pods, &p->by_name);
	p->is_linked = true;
}

void bh_pod_unlink(struct bh_world *w, struct bh_pod_obj *p)
{
	struct bh_hnode **slot;
	struct bh_pod_obj *prev;

	if (!p->is_linked)
		return;
	p->is_linked = false;
	slot = name_slot(w, p->pub.namespace, p->pub.name, p->by_name.hash);
	prev = bh_item(*slot, struct bh_pod_obj, by_name);
	if (prev == p) {
		if (p->next)
			*slot = &p->next->by_name;
		else
			bh_table_del(&w->pods, slot);
		return;
	}
	while (prev->next != p)
		prev = prev->next;
	prev->next = p->next;
}

static struct bh_addr *claimed(struct bh_pod_obj *p)
{
	return (struct bh_addr *)&p->claims[p->n_claims];
}

const struct bh_addr *bh_pod_claimed(const struct bh_pod_obj *p)
{
	return (const struct bh_addr *)&p->claims[p->n_claims];
}

static size_t copy_unique(const struct bh_addr *src, size_t n, struct bh_addr *dst)
{
	size_t i, k, used = 0;

	for (i = 0; i < n; i++) {
		for (k = 0; k < used && !bh_addr_eq(&dst[k], &src[i]); k++)
			;
		if (k == used)
			dst[used++] = src[i];
	}
	return used;
}

static const char *put_str(char **at, const char *s)
{
	size_t len = strlen(s) + 1;
	const char *copy = memcpy(*at, s, len);

	*at += len;
	return copy;
}

static bool can_own(const struct bh_pod *p)
{
	return !p->is_host_network && !p->is_finished;
}

struct bh_pod_obj *bh_pod_new(struct bh_world *w, struct bh_space *space, const struct bh_pod *pod,
			      enum bh_source source, uint64_t told)
{
	bh_auto_free struct bh_addr *addrs = bh_calloc(pod->n_addrs, sizeof(*addrs));
	size_t n = copy_unique(pod->addrs, pod->n_addrs, addrs);
	const char *uid = pod->uid ? pod->uid : "";
	size_t text = strlen(pod->name) + strlen(uid) + 2 +
		      (pod->sandbox_id ? strlen(pod->sandbox_id) + 1 : 0);
	struct bh_pod_obj *p = bh_malloc(
		sizeof(*p) + n * (sizeof(struct bh_claim) + sizeof(struct bh_addr)) + text);
	char *at;

	*p = (struct bh_pod_obj){ .obj = { .kind = BH_KIND_POD, .source = (uint8_t)source },
				  .told = told,
				  .n_claims = (uint16_t)n,
				  .pub = *pod };
	memset(p->claims, 0, n * sizeof(struct bh_claim));
	memcpy(claimed(p), addrs, n * sizeof(*addrs));
	at = (char *)(claimed(p) + n);
	p->class = bh_class_get(w, space, &pod->labels, pod->ports, pod->n_ports,
				pod->has_no_labels_yet);
	p->pub.namespace = space->entry.name;
	p->pub.name = put_str(&at, pod->name);
	p->pub.uid = put_str(&at, uid);
	p->pub.sandbox_id = pod->sandbox_id ? put_str(&at, pod->sandbox_id) : NULL;
	p->pub.node = bh_intern(&w->strings, pod->node ? pod->node : "");
	p->pub.workload_kind = bh_intern(&w->strings, pod->workload_kind);
	p->pub.workload_name = bh_intern(&w->strings, pod->workload_name);
	p->pub.file = bh_intern(&w->strings, pod->file);
	p->pub.labels = p->class->labels;
	p->pub.ports = p->class->ports;
	p->pub.n_ports = p->class->n_ports;
	p->pub.addrs = claimed(p);
	p->pub.n_addrs = can_own(pod) ? n : 0;
	link_pod(w, p);
	return p;
}

static void set_owned(struct bh_pod_obj *p, const struct bh_addr *addrs, size_t n)
{
	struct bh_addr *own;

	if (n == p->n_claims || n == 0) {
		p->pub.addrs = claimed(p);
	} else {
		own = bh_calloc(n, sizeof(*own));
		memcpy(own, addrs, n * sizeof(*own));
		p->pub.addrs = own;
	}
	p->pub.n_addrs = n;
}

void bh_pod_free(struct bh_world *w, struct bh_pod_obj *p)
{
	struct bh_addr *own;

	memcpy(&own, &p->pub.addrs, sizeof(own));
	if (own != claimed(p))
		free(own);
	bh_intern_unref(&w->strings, p->pub.node);
	bh_intern_unref(&w->strings, p->pub.workload_kind);
	bh_intern_unref(&w->strings, p->pub.workload_name);
	bh_intern_unref(&w->strings, p->pub.file);
	bh_class_put(w, p->class);
	free(p);
}

static bool str_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool addrs_same(const struct bh_addr *a, size_t n_a, const struct bh_addr *b, size_t n_b)
{
	size_t i;

	for (i = 0; i < n_a && n_a == n_b; i++)
		if (!bh_addr_eq(&a[i], &b[i]))
			return false;
	return n_a == n_b;
}

bool bh_pod_same(const struct bh_pod_obj *a, const struct bh_pod_obj *b)
{
	const struct bh_pod *p = &a->pub, *q = &b->pub;

	return a->class == b->class && strcmp(p->name, q->name) == 0 &&
	       strcmp(p->uid, q->uid) == 0 && p->node == q->node && p->is_local == q->is_local &&
	       p->is_host_network == q->is_host_network && p->is_finished == q->is_finished &&
	       p->created_ns == q->created_ns && p->workload_kind == q->workload_kind &&
	       p->workload_name == q->workload_name && str_same(p->sandbox_id, q->sandbox_id) &&
	       p->file == q->file && p->line == q->line &&
	       addrs_same(bh_pod_claimed(a), a->n_claims, bh_pod_claimed(b), b->n_claims);
}

static struct bh_pod_obj *clone(struct bh_world *w, const struct bh_pod_obj *p)
{
	struct bh_pod pod = p->pub;

	pod.addrs = bh_pod_claimed(p);
	pod.n_addrs = p->n_claims;
	return bh_pod_new(w, p->class->space, &pod, (enum bh_source)p->obj.source, p->told);
}

/* --- publishing ------------------------------------------------------------------- */

static void attach(struct bh_world *w, struct bh_pod_obj *p)
{
	p->obj.roles |= BH_OBJ_LIVE;
	p->obj.was_seen = true;
	bh_class_add_pod(w, p);
	if (can_own(&p->pub))
		bh_claims_add(w, p->claims, p->n_claims, 0);
	w->n_live[BH_KIND_POD]++;
	w->n_local += p->pub.is_local;
}

/* Its role goes later, when the change knows it. */
static void detach(struct bh_world *w, struct bh_pod_obj *p)
{
	if (can_own(&p->pub))
		bh_claims_del(w, p->claims, p->n_claims);
	bh_class_del_pod(w, p);
	w->n_live[BH_KIND_POD]--;
	w->n_local -= p->pub.is_local;
}

/*
 * The version of @p that has the addresses which it wins now.  An object that
 * readers may hold is not touched.
 */
static struct bh_pod_obj *with_won_addrs(struct bh_world *w, struct bh_pod_obj *p)
{
	bh_auto_free struct bh_addr *won = bh_calloc(p->n_claims, sizeof(*won));
	const struct bh_addr *all = bh_pod_claimed(p);
	size_t i, n = 0;

	for (i = 0; can_own(&p->pub) && i < p->n_claims; i++)
		if (bh_addr_would_win(w, &all[i], p))
			won[n++] = all[i];
	if (addrs_same(won, n, p->pub.addrs, p->pub.n_addrs))
		return p;
	if (p->obj.was_seen)
		p = clone(w, p);
	set_owned(p, won, n);
	return p;
}

static struct bh_pod_obj *of_obj(struct bh_obj *o)
{
	return o ? bh_item(o, struct bh_pod_obj, obj) : NULL;
}

/* The pending change of a pod that has no live version at the moment. */
static uint32_t find_change(const struct bh_world *w, const struct bh_pod_obj *like)
{
	struct bh_pod_obj *p = bh_pod_first(w, like->pub.namespace, like->pub.name);

	for (; p; p = p->next)
		if (p->obj.change && strcmp(p->pub.uid, like->pub.uid) == 0)
			return p->obj.change;
	return 0;
}

/* What went and came back the same within one change is the same object. */
static struct bh_pod_obj *revive(struct bh_world *w, struct bh_pod_obj *p, uint32_t change)
{
	struct bh_pod_obj *before = of_obj(bh_change_before(w, BH_KIND_POD, change));

	if (!before || before == p || !bh_pod_same(before, p) ||
	    !addrs_same(before->pub.addrs, before->pub.n_addrs, p->pub.addrs, p->pub.n_addrs))
		return p;
	if ((before->obj.roles & BH_OBJ_TOLD) && before->told != p->told)
		return p;
	before->told = p->told;
	/* Unless another source tells it, it takes over the role as well. */
	if ((p->obj.roles & BH_OBJ_TOLD) && !(before->obj.roles & BH_OBJ_TOLD)) {
		before->obj.roles |= BH_OBJ_TOLD;
		before->obj.source = p->obj.source;
		bh_obj_drop_role(w, &p->obj, BH_OBJ_TOLD);
	} else {
		bh_obj_drop_role(w, &p->obj, 0);
	}
	return before;
}

/* Makes @p live in the place of @old; either may be NULL. */
static void publish(struct bh_world *w, struct bh_pod_obj *old, struct bh_pod_obj *p)
{
	uint32_t change = old ? old->obj.change : find_change(w, p);

	if (old)
		detach(w, old);
	if (p) {
		p = revive(w, with_won_addrs(w, p), change);
		attach(w, p);
	}
	change = bh_change_note(w, BH_KIND_POD, change, old ? &old->obj : NULL, p ? &p->obj : NULL,
				NULL);
	if (old)
		old->obj.change =
			bh_change_before(w, BH_KIND_POD, change) == &old->obj ? change : 0;
	if (p)
		p->obj.change = change;
	if (old && old != p)
		bh_obj_drop_role(w, &old->obj, BH_OBJ_LIVE);
	if (old && can_own(&old->pub))
		bh_addrs_resolve(w, bh_pod_claimed(old), old->n_claims);
	if (p && can_own(&p->pub))
		bh_addrs_resolve(w, bh_pod_claimed(p), p->n_claims);
}

void bh_pod_reown(struct bh_world *w, struct bh_pod_obj *p)
{
	publish(w, p, clone(w, p));
}

/* --- merging ------------------------------------------------------------------------ */

bool bh_pod_is_local(const struct bh_world *w, const char *node, bool is_in_runtime)
{
	return is_in_runtime || !*w->node || !node || !*node || strcmp(node, w->node) == 0;
}

/* What is told of one pod, the highest source first. */
struct group {
	struct bh_pod_obj **facts;
	size_t n;
};

static int cmp_fact(const void *a, const void *b)
{
	const struct bh_pod_obj *p = *(struct bh_pod_obj *const *)a;
	const struct bh_pod_obj *q = *(struct bh_pod_obj *const *)b;

	if (p->obj.source != q->obj.source)
		return p->obj.source > q->obj.source ? -1 : 1;
	return -strcmp(p->pub.uid, q->pub.uid); /* the one with a uid first */
}

static bool has_port(const struct bh_port *ports, size_t n, const struct bh_port *port)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!ports[i].name || !port->name) {
			if (ports[i].name == port->name && ports[i].number == port->number &&
			    ports[i].protocol == port->protocol)
				return true;
		} else if (strcmp(ports[i].name, port->name) == 0) {
			return true;
		}
	}
	return false;
}

static struct bh_port *unite_ports(const struct group *g, size_t *ret_n)
{
	size_t i, k, n = 0, max = 0;
	struct bh_port *ports;

	for (i = 0; i < g->n; i++)
		max += g->facts[i]->pub.n_ports;
	ports = bh_calloc(max, sizeof(*ports));
	for (i = 0; i < g->n; i++) {
		const struct bh_pod *p = &g->facts[i]->pub;
		size_t n_higher = n;

		/* One pod may have a name twice, for two protocols. */
		for (k = 0; k < p->n_ports; k++)
			if (!has_port(ports, n_higher, &p->ports[k]))
				ports[n++] = p->ports[k];
	}
	*ret_n = n;
	return ports;
}

/* Fills in what higher facts left open. */
static void complete(struct bh_pod *pod, const struct bh_pod *lower)
{
	if (!*pod->node)
		pod->node = lower->node;
	if (!pod->created_ns)
		pod->created_ns = lower->created_ns;
	if (!pod->workload_kind) {
		pod->workload_kind = lower->workload_kind;
		pod->workload_name = lower->workload_name;
	}
	if (!pod->file) {
		pod->file = lower->file;
		pod->line = lower->line;
	}
	if (pod->has_no_labels_yet) {
		pod->labels = lower->labels;
		pod->has_no_labels_yet = lower->has_no_labels_yet;
	}
}

static struct bh_pod_obj *merge(struct bh_world *w, const struct group *g, const char *uid)
{
	struct bh_pod_obj *runtime = NULL, *from = g->facts[0];
	bh_auto_free struct bh_port *ports = NULL;
	struct bh_pod pod = from->pub;
	uint64_t told = UINT64_MAX;
	size_t i;

	for (i = 0; i < g->n; i++) {
		struct bh_pod_obj *f = g->facts[i];

		complete(&pod, &f->pub);
		if (f->obj.source == BH_SOURCE_CRI && !runtime)
			runtime = f;
		if (strcmp(f->pub.uid, uid) == 0 && f->told < told)
			told = f->told;
	}
	if (runtime)
		from = runtime;
	ports = unite_ports(g, &pod.n_ports);
	pod.ports = ports;
	pod.uid = uid;
	pod.addrs = bh_pod_claimed(from);
	pod.n_addrs = from->n_claims;
	pod.sandbox_id = from->pub.sandbox_id;
	pod.is_finished = from->pub.is_finished;
	pod.is_host_network = from->pub.is_host_network;
	pod.is_local = bh_pod_is_local(w, pod.node, runtime != NULL);
	return bh_pod_new(w, from->class->space, &pod, (enum bh_source)g->facts[0]->obj.source,
			  told);
}

static struct bh_pod_obj *live_of(struct bh_pod_obj *first, const char *uid)
{
	struct bh_pod_obj *p;

	for (p = first; p; p = p->next)
		if ((p->obj.roles & BH_OBJ_LIVE) && strcmp(p->pub.uid, uid) == 0)
			return p;
	return NULL;
}

/*
 * The number only grows, as facts come last and go, so that @p may win an
 * address here but cannot lose one.
 */
static void set_told(struct bh_world *w, struct bh_pod_obj *p, uint64_t told)
{
	assert(told > p->told);
	if (!can_own(&p->pub)) {
		p->told = told;
		return;
	}
	bh_claims_del(w, p->claims, p->n_claims);
	p->told = told;
	bh_claims_add(w, p->claims, p->n_claims, 0);
	bh_addrs_resolve(w, bh_pod_claimed(p), p->n_claims);
}

static void update_pod(struct bh_world *w, const struct group *g, const char *uid)
{
	struct bh_pod_obj *p = g->facts[0];
	struct bh_pod_obj *old = live_of(bh_pod_first(w, p->pub.namespace, p->pub.name), uid);
	bool is_local = bh_pod_is_local(w, p->pub.node, p->obj.source == BH_SOURCE_CRI);

	if (g->n > 1) {
		p = merge(w, g, uid);
	} else if (p->pub.is_local != is_local) {
		p = clone(w, p);
		p->pub.is_local = is_local;
	}
	if (old == p)
		return;
	if (!old || !bh_pod_same(old, p)) {
		publish(w, old, p);
		return;
	}
	/* Who was told of when decides ties, and readers do not see it. */
	if (!(old->obj.roles & BH_OBJ_TOLD) && old->told != p->told)
		set_told(w, old, p->told);
	bh_obj_drop_role(w, &p->obj, 0);
}

/* The told objects of @first's list; valid until the next call. */
static struct group told_of(struct bh_world *w, struct bh_pod_obj *first)
{
	struct bh_pod_obj *p;

	w->scratch.n = 0;
	for (p = first; p; p = p->next)
		if (p->obj.roles & BH_OBJ_TOLD)
			bh_ptrs_add(&w->scratch, p);
	return (struct group){ (struct bh_pod_obj **)w->scratch.items, w->scratch.n };
}

/* Whether what is told makes a pod of that uid. */
static bool is_wanted(const struct group *told, const char *uid)
{
	bool has_uid = false, has_same = false;
	size_t i;

	for (i = 0; i < told->n; i++) {
		has_uid |= *told->facts[i]->pub.uid != '\0';
		has_same |= strcmp(told->facts[i]->pub.uid, uid) == 0;
	}
	return has_same && (*uid || !has_uid);
}

static void update_group(struct bh_world *w, const struct group *told, const char *uid)
{
	bh_auto_free struct bh_pod_obj **facts = bh_calloc(told->n, sizeof(struct bh_pod_obj *));
	struct group g = { facts, 0 };
	size_t i;

	for (i = 0; i < told->n; i++)
		if (!*told->facts[i]->pub.uid || strcmp(told->facts[i]->pub.uid, uid) == 0)
			facts[g.n++] = told->facts[i];
	qsort(facts, g.n, sizeof(*facts), cmp_fact);
	update_pod(w, &g, uid);
}

/* Makes one live pod of a name what it should be, or none. */
static void update_uid(struct bh_world *w, const char *ns, const char *name, const char *uid)
{
	struct bh_pod_obj *first = bh_pod_first(w, ns, name);
	struct group told = told_of(w, first);
	struct bh_pod_obj *p = live_of(first, uid);

	if (is_wanted(&told, uid))
		update_group(w, &told, uid);
	else if (p)
		publish(w, p, NULL);
}

/* Makes all live pods of a name what they should be. */
static void update_name(struct bh_world *w, const char *ns, const char *name)
{
	bh_auto_free const char **uids = NULL;
	struct bh_pod_obj *p;
	size_t cap = 0, n = 0, i;

	/* Those without a role any more stay until the next settle. */
	for (p = bh_pod_first(w, ns, name); p; p = p->next) {
		bh_grow(&uids, &cap, n, sizeof(*uids));
		uids[n++] = p->pub.uid;
	}
	for (i = 0; i < n; i++)
		update_uid(w, ns, name, uids[i]);
}

/* After something of that uid was told or forgotten. */
static void update_after(struct bh_world *w, const char *ns, const char *name, const char *uid)
{
	if (!*uid) {
		update_name(w, ns, name);
		return;
	}
	update_uid(w, ns, name, uid);
	/* Facts without uid are a pod of their own only if there is no other. */
	update_uid(w, ns, name, "");
}

bool bh_pod_is_preferred(const struct bh_pod_obj *a, const struct bh_pod_obj *b)
{
	if (a->pub.is_finished != b->pub.is_finished)
		return b->pub.is_finished;
	return bh_pod_is_newer(a, b);
}

/* --- what sources tell ----------------------------------------------------------------- */

static struct bh_pod_obj *find_told(const struct bh_world *w, const char *ns, const char *name,
				    const char *uid, enum bh_source source)
{
	struct bh_pod_obj *p = bh_pod_first(w, ns, name);

	for (; p; p = p->next)
		if ((p->obj.roles & BH_OBJ_TOLD) && p->obj.source == source &&
		    strcmp(p->pub.uid, uid ? uid : "") == 0)
			return p;
	return NULL;
}

int bh_pod_apply(struct bh_world *w, const struct bh_fact *fact, struct bh_err *err)
{
	struct bh_pod pod = fact->pod;
	struct bh_pod_obj *p, *old;
	struct bh_space *space;

	if (pod.n_addrs > MAX_ADDRS)
		return bh_err(err, -E2BIG, "pod %s/%s: more than %d addresses", pod.namespace,
			      pod.name, MAX_ADDRS);
	old = find_told(w, pod.namespace, pod.name, pod.uid, fact->source);
	if (!old && w->n_live[BH_KIND_POD] >= BH_MAX_PODS)
		return bh_err(err, -E2BIG, "pod %s/%s: there are %d pods already", pod.namespace,
			      pod.name, BH_MAX_PODS);
	space = bh_space_get(w, pod.namespace, err);
	if (!space)
		return bh_err_wrap(err, -E2BIG, "pod %s/%s", pod.namespace, pod.name);

	pod.is_local = bh_pod_is_local(w, pod.node, fact->source == BH_SOURCE_CRI);
	p = bh_pod_new(w, space, &pod, fact->source, old ? old->told : ++w->last_told);
	if (old && bh_pod_same(old, p)) {
		bh_obj_drop_role(w, &p->obj, 0);
		return 0;
	}
	p->obj.roles |= BH_OBJ_TOLD;
	if (old)
		bh_obj_drop_role(w, &old->obj, BH_OBJ_TOLD);
	else
		bh_space_use(w, space);
	update_after(w, pod.namespace, pod.name, p->pub.uid);
	return 0;
}

void bh_pod_remove(struct bh_world *w, const struct bh_key *key)
{
	struct bh_pod_obj *p = find_told(w, key->namespace, key->name, key->uid, key->source);
	struct bh_space *space;

	if (!p)
		return;
	space = p->class->space;
	bh_obj_drop_role(w, &p->obj, BH_OBJ_TOLD);
	update_after(w, key->namespace, key->name, p->pub.uid);
	bh_space_unuse(w, space);
}

void bh_pod_update_all(struct bh_world *w)
{
	bh_auto_free struct bh_pod_obj **all = bh_calloc(w->pods.n, sizeof(struct bh_pod_obj *));
	size_t i, n = 0;

	/* Lists may get other heads meanwhile, but no list comes or goes. */
	for (i = 0; i < w->pods.cap; i++)
		if (w->pods.slots[i])
			all[n++] = bh_item(w->pods.slots[i], struct bh_pod_obj, by_name);
	for (i = 0; i < n; i++)
		update_name(w, all[i]->pub.namespace, all[i]->pub.name);
}
