/*
 * The source against a scripted server.  A real API server cannot be made to show
 * these faults on demand; everything that it can be made to show is in tests/kube.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/kube.h"

#define MAX_RUN_MS 10000

struct world;

/* What the server says to one request. */
struct reply {
	int status;          /* 0: what an empty cluster would say */
	const char *headers; /* more of them, each with its end */
	const char *body;
	bool is_held; /* the answer goes on, the connection stays */
	bool is_cut;  /* it claims to be longer than it is */
};

/* @n: how many requests for the same thing ("pods", "pods watch") came before. */
typedef struct reply script_fn(struct world *w, const char *what, const char *path, int n);

struct world {
	uv_loop_t loop;
	uv_tcp_t listener;
	uv_timer_t limit;
	uv_prepare_t look;
	struct bh_kube *kube;
	struct bh_kube_config config;
	script_fn *script;
	const char *minor;
	char path[64]; /* of the kubeconfig */
	struct bh_buf requests, told;
	struct bh_buf storage; /* of a body that is made */
	const char *until;     /* in told or in requests */
	bool is_over_time;
	int counts[16];
	uint64_t times_ms[16]; /* of requests, for those that ask */
	size_t n_times;
};

/* --- the server ------------------------------------------------------------------ */

struct client {
	uv_tcp_t tcp;
	uv_write_t write;
	struct world *w;
	struct bh_buf in, out;
	bool is_held;
};

static void on_client_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;

	bh_buf_done(&c->in);
	bh_buf_done(&c->out);
	free(c);
}

static void close_client(struct client *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->tcp))
		uv_close((uv_handle_t *)&c->tcp, on_client_closed);
}

static void on_written(uv_write_t *write, int status)
{
	struct client *c = write->data;

	if (status < 0 || !c->is_held)
		close_client(c);
}

static const char *const resources[] = {
	"/api/v1/namespaces",
	"/api/v1/nodes",
	"/api/v1/pods",
	"/apis/networking.k8s.io/v1/networkpolicies",
	"/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
};

/* What an empty cluster without ClusterNetworkPolicies says. */
static struct reply empty_cluster(size_t resource, bool is_watch)
{
	if (resource == 4)
		return (struct reply){ .status = 404, .body = "404 page not found\n" };
	if (is_watch)
		return (struct reply){ .status = 200, .body = "", .is_held = true };
	return (struct reply){ .status = 200,
			       .body = "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}" };
}

static struct reply version_reply(struct world *w, struct bh_buf *storage)
{
	bh_buf_printf(storage, "{\"major\":\"1\",\"minor\":\"%s\",\"gitVersion\":\"v1.%s.0\"}",
		      w->minor, w->minor);
	return (struct reply){ .status = 200, .body = bh_buf_str(storage) };
}

static struct reply answer_to(struct world *w, const char *path, struct bh_buf *storage)
{
	size_t i, len = strcspn(path, "?");
	bool is_watch = strstr(path, "watch=1");
	struct reply reply = { 0 };
	char what[64];

	if (strcmp(path, "/version") == 0)
		return version_reply(w, storage);
	for (i = 0; i < BH_ARRAY_LEN(resources); i++) {
		if (strlen(resources[i]) == len && memcmp(resources[i], path, len) == 0)
			break;
	}
	assert_true(i < BH_ARRAY_LEN(resources));
	snprintf(what, sizeof(what), "%s%s", strrchr(resources[i], '/') + 1,
		 is_watch ? " watch" : "");
	if (w->script)
		reply = w->script(w, what, path, w->counts[2 * i + is_watch]++);
	return reply.status ? reply : empty_cluster(i, is_watch);
}

static void answer(struct client *c, const char *path)
{
	struct bh_buf storage = { 0 };
	struct reply r = answer_to(c->w, path, &storage);
	size_t len = strlen(r.body);
	uv_buf_t buf;

	bh_buf_printf(&c->w->requests, "%s\n", path);
	bh_buf_printf(&c->out, "HTTP/1.1 %d x\r\nContent-Type: application/json\r\n%s", r.status,
		      r.headers ? r.headers : "");
	if (r.is_held && len > 0)
		bh_buf_printf(&c->out, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", len,
			      r.body);
	else if (r.is_held)
		bh_buf_puts(&c->out, "Transfer-Encoding: chunked\r\n\r\n");
	else
		bh_buf_printf(&c->out, "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
			      len + r.is_cut, r.body);
	c->is_held = r.is_held;
	buf = uv_buf_init(c->out.data, (unsigned int)c->out.len);
	c->write.data = c;
	assert_int_equal(uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written), 0);
	bh_buf_done(&storage);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	(void)handle;
	*buf = uv_buf_init(bh_malloc(size), (unsigned int)size);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;
	char path[1024];

	if (n > 0)
		bh_buf_add(&c->in, buf->base, (size_t)n);
	free(buf->base);
	if (n < 0) {
		close_client(c);
	} else if (strstr(bh_buf_str(&c->in), "\r\n\r\n")) {
		assert_int_equal(sscanf(bh_buf_str(&c->in), "GET %1023s ", path), 1);
		assert_non_null(strstr(bh_buf_str(&c->in), "Authorization: Bearer t0ken\r\n"));
		bh_buf_reset(&c->in);
		answer(c, path);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct world *w = listener->data;
	struct client *c = bh_calloc(1, sizeof(*c));

	assert_int_equal(status, 0);
	c->w = w;
	uv_tcp_init(&w->loop, &c->tcp);
	c->tcp.data = c;
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&c->tcp), 0);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static int start_server(struct world *w)
{
	struct sockaddr_in addr;
	int len = sizeof(addr);

	uv_tcp_init(&w->loop, &w->listener);
	w->listener.data = w;
	uv_ip4_addr("127.0.0.1", 0, &addr);
	assert_int_equal(uv_tcp_bind(&w->listener, (struct sockaddr *)&addr, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&w->listener, 16, on_connection), 0);
	uv_tcp_getsockname(&w->listener, (struct sockaddr *)&addr, &len);
	return ntohs(addr.sin_port);
}

/* --- the sink -------------------------------------------------------------------- */

static void on_put(void *ctx, const struct bh_fact *f)
{
	struct world *w = ctx;

	switch (f->kind) {
	case BH_KIND_POD:
		bh_buf_printf(&w->told, "+pod %s/%s#%s%s\n", f->pod.namespace, f->pod.name,
			      f->pod.uid, f->pod.has_no_labels_yet ? " of unknown labels" : "");
		break;
	case BH_KIND_NAMESPACE: bh_buf_printf(&w->told, "+namespace %s\n", f->ns.name); break;
	case BH_KIND_NODE: bh_buf_printf(&w->told, "+node %s\n", f->node.name); break;
	case BH_KIND_POLICY:
		bh_buf_printf(&w->told, "+policy %s/%s %s\n", f->policy.namespace, f->policy.name,
			      f->policy.invalid ? f->policy.invalid : "");
		break;
	case BH_KIND_COUNT_: break;
	}
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	struct world *w = ctx;

	bh_buf_printf(&w->told, "-%s %s/%s#%s\n", bh_kind_str(key->kind), key->namespace, key->name,
		      key->kind == BH_KIND_POD ? key->uid : "");
}

static void on_synced(void *ctx, enum bh_source source)
{
	struct world *w = ctx;

	assert_int_equal(source, BH_SOURCE_KUBE);
	bh_buf_puts(&w->told, "synced\n");
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	struct world *w = ctx;

	(void)source;
	bh_buf_printf(&w->told, "%s %s%s%s\n", text ? "problem" : "fine",
		      strncmp(subject, "http", 4) == 0 ? "server" : subject, text ? ": " : "",
		      text ? text : "");
}

/* --- running --------------------------------------------------------------------- */

static void on_limit(uv_timer_t *timer)
{
	struct world *w = bh_container_of(timer, struct world, limit);

	w->is_over_time = true;
	uv_stop(&w->loop);
}

static void on_look(uv_prepare_t *prepare)
{
	struct world *w = bh_container_of(prepare, struct world, look);

	if (strstr(bh_buf_str(&w->told), w->until) || strstr(bh_buf_str(&w->requests), w->until))
		uv_stop(&w->loop);
}

static void run_until(struct world *w, const char *text)
{
	w->until = text;
	uv_timer_start(&w->limit, on_limit, MAX_RUN_MS, 0);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	if (w->is_over_time)
		fail_msg("'%s' does not come\nrequests:\n%stold:\n%s", text,
			 bh_buf_str(&w->requests), bh_buf_str(&w->told));
}

static void start(struct world *w, script_fn *script)
{
	const struct bh_sink sink = {
		.ctx = w,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_synced = on_synced,
		.on_problem = on_problem,
	};
	struct bh_err err = { 0 };
	FILE *f;
	int fd;

	uv_loop_init(&w->loop);
	uv_timer_init(&w->loop, &w->limit);
	uv_prepare_init(&w->loop, &w->look);
	uv_prepare_start(&w->look, on_look);
	w->script = script;
	if (!w->minor)
		w->minor = "30";
	snprintf(w->path, sizeof(w->path), "/tmp/bh-kube-XXXXXX");
	fd = mkstemp(w->path);
	f = fdopen(fd, "w");
	assert_non_null(f);
	fprintf(f,
		"{kind: Config, current-context: x, contexts: [{name: x, context: {cluster: c, "
		"user: u}}], clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%d'}}], "
		"users: [{name: u, user: {token: t0ken}}]}\n",
		start_server(w));
	fclose(f);
	w->config.kubeconfig = w->path;
	w->config.allows_plain = true;
	assert_ok(bh_kube_new(&w->kube, &w->loop, &w->config, &sink, &err), &err);
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
	struct world *w = ctx;

	if (uv_is_closing(handle))
		return;
	if (handle == (uv_handle_t *)&w->listener || handle == (uv_handle_t *)&w->limit ||
	    handle == (uv_handle_t *)&w->look)
		uv_close(handle, NULL);
	else if (handle->type == UV_TCP)
		close_client(handle->data);
}

static void finish(struct world *w)
{
	bh_kube_free(&w->kube);
	uv_walk(&w->loop, close_handle, w);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	unlink(w->path);
	bh_buf_done(&w->requests);
	bh_buf_done(&w->told);
	bh_buf_done(&w->storage);
}

/* --- objects --------------------------------------------------------------------- */

#define POD(name, uid)                                                                             \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"ns\",\"uid\":\"" uid                 \
	"\",\"resourceVersion\":\"5\"}}"
#define LIST(version, items)                                                                       \
	"{\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items "]}"
#define PAGE(next, items)                                                                          \
	"{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"" next "\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define GONE                "{\"kind\":\"Status\",\"message\":\"too old\",\"reason\":\"Expired\",\"code\":410}"
#define OK(text)            ((struct reply){ .status = 200, .body = text })
#define HELD(text)          ((struct reply){ .status = 200, .body = text, .is_held = true })

/* --- tests ----------------------------------------------------------------------- */

static void an_empty_cluster_is_in_sync_without_optional_kinds(void **state)
{
	struct world w = { 0 };
	struct bh_kube_stats stats;

	(void)state;
	start(&w, NULL);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told), "synced\n");
	stats = bh_kube_stats(w.kube);
	assert_string_equal(stats.version, "v1.30.0");
	assert_false(stats.resources[BH_KUBE_CLUSTER_NETWORK_POLICIES].is_served);
	assert_true(stats.resources[BH_KUBE_PODS].is_synced);
	finish(&w);
}

static struct reply two_pages(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)n;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	return strstr(path, "&continue=a%2Fb") ? OK(LIST("7", POD("b", "2")))
					       : OK(PAGE("a/b", POD("a", "1")));
}

static void pages_are_fetched_until_there_is_no_token(void **state)
{
	struct world w = { .config.page_size = 1 };

	(void)state;
	start(&w, two_pages);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told), "+pod ns/a#1\n+pod ns/b#2\nsynced\n");
	assert_contains(bh_buf_str(&w.requests), "/api/v1/pods?limit=1&fieldSelector=");
	finish(&w);
}

static struct reply token_expires(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)n;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	if (strstr(path, "continue="))
		return (struct reply){ .status = 410, .body = GONE };
	return strstr(path, "limit=0") ? OK(LIST("9", POD("b", "2")))
				       : OK(PAGE("t", POD("a", "1")));
}

static void an_expired_token_lists_again_as_a_whole(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, token_expires);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told), "+pod ns/a#1\n+pod ns/b#2\n-Pod ns/a#1\nsynced\n");
	finish(&w);
}

static struct reply watch_expires(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	if (strcmp(what, "pods") == 0)
		return n == 0 ? OK(LIST("7", POD("a", "1") "," POD("b", "2") "," POD("c", "3")))
			      : OK(LIST("9", POD("d", "4") "," POD("b", "20") "," POD("a", "1")));
	if (strcmp(what, "pods watch") == 0 && n == 0)
		return HELD(EVENT("ERROR", GONE));
	return (struct reply){ 0 };
}

/* New and changed ones first; a pod that was made anew has another uid. */
static void a_list_after_410_tells_only_what_differs(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, watch_expires);
	run_until(&w, "-Pod ns/c#3");
	assert_string_equal(bh_buf_str(&w.told),
			    "+pod ns/a#1\n+pod ns/b#2\n+pod ns/c#3\nsynced\n"
			    "+pod ns/d#4\n+pod ns/b#20\n-Pod ns/b#2\n-Pod ns/c#3\n");
	finish(&w);
}

static struct reply too_many_requests(struct world *w, const char *what, const char *path, int n)
{
	(void)path;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	w->times_ms[w->n_times++] = bh_mono_ns() / BH_NS_PER_MS;
	if (n == 0)
		return (struct reply){ .status = 429,
				       .headers = "Retry-After: 1\r\n",
				       .body = "{\"message\":\"slow down\"}" };
	return OK(LIST("7", ""));
}

static void retry_after_is_honoured(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, too_many_requests);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told),
			    "problem pods: cannot list pods: HTTP status 429: slow down\n"
			    "fine pods\nsynced\n");
	assert_in_range(w.times_ms[1] - w.times_ms[0], 1000, 1500);
	finish(&w);
}

static struct reply list_is_cut(struct world *w, const char *what, const char *path, int n)
{
	static const struct reply cut = { .status = 200,
					  .body = "{\"items\":[" POD("a", "1") ",{\"metadata",
					  .is_cut = true };

	(void)w;
	(void)path;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	return n == 0 ? cut : OK(LIST("7", POD("b", "2")));
}

static void a_list_that_is_cut_off_deletes_nothing(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, list_is_cut);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told), "+pod ns/a#1\n+pod ns/b#2\n-Pod ns/a#1\nsynced\n");
	finish(&w);
}

static struct reply not_json(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	return n == 0 ? OK("<html>login</html>") : OK(LIST("7", ""));
}

static void an_answer_of_another_kind_is_a_problem_told_once(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, not_json);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told),
			    "problem pods: cannot list pods: the answer is not what was asked for: "
			    "no object at byte 0\nfine pods\nsynced\n");
	finish(&w);
}

static struct reply goes_silent(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	if (strcmp(what, "pods watch") == 0 && n == 0)
		return HELD(EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"42\"}}"));
	return (struct reply){ 0 };
}

static void a_silent_watch_is_asked_for_again_where_it_was(void **state)
{
	struct world w = { .config.watch_silence_ms = 200 };

	(void)state;
	start(&w, goes_silent);
	run_until(&w, "&resourceVersion=42");
	assert_string_equal(bh_buf_str(&w.told), "synced\n");
	finish(&w);
}

static struct reply no_watch_list(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)n;
	if (strcmp(what, "pods watch") == 0 && strstr(path, "sendInitialEvents"))
		return (struct reply){ .status = 422, .body = "{\"message\":\"forbidden\"}" };
	if (strcmp(what, "nodes watch") == 0 && strstr(path, "sendInitialEvents"))
		return HELD(EVENT("ERROR", "{\"code\":500,\"message\":\"old etcd\"}"));
	if (strcmp(what, "pods") == 0)
		return OK(LIST("7", POD("a", "1")));
	if (strstr(path, "sendInitialEvents") && strstr(path, "clusternetwork") == NULL)
		return HELD(EVENT("BOOKMARK",
				  "{\"metadata\":{\"resourceVersion\":\"3\",\"annotations\":{"
				  "\"k8s.io/initial-events-end\":\"true\"}}}"));
	return (struct reply){ 0 };
}

static void pages_stand_in_for_a_watch_list_that_is_refused(void **state)
{
	struct world w = { .minor = "34+" };

	(void)state;
	start(&w, no_watch_list);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told), "+pod ns/a#1\nsynced\n");
	assert_null(strstr(bh_buf_str(&w.requests), "/api/v1/namespaces?limit"));
	assert_contains(bh_buf_str(&w.requests), "/api/v1/nodes?limit=500");
	finish(&w);
}

#define BAD_POD                                                                                    \
	"{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\",\"uid\":\"1\"},"                       \
	"\"status\":{\"podIP\":\"x\"}}"

static struct reply pod_goes_bad(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	if (strcmp(what, "pods") == 0)
		return OK(LIST("7", POD("a", "1")));
	if (strcmp(what, "pods watch") == 0 && n == 0)
		return HELD(EVENT("MODIFIED", BAD_POD) EVENT("MODIFIED", BAD_POD)
				    EVENT("MODIFIED", POD("a", "1")) EVENT("MODIFIED", BAD_POD)
					    EVENT("DELETED", BAD_POD));
	return (struct reply){ 0 };
}

static void a_pod_that_cannot_be_read_is_named_and_its_last_state_stays(void **state)
{
	static const char bad[] = "problem Pod ns/a: Pod ns/a: status.podIP: Invalid value: \"x\"";
	struct world w = { 0 };
	const char *p;
	int n = 0;

	(void)state;
	start(&w, pod_goes_bad);
	run_until(&w, "-Pod ns/a#1\nfine Pod ns/a\n");
	for (p = bh_buf_str(&w.told); (p = strstr(p, bad)); p++)
		n++;
	assert_int_equal(n, 2);
	assert_contains(bh_buf_str(&w.told), "+pod ns/a#1\nfine Pod ns/a\nproblem");
	assert_int_equal(bh_kube_stats(w.kube).resources[BH_KUBE_PODS].n_refused, 2);
	finish(&w);
}

static struct reply many_bad_pods(struct world *w, const char *what, const char *path, int n)
{
	static char body[32768];
	size_t len = 0;
	int i;

	(void)w;
	(void)path;
	(void)n;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	len += (size_t)snprintf(body, sizeof(body),
				"{\"metadata\":{\"resourceVersion\":\"7\"},"
				"\"items\":[");
	for (i = 0; i < 150; i++)
		len += (size_t)snprintf(body + len, sizeof(body) - len,
					"%s{\"metadata\":{\"name\":\"p%d\",\"namespace\":\"ns\"},"
					"\"status\":{\"podIP\":\"x\"}}",
					i ? "," : "", i);
	snprintf(body + len, sizeof(body) - len, "]}");
	return OK(body);
}

static void of_many_problems_a_hundred_are_named(void **state)
{
	struct world w = { 0 };
	const char *p;
	int n = 0;

	(void)state;
	start(&w, many_bad_pods);
	run_until(&w, "synced");
	for (p = bh_buf_str(&w.told); (p = strstr(p, "problem Pod ns/")); p++)
		n++;
	assert_int_equal(n, 100);
	assert_contains(bh_buf_str(&w.told),
			"\nproblem Pod: more of them have problems than are named\nsynced\n");
	assert_int_equal(bh_kube_stats(w.kube).resources[BH_KUBE_PODS].n_refused, 150);
	finish(&w);
}

static struct reply bad_policy(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	(void)n;
	if (strcmp(what, "networkpolicies") == 0)
		return OK(LIST("7", "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\"},\"spec\":{"
				    "\"podSelector\":{},\"policyTypes\":[\"Sideways\"]}}"));
	return (struct reply){ 0 };
}

static void an_invalid_policy_is_told_as_such(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, bad_policy);
	run_until(&w, "synced");
	assert_contains(bh_buf_str(&w.told), "+policy ns/p spec.policyTypes");
	finish(&w);
}

static struct reply one_pod(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	(void)n;
	return strcmp(what, "pods") == 0 ? OK(LIST("7", POD("a", "1"))) : (struct reply){ 0 };
}

static void adopted_objects_that_a_list_lacks_are_deleted(void **state)
{
	struct bh_key key = { .kind = BH_KIND_POD,
			      .source = BH_SOURCE_KUBE,
			      .namespace = "ns",
			      .name = "a",
			      .uid = "1" };
	struct world w = { 0 };

	(void)state;
	start(&w, one_pod);
	bh_kube_adopt(w.kube, &key);
	key.name = "old";
	key.uid = "0";
	bh_kube_adopt(w.kube, &key);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told), "+pod ns/a#1\n-Pod ns/old#0\nsynced\n");
	finish(&w);
}

static struct reply namespaces_fail(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	if (strcmp(what, "namespaces") != 0)
		return (struct reply){ 0 };
	return n == 0 ? (struct reply){ .status = 200, .body = "{", .is_held = true }
		      : (struct reply){ 0 };
}

static void nothing_is_listed_before_namespaces_answer(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, namespaces_fail);
	run_until(&w, "/api/v1/namespaces?limit");
	uv_run(&w.loop, UV_RUN_NOWAIT);
	uv_run(&w.loop, UV_RUN_NOWAIT);
	assert_null(strstr(bh_buf_str(&w.requests), "/api/v1/pods"));
	finish(&w);
}

/* --- what others could do to us ---------------------------------------------------- */

#define CHARS_16 "xxxxxxxxxxxxxxxx"
#define CHARS_256                                                                                  \
	CHARS_16 CHARS_16 CHARS_16 CHARS_16 CHARS_16 CHARS_16 CHARS_16 CHARS_16 CHARS_16 CHARS_16  \
		CHARS_16 CHARS_16 CHARS_16 CHARS_16 CHARS_16 CHARS_16
#define CHARS_4096                                                                                 \
	CHARS_256 CHARS_256 CHARS_256 CHARS_256 CHARS_256 CHARS_256 CHARS_256 CHARS_256 CHARS_256  \
		CHARS_256 CHARS_256 CHARS_256 CHARS_256 CHARS_256 CHARS_256 CHARS_256
#define ANNOTATED(name, key)                                                                       \
	"{\"metadata\":{\"name\":\"" name                                                          \
	"\",\"namespace\":\"tenant\",\"uid\":\"9\",\"resourceVersion\":\"8\",\"annotations\":{"    \
	"\"" key "\":\"" CHARS_4096 "x\"}}}"

static struct reply long_annotations(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	if (strcmp(what, "pods") == 0)
		return OK(LIST("7", ANNOTATED("e", "k8s.io/initial-events-end") "," POD("a", "1")));
	if (strcmp(what, "pods watch") == 0 && n == 0)
		return HELD(EVENT("ADDED", ANNOTATED("f", "kubernetes.io/config.mirror"))
				    EVENT("ADDED", POD("b", "2")));
	return (struct reply){ 0 };
}

static void an_annotation_of_a_tenant_does_not_end_what_is_told_of_others(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, long_annotations);
	run_until(&w, "+pod ns/b#2");
	assert_string_equal(bh_buf_str(&w.told),
			    "+pod tenant/e#9\n+pod ns/a#1\nsynced\n"
			    "problem Pod tenant/f: has a name or uid of over 4096 bytes\n"
			    "+pod ns/b#2\n");
	finish(&w);
}

/* A pod whose labels, ports and owners are @n each. */
static void add_large_pod(struct bh_buf *b, const char *uid, int n)
{
	bh_buf_printf(b,
		      "{\"metadata\":{\"name\":\"p\",\"namespace\":\"tenant\",\"uid\":\"%s\","
		      "\"resourceVersion\":\"8\",\"labels\":{\"a\":\"b\"",
		      uid);
	for (int i = 0; i < n; i++)
		bh_buf_printf(b, ",\"l%d\":\"\"", i);
	bh_buf_puts(b, "},\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"a\\u0000b\","
		       "\"controller\":true}],\"annotations\":{\"bulkhead.dev/x\":\"\\u0000\"}},"
		       "\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"ports\":[");
	for (int i = 0; i < n; i++)
		bh_buf_printf(b, "%s{\"name\":\"p%d\",\"containerPort\":%d}", i ? "," : "", i,
			      i % 60000 + 1);
	bh_buf_puts(b, "]}]},\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\"}]}}");
}

static struct reply large_pods(struct world *w, const char *what, const char *path, int n)
{
	struct bh_buf *b = &w->storage;

	(void)path;
	if (strcmp(what, "pods watch") != 0 || n > 0)
		return (struct reply){ 0 };
	for (int i = 0; i < 3; i++) {
		bh_buf_puts(b, "{\"type\":\"ADDED\",\"object\":");
		add_large_pod(b, "9", i == 1 ? 40000 : 0);
		bh_buf_puts(b, "}\n");
	}
	bh_buf_puts(b, EVENT("ADDED", POD("b", "2")));
	return HELD(bh_buf_str(b));
}

/* One that is nobody's peer would escape rules that deny its namespace. */
static void no_pod_is_so_large_that_it_is_not_told(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, large_pods);
	run_until(&w, "+pod ns/b#2");
	assert_string_equal(bh_buf_str(&w.told),
			    "synced\n+pod tenant/p#9\n+pod tenant/p#9 of unknown labels\n"
			    "problem Pod tenant/p: has too many labels, and counts as one whose "
			    "labels are not known\n"
			    "+pod tenant/p#9\nfine Pod tenant/p\n+pod ns/b#2\n");
	finish(&w);
}

static struct reply huge_policy(struct world *w, const char *what, const char *path, int n)
{
	struct bh_buf *b = &w->storage;

	(void)path;
	if (strcmp(what, "networkpolicies") != 0 || n > 0)
		return (struct reply){ 0 };
	bh_buf_puts(
		b,
		"{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"metadata\":{\"name\":"
		"\"geo\",\"namespace\":\"ns\",\"uid\":\"1\"},\"spec\":{\"ingress\":[{\"from\":[0");
	for (int i = 0; i < 100000; i++)
		bh_buf_puts(b, ",0");
	bh_buf_puts(b, "]}]}}]}");
	return OK(bh_buf_str(b));
}

static void a_policy_that_cannot_be_read_is_told_as_one_that_is_not_valid(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, huge_policy);
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told),
			    "+policy ns/geo has more than 100000 values\n"
			    "problem NetworkPolicy ns/geo: has more than 100000 "
			    "values\nsynced\n");
	finish(&w);
}

static struct reply policy_grows(struct world *w, const char *what, const char *path, int n)
{
	(void)path;
	(void)n;
	if (strcmp(what, "networkpolicies") == 0)
		return OK(LIST("7",
			       "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"1\"},"
			       "\"spec\":{\"podSelector\":{}}}"));
	if (strcmp(what, "networkpolicies watch") != 0 || w->storage.len > 0)
		return (struct reply){ 0 };
	bh_buf_puts(&w->storage, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"p\","
				 "\"namespace\":\"ns\",\"uid\":\"1\"},\"spec\":{\"ingress\":[0");
	for (int i = 0; i < 100000; i++)
		bh_buf_puts(&w->storage, ",0");
	bh_buf_puts(&w->storage, "]}}}\n");
	return HELD(bh_buf_str(&w->storage));
}

static void an_edit_that_cannot_be_read_leaves_the_policy_as_it_was(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, policy_grows);
	run_until(&w, "problem");
	assert_string_equal(bh_buf_str(&w.told),
			    "+policy ns/p \nsynced\nproblem NetworkPolicy ns/p: "
			    "has more than 100000 values\n");
	finish(&w);
}

/* --- what is told, and when -------------------------------------------------------- */

static struct reply made_anew(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)n;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	return strstr(path, "&continue=t") ? OK(LIST("7", POD("z", "9")))
					   : OK(PAGE("t", POD("web-0", "new")));
}

/* The state of before a restart, read while the list is under way. */
static void a_later_pod_of_that_name_keeps_an_older_one_out(void **state)
{
	struct bh_key key = { .kind = BH_KIND_POD,
			      .source = BH_SOURCE_KUBE,
			      .namespace = "ns",
			      .name = "web-0",
			      .uid = "old" };
	struct world w = { .config.page_size = 1 };

	(void)state;
	start(&w, made_anew);
	run_until(&w, "+pod ns/web-0#new");
	assert_false(bh_kube_stats(w.kube).resources[BH_KUBE_PODS].is_synced);
	assert_false(bh_kube_adopt(w.kube, &key));
	key.uid = "new";
	assert_true(bh_kube_adopt(w.kube, &key));
	run_until(&w, "synced");
	finish(&w);
}

static void namespaces_go_after_what_was_in_them(void **state)
{
	struct bh_key pod = { .kind = BH_KIND_POD,
			      .source = BH_SOURCE_KUBE,
			      .namespace = "old",
			      .name = "p",
			      .uid = "1" };
	struct bh_key ns = {
		.kind = BH_KIND_NAMESPACE, .source = BH_SOURCE_KUBE, .namespace = "", .name = "old"
	};
	struct world w = { 0 };

	(void)state;
	start(&w, NULL);
	assert_true(bh_kube_adopt(w.kube, &pod));
	assert_true(bh_kube_adopt(w.kube, &ns));
	run_until(&w, "synced");
	assert_string_equal(bh_buf_str(&w.told), "-Pod old/p#1\n-Namespace /old#\nsynced\n");
	finish(&w);
}

static struct reply hears_nothing(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	return n == 0 ? OK(LIST("7", POD("a", "1"))) : OK(LIST("9", POD("b", "2")));
}

static void a_watch_that_stays_silent_leads_to_a_list(void **state)
{
	struct world w = { .config.watch_silence_ms = 100 };

	(void)state;
	start(&w, hears_nothing);
	run_until(&w, "-Pod ns/a#1");
	assert_string_equal(bh_buf_str(&w.told), "+pod ns/a#1\nsynced\n+pod ns/b#2\n-Pod ns/a#1\n");
	finish(&w);
}

static struct reply bad_token(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	if (strcmp(what, "pods") != 0)
		return (struct reply){ 0 };
	if (strstr(path, "continue="))
		return (struct reply){ .status = 400, .body = "{\"message\":\"continue key\"}" };
	return n == 0 ? OK(PAGE("t", POD("a", "1"))) : OK(LIST("9", POD("b", "2")));
}

static void a_token_that_is_refused_begins_the_list_again(void **state)
{
	struct world w = { 0 };

	(void)state;
	start(&w, bad_token);
	run_until(&w, "synced");
	assert_contains(bh_buf_str(&w.told), "+pod ns/b#2\n-Pod ns/a#1\nsynced\n");
	finish(&w);
}

static struct reply unauthorized(struct world *w, const char *what, const char *path, int n)
{
	(void)w;
	(void)path;
	if (strcmp(what, "pods watch") == 0 && n == 0)
		return (struct reply){ .status = 401, .body = "{\"message\":\"Unauthorized\"}" };
	return (struct reply){ 0 };
}

/* The certificate of a session may have run out, and another be in its file. */
static void refused_credentials_are_read_again_in_another_session(void **state)
{
	struct world w = { 0 };
	const char *second;

	(void)state;
	start(&w, unauthorized);
	run_until(&w, "fine pods");
	second = strstr(bh_buf_str(&w.requests) + 1, "/version");
	assert_non_null(second);
	assert_contains(second, "/api/v1/pods?watch=1");
	finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_cluster_is_in_sync_without_optional_kinds),
		cmocka_unit_test(pages_are_fetched_until_there_is_no_token),
		cmocka_unit_test(an_expired_token_lists_again_as_a_whole),
		cmocka_unit_test(a_list_after_410_tells_only_what_differs),
		cmocka_unit_test(retry_after_is_honoured),
		cmocka_unit_test(a_list_that_is_cut_off_deletes_nothing),
		cmocka_unit_test(an_answer_of_another_kind_is_a_problem_told_once),
		cmocka_unit_test(a_silent_watch_is_asked_for_again_where_it_was),
		cmocka_unit_test(pages_stand_in_for_a_watch_list_that_is_refused),
		cmocka_unit_test(a_pod_that_cannot_be_read_is_named_and_its_last_state_stays),
		cmocka_unit_test(of_many_problems_a_hundred_are_named),
		cmocka_unit_test(an_invalid_policy_is_told_as_such),
		cmocka_unit_test(adopted_objects_that_a_list_lacks_are_deleted),
		cmocka_unit_test(nothing_is_listed_before_namespaces_answer),
		cmocka_unit_test(an_annotation_of_a_tenant_does_not_end_what_is_told_of_others),
		cmocka_unit_test(no_pod_is_so_large_that_it_is_not_told),
		cmocka_unit_test(a_policy_that_cannot_be_read_is_told_as_one_that_is_not_valid),
		cmocka_unit_test(an_edit_that_cannot_be_read_leaves_the_policy_as_it_was),
		cmocka_unit_test(a_later_pod_of_that_name_keeps_an_older_one_out),
		cmocka_unit_test(namespaces_go_after_what_was_in_them),
		cmocka_unit_test(a_watch_that_stays_silent_leads_to_a_list),
		cmocka_unit_test(a_token_that_is_refused_begins_the_list_again),
		cmocka_unit_test(refused_credentials_are_read_again_in_another_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
