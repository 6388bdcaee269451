/*
 * Classes of equal pods, and the label index.
 *
 * A label leads to the classes (or namespaces) that carry it, and so does its
 * key alone.  bh_world_find_pods() takes the shortest list that must contain
 * every match, and then matches each candidate in full.
 */
#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

/* --- postings ----------------------------------------------------------------- */

static uint32_t hash_pair(const char *key, const char *value)
{
	const char *pair[2] = { key, value };

	return (uint32_t)bh_hash(pair, sizeof(pair));
}

/* Keys and values are interned. */
static bool posting_eq(const struct bh_hnode *item, const void *key)
{
	const struct bh_posting *p = bh_item(item, struct bh_posting, node);
	const struct bh_label *l = key;

	return p->key == l->key && p->value == l->value;
}

static struct bh_hnode **posting_slot(const struct bh_table *t, const char *key, const char *value)
{
	struct bh_label l = { key, value };

	return bh_table_find(t, hash_pair(key, value), posting_eq, &l);
}

static struct bh_posting *posting_of(const struct bh_table *t, const char *key, const char *value)
{
	struct bh_hnode **slot = posting_slot(t, key, value);

	return slot ? bh_item(*slot, struct bh_posting, node) : NULL;
}

static uint32_t post(struct bh_table *t, const char *key, const char *value, void *item)
{
	struct bh_posting *p = posting_of(t, key, value);

	if (!p) {
		p = bh_calloc(1, sizeof(*p));
		p->node.hash = hash_pair(key, value);
		p->key = key;
		p->value = value;
		bh_table_add(t, &p->node);
	}
	return bh_ptrs_add(&p->items, item);
}

/* Labels of an item and its positions, two for each label. */
struct indexed {
	const struct bh_labels *labels;
	uint32_t *pos;
};

typedef struct indexed indexed_fn(void *item);

static void unpost(struct bh_table *t, const char *key, const char *value, uint32_t pos,
		   indexed_fn *of)
{
	struct bh_hnode **slot = posting_slot(t, key, value);
	struct bh_posting *p = bh_item(*slot, struct bh_posting, node);
	void *moved = bh_ptrs_del(&p->items, pos);
	size_t i;

	if (moved) {
		struct indexed m = of(moved);

		for (i = 0; m.labels->items[i].key != key; i++)
			;
		m.pos[2 * i + (value ? 0 : 1)] = pos;
	} else if (p->items.n == 0) {
		bh_table_del(t, slot);
		free(p);
	}
}

static void index_add(struct bh_table *t, void *item, indexed_fn *of)
{
	struct indexed x = of(item);
	size_t i;

	for (i = 0; i < x.labels->n; i++) {
		const struct bh_label *l = &x.labels->items[i];

		x.pos[2 * i] = post(t, l->key, l->value, item);
		x.pos[2 * i + 1] = post(t, l->key, NULL, item);
	}
}

static void index_del(struct bh_table *t, void *item, indexed_fn *of)
{
	struct indexed x = of(item);
	size_t i;

	for (i = 0; i < x.labels->n; i++) {
		const struct bh_label *l = &x.labels->items[i];

		unpost(t, l->key, l->value, x.pos[2 * i], of);
		unpost(t, l->key, NULL, x.pos[2 * i + 1], of);
	}
}

static struct indexed of_class(void *item)
{
	struct bh_class *c = item;

	return (struct indexed){ &c->labels, c->in_index };
}

static struct indexed of_space(void *item)
{
	struct bh_space *s = item;
	struct bh_ns_obj *ns = bh_item(s->entry.live, struct bh_ns_obj, obj);

	return (struct indexed){ &ns->pub.labels, ns->in_index };
}

void bh_index_add_ns(struct bh_world *w, struct bh_space *space)
{
	index_add(&w->ns_labels, space, of_space);
}

void bh_index_del_ns(struct bh_world *w, struct bh_space *space)
{
	index_del(&w->ns_labels, space, of_space);
}

void bh_index_done(struct bh_table *t)
{
	size_t i;

	for (i = 0; i < t->cap; i++) {
		struct bh_posting *p;

		if (!t->slots[i])
			continue;
		p = bh_item(t->slots[i], struct bh_posting, node);
		free(p->items.items);
		free(p);
	}
	bh_table_done(t);
}

/* --- classes ------------------------------------------------------------------ */

static bool ports_same(const struct bh_port *a, const struct bh_port *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (a[i].name != b[i].name || a[i].number != b[i].number ||
		    a[i].protocol != b[i].protocol)
			return false;
	return true;
}

static bool class_eq(const struct bh_hnode *item, const void *key)
{
	const struct bh_class *a = bh_item(item, struct bh_class, node), *b = key;

	return a->space == b->space && a->has_no_labels_yet == b->has_no_labels_yet &&
	       a->n_ports == b->n_ports && bh_labels_same(&a->labels, &b->labels) &&
	       ports_same(a->ports, b->ports, a->n_ports);
}

static uint32_t hash_class(const struct bh_class *c)
{
	uint64_t h = bh_hash(c->labels.items, c->labels.n * sizeof(*c->labels.items));
	uint64_t parts[3] = { h, (uint64_t)(uintptr_t)c->space, c->n_ports };

	return (uint32_t)bh_hash(parts, sizeof(parts));
}

static int cmp_port(const void *a, const void *b)
{
	const struct bh_port *p = a, *q = b;
	int c = strcmp(p->name ? p->name : "", q->name ? q->name : "");

	if (c != 0)
		return c;
	if (p->protocol != q->protocol)
		return p->protocol < q->protocol ? -1 : 1;
	return (p->number > q->number) - (p->number < q->number);
}

static struct bh_port *intern_ports(struct bh_world *w, const struct bh_port *ports, size_t n)
{
	struct bh_port *copy = bh_calloc(n, sizeof(*copy));
	size_t i;

	for (i = 0; i < n; i++) {
		copy[i].name = bh_intern(&w->strings, ports[i].name);
		copy[i].number = ports[i].number;
		copy[i].protocol = ports[i].protocol;
	}
	bh_sort(copy, n, sizeof(*copy), cmp_port);
	return copy;
}

static void drop_shared(struct bh_world *w, struct bh_label *labels, size_t n_labels,
			struct bh_port *ports, size_t n_ports)
{
	size_t i;

	bh_labels_unref(w, labels, n_labels);
	for (i = 0; i < n_ports; i++)
		bh_intern_unref(&w->strings, ports[i].name);
	free(labels);
	free(ports);
}

static struct bh_class *class_new(struct bh_world *w, const struct bh_class *like, uint32_t hash)
{
	struct bh_class *c = bh_calloc(1, sizeof(*c) + 2 * like->labels.n * sizeof(c->in_index[0]));

	*c = *like;
	c->node.hash = hash;
	bh_table_add(&w->classes, &c->node);
	return c;
}

struct bh_class *bh_class_get(struct bh_world *w, struct bh_space *space,
			      const struct bh_labels *labels, const struct bh_port *ports,
			      size_t n_ports, bool has_no_labels_yet)
{
	size_t n_labels;
	struct bh_label *own_labels = bh_labels_intern(w, labels, &n_labels);
	struct bh_port *own_ports = intern_ports(w, ports, n_ports);
	struct bh_class like = { .space = space,
				 .labels = { own_labels, n_labels },
				 .ports = own_ports,
				 .n_ports = (uint32_t)n_ports,
				 .has_no_labels_yet = has_no_labels_yet };
	uint32_t hash = hash_class(&like);
	struct bh_hnode **slot = bh_table_find(&w->classes, hash, class_eq, &like);
	struct bh_class *c;

	if (slot) {
		c = bh_item(*slot, struct bh_class, node);
		drop_shared(w, own_labels, n_labels, own_ports, n_ports);
	} else {
		c = class_new(w, &like, hash);
		space->n_classes++;
	}
	c->n_users++;
	return c;
}

static bool is_item(const struct bh_hnode *item, const void *key)
{
	return item == key;
}

void bh_class_put(struct bh_world *w, struct bh_class *c)
{
	if (--c->n_users > 0)
		return;
	bh_table_del(&w->classes, bh_table_find(&w->classes, c->node.hash, is_item, &c->node));
	c->space->n_classes--;
	bh_entry_doom(w, &c->space->entry);
	bh_class_free(w, c);
}

void bh_class_free(struct bh_world *w, struct bh_class *c)
{
	struct bh_label *labels;
	struct bh_port *ports;

	memcpy(&labels, &c->labels.items, sizeof(labels));
	memcpy(&ports, &c->ports, sizeof(ports));
	drop_shared(w, labels, c->labels.n, ports, c->n_ports);
	free(c->pods.items);
	free(c);
}

void bh_class_add_pod(struct bh_world *w, struct bh_pod_obj *p)
{
	struct bh_class *c = p->class;

	p->in_class = bh_ptrs_add(&c->pods, p);
	if (c->pods.n > 1)
		return;
	c->in_space = bh_ptrs_add(&c->space->classes, c);
	index_add(&w->pod_labels, c, of_class);
}

void bh_class_del_pod(struct bh_world *w, struct bh_pod_obj *p)
{
	struct bh_class *c = p->class, *moved_class;
	struct bh_pod_obj *moved = bh_ptrs_del(&c->pods, p->in_class);

	if (moved)
		moved->in_class = p->in_class;
	if (c->pods.n > 0)
		return;
	index_del(&w->pod_labels, c, of_class);
	moved_class = bh_ptrs_del(&c->space->classes, c->in_space);
	if (moved_class)
		moved_class->in_space = c->in_space;
}

/* --- search --------------------------------------------------------------------- */

/* Candidates: either the values of one In requirement, or one key, or all. */
struct candidates {
	const struct bh_table *table;
	const struct bh_requirement *req; /* NULL: everything */
	size_t n;
};

static struct bh_posting *posting_of_value(const struct bh_world *w, const struct bh_table *t,
					   const char *key, const char *value)
{
	key = bh_intern_find(&w->strings, key);
	value = value ? bh_intern_find(&w->strings, value) : NULL;
	return key ? posting_of(t, key, value) : NULL;
}

static size_t count(const struct bh_world *w, const struct bh_table *t,
		    const struct bh_requirement *req)
{
	struct bh_posting *p;
	size_t i, n = 0;

	if (req->op == BH_SEL_EXISTS) {
		p = posting_of_value(w, t, req->key, NULL);
		return p ? p->items.n : 0;
	}
	for (i = 0; i < req->n_values; i++) {
		if (!bh_intern_find(&w->strings, req->values[i]))
			continue;
		p = posting_of_value(w, t, req->key, req->values[i]);
		n += p ? p->items.n : 0;
	}
	return n;
}

/* The requirement with the fewest candidates, if that is fewer than @all. */
static struct candidates narrowest(const struct bh_world *w, const struct bh_table *t,
				   const struct bh_selector *sel, size_t all)
{
	struct candidates best = { t, NULL, all };
	size_t i, n;

	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_requirement *req = &sel->reqs[i];

		if (req->op != BH_SEL_IN && req->op != BH_SEL_EXISTS)
			continue;
		n = count(w, t, req);
		if (n < best.n)
			best = (struct candidates){ t, req, n };
	}
	return best;
}

static bool is_repeated(const struct bh_requirement *req, size_t i)
{
	size_t k = req->is_sorted && i > 0 ? i - 1 : 0;

	for (; k < i; k++)
		if (strcmp(req->values[k], req->values[i]) == 0)
			return true;
	return false;
}

typedef void item_fn(void *ctx, void *item);

static void each_candidate(const struct bh_world *w, const struct candidates *c, item_fn *fn,
			   void *ctx)
{
	bool is_exists = c->req->op == BH_SEL_EXISTS;
	size_t i, k, n = is_exists ? 1 : c->req->n_values;

	for (i = 0; i < n; i++) {
		const char *value = is_exists ? NULL : c->req->values[i];
		const struct bh_posting *p;

		if (value && (!bh_intern_find(&w->strings, value) || is_repeated(c->req, i)))
			continue;
		p = posting_of_value(w, c->table, c->req->key, value);
		for (k = 0; p && k < p->items.n; k++)
			fn(ctx, p->items.items[k]);
	}
}

struct search {
	const struct bh_world *w;
	struct bh_space *own; /* NULL: ask @ns */
	const struct bh_selector *ns, *pods;
	void (*on_pod)(void *ctx, const struct bh_pod *pod);
	void *ctx;
	size_t n_classes; /* counted where namespaces are compared with labels */
};

static bool space_matches(const struct search *s, const struct bh_space *space)
{
	if (s->own)
		return s->own == space;
	return space->entry.live &&
	       bh_selector_matches(s->ns,
				   &bh_item(space->entry.live, struct bh_ns_obj, obj)->pub.labels);
}

static void emit(const struct search *s, const struct bh_class *c)
{
	const struct bh_pod any = { .labels = c->labels,
				    .has_no_labels_yet = c->has_no_labels_yet };
	size_t i;

	if (!bh_selector_matches_pod(s->pods, &any))
		return;
	for (i = 0; i < c->pods.n; i++) {
		const struct bh_pod_obj *p = c->pods.items[i];

		if (p->pub.is_host_network || p->pub.is_finished)
			continue;
		if (!p->pub.is_contested || bh_selector_matches_pod(s->pods, &p->pub))
			s->on_pod(s->ctx, &p->pub);
	}
}

static void try_class(void *ctx, void *item)
{
	const struct search *s = ctx;
	const struct bh_class *c = item;

	if (space_matches(s, c->space))
		emit(s, c);
}

static void try_space(void *ctx, void *item)
{
	const struct search *s = ctx;
	const struct bh_space *space = item;
	size_t i;

	if (!space_matches(s, space))
		return;
	for (i = 0; i < space->classes.n; i++)
		emit(s, space->classes.items[i]);
}

static void count_classes(void *ctx, void *item)
{
	struct search *s = ctx;
	const struct bh_space *space = item;

	s->n_classes += space->classes.n;
}

static void each_space(const struct bh_world *w, item_fn *fn, void *ctx)
{
	size_t i;

	for (i = 0; i < w->entries[BH_KIND_NAMESPACE].cap; i++)
		if (w->entries[BH_KIND_NAMESPACE].slots[i])
			fn(ctx, bh_item(w->entries[BH_KIND_NAMESPACE].slots[i], struct bh_space,
					entry.node));
}

void bh_world_find_pods(const struct bh_world *w, const char *own_ns, const struct bh_selector *ns,
			const struct bh_selector *pods,
			void (*on_pod)(void *ctx, const struct bh_pod *pod), void *ctx)
{
	struct search s = { .w = w, .ns = ns, .pods = pods, .on_pod = on_pod, .ctx = ctx };
	struct candidates by_pod, by_ns;

	if (own_ns) {
		s.own = bh_space_find(w, own_ns);
		if (!s.own)
			return;
		by_pod = narrowest(w, &w->pod_labels, pods, s.own->classes.n);
		if (by_pod.req)
			each_candidate(w, &by_pod, try_class, &s);
		else
			try_space(&s, s.own);
		return;
	}

	by_ns = narrowest(w, &w->ns_labels, ns, w->entries[BH_KIND_NAMESPACE].n);
	if (by_ns.req)
		each_candidate(w, &by_ns, count_classes, &s);
	else
		s.n_classes = w->classes.n;
	by_pod = narrowest(w, &w->pod_labels, pods, s.n_classes);
	if (by_pod.req)
		each_candidate(w, &by_pod, try_class, &s);
	else if (by_ns.req)
		each_candidate(w, &by_ns, try_space, &s);
	else
		each_space(w, try_space, &s);
}
