/*
 * One walk over the connections of some addresses: list, judge, cut.
 */
#ifndef BH_WALK_H
#define BH_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "bh/addr.h"
#include "bh/err.h"
#include "bh/hash.h"
#include "bh/node.h"
#include "cuts.h"
#include "revoke.h"

/* An address whose connections are looked at. */
struct bh_touched {
	struct bh_addr addr;
	bool is_forgotten; /* all its connections go */
	enum bh_touch why;
	size_t n_victims; /* of a walk, where it is the local end */
	size_t n_tuples;  /* its elements in the kernel's sets of cuts */
	UT_hash_handle hh;
};

struct bh_touched *bh_touched_find(struct bh_touched *set, const struct bh_addr *a);
/* Finds or adds. */
struct bh_touched *bh_touched_get(struct bh_touched **set, const struct bh_addr *a);
void bh_touched_free(struct bh_touched **set);

struct bh_walk {
	struct bh_agent *agent;
	void (*on_portion)(struct bh_walk *w);
	uv_work_t work;
	bool is_working; /* the listing thread has it */

	struct bh_touched *touched;
	uint64_t generation; /* of the rules by which it judges, or an earlier one */
	size_t budget;       /* connections of one pod that it cuts */
	bool has_cuts;       /* the kernel may hold some; after the walk too */
	bool is_picking_up;  /* packets in mid-stream are let pass */

	/* Written by the listing thread while it works. */
	struct bh_conntrack *ct;
	struct bh_cut *cuts; /* that the kernel held when it began */
	size_t n_cuts;
	struct bh_conn *conns; /* a portion */
	size_t n_conns;
	struct bh_touched *asked; /* by whose address the kernel filters; NULL: by none */
	enum bh_conn_side side;
	bool has_listed_ipv6;
	bool is_begun, is_end;
	bool is_forgetting_slow; /* the kernel does not delete by address */
	int result;
	struct bh_err err;
	uint64_t cpu_ns;

	/* Where judging is. */
	size_t next_cut, next_conn;
	struct bh_conn *victims;
	size_t n_victims, n_to_block; /* those that are blocked come first */
	struct bh_touched *payers;    /* by address: what their budgets were used for */

	size_t n_entries;   /* that were judged */
	size_t n_denied;    /* cut, because policy denies them */
	size_t n_forgotten; /* cut with their pod; about so many */
	size_t n_left;      /* of pods over their budget: for another walk */
	size_t n_open;      /* cut, but no set had room to keep them from coming back */
};

/* Takes @touched over. */
struct bh_walk *bh_walk_new(struct bh_agent *agent, struct bh_touched *touched, size_t budget,
			    void (*on_portion)(struct bh_walk *w));
/* Not while it is_working. */
void bh_walk_free(struct bh_walk **w);

/* Lists the next portion in a thread, and then calls on_portion. */
void bh_walk_list(struct bh_walk *w);
/* Judges and cuts for about a millisecond; true while the portion has more. */
bool bh_walk_slice(struct bh_walk *w);
/* Failed (result), or there is no other portion. */
bool bh_walk_is_over(const struct bh_walk *w);

#endif
