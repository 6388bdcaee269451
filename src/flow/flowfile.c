/*
 * Appends records to a file, a FIFO or standard output, one whole line at a time,
 * and never waits: who does not read in time loses records and is told so.
 *
 * A regular file that took half a line (full disk) is cut back to the last whole
 * one.  From a pipe nothing can be taken back, so the rest is kept and goes out
 * before the next line.
 *
 * Gap records are no matter of the rate: there is at most one before each record that is
 * taken, and one a tick.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/flowlog.h"
#include "budget.h"

struct target {
	int fd;
	bool is_regular, is_socket;
	bool is_blocking; /* standard output that could not be opened again */
	bool is_torn;     /* the last byte is not the end of a line */
};

struct bh_flowfile {
	char *path;
	struct target to;
	uint64_t size; /* of a regular file, as far as is known */
	struct bh_flowfile_limits limits;
	struct flow_budget *budget; /* NULL: no limit */
	uint64_t retry_ns;          /* no try to rotate before that */
	struct bh_err trouble;
	struct bh_flowfile_stats stats;
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

static uint64_t size_of(const struct target *t)
{
	struct stat st;

	return t->is_regular && fstat(t->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
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
	(*ret)->size = size_of(&t);
	return 0;
}

void bh_flowfile_limit(struct bh_flowfile *f, const struct bh_flowfile_limits *limits)
{
	f->limits = *limits;
	flow_budget_free(&f->budget);
	if (limits->bytes_per_s)
		f->budget = flow_budget_new(limits->bytes_per_s);
}

struct bh_flowfile_stats bh_flowfile_stats(const struct bh_flowfile *f)
{
	struct bh_flowfile_stats s = f->stats;

	s.bytes = f->size;
	s.trouble = f->trouble.text[0] ? f->trouble.text : NULL;
	return s;
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
	if (f->to.is_regular)
		f->size += (size_t)n;
	if ((size_t)n == f->line.len) {
		f->to.is_torn = false;
		return 0;
	}
	if (!f->to.is_regular) {
		bh_buf_add(&f->rest, f->line.data + n, f->line.len - (size_t)n);
		return 0;
	}
	/* Only a full disk or a quota makes a file take a part, write(2). */
	if (take_back(&f->to, (size_t)n))
		f->size -= (size_t)n;
	else
		f->to.is_torn = true;
	return -ENOSPC;
}

/* --- limits ----------------------------------------------------------------------- */

/* FILE.old.N; to be freed. */
static char *old_name(const char *path, unsigned int n)
{
	return bh_asprintf("%s.old.%u", path, n);
}

static void shift_old(const char *path, unsigned int keep)
{
	for (unsigned int i = keep; i > 1; i--) {
		bh_auto_free char *from = old_name(path, i - 1), *to = old_name(path, i);

		rename(from, to);
	}
}

/* Somebody else may have moved ours away, and not told us yet. */
static bool is_still_there(const struct target *t, const char *path)
{
	struct stat ours, now;

	return fstat(t->fd, &ours) == 0 && stat(path, &now) == 0 && ours.st_ino == now.st_ino &&
	       ours.st_dev == now.st_dev;
}

/* A file like the old one: @from is its descriptor. */
static int make_new(const char *path, int from, struct target *ret, struct bh_err *err)
{
	struct target t = { .is_regular = true };
	struct stat st;

	unlink(path);
	t.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOCTTY | O_CLOEXEC, 0600);
	if (t.fd < 0)
		return bh_err_wrap(err, -errno, "cannot make '%s'", path);
	/* Best effort: without privileges, only a group of our own can be given. */
	if (fstat(from, &st) == 0) {
		(void)!fchown(t.fd, (uid_t)-1, st.st_gid);
		(void)!fchmod(t.fd, st.st_mode & 0777);
	}
	*ret = t;
	return 0;
}

/*
 * By a second name for the old file and then one rename, so that the name is never without
 * a file; where there are no hard links, by two.
 */
static int exchange(struct bh_flowfile *f, const char *path, struct bh_err *err)
{
	bh_auto_free char *old = old_name(path, 1), *fresh = bh_asprintf("%s.new", path);
	struct target t;
	int r = make_new(fresh, f->to.fd, &t, err);

	if (r < 0)
		return r;
	shift_old(path, f->limits.keep);
	unlink(old);
	if ((link(path, old) < 0 && rename(path, old) < 0) || rename(fresh, path) < 0) {
		r = bh_err_wrap(err, -errno, "cannot rename '%s'", path);
		bh_close(&t.fd);
		unlink(fresh);
		return r;
	}
	bh_close(&f->to.fd);
	f->to = t;
	return 0;
}

static int rotate(struct bh_flowfile *f, struct bh_err *err)
{
	/* Behind a symbolic link, what it leads to is exchanged. */
	bh_auto_free char *path = realpath(f->path, NULL);
	int r;

	if (path && is_still_there(&f->to, path))
		r = exchange(f, path, err);
	else
		r = bh_flowfile_reopen(f, err);
	if (r == 0)
		f->stats.rotations++;
	return r;
}

/* For the gap records of a file that is full. */
#define GAP_ROOM 65536

static bool has_room(const struct bh_flowfile *f, size_t len)
{
	/* One line fits into any file. */
	return f->size == 0 || f->size + len <= f->limits.max_bytes;
}

/* 0 if the line fits, after a rotation or without. */
static int make_room(struct bh_flowfile *f, size_t len)
{
	uint64_t now_ns = bh_mono_ns();

	if (!f->limits.max_bytes || !f->to.is_regular || strcmp(f->path, "-") == 0 ||
	    has_room(f, len))
		return 0;
	/* Somebody may have cut it. */
	f->size = size_of(&f->to);
	if (has_room(f, len))
		return 0;
	if (f->limits.keep == 0 || now_ns < f->retry_ns)
		return -EOVERFLOW;
	bh_err_clear(&f->trouble);
	if (rotate(f, &f->trouble) < 0) {
		f->retry_ns = now_ns + BH_NS_PER_S;
		return -EOVERFLOW;
	}
	f->size = size_of(&f->to);
	return has_room(f, len) ? 0 : -EOVERFLOW;
}

static size_t written_len(const char *line)
{
	return strlen(line) + 1;
}

static int on_offer(void *ctx, const struct bh_record *record, const char *line)
{
	struct bh_flowfile *f = ctx;
	size_t len = written_len(line);
	int r = make_room(f, len);

	if (r < 0) {
		f->stats.left_out_size++;
		return r;
	}
	if (f->budget &&
	    !flow_budget_take(f->budget, bh_record_tenant(record), len, bh_mono_ns())) {
		f->stats.left_out_rate++;
		return -ENOBUFS;
	}
	return 0;
}

static int on_record(void *ctx, const struct bh_record *record, const char *line)
{
	struct bh_flowfile *f = ctx;
	size_t len = written_len(line);
	int r = put_rest(f);

	(void)record;
	if (r < 0)
		return r;
	/* A gap record may have taken the room. */
	r = make_room(f, len);
	if (r < 0 && f->size + len > f->limits.max_bytes + GAP_ROOM)
		return r;
	bh_buf_reset(&f->line);
	bh_buf_puts(&f->line, f->to.is_torn ? "\n" : "");
	bh_buf_puts(&f->line, line);
	bh_buf_putc(&f->line, '\n');
	return put_line(f);
}

struct bh_flowlog_subscriber bh_flowfile_subscriber(struct bh_flowfile *f)
{
	return (struct bh_flowlog_subscriber){ .ctx = f,
					       .on_record = on_record,
					       .on_offer = on_offer };
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
	f->size = size_of(&t);
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
	flow_budget_free(&(*f)->budget);
	free((*f)->path);
	free(*f);
	*f = NULL;
}
