#include <string.h>

#include "bh/alloc.h"
#include "bh/object.h"

/* Lists within lists within ...; kubectl prints one level. */
#define MAX_LISTS 8

static bool is_list(const json_t *doc, const char *kind)
{
	size_t len = kind ? strlen(kind) : 0;

	if (len < 4 || strcmp(kind + len - 4, "List") != 0)
		return false;
	/* Without items it is an object that the decoder finds wrong. */
	return json_is_array(json_object_get(doc, "items"));
}

static void set_default(json_t *item, const char *name, const char *value)
{
	if (value && json_is_object(item) && !json_object_get(item, name))
		json_object_set_new(item, name, json_string(value));
}

static int unpack(json_t *doc, int depth, int (*on_object)(void *ctx, json_t *object), void *ctx)
{
	const char *kind = json_string_value(json_object_get(doc, "kind"));
	const char *version = json_string_value(json_object_get(doc, "apiVersion"));
	bh_auto_free char *item_kind = NULL;
	json_t *item;
	size_t i;
	int r;

	if (depth > MAX_LISTS || !is_list(doc, kind))
		return on_object(ctx, doc);
	if (strlen(kind) > strlen("List"))
		item_kind = bh_strndup(kind, strlen(kind) - strlen("List"));
	json_array_foreach(json_object_get(doc, "items"), i, item)
	{
		if (item_kind) {
			set_default(item, "kind", item_kind);
			set_default(item, "apiVersion", version);
		}
		r = unpack(item, depth + 1, on_object, ctx);
		if (r < 0)
			return r;
	}
	return 0;
}

int bh_object_unpack(json_t *doc, int (*on_object)(void *ctx, json_t *object), void *ctx)
{
	return unpack(doc, 0, on_object, ctx);
}
