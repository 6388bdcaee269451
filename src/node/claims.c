/*
 * Which links a pod leads to, and who else claims them.
 *
 * A pod's path leads to a namespace, its number to links; without a path a route to
 * the pod's address leads to one.  Where two pods lead to the same, the one by its
 * path is right against one by a route, and neither of two alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "bh/alloc.h"
#include "ports_impl.h"

#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

void bh_ports_add_found(struct found *f, struct bh_known_link *l)
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

	find_nsid(p, e, f);
	if (e->nsid == BH_NO_NSID)
		return;
	for (struct bh_known_link *l = bh_links_all(p->links); l; l = l->hh.next)
		if (l->is.nsid == e->nsid && l->is.peer)
			bh_ports_add_found(f, l);
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
		struct bh_known_link *l;

		if (bh_addr_is_link_local(&e->addrs[i]) ||
		    bh_link_of_route(p->ask, &e->addrs[i], &ifindex, NULL) < 0 || ifindex == 0)
			continue;
		l = bh_links_find(p->links, ifindex);
		if (l && l->is.peer && (l->is.nsid != BH_NO_NSID || l->is.is_veth) &&
		    !bh_links_bridge_of(p->links, l))
			bh_ports_add_found(f, l);
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

bool bh_ports_share_netns(const struct entry *a, const struct entry *b)
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

	if (f->n == 0 || e->netns)
		return;
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

void bh_ports_find(struct bh_ports *p, struct entry *e, struct found *f)
{
	if (e->netns)
		find_by_netns(p, e, f);
	else
		find_by_route(p, e, f);
	yield(p, e, f);
	note_claims(e, f);
}

/* Another pod that claims as much. */
struct entry *bh_ports_rival(const struct bh_ports *p, const struct entry *e)
{
	struct entry *other, *next;

	if (!e->ino && !e->n_claims)
		return NULL;
	HASH_ITER (hh, p->entries, other, next) {
		if (other == e)
			continue;
		if (bh_ports_share_netns(e, other))
			return other;
		for (size_t i = 0; i < e->n_claims && !is_stronger(e, other); i++)
			if (has_claim(other, e->claims[i]))
				return other;
	}
	return NULL;
}
