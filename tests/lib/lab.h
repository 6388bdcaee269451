/*
 * A node with veth ports and no programs behind them.
 *
 * One network namespace is the node, another holds the far ends of its ports.
 * Nothing there has an address, so nothing answers: what a test sends into a
 * port is judged by the node's rules and comes out of the port that the node's
 * routes name, or does not.  Packets are raw, so every protocol can be tried,
 * also those for which the kernel has no sockets.
 */
#ifndef BH_LAB_H
#define BH_LAB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bh/addr.h"
#include "bh/err.h"

#define LAB_MAX_PORTS 32
/* The node's own addresses. */
#define LAB_NODE4 "192.0.2.1"
#define LAB_NODE6 "2001:db8:ffff::1"

struct lab {
	unsigned int n_ports;
	pid_t holder;              /* keeps the far namespace */
	int far_fd[LAB_MAX_PORTS]; /* packet sockets on the far ends */
	int node_fd[2];            /* raw sockets of the node, one a family */
};

/* A packet to send; @id comes back with it. */
struct lab_packet {
	struct bh_addr src, dst;
	uint8_t protocol;
	uint16_t dst_port;
	uint16_t id; /* source port, or echo sequence */
};

/*
 * Moves the process into a new network namespace, the node, and makes @n_ports
 * ports.  -EPERM where that is not allowed.
 */
int lab_start(struct lab *lab, unsigned int n_ports, struct bh_err *err);
void lab_stop(struct lab *lab);

/* One more address of the node itself. */
int lab_add_node_addr(struct lab *lab, const struct bh_addr *a, struct bh_err *err);
/* Everything to @a leaves by @port. */
int lab_route(struct lab *lab, const struct bh_addr *a, unsigned int port, struct bh_err *err);
/* Everything else of both families leaves by @port. */
int lab_default_route(struct lab *lab, unsigned int port, struct bh_err *err);
/* Forgets all routes of both kinds. */
int lab_reset_routes(struct lab *lab, struct bh_err *err);

/*
 * Joins the first @n ports to a bridge br0, which br_netfilter filters, with the link-local
 * address fe80::1.  -EOPNOTSUPP where the kernel has not both.
 */
int lab_bridge(struct lab *lab, unsigned int n, struct bh_err *err);
/* Of a port's far end, the pod's; of its near end; of br0. */
void lab_far_mac(unsigned int port, uint8_t ret[6]);
void lab_near_mac(unsigned int port, uint8_t ret[6]);
extern const uint8_t lab_bridge_mac[6];

/* As if the pod behind @port had sent it. */
int lab_send(struct lab *lab, unsigned int port, const struct lab_packet *p);
/* The same for any frame, with its Ethernet header. */
int lab_send_frame(struct lab *lab, unsigned int port, const uint8_t *frame, size_t len);
/* As if the node had. */
int lab_send_from_node(struct lab *lab, const struct lab_packet *p);

/*
 * Takes one packet that came out: its *id and the *port it came out of.  An
 * answer of the node (reset, echo reply) has the id of what it answers.  Waits
 * up to @wait_ms for one; false if none came.
 */
bool lab_receive(struct lab *lab, int wait_ms, uint16_t *id, unsigned int *port);
/* The same for any frame; its length, 0 if none came.  A longer one is cut to @size. */
size_t lab_receive_frame(struct lab *lab, int wait_ms, uint8_t *frame, size_t size,
			 unsigned int *port);

/* Removes every entry of conntrack. */
int lab_forget_connections(struct bh_err *err);

#endif
