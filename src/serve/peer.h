/*
 * Whose connection it is.
 */
#ifndef BH_SERVE_PEER_H
#define BH_SERVE_PEER_H

#include <sys/types.h>

struct bh_nl;

/* Of nobody that is known. */
#define BH_PEER_UNKNOWN ((uid_t)-1)

/*
 * The user of the other end of @fd, a connected socket of this machine: a unix socket, or TCP
 * over loopback.  @diag is of NETLINK_SOCK_DIAG; without it (NULL), nobody is known over TCP.
 */
uid_t bh_peer_uid(struct bh_nl *diag, int fd);

#endif
