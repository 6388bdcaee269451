/*
 * The sets that profiles look into, shared between them and counted.
 *
 * A set of peers is made of atoms, each the canonical text of one selector, and
 * is named by them; it follows pods and nodes (compile_follow.c).  Sets of ports
 * and of address ranges are named by what is in them and never change.
 */
#include "compile_impl.h"

#include <assert.h>
#include <string.h>

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

static void remove_plan_sets(struct bh_compiler *c, struct shared_set *s)
{
	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++) {
		if (s->set[f])
			bh_plan_remove_set(c->plan, s->set[f]);
		s->set[f] = NULL;
	}
}

int64_t sets_limit(const struct bh_compiler *c, const struct shared_set *s)
{
	return (int64_t)(s->is_with_ports ? c->budget.peer_elems : c->budget.peer_addrs);
}

/* Beyond twice the limit nothing is gained by counting on. */
static bool is_counted_enough(const struct bh_compiler *c, const struct shared_set *s)
{
	return s->n_brought > 2 * sets_limit(c, s);
}

/* What is over the limit is taken out of the plan at once, not only when all is counted. */
static void on_member(void *ctx, const struct bh_pod *pod)
{
	const struct fill *f = ctx;
	struct shared_set *s = f->use.set;

	if (!is_peer(pod) || !atom_takes(s->entries[f->use.entry].atom, pod) ||
	    is_counted_enough(f->c, s))
		return;
	elems_of_pod(f->c, &f->use, pod, bh_plan_put);
	if (s->n_brought > sets_limit(f->c, s))
		remove_plan_sets(f->c, s);
}

static void on_any_pod(void *ctx, const struct bh_pod *pod)
{
	struct bh_compiler *c = ctx;

	if (!bh_pod_is_closed(pod))
		return;
	bh_grow(&c->closed_pods, &c->closed_pods_cap, c->n_closed_pods,
		sizeof(const struct bh_pod *));
	c->closed_pods[c->n_closed_pods++] = pod;
}

/* Mostly there are none; else they are looked for once in an update. */
static void each_closed_pod(struct bh_compiler *c,
			    void (*on_pod)(void *ctx, const struct bh_pod *pod), void *ctx)
{
	static const struct bh_selector everything = { 0 };

	if (!c->has_closed_pods && bh_world_stats(c->w).n_closed > 0)
		bh_world_find_pods(c->w, NULL, &everything, &everything, on_any_pod, c);
	c->has_closed_pods = true;
	for (size_t i = 0; i < c->n_closed_pods; i++)
		on_pod(ctx, c->closed_pods[i]);
}

static void fill_entry(struct bh_compiler *c, struct shared_set *s, size_t entry)
{
	struct fill f = { .c = c, .use = { s, entry } };
	const struct atom *a = s->entries[entry].atom;

	if (a->selector.kind == ATOM_NODES)
		elems_put_nodes(c, a, &f.use, 1);
	else if (a->selector.kind == ATOM_UNDECIDED)
		each_closed_pod(c, on_member, &f);
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

/*
 * Counts what the pods and nodes of today bring, and puts it in where there are
 * sets of the plan, up to the limit.
 */
static void fill(struct bh_compiler *c, struct shared_set *s)
{
	int64_t limit = sets_limit(c, s);

	s->is_filling = true;
	s->n_brought = 0;
	for (size_t i = 0; i < s->n_entries; i++)
		s->entries[i].n_of_nodes = 0;
	for (size_t i = 0; i < s->n_entries && !is_counted_enough(c, s); i++)
		fill_entry(c, s, i);
	s->is_partial = is_counted_enough(c, s);
	s->is_filling = false;
	s->is_over = s->n_brought > limit;
	if (s->is_over)
		remove_plan_sets(c, s);
}

/* How far an over set must shrink to be used again. */
static int64_t reopen_limit(const struct bh_compiler *c, const struct shared_set *s)
{
	return sets_limit(c, s) * (int64_t)c->budget.reopen_percent / 100;
}

static bool is_crossing(const struct bh_compiler *c, const struct shared_set *s)
{
	return s->is_over ? s->n_brought <= reopen_limit(c, s) : s->n_brought > sets_limit(c, s);
}

static void note_grown(struct bh_compiler *c, struct shared_set *s)
{
	if (s->is_grown)
		return;
	bh_grow(&c->grown_sets, &c->grown_sets_cap, c->n_grown_sets, sizeof(struct shared_set *));
	c->grown_sets[c->n_grown_sets++] = s;
	s->is_grown = true;
}

void sets_note_brought(struct bh_compiler *c, struct shared_set *s)
{
	note_grown(c, s);
	if (s->is_filling || s->is_crossing || !is_crossing(c, s))
		return;
	bh_grow(&c->crossing_sets, &c->crossing_sets_cap, c->n_crossing_sets,
		sizeof(struct shared_set *));
	c->crossing_sets[c->n_crossing_sets++] = s;
	s->is_crossing = true;
}

/* Rounded up to a step of an eighth, so that a set is charged anew after some growth only. */
static size_t in_steps(size_t n)
{
	size_t step = 1;

	while (step * 16 < n)
		step *= 2;
	return (n + step - 1) / step * step;
}

static size_t count_peer_elems(const struct shared_set *s)
{
	size_t n = 0;

	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++)
		n += s->set[f] ? bh_plan_set_size(s->set[f]) : 0;
	return in_steps(n);
}

struct shared_set *sets_next_grown(struct bh_compiler *c)
{
	while (c->n_grown_sets > 0) {
		struct shared_set *s = c->grown_sets[--c->n_grown_sets];

		s->is_grown = false;
		if (count_peer_elems(s) != s->n_costed)
			return s;
	}
	return NULL;
}

/*
 * In the kernel and here: an element of a hash set, of a tree of intervals, a row of a
 * table of ranges (whose time goes with the square), a selector.
 */
#define ELEM_BYTES      150
#define INTERVAL_BYTES  250
#define SLOT_BYTES      250
#define SELECTOR_BYTES  1000
#define ELEM_US         3
#define INTERVAL_US     5
#define SLOTS_SQUARE_US 1342

struct cost sets_cost(struct shared_set *s)
{
	bool is_interval = false;
	uint64_t slots = s->n_slots, n = s->n_elems;

	if (s->entries)
		n = s->n_costed = count_peer_elems(s);
	else
		for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++)
			is_interval |= s->set[f] && s->set[f]->spec.is_interval;
	return (struct cost){ {
		[COST_ELEMS] = n,
		[COST_BYTES] = n * (is_interval ? INTERVAL_BYTES : ELEM_BYTES) +
			       slots * SLOT_BYTES + s->n_entries * SELECTOR_BYTES,
		[COST_US] = n * (is_interval && !slots ? INTERVAL_US : ELEM_US) +
			    slots * slots / SLOTS_SQUARE_US,
	} };
}

struct shared_set *sets_next_crossing(struct bh_compiler *c)
{
	while (c->n_crossing_sets > 0) {
		struct shared_set *s = c->crossing_sets[--c->n_crossing_sets];
		int64_t reopen = reopen_limit(c, s);

		s->is_crossing = false;
		if (!is_crossing(c, s))
			continue;
		if (!s->is_over) {
			s->is_over = true;
			remove_plan_sets(c, s);
			return s;
		}
		if (s->is_partial)
			fill(c, s); /* there are no sets of the plan: it only counts */
		s->is_over = s->n_brought > reopen;
		if (!s->is_over)
			return s;
	}
	return NULL;
}

static void make_peer_sets(struct bh_compiler *c, struct shared_set *s,
			   const struct set_member *sorted, size_t n)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };

	members_describe(sorted, n, &text);
	add_peer_plan_sets(c, s, bh_buf_str(&text));
	fill(c, s);
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
	bh_sort(sorted, n, sizeof(*sorted), cmp_member);
	members_canonical(sorted, n, &text);
	name = name_of(is_with_ports ? "c" : "p", &text);
	s = find_set(c, name);
	if (s) {
		/* It was over, and is not any more. */
		if (!s->is_over && !s->set[BH_IPV4])
			make_peer_sets(c, s, sorted, n);
		return s;
	}

	s = new_set(c, name);
	s->is_with_ports = is_with_ports;
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
	}
	make_peer_sets(c, s, sorted, n);
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

/* Of one that is made. */
static void note_need(struct shared_set *s, const struct need *need, size_t n_elems)
{
	s->n_elems = n_elems;
	s->n_slots = need->slots;
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
	struct need need = { 0 };
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
	need_add_ports(ports, &need);
	note_need(s, &need, is_interval ? ports->n_ranges : need.elems);
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
	s->n_elems = l->n;
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
	struct need need = { 0 };
	size_t n_elems = 0, i, j;

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
	need_add_joined(items, n, &need);
	for (i = 0; i < n; i++) {
		n_elems += items[i].ports.n_ranges;
		for (j = 0; j < items[i].ports.n_ranges; j++)
			put_range(c, s, &items[i].range, &items[i].ports.ranges[j]);
	}
	note_need(s, &need, n_elems);
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

/* A list of sets to look at has none that is gone. */
static void unlist(struct shared_set **list, size_t *n, const struct shared_set *s)
{
	for (size_t i = *n; i-- > 0;)
		if (list[i] == s)
			list[i] = list[--*n];
}

static void free_set(struct bh_compiler *c, struct shared_set *s)
{
	if (s->is_grown)
		unlist(c->grown_sets, &c->n_grown_sets, s);
	if (s->is_crossing)
		unlist(c->crossing_sets, &c->n_crossing_sets, s);
	remove_plan_sets(c, s);
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
	/* The world is about to change. */
	c->n_closed_pods = 0;
	c->has_closed_pods = false;
}

void sets_done(struct bh_compiler *c)
{
	struct shared_set *s, *next;

	HASH_ITER (hh, c->sets, s, next)
		free_set(c, s);
	free(c->unused_sets);
	free(c->crossing_sets);
	free(c->closed_pods);
	free(c->grown_sets);
	index_done(&c->index);
}
