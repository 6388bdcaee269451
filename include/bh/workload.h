/*
 * What only the simulator reads of manifests: objects that make pods, and
 * Services.
 *
 * Source: Kubernetes API reference, apps/v1, batch/v1, core/v1.
 */
#ifndef BH_WORKLOAD_H
#define BH_WORKLOAD_H

#include "bh/model.h"

/*
 * An object with a pod template: Deployment, ReplicaSet, StatefulSet and
 * DaemonSet (apps/v1), ReplicationController (v1), Job and CronJob (batch/v1).
 */
struct bh_workload {
	const char *kind, *namespace, *name;
	/*
	 * Of the template: labels sorted by key, ports, node, is_host_network.
	 * No name, uid ("") or address; namespace, file and line, workload_kind
	 * and workload_name are those of the object.
	 */
	struct bh_pod pod;
	uint32_t replicas; /* spec.replicas, 1 where absent; 1 of kinds that have none */
	/* Controlling owner, NULL if none: such an object's pods are its owner's. */
	const char *owner_kind, *owner_name;
	const char *file; /* NULL if none */
	int line;         /* 1-based; 0 if unknown */
};

struct bh_service_port {
	const char *name; /* "" if none */
	uint8_t protocol; /* IPPROTO_* */
	uint16_t port;    /* host byte order */
	/* targetPort: a name, or NULL and a number (that of port where absent). */
	const char *target_name;
	uint16_t target;
};

struct bh_service {
	const char *namespace, *name;
	bool has_selector; /* without: endpoints are somebody else's; never of ExternalName */
	struct bh_selector selector;
	const struct bh_service_port *ports;
	size_t n_ports;
	const struct bh_addr *addrs; /* clusterIPs; none for headless ones */
	size_t n_addrs;
	bool is_headless; /* clusterIP None: its name stands for the pods' own addresses */
	const char *type; /* "ClusterIP", "NodePort", "LoadBalancer", "ExternalName" */
	const char *file; /* NULL if none */
	int line;
};

#endif
