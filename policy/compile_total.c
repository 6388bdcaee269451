/*
 * What all profiles of a namespace may need together, and all of the node.
 *
 * Profiles are built in an order that the world alone gives: namespace by namespace,
 * those with less in their policies first.  While everything fits, that is all.  Else
 * it is decided for each profile whether there is room, in two rounds, so that nobody's
 * pods are closed because of another's:
 *
 *   1. Each namespace fills its share: the node's total divided by the number of
 *      namespaces, or the namespace's own total where that is less.
 *   2. What is left of the node's goes, up to the namespace's total, always to the
 *      profile that makes its namespace's whole the smallest.
 *
 * What it costs is known of a profile that was built once, also after it was closed.
 * One that was not is built to learn it, as long as its namespace has room at all.
 * What waits for the second round is closed at once beyond another total of the node,
 * so that no more than two of them are ever there.  Sets that several profiles look into
 * are counted once for a namespace, and once for the node.
 */
#include "compile_impl.h"

#include <string.h>

struct tenant {
	const char *ns;
	size_t first, end; /* of the list of profiles */
	struct cost max;   /* of the namespace */
	struct cost share; /* of the first round */
	struct cost used;
	uint64_t vain_us; /* to build what found no room in this round */
};

/* A set that is charged to a tenant, or to the node. */
struct charged {
	char *key;
	UT_hash_handle hh;
};

struct account {
	struct bh_compiler *c;
	struct profile **list; /* sorted */
	size_t n;
	struct tenant *tenants;
	size_t n_tenants;
	struct cost max, used; /* of the node */
	struct cost built;     /* by the way, without being kept yet */
	struct charged *charged;
	bool is_left; /* a closed one is to be looked at in the next update */
};

static const char *const nouns[] = {
	[COST_RULES] = "rules",
	[COST_ELEMS] = "set elements",
	[COST_BYTES] = "bytes",
	[COST_US] = "microseconds of work",
};

static void add(struct cost *to, const struct cost *c)
{
	for (enum cost_kind k = 0; k < COST_COUNT_; k++)
		to->of[k] += c->of[k];
}

static bool fits(const struct cost *used, const struct cost *more, const struct cost *max)
{
	for (enum cost_kind k = 0; k < COST_COUNT_; k++)
		if (used->of[k] + more->of[k] > max->of[k])
			return false;
	return true;
}

static bool is_full(const struct cost *used, const struct cost *max)
{
	for (enum cost_kind k = 0; k < COST_COUNT_; k++)
		if (used->of[k] >= max->of[k])
			return true;
	return false;
}

/* Something is used up, so that nothing is tried any more, known or not. */
static bool is_at_end(const struct account *a, const struct tenant *t)
{
	return is_full(&t->used, &t->max) || is_full(&a->used, &a->max) ||
	       t->used.of[COST_US] + t->vain_us >= t->max.of[COST_US];
}

static struct cost ns_max(const struct bh_compiler *c)
{
	const struct bh_compile_limits *l = &c->budget;

	return (struct cost){ { [COST_RULES] = l->ns_rules,
				[COST_ELEMS] = l->ns_elems,
				[COST_BYTES] = l->ns_bytes,
				[COST_US] = l->ns_us } };
}

static struct cost node_max(const struct bh_compiler *c)
{
	const struct bh_compile_limits *l = &c->budget;

	return (struct cost){ { [COST_RULES] = l->node_rules,
				[COST_ELEMS] = l->node_elems,
				[COST_BYTES] = l->node_bytes,
				[COST_US] = l->node_us } };
}

static struct cost least(const struct cost *a, const struct cost *b, uint64_t divisor)
{
	struct cost c;

	for (enum cost_kind k = 0; k < COST_COUNT_; k++)
		c.of[k] = a->of[k] < b->of[k] / divisor ? a->of[k] : b->of[k] / divisor;
	return c;
}

/* --- who there is ------------------------------------------------------------------- */

static int cmp_profile(const void *a, const void *b)
{
	const struct profile *x = *(struct profile *const *)a, *y = *(struct profile *const *)b;
	int r = strcmp(x->ns, y->ns);

	if (r)
		return r;
	if (x->n_items != y->n_items)
		return x->n_items < y->n_items ? -1 : 1;
	return strcmp(x->identity, y->identity);
}

/* Not what is closed for other reasons than totals: it costs next to nothing. */
static void list_profiles(struct account *a)
{
	struct profile *p, *next;

	a->list = bh_calloc(HASH_COUNT(a->c->profiles), sizeof(struct profile *));
	HASH_ITER (hh, a->c->profiles, p, next) {
		if (!p->pub.n_pods || (p->pub.closed && !p->is_over_total && !p->over))
			continue;
		if (!p->is_charged && !p->selection && !p->pub.closed)
			profile_select(a->c, p);
		p->is_waiting = false;
		a->list[a->n++] = p;
	}
	bh_sort(a->list, a->n, sizeof(struct profile *), cmp_profile);
}

/* Pods of several namespaces have only what cluster-wide policies say: the node's all. */
static void list_tenants(struct account *a)
{
	struct cost max = ns_max(a->c);

	a->tenants = bh_calloc(a->n, sizeof(*a->tenants));
	for (size_t i = 0; i < a->n; i++) {
		const char *ns = a->list[i]->ns;
		struct tenant *t = a->n_tenants ? &a->tenants[a->n_tenants - 1] : NULL;

		if (!t || strcmp(t->ns, ns) != 0) {
			t = &a->tenants[a->n_tenants++];
			*t = (struct tenant){ .ns = ns, .first = i, .max = *ns ? max : a->max };
		}
		t->end = i + 1;
	}
	for (size_t i = 0; i < a->n_tenants; i++)
		a->tenants[i].share = least(&a->tenants[i].max, &a->max, a->n_tenants);
}

static void forget_charges(struct account *a)
{
	struct charged *g, *next;

	HASH_ITER (hh, a->charged, g, next) {
		HASH_DEL(a->charged, g);
		free(g->key);
		free(g);
	}
}

static void account_done(struct account *a)
{
	forget_charges(a);
	free(a->list);
	free(a->tenants);
}

/* --- what is built in this update ------------------------------------------------------ */

static bool is_unknown(const struct profile *p)
{
	return !p->is_charged;
}

/* There is enough to commit already. */
static bool is_load_full(const struct account *a)
{
	return a->c->load_us && a->c->loaded_us >= a->c->load_us;
}

/* Builds the @i'th if it never was; it may be another profile afterwards. */
static struct profile *learn(struct account *a, size_t i)
{
	struct profile *p = a->list[i];

	if (!p->selection && !p->is_charged)
		p = profile_reopen(a->c, p);
	if (p->selection)
		p = profile_build(a->c, p);
	a->list[i] = p;
	return p;
}

static struct cost whole_of(const struct profile *p)
{
	struct cost c = p->own;

	for (size_t i = 0; i < p->n_charges; i++)
		add(&c, &p->charges[i].cost);
	return c;
}

/* The part of the whole that is used most of. */
static double share_of(const struct account *a, const struct cost *used)
{
	double most = 0;

	for (enum cost_kind k = 0; k < COST_COUNT_; k++) {
		double part = (double)used->of[k] / (double)a->max.of[k];

		most = part > most ? part : most;
	}
	return most;
}

/* What is new goes first, every other time, so that it does not wait for more than one. */
static bool is_resting(const struct account *a, const struct profile *p)
{
	return a->c->is_resting && (p->has_waited || p->pub.closed);
}

/* True if it is left for the next update. */
static bool must_wait(const struct account *a, struct profile *p)
{
	p->is_waiting = is_unknown(p) && (is_load_full(a) || is_resting(a, p));
	return p->is_waiting;
}

/* What a namespace has, each set counted for each profile. */
static void measure(struct account *a, struct tenant *t)
{
	t->used = (struct cost){ { 0 } };
	for (size_t i = t->first; i < t->end; i++) {
		struct cost c = whole_of(a->list[i]);

		add(&t->used, &c);
	}
}

/* The next one that may be built; t->end if there is none. */
static size_t next_to_learn(const struct account *a, const struct tenant *t)
{
	size_t i = t->first;

	if (is_full(&t->used, &t->max))
		return t->end;
	while (i < t->end &&
	       (!is_unknown(a->list[i]) || a->list[i]->pub.closed || is_resting(a, a->list[i])))
		i++;
	return i;
}

/* Of those that have something to build, the one that has least; @but is left out. */
static struct tenant *least_tenant(const struct account *a, const char *but)
{
	struct tenant *least_one = NULL;

	for (size_t k = 0; k < a->n_tenants; k++) {
		struct tenant *t = &a->tenants[k];

		if ((but && strcmp(t->ns, but) == 0) || next_to_learn(a, t) == t->end)
			continue;
		if (!least_one || share_of(a, &t->used) < share_of(a, &least_one->used))
			least_one = t;
	}
	return least_one;
}

static void note_served(struct bh_compiler *c, const char *ns)
{
	free(c->last_served);
	c->last_served = bh_strdup(ns);
}

/*
 * As long as there is load left, the next profile of the namespace that has least, but
 * first of another one than in the update before.  None of one that has as much as it
 * may: whether there is room is still to be decided.
 */
static void learn_by_turns(struct account *a)
{
	bool is_first = true;

	for (size_t k = 0; k < a->n_tenants; k++)
		measure(a, &a->tenants[k]);
	while (!is_load_full(a)) {
		struct tenant *t = least_tenant(a, is_first ? a->c->last_served : NULL);
		struct cost c;
		size_t i;

		if (!t)
			t = least_tenant(a, NULL);
		if (!t)
			break;
		if (is_first)
			note_served(a->c, t->ns);
		is_first = false;
		i = next_to_learn(a, t);
		c = whole_of(learn(a, i));
		add(&t->used, &c);
	}
	for (size_t k = 0; k < a->n_tenants; k++)
		a->tenants[k].used = (struct cost){ { 0 } };
}

/* --- everything fits ---------------------------------------------------------------- */

/* True if there is room for all, each set counted for each profile; all are built then. */
static bool settle_simply(struct account *a)
{
	struct cost of_node = { { 0 } };

	for (size_t t = 0; t < a->n_tenants; t++) {
		const struct tenant *tenant = &a->tenants[t];
		struct cost of_ns = { { 0 } };

		for (size_t i = tenant->first; i < tenant->end; i++) {
			struct cost c;

			if (a->list[i]->is_over_total)
				return false;
			if (must_wait(a, a->list[i]))
				continue;
			c = whole_of(learn(a, i));
			if (!fits(&of_ns, &c, &tenant->max) || !fits(&of_node, &c, &a->max))
				return false;
			add(&of_ns, &c);
			add(&of_node, &c);
		}
	}
	return true;
}

/* --- not everything fits ------------------------------------------------------------ */

/* @t is NULL for the node. */
static char *charge_key(const struct account *a, const struct tenant *t, const char *name)
{
	return bh_asprintf("%zu %s", t ? (size_t)(t - a->tenants) : SIZE_MAX, name);
}

static bool is_charged_to(const struct account *a, const struct tenant *t, const char *name)
{
	bh_auto_free char *key = charge_key(a, t, name);
	const struct charged *g;

	HASH_FIND_STR(a->charged, key, g);
	return g;
}

static void charge_to(struct account *a, const struct tenant *t, const char *name)
{
	struct charged *g;

	if (is_charged_to(a, t, name))
		return;
	g = bh_calloc(1, sizeof(*g));
	g->key = charge_key(a, t, name);
	HASH_ADD_KEYPTR(hh, a->charged, g->key, strlen(g->key), g);
}

/* What @p adds to what its namespace has, or with @t NULL to the node's. */
static struct cost what_it_adds(const struct account *a, const struct tenant *t,
				const struct profile *p)
{
	struct cost c = p->own;

	for (size_t i = 0; i < p->n_charges; i++)
		if (!is_charged_to(a, t, p->charges[i].name))
			add(&c, &p->charges[i].cost);
	return c;
}

static void keep(struct account *a, struct tenant *t, struct profile *p, const struct cost *of_ns,
		 const struct cost *of_node)
{
	for (size_t i = 0; i < p->n_charges; i++) {
		charge_to(a, t, p->charges[i].name);
		charge_to(a, NULL, p->charges[i].name);
	}
	add(&t->used, of_ns);
	add(&a->used, of_node);
	p->is_wanted = true;
}

/* The first that would be too much; COST_COUNT_ if none. */
static enum cost_kind first_over(const struct cost *used, const struct cost *more,
				 const struct cost *max)
{
	enum cost_kind k = 0;

	while (k < COST_COUNT_ && used->of[k] + more->of[k] <= max->of[k])
		k++;
	return k;
}

static void close_for(struct account *a, const struct tenant *t, size_t i)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };
	struct profile *p = a->list[i];
	/* Of one that was never built, something is known: it is more than nothing. */
	struct cost more = p->is_charged ? what_it_adds(a, t, p) : (struct cost){ { 1, 1, 1, 1 } };
	enum cost_kind k = first_over(&t->used, &more, &t->max);

	if (k == COST_COUNT_ && t->used.of[COST_US] + t->vain_us >= t->max.of[COST_US])
		k = COST_US;
	budget_subject(p, &text);
	if (k < COST_COUNT_)
		bh_buf_printf(&text,
			      ": the policies of %s need more than %llu %s on this node, which is "
			      "the limit, and these are among the largest",
			      *t->ns ? "the namespace" : "the cluster",
			      (unsigned long long)t->max.of[k], nouns[k]);
	else
		bh_buf_puts(&text, ": the policies of all namespaces need more than the limits of "
				   "this node, and these are among the largest of a namespace that "
				   "has its share");
	a->list[i] = profile_close_total(a->c, p, bh_buf_str(&text));
}

/*
 * Of one that is over its own budget, only the time is counted that it took to find
 * that out.
 */
static bool is_over_alone(const struct profile *p)
{
	return p->over && !p->is_over_total;
}

static void forget_old_cost(const struct account *a, struct profile *p)
{
	size_t now = bh_world_stats(a->c->w).n_pods, then = p->n_world;

	if (p->is_over_total && p->is_charged && (now > then ? now - then : then - now) > then / 4)
		p->is_charged = false;
}

/*
 * Builds it to learn its cost if there is room, and keeps it if it fits into @max.  What
 * does not fit costs its time all the same, so that its namespace has only so many tries.
 */
static void offer(struct account *a, struct tenant *t, size_t i, const struct cost *max)
{
	struct profile *p = a->list[i];
	bool was_charged;
	struct cost of_ns, of_node;

	/* One that waited in the first round has not lost its turn to those after it. */
	if (p->is_waiting || is_at_end(a, t))
		return;
	forget_old_cost(a, p);
	if (must_wait(a, p))
		return;
	was_charged = p->is_charged;
	p = learn(a, i);
	if (is_over_alone(p)) {
		add(&t->used, &p->own);
		return;
	}
	of_ns = what_it_adds(a, t, p);
	of_node = what_it_adds(a, NULL, p);
	if (fits(&t->used, &of_ns, max) && fits(&a->used, &of_node, &a->max)) {
		keep(a, t, p, &of_ns, &of_node);
		return;
	}
	t->vain_us += whole_of(p).of[COST_US];
	if (was_charged)
		return;
	/* The second round may have room for it; so much may wait for that. */
	if (fits(&a->built, &of_node, &a->max))
		add(&a->built, &of_node);
	else
		close_for(a, t, i);
}

static void fill_shares(struct account *a)
{
	for (size_t k = 0; k < a->n_tenants; k++) {
		struct tenant *t = &a->tenants[k];

		for (size_t i = t->first; i < t->end; i++) {
			a->list[i]->is_wanted = false;
			offer(a, t, i, &t->share);
		}
	}
}

static void share_rest(struct account *a)
{
	bh_auto_free size_t *next = bh_calloc(a->n_tenants, sizeof(*next));

	for (size_t k = 0; k < a->n_tenants; k++) {
		next[k] = a->tenants[k].first;
		a->tenants[k].vain_us = 0;
	}
	for (;;) {
		struct tenant *least_one = NULL;
		double least_share = 0;

		for (size_t k = 0; k < a->n_tenants; k++) {
			struct tenant *t = &a->tenants[k];
			struct cost sum = t->used, c;
			double part;

			while (next[k] < t->end &&
			       (a->list[next[k]]->is_wanted || is_over_alone(a->list[next[k]])))
				next[k]++;
			if (next[k] == t->end)
				continue;
			c = whole_of(a->list[next[k]]);
			add(&sum, &c);
			part = share_of(a, &sum);
			if (!least_one || part < least_share) {
				least_one = t;
				least_share = part;
			}
		}
		if (!least_one)
			return;
		offer(a, least_one, next[least_one - a->tenants]++, &least_one->max);
	}
}

static void apply(struct account *a)
{
	for (size_t k = 0; k < a->n_tenants; k++) {
		const struct tenant *t = &a->tenants[k];

		for (size_t i = t->first; i < t->end; i++) {
			struct profile *p = a->list[i];

			if (p->is_wanted && p->is_over_total) {
				p = profile_build(a->c, profile_reopen(a->c, p));
				a->list[i] = p;
			} else if (p->is_waiting && p->is_over_total) {
				p->is_waiting = false; /* it stays closed until then */
				a->is_left = true;
			} else if (!p->is_waiting && !p->is_wanted && !p->pub.closed) {
				close_for(a, t, i);
			}
			p = a->list[i];
			/* What was its pods' closed chain is gone. */
			if (p->is_reopened && !p->pub.closed)
				locals_move(a->c, p, p);
			p->is_reopened = false;
		}
	}
}

static void charge_grown(struct bh_compiler *c)
{
	const struct shared_set *s;

	while ((s = sets_next_grown(c)) != NULL) {
		struct profile *p, *next;

		HASH_ITER (hh, c->profiles, p, next) {
			if (!p->pub.closed && !p->selection && profile_looks_into(p, s))
				profile_charge(c, p);
		}
		c->is_unsettled = true;
	}
}

static void count_waiting(struct account *a)
{
	a->c->n_waiting = a->is_left;
	for (size_t i = 0; i < a->n; i++) {
		if (!a->list[i]->is_waiting)
			continue;
		a->list[i]->has_waited = true;
		profile_unselect(a->list[i]);
		a->c->n_waiting++;
	}
	a->c->is_unsettled = a->c->n_waiting > 0;
}

void totals_settle(struct bh_compiler *c)
{
	bh_auto(account_done) struct account a = { .c = c, .max = node_max(c) };

	charge_grown(c);
	if (!c->is_unsettled)
		return;
	list_profiles(&a);
	list_tenants(&a);
	learn_by_turns(&a);
	if (!settle_simply(&a)) {
		fill_shares(&a);
		share_rest(&a);
		apply(&a);
	}
	count_waiting(&a);
}
