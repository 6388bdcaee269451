#include "test.h"

#include "bh/selector.h"

#define VALUES(...)                                                                                \
	.values = (const char *const[]){ __VA_ARGS__ },                                            \
	.n_values = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)

static const struct bh_label items[] = {
	{ "app", "web" }, { "empty", "" }, { "tier", "front" }, { "zone", "a" }
};
static const struct bh_labels labels = { items, BH_ARRAY_LEN(items) };

static void requirements_treat_missing_keys_as_the_api_does(void **state)
{
	const struct {
		struct bh_requirement req;
		bool want;
	} t[] = {
		{ { "app", BH_SEL_IN, VALUES("web"), false }, true },
		{ { "app", BH_SEL_IN, VALUES("db", "web"), false }, true },
		{ { "app", BH_SEL_IN, VALUES("db"), false }, false },
		{ { "app", BH_SEL_IN, VALUES("we"), false }, false },
		{ { "none", BH_SEL_IN, VALUES("web"), false }, false },
		{ { "none", BH_SEL_IN, VALUES(""), false }, false },
		{ { "empty", BH_SEL_IN, VALUES(""), false }, true },
		{ { "app", BH_SEL_NOT_IN, VALUES("web"), false }, false },
		{ { "app", BH_SEL_NOT_IN, VALUES("db", "api"), false }, true },
		{ { "none", BH_SEL_NOT_IN, VALUES("web"), false }, true },
		{ { "tier", BH_SEL_EXISTS, NULL, 0, false }, true },
		{ { "empty", BH_SEL_EXISTS, NULL, 0, false }, true },
		{ { "none", BH_SEL_EXISTS, NULL, 0, false }, false },
		{ { "zone", BH_SEL_DOES_NOT_EXIST, NULL, 0, false }, false },
		{ { "zonf", BH_SEL_DOES_NOT_EXIST, NULL, 0, false }, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_selector sel = { &t[i].req, 1 };

		if (bh_selector_matches(&sel, &labels) != t[i].want)
			fail_msg("%s %s", t[i].req.key, bh_sel_op_str(t[i].req.op));
	}
}

static void empty_selector_matches_everything(void **state)
{
	struct bh_selector sel = { 0 };
	struct bh_labels none = { 0 };

	(void)state;
	assert_true(bh_selector_matches(&sel, &labels));
	assert_true(bh_selector_matches(&sel, &none));
}

static void all_requirements_must_hold(void **state)
{
	const struct bh_requirement reqs[] = {
		{ "app", BH_SEL_IN, VALUES("web"), false },
		{ "zone", BH_SEL_IN, VALUES("b"), false },
	};

	(void)state;
	assert_true(bh_selector_matches(&(struct bh_selector){ reqs, 1 }, &labels));
	assert_false(bh_selector_matches(&(struct bh_selector){ reqs, 2 }, &labels));
}

/* Pointers differ where strings are equal, and keys lie around the one sought. */
static void strings_are_compared_by_content(void **state)
{
	char key[] = "app", value[] = "web";
	const char *const values[] = { value };
	struct bh_requirement req = { key, BH_SEL_IN, values, 1, false };

	(void)state;
	assert_true(bh_selector_matches(&(struct bh_selector){ &req, 1 }, &labels));
}

static const char *canonical(struct bh_buf *b, const struct bh_selector *sel)
{
	bh_buf_reset(b);
	bh_selector_canonical(sel, b);
	return bh_buf_str(b);
}

static void canonical_text_depends_on_the_requirements_only(void **state)
{
	const struct bh_requirement one[] = {
		{ "tier", BH_SEL_NOT_IN, VALUES("y", "x", "y"), false },
		{ "app", BH_SEL_IN, VALUES("web"), false },
		{ "app", BH_SEL_IN, VALUES("web"), false },
	};
	const struct bh_requirement two[] = {
		{ "app", BH_SEL_IN, VALUES("web"), false },
		{ "tier", BH_SEL_NOT_IN, VALUES("x", "y"), false },
	};
	struct bh_buf a = { 0 }, b = { 0 };

	(void)state;
	assert_string_equal(canonical(&a, &(struct bh_selector){ one, 3 }),
			    canonical(&b, &(struct bh_selector){ two, 2 }));
	bh_buf_done(&a);
	bh_buf_done(&b);
}

static void different_selectors_have_different_canonical_texts(void **state)
{
	const struct bh_requirement t[] = {
		{ "a", BH_SEL_IN, VALUES("b"), false },
		{ "a", BH_SEL_NOT_IN, VALUES("b"), false },
		{ "a", BH_SEL_EXISTS, NULL, 0, false },
		{ "a", BH_SEL_DOES_NOT_EXIST, NULL, 0, false },
		{ "a", BH_SEL_IN, VALUES("b", "c"), false },
		/* What would look alike if strings were not quoted with their length. */
		{ "a", BH_SEL_IN, VALUES("b,c"), false },
		{ "a", BH_SEL_IN, VALUES("b','c"), false },
		{ "a", BH_SEL_IN, VALUES("b',1'c"), false },
		{ "a' In (1'b')", BH_SEL_EXISTS, NULL, 0, false },
		{ "a", BH_SEL_IN, VALUES(""), false },
		{ "", BH_SEL_IN, VALUES("a"), false },
	};
	struct bh_buf a = { 0 }, b = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++)
		for (k = 0; k < i; k++)
			assert_string_not_equal(canonical(&a, &(struct bh_selector){ &t[i], 1 }),
						canonical(&b, &(struct bh_selector){ &t[k], 1 }));
	assert_string_not_equal(canonical(&a, &(struct bh_selector){ t, 2 }),
				canonical(&b, &(struct bh_selector){ t, 1 }));
	bh_buf_done(&a);
	bh_buf_done(&b);
}

static void descriptions_read_as_kubectl_prints_them(void **state)
{
	const struct {
		struct bh_requirement reqs[3];
		size_t n;
		const char *want;
	} t[] = {
		{ { { 0 } }, 0, "<all>" },
		{ { { "app", BH_SEL_IN, VALUES("web"), false } }, 1, "app=web" },
		{ { { "app", BH_SEL_NOT_IN, VALUES("web"), false } }, 1, "app!=web" },
		{ { { "tier", BH_SEL_IN, VALUES("b", "a"), false } }, 1, "tier in (a,b)" },
		{ { { "tier", BH_SEL_NOT_IN, VALUES("b", "a"), false } }, 1, "tier notin (a,b)" },
		{ { { "tier", BH_SEL_IN, VALUES("a"), false },
		    { "old", BH_SEL_DOES_NOT_EXIST, NULL, 0, false },
		    { "app", BH_SEL_EXISTS, NULL, 0, false } },
		  3,
		  "!old,app,tier=a" },
		/* Nobody can write a terminal sequence or a log line into it. */
		{ { { "a\033[2J", BH_SEL_IN, VALUES("b\n"), false } }, 1, "a\\x1b[2J=b\\x0a" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_buf b = { 0 };

		bh_selector_describe(&(struct bh_selector){ t[i].reqs, t[i].n }, &b);
		assert_string_equal(bh_buf_str(&b), t[i].want);
		bh_buf_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requirements_treat_missing_keys_as_the_api_does),
		cmocka_unit_test(empty_selector_matches_everything),
		cmocka_unit_test(all_requirements_must_hold),
		cmocka_unit_test(strings_are_compared_by_content),
		cmocka_unit_test(canonical_text_depends_on_the_requirements_only),
		cmocka_unit_test(different_selectors_have_different_canonical_texts),
		cmocka_unit_test(descriptions_read_as_kubectl_prints_them),
	};

	return cmocka_run_group_tests_name("selector", tests, NULL, NULL);
}
