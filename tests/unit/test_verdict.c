#include "test.h"

#include <netinet/in.h>

#include "bh/manifest.h"
#include "bh/object.h"

static const char shop[] =
	"{apiVersion: v1, kind: Pod, metadata: {name: api, namespace: shop, labels: {app: api}},"
	" status: {podIP: 10.0.0.2}}\n---\n"
	"{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}},"
	" status: {podIP: 10.0.0.3}}\n---\n"
	"{apiVersion: v1, kind: Pod, metadata: {name: bad, namespace: shop, labels: {app: bad}},"
	" status: {podIP: 10.0.0.4}}\n---\n"
	"{apiVersion: v1, kind: Pod, metadata: {name: api, namespace: dev, labels: {app: api}},"
	" status: {podIP: 10.0.1.2}}\n---\n"
	"{apiVersion: v1, kind: Namespace, metadata: {name: dev, labels: {team: blue}}}\n---\n"
	"apiVersion: networking.k8s.io/v1\n"
	"kind: NetworkPolicy\n"
	"metadata: {name: db, namespace: shop}\n"
	"spec:\n"
	"  podSelector: {matchLabels: {app: db}}\n"
	"  ingress:\n"
	"  - from: [{podSelector: {matchLabels: {app: api, tier: back}}}]\n"
	"    ports: [{port: 22}]\n"
	"  - from: [{podSelector: {matchLabels: {app: api}}}]\n"
	"    ports: [{port: 5432}]\n"
	"  - from: [{namespaceSelector: {matchLabels: {team: red}}}]\n"
	"    ports: [{port: 80}]\n"
	"  - from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}]\n"
	"    ports: [{port: 443}]\n";

static const char closed[] = "\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "
			     "metadata: {name: typo, namespace: shop}, spec: {ingress: 7}}\n";

static const char audited[] =
	"\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: soon, "
	"namespace: shop, annotations: {bulkhead.dev/mode: audit}}, spec: {policyTypes: "
	"[Egress]}}\n";

static struct bh_world *world_of(const char *text)
{
	const struct bh_world_config config = { 0 };
	struct bh_world *w = bh_world_new(&config);
	struct bh_docs *docs = NULL;
	struct bh_err err = { 0 };
	size_t i;

	assert_ok(bh_docs_parse("shop.yaml", text, strlen(text), &docs, &err), &err);
	for (i = 0; i < bh_docs_count(docs); i++) {
		struct bh_origin origin = {
			.source = BH_SOURCE_MANIFEST,
			.file = "shop.yaml",
			.line_of = bh_docs_line,
			.ctx = docs,
		};
		struct bh_decoded *d = NULL;

		assert_ok(bh_object_decode(bh_docs_root(docs, i), &origin, &d, &err), &err);
		assert_ok(bh_world_apply(w, bh_decoded_fact(d), &err), &err);
		bh_decoded_free(&d);
	}
	bh_docs_free(&docs);
	return w;
}

static struct bh_flow flow_of(const char *src, const char *dst, uint8_t protocol, uint16_t port)
{
	struct bh_flow f = { .protocol = protocol, .dst_port = port };

	assert_int_equal(bh_addr_parse(src, &f.src, NULL), 0);
	assert_int_equal(bh_addr_parse(dst, &f.dst, NULL), 0);
	return f;
}

static void a_verdict_says_in_words_what_decided_and_what_came_nearest(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t protocol;
		uint16_t port;
		const char *want;
	} t[] = {
		{ "10.0.0.2", "10.0.0.3", IPPROTO_TCP, 5432,
		  "allowed: pod shop/api (10.0.0.2) to pod shop/db (10.0.0.3), TCP 5432\n"
		  "egress: allowed, no policy isolates pod shop/api (10.0.0.2)\n"
		  "ingress: allowed by NetworkPolicy shop/db ingress rule 1 (shop.yaml:19)\n" },
		{ "10.0.0.4", "10.0.0.3", IPPROTO_TCP, 22,
		  "denied: pod shop/bad (10.0.0.4) to pod shop/db (10.0.0.3), TCP 22\n"
		  "egress: allowed, no policy isolates pod shop/bad (10.0.0.4)\n"
		  "ingress: denied, pod shop/db (10.0.0.3) is isolated by NetworkPolicy shop/db "
		  "(shop.yaml:11), which does not allow it\n"
		  "  nearest: NetworkPolicy shop/db ingress rule 0 (shop.yaml:17), but its "
		  "podSelector wants app=api,tier=back, the pod has app=bad, no tier\n" },
		{ "10.0.0.2", "10.0.0.3", IPPROTO_UDP, 5432,
		  "  nearest: NetworkPolicy shop/db ingress rule 1 (shop.yaml:19), but it allows "
		  "another protocol\n" },
		{ "10.0.0.2", "10.0.0.3", IPPROTO_TCP, 5433,
		  "  nearest: NetworkPolicy shop/db ingress rule 1 (shop.yaml:19), but it allows "
		  "another port\n" },
		{ "10.0.1.2", "10.0.0.3", IPPROTO_TCP, 5432,
		  "  nearest: NetworkPolicy shop/db ingress rule 1 (shop.yaml:19), but it is about "
		  "pods of its own namespace shop\n" },
		{ "10.0.1.2", "10.0.0.3", IPPROTO_TCP, 80,
		  "  nearest: NetworkPolicy shop/db ingress rule 2 (shop.yaml:21), but its "
		  "namespaceSelector wants team=red, the namespace has team=blue\n" },
		{ "192.0.2.200", "10.0.0.3", IPPROTO_TCP, 443,
		  "denied: 192.0.2.200 to pod shop/db (10.0.0.3), TCP 443\n"
		  "egress: not judged, 192.0.2.200 is outside\n"
		  "ingress: denied, pod shop/db (10.0.0.3) is isolated by NetworkPolicy shop/db "
		  "(shop.yaml:11), which does not allow it\n"
		  "  nearest: NetworkPolicy shop/db ingress rule 3 (shop.yaml:23), but its ipBlock "
		  "excepts 192.0.2.128/25\n" },
		{ "198.51.100.1", "10.0.0.3", IPPROTO_TCP, 443,
		  "but its ipBlock is 192.0.2.0/24\n" },
		{ "198.51.100.1", "10.0.0.3", IPPROTO_TCP, 5432, ", but it is about pods\n" },
		{ "10.0.0.3", "10.0.0.3", IPPROTO_ICMP, 0,
		  "pod shop/db (10.0.0.3), ICMP\negress: allowed, a pod always reaches itself\n" },
		{ "10.0.0.3", "198.51.100.1", 47, 0, "to 198.51.100.1, IP protocol 47\n" },
	};
	struct bh_world *w = world_of(shop);
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_flow f = flow_of(t[i].src, t[i].dst, t[i].protocol, t[i].port);
		struct bh_result result;
		struct bh_buf b = { 0 };

		bh_eval(w, &f, &result);
		bh_result_describe(w, &f, &result, &b);
		assert_contains(bh_buf_str(&b), t[i].want);
		bh_buf_done(&b);
	}
	bh_world_free(&w);
}

static void an_invalid_policy_that_denies_says_why(void **state)
{
	bh_auto_free char *text = bh_asprintf("%s%s", shop, closed);
	struct bh_world *w = world_of(text);
	struct bh_flow f = flow_of("10.0.0.2", "10.0.0.4", IPPROTO_TCP, 1);
	struct bh_result result;
	struct bh_buf b = { 0 };

	(void)state;
	bh_eval(w, &f, &result);
	bh_result_describe(w, &f, &result, &b);
	assert_contains(bh_buf_str(&b),
			"  NetworkPolicy shop/typo is not valid and allows nothing: "
			"spec.ingress: Invalid value: must be a list, not a number\n");
	bh_buf_done(&b);
	bh_world_free(&w);
}

/* One direction as JSON text; to be freed. */
static char *json_text(const struct bh_world *w, const struct bh_flow *f, enum bh_dir dir)
{
	struct bh_result result;
	json_t *json;
	char *text;

	bh_eval(w, f, &result);
	json = bh_dir_verdict_json(&result.dir[dir], dir);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

static void a_verdict_as_json_has_the_fields_of_the_batch_form(void **state)
{
	bh_auto_free char *text = bh_asprintf("%s%s", shop, audited);
	struct bh_world *w = world_of(text);
	struct bh_flow allowed = flow_of("10.0.0.2", "10.0.0.3", IPPROTO_TCP, 5432);
	struct bh_flow denied = flow_of("10.0.0.4", "10.0.0.3", IPPROTO_TCP, 5432);
	bh_auto_free char *by_rule = json_text(w, &allowed, BH_INGRESS);
	bh_auto_free char *by_default = json_text(w, &denied, BH_INGRESS);
	bh_auto_free char *by_audit = json_text(w, &denied, BH_EGRESS);

	(void)state;
	assert_string_equal(by_rule,
			    "{\"verdict\":\"allowed\",\"rule\":{\"kind\":\"NetworkPolicy\","
			    "\"namespace\":\"shop\",\"name\":\"db\",\"rule_index\":1},\"reason\":"
			    "\"rule\"}");
	assert_string_equal(
		by_default,
		"{\"verdict\":\"denied\",\"rule\":null,\"reason\":\"default-deny\","
		"\"default_deny_by\":[\"shop/db\"],\"nearest_miss\":[{\"name\":\"shop/db\","
		"\"rule_index\":1,\"why\":\"podSelector\"}]}");
	assert_string_equal(by_audit,
			    "{\"verdict\":\"allowed\",\"rule\":null,\"reason\":\"not-isolated\","
			    "\"audit_verdict\":\"denied\",\"audit_rule\":null,"
			    "\"audit_default_deny_by\":[\"shop/soon\"]}");
	bh_world_free(&w);
}

static void audit_is_told_in_words(void **state)
{
	bh_auto_free char *text = bh_asprintf("%s%s", shop, audited);
	struct bh_world *w = world_of(text);
	struct bh_flow f = flow_of("10.0.0.4", "198.51.100.1", IPPROTO_TCP, 443);
	struct bh_result result;
	struct bh_buf b = { 0 };

	(void)state;
	bh_eval(w, &f, &result);
	bh_result_describe(w, &f, &result, &b);
	assert_contains(bh_buf_str(&b), "egress: allowed, no policy isolates pod shop/bad "
					"(10.0.0.4)\n  audit: would be denied by NetworkPolicy "
					"shop/soon (shop.yaml:");
	bh_buf_done(&b);
	bh_world_free(&w);
}

static void the_default_deny_of_a_namespace_is_named_as_such(void **state)
{
	struct bh_world *w =
		world_of("{apiVersion: v1, kind: Namespace, metadata: {name: shop, annotations: "
			 "{bulkhead.dev/default-deny: ingress}}}\n---\n{apiVersion: v1, kind: Pod, "
			 "metadata: {name: db, namespace: shop}, status: {podIP: 10.0.0.3}}\n");
	struct bh_flow f = flow_of("198.51.100.1", "10.0.0.3", IPPROTO_TCP, 443);
	bh_auto_free char *json = json_text(w, &f, BH_INGRESS);
	struct bh_result result;
	struct bh_buf b = { 0 };

	(void)state;
	bh_eval(w, &f, &result);
	bh_result_describe(w, &f, &result, &b);
	assert_contains(bh_buf_str(&b), "ingress: denied by the default deny of namespace shop\n");
	assert_contains(json, "\"rule\":{\"kind\":\"DefaultDeny\",\"namespace\":\"shop\"");
	bh_buf_done(&b);
	bh_world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_verdict_says_in_words_what_decided_and_what_came_nearest),
		cmocka_unit_test(an_invalid_policy_that_denies_says_why),
		cmocka_unit_test(a_verdict_as_json_has_the_fields_of_the_batch_form),
		cmocka_unit_test(audit_is_told_in_words),
		cmocka_unit_test(the_default_deny_of_a_namespace_is_named_as_such),
	};

	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
