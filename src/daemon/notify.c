#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/clock.h"

static int open_socket(const char *path, int *ret, struct bh_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	bh_auto_close int fd = -1;

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(sun.sun_path))
		return bh_err(err, -EINVAL, "NOTIFY_SOCKET '%s' is not a socket's path", path);
	memcpy(sun.sun_path, path, len);
	/* "@" stands for the abstract namespace, unix(7). */
	if (path[0] == '@')
		sun.sun_path[0] = '\0';

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bh_err_wrap(err, -errno, "NOTIFY_SOCKET");
	if (connect(fd, (struct sockaddr *)&sun,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return bh_err_wrap(err, -errno, "NOTIFY_SOCKET '%s'", path);
	*ret = bh_take_fd(fd);
	return 0;
}

/* Half of the manager's patience, as sd_watchdog_enabled(3) recommends. */
static uint64_t watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long v;
	char *end;

	if (!usec || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	errno = 0;
	v = strtoull(usec, &end, 10);
	if (errno || end == usec || *end || v < 2000)
		return 0;
	return v / 2000;
}

int bh_notify_init(struct bh_notify *n, struct bh_err *err)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct bh_notify fresh = { .fd = -1, .watchdog_ms = watchdog_ms() };
	int r = path && *path ? open_socket(path, &fresh.fd, err) : 0;

	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (fresh.fd < 0)
		fresh.watchdog_ms = 0;
	*n = fresh;
	return r;
}

void bh_notify_done(struct bh_notify *n)
{
	bh_close(&n->fd);
}

void bh_notify_send(const struct bh_notify *n, const char *fmt, ...)
{
	struct bh_buf text = { 0 };
	va_list ap;

	if (n->fd < 0)
		return;
	va_start(ap, fmt);
	bh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	(void)!send(n->fd, text.data, text.len, MSG_NOSIGNAL);
	bh_buf_done(&text);
}

void bh_notify_reloading(const struct bh_notify *n)
{
	bh_notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)(bh_mono_ns() / 1000));
}
