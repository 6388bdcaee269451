#include "agent.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "caps.h"
#include "handle.h"
#include "memory.h"

#define HOUSEKEEPING_MS 10000
#define BRIDGE_DELAY_MS 200
#define AUDIT_EVERY     6 /* of housekeeping */
#define HISTORY_KEEP_NS (120 * BH_NS_PER_S)
#define HISTORY_MAX     65536

struct bh_world_config bh_world_config_of(const struct bh_config *c)
{
	struct bh_world_config world = {
		.node = c->node,
		.default_deny = { [BH_INGRESS] = c->default_deny[BH_INGRESS],
				  [BH_EGRESS] = c->default_deny[BH_EGRESS] },
		.exempt_namespaces = (const char *const *)c->exempt_namespaces,
		.n_exempt_namespaces = c->n_exempt_namespaces,
		.mode = c->mode,
		.trust.namespaces = (const char *const *)c->trusted_namespaces,
		.trust.n_namespaces = c->n_trusted_namespaces,
	};

	memcpy(world.trust.of, c->annotations, sizeof(world.trust.of));
	return world;
}

struct bh_kube_config bh_kube_config_of(const struct bh_config *c)
{
	return (struct bh_kube_config){
		.kubeconfig = c->kubeconfig,
		.context = c->kube_context,
		.allows_plain = c->allows_plain_http,
	};
}

/* What is in force although a source is missing. */
static const char *instead_of_sources(const struct bh_agent *a)
{
	switch (a->reconcile.stage) {
	case BH_STAGE_HELD: return ", the rules found in the kernel stay in force";
	case BH_STAGE_PART: return ", what is known without it is in force";
	case BH_STAGE_GRACE:
	case BH_STAGE_FOUND:
	case BH_STAGE_WHOLE: break;
	}
	return "";
}

static void add_sources(const struct bh_agent *a, json_t *reasons)
{
	const char *refused = bh_sources_refused(&a->sources);
	char time[BH_TIME_STRLEN];

	for (enum bh_source s = 0; s < BH_SOURCE_COUNT_; s++) {
		bool is_old = s == BH_SOURCE_KUBE && a->cache.is_in_use;

		if (!a->sources.is_wanted[s] || a->sources.is_synced[s])
			continue;
		json_array_append_new(
			reasons,
			is_old ? json_sprintf("source %s is not in sync yet, its state of %s is in "
					      "force",
					      bh_source_str(s),
					      bh_time_format(a->cache.writer.state_ns, time))
			       : json_sprintf("source %s is not in sync yet%s", bh_source_str(s),
					      instead_of_sources(a)));
	}
	if (a->sources.manifest && bh_manifest_unknown(a->sources.manifest))
		json_array_append_new(
			reasons,
			json_sprintf("manifests: %s", bh_manifest_unknown(a->sources.manifest)));
	if (refused)
		json_array_append_new(reasons, json_sprintf("the Kubernetes API does not let us "
							    "read %s, the last state is in force",
							    refused));
}

/*
 * An API that is away after it was in sync is no reason: what it said stays in
 * force, and no restart would bring it back.  One that refuses us is: somebody
 * has to do something.
 */
json_t *bh_agent_not_ready(const struct bh_agent *a)
{
	json_t *reasons = json_array();

	add_sources(a, reasons);
	if (bh_reconcile_has_trouble(&a->reconcile))
		json_array_append_new(reasons, json_sprintf("rules could not be committed: %s",
							    a->reconcile.trouble));
	else if (bh_sources_are_synced(&a->sources) && !a->reconcile.is_adopted)
		json_array_append_new(reasons, json_string("rules are not committed yet"));
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		if (a->tables.lacks[t][0])
			json_array_append_new(reasons, json_string(a->tables.lacks[t]));
	if (a->bridges == BH_BRIDGE_BYPASSED)
		json_array_append_new(reasons, json_string(a->bridges_text));
	if (a->quarantines.list.lost[0])
		json_array_append_new(reasons,
				      json_sprintf("quarantines were lost, every pod of this node "
						   "is in quarantine: %s",
						   a->quarantines.list.lost));
	return reasons;
}

static void send_status(const struct bh_agent *a, const json_t *reasons)
{
	if (a->is_ready)
		bh_notify_send(&a->notify, "STATUS=Enforcing %zu policies on %zu pods",
			       bh_world_stats(a->world).n_policies,
			       bh_world_stats(a->world).n_local_pods);
	else
		bh_notify_send(&a->notify, "STATUS=Not ready: %s",
			       json_string_value(json_array_get(reasons, 0)));
}

/*
 * The service manager's "started" lets others start, the kubelet among them,
 * without which the API may never come.  So it asks for less than readiness: rules
 * are in force.
 */
static void tell_started(struct bh_agent *a)
{
	if (a->is_started || !bh_reconcile_is_in_force(&a->reconcile) ||
	    bh_reconcile_has_trouble(&a->reconcile) || a->bridges == BH_BRIDGE_BYPASSED)
		return;
	bh_notify_send(&a->notify, "READY=1");
	a->is_started = true;
}

void bh_agent_update_ready(struct bh_agent *a)
{
	json_t *reasons = bh_agent_not_ready(a);
	bool is_ready = json_array_size(reasons) == 0;

	tell_started(a);
	if (is_ready && !a->was_ready) {
		bh_log_info("ready");
		a->was_ready = true;
		bh_memory_trim();
	} else if (is_ready && !a->is_ready) {
		bh_log_info("ready again");
	} else if (!is_ready && a->is_ready) {
		bh_log_warning("not ready: %s", json_string_value(json_array_get(reasons, 0)));
	}
	a->is_ready = is_ready;
	send_status(a, reasons);
	json_decref(reasons);
}

static void check_bridges(struct bh_agent *a)
{
	struct bh_buf text = { 0 };
	enum bh_bridge_state before = a->bridges;

	a->bridges = bh_node_bridges(bh_sources_a_bridge(&a->sources), true, &text);
	snprintf(a->bridges_text, sizeof(a->bridges_text), "%s",
		 a->bridges == BH_BRIDGE_BYPASSED ? bh_buf_str(&text) : "");
	if (a->bridges == BH_BRIDGE_REPAIRED)
		bh_log_warning("%s", bh_buf_str(&text));
	bh_buf_done(&text);
	if (before != a->bridges)
		bh_agent_update_ready(a);
}

static void on_housekeeping(uv_timer_t *timer)
{
	struct bh_agent *a = bh_container_of(timer, struct bh_agent, housekeeping);

	check_bridges(a);
	bh_closed_check(&a->closed);
	bh_quarantines_check(&a->quarantines);
	if (a->sources.kube)
		bh_agent_update_ready(a);
	if (++a->n_housekeeping % AUDIT_EVERY == 0)
		bh_reconcile_audit(&a->reconcile);
}

/* Soon and not at once: a pod's start changes links several times. */
void bh_agent_check_bridges(struct bh_agent *a)
{
	/* Links that change all the time do not put it off. */
	if (uv_timer_get_due_in(&a->housekeeping) > BRIDGE_DELAY_MS)
		uv_timer_start(&a->housekeeping, on_housekeeping, BRIDGE_DELAY_MS, HOUSEKEEPING_MS);
}

static void on_watchdog(uv_timer_t *timer)
{
	struct bh_agent *a = bh_container_of(timer, struct bh_agent, watchdog);

	if (!bh_reconcile_is_stuck(&a->reconcile))
		bh_notify_send(&a->notify, "WATCHDOG=1");
}

void bh_agent_reload(struct bh_agent *a, bool accepts_empty)
{
	struct bh_err err = { 0 };

	bh_log_info("reading manifests again and reopening the flow log");
	/* Before the first READY=1, nobody asked for a reload to end. */
	if (a->is_started)
		bh_notify_reloading(&a->notify);
	if (bh_packets_reopen(&a->packets, &err) < 0)
		bh_log_error("%s, writing to the file opened before", bh_err_text(&err));
	bh_quarantines_check(&a->quarantines);
	if (a->sources.manifest)
		bh_manifest_reload(a->sources.manifest, accepts_empty);
	if (a->is_started)
		bh_notify_send(&a->notify, "READY=1");
}

static void stop(struct bh_agent *a)
{
	if (a->is_stopping)
		return;
	a->is_stopping = true;
	bh_notify_send(&a->notify, "STOPPING=1");
	bh_control_free(&a->control);
	bh_http_free(&a->http);
	bh_cache_stop(&a->cache);
	bh_boot_stop(&a->boot);
	bh_lasttexts_stop(&a->lasttexts);
	bh_closed_stop(&a->closed);
	bh_quarantines_stop(&a->quarantines);
	bh_sources_stop(&a->sources);
	bh_packets_stop(&a->packets);
	bh_reconcile_stop(&a->reconcile);
	bh_revoker_stop(&a->revoker);
	bh_close_handle((uv_handle_t *)&a->housekeeping);
	bh_close_handle((uv_handle_t *)&a->watchdog);
	for (size_t i = 0; i < BH_ARRAY_LEN(a->signals); i++)
		bh_close_handle((uv_handle_t *)&a->signals[i]);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct bh_agent *a = signal->data;

	if (number == SIGHUP) {
		bh_agent_reload(a, false);
		return;
	}
	bh_log_info("stopping, the rules stay in the kernel");
	stop(a);
}

static void start_timers(struct bh_agent *a)
{
	static const int numbers[] = { SIGHUP, SIGTERM, SIGINT };

	for (size_t i = 0; i < BH_ARRAY_LEN(numbers); i++) {
		uv_signal_init(a->loop, &a->signals[i]);
		a->signals[i].data = a;
		uv_signal_start(&a->signals[i], on_signal, numbers[i]);
	}
	uv_timer_init(a->loop, &a->housekeeping);
	uv_timer_start(&a->housekeeping, on_housekeeping, HOUSEKEEPING_MS, HOUSEKEEPING_MS);
	uv_timer_init(a->loop, &a->watchdog);
	if (a->notify.watchdog_ms > 0)
		uv_timer_start(&a->watchdog, on_watchdog, a->notify.watchdog_ms,
			       a->notify.watchdog_ms);
}

static void make_engine(struct bh_agent *a)
{
	const struct bh_config *c = a->config;
	struct bh_world_config world = bh_world_config_of(c);
	struct bh_compile_config compile = bh_compile_config_of(c->nflog_group, c->log_rate);
	struct bh_flowlog_config flowlog = { .node = c->node_name };
	struct bh_guard_config guard;

	a->world = bh_world_new(&world);
	compile.closes_unknown = bh_closed_is_wanted(c);
	a->compiler = bh_compiler_new(a->world, &compile);
	guard = (struct bh_guard_config){
		.log = compile,
		.mode = c->mode,
		.allows_dhcp = c->allows_pod_dhcp,
		.is_off = !c->has_port_guard,
	};
	a->guard = bh_guard_new(a->world, a->compiler, &guard);
	flowlog.guard = a->guard;
	a->history = bh_history_new(HISTORY_KEEP_NS, HISTORY_MAX);
	a->flowlog = bh_flowlog_new(&flowlog, a->world, a->compiler, a->history);
}

/* Everything that needs more than CAP_NET_ADMIN is open when this returns. */
static int open_sockets(struct bh_agent *a, struct bh_err *err)
{
	const struct bh_config *c = a->config;
	int r;

	/* First, because its lock keeps a second agent from disturbing this one. */
	r = bh_control_new(&a->control, a->loop, c->control, bh_methods, a, err);
	if (r < 0)
		return bh_err_wrap(err, r, "--control");
	if (c->metrics) {
		r = bh_http_new(&a->http, a->loop, c->metrics, bh_pages, a, err);
		if (r < 0)
			return bh_err_wrap(err, r, "--metrics");
	}
	r = bh_nft_new(&a->nft, err);
	if (r < 0)
		return bh_err_wrap(err, r, "nftables");
	r = bh_reconcile_start(&a->reconcile, a, err);
	return r < 0 ? r : bh_packets_start(&a->packets, a, err);
}

static int start(struct bh_agent *a, struct bh_err *err)
{
	int r = bh_caps_check(err);

	if (r < 0)
		return r;
	r = bh_notify_init(&a->notify, err);
	if (r < 0)
		return r;
	make_engine(a);
	start_timers(a);
	bh_revoker_init(&a->revoker, a);
	r = open_sockets(a, err);
	if (r < 0)
		return r;
	r = bh_cache_start(&a->cache, a, err);
	if (r == 0)
		r = bh_boot_start(&a->boot, a, err);
	if (r == 0)
		r = bh_lasttexts_start(&a->lasttexts, a, err);
	if (r == 0)
		r = bh_quarantines_start(&a->quarantines, a, err);
	if (r < 0)
		return bh_err_wrap(err, r, "--state");
	r = bh_caps_drop(err);
	if (r < 0)
		return r;
	bh_seccomp_start(&a->seccomp, a->config->seccomp);
	check_bridges(a);
	bh_closed_start(&a->closed, a);
	return bh_sources_start(&a->sources, a, err);
}

static void release(struct bh_agent *a)
{
	bh_flowlog_free(&a->flowlog);
	bh_flowfile_free(&a->packets.file);
	bh_nflog_free(&a->packets.nflog);
	bh_nft_free(&a->nft);
	bh_guard_free(&a->guard);
	bh_compiler_free(&a->compiler);
	bh_history_free(&a->history);
	bh_world_free(&a->world);
	bh_problems_done(&a->problems);
	bh_notify_done(&a->notify);
}

int bh_agent_run(const struct bh_config *config, struct bh_err *err)
{
	struct bh_agent a = { .config = config, .start_ns = bh_mono_ns(), .notify.fd = -1 };
	uv_loop_t loop;
	int r;

	bh_seccomp_prepare();
	r = uv_loop_init(&loop);
	if (r < 0)
		return bh_err(err, r, "event loop: %s", uv_strerror(r));
	a.loop = &loop;
	signal(SIGPIPE, SIG_IGN);
	umask(0027);

	r = start(&a, err);
	if (r < 0)
		stop(&a);
	/* Ends when every handle is closed. */
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	release(&a);
	return r;
}
