/*
 * Follows one resource: lists it, then watches it.
 */
#ifndef BH_KUBE_REFLECT_H
#define BH_KUBE_REFLECT_H

#include "facts.h"
#include "http.h"

struct bh_reflector;

struct bh_reflector_owner {
	void *ctx;
	/* Whether a list may begin now; asked again by bh_reflector_nudge(). */
	bool (*may_list)(void *ctx, const struct bh_reflector *r);
	/* Whether what a list did not have may be deleted now, likewise. */
	bool (*may_delete)(void *ctx, const struct bh_reflector *r);
	/* A list has ended. */
	void (*on_list)(void *ctx, const struct bh_reflector *r);
	/* The server gave what was asked for. */
	void (*on_answer)(void *ctx);
	/* A list began or ended, or a watch. */
	void (*on_change)(void *ctx);
	/* 401: the credentials are not, or no more, what the server takes. */
	void (*on_unauthorized)(void *ctx);
	/* There is no connection.  Stop all reflectors; this one is done for. */
	void (*on_away)(void *ctx, const char *text);
};

struct bh_reflector_config {
	uint32_t page_size;        /* 0: a WatchList where there is one, else pages of 500 */
	uint32_t watch_silence_ms; /* 0: 150000 */
};

/* Everything that is pointed at must outlive it. */
struct bh_reflector *bh_reflector_new(uv_loop_t *loop, enum bh_kube_resource resource,
				      const struct bh_sink *sink,
				      const struct bh_reflector_config *config,
				      const struct bh_reflector_owner *owner);
/* The memory is freed by the loop later. */
void bh_reflector_free(struct bh_reflector **r);
/* Begins or goes on where it was, in a new session. */
void bh_reflector_start(struct bh_reflector *r, struct bh_kube_http *http, bool has_watch_list);
/* The session is over; what is known stays. */
void bh_reflector_stop(struct bh_reflector *r);
void bh_reflector_nudge(struct bh_reflector *r);
/* Lists again, whatever it is at or was at before the session.  Not from a call of its owner. */
void bh_reflector_relist(struct bh_reflector *r);
bool bh_reflector_is_listing(const struct bh_reflector *r);
/* What it told may be no more what the server has: it has to list again. */
bool bh_reflector_is_behind(const struct bh_reflector *r);
/* The state of the server that it has seen, as a number that grows; 0: none. */
uint64_t bh_reflector_revision(const struct bh_reflector *r);
/* Of an object that was told; "" if there is none. */
const char *bh_reflector_uid(const struct bh_reflector *r, const char *namespace, const char *name);
bool bh_reflector_adopt(struct bh_reflector *r, const struct bh_key *key);
/* Listed once, or known not to be there. */
bool bh_reflector_is_ready(const struct bh_reflector *r);
struct bh_kube_resource_stats bh_reflector_stats(const struct bh_reflector *r);

#endif
