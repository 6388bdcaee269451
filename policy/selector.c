#include "bh/selector.h"

#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"

/* Strings of the world are interned: the same one is mostly the same pointer. */
static bool same(const char *a, const char *b)
{
	return a == b || strcmp(a, b) == 0;
}

static const char *value_of(const struct bh_labels *labels, const char *key)
{
	size_t lo = 0, hi = labels->n, i;

	for (i = 0; i < labels->n; i++)
		if (labels->items[i].key == key)
			return labels->items[i].value;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct bh_label *l = &labels->items[mid];
		int c = strcmp(l->key, key);

		if (c == 0)
			return l->value;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool lists_sorted(const struct bh_requirement *req, const char *value)
{
	size_t lo = 0, hi = req->n_values;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(req->values[mid], value);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool lists(const struct bh_requirement *req, const char *value)
{
	size_t i;

	if (req->is_sorted && req->n_values > 8)
		return lists_sorted(req, value);

	for (i = 0; i < req->n_values; i++)
		if (same(req->values[i], value))
			return true;
	return false;
}

static bool holds(const struct bh_requirement *req, const char *value)
{
	switch (req->op) {
	case BH_SEL_IN: return value && lists(req, value);
	case BH_SEL_NOT_IN: return !value || !lists(req, value);
	case BH_SEL_EXISTS: return value;
	case BH_SEL_DOES_NOT_EXIST: return !value;
	case BH_SEL_OP_COUNT_: break;
	}
	abort();
}

bool bh_selector_matches(const struct bh_selector *sel, const struct bh_labels *labels)
{
	size_t i;

	for (i = 0; i < sel->n_reqs; i++)
		if (!holds(&sel->reqs[i], value_of(labels, sel->reqs[i].key)))
			return false;
	return true;
}

bool bh_selector_matches_pod(const struct bh_selector *sel, const struct bh_pod *pod)
{
	return bh_pod_is_closed(pod) ? sel->n_reqs == 0 : bh_selector_matches(sel, &pod->labels);
}

static int cmp_str(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Calls @add with each distinct value in order. */
static void each_value(const struct bh_requirement *req, struct bh_buf *out,
		       void (*add)(struct bh_buf *out, const char *value, bool is_first))
{
	bh_auto_free const char **values = bh_calloc(req->n_values, sizeof(*values));
	size_t i;

	for (i = 0; i < req->n_values; i++)
		values[i] = req->values[i];
	bh_sort(values, req->n_values, sizeof(*values), cmp_str);
	for (i = 0; i < req->n_values; i++)
		if (i == 0 || strcmp(values[i - 1], values[i]) != 0)
			add(out, values[i], i == 0);
}

static void add_quoted(struct bh_buf *out, const char *s)
{
	bh_buf_printf(out, "%zu'%s'", strlen(s), s);
}

static void add_canonical_value(struct bh_buf *out, const char *value, bool is_first)
{
	if (!is_first)
		bh_buf_putc(out, ',');
	add_quoted(out, value);
}

/* Each requirement as a text of its own, which are then sorted and made unique. */
static void each_requirement(const struct bh_selector *sel, struct bh_buf *out,
			     const char *separator,
			     void (*add)(struct bh_buf *out, const struct bh_requirement *req))
{
	char **texts = bh_calloc(sel->n_reqs, sizeof(*texts));
	bool is_first = true;
	size_t i;

	for (i = 0; i < sel->n_reqs; i++) {
		struct bh_buf one = { 0 };

		add(&one, &sel->reqs[i]);
		texts[i] = bh_buf_take(&one);
	}
	bh_sort(texts, sel->n_reqs, sizeof(*texts), cmp_str);
	for (i = 0; i < sel->n_reqs; i++) {
		if (i > 0 && strcmp(texts[i - 1], texts[i]) == 0)
			continue;
		if (!is_first)
			bh_buf_puts(out, separator);
		bh_buf_puts(out, texts[i]);
		is_first = false;
	}
	for (i = 0; i < sel->n_reqs; i++)
		free(texts[i]);
	free(texts);
}

static void add_canonical(struct bh_buf *out, const struct bh_requirement *req)
{
	add_quoted(out, req->key);
	bh_buf_printf(out, " %s", bh_sel_op_str(req->op));
	if (req->op != BH_SEL_IN && req->op != BH_SEL_NOT_IN)
		return;
	bh_buf_puts(out, " (");
	each_value(req, out, add_canonical_value);
	bh_buf_putc(out, ')');
}

void bh_selector_canonical(const struct bh_selector *sel, struct bh_buf *out)
{
	bh_buf_putc(out, '{');
	each_requirement(sel, out, ";", add_canonical);
	bh_buf_putc(out, '}');
}

static void add_plain_value(struct bh_buf *out, const char *value, bool is_first)
{
	if (!is_first)
		bh_buf_putc(out, ',');
	bh_buf_escape(out, value);
}

/* One value that is written twice is one value. */
static bool is_single(const struct bh_requirement *req)
{
	for (size_t i = 1; i < req->n_values; i++)
		if (!same(req->values[0], req->values[i]))
			return false;
	return req->n_values > 0;
}

static void add_description(struct bh_buf *out, const struct bh_requirement *req)
{
	bool is_list = !is_single(req);

	if (req->op == BH_SEL_DOES_NOT_EXIST)
		bh_buf_putc(out, '!');
	bh_buf_escape(out, req->key);
	if (req->op == BH_SEL_EXISTS || req->op == BH_SEL_DOES_NOT_EXIST)
		return;
	if (req->op == BH_SEL_IN)
		bh_buf_puts(out, is_list ? " in (" : "=");
	else
		bh_buf_puts(out, is_list ? " notin (" : "!=");
	each_value(req, out, add_plain_value);
	if (is_list)
		bh_buf_putc(out, ')');
}

void bh_selector_describe(const struct bh_selector *sel, struct bh_buf *out)
{
	if (sel->n_reqs == 0)
		bh_buf_puts(out, "<all>");
	else
		each_requirement(sel, out, ",", add_description);
}
