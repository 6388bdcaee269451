#include "test.h"

#include <stdio.h>

#include "../../src/flow/budget.h"
#include "bh/alloc.h"
#include "bh/clock.h"

#define RATE 100000u
#define T0   (1000 * BH_NS_PER_S)

struct writer {
	const char *name;
	size_t record, per_s; /* bytes a record, records a second */
	size_t n_asked, n_taken;
};

/* All of them, each evenly over the time. */
static void run(struct flow_budget *b, struct writer *writers, size_t n, uint64_t from_s,
		uint64_t until_s)
{
	for (uint64_t ms = from_s * 1000; ms < until_s * 1000; ms++) {
		for (size_t i = 0; i < n; i++) {
			struct writer *w = &writers[i];
			size_t due = (size_t)(ms * w->per_s / 1000) -
				     (ms ? (size_t)((ms - 1) * w->per_s / 1000) : 0);

			for (; due > 0; due--) {
				w->n_asked++;
				w->n_taken += flow_budget_take(b, w->name, w->record,
							       T0 + ms * BH_NS_PER_MS);
			}
		}
	}
}

static size_t bytes(const struct writer *w)
{
	return w->n_taken * w->record;
}

static void one_alone_has_all_of_the_rate(void **state)
{
	bh_auto(flow_budget_free) struct flow_budget *b = flow_budget_new(RATE);
	struct writer w = { "evil", 1000, 10000, 0, 0 };

	(void)state;
	run(b, &w, 1, 0, 10);
	/* The bursts of the share and of all, and 10 s. */
	assert_in_range(bytes(&w), 15 * RATE, 18 * RATE);
}

static void a_flood_leaves_out_nothing_of_others(void **state)
{
	bh_auto(flow_budget_free) struct flow_budget *b = flow_budget_new(RATE);
	struct writer w[] = {
		{ "evil", 3000, 5000, 0, 0 },
		{ "shop", 800, 40, 0, 0 }, /* 32 % of the rate, less than its third */
		{ "", 500, 1, 0, 0 },
	};

	(void)state;
	run(b, w, 3, 0, 60);
	for (size_t i = 1; i < BH_ARRAY_LEN(w); i++)
		assert_int_equal(w[i].n_taken, w[i].n_asked);
	/* What the others leave is for the flood, and no more than that. */
	assert_in_range(bytes(&w[0]) + bytes(&w[1]) + bytes(&w[2]), 60 * RATE * 8 / 10,
			60 * RATE + 24 * RATE);
}

/* The worst moment: everything is used up by one when another comes. */
static void who_comes_late_has_a_share_at_once(void **state)
{
	bh_auto(flow_budget_free) struct flow_budget *b = flow_budget_new(RATE);
	struct writer w[] = { { "evil", 3000, 5000, 0, 0 }, { "shop", 800, 50, 0, 0 } };

	(void)state;
	run(b, w, 1, 0, 30);
	run(b, w, 2, 30, 60);
	assert_int_equal(w[1].n_taken, w[1].n_asked);
}

static void two_floods_share_evenly(void **state)
{
	bh_auto(flow_budget_free) struct flow_budget *b = flow_budget_new(RATE);
	struct writer w[] = { { "a", 1000, 5000, 0, 0 }, { "b", 1000, 1000, 0, 0 } };

	(void)state;
	run(b, w, 2, 0, 60);
	assert_in_range(bytes(&w[1]), bytes(&w[0]) * 6 / 10, bytes(&w[0]) * 14 / 10);
}

static void names_without_number_take_no_memory_without_bound(void **state)
{
	bh_auto(flow_budget_free) struct flow_budget *b = flow_budget_new(RATE);

	(void)state;
	for (unsigned int i = 0; i < 5000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ns%u", i);
		flow_budget_take(b, name, 100, T0 + i);
	}
	assert_in_range(flow_budget_shares(b), 1024, 1025);
	flow_budget_take(b, "later", 100, T0 + 60 * BH_NS_PER_S);
	assert_int_equal(flow_budget_shares(b), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alone_has_all_of_the_rate),
		cmocka_unit_test(a_flood_leaves_out_nothing_of_others),
		cmocka_unit_test(who_comes_late_has_a_share_at_once),
		cmocka_unit_test(two_floods_share_evenly),
		cmocka_unit_test(names_without_number_take_no_memory_without_bound),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
