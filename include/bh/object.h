/*
 * Kubernetes objects as JSON -> facts, and verdicts -> JSON.
 *
 * Validation is that of the API server, with its wording where it has one
 * (k8s.io/kubernetes pkg/apis/networking/validation, apimachinery
 * util/validation); every message starts with the field's path, as in
 * `spec.ingress[0].ports[1].endPort: Invalid value: 79: must be greater than
 * or equal to `port``.
 */
#ifndef BH_OBJECT_H
#define BH_OBJECT_H

#include <jansson.h>

#include "bh/buf.h"
#include "bh/eval.h"
#include "bh/source.h"
#include "bh/workload.h"

/* Limits on one object; beyond them it is refused with -E2BIG. */
#define BH_OBJECT_MAX_BYTES (4u << 20)
#define BH_OBJECT_MAX_DEPTH 64
#define BH_OBJECT_MAX_ITEMS 100000

/* Where the object came from. */
struct bh_origin {
	enum bh_source source;
	bool wants_workloads; /* else workloads and Services are kinds to skip */
	const char *file;     /* NULL if none */
	/* Of objects that name none, in kinds that have one; NULL: "default". */
	const char *default_namespace;
	/* Line of a JSON node within file, 0 where unknown; NULL if none. */
	int (*line_of)(void *ctx, const json_t *node);
	void *ctx;
};

/*
 * Calls @on_object for @doc, or for each item if it is a list ("List",
 * "PodList", ...), whose items get the kind and apiVersion that the API leaves
 * out there.  Stops at the first negative result and returns it.
 */
int bh_object_unpack(json_t *doc, int (*on_object)(void *ctx, json_t *object), void *ctx);

struct bh_decoded;

/* What became of an object. */
enum bh_decode_status {
	BH_DECODED,        /* a fact */
	BH_DECODE_SKIPPED, /* a kind that policy is not about */
	BH_DECODE_INVALID, /* a policy that failed validation: a fact with ->invalid set */
	BH_DECODED_WORKLOAD,
	BH_DECODED_SERVICE,
};

/*
 * Decodes one object: Pod, Namespace, Node, NetworkPolicy, ClusterNetworkPolicy,
 * AdminNetworkPolicy, BaselineAdminNetworkPolicy, and where they are wanted
 * Service and the workload kinds of workload.h.  0 and *ret (owned
 * by the caller) for anything that has a status above; a negative errno if it
 * is not such an object or, other than a policy, is not valid, with text that
 * names file, line, object and field: `web.yaml:12: Pod shop/web: spec...`.
 */
int bh_object_decode(const json_t *object, const struct bh_origin *origin, struct bh_decoded **ret,
		     struct bh_err *err);
void bh_decoded_free(struct bh_decoded **d);
enum bh_decode_status bh_decoded_status(const struct bh_decoded *d);
/* Valid while @d lives; NULL if there is none. */
const struct bh_fact *bh_decoded_fact(const struct bh_decoded *d);
/* BH_DECODED_WORKLOAD, BH_DECODED_SERVICE; NULL otherwise. */
const struct bh_workload *bh_decoded_workload(const struct bh_decoded *d);
const struct bh_service *bh_decoded_service(const struct bh_decoded *d);
/* "NetworkPolicy shop/allow-web": kind and name, for messages. */
const char *bh_decoded_subject(const struct bh_decoded *d);
/* Where the object starts; NULL and 0 where unknown. */
const char *bh_decoded_file(const struct bh_decoded *d);
int bh_decoded_line(const struct bh_decoded *d);
/* Unknown fields and the like: "field: text", each with its line. */
struct bh_decode_warning {
	const char *text;
	int line;
};
size_t bh_decoded_warnings(const struct bh_decoded *d, const struct bh_decode_warning **ret);
/* Line of what made it invalid, or 0. */
int bh_decoded_error_line(const struct bh_decoded *d);

/*
 * A JSON string, never NULL: names of files need not be UTF-8, which JSON must be;
 * those are as bh_buf_escape() writes them.  JSON null for NULL.  A new reference.
 */
json_t *bh_text_json(const char *s);
/* {"kind","namespace","name","rule_index"} of a rule; a new reference. */
json_t *bh_rule_ref_json(const struct bh_rule_ref *ref, enum bh_dir dir);
/* One direction as `sim eval` and `explain` print it; a new reference. */
json_t *bh_dir_verdict_json(const struct bh_dir_verdict *v, enum bh_dir dir);
/*
 * Adds sentences for people, one a line.  Addresses of pods and nodes that are
 * zero in @flow are left out.
 */
void bh_result_describe(const struct bh_world *w, const struct bh_flow *flow,
			const struct bh_result *result, struct bh_buf *out);

/* "denied by NetworkPolicy shop/db ingress rule 0 (db.yaml:12)": one direction, in one line. */
void bh_dir_verdict_describe(const struct bh_world *w, const struct bh_flow *flow,
			     const struct bh_result *result, enum bh_dir dir, struct bh_buf *out);
/*
 * All of it with what every policy of the pods says, in the order in which they
 * are asked.  @shown: @flow as people shall see it.
 */
void bh_result_explain(const struct bh_world *w, const struct bh_flow *flow,
		       const struct bh_flow *shown, const struct bh_result *result,
		       struct bh_buf *out);
/* The policies of one direction as `sim explain -o json` prints them; a new reference. */
json_t *bh_dir_explain_json(const struct bh_world *w, const struct bh_flow *flow,
			    const struct bh_result *result, enum bh_dir dir);

#endif
