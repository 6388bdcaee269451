/*
 * Bytes a second, fairly shared among tenants.
 *
 * Every tenant that wrote something of late has an equal share of the rate for sure, with a
 * burst of its own; what others leave unused is for everybody, as long as the common bucket is
 * more than half full.  So a flood of one takes nothing from what the others write, and one
 * who is alone has it all.
 */
#include "budget.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/hash.h"

/* The bucket, in seconds of the rate. */
#define BURST_S 8
/* Who has written nothing for so long has no share. */
#define IDLE_NS (10 * BH_NS_PER_S)
/* Names beyond this number have one share together. */
#define MAX_SHARES 1024
#define MAX_NAME   256

struct share {
	char *name;
	double bytes; /* that it may still write */
	uint64_t last_ns;
	UT_hash_handle hh;
};

struct flow_budget {
	double rate;   /* bytes a second */
	double common; /* left in the bucket of all; below zero by what shares guarantee */
	uint64_t last_ns;
	struct share *shares;
};

struct flow_budget *flow_budget_new(uint64_t bytes_per_s)
{
	struct flow_budget *b = bh_calloc(1, sizeof(*b));

	b->rate = (double)bytes_per_s;
	b->common = BURST_S * b->rate;
	return b;
}

static void drop(struct flow_budget *b, struct share *s)
{
	HASH_DEL(b->shares, s);
	free(s->name);
	free(s);
}

void flow_budget_free(struct flow_budget **b)
{
	struct share *s, *tmp;

	if (!*b)
		return;
	HASH_ITER (hh, (*b)->shares, s, tmp)
		drop(*b, s);
	free(*b);
	*b = NULL;
}

/* A clock that went back adds nothing. */
static double seconds(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / (double)BH_NS_PER_S : 0;
}

static double at_most(double v, double max)
{
	return v < max ? v : max;
}

static void forget_idle(struct flow_budget *b, uint64_t now_ns)
{
	struct share *s, *tmp;

	HASH_ITER (hh, b->shares, s, tmp)
		if (now_ns > s->last_ns && now_ns - s->last_ns > IDLE_NS)
			drop(b, s);
}

static double burst_of_each(const struct flow_budget *b)
{
	return BURST_S * b->rate / (double)HASH_COUNT(b->shares);
}

static struct share *share_of(struct flow_budget *b, const char *tenant, uint64_t now_ns)
{
	size_t len = strnlen(tenant, MAX_NAME);
	struct share *s;

	HASH_FIND(hh, b->shares, tenant, len, s);
	if (s)
		return s;
	forget_idle(b, now_ns);
	if (HASH_COUNT(b->shares) >= MAX_SHARES && len > 0)
		return share_of(b, "", now_ns);
	s = bh_calloc(1, sizeof(*s));
	s->name = bh_strndup(tenant, len);
	s->last_ns = now_ns;
	HASH_ADD_KEYPTR(hh, b->shares, s->name, len, s);
	s->bytes = burst_of_each(b);
	return s;
}

static void refill(struct flow_budget *b, struct share *s, uint64_t now_ns)
{
	double each = b->rate / (double)HASH_COUNT(b->shares);

	b->common = at_most(b->common + seconds(b->last_ns, now_ns) * b->rate, BURST_S * b->rate);
	b->last_ns = now_ns;
	s->bytes = at_most(s->bytes + seconds(s->last_ns, now_ns) * each, burst_of_each(b));
	s->last_ns = now_ns;
}

bool flow_budget_take(struct flow_budget *b, const char *tenant, size_t bytes, uint64_t now_ns)
{
	struct share *s = share_of(b, tenant, now_ns);
	double want = (double)bytes;

	if (b->last_ns == 0)
		b->last_ns = now_ns;
	refill(b, s, now_ns);
	if (s->bytes >= want)
		s->bytes -= want;
	else if (b->common < BURST_S * b->rate / 2)
		return false;
	b->common -= want;
	if (b->common < -BURST_S * b->rate)
		b->common = -BURST_S * b->rate;
	return true;
}

size_t flow_budget_shares(const struct flow_budget *b)
{
	return HASH_COUNT(b->shares);
}
