/*
 * Per address a list of its changes, newest first: until when somebody, or
 * nobody, had it.  Who had it next is told by the next change, or by the world.
 * All changes are also in one queue in the order in which they were noted, from
 * whose head they are forgotten; an address without a change has been with whom
 * it is now since the last one that was forgotten, at the latest.
 *
 * Both addresses of a pod lead to one copy of it.
 */
#include "bh/history.h"

#include <stdint.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/hash.h"
#include "flow.h"

struct holder {
	size_t n_users, size;
	struct bh_identity id;
	struct bh_label labels[]; /* then all strings */
};

struct change {
	struct bh_addr addr;
	struct holder *holder; /* NULL: nobody */
	uint64_t from_ns, until_ns;
	struct change *older; /* of the same address */
	struct change *next;  /* noted after it */
	UT_hash_handle hh;    /* the newest of an address */
};

/* A clock that is set back by more than that makes what was noted of no use. */
#define MAX_BACK_NS (2 * BH_NS_PER_S)

struct bh_history {
	uint64_t keep_ns;
	size_t max;
	uint64_t known_since_ns, last_ns;
	struct change *by_addr;
	struct change *first, *last;
	size_t n, bytes;
};

struct bh_history *bh_history_new(uint64_t keep_ns, size_t max)
{
	struct bh_history *h = bh_calloc(1, sizeof(*h));

	h->keep_ns = keep_ns;
	h->max = max;
	h->known_since_ns = UINT64_MAX;
	return h;
}

/* --- holders ---------------------------------------------------------------------- */

/* Longer ones are cut in records as well. */
#define MAX_STRING 1024
static size_t size_of(const char *s)
{
	return s ? strnlen(s, MAX_STRING - 1) + 1 : 0;
}

static const char *put_string(char **at, const char *s)
{
	size_t size = size_of(s);
	char *copy = *at;

	if (!s)
		return NULL;
	memcpy(copy, s, size - 1);
	copy[size - 1] = '\0';
	*at += size;
	return copy;
}

static struct holder *make_holder(const struct bh_pod *pod)
{
	struct bh_label room[FLOW_MAX_LABELS];
	const struct bh_labels kept = flow_bound_labels(&pod->labels, room), *labels = &kept;
	size_t text = size_of(pod->namespace) + size_of(pod->name) + size_of(pod->uid) +
		      size_of(pod->node) + size_of(pod->workload_kind) +
		      size_of(pod->workload_name);
	struct holder *p;
	char *at;

	for (size_t i = 0; i < labels->n; i++)
		text += size_of(labels->items[i].key) + size_of(labels->items[i].value);
	text += sizeof(*p) + labels->n * sizeof(*p->labels);
	p = bh_calloc(1, text);
	p->size = text;
	at = (char *)&p->labels[labels->n];
	for (size_t i = 0; i < labels->n; i++) {
		p->labels[i].key = put_string(&at, labels->items[i].key);
		p->labels[i].value = put_string(&at, labels->items[i].value);
	}
	p->id = (struct bh_identity){
		.namespace = put_string(&at, pod->namespace),
		.name = put_string(&at, pod->name),
		.uid = put_string(&at, pod->uid),
		.node = put_string(&at, pod->node),
		.labels = { p->labels, labels->n },
		.n_labels_omitted = pod->labels.n - labels->n,
		.workload_kind = put_string(&at, pod->workload_kind),
		.workload_name = put_string(&at, pod->workload_name),
	};
	return p;
}

static void unuse_holder(struct bh_history *h, struct holder *p)
{
	if (!p || --p->n_users > 0)
		return;
	h->bytes -= p->size;
	free(p);
}

/* --- forgetting --------------------------------------------------------------------- */

static struct change *newest(const struct bh_history *h, const struct bh_addr *a)
{
	struct change *c;

	HASH_FIND(hh, h->by_addr, a, sizeof(*a), c);
	return c;
}

static void unlink_addr(struct bh_history *h, struct change *c)
{
	struct change *top = newest(h, &c->addr);

	/* What is noted first is the oldest. */
	if (top == c) {
		HASH_DEL(h->by_addr, c);
		return;
	}
	while (top->older != c)
		top = top->older;
	top->older = NULL;
}

static void forget_first(struct bh_history *h)
{
	struct change *c = h->first;

	h->first = c->next;
	if (!h->first)
		h->last = NULL;
	h->n--;
	unlink_addr(h, c);
	if (c->until_ns > h->known_since_ns)
		h->known_since_ns = c->until_ns;
	unuse_holder(h, c->holder);
	h->bytes -= sizeof(*c);
	free(c);
}

static bool is_old(const struct bh_history *h, const struct change *c, uint64_t now_ns)
{
	return now_ns > c->until_ns && now_ns - c->until_ns > h->keep_ns;
}

static void prune(struct bh_history *h, uint64_t now_ns)
{
	while (h->first &&
	       (h->n > h->max || h->bytes > BH_HISTORY_MAX_BYTES || is_old(h, h->first, now_ns)))
		forget_first(h);
}

/* --- noting ------------------------------------------------------------------------- */

/* @holder, or nobody, had @a until now. */
static void add_change(struct bh_history *h, const struct bh_addr *a, struct holder *holder,
		       uint64_t now_ns)
{
	struct change *c = bh_calloc(1, sizeof(*c)), *older = newest(h, a);

	h->bytes += sizeof(*c);
	c->addr = *a;
	c->holder = holder;
	if (holder && holder->n_users++ == 0)
		h->bytes += holder->size;
	c->from_ns = older ? older->until_ns : h->known_since_ns;
	/* A clock that went back must not make a time of negative length. */
	c->until_ns = now_ns > c->from_ns ? now_ns : c->from_ns;
	if (older)
		HASH_DEL(h->by_addr, older);
	c->older = older;
	HASH_ADD(hh, h->by_addr, addr, sizeof(c->addr), c);
	if (h->last)
		h->last->next = c;
	else
		h->first = c;
	h->last = c;
	h->n++;
}

static bool has_addr(const struct bh_pod *pod, const struct bh_addr *a)
{
	return pod && bh_pod_owns(pod, a);
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Both sorted by key. */
static bool have_same_labels(const struct bh_labels *a, const struct bh_labels *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!is_same_text(a->items[i].key, b->items[i].key) ||
		    !is_same_text(a->items[i].value, b->items[i].value))
			return false;
	return true;
}

static bool is_same_holder(const struct bh_pod *a, const struct bh_pod *b)
{
	return a && b && is_same_text(a->name, b->name) && is_same_text(a->uid, b->uid) &&
	       is_same_text(a->node, b->node) && is_same_text(a->workload_kind, b->workload_kind) &&
	       is_same_text(a->workload_name, b->workload_name) &&
	       have_same_labels(&a->labels, &b->labels);
}

static void note_ends(struct bh_history *h, const struct bh_pod_change *c, uint64_t now_ns)
{
	const bool is_same = is_same_holder(c->before, c->after);
	struct holder *holder = NULL;

	for (size_t i = 0; c->before && i < c->before->n_addrs; i++) {
		const struct bh_addr *a = &c->before->addrs[i];

		if (is_same && has_addr(c->after, a))
			continue;
		if (!holder)
			holder = make_holder(c->before);
		add_change(h, a, holder, now_ns);
	}
}

static void note_begins(struct bh_history *h, const struct bh_pod_change *c, uint64_t now_ns)
{
	for (size_t i = 0; c->after && i < c->after->n_addrs; i++) {
		const struct bh_addr *a = &c->after->addrs[i];

		/* Unless somebody else's end was noted a moment ago. */
		if (!has_addr(c->before, a) && bh_history_since(h, a) < now_ns)
			add_change(h, a, NULL, now_ns);
	}
}

static void begin(struct bh_history *h, uint64_t now_ns)
{
	while (h->first)
		forget_first(h);
	h->known_since_ns = now_ns;
}

void bh_history_note(struct bh_history *h, const struct bh_changes *changes, uint64_t now_ns)
{
	const bool is_first = h->known_since_ns == UINT64_MAX;
	const bool is_back = now_ns + MAX_BACK_NS < h->last_ns;

	h->last_ns = now_ns;
	if (is_first || is_back) {
		begin(h, now_ns);
		return;
	}
	prune(h, now_ns);
	for (size_t i = 0; i < changes->n_pods; i++) {
		note_ends(h, &changes->pods[i], now_ns);
		prune(h, now_ns);
	}
	for (size_t i = 0; i < changes->n_pods; i++) {
		note_begins(h, &changes->pods[i], now_ns);
		prune(h, now_ns);
	}
}

/* --- asking ------------------------------------------------------------------------- */

uint64_t bh_history_since(const struct bh_history *h, const struct bh_addr *a)
{
	const struct change *c = newest(h, a);

	return c ? c->until_ns : h->known_since_ns;
}

/* To the time from its first to before its last moment. */
static uint64_t distance(const struct change *c, uint64_t at_ns)
{
	if (at_ns < c->from_ns)
		return c->from_ns - at_ns;
	return at_ns >= c->until_ns ? at_ns - c->until_ns + 1 : 0;
}

const struct bh_identity *bh_history_near(const struct bh_history *h, const struct bh_addr *a,
					  uint64_t at_ns, uint64_t *ret_distance_ns)
{
	const struct change *c, *best = NULL;

	for (c = newest(h, a); c; c = c->older)
		if (c->holder && (!best || distance(c, at_ns) < distance(best, at_ns)))
			best = c;
	if (!best)
		return NULL;
	*ret_distance_ns = distance(best, at_ns);
	return &best->holder->id;
}

size_t bh_history_count(const struct bh_history *h)
{
	return h->n;
}

size_t bh_history_bytes(const struct bh_history *h)
{
	return h->bytes;
}

void bh_history_free(struct bh_history **h)
{
	if (!*h)
		return;
	while ((*h)->first)
		forget_first(*h);
	free(*h);
	*h = NULL;
}
