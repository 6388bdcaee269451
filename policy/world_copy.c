/*
 * Copies of told objects.
 *
 * A policy is one allocation: the same walk runs twice, first to add up sizes
 * and then to copy.  Strings are interned in a pass of their own, over the
 * finished copy, which also releases them at the end.
 */
#include <stdalign.h>
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

static int cmp_label(const void *a, const void *b)
{
	return strcmp(((const struct bh_label *)a)->key, ((const struct bh_label *)b)->key);
}

struct bh_label *bh_labels_intern(struct bh_world *w, const struct bh_labels *labels, size_t *n)
{
	struct bh_label *items = bh_calloc(labels->n, sizeof(*items));
	size_t i, used = 0;

	if (labels->n)
		memcpy(items, labels->items, labels->n * sizeof(*items));
	bh_sort(items, labels->n, sizeof(*items), cmp_label);
	for (i = 0; i < labels->n; i++)
		if (used == 0 || strcmp(items[used - 1].key, items[i].key) != 0)
			items[used++] = items[i];
	for (i = 0; i < used; i++) {
		items[i].key = bh_intern(&w->strings, items[i].key);
		items[i].value = bh_intern(&w->strings, items[i].value);
	}
	*n = used;
	return items;
}

void bh_labels_unref(struct bh_world *w, const struct bh_label *items, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		bh_intern_unref(&w->strings, items[i].key);
		bh_intern_unref(&w->strings, items[i].value);
	}
}

bool bh_labels_same(const struct bh_labels *a, const struct bh_labels *b)
{
	return a->n == b->n &&
	       (a->n == 0 || memcmp(a->items, b->items, a->n * sizeof(*a->items)) == 0);
}

/* --- policies ---------------------------------------------------------------- */

/* Measures while @data is NULL, copies otherwise. */
struct bump {
	char *data;
	size_t used;
};

static void *bump(struct bump *b, const void *src, size_t n, size_t size)
{
	const size_t align = alignof(max_align_t);
	size_t bytes = n * size;
	char *p;

	b->used = (b->used + align - 1) & ~(align - 1);
	p = b->data ? b->data + b->used : NULL;
	b->used += bytes;
	if (p && bytes)
		memcpy(p, src, bytes);
	return p;
}

static int cmp_value(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Values of a copy are sorted: many of them are compared with each pod's. */
static void copy_selector(struct bump *b, const struct bh_selector *src, struct bh_selector *dst)
{
	struct bh_requirement *reqs = bump(b, src->reqs, src->n_reqs, sizeof(*reqs));
	size_t i;

	for (i = 0; i < src->n_reqs; i++) {
		const struct bh_requirement *req = &src->reqs[i];
		void *values = bump(b, req->values, req->n_values, sizeof(*req->values));

		if (!reqs)
			continue;
		if (req->n_values)
			bh_sort(values, req->n_values, sizeof(*req->values), cmp_value);
		reqs[i].values = values;
		reqs[i].is_sorted = true;
	}
	if (dst)
		dst->reqs = reqs;
}

static struct bh_peer *copy_peers(struct bump *b, const struct bh_peer *src, size_t n)
{
	struct bh_peer *peers = bump(b, src, n, sizeof(*peers));
	size_t i;

	for (i = 0; i < n; i++) {
		void *except = bump(b, src[i].except, src[i].n_except, sizeof(*src[i].except));

		copy_selector(b, &src[i].namespaces, peers ? &peers[i].namespaces : NULL);
		copy_selector(b, &src[i].pods, peers ? &peers[i].pods : NULL);
		if (peers)
			peers[i].except = except;
	}
	return peers;
}

static void copy_rules(struct bump *b, const struct bh_rules *src, struct bh_rules *dst)
{
	struct bh_rule *rules = bump(b, src->items, src->n, sizeof(*rules));
	size_t i;

	for (i = 0; i < src->n; i++) {
		const struct bh_rule *r = &src->items[i];
		struct bh_peer *peers = copy_peers(b, r->peers, r->n_peers);
		void *ports = bump(b, r->ports, r->n_ports, sizeof(*r->ports));

		if (rules) {
			rules[i].peers = peers;
			rules[i].ports = ports;
		}
	}
	if (dst)
		dst->items = rules;
}

static void copy_policy(struct bump *b, const struct bh_policy *src, struct bh_policy *dst)
{
	size_t d;

	if (dst)
		*dst = *src;
	copy_selector(b, &src->namespaces, dst ? &dst->namespaces : NULL);
	copy_selector(b, &src->pods, dst ? &dst->pods : NULL);
	for (d = 0; d < BH_DIR_COUNT_; d++)
		copy_rules(b, &src->rules[d], dst ? &dst->rules[d] : NULL);
}

/* Replaces a string of a copied object by another pointer. */
typedef const char *swap_fn(struct bh_world *w, const char *s);

static const char *take(struct bh_world *w, const char *s)
{
	return bh_intern(&w->strings, s);
}

static const char *give_back(struct bh_world *w, const char *s)
{
	bh_intern_unref(&w->strings, s);
	return NULL;
}

/* The arrays of a copied object are ours to write to, const or not. */
static void *writable(const void *p)
{
	void *q;

	memcpy(&q, &p, sizeof(q));
	return q;
}

static void swap_selector(struct bh_world *w, const struct bh_selector *sel, swap_fn *fn)
{
	struct bh_requirement *reqs = writable(sel->reqs);
	size_t i, k;

	for (i = 0; i < sel->n_reqs; i++) {
		const char **values = writable(reqs[i].values);

		reqs[i].key = fn(w, reqs[i].key);
		for (k = 0; k < reqs[i].n_values; k++)
			values[k] = fn(w, values[k]);
	}
}

static void swap_rules(struct bh_world *w, const struct bh_rules *rules, swap_fn *fn)
{
	struct bh_rule *items = writable(rules->items);
	size_t i, k;

	for (i = 0; i < rules->n; i++) {
		struct bh_policy_port *ports = writable(items[i].ports);

		items[i].name = fn(w, items[i].name);
		for (k = 0; k < items[i].n_peers; k++) {
			swap_selector(w, &items[i].peers[k].namespaces, fn);
			swap_selector(w, &items[i].peers[k].pods, fn);
		}
		for (k = 0; k < items[i].n_ports; k++)
			ports[k].name = fn(w, ports[k].name);
	}
}

static void swap_policy(struct bh_world *w, struct bh_policy *p, swap_fn *fn)
{
	size_t d;

	p->namespace = fn(w, p->namespace);
	p->name = fn(w, p->name);
	p->uid = fn(w, p->uid);
	p->pod = fn(w, p->pod);
	p->invalid = fn(w, p->invalid);
	p->file = fn(w, p->file);
	swap_selector(w, &p->namespaces, fn);
	swap_selector(w, &p->pods, fn);
	for (d = 0; d < BH_DIR_COUNT_; d++)
		swap_rules(w, &p->rules[d], fn);
}

static struct bh_obj *new_policy(struct bh_world *w, const struct bh_policy *src)
{
	struct bump b = { .used = sizeof(struct bh_policy_obj) };
	struct bh_policy_obj *o;

	copy_policy(&b, src, NULL);
	o = bh_calloc(1, b.used);
	b = (struct bump){ .data = (char *)o, .used = sizeof(*o) };
	copy_policy(&b, src, &o->pub);
	if (!o->pub.namespace || !bh_policy_kind_is_namespaced(o->pub.kind))
		o->pub.namespace = "";
	if (!o->pub.uid)
		o->pub.uid = "";
	swap_policy(w, &o->pub, take);
	return &o->obj;
}

static bool str_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool selector_same(const struct bh_selector *a, const struct bh_selector *b)
{
	size_t i, k;

	if (a->n_reqs != b->n_reqs)
		return false;
	for (i = 0; i < a->n_reqs; i++) {
		const struct bh_requirement *p = &a->reqs[i], *q = &b->reqs[i];

		if (!str_same(p->key, q->key) || p->op != q->op || p->n_values != q->n_values)
			return false;
		for (k = 0; k < p->n_values; k++)
			if (!str_same(p->values[k], q->values[k]))
				return false;
	}
	return true;
}

static bool peer_same(const struct bh_peer *a, const struct bh_peer *b)
{
	size_t i;

	if (a->kind != b->kind || a->has_namespaces != b->has_namespaces || a->line != b->line ||
	    a->n_except != b->n_except || bh_cidr_cmp(&a->cidr, &b->cidr) != 0)
		return false;
	for (i = 0; i < a->n_except; i++)
		if (bh_cidr_cmp(&a->except[i], &b->except[i]) != 0)
			return false;
	return selector_same(&a->namespaces, &b->namespaces) && selector_same(&a->pods, &b->pods);
}

static bool port_same(const struct bh_policy_port *a, const struct bh_policy_port *b)
{
	return a->protocol == b->protocol && str_same(a->name, b->name) && a->first == b->first &&
	       a->last == b->last && a->line == b->line;
}

static bool rule_same(const struct bh_rule *a, const struct bh_rule *b)
{
	size_t i;

	if (!str_same(a->name, b->name) || a->action != b->action || a->has_peers != b->has_peers ||
	    a->has_ports != b->has_ports || a->line != b->line || a->n_peers != b->n_peers ||
	    a->n_ports != b->n_ports)
		return false;
	for (i = 0; i < a->n_peers; i++)
		if (!peer_same(&a->peers[i], &b->peers[i]))
			return false;
	for (i = 0; i < a->n_ports; i++)
		if (!port_same(&a->ports[i], &b->ports[i]))
			return false;
	return true;
}

static bool policy_same(const struct bh_policy *a, const struct bh_policy *b)
{
	size_t d, i;

	if (a->kind != b->kind || a->tier != b->tier || a->priority != b->priority ||
	    !str_same(a->namespace, b->namespace) || !str_same(a->name, b->name) ||
	    !str_same(a->uid, b->uid) || a->generation != b->generation ||
	    a->has_namespaces != b->has_namespaces || a->has_policy_types != b->has_policy_types ||
	    a->mode != b->mode || !str_same(a->invalid, b->invalid) || !str_same(a->pod, b->pod) ||
	    a->is_by_annotation != b->is_by_annotation || !str_same(a->file, b->file) ||
	    a->line != b->line)
		return false;
	if (!selector_same(&a->namespaces, &b->namespaces) || !selector_same(&a->pods, &b->pods))
		return false;
	for (d = 0; d < BH_DIR_COUNT_; d++) {
		if (a->isolates[d] != b->isolates[d] || a->rules[d].n != b->rules[d].n)
			return false;
		for (i = 0; i < a->rules[d].n; i++)
			if (!rule_same(&a->rules[d].items[i], &b->rules[d].items[i]))
				return false;
	}
	return true;
}

/* --- namespaces and nodes ------------------------------------------------------ */

static struct bh_labels with_name(struct bh_world *w, const struct bh_namespace *ns,
				  struct bh_label *room)
{
	size_t i, n = 0;

	for (i = 0; i < ns->labels.n; i++)
		if (strcmp(ns->labels.items[i].key, w->name_key) != 0)
			room[n++] = ns->labels.items[i];
	room[n++] = (struct bh_label){ w->name_key, ns->name };
	return (struct bh_labels){ room, n };
}

static struct bh_obj *new_ns(struct bh_world *w, const struct bh_namespace *src)
{
	bh_auto_free struct bh_label *room = bh_calloc(src->labels.n + 1, sizeof(*room));
	struct bh_labels labels = with_name(w, src, room);
	struct bh_ns_obj *o = bh_calloc(1, sizeof(*o));

	o->pub = *src;
	o->pub.name = bh_intern(&w->strings, src->name);
	o->pub.labels.items = bh_labels_intern(w, &labels, &o->pub.labels.n);
	o->in_index = bh_calloc(2 * o->pub.labels.n, sizeof(*o->in_index));
	return &o->obj;
}

static bool ns_same(const struct bh_namespace *a, const struct bh_namespace *b)
{
	return a->name == b->name && bh_labels_same(&a->labels, &b->labels) &&
	       a->has_default_deny == b->has_default_deny &&
	       memcmp(a->default_deny, b->default_deny, sizeof(a->default_deny)) == 0 &&
	       a->mode == b->mode;
}

const struct bh_addr *bh_node_claimed(const struct bh_node_obj *node)
{
	return (const struct bh_addr *)&node->claims[node->n_claims];
}

static struct bh_node_obj *new_node(struct bh_world *w, const struct bh_node *src)
{
	struct bh_node_obj *o = bh_calloc(1, sizeof(*o) + src->n_addrs * sizeof(struct bh_claim) +
						     src->n_addrs * sizeof(struct bh_addr));
	struct bh_addr *addrs = (struct bh_addr *)&o->claims[src->n_addrs];

	o->n_claims = (uint32_t)src->n_addrs;
	o->pub.name = bh_intern(&w->strings, src->name);
	o->pub.labels.items = bh_labels_intern(w, &src->labels, &o->pub.labels.n);
	if (src->n_addrs)
		memcpy(addrs, src->addrs, src->n_addrs * sizeof(*addrs));
	o->pub.addrs = addrs;
	o->pub.n_addrs = src->n_addrs;
	o->pub.n_kernel = src->n_kernel;
	return o;
}

static void node_free(struct bh_world *w, struct bh_node_obj *node)
{
	bh_intern_unref(&w->strings, node->pub.name);
	bh_labels_unref(w, node->pub.labels.items, node->pub.labels.n);
	free(writable(node->pub.labels.items));
	if (node->pub.addrs != bh_node_claimed(node))
		free(writable(node->pub.addrs));
	free(node);
}

static bool addrs_same(const struct bh_addr *a, size_t n_a, const struct bh_addr *b, size_t n_b)
{
	size_t i;

	for (i = 0; i < n_a && n_a == n_b; i++)
		if (!bh_addr_eq(&a[i], &b[i]))
			return false;
	return n_a == n_b;
}

/* What is said of it is the same; what it owns may differ. */
static bool node_same(const struct bh_node_obj *a, const struct bh_node_obj *b)
{
	return a->pub.name == b->pub.name && bh_labels_same(&a->pub.labels, &b->pub.labels) &&
	       a->pub.n_kernel == b->pub.n_kernel &&
	       addrs_same(bh_node_claimed(a), a->n_claims, bh_node_claimed(b), b->n_claims);
}

struct bh_node_obj *bh_node_with_owned(struct bh_world *w, struct bh_node_obj *node)
{
	bh_auto_free struct bh_addr *owned = bh_calloc(node->n_claims, sizeof(*owned));
	const struct bh_addr *all = bh_node_claimed(node);
	struct bh_node like = node->pub;
	struct bh_node_obj *copy;
	size_t i, n = 0;

	for (i = 0; i < node->n_claims; i++)
		if (i < like.n_kernel || bh_addr_is_left_to_nodes(w, &all[i]))
			owned[n++] = all[i];
	if (addrs_same(owned, n, node->pub.addrs, node->pub.n_addrs))
		return node;
	like.addrs = all;
	like.n_addrs = node->n_claims;
	copy = new_node(w, &like);
	copy->obj = (struct bh_obj){ .kind = BH_KIND_NODE, .source = node->obj.source };
	if (n < copy->n_claims)
		copy->pub.addrs = bh_take_ptr(owned);
	copy->pub.n_addrs = n;
	return copy;
}

/* --- all of them ---------------------------------------------------------------- */

struct bh_obj *bh_obj_copy(struct bh_world *w, const struct bh_fact *fact)
{
	struct bh_obj *o;

	if (fact->kind == BH_KIND_NAMESPACE)
		o = new_ns(w, &fact->ns);
	else if (fact->kind == BH_KIND_NODE)
		o = &new_node(w, &fact->node)->obj;
	else
		o = new_policy(w, &fact->policy);
	o->kind = (uint8_t)fact->kind;
	o->source = (uint8_t)fact->source;
	return o;
}

void bh_obj_free(struct bh_world *w, struct bh_obj *o)
{
	struct bh_policy_obj *p = bh_item(o, struct bh_policy_obj, obj);
	struct bh_ns_obj *ns = bh_item(o, struct bh_ns_obj, obj);

	switch ((enum bh_kind)o->kind) {
	case BH_KIND_POD: bh_pod_free(w, bh_item(o, struct bh_pod_obj, obj)); return;
	case BH_KIND_NAMESPACE:
		bh_intern_unref(&w->strings, ns->pub.name);
		bh_labels_unref(w, ns->pub.labels.items, ns->pub.labels.n);
		free(writable(ns->pub.labels.items));
		free(ns->in_index);
		break;
	case BH_KIND_NODE: node_free(w, bh_item(o, struct bh_node_obj, obj)); return;
	case BH_KIND_POLICY: swap_policy(w, &p->pub, give_back); break;
	case BH_KIND_COUNT_: abort();
	}
	free(o);
}

void *bh_obj_public(struct bh_obj *o)
{
	if (!o)
		return NULL;
	switch ((enum bh_kind)o->kind) {
	case BH_KIND_POD: return &bh_item(o, struct bh_pod_obj, obj)->pub;
	case BH_KIND_NAMESPACE: return &bh_item(o, struct bh_ns_obj, obj)->pub;
	case BH_KIND_NODE: return &bh_item(o, struct bh_node_obj, obj)->pub;
	case BH_KIND_POLICY: return &bh_item(o, struct bh_policy_obj, obj)->pub;
	case BH_KIND_COUNT_: break;
	}
	abort();
}

bool bh_obj_equal(const struct bh_obj *a, const struct bh_obj *b)
{
	switch ((enum bh_kind)a->kind) {
	case BH_KIND_NAMESPACE:
		return ns_same(&bh_item(a, struct bh_ns_obj, obj)->pub,
			       &bh_item(b, struct bh_ns_obj, obj)->pub);
	case BH_KIND_NODE:
		return node_same(bh_item(a, struct bh_node_obj, obj),
				 bh_item(b, struct bh_node_obj, obj));
	case BH_KIND_POLICY:
		return policy_same(&bh_item(a, struct bh_policy_obj, obj)->pub,
				   &bh_item(b, struct bh_policy_obj, obj)->pub);
	case BH_KIND_POD:
	case BH_KIND_COUNT_: break;
	}
	abort();
}
