#include "test.h"

#include <stdio.h>

#include "../../src/kube/table.h"
#include "bh/buf.h"

static void on_gone(void *ctx, struct bh_kube_entry *e)
{
	bh_buf_printf(ctx, "%s/%s/%s ", bh_kube_entry_namespace(e), bh_kube_entry_name(e),
		      bh_kube_entry_uid(e));
}

static void on_gone_count(void *ctx, struct bh_kube_entry *e)
{
	(void)e;
	++*(size_t *)ctx;
}

static void an_entry_is_found_by_namespace_and_name(void **state)
{
	bh_auto(bh_kube_table_free) struct bh_kube_table *t = bh_kube_table_new();
	struct bh_kube_entry *e = bh_kube_table_add(t, "shop", "web", "u1");

	(void)state;
	assert_ptr_equal(bh_kube_table_find(t, "shop", "web"), e);
	assert_string_equal(bh_kube_entry_uid(e), "u1");
	assert_null(bh_kube_table_find(t, "shop", "we"));
	assert_null(bh_kube_table_find(t, "", "web"));
	assert_null(bh_kube_table_find(t, "sho", "pweb"));
	bh_kube_table_add(t, "", "web", "");
	assert_string_equal(bh_kube_entry_namespace(bh_kube_table_find(t, "", "web")), "");
	assert_int_equal(bh_kube_table_count(t), 2);
}

static void what_a_pass_has_not_seen_is_gone(void **state)
{
	bh_auto(bh_kube_table_free) struct bh_kube_table *t = bh_kube_table_new();
	struct bh_buf gone = { 0 };

	(void)state;
	bh_kube_table_add(t, "a", "old", "1");
	bh_kube_table_add(t, "a", "kept", "2");
	bh_kube_table_begin(t);
	bh_kube_table_find(t, "a", "kept")->is_seen = true;
	bh_kube_table_add(t, "a", "new", "3");
	bh_kube_table_end(t, on_gone, &gone);
	assert_string_equal(bh_buf_str(&gone), "a/old/1 ");
	assert_int_equal(bh_kube_table_count(t), 2);
	assert_non_null(bh_kube_table_find(t, "a", "kept"));
	assert_non_null(bh_kube_table_find(t, "a", "new"));
	bh_buf_done(&gone);
}

static void a_copy_outlives_its_entry(void **state)
{
	bh_auto(bh_kube_table_free) struct bh_kube_table *t = bh_kube_table_new();
	struct bh_kube_entry *e = bh_kube_table_add(t, "a", "b", "c"), *copy;

	(void)state;
	e->is_told = true;
	copy = bh_kube_entry_copy(e);
	bh_kube_table_remove(t, e);
	assert_true(copy->is_told);
	assert_string_equal(bh_kube_entry_name(copy), "b");
	assert_string_equal(bh_kube_entry_uid(copy), "c");
	free(copy);
}

/* Against an array of flags; removals in the middle of runs are what can go wrong. */
static void random_changes_agree_with_a_plain_array(void **state)
{
	bh_auto(bh_kube_table_free) struct bh_kube_table *t = bh_kube_table_new();
	bool is_there[500] = { false };
	unsigned int seed = 7;
	size_t i, k, n = 0, n_gone = 0;
	char name[32];

	(void)state;
	for (i = 0; i < 20000; i++) {
		struct bh_kube_entry *e;

		k = (size_t)rand_r(&seed) % BH_ARRAY_LEN(is_there);
		snprintf(name, sizeof(name), "pod-%zu", k);
		e = bh_kube_table_find(t, "ns", name);
		assert_int_equal(e != NULL, is_there[k]);
		if (e)
			bh_kube_table_remove(t, e);
		else
			bh_kube_table_add(t, "ns", name, "");
		is_there[k] = !is_there[k];
		n = is_there[k] ? n + 1 : n - 1;
		assert_int_equal(bh_kube_table_count(t), n);
	}
	/* A pass that sees every second one. */
	bh_kube_table_begin(t);
	for (k = 0; k < BH_ARRAY_LEN(is_there); k += 2) {
		snprintf(name, sizeof(name), "pod-%zu", k);
		if (is_there[k])
			bh_kube_table_find(t, "ns", name)->is_seen = true;
	}
	bh_kube_table_end(t, on_gone_count, &n_gone);
	assert_int_equal(bh_kube_table_count(t), n - n_gone);
	for (k = 0; k < BH_ARRAY_LEN(is_there); k++) {
		snprintf(name, sizeof(name), "pod-%zu", k);
		assert_int_equal(bh_kube_table_find(t, "ns", name) != NULL,
				 is_there[k] && k % 2 == 0);
	}
}

static void a_pod_takes_less_than_160_bytes(void **state)
{
	bh_auto(bh_kube_table_free) struct bh_kube_table *t = bh_kube_table_new();
	char name[64], uid[40];
	size_t i, n = 100000;

	(void)state;
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "checkout-service-%010zu-x7f2k", i);
		snprintf(uid, sizeof(uid), "%08zx-1111-4222-8333-444455556666", i);
		bh_kube_table_add(t, "team-payments", name, uid);
	}
	assert_in_range(bh_kube_table_bytes(t) / n, 1, 160);
	assert_int_equal(bh_kube_table_count(t), n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_is_found_by_namespace_and_name),
		cmocka_unit_test(what_a_pass_has_not_seen_is_gone),
		cmocka_unit_test(a_copy_outlives_its_entry),
		cmocka_unit_test(random_changes_agree_with_a_plain_array),
		cmocka_unit_test(a_pod_takes_less_than_160_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
