#include "lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bh/alloc.h"

#define READ_BYTES (size_t)65536

void bh_cli_lines_init(struct bh_cli_lines *l, int fd, size_t max)
{
	*l = (struct bh_cli_lines){ .fd = fd, .max = max };
	l->buf = bh_malloc(max + 1 + READ_BYTES);
}

void bh_cli_lines_done(struct bh_cli_lines *l)
{
	free(l->buf);
	l->buf = NULL;
}

/* Makes room and reads; what is there is less than one line. */
static int fill(struct bh_cli_lines *l, struct bh_err *err)
{
	ssize_t n;

	memmove(l->buf, l->buf + l->start, l->end - l->start);
	l->end -= l->start;
	l->start = 0;
	if (l->before_read)
		l->before_read(l->ctx);
	do
		n = read(l->fd, l->buf + l->end, READ_BYTES);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return bh_err_wrap(err, -errno, "cannot read");
	l->is_over = n == 0;
	l->end += (size_t)n;
	return 0;
}

static int hand_out(struct bh_cli_lines *l, size_t len, size_t n_used, const char **ret,
		    size_t *ret_len)
{
	*ret = l->buf + l->start;
	*ret_len = len > l->max ? l->max + 1 : len;
	l->start += n_used;
	return 1;
}

/* The rest of a line of which the start was handed out. */
static void drop(struct bh_cli_lines *l)
{
	const char *from = l->buf + l->start;
	const char *newline = memchr(from, '\n', l->end - l->start);

	l->is_cut = !newline;
	l->start = newline ? (size_t)(newline - l->buf) + 1 : l->end;
}

int bh_cli_lines_next(struct bh_cli_lines *l, const char **ret, size_t *ret_len, struct bh_err *err)
{
	for (;;) {
		const char *newline;
		size_t len;
		int r;

		if (l->is_cut)
			drop(l);
		len = l->end - l->start;
		newline = memchr(l->buf + l->start, '\n', len);
		if (newline) {
			len = (size_t)(newline - (l->buf + l->start));
			return hand_out(l, len, len + 1, ret, ret_len);
		}
		if (len > l->max) {
			l->is_cut = true;
			return hand_out(l, len, len, ret, ret_len);
		}
		if (l->is_over)
			return len ? hand_out(l, len, len, ret, ret_len) : 0;
		r = fill(l, err);
		if (r < 0)
			return r;
	}
}
