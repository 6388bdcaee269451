#include "test.h"

#include <errno.h>
#include <stdio.h>

#include "../../src/kube/kinds.h"
#include "../../src/kube/stream.h"
#include "bh/buf.h"
#include "bh/object.h"

/* Everything that came out, as text: what is compared. */
struct outcome {
	struct bh_buf text;
	int stop_after; /* objects; 0: never */
	int n;
};

static int on_item(void *ctx, struct bh_kube_stream *s, const struct bh_kube_item *item)
{
	struct outcome *o = ctx;

	bh_buf_printf(&o->text, "%s|%s|%s|%s|%s\n", bh_kube_stream_slot(s, BH_SLOT_TYPE),
		      bh_kube_stream_slot(s, BH_SLOT_NAMESPACE),
		      bh_kube_stream_slot(s, BH_SLOT_NAME), bh_kube_stream_slot(s, BH_SLOT_VERSION),
		      item->refused ? item->refused : item->text);
	if (!item->refused)
		assert_int_equal(strlen(item->text), item->len);
	return ++o->n == o->stop_after ? -ECANCELED : 0;
}

static void add_end(struct outcome *o, const struct bh_kube_stream *s)
{
	bh_buf_printf(&o->text, "whole=%d version=%s continue=%s", bh_kube_stream_is_whole(s),
		      bh_kube_stream_slot(s, BH_SLOT_LIST_VERSION),
		      bh_kube_stream_slot(s, BH_SLOT_CONTINUE));
}

static struct bh_kube_stream *new_stream(enum bh_frame frame, struct outcome *o)
{
	return bh_kube_stream_new(frame, bh_kube_kinds[BH_KUBE_PODS].keep, on_item, o);
}

/* Fed in pieces that end at @first and @second. */
static int run(enum bh_frame frame, const char *in, size_t first, size_t second, struct outcome *o,
	       struct bh_err *err)
{
	bh_auto(bh_kube_stream_free) struct bh_kube_stream *s = new_stream(frame, o);
	size_t len = strlen(in);
	int r;

	r = bh_kube_stream_feed(s, in, first, err);
	if (r >= 0)
		r = bh_kube_stream_feed(s, in + first, second - first, err);
	if (r >= 0)
		r = bh_kube_stream_feed(s, in + second, len - second, err);
	if (r >= 0)
		add_end(o, s);
	return r;
}

static void assert_gives(enum bh_frame frame, const char *in, const char *want)
{
	struct outcome o = { 0 };
	struct bh_err err = { 0 };

	assert_ok(run(frame, in, 0, 0, &o, &err), &err);
	assert_string_equal(bh_buf_str(&o.text), want);
	bh_buf_done(&o.text);
}

static const char list_text[] =
	"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"77\","
	"\"continue\":\"abc\\u003d\",\"remainingItemCount\":3},\"items\":[ "
	"{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\",\"uid\":\"u1\",\"resourceVersion\":"
	"\"5\","
	"\"managedFields\":[{\"f\":{\"}\":[\"]\"]}}],\"labels\":{\"x\":\"1\",\"y\":\"q\\\"}\\\\\"},"
	"\"annotations\":{\"big\":\"...\",\"bulkhead.dev/mode\":\"audit\","
	"\"bulkhead.dev/quarantine\":\"x\"}},"
	"\"spec\":{\"volumes\":[{}],\"nodeName\":\"n\",\"hostNetwork\":true,\"containers\":["
	"{\"name\":\"c\",\"ports\":[{\"containerPort\":80,\"name\":\"w\"}],\"env\":[]},{}]},"
	"\"status\":{\"phase\":\"Running\",\"conditions\":[1,2.5e3,null],\"podIPs\":[{\"ip\":"
	"\"10.0.0.1\"},{\"ip\":\"fd00::1\"}]}},\n"
	"{ \"metadata\" : { \"name\" : \"b\" } , \"spec\" : null },{}]}\n";
static const char list_want[] =
	"|ns|a|5|{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\",\"uid\":\"u1\",\"labels\":{"
	"\"x\":"
	"\"1\",\"y\":\"q\\\"}\\\\\"},\"annotations\":{\"bulkhead.dev/"
	"quarantine\":\"x\"}},\"spec\":{"
	"\"nodeName\":\"n\",\"hostNetwork\":true,\"containers\":[{\"ports\":[{\"containerPort\":80,"
	"\"name\":\"w\"}]},{}]},\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.0.0.1\"}"
	","
	"{\"ip\":\"fd00::1\"}]}}\n"
	"||b||{\"metadata\":{\"name\":\"b\"},\"spec\":null}\n"
	"||||{}\n"
	"whole=1 version=77 continue=abc\\u003d";

static const char watch_text[] =
	"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\","
	"\"namespace\":\"ns\",\"resourceVersion\":\"9\"},\"status\":{\"podIP\":\"10.0.0.1\"}}}\n"
	"{\"object\":{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"10\"}},"
	"\"type\":\"DELETED\"}\r\n"
	"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":"
	"\"11\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}";
static const char watch_want[] =
	"ADDED|ns|a|9|{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\"status\":{\"podIP\":"
	"\"10.0.0.1\"}}\n"
	"DELETED||b|10|{\"metadata\":{\"name\":\"b\"}}\n"
	"BOOKMARK|||11|{\"metadata\":{\"annotations\":{}}}\n"
	"whole=1 version= continue=";

static void a_list_gives_what_is_kept_of_its_items(void **state)
{
	(void)state;
	assert_gives(BH_FRAME_LIST, list_text, list_want);
}

static void a_watch_gives_its_events_whatever_their_order_of_members(void **state)
{
	(void)state;
	assert_gives(BH_FRAME_WATCH, watch_text, watch_want);
}

static void metadata_may_come_after_the_items(void **state)
{
	(void)state;
	assert_gives(BH_FRAME_LIST,
		     "{\"apiVersion\":\"v1\",\"items\":[{\"metadata\":{\"name\":\"a\"}}],"
		     "\"metadata\":{\"continue\":\"\",\"resourceVersion\":\"3\"}}",
		     "||a||{\"metadata\":{\"name\":\"a\"}}\nwhole=1 version=3 continue=");
}

static void a_list_may_be_empty(void **state)
{
	static const char *const rows[] = {
		"{\"metadata\":{\"resourceVersion\":\"3\"},\"items\":[]}",
		"{\"metadata\":{\"resourceVersion\":\"3\"},\"items\":null}",
		"{\"metadata\":{\"resourceVersion\":\"3\"}}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++)
		assert_gives(BH_FRAME_LIST, rows[i], "whole=1 version=3 continue=");
}

static void every_split_gives_the_same(void **state)
{
	static const struct {
		enum bh_frame frame;
		const char *in, *want;
	} rows[] = {
		{ BH_FRAME_LIST, list_text, list_want },
		{ BH_FRAME_WATCH, watch_text, watch_want },
	};
	size_t i, k, n;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].in);

		for (k = 0; k <= len; k++) {
			for (n = k; n <= len; n += 1 + len / 97) {
				struct outcome o = { 0 };
				struct bh_err err = { 0 };

				assert_ok(run(rows[i].frame, rows[i].in, k, n, &o, &err), &err);
				assert_string_equal(bh_buf_str(&o.text), rows[i].want);
				bh_buf_done(&o.text);
			}
		}
	}
}

static void byte_by_byte_gives_the_same(void **state)
{
	struct outcome o = { 0 };
	bh_auto(bh_kube_stream_free) struct bh_kube_stream *s = new_stream(BH_FRAME_LIST, &o);
	const char *p;

	(void)state;
	for (p = list_text; *p; p++)
		assert_int_equal(bh_kube_stream_feed(s, p, 1, NULL), 0);
	add_end(&o, s);
	assert_string_equal(bh_buf_str(&o.text), list_want);
	bh_buf_done(&o.text);
}

static void what_is_cut_off_is_not_whole(void **state)
{
	size_t n;

	(void)state;
	for (n = 0; n < strlen(list_text) - 2; n++) {
		struct outcome o = { 0 };
		bh_auto(bh_kube_stream_free) struct bh_kube_stream *s =
			new_stream(BH_FRAME_LIST, &o);

		assert_int_equal(bh_kube_stream_feed(s, list_text, n, NULL), 0);
		assert_false(bh_kube_stream_is_whole(s));
		bh_buf_done(&o.text);
	}
}

static void a_change_of_what_is_not_kept_gives_the_same_text(void **state)
{
	static const char want[] = "ADDED||a||{\"metadata\":{\"name\":\"a\"},\"status\":{}}\n"
				   "whole=1 version= continue=";

	(void)state;
	assert_gives(BH_FRAME_WATCH,
		     "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\","
		     "\"generation\":1},\"status\":{\"conditions\":[1]}}}",
		     want);
	assert_gives(BH_FRAME_WATCH,
		     "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\","
		     "\"generation\":2},\"status\":{\"hostIP\":\"x\",\"conditions\":{}}}}",
		     want);
}

static void the_caller_may_stop_it(void **state)
{
	struct outcome o = { .stop_after = 2 };
	bh_auto(bh_kube_stream_free) struct bh_kube_stream *s = new_stream(BH_FRAME_LIST, &o);

	(void)state;
	assert_int_equal(bh_kube_stream_feed(s, list_text, strlen(list_text), NULL), -ECANCELED);
	assert_int_equal(o.n, 2);
	bh_buf_done(&o.text);
}

static void other_text_is_refused(void **state)
{
	static const struct {
		enum bh_frame frame;
		const char *in, *part;
	} rows[] = {
		{ BH_FRAME_LIST, "<html>", "no object" },
		{ BH_FRAME_LIST, "[]", "an array" },
		{ BH_FRAME_LIST, "7", "no object" },
		{ BH_FRAME_LIST, "}", "no object" },
		{ BH_FRAME_LIST, "{]", "a key is missing" },
		{ BH_FRAME_LIST, "{\"a\":1]", "a bracket too many" },
		{ BH_FRAME_LIST, "{\"items\":[{\"a\":1]]", "a bracket too many" },
		{ BH_FRAME_LIST, "{\"a\" 1}", "no colon" },
		{ BH_FRAME_LIST, "{\"a\":1 2}", "no comma" },
		{ BH_FRAME_LIST, "{\"a\":}", "a value is missing" },
		{ BH_FRAME_LIST, "{\"a\":1,}", "a key is missing" },
		{ BH_FRAME_LIST, "{\"a\":[,]}", "a value is missing" },
		{ BH_FRAME_LIST, "{} {}", "more than one list" },
		{ BH_FRAME_WATCH, "{}x", "no object" },
		{ BH_FRAME_WATCH, "{\"type\":\"ADDED\"},", "no object" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct outcome o = { 0 };
		struct bh_err err = { 0 };

		assert_err(run(rows[i].frame, rows[i].in, 0, 0, &o, &err), &err, -EPROTO,
			   rows[i].part);
		assert_contains(err.text, "the answer is not what was asked for");
		bh_buf_done(&o.text);
	}
}

/* --- caps ------------------------------------------------------------------------ */

static void repeat(struct bh_buf *b, const char *s, size_t n)
{
	while (n-- > 0)
		bh_buf_puts(b, s);
}

/* Of "before", the one that @bad is in, named "bad", and "after": its text, or why not. */
static void assert_between(const char *bad, const char *want_text)
{
	struct bh_buf in = { 0 }, want = { 0 };

	bh_buf_puts(&in, "{\"items\":[{\"metadata\":{\"name\":\"before\"}},");
	bh_buf_puts(&in, bad);
	bh_buf_puts(&in, ",{\"metadata\":{\"name\":\"after\"}}]}");
	bh_buf_printf(&want,
		      "||before||{\"metadata\":{\"name\":\"before\"}}\n|ns|bad|4|%s\n"
		      "||after||{\"metadata\":{\"name\":\"after\"}}\nwhole=1 version= continue=",
		      want_text);
	assert_gives(BH_FRAME_LIST, bh_buf_str(&in), bh_buf_str(&want));
	bh_buf_done(&in);
	bh_buf_done(&want);
}

#define BAD_METADATA                                                                               \
	"{\"metadata\":{\"name\":\"bad\",\"namespace\":\"ns\",\"resourceVersion\":\"4\"}"

static void what_is_not_kept_may_be_of_any_size(void **state)
{
	struct bh_buf in = { 0 };

	(void)state;
	bh_buf_puts(&in, "{\"metadata\":{\"managedFields\":[\"");
	repeat(&in, "0123456789abcdef", BH_KUBE_MAX_OBJECT / 16);
	bh_buf_puts(&in, "\"],\"name\":\"bad\",\"namespace\":\"ns\",\"resourceVersion\":\"4\"}}");
	assert_between(bh_buf_str(&in), "{\"metadata\":{\"name\":\"bad\",\"namespace\":\"ns\"}}");
	bh_buf_done(&in);
}

/* Before, between and after other members; nested; as one long string. */
static void a_part_that_is_too_long_is_left_out_alone(void **state)
{
	static const struct {
		const char *head, *piece, *tail, *want;
	} t[] = {
		{ "{\"metadata\":{\"labels\":{\"x\":\"", "0123456789abcdef",
		  "\"},\"name\":\"bad\",\"namespace\":\"ns\",\"resourceVersion\":\"4\"}}",
		  "{\"metadata\":{\"name\":\"bad\",\"namespace\":\"ns\"}}" },
		{ BAD_METADATA ",\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"ports\":[0",
		  ",[1,{\"a\":2}]", "]},{\"ports\":[3]}],\"hostNetwork\":true}}",
		  "{\"metadata\":{\"name\":\"bad\",\"namespace\":\"ns\"},\"spec\":{\"nodeName\":"
		  "\"n\","
		  "\"hostNetwork\":true}}" },
		{ BAD_METADATA ",\"spec\":{\"initContainers\":[{\"ports\":[0", ",1",
		  "]}],\"containers\":[{\"ports\":[2]}]}}",
		  "{\"metadata\":{\"name\":\"bad\",\"namespace\":\"ns\"},\"spec\":{\"containers\":["
		  "{"
		  "\"ports\":[2]}]}}" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_buf in = { 0 };

		bh_buf_puts(&in, t[i].head);
		repeat(&in, t[i].piece, 300000);
		bh_buf_puts(&in, t[i].tail);
		assert_between(bh_buf_str(&in), t[i].want);
		bh_buf_done(&in);
	}
}

static void an_object_of_which_too_much_is_kept_is_refused_and_the_rest_goes_on(void **state)
{
	struct bh_buf bad = { 0 };

	(void)state;
	bh_buf_puts(&bad, BAD_METADATA ",\"status\":{\"podIPs\":\"");
	repeat(&bad, "0123456789abcdef", BH_KUBE_MAX_OBJECT / 16);
	bh_buf_puts(&bad, "\"}}");
	assert_between(bh_buf_str(&bad), "has over 4 MiB of what policy is about");
	bh_buf_done(&bad);
}

static void a_deep_object_is_refused_by_name_and_the_rest_goes_on(void **state)
{
	static const char *const inner[] = { "1", "{\"a\":1,\"b\":[2,\"x\",{}]}", "\"\\\"]\"", "" };
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(inner); i++) {
		struct bh_buf bad = { 0 };

		bh_buf_puts(&bad, BAD_METADATA ",\"spec\":{\"containers\":");
		repeat(&bad, "[", 200);
		bh_buf_puts(&bad, inner[i]);
		repeat(&bad, "]", 200);
		bh_buf_puts(&bad, "}}");
		assert_between(bh_buf_str(&bad), "is nested deeper than 64 levels");
		bh_buf_done(&bad);
	}
}

static void an_object_of_many_values_is_refused_by_name(void **state)
{
	struct bh_buf bad = { 0 };

	(void)state;
	bh_buf_puts(&bad, BAD_METADATA ",\"status\":{\"podIPs\":[0");
	repeat(&bad, ",1", BH_OBJECT_MAX_ITEMS);
	bh_buf_puts(&bad, "]}}");
	assert_between(bh_buf_str(&bad), "has more than 100000 values");
	bh_buf_done(&bad);
}

/* A list that lost its continue token would look like the last page. */
static void a_token_that_does_not_fit_is_an_error_and_not_the_end(void **state)
{
	struct bh_buf in = { 0 };
	struct outcome o = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	bh_buf_puts(&in, "{\"metadata\":{\"continue\":\"");
	repeat(&in, "0123456789abcdef", 300);
	bh_buf_puts(&in, "\"}}");
	assert_err(run(BH_FRAME_LIST, bh_buf_str(&in), 0, 0, &o, &err), &err, -EPROTO, "too long");
	bh_buf_done(&in);
	bh_buf_done(&o.text);
}

static void a_long_key_is_no_name_that_is_looked_for(void **state)
{
	struct bh_buf in = { 0 };

	(void)state;
	bh_buf_puts(&in, "{\"items\":[{\"");
	repeat(&in, "metadata", 1000);
	bh_buf_puts(&in,
		    "\":1,\"meta\\u0064ata\":2,\"metadat\":3,\"metadata\":{\"name\":\"a\"}}]}");
	assert_gives(BH_FRAME_LIST, bh_buf_str(&in),
		     "||a||{\"metadata\":{\"name\":\"a\"}}\nwhole=1 version= continue=");
	bh_buf_done(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_gives_what_is_kept_of_its_items),
		cmocka_unit_test(a_watch_gives_its_events_whatever_their_order_of_members),
		cmocka_unit_test(metadata_may_come_after_the_items),
		cmocka_unit_test(a_list_may_be_empty),
		cmocka_unit_test(every_split_gives_the_same),
		cmocka_unit_test(byte_by_byte_gives_the_same),
		cmocka_unit_test(what_is_cut_off_is_not_whole),
		cmocka_unit_test(a_change_of_what_is_not_kept_gives_the_same_text),
		cmocka_unit_test(the_caller_may_stop_it),
		cmocka_unit_test(other_text_is_refused),
		cmocka_unit_test(what_is_not_kept_may_be_of_any_size),
		cmocka_unit_test(a_part_that_is_too_long_is_left_out_alone),
		cmocka_unit_test(
			an_object_of_which_too_much_is_kept_is_refused_and_the_rest_goes_on),
		cmocka_unit_test(a_deep_object_is_refused_by_name_and_the_rest_goes_on),
		cmocka_unit_test(an_object_of_many_values_is_refused_by_name),
		cmocka_unit_test(a_token_that_does_not_fit_is_an_error_and_not_the_end),
		cmocka_unit_test(a_long_key_is_no_name_that_is_looked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
