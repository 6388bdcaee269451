#include "bh/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/alloc.h"

int bh_read_fd(int fd, const char *name, size_t max, char **ret, size_t *ret_len,
	       struct bh_err *err)
{
	bh_auto_free char *buf = NULL;
	size_t cap = 0, used = 0;
	ssize_t n;

	for (;;) {
		if (used + 1 >= cap) {
			char *grown;

			cap = cap ? cap * 2 : 4096;
			grown = realloc(buf, cap);
			if (!grown)
				return bh_err_wrap(err, -ENOMEM, "cannot read '%s'", name);
			buf = grown;
		}
		n = read(fd, buf + used, cap - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return bh_err_wrap(err, -errno, "cannot read '%s'", name);
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max)
			return bh_err(err, -EFBIG, "'%s' is over %zu bytes", name, max);
	}
	buf[used] = '\0';
	*ret = bh_take_ptr(buf);
	*ret_len = used;
	return 0;
}

int bh_read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct bh_err *err)
{
	/* O_NONBLOCK: a FIFO in a folder of manifests must not stop us. */
	bh_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return bh_err_wrap(err, -errno, "cannot open '%s'", path);
	if (fstat(fd, &st) < 0)
		return bh_err_wrap(err, -errno, "cannot stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return bh_err(err, -EINVAL, "'%s' is not a regular file", path);
	return bh_read_fd(fd, path, max, ret, ret_len, err);
}

int bh_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
