/*
 * The ports of this node's pods: which link of the node is the host end of which
 * pod's interface.
 *
 * Found without owning the network plugin, in this order:
 *
 *   - The path of the pod's network namespace, which the runtime tells, or a
 *     manifest's annotation (never the API, and no annotation that whoever makes
 *     the pod can write: who names another pod's namespace would be that pod).
 *     The kernel tells which links lead into the namespace.
 *   - Where no path is known, a route of this node to exactly an address of the pod.
 *
 * Never from the neighbour table or the forwarding database of a bridge: one forged
 * frame changes what they say.
 *
 * A port stays a pod's until the link goes, the pod goes, or another pod's namespace
 * turns out to be behind it: a pod that may change its own network cannot get rid of
 * it by moving its end elsewhere.  The link-local address that the MAC of the pod's end
 * makes is the pod's from the beginning.  The MAC and other link-local addresses of that end
 * are read when the port is found, when a first address of the pod becomes known,
 * and while there is no link-local address yet some more times in the first seconds,
 * then never again: what they are later proves nothing.  A MAC that another port has
 * already is not taken.
 *
 * Two pods that name one namespace, or that routes lead to by one link, have no
 * port, and are told about as problems.
 *
 * What is found goes to the sink as facts of BH_SOURCE_NODE, together with the extra
 * addresses that the operator lists.
 */
#ifndef BH_PORTS_H
#define BH_PORTS_H

#include <net/if.h>
#include <uv.h>

#include "bh/err.h"
#include "bh/source.h"

struct bh_ports;
struct bh_changes;

/* Addresses besides those that a source tells, from the operator of this node. */
struct bh_extra_addr {
	char *namespace;
	char *pod;      /* a name, or the beginning of one */
	bool is_prefix; /* pod is a beginning; "" is the beginning of all */
	/* One address is the pod's own; a network is only let pass at its port. */
	struct bh_cidr addrs;
};
/*
 * "NS/POD=ADDR[/LEN]", where POD may end in '*'.  -EINVAL with text.  Fields are the
 * caller's to free.
 */
int bh_extra_addr_parse(const char *text, struct bh_extra_addr *ret, struct bh_err *err);
bool bh_extra_addr_is_of(const struct bh_extra_addr *e, const char *ns, const char *pod);
/* Longer than this much is "::/0" in disguise. */
#define BH_EXTRA_MIN_LEN4 8
#define BH_EXTRA_MIN_LEN6 32

struct bh_ports_config {
	/* Borrowed for the life of the ports. */
	const struct bh_extra_addr *extra;
	size_t n_extra;
	/*
	 * The answers of bh_ports_unknown() and bh_ports_bridges() may be others
	 * now.  At most once a turn of the loop; may be NULL.
	 */
	void (*on_change)(void *ctx);
	void *ctx;
};

/*
 * Lists the links of this network namespace and watches them.  @sink gets facts from
 * within bh_ports_follow() and the loop; it is borrowed.
 */
int bh_ports_new(struct bh_ports **ret, uv_loop_t *loop, const struct bh_ports_config *config,
		 const struct bh_sink *sink, struct bh_err *err);
/* Not from within a call of the sink.  Handles are closed by the loop later. */
void bh_ports_free(struct bh_ports **ports);

/*
 * Pods of the world came, went or changed.  Returns after their ports were looked for,
 * and facts of them told (which changes the world: @changes is not looked at after
 * the first).
 */
void bh_ports_follow(struct bh_ports *ports, const struct bh_changes *changes);

/* A local pod with a network of its own for which no port was found. */
struct bh_portless {
	const char *namespace, *name, *uid;
	const char *reason; /* for people: why, and what helps */
};
/* All of them, in no order, with what the callee must not keep. */
void bh_ports_each_portless(const struct bh_ports *ports,
			    void (*on_pod)(void *ctx, const struct bh_portless *pod), void *ctx);

struct bh_ports_stats {
	size_t n_pods;     /* local ones with a network of their own */
	size_t n_portless; /* of them, those without a port */
	size_t n_links;
	uint64_t n_events;   /* messages about links and namespaces */
	uint64_t n_listings; /* of all links: at the start, and after losses */
	uint64_t n_lookups;  /* of pods' ports */
	uint64_t n_pauses;   /* of listening, because of too many events */
};
struct bh_ports_stats bh_ports_stats(const struct bh_ports *ports);

/* A bridge that has a pod's port. */
struct bh_pod_bridge {
	uint32_t ifindex;
	char name[IFNAMSIZ];
};
/* Sorted by ifindex; valid until the loop turns or pods are followed. */
size_t bh_ports_bridges(struct bh_ports *ports, const struct bh_pod_bridge **ret);

/* The name of some bridge of this network namespace; NULL: there is none.  Valid as above. */
const char *bh_ports_a_bridge(const struct bh_ports *ports);

/* A link that may be a pod's port, and belongs to no pod that is known. */
struct bh_unknown_port {
	uint32_t ifindex;
	char name[IFNAMSIZ];
	uint32_t bridge;     /* ifindex of the bridge that it is a port of, 0: none */
	bool is_beside_pods; /* that bridge has ports of pods */
	bool has_far_end;    /* its other end is in another network namespace */
};
/*
 * All veth links whose other end is in another namespace or that are ports of a bridge
 * with pods, except those of pods.  Sorted by ifindex; valid as above.  The node's own
 * uplink is among them where the node is itself in a network namespace.
 */
size_t bh_ports_unknown(struct bh_ports *ports, const struct bh_unknown_port **ret);

#endif
