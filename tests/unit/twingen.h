/*
 * One policy more for a random world, of which something is known: it is there
 * twice, or has a little more than another, or is for a group of pods.
 */
#ifndef BH_TWINGEN_H
#define BH_TWINGEN_H

#include "worldgen.h"

enum twin {
	TWIN_SAME,
	TWIN_WIDER, /* and with a rule that nobody else has */
	TWIN_OPEN,
	TWIN_AMONG,
};

#define TWIN_NAME      "twin"
#define TWIN_OWN_PORT  4444
#define TWIN_MAX_RULES 8

/* A little more than @r: a port more at the end of a range, or nothing excepted. */
static inline struct bh_rule twin_widen(struct gen *g, const struct bh_rule *r)
{
	struct bh_policy_port *ports = bh_arena_array(g->arena, r->n_ports, sizeof(*ports));
	struct bh_peer *peers = bh_arena_array(g->arena, r->n_peers, sizeof(*peers));
	struct bh_rule wide = *r;
	size_t i;

	wide.ports = ports;
	wide.peers = peers;
	for (i = 0; i < r->n_ports; i++) {
		ports[i] = r->ports[i];
		if (!ports[i].name && ports[i].last < UINT16_MAX && gen_chance(g, 40))
			ports[i].last++;
	}
	for (i = 0; i < r->n_peers; i++) {
		peers[i] = r->peers[i];
		if (gen_chance(g, 40))
			peers[i].n_except = 0;
	}
	return wide;
}

/* @room is for its ingress rules. */
static inline struct bh_policy twin_of(struct gen *g, const struct bh_policy *p, bool has_own,
				       struct bh_rule *room)
{
	static const struct bh_policy_port port = { IPPROTO_TCP, NULL, TWIN_OWN_PORT, TWIN_OWN_PORT,
						    0 };
	const struct bh_rules *rules = &p->rules[BH_INGRESS];
	struct bh_policy twin = *p;
	size_t i;

	twin.name = TWIN_NAME;
	if (!has_own)
		return twin;
	for (i = 0; i < rules->n; i++)
		room[i] = twin_widen(g, &rules->items[i]);
	room[rules->n] = (struct bh_rule){ .has_ports = true, .ports = &port, .n_ports = 1 };
	twin.rules[BH_INGRESS] = (struct bh_rules){ room, rules->n + 1 };
	return twin;
}

/* Of the first policy that isolates ingress and is valid. */
static inline bool twin_add_copy(struct gen *g, bool has_own)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(g->w, &policies), i;
	struct bh_rule room[TWIN_MAX_RULES];

	for (i = 0; i < n; i++) {
		struct bh_fact f = { .kind = BH_KIND_POLICY };

		if (policies[i]->invalid || !policies[i]->isolates[BH_INGRESS])
			continue;
		f.policy = twin_of(g, policies[i], has_own, room);
		gen_apply(g, &f);
		return true;
	}
	return false;
}

/* Pods of some label are open to everybody, or to each other. */
static inline void twin_add_group(struct gen *g, bool is_open)
{
	const char *value = GEN_PICK(g, gen_values);
	const struct bh_requirement req = { .key = GEN_PICK(g, gen_keys),
					    .values = &value,
					    .n_values = 1 };
	const struct bh_peer peer = { .kind = BH_PEER_PODS, .pods = { &req, 1 } };
	const struct bh_rule rule = { .has_peers = !is_open, .peers = &peer, .n_peers = !is_open };
	struct bh_fact f = { .kind = BH_KIND_POLICY };

	f.policy = (struct bh_policy){ .kind = BH_NETWORK_POLICY,
				       .tier = BH_TIER_NETWORK_POLICY,
				       .namespace = gen_spaces[0],
				       .name = TWIN_NAME,
				       .uid = "",
				       .pods = { &req, 1 },
				       .isolates = { [BH_INGRESS] = true },
				       .rules = { [BH_INGRESS] = { &rule, 1 } } };
	gen_apply(g, &f);
}

/* False where there is no policy that could have one. */
static inline bool twin_add(struct gen *g, enum twin what)
{
	switch (what) {
	case TWIN_SAME: return twin_add_copy(g, false);
	case TWIN_WIDER: return twin_add_copy(g, true);
	case TWIN_OPEN: twin_add_group(g, true); return true;
	case TWIN_AMONG: twin_add_group(g, false); return true;
	}
	return false;
}

#endif
