/*
 * The container runtime as a source of this node's pods: CRI v1 (gRPC over a
 * unix socket) plus containerd's event stream, which knows a pod's addresses
 * before its first container starts.
 */
#ifndef BH_CRI_H
#define BH_CRI_H

#include <uv.h>

#include "bh/source.h"

struct bh_cri;

struct bh_cri_config {
	const char *endpoint;      /* unix:///run/containerd/containerd.sock */
	const char *node;          /* name given to pods' node */
	uint32_t list_interval_ms; /* reconciling list; 0: 30000 */
};

/*
 * Starts at once and keeps trying: a runtime that is away is a problem told to
 * the sink, not an error.  -EINVAL for an endpoint that is none.
 */
int bh_cri_new(struct bh_cri **ret, uv_loop_t *loop, const struct bh_cri_config *config,
	       const struct bh_sink *sink, struct bh_err *err);
/* Not from within a call of the sink.  Handles are closed by the loop later. */
void bh_cri_free(struct bh_cri **cri);

struct bh_cri_stats {
	bool is_connected;
	uint64_t n_events, n_lists, n_reconnects;
	char runtime[64]; /* "containerd 1.6.20" or "" */
};
struct bh_cri_stats bh_cri_stats(const struct bh_cri *cri);

#endif
