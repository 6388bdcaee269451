#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <netinet/in.h>

#include "lab.h"

/* The lab itself: without rules, what goes in comes out of the right port. */
static void what_goes_in_comes_out_of_the_right_port(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t protocol;
		unsigned int from, to;
	} t[] = {
		{ "10.0.0.1", "10.0.0.2", IPPROTO_TCP, 0, 1 },
		{ "10.0.0.1", "10.0.0.2", IPPROTO_UDP, 0, 1 },
		{ "10.0.0.1", "10.0.0.2", IPPROTO_SCTP, 0, 1 },
		{ "10.0.0.1", "10.0.0.2", IPPROTO_ICMP, 0, 1 },
		{ "fd00::1", "fd00::2", IPPROTO_TCP, 0, 1 },
		{ "fd00::1", "fd00::2", IPPROTO_UDP, 0, 1 },
		{ "fd00::1", "fd00::2", IPPROTO_SCTP, 0, 1 },
		{ "fd00::1", "fd00::2", IPPROTO_ICMPV6, 0, 1 },
		{ "10.0.0.1", "203.0.113.9", IPPROTO_TCP, 0, 2 },
		{ "2001:db8::9", "fd00::1", IPPROTO_UDP, 2, 0 },
		/* The node answers by itself. */
		{ "10.0.0.1", LAB_NODE4, IPPROTO_TCP, 0, 0 },
		{ "fd00::1", LAB_NODE6, IPPROTO_ICMPV6, 0, 0 },
		{ LAB_NODE4, "10.0.0.2", IPPROTO_TCP, UINT32_MAX, 1 },
		{ LAB_NODE6, "fd00::2", IPPROTO_UDP, UINT32_MAX, 1 },
	};
	struct bh_err err = { 0 };
	struct bh_addr a;
	struct lab lab;
	unsigned int port;
	uint16_t id;
	size_t i;
	int r;

	(void)state;
	r = lab_start(&lab, 3, &err);
	if (r == -EPERM) {
		print_message("skipped: %s\n", bh_err_text(&err));
		skip();
	}
	assert_ok(r, &err);
	for (i = 0; i < 2; i++) {
		char text[16];

		snprintf(text, sizeof(text), "10.0.0.%zu", i + 1);
		assert_ok(bh_addr_parse(text, &a, NULL), NULL);
		assert_ok(lab_route(&lab, &a, (unsigned int)i, &err), &err);
		snprintf(text, sizeof(text), "fd00::%zu", i + 1);
		assert_ok(bh_addr_parse(text, &a, NULL), NULL);
		assert_ok(lab_route(&lab, &a, (unsigned int)i, &err), &err);
	}
	assert_ok(lab_default_route(&lab, 2, &err), &err);

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct lab_packet p = { .protocol = t[i].protocol,
					.dst_port = 80,
					.id = (uint16_t)(2000 + i) };

		assert_ok(bh_addr_parse(t[i].src, &p.src, NULL), NULL);
		assert_ok(bh_addr_parse(t[i].dst, &p.dst, NULL), NULL);
		r = t[i].from == UINT32_MAX ? lab_send_from_node(&lab, &p)
					    : lab_send(&lab, t[i].from, &p);
		assert_int_equal(r, 0);
		if (!lab_receive(&lab, 1000, &id, &port))
			fail_msg("row %zu: nothing came out", i);
		assert_int_equal(id, p.id);
		assert_int_equal(port, t[i].to);
	}
	lab_stop(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out_of_the_right_port),
	};

	return cmocka_run_group_tests_name("lab", tests, NULL, NULL);
}
