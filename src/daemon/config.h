/*
 * The agent's configuration: one table of options that drives the command
 * line, the configuration file, --help and the checks.
 *
 * The file is a YAML mapping whose keys are the long option names.  Options on
 * the command line win over the file; both win over the defaults.
 */
#ifndef BH_CONFIG_H
#define BH_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/buf.h"
#include "bh/err.h"
#include "bh/log.h"
#include "bh/model.h"
#include "bh/ports.h"
#include "bh/trust.h"
#include "closed.h"
#include "seccomp.h"

/* Exit codes; stable, and part of the manual. */
enum bh_exit { BH_EXIT_OK = 0, BH_EXIT_FAILED = 1, BH_EXIT_USAGE = 2 };

enum bh_config_action {
	BH_CONFIG_RUN,
	BH_CONFIG_CHECK,
	BH_CONFIG_BOOT,
	BH_CONFIG_HELP,
	BH_CONFIG_VERSION
};

#define BH_CONFIG_MAX_FILE (1u << 20)
#define BH_CONFIG_MAX_LIST 1024

/* Zero is the empty value for bh_config_done(), not the default configuration. */
struct bh_config {
	enum bh_config_action action;
	char *policies;     /* NULL: none */
	char *kubeconfig;   /* NULL: no Kubernetes API, unless is_in_cluster */
	char *kube_context; /* NULL: the kubeconfig's current one */
	bool is_in_cluster;
	bool allows_plain_http;
	char *state;     /* NULL: none */
	char *runtime;   /* NULL: none */
	char *node;      /* NULL: every pod is local */
	char *node_name; /* node, or the host name */
	enum bh_mode mode;
	char *flow_log; /* NULL: none; "-": standard output */
	/* Bytes, and bytes a second; 0: no limit. */
	uint64_t flow_log_max_size, flow_log_rate;
	uint32_t flow_log_keep; /* rotated files; 0: none */
	bool default_deny[BH_DIR_COUNT_];
	enum bh_closed_mode closed_mode;
	struct bh_cidr *closed_ranges; /* BH_CLOSED_GIVEN: these, and the ports of links */
	size_t n_closed_ranges;
	char **closed_links;
	size_t n_closed_links;
	char *cni_config;
	char **exempt_namespaces;
	size_t n_exempt_namespaces;
	enum bh_trust annotations[BH_ANNOTATION_COUNT_];
	char **trusted_namespaces;
	size_t n_trusted_namespaces;
	struct bh_extra_addr *extra_addrs;
	size_t n_extra_addrs;
	char *control;
	char *metrics; /* NULL: none */
	uint16_t nflog_group;
	uint32_t log_rate; /* logged packets a second per pod; 0: no limit */
	enum bh_log_level log_level;
	bool is_revoking;
	enum bh_seccomp_mode seccomp;
	bool has_port_guard;
	bool allows_pod_dhcp;
	char *file; /* NULL: none */
};

/*
 * From the command line and the file it names.  Errors name the option, or file
 * and line.  *ret is untouched on failure.
 */
int bh_config_parse(int argc, char *const *argv, struct bh_config *ret, struct bh_err *err);
void bh_config_done(struct bh_config *c);
/* Whether the Kubernetes API is a source. */
bool bh_config_has_kube(const struct bh_config *c);
/* What --help prints. */
void bh_config_help(struct bh_buf *out);

#endif
