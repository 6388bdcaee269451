#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/buf.h"
#include "bh/file.h"
#include "../../src/manifest/store.h"
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

	put_file(d, "a.yaml", POLICY("p", "\n  podSelector: {}\n  ingress:\n  - ports:"));
	assert_int_equal(load(d, &log), 0);
	assert_contains(log, "+R shop/p\n!a.yaml: warning: line 9: NetworkPolicy shop/p: "
			     "spec.ingress[0].ports: null is read as if it were absent: the rule "
			     "allows all ports\n");
}

static void an_unknown_field_is_a_problem_and_closes_the_policy(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *log = NULL;

	put_file(d, "a.yaml", POLICY("p", "\n  podSelector: {}\n  ingres: []"));
	assert_int_equal(load(d, &log), 1);
	assert_contains(log, "+R shop/p invalid\n!a.yaml: line 8: NetworkPolicy shop/p: unknown "
			     "field \"spec.ingres\": did you mean \"ingress\"?\n");
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

/* --- watching ------------------------------------------------------------------- */

struct watcher {
	uv_loop_t loop;
	uv_timer_t limit;
	struct bh_manifest *m;
	struct seen seen;
	const char *want; /* stop as soon as the log holds it */
	uv_prepare_t prepare;
	bool is_over;
};

static void on_limit(uv_timer_t *t)
{
	struct watcher *w = bh_container_of(t, struct watcher, limit);

	w->is_over = true;
	uv_stop(&w->loop);
}

static void on_prepare(uv_prepare_t *c)
{
	struct watcher *w = bh_container_of(c, struct watcher, prepare);

	if (strstr(bh_buf_str(&w->seen.log), w->want))
		uv_stop(&w->loop);
}

static void make(struct watcher *w, const char *path)
{
	struct bh_sink sink = sink_of(&w->seen);
	struct bh_err err = { 0 };

	assert_int_equal(uv_loop_init(&w->loop), 0);
	uv_timer_init(&w->loop, &w->limit);
	uv_prepare_init(&w->loop, &w->prepare);
	assert_ok(bh_manifest_new(&w->m, &w->loop, path, &sink, &err), &err);
}

static void start(struct watcher *w, const char *path)
{
	make(w, path);
	bh_manifest_start(w->m, &(struct bh_manifest_start){ .is_recalled = false });
}

/* Runs until the sink was told @want; the limit only ends a test that failed. */
static void wait_for(struct watcher *w, const char *want)
{
	w->want = want;
	w->is_over = false;
	uv_timer_start(&w->limit, on_limit, 10000, 0);
	uv_prepare_start(&w->prepare, on_prepare);
	if (!strstr(bh_buf_str(&w->seen.log), want))
		uv_run(&w->loop, UV_RUN_DEFAULT);
	uv_timer_stop(&w->limit);
	uv_prepare_stop(&w->prepare);
	if (w->is_over)
		fail_msg("waiting for '%s', seen: %s", want, bh_buf_str(&w->seen.log));
}

/* What was told since the last call; to be freed. */
static char *take_log(struct watcher *w)
{
	return bh_buf_take(&w->seen.log);
}

/* What is told until @want, which comes last. */
static void assert_told(struct watcher *w, const char *want)
{
	bh_auto_free char *log = NULL;

	wait_for(w, want);
	log = take_log(w);
	assert_string_equal(log, want);
}

static void stop(struct watcher *w)
{
	bh_manifest_free(&w->m);
	uv_close((uv_handle_t *)&w->limit, NULL);
	uv_close((uv_handle_t *)&w->prepare, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	bh_buf_done(&w->seen.log);
}

static void files_that_come_change_and_go_are_followed(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };
	char path[128];

	put_file(d, "a.yaml", POD("a", "10.0.0.1"));
	start(&w, d->path);
	assert_int_equal(w.seen.n_synced, 1);
	assert_told(&w, "+P shop/a\n");
	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	assert_told(&w, "+P shop/b\n");
	put_file(d, "a.yaml", POD("a", "10.0.0.3"));
	assert_told(&w, "+P shop/a\n");
	make_dir(d, "sub");
	put_file(d, "sub/c.yaml", POD("c", "10.0.0.4"));
	assert_told(&w, "+P shop/c\n");
	put_file(d, "sub/c.yaml", POD("c", "10.0.0.5"));
	assert_told(&w, "+P shop/c\n");
	snprintf(path, sizeof(path), "%s/b.yaml", d->path);
	assert_int_equal(unlink(path), 0);
	assert_told(&w, "-P shop/b\n");
	snprintf(path, sizeof(path), "%s/sub", d->path);
	remove_tree(path);
	assert_told(&w, "-P shop/c\n");
	assert_int_equal(w.seen.n_synced, 1);
	stop(&w);
}

static void only_what_really_changed_is_handed_over(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", POD("a", "10.0.0.1") "---\n" POD("b", "10.0.0.2"));
	put_file(d, "z.yaml", POD("z", "10.0.0.9"));
	start(&w, d->path);
	assert_told(&w, "+P shop/a\n+P shop/b\n+P shop/z\n");
	put_file(d, "a.yaml", POD("a", "10.0.0.1") "---\n" POD("b", "10.0.0.3"));
	assert_told(&w, "+P shop/b\n");
	/* Another order of keys and another file with the same text are no change. */
	put_file(d, "z.yaml",
		 "kind: Pod\napiVersion: v1\nmetadata: {namespace: shop, name: z}\n"
		 "status: {podIP: 10.0.0.9}\n");
	put_file(d, "a.yaml", POD("a", "10.0.0.1") "---\n" POD("b", "10.0.0.3"));
	put_file(d, "y.yaml", POD("y-end", "10.0.0.4"));
	assert_told(&w, "+P shop/y-end\n");
	stop(&w);
}

static void a_broken_file_leaves_its_last_good_version_in_force(void **state)
{
	static const struct {
		const char *text, *problem;
	} t[] = {
		{ "a: ]", "!a.yaml: line 1: " },
		{ POD("a", "10.0.0"), "!a.yaml: line 4: Pod shop/a: status.podIP: Invalid value" },
		{ POLICY("p", "7"), "!a.yaml: line 6: NetworkPolicy shop/p: spec: Invalid value" },
	};
	const struct dir *d = *state;
	struct watcher w = { 0 };
	size_t i;

	put_file(d, "a.yaml", POD("a", "10.0.0.1") "---\n" POLICY("p", "{}"));
	start(&w, d->path);
	assert_told(&w, "+R shop/p\n+P shop/a\n");
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *log = NULL;

		put_file(d, "a.yaml", t[i].text);
		wait_for(&w, "; the last good version stays in force\n");
		log = take_log(&w);
		assert_contains(log, t[i].problem);
		assert_null(strchr(log, '+'));
		assert_null(strchr(log, '-'));
	}
	put_file(d, "a.yaml", POLICY("p", "{}"));
	assert_told(&w, "+R shop/p\n-P shop/a\n!a.yaml: over\n");
	stop(&w);
}

static void a_new_policy_that_is_invalid_is_closed_until_it_is_mended(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	start(&w, d->path);
	put_file(d, "a.yaml", POLICY("p", "7"));
	wait_for(&w, "+R shop/p invalid\n!a.yaml: line 6: ");
	free(take_log(&w));
	put_file(d, "a.yaml", POLICY("p", "{}"));
	assert_told(&w, "+R shop/p\n!a.yaml: over\n");
	stop(&w);
}

static void the_other_file_counts_when_the_first_one_goes(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };
	char path[128];

	put_file(d, "a.yaml", POD("x", "10.0.0.1"));
	put_file(d, "b.yaml", POD("x", "10.0.0.2"));
	start(&w, d->path);
	wait_for(&w, "!b.yaml: Pod shop/x is described in ");
	free(take_log(&w));
	snprintf(path, sizeof(path), "%s/a.yaml", d->path);
	assert_int_equal(unlink(path), 0);
	assert_told(&w, "+P shop/x\n!b.yaml: over\n");
	stop(&w);
}

static void another_uid_is_another_pod(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", "kind: Pod\napiVersion: v1\nmetadata: {name: a, uid: u1}\n");
	start(&w, d->path);
	assert_told(&w, "+P default/a\n");
	put_file(d, "a.yaml", "kind: Pod\napiVersion: v1\nmetadata: {name: a, uid: u2}\n");
	assert_told(&w, "-P default/a u1\n+P default/a\n");
	stop(&w);
}

static void a_config_map_volume_is_followed_through_its_swap(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };
	char from[128], to[128];

	make_dir(d, "..v1");
	put_file(d, "..v1/a.yaml", POD("a", "10.0.0.1"));
	make_link(d, "..v1", "..data");
	make_link(d, "..data/a.yaml", "a.yaml");
	start(&w, d->path);
	assert_told(&w, "+P shop/a\n");

	make_dir(d, "..v2");
	put_file(d, "..v2/a.yaml", POD("a", "10.0.0.2"));
	make_link(d, "..v2", "..data_tmp");
	snprintf(from, sizeof(from), "%s/..data_tmp", d->path);
	snprintf(to, sizeof(to), "%s/..data", d->path);
	assert_int_equal(rename(from, to), 0);
	snprintf(from, sizeof(from), "%s/..v1", d->path);
	remove_tree(from);
	assert_told(&w, "+P shop/a\n");
	stop(&w);
}

static void a_file_behind_a_link_is_followed(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };
	char tree[128];

	make_dir(d, "tree");
	make_dir(d, "elsewhere");
	put_file(d, "elsewhere/x.yaml", POD("a", "10.0.0.1"));
	make_link(d, "../elsewhere/x.yaml", "tree/a.yaml");
	snprintf(tree, sizeof(tree), "%s/tree", d->path);
	start(&w, tree);
	assert_told(&w, "+P shop/a\n");
	put_file(d, "elsewhere/x.yaml", POD("a", "10.0.0.2"));
	assert_told(&w, "+P shop/a\n");
	stop(&w);
}

static void a_folder_that_goes_leaves_everything_in_force_until_it_is_back(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };
	char tree[128], aside[128];

	make_dir(d, "tree");
	put_file(d, "tree/a.yaml", POD("a", "10.0.0.1"));
	snprintf(tree, sizeof(tree), "%s/tree", d->path);
	snprintf(aside, sizeof(aside), "%s/aside", d->path);
	start(&w, tree);
	assert_told(&w, "+P shop/a\n");
	assert_int_equal(rename(tree, aside), 0);
	assert_told(&w, "!tree: cannot read: No such file or directory; what its manifests said "
			"stays in force: put it back (is the volume mounted?), or accept that "
			"with `bulkhead reload --accept-empty`\n");
	put_file(d, "aside/b.yaml", POD("b", "10.0.0.2"));
	assert_int_equal(rename(aside, tree), 0);
	assert_told(&w, "+P shop/b\n!tree: over\n");
	stop(&w);
}

static void a_folder_that_is_missing_at_the_start_is_waited_for(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };
	char tree[128];

	snprintf(tree, sizeof(tree), "%s/tree/", d->path);
	start(&w, tree);
	assert_int_equal(w.seen.n_synced, 0);
	assert_told(&w, "!tree: cannot read: No such file or directory\n");
	make_dir(d, "tree");
	put_file(d, "tree/a.yaml", POD("a", "10.0.0.1"));
	wait_for(&w, "+P shop/a\n");
	assert_int_equal(w.seen.n_synced, 1);
	stop(&w);
}

static void a_reload_reads_what_no_event_told_of(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", POD("a", "10.0.0.1"));
	start(&w, d->path);
	assert_told(&w, "+P shop/a\n");
	put_file(d, "a.yaml", POD("a", "10.0.0.2"));
	bh_manifest_reload(w.m, false);
	assert_string_equal(bh_buf_str(&w.seen.log), "+P shop/a\n");
	stop(&w);
}

static void the_tree_is_ahead_from_its_change_until_that_is_told(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", POD("a", "10.0.0.1"));
	start(&w, d->path);
	assert_told(&w, "+P shop/a\n");
	assert_false(bh_manifest_is_behind(w.m));
	/* Seen at once, though the loop has not run since. */
	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	assert_true(bh_manifest_is_behind(w.m));
	assert_told(&w, "+P shop/b\n");
	assert_false(bh_manifest_is_behind(w.m));
	stop(&w);
}

/* --- what was in force stays -------------------------------------------------------- */

static char *path_in(const struct dir *d, const char *name)
{
	return bh_asprintf("%s/%s", d->path, name);
}

static void drop(const struct dir *d, const char *name)
{
	bh_auto_free char *path = path_in(d, name);

	remove_tree(path);
}

static void read_again(struct watcher *w)
{
	bh_buf_reset(&w->seen.log);
	bh_manifest_reload(w->m, false);
}

/* Nothing was added or removed, and @problem was told. */
static void assert_kept(struct watcher *w, const char *problem)
{
	bh_auto_free char *log = take_log(w);

	/* With the blank behind it: the folder's random name may begin with the letter. */
	if (strstr(log ? log : "", "+") || strstr(log ? log : "", "-P ") ||
	    strstr(log ? log : "", "-R "))
		fail_msg("%s", log);
	assert_contains(log, problem);
}

static void make_fifo(const struct dir *d, const char *name)
{
	bh_auto_free char *path = path_in(d, name);

	assert_int_equal(mkfifo(path, 0644), 0);
}

#define FIRST POD("a", "10.0.0.1") "---\n" POLICY("p", "{}")

/* Whatever becomes of the file, short of its deletion. */
static void a_file_that_says_nothing_any_more_leaves_its_last_version_in_force(void **state)
{
	static const struct {
		const char *text, *problem;
	} t[] = {
		{ "", "has no object any more" },
		{ "  \n\n", "has no object any more" },
		{ "# policies of the shop\n", "has no object any more" },
		{ "---\n---\n", "has no object any more" },
		{ "null\n", "has no object any more" },
		{ "apiVersion: v1\nkind: Pod\nmetadata: {na", "line 4: " },
		{ POD("a", "10.0.0.1") "---\napiVersion: networking.k8s.io/v1\nkind: "
				       "NetworkPolicy\nmetadata:\n  name: p\n  namespace: sh",
		  "ends in the middle of a line" },
		{ "{}\n", "kind: Required value" },
		{ "[]\n", "is not an object" },
		{ "<html>\n", "is not an object" },
		{ "\xef\xbb\xbf", "has no object any more" },
	};
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", FIRST);
	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	start(&w, d->path);
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		put_file(d, "a.yaml", t[i].text);
		read_again(&w);
		assert_kept(&w, t[i].problem);
		put_file(d, "a.yaml", FIRST);
		read_again(&w);
		assert_string_equal(bh_buf_str(&w.seen.log), "!a.yaml: over\n");
	}
	drop(d, "a.yaml");
	make_fifo(d, "a.yaml");
	read_again(&w);
	assert_kept(&w, "is not a regular file; the last good version stays in force");
	drop(d, "a.yaml");
	make_link(d, "nowhere", "a.yaml");
	read_again(&w);
	assert_kept(&w, "No such file or directory; the last good version stays in force");
	drop(d, "a.yaml");
	make_dir(d, "a.yaml");
	read_again(&w);
	assert_kept(&w, "is a folder now");
	assert_null(bh_manifest_unknown(w.m));

	drop(d, "a.yaml");
	read_again(&w);
	assert_string_equal(bh_buf_str(&w.seen.log), "!a.yaml: over\n-P shop/a\n-R shop/p\n");
	stop(&w);
}

static void a_file_that_goes_while_it_is_written_anew_stays_in_force(void **state)
{
	static const char *const beside[] = { "a.yaml~", "a.yaml.tmp", "a.yaml.new", ".a.yaml.swp",
					      ".#a.yaml" };
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	put_file(d, "a.yaml", FIRST);
	start(&w, d->path);
	for (size_t i = 0; i < BH_ARRAY_LEN(beside); i++) {
		put_file(d, beside[i], "half");
		drop(d, "a.yaml");
		read_again(&w);
		assert_kept(&w, "a rewrite of it that did not end");
		put_file(d, "a.yaml", FIRST);
		drop(d, beside[i]);
		read_again(&w);
		assert_string_equal(bh_buf_str(&w.seen.log), "!a.yaml: over\n");
	}
	drop(d, "a.yaml");
	put_file(d, "a.yaml.off", FIRST);
	read_again(&w);
	assert_string_equal(bh_buf_str(&w.seen.log), "-P shop/a\n-R shop/p\n");
	stop(&w);
}

static void an_emptied_file_is_accepted_by_the_operator(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", FIRST);
	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	start(&w, d->path);
	put_file(d, "a.yaml", "# none\n");
	read_again(&w);
	assert_kept(&w, "has no object any more");
	bh_manifest_reload(w.m, true);
	assert_string_equal(bh_buf_str(&w.seen.log), "-P shop/a\n-R shop/p\n!a.yaml: over\n");
	stop(&w);
}

static void a_closed_policy_is_not_opened_by_a_text_that_is_worse(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", POLICY("p", "7"));
	start(&w, d->path);
	wait_for(&w, "+R shop/p invalid\n");
	put_file(d, "a.yaml", "a: [\n");
	read_again(&w);
	assert_kept(&w, "line 2: ");
	stop(&w);
}

static void a_folder_that_lost_everything_keeps_it(void **state)
{
	static const char *const folders[] = { "tree", "tree/sub" };
	const struct dir *d = *state;

	for (size_t i = 0; i < BH_ARRAY_LEN(folders); i++) {
		bh_auto_free char *tree = path_in(d, "tree");
		bh_auto_free char *file = bh_asprintf("%s/a.yaml", folders[i]);
		struct watcher w = { 0 };

		make_dir(d, "tree");
		if (i > 0) {
			make_dir(d, "tree/sub");
			put_file(d, "tree/b.yaml", POD("b", "10.0.0.2"));
		}
		put_file(d, file, FIRST);
		start(&w, tree);
		drop(d, file);
		read_again(&w);
		assert_kept(&w, "the folder has no manifest any more (1 had objects in force)");
		/* Back, with a change. */
		put_file(d, file, POD("a", "10.0.0.1"));
		read_again(&w);
		assert_contains(bh_buf_str(&w.seen.log), "-R shop/p\n");
		assert_contains(bh_buf_str(&w.seen.log), i ? "!sub: over\n" : "!tree: over\n");
		drop(d, file);
		read_again(&w);
		assert_kept(&w, "--accept-empty");
		bh_buf_reset(&w.seen.log);
		bh_manifest_reload(w.m, true);
		assert_contains(bh_buf_str(&w.seen.log), "-P shop/a\n");
		stop(&w);
		drop(d, "tree");
	}
}

static void a_folder_that_is_gone_within_another_takes_its_files_along(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	make_dir(d, "sub");
	put_file(d, "sub/a.yaml", FIRST);
	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	start(&w, d->path);
	drop(d, "sub");
	read_again(&w);
	assert_string_equal(bh_buf_str(&w.seen.log), "-P shop/a\n-R shop/p\n");
	/* A link to a volume that is not there is not a folder that was deleted. */
	make_dir(d, "volume");
	put_file(d, "volume/.x", "");
	make_link(d, "volume", "team");
	put_file(d, "volume/a.yaml", FIRST);
	read_again(&w);
	assert_contains(bh_buf_str(&w.seen.log), "+R shop/p\n");
	drop(d, "volume");
	read_again(&w);
	assert_kept(&w, "!team: cannot read: No such file or directory; the last good version");
	stop(&w);
}

static void another_folder_at_the_path_is_noticed_without_an_event(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *tree = path_in(d, "tree");
	struct watcher w = { 0 };
	char from[128], to[128];

	/* Behind a link two folders up, so that no watched folder has an event. */
	make_dir(d, "v1");
	make_dir(d, "v1/tree");
	put_file(d, "v1/tree/a.yaml", POD("a", "10.0.0.1"));
	make_dir(d, "v2");
	make_dir(d, "v2/tree");
	put_file(d, "v2/tree/a.yaml", POD("a", "10.0.0.2"));
	make_link(d, "v1", "now");
	make_link(d, "now/tree", "tree");
	start(&w, tree);
	wait_for(&w, "+P shop/a\n");
	bh_buf_reset(&w.seen.log);
	make_link(d, "v2", "next");
	snprintf(from, sizeof(from), "%s/next", d->path);
	snprintf(to, sizeof(to), "%s/now", d->path);
	assert_int_equal(rename(from, to), 0);
	wait_for(&w, "+P shop/a\n");
	stop(&w);
}

/* --- over a restart ------------------------------------------------------------------ */

struct text {
	char *path, *text;
};

struct texts {
	struct text items[8];
	size_t n;
};

static void on_text(void *ctx, const char *path, const char *text, size_t len)
{
	struct texts *t = ctx;

	assert_true(t->n < BH_ARRAY_LEN(t->items));
	t->items[t->n++] = (struct text){ .path = bh_strdup(path),
					  .text = text ? bh_strndup(text, len) : NULL };
}

/* A watcher that comes after @w, with what was in force. */
static void restart(struct watcher *w, const char *path)
{
	struct texts t = { 0 };

	bh_manifest_texts(w->m, on_text, &t);
	stop(w);
	*w = (struct watcher){ 0 };
	make(w, path);
	for (size_t i = 0; i < t.n; i++) {
		bh_manifest_recall(w->m, t.items[i].path, t.items[i].text,
				   t.items[i].text ? strlen(t.items[i].text) : 0);
		free(t.items[i].path);
		free(t.items[i].text);
	}
	bh_manifest_start(w->m, &(struct bh_manifest_start){ .is_recalled = true });
	assert_int_equal(w->seen.n_synced, 1);
}

static void what_was_in_force_stays_over_a_restart(void **state)
{
	static const char *const texts[] = { "", "a: [", "# none\n", "{}\n", NULL };
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", FIRST);
	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	start(&w, d->path);
	/* Broken while it runs or before it starts, and over any number of restarts. */
	for (size_t i = 0; i < BH_ARRAY_LEN(texts); i++) {
		drop(d, "a.yaml");
		if (texts[i])
			put_file(d, "a.yaml", texts[i]);
		else
			make_fifo(d, "a.yaml");
		restart(&w, d->path);
		assert_contains(bh_buf_str(&w.seen.log), "+R shop/p\n+P shop/a\n+P shop/b\n");
		assert_contains(bh_buf_str(&w.seen.log), "; the last good version stays in force");
		assert_null(bh_manifest_unknown(w.m));
	}
	put_file(d, "a.yaml", POD("a", "10.0.0.3"));
	read_again(&w);
	assert_contains(bh_buf_str(&w.seen.log), "+P shop/a\n-R shop/p\n!a.yaml: over\n");
	drop(d, "a.yaml");
	restart(&w, d->path);
	assert_string_equal(bh_buf_str(&w.seen.log), "+P shop/b\n");
	stop(&w);
}

/* What is not in the list may have been in force after it was written. */
static void a_file_that_was_never_usable_is_known_to_be_so(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "b.yaml", POD("b", "10.0.0.2"));
	start(&w, d->path);
	put_file(d, "a.yaml", "a: [");
	read_again(&w);
	assert_null(bh_manifest_unknown(w.m));
	restart(&w, d->path);
	assert_null(bh_manifest_unknown(w.m));
	stop(&w);

	w = (struct watcher){ 0 };
	make(&w, d->path);
	bh_manifest_start(w.m, &(struct bh_manifest_start){ .is_recalled = true });
	assert_int_equal(w.seen.n_synced, 0);
	assert_non_null(bh_manifest_unknown(w.m));
	stop(&w);
}

static void what_a_closed_policy_closed_stays_closed_over_a_restart(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	put_file(d, "a.yaml", POLICY("p", "7"));
	start(&w, d->path);
	put_file(d, "a.yaml", "a: [");
	restart(&w, d->path);
	assert_contains(bh_buf_str(&w.seen.log), "+R shop/p invalid\n");
	stop(&w);
}

static void a_folder_that_is_empty_or_missing_at_a_restart_keeps_everything(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *tree = path_in(d, "tree");
	struct watcher w = { 0 };

	make_dir(d, "tree");
	put_file(d, "tree/a.yaml", FIRST);
	start(&w, tree);
	drop(d, "tree/a.yaml");
	restart(&w, tree);
	assert_contains(bh_buf_str(&w.seen.log), "+R shop/p\n+P shop/a\n!tree: the folder has no");
	drop(d, "tree");
	restart(&w, tree);
	assert_contains(bh_buf_str(&w.seen.log), "+R shop/p\n+P shop/a\n!tree: cannot read: No ");
	bh_buf_reset(&w.seen.log);
	bh_manifest_reload(w.m, true);
	assert_contains(bh_buf_str(&w.seen.log), "-P shop/a\n-R shop/p\n");
	make_dir(d, "tree");
	restart(&w, tree);
	assert_string_equal(bh_buf_str(&w.seen.log), "");
	stop(&w);
}

/* Nothing is known of the run before. */
static void start_after(struct watcher *w, const char *path, bool has_rules)
{
	make(w, path);
	bh_manifest_start(w->m, &(struct bh_manifest_start){ .has_rules = has_rules });
}

static void a_first_start_with_a_file_that_cannot_be_used_is_not_in_sync(void **state)
{
	static const struct {
		const char *name, *text;
		bool has_rules, is_known;
	} t[] = {
		{ "a.yaml", "a: [", false, false },
		{ "a.yaml", "kind: Pods\napiVersion: v1\n", false, false },
		{ "a.yaml", POD("a", "10.0.0"), false, false },
		/* Closed, so what it may allow is known. */
		{ "a.yaml", POLICY("p", "7"), false, true },
		{ "a.yaml", "# none\n", true, true },
		{ "a.yaml", "", false, true },
		{ "a.yaml", "", true, false },
		{ "notes.txt", "[", false, true },
	};
	const struct dir *d = *state;

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct watcher w = { 0 };

		put_file(d, "b.yaml", POD("b", "10.0.0.2"));
		put_file(d, t[i].name, t[i].text);
		start_after(&w, d->path, t[i].has_rules);
		assert_int_equal(w.seen.n_synced, t[i].is_known);
		if (t[i].is_known)
			assert_null(bh_manifest_unknown(w.m));
		else
			assert_non_null(bh_manifest_unknown(w.m));
		/* The others are handed over all the same. */
		assert_contains(bh_buf_str(&w.seen.log), "+P shop/b\n");
		assert_null(strstr(bh_buf_str(&w.seen.log), "stays in force"));
		drop(d, t[i].name);
		read_again(&w);
		assert_int_equal(w.seen.n_synced, 1);
		stop(&w);
	}
}

static void an_empty_folder_is_doubted_where_rules_of_an_earlier_run_are_in_force(void **state)
{
	const struct dir *d = *state;
	struct watcher w = { 0 };

	start_after(&w, d->path, true);
	assert_int_equal(w.seen.n_synced, 0);
	assert_contains(bh_manifest_unknown(w.m), "--accept-empty");
	bh_manifest_reload(w.m, true);
	assert_int_equal(w.seen.n_synced, 1);
	assert_null(bh_manifest_unknown(w.m));
	stop(&w);
	w = (struct watcher){ 0 };
	start_after(&w, d->path, false);
	assert_int_equal(w.seen.n_synced, 1);
	stop(&w);
}

/* --- reading once ----------------------------------------------------------------- */

static int read_object(void *ctx, const struct bh_decoded *d, struct bh_err *err)
{
	static const char *const status[] = {
		[BH_DECODED] = "fact",
		[BH_DECODE_SKIPPED] = "skipped",
		[BH_DECODE_INVALID] = "invalid",
		[BH_DECODED_WORKLOAD] = "workload",
		[BH_DECODED_SERVICE] = "service",
	};
	struct seen *s = ctx;
	const char *base = strrchr(bh_decoded_file(d), '/');

	bh_buf_printf(&s->log, "%s:%d %s %s\n", base ? base + 1 : bh_decoded_file(d),
		      bh_decoded_line(d), status[bh_decoded_status(d)], bh_decoded_subject(d));
	if (strstr(bh_decoded_subject(d), "the-end"))
		return bh_err(err, -E2BIG, "enough");
	return 0;
}

static void read_problem(void *ctx, const char *file, const char *text)
{
	on_problem(ctx, BH_SOURCE_MANIFEST, file, text);
}

static struct bh_reader reader_of(struct seen *s)
{
	return (struct bh_reader){ .ctx = s, .on_object = read_object, .on_problem = read_problem };
}

static void a_reader_sees_every_object_and_every_problem(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *slash = bh_asprintf("%s///", d->path);
	struct seen s = { 0 };
	struct bh_reader reader = reader_of(&s);
	struct bh_err err = { 0 };

	make_dir(d, "sub");
	put_file(d, "b.yaml",
		 "---\n# nothing\n---\n"
		 "apiVersion: v1\nkind: List\nitems:\n"
		 "- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n"
		 "- {apiVersion: v1, kind: Pod, metadata: {name: A}}\n"
		 "- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n"
		 "- {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: "
		 "1}]}}\n"
		 "- {apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: x}, "
		 "spec: "
		 "{selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}}}}\n"
		 "- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, "
		 "spec: {podSelector: 1}}\n");
	put_file(d, "sub/a.yml", "kind: [\n");
	put_file(d, "c.json",
		 "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": "
		 "{\"name\": \"c\"}}");
	reader.default_namespace = "shop";
	assert_int_equal(bh_manifest_read(slash, &reader, &err), 3);
	assert_string_equal(
		bh_buf_str(&s.log),
		"b.yaml:7 skipped ConfigMap c\n"
		"!b.yaml: line 8: Pod shop/A: metadata.name: Invalid value: \"A\": a lowercase RFC "
		"1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
		"and "
		"must start and end with an alphanumeric character\n"
		"b.yaml:9 fact Pod shop/a\n"
		"b.yaml:10 service Service shop/s\n"
		"b.yaml:11 workload Deployment x/d\n"
		"!b.yaml: line 12: NetworkPolicy shop/p: spec.podSelector: Invalid value: must be "
		"an "
		"object, not a number\n"
		"b.yaml:12 invalid NetworkPolicy shop/p\n"
		"c.json:1 fact Pod shop/c\n"
		"!a.yml: line 2: did not find expected node content while parsing a flow "
		"node\n");
	bh_buf_done(&s.log);
}

static void a_reader_may_end_the_reading(void **state)
{
	const struct dir *d = *state;
	struct seen s = { 0 };
	struct bh_reader reader = reader_of(&s);
	struct bh_err err = { 0 };

	put_file(d, "a.yaml", POD("the-end", "10.0.0.1") "---\n" POD("after", "10.0.0.2"));
	put_file(d, "b.yaml", POD("later", "10.0.0.3"));
	assert_err(bh_manifest_read(d->path, &reader, &err), &err, -E2BIG, "enough");
	assert_null(strstr(bh_buf_str(&s.log), "after"));
	assert_null(strstr(bh_buf_str(&s.log), "later"));
	bh_buf_done(&s.log);
}

static void
a_path_that_is_not_there_is_an_error_and_a_file_that_cannot_be_read_a_problem(void **state)
{
	const struct dir *d = *state;
	bh_auto_free char *missing = bh_asprintf("%s/missing", d->path);
	struct seen s = { 0 };
	struct bh_reader reader = reader_of(&s);
	struct bh_err err = { 0 };

	assert_err(bh_manifest_read(missing, &reader, &err), &err, -ENOENT, "missing: cannot read");
	make_link(d, "nowhere", "a.yaml");
	assert_int_equal(bh_manifest_read(d->path, &reader, &err), 1);
	assert_contains(bh_buf_str(&s.log), "!a.yaml: ");
	bh_buf_done(&s.log);
}

/* --- a few files of a tree --------------------------------------------------------- */

static int cmp_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What was told since, in the order of the text; the caller frees it. */
static char *take_sorted(struct seen *s)
{
	bh_auto_free char *text = bh_strdup(bh_buf_str(&s->log));
	char *lines[64], *save = NULL;
	struct bh_buf out = { 0 };
	size_t n = 0;

	bh_buf_reset(&s->log);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		assert_true(n < BH_ARRAY_LEN(lines));
		lines[n++] = l;
	}
	if (n)
		bh_sort(lines, n, sizeof(lines[0]), cmp_line);
	for (size_t i = 0; i < n; i++)
		bh_buf_printf(&out, "%s\n", lines[i]);
	return bh_buf_take(&out);
}

static unsigned int pick(uint32_t *seed, unsigned int n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

/* One change of one of a few files, whose path is stored. */
static void change_at_random(const struct dir *d, uint32_t *seed, char *path, size_t size)
{
	static const char *const names[] = { "a.yaml", "b.yaml", "sub/c.yaml", "sub/d.yaml",
					     "e.yaml" };
	static const char *const texts[] = {
		POD("a", "10.0.0.1"),
		POD("a", "10.0.0.2"),
		POD("b", "10.0.0.3"),
		POD("c", "10.0.0.4") "---\n" POLICY("p", "{podSelector: {}}"),
		POLICY("p", "{podSelector: {}, policyTypes: [Egress]}"),
		POLICY("q", "{podSelector: {matchLabels: {k: 'not valid!'}}}"),
		POD("d", "10.0.0.5"),
		POD("e", "10.0.0.6"),
		"[",
		"",
	};
	unsigned int which = pick(seed, BH_ARRAY_LEN(names));
	bh_auto_free char *own =
		bh_asprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: own%u, namespace: shop}\n"
			    "status: {podIP: 10.0.1.%u}\n",
			    which, pick(seed, 3));

	snprintf(path, size, "%s/%s", d->path, names[which]);
	if (pick(seed, 3) == 0)
		unlink(path);
	else
		put_file(d, names[which],
			 pick(seed, 10) ? own : texts[pick(seed, BH_ARRAY_LEN(texts))]);
}

/* Two stores that follow one tree, one by its changed files, the other as a whole. */
static void a_look_at_the_changed_files_tells_what_a_scan_tells(void **state)
{
	const struct dir *d = *state;
	struct seen by_file = { 0 }, by_scan = { 0 };
	const struct bh_sink sinks[] = { sink_of(&by_file), sink_of(&by_scan) };
	bh_auto(store_free) struct store *few = store_new(d->path, &sinks[0]);
	bh_auto(store_free) struct store *whole = store_new(d->path, &sinks[1]);
	uint32_t seed = 1;
	size_t n_few = 0;

	make_dir(d, "sub");
	for (int i = 0; i < 3000; i++) {
		struct scan scan = { 0 }, other = { 0 };
		bh_auto_free char *told = NULL, *want = NULL;
		char path[128], *paths[] = { path };
		struct bh_err err = { 0 };

		change_at_random(d, &seed, path, sizeof(path));
		if (i > 0 && store_rescan(few, paths, 1, &scan) == 0)
			n_few++;
		else
			assert_ok(store_scan(few, &scan, &err), &err);
		assert_ok(store_scan(whole, &other, &err), &err);
		told = take_sorted(&by_file);
		want = take_sorted(&by_scan);
		assert_string_equal(told, want);
	}
	assert_true(n_few > 300);
	bh_buf_done(&by_file.log);
	bh_buf_done(&by_scan.log);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_reader_sees_every_object_and_every_problem, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_reader_may_end_the_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_path_that_is_not_there_is_an_error_and_a_file_that_cannot_be_read_a_problem,
			setup, teardown),
		T(a_folder_is_read_with_its_subfolders_and_without_what_is_hidden),
		T(a_file_with_several_documents_and_lists_is_taken_apart),
		T(a_file_that_was_never_good_is_applied_closed_as_far_as_it_goes),
		T(warnings_are_told_and_are_no_problems),
		T(an_unknown_field_is_a_problem_and_closes_the_policy),
		T(of_two_files_with_one_object_the_first_by_path_counts),
		T(what_is_no_regular_file_is_a_problem_and_stops_nothing),
		T(a_folder_that_is_not_there_is_an_error),
		T(one_file_ends_with_its_first_problem),
		T(files_that_come_change_and_go_are_followed),
		T(only_what_really_changed_is_handed_over),
		T(a_broken_file_leaves_its_last_good_version_in_force),
		T(a_new_policy_that_is_invalid_is_closed_until_it_is_mended),
		T(the_other_file_counts_when_the_first_one_goes),
		T(another_uid_is_another_pod),
		T(a_config_map_volume_is_followed_through_its_swap),
		T(a_file_behind_a_link_is_followed),
		T(a_folder_that_goes_leaves_everything_in_force_until_it_is_back),
		T(a_folder_that_is_missing_at_the_start_is_waited_for),
		T(a_reload_reads_what_no_event_told_of),
		T(the_tree_is_ahead_from_its_change_until_that_is_told),
		T(a_file_that_says_nothing_any_more_leaves_its_last_version_in_force),
		T(a_file_that_goes_while_it_is_written_anew_stays_in_force),
		T(an_emptied_file_is_accepted_by_the_operator),
		T(a_closed_policy_is_not_opened_by_a_text_that_is_worse),
		T(a_folder_that_lost_everything_keeps_it),
		T(a_folder_that_is_gone_within_another_takes_its_files_along),
		T(another_folder_at_the_path_is_noticed_without_an_event),
		T(what_was_in_force_stays_over_a_restart),
		T(a_file_that_was_never_usable_is_known_to_be_so),
		T(what_a_closed_policy_closed_stays_closed_over_a_restart),
		T(a_folder_that_is_empty_or_missing_at_a_restart_keeps_everything),
		T(a_first_start_with_a_file_that_cannot_be_used_is_not_in_sync),
		T(an_empty_folder_is_doubted_where_rules_of_an_earlier_run_are_in_force),
		T(a_look_at_the_changed_files_tells_what_a_scan_tells),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
