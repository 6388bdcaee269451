/*
 * What the YAML and JSON readers fill.
 */
#ifndef BH_YAML_DOCS_H
#define BH_YAML_DOCS_H

#include "bh/docs.h"

/*
 * Values in one file.  A node takes about a hundred bytes of memory and as
 * little as two in the file, so the size of the file alone is no limit.
 */
#define DOCS_MAX_NODES 1000000

struct doc_line {
	const json_t *node;
	int line;
};

struct bh_docs {
	json_t **roots;
	size_t n_roots, cap_roots;
	struct doc_line *lines; /* sorted by node once parsed */
	size_t n_lines, cap_lines;
};

/* Steals @root. */
void docs_add_root(struct bh_docs *docs, json_t *root);
void docs_add_line(struct bh_docs *docs, const json_t *node, int line);

int docs_parse_yaml(struct bh_docs *docs, const char *name, const char *text, size_t len,
		    struct bh_err *err);

/* The value of a scalar as go-yaml v2, which Kubernetes uses, resolves it. */
struct scalar {
	const char *text; /* NUL-terminated, without NUL inside */
	bool is_plain;    /* not quoted, no block */
	const char *tag;  /* NULL where none is written */
};

/* A new reference. */
int scalar_resolve(const struct scalar *s, json_t **ret, struct bh_err *err);
/* A scalar as a key: the text of its value, in *ret, to be freed. */
int scalar_key(const struct scalar *s, char **ret, struct bh_err *err);

#endif
