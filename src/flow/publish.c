/*
 * Every record has a number; the numbers of one start of the agent ("boot") have
 * no hole.  What one subscriber could not take is told to this subscriber alone,
 * by a gap record that stands for the numbers first_sequence to sequence.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "bh/alloc.h"
#include "flow.h"

struct subscriber {
	struct bh_flowlog_subscriber to;
	int handle;
	bool is_gone; /* removed while records go round */
	/* What it lost since it took one. */
	uint64_t n_lost, lost_packets, first_lost, last_lost;
	int why;
};

struct flow_publisher {
	char *node;
	char boot[17];
	uint64_t sequence, records_lost;
	struct ring_item {
		struct bh_record *record;
		size_t size;
	} * ring;
	size_t ring_size, n_ring, ring_next;
	size_t ring_bytes, ring_max_bytes;
	struct subscriber *subs;
	size_t n_subs, subs_cap;
	int next_handle;
	unsigned int depth; /* of calls that walk over subs */
};

struct flow_publisher *flow_publisher_new(const char *node, size_t ring_size, size_t ring_bytes)
{
	struct flow_publisher *p = bh_calloc(1, sizeof(*p));
	uint64_t boot;

	if (getrandom(&boot, sizeof(boot), 0) != (ssize_t)sizeof(boot))
		abort();
	snprintf(p->boot, sizeof(p->boot), "%016lx", (unsigned long)boot);
	p->node = bh_strdup(node ? node : "");
	p->ring_size = ring_size;
	p->ring_max_bytes = ring_bytes;
	p->ring = bh_calloc(ring_size, sizeof(*p->ring));
	p->next_handle = 1;
	return p;
}

static size_t ring_first(const struct flow_publisher *p)
{
	return (p->ring_next + p->ring_size - p->n_ring) % p->ring_size;
}

static void forget_oldest(struct flow_publisher *p)
{
	struct ring_item *oldest = &p->ring[ring_first(p)];

	p->ring_bytes -= oldest->size;
	free(bh_take_ptr(oldest->record));
	p->n_ring--;
}

void flow_publisher_free(struct flow_publisher **p)
{
	if (!*p)
		return;
	while ((*p)->n_ring > 0)
		forget_oldest(*p);
	free((*p)->ring);
	free((*p)->subs);
	free((*p)->node);
	free(*p);
	*p = NULL;
}

/* --- subscribers ------------------------------------------------------------------- */

static const char *reason_of(int why)
{
	if (why == -ENOSPC || why == -EDQUOT || why == -EFBIG)
		return "disk-full";
	if (why == -ENOBUFS)
		return "byte-rate";
	if (why == -EOVERFLOW)
		return "size-limit";
	return why == -EAGAIN ? "reader-too-slow" : "write-failed";
}

/* True once the subscriber knows what it lost. */
static bool tell_lost(const struct flow_publisher *p, struct subscriber *s, uint64_t now_ns)
{
	bh_auto_free char *line = NULL;
	const struct bh_record gap = {
		.kind = BH_RECORD_GAP,
		.at_ns = now_ns,
		.sequence = s->last_lost,
		.boot = p->boot,
		.node = p->node,
		.gap = { .reason = reason_of(s->why),
			 .first_sequence = s->first_lost,
			 .n_records = s->n_lost,
			 .lost = s->lost_packets },
	};

	if (s->n_lost == 0)
		return true;
	line = bh_record_line(&gap);
	if (s->to.on_record(s->to.ctx, &gap, line) < 0)
		return false;
	s->n_lost = s->lost_packets = 0;
	return true;
}

static void note_lost(struct flow_publisher *p, struct subscriber *s, uint64_t packets)
{
	if (s->n_lost == 0)
		s->first_lost = p->sequence;
	s->last_lost = p->sequence;
	s->n_lost++;
	s->lost_packets += packets;
	p->records_lost++;
}

static void forget_gone(struct flow_publisher *p)
{
	size_t n = 0;

	if (p->depth > 0)
		return;
	for (size_t i = 0; i < p->n_subs; i++)
		if (!p->subs[i].is_gone)
			p->subs[n++] = p->subs[i];
	p->n_subs = n;
}

/* Negative where the subscriber leaves it out. */
static int offer(struct subscriber *s, const struct bh_record *record, const char *line)
{
	int r = s->to.on_offer ? s->to.on_offer(s->to.ctx, record, line) : 0;

	if (r < 0)
		s->why = r;
	return r;
}

/*
 * A subscriber may be added or removed by what is called here, so each is worked
 * on as a copy.
 */
static void deliver(struct flow_publisher *p, const struct bh_record *record, const char *line,
		    uint64_t packets, uint64_t now_ns)
{
	size_t n = p->n_subs;

	p->depth++;
	for (size_t i = 0; i < n; i++) {
		struct subscriber s = p->subs[i];
		int r = 0;

		if (s.is_gone)
			continue;
		r = record ? offer(&s, record, line) : 0;
		if (r == 0 && tell_lost(p, &s, now_ns) && record) {
			r = s.to.on_record(s.to.ctx, record, line);
			s.why = r;
		} else if (record) {
			r = s.why;
		}
		if (r < 0)
			note_lost(p, &s, packets);
		s.is_gone = p->subs[i].is_gone;
		p->subs[i] = s;
	}
	p->depth--;
	forget_gone(p);
}

int flow_publisher_add(struct flow_publisher *p, const struct bh_flowlog_subscriber *s)
{
	bh_grow(&p->subs, &p->subs_cap, p->n_subs, sizeof(*p->subs));
	p->subs[p->n_subs++] = (struct subscriber){ .to = *s, .handle = p->next_handle };
	return p->next_handle++;
}

void flow_publisher_remove(struct flow_publisher *p, int handle)
{
	for (size_t i = 0; i < p->n_subs; i++)
		if (p->subs[i].handle == handle)
			p->subs[i].is_gone = true;
	forget_gone(p);
}

/* --- records ------------------------------------------------------------------------- */

static void keep(struct flow_publisher *p, struct bh_record *record, size_t size)
{
	while (p->n_ring > 0 &&
	       (p->n_ring == p->ring_size || p->ring_bytes + size > p->ring_max_bytes))
		forget_oldest(p);
	p->ring[p->ring_next] = (struct ring_item){ record, size };
	p->ring_next = (p->ring_next + 1) % p->ring_size;
	p->ring_bytes += size;
	p->n_ring++;
}

void flow_publish(struct flow_publisher *p, struct bh_record *r, uint64_t packets, uint64_t now_ns)
{
	bh_auto_free char *line = NULL;
	struct bh_record *copy;
	size_t size;

	r->sequence = ++p->sequence;
	r->boot = p->boot;
	r->node = p->node;
	copy = bh_record_copy(r, &size);
	line = bh_record_line(copy);
	deliver(p, copy, line, packets, now_ns);
	keep(p, copy, size);
}

void flow_publisher_tick(struct flow_publisher *p, uint64_t now_ns)
{
	deliver(p, NULL, NULL, 0, now_ns);
}

void flow_publisher_recent(const struct flow_publisher *p,
			   void (*on_record)(void *ctx, const struct bh_record *r), void *ctx)
{
	size_t first = ring_first(p);

	for (size_t i = 0; i < p->n_ring; i++)
		on_record(ctx, p->ring[(first + i) % p->ring_size].record);
}

uint64_t flow_publisher_records(const struct flow_publisher *p)
{
	return p->sequence;
}

uint64_t flow_publisher_lost(const struct flow_publisher *p)
{
	return p->records_lost;
}
