/*
 * YAML events to JSON values, one frame per open list or mapping.
 */
#include "docs.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <yaml.h>

#include "bh/alloc.h"

#define TAG "tag:yaml.org,2002:"

struct frame {
	json_t *node; /* owned by what is around it, or by reader->root */
	char *key;    /* mapping: the key whose value comes next, else NULL */
	int key_line;
};

struct reader {
	yaml_parser_t parser;
	struct bh_docs *docs;
	const char *name;
	size_t n_nodes;
	struct frame frames[BH_DOCS_MAX_DEPTH];
	int depth;
	json_t *root; /* of the open document */
};

static int line_of(const yaml_mark_t *mark)
{
	return mark->line < INT32_MAX ? (int)mark->line + 1 : INT32_MAX;
}

/* "file:line: text" */
static int fail(const struct reader *r, const yaml_mark_t *mark, struct bh_err *err)
{
	return bh_err_wrap(err, -EINVAL, "%s:%d", r->name, line_of(mark));
}

/* Hangs @node (stolen) into the open container, or makes it the root. */
static int attach(struct reader *r, json_t *node, int line, struct bh_err *err)
{
	struct frame *f = r->depth ? &r->frames[r->depth - 1] : NULL;
	int failed;

	if (++r->n_nodes > DOCS_MAX_NODES) {
		json_decref(node);
		return bh_err(err, -E2BIG, "the file has more than %d values", DOCS_MAX_NODES);
	}
	/* The key's line is where a person looks for the value. */
	docs_add_line(r->docs, node, f && f->key ? f->key_line : line);
	if (!f) {
		r->root = node;
		return 0;
	}
	if (f->key) {
		failed = json_object_set_new(f->node, f->key, node);
		free(bh_take_ptr(f->key));
	} else {
		failed = json_array_append_new(f->node, node);
	}
	return failed ? bh_err(err, -EINVAL, "the key is not valid UTF-8") : 0;
}

static bool wants_key(const struct reader *r)
{
	const struct frame *f = r->depth ? &r->frames[r->depth - 1] : NULL;

	return f && json_is_object(f->node) && !f->key;
}

static int on_key(struct reader *r, const struct scalar *s, int line, struct bh_err *err)
{
	struct frame *f = &r->frames[r->depth - 1];
	bh_auto_free char *key = NULL;
	int code;

	if (s->is_plain && !s->tag && strcmp(s->text, "<<") == 0)
		return bh_err(err, -EINVAL, "merge keys ('<<') are not accepted");
	code = scalar_key(s, &key, err);
	if (code < 0)
		return code;
	if (json_object_get(f->node, key))
		return bh_err(err, -EINVAL, "key '%.64s' occurs twice", key);
	f->key = bh_take_ptr(key);
	f->key_line = line;
	return 0;
}

static int on_scalar(struct reader *r, const yaml_event_t *e, struct bh_err *err)
{
	struct scalar s = {
		.text = (const char *)e->data.scalar.value,
		.is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE,
		.tag = (const char *)e->data.scalar.tag,
	};
	int line = line_of(&e->start_mark);
	json_t *node;
	int code;

	if (e->data.scalar.anchor)
		return bh_err(err, -EINVAL, "anchors are not accepted");
	if (memchr(s.text, '\0', e->data.scalar.length))
		return bh_err(err, -EINVAL, "a string holds a NUL byte");
	if (wants_key(r))
		return on_key(r, &s, line, err);
	code = scalar_resolve(&s, &node, err);
	if (code < 0)
		return code;
	return attach(r, node, line, err);
}

static int on_open(struct reader *r, const yaml_event_t *e, json_t *node, const char *anchor,
		   const char *tag, const char *core_tag, struct bh_err *err)
{
	const char *why = NULL;
	int code;

	if (anchor)
		why = "anchors are not accepted";
	else if (tag && strcmp(tag, core_tag) != 0)
		why = "only YAML's core tags are accepted";
	else if (wants_key(r))
		why = "a key is a list or a mapping";
	else if (r->depth == BH_DOCS_MAX_DEPTH)
		why = "the document is nested too deeply";
	if (why) {
		json_decref(node);
		return bh_err(err, -EINVAL, "%s", why);
	}
	code = attach(r, node, line_of(&e->start_mark), err);
	if (code < 0)
		return code;
	r->frames[r->depth++] = (struct frame){ .node = node };
	return 0;
}

static void end_document(struct reader *r)
{
	if (r->root && !json_is_null(r->root))
		docs_add_root(r->docs, bh_take_ptr(r->root));
	json_decref(r->root);
	r->root = NULL;
}

static int on_event(struct reader *r, const yaml_event_t *e, struct bh_err *err)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT: return bh_err(err, -EINVAL, "aliases are not accepted");
	case YAML_SCALAR_EVENT: return on_scalar(r, e, err);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(r, e, json_array(), (const char *)e->data.sequence_start.anchor,
			       (const char *)e->data.sequence_start.tag, TAG "seq", err);
	case YAML_MAPPING_START_EVENT:
		return on_open(r, e, json_object(), (const char *)e->data.mapping_start.anchor,
			       (const char *)e->data.mapping_start.tag, TAG "map", err);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: r->depth--; return 0;
	case YAML_DOCUMENT_END_EVENT: end_document(r); return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT: return 0;
	}
	return 0;
}

static int parser_error(const struct reader *r, struct bh_err *err)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "is not YAML";

	if (p->error == YAML_MEMORY_ERROR)
		return bh_err(err, -ENOMEM, "%s: out of memory", r->name);
	if (p->error == YAML_READER_ERROR)
		return bh_err(err, -EINVAL, "%s: byte %zu: %s", r->name, p->problem_offset,
			      problem);
	bh_err(err, -EINVAL, "%s%s%s", problem, p->context ? " " : "",
	       p->context ? p->context : "");
	return fail(r, &p->problem_mark, err);
}

static int read_events(struct reader *r, struct bh_err *err)
{
	bool is_end = false;
	int code = 0;

	while (!is_end && code == 0) {
		yaml_event_t e;

		if (!yaml_parser_parse(&r->parser, &e))
			return parser_error(r, err);
		is_end = e.type == YAML_STREAM_END_EVENT;
		code = on_event(r, &e, err);
		if (code < 0)
			code = fail(r, &e.start_mark, err);
		yaml_event_delete(&e);
	}
	return code;
}

int docs_parse_yaml(struct bh_docs *docs, const char *name, const char *text, size_t len,
		    struct bh_err *err)
{
	struct reader r = { .docs = docs, .name = name };
	int code;

	if (!yaml_parser_initialize(&r.parser))
		return bh_err(err, -ENOMEM, "%s: out of memory", name);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	code = read_events(&r, err);
	yaml_parser_delete(&r.parser);
	json_decref(r.root);
	/* What an error left open. */
	for (; r.depth > 0; r.depth--)
		free(r.frames[r.depth - 1].key);
	return code;
}
