#include "facts.h"

#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/hash.h"
#include "bh/object.h"

/* Of one resource; three times the largest cluster that Kubernetes is made for. */
#define MAX_OBJECTS 500000
/* Of one resource; after that it is said only that there are more. */
#define MAX_PROBLEMS 100

static struct bh_key key_of(const struct bh_kube_facts *f, const struct bh_kube_entry *e)
{
	return (struct bh_key){
		.kind = f->kind->fact_kind,
		.source = BH_SOURCE_KUBE,
		.policy_kind = f->kind->policy_kind,
		.namespace = bh_kube_entry_namespace(e),
		.name = bh_kube_entry_name(e),
		.uid = bh_kube_entry_uid(e),
	};
}

static void tell(const struct bh_kube_facts *f, const char *subject, const char *text)
{
	f->sink->on_problem(f->sink->ctx, BH_SOURCE_KUBE, subject, text);
}

/* "Pod shop/web" */
static void tell_object(const struct bh_kube_facts *f, const struct bh_kube_entry *e,
			const char *text)
{
	struct bh_buf subject = { 0 };

	bh_buf_printf(&subject, "%s ", f->kind->kind);
	bh_buf_escape(&subject, bh_kube_entry_namespace(e));
	bh_buf_puts(&subject, *bh_kube_entry_namespace(e) ? "/" : "");
	bh_buf_escape(&subject, bh_kube_entry_name(e));
	tell(f, bh_buf_str(&subject), text);
	bh_buf_done(&subject);
}

static void tell_of_all(const struct bh_kube_facts *f, bool *was_told, const char *text)
{
	if (!*was_told)
		tell(f, f->kind->kind, text);
	*was_told = true;
}

/*
 * A NetworkPolicy that was never read isolates its namespace, as one does whose
 * selector cannot be read: left out, it would leave its pods open.  (What the schema
 * of a ClusterNetworkPolicy lets through can be read.)
 */
static void close_namespace(struct bh_kube_facts *f, struct bh_kube_entry *e, const char *why)
{
	const struct bh_fact fact = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_KUBE,
		.policy = {
			.kind = BH_NETWORK_POLICY,
			.tier = BH_TIER_NETWORK_POLICY,
			.namespace = bh_kube_entry_namespace(e),
			.name = bh_kube_entry_name(e),
			.uid = bh_kube_entry_uid(e),
			.isolates = { true, true },
			.invalid = why,
		},
	};

	f->sink->on_put(f->sink->ctx, &fact);
	e->is_told = true;
}

static bool is_network_policy(const struct bh_kube_facts *f)
{
	return f->kind->fact_kind == BH_KIND_POLICY && f->kind->policy_kind == BH_NETWORK_POLICY;
}

static void set_problem(struct bh_kube_facts *f, struct bh_kube_entry *e, const char *why)
{
	if (!e->has_problem && f->n_problems >= MAX_PROBLEMS) {
		tell_of_all(f, &f->has_more_problems, "more of them have problems than are named");
		return;
	}
	f->n_problems += !e->has_problem;
	e->has_problem = true;
	tell_object(f, e, why);
}

static void refuse(struct bh_kube_facts *f, struct bh_kube_entry *e, const char *why)
{
	f->n_refused++;
	if (!e->is_told && is_network_policy(f))
		close_namespace(f, e, why);
	set_problem(f, e, why);
}

static void end_problem(struct bh_kube_facts *f, struct bh_kube_entry *e)
{
	if (!e->has_problem)
		return;
	tell_object(f, e, NULL);
	e->has_problem = false;
	f->n_problems--;
}

static void take_back(struct bh_kube_facts *f, struct bh_kube_entry *e)
{
	const struct bh_key key = key_of(f, e);

	if (e->is_told)
		f->sink->on_delete(f->sink->ctx, &key);
	end_problem(f, e);
}

/* --- one object ------------------------------------------------------------------ */

/* The text was cut to what is kept; kind and apiVersion are ours. */
static int decode(const struct bh_kube_facts *f, const struct bh_kube_item *item,
		  struct bh_decoded **ret, struct bh_err *err)
{
	const struct bh_origin origin = { .source = BH_SOURCE_KUBE };
	json_error_t json_err;
	json_t *json;
	int r;

	if (item->refused)
		return bh_err(err, -E2BIG, "%s", item->refused);
	/* A NUL, which some fields may have, ends the text for us. */
	json = json_loadb(item->text, item->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
			  &json_err);
	if (!json)
		return bh_err(err, -EINVAL, "is not JSON: %s", json_err.text);
	json_object_set_new(json, "kind", json_string(f->kind->kind));
	json_object_set_new(json, "apiVersion", json_string(f->kind->api_version));
	r = bh_object_decode(json, &origin, ret, err);
	json_decref(json);
	return r;
}

/* What was read of the object by both of us is the same. */
static bool is_about(const struct bh_fact *fact, const struct bh_kube_entry *e)
{
	const struct bh_key key = bh_fact_key(fact);

	return strcmp(key.name, bh_kube_entry_name(e)) == 0 &&
	       strcmp(key.namespace, bh_kube_entry_namespace(e)) == 0 &&
	       (key.kind != BH_KIND_POD || strcmp(key.uid, bh_kube_entry_uid(e)) == 0);
}

/* What was left out of it; NULL: nothing. */
static const char *missing_part(const struct bh_kube_stream *s, const struct bh_kube_item *item)
{
	if (*bh_kube_stream_slot(s, BH_SLOT_NO_LABELS))
		return "has too many labels, and counts as one whose labels are not known";
	if (*bh_kube_stream_slot(s, BH_SLOT_NOT_ALL))
		return "has too many ports or owners, none of which are known";
	return item->is_large ? "is over 4 MiB, of which only what policy is about is read" : NULL;
}

static void put(struct bh_kube_facts *f, const struct bh_kube_stream *s,
		const struct bh_fact *decoded)
{
	struct bh_fact fact = *decoded;

	if (fact.kind == BH_KIND_POD && *bh_kube_stream_slot(s, BH_SLOT_NO_LABELS))
		fact.pod.has_no_labels_yet = true;
	f->sink->on_put(f->sink->ctx, &fact);
}

static void take(struct bh_kube_facts *f, struct bh_kube_entry *e, const struct bh_kube_stream *s,
		 const struct bh_kube_item *item)
{
	bh_auto(bh_decoded_free) struct bh_decoded *decoded = NULL;
	const char *missing = missing_part(s, item);
	const struct bh_fact *fact;
	struct bh_err err = { 0 };

	if (decode(f, item, &decoded, &err) < 0) {
		refuse(f, e, err.text);
		return;
	}
	fact = bh_decoded_fact(decoded);
	if (!fact || !is_about(fact, e)) {
		refuse(f, e, fact ? "its name or uid is not plain text" : "its kind is not read");
		return;
	}
	put(f, s, fact);
	e->is_told = true;
	if (missing)
		set_problem(f, e, missing);
	else
		end_problem(f, e);
}

static struct bh_kube_entry *add(struct bh_kube_facts *f, const char *namespace, const char *name,
				 const char *uid)
{
	if (bh_kube_table_count(f->table) < MAX_OBJECTS)
		return bh_kube_table_add(f->table, namespace, name, uid);
	f->n_refused++;
	tell_of_all(f, &f->has_too_many, "there are too many of them, the rest is left out");
	return NULL;
}

/*
 * The same name again with another uid: the old one is gone.  The new one is
 * told first, so that no packet falls in between.  Only pods are known by uid.
 */
static void replace(struct bh_kube_facts *f, struct bh_kube_entry *old, const char *namespace,
		    const char *name, const char *uid, const struct bh_kube_stream *s,
		    const struct bh_kube_item *item, uint64_t digest)
{
	struct bh_kube_entry *e, *copy = bh_kube_entry_copy(old);

	bh_kube_table_remove(f->table, old);
	e = bh_kube_table_add(f->table, namespace, name, uid);
	e->digest = digest;
	if (f->kind->fact_kind != BH_KIND_POD)
		e->is_told = copy->is_told;
	e->has_problem = copy->has_problem;
	take(f, e, s, item);
	if (f->kind->fact_kind == BH_KIND_POD) {
		copy->has_problem = false;
		take_back(f, copy);
	}
	free(copy);
}

/* A mirror pod is the static pod that it mirrors, as the decoder has it. */
static const char *uid_of(const struct bh_kube_stream *s)
{
	const char *mirrored = bh_kube_stream_slot(s, BH_SLOT_MIRROR);

	return *mirrored ? mirrored : bh_kube_stream_slot(s, BH_SLOT_UID);
}

static bool has_name(struct bh_kube_facts *f, const char *name)
{
	if (*name)
		return true;
	f->n_refused++;
	tell_of_all(f, &f->has_nameless, "the server sent one without a name");
	return false;
}

static uint64_t digest_of(const struct bh_kube_stream *s, const struct bh_kube_item *item)
{
	const char *missing = missing_part(s, item);

	return bh_hash(item->text, item->len) + (missing ? bh_hash(missing, strlen(missing)) : 0);
}

void bh_kube_facts_put(struct bh_kube_facts *f, const struct bh_kube_stream *s,
		       const struct bh_kube_item *item)
{
	const char *namespace = bh_kube_stream_slot(s, BH_SLOT_NAMESPACE);
	const char *name = bh_kube_stream_slot(s, BH_SLOT_NAME);
	const char *uid = uid_of(s);
	uint64_t digest = item->refused ? BH_KUBE_NO_DIGEST : digest_of(s, item);
	struct bh_kube_entry *e;

	if (!has_name(f, name))
		return;
	e = bh_kube_table_find(f->table, namespace, name);
	if (e && strcmp(bh_kube_entry_uid(e), uid) != 0) {
		replace(f, e, namespace, name, uid, s, item, digest);
		return;
	}
	if (!e)
		e = add(f, namespace, name, uid);
	if (!e)
		return;
	e->is_seen = true;
	if (e->digest != BH_KUBE_NO_DIGEST && e->digest == digest)
		return;
	e->digest = digest;
	take(f, e, s, item);
}

void bh_kube_facts_delete(struct bh_kube_facts *f, const struct bh_kube_stream *s)
{
	struct bh_kube_entry *e =
		bh_kube_table_find(f->table, bh_kube_stream_slot(s, BH_SLOT_NAMESPACE),
				   bh_kube_stream_slot(s, BH_SLOT_NAME));

	/* Another uid: one that was here before it. */
	if (!e || strcmp(bh_kube_entry_uid(e), uid_of(s)) != 0)
		return;
	take_back(f, e);
	bh_kube_table_remove(f->table, e);
}

bool bh_kube_facts_adopt(struct bh_kube_facts *f, const struct bh_key *key)
{
	const char *namespace = key->namespace ? key->namespace : "";
	struct bh_kube_entry *e = bh_kube_table_find(f->table, namespace, key->name);
	const char *uid = key->uid ? key->uid : "";

	if (e && f->kind->fact_kind == BH_KIND_POD && strcmp(bh_kube_entry_uid(e), uid) != 0)
		return false;
	if (!e) {
		e = add(f, namespace, key->name, uid);
		if (!e)
			return false;
		e->is_seen = false;
	}
	e->is_told = true;
	return true;
}

/* --- lists ----------------------------------------------------------------------- */

void bh_kube_facts_begin(struct bh_kube_facts *f)
{
	bh_kube_table_begin(f->table);
	if (f->has_too_many || f->has_nameless || f->has_more_problems)
		tell(f, f->kind->kind, NULL);
	f->has_too_many = f->has_nameless = f->has_more_problems = false;
}

static void on_gone(void *ctx, struct bh_kube_entry *e)
{
	take_back(ctx, e);
}

void bh_kube_facts_end(struct bh_kube_facts *f)
{
	bh_kube_table_end(f->table, on_gone, f);
}

void bh_kube_facts_init(struct bh_kube_facts *f, const struct bh_kube_kind *kind,
			const struct bh_sink *sink)
{
	*f = (struct bh_kube_facts){ .kind = kind, .sink = sink, .table = bh_kube_table_new() };
}

void bh_kube_facts_done(struct bh_kube_facts *f)
{
	bh_kube_table_free(&f->table);
}
