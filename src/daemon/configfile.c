#include "configfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "bh/alloc.h"
#include "bh/file.h"
#include "config.h"

/* More keys than options exist are duplicates or unknown anyway. */
#define MAX_KEYS 256

struct reader {
	const char *name;
	yaml_parser_t parser;
	yaml_event_t event;
	char *seen[MAX_KEYS];
	size_t n_seen;
};

static int line_of(const struct reader *r)
{
	return (int)r->event.start_mark.line + 1;
}

static int next(struct reader *r, struct bh_err *err)
{
	yaml_event_delete(&r->event);
	memset(&r->event, 0, sizeof(r->event));
	if (!yaml_parser_parse(&r->parser, &r->event))
		return bh_err(err, -EINVAL, "%s:%zu: %s", r->name, r->parser.problem_mark.line + 1,
			      r->parser.problem ? r->parser.problem : "not YAML");
	return 0;
}

/* A NUL inside would cut the value silently. */
static int take_scalar(const struct reader *r, const char **ret, struct bh_err *err)
{
	const char *text = (const char *)r->event.data.scalar.value;

	if (strlen(text) != r->event.data.scalar.length)
		return bh_err(err, -EINVAL, "%s:%d: NUL byte in a value", r->name, line_of(r));
	*ret = text;
	return 0;
}

static int note_key(struct reader *r, const char *key, struct bh_err *err)
{
	for (size_t i = 0; i < r->n_seen; i++)
		if (strcmp(r->seen[i], key) == 0)
			return bh_err(err, -EINVAL, "%s:%d: key '%s' is there twice", r->name,
				      line_of(r), key);
	if (r->n_seen == MAX_KEYS)
		return bh_err(err, -E2BIG, "%s:%d: over %d keys", r->name, line_of(r), MAX_KEYS);
	r->seen[r->n_seen++] = bh_strdup(key);
	return 0;
}

static int read_scalar(struct reader *r, const char *key, bool is_item, bh_configfile_fn *on_value,
		       void *ctx, struct bh_err *err)
{
	const char *value = NULL;
	int e = take_scalar(r, &value, err);

	return e < 0 ? e : on_value(ctx, key, value, line_of(r), is_item, err);
}

static int read_list(struct reader *r, const char *key, bh_configfile_fn *on_value, void *ctx,
		     struct bh_err *err)
{
	int line = line_of(r);
	size_t n = 0;

	for (;;) {
		int e = next(r, err);

		if (e < 0)
			return e;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (r->event.type != YAML_SCALAR_EVENT)
			return bh_err(err, -EINVAL, "%s:%d: %s: a list holds plain values only",
				      r->name, line_of(r), key);
		if (++n > BH_CONFIG_MAX_LIST)
			return bh_err(err, -E2BIG, "%s:%d: %s: over %d values", r->name, line_of(r),
				      key, BH_CONFIG_MAX_LIST);
		e = read_scalar(r, key, true, on_value, ctx, err);
		if (e < 0)
			return e;
	}
	/* An empty list is a statement too: none, instead of the default. */
	return n == 0 ? on_value(ctx, key, "", line, true, err) : 0;
}

static int read_mapping(struct reader *r, bh_configfile_fn *on_value, void *ctx, struct bh_err *err)
{
	for (;;) {
		bh_auto_free char *key = NULL;
		const char *text = NULL;
		int e = next(r, err);

		if (e < 0)
			return e;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			return 0;
		if (r->event.type != YAML_SCALAR_EVENT)
			return bh_err(err, -EINVAL, "%s:%d: a key is plain text", r->name,
				      line_of(r));
		e = take_scalar(r, &text, err);
		if (e == 0)
			e = note_key(r, text, err);
		if (e < 0)
			return e;
		key = bh_strdup(text);

		e = next(r, err);
		if (e < 0)
			return e;
		if (r->event.type == YAML_SCALAR_EVENT)
			e = read_scalar(r, key, false, on_value, ctx, err);
		else if (r->event.type == YAML_SEQUENCE_START_EVENT)
			e = read_list(r, key, on_value, ctx, err);
		else
			e = bh_err(err, -EINVAL, "%s:%d: %s: expected a value or a list", r->name,
				   line_of(r), key);
		if (e < 0)
			return e;
	}
}

static int read_stream(struct reader *r, bh_configfile_fn *on_value, void *ctx, struct bh_err *err)
{
	bool is_done = false;

	for (;;) {
		int e = next(r, err);

		if (e < 0)
			return e;
		switch (r->event.type) {
		case YAML_STREAM_END_EVENT: return 0;
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT: continue;
		case YAML_DOCUMENT_START_EVENT:
			if (is_done)
				return bh_err(err, -EINVAL, "%s:%d: more than one document",
					      r->name, line_of(r));
			is_done = true;
			continue;
		case YAML_MAPPING_START_EVENT:
			e = read_mapping(r, on_value, ctx, err);
			if (e < 0)
				return e;
			continue;
		default:
			/* An empty document is an empty configuration. */
			if (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0)
				continue;
			return bh_err(err, -EINVAL, "%s:%d: expected a mapping of options", r->name,
				      line_of(r));
		}
	}
}

int bh_configfile_parse(const char *name, const char *text, size_t len, bh_configfile_fn *on_value,
			void *ctx, struct bh_err *err)
{
	struct reader r = { .name = name };
	int e;

	if (!yaml_parser_initialize(&r.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	e = read_stream(&r, on_value, ctx, err);

	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	for (size_t i = 0; i < r.n_seen; i++)
		free(r.seen[i]);
	return e;
}

int bh_configfile_read(const char *path, bh_configfile_fn *on_value, void *ctx, struct bh_err *err)
{
	bh_auto_free char *text = NULL;
	size_t len;
	int r = bh_read_file(path, BH_CONFIG_MAX_FILE, &text, &len, err);

	return r < 0 ? r : bh_configfile_parse(path, text, len, on_value, ctx, err);
}
