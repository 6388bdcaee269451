/*
 * The last state of the Kubernetes API as a file.
 *
 * A head line, one line for each fact (bh/fact.h), and a foot line with a digest
 * of everything before it.  Written whole or not at all; read only if it is
 * whole, ours by version, and of the same server.
 */
#ifndef BH_CACHEFILE_H
#define BH_CACHEFILE_H

#include "bh/fact.h"
#include "bh/world.h"

#define BH_CACHEFILE_VERSION 1
/* 500,000 pods with everything that a pod may have. */
#define BH_CACHEFILE_MAX      ((size_t)1 << 30)
#define BH_CACHEFILE_MAX_LINE ((size_t)8 << 20)

struct bh_cachefile_info {
	char server[256];
	uint64_t real_ns; /* when it was the state */
	size_t n_facts, n_bytes;
};

/*
 * Writes what @w was told by BH_SOURCE_KUBE to @path, by way of a file beside
 * it.  @info says server and real_ns; the rest is filled in.
 */
int bh_cachefile_write(const char *path, const struct bh_world *w, struct bh_cachefile_info *info,
		       struct bh_err *err);

/*
 * A file that was found whole, of our version and of @server ("" is any); *info
 * says what its head says.  Takes a copy of @fd, which is read from its beginning.
 */
struct bh_cachefile;
int bh_cachefile_open(struct bh_cachefile **ret, int fd, const char *server,
		      struct bh_cachefile_info *info, struct bh_err *err);
void bh_cachefile_close(struct bh_cachefile **f);
/*
 * Tells at most @max of its facts: how many, 0 at the end.  A line that is no fact
 * is an error after the facts before it.
 */
int bh_cachefile_read(struct bh_cachefile *f, int max,
		      void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx,
		      struct bh_err *err);

#endif
