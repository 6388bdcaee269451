/*
 * What is wrong now: one entry per source and subject, told of by sources and
 * shown in `status`.
 */
#ifndef BH_PROBLEMS_H
#define BH_PROBLEMS_H

#include <jansson.h>
#include <stdbool.h>

#include "bh/model.h"

/* Beyond these only the number is known; the log has had them all. */
#define BH_MAX_PROBLEMS 1000

struct bh_problem;

/* Zero is empty. */
struct bh_problems {
	struct bh_problem *by_key;
	size_t n, n_beyond;
};

void bh_problems_done(struct bh_problems *p);
/* True if that is news: no such problem before, or with another text. */
bool bh_problems_set(struct bh_problems *p, enum bh_source source, const char *subject,
		     const char *text);
/* True if there was one. */
bool bh_problems_clear(struct bh_problems *p, enum bh_source source, const char *subject);
/* [{"source","subject","text","since"}], oldest first; a new reference. */
json_t *bh_problems_json(const struct bh_problems *p);

#endif
