/*
 * The Kubernetes API as a source: Pods, Namespaces, Nodes, NetworkPolicies, and
 * ClusterNetworkPolicies where the server has them.
 *
 * Lists as a WatchList stream or in pages, then watches with bookmarks, all on
 * one HTTP/2 connection.  What was told stays told while the API is away; after
 * a relist only what differs is told again, what is new or changed before what is
 * gone.  Objects are read one by one while they arrive; of each only key, uid and
 * a digest of what matters to policy are kept, so that a change of something else
 * (a heartbeat, a condition) is not told either.
 *
 * Pods that are finished are not asked for: one that finishes is told as deleted.
 * A policy that does not validate is told as a fact with ->invalid set.  Another
 * object that cannot be read is a problem with the subject "Pod shop/web", and its
 * last state stays.  Other subjects are a resource ("pods": no permission, and the
 * like) and the server's URL (no connection).
 *
 * A server that says it has no ClusterNetworkPolicies is asked again twice a
 * minute.  If it had some before, they stay until it has said so four times.
 */
#ifndef BH_KUBE_H
#define BH_KUBE_H

#include <uv.h>

#include "bh/source.h"

/*
 * Of what policy is about in one object; with more it is refused and named, the rest
 * goes on.  One that is larger by other things is named, and told.
 */
#define BH_KUBE_MAX_OBJECT (4u << 20)

struct bh_kube;

struct bh_kube_config {
	/*
	 * NULL: in-cluster, that is KUBERNETES_SERVICE_HOST and _PORT of the
	 * environment and the files in /var/run/secrets/kubernetes.io/serviceaccount.
	 */
	const char *kubeconfig;
	const char *context; /* NULL: current-context */
	bool allows_plain;   /* http:// to a loopback address; refused otherwise */
	/* For tests; 0 for what is right. */
	uint32_t page_size;        /* else always in pages, WatchList is not used */
	uint32_t watch_silence_ms; /* until a watch is asked for again */
};

/*
 * Reads credentials and starts; a server that is away is a problem told to the
 * sink, not an error.  -EINVAL, -ENOTSUP (exec plugins, plain http) and the like
 * with text that names file and field.
 */
int bh_kube_new(struct bh_kube **ret, uv_loop_t *loop, const struct bh_kube_config *config,
		const struct bh_sink *sink, struct bh_err *err);
/* Not from within a call of the sink.  Handles are closed by the loop later. */
void bh_kube_free(struct bh_kube **k);
/* Reads kubeconfig and credentials as bh_kube_new() does, and nothing more. */
int bh_kube_check(const struct bh_kube_config *config, struct bh_err *err);

/*
 * The cached last state is about to be told to the sink by somebody else, as facts
 * of BH_SOURCE_KUBE: its keys, so that the list that comes next, or runs now, deletes
 * what is gone.  Not of a kind that is synced.  False: that object must not be told,
 * the API told of a later one of that name already.
 */
bool bh_kube_adopt(struct bh_kube *k, const struct bh_key *key);

enum bh_kube_resource {
	BH_KUBE_NAMESPACES,
	BH_KUBE_NODES,
	BH_KUBE_PODS,
	BH_KUBE_NETWORK_POLICIES,
	BH_KUBE_CLUSTER_NETWORK_POLICIES,
	BH_KUBE_RESOURCE_COUNT_
};
const char *bh_kube_resource_str(enum bh_kube_resource r); /* "namespaces", ... */

struct bh_kube_stats {
	bool is_connected;       /* every watch that there is follows */
	char server[256];        /* "https://10.96.0.1:443" */
	char version[64];        /* "v1.34.4", "" until known */
	uint64_t bytes_received; /* of bodies */
	uint64_t n_connects;     /* connections tried */
	struct bh_kube_resource_stats {
		bool is_served;    /* false: the server does not have this kind */
		bool is_synced;    /* listed once */
		bool is_watched;   /* a watch is open now */
		bool is_forbidden; /* the last answer was 401 or 403 */
		/* There now; since the start: changes, lists that ended, watches asked for, ... */
		uint64_t n_objects, n_events, n_lists, n_watches;
		uint64_t n_refused; /* ... objects that could not be read */
		uint64_t last_ns;   /* monotonic; of the last sign of life, bookmarks included */
	} resources[BH_KUBE_RESOURCE_COUNT_];
};
struct bh_kube_stats bh_kube_stats(const struct bh_kube *k);

#endif
