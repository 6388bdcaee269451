/*
 * Where in the history of one resource we are, and what to ask the server for to go
 * on from there.
 */
#ifndef BH_KUBE_PLACE_H
#define BH_KUBE_PLACE_H

#include "bh/buf.h"
#include "kinds.h"

/* Zero: at the beginning. */
struct bh_kube_place {
	char *version;         /* where a watch goes on; NULL: list first */
	char *continuation;    /* of the list's next page; NULL: the first */
	bool wants_whole_list; /* a token expired: not in pages this time */
};

void bh_kube_place_forget(struct bh_kube_place *p);
void bh_kube_place_forget_version(struct bh_kube_place *p);
/* "" is no news. */
void bh_kube_place_set_version(struct bh_kube_place *p, const char *version);
/* A page has ended; @next "": it was the last. */
void bh_kube_place_set_page(struct bh_kube_place *p, const char *next);
/* The version as a number that grows (KEP-5504); 0: none. */
uint64_t bh_kube_place_revision(const struct bh_kube_place *p);

/* Path and query of what comes next: a watch, a WatchList, a page of a list. */
void bh_kube_place_watch(const struct bh_kube_place *p, const struct bh_kube_kind *kind,
			 struct bh_buf *path);
void bh_kube_place_stream(const struct bh_kube_kind *kind, struct bh_buf *path);
void bh_kube_place_page(const struct bh_kube_place *p, const struct bh_kube_kind *kind,
			uint32_t page_size, struct bh_buf *path);

#endif
