/*
 * Random worlds: is the plan right, and is it the same whatever the history?
 */
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#include "bh/compile.h"
#include "bh/eval.h"
#include "bh/render.h"
#include "planwalk.h"
#include "worldgen.h"

static const struct bh_compile_config config = {
	.log_group = 5,
	.log_snaplen = 128,
	.log_rate = 10,
	.log_burst = 20,
};

static void show(struct bh_compiler *c, uint64_t seed, int step)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };

	bh_render(bh_compiler_plan(c), &b);
	print_message("seed %llu, step %d:\n%s\n", (unsigned long long)seed, step, bh_buf_str(&b));
}

/* So little that most worlds have something beyond it. */
static const struct bh_compile_config tight = {
	.limits = { .rules = 7,
		    .selectors = 4,
		    .elems = 40,
		    .slots = 100,
		    .peer_elems = 6,
		    .peer_addrs = 7,
		    .work = 40,
		    .reopen_percent = 100 },
	.log_group = 5,
	.log_snaplen = 128,
};

/* Few rules for all pods of a namespace and of the node. */
static const struct bh_compile_config totals = {
	.limits = { .ns_rules = 9, .node_rules = 20 },
	.log_group = 5,
	.log_snaplen = 128,
};

/* The same, and some are beyond their own. */
static const struct bh_compile_config tight_totals = {
	.limits = { .rules = 7, .selectors = 4, .ns_rules = 9, .node_rules = 14 },
	.log_group = 5,
	.log_snaplen = 128,
};

/* Where sets of ports are many, the forms that keep them from multiplying are taken at once. */
static const struct bh_compile_config apart = {
	.limits = { .many_ports = 1, .small_join = 1 },
	.log_group = 5,
	.log_snaplen = 128,
};

static void assert_like_new(struct gen *g, struct bh_compiler *c,
			    const struct bh_compile_config *how, uint64_t seed, int step)
{
	bh_auto(bh_compiler_free) struct bh_compiler *fresh = bh_compiler_new(g->w, how);
	struct bh_err err = { 0 };

	bh_compiler_update(fresh);
	if (!bh_plan_equal(bh_compiler_plan(c), bh_compiler_plan(fresh), &err)) {
		show(c, seed, step);
		show(fresh, seed, step);
		fail_msg("seed %llu, step %d: %s", (unsigned long long)seed, step,
			 bh_err_text(&err));
	}
}

/* In small parts, or all at once.  Returns how often something had to wait. */
static size_t update(struct gen *g, struct bh_compiler *c, bool is_in_parts)
{
	size_t n = 0;

	for (bh_compiler_update(c); bh_compiler_is_waiting(c); bh_compiler_update(c)) {
		assert_true(is_in_parts && n < 1000);
		n++;
		if (gen_chance(g, 70))
			bh_plan_settle(bh_compiler_plan(c));
		/* Something comes between. */
		if (gen_chance(g, 30))
			gen_step(g);
	}
	return n;
}

/* Returns how many profiles were beyond their budget, all steps together. */
static size_t compare_with_new_compilers(const struct bh_compile_config *how, uint64_t seed,
					 bool is_in_parts)
{
	size_t n_waits = 0;
	bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
	size_t n_over = 0;
	struct gen g;

	gen_init(&g, seed);
	g.has_ports = seed % 2;
	c = bh_compiler_new(g.w, how);
	bh_compiler_set_load(c, is_in_parts);
	gen_fill(&g);
	for (int step = 0; step < 60; step++) {
		n_waits += update(&g, c, is_in_parts);
		n_over += bh_compiler_stats(c).n_over;
		assert_like_new(&g, c, how, seed, step);
		if (gen_chance(&g, 70))
			bh_plan_settle(bh_compiler_plan(c));
		do {
			gen_step(&g);
		} while (gen_chance(&g, 30));
	}
	assert_int_equal(n_waits > 0, is_in_parts);
	bh_compiler_free(&c);
	gen_done(&g);
	return n_over;
}

static void after_every_step_the_plan_is_that_of_a_new_compiler(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++)
		assert_int_equal(
			compare_with_new_compilers(seed % 4 ? &config : &apart, seed, false), 0);
}

static void what_waits_for_later_updates_comes_to_the_same(void **state)
{
	(void)state;
	for (uint64_t seed = 51; seed <= 62; seed++)
		assert_int_equal(compare_with_new_compilers(&config, seed, true), 0);
	for (uint64_t seed = 243; seed <= 266; seed++)
		(void)compare_with_new_compilers(seed % 3 ? &totals : &tight_totals, seed, true);
}

static void what_is_beyond_its_budget_does_not_depend_on_the_history(void **state)
{
	size_t n_over = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++)
		n_over += compare_with_new_compilers(&tight, seed, false);
	assert_true(n_over > 500);
	n_over = 0;
	for (uint64_t seed = 31; seed <= 60; seed++)
		n_over +=
			compare_with_new_compilers(seed % 3 ? &totals : &tight_totals, seed, false);
	assert_true(n_over > 500);
}

/* What the kernel would hold: it refuses to add what is there and to delete what is not. */
static void carry_out(struct bh_plan *kernel, const struct bh_delta *d)
{
	size_t i, j;

	for (i = 0; d && i < d->n_ops; i++) {
		const struct bh_op *op = &d->ops[i];
		struct bh_plan_set *set = op->name ? bh_plan_set(kernel, op->name) : NULL;
		struct bh_set_spec spec;

		switch (op->kind) {
		case BH_OP_ADD_SET:
			assert_null(set);
			spec = op->set->spec;
			bh_plan_add_set(kernel, &spec);
			break;
		case BH_OP_DEL_SET:
			assert_non_null(set);
			bh_plan_remove_set(kernel, set);
			break;
		case BH_OP_ADD_ELEMS:
		case BH_OP_DEL_ELEMS:
			assert_non_null(set);
			for (j = 0; j < op->n_elems; j++) {
				struct bh_elem e = op->elems[j];
				bool is_add = op->kind == BH_OP_ADD_ELEMS;

				if (e.chain)
					e.chain = bh_plan_chain(kernel, e.chain->name);
				assert_int_equal(bh_plan_has(set, &e), !is_add);
				(is_add ? bh_plan_put : bh_plan_drop)(kernel, set, &e);
			}
			break;
		case BH_OP_ADD_CHAIN:
			assert_null(bh_plan_chain(kernel, op->name));
			bh_plan_add_chain(kernel, op->name, op->chain->comment, op->chain->hook,
					  op->chain->priority);
			break;
		case BH_OP_DEL_CHAIN:
			assert_non_null(bh_plan_chain(kernel, op->name));
			bh_plan_remove_chain(kernel, bh_plan_chain(kernel, op->name));
			break;
		case BH_OP_ADD_TABLE:
		case BH_OP_ADD_COUNTER:
		case BH_OP_ADD_RULES:
		case BH_OP_FLUSH_CHAIN:
		case BH_OP_FLUSH_SET:
		case BH_OP_DEL_COUNTER:
		case BH_OP_DEL_TABLE:
		case BH_OP_COUNT_: break;
		}
	}
}

static void assert_same_elems(const struct bh_plan *kernel, const struct bh_plan *plan)
{
	const struct bh_plan_set *const *a, *const *b;
	size_t n = bh_plan_sets(kernel, &a), i, j;

	assert_int_equal(bh_plan_sets(plan, &b), n);
	for (i = 0; i < n; i++) {
		assert_string_equal(a[i]->spec.name, b[i]->spec.name);
		assert_int_equal(a[i]->n, b[i]->n);
		for (j = 0; j < a[i]->n; j++) {
			struct bh_elem x, y;

			bh_plan_elem(a[i], j, &x);
			bh_plan_elem(b[i], j, &y);
			assert_memory_equal(x.key, y.key, sizeof(x.key));
			if (x.chain)
				assert_string_equal(x.chain->name, y.chain->name);
		}
	}
}

static void the_deltas_add_up_to_the_plan(void **state)
{
	uint64_t seed;
	int step;

	(void)state;
	for (seed = 100; seed <= 121; seed++) {
		bh_auto(bh_plan_free) struct bh_plan *kernel = bh_plan_new(BH_TABLE_INET);
		bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
		struct gen g;

		gen_init(&g, seed);
		g.has_ports = seed % 2;
		c = bh_compiler_new(g.w, seed <= 110 ? &config : &tight);
		gen_fill(&g);
		for (step = 0; step < 60; step++) {
			bh_auto(bh_delta_free) struct bh_delta *d = NULL;

			bh_compiler_update(c);
			if (gen_chance(&g, 70)) {
				d = bh_plan_delta(bh_compiler_plan(c));
				carry_out(kernel, d);
				assert_same_elems(kernel, bh_compiler_plan(c));
				bh_delta_free(&d);
				bh_plan_settle(bh_compiler_plan(c));
				bh_plan_settle(kernel);
			}
			gen_step(&g);
		}
		bh_compiler_free(&c);
		gen_done(&g);
	}
}

struct expectation {
	bool is_denied[BH_DIR_COUNT_], is_audited[BH_DIR_COUNT_];
};

static bool is_local(const struct bh_end *end)
{
	return end->entity == BH_ENTITY_POD && end->pod->is_local;
}

/* Only ends on this node are judged here; who is dropped on his way out never arrives. */
static struct expectation expect(const struct bh_world *w, const struct packet *p)
{
	bool has_ports = p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP ||
			 p->protocol == IPPROTO_SCTP;
	struct bh_flow flow = { .src = p->src,
				.dst = p->dst,
				.protocol = p->protocol,
				.dst_port = has_ports ? p->port : 0 };
	struct expectation e = { 0 };
	struct bh_result r;
	enum bh_dir dir;

	bh_eval(w, &flow, &r);
	for (dir = BH_DIR_COUNT_; dir-- > 0;) {
		const struct bh_dir_verdict *v = &r.dir[dir];

		if (!is_local(dir == BH_INGRESS ? &r.dst : &r.src))
			continue;
		e.is_denied[dir] = v->verdict == BH_VERDICT_DENIED;
		e.is_audited[dir] = !e.is_denied[dir] && v->audit_verdict == BH_VERDICT_DENIED;
		if (e.is_denied[dir])
			break; /* egress comes first */
	}
	return e;
}

static void assert_judged_alike(struct gen *g, struct bh_compiler *c, const struct packet *p,
				uint64_t seed, int step)
{
	struct fate fate = walk_plan(bh_compiler_plan(c), p);
	struct expectation e = expect(g->w, p);
	char src[BH_ADDR_STRLEN], dst[BH_ADDR_STRLEN];
	enum bh_dir dir;

	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		if (fate.is_denied[dir] == e.is_denied[dir] &&
		    fate.is_audited[dir] == e.is_audited[dir])
			continue;
		show(c, seed, step);
		fail_msg("seed %llu, step %d: %s -> %s %u/%u, %s: plan %s%s, evaluator %s%s",
			 (unsigned long long)seed, step, bh_addr_format(&p->src, src),
			 bh_addr_format(&p->dst, dst), p->port, p->protocol, bh_dir_str(dir),
			 fate.is_denied[dir] ? "denies" : "allows",
			 fate.is_audited[dir] ? " in audit" : "",
			 e.is_denied[dir] ? "denies" : "allows",
			 e.is_audited[dir] ? " in audit" : "");
	}
	assert_int_equal(fate.is_dropped, e.is_denied[BH_INGRESS] || e.is_denied[BH_EGRESS]);
}

static struct bh_addr addr_of(const char *s)
{
	struct bh_addr a;

	assert_ok(bh_addr_parse(s, &a, NULL), NULL);
	return a;
}

/* Every address that a pod may have, both nodes', and some of nobody. */
static size_t list_addrs(struct bh_addr *ret)
{
	static const char *const outside[] = { "192.0.2.1",       "192.0.2.200", "8.8.8.8",
					       "255.255.255.255", "2001:db8::1", "2a00::1",
					       "10.0.1.1",        "0.0.0.0" };
	size_t n = 0, i;

	for (i = 0; i < GEN_ADDRS; i++)
		ret[n++] = gen_addr((uint32_t)i);
	ret[n++] = addr_of("fe80::1");
	for (i = 0; i < 4; i++)
		ret[n++] = gen_node_addr((uint32_t)i / 2 + 1, i % 2 ? BH_IPV6 : BH_IPV4);
	for (i = 0; i < BH_ARRAY_LEN(outside); i++)
		ret[n++] = addr_of(outside[i]);
	return n;
}

static bool is_self(const struct bh_world *w, const struct packet *p)
{
	const struct bh_pod *pod = bh_world_pod_by_addr(w, &p->src);

	return pod && pod == bh_world_pod_by_addr(w, &p->dst);
}

static bool is_node_addr(const struct bh_addr *a, uint32_t node)
{
	struct bh_addr n = gen_node_addr(node, a->family);

	return bh_addr_eq(a, &n);
}

static struct packet packet_between(const struct bh_addr *src, const struct bh_addr *dst)
{
	return (struct packet){ .src = *src,
				.dst = *dst,
				.is_own = is_node_addr(src, 1),
				.is_to_own = is_node_addr(dst, 1) };
}

static void compare_ports(struct gen *g, struct bh_compiler *c, struct packet *p, uint64_t seed,
			  int step)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP };
	static const uint16_t ports[] = { 1, 53, 80, 82, 8080, 8090, 9000, 30500, 65535 };
	size_t i, j;

	for (i = 0; i < BH_ARRAY_LEN(protocols); i++) {
		for (j = 0; j < BH_ARRAY_LEN(ports); j++) {
			p->protocol = protocols[i];
			p->port = ports[j];
			assert_judged_alike(g, c, p, seed, step);
		}
	}
}

static void compare_all(struct gen *g, struct bh_compiler *c, uint64_t seed, int step)
{
	struct bh_addr addrs[64];
	size_t n = list_addrs(addrs), i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++) {
			struct packet p = packet_between(&addrs[i], &addrs[j]);

			if (p.src.family == p.dst.family && !is_self(g->w, &p))
				compare_ports(g, c, &p, seed, step);
		}
	}
}

static void the_plan_does_what_the_evaluator_says(void **state)
{
	uint64_t seed;
	int step;

	(void)state;
	for (seed = 1; seed <= 30; seed++) {
		bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
		struct gen g;

		gen_init(&g, seed + 1000);
		g.has_ports = seed % 2;
		c = bh_compiler_new(g.w, seed % 3 ? &config : &apart);
		gen_fill(&g);
		for (step = 0; step < 6; step++) {
			bh_compiler_update(c);
			compare_all(&g, c, seed, step);
			gen_step(&g);
		}
		bh_compiler_free(&c);
		gen_done(&g);
	}
}

/* One pod, and one policy of nothing but prefixes with ports. */
static void fill_blocks(struct gen *g)
{
	struct bh_rule *rules = bh_arena_array(g->arena, 12, sizeof(*rules));
	struct bh_fact f = { .kind = BH_KIND_POLICY, .source = BH_SOURCE_KUBE };
	size_t i;

	gen_node(g, 1);
	for (i = 0; i < 12; i++) {
		struct bh_peer *peer = bh_arena_alloc(g->arena, sizeof(*peer));
		struct bh_policy_port *port = bh_arena_alloc(g->arena, sizeof(*port));

		peer->kind = BH_PEER_CIDR;
		gen_cidr(g, peer);
		*port = gen_port(g);
		rules[i] = (struct bh_rule){ .has_peers = true,
					     .peers = peer,
					     .n_peers = 1,
					     .has_ports = true,
					     .ports = port,
					     .n_ports = 1 };
	}
	f.policy = (struct bh_policy){ .kind = BH_NETWORK_POLICY,
				       .tier = BH_TIER_NETWORK_POLICY,
				       .namespace = gen_spaces[0],
				       .name = "blocks",
				       .uid = "",
				       .isolates = { true, true },
				       .rules = { { rules, 6 }, { rules + 3, 9 } } };
	gen_apply(g, &f);
	gen_pod(g, 0);
}

/* Both ends of every prefix, and their neighbours. */
static void compare_edges(struct gen *g, struct bh_compiler *c, const struct bh_pod *pod,
			  uint64_t seed)
{
	size_t i, j, k;

	for (i = 0; i < BH_ARRAY_LEN(gen_cidrs); i++) {
		struct bh_cidr cidr;
		struct bh_range r;
		struct bh_addr at[4];

		assert_ok(bh_cidr_parse(gen_cidrs[i], &cidr, NULL), NULL);
		r = bh_cidr_range(&cidr);
		at[0] = at[1] = r.first;
		at[2] = at[3] = r.last;
		bh_addr_prev(&at[1]);
		bh_addr_next(&at[3]);
		for (j = 0; j < BH_ARRAY_LEN(at); j++) {
			for (k = 0; k < pod->n_addrs; k++) {
				struct packet in = packet_between(&at[j], &pod->addrs[k]);
				struct packet out = packet_between(&pod->addrs[k], &at[j]);

				if (at[j].family != pod->addrs[k].family || is_self(g->w, &in))
					continue;
				compare_ports(g, c, &in, seed, 0);
				compare_ports(g, c, &out, seed, 0);
			}
		}
	}
}

static void prefixes_with_many_sets_of_ports_are_judged_alike(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 2000; seed < 2040; seed++) {
		bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
		const struct bh_pod *pod;
		struct gen g;

		gen_init(&g, seed);
		g.has_ports = seed % 2;
		c = bh_compiler_new(g.w, seed % 2 ? &config : &apart);
		fill_blocks(&g);
		bh_compiler_update(c);
		pod = bh_world_pod_by_name(g.w, gen_spaces[0], "pod0");
		compare_edges(&g, c, pod, seed);
		bh_compiler_free(&c);
		gen_done(&g);
	}
}

static int load(const char *text, size_t len)
{
	FILE *nft = popen("unshare -n nft -f -", "w");
	size_t n;

	assert_non_null(nft);
	n = fwrite(text, 1, len, nft);
	return pclose(nft) == 0 && n == len ? 0 : -1;
}

static void nft_takes_every_table(void **state)
{
	uint64_t seed;

	(void)state;
	if (geteuid() != 0 || system("unshare -n nft list ruleset >/dev/null 2>&1") != 0) {
		print_message("skipped: needs root and nft\n");
		skip();
	}
	for (seed = 3000; seed < 3020; seed++) {
		bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
		bh_auto(bh_buf_done) struct bh_buf text = { 0 };
		struct gen g;

		gen_init(&g, seed);
		g.has_ports = seed % 2;
		c = bh_compiler_new(g.w, seed < 3010 ? &config : &apart);
		if (seed % 2)
			gen_fill(&g);
		else
			fill_blocks(&g);
		bh_compiler_update(c);
		bh_render(bh_compiler_plan(c), &text);
		if (load(bh_buf_str(&text), text.len) < 0) {
			show(c, seed, 0);
			fail_msg("nft refuses seed %llu", (unsigned long long)seed);
		}
		bh_compiler_free(&c);
		gen_done(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_every_step_the_plan_is_that_of_a_new_compiler),
		cmocka_unit_test(what_waits_for_later_updates_comes_to_the_same),
		cmocka_unit_test(what_is_beyond_its_budget_does_not_depend_on_the_history),
		cmocka_unit_test(the_deltas_add_up_to_the_plan),
		cmocka_unit_test(the_plan_does_what_the_evaluator_says),
		cmocka_unit_test(prefixes_with_many_sets_of_ports_are_judged_alike),
		cmocka_unit_test(nft_takes_every_table),
	};

	return cmocka_run_group_tests_name("compile_random", tests, NULL, NULL);
}
