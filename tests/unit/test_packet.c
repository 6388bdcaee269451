#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "bh/packet.h"

/* Bytes as hexadecimal text with blanks; "NNxBB" repeats a byte. */
static size_t bytes(const char *text, uint8_t *ret, size_t max)
{
	size_t n = 0;

	while (*text) {
		unsigned int times = 1, value;
		int used;

		if (*text == ' ') {
			text++;
			continue;
		}
		if (sscanf(text, "%ux%2x%n", &times, &value, &used) < 2) {
			times = 1;
			assert_int_equal(sscanf(text, "%2x%n", &value, &used), 1);
		}
		for (text += used; times > 0; times--) {
			assert_true(n < max);
			ret[n++] = (uint8_t)value;
		}
	}
	return n;
}

/* Parses from memory of exactly that size, so that sanitizers see every byte too far. */
static int parse(const char *text, struct bh_packet *ret)
{
	uint8_t buf[512];
	size_t n = bytes(text, buf, sizeof(buf));
	bh_auto_free uint8_t *exact = bh_malloc(n + (n == 0));

	memcpy(exact, buf, n);
	return bh_packet_parse(exact, n, ret);
}

/* 10.88.0.5 -> 10.88.0.4 */
#define V4(len, frag, proto) "45 00 " len " 00 01 " frag " 40 " proto " 00 00 0a580005 0a580004 "
/* fd88::5 -> fd88::4 */
#define V6(len, next)                                                                              \
	"60 00 00 00 " len " " next " 40 "                                                         \
	"fd880000000000000000000000000005 fd880000000000000000000000000004 "
#define SYN "a1 5a 15 38 00 00 00 01 00 00 00 00 50 02 ff ff 00 00 00 00 "

static void assert_ends(const struct bh_packet *p, const char *src, const char *dst)
{
	char text[BH_ADDR_STRLEN];

	assert_string_equal(bh_addr_format(&p->src, text), src);
	assert_string_equal(bh_addr_format(&p->dst, text), dst);
}

static void tcp_over_ipv4_has_ports_and_flags(void **state)
{
	struct bh_packet p;

	(void)state;
	assert_int_equal(parse(V4("00 28", "40 00", "06") SYN, &p), 0);
	assert_ends(&p, "10.88.0.5", "10.88.0.4");
	assert_int_equal(p.protocol, IPPROTO_TCP);
	assert_true(p.has_ports);
	assert_int_equal(p.src_port, 41306);
	assert_int_equal(p.dst_port, 5432);
	assert_int_equal(p.tcp_flags, 0x02);
	assert_int_equal(p.length, 40);
	assert_false(p.is_later_fragment);
	assert_false(p.has_icmp);
}

static void tcp_over_ipv6_has_ports_and_flags(void **state)
{
	struct bh_packet p;

	(void)state;
	assert_int_equal(parse(V6("00 14", "06") SYN, &p), 0);
	assert_ends(&p, "fd88::5", "fd88::4");
	assert_int_equal(p.protocol, IPPROTO_TCP);
	assert_int_equal(p.dst_port, 5432);
	assert_int_equal(p.tcp_flags, 0x02);
	assert_int_equal(p.length, 60);
}

static void every_protocol_with_ports_has_them(void **state)
{
	static const char *const t[] = { "11", "21", "84", "88" }; /* UDP, DCCP, SCTP, UDP-Lite */
	char text[256];
	struct bh_packet p;

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		snprintf(text, sizeof(text),
			 "45 00 00 1c 00 01 00 00 40 %s 00 00 0a580005 0a580004 "
			 "00 07 00 35 00 08 00 00",
			 t[i]);
		assert_int_equal(parse(text, &p), 0);
		assert_true(p.has_ports);
		assert_int_equal(p.src_port, 7);
		assert_int_equal(p.dst_port, 53);
		assert_int_equal(p.tcp_flags, 0);
	}
}

static void options_of_ipv4_are_skipped(void **state)
{
	struct bh_packet p;

	(void)state;
	assert_int_equal(parse("47 00 00 30 00 01 00 00 40 06 00 00 0a580005 0a580004 "
			       "94 04 00 00 01 01 01 00 " SYN,
			       &p),
			 0);
	assert_true(p.has_ports);
	assert_int_equal(p.dst_port, 5432);
}

static void the_first_fragment_has_ports_and_later_ones_have_none(void **state)
{
	struct bh_packet p;

	(void)state;
	assert_int_equal(parse(V4("00 28", "20 00", "06") SYN, &p), 0);
	assert_false(p.is_later_fragment);
	assert_true(p.has_ports);

	assert_int_equal(parse(V4("00 28", "20 b9", "06") SYN, &p), 0);
	assert_true(p.is_later_fragment);
	assert_false(p.has_ports);
	assert_int_equal(p.protocol, IPPROTO_TCP);

	/* IPv6: offset 0 with more to come, then offset 185. */
	assert_int_equal(parse(V6("00 1c", "2c") "06 00 00 01 00 00 00 01 " SYN, &p), 0);
	assert_false(p.is_later_fragment);
	assert_int_equal(p.dst_port, 5432);
	assert_int_equal(parse(V6("00 1c", "2c") "06 00 05 c8 00 00 00 01 " SYN, &p), 0);
	assert_true(p.is_later_fragment);
	assert_false(p.has_ports);
	assert_int_equal(p.protocol, IPPROTO_TCP);
}

static void extension_headers_are_walked_over(void **state)
{
	struct bh_packet p;

	(void)state;
	/* Hop-by-hop, routing (16 bytes), AH (24 bytes), destination options, fragment. */
	assert_int_equal(parse(V6("00 54", "00") "2b 00 01 04 00 00 00 00 "
						 "33 01 00 00 12x00 "
						 "3c 04 00 00 20x00 "
						 "2c 00 01 04 00 00 00 00 "
						 "06 00 00 00 00 00 00 01 " SYN,
			       &p),
			 0);
	assert_int_equal(p.protocol, IPPROTO_TCP);
	assert_int_equal(p.dst_port, 5432);
}

static void an_extension_header_that_is_cut_short_is_the_protocol(void **state)
{
	struct bh_packet p;

	(void)state;
	/* 2048 bytes of destination options, of which 8 were captured. */
	assert_int_equal(parse(V6("08 14", "3c") "06 ff 01 04 00 00 00 00", &p), 0);
	assert_ends(&p, "fd88::5", "fd88::4");
	assert_int_equal(p.protocol, IPPROTO_DSTOPTS);
	assert_false(p.has_ports);
	assert_false(p.is_later_fragment);
}

static void endless_extension_headers_end_the_walk(void **state)
{
	char text[1024] = V6("01 00", "3c");
	struct bh_packet p;

	(void)state;
	for (int i = 0; i < 20; i++)
		strcat(text, "3c 00 01 04 00 00 00 00 ");
	assert_int_equal(parse(text, &p), 0);
	assert_int_equal(p.protocol, IPPROTO_DSTOPTS);
	assert_false(p.has_ports);
}

static void icmp_has_type_and_code(void **state)
{
	struct bh_packet p;

	(void)state;
	assert_int_equal(parse(V4("00 1c", "00 00", "01") "03 04 00 00 00 00 00 00", &p), 0);
	assert_true(p.has_icmp);
	assert_int_equal(p.icmp_type, 3);
	assert_int_equal(p.icmp_code, 4);
	assert_false(p.has_ports);

	assert_int_equal(parse(V6("00 08", "3a") "80 00 00 00 00 00 00 00", &p), 0);
	assert_true(p.has_icmp);
	assert_int_equal(p.icmp_type, 128);

	/* ICMP of the other family is a protocol like any. */
	assert_int_equal(parse(V4("00 1c", "00 00", "3a") "80 00 00 00 00 00 00 00", &p), 0);
	assert_false(p.has_icmp);
}

static void a_transport_header_that_is_cut_short_has_no_ports(void **state)
{
	struct bh_packet p;

	(void)state;
	assert_int_equal(parse(V4("00 28", "00 00", "06") "a1 5a 15", &p), 0);
	assert_false(p.has_ports);
	assert_int_equal(p.dst_port, 0);
	/* Ports but no flags. */
	assert_int_equal(parse(V4("00 28", "00 00", "06") "a1 5a 15 38 00 00", &p), 0);
	assert_true(p.has_ports);
	assert_int_equal(p.tcp_flags, 0);
	/* Options that are not all there. */
	assert_int_equal(parse("4f 00 00 50 00 01 00 00 40 06 00 00 0a580005 0a580004 01 01", &p),
			 0);
	assert_false(p.has_ports);
	assert_int_equal(parse(V4("00 1c", "00 00", "01") "08", &p), 0);
	assert_false(p.has_icmp);
}

static void bytes_behind_the_packet_are_not_read(void **state)
{
	struct bh_packet p;

	(void)state;
	assert_int_equal(parse(V4("00 16", "00 00", "06") SYN, &p), 0);
	assert_false(p.has_ports);
	assert_int_equal(parse(V6("00 02", "06") SYN, &p), 0);
	assert_false(p.has_ports);
}

static void an_address_is_taken_as_it_is_on_the_wire(void **state)
{
	struct bh_packet p;

	(void)state;
	assert_int_equal(parse("60 00 00 00 00 00 3b 40 00000000000000000000ffff0a580005 "
			       "fd880000000000000000000000000004",
			       &p),
			 0);
	assert_int_equal(p.src.family, BH_IPV6);
	assert_int_equal(p.protocol, IPPROTO_NONE);
}

static void what_has_no_addresses_is_refused(void **state)
{
	static const char *const t[] = {
		"",
		"45",
		"45 00 00 28 00 01 00 00 40 06 00 00 0a580005 0a5800",   /* a byte short */
		"44 00 00 28 00 01 00 00 40 06 00 00 0a580005 0a580004", /* header of 16 bytes */
		"46 00 00 14 00 01 00 00 40 06 00 00 0a580005 0a580004", /* longer than all of it */
		"60 00 00 00 00 14 06 40 fd88",
		"55 00 00 28 00 01 00 00 40 06 00 00 0a580005 0a580004", /* version 5 */
		"00",
	};
	struct bh_packet p = { .length = 7 };

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++)
		assert_int_equal(parse(t[i], &p), -EBADMSG);
	assert_int_equal(p.length, 7); /* untouched */
}

static void every_prefix_of_a_packet_is_harmless(void **state)
{
	static const char whole[] = V6("00 30", "00") "2b 00 01 04 00 00 00 00 "
						      "33 00 00 00 4x00 "
						      "06 01 00 00 8x00 " SYN;
	uint8_t buf[512];
	size_t n = bytes(whole, buf, sizeof(buf));

	(void)state;
	for (size_t len = 0; len <= n; len++) {
		bh_auto_free uint8_t *exact = bh_malloc(len + (len == 0));
		struct bh_packet p;

		memcpy(exact, buf, len);
		assert_int_equal(bh_packet_parse(exact, len, &p), len < 40 ? -EBADMSG : 0);
	}
}

static void protocols_have_names_or_numbers_both_ways(void **state)
{
	static const struct {
		const char *text;
		uint8_t number;
	} t[] = {
		{ "TCP", 6 },     { "UDP", 17 }, { "SCTP", 132 }, { "ICMP", 1 },
		{ "ICMPv6", 58 }, { "47", 47 },  { "255", 255 },  { "0", 0 },
	};
	static const char *const bad[] = { "", "256", "-1", "tcpp", "6 ", "0x6", "99999999999" };
	char buf[4];
	uint8_t v;

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		assert_string_equal(bh_protocol_str(t[i].number, buf), t[i].text);
		assert_int_equal(bh_protocol_parse(t[i].text, &v), 0);
		assert_int_equal(v, t[i].number);
	}
	assert_int_equal(bh_protocol_parse("tcp", &v), 0);
	assert_int_equal(v, 6);
	assert_int_equal(bh_protocol_parse("IPv6-ICMP", &v), 0);
	assert_int_equal(v, 58);
	for (size_t i = 0; i < BH_ARRAY_LEN(bad); i++)
		assert_int_equal(bh_protocol_parse(bad[i], &v), -EINVAL);
	assert_int_equal(v, 58);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_over_ipv4_has_ports_and_flags),
		cmocka_unit_test(tcp_over_ipv6_has_ports_and_flags),
		cmocka_unit_test(every_protocol_with_ports_has_them),
		cmocka_unit_test(options_of_ipv4_are_skipped),
		cmocka_unit_test(the_first_fragment_has_ports_and_later_ones_have_none),
		cmocka_unit_test(extension_headers_are_walked_over),
		cmocka_unit_test(an_extension_header_that_is_cut_short_is_the_protocol),
		cmocka_unit_test(endless_extension_headers_end_the_walk),
		cmocka_unit_test(icmp_has_type_and_code),
		cmocka_unit_test(a_transport_header_that_is_cut_short_has_no_ports),
		cmocka_unit_test(bytes_behind_the_packet_are_not_read),
		cmocka_unit_test(an_address_is_taken_as_it_is_on_the_wire),
		cmocka_unit_test(what_has_no_addresses_is_refused),
		cmocka_unit_test(every_prefix_of_a_packet_is_harmless),
		cmocka_unit_test(protocols_have_names_or_numbers_both_ways),
	};

	return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
