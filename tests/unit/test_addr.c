#include "test.h"

#include <errno.h>

#include "bh/addr.h"

static void addresses_have_one_canonical_text(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "10.0.0.1", "10.0.0.1" },
		{ "fd00:0:0::0001", "fd00::1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::", "::" },
	};
	char buf[BH_ADDR_STRLEN];
	struct bh_addr a;
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		assert_ok(bh_addr_parse(t[i].in, &a, NULL), NULL);
		assert_string_equal(bh_addr_format(&a, buf), t[i].out);
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const t[] = { "",          "10.0.0",       "10.0.0.256",
					 "10.0.0.01", "fe80::1%eth0", "10.0.0.1/8",
					 "x" };
	struct bh_addr a;
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_err err = { 0 };

		assert_err(bh_addr_parse(t[i], &a, &err), &err, -EINVAL, "is not an IP address");
	}
}

static void prefixes_parse(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
		const char *lax;      /* with host bits cleared */
	} t[] = {
		{ "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8" },
		{ "10.1.0.0/8", NULL, "10.0.0.0/8" },
		{ "0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0" },
		{ "10.0.0.1/32", "10.0.0.1/32", "10.0.0.1/32" },
		{ "fd00::/7", NULL, "fc00::/7" },
		{ "::/0", "::/0", "::/0" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8", "10.0.0.0/8" },
		{ "::ffff:10.0.0.0/90", NULL, NULL },
		{ "10.0.0.0/33", NULL, NULL },
		{ "fd00::/129", NULL, NULL },
		{ "10.0.0.0", NULL, NULL },
		{ "10.0.0.0/", NULL, NULL },
		{ "10.0.0.0/+8", NULL, NULL },
		{ "10.0.0.0/8x", NULL, NULL },
		{ "/8", NULL, NULL },
	};
	char buf[BH_CIDR_STRLEN];
	struct bh_cidr c;
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		int r = bh_cidr_parse(t[i].in, &c, NULL);

		assert_int_equal(r, t[i].out ? 0 : -EINVAL);
		if (t[i].out)
			assert_string_equal(bh_cidr_format(&c, buf), t[i].out);
		r = bh_cidr_parse_lax(t[i].in, &c, NULL);
		assert_int_equal(r, t[i].lax ? 0 : -EINVAL);
		if (t[i].lax)
			assert_string_equal(bh_cidr_format(&c, buf), t[i].lax);
	}
}

static void a_prefix_contains_its_family_only(void **state)
{
	static const struct {
		const char *cidr, *addr;
		bool want;
	} t[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "0.0.0.0/0", "1.2.3.4", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "1.2.3.4", false },
		{ "fd00::/9", "fd7f::1", true },
		{ "fd00::/9", "fd80::1", false },
	};
	struct bh_addr a;
	struct bh_cidr c;
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		assert_ok(bh_cidr_parse(t[i].cidr, &c, NULL), NULL);
		assert_ok(bh_addr_parse(t[i].addr, &a, NULL), NULL);
		assert_int_equal(bh_cidr_contains(&c, &a), t[i].want);
	}
}

static void a_prefix_is_a_range_and_steps_stop_at_the_ends(void **state)
{
	char buf[BH_ADDR_STRLEN];
	struct bh_range r;
	struct bh_cidr c;

	(void)state;
	assert_ok(bh_cidr_parse("10.0.0.128/25", &c, NULL), NULL);
	r = bh_cidr_range(&c);
	assert_string_equal(bh_addr_format(&r.last, buf), "10.0.0.255");
	assert_true(bh_addr_next(&r.last));
	assert_string_equal(bh_addr_format(&r.last, buf), "10.0.1.0");
	assert_true(bh_addr_prev(&r.last));
	assert_string_equal(bh_addr_format(&r.last, buf), "10.0.0.255");

	assert_ok(bh_cidr_parse("0.0.0.0/0", &c, NULL), NULL);
	r = bh_cidr_range(&c);
	assert_false(bh_addr_next(&r.last));
	assert_string_equal(bh_addr_format(&r.last, buf), "255.255.255.255");
	assert_false(bh_addr_prev(&r.first));
	assert_string_equal(bh_addr_format(&r.first, buf), "0.0.0.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_have_one_canonical_text),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(prefixes_parse),
		cmocka_unit_test(a_prefix_contains_its_family_only),
		cmocka_unit_test(a_prefix_is_a_range_and_steps_stop_at_the_ends),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
