/*
 * The parts of objects, each read into the arena of the decoder.  What is wrong
 * is in the decoder afterwards.
 */
#ifndef BH_OBJECT_PARTS_H
#define BH_OBJECT_PARTS_H

#include "field.h"

#define ANNOTATION_PREFIX       "bulkhead.dev/"
#define ANNOTATION_MODE         ANNOTATION_PREFIX "mode"
#define ANNOTATION_DEFAULT_DENY ANNOTATION_PREFIX "default-deny"
#define ANNOTATION_NETNS        ANNOTATION_PREFIX "netns"
#define ANNOTATION_QUARANTINE   ANNOTATION_PREFIX "quarantine"

struct meta {
	const char *name, *namespace, *uid; /* never NULL; "" where absent */
	bool is_named;                      /* name and namespace can be used as a key */
	int64_t generation;                 /* 0 where absent */
	struct bh_labels labels;
	struct field annotations; /* borrows from the metadata field given */
};

/* Of objects that name none. */
const char *default_namespace(const struct decoder *d);
/* @wrong_name: one of syntax.h. */
void decode_meta(struct decoder *d, const struct field *metadata, bool is_namespaced,
		 const char *(*wrong_name)(const char *), struct meta *ret);
/* The mode annotation; BH_ENFORCE where absent or wrong. */
enum bh_mode decode_mode(struct decoder *d, const struct field *annotations);
/* The quarantine annotation of a pod or of a template: any value but "false". */
bool decode_quarantine(const struct field *annotations);
/* Warns of annotations of ours that this kind does not have; @names ends with NULL. */
void check_annotations(struct decoder *d, const struct field *annotations,
		       const char *const *names);

/* "TCP", "UDP" or "SCTP", TCP where absent; 0 and an error for anything else. */
uint8_t decode_protocol(struct decoder *d, const struct field *f);
void decode_labels(struct decoder *d, const struct field *f, struct bh_labels *ret);
/* A label selector. */
struct bh_selector decode_selector(struct decoder *d, const struct field *f);
/* One of the older kind: a map of labels that must all be there. */
struct bh_selector decode_label_map(struct decoder *d, const struct field *f);
/* @why: what is said of a text that is no CIDR.  False where absent or wrong. */
bool decode_cidr(struct decoder *d, const struct field *f, const char *why, struct bh_cidr *ret);
/* False where absent or wrong. */
bool decode_addr(struct decoder *d, const struct field *f, struct bh_addr *ret);
/* The controlling owner, a Deployment in place of its ReplicaSet; untouched if there is none. */
void decode_owner(struct decoder *d, const struct field *metadata, const char **ret_kind,
		  const char **ret_name);
/* What the spec of a pod or of a template says: node, hostNetwork, named ports. */
void decode_pod_spec(struct decoder *d, const struct field *spec, struct bh_pod *pod);

void decode_pod(struct decoder *d, const struct field *root, const struct meta *meta,
		struct bh_fact *ret);
void decode_namespace(struct decoder *d, const struct field *root, const struct meta *meta,
		      struct bh_fact *ret);
void decode_node(struct decoder *d, const struct field *root, const struct meta *meta,
		 struct bh_fact *ret);
/* What all kinds of policies have; @version is the only one of @kind. */
void decode_policy_head(struct decoder *d, const struct field *root, const struct meta *meta,
			enum bh_policy_kind kind, const char *version, struct bh_fact *ret);
/*
 * After an error: closed until it is mended, isolates both ways, allows nothing.
 * One in audit stays there: its author asked not to be enforced yet.
 */
void close_invalid_policy(const struct decoder *d, struct bh_policy *p);
void decode_network_policy(struct decoder *d, const struct field *root, const struct meta *meta,
			   struct bh_fact *ret);
void decode_cluster_network_policy(struct decoder *d, const struct field *root,
				   const struct meta *meta, struct bh_fact *ret);
void decode_admin_network_policy(struct decoder *d, const struct field *root,
				 const struct meta *meta, struct bh_fact *ret);
void decode_baseline_admin_network_policy(struct decoder *d, const struct field *root,
					  const struct meta *meta, struct bh_fact *ret);
void decode_workload(struct decoder *d, const struct field *root, const struct meta *meta,
		     struct bh_workload *ret);
void decode_service(struct decoder *d, const struct field *root, const struct meta *meta,
		    struct bh_service *ret);

#endif
