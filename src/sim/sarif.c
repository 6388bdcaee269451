/*
 * Findings as SARIF 2.1.0 (OASIS standard): what code-review tools read.
 */
#include <string.h>

#include "bh/hash.h"
#include "lint_impl.h"

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"

/* SARIF's words for a severity. */
static const char *level(enum bh_severity s)
{
	static const char *const names[BH_SEVERITY_COUNT_] = {
		[BH_SEVERITY_INFO] = "note",
		[BH_SEVERITY_WARNING] = "warning",
		[BH_SEVERITY_ERROR] = "error",
	};

	return names[s];
}

static json_t *rules(void)
{
	const struct bh_lint_check *const *checks;
	size_t n = bh_lint_checks(&checks), i;
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:{s:s}}", "id",
						      checks[i]->name, "shortDescription", "text",
						      checks[i]->summary, "defaultConfiguration",
						      "level", level(checks[i]->severity)));
	return list;
}

static size_t rule_index(const struct bh_lint_check *check)
{
	const struct bh_lint_check *const *checks;
	size_t i;

	bh_lint_checks(&checks);
	for (i = 0; checks[i] != check; i++)
		;
	return i;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("-._~/", c) != NULL;
}

/* A path as a URI reference; relative ones stay so, and review tools resolve them. */
static json_t *uri(const char *path)
{
	struct bh_buf text = { 0 };
	json_t *s;

	if (strncmp(path, "./", 2) == 0)
		path += 2;
	if (*path == '/')
		bh_buf_puts(&text, "file://");
	for (; *path; path++) {
		if (is_plain(*path))
			bh_buf_putc(&text, *path);
		else
			bh_buf_printf(&text, "%%%02X", (unsigned char)*path);
	}
	s = json_string(bh_buf_str(&text));
	bh_buf_done(&text);
	return s;
}

static json_t *location(const struct bh_finding *f)
{
	json_t *physical;

	if (!f->file || strcmp(f->file, "stdin") == 0)
		return json_pack("{s:[{s:s}]}", "logicalLocations", "fullyQualifiedName",
				 f->subject);
	physical = json_pack("{s:{s:o}}", "artifactLocation", "uri", uri(f->file));
	if (f->line > 0)
		json_object_set_new(physical, "region", json_pack("{s:i}", "startLine", f->line));
	return json_pack("{s:o, s:[{s:s}]}", "physicalLocation", physical, "logicalLocations",
			 "fullyQualifiedName", f->subject);
}

/* The same finding after lines moved: what it says, and of whom. */
static void fingerprint(const struct bh_finding *f, char ret[BH_DIGEST_LEN + 1])
{
	struct bh_buf text = { 0 };

	bh_buf_printf(&text, "%s\n%s\n%s", f->check->name, f->subject, f->text);
	bh_digest(bh_buf_str(&text), text.len, ret);
	bh_buf_done(&text);
}

static json_t *result(const struct bh_finding *f)
{
	struct bh_buf text = { 0 };
	char digest[BH_DIGEST_LEN + 1];
	json_t *r;

	bh_buf_escape(&text, f->subject);
	bh_buf_puts(&text, ": ");
	bh_buf_escape(&text, f->text);
	bh_buf_putc(&text, '.');
	if (f->fix)
		bh_buf_printf(&text, " Fix: %s.", f->fix);
	fingerprint(f, digest);
	r = json_pack("{s:s, s:i, s:s, s:{s:s}, s:[o], s:{s:s}}", "ruleId", f->check->name,
		      "ruleIndex", (int)rule_index(f->check), "level", level(f->severity),
		      "message", "text", bh_buf_str(&text), "locations", location(f),
		      "partialFingerprints", "finding/v1", digest);
	bh_buf_done(&text);
	return r;
}

json_t *bh_lint_sarif(const struct bh_lint *l)
{
	json_t *results = json_array();
	size_t i;

	for (i = 0; i < l->n; i++)
		json_array_append_new(results, result(&l->findings[i]));
	return json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:s, s:o}]}", "$schema", SCHEMA,
			 "version", "2.1.0", "runs", "tool", "driver", "name", "bulkhead",
			 "version", BH_VERSION, "rules", rules(), "columnKind", "unicodeCodePoints",
			 "results", results);
}
