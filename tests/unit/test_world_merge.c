/*
 * What is true of a pod of which both this node's runtime and the API speak.
 */
#include "test.h"

#include "bh/world.h"
#include "world_text.h"

static const struct bh_world_config on_a = { .node = "a" };

#define CRI  BH_SOURCE_CRI
#define KUBE BH_SOURCE_KUBE

static const char *app(const struct bh_world *w, const char *name)
{
	const char *value = bh_labels_get(&wt_shop_pod(w, name)->labels, "app");

	return value ? value : "";
}

static void the_runtimes_labels_hold_until_the_api_has_some(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, CRI, "pod shop/web 10.0.0.1 uid=1 sandbox=s1 label=app:start node=a");
	assert_string_equal(app(w, "web"), "start");
	world_text(w, KUBE, "pod shop/web uid=1 label=app:now node=a at=5");
	assert_string_equal(app(w, "web"), "now");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	assert_int_equal(bh_world_stats(w).n_pods, 1);
	/* Deleted in the API, its containers still run. */
	wt_remove_pod(w, KUBE, "web", "1");
	assert_string_equal(app(w, "web"), "start");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
}

static void a_pod_that_only_the_api_knows_has_the_address_that_the_api_says(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 uid=1 node=a");
	assert_true(wt_shop_pod(w, "web")->is_local);
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	/* The runtime knows better: the sandbox has another by now. */
	world_text(w, CRI, "pod shop/web 10.0.0.2 uid=1 sandbox=s2 node=a");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "");
	assert_string_equal(wt_owner(w, "10.0.0.2"), "web");
}

static void a_terminating_pod_is_enforced_until_its_sandbox_is_gone(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE, "pod shop/web 10.0.0.1 uid=1 label=app:web node=a");
	world_text(w, CRI, "pod shop/web 10.0.0.1 uid=1 sandbox=s1 node=a");
	/* Forced deletion: the API forgets at once. */
	wt_remove_pod(w, KUBE, "web", "1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	wt_remove_pod(w, CRI, "web", "1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "");
}

static void a_pod_is_finished_when_the_runtime_says_so(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE, "pod shop/job 10.0.0.1 uid=1 node=a");
	world_text(w, CRI, "pod shop/job 10.0.0.1 uid=1 sandbox=s1 node=a finished");
	assert_true(wt_shop_pod(w, "job")->is_finished);
	assert_string_equal(wt_owner(w, "10.0.0.1"), "");
}

static void a_finished_pod_gives_its_address_to_the_next(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE,
		   "pod shop/job 10.0.0.1 uid=1 node=b finished at=9\n"
		   "pod shop/web 10.0.0.1 uid=2 node=b at=1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
}

static void a_name_made_again_is_another_pod_from_its_first_moment(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE, "pod shop/db-0 10.0.0.1 uid=1 label=app:old node=a at=1");
	world_text(w, CRI, "pod shop/db-0 10.0.0.1 uid=1 sandbox=s1 node=a at=1");
	/* The API told of the new one first, the old sandbox still stands. */
	world_text(w, KUBE, "pod shop/db-0 uid=2 label=app:new node=a at=2");
	assert_string_equal(app(w, "db-0"), "new");
	assert_int_equal(wt_shop_pod(w, "db-0")->n_addrs, 0);
	wt_remove_pod(w, KUBE, "db-0", "1");
	world_text(w, CRI, "pod shop/db-0 10.0.0.1 uid=2 sandbox=s2 node=a at=2");
	assert_string_equal(wt_shop_pod(w, "db-0")->uid, "2");
	assert_int_equal(wt_shop_pod(w, "db-0")->n_addrs, 1);
	wt_remove_pod(w, CRI, "db-0", "1");
	assert_int_equal(bh_world_stats(w).n_pods, 1);
}

static void the_runtimes_word_on_an_address_beats_a_newer_pods_in_the_api(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	/* The API is away: it still has `gone`, whose address `web` got since. */
	world_text(w, KUBE,
		   "pod shop/web 10.0.0.2 uid=1 node=a at=1\n"
		   "pod shop/gone 10.0.0.1 uid=2 node=a at=5");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "gone");
	world_text(w, CRI, "pod shop/web 10.0.0.1 uid=1 sandbox=s9 node=a at=1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	assert_int_equal(wt_shop_pod(w, "gone")->n_addrs, 0);
	/* Whoever comes last to speak. */
	world_text(w, KUBE, "pod shop/gone 10.0.0.1 uid=2 node=a at=5 label=x:y");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "web");
	wt_remove_pod(w, CRI, "web", "1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "gone");
}

static void of_two_sandboxes_of_one_address_the_newer_pods_wins(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, CRI,
		   "pod shop/new 10.0.0.1 uid=2 sandbox=s2 node=a at=2\n"
		   "pod shop/old 10.0.0.1 uid=1 sandbox=s1 node=a at=1");
	assert_string_equal(wt_owner(w, "10.0.0.1"), "new");
}

static void host_network_pods_own_nothing_whoever_tells(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE, "pod shop/proxy 192.168.0.1 uid=1 node=a host");
	world_text(w, CRI, "pod shop/proxy uid=1 sandbox=s1 node=a host");
	assert_true(wt_shop_pod(w, "proxy")->is_host_network);
	assert_string_equal(wt_owner(w, "192.168.0.1"), "");
}

static void a_pod_of_another_node_is_not_here_whatever_its_name(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE,
		   "pod shop/web 10.1.0.1 uid=1 node=b at=1\npod shop/next uid=3 at=2\n"
		   "pod shop/here 10.0.0.1 uid=2 node=a at=1");
	assert_false(wt_shop_pod(w, "web")->is_local);
	assert_false(wt_shop_pod(w, "next")->is_local);
	assert_int_equal(bh_world_stats(w).n_local_pods, 1);
	/* Scheduled here. */
	world_text(w, KUBE, "pod shop/next uid=3 at=2 node=a");
	assert_true(wt_shop_pod(w, "next")->is_local);
}

static size_t n_peers(const struct bh_world *w, const char *policy)
{
	const struct bh_policy *p = bh_world_policy(w, BH_NETWORK_POLICY, "shop", policy);
	const struct bh_pod *const *pods;
	size_t n = bh_world_pods(w, &pods), i, found = 0;

	for (i = 0; i < n; i++)
		found += bh_world_peer_is(w, p, &p->rules[BH_INGRESS].items[0].peers[0], pods[i]);
	return found;
}

static void a_namespaces_new_labels_move_its_pods_between_peers(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&on_a);

	(void)state;
	world_text(w, KUBE,
		   "ns shop\nns blue label=team:blue\npod blue/x 10.0.0.1 uid=1 node=b\n"
		   "policy shop/p types=ingress\nin peer=ns/team=blue");
	assert_int_equal(n_peers(w, "p"), 1);
	world_text(w, KUBE, "ns blue label=team:red");
	assert_int_equal(n_peers(w, "p"), 0);
	world_text(w, KUBE, "ns blue label=team:blue");
	assert_int_equal(n_peers(w, "p"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_runtimes_labels_hold_until_the_api_has_some),
		cmocka_unit_test(a_pod_that_only_the_api_knows_has_the_address_that_the_api_says),
		cmocka_unit_test(a_terminating_pod_is_enforced_until_its_sandbox_is_gone),
		cmocka_unit_test(a_pod_is_finished_when_the_runtime_says_so),
		cmocka_unit_test(a_finished_pod_gives_its_address_to_the_next),
		cmocka_unit_test(a_name_made_again_is_another_pod_from_its_first_moment),
		cmocka_unit_test(the_runtimes_word_on_an_address_beats_a_newer_pods_in_the_api),
		cmocka_unit_test(of_two_sandboxes_of_one_address_the_newer_pods_wins),
		cmocka_unit_test(host_network_pods_own_nothing_whoever_tells),
		cmocka_unit_test(a_pod_of_another_node_is_not_here_whatever_its_name),
		cmocka_unit_test(a_namespaces_new_labels_move_its_pods_between_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
