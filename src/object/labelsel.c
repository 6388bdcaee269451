#include "parts.h"

#include <assert.h>
#include <string.h>

#include "syntax.h"

static const char *check(struct decoder *d, const struct field *f, const char *s,
			 const char *(*wrong)(const char *))
{
	const char *why = wrong(s);

	if (why)
		field_invalid(d, f, s, why);
	return bh_arena_strdup(d->arena, s);
}

static void match_label(struct decoder *d, const struct field *labels, const char *key,
			struct bh_requirement *ret)
{
	const char **values = bh_arena_array(d->arena, 1, sizeof(*values));
	struct field f = field_get(labels, key);
	const char *value = field_string(d, &f);

	values[0] = check(d, &f, value ? value : "", wrong_label_value);
	*ret = (struct bh_requirement){
		.key = check(d, labels, key, wrong_label_key),
		.op = BH_SEL_IN,
		.values = values,
		.n_values = 1,
	};
}

static bool decode_op(struct decoder *d, const struct field *f, enum bh_sel_op *ret)
{
	static const char *const names[] = {
		[BH_SEL_IN] = "In",
		[BH_SEL_NOT_IN] = "NotIn",
		[BH_SEL_EXISTS] = "Exists",
		[BH_SEL_DOES_NOT_EXIST] = "DoesNotExist",
	};
	static_assert(BH_ARRAY_LEN(names) == BH_SEL_OP_COUNT_, "every operator is read");
	const char *s = field_string(d, f);
	size_t i;

	for (i = 0; s && i < BH_ARRAY_LEN(names); i++) {
		if (strcmp(s, names[i]) == 0) {
			*ret = (enum bh_sel_op)i;
			return true;
		}
	}
	if (s || !f->json)
		field_invalid(d, f, s ? s : "", "not a valid selector operator");
	return false;
}

static void match_expression(struct decoder *d, const struct field *f, struct bh_requirement *ret)
{
	static const char *const names[] = { "key", "operator", "values", NULL };
	struct field key = field_get(f, "key"), op = field_get(f, "operator");
	struct field values = field_get(f, "values");
	size_t i, n = field_list(d, &values);
	const char **texts = bh_arena_array(d->arena, n, sizeof(*texts));
	const char *s;

	field_is_object(d, f);
	field_known(d, f, names);
	s = field_string(d, &key);
	if (s || !key.json)
		ret->key = check(d, &key, s ? s : "", wrong_label_key);
	for (i = 0; i < n; i++) {
		struct field value = field_at(&values, i);

		s = field_string(d, &value);
		texts[i] = check(d, &value, s ? s : "", wrong_label_value);
	}
	ret->values = texts;
	ret->n_values = n;
	if (!decode_op(d, &op, &ret->op))
		return;
	if ((ret->op == BH_SEL_IN || ret->op == BH_SEL_NOT_IN) && n == 0)
		field_error(d, &values,
			    "Required value: must be specified when `operator` is 'In' or 'NotIn'");
	if ((ret->op == BH_SEL_EXISTS || ret->op == BH_SEL_DOES_NOT_EXIST) && n > 0)
		field_error(d, &values,
			    "Forbidden: may not be specified when `operator` is 'Exists' or "
			    "'DoesNotExist'");
}

struct bh_selector decode_label_map(struct decoder *d, const struct field *f)
{
	struct bh_requirement *reqs;
	const char *key;
	json_t *value;
	size_t n = 0;

	if (!field_is_object(d, f))
		return (struct bh_selector){ 0 };
	reqs = bh_arena_array(d->arena, json_object_size(f->json), sizeof(*reqs));
	json_object_foreach((json_t *)(uintptr_t)f->json, key, value)
		match_label(d, f, key, &reqs[n++]);
	return (struct bh_selector){ .reqs = reqs, .n_reqs = n };
}

struct bh_selector decode_selector(struct decoder *d, const struct field *f)
{
	static const char *const names[] = { "matchLabels", "matchExpressions", NULL };
	struct field labels = field_get(f, "matchLabels");
	struct field exprs = field_get(f, "matchExpressions");
	struct bh_selector equal;
	size_t i, n, n_exprs;
	struct bh_requirement *reqs;

	if (!field_is_object(d, f))
		return (struct bh_selector){ 0 };
	field_known(d, f, names);
	equal = decode_label_map(d, &labels);
	n_exprs = field_list(d, &exprs);
	n = equal.n_reqs;
	reqs = bh_arena_array(d->arena, n + n_exprs, sizeof(*reqs));
	if (n)
		memcpy(reqs, equal.reqs, n * sizeof(*reqs));
	for (i = 0; i < n_exprs; i++) {
		struct field expr = field_at(&exprs, i);

		match_expression(d, &expr, &reqs[n++]);
	}
	return (struct bh_selector){ .reqs = reqs, .n_reqs = n };
}
