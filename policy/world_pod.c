/*
 * Pods as objects: made, listed by name, made live.
 *
 * All pod objects of one namespace and name are on one short list: told ones,
 * live ones and the before-images of pending changes.
 */
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

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

static void *copy_array(const void *src, size_t n, size_t size)
{
	void *copy = n ? bh_calloc(n, size) : NULL;

	if (n)
		memcpy(copy, src, n * size);
	return copy;
}

static void free_array(const void *array)
{
	void *p;

	memcpy(&p, &array, sizeof(p));
	free(p);
}

bool bh_pod_can_own(const struct bh_pod *p)
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
	p->pub.netns = bh_intern(&w->strings, pod->netns);
	p->pub.pod_ports = copy_array(pod->pod_ports, pod->n_pod_ports, sizeof(*pod->pod_ports));
	p->pub.extra = copy_array(pod->extra, pod->n_extra, sizeof(*pod->extra));
	p->pub.labels = p->class->labels;
	p->pub.ports = p->class->ports;
	p->pub.n_ports = p->class->n_ports;
	p->pub.addrs = claimed(p);
	p->pub.n_addrs = bh_pod_can_own(pod) ? n : 0;
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
	if (p->pub.addrs != claimed(p))
		free_array(p->pub.addrs);
	free_array(p->pub.pod_ports);
	free_array(p->pub.extra);
	bh_intern_unref(&w->strings, p->pub.netns);
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

static bool ports_same(const struct bh_pod *a, const struct bh_pod *b)
{
	size_t i;

	for (i = 0; i < a->n_pod_ports && a->n_pod_ports == b->n_pod_ports; i++) {
		const struct bh_pod_port *p = &a->pod_ports[i], *q = &b->pod_ports[i];

		if (p->ifindex != q->ifindex || strcmp(p->name, q->name) != 0 ||
		    p->has_mac != q->has_mac || memcmp(p->mac, q->mac, sizeof(p->mac)) != 0 ||
		    p->bridge != q->bridge)
			return false;
	}
	return a->n_pod_ports == b->n_pod_ports;
}

static bool extra_same(const struct bh_pod *a, const struct bh_pod *b)
{
	size_t i;

	for (i = 0; i < a->n_extra && a->n_extra == b->n_extra; i++)
		if (bh_cidr_cmp(&a->extra[i], &b->extra[i]) != 0)
			return false;
	return a->n_extra == b->n_extra;
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
	       p->has_ignored_ports == q->has_ignored_ports &&
	       p->is_quarantined == q->is_quarantined && p->netns == q->netns && ports_same(p, q) &&
	       extra_same(p, q) &&
	       addrs_same(bh_pod_claimed(a), a->n_claims, bh_pod_claimed(b), b->n_claims);
}

struct bh_pod_obj *bh_pod_clone(struct bh_world *w, const struct bh_pod_obj *p)
{
	struct bh_pod pod = p->pub;

	pod.addrs = bh_pod_claimed(p);
	pod.n_addrs = p->n_claims;
	pod.is_contested = false;
	return bh_pod_new(w, p->class->space, &pod, (enum bh_source)p->obj.source, p->told);
}

/* --- publishing ------------------------------------------------------------------- */

static void attach(struct bh_world *w, struct bh_pod_obj *p)
{
	p->obj.roles |= BH_OBJ_LIVE;
	p->obj.was_seen = true;
	bh_class_add_pod(w, p);
	if (bh_pod_can_own(&p->pub))
		bh_claims_add(w, p->claims, p->n_claims, 0);
	w->n_live[BH_KIND_POD]++;
	w->n_local += p->pub.is_local;
	w->n_closed += bh_pod_is_closed(&p->pub);
	p->class->space->n_quarantined += p->pub.is_quarantined;
}

/* Its role goes later, when the change knows it. */
static void detach(struct bh_world *w, struct bh_pod_obj *p)
{
	if (bh_pod_can_own(&p->pub))
		bh_claims_del(w, p->claims, p->n_claims);
	bh_class_del_pod(w, p);
	w->n_live[BH_KIND_POD]--;
	w->n_local -= p->pub.is_local;
	w->n_closed -= bh_pod_is_closed(&p->pub);
	p->class->space->n_quarantined -= p->pub.is_quarantined;
}

/*
 * The version of @p that has the addresses which it wins now.  An object that
 * readers may hold is not touched.
 */
static struct bh_pod_obj *with_won_addrs(struct bh_world *w, struct bh_pod_obj *p)
{
	bh_auto_free struct bh_addr *won = bh_calloc(p->n_claims, sizeof(*won));
	const struct bh_addr *all = bh_pod_claimed(p);
	bool is_contested;
	size_t i, n = 0;

	for (i = 0; bh_pod_can_own(&p->pub) && i < p->n_claims; i++)
		if (bh_addr_would_win(w, &all[i], p))
			won[n++] = all[i];
	is_contested = bh_addrs_are_contested(w, won, n, p);
	if (addrs_same(won, n, p->pub.addrs, p->pub.n_addrs) && p->pub.is_contested == is_contested)
		return p;
	if (p->obj.was_seen)
		p = bh_pod_clone(w, p);
	set_owned(p, won, n);
	p->pub.is_contested = is_contested;
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
	    before->pub.is_contested != p->pub.is_contested ||
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

void bh_pod_publish(struct bh_world *w, struct bh_pod_obj *old, struct bh_pod_obj *p)
{
	uint32_t change = old ? old->obj.change : find_change(w, p);
	struct bh_space *space = (old ? old : p)->class->space;
	bool touches_quarantine = (old && old->pub.is_quarantined) || (p && p->pub.is_quarantined);

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
	if (old && bh_pod_can_own(&old->pub))
		bh_addrs_resolve(w, bh_pod_claimed(old), old->n_claims, false);
	if (p && bh_pod_can_own(&p->pub))
		bh_addrs_resolve(w, bh_pod_claimed(p), p->n_claims, false);
	if (touches_quarantine)
		bh_space_update_quarantine(w, space);
}

void bh_pod_reown(struct bh_world *w, struct bh_pod_obj *p)
{
	bh_pod_publish(w, p, bh_pod_clone(w, p));
}
