/*
 * Least privilege.
 */
#ifndef BH_CAPS_H
#define BH_CAPS_H

#include "bh/err.h"

/* -EPERM with text if this process may not change the firewall. */
int bh_caps_check(struct bh_err *err);

/*
 * Gives up everything but CAP_NET_ADMIN, for good: no exec() brings anything
 * back.  The user stays root, who owns the runtime's socket, the flow log and
 * the manifests; without CAP_DAC_OVERRIDE that is an ordinary owner's access.
 */
int bh_caps_drop(struct bh_err *err);
/* Gives up everything, for --check-config, which reads files as the agent will. */
int bh_caps_drop_all(struct bh_err *err);

#endif
