#include "load.h"

#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/file.h"

static int visit(void *ctx, json_t *json)
{
	struct visitor *v = ctx;
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };

	bh_object_decode(json, &v->origin, &d, &err);
	if (d && bh_decoded_status(d) == BH_DECODE_INVALID) {
		bh_err(&err, -EINVAL, "%s:%d: %s: %s", v->origin.file, bh_decoded_error_line(d),
		       bh_decoded_subject(d), bh_decoded_fact(d)->policy.invalid);
		return v->on_object(v->ctx, v->docs, json, d, &err);
	}
	return v->on_object(v->ctx, v->docs, json, d, d ? NULL : &err);
}

int visit_text(const char *path, const char *text, size_t len, struct visitor *v,
	       struct bh_err *err)
{
	bh_auto(bh_docs_free) struct bh_docs *docs = NULL;
	size_t i;
	int r;

	r = bh_docs_parse(path, text, len, &docs, err);
	if (r < 0)
		return r;
	v->docs = docs;
	v->n_docs = bh_docs_count(docs);
	v->origin.file = path;
	v->origin.line_of = bh_docs_line;
	v->origin.ctx = docs;
	for (i = 0; i < bh_docs_count(docs); i++) {
		r = bh_object_unpack(bh_docs_root(docs, i), visit, v);
		if (r < 0)
			return r;
	}
	return 0;
}

struct strict {
	int (*on_object)(void *ctx, const struct bh_decoded *d);
	void *ctx;
	struct bh_err *err;
};

static int on_strict(void *ctx, const struct bh_docs *docs, const json_t *json,
		     struct bh_decoded *d, const struct bh_err *why)
{
	bh_auto(bh_decoded_free) struct bh_decoded *owned = d;
	struct strict *s = ctx;

	(void)docs;
	(void)json;
	if (why)
		return bh_err(s->err, -EINVAL, "%s", bh_err_text(why));
	return s->on_object(s->ctx, owned);
}

int bh_manifest_load_file(const char *path, enum bh_source source,
			  int (*on_object)(void *ctx, const struct bh_decoded *d), void *ctx,
			  struct bh_err *err)
{
	struct strict strict = { .on_object = on_object, .ctx = ctx, .err = err };
	struct visitor v = { .on_object = on_strict, .ctx = &strict, .origin.source = source };
	bh_auto_free char *text = NULL;
	size_t len;
	int r;

	r = bh_read_file(path, BH_MANIFEST_MAX_FILE, &text, &len, err);
	if (r < 0)
		return r;
	return visit_text(path, text, len, &v, err);
}

char *object_id(const struct bh_key *key)
{
	return bh_asprintf("%d/%d/%s/%s", key->kind, key->policy_kind, key->namespace, key->name);
}

char *object_clash(const struct bh_decoded *d, const char *path, const char *first)
{
	if (strcmp(path, first) == 0)
		return bh_asprintf("%s is described twice in this file; the first counts",
				   bh_decoded_subject(d));
	return bh_asprintf("%s is described in '%s' too, which counts", bh_decoded_subject(d),
			   first);
}

char *load_reason(const char *path, const struct bh_err *err)
{
	const char *text = bh_err_text(err);
	size_t len = strlen(path);

	if (strncmp(text, path, len) != 0 || text[len] != ':')
		return bh_strdup(text);
	text += len + 1;
	if (*text == ' ')
		return bh_strdup(text + 1);
	return bh_asprintf("line %s", text);
}

static void add_lines(struct bh_buf *b, struct bh_docs *docs, json_t *node)
{
	const char *key;
	json_t *value;
	size_t i;

	bh_buf_printf(b, "%d,", bh_docs_line(docs, node));
	json_object_foreach(node, key, value) add_lines(b, docs, value);
	json_array_foreach(node, i, value) add_lines(b, docs, value);
}

static void digest(const struct bh_docs *docs, const json_t *json, const struct bh_decoded *d,
		   char ret[BH_DIGEST_LEN + 1])
{
	bh_auto_free char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	const struct bh_fact *fact = bh_decoded_fact(d);
	struct bh_buf b = { 0 };

	bh_buf_puts(&b, text ? text : "");
	bh_buf_putc(&b, '\0');
	/* A rule's line is what `explain` quotes; of other kinds only the first is kept. */
	if (fact->kind == BH_KIND_POLICY) {
		bh_buf_puts(&b, fact->policy.file);
		add_lines(&b, (struct bh_docs *)(uintptr_t)docs, (json_t *)(uintptr_t)json);
	} else if (fact->kind == BH_KIND_POD) {
		bh_buf_printf(&b, "%s%c%d", fact->pod.file, '\0', fact->pod.line);
	}
	bh_digest(b.data, b.len, ret);
	bh_buf_done(&b);
}

struct lenient {
	const char *path;
	struct load *load;
	struct bh_buf warnings;
};

/* All in one text, because a file has one problem; the rest is counted. */
static void add_warnings(struct lenient *l, const struct bh_decoded *d)
{
	const struct bh_decode_warning *w;
	size_t i, n = bh_decoded_warnings(d, &w);

	for (i = 0; i < n && l->warnings.len < 2000; i++)
		bh_buf_printf(&l->warnings, "%sline %d: %s: %s", l->warnings.len ? "; " : "",
			      w[i].line, bh_decoded_subject(d), w[i].text);
}

static int on_lenient(void *ctx, const struct bh_docs *docs, const json_t *json,
		      struct bh_decoded *d, const struct bh_err *why)
{
	bh_auto(bh_decoded_free) struct bh_decoded *owned = d;
	struct lenient *l = ctx;
	struct load *load = l->load;
	struct object *o;

	if (why && !load->error)
		load->error = load_reason(l->path, why);
	load->is_partial |= !d;
	if (!d)
		return 0;
	add_warnings(l, d);
	if (!bh_decoded_fact(d))
		return 0;
	bh_grow(&load->objects, &load->cap_objects, load->n_objects, sizeof(*load->objects));
	o = &load->objects[load->n_objects++];
	digest(docs, json, d, o->digest);
	o->decoded = bh_take_ptr(owned);
	return 0;
}

void load_text(const char *path, const char *text, size_t len, struct load *ret)
{
	struct lenient l = { .path = path, .load = ret };
	struct visitor v = {
		.on_object = on_lenient,
		.ctx = &l,
		.origin.source = BH_SOURCE_MANIFEST,
	};
	struct bh_err err = { 0 };

	*ret = (struct load){ 0 };
	if (visit_text(path, text, len, &v, &err) < 0) {
		ret->is_partial = true;
		if (!ret->error)
			ret->error = load_reason(path, &err);
	}
	ret->n_docs = v.n_docs;
	ret->warnings = l.warnings.len ? bh_buf_take(&l.warnings) : NULL;
	bh_buf_done(&l.warnings);
}

void load_done(struct load *load)
{
	size_t i;

	for (i = 0; i < load->n_objects; i++)
		bh_decoded_free(&load->objects[i].decoded);
	free(load->objects);
	free(load->error);
	free(load->warnings);
	*load = (struct load){ 0 };
}
