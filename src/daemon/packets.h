/*
 * Denied packets: from NFLOG to the flow log, and the books about them.
 */
#ifndef BH_PACKETS_H
#define BH_PACKETS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bh/compile.h"
#include "bh/err.h"

struct bh_agent;
struct bh_flowfile;
struct bh_nflog;

/*
 * Of one class, in packets, since the agent's start.  Always
 * denied == recorded + suppressed + pending + lost + in_flight.
 */
struct bh_account {
	uint64_t denied;     /* by the kernel's counter */
	uint64_t logged;     /* of these, handed to NFLOG */
	uint64_t recorded;   /* in written flow records */
	uint64_t suppressed; /* by the rate limit in the kernel or a limit of the flow log */
	uint64_t pending;    /* repeats that wait for their record */
	uint64_t lost;       /* handed to NFLOG and never seen again */
	uint64_t in_flight;  /* handed to NFLOG less than a moment ago, not read yet */
};

/* A kernel counter that may start again at 0 when somebody deletes our table. */
struct bh_counter_base {
	uint64_t last, total;
	bool is_known;
};

struct bh_packets {
	struct bh_agent *agent;
	struct bh_nflog *nflog;
	struct bh_flowfile *file;
	uv_poll_t poll;
	uv_timer_t tick;
	bool is_ticking;
	bool has_file_trouble;   /* and it was logged */
	uint64_t quiet_since_ms; /* loop time of the last packet or record */
	struct bh_counter_base denied[BH_CLASS_COUNT_], logged[BH_CLASS_COUNT_];
	struct bh_counter_base no_pod; /* of both books: an end had no known pod */
	/* `logged` at an earlier look: what of it is still missing is lost. */
	uint64_t settled[BH_CLASS_COUNT_];
	uint64_t sample[BH_CLASS_COUNT_];
	uint64_t sample_ns;
	/* What the kernel's limit kept from the log: seen at the last tick, told in gaps. */
	uint64_t limited_seen[BH_CLASS_COUNT_], limited_told[BH_CLASS_COUNT_];
};

int bh_packets_start(struct bh_packets *p, struct bh_agent *agent, struct bh_err *err);
/* Writes out what is pending. */
void bh_packets_stop(struct bh_packets *p);
/* logrotate: writes out what is pending and opens the flow log by name again. */
int bh_packets_reopen(struct bh_packets *p, struct bh_err *err);
/* Reads what is waiting, then fills @ret. */
void bh_packets_account(struct bh_packets *p, struct bh_account ret[BH_CLASS_COUNT_]);
/* The object `packets` of `status`; a new reference. */
json_t *bh_packets_json(struct bh_packets *p);
/* Packets of addresses without a known pod, as of the last account. */
uint64_t bh_packets_no_pod(const struct bh_packets *p);
/* The object `flow_log` of `status`, null without a file; a new reference. */
json_t *bh_packets_file_json(const struct bh_packets *p);

#endif
