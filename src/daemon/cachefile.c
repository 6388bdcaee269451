#include "cachefile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/file.h"
#include "bh/object.h"

#define CHUNK    ((size_t)64 << 10)
#define HEX_LEN  64
#define MAX_FOOT 128

/* How a head line names the format, and what the state is of. */
static const struct {
	const char *format, *of, *what;
} kinds[] = {
	[BH_CACHEFILE_KUBE] = { "bulkhead-kube-cache", "server", "the Kubernetes API" },
	[BH_CACHEFILE_MANIFESTS] = { "bulkhead-manifest-cache", "folder", "a folder of manifests" },
	[BH_CACHEFILE_QUARANTINE] = { "bulkhead-quarantines", "by", "quarantines" },
};
static_assert(BH_ARRAY_LEN(kinds) == BH_CACHEFILE_KIND_COUNT_, "every kind has a format");

static EVP_MD_CTX *new_digest(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL))
		abort();
	return md;
}

static void free_digest(EVP_MD_CTX **md)
{
	EVP_MD_CTX_free(*md);
}

static void end_digest(EVP_MD_CTX *md, char ret[HEX_LEN + 1])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	EVP_DigestFinal_ex(md, sum, &len);
	for (unsigned int i = 0; i < len && i < HEX_LEN / 2; i++)
		snprintf(ret + 2 * (size_t)i, 3, "%02x", sum[i]);
}

/* --- writing -------------------------------------------------------------------------- */

struct bh_cachefile_writer {
	int fd, r;
	EVP_MD_CTX *md;
	struct bh_buf buf;
	size_t n_lines, n_bytes;
};

static void flush_buf(struct bh_cachefile_writer *w)
{
	if (w->r == 0) {
		EVP_DigestUpdate(w->md, w->buf.data, w->buf.len);
		w->n_bytes += w->buf.len;
		w->r = w->n_bytes > BH_CACHEFILE_MAX ? -EFBIG
						     : bh_write_all(w->fd, w->buf.data, w->buf.len);
	}
	bh_buf_reset(&w->buf);
}

struct bh_buf *bh_cachefile_line(struct bh_cachefile_writer *w)
{
	return &w->buf;
}

void bh_cachefile_end_line(struct bh_cachefile_writer *w)
{
	bh_buf_putc(&w->buf, '\n');
	w->n_lines++;
	if (w->buf.len > CHUNK)
		flush_buf(w);
}

/* The lines of @write between head and foot. */
static int write_body(int fd, void (*write)(const void *from, struct bh_cachefile_writer *w),
		      const void *from, struct bh_cachefile_info *info)
{
	bh_auto(free_digest) EVP_MD_CTX *md = new_digest();
	struct bh_cachefile_writer w = { .fd = fd, .md = md };
	json_t *head = json_pack("{s:s, s:i, s:o, s:I}", "format", kinds[info->kind].format,
				 "version", BH_CACHEFILE_VERSION, kinds[info->kind].of,
				 bh_text_json(info->of), "time", (json_int_t)info->real_ns);
	char *text = json_dumps(head, JSON_COMPACT);
	char hex[HEX_LEN + 1] = "";

	json_decref(head);
	bh_buf_puts(&w.buf, text ? text : "");
	bh_buf_putc(&w.buf, '\n');
	free(text);
	write(from, &w);
	flush_buf(&w);
	end_digest(md, hex);
	bh_buf_printf(&w.buf, "{\"sha256\":\"%s\"}\n", hex);
	if (w.r == 0)
		w.r = bh_write_all(fd, w.buf.data, w.buf.len);
	info->n_lines = w.n_lines;
	info->n_bytes = w.n_bytes + w.buf.len;
	bh_buf_done(&w.buf);
	return w.r < 0 ? w.r : fsync(fd) < 0 ? -errno : 0;
}

/* So that the new name survives a power cut, too. */
static void sync_folder(const char *path)
{
	bh_auto_free char *folder = bh_strdup(path);
	char *slash = strrchr(folder, '/');
	bh_auto_close int fd = -1;

	if (!slash)
		return;
	*slash = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)fsync(fd);
}

int bh_cachefile_write_lines(const char *path,
			     void (*write)(const void *from, struct bh_cachefile_writer *w),
			     const void *from, struct bh_cachefile_info *info, struct bh_err *err)
{
	bh_auto_free char *temp = bh_asprintf("%s.tmp", path);
	bh_auto_close int fd = -1;
	int r;

	unlink(temp); /* of a run that was killed */
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return bh_err_wrap(err, -errno, "cannot create '%s'", temp);
	r = write_body(fd, write, from, info);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temp);
		return bh_err_wrap(err, r, "cannot write '%s'", path);
	}
	sync_folder(path);
	return 0;
}

static void on_told(void *ctx, const struct bh_fact *fact)
{
	bh_fact_encode(fact, bh_cachefile_line(ctx));
	bh_cachefile_end_line(ctx);
}

static void write_facts(const void *from, struct bh_cachefile_writer *w)
{
	bh_world_told(from, BH_SOURCE_KUBE, on_told, w);
}

int bh_cachefile_write(const char *path, const struct bh_world *w, struct bh_cachefile_info *info,
		       struct bh_err *err)
{
	return bh_cachefile_write_lines(path, write_facts, w, info, err);
}

/* --- reading --------------------------------------------------------------------------- */

/* The last line's text and where it begins. */
static int read_foot(int fd, size_t size, char ret[MAX_FOOT + 1], size_t *ret_at,
		     struct bh_err *err)
{
	size_t want = size < MAX_FOOT ? size : MAX_FOOT;
	ssize_t n = pread(fd, ret, want, (off_t)(size - want));
	char *line;

	if (n < 0)
		return bh_err_wrap(err, -errno, "cannot be read");
	ret[n] = '\0';
	if ((size_t)n != want || want < 2 || ret[want - 1] != '\n' || strlen(ret) != want)
		return bh_err(err, -EINVAL, "is cut off");
	ret[want - 1] = '\0';
	line = strrchr(ret, '\n');
	if (!line)
		return bh_err(err, -EINVAL, "has no last line with a digest");
	memmove(ret, line + 1, strlen(line + 1) + 1);
	*ret_at = size - strlen(ret) - 1;
	return 0;
}

/* Also that no line is longer than what reading it may take in memory. */
static int check_body(int fd, size_t size, const char *foot, struct bh_err *err)
{
	bh_auto(free_digest) EVP_MD_CTX *md = new_digest();
	bh_auto_free char *chunk = bh_malloc(CHUNK);
	char hex[HEX_LEN + 1] = "", want[MAX_FOOT + 1];
	size_t at = 0, line = 0;

	while (at < size) {
		size_t ask = size - at < CHUNK ? size - at : CHUNK;
		ssize_t n = pread(fd, chunk, ask, (off_t)at);

		if (n <= 0)
			return bh_err(err, n < 0 ? -errno : -EINVAL, "cannot be read");
		EVP_DigestUpdate(md, chunk, (size_t)n);
		for (ssize_t i = 0; i < n; i++) {
			line = chunk[i] == '\n' ? 0 : line + 1;
			if (line > BH_CACHEFILE_MAX_LINE)
				return bh_err(err, -EFBIG, "has a line of over %zu bytes",
					      BH_CACHEFILE_MAX_LINE);
		}
		at += (size_t)n;
	}
	end_digest(md, hex);
	snprintf(want, sizeof(want), "{\"sha256\":\"%s\"}", hex);
	return strcmp(want, foot) == 0 ? 0
				       : bh_err(err, -EBADMSG, "is damaged: its digest is another");
}

struct bh_cachefile {
	FILE *file;
	char *line;
	size_t cap, at, size; /* in bytes; the foot is not in size */
	size_t number;        /* of the line */
};

static int take_head(const json_t *head, const char *wanted, struct bh_cachefile_info *info,
		     struct bh_err *err)
{
	const char *format = json_string_value(json_object_get(head, "format"));
	const char *of = json_string_value(json_object_get(head, kinds[info->kind].of));
	json_int_t version = json_integer_value(json_object_get(head, "version"));

	if (!format || strcmp(format, kinds[info->kind].format) != 0)
		return bh_err(err, -EINVAL, "is no state of %s", kinds[info->kind].what);
	if (version != BH_CACHEFILE_VERSION)
		return bh_err(err, -ENOTSUP, "has version %lld, this program reads %d",
			      (long long)version, BH_CACHEFILE_VERSION);
	if (!of || (*wanted && strcmp(of, wanted) != 0))
		return bh_err(err, -EINVAL, "is of another %s, %s", kinds[info->kind].of,
			      of ? of : "unknown");
	snprintf(info->of, sizeof(info->of), "%s", of);
	info->real_ns = (uint64_t)json_integer_value(json_object_get(head, "time"));
	return 0;
}

/* The next line's length; 0 at the end. */
static size_t next_line(struct bh_cachefile *f)
{
	ssize_t n = f->at < f->size ? getline(&f->line, &f->cap, f->file) : 0;

	if (n <= 0)
		return 0;
	f->at += (size_t)n;
	f->number++;
	return (size_t)n;
}

static int read_head(struct bh_cachefile *f, const char *wanted, struct bh_cachefile_info *info,
		     struct bh_err *err)
{
	size_t len = next_line(f);
	json_t *head = len > 0 ? json_loadb(f->line, len, 0, NULL) : NULL;
	int r = take_head(head, wanted, info, err);

	json_decref(head);
	return r;
}

static int check_file(int fd, size_t *ret_body, struct bh_err *err)
{
	char foot[MAX_FOOT + 1];
	struct stat st;
	size_t body = 0;
	int r;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return bh_err(err, -EINVAL, "is no regular file");
	if (st.st_size <= 0 || (uint64_t)st.st_size > BH_CACHEFILE_MAX + MAX_FOOT)
		return bh_err(err, -EFBIG, "is empty or over %zu bytes", BH_CACHEFILE_MAX);
	r = read_foot(fd, (size_t)st.st_size, foot, &body, err);
	if (r == 0)
		r = check_body(fd, body, foot, err);
	if (r == 0)
		*ret_body = body;
	return r;
}

static int open_stream(int fd, FILE **ret, struct bh_err *err)
{
	bh_auto_close int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *f = copy < 0 ? NULL : fdopen(copy, "r");

	if (!f)
		return bh_err_wrap(err, -errno, "cannot be read");
	(void)bh_take_fd(copy);
	rewind(f);
	*ret = f;
	return 0;
}

int bh_cachefile_open(struct bh_cachefile **ret, int fd, const char *of,
		      struct bh_cachefile_info *info, struct bh_err *err)
{
	bh_auto(bh_cachefile_close) struct bh_cachefile *f = bh_calloc(1, sizeof(*f));
	int r = check_file(fd, &f->size, err);

	if (r == 0)
		r = open_stream(fd, &f->file, err);
	if (r == 0)
		r = read_head(f, of, info, err);
	if (r == 0)
		*ret = bh_take_ptr(f);
	return r;
}

void bh_cachefile_close(struct bh_cachefile **f)
{
	if (!*f)
		return;
	if ((*f)->file)
		fclose((*f)->file);
	free((*f)->line);
	free(*f);
	*f = NULL;
}

/* What it says is enforced, so nobody else may have written it. */
int bh_cachefile_check_owner(int fd, struct bh_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return bh_err_wrap(err, -errno, "cannot be read");
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return bh_err(err, -EACCES, "others than this user can write to it");
	return 0;
}

int bh_cachefile_read_lines(struct bh_cachefile *f, int max,
			    int (*on_line)(void *ctx, const char *line, size_t len,
					   struct bh_err *err),
			    void *ctx, struct bh_err *err)
{
	size_t len;
	int n = 0;

	while (n < max && (len = next_line(f)) > 0) {
		int r = on_line(ctx, f->line, len, err);

		if (r < 0)
			return bh_err_wrap(err, r, "line %zu", f->number);
		n++;
	}
	return n;
}

struct fact_reader {
	void (*on_fact)(void *ctx, const struct bh_fact *fact);
	void *ctx;
};

static int read_fact(void *ctx, const char *line, size_t len, struct bh_err *err)
{
	bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
	const struct fact_reader *reader = ctx;
	struct bh_fact fact;
	int r = bh_fact_decode(line, len, BH_SOURCE_KUBE, arena, &fact, err);

	if (r == 0)
		reader->on_fact(reader->ctx, &fact);
	return r;
}

int bh_cachefile_read(struct bh_cachefile *f, int max,
		      void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx,
		      struct bh_err *err)
{
	struct fact_reader reader = { .on_fact = on_fact, .ctx = ctx };

	return bh_cachefile_read_lines(f, max, read_fact, &reader, err);
}
