/*
 * Theory of operation.
 *
 * Away -> greeting (Version) -> subscribing -> listing -> following, and back to
 * away whenever the runtime fails to answer; then a growing pause, and the same
 * again.  What is known stays known meanwhile.
 *
 * containerd answers a Subscribe only with its first event, so nothing says
 * when it listens.  An event of our own is published until it comes back; only
 * then are the lists asked for.
 *
 * A sandbox is in the CRI's list only when it runs, but its container object and
 * then its addresses are there earlier, and each change of it is an event: the
 * object is looked up at each.  One whose last change was before the subscription,
 * and which runs only after the list, is in neither: the first round of a session
 * lists the objects, too.  A list at intervals finds what was missed all the same.
 * Runtimes without these events are listed every second instead.
 *
 * A round is: list of sandboxes, list of containers (for kubelet's port names),
 * the objects of sandboxes if it is the session's first one, and the status of
 * each sandbox whose network is not known.
 */
#include "bh/cri.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "bh/backoff.h"
#include "grpc.h"
#include "lookup.h"
#include "messages.h"
#include "table.h"

#define DEFAULT_INTERVAL_MS 30000
#define POLL_INTERVAL_MS    1000
#define FIRST_PAUSE_MS      100
#define LAST_PAUSE_MS       10000
#define SYNC_PAUSE_MS       50
#define MAX_SYNCS           100
/* Rounds at the short interval after containerd's metadata could not be read. */
#define N_CAREFUL_ROUNDS 60
/* Lists until a runtime without events is asked for them again. */
#define N_POLLS_WITHOUT_EVENTS 60

enum phase { AWAY, GREETING, SUBSCRIBING, LISTING, FOLLOWING };

struct bh_cri {
	uv_timer_t timer; /* ends a pause: before a greeting, a sync or a round */
	struct bh_sink sink;
	char *endpoint, *node, *events_subject, *metadata_subject, *list_subject;
	uint32_t interval_ms;
	struct bh_grpc *grpc;
	struct bh_grpc_call *stream;
	struct bh_grpc_call *call; /* the one of the phase */
	struct bh_buf answer;      /* to it */
	bool has_answer;
	struct bh_lookups *lookups;
	struct bh_cri_table *table;
	enum phase phase;
	uint64_t nonce;
	size_t n_objects; /* in the answer so far */
	unsigned int n_failures, n_syncs, n_careful, n_polls;
	bool has_events;  /* in this session */
	bool has_objects; /* containerd's own, in this session */
	bool is_round;    /* one is under way */
	bool is_synced;   /* on_synced was called */
	bool has_problem; /* with the endpoint, told */
	bool has_no_events_problem, has_list_problem;
	bool was_connected;
	struct bh_cri_stats stats;
};

static void on_timer(uv_timer_t *timer);

static void wait_ms(struct bh_cri *c, uint64_t ms)
{
	uv_timer_start(&c->timer, on_timer, ms, 0);
}

static void tell(struct bh_cri *c, const char *subject, const char *text)
{
	c->sink.on_problem(c->sink.ctx, BH_SOURCE_CRI, subject, text);
}

/* The session is over.  Told once, until one works again. */
__attribute__((format(printf, 2, 3))) static void fail(struct bh_cri *c, const char *fmt, ...)
{
	struct bh_err e = { 0 };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);

	bh_lookups_clear(c->lookups);
	bh_grpc_cancel(&c->call);
	bh_grpc_cancel(&c->stream);
	c->is_round = false;
	c->phase = AWAY;
	c->stats.is_connected = false;
	c->n_failures++;
	wait_ms(c, bh_backoff_ms(c->n_failures, FIRST_PAUSE_MS, LAST_PAUSE_MS));
	if (c->has_problem)
		return;
	c->has_problem = true;
	bh_err_wrap(&e, 0, "the container runtime does not answer, its pods stay as last seen");
	tell(c, c->endpoint, e.text);
}

/* --- the call of the phase ------------------------------------------------------ */

static void on_answer(void *ctx, const uint8_t *data, size_t len)
{
	struct bh_cri *c = ctx;

	bh_buf_reset(&c->answer);
	bh_buf_add(&c->answer, data, len);
	c->has_answer = true;
}

/* @body is used up. */
static void call_each(struct bh_cri *c, const char *path, struct bh_buf *body,
		      void (*on_message)(void *ctx, const uint8_t *data, size_t len),
		      void (*on_done)(void *ctx, int status, const char *text))
{
	bh_buf_done(&c->answer);
	c->has_answer = false;
	bh_grpc_cancel(&c->call);
	c->call = bh_grpc_start(c->grpc, &(struct bh_grpc_request){
						 .path = path,
						 .namespace = BH_CONTAINERD_NAMESPACE,
						 .body = body->data,
						 .len = body->len,
						 .timeout_ms = BH_CRI_TIMEOUT_MS,
						 .on_message = on_message,
						 .on_done = on_done,
						 .ctx = c,
					 });
	bh_buf_done(body);
}

static void call(struct bh_cri *c, const char *path, struct bh_buf *body,
		 void (*on_done)(void *ctx, int status, const char *text))
{
	call_each(c, path, body, on_answer, on_done);
}

/* Whether the call of the phase brought a message; ends the session if not. */
static bool has_answered(struct bh_cri *c, const char *what, int status, const char *text)
{
	c->call = NULL;
	if (status == BH_GRPC_OK && c->has_answer)
		return true;
	fail(c, "%s: %s", what, status == BH_GRPC_OK ? "the answer is empty" : text);
	return false;
}

static const uint8_t *answer(const struct bh_cri *c)
{
	return (const uint8_t *)bh_buf_str(&c->answer);
}

/* --- rounds --------------------------------------------------------------------- */

static void start_round(struct bh_cri *c);

static uint32_t interval_ms(const struct bh_cri *c)
{
	bool is_quick = !c->has_events || !c->has_objects || c->n_careful > 0;

	return is_quick && c->interval_ms > POLL_INTERVAL_MS ? POLL_INTERVAL_MS : c->interval_ms;
}

static void end_round(struct bh_cri *c)
{
	c->is_round = false;
	c->phase = FOLLOWING;
	c->n_failures = 0;
	c->stats.n_lists++;
	if (c->n_careful > 0 && --c->n_careful == 0)
		tell(c, c->metadata_subject, NULL);
	if (c->has_problem)
		tell(c, c->endpoint, NULL);
	c->has_problem = false;
	wait_ms(c, interval_ms(c));
	if (!c->is_synced) {
		c->is_synced = true;
		c->sink.on_synced(c->sink.ctx, BH_SOURCE_CRI);
	}
}

static void on_round_done(void *ctx)
{
	struct bh_cri *c = ctx;

	/* The last question may be answered while there is more to list. */
	if (c->is_round && !c->call)
		end_round(c);
}

static void list_objects(struct bh_cri *c);

/* Answers to single questions may be still to come. */
static void end_lists(struct bh_cri *c)
{
	if (bh_lookups_round_is_done(c->lookups))
		end_round(c);
}

/* Port names are a convenience: without the list pods just have none. */
static void on_containers(void *ctx, int status, const char *text)
{
	struct bh_cri *c = ctx;
	bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
	struct bh_cri_container *list;
	size_t i, n = 0;

	c->call = NULL;
	if (status == BH_GRPC_NO_ANSWER) {
		fail(c, "list of containers: %s", text);
		return;
	}
	if (status == BH_GRPC_OK && c->has_answer &&
	    bh_cri_decode_containers(answer(c), c->answer.len, arena, &list, &n, NULL) < 0)
		n = 0;
	for (i = 0; i < n; i++)
		bh_cri_table_add_ports(c->table, list[i].sandbox_id, list[i].ports,
				       list[i].n_ports);
	bh_buf_done(&c->answer);
	if (c->phase == LISTING && c->has_events && c->has_objects)
		list_objects(c);
	else
		end_lists(c);
}

/*
 * Not in the list: gone, or not running yet.  Only containerd's own object tells
 * these apart; without it, the list is all there is.
 */
static void on_missing(void *ctx, const char *id)
{
	struct bh_cri *c = ctx;

	if (c->has_events && c->has_objects)
		bh_lookups_ask(c->lookups, BH_LOOKUP_GET, id, true);
	else
		bh_cri_table_remove(c->table, id);
}

/* @why NULL: everything could be taken in. */
static void tell_list_problem(struct bh_cri *c, size_t n, const char *why)
{
	struct bh_err e = { 0 };

	if (why)
		bh_err(&e, 0, "%zu sandboxes are left out: %s", n, why);
	if (why || c->has_list_problem)
		tell(c, c->list_subject, why ? e.text : NULL);
	c->has_list_problem = why != NULL;
}

static void take_list(struct bh_cri *c, const struct bh_cri_list *list)
{
	size_t i, n_left_out = list->n_malformed;
	struct bh_err err = list->why;
	bool is_whole;

	for (i = 0; i < list->n; i++) {
		const struct bh_sandbox *s = &list->items[i];

		if (bh_cri_table_put_listed(c->table, s, &is_whole, &err) < 0)
			n_left_out++;
		else if (!is_whole)
			bh_lookups_ask(c->lookups, BH_LOOKUP_STATUS, s->id, true);
	}
	bh_cri_table_end(c->table, on_missing, c);
	tell_list_problem(c, n_left_out, n_left_out > 0 ? err.text : NULL);
}

static void on_list(void *ctx, int status, const char *text)
{
	struct bh_cri *c = ctx;
	bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
	struct bh_cri_list list;
	struct bh_buf body = { 0 };
	struct bh_err err = { 0 };

	if (!has_answered(c, "list of sandboxes", status, text))
		return;
	if (bh_cri_decode_list(answer(c), c->answer.len, arena, &list, &err) < 0) {
		fail(c, "%s", err.text);
		return;
	}
	take_list(c, &list);
	bh_cri_encode_list(&body);
	call(c, "/runtime.v1.RuntimeService/ListContainers", &body, on_containers);
}

static void start_round(struct bh_cri *c)
{
	struct bh_buf body = { 0 };

	c->is_round = true;
	bh_cri_table_begin(c->table);
	bh_cri_encode_list(&body);
	call(c, "/runtime.v1.RuntimeService/ListPodSandbox", &body, on_list);
}

/* --- answers about one sandbox --------------------------------------------------- */

/* containerd changed how it keeps metadata, or somebody spoiled it: lists do without. */
static void be_careful(struct bh_cri *c, const char *why)
{
	struct bh_err e = { 0 };

	if (c->n_careful == 0) {
		bh_err(&e, 0, "%s; listing every %d ms for a while instead", why, POLL_INTERVAL_MS);
		tell(c, c->metadata_subject, e.text);
	}
	c->n_careful = N_CAREFUL_ROUNDS;
	if (c->phase == FOLLOWING && !c->is_round)
		wait_ms(c, POLL_INTERVAL_MS);
}

static void take_object(struct bh_cri *c, const uint8_t *data, size_t len)
{
	bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
	struct bh_containerd_object o;
	struct bh_err err = { 0 };
	int r;

	r = bh_containerd_decode_object(data, len, arena, &o, &err);
	if (r == 0 && o.kind == BH_OBJECT_SANDBOX)
		r = bh_cri_table_put(c->table, &o.sandbox, &err);
	else if (r == 0 && o.kind == BH_OBJECT_CONTAINER)
		bh_cri_table_add_ports(c->table, o.container.sandbox_id, o.container.ports,
				       o.container.n_ports);
	if (r < 0)
		be_careful(c, err.text);
}

static void take_object_error(struct bh_cri *c, int status, const char *text)
{
	if (status == BH_GRPC_UNIMPLEMENTED)
		c->has_objects = false;
	be_careful(c, text);
}

/*
 * Looked up again instead of taken: this may be older than the event that tells
 * its end.
 */
static void on_listed_object(void *ctx, const uint8_t *data, size_t len)
{
	struct bh_cri *c = ctx;
	bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
	struct bh_containerd_object o;
	struct bh_err err = { 0 };

	if (c->n_objects++ == BH_CRI_MAX_SANDBOXES)
		fail(c, "list of objects: over %d sandboxes", BH_CRI_MAX_SANDBOXES);
	else if (bh_containerd_decode_object(data, len, arena, &o, &err) < 0)
		be_careful(c, err.text);
	else if (o.kind == BH_OBJECT_SANDBOX && !bh_cri_table_has(c->table, o.sandbox.id))
		bh_lookups_ask(c->lookups, BH_LOOKUP_GET, o.sandbox.id, true);
}

static void on_objects(void *ctx, int status, const char *text)
{
	struct bh_cri *c = ctx;

	c->call = NULL;
	if (status == BH_GRPC_NO_ANSWER) {
		fail(c, "list of objects: %s", text);
		return;
	}
	if (status != BH_GRPC_OK)
		take_object_error(c, status, text);
	end_lists(c);
}

static void list_objects(struct bh_cri *c)
{
	struct bh_buf body = { 0 };

	c->n_objects = 0;
	bh_containerd_encode_list(&body);
	call_each(c, "/containerd.services.containers.v1.Containers/ListStream", &body,
		  on_listed_object, on_objects);
}

static void take_status(struct bh_cri *c, const char *id, const uint8_t *data, size_t len)
{
	bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
	struct bh_err err = { 0 };
	struct bh_sandbox s;
	int r;

	r = bh_cri_decode_status(data, len, arena, &s, &err);
	if (r > 0 && strcmp(s.id, id) != 0)
		r = bh_err(&err, -EPROTO, "the runtime answered about sandbox %s instead", s.id);
	if (r > 0)
		r = bh_cri_table_put(c->table, &s, &err);
	if (r < 0)
		bh_cri_table_trouble(c->table, id, err.text);
}

static void on_lookup(void *ctx, enum bh_lookup_kind kind, const char *id, int status,
		      const uint8_t *data, size_t len, const char *text)
{
	struct bh_cri *c = ctx;

	if (status == BH_GRPC_NO_ANSWER)
		fail(c, "sandbox %s: %s", id, text);
	else if (status == BH_GRPC_NOT_FOUND)
		bh_cri_table_remove(c->table, id);
	else if (kind == BH_LOOKUP_GET && status != BH_GRPC_OK)
		take_object_error(c, status, text);
	else if (kind == BH_LOOKUP_GET)
		take_object(c, data, len);
	else if (status != BH_GRPC_OK)
		bh_cri_table_trouble(c->table, id, text);
	else
		take_status(c, id, data, len);
}

/* --- events ---------------------------------------------------------------------- */

static void on_event(void *ctx, const uint8_t *data, size_t len)
{
	struct bh_cri *c = ctx;
	struct bh_err err = { 0 };
	struct bh_event ev;

	if (bh_containerd_decode_event(data, len, &ev, &err) < 0) {
		fail(c, "%s", err.text);
		return;
	}
	switch (ev.kind) {
	case BH_EVENT_OTHER: return;
	case BH_EVENT_SYNC:
		if (c->phase != SUBSCRIBING || ev.nonce != c->nonce)
			return;
		bh_grpc_cancel(&c->call);
		uv_timer_stop(&c->timer);
		if (c->has_no_events_problem)
			tell(c, c->events_subject, NULL);
		c->has_no_events_problem = false;
		c->phase = LISTING;
		start_round(c);
		return;
	case BH_EVENT_CHANGED: bh_lookups_ask(c->lookups, BH_LOOKUP_GET, ev.id, false); break;
	case BH_EVENT_DELETED:
		bh_cri_table_remove(c->table, ev.id);
		bh_lookups_forget(c->lookups, ev.id);
		break;
	case BH_EVENT_EXITED: bh_cri_table_finish(c->table, ev.id); break;
	}
	c->stats.n_events++;
}

static void go_without_events(struct bh_cri *c)
{
	bh_grpc_cancel(&c->stream);
	bh_grpc_cancel(&c->call);
	c->has_events = false;
	if (!c->has_no_events_problem)
		tell(c, c->events_subject,
		     "the runtime has no events of containerd's kind; its pods are listed every "
		     "second, and a new one is known that much later");
	c->has_no_events_problem = true;
	c->phase = LISTING;
	start_round(c);
}

static void on_stream_end(void *ctx, int status, const char *text)
{
	struct bh_cri *c = ctx;

	c->stream = NULL;
	if (status == BH_GRPC_UNIMPLEMENTED && c->phase == SUBSCRIBING)
		go_without_events(c);
	else
		fail(c, "the stream of events ended: %s", text[0] ? text : "without a reason");
}

static void on_published(void *ctx, int status, const char *text)
{
	struct bh_cri *c = ctx;

	c->call = NULL;
	if (status == BH_GRPC_UNIMPLEMENTED)
		go_without_events(c);
	else if (status != BH_GRPC_OK)
		fail(c, "events: %s", text);
	else
		wait_ms(c, SYNC_PAUSE_MS);
}

/* Again until it comes back: the first ones may be there before the subscription. */
static void publish_sync(struct bh_cri *c)
{
	struct bh_buf body = { 0 };

	if (c->n_syncs++ == MAX_SYNCS) {
		fail(c, "the stream of events brings nothing");
		return;
	}
	bh_containerd_encode_sync(c->nonce, &body);
	call(c, "/containerd.services.events.v1.Events/Publish", &body, on_published);
}

static void subscribe(struct bh_cri *c)
{
	struct bh_buf body = { 0 };

	c->phase = SUBSCRIBING;
	c->has_events = c->has_objects = true;
	c->n_syncs = 0;
	(void)!getrandom(&c->nonce, sizeof(c->nonce), GRND_NONBLOCK);
	bh_containerd_encode_subscribe(&body);
	c->stream = bh_grpc_start(c->grpc,
				  &(struct bh_grpc_request){
					  .path = "/containerd.services.events.v1.Events/Subscribe",
					  .namespace = BH_CONTAINERD_NAMESPACE,
					  .body = body.data,
					  .len = body.len,
					  .on_message = on_event,
					  .on_done = on_stream_end,
					  .ctx = c,
				  });
	bh_buf_done(&body);
	publish_sync(c);
}

/* --- sessions -------------------------------------------------------------------- */

static void on_version(void *ctx, int status, const char *text)
{
	struct bh_cri *c = ctx;
	struct bh_err err = { 0 };

	if (!has_answered(c, "CRI v1", status, text))
		return;
	if (bh_cri_decode_version(answer(c), c->answer.len, c->stats.runtime, &err) < 0) {
		fail(c, "%s", err.text);
		return;
	}
	c->stats.is_connected = true;
	if (c->was_connected)
		c->stats.n_reconnects++;
	c->was_connected = true;
	subscribe(c);
}

static void greet(struct bh_cri *c)
{
	struct bh_buf body = { 0 };

	c->phase = GREETING;
	bh_cri_encode_version(&body);
	call(c, "/runtime.v1.RuntimeService/Version", &body, on_version);
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_cri *c = bh_container_of(timer, struct bh_cri, timer);

	switch (c->phase) {
	case AWAY: greet(c); return;
	case SUBSCRIBING: publish_sync(c); return;
	case FOLLOWING:
		/* A restart between two lists may have brought events. */
		if (!c->has_events && ++c->n_polls % N_POLLS_WITHOUT_EVENTS == 0)
			subscribe(c);
		else
			start_round(c);
		return;
	case GREETING:
	case LISTING: return;
	}
	abort();
}

/* --- making and freeing ---------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct bh_cri *c = bh_container_of((uv_timer_t *)handle, struct bh_cri, timer);

	bh_buf_done(&c->answer);
	free(c->endpoint);
	free(c->node);
	free(c->events_subject);
	free(c->metadata_subject);
	free(c->list_subject);
	free(c);
}

static int parse_endpoint(const char *endpoint, const char **ret, struct bh_err *err)
{
	static const char scheme[] = "unix://";
	const char *path = endpoint;

	if (strncmp(endpoint, scheme, strlen(scheme)) == 0)
		path += strlen(scheme);
	if (path[0] != '/')
		return bh_err(err, -EINVAL,
			      "'%.100s' is not a runtime's socket: give unix:///path/of/the.sock",
			      endpoint);
	*ret = path;
	return 0;
}

int bh_cri_new(struct bh_cri **ret, uv_loop_t *loop, const struct bh_cri_config *config,
	       const struct bh_sink *sink, struct bh_err *err)
{
	struct bh_grpc *grpc;
	const char *path = NULL;
	struct bh_cri *c;
	int r;

	r = parse_endpoint(config->endpoint, &path, err);
	if (r < 0)
		return r;
	r = bh_grpc_new(&grpc, loop, path, err);
	if (r < 0)
		return r;

	c = bh_calloc(1, sizeof(*c));
	c->grpc = grpc;
	c->sink = *sink;
	c->endpoint = bh_strdup(config->endpoint);
	c->node = bh_strdup(config->node ? config->node : "");
	c->events_subject = bh_asprintf("events of %s", config->endpoint);
	c->metadata_subject = bh_asprintf("metadata of %s", config->endpoint);
	c->list_subject = bh_asprintf("sandboxes of %s", config->endpoint);
	c->interval_ms = config->list_interval_ms ? config->list_interval_ms : DEFAULT_INTERVAL_MS;
	c->table = bh_cri_table_new(&c->sink, c->node);
	c->lookups = bh_lookups_new(grpc, &(struct bh_lookups_owner){
						  .ctx = c,
						  .on_answer = on_lookup,
						  .on_round_done = on_round_done,
					  });
	uv_timer_init(loop, &c->timer);
	greet(c);
	*ret = c;
	return 0;
}

void bh_cri_free(struct bh_cri **cp)
{
	struct bh_cri *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	bh_lookups_free(&c->lookups);
	bh_grpc_free(&c->grpc);
	bh_cri_table_free(&c->table);
	uv_close((uv_handle_t *)&c->timer, on_closed);
}

struct bh_cri_stats bh_cri_stats(const struct bh_cri *c)
{
	return c->stats;
}
