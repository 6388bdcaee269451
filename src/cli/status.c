#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "bh/serve.h"
#include "commands.h"

#define POLL_MS           200
#define DEFAULT_TIMEOUT_S 60

static json_t *status_request(void)
{
	return json_pack("{s:s}", "method", "status");
}

/* --- the screen ---------------------------------------------------------------- */

#define LABEL_WIDTH 12

static void add_label(const struct bh_cli *cli, struct bh_buf *out, const char *label)
{
	if (*label)
		bh_cli_paint(cli, out, BH_CLI_BOLD, label);
	bh_buf_printf(out, "%*s", (int)(LABEL_WIDTH - strlen(label)), "");
}

/* Whole numbers of the smallest unit that keeps them below ten thousand. */
static void add_microseconds(struct bh_buf *out, json_int_t us)
{
	if (us < 10000)
		bh_buf_printf(out, "%lld us", (long long)us);
	else if (us < 10000000)
		bh_buf_printf(out, "%lld ms", (long long)us / 1000);
	else
		bh_buf_printf(out, "%lld s", (long long)us / 1000000);
}

/* A time of the agent, to the second. */
static void add_time(struct bh_buf *out, const char *time)
{
	size_t len = strcspn(time, ".");
	bh_auto_free char *seconds = bh_strndup(time, len);

	bh_buf_escape(out, seconds);
	bh_buf_puts(out, time[len] ? "Z" : "");
}

static void add_headline(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	bool is_ready = bh_cli_true(status, "ready");
	const json_t *reason;
	size_t i;

	bh_buf_puts(out, "bulkheadd ");
	bh_buf_escape(out, bh_cli_str(status, "version"));
	if (*bh_cli_str(status, "node")) {
		bh_buf_puts(out, " on ");
		bh_buf_escape(out, bh_cli_str(status, "node"));
	}
	bh_buf_puts(out, ": ");
	bh_cli_paint(cli, out, is_ready ? BH_CLI_GREEN : BH_CLI_RED,
		     is_ready ? "ready" : "not ready");
	bh_buf_puts(out, ", up ");
	bh_cli_duration(out, (uint64_t)bh_cli_int(status, "uptime_s"));
	if (!strcmp(bh_cli_str(status, "mode"), "audit")) {
		bh_buf_puts(out, ", ");
		bh_cli_paint(cli, out, BH_CLI_YELLOW, "audit mode: nothing is denied");
	}
	bh_buf_putc(out, '\n');
	json_array_foreach(json_object_get(status, "not_ready"), i, reason)
	{
		const char *text = json_string_value(reason);

		bh_buf_puts(out, "  ");
		bh_cli_paint(cli, out, BH_CLI_RED, text ? text : "?");
		bh_buf_putc(out, '\n');
	}
	bh_buf_putc(out, '\n');
}

static void add_kernel(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	json_int_t have = bh_cli_int(status, "generation");
	json_int_t want = bh_cli_int(status, "wanted_generation");
	const json_t *last = json_object_get(status, "last_commit");

	add_label(cli, out, "Kernel");
	bh_buf_printf(out, "generation %lld", (long long)have);
	if (have != want) {
		bh_buf_puts(out, ", ");
		bh_cli_paint(cli, out, BH_CLI_YELLOW, "a newer one waits");
		bh_buf_printf(out, " (%lld)", (long long)want);
	}
	if (json_is_object(last)) {
		bh_buf_puts(out, "; last change ");
		add_time(out, bh_cli_str(last, "time"));
		bh_buf_puts(out, ", ");
		bh_cli_count(out, bh_cli_int(last, "operations"), "operation");
		bh_buf_puts(out, " in ");
		add_microseconds(out, bh_cli_int(last, "duration_us"));
	}
	bh_buf_putc(out, '\n');
}

static void add_sources(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *source;
	size_t i;

	json_array_foreach(json_object_get(status, "sources"), i, source)
	{
		bool is_in_sync = bh_cli_true(source, "in_sync");

		add_label(cli, out, i == 0 ? "Sources" : "");
		bh_buf_escape(out, bh_cli_str(source, "source"));
		bh_buf_puts(out, ": ");
		bh_cli_paint(cli, out, is_in_sync ? BH_CLI_GREEN : BH_CLI_RED,
			     is_in_sync ? "in sync" : "not in sync");
		if (bh_cli_true(source, "stale")) {
			bh_buf_puts(out, ", ");
			bh_cli_paint(cli, out, BH_CLI_YELLOW, "stale");
		}
		if (*bh_cli_str(source, "detail")) {
			bh_buf_puts(out, ", ");
			bh_buf_escape(out, bh_cli_str(source, "detail"));
		}
		bh_buf_putc(out, '\n');
	}
}

/* "N things" after what stands before. */
static void add_count(struct bh_buf *out, const char *before, const json_t *status, const char *key,
		      const char *noun)
{
	bh_buf_puts(out, before);
	bh_cli_count(out, bh_cli_int(status, key), noun);
}

static void add_rules(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	add_label(cli, out, "Rules");
	add_count(out, "", status, "profiles", "profile");
	add_count(out, ", ", status, "chains", "chain");
	add_count(out, ", ", status, "sets", "set");
	add_count(out, ", ", status, "elements", "element");
	bh_buf_putc(out, '\n');
}

static void add_world(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	add_label(cli, out, "World");
	add_count(out, "", status, "pods", "pod");
	bh_buf_printf(out, " (%lld on this node)", (long long)bh_cli_int(status, "local_pods"));
	add_count(out, ", ", status, "namespaces", "namespace");
	add_count(out, ", ", status, "policies", "policy");
	bh_buf_putc(out, '\n');
}

/* denied = recorded + suppressed + pending + lost + in flight */
static const struct {
	const char *key, *title;
} packet_columns[] = {
	{ "denied", "DENIED" },         { "logged", "LOGGED" },   { "recorded", "RECORDED" },
	{ "suppressed", "SUPPRESSED" }, { "pending", "PENDING" }, { "lost", "LOST" },
	{ "in_flight", "IN FLIGHT" },
};

static void add_packet_row(struct bh_buf *out, const char *name, const json_t *packets)
{
	size_t i;

	bh_buf_printf(out, "  %-10s", name);
	for (i = 0; i < BH_ARRAY_LEN(packet_columns); i++) {
		const json_t *n = json_object_get(packets, packet_columns[i].key);

		if (json_is_integer(n))
			bh_buf_printf(out, " %10lld", (long long)json_integer_value(n));
		else
			bh_buf_printf(out, " %10s", "-");
	}
	bh_buf_putc(out, '\n');
}

static void add_packets(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *packets = json_object_get(status, "packets");
	struct bh_buf head = { 0 };
	size_t i;

	bh_buf_printf(&head, "%-12s", "PACKETS");
	for (i = 0; i < BH_ARRAY_LEN(packet_columns); i++)
		bh_buf_printf(&head, " %10s", packet_columns[i].title);
	bh_buf_putc(out, '\n');
	bh_cli_paint(cli, out, BH_CLI_BOLD, bh_buf_str(&head));
	bh_buf_putc(out, '\n');
	bh_buf_done(&head);
	add_packet_row(out, "enforced", packets);
	add_packet_row(out, "audit", json_object_get(packets, "audit"));
}

/* Only what is worth a look. */
static void add_flow_log(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *file = json_object_get(status, "flow_log");
	json_int_t n = bh_cli_int(file, "left_out_by_rate") + bh_cli_int(file, "left_out_by_size");
	const char *trouble = bh_cli_str(file, "trouble");

	if (n > 0) {
		bh_buf_puts(out, "  ");
		bh_cli_count(out, n, "record");
		bh_buf_printf(out, " left out of the flow log, %lld by flow-log-rate\n",
			      (long long)bh_cli_int(file, "left_out_by_rate"));
	}
	if (*trouble) {
		bh_buf_puts(out, "  flow log: ");
		bh_cli_paint(cli, out, BH_CLI_RED, trouble);
		bh_buf_putc(out, '\n');
	}
}

static void add_name(struct bh_buf *out, const json_t *policy)
{
	bh_buf_escape(out, bh_cli_str(policy, "kind"));
	bh_buf_putc(out, ' ');
	if (*bh_cli_str(policy, "namespace")) {
		bh_buf_escape(out, bh_cli_str(policy, "namespace"));
		bh_buf_putc(out, '/');
	}
	bh_buf_escape(out, bh_cli_str(policy, "name"));
}

static size_t name_width(const json_t *policies)
{
	const json_t *policy;
	size_t i, width = strlen("POLICY");

	json_array_foreach(policies, i, policy)
	{
		struct bh_buf name = { 0 };

		add_name(&name, policy);
		width = name.len > width ? name.len : width;
		bh_buf_done(&name);
	}
	return width;
}

static void add_policies(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *policies = json_object_get(status, "policies_status");
	size_t i, width = name_width(policies);
	struct bh_buf head = { 0 };
	const json_t *policy;

	if (json_array_size(policies) == 0)
		return;
	bh_buf_printf(&head, "%-*s  %-8s %5s", (int)width, "POLICY", "MODE", "PODS");
	bh_buf_putc(out, '\n');
	bh_cli_paint(cli, out, BH_CLI_BOLD, bh_buf_str(&head));
	bh_buf_putc(out, '\n');
	bh_buf_done(&head);
	json_array_foreach(policies, i, policy)
	{
		size_t start = out->len;

		add_name(out, policy);
		bh_buf_printf(out, "%*s", (int)(width + 2 - (out->len - start)), "");
		start = out->len;
		bh_buf_escape(out, bh_cli_str(policy, "mode"));
		bh_buf_printf(out, "%*s", out->len - start < 8 ? (int)(8 - (out->len - start)) : 0,
			      "");
		bh_buf_printf(out, " %5lld", (long long)bh_cli_int(policy, "pods"));
		if (*bh_cli_str(policy, "error")) {
			bh_buf_puts(out, "  ");
			bh_cli_paint(cli, out, BH_CLI_RED, bh_cli_str(policy, "error"));
		}
		bh_buf_putc(out, '\n');
	}
}

static void add_problems(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *problems = json_object_get(status, "problems");
	const json_t *problem;
	size_t i;

	if (json_array_size(problems) == 0)
		return;
	bh_buf_putc(out, '\n');
	bh_cli_paint(cli, out, BH_CLI_RED, "PROBLEMS");
	bh_buf_putc(out, '\n');
	json_array_foreach(problems, i, problem)
	{
		bh_buf_puts(out, "  ");
		bh_buf_escape(out, bh_cli_str(problem, "source"));
		bh_buf_puts(out, ": ");
		bh_buf_escape(out, bh_cli_str(problem, "subject"));
		bh_buf_puts(out, ": ");
		bh_buf_escape(out, bh_cli_str(problem, "text"));
		bh_buf_puts(out, " (since ");
		add_time(out, bh_cli_str(problem, "since"));
		bh_buf_puts(out, ")\n");
	}
}

/* More than these are no help on a screen. */
#define MAX_SHOWN 20

static void add_more(struct bh_buf *out, json_int_t total)
{
	if (total > MAX_SHOWN)
		bh_buf_printf(out, "  and %lld more\n", (long long)total - MAX_SHOWN);
}

static void add_pod(struct bh_buf *out, const json_t *pod)
{
	bh_buf_escape(out, bh_cli_str(pod, "namespace"));
	bh_buf_putc(out, '/');
	bh_buf_escape(out, bh_cli_str(pod, "name"));
}

static void add_ports(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *ports = json_object_get(status, "ports");
	json_int_t n = bh_cli_int(ports, "pods"), n_less = bh_cli_int(ports, "pods_without_port");

	if (!json_is_object(ports))
		return;
	add_label(cli, out, "Ports");
	bh_buf_printf(out, "%lld of %lld pods on this node have a port that is known\n",
		      (long long)(n - n_less), (long long)n);
}

static void add_portless(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *ports = json_object_get(status, "ports"), *pod;
	size_t i;

	if (json_array_size(json_object_get(ports, "without_port")) == 0)
		return;
	bh_buf_putc(out, '\n');
	bh_cli_paint(cli, out, BH_CLI_YELLOW, "PODS WITHOUT PORT");
	bh_buf_puts(out, " (judged by their addresses alone)\n");
	json_array_foreach(json_object_get(ports, "without_port"), i, pod)
	{
		if (i == MAX_SHOWN)
			break;
		bh_buf_puts(out, "  ");
		add_pod(out, pod);
		bh_buf_puts(out, ": ");
		bh_buf_escape(out, bh_cli_str(pod, "reason"));
		bh_buf_putc(out, '\n');
	}
	add_more(out, bh_cli_int(ports, "pods_without_port"));
}

static void add_claimant(struct bh_buf *out, const json_t *conflict)
{
	const json_t *pod = json_object_get(conflict, "claimed_by");

	if (!pod) {
		bh_buf_puts(out, "node ");
		bh_buf_escape(out, bh_cli_str(conflict, "claimed_by_node"));
		return;
	}
	bh_buf_puts(out, "pod ");
	add_pod(out, pod);
	if (*bh_cli_str(pod, "node")) {
		bh_buf_puts(out, " of node ");
		bh_buf_escape(out, bh_cli_str(pod, "node"));
	}
}

static void add_conflicts(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *list = json_object_get(status, "address_conflicts"), *item;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	bh_buf_putc(out, '\n');
	bh_cli_paint(cli, out, BH_CLI_YELLOW, "ADDRESS CONFLICTS");
	bh_buf_putc(out, '\n');
	json_array_foreach(list, i, item)
	{
		const json_t *owner = json_object_get(item, "owner");

		if (i == MAX_SHOWN)
			break;
		bh_buf_puts(out, "  ");
		bh_buf_escape(out, bh_cli_str(item, "address"));
		bh_buf_puts(out, owner ? " of pod " : " of no pod");
		if (owner)
			add_pod(out, owner);
		bh_buf_puts(out, " is claimed by ");
		add_claimant(out, item);
		if (bh_cli_true(owner, "closed"))
			bh_buf_puts(out, "; nobody can tell who has it, so it is closed");
		bh_buf_putc(out, '\n');
	}
	add_more(out, (json_int_t)json_array_size(list));
}

static void add_ignored(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *list = json_object_get(status, "ignored_annotations"), *item;
	json_int_t total = bh_cli_int(status, "ignored_annotations_total");
	size_t i;

	if (json_array_size(list) == 0)
		return;
	bh_buf_putc(out, '\n');
	bh_cli_paint(cli, out, BH_CLI_YELLOW, "IGNORED ANNOTATIONS");
	bh_buf_putc(out, '\n');
	json_array_foreach(list, i, item)
	{
		bh_buf_puts(out, "  ");
		add_name(out, item);
		bh_buf_puts(out, ": ");
		bh_buf_escape(out, bh_cli_str(item, "annotation"));
		bh_buf_puts(out, ": ");
		bh_buf_escape(out, bh_cli_str(item, "reason"));
		bh_buf_putc(out, '\n');
	}
	if (total > (json_int_t)i)
		bh_buf_printf(out, "  and %lld more\n", (long long)total - (long long)i);
}

static void add_closed_for(const struct bh_cli *cli, struct bh_buf *out, json_int_t n,
			   const char *why)
{
	struct bh_buf text = { 0 };

	if (n <= 0)
		return;
	bh_cli_count(&text, n, "profile");
	bh_buf_puts(&text, why);
	add_label(cli, out, "");
	bh_cli_paint(cli, out, BH_CLI_RED, bh_buf_str(&text));
	bh_buf_putc(out, '\n');
	bh_buf_done(&text);
}

/* Their pods get nothing through. */
static void add_closed(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	json_int_t n = bh_cli_int(status, "profiles_closed");
	json_int_t n_over = bh_cli_int(status, "profiles_beyond_budget");

	add_closed_for(cli, out, n - n_over, " closed because the kernel refused their rules");
	add_closed_for(cli, out, n_over, " closed because their policies need too much");
}

static void add_events(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *revocation = json_object_get(status, "revocation");
	json_int_t tampers = bh_cli_int(status, "tamper_events");

	if (*bh_cli_str(revocation, "trouble")) {
		add_label(cli, out, "Cuts");
		bh_cli_paint(cli, out, BH_CLI_RED, bh_cli_str(revocation, "trouble"));
		bh_buf_puts(out, ": connections that policy no longer allows may live on\n");
	}
	add_label(cli, out, "Events");
	bh_cli_count(out, bh_cli_int(status, "revoked_connections"), "connection");
	bh_buf_puts(out, " cut by policy changes, ");
	if (tampers == 0) {
		bh_buf_puts(out, "no tampering\n");
		return;
	}
	bh_cli_count(out, tampers, "change");
	bh_buf_puts(out, " of our rules by others (repaired; see bulkhead flows)\n");
}

/* The filter of the agent's own system calls. */
static void add_seccomp(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *seccomp = json_object_get(status, "seccomp");
	const char *mode = bh_cli_str(seccomp, "mode"), *error = bh_cli_str(seccomp, "error");

	if (!*mode)
		return;
	add_label(cli, out, "Syscalls");
	if (bh_cli_true(seccomp, "in_force")) {
		bh_buf_puts(out, "filtered, mode ");
		bh_buf_escape(out, mode);
	} else {
		bh_cli_paint(cli, out, BH_CLI_YELLOW, "not filtered");
		bh_buf_puts(out, *error ? ": " : " (--seccomp off)");
		bh_buf_escape(out, error);
	}
	bh_buf_putc(out, '\n');
}

/* Where ranges are closed, or were to be. */
static void add_closed_ranges(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *closed = json_object_get(status, "closed_until_known"), *range;
	const json_t *ranges = json_object_get(closed, "ranges");
	size_t i;

	if (!closed || strcmp(bh_cli_str(closed, "mode"), "off") == 0)
		return;
	add_label(cli, out, "Closed");
	bh_buf_puts(out, "until a pod is known: ");
	json_array_foreach(ranges, i, range)
	{
		bh_buf_puts(out, i > 0 ? ", " : "");
		bh_buf_escape(out, json_string_value(range) ? json_string_value(range) : "");
	}
	bh_buf_puts(out, json_array_size(ranges) > 0 ? " (" : "nothing (");
	bh_buf_escape(out, bh_cli_str(closed, "from"));
	bh_buf_puts(out, ")\n");
}

static void add_quarantines(const struct bh_cli *cli, struct bh_buf *out, const json_t *status)
{
	const json_t *list = json_object_get(status, "quarantines"), *item;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	bh_buf_putc(out, '\n');
	bh_cli_paint(cli, out, BH_CLI_RED, "QUARANTINES");
	bh_buf_putc(out, '\n');
	json_array_foreach(list, i, item)
	{
		bh_buf_puts(out, "  ");
		bh_buf_escape(out, bh_cli_str(item, "namespace"));
		bh_buf_putc(out, '/');
		bh_buf_escape(out, bh_cli_str(item, "name"));
		bh_buf_puts(out, ": ");
		bh_cli_count(out, bh_cli_int(item, "pods"), "pod");
		if (json_array_size(json_object_get(item, "allow")) > 0)
			bh_buf_printf(out, ", %zu networks allowed",
				      json_array_size(json_object_get(item, "allow")));
		if (*bh_cli_str(item, "until")) {
			bh_buf_puts(out, ", until ");
			bh_buf_escape(out, bh_cli_str(item, "until"));
		}
		if (*bh_cli_str(item, "reason")) {
			bh_buf_puts(out, ": ");
			bh_buf_escape(out, bh_cli_str(item, "reason"));
		}
		bh_buf_putc(out, '\n');
	}
}

static void show(const struct bh_cli *cli, const json_t *status)
{
	struct bh_buf out = { 0 };

	add_headline(cli, &out, status);
	add_kernel(cli, &out, status);
	add_rules(cli, &out, status);
	add_closed(cli, &out, status);
	add_world(cli, &out, status);
	add_ports(cli, &out, status);
	add_sources(cli, &out, status);
	add_closed_ranges(cli, &out, status);
	add_seccomp(cli, &out, status);
	add_events(cli, &out, status);
	add_packets(cli, &out, status);
	add_flow_log(cli, &out, status);
	add_policies(cli, &out, status);
	add_portless(cli, &out, status);
	add_conflicts(cli, &out, status);
	add_quarantines(cli, &out, status);
	add_ignored(cli, &out, status);
	add_problems(cli, &out, status);
	bh_cli_print(&out);
	bh_buf_done(&out);
}

/* --- waiting --------------------------------------------------------------------- */

static int keep(void *ctx, const json_t *data)
{
	json_t **status = ctx;

	json_decref(*status);
	*status = json_deep_copy(data);
	return 0;
}

static int ask(const struct bh_cli *cli, json_t **status, struct bh_err *err)
{
	json_t *request = status_request();
	int r = bh_control_call(cli->control, request, BH_CLI_TIMEOUT_MS, keep, status, err);

	json_decref(request);
	return r;
}

/* An agent that is just starting, or restarting, is worth another try. */
static bool is_away(int code)
{
	return code == -EHOSTDOWN || code == -ECONNRESET || code == -ETIMEDOUT;
}

/* A NetworkPolicy and, if not 0, the generation that it must have at least. */
struct wanted_policy {
	char *namespace, *name;
	json_int_t generation;
};

/* "NS/NAME" or "NS/NAME@GENERATION" */
static int parse_policy(const char *text, struct wanted_policy *ret, struct bh_err *err)
{
	const char *slash = strchr(text, '/'), *at = strchr(text, '@');
	const char *end = at ? at : text + strlen(text);
	char *rest = NULL;

	if (!slash || slash == text || slash > end || slash + 1 == end)
		return bh_err(err, -EINVAL, "'%s' is not of the form NAMESPACE/NAME[@GENERATION]",
			      text);
	errno = 0;
	if (at)
		ret->generation = strtoll(at + 1, &rest, 10);
	if (at && (errno || rest == at + 1 || *rest || ret->generation < 1))
		return bh_err(err, -EINVAL, "'%s' is not a generation", at + 1);
	ret->namespace = bh_strndup(text, (size_t)(slash - text));
	ret->name = bh_strndup(slash + 1, (size_t)(end - slash - 1));
	return 0;
}

static bool is_enforced(const json_t *status, const struct wanted_policy *w)
{
	const json_t *policy;
	size_t i;

	json_array_foreach(json_object_get(status, "policies_status"), i, policy)
	{
		if (strcmp(bh_cli_str(policy, "kind"), "NetworkPolicy") == 0 &&
		    strcmp(bh_cli_str(policy, "namespace"), w->namespace) == 0 &&
		    strcmp(bh_cli_str(policy, "name"), w->name) == 0)
			return bh_cli_true(policy, "enforced") &&
			       bh_cli_int(policy, "generation") >= w->generation;
	}
	return false;
}

struct target {
	struct wanted_policy policy;
	json_int_t generation; /* of the rules; -1 before the first answer */
};

/* Agents before 0.2.0 do not tell. */
static bool are_cuts_done(const json_t *status, const struct target *t)
{
	return !json_object_get(status, "cut_generation") ||
	       bh_cli_int(status, "cut_generation") >= t->generation;
}

/* What the first answer wanted; an agent that started anew counts anew. */
static bool has_arrived(const json_t *status, struct target *t)
{
	json_int_t want = bh_cli_int(status, "wanted_generation");

	if (t->generation < 0 || want < t->generation)
		t->generation = want;
	return bh_cli_true(status, "ready") && bh_cli_int(status, "generation") >= t->generation &&
	       are_cuts_done(status, t) && (!t->policy.name || is_enforced(status, &t->policy));
}

static int wait_for_it(const struct bh_cli *cli, struct target *target, uint64_t timeout_ns,
		       json_t **ret)
{
	uint64_t end_ns = bh_mono_ns() + timeout_ns;
	const struct timespec pause = { .tv_nsec = POLL_MS * (long)BH_NS_PER_MS };

	for (;;) {
		struct bh_err err = { 0 };
		int r = ask(cli, ret, &err);

		if (r == 0 && has_arrived(*ret, target))
			return BH_CLI_YES;
		if (r < 0 && !is_away(r))
			return bh_cli_report(cli, r, &err);
		if (bh_mono_ns() >= end_ns) {
			if (r < 0)
				return bh_cli_report(cli, r, &err);
			return BH_CLI_NO;
		}
		nanosleep(&pause, NULL);
	}
}

static void target_done(struct target *t)
{
	free(t->policy.namespace);
	free(t->policy.name);
}

static void log_reasons(const json_t *status, const struct target *target)
{
	const json_t *reasons = json_object_get(status, "not_ready");
	const json_t *reason;
	size_t i;

	json_array_foreach(reasons, i, reason)
	{
		const char *text = json_string_value(reason);

		bh_log_error("not ready in time: %s", text ? text : "?");
	}
	if (json_array_size(reasons) == 0 && target->policy.name)
		bh_log_error("not in time: policy %s/%s is not in the kernel as wanted",
			     target->policy.namespace, target->policy.name);
	else if (json_array_size(reasons) == 0)
		bh_log_error("not ready in time: the kernel has generation %lld, %lld is wanted, "
			     "and connections are cut up to %lld",
			     (long long)bh_cli_int(status, "generation"),
			     (long long)bh_cli_int(status, "wanted_generation"),
			     (long long)bh_cli_int(status, "cut_generation"));
}

static int run(const struct bh_cli *cli)
{
	const char *timeout = bh_cli_value(cli, "timeout");
	const char *policy = bh_cli_value(cli, "policy");
	uint64_t timeout_ns = DEFAULT_TIMEOUT_S * BH_NS_PER_S;
	bh_auto(target_done) struct target target = { .generation = -1 };
	struct bh_err err = { 0 };
	json_t *status = NULL;
	int r;

	if (timeout && bh_cli_parse_duration(timeout, &timeout_ns, &err) < 0) {
		bh_log_error("--timeout: %s", bh_err_text(&err));
		return BH_CLI_USAGE;
	}
	if (policy && !bh_cli_has(cli, "wait")) {
		bh_log_error("--policy: goes with --wait");
		return BH_CLI_USAGE;
	}
	if (policy && parse_policy(policy, &target.policy, &err) < 0) {
		bh_log_error("--policy: %s", bh_err_text(&err));
		return BH_CLI_USAGE;
	}
	if (bh_cli_has(cli, "wait"))
		r = wait_for_it(cli, &target, timeout_ns, &status);
	else
		r = bh_cli_ask_one(cli, status_request(), &status);

	if (status && r <= BH_CLI_NO) {
		if (bh_cli_is_json(cli))
			bh_cli_print_json(status);
		else
			show(cli, status);
		if (r == BH_CLI_NO)
			log_reasons(status, &target);
		if (!bh_cli_true(status, "ready"))
			r = BH_CLI_NO;
	}
	json_decref(status);
	return r;
}

static const struct bh_cli_option options[] = {
	{ .name = "wait",
	  .text = "wait until what is known now is in the kernel and its cuts are done" },
	{ .name = "policy",
	  .arg = "NAMESPACE/NAME[@GENERATION]",
	  .text = "with --wait: until this NetworkPolicy is in the kernel, too" },
	{ .name = "timeout",
	  .arg = "SECONDS",
	  .text = "how long --wait waits: 30, 2m; 60 if not given" },
	{ .letter = 'o', .name = "output", .arg = "text|json", .text = "how to print" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_status = {
	.name = "status",
	.summary = "is the agent in sync, what is in the kernel, what went wrong",
	.operands = "",
	.options = options,
	.about = "Shows whether the agent enforces what it was told: its sources, the generation\n"
		 "of the rules in the kernel, packets denied and how they were logged, every\n"
		 "policy with its pods and errors, and problems with files or the runtime.\n"
		 "Exits with 0 if it is ready, 1 if not, 3 if no agent answers.\n",
	.examples = "  bulkhead status\n"
		    "  bulkhead status --wait --timeout 30       after changing a policy file\n"
		    "  bulkhead status --wait --policy shop/web@3   in a pipeline, on each node\n"
		    "  bulkhead status -o json | jq .problems\n",
	.run = run,
};
