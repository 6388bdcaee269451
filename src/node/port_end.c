/*
 * What the pod's end of a port is: its MAC and link-local addresses.
 */
#include <string.h>

#include "bh/clock.h"
#include "ports_impl.h"

/* How long a link-local address is looked for after the port was found. */
#define LOCALS_NS (5 * BH_NS_PER_S)

/* Another port has it: frames with it would be taken for that pod's. */
static bool is_mac_taken(const struct bh_ports *p, const struct entry *self,
			 const struct port *port, const uint8_t mac[6])
{
	const struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next) {
		for (size_t i = 0; i < e->n_ports; i++) {
			const struct bh_pod_port *other = &e->ports[i].is;

			if ((e != self || other->ifindex != port->is.ifindex) && other->has_mac &&
			    other->bridge == port->is.bridge && port->is.bridge &&
			    memcmp(other->mac, mac, 6) == 0)
				return true;
		}
	}
	return false;
}

static void read_mac(struct bh_ports *p, const struct entry *e, struct port *port)
{
	struct bh_link far;

	if (bh_link_far(p->ask, port->nsid, port->peer, &far, NULL) < 0 || !far.has_mac ||
	    is_mac_taken(p, e, port, far.mac))
		return;
	port->is.has_mac = true;
	memcpy(port->is.mac, far.mac, sizeof(far.mac));
}

static void read_locals(struct bh_ports *p, struct port *port)
{
	struct bh_addr locals[MAX_LOCALS];
	size_t n;

	if (bh_link_far_locals(p->ask, port->nsid, port->peer, locals, MAX_LOCALS, &n, NULL) < 0)
		return;
	memcpy(port->locals, locals, n * sizeof(locals[0]));
	port->n_locals = n;
}

bool bh_port_is_same(const struct bh_pod_port *a, const struct bh_pod_port *b)
{
	return a->ifindex == b->ifindex && a->bridge == b->bridge && a->has_mac == b->has_mac &&
	       memcmp(a->mac, b->mac, sizeof(a->mac)) == 0 && strcmp(a->name, b->name) == 0;
}

bool bh_port_wants_locals(const struct port *port)
{
	return port->n_locals == 0 && bh_mono_ns() < port->found_ns + LOCALS_NS;
}

/*
 * Reads what the pod's end is, where that is not known yet.  Until the pod has
 * addresses, the network plugin is still at work: what was read is read again after it.
 */
void bh_port_read_far_end(struct bh_ports *p, struct entry *e, struct port *port)
{
	bool is_new = port->found_ns == 0, is_first_addr = !e->had_addrs && e->n_addrs > 0;
	const struct port before = *port;

	if (port->nsid == BH_NO_NSID || port->peer == 0)
		return;
	if (is_new || is_first_addr) {
		port->found_ns = bh_mono_ns();
		read_mac(p, e, port);
		read_locals(p, port);
	} else if (bh_port_wants_locals(port)) {
		read_locals(p, port);
	}
	e->is_untold |= !bh_port_is_same(&before.is, &port->is) ||
			before.n_locals != port->n_locals ||
			memcmp(before.locals, port->locals, sizeof(before.locals)) != 0;
}
