#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../src/daemon/notify.h"
#include "test.h"

/* A service manager's end, on an abstract address of this process's own. */
static int manager(char name[64])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t len;

	snprintf(name, 64, "@bh-test-notify-%d", (int)getpid());
	len = strlen(name);
	memcpy(sun.sun_path + 1, name + 1, len - 1);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	return fd;
}

static void without_a_socket_everything_is_silent(void **state)
{
	struct bh_notify n;
	struct bh_err err = { 0 };

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "10000000", 1);
	assert_ok(bh_notify_init(&n, &err), &err);
	assert_int_equal(n.fd, -1);
	assert_int_equal(n.watchdog_ms, 0);
	bh_notify_send(&n, "READY=1");
	bh_notify_done(&n);
}

static void messages_arrive_and_the_environment_is_clean(void **state)
{
	bh_auto_close int fd = -1;
	char name[64], text[256] = "";
	struct bh_err err = { 0 };
	struct bh_notify n;

	(void)state;
	fd = manager(name);
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "10000000", 1);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("WATCHDOG_PID", text, 1);
	assert_ok(bh_notify_init(&n, &err), &err);
	assert_int_equal(n.watchdog_ms, 5000);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));

	memset(text, 0, sizeof(text));
	bh_notify_send(&n, "READY=1\nSTATUS=%s", "fine");
	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "READY=1\nSTATUS=fine");

	memset(text, 0, sizeof(text));
	bh_notify_reloading(&n);
	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_contains(text, "RELOADING=1\nMONOTONIC_USEC=");
	bh_notify_done(&n);
}

static void the_watchdog_of_another_process_is_not_ours(void **state)
{
	bh_auto_close int fd = -1;
	char name[64];
	struct bh_err err = { 0 };
	struct bh_notify n;

	(void)state;
	fd = manager(name);
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "10000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_ok(bh_notify_init(&n, &err), &err);
	assert_int_equal(n.watchdog_ms, 0);
	bh_notify_done(&n);
}

static void an_unusable_socket_is_an_error_with_its_name(void **state)
{
	struct bh_err err = { 0 };
	struct bh_notify n;

	(void)state;
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_err(bh_notify_init(&n, &err), &err, -EINVAL, "'relative' is not a socket's path");
	setenv("NOTIFY_SOCKET", "/no/such/notify", 1);
	assert_err(bh_notify_init(&n, &err), &err, -ENOENT, "/no/such/notify");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_socket_everything_is_silent),
		cmocka_unit_test(messages_arrive_and_the_environment_is_clean),
		cmocka_unit_test(the_watchdog_of_another_process_is_not_ours),
		cmocka_unit_test(an_unusable_socket_is_an_error_with_its_name),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
