#include "test.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/serve/peer.h"
#include "bh/nl.h"

/* Another user's connection to @port, held until @done is closed. */
static pid_t connect_as(uid_t uid, const struct sockaddr *sa, socklen_t len, int done)
{
	pid_t pid = fork();
	char c;
	int fd;

	if (pid != 0)
		return pid;
	alarm(20);
	if (setuid(uid) < 0)
		_exit(1);
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, sa, len) < 0)
		_exit(1);
	(void)!read(done, &c, 1);
	_exit(0);
}

static void assert_peer_is(int family, uid_t uid)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *sa = family == AF_INET ? (struct sockaddr *)&in4 : (struct sockaddr *)&in6;
	socklen_t len = family == AF_INET ? sizeof(in4) : sizeof(in6);
	bh_auto(bh_nl_free) struct bh_nl *diag = NULL;
	int listener, fd, done[2], status;
	struct bh_err err = { 0 };
	pid_t pid;

	assert_ok(bh_nl_new(&diag, NETLINK_SOCK_DIAG, &err), &err);
	listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, sa, len) < 0)
		skip();
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, sa, &len), 0);
	assert_int_equal(pipe(done), 0);
	pid = connect_as(uid, sa, len, done[0]);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(bh_peer_uid(diag, fd), uid);
	assert_int_equal(bh_peer_uid(NULL, fd), BH_PEER_UNKNOWN);
	assert_int_equal(write(done[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(done[0]);
	close(done[1]);
	close(fd);
	close(listener);
}

static void the_user_at_the_other_end_of_loopback_is_known(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_peer_is(families[i], getuid());
		if (getuid() == 0)
			assert_peer_is(families[i], 65534);
	}
}

static void the_user_at_the_other_end_of_a_unix_socket_is_known(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(bh_peer_uid(NULL, fds[0]), getuid());
	close(fds[1]);
	close(fds[0]);
	assert_int_equal(bh_peer_uid(NULL, fds[0]), BH_PEER_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_user_at_the_other_end_of_loopback_is_known),
		cmocka_unit_test(the_user_at_the_other_end_of_a_unix_socket_is_known),
	};

	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
