#include "test.h"

#include <errno.h>

#include "bh/buf.h"
#include "bh/world.h"
#include "world_text.h"

static const struct bh_world_config no_config;

#define CRI      BH_SOURCE_CRI
#define MANIFEST BH_SOURCE_MANIFEST
#define KUBE     BH_SOURCE_KUBE

static void remove_named(struct bh_world *w, enum bh_kind kind, enum bh_source source,
			 const char *ns, const char *name)
{
	bh_world_remove(w, &(struct bh_key){ .kind = kind,
					     .source = source,
					     .policy_kind = BH_NETWORK_POLICY,
					     .namespace = ns,
					     .name = name });
}

static const struct bh_policy *policy(const struct bh_world *w, const char *name)
{
	return bh_world_policy(w, BH_NETWORK_POLICY, "shop", name);
}

/* What a settled world makes of @text: how many changes of each kind. */
static const struct bh_changes *changes_of(struct bh_world *w, const char *text)
{
	bh_world_settle(w);
	world_text(w, KUBE, text);
	return bh_world_changes(w);
}

/* --- addresses ----------------------------------------------------------------------------- */

static void newest_pod_owns_an_address_until_it_goes(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "pod shop/old 10.0.0.1 fd00::1 uid=1 at=1");
	c = changes_of(w, "pod shop/new 10.0.0.1 uid=2 at=2");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "new");
	assert_string_equal(wt_owner(w, "fd00::1"), "old");
	assert_int_equal(c->n_pods, 2);
	assert_null(c->pods[0].before);
	assert_string_equal(c->pods[0].after->name, "new");
	assert_int_equal(c->pods[1].before->n_addrs, 2);
	assert_int_equal(c->pods[1].after->n_addrs, 1);
	assert_int_equal(c->pods[1].after->addrs[0].family, BH_IPV6);

	/* That the old one speaks again gives it nothing. */
	changes_of(w, "pod shop/old 10.0.0.1 fd00::1 uid=1 at=1 label=x:y");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "new");

	bh_world_settle(w);
	wt_remove_pod(w, KUBE, "new", "2");
	c = bh_world_changes(w);
	assert_string_equal(wt_owner(w, "10.0.0.1"), "old");
	assert_int_equal(c->n_pods, 2);
	assert_null(c->pods[0].after);
	assert_int_equal(c->pods[1].after->n_addrs, 2);
}

static void of_equally_old_pods_the_later_told_owns_the_address(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "pod shop/a 10.0.0.1\npod shop/b 10.0.0.1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "b");
	/* To be told again is not to be told later. */
	world_text(w, KUBE, "pod shop/a 10.0.0.1 label=x:y");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "b");
}

static void removing_the_loser_takes_nothing_from_the_owner(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "pod shop/old 10.0.0.1 uid=1 at=1\npod shop/new 10.0.0.1 uid=2 at=2");
	bh_world_settle(w);
	wt_remove_pod(w, KUBE, "old", "1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "new");
	assert_int_equal(bh_world_changes(w)->n_pods, 1);
}

static void three_pods_pass_an_address_on_by_age(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE,
		   "pod shop/b 10.0.0.1 at=2\npod shop/c 10.0.0.1 at=3\n"
		   "pod shop/a 10.0.0.1 at=1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "c");
	wt_remove_pod(w, KUBE, "c", "");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "b");
	assert_int_equal(wt_shop_pod(w, "a")->n_addrs, 0);
	wt_remove_pod(w, KUBE, "b", "");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "a");
	wt_remove_pod(w, KUBE, "a", "");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "");
}

static const struct bh_world_config on_n1 = { .node = "n1" };

static void node_addresses_are_no_remote_pods(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);
	struct bh_addr a = wt_addr("10.0.0.1");
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 10.0.0.2 node=n2");
	c = changes_of(w, "node n 10.0.0.1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "");
	assert_string_equal(bh_world_node_by_addr(w, &a)->name, "n");
	assert_int_equal(c->n_nodes, 1);
	assert_int_equal(c->n_pods, 1);
	assert_int_equal(c->pods[0].after->n_addrs, 1);

	world_text(w, KUBE, "pod shop/late 10.0.0.1 at=9 node=n2");
	assert_int_equal(wt_shop_pod(w, "late")->n_addrs, 0);
	remove_named(w, BH_KIND_NODE, KUBE, "", "n");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "late");
	assert_null(bh_world_node_by_addr(w, &a));
}

static void node_that_moves_gives_its_old_address_free(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);

	(void)state;
	world_text(w, KUBE,
		   "node n 10.0.0.1\nnode m 10.0.0.2\npod shop/web 10.0.0.1 10.0.0.2 node=n2");
	assert_int_equal(wt_shop_pod(w, "web")->n_addrs, 0);
	world_text(w, KUBE, "node n 10.0.0.2");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	remove_named(w, BH_KIND_NODE, KUBE, "", "m");
	assert_string_equal(wt_owner(w, "10.0.0.2"), "");
}

/* Which of n1's addresses is whose: "web" the pod, "n2" the node, "" nobody's. */
static const char *whose(const struct bh_world *w, const char *text)
{
	struct bh_addr a = wt_addr(text);
	const struct bh_node *node = bh_world_node_by_addr(w, &a);

	return node ? node->name : wt_owner(w, text);
}

static void no_node_object_takes_a_local_pods_address(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "node n2 10.0.0.1 10.0.0.2");
	c = changes_of(w, "pod shop/web 10.0.0.1 node=n1");
	assert_string_equal(whose(w, "10.0.0.1"), "web");
	assert_string_equal(whose(w, "10.0.0.2"), "n2");
	/* The node is another one to whom it may concern. */
	assert_int_equal(c->n_nodes, 1);
	assert_int_equal(c->nodes[0].before->n_addrs, 2);
	assert_int_equal(c->nodes[0].after->n_addrs, 1);

	c = changes_of(w, "node n3 10.0.0.1");
	assert_string_equal(whose(w, "10.0.0.1"), "web");
	assert_false(wt_shop_pod(w, "web")->is_contested);
	assert_int_equal(c->n_pods, 0);

	/* What this node's kernel has is so. */
	world_text(w, BH_SOURCE_NODE, "node n1 10.0.0.1 kernel");
	assert_string_equal(whose(w, "10.0.0.1"), "n1");
	remove_named(w, BH_KIND_NODE, BH_SOURCE_NODE, "", "n1");
	assert_string_equal(whose(w, "10.0.0.1"), "web");
	wt_remove_pod(w, KUBE, "web", "");
	assert_string_equal(whose(w, "10.0.0.1"), "n2");
	assert_int_equal(bh_world_node(w, "n2")->n_addrs, 2);
}

static void newer_pod_elsewhere_takes_no_address_of_a_known_one_here(void **state)
{
	static const struct {
		enum bh_source source;
		const char *known_by;
	} rows[] = {
		{ CRI, "pod shop/web 10.0.0.1 uid=1 sandbox=s1" },
		{ BH_SOURCE_NODE, "pod shop/web uid=1 link=7" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);

		world_text(w, KUBE, "pod shop/web 10.0.0.1 uid=1 node=n1 at=1");
		world_text(w, rows[i].source, rows[i].known_by);
		world_text(w, KUBE, "pod evil/evil 10.0.0.1 uid=2 node=n2 at=9");
		assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
		assert_false(wt_shop_pod(w, "web")->is_contested);
		assert_int_equal(bh_world_pod_by_name(w, "evil", "evil")->n_addrs, 0);
	}
}

static void address_that_may_be_anothers_is_closed(void **state)
{
	static const struct {
		const char *one, *other;
		bool is_contested;
	} rows[] = {
		/* A pod elsewhere against one here of which nothing but the API tells. */
		{ "pod shop/web 10.0.0.1 node=n1 uid=1 at=1", "pod evil/e 10.0.0.1 node=n2 at=9",
		  true },
		{ "pod shop/web 10.0.0.1 node=n1 uid=1 at=9", "pod evil/e 10.0.0.1 node=n2 at=1",
		  true },
		/* Manifests without times. */
		{ "pod shop/web 10.0.0.1", "pod evil/e 10.0.0.1", true },
		/* Two nodes say it. */
		{ "pod shop/web 10.0.0.1 node=n3 at=9", "pod evil/e 10.0.0.1 node=n2 at=1", true },
		/* One node's order of events. */
		{ "pod shop/web 10.0.0.1 node=n2 at=9", "pod evil/e 10.0.0.1 node=n2 at=1", false },
		{ "pod shop/web 10.0.0.1 node=n1 at=9", "pod evil/e 10.0.0.1 node=n1 at=1", false },
		/* A pod that came to another node under its name. */
		{ "pod shop/web 10.0.0.1 node=n3 uid=2 at=9",
		  "pod shop/web 10.0.0.1 node=n2 uid=1 at=1", false },
		/* Nobody has it any more. */
		{ "pod shop/web 10.0.0.1 node=n1", "pod evil/e 10.0.0.1 node=n2 finished", false },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);
		struct bh_addr a = wt_addr("10.0.0.1");
		const struct bh_pod *p;

		world_text(w, KUBE, rows[i].one);
		world_text(w, KUBE, rows[i].other);
		p = bh_world_pod_by_addr(w, &a);
		if (p->is_contested != rows[i].is_contested)
			fail_msg("row %zu", i);
		assert_int_equal(bh_pod_is_closed(p), rows[i].is_contested);
	}
}

static void contested_pod_is_open_again_when_the_other_goes(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 fd00::1 uid=1 node=n1 at=1 label=app:web");
	c = changes_of(w, "pod evil/e 10.0.0.1 uid=2 node=n2 at=9");
	assert_int_equal(c->n_pods, 2);
	assert_true(wt_shop_pod(w, "web")->is_contested);
	/* What is known of it stays to be shown. */
	assert_int_equal(wt_shop_pod(w, "web")->labels.n, 1);
	assert_int_equal(wt_shop_pod(w, "web")->n_addrs, 2);
	/* It is known by its port, and so nothing is in doubt. */
	world_text(w, BH_SOURCE_NODE, "pod shop/web uid=1 link=7");
	assert_false(wt_shop_pod(w, "web")->is_contested);
	bh_world_remove(w, &(struct bh_key){ .kind = BH_KIND_POD,
					     .source = BH_SOURCE_NODE,
					     .namespace = "shop",
					     .name = "web",
					     .uid = "1" });
	assert_true(wt_shop_pod(w, "web")->is_contested);
	bh_world_remove(w, &(struct bh_key){ .kind = BH_KIND_POD,
					     .source = KUBE,
					     .namespace = "evil",
					     .name = "e",
					     .uid = "2" });
	assert_false(wt_shop_pod(w, "web")->is_contested);
}

static void too_many_claims_are_a_doubt(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);
	struct bh_addr a = wt_addr("10.0.0.1");

	(void)state;
	for (int i = 0; i < 40; i++) {
		char text[64];

		snprintf(text, sizeof(text), "pod shop/p%d 10.0.0.1 node=n2 at=%d", i, i + 1);
		world_text(w, KUBE, text);
		assert_int_equal(bh_world_pod_by_addr(w, &a)->is_contested, i >= 32);
	}
}

static void count_conflict(void *ctx, const struct bh_addr *a, const struct bh_pod *owner,
			   const struct bh_pod *pod, const struct bh_node *node)
{
	struct bh_buf *out = ctx;
	char text[BH_ADDR_STRLEN];

	bh_buf_printf(out, "%s %s %s\n", bh_addr_format(a, text), owner ? owner->name : "-",
		      pod ? pod->name : node->name);
}

static void conflicts_are_told(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);
	struct bh_buf text = { 0 };

	(void)state;
	world_text(w, KUBE,
		   "pod shop/web 10.0.0.1 node=n1 at=1\npod shop/ok 10.0.0.2 node=n1\n"
		   "node n2 10.0.0.1");
	bh_world_conflicts(w, count_conflict, &text);
	assert_string_equal(bh_buf_str(&text), "10.0.0.1 web n2\n");
	bh_buf_reset(&text);
	world_text(w, KUBE, "node n2\npod shop/late 10.0.0.1 node=n2 at=2");
	bh_world_conflicts(w, count_conflict, &text);
	assert_string_equal(bh_buf_str(&text), "10.0.0.1 web late\n");
	bh_buf_done(&text);
}

/* --- what the node adds --------------------------------------------------------------------- */

#define NODE BH_SOURCE_NODE

static void ports_belong_to_the_pod_that_others_know(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);
	const struct bh_changes *c;
	const struct bh_pod *p;

	(void)state;
	world_text(w, NODE, "pod shop/web uid=1 link=7@3 fe80::1 10.0.0.9 extra=10.1.0.0/24");
	assert_null(wt_shop_pod(w, "web"));
	world_text(w, KUBE, "pod shop/web 10.0.0.1 uid=1 node=n1 label=app:web");
	p = wt_shop_pod(w, "web");
	assert_int_equal(p->n_pod_ports, 1);
	assert_int_equal(p->pod_ports[0].ifindex, 7);
	assert_int_equal(p->pod_ports[0].bridge, 3);
	assert_int_equal(p->n_extra, 1);
	assert_int_equal(p->n_addrs, 3);
	assert_string_equal(wt_owner(w, "fe80::1"), "web");
	assert_string_equal(wt_owner(w, "10.0.0.9"), "web");
	assert_int_equal(p->labels.n, 1);

	/* Another port is a change. */
	bh_world_settle(w);
	world_text(w, NODE, "pod shop/web uid=1 link=8@3 fe80::1 10.0.0.9 extra=10.1.0.0/24");
	c = bh_world_changes(w);
	assert_int_equal(c->n_pods, 1);
	assert_int_equal(c->pods[0].before->pod_ports[0].ifindex, 7);
	assert_int_equal(c->pods[0].after->pod_ports[0].ifindex, 8);
	bh_world_settle(w);
	world_text(w, NODE, "pod shop/web uid=1 link=8@3 fe80::1 10.0.0.9 extra=10.1.0.0/24");
	assert_false(bh_world_is_dirty(w));

	/* Of a pod of the same name, but another one, nothing is known. */
	world_text(w, KUBE, "pod shop/web 10.0.0.2 uid=2 node=n1");
	assert_int_equal(bh_world_stats(w).n_pods, 2);
	assert_int_equal(bh_world_pod_by_name(w, "shop", "web")->n_pod_ports, 0);
}

static void pods_without_a_network_of_their_own_have_no_port(void **state)
{
	static const char *const rows[] = { "host node=n1", "finished node=n1", "node=n2" };

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);
		char text[64];

		snprintf(text, sizeof(text), "pod shop/web 10.0.0.1 %s", rows[i]);
		world_text(w, KUBE, text);
		world_text(w, NODE, "pod shop/web link=7 fe80::1 extra=10.1.0.0/24");
		assert_int_equal(wt_shop_pod(w, "web")->n_pod_ports, 0);
		assert_int_equal(wt_shop_pod(w, "web")->n_extra, 0);
		assert_string_equal(wt_owner(w, "fe80::1"), "");
	}
}

static void link_local_address_of_two_pods_is_nobodys(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);

	(void)state;
	world_text(w, MANIFEST, "pod shop/a 10.0.0.1\npod shop/b 10.0.0.2\npod shop/c fe80::1");
	assert_string_equal(wt_owner(w, "fe80::1"), "c");
	world_text(w, NODE, "pod shop/a link=7 fe80::1");
	assert_string_equal(wt_owner(w, "fe80::1"), "a");
	world_text(w, NODE, "pod shop/b link=8 fe80::1 fe80::2");
	assert_string_equal(wt_owner(w, "fe80::1"), "");
	assert_string_equal(wt_owner(w, "fe80::2"), "b");
	assert_false(wt_shop_pod(w, "a")->is_contested);
	assert_false(wt_shop_pod(w, "b")->is_contested);
	assert_int_equal(wt_shop_pod(w, "a")->n_addrs, 1);
	world_text(w, NODE, "pod shop/b link=8 fe80::2");
	assert_string_equal(wt_owner(w, "fe80::1"), "a");
}

static void only_runtime_and_manifests_name_a_namespace(void **state)
{
	static const struct {
		enum bh_source source;
		bool is_heard;
	} rows[] = { { CRI, true }, { MANIFEST, true }, { KUBE, false } };

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);

		world_text(w, rows[i].source, "pod shop/web 10.0.0.1 node=n1 netns=/run/netns/x");
		assert_int_equal(wt_shop_pod(w, "web")->netns != NULL, rows[i].is_heard);
		/* Nor does any but the node name ports. */
		world_text(w, rows[i].source, "pod shop/web 10.0.0.1 node=n1 link=7");
		assert_int_equal(wt_shop_pod(w, "web")->n_pod_ports, 0);
	}
}

static void runtimes_namespace_goes_before_a_manifests(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_n1);

	(void)state;
	world_text(w, MANIFEST, "pod shop/web 10.0.0.1 netns=/run/netns/m");
	assert_string_equal(wt_shop_pod(w, "web")->netns, "/run/netns/m");
	world_text(w, CRI, "pod shop/web 10.0.0.1 uid=1 sandbox=s netns=/run/netns/r");
	assert_string_equal(wt_shop_pod(w, "web")->netns, "/run/netns/r");
}

static void host_network_pods_own_no_address(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 at=1\npod shop/agent 10.0.0.1 host at=2");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	assert_int_equal(wt_shop_pod(w, "agent")->n_addrs, 0);
}

static void finished_pods_lose_their_address_at_once(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "pod shop/job 10.0.0.1 uid=1 at=2\npod shop/web 10.0.0.1 uid=2 at=1");
	c = changes_of(w, "pod shop/job 10.0.0.1 uid=1 at=2 finished");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	assert_int_equal(c->n_pods, 2);
	assert_int_equal(c->pods[0].after->n_addrs, 0);
}

static void all_addresses_of_both_families_lead_to_the_pod(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 fd00::1 10.0.0.1 ::ffff:10.0.0.2");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	assert_string_equal(wt_owner(w, "fd00::1"), "web");
	assert_string_equal(wt_owner(w, "10.0.0.2"), "web");
	/* An address that is said twice is one. */
	assert_int_equal(wt_shop_pod(w, "web")->n_addrs, 3);
	world_text(w, KUBE, "pod shop/web fd00::2");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "");
	assert_string_equal(wt_owner(w, "fd00::2"), "web");
}

/* --- identity and merging -------------------------------------------------------------------- */

static void a_name_with_another_uid_is_another_pod(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "pod shop/db-0 10.0.0.1 uid=1 at=1 label=v:old");
	c = changes_of(w, "pod shop/db-0 10.0.0.2 uid=2 at=2 label=v:new");
	assert_int_equal(c->n_pods, 1);
	assert_null(c->pods[0].before);
	assert_int_equal(bh_world_stats(w).n_pods, 2);
	assert_string_equal(wt_shop_pod(w, "db-0")->uid, "2");

	bh_world_settle(w);
	wt_remove_pod(w, KUBE, "db-0", "1");
	c = bh_world_changes(w);
	assert_int_equal(c->n_pods, 1);
	assert_string_equal(c->pods[0].before->uid, "1");
	assert_null(c->pods[0].after);
	assert_string_equal(wt_owner(w, "10.0.0.2"), "db-0");
}

static void by_name_a_running_pod_goes_before_a_finished_one(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "pod shop/db-0 uid=1 at=1\npod shop/db-0 uid=2 at=2 finished");
	assert_string_equal(wt_shop_pod(w, "db-0")->uid, "1");
}

static void sources_are_merged_by_uid(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_pod *p;

	(void)state;
	world_text(w, KUBE,
		   "pod shop/web 10.0.0.9 uid=1 label=app:web port=http:TCP:80 node=n at=7");
	world_text(w, CRI,
		   "pod shop/web 10.0.0.1 uid=1 label=app:stale port=http:TCP:81 "
		   "port=mesh:TCP:15000 at=8");
	assert_int_equal(bh_world_stats(w).n_pods, 1);
	p = wt_shop_pod(w, "web");
	assert_string_equal(bh_labels_get(&p->labels, "app"), "web");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	assert_string_equal(wt_owner(w, "10.0.0.9"), "");
	assert_int_equal(p->n_ports, 2);
	assert_int_equal(p->ports[0].number, 80);
	assert_string_equal(p->ports[1].name, "mesh");
	assert_string_equal(p->node, "n");
	assert_int_equal(p->created_ns, 7);

	/* The runtime says whether it runs. */
	world_text(w, CRI, "pod shop/web uid=1 finished");
	assert_true(wt_shop_pod(w, "web")->is_finished);
	assert_string_equal(wt_owner(w, "10.0.0.9"), "");
	wt_remove_pod(w, CRI, "web", "1");
	assert_false(wt_shop_pod(w, "web")->is_finished);
	assert_string_equal(wt_owner(w, "10.0.0.9"), "web");
	wt_remove_pod(w, KUBE, "web", "1");
	assert_null(wt_shop_pod(w, "web"));
}

static void facts_without_uid_describe_every_pod_of_the_name(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_pod *const *pods;
	size_t i, n;

	(void)state;
	world_text(w, MANIFEST, "pod shop/web 10.0.0.9 label=app:web");
	assert_string_equal(wt_shop_pod(w, "web")->uid, "");
	world_text(w, CRI, "pod shop/web 10.0.0.1 uid=1 label=app:a\npod shop/web 10.0.0.2 uid=2");
	n = bh_world_pods(w, &pods);
	assert_int_equal(n, 2);
	for (i = 0; i < n; i++)
		assert_string_equal(bh_labels_get(&pods[i]->labels, "app"), "web");
	assert_string_equal(wt_owner(w, "10.0.0.9"), "");

	/* It is a pod of its own again when nobody else knows one. */
	wt_remove_pod(w, CRI, "web", "1");
	wt_remove_pod(w, CRI, "web", "2");
	assert_int_equal(bh_world_stats(w).n_pods, 1);
	assert_string_equal(wt_owner(w, "10.0.0.9"), "web");
}

static void facts_without_uid_of_several_sources_are_one_pod(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, MANIFEST, "pod shop/web label=app:web");
	world_text(w, CRI, "pod shop/web 10.0.0.1");
	assert_int_equal(bh_world_stats(w).n_pods, 1);
	assert_string_equal(bh_labels_get(&wt_shop_pod(w, "web")->labels, "app"), "web");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
}

static void labels_are_unknown_until_a_source_has_them(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "pod shop/web uid=1 nolabels");
	assert_true(wt_shop_pod(w, "web")->has_no_labels_yet);
	world_text(w, CRI, "pod shop/web 10.0.0.1 uid=1 label=app:web");
	assert_false(wt_shop_pod(w, "web")->has_no_labels_yet);
	assert_string_equal(bh_labels_get(&wt_shop_pod(w, "web")->labels, "app"), "web");
}

static void pods_of_the_own_or_of_no_node_are_local_unless_unscheduled(void **state)
{
	static const struct bh_world_config on_a = { .node = "a" }, on_b = { .node = "b" };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE, "pod shop/here node=a\npod shop/there node=b\npod shop/pending");
	world_text(w, MANIFEST, "pod shop/nowhere");
	world_text(w, CRI, "pod shop/mine");
	assert_false(wt_shop_pod(w, "pending")->is_local);
	assert_true(wt_shop_pod(w, "here")->is_local);
	assert_false(wt_shop_pod(w, "there")->is_local);
	assert_true(wt_shop_pod(w, "nowhere")->is_local);
	assert_true(wt_shop_pod(w, "mine")->is_local);
	assert_int_equal(bh_world_stats(w).n_local_pods, 3);

	bh_world_settle(w);
	bh_world_configure(w, &on_b);
	assert_int_equal(bh_world_changes(w)->n_pods, 2);
	assert_true(wt_shop_pod(w, "there")->is_local);
	assert_false(wt_shop_pod(w, "here")->is_local);
	assert_string_equal(bh_world_own_node(w), "b");
}

static void the_highest_source_of_a_policy_is_in_force(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "policy shop/p types=both");
	world_text(w, MANIFEST, "policy shop/p types=ingress");
	assert_true(policy(w, "p")->isolates[BH_EGRESS]);
	remove_named(w, BH_KIND_POLICY, KUBE, "shop", "p");
	assert_false(policy(w, "p")->isolates[BH_EGRESS]);
	remove_named(w, BH_KIND_POLICY, MANIFEST, "shop", "p");
	assert_null(policy(w, "p"));
}

/* --- namespaces ------------------------------------------------------------------ */

static void namespaces_exist_as_long_as_something_names_them(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_namespace *ns;

	(void)state;
	assert_null(bh_world_namespace(w, "shop"));
	world_text(w, KUBE, "pod shop/web uid=1\npolicy shop/p types=both");
	ns = bh_world_namespace(w, "shop");
	assert_int_equal(ns->labels.n, 1);
	assert_string_equal(bh_labels_get(&ns->labels, "kubernetes.io/metadata.name"), "shop");
	wt_remove_pod(w, KUBE, "web", "1");
	assert_non_null(bh_world_namespace(w, "shop"));
	remove_named(w, BH_KIND_POLICY, KUBE, "shop", "p");
	assert_null(bh_world_namespace(w, "shop"));
	assert_int_equal(bh_world_changes(w)->n_namespaces, 0);
}

static void the_name_label_is_the_worlds(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "ns shop label=kubernetes.io/metadata.name:forged label=a:b");
	assert_string_equal(bh_labels_get(&bh_world_namespace(w, "shop")->labels,
					  "kubernetes.io/metadata.name"),
			    "shop");
}

static void a_namespace_deleted_and_made_again_keeps_its_pods(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "ns shop label=team:red\npod shop/web 10.0.0.1");
	bh_world_settle(w);
	remove_named(w, BH_KIND_NAMESPACE, KUBE, "", "shop");
	c = bh_world_changes(w);
	assert_int_equal(c->n_namespaces, 1);
	assert_int_equal(c->namespaces[0].after->labels.n, 1);

	c = changes_of(w, "ns shop label=team:blue");
	assert_int_equal(c->n_namespaces, 1);
	assert_int_equal(c->n_pods, 0);
	assert_string_equal(bh_labels_get(&bh_world_namespace(w, "shop")->labels, "team"), "blue");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
}

static void namespace_changes_are_told_of_the_namespace_only(void **state)
{
	static const char *const texts[] = { "ns shop label=team:blue", "ns shop audit",
					     "ns shop deny=ingress" };
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(texts); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
		const struct bh_changes *c;

		world_text(w, KUBE,
			   "ns shop label=team:red\npod shop/web\npolicy shop/p types=both");
		c = changes_of(w, texts[i]);
		assert_int_equal(c->n_namespaces, 1);
		assert_int_equal(c->n_pods, 0);
	}
}

/* --- default deny ---------------------------------------------------------------- */

static const struct bh_policy *deny_of(const struct bh_world *w, const char *ns)
{
	return bh_world_policy(w, BH_DEFAULT_DENY, ns, "default-deny");
}

static const char *const exempt[] = { "kube-system" };
static const char *const trusted[] = { "lab" };

static void default_deny_comes_from_configuration_and_annotation(void **state)
{
	static const struct bh_world_config config = {
		.default_deny = { true, false },
		.exempt_namespaces = exempt,
		.n_exempt_namespaces = 1,
		.trust = { .namespaces = trusted, .n_namespaces = 1 },
	};
	static const struct {
		const char *text, *ns;
		int in, eg; /* rules that deny */
	} t[] = {
		{ "pod shop/web", "shop", 1, 0 },
		{ "pod kube-system/dns", "kube-system", 0, 0 },
		{ "ns kube-system deny=both", "kube-system", 1, 1 },
		{ "ns shop deny=none", "shop", 1, 0 },
		{ "ns shop deny=egress", "shop", 1, 1 },
		{ "ns lab deny=none", "lab", 0, 0 },
		{ "ns lab deny=egress", "lab", 0, 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&config);
		const struct bh_policy *p;

		world_text(w, KUBE, t[i].text);
		p = deny_of(w, t[i].ns);
		assert_int_equal(p != NULL, t[i].in || t[i].eg);
		if (!p)
			continue;
		assert_int_equal(p->tier, BH_TIER_DEFAULT_DENY);
		assert_int_equal(p->rules[BH_INGRESS].n, t[i].in);
		assert_int_equal(p->rules[BH_EGRESS].n, t[i].eg);
		assert_int_equal(p->rules[t[i].in ? BH_INGRESS : BH_EGRESS].items[0].action,
				 BH_DENY);
	}
}

static void configuring_default_deny_changes_policies(void **state)
{
	static const struct bh_world_config deny = {
		.default_deny = { true, true },
		.trust.of = { [BH_ANNOTATION_DEFAULT_DENY] = BH_TRUST_ALL },
	};
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "pod shop/web\nns quiet deny=none");
	bh_world_settle(w);
	bh_world_configure(w, &deny);
	c = bh_world_changes(w);
	assert_int_equal(c->n_policies, 1);
	assert_ptr_equal(c->policies[0].after, deny_of(w, "shop"));
	bh_world_settle(w);
	bh_world_configure(w, &no_config);
	assert_null(deny_of(w, "shop"));
	assert_null(bh_world_changes(w)->policies[0].after);
	bh_world_configure(w, &deny);
	assert_int_equal(bh_world_changes(w)->n_policies, 0);
}

static void nobody_else_makes_a_default_deny(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	struct bh_fact fact = { .kind = BH_KIND_POLICY,
				.policy = {
					.kind = BH_DEFAULT_DENY, .name = "x", .namespace = "y" } };
	struct bh_err err = { 0 };

	(void)state;
	assert_err(bh_world_apply(w, &fact, &err), &err, -EINVAL, "its own");
}

/* --- quarantine ------------------------------------------------------------------ */

static void apply_quarantine(struct bh_world *w, const char *pod)
{
	static const struct bh_rule deny = { .action = BH_DENY };
	const struct bh_fact fact = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_NODE,
		.policy = { .kind = BH_QUARANTINE,
			    .tier = BH_TIER_QUARANTINE,
			    .namespace = "shop",
			    .name = "web",
			    .pod = pod,
			    .uid = "",
			    .rules = { [BH_INGRESS] = { &deny, 1 }, [BH_EGRESS] = { &deny, 1 } } },
	};
	struct bh_err err = { 0 };

	assert_ok(bh_world_apply(w, &fact, &err), &err);
}

static void a_quarantine_is_first_and_about_one_pod(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_policy *const *policies, *p;
	size_t n;

	(void)state;
	world_text(w, KUBE,
		   "pod shop/web\npod shop/twin\nns shop audit\n"
		   "policy shop/a types=both");
	apply_quarantine(w, "web");
	n = bh_world_policies_of(w, "shop", &policies);
	assert_int_equal(n, 2);
	p = policies[0];
	assert_ptr_equal(p, bh_world_policy(w, BH_QUARANTINE, "shop", "web"));
	assert_true(bh_world_selects(w, p, bh_world_pod_by_name(w, "shop", "web")));
	assert_false(bh_world_selects(w, p, bh_world_pod_by_name(w, "shop", "twin")));
	assert_int_equal(bh_world_policy_mode(w, p), BH_ENFORCE);
	assert_int_equal(bh_world_policy_mode(w, policies[1]), BH_AUDIT);
}

static void only_the_node_tells_a_quarantine(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_fact fact = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_KUBE,
		.policy = { .kind = BH_QUARANTINE, .name = "x", .namespace = "y" }
	};
	struct bh_err err = { 0 };

	(void)state;
	assert_err(bh_world_apply(w, &fact, &err), &err, -EPERM, "operator");
}

static const struct bh_policy *annotated(const struct bh_world *w)
{
	return bh_world_policy(w, BH_QUARANTINE, "lab", BH_QUARANTINE_BY_ANNOTATION);
}

static void an_annotation_counts_where_the_namespace_is_trusted(void **state)
{
	static const struct bh_world_config trusting = {
		.trust = { .namespaces = trusted, .n_namespaces = 1 },
	};
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	struct bh_fact fact = { .kind = BH_KIND_POD,
				.source = BH_SOURCE_KUBE,
				.pod = { .namespace = "lab",
					 .name = "a",
					 .uid = "u",
					 .node = "",
					 .is_quarantined = true } };
	struct bh_err err = { 0 };

	(void)state;
	world_text(w, KUBE, "pod lab/b");
	assert_ok(bh_world_apply(w, &fact, &err), &err);
	assert_null(annotated(w));
	assert_int_equal(bh_world_ignored(w, NULL, NULL), 1);
	bh_world_configure(w, &trusting);
	assert_non_null(annotated(w));
	assert_int_equal(bh_world_ignored(w, NULL, NULL), 0);
	assert_true(bh_world_selects(w, annotated(w), bh_world_pod_by_name(w, "lab", "a")));
	assert_false(bh_world_selects(w, annotated(w), bh_world_pod_by_name(w, "lab", "b")));
	fact.pod.is_quarantined = false;
	assert_ok(bh_world_apply(w, &fact, &err), &err);
	assert_null(annotated(w));
}

/* --- modes and order ------------------------------------------------------------- */

static void audit_of_policy_namespace_or_world_is_audit(void **state)
{
	static const struct bh_world_config audit = { .mode = BH_AUDIT };
	static const struct {
		const struct bh_world_config *config;
		const char *text;
		enum bh_mode want;
	} t[] = {
		{ &no_config, "policy shop/p types=both", BH_ENFORCE },
		{ &no_config, "policy shop/p types=both audit", BH_AUDIT },
		{ &no_config, "ns shop audit\npolicy shop/p types=both", BH_AUDIT },
		{ &no_config, "ns other audit\npolicy shop/p types=both", BH_ENFORCE },
		{ &audit, "policy shop/p types=both", BH_AUDIT },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(t[i].config);

		world_text(w, KUBE, t[i].text);
		assert_int_equal(bh_world_policy_mode(w, policy(w, "p")), t[i].want);
	}
}

/* --- which annotations count --------------------------------------------------------- */

#define TRUST(mode, deny)                                                                          \
	{                                                                                          \
		.of = { [BH_ANNOTATION_MODE] = BH_TRUST_##mode,                                    \
			[BH_ANNOTATION_DEFAULT_DENY] = BH_TRUST_##deny },                          \
		.namespaces = trusted, .n_namespaces = 1                                           \
	}

static void note_ignored(void *ctx, const struct bh_ignored *i)
{
	struct bh_buf *b = ctx;

	assert_memory_equal(i->why, "ignored", 7);
	bh_buf_printf(b, "%s%s", b->len ? " " : "", i->kind);
	bh_buf_printf(b, " %s:%s", i->name, bh_annotation_str(i->annotation));
}

/* Modes of a policy, of the default deny, and what is said to be ignored. */
static void annotations_count_where_configuration_lets_them(void **state)
{
	static const struct bh_trust_config by_default = TRUST(DEFAULT, DEFAULT),
					    all = TRUST(ALL, ALL), none = TRUST(NONE, NONE),
					    in_trusted = TRUST(NAMESPACES, NAMESPACES);
	static const struct {
		const struct bh_trust_config *trust;
		const char *text, *ns;
		enum bh_mode policy, deny;
		const char *ignored;
	} t[] = {
		/* A tenant's own policy is its own to audit: it could delete it. */
		{ &by_default, "policy shop/p types=both audit", "shop", BH_AUDIT, BH_ENFORCE, "" },
		{ &all, "policy shop/p types=both audit", "shop", BH_AUDIT, BH_ENFORCE, "" },
		{ &none, "policy shop/p types=both audit", "shop", BH_ENFORCE, BH_ENFORCE,
		  "NetworkPolicy p:mode" },
		{ &none, "policy lab/p types=both audit", "lab", BH_ENFORCE, BH_ENFORCE,
		  "NetworkPolicy p:mode" },
		{ &in_trusted, "policy shop/p types=both audit", "shop", BH_ENFORCE, BH_ENFORCE,
		  "NetworkPolicy p:mode" },
		{ &in_trusted, "policy lab/p types=both audit", "lab", BH_AUDIT, BH_ENFORCE, "" },
		/* What the configuration denies is not the namespace's. */
		{ &by_default, "ns shop audit\npolicy shop/p types=both", "shop", BH_AUDIT,
		  BH_ENFORCE, "Namespace shop:mode" },
		{ &by_default, "ns lab audit\npolicy lab/p types=both", "lab", BH_AUDIT, BH_AUDIT,
		  "" },
		{ &all, "ns shop audit\npolicy shop/p types=both", "shop", BH_AUDIT, BH_AUDIT, "" },
		{ &none, "ns lab audit\npolicy lab/p types=both", "lab", BH_ENFORCE, BH_ENFORCE,
		  "Namespace lab:mode" },
		{ &in_trusted, "ns shop audit\npolicy shop/p types=both", "shop", BH_ENFORCE,
		  BH_ENFORCE, "Namespace shop:mode" },
		{ &in_trusted, "ns lab audit\npolicy lab/p types=both", "lab", BH_AUDIT, BH_AUDIT,
		  "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		const struct bh_world_config config = { .default_deny = { true, true },
							.trust = *t[i].trust };
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&config);
		bh_auto(bh_buf_done) struct bh_buf ignored = { 0 };

		world_text(w, KUBE, t[i].text);
		assert_int_equal(bh_world_policy_mode(
					 w, bh_world_policy(w, BH_NETWORK_POLICY, t[i].ns, "p")),
				 t[i].policy);
		assert_int_equal(bh_world_policy_mode(w, deny_of(w, t[i].ns)), t[i].deny);
		bh_world_ignored(w, note_ignored, &ignored);
		assert_string_equal(bh_buf_str(&ignored), t[i].ignored);
	}
}

static void a_namespace_takes_nothing_from_the_default_deny_unless_trusted(void **state)
{
	static const struct {
		enum bh_trust trust;
		const char *text, *ns;
		bool in, eg;
		size_t n_ignored;
	} t[] = {
		{ BH_TRUST_DEFAULT, "ns shop deny=none", "shop", true, false, 1 },
		{ BH_TRUST_DEFAULT, "ns shop deny=egress", "shop", true, true, 1 },
		{ BH_TRUST_DEFAULT, "ns shop deny=both", "shop", true, true, 0 },
		{ BH_TRUST_DEFAULT, "ns lab deny=none", "lab", false, false, 0 },
		{ BH_TRUST_NO_OVERRIDE, "ns shop deny=none", "shop", true, false, 1 },
		{ BH_TRUST_ALL, "ns shop deny=none", "shop", false, false, 0 },
		{ BH_TRUST_NONE, "ns lab deny=none", "lab", true, false, 1 },
		{ BH_TRUST_NONE, "ns shop deny=both", "shop", true, false, 1 },
		{ BH_TRUST_NAMESPACES, "ns shop deny=both", "shop", true, false, 1 },
		{ BH_TRUST_NAMESPACES, "ns lab deny=egress", "lab", false, true, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		const struct bh_world_config config = {
			.default_deny = { [BH_INGRESS] = true },
			.trust = { .of = { [BH_ANNOTATION_DEFAULT_DENY] = t[i].trust },
				   .namespaces = trusted,
				   .n_namespaces = 1 },
		};
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&config);
		const struct bh_policy *p;

		world_text(w, KUBE, t[i].text);
		p = deny_of(w, t[i].ns);
		assert_int_equal(p && p->rules[BH_INGRESS].n, t[i].in);
		assert_int_equal(p && p->rules[BH_EGRESS].n, t[i].eg);
		assert_int_equal(bh_world_ignored(w, NULL, NULL), t[i].n_ignored);
	}
}

static void named_ports_of_an_annotation_count_where_they_may(void **state)
{
	static const char *const text = "pod shop/web 10.0.0.1 uid=u port=http:TCP:80";
	const struct bh_world_config config = {
		.trust = { .of = { [BH_ANNOTATION_PORTS] = BH_TRUST_NAMESPACES } },
	};
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&config);
	bh_auto(bh_buf_done) struct bh_buf ignored = { 0 };
	const struct bh_pod *pod;

	(void)state;
	world_text(w, CRI, text);
	pod = bh_world_pod_by_name(w, "shop", "web");
	assert_int_equal(pod->n_ports, 0);
	bh_world_ignored(w, note_ignored, &ignored);
	assert_string_equal(bh_buf_str(&ignored), "Pod web:ports");
	/* The API's word is no annotation. */
	world_text(w, KUBE, text);
	assert_int_equal(bh_world_pod_by_name(w, "shop", "web")->n_ports, 1);
}

static void whose_annotations_count_is_a_change(void **state)
{
	const struct bh_world_config none = { .trust = TRUST(NONE, NONE) };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "ns shop audit deny=both");
	bh_world_settle(w);
	bh_world_configure(w, &none);
	assert_true(bh_world_changes(w)->is_mode_changed);
	assert_null(deny_of(w, "shop"));
	bh_world_settle(w);
	assert_false(bh_world_is_dirty(w));
}

static void who_may_set_an_annotation_is_read_by_key_or_for_all(void **state)
{
	static const struct {
		const char *text;
		enum bh_trust mode, deny, ports;
		const char *error;
	} t[] = {
		{ "mode=none", BH_TRUST_NONE, 0, 0, NULL },
		{ "default-deny=trusted-namespaces", 0, BH_TRUST_NAMESPACES, 0, NULL },
		{ "none", BH_TRUST_NONE, BH_TRUST_NONE, BH_TRUST_NONE, NULL },
		{ "no-override", BH_TRUST_NO_OVERRIDE, BH_TRUST_NO_OVERRIDE, BH_TRUST_DEFAULT,
		  NULL },
		{ "mode=some", 0, 0, 0, "'some' is none of all, no-override, trusted-namespaces" },
		{ "default", 0, 0, 0, "'default' is none of" },
		{ "mod=all", 0, 0, 0, "'mod' is no annotation" },
		{ "=all", 0, 0, 0, "'' is no annotation" },
		{ "ports=no-override", 0, 0, 0, "ports overrides nothing" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		enum bh_trust of[BH_ANNOTATION_COUNT_] = { 0 };
		struct bh_err err = { 0 };
		int r = bh_trust_parse(t[i].text, of, &err);

		if (t[i].error)
			assert_err(r, &err, -EINVAL, t[i].error);
		else
			assert_ok(r, &err);
		assert_int_equal(of[BH_ANNOTATION_MODE], t[i].mode);
		assert_int_equal(of[BH_ANNOTATION_DEFAULT_DENY], t[i].deny);
		assert_int_equal(of[BH_ANNOTATION_PORTS], t[i].ports);
	}
}

static void changing_the_worlds_mode_is_a_change(void **state)
{
	static const struct bh_world_config audit = { .mode = BH_AUDIT };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	bh_world_configure(w, &audit);
	assert_true(bh_world_is_dirty(w));
	assert_true(bh_world_changes(w)->is_mode_changed);
	bh_world_configure(w, &no_config);
	assert_false(bh_world_is_dirty(w));
	bh_world_configure(w, &audit);
	bh_world_settle(w);
	assert_false(bh_world_changes(w)->is_mode_changed);
}

static void assert_policies_of(const struct bh_world *w, const char *ns, const char *want)
{
	const struct bh_policy *const *list;
	size_t n = bh_world_policies_of(w, ns, &list), i;
	struct bh_buf b = { 0 };

	for (i = 0; i < n; i++)
		bh_buf_printf(&b, "%s%s", i ? " " : "", list[i]->name);
	assert_string_equal(bh_buf_str(&b), want);
	bh_buf_done(&b);
}

static void policies_of_a_namespace_come_in_evaluation_order(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE,
		   "policy shop/b types=both\npolicy shop/a types=both\n"
		   "policy other/c types=both\nns shop deny=both label=team:red");
	assert_policies_of(w, "shop", "a b default-deny");
	assert_policies_of(w, "nowhere", "");
	world_text(w, KUBE,
		   "cluster z tier=admin prio=1 ns=*\ncluster y tier=admin prio=2 ns=*\n"
		   "cluster x tier=admin prio=2 ns=team=red\ncluster w tier=baseline ns=*");
	assert_policies_of(w, "shop", "z x y a b w default-deny");
	assert_policies_of(w, "other", "z y c w");
	/* Also after the namespace's labels changed, or a policy went. */
	world_text(w, KUBE, "ns other label=team:red\nns shop");
	assert_policies_of(w, "other", "z x y c w");
	assert_policies_of(w, "shop", "z y a b w");
	remove_named(w, BH_KIND_POLICY, KUBE, "shop", "a");
	assert_policies_of(w, "shop", "z y b w");
}

static void listings_depend_on_names_only(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	static const char *const want[] = { "a/z", "b/a", "b/a", "b/b" };
	const struct bh_pod *const *pods;
	size_t i;

	(void)state;
	world_text(w, KUBE, "pod b/b\npod b/a uid=2\npod a/z\npod b/a uid=1");
	assert_int_equal(bh_world_pods(w, &pods), 4);
	for (i = 0; i < 4; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%s/%s", pods[i]->namespace, pods[i]->name);
		assert_string_equal(text, want[i]);
	}
	assert_string_equal(pods[1]->uid, "1");
}

/* --- changes --------------------------------------------------------------------- */

static void several_changes_of_a_pod_are_one(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_changes *c;

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 uid=1 label=v:1");
	c = changes_of(w, "pod shop/web 10.0.0.2 uid=1 label=v:2\n"
			  "pod shop/web 10.0.0.3 uid=1 label=v:3");
	assert_int_equal(c->n_pods, 1);
	assert_string_equal(bh_labels_get(&c->pods[0].before->labels, "v"), "1");
	assert_int_equal(c->pods[0].before->addrs[0].bytes[3], 1);
	assert_string_equal(bh_labels_get(&c->pods[0].after->labels, "v"), "3");
	assert_ptr_equal(c->pods[0].after, wt_shop_pod(w, "web"));
}

static void what_says_nothing_new_is_no_change(void **state)
{
	static const char text[] = "pod shop/web 10.0.0.1 uid=1 label=a:b port=http:TCP:80\n"
				   "ns shop label=a:b\nnode n 10.1.0.1\n"
				   "policy shop/p types=both\nin peer=pods/a=b port=TCP:80";
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_pod *before;

	(void)state;
	world_text(w, KUBE, text);
	before = wt_shop_pod(w, "web");
	changes_of(w, text);
	assert_false(bh_world_is_dirty(w));
	assert_ptr_equal(wt_shop_pod(w, "web"), before);
	/* A lower source that adds nothing changes nothing. */
	world_text(w, MANIFEST, "ns shop label=x:y\npolicy shop/p types=ingress");
	assert_false(bh_world_is_dirty(w));
}

static void what_goes_and_comes_back_the_same_is_no_change(void **state)
{
	static const char text[] = "pod shop/web 10.0.0.1 uid=1 label=a:b\nnode n 10.1.0.1\n"
				   "policy shop/p types=both\nin";
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_policy *p;
	const struct bh_pod *web;

	(void)state;
	world_text(w, KUBE, text);
	bh_world_settle(w);
	web = wt_shop_pod(w, "web");
	p = policy(w, "p");
	wt_remove_pod(w, KUBE, "web", "1");
	remove_named(w, BH_KIND_NODE, KUBE, "", "n");
	remove_named(w, BH_KIND_POLICY, KUBE, "shop", "p");
	assert_true(bh_world_is_dirty(w));
	world_text(w, KUBE, text);
	assert_false(bh_world_is_dirty(w));
	bh_world_settle(w);
	assert_ptr_equal(wt_shop_pod(w, "web"), web);
	assert_ptr_equal(policy(w, "p"), p);
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
}

static void what_comes_and_goes_is_no_change(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 uid=1\npod shop/old 10.0.0.2");
	changes_of(w, "pod shop/new 10.0.0.1 10.0.0.2 uid=2 at=3");
	assert_int_equal(bh_world_changes(w)->n_pods, 3);
	wt_remove_pod(w, KUBE, "new", "2");
	assert_false(bh_world_is_dirty(w));
	assert_int_equal(bh_world_changes(w)->n_pods, 0);
}

static void replaced_objects_live_until_the_settle(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_pod *first, *second;

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 uid=1 label=v:1");
	first = wt_shop_pod(w, "web");
	world_text(w, KUBE, "pod shop/web 10.0.0.2 uid=1 label=v:2");
	second = wt_shop_pod(w, "web");
	wt_remove_pod(w, KUBE, "web", "1");
	assert_string_equal(bh_labels_get(&first->labels, "v"), "1");
	assert_string_equal(bh_labels_get(&second->labels, "v"), "2");
	assert_string_equal(first->namespace, "shop");
	assert_int_equal(second->addrs[0].bytes[3], 2);
}

static void a_policy_under_the_same_name_is_a_change(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	struct bh_fact fact = { .kind = BH_KIND_POLICY,
				.source = KUBE,
				.policy = { .kind = BH_NETWORK_POLICY,
					    .tier = BH_TIER_NETWORK_POLICY,
					    .namespace = "shop",
					    .name = "p",
					    .uid = "1" } };
	const struct bh_changes *c;

	(void)state;
	assert_int_equal(bh_world_apply(w, &fact, NULL), 0);
	bh_world_settle(w);
	remove_named(w, BH_KIND_POLICY, KUBE, "shop", "p");
	fact.policy.uid = "2";
	assert_int_equal(bh_world_apply(w, &fact, NULL), 0);
	c = bh_world_changes(w);
	assert_int_equal(c->n_policies, 1);
	assert_string_equal(c->policies[0].before->uid, "1");
	assert_string_equal(c->policies[0].after->uid, "2");
}

/* Each part of a policy counts. */
static void any_part_of_a_policy_makes_a_change(void **state)
{
	static const char base[] = "policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/c=d "
				   "peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-2\neg\n";
	static const char *const others[] = {
		"policy shop/p pods=a=c types=both\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-2\neg\n",
		"policy shop/p pods=a=b types=ingress\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-2\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x!=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-2\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/+c "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-2\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/9-10.1.0.0/16 port=TCP:1-2\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.2.0.0/16 port=TCP:1-2\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8 port=TCP:1-2\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-3\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:http\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=UDP:1-2\neg\n",
		"policy shop/p pods=a=b types=both\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-2\n",
		"policy shop/p pods=a=b types=both audit\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-2\neg\n",
		"policy shop/p pods=a=b types=both invalid\nin peer=ns/x=y&pods/c=d "
		"peer=cidr/10.0.0.0/8-10.1.0.0/16 port=TCP:1-2\neg\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(others); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

		world_text(w, KUBE, base);
		if (changes_of(w, others[i])->n_policies != 1)
			fail_msg("no change: %s", others[i]);
		world_text(w, KUBE, base);
		assert_false(bh_world_is_dirty(w));
	}
}

/* --- search and limits ----------------------------------------------------------- */

static void collect(void *ctx, const struct bh_pod *p)
{
	struct bh_buf *b = ctx;

	bh_buf_printf(b, "%s ", p->name);
}

static void assert_found(const struct bh_world *w, const char *own_ns, const char *ns,
			 const char *pods, const char *want)
{
	struct wt t = { .arena = bh_arena_new() };
	struct bh_selector ns_sel = wt_selector(&t, ns), pod_sel = wt_selector(&t, pods);
	struct bh_buf b = { 0 };

	bh_world_find_pods(w, own_ns, &ns_sel, &pod_sel, collect, &b);
	assert_string_equal(bh_buf_str(&b), want);
	bh_buf_done(&b);
	bh_arena_free(&t.arena);
}

static void search_finds_who_is_selected(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);

	(void)state;
	world_text(w, KUBE,
		   "ns shop label=team:red\nns other label=team:blue\n"
		   "pod shop/web label=app:web\npod shop/db label=app:db label=tier:x\n"
		   "pod other/api label=app:api\npod shop/agent label=app:web host\n"
		   "pod shop/job label=app:web finished\npod shop/young nolabels");
	assert_found(w, "shop", "*", "app=web", "web ");
	assert_found(w, "shop", "*", "app=api", "");
	assert_found(w, "nowhere", "*", "*", "");
	assert_found(w, NULL, "*", "app=api", "api ");
	assert_found(w, NULL, "team=blue", "*", "api ");
	assert_found(w, NULL, "team=blue", "app=web", "");
	assert_found(w, NULL, "*", "+tier", "db ");
	assert_found(w, NULL, "team=red", "!tier", "web ");
	/* Of unknown labels: it is one of all, and neither has nor lacks any. */
	world_text(w, KUBE, "pod new/fresh nolabels");
	assert_found(w, "new", "*", "*", "fresh ");
	assert_found(w, "new", "*", "!tier", "");
	assert_found(w, NULL, "kubernetes.io/metadata.name=other", "app!=web", "api ");
	world_text(w, KUBE, "pod shop/web label=app:api\nns other");
	assert_found(w, "shop", "*", "app=web", "");
	assert_found(w, NULL, "team=blue", "*", "");
}

static void equal_strings_are_the_same_pointer(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_pod *a, *b;

	(void)state;
	world_text(w, KUBE,
		   "pod shop/a label=app:web node=n\npod shop/b label=app:web node=n "
		   "label=x:web");
	a = wt_shop_pod(w, "a");
	b = wt_shop_pod(w, "b");
	assert_ptr_equal(a->namespace, b->namespace);
	assert_ptr_equal(a->namespace, bh_world_namespace(w, "shop")->name);
	assert_ptr_equal(a->node, b->node);
	assert_ptr_equal(a->labels.items[0].key, b->labels.items[0].key);
	assert_ptr_equal(a->labels.items[0].value, b->labels.items[1].value);
}

static void broken_facts_are_refused_and_change_nothing(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	static const struct bh_addr addrs[300];
	const struct {
		struct bh_fact fact;
		int code;
		const char *text;
	} t[] = {
		{ { .kind = BH_KIND_POD, .pod = { .name = "x" } }, -EINVAL, "Pod: namespace" },
		{ { .kind = BH_KIND_POD, .pod = { .namespace = "x", .name = "" } },
		  -EINVAL,
		  "Pod: name" },
		{ { .kind = BH_KIND_NAMESPACE }, -EINVAL, "Namespace: name" },
		{ { .kind = BH_KIND_NODE }, -EINVAL, "Node: name" },
		{ { .kind = BH_KIND_POLICY, .policy = { .name = "p" } },
		  -EINVAL,
		  "Policy: namespace" },
		{ { .kind = BH_KIND_POD,
		    .pod = { .namespace = "a", .name = "b", .addrs = addrs, .n_addrs = 300 } },
		  -E2BIG,
		  "pod a/b: more than 256 addresses" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_err err = { 0 };

		assert_err(bh_world_apply(w, &t[i].fact, &err), &err, t[i].code, t[i].text);
	}
	assert_false(bh_world_is_dirty(w));
	/* What nobody told is forgotten without a word. */
	wt_remove_pod(w, KUBE, "none", NULL);
	remove_named(w, BH_KIND_POLICY, KUBE, "none", "none");
	remove_named(w, BH_KIND_NODE, KUBE, "", "none");
	assert_false(bh_world_is_dirty(w));
}

static void too_many_namespaces_are_refused(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	struct bh_fact fact = { .kind = BH_KIND_NAMESPACE, .source = KUBE };
	struct bh_err err = { 0 };
	char name[32];
	int i;

	(void)state;
	for (i = 0; i < BH_MAX_NAMESPACES; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		fact.ns.name = name;
		assert_ok(bh_world_apply(w, &fact, &err), &err);
	}
	fact.ns.name = "one-more";
	assert_err(bh_world_apply(w, &fact, &err), &err, -E2BIG, "100000");
	fact = (struct bh_fact){ .kind = BH_KIND_POD, .pod = { .namespace = "new", .name = "p" } };
	assert_err(bh_world_apply(w, &fact, &err), &err, -E2BIG, "pod new/p: namespace new");
	/* Known ones can still change. */
	fact = (struct bh_fact){ .kind = BH_KIND_POD, .pod = { .namespace = "n7", .name = "p" } };
	assert_ok(bh_world_apply(w, &fact, &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_pod_owns_an_address_until_it_goes),
		cmocka_unit_test(of_equally_old_pods_the_later_told_owns_the_address),
		cmocka_unit_test(removing_the_loser_takes_nothing_from_the_owner),
		cmocka_unit_test(three_pods_pass_an_address_on_by_age),
		cmocka_unit_test(node_addresses_are_no_remote_pods),
		cmocka_unit_test(node_that_moves_gives_its_old_address_free),
		cmocka_unit_test(no_node_object_takes_a_local_pods_address),
		cmocka_unit_test(newer_pod_elsewhere_takes_no_address_of_a_known_one_here),
		cmocka_unit_test(address_that_may_be_anothers_is_closed),
		cmocka_unit_test(contested_pod_is_open_again_when_the_other_goes),
		cmocka_unit_test(too_many_claims_are_a_doubt),
		cmocka_unit_test(conflicts_are_told),
		cmocka_unit_test(ports_belong_to_the_pod_that_others_know),
		cmocka_unit_test(pods_without_a_network_of_their_own_have_no_port),
		cmocka_unit_test(link_local_address_of_two_pods_is_nobodys),
		cmocka_unit_test(only_runtime_and_manifests_name_a_namespace),
		cmocka_unit_test(runtimes_namespace_goes_before_a_manifests),
		cmocka_unit_test(host_network_pods_own_no_address),
		cmocka_unit_test(finished_pods_lose_their_address_at_once),
		cmocka_unit_test(all_addresses_of_both_families_lead_to_the_pod),
		cmocka_unit_test(a_name_with_another_uid_is_another_pod),
		cmocka_unit_test(by_name_a_running_pod_goes_before_a_finished_one),
		cmocka_unit_test(sources_are_merged_by_uid),
		cmocka_unit_test(facts_without_uid_describe_every_pod_of_the_name),
		cmocka_unit_test(facts_without_uid_of_several_sources_are_one_pod),
		cmocka_unit_test(labels_are_unknown_until_a_source_has_them),
		cmocka_unit_test(pods_of_the_own_or_of_no_node_are_local_unless_unscheduled),
		cmocka_unit_test(the_highest_source_of_a_policy_is_in_force),
		cmocka_unit_test(namespaces_exist_as_long_as_something_names_them),
		cmocka_unit_test(the_name_label_is_the_worlds),
		cmocka_unit_test(a_namespace_deleted_and_made_again_keeps_its_pods),
		cmocka_unit_test(namespace_changes_are_told_of_the_namespace_only),
		cmocka_unit_test(default_deny_comes_from_configuration_and_annotation),
		cmocka_unit_test(configuring_default_deny_changes_policies),
		cmocka_unit_test(nobody_else_makes_a_default_deny),
		cmocka_unit_test(a_quarantine_is_first_and_about_one_pod),
		cmocka_unit_test(only_the_node_tells_a_quarantine),
		cmocka_unit_test(an_annotation_counts_where_the_namespace_is_trusted),
		cmocka_unit_test(audit_of_policy_namespace_or_world_is_audit),
		cmocka_unit_test(annotations_count_where_configuration_lets_them),
		cmocka_unit_test(a_namespace_takes_nothing_from_the_default_deny_unless_trusted),
		cmocka_unit_test(named_ports_of_an_annotation_count_where_they_may),
		cmocka_unit_test(whose_annotations_count_is_a_change),
		cmocka_unit_test(who_may_set_an_annotation_is_read_by_key_or_for_all),
		cmocka_unit_test(changing_the_worlds_mode_is_a_change),
		cmocka_unit_test(policies_of_a_namespace_come_in_evaluation_order),
		cmocka_unit_test(listings_depend_on_names_only),
		cmocka_unit_test(several_changes_of_a_pod_are_one),
		cmocka_unit_test(what_says_nothing_new_is_no_change),
		cmocka_unit_test(what_goes_and_comes_back_the_same_is_no_change),
		cmocka_unit_test(what_comes_and_goes_is_no_change),
		cmocka_unit_test(replaced_objects_live_until_the_settle),
		cmocka_unit_test(a_policy_under_the_same_name_is_a_change),
		cmocka_unit_test(any_part_of_a_policy_makes_a_change),
		cmocka_unit_test(search_finds_who_is_selected),
		cmocka_unit_test(equal_strings_are_the_same_pointer),
		cmocka_unit_test(broken_facts_are_refused_and_change_nothing),
		cmocka_unit_test(too_many_namespaces_are_refused),
	};

	return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
