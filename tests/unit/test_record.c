/*
 * Records: what is written is read back the same, every member is in the manual, and
 * copies keep to their bounds.
 */
#include "test.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "bh/addr.h"
#include "bh/record.h"

static const struct bh_label labels[] = { { "app", "web" }, { "tier", "" } };
static const struct bh_record_name names[] = { { "shop", "deny" }, { NULL, "wall" } };
static const struct bh_record_near nears[] = { { { "shop", "db" }, 0, BH_MISS_PROTOCOL },
					       { { "shop", "db" }, 1, BH_MISS_PORT },
					       { { "shop", "db" }, 2, BH_MISS_POD_SELECTOR },
					       { { "shop", "db" }, 3, BH_MISS_IP_BLOCK },
					       { { NULL, "w" }, 4, BH_MISS_NAMESPACE_SELECTOR } };
static const char *const texts[] = { "10.0.0.0/8", "" };

#define IDENTITY                                                                                   \
	{                                                                                          \
		.namespace = "shop", .name = "web", .uid = "u1", .node = "n1",                     \
		.labels = { labels, BH_ARRAY_LEN(labels) }, .workload_kind = "Deployment",         \
		.workload_name = "web", .n_labels_omitted = 3                                      \
	}
#define HEAD(KIND)                                                                                 \
	.kind = (KIND), .at_ns = 1700000000123456789u, .sequence = 7, .boot = "5f0c", .node = "n1"
#define RULE                                                                                       \
	{                                                                                          \
		.kind = "NetworkPolicy", .policy = { "shop", "deny" }, .has_index = true,          \
		.index = 2, .rule_name = "r"                                                       \
	}

static const struct bh_addr addrs[] = { { .family = BH_IPV4, .bytes = { 10, 0, 0, 1 } },
					{ .family = BH_IPV6, .bytes = { 0xfd, [15] = 1 } } };
#define POD                                                                                        \
	{                                                                                          \
		.id = IDENTITY, .addrs = { addrs, BH_ARRAY_LEN(addrs), 4 }                         \
	}
#define FLOW                                                                                       \
	.ether_type = ETH_P_IP, .has_protocol = true, .protocol = IPPROTO_TCP,                     \
	.src = { .has_address = true,                                                              \
		 .address = { .bytes = { 10, 0, 0, 1 } },                                          \
		 .port = 41234,                                                                    \
		 .entity = BH_RECORD_POD,                                                          \
		 .confidence = BH_CONFIDENCE_EXACT,                                                \
		 .pod = IDENTITY },                                                                \
	.dst = { .has_address = true,                                                              \
		 .address = { .family = BH_IPV6, .bytes = { 0xfd, [15] = 1 } },                    \
		 .port = 80,                                                                       \
		 .entity = BH_RECORD_NODE,                                                         \
		 .confidence = BH_CONFIDENCE_RECENT,                                               \
		 .pod = IDENTITY },                                                                \
	.explained = BH_EXPLAINED_WORLD, .reason = "rule", .rule = RULE,                           \
	.denied_by = { names, BH_ARRAY_LEN(names), 5 },                                            \
	.nearest = { nears, BH_ARRAY_LEN(nears), 6 }, .closed = "too much", .profile = "in_1",     \
	.generation = 9, .count = 3, .suppressed = 1, .first_ns = 1700000000000000001u,            \
	.last_ns = 1700000000000000002u

/* Every field of every kind is in one of them. */
static const struct bh_record records[] = {
	{ HEAD(BH_RECORD_FLOW), .flow = { FLOW, .has_ports = true, .ingress_link = 4 } },
	{ HEAD(BH_RECORD_FLOW),
	  .flow = { FLOW, .class = BH_CLASS_AUDIT, .dir = BH_EGRESS, .has_icmp = true,
		    .icmp_type = 8, .icmp_code = 1, .egress_link = 5 } },
	{ HEAD(BH_RECORD_GAP), .gap = { .reason = "rate-limit",
					.lost = 12,
					.first_sequence = 3,
					.n_records = 4,
					.has_class = true,
					.class = BH_CLASS_AUDIT,
					.has_address = true,
					.address = { .bytes = { 10, 0, 0, 1 } },
					.pod = IDENTITY } },
	{ HEAD(BH_RECORD_TAMPER), .tamper = { .program = "nft",
					      .pid = 7,
					      .table = "inet",
					      .differences = { texts, BH_ARRAY_LEN(texts), 2 } } },
	{ HEAD(BH_RECORD_POLICY_CHANGED), .policy = { .rule = RULE,
						      .change = "closed",
						      .closed = "too much",
						      .has_dir = true,
						      .dir = BH_EGRESS } },
	{ HEAD(BH_RECORD_POD_BOUND), .pod = POD },
	{ HEAD(BH_RECORD_POD_UNBOUND), .pod = POD },
	{ HEAD(BH_RECORD_QUARANTINE_SET), .quarantine = { .target = "shop/web",
							  .by = "operator",
							  .has_user = true,
							  .user = 1000,
							  .reason = "",
							  .has_allow = true,
							  .allow = { texts, 1, 0 },
							  .until_ns = 1800000000000000000u,
							  .pod = POD } },
	{ HEAD(BH_RECORD_QUARANTINE_RELEASED), .quarantine = { .by = "annotation", .pod = POD } },
	{ HEAD(BH_RECORD_REVOCATION_FAILED),
	  .revocation = { .reason = "the set is full", .connections = 11 } },
	{ HEAD(BH_RECORD_OTHER), .action = "of-a-later-version" },
	{ .kind = BH_RECORD_OTHER, .sequence = 1 },
};

static void what_is_written_is_read_back_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(records); i++) {
		json_t *object = bh_record_encode(&records[i]);
		bh_auto_free struct bh_record *read = bh_record_decode(object);
		bh_auto_free struct bh_record *copy = bh_record_copy(&records[i], NULL);
		bh_auto_free char *want = bh_record_line(&records[i]);
		bh_auto_free char *have = bh_record_line(read), *copied = bh_record_line(copy);

		assert_int_equal(read->kind, records[i].kind);
		assert_string_equal(have, want);
		assert_string_equal(copied, want);
		json_decref(object);
	}
}

/* Whose zero is a word, which is written in any case. */
static bool is_word(const char *key)
{
	return strcmp(key, "policy.verdict") == 0 || strcmp(key, "network.direction") == 0;
}

/* All that a kind has is set above: every member that is left out shows. */
static void every_member_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(records); i++) {
		json_t *object = bh_record_encode(&records[i]);
		bh_auto_free char *whole = bh_record_line(&records[i]);
		const char *key;
		json_t *value;
		void *tmp;

		json_object_foreach_safe(object, tmp, key, value)
		{
			json_t *less = json_copy(object);
			bh_auto_free struct bh_record *read = NULL;
			bh_auto_free char *line = NULL;

			json_object_del(less, key);
			read = bh_record_decode(less);
			line = bh_record_line(read);
			if (strcmp(line, whole) == 0 && !is_word(key))
				fail_msg("%s is not read", key);
			json_decref(less);
		}
		json_decref(object);
	}
}

static void members_of_other_types_are_left_out(void **state)
{
	static const char *const wrong[] = {
		"7", "-1", "\"x\"", "[7, {}]", "{\"a\": 7}", "null", "18446744073709551615", "1.5"
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(records); i++)
		for (size_t w = 0; w < BH_ARRAY_LEN(wrong); w++) {
			json_t *object = bh_record_encode(&records[i]);
			const char *key;
			json_t *value;
			void *tmp;

			json_object_foreach_safe(object, tmp, key, value)
			{
				json_t *bad = json_copy(object);
				bh_auto_free struct bh_record *read = NULL;
				bh_auto_free char *line = NULL;

				json_object_set_new(bad, key,
						    json_loads(wrong[w], JSON_DECODE_ANY, NULL));
				read = bh_record_decode(bad);
				line = bh_record_line(read);
				assert_int_equal(line[0], '{');
				json_decref(bad);
			}
			json_decref(object);
		}
}

static void every_member_is_in_the_manual(void **state)
{
	const char *path = "packaging/man/bulkhead-flow.5";
	bh_auto_free char *line = NULL;
	bh_auto(bh_buf_done) struct bh_buf manual = { 0 };
	FILE *f = fopen(path, "re");
	size_t cap = 0;

	(void)state;
	if (!f) {
		print_message("skipped: %s is not here\n", path);
		skip();
		return;
	}
	while (getline(&line, &cap, f) > 0)
		if (strncmp(line, ".It Va ", 7) == 0)
			bh_buf_printf(&manual, " , %.*s , ", (int)strcspn(line + 7, "\n"),
				      line + 7);
	fclose(f);
	for (size_t i = 0; i < BH_ARRAY_LEN(records); i++) {
		json_t *object = bh_record_encode(&records[i]);
		const char *key;
		json_t *value;

		json_object_foreach(object, key, value)
		{
			bh_auto_free char *item = bh_asprintf(" , %s , ", key);

			if (!strstr(key, "_omitted") && !strstr(bh_buf_str(&manual), item))
				fail_msg("%s", key);
		}
		json_decref(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back_the_same),
		cmocka_unit_test(every_member_is_read),
		cmocka_unit_test(members_of_other_types_are_left_out),
		cmocka_unit_test(every_member_is_in_the_manual),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
