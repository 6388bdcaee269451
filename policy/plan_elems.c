/*
 * The elements of a plan's sets: packed, sorted, changed in bulk.
 */
#include "plan_impl.h"

#include <assert.h>
#include <string.h>

void plan_set_init(struct bh_plan_set_priv *s)
{
	struct bh_plan_set *set = s->set;

	set->key_len = bh_set_key_len(set->spec.kind, set->spec.family);
	s->id_len = set->spec.is_interval ? 2 * set->key_len : set->key_len;
	s->stride = s->id_len;
	if (bh_set_shape_of(set->spec.kind)->is_map)
		s->stride += sizeof(struct bh_plan_chain *);
	if (bh_set_shape_of(set->spec.kind)->has_values)
		s->stride += sizeof(uint32_t);
}

void plan_set_done(struct bh_plan_set_priv *s)
{
	free(s->now.data);
	free(s->pending.data);
	free(s->before.data);
}

static void clear(struct records *r)
{
	free(r->data);
	*r = (struct records){ 0 };
}

/* Room for @n records more; grows by a quarter, since sets are many and large. */
static void reserve(struct records *r, size_t n, size_t size)
{
	if (r->n + n <= r->cap)
		return;
	r->cap = r->n + n + (r->n + n) / 4;
	r->data = bh_reallocarray(r->data, r->cap, size);
}

static void append(struct records *r, const uint8_t *record, size_t len, uint8_t flag)
{
	reserve(r, 1, len + 1);
	memcpy(r->data + r->n * (len + 1), record, len);
	r->data[r->n * (len + 1) + len] = flag;
	r->n++;
}

static void pack(const struct bh_plan_set_priv *s, const struct bh_elem *elem, uint8_t *ret)
{
	size_t key_len = s->set->key_len;

	memcpy(ret, elem->key, key_len);
	if (s->set->spec.is_interval)
		memcpy(ret + key_len, elem->end, key_len);
	if (bh_set_shape_of(s->set->spec.kind)->has_values)
		memcpy(ret + s->id_len, &elem->value, sizeof(elem->value));
	else if (s->stride > s->id_len)
		memcpy(ret + s->id_len, &elem->chain, sizeof(elem->chain));
}

void plan_unpack(const struct bh_plan_set_priv *s, const uint8_t *record, struct bh_elem *ret)
{
	size_t key_len = s->set->key_len;

	*ret = (struct bh_elem){ 0 };
	memcpy(ret->key, record, key_len);
	if (s->set->spec.is_interval)
		memcpy(ret->end, record + key_len, key_len);
	if (bh_set_shape_of(s->set->spec.kind)->has_values)
		memcpy(&ret->value, record + s->id_len, sizeof(ret->value));
	else if (s->stride > s->id_len)
		memcpy(&ret->chain, record + s->id_len, sizeof(ret->chain));
}

/* Where @id is, or where it belongs. */
bool plan_set_find(const struct bh_plan_set_priv *s, const uint8_t *id, size_t *ret)
{
	size_t lo = 0, hi = s->now.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = memcmp(s->now.data + mid * s->stride, id, s->id_len);

		if (c == 0) {
			*ret = mid;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret = lo;
	return false;
}

struct order {
	const uint8_t *data;
	size_t size, id_len;
};

static int cmp_index(const void *a, const void *b, void *ctx)
{
	const struct order *o = ctx;
	size_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = memcmp(o->data + x * o->size, o->data + y * o->size, o->id_len);

	return c ? c : (x > y) - (x < y);
}

/* The records' indices by id, then by age; the caller frees them. */
static uint32_t *sorted(const struct records *r, size_t size, size_t id_len)
{
	struct order o = { .data = r->data, .size = size, .id_len = id_len };
	uint32_t *order = bh_reallocarray(NULL, r->n, sizeof(*order));
	bool in_order = true;
	size_t i;

	assert(r->n <= UINT32_MAX);
	for (i = 0; i < r->n; i++) {
		order[i] = (uint32_t)i;
		in_order = in_order && (i == 0 || memcmp(r->data + (i - 1) * size,
							 r->data + i * size, id_len) <= 0);
	}
	if (!in_order)
		qsort_r(order, r->n, sizeof(*order), cmp_index, &o);
	return order;
}

void plan_set_compact(struct bh_plan_set_priv *s)
{
	size_t size = s->stride + 1, i;
	struct records kept = { 0 };
	bh_auto_free uint32_t *order = NULL;

	if (s->before.n == 0)
		return;
	order = sorted(&s->before, size, s->id_len);
	for (i = 0; i < s->before.n; i++) {
		const uint8_t *record = s->before.data + order[i] * size;

		if (kept.n && memcmp(kept.data + (kept.n - 1) * size, record, s->id_len) == 0)
			continue;
		append(&kept, record, s->stride, record[s->stride]);
	}
	free(s->before.data);
	s->before = kept;
}

static void note_before(struct bh_plan_set_priv *s, const uint8_t *record, bool was_there)
{
	if (s->is_new)
		return;
	append(&s->before, record, s->stride, was_there);
	if (s->before.n > s->before_max) {
		plan_set_compact(s);
		s->before_max = 2 * s->before.n + 1024;
	}
}

void plan_set_clear(struct bh_plan_set_priv *s)
{
	clear(&s->now);
	clear(&s->pending);
	s->set->n = 0;
}

void plan_set_empty(struct bh_plan_set_priv *s)
{
	size_t i;

	plan_set_merge(s);
	for (i = 0; i < s->now.n; i++)
		note_before(s, s->now.data + i * s->stride, true);
	clear(&s->now);
	s->set->n = 0;
}

/* One change of membership: where in the set, and the record to put (NULL: drop). */
struct edit {
	size_t at;
	const uint8_t *put;
};

/*
 * Says what the last word on each pending element changes.  Map elements that
 * only change their chain are overwritten at once.
 */
static size_t find_edits(struct bh_plan_set_priv *s, const uint32_t *order, struct edit *edits)
{
	size_t size = s->stride + 1, n = 0, i;

	for (i = 0; i < s->pending.n; i++) {
		const uint8_t *p = s->pending.data + order[i] * size;
		bool is_put = p[s->stride], is_there;
		uint8_t *old;
		size_t at;

		if (i + 1 < s->pending.n &&
		    memcmp(p, s->pending.data + order[i + 1] * size, s->id_len) == 0)
			continue;
		is_there = plan_set_find(s, p, &at);
		old = is_there ? s->now.data + at * s->stride : NULL;
		if (is_put == is_there && (!is_put || memcmp(old, p, s->stride) == 0))
			continue;
		note_before(s, old ? old : p, is_there);
		if (is_put && is_there)
			memcpy(old, p, s->stride);
		else
			edits[n++] = (struct edit){ .at = at, .put = is_put ? p : NULL };
	}
	return n;
}

static void apply_drops(struct bh_plan_set_priv *s, struct edit *edits, size_t n)
{
	size_t stride = s->stride, to = 0, from = 0, dropped = 0, i;
	uint8_t *d = s->now.data;

	for (i = 0; i < n; i++) {
		size_t at = edits[i].at;

		edits[i].at -= dropped;
		if (edits[i].put)
			continue;
		if (to != from)
			memmove(d + to * stride, d + from * stride, (at - from) * stride);
		to += at - from;
		from = at + 1;
		dropped++;
	}
	if (!dropped)
		return;
	memmove(d + to * stride, d + from * stride, (s->now.n - from) * stride);
	s->now.n -= dropped;
}

static void apply_puts(struct bh_plan_set_priv *s, const struct edit *edits, size_t n)
{
	size_t stride = s->stride, n_puts = 0, end = s->now.n, i;

	for (i = 0; i < n; i++)
		n_puts += edits[i].put != NULL;
	if (!n_puts)
		return;
	reserve(&s->now, n_puts, stride);
	s->now.n += n_puts;
	for (i = n; i-- > 0;) {
		const struct edit *e = &edits[i];
		uint8_t *d = s->now.data;

		if (!e->put)
			continue;
		memmove(d + (e->at + n_puts) * stride, d + e->at * stride, (end - e->at) * stride);
		end = e->at;
		n_puts--;
		memcpy(d + (e->at + n_puts) * stride, e->put, stride);
	}
}

void plan_set_merge(struct bh_plan_set_priv *s)
{
	bh_auto_free struct edit *edits = NULL;
	bh_auto_free uint32_t *order = NULL;
	size_t n;

	if (s->pending.n == 0)
		return;
	order = sorted(&s->pending, s->stride + 1, s->id_len);
	edits = bh_reallocarray(NULL, s->pending.n, sizeof(*edits));
	n = find_edits(s, order, edits);
	apply_drops(s, edits, n);
	apply_puts(s, edits, n);
	s->set->n = s->now.n;
	clear(&s->pending);
}

void bh_plan_merge(const struct bh_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n_dirty_sets; i++)
		plan_set_merge(plan->dirty_sets[i]);
}

size_t bh_plan_set_size(struct bh_plan_set *set)
{
	plan_set_merge(set->priv);
	return set->n;
}

void plan_set_settle(struct bh_plan_set_priv *s)
{
	plan_set_merge(s);
	clear(&s->before);
	s->is_new = false;
	s->is_dirty = false;
}

static void change(struct bh_plan *plan, struct bh_plan_set *set, const struct bh_elem *elem,
		   bool is_put)
{
	struct bh_plan_set_priv *s = set->priv;
	uint8_t record[2 * BH_KEY_MAX + sizeof(elem->chain)] = { 0 };

	assert(!s->is_removed && !bh_set_shape_of(set->spec.kind)->is_dynamic);
	pack(s, elem, record);
	append(&s->pending, record, s->stride, is_put);
	plan_touch_set(plan, s);
}

void bh_plan_put(struct bh_plan *plan, struct bh_plan_set *set, const struct bh_elem *elem)
{
	change(plan, set, elem, true);
}

void bh_plan_drop(struct bh_plan *plan, struct bh_plan_set *set, const struct bh_elem *elem)
{
	change(plan, set, elem, false);
}

void bh_plan_elem(const struct bh_plan_set *set, size_t i, struct bh_elem *ret)
{
	struct bh_plan_set_priv *s = set->priv;

	plan_set_merge(s);
	assert(i < s->now.n);
	plan_unpack(s, s->now.data + i * s->stride, ret);
}

bool bh_plan_has(const struct bh_plan_set *set, const struct bh_elem *elem)
{
	struct bh_plan_set_priv *s = set->priv;
	uint8_t record[2 * BH_KEY_MAX + sizeof(elem->chain)] = { 0 };
	size_t at;

	plan_set_merge(s);
	pack(s, elem, record);
	return plan_set_find(s, record, &at) &&
	       memcmp(s->now.data + at * s->stride, record, s->stride) == 0;
}
