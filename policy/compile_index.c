/*
 * Which selectors may select a pod, without asking each.
 *
 * A selector is filed under one thing that every pod of it must have (or one
 * for each of several values): the namespace and a label of the pod where it
 * requires both, else either, else a label of the namespace, else under
 * "anybody".  A pod asks for everything it has.  A namespace's labels may be
 * old or new: what is found is asked again by who must know exactly.
 */
#include "compile_impl.h"

#include <string.h>

/* Each namespace bears its name in this label. */
#define NAME_LABEL "kubernetes.io/metadata.name"

static void add_part(struct bh_buf *b, const char *s)
{
	if (s)
		bh_buf_printf(b, "%zu:%s", strlen(s), s);
	bh_buf_putc(b, ';');
}

/* Any of them may be NULL. */
static const char *make_key(struct atom_index *ix, char what, const char *ns, const char *key,
			    const char *value)
{
	bh_buf_reset(&ix->key);
	bh_buf_putc(&ix->key, what);
	add_part(&ix->key, ns);
	add_part(&ix->key, key);
	add_part(&ix->key, value);
	return bh_buf_str(&ix->key);
}

static struct anchor *find(const struct atom_index *ix, const char *key)
{
	struct anchor *a;

	HASH_FIND(hh, ix->anchors, key, strlen(key), a);
	return a;
}

static void anchor_add(struct atom_index *ix, const char *key, struct atom *atom)
{
	struct anchor *a = find(ix, key);

	if (!a) {
		a = bh_calloc(1, sizeof(*a));
		a->key = bh_strdup(key);
		HASH_ADD_KEYPTR(hh, ix->anchors, a->key, strlen(a->key), a);
	}
	if (a->n && a->atoms[a->n - 1] == atom)
		return; /* a value that is listed twice */
	bh_grow(&a->atoms, &a->cap, a->n, sizeof(struct atom *));
	a->atoms[a->n++] = atom;
}

static void anchor_free(struct atom_index *ix, struct anchor *a)
{
	HASH_DEL(ix->anchors, a);
	free(a->atoms);
	free(a->key);
	free(a);
}

static void anchor_remove(struct atom_index *ix, const char *key, struct atom *atom)
{
	struct anchor *a = find(ix, key);
	size_t i;

	for (i = 0; a && i < a->n; i++) {
		if (a->atoms[i] == atom)
			a->atoms[i--] = a->atoms[--a->n];
	}
	if (a && a->n == 0)
		anchor_free(ix, a);
}

void index_done(struct atom_index *ix)
{
	struct anchor *a, *next;

	HASH_ITER (hh, ix->anchors, a, next)
		anchor_free(ix, a);
	bh_buf_done(&ix->key);
}

typedef void anchor_fn(struct atom_index *ix, const char *key, struct atom *atom);

/* The requirement that names values for @key (NULL: any key), or NULL. */
static const struct bh_requirement *find_in(const struct bh_selector *sel, const char *key)
{
	size_t i;

	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_requirement *r = &sel->reqs[i];

		if (r->op == BH_SEL_IN && (!key || strcmp(r->key, key) == 0))
			return r;
	}
	return NULL;
}

static const struct bh_requirement *find_exists(const struct bh_selector *sel)
{
	size_t i;

	for (i = 0; i < sel->n_reqs; i++) {
		if (sel->reqs[i].op == BH_SEL_EXISTS)
			return &sel->reqs[i];
	}
	return NULL;
}

static bool has_label(const struct atom *atom)
{
	return find_in(&atom->selector.pods, NULL) || find_exists(&atom->selector.pods);
}

/* Under labels of the pod, within one namespace or (NULL) any. */
static void by_pod(struct atom_index *ix, struct atom *atom, const char *ns, anchor_fn *fn)
{
	const struct bh_requirement *in = find_in(&atom->selector.pods, NULL);
	const struct bh_requirement *exists = find_exists(&atom->selector.pods);
	size_t i;

	for (i = 0; in && i < in->n_values; i++)
		fn(ix, make_key(ix, 'p', ns, in->key, in->values[i]), atom);
	if (!in)
		fn(ix, make_key(ix, 'p', ns, exists ? exists->key : NULL, NULL), atom);
}

/* Namespaces times values of a label that an atom is filed under, at the most. */
#define MAX_PRODUCT 256

/* By both the namespace and the pod's labels, unless they multiply. */
static bool is_narrow(const struct bh_requirement *namespaces, const struct bh_selector *pods)
{
	const struct bh_requirement *in = find_in(pods, NULL);

	return namespaces->n_values <= MAX_PRODUCT / (in && in->n_values ? in->n_values : 1);
}

static void each_anchor(struct atom_index *ix, struct atom *atom, anchor_fn *fn)
{
	const struct peer_selector *s = &atom->selector;
	const struct bh_requirement *named = find_in(&s->namespaces, NAME_LABEL);
	const struct bh_requirement *in = find_in(&s->namespaces, NULL);
	size_t i;

	if (s->kind == ATOM_NODES) {
		fn(ix, "nodes", atom);
	} else if (s->own_ns) {
		by_pod(ix, atom, s->own_ns, fn);
	} else if (named && (is_narrow(named, &s->pods) || !find_in(&s->pods, NULL))) {
		for (i = 0; i < named->n_values; i++)
			by_pod(ix, atom, named->values[i], fn);
	} else if (in && !has_label(atom)) {
		for (i = 0; i < in->n_values; i++)
			fn(ix, make_key(ix, 'n', NULL, in->key, in->values[i]), atom);
	} else {
		by_pod(ix, atom, NULL, fn);
	}
}

void index_add(struct atom_index *ix, struct atom *atom)
{
	each_anchor(ix, atom, anchor_add);
}

void index_remove(struct atom_index *ix, struct atom *atom)
{
	each_anchor(ix, atom, anchor_remove);
}

static void visit(const struct atom_index *ix, const char *key,
		  void (*on_atom)(void *ctx, struct atom *atom), void *ctx)
{
	const struct anchor *a = find(ix, key);
	size_t i;

	for (i = 0; a && i < a->n; i++)
		on_atom(ctx, a->atoms[i]);
}

void index_find(struct atom_index *ix, const struct bh_pod *pod, const struct bh_labels *ns,
		void (*on_atom)(void *ctx, struct atom *atom), void *ctx)
{
	const char *const scopes[] = { pod->namespace, NULL };
	size_t i, j;

	for (i = 0; i < BH_ARRAY_LEN(scopes); i++) {
		visit(ix, make_key(ix, 'p', scopes[i], NULL, NULL), on_atom, ctx);
		for (j = 0; j < pod->labels.n; j++) {
			const struct bh_label *l = &pod->labels.items[j];

			visit(ix, make_key(ix, 'p', scopes[i], l->key, l->value), on_atom, ctx);
			visit(ix, make_key(ix, 'p', scopes[i], l->key, NULL), on_atom, ctx);
		}
	}
	for (j = 0; j < ns->n; j++)
		visit(ix, make_key(ix, 'n', NULL, ns->items[j].key, ns->items[j].value), on_atom,
		      ctx);
}

void index_find_nodes(struct atom_index *ix, void (*on_atom)(void *ctx, struct atom *atom),
		      void *ctx)
{
	visit(ix, "nodes", on_atom, ctx);
}
