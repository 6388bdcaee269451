/*
 * Profiles: which policies judge a pod in one direction, and one set of chains
 * for all pods where the answer is the same.
 *
 * A profile's identity is the digest of what its policies say in that direction,
 * in evaluation order, with the numbers that named ports have in its pods.
 */
#include "compile_impl.h"

#include <string.h>

/* --- policies ------------------------------------------------------------------------ */

static void add_text(struct bh_buf *b, const char *s)
{
	bh_buf_printf(b, "%zu'%s'", s ? strlen(s) : 0, s ? s : "");
}

static void add_peer(struct bh_buf *b, const struct bh_policy *p, const struct bh_peer *peer)
{
	struct peer_selector selector;
	char text[BH_CIDR_STRLEN];
	size_t i;

	switch (peer->kind) {
	case BH_PEER_PODS:
	case BH_PEER_NODES:
		selector = selector_of(p->namespace, peer);
		selector_canonical(&selector, b);
		return;
	case BH_PEER_CIDR:
		bh_buf_puts(b, bh_cidr_format(&peer->cidr, text));
		for (i = 0; i < peer->n_except; i++)
			bh_buf_printf(b, "-%s", bh_cidr_format(&peer->except[i], text));
		return;
	case BH_PEER_NOTHING: bh_buf_puts(b, "nothing"); return;
	case BH_PEER_KIND_COUNT_: break;
	}
	abort();
}

static void add_rule(struct bh_buf *b, const struct bh_policy *p, const struct bh_rule *r)
{
	size_t i;

	bh_buf_printf(b, "\n%s peers", bh_action_str(r->action));
	for (i = 0; r->has_peers && i < r->n_peers; i++) {
		bh_buf_putc(b, ' ');
		add_peer(b, p, &r->peers[i]);
	}
	bh_buf_puts(b, r->has_peers ? " ports" : " all ports");
	for (i = 0; r->has_ports && i < r->n_ports; i++) {
		const struct bh_policy_port *port = &r->ports[i];

		bh_buf_printf(b, " %u/%u-%u", port->protocol, port->first, port->last);
		add_text(b, port->name);
	}
	if (!r->has_ports)
		bh_buf_puts(b, " all");
}

static void digest_policy(const struct bh_policy *p, enum bh_dir dir, char ret[BH_DIGEST_LEN + 1])
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };
	size_t i;

	bh_buf_printf(&b, "%s %s %d", bh_policy_kind_str(p->kind), bh_tier_str(p->tier),
		      p->isolates[dir]);
	add_text(&b, p->namespace);
	add_text(&b, p->name);
	add_text(&b, p->uid);
	if (p->invalid)
		bh_buf_puts(&b, " invalid");
	for (i = 0; !p->invalid && i < p->rules[dir].n; i++)
		add_rule(&b, p, &p->rules[dir].items[i]);
	bh_digest(b.data, b.len, ret);
}

/* A function of what digest_policy() has. */
static size_t count_items(const struct bh_policy *p, enum bh_dir dir)
{
	size_t n = 0;

	for (size_t i = 0; !p->invalid && i < p->rules[dir].n; i++) {
		const struct bh_rule *r = &p->rules[dir].items[i];

		n += 1 + r->n_peers + r->n_ports;
		for (size_t k = 0; k < r->n_peers; k++)
			n += r->peers[k].n_except;
	}
	return n;
}

static void note_names(struct policy_note *note, const struct bh_policy *p)
{
	const struct bh_rules *rules = &p->rules[BH_INGRESS];
	size_t i, j;

	for (i = 0; i < rules->n; i++) {
		for (j = 0; j < rules->items[i].n_ports; j++) {
			const struct bh_policy_port *port = &rules->items[i].ports[j];

			if (port->name)
				ports_add_name(&note->names, port->name, port->protocol);
		}
	}
	ports_normalise(&note->names);
}

static const struct policy_note *policy_note(struct bh_compiler *c, const struct bh_policy *p)
{
	struct policy_note *note;
	enum bh_dir dir;

	HASH_FIND_PTR(c->notes, &p, note);
	if (note)
		return note;
	note = bh_calloc(1, sizeof(*note));
	note->policy = p;
	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		if (bh_policy_speaks(p, dir))
			digest_policy(p, dir, note->digest[dir]);
		note->n_items[dir] = count_items(p, dir);
	}
	note_names(note, p);
	HASH_ADD_PTR(c->notes, policy, note);
	return note;
}

static void free_note(struct bh_compiler *c, struct policy_note *note)
{
	HASH_DEL(c->notes, note);
	ports_done(&note->names);
	free(note);
}

void policy_forget(struct bh_compiler *c, const struct bh_policy *p)
{
	struct policy_note *note;

	HASH_FIND_PTR(c->notes, &p, note);
	if (note)
		free_note(c, note);
}

/* --- which policies --------------------------------------------------------------------- */

void selection_done(struct selection *s)
{
	free(s->all.items);
	free(s->enforced.items);
	free(s->audited.items);
	bh_buf_done(&s->identity);
}

/* The pod's ports that the policy's rules name: their numbers are part of what it says. */
static void add_numbers(struct bh_buf *b, const struct policy_note *note, const struct bh_pod *pod)
{
	for (size_t i = 0; i < pod->n_ports; i++) {
		const struct bh_port *port = &pod->ports[i];

		if (!port->name || !ports_has_name(&note->names, port))
			continue;
		add_text(b, port->name);
		bh_buf_printf(b, "%u/%u;", port->protocol, port->number);
	}
}

static void select_policies(struct bh_compiler *c, const struct bh_pod *pod, enum bh_dir dir,
			    struct selection *s)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies_of(c->w, pod->namespace, &policies), most = 0, i;

	s->all.items = bh_calloc(n, sizeof(struct bh_policy *));
	s->enforced.items = bh_calloc(n, sizeof(struct bh_policy *));
	s->audited.items = bh_calloc(n, sizeof(struct bh_policy *));
	s->pod = pod;
	bh_buf_puts(&s->identity, bh_dir_str(dir));
	for (i = 0; i < n; i++) {
		const struct bh_policy *p = policies[i];
		const struct policy_note *note;
		struct policy_list *l;

		if (!bh_policy_speaks(p, dir) || !bh_world_selects(c->w, p, pod))
			continue;
		note = policy_note(c, p);
		l = bh_world_policy_mode(c->w, p) == BH_AUDIT ? &s->audited : &s->enforced;
		l->items[l->n++] = p;
		s->all.items[s->all.n++] = p;
		s->n_items += note->n_items[dir];
		s->is_of_namespace |= *p->namespace != '\0';
		if (!s->heaviest || note->n_items[dir] > most) {
			most = note->n_items[dir];
			s->heaviest = p;
		}
		bh_buf_printf(&s->identity, "\n%c %s", l == &s->audited ? 'a' : 'e',
			      note->digest[dir]);
		if (dir == BH_INGRESS)
			add_numbers(&s->identity, note, pod);
	}
}

/* --- profiles ------------------------------------------------------------------------------ */

static struct profile *find_identity(const struct bh_compiler *c, const char *identity)
{
	struct profile *p;

	HASH_FIND(hh, c->profiles, identity, strlen(identity), p);
	return p;
}

static struct profile *find_name(const struct bh_compiler *c, const char *name)
{
	struct profile *p;

	HASH_FIND(by_name, c->profiles_by_name, name, strlen(name), p);
	return p;
}

void profile_unselect(struct profile *p)
{
	if (p->selection)
		selection_done(p->selection);
	free(p->selection);
	p->selection = NULL;
}

static void free_profile(struct bh_compiler *c, struct profile *p)
{
	if (!p->is_retired)
		HASH_DELETE(by_name, c->profiles_by_name, p);
	profile_unselect(p);
	bh_arena_free(&p->arena);
	free(p);
}

/* One of that name came back: what is known of the old one is known of the new. */
static void forget_gone(struct bh_compiler *c, const char *name)
{
	struct profile *old = find_name(c, name);
	size_t i;

	for (i = 0; old && i < MAX_GONE; i++) {
		if (c->gone[i] == old)
			c->gone[i] = NULL;
	}
	if (!old)
		return;
	if (old->is_listed) {
		/* profiles_collect() frees it. */
		HASH_DELETE(by_name, c->profiles_by_name, old);
		old->is_retired = true;
	} else {
		free_profile(c, old);
	}
}

static struct bh_policy_id copy_id(struct bh_arena *arena, const struct bh_policy_id *id)
{
	return (struct bh_policy_id){
		.kind = id->kind,
		.namespace = bh_arena_strdup(arena, id->namespace),
		.name = bh_arena_strdup(arena, id->name),
		.uid = bh_arena_strdup(arena, id->uid),
	};
}

static const struct bh_policy_id *copy_ids(struct bh_arena *arena, const struct bh_policy_id *from,
					   size_t n)
{
	struct bh_policy_id *ids = bh_arena_array(arena, n, sizeof(*ids));
	size_t i;

	for (i = 0; i < n; i++)
		ids[i] = copy_id(arena, &from[i]);
	return ids;
}

static const struct bh_policy_id *ids_of(struct bh_arena *arena, const struct policy_list *l)
{
	struct bh_policy_id *ids = bh_arena_array(arena, l->n, sizeof(*ids));
	size_t i;

	for (i = 0; i < l->n; i++) {
		const struct bh_policy *p = l->items[i];

		ids[i] = copy_id(arena,
				 &(struct bh_policy_id){ p->kind, p->namespace, p->name, p->uid });
	}
	return ids;
}

/* @name_digest tells it from others of its identity that came before. */
static struct profile *new_profile(struct bh_compiler *c, enum bh_dir dir, const char *identity,
				   const char *name_digest)
{
	struct profile *p = bh_calloc(1, sizeof(*p));

	p->arena = bh_arena_new();
	p->pub.dir = dir;
	p->pub.name =
		bh_arena_printf(p->arena, "%s_%s", dir == BH_INGRESS ? "in" : "eg", name_digest);
	memcpy(p->identity, identity, sizeof(p->identity));
	forget_gone(c, p->pub.name);
	HASH_ADD_KEYPTR(hh, c->profiles, p->identity, strlen(p->identity), p);
	HASH_ADD_KEYPTR(by_name, c->profiles_by_name, p->pub.name, strlen(p->pub.name), p);
	return p;
}

void profile_use(struct profile *p, struct shared_set *s)
{
	bh_grow(&p->sets, &p->sets_cap, p->n_sets, sizeof(struct shared_set *));
	p->sets[p->n_sets++] = s;
	s->n_users++;
}

/* Takes it out of the plan. */
static void release(struct bh_compiler *c, struct profile *p)
{
	size_t i;

	for (i = 0; i < p->n_chains; i++)
		bh_plan_remove_chain(c->plan, p->chains[i]);
	for (i = 0; i < p->n_sets; i++)
		sets_unuse(c, p->sets[i]);
	free(p->chains);
	free(p->sets);
	p->pub.chain = NULL;
	p->chains = NULL;
	p->sets = NULL;
	p->n_chains = p->chains_cap = 0;
	p->n_sets = p->sets_cap = 0;
}

static void list_empty(struct bh_compiler *c, struct profile *p)
{
	if (p->is_listed)
		return;
	bh_grow(&c->empty_profiles, &c->empty_profiles_cap, c->n_empty_profiles,
		sizeof(struct profile *));
	c->empty_profiles[c->n_empty_profiles++] = p;
	p->is_listed = true;
}

void profile_retire(struct bh_compiler *c, struct profile *p)
{
	release(c, p);
	HASH_DEL(c->profiles, p);
	HASH_DELETE(by_name, c->profiles_by_name, p);
	p->is_retired = true;
}

/* What it costs stays known of one that takes its place. */
static void take_account(struct profile *p, const struct profile *old)
{
	p->ns = bh_arena_strdup(p->arena, old->ns);
	p->n_items = old->n_items;
	p->own = old->own;
	p->n_world = old->n_world;
	p->is_charged = old->is_charged;
	p->charges = bh_arena_array(p->arena, old->n_charges, sizeof(*p->charges));
	p->n_charges = old->n_charges;
	for (size_t i = 0; i < old->n_charges; i++)
		p->charges[i] = (struct charge){ bh_arena_strdup(p->arena, old->charges[i].name),
						 old->charges[i].cost };
}

struct profile *profile_close(struct bh_compiler *c, struct profile *old, const char *why)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };
	char digest[BH_DIGEST_LEN + 1];
	struct profile *p;

	bh_buf_printf(&text, "closed %s", old->identity);
	bh_digest(text.data, text.len, digest);
	HASH_DEL(c->profiles, old);
	p = new_profile(c, old->pub.dir, old->identity, digest);
	p->pub.closed = bh_arena_strdup(p->arena, why);
	p->over = old->over ? p->pub.closed : NULL;
	p->blame = copy_id(p->arena, &old->blame);
	if (p->over)
		p->pub.blamed = &p->blame;
	take_account(p, old);
	p->pub.enforced = copy_ids(p->arena, old->pub.enforced, old->pub.n_enforced);
	p->pub.n_enforced = old->pub.n_enforced;
	p->pub.audited = copy_ids(p->arena, old->pub.audited, old->pub.n_audited);
	p->pub.n_audited = old->pub.n_audited;
	/* Where nothing is enforced, nothing is denied for want of a set. */
	chains_build_closed(c, p, old->pub.n_enforced == 0);
	list_empty(c, old);
	return p;
}

/*
 * A closed one in place of @p, which is over its budget.  It keeps the sets that
 * are over, so that they are counted, and it is built again once they are not.
 */
static struct profile *close_over(struct bh_compiler *c, struct profile *p)
{
	struct profile *closed = profile_close(c, p, p->over);

	c->has_new_over = true;
	for (size_t i = 0; i < p->n_sets; i++) {
		if (p->sets[i]->is_over)
			profile_use(closed, p->sets[i]);
	}
	release(c, p);
	profile_unselect(p);
	locals_move(c, p, closed);
	/* What was built in vain is much, and others may follow. */
	sets_collect(c);
	return closed;
}

/* Beside its sets: rules, and the time to look at its policies. */
#define RULE_BYTES   1000
#define RULE_US      2
#define WORK_PER_US  20
#define ITEMS_PER_US 1

void profile_charge(struct bh_compiler *c, struct profile *p)
{
	uint64_t rules = 0;

	for (size_t i = 0; i < p->n_chains; i++)
		rules += p->chains[i]->n_rules;
	p->own = (struct cost){ {
		[COST_RULES] = rules,
		[COST_BYTES] = rules * RULE_BYTES,
		[COST_US] = rules * RULE_US + p->work / WORK_PER_US + p->n_items / ITEMS_PER_US,
	} };
	if (!p->is_charged) {
		p->charges = bh_arena_array(p->arena, p->n_sets, sizeof(*p->charges));
		p->n_charges = p->n_sets;
		for (size_t i = 0; i < p->n_sets; i++)
			p->charges[i].name = bh_arena_strdup(p->arena, p->sets[i]->name);
	}
	for (size_t i = 0; i < p->n_sets; i++)
		p->charges[i].cost = sets_cost(p->sets[i]);
	p->n_world = bh_world_stats(c->w).n_pods;
	p->is_charged = true;
}

struct profile *profile_build(struct bh_compiler *c, struct profile *p)
{
	const struct selection *s = p->selection;
	bool is_built = chains_build(c, p, &s->enforced, &s->audited, &s->all, s->pod);

	if (!is_built) {
		p->own = (struct cost){ { [COST_US] = p->work / WORK_PER_US +
						      p->n_items / ITEMS_PER_US } };
		p->is_charged = true;
		c->loaded_us += p->own.of[COST_US];
		return close_over(c, p);
	}
	profile_charge(c, p);
	c->loaded_us += p->own.of[COST_US];
	for (size_t i = 0; i < p->n_sets; i++)
		if (p->sets[i]->n_users == 1)
			c->loaded_us += p->charges[i].cost.of[COST_US];
	profile_unselect(p);
	return p;
}

struct profile *profile_close_total(struct bh_compiler *c, struct profile *p, const char *why)
{
	struct profile *closed;

	p->over = why;
	closed = profile_close(c, p, why);
	p->over = NULL;
	closed->is_over_total = true;
	c->has_new_over = true;
	release(c, p);
	profile_unselect(p);
	locals_move(c, p, closed);
	sets_collect(c);
	return closed;
}

static void set_selection(struct profile *p, struct selection *s)
{
	p->selection = bh_calloc(1, sizeof(*p->selection));
	*p->selection = *s;
	*s = (struct selection){ 0 };
}

void profile_select(struct bh_compiler *c, struct profile *p)
{
	struct selection s = { 0 };

	select_policies(c, locals_of(c, p), p->pub.dir, &s);
	set_selection(p, &s);
}

/* With a selection: totals_settle() builds it once all that are wanted are known. */
static struct profile *make_profile(struct bh_compiler *c, const struct bh_pod *pod,
				    enum bh_dir dir)
{
	bh_auto(selection_done) struct selection s = { 0 };
	char identity[BH_DIGEST_LEN + 1];
	struct profile *p;

	select_policies(c, pod, dir, &s);
	if (s.all.n == 0)
		return NULL;
	bh_digest(s.identity.data, s.identity.len, identity);
	p = find_identity(c, identity);
	if (p)
		return p;
	p = new_profile(c, dir, identity, identity);
	p->pub.enforced = ids_of(p->arena, &s.enforced);
	p->pub.n_enforced = s.enforced.n;
	p->pub.audited = ids_of(p->arena, &s.audited);
	p->pub.n_audited = s.audited.n;
	p->blame =
		copy_id(p->arena, &(struct bh_policy_id){ s.heaviest->kind, s.heaviest->namespace,
							  s.heaviest->name, s.heaviest->uid });
	p->ns = bh_arena_strdup(p->arena, s.is_of_namespace ? pod->namespace : "");
	p->n_items = s.n_items;
	set_selection(p, &s);
	c->is_unsettled = true;
	return p;
}

struct profile *profile_reopen(struct bh_compiler *c, struct profile *p)
{
	const struct bh_pod *pod = locals_of(c, p);
	struct profile *again;

	profile_retire(c, p);
	again = make_profile(c, pod, p->pub.dir);
	again->is_reopened = true;
	locals_move(c, p, again);
	return again;
}

/* For pods of which no more is known than @what and @why, so they are closed, or audited. */
static struct profile *common_profile(struct bh_compiler *c, enum bh_dir dir, const char *what,
				      const char *why)
{
	bool is_audit = bh_world_mode(c->w) == BH_AUDIT;
	bh_auto_free char *text =
		bh_asprintf("%s of %s%s", bh_dir_str(dir), what, is_audit ? " in audit" : "");
	char identity[BH_DIGEST_LEN + 1];
	struct profile *p;

	bh_digest(text, strlen(text), identity);
	p = find_identity(c, identity);
	if (p)
		return p;
	p = new_profile(c, dir, identity, identity);
	p->ns = "";
	p->pub.closed = why;
	chains_build_closed(c, p, is_audit);
	return p;
}

/* Nobody knows which policies are about the pod. */
static struct profile *unknown_profile(struct bh_compiler *c, enum bh_dir dir)
{
	return common_profile(c, dir, "unknown labels", "the labels of the pod are not known yet");
}

struct profile *profile_loading(struct bh_compiler *c, enum bh_dir dir)
{
	return common_profile(c, dir, "rules that are loaded",
			      "the rules of the pod are many and not loaded yet");
}

/* A quarantine is about one of several pods that are the same otherwise; NULL: none is. */
static const struct bh_pod *one_in_quarantine(const struct bh_compiler *c, const struct bh_pod *pod)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies_of(c->w, pod->namespace, &policies);

	/* They come first. */
	for (size_t i = 0; i < n && policies[i]->kind == BH_QUARANTINE; i++)
		if ((policies[i]->pod || policies[i]->is_by_annotation) &&
		    bh_world_selects(c->w, policies[i], pod))
			return pod;
	return NULL;
}

static struct profile_memo *memo_of(struct bh_compiler *c, const struct bh_pod *pod)
{
	const void *key[] = { pod->namespace, pod->labels.items, pod->ports,
			      one_in_quarantine(c, pod) };
	struct profile_memo *m;
	enum bh_dir dir;

	HASH_FIND(hh, c->memos, key, sizeof(key), m);
	if (m)
		return m;
	m = bh_calloc(1, sizeof(*m));
	memcpy(m->key, key, sizeof(key));
	for (dir = 0; dir < BH_DIR_COUNT_; dir++)
		m->profile[dir] = make_profile(c, pod, dir);
	HASH_ADD(hh, c->memos, key, sizeof(m->key), m);
	return m;
}

void profiles_forget_pods(struct bh_compiler *c)
{
	struct profile_memo *m, *next;

	HASH_ITER (hh, c->memos, m, next) {
		HASH_DEL(c->memos, m);
		free(m);
	}
}

struct profile *profiles_find(struct bh_compiler *c, const struct bh_pod *pod, enum bh_dir dir)
{
	if (pod->is_host_network || pod->is_finished)
		return NULL;
	return bh_pod_is_closed(pod) ? unknown_profile(c, dir) : memo_of(c, pod)->profile[dir];
}

void profiles_join(struct bh_compiler *c, struct profile *p)
{
	(void)c;
	p->pub.n_pods++;
}

void profiles_leave(struct bh_compiler *c, struct profile *p)
{
	if (--p->pub.n_pods > 0)
		return;
	list_empty(c, p);
	c->is_unsettled = true;
}

void profiles_collect(struct bh_compiler *c)
{
	size_t i;

	for (i = 0; i < c->n_empty_profiles; i++) {
		struct profile *p = c->empty_profiles[i], **slot = &c->gone[c->next_gone];

		p->is_listed = false;
		if (p->pub.n_pods || p->n_waiting)
			continue;
		release(c, p);
		if (p->is_retired) {
			free_profile(c, p);
			continue;
		}
		if (find_identity(c, p->identity) == p)
			HASH_DEL(c->profiles, p);
		if (*slot)
			free_profile(c, *slot);
		*slot = p;
		c->next_gone = (c->next_gone + 1) % MAX_GONE;
	}
	c->n_empty_profiles = 0;
}

bool profile_looks_into(const struct profile *p, const struct shared_set *s)
{
	for (size_t i = 0; i < p->n_sets; i++) {
		if (p->sets[i] == s)
			return true;
	}
	return false;
}

bool profile_uses(const struct profile *p, const char *name)
{
	enum bh_family f;
	size_t i;

	for (i = 0; i < p->n_chains; i++) {
		if (strcmp(p->chains[i]->name, name) == 0)
			return true;
	}
	for (i = 0; i < p->n_sets; i++) {
		for (f = 0; f < BH_FAMILY_COUNT_; f++) {
			const struct bh_plan_set *set = p->sets[i]->set[f];

			if (set && strcmp(set->spec.name, name) == 0)
				return true;
		}
	}
	return false;
}

void profiles_done(struct bh_compiler *c)
{
	struct policy_note *note, *next_note;
	struct profile *p, *next;

	HASH_ITER (hh, c->notes, note, next_note)
		free_note(c, note);
	profiles_forget_pods(c);
	HASH_CLEAR(hh, c->profiles);
	HASH_ITER (by_name, c->profiles_by_name, p, next) {
		release(c, p);
		free_profile(c, p);
	}
	free(c->empty_profiles);
}
