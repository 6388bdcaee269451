#include "kinds.h"

#include <assert.h>
#include <stdlib.h>

#include "bh/alloc.h"
#include "bh/trust.h"

/*
 * kind and apiVersion are not kept: they are known, and the items of a list do
 * not have them.  A Status, which an ERROR event brings, is told by its code.
 */
#define STATUS_MEMBERS                                                                             \
	{ .name = "message", .slot = BH_SLOT_MESSAGE, .is_dropped = true },                        \
		{ .name = "reason", .slot = BH_SLOT_REASON, .is_dropped = true },                  \
	{                                                                                          \
		.name = "code", .slot = BH_SLOT_CODE, .is_dropped = true                           \
	}

static const struct bh_keep annotations[] = {
	{ .name = "bulkhead.dev/*" },
	{ .name = "k8s.io/initial-events-end", .slot = BH_SLOT_INITIAL_END, .is_dropped = true },
	{ 0 },
};
static const struct bh_keep metadata[] = {
	{ .name = "name", .slot = BH_SLOT_NAME },
	{ .name = "namespace", .slot = BH_SLOT_NAMESPACE },
	{ .name = "uid", .slot = BH_SLOT_UID },
	{ .name = "resourceVersion", .slot = BH_SLOT_VERSION, .is_dropped = true },
	{ .name = "labels" },
	{ .name = "annotations", .below = annotations },
	{ .name = "creationTimestamp" },
	{ .name = "generation" },
	{ 0 },
};
/*
 * Whoever may make pods must not be able to make one that cannot be read: it would
 * be nobody's peer, and escape rules that deny its namespace.  So what they can make
 * long has limits of its own, far above what is of use, beyond which that part alone
 * is left out.
 */
#define MAX_LABELS ((size_t)64 << 10)
#define MAX_PORTS  ((size_t)64 << 10)
#define MAX_OWNERS ((size_t)16 << 10)

static const struct bh_keep pod_annotations[] = {
	{ .name = "kubernetes.io/config.mirror", .slot = BH_SLOT_MIRROR },
	{ .name = BH_ANNOTATION_PREFIX "quarantine" },
	{ .name = "k8s.io/initial-events-end", .slot = BH_SLOT_INITIAL_END, .is_dropped = true },
	{ 0 },
};
static const struct bh_keep owner[] = {
	{ .name = "kind" },
	{ .name = "name" },
	{ .name = "controller" },
	{ 0 },
};
static const struct bh_keep pod_metadata[] = {
	{ .name = "name", .slot = BH_SLOT_NAME },
	{ .name = "namespace", .slot = BH_SLOT_NAMESPACE },
	{ .name = "uid", .slot = BH_SLOT_UID },
	{ .name = "resourceVersion", .slot = BH_SLOT_VERSION, .is_dropped = true },
	{ .name = "labels", .max = MAX_LABELS, .slot = BH_SLOT_NO_LABELS },
	{ .name = "annotations", .below = pod_annotations },
	{ .name = "creationTimestamp" },
	{ .name = "ownerReferences", .below = owner, .max = MAX_OWNERS, .slot = BH_SLOT_NOT_ALL },
	{ 0 },
};
static const struct bh_keep container[] = {
	{ .name = "ports" },
	{ .name = "restartPolicy" },
	{ 0 },
};
static const struct bh_keep pod_spec[] = {
	{ .name = "nodeName" },
	{ .name = "hostNetwork" },
	{ .name = "containers", .below = container, .max = MAX_PORTS, .slot = BH_SLOT_NOT_ALL },
	{ .name = "initContainers", .below = container, .max = MAX_PORTS, .slot = BH_SLOT_NOT_ALL },
	{ 0 },
};
static const struct bh_keep pod_status[] = {
	{ .name = "phase" },
	{ .name = "podIP" },
	{ .name = "podIPs" },
	{ 0 },
};
static const struct bh_keep pod[] = {
	{ .name = "metadata", .below = pod_metadata },
	{ .name = "spec", .below = pod_spec },
	{ .name = "status", .below = pod_status },
	STATUS_MEMBERS,
	{ 0 },
};
static const struct bh_keep node_status[] = {
	{ .name = "addresses" },
	{ 0 },
};
static const struct bh_keep node[] = {
	{ .name = "metadata", .below = metadata },
	{ .name = "status", .below = node_status },
	STATUS_MEMBERS,
	{ 0 },
};
static const struct bh_keep namespace[] = {
	{ .name = "metadata", .below = metadata },
	STATUS_MEMBERS,
	{ 0 },
};
static const struct bh_keep policy[] = {
	{ .name = "metadata", .below = metadata },
	{ .name = "spec" },
	STATUS_MEMBERS,
	{ 0 },
};

const struct bh_kube_kind bh_kube_kinds[] = {
	[BH_KUBE_NAMESPACES] = {
		.plural = "namespaces",
		.path = "/api/v1/namespaces",
		.selector = "",
		.api_version = "v1",
		.kind = "Namespace",
		.fact_kind = BH_KIND_NAMESPACE,
		.keep = namespace,
	},
	[BH_KUBE_NODES] = {
		.plural = "nodes",
		.path = "/api/v1/nodes",
		.selector = "",
		.api_version = "v1",
		.kind = "Node",
		.fact_kind = BH_KIND_NODE,
		.keep = node,
	},
	/*
	 * A finished pod has no address any more.  With this selector one that
	 * finishes is told as deleted; while its sandbox still runs, what the
	 * runtime says of it goes on.
	 */
	[BH_KUBE_PODS] = {
		.plural = "pods",
		.path = "/api/v1/pods",
		.selector = "&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed",
		.api_version = "v1",
		.kind = "Pod",
		.fact_kind = BH_KIND_POD,
		.keep = pod,
	},
	[BH_KUBE_NETWORK_POLICIES] = {
		.plural = "networkpolicies",
		.path = "/apis/networking.k8s.io/v1/networkpolicies",
		.selector = "",
		.api_version = "networking.k8s.io/v1",
		.kind = "NetworkPolicy",
		.fact_kind = BH_KIND_POLICY,
		.policy_kind = BH_NETWORK_POLICY,
		.keep = policy,
	},
	[BH_KUBE_CLUSTER_NETWORK_POLICIES] = {
		.plural = "clusternetworkpolicies",
		.path = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
		.selector = "",
		.api_version = "policy.networking.k8s.io/v1alpha2",
		.kind = "ClusterNetworkPolicy",
		.fact_kind = BH_KIND_POLICY,
		.policy_kind = BH_CLUSTER_NETWORK_POLICY,
		.is_optional = true,
		.keep = policy,
	},
};
static_assert(BH_ARRAY_LEN(bh_kube_kinds) == BH_KUBE_RESOURCE_COUNT_,
	      "every resource has its line");

const char *bh_kube_resource_str(enum bh_kube_resource r)
{
	return bh_kube_kinds[r].plural;
}
