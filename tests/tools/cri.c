/*
 * A small client of the container runtime, for tests and the demo: what a
 * kubelet does to run a pod, one call at a time.
 *
 *	cri run NS/NAME [--uid U] [--attempt N] [--host-network] [--handler H]
 *		[--label K=V]... [--annotation K=V]...	prints the sandbox's id
 *	cri start ID NAME IMAGE [--annotation K=V]... -- COMMAND...	prints the container's id
 *	cri exec CONTAINER COMMAND...	its output and exit status
 *	cri ip ID	the addresses, one a line
 *	cri netns ID	the path of its network namespace
 *	cri list	id, namespace/name and state of every sandbox
 *	cri rm ID...	stops and removes sandboxes
 *	cri watch [--for EVENT] [--interval MS]	what the agent's source tells, until
 *		a line contains EVENT
 *
 * CRI_SOCKET is the runtime's socket, CRI_CGROUP the cgroup its pods go to, CRI_LOGS
 * the folder of their logs.
 */
#include <getopt.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "../../src/cri/grpc.h"
#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/cri.h"
#include "tests/tools/cri.pb-c.h"

#define TIMEOUT_MS 30000
#define MAX_PAIRS  64

static uv_loop_t loop;
/* Everything of the one command that is run. */
static struct bh_arena *memory;

static void *arena_alloc(void *ctx, size_t size)
{
	return bh_arena_alloc(ctx, size);
}

static void arena_free(void *ctx, void *p)
{
	(void)ctx;
	(void)p;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("cri: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

/* --- one call -------------------------------------------------------------------- */

struct bytes {
	const uint8_t *data;
	size_t len;
};

struct outcome {
	struct bh_buf answer;
	struct bytes kept;
	char text[256];
	int status;
	bool is_done;
};

static void on_message(void *ctx, const uint8_t *data, size_t len)
{
	struct outcome *o = ctx;

	bh_buf_reset(&o->answer);
	bh_buf_add(&o->answer, data, len);
}

static void on_done(void *ctx, int status, const char *text)
{
	struct outcome *o = ctx;

	o->status = status;
	snprintf(o->text, sizeof(o->text), "%s", text);
	o->is_done = true;
}

static const char *socket_path(void)
{
	const char *s = getenv("CRI_SOCKET");

	return s ? s : "/run/containerd/containerd.sock";
}

/* Dies unless the runtime answers with success. */
static struct bytes call(const char *method, const ProtobufCMessage *request)
{
	size_t len = protobuf_c_message_get_packed_size(request);
	bh_auto_free uint8_t *body = bh_malloc(len);
	struct outcome o = { 0 };
	struct bh_err err = { 0 };
	struct bh_grpc *g;
	char path[96];

	snprintf(path, sizeof(path), "/runtime.v1.RuntimeService/%s", method);
	protobuf_c_message_pack(request, body);
	if (bh_grpc_new(&g, &loop, socket_path(), &err) < 0)
		die("%s", err.text);
	bh_grpc_start(g, &(struct bh_grpc_request){
				 .path = path,
				 .body = body,
				 .len = len,
				 .timeout_ms = TIMEOUT_MS,
				 .on_message = on_message,
				 .on_done = on_done,
				 .ctx = &o,
			 });
	while (!o.is_done)
		uv_run(&loop, UV_RUN_ONCE);
	bh_grpc_free(&g);
	uv_run(&loop, UV_RUN_DEFAULT);
	if (o.status != BH_GRPC_OK)
		die("%s: %s", method, o.text);
	o.kept = (struct bytes){ bh_arena_memdup(memory, o.answer.data, o.answer.len),
				 o.answer.len };
	bh_buf_done(&o.answer);
	return o.kept;
}

#define UNPACK(type, answer)                                                                       \
	({                                                                                         \
		ProtobufCAllocator a_ = { arena_alloc, arena_free, memory };                       \
		void *m_ = type##__unpack(&a_, (answer).len, (answer).data);                       \
		if (!m_)                                                                           \
			die("an answer is malformed");                                             \
		m_;                                                                                \
	})

/* --- options --------------------------------------------------------------------- */

struct pairs {
	Test__Cri__Pair items[MAX_PAIRS], *ptrs[MAX_PAIRS];
	size_t n;
};

static void add_pair(struct pairs *p, char *arg)
{
	char *eq = strchr(arg, '=');

	if (!eq || p->n == MAX_PAIRS)
		die("'%s' is not KEY=VALUE, or one too many", arg);
	*eq = '\0';
	test__cri__pair__init(&p->items[p->n]);
	p->items[p->n].key = arg;
	p->items[p->n].value = eq + 1;
	p->ptrs[p->n] = &p->items[p->n];
	p->n++;
}

struct options {
	struct pairs labels, annotations;
	char *uid, *handler, *wait_for;
	uint32_t attempt, interval_ms;
	bool host_network;
};

static void parse_options(int argc, char **argv, struct options *o)
{
	static const struct option t[] = {
		{ "label", required_argument, NULL, 'l' },
		{ "annotation", required_argument, NULL, 'a' },
		{ "uid", required_argument, NULL, 'u' },
		{ "handler", required_argument, NULL, 'r' },
		{ "attempt", required_argument, NULL, 'n' },
		{ "interval", required_argument, NULL, 'i' },
		{ "for", required_argument, NULL, 'f' },
		{ "host-network", no_argument, NULL, 'H' },
		{ 0 },
	};
	/* Options of a command in the container are not ours. */
	const char *shorts = strcmp(argv[0], "exec") == 0 ? "+" : "";
	int c;

	while ((c = getopt_long(argc, argv, shorts, t, NULL)) != -1) {
		switch (c) {
		case 'l': add_pair(&o->labels, optarg); break;
		case 'a': add_pair(&o->annotations, optarg); break;
		case 'u': o->uid = optarg; break;
		case 'r': o->handler = optarg; break;
		case 'f': o->wait_for = optarg; break;
		case 'n': o->attempt = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'i': o->interval_ms = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'H': o->host_network = true; break;
		default: exit(2);
		}
	}
}

/* protobuf-c's strings are not const. */
static char nothing[] = "";

static char *env(const char *name)
{
	char *s = getenv(name);

	return s ? s : nothing;
}

/* --- sandboxes ------------------------------------------------------------------- */

struct sandbox_config {
	Test__Cri__PodSandboxConfig config;
	Test__Cri__PodSandboxMetadata metadata;
	Test__Cri__LinuxPodSandboxConfig linux;
	Test__Cri__LinuxSandboxSecurityContext security;
	Test__Cri__NamespaceOption namespaces;
	char *uid, *cgroup, *logs;
};

static void make_config(struct sandbox_config *c, char *ns, char *name, const char *uid)
{
	test__cri__pod_sandbox_config__init(&c->config);
	test__cri__pod_sandbox_metadata__init(&c->metadata);
	test__cri__linux_pod_sandbox_config__init(&c->linux);
	test__cri__linux_sandbox_security_context__init(&c->security);
	test__cri__namespace_option__init(&c->namespaces);
	c->uid = uid ? bh_arena_strdup(memory, uid) : bh_arena_printf(memory, "uid-%s", name);
	c->cgroup = env("CRI_CGROUP")[0] ? bh_arena_printf(memory, "%s/%s", env("CRI_CGROUP"), name)
					 : bh_arena_strdup(memory, "");
	c->logs = env("CRI_LOGS")[0]
			  ? bh_arena_printf(memory, "%s/%s_%s", env("CRI_LOGS"), ns, name)
			  : bh_arena_strdup(memory, "");
	c->config.metadata = &c->metadata;
	c->config.linux = &c->linux;
	c->linux.security_context = &c->security;
	c->security.namespace_options = &c->namespaces;
	c->metadata.namespace_ = ns;
	c->metadata.name = name;
	c->metadata.uid = c->uid;
	c->linux.cgroup_parent = c->cgroup;
	c->config.hostname = name;
	c->config.log_directory = c->logs;
	c->namespaces.pid = 1;
}

static int cmd_run(int argc, char **argv, struct options *o)
{
	Test__Cri__RunPodSandboxRequest m;
	Test__Cri__RunPodSandboxResponse *r;
	struct sandbox_config c;
	struct bytes answer;
	char *slash;

	if (argc != 1 || !(slash = strchr(argv[0], '/')))
		die("run NS/NAME");
	*slash = '\0';
	make_config(&c, argv[0], slash + 1, o->uid);
	c.metadata.attempt = o->attempt;
	c.config.labels = o->labels.ptrs;
	c.config.n_labels = o->labels.n;
	c.config.annotations = o->annotations.ptrs;
	c.config.n_annotations = o->annotations.n;
	if (o->host_network) {
		c.namespaces.network = 2;
		c.config.hostname = nothing;
	}
	test__cri__run_pod_sandbox_request__init(&m);
	m.config = &c.config;
	m.runtime_handler = o->handler ? o->handler : nothing;
	answer = call("RunPodSandbox", &m.base);
	r = UNPACK(test__cri__run_pod_sandbox_response, answer);
	puts(r->pod_sandbox_id);
	return 0;
}

static Test__Cri__StatusResponse *status(char *id, bool verbose)
{
	Test__Cri__StatusRequest m;
	Test__Cri__StatusResponse *r;
	struct bytes answer;

	test__cri__status_request__init(&m);
	m.pod_sandbox_id = id;
	m.verbose = verbose;
	answer = call("PodSandboxStatus", &m.base);
	r = UNPACK(test__cri__status_response, answer);
	if (!r->status)
		die("the status is empty");
	return r;
}

static int cmd_ip(int argc, char **argv, struct options *o)
{
	const Test__Cri__NetworkStatus *net;
	size_t i;

	(void)o;
	if (argc != 1)
		die("ip ID");
	net = status(argv[0], false)->status->network;
	if (net && net->ip[0])
		puts(net->ip);
	for (i = 0; net && i < net->n_additional_ips; i++)
		puts(net->additional_ips[i]->ip);
	return 0;
}

/* containerd describes the sandbox's namespaces as the OCI runtime does. */
static int cmd_netns(int argc, char **argv, struct options *o)
{
	const Test__Cri__StatusResponse *r;
	json_t *info = NULL, *list, *ns;
	size_t i;

	(void)o;
	if (argc != 1)
		die("netns ID");
	r = status(argv[0], true);
	for (i = 0; i < r->n_info; i++) {
		if (strcmp(r->info[i]->key, "info") == 0)
			info = json_loads(r->info[i]->value, 0, NULL);
	}
	list = json_object_get(json_object_get(json_object_get(info, "runtimeSpec"), "linux"),
			       "namespaces");
	json_array_foreach(list, i, ns)
	{
		const char *type = json_string_value(json_object_get(ns, "type"));

		if (type && strcmp(type, "network") == 0) {
			puts(json_string_value(json_object_get(ns, "path")));
			json_decref(info);
			return 0;
		}
	}
	json_decref(info);
	die("sandbox %s has no network namespace of its own", argv[0]);
}

static int cmd_list(int argc, char **argv, struct options *o)
{
	Test__Cri__ListRequest m;
	const Test__Cri__ListResponse *r;
	struct bytes answer;
	size_t i;

	(void)argc;
	(void)argv;
	(void)o;
	test__cri__list_request__init(&m);
	answer = call("ListPodSandbox", &m.base);
	r = UNPACK(test__cri__list_response, answer);
	for (i = 0; i < r->n_items; i++)
		printf("%s %s/%s %s\n", r->items[i]->id, r->items[i]->metadata->namespace_,
		       r->items[i]->metadata->name,
		       r->items[i]->state == 0 ? "ready" : "not-ready");
	return 0;
}

static int cmd_rm(int argc, char **argv, struct options *o)
{
	Test__Cri__SandboxRequest m;
	int i;

	(void)o;
	for (i = 0; i < argc; i++) {
		test__cri__sandbox_request__init(&m);
		m.pod_sandbox_id = argv[i];
		call("StopPodSandbox", &m.base);
		call("RemovePodSandbox", &m.base);
	}
	return 0;
}

static int cmd_stop(int argc, char **argv, struct options *o)
{
	Test__Cri__SandboxRequest m;
	int i;

	(void)o;
	for (i = 0; i < argc; i++) {
		test__cri__sandbox_request__init(&m);
		m.pod_sandbox_id = argv[i];
		call("StopPodSandbox", &m.base);
	}
	return 0;
}

/* --- containers ------------------------------------------------------------------ */

static char *create(int argc, char **argv, struct options *o)
{
	Test__Cri__CreateContainerRequest m;
	const Test__Cri__CreateContainerResponse *r;
	Test__Cri__ContainerConfig c;
	Test__Cri__ContainerMetadata metadata;
	Test__Cri__ImageSpec image;
	Test__Cri__LinuxContainerConfig linux_config;
	Test__Cri__LinuxContainerSecurityContext security;
	const Test__Cri__PodSandboxMetadata *pod;
	struct sandbox_config sandbox;
	struct bytes answer;

	pod = status(argv[0], false)->status->metadata;
	make_config(&sandbox, pod->namespace_, pod->name, pod->uid);
	test__cri__container_config__init(&c);
	test__cri__container_metadata__init(&metadata);
	test__cri__image_spec__init(&image);
	test__cri__linux_container_config__init(&linux_config);
	test__cri__linux_container_security_context__init(&security);
	linux_config.security_context = &security;
	security.namespace_options = &sandbox.namespaces;
	metadata.name = argv[1];
	image.image = argv[2];
	c.metadata = &metadata;
	c.image = &image;
	c.linux = &linux_config;
	c.command = argv + 3;
	c.n_command = (size_t)argc - 3;
	c.annotations = o->annotations.ptrs;
	c.n_annotations = o->annotations.n;
	c.log_path = bh_arena_printf(memory, "%s.log", argv[1]);
	test__cri__create_container_request__init(&m);
	m.pod_sandbox_id = argv[0];
	m.config = &c;
	m.sandbox_config = &sandbox.config;
	answer = call("CreateContainer", &m.base);
	r = UNPACK(test__cri__create_container_response, answer);
	return r->container_id;
}

static int cmd_start(int argc, char **argv, struct options *o)
{
	Test__Cri__StartContainerRequest m;

	if (argc < 4)
		die("start ID NAME IMAGE -- COMMAND...");
	test__cri__start_container_request__init(&m);
	m.container_id = create(argc, argv, o);
	call("StartContainer", &m.base);
	puts(m.container_id);
	return 0;
}

static int cmd_exec(int argc, char **argv, struct options *o)
{
	Test__Cri__ExecSyncRequest m;
	const Test__Cri__ExecSyncResponse *r;
	struct bytes answer;

	(void)o;
	if (argc < 2)
		die("exec CONTAINER COMMAND...");
	test__cri__exec_sync_request__init(&m);
	m.container_id = argv[0];
	m.cmd = argv + 1;
	m.n_cmd = (size_t)argc - 1;
	m.timeout = 20;
	answer = call("ExecSync", &m.base);
	r = UNPACK(test__cri__exec_sync_response, answer);
	if (r->stdout.len > 0)
		fwrite(r->stdout.data, 1, r->stdout.len, stdout);
	if (r->stderr.len > 0)
		fwrite(r->stderr.data, 1, r->stderr.len, stderr);
	return r->exit_code;
}

/* --- the agent's source ---------------------------------------------------------- */

struct watch {
	struct bh_cri *cri;
	const char *wait_for;
};

/* Time first, so that lines can be compared with those of other programs. */
static void print_line(struct watch *w, struct bh_buf *line)
{
	char now[BH_TIME_STRLEN];

	printf("%s %s\n", bh_time_format(bh_real_ns(), now), bh_buf_str(line));
	fflush(stdout);
	if (w->wait_for && strstr(bh_buf_str(line), w->wait_for))
		uv_stop(&loop);
	bh_buf_done(line);
}

static const char *protocol_str(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "TCP" : protocol == IPPROTO_UDP ? "UDP" : "SCTP";
}

static void on_put(void *ctx, const struct bh_fact *fact)
{
	const struct bh_pod *p = &fact->pod;
	struct bh_buf line = { 0 };
	char addr[BH_ADDR_STRLEN];
	size_t i;

	bh_buf_printf(&line, "put %s/%s uid=%s node=%s", p->namespace, p->name, p->uid, p->node);
	for (i = 0; i < p->labels.n; i++)
		bh_buf_printf(&line, " label:%s=%s", p->labels.items[i].key,
			      p->labels.items[i].value);
	for (i = 0; i < p->n_ports; i++)
		bh_buf_printf(&line, " port:%s=%u/%s", p->ports[i].name, p->ports[i].number,
			      protocol_str(p->ports[i].protocol));
	for (i = 0; i < p->n_addrs; i++)
		bh_buf_printf(&line, " ip:%s", bh_addr_format(&p->addrs[i], addr));
	if (p->is_host_network)
		bh_buf_puts(&line, " host-network");
	if (p->is_finished)
		bh_buf_puts(&line, " finished");
	if (p->has_no_labels_yet)
		bh_buf_puts(&line, " no-labels");
	print_line(ctx, &line);
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	struct bh_buf line = { 0 };

	bh_buf_printf(&line, "delete %s/%s uid=%s", key->namespace, key->name, key->uid);
	print_line(ctx, &line);
}

static void on_synced(void *ctx, enum bh_source source)
{
	struct bh_buf line = { 0 };

	(void)source;
	bh_buf_puts(&line, "synced");
	print_line(ctx, &line);
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	struct bh_buf line = { 0 };

	(void)source;
	bh_buf_printf(&line, "problem %s: %s", subject, text ? text : "over");
	print_line(ctx, &line);
}

static int cmd_watch(int argc, char **argv, struct options *o)
{
	struct watch w = { .wait_for = o->wait_for };
	const struct bh_sink sink = {
		.ctx = &w,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_synced = on_synced,
		.on_problem = on_problem,
	};
	const struct bh_cri_config config = {
		.endpoint = socket_path(),
		.node = "here",
		.list_interval_ms = o->interval_ms,
	};
	struct bh_err err = { 0 };

	(void)argc;
	(void)argv;
	if (bh_cri_new(&w.cri, &loop, &config, &sink, &err) < 0)
		die("%s", err.text);
	uv_run(&loop, UV_RUN_DEFAULT);
	bh_cri_free(&w.cri);
	uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}

/* --- main ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int (*run)(int argc, char **argv, struct options *o);
} commands[] = {
	{ "run", cmd_run },   { "start", cmd_start }, { "exec", cmd_exec },
	{ "ip", cmd_ip },     { "netns", cmd_netns }, { "list", cmd_list },
	{ "stop", cmd_stop }, { "rm", cmd_rm },       { "watch", cmd_watch },
};

int main(int argc, char **argv)
{
	struct options o = { 0 };
	size_t i;

	if (argc < 2)
		die("which command?");
	uv_loop_init(&loop);
	memory = bh_arena_new();
	parse_options(argc - 1, argv + 1, &o);
	for (i = 0; i < BH_ARRAY_LEN(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1 - optind, argv + 1 + optind, &o);
	}
	die("'%s' is not a command", argv[1]);
}
