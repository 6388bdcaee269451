/*
 * Theory of operation.
 *
 * For each local pod and direction the policies that select the pod are
 * gathered; what they say makes a profile (compile_profile.c), and a profile is
 * a chain or a few (compile_chain.c) with a number of lookups that does not grow
 * (compile_match.c) into sets that are shared between profiles
 * (compile_sets.c).  Four maps lead each local pod's addresses to its profiles'
 * chains; the base chains (compile_base.c) consult them.
 *
 * Everything is named by what it stands for.  So the plan depends on the world
 * alone and not on how it came to be, and an update needs to look only at what
 * changed:
 *
 *   a pod anywhere   its addresses move between the peer sets whose selectors
 *                    may concern it, which an index of labels tells
 *   a local pod      its policies are gathered again, its map elements follow
 *   a namespace      the same for its pods
 *   a policy         local pods that it selects or selected are gathered again;
 *                    sets do not belong to policies
 *   a node           sets of nodes are filled again
 *
 * An update first takes everything out that changed objects brought in, then
 * puts in what they bring now; the plan nets it.  Profiles and sets that nobody
 * uses are removed at the end, so that what is only handed on stays.
 */
#include "compile_impl.h"

#include <assert.h>
#include <string.h>

const struct bh_class_words *bh_class_words(enum bh_verdict_class c)
{
	static const struct bh_class_words words[] = {
		[BH_CLASS_DENIED] = { .verdict = "denied",
				      .letter = 'd',
				      .counter = BH_COUNTER_DENIED,
				      .logged = BH_COUNTER_LOGGED },
		[BH_CLASS_AUDIT] = { .verdict = "audit-denied",
				     .letter = 'a',
				     .counter = BH_COUNTER_AUDIT,
				     .logged = BH_COUNTER_AUDIT_LOGGED },
	};
	static_assert(BH_ARRAY_LEN(words) == BH_CLASS_COUNT_, "every class has words");

	return &words[c];
}

struct bh_compile_config bh_compile_config_of(uint16_t log_group, uint32_t log_rate)
{
	return (struct bh_compile_config){
		.log_group = log_group,
		.log_snaplen = BH_LOG_SNAPLEN,
		.log_rate = log_rate,
		.log_burst = 2 * log_rate,
	};
}

struct bh_compiler *bh_compiler_new(struct bh_world *w, const struct bh_compile_config *config)
{
	struct bh_compiler *c = bh_calloc(1, sizeof(*c));

	c->w = w;
	c->config = *config;
	c->budget = limits_of(&config->limits);
	c->plan = bh_plan_new(BH_TABLE_INET);
	base_build(c);
	return c;
}

void bh_compiler_free(struct bh_compiler **c_ptr)
{
	struct bh_compiler *c = *c_ptr;
	struct local_pod *l, *next;

	if (!c)
		return;
	HASH_ITER (hh, c->locals, l, next) {
		HASH_DEL(c->locals, l);
		free(l);
	}
	profiles_done(c);
	sets_done(c);
	free(c->stale);
	free(c->last_served);
	bh_plan_free(&c->plan);
	free(c);
	*c_ptr = NULL;
}

void bh_compiler_set_load(struct bh_compiler *c, uint64_t us)
{
	c->load_us = us;
}

bool bh_compiler_is_waiting(const struct bh_compiler *c)
{
	return c->n_waiting > 0;
}

struct bh_plan *bh_compiler_plan(struct bh_compiler *c)
{
	return c->plan;
}

/* --- local pods ------------------------------------------------------------------------ */

static struct local_pod *find_local(const struct bh_compiler *c, const struct bh_pod *pod)
{
	const char *key[] = { pod->namespace, pod->name, pod->uid };
	struct local_pod *l;

	HASH_FIND(hh, c->locals, key, sizeof(key), l);
	return l;
}

static void mark_stale(struct bh_compiler *c, struct local_pod *l)
{
	if (l->is_stale)
		return;
	bh_grow(&c->stale, &c->stale_cap, c->n_stale, sizeof(struct local_pod *));
	c->stale[c->n_stale++] = l;
	l->is_stale = true;
}

static struct local_pod *add_local(struct bh_compiler *c, const struct bh_pod *pod)
{
	struct local_pod *l = bh_calloc(1, sizeof(*l));

	l->key[0] = pod->namespace;
	l->key[1] = pod->name;
	l->key[2] = pod->uid;
	HASH_ADD(hh, c->locals, key, sizeof(l->key), l);
	return l;
}

static void change_elem(struct bh_compiler *c, struct bh_plan_set *set, const struct bh_elem *e,
			bool is_put)
{
	if (is_put)
		bh_plan_put(c->plan, set, e);
	else
		bh_plan_drop(c->plan, set, e);
}

/*
 * The pod's addresses as those of this node.  One that routes may tell errors of connections
 * that are not its own.
 */
static void change_local(struct bh_compiler *c, const struct bh_pod *pod, bool is_put)
{
	for (size_t i = 0; i < pod->n_addrs; i++) {
		struct bh_elem e = { .chain = NULL };

		bh_plan_key(BH_SET_ADDR, &pod->addrs[i], 0, 0, e.key);
		change_elem(c, c->local[pod->addrs[i].family], &e, is_put);
		if (pod->n_extra > 0)
			continue;
		bh_plan_pack(
			BH_SET_ADDR_PAIR,
			&(struct bh_key_values){ .addr = &pod->addrs[i], .addr2 = &pod->addrs[i] },
			e.key);
		change_elem(c, c->self[pod->addrs[i].family], &e, is_put);
	}
}

/* Map elements of what the pod has now, towards the profiles it has now. */
static void change_elems(struct bh_compiler *c, const struct local_pod *l, bool is_put)
{
	enum bh_dir dir;
	size_t i;

	if (l->pod)
		change_local(c, l->pod, is_put);
	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		const struct profile *p = l->profile[dir];

		/* One that is not built yet leads nowhere. */
		if (is_put && p && p->n_chains == 0)
			continue;
		for (i = 0; p && l->pod && i < l->pod->n_addrs; i++) {
			const struct bh_addr *a = &l->pod->addrs[i];
			struct bh_elem e = { .chain = p->n_chains ? p->chains[0] : NULL };

			bh_plan_key(BH_SET_VERDICT_MAP, a, 0, 0, e.key);
			change_elem(c, c->maps[dir][a->family], &e, is_put);
		}
	}
}

static void set_profile(struct bh_compiler *c, struct local_pod *l, enum bh_dir dir,
			struct profile *p)
{
	struct profile *old = l->profile[dir];

	if (p)
		profiles_join(c, p);
	if (old)
		profiles_leave(c, old);
	l->profile[dir] = p;
}

/* With more changed policies than this, asking each pod about each costs more than all anew. */
#define MANY 64

/* --- updates ------------------------------------------------------------------------------ */

/* Its elements go while it is known which they are. */
static void mark_pod(struct bh_compiler *c, const struct bh_pod *before, const struct bh_pod *after)
{
	bool is_local = after && after->is_local;
	struct local_pod *l = find_local(c, before ? before : after);

	if (!l && is_local)
		l = add_local(c, after);
	if (!l)
		return;
	mark_stale(c, l);
	change_elems(c, l, false);
	l->is_changed = true;
	l->pod = is_local ? after : NULL;
}

static void mark_changed_pod(struct bh_compiler *c, const struct bh_pod_change *p)
{
	if (p->before && p->after && p->before->uid != p->after->uid) {
		mark_pod(c, p->before, NULL);
		mark_pod(c, NULL, p->after);
	} else {
		mark_pod(c, p->before, p->after);
	}
}

static void mark_everything(struct bh_compiler *c)
{
	struct local_pod *l, *next;

	HASH_ITER (hh, c->locals, l, next) {
		change_elems(c, l, false);
		mark_stale(c, l);
	}
}

static bool is_about(const struct bh_policy *p, const struct bh_pod *pod)
{
	return p && (!*p->namespace || p->namespace == pod->namespace) &&
	       bh_selector_matches(&p->pods, &pod->labels);
}

/*
 * Namespaces' labels are left aside: it only costs a look at a pod too many.
 * Strings are interned, so names are compared as pointers.
 */
static void mark_policies(struct bh_compiler *c, const struct bh_changes *ch)
{
	struct local_pod *l, *next;
	size_t i;

	for (i = 0; i < ch->n_policies; i++) {
		if (ch->policies[i].before)
			policy_forget(c, ch->policies[i].before);
	}
	if (ch->n_policies == 0 && ch->n_namespaces == 0)
		return;
	if (ch->n_policies > MANY) {
		mark_everything(c);
		return;
	}
	HASH_ITER (hh, c->locals, l, next) {
		if (l->is_stale || !l->pod)
			continue;
		for (i = 0; i < ch->n_policies && !l->is_stale; i++) {
			if (is_about(ch->policies[i].before, l->pod) ||
			    is_about(ch->policies[i].after, l->pod))
				mark_stale(c, l);
		}
		for (i = 0; i < ch->n_namespaces && !l->is_stale; i++) {
			const struct bh_namespace_change *n = &ch->namespaces[i];

			if ((n->after ? n->after : n->before)->name == l->pod->namespace)
				mark_stale(c, l);
		}
		if (l->is_stale)
			change_elems(c, l, false);
	}
}

static void mark_changes(struct bh_compiler *c, const struct bh_changes *ch)
{
	size_t i;

	for (i = 0; i < ch->n_pods; i++)
		mark_changed_pod(c, &ch->pods[i]);
	mark_policies(c, ch);
	if (ch->is_mode_changed)
		mark_everything(c);
}

static void mark_whole_world(struct bh_compiler *c)
{
	const struct bh_pod *const *pods;
	size_t n = bh_world_pods(c->w, &pods), i;

	for (i = 0; i < n; i++)
		mark_pod(c, NULL, pods[i]);
}

static void refresh(struct bh_compiler *c, struct local_pod *l)
{
	enum bh_dir dir;

	l->is_stale = false;
	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		if (!l->has_before)
			l->before[dir] = l->profile[dir];
		set_profile(c, l, dir, l->pod ? profiles_find(c, l->pod, dir) : NULL);
	}
}

/* The profile is not built yet: the pod keeps what it had, if it is the pod that it was. */
static void hold(struct bh_compiler *c, struct local_pod *l, enum bh_dir dir)
{
	struct profile *p = l->profile[dir], *before = l->before[dir];
	bool is_usable = !l->is_changed && (!before || (before->n_chains && !before->is_retired));

	l->waiting[dir] = p;
	p->n_waiting++;
	set_profile(c, l, dir, is_usable ? before : profile_loading(c, dir));
}

/* Those that wait are looked at again. */
static void unhold_all(struct bh_compiler *c)
{
	struct local_pod *l, *next;

	HASH_ITER (hh, c->locals, l, next) {
		if (!l->waiting[BH_INGRESS] && !l->waiting[BH_EGRESS])
			continue;
		mark_stale(c, l);
		change_elems(c, l, false);
		l->has_before = true;
		for (enum bh_dir dir = 0; dir < BH_DIR_COUNT_; dir++) {
			struct profile *p = l->waiting[dir];

			l->before[dir] = l->profile[dir];
			if (!p)
				continue;
			l->waiting[dir] = NULL;
			p->n_waiting--;
			set_profile(c, l, dir, p);
		}
	}
}

/* Once all profiles have chains. */
static void end_refresh(struct bh_compiler *c, struct local_pod *l)
{
	for (enum bh_dir dir = 0; dir < BH_DIR_COUNT_; dir++)
		if (l->profile[dir] && l->profile[dir]->is_waiting)
			hold(c, l, dir);
	l->has_before = l->is_changed = false;
	for (enum bh_dir dir = 0; dir < BH_DIR_COUNT_; dir++)
		assert(!l->profile[dir] || l->profile[dir]->n_chains > 0);
	if (l->pod) {
		change_elems(c, l, true);
	} else {
		HASH_DEL(c->locals, l);
		free(l);
	}
}

/* Their pods are looked at again, which builds it again. */
static void rebuild_profile(struct bh_compiler *c, struct profile *p)
{
	struct local_pod *l, *next;

	HASH_ITER (hh, c->locals, l, next) {
		if (l->profile[p->pub.dir] != p)
			continue;
		change_elems(c, l, false);
		mark_stale(c, l);
	}
	profile_retire(c, p);
}

/* Sets that pods made too large, or small enough again. */
static void follow_budgets(struct bh_compiler *c)
{
	const struct shared_set *s;

	while ((s = sets_next_crossing(c)) != NULL) {
		struct profile *p, *next;

		HASH_ITER (hh, c->profiles, p, next) {
			if (profile_looks_into(p, s))
				rebuild_profile(c, p);
		}
	}
}

void bh_compiler_update(struct bh_compiler *c)
{
	const struct bh_changes *changes = bh_world_changes(c->w);
	size_t i;

	c->loaded_us = 0;
	c->is_resting = c->n_waiting && !c->is_resting && bh_world_is_dirty(c->w);
	if (c->n_waiting)
		unhold_all(c);
	if (c->is_primed) {
		sets_follow(c, changes);
		follow_budgets(c);
		mark_changes(c, changes);
	} else {
		mark_whole_world(c);
		c->is_primed = true;
	}
	for (i = 0; i < c->n_stale; i++)
		refresh(c, c->stale[i]);
	totals_settle(c);
	for (i = 0; i < c->n_stale; i++)
		end_refresh(c, c->stale[i]);
	c->n_stale = 0;
	profiles_forget_pods(c);
	profiles_collect(c);
	sets_collect(c);
	bh_plan_merge(c->plan);
	bh_world_settle(c->w);
}

/* --- closing and explaining --------------------------------------------------------------- */

void locals_move(struct bh_compiler *c, const struct profile *from, struct profile *to)
{
	enum bh_dir dir = from->pub.dir;
	struct local_pod *l, *next;

	HASH_ITER (hh, c->locals, l, next) {
		if (l->profile[dir] != from)
			continue;
		set_profile(c, l, dir, to);
		change_elems(c, l, true);
	}
}

const struct bh_pod *locals_of(const struct bh_compiler *c, const struct profile *p)
{
	const struct local_pod *l = c->locals;

	while (l->profile[p->pub.dir] != p)
		l = l->hh.next;
	return l->pod;
}

size_t bh_compiler_close(struct bh_compiler *c, const char *name, const char *why)
{
	struct profile *p, *next;
	size_t n = 0;

	HASH_ITER (hh, c->profiles, p, next) {
		if (p->pub.closed || !profile_uses(p, name))
			continue;
		locals_move(c, p, profile_close(c, p, why));
		n++;
	}
	profiles_collect(c);
	sets_collect(c);
	bh_plan_merge(c->plan);
	return n;
}

const struct bh_profile *bh_compiler_next_over(struct bh_compiler *c)
{
	struct profile *p, *next;

	if (!c->has_new_over)
		return NULL;
	HASH_ITER (hh, c->profiles, p, next) {
		if (!p->over || p->is_told)
			continue;
		p->is_told = true;
		return &p->pub;
	}
	c->has_new_over = false;
	return NULL;
}

const struct bh_profile *bh_compiler_profile(const struct bh_compiler *c, const char *name)
{
	struct profile *p;

	HASH_FIND(by_name, c->profiles_by_name, name, strlen(name), p);
	return p ? &p->pub : NULL;
}

const struct bh_profile *bh_compiler_profile_of(const struct bh_compiler *c,
						const struct bh_pod *pod, enum bh_dir dir)
{
	const struct local_pod *l = find_local(c, pod);

	return l && l->profile[dir] ? &l->profile[dir]->pub : NULL;
}

void bh_compiler_local_pods(const struct bh_compiler *c,
			    void (*on_pod)(void *ctx, const struct bh_pod *pod), void *ctx)
{
	for (const struct local_pod *l = c->locals; l; l = l->hh.next)
		if (l->pod)
			on_pod(ctx, l->pod);
}

struct bh_compile_stats bh_compiler_stats(const struct bh_compiler *c)
{
	const struct bh_plan_chain *const *chains;
	const struct bh_plan_set *const *sets;
	struct bh_compile_stats s = { 0 };
	struct profile *p, *next;
	size_t i;

	s.n_sets = bh_plan_sets(c->plan, &sets);
	s.n_chains = bh_plan_chains(c->plan, &chains);
	for (i = 0; i < s.n_sets; i++)
		s.n_elems += sets[i]->n;
	HASH_ITER (hh, c->profiles, p, next) {
		s.n_profiles++;
		s.n_closed += p->pub.closed != NULL;
		s.n_over += p->over != NULL;
	}
	return s;
}
