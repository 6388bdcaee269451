#include "problems.h"

#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/hash.h"

struct bh_problem {
	char *key; /* source, blank, subject */
	size_t subject_at;
	enum bh_source source;
	char *text;
	uint64_t since_ns;
	UT_hash_handle hh;
};

/* Text may quote what a file holds; JSON and terminals take UTF-8 without controls. */
static char *clean(const char *text)
{
	struct bh_buf b = { 0 };

	bh_buf_escape(&b, text);
	return bh_buf_take(&b);
}

static char *make_key(enum bh_source source, const char *subject)
{
	bh_auto_free char *text = clean(subject);

	return bh_asprintf("%s %s", bh_source_str(source), text);
}

static void free_problem(struct bh_problem *e)
{
	free(e->key);
	free(e->text);
	free(e);
}

void bh_problems_done(struct bh_problems *p)
{
	struct bh_problem *e, *next;

	HASH_ITER (hh, p->by_key, e, next) {
		HASH_DEL(p->by_key, e);
		free_problem(e);
	}
	*p = (struct bh_problems){ 0 };
}

bool bh_problems_set(struct bh_problems *p, enum bh_source source, const char *subject,
		     const char *text)
{
	bh_auto_free char *key = make_key(source, subject);
	bh_auto_free char *cleaned = clean(text);
	struct bh_problem *e;

	HASH_FIND_STR(p->by_key, key, e);
	if (e && strcmp(e->text, cleaned) == 0)
		return false;
	if (e) {
		free(e->text);
		e->text = bh_take_ptr(cleaned);
		return true;
	}
	if (p->n >= BH_MAX_PROBLEMS) {
		p->n_beyond++;
		return true;
	}
	e = bh_calloc(1, sizeof(*e));
	e->subject_at = strlen(bh_source_str(source)) + 1;
	e->source = source;
	e->text = bh_take_ptr(cleaned);
	e->since_ns = bh_real_ns();
	e->key = bh_take_ptr(key);
	HASH_ADD_KEYPTR(hh, p->by_key, e->key, strlen(e->key), e);
	p->n++;
	return true;
}

bool bh_problems_clear(struct bh_problems *p, enum bh_source source, const char *subject)
{
	bh_auto_free char *key = NULL;
	struct bh_problem *e;

	/* The usual case, for every object that arrives. */
	if (p->n == 0)
		return false;
	key = make_key(source, subject);
	HASH_FIND_STR(p->by_key, key, e);
	if (!e)
		return false;
	HASH_DEL(p->by_key, e);
	free_problem(e);
	p->n--;
	return true;
}

json_t *bh_problems_json(const struct bh_problems *p)
{
	json_t *list = json_array();

	/* uthash iterates in order of insertion. */
	for (const struct bh_problem *e = p->by_key; e; e = e->hh.next) {
		char since[BH_TIME_STRLEN];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "source",
						      bh_source_str(e->source), "subject",
						      e->key + e->subject_at, "text", e->text,
						      "since", bh_time_format(e->since_ns, since)));
	}
	return list;
}
