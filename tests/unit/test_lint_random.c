/*
 * Random worlds: what lint says changes nothing can go, all at once, and no
 * connection comes out otherwise; what makes a difference is not reported.
 */
#include "test.h"

#include <stdlib.h>

#include "lintgen.h"

static struct bh_lint *lint(const struct lintgen *r)
{
	static const char *const check = "redundant";
	const struct bh_lint_config config = { .only = &check, .n_only = 1 };
	struct bh_lint *l = NULL;

	assert_ok(bh_lint_new(&l, r->now.sim, &config, NULL), NULL);
	return l;
}

static bool is_finished(const struct bh_lint *l)
{
	const struct bh_finding *f;
	size_t n = bh_lint_findings(l, &f), i;

	for (i = 0; i < n; i++)
		if (!lintgen_is_about_policy(&f[i]))
			return false;
	return true;
}

static bool is_found(const struct lintgen *r, const struct bh_lint *l, const char *policy,
		     enum bh_dir dir, size_t rule)
{
	const struct bh_finding *f;
	size_t n = bh_lint_findings(l, &f), i;

	for (i = 0; i < n; i++) {
		struct lintgen_found found = { 0 };

		if (!lintgen_is_about_policy(&f[i]))
			continue;
		found = lintgen_found_of(r, &f[i]);
		if (strcmp(found.policy->name, policy) == 0 &&
		    (found.is_whole || (found.dir == dir && found.rule == rule)))
			return true;
	}
	return false;
}

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

static bool has_for_all(const struct lintgen *r, const struct bh_lint *l)
{
	const struct bh_finding *f;
	size_t n = bh_lint_findings(l, &f), i;

	for (i = 0; i < n; i++)
		if (lintgen_is_about_policy(&f[i]) && lintgen_found_of(r, &f[i]).is_for_all)
			return true;
	return false;
}

static void check_found(struct lintgen *r, const struct bh_lint *l)
{
	lintgen_add_pods(r);
	lintgen_add_addrs(r);
	lintgen_remove_all(r, l, false);
	lintgen_is_same(r, false, true);
	if (!has_for_all(r, l))
		return;
	lintgen_add_to_come(r);
	lintgen_remove_all(r, l, true);
	lintgen_is_same(r, true, true);
}

static void what_changes_nothing_can_go(void **state)
{
	static const enum twin twins[] = { TWIN_WIDER, TWIN_OPEN, TWIN_AMONG };
	struct gen_seeds seeds = gen_seeds(84, 1, 30);
	struct lintgen r = { 0 };
	uint64_t seed;
	int i;

	(void)state;
	for (seed = seeds.first; seed <= seeds.last; seed++)
		for (i = 0; i < seeds.rounds; i++) {
			bh_auto(bh_lint_free) struct bh_lint *l = NULL;

			lintgen_init(&r, seed, 8 * (uint32_t)i, twins[seed / 2 % 3]);
			l = lint(&r);
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
		if (strcmp(policies[i]->name, TWIN_NAME) == 0)
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
			bool has_twin = lintgen_init(&r, seed, 8 * (uint32_t)i, TWIN_SAME);

			l = lint(&r);
			if (has_twin && is_finished(l) && selects_somebody(&r, twin_in(&r))) {
				if (!is_found(&r, l, TWIN_NAME, BH_INGRESS, SIZE_MAX))
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
			bool is_gone[BH_DIR_COUNT_][TWIN_MAX_RULES] = { 0 };
			size_t last;

			if (!lintgen_init(&r, 2 * seed, 8 * (uint32_t)i, TWIN_WIDER)) {
				lintgen_done(&r);
				continue;
			}
			lintgen_add_pods(&r);
			lintgen_add_addrs(&r);
			last = twin_in(&r)->rules[BH_INGRESS].n - 1;
			is_gone[BH_INGRESS][last] = true;
			lintgen_keep_rules(&r, twin_in(&r), is_gone);
			l = lint(&r);
			if (!lintgen_is_same(&r, false, false)) {
				assert_false(is_found(&r, l, TWIN_NAME, BH_INGRESS, last));
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
