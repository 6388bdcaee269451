/*
 * The port guard's ports, and the elements that say what may pass.
 *
 * An update compares what each link should have with what it has; a link that
 * differs loses all its elements and gets them anew, which the plan nets.
 */
#include "guard_impl.h"

#include <assert.h>
#include <linux/if_ether.h>
#include <string.h>

bool bh_guard_is_reason(const char *chain)
{
	static const char *const reasons[] = { BH_GUARD_SPOOFED, BH_GUARD_FRAME, BH_GUARD_DISCOVERY,
					       BH_GUARD_UNLISTED, BH_GUARD_NO_POD };

	for (size_t i = 0; i < BH_ARRAY_LEN(reasons); i++)
		if (strcmp(chain, reasons[i]) == 0)
			return true;
	return false;
}

/* What an update finds of a link; the arrays are borrowed. */
struct port_facts {
	const struct bh_pod *pod; /* NULL: of no known pod */
	bool is_shut;
	char name[16];
	uint8_t mac[6];
	bool is_bridged;
	bool is_new;
	bool is_denying[BH_DIR_COUNT_];
	const struct bh_addr *addrs;
	size_t n_addrs;
	const struct bh_cidr *extra;
	size_t n_extra;
	const struct bh_plan_chain *ingress;
};

/* --- elements ------------------------------------------------------------------------------ */

/* Puts or drops elements. */
struct writer {
	struct bh_guard *g;
	bool is_put;
};

static void change_elem(const struct writer *wr, enum guard_set set,
			const struct bh_key_values *values, struct bh_elem e)
{
	struct bh_guard *g = wr->g;
	struct bh_plan_set *s = g->sets[set];
	enum bh_table table = set >= GUARD_PORT_TO ? BH_TABLE_INET
			      : set >= GUARD_TO4   ? BH_TABLE_BRIDGE
						   : BH_TABLE_NETDEV;

	bh_plan_pack(s->spec.kind, values, e.key);
	if (wr->is_put)
		bh_plan_put(g->plans[table], s, &e);
	else
		bh_plan_drop(g->plans[table], s, &e);
}

/* @chain: of a map's element. */
static void change(const struct writer *wr, enum guard_set set, const struct bh_key_values *values,
		   const struct bh_plan_chain *chain)
{
	change_elem(wr, set, values, (struct bh_elem){ .chain = chain });
}

static void change_type(const struct writer *wr, enum guard_set set, const struct guard_port *p,
			uint16_t ether_type, enum guard_chain chain)
{
	const struct bh_key_values v = { .link = p->ifindex,
					 .mac = p->mac,
					 .ether_type = ether_type };

	change(wr, set, &v, wr->g->chains[chain]);
}

static void change_from_addr(const struct writer *wr, const struct guard_port *p,
			     const struct bh_addr *a)
{
	const struct bh_key_values v = { .link = p->ifindex, .addr = a, .target = a };

	if (a->family == BH_IPV4) {
		change(wr, GUARD_SRC4, &v, NULL);
	} else {
		change(wr, GUARD_SRC6, &v, NULL);
		change(wr, GUARD_TARGETS, &v, NULL);
	}
}

static void change_from(const struct writer *wr, const struct guard_port *p)
{
	const struct bh_key_values v = { .link = p->ifindex, .mac = p->mac };

	change(wr, GUARD_MACS, &v, NULL);
	if (p->is_new)
		change(wr, GUARD_NEW, &v, NULL);
	if (!p->is_denying[BH_EGRESS] || wr->g->config.allows_dhcp)
		change(wr, GUARD_DHCP, &v, NULL);
	for (size_t i = 0; i < p->n_addrs; i++)
		change_from_addr(wr, p, &p->addrs[i]);
}

/* The bridge marks copies of groups' packets, and the mark leads to the pod's policies. */
static void change_group(const struct writer *wr, const struct guard_port *p)
{
	const uint32_t priority = BH_GROUP_BIT | p->ifindex;
	const struct bh_key_values v = { .link = p->ifindex, .priority = priority };

	if (!p->ingress)
		return;
	change_elem(wr, GUARD_GROUP, &v, (struct bh_elem){ .value = priority });
	change(wr, GUARD_GROUP_TO, &v, p->ingress);
}

static void change_to_bridged(const struct writer *wr, const struct guard_port *p)
{
	const bool is_closed = p->is_denying[BH_INGRESS];
	const struct bh_key_values link = { .link = p->ifindex };

	change(wr, GUARD_PODS, &link, NULL);
	if (p->is_denying[BH_EGRESS])
		change(wr, GUARD_SHUT, &link, NULL);
	/* What is behind a pod that routes has addresses that the pod has not. */
	if (p->n_extra == 0) {
		const struct bh_key_values mac = { .link = p->ifindex, .mac = p->mac };

		change(wr, GUARD_ENDS, &link, NULL);
		change(wr, GUARD_TO_MACS, &mac, NULL);
	}
	change_type(wr, GUARD_TO, p, ETH_P_IPV6, is_closed ? GUARD_TO_IP6 : GUARD_TO_IP6_OPEN);
	for (size_t i = 0; i < p->n_addrs; i++) {
		const struct bh_key_values v = { .link = p->ifindex,
						 .ether_type = ETH_P_IP,
						 .addr = &p->addrs[i] };

		change(wr, p->addrs[i].family == BH_IPV4 ? GUARD_TO4 : GUARD_DST6, &v, NULL);
	}
	change_group(wr, p);
	if (!is_closed && p->ingress)
		change_type(wr, GUARD_TO, p, ETH_P_IP, GUARD_TO_IP4_OPEN);
	if (!is_closed)
		return;
	change(wr, GUARD_CLOSED, &link, NULL);
	change_type(wr, GUARD_TO, p, ETH_P_ARP, GUARD_TO_PASS);
	change_type(wr, GUARD_TO, p, ETH_P_IP, GUARD_TO_IP4);
	change_type(wr, GUARD_ROUTED, p, ETH_P_IP, GUARD_NODE_IP4);
	change_type(wr, GUARD_ROUTED, p, ETH_P_IPV6, GUARD_NODE_IP6);
}

static void change_to_routed(const struct writer *wr, const struct guard_port *p)
{
	const struct bh_key_values link = { .link = p->ifindex };

	if (!p->is_denying[BH_INGRESS])
		return;
	change(wr, GUARD_PORT_TO, &link, wr->g->chains[GUARD_TO_CLOSED]);
	for (size_t i = 0; i < p->n_addrs; i++) {
		const struct bh_key_values v = { .link = p->ifindex, .addr = &p->addrs[i] };

		change(wr, p->addrs[i].family == BH_IPV4 ? GUARD_PORT_ADDR4 : GUARD_PORT_ADDR6, &v,
		       NULL);
	}
}

static void change_elems(struct bh_guard *g, const struct guard_port *p, bool is_put)
{
	const struct writer wr = { .g = g, .is_put = is_put };

	if (!p->pod)
		return;
	change_from(&wr, p);
	if (p->is_bridged)
		change_to_bridged(&wr, p);
	else
		change_to_routed(&wr, p);
}

/* --- ports ----------------------------------------------------------------------------------- */

static void free_arrays(struct guard_port *p)
{
	free(p->addrs);
	free(p->extra);
}

static void drop_port(struct bh_guard *g, struct guard_port *p)
{
	change_elems(g, p, false);
	guard_remove_chain(g, p);
	HASH_DEL(g->ports, p);
	free_arrays(p);
	free(p);
}

static struct guard_port *find_port(const struct bh_guard *g, uint32_t ifindex)
{
	struct guard_port *p;

	HASH_FIND(hh, g->ports, &ifindex, sizeof(ifindex), p);
	return p;
}

static bool is_same_array(const void *a, size_t n_a, const void *b, size_t n_b, size_t size)
{
	return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * size) == 0);
}

/* What the rules of the port's chain say. */
static bool has_same_chain(const struct guard_port *p, const struct port_facts *f)
{
	return strcmp(p->name, f->name) == 0 && !p->pod == !f->pod && p->is_shut == f->is_shut &&
	       memcmp(p->mac, f->mac, sizeof(p->mac)) == 0 &&
	       is_same_array(p->addrs, guard_n_compared(p->n_addrs), f->addrs,
			     guard_n_compared(f->n_addrs), sizeof(*p->addrs)) &&
	       is_same_array(p->extra, p->n_extra, f->extra, f->n_extra, sizeof(*p->extra));
}

static bool is_same(const struct guard_port *p, const struct port_facts *f)
{
	return has_same_chain(p, f) && p->is_bridged == f->is_bridged && p->is_new == f->is_new &&
	       memcmp(p->is_denying, f->is_denying, sizeof(p->is_denying)) == 0 &&
	       p->ingress == f->ingress &&
	       is_same_array(p->addrs, p->n_addrs, f->addrs, f->n_addrs, sizeof(*p->addrs));
}

static void *copy_array(const void *from, size_t n, size_t size)
{
	void *to = bh_calloc(n + 1, size);

	if (n > 0)
		memcpy(to, from, n * size);
	return to;
}

static void take_facts(struct guard_port *p, const struct port_facts *f)
{
	free_arrays(p);
	memcpy(p->name, f->name, sizeof(p->name));
	memcpy(p->mac, f->mac, sizeof(p->mac));
	memcpy(p->is_denying, f->is_denying, sizeof(p->is_denying));
	p->is_bridged = f->is_bridged;
	p->is_new = f->is_new;
	p->is_shut = f->is_shut;
	p->addrs = copy_array(f->addrs, f->n_addrs, sizeof(*f->addrs));
	p->n_addrs = f->n_addrs;
	p->extra = copy_array(f->extra, f->n_extra, sizeof(*f->extra));
	p->n_extra = f->n_extra;
	p->ingress = f->ingress;
}

static void set_port(struct bh_guard *g, uint32_t ifindex, const struct port_facts *f)
{
	struct guard_port *p = find_port(g, ifindex);

	if (p && is_same(p, f)) {
		/* The pod may be another object that is alike for us. */
		p->pod = f->pod;
		p->is_seen = true;
		return;
	}
	if (p && !has_same_chain(p, f)) {
		drop_port(g, p);
		p = NULL;
	}
	if (p) {
		change_elems(g, p, false);
		take_facts(p, f);
	} else {
		p = bh_calloc(1, sizeof(*p));
		p->ifindex = ifindex;
		p->pod = f->pod;
		take_facts(p, f);
		HASH_ADD(hh, g->ports, ifindex, sizeof(p->ifindex), p);
		guard_add_chain(g, p);
	}
	p->pod = f->pod;
	p->is_seen = true;
	change_elems(g, p, true);
}

static void set_name(struct port_facts *f, const char *name)
{
	size_t len = strnlen(name, sizeof(f->name) - 1);

	memset(f->name, 0, sizeof(f->name));
	memcpy(f->name, name, len);
}

/* Link-local addresses are found with the port, and networks are the operator's word. */
static bool has_told_addrs(const struct bh_pod *pod)
{
	for (size_t i = 0; i < pod->n_addrs; i++)
		if (!bh_addr_is_link_local(&pod->addrs[i]))
			return true;
	return false;
}

static void set_pod(struct bh_guard *g, const struct bh_pod *pod)
{
	struct port_facts want = {
		.pod = pod,
		.addrs = pod->addrs,
		.n_addrs = pod->n_addrs,
		.is_new = !has_told_addrs(pod),
		.extra = pod->extra,
		.n_extra = pod->n_extra,
	};
	bool has_port = false;

	for (enum bh_dir dir = 0; dir < BH_DIR_COUNT_; dir++) {
		const struct bh_profile *p = bh_compiler_profile_of(g->c, pod, dir);

		want.is_denying[dir] = p && p->is_denying;
		if (dir == BH_INGRESS)
			want.ingress = p ? p->chain : NULL;
	}
	for (size_t i = 0; i < pod->n_pod_ports; i++) {
		const struct bh_pod_port *port = &pod->pod_ports[i];

		if (!port->has_mac)
			continue;
		has_port = true;
		set_name(&want, port->name);
		memcpy(want.mac, port->mac, sizeof(want.mac));
		want.is_bridged = port->bridge != 0;
		set_port(g, port->ifindex, &want);
	}
	g->n_pods_without += !has_port;
}

static void merge(const struct bh_guard *g)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		bh_plan_merge(g->plans[t]);
}

static void on_local_pod(void *ctx, const struct bh_pod *pod)
{
	if (!pod->is_host_network && !pod->is_finished)
		set_pod(ctx, pod);
}

void bh_guard_update(struct bh_guard *g, const struct bh_guard_link *unknown, size_t n_unknown)
{
	struct guard_port *p, *next;

	if (g->config.is_off)
		return;
	HASH_ITER (hh, g->ports, p, next)
		p->is_seen = false;
	g->n_pods_without = 0;
	g->n_unknown = 0;
	bh_compiler_local_pods(g->c, on_local_pod, g);
	for (size_t i = 0; i < n_unknown; i++) {
		struct port_facts want = { .is_shut = unknown[i].is_closed };

		p = find_port(g, unknown[i].ifindex);
		if (p && p->pod && p->is_seen)
			continue;
		set_name(&want, unknown[i].name);
		set_port(g, unknown[i].ifindex, &want);
		g->n_unknown++;
	}
	HASH_ITER (hh, g->ports, p, next)
		if (!p->is_seen)
			drop_port(g, p);
	merge(g);
}

static void change_broadcasts(struct bh_guard *g, bool is_put)
{
	const struct writer wr = { .g = g, .is_put = is_put };

	for (size_t i = 0; i < g->n_broadcasts; i++) {
		const struct bh_key_values v = { .addr = &g->broadcasts[i] };

		change(&wr, GUARD_BROADCASTS, &v, NULL);
	}
}

void bh_guard_set_broadcasts(struct bh_guard *g, const struct bh_addr *addrs, size_t n)
{
	if (g->config.is_off ||
	    is_same_array(g->broadcasts, g->n_broadcasts, addrs, n, sizeof(*addrs)))
		return;
	change_broadcasts(g, false);
	free(g->broadcasts);
	g->broadcasts = copy_array(addrs, n, sizeof(*addrs));
	g->n_broadcasts = n;
	change_broadcasts(g, true);
	merge(g);
}

bool bh_guard_forget(struct bh_guard *g, const char *chain)
{
	struct guard_port *p, *next;

	HASH_ITER (hh, g->ports, p, next) {
		if (strcmp(p->chain->name, chain) != 0)
			continue;
		drop_port(g, p);
		merge(g);
		return true;
	}
	return false;
}

const struct bh_pod *bh_guard_pod_of(const struct bh_guard *g, uint32_t ifindex)
{
	const struct guard_port *p = g ? find_port(g, ifindex) : NULL;

	return p ? p->pod : NULL;
}

struct bh_guard_stats bh_guard_stats(const struct bh_guard *g)
{
	return (struct bh_guard_stats){ .n_ports = HASH_COUNT(g->ports) - g->n_unknown,
					.n_unknown = g->n_unknown,
					.n_pods_without = g->n_pods_without };
}

/* --- life --------------------------------------------------------------------------------------
 */

struct bh_guard *bh_guard_new(const struct bh_world *w, struct bh_compiler *c,
			      const struct bh_guard_config *config)
{
	struct bh_guard *g = bh_calloc(1, sizeof(*g));

	g->w = w;
	g->c = c;
	g->config = *config;
	g->plans[BH_TABLE_INET] = bh_compiler_plan(c);
	g->plans[BH_TABLE_NETDEV] = bh_plan_new(BH_TABLE_NETDEV);
	g->plans[BH_TABLE_BRIDGE] = bh_plan_new(BH_TABLE_BRIDGE);
	if (!g->config.is_off)
		bh_guard_build(g);
	return g;
}

void bh_guard_free(struct bh_guard **g_ptr)
{
	struct bh_guard *g = *g_ptr;
	struct guard_port *p, *next;

	if (!g)
		return;
	HASH_ITER (hh, g->ports, p, next) {
		HASH_DEL(g->ports, p);
		free_arrays(p);
		free(p);
	}
	free(g->broadcasts);
	bh_plan_free(&g->plans[BH_TABLE_NETDEV]);
	bh_plan_free(&g->plans[BH_TABLE_BRIDGE]);
	free(g);
	*g_ptr = NULL;
}

struct bh_plan *bh_guard_plan(struct bh_guard *g, enum bh_table table)
{
	assert(table != BH_TABLE_INET);
	return g->plans[table];
}
