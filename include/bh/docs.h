/*
 * YAML and JSON text -> JSON documents that know their lines.
 */
#ifndef BH_DOCS_H
#define BH_DOCS_H

#include <jansson.h>
#include <stddef.h>

#include "bh/err.h"

/* Limits; beyond them a text is refused with -EFBIG or -E2BIG. */
#define BH_DOCS_MAX_BYTES (16u << 20)
#define BH_DOCS_MAX_DEPTH 64

/* A parsed file: JSON documents with the lines their nodes came from. */
struct bh_docs;

/*
 * Parses @text (YAML 1.1 as Kubernetes reads it, or JSON; any number of
 * documents).  Aliases, duplicate keys, NUL bytes, depth and size beyond the
 * limits above are refused with line and reason.
 */
int bh_docs_parse(const char *name, const char *text, size_t len, struct bh_docs **ret,
		  struct bh_err *err);
void bh_docs_free(struct bh_docs **docs);
size_t bh_docs_count(const struct bh_docs *docs);
json_t *bh_docs_root(const struct bh_docs *docs, size_t i);
/* For struct bh_origin; @ctx is the bh_docs. */
int bh_docs_line(void *ctx, const json_t *node);

#endif
