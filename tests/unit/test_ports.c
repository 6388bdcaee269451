/*
 * Who owns which port, against a real kernel: each test in a network namespace of its
 * own, with another one behind a veth pair whose host end is v0.
 */
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bh/ports.h"
#include "bh/world.h"
#include "test.h"

struct lab {
	uv_loop_t loop;
	struct bh_ports *ports;
	struct bh_sink sink;
	pid_t child; /* lives in the other namespace */
	char netns[64];
	uint32_t port_of_a, port_of_b; /* as the sink was told; 0: none */
	size_t n_addrs_of_a;
};

static void on_put(void *ctx, const struct bh_fact *fact)
{
	struct lab *lab = ctx;
	uint32_t port = fact->pod.n_pod_ports ? fact->pod.pod_ports[0].ifindex : 0;

	assert_int_equal(fact->source, BH_SOURCE_NODE);
	if (strcmp(fact->pod.name, "a") == 0) {
		lab->port_of_a = port;
		lab->n_addrs_of_a = fact->pod.n_addrs;
	} else {
		lab->port_of_b = port;
	}
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	struct lab *lab = ctx;

	*(strcmp(key->name, "a") == 0 ? &lab->port_of_a : &lab->port_of_b) = 0;
}

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* A process in a namespace of its own, once it is there. */
static pid_t start_child(void)
{
	int fds[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) == 0 && write(fds[1], &c, 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	close(fds[1]);
	return pid;
}

static void open_lab(struct lab *lab, const struct bh_ports_config *config)
{
	struct bh_err err = { 0 };
	char command[256];

	memset(lab, 0, sizeof(*lab));
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: a network namespace needs root\n");
		skip();
	}
	lab->child = start_child();
	snprintf(lab->netns, sizeof(lab->netns), "/proc/%d/ns/net", (int)lab->child);
	snprintf(command, sizeof(command),
		 "ip link set lo up && ip link add v0 type veth peer name eth0 netns %d && "
		 "ip link set v0 up && ip route add 10.0.0.1/32 dev v0",
		 (int)lab->child);
	run(command);
	lab->sink = (struct bh_sink){ .ctx = lab, .on_put = on_put, .on_delete = on_delete };
	assert_int_equal(uv_loop_init(&lab->loop), 0);
	assert_ok(bh_ports_new(&lab->ports, &lab->loop, config, &lab->sink, &err), &err);
}

static void close_lab(struct lab *lab)
{
	bh_ports_free(&lab->ports);
	uv_run(&lab->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&lab->loop), 0);
	kill(lab->child, SIGKILL);
	waitpid(lab->child, NULL, 0);
}

/* A local pod; @addr, @netns: NULL where nobody tells. */
struct pod {
	struct bh_pod is;
	struct bh_addr addr;
};

static void make_pod(struct pod *pod, const char *name, const char *addr, const char *netns)
{
	*pod = (struct pod){ .is = { .namespace = "shop",
				     .name = name,
				     .uid = "",
				     .node = "",
				     .netns = netns,
				     .is_local = true } };
	if (!addr)
		return;
	assert_int_equal(bh_addr_parse(addr, &pod->addr, NULL), 0);
	pod->is.addrs = &pod->addr;
	pod->is.n_addrs = 1;
}

static void change(struct lab *lab, const struct bh_pod *before, const struct bh_pod *after)
{
	const struct bh_pod_change pods[] = { { before, after } };
	const struct bh_changes ch = { .pods = pods, .n_pods = 1 };

	bh_ports_follow(lab->ports, &ch);
}

static const struct bh_ports_config plain;

static void a_path_leads_to_the_port(void **state)
{
	struct lab lab;
	struct pod a;

	(void)state;
	open_lab(&lab, &plain);
	make_pod(&a, "a", NULL, lab.netns);
	change(&lab, NULL, &a.is);
	assert_int_equal(lab.port_of_a, if_nametoindex("v0"));
	assert_int_equal(bh_ports_stats(lab.ports).n_portless, 0);
	change(&lab, &a.is, NULL);
	assert_int_equal(lab.port_of_a, 0);
	close_lab(&lab);
}

static void two_that_name_one_namespace_have_none_until_one_goes(void **state)
{
	struct lab lab;
	struct pod a, b;

	(void)state;
	open_lab(&lab, &plain);
	make_pod(&a, "a", NULL, lab.netns);
	make_pod(&b, "b", NULL, lab.netns);
	change(&lab, NULL, &a.is);
	change(&lab, NULL, &b.is);
	assert_int_equal(lab.port_of_a, 0);
	assert_int_equal(lab.port_of_b, 0);
	assert_int_equal(bh_ports_stats(lab.ports).n_portless, 2);
	change(&lab, &a.is, NULL);
	assert_int_equal(lab.port_of_b, if_nametoindex("v0"));
	close_lab(&lab);
}

static void a_path_is_right_against_a_route(void **state)
{
	struct lab lab;
	struct pod a, b;

	(void)state;
	open_lab(&lab, &plain);
	make_pod(&a, "a", "10.0.0.1", NULL);
	make_pod(&b, "b", NULL, lab.netns);
	change(&lab, NULL, &a.is);
	assert_int_equal(lab.port_of_a, if_nametoindex("v0"));
	change(&lab, NULL, &b.is);
	assert_int_equal(lab.port_of_a, 0);
	assert_int_equal(lab.port_of_b, if_nametoindex("v0"));
	close_lab(&lab);
}

static void a_port_that_goes_is_told(void **state)
{
	struct lab lab;
	struct pod a;

	(void)state;
	open_lab(&lab, &plain);
	make_pod(&a, "a", NULL, lab.netns);
	change(&lab, NULL, &a.is);
	run("ip link del v0");
	for (int i = 0; i < 200 && lab.port_of_a; i++) {
		uv_run(&lab.loop, UV_RUN_NOWAIT);
		usleep(10000);
	}
	assert_int_equal(lab.port_of_a, 0);
	assert_int_equal(bh_ports_stats(lab.ports).n_portless, 1);
	close_lab(&lab);
}

static void the_operators_addresses_are_told_with_or_without_a_port(void **state)
{
	struct bh_extra_addr extra;
	struct bh_ports_config config = { .extra = &extra, .n_extra = 1 };
	struct lab lab;
	struct pod a;

	(void)state;
	assert_int_equal(bh_extra_addr_parse("shop/a=10.0.0.9", &extra, NULL), 0);
	open_lab(&lab, &config);
	make_pod(&a, "a", NULL, "/nowhere");
	change(&lab, NULL, &a.is);
	assert_int_equal(lab.port_of_a, 0);
	assert_int_equal(lab.n_addrs_of_a, 1);
	close_lab(&lab);
	free(extra.namespace);
	free(extra.pod);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_leads_to_the_port),
		cmocka_unit_test(two_that_name_one_namespace_have_none_until_one_goes),
		cmocka_unit_test(a_path_is_right_against_a_route),
		cmocka_unit_test(a_port_that_goes_is_told),
		cmocka_unit_test(the_operators_addresses_are_told_with_or_without_a_port),
	};

	return cmocka_run_group_tests_name("ports", tests, NULL, NULL);
}
