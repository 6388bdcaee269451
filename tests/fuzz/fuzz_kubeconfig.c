/*
 * A kubeconfig, and what follows from it without the server: nothing but what
 * the file says may be asked for.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../../src/kube/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bh_kube_access a = { 0 };
	struct bh_err err = { 0 };
	int r = bh_kubeconfig_parse(&a, "config", (const char *)data, len, NULL, &err);

	/* Refused with words, or with a server. */
	if (r < 0 ? !err.text[0] : !a.server)
		abort();
	/* A certificate has a key, and a secret one place. */
	if (r == 0 && ((a.cert.text || a.cert.file) != (a.key.text || a.key.file)))
		abort();
	if ((a.ca.text && a.ca.file) || (a.token.text && a.token.file))
		abort();
	bh_kube_access_done(&a);
	return 0;
}
