/*
 * Telling the service manager how we are: the datagram protocol of
 * sd_notify(3), which is a documented interface and needs no library.
 */
#ifndef BH_NOTIFY_H
#define BH_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "bh/err.h"

struct bh_notify {
	int fd;               /* -1: nobody wants to know */
	uint64_t watchdog_ms; /* half of what the manager waits; 0: no watchdog */
};

/*
 * From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which are removed from
 * the environment.  No socket is no error; one that cannot be used is.
 */
int bh_notify_init(struct bh_notify *n, struct bh_err *err);
void bh_notify_done(struct bh_notify *n);

/* Lines like "READY=1".  Losing one is not worth an error. */
void bh_notify_send(const struct bh_notify *n, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* RELOADING=1 with the time that Type=notify-reload asks for. */
void bh_notify_reloading(const struct bh_notify *n);

#endif
