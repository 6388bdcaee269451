#include "test.h"

#include <netinet/in.h>

#include "bh/compile.h"
#include "planwalk.h"

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
	/* The set of peers, and those of this node's pods. */
	assert_int_equal(count_ops(bh_compiler_plan(c), &n_elems), 3);
	assert_int_equal(n_elems, 3);
	assert_false(tcp(c, "10.0.0.9", "10.0.0.1", 80).is_dropped);
	assert_true(tcp(c, "10.0.0.9", "10.0.0.1", 81).is_dropped);
	bh_plan_settle(bh_compiler_plan(c));

	add_pod(w, "web2", "web", "10.0.0.2");
	bh_compiler_update(c);
	/* The map, and the sets of this node's pods. */
	assert_int_equal(count_ops(bh_compiler_plan(c), &n_elems), 3);
	assert_int_equal(n_elems, 3);
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

	allow(w, "q", "api", "nobody", 80, 80);
	bh_compiler_update(c);
	assert_int_equal(count_ops(bh_compiler_plan(c), &n_elems), 0);

	/* It is one more of this node's pods, and no more. */
	add_pod(w, "other", "other", "10.0.0.3");
	bh_compiler_update(c);
	assert_int_equal(count_ops(bh_compiler_plan(c), &n_elems), 2);
	assert_int_equal(n_elems, 2);
}

static void an_address_without_a_pod_is_closed_within_the_ranges(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	struct bh_compile_config closing = config;
	bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
	struct bh_range ranges[] = { { addr("10.0.0.0"), addr("10.0.0.20") },
				     { addr("10.0.0.15"), addr("10.0.0.30") } };

	(void)state;
	closing.closes_unknown = true;
	c = bh_compiler_new(w, &closing);
	add_pod(w, "web1", "web", "10.0.0.1");
	bh_compiler_update(c);
	assert_false(tcp(c, "10.0.0.9", "10.0.0.1", 80).is_dropped);
	bh_plan_settle(bh_compiler_plan(c));

	bh_compiler_close_unknown(c, ranges, 2);
	assert_true(bh_plan_is_dirty(bh_compiler_plan(c)));
	assert_true(tcp(c, "10.0.0.9", "10.0.0.1", 80).is_dropped);
	assert_true(tcp(c, "10.0.0.1", "10.0.0.30", 80).is_dropped);
	assert_true(tcp(c, "192.0.2.1", "10.0.0.0", 80).is_dropped);
	assert_false(tcp(c, "192.0.2.1", "10.0.0.1", 80).is_dropped);
	assert_false(tcp(c, "10.0.0.31", "10.0.0.1", 80).is_dropped);

	add_pod(w, "web2", "web", "10.0.0.9");
	bh_compiler_update(c);
	assert_false(tcp(c, "10.0.0.9", "10.0.0.1", 80).is_dropped);

	/* The same again is no change. */
	bh_plan_settle(bh_compiler_plan(c));
	bh_compiler_close_unknown(c, ranges, 2);
	assert_null(bh_plan_delta(bh_compiler_plan(c)));
	bh_compiler_close_unknown(c, NULL, 0);
	assert_false(tcp(c, "192.0.2.1", "10.0.0.0", 80).is_dropped);
}

static void audit_passes_what_has_no_pod(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w =
		bh_world_new(&(struct bh_world_config){ .node = "n1", .mode = BH_AUDIT });
	struct bh_compile_config closing = config;
	bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
	struct bh_range range = { addr("10.0.0.0"), addr("10.0.0.255") };
	struct fate fate;

	(void)state;
	closing.closes_unknown = true;
	c = bh_compiler_new(w, &closing);
	bh_compiler_update(c);
	bh_compiler_close_unknown(c, &range, 1);
	fate = tcp(c, "10.0.0.9", "192.0.2.1", 80);
	assert_false(fate.is_dropped);
	assert_true(fate.is_audited[BH_EGRESS]);
	assert_false(fate.is_audited[BH_INGRESS]);
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
	bh_auto(bh_compiler_free) struct bh_compiler *fresh = bh_compiler_new(w, &config);
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
	bh_compiler_update(fresh);
	assert_true(bh_plan_equal(bh_compiler_plan(c), bh_compiler_plan(fresh), NULL));
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

static void nothing_that_is_audited_is_closed_for_want_of_a_set(void **state)
{
	const struct bh_world_config audit = { .node = "n1", .mode = BH_AUDIT };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&audit);
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);
	const struct bh_plan_set *const *sets;
	size_t n, i;

	(void)state;
	add_pod(w, "web", "web", "10.0.0.1");
	add_pod(w, "api", "api", "10.0.0.3");
	allow(w, "p", "api", "web", 80, 80);
	bh_compiler_update(c);
	n = bh_plan_sets(bh_compiler_plan(c), &sets);
	for (i = 0; i < n; i++)
		if (sets[i]->spec.comment && strcmp(sets[i]->spec.comment, "shop: app=api") == 0)
			break;
	assert_int_equal(bh_compiler_close(c, sets[i]->spec.name, "too many elements"), 1);
	assert_string_equal(ingress_of(c, w, "web")->closed, "too many elements");
	assert_false(tcp(c, "10.0.0.3", "10.0.0.1", 80).is_dropped);
	assert_true(tcp(c, "10.0.0.3", "10.0.0.1", 80).is_audited[BH_INGRESS]);
}

static void a_pod_of_unknown_labels_is_closed_except_in_a_world_in_audit(void **state)
{
	struct bh_world_config mode = { .node = "n1", .mode = BH_AUDIT };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&mode);
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &config);
	struct bh_addr a = addr("10.0.0.1");
	struct bh_fact f = { .kind = BH_KIND_POD, .source = BH_SOURCE_CRI };
	struct fate fate;

	(void)state;
	f.pod = (struct bh_pod){ .namespace = "shop",
				 .name = "young",
				 .uid = "1",
				 .node = "n1",
				 .addrs = &a,
				 .n_addrs = 1,
				 .has_no_labels_yet = true };
	assert_ok(bh_world_apply(w, &f, NULL), NULL);
	bh_compiler_update(c);
	fate = tcp(c, "10.9.9.9", "10.0.0.1", 80);
	assert_false(fate.is_dropped);
	assert_true(fate.is_audited[BH_INGRESS]);

	mode.mode = BH_ENFORCE;
	bh_world_configure(w, &mode);
	bh_compiler_update(c);
	fate = tcp(c, "10.9.9.9", "10.0.0.1", 80);
	assert_true(fate.is_dropped);
	assert_true(fate.is_denied[BH_INGRESS]);
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

/* --- budgets ---------------------------------------------------------------------- */

/* Policies @first to @last, each of another app and another port. */
static void allow_many(struct bh_world *w, uint16_t first, uint16_t last)
{
	for (uint16_t i = first; i <= last; i++) {
		char name[32], app[32];

		snprintf(name, sizeof(name), "p%u", i);
		snprintf(app, sizeof(app), "api%u", i);
		allow(w, name, app, "web", i, i);
	}
}

static void what_is_beyond_its_budget_is_closed_and_named_once(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	struct bh_compile_config tight = config;
	bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
	const struct bh_profile *over;

	(void)state;
	tight.limits.selectors = 10;
	c = bh_compiler_new(w, &tight);
	add_pod(w, "web", "web", "10.0.0.1");
	add_pod(w, "db", "db", "10.0.0.2");
	add_pod(w, "api", "api1", "10.0.0.3");
	allow(w, "q", "api1", "db", 80, 80);
	allow_many(w, 1, 11);
	bh_compiler_update(c);
	assert_string_equal(ingress_of(c, w, "web")->closed,
			    "NetworkPolicy shop/p1 and 10 others need 11 selectors of peers, "
			    "limit 10");
	assert_true(tcp(c, "10.0.0.3", "10.0.0.1", 1).is_dropped);
	assert_false(tcp(c, "10.0.0.3", "10.0.0.2", 80).is_dropped);
	assert_int_equal(bh_compiler_stats(c).n_over, 1);
	over = bh_compiler_next_over(c);
	assert_ptr_equal(over, ingress_of(c, w, "web"));
	assert_string_equal(over->blamed->name, "p1");
	assert_null(bh_compiler_next_over(c));

	/* Less is wanted: it is built. */
	allow(w, "p11", "api1", "web", 11, 11);
	bh_compiler_update(c);
	assert_null(ingress_of(c, w, "web")->closed);
	assert_false(tcp(c, "10.0.0.3", "10.0.0.1", 11).is_dropped);
	assert_null(bh_compiler_next_over(c));
}

static void add_peers(struct bh_world *w, unsigned int first, unsigned int last)
{
	for (unsigned int i = first; i <= last; i++) {
		char name[32], app[32], ip[32];

		snprintf(name, sizeof(name), "api-%u", i);
		snprintf(app, sizeof(app), "api%u", i % 6 + 1);
		snprintf(ip, sizeof(ip), "10.1.0.%u", i + 1);
		add_pod(w, name, app, ip);
	}
}

static void remove_peers(struct bh_world *w, unsigned int first, unsigned int last)
{
	for (unsigned int i = first; i <= last; i++) {
		char name[32];
		struct bh_key key = { .kind = BH_KIND_POD,
				      .source = BH_SOURCE_KUBE,
				      .namespace = "shop" };

		snprintf(name, sizeof(name), "api-%u", i);
		key.name = key.uid = name;
		bh_world_remove(w, &key);
	}
}

static void peers_that_come_close_a_profile_and_open_it_again_when_half_are_gone(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = new_world();
	struct bh_compile_config tight = config;
	bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
	bh_auto(bh_compiler_free) struct bh_compiler *fresh = NULL;

	(void)state;
	tight.limits.peer_elems = 20;
	c = bh_compiler_new(w, &tight);
	fresh = bh_compiler_new(w, &tight);
	add_pod(w, "web", "web", "10.0.0.1");
	allow_many(w, 1, 6);
	add_peers(w, 0, 19);
	bh_compiler_update(c);
	bh_plan_settle(bh_compiler_plan(c));
	assert_null(ingress_of(c, w, "web")->closed);
	assert_false(tcp(c, "10.1.0.1", "10.0.0.1", 1).is_dropped);

	add_peers(w, 20, 20);
	bh_compiler_update(c);
	assert_string_equal(ingress_of(c, w, "web")->closed,
			    "NetworkPolicy shop/p1 and 5 others need more than 20 set elements "
			    "for peers, which is the limit");
	assert_true(tcp(c, "10.1.0.1", "10.0.0.1", 1).is_dropped);

	/* Below the limit, and yet closed: pods at the limit do not open and close it by turns. */
	remove_peers(w, 11, 20);
	bh_compiler_update(c);
	assert_non_null(ingress_of(c, w, "web")->closed);
	remove_peers(w, 10, 10);
	bh_compiler_update(c);
	assert_null(ingress_of(c, w, "web")->closed);
	assert_false(tcp(c, "10.1.0.1", "10.0.0.1", 1).is_dropped);
	assert_true(tcp(c, "10.1.0.1", "10.0.0.1", 2).is_dropped);
	bh_compiler_update(fresh);
	assert_true(bh_plan_equal(bh_compiler_plan(c), bh_compiler_plan(fresh), NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pods_of_one_profile_share_a_chain),
		cmocka_unit_test(a_pod_that_comes_is_one_element_in_each_set),
		cmocka_unit_test(a_change_that_concerns_nobody_here_changes_nothing),
		cmocka_unit_test(an_address_without_a_pod_is_closed_within_the_ranges),
		cmocka_unit_test(audit_passes_what_has_no_pod),
		cmocka_unit_test(the_number_of_rules_does_not_grow_with_policies),
		cmocka_unit_test(an_icmp_packet_never_matches_a_rule_with_ports),
		cmocka_unit_test(what_the_kernel_refuses_is_closed_until_its_policies_change),
		cmocka_unit_test(nothing_that_is_audited_is_closed_for_want_of_a_set),
		cmocka_unit_test(a_pod_of_unknown_labels_is_closed_except_in_a_world_in_audit),
		cmocka_unit_test(gone_profiles_are_known_for_a_while_but_not_for_ever),
		cmocka_unit_test(what_is_beyond_its_budget_is_closed_and_named_once),
		cmocka_unit_test(
			peers_that_come_close_a_profile_and_open_it_again_when_half_are_gone),
	};

	return cmocka_run_group_tests_name("compile", tests, NULL, NULL);
}
