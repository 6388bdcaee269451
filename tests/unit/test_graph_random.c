/*
 * Random worlds: the graph says of every pair what the evaluator says of every
 * flow, and the edges are the pairs that allow something.
 */
#include "test.h"

#include <stdio.h>

#include "bh/sim.h"
#include "worldgen.h"

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP };

static uint64_t seed_now;

struct end {
	struct bh_addr addr;
	const struct bh_pod *pod;
};

/* What of the edge one family is allowed. */
static bool edge_allows(const struct bh_graph_edge *e, enum bh_family f, uint8_t protocol,
			uint16_t port)
{
	return bh_conns_has(e->allowed, protocol, port) &&
	       !bh_conns_has(e->only[!f], protocol, port);
}

static void say(const struct bh_graph *g, const struct bh_graph_edge *e, uint8_t protocol,
		uint16_t port, enum bh_family f)
{
	const struct bh_graph_peer *peers;

	bh_graph_peers(g, &peers);
	print_message("seed %llu: %s => %s, protocol %u port %u %s\n", (unsigned long long)seed_now,
		      peers[e->src].label, peers[e->dst].label, protocol, port, bh_family_str(f));
}

/* The verdicts of all families of one pair, port by port. */
struct sums {
	bool egress, ingress, audited;
};

static void compare_flow(struct gen *gen, const struct bh_graph *g, const struct bh_graph_edge *e,
			 const struct end *src, const struct end *dst, uint8_t protocol,
			 uint16_t port, struct sums *sums)
{
	struct bh_flow flow = { .src = src->addr,
				.dst = dst->addr,
				.src_pod = src->pod,
				.dst_pod = dst->pod,
				.protocol = protocol,
				.dst_port = protocol == IPPROTO_ICMP ? 0 : port };
	enum bh_family f = src->addr.family;
	struct bh_result r;
	bool is_allowed;

	bh_eval(gen->w, &flow, &r);
	is_allowed = r.verdict == BH_VERDICT_ALLOWED;
	if (edge_allows(e, f, protocol, flow.dst_port) != is_allowed) {
		say(g, e, protocol, port, f);
		fail_msg("the evaluator says %s", bh_verdict_str(r.verdict));
	}
	sums->egress |= r.dir[BH_EGRESS].verdict == BH_VERDICT_ALLOWED;
	sums->ingress |= r.dir[BH_INGRESS].verdict == BH_VERDICT_ALLOWED;
	sums->audited |= is_allowed && r.audit_verdict == BH_VERDICT_DENIED;
}

static void compare_sums(const struct bh_graph *g, const struct bh_graph_edge *e, uint8_t protocol,
			 uint16_t port, const struct sums *sums)
{
	if (protocol == IPPROTO_ICMP)
		port = 0;
	if (bh_conns_has(e->egress, protocol, port) == sums->egress &&
	    bh_conns_has(e->ingress, protocol, port) == sums->ingress &&
	    bh_conns_has(e->audited, protocol, port) == sums->audited)
		return;
	say(g, e, protocol, port, BH_IPV4);
	fail_msg("directions or audit differ: egress %d, ingress %d, audited %d", sums->egress,
		 sums->ingress, sums->audited);
}

#define MAX_ENDS 8

struct ends {
	struct end items[MAX_ENDS];
	size_t n;
};

static void add_end(struct ends *e, const struct bh_addr *a, const struct bh_pod *pod)
{
	assert_true(e->n < MAX_ENDS);
	e->items[e->n++] = (struct end){ *a, pod };
}

static bool is_nobody(struct gen *gen, const struct bh_addr *a)
{
	return !bh_world_pod_by_addr(gen->w, a) && !bh_world_node_by_addr(gen->w, a);
}

/* Addresses as which the peer appears. */
static void ends_of(struct gen *gen, const struct bh_graph_peer *p, struct ends *ret)
{
	static const struct bh_addr nothing;
	const struct bh_pod *pod = p->n_pods ? p->pods[0] : NULL;
	const struct bh_node *node = pod ? bh_world_node(gen->w, pod->node) : NULL;
	struct bh_addr a = p->range.first;
	size_t i;

	*ret = (struct ends){ 0 };
	switch (p->kind) {
	case BH_GRAPH_WORKLOAD:
		assert_int_equal(p->n_pods, 1);
		for (i = 0; !pod->is_host_network && i < pod->n_addrs; i++)
			add_end(ret, &pod->addrs[i], pod);
		for (i = 0; pod->is_host_network && node && i < node->n_addrs; i++)
			add_end(ret, &node->addrs[i], pod);
		if (ret->n == 0)
			add_end(ret, &nothing, pod);
		return;
	case BH_GRAPH_NODE:
		for (i = 0; i < p->nodes[0]->n_addrs; i++)
			add_end(ret, &p->nodes[0]->addrs[i], NULL);
		return;
	case BH_GRAPH_EXTERNAL:
		for (i = 0; i < 200 && !is_nobody(gen, &a) && bh_addr_cmp(&a, &p->range.last) < 0;
		     i++)
			bh_addr_next(&a);
		assert_true(is_nobody(gen, &a));
		add_end(ret, &a, NULL);
		if (is_nobody(gen, &p->range.last))
			add_end(ret, &p->range.last, NULL);
		return;
	}
}

static bool is_bare(const struct end *e)
{
	static const struct bh_addr nothing;

	return memcmp(e->addr.bytes, nothing.bytes, sizeof(nothing.bytes)) == 0;
}

static bool can_meet(const struct end *a, const struct end *b)
{
	return a->addr.family == b->addr.family || (a->pod && is_bare(a)) || (b->pod && is_bare(b));
}

/* Returns whether there was anything to compare. */
static bool compare_port(struct gen *gen, const struct bh_graph *g, const struct bh_graph_edge *e,
			 const struct ends *src, const struct ends *dst, uint8_t protocol,
			 uint16_t port)
{
	struct sums sums = { 0 };
	size_t i, k, n = 0;

	for (i = 0; i < src->n; i++)
		for (k = 0; k < dst->n; k++) {
			struct end s = src->items[i], d = dst->items[k];

			if (!can_meet(&s, &d))
				continue;
			if (s.pod && is_bare(&s))
				s.addr.family = d.addr.family;
			compare_flow(gen, g, e, &s, &d, protocol, port, &sums);
			n++;
		}
	if (n > 0)
		compare_sums(g, e, protocol, port, &sums);
	return n > 0;
}

static bool compare_pair(struct gen *gen, struct bh_graph *g, const struct bh_graph_edge *e,
			 const struct bh_graph_peer *src, const struct bh_graph_peer *dst)
{
	struct ends from, to;
	bool has_any = false;
	size_t p, i;

	ends_of(gen, src, &from);
	ends_of(gen, dst, &to);
	for (p = 0; p < BH_ARRAY_LEN(protocols); p++)
		for (i = 0; i < BH_ARRAY_LEN(gen_edge_ports); i++)
			has_any |= compare_port(gen, g, e, &from, &to, protocols[p],
						gen_edge_ports[i]);
	return has_any;
}

static bool is_subject(const struct bh_graph_peer *p)
{
	return p->kind == BH_GRAPH_WORKLOAD && !p->pods[0]->is_host_network;
}

static const struct bh_graph_edge *find_edge(const struct bh_graph *g, uint32_t src, uint32_t dst)
{
	const struct bh_graph_edge *edges;
	size_t n = bh_graph_edges(g, &edges), i;

	for (i = 0; i < n; i++)
		if (edges[i].src == src && edges[i].dst == dst)
			return &edges[i];
	return NULL;
}

/* Several nodes in one peer: the first of them is asked. */
static bool is_mixed(const struct bh_graph_edge *e)
{
	return e->own_node == BH_GRAPH_SOME_OWN;
}

static void assert_listed(const struct bh_graph *g, const struct bh_graph_edge *pair)
{
	const struct bh_graph_edge *e = find_edge(g, pair->src, pair->dst);
	bool is_empty = bh_conns_is_empty(pair->allowed) && pair->own_node == BH_GRAPH_OTHER_NODES;

	if (pair->src == pair->dst) {
		assert_null(e);
		return;
	}
	if (is_empty != !e) {
		say(g, pair, 0, 0, BH_IPV4);
		fail_msg("%s", e ? "listed, and allows nothing" : "allows something, not listed");
	}
	if (!e)
		return;
	assert_ptr_equal(e->allowed, pair->allowed);
	assert_ptr_equal(e->egress, pair->egress);
	assert_ptr_equal(e->ingress, pair->ingress);
	assert_ptr_equal(e->audited, pair->audited);
	assert_ptr_equal(e->only[0], pair->only[0]);
	assert_ptr_equal(e->only[1], pair->only[1]);
	assert_int_equal(e->own_node, pair->own_node);
}

/* The reasons part what there is, and allow what the edge says. */
static void assert_reasons(struct bh_graph *g, const struct bh_graph_edge *e)
{
	struct bh_conn_table *t = bh_graph_table(g);
	enum bh_dir dir;

	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		const struct bh_conns *allowed = bh_conns_none(t), *all = allowed;
		struct bh_graph_reason *why;
		size_t n = bh_graph_why(g, e, dir, &why), i;

		for (i = 0; i < n; i++) {
			if (why[i].is_allowed)
				allowed = bh_conns_or(t, allowed, why[i].conns);
			all = bh_conns_or(t, all, why[i].conns);
		}
		free(why);
		assert_ptr_equal(all, bh_conns_all(t));
		assert_ptr_equal(allowed, dir == BH_INGRESS ? e->ingress : e->egress);
	}
}

static void compare_world(struct gen *gen)
{
	bh_auto(bh_graph_free) struct bh_graph *g = bh_graph_of_world(gen->w);
	const struct bh_graph_peer *peers;
	uint32_t i, k, n;

	n = (uint32_t)bh_graph_peers(g, &peers);
	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++) {
			struct bh_graph_edge e;

			if (!peers[i].is_src || !peers[k].is_dst ||
			    (!is_subject(&peers[i]) && !is_subject(&peers[k])))
				continue;
			bh_graph_pair(g, i, k, &e);
			if (is_mixed(&e) || compare_pair(gen, g, &e, &peers[i], &peers[k]))
				assert_listed(g, &e);
			assert_reasons(g, &e);
		}
}

static void the_graph_is_what_the_evaluator_says(void **state)
{
	uint64_t seed;
	int step, k;

	(void)state;
	for (seed = 1; seed <= 60; seed++) {
		struct gen gen;

		seed_now = seed;
		gen_init(&gen, seed);
		gen_fill(&gen);
		for (step = 0; step < 4; step++) {
			compare_world(&gen);
			for (k = 0; k < 6; k++)
				gen_step(&gen);
		}
		gen_done(&gen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_graph_is_what_the_evaluator_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
