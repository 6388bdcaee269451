/*
 * The flow log: packets -> records with both ends' identity and the reason.
 *
 * A record is one JSON object (bulkhead-flow(5)).  Repeats of a flow (same ends,
 * protocol, destination port, verdict) are counted: the first is a record at
 * once, the rest one record per interval.  Losses are records themselves.
 */
#ifndef BH_FLOWLOG_H
#define BH_FLOWLOG_H

#include <jansson.h>

#include "bh/compile.h"
#include "bh/guard.h"
#include "bh/history.h"
#include "bh/nflog.h"

/*
 * No record is longer than BH_RECORD_MAX bytes as a line: texts are cut to
 * BH_RECORD_MAX_TEXT, labels and lists to BH_RECORD_MAX_PART with their number in a member
 * of its own, "..._omitted".
 */
#define BH_RECORD_MAX      12288
#define BH_RECORD_MAX_TEXT 256
#define BH_RECORD_MAX_PART 1024

/*
 * Sets @key of a record or of an event's fields to as many whole labels as fit, in the order
 * of their keys; @n_omitted were left out before.
 */
void bh_record_set_labels(json_t *record, const char *key, const struct bh_labels *labels,
			  size_t n_omitted);

struct bh_flowlog_config {
	const char *node;
	uint64_t interval_ns;   /* of repeats; 0: 10 s */
	size_t max_flows;       /* aggregated at a time; 0: 65536; beyond: suppressed, as
				   beyond an eighth of it for one address */
	uint32_t records_per_s; /* per judged address, of new flows; 0: 100; beyond: suppressed */
	size_t ring_size;       /* last records kept for `bulkhead flows`; 0: 4096 */
	size_t ring_bytes;      /* and how long they may be together; 0: 8 MiB */
	const struct bh_guard *guard; /* tells the pod of a port; borrowed; NULL: none */
};

struct bh_flowlog;

/* All pointers are borrowed for the flow log's life. */
struct bh_flowlog *bh_flowlog_new(const struct bh_flowlog_config *config, const struct bh_world *w,
				  const struct bh_compiler *c, const struct bh_history *h);
void bh_flowlog_free(struct bh_flowlog **fl);

/*
 * Who gets the records, in order, each once.  @line is the record as one line
 * of JSON (ASCII only) without newline, @record the same as a tree; both
 * borrowed.  Returns 0, or a negative errno if the record could not be kept: it
 * then counts as lost, and this subscriber gets a gap record for all it lost when
 * it takes records again, at the next record or tick.  May unsubscribe itself.
 */
struct bh_flowlog_subscriber {
	void *ctx;
	int (*on_record)(void *ctx, const json_t *record, const char *line);
	/*
	 * Asked before, where it is not NULL: a negative errno leaves the record out, as if
	 * on_record() had said so, but without a gap record before the next that is taken.
	 */
	int (*on_offer)(void *ctx, const json_t *record, const char *line);
};
/* Returns a handle for bh_flowlog_unsubscribe(). */
int bh_flowlog_subscribe(struct bh_flowlog *fl, const struct bh_flowlog_subscriber *s);
void bh_flowlog_unsubscribe(struct bh_flowlog *fl, int handle);

/* @now_ns is real time.  @generation is of the plan in the kernel. */
void bh_flowlog_set_generation(struct bh_flowlog *fl, uint64_t generation);
void bh_flowlog_packet(struct bh_flowlog *fl, const struct bh_nflog_msg *msg, uint64_t now_ns);
void bh_flowlog_lost(struct bh_flowlog *fl, uint64_t n, const char *reason, uint64_t now_ns);
/* Writes out repeats whose interval ended; call once a second or so. */
void bh_flowlog_tick(struct bh_flowlog *fl, uint64_t now_ns);
/* Writes out everything (shutdown, SIGHUP). */
void bh_flowlog_flush(struct bh_flowlog *fl, uint64_t now_ns);
/*
 * An event beside packets: policy-changed, pod-bound, pod-unbound, tamper, gap.
 * @fields (stolen, may be NULL) are merged into the record, bounded as said above.
 */
void bh_flowlog_event(struct bh_flowlog *fl, const char *action, json_t *fields, uint64_t now_ns);
/* Calls @on_line for the last records, oldest first. */
void bh_flowlog_recent(const struct bh_flowlog *fl,
		       void (*on_record)(void *ctx, const json_t *record, const char *line),
		       void *ctx);

/* In packets, since the start; denied and audit apart. */
struct bh_flowlog_stats {
	uint64_t received[2];   /* packets that came from NFLOG: [0] denied, [1] audit */
	uint64_t recorded[2];   /* counted in records, as first or as repeat */
	uint64_t suppressed[2]; /* left out by a limit, and said so in a gap record */
	uint64_t pending[2];    /* repeats not yet written */
	uint64_t malformed;     /* no packet, or not of our rules; not in received */
	uint64_t lost;          /* known lost before they came (sequence gaps) */
	uint64_t records;       /* the last event.sequence */
	uint64_t records_lost;  /* by subscribers, added up */
};
struct bh_flowlog_stats bh_flowlog_stats(const struct bh_flowlog *fl);

/*
 * A file subscriber: appends whole lines; "-" is standard output.  A full disk, a
 * pipe that is not read in time or an error is a lost record, not the end, and
 * never a wait.  SIGPIPE and SIGXFSZ must be ignored.  Reopened by name on
 * bh_flowfile_reopen() (logrotate); on failure the open file stays.
 */
struct bh_flowfile;
int bh_flowfile_new(struct bh_flowfile **ret, const char *path, struct bh_err *err);
void bh_flowfile_free(struct bh_flowfile **f);
struct bh_flowlog_subscriber bh_flowfile_subscriber(struct bh_flowfile *f);
int bh_flowfile_reopen(struct bh_flowfile *f, struct bh_err *err);

/*
 * How much goes into the file.  Zero is no limit; size and keep are for regular files
 * with a name only.
 *
 * A line that would make the file longer than max_bytes goes into a new one: the old one
 * becomes FILE.old.1, that one FILE.old.2 and so on up to keep.  At each moment there is a
 * file of that name, and every line is in one file as a whole.  With keep 0, and where the
 * folder cannot be written to, the line is left out instead.
 *
 * bytes_per_s is shared among the namespaces whose pods sent (or, where the sender is no
 * pod, should have got) the packets: the flood of one leaves out no record of others.
 */
struct bh_flowfile_limits {
	uint64_t max_bytes, bytes_per_s;
	unsigned int keep;
};
void bh_flowfile_limit(struct bh_flowfile *f, const struct bh_flowfile_limits *limits);

struct bh_flowfile_stats {
	uint64_t bytes; /* of the file now; 0 where it is no regular one */
	uint64_t rotations;
	uint64_t left_out_rate, left_out_size; /* records */
	const char *trouble;                   /* with rotation, as of the last try; NULL if none */
};
struct bh_flowfile_stats bh_flowfile_stats(const struct bh_flowfile *f);

/* One record as a line for people, with newline; @color adds terminal colours. */
struct bh_buf;
void bh_record_format(const json_t *record, bool color, struct bh_buf *out);
/* A header line for bh_record_format()'s columns. */
void bh_record_header(struct bh_buf *out);

/* What `bulkhead flows` asks for; zero is everything. */
struct bh_record_filter {
	const char *namespace, *pod; /* either end; pod NULL: any of the namespace */
	const char *verdict;         /* "denied", "allowed", "audit"; NULL: any */
	uint64_t since_ns;           /* real time */
};
bool bh_record_matches(const json_t *record, const struct bh_record_filter *filter);

#endif
