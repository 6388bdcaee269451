/*
 * Questions about single sandboxes and containers, a few at a time.
 *
 * A question about an id that is already being asked is asked once more when
 * the answer is there, because that answer may be older than the reason to ask.
 */
#ifndef BH_CRI_LOOKUP_H
#define BH_CRI_LOOKUP_H

#include <stdbool.h>

#include "grpc.h"

enum bh_lookup_kind {
	BH_LOOKUP_GET,    /* containerd's Containers/Get */
	BH_LOOKUP_STATUS, /* CRI's PodSandboxStatus */
};

struct bh_lookups;

struct bh_lookups_owner {
	void *ctx;
	/* @data is NULL unless @status is BH_GRPC_OK.  May ask, forget and clear. */
	void (*on_answer)(void *ctx, enum bh_lookup_kind kind, const char *id, int status,
			  const uint8_t *data, size_t len, const char *text);
	/* The last question that was asked with in_round is answered. */
	void (*on_round_done)(void *ctx);
};

struct bh_lookups *bh_lookups_new(struct bh_grpc *g, const struct bh_lookups_owner *owner);
void bh_lookups_free(struct bh_lookups **l);
void bh_lookups_ask(struct bh_lookups *l, enum bh_lookup_kind kind, const char *id, bool in_round);
/* No answer about @id is wanted any more. */
void bh_lookups_forget(struct bh_lookups *l, const char *id);
/* The same for all; on_round_done is not called. */
void bh_lookups_clear(struct bh_lookups *l);
bool bh_lookups_round_is_done(const struct bh_lookups *l);

#define BH_CRI_TIMEOUT_MS 10000

#endif
