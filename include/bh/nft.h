/*
 * The kernel's nftables: commit a delta, read the table back, compare, watch.
 *
 * One object has two netlink sockets: one for transactions and dumps, one in
 * the group NFNLGRP_NFTABLES.  It works in the network namespace of the thread
 * that made it.
 */
#ifndef BH_NFT_H
#define BH_NFT_H

#include "bh/buf.h"
#include "bh/plan.h"

struct bh_nft;

int bh_nft_new(struct bh_nft **ret, struct bh_err *err);
void bh_nft_free(struct bh_nft **nft);

/*
 * Deltas that need more bytes than this are committed in several transactions,
 * cut where the delta allows it; 256 KiB if not set.
 */
void bh_nft_set_max_batch(struct bh_nft *nft, size_t bytes);

/* The operation that the kernel refused. */
struct bh_nft_refusal {
	enum bh_table table;
	char name[BH_NAME_MAX]; /* set or chain; "" if none in particular */
	int code;               /* the kernel's negative errno */
};

/*
 * Makes all of @deltas, at most one for each table, visible at once; NULL entries
 * are skipped.  0 once the kernel has acknowledged it.
 * A negative errno and nothing has changed, with three exceptions, after which
 * the caller reads back: -ENOBUFS, the answer was lost; -ESTALE, another
 * writer's change to our tables is pending in the watch; -EINPROGRESS, the deltas
 * were too large for one transaction and a later part failed.
 * @refusal may be NULL.
 */
int bh_nft_commit(struct bh_nft *nft, const struct bh_delta *const *deltas, size_t n,
		  struct bh_nft_refusal *refusal, struct bh_err *err);

/* A table as it is in the kernel; an absent one reads as empty. */
struct bh_nft_state;
int bh_nft_read(struct bh_nft *nft, enum bh_table table, struct bh_nft_state **ret,
		struct bh_err *err);
void bh_nft_state_free(struct bh_nft_state **state);
bool bh_nft_state_is_absent(const struct bh_nft_state *state);
/* Packets come by it: it is there, awake, and has a chain with a hook. */
bool bh_nft_state_is_in_force(const struct bh_nft_state *state);
bool bh_nft_state_has_set(const struct bh_nft_state *state, const char *name);
/* It is in force, and policy or default deny selects pods in it. */
bool bh_nft_state_has_pods(const struct bh_nft_state *state);

/*
 * The delta that takes the kernel from @state to @plan; NULL if they are the
 * same.  Patches: sets keep the elements that both have, chains whose rules are
 * equal are untouched, and no cut is more open than both.  Elements that the
 * packet path adds (BH_SET_LOG_LIMIT) are not compared.
 */
struct bh_delta *bh_nft_diff(const struct bh_nft_state *state, const struct bh_plan *plan);
/*
 * The part of that delta which may be committed while @plan comes of a part of the
 * world: what it adds for addresses that are in none of the state's maps and none
 * of its sets @known.  Nothing that is in force changes, so nothing opens.  NULL
 * where there is nothing to add, where a set @known is missing, and where the table
 * is of another make than the plan.  Without @known, an address is added to each map
 * that lacks it.
 */
struct bh_delta *bh_nft_diff_closing(const struct bh_nft_state *state, const struct bh_plan *plan,
				     const char *const *known, size_t n_known);
/* One line for each difference, at most @max, for the tamper record. */
void bh_nft_diff_describe(const struct bh_delta *delta, size_t max, struct bh_buf *out);

/*
 * Appends to @out what bh_nft_load() makes of @plan where there is no table.  Of
 * sets, only the elements for which the filter says so.
 */
struct bh_save_filter {
	bool (*is_kept)(void *ctx, const struct bh_plan_set *set, const struct bh_elem *elem);
	void *ctx;
};
void bh_nft_save(struct bh_nft *nft, const struct bh_plan *plan,
		 const struct bh_save_filter *filter, struct bh_buf *out);
/*
 * 0 once the kernel has all of it.  After an error, it may have a part that is no more
 * open than the whole.
 */
int bh_nft_load(struct bh_nft *nft, const struct bh_buf *saved, struct bh_err *err);

/* Readable when the watch has something. */
int bh_nft_watch_fd(const struct bh_nft *nft);
/*
 * Drains the watch.  Calls @on_foreign once if our table was changed by another
 * netlink port, with its program's name and pid where the kernel told.
 * -ENOBUFS: notifications were lost, so something may have changed.
 */
int bh_nft_watch_read(struct bh_nft *nft,
		      void (*on_foreign)(void *ctx, const char *program, uint32_t pid), void *ctx,
		      struct bh_err *err);

/*
 * Calls @on_key for every element of a set of table inet, packed as in the plan; in a
 * dump that the kernel repeats, once more for each.  Opens a socket of its own, so that
 * any thread may call it.  -ENOENT: there is no such set.
 */
int bh_nft_list_keys(const char *set, size_t key_len, void (*on_key)(void *ctx, const uint8_t *key),
		     void *ctx, struct bh_err *err);

struct bh_nft_counter {
	enum bh_table table;
	char name[BH_NAME_MAX];
	uint64_t packets, bytes;
};
/* All named counters of our tables.  The caller frees *ret. */
int bh_nft_counters(struct bh_nft *nft, struct bh_nft_counter **ret, size_t *n, struct bh_err *err);

/* The ruleset's generation id (NFTA_GEN_ID). */
int bh_nft_generation(struct bh_nft *nft, uint32_t *ret, struct bh_err *err);

/*
 * Adds @elems to the dynamic set @set of table inet, or begins their lives anew, in
 * a transaction of their own.  0, or a negative errno and none was added; -ENFILE:
 * the set is full.
 */
int bh_nft_add_elems(struct bh_nft *nft, const struct bh_plan_set *set, const struct bh_elem *elems,
		     size_t n, struct bh_err *err);

/* Removes our tables; 0 if there were none. */
int bh_nft_cleanup(struct bh_nft *nft, struct bh_err *err);

#endif
