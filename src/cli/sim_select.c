/*
 * Label selectors as kubectl takes them on its command line.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "sim_input.h"

struct scanner {
	const char *text, *at;
	struct bh_arena *arena;
	struct bh_err *err;
};

static void skip_blanks(struct scanner *s)
{
	while (isspace((unsigned char)*s->at))
		s->at++;
}

static bool take(struct scanner *s, const char *what)
{
	size_t len = strlen(what);

	skip_blanks(s);
	if (strncmp(s->at, what, len) != 0)
		return false;
	s->at += len;
	return true;
}

static int wrong(struct scanner *s, const char *want)
{
	return bh_err(s->err, -EINVAL, "selector '%.64s': %s is expected at '%.32s'", s->text, want,
		      s->at);
}

/* Letters of keys and values; "" where there is none. */
static const char *take_word(struct scanner *s)
{
	const char *start;

	skip_blanks(s);
	start = s->at;
	while (isalnum((unsigned char)*s->at) || (*s->at && strchr("-_./", *s->at)))
		s->at++;
	return bh_arena_strndup(s->arena, start, (size_t)(s->at - start));
}

static void add_value(struct scanner *s, struct bh_requirement *req, const char *value)
{
	const char **values = bh_arena_array(s->arena, req->n_values + 1, sizeof(*values));

	if (req->n_values)
		memcpy(values, req->values, req->n_values * sizeof(*values));
	values[req->n_values++] = value;
	req->values = values;
}

/* "(a, b)" */
static int take_list(struct scanner *s, struct bh_requirement *req)
{
	if (!take(s, "("))
		return wrong(s, "'('");
	do
		add_value(s, req, take_word(s));
	while (take(s, ","));
	return take(s, ")") ? 0 : wrong(s, "')'");
}

/* What stands behind a key: "=a", "!=a", "in (a)", "notin (a)" or nothing. */
static int take_condition(struct scanner *s, struct bh_requirement *req)
{
	if (take(s, "!=")) {
		req->op = BH_SEL_NOT_IN;
	} else if (take(s, "==") || take(s, "=")) {
		req->op = BH_SEL_IN;
	} else if (take(s, "notin")) {
		req->op = BH_SEL_NOT_IN;
		return take_list(s, req);
	} else if (take(s, "in")) {
		req->op = BH_SEL_IN;
		return take_list(s, req);
	} else {
		req->op = BH_SEL_EXISTS;
		return 0;
	}
	add_value(s, req, take_word(s));
	return 0;
}

static int take_requirement(struct scanner *s, struct bh_requirement *req)
{
	bool is_negated = take(s, "!");

	req->key = take_word(s);
	if (!*req->key)
		return wrong(s, "a label");
	if (!is_negated)
		return take_condition(s, req);
	req->op = BH_SEL_DOES_NOT_EXIST;
	return 0;
}

int bh_cli_parse_selector(const char *text, struct bh_arena *arena, struct bh_selector *ret,
			  struct bh_err *err)
{
	struct scanner s = { .text = text, .at = text, .arena = arena, .err = err };
	struct bh_requirement *reqs = NULL;
	size_t n = 0;

	do {
		struct bh_requirement req = { 0 };
		struct bh_requirement *more;
		int r = take_requirement(&s, &req);

		if (r < 0)
			return r;
		more = bh_arena_array(arena, n + 1, sizeof(*more));
		if (n)
			memcpy(more, reqs, n * sizeof(*more));
		reqs = more;
		reqs[n++] = req;
	} while (take(&s, ","));
	skip_blanks(&s);
	if (*s.at)
		return wrong(&s, "','");
	*ret = (struct bh_selector){ .reqs = reqs, .n_reqs = n };
	return 0;
}
