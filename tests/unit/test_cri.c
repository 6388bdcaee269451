#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <uv.h>

#include "../../src/cri/frame.h"
#include "../../src/cri/messages.h"
#include "../../src/cri/table.h"
#include "bh/cri.h"
#include "bh/source.h"

/* As containerd 1.6.20 answers PodSandboxStatus. */
static const char status_hex[] =
	"0a9d020a4035343530303065653530323165396131643031653436626461316262333561633265363835313732"
	"65353031343139353062653235653937326162386164316512310a03776562122434643663326231652d356130"
	"662d346138652d396235372d3166306638613766336331311a0473686f702082e6beb297d7b2f5182a1c0a0931"
	"302e38382e302e32120f0a0d666430303a31303a38383a3a32320"
	"60a04120210013a1d0a16696f2e6b75626572"
	"6e657465732e706f642e6e616d6512037765623a0d0a0474696572120566726f6e743a0a0a0361707012037765"
	"62423c0a1262756c6b686561642e6465762f706f72747312265b7b226e616d65223a2268747470222c22636f6e"
	"7461696e6572506f7274223a383038307d5d";

#define ID  "545000ee5021e9a1d01e46bda1bb35ac2e685172e50141950be25e972ab8ad1e"
#define UID "4d6c2b1e-5a0f-4a8e-9b57-1f0f8a7f3c11"

/* As it keeps the same sandbox beside its pause container. */
static const char sandbox_json[] =
	"{\"Version\":\"v1\",\"Metadata\":{\"ID\":\"" ID "\",\"Name\":\"web_shop_" UID "_0\","
	"\"Config\":{\"metadata\":{\"name\":\"web\",\"uid\":\"" UID "\",\"namespace\":\"shop\"},"
	"\"hostname\":\"web\",\"log_directory\":\"/var/log/pods/"
	"shop_web\",\"labels\":{\"app\":\"web\","
	"\"io.kubernetes.pod.name\":\"web\",\"tier\":\"front\"},\"annotations\":{\"bulkhead.dev/"
	"ports\":"
	"\"[{\\\"name\\\":\\\"http\\\",\\\"containerPort\\\":8080}]\"},\"linux\":{\"cgroup_"
	"parent\":"
	"\"/kubepods/"
	"web\",\"security_context\":{\"namespace_options\":{\"pid\":1}}}},\"NetNSPath\":"
	"\"/run/netns/cni-151d7208\",\"IP\":\"10.88.0.2\",\"AdditionalIPs\":[\"fd00:10:88::2\"],"
	"\"RuntimeHandler\":\"\",\"CNIResult\":{\"Interfaces\":{\"cni0\":{\"IPConfigs\":null}}},"
	"\"ProcessLabel\":\"\"}}";

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n;

	for (n = 0; hex[2 * n]; n++) {
		unsigned int byte;

		sscanf(hex + 2 * n, "%2x", &byte);
		out[n] = (uint8_t)byte;
	}
	return n;
}

static const char *addr_text(const struct bh_addr *a)
{
	static char buf[BH_ADDR_STRLEN];

	return bh_addr_format(a, buf);
}

static void assert_is_web(const struct bh_sandbox *s)
{
	assert_string_equal(s->id, ID);
	assert_string_equal(s->namespace, "shop");
	assert_string_equal(s->name, "web");
	assert_string_equal(s->uid, UID);
	assert_int_equal(s->labels.n, 2);
	assert_string_equal(bh_labels_get(&s->labels, "app"), "web");
	assert_string_equal(bh_labels_get(&s->labels, "tier"), "front");
	assert_true(s->has_network);
	assert_false(s->is_host_network);
	assert_int_equal(s->n_addrs, 2);
	assert_string_equal(addr_text(&s->addrs[0]), "10.88.0.2");
	assert_string_equal(addr_text(&s->addrs[1]), "fd00:10:88::2");
	assert_int_equal(s->n_ports, 1);
	assert_string_equal(s->ports[0].name, "http");
	assert_int_equal(s->ports[0].number, 8080);
	assert_int_equal(s->ports[0].protocol, IPPROTO_TCP);
	assert_null(s->problem);
}

/* --- frames ---------------------------------------------------------------------- */

static void messages_are_put_together_from_pieces_of_any_size(void **state)
{
	static const uint8_t wire[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\2de";
	const size_t len = sizeof(wire) - 1;
	size_t step, i;

	(void)state;
	for (step = 1; step <= len; step++) {
		struct bh_frames f = { 0 };
		struct bh_buf got = { 0 };

		for (i = 0; i < len; i += step) {
			const uint8_t *data;
			size_t n;

			bh_frames_add(&f, wire + i, len - i < step ? len - i : step);
			while (bh_frames_next(&f, BH_FRAME_MAX, &data, &n, NULL) > 0) {
				bh_buf_add(&got, data, n);
				bh_buf_putc(&got, '|');
			}
		}
		assert_string_equal(bh_buf_str(&got), "abc||de|");
		assert_int_equal(bh_frames_pending(&f), 0);
		bh_buf_done(&got);
		bh_frames_done(&f);
	}
}

static void a_message_over_the_limit_or_compressed_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int want;
		const char *text;
	} t[] = {
		{ "\0\0\0\0\11", 5, -EMSGSIZE, "9 bytes is over 8" },
		{ "\0\377\377\377\377", 5, -EMSGSIZE, "over 8" },
		{ "\1\0\0\0\1x", 6, -EPROTO, "compressed" },
		{ "\0\0\0\0\10", 5, 0, "" },
		{ "\0\377\377\377", 4, 0, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_frames f = { 0 };
		struct bh_err err = { 0 };
		const uint8_t *data;
		size_t n;

		bh_frames_add(&f, t[i].bytes, t[i].len);
		assert_err(bh_frames_next(&f, 8, &data, &n, &err), &err, t[i].want, t[i].text);
		assert_int_equal(bh_frames_pending(&f), t[i].len);
		bh_frames_done(&f);
	}
}

/* --- messages -------------------------------------------------------------------- */

static void a_status_becomes_a_sandbox(void **state)
{
	struct bh_arena *arena = bh_arena_new();
	uint8_t bytes[sizeof(status_hex) / 2];
	size_t len = from_hex(status_hex, bytes);
	struct bh_err err = { 0 };
	struct bh_sandbox s;

	(void)state;
	assert_ok(bh_cri_decode_status(bytes, len, arena, &s, &err), &err);
	assert_is_web(&s);
	assert_true(s.has_state);
	assert_false(s.is_finished);
	assert_true(s.created_ns == UINT64_C(1795470299363259138));
	bh_arena_free(&arena);
}

static void a_status_cut_anywhere_is_refused_or_harmless(void **state)
{
	uint8_t bytes[sizeof(status_hex) / 2];
	size_t len = from_hex(status_hex, bytes), cut;

	(void)state;
	for (cut = 0; cut < len; cut++) {
		struct bh_arena *arena = bh_arena_new();
		bh_auto_free uint8_t *part = bh_malloc(cut);
		struct bh_sandbox s;

		/* A buffer of its own, so that a sanitizer sees reads beyond it. */
		memcpy(part, bytes, cut);
		assert_true(bh_cri_decode_status(part, cut, arena, &s, NULL) < 0);
		bh_arena_free(&arena);
	}
}

static void metadata_of_containerd_becomes_the_same_sandbox(void **state)
{
	struct bh_arena *arena = bh_arena_new();
	struct bh_err err = { 0 };
	struct bh_sandbox s;

	(void)state;
	assert_ok(
		bh_containerd_parse_sandbox(sandbox_json, strlen(sandbox_json), 5, arena, &s, &err),
		&err);
	assert_is_web(&s);
	assert_false(s.has_state); /* it does not say */
	assert_int_equal(s.created_ns, 5);
	bh_arena_free(&arena);
}

static void metadata_is_read_with_care(void **state)
{
#define CONFIG(more)                                                                               \
	"{\"Metadata\":{\"ID\":\"a1\",\"Config\":{\"metadata\":{\"name\":\"p\",\"namespace\":"     \
	"\"n\"}" more
	static const struct {
		const char *json;
		int want; /* of the call */
		const char *text;
	} t[] = {
		{ "", -EINVAL, "not JSON" },
		{ "{\"Metadata\":{\"ID\":\"a1\"", -EINVAL, "not JSON" },
		{ "[]", -EINVAL, "no object Metadata" },
		{ "{\"Metadata\":7}", -EINVAL, "no object Metadata" },
		{ "{\"Metadata\":{}}", -EINVAL, "'' is not a sandbox id" },
		{ "{\"Metadata\":{\"ID\":\"../x\"}}", -EINVAL, "'../x' is not a sandbox id" },
		{ "{\"Metadata\":{\"ID\":\"a1\"}}", 0, "" }, /* no pod of Kubernetes */
		{ CONFIG("}}}"), 1, "" },
		{ CONFIG(",\"labels\":[]}}}"), -EINVAL, "labels are no object" },
		{ CONFIG(",\"labels\":{\"a\":1}}}}"), -EINVAL, "a label is no string" },
		{ CONFIG(",\"labels\":null}}}"), 1, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_arena *arena = bh_arena_new();
		struct bh_err err = { 0 };
		struct bh_sandbox s;

		assert_err(bh_containerd_parse_sandbox(t[i].json, strlen(t[i].json), 0, arena, &s,
						       &err),
			   &err, t[i].want, t[i].text);
		bh_arena_free(&arena);
	}
}

static void an_address_that_is_not_there_yet_is_not_known_to_be_none(void **state)
{
	static const struct {
		const char *json;
		bool has_network, is_host;
	} t[] = {
		{ CONFIG("}}}"), false, false },
		{ CONFIG("},\"IP\":\"\"}}"), false, false },
		{ CONFIG("},\"IP\":\"10.0.0.1\"}}"), true, false },
		{ CONFIG(",\"linux\":{\"security_context\":{\"namespace_options\":{\"network\":2}}}"
			 "}}}"),
		  true, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_arena *arena = bh_arena_new();
		struct bh_err err = { 0 };
		struct bh_sandbox s;

		assert_ok(bh_containerd_parse_sandbox(t[i].json, strlen(t[i].json), 0, arena, &s,
						      &err),
			  &err);
		assert_int_equal(s.has_network, t[i].has_network);
		assert_int_equal(s.is_host_network, t[i].is_host);
		bh_arena_free(&arena);
	}
}

/* --- events ---------------------------------------------------------------------- */

/* An envelope of namespace, topic and an event with fields 1 and @field of text. */
static size_t envelope(uint8_t *out, const char *ns, const char *topic, const char *first,
		       unsigned int field, const char *second)
{
	uint8_t any[200], ev[160];
	size_t n = 0, n_any, n_ev = 0;

#define TEXT(buf, at, tag, s)                                                                      \
	do {                                                                                       \
		(buf)[(at)++] = (uint8_t)((tag) << 3 | 2);                                         \
		(buf)[(at)++] = (uint8_t)strlen(s);                                                \
		memcpy((buf) + (at), (s), strlen(s));                                              \
		(at) += strlen(s);                                                                 \
	} while (0)
	TEXT(ev, n_ev, 1, first);
	if (field)
		TEXT(ev, n_ev, field, second);
	any[0] = 2 << 3 | 2;
	any[1] = (uint8_t)n_ev;
	memcpy(any + 2, ev, n_ev);
	n_any = n_ev + 2;
	TEXT(out, n, 2, ns);
	TEXT(out, n, 3, topic);
	out[n++] = 4 << 3 | 2;
	out[n++] = (uint8_t)n_any;
	memcpy(out + n, any, n_any);
	return n + n_any;
}

static void events_tell_what_happened_to_whom(void **state)
{
	static const struct {
		const char *ns, *topic, *first;
		unsigned int field;
		const char *second;
		enum bh_event_kind kind;
	} t[] = {
		{ "k8s.io", "/containers/create", "c1", 0, NULL, BH_EVENT_CHANGED },
		{ "k8s.io", "/containers/update", "c1", 2, "image", BH_EVENT_CHANGED },
		{ "k8s.io", "/containers/delete", "c1", 0, NULL, BH_EVENT_DELETED },
		{ "k8s.io", "/tasks/exit", "c1", 2, "c1", BH_EVENT_EXITED },
		{ "k8s.io", "/tasks/exit", "c1", 2, "exec7", BH_EVENT_OTHER },
		{ "k8s.io", "/tasks/delete", "c1", 0, NULL, BH_EVENT_EXITED },
		{ "k8s.io", "/tasks/delete", "c1", 5, "exec7", BH_EVENT_OTHER },
		{ "k8s.io", "/tasks/start", "c1", 0, NULL, BH_EVENT_OTHER },
		{ "moby", "/containers/create", "c1", 0, NULL, BH_EVENT_OTHER },
		{ "k8s.io", "/containers/create", "../c1", 0, NULL, BH_EVENT_OTHER },
		{ "k8s.io", "/containers/create", "", 0, NULL, BH_EVENT_OTHER },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		uint8_t bytes[512];
		size_t len =
			envelope(bytes, t[i].ns, t[i].topic, t[i].first, t[i].field, t[i].second);
		struct bh_err err = { 0 };
		struct bh_event ev;

		assert_ok(bh_containerd_decode_event(bytes, len, &ev, &err), &err);
		assert_int_equal(ev.kind, t[i].kind);
		if (ev.kind != BH_EVENT_OTHER)
			assert_string_equal(ev.id, "c1");
		assert_int_equal(bh_containerd_decode_event(bytes, len - 1, &ev, NULL), -EBADMSG);
	}
}

/* Without its filter a list would bring every container of the node. */
static void only_objects_of_sandboxes_are_listed(void **state)
{
	static const char filter[] = "labels.\"io.cri-containerd.kind\"==\"sandbox\"";
	struct bh_buf out = { 0 };

	(void)state;
	bh_containerd_encode_list(&out);
	assert_int_equal(out.len, 2 + strlen(filter));
	assert_int_equal(bh_buf_str(&out)[0], 1 << 3 | 2);
	assert_int_equal(bh_buf_str(&out)[1], strlen(filter));
	assert_string_equal(bh_buf_str(&out) + 2, filter);
	bh_buf_done(&out);
}

/* --- what is outside the limits --------------------------------------------------- */

static void ports_are_read_like_a_containers(void **state)
{
	static const struct {
		const char *json;
		int want;
		const char *text;
		size_t n;
	} t[] = {
		{ "[]", 0, "", 0 },
		{ "[{\"containerPort\":80}]", 0, "", 0 },
		{ "[{\"name\":\"dns\",\"containerPort\":53,\"protocol\":\"UDP\",\"hostPort\":1}]",
		  0, "", 1 },
		{ "{}", -EINVAL, "not a list", 0 },
		{ "[", -EINVAL, "not JSON", 0 },
		{ "[7]", -EINVAL, "[0]: is not an object", 0 },
		{ "[{\"name\":\"a\",\"containerPort\":65536}]", -EINVAL,
		  "[0]: containerPort is not within 1-65535", 0 },
		{ "[{\"name\":\"a\",\"containerPort\":0}]", -EINVAL, "containerPort", 0 },
		{ "[{\"name\":\"a\",\"containerPort\":\"80\"}]", -EINVAL, "containerPort", 0 },
		{ "[{\"name\":\"a\",\"containerPort\":1},{\"name\":\"a\",\"containerPort\":1,"
		  "\"protocol\":\"tcp\"}]",
		  -EINVAL, "[1]: protocol is not TCP, UDP or SCTP", 0 },
		{ "[{\"name\":\"A\",\"containerPort\":1}]", -EINVAL, "not a port name", 0 },
		{ "[{\"name\":\"12\",\"containerPort\":1}]", -EINVAL, "not a port name", 0 },
		{ "[{\"name\":\"a--b\",\"containerPort\":1}]", -EINVAL, "not a port name", 0 },
		{ "[{\"name\":\"abcdefghijklmnop\",\"containerPort\":1}]", -EINVAL,
		  "not a port name", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_arena *arena = bh_arena_new();
		struct bh_err err = { 0 };
		const struct bh_port *ports;
		size_t n = 99;

		assert_err(bh_cri_parse_ports(t[i].json, arena, &ports, &n, &err), &err, t[i].want,
			   t[i].text);
		if (t[i].want == 0)
			assert_int_equal(n, t[i].n);
		bh_arena_free(&arena);
	}
}

static void what_is_malformed_is_named_and_does_no_harm(void **state)
{
	static const struct bh_label long_key = { .key = "k", .value = "with\nnewline" };
	static const struct bh_label twice[] = { { "a", "1" }, { "b", "2" }, { "a", "3" } };
	static const struct bh_label bad_ports = { BH_CRI_PORTS_ANNOTATION, "[{]" };
	static const char *const bad_addr[] = { "10.0.0.1", "", "10.0.0.999", "fd00::1" };
	static const struct {
		struct bh_sandbox_raw raw;
		bool has_bad_labels;
		size_t n_addrs;
		const char *problem;
	} t[] = {
		{ { .labels = &long_key, .n_labels = 1 }, true, 0, "labels are malformed" },
		{ { .labels = twice, .n_labels = 3 }, true, 0, "label a twice" },
		{ { .annotations = &bad_ports, .n_annotations = 1 },
		  false,
		  0,
		  "annotation bulkhead.dev/ports is not JSON" },
		{ { .addrs = bad_addr, .n_addrs = 4, .has_network = true },
		  false,
		  2,
		  "'10.0.0.999' is not an IP address" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_arena *arena = bh_arena_new();
		struct bh_sandbox_raw raw = t[i].raw;
		struct bh_err err = { 0 };
		struct bh_sandbox s;

		raw.id = "a1";
		raw.namespace = "n";
		raw.name = "p";
		assert_ok(bh_sandbox_make(&raw, arena, &s, &err), &err);
		assert_int_equal(s.has_bad_labels, t[i].has_bad_labels);
		assert_int_equal(s.n_addrs, t[i].n_addrs);
		assert_non_null(s.problem);
		assert_contains(s.problem, t[i].problem);
		bh_arena_free(&arena);
	}
}

static void a_quarantine_is_read_from_the_annotation(void **state)
{
	static const struct {
		const char *value;
		bool want;
	} t[] = { { NULL, false }, { "false", false }, { "true", true }, { "no", true } };

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		const struct bh_label annotation = { BH_CRI_QUARANTINE_ANNOTATION, t[i].value };
		const struct bh_sandbox_raw raw = { .id = "a1",
						    .namespace = "n",
						    .name = "p",
						    .annotations = &annotation,
						    .n_annotations = t[i].value ? 1 : 0 };
		struct bh_arena *arena = bh_arena_new();
		struct bh_err err = { 0 };
		struct bh_sandbox s, copy;

		assert_ok(bh_sandbox_make(&raw, arena, &s, &err), &err);
		assert_int_equal(s.is_quarantined, t[i].want);
		bh_sandbox_copy(&s, arena, &copy);
		assert_true(bh_sandbox_eq(&s, &copy));
		copy.is_quarantined = !t[i].want;
		assert_false(bh_sandbox_eq(&s, &copy));
		bh_arena_free(&arena);
	}
}

static void identities_that_are_none_are_refused(void **state)
{
	char long_name[BH_CRI_MAX_NAME + 2];
	const struct {
		const char *id, *ns, *name, *uid, *text;
	} t[] = {
		{ "a/b", "n", "p", "", "is not a sandbox id" },
		{ NULL, "n", "p", "", "is not a sandbox id" },
		{ "a1", "n s", "p", "", "is not a namespace" },
		{ "a1", "n", "p\x1b[0m", "", "is not a pod name" },
		{ "a1", "n", long_name, "", "is not a pod name" },
		{ "a1", "n", "p", "\n", "is not a uid" },
	};
	size_t i;

	(void)state;
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_arena *arena = bh_arena_new();
		const struct bh_sandbox_raw raw = {
			.id = t[i].id,
			.namespace = t[i].ns,
			.name = t[i].name,
			.uid = t[i].uid,
		};
		struct bh_err err = { 0 };
		struct bh_sandbox s;

		assert_err(bh_sandbox_make(&raw, arena, &s, &err), &err, -EINVAL, t[i].text);
		bh_arena_free(&arena);
	}
}

/* --- the table ------------------------------------------------------------------- */

static void log_put(void *ctx, const struct bh_fact *fact)
{
	const struct bh_pod *p = &fact->pod;
	char addr[BH_ADDR_STRLEN];
	size_t i;

	assert_int_equal(fact->kind, BH_KIND_POD);
	assert_int_equal(fact->source, BH_SOURCE_CRI);
	assert_string_equal(p->node, "node1");
	bh_buf_printf(ctx, "+%s/%s(%s)", p->namespace, p->name, p->sandbox_id);
	for (i = 0; i < p->n_addrs; i++)
		bh_buf_printf(ctx, " %s", bh_addr_format(&p->addrs[i], addr));
	for (i = 0; i < p->n_ports; i++)
		bh_buf_printf(ctx, " %s=%u", p->ports[i].name, p->ports[i].number);
	bh_buf_puts(ctx, p->is_finished ? " finished" : "");
	bh_buf_puts(ctx, p->has_no_labels_yet ? " closed" : "");
	bh_buf_puts(ctx, "; ");
}

static void log_delete(void *ctx, const struct bh_key *key)
{
	bh_buf_printf(ctx, "-%s/%s; ", key->namespace, key->name);
}

static void log_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	(void)source;
	bh_buf_printf(ctx, "%s %s; ", subject, text ? text : "ok");
}

struct table {
	struct bh_buf log;
	struct bh_sink sink;
	struct bh_cri_table *t;
};

static int set_up(void **state)
{
	struct table *f = bh_calloc(1, sizeof(*f));

	f->sink = (struct bh_sink){
		.ctx = &f->log,
		.on_put = log_put,
		.on_delete = log_delete,
		.on_problem = log_problem,
	};
	f->t = bh_cri_table_new(&f->sink, "node1");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct table *f = *state;

	bh_cri_table_free(&f->t);
	bh_buf_done(&f->log);
	free(f);
	return 0;
}

/* What the sink was told since the last call. */
#define assert_told(f, text)                                                                       \
	do {                                                                                       \
		assert_string_equal(bh_buf_str(&(f)->log), (text));                                \
		bh_buf_reset(&(f)->log);                                                           \
	} while (0)

static struct bh_sandbox sandbox(const char *id, const char *name)
{
	return (struct bh_sandbox){ .id = id, .namespace = "n", .name = name, .uid = "u" };
}

static struct bh_sandbox with_addr(struct bh_sandbox s, const char *text)
{
	static struct bh_addr addrs[8];
	static size_t next;
	struct bh_addr *a = &addrs[next++ % 8];

	assert_ok(bh_addr_parse(text, a, NULL), NULL);
	s.addrs = a;
	s.n_addrs = 1;
	s.has_network = true;
	return s;
}

static void put(struct table *f, struct bh_sandbox s)
{
	struct bh_err err = { 0 };

	assert_ok(bh_cri_table_put(f->t, &s, &err), &err);
}

static bool put_listed(struct table *f, struct bh_sandbox s, bool is_finished)
{
	struct bh_err err = { 0 };
	bool is_whole = false;

	s.has_state = true;
	s.is_finished = is_finished;
	assert_ok(bh_cri_table_put_listed(f->t, &s, &is_whole, &err), &err);
	return is_whole;
}

static void a_pod_is_told_when_something_of_it_changes(void **state)
{
	struct table *f = *state;

	assert_false(bh_cri_table_has(f->t, "a"));
	put(f, sandbox("a", "p"));
	assert_true(bh_cri_table_has(f->t, "a"));
	assert_told(f, "+n/p(a); ");
	put(f, with_addr(sandbox("a", "p"), "10.0.0.1"));
	assert_told(f, "+n/p(a) 10.0.0.1; ");
	put(f, with_addr(sandbox("a", "p"), "10.0.0.1"));
	put(f, sandbox("a", "p")); /* knows no network: what is known stays */
	bh_cri_table_begin(f->t);
	put_listed(f, sandbox("a", "p"), false); /* it runs, as was assumed */
	assert_told(f, "");
	bh_cri_table_finish(f->t, "a");
	bh_cri_table_finish(f->t, "a");
	assert_told(f, "+n/p(a) finished; ");
	bh_cri_table_remove(f->t, "a");
	bh_cri_table_remove(f->t, "a");
	assert_told(f, "-n/p; ");
	assert_int_equal(bh_cri_table_count(f->t), 0);
}

static void the_newest_attempt_stands_for_the_pod(void **state)
{
	struct table *f = *state;
	struct bh_sandbox second = with_addr(sandbox("b", "p"), "10.0.0.2");

	second.attempt = 1;
	put(f, with_addr(sandbox("a", "p"), "10.0.0.1"));
	put(f, second);
	assert_told(f, "+n/p(a) 10.0.0.1; +n/p(b) 10.0.0.2; ");
	bh_cri_table_finish(f->t, "a"); /* the old one: nobody's business */
	assert_told(f, "");
	bh_cri_table_remove(f->t, "b");
	assert_told(f, "+n/p(a) finished; ");
	bh_cri_table_remove(f->t, "a");
	assert_told(f, "-n/p; ");
}

static void the_order_of_news_does_not_matter(void **state)
{
	struct table *f = *state;
	struct bh_sandbox young = sandbox("a", "p"), old = sandbox("b", "p");

	young.created_ns = 2;
	old.created_ns = 1;
	put(f, young);
	put(f, old);
	assert_told(f, "+n/p(a); ");
}

static void ports_of_containers_are_added_to_those_of_the_pod(void **state)
{
	static const struct bh_port own = { "http", 80, IPPROTO_TCP };
	static const struct bh_port more[] = { { "http", 81, IPPROTO_TCP },
					       { "dns", 53, IPPROTO_UDP } };
	struct table *f = *state;
	struct bh_sandbox s = sandbox("a", "p");

	s.ports = &own;
	s.n_ports = 1;
	put(f, s);
	bh_cri_table_add_ports(f->t, "a", more, 2);
	assert_told(f, "+n/p(a) http=80; +n/p(a) http=80 dns=53; ");
	bh_cri_table_add_ports(f->t, "a", more, 2);
	put(f, s); /* a list does not know them */
	bh_cri_table_add_ports(f->t, "unknown", more, 2);
	assert_told(f, "");
}

static void a_problem_is_told_with_its_pod_and_ends_with_it(void **state)
{
	struct table *f = *state;
	struct bh_sandbox s = sandbox("a", "p");

	s.problem = "its address is odd";
	s.has_bad_labels = true;
	put(f, s);
	assert_told(f, "+n/p(a) closed; pod n/p its address is odd; ");
	bh_cri_table_remove(f->t, "a");
	assert_told(f, "-n/p; pod n/p ok; ");

	put(f, sandbox("b", "p"));
	bh_cri_table_trouble(f->t, "b", "no status");
	assert_told(f, "+n/p(b); +n/p(b); pod n/p no status; ");
	put(f, with_addr(sandbox("b", "p"), "10.0.0.1"));
	assert_told(f, "+n/p(b) 10.0.0.1; pod n/p ok; ");
}

static void note_missing(void *ctx, const char *id)
{
	struct table *f = ctx;

	bh_buf_printf(&f->log, "missing %s; ", id);
	bh_cri_table_remove(f->t, id);
}

static void a_list_finds_what_was_missed(void **state)
{
	struct table *f = *state;

	put(f, with_addr(sandbox("a", "p"), "10.0.0.1"));
	put(f, with_addr(sandbox("b", "q"), "10.0.0.2"));
	bh_buf_reset(&f->log);

	bh_cri_table_begin(f->t);
	assert_false(put_listed(f, sandbox("c", "r"), false)); /* its network is not known */
	assert_true(put_listed(f, sandbox("a", "p"), true));
	bh_cri_table_end(f->t, note_missing, f);
	assert_told(f, "+n/r(c); +n/p(a) finished; missing b; -n/q; ");
}

static void what_happens_while_a_list_is_under_way_is_newer(void **state)
{
	struct table *f = *state;

	put(f, with_addr(sandbox("a", "p"), "10.0.0.1"));
	bh_cri_table_begin(f->t);
	bh_cri_table_finish(f->t, "a");
	put(f, with_addr(sandbox("b", "q"), "10.0.0.2"));
	bh_buf_reset(&f->log);

	assert_true(put_listed(f, sandbox("a", "p"), false)); /* as it was */
	bh_cri_table_end(f->t, note_missing, f);
	assert_told(f, "");
}

static void an_id_that_becomes_another_pod_is_another_pod(void **state)
{
	struct table *f = *state;

	put(f, sandbox("a", "p"));
	put(f, sandbox("a", "q"));
	assert_told(f, "+n/p(a); -n/p; +n/q(a); ");
}

static void sandboxes_beyond_the_limit_are_refused(void **state)
{
	struct table *f = *state;
	struct bh_err err = { 0 };
	struct bh_sandbox s;
	char id[16];
	int i;

	for (i = 0; i < BH_CRI_MAX_SANDBOXES; i++) {
		snprintf(id, sizeof(id), "s%d", i);
		put(f, sandbox(id, id));
	}
	s = sandbox("more", "p");
	assert_err(bh_cri_table_put(f->t, &s, &err), &err, -E2BIG, "over 10000 sandboxes");
}

/* --- the source ------------------------------------------------------------------ */

static void an_endpoint_that_is_no_socket_is_refused(void **state)
{
	static const char *const t[] = { "", "http://localhost", "unix://", "unix:relative",
					 "containerd.sock" };
	struct table *f = *state;
	uv_loop_t loop;
	size_t i;

	uv_loop_init(&loop);
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		const struct bh_cri_config config = { .endpoint = t[i] };
		struct bh_err err = { 0 };
		struct bh_cri *cri;

		assert_err(bh_cri_new(&cri, &loop, &config, &f->sink, &err), &err, -EINVAL,
			   "is not a runtime's socket");
	}
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void stop(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	(void)source;
	assert_string_equal(subject, "unix:///nonexistent/c.sock");
	assert_contains(text, "the container runtime does not answer");
	assert_contains(text, "No such file or directory");
	uv_stop(ctx);
}

static void a_runtime_that_is_away_is_a_problem_and_not_an_error(void **state)
{
	const struct bh_cri_config config = { .endpoint = "unix:///nonexistent/c.sock" };
	uv_loop_t loop;
	const struct bh_sink sink = { .ctx = &loop, .on_problem = stop };
	struct bh_err err = { 0 };
	struct bh_cri *cri;

	(void)state;
	uv_loop_init(&loop);
	assert_ok(bh_cri_new(&cri, &loop, &config, &sink, &err), &err);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_false(bh_cri_stats(cri).is_connected);
	bh_cri_free(&cri);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_put_together_from_pieces_of_any_size),
		cmocka_unit_test(a_message_over_the_limit_or_compressed_is_refused),
		cmocka_unit_test(a_status_becomes_a_sandbox),
		cmocka_unit_test(a_status_cut_anywhere_is_refused_or_harmless),
		cmocka_unit_test(metadata_of_containerd_becomes_the_same_sandbox),
		cmocka_unit_test(metadata_is_read_with_care),
		cmocka_unit_test(an_address_that_is_not_there_yet_is_not_known_to_be_none),
		cmocka_unit_test(events_tell_what_happened_to_whom),
		cmocka_unit_test(only_objects_of_sandboxes_are_listed),
		cmocka_unit_test(ports_are_read_like_a_containers),
		cmocka_unit_test(what_is_malformed_is_named_and_does_no_harm),
		cmocka_unit_test(a_quarantine_is_read_from_the_annotation),
		cmocka_unit_test(identities_that_are_none_are_refused),
		ON_TABLE(a_pod_is_told_when_something_of_it_changes),
		ON_TABLE(the_newest_attempt_stands_for_the_pod),
		ON_TABLE(the_order_of_news_does_not_matter),
		ON_TABLE(ports_of_containers_are_added_to_those_of_the_pod),
		ON_TABLE(a_problem_is_told_with_its_pod_and_ends_with_it),
		ON_TABLE(a_list_finds_what_was_missed),
		ON_TABLE(what_happens_while_a_list_is_under_way_is_newer),
		ON_TABLE(an_id_that_becomes_another_pod_is_another_pod),
		ON_TABLE(sandboxes_beyond_the_limit_are_refused),
		ON_TABLE(an_endpoint_that_is_no_socket_is_refused),
		cmocka_unit_test(a_runtime_that_is_away_is_a_problem_and_not_an_error),
	};

	return cmocka_run_group_tests_name("cri", tests, NULL, NULL);
}
