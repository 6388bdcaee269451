#include "bh/serve.h"

#include <errno.h>
#include <string.h>

#define MAX_METHOD 32

int bh_control_parse(const char *line, size_t len, json_t **ret, struct bh_err *err)
{
	const json_t *method;
	json_error_t where;
	json_t *request;

	if (len > BH_CONTROL_MAX_REQUEST)
		return bh_err(err, -E2BIG, "the request is over %d bytes", BH_CONTROL_MAX_REQUEST);
	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	if (!request)
		return bh_err(err, -EINVAL, "the request is not JSON: %s (column %d)", where.text,
			      where.column);

	method = json_object_get(request, "method");
	if (!json_is_string(method) || json_string_length(method) > MAX_METHOD) {
		json_decref(request);
		return bh_err(
			err, -EINVAL,
			"the request is not an object with a \"method\" of 1 to %d characters",
			MAX_METHOD);
	}
	*ret = request;
	return 0;
}
