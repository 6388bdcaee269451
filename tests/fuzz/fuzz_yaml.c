/*
 * A file of anybody's making: parsed as YAML, with a line for every value, and
 * every object decoded.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bh/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
	struct bh_docs *docs;
	int n_lines;
};

static void check_lines(const struct run *run, json_t *node)
{
	int line = bh_docs_line(run->docs, node);
	const char *key;
	json_t *value;
	size_t i;

	if (line < 0 || line > run->n_lines)
		abort();
	json_object_foreach(node, key, value) check_lines(run, value);
	json_array_foreach(node, i, value) check_lines(run, value);
}

static int on_object(void *ctx, json_t *json)
{
	struct run *run = ctx;
	struct bh_origin origin = {
		.file = "fuzz.yaml",
		.line_of = bh_docs_line,
		.ctx = run->docs,
	};
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };

	if (bh_object_decode(json, &origin, &d, &err) < 0 && !err.text[0])
		abort();
	bh_decoded_free(&d);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct run run = { .n_lines = 1 };
	struct bh_err err = { 0 };
	size_t i;

	if (bh_docs_parse("fuzz.yaml", (const char *)data, len, &run.docs, &err) < 0) {
		if (run.docs || !err.text[0])
			abort();
		return 0;
	}
	/* libyaml counts CR, NEL, LS and PS as line ends, too. */
	for (i = 0; i < len; i++)
		run.n_lines += data[i] == '\n' || data[i] == '\r' || data[i] >= 0x80;
	for (i = 0; i < bh_docs_count(run.docs); i++) {
		check_lines(&run, bh_docs_root(run.docs, i));
		bh_object_unpack(bh_docs_root(run.docs, i), on_object, &run);
	}
	bh_docs_free(&run.docs);
	return 0;
}
