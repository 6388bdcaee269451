/*
 * Random worlds: what lint says changes nothing can go, all at once, and no
 * connection comes out otherwise; what makes a difference is not reported.
 */
#include "test.h"

#include <stdlib.h>

#include "lintgen.h"

static void note_found(struct lintgen *r, const struct bh_lint *l)
{
	const struct bh_finding *f;
	size_t n = bh_lint_findings(l, &f), i;

	for (i = 0; i < n; i++) {
		bool is_whole;

		if (!lintgen_is_about_policy(&f[i]))
			continue;
		is_whole = lintgen_found_of(r, &f[i]).is_whole;
		r->n_found += !is_whole;
		r->n_whole += is_whole;
	}
}

static void check_found(struct lintgen *r, const struct bh_lint *l)
{
	lintgen_add_pods(r);
	lintgen_add_addrs(r);
	lintgen_remove_all(r, l, false);
	lintgen_is_same(r, false, true);
	lintgen_add_to_come(r);
	lintgen_remove_all(r, l, true);
	lintgen_is_same(r, true, true);
}

static void what_changes_nothing_can_go(void **state)
{
	struct gen_seeds seeds = gen_seeds(40, 1, 30);
	struct lintgen r = { 0 };
	uint64_t seed;
	int i;

	(void)state;
	for (seed = seeds.first; seed <= seeds.last; seed++)
		for (i = 0; i < seeds.rounds; i++) {
			bh_auto(bh_lint_free) struct bh_lint *l = NULL;

			lintgen_init(&r, seed, 8 * (uint32_t)i, LINTGEN_OTHER_TWIN);
			l = lintgen_lint(&r);
			note_found(&r, l);
			check_found(&r, l);
			lintgen_done(&r);
		}
	assert_true((r.n_found > 10 && r.n_whole > 5) || getenv("BH_SEED"));
}

/* Nothing is said of a selector that contradicts itself, nor where there are no pods. */
static bool selects_somebody(struct lintgen *r, const struct bh_policy *p)
{
	const struct bh_pod *const *pods;
	size_t i;

	if (bh_world_pods(r->now.gen.w, &pods) == 0)
		return false;
	for (i = 0; i < SIMGEN_LABEL_SETS; i++) {
		struct bh_labels labels = simgen_labels(&r->now.gen, i);

		if (bh_selector_matches(&p->pods, &labels))
			return true;
	}
	return false;
}

static const struct bh_policy *twin_in(const struct lintgen *r)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(r->now.gen.w, &policies), i;

	for (i = 0; i < n; i++)
		if (strcmp(policies[i]->name, LINTGEN_TWIN) == 0)
			return policies[i];
	return NULL;
}

static void of_two_that_are_the_same_one_is_found(void **state)
{
	struct gen_seeds seeds = gen_seeds(10, 1, 20);
	struct lintgen r = { 0 };
	size_t n = 0;
	uint64_t seed;
	int i;

	(void)state;
	for (seed = seeds.first; seed <= seeds.last; seed++)
		for (i = 0; i < seeds.rounds; i++) {
			bh_auto(bh_lint_free) struct bh_lint *l = NULL;
			bool has_twin = lintgen_init(&r, seed, 8 * (uint32_t)i, LINTGEN_SAME_TWIN);

			l = lintgen_lint(&r);
			if (has_twin && lintgen_is_finished(l) &&
			    selects_somebody(&r, twin_in(&r))) {
				if (!lintgen_is_found(&r, l, LINTGEN_TWIN, BH_INGRESS, SIZE_MAX))
					fail_msg("seed %llu: the twin is not found",
						 (unsigned long long)seed);
				n++;
			}
			lintgen_done(&r);
		}
	assert_true(n > 5 || getenv("BH_SEED"));
}

/* Without tiers, where a rule that matters by itself matters whatever else goes. */
static void a_rule_that_makes_a_difference_is_not_found(void **state)
{
	struct gen_seeds seeds = gen_seeds(16, 1, 20);
	struct lintgen r = { 0 };
	size_t n = 0;
	uint64_t seed;
	int i;

	(void)state;
	for (seed = seeds.first; seed <= seeds.last; seed++)
		for (i = 0; i < seeds.rounds; i++) {
			bh_auto(bh_lint_free) struct bh_lint *l = NULL;
			bool is_gone[BH_DIR_COUNT_][LINTGEN_TWIN_RULES] = { 0 };
			size_t last;

			if (!lintgen_init(&r, 2 * seed, 8 * (uint32_t)i, LINTGEN_OTHER_TWIN)) {
				lintgen_done(&r);
				continue;
			}
			lintgen_add_pods(&r);
			lintgen_add_addrs(&r);
			last = twin_in(&r)->rules[BH_INGRESS].n - 1;
			is_gone[BH_INGRESS][last] = true;
			lintgen_keep_rules(&r, twin_in(&r), is_gone);
			l = lintgen_lint(&r);
			if (!lintgen_is_same(&r, false, false)) {
				assert_false(
					lintgen_is_found(&r, l, LINTGEN_TWIN, BH_INGRESS, last));
				n++;
			}
			lintgen_done(&r);
		}
	assert_true(n > 5 || getenv("BH_SEED"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_nothing_can_go),
		cmocka_unit_test(of_two_that_are_the_same_one_is_found),
		cmocka_unit_test(a_rule_that_makes_a_difference_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
