#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/daemon/quarantinelist.h"
#include "bh/alloc.h"
#include "bh/file.h"

struct place {
	char folder[32], *state, *control;
	struct bh_copies copies;
};

static int make_place(void **ret)
{
	struct place *p = bh_calloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/test_list.XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	p->state = bh_asprintf("%s/state", p->folder);
	p->control = bh_asprintf("%s/sock", p->folder);
	assert_int_equal(mkdir(p->state, 0700), 0);
	bh_copies_init(&p->copies, p->state, p->control);
	assert_int_equal(p->copies.n, 3);
	*ret = p;
	return 0;
}

static int remove_place(void **ret)
{
	struct place *p = *ret;

	for (size_t i = 0; i < p->copies.n; i++) {
		bh_auto_free char *aside = bh_asprintf("%s.damaged", p->copies.paths[i]);

		(void)remove(p->copies.paths[i]);
		(void)remove(aside);
	}
	/* Nothing else was left there. */
	assert_int_equal(rmdir(p->state), 0);
	assert_int_equal(rmdir(p->folder), 0);
	bh_copies_done(&p->copies);
	free(p->state);
	free(p->control);
	free(p);
	return 0;
}

static void add(struct bh_quarantine_list *l, const char *target)
{
	bh_auto(bh_quarantine_done) struct bh_quarantine i = { .who = 7, .set_ns = 1000000000 };
	struct bh_err err = { 0 };

	assert_ok(bh_quarantine_parse_target(target, &i, &err), &err);
	i.reason = bh_strdup("because");
	bh_quarantine_list_put(l, &i);
}

static void write_list(struct place *p, const char *target)
{
	bh_auto(bh_quarantine_list_done) struct bh_quarantine_list l = { 0 };
	struct bh_err err = { 0 };
	bool is_complete = false;
	size_t n = 0;

	(void)bh_copies_read(&p->copies, &l, &is_complete, NULL);
	add(&l, target);
	assert_ok(bh_copies_write(&p->copies, &l, &n, &err), &err);
	assert_int_equal(n, 3);
	assert_true(bh_copies_are_intact(&p->copies));
}

static size_t read_list(struct place *p, bool *ret_is_complete)
{
	bh_auto(bh_quarantine_list_done) struct bh_quarantine_list l = { 0 };
	struct bh_err err = { 0 };

	assert_ok(bh_copies_read(&p->copies, &l, ret_is_complete, &err), &err);
	return l.n;
}

static void cut_off(const char *path)
{
	assert_int_equal(truncate(path, 100), 0);
}

static void overwrite(const char *path)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "\0\1\2\nnonsense\n", 14), 14);
	close(fd);
}

static void change(const char *path)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "X", 1, 150), 1);
	close(fd);
}

static void empty(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void take_away(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void let_others_write(const char *path)
{
	assert_int_equal(chmod(path, 0666), 0);
}

static void make_folder(const char *path)
{
	take_away(path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void make_link(const char *path)
{
	take_away(path);
	assert_int_equal(symlink("/dev/null", path), 0);
}

static const struct {
	const char *what;
	void (*spoil)(const char *path);
	int alone; /* what reading gives when every copy is like that */
} kinds[] = {
	{ "cut off", cut_off, -EBADMSG },     { "overwritten", overwrite, -EBADMSG },
	{ "changed", change, -EBADMSG },      { "empty", empty, -EFBIG },
	{ "gone", take_away, -ENOENT },       { "writable by others", let_others_write, -EACCES },
	{ "a folder", make_folder, -EINVAL }, { "a link", make_link, -ELOOP },
};

static void what_was_written_is_read(void **state)
{
	struct place *p = *state;
	bh_auto(bh_quarantine_list_done) struct bh_quarantine_list l = { 0 };
	bool is_complete = false;

	assert_int_equal(bh_copies_read(&p->copies, &l, &is_complete, NULL), -ENOENT);
	write_list(p, "shop/db");
	write_list(p, "shop/app=web,tier=x");
	assert_int_equal(bh_copies_read(&p->copies, &l, &is_complete, NULL), 0);
	assert_true(is_complete);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.serial, 2);
	assert_string_equal(l.items[1].name, "app=web,tier=x");
	assert_string_equal(l.items[0].reason, "because");
	assert_int_equal(l.items[0].who, 7);
	assert_int_equal(l.items[0].set_ns, 1000000000);
}

static void one_good_copy_is_enough(void **state)
{
	struct place *p = *state;
	bool is_complete;

	for (size_t k = 0; k < BH_ARRAY_LEN(kinds); k++) {
		for (size_t good = 0; good < p->copies.n; good++) {
			write_list(p, "shop/db");
			for (size_t i = 0; i < p->copies.n; i++)
				if (i != good)
					kinds[k].spoil(p->copies.paths[i]);
			assert_false(bh_copies_are_intact(&p->copies));
			is_complete = true;
			if (read_list(p, &is_complete) != 1 || is_complete)
				fail_msg("copy %zu good, the others %s", good, kinds[k].what);
		}
	}
}

static void no_good_copy_is_told_from_no_copy(void **state)
{
	struct place *p = *state;

	for (size_t k = 0; k < BH_ARRAY_LEN(kinds); k++) {
		bh_auto(bh_quarantine_list_done) struct bh_quarantine_list l = { 0 };
		bool is_complete = false;
		int r;

		write_list(p, "shop/db");
		for (size_t i = 0; i < p->copies.n; i++)
			kinds[k].spoil(p->copies.paths[i]);
		r = bh_copies_read(&p->copies, &l, &is_complete, NULL);
		if ((r == -ENOENT) != (kinds[k].alone == -ENOENT) || r == 0 || l.n > 0)
			fail_msg("%s: %d", kinds[k].what, r);
	}
}

static void the_highest_number_counts(void **state)
{
	struct place *p = *state;
	bh_auto_free char *old = bh_asprintf("%s.old", p->control);
	bool is_complete = true;

	write_list(p, "shop/db");
	assert_int_equal(rename(p->copies.paths[0], old), 0);
	write_list(p, "shop/web");
	assert_int_equal(rename(old, p->copies.paths[0]), 0);
	assert_false(bh_copies_are_intact(&p->copies));
	assert_int_equal(read_list(p, &is_complete), 2);
	assert_false(is_complete);
}

/* An older copy that stayed would be believed when the others are lost. */
static void a_copy_that_cannot_be_written_goes(void **state)
{
	struct place *p = *state;
	bh_auto(bh_quarantine_list_done) struct bh_quarantine_list l = { 0 };
	bh_auto_free char *temp = bh_asprintf("%s.tmp", p->copies.paths[1]);
	struct bh_err err = { 0 };
	size_t n = 0;

	write_list(p, "shop/db");
	assert_int_equal(mkdir(temp, 0700), 0); /* where the new file is written */
	add(&l, "shop/web");
	assert_true(bh_copies_write(&p->copies, &l, &n, &err) < 0);
	assert_int_equal(n, 2);
	assert_int_equal(access(p->copies.paths[1], F_OK), -1);
	assert_true(bh_copies_are_intact(&p->copies));
	assert_int_equal(rmdir(temp), 0);
}

static void a_loss_is_kept(void **state)
{
	struct place *p = *state;
	bh_auto(bh_quarantine_list_done) struct bh_quarantine_list l = { .lost = "a fire" };
	bh_auto(bh_quarantine_list_done) struct bh_quarantine_list got = { 0 };
	bool is_complete = false;
	size_t n = 0;

	assert_int_equal(bh_copies_write(&p->copies, &l, &n, NULL), 0);
	assert_int_equal(bh_copies_read(&p->copies, &got, &is_complete, NULL), 0);
	assert_string_equal(got.lost, "a fire");
	assert_int_equal(got.n, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_read),           TEST(one_good_copy_is_enough),
		TEST(no_good_copy_is_told_from_no_copy),  TEST(the_highest_number_counts),
		TEST(a_copy_that_cannot_be_written_goes), TEST(a_loss_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
