/*
 * The list of quarantines on disk.
 */
#include "quarantinelist.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "bh/object.h"
#include "cachefile.h"

#define FILE_NAME  "quarantine.cache"
#define COPY_NAME  "quarantine.copy"
#define FILE_OF    "the operator of this node"
#define MAX_TARGET 512
#define MAX_REASON 256
#define PORTION    256

void bh_quarantine_done(struct bh_quarantine *i)
{
	free(i->namespace);
	free(i->name);
	free(i->reason);
}

static void set_time(json_t *o, const char *key, uint64_t ns)
{
	char text[BH_TIME_STRLEN];

	if (ns > 0)
		json_object_set_new(o, key, json_string(bh_time_format(ns, text)));
}

json_t *bh_quarantine_json(const struct bh_quarantine *i)
{
	json_t *allow = json_array(), *o;
	char text[BH_CIDR_STRLEN];

	for (size_t k = 0; k < i->n_allow; k++)
		json_array_append_new(allow, json_string(bh_cidr_format(&i->allow[k], text)));
	o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "namespace", i->namespace, "name", i->name,
		      "by", "operator", "user", (json_int_t)i->who, "reason", i->reason, "allow",
		      allow);
	set_time(o, "since", i->set_ns);
	set_time(o, "until", i->until_ns);
	return o;
}

static bool is_plain(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "-._/")] == '\0';
}

static int check_labels(const char *text, struct bh_err *err)
{
	bh_auto_free char *copy = bh_strdup(text);
	char *rest = copy, *part;
	size_t n = 0;

	while ((part = strsep(&rest, ","))) {
		char *value = strchr(part, '=');

		if (!value)
			return bh_err(err, -EINVAL, "'%.64s' is not of the form KEY=VALUE", part);
		*value++ = '\0';
		if (!is_plain(part) || (*value && !is_plain(value)))
			return bh_err(err, -EINVAL, "'%.64s=%.64s' is not a label", part, value);
		if (++n > BH_QUARANTINE_MAX_LABELS)
			return bh_err(err, -E2BIG, "more than %d labels", BH_QUARANTINE_MAX_LABELS);
	}
	return 0;
}

int bh_quarantine_parse_target(const char *text, struct bh_quarantine *ret, struct bh_err *err)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	int r = 0;

	if (!slash || slash == text || !slash[1])
		return bh_err(err, -EINVAL,
			      "'%.64s' is neither NAMESPACE/POD nor NAMESPACE/KEY=VALUE[,...]",
			      text ? text : "");
	if (strlen(text) > MAX_TARGET)
		return bh_err(err, -E2BIG, "the target has more than %d bytes", MAX_TARGET);
	ret->namespace = bh_strndup(text, (size_t)(slash - text));
	ret->name = bh_strdup(slash + 1);
	if (strchr(ret->name, '='))
		r = check_labels(ret->name, err);
	else if (!is_plain(ret->name) || strchr(ret->name, '/'))
		r = bh_err(err, -EINVAL, "'%.64s' is not the name of a pod", ret->name);
	if (r == 0 && (!is_plain(ret->namespace) || strchr(ret->namespace, '.')))
		r = bh_err(err, -EINVAL, "'%.64s' is not a namespace", ret->namespace);
	return r;
}

static int read_allow(const json_t *list, struct bh_quarantine *ret, struct bh_err *err)
{
	const json_t *item;
	size_t i;

	if (list && !json_is_array(list))
		return bh_err(err, -EINVAL, "'allow' is no list");
	if (json_array_size(list) > BH_QUARANTINE_MAX_ALLOW)
		return bh_err(err, -E2BIG, "more than %d networks are allowed",
			      BH_QUARANTINE_MAX_ALLOW);
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		struct bh_addr addr;
		int r = text ? bh_cidr_parse(text, &ret->allow[i], err) : -EINVAL;

		if (r < 0 && text && bh_addr_parse(text, &addr, NULL) == 0) {
			ret->allow[i] =
				(struct bh_cidr){ .addr = addr,
						  .prefix_len = addr.family == BH_IPV4 ? 32 : 128 };
			r = 0;
		}
		if (r < 0)
			return bh_err_wrap(err, r, "allow");
		ret->n_allow++;
	}
	return 0;
}

static int read_reason(const json_t *params, struct bh_quarantine *ret, struct bh_err *err)
{
	const char *reason = json_string_value(json_object_get(params, "reason"));

	if (reason && strlen(reason) > MAX_REASON)
		return bh_err(err, -E2BIG, "the reason has more than %d bytes", MAX_REASON);
	ret->reason = bh_strdup(reason ? reason : "");
	return 0;
}

int bh_quarantine_parse_params(const json_t *params, struct bh_quarantine *ret, struct bh_err *err)
{
	int r = read_allow(json_object_get(params, "allow"), ret, err);

	return r < 0 ? r : read_reason(params, ret, err);
}

static int read_time(const json_t *o, const char *key, uint64_t *ret)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? bh_time_parse(text, ret) : 0;
}

/* --- the list --------------------------------------------------------------------------- */

void bh_quarantine_list_done(struct bh_quarantine_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		bh_quarantine_done(&l->items[i]);
	free(l->items);
	*l = (struct bh_quarantine_list){ 0 };
}

struct bh_quarantine *bh_quarantine_list_find(const struct bh_quarantine_list *l,
					      const struct bh_quarantine *like)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i].namespace, like->namespace) == 0 &&
		    strcmp(l->items[i].name, like->name) == 0)
			return &l->items[i];
	return NULL;
}

void bh_quarantine_list_put(struct bh_quarantine_list *l, struct bh_quarantine *item)
{
	struct bh_quarantine *i = bh_quarantine_list_find(l, item);

	if (!i) {
		bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
		i = &l->items[l->n++];
	} else {
		bh_quarantine_done(i);
	}
	*i = *item;
	*item = (struct bh_quarantine){ 0 };
}

static int read_item(struct bh_quarantine_list *l, const json_t *o, struct bh_err *err)
{
	const char *ns = json_string_value(json_object_get(o, "namespace"));
	const char *name = json_string_value(json_object_get(o, "name"));
	bh_auto_free char *target = bh_asprintf("%s/%s", ns ? ns : "", name ? name : "");
	bh_auto(bh_quarantine_done) struct bh_quarantine item = {
		.who = (unsigned int)json_integer_value(json_object_get(o, "user")),
	};
	int r = bh_quarantine_parse_target(target, &item, err);

	if (r == 0)
		r = bh_quarantine_parse_params(o, &item, err);
	if (r == 0 &&
	    (read_time(o, "since", &item.set_ns) < 0 || read_time(o, "until", &item.until_ns) < 0))
		r = bh_err(err, -EINVAL, "has no time");
	if (r == 0)
		bh_quarantine_list_put(l, &item);
	return r;
}

static int on_line(void *ctx, const char *line, size_t len, struct bh_err *err)
{
	struct bh_quarantine_list *l = ctx;
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *serial = json_object_get(o, "serial");
	const char *lost = json_string_value(json_object_get(o, "lost"));
	int r = 0;

	if (json_is_integer(serial) && json_integer_value(serial) > 0) {
		l->serial = (uint64_t)json_integer_value(serial);
		snprintf(l->lost, sizeof(l->lost), "%s", lost ? lost : "");
	} else {
		r = read_item(l, o, err);
	}
	json_decref(o);
	return r;
}

static void write_line(struct bh_cachefile_writer *w, json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);

	bh_buf_puts(bh_cachefile_line(w), text ? text : "");
	bh_cachefile_end_line(w);
	free(text);
	json_decref(o);
}

static void write_list(const void *from, struct bh_cachefile_writer *w)
{
	const struct bh_quarantine_list *l = from;

	write_line(w, json_pack("{s:I, s:o}", "serial", (json_int_t)l->serial, "lost",
				bh_text_json(l->lost)));
	for (size_t i = 0; i < l->n; i++)
		write_line(w, bh_quarantine_json(&l->items[i]));
}

/* --- the copies ------------------------------------------------------------------------- */

void bh_copies_init(struct bh_copies *c, const char *state, const char *control)
{
	*c = (struct bh_copies){ .n = 0 };
	if (state) {
		c->paths[c->n++] = bh_asprintf("%s/" FILE_NAME, state);
		c->paths[c->n++] = bh_asprintf("%s/" COPY_NAME, state);
	}
	c->paths[c->n++] = bh_asprintf("%s." FILE_NAME, control);
	if (!state)
		c->paths[c->n++] = bh_asprintf("%s." COPY_NAME, control);
	assert(c->n <= BH_MAX_COPIES);
}

void bh_copies_done(struct bh_copies *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->paths[i]);
	*c = (struct bh_copies){ .n = 0 };
}

static int read_lines(int fd, struct bh_quarantine_list *ret, struct bh_err *err)
{
	bh_auto(bh_cachefile_close) struct bh_cachefile *f = NULL;
	struct bh_cachefile_info info = { .kind = BH_CACHEFILE_QUARANTINE };
	int r = bh_cachefile_check_owner(fd, err);

	if (r == 0)
		r = bh_cachefile_open(&f, fd, FILE_OF, &info, err);
	if (r < 0)
		return r;
	do {
		r = bh_cachefile_read_lines(f, PORTION, on_line, ret, err);
	} while (r > 0);
	if (r == 0 && ret->serial == 0)
		r = bh_err(err, -EINVAL, "has no number");
	return r;
}

static int read_copy(const char *path, struct bh_quarantine_list *ret, struct bh_err *err)
{
	bh_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	if (fd < 0)
		return bh_err_wrap(err, -errno, "cannot be opened");
	r = read_lines(fd, ret, err);
	/* -ENOENT is for copies that are not there. */
	return r == -ENOENT ? -EBADMSG : r;
}

int bh_copies_read(struct bh_copies *c, struct bh_quarantine_list *ret, bool *ret_is_complete,
		   struct bh_err *err)
{
	bool is_complete = true;
	int worst = -ENOENT;

	for (size_t i = 0; i < c->n; i++) {
		bh_auto(bh_quarantine_list_done) struct bh_quarantine_list l = { 0 };
		struct bh_err why = { 0 };
		int r = read_copy(c->paths[i], &l, &why);

		if (r == 0)
			(void)lstat(c->paths[i], &c->written[i]);
		is_complete &= r == 0 && (i == 0 || l.serial == ret->serial);
		c->is_damaged[i] = r < 0 && r != -ENOENT;
		if (c->is_damaged[i]) {
			bh_log_warning("'%s' %s", c->paths[i], bh_err_text(&why));
			worst = bh_err(err, r, "'%s' %s", c->paths[i], bh_err_text(&why));
		}
		if (r == 0 && l.serial > ret->serial) {
			bh_quarantine_list_done(ret);
			*ret = l;
			l = (struct bh_quarantine_list){ 0 };
		}
	}
	if (ret->serial == 0)
		return worst;
	*ret_is_complete = is_complete;
	return 0;
}

/* What could not be read stays for whoever wants to look at it. */
static void move_damaged(struct bh_copies *c, size_t i)
{
	bh_auto_free char *aside = bh_asprintf("%s.damaged", c->paths[i]);

	if (!c->is_damaged[i])
		return;
	(void)unlink(aside);
	if (rename(c->paths[i], aside) == 0) {
		bh_log_warning("'%s' was damaged and is '%s' now", c->paths[i], aside);
		c->is_damaged[i] = false;
	}
}

static int write_copy(struct bh_copies *c, size_t i, const struct bh_quarantine_list *l,
		      struct bh_err *err)
{
	struct bh_cachefile_info info = { .kind = BH_CACHEFILE_QUARANTINE,
					  .of = FILE_OF,
					  .real_ns = bh_real_ns() };
	int r;

	move_damaged(c, i);
	c->written[i] = (struct stat){ .st_ino = 0 };
	r = bh_cachefile_write_lines(c->paths[i], write_list, l, &info, err);
	if (r == 0 && lstat(c->paths[i], &c->written[i]) < 0)
		r = bh_err_wrap(err, -errno, "cannot look at '%s'", c->paths[i]);
	return r;
}

int bh_copies_write(struct bh_copies *c, struct bh_quarantine_list *l, size_t *ret_n,
		    struct bh_err *err)
{
	bool is_written[BH_MAX_COPIES] = { false };
	size_t n = 0;
	int r = 0;

	l->serial++;
	for (size_t i = 0; i < c->n; i++) {
		struct bh_err why = { 0 };
		int e = write_copy(c, i, l, &why);

		is_written[i] = e == 0;
		n += e == 0;
		if (e < 0)
			r = bh_err(err, e, "%s", bh_err_text(&why));
	}
	for (size_t i = 0; n > 0 && i < c->n; i++)
		if (!is_written[i])
			unlink(c->paths[i]);
	*ret_n = n;
	return r;
}

static bool is_as_written(const char *path, const struct stat *w)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == w->st_dev && st.st_ino == w->st_ino &&
	       st.st_size == w->st_size && st.st_uid == w->st_uid && st.st_mode == w->st_mode &&
	       st.st_mtim.tv_sec == w->st_mtim.tv_sec && st.st_mtim.tv_nsec == w->st_mtim.tv_nsec;
}

bool bh_copies_are_intact(const struct bh_copies *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (c->written[i].st_ino == 0)
			continue;
		if (!is_as_written(c->paths[i], &c->written[i]))
			return false;
		n++;
	}
	return n > 0;
}
