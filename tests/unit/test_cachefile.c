#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/daemon/cachefile.h"
#include "bh/file.h"
#include "worldgen.h"

#define SERVER "https://10.96.0.1:443"

struct place {
	char folder[32], *path;
};

static int make_place(void **state)
{
	struct place *p = bh_calloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/test_cache.XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	p->path = bh_asprintf("%s/kube.cache", p->folder);
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

static struct bh_cachefile_info write_world(const struct place *p, const struct bh_world *w)
{
	struct bh_cachefile_info info = { .of = SERVER, .real_ns = 42 };
	struct bh_err err = { 0 };

	assert_ok(bh_cachefile_write(p->path, w, &info, &err), &err);
	assert_true(info.n_lines > 0);
	return info;
}

struct reader {
	struct bh_world *w;
	size_t n;
};

static void on_fact(void *ctx, const struct bh_fact *fact)
{
	struct reader *r = ctx;

	r->n++;
	if (r->w)
		assert_ok(bh_world_apply(r->w, fact, NULL), NULL);
}

/* In portions of three. */
static int read_all(int fd, const char *server, struct reader *r, struct bh_cachefile_info *info,
		    struct bh_err *err)
{
	bh_auto(bh_cachefile_close) struct bh_cachefile *f = NULL;
	int n = bh_cachefile_open(&f, fd, server, info, err);

	if (n < 0)
		return n;
	while ((n = bh_cachefile_read(f, 3, on_fact, r, err)) > 0)
		assert_in_range(n, 1, 3);
	return n;
}

static int read_back(const struct place *p, const char *server, struct reader *r,
		     struct bh_cachefile_info *info, struct bh_err *err)
{
	bh_auto_close int fd = open(p->path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return read_all(fd, server, r, info, err);
}

static void the_world_comes_back_with_time_and_server(void **state)
{
	const struct place *p = *state;
	struct bh_cachefile_info info = { 0 }, written;
	struct bh_err err = { 0 };
	struct reader r = { 0 };
	struct gen g;
	struct stat st;

	gen_init(&g, 1);
	gen_fill(&g);
	bh_world_settle(g.w);
	write_world(p, g.w);
	written = write_world(p, g.w); /* over what is there */
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	r.w = g.w;
	assert_ok(read_back(p, SERVER, &r, &info, &err), &err);
	assert_false(bh_world_is_dirty(g.w));
	assert_int_equal(written.n_lines, r.n);
	assert_int_equal(written.n_bytes, st.st_size);
	assert_int_equal(info.real_ns, 42);
	assert_string_equal(info.of, SERVER);
	gen_done(&g);
}

static void the_state_of_another_server_is_not_ours(void **state)
{
	struct bh_cachefile_info info = { 0 };
	struct bh_err err = { 0 };
	struct reader r = { 0 };
	struct gen g;

	gen_init(&g, 2);
	gen_fill(&g);
	write_world(*state, g.w);
	assert_int_equal(read_back(*state, "https://other", &r, &info, &err), -EINVAL);
	assert_int_equal(r.n, 0);
	assert_non_null(strstr(bh_err_text(&err), "another server, " SERVER));
	gen_done(&g);
}

/* Every byte that is another, and every length that is another. */
static void a_damaged_file_tells_nothing(void **state)
{
	const struct place *p = *state;
	bh_auto_free char *text = NULL;
	struct gen g;
	size_t len;

	gen_init(&g, 3);
	gen_fill(&g);
	write_world(p, g.w);
	gen_done(&g);
	assert_ok(bh_read_file(p->path, 1 << 20, &text, &len, NULL), NULL);
	for (size_t i = 0; i < 2 * len; i += 7) {
		bh_auto_close int fd = open(p->path, O_RDWR | O_TRUNC | O_CLOEXEC);
		struct bh_cachefile_info info = { 0 };
		struct bh_err err = { 0 };
		struct reader r = { 0 };
		size_t at = i % len;
		char before = text[at];

		text[at] = (char)(before ^ 1);
		assert_int_equal(bh_write_all(fd, text, i < len ? len : at), 0);
		text[at] = before;
		assert_true(read_all(fd, SERVER, &r, &info, &err) < 0);
		assert_int_equal(r.n, 0);
		assert_int_not_equal(bh_err_text(&err)[0], 0);
	}
}

static void what_cannot_be_written_leaves_what_is_there(void **state)
{
	const struct place *p = *state;
	bh_auto_free char *nowhere = bh_asprintf("%s/no/kube.cache", p->folder);
	struct bh_cachefile_info info = { .of = SERVER };
	struct bh_err err = { 0 };
	struct gen g;

	gen_init(&g, 4);
	gen_fill(&g);
	write_world(p, g.w);
	assert_int_equal(bh_cachefile_write(nowhere, g.w, &info, &err), -ENOENT);
	assert_non_null(strstr(bh_err_text(&err), "cannot create"));
	gen_done(&g);
}

static void write_three(const void *from, struct bh_cachefile_writer *w)
{
	for (int i = 0; i < 3; i++) {
		bh_buf_printf(bh_cachefile_line(w), "%s %d", (const char *)from, i);
		bh_cachefile_end_line(w);
	}
}

static int add_line(void *ctx, const char *line, size_t len, struct bh_err *err)
{
	(void)err;
	bh_buf_add(ctx, line, len);
	return 0;
}

static void lines_of_any_kind_come_back_as_that_kind_only(void **state)
{
	const struct place *p = *state;
	struct bh_cachefile_info info = { .kind = BH_CACHEFILE_MANIFESTS, .of = "/policies" };
	struct bh_cachefile_info kube = { .kind = BH_CACHEFILE_KUBE };
	struct bh_cachefile *f = NULL;
	struct bh_buf text = { 0 };
	struct bh_err err = { 0 };
	int fd;

	assert_ok(bh_cachefile_write_lines(p->path, write_three, "line", &info, &err), &err);
	assert_int_equal(info.n_lines, 3);
	fd = open(p->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(bh_cachefile_open(&f, fd, "", &kube, &err), -EINVAL);
	assert_non_null(strstr(bh_err_text(&err), "is no state of the Kubernetes API"));
	assert_int_equal(bh_cachefile_open(&f, fd, "/other", &info, &err), -EINVAL);
	assert_non_null(strstr(bh_err_text(&err), "is of another folder, /policies"));
	assert_ok(bh_cachefile_open(&f, fd, "/policies", &info, &err), &err);
	assert_int_equal(bh_cachefile_read_lines(f, 2, add_line, &text, &err), 2);
	assert_int_equal(bh_cachefile_read_lines(f, 2, add_line, &text, &err), 1);
	assert_int_equal(bh_cachefile_read_lines(f, 2, add_line, &text, &err), 0);
	assert_string_equal(bh_buf_str(&text), "line 0\nline 1\nline 2\n");
	bh_cachefile_close(&f);
	bh_buf_done(&text);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_world_comes_back_with_time_and_server,
						make_place, remove_place),
		cmocka_unit_test_setup_teardown(the_state_of_another_server_is_not_ours, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(a_damaged_file_tells_nothing, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(what_cannot_be_written_leaves_what_is_there,
						make_place, remove_place),
		cmocka_unit_test_setup_teardown(lines_of_any_kind_come_back_as_that_kind_only,
						make_place, remove_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
