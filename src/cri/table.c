#include "table.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "bh/buf.h"
#include "bh/hash.h"

struct entry {
	struct bh_sandbox s; /* strings in arena; ports are those of all sources */
	struct bh_arena *arena;
	struct bh_arena *extra_arena; /* of what containers add */
	const struct bh_port *extra;
	size_t n_extra;
	char *trouble;
	struct pod *pod;
	struct entry *prev, *next; /* of the same pod */
	uint64_t told_at;          /* tick of the last news */
	bool is_listed;            /* by the list that is being merged */
	UT_hash_handle hh;
};

struct pod {
	char *key;
	struct entry *entries;
	const struct entry *shown; /* as the sink knows it */
	char *subject;
	bool has_problem;
	UT_hash_handle hh;
};

struct bh_cri_table {
	const struct bh_sink *sink;
	const char *node;
	struct entry *entries;
	struct pod *pods;
	uint64_t tick, list_tick;
};

struct bh_cri_table *bh_cri_table_new(const struct bh_sink *sink, const char *node)
{
	struct bh_cri_table *t = bh_calloc(1, sizeof(*t));

	t->sink = sink;
	t->node = node ? node : "";
	return t;
}

static struct entry *find(const struct bh_cri_table *t, const char *id)
{
	struct entry *e;

	HASH_FIND_STR(t->entries, id, e);
	return e;
}

/* --- telling the sink ----------------------------------------------------------- */

static void show(struct bh_cri_table *t, struct pod *pod, const struct entry *e)
{
	const struct bh_sandbox *s = &e->s;
	const char *problem = s->problem ? s->problem : e->trouble;
	bool has_addrs = !s->is_finished && !s->is_host_network;
	const struct bh_fact fact = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_CRI,
		.pod = {
			.namespace = s->namespace,
			.name = s->name,
			.uid = s->uid,
			.node = t->node,
			.labels = s->labels,
			.has_no_labels_yet = s->has_bad_labels,
			.ports = s->ports,
			.n_ports = s->n_ports,
			.addrs = has_addrs ? s->addrs : NULL,
			.n_addrs = has_addrs ? s->n_addrs : 0,
			.is_host_network = s->is_host_network,
			.is_finished = s->is_finished,
			.is_quarantined = s->is_quarantined,
			.created_ns = s->created_ns,
			.sandbox_id = s->id,
			.netns = s->netns,
		},
	};

	pod->shown = e;
	t->sink->on_put(t->sink->ctx, &fact);
	if (problem || pod->has_problem)
		t->sink->on_problem(t->sink->ctx, BH_SOURCE_CRI, pod->subject, problem);
	pod->has_problem = problem != NULL;
}

static void hide(struct bh_cri_table *t, struct pod *pod, const struct bh_sandbox *s)
{
	const struct bh_key key = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_CRI,
		.namespace = s->namespace,
		.name = s->name,
		.uid = s->uid,
	};

	t->sink->on_delete(t->sink->ctx, &key);
	if (pod->has_problem)
		t->sink->on_problem(t->sink->ctx, BH_SOURCE_CRI, pod->subject, NULL);
}

/* The order does not depend on who came first, so that a restart shows the same. */
static bool is_newer(const struct entry *a, const struct entry *b)
{
	if (a->s.attempt != b->s.attempt)
		return a->s.attempt > b->s.attempt;
	if (a->s.created_ns != b->s.created_ns)
		return a->s.created_ns > b->s.created_ns;
	return strcmp(a->s.id, b->s.id) > 0;
}

static const struct entry *newest(const struct pod *pod)
{
	const struct entry *e, *best = pod->entries;

	DL_FOREACH (pod->entries, e) {
		if (is_newer(e, best))
			best = e;
	}
	return best;
}

/* After @changed was new or has changed. */
static void update(struct bh_cri_table *t, struct pod *pod, const struct entry *changed)
{
	const struct entry *e = newest(pod);

	if (e == changed || e != pod->shown)
		show(t, pod, e);
}

/* --- pods ----------------------------------------------------------------------- */

static struct pod *get_pod(struct bh_cri_table *t, const struct bh_sandbox *s)
{
	bh_auto_free char *key = bh_asprintf("%s/%s/%s", s->namespace, s->name, s->uid);
	struct pod *pod;

	HASH_FIND_STR(t->pods, key, pod);
	if (pod)
		return pod;
	pod = bh_calloc(1, sizeof(*pod));
	pod->key = bh_take_ptr(key);
	pod->subject = bh_asprintf("pod %s/%s", s->namespace, s->name);
	HASH_ADD_KEYPTR(hh, t->pods, pod->key, strlen(pod->key), pod);
	return pod;
}

static void free_pod(struct bh_cri_table *t, struct pod *pod)
{
	HASH_DEL(t->pods, pod);
	free(pod->key);
	free(pod->subject);
	free(pod);
}

static void free_entry(struct entry *e)
{
	bh_arena_free(&e->arena);
	bh_arena_free(&e->extra_arena);
	free(e->trouble);
	free(e);
}

static void remove_entry(struct bh_cri_table *t, struct entry *e)
{
	struct pod *pod = e->pod;

	HASH_DEL(t->entries, e);
	DL_DELETE(pod->entries, e);
	if (pod->entries) {
		update(t, pod, NULL);
	} else {
		hide(t, pod, &e->s);
		free_pod(t, pod);
	}
	free_entry(e);
}

void bh_cri_table_free(struct bh_cri_table **tp)
{
	struct bh_cri_table *t = *tp;
	struct entry *e, *next_e;
	struct pod *pod, *next_pod;

	if (!t)
		return;
	HASH_ITER (hh, t->entries, e, next_e) {
		HASH_DEL(t->entries, e);
		free_entry(e);
	}
	HASH_ITER (hh, t->pods, pod, next_pod)
		free_pod(t, pod);
	free(t);
	*tp = NULL;
}

/* --- sandboxes ------------------------------------------------------------------ */

static struct entry *add_entry(struct bh_cri_table *t, const struct bh_sandbox *s)
{
	struct entry *e = bh_calloc(1, sizeof(*e));

	e->arena = bh_arena_new();
	bh_sandbox_copy(s, e->arena, &e->s);
	e->pod = get_pod(t, s);
	DL_APPEND(e->pod->entries, e);
	HASH_ADD_KEYPTR(hh, t->entries, e->s.id, strlen(e->s.id), e);
	update(t, e->pod, e);
	return e;
}

/* Stores @s in @e if it differs, and tells. */
static void replace(struct bh_cri_table *t, struct entry *e, const struct bh_sandbox *s)
{
	struct bh_sandbox was = e->s;
	struct bh_arena *arena;

	/* That a state is known now is no news if it is the one assumed. */
	was.has_state = s->has_state;
	if (bh_sandbox_eq(&was, s)) {
		e->s.has_state = s->has_state;
		return;
	}
	arena = bh_arena_new();
	/* The hash table refers to the id's bytes. */
	HASH_DEL(t->entries, e);
	bh_sandbox_copy(s, arena, &e->s);
	bh_arena_free(&e->arena);
	e->arena = arena;
	HASH_ADD_KEYPTR(hh, t->entries, e->s.id, strlen(e->s.id), e);
	update(t, e->pod, e);
}

/* What is known of @old fills what @s lacks. */
static void merge(const struct entry *old, struct bh_sandbox *s, struct bh_arena *arena)
{
	if (!s->has_network) {
		s->has_network = old->s.has_network;
		s->is_host_network = old->s.is_host_network;
		s->addrs = old->s.addrs;
		s->n_addrs = old->s.n_addrs;
		s->problem = s->problem ? s->problem : old->s.problem;
	}
	if (!s->netns && !s->is_host_network)
		s->netns = old->s.netns;
	if (!s->has_state) {
		s->has_state = old->s.has_state;
		s->is_finished = old->s.is_finished;
	}
	/* Sources differ by some milliseconds; the first one stays. */
	if (old->s.created_ns)
		s->created_ns = old->s.created_ns;
	bh_cri_unite_ports(s->ports, s->n_ports, old->extra, old->n_extra, arena, &s->ports,
			   &s->n_ports);
}

static bool is_same_pod(const struct bh_sandbox *a, const struct bh_sandbox *b)
{
	return strcmp(a->namespace, b->namespace) == 0 && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->uid, b->uid) == 0;
}

static int put(struct bh_cri_table *t, const struct bh_sandbox *s, struct entry **ret,
	       struct bh_err *err)
{
	struct entry *e = find(t, s->id);
	bh_auto(bh_arena_free) struct bh_arena *arena = NULL;
	struct bh_sandbox merged = *s;

	if (e && !is_same_pod(&e->s, s)) {
		remove_entry(t, e);
		e = NULL;
	}
	if (!e) {
		if (HASH_COUNT(t->entries) >= BH_CRI_MAX_SANDBOXES)
			return bh_err(err, -E2BIG, "there are over %d sandboxes",
				      BH_CRI_MAX_SANDBOXES);
		e = add_entry(t, s);
	} else {
		arena = bh_arena_new();
		merge(e, &merged, arena);
		if (s->has_network && e->trouble) {
			free(bh_take_ptr(e->trouble));
			e->s.has_network = false; /* differs, so that its end is told */
		}
		replace(t, e, &merged);
	}
	*ret = e;
	return 0;
}

int bh_cri_table_put(struct bh_cri_table *t, const struct bh_sandbox *s, struct bh_err *err)
{
	struct entry *e;
	int r = put(t, s, &e, err);

	if (r == 0)
		e->told_at = ++t->tick;
	return r;
}

void bh_cri_table_remove(struct bh_cri_table *t, const char *id)
{
	struct entry *e = find(t, id);

	if (e)
		remove_entry(t, e);
}

void bh_cri_table_finish(struct bh_cri_table *t, const char *id)
{
	struct entry *e = find(t, id);

	if (!e)
		return;
	e->told_at = ++t->tick;
	if (e->s.has_state && e->s.is_finished)
		return;
	e->s.has_state = e->s.is_finished = true;
	update(t, e->pod, e);
}

void bh_cri_table_add_ports(struct bh_cri_table *t, const char *id, const struct bh_port *ports,
			    size_t n_ports)
{
	struct entry *e = find(t, id);
	bh_auto(bh_arena_free) struct bh_arena *arena = NULL;
	struct bh_arena *extra_arena;
	struct bh_sandbox s;

	if (!e)
		return;
	extra_arena = bh_arena_new();
	bh_cri_unite_ports(e->extra, e->n_extra, ports, n_ports, extra_arena, &e->extra,
			   &e->n_extra);
	bh_arena_free(&e->extra_arena);
	e->extra_arena = extra_arena;

	arena = bh_arena_new();
	s = e->s;
	bh_cri_unite_ports(s.ports, s.n_ports, e->extra, e->n_extra, arena, &s.ports, &s.n_ports);
	replace(t, e, &s);
}

void bh_cri_table_trouble(struct bh_cri_table *t, const char *id, const char *text)
{
	struct entry *e = find(t, id);

	if (!e || (e->trouble && strcmp(e->trouble, text) == 0))
		return;
	free(e->trouble);
	e->trouble = bh_strdup(text);
	update(t, e->pod, e);
}

/* --- lists ---------------------------------------------------------------------- */

void bh_cri_table_begin(struct bh_cri_table *t)
{
	struct entry *e, *next;

	t->list_tick = ++t->tick;
	HASH_ITER (hh, t->entries, e, next)
		e->is_listed = false;
}

int bh_cri_table_put_listed(struct bh_cri_table *t, const struct bh_sandbox *s, bool *ret_is_whole,
			    struct bh_err *err)
{
	struct entry *e = find(t, s->id);
	struct bh_sandbox listed = *s;
	int r;

	if (e && e->told_at > t->list_tick)
		listed.has_state = false;
	r = put(t, &listed, &e, err);
	if (r < 0)
		return r;
	e->is_listed = true;
	*ret_is_whole = e->s.is_finished || (e->s.has_network && !e->trouble &&
					     (e->s.is_host_network || e->s.n_addrs > 0));
	return 0;
}

void bh_cri_table_end(struct bh_cri_table *t, void (*on_missing)(void *ctx, const char *id),
		      void *ctx)
{
	struct entry *e, *next;

	HASH_ITER (hh, t->entries, e, next) {
		char id[BH_CRI_MAX_ID + 1];

		if (e->is_listed || e->told_at > t->list_tick)
			continue;
		/* The callee may free what the id belongs to. */
		memcpy(id, e->s.id, strlen(e->s.id) + 1);
		on_missing(ctx, id);
	}
}

bool bh_cri_table_has(const struct bh_cri_table *t, const char *id)
{
	return find(t, id) != NULL;
}

size_t bh_cri_table_count(const struct bh_cri_table *t)
{
	return HASH_COUNT(t->entries);
}
