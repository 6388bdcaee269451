/*
 * How sources hand over what they learn: one fact at a time to one sink.
 */
#ifndef BH_SOURCE_H
#define BH_SOURCE_H

#include "bh/model.h"

enum bh_kind { BH_KIND_POD, BH_KIND_NAMESPACE, BH_KIND_NODE, BH_KIND_POLICY, BH_KIND_COUNT_ };
const char *bh_kind_str(enum bh_kind kind); /* "Pod", "Namespace", "Node", "Policy" */

/*
 * Of a pod BH_SOURCE_NODE says pod_ports, extra and addrs, which are added to those of
 * other sources; it describes a pod only together with others, and only the one
 * whose uid is its own (empty or not).
 */
struct bh_fact {
	enum bh_kind kind;
	enum bh_source source;
	union {
		struct bh_pod pod;
		struct bh_namespace ns;
		struct bh_node node;
		struct bh_policy policy;
	};
};

/* Names one object of one source. */
struct bh_key {
	enum bh_kind kind;
	enum bh_source source;
	enum bh_policy_kind policy_kind; /* BH_KIND_POLICY */
	const char *namespace;           /* "" for cluster-scoped kinds */
	const char *name;
	const char *uid; /* BH_KIND_POD; "" if the source has none */
};

/* Of the object that @fact is of; borrows its strings, none of which is NULL then. */
struct bh_key bh_fact_key(const struct bh_fact *fact);

struct bh_sink {
	void *ctx;
	/* A new or changed object.  @fact is borrowed during the call. */
	void (*on_put)(void *ctx, const struct bh_fact *fact);
	void (*on_delete)(void *ctx, const struct bh_key *key);
	/* Everything that existed when the source started was handed over. */
	void (*on_synced)(void *ctx, enum bh_source source);
	/*
	 * Trouble with one thing (@subject: a file, "policy shop/web", a
	 * socket), or its end when @text is NULL.  If there was a
	 * good state of it, that stays in force meanwhile.
	 */
	void (*on_problem)(void *ctx, enum bh_source source, const char *subject, const char *text);
};

#endif
