/*
 * What the files about cluster-scoped policies share.
 */
#ifndef BH_OBJECT_CLUSTER_H
#define BH_OBJECT_CLUSTER_H

#include "parts.h"

/* An error where it is absent. */
void require_field(struct decoder *d, const struct field *f);
/* The number of elements; 0 for a list that is too long, so that nobody works through it. */
size_t decode_list(struct decoder *d, const struct field *f, size_t max);
/*
 * An object that has one of several fields: its name, or NULL and an error.  One
 * that has only fields that we do not know is no error, they are counted.
 */
const char *decode_choice(struct decoder *d, const struct field *f, const char *const *names);

/* v1alpha1: {"portNumber": {"protocol": "TCP", "port": 80}} */
void decode_admin_port(struct decoder *d, const struct field *f, struct bh_policy_port *ret);
/* v1alpha2: {"tcp": {"destinationPort": {"number": 80}}} */
void decode_protocol_match(struct decoder *d, const struct field *f, struct bh_policy_port *ret);

#endif
