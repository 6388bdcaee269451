/*
 * The file with the API's last state: as it is, and with a foot that makes it
 * whole.  What it tells goes into a world and through the compiler.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../../src/daemon/cachefile.h"
#include "bh/compile.h"
#include "bh/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void on_fact(void *ctx, const struct bh_fact *fact)
{
	(void)bh_world_apply(ctx, fact, NULL);
}

static size_t make_foot(const uint8_t *data, size_t len, char ret[128])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	size_t at = (size_t)sprintf(ret, "{\"sha256\":\"");

	EVP_Digest(data, len, sum, NULL, EVP_sha256(), NULL);
	for (size_t i = 0; i < 32; i++)
		at += (size_t)sprintf(ret + at, "%02x", sum[i]);
	return at + (size_t)sprintf(ret + at, "\"}\n");
}

static void read_as(struct bh_world *w, const uint8_t *data, size_t len, bool is_whole)
{
	bh_auto_close int fd = memfd_create("cache", MFD_CLOEXEC);
	bh_auto(bh_cachefile_close) struct bh_cachefile *f = NULL;
	struct bh_cachefile_info info = { .kind = BH_CACHEFILE_KUBE };
	char foot[128];
	size_t foot_len = make_foot(data, len, foot);

	if (fd < 0 || bh_write_all(fd, data, len) < 0 ||
	    (is_whole && bh_write_all(fd, foot, foot_len) < 0))
		abort();
	if (bh_cachefile_open(&f, fd, "", &info, NULL) < 0)
		return;
	while (bh_cachefile_read(f, 2, on_fact, w, NULL) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct bh_world_config world = { .node = "n1" };
	const struct bh_compile_config compile = { .log_group = 1, .log_snaplen = 128 };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&world);
	bh_auto(bh_compiler_free) struct bh_compiler *c = bh_compiler_new(w, &compile);

	read_as(w, data, len, false);
	read_as(w, data, len, true);
	bh_compiler_update(c);
	bh_compiler_free(&c);
	return 0;
}
