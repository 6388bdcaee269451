/*
 * golden [--node NAME] [--mode audit] [--default-deny ingress|egress|both] [--as api] WORLD.yaml
 *	prints the table that the world's policies make
 * golden ... --eval FILE WORLD.yaml
 *	prints FILE's lines `SRC DST PORT/PROTOCOL` with the verdict and the reasons
 *
 * SRC and DST are NAMESPACE/POD or an address.  Every tuple is judged by the
 * evaluator and by a walk through the plan; where they differ the line says so.
 * `--as api` reads objects as the API's, whose fields may be newer than this version.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../unit/planwalk.h"
#include "bh/compile.h"
#include "bh/eval.h"
#include "bh/file.h"
#include "bh/manifest.h"
#include "bh/render.h"

static const struct bh_compile_config compile_config = {
	.log_group = 5,
	.log_snaplen = 128,
	.log_rate = 10,
	.log_burst = 20,
};

static _Noreturn void die(const char *what, const char *text)
{
	fprintf(stderr, "golden: %s: %s\n", what, text);
	exit(2);
}

static void on_put(void *ctx, const struct bh_fact *fact)
{
	struct bh_err err = { 0 };

	if (bh_world_apply(ctx, fact, &err) < 0)
		die("world", bh_err_text(&err));
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	bh_world_remove(ctx, key);
}

static void on_synced(void *ctx, enum bh_source source)
{
	(void)ctx;
	(void)source;
}

/* Invalid policies are part of some cases. */
static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	(void)ctx;
	(void)source;
	if (text)
		fprintf(stderr, "golden: %s: %s\n", subject, text);
}

static struct bh_addr addr_of(const struct bh_world *w, const char *who,
			      const struct bh_addr *other)
{
	const char *slash = strchr(who, '/');
	bh_auto_free char *ns = NULL;
	const struct bh_pod *pod;
	struct bh_addr a;
	size_t i;

	if (!slash) {
		if (bh_addr_parse(who, &a, NULL) < 0)
			die(who, "not an address and not NAMESPACE/POD");
		return a;
	}
	ns = bh_strndup(who, (size_t)(slash - who));
	pod = bh_world_pod_by_name(w, ns, slash + 1);
	if (!pod)
		die(who, "no such pod");
	for (i = 0; i < pod->n_addrs; i++) {
		if (!other || pod->addrs[i].family == other->family)
			return pod->addrs[i];
	}
	die(who, "has no address of that family");
}

static uint8_t protocol_of(const char *s)
{
	static const struct {
		const char *name;
		uint8_t number;
	} names[] = {
		{ "tcp", IPPROTO_TCP },
		{ "udp", IPPROTO_UDP },
		{ "sctp", IPPROTO_SCTP },
		{ "icmp", IPPROTO_ICMP },
	};
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(names); i++) {
		if (strcmp(names[i].name, s) == 0)
			return names[i].number;
	}
	die(s, "not a protocol");
}

static void print_reason(const struct bh_dir_verdict *v, enum bh_dir dir)
{
	printf("%s%s %s", dir == BH_EGRESS ? " (" : "; ", bh_dir_str(dir),
	       bh_reason_str(v->reason));
	if (v->reason == BH_REASON_RULE)
		printf(" %s/%s[%zu]", v->rule.policy->namespace, v->rule.policy->name,
		       v->rule.rule_index);
	if (v->audit_verdict != v->verdict)
		printf(", audit %s", bh_verdict_str(v->audit_verdict));
}

static bool is_node(const struct bh_world *w, const struct bh_addr *a)
{
	const struct bh_node *node = bh_world_node_by_addr(w, a);

	return node && strcmp(node->name, bh_world_own_node(w)) == 0;
}

/* Only local ends are judged in the plan. */
static bool agrees(struct bh_world *w, struct bh_compiler *c, const struct bh_flow *flow,
		   const struct bh_result *r)
{
	struct packet p = { .src = flow->src,
			    .dst = flow->dst,
			    .protocol = flow->protocol,
			    .port = flow->dst_port,
			    .is_own = is_node(w, &flow->src),
			    .is_to_own = is_node(w, &flow->dst) };
	const struct bh_end *ends[] = { [BH_INGRESS] = &r->dst, [BH_EGRESS] = &r->src };
	bool is_denied = false;
	enum bh_dir dir;

	for (dir = 0; dir < BH_DIR_COUNT_; dir++)
		is_denied |= ends[dir]->pod && ends[dir]->pod->is_local &&
			     r->dir[dir].verdict == BH_VERDICT_DENIED;
	return walk_plan(bh_compiler_plan(c), &p).is_dropped == is_denied;
}

static void eval_line(struct bh_world *w, struct bh_compiler *c, const char *line)
{
	char src[256], dst[256], protocol[16];
	struct bh_flow flow = { 0 };
	struct bh_result r;
	unsigned int port;

	if (sscanf(line, "%255s %255s %u/%15s", src, dst, &port, protocol) != 4 || port > 65535)
		die(line, "not SRC DST PORT/PROTOCOL");
	if (strchr(src, '/') && !strchr(dst, '/')) {
		flow.dst = addr_of(w, dst, NULL);
		flow.src = addr_of(w, src, &flow.dst);
	} else {
		flow.src = addr_of(w, src, NULL);
		flow.dst = addr_of(w, dst, &flow.src);
	}
	flow.protocol = protocol_of(protocol);
	flow.dst_port = (uint16_t)port;
	bh_eval(w, &flow, &r);
	printf("%s %s %u/%s -> %s", src, dst, port, protocol, bh_verdict_str(r.verdict));
	print_reason(&r.dir[BH_EGRESS], BH_EGRESS);
	print_reason(&r.dir[BH_INGRESS], BH_INGRESS);
	puts(agrees(w, c, &flow, &r) ? ")" : ") BUT NOT IN THE PLAN");
}

static void eval_file(struct bh_world *w, struct bh_compiler *c, const char *path)
{
	FILE *f = fopen(path, "r");
	char line[1024];

	if (!f)
		die(path, "cannot be opened");
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || line[0] == '\n')
			fputs(line, stdout);
		else
			eval_line(w, c, line);
	}
	fclose(f);
}

static void render(struct bh_compiler *c)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };

	bh_render(bh_compiler_plan(c), &text);
	fputs(bh_buf_str(&text), stdout);
}

/* --- objects as the API's ------------------------------------------------------- */

struct reading {
	struct bh_world *world;
	struct bh_origin origin;
};

static int on_object(void *ctx, json_t *object)
{
	bh_auto(bh_decoded_free) struct bh_decoded *d = NULL;
	const struct reading *r = ctx;
	struct bh_err err = { 0 };

	if (bh_object_decode(object, &r->origin, &d, &err) < 0)
		die("object", bh_err_text(&err));
	if (bh_decoded_fact(d))
		on_put(r->world, bh_decoded_fact(d));
	return 0;
}

static void load_as_api(const char *path, struct bh_world *w)
{
	bh_auto(bh_docs_free) struct bh_docs *docs = NULL;
	struct reading r = {
		.world = w,
		.origin = { .source = BH_SOURCE_KUBE, .file = path, .line_of = bh_docs_line },
	};
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	size_t len;

	if (bh_read_file(path, BH_MANIFEST_MAX_FILE, &text, &len, &err) < 0 ||
	    bh_docs_parse(path, text, len, &docs, &err) < 0)
		die(path, bh_err_text(&err));
	r.origin.ctx = docs;
	for (size_t i = 0; i < bh_docs_count(docs); i++)
		bh_object_unpack(bh_docs_root(docs, i), on_object, &r);
}

static const char *read_options(int argc, char **argv, struct bh_world_config *config,
				const char **eval, bool *is_api)
{
	int i;

	for (i = 1; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];

		if (strcmp(argv[i], "--node") == 0)
			config->node = value;
		else if (strcmp(argv[i], "--mode") == 0)
			config->mode = strcmp(value, "audit") == 0 ? BH_AUDIT : BH_ENFORCE;
		else if (strcmp(argv[i], "--as") == 0)
			*is_api = strcmp(value, "api") == 0;
		else if (strcmp(argv[i], "--eval") == 0)
			*eval = value;
		else if (strcmp(argv[i], "--default-deny") == 0) {
			config->default_deny[BH_INGRESS] = strcmp(value, "egress") != 0;
			config->default_deny[BH_EGRESS] = strcmp(value, "ingress") != 0;
		} else
			die(argv[i], "not an option");
	}
	if (i >= argc)
		die("usage", "golden [OPTIONS] WORLD.yaml");
	return argv[i];
}

int main(int argc, char **argv)
{
	struct bh_world_config config = { 0 };
	bool is_api = false;
	const char *eval = NULL, *path = read_options(argc, argv, &config, &eval, &is_api);
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&config);
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &compile_config);
	struct bh_sink sink = { .ctx = w,
				.on_put = on_put,
				.on_delete = on_delete,
				.on_synced = on_synced,
				.on_problem = on_problem };
	struct bh_err err = { 0 };

	if (is_api)
		load_as_api(path, w);
	else if (bh_manifest_load(path, &sink, &err) < 0)
		die(path, bh_err_text(&err));
	bh_compiler_update(c);
	if (eval)
		eval_file(w, c, eval);
	else
		render(c);
	return 0;
}
