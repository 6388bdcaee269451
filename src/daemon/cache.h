/*
 * What the API said last, kept over a restart: written now and then, read when
 * the API is away at the start.
 */
#ifndef BH_CACHE_H
#define BH_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bh/err.h"
#include "bh/source.h"
#include "statewriter.h"

struct bh_agent;
struct bh_cachefile;

/* Zero does nothing: an agent without --state, or without the API. */
struct bh_cache {
	struct bh_agent *agent;
	char *path;
	uv_timer_t read_timer;
	uv_idle_t reader; /* reads a portion in each turn of the loop */
	struct bh_cachefile *file;
	size_t n_used;  /* facts of it that nobody knew better */
	bool is_in_use; /* the world has the file's facts, and the API told nothing newer */
	struct bh_statewriter writer;
};

/* The folder of --state: made where its parent is there; an error where it cannot be used. */
int bh_state_make_folder(const char *path, struct bh_err *err);

/* Makes the folder where its parent is there.  Before capabilities are given up. */
int bh_cache_start(struct bh_cache *c, struct bh_agent *agent, struct bh_err *err);
/* Writes what is not written yet. */
void bh_cache_stop(struct bh_cache *c);
/* The API told something. */
void bh_cache_note(struct bh_cache *c);
/* The API told everything: from now on it is the truth. */
void bh_cache_end_use(struct bh_cache *c);

#endif
