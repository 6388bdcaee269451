/*
 * Hashing: a keyed one for tables, a collision-resistant one for names.
 */
#ifndef BH_HASH_H
#define BH_HASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * SipHash-1-3 (Aumasson, Bernstein) under a key drawn once per process, so
 * that nobody outside can choose colliding keys.  Differs between runs: never
 * let an order or a name depend on it.
 */
uint64_t bh_hash(const void *data, size_t len);

/* Use uthash through this header only: it sets the keyed hash. */
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned int)bh_hash((keyptr), (keylen)))
#define uthash_fatal(msg)                    abort()
#include <stdlib.h>
#include <uthash.h>

#define BH_DIGEST_LEN 32 /* hexadecimal digits */

/*
 * The first 128 bits of SHA-256 as lower-case hexadecimal text with a NUL.
 * Names of sets and chains are made of it: whoever writes policies must not be
 * able to make two different ones share a name.
 */
void bh_digest(const void *data, size_t len, char ret[BH_DIGEST_LEN + 1]);

#endif
