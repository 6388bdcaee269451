#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bh/alloc.h"

#define MAX_DEPTH 32

/* Where the walk is: folders entered, to notice a link back into one of them. */
struct trail {
	const struct scan *scan;
	struct walk *walk;
	dev_t devs[MAX_DEPTH];
	ino_t inos[MAX_DEPTH];
	int depth;
};

bool walk_is_manifest(const char *name)
{
	static const char *const suffixes[] = { ".yaml", ".yml", ".json" };
	size_t i, len = strlen(name);

	/* Hidden: editors' files, version control, ConfigMap volumes' ..data. */
	for (i = 0; i < BH_ARRAY_LEN(suffixes) && name[0] != '.'; i++) {
		size_t n = strlen(suffixes[i]);

		if (len > n && strcmp(name + len - n, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static void add_file(struct walk *w, const char *path)
{
	bh_grow(&w->files, &w->cap_files, w->n_files, sizeof(*w->files));
	w->files[w->n_files++] = bh_strdup(path);
}

static void add_trouble(struct walk *w, const char *path, const struct bh_err *err)
{
	bh_grow(&w->troubles, &w->cap_troubles, w->n_troubles, sizeof(*w->troubles));
	w->troubles[w->n_troubles++] = (struct walk_trouble){
		.path = bh_strdup(path),
		.why = bh_strdup(bh_err_text(err)),
	};
}

static void tell_folder(const struct scan *scan, const char *path)
{
	if (scan->on_folder)
		scan->on_folder(scan->ctx, path);
}

/* What a link leads to changes in another folder than the one that is read. */
static void tell_link_target(const struct scan *scan, struct walk *walk, const char *path)
{
	bh_auto_free char *target = NULL;
	struct stat st;
	char *slash;

	if (!scan->on_folder || lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
		return;
	walk->has_links = true;
	target = realpath(path, NULL);
	slash = target ? strrchr(target, '/') : NULL;
	if (!slash)
		return;
	slash[slash == target] = '\0';
	tell_folder(scan, target);
}

static bool enter(struct trail *t, const struct stat *st)
{
	int i;

	if (t->depth == MAX_DEPTH)
		return false;
	for (i = 0; i < t->depth; i++) {
		if (t->devs[i] == st->st_dev && t->inos[i] == st->st_ino)
			return false;
	}
	t->devs[t->depth] = st->st_dev;
	t->inos[t->depth++] = st->st_ino;
	return true;
}

static int walk_folder(struct trail *t, const char *path, struct bh_err *err);

static void walk_entry(struct trail *t, const char *path, const char *name)
{
	struct bh_err err = { 0 };
	struct stat st;

	tell_link_target(t->scan, t->walk, path);
	if (stat(path, &st) < 0) {
		int code = -errno;

		/* Gone meanwhile. */
		if (code == -ENOENT && lstat(path, &st) < 0 && errno == ENOENT)
			return;
		/* Reading the file will say what is wrong. */
		if (walk_is_manifest(name)) {
			add_file(t->walk, path);
			return;
		}
		/* It may be a folder, or lead to one whose volume is not mounted. */
		bh_err_wrap(&err, code, "cannot read");
		add_trouble(t->walk, path, &err);
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		if (walk_is_manifest(name))
			add_file(t->walk, path);
		return;
	}
	if (!enter(t, &st)) {
		bh_err(&err, -ELOOP, "folders are nested in a circle or deeper than %d", MAX_DEPTH);
		add_trouble(t->walk, path, &err);
		return;
	}
	if (walk_folder(t, path, &err) < 0)
		add_trouble(t->walk, path, &err);
	t->depth--;
}

/* The index of its record; what is below it is counted at the end. */
static size_t add_folder(struct walk *w, const char *path)
{
	bh_grow(&w->folders, &w->cap_folders, w->n_folders, sizeof(*w->folders));
	w->folders[w->n_folders] = (struct walk_folder){ .path = bh_strdup(path) };
	return w->n_folders++;
}

static int walk_folder(struct trail *t, const char *path, struct bh_err *err)
{
	size_t n_before = t->walk->n_files + t->walk->n_troubles, record;
	struct dirent *e;
	int code = 0;
	DIR *dir;

	/* First, so that nothing is missed between reading and watching. */
	tell_folder(t->scan, path);
	dir = opendir(path);
	if (!dir)
		return bh_err_wrap(err, -errno, "cannot read the folder");
	record = add_folder(t->walk, path);
	while (t->walk->n_files <= BH_MANIFEST_MAX_FILES) {
		bh_auto_free char *child = NULL;

		errno = 0;
		e = readdir(dir);
		code = e ? 0 : -errno;
		if (!e)
			break;
		if (e->d_name[0] == '.')
			continue;
		child = bh_asprintf("%s/%s", path, e->d_name);
		walk_entry(t, child, e->d_name);
	}
	closedir(dir);
	t->walk->folders[record].n_below = t->walk->n_files + t->walk->n_troubles - n_before;
	/* What was found is read; what was not found is not known to be gone. */
	return code < 0 ? bh_err_wrap(err, code, "cannot read the whole folder") : 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int walk_tree(const char *path, const struct scan *scan, struct walk *ret, struct bh_err *err)
{
	struct trail t = { .scan = scan, .walk = ret };
	struct stat st;
	int r;

	*ret = (struct walk){ 0 };
	if (stat(path, &st) < 0)
		return bh_err_wrap(err, -errno, "cannot read");
	if (!S_ISDIR(st.st_mode)) {
		tell_link_target(scan, ret, path);
		add_file(ret, path);
		return 0;
	}
	enter(&t, &st);
	r = walk_folder(&t, path, err);
	if (r == 0 && ret->n_files > BH_MANIFEST_MAX_FILES)
		r = bh_err(err, -E2BIG, "more than %d files", BH_MANIFEST_MAX_FILES);
	if (r < 0) {
		walk_done(ret);
		return r;
	}
	if (ret->n_files)
		bh_sort(ret->files, ret->n_files, sizeof(*ret->files), by_text);
	return 0;
}

void walk_done(struct walk *w)
{
	size_t i;

	for (i = 0; i < w->n_files; i++)
		free(w->files[i]);
	for (i = 0; i < w->n_troubles; i++) {
		free(w->troubles[i].path);
		free(w->troubles[i].why);
	}
	for (i = 0; i < w->n_folders; i++)
		free(w->folders[i].path);
	free(w->files);
	free(w->troubles);
	free(w->folders);
	*w = (struct walk){ 0 };
}
