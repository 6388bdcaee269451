/*
 * The resources that are followed, and what of their objects is kept.
 */
#ifndef BH_KUBE_KINDS_H
#define BH_KUBE_KINDS_H

#include "bh/kube.h"
#include "stream.h"

struct bh_kube_kind {
	const char *plural; /* "networkpolicies" */
	const char *path;
	const char *selector; /* more of the query, "" for none */
	const char *api_version, *kind;
	enum bh_kind fact_kind;
	enum bh_policy_kind policy_kind;
	bool is_optional; /* a CustomResourceDefinition, which may be missing */
	const struct bh_keep *keep;
};

extern const struct bh_kube_kind bh_kube_kinds[BH_KUBE_RESOURCE_COUNT_];

#endif
