/*
 * What the files of exposure share.
 */
#ifndef BH_SIM_EXPOSURE_IMPL_H
#define BH_SIM_EXPOSURE_IMPL_H

#include "bh/alloc.h"
#include "bh/model.h"

/* Texts of @arena for peers of rules. */
/* "pods with app=web in namespaces with tier=front" */
const char *exposure_pods_label(struct bh_arena *arena, const struct bh_policy *p,
				const struct bh_peer *peer);
/* "addresses 10.0.0.0/8 except 10.1.0.0/16" */
const char *exposure_block_label(struct bh_arena *arena, const struct bh_peer *peer);

#endif
