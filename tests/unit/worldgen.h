/*
 * Random small worlds and random steps of them, the same for the same seed.
 *
 * Few names, labels, addresses and ports, so that what can meet does meet: pods
 * take over each other's addresses, policies select each other's peers, ports of
 * one name have different numbers.  Everything lives on node n1, n2 or n3; n1 is
 * the world's own, and who of the others has an address is not always known.
 */
#ifndef BH_WORLDGEN_H
#define BH_WORLDGEN_H

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "bh/alloc.h"
#include "bh/world.h"

struct gen {
	struct bh_world *w;
	struct bh_arena *arena; /* of everything that is told to the world */
	enum bh_source source;
	uint64_t seed;
	uint32_t n_pods, n_policies, n_spaces; /* that there may be */
	bool has_tiers;                        /* ClusterNetworkPolicies too */
	bool has_audit;
	bool has_quarantine;
	bool has_workloads;     /* of two pods, mostly alike; else each pod stands for itself */
	bool is_plain;          /* selectors exclude values of tier only, and no namespaces */
	bool is_ipv4_only;      /* addresses of pods and nodes; not the blocks of policies */
	bool has_ports;         /* this node tells ports, the other claims pods' addresses */
	struct bh_pod pairs[3]; /* the pod of each workload that was told last */
	struct bh_world_config config;
	uint64_t now_ns;
};

#define GEN_PODS     10
#define GEN_POLICIES 7
#define GEN_ADDRS    12

static const char *const gen_spaces[] = { "red", "green", "blue" };
static const char *const gen_keys[] = { "app", "tier" };
static const char *const gen_values[] = { "a", "b", "c" };
static const char *const gen_names[] = { "web", "dns", "none" };
static const uint8_t gen_protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
static const uint16_t gen_ports[] = { 53, 80, 81, 8080, 30000 };
/* Where any port or range of them begins or ends, and next to it. */
static const uint16_t gen_edge_ports[] = { 1,    52,   53,   54,    79,    80,   81,
					   82,   83,   1053, 1080,  1081,  8079, 8080,
					   8081, 9080, 9081, 29999, 30000, 65535 };
static const char *const gen_cidrs[] = {
	"10.0.0.0/24",    "10.0.0.4/30",        "10.0.0.6/32",   "0.0.0.0/0",   "192.0.2.0/24",
	"192.0.2.128/25", "255.255.255.255/32", "fd00::/64",     "fd00::4/126", "::/0",
	"2001:db8::/32",  "10.0.0.0/8",         "172.16.0.1/32",
};

static inline uint32_t gen_next(struct gen *g, uint32_t n)
{
	g->seed = g->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(g->seed >> 33) % n;
}

static inline bool gen_chance(struct gen *g, uint32_t percent)
{
	return gen_next(g, 100) < percent;
}

/* Seeds to run, and how often each; BH_SEED names one to be run longer. */
struct gen_seeds {
	uint64_t first, last;
	int rounds;
};

static inline struct gen_seeds gen_seeds(uint64_t n, int rounds, int long_rounds)
{
	const char *only = getenv("BH_SEED");
	uint64_t seed = only ? strtoull(only, NULL, 10) : 0;

	return only ? (struct gen_seeds){ seed, seed, long_rounds }
		    : (struct gen_seeds){ 1, n, rounds };
}

#define GEN_PICK(g, array) ((array)[gen_next(g, (uint32_t)BH_ARRAY_LEN(array))])

static inline void gen_configure(struct gen *g)
{
	bh_world_configure(g->w, &g->config);
}

/* Everything but the world. */
static inline void gen_begin(struct gen *g, uint64_t seed, enum bh_source source)
{
	static const char *const exempt[] = { "blue" };

	*g = (struct gen){ .seed = seed * 2654435761u + 1,
			   .arena = bh_arena_new(),
			   .source = source,
			   .n_pods = GEN_PODS,
			   .n_policies = GEN_POLICIES,
			   .n_spaces = BH_ARRAY_LEN(gen_spaces),
			   .now_ns = 1 };
	g->has_tiers = seed % 2;
	g->has_audit = seed % 3 == 0;
	g->has_quarantine = seed % 5 == 2;
	g->config =
		(struct bh_world_config){ .node = "n1",
					  .exempt_namespaces = exempt,
					  .n_exempt_namespaces = 1,
					  .trust = { .namespaces = exempt, .n_namespaces = 1 } };
	for (enum bh_annotation a = 0; a < BH_ANNOTATION_COUNT_; a++)
		g->config.trust.of[a] = (enum bh_trust)((seed / 7 + a) % BH_TRUST_COUNT_);
}

static inline void gen_init(struct gen *g, uint64_t seed)
{
	gen_begin(g, seed, BH_SOURCE_KUBE);
	g->w = bh_world_new(&g->config);
}

static inline void gen_done(struct gen *g)
{
	bh_world_free(&g->w);
	bh_arena_free(&g->arena);
}

static inline void gen_apply(struct gen *g, struct bh_fact *fact)
{
	struct bh_err err = { 0 };

	fact->source = g->source;
	if (bh_world_apply(g->w, fact, &err) < 0) {
		fprintf(stderr, "worldgen: %s\n", bh_err_text(&err));
		abort();
	}
}

/* The @i'th address that pods may have: IPv4 and IPv6 by turns. */
static inline struct bh_addr gen_addr(uint32_t i)
{
	struct bh_addr a = { .family = BH_IPV4, .bytes = { 10, 0, 0, (uint8_t)(i / 2 + 1) } };

	if (i % 2)
		a = (struct bh_addr){ .family = BH_IPV6,
				      .bytes = { 0xfd, [15] = (uint8_t)(i / 2 + 1) } };
	return a;
}

/* Node n1 or n2; its own addresses, which no pod has. */
static inline struct bh_addr gen_node_addr(uint32_t node, enum bh_family family)
{
	struct bh_addr a = { .family = BH_IPV4, .bytes = { 172, 16, 0, (uint8_t)node } };

	if (family == BH_IPV6)
		a = (struct bh_addr){ .family = BH_IPV6,
				      .bytes = { 0xfd, 1, [15] = (uint8_t)node } };
	return a;
}

static inline struct bh_labels gen_labels(struct gen *g)
{
	struct bh_label *items = bh_arena_array(g->arena, BH_ARRAY_LEN(gen_keys), sizeof(*items));
	struct bh_labels l = { .items = items };
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(gen_keys); i++) {
		if (gen_chance(g, 75))
			items[l.n++] = (struct bh_label){ gen_keys[i], GEN_PICK(g, gen_values) };
	}
	return l;
}

static inline void gen_node(struct gen *g, uint32_t node)
{
	struct bh_addr *addrs = bh_arena_array(g->arena, 3, sizeof(*addrs));
	struct bh_fact f = { .kind = BH_KIND_NODE };

	addrs[0] = gen_node_addr(node, BH_IPV4);
	addrs[1] = gen_node_addr(node, BH_IPV6);
	addrs[2] = gen_addr(gen_next(g, GEN_ADDRS));
	f.node = (struct bh_node){ .name = node == 1 ? "n1" : "n2",
				   .labels = gen_labels(g),
				   .addrs = addrs,
				   .n_addrs = g->is_ipv4_only ? 1 : 2 };
	if (g->has_ports && node == 2 && gen_chance(g, 60))
		f.node.n_addrs = 3;
	gen_apply(g, &f);
}

static inline void gen_namespace(struct gen *g)
{
	struct bh_fact f = { .kind = BH_KIND_NAMESPACE };

	f.ns.name = GEN_PICK(g, gen_spaces);
	f.ns.labels = gen_labels(g);
	f.ns.has_default_deny = gen_chance(g, 15);
	f.ns.default_deny[gen_next(g, 2)] = f.ns.has_default_deny;
	f.ns.mode = g->has_audit && gen_chance(g, 15) ? BH_AUDIT : BH_ENFORCE;
	gen_apply(g, &f);
}

static inline struct bh_key gen_pod_key(struct gen *g, uint32_t i)
{
	return (struct bh_key){ .kind = BH_KIND_POD,
				.source = g->source,
				.namespace = gen_spaces[i % g->n_spaces],
				.name = bh_arena_printf(g->arena, "pod%u", i),
				.uid = bh_arena_printf(g->arena, "uid%u", i) };
}

/* Makes @pod one of the workload of @last, and mostly like that. */
static inline void gen_join(struct gen *g, struct bh_pod *last, struct bh_pod *pod)
{
	if (last->name && gen_chance(g, 75)) {
		pod->labels = last->labels;
		pod->ports = last->ports;
		pod->n_ports = last->n_ports;
		pod->is_host_network = last->is_host_network;
	}
	pod->workload_kind = "ReplicaSet";
	pod->workload_name = "pair";
	*last = *pod;
}

static inline void gen_pod(struct gen *g, uint32_t i)
{
	struct bh_key key = gen_pod_key(g, i);
	struct bh_fact f = { .kind = BH_KIND_POD };
	struct bh_port *ports = bh_arena_array(g->arena, 2, sizeof(*ports));
	struct bh_addr *addrs = bh_arena_array(g->arena, 2, sizeof(*addrs));
	uint32_t at = gen_next(g, GEN_ADDRS);

	f.pod = (struct bh_pod){ .namespace = key.namespace,
				 .name = key.name,
				 .uid = key.uid,
				 .node = gen_chance(g, 70)   ? "n1"
					 : gen_chance(g, 70) ? "n2"
							     : "n3",
				 .labels = gen_labels(g),
				 .ports = ports,
				 .addrs = addrs,
				 .created_ns = g->now_ns++,
				 .is_host_network = gen_chance(g, 5),
				 .is_finished = gen_chance(g, 5),
				 .has_no_labels_yet = gen_chance(g, 4) };
	/* Files tell all labels of a pod at once. */
	f.pod.has_no_labels_yet &= g->source != BH_SOURCE_MANIFEST;
	f.pod.is_quarantined = g->has_quarantine && gen_chance(g, 15);
	while (f.pod.n_ports < 2 && gen_chance(g, 60)) {
		ports[f.pod.n_ports] = (struct bh_port){ .name = gen_names[f.pod.n_ports],
							 .number = GEN_PICK(g, gen_ports),
							 .protocol = GEN_PICK(g, gen_protocols) };
		f.pod.n_ports++;
	}
	addrs[f.pod.n_addrs++] = gen_addr(g->is_ipv4_only ? at & ~1u : at);
	if (gen_chance(g, 50) && !g->is_ipv4_only)
		addrs[f.pod.n_addrs++] = gen_addr((at + 1) % GEN_ADDRS);
	if (g->has_workloads && i < 2 * BH_ARRAY_LEN(gen_spaces))
		gen_join(g, &g->pairs[i % BH_ARRAY_LEN(gen_spaces)], &f.pod);
	gen_apply(g, &f);
}

/* What the node adds to the @i'th pod, if there is one. */
static inline void gen_pod_ports(struct gen *g, uint32_t i)
{
	struct bh_key key = gen_pod_key(g, i);
	struct bh_pod_port *port = bh_arena_array(g->arena, 1, sizeof(*port));
	struct bh_addr *addrs = bh_arena_array(g->arena, 2, sizeof(*addrs));
	struct bh_fact f = { .kind = BH_KIND_POD };
	enum bh_source source = g->source;

	port->ifindex = 10 + i;
	/* Two pods may have one link-local address, or an address of somebody else. */
	addrs[0] = (struct bh_addr){ .family = BH_IPV6,
				     .bytes = { 0xfe, 0x80, [15] = (uint8_t)gen_next(g, 3) } };
	addrs[1] = gen_addr(gen_next(g, GEN_ADDRS));
	f.pod = (struct bh_pod){ .namespace = key.namespace,
				 .name = key.name,
				 .uid = key.uid,
				 .node = "",
				 .pod_ports = port,
				 .n_pod_ports = gen_next(g, 2),
				 .addrs = addrs,
				 .n_addrs = 1 + gen_next(g, 2) };
	g->source = BH_SOURCE_NODE;
	gen_apply(g, &f);
	g->source = source;
}

/* The same without a "not". */
static inline enum bh_sel_op gen_plain_op(enum bh_sel_op op)
{
	if (op == BH_SEL_NOT_IN)
		return BH_SEL_IN;
	return op == BH_SEL_DOES_NOT_EXIST ? BH_SEL_EXISTS : op;
}

static inline struct bh_selector gen_selector(struct gen *g, bool is_for_namespaces)
{
	struct bh_requirement *reqs = bh_arena_array(g->arena, 2, sizeof(*reqs));
	struct bh_selector s = { .reqs = reqs };

	while (s.n_reqs < 2 && gen_chance(g, 55)) {
		const char **values = bh_arena_array(g->arena, 2, sizeof(*values));
		struct bh_requirement *r = &reqs[s.n_reqs++];

		r->key = GEN_PICK(g, gen_keys);
		r->op = (enum bh_sel_op)(gen_chance(g, 60) ? (uint32_t)BH_SEL_IN
							   : gen_next(g, BH_SEL_OP_COUNT_));
		if (g->is_plain && (is_for_namespaces || r->key != gen_keys[1]))
			r->op = gen_plain_op(r->op);
		values[0] = GEN_PICK(g, gen_values);
		values[1] = GEN_PICK(g, gen_values);
		r->values = values;
		if (r->op == BH_SEL_IN || r->op == BH_SEL_NOT_IN)
			r->n_values = 1 + gen_next(g, 2);
		if (is_for_namespaces && r->op == BH_SEL_IN && gen_chance(g, 40)) {
			r->key = "kubernetes.io/metadata.name";
			values[0] = GEN_PICK(g, gen_spaces);
			values[1] = GEN_PICK(g, gen_spaces);
		}
	}
	return s;
}

static inline void gen_cidr(struct gen *g, struct bh_peer *peer)
{
	struct bh_cidr *except = bh_arena_array(g->arena, BH_ARRAY_LEN(gen_cidrs), sizeof(*except));
	size_t i;

	bh_cidr_parse(GEN_PICK(g, gen_cidrs), &peer->cidr, NULL);
	peer->except = except;
	for (i = 0; i < BH_ARRAY_LEN(gen_cidrs); i++) {
		struct bh_cidr c;

		bh_cidr_parse(gen_cidrs[i], &c, NULL);
		if (bh_cidr_covers(&peer->cidr, &c) && gen_chance(g, 25))
			except[peer->n_except++] = c;
	}
}

static inline struct bh_peer gen_peer(struct gen *g, bool is_cluster, enum bh_dir dir)
{
	struct bh_peer peer = { .kind = BH_PEER_PODS };
	uint32_t what = gen_next(g, 100);

	if (what < 30) {
		peer.kind = BH_PEER_CIDR;
		gen_cidr(g, &peer);
	} else if (what < 40 && is_cluster && dir == BH_EGRESS) {
		peer.kind = BH_PEER_NODES;
		peer.pods = gen_selector(g, false);
	} else if (what < 44) {
		peer.kind = BH_PEER_NOTHING;
	} else {
		peer.has_namespaces = is_cluster || gen_chance(g, 50);
		if (peer.has_namespaces)
			peer.namespaces = gen_selector(g, true);
		peer.pods = gen_selector(g, false);
	}
	return peer;
}

static inline struct bh_policy_port gen_port(struct gen *g)
{
	struct bh_policy_port p = { .protocol = GEN_PICK(g, gen_protocols) };
	uint32_t what = gen_next(g, 100);

	p.first = GEN_PICK(g, gen_ports);
	p.last = p.first;
	if (what < 20) {
		p.name = GEN_PICK(g, gen_names);
		p.first = p.last = 0;
		p.protocol = gen_chance(g, 20) ? 0 : p.protocol;
	} else if (what < 35) {
		p.last = (uint16_t)(p.first + gen_next(g, 30));
	} else if (what < 45) {
		p.last = (uint16_t)(p.first + 1000);
	} else if (what < 55) {
		p.first = 0;
		p.last = UINT16_MAX;
		p.protocol = gen_chance(g, 20) ? 0 : p.protocol;
	} else if (what < 58) {
		p.protocol = 0;
	}
	return p;
}

static inline struct bh_rule gen_rule(struct gen *g, enum bh_tier tier, enum bh_dir dir)
{
	struct bh_peer *peers = bh_arena_array(g->arena, 3, sizeof(*peers));
	struct bh_policy_port *ports = bh_arena_array(g->arena, 3, sizeof(*ports));
	struct bh_rule r = { .peers = peers, .ports = ports };

	if (tier != BH_TIER_NETWORK_POLICY)
		r.action = (enum bh_action)gen_next(g, (uint32_t)BH_ACTION_COUNT_);
	r.has_peers = gen_chance(g, 85);
	while (r.has_peers && r.n_peers < 3 && (r.n_peers == 0 || gen_chance(g, 40)))
		peers[r.n_peers++] = gen_peer(g, tier != BH_TIER_NETWORK_POLICY, dir);
	r.has_ports = gen_chance(g, 70);
	while (r.has_ports && r.n_ports < 3 && (r.n_ports == 0 || gen_chance(g, 50)))
		ports[r.n_ports++] = gen_port(g);
	return r;
}

static inline struct bh_rules gen_rules(struct gen *g, enum bh_tier tier, enum bh_dir dir)
{
	struct bh_rule *items = bh_arena_array(g->arena, 3, sizeof(*items));
	struct bh_rules rules = { .items = items };

	while (rules.n < 3 && gen_chance(g, 65))
		items[rules.n++] = gen_rule(g, tier, dir);
	return rules;
}

static inline struct bh_key gen_policy_key(struct gen *g, uint32_t i)
{
	struct bh_key key = { .kind = BH_KIND_POLICY,
			      .source = g->source,
			      .policy_kind = BH_NETWORK_POLICY,
			      .namespace = gen_spaces[i % g->n_spaces],
			      .name = bh_arena_printf(g->arena, "pol%u", i) };

	if (g->has_tiers && i % 2) {
		key.policy_kind = BH_CLUSTER_NETWORK_POLICY;
		key.namespace = "";
	}
	return key;
}

static inline void gen_policy(struct gen *g, uint32_t i)
{
	struct bh_key key = gen_policy_key(g, i);
	struct bh_fact f = { .kind = BH_KIND_POLICY };
	struct bh_policy *p = &f.policy;
	enum bh_dir dir;

	p->kind = key.policy_kind;
	p->namespace = key.namespace;
	p->name = key.name;
	p->uid = "";
	p->tier = BH_TIER_NETWORK_POLICY;
	p->pods = gen_selector(g, false);
	if (p->kind == BH_CLUSTER_NETWORK_POLICY) {
		p->tier = gen_chance(g, 60) ? BH_TIER_ADMIN : BH_TIER_BASELINE;
		p->priority = (int)gen_next(g, 3);
		p->has_namespaces = true;
		p->namespaces = gen_selector(g, true);
	} else {
		p->isolates[BH_INGRESS] = gen_chance(g, 75);
		p->isolates[BH_EGRESS] = !p->isolates[BH_INGRESS] || gen_chance(g, 40);
		p->has_policy_types = p->isolates[BH_EGRESS];
	}
	for (dir = 0; dir < BH_DIR_COUNT_; dir++)
		p->rules[dir] = gen_rules(g, p->tier, dir);
	p->mode = g->has_audit && gen_chance(g, 30) ? BH_AUDIT : BH_ENFORCE;
	p->invalid = gen_chance(g, 5) ? "made invalid" : NULL;
	gen_apply(g, &f);
}

/* What an operator does: sets one for a pod or for labels, or releases it. */
static inline void gen_quarantine(struct gen *g)
{
	struct bh_key key = { .kind = BH_KIND_POLICY,
			      .source = BH_SOURCE_NODE,
			      .policy_kind = BH_QUARANTINE,
			      .namespace = GEN_PICK(g, gen_spaces),
			      .name = bh_arena_printf(g->arena, "cut%u", gen_next(g, 2)) };
	struct bh_peer *peer = bh_arena_array(g->arena, 1, sizeof(*peer));
	struct bh_rule *rules = bh_arena_array(g->arena, 2, sizeof(*rules));
	struct bh_fact f = { .kind = BH_KIND_POLICY, .source = BH_SOURCE_NODE };
	bool has_peer = gen_chance(g, 50);

	if (gen_chance(g, 30)) {
		bh_world_remove(g->w, &key);
		return;
	}
	gen_cidr(g, peer);
	peer->kind = BH_PEER_CIDR;
	rules[0] = (struct bh_rule){
		.action = BH_ALLOW, .has_peers = true, .peers = peer, .n_peers = 1
	};
	rules[1] = (struct bh_rule){ .action = BH_DENY };
	f.policy = (struct bh_policy){ .kind = BH_QUARANTINE,
				       .tier = BH_TIER_QUARANTINE,
				       .priority = has_peer,
				       .namespace = key.namespace,
				       .name = key.name,
				       .uid = "" };
	if (gen_chance(g, 50))
		f.policy.pod = gen_pod_key(g, gen_next(g, g->n_pods)).name;
	else
		f.policy.pods = gen_selector(g, false);
	for (enum bh_dir dir = 0; dir < BH_DIR_COUNT_; dir++)
		f.policy.rules[dir] = (struct bh_rules){ rules + !has_peer, 1 + has_peer };
	if (bh_world_apply(g->w, &f, NULL) < 0)
		abort();
}

static inline void gen_mode(struct gen *g)
{
	if (gen_chance(g, 50))
		g->config.mode = g->has_audit && gen_chance(g, 30) ? BH_AUDIT : BH_ENFORCE;
	else
		g->config.default_deny[gen_next(g, 2)] = gen_chance(g, 30);
	gen_configure(g);
}

/* One random thing happens to the world. */
static inline void gen_step(struct gen *g)
{
	uint32_t what = gen_next(g, 100);
	struct bh_key key;

	if (g->has_quarantine && g->source == BH_SOURCE_KUBE && gen_chance(g, 10)) {
		gen_quarantine(g);
	} else if (g->has_ports && gen_chance(g, 20)) {
		gen_pod_ports(g, gen_next(g, g->n_pods));
	} else if (what < 40) {
		gen_pod(g, gen_next(g, g->n_pods));
	} else if (what < 50) {
		key = gen_pod_key(g, gen_next(g, g->n_pods));
		bh_world_remove(g->w, &key);
	} else if (what < 75) {
		gen_policy(g, gen_next(g, g->n_policies));
	} else if (what < 82) {
		key = gen_policy_key(g, gen_next(g, g->n_policies));
		bh_world_remove(g->w, &key);
	} else if (what < 91) {
		gen_namespace(g);
	} else if (what < 95) {
		gen_node(g, 1 + gen_next(g, 2));
	} else if (what < 97) {
		key = (struct bh_key){ .kind = BH_KIND_NAMESPACE,
				       .source = g->source,
				       .namespace = "",
				       .name = GEN_PICK(g, gen_spaces) };
		bh_world_remove(g->w, &key);
	} else {
		gen_mode(g);
	}
}

/* A world with something in it. */
static inline void gen_fill(struct gen *g)
{
	uint32_t i;

	gen_node(g, 1);
	gen_node(g, 2);
	for (i = 0; i < BH_ARRAY_LEN(gen_spaces); i++)
		gen_namespace(g);
	for (i = 0; i < g->n_pods; i++)
		gen_pod(g, i);
	for (i = 0; i < g->n_policies; i++)
		gen_policy(g, i);
}

#endif
