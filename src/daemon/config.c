#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/compile.h"
#include "bh/flowlog.h"
#include "bh/serve.h"
#include "configfile.h"

#ifndef BH_VERSION
#define BH_VERSION "unknown"
#endif

#define STR_(x) #x
#define STR(x)  STR_(x)

typedef int parse_fn(struct bh_config *c, const char *value, struct bh_err *err);

struct option_spec {
	const char *name;
	const char *arg; /* NULL: takes none, command line only */
	const char *def; /* set before everything else; NULL: nothing */
	const char *help;
	parse_fn *parse;
	bool is_list;      /* may be repeated; giving any replaces the default */
	bool is_flag_only; /* not in the file */
};

static void set_string(char **dst, const char *value)
{
	free(*dst);
	*dst = *value ? bh_strdup(value) : NULL;
}

static int parse_policies(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)err;
	set_string(&c->policies, value);
	return 0;
}

/* A file of that name is ./in-cluster. */
static int parse_kubeconfig(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)err;
	c->is_in_cluster = strcmp(value, "in-cluster") == 0;
	set_string(&c->kubeconfig, c->is_in_cluster ? "" : value);
	return 0;
}

static int parse_kube_context(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)err;
	set_string(&c->kube_context, value);
	return 0;
}

static int parse_yes_no(const char *value, bool *ret, struct bh_err *err)
{
	bool is_yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;

	if (!is_yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0)
		return bh_err(err, -EINVAL, "'%s' is neither yes nor no", value);
	*ret = is_yes;
	return 0;
}

static int parse_plain_http(struct bh_config *c, const char *value, struct bh_err *err)
{
	return parse_yes_no(value, &c->allows_plain_http, err);
}

static int parse_state(struct bh_config *c, const char *value, struct bh_err *err)
{
	if (*value && *value != '/')
		return bh_err(err, -EINVAL, "'%s' is not an absolute path", value);
	set_string(&c->state, value);
	return 0;
}

static int parse_runtime(struct bh_config *c, const char *value, struct bh_err *err)
{
	if (*value && strncmp(value, "unix:///", 8) != 0)
		return bh_err(err, -EINVAL, "'%s' is not an endpoint of the form unix:///path",
			      value);
	set_string(&c->runtime, value);
	return 0;
}

static int parse_node(struct bh_config *c, const char *value, struct bh_err *err)
{
	if (strlen(value) > 253)
		return bh_err(err, -EINVAL, "a node name has at most 253 characters");
	set_string(&c->node, value);
	return 0;
}

static int parse_mode(struct bh_config *c, const char *value, struct bh_err *err)
{
	for (enum bh_mode m = 0; m < BH_MODE_COUNT_; m++) {
		if (strcmp(value, bh_mode_str(m)) == 0) {
			c->mode = m;
			return 0;
		}
	}
	return bh_err(err, -EINVAL, "'%s' is neither enforce nor audit", value);
}

static int parse_flow_log(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)err;
	set_string(&c->flow_log, value);
	return 0;
}

static int parse_default_deny(struct bh_config *c, const char *value, struct bh_err *err)
{
	static const struct {
		const char *name;
		bool dir[BH_DIR_COUNT_];
	} t[] = {
		{ "none", { false, false } },
		{ "ingress", { [BH_INGRESS] = true } },
		{ "egress", { [BH_EGRESS] = true } },
		{ "both", { true, true } },
	};

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		if (strcmp(value, t[i].name) == 0) {
			memcpy(c->default_deny, t[i].dir, sizeof(c->default_deny));
			return 0;
		}
	}
	return bh_err(err, -EINVAL, "'%s' is none of none, ingress, egress, both", value);
}

/* An empty name stands for no namespace at all. */
static int add_namespace(char ***list, size_t *n, const char *value, struct bh_err *err)
{
	if (!*value)
		return 0;
	if (*n == BH_CONFIG_MAX_LIST)
		return bh_err(err, -E2BIG, "over %d namespaces", BH_CONFIG_MAX_LIST);
	if (strlen(value) > 63)
		return bh_err(err, -EINVAL, "a namespace name has at most 63 characters");
	*list = bh_reallocarray(*list, *n + 1, sizeof(**list));
	(*list)[(*n)++] = bh_strdup(value);
	return 0;
}

static int parse_exempt(struct bh_config *c, const char *value, struct bh_err *err)
{
	return add_namespace(&c->exempt_namespaces, &c->n_exempt_namespaces, value, err);
}

static int parse_trusted(struct bh_config *c, const char *value, struct bh_err *err)
{
	return add_namespace(&c->trusted_namespaces, &c->n_trusted_namespaces, value, err);
}

static int parse_extra_addr(struct bh_config *c, const char *value, struct bh_err *err)
{
	struct bh_extra_addr e;
	int r;

	if (!*value)
		return 0;
	if (c->n_extra_addrs == BH_CONFIG_MAX_LIST)
		return bh_err(err, -E2BIG, "over %d extra addresses", BH_CONFIG_MAX_LIST);
	r = bh_extra_addr_parse(value, &e, err);
	if (r < 0)
		return r;
	c->extra_addrs =
		bh_reallocarray(c->extra_addrs, c->n_extra_addrs + 1, sizeof(*c->extra_addrs));
	c->extra_addrs[c->n_extra_addrs++] = e;
	return 0;
}

/* An empty list restricts nothing beyond the defaults. */
static int parse_annotations(struct bh_config *c, const char *value, struct bh_err *err)
{
	return *value ? bh_trust_parse(value, c->annotations, err) : 0;
}

/* A link's name as the kernel takes it (dev_valid_name()). */
static bool is_link_name(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < IFNAMSIZ && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 &&
	       !s[strcspn(s, "/: \t\n\v\f\r")];
}

static int add_closed_range(struct bh_config *c, const char *value, struct bh_err *err)
{
	struct bh_cidr cidr;
	int r = bh_cidr_parse(value, &cidr, err);

	if (r < 0)
		return r;
	c->closed_ranges = bh_reallocarray(c->closed_ranges, c->n_closed_ranges + 1,
					   sizeof(*c->closed_ranges));
	c->closed_ranges[c->n_closed_ranges++] = cidr;
	return 0;
}

static int add_closed_link(struct bh_config *c, const char *value, struct bh_err *err)
{
	if (!is_link_name(value))
		return bh_err(err, -EINVAL,
			      "'%s' is none of auto, off, a range like 10.244.1.0/24, an interface",
			      value);
	c->closed_links =
		bh_reallocarray(c->closed_links, c->n_closed_links + 1, sizeof(*c->closed_links));
	c->closed_links[c->n_closed_links++] = bh_strdup(value);
	return 0;
}

/* "auto" and "off" stand alone. */
static int parse_closed(struct bh_config *c, const char *value, struct bh_err *err)
{
	enum bh_closed_mode mode = strcmp(value, "auto") == 0  ? BH_CLOSED_AUTO
				   : strcmp(value, "off") == 0 ? BH_CLOSED_OFF
							       : BH_CLOSED_GIVEN;

	if (c->closed_mode != BH_CLOSED_BY_DENY &&
	    (mode != BH_CLOSED_GIVEN || c->closed_mode != BH_CLOSED_GIVEN))
		return bh_err(err, -EINVAL, "'%s' is one thing too many: auto and off stand alone",
			      value);
	c->closed_mode = mode;
	if (mode != BH_CLOSED_GIVEN)
		return 0;
	if (c->n_closed_ranges + c->n_closed_links >= BH_CONFIG_MAX_LIST)
		return bh_err(err, -E2BIG, "over %d ranges and interfaces", BH_CONFIG_MAX_LIST);
	return strchr(value, '/') ? add_closed_range(c, value, err)
				  : add_closed_link(c, value, err);
}

static int parse_cni_config(struct bh_config *c, const char *value, struct bh_err *err)
{
	if (*value != '/')
		return bh_err(err, -EINVAL, "'%s' is not an absolute path", value);
	set_string(&c->cni_config, value);
	return 0;
}

static int parse_control(struct bh_config *c, const char *value, struct bh_err *err)
{
	/* sun_path of struct sockaddr_un, with its NUL. */
	if (*value != '/' || strlen(value) > 107)
		return bh_err(err, -EINVAL, "'%s' is not an absolute path of at most 107 bytes",
			      value);
	set_string(&c->control, value);
	return 0;
}

static int parse_metrics(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)err;
	set_string(&c->metrics, strcmp(value, "none") == 0 ? "" : value);
	return 0;
}

static int parse_number(const char *value, unsigned long max, unsigned long *ret,
			struct bh_err *err)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(value, &end, 10);
	if (end == value || *end || *value < '0' || *value > '9')
		return bh_err(err, -EINVAL, "'%s' is not a number", value);
	if (errno || v > max)
		return bh_err(err, -ERANGE, "%s is not within 0-%lu", value, max);
	*ret = v;
	return 0;
}

/* "65536", "64K", "64M", "1G" */
static int parse_size(const char *value, uint64_t *ret, struct bh_err *err)
{
	static const char units[] = "KMG";
	size_t len = strlen(value);
	const char *unit = len > 1 ? strchr(units, value[len - 1]) : NULL;
	bh_auto_free char *digits = bh_strndup(value, len - (unit ? 1 : 0));
	unsigned long v = 0;
	int r = parse_number(digits, 1ul << 32, &v, err);

	if (r == -EINVAL)
		return bh_err(err, r, "'%s' is not a number of bytes such as 65536, 64K, 64M or 1G",
			      value);
	if (r < 0)
		return r;
	for (const char *u = units; unit && u <= unit; u++)
		v *= 1024;
	*ret = v;
	return 0;
}

/* A record must fit, and gap records beside it. */
#define MIN_LOG_SIZE (64u << 10)

static int parse_log_size(struct bh_config *c, const char *value, struct bh_err *err)
{
	uint64_t v = 0;
	int r = parse_size(value, &v, err);

	if (r == 0 && v > 0 && v < MIN_LOG_SIZE)
		return bh_err(err, -ERANGE, "%s is less than 64K", value);
	if (r == 0)
		c->flow_log_max_size = v;
	return r;
}

static int parse_log_bytes(struct bh_config *c, const char *value, struct bh_err *err)
{
	uint64_t v = 0;
	int r = parse_size(value, &v, err);

	if (r == 0 && v > 0 && v < BH_RECORD_MAX)
		return bh_err(err, -ERANGE, "%s is less than one record can be, %d", value,
			      BH_RECORD_MAX);
	if (r == 0)
		c->flow_log_rate = v;
	return r;
}

static int parse_log_keep(struct bh_config *c, const char *value, struct bh_err *err)
{
	unsigned long v = 0;
	int r = parse_number(value, 100, &v, err);

	if (r == 0)
		c->flow_log_keep = (uint32_t)v;
	return r;
}

static int parse_nflog_group(struct bh_config *c, const char *value, struct bh_err *err)
{
	unsigned long v;
	int r = parse_number(value, UINT16_MAX, &v, err);

	if (r == 0)
		c->nflog_group = (uint16_t)v;
	return r;
}

static int parse_log_rate(struct bh_config *c, const char *value, struct bh_err *err)
{
	unsigned long v;
	int r = parse_number(value, 1000000, &v, err);

	if (r == 0)
		c->log_rate = (uint32_t)v;
	return r;
}

static int parse_log_level(struct bh_config *c, const char *value, struct bh_err *err)
{
	static const struct {
		const char *name;
		enum bh_log_level level;
	} t[] = {
		{ "error", BH_LOG_ERROR },
		{ "warning", BH_LOG_WARNING },
		{ "info", BH_LOG_INFO },
		{ "debug", BH_LOG_DEBUG },
	};

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		if (strcmp(value, t[i].name) == 0) {
			c->log_level = t[i].level;
			return 0;
		}
	}
	return bh_err(err, -EINVAL, "'%s' is none of error, warning, info, debug", value);
}

static int parse_revoke(struct bh_config *c, const char *value, struct bh_err *err)
{
	return parse_yes_no(value, &c->is_revoking, err);
}

static int parse_seccomp(struct bh_config *c, const char *value, struct bh_err *err)
{
	for (enum bh_seccomp_mode m = 0; m < BH_SECCOMP_MODE_COUNT_; m++) {
		if (strcmp(value, bh_seccomp_mode_str(m)) == 0) {
			c->seccomp = m;
			return 0;
		}
	}
	return bh_err(err, -EINVAL, "'%s' is none of errno, kill, log, off", value);
}

static int parse_port_guard(struct bh_config *c, const char *value, struct bh_err *err)
{
	return parse_yes_no(value, &c->has_port_guard, err);
}

static int parse_pod_dhcp(struct bh_config *c, const char *value, struct bh_err *err)
{
	return parse_yes_no(value, &c->allows_pod_dhcp, err);
}

static int parse_file(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)err;
	set_string(&c->file, value);
	return 0;
}

static int parse_check(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)value;
	(void)err;
	c->action = BH_CONFIG_CHECK;
	return 0;
}

static int parse_boot(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)value;
	(void)err;
	c->action = BH_CONFIG_BOOT;
	return 0;
}

static int parse_help(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)value;
	(void)err;
	c->action = BH_CONFIG_HELP;
	return 0;
}

static int parse_version(struct bh_config *c, const char *value, struct bh_err *err)
{
	(void)value;
	(void)err;
	c->action = BH_CONFIG_VERSION;
	return 0;
}

static const struct option_spec specs[] = {
	{ .name = "policies",
	  .arg = "DIR",
	  .help = "folder with NetworkPolicy, Namespace, Pod and Node manifests; watched",
	  .parse = parse_policies },
	{ .name = "kubeconfig",
	  .arg = "FILE|in-cluster",
	  .help = "the Kubernetes API as a source of pods, namespaces, nodes and policies",
	  .parse = parse_kubeconfig },
	{ .name = "kube-context",
	  .arg = "NAME",
	  .help = "context of the kubeconfig; without it, the current one",
	  .parse = parse_kube_context },
	{ .name = "allow-plain-http",
	  .arg = "yes|no",
	  .def = "no",
	  .help = "let the kubeconfig name an http:// server on a loopback address",
	  .parse = parse_plain_http },
	{ .name = "state",
	  .arg = "DIR",
	  .help = "folder for the last rules and the last state of the sources, for a restart",
	  .parse = parse_state },
	{ .name = "runtime",
	  .arg = "unix:///PATH",
	  .help = "socket of the container runtime (CRI), which knows pods' addresses first",
	  .parse = parse_runtime },
	{ .name = "node",
	  .arg = "NAME",
	  .help = "this node's name: only its pods are enforced; without it, every pod is local; "
		  "needed with --kubeconfig",
	  .parse = parse_node },
	{ .name = "mode",
	  .arg = "enforce|audit",
	  .def = "enforce",
	  .help = "audit: log what would be denied and let it pass",
	  .parse = parse_mode },
	{ .name = "default-deny",
	  .arg = "ingress|egress|both|none",
	  .def = "none",
	  .help = "deny in every namespace what no policy allows",
	  .parse = parse_default_deny },
	{ .name = "closed-until-known",
	  .arg = "auto|off|RANGE|INTERFACE",
	  .help = "close this node's addresses that no known pod has; may be repeated; without "
		  "it, auto with --default-deny, else off",
	  .parse = parse_closed,
	  .is_list = true },
	{ .name = "cni-config",
	  .arg = "DIR",
	  .def = "/etc/cni/net.d",
	  .help = "folder of the CNI configuration, which names the ranges for "
		  "closed-until-known",
	  .parse = parse_cni_config },
	{ .name = "exempt-namespace",
	  .arg = "NAME",
	  .def = BH_DEFAULT_EXEMPT_NAMESPACE,
	  .help = "namespace without default deny; may be repeated, \"\" exempts none",
	  .parse = parse_exempt,
	  .is_list = true },
	{ .name = "annotations",
	  .arg = "[KEY=]all|no-override|trusted-namespaces|none",
	  .help = "where the bulkhead.dev/ annotation KEY (mode, default-deny, ports, "
		  "quarantine) counts, or all of them; may be repeated (default: no-override, for "
		  "ports all, for quarantine trusted-namespaces)",
	  .parse = parse_annotations,
	  .is_list = true },
	{ .name = "trusted-namespace",
	  .arg = "NAME",
	  .def = BH_DEFAULT_TRUSTED_NAMESPACE,
	  .help = "namespace whose annotations count wherever not none; may be repeated, \"\" "
		  "trusts "
		  "none",
	  .parse = parse_trusted,
	  .is_list = true },
	{ .name = "extra-address",
	  .arg = "NAMESPACE/POD=ADDRESS[/LENGTH]",
	  .help = "an address that the pod has besides those that are known (VRRP, SLAAC), or a "
		  "network that it may send from (a router); POD may end in *; may be repeated",
	  .parse = parse_extra_addr,
	  .is_list = true },
	{ .name = "flow-log",
	  .arg = "FILE|-",
	  .help = "append flow records to FILE, or to standard output",
	  .parse = parse_flow_log },
	{ .name = "flow-log-max-size",
	  .arg = "BYTES",
	  .def = "64M",
	  .help = "rotate the flow log before it becomes longer; K, M and G are understood, 0 is "
		  "no limit",
	  .parse = parse_log_size },
	{ .name = "flow-log-keep",
	  .arg = "N",
	  .def = "3",
	  .help = "rotated files to keep, FILE.old.1 and so on; 0: leave records out of a file "
		  "that "
		  "is full",
	  .parse = parse_log_keep },
	{ .name = "flow-log-rate",
	  .arg = "BYTES",
	  .def = "1M",
	  .help = "bytes a second into the flow log, shared among namespaces; 0: no limit",
	  .parse = parse_log_bytes },
	{ .name = "control",
	  .arg = "PATH",
	  .def = BH_CONTROL_PATH,
	  .help = "control socket for bulkhead(1)",
	  .parse = parse_control },
	{ .name = "metrics",
	  .arg = "ADDR:PORT|unix:PATH|none",
	  .def = "none",
	  .help = "serve /metrics, /policies, /healthz and /readyz on loopback or a unix socket",
	  .parse = parse_metrics },
	{ .name = "nflog-group",
	  .arg = "N",
	  .def = STR(BH_DEFAULT_LOG_GROUP),
	  .help = "NFLOG group of denied packets; one agent per group and network namespace",
	  .parse = parse_nflog_group },
	{ .name = "log-rate",
	  .arg = "N",
	  .def = STR(BH_DEFAULT_LOG_RATE),
	  .help = "logged packets a second per pod; 0: no limit",
	  .parse = parse_log_rate },
	{ .name = "log-level",
	  .arg = "error|warning|info|debug",
	  .def = "info",
	  .help = "messages on standard error",
	  .parse = parse_log_level },
	{ .name = "revoke",
	  .arg = "yes|no",
	  .def = "yes",
	  .help = "cut established connections that policy no longer allows",
	  .parse = parse_revoke },
	{ .name = "seccomp",
	  .arg = "errno|kill|log|off",
	  .def = "errno",
	  .help = "system calls that the agent does not need: errno: fail; kill: end the agent; "
		  "log: are logged",
	  .parse = parse_seccomp },
	{ .name = "port-guard",
	  .arg = "yes|no",
	  .def = "yes",
	  .help = "let pods' ports pass only untagged IP and ARP from the pod's own addresses",
	  .parse = parse_port_guard },
	{ .name = "pod-dhcp",
	  .arg = "yes|no",
	  .def = "no",
	  .help = "let isolated pods be DHCP clients; others may always be",
	  .parse = parse_pod_dhcp },
	{ .name = "config",
	  .arg = "FILE",
	  .help = "YAML file with these options as keys; the command line wins",
	  .parse = parse_file,
	  .is_flag_only = true },
	{ .name = "check-config",
	  .help = "check configuration and manifests, print every problem, and exit 0 or 1",
	  .parse = parse_check,
	  .is_flag_only = true },
	{ .name = "boot",
	  .help = "load the rules that were saved in the folder of --state, and exit",
	  .parse = parse_boot,
	  .is_flag_only = true },
	{ .name = "version",
	  .help = "print the version and exit",
	  .parse = parse_version,
	  .is_flag_only = true },
	{ .name = "help",
	  .help = "print this and exit",
	  .parse = parse_help,
	  .is_flag_only = true },
};

#define N_SPECS BH_ARRAY_LEN(specs)

/* What somebody set, and where: "--mode" or "bulkheadd.yaml:3: mode". */
struct setting {
	size_t spec;
	char *value;
	char *where;
};

struct settings {
	struct setting *items;
	size_t n, cap;
};

static void add_setting(struct settings *s, size_t spec, const char *value, char *where)
{
	bh_grow(&s->items, &s->cap, s->n, sizeof(*s->items));
	s->items[s->n++] =
		(struct setting){ .spec = spec, .value = bh_strdup(value), .where = where };
}

static void settings_done(struct settings *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].value);
		free(s->items[i].where);
	}
	free(s->items);
}

static bool has_setting(const struct settings *s, size_t spec)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].spec == spec)
			return true;
	return false;
}

static int read_argv(int argc, char *const *argv, struct settings *s, struct bh_err *err)
{
	struct option options[N_SPECS + 1] = { 0 };
	int c, index;

	for (size_t i = 0; i < N_SPECS; i++)
		options[i] = (struct option){
			.name = specs[i].name,
			.has_arg = specs[i].arg ? required_argument : no_argument,
			.val = 256 + (int)i,
		};
	opterr = 0;
	optind = 0; /* glibc: start over */
	while ((c = getopt_long(argc, argv, ":", options, &index)) != -1) {
		const char *given = argv[optind > 0 ? optind - 1 : 0];
		size_t spec = (size_t)(c - 256);

		if (c == ':')
			return bh_err(err, -EINVAL, "option '%s' needs a value", given);
		if (c < 256)
			return bh_err(err, -EINVAL, "unknown option '%s' (see --help)", given);
		if (!specs[spec].is_list && has_setting(s, spec))
			return bh_err(err, -EINVAL, "option '--%s' is given twice",
				      specs[spec].name);
		add_setting(s, spec, optarg ? optarg : "", bh_asprintf("--%s", specs[spec].name));
	}
	if (optind < argc)
		return bh_err(err, -EINVAL, "unexpected argument '%s' (see --help)", argv[optind]);
	return 0;
}

struct file_reader {
	const char *path;
	struct settings *out;
};

static int on_file_value(void *ctx, const char *key, const char *value, int line, bool is_item,
			 struct bh_err *err)
{
	struct file_reader *f = ctx;

	for (size_t i = 0; i < N_SPECS; i++) {
		if (strcmp(specs[i].name, key) != 0)
			continue;
		if (specs[i].is_flag_only)
			return bh_err(err, -EINVAL, "%s:%d: '%s' is for the command line only",
				      f->path, line, key);
		if (is_item && !specs[i].is_list)
			return bh_err(err, -EINVAL, "%s:%d: %s: takes one value, not a list",
				      f->path, line, key);
		add_setting(f->out, i, value, bh_asprintf("%s:%d: %s", f->path, line, key));
		return 0;
	}
	return bh_err(err, -EINVAL, "%s:%d: unknown key '%s'", f->path, line, key);
}

static int apply_setting(struct bh_config *c, const struct setting *s, struct bh_err *err)
{
	int r = specs[s->spec].parse(c, s->value, err);

	return r < 0 ? bh_err_wrap(err, r, "%s", s->where) : 0;
}

/* The strongest of three places that says anything about an option decides. */
static int apply_all(struct bh_config *c, const struct settings *const levels[2],
		     struct bh_err *err)
{
	for (size_t i = 0; i < N_SPECS; i++) {
		const struct settings *from = NULL;
		int r;

		for (size_t l = 0; l < 2 && !from; l++)
			if (has_setting(levels[l], i))
				from = levels[l];
		if (!from && specs[i].def) {
			r = specs[i].parse(c, specs[i].def, err);
			if (r < 0)
				return r;
		}
		for (size_t k = 0; from && k < from->n; k++) {
			if (from->items[k].spec != i)
				continue;
			r = apply_setting(c, &from->items[k], err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The values of the file are checked even where the command line wins. */
static int check_file(const struct settings *file, struct bh_err *err)
{
	bh_auto(bh_config_done) struct bh_config scratch = { 0 };

	for (size_t i = 0; i < file->n; i++) {
		int r = apply_setting(&scratch, &file->items[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

static const char *config_path(const struct settings *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (specs[s->items[i].spec].parse == parse_file)
			return s->items[i].value;
	return NULL;
}

static void name_node(struct bh_config *c)
{
	char host[HOST_NAME_MAX + 1] = "";

	if (c->node) {
		c->node_name = bh_strdup(c->node);
		return;
	}
	if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
		snprintf(host, sizeof(host), "localhost");
	c->node_name = bh_strdup(host);
}

bool bh_config_has_kube(const struct bh_config *c)
{
	return c->kubeconfig || c->is_in_cluster;
}

/* A node that nobody names would take every pod of the cluster for its own. */
static int check_sources(const struct bh_config *c, struct bh_err *err)
{
	bool has_kube = bh_config_has_kube(c);

	if (c->action != BH_CONFIG_RUN && c->action != BH_CONFIG_CHECK)
		return 0;
	if (!c->policies && !has_kube)
		return bh_err(err, -EINVAL,
			      "option '--policies' or '--kubeconfig' is missing (see --help)");
	if (has_kube && !c->node)
		return bh_err(err, -EINVAL, "option '--kubeconfig' needs '--node'");
	if (c->kube_context && !c->kubeconfig)
		return bh_err(err, -EINVAL, "option '--kube-context' needs a '--kubeconfig' file");
	return 0;
}

int bh_config_parse(int argc, char *const *argv, struct bh_config *ret, struct bh_err *err)
{
	bh_auto(settings_done) struct settings flags = { 0 }, file = { 0 };
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	const char *path;
	int r;

	r = read_argv(argc, argv, &flags, err);
	if (r < 0)
		return r;
	path = config_path(&flags);
	if (path) {
		struct file_reader reader = { .path = path, .out = &file };

		r = bh_configfile_read(path, on_file_value, &reader, err);
		if (r < 0)
			return r;
		r = check_file(&file, err);
		if (r < 0)
			return r;
	}
	r = apply_all(&c, (const struct settings *const[]){ &flags, &file }, err);
	if (r < 0)
		return r;
	r = check_sources(&c, err);
	if (r < 0)
		return r;
	name_node(&c);
	*ret = c;
	c = (struct bh_config){ 0 };
	return 0;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void free_extra_addrs(struct bh_config *c)
{
	for (size_t i = 0; i < c->n_extra_addrs; i++) {
		free(c->extra_addrs[i].namespace);
		free(c->extra_addrs[i].pod);
	}
	free(c->extra_addrs);
}

void bh_config_done(struct bh_config *c)
{
	free_extra_addrs(c);
	free(c->policies);
	free(c->kubeconfig);
	free(c->kube_context);
	free(c->state);
	free(c->runtime);
	free(c->node);
	free(c->node_name);
	free(c->flow_log);
	free(c->closed_ranges);
	free_names(c->closed_links, c->n_closed_links);
	free(c->cni_config);
	free_names(c->exempt_namespaces, c->n_exempt_namespaces);
	free_names(c->trusted_namespaces, c->n_trusted_namespaces);
	free(c->control);
	free(c->metrics);
	free(c->file);
	*c = (struct bh_config){ 0 };
}

void bh_config_help(struct bh_buf *out)
{
	bh_buf_puts(
		out,
		"usage: bulkheadd [--policies DIR] [--kubeconfig FILE|in-cluster] [OPTION]...\n\n"
		"Compiles NetworkPolicies to nftables, keeps the kernel as they say, and logs "
		"what they deny.\n\n");
	for (size_t i = 0; i < N_SPECS; i++) {
		bh_buf_printf(out, "  --%s%s%s\n        %s", specs[i].name, specs[i].arg ? " " : "",
			      specs[i].arg ? specs[i].arg : "", specs[i].help);
		if (specs[i].def)
			bh_buf_printf(out, " (default: %s)", specs[i].def);
		bh_buf_putc(out, '\n');
	}
	bh_buf_puts(out,
		    "\nExit status: 0 for success, 1 for a failure, 2 for wrong usage or "
		    "configuration.\n"
		    "SIGHUP reads manifests again and reopens the flow log; SIGTERM leaves the "
		    "rules in place.\n");
}
