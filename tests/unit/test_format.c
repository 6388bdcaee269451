#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "bh/buf.h"
#include "bh/record.h"

#define T "\"@timestamp\":\"2026-11-03T21:43:20.123456789Z\","
#define FLOW                                                                                       \
	T "\"event.action\":\"flow-denied\",\"policy.verdict\":\"denied\","                        \
	  "\"network.direction\":\"ingress\",\"network.transport\":\"tcp\","                       \
	  "\"source.address\":\"10.88.0.5\",\"source.port\":41234,\"source.entity\":\"pod\","      \
	  "\"source.k8s.namespace.name\":\"shop\",\"source.k8s.pod.name\":\"attacker\","           \
	  "\"destination.address\":\"10.88.0.4\",\"destination.port\":5432,"                       \
	  "\"destination.entity\":\"pod\",\"destination.k8s.namespace.name\":\"data\","            \
	  "\"destination.k8s.pod.name\":\"db\","
#define WHY                                                                                        \
	"\"policy.default_deny_by\":[\"shop/default-deny\"],"                                      \
	"\"policy.nearest_miss\":[{\"name\":\"shop/db-from-api\",\"rule_index\":0,"                \
	"\"why\":\"podSelector\"}],"

static struct bh_record *parse(const char *text)
{
	json_error_t error;
	json_t *object = json_loads(text, 0, &error);
	struct bh_record *record;

	if (!object)
		fail_msg("%s: %s", error.text, text);
	record = bh_record_decode(object);
	json_decref(object);
	return record;
}

static void every_record_is_one_readable_line(void **state)
{
	static const struct {
		const char *record, *want;
	} t[] = {
		{ "{" FLOW WHY "\"flow.count\":1}",
		  "Nov  3 21:43:20.123 DENIED   ingress shop/attacker 10.88.0.5:41234 -> "
		  "data/db 10.88.0.4:5432  TCP  default deny by shop/default-deny; "
		  "nearest shop/db-from-api rule 0: podSelector\n" },
		{ "{" FLOW "\"flow.count\":37}",
		  "Nov  3 21:43:20.123 DENIED   ingress shop/attacker 10.88.0.5:41234 -> "
		  "data/db 10.88.0.4:5432  TCP x37\n" },
		{ "{" T
		  "\"event.action\":\"flow-audit-denied\",\"policy.verdict\":\"audit-denied\","
		  "\"network.direction\":\"egress\",\"network.transport\":\"ipv6-icmp\","
		  "\"source.address\":\"fd88::5\",\"source.entity\":\"unknown\","
		  "\"destination.address\":\"2001:db8::1\",\"destination.entity\":\"external\","
		  "\"icmp.type\":128,\"icmp.code\":0,"
		  "\"policy.rule\":{\"kind\":\"DefaultDeny\",\"namespace\":\"shop\",\"name\":\"x\"}"
		  "}",
		  "Nov  3 21:43:20.123 AUDIT    egress  unknown fd88::5 -> external 2001:db8::1  "
		  "ICMPv6 type 128 code 0  default deny of namespace shop\n" },
		{ "{" T "\"event.action\":\"flow-denied\",\"policy.verdict\":\"denied\","
		  "\"network.direction\":\"ingress\",\"network.transport\":\"47\","
		  "\"source.address\":\"fd88::5\",\"source.port\":7,\"source.entity\":\"node\","
		  "\"source.k8s.node.name\":\"n1\",\"destination.address\":\"fd88::6\","
		  "\"policy.rule\":{\"kind\":\"ClusterNetworkPolicy\",\"name\":\"wall\","
		  "\"rule_index\":2},\"policy.closed\":\"set too large\"}",
		  "Nov  3 21:43:20.123 DENIED   ingress node n1 [fd88::5]:7 -> fd88::6  protocol "
		  "47  "
		  "by wall rule 2; closed: set too large\n" },
		{ "{" FLOW "\"policy.default_deny_by\":[\"a/1\",\"a/2\",\"a/3\",\"a/4\",\"a/5\"]}",
		  "Nov  3 21:43:20.123 DENIED   ingress shop/attacker 10.88.0.5:41234 -> "
		  "data/db 10.88.0.4:5432  TCP  default deny by a/1, a/2, a/3 and 2 more\n" },
		{ "{" T "\"event.action\":\"gap\",\"gap.reason\":\"nflog-sequence\","
		  "\"evidence.lost\":12}",
		  "Nov  3 21:43:20.123 GAP      12 packets are in no record: nflog-sequence\n" },
		{ "{" T
		  "\"event.action\":\"gap\",\"gap.reason\":\"rate-limit\",\"evidence.lost\":9,"
		  "\"policy.verdict\":\"denied\",\"k8s.namespace.name\":\"shop\","
		  "\"k8s.pod.name\":\"web\"}",
		  "Nov  3 21:43:20.123 GAP      9 packets are in no record of shop/web: "
		  "rate-limit\n" },
		{ "{" T "\"event.action\":\"tamper\",\"process.name\":\"nft\",\"process.pid\":7,"
		  "\"tamper.differences\":[\"chain gone\",\"set gone\"]}",
		  "Nov  3 21:43:20.123 TAMPER   our rules were changed by nft (pid 7): chain gone; "
		  "set gone\n" },
		{ "{" T "\"event.action\":\"policy-changed\",\"policy.change\":\"added\","
		  "\"policy.rule\":{\"kind\":\"NetworkPolicy\",\"namespace\":\"shop\",\"name\":"
		  "\"p\"}}",
		  "Nov  3 21:43:20.123 POLICY   NetworkPolicy shop/p added\n" },
		{ "{" T "\"event.action\":\"pod-bound\",\"k8s.namespace.name\":\"shop\","
		  "\"k8s.pod.name\":\"web\",\"k8s.pod.ip\":[\"10.0.0.1\",\"fd88::1\"]}",
		  "Nov  3 21:43:20.123 POD      shop/web has 10.0.0.1, fd88::1\n" },
		{ "{" T "\"event.action\":\"pod-unbound\",\"k8s.namespace.name\":\"shop\","
		  "\"k8s.pod.name\":\"web\",\"k8s.pod.ip\":[\"10.0.0.1\"]}",
		  "Nov  3 21:43:20.123 POD      shop/web has left 10.0.0.1\n" },
		{ "{" T "\"event.action\":\"of-a-newer-version\"}",
		  "Nov  3 21:43:20.123 EVENT    of-a-newer-version\n" },
		{ "{}", "-                   EVENT    -\n" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_record *record = parse(t[i].record);
		struct bh_buf out = { 0 };

		bh_record_format(record, false, &out);
		assert_string_equal(bh_buf_str(&out), t[i].want);
		bh_buf_done(&out);
		free(record);
	}
}

static void the_header_stands_over_the_columns(void **state)
{
	struct bh_buf out = { 0 };

	(void)state;
	bh_record_header(&out);
	assert_string_equal(bh_buf_str(&out), "TIME                VERDICT          "
					      "SOURCE -> DESTINATION  PROTOCOL  REASON\n");
	bh_buf_done(&out);
}

static void colours_are_only_used_when_asked_for(void **state)
{
	struct bh_record *record = parse("{" FLOW WHY "\"flow.count\":1}");
	struct bh_buf out = { 0 };

	(void)state;
	bh_record_format(record, false, &out);
	assert_null(strchr(bh_buf_str(&out), '\033'));
	bh_buf_reset(&out);
	bh_record_format(record, true, &out);
	assert_contains(bh_buf_str(&out), "\033[31mDENIED\033[0m   ingress");
	bh_buf_done(&out);
	free(record);
}

static void hostile_text_and_wrong_types_forge_nothing(void **state)
{
	static const char *const t[] = {
		"{\"@timestamp\":\"\\u001b[2J\",\"event.action\":\"flow-\\u001b\","
		"\"network.direction\":\"in\\ngress\",\"network.transport\":\"\\u009b31m\","
		"\"source.address\":\"\\r\",\"source.entity\":\"\\u0007\","
		"\"destination.k8s.pod.name\":\"x\\ny\",\"policy.closed\":\"\\n\","
		"\"policy.rule\":{\"kind\":\"\\n\",\"name\":\"\\n\"},"
		"\"policy.default_deny_by\":[\"\\n\",7],"
		"\"policy.nearest_miss\":[{\"name\":\"\\n\",\"why\":\"\\n\"}]}",
		"{\"event.action\":\"gap\",\"gap.reason\":\"\\n\",\"k8s.pod.name\":\"\\n\"}",
		"{\"event.action\":\"tamper\",\"process.name\":\"\\n\","
		"\"tamper.differences\":[\"\\n\",null]}",
		"{\"event.action\":\"pod-\",\"k8s.pod.name\":\"\\n\",\"k8s.pod.ip\":[\"\\n\"]}",
		"{\"event.action\":\"policy-changed\",\"policy.change\":\"\\n\"}",
		"{\"event.action\":\"\\n\"}",
		"{\"event.action\":7,\"@timestamp\":[]}",
		"{\"event.action\":\"flow-denied\",\"source.port\":\"x\",\"policy.rule\":[],"
		"\"policy.default_deny_by\":{},\"policy.nearest_miss\":\"x\",\"icmp.type\":{}}",
		"[]",
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_record *record = parse(t[i]);
		struct bh_buf out = { 0 };

		bh_record_format(record, false, &out);
		for (size_t k = 0; k + 1 < out.len; k++)
			assert_true((unsigned char)out.data[k] >= 0x20);
		assert_null(strstr(bh_buf_str(&out), "\xc2\x9b"));
		assert_int_equal(out.data[out.len - 1], '\n');
		bh_buf_done(&out);
		free(record);
	}
}

static void a_filter_finds_either_end_the_verdict_and_the_time(void **state)
{
#define AUDIT "\"event.action\":\"flow-audit-denied\",\"policy.verdict\":\"audit-denied\""
#define GAP   "\"event.action\":\"gap\",\"gap.reason\":\"nflog-sequence\",\"evidence.lost\":1"
	static const struct {
		struct bh_record_filter filter;
		const char *record;
		bool want;
	} t[] = {
		{ { 0 }, "{}", true },
		{ { .namespace = "shop" }, "{" FLOW WHY "\"x\":0}", true },
		{ { .namespace = "data" }, "{" FLOW WHY "\"x\":0}", true },
		{ { .namespace = "other" }, "{" FLOW WHY "\"x\":0}", false },
		{ { .namespace = "shop", .pod = "attacker" }, "{" FLOW WHY "\"x\":0}", true },
		{ { .namespace = "data", .pod = "db" }, "{" FLOW WHY "\"x\":0}", true },
		/* Both must be of one end. */
		{ { .namespace = "shop", .pod = "db" }, "{" FLOW WHY "\"x\":0}", false },
		{ { .verdict = "denied" }, "{" FLOW WHY "\"x\":0}", true },
		{ { .verdict = "audit" }, "{" FLOW WHY "\"x\":0}", false },
		{ { .verdict = "audit" }, "{" AUDIT "}", true },
		{ { .verdict = "audit-denied" }, "{" AUDIT "}", true },
		{ { .verdict = "denied" }, "{" AUDIT "}", false },
		{ { .verdict = "allowed" }, "{" FLOW WHY "\"x\":0}", false },
		{ { .verdict = "denied" }, "{\"event.action\":\"pod-bound\"}", false },
		{ { .since_ns = UINT64_C(1793742200123456789) }, "{" FLOW WHY "\"x\":0}", true },
		{ { .since_ns = UINT64_C(1793742200123456790) }, "{" FLOW WHY "\"x\":0}", false },
		{ { .since_ns = 1 }, "{\"@timestamp\":\"soon\"}", false },
		/* Events of the pod itself, policies of the namespace. */
		{ { .namespace = "shop", .pod = "web" },
		  "{\"event.action\":\"pod-bound\",\"k8s.namespace.name\":\"shop\","
		  "\"k8s.pod.name\":\"web\"}",
		  true },
		{ { .namespace = "shop", .pod = "web" },
		  "{\"event.action\":\"policy-changed\",\"policy.rule\":{\"namespace\":\"shop\"}}",
		  true },
		{ { .namespace = "shop" },
		  "{\"event.action\":\"policy-changed\",\"policy.rule\":{\"namespace\":\"b\"}}",
		  false },
		/* What is missing might have been asked for. */
		{ { .namespace = "shop", .verdict = "denied" }, "{" GAP "}", true },
		{ { .verdict = "allowed" }, "{" GAP "}", false },
		{ { .verdict = "audit" }, "{" GAP ",\"policy.verdict\":\"denied\"}", false },
		{ { .namespace = "shop" }, "{" GAP ",\"k8s.namespace.name\":\"b\"}", false },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_record *record = parse(t[i].record);

		if (bh_record_matches(record, &t[i].filter) != t[i].want)
			fail_msg("row %zu: %s", i, t[i].record);
		free(record);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_record_is_one_readable_line),
		cmocka_unit_test(the_header_stands_over_the_columns),
		cmocka_unit_test(colours_are_only_used_when_asked_for),
		cmocka_unit_test(hostile_text_and_wrong_types_forge_nothing),
		cmocka_unit_test(a_filter_finds_either_end_the_verdict_and_the_time),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
