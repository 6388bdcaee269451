/*
 * Gives links to pods.
 *
 * A pod is looked at (resolve()) when it is new or has changed, when a link appears
 * that leads into its namespace, and, as long as it has no port, from time to time: a
 * namespace may be mounted, a route made, without an event that says so.
 *
 * The order of events when a pod is made (containerd, reference plugins): NEWLINK
 * without other end; NEWNSID and NEWLINK with the number of the namespace, up
 * already; NEWLINK with the bridge.  All of it comes before the first process of the
 * pod, as do its addresses from the runtime.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <utlist.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "ports_impl.h"

#define FIRST_RETRY_MS 20
#define MAX_RETRY_MS   10000
/* Between two looks at whether paths lead where they led. */
#define VERIFY_NS (10 * BH_NS_PER_S)

/* --- marks -------------------------------------------------------------------------------- */

void bh_ports_mark(struct bh_ports *p, struct entry *e)
{
	if (e->is_dirty)
		return;
	e->is_dirty = true;
	DL_APPEND(p->dirty, e);
}

void bh_ports_mark_conflicting(struct bh_ports *p)
{
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		if (e->is_conflict)
			bh_ports_mark(p, e);
}

void bh_ports_mark_portless(struct bh_ports *p)
{
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		if (e->n_ports == 0)
			bh_ports_mark(p, e);
}

/* --- giving and taking -------------------------------------------------------------------- */

static void drop_port(struct bh_ports *p, struct entry *e, size_t at)
{
	struct bh_known_link *l = bh_links_find(p->links, e->ports[at].is.ifindex);

	if (l && l->owner == e)
		l->owner = NULL;
	e->is_untold = true;
	e->n_ports--;
	memmove(&e->ports[at], &e->ports[at + 1], (e->n_ports - at) * sizeof(e->ports[0]));
}

void bh_ports_drop(struct bh_ports *p, struct entry *e)
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
			    bh_ports_share_netns(e, other) ? "names the same network namespace"
							   : "is said to be behind the same link");

	e->is_conflict = true;
	set_reason(e, text);
	bh_ports_drop(p, e);
}

/* Ports that it has and that nobody else claims stay, wherever its end is now. */
static void keep_ports(struct bh_ports *p, struct entry *e, struct found *f)
{
	for (size_t i = 0; i < e->n_ports; i++) {
		struct bh_known_link *l = bh_links_find(p->links, e->ports[i].is.ifindex);

		if (l && l->owner == e)
			bh_ports_add_found(f, l);
	}
}

/* Takes it from who has no claim on it any more. */
static void take_from_owner(struct bh_ports *p, struct bh_known_link *l)
{
	struct entry *owner = l->owner;

	drop_port(p, owner, (size_t)(port_of(owner, l->is.ifindex) - owner->ports));
	bh_ports_mark(p, owner);
}

static void take_link(struct bh_ports *p, struct entry *e, struct bh_known_link *l)
{
	struct port *port = port_of(e, l->is.ifindex);
	struct bh_pod_port is = { .ifindex = l->is.ifindex,
				  .bridge = bh_links_bridge_of(p->links, l) };

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
	e->is_untold |= !bh_port_is_same(&is, &port->is);
	port->is = is;
	port->peer = l->is.peer;
	port->nsid = l->is.nsid;
	bh_port_read_far_end(p, e, port);
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
		is_wanted |= bh_port_wants_locals(&e->ports[i]);
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
		bh_ports_tell(p, e);
}

static void resolve(struct bh_ports *p, struct entry *e)
{
	struct found f = { .n = 0 };
	struct entry *rival;
	bool was_conflict = e->is_conflict;

	p->n_lookups++;
	e->is_conflict = false;
	bh_ports_find(p, e, &f);
	rival = bh_ports_rival(p, e);
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
		bh_ports_mark_conflicting(p);
	plan_retry(e);
}

static void plan_timer(struct bh_ports *p);

void bh_ports_resolve(struct bh_ports *p)
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

/* --- what happens to links ---------------------------------------------------------------- */

/* Pods that it may concern: those of its namespace, and those that lack a port. */
static void on_link(void *ctx, struct bh_known_link *l)
{
	struct bh_ports *p = ctx;
	struct entry *e, *next;

	p->is_changed = true;
	if (l->owner)
		bh_ports_mark(p, l->owner);
	if (l->is.nsid == BH_NO_NSID)
		return;
	p->wants_verify |= !l->owner;
	HASH_ITER (hh, p->entries, e, next)
		if (e->n_ports == 0 || e->nsid == l->is.nsid)
			bh_ports_mark(p, e);
}

static void on_link_gone(void *ctx, struct bh_known_link *l)
{
	struct bh_ports *p = ctx;
	struct entry *e = l->owner;

	p->is_changed = true;
	if (!e)
		return;
	drop_port(p, e, (size_t)(port_of(e, l->is.ifindex) - e->ports));
	bh_ports_mark(p, e);
	e->n_retries = 0;
}

/* Of whom no port is known, it may be. */
static void on_nsid_new(void *ctx)
{
	bh_ports_mark_portless(ctx);
}

static void on_nsid_gone(void *ctx, int32_t nsid)
{
	struct bh_ports *p = ctx;
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next) {
		if (e->nsid != nsid)
			continue;
		e->nsid = BH_NO_NSID;
		e->ino = 0;
		bh_ports_mark(p, e);
	}
}

/* What was missed may be anything: numbers of namespaces, too. */
static void on_loss(void *ctx)
{
	struct bh_ports *p = ctx;
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next) {
		e->nsid = BH_NO_NSID;
		e->ino = 0;
		bh_ports_mark(p, e);
	}
}

static void on_turn(void *ctx)
{
	struct bh_ports *p = ctx;

	bh_ports_resolve(p);
	bh_ports_report(p);
}

/* --- time --------------------------------------------------------------------------------- */

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
			bh_ports_mark(p, e);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_ports *p = bh_container_of(timer, struct bh_ports, timer);
	uint64_t now_ns = bh_mono_ns();
	struct entry *e, *next;

	if (p->wants_verify && now_ns >= p->verified_ns + VERIFY_NS)
		verify_paths(p, now_ns);
	HASH_ITER (hh, p->entries, e, next)
		if (e->retry_ns && e->retry_ns <= now_ns)
			bh_ports_mark(p, e);
	bh_ports_resolve(p);
	bh_ports_report(p);
}

static void plan_timer(struct bh_ports *p)
{
	uint64_t next_ns = UINT64_MAX, now_ns = bh_mono_ns();
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		if (e->retry_ns && e->retry_ns < next_ns)
			next_ns = e->retry_ns;
	if (p->wants_verify && p->verified_ns + VERIFY_NS < next_ns)
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

/* --- life --------------------------------------------------------------------------------- */

static void destroy(struct bh_ports *p)
{
	struct entry *e, *next;

	HASH_ITER (hh, p->entries, e, next)
		bh_ports_free_pod(p, e);
	bh_nl_free(&p->ask);
	free(p->bridges);
	free(p->unknown);
	free(p);
}

int bh_ports_new(struct bh_ports **ret, uv_loop_t *loop, const struct bh_ports_config *config,
		 const struct bh_sink *sink, struct bh_err *err)
{
	struct bh_ports *p = bh_calloc(1, sizeof(*p));
	const struct bh_links_events events = {
		.ctx = p,
		.on_link = on_link,
		.on_gone = on_link_gone,
		.on_nsid_new = on_nsid_new,
		.on_nsid_gone = on_nsid_gone,
		.on_loss = on_loss,
		.on_turn = on_turn,
	};
	int r;

	p->config = *config;
	p->sink = *sink;
	p->loop = loop;
	r = bh_link_open(&p->ask, err);
	if (r == 0)
		r = bh_links_new(&p->links, loop, p->ask, &events, err);
	if (r < 0) {
		destroy(p);
		return r;
	}
	uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	*ret = p;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	destroy(handle->data);
}

void bh_ports_free(struct bh_ports **ports)
{
	struct bh_ports *p = *ports;

	if (!p)
		return;
	bh_links_free(&p->links);
	uv_close((uv_handle_t *)&p->timer, on_closed);
	*ports = NULL;
}
