/*
 * What pods and nodes bring into sets, and how sets follow them.
 *
 * First whatever a changed pod may have brought into a set is taken out, for all
 * of them, then what each brings now is put in.  An address belongs to one pod
 * only, so nothing needs to be counted, and the plan makes nothing of what is
 * dropped and put again.
 */
#include "compile_impl.h"

#include <string.h>

struct bringer {
	struct bh_compiler *c;
	const struct shared_set *set;
	const struct bh_addr *addr;
	elem_fn *fn;
	int64_t n;
};

static void bring(struct bringer *b, uint8_t protocol, uint16_t port)
{
	struct bh_plan_set *set = b->set->set[b->addr->family];
	struct bh_elem e = { 0 };

	b->n++;
	if (!set)
		return;
	bh_plan_key(set->spec.kind, b->addr, protocol, port, e.key);
	b->fn(b->c->plan, set, &e);
}

static void on_named_port(void *ctx, const struct bh_port *port)
{
	bring(ctx, port->protocol, port->number);
}

/*
 * @pod resolves named ports; NULL for nodes.  Returns how many elements that is,
 * at least 1: to find that there are none is work too.
 */
static int64_t elems_of_addr(struct bh_compiler *c, const struct set_use *use,
			     const struct bh_addr *addr, const struct bh_pod *pod, elem_fn *fn)
{
	const struct shared_set *s = use->set;
	const struct port_set *ports = &s->entries[use->entry].ports;
	struct bringer b = { .c = c, .set = s, .addr = addr, .fn = fn };

	if (!s->is_with_ports) {
		bring(&b, 0, 0);
		return b.n;
	}
	for (size_t i = 0; i < ports->n_ranges; i++) {
		const struct port_range *r = &ports->ranges[i];

		for (uint32_t port = r->first; port <= r->last; port++)
			bring(&b, r->protocol, (uint16_t)port);
	}
	if (pod)
		ports_resolve_all(ports, pod, on_named_port, &b);
	return b.n > 0 ? b.n : 1;
}

void elems_of_pod(struct bh_compiler *c, const struct set_use *use, const struct bh_pod *pod,
		  elem_fn *fn)
{
	int64_t n = 0;

	for (size_t i = 0; i < pod->n_addrs; i++)
		n += elems_of_addr(c, use, &pod->addrs[i], pod, fn);
	use->set->n_brought += fn == bh_plan_put ? n : -n;
	sets_note_brought(c, use->set);
}

bool is_peer(const struct bh_pod *pod)
{
	return pod && pod->n_addrs && !pod->is_host_network && !pod->is_finished;
}

bool atom_takes(const struct atom *a, const struct bh_pod *pod)
{
	return a->selector.kind == ATOM_UNDECIDED ? bh_pod_is_closed(pod) : !pod->is_contested;
}

struct follow {
	struct bh_compiler *c;
	const struct bh_pod *pod;
	const struct bh_labels *ns;
	elem_fn *fn;
};

static bool is_in_namespace(const struct atom *a, const struct bh_pod *pod,
			    const struct bh_labels *ns)
{
	if (a->selector.own_ns)
		return strcmp(a->selector.own_ns, pod->namespace) == 0;
	return bh_selector_matches(&a->selector.namespaces, ns);
}

static void change_in_atom(void *ctx, struct atom *a)
{
	const struct follow *f = ctx;
	size_t i;

	if (!bh_selector_matches_pod(&a->selector.pods, f->pod) || !atom_takes(a, f->pod) ||
	    !is_in_namespace(a, f->pod, f->ns))
		return;
	for (i = 0; i < a->n_uses; i++)
		elems_of_pod(f->c, &a->uses[i], f->pod, f->fn);
}

static bool is_relabelled(const struct bh_namespace_change *n)
{
	static const struct bh_labels none = { 0 };
	const struct bh_labels *a = n->before ? &n->before->labels : &none;
	const struct bh_labels *b = n->after ? &n->after->labels : &none;
	size_t i;

	for (i = 0; i < a->n && i < b->n; i++) {
		if (strcmp(a->items[i].key, b->items[i].key) != 0 ||
		    strcmp(a->items[i].value, b->items[i].value) != 0)
			return true;
	}
	return a->n != b->n;
}

static const struct bh_namespace_change *find_change(const struct bh_changes *ch, const char *ns)
{
	size_t i;

	for (i = 0; i < ch->n_namespaces; i++) {
		const struct bh_namespace_change *n = &ch->namespaces[i];

		if ((n->after ? n->after : n->before)->name == ns) /* interned */
			return n;
	}
	return NULL;
}

/* The labels that the pod's namespace had when the world was settled last. */
static const struct bh_labels *labels_before(const struct bh_compiler *c,
					     const struct bh_changes *ch, const struct bh_pod *pod)
{
	static const struct bh_labels none = { 0 };
	const struct bh_namespace_change *n = find_change(ch, pod->namespace);
	const struct bh_namespace *ns = n ? n->before : bh_world_namespace(c->w, pod->namespace);

	return ns ? &ns->labels : &none;
}

/* Exactly what it brought, since that is counted. */
static void drop_pod(struct bh_compiler *c, const struct bh_changes *ch, const struct bh_pod *pod)
{
	struct follow f = {
		.c = c, .pod = pod, .ns = labels_before(c, ch, pod), .fn = bh_plan_drop
	};

	index_find(&c->index, pod, f.ns, change_in_atom, &f);
}

static void put_pod(struct bh_compiler *c, const struct bh_pod *pod)
{
	const struct bh_namespace *ns = bh_world_namespace(c->w, pod->namespace);
	struct follow f = { .c = c, .pod = pod, .ns = &ns->labels, .fn = bh_plan_put };

	index_find(&c->index, pod, f.ns, change_in_atom, &f);
}

static bool is_same_peer(const struct bh_pod *a, const struct bh_pod *b)
{
	size_t i;

	if (!is_peer(a) || !is_peer(b))
		return is_peer(a) == is_peer(b);
	/* Pods share labels and ports while they are the same. */
	if (a->labels.items != b->labels.items || bh_pod_is_closed(a) != bh_pod_is_closed(b) ||
	    a->is_contested != b->is_contested || a->ports != b->ports || a->n_addrs != b->n_addrs)
		return false;
	for (i = 0; i < a->n_addrs; i++) {
		if (!bh_addr_eq(&a->addrs[i], &b->addrs[i]))
			return false;
	}
	return true;
}

/* Pods that changed, by their object of today. */
struct changed_pod {
	const struct bh_pod *pod;
	UT_hash_handle hh;
};

struct relabel {
	struct bh_compiler *c;
	const struct bh_changes *changes;
	const struct changed_pod *changed; /* they have been looked at */
	bool is_put;
};

static void on_relabelled_pod(void *ctx, const struct bh_pod *pod)
{
	const struct relabel *r = ctx;
	const struct changed_pod *found;

	HASH_FIND_PTR(r->changed, &pod, found);
	if (found || !is_peer(pod))
		return;
	if (r->is_put)
		put_pod(r->c, pod);
	else
		drop_pod(r->c, r->changes, pod);
}

static bool is_of_relabelled(const struct bh_changes *ch, const struct bh_pod *pod)
{
	const struct bh_namespace_change *n = pod ? find_change(ch, pod->namespace) : NULL;

	return n && is_relabelled(n);
}

static void follow_changed_pods(struct bh_compiler *c, const struct bh_changes *ch, bool is_put)
{
	for (size_t i = 0; i < ch->n_pods; i++) {
		const struct bh_pod *before = ch->pods[i].before, *after = ch->pods[i].after;

		if (is_same_peer(before, after) && !is_of_relabelled(ch, before))
			continue;
		if (is_put && is_peer(after))
			put_pod(c, after);
		if (!is_put && is_peer(before))
			drop_pod(c, ch, before);
	}
}

static void follow_relabelled(struct bh_compiler *c, const struct bh_changes *ch,
			      const struct changed_pod *changed, bool is_put)
{
	static const struct bh_selector everything = { 0 };
	struct relabel r = { .c = c, .changes = ch, .changed = changed, .is_put = is_put };

	for (size_t i = 0; i < ch->n_namespaces; i++) {
		const struct bh_namespace_change *n = &ch->namespaces[i];
		const char *name = n->after ? n->after->name : n->before->name;

		if (is_relabelled(n))
			bh_world_find_pods(c->w, name, NULL, &everything, on_relabelled_pod, &r);
	}
}

static void list_changed(const struct bh_changes *ch, struct changed_pod **ret)
{
	for (size_t i = 0; i < ch->n_pods && ch->n_namespaces; i++) {
		struct changed_pod *p;

		if (!ch->pods[i].after)
			continue;
		p = bh_calloc(1, sizeof(*p));
		p->pod = ch->pods[i].after;
		HASH_ADD_PTR(*ret, pod, p);
	}
}

static void changed_done(struct changed_pod **changed)
{
	struct changed_pod *p, *next;

	HASH_ITER (hh, *changed, p, next) {
		HASH_DEL(*changed, p);
		free(p);
	}
}

static void put_node(struct bh_compiler *c, const struct set_use *use, const struct bh_addr *addr)
{
	int64_t n = elems_of_addr(c, use, addr, NULL, bh_plan_put);

	use->set->entries[use->entry].n_of_nodes += n;
	use->set->n_brought += n;
}

/* All of them are put again, and so counted again. */
static void forget_nodes(const struct set_use *use)
{
	struct set_entry *e = &use->set->entries[use->entry];

	use->set->n_brought -= e->n_of_nodes;
	e->n_of_nodes = 0;
}

/* Of several nodes that claim an address, the world knows whose it is. */
void elems_put_nodes(struct bh_compiler *c, const struct atom *a, const struct set_use *uses,
		     size_t n_uses)
{
	const struct bh_node *const *nodes;
	size_t n = bh_world_nodes(c->w, &nodes), i, j, k;

	for (k = 0; k < n_uses; k++)
		forget_nodes(&uses[k]);
	for (i = 0; i < n; i++) {
		if (!bh_selector_matches(&a->selector.pods, &nodes[i]->labels))
			continue;
		for (j = 0; j < nodes[i]->n_addrs; j++) {
			const struct bh_addr *addr = &nodes[i]->addrs[j];

			if (bh_world_node_by_addr(c->w, addr) != nodes[i])
				continue;
			for (k = 0; k < n_uses; k++)
				put_node(c, &uses[k], addr);
		}
	}
	for (k = 0; k < n_uses; k++)
		sets_note_brought(c, uses[k].set);
}

static void put_into_node_atom(void *ctx, struct atom *a)
{
	const struct follow *f = ctx;

	elems_put_nodes(f->c, a, a->uses, a->n_uses);
}

struct drop_node {
	struct bh_compiler *c;
	const struct bh_node *node;
};

static void drop_node(void *ctx, struct atom *a)
{
	const struct drop_node *d = ctx;
	size_t i, j;

	for (i = 0; i < a->n_uses; i++) {
		for (j = 0; j < d->node->n_addrs; j++)
			elems_of_addr(d->c, &a->uses[i], &d->node->addrs[j], NULL, bh_plan_drop);
	}
}

/* Nodes change rarely, and two of them may claim one address: all are put again. */
static void follow_nodes(struct bh_compiler *c, const struct bh_changes *ch, bool is_put)
{
	struct follow f = { .c = c };
	size_t i;

	for (i = 0; i < ch->n_nodes && !is_put; i++) {
		struct drop_node d = { .c = c, .node = ch->nodes[i].before };

		if (d.node)
			index_find_nodes(&c->index, drop_node, &d);
	}
	if (ch->n_nodes && is_put)
		index_find_nodes(&c->index, put_into_node_atom, &f);
}

void sets_follow(struct bh_compiler *c, const struct bh_changes *changes)
{
	bh_auto(changed_done) struct changed_pod *changed = NULL;

	list_changed(changes, &changed);
	follow_changed_pods(c, changes, false);
	follow_relabelled(c, changes, changed, false);
	follow_nodes(c, changes, false);
	follow_changed_pods(c, changes, true);
	follow_relabelled(c, changes, changed, true);
	follow_nodes(c, changes, true);
}
