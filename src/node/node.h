/*
 * Private to node/: a route netlink socket.
 */
#ifndef BH_NODE_PRIVATE_H
#define BH_NODE_PRIVATE_H

#include <netlink/netlink.h>

#include "bh/err.h"

int bh_route_new(struct nl_sock **ret, struct bh_err *err);
void bh_route_free(struct nl_sock **sock);
/* libnl's error numbers as negative errno. */
int bh_route_errno(int nl_code);

#endif
