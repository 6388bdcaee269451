/*
 * The files of one folder tree, what of them is in force, and what the sink
 * was told.
 *
 * A file that cannot be read, parsed or validated keeps its last good version
 * in force.  A file that never had one is applied as far as it goes: its valid
 * objects, and its invalid policies as ones that isolate and allow nothing.
 */
#ifndef BH_MANIFEST_STORE_H
#define BH_MANIFEST_STORE_H

#include "bh/manifest.h"

struct store;

struct scan {
	/* Called for every folder before it is read; may be NULL. */
	void (*on_folder)(void *ctx, const char *path);
	void *ctx;
	/* Leave files alone that were written to just now; sets is_unsettled. */
	bool wants_settled;
	bool reads_all; /* also files that look unchanged */
	bool is_unsettled;
};

/* Copies @sink and @path. */
struct store *store_new(const char *path, const struct bh_sink *sink);
void store_free(struct store **s);
/*
 * Walks the tree, reads what changed and tells the sink.  If the tree itself
 * cannot be read, returns a negative errno with text; nothing changes then and
 * nothing is told.
 */
int store_scan(struct store *s, struct scan *scan, struct bh_err *err);
/* Files with a problem other than a warning. */
size_t store_problems(const struct store *s);

#endif
