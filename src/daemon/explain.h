/*
 * The control method `explain`: what the rules of this node would do to a packet.
 */
#ifndef BH_DAEMON_EXPLAIN_H
#define BH_DAEMON_EXPLAIN_H

#include <jansson.h>

#include "bh/err.h"

struct bh_agent;

/*
 * Params: src and dst ("NAMESPACE/POD", an address, "node:NAME"), protocol, port; and where
 * the packet bears other addresses than the pods' own, "from" and "to".  *ret is a new
 * reference.  -EINVAL, -ENOENT, -EADDRNOTAVAIL and -EAFNOSUPPORT with text.
 */
int bh_explain(const struct bh_agent *a, const json_t *params, json_t **ret, struct bh_err *err);

#endif
