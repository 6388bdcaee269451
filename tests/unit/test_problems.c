#include "../../src/daemon/problems.h"
#include "test.h"

static void a_problem_is_news_once(void **state)
{
	bh_auto(bh_problems_done) struct bh_problems p = { 0 };

	(void)state;
	assert_true(bh_problems_set(&p, BH_SOURCE_MANIFEST, "a.yaml", "broken"));
	assert_false(bh_problems_set(&p, BH_SOURCE_MANIFEST, "a.yaml", "broken"));
	assert_true(bh_problems_set(&p, BH_SOURCE_MANIFEST, "a.yaml", "broken elsewhere"));
	assert_true(bh_problems_set(&p, BH_SOURCE_CRI, "a.yaml", "broken"));
	assert_int_equal(p.n, 2);
}

static void clearing_tells_whether_there_was_one(void **state)
{
	bh_auto(bh_problems_done) struct bh_problems p = { 0 };

	(void)state;
	assert_false(bh_problems_clear(&p, BH_SOURCE_CRI, "socket"));
	bh_problems_set(&p, BH_SOURCE_CRI, "socket", "gone");
	assert_false(bh_problems_clear(&p, BH_SOURCE_CRI, "other"));
	assert_true(bh_problems_clear(&p, BH_SOURCE_CRI, "socket"));
	assert_int_equal(p.n, 0);
}

static void the_list_is_in_order_and_has_every_field(void **state)
{
	bh_auto(bh_problems_done) struct bh_problems p = { 0 };
	json_t *list;
	const json_t *first;

	(void)state;
	bh_problems_set(&p, BH_SOURCE_MANIFEST, "b.yaml", "first");
	bh_problems_set(&p, BH_SOURCE_CRI, "a.sock", "second");
	list = bh_problems_json(&p);
	assert_int_equal(json_array_size(list), 2);
	first = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(first, "source")), "manifest");
	assert_string_equal(json_string_value(json_object_get(first, "subject")), "b.yaml");
	assert_string_equal(json_string_value(json_object_get(first, "text")), "first");
	assert_non_null(json_object_get(first, "since"));
	json_decref(list);
}

static void bytes_that_are_not_text_are_shown_and_not_lost(void **state)
{
	bh_auto(bh_problems_done) struct bh_problems p = { 0 };
	json_t *list;

	(void)state;
	assert_true(bh_problems_set(&p, BH_SOURCE_MANIFEST, "\xff.yaml", "bad \x1b[31m \xfe"));
	assert_false(bh_problems_set(&p, BH_SOURCE_MANIFEST, "\xff.yaml", "bad \x1b[31m \xfe"));
	list = bh_problems_json(&p);
	assert_int_equal(json_array_size(list), 1);
	assert_contains(json_string_value(json_object_get(json_array_get(list, 0), "text")),
			"\\x1b[31m \\xfe");
	json_decref(list);
	assert_true(bh_problems_clear(&p, BH_SOURCE_MANIFEST, "\xff.yaml"));
}

static void beyond_the_limit_only_the_number_is_kept(void **state)
{
	bh_auto(bh_problems_done) struct bh_problems p = { 0 };

	(void)state;
	for (int i = 0; i < BH_MAX_PROBLEMS + 5; i++) {
		bh_auto_free char *subject = bh_asprintf("file-%d", i);

		assert_true(bh_problems_set(&p, BH_SOURCE_MANIFEST, subject, "x"));
	}
	assert_int_equal(p.n, BH_MAX_PROBLEMS);
	assert_int_equal(p.n_beyond, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_problem_is_news_once),
		cmocka_unit_test(clearing_tells_whether_there_was_one),
		cmocka_unit_test(the_list_is_in_order_and_has_every_field),
		cmocka_unit_test(bytes_that_are_not_text_are_shown_and_not_lost),
		cmocka_unit_test(beyond_the_limit_only_the_number_is_kept),
	};

	return cmocka_run_group_tests_name("problems", tests, NULL, NULL);
}
