#include "cachefile.h"

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

#define FORMAT   "bulkhead-kube-cache"
#define CHUNK    ((size_t)64 << 10)
#define HEX_LEN  64
#define MAX_FOOT 128

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

struct writer {
	int fd, r;
	EVP_MD_CTX *md;
	struct bh_buf buf;
	size_t n_facts, n_bytes;
};

static void flush_buf(struct writer *w)
{
	if (w->r == 0) {
		EVP_DigestUpdate(w->md, w->buf.data, w->buf.len);
		w->n_bytes += w->buf.len;
		w->r = w->n_bytes > BH_CACHEFILE_MAX ? -EFBIG
						     : bh_write_all(w->fd, w->buf.data, w->buf.len);
	}
	bh_buf_reset(&w->buf);
}

static void on_told(void *ctx, const struct bh_fact *fact)
{
	struct writer *w = ctx;

	bh_fact_encode(fact, &w->buf);
	bh_buf_putc(&w->buf, '\n');
	w->n_facts++;
	if (w->buf.len > CHUNK)
		flush_buf(w);
}

static int write_body(int fd, const struct bh_world *world, struct bh_cachefile_info *info)
{
	bh_auto(free_digest) EVP_MD_CTX *md = new_digest();
	struct writer w = { .fd = fd, .md = md };
	json_t *head =
		json_pack("{s:s, s:i, s:s, s:I}", "format", FORMAT, "version", BH_CACHEFILE_VERSION,
			  "server", info->server, "time", (json_int_t)info->real_ns);
	char *text = json_dumps(head, JSON_COMPACT);
	char hex[HEX_LEN + 1] = "";

	json_decref(head);
	bh_buf_puts(&w.buf, text ? text : "");
	bh_buf_putc(&w.buf, '\n');
	free(text);
	bh_world_told(world, BH_SOURCE_KUBE, on_told, &w);
	flush_buf(&w);
	end_digest(md, hex);
	bh_buf_printf(&w.buf, "{\"sha256\":\"%s\"}\n", hex);
	if (w.r == 0)
		w.r = bh_write_all(fd, w.buf.data, w.buf.len);
	info->n_facts = w.n_facts;
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

int bh_cachefile_write(const char *path, const struct bh_world *w, struct bh_cachefile_info *info,
		       struct bh_err *err)
{
	bh_auto_free char *temp = bh_asprintf("%s.tmp", path);
	bh_auto_close int fd = -1;
	int r;

	unlink(temp); /* of a run that was killed */
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return bh_err_wrap(err, -errno, "cannot create '%s'", temp);
	r = write_body(fd, w, info);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temp);
		return bh_err_wrap(err, r, "cannot write '%s'", path);
	}
	sync_folder(path);
	return 0;
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

static int read_head(const char *line, size_t len, const char *server,
		     struct bh_cachefile_info *info, struct bh_err *err)
{
	json_t *head = json_loadb(line, len, 0, NULL);
	const char *format = json_string_value(json_object_get(head, "format"));
	const char *of = json_string_value(json_object_get(head, "server"));
	json_int_t version = json_integer_value(json_object_get(head, "version"));
	int r = 0;

	if (!format || strcmp(format, FORMAT) != 0)
		r = bh_err(err, -EINVAL, "is no state of the Kubernetes API");
	else if (version != BH_CACHEFILE_VERSION)
		r = bh_err(err, -ENOTSUP, "has version %lld, this program reads %d",
			   (long long)version, BH_CACHEFILE_VERSION);
	else if (!of || (*server && strcmp(of, server) != 0))
		r = bh_err(err, -EINVAL, "is of another server, %s", of ? of : "unknown");
	if (r == 0) {
		snprintf(info->server, sizeof(info->server), "%s", of);
		info->real_ns = (uint64_t)json_integer_value(json_object_get(head, "time"));
	}
	json_decref(head);
	return r;
}

static int read_fact(const char *line, size_t len,
		     void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx,
		     struct bh_err *err)
{
	bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
	struct bh_fact fact;
	int r = bh_fact_decode(line, len, BH_SOURCE_KUBE, arena, &fact, err);

	if (r == 0)
		on_fact(ctx, &fact);
	return r;
}

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static int read_lines(int fd, size_t size, const char *server,
		      void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx,
		      struct bh_cachefile_info *info, struct bh_err *err)
{
	bh_auto_close int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	bh_auto(close_file) FILE *f = copy < 0 ? NULL : fdopen(copy, "r");
	bh_auto_free char *line = NULL;
	size_t cap = 0, at = 0, number = 0;
	ssize_t n;
	int r = 0;

	if (!f || fseek(f, 0, SEEK_SET) < 0)
		return bh_err(err, -errno, "cannot be read");
	(void)bh_take_fd(copy);
	while (r == 0 && at < size && (n = getline(&line, &cap, f)) > 0) {
		at += (size_t)n;
		if (number++ == 0)
			r = read_head(line, (size_t)n, server, info, err);
		else
			r = read_fact(line, (size_t)n, on_fact, ctx, err);
		if (r < 0)
			return bh_err_wrap(err, r, "line %zu", number);
	}
	if (number == 0)
		return bh_err(err, -EINVAL, "is no state of the Kubernetes API");
	info->n_facts = number - 1;
	return 0;
}

int bh_cachefile_read(int fd, const char *server,
		      void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx,
		      struct bh_cachefile_info *ret, struct bh_err *err)
{
	struct bh_cachefile_info info = { 0 };
	char foot[MAX_FOOT + 1];
	struct stat st;
	size_t body = 0;
	int r;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return bh_err(err, -EINVAL, "is no regular file");
	if (st.st_size <= 0 || (uint64_t)st.st_size > BH_CACHEFILE_MAX + MAX_FOOT)
		return bh_err(err, -EFBIG, "is empty or over %zu bytes", BH_CACHEFILE_MAX);
	info.n_bytes = (size_t)st.st_size;
	r = read_foot(fd, info.n_bytes, foot, &body, err);
	if (r == 0)
		r = check_body(fd, body, foot, err);
	if (r == 0)
		r = read_lines(fd, body, server, on_fact, ctx, &info, err);
	if (r == 0)
		*ret = info;
	return r;
}
