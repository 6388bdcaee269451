/*
 * The walk through all policies, and what each says by itself.
 */
#include "test.h"

#include "bh/object.h"
#include "world_text.h"
#include "worldgen.h"

static char *explain(const char *text, uint16_t port)
{
	struct bh_world *w = bh_world_new(&(struct bh_world_config){ 0 });
	struct bh_flow f = { .protocol = IPPROTO_TCP, .dst_port = port }, shown;
	struct bh_result result;
	struct bh_buf b = { 0 };

	world_text(w, BH_SOURCE_MANIFEST,
		   "pod shop/web 10.0.0.1 label=app:web\npod shop/db 10.0.0.2\n");
	world_text(w, BH_SOURCE_MANIFEST, text);
	f.src = wt_addr("10.0.0.1");
	f.dst = wt_addr("10.0.0.2");
	shown = f;
	shown.src = shown.dst = (struct bh_addr){ 0 };
	bh_eval(w, &f, &result);
	bh_result_explain(w, &f, &shown, &result, &b);
	bh_world_free(&w);
	return bh_buf_take(&b);
}

static void policies_are_told_in_the_order_in_which_they_are_asked(void **state)
{
	static const struct {
		const char *policies, *want;
	} t[] = {
		{ "", "allowed: pod shop/web to pod shop/db, TCP 80\n"
		      "egress: allowed, no policy isolates pod shop/web\n"
		      "ingress: allowed, no policy isolates pod shop/db\n" },
		{ "cluster a tier=admin prio=1 ns=* pods=*\nin deny port=TCP:80\n"
		  "cluster b tier=admin prio=2 ns=* pods=*\nin allow\n"
		  "policy shop/p pods=* types=ingress\nin allow\n",
		  "ingress: denied by ClusterNetworkPolicy a ingress rule 0\n"
		  "  ClusterNetworkPolicy a, tier Admin, priority 1: rule 0 denies it\n"
		  "  ClusterNetworkPolicy b, tier Admin, priority 2, not asked any more: rule 0 "
		  "allows "
		  "it\n"
		  "  NetworkPolicy shop/p, not asked any more: rule 0 allows it\n" },
		{ "cluster a tier=admin prio=1 ns=* pods=*\nin pass\n"
		  "cluster b tier=admin prio=2 ns=* pods=*\nin deny\n"
		  "policy shop/p pods=* types=ingress\nin allow port=TCP:81\n"
		  "cluster c tier=baseline prio=1 ns=* pods=*\nin allow\n",
		  "  ClusterNetworkPolicy a, tier Admin, priority 1: rule 0 passes it on to the "
		  "next "
		  "tier\n"
		  "  ClusterNetworkPolicy b, tier Admin, priority 2, not asked any more: rule 0 "
		  "denies "
		  "it\n"
		  "  NetworkPolicy shop/p: isolates it, no rule matches\n"
		  "    nearest: rule 0, but it allows another port\n"
		  "  ClusterNetworkPolicy c, tier Baseline, priority 1, not asked any more: rule 0 "
		  "allows it\n" },
		{ "policy shop/p pods=* types=ingress audit\n"
		  "cluster c tier=baseline prio=1 ns=* pods=*\nin deny port=TCP:80\n",
		  "  NetworkPolicy shop/p, in audit: isolates it and has no rules\n"
		  "  ClusterNetworkPolicy c, tier Baseline, priority 1: rule 0 denies it\n" },
		{ "policy shop/p pods=* types=ingress invalid\nin allow\n",
		  "  NetworkPolicy shop/p: is not valid, isolates it and allows nothing: spec: no "
		  "good\n" },
		{ "policy shop/p pods=app=web types=ingress\n",
		  "ingress: allowed, no policy isolates pod shop/db\n"
		  "  do not select it: NetworkPolicy shop/p\n" },
		{ "policy shop/p pods=* types=egress\neg allow\n",
		  "ingress: allowed, no policy isolates pod shop/db\n"
		  "  select it, but not for ingress: NetworkPolicy shop/p\n" },
		{ "policy shop/a pods=+x\npolicy shop/b pods=+x\npolicy shop/c pods=+x\n"
		  "policy shop/d pods=+x\npolicy shop/e pods=+x\npolicy shop/f pods=+x\n"
		  "policy shop/g pods=+x\npolicy shop/h pods=+x\n",
		  "NetworkPolicy shop/f and 2 more\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text = explain(t[i].policies, 80);

		assert_contains(text, t[i].want);
	}
}

/* --- in random worlds ------------------------------------------------------------------ */

static void check_dir(const struct bh_world *w, const struct bh_flow *f, const struct bh_result *r,
		      enum bh_dir dir, size_t *n_rules)
{
	const struct bh_dir_verdict *v = &r->dir[dir];
	json_t *walk = bh_dir_explain_json(w, f, r, dir), *step;
	const struct bh_policy *const *policies;
	struct bh_policy_word word;
	size_t i, n_asked = 0;

	if (v->reason != BH_REASON_RULE) {
		json_decref(walk);
		return;
	}
	bh_eval_policy(w, f, dir, v->rule.policy, &word);
	assert_true(word.is_about && word.matches);
	assert_int_equal(word.rule_index, v->rule.rule_index);
	bh_world_policies_of(w, (dir == BH_INGRESS ? r->dst.pod : r->src.pod)->namespace,
			     &policies);
	json_array_foreach(walk, i, step)
	{
		bool is_asked = json_is_true(json_object_get(step, "asked"));

		n_asked += is_asked;
		if (policies[i] == v->rule.policy)
			assert_true(is_asked);
		/* Nothing is asked in a later tier than the one that decides. */
		if (policies[i]->tier > v->rule.policy->tier && !policies[i]->invalid)
			assert_false(is_asked);
	}
	assert_true(n_asked > 0);
	json_decref(walk);
	++*n_rules;
}

static void what_decides_is_asked_and_says_so_by_itself(void **state)
{
	size_t n_rules = 0, i, k;
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 200; seed++) {
		const struct bh_pod *const *pods;
		struct gen g;
		size_t n;

		gen_init(&g, seed);
		gen_fill(&g);
		n = bh_world_pods(g.w, &pods);
		for (i = 0; i < n; i++) {
			for (k = 0; k < n; k++) {
				struct bh_flow f = { .src_pod = pods[i],
						     .dst_pod = pods[k],
						     .protocol = IPPROTO_TCP,
						     .dst_port = 80 };
				struct bh_result r;

				bh_eval(g.w, &f, &r);
				check_dir(g.w, &f, &r, BH_INGRESS, &n_rules);
				check_dir(g.w, &f, &r, BH_EGRESS, &n_rules);
			}
		}
		gen_done(&g);
	}
	assert_true(n_rules > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_are_told_in_the_order_in_which_they_are_asked),
		cmocka_unit_test(what_decides_is_asked_and_says_so_by_itself),
	};

	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
