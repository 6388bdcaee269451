/*
 * Requests to the API server, all on one HTTP/2 connection.
 *
 * A session has the certificates that were there when it began; the token is
 * read for each request.
 */
#ifndef BH_KUBE_HTTP_H
#define BH_KUBE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "access.h"

struct bh_kube_http;
struct bh_kube_call;

enum bh_outcome {
	BH_ANSWERED, /* status says how */
	BH_BROKEN,   /* this answer broke off; the connection may be well */
	BH_AWAY,     /* there is no connection */
};

struct bh_kube_answer {
	enum bh_outcome outcome;
	int status;
	uint32_t retry_after_ms; /* 0: not said */
	const char *text;        /* why it failed, with the server's words; valid during the call */
};

struct bh_kube_request {
	const char *path;  /* with query; copied */
	bool accepts_gzip; /* a tenth of the bytes or less, and less work than decrypting them */
	/* Status 200 has come; its body follows. */
	void (*on_head)(void *ctx);
	void (*on_data)(void *ctx, const char *data, size_t len);
	/* The call is over and no longer exists afterwards. */
	void (*on_done)(void *ctx, const struct bh_kube_answer *answer);
	void *ctx;
};

/* Reads CA, certificate and key; @access must outlive the session. */
int bh_kube_http_new(struct bh_kube_http **ret, uv_loop_t *loop,
		     const struct bh_kube_access *access, struct bh_err *err);
/* Ends every call without a word.  Its handles are closed by the loop later. */
void bh_kube_http_free(struct bh_kube_http **h);
/* NULL with text if the token cannot be read. */
struct bh_kube_call *bh_kube_call_start(struct bh_kube_http *h,
					const struct bh_kube_request *request, struct bh_err *err);
void bh_kube_call_cancel(struct bh_kube_call **call);

struct bh_kube_http_stats {
	uint64_t bytes_received; /* of bodies, as they came over the wire */
	uint64_t n_connects;
};
struct bh_kube_http_stats bh_kube_http_stats(const struct bh_kube_http *h);

#endif
