/*
 * Inside of the pods' ports: what its files share.
 *
 *   ports_follow.c  which pods should have a port, as the world tells
 *   claims.c        which links a pod leads to, and who else claims them
 *   port_end.c      what the pod's end of a port is
 *   ports.c         gives links to pods, when something happened that may change it
 *   ports_tell.c    facts for the sink, and answers
 */
#ifndef BH_NODE_PORTS_IMPL_H
#define BH_NODE_PORTS_IMPL_H

#include <sys/types.h>

#include "bh/hash.h"
#include "bh/ports.h"
#include "links.h"

/* Interfaces of one pod; the first by ifindex are taken. */
#define MAX_PORTS 16
/* An interface has one, or a few where somebody adds them. */
#define MAX_LOCALS 4
#define MAX_OWN    64

struct port {
	struct bh_pod_port is;
	uint32_t peer;
	int32_t nsid; /* through which its end was last seen */
	uint64_t found_ns;
	struct bh_addr locals[MAX_LOCALS];
	size_t n_locals;
};

/* A local pod with a network of its own. */
struct entry {
	char *key; /* namespace, name and uid with NULs between */
	size_t key_len;
	const char *namespace, *name, *uid; /* in key */
	char *netns;                        /* NULL: unknown */
	struct bh_addr *addrs;              /* as others tell them */
	size_t n_addrs;

	int32_t nsid; /* of netns; BH_NO_NSID: unknown */
	dev_t dev;    /* of netns, with ino; ino 0: unknown */
	ino_t ino;
	uint32_t *claims; /* links that it was found to lead to last, by ifindex */
	size_t n_claims;
	struct port *ports;
	size_t n_ports, cap_ports;
	bool is_dirty;    /* to be looked at in this turn */
	bool is_untold;   /* the sink knows something else */
	bool is_conflict; /* another pod claims the same */
	bool had_addrs;   /* when its ports were read last */
	bool is_told;
	unsigned int n_retries;
	uint64_t retry_ns;
	char *reason;              /* why it has no port; NULL: not known yet */
	struct entry *prev, *next; /* of the dirty ones */
	UT_hash_handle hh;
};

struct bh_ports {
	struct bh_ports_config config;
	struct bh_sink sink;
	uv_loop_t *loop;
	struct bh_nl *ask;
	struct bh_links *links; /* their owners are entries */
	uv_timer_t timer;       /* retries */

	struct entry *entries, *dirty;
	bool is_changed;   /* on_change is due */
	bool wants_verify; /* a link leads to a namespace that no path does */
	uint64_t verified_ns;
	uint64_t n_lookups;

	struct bh_pod_bridge *bridges;
	struct bh_unknown_port *unknown;
};

/* --- extra.c ------------------------------------------------------------------------------ */

/* One address, and not a network. */
bool bh_extra_addr_is_single(const struct bh_cidr *c);

/* --- claims.c ----------------------------------------------------------------------------- */

/* Links that are a pod's, by ifindex. */
struct found {
	struct bh_known_link *links[MAX_PORTS];
	size_t n;
	char reason[2 * BH_ERR_MAX]; /* why there are none */
};

/*
 * Looks where the pod leads to now: links that no other pod has a stronger claim on.
 * They are e's claims from now on.
 */
void bh_ports_find(struct bh_ports *p, struct entry *e, struct found *ret);
/* Adds one, in its order. */
void bh_ports_add_found(struct found *f, struct bh_known_link *l);
/* Another pod that claims as much as @e; NULL: there is none. */
struct entry *bh_ports_rival(const struct bh_ports *p, const struct entry *e);
/* Both have a path, and the paths lead to one namespace. */
bool bh_ports_share_netns(const struct entry *a, const struct entry *b);

/* --- port_end.c --------------------------------------------------------------------------- */

/*
 * Reads what the pod's end is, where that is not known yet.  Until the pod has
 * addresses, the network plugin is still at work: what was read is read again after it.
 */
void bh_port_read_far_end(struct bh_ports *p, struct entry *e, struct port *port);
/* Its link-local address is still looked for. */
bool bh_port_wants_locals(const struct port *port);
bool bh_port_is_same(const struct bh_pod_port *a, const struct bh_pod_port *b);

/* --- ports.c ------------------------------------------------------------------------------ */

/* The pod is looked at by the next bh_ports_resolve(). */
void bh_ports_mark(struct bh_ports *p, struct entry *e);
void bh_ports_mark_portless(struct bh_ports *p);
/* Those that another claims the same as: what two wanted may be one's now. */
void bh_ports_mark_conflicting(struct bh_ports *p);
/* Takes all ports from the pod. */
void bh_ports_drop(struct bh_ports *p, struct entry *e);
/* Looks at all marked pods, and tells what is new of them. */
void bh_ports_resolve(struct bh_ports *p);

/* --- ports_follow.c ----------------------------------------------------------------------- */

void bh_ports_free_pod(struct bh_ports *p, struct entry *e);

/* --- ports_tell.c ------------------------------------------------------------------------- */

/* Tells the sink what is known of the pod now. */
void bh_ports_tell(struct bh_ports *p, struct entry *e);
void bh_ports_tell_gone(struct bh_ports *p, const struct entry *e);
/* Calls on_change, if it is due. */
void bh_ports_report(struct bh_ports *p);

#endif
