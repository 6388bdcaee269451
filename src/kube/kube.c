/*
 * Theory of operation.
 *
 * Away -> greeting (/version) -> following, and away again when the connection
 * is lost; then a growing pause, and a new session with credentials read anew.
 * A session is one connection for everything.  What was told stays told
 * meanwhile, and every reflector goes on where it was.
 *
 * Lists begin with that of namespaces, so that pods and policies are not seen in
 * a namespace that is not known yet; and a namespace that a list no longer has is
 * deleted only when no other list is under way that may take away what was in it.
 *
 * A session whose credentials are refused ends: the next one reads certificates and
 * kubeconfig anew.
 *
 * Namespaces are listed in every session, and that list says whether the server
 * still has the state that the others go on from.  An etcd that was restored from
 * a backup has an older revision than we saw, and a watch from a revision to come is
 * silent until it comes; another cluster has another kube-system.  In both cases
 * everything is listed again.
 */
#include "bh/kube.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "bh/alloc.h"
#include "bh/backoff.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "http.h"
#include "reflect.h"

#define FIRST_PAUSE_MS 200
#define LAST_PAUSE_MS  30000
#define GREETING_MS    15000
#define STEADY_MS      UINT64_C(10000)
#define MAX_GREETING   4096
#define STATE_SUBJECT  "the state of the Kubernetes API"
/* The first minor version of 1.x that may have WatchList switched on. */
#define WATCH_LIST_MINOR 32

enum phase { AWAY, GREETING, FOLLOWING };

struct bh_kube {
	uv_timer_t timer; /* ends a pause, or a greeting that is not answered */
	uv_timer_t look;  /* fires when a reflector has changed */
	uv_loop_t *loop;
	struct bh_sink sink;
	char *kubeconfig, *context;
	struct bh_kube_config config;
	struct bh_reflector_config reflector_config;
	struct bh_reflector_owner reflector_owner;
	struct bh_kube_access access;
	struct bh_kube_http *http;
	struct bh_kube_call *greeting;
	struct bh_buf answer; /* to it */
	struct bh_reflector *reflectors[BH_KUBE_RESOURCE_COUNT_];
	enum phase phase;
	uint64_t since_ns;    /* of the session */
	uint64_t revision;    /* seen before it */
	char cluster[64];     /* uid of kube-system; "" until known */
	const char *mistrust; /* why everything is to be listed again; NULL: it is not */
	bool is_mistrust_told;
	bool is_unauthorized; /* in this session: the next one reads credentials anew */
	unsigned int n_failures;
	char *problem;      /* its subject, while it is told */
	struct bh_err told; /* its text */
	bool is_synced;
	unsigned int n_handles; /* that the loop has not closed yet */
	char version[sizeof(((struct bh_kube_stats *)0)->version)];
	struct bh_kube_http_stats past; /* of sessions that are over */
};

static void on_timer(uv_timer_t *timer);

static const char *subject(const struct bh_kube *k)
{
	return k->access.server ? k->access.server
	       : k->kubeconfig  ? k->kubeconfig
				: "the Kubernetes API";
}

static void set_problem(struct bh_kube *k, const char *text)
{
	struct bh_err e = { 0 };

	bh_err(&e, 0, "the API server does not answer, its objects stay as last seen: %s", text);
	/* The first reason may be a reset connection, and the next one says why. */
	if (k->problem && strcmp(e.text, k->told.text) == 0)
		return;
	if (!k->problem)
		k->problem = bh_strdup(subject(k));
	k->told = e;
	k->sink.on_problem(k->sink.ctx, BH_SOURCE_KUBE, k->problem, e.text);
}

static void clear_problem(struct bh_kube *k)
{
	if (k->problem)
		k->sink.on_problem(k->sink.ctx, BH_SOURCE_KUBE, k->problem, NULL);
	free(k->problem);
	k->problem = NULL;
}

/* --- sessions -------------------------------------------------------------------- */

static void close_session(struct bh_kube *k)
{
	struct bh_kube_http_stats stats;
	size_t i;

	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++)
		bh_reflector_stop(k->reflectors[i]);
	bh_kube_call_cancel(&k->greeting);
	bh_buf_done(&k->answer);
	if (!k->http)
		return;
	stats = bh_kube_http_stats(k->http);
	k->past.bytes_received += stats.bytes_received;
	k->past.n_connects += stats.n_connects;
	bh_kube_http_free(&k->http);
}

static void pause_session(struct bh_kube *k, uint32_t at_least_ms)
{
	bool was_steady =
		k->phase == FOLLOWING && bh_mono_ns() - k->since_ns > STEADY_MS * BH_NS_PER_MS;
	uint32_t ms;

	close_session(k);
	k->is_unauthorized = false;
	k->phase = AWAY;
	k->n_failures = was_steady ? 1 : k->n_failures + 1;
	ms = bh_backoff_ms(k->n_failures, FIRST_PAUSE_MS, LAST_PAUSE_MS);
	uv_timer_start(&k->timer, on_timer, bh_at_least_ms(ms, at_least_ms), 0);
}

static void go_away(struct bh_kube *k, const char *text, uint32_t at_least_ms)
{
	/* @text may be of the session that ends here. */
	set_problem(k, text);
	pause_session(k, at_least_ms);
}

/* {"major":"1","minor":"34","gitVersion":"v1.34.4"}; a minor may be "34+". */
static bool take_version(struct bh_kube *k)
{
	json_t *json = json_loadb(bh_buf_str(&k->answer), k->answer.len, 0, NULL);
	const char *major = json_string_value(json_object_get(json, "major"));
	const char *minor = json_string_value(json_object_get(json, "minor"));
	const char *git = json_string_value(json_object_get(json, "gitVersion"));
	struct bh_buf text = { 0 };
	bool has_watch_list;

	bh_buf_escape(&text, git ? git : "");
	snprintf(k->version, sizeof(k->version), "%s", bh_buf_str(&text));
	bh_buf_done(&text);
	has_watch_list = major && minor && strcmp(major, "1") == 0 &&
			 strtoul(minor, NULL, 10) >= WATCH_LIST_MINOR;
	json_decref(json);
	return has_watch_list;
}

static void on_greeting_head(void *ctx)
{
	(void)ctx;
}

static void on_greeting_data(void *ctx, const char *data, size_t len)
{
	struct bh_kube *k = ctx;

	if (k->answer.len + len <= MAX_GREETING)
		bh_buf_add(&k->answer, data, len);
}

/* Whoever may not ask for the version may still list pods. */
static void on_greeted(void *ctx, const struct bh_kube_answer *answer)
{
	struct bh_kube *k = ctx;
	bool has_watch_list = false;
	uint64_t revision;
	size_t i;

	k->greeting = NULL;
	if (answer->outcome != BH_ANSWERED || answer->status == 429 || answer->status >= 500) {
		go_away(k, answer->text, answer->retry_after_ms);
		return;
	}
	if (answer->status == 200)
		has_watch_list = take_version(k);
	bh_buf_done(&k->answer);
	uv_timer_stop(&k->timer);
	k->phase = FOLLOWING;
	k->since_ns = bh_mono_ns();
	/* Only of one kind are they to be compared; 0 if the list before did not end. */
	revision = bh_reflector_revision(k->reflectors[BH_KUBE_NAMESPACES]);
	if (revision > 0)
		k->revision = revision;
	bh_reflector_relist(k->reflectors[BH_KUBE_NAMESPACES]);
	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++)
		bh_reflector_start(k->reflectors[i], k->http, has_watch_list);
}

static int open_session(struct bh_kube *k, struct bh_err *err)
{
	struct bh_kube_access access = { 0 };
	int r;

	r = bh_kube_access_load(&access, &k->config, err);
	if (r < 0)
		return r;
	bh_kube_access_done(&k->access);
	k->access = access;
	r = bh_kube_access_check(&k->access, err);
	if (r == 0)
		r = bh_kube_http_new(&k->http, k->loop, &k->access, err);
	if (r < 0)
		return r;
	k->greeting = bh_kube_call_start(k->http,
					 &(struct bh_kube_request){
						 .path = "/version",
						 .on_head = on_greeting_head,
						 .on_data = on_greeting_data,
						 .on_done = on_greeted,
						 .ctx = k,
					 },
					 err);
	return k->greeting ? 0 : -1;
}

static void greet(struct bh_kube *k)
{
	struct bh_err err = { 0 };

	k->phase = GREETING;
	if (open_session(k, &err) < 0) {
		go_away(k, err.text, 0);
		return;
	}
	uv_timer_start(&k->timer, on_timer, GREETING_MS, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_kube *k = bh_container_of(timer, struct bh_kube, timer);

	if (k->phase == GREETING)
		go_away(k, "no answer within 15 s", 0);
	else
		greet(k);
}

/* --- reflectors ------------------------------------------------------------------ */

static bool are_others_listing(const struct bh_kube *k, const struct bh_reflector *r)
{
	size_t i;

	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		if (k->reflectors[i] != r && bh_reflector_is_listing(k->reflectors[i]))
			return true;
	}
	return false;
}

static bool may_list(void *ctx, const struct bh_reflector *r)
{
	const struct bh_kube *k = ctx;
	const struct bh_reflector *namespaces = k->reflectors[BH_KUBE_NAMESPACES];

	return r == namespaces || !bh_reflector_is_listing(namespaces);
}

static bool may_delete(void *ctx, const struct bh_reflector *r)
{
	const struct bh_kube *k = ctx;

	return r != k->reflectors[BH_KUBE_NAMESPACES] ||
	       (!k->mistrust && !are_others_listing(k, r));
}

static void on_answer(void *ctx)
{
	clear_problem(ctx);
}

static void on_away(void *ctx, const char *text)
{
	go_away(ctx, text, 0);
}

static void on_unauthorized(void *ctx)
{
	struct bh_kube *k = ctx;

	k->is_unauthorized = true;
}

/* What the first list of a session says of all that was told before. */
static void on_list(void *ctx, const struct bh_reflector *r)
{
	struct bh_kube *k = ctx;
	const char *cluster = bh_reflector_uid(r, "", "kube-system");

	if (r != k->reflectors[BH_KUBE_NAMESPACES])
		return;
	if (k->cluster[0] && strncmp(k->cluster, cluster, sizeof(k->cluster) - 1) != 0)
		k->mistrust = "is that of another cluster, everything is listed again";
	else if (k->revision > bh_reflector_revision(r))
		k->mistrust = "is older than what was seen of it (restored from a backup?), "
			      "everything is listed again";
	snprintf(k->cluster, sizeof(k->cluster), "%s", cluster);
	k->revision = 0;
}

static void list_all_again(struct bh_kube *k)
{
	size_t i;

	k->sink.on_problem(k->sink.ctx, BH_SOURCE_KUBE, STATE_SUBJECT, k->mistrust);
	k->is_mistrust_told = true;
	k->mistrust = NULL;
	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		if (i != BH_KUBE_NAMESPACES)
			bh_reflector_relist(k->reflectors[i]);
	}
}

static void end_mistrust(struct bh_kube *k)
{
	size_t i;

	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		if (bh_reflector_is_behind(k->reflectors[i]))
			return;
	}
	k->is_mistrust_told = false;
	k->sink.on_problem(k->sink.ctx, BH_SOURCE_KUBE, STATE_SUBJECT, NULL);
}

static void on_look(uv_timer_t *timer)
{
	struct bh_kube *k = bh_container_of(timer, struct bh_kube, look);
	bool is_ready = true;
	size_t i;

	if (k->is_unauthorized) {
		pause_session(k, 0);
		return;
	}
	if (k->mistrust)
		list_all_again(k);
	else if (k->is_mistrust_told)
		end_mistrust(k);
	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		bh_reflector_nudge(k->reflectors[i]);
		is_ready = is_ready && bh_reflector_is_ready(k->reflectors[i]);
	}
	if (is_ready && !k->is_synced) {
		k->is_synced = true;
		k->sink.on_synced(k->sink.ctx, BH_SOURCE_KUBE);
	}
}

/* Not at once: it may be in the middle of something. */
static void on_change(void *ctx)
{
	struct bh_kube *k = ctx;

	uv_timer_start(&k->look, on_look, 0, 0);
}

/* --- life ------------------------------------------------------------------------ */

int bh_kube_check(const struct bh_kube_config *config, struct bh_err *err)
{
	struct bh_kube_access access = { 0 };
	int r;

	r = bh_kube_access_load(&access, config, err);
	if (r < 0)
		return r;
	r = bh_kube_access_check(&access, err);
	bh_kube_access_done(&access);
	return r;
}

static void init_config(struct bh_kube *k, const struct bh_kube_config *config)
{
	k->config = *config;
	k->kubeconfig = config->kubeconfig ? bh_strdup(config->kubeconfig) : NULL;
	k->context = config->context ? bh_strdup(config->context) : NULL;
	k->config.kubeconfig = k->kubeconfig;
	k->config.context = k->context;
	k->reflector_config = (struct bh_reflector_config){
		.page_size = config->page_size,
		.watch_silence_ms = config->watch_silence_ms,
	};
	k->reflector_owner = (struct bh_reflector_owner){
		.ctx = k,
		.may_list = may_list,
		.may_delete = may_delete,
		.on_list = on_list,
		.on_answer = on_answer,
		.on_change = on_change,
		.on_away = on_away,
		.on_unauthorized = on_unauthorized,
	};
}

int bh_kube_new(struct bh_kube **ret, uv_loop_t *loop, const struct bh_kube_config *config,
		const struct bh_sink *sink, struct bh_err *err)
{
	struct bh_kube *k;
	enum bh_kube_resource i;
	int r = bh_kube_check(config, err);

	if (r < 0)
		return r;
	k = bh_calloc(1, sizeof(*k));
	k->loop = loop;
	k->sink = *sink;
	init_config(k, config);
	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++)
		k->reflectors[i] = bh_reflector_new(loop, i, &k->sink, &k->reflector_config,
						    &k->reflector_owner);
	uv_timer_init(loop, &k->timer);
	uv_timer_init(loop, &k->look);
	k->n_handles = 2;
	/* In the loop's turn: facts may be adopted before. */
	uv_timer_start(&k->timer, on_timer, 0, 0);
	*ret = k;
	return 0;
}

static void on_closed(struct bh_kube *k)
{
	if (--k->n_handles > 0)
		return;
	bh_kube_access_done(&k->access);
	free(k->kubeconfig);
	free(k->context);
	free(k->problem);
	free(k);
}

static void on_timer_closed(uv_handle_t *handle)
{
	on_closed(bh_container_of(handle, struct bh_kube, timer));
}

static void on_look_closed(uv_handle_t *handle)
{
	on_closed(bh_container_of(handle, struct bh_kube, look));
}

void bh_kube_free(struct bh_kube **kp)
{
	struct bh_kube *k = *kp;
	size_t i;

	if (!k)
		return;
	*kp = NULL;
	close_session(k);
	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++)
		bh_reflector_free(&k->reflectors[i]);
	uv_close((uv_handle_t *)&k->timer, on_timer_closed);
	uv_close((uv_handle_t *)&k->look, on_look_closed);
}

bool bh_kube_adopt(struct bh_kube *k, const struct bh_key *key)
{
	size_t i;

	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		const struct bh_kube_kind *kind = &bh_kube_kinds[i];

		if (kind->fact_kind == key->kind &&
		    (key->kind != BH_KIND_POLICY || kind->policy_kind == key->policy_kind))
			return bh_reflector_adopt(k->reflectors[i], key);
	}
	return false;
}

struct bh_kube_stats bh_kube_stats(const struct bh_kube *k)
{
	struct bh_kube_http_stats http = { 0 };
	struct bh_kube_stats stats = { .is_connected = k->phase == FOLLOWING };
	size_t i;

	if (k->http)
		http = bh_kube_http_stats(k->http);
	stats.bytes_received = k->past.bytes_received + http.bytes_received;
	stats.n_connects = k->past.n_connects + http.n_connects;
	snprintf(stats.server, sizeof(stats.server), "%s",
		 k->access.server ? k->access.server : "");
	snprintf(stats.version, sizeof(stats.version), "%s", k->version);
	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		stats.resources[i] = bh_reflector_stats(k->reflectors[i]);
		if (!stats.resources[i].is_watched &&
		    (stats.resources[i].is_served || !bh_kube_kinds[i].is_optional))
			stats.is_connected = false;
	}
	return stats;
}
