/*
 * The sets that profiles look into, shared between them and counted.
 *
 * A set of peers is made of atoms, each the canonical text of one selector, and
 * is named by them.  It follows pods and nodes: first whatever a changed one
 * may have brought into a set is taken out, for all of them, then what each
 * brings now is put in.  An address belongs to one pod only, so nothing needs
 * to be counted, and the plan makes nothing of what is dropped and put again.
 */
#include "compile_impl.h"

#include <assert.h>
#include <string.h>

/* --- selectors ------------------------------------------------------------------ */

void selector_canonical(const struct peer_selector *s, struct bh_buf *out)
{
	bh_buf_puts(out, s->kind == ATOM_NODES ? "nodes" : "pods");
	if (s->kind == ATOM_PODS && s->own_ns)
		bh_buf_printf(out, " %zu'%s'", strlen(s->own_ns), s->own_ns);
	else if (s->kind == ATOM_PODS)
		bh_selector_canonical(&s->namespaces, out);
	bh_selector_canonical(&s->pods, out);
}

static void selector_describe(const struct peer_selector *s, struct bh_buf *out)
{
	if (s->kind == ATOM_NODES) {
		bh_buf_puts(out, "nodes");
	} else if (s->own_ns) {
		bh_buf_escape(out, s->own_ns);
	} else {
		bh_buf_puts(out, "ns ");
		bh_selector_describe(&s->namespaces, out);
	}
	bh_buf_puts(out, ": ");
	bh_selector_describe(&s->pods, out);
}

struct peer_selector selector_of(const char *ns, const struct bh_peer *peer)
{
	struct peer_selector s = { .kind = ATOM_PODS, .pods = peer->pods };

	if (peer->kind == BH_PEER_NODES)
		s.kind = ATOM_NODES;
	else if (peer->has_namespaces)
		s.namespaces = peer->namespaces;
	else
		s.own_ns = ns;
	return s;
}

/* One block: pointers from its start, texts behind them. */
struct block {
	char *pointers, *texts;
};

static void measure(const struct bh_selector *sel, size_t *pointers, size_t *texts)
{
	size_t i, j;

	*pointers += sel->n_reqs * sizeof(*sel->reqs);
	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_requirement *r = &sel->reqs[i];

		*pointers += r->n_values * sizeof(*r->values);
		*texts += strlen(r->key) + 1;
		for (j = 0; j < r->n_values; j++)
			*texts += strlen(r->values[j]) + 1;
	}
}

static void *take(struct block *b, size_t size)
{
	void *p = b->pointers;

	b->pointers += size;
	return p;
}

static const char *take_text(struct block *b, const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = memcpy(b->texts, s, size);

	b->texts += size;
	return copy;
}

static struct bh_selector copy_selector(struct block *b, const struct bh_selector *sel)
{
	struct bh_requirement *reqs = take(b, sel->n_reqs * sizeof(*reqs));
	size_t i, j;

	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_requirement *r = &sel->reqs[i];
		const char **values = take(b, r->n_values * sizeof(*values));

		for (j = 0; j < r->n_values; j++)
			values[j] = take_text(b, r->values[j]);
		reqs[i] = (struct bh_requirement){ .key = take_text(b, r->key),
						   .op = r->op,
						   .values = values,
						   .n_values = r->n_values };
	}
	return (struct bh_selector){ .reqs = reqs, .n_reqs = sel->n_reqs };
}

static struct atom *atom_get(struct bh_compiler *c, const struct set_member *m)
{
	size_t len = strlen(m->canonical), pointers = 0, texts = len + 1;
	struct block b;
	struct atom *a;

	HASH_FIND(hh, c->atoms, m->canonical, len, a);
	if (a)
		return a;
	a = bh_calloc(1, sizeof(*a));
	measure(&m->selector.namespaces, &pointers, &texts);
	measure(&m->selector.pods, &pointers, &texts);
	texts += m->selector.own_ns ? strlen(m->selector.own_ns) + 1 : 0;
	a->block = bh_malloc(pointers + texts);
	b = (struct block){ .pointers = a->block, .texts = (char *)a->block + pointers };
	a->canonical = b.texts;
	take_text(&b, m->canonical);
	a->selector = (struct peer_selector){
		.kind = m->selector.kind,
		.own_ns = m->selector.own_ns ? take_text(&b, m->selector.own_ns) : NULL,
		.namespaces = copy_selector(&b, &m->selector.namespaces),
		.pods = copy_selector(&b, &m->selector.pods),
	};
	HASH_ADD_KEYPTR(hh, c->atoms, a->canonical, len, a);
	index_add(&c->index, a);
	return a;
}

static void atom_use(struct atom *a, struct shared_set *set, size_t entry)
{
	bh_grow(&a->uses, &a->uses_cap, a->n_uses, sizeof(*a->uses));
	a->uses[a->n_uses++] = (struct set_use){ set, entry };
}

static void atom_unuse(struct bh_compiler *c, struct atom *a, const struct shared_set *set)
{
	size_t i;

	for (i = 0; i < a->n_uses; i++) {
		if (a->uses[i].set == set) {
			a->uses[i] = a->uses[--a->n_uses];
			break;
		}
	}
	if (a->n_uses)
		return;
	index_remove(&c->index, a);
	HASH_DEL(c->atoms, a);
	free(a->uses);
	free(a->block);
	free(a);
}

/* --- what a pod or node brings ------------------------------------------------------ */

typedef void elem_fn(struct bh_plan *plan, struct bh_plan_set *set, const struct bh_elem *elem);

static void change_port(struct bh_compiler *c, const struct shared_set *s,
			const struct bh_addr *addr, uint8_t protocol, uint16_t port, elem_fn *fn)
{
	struct bh_elem e = { 0 };

	bh_plan_key(BH_SET_ADDR_PROTO_PORT, addr, protocol, port, e.key);
	fn(c->plan, s->set[addr->family], &e);
}

static void change_addr(struct bh_compiler *c, const struct set_use *use,
			const struct bh_addr *addr, const struct bh_pod *pod, elem_fn *fn)
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

static void change_use(struct bh_compiler *c, const struct set_use *use, const struct bh_pod *pod,
		       elem_fn *fn)
{
	size_t i;

	for (i = 0; i < pod->n_addrs; i++)
		change_addr(c, use, &pod->addrs[i], pod, fn);
}

/* Host-network and finished pods own no addresses. */
static bool may_be_peer(const struct bh_pod *pod)
{
	return pod && pod->n_addrs && !pod->has_no_labels_yet && !pod->is_host_network &&
	       !pod->is_finished;
}

/* --- following the world ------------------------------------------------------------- */

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

	if (!bh_selector_matches(&a->selector.pods, &f->pod->labels))
		return;
	for (i = 0; i < a->n_uses; i++)
		change_use(f->c, &a->uses[i], f->pod, bh_plan_drop);
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

	if (!bh_selector_matches(&a->selector.pods, &f->pod->labels) ||
	    !is_in_namespace(a, f->pod, f->ns))
		return;
	for (i = 0; i < a->n_uses; i++)
		change_use(f->c, &a->uses[i], f->pod, bh_plan_put);
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

		if (b && strcmp(b->name, ns) == 0)
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

	if (!may_be_peer(a) || !may_be_peer(b))
		return may_be_peer(a) == may_be_peer(b);
	/* Pods share labels and ports while they are the same. */
	if (a->labels.items != b->labels.items || a->ports != b->ports || a->n_addrs != b->n_addrs)
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

	if (!may_be_peer(pod))
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
		if (is_put && may_be_peer(after))
			put_pod(c, after);
		if (!is_put && may_be_peer(before))
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
static void put_nodes(struct bh_compiler *c, const struct atom *a, const struct set_use *uses,
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
				change_addr(c, &uses[k], addr, NULL, bh_plan_put);
		}
	}
}

static void put_into_node_atom(void *ctx, struct atom *a)
{
	const struct follow *f = ctx;

	put_nodes(f->c, a, a->uses, a->n_uses);
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
			change_addr(d->c, &a->uses[i], &d->node->addrs[j], NULL, bh_plan_drop);
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

/* --- making them ------------------------------------------------------------------------ */

void comment_cut(struct bh_buf *b)
{
	/* NFTNL_UDATA_COMMENT_MAXLEN is 128 with the NUL; a quote would end it. */
	const size_t max = 120;
	size_t i;

	if (b->len > max) {
		b->len = max - 3;
		bh_buf_puts(b, "...");
	}
	for (i = 0; i < b->len; i++) {
		if (b->data[i] == '"' || b->data[i] == '\\' || b->data[i] < ' ' || b->data[i] > '~')
			b->data[i] = '?';
	}
}

static struct shared_set *find_set(const struct bh_compiler *c, const char *name)
{
	struct shared_set *s;

	HASH_FIND(hh, c->sets, name, strlen(name), s);
	return s;
}

static struct shared_set *new_set(struct bh_compiler *c, const char *name)
{
	struct shared_set *s = bh_calloc(1, sizeof(*s));

	s->name = bh_strdup(name);
	HASH_ADD_KEYPTR(hh, c->sets, s->name, strlen(s->name), s);
	return s;
}

/* The caller frees it. */
static char *name_of(const char *prefix, const struct bh_buf *content)
{
	char digest[BH_DIGEST_LEN + 1];

	bh_digest(content->data, content->len, digest);
	return bh_asprintf("%s_%s", prefix, digest);
}

static int cmp_member(const void *a, const void *b)
{
	const struct set_member *x = a, *y = b;

	return strcmp(x->canonical, y->canonical);
}

static void members_canonical(const struct set_member *members, size_t n, struct bh_buf *out)
{
	size_t i;

	for (i = 0; i < n; i++) {
		bh_buf_puts(out, members[i].canonical);
		if (members[i].ports) {
			bh_buf_putc(out, ' ');
			ports_canonical(members[i].ports, out);
		}
		bh_buf_putc(out, '\n');
	}
}

static void members_describe(const struct set_member *members, size_t n, struct bh_buf *out)
{
	size_t i;

	for (i = 0; i < n && out->len < 200; i++) {
		bh_buf_puts(out, i ? "; " : "");
		selector_describe(&members[i].selector, out);
		if (members[i].ports) {
			bh_buf_putc(out, ' ');
			ports_describe(members[i].ports, out);
		}
	}
	comment_cut(out);
}

struct fill {
	struct bh_compiler *c;
	struct set_use use;
};

static void on_member(void *ctx, const struct bh_pod *pod)
{
	const struct fill *f = ctx;

	if (may_be_peer(pod))
		change_use(f->c, &f->use, pod, bh_plan_put);
}

static void fill_entry(struct bh_compiler *c, struct shared_set *s, size_t entry)
{
	struct fill f = { .c = c, .use = { s, entry } };
	const struct atom *a = s->entries[entry].atom;

	if (a->selector.kind == ATOM_NODES)
		put_nodes(c, a, &f.use, 1);
	else
		bh_world_find_pods(c->w, a->selector.own_ns, &a->selector.namespaces,
				   &a->selector.pods, on_member, &f);
}

static void add_peer_plan_sets(struct bh_compiler *c, struct shared_set *s, const char *comment)
{
	enum bh_family f;

	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		bh_auto_free char *name =
			bh_asprintf("%c%c_%s", s->name[0], f == BH_IPV4 ? '4' : '6', s->name + 2);
		struct bh_set_spec spec = { .name = name, .comment = comment, .family = f };

		spec.kind = s->is_with_ports ? BH_SET_ADDR_PROTO_PORT : BH_SET_ADDR;
		s->set[f] = bh_plan_add_set(c->plan, &spec);
	}
}

struct shared_set *sets_peers(struct bh_compiler *c, const struct set_member *members, size_t n,
			      bool is_with_ports)
{
	bh_auto_free struct set_member *sorted = bh_reallocarray(NULL, n, sizeof(*sorted));
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };
	struct shared_set *s;
	bh_auto_free char *name = NULL;
	size_t i;

	memcpy(sorted, members, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), cmp_member);
	members_canonical(sorted, n, &text);
	name = name_of(is_with_ports ? "c" : "p", &text);
	s = find_set(c, name);
	if (s)
		return s;

	s = new_set(c, name);
	s->is_with_ports = is_with_ports;
	bh_buf_reset(&text);
	members_describe(sorted, n, &text);
	add_peer_plan_sets(c, s, bh_buf_str(&text));
	s->entries = bh_calloc(n, sizeof(*s->entries));
	s->n_entries = n;
	for (i = 0; i < n; i++) {
		struct set_entry *e = &s->entries[i];

		e->atom = atom_get(c, &sorted[i]);
		if (is_with_ports) {
			size_t j;

			ports_union(&e->ports, sorted[i].ports);
			/* The policy that says the name may go before the set does. */
			for (j = 0; j < e->ports.n_names; j++)
				e->ports.names[j].name = bh_strdup(e->ports.names[j].name);
		}
		atom_use(e->atom, s, i);
		fill_entry(c, s, i);
	}
	return s;
}

static void put_range(struct bh_compiler *c, const struct shared_set *s,
		      const struct bh_range *range, const struct port_range *ports)
{
	enum bh_family f = range ? (enum bh_family)range->first.family : BH_IPV4;
	const struct bh_set_spec *spec = &s->set[f]->spec;
	struct bh_elem e = { 0 };

	bh_plan_key(spec->kind, range ? &range->first : NULL, ports ? ports->protocol : 0,
		    ports ? ports->first : 0, e.key);
	bh_plan_key(spec->kind, range ? &range->last : NULL, ports ? ports->protocol : 0,
		    ports ? ports->last : 0, e.end);
	bh_plan_put(c->plan, s->set[f], &e);
}

static struct shared_set *fixed_set(struct bh_compiler *c, const char *name, enum bh_set_kind kind,
				    enum bh_family family, bool is_interval, const char *comment)
{
	struct shared_set *s = new_set(c, name);
	struct bh_set_spec spec = { .name = name,
				    .comment = comment,
				    .kind = kind,
				    .family = family,
				    .is_interval = is_interval };

	s->set[family] = bh_plan_add_set(c->plan, &spec);
	return s;
}

struct shared_set *sets_ports(struct bh_compiler *c, const struct port_set *ports)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };
	bool is_interval = !ports_is_exact(ports);
	struct shared_set *s;
	bh_auto_free char *name = NULL;
	size_t i;

	ports_canonical(ports, &text);
	name = name_of("q", &text);
	s = find_set(c, name);
	if (s)
		return s;
	bh_buf_reset(&text);
	ports_describe(ports, &text);
	comment_cut(&text);
	s = fixed_set(c, name, BH_SET_PROTO_PORT, BH_IPV4, is_interval, bh_buf_str(&text));
	for (i = 0; i < ports->n_ranges; i++) {
		struct port_range r = ports->ranges[i];
		uint32_t port;

		for (port = r.first; !is_interval && port <= r.last; port++)
			put_range(
				c, s, NULL,
				&(struct port_range){ r.protocol, (uint16_t)port, (uint16_t)port });
		if (is_interval)
			put_range(c, s, NULL, &r);
	}
	return s;
}

static void range_canonical(const struct bh_range *r, struct bh_buf *out)
{
	bh_buf_add(out, r->first.bytes, bh_family_len(r->first.family));
	bh_buf_add(out, r->last.bytes, bh_family_len(r->last.family));
}

struct shared_set *sets_ranges(struct bh_compiler *c, const struct range_list *l)
{
	bh_auto(bh_buf_done) struct bh_buf content = { 0 };
	struct shared_set *s;
	bh_auto_free char *name = NULL;
	size_t i;

	if (l->n == 0)
		return NULL;
	for (i = 0; i < l->n; i++)
		range_canonical(&l->items[i], &content);
	name = name_of(l->items[0].first.family == BH_IPV4 ? "n4" : "n6", &content);
	s = find_set(c, name);
	if (s)
		return s;
	s = fixed_set(c, name, BH_SET_ADDR, l->items[0].first.family, true, NULL);
	for (i = 0; i < l->n; i++)
		put_range(c, s, &l->items[i], NULL);
	return s;
}

struct shared_set *sets_range_ports(struct bh_compiler *c, const struct range_ports *items,
				    size_t n)
{
	bh_auto(bh_buf_done) struct bh_buf content = { 0 };
	struct shared_set *s;
	bh_auto_free char *name = NULL;
	enum bh_family family;
	size_t i, j;

	if (n == 0)
		return NULL;
	family = items[0].range.first.family;
	for (i = 0; i < n; i++) {
		range_canonical(&items[i].range, &content);
		ports_canonical(&items[i].ports, &content);
		bh_buf_putc(&content, '\n');
	}
	name = name_of(family == BH_IPV4 ? "x4" : "x6", &content);
	s = find_set(c, name);
	if (s)
		return s;
	s = fixed_set(c, name, BH_SET_ADDR_PROTO_PORT, family, true, NULL);
	for (i = 0; i < n; i++) {
		for (j = 0; j < items[i].ports.n_ranges; j++)
			put_range(c, s, &items[i].range, &items[i].ports.ranges[j]);
	}
	return s;
}

/* --- the end of a set --------------------------------------------------------------------- */

static void free_entries(struct bh_compiler *c, struct shared_set *s)
{
	size_t i, j;

	for (i = 0; i < s->n_entries; i++) {
		struct port_set *ports = &s->entries[i].ports;

		atom_unuse(c, s->entries[i].atom, s);
		for (j = 0; j < ports->n_names; j++)
			free((void *)(uintptr_t)ports->names[j].name);
		ports_done(ports);
	}
	free(s->entries);
}

static void free_set(struct bh_compiler *c, struct shared_set *s)
{
	enum bh_family f;

	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		if (s->set[f])
			bh_plan_remove_set(c->plan, s->set[f]);
	}
	free_entries(c, s);
	HASH_DEL(c->sets, s);
	free(s->name);
	free(s);
}

void sets_unuse(struct bh_compiler *c, struct shared_set *s)
{
	assert(s->n_users > 0);
	if (--s->n_users > 0 || s->is_listed)
		return;
	bh_grow(&c->unused_sets, &c->unused_sets_cap, c->n_unused_sets,
		sizeof(struct shared_set *));
	c->unused_sets[c->n_unused_sets++] = s;
	s->is_listed = true;
}

void sets_collect(struct bh_compiler *c)
{
	size_t i;

	for (i = 0; i < c->n_unused_sets; i++) {
		struct shared_set *s = c->unused_sets[i];

		s->is_listed = false;
		if (s->n_users == 0)
			free_set(c, s);
	}
	c->n_unused_sets = 0;
}

void sets_done(struct bh_compiler *c)
{
	struct shared_set *s, *next;

	HASH_ITER (hh, c->sets, s, next)
		free_set(c, s);
	free(c->unused_sets);
	index_done(&c->index);
}
