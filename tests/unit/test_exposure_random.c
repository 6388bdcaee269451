/*
 * Random worlds: what exposure says of pods to come is what the evaluator says
 * of every pod that there could be, once it is there.
 */
#include "test.h"

#include <stdio.h>

#include "bh/selector.h"
#include "simgen.h"

#define N_PODS (SIMGEN_SPACES * SIMGEN_LABEL_SETS)

struct run {
	uint64_t seed;
	struct simgen now, then; /* the same, and with all pods that there could be */
	struct simgen_conns conns;
	const struct bh_pod *pods[N_PODS];
	const struct bh_pod *pod; /* what is looked at, in then */
	const struct bh_exposure *e;
};

/* --- the world to come ------------------------------------------------------------------ */

static void add_pods(struct run *r)
{
	struct gen *g = &r->then.gen;
	size_t i;

	for (i = 0; i < N_PODS; i++)
		simgen_add_pod(g, i / SIMGEN_LABEL_SETS, i % SIMGEN_LABEL_SETS);
	bh_world_settle(g->w);
	for (i = 0; i < N_PODS; i++)
		r->pods[i] = simgen_pod(g, i / SIMGEN_LABEL_SETS, i % SIMGEN_LABEL_SETS);
}

static void run_init(struct run *r, uint64_t seed, uint32_t n_steps)
{
	struct simgen_cuts cuts = { .n = 0 };

	*r = (struct run){ .seed = seed };
	simgen_init(&r->now, seed);
	simgen_fill(&r->now, n_steps);
	bh_sim_finish(r->now.sim);
	simgen_init(&r->then, seed);
	simgen_fill(&r->then, n_steps);
	bh_sim_finish(r->then.sim);
	simgen_add_spaces(&r->then.gen);
	add_pods(r);
	simgen_cut_world(&cuts, r->now.gen.w);
	r->conns = simgen_pick_conns(&cuts, &r->now.gen);
}

static void run_done(struct run *r)
{
	simgen_done(&r->now);
	simgen_done(&r->then);
}

/* --- the evaluator ------------------------------------------------------------------------ */

static struct bh_addr own_addr(const struct run *r, enum bh_family family)
{
	size_t i;

	for (i = 0; i < r->pod->n_addrs; i++)
		if (r->pod->addrs[i].family == family)
			return r->pod->addrs[i];
	return (struct bh_addr){ .family = (uint8_t)family };
}

/* Which of @among are allowed with that other end; @pod may be NULL. */
static uint64_t ask(const struct run *r, const struct bh_pod *pod, const struct bh_addr *addr,
		    uint64_t among)
{
	const struct bh_addr own = own_addr(r, (enum bh_family)addr->family);
	struct bh_flow f = { .src = *addr, .dst = own, .src_pod = pod, .dst_pod = r->pod };

	if (r->e->dir == BH_EGRESS)
		f = (struct bh_flow){ own, *addr, 0, 0, r->pod, pod };
	return simgen_ask_dir(r->then.gen.w, f, r->e->dir, &r->conns, among);
}

static uint64_t ask_pod(const struct run *r, const struct bh_pod *pod, uint64_t among)
{
	static const struct bh_addr nothing;

	return ask(r, pod, &nothing, among);
}

static void fail_about(const struct run *r, const char *whom, const char *what, uint64_t bits)
{
	fail_msg("seed %llu: %s/%s %s, %s: %s %s", (unsigned long long)r->seed, r->pod->namespace,
		 r->pod->name, bh_dir_str(r->e->dir), whom, simgen_conn_text(&r->conns, bits),
		 what);
}

static void check_same(const struct run *r, const char *whom, uint64_t said, uint64_t is)
{
	if (said & ~is)
		fail_about(r, whom, "is said to be open", said & ~is);
	if (is & ~said)
		fail_about(r, whom, "is open, and nobody says so", is & ~said);
}

/* --- everybody ------------------------------------------------------------------------------ */

static void check_cluster(const struct run *r)
{
	uint64_t said = simgen_bits(&r->conns, r->e->cluster), all = simgen_all_bits(&r->conns);
	size_t i;

	for (i = 0; i < N_PODS && all; i++) {
		all &= ask_pod(r, r->pods[i], all);
		if (said & ~all)
			fail_about(r, r->pods[i]->name, "is said to be open to everybody",
				   said & ~all);
	}
	check_same(r, "cluster", said, all);
}

/* No policy names them, but for everything there is. */
static void check_internet(const struct run *r)
{
	const struct bh_addr publics[] = {
		{ .family = BH_IPV4, .bytes = { 44, 1, 2, 3 } },
		{ .family = BH_IPV4, .bytes = { 200, 3, 2, 1 } },
		{ .family = BH_IPV6, .bytes = { 0x24, 0x10, [15] = 1 } },
	};
	uint64_t all = 0;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(publics); i++)
		all |= ask(r, NULL, &publics[i], simgen_all_bits(&r->conns));
	check_same(r, "internet", simgen_bits(&r->conns, r->e->internet), all);
}

/* Some policy that is enforced has a say. */
static void check_protected(const struct run *r)
{
	const struct bh_world *w = r->then.gen.w;
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies_of(w, r->pod->namespace, &policies), i;
	bool is_protected = bh_pod_is_closed(r->pod) && bh_world_mode(w) == BH_ENFORCE;

	for (i = 0; i < n; i++)
		is_protected |= bh_policy_speaks(policies[i], r->e->dir) &&
				bh_world_policy_mode(w, policies[i]) == BH_ENFORCE &&
				bh_world_selects(w, policies[i], r->pod);
	if (r->e->is_protected != is_protected)
		fail_about(r, "protection", is_protected ? "is not told" : "is not there", 0);
	assert_int_equal(r->e->is_host_network, r->pod->is_host_network);
}

/* --- whom rules select ------------------------------------------------------------------ */

static const struct bh_exposure_peer *find_peer(const struct run *r, const char *label)
{
	size_t i;

	for (i = 0; i < r->e->n_peers; i++)
		if (strcmp(r->e->peers[i].label, label) == 0)
			return &r->e->peers[i];
	return NULL;
}

static void pods_label(const struct bh_policy *p, const struct bh_peer *peer, struct bh_buf *out)
{
	bh_buf_puts(out, peer->pods.n_reqs ? "pods with " : "all pods");
	if (peer->pods.n_reqs)
		bh_selector_describe(&peer->pods, out);
	if (!peer->has_namespaces)
		bh_buf_printf(out, " in namespace %s", p->namespace);
	else if (!peer->namespaces.n_reqs)
		bh_buf_puts(out, " in all namespaces");
	else
		bh_buf_puts(out, " in namespaces with ");
	if (peer->has_namespaces && peer->namespaces.n_reqs)
		bh_selector_describe(&peer->namespaces, out);
}

/* What everybody may has no line of its own. */
static void check_more(const struct run *r, const struct bh_exposure_peer *listed,
		       const struct bh_conns *anyway)
{
	uint64_t more;

	if (!listed || !r->conns.is_all)
		return;
	more = simgen_bits(&r->conns, listed->conns) & ~simgen_bits(&r->conns, anyway);
	if (!more)
		fail_about(r, listed->label, "is no more than what everybody may", 0);
}

/* Just the labels without which @sel does not match. */
static bool has_just(const struct bh_labels *labels, const struct bh_selector *sel)
{
	size_t i, k;

	for (i = 0; i < labels->n; i++) {
		bool is_needed = false;

		for (k = 0; k < sel->n_reqs; k++)
			is_needed |= (sel->reqs[k].op == BH_SEL_IN ||
				      sel->reqs[k].op == BH_SEL_EXISTS) &&
				     strcmp(sel->reqs[k].key, labels->items[i].key) == 0;
		if (!is_needed)
			return false;
	}
	return true;
}

/* With that pod, as it is and with the named ports that such pods have now. */
static uint64_t ask_named(const struct run *r, const struct bh_policy *p,
			  const struct bh_peer *peer, const struct bh_pod *pod)
{
	const uint64_t everything = simgen_all_bits(&r->conns);
	uint64_t bits = ask_pod(r, pod, everything);
	const struct bh_pod *const *pods;
	size_t n = bh_world_pods(r->now.gen.w, &pods), i;

	for (i = 0; i < n; i++) {
		struct bh_pod named = *pod;

		if (r->e->dir == BH_INGRESS || !bh_world_peer_is(r->now.gen.w, p, peer, pods[i]))
			continue;
		named.ports = pods[i]->ports;
		named.n_ports = pods[i]->n_ports;
		bits |= ask_pod(r, &named, everything);
	}
	return bits;
}

/* Of pods with just the labels that are asked for, what is said must hold of one. */
static void check_pods(const struct run *r, const struct bh_policy *p, const struct bh_peer *peer)
{
	bh_auto(bh_buf_done) struct bh_buf label = { 0 };
	const struct bh_exposure_peer *listed;
	uint64_t cluster = simgen_bits(&r->conns, r->e->cluster), said;
	bool has_any = false;
	size_t i;

	pods_label(p, peer, &label);
	listed = find_peer(r, bh_buf_str(&label));
	said = listed ? simgen_bits(&r->conns, listed->conns) : cluster;
	check_more(r, listed, r->e->cluster);
	for (i = 0; i < N_PODS; i++) {
		uint64_t bits;

		if (!bh_world_peer_is(r->then.gen.w, p, peer, r->pods[i]) ||
		    !has_just(&r->pods[i]->labels, &peer->pods))
			continue;
		has_any = true;
		bits = ask_named(r, p, peer, r->pods[i]);
		if (listed ? bits == said : !(bits & ~cluster))
			return;
	}
	if (has_any)
		fail_about(r, bh_buf_str(&label), "is not said rightly", said);
	assert_null(listed);
}

/* The first that is outside; the first of all if each of them is somebody's. */
static bool first_addr(const struct run *r, const struct bh_peer *peer, struct bh_addr *ret)
{
	struct bh_addr at;
	int i;

	if (!bh_peer_first_addr(peer, ret))
		return false;
	at = *ret;
	for (i = 0; i < 256; i++, bh_addr_next(&at))
		if (bh_peer_has_addr(peer, &at) && simgen_is_outside(r->now.gen.w, &at)) {
			*ret = at;
			return true;
		}
	return true;
}

static void check_block(const struct run *r, const struct bh_peer *peer)
{
	bh_auto(bh_buf_done) struct bh_buf label = { 0 };
	const struct bh_exposure_peer *listed;
	char text[BH_CIDR_STRLEN];
	struct bh_addr first;
	uint64_t bits;
	size_t i;

	bh_buf_printf(&label, "addresses %s", bh_cidr_format(&peer->cidr, text));
	for (i = 0; i < peer->n_except; i++)
		bh_buf_printf(&label, "%s%s", i ? "," : " except ",
			      bh_cidr_format(&peer->except[i], text));
	listed = find_peer(r, bh_buf_str(&label));
	if (!first_addr(r, peer, &first) || peer->cidr.prefix_len == 0) {
		assert_null(listed);
		return;
	}
	check_more(r, listed, r->e->internet);
	bits = ask(r, NULL, &first, simgen_all_bits(&r->conns));
	if (listed)
		check_same(r, bh_buf_str(&label), simgen_bits(&r->conns, listed->conns), bits);
	else if (bits & ~simgen_bits(&r->conns, r->e->internet))
		fail_about(r, bh_buf_str(&label), "is open, and nobody says so", bits);
}

static void check_peers(const struct run *r)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies_of(r->then.gen.w, r->pod->namespace, &policies), i, k, m;

	for (i = 0; i < n; i++) {
		const struct bh_rules *rules = &policies[i]->rules[r->e->dir];

		if (!bh_world_selects(r->then.gen.w, policies[i], r->pod))
			continue;
		for (k = 0; k < rules->n; k++)
			for (m = 0; m < rules->items[k].n_peers; m++) {
				const struct bh_peer *peer = &rules->items[k].peers[m];

				if (peer->kind == BH_PEER_PODS)
					check_pods(r, policies[i], peer);
				else if (peer->kind == BH_PEER_CIDR)
					check_block(r, peer);
			}
	}
}

/* --- all of it ------------------------------------------------------------------- */

static void check_world(struct run *r)
{
	bh_auto(bh_exposures_free) struct bh_exposures *e = bh_exposures_new(r->now.sim);
	const struct bh_exposure *items;
	size_t n = bh_exposures_items(e, &items), i;

	for (i = 0; i < n; i++) {
		const struct bh_pod *pod = items[i].workload->pods[0];

		r->e = &items[i];
		r->pod = bh_world_pod_by_name(r->then.gen.w, pod->namespace, pod->name);
		check_protected(r);
		check_cluster(r);
		check_internet(r);
		if (items[i].is_protected)
			check_peers(r);
	}
}

static void pods_to_come_are_judged_as_they_were_told(void **state)
{
	struct gen_seeds seeds = gen_seeds(20, 1, 30);
	uint64_t seed;
	int i;

	(void)state;
	for (seed = seeds.first; seed <= seeds.last; seed++)
		for (i = 0; i < seeds.rounds; i++) {
			bh_auto_free struct run *r = bh_calloc(1, sizeof(*r));

			run_init(r, seed, 10 * (uint32_t)i);
			check_world(r);
			run_done(r);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pods_to_come_are_judged_as_they_were_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
