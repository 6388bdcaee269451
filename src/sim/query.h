/*
 * One end of a question, as a person wrote it.
 */
#ifndef BH_SIM_QUERY_H
#define BH_SIM_QUERY_H

#include "sim.h"

struct end {
	const char *text;
	const struct bh_pod *pod; /* also of an address that is a pod's */
	const struct bh_node *node;
	const struct bh_service *service; /* of a destination; then nothing else is set */
	const struct bh_addr *addrs;      /* of the pod, the node, or the single one */
	size_t n_addrs;
	struct bh_addr single;
};

/* "namespace/pod", "node:n1", ...; *ret borrows @text and may point into itself. */
int sim_find_end(const struct bh_sim *sim, const char *text, bool is_dst, struct end *ret,
		 struct bh_err *err);
/* A pod as an end: on the host network it has the addresses of its node. */
void sim_end_of_pod(const struct bh_sim *sim, const struct bh_pod *pod, struct end *ret);

/* The family that both have, of what is asked for. */
int sim_choose_family(const struct bh_sim_query *q, const struct end *src, const struct end *dst,
		      enum bh_family *ret, struct bh_err *err);
/* Between them, without protocol and port. */
struct bh_flow sim_flow(const struct end *src, const struct end *dst, enum bh_family family);
/* The flow as people shall see it: without made-up addresses. */
struct bh_flow sim_shown(const struct bh_sim *sim, const struct bh_flow *flow);
/* The same pod to every selector, and another one to the engine. */
struct bh_pod sim_twin(const struct bh_pod *pod);

/* The pods that a Service leads to, whatever the port. */
const struct bh_pod *const *sim_endpoints(const struct bh_sim *sim,
					  const struct bh_service *service, size_t *ret_n);

/*
 * Whether the API says what happens to the flow: policies of equal priority
 * are asked in no particular order.  What they say differently goes to @why.
 */
bool sim_is_undecidable(const struct bh_sim *sim, const struct bh_flow *flow, char *why,
			size_t size);

/*
 * Whether it depends on where pods run, which nobody said: a node reaches its
 * own pods whatever their policies say.
 */
bool sim_is_node_unknown(const struct bh_sim *sim, const struct bh_flow *flow,
			 const struct bh_result *result, char *why, size_t size);

#endif
