/*
 * Are two plans, or two chains' rules, the same?  By names and contents, never
 * by pointers.
 */
#include "plan_impl.h"

#include <errno.h>
#include <string.h>

bool plan_texts_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_set(const struct bh_plan_set *a, const struct bh_plan_set *b)
{
	return a == b || (a && b && strcmp(a->spec.name, b->spec.name) == 0);
}

static bool same_chain(const struct bh_plan_chain *a, const struct bh_plan_chain *b)
{
	return a == b || (a && b && strcmp(a->name, b->name) == 0);
}

static bool same_expr(const struct bh_expr *a, const struct bh_expr *b)
{
	return a->kind == b->kind && a->load == b->load && a->op == b->op && a->value == b->value &&
	       a->last == b->last && a->family == b->family &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 &&
	       memcmp(a->mask, b->mask, sizeof(a->mask)) == 0 && same_set(a->set, b->set) &&
	       a->key == b->key && a->is_negated == b->is_negated &&
	       plan_texts_equal(a->name, b->name) && a->group == b->group &&
	       a->snaplen == b->snaplen && a->verdict == b->verdict &&
	       same_chain(a->chain, b->chain);
}

bool plan_rules_equal(const struct bh_plan_rule *a, size_t n_a, const struct bh_plan_rule *b,
		      size_t n_b)
{
	size_t i, j;

	if (n_a != n_b)
		return false;
	for (i = 0; i < n_a; i++) {
		if (a[i].n_exprs != b[i].n_exprs)
			return false;
		for (j = 0; j < a[i].n_exprs; j++) {
			if (!same_expr(&a[i].exprs[j], &b[i].exprs[j]))
				return false;
		}
	}
	return true;
}

bool plan_specs_equal(const struct bh_set_spec *a, const struct bh_set_spec *b)
{
	return a->kind == b->kind && a->family == b->family && a->is_interval == b->is_interval &&
	       a->rate == b->rate && a->burst == b->burst && a->size == b->size &&
	       a->timeout_s == b->timeout_s;
}

static bool elems_equal(const struct bh_plan_set *a, const struct bh_plan_set *b)
{
	const struct bh_plan_set_priv *x = a->priv, *y = b->priv;
	struct bh_elem p, q;
	size_t i;

	if (!bh_set_shape_of(a->spec.kind)->is_map)
		return x->now.n == 0 || memcmp(x->now.data, y->now.data, x->now.n * x->stride) == 0;
	for (i = 0; i < a->n; i++) {
		bh_plan_elem(a, i, &p);
		bh_plan_elem(b, i, &q);
		if (memcmp(p.key, q.key, sizeof(p.key)) != 0 || !same_chain(p.chain, q.chain))
			return false;
	}
	return true;
}

static bool set_equal(const struct bh_plan_set *a, const struct bh_plan_set *b, struct bh_err *err)
{
	const struct bh_set_spec *s = &a->spec, *t = &b->spec;
	const char *what = NULL;

	if (strcmp(s->name, t->name) != 0) {
		bh_err(err, -ENOENT, "set %s against set %s", s->name, t->name);
		return false;
	}
	if (!plan_specs_equal(s, t))
		what = "type";
	else if (!plan_texts_equal(s->comment, t->comment))
		what = "comment";
	else if (a->n != b->n)
		what = "number of elements";
	else if (!elems_equal(a, b))
		what = "elements";
	if (what)
		bh_err(err, -EINVAL, "set %s: %s (%zu against %zu elements)", s->name, what, a->n,
		       b->n);
	return !what;
}

static bool chain_equal(const struct bh_plan_chain *a, const struct bh_plan_chain *b,
			struct bh_err *err)
{
	const char *what = NULL;

	if (strcmp(a->name, b->name) != 0) {
		bh_err(err, -ENOENT, "chain %s against chain %s", a->name, b->name);
		return false;
	}
	if (a->hook != b->hook || a->priority != b->priority ||
	    !plan_texts_equal(a->device, b->device))
		what = "hook";
	else if (!plan_texts_equal(a->comment, b->comment))
		what = "comment";
	else if (!plan_rules_equal(a->rules, a->n_rules, b->rules, b->n_rules))
		what = "rules";
	if (what)
		bh_err(err, -EINVAL, "chain %s: %s", a->name, what);
	return !what;
}

static bool sets_equal(const struct bh_plan *a, const struct bh_plan *b, struct bh_err *err)
{
	const struct bh_plan_set *const *x, *const *y;
	size_t n = bh_plan_sets(a, &x), m = bh_plan_sets(b, &y), i;

	for (i = 0; i < n && i < m; i++) {
		if (!set_equal(x[i], y[i], err))
			return false;
	}
	if (n != m)
		bh_err(err, -EINVAL, "set %s is in one only",
		       n > m ? x[i]->spec.name : y[i]->spec.name);
	return n == m;
}

static bool chains_equal(const struct bh_plan *a, const struct bh_plan *b, struct bh_err *err)
{
	const struct bh_plan_chain *const *x, *const *y;
	size_t n = bh_plan_chains(a, &x), m = bh_plan_chains(b, &y), i;

	for (i = 0; i < n && i < m; i++) {
		if (!chain_equal(x[i], y[i], err))
			return false;
	}
	if (n != m)
		bh_err(err, -EINVAL, "chain %s is in one only", n > m ? x[i]->name : y[i]->name);
	return n == m;
}

bool bh_plan_equal(const struct bh_plan *a, const struct bh_plan *b, struct bh_err *err)
{
	const char *const *x, *const *y;
	size_t n = bh_plan_counters(a, &x), m = bh_plan_counters(b, &y), i;

	for (i = 0; i < n && i < m; i++) {
		if (strcmp(x[i], y[i]) != 0)
			break;
	}
	if (n != m || i < n) {
		bh_err(err, -EINVAL, "the counters differ");
		return false;
	}
	return sets_equal(a, b, err) && chains_equal(a, b, err);
}
