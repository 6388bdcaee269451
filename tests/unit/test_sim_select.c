/*
 * Selectors as kubectl takes them.
 */
#include "test.h"

#include <errno.h>

#include "../../src/cli/sim_input.h"
#include "bh/selector.h"

static void selectors_are_read_as_kubectl_reads_them(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{ "app=web", "app=web" },
		{ "app==web", "app=web" },
		{ "app!=web", "app!=web" },
		{ " app = web , tier != db ", "app=web,tier!=db" },
		{ "env in (prod, test)", "env in (prod,test)" },
		{ "env in(prod)", "env=prod" },
		{ "env notin (prod,test)", "env notin (prod,test)" },
		{ "new", "new" },
		{ "!old", "!old" },
		{ "! old,new", "!old,new" },
		{ "app=", "app=" },
		{ "app.kubernetes.io/name=web-1_x", "app.kubernetes.io/name=web-1_x" },
		{ "in=notin", "in=notin" },
		{ "a in (,b)", "a in (,b)" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
		struct bh_selector sel;
		struct bh_err err = { 0 };
		struct bh_buf b = { 0 };

		assert_ok(bh_cli_parse_selector(t[i].text, arena, &sel, &err), &err);
		bh_selector_describe(&sel, &b);
		assert_string_equal(bh_buf_str(&b), t[i].want);
		bh_buf_done(&b);
	}
}

static void what_is_no_selector_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{ "", "a label is expected at ''" },
		{ "=web", "a label is expected at '=web'" },
		{ "app=web,", "a label is expected at ''" },
		{ "app=web tier=db", "',' is expected at 'tier=db'" },
		{ "env in prod", "'(' is expected at 'prod'" },
		{ "env in (prod", "')' is expected at ''" },
		{ "app=$(id)", "',' is expected at '$(id)'" },
		{ "!", "a label is expected at ''" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
		struct bh_selector sel;
		struct bh_err err = { 0 };

		assert_err(bh_cli_parse_selector(t[i].text, arena, &sel, &err), &err, -EINVAL,
			   t[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selectors_are_read_as_kubectl_reads_them),
		cmocka_unit_test(what_is_no_selector_is_refused_with_its_place),
	};

	return cmocka_run_group_tests_name("sim_select", tests, NULL, NULL);
}
