/*
 * The quarantines that an operator set, as a list on disk.
 *
 * The list is kept in several files, the copies, each of which has all of it.  A number
 * grows with every write; of the copies that can be read, the one with the highest number
 * counts.  A copy that is missing, damaged, or not ours alone to write loses nothing while
 * another is good.
 */
#ifndef BH_QUARANTINELIST_H
#define BH_QUARANTINELIST_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "bh/addr.h"
#include "bh/err.h"

#define BH_QUARANTINE_MAX_ALLOW  64
#define BH_QUARANTINE_MAX_LABELS 16

struct bh_quarantine {
	char *namespace, *name;    /* the parts of the target */
	char *reason;              /* "" if none was given */
	unsigned int who;          /* user id */
	uint64_t set_ns, until_ns; /* since 1970; until_ns 0: until it is released */
	struct bh_cidr allow[BH_QUARANTINE_MAX_ALLOW];
	size_t n_allow;
};

void bh_quarantine_done(struct bh_quarantine *i);
json_t *bh_quarantine_json(const struct bh_quarantine *i);
/* NAMESPACE/POD or NAMESPACE/KEY=VALUE[,...].  -EINVAL, -E2BIG with text. */
int bh_quarantine_parse_target(const char *text, struct bh_quarantine *ret, struct bh_err *err);
/* "allow" and "reason" of @params; either may be missing.  -EINVAL, -E2BIG with text. */
int bh_quarantine_parse_params(const json_t *params, struct bh_quarantine *ret, struct bh_err *err);

/* Zero is empty. */
struct bh_quarantine_list {
	struct bh_quarantine *items;
	size_t n, cap;
	uint64_t serial; /* of the last write; 0: nothing was ever written */
	/* Why the list may lack some that were set, "" if it is whole.  Part of what is kept. */
	char lost[BH_ERR_MAX];
};
void bh_quarantine_list_done(struct bh_quarantine_list *l);
/* The item with the target of @like, or NULL. */
struct bh_quarantine *bh_quarantine_list_find(const struct bh_quarantine_list *l,
					      const struct bh_quarantine *like);
/* Adds @item or replaces the one with its target; takes what @item owns. */
void bh_quarantine_list_put(struct bh_quarantine_list *l, struct bh_quarantine *item);

#define BH_MAX_COPIES 3

struct bh_copies {
	char *paths[BH_MAX_COPIES];
	size_t n;
	struct stat written[BH_MAX_COPIES]; /* st_ino 0: not by this run */
	bool is_damaged[BH_MAX_COPIES];     /* was read, could not be used, and is still there */
};
/*
 * In the folder @state two copies and beside the socket @control one; without @state, which
 * may be NULL, both beside the socket.
 */
void bh_copies_init(struct bh_copies *c, const char *state, const char *control);
void bh_copies_done(struct bh_copies *c);
/*
 * The list of the best copy.  -ENOENT: there is no copy at all.  Any other error, with text:
 * there are copies, and none can be used.  *ret_is_complete: all copies are there and the same.
 */
int bh_copies_read(struct bh_copies *c, struct bh_quarantine_list *ret, bool *ret_is_complete,
		   struct bh_err *err);
/*
 * Writes every copy, with the next number.  A file that is in its place and cannot be used
 * is renamed to PATH.damaged.  *ret_n: how many were written.  An error with text if any was
 * not; where others were, it is removed, for it would say less than they do.
 */
int bh_copies_write(struct bh_copies *c, struct bh_quarantine_list *l, size_t *ret_n,
		    struct bh_err *err);
/*
 * The files are those that were written last.  One that could not be written does not count
 * while another could.
 */
bool bh_copies_are_intact(const struct bh_copies *c);

#endif
