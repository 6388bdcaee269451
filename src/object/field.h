/*
 * Reading the fields of one JSON object: types, defaults, paths and lines.
 *
 * Nothing here stops at an error.  The first one is kept as what is wrong with
 * the object, later ones become warnings, so that a person sees them all at
 * once; whoever asks for a value that is not there or is of another type gets
 * the empty one.
 */
#ifndef BH_OBJECT_FIELD_H
#define BH_OBJECT_FIELD_H

#include "bh/alloc.h"
#include "bh/object.h"

/* A value and how it is reached; lives on the stack below its parent. */
struct field {
	const json_t *json;     /* NULL where absent or null, which mean the same */
	const struct field *up; /* NULL for the object itself */
	const char *name;       /* key within up, or NULL for element @index */
	size_t index;
};

struct decoder {
	struct bh_arena *arena;
	const struct bh_origin *origin; /* may be NULL */
	const char *error;              /* the first, NULL if none */
	int error_line;
	size_t n_errors;
	/* Not from an API server, which refuses or prunes what it does not know. */
	bool is_strict;
	size_t n_unknown;                   /* fields that field_known() found */
	struct bh_decode_warning *warnings; /* malloc'ed */
	size_t n_warnings, cap_warnings;
};

struct field field_get(const struct field *up, const char *name);
struct field field_at(const struct field *up, size_t index);
/* Of the value or of the nearest around it; 0 where unknown. */
int field_line(const struct decoder *d, const struct field *f);

/* The file of the object, in the arena; NULL if none. */
const char *origin_file(struct decoder *d);

void field_error(struct decoder *d, const struct field *f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void field_warn(struct decoder *d, const struct field *f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* `Invalid value: "text": why` */
void field_invalid(struct decoder *d, const struct field *f, const char *text, const char *why);
/* `Unsupported value: "text": supported values: "a", "b"`; @names ends with NULL. */
void field_unsupported(struct decoder *d, const struct field *f, const char *text,
		       const char *const *names);

/* False and an error where the value has another type; false where it is absent. */
bool field_is_object(struct decoder *d, const struct field *f);
bool field_is_true(struct decoder *d, const struct field *f);
/* Warns of a key of @up with the value null, which reads as absent: @then says what follows. */
void field_warn_null(struct decoder *d, const struct field *up, const char *name, const char *then);
/* The number of elements, 0 where absent or no list. */
size_t field_list(struct decoder *d, const struct field *f);
/* In the object's own memory; NULL where absent or no string. */
const char *field_string(struct decoder *d, const struct field *f);
/* A 32-bit number, as every integer of these objects is. */
bool field_int(struct decoder *d, const struct field *f, int32_t *ret);
/*
 * Every key of @f that is not among @names, which ends with NULL, is an error where the
 * decoder is strict, else a warning.
 */
void field_known(struct decoder *d, const struct field *f, const char *const *names);

/*
 * The same only for keys that differ from one of @names in their case or a letter or two: for
 * objects of many fields, of which policy reads a few.  Nothing where the decoder is lenient.
 */
void field_not_misspelt(struct decoder *d, const struct field *f, const char *const *names);

/* A key of @f differs from @name as above, or is it. */
bool field_resembles(const struct field *f, const char *name);

/* In quotes, escaped, cut after 64 bytes; in the arena. */
const char *quoted(struct decoder *d, const char *s);

#endif
