#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/file.h"
#include "bh/flowlog.h"

static char dir[64], path[96];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s",
		 "/tmp/bh-flowfile-"
		 "XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/flows.json", dir);
	return 0;
}

static int remove_dir(void **state)
{
	char old[112];

	(void)state;
	snprintf(old, sizeof(old), "%s.1", path);
	unlink(path);
	unlink(old);
	return rmdir(dir);
}

static int put(struct bh_flowfile *f, const char *line)
{
	struct bh_flowlog_subscriber s = bh_flowfile_subscriber(f);

	return s.on_record(s.ctx, NULL, line);
}

static struct bh_flowfile *open_file(const char *name)
{
	struct bh_flowfile *f = NULL;
	struct bh_err err = { 0 };

	assert_ok(bh_flowfile_new(&f, name, &err), &err);
	return f;
}

static void assert_content(const char *name, const char *want)
{
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	size_t len;

	assert_ok(bh_read_file(name, 1 << 20, &text, &len, &err), &err);
	assert_string_equal(text, want);
}

static void set_content(const char *name, const char *text)
{
	FILE *file = fopen(name, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void lines_are_appended_to_what_is_there(void **state)
{
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = NULL;
	struct stat st;

	(void)state;
	f = open_file(path);
	assert_int_equal(put(f, "{1}"), 0);
	assert_int_equal(put(f, "{2}"), 0);
	bh_flowfile_free(&f);
	assert_null(f);
	f = open_file(path);
	assert_int_equal(put(f, "{3}"), 0);
	assert_content(path, "{1}\n{2}\n{3}\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0); /* nobody else may read it */
}

static void half_a_line_from_before_does_not_swallow_the_next(void **state)
{
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = NULL;

	(void)state;
	set_content(path, "{1}\n{2");
	f = open_file(path);
	assert_int_equal(put(f, "{3}"), 0);
	assert_int_equal(put(f, "{4}"), 0);
	assert_content(path, "{1}\n{2\n{3}\n{4}\n");
}

static void limit_size(rlim_t bytes)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

/* A file size limit makes write(2) take a part, as a full disk does. */
static void a_line_that_does_not_fit_leaves_no_part_of_it(void **state)
{
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = NULL;
	int full, fuller;

	(void)state;
	f = open_file(path);
	assert_int_equal(put(f, "{1}"), 0);
	limit_size(8);
	full = put(f, "{\"longer\":2}");
	fuller = put(f, "{\"longer\":2}");
	limit_size(RLIM_INFINITY);
	assert_int_equal(full, -ENOSPC);
	assert_int_equal(fuller, -ENOSPC);
	assert_content(path, "{1}\n");
	assert_int_equal(put(f, "{3}"), 0);
	assert_content(path, "{1}\n{3}\n");
}

static void reopening_follows_a_rotation(void **state)
{
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = NULL;
	struct bh_err err = { 0 };
	char old[112];

	(void)state;
	snprintf(old, sizeof(old), "%s.1", path);
	f = open_file(path);
	assert_int_equal(put(f, "{1}"), 0);
	assert_int_equal(rename(path, old), 0);
	assert_int_equal(put(f, "{2}"), 0);
	assert_ok(bh_flowfile_reopen(f, &err), &err);
	assert_int_equal(put(f, "{3}"), 0);
	assert_content(old, "{1}\n{2}\n");
	assert_content(path, "{3}\n");
}

static void a_failed_reopen_keeps_the_old_file(void **state)
{
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = NULL;
	struct bh_err err = { 0 };
	char old[112];

	(void)state;
	snprintf(old, sizeof(old), "%s.1", path);
	f = open_file(path);
	assert_int_equal(rename(path, old), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_err(bh_flowfile_reopen(f, &err), &err, -EISDIR, "cannot open flow log '");
	assert_contains(bh_err_text(&err), "keeping the open one");
	assert_int_equal(put(f, "{1}"), 0);
	assert_content(old, "{1}\n");
	assert_int_equal(rmdir(path), 0);
}

static void what_cannot_be_opened_is_named(void **state)
{
	struct bh_flowfile *f = NULL;
	struct bh_err err = { 0 };

	(void)state;
	assert_err(bh_flowfile_new(&f, "/nonexistent/flows.json", &err), &err, -ENOENT,
		   "cannot open flow log '/nonexistent/flows.json'");
	assert_null(f);
}

/* Reads until the pipe is empty; appends to @text. */
static size_t drain(int fd, char *text, size_t len, size_t max)
{
	ssize_t n;

	while (len + 1 < max && (n = read(fd, text + len, max - len - 1)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return len;
}

/* Each line of @text is whole: @len bytes between newlines. */
static size_t count_whole_lines(const char *text, size_t len)
{
	size_t n = 0;

	for (; *text; text += len + 1, n++) {
		assert_int_equal(strcspn(text, "\n"), len);
		assert_int_equal(text[len], '\n');
	}
	return n;
}

#define LINE_LEN 9000 /* more than a pipe takes in one piece (PIPE_BUF) */

static void fill(struct bh_flowfile *f, int fd)
{
	bh_auto_free char *line = bh_malloc(LINE_LEN + 1), *text = bh_malloc(1 << 20);
	size_t taken = 0, len;
	int r = 0;

	memset(line, 'x', LINE_LEN);
	line[LINE_LEN] = '\0';
	while (taken < 1000 && (r = put(f, line)) == 0)
		taken++;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(put(f, line), -EAGAIN);

	len = drain(fd, text, 0, 1 << 20);
	assert_int_equal(put(f, line), 0);
	taken++;
	drain(fd, text, len, 1 << 20);
	assert_int_equal(count_whole_lines(text, LINE_LEN), taken);
}

static void a_pipe_that_nobody_reads_blocks_nobody_and_breaks_no_line(void **state)
{
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = NULL;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	f = open_file(path); /* before there is a reader */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	fill(f, fd);
	/* A reader that goes and comes back. */
	close(fd);
	assert_int_equal(put(f, "{1}"), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(put(f, "{2}"), 0);
	close(fd);
}

/* Makes @fd standard output while @f is opened on "-". */
static struct bh_flowfile *open_stdout_on(int fd)
{
	int saved = dup(STDOUT_FILENO);
	struct bh_flowfile *f;

	assert_true(saved >= 0);
	fflush(stdout);
	assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	f = open_file("-");
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	close(saved);
	return f;
}

static void standard_output_is_not_waited_for_and_not_changed_for_others(void **state)
{
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = NULL;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	f = open_stdout_on(fds[1]);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	fill(f, fds[0]);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(put(f, "{1}"), -EPIPE);
}

static void standard_output_may_be_a_socket(void **state)
{
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = NULL;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	f = open_stdout_on(fds[1]);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	fill(f, fds[0]);
	close(fds[0]);
	close(fds[1]);
}

/* --- limits ------------------------------------------------------------------------ */

/* What the flow log does with a record. */
static int offer(struct bh_flowfile *f, const char *ns, const char *line)
{
	struct bh_flowlog_subscriber s = bh_flowfile_subscriber(f);
	const struct bh_record record = { .kind = BH_RECORD_FLOW,
					  .flow = { .src = { .pod = { .namespace = ns } } } };
	int r = s.on_offer(s.ctx, &record, line);

	return r == 0 ? s.on_record(s.ctx, &record, line) : r;
}

/* Of @n bytes with its newline. */
static const char *line_of(unsigned int number, char buf[101])
{
	memset(buf, 'x', 100);
	snprintf(buf, 100, "%06u", number);
	buf[6] = ' ';
	buf[99] = '\0';
	return buf;
}

static size_t count_lines(const char *name, unsigned int *first, unsigned int *last)
{
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	size_t len = 0;

	assert_ok(bh_read_file(name, 1u << 20, &text, &len, &err), &err);
	assert_int_equal(len % 100, 0);
	for (size_t i = 0; i < len; i += 100)
		assert_int_equal(text[i + 99], '\n');
	if (len > 0) {
		*first = (unsigned int)strtoul(text, NULL, 10);
		*last = (unsigned int)strtoul(text + len - 100, NULL, 10);
	}
	return len / 100;
}

static const char *old_path(unsigned int n, char buf[128])
{
	snprintf(buf, 128, "%s.old.%u", path, n);
	return buf;
}

static void remove_old(void)
{
	char name[128];

	for (unsigned int i = 1; i <= 4; i++)
		unlink(old_path(i, name));
}

static void a_file_that_is_full_is_exchanged_and_no_line_is_lost_or_split(void **state)
{
	const struct bh_flowfile_limits limits = { .max_bytes = 1050, .keep = 3 };
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = open_file(path);
	unsigned int first = 0, last = 0;
	char name[128], line[101];
	struct stat st;

	(void)state;
	assert_int_equal(chmod(path, 0604), 0);
	bh_flowfile_limit(f, &limits);
	for (unsigned int i = 0; i < 35; i++)
		assert_int_equal(offer(f, "a", line_of(i, line)), 0);
	assert_int_equal(bh_flowfile_stats(f).rotations, 3);
	assert_int_equal(bh_flowfile_stats(f).bytes, 500);
	for (unsigned int i = 1; i <= 3; i++) {
		assert_int_equal(count_lines(old_path(i, name), &first, &last), 10);
		assert_int_equal(first, (3 - i) * 10);
		assert_int_equal(last, (3 - i) * 10 + 9);
	}
	assert_int_equal(count_lines(path, &first, &last), 5);
	assert_int_equal(first, 30);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0604);
	/* No more than are to be kept. */
	for (unsigned int i = 35; i < 45; i++)
		assert_int_equal(offer(f, "a", line_of(i, line)), 0);
	assert_int_equal(count_lines(old_path(3, name), &first, &last), 10);
	assert_int_equal(first, 10);
	assert_int_equal(access(old_path(4, name), F_OK), -1);
	remove_old();
}

static void a_file_may_be_moved_away_by_others_as_well(void **state)
{
	const struct bh_flowfile_limits limits = { .max_bytes = 1050, .keep = 1 };
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = open_file(path);
	unsigned int first = 0, last = 0;
	char name[128], line[101];
	struct bh_err err = { 0 };

	(void)state;
	bh_flowfile_limit(f, &limits);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(offer(f, "a", line_of(i, line)), 0);
	/* logrotate, which tells us by and by. */
	snprintf(name, sizeof(name), "%s.1", path);
	assert_int_equal(rename(path, name), 0);
	for (unsigned int i = 8; i < 14; i++)
		assert_int_equal(offer(f, "a", line_of(i, line)), 0);
	assert_int_equal(count_lines(name, &first, &last), 10);
	assert_int_equal(count_lines(path, &first, &last), 4);
	assert_int_equal(first, 10);
	assert_ok(bh_flowfile_reopen(f, &err), &err);
	for (unsigned int i = 14; i < 21; i++)
		assert_int_equal(offer(f, "a", line_of(i, line)), 0);
	assert_int_equal(count_lines(old_path(1, name), &first, &last), 10);
	assert_int_equal(first, 10);
	/* And one that is cut in place has room again. */
	assert_int_equal(truncate(path, 0), 0);
	for (unsigned int i = 21; i < 31; i++)
		assert_int_equal(offer(f, "a", line_of(i, line)), 0);
	assert_int_equal(count_lines(path, &first, &last), 10);
	assert_int_equal(first, 21);
	remove_old();
}

static void without_rotation_a_full_file_takes_no_more(void **state)
{
	const struct bh_flowfile_limits limits = { .max_bytes = 1050 };
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = open_file(path);
	unsigned int first, last;
	char line[101];

	(void)state;
	bh_flowfile_limit(f, &limits);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(offer(f, "a", line_of(i, line)), 0);
	assert_int_equal(offer(f, "a", line_of(10, line)), -EOVERFLOW);
	assert_int_equal(bh_flowfile_stats(f).left_out_size, 1);
	/* What says so has room. */
	assert_int_equal(put(f, line_of(11, line)), 0);
	assert_int_equal(count_lines(path, &first, &last), 11);
}

static void a_folder_that_takes_no_file_is_told_of(void **state)
{
	const struct bh_flowfile_limits limits = { .max_bytes = 1050, .keep = 1 };
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = open_file(path);
	char name[128], line[101];

	(void)state;
	bh_flowfile_limit(f, &limits);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(offer(f, "a", line_of(i, line)), 0);
	/* A folder of that name is in the way of the new file, for root too. */
	snprintf(name, sizeof(name), "%s.new", path);
	assert_int_equal(mkdir(name, 0700), 0);
	assert_int_equal(offer(f, "a", line_of(10, line)), -EOVERFLOW);
	assert_contains(bh_flowfile_stats(f).trouble, "cannot make");
	assert_int_equal(rmdir(name), 0);
	remove_old();
}

static void the_rate_is_shared_among_namespaces(void **state)
{
	const struct bh_flowfile_limits limits = { .bytes_per_s = 1000 };
	bh_auto(bh_flowfile_free) struct bh_flowfile *f = open_file(path);
	char line[101];
	int n = 0;

	(void)state;
	bh_flowfile_limit(f, &limits);
	while (n < 1000 && offer(f, "evil", line_of(1, line)) == 0)
		n++;
	assert_in_range(n, 80, 200);
	assert_int_equal(offer(f, "evil", line_of(1, line)), -ENOBUFS);
	for (int i = 0; i < 10; i++)
		assert_int_equal(offer(f, "shop", line_of(2, line)), 0);
	assert_true(bh_flowfile_stats(f).left_out_rate >= 2);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_are_appended_to_what_is_there),
		TEST(half_a_line_from_before_does_not_swallow_the_next),
		TEST(a_line_that_does_not_fit_leaves_no_part_of_it),
		TEST(reopening_follows_a_rotation),
		TEST(a_failed_reopen_keeps_the_old_file),
		TEST(what_cannot_be_opened_is_named),
		TEST(a_pipe_that_nobody_reads_blocks_nobody_and_breaks_no_line),
		TEST(standard_output_is_not_waited_for_and_not_changed_for_others),
		TEST(standard_output_may_be_a_socket),
		TEST(a_file_that_is_full_is_exchanged_and_no_line_is_lost_or_split),
		TEST(a_file_may_be_moved_away_by_others_as_well),
		TEST(without_rotation_a_full_file_takes_no_more),
		TEST(a_folder_that_takes_no_file_is_told_of),
		TEST(the_rate_is_shared_among_namespaces),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("flowfile", tests, NULL, NULL);
}
