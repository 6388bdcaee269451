/*
 * Listening sockets of this machine only: unix sockets and loopback.
 */
#ifndef BH_SERVE_LISTEN_H
#define BH_SERVE_LISTEN_H

#include <stdint.h>

#include "bh/addr.h"
#include "bh/err.h"

/* A unix socket that we own.  Zero fds are not valid; set both to -1 first. */
struct bh_unix_listener {
	char *path;
	int fd;
	/*
	 * "PATH.lock", locked for as long as we live: of two agents that start
	 * together one wins, and a crash leaves nothing locked.
	 */
	int lock_fd;
};

/*
 * Listens on @path with mode 0660; the folder is made (0755) if its parent is
 * there.  A socket file that nobody listens on is replaced; -EADDRINUSE if
 * somebody does, -EEXIST if the file is something else.
 */
int bh_unix_listen(struct bh_unix_listener *ret, const char *path, struct bh_err *err);
/* Closes and removes the socket file; NULL-safe members. */
void bh_unix_unlisten(struct bh_unix_listener *l);

/* 127.0.0.0/8 or ::1. */
bool bh_is_loopback(const struct bh_addr *a);
/* A TCP socket on @addr, which must be loopback (-EINVAL). */
int bh_tcp_listen(const struct bh_addr *addr, uint16_t port, int *ret, struct bh_err *err);

#endif
