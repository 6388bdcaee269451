#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "bh/clock.h"
#include "bh/flowlog.h"
#include "world_text.h"

#define T0 (UINT64_C(1700000000) * BH_NS_PER_S)
#define S  BH_NS_PER_S

#define SHOP                                                                                       \
	"ns shop\n"                                                                                \
	"node n1 192.168.0.1\n"                                                                    \
	"pod shop/db 10.0.0.4 fd00::4 label=app:db node=n1 uid=u4\n"                               \
	"pod shop/api 10.0.0.3 label=app:api node=n1 uid=u3\n"                                     \
	"pod shop/attacker 10.0.0.5 fd00::5 label=app:attacker node=n1 uid=u5\n"                   \
	"policy shop/default-deny types=ingress\n"                                                 \
	"policy shop/db-from-api pods=app=db types=ingress\n"                                      \
	"in peer=pods/app=api port=TCP:5432\n"

/* --- the surroundings ------------------------------------------------------------------ */

struct lab {
	struct bh_world *w;
	struct bh_compiler *c;
	struct bh_history *h;
	struct bh_flowlog *fl;
	json_t *records; /* what the subscriber got */
	int refuse;      /* what it answers instead of taking records */
};

static int on_record(void *ctx, const struct bh_record *record, const char *line)
{
	struct lab *lab = ctx;
	json_t *parsed = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	bh_auto_free struct bh_record *read = bh_record_decode(parsed);
	bh_auto_free char *again = bh_record_line(read), *own = bh_record_line(record);

	assert_non_null(parsed);
	assert_string_equal(own, line);
	assert_string_equal(again, line);
	assert_null(strpbrk(line, "\n\r"));
	if (lab->refuse) {
		json_decref(parsed);
		return lab->refuse;
	}
	json_array_append_new(lab->records, parsed);
	return 0;
}

/* As the agent does it: the history is told, then the compiler settles the world. */
static void settle(struct lab *lab, uint64_t now_ns)
{
	bh_history_note(lab->h, bh_world_changes(lab->w), now_ns);
	bh_compiler_update(lab->c);
}

static void tell(struct lab *lab, const char *text, uint64_t now_ns)
{
	world_text(lab->w, BH_SOURCE_KUBE, text);
	settle(lab, now_ns);
}

/* With nothing in it that anybody has told. */
static void open_empty_lab(struct lab *lab, const struct bh_world_config *world,
			   const struct bh_flowlog_config *config)
{
	const struct bh_compile_config compile = { .log_group = 1, .log_snaplen = 128 };
	const struct bh_flowlog_subscriber s = { .ctx = lab, .on_record = on_record };

	*lab = (struct lab){ .records = json_array() };
	lab->w = bh_world_new(world);
	lab->c = bh_compiler_new(lab->w, &compile);
	lab->h = bh_history_new(60 * S, 1000);
	lab->fl = bh_flowlog_new(config, lab->w, lab->c, lab->h);
	assert_true(bh_flowlog_subscribe(lab->fl, &s) >= 0);
	bh_flowlog_set_generation(lab->fl, 7);
}

static void open_lab(struct lab *lab, const struct bh_world_config *world,
		     const struct bh_flowlog_config *config, const char *text)
{
	open_empty_lab(lab, world, config);
	tell(lab, text, T0 - 100 * S);
}

static void close_lab(struct lab *lab)
{
	bh_flowlog_free(&lab->fl);
	bh_history_free(&lab->h);
	bh_compiler_free(&lab->c);
	bh_world_free(&lab->w);
	json_decref(lab->records);
}

static const struct bh_world_config node1 = { .node = "n1" };
static const struct bh_flowlog_config defaults = { .node = "n1" };

/* --- packets ------------------------------------------------------------------------------ */

struct sent {
	const char *src, *dst;
	uint8_t protocol;
	uint16_t src_port, dst_port; /* or ICMP type and code in dst_port */
	uint16_t fragment;
};

static size_t make_packet(const struct sent *s, uint8_t buf[64])
{
	struct bh_addr src = wt_addr(s->src), dst = wt_addr(s->dst);
	const bool is_4 = src.family == BH_IPV4;
	uint8_t *l4 = buf + (is_4 ? 20 : 40);

	memset(buf, 0, 64);
	if (is_4) {
		buf[0] = 0x45;
		buf[3] = 40;
		buf[6] = (uint8_t)(s->fragment >> 8);
		buf[7] = (uint8_t)s->fragment;
		buf[9] = s->protocol;
		memcpy(buf + 12, src.bytes, 4);
		memcpy(buf + 16, dst.bytes, 4);
	} else {
		buf[0] = 0x60;
		buf[5] = 20;
		buf[6] = s->protocol;
		memcpy(buf + 8, src.bytes, 16);
		memcpy(buf + 24, dst.bytes, 16);
	}
	if (s->protocol == IPPROTO_ICMP || s->protocol == IPPROTO_ICMPV6) {
		l4[0] = (uint8_t)(s->dst_port >> 8);
		l4[1] = (uint8_t)s->dst_port;
	} else {
		l4[0] = (uint8_t)(s->src_port >> 8);
		l4[1] = (uint8_t)s->src_port;
		l4[2] = (uint8_t)(s->dst_port >> 8);
		l4[3] = (uint8_t)s->dst_port;
	}
	return (size_t)(l4 - buf) + 20;
}

static void receive(struct lab *lab, const char *prefix, const struct sent *s, uint64_t at_ns,
		    uint64_t now_ns)
{
	uint8_t buf[64];
	struct bh_nflog_msg msg = { .prefix = prefix, .payload = buf, .timestamp_ns = at_ns };

	msg.payload_len = make_packet(s, buf);
	bh_flowlog_packet(lab->fl, &msg, now_ns);
}

/* The prefix of what the pod with address @addr denies in @dir. */
static const char *prefix_of(const struct lab *lab, char kind, const char *addr, enum bh_dir dir)
{
	static char prefix[128];
	struct bh_addr a = wt_addr(addr);
	const struct bh_pod *pod = bh_world_pod_by_addr(lab->w, &a);
	const struct bh_profile *p = pod ? bh_compiler_profile_of(lab->c, pod, dir) : NULL;

	assert_non_null(p);
	snprintf(prefix, sizeof(prefix), BH_LOG_PREFIX "%c:%s", kind, p->name);
	return prefix;
}

static const struct sent scan = { "10.0.0.5", "10.0.0.4", IPPROTO_TCP, 41234, 5432, 0 };

static void deny(struct lab *lab, const struct sent *s, uint64_t now_ns)
{
	receive(lab, prefix_of(lab, 'd', s->dst, BH_INGRESS), s, now_ns, now_ns);
}

/* --- looking at records ----------------------------------------------------------------------- */

static const json_t *record(const struct lab *lab, size_t i)
{
	const json_t *r = json_array_get(lab->records, i);

	if (!r)
		fail_msg("record %zu of %zu", i, json_array_size(lab->records));
	return r;
}

static size_t n_records(const struct lab *lab)
{
	return json_array_size(lab->records);
}

static const char *text(const json_t *r, const char *key)
{
	const char *s = json_string_value(json_object_get(r, key));

	return s ? s : "";
}

static json_int_t number(const json_t *r, const char *key)
{
	return json_integer_value(json_object_get(r, key));
}

/* Every member of @want is in the record and equal; null: is not there. */
static void assert_fields(const json_t *have, const char *want)
{
	json_t *fields = json_loads(want, 0, NULL), *v;
	const char *key;

	assert_non_null(fields);
	json_object_foreach(fields, key, v)
	{
		json_t *h = json_object_get(have, key);
		bh_auto_free char *shown = h ? json_dumps(h, JSON_ENCODE_ANY) : NULL;

		if (json_is_null(v) ? h != NULL : !json_equal(h, v))
			fail_msg("%s is %s", key, shown ? shown : "missing");
	}
	json_decref(fields);
}

static void assert_balanced(const struct lab *lab)
{
	struct bh_flowlog_stats s = bh_flowlog_stats(lab->fl);

	for (enum bh_verdict_class c = 0; c < BH_CLASS_COUNT_; c++)
		assert_int_equal(s.of[c].received,
				 s.of[c].recorded + s.of[c].suppressed + s.of[c].pending);
}

/* --- tests ----------------------------------------------------------------------- */

static void the_first_packet_is_a_record_at_once_with_both_ends_and_the_reason(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	receive(&lab, prefix_of(&lab, 'd', "10.0.0.4", BH_INGRESS), &scan, T0 + 123456000,
		T0 + 125000000);
	assert_int_equal(n_records(&lab), 1);
	assert_fields(
		record(&lab, 0),
		"{\"@timestamp\":\"2023-11-14T22:13:20.123456000Z\",\"event.sequence\":1,"
		"\"event.action\":\"flow-denied\",\"node.name\":\"n1\","
		"\"network.type\":\"ipv4\",\"network.transport\":\"tcp\","
		"\"network.direction\":\"ingress\","
		"\"source.address\":\"10.0.0.5\",\"source.port\":41234,"
		"\"source.entity\":\"pod\",\"source.identity.confidence\":\"exact\","
		"\"source.k8s.namespace.name\":\"shop\",\"source.k8s.pod.name\":\"attacker\","
		"\"source.k8s.pod.uid\":\"u5\",\"source.k8s.node.name\":\"n1\","
		"\"source.k8s.pod.labels\":{\"app\":\"attacker\"},"
		"\"destination.address\":\"10.0.0.4\",\"destination.port\":5432,"
		"\"destination.entity\":\"pod\",\"destination.identity.confidence\":\"exact\","
		"\"destination.k8s.pod.name\":\"db\","
		"\"destination.k8s.pod.labels\":{\"app\":\"db\"},"
		"\"policy.verdict\":\"denied\",\"policy.reason\":\"default-deny\","
		"\"policy.rule\":null,\"policy.explained_from\":\"world\","
		"\"policy.default_deny_by\":[\"shop/db-from-api\",\"shop/default-deny\"],"
		"\"policy.nearest_miss\":[{\"name\":\"shop/db-from-api\",\"rule_index\":0,"
		"\"why\":\"podSelector\"}],"
		"\"policy.generation\":7,\"policy.closed\":null,"
		"\"flow.count\":1,\"flow.suppressed\":0,\"event.start\":null}");
	assert_int_equal(strlen(text(record(&lab, 0), "event.boot")), 16);
	assert_string_equal(text(record(&lab, 0), "policy.profile"),
			    prefix_of(&lab, 'd', "10.0.0.4", BH_INGRESS) + strlen("bh:d:"));
	close_lab(&lab);
}

static void repeats_are_one_record_an_interval(void **state)
{
	struct sent again = scan;
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	deny(&lab, &scan, T0);
	/* Another source port is the same flow. */
	for (unsigned int i = 1; i <= 5; i++) {
		again.src_port++;
		deny(&lab, &again, T0 + i * S);
		assert_balanced(&lab);
	}
	bh_flowlog_tick(lab.fl, T0 + 9 * S);
	assert_int_equal(n_records(&lab), 1);
	assert_int_equal(bh_flowlog_stats(lab.fl).of[BH_CLASS_DENIED].pending, 5);
	bh_flowlog_tick(lab.fl, T0 + 10 * S);
	assert_int_equal(n_records(&lab), 2);
	assert_fields(record(&lab, 1),
		      "{\"@timestamp\":\"2023-11-14T22:13:25.000000000Z\",\"event.sequence\":2,"
		      "\"event.start\":\"2023-11-14T22:13:21.000000000Z\","
		      "\"event.end\":\"2023-11-14T22:13:25.000000000Z\",\"flow.count\":5,"
		      "\"source.port\":41234,\"destination.k8s.pod.name\":\"db\"}");
	assert_int_equal(bh_flowlog_stats(lab.fl).of[BH_CLASS_DENIED].pending, 0);

	/* Still known, so this is a repeat; then an interval without any. */
	deny(&lab, &scan, T0 + 11 * S);
	assert_int_equal(n_records(&lab), 2);
	bh_flowlog_tick(lab.fl, T0 + 20 * S);
	assert_int_equal(n_records(&lab), 3);
	bh_flowlog_tick(lab.fl, T0 + 30 * S);
	assert_int_equal(n_records(&lab), 3);
	deny(&lab, &scan, T0 + 31 * S);
	assert_int_equal(n_records(&lab), 4);
	assert_int_equal(number(record(&lab, 3), "flow.count"), 1);
	assert_balanced(&lab);
	close_lab(&lab);
}

static void what_makes_another_flow_is_a_record_of_its_own(void **state)
{
	static const struct sent t[] = {
		{ "10.0.0.5", "10.0.0.4", IPPROTO_TCP, 1, 5432, 0 },
		{ "10.0.0.5", "10.0.0.4", IPPROTO_TCP, 1, 5433, 0 },
		{ "10.0.0.5", "10.0.0.4", IPPROTO_UDP, 1, 5432, 0 },
		{ "10.0.0.3", "10.0.0.4", IPPROTO_TCP, 1, 5433, 0 },
		{ "fd00::5", "fd00::4", IPPROTO_TCP, 1, 5432, 0 },
		{ "10.0.0.5", "10.0.0.4", IPPROTO_ICMP, 0, 0x0800, 0 },
		{ "10.0.0.5", "10.0.0.4", IPPROTO_ICMP, 0, 0x0d00, 0 },
		{ "fd00::5", "fd00::4", IPPROTO_ICMPV6, 0, 0x8000, 0 },
		{ "10.0.0.5", "10.0.0.4", 47, 0, 0, 0 },
		{ "10.0.0.5", "10.0.0.4", IPPROTO_TCP, 1, 5432, 0x00b9 }, /* no ports */
	};
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < BH_ARRAY_LEN(t); i++)
			deny(&lab, &t[i], T0);
	assert_int_equal(n_records(&lab), BH_ARRAY_LEN(t));
	assert_fields(record(&lab, 5), "{\"network.transport\":\"icmp\",\"icmp.type\":8,"
				       "\"icmp.code\":0,\"source.port\":null,"
				       "\"destination.port\":null}");
	assert_fields(record(&lab, 7),
		      "{\"network.type\":\"ipv6\",\"network.transport\":\"ipv6-icmp\","
		      "\"icmp.type\":128}");
	assert_fields(record(&lab, 8), "{\"network.transport\":\"47\"}");
	/* Without ports there is no telling which rule came nearest. */
	assert_fields(record(&lab, 9),
		      "{\"destination.port\":null,\"policy.explained_from\":\"profile\","
		      "\"policy.default_deny_by\":[\"shop/db-from-api\",\"shop/default-deny\"],"
		      "\"policy.nearest_miss\":[]}");
	assert_balanced(&lab);
	close_lab(&lab);
}

static void audit_is_a_book_of_its_own_and_names_who_would_deny(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults,
		 "pod shop/db 10.0.0.4 label=app:db node=n1\n"
		 "policy shop/strict types=ingress audit\n"
		 "in peer=pods/app=api\n");
	receive(&lab, prefix_of(&lab, 'a', "10.0.0.4", BH_INGRESS), &scan, T0, T0);
	assert_fields(record(&lab, 0),
		      "{\"event.action\":\"flow-audit-denied\","
		      "\"policy.verdict\":\"audit-denied\",\"policy.reason\":\"default-deny\","
		      "\"policy.default_deny_by\":[\"shop/strict\"],\"source.entity\":\"external\","
		      "\"source.identity.confidence\":\"none\","
		      "\"policy.explained_from\":\"world\"}");
	assert_int_equal(bh_flowlog_stats(lab.fl).of[BH_CLASS_AUDIT].received, 1);
	assert_int_equal(bh_flowlog_stats(lab.fl).of[BH_CLASS_DENIED].received, 0);
	assert_balanced(&lab);
	close_lab(&lab);
}

static void egress_judges_the_source(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults,
		 "node n1 192.168.0.1\n"
		 "pod shop/db 10.0.0.4 label=app:db node=n1\n"
		 "policy shop/closed types=egress\n");
	receive(&lab, prefix_of(&lab, 'd', "10.0.0.4", BH_EGRESS),
		&(struct sent){ "10.0.0.4", "192.168.0.1", IPPROTO_TCP, 1, 22, 0 }, T0, T0);
	assert_fields(record(&lab, 0),
		      "{\"network.direction\":\"egress\",\"source.k8s.pod.name\":\"db\","
		      "\"destination.entity\":\"node\",\"destination.k8s.node.name\":\"n1\","
		      "\"destination.k8s.pod.name\":null,"
		      "\"policy.default_deny_by\":[\"shop/closed\"]}");
	close_lab(&lab);
}

static void a_rule_that_denies_is_named(void **state)
{
	const struct bh_world_config deny_all = { .node = "n1", .default_deny = { true, true } };
	struct lab lab;

	(void)state;
	open_lab(&lab, &deny_all, &defaults, "pod shop/db 10.0.0.4 node=n1\n");
	deny(&lab, &scan, T0);
	assert_fields(record(&lab, 0), "{\"policy.reason\":\"rule\",\"policy.default_deny_by\":[],"
				       "\"policy.explained_from\":\"world\"}");
	assert_string_equal(text(json_object_get(record(&lab, 0), "policy.rule"), "kind"),
			    "DefaultDeny");
	assert_string_equal(text(json_object_get(record(&lab, 0), "policy.rule"), "namespace"),
			    "shop");
	close_lab(&lab);
}

static void identities_are_those_of_the_packets_time(void **state)
{
	char prefix[128];
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	snprintf(prefix, sizeof(prefix), "%s", prefix_of(&lab, 'd', "10.0.0.4", BH_INGRESS));
	/* At T0 the attacker's address goes to another pod. */
	tell(&lab, "pod shop/late 10.0.0.5 label=app:late node=n1 at=5\n", T0);

	receive(&lab, prefix, &scan, T0 - S, T0 + S);
	assert_fields(record(&lab, 0), "{\"source.k8s.pod.name\":\"attacker\","
				       "\"source.identity.confidence\":\"exact\","
				       "\"policy.explained_from\":\"profile\","
				       "\"policy.nearest_miss\":[]}");
	receive(&lab, prefix, &(struct sent){ "10.0.0.5", "10.0.0.4", IPPROTO_TCP, 1, 80, 0 },
		T0 + S, T0 + S);
	assert_fields(record(&lab, 1), "{\"source.k8s.pod.name\":\"late\","
				       "\"source.identity.confidence\":\"exact\","
				       "\"policy.explained_from\":\"world\"}");
	close_lab(&lab);
}

static void a_binding_nearby_is_recent_and_a_pod_nobody_knows_is_unknown(void **state)
{
	char prefix[128];
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	snprintf(prefix, sizeof(prefix), "%s", prefix_of(&lab, 'd', "10.0.0.4", BH_INGRESS));
	/* The pod went 1 s before the packet. */
	wt_remove_pod(lab.w, BH_SOURCE_KUBE, "attacker", "u5");
	settle(&lab, T0 - S);
	receive(&lab, prefix, &scan, T0, T0);
	assert_fields(record(&lab, 0), "{\"source.k8s.pod.name\":\"attacker\","
				       "\"source.identity.confidence\":\"recent\"}");
	/* Three seconds are more than clocks differ. */
	receive(&lab, prefix, &(struct sent){ "10.0.0.5", "10.0.0.4", IPPROTO_TCP, 1, 81, 0 },
		T0 + 2 * S, T0 + 2 * S);
	assert_fields(record(&lab, 1), "{\"source.entity\":\"external\","
				       "\"source.k8s.pod.name\":null,"
				       "\"source.identity.confidence\":\"none\"}");
	/* The judged end is a pod for sure, but nobody said which. */
	receive(&lab, prefix, &(struct sent){ "10.9.9.9", "10.9.9.8", IPPROTO_TCP, 1, 80, 0 }, T0,
		T0);
	assert_fields(record(&lab, 2), "{\"source.entity\":\"external\","
				       "\"destination.entity\":\"unknown\","
				       "\"destination.identity.confidence\":\"none\"}");
	close_lab(&lab);
}

static void what_the_world_has_not_settled_yet_is_not_attributed(void **state)
{
	char prefix[128];
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	snprintf(prefix, sizeof(prefix), "%s", prefix_of(&lab, 'd', "10.0.0.4", BH_INGRESS));
	/* Told a moment ago; neither kernel nor history know of it. */
	world_text(lab.w, BH_SOURCE_KUBE, "pod shop/late 10.0.0.5 node=n1 at=5\n");
	receive(&lab, prefix, &scan, T0, T0);
	assert_fields(record(&lab, 0), "{\"source.k8s.pod.name\":\"attacker\","
				       "\"source.identity.confidence\":\"exact\","
				       "\"policy.explained_from\":\"profile\"}");
	close_lab(&lab);
}

static void before_anything_is_settled_who_has_the_address_now_is_recent(void **state)
{
	struct lab lab;

	(void)state;
	open_empty_lab(&lab, &node1, &defaults);
	world_text(lab.w, BH_SOURCE_KUBE, SHOP);
	receive(&lab, "bh:d:in_0123", &scan, T0, T0);
	assert_fields(record(&lab, 0), "{\"source.k8s.pod.name\":\"attacker\","
				       "\"source.identity.confidence\":\"recent\"}");
	close_lab(&lab);
}

static void a_chain_that_is_gone_is_explained_by_what_it_stood_for(void **state)
{
	char prefix[128];
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	snprintf(prefix, sizeof(prefix), "%s", prefix_of(&lab, 'd', "10.0.0.4", BH_INGRESS));
	/* The policy now allows it, in another chain; the packet was denied before. */
	tell(&lab,
	     "policy shop/db-from-api pods=app=db types=ingress\n"
	     "in port=TCP:5432\n",
	     T0);
	receive(&lab, prefix, &scan, T0 - S, T0 + S);
	assert_fields(record(&lab, 0),
		      "{\"policy.explained_from\":\"profile\",\"policy.verdict\":\"denied\","
		      "\"policy.default_deny_by\":[\"shop/db-from-api\",\"shop/default-deny\"]}");

	receive(&lab, "bh:d:eg_0123", &scan, T0, T0);
	assert_fields(record(&lab, 1),
		      "{\"policy.explained_from\":\"none\",\"network.direction\":\"egress\","
		      "\"policy.profile\":\"eg_0123\",\"policy.default_deny_by\":[]}");
	close_lab(&lab);
}

/* Packets that @prefix's records and gaps account for. */
static uint64_t accounted(const struct lab *lab, const char *verdict)
{
	uint64_t n = 0;

	for (size_t i = 0; i < n_records(lab); i++)
		if (strcmp(text(record(lab, i), "policy.verdict"), verdict) == 0)
			n += (uint64_t)number(record(lab, i), "flow.count") +
			     (uint64_t)number(record(lab, i), "evidence.lost");
	return n;
}

static void a_scan_of_one_pod_takes_nothing_from_another(void **state)
{
	struct sent s = scan;
	struct lab lab;
	size_t before;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	for (unsigned int i = 0; i < 5000; i++) {
		s.dst_port = (uint16_t)(1 + i);
		deny(&lab, &s, T0 + i * BH_NS_PER_MS / 10);
	}
	before = n_records(&lab);
	/* A second's worth at once and half a second's worth since. */
	assert_in_range(before, 145, 155);
	s.dst = "10.0.0.3";
	deny(&lab, &s, T0 + S / 2);
	assert_int_equal(n_records(&lab), before + 1);
	assert_balanced(&lab);

	bh_flowlog_tick(lab.fl, T0 + 11 * S);
	assert_fields(record(&lab, n_records(&lab) - 1),
		      "{\"event.action\":\"gap\",\"gap.reason\":\"rate-limit\","
		      "\"policy.verdict\":\"denied\",\"k8s.pod.name\":\"db\","
		      "\"k8s.namespace.name\":\"shop\",\"pod.address\":\"10.0.0.4\"}");
	assert_int_equal(number(record(&lab, n_records(&lab) - 1), "evidence.lost"), 5000 - before);
	assert_int_equal(accounted(&lab, "denied"), 5001);
	assert_int_equal(bh_flowlog_stats(lab.fl).of[BH_CLASS_DENIED].suppressed, 5000 - before);
	close_lab(&lab);
}

static void the_flow_table_has_a_limit_that_is_told(void **state)
{
	const struct bh_flowlog_config small = { .max_flows = 10, .records_per_s = 1000000 };
	struct sent s = scan;
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &small, SHOP);
	for (unsigned int i = 0; i < 25; i++) {
		s.dst_port++;
		deny(&lab, &s, T0);
	}
	assert_int_equal(n_records(&lab), 10);
	assert_balanced(&lab);
	bh_flowlog_flush(lab.fl, T0);
	assert_int_equal(n_records(&lab), 11);
	assert_fields(record(&lab, 10), "{\"gap.reason\":\"flow-limit\",\"evidence.lost\":15}");
	/* Idle flows leave and make room. */
	bh_flowlog_tick(lab.fl, T0 + 10 * S);
	deny(&lab, &s, T0 + 10 * S);
	assert_int_equal(n_records(&lab), 12);
	close_lab(&lab);
}

static void no_pod_can_have_the_whole_table(void **state)
{
	const struct bh_flowlog_config small = { .max_flows = 1024, .records_per_s = 1000000 };
	struct sent s = scan;
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &small, SHOP);
	for (unsigned int i = 0; i < 2000; i++) {
		s.dst_port++;
		deny(&lab, &s, T0);
	}
	assert_int_equal(n_records(&lab), 128);
	s.dst = "10.0.0.3";
	deny(&lab, &s, T0);
	assert_int_equal(n_records(&lab), 129);
	assert_balanced(&lab);
	close_lab(&lab);
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void every_packet_is_accounted_for_whatever_happens(void **state)
{
	static const char *const dst[] = { "10.0.0.3", "10.0.0.4", "10.0.0.5", "fd00::4" };
	const struct bh_flowlog_config small = {
		.interval_ns = S, .max_flows = 100, .records_per_s = 20, .ring_size = 3
	};

	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		uint64_t x = seed * 0x9e3779b97f4a7c15, now = T0;
		struct lab lab;

		open_lab(&lab, &node1, &small, SHOP);
		for (unsigned int i = 0; i < 20000; i++) {
			const char *to = dst[next_random(&x) % BH_ARRAY_LEN(dst)];
			const struct sent s = {
				.src = strchr(to, ':') ? "fd00::5" : "10.0.0.9",
				.dst = to,
				.protocol = IPPROTO_UDP,
				.dst_port = (uint16_t)(next_random(&x) % 100),
			};
			bool is_audit = next_random(&x) % 3 == 0;

			receive(&lab, is_audit ? "bh:a:in_1" : "bh:d:in_1", &s, 0, now);
			now += next_random(&x) % (10 * BH_NS_PER_MS);
			if (next_random(&x) % 50 == 0)
				bh_flowlog_tick(lab.fl, now);
			if (next_random(&x) % 1000 == 0)
				now -= 5 * S; /* somebody sets the clock */
			if (next_random(&x) % 1000 == 0)
				bh_flowlog_flush(lab.fl, now);
			assert_balanced(&lab);
		}
		bh_flowlog_flush(lab.fl, now);
		assert_int_equal(bh_flowlog_stats(lab.fl).of[BH_CLASS_DENIED].pending, 0);
		assert_int_equal(bh_flowlog_stats(lab.fl).of[BH_CLASS_AUDIT].pending, 0);
		assert_true(bh_flowlog_stats(lab.fl).of[BH_CLASS_DENIED].suppressed > 0);
		assert_int_equal(accounted(&lab, "denied"),
				 bh_flowlog_stats(lab.fl).of[BH_CLASS_DENIED].received);
		assert_int_equal(accounted(&lab, "audit-denied"),
				 bh_flowlog_stats(lab.fl).of[BH_CLASS_AUDIT].received);
		for (size_t i = 0; i < n_records(&lab); i++)
			assert_int_equal(number(record(&lab, i), "event.sequence"), i + 1);
		assert_int_equal(bh_flowlog_stats(lab.fl).records, n_records(&lab));
		close_lab(&lab);
	}
}

static void losses_are_told_at_once_and_then_together(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	bh_flowlog_lost(lab.fl, 3, "nflog-sequence", T0);
	assert_int_equal(n_records(&lab), 1);
	assert_fields(record(&lab, 0), "{\"event.action\":\"gap\",\"evidence.lost\":3,"
				       "\"gap.reason\":\"nflog-sequence\",\"event.sequence\":1,"
				       "\"policy.verdict\":null}");
	bh_flowlog_lost(lab.fl, 4, "nflog-sequence", T0 + 1);
	bh_flowlog_lost(lab.fl, 5, "nflog-sequence", T0 + 2);
	bh_flowlog_lost(lab.fl, 1, "another", T0 + 2);
	bh_flowlog_lost(lab.fl, 0, "none", T0 + 2);
	assert_int_equal(n_records(&lab), 2);
	bh_flowlog_tick(lab.fl, T0 + S);
	assert_int_equal(n_records(&lab), 3);
	assert_int_equal(number(record(&lab, 2), "evidence.lost"), 9);
	bh_flowlog_lost(lab.fl, 6, "another", T0 + S / 2);
	bh_flowlog_flush(lab.fl, T0 + S / 2);
	assert_int_equal(number(record(&lab, 3), "evidence.lost"), 6);
	bh_flowlog_tick(lab.fl, T0 + 100 * S);
	assert_int_equal(n_records(&lab), 4);
	assert_int_equal(bh_flowlog_stats(lab.fl).lost, 19);
	close_lab(&lab);
}

static void more_reasons_than_are_known_lose_no_count(void **state)
{
	uint64_t n = 0;
	struct lab lab;
	char reason[80];

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	for (unsigned int i = 0; i < 30; i++) {
		snprintf(reason, sizeof(reason), "%u-%060u", i, i);
		bh_flowlog_lost(lab.fl, 1, reason, T0);
	}
	bh_flowlog_flush(lab.fl, T0);
	for (size_t i = 0; i < n_records(&lab); i++)
		n += (uint64_t)number(record(&lab, i), "evidence.lost");
	assert_int_equal(n, 30);
	close_lab(&lab);
}

static void a_subscriber_that_refused_is_told_what_it_lost(void **state)
{
	struct lab lab, other = { .records = json_array() };
	const struct bh_flowlog_subscriber s = { .ctx = &other, .on_record = on_record };
	struct sent p = scan;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	bh_flowlog_subscribe(lab.fl, &s);
	deny(&lab, &p, T0);
	lab.refuse = -ENOSPC;
	for (unsigned int i = 0; i < 3; i++) {
		p.dst_port++;
		deny(&lab, &p, T0);
	}
	deny(&lab, &scan, T0);
	deny(&lab, &scan, T0);
	bh_flowlog_tick(lab.fl, T0 + 10 * S); /* a record of two repeats */
	assert_int_equal(n_records(&lab), 1);
	assert_int_equal(bh_flowlog_stats(lab.fl).records_lost, 4);

	lab.refuse = 0;
	p.dst_port++;
	deny(&lab, &p, T0 + 11 * S);
	assert_int_equal(n_records(&lab), 3);
	assert_fields(record(&lab, 1),
		      "{\"event.action\":\"gap\",\"gap.reason\":\"disk-full\","
		      "\"gap.first_sequence\":2,\"event.sequence\":5,\"gap.records\":4,"
		      "\"evidence.lost\":5}");
	assert_int_equal(number(record(&lab, 2), "event.sequence"), 6);
	/* Nobody else is bothered with it. */
	assert_int_equal(json_array_size(other.records), 6);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(number(record(&other, i), "event.sequence"), i + 1);
	json_decref(other.records);
	close_lab(&lab);
}

static void the_tick_tells_a_subscriber_too(void **state)
{
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	lab.refuse = -EAGAIN;
	deny(&lab, &scan, T0);
	bh_flowlog_tick(lab.fl, T0 + 1);
	lab.refuse = 0;
	bh_flowlog_tick(lab.fl, T0 + 2);
	assert_int_equal(n_records(&lab), 1);
	assert_fields(record(&lab, 0), "{\"gap.reason\":\"reader-too-slow\",\"gap.records\":1,"
				       "\"gap.first_sequence\":1,\"event.sequence\":1}");
	bh_flowlog_tick(lab.fl, T0 + 3);
	assert_int_equal(n_records(&lab), 1);
	close_lab(&lab);
}

struct leaver {
	struct bh_flowlog *fl;
	int handle, n;
};

static int on_record_leave(void *ctx, const struct bh_record *record, const char *line)
{
	struct leaver *l = ctx;

	(void)record;
	(void)line;
	l->n++;
	bh_flowlog_unsubscribe(l->fl, l->handle);
	return -EPIPE;
}

static const struct bh_record bound = { .kind = BH_RECORD_POD_BOUND };

static void a_subscriber_may_leave_while_it_is_called(void **state)
{
	struct leaver a = { 0 };
	const struct bh_flowlog_subscriber s = { .ctx = &a, .on_record = on_record_leave };
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	a.fl = lab.fl;
	a.handle = bh_flowlog_subscribe(lab.fl, &s);
	bh_flowlog_event(lab.fl, &bound, T0);
	bh_flowlog_event(lab.fl, &bound, T0);
	assert_int_equal(a.n, 1);
	assert_int_equal(n_records(&lab), 2);
	close_lab(&lab);
}

static void collect(void *ctx, const struct bh_record *record)
{
	json_t *list = ctx;

	json_array_append_new(list, json_integer((json_int_t)record->sequence));
}

static void the_last_records_are_kept_in_order(void **state)
{
	const struct bh_flowlog_config small = { .ring_size = 3 };
	static const char *const want[] = { "[]", "[1]", "[1,2]", "[1,2,3]", "[2,3,4]", "[3,4,5]" };
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &small, SHOP);
	for (size_t i = 0; i < BH_ARRAY_LEN(want); i++) {
		json_t *list = json_array();
		bh_auto_free char *have = NULL;

		if (i > 0)
			bh_flowlog_event(lab.fl, &bound, T0);
		bh_flowlog_recent(lab.fl, collect, list);
		have = json_dumps(list, JSON_COMPACT);
		assert_string_equal(have, want[i]);
		json_decref(list);
	}
	close_lab(&lab);
}

static void an_event_cannot_choose_its_place(void **state)
{
	const struct bh_record event = { .kind = BH_RECORD_TAMPER,
					 .sequence = 99,
					 .at_ns = 1,
					 .boot = "b",
					 .node = "other",
					 .tamper = { .program = "nft" } };
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	bh_flowlog_event(lab.fl, &event, T0);
	assert_fields(record(&lab, 0),
		      "{\"event.action\":\"tamper\",\"process.name\":\"nft\",\"event.sequence\":1,"
		      "\"@timestamp\":\"2023-11-14T22:13:20.000000000Z\",\"node.name\":\"n1\"}");
	assert_int_equal(strlen(text(record(&lab, 0), "event.boot")), 16);
	close_lab(&lab);
}

static void hostile_names_cannot_break_a_line(void **state)
{
	static const struct bh_label labels[] = {
		{ "a\xff", "\xc3(" },
		{ "b", "\xc2\x9b[2J" },
		{ "c", "\"}\n{" },
		{ "d\x01", "" },
	};
	const struct bh_key attacker = { .kind = BH_KIND_POD,
					 .source = BH_SOURCE_KUBE,
					 .namespace = "shop",
					 .name = "attacker",
					 .uid = "u5" };
	struct bh_addr a = wt_addr("10.0.0.5");
	const struct bh_fact fact = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_KUBE,
		.pod = { .namespace = "n\x80s",
			 .name = "p\nq",
			 .uid = "\xed\xa0\x80",
			 .node = "\xf5",
			 .created_ns = 9,
			 .labels = { labels, BH_ARRAY_LEN(labels) },
			 .addrs = &a,
			 .n_addrs = 1 },
	};
	struct bh_err err = { 0 };
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	bh_world_remove(lab.w, &attacker);
	assert_ok(bh_world_apply(lab.w, &fact, &err), &err);
	settle(&lab, T0);
	deny(&lab, &scan, T0); /* on_record() parses the line */
	assert_fields(record(&lab, 0),
		      "{\"source.k8s.namespace.name\":\"n\\\\x80s\","
		      "\"source.k8s.pod.name\":\"p\\nq\","
		      "\"source.k8s.pod.uid\":\"\\\\xed\\\\xa0\\\\x80\","
		      "\"source.k8s.node.name\":\"\\\\xf5\","
		      "\"source.k8s.pod.labels\":{\"a\\\\xff\":\"\\\\xc3(\",\"b\":\"\\u009b[2J\","
		      "\"c\":\"\\\"}\\n{\",\"d\\u0001\":\"\"}}");
	close_lab(&lab);
}

/* --- how long records become --------------------------------------------------------- */

/* @n bytes that take six each. */
static char *long_text(struct bh_arena *arena, size_t n, unsigned int number)
{
	char *s = bh_arena_alloc(arena, n + 1);

	memset(s, '\x01', n);
	snprintf(s, n, "%04u", number);
	s[4] = '\x01';
	return s;
}

/* Everything that a tenant can write into a record, ten times as long as the API lets it. */
static void put_giants(struct lab *lab, struct bh_arena *arena)
{
	const struct bh_peer peer = { .kind = BH_PEER_PODS };
	const struct bh_policy_port port = { .protocol = IPPROTO_UDP, .first = 1, .last = 1 };
	struct bh_rule rule = { .name = long_text(arena, 3000, 0),
				.has_ports = true,
				.ports = &port,
				.n_ports = 1,
				.has_peers = true,
				.peers = &peer,
				.n_peers = 1 };
	struct bh_label *labels = bh_arena_array(arena, 700, sizeof(*labels));
	struct bh_addr addrs[2] = { wt_addr("10.0.0.4"), wt_addr("10.0.0.5") };
	struct bh_err err = { 0 };

	for (unsigned int i = 0; i < 700; i++)
		labels[i] = (struct bh_label){ long_text(arena, i % 10 ? 300 : 20, i),
					       long_text(arena, i % 10 ? 63 : 5, i) };
	for (unsigned int i = 0; i < 2; i++) {
		struct bh_fact pod = { .kind = BH_KIND_POD,
				       .source = BH_SOURCE_KUBE,
				       .pod = { .namespace = long_text(arena, 630, 0),
						.name = long_text(arena, 2530, i),
						.uid = long_text(arena, 2000, i),
						.node = i ? long_text(arena, 2530, i) : "n1",
						.workload_kind = long_text(arena, 630, i),
						.workload_name = long_text(arena, 2530, i),
						.labels = { labels, 700 },
						.addrs = &addrs[i],
						.n_addrs = 1 } };

		assert_ok(bh_world_apply(lab->w, &pod, &err), &err);
	}
	for (unsigned int i = 0; i < 40; i++) {
		struct bh_fact policy = { .kind = BH_KIND_POLICY,
					  .source = BH_SOURCE_KUBE,
					  .policy = { .kind = BH_NETWORK_POLICY,
						      .tier = BH_TIER_NETWORK_POLICY,
						      .namespace = long_text(arena, 630, 0),
						      .name = long_text(arena, 2530, i),
						      .isolates = { true, true },
						      .rules = { { &rule, 1 }, { &rule, 1 } } } };

		assert_ok(bh_world_apply(lab->w, &policy, &err), &err);
	}
}

struct longest {
	size_t max, n;
};

static void note_longest(void *ctx, const struct bh_record *r)
{
	bh_auto_free char *line = bh_record_line(r);
	struct longest *l = ctx;

	l->n++;
	if (strlen(line) > l->max)
		l->max = strlen(line);
}

static void no_record_is_longer_than_is_said(void **state)
{
	struct bh_arena *arena = bh_arena_new();
	struct longest longest = { 0 };
	const json_t *r;
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, "ns other\n");
	put_giants(&lab, arena);
	settle(&lab, T0);
	deny(&lab, &scan, T0);
	r = record(&lab, 0);
	assert_string_equal(text(r, "policy.reason"), "default-deny");
	/* Whole labels, the first that fit, and their number. */
	assert_true(json_object_size(json_object_get(r, "source.k8s.pod.labels")) > 2);
	assert_int_equal(json_object_size(json_object_get(r, "source.k8s.pod.labels")) +
				 (size_t)number(r, "source.k8s.pod.labels_omitted"),
			 700);
	assert_int_equal(json_array_size(json_object_get(r, "policy.default_deny_by")) +
				 (size_t)number(r, "policy.default_deny_by_omitted"),
			 40);
	bh_flowlog_event(
		lab.fl,
		&(struct bh_record){ .kind = BH_RECORD_TAMPER,
				     .tamper = { .program = long_text(arena, 100000, 7) } },
		T0);
	assert_true(strlen(text(record(&lab, 1), "process.name")) <= BH_RECORD_MAX_TEXT);
	bh_flowlog_recent(lab.fl, note_longest, &longest);
	assert_int_equal(longest.n, 2);
	assert_in_range(longest.max, 4000, BH_RECORD_MAX);
	close_lab(&lab);
	bh_arena_free(&arena);
}

static void the_ring_is_bounded_in_bytes(void **state)
{
	const struct bh_flowlog_config small = { .ring_size = 1000, .ring_bytes = 20000 };
	const struct bh_record event = { .kind = BH_RECORD_TAMPER,
					 .tamper = { .program = "0123456789" } };
	struct longest longest = { 0 };
	struct lab lab;
	size_t size;

	(void)state;
	free(bh_record_copy(&event, &size));
	open_lab(&lab, &node1, &small, SHOP);
	for (unsigned int i = 0; i < 500; i++)
		bh_flowlog_event(lab.fl, &event, T0);
	bh_flowlog_recent(lab.fl, note_longest, &longest);
	assert_in_range(longest.n, 10, 20000 / size);
	close_lab(&lab);
}

static void what_cannot_be_attributed_is_counted_apart(void **state)
{
	static const char *const t[] = {
		"",
		"x",
		"bh",
		"bh:",
		"bh:d",
		"bh:d:",
		"bh:x:in_1",
		"bh:din_1",
		"bh:d:in_0123456789012345678901234567890123456789012345678901234567890123",
	};
	const struct bh_nflog_msg bad = { .prefix = "bh:d:in_1",
					  .payload = (const uint8_t *)"E",
					  .payload_len = 1 };
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++)
		receive(&lab, t[i], &scan, T0, T0);
	assert_int_equal(bh_flowlog_stats(lab.fl).malformed, BH_ARRAY_LEN(t));
	assert_int_equal(n_records(&lab), 0);
	/* One of ours that is no packet is evidence that is missing. */
	bh_flowlog_packet(lab.fl, &bad, T0);
	assert_int_equal(bh_flowlog_stats(lab.fl).malformed, BH_ARRAY_LEN(t) + 1);
	assert_int_equal(bh_flowlog_stats(lab.fl).of[BH_CLASS_DENIED].received, 0);
	assert_fields(record(&lab, 0), "{\"gap.reason\":\"malformed\",\"evidence.lost\":1}");
	close_lab(&lab);
}

static void a_time_far_off_is_not_believed(void **state)
{
	static const uint64_t t[] = { 0, T0 - 61 * S, T0 + 2 * S, UINT64_MAX };
	struct sent s = scan;
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &defaults, SHOP);
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		s.dst_port++;
		receive(&lab, prefix_of(&lab, 'd', "10.0.0.4", BH_INGRESS), &s, t[i], T0);
		assert_fields(record(&lab, i),
			      "{\"@timestamp\":\"2023-11-14T22:13:20.000000000Z\"}");
	}
	close_lab(&lab);
}

/* A bridge copies it to many ports, and its address is no pod's. */
static void a_denied_copy_for_a_group_is_told_of_the_pod_behind_the_port(void **state)
{
	static const struct sent to_group = {
		"10.0.0.5", "224.0.0.251", IPPROTO_UDP, 41234, 5353, 0
	};
	const struct bh_pod_port ports[] = { { .ifindex = 9,
					       .name = "v9",
					       .mac = { 2, 0, 0, 0, 0, 9 },
					       .has_mac = true,
					       .bridge = 3 } };
	struct bh_fact fact = { .kind = BH_KIND_POD,
				.source = BH_SOURCE_NODE,
				.pod = { .namespace = "shop",
					 .name = "db",
					 .uid = "u4",
					 .node = "",
					 .pod_ports = ports,
					 .n_pod_ports = 1 } };
	uint8_t buf[64];
	struct bh_nflog_msg msg = { .payload = buf, .timestamp_ns = T0, .physout_ifindex = 9 };
	struct bh_flowlog_config config = defaults;
	struct bh_guard *guard;
	struct lab lab;

	(void)state;
	open_lab(&lab, &node1, &config, SHOP);
	assert_ok(bh_world_apply(lab.w, &fact, NULL), NULL);
	settle(&lab, T0 - 50 * S);
	guard = bh_guard_new(lab.w, lab.c, &(struct bh_guard_config){ 0 });
	bh_guard_update(guard, NULL, 0);
	bh_flowlog_free(&lab.fl);
	config.guard = guard;
	lab.fl = bh_flowlog_new(&config, lab.w, lab.c, lab.h);
	assert_true(
		bh_flowlog_subscribe(lab.fl, &(struct bh_flowlog_subscriber){
						     .ctx = &lab, .on_record = on_record }) >= 0);
	msg.prefix = prefix_of(&lab, 'd', "10.0.0.4", BH_INGRESS);
	msg.payload_len = make_packet(&to_group, buf);
	bh_flowlog_packet(lab.fl, &msg, T0);
	assert_fields(record(&lab, 0),
		      "{\"source.k8s.pod.name\":\"attacker\","
		      "\"destination.address\":\"224.0.0.251\",\"destination.k8s.pod.name\":\"db\","
		      "\"network.direction\":\"ingress\",\"policy.reason\":\"default-deny\","
		      "\"policy.default_deny_by\":[\"shop/db-from-api\",\"shop/default-deny\"]}");
	/* Of a port of no pod nothing is known but the packet. */
	msg.physout_ifindex = 10;
	bh_flowlog_packet(lab.fl, &msg, T0);
	assert_fields(record(&lab, 1), "{\"destination.k8s.pod.name\":null}");
	bh_guard_free(&guard);
	close_lab(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_first_packet_is_a_record_at_once_with_both_ends_and_the_reason),
		cmocka_unit_test(a_denied_copy_for_a_group_is_told_of_the_pod_behind_the_port),
		cmocka_unit_test(repeats_are_one_record_an_interval),
		cmocka_unit_test(what_makes_another_flow_is_a_record_of_its_own),
		cmocka_unit_test(audit_is_a_book_of_its_own_and_names_who_would_deny),
		cmocka_unit_test(egress_judges_the_source),
		cmocka_unit_test(a_rule_that_denies_is_named),
		cmocka_unit_test(identities_are_those_of_the_packets_time),
		cmocka_unit_test(a_binding_nearby_is_recent_and_a_pod_nobody_knows_is_unknown),
		cmocka_unit_test(what_the_world_has_not_settled_yet_is_not_attributed),
		cmocka_unit_test(before_anything_is_settled_who_has_the_address_now_is_recent),
		cmocka_unit_test(a_chain_that_is_gone_is_explained_by_what_it_stood_for),
		cmocka_unit_test(a_scan_of_one_pod_takes_nothing_from_another),
		cmocka_unit_test(the_flow_table_has_a_limit_that_is_told),
		cmocka_unit_test(no_pod_can_have_the_whole_table),
		cmocka_unit_test(every_packet_is_accounted_for_whatever_happens),
		cmocka_unit_test(losses_are_told_at_once_and_then_together),
		cmocka_unit_test(more_reasons_than_are_known_lose_no_count),
		cmocka_unit_test(a_subscriber_that_refused_is_told_what_it_lost),
		cmocka_unit_test(the_tick_tells_a_subscriber_too),
		cmocka_unit_test(a_subscriber_may_leave_while_it_is_called),
		cmocka_unit_test(the_last_records_are_kept_in_order),
		cmocka_unit_test(an_event_cannot_choose_its_place),
		cmocka_unit_test(hostile_names_cannot_break_a_line),
		cmocka_unit_test(no_record_is_longer_than_is_said),
		cmocka_unit_test(the_ring_is_bounded_in_bytes),
		cmocka_unit_test(what_cannot_be_attributed_is_counted_apart),
		cmocka_unit_test(a_time_far_off_is_not_believed),
	};

	return cmocka_run_group_tests_name("flowlog", tests, NULL, NULL);
}
