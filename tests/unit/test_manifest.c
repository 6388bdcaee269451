#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/buf.h"
#include "bh/file.h"
#include "bh/manifest.h"

/* What a sink was told, one event a line. */
struct seen {
	struct bh_buf log;
	size_t n_synced;
};

static const char *fact_name(const struct bh_fact *f, const char **ns)
{
	*ns = "";
	switch (f->kind) {
	case BH_KIND_POD: *ns = f->pod.namespace; return f->pod.name;
	case BH_KIND_NAMESPACE: return f->ns.name;
	case BH_KIND_NODE: return f->node.name;
	case BH_KIND_POLICY: *ns = f->policy.namespace; return f->policy.name;
	case BH_KIND_COUNT_: break;
	}
	abort();
}

static const char kind_letter[] = {
	[BH_KIND_POD] = 'P', [BH_KIND_NAMESPACE] = 'N', [BH_KIND_NODE] = 'H', [BH_KIND_POLICY] = 'R'
};

static void on_put(void *ctx, const struct bh_fact *f)
{
	struct seen *s = ctx;
	const char *ns, *name = fact_name(f, &ns);

	assert_int_equal(f->source, BH_SOURCE_MANIFEST);
	bh_buf_printf(&s->log, "+%c %s/%s%s\n", kind_letter[f->kind], ns, name,
		      f->kind == BH_KIND_POLICY && f->policy.invalid ? " invalid" : "");
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	struct seen *s = ctx;

	bh_buf_printf(&s->log, "-%c %s/%s%s%s\n", kind_letter[key->kind], key->namespace, key->name,
		      *key->uid ? " " : "", key->uid);
}

static void on_synced(void *ctx, enum bh_source source)
{
	struct seen *s = ctx;

	assert_int_equal(source, BH_SOURCE_MANIFEST);
	s->n_synced++;
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	struct seen *s = ctx;
	const char *base = strrchr(subject, '/');

	assert_int_equal(source, BH_SOURCE_MANIFEST);
	bh_buf_printf(&s->log, "!%s: %s\n", base ? base + 1 : subject, text ? text : "over");
}

static struct bh_sink sink_of(struct seen *s)
{
	return (struct bh_sink){
		.ctx = s,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_synced = on_synced,
		.on_problem = on_problem,
	};
}

/* --- a folder of its own for each test ------------------------------------------ */

struct dir {
	char path[64];
};

static int setup(void **state)
{
	struct dir *d = bh_calloc(1, sizeof(*d));

	strcpy(d->path, "/tmp/bh-manifest-XXXXXX");
	*state = d;
	return mkdtemp(d->path) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int teardown(void **state)
{
	struct dir *d = *state;

	remove_tree(d->path);
	free(d);
	return 0;
}

/* Writes aside and renames, as an editor does. */
static void put_file(const struct dir *d, const char *name, const char *text)
{
	bh_auto_free char *path = bh_asprintf("%s/%s", d->path, name);
	bh_auto_free char *aside = bh_asprintf("%s/.aside", d->path);
	int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(bh_write_all(fd, text, strlen(text)), 0);
	close(fd);
	assert_int_equal(rename(aside, path), 0);
}

static void make_dir(const struct dir *d, const char *name)
{
	bh_auto_free char *path = bh_asprintf("%s/%s", d->path, name);

	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const struct dir *d, const char *target, const char *name)
{
	bh_auto_free char *path = bh_asprintf("%s/%s", d->path, name);

	assert_int_equal(symlink(target, path), 0);
}

#define POLICY(name, spec)                                                                         \
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: " name          \
	"\n  namespace: shop\nspec: " spec "\n"
#define POD(name, ip)                                                                              \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name                                        \
	", namespace: shop}\nstatus: {podIP: " ip "}\n"

/* --- loading once --------------------------------------------------------------- */

/* The number of problems; the log of events is in *log, to be freed. */
static int load(const struct dir *d, char **log)
{
	struct seen s = { 0 };
	struct bh_sink sink = sink_of(&s);
	struct bh_err err = { 0 };
	int r = bh_manifest_load(d->path, &sink, &err);

	assert_ok(r, &err);
	assert_int_equal(s.n_synced, 1);
	*log = bh_buf_take(&s.log);
	return r;
}

static void a_folder_is_read_with_its_subfolders_and_without_what_is_hidden(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *log = NULL;

	make_dir(d, "sub");
	make_dir(d, ".git");
	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	put_file(d, "sub/a.yml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
	put_file(d, "c.json",
		 "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":"
		 "\"n1\"}}");
	put_file(d, ".git/x.yaml", "[");
	put_file(d, ".b.yaml.swp", "[");
	put_file(d, "b.yaml~", "[");
	put_file(d, "notes.txt", "[");
	assert_int_equal(load(d, &log), 0);
	assert_string_equal(log, "+N /shop\n+H /n1\n+P shop/b\n");
}

static void a_file_with_several_documents_and_lists_is_taken_apart(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *log = NULL;

	put_file(d, "a.yaml",
		 POD("a", "10.0.0.1") "---\n" POLICY(
			 "p", "{}") "---\nkind: PodList\napiVersion: v1\nitems:\n"
				    "- metadata: {name: b}\n- metadata: {name: c}\n"
				    "---\nkind: Service\napiVersion: v1\n");
	assert_int_equal(load(d, &log), 0);
	assert_string_equal(log, "+R shop/p\n+P shop/a\n+P default/b\n+P default/c\n");
}

static void a_file_that_was_never_good_is_applied_closed_as_far_as_it_goes(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *log = NULL;

	put_file(d, "a.yaml",
		 POD("a", "10.0.0.1") "---\n" POLICY("good", "{}") "---\n" POLICY(
			 "bad", "\n  ingress:\n  - ports:\n    - port: 0"));
	put_file(d, "b.yaml", "a: [\n");
	assert_int_equal(load(d, &log), 2);
	assert_contains(log, "+R shop/good\n+R shop/bad invalid\n+P shop/a\n");
	assert_contains(log, "!a.yaml: line 21: NetworkPolicy shop/bad: "
			     "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 "
			     "and 65535, inclusive\n");
	assert_contains(log, "!b.yaml: line 2: ");
}

static void warnings_are_told_and_are_no_problems(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *log = NULL;

	put_file(d, "a.yaml", POLICY("p", "\n  podSelector: {}\n  ingres: []"));
	assert_int_equal(load(d, &log), 0);
	assert_contains(log, "+R shop/p\n!a.yaml: warning: line 8: NetworkPolicy shop/p: unknown "
			     "field \"spec.ingres\"\n");
}

static void of_two_files_with_one_object_the_first_by_path_counts(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *log = NULL;

	put_file(d, "b.yaml", POD("x", "10.0.0.2"));
	put_file(d, "a.yaml", POD("x", "10.0.0.1"));
	put_file(d, "c.yaml", POD("w", "10.0.0.1") "---\n" POD("w", "10.0.0.2"));
	assert_int_equal(load(d, &log), 2);
	assert_contains(log, "+P shop/x\n+P shop/w\n!b.yaml: Pod shop/x is described in '");
	assert_contains(log, "/a.yaml' too, which counts\n");
	assert_contains(log, "!c.yaml: Pod shop/w is described twice in this file; the first "
			     "counts\n");
}

static void what_is_no_regular_file_is_a_problem_and_stops_nothing(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *log = NULL, *fifo = bh_asprintf("%s/f.yaml", d->path);

	assert_int_equal(mkfifo(fifo, 0644), 0);
	make_link(d, "nowhere", "l.yaml");
	make_link(d, ".", "loop");
	put_file(d, "z.yaml", POD("z", "10.0.0.1"));
	assert_int_equal(load(d, &log), 3);
	assert_contains(log, "!f.yaml: '");
	assert_contains(log, "is not a regular file\n");
	assert_contains(log, "!l.yaml: cannot open: No such file or directory\n");
	assert_contains(log, "!loop: folders are nested in a circle");
	assert_contains(log, "+P shop/z\n");
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *path = bh_asprintf("%s/none", d->path);
	struct seen s = { 0 };
	struct bh_sink sink = sink_of(&s);
	struct bh_err err = { 0 };

	assert_err(bh_manifest_load(path, &sink, &err), &err, -ENOENT,
		   "/none: cannot read: No "
		   "such file");
	assert_int_equal(s.n_synced, 0);
	bh_buf_done(&s.log);
}

static int count(void *ctx, const struct bh_decoded *d)
{
	size_t *n = ctx;

	(void)d;
	(*n)++;
	return 0;
}

static void one_file_ends_with_its_first_problem(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *path = bh_asprintf("%s/a.yaml", d->path);
	struct bh_err err = { 0 };
	size_t n = 0;

	put_file(d, "a.yaml",
		 POD("a", "10.0.0.1") "---\n" POD("b", "10.0.0") "---\n" POD("c", "10.0.0.3"));
	assert_err(bh_manifest_load_file(path, BH_SOURCE_MANIFEST, count, &n, &err), &err, -EINVAL,
		   "/a.yaml:9: Pod shop/b: status.podIP: Invalid value: \"10.0.0\"");
	assert_int_equal(n, 1);
	put_file(d, "a.yaml", POLICY("p", "\n  ingress: 7"));
	assert_err(bh_manifest_load_file(path, BH_SOURCE_MANIFEST, count, &n, &err), &err, -EINVAL,
		   "/a.yaml:7: NetworkPolicy shop/p: spec.ingress: Invalid value");
	put_file(d, "a.yaml", POD("a", "10.0.0.1") "---\n" POD("b", "10.0.0.2"));
	assert_ok(bh_manifest_load_file(path, BH_SOURCE_MANIFEST, count, &n, &err), &err);
	assert_int_equal(n, 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_folder_is_read_with_its_subfolders_and_without_what_is_hidden),
		T(a_file_with_several_documents_and_lists_is_taken_apart),
		T(a_file_that_was_never_good_is_applied_closed_as_far_as_it_goes),
		T(warnings_are_told_and_are_no_problems),
		T(of_two_files_with_one_object_the_first_by_path_counts),
		T(what_is_no_regular_file_is_a_problem_and_stops_nothing),
		T(a_folder_that_is_not_there_is_an_error),
		T(one_file_ends_with_its_first_problem),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
