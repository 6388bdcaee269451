#include "test.h"

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

/* --- small worlds by hand --------------------------------------------------------- */

static struct bh_world *new_world(void)
{
	return bh_world_new(&(struct bh_world_config){ .node = "n1" });
}

static struct bh_addr addr(const char *s)
{
	struct bh_addr a;

	assert_ok(bh_addr_parse(s, &a, NULL), NULL);
	return a;
}

static void add_pod(struct bh_world *w, const char *name, const char *app, const char *ip)
{
	struct bh_addr a = addr(ip);
	struct bh_label label = { "app", app };
	struct bh_fact f = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_KUBE,
		.pod = { .namespace = "shop",
			 .name = name,
			 .uid = name,
			 .node = "n1",
			 .labels = { &label, 1 },
			 .addrs = &a,
			 .n_addrs = 1 },
	};

	assert_ok(bh_world_apply(w, &f, NULL), NULL);
}

static struct bh_requirement app_is(const char *const *value)
{
	return (struct bh_requirement){
		.key = "app", .op = BH_SEL_IN, .values = value, .n_values = 1
	};
}

/* Lets pods of app @from reach pods of app @to on TCP ports @first to @last. */
static void allow(struct bh_world *w, const char *name, const char *from, const char *to,
		  uint16_t first, uint16_t last)
{
	struct bh_requirement from_req = app_is(&from), to_req = app_is(&to);
	struct bh_peer peer = { .kind = BH_PEER_PODS, .pods = { &from_req, 1 } };
	struct bh_policy_port port = { .protocol = IPPROTO_TCP, .first = first, .last = last };
	struct bh_rule rule = { .has_peers = true,
				.peers = &peer,
				.n_peers = 1,
				.has_ports = true,
				.ports = &port,
				.n_ports = 1 };
	struct bh_fact f = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_KUBE,
		.policy = { .kind = BH_NETWORK_POLICY,
			    .tier = BH_TIER_NETWORK_POLICY,
			    .namespace = "shop",
			    .name = name,
			    .uid = "",
			    .pods = { &to_req, 1 },
			    .isolates = { [BH_INGRESS] = true },
			    .rules = { [BH_INGRESS] = { &rule, 1 } } },
	};

	assert_ok(bh_world_apply(w, &f, NULL), NULL);
}

static struct fate tcp(struct bh_compiler *c, const char *from, const char *to, uint16_t port)
{
	struct packet p = {
		.src = addr(from), .dst = addr(to), .protocol = IPPROTO_TCP, .port = port
	};

	return walk_plan(bh_compiler_plan(c), &p);
}

static const struct bh_profile *ingress_of(const struct bh_compiler *c, const struct bh_world *w,
					   const char *name)
{
	return bh_compiler_profile_of(c, bh_world_pod_by_name(w, "shop", name), BH_INGRESS);
}

static size_t count_ops(const struct bh_plan *plan, size_t *n_elems)
{
	bh_auto(bh_delta_free) struct bh_delta *d = bh_plan_delta(plan);
	size_t i;

	*n_elems = 0;
	for (i = 0; d && i < d->n_ops; i++)
		*n_elems += d->ops[i].n_elems;
	return d ? d->n_ops : 0;
}

static void pods_of_one_profile_share_a_chain(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);

	(void)state;
	add_pod(w, "web1", "web", "10.0.0.1");
	add_pod(w, "web2", "web", "10.0.0.2");
	add_pod(w, "other", "other", "10.0.0.3");
	allow(w, "p", "api", "web", 80, 80);
	bh_compiler_update(c);

	assert_non_null(ingress_of(c, w, "web1"));
	assert_ptr_equal(ingress_of(c, w, "web1"), ingress_of(c, w, "web2"));
	assert_int_equal(ingress_of(c, w, "web1")->n_pods, 2);
	assert_string_equal(ingress_of(c, w, "web1")->enforced[0].name, "p");
	assert_null(ingress_of(c, w, "other"));
	assert_int_equal(bh_compiler_stats(c).n_profiles, 1);
}

static void a_pod_that_comes_is_one_element_in_each_set(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);
	size_t n_elems;

	(void)state;
	add_pod(w, "web1", "web", "10.0.0.1");
	allow(w, "p", "api", "web", 80, 80);
	bh_compiler_update(c);
	bh_plan_settle(bh_compiler_plan(c));

	add_pod(w, "api1", "api", "10.0.0.9");
	bh_compiler_update(c);
	assert_int_equal(count_ops(bh_compiler_plan(c), &n_elems), 1);
	assert_int_equal(n_elems, 1);
	assert_false(tcp(c, "10.0.0.9", "10.0.0.1", 80).is_dropped);
	assert_true(tcp(c, "10.0.0.9", "10.0.0.1", 81).is_dropped);
	bh_plan_settle(bh_compiler_plan(c));

	add_pod(w, "web2", "web", "10.0.0.2");
	bh_compiler_update(c);
	assert_int_equal(count_ops(bh_compiler_plan(c), &n_elems), 1); /* the map */
	assert_int_equal(n_elems, 1);
}

static void a_change_that_concerns_nobody_here_changes_nothing(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);
	size_t n_elems;

	(void)state;
	add_pod(w, "web1", "web", "10.0.0.1");
	allow(w, "p", "api", "web", 80, 80);
	bh_compiler_update(c);
	bh_plan_settle(bh_compiler_plan(c));

	add_pod(w, "other", "other", "10.0.0.3");
	allow(w, "q", "api", "nobody", 80, 80);
	bh_compiler_update(c);
	assert_int_equal(count_ops(bh_compiler_plan(c), &n_elems), 0);
}

static size_t count_rules(const struct bh_plan *plan, const char *name)
{
	return bh_plan_chain(plan, name)->n_rules;
}

/* 100 policies with one port each, then 100 more. */
static void the_number_of_rules_does_not_grow_with_policies(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);
	size_t n = 0, round;
	uint16_t i;

	(void)state;
	add_pod(w, "web", "web", "10.0.0.1");
	add_pod(w, "api", "api7", "10.0.0.7");
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 100; i++) {
			char name[32], app[32];

			snprintf(name, sizeof(name), "p%zu-%u", round, i);
			snprintf(app, sizeof(app), "api%u", i);
			allow(w, name, app, "web", (uint16_t)(2 * i + 1), (uint16_t)(2 * i + 1));
		}
		bh_compiler_update(c);
		if (round == 0)
			n = count_rules(bh_compiler_plan(c), ingress_of(c, w, "web")->name);
	}
	assert_int_equal(count_rules(bh_compiler_plan(c), ingress_of(c, w, "web")->name), n);
	assert_true(n <= 6);
	assert_false(tcp(c, "10.0.0.7", "10.0.0.1", 15).is_dropped);
	assert_true(tcp(c, "10.0.0.7", "10.0.0.1", 17).is_dropped);
}

static void an_icmp_packet_never_matches_a_rule_with_ports(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);
	struct packet p = { .src = addr("10.0.0.2"), .dst = addr("10.0.0.1"), .port = 80 };
	static const struct {
		uint8_t protocol;
		bool is_dropped;
	} t[] = {
		{ IPPROTO_TCP, false }, { IPPROTO_UDP, true }, { IPPROTO_SCTP, true },
		{ IPPROTO_ICMP, true }, { 47, true },
	};
	size_t i;

	(void)state;
	add_pod(w, "web", "web", "10.0.0.1");
	add_pod(w, "api", "api", "10.0.0.2");
	allow(w, "p", "api", "web", 0, 65535);
	bh_compiler_update(c);
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		p.protocol = t[i].protocol;
		assert_int_equal(walk_plan(bh_compiler_plan(c), &p).is_dropped, t[i].is_dropped);
	}
}

static void what_the_kernel_refuses_is_closed_until_its_policies_change(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);
	const struct bh_plan_set *const *sets;
	char name[BH_NAME_MAX] = "", old[BH_NAME_MAX];
	size_t n, i;

	(void)state;
	add_pod(w, "web", "web", "10.0.0.1");
	add_pod(w, "db", "db", "10.0.0.2");
	add_pod(w, "api", "api", "10.0.0.3");
	allow(w, "p", "api", "web", 80, 80);
	allow(w, "q", "web", "db", 80, 80);
	bh_compiler_update(c);
	snprintf(old, sizeof(old), "%s", ingress_of(c, w, "web")->name);
	n = bh_plan_sets(bh_compiler_plan(c), &sets);
	for (i = 0; i < n; i++) {
		if (sets[i]->spec.comment && strcmp(sets[i]->spec.comment, "shop: app=api") == 0)
			snprintf(name, sizeof(name), "%s", sets[i]->spec.name);
	}
	assert_int_equal(bh_compiler_close(c, name, "too many elements"), 1);
	assert_null(bh_plan_set(bh_compiler_plan(c), name));
	assert_true(tcp(c, "10.0.0.3", "10.0.0.1", 80).is_dropped);
	assert_false(tcp(c, "10.0.0.1", "10.0.0.2", 80).is_dropped);
	assert_string_equal(ingress_of(c, w, "web")->closed, "too many elements");
	assert_int_equal(bh_compiler_stats(c).n_closed, 1);
	/* Packets that the old chain dropped can still be explained. */
	assert_string_equal(bh_compiler_profile(c, old)->enforced[0].name, "p");

	add_pod(w, "api2", "api", "10.0.0.4");
	bh_compiler_update(c);
	assert_true(tcp(c, "10.0.0.4", "10.0.0.1", 80).is_dropped);
	assert_int_equal(bh_compiler_close(c, "nothing of that name", ""), 0);

	allow(w, "p", "api", "web", 81, 81);
	bh_compiler_update(c);
	assert_null(ingress_of(c, w, "web")->closed);
	assert_false(tcp(c, "10.0.0.3", "10.0.0.1", 81).is_dropped);
}

static void gone_profiles_are_known_for_a_while_but_not_for_ever(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);
	char first[BH_NAME_MAX];
	uint16_t port;

	(void)state;
	add_pod(w, "web", "web", "10.0.0.1");
	allow(w, "p", "api", "web", 1, 1);
	bh_compiler_update(c);
	snprintf(first, sizeof(first), "%s", ingress_of(c, w, "web")->name);
	for (port = 2; port < 1030; port++) {
		allow(w, "p", "api", "web", port, port);
		bh_compiler_update(c);
		bh_plan_settle(bh_compiler_plan(c));
		if (port == 2)
			assert_int_equal(bh_compiler_profile(c, first)->n_pods, 0);
	}
	assert_null(bh_compiler_profile(c, first));
	assert_int_equal(bh_compiler_stats(c).n_profiles, 1);
}

/* --- random worlds ------------------------------------------------------------------ */

static void show(struct gen *g, struct bh_compiler *c, uint64_t seed, int step)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };

	(void)g;
	bh_render(bh_compiler_plan(c), &b);
	print_message("seed %llu, step %d:\n%s\n", (unsigned long long)seed, step, bh_buf_str(&b));
}

static void assert_like_new(struct gen *g, struct bh_compiler *c, uint64_t seed, int step)
{
	bh_auto(bh_compiler_free) struct bh_compiler *fresh = bh_compiler_new(g->w, &config);
	struct bh_err err = { 0 };

	bh_compiler_update(fresh);
	if (!bh_plan_equal(bh_compiler_plan(c), bh_compiler_plan(fresh), &err)) {
		show(g, c, seed, step);
		show(g, fresh, seed, step);
		fail_msg("seed %llu, step %d: %s", (unsigned long long)seed, step,
			 bh_err_text(&err));
	}
}

static void after_every_step_the_plan_is_that_of_a_new_compiler(void **state)
{
	uint64_t seed;
	int step;

	(void)state;
	for (seed = 1; seed <= 40; seed++) {
		bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
		struct gen g;

		gen_init(&g, seed);
		c = bh_compiler_new(g.w, &config);
		gen_fill(&g);
		for (step = 0; step < 60; step++) {
			bh_compiler_update(c);
			assert_like_new(&g, c, seed, step);
			if (gen_chance(&g, 70))
				bh_plan_settle(bh_compiler_plan(c));
			do {
				gen_step(&g);
			} while (gen_chance(&g, 30));
		}
		bh_compiler_free(&c);
		gen_done(&g);
	}
}

/* What the kernel would hold, had it done every delta: elements by set and key. */
struct elem_log {
	struct bh_plan *kernel;
};

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

				/* The kernel refuses a batch with any of these. */
				if (is_add && e.chain)
					e.chain = bh_plan_chain(kernel, e.chain->name);
				else if (e.chain)
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
	for (seed = 100; seed <= 120; seed++) {
		bh_auto(bh_plan_free) struct bh_plan *kernel = bh_plan_new();
		bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
		struct gen g;

		gen_init(&g, seed);
		c = bh_compiler_new(g.w, &config);
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
		show(g, c, seed, step);
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

/* Every address that a pod may have, both nodes', and some of nobody. */
static size_t list_addrs(struct bh_addr *ret)
{
	static const char *const outside[] = { "192.0.2.1",       "192.0.2.200", "8.8.8.8",
					       "255.255.255.255", "2001:db8::1", "2a00::1",
					       "10.0.1.1",        "0.0.0.0" };
	size_t n = 0, i;

	for (i = 0; i < GEN_ADDRS; i++)
		ret[n++] = gen_addr((uint32_t)i);
	for (i = 0; i < 4; i++)
		ret[n++] = gen_node_addr((uint32_t)i / 2 + 1, i % 2 ? BH_IPV6 : BH_IPV4);
	for (i = 0; i < BH_ARRAY_LEN(outside); i++)
		ret[n++] = addr(outside[i]);
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
			struct packet p = { .src = addrs[i], .dst = addrs[j] };

			p.is_own = is_node_addr(&p.src, 1);
			p.is_to_own = is_node_addr(&p.dst, 1);
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
	for (seed = 1; seed <= 60; seed++) {
		bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
		struct gen g;

		gen_init(&g, seed + 1000);
		c = bh_compiler_new(g.w, &config);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pods_of_one_profile_share_a_chain),
		cmocka_unit_test(a_pod_that_comes_is_one_element_in_each_set),
		cmocka_unit_test(a_change_that_concerns_nobody_here_changes_nothing),
		cmocka_unit_test(the_number_of_rules_does_not_grow_with_policies),
		cmocka_unit_test(an_icmp_packet_never_matches_a_rule_with_ports),
		cmocka_unit_test(what_the_kernel_refuses_is_closed_until_its_policies_change),
		cmocka_unit_test(gone_profiles_are_known_for_a_while_but_not_for_ever),
		cmocka_unit_test(after_every_step_the_plan_is_that_of_a_new_compiler),
		cmocka_unit_test(the_deltas_add_up_to_the_plan),
		cmocka_unit_test(the_plan_does_what_the_evaluator_says),
	};

	return cmocka_run_group_tests_name("compile", tests, NULL, NULL);
}
