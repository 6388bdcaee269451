/*
 * The members of a record's JSON, for what writes, reads and copies them.
 */
#ifndef BH_FLOW_FIELDS_H
#define BH_FLOW_FIELDS_H

#include <stddef.h>

#include "flow.h"

enum field_type {
	T_TEXT,
	T_U8,
	T_U16,
	T_U32,
	T_U64,
	T_TIME, /* not written where it is 0 */
	T_WORD, /* an enum; a value without a word is not written */
	T_ADDR,
	T_ETHER_TYPE,
	T_PROTOCOL,
	T_LABELS,   /* of a struct bh_identity, where that has a pod */
	T_WORKLOAD, /* the same */
	T_ADDRS,    /* of a struct bh_record_pod, the same */
	T_RULE,
	T_NAMES,
	T_NEARS,
	T_TEXTS,
};

struct field {
	const char *name;
	enum field_type type;
	size_t at;        /* in struct bh_record */
	size_t has;       /* there, the bool that says whether the field is; 0: always */
	bool is_optional; /* a number: not written where it is 0 */
	bool keeps_empty; /* a text: written where it is "" */
	const char *(*word)(int value);
	int n_words;
};

struct fields {
	const struct field *items;
	size_t n;
};

/* Those that every record has, and those of one kind. */
extern const struct fields flow_common_fields;
struct fields flow_fields_of(enum bh_record_kind kind);

static inline const void *flow_member(const struct bh_record *r, size_t at)
{
	return (const char *)r + at;
}

static inline void *flow_member_of(struct bh_record *r, size_t at)
{
	return (char *)r + at;
}

/* A record is about a pod, which has labels and a workload. */
static inline bool flow_has_pod(const struct bh_identity *id)
{
	return id->name && *id->name;
}

#endif
