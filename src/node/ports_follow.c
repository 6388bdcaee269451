/*
 * Which pods should have a port: the local ones of the world with a network of their
 * own, where the runtime says that it is and which addresses others tell.
 */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "bh/alloc.h"
#include "bh/world.h"
#include "ports_impl.h"

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

void bh_ports_free_pod(struct bh_ports *p, struct entry *e)
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
	bool was_conflict = e->is_conflict, had_links = e->n_ports || e->n_claims;

	bh_ports_drop(p, e);
	bh_ports_tell_gone(p, e);
	bh_ports_free_pod(p, e);
	if (was_conflict)
		bh_ports_mark_conflicting(p);
	/* A port of its may be that of a pod which has none. */
	if (had_links)
		bh_ports_mark_portless(p);
}

static bool is_ours(const struct bh_ports *p, const struct entry *e, const struct bh_addr *a)
{
	for (size_t i = 0; i < e->n_ports; i++)
		for (size_t k = 0; k < e->ports[i].n_locals; k++)
			if (bh_addr_eq(a, &e->ports[i].locals[k]))
				return true;
	for (size_t i = 0; i < p->config.n_extra; i++) {
		const struct bh_extra_addr *x = &p->config.extra[i];

		if (bh_extra_addr_is_single(&x->addrs) && bh_addr_eq(a, &x->addrs.addr) &&
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
		bh_ports_drop(p, e);
	is_changed |= take_addrs(p, e, pod);
	if (!is_new && !is_changed)
		return;
	e->n_retries = 0;
	bh_ports_mark(p, e);
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
	bh_ports_resolve(p);
	bh_ports_report(p);
}
