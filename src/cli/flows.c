/*
 * Flow records, from the running agent or from a log file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "bh/record.h"
#include "commands.h"

/* A record is a few kilobytes; a longer line is something else. */
#define MAX_LINE (1u << 20)

struct flows {
	const struct bh_cli *cli;
	struct bh_record_filter filter;
	char *namespace; /* of --pod */
	bool has_header;
	unsigned long n_bad_lines;
};

/* "shop/web", or "shop" for all of the namespace. */
static void set_pod(struct flows *f, const char *value)
{
	const char *slash = strchr(value, '/');

	f->namespace = slash ? bh_strndup(value, (size_t)(slash - value)) : bh_strdup(value);
	f->filter.namespace = f->namespace;
	f->filter.pod = slash && slash[1] ? slash + 1 : NULL;
}

/* "10m" ago, or a point in time. */
static int parse_since(const char *s, uint64_t *ret, struct bh_err *err)
{
	uint64_t ago_ns, now_ns = bh_real_ns();

	if (bh_time_parse(s, ret) == 0)
		return 0;
	if (bh_cli_parse_duration(s, &ago_ns, NULL) < 0)
		return bh_err(err, -EINVAL,
			      "'%.64s' is neither a duration such as 10m nor a time such as "
			      "2026-01-02T03:04:05Z",
			      s);
	*ret = ago_ns < now_ns ? now_ns - ago_ns : 0;
	return 0;
}

static int read_filter(struct flows *f, struct bh_err *err)
{
	const char *pod = bh_cli_value(f->cli, "pod");
	const char *since = bh_cli_value(f->cli, "since");

	if (pod && (!*pod || *pod == '/'))
		return bh_err(err, -EINVAL, "--pod: '%.64s' is not NAMESPACE/NAME", pod);
	if (pod)
		set_pod(f, pod);
	f->filter.verdict = bh_cli_value(f->cli, "verdict");
	if (since && parse_since(since, &f->filter.since_ns, err) < 0)
		return bh_err_wrap(err, -EINVAL, "--since");
	return 0;
}

static void show_text(struct flows *f, const struct bh_record *record)
{
	bh_auto(bh_buf_done) struct bh_buf out = { 0 };

	if (!f->has_header)
		bh_record_header(&out);
	f->has_header = true;
	bh_record_format(record, f->cli->has_color, &out);
	fwrite(bh_buf_str(&out), 1, out.len, stdout);
}

/* As JSON whole, with what only a later version knows. */
static void show(struct flows *f, const json_t *object, const struct bh_record *record)
{
	if (bh_cli_is_json(f->cli)) {
		/* ASCII: a terminal may obey the control characters of C1. */
		json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		putchar('\n');
	} else {
		show_text(f, record);
	}
}

/* --- from the agent ------------------------------------------------------------------- */

static int on_record(void *ctx, const json_t *object)
{
	bh_auto_free struct bh_record *record = bh_record_decode(object);
	struct flows *f = ctx;

	show(f, object, record);
	/* Without a follower there is an end, which flushes once. */
	if (bh_cli_has(f->cli, "follow"))
		fflush(stdout);
	return ferror(stdout) ? -EPIPE : 0;
}

static json_t *make_request(const struct flows *f)
{
	char since[BH_TIME_STRLEN];

	return json_pack("{s:s, s:b, s:s?, s:s?, s:s?, s:s?}", "method", "flows", "follow",
			 bh_cli_has(f->cli, "follow"), "namespace", f->filter.namespace, "pod",
			 f->filter.pod, "verdict", f->filter.verdict, "since",
			 f->filter.since_ns ? bh_time_format(f->filter.since_ns, since) : NULL);
}

static int read_agent(struct flows *f)
{
	json_t *request = make_request(f);

	if (!request) {
		bh_log_error("--pod is not UTF-8");
		return BH_CLI_USAGE;
	}
	return bh_cli_ask(f->cli, request, bh_cli_has(f->cli, "follow") ? -1 : BH_CLI_TIMEOUT_MS,
			  on_record, f);
}

/* --- from a file ------------------------------------------------------------------------ */

static void take_line(struct flows *f, const char *line, size_t len)
{
	json_t *object = len > 0 ? json_loadb(line, len, 0, NULL) : NULL;
	bh_auto_free struct bh_record *record = NULL;

	if (json_is_object(object)) {
		record = bh_record_decode(object);
		if (bh_record_matches(record, &f->filter))
			show(f, object, record);
	} else if (len > 0) {
		f->n_bad_lines++;
	}
	json_decref(object);
}

/* False at the end. */
static bool next_line(FILE *file, struct bh_buf *line, bool *ret_is_long)
{
	int c;

	bh_buf_reset(line);
	*ret_is_long = false;
	while ((c = getc_unlocked(file)) != EOF && c != '\n') {
		if (line->len < MAX_LINE)
			bh_buf_putc(line, (char)c);
		else
			*ret_is_long = true;
	}
	return c != EOF || line->len > 0;
}

static int read_lines(struct flows *f, FILE *file, const char *name)
{
	struct bh_buf line = { 0 };
	bool is_long;

	while (next_line(file, &line, &is_long)) {
		if (is_long)
			f->n_bad_lines++;
		else
			take_line(f, bh_buf_str(&line), line.len);
	}
	bh_buf_done(&line);
	if (ferror(file)) {
		bh_log_error("cannot read '%s': %s", name, strerror(errno));
		return BH_CLI_FAILED;
	}
	if (f->n_bad_lines > 0) {
		bh_log_warning("'%s': %lu lines are not flow records and were left out", name,
			       f->n_bad_lines);
		return BH_CLI_FAILED;
	}
	return BH_CLI_YES;
}

static int read_file(struct flows *f, const char *path)
{
	FILE *file;
	int r;

	if (bh_cli_has(f->cli, "follow")) {
		bh_log_error("--follow is for the agent, not for --file");
		return BH_CLI_USAGE;
	}
	if (!strcmp(path, "-"))
		return read_lines(f, stdin, "standard input");
	file = fopen(path, "re");
	if (!file) {
		bh_log_error("cannot open '%s': %s", path, strerror(errno));
		return BH_CLI_FAILED;
	}
	r = read_lines(f, file, path);
	fclose(file);
	return r;
}

static int run(const struct bh_cli *cli)
{
	const char *path = bh_cli_value(cli, "file");
	struct flows f = { .cli = cli };
	struct bh_err err = { 0 };
	int r;

	if (read_filter(&f, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		r = BH_CLI_USAGE;
	} else {
		r = path ? read_file(&f, path) : read_agent(&f);
	}
	free(f.namespace);
	return r;
}

static const struct bh_cli_option options[] = {
	{ .letter = 'f', .name = "follow", .text = "go on with new records as they come" },
	{ .name = "pod",
	  .arg = "NS/NAME",
	  .text = "only with this pod at either end; NS alone: any of it" },
	{ .name = "verdict", .arg = "denied|audit|allowed", .text = "only these" },
	{ .name = "since", .arg = "TIME", .text = "10m, 2h, 1d ago, or 2026-01-02T03:04:05Z" },
	{ .name = "file",
	  .arg = "LOG",
	  .text = "read a log file instead of asking; - is standard input" },
	{ .letter = 'o',
	  .name = "output",
	  .arg = "text|json",
	  .text = "json: one record a line, whole" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_flows = {
	.name = "flows",
	.summary = "denied and audited flows, with both ends and the reason",
	.operands = "",
	.options = options,
	.about = "Shows the flow records that the agent remembers (the last few thousand), or all\n"
		 "of a log file, one a line: when, who to whom, the verdict, the policies that\n"
		 "isolate the pod and the rule that came nearest.  'gap' records say what could\n"
		 "not be logged.  The fields of -o json are in bulkhead-flow(5).\n",
	.examples =
		"  bulkhead flows --follow\n"
		"  bulkhead flows --pod shop/web --verdict denied --since 10m\n"
		"  bulkhead flows --file /var/log/bulkhead/flows.json --pod shop -o json | jq .\n",
	.run = run,
};
