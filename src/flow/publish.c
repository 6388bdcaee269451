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
	char **ring;
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
	char **oldest = &p->ring[ring_first(p)];

	p->ring_bytes -= strlen(*oldest) + 1;
	free(bh_take_ptr(*oldest));
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

static json_t *new_record(const struct flow_publisher *p, const char *action, uint64_t sequence,
			  uint64_t at_ns)
{
	json_t *record = json_object();

	flow_set_time(record, "@timestamp", at_ns);
	flow_set_number(record, "event.sequence", sequence);
	flow_set_string(record, "event.boot", p->boot);
	flow_set_string(record, "event.action", action);
	flow_set_string(record, "node.name", p->node);
	return record;
}

json_t *flow_new_record(struct flow_publisher *p, const char *action, uint64_t at_ns)
{
	return new_record(p, action, ++p->sequence, at_ns);
}

/*
 * ASCII only: a C1 control character is valid JSON and would still reach the
 * terminal of whoever reads the log with cat.
 */
static char *make_line(const json_t *record)
{
	char *line = json_dumps(record, JSON_COMPACT | JSON_ENSURE_ASCII);

	/* Fails without memory only: keys and strings are checked when they are set. */
	if (!line)
		abort();
	return line;
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
	json_t *gap;
	int r;

	if (s->n_lost == 0)
		return true;
	gap = new_record(p, "gap", s->last_lost, now_ns);
	flow_set_string(gap, "gap.reason", reason_of(s->why));
	flow_set_number(gap, "gap.first_sequence", s->first_lost);
	flow_set_number(gap, "gap.records", s->n_lost);
	flow_set_number(gap, "evidence.lost", s->lost_packets);
	line = make_line(gap);
	r = s->to.on_record(s->to.ctx, gap, line);
	json_decref(gap);
	if (r < 0)
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
static int offer(struct subscriber *s, const json_t *record, const char *line)
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
static void deliver(struct flow_publisher *p, const json_t *record, const char *line,
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

static void keep(struct flow_publisher *p, char *line)
{
	size_t size = strlen(line) + 1;

	while (p->n_ring > 0 &&
	       (p->n_ring == p->ring_size || p->ring_bytes + size > p->ring_max_bytes))
		forget_oldest(p);
	p->ring[p->ring_next] = line;
	p->ring_next = (p->ring_next + 1) % p->ring_size;
	p->ring_bytes += size;
	p->n_ring++;
}

/*
 * Whatever fills records keeps to its bounds; this is for what does not: a record without
 * what it is about is better than one without end.
 */
static char *make_bounded_line(const struct flow_publisher *p, json_t **record)
{
	static const char *const kept[] = { "@timestamp", "event.sequence", "event.boot",
					    "event.action" };
	char *line = make_line(*record);
	size_t len = strlen(line);
	json_t *stub;

	if (len <= BH_RECORD_MAX)
		return line;
	stub = json_object();
	for (size_t i = 0; i < BH_ARRAY_LEN(kept); i++)
		json_object_set(stub, kept[i], json_object_get(*record, kept[i]));
	flow_set_string(stub, "node.name", p->node);
	flow_set_number(stub, "event.oversized", len);
	json_decref(*record);
	*record = stub;
	free(line);
	return make_line(stub);
}

void flow_publish(struct flow_publisher *p, json_t *record, uint64_t packets, uint64_t now_ns)
{
	char *line = make_bounded_line(p, &record);

	deliver(p, record, line, packets, now_ns);
	json_decref(record);
	keep(p, line);
}

void flow_publisher_tick(struct flow_publisher *p, uint64_t now_ns)
{
	deliver(p, NULL, NULL, 0, now_ns);
}

/* Kept as text, which takes a tenth of the memory of the tree. */
void flow_publisher_recent(const struct flow_publisher *p,
			   void (*on_record)(void *ctx, const json_t *record, const char *line),
			   void *ctx)
{
	size_t first = ring_first(p);

	for (size_t i = 0; i < p->n_ring; i++) {
		const char *line = p->ring[(first + i) % p->ring_size];
		json_t *record = json_loads(line, 0, NULL);

		if (!record)
			continue;
		on_record(ctx, record, line);
		json_decref(record);
	}
}

uint64_t flow_publisher_records(const struct flow_publisher *p)
{
	return p->sequence;
}

uint64_t flow_publisher_lost(const struct flow_publisher *p)
{
	return p->records_lost;
}
