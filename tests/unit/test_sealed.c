#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/daemon/sealed.h"
#include "bh/file.h"

#define MAX ((size_t)1 << 20)

struct place {
	char folder[32], *path;
};

static int make_place(void **state)
{
	struct place *p = bh_calloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/test_sealed.XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	p->path = bh_asprintf("%s/file", p->folder);
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;

	unlink(p->path);
	assert_int_equal(rmdir(p->folder), 0); /* nothing else was left there */
	free(p->path);
	free(p);
	return 0;
}

static void write_file(const struct place *p, const void *body, size_t len)
{
	bh_auto(bh_buf_done) struct bh_buf buf = { 0 };
	json_t *head = json_pack("{s:i}", "version", 1);
	struct bh_err err = { 0 };

	bh_buf_add(&buf, body, len);
	assert_ok(bh_sealed_write(p->path, head, &buf, &err), &err);
	json_decref(head);
}

static int read_file(const struct place *p, struct bh_buf *body, struct bh_err *err)
{
	json_t *head = NULL;
	int r = bh_sealed_read(p->path, MAX, &head, body, err);

	if (r == 0)
		assert_int_equal(json_integer_value(json_object_get(head, "version")), 1);
	json_decref(head);
	return r;
}

static void what_was_written_is_read(void **state)
{
	static const char bodies[][6] = { "a\nb\0c", "" };
	const struct place *p = *state;
	struct stat st;

	for (size_t i = 0; i < BH_ARRAY_LEN(bodies); i++) {
		bh_auto(bh_buf_done) struct bh_buf body = { 0 };
		size_t len = i == 0 ? sizeof(bodies[0]) : 0;
		struct bh_err err = { 0 };

		write_file(p, bodies[i], len);
		assert_ok(read_file(p, &body, &err), &err);
		assert_int_equal(body.len, len);
		assert_memory_equal(bh_buf_str(&body), bodies[i], len);
	}
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void any_byte_that_changes_or_lacks_is_damage(void **state)
{
	const struct place *p = *state;
	bh_auto_free char *data = NULL;
	struct bh_err err = { 0 };
	size_t len = 0;

	write_file(p, "body", 4);
	assert_ok(bh_read_file(p->path, MAX, &data, &len, &err), &err);
	for (size_t i = 0; i < 2 * len; i++) {
		bh_auto(bh_buf_done) struct bh_buf body = { 0 };
		bh_auto_close int fd = open(p->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

		data[i % len] ^= 1;
		assert_int_equal(bh_write_all(fd, data, i < len ? len : i - len), 0);
		data[i % len] ^= 1;
		assert_err(read_file(p, &body, &err), &err, -EBADMSG, "is damaged");
		assert_int_equal(body.len, 0);
	}
}

static void a_file_of_others_is_refused(void **state)
{
	const struct place *p = *state;
	bh_auto(bh_buf_done) struct bh_buf body = { 0 };
	struct bh_err err = { 0 };

	assert_int_equal(read_file(p, &body, &err), -ENOENT);
	write_file(p, "body", 4);
	assert_int_equal(chmod(p->path, 0622), 0);
	assert_err(read_file(p, &body, &err), &err, -EPERM, "not only ours");
	unlink(p->path);
	assert_int_equal(symlink("/etc/passwd", p->path), 0);
	assert_int_equal(read_file(p, &body, &err), -ELOOP);
	unlink(p->path);
	assert_int_equal(mkfifo(p->path, 0600), 0);
	assert_err(read_file(p, &body, &err), &err, -EINVAL, "not a regular file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_read, make_place, remove_place),
		cmocka_unit_test_setup_teardown(any_byte_that_changes_or_lacks_is_damage,
						make_place, remove_place),
		cmocka_unit_test_setup_teardown(a_file_of_others_is_refused, make_place,
						remove_place),
	};

	return cmocka_run_group_tests_name("sealed", tests, NULL, NULL);
}
