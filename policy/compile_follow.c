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

static void change_port(struct bh_compiler *c, const struct shared_set *s,
			const struct bh_addr *addr, uint8_t protocol, uint16_t port, elem_fn *fn)
{
	struct bh_elem e = { 0 };

	bh_plan_key(BH_SET_ADDR_PROTO_PORT, addr, protocol, port, e.key);
	fn(c->plan, s->set[addr->family], &e);
}

void elems_of_addr(struct bh_compiler *c, const struct set_use *use, const struct bh_addr *addr,
		   const struct bh_pod *pod, elem_fn *fn)
{
	const struct shared_set *s = use->set;
	const struct port_set *ports = &s->entries[use->entry].ports;
	struct bh_elem e = { 0 };
	uint32_t port;
	size_t i, j;

	if (!s->is_with_ports) {
		bh_plan_key(BH_SET_ADDR, addr, 0, 0, e.key);
		fn(c->plan, s->set[addr->family], &e);
		return;
	}
	for (i = 0; i < ports->n_ranges; i++) {
		for (port = ports->ranges[i].first; port <= ports->ranges[i].last; port++)
			change_port(c, s, addr, ports->ranges[i].protocol, (uint16_t)port, fn);
	}
	for (i = 0; pod && i < ports->n_names; i++) {
		const struct port_name *name = &ports->names[i];

		for (j = 0; j < pod->n_ports; j++) {
			const struct bh_port *p = &pod->ports[j];

			if ((!name->protocol || name->protocol == p->protocol) && p->name &&
			    strcmp(name->name, p->name) == 0)
				change_port(c, s, addr, p->protocol, p->number, fn);
		}
	}
}

void elems_of_pod(struct bh_compiler *c, const struct set_use *use, const struct bh_pod *pod,
		  elem_fn *fn)
{
	size_t i;

	for (i = 0; i < pod->n_addrs; i++)
		elems_of_addr(c, use, &pod->addrs[i], pod, fn);
}

bool is_peer(const struct bh_pod *pod)
{
	return pod && pod->n_addrs && !pod->is_host_network && !pod->is_finished;
}

struct follow {
	struct bh_compiler *c;
	const struct bh_pod *pod;
	const struct bh_labels *ns;
	elem_fn *fn;
};

/* The namespace is not asked: its labels of that time may be gone. */
static void drop_from_atom(void *ctx, struct atom *a)
{
	const struct follow *f = ctx;
	size_t i;

	if (!bh_selector_matches_pod(&a->selector.pods, f->pod))
		return;
	for (i = 0; i < a->n_uses; i++)
		elems_of_pod(f->c, &a->uses[i], f->pod, bh_plan_drop);
}

static bool is_in_namespace(const struct atom *a, const struct bh_pod *pod,
			    const struct bh_labels *ns)
{
	if (a->selector.own_ns)
		return strcmp(a->selector.own_ns, pod->namespace) == 0;
	return bh_selector_matches(&a->selector.namespaces, ns);
}

static void put_into_atom(void *ctx, struct atom *a)
{
	const struct follow *f = ctx;
	size_t i;

	if (!bh_selector_matches_pod(&a->selector.pods, f->pod) ||
	    !is_in_namespace(a, f->pod, f->ns))
		return;
	for (i = 0; i < a->n_uses; i++)
		elems_of_pod(f->c, &a->uses[i], f->pod, bh_plan_put);
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

/* The labels that a namespace had before, if they changed. */
static const struct bh_labels *labels_before(const struct bh_changes *ch, const char *ns)
{
	size_t i;

	for (i = 0; i < ch->n_namespaces; i++) {
		const struct bh_namespace *b = ch->namespaces[i].before;

		if (b && b->name == ns) /* interned */
			return &b->labels;
	}
	return NULL;
}

static void drop_pod(struct bh_compiler *c, const struct bh_changes *ch, const struct bh_pod *pod)
{
	struct follow f = { .c = c, .pod = pod };
	const struct bh_namespace *ns = bh_world_namespace(c->w, pod->namespace);
	const struct bh_labels *before = labels_before(ch, pod->namespace);
	static const struct bh_labels none = { 0 };

	index_find(&c->index, pod, ns ? &ns->labels : &none, drop_from_atom, &f);
	if (before)
		index_find(&c->index, pod, before, drop_from_atom, &f);
}

static void put_pod(struct bh_compiler *c, const struct bh_pod *pod)
{
	const struct bh_namespace *ns = bh_world_namespace(c->w, pod->namespace);
	struct follow f = { .c = c, .pod = pod, .ns = &ns->labels };

	index_find(&c->index, pod, f.ns, put_into_atom, &f);
}

static bool is_same_peer(const struct bh_pod *a, const struct bh_pod *b)
{
	size_t i;

	if (!is_peer(a) || !is_peer(b))
		return is_peer(a) == is_peer(b);
	/* Pods share labels and ports while they are the same. */
	if (a->labels.items != b->labels.items || bh_pod_is_closed(a) != bh_pod_is_closed(b) ||
	    a->ports != b->ports || a->n_addrs != b->n_addrs)
		return false;
	for (i = 0; i < a->n_addrs; i++) {
		if (!bh_addr_eq(&a->addrs[i], &b->addrs[i]))
			return false;
	}
	return true;
}

struct relabel {
	struct bh_compiler *c;
	const struct bh_changes *changes;
	bool is_put;
};

static void on_relabelled_pod(void *ctx, const struct bh_pod *pod)
{
	const struct relabel *r = ctx;

	if (!is_peer(pod))
		return;
	if (r->is_put)
		put_pod(r->c, pod);
	else
		drop_pod(r->c, r->changes, pod);
}

static void follow_pods(struct bh_compiler *c, const struct bh_changes *ch, bool is_put)
{
	static const struct bh_selector everything = { 0 };
	struct relabel r = { .c = c, .changes = ch, .is_put = is_put };
	size_t i;

	for (i = 0; i < ch->n_pods; i++) {
		const struct bh_pod *before = ch->pods[i].before, *after = ch->pods[i].after;

		if (is_same_peer(before, after))
			continue;
		if (is_put && is_peer(after))
			put_pod(c, after);
		if (!is_put && is_peer(before))
			drop_pod(c, ch, before);
	}
	for (i = 0; i < ch->n_namespaces; i++) {
		const struct bh_namespace_change *n = &ch->namespaces[i];
		const char *name = n->after ? n->after->name : n->before->name;

		if (is_relabelled(n))
			bh_world_find_pods(c->w, name, NULL, &everything, on_relabelled_pod, &r);
	}
}

/* Of several nodes that claim an address, the world knows whose it is. */
void elems_put_nodes(struct bh_compiler *c, const struct atom *a, const struct set_use *uses,
		     size_t n_uses)
{
	const struct bh_node *const *nodes;
	size_t n = bh_world_nodes(c->w, &nodes), i, j, k;

	for (i = 0; i < n; i++) {
		if (!bh_selector_matches(&a->selector.pods, &nodes[i]->labels))
			continue;
		for (j = 0; j < nodes[i]->n_addrs; j++) {
			const struct bh_addr *addr = &nodes[i]->addrs[j];

			if (bh_world_node_by_addr(c->w, addr) != nodes[i])
				continue;
			for (k = 0; k < n_uses; k++)
				elems_of_addr(c, &uses[k], addr, NULL, bh_plan_put);
		}
	}
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
	follow_pods(c, changes, false);
	follow_nodes(c, changes, false);
	follow_pods(c, changes, true);
	follow_nodes(c, changes, true);
}
