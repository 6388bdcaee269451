/*
 * The agent's sources and the sink that they feed.
 */
#ifndef BH_SOURCES_H
#define BH_SOURCES_H

#include <jansson.h>
#include <uv.h>

#include "bh/cri.h"
#include "bh/guard.h"
#include "bh/kube.h"
#include "bh/manifest.h"
#include "bh/node.h"
#include "bh/ports.h"
#include "bh/source.h"

struct bh_agent;

struct bh_sources {
	struct bh_agent *agent;
	struct bh_sink sink;
	struct bh_manifest *manifest;
	struct bh_cri *cri;
	struct bh_kube *kube;
	struct bh_node_watch *node_watch;
	struct bh_ports *ports;
	bool is_wanted[BH_SOURCE_COUNT_];
	bool is_synced[BH_SOURCE_COUNT_];
	/* This node's addresses: by the kernel, and as another source told them. */
	struct bh_addr *kernel_addrs, *told_addrs;
	size_t n_kernel_addrs, n_told_addrs;
	struct bh_guard_link *unknown_links;
	enum bh_source told_by; /* if told_addrs */
};

int bh_sources_start(struct bh_sources *s, struct bh_agent *agent, struct bh_err *err);
void bh_sources_stop(struct bh_sources *s);
/* The name of some bridge, "" if there is none; NULL: not known yet. */
const char *bh_sources_a_bridge(const struct bh_sources *s);
/* Looks for the ports of pods that came or changed; may change the world. */
void bh_sources_follow(struct bh_sources *s);
/* Every configured source has handed over what existed when it started. */
bool bh_sources_are_synced(const struct bh_sources *s);
/*
 * The same, or its state of before the restart serves for it: enough to enforce,
 * not to be ready.
 */
bool bh_sources_are_usable(const struct bh_sources *s);
/* A resource of the API that we may not read; NULL: none. */
const char *bh_sources_refused(const struct bh_sources *s);
/*
 * Links that share a bridge with pods' ports and belong to no pod that is known; borrowed
 * until the next call.
 */
size_t bh_sources_unknown_links(struct bh_sources *s, const struct bh_guard_link **ret);
/* As bh_node_watch_broadcasts(). */
size_t bh_sources_broadcasts(const struct bh_sources *s, const struct bh_addr **ret);
/* [{"source","in_sync","stale","detail"}]; a new reference. */
json_t *bh_sources_json(const struct bh_sources *s);

#endif
