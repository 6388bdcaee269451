#include "test.h"

#include <stdio.h>

#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/history.h"

#include "world_text.h"

#define KEEP 100u

/* A world and the history of it, which begins with what the world knows first. */
struct past {
	struct bh_world *w;
	struct bh_history *h;
};

static void settle(struct past *p, uint64_t now_ns)
{
	bh_history_note(p->h, bh_world_changes(p->w), now_ns);
	bh_world_settle(p->w);
}

static void tell(struct past *p, const char *text, uint64_t now_ns)
{
	world_text(p->w, BH_SOURCE_KUBE, text);
	settle(p, now_ns);
}

static void begin(struct past *p, size_t max, const char *text)
{
	const struct bh_world_config config = { .node = "n1" };

	*p = (struct past){ bh_world_new(&config), bh_history_new(KEEP, max) };
	tell(p, text, 900);
}

static void end(struct past *p)
{
	bh_history_free(&p->h);
	bh_world_free(&p->w);
}

/* Who had it then and has it no more, exactly. */
static const char *who(const struct past *p, const char *addr, uint64_t at_ns)
{
	struct bh_addr a = wt_addr(addr);
	uint64_t distance_ns = 0;
	const struct bh_identity *id = bh_history_near(p->h, &a, at_ns, &distance_ns);

	return id && distance_ns == 0 ? id->name : "-";
}

static uint64_t since(const struct past *p, const char *addr)
{
	struct bh_addr a = wt_addr(addr);

	return bh_history_since(p->h, &a);
}

static void an_address_belongs_to_whoever_had_it_at_that_time(void **state)
{
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/a 10.0.0.1 at=1\n");
	tell(&p, "pod shop/b 10.0.0.1 at=2\n", 1010);
	wt_remove_pod(p.w, BH_SOURCE_KUBE, "a", "");
	wt_remove_pod(p.w, BH_SOURCE_KUBE, "b", "");
	settle(&p, 1020);
	tell(&p, "pod shop/c 10.0.0.1 at=3\n", 1030);
	assert_string_equal(who(&p, "10.0.0.1", 899), "-");
	assert_string_equal(who(&p, "10.0.0.1", 900), "a");
	assert_string_equal(who(&p, "10.0.0.1", 1009), "a");
	assert_string_equal(who(&p, "10.0.0.1", 1010), "b");
	assert_string_equal(who(&p, "10.0.0.1", 1019), "b");
	assert_string_equal(who(&p, "10.0.0.1", 1020), "-");
	assert_string_equal(who(&p, "10.0.0.1", 1030), "-");
	assert_int_equal(since(&p, "10.0.0.1"), 1030);
	assert_string_equal(who(&p, "10.0.0.2", 1010), "-");
	end(&p);
}

static void what_stays_as_it_is_takes_no_memory(void **state)
{
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/a 10.0.0.1\npod shop/b 10.0.0.2 fd00::2\n");
	assert_int_equal(bh_history_count(p.h), 0);
	assert_int_equal(since(&p, "10.0.0.1"), 900);
	assert_int_equal(since(&p, "10.9.9.9"), 900);
	/* A port is nothing that an identity has. */
	tell(&p, "pod shop/a 10.0.0.1 port=http:TCP:80\n", 1000);
	assert_int_equal(bh_history_count(p.h), 0);
	assert_int_equal(since(&p, "10.0.0.1"), 900);
	end(&p);
}

static void nothing_is_known_of_the_time_before_the_first_note(void **state)
{
	bh_auto(bh_history_free) struct bh_history *h = bh_history_new(KEEP, 100);
	struct bh_addr a = wt_addr("10.0.0.1");

	(void)state;
	assert_true(bh_history_since(h, &a) == UINT64_MAX);
}

static void an_identity_is_that_of_the_pod_before_the_change(void **state)
{
	struct bh_addr a = wt_addr("fd88::1");
	const struct bh_identity *id;
	uint64_t distance_ns = 9;
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/web-1 fd88::1 label=app:web uid=u9 node=n7\n");
	tell(&p, "pod shop/web-1 fd88::1 label=app:quarantined uid=u9 node=n7\n", 1000);
	id = bh_history_near(p.h, &a, 950, &distance_ns);
	assert_non_null(id);
	assert_int_equal(distance_ns, 0);
	assert_string_equal(id->namespace, "shop");
	assert_string_equal(id->name, "web-1");
	assert_string_equal(id->uid, "u9");
	assert_string_equal(id->node, "n7");
	assert_string_equal(bh_labels_get(&id->labels, "app"), "web");
	assert_null(id->workload_kind);
	assert_int_equal(since(&p, "fd88::1"), 1000);
	end(&p);
}

/* Pods with labels of 60 kB that come and go. */
static void memory_is_bounded_whatever_labels_are_told(void **state)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };
	struct bh_addr a = wt_addr("10.0.0.1");
	const struct bh_identity *id;
	uint64_t distance_ns;
	struct past p;

	(void)state;
	bh_buf_puts(&text, "pod shop/a 10.0.0.1");
	for (unsigned int i = 0; i < 700; i++)
		bh_buf_printf(&text, " label=k%04u:%060u", i, i);
	bh_buf_printf(&text, "\npod shop/b 10.0.0.2 label=n:0\n");
	begin(&p, 65536, bh_buf_str(&text));
	world_text(p.w, BH_SOURCE_KUBE, "pod shop/a 10.0.0.1\n");
	settle(&p, 1000);
	id = bh_history_near(p.h, &a, 950, &distance_ns);
	assert_non_null(id);
	assert_in_range(id->labels.n, 5, 20);
	assert_string_equal(id->labels.items[0].key, "k0000");
	assert_int_equal(id->labels.n + id->n_labels_omitted, 700);
	assert_in_range(bh_history_bytes(p.h), 500, 4096);
	end(&p);
}

static void addresses_of_a_pod_come_and_go_one_by_one(void **state)
{
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/a 10.0.0.1 10.0.0.2\n");
	tell(&p, "pod shop/a 10.0.0.2 10.0.0.3\n", 1000);
	assert_string_equal(who(&p, "10.0.0.1", 999), "a");
	assert_int_equal(since(&p, "10.0.0.1"), 1000);
	assert_int_equal(since(&p, "10.0.0.2"), 900);
	assert_int_equal(since(&p, "10.0.0.3"), 1000);
	assert_string_equal(who(&p, "10.0.0.3", 999), "-");
	assert_int_equal(bh_history_count(p.h), 2);
	end(&p);
}

static void both_addresses_of_a_pod_survive_each_other(void **state)
{
	struct past p;

	(void)state;
	begin(&p, 1, "pod shop/a 10.0.0.1 fd00::1\n");
	wt_remove_pod(p.w, BH_SOURCE_KUBE, "a", "");
	settle(&p, 1000);
	/* There is room for one change: the other address still leads to the pod. */
	assert_int_equal(bh_history_count(p.h), 1);
	assert_string_equal(who(&p, "10.0.0.1", 999), "-");
	assert_string_equal(who(&p, "fd00::1", 999), "a");
	end(&p);
}

static void changes_are_forgotten_by_age(void **state)
{
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/a 10.0.0.1\npod shop/b 10.0.0.2\n");
	wt_remove_pod(p.w, BH_SOURCE_KUBE, "a", "");
	settle(&p, 1010);
	settle(&p, 1110);
	assert_string_equal(who(&p, "10.0.0.1", 1005), "a");
	settle(&p, 1111);
	assert_string_equal(who(&p, "10.0.0.1", 1005), "-");
	assert_int_equal(bh_history_count(p.h), 0);
	/* What is said of it, and of all others, is true from then on only. */
	assert_int_equal(since(&p, "10.0.0.1"), 1010);
	assert_int_equal(since(&p, "10.0.0.2"), 1010);
	end(&p);
}

static void at_most_so_many_changes_are_kept_oldest_first_out(void **state)
{
	char line[64];
	struct past p;

	(void)state;
	begin(&p, 3, "pod shop/p0 10.0.0.1 at=1\n");
	for (unsigned int i = 1; i < 6; i++) {
		snprintf(line, sizeof(line), "pod shop/p%u 10.0.0.1 at=%u\n", i, i + 1);
		tell(&p, line, 1000 + i);
	}
	/* p5 has it now; p2, p3 and p4 are the last that had it before. */
	assert_int_equal(bh_history_count(p.h), 3);
	assert_string_equal(who(&p, "10.0.0.1", 1001), "-");
	assert_string_equal(who(&p, "10.0.0.1", 1002), "p2");
	assert_string_equal(who(&p, "10.0.0.1", 1004), "p4");
	assert_int_equal(since(&p, "10.0.0.1"), 1005);
	assert_int_equal(since(&p, "10.0.0.2"), 1002);
	end(&p);
}

static void a_clock_that_goes_back_loses_nobody(void **state)
{
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/a 10.0.0.1 at=1\n");
	tell(&p, "pod shop/b 10.0.0.1 at=2\n", 1000);
	tell(&p, "pod shop/c 10.0.0.1 at=3\n", 500);
	assert_string_equal(who(&p, "10.0.0.1", 999), "a");
	assert_int_equal(since(&p, "10.0.0.1"), 1000);
	end(&p);
}

static void a_clock_that_is_set_back_begins_anew(void **state)
{
	const uint64_t hour_ns = 3600 * BH_NS_PER_S;
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/a 10.0.0.1 at=1\n");
	tell(&p, "pod shop/b 10.0.0.1 at=2\n", 2 * hour_ns);
	tell(&p, "pod shop/c 10.0.0.1 at=3\n", hour_ns);
	assert_string_equal(who(&p, "10.0.0.1", hour_ns + 1), "-");
	assert_int_equal(since(&p, "10.0.0.1"), hour_ns);
	assert_int_equal(bh_history_count(p.h), 0);
	end(&p);
}

static void a_pod_that_moves_to_another_node_is_another_holder(void **state)
{
	struct bh_addr a = wt_addr("10.0.0.1");
	uint64_t distance_ns = 9;
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/a 10.0.0.1 node=n1\n");
	tell(&p, "pod shop/a 10.0.0.1 node=n2\n", 1000);
	assert_string_equal(bh_history_near(p.h, &a, 950, &distance_ns)->node, "n1");
	assert_int_equal(distance_ns, 0);
	end(&p);
}

static void near_is_the_nearest_of_those_that_had_it(void **state)
{
	static const struct {
		uint64_t at_ns;
		const char *want;
		uint64_t distance_ns;
	} t[] = {
		{ 890, "a", 10 }, { 900, "a", 0 },   { 1009, "a", 0 }, /* its last moment */
		{ 1010, "a", 1 }, { 1020, "a", 11 }, { 1039, "b", 1 },
		{ 1040, "b", 0 }, { 1049, "b", 0 },  { 1060, "b", 11 },
	};
	struct bh_addr a = wt_addr("10.0.0.1");
	struct past p;

	(void)state;
	begin(&p, 100, "pod shop/a 10.0.0.1\n");
	wt_remove_pod(p.w, BH_SOURCE_KUBE, "a", "");
	settle(&p, 1010);
	tell(&p, "pod shop/b 10.0.0.1\n", 1040);
	wt_remove_pod(p.w, BH_SOURCE_KUBE, "b", "");
	settle(&p, 1050);
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		uint64_t distance_ns = UINT64_MAX;
		const struct bh_identity *id = bh_history_near(p.h, &a, t[i].at_ns, &distance_ns);

		assert_non_null(id);
		assert_string_equal(id->name, t[i].want);
		assert_int_equal(distance_ns, t[i].distance_ns);
	}
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_belongs_to_whoever_had_it_at_that_time),
		cmocka_unit_test(what_stays_as_it_is_takes_no_memory),
		cmocka_unit_test(nothing_is_known_of_the_time_before_the_first_note),
		cmocka_unit_test(an_identity_is_that_of_the_pod_before_the_change),
		cmocka_unit_test(memory_is_bounded_whatever_labels_are_told),
		cmocka_unit_test(addresses_of_a_pod_come_and_go_one_by_one),
		cmocka_unit_test(both_addresses_of_a_pod_survive_each_other),
		cmocka_unit_test(changes_are_forgotten_by_age),
		cmocka_unit_test(at_most_so_many_changes_are_kept_oldest_first_out),
		cmocka_unit_test(a_clock_that_goes_back_loses_nobody),
		cmocka_unit_test(a_clock_that_is_set_back_begins_anew),
		cmocka_unit_test(a_pod_that_moves_to_another_node_is_another_holder),
		cmocka_unit_test(near_is_the_nearest_of_those_that_had_it),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
