/*
 * The agent: what its parts share.
 *
 * One thread, one loop, and beside them one thread that asks the kernel for tracked
 * connections and judges them by a copy of the rules (walk.c), which shares nothing
 * but what is handed to it.  Sources put facts into the world (sources.c); the
 * reconciler brings the kernel to what the world says (reconcile.c); after a
 * commit, the pass tells the flow log what happened (pass.c) and the revoker cuts
 * connections that are no longer allowed (revoke.c).  Packets come in at
 * packets.c, questions at methods.c and metrics.c.
 */
#ifndef BH_AGENT_H
#define BH_AGENT_H

#include <jansson.h>
#include <uv.h>

#include "bh/compile.h"
#include "bh/cri.h"
#include "bh/flowlog.h"
#include "bh/guard.h"
#include "bh/history.h"
#include "bh/kube.h"
#include "bh/manifest.h"
#include "bh/nft.h"
#include "bh/node.h"
#include "bh/serve.h"
#include "bh/world.h"
#include "boot.h"
#include "cache.h"
#include "closed.h"
#include "config.h"
#include "lasttexts.h"
#include "notify.h"
#include "packets.h"
#include "problems.h"
#include "quarantine.h"
#include "reconcile.h"
#include "revoke.h"
#include "seccomp.h"
#include "sources.h"
#include "tables.h"

struct bh_agent {
	const struct bh_config *config;
	uv_loop_t *loop;
	uint64_t start_ns; /* monotonic */

	struct bh_world *world;
	struct bh_compiler *compiler;
	struct bh_guard *guard;
	struct bh_tables tables;
	struct bh_history *history;
	struct bh_flowlog *flowlog;
	struct bh_nft *nft;

	struct bh_problems problems;
	struct bh_sources sources;
	struct bh_cache cache;
	struct bh_boot boot;
	struct bh_lasttexts lasttexts;
	struct bh_closed closed;
	struct bh_quarantines quarantines;
	struct bh_reconcile reconcile;
	struct bh_revoker revoker;
	struct bh_packets packets;
	struct bh_notify notify;
	struct bh_seccomp seccomp;
	struct bh_control *control;
	struct bh_http *http;

	uv_timer_t housekeeping;
	uv_timer_t watchdog;
	uv_signal_t signals[3];
	unsigned int n_housekeeping;
	enum bh_bridge_state bridges;
	char bridges_text[BH_ERR_MAX]; /* why, while BH_BRIDGE_BYPASSED */
	bool is_started;               /* the service manager was told so */
	bool was_ready, is_ready;
	bool is_stopping;
};

/* Runs until SIGTERM or SIGINT.  A negative errno with text if it cannot start. */
int bh_agent_run(const struct bh_config *config, struct bh_err *err);

/* Looks at everything that readiness depends on, and tells the service manager. */
void bh_agent_update_ready(struct bh_agent *a);
/* Why it is not ready, one sentence each: a new reference. */
json_t *bh_agent_not_ready(const struct bh_agent *a);
/* SIGHUP and the method `reload`; @accepts_empty as in bh_manifest_reload(). */
void bh_agent_reload(struct bh_agent *a, bool accepts_empty);
/* Links changed: look at the bridges soon. */
void bh_agent_check_bridges(struct bh_agent *a);

/* status.c */
json_t *bh_status_json(struct bh_agent *a);
/* Node, generation and every policy: a new reference. */
json_t *bh_policies_json(struct bh_agent *a);

/* methods.c; ends with a NULL name. */
extern const struct bh_control_method bh_methods[];

/* metrics.c; ends with a NULL path. */
extern const struct bh_http_page bh_pages[];

/* check.c: --check-config.  Returns the exit code. */
int bh_check_config(const struct bh_config *config);

/* The parts of the configuration that others want; both borrow @c. */
struct bh_kube_config bh_kube_config_of(const struct bh_config *c);
struct bh_world_config bh_world_config_of(const struct bh_config *c);

#endif
