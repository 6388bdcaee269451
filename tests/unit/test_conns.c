#include "test.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "bh/conns.h"

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP };

/* "TCP:80-90 UDP:53 any:0-65535" */
static const struct bh_conns *parse(struct bh_conn_table *t, const char *text)
{
	static const struct {
		const char *name;
		uint8_t protocol;
	} names[] = { { "TCP:", IPPROTO_TCP },
		      { "UDP:", IPPROTO_UDP },
		      { "SCTP:", IPPROTO_SCTP },
		      { "ICMP:", IPPROTO_ICMP },
		      { "any:", 0 } };
	const struct bh_conns *c = bh_conns_none(t);
	size_t i;

	while (*text) {
		for (i = 0; i < BH_ARRAY_LEN(names); i++) {
			size_t len = strlen(names[i].name);
			unsigned long first, last;
			char *end;

			if (strncmp(text, names[i].name, len) != 0)
				continue;
			first = last = strtoul(text + len, &end, 10);
			if (*end == '-')
				last = strtoul(end + 1, &end, 10);
			c = bh_conns_or(t, c,
					bh_conns_range(t, names[i].protocol, (uint16_t)first,
						       (uint16_t)last));
			text = end + (*end == ' ');
			break;
		}
		assert_true(i < BH_ARRAY_LEN(names));
	}
	return c;
}

static void text_is_that_of_netpol_analyzer(void **state)
{
	static const struct {
		const char *set, *text, *with_other;
	} t[] = {
		{ "", "No Connections", "No Connections" },
		{ "any:0-65535", "All Connections", "All Connections" },
		{ "TCP:80 TCP:443 UDP:53", "TCP 80,443,UDP 53", "TCP 80,443,UDP 53" },
		{ "TCP:8080-8090", "TCP 8080-8090", "TCP 8080-8090" },
		{ "UDP:1 TCP:2 SCTP:3", "SCTP 3,TCP 2,UDP 1", "SCTP 3,TCP 2,UDP 1" },
		{ "UDP:0-65535", "UDP 1-65535", "UDP 1-65535" },
		{ "TCP:0", "TCP 0", "TCP 0" },
		{ "TCP:0-1", "TCP 1", "TCP 1" },
		{ "ICMP:0-65535", "No Connections", "other protocols" },
		{ "TCP:80 ICMP:0-65535", "TCP 80", "TCP 80,other protocols" },
		{ "TCP:0-65535 UDP:0-65535 SCTP:0-65535", "All Connections",
		  "SCTP 1-65535,TCP 1-65535,UDP 1-65535" },
		{ "TCP:1-65535 UDP:1-65535 SCTP:1-65535", "All Connections",
		  "SCTP 1-65535,TCP 1-65535,UDP 1-65535" },
		{ "any:80", "SCTP 80,TCP 80,UDP 80", "SCTP 80,TCP 80,UDP 80" },
	};
	bh_auto(bh_conn_table_free) struct bh_conn_table *table = bh_conn_table_new();
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_buf_done) struct bh_buf b = { 0 };

		bh_conns_format(parse(table, t[i].set), false, &b);
		assert_string_equal(bh_buf_str(&b), t[i].text);
		bh_buf_reset(&b);
		bh_conns_format(parse(table, t[i].set), true, &b);
		assert_string_equal(bh_buf_str(&b), t[i].with_other);
	}
}

static void sets_are_kept_once(void **state)
{
	static const struct {
		const char *a, *b;
	} same[] = {
		{ "TCP:1-10 TCP:11-20", "TCP:1-20" },
		{ "TCP:1-10 TCP:5-20", "TCP:11-20 TCP:1-10" },
		{ "any:0-65535", "TCP:0-65535 UDP:0-65535 SCTP:0-65535 ICMP:0-65535" },
		{ "ICMP:80", "" },
		{ "TCP:20-10", "" },
	};
	bh_auto(bh_conn_table_free) struct bh_conn_table *t = bh_conn_table_new();
	bh_auto(bh_conn_table_free) struct bh_conn_table *other = bh_conn_table_new();
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(same); i++) {
		const struct bh_conns *a = parse(t, same[i].a);

		assert_ptr_equal(a, parse(t, same[i].b));
		assert_ptr_not_equal(a, bh_conns_import(other, a));
		assert_ptr_equal(bh_conns_import(other, a), parse(other, same[i].b));
	}
	assert_ptr_equal(parse(t, "any:0-65535"), bh_conns_all(t));
	assert_ptr_not_equal(parse(t, "TCP:80"), parse(t, "UDP:80"));
}

/* --- against a bitmap ---------------------------------------------------------------- */

/* Ports around which ranges of the test begin and end. */
static const uint16_t edges[] = { 0, 1, 2, 79, 80, 81, 442, 443, 1000, 32767, 65534, 65535 };

#define N_BITS (BH_ARRAY_LEN(protocols) * 65536u)

static uint64_t seed;

static uint32_t next(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

struct both {
	const struct bh_conns *set;
	bool *bits;
};

static void add_range(struct bh_conn_table *t, struct both *s)
{
	uint16_t a = edges[next(BH_ARRAY_LEN(edges))], b = edges[next(BH_ARRAY_LEN(edges))];
	uint32_t which = next(BH_ARRAY_LEN(protocols) + 1), p, port;
	uint16_t first = a < b ? a : b, last = a < b ? b : a;
	bool is_any = which == BH_ARRAY_LEN(protocols);
	bool is_whole = first == 0 && last == UINT16_MAX;

	s->set = bh_conns_or(t, s->set,
			     bh_conns_range(t, is_any ? 0 : protocols[which], first, last));
	for (p = 0; p < BH_ARRAY_LEN(protocols); p++) {
		if ((!is_any && p != which) || (protocols[p] == IPPROTO_ICMP && !is_whole))
			continue;
		for (port = first; port <= last; port++)
			s->bits[p * 65536 + port] = true;
	}
}

static struct both some_set(struct bh_conn_table *t)
{
	struct both s = { bh_conns_none(t), bh_calloc(N_BITS, sizeof(bool)) };
	uint32_t n = next(5);

	while (n-- > 0)
		add_range(t, &s);
	return s;
}

static bool is_set(const struct bh_conns *set, const bool *bits)
{
	uint32_t p, port;
	bool is_any = false;

	for (p = 0; p < BH_ARRAY_LEN(protocols); p++)
		for (port = 0; port < 65536; port++) {
			bool bit = bits[p * 65536 + port];

			is_any |= bit;
			if (bh_conns_has(set, protocols[p], (uint16_t)port) != bit)
				return false;
		}
	return bh_conns_is_empty(set) == !is_any;
}

static void algebra_is_that_of_bitmaps(void **state)
{
	bh_auto(bh_conn_table_free) struct bh_conn_table *t = bh_conn_table_new();
	int round;

	(void)state;
	seed = 7;
	for (round = 0; round < 60; round++) {
		struct both a = some_set(t), b = some_set(t);
		bool *bits = bh_calloc(N_BITS, sizeof(bool));
		size_t i;

		assert_true(is_set(a.set, a.bits));
		for (i = 0; i < N_BITS; i++)
			bits[i] = a.bits[i] && b.bits[i];
		assert_true(is_set(bh_conns_and(t, a.set, b.set), bits));
		for (i = 0; i < N_BITS; i++)
			bits[i] = a.bits[i] || b.bits[i];
		assert_true(is_set(bh_conns_or(t, a.set, b.set), bits));
		for (i = 0; i < N_BITS; i++)
			bits[i] = a.bits[i] && !b.bits[i];
		assert_true(is_set(bh_conns_minus(t, a.set, b.set), bits));
		assert_ptr_equal(bh_conns_or(t, bh_conns_and(t, a.set, b.set),
					     bh_conns_minus(t, a.set, b.set)),
				 a.set);
		free(bits);
		free(a.bits);
		free(b.bits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_that_of_netpol_analyzer),
		cmocka_unit_test(sets_are_kept_once),
		cmocka_unit_test(algebra_is_that_of_bitmaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
