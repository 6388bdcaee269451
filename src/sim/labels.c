#include "labels.h"

#include <stdlib.h>
#include <string.h>

#include "bh/selector.h"

/* --- what is mentioned --------------------------------------------------------------- */

static struct vocabulary_word *word_of(struct vocabulary *v, const char *key)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		if (strcmp(v->words[i].key, key) == 0)
			return &v->words[i];
	bh_grow(&v->words, &v->cap, v->n, sizeof(*v->words));
	v->words[v->n] = (struct vocabulary_word){ .key = key };
	return &v->words[v->n++];
}

static void add_value(struct vocabulary_word *w, const char *value)
{
	size_t i;

	for (i = 0; i < w->n_values; i++)
		if (strcmp(w->values[i], value) == 0)
			return;
	bh_grow(&w->values, &w->cap_values, w->n_values, sizeof(*w->values));
	w->values[w->n_values++] = value;
}

void vocabulary_add(struct vocabulary *v, const struct bh_selector *sel)
{
	size_t i, k;

	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_requirement *req = &sel->reqs[i];
		struct vocabulary_word *w = word_of(v, req->key);

		w->is_excluded |= req->op == BH_SEL_NOT_IN || req->op == BH_SEL_DOES_NOT_EXIST;
		for (k = 0; k < req->n_values; k++)
			add_value(w, req->values[k]);
	}
}

void vocabulary_done(struct vocabulary *v)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		free(v->words[i].values);
	free(v->words);
	*v = (struct vocabulary){ 0 };
}

/* --- what may be chosen ----------------------------------------------------------------- */

static const char any_value[] = LABEL_OF_NOBODY;

/* Of one key: values to choose from, the simplest first; NULL is no such label. */
struct choice {
	const char *key;
	const char **values;
	size_t n, cap, at;
};

struct choices {
	struct choice *items;
	size_t n, cap;
};

/* Whether a pod with that value (NULL: without the label) meets what @sel says of the key. */
static bool meets(const struct bh_selector *sel, const char *key, const char *value)
{
	const struct bh_label label = { key, value };
	const struct bh_labels labels = { &label, value ? 1 : 0 };
	size_t i;

	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_selector one = { &sel->reqs[i], 1 };

		if (strcmp(sel->reqs[i].key, key) == 0 && !bh_selector_matches(&one, &labels))
			return false;
	}
	return true;
}

static void offer(struct choice *c, const struct bh_selector *sel, const char *value)
{
	if (!meets(sel, c->key, value))
		return;
	bh_grow(&c->values, &c->cap, c->n, sizeof(*c->values));
	c->values[c->n++] = value;
}

static bool mentions(const struct bh_selector *sel, const char *key)
{
	size_t i;

	for (i = 0; i < sel->n_reqs; i++)
		if (strcmp(sel->reqs[i].key, key) == 0)
			return true;
	return false;
}

/* Keys that only other selectors ask for stay out: a pod without them is the harder case. */
static void collect(struct choices *all, const struct bh_selector *sel, const struct vocabulary *v)
{
	size_t i, k;

	for (i = 0; i < v->n; i++) {
		const struct vocabulary_word *w = &v->words[i];
		struct choice c = { .key = w->key };

		if (!w->is_excluded && !mentions(sel, w->key))
			continue;
		if (w->is_excluded)
			offer(&c, sel, NULL);
		offer(&c, sel, any_value);
		for (k = 0; k < w->n_values; k++)
			offer(&c, sel, w->values[k]);
		/* Where nobody excludes a value, one that nobody mentions stands for all. */
		if (!w->is_excluded && c.n > 1 && c.values[0] == any_value)
			c.n = 1;
		bh_grow(&all->items, &all->cap, all->n, sizeof(*all->items));
		all->items[all->n++] = c;
	}
}

static void choices_done(struct choices *all)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		free(all->items[i].values);
	free(all->items);
}

/* --- sets --------------------------------------------------------------------------------- */

static int cmp_labels(const void *a, const void *b)
{
	const struct bh_label *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static struct bh_labels make(const struct choices *all, struct bh_arena *arena)
{
	struct bh_label *items = bh_arena_array(arena, all->n, sizeof(*items));
	struct bh_labels labels = { .items = items };
	size_t i;

	for (i = 0; i < all->n; i++) {
		const struct choice *c = &all->items[i];

		if (c->values[c->at])
			items[labels.n++] = (struct bh_label){ c->key, c->values[c->at] };
	}
	if (labels.n)
		bh_sort(items, labels.n, sizeof(*items), cmp_labels);
	return labels;
}

/* The next combination, the first key turning fastest; false after the last. */
static bool advance(struct choices *all)
{
	size_t i;

	for (i = 0; i < all->n; i++) {
		if (++all->items[i].at < all->items[i].n)
			return true;
		all->items[i].at = 0;
	}
	return false;
}

bool labels_each(const struct bh_selector *sel, const struct vocabulary *v, size_t max,
		 struct bh_arena *arena,
		 void (*on_labels)(void *ctx, const struct bh_labels *labels), void *ctx)
{
	struct choices all = { 0 };
	bool is_possible = true, is_more = true;
	size_t i, n;

	collect(&all, sel, v);
	for (i = 0; i < all.n; i++)
		is_possible &= all.items[i].n > 0;
	for (n = 0; is_possible && is_more && n < max; n++) {
		struct bh_labels labels = make(&all, arena);

		on_labels(ctx, &labels);
		is_more = advance(&all);
	}
	choices_done(&all);
	return !is_possible || !is_more;
}
