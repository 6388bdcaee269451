/*
 * What is told of ports: facts of pods to the sink, and answers to who asks.
 */
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/world.h"
#include "ports_impl.h"

/* --- facts -------------------------------------------------------------------------------- */

struct telling {
	struct bh_pod_port ports[MAX_PORTS];
	struct bh_addr addrs[MAX_PORTS * (MAX_LOCALS + 1) + MAX_OWN];
	struct bh_cidr extra[MAX_OWN];
	size_t n_addrs, n_extra;
};

static void gather_extra(const struct bh_ports *p, const struct entry *e, struct telling *t)
{
	size_t n_single = 0;

	for (size_t i = 0; i < p->config.n_extra; i++) {
		const struct bh_extra_addr *x = &p->config.extra[i];

		if (!bh_extra_addr_is_of(x, e->namespace, e->name))
			continue;
		if (bh_extra_addr_is_single(&x->addrs) && n_single++ < MAX_OWN)
			t->addrs[t->n_addrs++] = x->addrs.addr;
		else if (!bh_extra_addr_is_single(&x->addrs) && t->n_extra < MAX_OWN)
			t->extra[t->n_extra++] = x->addrs;
	}
}

/*
 * The link-local address that a host makes of its MAC (RFC 4291 2.5.1, appendix A).  It is
 * the pod's before it is there: the first frames of a link come from it.
 */
static struct bh_addr local_of_mac(const uint8_t mac[6])
{
	struct bh_addr a = { .family = BH_IPV6, .bytes = { 0xfe, 0x80 } };

	memcpy(a.bytes + 8, mac, 3);
	a.bytes[8] ^= 2;
	a.bytes[11] = 0xff;
	a.bytes[12] = 0xfe;
	memcpy(a.bytes + 13, mac + 3, 3);
	return a;
}

static void add_local(struct telling *t, const struct bh_addr *a)
{
	for (size_t i = 0; i < t->n_addrs; i++)
		if (bh_addr_eq(&t->addrs[i], a))
			return;
	t->addrs[t->n_addrs++] = *a;
}

static void gather_locals(const struct port *port, struct telling *t)
{
	const struct bh_addr of_mac = local_of_mac(port->is.mac);

	if (port->is.has_mac)
		add_local(t, &of_mac);
	for (size_t i = 0; i < port->n_locals; i++)
		add_local(t, &port->locals[i]);
}

void bh_ports_tell(struct bh_ports *p, struct entry *e)
{
	struct telling t = { .n_addrs = 0 };
	struct bh_fact fact = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_NODE,
		.pod = { .namespace = e->namespace, .name = e->name, .uid = e->uid, .node = "" },
	};
	struct bh_key key;

	for (size_t i = 0; i < e->n_ports; i++) {
		t.ports[i] = e->ports[i].is;
		gather_locals(&e->ports[i], &t);
	}
	gather_extra(p, e, &t);
	fact.pod.pod_ports = t.ports;
	fact.pod.n_pod_ports = e->n_ports;
	fact.pod.addrs = t.addrs;
	fact.pod.n_addrs = t.n_addrs;
	fact.pod.extra = t.extra;
	fact.pod.n_extra = t.n_extra;
	key = bh_fact_key(&fact);
	e->is_untold = false;
	p->is_changed = true;
	if (e->n_ports + t.n_addrs + t.n_extra > 0) {
		e->is_told = true;
		p->sink.on_put(p->sink.ctx, &fact);
	} else if (e->is_told) {
		e->is_told = false;
		p->sink.on_delete(p->sink.ctx, &key);
	}
}

void bh_ports_tell_gone(struct bh_ports *p, const struct entry *e)
{
	const struct bh_key key = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_NODE,
		.namespace = e->namespace,
		.name = e->name,
		.uid = e->uid,
	};

	if (e->is_told)
		p->sink.on_delete(p->sink.ctx, &key);
	p->is_changed = true;
}

void bh_ports_report(struct bh_ports *p)
{
	if (!p->is_changed)
		return;
	p->is_changed = false;
	if (p->config.on_change)
		p->config.on_change(p->config.ctx);
}

/* --- answers ------------------------------------------------------------------------------ */

void bh_ports_each_portless(const struct bh_ports *p,
			    void (*on_pod)(void *ctx, const struct bh_portless *pod), void *ctx)
{
	const struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next) {
		const struct bh_portless pod = { e->namespace, e->name, e->uid,
						 e->reason ? e->reason : "" };

		if (e->n_ports == 0)
			on_pod(ctx, &pod);
	}
}

struct bh_ports_stats bh_ports_stats(const struct bh_ports *p)
{
	const struct bh_links_stats links = bh_links_stats(p->links);
	struct bh_ports_stats stats = {
		.n_pods = HASH_COUNT(p->entries),
		.n_links = bh_links_count(p->links),
		.n_events = links.n_events,
		.n_listings = links.n_listings,
		.n_pauses = links.n_pauses,
		.n_lookups = p->n_lookups,
	};
	const struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		stats.n_portless += e->n_ports == 0;
	return stats;
}

static int cmp_bridge(const void *a, const void *b)
{
	const struct bh_pod_bridge *p = a, *q = b;

	return (p->ifindex > q->ifindex) - (p->ifindex < q->ifindex);
}

static bool has_bridge(const struct bh_pod_bridge *bridges, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (bridges[i].ifindex == ifindex)
			return true;
	return false;
}

size_t bh_ports_bridges(struct bh_ports *p, const struct bh_pod_bridge **ret)
{
	struct bh_pod_bridge *list = NULL;
	const struct entry *e, *next;
	size_t n = 0, cap = 0;

	HASH_ITER (hh, p->entries, e, next) {
		for (size_t i = 0; i < e->n_ports; i++) {
			uint32_t bridge = e->ports[i].is.bridge;
			const struct bh_known_link *l =
				bridge ? bh_links_find(p->links, bridge) : NULL;

			if (!l || has_bridge(list, n, bridge))
				continue;
			bh_grow(&list, &cap, n, sizeof(*list));
			list[n] = (struct bh_pod_bridge){ .ifindex = bridge };
			memcpy(list[n++].name, l->is.name, sizeof(l->is.name));
		}
	}
	bh_sort(list, n, sizeof(*list), cmp_bridge);
	free(p->bridges);
	p->bridges = list;
	*ret = list;
	return n;
}

static int cmp_unknown(const void *a, const void *b)
{
	const struct bh_unknown_port *p = a, *q = b;

	return (p->ifindex > q->ifindex) - (p->ifindex < q->ifindex);
}

const char *bh_ports_a_bridge(const struct bh_ports *p)
{
	for (const struct bh_known_link *l = bh_links_all(p->links); l; l = l->hh.next)
		if (l->is.is_bridge)
			return l->is.name;
	return NULL;
}

size_t bh_ports_unknown(struct bh_ports *p, const struct bh_unknown_port **ret)
{
	const struct bh_pod_bridge *bridges;
	size_t n_bridges = bh_ports_bridges(p, &bridges), n = 0, cap = 0;
	struct bh_unknown_port *list = NULL;

	for (const struct bh_known_link *l = bh_links_all(p->links); l; l = l->hh.next) {
		struct bh_unknown_port u = { .ifindex = l->is.ifindex,
					     .bridge = bh_links_bridge_of(p->links, l) };

		u.has_far_end = l->is.peer && l->is.nsid != BH_NO_NSID;
		u.is_beside_pods = u.bridge && has_bridge(bridges, n_bridges, u.bridge);
		if (l->owner || !(u.has_far_end || (l->is.is_veth && u.is_beside_pods)))
			continue;
		memcpy(u.name, l->is.name, sizeof(u.name));
		bh_grow(&list, &cap, n, sizeof(*list));
		list[n++] = u;
	}
	bh_sort(list, n, sizeof(*list), cmp_unknown);
	free(p->unknown);
	p->unknown = list;
	*ret = list;
	return n;
}
