/*
 * The node's addresses and bridges, each test in a network namespace of its own.
 */
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "bh/node.h"
#include "test.h"

static void in_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: a network namespace needs root\n");
		skip();
	}
	assert_int_equal(system("ip link set lo up"), 0);
}

static void need_bridges(void)
{
	in_netns();
	if (system("ip link add br0 type bridge") != 0) {
		print_message("skipped: this kernel has no bridges\n");
		skip();
	}
	if (access("/proc/sys/net/bridge/bridge-nf-call-iptables", F_OK) < 0) {
		print_message("skipped: br_netfilter is not loaded\n");
		skip();
	}
}

static void set_key(const char *key, const char *value)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/bridge/%s", key);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(value, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void no_bridge_is_filtered_whatever_the_sysctls_say(void **state)
{
	struct bh_buf text = { 0 };

	(void)state;
	in_netns();
	if (access("/proc/sys/net/bridge/bridge-nf-call-iptables", F_OK) == 0)
		set_key("bridge-nf-call-iptables", "0");
	assert_int_equal(bh_node_bridges(true, &text), BH_BRIDGE_FILTERED);
	assert_string_equal(bh_buf_str(&text), "");
	bh_buf_done(&text);
}

static void a_bridge_with_both_sysctls_set_is_filtered(void **state)
{
	(void)state;
	need_bridges();
	set_key("bridge-nf-call-iptables", "1");
	set_key("bridge-nf-call-ip6tables", "1");
	assert_int_equal(bh_node_bridges(true, NULL), BH_BRIDGE_FILTERED);
}

static void one_family_off_is_a_bypass_with_name_and_fix(void **state)
{
	struct bh_buf text = { 0 };

	(void)state;
	need_bridges();
	set_key("bridge-nf-call-iptables", "1");
	set_key("bridge-nf-call-ip6tables", "0");
	assert_int_equal(bh_node_bridges(false, &text), BH_BRIDGE_BYPASSED);
	assert_contains(bh_buf_str(&text), "bridge br0 bypasses the rules");
	assert_contains(bh_buf_str(&text), "sysctl -w net.bridge.bridge-nf-call-ip6tables=1");
	bh_buf_done(&text);
}

static void repair_sets_what_was_off_and_says_so_once(void **state)
{
	struct bh_buf text = { 0 };

	(void)state;
	need_bridges();
	set_key("bridge-nf-call-iptables", "0");
	set_key("bridge-nf-call-ip6tables", "0");
	assert_int_equal(bh_node_bridges(true, &text), BH_BRIDGE_REPAIRED);
	assert_contains(bh_buf_str(&text), "br0");
	assert_int_equal(bh_node_bridges(false, NULL), BH_BRIDGE_FILTERED);
	bh_buf_done(&text);
}

static bool has(const struct bh_addr *addrs, size_t n, const char *text)
{
	struct bh_addr want;

	assert_int_equal(bh_addr_parse(text, &want, NULL), 0);
	for (size_t i = 0; i < n; i++)
		if (bh_addr_eq(&addrs[i], &want))
			return true;
	return false;
}

static void addresses_of_every_link_are_there_and_loopback_is_not(void **state)
{
	bh_auto_free struct bh_addr *addrs = NULL;
	struct bh_err err = { 0 };
	size_t n = 0;

	(void)state;
	in_netns();
	assert_int_equal(system("ip link add v0 type veth peer name v1 && "
				"ip addr add 192.0.2.1/24 dev v0 && "
				"ip addr add 192.0.2.9/32 peer 192.0.2.10 dev v1 && "
				"ip addr add 2001:db8::1/64 dev v0 nodad && "
				"ip addr add fe80::99/64 dev v1 nodad"),
			 0);
	assert_ok(bh_node_addrs(&addrs, &n, &err), &err);
	assert_true(has(addrs, n, "192.0.2.1"));
	assert_true(has(addrs, n, "192.0.2.9"));
	assert_false(has(addrs, n, "192.0.2.10")); /* the peer's, not ours */
	assert_true(has(addrs, n, "2001:db8::1"));
	assert_true(has(addrs, n, "fe80::99"));
	assert_false(has(addrs, n, "127.0.0.1"));
	assert_false(has(addrs, n, "::1"));
}

static void no_address_is_an_empty_list(void **state)
{
	bh_auto_free struct bh_addr *addrs = NULL;
	struct bh_err err = { 0 };
	size_t n = 99;

	(void)state;
	in_netns();
	assert_ok(bh_node_addrs(&addrs, &n, &err), &err);
	assert_int_equal(n, 0);
}

static void count(void *ctx)
{
	(*(int *)ctx)++;
}

static void the_watch_tells_of_a_new_link_and_merges_a_burst(void **state)
{
	struct bh_node_watch *w = NULL;
	struct bh_err err = { 0 };
	int n_changes = 0;
	uv_loop_t loop;

	(void)state;
	in_netns();
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_ok(bh_node_watch_new(&w, &loop, count, &n_changes, &err), &err);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(n_changes, 0);

	assert_int_equal(system("ip link add v0 type veth peer name v1 && ip link set v0 up && "
				"ip addr add 192.0.2.1/24 dev v0"),
			 0);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(n_changes, 1);

	bh_node_watch_free(&w);
	assert_null(w);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_bridge_is_filtered_whatever_the_sysctls_say),
		cmocka_unit_test(a_bridge_with_both_sysctls_set_is_filtered),
		cmocka_unit_test(one_family_off_is_a_bypass_with_name_and_fix),
		cmocka_unit_test(repair_sets_what_was_off_and_says_so_once),
		cmocka_unit_test(addresses_of_every_link_are_there_and_loopback_is_not),
		cmocka_unit_test(no_address_is_an_empty_list),
		cmocka_unit_test(the_watch_tells_of_a_new_link_and_merges_a_burst),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
