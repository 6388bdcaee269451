/*
 * The last state of a source as a file: of the Kubernetes API as facts, of a folder of
 * manifests as the texts in force.
 *
 * A head line, one line for each fact (bh/fact.h) or file, and a foot line with a digest
 * of everything before it.  Written whole or not at all; read only if it is
 * whole, ours by version, and of the same server or folder.
 */
#ifndef BH_CACHEFILE_H
#define BH_CACHEFILE_H

#include "bh/fact.h"
#include "bh/world.h"

#define BH_CACHEFILE_VERSION 1
/* 500,000 pods with everything that a pod may have. */
#define BH_CACHEFILE_MAX ((size_t)1 << 30)
/* A manifest of BH_DOCS_MAX_BYTES, every other byte of which is escaped. */
#define BH_CACHEFILE_MAX_LINE ((size_t)33 << 20)

enum bh_cachefile_kind {
	BH_CACHEFILE_KUBE,
	BH_CACHEFILE_MANIFESTS,
	BH_CACHEFILE_QUARANTINE, /* what an operator set, of this node */
	BH_CACHEFILE_KIND_COUNT_
};

struct bh_cachefile_info {
	enum bh_cachefile_kind kind; /* set by the caller */
	char of[4096];               /* the server, or the folder's path */
	uint64_t real_ns;            /* when it was the state */
	size_t n_lines, n_bytes;     /* of write */
};

/*
 * Writes what @w was told by BH_SOURCE_KUBE to @path, by way of a file beside
 * it.  @info says kind, of and real_ns; the rest is filled in.
 */
int bh_cachefile_write(const char *path, const struct bh_world *w, struct bh_cachefile_info *info,
		       struct bh_err *err);
/* The same for lines of any kind, which @write makes of @from. */
struct bh_cachefile_writer;
int bh_cachefile_write_lines(const char *path,
			     void (*write)(const void *from, struct bh_cachefile_writer *w),
			     const void *from, struct bh_cachefile_info *info, struct bh_err *err);
/* Where to add the text of the next line, and its end. */
struct bh_buf *bh_cachefile_line(struct bh_cachefile_writer *w);
void bh_cachefile_end_line(struct bh_cachefile_writer *w);

/*
 * A file that was found whole, of our version, of @info->kind and of the server or folder
 * @of ("" is any); *info says what its head says.  Takes a copy of @fd, which is read from
 * its beginning.
 */
struct bh_cachefile;
int bh_cachefile_open(struct bh_cachefile **ret, int fd, const char *of,
		      struct bh_cachefile_info *info, struct bh_err *err);
/* -EACCES with text if others than this user can write to @fd's file. */
int bh_cachefile_check_owner(int fd, struct bh_err *err);
void bh_cachefile_close(struct bh_cachefile **f);
/*
 * Tells at most @max of its facts: how many, 0 at the end.  A line that is no fact
 * is an error after the facts before it.
 */
int bh_cachefile_read(struct bh_cachefile *f, int max,
		      void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx,
		      struct bh_err *err);
/* The same for lines; a negative result of @on_line ends the reading with it. */
int bh_cachefile_read_lines(struct bh_cachefile *f, int max,
			    int (*on_line)(void *ctx, const char *line, size_t len,
					   struct bh_err *err),
			    void *ctx, struct bh_err *err);

#endif
