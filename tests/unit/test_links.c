/*
 * The table of links against a real kernel, each test in a network namespace of its own.
 */
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../src/node/links.h"
#include "test.h"

struct lab {
	uv_loop_t loop;
	struct bh_nl *ask;
	struct bh_links *links;
	int n_links, n_gone, n_nsids, n_nsids_gone, n_losses, n_turns;
	char last[IFNAMSIZ]; /* of what came or went */
};

static void on_link(void *ctx, struct bh_known_link *l)
{
	struct lab *lab = ctx;

	lab->n_links++;
	memcpy(lab->last, l->is.name, sizeof(lab->last));
}

static void on_gone(void *ctx, struct bh_known_link *l)
{
	struct lab *lab = ctx;

	lab->n_gone++;
	memcpy(lab->last, l->is.name, sizeof(lab->last));
}

static void on_nsid_new(void *ctx)
{
	((struct lab *)ctx)->n_nsids++;
}

static void on_nsid_gone(void *ctx, int32_t nsid)
{
	(void)nsid;
	((struct lab *)ctx)->n_nsids_gone++;
}

static void on_loss(void *ctx)
{
	((struct lab *)ctx)->n_losses++;
}

static void on_turn(void *ctx)
{
	((struct lab *)ctx)->n_turns++;
}

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void open_lab(struct lab *lab, const char *before)
{
	const struct bh_links_events events = { lab,          on_link, on_gone, on_nsid_new,
						on_nsid_gone, on_loss, on_turn };
	struct bh_err err = { 0 };

	memset(lab, 0, sizeof(*lab));
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: a network namespace needs root\n");
		skip();
	}
	run(before);
	assert_int_equal(uv_loop_init(&lab->loop), 0);
	assert_ok(bh_link_open(&lab->ask, &err), &err);
	assert_ok(bh_links_new(&lab->links, &lab->loop, lab->ask, &events, &err), &err);
}

/* One turn of the loop, or 10 ms without anything to do. */
#define MAX_TURNS 500
static void turn(struct lab *lab)
{
	uv_run(&lab->loop, UV_RUN_NOWAIT);
	usleep(10000);
}

static void close_lab(struct lab *lab)
{
	bh_links_free(&lab->links);
	assert_null(lab->links);
	uv_run(&lab->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&lab->loop), 0);
	bh_nl_free(&lab->ask);
}

static struct bh_known_link *find(const struct lab *lab, const char *name)
{
	return bh_links_find(lab->links, if_nametoindex(name));
}

static void links_are_listed_at_the_start_and_nothing_is_told(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, "ip link add d0 type veth peer name d1");
	assert_int_equal(bh_links_count(lab.links), 3); /* with lo */
	assert_true(find(&lab, "d0")->is.is_veth);
	assert_int_equal(find(&lab, "d0")->is.peer, if_nametoindex("d1"));
	assert_null(bh_links_find(lab.links, 4242));
	turn(&lab);
	assert_int_equal(lab.n_links + lab.n_gone + lab.n_turns, 0);
	assert_int_equal(bh_links_stats(lab.links).n_listings, 1);
	close_lab(&lab);
}

static void a_link_is_told_when_it_comes_changes_and_goes(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, "true");
	run("ip link add d0 type bridge");
	turn(&lab);
	assert_int_equal(lab.n_links, 1);
	assert_string_equal(lab.last, "d0");
	/* Up and down is no change of where it leads. */
	run("ip link set d0 up && ip link set d0 down");
	turn(&lab);
	assert_int_equal(lab.n_links, 1);
	run("ip link set d0 name d1");
	turn(&lab);
	assert_int_equal(lab.n_links, 2);
	assert_string_equal(find(&lab, "d1")->is.name, "d1");
	run("ip link del d1");
	turn(&lab);
	assert_int_equal(lab.n_gone, 1);
	assert_string_equal(lab.last, "d1");
	assert_int_equal(bh_links_count(lab.links), 1);
	close_lab(&lab);
}

static void a_port_is_of_its_bridge_until_it_leaves(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, "ip link add br0 type bridge && ip link add d0 type veth peer name d1 && "
		       "ip link set d0 master br0");
	assert_int_equal(bh_links_bridge_of(lab.links, find(&lab, "d0")), if_nametoindex("br0"));
	assert_int_equal(bh_links_bridge_of(lab.links, find(&lab, "d1")), 0);
	run("ip link set d0 nomaster");
	turn(&lab);
	assert_int_equal(bh_links_bridge_of(lab.links, find(&lab, "d0")), 0);
	close_lab(&lab);
}

static void a_namespace_is_told_with_its_number_and_its_end(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, "true");
	/* The namespace ends with its only process. */
	run("ip link add d0 type veth peer name d1 && "
	    "{ unshare -n sleep 0.3 & sleep 0.1; ip link set d1 netns $!; wait; }");
	/* Both ends go with it. */
	for (int i = 0; i < MAX_TURNS && (lab.n_nsids_gone == 0 || lab.n_gone < 2); i++)
		turn(&lab);
	assert_true(lab.n_nsids >= 1);
	assert_true(lab.n_nsids_gone >= 1);
	assert_int_equal(bh_links_count(lab.links), 1);
	close_lab(&lab);
}

static void what_was_lost_is_listed(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, "ip link add d0 type bridge && ip link add d9 type bridge");
	/* More messages than the socket's buffer holds, and none is read. */
	run("ip link del d9 && for i in $(seq 4000); do echo link set d0 up; echo link set d0 "
	    "down; "
	    "done | ip -batch - && ip link add d1 type bridge");
	for (int i = 0; i < MAX_TURNS && lab.n_losses == 0; i++)
		turn(&lab);
	assert_int_equal(lab.n_losses, 1);
	assert_int_equal(bh_links_stats(lab.links).n_listings, 2);
	assert_non_null(find(&lab, "d1"));
	assert_int_equal(bh_links_count(lab.links), 3);
	assert_int_equal(lab.n_gone, 1);
	/* It goes on listening after the pause. */
	run("ip link del d1");
	for (int i = 0; i < MAX_TURNS && lab.n_gone < 2; i++)
		turn(&lab);
	assert_int_equal(lab.n_gone, 2);
	close_lab(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_are_listed_at_the_start_and_nothing_is_told),
		cmocka_unit_test(a_link_is_told_when_it_comes_changes_and_goes),
		cmocka_unit_test(a_port_is_of_its_bridge_until_it_leaves),
		cmocka_unit_test(a_namespace_is_told_with_its_number_and_its_end),
		cmocka_unit_test(what_was_lost_is_listed),
	};

	return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
