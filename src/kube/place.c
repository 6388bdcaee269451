#include "place.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/backoff.h"

#define MIN_WATCH_SECONDS 300

void bh_kube_place_forget_version(struct bh_kube_place *p)
{
	free(p->version);
	p->version = NULL;
}

void bh_kube_place_forget(struct bh_kube_place *p)
{
	bh_kube_place_forget_version(p);
	free(p->continuation);
	p->continuation = NULL;
}

void bh_kube_place_set_version(struct bh_kube_place *p, const char *version)
{
	if (!*version || (p->version && strcmp(p->version, version) == 0))
		return;
	free(p->version);
	p->version = bh_strdup(version);
}

void bh_kube_place_set_page(struct bh_kube_place *p, const char *next)
{
	free(p->continuation);
	p->continuation = *next ? bh_strdup(next) : NULL;
	if (!*next)
		p->wants_whole_list = false;
}

uint64_t bh_kube_place_revision(const struct bh_kube_place *p)
{
	return p->version ? strtoull(p->version, NULL, 10) : 0;
}

/* --- queries --------------------------------------------------------------------- */

/* Tokens and versions are the server's; they must not say more than they are. */
static void add_escaped(struct bh_buf *path, const char *text)
{
	char *s = curl_easy_escape(NULL, text, 0);

	if (!s)
		abort();
	bh_buf_puts(path, s);
	curl_free(s);
}

/* Not all at once, so that watches do not end all at once. */
static uint32_t watch_seconds(void)
{
	return MIN_WATCH_SECONDS + bh_random_below(MIN_WATCH_SECONDS);
}

void bh_kube_place_watch(const struct bh_kube_place *p, const struct bh_kube_kind *kind,
			 struct bh_buf *path)
{
	bh_buf_printf(path, "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u%s", kind->path,
		      watch_seconds(), kind->selector);
	bh_buf_puts(path, "&resourceVersion=");
	add_escaped(path, p->version);
}

void bh_kube_place_stream(const struct bh_kube_kind *kind, struct bh_buf *path)
{
	bh_buf_printf(path,
		      "%s?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
		      "&allowWatchBookmarks=true&timeoutSeconds=%u%s",
		      kind->path, watch_seconds(), kind->selector);
}

void bh_kube_place_page(const struct bh_kube_place *p, const struct bh_kube_kind *kind,
			uint32_t page_size, struct bh_buf *path)
{
	bh_buf_printf(path, "%s?limit=%u%s", kind->path, p->wants_whole_list ? 0 : page_size,
		      kind->selector);
	if (p->continuation) {
		bh_buf_puts(path, "&continue=");
		add_escaped(path, p->continuation);
	}
}
