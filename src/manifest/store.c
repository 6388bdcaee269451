#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/file.h"
#include "load.h"
#include "walk.h"

/* A file written to within this time may be half written. */
#define SETTLE_NS (50 * BH_NS_PER_MS)
/*
 * Two writes within one tick of the file system's clock leave the same times;
 * a file that was young when it was read is read again.
 */
#define YOUNG_NS (2 * BH_NS_PER_S)

/* What stat(2) says of a version of a file. */
struct version {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct file {
	char *path; /* key */
	struct version version;
	bool is_young;
	char digest[BH_DIGEST_LEN + 1]; /* of the text that was read last, "" if none */
	bool is_good;                   /* load is a version without error */
	struct load load;               /* in force */
	char *text;                     /* that load was made of; NULL where it is not kept */
	size_t text_len;
	bool is_recalled; /* text is of an earlier run, and load is still to be made of it */
	bool is_blank;    /* the file is there, has nothing in it, and never had */
	/* Nothing was in force of it when the run before ended, which could not use it either. */
	bool is_known_bad;
	bool is_folder; /* one with trouble, listed as a file without objects */
	char *error;    /* of the text that was read last */
	char *trouble;  /* why it could not be read now */
	char *clash;    /* with another file's object */
	char *told;     /* problem that the sink knows */
	bool is_seen;
	UT_hash_handle hh;
};

/* An object that the sink has. */
struct told {
	char *id; /* key: kind, namespace, name */
	char digest[BH_DIGEST_LEN + 1];
	struct bh_key key;           /* owns its strings */
	const struct object *object; /* while publishing, and then until a file changes */
	const struct file *file;     /* that has it */
	bool is_new;
	UT_hash_handle hh;
};

struct store {
	char *path;
	struct bh_sink sink;
	struct file *files; /* hash, kept sorted by path */
	struct told *told;
	bool keeps_texts;
	/* The last scan saw regular files only, and each said what it says on its own. */
	bool is_plain;
};

struct store *store_new(const char *path, const struct bh_sink *sink)
{
	struct store *s = bh_calloc(1, sizeof(*s));
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	s->path = bh_strndup(path, len);
	s->sink = *sink;
	return s;
}

static void free_file(struct file *f)
{
	load_done(&f->load);
	free(f->text);
	free(f->path);
	free(f->error);
	free(f->trouble);
	free(f->clash);
	free(f->told);
	free(f);
}

static void free_told(struct told *t)
{
	free(t->id);
	free((char *)(uintptr_t)t->key.namespace);
	free((char *)(uintptr_t)t->key.name);
	free((char *)(uintptr_t)t->key.uid);
	free(t);
}

void store_free(struct store **s)
{
	struct file *f, *next_file;
	struct told *t, *next_told;

	if (!*s)
		return;
	/* Clearing a table leaves its elements chained. */
	f = (*s)->files;
	HASH_CLEAR(hh, (*s)->files);
	for (; f; f = next_file) {
		next_file = f->hh.next;
		free_file(f);
	}
	t = (*s)->told;
	HASH_CLEAR(hh, (*s)->told);
	for (; t; t = next_told) {
		next_told = t->hh.next;
		free_told(t);
	}
	free((*s)->path);
	free(*s);
	*s = NULL;
}

static void tell_problem(struct store *s, const char *subject, const char *text)
{
	if (s->sink.on_problem)
		s->sink.on_problem(s->sink.ctx, BH_SOURCE_MANIFEST, subject, text);
}

/* --- reading -------------------------------------------------------------------- */

static struct file *get_file(struct store *s, const char *path)
{
	struct file *f;

	HASH_FIND_STR(s->files, path, f);
	if (f)
		return f;
	f = bh_calloc(1, sizeof(*f));
	f->path = bh_strdup(path);
	HASH_ADD_KEYPTR(hh, s->files, f->path, strlen(f->path), f);
	return f;
}

static struct version version_of(const struct stat *st)
{
	return (struct version){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_version(const struct version *a, const struct version *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}

/* Changed less than @limit_ns ago; times in the future are of another clock. */
static bool is_younger(const struct stat *st, uint64_t limit_ns)
{
	uint64_t now = bh_real_ns();
	uint64_t then = (uint64_t)st->st_mtim.tv_sec * BH_NS_PER_S + (uint64_t)st->st_mtim.tv_nsec;

	return then <= now && now - then < limit_ns;
}

static void replace(char **text, char *by)
{
	free(*text);
	*text = by;
}

static void set_text(struct file *f, const char *text, size_t len)
{
	replace(&f->text, text ? bh_strndup(text, len) : NULL);
	f->text_len = len;
}

/* Something of it is in force. */
static bool has_content(const struct file *f)
{
	return f->is_recalled || f->load.n_objects > 0;
}

/* What an earlier run had in force of it comes into force again. */
static void use_recalled(struct file *f)
{
	if (!f->is_recalled)
		return;
	f->is_recalled = false;
	load_done(&f->load);
	load_text(f->path, f->text, f->text_len, &f->load);
	f->is_good = !f->load.is_partial;
}

static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]))
			return false;
	return true;
}

/* The beginning of the text in force, up to the middle of a line: a rewrite that did not end. */
static bool is_cut_off(const struct file *f, const char *text, size_t len)
{
	return f->text && len > 0 && len < f->text_len && text[len - 1] != '\n' &&
	       f->text[len] != '\n' && memcmp(text, f->text, len) == 0;
}

/* Why a text that says nothing wrong is not taken for what its author wanted; NULL: it is. */
static const char *wrong_text(const struct file *f, const struct load *load, const char *text,
			      size_t len)
{
	if (!has_content(f))
		return NULL;
	if (load->n_docs == 0)
		return "has no object any more: delete the file, or accept that with "
		       "`bulkhead reload --accept-empty`";
	return is_cut_off(f, text, len) ? "ends in the middle of a line, where the version before "
					  "went on"
					: NULL;
}

/* A new text: takes its place, or what was in force stays. */
static void take_text(struct store *s, struct file *f, const char *text, size_t len,
		      bool accepts_empty)
{
	char digest[BH_DIGEST_LEN + 1];
	const char *why = NULL;
	struct load load;

	bh_digest(text, len, digest);
	if (strcmp(digest, f->digest) == 0 && !(accepts_empty && f->error))
		return;
	memcpy(f->digest, digest, sizeof(digest));
	load_text(f->path, text, len, &load);
	if (!load.error && !accepts_empty)
		why = wrong_text(f, &load, text, len);
	/* What was closed for being invalid is not opened by getting worse. */
	if (has_content(f) &&
	    (why || (load.error && (f->is_recalled || f->is_good || load.is_partial)))) {
		use_recalled(f);
		replace(&f->error, bh_asprintf("%s; the last good version stays in force",
					       why ? why : load.error));
		load_done(&load);
		return;
	}
	replace(&f->error, load.error ? bh_strdup(load.error) : NULL);
	load_done(&f->load);
	f->load = load;
	f->is_good = !load.error;
	f->is_recalled = false;
	f->is_blank = is_blank(text, len);
	set_text(f, s->keeps_texts && load.n_objects > 0 ? text : NULL, len);
}

/* False if the file is gone; a link to nowhere is not. */
static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 || errno != ENOENT;
}

static void read_file(struct store *s, struct file *f, struct scan *scan)
{
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	struct version version;
	struct stat st;
	size_t len;

	if (stat(f->path, &st) < 0) {
		bh_err_wrap(&err, -errno, "cannot open");
		replace(&f->trouble, bh_strdup(bh_err_text(&err)));
		use_recalled(f);
		return;
	}
	version = version_of(&st);
	if (!scan->reads_all && !f->is_young && !f->trouble && *f->digest &&
	    same_version(&version, &f->version))
		return;
	if (scan->wants_settled && !same_version(&version, &f->version) &&
	    is_younger(&st, SETTLE_NS)) {
		scan->is_unsettled = true;
		return;
	}
	f->version = version;
	f->is_young = is_younger(&st, YOUNG_NS);
	if (bh_read_file(f->path, BH_MANIFEST_MAX_FILE, &text, &len, &err) < 0) {
		replace(&f->trouble, load_reason(f->path, &err));
		use_recalled(f);
		return;
	}
	replace(&f->trouble, NULL);
	take_text(s, f, text, len, scan->accepts_empty);
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static void forget_file(struct store *s, struct file *f)
{
	if (f->told)
		tell_problem(s, f->path, NULL);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash unlinks what is freed here */
	HASH_DEL(s->files, f);
	free_file(f);
}

static struct file *get_folder(struct store *s, const char *path, char *trouble)
{
	struct file *folder = get_file(s, path);

	folder->is_seen = true;
	replace(&folder->trouble, trouble);
	/* Else a file of this name was replaced by it. */
	if (!has_content(folder)) {
		folder->is_folder = true;
		folder->is_good = false;
	}
	return folder;
}

/* A folder that cannot be read is listed as a file without objects. */
static void read_trouble(struct store *s, const struct walk_trouble *t)
{
	struct file *folder = get_folder(s, t->path, bh_strdup(t->why)), *f;

	for (f = s->files; f; f = f->hh.next) {
		if (f->is_seen || !is_below(f->path, t->path))
			continue;
		use_recalled(f);
		f->is_seen = true;
		folder->is_good |= has_content(f);
	}
}

/* The innermost folder around @path that is there. */
static struct walk_folder *folder_around(const struct walk *w, const char *path)
{
	struct walk_folder *found = NULL;

	for (size_t i = 0; i < w->n_folders; i++) {
		struct walk_folder *folder = &w->folders[i];

		if (is_below(path, folder->path) &&
		    (!found || strlen(folder->path) > strlen(found->path)))
			found = folder;
	}
	return found;
}

/*
 * What editors and tools leave beside the file NAME while they write it anew, by the time
 * that NAME itself may be gone.
 */
static char *rewrite_of(const char *path)
{
	static const struct {
		const char *before, *after;
	} forms[] = { { "", "~" },     { "", ".tmp" },  { "", ".new" }, { "", ".part" },
		      { ".", ".swp" }, { ".", ".tmp" }, { ".#", "" },   { "#", "#" } };
	const char *name = strrchr(path, '/');
	struct stat st;

	name = name ? name + 1 : path;
	for (size_t i = 0; i < BH_ARRAY_LEN(forms); i++) {
		bh_auto_free char *beside = bh_asprintf("%.*s%s%s%s", (int)(name - path), path,
							forms[i].before, name, forms[i].after);

		if (lstat(beside, &st) == 0)
			return bh_take_ptr(beside);
	}
	return NULL;
}

/*
 * A file that the walk did not find: deleted, or in a folder that lost everything, which is
 * what a volume looks like that is not mounted.
 */
static bool is_kept(struct file *f, const struct walk *w, const struct scan *scan)
{
	bh_auto_free char *rewrite = NULL;
	struct walk_folder *folder;

	if (f->is_folder || !has_content(f))
		return false;
	if (exists(f->path)) {
		replace(&f->trouble, bh_strdup("is a folder now, or cannot be found any more"));
		return true;
	}
	rewrite = scan->accepts_empty ? NULL : rewrite_of(f->path);
	if (rewrite) {
		replace(&f->trouble,
			bh_asprintf("is gone, and a rewrite of it that did not end is beside it: "
				    "finish or delete '%s'",
				    rewrite));
		return true;
	}
	folder = folder_around(w, f->path);
	if (!folder || folder->n_below > 0 || scan->accepts_empty)
		return false;
	folder->n_kept++;
	return true;
}

static void read_empty_folder(struct store *s, const struct walk_folder *folder)
{
	struct file *f = get_folder(
		s, folder->path,
		bh_asprintf("the folder has no manifest any more (%zu had objects in force): put "
			    "them back (is the volume mounted?), or accept that with `bulkhead "
			    "reload --accept-empty`",
			    folder->n_kept));

	f->is_good = true;
}

static void keep_or_forget(struct store *s, const struct walk *w, const struct scan *scan)
{
	struct file *f, *next;

	HASH_ITER (hh, s->files, f, next) {
		if (f->is_seen)
			continue;
		if (!is_kept(f, w, scan)) {
			forget_file(s, f);
			continue;
		}
		use_recalled(f);
		f->is_seen = true;
	}
	for (size_t i = 0; i < w->n_folders; i++) {
		if (w->folders[i].n_kept > 0)
			read_empty_folder(s, &w->folders[i]);
	}
}

static void read_files(struct store *s, const struct walk *w, struct scan *scan)
{
	struct file *f;
	size_t i;

	for (f = s->files; f; f = f->hh.next)
		f->is_seen = false;
	for (i = 0; i < w->n_files; i++) {
		f = get_file(s, w->files[i]);
		f->is_folder = false;
		read_file(s, f, scan);
		f->is_seen = exists(f->path);
	}
	for (i = 0; i < w->n_troubles; i++)
		read_trouble(s, &w->troubles[i]);
	keep_or_forget(s, w, scan);
}

/* --- telling the sink ----------------------------------------------------------- */

static void copy_key(struct told *t, const struct bh_key *key)
{
	t->key = *key;
	t->key.namespace = bh_strdup(key->namespace);
	t->key.name = bh_strdup(key->name);
	t->key.uid = bh_strdup(key->uid);
}

/* The first file in path order that has an object is the one that counts. */
static void claim(struct store *s, struct file *f, const struct object *o)
{
	const struct bh_key key = bh_fact_key(bh_decoded_fact(o->decoded));
	bh_auto_free char *id = object_id(&key);
	struct told *t;

	HASH_FIND_STR(s->told, id, t);
	if (t && t->object) {
		if (!f->clash)
			f->clash = object_clash(o->decoded, f->path, t->file->path);
		return;
	}
	if (!t) {
		t = bh_calloc(1, sizeof(*t));
		t->id = bh_take_ptr(id);
		t->is_new = true;
		copy_key(t, &key);
		HASH_ADD_KEYPTR(hh, s->told, t->id, strlen(t->id), t);
	}
	t->object = o;
	t->file = f;
}

static void claim_all(struct store *s)
{
	struct file *f;
	struct told *t;
	size_t i;

	for (t = s->told; t; t = t->hh.next)
		t->object = NULL;
	for (f = s->files; f; f = f->hh.next) {
		replace(&f->clash, NULL);
		for (i = 0; i < f->load.n_objects; i++)
			claim(s, f, &f->load.objects[i]);
	}
}

static void put(struct store *s, struct told *t)
{
	const struct bh_fact *fact = bh_decoded_fact(t->object->decoded);
	struct bh_key key = bh_fact_key(fact);

	if (!t->is_new && strcmp(t->digest, t->object->digest) == 0)
		return;
	/* Another uid is another pod. */
	if (strcmp(t->key.uid, key.uid) != 0) {
		if (!t->is_new)
			s->sink.on_delete(s->sink.ctx, &t->key);
		free((char *)(uintptr_t)t->key.uid);
		t->key.uid = bh_strdup(key.uid);
	}
	memcpy(t->digest, t->object->digest, sizeof(t->digest));
	t->is_new = false;
	s->sink.on_put(s->sink.ctx, fact);
}

/* Policies before pods, additions before removals: never more open than both. */
static void tell_objects(struct store *s)
{
	static const enum bh_kind order[] = { BH_KIND_NAMESPACE, BH_KIND_NODE, BH_KIND_POLICY,
					      BH_KIND_POD };
	struct told *t, *next;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(order); i++) {
		for (t = s->told; t; t = t->hh.next) {
			if (t->object && t->key.kind == order[i])
				put(s, t);
		}
	}
	HASH_ITER (hh, s->told, t, next) {
		if (t->object)
			continue;
		s->sink.on_delete(s->sink.ctx, &t->key);
		HASH_DEL(s->told, t);
		free_told(t);
	}
}

/* What there is to say of a file, the worst first; NULL if nothing. */
static char *problem_of(const struct file *f)
{
	if (f->trouble && (f->is_good || has_content(f)))
		return bh_asprintf("%s; the last good version stays in force", f->trouble);
	if (f->trouble || f->error || f->clash)
		return bh_strdup(f->trouble ? f->trouble : f->error ? f->error : f->clash);
	return f->load.warnings ? bh_asprintf("warning: %s", f->load.warnings) : NULL;
}

static void tell_problems(struct store *s)
{
	struct file *f;

	for (f = s->files; f; f = f->hh.next) {
		bh_auto_free char *problem = problem_of(f);

		if (problem ? f->told && strcmp(problem, f->told) == 0 : !f->told)
			continue;
		replace(&f->told, problem ? bh_strdup(problem) : NULL);
		tell_problem(s, f->path, f->told);
	}
}

static int by_path(const struct file *a, const struct file *b)
{
	return strcmp(a->path, b->path);
}

static void tell(struct store *s)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the same */
	HASH_SORT(s->files, by_path);
	claim_all(s);
	tell_objects(s);
	tell_problems(s);
}

static bool is_accepted_as_gone(const struct scan *scan, int code)
{
	return code == -ENOENT && scan->accepts_empty;
}

/* The tree cannot be read: what was in force stays, that of an earlier run, too. */
static void hold(struct store *s)
{
	for (struct file *f = s->files; f; f = f->hh.next)
		use_recalled(f);
	tell(s);
}

static bool are_plain(const struct store *s)
{
	for (const struct file *f = s->files; f; f = f->hh.next)
		if (f->is_folder || f->is_recalled || f->trouble || f->error || f->clash)
			return false;
	return true;
}

int store_scan(struct store *s, struct scan *scan, struct bh_err *err)
{
	struct walk w;
	int r;

	scan->is_unsettled = false;
	s->is_plain = false;
	r = walk_tree(s->path, scan, &w, err);
	if (r < 0 && !is_accepted_as_gone(scan, r)) {
		hold(s);
		return r;
	}
	if (r < 0)
		w = (struct walk){ 0 };
	read_files(s, &w, scan);
	tell(s);
	s->is_plain = r == 0 && !w.has_links && w.n_troubles == 0 && are_plain(s);
	walk_done(&w);
	return r;
}

/* --- a few files ---------------------------------------------------------------- */

/* Its objects are nobody's until they are claimed again. */
static void disown(struct store *s, const struct file *f)
{
	for (struct told *t = s->told; t; t = t->hh.next) {
		if (t->file != f)
			continue;
		t->object = NULL;
		t->file = NULL;
	}
}

/* False where another file has one of them. */
static bool reclaim(struct store *s, struct file *f)
{
	for (size_t i = 0; i < f->load.n_objects; i++)
		claim(s, f, &f->load.objects[i]);
	return !f->clash;
}

/* The folder of @f has another file, so that it is no volume that is not mounted. */
static bool has_neighbour(const struct store *s, const struct file *f)
{
	const char *slash = strrchr(f->path, '/');
	bh_auto_free char *folder = bh_strndup(f->path, slash ? (size_t)(slash - f->path) : 0);

	for (const struct file *other = s->files; other; other = other->hh.next)
		if (other != f && is_below(other->path, folder) && exists(other->path))
			return true;
	return false;
}

static bool rescan_gone(struct store *s, struct file *f, const struct scan *scan)
{
	bh_auto_free char *rewrite = scan->accepts_empty ? NULL : rewrite_of(f->path);

	if (rewrite || !has_neighbour(s, f))
		return false;
	disown(s, f);
	forget_file(s, f);
	return true;
}

/* False where the whole tree must be looked at. */
static bool rescan_file(struct store *s, const char *path, struct scan *scan)
{
	struct file *f;
	struct stat st;

	HASH_FIND_STR(s->files, path, f);
	if (lstat(path, &st) < 0)
		return errno == ENOENT && (!f || rescan_gone(s, f, scan));
	if (!S_ISREG(st.st_mode) || (!f && HASH_COUNT(s->files) >= BH_MANIFEST_MAX_FILES))
		return false;
	f = f ? f : get_file(s, path);
	disown(s, f);
	read_file(s, f, scan);
	return !f->trouble && !f->error && reclaim(s, f);
}

int store_rescan(struct store *s, char *const *paths, size_t n, struct scan *scan)
{
	scan->is_unsettled = false;
	for (size_t i = 0; i < n && s->is_plain; i++)
		s->is_plain = rescan_file(s, paths[i], scan);
	if (!s->is_plain)
		return -EAGAIN;
	tell_objects(s);
	tell_problems(s);
	return 0;
}

void store_recall(struct store *s, const char *path, const char *text, size_t len)
{
	struct file *f = get_file(s, path);

	set_text(f, text, len);
	f->is_recalled = text != NULL;
	f->is_known_bad = text == NULL;
}

void store_keep_texts(struct store *s)
{
	s->keeps_texts = true;
}

/* Neither what it says now nor what it said before is known whole. */
static bool is_unknown(const struct file *f)
{
	return !f->is_good && (f->load.is_partial || (f->trouble && f->load.n_objects == 0));
}

void store_texts(const struct store *s,
		 void (*on_text)(void *ctx, const char *path, const char *text, size_t len),
		 void *ctx)
{
	for (const struct file *f = s->files; f; f = f->hh.next)
		if (f->text || is_unknown(f))
			on_text(ctx, f->path, f->text, f->text_len);
}

struct store_stats store_stats(const struct store *s)
{
	struct store_stats stats = { 0 };

	for (const struct file *f = s->files; f; f = f->hh.next) {
		stats.n_in_force += has_content(f);
		stats.n_blank += f->is_blank;
		if (!is_unknown(f) || f->is_known_bad)
			continue;
		if (stats.n_unknown++ == 0)
			stats.unknown = f->path;
	}
	return stats;
}

size_t store_problems(const struct store *s)
{
	const struct file *f;
	size_t n = 0;

	for (f = s->files; f; f = f->hh.next)
		n += f->trouble || f->error || f->clash;
	return n;
}

int bh_manifest_load(const char *path, const struct bh_sink *sink, struct bh_err *err)
{
	bh_auto(store_free) struct store *s = store_new(path, sink);
	struct scan scan = { 0 };
	int r;

	r = store_scan(s, &scan, err);
	if (r < 0)
		return bh_err_wrap(err, r, "%s", path);
	if (sink->on_synced)
		sink->on_synced(sink->ctx, BH_SOURCE_MANIFEST);
	return (int)store_problems(s);
}
