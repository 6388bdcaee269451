/*
 * Evaluator = plan = kernel, with real packets.
 *
 * Random worlds, and those of the examples, are compiled and committed; then
 * every address sends to every other over every protocol and to every port that a
 * policy may name, and what comes out is compared with what the evaluator says.
 * The kernel's counters must agree too, packet by packet.  A disagreement is a bug
 * in one of them.
 */
#include "test.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "bh/compile.h"
#include "bh/eval.h"
#include "bh/manifest.h"
#include "bh/nft.h"
#include "bh/render.h"
#include "bh/sim.h"
#include "lab.h"
#include "worldgen.h"

#define SEEDS    24u
#define STEPS    6u
#define FIRST_ID 1024u
/* Not a port of the lab, but the node itself. */
#define NODE       UINT_MAX
#define MAX_PLACES 64

struct place {
	struct bh_addr addr;
	unsigned int port; /* of the lab; NODE: the node itself */
};

struct probe {
	struct lab_packet packet;
	const struct place *from, *to;
	bool is_expected, has_come;
	unsigned int came_out;
};

struct oracle {
	struct lab lab;
	unsigned int outside; /* the port behind which everything else is */
	struct bh_world *w;
	const char *name; /* of the world */
	const uint16_t *ports;
	size_t n_ports;
	struct bh_compiler *compiler;
	struct bh_nft *nft;
	struct place places[MAX_PLACES];
	size_t n_places;
	struct probe *probes;
	size_t n_probes, cap_probes;
	uint64_t n_denied, n_audit; /* expected of the step */
	uint64_t n_sent;
	unsigned int step;
};

static const uint8_t probe_protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

static void add_place(struct oracle *o, struct bh_addr addr, unsigned int port)
{
	assert_true(o->n_places < MAX_PLACES);
	o->places[o->n_places++] = (struct place){ .addr = addr, .port = port };
}

static void add_outside(struct oracle *o, const char *const *addrs, size_t n)
{
	struct bh_err err = { 0 };
	struct bh_addr a;
	size_t i;

	for (i = 0; i < n; i++) {
		assert_ok(bh_addr_parse(addrs[i], &a, &err), &err);
		add_place(o, a, o->outside);
	}
	assert_ok(lab_default_route(&o->lab, o->outside, &err), &err);
}

static void make_places(struct oracle *o)
{
	static const char *const outside[] = { "192.0.2.5", "192.0.2.200", "2001:db8::5" };
	struct bh_err err = { 0 };
	struct bh_addr a;
	size_t i;

	for (i = 0; i < GEN_ADDRS; i++) {
		a = gen_addr((uint32_t)i);
		add_place(o, a, (unsigned int)i);
		assert_ok(lab_route(&o->lab, &a, (unsigned int)i, &err), &err);
	}
	add_outside(o, outside, BH_ARRAY_LEN(outside));
	for (i = 0; i < BH_FAMILY_COUNT_; i++) {
		add_place(o, gen_node_addr(2, (enum bh_family)i), o->outside);
		a = gen_node_addr(1, (enum bh_family)i);
		add_place(o, a, NODE);
		assert_ok(lab_add_node_addr(&o->lab, &a, &err), &err);
	}
}

static bool is_local_pod(const struct oracle *o, const struct bh_addr *a)
{
	const struct bh_pod *pod = bh_world_pod_by_addr(o->w, a);

	return pod && pod->is_local;
}

/* What this node is to do: it judges the ends it hosts, the source first. */
static bool expect(struct oracle *o, const struct lab_packet *p)
{
	static const enum bh_dir order[] = { BH_EGRESS, BH_INGRESS };
	struct bh_flow flow = {
		.src = p->src, .dst = p->dst, .protocol = p->protocol, .dst_port = p->dst_port
	};
	struct bh_result result;
	size_t i;

	bh_eval(o->w, &flow, &result);
	for (i = 0; i < BH_ARRAY_LEN(order); i++) {
		const struct bh_dir_verdict *v = &result.dir[order[i]];

		if (!is_local_pod(o, order[i] == BH_EGRESS ? &p->src : &p->dst))
			continue;
		if (v->verdict == BH_VERDICT_DENIED) {
			o->n_denied++;
			return false;
		}
		if (v->audit_verdict == BH_VERDICT_DENIED)
			o->n_audit++;
	}
	return true;
}

static void add_probe(struct oracle *o, const struct place *from, const struct place *to,
		      uint8_t protocol, uint16_t port)
{
	struct probe p = { .packet = { .src = from->addr,
				       .dst = to->addr,
				       .protocol = protocol,
				       .dst_port = port },
			   .from = from,
			   .to = to };

	/* The node answers a TCP or echo packet; of the rest nothing shows. */
	if (to->port == NODE && (protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP))
		return;
	p.packet.id = (uint16_t)(FIRST_ID + o->n_probes);
	p.is_expected = expect(o, &p.packet);
	bh_grow(&o->probes, &o->cap_probes, o->n_probes, sizeof(*o->probes));
	o->probes[o->n_probes++] = p;
}

static void make_probes(struct oracle *o)
{
	size_t i, k, t, n;

	o->n_probes = 0;
	for (i = 0; i < o->n_places; i++) {
		for (k = 0; k < o->n_places; k++) {
			const struct place *from = &o->places[i], *to = &o->places[k];
			bool is_v4 = from->addr.family == BH_IPV4;

			if (from->addr.family != to->addr.family || from->port == to->port ||
			    (!is_local_pod(o, &from->addr) && !is_local_pod(o, &to->addr)))
				continue;
			for (t = 0; t < BH_ARRAY_LEN(probe_protocols); t++)
				for (n = 0; n < o->n_ports; n++)
					add_probe(o, from, to, probe_protocols[t], o->ports[n]);
			add_probe(o, from, to, is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 0);
		}
	}
	assert_true(FIRST_ID + o->n_probes <= UINT16_MAX);
}

static void take_arrivals(struct oracle *o, int wait_ms)
{
	unsigned int port;
	uint16_t id;

	while (lab_receive(&o->lab, wait_ms, &id, &port)) {
		size_t i = (size_t)(id - FIRST_ID);

		if (id < FIRST_ID || i >= o->n_probes)
			continue;
		o->probes[i].has_come = true;
		o->probes[i].came_out = port;
	}
}

static void send_probes(struct oracle *o)
{
	size_t i;

	for (i = 0; i < o->n_probes; i++) {
		const struct probe *p = &o->probes[i];

		if (p->from->port == NODE)
			/* A denied packet of the node's own is -EPERM, not silence. */
			(void)lab_send_from_node(&o->lab, &p->packet);
		else
			assert_int_equal(lab_send(&o->lab, p->from->port, &p->packet), 0);
		if (i % 256 == 255)
			take_arrivals(o, 0);
	}
	take_arrivals(o, 100);
	o->n_sent += o->n_probes;
}

static void complain(const struct oracle *o, const struct probe *p)
{
	char src[BH_ADDR_STRLEN], dst[BH_ADDR_STRLEN];
	struct bh_buf rules = { 0 };

	bh_render(bh_compiler_plan(o->compiler), &rules);
	fprintf(stderr, "%s\n", bh_buf_str(&rules));
	bh_buf_done(&rules);
	fail_msg("%s step %u: %s -> %s protocol %u port %u: evaluator says %s, %s", o->name,
		 o->step, bh_addr_format(&p->packet.src, src), bh_addr_format(&p->packet.dst, dst),
		 p->packet.protocol, p->packet.dst_port, p->is_expected ? "allowed" : "denied",
		 p->has_come ? "it came" : "it did not come");
}

static void check_probes(const struct oracle *o)
{
	size_t i;

	for (i = 0; i < o->n_probes; i++) {
		const struct probe *p = &o->probes[i];
		unsigned int port = p->to->port == NODE ? p->from->port : p->to->port;

		if (p->has_come != p->is_expected)
			complain(o, p);
		if (p->has_come)
			assert_int_equal(p->came_out, port);
	}
}

static uint64_t counter(struct oracle *o, const char *name)
{
	bh_auto_free struct bh_nft_counter *c = NULL;
	struct bh_err err = { 0 };
	size_t n, i;

	assert_ok(bh_nft_counters(o->nft, &c, &n, &err), &err);
	for (i = 0; i < n; i++) {
		if (strcmp(c[i].name, name) == 0)
			return c[i].packets;
	}
	fail_msg("there is no counter %s", name);
	return 0;
}

static void commit(struct oracle *o)
{
	struct bh_plan *plan = bh_compiler_plan(o->compiler);
	bh_auto(bh_delta_free) struct bh_delta *delta = NULL;
	struct bh_err err = { 0 };

	bh_compiler_update(o->compiler);
	delta = bh_plan_delta(plan);
	if (!delta)
		return;
	assert_ok(bh_nft_commit(o->nft, &(const struct bh_delta *){ delta }, 1, NULL, &err), &err);
	bh_delta_free(&delta);
	bh_plan_settle(plan);
}

/* The kernel holds exactly the plan. */
static void check_shadow(struct oracle *o)
{
	bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;
	bh_auto(bh_delta_free) struct bh_delta *delta = NULL;
	struct bh_err err = { 0 };
	struct bh_buf text = { 0 };

	assert_ok(bh_nft_read(o->nft, BH_TABLE_INET, &state, &err), &err);
	delta = bh_nft_diff(state, bh_compiler_plan(o->compiler));
	if (delta) {
		bh_nft_diff_describe(delta, 20, &text);
		fail_msg("%s: kernel and plan differ: %s", o->name, bh_buf_str(&text));
	}
}

static void start_world(struct oracle *o, struct bh_world *w, const char *name)
{
	static unsigned int n_worlds;
	struct bh_compile_config config = {
		.log_group = 100, .log_snaplen = 128, .log_rate = 100, .log_burst = 200
	};
	struct bh_err err = { 0 };

	/* By turns with the forms that many sets of ports get, though there are few. */
	if (n_worlds++ % 2)
		config.limits = (struct bh_compile_limits){ .many_ports = 1, .small_join = 1 };

	o->w = w;
	o->name = name;
	o->step = 0;
	o->compiler = bh_compiler_new(w, &config);
	assert_ok(bh_nft_cleanup(o->nft, &err), &err);
}

static void judge_world(struct oracle *o)
{
	struct bh_err err = { 0 };
	uint64_t denied, audit;

	commit(o);
	assert_ok(lab_forget_connections(&err), &err);
	denied = counter(o, BH_COUNTER_DENIED);
	audit = counter(o, BH_COUNTER_AUDIT);
	o->n_denied = o->n_audit = 0;
	make_probes(o);
	send_probes(o);
	check_probes(o);
	assert_int_equal(counter(o, BH_COUNTER_DENIED) - denied, o->n_denied);
	assert_int_equal(counter(o, BH_COUNTER_AUDIT) - audit, o->n_audit);
}

static void end_world(struct oracle *o)
{
	check_shadow(o);
	bh_compiler_free(&o->compiler);
}

/* --- random worlds ---------------------------------------------------------------------- */

static void run_seed(struct oracle *o, unsigned int seed)
{
	char name[32];
	struct gen gen;

	snprintf(name, sizeof(name), "seed %u", seed);
	gen_init(&gen, seed);
	gen_fill(&gen);
	start_world(o, gen.w, name);
	for (; o->step < STEPS; o->step++) {
		if (o->step > 0)
			gen_step(&gen);
		judge_world(o);
	}
	end_world(o);
	gen_done(&gen);
}

static void start_lab(struct oracle *o, unsigned int n_pods)
{
	struct bh_err err = { 0 };
	int r = lab_start(&o->lab, n_pods + 1, &err);

	if (r == -EPERM) {
		print_message("skipped: %s\n", bh_err_text(&err));
		skip();
	}
	assert_ok(r, &err);
	o->outside = n_pods;
	assert_ok(bh_nft_new(&o->nft, &err), &err);
}

static void stop_lab(struct oracle *o)
{
	print_message("%llu packets judged\n", (unsigned long long)o->n_sent);
	free(o->probes);
	bh_nft_free(&o->nft);
	lab_stop(&o->lab);
}

static void evaluator_plan_and_kernel_agree(void **state)
{
	static const uint16_t ports[] = { 53, 54, 80, 81, 8080, 8100, 30000, 443 };
	const char *only = getenv("BH_ORACLE_SEED");
	struct oracle o = { .ports = ports, .n_ports = BH_ARRAY_LEN(ports) };
	unsigned int seed;

	(void)state;
	start_lab(&o, GEN_ADDRS);
	make_places(&o);
	if (only)
		run_seed(&o, (unsigned int)atoi(only));
	for (seed = 0; !only && seed < SEEDS; seed++)
		run_seed(&o, seed);
	stop_lab(&o);
}

/* --- the examples -------------------------------------------------------------------------- */

static int on_object(void *ctx, const struct bh_decoded *d, struct bh_err *err)
{
	return bh_sim_add(ctx, d, err);
}

static void on_problem(void *ctx, const char *file, const char *text)
{
	(void)ctx;
	fail_msg("%s: %s", file, text);
}

/* With pods and addresses for the workloads, as the simulator makes them. */
static struct bh_sim *load_example(const char *const *paths)
{
	struct bh_sim_config config = { 0 };
	struct bh_sim *sim = bh_sim_new(&config);
	struct bh_reader reader = { .ctx = sim, .on_object = on_object, .on_problem = on_problem };
	struct bh_err err = { 0 };

	for (; *paths; paths++)
		assert_ok(bh_manifest_read(*paths, &reader, &err), &err);
	bh_sim_finish(sim);
	return sim;
}

static void make_places_of_pods(struct oracle *o)
{
	static const char *const outside[] = {
		"198.51.100.9",     "203.0.113.5",   "169.254.169.254",
		"2001:db8:ca4d::5", "2001:db8:9::9",
	};
	const struct bh_pod *const *pods;
	size_t i, k, n = bh_world_pods(o->w, &pods);
	struct bh_err err = { 0 };

	for (i = 0; i < n; i++) {
		for (k = 0; k < pods[i]->n_addrs; k++) {
			add_place(o, pods[i]->addrs[k], (unsigned int)i);
			assert_ok(lab_route(&o->lab, &pods[i]->addrs[k], (unsigned int)i, &err),
				  &err);
		}
	}
	add_outside(o, outside, BH_ARRAY_LEN(outside));
}

static void run_example(const char *const *paths)
{
	static const uint16_t ports[] = { 53, 80, 443, 5432, 6379, 7070, 8080, 9080, 9100, 50051 };
	struct oracle o = { .ports = ports, .n_ports = BH_ARRAY_LEN(ports) };
	struct bh_sim *sim = load_example(paths);

	start_lab(&o, (unsigned int)bh_world_stats(bh_sim_world(sim)).n_pods);
	start_world(&o, bh_sim_world(sim), paths[0]);
	make_places_of_pods(&o);
	judge_world(&o);
	end_world(&o);
	stop_lab(&o);
	bh_sim_free(&sim);
}

static void the_examples_are_enforced_as_they_are_judged(void **state)
{
	static const char *const examples[][3] = {
		{ "policy/examples/shop", "policy/examples/worlds" },
		{ "policy/examples/boutique" },
		{ "policy/examples/library" },
		{ "policy/examples/tiers" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(examples); i++)
		run_example(examples[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(evaluator_plan_and_kernel_agree),
		cmocka_unit_test(the_examples_are_enforced_as_they_are_judged),
	};

	return cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
}
