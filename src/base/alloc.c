#include "bh/alloc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *must(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

void *bh_malloc(size_t size)
{
	return must(malloc(size ? size : 1));
}

void *bh_calloc(size_t n, size_t size)
{
	return must(calloc(n ? n : 1, size ? size : 1));
}

void *bh_reallocarray(void *ptr, size_t n, size_t size)
{
	return must(reallocarray(ptr, n ? n : 1, size ? size : 1));
}

char *bh_strdup(const char *s)
{
	return must(strdup(s));
}

char *bh_strndup(const char *s, size_t max)
{
	return must(strndup(s, max));
}

char *bh_asprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return must(s);
}

void bh_grow(void *array, size_t *cap, size_t n, size_t size)
{
	void *p;

	if (n < *cap)
		return;
	memcpy(&p, array, sizeof(p));
	*cap = *cap ? *cap * 2 : 8;
	p = bh_reallocarray(p, *cap, size);
	memcpy(array, &p, sizeof(p));
}

void bh_free_cleanup(void *ptr)
{
	void *p;

	memcpy(&p, ptr, sizeof(p));
	free(p);
}

void bh_close_cleanup(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void bh_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * Blocks double in size up to a limit, so that a small arena is small and a
 * large one has few blocks.  What does not fit into a block gets its own.
 */
#define FIRST_BLOCK 1024u
#define LAST_BLOCK  (256u * 1024u)

struct block {
	struct block *next;
	size_t size, used;
	alignas(max_align_t) unsigned char data[];
};

struct bh_arena {
	struct block *blocks; /* the one in use first */
	size_t next_size, total;
};

struct bh_arena *bh_arena_new(void)
{
	struct bh_arena *a = bh_calloc(1, sizeof(*a));

	a->next_size = FIRST_BLOCK;
	return a;
}

void bh_arena_free(struct bh_arena **arena)
{
	struct block *b, *next;

	if (!*arena)
		return;
	for (b = (*arena)->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	free(*arena);
	*arena = NULL;
}

static struct block *add_block(struct bh_arena *a, size_t size)
{
	struct block *b;

	if (size < a->next_size)
		size = a->next_size;
	if (a->next_size < LAST_BLOCK)
		a->next_size *= 2;
	b = bh_malloc(sizeof(*b) + size);
	b->size = size;
	b->used = 0;
	b->next = a->blocks;
	a->blocks = b;
	a->total += sizeof(*b) + size;
	return b;
}

void *bh_arena_alloc(struct bh_arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct block *b = arena->blocks;
	void *p;

	assert(size <= SIZE_MAX / 2);
	size = (size + align - 1) & ~(align - 1);
	if (!b || b->size - b->used < size)
		b = add_block(arena, size);
	p = b->data + b->used;
	b->used += size;
	return memset(p, 0, size);
}

void *bh_arena_array(struct bh_arena *arena, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		must(NULL);
	return bh_arena_alloc(arena, bytes);
}

char *bh_arena_strndup(struct bh_arena *arena, const char *s, size_t len)
{
	char *p = bh_arena_alloc(arena, len + 1);

	memcpy(p, s, len);
	return p;
}

char *bh_arena_strdup(struct bh_arena *arena, const char *s)
{
	return bh_arena_strndup(arena, s, strlen(s));
}

void *bh_arena_memdup(struct bh_arena *arena, const void *p, size_t size)
{
	void *copy = bh_arena_alloc(arena, size);

	if (size)
		memcpy(copy, p, size);
	return copy;
}

char *bh_arena_printf(struct bh_arena *arena, const char *fmt, ...)
{
	bh_auto_free char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return bh_arena_strdup(arena, must(s));
}

size_t bh_arena_size(const struct bh_arena *arena)
{
	return arena->total;
}
