/*
 * Names of ports in rules, and pods that have them.
 */
#ifndef BH_SIM_NAMED_H
#define BH_SIM_NAMED_H

#include "bh/world.h"

bool named_is_used(const struct bh_rule *r);
/*
 * Pods that @peer, in a rule of @p, is and that have named ports: one for each
 * different list of them.  *ret is malloc'ed.
 */
size_t named_pods(const struct bh_world *w, const struct bh_policy *p, const struct bh_peer *peer,
		  const struct bh_pod ***ret);

#endif
