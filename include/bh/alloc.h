/*
 * Memory: allocation that cannot fail, ownership that can be seen, arenas.
 *
 * bh_malloc() and friends abort when memory is out: the service manager
 * restarts the agent and the kernel keeps the rules.  That is sound only
 * because every size that comes from outside is capped before it gets here.
 */
#ifndef BH_ALLOC_H
#define BH_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

void *bh_malloc(size_t size);
void *bh_calloc(size_t n, size_t size);
/* Like realloc() for an array; aborts when n * size overflows. */
void *bh_reallocarray(void *ptr, size_t n, size_t size);
char *bh_strdup(const char *s);
char *bh_strndup(const char *s, size_t max);
char *bh_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Makes room for one more element in a growing array:
 *
 *	bh_grow(&list, &cap, n, sizeof(*list));
 *	list[n++] = x;
 *
 * @array is the address of the array pointer.
 */
void bh_grow(void *array, size_t *cap, size_t n, size_t size);

void bh_free_cleanup(void *ptr);
void bh_close_cleanup(const int *fd);
/* Closes *fd unless it is negative and sets it to -1. */
void bh_close(int *fd);

#define bh_auto_free  __attribute__((cleanup(bh_free_cleanup)))
#define bh_auto_close __attribute__((cleanup(bh_close_cleanup)))
/* bh_auto(bh_world_free) struct bh_world *w = NULL; */
#define bh_auto(destructor) __attribute__((cleanup(destructor)))

/* Hands over what a cleanup attribute would release. */
#define bh_take_ptr(p)                                                                             \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})
#define bh_take_fd(fd)                                                                             \
	({                                                                                         \
		int taken_fd_ = (fd);                                                              \
		(fd) = -1;                                                                         \
		taken_fd_;                                                                         \
	})

#define bh_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define BH_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/*
 * qsort() and bsearch() for arrays that may be empty: ISO C wants a pointer that is not
 * NULL even where there is nothing to sort.
 */
static inline void bh_sort(void *items, size_t n, size_t size,
			   int (*cmp)(const void *a, const void *b))
{
	if (n > 1)
		qsort(items, n, size, cmp);
}

static inline void *bh_search(const void *key, const void *items, size_t n, size_t size,
			      int (*cmp)(const void *a, const void *b))
{
	return n > 0 ? bsearch(key, items, n, size, cmp) : NULL;
}

/*
 * An arena: many small objects with one end of life.  Owned by whoever made
 * it; everything taken from it dies with it.
 */
struct bh_arena;

struct bh_arena *bh_arena_new(void);
void bh_arena_free(struct bh_arena **arena);
/* Zeroed memory, aligned for any type. */
void *bh_arena_alloc(struct bh_arena *arena, size_t size);
void *bh_arena_array(struct bh_arena *arena, size_t n, size_t size);
char *bh_arena_strdup(struct bh_arena *arena, const char *s);
char *bh_arena_strndup(struct bh_arena *arena, const char *s, size_t len);
void *bh_arena_memdup(struct bh_arena *arena, const void *p, size_t size);
char *bh_arena_printf(struct bh_arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Bytes taken from the system so far. */
size_t bh_arena_size(const struct bh_arena *arena);

#endif
