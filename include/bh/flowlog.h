/*
 * The flow log: packets -> records with both ends' identity and the reason.
 *
 * Repeats of a flow (same ends,
 * protocol, destination port, verdict) are counted: the first is a record at
 * once, the rest one record per interval.  Losses are records themselves.
 */
#ifndef BH_FLOWLOG_H
#define BH_FLOWLOG_H

#include "bh/compile.h"
#include "bh/guard.h"
#include "bh/history.h"
#include "bh/nflog.h"
#include "bh/record.h"

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
 * Who gets the records, in order, each once.  @line is the record as
 * bh_record_line() writes it; both are borrowed.  Returns 0, or a negative errno if the record
 * could not be kept: it then counts as lost, and this subscriber gets a gap record for all it lost
 * when it takes records again, at the next record or tick.  May unsubscribe itself.
 */
struct bh_flowlog_subscriber {
	void *ctx;
	int (*on_record)(void *ctx, const struct bh_record *record, const char *line);
	/*
	 * Asked before, where it is not NULL: a negative errno leaves the record out, as if
	 * on_record() had said so, but without a gap record before the next that is taken.
	 */
	int (*on_offer)(void *ctx, const struct bh_record *record, const char *line);
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
 * An event beside packets.  Of @event, what the flow log gives (time, sequence, boot, node) is
 * not looked at; it is copied.
 */
void bh_flowlog_event(struct bh_flowlog *fl, const struct bh_record *event, uint64_t now_ns);
/* Calls @on_record for the last records, oldest first. */
void bh_flowlog_recent(const struct bh_flowlog *fl,
		       void (*on_record)(void *ctx, const struct bh_record *record), void *ctx);

/* In packets, since the start. */
struct bh_flowlog_stats {
	struct bh_flowlog_figures {
		uint64_t received;   /* packets that came from NFLOG */
		uint64_t recorded;   /* counted in records, as first or as repeat */
		uint64_t suppressed; /* left out by a limit, and said so in a gap record */
		uint64_t pending;    /* repeats not yet written */
	} of[BH_CLASS_COUNT_];
	uint64_t malformed;    /* no packet, or not of our rules; not in received */
	uint64_t lost;         /* known lost before they came (sequence gaps) */
	uint64_t records;      /* the last event.sequence */
	uint64_t records_lost; /* by subscribers, added up */
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

#endif
