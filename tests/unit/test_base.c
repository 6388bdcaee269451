#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/backoff.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/file.h"
#include "bh/hash.h"

static void errors_are_wrapped_outside_in(void **state)
{
	struct bh_err err = { 0 };

	(void)state;
	assert_int_equal(bh_err(&err, -EINVAL, "port %d is not within 1-65535", 70000), -EINVAL);
	assert_int_equal(bh_err_wrap(&err, -EINVAL, "policy %s", "shop/web"), -EINVAL);
	assert_string_equal(err.text, "policy shop/web: port 70000 is not within 1-65535");

	bh_err_clear(&err);
	bh_err_wrap(&err, -ENOENT, "cannot open 'x'");
	assert_string_equal(err.text, "cannot open 'x': No such file or directory");
}

static void hostile_text_is_escaped(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "plain text", "plain text" },
		{ "line\nbreak\x1b[31m", "line\\x0abreak\\x1b[31m" },
		{ "back\\slash", "back\\x5cslash" },
		{ "m\xc3\xa4rz", "m\xc3\xa4rz" },
		{ "\xc3", "\\xc3" },
		{ "\xc0\x8a", "\\xc0\\x8a" },          /* overlong newline */
		{ "\xc2\x9b", "\\xc2\\x9b" },          /* C1 control */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" }, /* surrogate */
		/* Directions: U+202E, U+2066, U+200F, U+061C. */
		{ "a\xe2\x80\xae"
		  "b",
		  "a\\xe2\\x80\\xaeb" },
		{ "\xe2\x81\xa6", "\\xe2\\x81\\xa6" },
		{ "\xe2\x80\x8f", "\\xe2\\x80\\x8f" },
		{ "\xd8\x9c", "\\xd8\\x9c" },
		/* Nothing to see: U+200B, U+FEFF, U+00AD, U+2060, U+3164, U+FE0F. */
		{ "\xe2\x80\x8b", "\\xe2\\x80\\x8b" },
		{ "\xef\xbb\xbf", "\\xef\\xbb\\xbf" },
		{ "\xc2\xad", "\\xc2\\xad" },
		{ "\xe2\x81\xa0", "\\xe2\\x81\\xa0" },
		{ "\xe3\x85\xa4", "\\xe3\\x85\\xa4" },
		{ "\xef\xb8\x8f", "\\xef\\xb8\\x8f" },
		/* Lines and paragraphs: U+2028, U+2029; tags: U+E0041; U+FFFE, U+10FFFF. */
		{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },
		{ "\xe2\x80\xa9", "\\xe2\\x80\\xa9" },
		{ "\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81" },
		{ "\xef\xbf\xbe", "\\xef\\xbf\\xbe" },
		{ "\xf4\x8f\xbf\xbf", "\\xf4\\x8f\\xbf\\xbf" },
		/* Their neighbours are characters like others: U+200A, U+2070, U+FF9F, U+1F600. */
		{ "\xe2\x80\x8a", "\xe2\x80\x8a" },
		{ "\xe2\x81\xb0", "\xe2\x81\xb0" },
		{ "\xef\xbe\x9f", "\xef\xbe\x9f" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
	};
	struct bh_buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_buf_reset(&b);
		bh_buf_escape(&b, t[i].in);
		assert_string_equal(bh_buf_str(&b), t[i].out);
	}
	bh_buf_done(&b);
}

static void times_go_both_ways(void **state)
{
	static const struct {
		const char *in;
		uint64_t ns;
	} t[] = {
		{ "1970-01-01T00:00:01Z", BH_NS_PER_S },
		{ "2026-01-02T03:04:05.000000006Z", UINT64_C(1767323045000000006) },
		{ "2026-01-02T05:04:05.5+02:00", UINT64_C(1767323045500000000) },
	};
	static const char *const bad[] = { "",
					   "2026-01-02",
					   "2026-13-02T00:00:00Z",
					   "2026-01-02T00:00:00",
					   "2026-01-02T00:00:00.Z",
					   "2026-01-02T00:00:00Zx" };
	char buf[BH_TIME_STRLEN];
	uint64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		assert_int_equal(bh_time_parse(t[i].in, &ns), 0);
		assert_int_equal(ns, t[i].ns);
	}
	assert_string_equal(bh_time_format(t[1].ns, buf), t[1].in);
	for (i = 0; i < BH_ARRAY_LEN(bad); i++)
		assert_int_equal(bh_time_parse(bad[i], &ns), -EINVAL);
}

static void a_file_over_the_cap_is_refused(void **state)
{
	char path[] = "/tmp/bh-test-XXXXXX";
	bh_auto_close int fd = mkstemp(path);
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	char *unused = NULL;
	size_t len;

	(void)state;
	assert_int_equal(bh_write_all(fd, "hello", 5), 0);
	assert_ok(bh_read_file(path, 5, &text, &len, &err), &err);
	assert_int_equal(len, 5);
	assert_string_equal(text, "hello");
	assert_err(bh_read_file(path, 4, &unused, &len, &err), &err, -EFBIG, "over 4 bytes");
	assert_null(unused);
	bh_err_clear(&err);
	assert_err(bh_read_file("/tmp", 4, &unused, &len, &err), &err, -EINVAL, "regular file");
	unlink(path);
}

static void a_fifo_does_not_block_the_reader(void **state)
{
	char dir[] = "/tmp/bh-test-XXXXXX", path[64];
	struct bh_err err = { 0 };
	char *unused = NULL;
	size_t len;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_err(bh_read_file(path, 10, &unused, &len, &err), &err, -EINVAL, "regular file");
	unlink(path);
	rmdir(dir);
}

static void digests_are_sha256(void **state)
{
	char hex[BH_DIGEST_LEN + 1];

	(void)state;
	bh_digest("abc", 3, hex); /* FIPS 180-2, appendix B.1 */
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223");
}

static void the_keyed_hash_sees_every_byte(void **state)
{
	unsigned char data[40] = { 0 };
	uint64_t before;
	size_t i;

	(void)state;
	before = bh_hash(data, sizeof(data));
	assert_int_equal(before, bh_hash(data, sizeof(data)));
	for (i = 0; i < sizeof(data); i++) {
		data[i] = 1;
		assert_true(bh_hash(data, sizeof(data)) != before);
		data[i] = 0;
	}
	assert_true(bh_hash(data, sizeof(data) - 1) != before);
}

static void an_arena_gives_zeroed_aligned_memory(void **state)
{
	struct bh_arena *a = bh_arena_new();
	unsigned char *p;
	size_t i, k;

	(void)state;
	for (i = 0; i < 2000; i++) {
		size_t size = i * 7 % 3000;

		p = bh_arena_alloc(a, size);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (k = 0; k < size; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xff, size);
	}
	assert_string_equal(bh_arena_printf(a, "%d-%s", 7, "x"), "7-x");
	bh_arena_free(&a);
	assert_null(a);
}

static void pauses_double_up_to_the_last_and_are_never_under_half(void **state)
{
	static const struct {
		unsigned int n_failures;
		uint32_t max_ms;
	} t[] = {
		{ 1, 200 },   { 2, 400 },   { 3, 800 },     { 4, 1600 },
		{ 7, 12800 }, { 8, 20000 }, { 100, 20000 }, { UINT_MAX, 20000 },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		uint32_t lowest = UINT32_MAX, highest = 0;

		for (int k = 0; k < 1000; k++) {
			uint32_t ms = bh_backoff_ms(t[i].n_failures, 200, 20000);

			assert_in_range(ms, t[i].max_ms / 2, t[i].max_ms);
			lowest = ms < lowest ? ms : lowest;
			highest = ms > highest ? ms : highest;
		}
		/* Not all at once: the odds that 1000 of them keep to a part are nil. */
		assert_true(lowest < t[i].max_ms * 3 / 4 && highest > t[i].max_ms * 3 / 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_wrapped_outside_in),
		cmocka_unit_test(hostile_text_is_escaped),
		cmocka_unit_test(times_go_both_ways),
		cmocka_unit_test(a_file_over_the_cap_is_refused),
		cmocka_unit_test(a_fifo_does_not_block_the_reader),
		cmocka_unit_test(digests_are_sha256),
		cmocka_unit_test(the_keyed_hash_sees_every_byte),
		cmocka_unit_test(an_arena_gives_zeroed_aligned_memory),
		cmocka_unit_test(pauses_double_up_to_the_last_and_are_never_under_half),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
