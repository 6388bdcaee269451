/*
 * Theory of operation (Kubernetes API concepts, "Efficient detection of
 * changes").
 *
 * A list without a resourceVersion is the latest state, so that nothing that
 * was told is ever taken back in favour of something older, which a list from
 * another server's cache may be.  It comes as a stream of events where the
 * server offers that (WatchList, ended by a marked bookmark), else in pages.  A
 * continue token that expires on the way (410) makes the list begin again as a
 * single answer: objects are handled one by one in any case.
 *
 * Then a watch from the list's version on; every event and bookmark says where
 * to go on after it ends.  The server ends it after timeoutSeconds; a version
 * that is too old (410, as a status or as an ERROR event) leads to a new list.
 * Bookmarks come every minute: a watch that is silent for longer is asked for
 * again, and if that is not answered, there is no connection.  One that is silent
 * once more leads to a new list.
 *
 * A server whose etcd is too old for it ends a WatchList with an ERROR event, and
 * pages are used for the rest of the session.
 *
 * What was told stays told until a list or a watch says otherwise.  The table of
 * facts sees to it that only differences are told.
 */
#include "reflect.h"

#include <string.h>

#include "bh/alloc.h"
#include "bh/backoff.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "place.h"

#define PAGE_SIZE      500
#define FIRST_PAUSE_MS 200
#define LAST_PAUSE_MS  30000
/* The head of an answer, and the next piece of a list. */
#define HEAD_MS 30000
#define LIST_MS 60000
/* All of a list, or of one page: each piece in time is not enough. */
#define WHOLE_MS UINT64_C(900000)
/* A stream that stops before its end: the server does not know of WatchList. */
#define STREAM_MS  20000
#define SILENCE_MS 150000
/* A watch that lasted that long was none of those that end at once. */
#define STEADY_MS UINT64_C(10000)
/* Watches that fail one after the other until a list is made instead. */
#define MAX_WATCH_FAILURES 4
/* For a kind that the server does not have: how often to ask for it, ... */
#define ABSENT_MS 30000
/* ... and how often it says so until policies of that kind are gone. */
#define MAX_ABSENCES 4

enum phase {
	STOPPED,
	PAUSING,   /* the timer goes on */
	HELD,      /* a list must wait for another */
	LISTING,   /* in pages */
	STREAMING, /* WatchList */
	WATCHING,
};

struct bh_reflector {
	uv_timer_t timer; /* of a pause, or for the next sign of life */
	enum bh_kube_resource resource;
	const struct bh_kube_kind *kind;
	const struct bh_sink *sink;
	const struct bh_reflector_config *config;
	const struct bh_reflector_owner *owner;
	struct bh_kube_http *http;
	struct bh_kube_call *call;
	struct bh_kube_stream *stream;
	struct bh_kube_facts facts;
	enum phase phase;
	struct bh_kube_place place;
	bool has_watch_list; /* the server offers it, as far as we know */
	bool has_head;
	bool has_problem;
	bool is_problem_inside;   /* of an answer with status 200 */
	bool has_pending_deletes; /* of the last list */
	bool is_expired;          /* the ERROR event said so */
	struct bh_err stream_err; /* why the stream was given up, or "" */
	unsigned int n_failures, n_watch_failures, n_absences;
	uint64_t since_ns; /* of the watch */
	struct bh_kube_resource_stats stats;
};

static void act(struct bh_reflector *r);
static void on_timer(uv_timer_t *timer);

/* --- pauses and problems --------------------------------------------------------- */

static void end_call(struct bh_reflector *r)
{
	bh_kube_call_cancel(&r->call);
	bh_kube_stream_free(&r->stream);
	r->has_head = false;
	r->stats.is_watched = false;
}

static void set_phase(struct bh_reflector *r, enum phase phase)
{
	r->phase = phase;
	r->owner->on_change(r->owner->ctx);
}

static void pause_for(struct bh_reflector *r, uint64_t ms)
{
	end_call(r);
	uv_timer_start(&r->timer, on_timer, ms, 0);
	set_phase(r, PAUSING);
}

/* Grows with each failure, with jitter, and never less than the server asks for. */
static void back_off(struct bh_reflector *r, uint32_t at_least_ms)
{
	uint32_t ms = bh_backoff_ms(++r->n_failures, FIRST_PAUSE_MS, LAST_PAUSE_MS);

	pause_for(r, bh_at_least_ms(ms, at_least_ms));
}

static void tell(const struct bh_reflector *r, const char *text)
{
	r->sink->on_problem(r->sink->ctx, BH_SOURCE_KUBE, r->kind->plural, text);
}

static void set_problem(struct bh_reflector *r, const char *text)
{
	if (!r->has_problem)
		tell(r, text);
	r->has_problem = true;
}

static void clear_problem(struct bh_reflector *r)
{
	r->stats.is_forbidden = false;
	if (r->has_problem)
		tell(r, NULL);
	r->has_problem = r->is_problem_inside = false;
}

static void expect_life(struct bh_reflector *r)
{
	uint32_t ms = r->config->watch_silence_ms ? r->config->watch_silence_ms : SILENCE_MS;

	if (!r->has_head)
		ms = HEAD_MS;
	else if (r->phase == LISTING)
		ms = LIST_MS;
	else if (r->phase == STREAMING)
		ms = STREAM_MS;
	uv_timer_start(&r->timer, on_timer, ms, 0);
}

/* --- answers --------------------------------------------------------------------- */

static bool is_status(const struct bh_kube_answer *a, int status)
{
	return a->outcome == BH_ANSWERED && a->status == status;
}

static const char *verb_of(const struct bh_reflector *r)
{
	return r->phase == LISTING ? "list" : "watch";
}

/* Wrong in itself, or called wrong: perhaps it is the version or token that is asked for. */
static bool is_our_asking(int status)
{
	return status == 0 || (status >= 400 && status < 500 && status != 401 && status != 403 &&
			       status != 408 && status != 429);
}

static void doubt_place(struct bh_reflector *r)
{
	if (r->phase == LISTING && r->place.continuation)
		bh_kube_place_forget(&r->place);
	else if (r->phase == WATCHING && ++r->n_watch_failures > MAX_WATCH_FAILURES)
		bh_kube_place_forget_version(&r->place);
}

static void on_refused(struct bh_reflector *r, const struct bh_kube_answer *a)
{
	struct bh_err text = { 0 };

	r->stats.is_forbidden = a->status == 401 || a->status == 403;
	if (a->status == 401)
		bh_err(&text, 0, "cannot %s %s, the server does not accept our credentials: %s",
		       verb_of(r), r->kind->plural, a->text);
	else if (a->status == 403)
		bh_err(&text, 0, "permission to %s %s is missing: %s", verb_of(r), r->kind->plural,
		       a->text);
	else
		bh_err(&text, 0, "cannot %s %s: %s", verb_of(r), r->kind->plural, a->text);
	set_problem(r, text.text);
	r->is_problem_inside = a->status == 0;
	if (a->status == 401)
		r->owner->on_unauthorized(r->owner->ctx);
	if (is_our_asking(a->status))
		doubt_place(r);
	back_off(r, a->retry_after_ms);
}

/*
 * The server has no such kind.  If it had, its objects are deleted with it; but
 * a server that is only starting says the same for a while.
 */
static void on_absent(struct bh_reflector *r)
{
	bh_kube_place_forget_version(&r->place);
	clear_problem(r);
	if (r->n_absences < MAX_ABSENCES)
		r->n_absences++;
	if (bh_kube_table_count(r->facts.table) == 0 || r->n_absences == MAX_ABSENCES) {
		bh_kube_facts_begin(&r->facts);
		bh_kube_facts_end(&r->facts);
		r->stats.is_served = false;
		r->stats.is_synced = false;
	}
	r->n_failures = 0;
	pause_for(r, bh_jittered(ABSENT_MS));
}

static void start_over(struct bh_reflector *r)
{
	bh_kube_place_forget(&r->place);
	back_off(r, 0);
}

/*
 * Refused, or an ERROR event within: an API server with an old etcd offers
 * WatchList and then cannot do it.
 */
static bool is_no_watch_list(const struct bh_reflector *r, const struct bh_kube_answer *a)
{
	return r->phase == STREAMING && (is_status(a, 0) || is_status(a, 400) || is_status(a, 422));
}

/* A call that did not end well. */
static void on_failed(struct bh_reflector *r, const struct bh_kube_answer *a)
{
	if (a->outcome == BH_AWAY) {
		r->owner->on_away(r->owner->ctx, a->text);
	} else if (is_no_watch_list(r, a)) {
		r->has_watch_list = false;
		end_call(r);
		act(r);
	} else if (is_status(a, 410)) {
		r->place.wants_whole_list = r->phase == LISTING;
		start_over(r);
	} else if (is_status(a, 404) && r->kind->is_optional) {
		on_absent(r);
	} else if (a->outcome == BH_BROKEN && r->n_failures < 2) {
		/* One answer that breaks off is nothing to speak of. */
		back_off(r, 0);
	} else {
		on_refused(r, a);
	}
}

/* --- lists ----------------------------------------------------------------------- */

static void delete_the_rest(struct bh_reflector *r)
{
	r->has_pending_deletes = !r->owner->may_delete(r->owner->ctx, r);
	if (!r->has_pending_deletes)
		bh_kube_facts_end(&r->facts);
}

static void end_list(struct bh_reflector *r, const char *version)
{
	bh_kube_place_set_version(&r->place, version);
	bh_kube_place_set_page(&r->place, "");
	r->n_absences = 0;
	r->n_watch_failures = 0;
	r->stats.n_lists++;
	r->stats.is_served = true;
	r->stats.is_synced = true;
	clear_problem(r);
	r->owner->on_list(r->owner->ctx, r);
	delete_the_rest(r);
}

static void begin_list(struct bh_reflector *r)
{
	r->has_pending_deletes = false;
	bh_kube_facts_begin(&r->facts);
}

static void on_page(struct bh_reflector *r)
{
	const char *next = bh_kube_stream_slot(r->stream, BH_SLOT_CONTINUE);
	const char *version = bh_kube_stream_slot(r->stream, BH_SLOT_LIST_VERSION);

	if (!*version) {
		on_failed(r, &(struct bh_kube_answer){ .outcome = BH_ANSWERED,
						       .text = "the list has no version" });
		return;
	}
	bh_kube_place_set_page(&r->place, next);
	if (!r->place.continuation)
		end_list(r, version);
	r->n_failures = 0;
	end_call(r);
	act(r);
}

static int on_list_item(void *ctx, struct bh_kube_stream *s, const struct bh_kube_item *item)
{
	struct bh_reflector *r = ctx;

	bh_kube_facts_put(&r->facts, s, item);
	return 0;
}

/* --- watches --------------------------------------------------------------------- */

static void on_bookmark(struct bh_reflector *r, const struct bh_kube_stream *s)
{
	const char *version = bh_kube_stream_slot(s, BH_SLOT_VERSION);

	if (r->phase != STREAMING || !*version ||
	    strcmp(bh_kube_stream_slot(s, BH_SLOT_INITIAL_END), "true") != 0)
		return;
	end_list(r, version);
	r->stats.is_watched = true;
	set_phase(r, WATCHING);
}

static int on_error_event(struct bh_reflector *r, const struct bh_kube_stream *s)
{
	const char *code = bh_kube_stream_slot(s, BH_SLOT_CODE);

	r->is_expired = strcmp(code, "410") == 0;
	return bh_err(&r->stream_err, -1, "the watch ended with an error: %s %s %s", code,
		      bh_kube_stream_slot(s, BH_SLOT_REASON),
		      bh_kube_stream_slot(s, BH_SLOT_MESSAGE));
}

static int on_event(void *ctx, struct bh_kube_stream *s, const struct bh_kube_item *item)
{
	struct bh_reflector *r = ctx;
	const char *type = bh_kube_stream_slot(s, BH_SLOT_TYPE);

	if (strcmp(type, "ERROR") == 0)
		return on_error_event(r, s);
	if (r->phase == WATCHING) {
		r->n_failures = r->n_watch_failures = 0;
		clear_problem(r);
	}
	if (strcmp(type, "BOOKMARK") == 0) {
		on_bookmark(r, s);
	} else if (strcmp(type, "DELETED") == 0) {
		r->stats.n_events++;
		bh_kube_facts_delete(&r->facts, s);
	} else if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
		r->stats.n_events += r->phase == WATCHING;
		bh_kube_facts_put(&r->facts, s, item);
	}
	if (r->phase == WATCHING)
		bh_kube_place_set_version(&r->place, bh_kube_stream_slot(s, BH_SLOT_VERSION));
	return 0;
}

/* The server's own end of it, or ours after an error within. */
static void on_watch_end(struct bh_reflector *r)
{
	bool was_steady = bh_mono_ns() - r->since_ns > STEADY_MS * BH_NS_PER_MS;
	bool is_list = r->phase == STREAMING;

	end_call(r);
	if (r->is_expired || is_list || ++r->n_watch_failures > MAX_WATCH_FAILURES) {
		start_over(r);
	} else if (was_steady) {
		r->n_failures = r->n_watch_failures = 0;
		act(r);
	} else {
		back_off(r, 0);
	}
}

/* --- calls ----------------------------------------------------------------------- */

static void on_head(void *ctx)
{
	struct bh_reflector *r = ctx;

	r->has_head = true;
	r->stats.last_ns = bh_mono_ns();
	if (!r->is_problem_inside)
		clear_problem(r);
	expect_life(r);
	r->owner->on_answer(r->owner->ctx);
	if (r->phase == WATCHING) {
		r->stats.is_watched = true;
		r->owner->on_change(r->owner->ctx);
	}
}

static void on_data(void *ctx, const char *data, size_t len)
{
	struct bh_reflector *r = ctx;
	struct bh_err err = { 0 };

	r->stats.last_ns = bh_mono_ns();
	if (r->phase != WATCHING && r->stats.last_ns - r->since_ns > WHOLE_MS * BH_NS_PER_MS) {
		on_failed(r, &(struct bh_kube_answer){
				     .outcome = BH_BROKEN,
				     .text = "the list does not end within 15 minutes",
			     });
		return;
	}
	if (bh_kube_stream_feed(r->stream, data, len, &err) >= 0) {
		expect_life(r);
		return;
	}
	if (r->is_expired) {
		on_watch_end(r);
		return;
	}
	on_failed(r, &(struct bh_kube_answer){
			     .outcome = BH_ANSWERED,
			     .text = r->stream_err.text[0] ? r->stream_err.text : err.text,
		     });
}

static void on_done(void *ctx, const struct bh_kube_answer *answer)
{
	struct bh_reflector *r = ctx;

	r->call = NULL;
	if (answer->outcome != BH_ANSWERED || answer->status != 200)
		on_failed(r, answer);
	else if (!bh_kube_stream_is_whole(r->stream))
		on_failed(r, &(struct bh_kube_answer){ .outcome = BH_BROKEN,
						       .text = "the answer is cut off" });
	else if (r->phase == LISTING)
		on_page(r);
	else
		on_watch_end(r);
}

static void call(struct bh_reflector *r, enum phase phase, enum bh_frame frame, const char *path)
{
	struct bh_err err = { 0 };

	end_call(r);
	r->is_expired = false;
	bh_err_clear(&r->stream_err);
	r->stream = bh_kube_stream_new(frame, r->kind->keep,
				       frame == BH_FRAME_LIST ? on_list_item : on_event, r);
	r->call = bh_kube_call_start(r->http,
				     &(struct bh_kube_request){
					     .path = path,
					     .accepts_gzip = frame == BH_FRAME_LIST,
					     .on_head = on_head,
					     .on_data = on_data,
					     .on_done = on_done,
					     .ctx = r,
				     },
				     &err);
	if (!r->call) {
		set_problem(r, err.text);
		back_off(r, 0);
		return;
	}
	r->since_ns = bh_mono_ns();
	r->phase = phase;
	expect_life(r);
	set_phase(r, phase);
}

/* --- what to ask for ------------------------------------------------------------- */

static void watch(struct bh_reflector *r)
{
	bh_auto(bh_buf_done) struct bh_buf path = { 0 };

	bh_kube_place_watch(&r->place, r->kind, &path);
	r->stats.n_watches++;
	call(r, WATCHING, BH_FRAME_WATCH, bh_buf_str(&path));
}

static void stream(struct bh_reflector *r)
{
	bh_auto(bh_buf_done) struct bh_buf path = { 0 };

	begin_list(r);
	bh_kube_place_stream(r->kind, &path);
	r->stats.n_watches++;
	call(r, STREAMING, BH_FRAME_WATCH, bh_buf_str(&path));
}

static void list_page(struct bh_reflector *r)
{
	uint32_t size = r->config->page_size ? r->config->page_size : PAGE_SIZE;
	bh_auto(bh_buf_done) struct bh_buf path = { 0 };

	if (!r->place.continuation)
		begin_list(r);
	bh_kube_place_page(&r->place, r->kind, size, &path);
	call(r, LISTING, BH_FRAME_LIST, bh_buf_str(&path));
}

static void act(struct bh_reflector *r)
{
	uv_timer_stop(&r->timer);
	if (r->place.version)
		watch(r);
	else if (!r->place.continuation && !r->owner->may_list(r->owner->ctx, r))
		r->phase = HELD;
	else if (r->has_watch_list && !r->place.continuation)
		stream(r);
	else
		list_page(r);
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_reflector *r = bh_container_of(timer, struct bh_reflector, timer);

	if (r->phase == PAUSING) {
		act(r);
	} else if (r->phase == WATCHING && r->has_head) {
		/* Twice without as much as a bookmark: perhaps it hears nothing. */
		if (++r->n_watch_failures > 1)
			bh_kube_place_forget_version(&r->place);
		act(r);
	} else if (r->phase == STREAMING && r->has_head) {
		r->has_watch_list = false;
		act(r);
	} else {
		r->owner->on_away(r->owner->ctx, "the server stopped in the middle of an answer");
	}
}

/* --- life ------------------------------------------------------------------------ */

void bh_reflector_start(struct bh_reflector *r, struct bh_kube_http *http, bool has_watch_list)
{
	r->http = http;
	r->has_watch_list = has_watch_list && r->config->page_size == 0;
	r->n_failures = 0;
	act(r);
}

void bh_reflector_stop(struct bh_reflector *r)
{
	end_call(r);
	uv_timer_stop(&r->timer);
	r->http = NULL;
	r->phase = STOPPED;
}

void bh_reflector_nudge(struct bh_reflector *r)
{
	if (r->has_pending_deletes)
		delete_the_rest(r);
	if (r->phase == HELD)
		act(r);
}

void bh_reflector_relist(struct bh_reflector *r)
{
	bh_kube_place_forget(&r->place);
	if (r->phase == STOPPED)
		return;
	end_call(r);
	r->n_failures = 0;
	act(r);
}

bool bh_reflector_is_behind(const struct bh_reflector *r)
{
	return r->stats.is_synced && !r->place.version;
}

uint64_t bh_reflector_revision(const struct bh_reflector *r)
{
	return bh_kube_place_revision(&r->place);
}

const char *bh_reflector_uid(const struct bh_reflector *r, const char *namespace, const char *name)
{
	const struct bh_kube_entry *e = bh_kube_table_find(r->facts.table, namespace, name);

	return e ? bh_kube_entry_uid(e) : "";
}

bool bh_reflector_is_listing(const struct bh_reflector *r)
{
	return r->phase == HELD || r->phase == LISTING || r->phase == STREAMING;
}

bool bh_reflector_adopt(struct bh_reflector *r, const struct bh_key *key)
{
	return bh_kube_facts_adopt(&r->facts, key);
}

bool bh_reflector_is_ready(const struct bh_reflector *r)
{
	return r->stats.is_synced || (r->n_absences > 0 && !r->stats.is_served);
}

struct bh_kube_resource_stats bh_reflector_stats(const struct bh_reflector *r)
{
	struct bh_kube_resource_stats stats = r->stats;

	stats.n_objects = bh_kube_table_count(r->facts.table);
	stats.n_refused = r->facts.n_refused;
	return stats;
}

struct bh_reflector *bh_reflector_new(uv_loop_t *loop, enum bh_kube_resource resource,
				      const struct bh_sink *sink,
				      const struct bh_reflector_config *config,
				      const struct bh_reflector_owner *owner)
{
	struct bh_reflector *r = bh_calloc(1, sizeof(*r));

	r->resource = resource;
	r->kind = &bh_kube_kinds[resource];
	r->sink = sink;
	r->config = config;
	r->owner = owner;
	bh_kube_facts_init(&r->facts, r->kind, sink);
	uv_timer_init(loop, &r->timer);
	return r;
}

static void on_closed(uv_handle_t *handle)
{
	free(bh_container_of(handle, struct bh_reflector, timer));
}

void bh_reflector_free(struct bh_reflector **rp)
{
	struct bh_reflector *r = *rp;

	if (!r)
		return;
	*rp = NULL;
	bh_reflector_stop(r);
	bh_kube_place_forget(&r->place);
	bh_kube_facts_done(&r->facts);
	uv_close((uv_handle_t *)&r->timer, on_closed);
}
