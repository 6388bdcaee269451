/*
 * Closing libuv handles that may not have been opened.
 */
#ifndef BH_HANDLE_H
#define BH_HANDLE_H

#include <uv.h>

/* Handles live in zeroed memory, and no opened one has this type. */
static inline void bh_close_handle(uv_handle_t *h)
{
	if (h->type != UV_UNKNOWN_HANDLE && !uv_is_closing(h))
		uv_close(h, NULL);
}

#endif
