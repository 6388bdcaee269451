/*
 * Each packet is exactly one of: recorded (as the first of its flow, or counted
 * in a record of repeats), pending (a repeat whose record is due), suppressed (by
 * a limit; told in a gap record).  So at any time, per class,
 *
 *	received == recorded + suppressed + pending
 *
 * A flow is in the table from its first packet until an interval passes without
 * any.  All intervals are equally long, so the queue of flows in order of their
 * due time only ever grows at its end.  A repeat costs one hash lookup and no
 * allocation.
 *
 * Limits are kept per judged address, so that what one pod does, by its own doing
 * or by being scanned, takes nothing from the records of others.
 */
#include "bh/flowlog.h"

#include <assert.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/hash.h"
#include "flow.h"

#define INTERVAL_NS   (10 * BH_NS_PER_S)
#define MAX_FLOWS     65536
#define RECORDS_PER_S 100
#define RING_SIZE     4096
#define RING_BYTES    ((size_t)8 << 20)
/* Of all flows, so that no pod has the whole table; but never fewer than MIN_SHARE. */
#define POD_SHARE 8
#define MIN_SHARE 64
/* Addresses with a limit of their own; the rest share one. */
#define MAX_PODS 16384
/* Losses that go on are one record that often. */
#define LOSS_INTERVAL_NS BH_NS_PER_S
#define MAX_LOSSES       8
/* A kernel timestamp farther off than that is nonsense. */
#define MAX_AGE_NS    (60 * BH_NS_PER_S)
#define MAX_FUTURE_NS BH_NS_PER_S

enum limit { LIMIT_RATE, LIMIT_FLOWS, LIMIT_COUNT_ };
static const char *const limit_names[LIMIT_COUNT_] = {
	[LIMIT_RATE] = "rate-limit",
	[LIMIT_FLOWS] = "flow-limit",
};

/* One judged address. */
struct pod_limit {
	struct bh_addr addr;
	bool is_shared; /* stands for all that have none of their own */
	size_t n_flows;
	uint64_t allowed_ns; /* when the bucket is full again, as in GCRA (ITU-T I.371) */
	uint64_t suppressed[BH_CLASS_COUNT_][LIMIT_COUNT_];
	uint64_t due_ns; /* of the gap record */
	uint64_t last_ns;
	UT_hash_handle hh;
};

/* Hashed up to the end of the chain's name; no padding before it. */
struct flow_key {
	uint32_t link, copy_to; /* see struct flow_sample */
	uint16_t ether_type;
	uint16_t port; /* destination port, or ICMP type and code */
	struct bh_addr src, dst;
	uint8_t protocol, class, has_ports, has_icmp;
	char chain[BH_NAME_MAX];
};
static_assert(offsetof(struct flow_key, chain) == 2 * sizeof(struct bh_addr) + 16,
	      "flow keys have no padding");

struct flow {
	struct pod_limit *pod;
	struct flow *next; /* in order of due_ns */
	uint64_t due_ns;
	uint64_t n_pending, first_ns, last_ns; /* repeats */
	uint16_t src_port;
	UT_hash_handle hh;
	struct flow_key key; /* last: only as much of chain as is used */
};

struct loss {
	char reason[32]; /* "": unused */
	uint64_t n, due_ns;
};

struct bh_flowlog {
	uint64_t interval_ns;
	size_t max_flows, max_pod_flows;
	uint64_t token_ns, burst_ns;
	uint64_t generation;
	struct flow_sources sources;
	struct flow_publisher *publisher;
	struct flow *flows, *first_due, *last_due;
	struct pod_limit *pods;
	struct pod_limit shared;
	struct loss losses[MAX_LOSSES];
	struct bh_flowlog_stats stats;
};

struct bh_flowlog *bh_flowlog_new(const struct bh_flowlog_config *config, const struct bh_world *w,
				  const struct bh_compiler *c, const struct bh_history *h)
{
	const uint32_t rate = config->records_per_s ? config->records_per_s : RECORDS_PER_S;
	struct bh_flowlog *fl = bh_calloc(1, sizeof(*fl));

	fl->interval_ns = config->interval_ns ? config->interval_ns : INTERVAL_NS;
	fl->max_flows = config->max_flows ? config->max_flows : MAX_FLOWS;
	fl->max_pod_flows = fl->max_flows / POD_SHARE;
	if (fl->max_pod_flows < MIN_SHARE)
		fl->max_pod_flows = MIN_SHARE;
	/* The burst is what a second brings. */
	fl->token_ns = BH_NS_PER_S / rate;
	fl->burst_ns = (rate - 1) * fl->token_ns;
	fl->sources = (struct flow_sources){
		.world = w, .compiler = c, .guard = config->guard, .history = h
	};
	fl->publisher =
		flow_publisher_new(config->node, config->ring_size ? config->ring_size : RING_SIZE,
				   config->ring_bytes ? config->ring_bytes : RING_BYTES);
	fl->shared.is_shared = true;
	return fl;
}

void bh_flowlog_free(struct bh_flowlog **fl)
{
	struct flow *f, *f_tmp;
	struct pod_limit *p, *p_tmp;

	if (!*fl)
		return;
	HASH_ITER (hh, (*fl)->flows, f, f_tmp) {
		HASH_DEL((*fl)->flows, f);
		free(f);
	}
	HASH_ITER (hh, (*fl)->pods, p, p_tmp) {
		HASH_DEL((*fl)->pods, p);
		free(p);
	}
	flow_publisher_free(&(*fl)->publisher);
	free(*fl);
	*fl = NULL;
}

void bh_flowlog_set_generation(struct bh_flowlog *fl, uint64_t generation)
{
	fl->generation = generation;
}

int bh_flowlog_subscribe(struct bh_flowlog *fl, const struct bh_flowlog_subscriber *s)
{
	return flow_publisher_add(fl->publisher, s);
}

void bh_flowlog_unsubscribe(struct bh_flowlog *fl, int handle)
{
	flow_publisher_remove(fl->publisher, handle);
}

void bh_flowlog_recent(const struct bh_flowlog *fl,
		       void (*on_record)(void *ctx, const struct bh_record *record), void *ctx)
{
	flow_publisher_recent(fl->publisher, on_record, ctx);
}

/* --- losses before they came ------------------------------------------------------------ */

static void tell_loss(struct bh_flowlog *fl, struct loss *l, uint64_t now_ns)
{
	uint64_t n = l->n;
	struct bh_record r = {
		.kind = BH_RECORD_GAP,
		.at_ns = now_ns,
		.gap = { .reason = l->reason, .lost = n },
	};

	l->n = 0;
	l->due_ns = now_ns + LOSS_INTERVAL_NS;
	flow_publish(fl->publisher, &r, n, now_ns);
}

static struct loss *find_loss(struct bh_flowlog *fl, const char *reason)
{
	struct loss *unused = NULL;

	for (size_t i = 0; i < MAX_LOSSES; i++) {
		if (strncmp(fl->losses[i].reason, reason, sizeof(unused->reason) - 1) == 0)
			return &fl->losses[i];
		if (!unused && !fl->losses[i].reason[0])
			unused = &fl->losses[i];
	}
	/* More reasons than we have names for: the last one takes the rest. */
	if (!unused)
		return &fl->losses[MAX_LOSSES - 1];
	snprintf(unused->reason, sizeof(unused->reason), "%s", reason);
	return unused;
}

/* The first loss is told at once, what follows within a second together. */
static void note_loss(struct bh_flowlog *fl, uint64_t n, const char *reason, uint64_t now_ns)
{
	struct loss *l = find_loss(fl, *reason ? reason : "unknown");

	l->n += n;
	if (now_ns >= l->due_ns)
		tell_loss(fl, l, now_ns);
}

void bh_flowlog_lost(struct bh_flowlog *fl, uint64_t n, const char *reason, uint64_t now_ns)
{
	if (n == 0)
		return;
	fl->stats.lost += n;
	note_loss(fl, n, reason, now_ns);
}

static void tick_losses(struct bh_flowlog *fl, uint64_t now_ns, bool is_all)
{
	for (size_t i = 0; i < MAX_LOSSES; i++) {
		struct loss *l = &fl->losses[i];

		if (l->n > 0 && (is_all || now_ns >= l->due_ns))
			tell_loss(fl, l, now_ns);
	}
}

/* --- limits --------------------------------------------------------------------------------- */

static struct pod_limit *limit_of(struct bh_flowlog *fl, const struct bh_addr *a)
{
	struct pod_limit *p;

	HASH_FIND(hh, fl->pods, a, sizeof(*a), p);
	if (p)
		return p;
	if (HASH_COUNT(fl->pods) >= MAX_PODS)
		return &fl->shared;
	p = bh_calloc(1, sizeof(*p));
	p->addr = *a;
	HASH_ADD(hh, fl->pods, addr, sizeof(p->addr), p);
	return p;
}

static bool take_token(const struct bh_flowlog *fl, struct pod_limit *p, uint64_t now_ns)
{
	/* A clock that went back must not hold a pod's records up. */
	if (p->allowed_ns < now_ns || p->allowed_ns - now_ns > fl->burst_ns + fl->token_ns)
		p->allowed_ns = now_ns;
	if (p->allowed_ns - now_ns > fl->burst_ns)
		return false;
	p->allowed_ns += fl->token_ns;
	return true;
}

static uint64_t untold(const struct pod_limit *p, enum bh_verdict_class class)
{
	uint64_t n = 0;

	for (enum limit l = 0; l < LIMIT_COUNT_; l++)
		n += p->suppressed[class][l];
	return n;
}

static bool has_untold(const struct pod_limit *p)
{
	return untold(p, BH_CLASS_DENIED) + untold(p, BH_CLASS_AUDIT) > 0;
}

static void suppress(struct bh_flowlog *fl, struct pod_limit *p, enum bh_verdict_class class,
		     enum limit limit, uint64_t now_ns)
{
	if (!has_untold(p))
		p->due_ns = now_ns + fl->interval_ns;
	p->suppressed[class][limit]++;
	fl->stats.of[class].suppressed++;
}

static void tell_suppressed(struct bh_flowlog *fl, struct pod_limit *p, enum bh_verdict_class class,
			    enum limit limit, uint64_t now_ns)
{
	uint64_t n = p->suppressed[class][limit];
	struct bh_record r = {
		.kind = BH_RECORD_GAP,
		.at_ns = now_ns,
		.gap = { .reason = limit_names[limit],
			 .lost = n,
			 .has_class = true,
			 .class = class },
	};
	struct flow_end end;

	if (n == 0)
		return;
	if (!p->is_shared) {
		flow_attribute_end(&fl->sources, &p->addr, p->last_ns, true, &end);
		r.gap.has_address = true;
		r.gap.address = p->addr;
		if (end.pod.name)
			r.gap.pod = end.pod;
	}
	p->suppressed[class][limit] = 0;
	flow_publish(fl->publisher, &r, n, now_ns);
}

static void tick_pod(struct bh_flowlog *fl, struct pod_limit *p, uint64_t now_ns, bool is_all)
{
	if (!is_all && now_ns < p->due_ns && p->due_ns - now_ns <= fl->interval_ns)
		return;
	for (enum bh_verdict_class b = 0; b < BH_CLASS_COUNT_; b++)
		for (enum limit l = 0; l < LIMIT_COUNT_; l++)
			tell_suppressed(fl, p, b, l, now_ns);
}

static void tick_pods(struct bh_flowlog *fl, uint64_t now_ns, bool is_all)
{
	struct pod_limit *p, *tmp;

	HASH_ITER (hh, fl->pods, p, tmp) {
		tick_pod(fl, p, now_ns, is_all);
		/* Its bucket is full again and nothing refers to it. */
		if (p->n_flows == 0 && !has_untold(p) && now_ns > p->last_ns &&
		    now_ns - p->last_ns > fl->interval_ns + BH_NS_PER_S) {
			HASH_DEL(fl->pods, p);
			free(p);
		}
	}
	tick_pod(fl, &fl->shared, now_ns, is_all);
}

/* --- flows ------------------------------------------------------------------------------------ */

static enum bh_dir dir_of(const struct bh_flowlog *fl, const struct flow_key *key)
{
	const char *chain = key->chain;
	const struct bh_profile *p;

	if (key->link)
		return strcmp(chain, BH_GUARD_UNLISTED) == 0 ? BH_INGRESS : BH_EGRESS;
	if (strncmp(chain, "in_", 3) == 0)
		return BH_INGRESS;
	if (strncmp(chain, "eg_", 3) == 0)
		return BH_EGRESS;
	p = bh_compiler_profile(fl->sources.compiler, chain);
	return p ? p->dir : BH_INGRESS;
}

static size_t key_len(const struct flow_key *k)
{
	return offsetof(struct flow_key, chain) + strlen(k->chain);
}

static void publish_flow(struct bh_flowlog *fl, const struct flow *f, uint64_t at_ns,
			 const struct flow_counts *counts, uint64_t now_ns)
{
	const struct flow_key *k = &f->key;
	const enum bh_verdict_class class = k->class;
	const struct flow_sample sample = {
		.src = k->src,
		.dst = k->dst,
		.ether_type = k->ether_type,
		.link = k->link,
		.copy_to = k->copy_to,
		.protocol = k->protocol,
		.has_ports = k->has_ports,
		.has_icmp = k->has_icmp,
		.src_port = f->src_port,
		.dst_port = k->has_ports ? k->port : 0,
		.icmp_type = k->has_icmp ? (uint8_t)(k->port >> 8) : 0,
		.icmp_code = k->has_icmp ? (uint8_t)k->port : 0,
		.class = class,
		.dir = dir_of(fl, k),
		.chain = k->chain,
		.at_ns = at_ns,
	};
	struct bh_record r = { .kind = BH_RECORD_FLOW, .at_ns = at_ns };
	struct flow_attribution a;
	struct flow_room room;

	flow_attribute(&fl->sources, &sample, &a);
	flow_fill_record(&r.flow, &sample, &a, counts, &room);
	r.flow.generation = fl->generation;
	fl->stats.of[class].recorded += counts->count;
	flow_publish(fl->publisher, &r, counts->count, now_ns);
}

static void enqueue(struct bh_flowlog *fl, struct flow *f, uint64_t now_ns)
{
	f->due_ns = now_ns + fl->interval_ns;
	f->next = NULL;
	if (fl->last_due)
		fl->last_due->next = f;
	else
		fl->first_due = f;
	fl->last_due = f;
}

static struct flow *add_flow(struct bh_flowlog *fl, const struct flow_key *key, uint16_t src_port,
			     struct pod_limit *pod, uint64_t now_ns)
{
	size_t len = key_len(key);
	struct flow *f = bh_calloc(1, offsetof(struct flow, key) + len + 1);

	memcpy(&f->key, key, len + 1);
	f->src_port = src_port;
	f->pod = pod;
	pod->n_flows++;
	HASH_ADD(hh, fl->flows, key, len, f);
	enqueue(fl, f, now_ns);
	return f;
}

static void drop_flow(struct bh_flowlog *fl, struct flow *f)
{
	HASH_DEL(fl->flows, f);
	f->pod->n_flows--;
	free(f);
}

static void tell_repeats(struct bh_flowlog *fl, struct flow *f, uint64_t now_ns)
{
	const enum bh_verdict_class class = f->key.class;
	const struct flow_counts counts = {
		.count = f->n_pending,
		.suppressed = untold(f->pod, class),
		.first_ns = f->first_ns,
		.last_ns = f->last_ns,
	};

	if (f->n_pending == 0)
		return;
	fl->stats.of[class].pending -= f->n_pending;
	f->n_pending = 0;
	publish_flow(fl, f, counts.last_ns, &counts, now_ns);
}

static void tick_flows(struct bh_flowlog *fl, uint64_t now_ns)
{
	struct flow *f;

	/* A due time beyond the interval means that the clock went back. */
	while ((f = fl->first_due) &&
	       (f->due_ns <= now_ns || f->due_ns - now_ns > fl->interval_ns)) {
		fl->first_due = f->next;
		if (!fl->first_due)
			fl->last_due = NULL;
		if (f->n_pending == 0) {
			drop_flow(fl, f);
			continue;
		}
		tell_repeats(fl, f, now_ns);
		enqueue(fl, f, now_ns);
	}
}

void bh_flowlog_tick(struct bh_flowlog *fl, uint64_t now_ns)
{
	tick_flows(fl, now_ns);
	tick_pods(fl, now_ns, false);
	tick_losses(fl, now_ns, false);
	flow_publisher_tick(fl->publisher, now_ns);
}

void bh_flowlog_flush(struct bh_flowlog *fl, uint64_t now_ns)
{
	struct flow *f;

	for (f = fl->first_due; f; f = f->next)
		tell_repeats(fl, f, now_ns);
	tick_pods(fl, now_ns, true);
	tick_losses(fl, now_ns, true);
	flow_publisher_tick(fl->publisher, now_ns);
}

/* --- packets --------------------------------------------------------------------- */

static bool read_class(char letter, enum bh_verdict_class *ret)
{
	for (*ret = 0; *ret < BH_CLASS_COUNT_; ++*ret)
		if (bh_class_words(*ret)->letter == letter)
			return true;
	return false;
}

/* "bh:d:in_0123...": the class and the chain's name. */
static bool read_prefix(const char *prefix, enum bh_verdict_class *class, const char **chain)
{
	const size_t len = sizeof(BH_LOG_PREFIX) - 1;
	size_t n;

	if (strncmp(prefix, BH_LOG_PREFIX, len) != 0 || !read_class(prefix[len], class) ||
	    prefix[len + 1] != ':')
		return false;
	*chain = prefix + len + 2;
	n = strlen(*chain);
	return n > 0 && n < BH_NAME_MAX;
}

/* The kernel's time where it gave a sensible one. */
static uint64_t time_of(const struct bh_nflog_msg *msg, uint64_t now_ns)
{
	const uint64_t t = msg->timestamp_ns;

	if (t == 0 || t > now_ns + MAX_FUTURE_NS || t + MAX_AGE_NS < now_ns)
		return now_ns;
	return t;
}

static void make_key(const struct bh_packet *p, uint32_t link, enum bh_verdict_class class,
		     const char *chain, struct flow_key *ret)
{
	memset(ret, 0, offsetof(struct flow_key, chain));
	ret->link = link;
	ret->ether_type = p->ether_type;
	ret->src = p->src;
	ret->dst = p->dst;
	ret->protocol = p->protocol;
	ret->class = (uint8_t) class;
	ret->has_ports = p->has_ports;
	ret->has_icmp = p->has_icmp;
	if (p->has_ports)
		ret->port = p->dst_port;
	else if (p->has_icmp)
		ret->port = (uint16_t)(p->icmp_type << 8 | p->icmp_code);
	strcpy(ret->chain, chain); /* fits: read_prefix() */
}

static void count_repeat(struct bh_flowlog *fl, struct flow *f, uint64_t at_ns)
{
	if (f->n_pending++ == 0)
		f->first_ns = at_ns;
	f->last_ns = at_ns;
	fl->stats.of[f->key.class].pending++;
}

/* Whatever addresses a pod forges, its records are its own. */
static struct pod_limit *judged_limit(struct bh_flowlog *fl, const struct flow_key *key)
{
	const uint32_t port = key->link ? key->link : key->copy_to;
	const struct bh_pod *pod;

	if (!port)
		return limit_of(fl, dir_of(fl, key) == BH_INGRESS ? &key->dst : &key->src);
	pod = bh_guard_pod_of(fl->sources.guard, port);
	return pod && pod->n_addrs > 0 ? limit_of(fl, &pod->addrs[0]) : &fl->shared;
}

static void take_first(struct bh_flowlog *fl, const struct flow_key *key, uint16_t src_port,
		       uint64_t at_ns, uint64_t now_ns)
{
	const enum bh_verdict_class class = key->class;
	struct pod_limit *pod = judged_limit(fl, key);
	struct flow_counts counts = { .count = 1 };

	pod->last_ns = now_ns;
	if (HASH_COUNT(fl->flows) >= fl->max_flows || pod->n_flows >= fl->max_pod_flows) {
		suppress(fl, pod, class, LIMIT_FLOWS, now_ns);
		return;
	}
	if (!take_token(fl, pod, now_ns)) {
		suppress(fl, pod, class, LIMIT_RATE, now_ns);
		return;
	}
	counts.suppressed = untold(pod, class);
	publish_flow(fl, add_flow(fl, key, src_port, pod, now_ns), at_ns, &counts, now_ns);
}

/* A bridge tells its ports apart from itself. */
static uint32_t link_of(const struct bh_nflog_msg *msg, const char *chain)
{
	if (strcmp(chain, BH_GUARD_UNLISTED) != 0)
		return msg->in_ifindex;
	return msg->physout_ifindex ? msg->physout_ifindex : msg->out_ifindex;
}

/* A group's address is no pod's, so whose policies denied a copy shows by its port. */
static uint32_t copy_of(const struct bh_flowlog *fl, const struct bh_nflog_msg *msg,
			const struct flow_key *key)
{
	if (key->link || dir_of(fl, key) != BH_INGRESS || flow_is_no_pod(key->chain) ||
	    !bh_guard_pod_of(fl->sources.guard, msg->physout_ifindex) ||
	    bh_world_pod_by_addr(fl->sources.world, &key->dst))
		return 0;
	return msg->physout_ifindex;
}

static uint16_t ether_type_of(const struct bh_nflog_msg *msg)
{
	if (msg->family == NFPROTO_IPV4)
		return ETH_P_IP;
	return msg->family == NFPROTO_IPV6 ? ETH_P_IPV6 : msg->ether_type;
}

void bh_flowlog_packet(struct bh_flowlog *fl, const struct bh_nflog_msg *msg, uint64_t now_ns)
{
	uint32_t link = 0;
	enum bh_verdict_class class;
	struct flow_key key;
	struct bh_packet p;
	const char *chain;
	struct flow *f;

	/* Somebody else's rule logs to our group. */
	if (!read_prefix(msg->prefix, &class, &chain)) {
		fl->stats.malformed++;
		return;
	}
	if (bh_guard_is_reason(chain)) {
		link = link_of(msg, chain);
		bh_frame_parse(ether_type_of(msg), msg->payload, msg->payload_len, &p);
	} else if (bh_packet_parse(msg->payload, msg->payload_len, &p) < 0) {
		fl->stats.malformed++;
		note_loss(fl, 1, "malformed", now_ns);
		return;
	}
	fl->stats.of[class].received++;
	make_key(&p, link, class, chain, &key);
	key.copy_to = copy_of(fl, msg, &key);
	HASH_FIND(hh, fl->flows, &key, key_len(&key), f);
	if (f)
		count_repeat(fl, f, time_of(msg, now_ns));
	else
		take_first(fl, &key, p.src_port, time_of(msg, now_ns), now_ns);
}

void bh_flowlog_event(struct bh_flowlog *fl, const struct bh_record *event, uint64_t now_ns)
{
	struct bh_record r = *event;

	r.at_ns = now_ns;
	flow_publish(fl->publisher, &r, 0, now_ns);
}

struct bh_flowlog_stats bh_flowlog_stats(const struct bh_flowlog *fl)
{
	struct bh_flowlog_stats s = fl->stats;

	s.records = flow_publisher_records(fl->publisher);
	s.records_lost = flow_publisher_lost(fl->publisher);
	return s;
}
