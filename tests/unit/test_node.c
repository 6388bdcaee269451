/*
 * The node's addresses and bridges, each test in a network namespace of its own.
 */
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "bh/clock.h"
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
	assert_int_equal(bh_node_bridges(NULL, true, &text), BH_BRIDGE_FILTERED);
	assert_string_equal(bh_buf_str(&text), "");
	bh_buf_done(&text);
}

static void a_bridge_with_both_sysctls_set_is_filtered(void **state)
{
	(void)state;
	need_bridges();
	set_key("bridge-nf-call-iptables", "1");
	set_key("bridge-nf-call-ip6tables", "1");
	assert_int_equal(bh_node_bridges(NULL, true, NULL), BH_BRIDGE_FILTERED);
}

static void one_family_off_is_a_bypass_with_name_and_fix(void **state)
{
	struct bh_buf text = { 0 };

	(void)state;
	need_bridges();
	set_key("bridge-nf-call-iptables", "1");
	set_key("bridge-nf-call-ip6tables", "0");
	assert_int_equal(bh_node_bridges(NULL, false, &text), BH_BRIDGE_BYPASSED);
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
	assert_int_equal(bh_node_bridges(NULL, true, &text), BH_BRIDGE_REPAIRED);
	assert_contains(bh_buf_str(&text), "br0");
	assert_int_equal(bh_node_bridges(NULL, false, NULL), BH_BRIDGE_FILTERED);
	bh_buf_done(&text);
}

static void count(void *ctx)
{
	(*(int *)ctx)++;
}

/* The watch in a loop of its own. */
struct lab {
	struct bh_node_watch *w;
	int n_changes;
	uv_loop_t loop;
};

static void open_lab(struct lab *lab)
{
	struct bh_err err = { 0 };

	lab->w = NULL;
	lab->n_changes = 0;
	assert_int_equal(uv_loop_init(&lab->loop), 0);
	assert_ok(bh_node_watch_new(&lab->w, &lab->loop, count, &lab->n_changes, &err), &err);
	uv_run(&lab->loop, UV_RUN_NOWAIT);
	assert_int_equal(lab->n_changes, 0);
}

static void close_lab(struct lab *lab)
{
	bh_node_watch_free(&lab->w);
	assert_null(lab->w);
	uv_run(&lab->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&lab->loop), 0);
}

static bool has(const struct lab *lab, const char *text)
{
	const struct bh_addr *addrs;
	size_t n = bh_node_watch_addrs(lab->w, &addrs);
	struct bh_addr want;

	assert_int_equal(bh_addr_parse(text, &want, NULL), 0);
	for (size_t i = 0; i < n; i++)
		if (bh_addr_eq(&addrs[i], &want))
			return true;
	return false;
}

static bool has_broadcast(const struct lab *lab, const char *text)
{
	const struct bh_addr *addrs;
	size_t n = bh_node_watch_broadcasts(lab->w, &addrs);
	struct bh_addr want;

	assert_int_equal(bh_addr_parse(text, &want, NULL), 0);
	return n == 1 && bh_addr_eq(&addrs[0], &want);
}

static void check_all(const struct lab *lab)
{
	assert_true(has(lab, "192.0.2.1"));
	assert_true(has(lab, "192.0.2.9"));
	assert_false(has(lab, "192.0.2.10")); /* the peer's, not ours */
	assert_true(has(lab, "2001:db8::1"));
	assert_true(has(lab, "fe80::99"));
	assert_false(has(lab, "127.0.0.1"));
	assert_false(has(lab, "::1"));
	/* Of 192.0.2.1/24; a single address has none. */
	assert_true(has_broadcast(lab, "192.0.2.255"));
}

#define ADD_ALL                                                                                    \
	"ip link add v0 type veth peer name v1 && "                                                \
	"ip addr add 192.0.2.1/24 dev v0 && "                                                      \
	"ip addr add 192.0.2.9/32 peer 192.0.2.10 dev v1 && "                                      \
	"ip addr add 2001:db8::1/64 dev v0 nodad && "                                              \
	"ip addr add fe80::99/64 dev v1 nodad && "                                                 \
	"ip addr add fe80::99/64 dev v0 nodad"

static void addresses_of_every_link_are_there_and_loopback_is_not(void **state)
{
	struct lab lab;

	(void)state;
	in_netns();
	assert_int_equal(system(ADD_ALL), 0);
	open_lab(&lab);
	check_all(&lab);
	close_lab(&lab);
}

static void no_address_is_an_empty_list(void **state)
{
	const struct bh_addr *addrs;
	struct lab lab;

	(void)state;
	in_netns();
	open_lab(&lab);
	assert_int_equal(bh_node_watch_addrs(lab.w, &addrs), 0);
	close_lab(&lab);
}

static void the_watch_follows_and_merges_a_burst(void **state)
{
	struct lab lab;
	int n;

	(void)state;
	in_netns();
	open_lab(&lab);
	assert_int_equal(system(ADD_ALL), 0);
	/* The kernel tells of IPv6 addresses from a thread of its own. */
	while (!has(&lab, "fe80::99") || !has(&lab, "2001:db8::1"))
		uv_run(&lab.loop, UV_RUN_ONCE);
	uv_run(&lab.loop, UV_RUN_NOWAIT);
	check_all(&lab);
	n = lab.n_changes;
	assert_in_range(n, 1, 3); /* of five addresses */

	/* Two links have it: one that loses it changes nothing. */
	assert_int_equal(system("ip addr del fe80::99/64 dev v0"), 0);
	uv_run(&lab.loop, UV_RUN_NOWAIT);
	assert_int_equal(lab.n_changes, n);
	assert_true(has(&lab, "fe80::99"));
	/* What an address is like is no news of it. */
	assert_int_equal(system("ip addr change 192.0.2.1/24 dev v0 preferred_lft 100 valid_lft "
				"200"),
			 0);
	uv_run(&lab.loop, UV_RUN_NOWAIT);
	assert_int_equal(lab.n_changes, n);

	assert_int_equal(system("ip link del v0"), 0);
	uv_run(&lab.loop, UV_RUN_NOWAIT);
	assert_int_equal(lab.n_changes, n + 1);
	assert_false(has(&lab, "192.0.2.1"));
	assert_false(has(&lab, "fe80::99"));
	close_lab(&lab);
}

#define N_MANY 3000

/* More than the socket has room for, before anything of it is read. */
static void add_many(void)
{
	FILE *ip = popen("ip -batch -", "we");

	assert_non_null(ip);
	for (unsigned int i = 0; i < N_MANY; i++)
		fprintf(ip, "addr add 10.9.%u.%u/32 dev v0\n", i >> 8, i & 255);
	assert_int_equal(pclose(ip), 0);
}

/* The first netlink socket from @fd on. */
static int netlink_from(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	for (; fd < 1024; fd++)
		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
		    domain == AF_NETLINK)
			return fd;
	fail();
	return -1;
}

/* The socket that is asked for all addresses is a file for a while: a double of its errors. */
static void a_listing_that_fails_after_a_loss_is_tried_again(void **state)
{
	uint64_t until_ns;
	struct lab lab;
	int watch, ask, kept;

	(void)state;
	in_netns();
	assert_int_equal(system("ip link add v0 type veth peer name v1"), 0);
	open_lab(&lab);
	watch = netlink_from(3);
	ask = netlink_from(watch + 1);
	assert_int_equal(setsockopt(watch, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int)), 0);
	kept = dup(ask);
	assert_int_equal(dup2(STDIN_FILENO, ask), ask);
	add_many();
	for (int i = 0; i < 100; i++)
		uv_run(&lab.loop, UV_RUN_NOWAIT);
	assert_false(has(&lab, "10.9.11.183")); /* the last one */
	assert_int_equal(dup2(kept, ask), ask);
	close(kept);
	until_ns = bh_mono_ns() + 10 * BH_NS_PER_S;
	while (!has(&lab, "10.9.11.183") && bh_mono_ns() < until_ns)
		uv_run(&lab.loop, UV_RUN_NOWAIT);
	assert_true(has(&lab, "10.9.11.183"));
	close_lab(&lab);
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
		cmocka_unit_test(the_watch_follows_and_merges_a_burst),
		cmocka_unit_test(a_listing_that_fails_after_a_loss_is_tried_again),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
