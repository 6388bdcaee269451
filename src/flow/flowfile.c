/*
 * Appends records to a file, a FIFO or standard output, one whole line at a time,
 * and never waits: who does not read in time loses records and is told so.
 *
 * A regular file that took half a line (full disk) is cut back to the last whole
 * one.  From a pipe nothing can be taken back, so the rest is kept and goes out
 * before the next line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/flowlog.h"

struct target {
	int fd;
	bool is_regular, is_socket;
	bool is_blocking; /* standard output that could not be opened again */
	bool is_torn;     /* the last byte is not the end of a line */
};

struct bh_flowfile {
	char *path;
	struct target to;
	struct bh_buf line; /* scratch */
	struct bh_buf rest; /* of a line that a pipe took in part */
};

/* --- opening -------------------------------------------------------------------- */

/* The agent may have died within a line, or the disk was full. */
static bool ends_in_line(int fd, off_t size)
{
	char last;

	return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

static int inspect(struct target *t, struct bh_err *err)
{
	struct stat st;

	if (fstat(t->fd, &st) < 0)
		return bh_err_wrap(err, -errno, "cannot stat");
	t->is_regular = S_ISREG(st.st_mode);
	t->is_socket = S_ISSOCK(st.st_mode);
	t->is_torn = t->is_regular && ends_in_line(t->fd, st.st_size);
	return 0;
}

/*
 * For reading too: a FIFO then opens before its reader is there and survives its
 * reader's restart, fifo(7).
 */
static int open_path(const char *path, struct target *t, struct bh_err *err)
{
	const int flags = O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int r;

	t->fd = open(path, flags | O_RDWR, 0640);
	if (t->fd < 0 && errno == EACCES)
		t->fd = open(path, flags | O_WRONLY, 0640);
	if (t->fd < 0)
		return bh_err_wrap(err, -errno, "cannot open flow log '%s'", path);
	r = inspect(t, err);
	if (r < 0) {
		bh_close(&t->fd);
		return bh_err_wrap(err, r, "flow log '%s'", path);
	}
	return 0;
}

/*
 * Opened again, because O_NONBLOCK on the inherited descriptor would change it for
 * everybody who shares it.  Sockets (journald's) cannot be opened, but sent to.
 */
static int open_stdout(struct target *t, struct bh_err *err)
{
	struct stat st;
	int r;

	t->fd = -1;
	if (fstat(STDOUT_FILENO, &st) == 0 && !S_ISSOCK(st.st_mode))
		t->fd = open("/proc/self/fd/1",
			     O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (t->fd < 0) {
		t->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		t->is_blocking = true;
	}
	if (t->fd < 0)
		return bh_err_wrap(err, -errno, "cannot use standard output");
	r = inspect(t, err);
	if (r < 0) {
		bh_close(&t->fd);
		return bh_err_wrap(err, r, "standard output");
	}
	return 0;
}

static int open_target(const char *path, struct target *ret, struct bh_err *err)
{
	struct target t = { .fd = -1 };
	int r = strcmp(path, "-") == 0 ? open_stdout(&t, err) : open_path(path, &t, err);

	if (r == 0)
		*ret = t;
	return r;
}

int bh_flowfile_new(struct bh_flowfile **ret, const char *path, struct bh_err *err)
{
	struct target t;
	int r = open_target(path, &t, err);

	if (r < 0)
		return r;
	*ret = bh_calloc(1, sizeof(**ret));
	(*ret)->path = bh_strdup(path);
	(*ret)->to = t;
	return 0;
}

/* --- writing -------------------------------------------------------------------- */

static ssize_t put(const struct target *t, const char *data, size_t len)
{
	struct pollfd p = { .fd = t->fd, .events = POLLOUT };
	ssize_t n;

	if (t->is_blocking && !t->is_socket && poll(&p, 1, 0) == 0)
		return -EAGAIN;
	do
		n = t->is_socket ? send(t->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
				 : write(t->fd, data, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* What a pipe still has to get of the line before. */
static int put_rest(struct bh_flowfile *f)
{
	ssize_t n;

	if (f->rest.len == 0)
		return 0;
	n = put(&f->to, f->rest.data, f->rest.len);
	if (n < 0)
		return (int)n;
	memmove(f->rest.data, f->rest.data + n, f->rest.len - (size_t)n);
	f->rest.len -= (size_t)n;
	return f->rest.len > 0 ? -EAGAIN : 0;
}

/* Takes the first @n bytes of a line back; 0 if nothing of it is left. */
static bool take_back(struct target *t, size_t n)
{
	struct stat st;

	return fstat(t->fd, &st) == 0 && st.st_size >= (off_t)n &&
	       ftruncate(t->fd, st.st_size - (off_t)n) == 0;
}

static int put_line(struct bh_flowfile *f)
{
	ssize_t n = put(&f->to, f->line.data, f->line.len);

	if (n < 0)
		return (int)n;
	if ((size_t)n == f->line.len) {
		f->to.is_torn = false;
		return 0;
	}
	if (!f->to.is_regular) {
		bh_buf_add(&f->rest, f->line.data + n, f->line.len - (size_t)n);
		return 0;
	}
	/* Only a full disk or a quota makes a file take a part, write(2). */
	if (!take_back(&f->to, (size_t)n))
		f->to.is_torn = true;
	return -ENOSPC;
}

static int on_record(void *ctx, const json_t *record, const char *line)
{
	struct bh_flowfile *f = ctx;
	int r = put_rest(f);

	(void)record;
	if (r < 0)
		return r;
	bh_buf_reset(&f->line);
	bh_buf_puts(&f->line, f->to.is_torn ? "\n" : "");
	bh_buf_puts(&f->line, line);
	bh_buf_putc(&f->line, '\n');
	return put_line(f);
}

struct bh_flowlog_subscriber bh_flowfile_subscriber(struct bh_flowfile *f)
{
	return (struct bh_flowlog_subscriber){ .ctx = f, .on_record = on_record };
}

int bh_flowfile_reopen(struct bh_flowfile *f, struct bh_err *err)
{
	struct target t;
	int r = open_target(f->path, &t, err);

	if (r < 0)
		return bh_err_wrap(err, r, "keeping the open one");
	(void)put_rest(f);
	bh_buf_reset(&f->rest);
	bh_close(&f->to.fd);
	f->to = t;
	return 0;
}

void bh_flowfile_free(struct bh_flowfile **f)
{
	if (!*f)
		return;
	(void)put_rest(*f);
	bh_close(&(*f)->to.fd);
	bh_buf_done(&(*f)->line);
	bh_buf_done(&(*f)->rest);
	free((*f)->path);
	free(*f);
	*f = NULL;
}
