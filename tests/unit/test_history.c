#include "test.h"

#include <stdio.h>

#include "bh/history.h"

#define KEEP 100u

static struct bh_addr ip(const char *s)
{
	struct bh_addr a = { 0 };
	struct bh_err err = { 0 };

	assert_ok(bh_addr_parse(s, &a, &err), &err);
	return a;
}

static const struct bh_label web_labels[] = { { "app", "web" }, { "tier", "front" } };

static struct bh_pod pod(const char *name, const char *uid)
{
	return (struct bh_pod){
		.namespace = "shop",
		.name = name,
		.uid = uid,
		.node = "n1",
		.labels = { web_labels, BH_ARRAY_LEN(web_labels) },
		.workload_kind = "Deployment",
		.workload_name = "web",
	};
}

static const char *who(const struct bh_history *h, const char *addr, uint64_t at_ns)
{
	struct bh_addr a = ip(addr);
	const struct bh_identity *id = bh_history_at(h, &a, at_ns);

	return id ? id->name : "-";
}

static void bind(struct bh_history *h, const char *addr, const char *name, uint64_t now_ns)
{
	struct bh_pod p = pod(name ? name : "", "u1");
	struct bh_addr a = ip(addr);

	bh_history_bind(h, &a, name ? &p : NULL, now_ns);
}

static void an_address_belongs_to_whoever_had_it_at_that_time(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);

	(void)state;
	bind(h, "10.0.0.1", "a", 1000);
	bind(h, "10.0.0.1", "b", 1010);
	bind(h, "10.0.0.1", NULL, 1020);
	bind(h, "10.0.0.1", "c", 1030);
	assert_string_equal(who(h, "10.0.0.1", 999), "-");
	assert_string_equal(who(h, "10.0.0.1", 1000), "a");
	assert_string_equal(who(h, "10.0.0.1", 1009), "a");
	assert_string_equal(who(h, "10.0.0.1", 1010), "b");
	assert_string_equal(who(h, "10.0.0.1", 1019), "b");
	assert_string_equal(who(h, "10.0.0.1", 1020), "-");
	assert_string_equal(who(h, "10.0.0.1", 1030), "c");
	assert_string_equal(who(h, "10.0.0.1", UINT64_MAX - 1), "c");
	assert_string_equal(who(h, "10.0.0.2", 1010), "-");
	assert_int_equal(bh_history_count(h), 3);
}

static void an_identity_outlives_the_pod_it_was_told_of(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);
	char name[] = "web-1", uid[] = "u9", ns[] = "shop", key[] = "app", value[] = "web";
	const struct bh_label labels[] = { { key, value } };
	const struct bh_pod p = {
		.namespace = ns, .name = name, .uid = uid, .node = "", .labels = { labels, 1 }
	};
	const struct bh_identity *id;
	struct bh_addr a = ip("fd88::1");

	(void)state;
	bh_history_bind(h, &a, &p, 5);
	memset(name, 'X', 5);
	memset(uid, 'X', 2);
	memset(ns, 'X', 4);
	memset(key, 'X', 3);
	memset(value, 'X', 3);
	id = bh_history_at(h, &a, 5);
	assert_non_null(id);
	assert_string_equal(id->name, "web-1");
	assert_string_equal(id->uid, "u9");
	assert_string_equal(id->namespace, "shop");
	assert_string_equal(bh_labels_get(&id->labels, "app"), "web");
	assert_null(id->workload_kind);
	assert_int_equal(id->until_ns, UINT64_MAX);
}

static void the_same_pod_again_is_no_change(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);
	struct bh_addr a = ip("10.0.0.1");

	(void)state;
	bind(h, "10.0.0.1", "a", 1000);
	bind(h, "10.0.0.1", "a", 1050);
	assert_int_equal(bh_history_count(h), 1);
	assert_int_equal(bh_history_at(h, &a, 1060)->from_ns, 1000);
}

static void other_labels_or_another_uid_are_a_new_binding(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);
	static const struct bh_label other[] = { { "app", "quarantined" } };
	struct bh_addr a = ip("10.0.0.1");
	struct bh_pod p = pod("a", "u1");

	(void)state;
	bh_history_bind(h, &a, &p, 1000);
	p.labels = (struct bh_labels){ other, 1 };
	bh_history_bind(h, &a, &p, 1010);
	p.uid = "u2";
	bh_history_bind(h, &a, &p, 1020);
	assert_string_equal(bh_labels_get(&bh_history_at(h, &a, 1009)->labels, "app"), "web");
	assert_string_equal(bh_labels_get(&bh_history_at(h, &a, 1010)->labels, "app"),
			    "quarantined");
	assert_string_equal(bh_history_at(h, &a, 1019)->uid, "u1");
	assert_string_equal(bh_history_at(h, &a, 1020)->uid, "u2");
}

static void ended_bindings_are_forgotten_by_age(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);

	(void)state;
	bind(h, "10.0.0.1", "a", 1000);
	bind(h, "10.0.0.1", NULL, 1010);
	bind(h, "10.0.0.2", "b", 1110);
	assert_string_equal(who(h, "10.0.0.1", 1005), "a");
	bind(h, "10.0.0.3", "c", 1111);
	assert_string_equal(who(h, "10.0.0.1", 1005), "-");
	/* Those that last are never old. */
	bind(h, "10.0.0.3", NULL, 9999);
	assert_string_equal(who(h, "10.0.0.2", 9999), "b");
	assert_int_equal(bh_history_count(h), 2);
}

static void at_most_so_many_ended_bindings_are_kept_oldest_first_out(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(UINT64_MAX, 3);
	char name[8];

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		bind(h, i % 2 ? "10.0.0.1" : "10.0.0.2", name, 1000 + i);
	}
	/* p8 and p9 last; p5, p6, p7 are the ended ones that are left. */
	assert_int_equal(bh_history_count(h), 5);
	assert_string_equal(who(h, "10.0.0.2", 1005), "-");
	assert_string_equal(who(h, "10.0.0.1", 1005), "p5");
	assert_string_equal(who(h, "10.0.0.2", 1006), "p6");
	assert_string_equal(who(h, "10.0.0.1", 1007), "p7");
	assert_string_equal(who(h, "10.0.0.1", 1009), "p9");
}

static void a_clock_that_goes_back_loses_nobody(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);
	struct bh_addr a = ip("10.0.0.1");

	(void)state;
	bind(h, "10.0.0.1", "a", 1000);
	bind(h, "10.0.0.1", "b", 500);
	assert_string_equal(who(h, "10.0.0.1", 500), "b");
	assert_string_equal(who(h, "10.0.0.1", 2000), "b");
	assert_string_equal(bh_history_near(h, &a, 499, 10)->name, "b");
}

static void near_is_the_nearest_within_the_slack(void **state)
{
	static const struct {
		uint64_t at_ns, slack_ns;
		const char *want;
	} t[] = {
		{ 990, 5, NULL },  { 996, 5, "a" },  { 1005, 0, "a" },  { 1012, 5, "a" },
		{ 1010, 0, "a" }, /* its first moment without the address */
		{ 1026, 5, NULL }, { 1036, 5, "b" }, { 1024, 20, "a" }, { 1026, 20, "b" },
	};
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);
	struct bh_addr a = ip("10.0.0.1");

	(void)state;
	bind(h, "10.0.0.1", "a", 1000);
	bind(h, "10.0.0.1", NULL, 1010);
	bind(h, "10.0.0.1", "b", 1040);
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		const struct bh_identity *id = bh_history_near(h, &a, t[i].at_ns, t[i].slack_ns);

		if (!t[i].want)
			assert_null(id);
		else
			assert_string_equal(id ? id->name : "-", t[i].want);
	}
}

static void nobody_is_nobody_as_often_as_it_is_said(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);

	(void)state;
	bind(h, "10.0.0.1", NULL, 1);
	bind(h, "10.0.0.1", NULL, 2);
	assert_int_equal(bh_history_count(h), 0);
	bind(h, "10.0.0.1", "a", 3);
	bind(h, "10.0.0.1", NULL, 4);
	bind(h, "10.0.0.1", NULL, 5);
	assert_string_equal(who(h, "10.0.0.1", 4), "-");
	assert_int_equal(bh_history_count(h), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_belongs_to_whoever_had_it_at_that_time),
		cmocka_unit_test(an_identity_outlives_the_pod_it_was_told_of),
		cmocka_unit_test(the_same_pod_again_is_no_change),
		cmocka_unit_test(other_labels_or_another_uid_are_a_new_binding),
		cmocka_unit_test(ended_bindings_are_forgotten_by_age),
		cmocka_unit_test(at_most_so_many_ended_bindings_are_kept_oldest_first_out),
		cmocka_unit_test(a_clock_that_goes_back_loses_nobody),
		cmocka_unit_test(near_is_the_nearest_within_the_slack),
		cmocka_unit_test(nobody_is_nobody_as_often_as_it_is_said),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
