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
 * Reads an open file from its beginning.  Nothing is told before all of it was
 * checked, except that a line may be no fact: then reading ends with an error
 * after the facts before it.  @server other than "": must be the file's.
 */
int bh_cachefile_read(int fd, const char *server,
		      void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx,
		      struct bh_cachefile_info *ret, struct bh_err *err);

#endif
