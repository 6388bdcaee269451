/*
 * The files of one folder tree, what of them is in force, and what the sink
 * was told.
 *
 * What is in force of a file goes only when the file was deleted.  A file that cannot
 * be read, parsed or validated, or that has no object any more, keeps its last good
 * version in force; so do the files of a folder that has no file any more, or that
 * cannot be read, until somebody says that this is meant.  A file that never had a
 * good version is applied as far as it goes: its valid objects, and its invalid
 * policies as ones that isolate and allow nothing.
 *
 * What an earlier run of the program had in force is recalled before the first scan
 * and counts as what was in force then.
 */
#ifndef BH_MANIFEST_STORE_H
#define BH_MANIFEST_STORE_H

#include "bh/manifest.h"
#include "walk.h"

struct store;

/* Copies @sink and @path. */
struct store *store_new(const char *path, const struct bh_sink *sink);
void store_free(struct store **s);
/*
 * Before the first scan: the text of @path was in force.  NULL: nothing was, because it could
 * not be used then either.  Copies both.
 */
void store_recall(struct store *s, const char *path, const char *text, size_t len);
/* Before the first scan: from now on, texts in force are kept for store_texts(). */
void store_keep_texts(struct store *s);
/* The text of every file of which objects are in force; NULL for one that cannot be used. */
void store_texts(const struct store *s,
		 void (*on_text)(void *ctx, const char *path, const char *text, size_t len),
		 void *ctx);
/*
 * Walks the tree, reads what changed and tells the sink.  If the tree itself
 * cannot be read, returns a negative errno with text; what was in force stays, unless
 * the tree is not there and @scan accepts that.
 */
int store_scan(struct store *s, struct scan *scan, struct bh_err *err);
/*
 * The same after a scan where nothing can have changed but the files @paths of the tree,
 * as paths of the walk.  -EAGAIN: more must be looked at, and the tree is to be scanned.
 */
int store_rescan(struct store *s, char *const *paths, size_t n, struct scan *scan);
/* Files with a problem other than a warning. */
size_t store_problems(const struct store *s);

struct store_stats {
	size_t n_in_force; /* files with objects in force */
	/*
	 * Files and folders of which is not known what they say, nor what they said before;
	 * without those that the run before could not use either.
	 */
	size_t n_unknown;
	const char *unknown; /* the first of them, valid until the next scan; NULL if none */
	size_t n_blank;      /* files with nothing in them, not known to have had anything */
};

struct store_stats store_stats(const struct store *s);

#endif
