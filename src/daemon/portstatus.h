/*
 * Pods' ports and contested addresses, for `status` and the metrics.
 */
#ifndef BH_PORTSTATUS_H
#define BH_PORTSTATUS_H

#include <jansson.h>
#include <stddef.h>

struct bh_agent;

/*
 * {"pods","pods_without_port","links","without_port":[{"namespace","name","uid","reason"}],
 * "events","listings","lookups"}; null before sources started.  A new reference.
 */
json_t *bh_ports_json(const struct bh_agent *a);
/*
 * Addresses that others than their owner claim: [{"address","owner","claimed_by" or
 * "claimed_by_node"}], pods as {"namespace","name","node","closed"}.  A new reference.
 */
json_t *bh_conflicts_json(const struct bh_agent *a);
size_t bh_conflicts_count(const struct bh_agent *a);

#endif
