/*
 * libcurl's multi interface on the event loop.
 *
 * libcurl's callbacks only collect, and say so with bh_transfer_set_ready(); what
 * they collected is handed out by on_ready after libcurl has done what there was
 * to do, so that transfers may be started and ended there.
 */
#ifndef BH_MULTI_H
#define BH_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

#include "bh/err.h"

struct bh_multi;

/* Embedded in the owner's own; init and done in any order with those of others. */
struct bh_transfer {
	CURL *easy;
	bool is_ended;
	CURLcode code; /* once it has ended */
	/* Private. */
	struct bh_multi *multi;
	struct bh_transfer *prev, *next;             /* all of the multi's */
	struct bh_transfer *ready_prev, *ready_next; /* those with something to say */
	bool is_ready;
	char error[CURL_ERROR_SIZE];
};

struct bh_multi_owner {
	void *ctx;
	/* A transfer has something to say, or has ended.  May end it. */
	void (*on_ready)(void *ctx, struct bh_transfer *t);
	void (*on_closed)(void *ctx); /* after bh_multi_close() */
	bool shares_connections;      /* HTTP/2: transfers to one server run beside each other */
};

struct bh_multi *bh_multi_new(uv_loop_t *loop, const struct bh_multi_owner *owner);
/* All transfers must be done.  on_closed comes in a later turn. */
void bh_multi_close(struct bh_multi *m);
/* Any of those that there are; NULL if there are none.  The others hang on next. */
struct bh_transfer *bh_multi_transfers(const struct bh_multi *m);

/* Makes @t's easy handle, for the caller's options. */
void bh_transfer_init(struct bh_transfer *t, struct bh_multi *m);
void bh_transfer_start(struct bh_transfer *t);
/* From libcurl's callbacks. */
void bh_transfer_set_ready(struct bh_transfer *t);
/* Ends it without a word. */
void bh_transfer_done(struct bh_transfer *t);
/* Within on_ready: false once @t was done there, and its memory may be gone. */
bool bh_transfer_is_alive(const struct bh_multi *m, const struct bh_transfer *t);
/* What went wrong; @code of the result is the caller's.  Returns @code. */
int bh_transfer_error(const struct bh_transfer *t, int code, struct bh_err *err);

#endif
