/*
 * The members of a record's JSON, bulkhead-flow(5): their names, and where and what they are
 * in struct bh_record.
 */
#include "fields.h"

#include <assert.h>
#include <string.h>

#include "bh/alloc.h"

/* --- words -------------------------------------------------------------------------------- */

static const char *class_word(int value)
{
	return bh_class_words((enum bh_verdict_class)value)->verdict;
}

static const char *dir_word(int value)
{
	return bh_dir_str((enum bh_dir)value);
}

const char *bh_record_entity_str(enum bh_record_entity entity)
{
	static const char *const words[] = {
		[BH_RECORD_NO_ENTITY] = NULL,    [BH_RECORD_POD] = "pod",
		[BH_RECORD_NODE] = "node",       [BH_RECORD_EXTERNAL] = "external",
		[BH_RECORD_UNKNOWN] = "unknown",
	};
	static_assert(BH_ARRAY_LEN(words) == BH_RECORD_ENTITY_COUNT_, "every entity has a word");

	return words[entity];
}

static const char *entity_word(int value)
{
	return bh_record_entity_str((enum bh_record_entity)value);
}

static const char *confidence_word(int value)
{
	static const char *const words[] = {
		[BH_CONFIDENCE_MISSING] = NULL,
		[BH_CONFIDENCE_EXACT] = "exact",
		[BH_CONFIDENCE_RECENT] = "recent",
		[BH_CONFIDENCE_NONE] = "none",
	};
	static_assert(BH_ARRAY_LEN(words) == BH_CONFIDENCE_COUNT_, "every confidence has a word");

	return words[value];
}

static const char *explained_word(int value)
{
	static const char *const words[] = {
		[BH_EXPLAINED_MISSING] = NULL,      [BH_EXPLAINED_WORLD] = "world",
		[BH_EXPLAINED_PROFILE] = "profile", [BH_EXPLAINED_PORT] = "port",
		[BH_EXPLAINED_NOTHING] = "none",
	};
	static_assert(BH_ARRAY_LEN(words) == BH_EXPLAINED_COUNT_, "every source has a word");

	return words[value];
}

/* --- the members -------------------------------------------------------------------------- */

#define FIELD(NAME, TYPE, MEMBER, ...)                                                             \
	{                                                                                          \
		.name = (NAME), .type = (TYPE), .at = offsetof(struct bh_record, MEMBER),          \
		##__VA_ARGS__                                                                      \
	}
#define HAS(MEMBER)  .has = offsetof(struct bh_record, MEMBER)
#define OPTIONAL     .is_optional = true
#define KEEPS_EMPTY  .keeps_empty = true
#define WORDS(OF, N) .word = OF##_word, .n_words = (N)

#define IDENTITY(PREFIX, ID)                                                                       \
	FIELD(PREFIX "k8s.namespace.name", T_TEXT, ID.namespace),                                  \
		FIELD(PREFIX "k8s.pod.name", T_TEXT, ID.name),                                     \
		FIELD(PREFIX "k8s.pod.uid", T_TEXT, ID.uid),                                       \
		FIELD(PREFIX "k8s.pod.labels", T_LABELS, ID),                                      \
		FIELD(PREFIX "k8s.node.name", T_TEXT, ID.node),                                    \
		FIELD(PREFIX "k8s.workload", T_WORKLOAD, ID)
#define END(PREFIX, E)                                                                             \
	FIELD(PREFIX "address", T_ADDR, E.address, HAS(E.has_address)),                            \
		FIELD(PREFIX "port", T_U16, E.port, HAS(flow.has_ports)),                          \
		FIELD(PREFIX "entity", T_WORD, E.entity, WORDS(entity, BH_RECORD_ENTITY_COUNT_)),  \
		FIELD(PREFIX "identity.confidence", T_WORD, E.confidence,                          \
		      WORDS(confidence, BH_CONFIDENCE_COUNT_)),                                    \
		IDENTITY(PREFIX, E.pod)
#define POD(P) IDENTITY("", P.id), FIELD("k8s.pod.ip", T_ADDRS, P)

static const struct field common_fields[] = {
	FIELD("@timestamp", T_TIME, at_ns), FIELD("event.sequence", T_U64, sequence),
	FIELD("event.boot", T_TEXT, boot),  FIELD("event.action", T_TEXT, action),
	FIELD("node.name", T_TEXT, node),
};

static const struct field flow_fields[] = {
	FIELD("network.type", T_ETHER_TYPE, flow.ether_type),
	FIELD("network.transport", T_PROTOCOL, flow.protocol, HAS(flow.has_protocol)),
	FIELD("network.direction", T_WORD, flow.dir, WORDS(dir, BH_DIR_COUNT_)),
	FIELD("icmp.type", T_U8, flow.icmp_type, HAS(flow.has_icmp)),
	FIELD("icmp.code", T_U8, flow.icmp_code, HAS(flow.has_icmp)),
	END("source.", flow.src),
	END("destination.", flow.dst),
	FIELD("policy.verdict", T_WORD, flow.class, WORDS(class, BH_CLASS_COUNT_)),
	FIELD("policy.explained_from", T_WORD, flow.explained,
	      WORDS(explained, BH_EXPLAINED_COUNT_)),
	FIELD("policy.reason", T_TEXT, flow.reason),
	FIELD("policy.rule", T_RULE, flow.rule),
	FIELD("observer.ingress.interface.id", T_U32, flow.ingress_link, OPTIONAL),
	FIELD("observer.egress.interface.id", T_U32, flow.egress_link, OPTIONAL),
	FIELD("policy.default_deny_by", T_NAMES, flow.denied_by),
	FIELD("policy.nearest_miss", T_NEARS, flow.nearest),
	FIELD("policy.closed", T_TEXT, flow.closed),
	FIELD("policy.profile", T_TEXT, flow.profile),
	FIELD("policy.generation", T_U64, flow.generation),
	FIELD("flow.count", T_U64, flow.count),
	FIELD("flow.suppressed", T_U64, flow.suppressed),
	FIELD("event.start", T_TIME, flow.first_ns),
	FIELD("event.end", T_TIME, flow.last_ns),
};

static const struct field gap_fields[] = {
	FIELD("gap.reason", T_TEXT, gap.reason),
	FIELD("gap.first_sequence", T_U64, gap.first_sequence, OPTIONAL),
	FIELD("gap.records", T_U64, gap.n_records, OPTIONAL),
	FIELD("evidence.lost", T_U64, gap.lost),
	FIELD("policy.verdict", T_WORD, gap.class, HAS(gap.has_class),
	      WORDS(class, BH_CLASS_COUNT_)),
	FIELD("pod.address", T_ADDR, gap.address, HAS(gap.has_address)),
	IDENTITY("", gap.pod),
};

static const struct field tamper_fields[] = {
	FIELD("process.name", T_TEXT, tamper.program, KEEPS_EMPTY),
	FIELD("process.pid", T_U32, tamper.pid),
	FIELD("tamper.table", T_TEXT, tamper.table),
	FIELD("tamper.differences", T_TEXTS, tamper.differences),
};

static const struct field policy_fields[] = {
	FIELD("policy.rule", T_RULE, policy.rule, KEEPS_EMPTY),
	FIELD("policy.change", T_TEXT, policy.change),
	FIELD("policy.closed", T_TEXT, policy.closed),
	FIELD("network.direction", T_WORD, policy.dir, HAS(policy.has_dir),
	      WORDS(dir, BH_DIR_COUNT_)),
};

static const struct field pod_fields[] = { POD(pod) };

static const struct field quarantine_fields[] = {
	FIELD("quarantine.target", T_TEXT, quarantine.target),
	FIELD("quarantine.by", T_TEXT, quarantine.by),
	FIELD("quarantine.user", T_U32, quarantine.user, HAS(quarantine.has_user)),
	FIELD("quarantine.reason", T_TEXT, quarantine.reason, KEEPS_EMPTY),
	FIELD("quarantine.allow", T_TEXTS, quarantine.allow, HAS(quarantine.has_allow)),
	FIELD("quarantine.until", T_TIME, quarantine.until_ns),
	POD(quarantine.pod),
};

static const struct field revocation_fields[] = {
	FIELD("revocation.reason", T_TEXT, revocation.reason),
	FIELD("revocation.connections", T_U64, revocation.connections),
};

#define FIELDS(OF)                                                                                 \
	{                                                                                          \
		OF##_fields, BH_ARRAY_LEN(OF##_fields)                                             \
	}
static const struct {
	const char *action; /* NULL: the class says it */
	struct fields fields;
} kinds[] = {
	[BH_RECORD_OTHER] = { "", { NULL, 0 } },
	[BH_RECORD_FLOW] = { NULL, FIELDS(flow) },
	[BH_RECORD_GAP] = { "gap", FIELDS(gap) },
	[BH_RECORD_TAMPER] = { "tamper", FIELDS(tamper) },
	[BH_RECORD_POLICY_CHANGED] = { "policy-changed", FIELDS(policy) },
	[BH_RECORD_POD_BOUND] = { "pod-bound", FIELDS(pod) },
	[BH_RECORD_POD_UNBOUND] = { "pod-unbound", FIELDS(pod) },
	[BH_RECORD_QUARANTINE_SET] = { "quarantine-set", FIELDS(quarantine) },
	[BH_RECORD_QUARANTINE_RELEASED] = { "quarantine-released", FIELDS(quarantine) },
	[BH_RECORD_REVOCATION_FAILED] = { "revocation-failed", FIELDS(revocation) },
};
static_assert(BH_ARRAY_LEN(kinds) == BH_RECORD_KIND_COUNT_, "every kind has fields");

const struct fields flow_common_fields = FIELDS(common);

struct fields flow_fields_of(enum bh_record_kind kind)
{
	return kinds[kind].fields;
}

const char *bh_record_action(const struct bh_record *r)
{
	if (r->kind == BH_RECORD_OTHER)
		return r->action ? r->action : "";
	if (kinds[r->kind].action)
		return kinds[r->kind].action;
	return r->flow.class == BH_CLASS_AUDIT ? "flow-audit-denied" : "flow-denied";
}
