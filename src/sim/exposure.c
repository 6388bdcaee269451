/*
 * Who is open to what.
 *
 * Every answer is the engine's, about flows with representatives: pods of the
 * future (future.h), and public addresses that no policy names.  Ports are asked
 * where some rule, or a container port that a rule may name, makes a difference.
 * Where the name is looked up in a pod to come, its numbers are those of pods of
 * the input.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/sim.h"
#include "exposure_impl.h"
#include "future.h"
#include "named.h"

struct bh_exposures {
	struct bh_arena *arena;
	struct bh_conn_table *table;
	struct bh_exposure *items;
	size_t n;
};

/* One workload in one direction, while it is looked at. */
struct view {
	struct bh_exposures *out;
	const struct future *f;
	const struct bh_world *now; /* the input */
	const struct bh_pod *pod;   /* of the future's world */
	enum bh_dir dir;
	const struct bh_policy *const *policies;
	size_t n_policies;
	uint16_t *cuts; /* ports from which on a rule may say something else; sorted */
	size_t n_cuts, cap_cuts;
	struct bh_exposure_peer *peers;
	size_t n_peers, cap_peers;
};

/* --- ports ------------------------------------------------------------------------------ */

static void cut(struct view *v, unsigned int port)
{
	if (port == 0 || port > UINT16_MAX)
		return;
	bh_grow(&v->cuts, &v->cap_cuts, v->n_cuts, sizeof(*v->cuts));
	v->cuts[v->n_cuts++] = (uint16_t)port;
}

static void cut_pod(struct view *v, const struct bh_pod *pod)
{
	size_t i;

	for (i = 0; pod && i < pod->n_ports; i++) {
		cut(v, pod->ports[i].number);
		cut(v, pod->ports[i].number + 1u);
	}
}

static int cmp_ports(const void *a, const void *b)
{
	const uint16_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void sort_cuts(struct view *v)
{
	size_t i, n = 0;

	if (v->n_cuts)
		bh_sort(v->cuts, v->n_cuts, sizeof(*v->cuts), cmp_ports);
	for (i = 0; i < v->n_cuts; i++)
		if (n == 0 || v->cuts[n - 1] != v->cuts[i])
			v->cuts[n++] = v->cuts[i];
	v->n_cuts = n;
}

/* Of what the pod's policies say; a name is looked up in the destination. */
static void find_cuts(struct view *v, const struct bh_pod *other)
{
	size_t i, k, m;

	v->n_cuts = 0;
	for (i = 0; i < v->n_policies; i++) {
		const struct bh_rules *rules = &v->policies[i]->rules[v->dir];

		for (k = 0; k < rules->n; k++) {
			for (m = 0; m < rules->items[k].n_ports; m++) {
				const struct bh_policy_port *p = &rules->items[k].ports[m];

				if (p->name)
					continue;
				cut(v, p->first);
				cut(v, p->last + 1u);
			}
		}
	}
	cut_pod(v, v->dir == BH_INGRESS ? v->pod : other);
	sort_cuts(v);
}

/* --- questions to the engine ------------------------------------------------------------ */

static bool is_allowed(const struct view *v, struct bh_flow *flow, uint8_t protocol, uint16_t port)
{
	struct bh_dir_verdict ret;

	flow->protocol = protocol;
	flow->dst_port = port;
	bh_eval_dir(v->f->w, flow, v->dir, &ret);
	return ret.verdict == BH_VERDICT_ALLOWED;
}

/* An address of the pod of that family, or none. */
static struct bh_addr own_addr(const struct view *v, enum bh_family family)
{
	size_t i;

	for (i = 0; i < v->pod->n_addrs; i++)
		if (v->pod->addrs[i].family == family)
			return v->pod->addrs[i];
	return (struct bh_addr){ .family = (uint8_t)family };
}

static const struct bh_conns *ask_protocol(const struct view *v, struct bh_flow *flow,
					   uint8_t protocol, const struct bh_conns *among)
{
	struct bh_conn_table *t = v->out->table;
	const struct bh_conns *all = bh_conns_none(t);
	unsigned int first = 0, last;
	size_t i;

	for (i = 0; i <= v->n_cuts; i++, first = last + 1) {
		last = i < v->n_cuts ? v->cuts[i] - 1u : UINT16_MAX;
		if (!bh_conns_has(among, protocol, (uint16_t)last))
			continue;
		/* Of a range from 0 on, port 1 is as good: no rule is about 0 alone. */
		if (is_allowed(v, flow, protocol, (uint16_t)(first ? first : last ? 1 : 0)))
			all = bh_conns_or(
				t, all,
				bh_conns_range(t, protocol, (uint16_t)first, (uint16_t)last));
	}
	return all;
}

/* What of @among the pod may open to that end, or that end to it; @pod may be NULL. */
static const struct bh_conns *ask_among(struct view *v, const struct bh_pod *pod,
					const struct bh_addr *addr, const struct bh_conns *among)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct bh_addr own = own_addr(v, (enum bh_family)addr->family);
	struct bh_flow flow = { .src = *addr, .dst = own, .src_pod = pod, .dst_pod = v->pod };
	struct bh_conn_table *t = v->out->table;
	const struct bh_conns *all = bh_conns_none(t);
	size_t i;

	if (v->dir == BH_EGRESS)
		flow = (struct bh_flow){
			.src = own, .dst = *addr, .src_pod = v->pod, .dst_pod = pod
		};
	find_cuts(v, pod ? pod : bh_world_pod_by_addr(v->f->w, addr));
	for (i = 0; i < BH_ARRAY_LEN(protocols); i++)
		all = bh_conns_or(t, all, ask_protocol(v, &flow, protocols[i], among));
	if (among->n[BH_CONNS_OTHER] &&
	    is_allowed(v, &flow, addr->family == BH_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 0))
		all = bh_conns_or(t, all, bh_conns_range(t, IPPROTO_ICMP, 0, UINT16_MAX));
	return all;
}

static const struct bh_conns *ask(struct view *v, const struct bh_pod *pod,
				  const struct bh_addr *addr)
{
	return ask_among(v, pod, addr, bh_conns_all(v->out->table));
}

/* The same pod with the named ports of another; of a pod to come nobody knows any. */
static const struct bh_conns *ask_pod(struct view *v, const struct bh_pod *pod,
				      const struct bh_pod *named, const struct bh_conns *among)
{
	const struct bh_addr none = { .family = BH_IPV4 };
	struct bh_pod other = *pod;

	other.ports = named ? named->ports : NULL;
	other.n_ports = named ? named->n_ports : 0;
	return ask_among(v, &other, &none, among);
}

static bool uses_names(const struct view *v)
{
	size_t i, k;

	for (i = 0; i < v->n_policies && v->dir == BH_EGRESS; i++)
		for (k = 0; k < v->policies[i]->rules[BH_EGRESS].n; k++)
			if (named_is_used(&v->policies[i]->rules[BH_EGRESS].items[k]))
				return true;
	return false;
}

/* Whom @peer selects: @pod, with no ports or with those that there are now. */
static const struct bh_conns *ask_selected(struct view *v, const struct bh_policy *p,
					   const struct bh_peer *peer, const struct bh_pod *pod)
{
	const struct bh_conns *every = bh_conns_all(v->out->table);
	const struct bh_conns *all = ask_pod(v, pod, NULL, every);
	bh_auto_free const struct bh_pod **named = NULL;
	size_t n = uses_names(v) ? named_pods(v->now, p, peer, &named) : 0, i;

	for (i = 0; i < n; i++)
		all = bh_conns_or(v->out->table, all, ask_pod(v, pod, named[i], every));
	return all;
}

/* --- the internet -------------------------------------------------------------------------- */

/* Blocks at least as wide are not about somebody, but about the internet. */
static bool is_narrow(const struct bh_cidr *c)
{
	return c->prefix_len >= (c->addr.family == BH_IPV4 ? 8 : 16);
}

static bool is_in_narrow_block(const struct view *v, const struct bh_addr *a)
{
	size_t i, k, m, e;

	for (i = 0; i < v->n_policies; i++) {
		const struct bh_rules *rules = &v->policies[i]->rules[v->dir];

		for (k = 0; k < rules->n; k++) {
			for (m = 0; m < rules->items[k].n_peers; m++) {
				const struct bh_peer *p = &rules->items[k].peers[m];

				if (p->kind != BH_PEER_CIDR)
					continue;
				if (is_narrow(&p->cidr) && bh_cidr_contains(&p->cidr, a))
					return true;
				for (e = 0; e < p->n_except; e++)
					if (is_narrow(&p->except[e]) &&
					    bh_cidr_contains(&p->except[e], a))
						return true;
			}
		}
	}
	return false;
}

/* One public block in each quarter of IPv4, and some of IPv6, where to look for an address. */
static const struct bh_addr publics[] = {
	{ .family = BH_IPV4, .bytes = { 8, 1, 0, 9 } },
	{ .family = BH_IPV4, .bytes = { 93, 1, 0, 9 } },
	{ .family = BH_IPV4, .bytes = { 151, 1, 0, 9 } },
	{ .family = BH_IPV4, .bytes = { 209, 1, 0, 9 } },
	{ .family = BH_IPV6, .bytes = { 0x24, 0x08, 1, [15] = 9 } },
	{ .family = BH_IPV6, .bytes = { 0x2a, 0x0f, 1, [15] = 9 } },
};

static const struct bh_conns *ask_internet(struct view *v)
{
	struct bh_conn_table *t = v->out->table;
	const struct bh_conns *all = bh_conns_none(t);
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(publics); i++) {
		struct bh_addr a = publics[i];
		bool is_second_byte = a.family == BH_IPV4;
		int tries;

		for (tries = 0; tries < 250 && is_in_narrow_block(v, &a); tries++)
			a.bytes[is_second_byte ? 1 : 2]++;
		if (!is_in_narrow_block(v, &a))
			all = bh_conns_or(t, all, ask(v, NULL, &a));
	}
	return all;
}

/* --- pods ------------------------------------------------------------------------------------ */

/* What every pod of the future may do; the first that may do nothing settles it. */
static const struct bh_conns *ask_cluster(struct view *v)
{
	static const struct bh_selector everybody;
	const struct bh_pod *nobody = future_pod(v->f, "", &everybody, &everybody);
	const struct bh_conns *all = bh_conns_all(v->out->table);
	size_t i;

	if (!nobody)
		return bh_conns_none(v->out->table);
	all = ask_pod(v, nobody, NULL, all);
	for (i = 0; i < v->f->n_pods && !bh_conns_is_empty(all); i++)
		all = ask_pod(v, v->f->pods[i], NULL, all);
	return all;
}

/* What the cluster or the internet may do anyway needs no line of its own. */
static void add_peer(struct view *v, const char *label, const struct bh_conns *conns,
		     const struct bh_conns *anyway)
{
	size_t i;

	if (bh_conns_is_empty(bh_conns_minus(v->out->table, conns, anyway)))
		return;
	for (i = 0; i < v->n_peers; i++)
		if (strcmp(v->peers[i].label, label) == 0)
			return;
	bh_grow(&v->peers, &v->cap_peers, v->n_peers, sizeof(*v->peers));
	v->peers[v->n_peers++] = (struct bh_exposure_peer){ label, conns };
}

#define MAX_TRIES 4096

static bool is_nobody(const struct view *v, const struct bh_addr *a)
{
	return !bh_world_pod_by_addr(v->f->w, a) && !bh_world_node_by_addr(v->f->w, a);
}

/* An address of the block, and not a pod's or node's of the input if there is another. */
static bool find_addr(const struct view *v, const struct bh_peer *peer, struct bh_addr *ret)
{
	struct bh_addr first, at;
	int i;

	if (!bh_peer_first_addr(peer, &first))
		return false;
	at = first;
	for (i = 0; i < MAX_TRIES && bh_cidr_contains(&peer->cidr, &at); i++) {
		if (bh_peer_has_addr(peer, &at) && is_nobody(v, &at)) {
			*ret = at;
			return true;
		}
		if (!bh_addr_next(&at))
			break;
	}
	*ret = first;
	return true;
}

static void ask_peer(struct view *v, const struct bh_policy *p, const struct bh_peer *peer,
		     const struct bh_exposure *e)
{
	const struct bh_pod *pod;
	struct bh_addr a;

	if (peer->kind == BH_PEER_PODS) {
		pod = future_pod(v->f, p->namespace,
				 peer->has_namespaces ? &peer->namespaces : NULL, &peer->pods);
		if (pod)
			add_peer(v, exposure_pods_label(v->out->arena, p, peer),
				 ask_selected(v, p, peer, pod), e->cluster);
	} else if (peer->kind == BH_PEER_CIDR && is_narrow(&peer->cidr) && find_addr(v, peer, &a)) {
		add_peer(v, exposure_block_label(v->out->arena, peer), ask(v, NULL, &a),
			 e->internet);
	}
}

static int cmp_peers(const void *a, const void *b)
{
	const struct bh_exposure_peer *x = a, *y = b;

	return strcmp(x->label, y->label);
}

/* Who is for everybody has the whole cluster for a peer where a name tells pods apart. */
static void ask_rule(struct view *v, const struct bh_policy *p, const struct bh_rule *r,
		     const struct bh_exposure *e)
{
	static const struct bh_peer everybody = { .kind = BH_PEER_PODS, .has_namespaces = true };
	size_t i;

	for (i = 0; i < r->n_peers; i++)
		ask_peer(v, p, &r->peers[i], e);
	if (v->dir == BH_EGRESS && !r->has_peers && named_is_used(r))
		ask_peer(v, p, &everybody, e);
}

static void ask_peers(struct view *v, struct bh_exposure *e)
{
	size_t i, k;

	v->n_peers = 0;
	for (i = 0; i < v->n_policies; i++) {
		const struct bh_policy *p = v->policies[i];
		const struct bh_rules *rules = &p->rules[v->dir];

		if (!bh_world_selects(v->f->w, p, v->pod))
			continue;
		for (k = 0; k < rules->n; k++)
			ask_rule(v, p, &rules->items[k], e);
	}
	if (v->n_peers)
		bh_sort(v->peers, v->n_peers, sizeof(*v->peers), cmp_peers);
	e->n_peers = v->n_peers;
	if (v->n_peers)
		e->peers = bh_arena_memdup(v->out->arena, v->peers, v->n_peers * sizeof(*v->peers));
}

/* --- all of them ----------------------------------------------------------------- */

static bool is_protected(const struct view *v)
{
	size_t i;

	if (bh_pod_is_closed(v->pod))
		return bh_world_mode(v->f->w) == BH_ENFORCE;
	for (i = 0; i < v->n_policies; i++) {
		const struct bh_policy *p = v->policies[i];

		if (bh_policy_speaks(p, v->dir) && bh_world_policy_mode(v->f->w, p) == BH_ENFORCE &&
		    bh_world_selects(v->f->w, p, v->pod))
			return true;
	}
	return false;
}

static void look(struct view *v, struct bh_exposure *e)
{
	const struct bh_pod *pod = e->workload->pods[0];

	v->dir = e->dir;
	v->pod = bh_world_pod_by_name(v->f->w, pod->namespace, pod->name);
	v->n_policies = bh_world_policies_of(v->f->w, pod->namespace, &v->policies);
	e->is_host_network = pod->is_host_network;
	e->is_protected = is_protected(v);
	e->internet = bh_conns_all(v->out->table);
	e->cluster = e->internet;
	if (!e->is_protected)
		return;
	e->internet = ask_internet(v);
	e->cluster = ask_cluster(v);
	ask_peers(v, e);
}

struct bh_exposures *bh_exposures_new(const struct bh_sim *sim)
{
	struct future *f = future_new(bh_sim_world(sim), &future_many);
	struct bh_exposures *e = bh_calloc(1, sizeof(*e));
	struct view v = { .out = e, .f = f, .now = bh_sim_world(sim) };
	const struct bh_sim_workload *workloads;
	size_t n = bh_sim_workloads(sim, &workloads), i;
	enum bh_dir d;

	e->arena = bh_arena_new();
	e->table = bh_conn_table_new();
	e->items = bh_calloc(n * BH_DIR_COUNT_, sizeof(*e->items));
	for (i = 0; i < n; i++) {
		for (d = 0; d < BH_DIR_COUNT_; d++) {
			e->items[e->n] =
				(struct bh_exposure){ .workload = &workloads[i], .dir = d };
			look(&v, &e->items[e->n++]);
		}
	}
	free(v.cuts);
	free(v.peers);
	future_free(&f);
	return e;
}

void bh_exposures_free(struct bh_exposures **e)
{
	if (!*e)
		return;
	bh_conn_table_free(&(*e)->table);
	bh_arena_free(&(*e)->arena);
	free((*e)->items);
	free(*e);
	*e = NULL;
}

size_t bh_exposures_items(const struct bh_exposures *e, const struct bh_exposure **ret)
{
	*ret = e->items;
	return e->n;
}
