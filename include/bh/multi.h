/*
 * libcurl's multi interface on the event loop.
 *
 * Nothing of the caller's runs inside libcurl: on_turn is called after it has
 * done what there was to do, so that transfers may be added and removed there.
 */
#ifndef BH_MULTI_H
#define BH_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

struct bh_multi;

struct bh_multi_owner {
	void *ctx;
	void (*on_end)(void *ctx, CURL *easy, CURLcode code); /* a transfer is over */
	void (*on_turn)(void *ctx);                           /* after a round of I/O */
	void (*on_closed)(void *ctx);                         /* after bh_multi_close() */
	bool shares_connections; /* HTTP/2: transfers to one server run beside each other */
};

struct bh_multi *bh_multi_new(uv_loop_t *loop, const struct bh_multi_owner *owner);
/* All transfers must have been removed.  on_closed comes in a later turn. */
void bh_multi_close(struct bh_multi *m);
void bh_multi_add(struct bh_multi *m, CURL *easy);
void bh_multi_remove(struct bh_multi *m, CURL *easy);

#endif
