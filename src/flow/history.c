/*
 * Per address a list of bindings, newest first; only the newest can last.  The
 * hash table holds the newest and the rest hang behind it.  Ended ones are also
 * in one queue in the order of their end, from whose head they are forgotten.
 *
 * A binding is one allocation.  Labels, namespace and owner are shared by the
 * pods that have the same ones, because a node of a large cluster remembers every
 * pod of it.
 */
#include "bh/history.h"

#include <stdint.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/hash.h"

/* What the pods of one workload have in common. */
struct shape {
	size_t n_users;
	const char *namespace, *workload_kind, *workload_name;
	struct bh_labels labels;
	UT_hash_handle hh;
	size_t key_len;
	char key[]; /* all strings, each with its NUL; the pointers above lead here */
};

struct binding {
	struct bh_addr addr;
	struct bh_identity id;
	struct shape *shape;
	struct binding *older; /* of the same address */
	struct binding *ended; /* the next that ended */
	UT_hash_handle hh;     /* the newest of an address */
	char strings[];
};

struct bh_history {
	uint64_t keep_ns;
	size_t max_ended;
	struct binding *by_addr;
	struct binding *ended_first, *ended_last;
	size_t n, n_ended;
	struct shape *shapes;
	struct bh_buf key; /* scratch */
};

struct bh_history *bh_history_new(uint64_t keep_ns, size_t max)
{
	struct bh_history *h = bh_calloc(1, sizeof(*h));

	h->keep_ns = keep_ns;
	h->max_ended = max;
	return h;
}

/* --- shapes ---------------------------------------------------------------------- */

static void add_string(struct bh_buf *b, const char *s)
{
	bh_buf_add(b, s, strlen(s) + 1);
}

/* A missing owner and one named "" are the same here. */
static void shape_key(struct bh_buf *b, const struct bh_pod *pod)
{
	bh_buf_reset(b);
	add_string(b, pod->namespace);
	add_string(b, pod->workload_kind ? pod->workload_kind : "");
	add_string(b, pod->workload_name ? pod->workload_name : "");
	for (size_t i = 0; i < pod->labels.n; i++) {
		add_string(b, pod->labels.items[i].key);
		add_string(b, pod->labels.items[i].value);
	}
}

static const char *next_string(const char **at)
{
	const char *s = *at;

	*at += strlen(s) + 1;
	return s;
}

static const char *or_null(const char *s)
{
	return *s ? s : NULL;
}

static struct shape *make_shape(const struct bh_buf *key, size_t n_labels)
{
	struct shape *s = bh_calloc(1, sizeof(*s) + key->len);
	struct bh_label *items = bh_calloc(n_labels, sizeof(*items));
	const char *at = s->key;

	memcpy(s->key, key->data, key->len);
	s->key_len = key->len;
	s->namespace = next_string(&at);
	s->workload_kind = or_null(next_string(&at));
	s->workload_name = or_null(next_string(&at));
	for (size_t i = 0; i < n_labels; i++) {
		items[i].key = next_string(&at);
		items[i].value = next_string(&at);
	}
	s->labels = (struct bh_labels){ .items = items, .n = n_labels };
	return s;
}

static struct shape *use_shape(struct bh_history *h, const struct bh_pod *pod)
{
	struct shape *s;

	shape_key(&h->key, pod);
	HASH_FIND(hh, h->shapes, h->key.data, h->key.len, s);
	if (!s) {
		s = make_shape(&h->key, pod->labels.n);
		HASH_ADD_KEYPTR(hh, h->shapes, s->key, s->key_len, s);
	}
	s->n_users++;
	return s;
}

static void unuse_shape(struct bh_history *h, struct shape *s)
{
	if (--s->n_users > 0)
		return;
	HASH_DEL(h->shapes, s);
	free((void *)(uintptr_t)s->labels.items);
	free(s);
}

/* --- bindings --------------------------------------------------------------------- */

static const char *put_string(char **at, const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = *at;

	memcpy(copy, s, size);
	*at += size;
	return copy;
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static struct binding *make_binding(struct bh_history *h, const struct bh_addr *a,
				    const struct bh_pod *pod, uint64_t now_ns)
{
	const char *uid = or_empty(pod->uid), *node = or_empty(pod->node);
	struct binding *b =
		bh_calloc(1, sizeof(*b) + strlen(pod->name) + strlen(uid) + strlen(node) + 3);
	char *at = b->strings;

	b->addr = *a;
	b->shape = use_shape(h, pod);
	b->id = (struct bh_identity){
		.namespace = b->shape->namespace,
		.name = put_string(&at, pod->name),
		.uid = put_string(&at, uid),
		.node = put_string(&at, node),
		.labels = b->shape->labels,
		.workload_kind = b->shape->workload_kind,
		.workload_name = b->shape->workload_name,
		.from_ns = now_ns,
		.until_ns = UINT64_MAX,
	};
	return b;
}

static bool is_lasting(const struct binding *b)
{
	return b->id.until_ns == UINT64_MAX;
}

static bool is_same(struct bh_history *h, const struct binding *b, const struct bh_pod *pod)
{
	if (strcmp(b->id.name, pod->name) != 0 || strcmp(b->id.uid, or_empty(pod->uid)) != 0 ||
	    strcmp(b->id.node, or_empty(pod->node)) != 0)
		return false;
	shape_key(&h->key, pod);
	return h->key.len == b->shape->key_len &&
	       memcmp(h->key.data, b->shape->key, h->key.len) == 0;
}

static struct binding *newest(const struct bh_history *h, const struct bh_addr *a)
{
	struct binding *b;

	HASH_FIND(hh, h->by_addr, a, sizeof(*a), b);
	return b;
}

static void end(struct bh_history *h, struct binding *b, uint64_t now_ns)
{
	/* A clock that went back must not make a binding of negative length. */
	b->id.until_ns = now_ns > b->id.from_ns ? now_ns : b->id.from_ns;
	if (h->ended_last)
		h->ended_last->ended = b;
	else
		h->ended_first = b;
	h->ended_last = b;
	h->n_ended++;
}

static void put_newest(struct bh_history *h, struct binding *b)
{
	struct binding *old = newest(h, &b->addr);

	if (old)
		HASH_DEL(h->by_addr, old);
	b->older = old;
	HASH_ADD(hh, h->by_addr, addr, sizeof(b->addr), b);
	h->n++;
}

static void unlink_addr(struct bh_history *h, struct binding *b)
{
	struct binding *top = newest(h, &b->addr);

	if (top != b) {
		while (top->older != b)
			top = top->older;
		top->older = b->older;
		return;
	}
	HASH_DEL(h->by_addr, b);
	if (b->older)
		HASH_ADD(hh, h->by_addr, addr, sizeof(b->addr), b->older);
}

static void free_binding(struct bh_history *h, struct binding *b)
{
	unuse_shape(h, b->shape);
	free(b);
	h->n--;
}

static void forget_first(struct bh_history *h)
{
	struct binding *b = h->ended_first;

	h->ended_first = b->ended;
	if (!h->ended_first)
		h->ended_last = NULL;
	h->n_ended--;
	unlink_addr(h, b);
	free_binding(h, b);
}

static bool is_old(const struct bh_history *h, const struct binding *b, uint64_t now_ns)
{
	return now_ns > b->id.until_ns && now_ns - b->id.until_ns > h->keep_ns;
}

static void prune(struct bh_history *h, uint64_t now_ns)
{
	while (h->ended_first && (h->n_ended > h->max_ended || is_old(h, h->ended_first, now_ns)))
		forget_first(h);
}

void bh_history_bind(struct bh_history *h, const struct bh_addr *a, const struct bh_pod *pod,
		     uint64_t now_ns)
{
	struct binding *b = newest(h, a);

	if (b && is_lasting(b)) {
		if (pod && is_same(h, b, pod))
			return;
		end(h, b, now_ns);
	}
	if (pod)
		put_newest(h, make_binding(h, a, pod, now_ns));
	prune(h, now_ns);
}

const struct bh_identity *bh_history_at(const struct bh_history *h, const struct bh_addr *a,
					uint64_t at_ns)
{
	const struct binding *b;

	for (b = newest(h, a); b; b = b->older)
		if (b->id.from_ns <= at_ns && at_ns < b->id.until_ns)
			return &b->id;
	return NULL;
}

static uint64_t distance(const struct bh_identity *id, uint64_t at_ns)
{
	if (at_ns < id->from_ns)
		return id->from_ns - at_ns;
	return at_ns >= id->until_ns ? at_ns - id->until_ns : 0;
}

const struct bh_identity *bh_history_near(const struct bh_history *h, const struct bh_addr *a,
					  uint64_t at_ns, uint64_t slack_ns)
{
	const struct bh_identity *best = NULL;
	const struct binding *b;

	for (b = newest(h, a); b; b = b->older)
		if (distance(&b->id, at_ns) <= slack_ns &&
		    (!best || distance(&b->id, at_ns) < distance(best, at_ns)))
			best = &b->id;
	return best;
}

size_t bh_history_count(const struct bh_history *h)
{
	return h->n;
}

void bh_history_free(struct bh_history **h)
{
	struct binding *b, *older, *tmp;

	if (!*h)
		return;
	HASH_ITER (hh, (*h)->by_addr, b, tmp) {
		HASH_DEL((*h)->by_addr, b);
		for (; b; b = older) {
			older = b->older;
			free_binding(*h, b);
		}
	}
	bh_buf_done(&(*h)->key);
	free(*h);
	*h = NULL;
}
