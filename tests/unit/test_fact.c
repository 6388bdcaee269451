#include "test.h"

#include <errno.h>

#include "bh/fact.h"
#include "worldgen.h"

struct lines {
	char **items;
	size_t n, cap;
};

static void collect(void *ctx, const struct bh_fact *fact)
{
	struct lines *l = ctx;
	struct bh_buf b = { 0 };

	bh_fact_encode(fact, &b);
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] = bh_buf_take(&b);
}

static void lines_done(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
	*l = (struct lines){ 0 };
}

static int tell(struct bh_world *w, const char *line, struct bh_err *err)
{
	struct bh_arena *arena = bh_arena_new();
	struct bh_fact fact;
	int r = bh_fact_decode(line, strlen(line), BH_SOURCE_KUBE, arena, &fact, err);

	if (r == 0)
		r = bh_world_apply(w, &fact, err);
	bh_arena_free(&arena);
	return r;
}

/* A world notices any difference of an object that it is told again. */
static void what_was_told_comes_back_as_it_was(void **state)
{
	struct bh_err err = { 0 };

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		bh_auto(lines_done) struct lines lines = { 0 }, again = { 0 };
		bh_auto(bh_world_free) struct bh_world *copy = NULL;
		struct gen g;

		gen_init(&g, seed);
		gen_fill(&g);
		for (int i = 0; i < 40; i++)
			gen_step(&g);
		bh_world_settle(g.w);
		bh_world_told(g.w, BH_SOURCE_KUBE, collect, &lines);
		assert_true(lines.n > 10);
		copy = bh_world_new(&g.config);
		for (size_t i = 0; i < lines.n; i++) {
			assert_ok(tell(g.w, lines.items[i], &err), &err);
			assert_ok(tell(copy, lines.items[i], &err), &err);
			if (bh_world_is_dirty(g.w))
				fail_msg("seed %llu: not the same: %s", (unsigned long long)seed,
					 lines.items[i]);
		}
		bh_world_told(copy, BH_SOURCE_KUBE, collect, &again);
		assert_int_equal(again.n, lines.n);
		gen_done(&g);
	}
}

static void a_different_line_is_a_different_object(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&(struct bh_world_config){ 0 });
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(tell(w, "{\"pod\":{\"namespace\":\"s\",\"name\":\"p\"}}", &err), &err);
	bh_world_settle(w);
	assert_ok(tell(w, "{\"pod\":{\"namespace\":\"s\",\"name\":\"p\",\"created\":1}}", &err),
		  &err);
	assert_true(bh_world_is_dirty(w));
}

static void text_of_any_kind_survives(void **state)
{
	struct bh_arena *arena = bh_arena_new();
	struct bh_fact fact = { .kind = BH_KIND_POLICY }, back;
	struct bh_buf b = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	fact.policy = (struct bh_policy){ .tier = BH_TIER_ADMIN,
					  .namespace = "s",
					  .name = "p",
					  .uid = "",
					  .generation = INT64_MAX,
					  .invalid = "a \"quoted\" \\ line\n\t\x01 \xc3\xa9" };
	bh_fact_encode(&fact, &b);
	assert_null(strchr(bh_buf_str(&b), '\n'));
	assert_ok(bh_fact_decode(b.data, b.len, BH_SOURCE_KUBE, arena, &back, &err), &err);
	assert_string_equal(back.policy.invalid, fact.policy.invalid);
	assert_true(back.policy.generation == INT64_MAX);
	assert_int_equal(back.source, BH_SOURCE_KUBE);
	bh_buf_done(&b);
	bh_arena_free(&arena);
}

static void what_no_fact_can_be_is_refused_with_its_field(void **state)
{
	static const struct {
		const char *line, *text;
	} t[] = {
		{ "", "is no JSON" },
		{ "[]", "is no fact" },
		{ "{\"pods\":{}}", "is no fact" },
		{ "{\"pod\":[]}", "pod: is no object" },
		{ "{\"pod\":{\"name\":\"p\"}}", "pod: namespace: is missing" },
		{ "{\"pod\":{\"namespace\":\"s\",\"name\":1}}", "pod: name: is no string" },
		{ "{\"node\":{\"name\":\"n\",\"addrs\":[{\"ip\":\"x\"}]}}", "addrs[0]: ip: " },
		{ "{\"node\":{\"name\":\"n\",\"addrs\":[{}]}}", "ip: is no string" },
		{ "{\"node\":{\"name\":\"n\",\"labels\":{}}}", "labels: is no list" },
		{ "{\"namespace\":{\"name\":\"n\",\"mode\":2}}", "mode: is out of range" },
		{ "{\"namespace\":{\"name\":\"n\",\"mode\":-1}}", "mode: is out of range" },
		{ "{\"namespace\":{\"name\":\"n\",\"mode\":\"x\"}}", "mode: is no number" },
		{ "{\"pod\":{\"namespace\":\"s\",\"name\":\"p\",\"ports\":[{\"number\":65536,"
		  "\"protocol\":6}]}}",
		  "number: is out of range" },
		{ "{\"pod\":{\"namespace\":\"s\",\"name\":\"p\",\"ports\":[{\"number\":1,"
		  "\"protocol\":7}]}}",
		  "no such protocol" },
		{ "{\"policy\":{\"name\":\"p\",\"pods\":{\"all\":[{\"key\":\"a\"}]}}}",
		  "do not fit its operator" },
		{ "{\"policy\":{\"name\":\"p\",\"tier\":1,\"ingress\":[{\"action\":1}]}}",
		  "does not allow" },
		{ "{\"policy\":{\"name\":\"p\",\"ingress\":[{\"ports\":[{\"first\":2,\"last\":1}]}]"
		  "}}",
		  "ends before it begins" },
		{ "{\"policy\":{\"name\":\"p\",\"ingress\":[{\"peers\":[{\"kind\":1,\"cidr\":"
		  "\"10.0.0.0/24\",\"except\":[{\"net\":\"10.1.0.0/24\"}]}]}]}}",
		  "outside of its cidr" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_arena *arena = bh_arena_new();
		struct bh_err err = { 0 };
		struct bh_fact fact;

		assert_int_equal(bh_fact_decode(t[i].line, strlen(t[i].line), BH_SOURCE_KUBE, arena,
						&fact, &err),
				 -EINVAL);
		if (!strstr(bh_err_text(&err), t[i].text))
			fail_msg("%s: %s", t[i].line, bh_err_text(&err));
		bh_arena_free(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_told_comes_back_as_it_was),
		cmocka_unit_test(a_different_line_is_a_different_object),
		cmocka_unit_test(text_of_any_kind_survives),
		cmocka_unit_test(what_no_fact_can_be_is_refused_with_its_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
