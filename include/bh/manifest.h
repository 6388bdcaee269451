/*
 * Folders of YAML and JSON manifests as a source.
 */
#ifndef BH_MANIFEST_H
#define BH_MANIFEST_H

#include <uv.h>

#include "bh/docs.h"
#include "bh/object.h"
#include "bh/source.h"

#define BH_MANIFEST_MAX_FILE  BH_DOCS_MAX_BYTES
#define BH_MANIFEST_MAX_FILES 20000

/*
 * Decodes every object of one file, `List`s included, and calls @on_object for
 * each.  Ends with the first object that is not valid.  Shared by the watcher,
 * --check-config, render and the simulator.
 */
int bh_manifest_load_file(const char *path, enum bh_source source,
			  int (*on_object)(void *ctx, const struct bh_decoded *d), void *ctx,
			  struct bh_err *err);

/*
 * Loads @path (file or folder, with subfolders) once and hands everything to
 * @sink, problems included.  Returns the number of files with a problem, or a
 * negative errno if @path itself cannot be read.
 */
int bh_manifest_load(const char *path, const struct bh_sink *sink, struct bh_err *err);

/*
 * Who reads manifests once, to answer questions about them.  An object that is
 * not valid is a problem and hides nothing else; a policy that is not valid is
 * both a problem and an object.
 */
struct bh_reader {
	void *ctx;
	/* Objects of every status, workloads and Services too; below 0 ends the reading. */
	int (*on_object)(void *ctx, const struct bh_decoded *d, struct bh_err *err);
	/* @file: a path, or "stdin".  @text: "line 12: Pod shop/web: ..." */
	void (*on_problem)(void *ctx, const char *file, const char *text);
	const char *default_namespace; /* of objects that name none; NULL: "default" */
	/*
	 * A policy that is not valid is an object only, and so is the second of a folder's
	 * objects of one kind and name, which is a problem otherwise and left out.
	 */
	bool takes_invalid;
};

/*
 * Reads @path: a file, a folder with its subfolders (in the order of their
 * paths), or "-" for standard input.  Returns the number of problems; a
 * negative errno with text if @path itself cannot be read, or on_object's.
 */
int bh_manifest_read(const char *path, const struct bh_reader *reader, struct bh_err *err);

/*
 * The watcher.  Loads the folder, calls on_synced, then follows it by inotify,
 * the symlink swap of ConfigMap volumes included.  What is in force goes only when
 * its file was deleted: a file that does not parse or validate, cannot be read or has
 * no object any more, and a folder that has no file any more or is missing, change
 * nothing; the sink is told of the problem.
 *
 * Call new, then recall for each text that an earlier run had in force, then start.
 */
struct bh_manifest;

struct bh_manifest_start {
	/* Everything that was in force was recalled; no text: nothing was. */
	bool is_recalled;
	/*
	 * Where it was not: rules of an earlier run are in force, so that a folder or file
	 * with nothing in it is not taken for what it was.
	 */
	bool has_rules;
};

int bh_manifest_new(struct bh_manifest **ret, uv_loop_t *loop, const char *dir,
		    const struct bh_sink *sink, struct bh_err *err);
/*
 * The text of the file @path was in force when an earlier run ended; NULL: nothing of it was,
 * because it could not be used.  Copies both.
 */
void bh_manifest_recall(struct bh_manifest *m, const char *path, const char *text, size_t len);
void bh_manifest_start(struct bh_manifest *m, const struct bh_manifest_start *start);
/*
 * The text of every file of which objects are in force, and NULL for each that cannot be used,
 * to be recalled by the next run.
 */
void bh_manifest_texts(const struct bh_manifest *m,
		       void (*on_text)(void *ctx, const char *path, const char *text, size_t len),
		       void *ctx);
/*
 * Reads everything again now (SIGHUP).  @accepts_empty: the operator says that folders and
 * files with nothing in them are meant so; what they had in force goes.
 */
void bh_manifest_reload(struct bh_manifest *m, bool accepts_empty);
/*
 * Why on_synced was not called though the folder can be read: at the start there is a file
 * that cannot be used and of which nothing was recalled, or nothing where rules of an earlier
 * run are in force.  NULL: it was, or the folder cannot be read.  Valid until the next turn
 * of the loop.
 */
const char *bh_manifest_unknown(const struct bh_manifest *m);
/* The tree changed, and the sink has not been told all of it yet. */
bool bh_manifest_is_behind(struct bh_manifest *m);
/* Safe while the loop runs; handles are closed by it later. */
void bh_manifest_free(struct bh_manifest **m);

#endif
