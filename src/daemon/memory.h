/*
 * Giving memory back after the start.
 */
#ifndef BH_MEMORY_H
#define BH_MEMORY_H

/*
 * Most pages of the program and its libraries that are resident were touched by
 * loading and initialising them, once.  Unmaps what cannot have been written to
 * (it comes back from the page cache where it is used again) and what malloc()
 * holds free.
 */
void bh_memory_trim(void);

#endif
