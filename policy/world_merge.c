/*
 * What the sources say of each pod, and the one pod that it makes.
 *
 * Whatever is told or forgotten, the pod's name is looked at afresh: told
 * objects are grouped by uid, each group makes one live pod.  Told objects
 * without uid belong to every group; they are one of their own only where
 * nobody tells a uid.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

#define MAX_ADDRS 256
#define MAX_PORTS 64
#define MAX_EXTRA 64

/* Where a manifest leaves the node out it means this one; the API means none yet. */
static bool is_local(const struct bh_world *w, const char *node, bool is_in_runtime,
		     enum bh_source source)
{
	if (is_in_runtime || !*w->node)
		return true;
	if (!node || !*node)
		return source != BH_SOURCE_KUBE;
	return strcmp(node, w->node) == 0;
}

/* What is told of one pod, the highest source first. */
struct group {
	struct bh_pod_obj **facts;
	size_t n;
	const struct bh_pod_obj *added; /* by this node; NULL if nothing */
};

static bool is_added(const struct bh_pod_obj *p)
{
	return p->obj.source == BH_SOURCE_NODE;
}

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

/* The runtime knows the namespace that it made; else a manifest may name it. */
static const char *find_netns(const struct group *g, const struct bh_pod_obj *runtime)
{
	size_t i;

	if (runtime && runtime->pub.netns)
		return runtime->pub.netns;
	for (i = 0; i < g->n; i++)
		if (g->facts[i]->pub.netns)
			return g->facts[i]->pub.netns;
	return NULL;
}

static struct bh_addr *unite_addrs(const struct bh_pod_obj *from, const struct bh_pod_obj *added,
				   size_t *ret_n)
{
	size_t n = from->n_claims, n_more = added ? added->n_claims : 0;
	struct bh_addr *addrs = bh_calloc(n + n_more, sizeof(*addrs));

	if (n)
		memcpy(addrs, bh_pod_claimed(from), n * sizeof(*addrs));
	if (n_more)
		memcpy(addrs + n, bh_pod_claimed(added), n_more * sizeof(*addrs));
	*ret_n = n + n_more;
	return addrs;
}

/* What this node adds to a pod of its own; one that has no network of its own has no port. */
static void add_ports(struct bh_pod *pod, const struct bh_pod_obj *added)
{
	bool has_own = added && bh_pod_can_own(pod) && pod->is_local;

	pod->pod_ports = has_own ? added->pub.pod_ports : NULL;
	pod->n_pod_ports = has_own ? added->pub.n_pod_ports : 0;
	pod->extra = has_own ? added->pub.extra : NULL;
	pod->n_extra = has_own ? added->pub.n_extra : 0;
}

static struct bh_pod_obj *merge(struct bh_world *w, const struct group *g, const char *uid)
{
	struct bh_pod_obj *runtime = NULL, *from = g->facts[0];
	bh_auto_free struct bh_port *ports = NULL;
	bh_auto_free struct bh_addr *addrs = NULL;
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
	pod.has_ignored_ports = from->pub.has_ignored_ports;
	pod.is_quarantined = false;
	for (i = 0; i < g->n; i++)
		pod.is_quarantined |= g->facts[i]->pub.is_quarantined;
	ports = unite_ports(g, &pod.n_ports);
	pod.ports = ports;
	pod.uid = uid;
	pod.netns = find_netns(g, runtime);
	pod.sandbox_id = from->pub.sandbox_id;
	pod.is_finished = from->pub.is_finished;
	pod.is_host_network = from->pub.is_host_network;
	pod.is_local =
		is_local(w, pod.node, runtime != NULL, (enum bh_source)g->facts[0]->obj.source);
	addrs = unite_addrs(from, pod.is_local ? g->added : NULL, &pod.n_addrs);
	pod.addrs = addrs;
	add_ports(&pod, g->added);
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
	if (!bh_pod_can_own(&p->pub)) {
		p->told = told;
		return;
	}
	bh_claims_del(w, p->claims, p->n_claims);
	p->told = told;
	bh_claims_add(w, p->claims, p->n_claims, 0);
	bh_addrs_resolve(w, bh_pod_claimed(p), p->n_claims, false);
}

static void update_pod(struct bh_world *w, const struct group *g, const char *uid)
{
	struct bh_pod_obj *p = g->facts[0];
	struct bh_pod_obj *old = live_of(bh_pod_first(w, p->pub.namespace, p->pub.name), uid);
	bool is_here = is_local(w, p->pub.node, p->obj.source == BH_SOURCE_CRI,
				(enum bh_source)p->obj.source);

	if (g->n > 1 || g->added) {
		p = merge(w, g, uid);
	} else if (p->pub.is_local != is_here) {
		p = bh_pod_clone(w, p);
		p->pub.is_local = is_here;
	}
	if (old == p)
		return;
	if (!old || !bh_pod_same(old, p)) {
		bh_pod_publish(w, old, p);
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
	return (struct group){ (struct bh_pod_obj **)w->scratch.items, w->scratch.n, NULL };
}

/* Whether what is told makes a pod of that uid. */
static bool is_wanted(const struct group *told, const char *uid)
{
	bool has_uid = false, has_same = false;
	size_t i;

	for (i = 0; i < told->n; i++) {
		if (is_added(told->facts[i]))
			continue;
		has_uid |= *told->facts[i]->pub.uid != '\0';
		has_same |= strcmp(told->facts[i]->pub.uid, uid) == 0;
	}
	return has_same && (*uid || !has_uid);
}

static void update_group(struct bh_world *w, const struct group *told, const char *uid)
{
	bh_auto_free struct bh_pod_obj **facts = bh_calloc(told->n, sizeof(struct bh_pod_obj *));
	struct group g = { facts, 0, NULL };
	size_t i;

	for (i = 0; i < told->n; i++) {
		struct bh_pod_obj *f = told->facts[i];
		bool is_same = strcmp(f->pub.uid, uid) == 0;

		if (is_added(f))
			g.added = is_same ? f : g.added;
		else if (is_same || !*f->pub.uid)
			facts[g.n++] = f;
	}
	bh_sort(facts, g.n, sizeof(*facts), cmp_fact);
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
		bh_pod_publish(w, p, NULL);
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

struct bh_pod_obj *bh_pod_find_told(const struct bh_world *w, const char *ns, const char *name,
				    const char *uid, enum bh_source source)
{
	struct bh_pod_obj *p = bh_pod_first(w, ns, name);

	for (; p; p = p->next)
		if ((p->obj.roles & BH_OBJ_TOLD) && p->obj.source == source &&
		    strcmp(p->pub.uid, uid ? uid : "") == 0)
			return p;
	return NULL;
}

/* What only some sources may say, see model.h. */
static void ignore_foreign(struct bh_pod *pod, enum bh_source source)
{
	pod->is_contested = false;
	if (source != BH_SOURCE_CRI && source != BH_SOURCE_MANIFEST)
		pod->netns = NULL;
	if (source == BH_SOURCE_NODE)
		return;
	pod->n_pod_ports = pod->n_extra = 0;
	pod->pod_ports = NULL;
	pod->extra = NULL;
}

int bh_pod_apply(struct bh_world *w, const struct bh_fact *fact, struct bh_err *err)
{
	struct bh_pod pod = fact->pod;
	struct bh_pod_obj *p, *old;
	struct bh_space *space;

	if (pod.n_addrs > MAX_ADDRS)
		return bh_err(err, -E2BIG, "pod %s/%s: more than %d addresses", pod.namespace,
			      pod.name, MAX_ADDRS);
	if (pod.n_pod_ports > MAX_PORTS || pod.n_extra > MAX_EXTRA)
		return bh_err(err, -E2BIG, "pod %s/%s: more than %d ports or %d extra networks",
			      pod.namespace, pod.name, MAX_PORTS, MAX_EXTRA);
	ignore_foreign(&pod, fact->source);
	old = bh_pod_find_told(w, pod.namespace, pod.name, pod.uid, fact->source);
	if (!old && w->n_live[BH_KIND_POD] >= BH_MAX_PODS)
		return bh_err(err, -E2BIG, "pod %s/%s: there are %d pods already", pod.namespace,
			      pod.name, BH_MAX_PODS);
	space = bh_space_get(w, pod.namespace, err);
	if (!space)
		return bh_err_wrap(err, -E2BIG, "pod %s/%s", pod.namespace, pod.name);

	pod.is_local = is_local(w, pod.node, fact->source == BH_SOURCE_CRI, fact->source);
	pod.has_ignored_ports = false;
	/* The runtime knows of ports by the annotation alone. */
	if (fact->source == BH_SOURCE_CRI && pod.n_ports > 0 &&
	    !bh_world_honours(w, BH_ANNOTATION_PORTS, pod.namespace, NULL)) {
		pod.has_ignored_ports = true;
		pod.n_ports = 0;
	}
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
	struct bh_pod_obj *p =
		bh_pod_find_told(w, key->namespace, key->name, key->uid, key->source);
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
