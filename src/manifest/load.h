/*
 * One file's text to objects.
 */
#ifndef BH_MANIFEST_LOAD_H
#define BH_MANIFEST_LOAD_H

#include "bh/hash.h"
#include "bh/manifest.h"

/* What each object of a text is handed to: owned @d, or why there is none or it is invalid. */
struct visitor {
	int (*on_object)(void *ctx, const struct bh_docs *docs, const json_t *json,
			 struct bh_decoded *d, const struct bh_err *why);
	void *ctx;
	struct bh_docs *docs;
	size_t n_docs;           /* set by visit_text() */
	struct bh_origin origin; /* the source is the caller's to set, the rest is set here */
};

/* Ends with the first negative result of on_object; -errno with text where it is no text of ours.
 */
int visit_text(const char *path, const char *text, size_t len, struct visitor *v,
	       struct bh_err *err);

struct object {
	struct bh_decoded *decoded; /* with a fact */
	/* Of all that the fact says, lines and file included. */
	char digest[BH_DIGEST_LEN + 1];
};

struct load {
	struct object *objects; /* kinds that are skipped are left out */
	size_t n_objects, cap_objects;
	char *error;    /* the first, "line 3: Pod shop/web: ..."; NULL if none */
	char *warnings; /* NULL if none */
	size_t n_docs;
	/* Something is left out: the text does not parse, or an object has no fact. */
	bool is_partial;
};

/* Decodes everything that can be. */
void load_text(const char *path, const char *text, size_t len, struct load *ret);
void load_done(struct load *load);
/* "kind/namespace/name", by which an object is the same one in another file. */
char *object_id(const struct bh_key *key);
/* What is said of an object in @path that @first has, too, which counts. */
char *object_clash(const struct bh_decoded *d, const char *path, const char *first);
/* The text of @err without the file's name in front, which the subject has. */
char *load_reason(const char *path, const struct bh_err *err);

#endif
