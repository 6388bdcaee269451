#include "test.h"

#include <errno.h>

#include "bh/buf.h"
#include "bh/manifest.h"

static struct bh_docs *parse_ok(const char *name, const char *text)
{
	struct bh_docs *docs = NULL;
	struct bh_err err = { 0 };

	assert_ok(bh_docs_parse(name, text, strlen(text), &docs, &err), &err);
	return docs;
}

static void plain_scalars_mean_what_kubernetes_reads(void **state)
{
	static const struct {
		const char *yaml, *json;
	} t[] = {
		{ "true", "true" },
		{ "Yes", "true" },
		{ "y", "true" },
		{ "ON", "true" },
		{ "off", "false" },
		{ "n", "false" },
		{ "NO", "false" },
		{ "yEs", "\"yEs\"" },
		{ "~", "null" },
		{ "", "null" },
		{ "Null", "null" },
		{ "nil", "\"nil\"" },
		{ "80", "80" },
		{ "+80", "80" },
		{ "-80", "-80" },
		{ "0x1F", "31" },
		{ "0o17", "15" },
		{ "017", "15" },
		{ "-017", "-15" },
		{ "0b101", "5" },
		{ "08", "8" },
		{ "1_000", "1000" },
		{ "_1", "\"_1\"" },
		{ "0", "0" },
		{ "0x", "\"0x\"" },
		{ "0xg", "\"0xg\"" },
		{ "0x0x1", "\"0x0x1\"" },
		{ "0b0b1", "\"0b0b1\"" },
		{ "1.5", "1.5" },
		{ "80.0", "80" },
		{ "8e1", "80" },
		{ ".5", "0.5" },
		{ "1.", "1" },
		{ "1e", "\"1e\"" },
		{ "1e999", "\"1e999\"" },
		{ ".", "\".\"" },
		{ "\n-", "[null]" },
		{ "+", "\"+\"" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "10.0.0.1", "\"10.0.0.1\"" },
		{ "10.0.0.0/8", "\"10.0.0.0/8\"" },
		{ "2001:db8::1", "\"2001:db8::1\"" },
		{ "190:20:30", "\"190:20:30\"" },
		{ "2026-01-02", "\"2026-01-02\"" },
		{ "2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05Z\"" },
		{ "'80'", "\"80\"" },
		{ "\"true\"", "\"true\"" },
		{ "\"\"", "\"\"" },
		{ "|\n  yes\n", "\"yes\\n\"" },
		{ "!!str 80", "\"80\"" },
		{ "! 80", "\"80\"" },
		{ "!!int '80'", "80" },
		{ "!!float 80", "80" },
		{ "!!bool on", "true" },
		{ "!!seq [a]", "[\"a\"]" },
		{ "!!map {a: b}", "{\"a\":\"b\"}" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text = bh_asprintf("v: %s\n", t[i].yaml);
		bh_auto_free char *got = NULL;
		struct bh_docs *docs;

		docs = parse_ok("a.yaml", text);
		got = json_dumps(json_object_get(bh_docs_root(docs, 0), "v"),
				 JSON_ENCODE_ANY | JSON_COMPACT);
		assert_string_equal(got, t[i].json);
		bh_docs_free(&docs);
	}
}

static void keys_are_the_text_of_their_value(void **state)
{
	static const struct {
		const char *yaml, *key;
	} t[] = {
		{ "on: 1", "true" }, { "'on': 1", "on" },     { "0x10: 1", "16" },
		{ "1.5: 1", "1.5" }, { "a.b/c: 1", "a.b/c" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_docs *docs = parse_ok("a.yaml", t[i].yaml);

		assert_non_null(json_object_get(bh_docs_root(docs, 0), t[i].key));
		bh_docs_free(&docs);
	}
}

static void what_could_mean_two_things_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *name, *text, *want;
	} t[] = {
		{ "a.yaml", "a: 1\nb: &x 2\n", "a.yaml:2: anchors are not accepted" },
		{ "a.yaml", "a: &x [1]\n", "a.yaml:1: anchors are not accepted" },
		{ "a.yaml", "a: &x {b: 1}\n", "a.yaml:1: anchors are not accepted" },
		{ "a.yaml", "a: 1\nb: *x\n", "a.yaml:2: aliases are not accepted" },
		{ "a.yaml", "a: 1\n<<: {b: 1}\n", "a.yaml:2: merge keys ('<<') are not accepted" },
		{ "a.yaml", "a: 1\nb: 2\na: 3\n", "a.yaml:3: key 'a' occurs twice" },
		{ "a.yaml", "on: 1\n'true': 2\n", "a.yaml:2: key 'true' occurs twice" },
		{ "a.yaml", "a: !!binary aGk=\n",
		  "a.yaml:1: tag 'tag:yaml.org,2002:binary' is not" },
		{ "a.yaml", "a: !mine x\n", "a.yaml:1: tag '!mine' is not accepted" },
		{ "a.yaml", "a: !mine {}\n", "a.yaml:1: only YAML's core tags are accepted" },
		{ "a.yaml", "a: !!int x\n", "a.yaml:1: 'x' is not of type int" },
		{ "a.yaml", "a: .inf\n", "a.yaml:1: .inf has no value in JSON" },
		{ "a.yaml", "~: 1\n", "a.yaml:1: null is no key" },
		{ "a.yaml", "? [a]\n: 1\n", "a.yaml:1: a key is a list or a mapping" },
		{ "a.yaml", "a: \"\\0\"\n", "a.yaml:1: a string holds a NUL byte" },
		{ "a.yaml", "a: b\n  c: d\n", "a.yaml:2: mapping values are not allowed" },
		{ "a.yaml", "a: b\n---\na: [\n", "a.yaml:4: " },
		{ "a.yaml", "a:\n\tb: 1\n", "a.yaml:2: " },
		{ "a.yaml", "a: \xff\n", "a.yaml: byte 3: " },
		{ "a.yaml", "a: \x01\n", "a.yaml: byte 3: control characters are not allowed" },
		{ "a.json", "{\"a\": 1,\n \"a\": 2}\n", "a.json:2: duplicate object key" },
		{ "a.json", "{}\n\n{\"a\":\n x}\n", "a.json:4: invalid token" },
		{ "a.json", "{\"a\": \"\\u0000\"}", "a.json:1: \\u0000 is not allowed" },
		{ "a.json", "a: b\n", "a.json:1: " },
		{ "a.yaml", "{\"a\": 1, \"a\": 2}", "a.yaml:1: key 'a' occurs twice" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_docs *docs = NULL;
		struct bh_err err = { 0 };

		assert_err(bh_docs_parse(t[i].name, t[i].text, strlen(t[i].text), &docs, &err),
			   &err, -EINVAL, t[i].want);
		assert_null(docs);
	}
}

static void a_nul_byte_is_not_the_end_of_the_file(void **state)
{
	static const char text[] = "a: 1\n\0b: 2\n";
	struct bh_docs *docs = NULL;
	struct bh_err err = { 0 };

	(void)state;
	assert_err(bh_docs_parse("a.yaml", text, sizeof(text) - 1, &docs, &err), &err, -EINVAL,
		   "a.yaml:2: NUL byte");
}

static void depth_and_size_have_limits(void **state)
{
	struct bh_buf b = { 0 };
	struct bh_docs *docs = NULL;
	struct bh_err err = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		bh_buf_putc(&b, '[');
	assert_err(bh_docs_parse("a.yaml", b.data, b.len, &docs, &err), &err, -EINVAL,
		   "a.yaml:1: the document is nested too deeply");

	bh_buf_reset(&b);
	bh_buf_putc(&b, '[');
	for (i = 0; i < 1000001; i++)
		bh_buf_puts(&b, "1,");
	assert_err(bh_docs_parse("a.yaml", b.data, b.len, &docs, &err), &err, -EINVAL,
		   "more than 1000000 values");
	assert_err(bh_docs_parse("a.json", b.data, b.len, &docs, &err), &err, -E2BIG,
		   "more than 1000000 values");

	bh_buf_reset(&b);
	for (i = 0; i <= (int)BH_MANIFEST_MAX_FILE; i++)
		bh_buf_putc(&b, '\n');
	assert_err(bh_docs_parse("a.yaml", b.data, b.len, &docs, &err), &err, -EFBIG, "over");
	bh_buf_done(&b);
	assert_null(docs);
}

static void empty_documents_are_no_documents(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} t[] = {
		{ "", 0 },
		{ "# nothing\n", 0 },
		{ "---\n---\n", 0 },
		{ "---\na: 1\n---\n# only a comment\n---\nb: 1\n...\n", 2 },
		{ "\xef\xbb\xbf"
		  "a: 1\n",
		  1 },
		{ "{\"a\": 1}\n{\"b\": 2}\n", 2 },
		{ "{a: 1}\n---\n{b: 2}\n", 2 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_docs *docs = parse_ok("a.yaml", t[i].text);

		assert_int_equal(bh_docs_count(docs), t[i].n);
		bh_docs_free(&docs);
	}
}

static void values_have_the_line_of_their_key_or_item(void **state)
{
	struct bh_docs *docs = parse_ok("a.yaml", "# policy\n"
						  "a:\n"
						  "  b:\n"
						  "  - c: 1\n"
						  "    d: >\n"
						  "      text\n"
						  "  -\n"
						  "    e: 2\n"
						  "---\n"
						  "f: x\n");
	json_t *root = bh_docs_root(docs, 0), *list;

	(void)state;
	assert_int_equal(bh_docs_line(docs, root), 2);
	list = json_object_get(json_object_get(root, "a"), "b");
	assert_int_equal(bh_docs_line(docs, list), 3);
	assert_int_equal(bh_docs_line(docs, json_array_get(list, 0)), 4);
	assert_int_equal(bh_docs_line(docs, json_object_get(json_array_get(list, 0), "d")), 5);
	assert_int_equal(bh_docs_line(docs, json_object_get(json_array_get(list, 1), "e")), 8);
	assert_int_equal(bh_docs_line(docs, bh_docs_root(docs, 1)), 10);
	assert_int_equal(bh_docs_line(docs, json_true()), 0);
	bh_docs_free(&docs);
}

static void json_objects_have_the_line_of_their_document(void **state)
{
	struct bh_docs *docs = parse_ok("a.json", "\n{\"items\": [\n{}]}\n\n\n{\"a\":\n{}}\n");

	(void)state;
	assert_int_equal(bh_docs_line(docs, bh_docs_root(docs, 0)), 2);
	assert_int_equal(bh_docs_line(docs, bh_docs_root(docs, 1)), 6);
	bh_docs_free(&docs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_scalars_mean_what_kubernetes_reads),
		cmocka_unit_test(keys_are_the_text_of_their_value),
		cmocka_unit_test(what_could_mean_two_things_is_refused_with_its_line),
		cmocka_unit_test(a_nul_byte_is_not_the_end_of_the_file),
		cmocka_unit_test(depth_and_size_have_limits),
		cmocka_unit_test(empty_documents_are_no_documents),
		cmocka_unit_test(values_have_the_line_of_their_key_or_item),
		cmocka_unit_test(json_objects_have_the_line_of_their_document),
	};

	return cmocka_run_group_tests_name("docs", tests, NULL, NULL);
}
