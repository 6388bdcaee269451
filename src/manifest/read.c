#include <string.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/file.h"
#include "bh/hash.h"
#include "load.h"
#include "walk.h"

#define STDIN_NAME "stdin"

/* An object that was read, in a folder. */
struct seen {
	char *id; /* key */
	const char *file;
	UT_hash_handle hh;
};

struct reading {
	const struct bh_reader *reader;
	bool is_folder;
	struct seen *seen;
	const char *file;
	struct bh_err *err; /* of on_object */
	int ended;          /* what on_object ended the reading with */
	int n_problems;
};

static void tell(struct reading *r, const struct bh_err *why)
{
	bh_auto_free char *text = load_reason(r->file, why);

	r->n_problems++;
	r->reader->on_problem(r->reader->ctx, r->file, text);
}

/*
 * Of an object that a folder has twice the first counts, as in the agent; one that is only
 * checked has its say about that later.
 */
static bool is_second(struct reading *r, const struct bh_decoded *d)
{
	const struct bh_fact *fact = bh_decoded_fact(d);
	struct bh_key key;
	bh_auto_free char *id = NULL, *text = NULL;
	struct seen *s;

	if (!fact || !r->is_folder || r->reader->takes_invalid)
		return false;
	key = bh_fact_key(fact);
	id = object_id(&key);
	HASH_FIND_STR(r->seen, id, s);
	if (s) {
		text = object_clash(d, r->file, s->file);
		r->n_problems++;
		r->reader->on_problem(r->reader->ctx, r->file, text);
		return true;
	}
	s = bh_calloc(1, sizeof(*s));
	s->id = bh_take_ptr(id);
	s->file = r->file;
	HASH_ADD_KEYPTR(hh, r->seen, s->id, strlen(s->id), s);
	return false;
}

static void free_seen(struct reading *r)
{
	struct seen *s = r->seen, *next;

	HASH_CLEAR(hh, r->seen);
	for (; s; s = next) {
		next = s->hh.next;
		free(s->id);
		free(s);
	}
}

static int on_object(void *ctx, const struct bh_docs *docs, const json_t *json,
		     struct bh_decoded *d, const struct bh_err *why)
{
	bh_auto(bh_decoded_free) struct bh_decoded *owned = d;
	struct reading *r = ctx;

	(void)docs;
	(void)json;
	if (why && !(owned && r->reader->takes_invalid))
		tell(r, why);
	if (owned && !is_second(r, owned))
		r->ended = r->reader->on_object(r->reader->ctx, owned, r->err);
	return r->ended;
}

static int read_text(struct reading *r, const char *text, size_t len)
{
	struct visitor v = {
		.on_object = on_object,
		.ctx = r,
		.origin = { .source = BH_SOURCE_MANIFEST,
			    .wants_workloads = true,
			    .default_namespace = r->reader->default_namespace },
	};
	struct bh_err err = { 0 };

	if (visit_text(r->file, text, len, &v, &err) < 0 && r->ended == 0)
		tell(r, &err);
	return r->ended;
}

static int read_one(struct reading *r, const char *path)
{
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	size_t len;

	r->file = path;
	if (bh_read_file(path, BH_MANIFEST_MAX_FILE, &text, &len, &err) == 0)
		return read_text(r, text, len);
	tell(r, &err);
	return 0;
}

static int read_stdin(struct reading *r)
{
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	size_t len;

	r->file = STDIN_NAME;
	if (bh_read_fd(STDIN_FILENO, STDIN_NAME, BH_MANIFEST_MAX_FILE, &text, &len, &err) == 0)
		return read_text(r, text, len);
	tell(r, &err);
	return 0;
}

static int read_tree(struct reading *r, const struct walk *w)
{
	size_t i;

	for (i = 0; i < w->n_troubles; i++) {
		r->n_problems++;
		r->reader->on_problem(r->reader->ctx, w->troubles[i].path, w->troubles[i].why);
	}
	for (i = 0; i < w->n_files && r->ended == 0; i++)
		read_one(r, w->files[i]);
	return r->ended;
}

int bh_manifest_read(const char *path, const struct bh_reader *reader, struct bh_err *err)
{
	struct reading r = { .reader = reader, .err = err };
	const struct scan scan = { 0 };
	bh_auto_free char *trimmed = NULL;
	size_t len = strlen(path);
	struct walk walk;
	int code;

	if (strcmp(path, "-") == 0) {
		code = read_stdin(&r);
		return code < 0 ? code : r.n_problems;
	}
	while (len > 1 && path[len - 1] == '/')
		len--;
	trimmed = bh_strndup(path, len);
	code = walk_tree(trimmed, &scan, &walk, err);
	if (code < 0)
		return bh_err_wrap(err, code, "%s", path);
	r.is_folder = walk.n_folders > 0;
	code = read_tree(&r, &walk);
	free_seen(&r);
	walk_done(&walk);
	return code < 0 ? code : r.n_problems;
}
