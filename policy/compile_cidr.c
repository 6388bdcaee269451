/*
 * Address ranges: prefixes with exceptions made disjoint, because the kernel
 * refuses intervals that overlap.
 */
#include "compile_impl.h"

#include <string.h>

void ranges_done(struct range_list *l)
{
	free(l->items);
	*l = (struct range_list){ 0 };
}

static void add(struct range_list *l, struct bh_addr first, struct bh_addr last)
{
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] = (struct bh_range){ .first = first, .last = last };
}

static int cmp_range(const void *a, const void *b)
{
	const struct bh_range *x = a, *y = b;

	return bh_addr_cmp(&x->first, &y->first);
}

/* @b starts within @a or right behind it, given that it does not start before it. */
static bool touches(const struct bh_range *a, const struct bh_range *b)
{
	struct bh_addr next = a->last;

	if (a->last.family != b->first.family)
		return false;
	bh_addr_next(&next); /* stays at the end of the family */
	return bh_addr_cmp(&b->first, &next) <= 0;
}

void ranges_normalise(struct range_list *l)
{
	size_t n = 0, i;

	if (l->n == 0)
		return;
	bh_sort(l->items, l->n, sizeof(*l->items), cmp_range);
	for (i = 0; i < l->n; i++) {
		const struct bh_range *r = &l->items[i];
		struct bh_range *last = n ? &l->items[n - 1] : NULL;

		if (!last || !touches(last, r))
			l->items[n++] = *r;
		else if (bh_addr_cmp(&r->last, &last->last) > 0)
			last->last = r->last;
	}
	l->n = n;
}

void ranges_add_peer(struct range_list *l, const struct bh_peer *peer)
{
	struct bh_range whole = bh_cidr_range(&peer->cidr);
	struct bh_addr at = whole.first;
	struct range_list holes = { 0 };
	bool is_used_up = false;
	size_t i;

	for (i = 0; i < peer->n_except; i++) {
		struct bh_range hole = bh_cidr_range(&peer->except[i]);

		if (bh_cidr_covers(&peer->except[i], &peer->cidr))
			is_used_up = true;
		else if (bh_cidr_covers(&peer->cidr, &peer->except[i]))
			add(&holes, hole.first, hole.last);
	}
	ranges_normalise(&holes);
	for (i = 0; i < holes.n && !is_used_up; i++) {
		struct bh_addr before = holes.items[i].first;

		if (bh_addr_cmp(&at, &before) < 0 && bh_addr_prev(&before))
			add(l, at, before);
		at = holes.items[i].last;
		is_used_up = bh_addr_eq(&at, &whole.last) || !bh_addr_next(&at);
	}
	if (!is_used_up)
		add(l, at, whole.last);
	ranges_done(&holes);
}

void ranges_add_all(struct range_list *l, const struct range_list *other)
{
	for (size_t i = 0; i < other->n; i++)
		add(l, other->items[i].first, other->items[i].last);
}

static bool bit_at(const struct bh_addr *a, size_t i)
{
	return a->bytes[i / 8] & (0x80u >> (i % 8));
}

/* Prefixes that cover from @a to the end of the block that bits from @from on make. */
static size_t count_upper(const struct bh_addr *a, size_t from, size_t n_bits, bool *is_whole)
{
	size_t n = 0, zeros = 0;

	/* Zeros that a set bit follows: each is a block beside the path to @a. */
	for (size_t i = from; i < n_bits; i++) {
		if (bit_at(a, i)) {
			n += zeros;
			zeros = 0;
		} else {
			zeros++;
		}
	}
	*is_whole = zeros == n_bits - from;
	return n + 1;
}

static size_t count_lower(const struct bh_addr *a, size_t from, size_t n_bits, bool *is_whole)
{
	size_t n = 0, ones = 0;

	for (size_t i = from; i < n_bits; i++) {
		if (bit_at(a, i)) {
			ones++;
		} else {
			n += ones;
			ones = 0;
		}
	}
	*is_whole = ones == n_bits - from;
	return n + 1;
}

size_t range_count_prefixes(const struct bh_range *r)
{
	size_t n_bits = 8 * bh_family_len(r->first.family), i, n;
	bool has_upper, has_lower;

	for (i = 0; i < n_bits && bit_at(&r->first, i) == bit_at(&r->last, i); i++)
		;
	if (i == n_bits)
		return 1;
	n = count_upper(&r->first, i + 1, n_bits, &has_upper) +
	    count_lower(&r->last, i + 1, n_bits, &has_lower);
	return has_upper && has_lower ? 1 : n;
}
