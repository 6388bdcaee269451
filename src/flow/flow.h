/*
 * Private to flow/: from a packet to a published record.
 *
 *	flowlog.c     counts packets, aggregates repeats, keeps limits
 *	attribute.c   who had both ends, and why the packet was denied
 *	record.c      the record of a flow
 *	fields.c      the members of a record's JSON
 *	json.c        a record as JSON and back
 *	copy.c        copies that own what they point to
 *	bound.c       how long it can become
 *	budget.c      how many bytes a second the file gets, and from whom
 *	publish.c     sequence numbers, ring, subscribers and what they lost
 */
#ifndef BH_FLOW_PRIVATE_H
#define BH_FLOW_PRIVATE_H

#include "bh/eval.h"
#include "bh/flowlog.h"
#include "bh/guard.h"
#include "bh/packet.h"
#include "bh/record.h"

/* --- attribution --------------------------------------------------------------- */

/* Where identities and reasons come from; borrowed. */
struct flow_sources {
	const struct bh_world *world;
	const struct bh_compiler *compiler;
	const struct bh_history *history;
	const struct bh_guard *guard; /* NULL: none */
};

/* One packet, or several of one flow. */
struct flow_sample {
	struct bh_addr src, dst; /* family BH_FAMILY_COUNT_: not known */
	uint16_t ether_type;
	uint32_t link; /* a port that the guard judged; 0: policy judged the packet */
	/* The port to which a bridge would have copied a packet for a group; 0: no such copy. */
	uint32_t copy_to;
	uint8_t protocol;
	bool has_ports, has_icmp;
	uint16_t src_port, dst_port;
	uint8_t icmp_type, icmp_code;
	enum bh_verdict_class class;
	enum bh_dir dir; /* of the judged pod */
	const char *chain;
	uint64_t at_ns; /* real time */
};

struct flow_end {
	enum bh_record_entity entity;
	enum bh_confidence confidence;
	bool is_current;        /* who it is has not changed since */
	struct bh_identity pod; /* of a node only its name is there */
};

struct flow_reason {
	const struct bh_profile *profile; /* NULL where the chain is long gone, or the guard's */
	bool is_evaluated;                /* verdict is there and agrees with the packet */
	struct bh_dir_verdict verdict;
};

/* Pointers are good until the next change of the world or history. */
struct flow_attribution {
	struct flow_end src, dst;
	struct flow_reason reason;
};

/* The chain of addresses that no known pod has. */
bool flow_is_no_pod(const char *chain);

void flow_attribute(const struct flow_sources *s, const struct flow_sample *sample,
		    struct flow_attribution *ret);
/* Who has @a; @is_judged: a local pod for sure. */
void flow_attribute_end(const struct flow_sources *s, const struct bh_addr *a, uint64_t at_ns,
			bool is_judged, struct flow_end *ret);

/* --- records -------------------------------------------------------------------- */

struct flow_counts {
	uint64_t count;             /* packets in this record */
	uint64_t suppressed;        /* of the judged pod, told in no record yet */
	uint64_t first_ns, last_ns; /* of repeats; 0 for a first packet */
};

/* @text as UTF-8, cut to @max bytes of the line, with "..." at the end; to be freed. */
char *flow_text(const char *text, size_t max);
/* How many bytes it has in the line. */
size_t flow_text_size(const char *text);
/*
 * The labels that a record shows, in order, whole ones only; they are borrowed, and listed
 * in @room for FLOW_MAX_LABELS.  It depends on nothing but the labels.
 */
#define FLOW_MAX_LABELS (BH_RECORD_MAX_PART / 6)
struct bh_labels flow_bound_labels(const struct bh_labels *labels, struct bh_label *room);

/* Room for what the record of a flow points to. */
struct flow_room {
	struct bh_record_name denied_by[BH_MAX_ISOLATING];
	struct bh_record_near near[BH_MAX_NEAR_MISSES];
};
void flow_fill_record(struct bh_record_flow *ret, const struct flow_sample *sample,
		      const struct flow_attribution *a, const struct flow_counts *counts,
		      struct flow_room *room);

/* --- publishing ------------------------------------------------------------------- */

struct flow_publisher;

struct flow_publisher *flow_publisher_new(const char *node, size_t ring_size, size_t ring_bytes);
void flow_publisher_free(struct flow_publisher **p);
/*
 * Gives @r its place in the sequence, and hands it out; @packets: how many it accounts for.
 */
void flow_publish(struct flow_publisher *p, struct bh_record *r, uint64_t packets, uint64_t now_ns);
/* Tells subscribers that take records again what they lost. */
void flow_publisher_tick(struct flow_publisher *p, uint64_t now_ns);
int flow_publisher_add(struct flow_publisher *p, const struct bh_flowlog_subscriber *s);
void flow_publisher_remove(struct flow_publisher *p, int handle);
void flow_publisher_recent(const struct flow_publisher *p,
			   void (*on_record)(void *ctx, const struct bh_record *r), void *ctx);
uint64_t flow_publisher_records(const struct flow_publisher *p);
uint64_t flow_publisher_lost(const struct flow_publisher *p);

#endif
