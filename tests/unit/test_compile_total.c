/*
 * Totals of a namespace and of the node, on small worlds: pod NS/pI has the label app=I, and
 * its policy of the same name allows some ports of it to a selector, a rule each.
 */
#include "test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <time.h>

#include "bh/compile.h"

struct lab {
	struct bh_world *w;
	struct bh_compiler *c;
};

static struct lab lab_new(const struct bh_compile_limits *limits)
{
	const struct bh_compile_config config = { .limits = *limits,
						  .log_group = 5,
						  .log_snaplen = 128 };
	struct lab lab = { .w = bh_world_new(&(struct bh_world_config){ .node = "n1" }) };

	lab.c = bh_compiler_new(lab.w, &config);
	return lab;
}

static void lab_done(struct lab *lab)
{
	bh_compiler_free(&lab->c);
	bh_world_free(&lab->w);
}

static void add_pod(struct lab *lab, const char *ns, int i)
{
	char name[16], app[16], ip[32];
	struct bh_label label = { "app", app };
	struct bh_addr a;
	struct bh_fact f = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_KUBE,
		.pod = { .namespace = ns,
			 .name = name,
			 .uid = name,
			 .node = "n1",
			 .labels = { &label, 1 },
			 .addrs = &a,
			 .n_addrs = 1 },
	};

	snprintf(name, sizeof(name), "p%d", i);
	snprintf(app, sizeof(app), "%d", i);
	snprintf(ip, sizeof(ip), "10.%d.%d.%d", ns[0], i >> 8, i & 255);
	assert_ok(bh_addr_parse(ip, &a, NULL), NULL);
	assert_ok(bh_world_apply(lab->w, &f, NULL), NULL);
}

static void put_policy(struct lab *lab, const char *ns, int i, const struct bh_rule *rules,
		       size_t n)
{
	char name[16], app[16];
	const char *value = app;
	struct bh_requirement req = {
		.key = "app", .op = BH_SEL_IN, .values = &value, .n_values = 1
	};
	struct bh_fact f = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_KUBE,
		.policy = { .kind = BH_NETWORK_POLICY,
			    .tier = BH_TIER_NETWORK_POLICY,
			    .namespace = ns,
			    .name = name,
			    .uid = "",
			    .pods = { &req, 1 },
			    .isolates = { [BH_INGRESS] = true },
			    .rules = { [BH_INGRESS] = { (struct bh_rule *)(uintptr_t)rules, n } } },
	};

	snprintf(name, sizeof(name), "p%d", i);
	snprintf(app, sizeof(app), "%d", i);
	assert_ok(bh_world_apply(lab->w, &f, NULL), NULL);
}

/* A single address of its own. */
static struct bh_cidr address(char ns, int i, size_t k)
{
	return (struct bh_cidr){
		.addr = { .family = BH_IPV4,
			  .bytes = { (uint8_t)ns, (uint8_t)i, (uint8_t)(k >> 8), (uint8_t)k } },
		.prefix_len = 32,
	};
}

/* @n rules that say different things, each a prefix of its own with a port of its own. */
static void add_policy(struct lab *lab, const char *ns, int i, size_t n)
{
	struct bh_peer peers[512];
	struct bh_policy_port ports[512];
	struct bh_rule rules[512];

	assert_true(n <= BH_ARRAY_LEN(rules));
	for (size_t k = 0; k < n; k++) {
		/* Every second, so that they do not touch. */
		peers[k] =
			(struct bh_peer){ .kind = BH_PEER_CIDR, .cidr = address(ns[0], i, 2 * k) };
		ports[k] = (struct bh_policy_port){ .protocol = IPPROTO_TCP,
						    .first = (uint16_t)(k + 1),
						    .last = (uint16_t)(k + 1) };
		rules[k] = (struct bh_rule){ .has_peers = true,
					     .peers = &peers[k],
					     .n_peers = 1,
					     .has_ports = true,
					     .ports = &ports[k],
					     .n_ports = 1 };
	}
	put_policy(lab, ns, i, rules, n);
}

static void remove_policy(struct lab *lab, const char *ns, int i)
{
	char name[16];
	struct bh_key key = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_KUBE,
		.policy_kind = BH_NETWORK_POLICY,
		.namespace = ns,
		.name = name,
		.uid = "",
	};

	snprintf(name, sizeof(name), "p%d", i);
	bh_world_remove(lab->w, &key);
}

static void add(struct lab *lab, const char *ns, int i, size_t n)
{
	add_pod(lab, ns, i);
	add_policy(lab, ns, i, n);
}

static const char *closed(const struct lab *lab, const char *ns, int i)
{
	char name[16];
	const struct bh_profile *p;

	snprintf(name, sizeof(name), "p%d", i);
	p = bh_compiler_profile_of(lab->c, bh_world_pod_by_name(lab->w, ns, name), BH_INGRESS);
	assert_non_null(p);
	return p->closed;
}

static size_t count_closed(const struct lab *lab, const char *ns, int n)
{
	size_t n_closed = 0;

	for (int i = 0; i < n; i++)
		n_closed += closed(lab, ns, i) != NULL;
	return n_closed;
}

static void the_largest_of_a_namespace_beyond_its_total_are_closed_and_named(void **state)
{
	bh_auto(lab_done) struct lab lab = lab_new(&(struct bh_compile_limits){ .ns_elems = 100 });

	(void)state;
	for (int i = 0; i < 5; i++)
		add(&lab, "evil", i, (size_t)(20 + 10 * i));
	add(&lab, "shop", 1, 90);
	bh_compiler_update(lab.c);
	/* 20, 30 and 40 fit. */
	assert_null(closed(&lab, "evil", 0));
	assert_null(closed(&lab, "evil", 2));
	assert_string_equal(closed(&lab, "evil", 3),
			    "NetworkPolicy evil/p3: the policies of the namespace need more than "
			    "100 set elements on this node, which is the limit, and these are "
			    "among the largest");
	assert_non_null(closed(&lab, "evil", 4));
	assert_null(closed(&lab, "shop", 1));
	assert_int_equal(bh_compiler_stats(lab.c).n_over, 2);
	assert_string_equal(bh_compiler_next_over(lab.c)->blamed->namespace, "evil");
	assert_non_null(bh_compiler_next_over(lab.c));
	assert_null(bh_compiler_next_over(lab.c));

	/* Others of the namespace go: there is room. */
	remove_policy(&lab, "evil", 2);
	bh_compiler_update(lab.c);
	assert_null(closed(&lab, "evil", 3));
	assert_non_null(closed(&lab, "evil", 4));

	/* One that is smaller comes before it. */
	add_policy(&lab, "evil", 2, 10);
	add(&lab, "evil", 5, 45);
	bh_compiler_update(lab.c);
	assert_null(closed(&lab, "evil", 2));
	assert_non_null(closed(&lab, "evil", 3));
	assert_non_null(closed(&lab, "evil", 5));
}

static void a_namespace_within_its_share_of_the_node_is_never_closed(void **state)
{
	bh_auto(lab_done) struct lab lab =
		lab_new(&(struct bh_compile_limits){ .ns_elems = 200, .node_elems = 300 });

	(void)state;
	/* Three that want all they may have, and one that wants less than a quarter. */
	for (int i = 0; i < 20; i++) {
		add(&lab, "a", i, 10);
		add(&lab, "b", i, 10);
		add(&lab, "evil", i, 10);
	}
	add(&lab, "shop", 0, 55);
	bh_compiler_update(lab.c);
	assert_null(closed(&lab, "shop", 0));
	/* What it leaves is for the three: 245 elements. */
	assert_int_equal(count_closed(&lab, "a", 20), 12);
	assert_int_equal(count_closed(&lab, "b", 20), 12);
	assert_int_equal(count_closed(&lab, "evil", 20), 12);

	/* One that comes later has its share all the same. */
	add(&lab, "zoo", 0, 60);
	bh_compiler_update(lab.c);
	assert_null(closed(&lab, "zoo", 0));
	assert_null(closed(&lab, "shop", 0));
}

/* Each has as many elements as three quarters of what one namespace may have. */
static void what_is_shared_is_counted_once(void **state)
{
	bh_auto(lab_done) struct lab lab =
		lab_new(&(struct bh_compile_limits){ .ns_elems = 2000, .node_elems = 2500 });
	static const char *const spaces[] = { "a", "b", "c" };
	static struct bh_peer peers[1500];
	const struct bh_rule rule = { .has_peers = true,
				      .peers = peers,
				      .n_peers = BH_ARRAY_LEN(peers) };

	(void)state;
	for (size_t k = 0; k < BH_ARRAY_LEN(peers); k++)
		peers[k] = (struct bh_peer){ .kind = BH_PEER_CIDR, .cidr = address('x', 0, 2 * k) };
	for (size_t s = 0; s < BH_ARRAY_LEN(spaces); s++) {
		for (int i = 0; i < 30; i++) {
			add_pod(&lab, spaces[s], i);
			put_policy(&lab, spaces[s], i, &rule, 1);
		}
	}
	bh_compiler_update(lab.c);
	assert_int_equal(bh_compiler_stats(lab.c).n_over, 0);
	assert_int_equal(bh_compiler_stats(lab.c).n_profiles, 90);
}

/* However many there are, no more is ever built than what may be there, and little beside. */
static void what_there_is_no_room_for_is_not_even_built(void **state)
{
	bh_auto(lab_done) struct lab lab =
		lab_new(&(struct bh_compile_limits){ .ns_us = 20000, .node_us = 40000 });
	clock_t start = clock();

	(void)state;
	for (int i = 0; i < 200; i++)
		add(&lab, "evil", i, 400);
	start = clock();
	bh_compiler_update(lab.c);
	/* Each takes 2.5 ms by the estimate. */
	assert_in_range(200 - count_closed(&lab, "evil", 200), 4, 16);
	assert_true(clock() - start < CLOCKS_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_of_a_namespace_beyond_its_total_are_closed_and_named),
		cmocka_unit_test(a_namespace_within_its_share_of_the_node_is_never_closed),
		cmocka_unit_test(what_is_shared_is_counted_once),
		cmocka_unit_test(what_there_is_no_room_for_is_not_even_built),
	};

	return cmocka_run_group_tests_name("compile_total", tests, NULL, NULL);
}
