/*
 * Who may set which annotation of Bulkhead's own.
 *
 * An annotation is set by whoever may write the object that carries it, and that is not
 * always an operator of the cluster.  The configuration says for each one where it counts; the
 * world decides by that (bh_world_honours()), so that the agent, `explain` and the simulator
 * agree.
 */
#ifndef BH_TRUST_H
#define BH_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "bh/err.h"

#define BH_ANNOTATION_PREFIX "bulkhead.dev/"

/* The namespace that is trusted where nobody says otherwise. */
#define BH_DEFAULT_TRUSTED_NAMESPACE "kube-system"

/* To add one: its row in policy/trust.c, and whoever uses it asks bh_world_honours(). */
enum bh_annotation {
	BH_ANNOTATION_MODE,
	BH_ANNOTATION_DEFAULT_DENY,
	BH_ANNOTATION_PORTS,      /* of a pod in the container runtime */
	BH_ANNOTATION_QUARANTINE, /* of a pod */
	BH_ANNOTATION_COUNT_
};
/* The part behind the prefix: "mode", "default-deny", ... */
const char *bh_annotation_str(enum bh_annotation a);

enum bh_trust {
	BH_TRUST_DEFAULT, /* what bh_trust_default() says of the annotation */
	BH_TRUST_ALL,     /* it counts on every object */
	/*
	 * It counts on every object, but loosens what the configuration's default deny
	 * demands in trusted namespaces only.
	 */
	BH_TRUST_NO_OVERRIDE,
	BH_TRUST_NAMESPACES, /* in trusted namespaces and on objects of the whole cluster only */
	BH_TRUST_NONE,       /* nowhere */
	BH_TRUST_COUNT_
};
/* "default", "all", "no-override", "trusted-namespaces", "none" */
const char *bh_trust_str(enum bh_trust t);
/* Never BH_TRUST_DEFAULT. */
enum bh_trust bh_trust_default(enum bh_annotation a);

/* Zero: every annotation has its default, and no namespace is trusted. */
struct bh_trust_config {
	enum bh_trust of[BH_ANNOTATION_COUNT_];
	const char *const *namespaces;
	size_t n_namespaces;
};

/*
 * Reads "KEY=WHO" into @of, or "WHO" for all keys.  -EINVAL with text that names what is
 * possible; @of is untouched then.
 */
int bh_trust_parse(const char *text, enum bh_trust of[BH_ANNOTATION_COUNT_], struct bh_err *err);

#endif
