/*
 * The port guard: what ports get, and that the kernel takes it and gives it back.
 */
#include "test.h"

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bh/guard.h"
#include "bh/nft.h"
#include "bh/render.h"
#include "world_text.h"

static const struct bh_compile_config log_config = { .log_group = 5,
						     .log_rate = 10,
						     .log_burst = 20 };

struct fixture {
	struct bh_world *w;
	struct bh_compiler *c;
	struct bh_guard *g;
};

static void start(struct fixture *f, const char *world, const struct bh_guard_config *config)
{
	struct bh_guard_config guard = *config;

	guard.log = log_config;
	f->w = bh_world_new(&(struct bh_world_config){ .node = "n1", .mode = config->mode });
	world_text(f->w, BH_SOURCE_MANIFEST, world);
	f->c = bh_compiler_new(f->w, &log_config);
	f->g = bh_guard_new(f->w, f->c, &guard);
}

static void stop(struct fixture *f)
{
	bh_guard_free(&f->g);
	bh_compiler_free(&f->c);
	bh_world_free(&f->w);
}

static void give_port_with(struct fixture *f, const char *pod, uint32_t ifindex, const char *name,
			   uint32_t bridge, const char *extra4, const char *extra6)
{
	struct bh_cidr extra[2];
	struct bh_pod_port port = { .ifindex = ifindex, .has_mac = true, .bridge = bridge };
	struct bh_fact fact = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_NODE,
		.pod = { .namespace = "shop",
			 .name = pod,
			 .uid = "",
			 .node = "",
			 .pod_ports = &port,
			 .n_pod_ports = 1,
			 .extra = extra,
			 .n_extra = extra4 ? 2 : 0 },
	};

	if (extra4) {
		assert_ok(bh_cidr_parse(extra4, &extra[0], NULL), NULL);
		assert_ok(bh_cidr_parse(extra6, &extra[1], NULL), NULL);
	}
	snprintf(port.name, sizeof(port.name), "%s", name);
	memcpy(port.mac, (uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)ifindex }, 6);
	assert_ok(bh_world_apply(f->w, &fact, NULL), NULL);
}

static void give_port(struct fixture *f, const char *pod, uint32_t ifindex, const char *name,
		      uint32_t bridge)
{
	give_port_with(f, pod, ifindex, name, bridge, NULL, NULL);
}

static void update(struct fixture *f)
{
	bh_compiler_update(f->c);
	bh_guard_update(f->g, NULL, 0);
}

static struct bh_plan *plan_of(struct fixture *f, enum bh_table t)
{
	return t == BH_TABLE_INET ? bh_compiler_plan(f->c) : bh_guard_plan(f->g, t);
}

static bool has_key(struct fixture *f, enum bh_table t, const char *set,
		    const struct bh_key_values *v)
{
	struct bh_plan_set *s = bh_plan_set(plan_of(f, t), set);
	struct bh_elem e = { 0 }, have;

	assert_non_null(s);
	bh_plan_pack(s->spec.kind, v, e.key);
	for (size_t i = 0; i < s->n; i++) {
		bh_plan_elem(s, i, &have);
		if (memcmp(have.key, e.key, s->key_len) == 0)
			return true;
	}
	return false;
}

/* The netdev chain whose name begins so, NULL: there is none. */
static const struct bh_plan_chain *chain_of(struct fixture *f, const char *prefix)
{
	const struct bh_plan_chain *const *chains;
	size_t n = bh_plan_chains(plan_of(f, BH_TABLE_NETDEV), &chains);

	for (size_t i = 0; i < n; i++)
		if (strncmp(chains[i]->name, prefix, strlen(prefix)) == 0)
			return chains[i];
	return NULL;
}

static bool is_closed(struct fixture *f, uint32_t link)
{
	return has_key(f, BH_TABLE_BRIDGE, "closed", &(struct bh_key_values){ .link = link });
}

#define WORLD                                                                                      \
	"pod shop/a 10.244.0.11 fd00:244::11 node=n1 label=app:a\n"                                \
	"pod shop/b 10.244.0.12 fd00:244::12 node=n1 label=app:b\n"                                \
	"pod shop/c 10.244.0.13 node=n1 label=app:c\n"                                             \
	"policy shop/b pods=app=b types=ingress\n"                                                 \
	"in peer=pods/app=a port=TCP:80\n"

static void a_bridged_port_is_closed_if_an_enforced_policy_denies_ingress(void **state)
{
	static const struct {
		const char *policy;
		bool is_closed;
	} t[] = {
		{ "", false },
		{ "policy shop/p pods=app=a types=ingress\n", true },
		{ "policy shop/p pods=app=a types=egress\n", false },
		{ "policy shop/p pods=app=a types=ingress audit\n", false },
		{ "policy shop/p pods=app=a types=ingress\nin\n", false },
		{ "policy shop/p pods=app=a types=ingress\nin port=UDP\n", true },
		{ "policy shop/p pods=app=a invalid\n", true },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *world = bh_asprintf("%s%s", WORLD, t[i].policy);
		struct fixture f;

		start(&f, world, &(struct bh_guard_config){ 0 });
		give_port(&f, "a", 7, "v1", 3);
		update(&f);
		assert_int_equal(is_closed(&f, 7), t[i].is_closed);
		stop(&f);
	}
}

/* What it sends before that is not said to be forged. */
static void a_port_is_new_until_an_address_of_its_pod_is_told(void **state)
{
	static const struct {
		const char *pod;
		bool is_new;
	} t[] = {
		{ "pod shop/d node=n1\n", true },
		{ "pod shop/d fe80::1 node=n1\n", true }, /* found with the port */
		{ "pod shop/d 10.244.0.14 node=n1\n", false },
		{ "pod shop/d fd00:244::14 fe80::1 node=n1\n", false },
		{ "pod shop/d node=n1\n", true },
	};
	struct fixture f;

	(void)state;
	start(&f, WORLD, &(struct bh_guard_config){ 0 });
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		world_text(f.w, BH_SOURCE_MANIFEST, t[i].pod);
		give_port(&f, "d", 9, "v4", 3);
		update(&f);
		assert_int_equal(
			has_key(&f, BH_TABLE_NETDEV, "new", &(struct bh_key_values){ .link = 9 }),
			t[i].is_new);
	}
	stop(&f);
}

static void a_port_follows_its_pod_and_leaves_nothing_behind(void **state)
{
	const struct bh_addr b4 = wt_addr("10.244.0.12");
	const struct bh_key_values own = { .link = 9, .addr = &b4 };
	const struct bh_key key = { .kind = BH_KIND_POD,
				    .source = BH_SOURCE_NODE,
				    .namespace = "shop",
				    .name = "b",
				    .uid = "" };
	const struct bh_plan_chain *const *chains;
	const struct bh_plan_set *const *sets;
	struct fixture f;
	size_t n_chains, n;

	(void)state;
	start(&f, WORLD, &(struct bh_guard_config){ 0 });
	update(&f);
	n_chains = bh_plan_chains(plan_of(&f, BH_TABLE_NETDEV), &chains);
	give_port(&f, "b", 9, "veth/odd name", 3);
	update(&f);
	assert_true(has_key(&f, BH_TABLE_NETDEV, "src4", &own));
	assert_true(is_closed(&f, 9));
	assert_non_null(chain_of(&f, "port_9_veth_odd_name."));
	assert_string_equal(bh_guard_pod_of(f.g, 9)->name, "b");

	bh_world_remove(f.w, &key);
	update(&f);
	assert_null(bh_guard_pod_of(f.g, 9));
	assert_int_equal(bh_plan_chains(plan_of(&f, BH_TABLE_NETDEV), &chains), n_chains);
	for (enum bh_table t = BH_TABLE_NETDEV; t < BH_TABLE_COUNT_; t++) {
		n = bh_plan_sets(plan_of(&f, t), &sets);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(sets[i]->n, 0);
	}
	stop(&f);
}

static size_t count_compared(struct fixture *f, const char *chain)
{
	const struct bh_plan_chain *c = chain_of(f, chain);
	size_t n = 0;

	assert_non_null(c);
	for (size_t i = 0; i < c->n_rules; i++)
		n += c->rules[i].exprs[0].load == BH_LOAD_RAW_SADDR;
	return n;
}

/* All are looked up too, for ARP and discovery; the chain is another when they change. */
static void a_ports_chain_compares_its_pods_first_addresses(void **state)
{
	static const struct {
		const char *pod;
		size_t n_compared, n_looked_up;
	} t[] = {
		{ "pod shop/a 10.244.0.11 node=n1\n", 1, 1 },
		{ "pod shop/a 10.244.0.11 fd00:244::11 node=n1\n", 2, 2 },
		{ "pod shop/a 10.244.0.1 10.244.0.2 10.244.0.3 10.244.0.4 10.244.0.5 fd00::1 "
		  "node=n1\n",
		  4, 6 },
	};
	bh_auto_free char *name = NULL;
	struct fixture f;

	(void)state;
	start(&f, "", &(struct bh_guard_config){ 0 });
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		world_text(f.w, BH_SOURCE_MANIFEST, t[i].pod);
		give_port(&f, "a", 7, "v1", 3);
		update(&f);
		assert_int_equal(count_compared(&f, "port_7_v1."), t[i].n_compared);
		assert_int_equal(bh_plan_set(plan_of(&f, BH_TABLE_NETDEV), "src4")->n +
					 bh_plan_set(plan_of(&f, BH_TABLE_NETDEV), "src6")->n,
				 t[i].n_looked_up);
		if (name)
			assert_null(bh_plan_chain(plan_of(&f, BH_TABLE_NETDEV), name));
		free(name);
		name = bh_strdup(chain_of(&f, "port_7_v1.")->name);
	}
	stop(&f);
}

static const struct bh_plan_chain *group_chain(struct fixture *f, uint32_t link)
{
	const struct bh_plan_set *s = bh_plan_set(plan_of(f, BH_TABLE_INET), BH_GROUP_TO);
	struct bh_elem e;
	uint32_t priority;

	for (size_t i = 0; i < s->n; i++) {
		bh_plan_elem(s, i, &e);
		memcpy(&priority, e.key, sizeof(priority));
		if (priority == (BH_GROUP_BIT | link))
			return e.chain;
	}
	return NULL;
}

static void groups_are_led_to_the_profile_of_the_port_they_are_copied_to(void **state)
{
	static const struct {
		const char *policy;
		bool is_judged, is_closed;
	} t[] = {
		{ "", false, false },
		{ "policy shop/p pods=app=a types=egress\n", false, false },
		{ "policy shop/p pods=app=a types=ingress\n", true, true },
		{ "policy shop/p pods=app=a types=ingress\nin peer=pods/app=b port=UDP:1-60000\n",
		  true, true },
		/* What would be denied is written down. */
		{ "policy shop/p pods=app=a types=ingress audit\n", true, false },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *world = bh_asprintf("%s%s", WORLD, t[i].policy);
		const struct bh_key_values ip = { .link = 7, .ether_type = 0x0800 };
		const struct bh_profile *profile;
		struct fixture f;

		start(&f, world, &(struct bh_guard_config){ 0 });
		give_port(&f, "a", 7, "v1", 3);
		update(&f);
		profile = bh_compiler_profile_of(f.c, bh_guard_pod_of(f.g, 7), BH_INGRESS);
		assert_int_equal(profile != NULL, t[i].is_judged);
		assert_ptr_equal(group_chain(&f, 7), profile ? profile->chain : NULL);
		assert_int_equal(
			has_key(&f, BH_TABLE_BRIDGE, "group", &(struct bh_key_values){ .link = 7 }),
			t[i].is_judged);
		assert_int_equal(has_key(&f, BH_TABLE_BRIDGE, "to", &ip), t[i].is_judged);
		assert_int_equal(is_closed(&f, 7), t[i].is_closed);
		stop(&f);
	}
}

static void an_isolated_sender_names_what_the_port_owns(void **state)
{
	static const struct bh_addr broadcasts[] = { { .bytes = { 10, 244, 0, 255 } } };
	struct fixture f;

	(void)state;
	start(&f, WORLD "policy shop/e pods=app=a types=egress\n",
	      &(struct bh_guard_config){ .is_off = false });
	give_port(&f, "a", 7, "v1", 3);
	give_port(&f, "b", 8, "v2", 3);
	/* What is behind one that routes has addresses that it has not. */
	give_port_with(&f, "c", 9, "v3", 3, "192.168.0.0/16", "fd01::/64");
	bh_guard_set_broadcasts(f.g, broadcasts, 1);
	update(&f);
	for (uint32_t link = 7; link <= 9; link++) {
		const uint8_t mac[6] = { 2, 0, 0, 0, 0, (uint8_t)link };
		const struct bh_key_values v = { .link = link, .mac = mac };

		assert_int_equal(has_key(&f, BH_TABLE_BRIDGE, "shut", &v), link == 7);
		assert_int_equal(has_key(&f, BH_TABLE_BRIDGE, "ends", &v), link != 9);
		assert_int_equal(has_key(&f, BH_TABLE_BRIDGE, "to_macs", &v), link != 9);
	}
	assert_true(has_key(&f, BH_TABLE_BRIDGE, "broadcasts",
			    &(struct bh_key_values){ .addr = &broadcasts[0] }));
	bh_guard_set_broadcasts(f.g, NULL, 0);
	assert_false(has_key(&f, BH_TABLE_BRIDGE, "broadcasts",
			     &(struct bh_key_values){ .addr = &broadcasts[0] }));
	stop(&f);
}

static void a_link_of_no_known_pod_sends_no_odd_frames_or_nothing_at_all(void **state)
{
	const struct bh_guard_link links[] = {
		{ .ifindex = 21, .name = "veth1" },
		{ .ifindex = 22, .name = "veth2", .is_closed = true },
		{ .ifindex = 7, .name = "v1", .is_closed = true }, /* a pod has it by now */
	};
	struct bh_plan *plan;
	struct fixture f;

	(void)state;
	start(&f, WORLD, &(struct bh_guard_config){ 0 });
	give_port(&f, "a", 7, "v1", 3);
	bh_compiler_update(f.c);
	bh_guard_update(f.g, links, BH_ARRAY_LEN(links));
	plan = plan_of(&f, BH_TABLE_NETDEV);
	assert_non_null(bh_plan_chain(plan, "wild_21_veth1"));
	assert_non_null(bh_plan_chain(plan, "closed_22_veth2"));
	assert_non_null(chain_of(&f, "port_7_v1."));
	assert_null(bh_plan_chain(plan, "closed_7_v1"));
	assert_int_equal(bh_guard_stats(f.g).n_unknown, 2);
	stop(&f);
}

/* --- the kernel ----------------------------------------------------------------------------- */

static void commit(struct fixture *f, struct bh_nft *nft)
{
	struct bh_delta *deltas[BH_TABLE_COUNT_] = { 0 };
	struct bh_err err = { 0 };

	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		deltas[t] = bh_plan_delta(plan_of(f, t));
	assert_ok(bh_nft_commit(nft, (const struct bh_delta *const *)deltas, BH_TABLE_COUNT_, NULL,
				&err),
		  &err);
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		bh_delta_free(&deltas[t]);
		bh_plan_settle(plan_of(f, t));
	}
}

static void assert_read_back(struct fixture *f, struct bh_nft *nft)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;
		bh_auto(bh_delta_free) struct bh_delta *delta = NULL;
		struct bh_buf text = { 0 };
		struct bh_err err = { 0 };

		assert_ok(bh_nft_read(nft, t, &state, &err), &err);
		delta = bh_nft_diff(state, plan_of(f, t));
		if (delta)
			bh_nft_diff_describe(delta, 20, &text);
		assert_string_equal(bh_buf_str(&text), "");
		bh_buf_done(&text);
	}
}

static void the_kernel_takes_it_and_gives_it_back(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = NULL;
	struct bh_err err = { 0 };
	struct fixture f;

	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		skip();
	assert_int_equal(system("ip link add v1 type veth peer name p1 && ip link add v2 type veth "
				"peer name p2 && ip link add v3 type veth peer name p3"),
			 0);
	start(&f, WORLD, &(struct bh_guard_config){ .allows_dhcp = true });
	assert_ok(bh_nft_new(&nft, &err), &err);
	update(&f);
	commit(&f, nft);
	assert_read_back(&f, nft);
	give_port(&f, "a", if_nametoindex("v1"), "v1", 3);
	give_port(&f, "b", if_nametoindex("v2"), "v2", 3);
	give_port_with(&f, "c", if_nametoindex("v3"), "v3", 0, "198.51.100.0/24",
		       "2001:db8:5::/48");
	update(&f);
	commit(&f, nft);
	assert_read_back(&f, nft);
	/* What nft lists, it loads, and it is the same. */
	assert_int_equal(
		system("nft list ruleset >/tmp/guard.nft.$PPID && nft flush ruleset && nft -f "
		       "/tmp/guard.nft.$PPID; r=$?; rm /tmp/guard.nft.$PPID; exit $r"),
		0);
	assert_read_back(&f, nft);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bridged_port_is_closed_if_an_enforced_policy_denies_ingress),
		cmocka_unit_test(a_port_is_new_until_an_address_of_its_pod_is_told),
		cmocka_unit_test(a_port_follows_its_pod_and_leaves_nothing_behind),
		cmocka_unit_test(a_ports_chain_compares_its_pods_first_addresses),
		cmocka_unit_test(groups_are_led_to_the_profile_of_the_port_they_are_copied_to),
		cmocka_unit_test(an_isolated_sender_names_what_the_port_owns),
		cmocka_unit_test(a_link_of_no_known_pod_sends_no_odd_frames_or_nothing_at_all),
		cmocka_unit_test(the_kernel_takes_it_and_gives_it_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
