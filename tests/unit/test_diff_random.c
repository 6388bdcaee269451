/*
 * Random pairs of worlds: the diff lists what the evaluator judges otherwise in
 * the one than in the other, and nothing else.
 */
#include "test.h"

#include <stdio.h>

#include "duel.h"

/* --- what the diff says ---------------------------------------------------------------------- */

/* "10.0.0.0-10.0.0.255[External]" */
static bool parse_range(const char *label, struct bh_range *ret)
{
	char text[128], *dash, *bracket;

	snprintf(text, sizeof(text), "%s", label);
	dash = strchr(text, '-');
	bracket = strstr(text, "[External]");
	if (!dash || !bracket)
		return false;
	*dash = *bracket = '\0';
	assert_ok(bh_addr_parse(text, &ret->first, NULL), NULL);
	assert_ok(bh_addr_parse(dash + 1, &ret->last, NULL), NULL);
	return true;
}

static bool label_is(const char *label, const struct duel_end *e)
{
	struct bh_range r;

	if (e->label)
		return strcmp(label, e->label) == 0;
	return parse_range(label, &r) && bh_addr_cmp(&r.first, &e->addr) <= 0 &&
	       bh_addr_cmp(&e->addr, &r.last) <= 0;
}

/* Names first: most are others. */
static bool is_about_both(const struct bh_graph_change *c, const struct duel_end *src,
			  const struct duel_end *dst)
{
	return src->label ? label_is(c->src, src) && label_is(c->dst, dst)
			  : label_is(c->dst, dst) && label_is(c->src, src);
}

/* The one about the two, NULL if there is none. */
static const struct bh_graph_change *find_change(const struct bh_graph_diff *diff,
						 const struct duel_end *src,
						 const struct duel_end *dst)
{
	const struct bh_graph_change *c, *found = NULL;
	size_t n = bh_graph_diff_changes(diff, &c), i;

	for (i = 0; i < n; i++)
		if (is_about_both(&c[i], src, dst)) {
			assert_null(found);
			found = &c[i];
		}
	return found;
}

static struct duel_word word_of(const struct duel *d, const struct bh_graph_change *c,
				bool is_after)
{
	const struct bh_conns *const *only = is_after ? c->only_after : c->only_before;

	return (struct duel_word){
		.allowed = simgen_bits(&d->conns, is_after ? c->after : c->before),
		.audited = simgen_bits(&d->conns, is_after ? c->audited_after : c->audited_before),
		.only = { simgen_bits(&d->conns, only[0]), simgen_bits(&d->conns, only[1]) },
	};
}

static enum bh_change_kind kind_of(const struct duel_word *before, const struct duel_word *after)
{
	if (before->allowed == after->allowed &&
	    memcmp(before->only, after->only, sizeof(before->only)) == 0)
		return BH_CHANGE_AUDITED;
	if (!before->allowed)
		return BH_CHANGE_ADDED;
	return after->allowed ? BH_CHANGE_CHANGED : BH_CHANGE_REMOVED;
}

static void fail_pair(const struct duel *d, const struct duel_end *src, const struct duel_end *dst,
		      const char *what)
{
	char text[2][BH_ADDR_STRLEN];

	fail_msg("seed %llu: %s => %s: %s", (unsigned long long)d->seed,
		 src->label ? src->label : bh_addr_format(&src->addr, text[0]),
		 dst->label ? dst->label : bh_addr_format(&dst->addr, text[1]), what);
}

static void check_change(const struct duel *d, const struct bh_graph_change *c,
			 const struct duel_end *src, const struct duel_end *dst,
			 const struct duel_word words[2])
{
	struct duel_word before = word_of(d, c, false), after = word_of(d, c, true);

	if (memcmp(&before, &words[0], sizeof(before)) != 0)
		fail_pair(d, src, dst, "was something else before");
	if (memcmp(&after, &words[1], sizeof(after)) != 0)
		fail_pair(d, src, dst, "is something else now");
	if (d->conns.is_all && memcmp(&before, &after, sizeof(before)) == 0)
		fail_pair(d, src, dst, "is listed, and the same as before");
	if (d->conns.is_all && c->kind != kind_of(&before, &after))
		fail_pair(d, src, dst, "changed in another way");
	if (c->is_src_new != (src->label && !src->peers[0]) ||
	    c->is_src_gone != (src->label && !src->peers[1]) ||
	    c->is_dst_new != (dst->label && !dst->peers[0]) ||
	    c->is_dst_gone != (dst->label && !dst->peers[1]))
		fail_pair(d, src, dst, "new or gone ends are not told");
	assert_true(c->n_because > 0);
}

static void check_mirror(const struct duel *d, const struct bh_graph_change *c,
			 const struct bh_graph_change *back, const struct duel_end *src,
			 const struct duel_end *dst)
{
	static const enum bh_change_kind mirror[] = { [BH_CHANGE_ADDED] = BH_CHANGE_REMOVED,
						      [BH_CHANGE_REMOVED] = BH_CHANGE_ADDED,
						      [BH_CHANGE_CHANGED] = BH_CHANGE_CHANGED,
						      [BH_CHANGE_AUDITED] = BH_CHANGE_AUDITED };
	struct duel_word was, is, was_back, is_back;

	if (!c != !back)
		fail_pair(d, src, dst, "is listed in one direction only");
	if (!c)
		return;
	was = word_of(d, c, false);
	is = word_of(d, c, true);
	was_back = word_of(d, back, false);
	is_back = word_of(d, back, true);
	if (back->kind != mirror[c->kind] || memcmp(&was, &is_back, sizeof(was)) != 0 ||
	    memcmp(&is, &was_back, sizeof(is)) != 0)
		fail_pair(d, src, dst, "is something else on the way back");
}

static void check_pair(struct duel *d, bool *is_seen, const struct duel_end *src,
		       const struct duel_end *dst)
{
	const struct bh_graph_change *c = find_change(d->diff, src, dst), *all;
	struct duel_word words[2] = { duel_ask_ends(d, 0, src, dst),
				      duel_ask_ends(d, 1, src, dst) };

	bh_graph_diff_changes(d->diff, &all);
	if (c)
		is_seen[c - all] = true;
	if (c)
		check_change(d, c, src, dst, words);
	else if (memcmp(&words[0], &words[1], sizeof(words[0])) != 0)
		fail_pair(d, src, dst, "changed, and is not listed");
	check_mirror(d, c, find_change(d->back, src, dst), src, dst);
}

/* --- the whole of it -------------------------------------------------------------------------- */

static bool has_free(const struct duel *d, const char *label)
{
	struct bh_range r;
	int i;

	if (!parse_range(label, &r))
		return true;
	for (i = 0; i < 16 && !duel_is_outside(d, &r.first); i++)
		if (bh_addr_eq(&r.first, &r.last) || !bh_addr_next(&r.first))
			return false;
	return true;
}

/* Only of ranges of which some world has every address inside nothing can be asked. */
static void check_all_seen(const struct duel *d, const bool *is_seen)
{
	const struct bh_graph_change *c;
	size_t n = bh_graph_diff_changes(d->diff, &c), i;

	for (i = 0; i < n; i++)
		if (!is_seen[i] && has_free(d, c[i].src) && has_free(d, c[i].dst))
			fail_msg("seed %llu: %s => %s is listed, and is no pair",
				 (unsigned long long)d->seed, c[i].src, c[i].dst);
}

static bool has_workload(const struct duel *d, size_t side, const char *label)
{
	size_t i;

	for (i = 0; i < d->n_ends; i++) {
		const struct duel_end *e = &d->ends[i];
		bh_auto(bh_buf_done) struct bh_buf own = { 0 };

		if (!e->peers[side] || e->peers[side]->kind != BH_GRAPH_WORKLOAD)
			continue;
		bh_sim_workload_label(e->peers[side]->workload, &own);
		if (strcmp(bh_buf_str(&own), label) == 0)
			return true;
	}
	return false;
}

static bool is_listed(const struct duel *d, size_t side, const char *label)
{
	const char *const *names;
	size_t n = bh_graph_diff_workloads(d->diff, side, &names), i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], label) == 0)
			return true;
	return false;
}

/* Those of one world only are listed as gone or new. */
static void check_workloads(const struct duel *d)
{
	const struct bh_sim_workload *workloads;
	size_t side, i;

	for (side = 0; side < 2; side++)
		for (i = bh_sim_workloads(d->sides[side].gen.sim, &workloads); i-- > 0;) {
			bh_auto(bh_buf_done) struct bh_buf label = { 0 };

			bh_sim_workload_label(&workloads[i], &label);
			assert_int_equal(is_listed(d, side, bh_buf_str(&label)),
					 !has_workload(d, !side, bh_buf_str(&label)));
		}
}

static size_t check_duel(struct duel *d)
{
	const struct bh_graph_change *c;
	size_t n = bh_graph_diff_changes(d->diff, &c), i, k;
	bh_auto_free bool *is_seen = bh_calloc(n + 1, sizeof(*is_seen));

	for (i = 0; i < d->n_ends; i++)
		for (k = 0; k < d->n_ends; k++)
			if (d->ends[i].label || d->ends[k].label)
				check_pair(d, is_seen, &d->ends[i], &d->ends[k]);
	check_all_seen(d, is_seen);
	check_workloads(d);
	return n;
}

static void what_is_judged_otherwise_is_listed_and_nothing_else(void **state)
{
	struct gen_seeds seeds = gen_seeds(60, 1, 40);
	size_t n_changes = 0;
	uint64_t seed;
	int i;

	(void)state;
	for (seed = seeds.first; seed <= seeds.last; seed++)
		for (i = 0; i < seeds.rounds; i++) {
			struct duel d;

			duel_init(&d, seed, 8 * (uint32_t)i, 1 + (uint32_t)(seed % 6));
			n_changes += check_duel(&d);
			duel_done(&d);
		}
	assert_true(n_changes > 100 || getenv("BH_SEED"));
}

static void a_world_is_what_it_is(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 20; seed++) {
		const struct bh_graph_change *c;
		struct duel d;

		duel_init(&d, seed, (uint32_t)seed, 0);
		assert_int_equal(bh_graph_diff_changes(d.diff, &c), 0);
		duel_done(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_judged_otherwise_is_listed_and_nothing_else),
		cmocka_unit_test(a_world_is_what_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
