/*
 * Private to flow/: from a packet to a published record.
 *
 *	flowlog.c     counts packets, aggregates repeats, keeps limits
 *	attribute.c   who had both ends, and why the packet was denied
 *	record.c      the JSON
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

enum flow_book { FLOW_DENIED, FLOW_AUDIT, FLOW_BOOK_COUNT_ };
/* "denied", "audit-denied" */
const char *flow_book_str(enum flow_book book);

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
	enum flow_book book;
	enum bh_dir dir; /* of the judged pod */
	const char *chain;
	uint64_t at_ns; /* real time */
};

struct flow_end {
	const char *entity;     /* "pod", "node", "external", "unknown" */
	const char *confidence; /* "exact", "recent", "none" */
	bool has_pod;
	bool is_current; /* who it is has not changed since */
	struct bh_identity pod;
	const char *node; /* where it is a node; NULL otherwise */
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

/* Cut, with "..." at the end, to BH_RECORD_MAX_TEXT; a new reference. */
json_t *flow_text_json(const char *text);
/*
 * An array or object, of which no more than BH_RECORD_MAX_PART bytes are kept, as whole
 * items with texts cut.  How many are left out, with @n_omitted before, is in
 * "KEY_omitted".  Takes the reference.
 */
void flow_set_bounded(json_t *record, const char *key, json_t *value, size_t n_omitted);
/* The same for every member. */
void flow_bound_fields(json_t *fields);
/*
 * The labels that a record shows, in order, whole ones only; they are borrowed, and listed
 * in @room for FLOW_MAX_LABELS.  It depends on nothing but the labels.
 */
#define FLOW_MAX_LABELS (BH_RECORD_MAX_PART / 6)
struct bh_labels flow_bound_labels(const struct bh_labels *labels, struct bh_label *room);
void flow_set_string(json_t *record, const char *key, const char *value);
void flow_set_number(json_t *record, const char *key, uint64_t value);
void flow_set_time(json_t *record, const char *key, uint64_t ns);
void flow_fill_record(json_t *record, const struct flow_sample *sample,
		      const struct flow_attribution *a, const struct flow_counts *counts,
		      uint64_t generation);
/* "k8s.pod.name" and so on of a pod that the record is about. */
void flow_fill_pod(json_t *record, const struct bh_addr *a, const struct flow_end *end);

/* --- publishing ------------------------------------------------------------------- */

struct flow_publisher;

struct flow_publisher *flow_publisher_new(const char *node, size_t ring_size, size_t ring_bytes);
void flow_publisher_free(struct flow_publisher **p);
/* A record with its place in the sequence; it must be published next. */
json_t *flow_new_record(struct flow_publisher *p, const char *action, uint64_t at_ns);
/* @packets: how many the record accounts for.  Takes the reference. */
void flow_publish(struct flow_publisher *p, json_t *record, uint64_t packets, uint64_t now_ns);
/* Tells subscribers that take records again what they lost. */
void flow_publisher_tick(struct flow_publisher *p, uint64_t now_ns);
int flow_publisher_add(struct flow_publisher *p, const struct bh_flowlog_subscriber *s);
void flow_publisher_remove(struct flow_publisher *p, int handle);
void flow_publisher_recent(const struct flow_publisher *p,
			   void (*on_record)(void *ctx, const json_t *record, const char *line),
			   void *ctx);
uint64_t flow_publisher_records(const struct flow_publisher *p);
uint64_t flow_publisher_lost(const struct flow_publisher *p);

#endif
