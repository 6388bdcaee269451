#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bh/alloc.h"

/* Who asks must not wait for a connection again because others ask as well. */
#define BACKLOG 1024
/* To make the lock, while an agent of 0.1.0 may be starting. */
#define MAX_TRIES 3

static int make_folder(const char *path, struct bh_err *err)
{
	bh_auto_free char *copy = bh_strdup(path);
	const char *dir = dirname(copy);

	if (mkdir(dir, 0755) < 0) {
		if (errno == EEXIST)
			return 0;
		return bh_err_wrap(err, -errno, "cannot make the folder '%s'", dir);
	}
	/* Whatever the umask: who may connect is for the socket to say. */
	if (chmod(dir, 0755) < 0)
		return bh_err_wrap(err, -errno, "cannot chmod '%s'", dir);
	return 0;
}

static int lock_fd(int fd, const char *path, const char *name, struct bh_err *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return bh_err(err, -EADDRINUSE, "another agent is running on '%s'", path);
	return bh_err_wrap(err, -errno, "cannot lock '%s'", name);
}

/* The file of 0.1.0 makes room, unless an agent of that version has it. */
static int remove_old_lock(const char *path, const char *name, struct bh_err *err)
{
	bh_auto_close int fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : bh_err_wrap(err, -errno, "cannot open '%s'", name);
	r = lock_fd(fd, path, name, err);
	if (r == 0 && unlink(name) < 0)
		r = bh_err_wrap(err, -errno, "cannot remove '%s'", name);
	return r;
}

/*
 * The lock is a folder, which stays.  Version 0.1.0 locks a file of that name and does not
 * start where it cannot open one.  It would take the table over and keep of it only what it
 * knows: no quarantine, nothing that is closed until its pod is known, no guarded ports.
 */
static int take_lock(const char *path, int *ret, struct bh_err *err)
{
	bh_auto_free char *name = bh_asprintf("%s.lock", path);
	bh_auto_close int fd = -1;
	int r = 0;

	for (int i = 0; i < MAX_TRIES && r == 0 && fd < 0; i++) {
		if (mkdir(name, 0700) < 0 && errno != EEXIST)
			return bh_err_wrap(err, -errno, "cannot make '%s'", name);
		fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno == ENOTDIR)
			r = remove_old_lock(path, name, err);
		else if (fd < 0)
			r = bh_err_wrap(err, -errno, "cannot open '%s'", name);
	}
	if (r == 0 && fd < 0)
		r = bh_err(err, -EEXIST, "'%s' is not a folder", name);
	if (r == 0)
		r = lock_fd(fd, path, name, err);
	if (r == 0)
		*ret = bh_take_fd(fd);
	return r;
}

/* Removes the socket file of an agent that is gone. */
static int clear_path(const struct sockaddr_un *sun, struct bh_err *err)
{
	bh_auto_close int fd = -1;
	struct stat st;

	if (lstat(sun->sun_path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return bh_err_wrap(err, -errno, "cannot stat '%s'", sun->sun_path);
	}
	if (!S_ISSOCK(st.st_mode))
		return bh_err(err, -EEXIST, "'%s' exists and is not a socket", sun->sun_path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bh_err_wrap(err, -errno, "socket");
	/* EAGAIN: somebody listens and has no room. */
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 || errno == EAGAIN)
		return bh_err(err, -EADDRINUSE, "another program listens on '%s'", sun->sun_path);
	if (errno != ECONNREFUSED)
		return bh_err_wrap(err, -errno, "cannot tell who owns '%s'", sun->sun_path);
	if (unlink(sun->sun_path) < 0)
		return bh_err_wrap(err, -errno, "cannot remove the stale '%s'", sun->sun_path);
	return 0;
}

int bh_unix_listen(struct bh_unix_listener *ret, const char *path, struct bh_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	bh_auto_close int lock_fd = -1;
	bh_auto_close int fd = -1;
	int r;

	if (strlen(path) >= sizeof(sun.sun_path))
		return bh_err(err, -ENAMETOOLONG, "socket path over %zu characters: '%s'",
			      sizeof(sun.sun_path) - 1, path);
	if (path[0] != '/')
		return bh_err(err, -EINVAL, "socket path '%s' does not start with /", path);
	memcpy(sun.sun_path, path, strlen(path) + 1);

	r = make_folder(path, err);
	if (r < 0)
		return r;
	r = take_lock(path, &lock_fd, err);
	if (r < 0)
		return r;
	r = clear_path(&sun, err);
	if (r < 0)
		return r;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bh_err_wrap(err, -errno, "socket");
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return bh_err_wrap(err, -errno, "cannot bind '%s'", path);
	/* Nobody can connect before listen(), whatever the umask was. */
	if (chmod(path, 0660) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		unlink(path);
		return bh_err_wrap(err, r, "cannot listen on '%s'", path);
	}

	*ret = (struct bh_unix_listener){
		.path = bh_strdup(path),
		.fd = bh_take_fd(fd),
		.lock_fd = bh_take_fd(lock_fd),
	};
	return 0;
}

void bh_unix_unlisten(struct bh_unix_listener *l)
{
	/*
	 * The lock stays: who removes it takes away a lock that another
	 * may hold on the same folder by now.
	 */
	if (l->path)
		unlink(l->path);
	free(l->path);
	l->path = NULL;
	bh_close(&l->fd);
	bh_close(&l->lock_fd);
}

bool bh_is_loopback(const struct bh_addr *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	if (a->family == BH_IPV4)
		return a->bytes[0] == 127;
	return !memcmp(a->bytes, v6, sizeof(v6));
}

static socklen_t fill_sockaddr(const struct bh_addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	if (a->family == BH_IPV4) {
		struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };

		memcpy(&sin.sin_addr, a->bytes, 4);
		memcpy(ss, &sin, sizeof(sin));
		return sizeof(sin);
	}

	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memcpy(&sin6.sin6_addr, a->bytes, 16);
	memcpy(ss, &sin6, sizeof(sin6));
	return sizeof(sin6);
}

int bh_tcp_listen(const struct bh_addr *addr, uint16_t port, int *ret, struct bh_err *err)
{
	int family = addr->family == BH_IPV4 ? AF_INET : AF_INET6;
	struct sockaddr_storage ss = { 0 };
	char text[BH_ADDR_STRLEN];
	bh_auto_close int fd = -1;
	socklen_t len;
	int on = 1;

	bh_addr_format(addr, text);
	if (!bh_is_loopback(addr))
		return bh_err(err, -EINVAL, "%s is not a loopback address", text);

	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bh_err_wrap(err, -errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	len = fill_sockaddr(addr, port, &ss);
	if (bind(fd, (const struct sockaddr *)&ss, len) < 0 || listen(fd, BACKLOG) < 0)
		return bh_err_wrap(err, -errno, "cannot listen on %s port %u", text, port);

	*ret = bh_take_fd(fd);
	return 0;
}
