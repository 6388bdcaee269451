/*
 * A gRPC client over a unix socket on the event loop.
 *
 * Calls are asynchronous: nothing is called back before the function that
 * started a call has returned, and callbacks may start and cancel any call.
 */
#ifndef BH_CRI_GRPC_H
#define BH_CRI_GRPC_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "bh/err.h"

struct bh_grpc;
struct bh_grpc_call;

/* gRPC status codes that are told apart here. */
enum {
	BH_GRPC_OK = 0,
	BH_GRPC_NOT_FOUND = 5,
	BH_GRPC_UNIMPLEMENTED = 12,
	/* No answer by the server: connection, protocol or time failed. */
	BH_GRPC_NO_ANSWER = -1,
};

struct bh_grpc_request {
	const char *path;      /* /runtime.v1.RuntimeService/Version */
	const char *namespace; /* of containerd; NULL for none */
	const void *body;      /* encoded message, copied */
	size_t len;
	uint32_t timeout_ms; /* 0: none, for streams */
	/* Each message of the answer; borrowed during the call. */
	void (*on_message)(void *ctx, const uint8_t *data, size_t len);
	/*
	 * Once, at the end.  @text is for people and never NULL.  The call is
	 * freed after it returns.
	 */
	void (*on_done)(void *ctx, int status, const char *text);
	void *ctx;
};

/* @path of the socket; the loop must outlive the client by one turn. */
int bh_grpc_new(struct bh_grpc **ret, uv_loop_t *loop, const char *path, struct bh_err *err);
/* Cancels every call, without calling back; handles are closed by the loop. */
void bh_grpc_free(struct bh_grpc **g);

/* Never fails at once: trouble comes as on_done. */
struct bh_grpc_call *bh_grpc_start(struct bh_grpc *g, const struct bh_grpc_request *request);
/* Ends a call without calling back.  NULL is fine; sets the pointer to NULL. */
void bh_grpc_cancel(struct bh_grpc_call **call);

#endif
