/*
 * What is kept is the text of each file of which objects are in force, not the objects:
 * the next run, which may be of another version, reads it as it reads the file itself.  A
 * file that cannot be used is kept without a text: one that is not in the list at all may
 * have been in force for the moment that passes before a change is written.
 *
 * The file is read before the first scan of the folder, as a whole: it is as large as the
 * manifests are, and only those texts are decoded of which the folder has no better.
 */
#include "lasttexts.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/file.h"
#include "bh/log.h"
#include "cachefile.h"

#define FILE_NAME      "manifests.cache"
#define FIRST_WRITE_MS 300
#define WRITE_EVERY_MS 2000
#define PORTION        256

/* --- writing --------------------------------------------------------------------------- */

/* Names of files need not be UTF-8, which JSON must be. */
static char *encode_path(const char *path)
{
	struct bh_buf b = { 0 };

	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (c < 0x80 && c != '%')
			bh_buf_putc(&b, *path);
		else
			bh_buf_printf(&b, "%%%02x", c);
	}
	return bh_buf_take(&b);
}

static void on_text(void *ctx, const char *path, const char *text, size_t len)
{
	struct bh_cachefile_writer *w = ctx;
	bh_auto_free char *encoded = encode_path(path);
	json_t *line = text ? json_pack("{s:s, s:s%}", "path", encoded, "text", text, (int)len)
			    : json_pack("{s:s, s:n}", "path", encoded, "text");
	char *dump = line ? json_dumps(line, JSON_COMPACT) : NULL;

	/* Every text that was decoded is UTF-8 without NUL. */
	if (dump) {
		bh_buf_puts(bh_cachefile_line(w), dump);
		bh_cachefile_end_line(w);
	}
	free(dump);
	json_decref(line);
}

static void write_texts(const void *from, struct bh_cachefile_writer *w)
{
	bh_manifest_texts(from, on_text, w);
}

/* The same for "policies" and "policies/". */
static void name_folder(const struct bh_lasttexts *l, char *ret, size_t size)
{
	const char *path = l->agent->config->policies;
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	snprintf(ret, size, "%.*s", (int)len, path);
}

static int write_state(void *ctx, uint64_t *ret_real_ns, struct bh_err *err)
{
	const struct bh_lasttexts *l = ctx;
	struct bh_cachefile_info info = {
		.kind = BH_CACHEFILE_MANIFESTS,
		.real_ns = bh_real_ns(),
	};
	int r;

	name_folder(l, info.of, sizeof(info.of));
	r = bh_cachefile_write_lines(l->path, write_texts, l->agent->sources.manifest, &info, err);
	if (r == 0)
		*ret_real_ns = info.real_ns;
	return r;
}

/* A state that cannot be written is worth knowing before the restart that needs it. */
static void on_written(void *ctx, const char *error)
{
	struct bh_lasttexts *l = ctx;

	if (error)
		bh_problems_set(&l->agent->problems, BH_SOURCE_MANIFEST, l->path, error);
	else
		bh_problems_clear(&l->agent->problems, BH_SOURCE_MANIFEST, l->path);
}

void bh_lasttexts_note(struct bh_lasttexts *l)
{
	if (!l->agent)
		return;
	l->writer.is_allowed = l->agent->sources.is_synced[BH_SOURCE_MANIFEST];
	bh_statewriter_note(&l->writer);
}

/* --- reading --------------------------------------------------------------------------- */

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. */
static int decode_path(char *path)
{
	char *to = path;

	for (const char *s = path; *s; s++) {
		if (*s == '%') {
			int high = hex_value(s[1]), low = high < 0 ? -1 : hex_value(s[2]);

			if (low < 0 || high + low == 0)
				return -EINVAL;
			*to++ = (char)(high << 4 | low);
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
	return 0;
}

struct recall {
	struct bh_lasttexts *texts;
	struct bh_manifest *manifest;
};

static int on_line(void *ctx, const char *line, size_t len, struct bh_err *err)
{
	struct recall *r = ctx;
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *path = json_string_value(json_object_get(json, "path"));
	const json_t *text = json_object_get(json, "text");
	bh_auto_free char *decoded = path ? bh_strdup(path) : NULL;
	bool is_good = decoded && (json_is_string(text) || json_is_null(text)) &&
		       decode_path(decoded) == 0;

	if (is_good) {
		bh_manifest_recall(r->manifest, decoded, json_string_value(text),
				   json_string_length(text));
		r->texts->n_recalled++;
	}
	json_decref(json);
	return is_good ? 0 : bh_err(err, -EINVAL, "is no manifest with its path");
}

static int read_texts(struct recall *r, int fd, struct bh_cachefile_info *info, struct bh_err *err)
{
	bh_auto(bh_cachefile_close) struct bh_cachefile *f = NULL;
	char folder[sizeof(info->of)];
	int n = bh_cachefile_check_owner(fd, err);

	name_folder(r->texts, folder, sizeof(folder));
	if (n == 0)
		n = bh_cachefile_open(&f, fd, folder, info, err);
	if (n < 0)
		return n;
	do {
		n = bh_cachefile_read_lines(f, PORTION, on_line, r, err);
	} while (n > 0);
	return n;
}

bool bh_lasttexts_recall(struct bh_lasttexts *l, struct bh_manifest *manifest)
{
	struct recall r = { .texts = l, .manifest = manifest };
	struct bh_cachefile_info info = { .kind = BH_CACHEFILE_MANIFESTS };
	struct bh_err err = { 0 };
	bh_auto_close int fd = -1;
	int e;

	if (!l->agent)
		return false;
	fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return false;
	e = fd < 0 ? bh_err_wrap(&err, -errno, "cannot be opened")
		   : read_texts(&r, fd, &info, &err);
	if (e == 0) {
		l->writer.state_ns = info.real_ns;
		return true;
	}
	bh_log_error("'%s': %s, what manifests said before the restart is not known", l->path,
		     bh_err_text(&err));
	bh_problems_set(&l->agent->problems, BH_SOURCE_MANIFEST, l->path, bh_err_text(&err));
	return false;
}

/* --- life ------------------------------------------------------------------------------ */

int bh_lasttexts_start(struct bh_lasttexts *l, struct bh_agent *agent, struct bh_err *err)
{
	const struct bh_config *config = agent->config;
	int r;

	if (!config->policies)
		return 0;
	if (config->state) {
		r = bh_state_make_folder(config->state, err);
		if (r < 0)
			return r;
	}
	*l = (struct bh_lasttexts){
		.agent = agent,
		.path = config->state ? bh_asprintf("%s/" FILE_NAME, config->state)
				      : bh_asprintf("%s." FILE_NAME, config->control),
		.writer = { .loop = agent->loop,
			    .write = write_state,
			    .on_written = on_written,
			    .ctx = l,
			    .first_ms = FIRST_WRITE_MS,
			    .every_ms = WRITE_EVERY_MS,
			    .loss = "a restart would not know what manifests said before" },
	};
	bh_statewriter_start(&l->writer);
	return 0;
}

void bh_lasttexts_stop(struct bh_lasttexts *l)
{
	if (!l->agent)
		return;
	/* Nothing was read where the start failed. */
	l->writer.is_allowed &= l->agent->sources.manifest != NULL;
	bh_statewriter_stop(&l->writer);
	free(l->path);
	l->path = NULL;
}
