/*
 * One request line of the control socket.
 */
#include <stdint.h>
#include <stdlib.h>

#include "bh/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bh_err err = { 0 };
	json_t *request = NULL;

	if (bh_control_parse((const char *)data, size, &request, &err) < 0) {
		/* A refusal has a reason and no result. */
		if (request || !err.text[0])
			abort();
		return 0;
	}
	if (!json_string_value(json_object_get(request, "method")))
		abort();
	json_decref(request);
	return 0;
}
