/*
 * Which link is whose port.
 *
 * Two tables: the links of this namespace, kept by the kernel's notifications, and the
 * pods that should have a port.  A pod is looked at (resolve()) when it is new or has
 * changed, when a link appears that leads into its namespace, and, as long as it has
 * no port, from time to time: a namespace may be mounted, a route made, without an
 * event that says so.  Nothing but a start and lost notifications lists all links.
 *
 * The order of events when a pod is made (containerd, reference plugins): NEWLINK
 * without other end; NEWNSID and NEWLINK with the number of the namespace, up
 * already; NEWLINK with the bridge.  All of it comes before the first process of the
 * pod, as do its addresses from the runtime.
 *
 * A number (nsid) is forgotten by the kernel with the namespace, and given to the
 * next one.  DELNSID is told in order with the links, so that a number is never taken
 * for the namespace that had it before.
 */
#include "bh/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <utlist.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/hash.h"
#include "bh/world.h"
#include "link.h"

#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

/* More links than any node has: beyond it new ones are nobody's, which closes them. */
#define MAX_KNOWN_LINKS 65536
/* Interfaces of one pod; the first by ifindex are taken. */
#define MAX_PORTS 16
/* An interface has one, or a few where somebody adds them. */
#define MAX_LOCALS 4
#define MAX_OWN    64

#define RCVBUF_BYTES (4u << 20)
/* Datagrams in one turn of the loop. */
#define MAX_DATAGRAMS 64
/* A turn with that much work ends in a pause so many times as long: a fifth of the CPU. */
#define LONG_TURN_MS 5
#define MIN_PAUSE_MS 20
#define PAUSE_FACTOR 4

#define FIRST_RETRY_MS 20
#define MAX_RETRY_MS   10000
/* How long a link-local address is looked for after the port was found. */
#define LOCALS_NS (5 * BH_NS_PER_S)
/* Between two looks at whether paths lead where they led. */
#define VERIFY_NS (10 * BH_NS_PER_S)

struct entry;

struct link {
	struct bh_link is;
	struct entry *owner;
	UT_hash_handle hh;
};

/* One that a pod has. */
struct port {
	struct bh_pod_port is;
	uint32_t peer;
	int32_t nsid; /* through which its end was last seen */
	uint64_t found_ns;
	struct bh_addr locals[MAX_LOCALS];
	size_t n_locals;
};

/* A local pod with a network of its own. */
struct entry {
	char *key; /* namespace, name and uid with NULs between */
	size_t key_len;
	const char *namespace, *name, *uid; /* in key */
	char *netns;                        /* NULL: unknown */
	struct bh_addr *addrs;              /* as others tell them */
	size_t n_addrs;

	int32_t nsid; /* of netns; BH_NO_NSID: unknown */
	dev_t dev;    /* of netns, with ino; ino 0: unknown */
	ino_t ino;
	uint32_t *claims; /* links that it was found to lead to last, by ifindex */
	size_t n_claims;
	struct port *ports;
	size_t n_ports, cap_ports;
	bool is_dirty;    /* to be looked at in this turn */
	bool is_untold;   /* the sink knows something else */
	bool is_conflict; /* another pod claims the same */
	bool had_addrs;   /* when its ports were read last */
	bool is_told;
	unsigned int n_retries;
	uint64_t retry_ns;
	char *reason;              /* why it has no port; NULL: not known yet */
	struct entry *prev, *next; /* of the dirty ones */
	UT_hash_handle hh;
};

struct bh_ports {
	struct bh_ports_config config;
	struct bh_sink sink;
	uv_loop_t *loop;
	struct bh_nl *watch, *ask;
	uv_poll_t poll;
	uv_timer_t timer; /* retries */
	uv_timer_t pause; /* until listening goes on */
	unsigned int n_open_handles;

	struct link *links;
	struct entry *entries, *dirty;
	bool is_changed;   /* on_change is due */
	bool is_lost;      /* notifications were */
	bool wants_verify; /* a link leads to a namespace that no path does */
	uint64_t verified_ns;
	struct bh_ports_stats stats;

	struct bh_pod_bridge *bridges;
	struct bh_unknown_port *unknown;
};

/* --- extra addresses ---------------------------------------------------------------------- */

static int parse_extra_addrs(const char *text, struct bh_cidr *ret, struct bh_err *err)
{
	struct bh_addr a;
	int r;

	if (!strchr(text, '/')) {
		r = bh_addr_parse(text, &a, err);
		if (r < 0)
			return r;
		ret->addr = a;
		ret->prefix_len = (uint8_t)(bh_family_len((enum bh_family)a.family) * 8);
		return 0;
	}
	r = bh_cidr_parse(text, ret, err);
	if (r < 0)
		return r;
	if (ret->prefix_len < (ret->addr.family == BH_IPV4 ? BH_EXTRA_MIN_LEN4 : BH_EXTRA_MIN_LEN6))
		return bh_err(err, -EINVAL, "%s is too large: /%d and /%d are the largest", text,
			      BH_EXTRA_MIN_LEN4, BH_EXTRA_MIN_LEN6);
	return 0;
}

int bh_extra_addr_parse(const char *text, struct bh_extra_addr *ret, struct bh_err *err)
{
	const char *slash = strchr(text, '/'), *equals = strchr(text, '=');
	struct bh_extra_addr e = { 0 };
	size_t len;
	int r;

	if (!equals || !slash || slash > equals || slash == text || slash + 1 == equals)
		return bh_err(err, -EINVAL,
			      "'%s' is not NAMESPACE/POD=ADDRESS[/LENGTH] (POD may end in *)",
			      text);
	r = parse_extra_addrs(equals + 1, &e.addrs, err);
	if (r < 0)
		return bh_err_wrap(err, r, "'%s'", text);
	len = (size_t)(equals - slash - 1);
	e.is_prefix = slash[len] == '*';
	len -= e.is_prefix;
	if (memchr(slash + 1, '*', len) || memchr(text, '*', (size_t)(slash - text)))
		return bh_err(err, -EINVAL, "'%s': a * stands only at the end of POD", text);
	e.namespace = bh_strndup(text, (size_t)(slash - text));
	e.pod = bh_strndup(slash + 1, len);
	*ret = e;
	return 0;
}

bool bh_extra_addr_is_of(const struct bh_extra_addr *e, const char *ns, const char *pod)
{
	if (strcmp(e->namespace, ns) != 0)
		return false;
	return e->is_prefix ? strncmp(e->pod, pod, strlen(e->pod)) == 0 : strcmp(e->pod, pod) == 0;
}

static bool is_single(const struct bh_cidr *c)
{
	return c->prefix_len == 8 * bh_family_len((enum bh_family)c->addr.family);
}

/* --- telling ------------------------------------------------------------------------------ */

struct telling {
	struct bh_pod_port ports[MAX_PORTS];
	struct bh_addr addrs[MAX_PORTS * MAX_LOCALS + MAX_OWN];
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
		if (is_single(&x->addrs) && n_single++ < MAX_OWN)
			t->addrs[t->n_addrs++] = x->addrs.addr;
		else if (!is_single(&x->addrs) && t->n_extra < MAX_OWN)
			t->extra[t->n_extra++] = x->addrs;
	}
}

static void tell(struct bh_ports *p, struct entry *e)
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
		for (size_t k = 0; k < e->ports[i].n_locals; k++)
			t.addrs[t.n_addrs++] = e->ports[i].locals[k];
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

static void tell_gone(struct bh_ports *p, const struct entry *e)
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

static void report_changes(struct bh_ports *p)
{
	if (!p->is_changed)
		return;
	p->is_changed = false;
	if (p->config.on_change)
		p->config.on_change(p->config.ctx);
}

/* --- pods and their ports ------------------------------------------------------------------ */

static void mark_dirty(struct bh_ports *p, struct entry *e)
{
	if (e->is_dirty)
		return;
	e->is_dirty = true;
	DL_APPEND(p->dirty, e);
}

static void mark_all(struct bh_ports *p)
{
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		mark_dirty(p, e);
}

/* What two wanted may be one's now. */
static void mark_conflicting(struct bh_ports *p)
{
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		if (e->is_conflict)
			mark_dirty(p, e);
}

static struct link *find_link(const struct bh_ports *p, uint32_t ifindex)
{
	struct link *l;

	HASH_FIND(hh, p->links, &ifindex, sizeof(ifindex), l);
	return l;
}

static void drop_port(struct bh_ports *p, struct entry *e, size_t at)
{
	struct link *l = find_link(p, e->ports[at].is.ifindex);

	if (l && l->owner == e)
		l->owner = NULL;
	e->is_untold = true;
	e->n_ports--;
	memmove(&e->ports[at], &e->ports[at + 1], (e->n_ports - at) * sizeof(e->ports[0]));
}

static void drop_ports(struct bh_ports *p, struct entry *e)
{
	while (e->n_ports > 0)
		drop_port(p, e, e->n_ports - 1);
}

static struct port *port_of(struct entry *e, uint32_t ifindex)
{
	for (size_t i = 0; i < e->n_ports; i++)
		if (e->ports[i].is.ifindex == ifindex)
			return &e->ports[i];
	return NULL;
}

/* A bridge, and not a bond or a VRF. */
static uint32_t bridge_of(const struct bh_ports *p, const struct link *l)
{
	const struct link *master = l->is.master ? find_link(p, l->is.master) : NULL;

	/* One of which nothing is known yet is taken for one. */
	return l->is.master && (!master || master->is.is_bridge) ? l->is.master : 0;
}

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

static bool is_same_port(const struct bh_pod_port *a, const struct bh_pod_port *b)
{
	return a->ifindex == b->ifindex && a->bridge == b->bridge && a->has_mac == b->has_mac &&
	       memcmp(a->mac, b->mac, sizeof(a->mac)) == 0 && strcmp(a->name, b->name) == 0;
}

static bool wants_locals(const struct port *port)
{
	return port->n_locals == 0 && bh_mono_ns() < port->found_ns + LOCALS_NS;
}

/*
 * Reads what the pod's end is, where that is not known yet.  Until the pod has
 * addresses, the network plugin is still at work: what was read is read again after it.
 */
static void read_far_end(struct bh_ports *p, struct entry *e, struct port *port)
{
	bool is_new = port->found_ns == 0, is_first_addr = !e->had_addrs && e->n_addrs > 0;
	const struct port before = *port;

	if (port->nsid == BH_NO_NSID || port->peer == 0)
		return;
	if (is_new || is_first_addr) {
		port->found_ns = bh_mono_ns();
		read_mac(p, e, port);
		read_locals(p, port);
	} else if (wants_locals(port)) {
		read_locals(p, port);
	}
	e->is_untold |= !is_same_port(&before.is, &port->is) || before.n_locals != port->n_locals ||
			memcmp(before.locals, port->locals, sizeof(before.locals)) != 0;
}

/* --- finding them ---------------------------------------------------------------------------- */

/* Links that are the pod's, by ifindex. */
struct found {
	struct link *links[MAX_PORTS];
	size_t n;
	char reason[2 * BH_ERR_MAX]; /* why there are none */
};

static void add_found(struct found *f, struct link *l)
{
	size_t at = f->n;

	for (size_t i = 0; i < f->n; i++)
		if (f->links[i] == l)
			return;
	while (at > 0 && f->links[at - 1]->is.ifindex > l->is.ifindex)
		at--;
	if (at == MAX_PORTS)
		return;
	if (f->n == MAX_PORTS)
		f->n--;
	memmove(&f->links[at + 1], &f->links[at], (f->n - at) * sizeof(f->links[0]));
	f->links[at] = l;
	f->n++;
}

__attribute__((format(printf, 2, 3))) static void say(struct found *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->reason, sizeof(f->reason), fmt, ap);
	va_end(ap);
}

/* A descriptor of the namespace, or a negative errno with the reason told. */
static int open_netns(struct entry *e, struct found *f)
{
	/* No link that somebody else can place, no device that opening would set going. */
	bh_auto_close int fd = open(e->netns, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct statfs fs;
	struct stat st;

	if (fd < 0) {
		say(f, "cannot open its network namespace %s: %s", e->netns,
		    strerrordesc_np(errno));
		return -errno;
	}
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0 || fs.f_type != NSFS_MAGIC) {
		say(f,
		    "%s is no network namespace (if the agent runs in a container: it does not "
		    "see mounts that were made after its start, mount the folder with "
		    "mountPropagation: HostToContainer)",
		    e->netns);
		return -EINVAL;
	}
	e->dev = st.st_dev;
	e->ino = st.st_ino;
	return bh_take_fd(fd);
}

static void say_no_link(const struct entry *e, struct found *f)
{
	say(f,
	    "no link of this node leads into its network namespace %s (macvlan, ipvlan and "
	    "interfaces that were moved there have none: what such pods send is not guarded)",
	    e->netns);
}

static void find_nsid(struct bh_ports *p, struct entry *e, struct found *f)
{
	bh_auto_close int fd = open_netns(e, f);
	struct bh_err err = { 0 };
	int r;

	e->nsid = BH_NO_NSID;
	if (fd < 0) {
		e->ino = 0;
		return;
	}
	r = bh_link_nsid(p->ask, fd, &e->nsid, &err);
	if (r < 0)
		say(f, "%s is no network namespace: %s", e->netns, bh_err_text(&err));
	else if (e->nsid == BH_NO_NSID)
		say_no_link(e, f);
}

static void find_by_netns(struct bh_ports *p, struct entry *e, struct found *f)
{
	struct link *l, *next;

	find_nsid(p, e, f);
	if (e->nsid == BH_NO_NSID)
		return;
	HASH_ITER (hh, p->links, l, next)
		if (l->is.nsid == e->nsid && l->is.peer)
			add_found(f, l);
	if (f->n == 0)
		say_no_link(e, f);
}

static void find_by_route(struct bh_ports *p, const struct entry *e, struct found *f)
{
	say(f,
	    "its network namespace is not known, and no route of this node leads to its address "
	    "alone (give the agent the runtime by --runtime, or annotate the pod's manifest with "
	    "bulkhead.dev/netns)");
	for (size_t i = 0; i < e->n_addrs; i++) {
		uint32_t ifindex;
		struct link *l;

		if (bh_addr_is_link_local(&e->addrs[i]) ||
		    bh_link_of_route(p->ask, &e->addrs[i], &ifindex, NULL) < 0 || ifindex == 0)
			continue;
		l = find_link(p, ifindex);
		if (l && l->is.peer && (l->is.nsid != BH_NO_NSID || l->is.is_veth) &&
		    !bridge_of(p, l))
			add_found(f, l);
	}
}

/* What others may be asked about: where it leads by itself, whatever it has. */
static void note_claims(struct entry *e, const struct found *f)
{
	free(e->claims);
	e->claims = bh_calloc(f->n, sizeof(*e->claims));
	e->n_claims = f->n;
	for (size_t i = 0; i < f->n; i++)
		e->claims[i] = f->links[i]->is.ifindex;
}

static bool has_claim(const struct entry *e, uint32_t ifindex)
{
	for (size_t i = 0; i < e->n_claims; i++)
		if (e->claims[i] == ifindex)
			return true;
	return false;
}

static bool is_same_netns(const struct entry *a, const struct entry *b)
{
	return a->netns && b->netns && a->ino && a->ino == b->ino && a->dev == b->dev;
}

/* A route may lead to an address behind another pod; a namespace is the pod's own. */
static bool is_stronger(const struct entry *a, const struct entry *b)
{
	return a->netns && !b->netns;
}

static void drop_found(struct found *f, size_t at)
{
	f->n--;
	memmove(&f->links[at], &f->links[at + 1], (f->n - at) * sizeof(f->links[0]));
}

/* Leaves links to pods that have a stronger claim on them. */
static void yield(const struct bh_ports *p, const struct entry *e, struct found *f)
{
	struct entry *other, *next;

	HASH_ITER (hh, p->entries, other, next) {
		if (!is_stronger(other, e))
			continue;
		for (size_t i = f->n; i-- > 0;) {
			if (!has_claim(other, f->links[i]->is.ifindex))
				continue;
			drop_found(f, i);
			say(f, "the route to its address leads to the port of pod %s/%s",
			    other->namespace, other->name);
		}
	}
}

/* Another pod that claims as much. */
static struct entry *find_rival(const struct bh_ports *p, const struct entry *e)
{
	struct entry *other, *next;

	HASH_ITER (hh, p->entries, other, next) {
		if (other == e)
			continue;
		if (is_same_netns(e, other))
			return other;
		for (size_t i = 0; i < e->n_claims && !is_stronger(e, other); i++)
			if (has_claim(other, e->claims[i]))
				return other;
	}
	return NULL;
}

static void set_reason(struct entry *e, const char *text)
{
	if (e->reason && strcmp(e->reason, text) == 0)
		return;
	free(e->reason);
	e->reason = bh_strdup(text);
}

static void set_conflict(struct bh_ports *p, struct entry *e, const struct entry *other)
{
	bh_auto_free char *text =
		bh_asprintf("pod %s/%s %s, so neither has a port", other->namespace, other->name,
			    is_same_netns(e, other) ? "names the same network namespace"
						    : "is said to be behind the same link");

	e->is_conflict = true;
	set_reason(e, text);
	drop_ports(p, e);
}

/* Ports that it has and that nobody else claims stay, wherever its end is now. */
static void keep_ports(struct bh_ports *p, struct entry *e, struct found *f)
{
	for (size_t i = 0; i < e->n_ports; i++) {
		struct link *l = find_link(p, e->ports[i].is.ifindex);

		if (l && l->owner == e)
			add_found(f, l);
	}
}

/* Takes it from who has no claim on it any more. */
static void take_from_owner(struct bh_ports *p, struct link *l)
{
	struct entry *owner = l->owner;

	drop_port(p, owner, (size_t)(port_of(owner, l->is.ifindex) - owner->ports));
	mark_dirty(p, owner);
}

static void take_link(struct bh_ports *p, struct entry *e, struct link *l)
{
	struct port *port = port_of(e, l->is.ifindex);
	struct bh_pod_port is = { .ifindex = l->is.ifindex, .bridge = bridge_of(p, l) };

	if (l->owner && l->owner != e)
		take_from_owner(p, l);
	if (!port) {
		bh_grow(&e->ports, &e->cap_ports, e->n_ports, sizeof(*e->ports));
		port = &e->ports[e->n_ports++];
		*port = (struct port){ .is.ifindex = l->is.ifindex };
	}
	l->owner = e;
	memcpy(is.name, l->is.name, sizeof(is.name));
	is.has_mac = port->is.has_mac;
	memcpy(is.mac, port->is.mac, sizeof(is.mac));
	e->is_untold |= !is_same_port(&is, &port->is);
	port->is = is;
	port->peer = l->is.peer;
	port->nsid = l->is.nsid;
	read_far_end(p, e, port);
}

static int cmp_port(const void *a, const void *b)
{
	const struct port *p = a, *q = b;

	return (p->is.ifindex > q->is.ifindex) - (p->is.ifindex < q->is.ifindex);
}

static void drop_others(struct bh_ports *p, struct entry *e, const struct found *f)
{
	for (size_t i = e->n_ports; i-- > 0;) {
		bool is_found = false;

		for (size_t k = 0; k < f->n; k++)
			is_found |= f->links[k]->is.ifindex == e->ports[i].is.ifindex;
		if (!is_found)
			drop_port(p, e, i);
	}
}

static void take_found(struct bh_ports *p, struct entry *e, const struct found *f)
{
	drop_others(p, e, f);
	for (size_t i = 0; i < f->n; i++)
		take_link(p, e, f->links[i]);
	if (e->n_ports)
		bh_sort(e->ports, e->n_ports, sizeof(e->ports[0]), cmp_port);
	else
		set_reason(e, f->reason);
	e->had_addrs = e->n_addrs > 0;
}

static void plan_retry(struct entry *e)
{
	uint64_t delay_ms = FIRST_RETRY_MS;
	bool is_wanted = e->n_ports == 0;

	for (size_t i = 0; i < e->n_ports; i++)
		is_wanted |= wants_locals(&e->ports[i]);
	e->retry_ns = 0;
	if (!is_wanted)
		return;
	for (unsigned int i = 0; i < e->n_retries && delay_ms < MAX_RETRY_MS; i++)
		delay_ms *= 2;
	if (delay_ms < MAX_RETRY_MS)
		e->n_retries++;
	else
		delay_ms = MAX_RETRY_MS;
	e->retry_ns = bh_mono_ns() + delay_ms * BH_NS_PER_MS;
}

static void tell_if_untold(struct bh_ports *p, struct entry *e)
{
	if (e->is_untold)
		tell(p, e);
}

static void resolve(struct bh_ports *p, struct entry *e)
{
	struct found f = { .n = 0 };
	struct entry *rival;
	bool was_conflict = e->is_conflict;

	p->stats.n_lookups++;
	e->is_conflict = false;
	if (e->netns)
		find_by_netns(p, e, &f);
	else
		find_by_route(p, e, &f);
	yield(p, e, &f);
	note_claims(e, &f);
	rival = find_rival(p, e);
	if (rival) {
		set_conflict(p, e, rival);
		set_conflict(p, rival, e);
		tell_if_untold(p, rival);
	} else {
		keep_ports(p, e, &f);
		take_found(p, e, &f);
	}
	tell_if_untold(p, e);
	/* The others may have what it does not claim any more. */
	if (was_conflict && !e->is_conflict)
		mark_conflicting(p);
	plan_retry(e);
}

static void plan_timer(struct bh_ports *p);

static void resolve_dirty(struct bh_ports *p)
{
	/* Taking a link makes its owner dirty again; it does not take it back. */
	while (p->dirty) {
		struct entry *e = p->dirty;

		DL_DELETE(p->dirty, e);
		e->is_dirty = false;
		resolve(p, e);
	}
	plan_timer(p);
}

/* --- links ------------------------------------------------------------------------------------ */

/* Pods that a link may concern: those of its namespace, and those that lack a port. */
static void mark_of_link(struct bh_ports *p, const struct link *l)
{
	struct entry *e, *next;

	if (l->owner)
		mark_dirty(p, l->owner);
	if (l->is.nsid == BH_NO_NSID)
		return;
	p->wants_verify |= !l->owner;
	HASH_ITER (hh, p->entries, e, next)
		if (e->n_ports == 0 || e->nsid == l->is.nsid)
			mark_dirty(p, e);
}

static bool is_same_link(const struct bh_link *a, const struct bh_link *b)
{
	return a->peer == b->peer && a->master == b->master && a->nsid == b->nsid &&
	       a->is_bridge == b->is_bridge && a->is_veth == b->is_veth &&
	       strcmp(a->name, b->name) == 0;
}

static void put_link(struct bh_ports *p, const struct bh_link *is)
{
	struct link *l = find_link(p, is->ifindex);

	if (l && is_same_link(&l->is, is)) {
		l->is = *is;
		return;
	}
	if (!l && HASH_COUNT(p->links) >= MAX_KNOWN_LINKS)
		return;
	if (!l) {
		l = bh_calloc(1, sizeof(*l));
		l->is.ifindex = is->ifindex;
		HASH_ADD(hh, p->links, is.ifindex, sizeof(l->is.ifindex), l);
	}
	l->is = *is;
	p->is_changed = true;
	mark_of_link(p, l);
}

static void remove_link(struct bh_ports *p, struct link *l)
{
	struct entry *e = l->owner;

	if (e) {
		drop_port(p, e, (size_t)(port_of(e, l->is.ifindex) - e->ports));
		mark_dirty(p, e);
		e->n_retries = 0;
	}
	HASH_DEL(p->links, l);
	free(l);
	p->is_changed = true;
}

static void forget_nsid(struct bh_ports *p, int32_t nsid)
{
	struct entry *e, *next;
	struct link *l, *next_link;

	if (nsid == BH_NO_NSID)
		return;
	HASH_ITER (hh, p->entries, e, next) {
		if (e->nsid != nsid)
			continue;
		e->nsid = BH_NO_NSID;
		e->ino = 0;
		mark_dirty(p, e);
	}
	HASH_ITER (hh, p->links, l, next_link)
		if (l->is.nsid == nsid)
			l->is.nsid = BH_NO_NSID;
}

/* A namespace got a number: of whom no port is known, it may be. */
static void mark_portless(struct bh_ports *p)
{
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		if (e->n_ports == 0)
			mark_dirty(p, e);
}

static void on_notification(struct bh_ports *p, const struct nlmsghdr *msg)
{
	struct bh_link link;
	struct link *l;
	int32_t nsid;

	p->stats.n_events++;
	switch (msg->nlmsg_type) {
	case RTM_NEWLINK:
		if (bh_link_parse(msg, &link) == 0)
			put_link(p, &link);
		return;
	case RTM_DELLINK:
		l = bh_link_parse(msg, &link) == 0 ? find_link(p, link.ifindex) : NULL;
		if (l)
			remove_link(p, l);
		return;
	case RTM_NEWNSID: mark_portless(p); return;
	case RTM_DELNSID:
		if (bh_nsid_parse(msg, &nsid) == 0)
			forget_nsid(p, nsid);
		return;
	default: return;
	}
}

/* --- all links ----------------------------------------------------------------------------- */

struct listing {
	struct bh_ports *p;
	struct bh_link *items;
	size_t n, cap;
};

static void on_listed(void *ctx, const struct bh_link *link)
{
	struct listing *l = ctx;

	if (l->n >= MAX_KNOWN_LINKS)
		return;
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] = *link;
}

static void on_listing_restart(void *ctx)
{
	struct listing *l = ctx;

	l->n = 0;
}

static int cmp_listed(const void *a, const void *b)
{
	const struct bh_link *p = a, *q = b;

	return (p->ifindex > q->ifindex) - (p->ifindex < q->ifindex);
}

static void take_listing(struct bh_ports *p, struct listing *listing)
{
	struct link *l, *next;

	if (listing->n)
		bh_sort(listing->items, listing->n, sizeof(*listing->items), cmp_listed);
	HASH_ITER (hh, p->links, l, next)
		if (!listing->n || !bh_search(&l->is, listing->items, listing->n,
					      sizeof(*listing->items), cmp_listed))
			remove_link(p, l);
	for (size_t i = 0; i < listing->n; i++)
		put_link(p, &listing->items[i]);
}

/* What was missed may be anything: numbers of namespaces, too. */
static void forget_all_nsids(struct bh_ports *p)
{
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next) {
		e->nsid = BH_NO_NSID;
		e->ino = 0;
	}
	mark_all(p);
}

static int list_links(struct bh_ports *p, struct bh_err *err)
{
	struct listing listing = { .p = p };
	int r = bh_link_list(p->ask, on_listed, on_listing_restart, &listing, err);

	p->stats.n_listings++;
	if (r == 0) {
		forget_all_nsids(p);
		take_listing(p, &listing);
	}
	free(listing.items);
	return r;
}

/* --- the loop ---------------------------------------------------------------------------- */

static void listen_on(struct bh_ports *p);

static void on_pause_end(uv_timer_t *timer)
{
	listen_on(bh_container_of(timer, struct bh_ports, pause));
}

/* A flood of events must not take more than a share of the CPU; what is lost is listed. */
static void pause_after(struct bh_ports *p, uint64_t took_ms)
{
	uint64_t pause_ms = PAUSE_FACTOR * took_ms;

	p->stats.n_pauses++;
	uv_poll_stop(&p->poll);
	uv_timer_start(&p->pause, on_pause_end, pause_ms > MIN_PAUSE_MS ? pause_ms : MIN_PAUSE_MS,
		       0);
}

/* Returns how many datagrams came. */
static int drain(struct bh_ports *p)
{
	const struct nlmsghdr *msg;
	int i, n;

	for (i = 0; i < MAX_DATAGRAMS; i++) {
		n = bh_nl_recv(p->watch, false, &msg);
		if (n == -ENOBUFS) {
			p->is_lost = true;
			bh_nl_discard(p->watch);
			break;
		}
		if (n < 0)
			break;
		for (; bh_nl_ok(msg, n); msg = mnl_nlmsg_next(msg, &n))
			on_notification(p, msg);
	}
	return i;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct bh_ports *p = bh_container_of(poll, struct bh_ports, poll);
	uint64_t start_ns = bh_mono_ns(), took_ms;
	int n = drain(p);

	(void)events;
	/* libuv stops at an error, which a loss is. */
	if (status < 0)
		listen_on(p);
	if (p->is_lost && list_links(p, NULL) == 0)
		p->is_lost = false;
	resolve_dirty(p);
	report_changes(p);
	took_ms = (bh_mono_ns() - start_ns) / BH_NS_PER_MS;
	if (n == MAX_DATAGRAMS || p->is_lost || took_ms >= LONG_TURN_MS)
		pause_after(p, took_ms);
}

static void listen_on(struct bh_ports *p)
{
	uv_poll_start(&p->poll, UV_READABLE, on_readable);
}

/* Another namespace may have been mounted where one was, while that lives on. */
static void verify_paths(struct bh_ports *p, uint64_t now_ns)
{
	struct entry *e, *next;

	p->wants_verify = false;
	p->verified_ns = now_ns;
	HASH_ITER (hh, p->entries, e, next) {
		struct stat st;

		if (e->netns && e->ino && stat(e->netns, &st) == 0 &&
		    (st.st_ino != e->ino || st.st_dev != e->dev))
			mark_dirty(p, e);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_ports *p = bh_container_of(timer, struct bh_ports, timer);
	uint64_t now_ns = bh_mono_ns();
	struct entry *e, *next;

	/* A listing that failed is tried again. */
	if (p->is_lost && list_links(p, NULL) == 0)
		p->is_lost = false;
	if (p->wants_verify && now_ns >= p->verified_ns + VERIFY_NS)
		verify_paths(p, now_ns);
	HASH_ITER (hh, p->entries, e, next)
		if (e->retry_ns && e->retry_ns <= now_ns)
			mark_dirty(p, e);
	resolve_dirty(p);
	report_changes(p);
}

static void plan_timer(struct bh_ports *p)
{
	uint64_t next_ns = UINT64_MAX, now_ns = bh_mono_ns();
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		if (e->retry_ns && e->retry_ns < next_ns)
			next_ns = e->retry_ns;
	if ((p->wants_verify || p->is_lost) && p->verified_ns + VERIFY_NS < next_ns)
		next_ns = p->verified_ns + VERIFY_NS;
	if (next_ns == UINT64_MAX) {
		uv_timer_stop(&p->timer);
		return;
	}
	/* One more, so that it is surely due by then. */
	uv_update_time(p->loop);
	uv_timer_start(&p->timer, on_timer,
		       next_ns > now_ns ? (next_ns - now_ns) / BH_NS_PER_MS + 1 : 1, 0);
}

/* --- what the world says ------------------------------------------------------------------ */

static char *make_key(const struct bh_pod *pod, size_t *ret_len)
{
	size_t ns = strlen(pod->namespace) + 1, name = strlen(pod->name) + 1;
	size_t uid = strlen(pod->uid) + 1;
	char *key = bh_malloc(ns + name + uid);

	memcpy(key, pod->namespace, ns);
	memcpy(key + ns, pod->name, name);
	memcpy(key + ns + name, pod->uid, uid);
	*ret_len = ns + name + uid;
	return key;
}

static struct entry *find_entry(const struct bh_ports *p, const struct bh_pod *pod)
{
	bh_auto_free char *key = NULL;
	struct entry *e;
	size_t len;

	key = make_key(pod, &len);
	HASH_FIND(hh, p->entries, key, len, e);
	return e;
}

static struct entry *add_entry(struct bh_ports *p, const struct bh_pod *pod)
{
	struct entry *e = bh_calloc(1, sizeof(*e));

	e->key = make_key(pod, &e->key_len);
	e->namespace = e->key;
	e->name = e->namespace + strlen(e->namespace) + 1;
	e->uid = e->name + strlen(e->name) + 1;
	e->nsid = BH_NO_NSID;
	e->is_untold = true;
	HASH_ADD_KEYPTR(hh, p->entries, e->key, e->key_len, e);
	return e;
}

static void free_entry(struct bh_ports *p, struct entry *e)
{
	if (e->is_dirty)
		DL_DELETE(p->dirty, e);
	HASH_DEL(p->entries, e);
	free(e->key);
	free(e->netns);
	free(e->addrs);
	free(e->claims);
	free(e->ports);
	free(e->reason);
	free(e);
}

static void remove_entry(struct bh_ports *p, struct entry *e)
{
	bool was_conflict = e->is_conflict;

	drop_ports(p, e);
	tell_gone(p, e);
	free_entry(p, e);
	if (was_conflict)
		mark_conflicting(p);
	/* A port of its may be that of a pod which has none. */
	mark_portless(p);
}

static bool is_ours(const struct bh_ports *p, const struct entry *e, const struct bh_addr *a)
{
	for (size_t i = 0; i < e->n_ports; i++)
		for (size_t k = 0; k < e->ports[i].n_locals; k++)
			if (bh_addr_eq(a, &e->ports[i].locals[k]))
				return true;
	for (size_t i = 0; i < p->config.n_extra; i++) {
		const struct bh_extra_addr *x = &p->config.extra[i];

		if (is_single(&x->addrs) && bh_addr_eq(a, &x->addrs.addr) &&
		    bh_extra_addr_is_of(x, e->namespace, e->name))
			return true;
	}
	return false;
}

/* True if they are others than before; those that we tell ourselves are left out. */
static bool take_addrs(const struct bh_ports *p, struct entry *e, const struct bh_pod *pod)
{
	struct bh_addr addrs[MAX_OWN];
	size_t n = 0;
	bool is_same;

	for (size_t i = 0; i < pod->n_addrs && n < MAX_OWN; i++)
		if (!is_ours(p, e, &pod->addrs[i]))
			addrs[n++] = pod->addrs[i];
	is_same = n == e->n_addrs && (n == 0 || memcmp(addrs, e->addrs, n * sizeof(*addrs)) == 0);
	if (is_same)
		return false;
	free(e->addrs);
	e->addrs = bh_calloc(n, sizeof(*addrs));
	if (n)
		memcpy(e->addrs, addrs, n * sizeof(*addrs));
	e->n_addrs = n;
	return true;
}

static bool take_netns(struct entry *e, const struct bh_pod *pod)
{
	const char *old = e->netns ? e->netns : "", *new = pod->netns ? pod->netns : "";

	if (strcmp(old, new) == 0)
		return false;
	free(e->netns);
	e->netns = *new ? bh_strdup(new) : NULL;
	e->nsid = BH_NO_NSID;
	e->ino = 0;
	return true;
}

static void follow_pod(struct bh_ports *p, const struct bh_pod *pod)
{
	struct entry *e = find_entry(p, pod);
	bool is_new = !e, is_changed;

	if (is_new)
		e = add_entry(p, pod);
	is_changed = take_netns(e, pod);
	/* What was found by another path proves nothing for this one. */
	if (is_changed && !is_new)
		drop_ports(p, e);
	is_changed |= take_addrs(p, e, pod);
	if (!is_new && !is_changed)
		return;
	e->n_retries = 0;
	mark_dirty(p, e);
}

static bool wants_port(const struct bh_pod *pod)
{
	return pod && pod->is_local && !pod->is_host_network && !pod->is_finished;
}

static bool is_same_pod(const struct bh_pod *a, const struct bh_pod *b)
{
	return strcmp(a->namespace, b->namespace) == 0 && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->uid, b->uid) == 0;
}

void bh_ports_follow(struct bh_ports *p, const struct bh_changes *ch)
{
	/* Those that go first: what they leave may be the others'. */
	for (size_t i = 0; i < ch->n_pods; i++) {
		const struct bh_pod *before = ch->pods[i].before, *after = ch->pods[i].after;
		struct entry *e = NULL;

		if (before && (!wants_port(after) || !is_same_pod(before, after)))
			e = find_entry(p, before);
		else if (after && !wants_port(after))
			e = find_entry(p, after);
		if (e)
			remove_entry(p, e);
	}
	for (size_t i = 0; i < ch->n_pods; i++)
		if (wants_port(ch->pods[i].after))
			follow_pod(p, ch->pods[i].after);
	resolve_dirty(p);
	report_changes(p);
}

/* --- answers ----------------------------------------------------------------------------- */

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
	struct bh_ports_stats stats = p->stats;
	const struct entry *e, *next;

	stats.n_pods = HASH_COUNT(p->entries);
	stats.n_links = HASH_COUNT(p->links);
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
			const struct link *l = bridge ? find_link(p, bridge) : NULL;

			if (!l || has_bridge(list, n, bridge))
				continue;
			bh_grow(&list, &cap, n, sizeof(*list));
			list[n] = (struct bh_pod_bridge){ .ifindex = bridge };
			memcpy(list[n++].name, l->is.name, sizeof(l->is.name));
		}
	}
	if (n)
		bh_sort(list, n, sizeof(*list), cmp_bridge);
	free(p->bridges);
	p->bridges = list;
	*ret = list;
	return n;
}

const char *bh_ports_a_bridge(const struct bh_ports *p)
{
	const struct link *l, *next;

	HASH_ITER (hh, p->links, l, next)
		if (l->is.is_bridge)
			return l->is.name;
	return NULL;
}

static int cmp_unknown(const void *a, const void *b)
{
	const struct bh_unknown_port *p = a, *q = b;

	return (p->ifindex > q->ifindex) - (p->ifindex < q->ifindex);
}

size_t bh_ports_unknown(struct bh_ports *p, const struct bh_unknown_port **ret)
{
	const struct bh_pod_bridge *bridges;
	size_t n_bridges = bh_ports_bridges(p, &bridges), n = 0, cap = 0;
	struct bh_unknown_port *list = NULL;
	const struct link *l, *next;

	HASH_ITER (hh, p->links, l, next) {
		struct bh_unknown_port u = { .ifindex = l->is.ifindex, .bridge = bridge_of(p, l) };

		u.has_far_end = l->is.peer && l->is.nsid != BH_NO_NSID;
		u.is_beside_pods = u.bridge && has_bridge(bridges, n_bridges, u.bridge);
		if (l->owner || !(u.has_far_end || (l->is.is_veth && u.is_beside_pods)))
			continue;
		memcpy(u.name, l->is.name, sizeof(u.name));
		bh_grow(&list, &cap, n, sizeof(*list));
		list[n++] = u;
	}
	if (n)
		bh_sort(list, n, sizeof(*list), cmp_unknown);
	free(p->unknown);
	p->unknown = list;
	*ret = list;
	return n;
}

/* --- life -------------------------------------------------------------------------------- */

static int open_watch(struct bh_ports *p, struct bh_err *err)
{
	int r = bh_nl_new(&p->watch, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	/* Losses are noticed, so a smaller one is only slower. */
	(void)bh_nl_set_rcvbuf(p->watch, RCVBUF_BYTES);
	r = bh_nl_join(p->watch, RTNLGRP_LINK, err);
	if (r == 0)
		r = bh_nl_join(p->watch, RTNLGRP_NSID, err);
	return r < 0 ? bh_err_wrap(err, r, "cannot watch links") : 0;
}

static void destroy(struct bh_ports *p)
{
	struct entry *e, *next;
	struct link *l, *next_link;

	HASH_ITER (hh, p->entries, e, next)
		free_entry(p, e);
	HASH_ITER (hh, p->links, l, next_link) {
		HASH_DEL(p->links, l);
		free(l);
	}
	bh_nl_free(&p->watch);
	bh_nl_free(&p->ask);
	free(p->bridges);
	free(p->unknown);
	free(p);
}

static int start_handles(struct bh_ports *p, struct bh_err *err)
{
	int r = uv_poll_init(p->loop, &p->poll, bh_nl_fd(p->watch));

	if (r < 0)
		return bh_err(err, r, "cannot watch links: %s", uv_strerror(r));
	uv_timer_init(p->loop, &p->timer);
	uv_timer_init(p->loop, &p->pause);
	p->poll.data = p->timer.data = p->pause.data = p;
	p->n_open_handles = 3;
	listen_on(p);
	return 0;
}

int bh_ports_new(struct bh_ports **ret, uv_loop_t *loop, const struct bh_ports_config *config,
		 const struct bh_sink *sink, struct bh_err *err)
{
	struct bh_ports *p = bh_calloc(1, sizeof(*p));
	int r;

	p->config = *config;
	p->sink = *sink;
	p->loop = loop;
	/* Watched before they are listed, so that nothing falls in between. */
	r = open_watch(p, err);
	if (r == 0)
		r = bh_link_open(&p->ask, err);
	if (r == 0)
		r = list_links(p, err);
	if (r == 0)
		r = start_handles(p, err);
	if (r < 0) {
		destroy(p);
		return r;
	}
	*ret = p;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct bh_ports *p = handle->data;

	if (--p->n_open_handles == 0)
		destroy(p);
}

void bh_ports_free(struct bh_ports **ports)
{
	struct bh_ports *p = *ports;

	if (!p)
		return;
	uv_poll_stop(&p->poll);
	uv_close((uv_handle_t *)&p->poll, on_closed);
	uv_close((uv_handle_t *)&p->timer, on_closed);
	uv_close((uv_handle_t *)&p->pause, on_closed);
	*ports = NULL;
}
