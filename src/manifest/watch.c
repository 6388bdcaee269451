/*
 * Follows a folder.  inotify(7) says in which folders something happened; what it was
 * is found by looking at the files.  Where the events name a few files of the tree, only
 * these are looked at; else, and where links or files that cannot be used make one file
 * depend on another, the tree is scanned, which costs some stat(2) per file.  A lost
 * event (queue overflow, a file system without inotify) costs time at most: the tree is
 * scanned every SLOW_MS anyway.
 *
 * Watched are all folders of the tree, the folders that links lead to, and the
 * folder around the tree, where the tree itself comes and goes.  A ConfigMap
 * volume swaps its link ..data within the folder, which is one event there.
 *
 * What is mounted over a folder is no event in it: every LOOK_MS each folder's path is
 * looked up, and where it leads to another folder now the tree is scanned.
 */
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/hash.h"
#include "store.h"

/* After an event, until quiet; but no longer than BURST_MS while events go on. */
#define DEBOUNCE_MS 50
#define BURST_MS    500
/* While the tree cannot be read. */
#define RETRY_MS 1000
#define SLOW_MS  60000
#define LOOK_MS  2000
/* Of events in one go, while others write all the time. */
#define MAX_READS 64
/* From so many changed files on, a scan costs less. */
#define MAX_CHANGED 64

#define NAME_EVENTS   (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define FOLDER_EVENTS (NAME_EVENTS | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

struct watch {
	int wd;            /* key */
	bool is_folder;    /* of the tree or of a link's target; else only around the tree */
	unsigned int scan; /* the last that found it */
	char *path;
	dev_t dev;
	ino_t ino;
	UT_hash_handle hh;
};

struct bh_manifest {
	uv_poll_t poll;
	uv_timer_t timer; /* the next scan */
	uv_timer_t look;
	int n_handles;
	int fd;                     /* inotify, -1 where it cannot be had */
	char *path, *parent, *base; /* of the tree */
	struct bh_sink sink;
	struct store *store;
	struct watch *watches;
	unsigned int n_scans;
	uint64_t burst_ms; /* when the first event since the last scan came; 0: none */
	uint64_t scan_ms;  /* when the tree was scanned last */
	bool is_unsettled; /* the last scan left a file for the next one */
	/* What events named since, as paths of the tree; is_any_changed: that is not all. */
	char **changed;
	size_t n_changed;
	bool is_any_changed;
	bool is_synced;
	bool is_accepted; /* an empty tree, by the operator */
	struct bh_manifest_start start;
	char *unknown;
	char *told; /* problem with the tree itself that the sink knows */
	bool is_watch_missing, is_told_missing;
};

static void watch(struct bh_manifest *m, const char *path, uint32_t events, bool is_folder)
{
	struct watch *w;
	struct stat st;
	int wd;

	if (m->fd < 0)
		return;
	wd = inotify_add_watch(m->fd, path, events | IN_ONLYDIR | IN_MASK_ADD);
	if (wd < 0) {
		/* A folder that is not there is the scan's to tell. */
		m->is_watch_missing |= errno == ENOSPC || errno == ENOMEM;
		return;
	}
	HASH_FIND_INT(m->watches, &wd, w);
	if (!w) {
		w = bh_calloc(1, sizeof(*w));
		w->wd = wd;
		HASH_ADD_INT(m->watches, wd, w);
	}
	if (!w->path && stat(path, &st) == 0) {
		w->path = bh_strdup(path);
		w->dev = st.st_dev;
		w->ino = st.st_ino;
	}
	w->is_folder |= is_folder;
	w->scan = m->n_scans;
}

static void on_folder(void *ctx, const char *path)
{
	watch(ctx, path, FOLDER_EVENTS, true);
}

static void drop_watch(struct bh_manifest *m, struct watch *w)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash unlinks what is freed here */
	HASH_DEL(m->watches, w);
	free(w->path);
	free(w);
}

static void drop_old_watches(struct bh_manifest *m)
{
	struct watch *w, *next;

	HASH_ITER (hh, m->watches, w, next) {
		if (w->scan == m->n_scans)
			continue;
		inotify_rm_watch(m->fd, w->wd);
		drop_watch(m, w);
	}
}

static void tell_missing_watches(struct bh_manifest *m)
{
	bool is_missing = m->is_watch_missing || m->fd < 0;

	if (is_missing == m->is_told_missing)
		return;
	m->is_told_missing = is_missing;
	m->sink.on_problem(m->sink.ctx, BH_SOURCE_MANIFEST, "inotify",
			   is_missing ? "not every folder can be watched (see fs.inotify in "
					"sysctl), changes are noticed within a minute"
				      : NULL);
}

/* Trouble with the tree itself, or its end. */
static void tell_tree(struct bh_manifest *m, const char *problem)
{
	if (problem ? m->told && strcmp(m->told, problem) == 0 : !m->told)
		return;
	free(m->told);
	m->told = problem ? bh_strdup(problem) : NULL;
	m->sink.on_problem(m->sink.ctx, BH_SOURCE_MANIFEST, m->path, problem);
}

static void on_timer(uv_timer_t *timer);

/* After the text can be asked for: whoever is told may do so. */
static void set_unknown(struct bh_manifest *m, char *text)
{
	bool is_same = text ? m->unknown && strcmp(m->unknown, text) == 0 : !m->unknown;

	free(m->unknown);
	m->unknown = text;
	if (!is_same)
		m->sink.on_problem(m->sink.ctx, BH_SOURCE_MANIFEST, "manifests", text);
}

/* Why the tree is not in sync though it can be read; NULL: it is. */
static char *why_unknown(const struct bh_manifest *m, const struct store_stats *stats)
{
	bool is_doubtful = !m->start.is_recalled && m->start.has_rules && !m->is_accepted;

	/* Later, what cannot be used never was in force: a problem of its own. */
	if (m->is_synced)
		return NULL;
	if (stats->n_unknown > 0)
		return bh_asprintf("of %zu file%s neither the text nor an earlier version can be "
				   "used, first '%s'",
				   stats->n_unknown, stats->n_unknown == 1 ? "" : "s",
				   stats->unknown);
	if (is_doubtful && stats->n_blank > 0)
		return bh_asprintf("%zu file%s empty, and rules of an earlier run are in force: "
				   "accept that with `bulkhead reload --accept-empty`",
				   stats->n_blank, stats->n_blank == 1 ? " is" : "s are");
	if (is_doubtful && stats->n_in_force == 0)
		return bh_asprintf("'%s' has none, and rules of an earlier run are in force: is "
				   "the volume mounted? Or accept that with `bulkhead reload "
				   "--accept-empty`",
				   m->path);
	return NULL;
}

static void tell_synced(struct bh_manifest *m)
{
	if (!m->is_synced)
		m->sink.on_synced(m->sink.ctx, BH_SOURCE_MANIFEST);
	m->is_synced = true;
}

/* The tree cannot be read; what was in force stays. */
static void on_no_tree(struct bh_manifest *m, int code, const struct bh_err *err)
{
	const struct store_stats stats = store_stats(m->store);
	bh_auto_free char *text = bh_asprintf(
		"%s%s%s", bh_err_text(err),
		stats.n_in_force > 0 ? "; what its manifests said stays in force" : "",
		stats.n_in_force > 0 && code == -ENOENT
			? ": put it back (is the volume mounted?), or accept that with `bulkhead "
			  "reload --accept-empty`"
			: "");

	tell_tree(m, text);
	if (m->start.is_recalled || m->is_accepted)
		tell_synced(m);
}

static void on_tree(struct bh_manifest *m)
{
	const struct store_stats stats = store_stats(m->store);

	tell_tree(m, NULL);
	drop_old_watches(m);
	tell_missing_watches(m);
	set_unknown(m, why_unknown(m, &stats));
	if (!m->unknown)
		tell_synced(m);
}

static void forget_changed(struct bh_manifest *m)
{
	for (size_t i = 0; i < m->n_changed; i++)
		free(m->changed[i]);
	m->n_changed = 0;
	m->is_any_changed = false;
}

static void note_changed(struct bh_manifest *m, const struct watch *w, const char *name)
{
	bh_auto_free char *path = bh_asprintf("%s/%s", w->path, name);

	for (size_t i = 0; i < m->n_changed; i++)
		if (strcmp(m->changed[i], path) == 0)
			return;
	if (m->n_changed == MAX_CHANGED)
		m->is_any_changed = true;
	else
		m->changed[m->n_changed++] = bh_take_ptr(path);
}

static void scan_now(struct bh_manifest *m, struct scan *scan)
{
	struct bh_err err = { 0 };
	uint64_t delay_ms = SLOW_MS;
	int code;

	forget_changed(m);
	m->scan_ms = uv_now(m->timer.loop);

	scan->on_folder = on_folder;
	scan->ctx = m;
	m->n_scans++;
	m->burst_ms = 0;
	m->is_watch_missing = false;
	m->is_accepted |= scan->accepts_empty;
	watch(m, m->parent, NAME_EVENTS, false);
	code = store_scan(m->store, scan, &err);
	if (code < 0) {
		delay_ms = RETRY_MS;
		on_no_tree(m, code, &err);
	} else {
		on_tree(m);
	}
	m->is_unsettled = scan->is_unsettled;
	if (m->is_unsettled)
		delay_ms = DEBOUNCE_MS;
	uv_timer_start(&m->timer, on_timer, delay_ms, 0);
}

/* False where the whole tree must be scanned. */
static bool scan_changed(struct bh_manifest *m, struct scan *scan)
{
	uint64_t next_ms = m->scan_ms + SLOW_MS, now = uv_now(m->timer.loop);

	if (m->is_any_changed || !m->is_synced || m->told || m->unknown || now >= next_ms ||
	    store_rescan(m->store, m->changed, m->n_changed, scan) < 0)
		return false;
	m->burst_ms = 0;
	m->is_unsettled = scan->is_unsettled;
	if (!m->is_unsettled)
		forget_changed(m);
	uv_timer_start(&m->timer, on_timer, m->is_unsettled ? DEBOUNCE_MS : next_ms - now, 0);
	return true;
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_manifest *m = bh_container_of(timer, struct bh_manifest, timer);
	struct scan scan = { .wants_settled = true };

	if (!scan_changed(m, &scan))
		scan_now(m, &scan);
}

static void scan_soon(struct bh_manifest *m)
{
	uint64_t now = uv_now(m->timer.loop), delay_ms = DEBOUNCE_MS;

	if (m->burst_ms == 0)
		m->burst_ms = now;
	if (now + delay_ms > m->burst_ms + BURST_MS)
		delay_ms = m->burst_ms + BURST_MS > now ? m->burst_ms + BURST_MS - now : 0;
	uv_timer_start(&m->timer, on_timer, delay_ms, 0);
}

static void on_look(uv_timer_t *timer)
{
	struct bh_manifest *m = bh_container_of(timer, struct bh_manifest, look);

	for (struct watch *w = m->watches; w; w = w->hh.next) {
		struct stat st;

		if (!w->path ||
		    (stat(w->path, &st) == 0 && st.st_dev == w->dev && st.st_ino == w->ino))
			continue;
		m->is_any_changed = true;
		scan_soon(m);
		return;
	}
}

/*
 * What leads to a folder, and a folder itself, is more than a file.  Other names are no
 * manifests: a hidden one matters where links lead through it or where a file is in
 * trouble, and there the store wants the tree scanned.
 */
static bool is_about_file(const struct watch *w, const struct inotify_event *e)
{
	return w->path && e->len > 0 && !(e->mask & IN_ISDIR);
}

/* Whether an event can have to do with the tree; notes what it names. */
static bool is_ours(struct bh_manifest *m, const struct inotify_event *e)
{
	struct watch *w;

	if (e->mask & IN_Q_OVERFLOW) {
		m->is_any_changed = true;
		return true;
	}
	HASH_FIND_INT(m->watches, &e->wd, w);
	if (!w)
		return false;
	if (e->mask & IN_IGNORED) {
		drop_watch(m, w);
		m->is_any_changed = true;
		return true;
	}
	if (!w->is_folder) {
		bool is_tree = e->len > 0 && strcmp(e->name, m->base) == 0;

		m->is_any_changed |= is_tree;
		return is_tree;
	}
	if (!is_about_file(w, e))
		m->is_any_changed = true;
	else if (walk_is_manifest(e->name))
		note_changed(m, w, e->name);
	return true;
}

/* True if there may be more to read. */
static bool read_events(struct bh_manifest *m)
{
	char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t at, n = read(m->fd, buf, sizeof(buf));
	bool is_any = false;

	for (at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(buf + at);

		is_any |= is_ours(m, e);
		at += (ssize_t)sizeof(*e) + e->len;
	}
	if (is_any)
		scan_soon(m);
	return n > 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	read_events(bh_container_of(poll, struct bh_manifest, poll));
}

/* The folder around @path and the name in it. */
static void split_path(struct bh_manifest *m, const char *path)
{
	size_t len = strlen(path);
	const char *slash;

	while (len > 1 && path[len - 1] == '/')
		len--;
	m->path = bh_strndup(path, len);
	m->base = bh_strdup(m->path);
	slash = strrchr(m->base, '/');
	if (!slash) {
		m->parent = bh_strdup(".");
		return;
	}
	m->parent =
		slash == m->base ? bh_strdup("/") : bh_strndup(m->base, (size_t)(slash - m->base));
	memmove(m->base, slash + 1, strlen(slash));
}

int bh_manifest_new(struct bh_manifest **ret, uv_loop_t *loop, const char *dir,
		    const struct bh_sink *sink, struct bh_err *err)
{
	struct bh_manifest *m;

	if (!*dir)
		return bh_err(err, -EINVAL, "no folder of manifests is named");
	m = bh_calloc(1, sizeof(*m));
	m->sink = *sink;
	m->changed = bh_calloc(MAX_CHANGED, sizeof(*m->changed));
	m->store = store_new(dir, sink);
	split_path(m, dir);
	uv_timer_init(loop, &m->timer);
	uv_timer_init(loop, &m->look);
	m->n_handles = 2;
	m->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (m->fd >= 0 && uv_poll_init(loop, &m->poll, m->fd) < 0)
		bh_close(&m->fd);
	if (m->fd >= 0) {
		m->n_handles = 3;
		uv_poll_start(&m->poll, UV_READABLE, on_readable);
	}
	store_keep_texts(m->store);
	*ret = m;
	return 0;
}

void bh_manifest_recall(struct bh_manifest *m, const char *path, const char *text, size_t len)
{
	store_recall(m->store, path, text, len);
}

void bh_manifest_start(struct bh_manifest *m, const struct bh_manifest_start *start)
{
	struct scan scan = { .reads_all = true };

	m->start = *start;
	uv_timer_start(&m->look, on_look, LOOK_MS, LOOK_MS);
	scan_now(m, &scan);
}

void bh_manifest_texts(const struct bh_manifest *m,
		       void (*on_text)(void *ctx, const char *path, const char *text, size_t len),
		       void *ctx)
{
	store_texts(m->store, on_text, ctx);
}

void bh_manifest_reload(struct bh_manifest *m, bool accepts_empty)
{
	struct scan scan = { .reads_all = true, .accepts_empty = accepts_empty };

	scan_now(m, &scan);
}

const char *bh_manifest_unknown(const struct bh_manifest *m)
{
	return m->unknown;
}

bool bh_manifest_is_behind(struct bh_manifest *m)
{
	/* Whoever asks changed the tree before, and may be heard before inotify. */
	for (int i = 0; m->fd >= 0 && i < MAX_READS && read_events(m);)
		i++;
	return m->burst_ms > 0 || m->is_unsettled;
}

static void closed(struct bh_manifest *m)
{
	if (--m->n_handles > 0)
		return;
	bh_close(&m->fd);
	free(m);
}

static void on_timer_closed(uv_handle_t *h)
{
	closed(bh_container_of(h, struct bh_manifest, timer));
}

static void on_look_closed(uv_handle_t *h)
{
	closed(bh_container_of(h, struct bh_manifest, look));
}

static void on_poll_closed(uv_handle_t *h)
{
	closed(bh_container_of(h, struct bh_manifest, poll));
}

void bh_manifest_free(struct bh_manifest **m)
{
	struct watch *w, *next;

	if (!*m)
		return;
	HASH_ITER (hh, (*m)->watches, w, next)
		drop_watch(*m, w);
	store_free(&(*m)->store);
	forget_changed(*m);
	free((*m)->changed);
	free((*m)->told);
	free((*m)->unknown);
	free((*m)->path);
	free((*m)->parent);
	free((*m)->base);
	if ((*m)->fd >= 0)
		uv_close((uv_handle_t *)&(*m)->poll, on_poll_closed);
	uv_close((uv_handle_t *)&(*m)->timer, on_timer_closed);
	uv_close((uv_handle_t *)&(*m)->look, on_look_closed);
	*m = NULL;
}
