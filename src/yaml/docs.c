#include "docs.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "bh/alloc.h"

void docs_add_root(struct bh_docs *docs, json_t *root)
{
	bh_grow(&docs->roots, &docs->cap_roots, docs->n_roots, sizeof(*docs->roots));
	docs->roots[docs->n_roots++] = root;
}

void docs_add_line(struct bh_docs *docs, const json_t *node, int line)
{
	/* true, false and null are one node for all of them. */
	if (json_is_boolean(node) || json_is_null(node))
		return;
	bh_grow(&docs->lines, &docs->cap_lines, docs->n_lines, sizeof(*docs->lines));
	docs->lines[docs->n_lines++] = (struct doc_line){ .node = node, .line = line };
}

static int by_node(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct doc_line *)a)->node;
	uintptr_t y = (uintptr_t)((const struct doc_line *)b)->node;

	return (x > y) - (x < y);
}

int bh_docs_line(void *ctx, const json_t *node)
{
	const struct bh_docs *docs = ctx;
	const struct doc_line key = { .node = node };
	const struct doc_line *found;

	if (docs->n_lines == 0)
		return 0;
	found = bh_search(&key, docs->lines, docs->n_lines, sizeof(key), by_node);
	return found ? found->line : 0;
}

static int count_lines(const char *from, const char *to)
{
	int n = 0;

	while ((from = memchr(from, '\n', (size_t)(to - from)))) {
		from++;
		n++;
	}
	return n;
}

static const char *skip_blanks(const char *s, const char *end)
{
	while (s < end && strchr(" \t\r\n", *s))
		s++;
	return s;
}

/* An upper bound of the values in JSON text: one more than what separates them. */
static bool has_too_many_values(const char *s, size_t len)
{
	bool is_string = false;
	size_t i, n = 1;

	for (i = 0; i < len && n <= DOCS_MAX_NODES; i++) {
		if (is_string && s[i] == '\\')
			i++;
		else if (s[i] == '"')
			is_string = !is_string;
		else if (!is_string && strchr(",[{", s[i]))
			n++;
	}
	return n > DOCS_MAX_NODES;
}

/* jansson keeps no positions, so every value has the line of its document. */
static void add_json_lines(struct bh_docs *docs, const json_t *root, int line)
{
	json_t *item;
	size_t i;

	docs_add_line(docs, root, line);
	json_array_foreach(json_object_get(root, "items"), i, item) docs_add_line(docs, item, line);
}

/* Documents one after the other, as kubectl and jq print them. */
static int parse_json(struct bh_docs *docs, const char *name, const char *text, size_t len,
		      struct bh_err *err)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY;
	const char *s = text, *end = text + len;
	int line = 1;

	if (has_too_many_values(text, len))
		return bh_err(err, -E2BIG, "%s: the file has more than %d values", name,
			      DOCS_MAX_NODES);
	for (;;) {
		const char *start = skip_blanks(s, end);
		json_error_t e;
		json_t *root;

		line += count_lines(s, start);
		if (start == end)
			return 0;
		root = json_loadb(start, (size_t)(end - start), flags, &e);
		if (!root)
			return bh_err(err, -EINVAL, "%s:%d: %s", name, line + e.line - 1, e.text);
		add_json_lines(docs, root, line);
		docs_add_root(docs, root);
		s = start + e.position;
		line += count_lines(start, s);
	}
}

static void clear(struct bh_docs *docs)
{
	size_t i;

	for (i = 0; i < docs->n_roots; i++)
		json_decref(docs->roots[i]);
	docs->n_roots = docs->n_lines = 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);

	return a >= b && strcmp(s + a - b, end) == 0;
}

/* A file that starts like JSON is JSON, or else YAML in flow style. */
static int parse(struct bh_docs *docs, const char *name, const char *text, size_t len,
		 struct bh_err *err)
{
	const char *start;
	bool is_json = ends_with(name, ".json");
	int r;

	/* A byte order mark, as some editors put it. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	start = skip_blanks(text, text + len);
	if (is_json || (start < text + len && *start == '{')) {
		r = parse_json(docs, name, text, len, err);
		if (r == 0 || is_json)
			return r;
		clear(docs);
		bh_err_clear(err);
	}
	return docs_parse_yaml(docs, name, text, len, err);
}

int bh_docs_parse(const char *name, const char *text, size_t len, struct bh_docs **ret,
		  struct bh_err *err)
{
	bh_auto(bh_docs_free) struct bh_docs *docs = NULL;
	const char *nul = len ? memchr(text, '\0', len) : NULL;
	int r;

	if (len > BH_DOCS_MAX_BYTES)
		return bh_err(err, -EFBIG, "%s: over %u bytes", name, BH_DOCS_MAX_BYTES);
	/* libyaml would take it for the end of the file. */
	if (nul)
		return bh_err(err, -EINVAL, "%s:%d: NUL byte", name, count_lines(text, nul) + 1);
	docs = bh_calloc(1, sizeof(*docs));
	r = parse(docs, name, text, len, err);
	if (r < 0)
		return r;
	if (docs->n_lines)
		bh_sort(docs->lines, docs->n_lines, sizeof(*docs->lines), by_node);
	*ret = bh_take_ptr(docs);
	return 0;
}

void bh_docs_free(struct bh_docs **docs)
{
	if (!*docs)
		return;
	clear(*docs);
	free((*docs)->roots);
	free((*docs)->lines);
	free(*docs);
	*docs = NULL;
}

size_t bh_docs_count(const struct bh_docs *docs)
{
	return docs->n_roots;
}

json_t *bh_docs_root(const struct bh_docs *docs, size_t i)
{
	return docs->roots[i];
}
