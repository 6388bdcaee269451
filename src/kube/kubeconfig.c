/*
 * The file that kubectl reads (k8s.io/client-go/tools/clientcmd/api/v1).
 *
 * What would weaken the connection, or would make us run a program, is refused
 * rather than left out: whoever wrote it relied on it.
 */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>

#include "access.h"
#include "bh/alloc.h"
#include "bh/docs.h"

/* An entry of clusters, users or contexts. */
struct entry {
	const char *path;
	struct bh_docs *docs;
	const char *kind, *name;
	const json_t *json; /* what stands under its own key: "cluster", "user", "context" */
};

__attribute__((format(printf, 5, 6))) static int refuse(const struct entry *e, const json_t *at,
							const char *field, struct bh_err *err,
							const char *fmt, ...)
{
	int line = at ? bh_docs_line(e->docs, at) : 0;
	struct bh_err text = { 0 };
	va_list ap;

	/* true is one node for the whole file. */
	if (line == 0)
		line = bh_docs_line(e->docs, e->json);
	va_start(ap, fmt);
	vsnprintf(text.text, sizeof(text.text), fmt, ap);
	va_end(ap);
	return bh_err(err, -EINVAL, "%s:%d: %s '%.60s': %s: %s", e->path, line, e->kind, e->name,
		      field, text.text);
}

static bool is_set(const json_t *value)
{
	if (json_is_string(value))
		return json_string_length(value) > 0;
	return value && !json_is_null(value) && !json_is_false(value);
}

/* *ret is NULL where the field is not set. */
static int get_string(const struct entry *e, const char *field, const char **ret,
		      struct bh_err *err)
{
	const json_t *value = json_object_get(e->json, field);

	*ret = NULL;
	if (!is_set(value))
		return 0;
	if (!json_is_string(value))
		return refuse(e, value, field, err, "is not a string");
	*ret = json_string_value(value);
	return 0;
}

static int refuse_fields(const struct entry *e, const char *const (*fields)[2], struct bh_err *err)
{
	for (; (*fields)[0]; fields++) {
		const json_t *value = json_object_get(e->json, (*fields)[0]);

		if (is_set(value)) {
			refuse(e, value, (*fields)[0], err, "%s", (*fields)[1]);
			return -ENOTSUP;
		}
	}
	return 0;
}

static int find_entry(struct bh_docs *docs, const char *path, const char *kind, const char *name,
		      struct entry *ret, struct bh_err *err)
{
	bh_auto_free char *list_name = bh_asprintf("%ss", kind);
	const json_t *list = json_object_get(bh_docs_root(docs, 0), list_name), *item;
	size_t i;

	*ret = (struct entry){ .path = path, .docs = docs, .kind = kind, .name = name };
	json_array_foreach((json_t *)(uintptr_t)list, i, item)
	{
		const char *s = json_string_value(json_object_get(item, "name"));
		const json_t *body = json_object_get(item, kind);

		if (!s || strcmp(s, name) != 0)
			continue;
		if (ret->json)
			return bh_err(err, -EINVAL, "%s:%d: %s '%.60s' is there twice", path,
				      bh_docs_line(docs, item), kind, name);
		if (!json_is_object(body))
			return bh_err(err, -EINVAL, "%s:%d: %s '%.60s' has no field '%s'", path,
				      bh_docs_line(docs, item), kind, name, kind);
		ret->json = body;
	}
	if (!ret->json)
		return bh_err(err, -EINVAL, "%s: no %s is named '%.60s'", path, kind, name);
	return 0;
}

/* --- values ---------------------------------------------------------------------- */

/* Relative to the kubeconfig's own folder. */
static char *file_beside(const char *path, const char *file)
{
	const char *slash = strrchr(path, '/');

	if (*file == '/' || !slash)
		return bh_strdup(file);
	return bh_asprintf("%.*s/%s", (int)(slash - path), path, file);
}

static int decode_base64(const char *text, char **ret)
{
	size_t len = strlen(text);
	bh_auto_free char *out = bh_malloc(len + 4);
	EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
	int n = 0, last = 0, r;

	if (!ctx)
		abort();
	EVP_DecodeInit(ctx);
	r = EVP_DecodeUpdate(ctx, (unsigned char *)out, &n, (const unsigned char *)text, (int)len);
	if (r >= 0)
		r = EVP_DecodeFinal(ctx, (unsigned char *)out + n, &last);
	EVP_ENCODE_CTX_free(ctx);
	if (r < 0)
		return -EINVAL;
	out[n + last] = '\0';
	if (strlen(out) != (size_t)n + (size_t)last)
		return -EINVAL;
	*ret = bh_take_ptr(out);
	return 0;
}

/* FIELD-data, which wins as with kubectl, or the file that FIELD names. */
static int get_pem(const struct entry *e, const char *field, struct bh_secret *ret,
		   struct bh_err *err)
{
	bh_auto_free char *data_field = bh_asprintf("%s-data", field);
	const char *data, *file;
	int r;

	r = get_string(e, data_field, &data, err);
	if (r == 0)
		r = get_string(e, field, &file, err);
	if (r < 0)
		return r;
	if (data && decode_base64(data, &ret->text) < 0)
		return refuse(e, json_object_get(e->json, data_field), data_field, err,
			      "is not text in base64");
	if (!data && file)
		ret->file = file_beside(e->path, file);
	return 0;
}

static int read_cluster(const struct entry *e, struct bh_kube_access *ret, struct bh_err *err)
{
	static const char *const refused[][2] = {
		{ "insecure-skip-tls-verify",
		  "the server's certificate is always checked; name its CA with "
		  "certificate-authority" },
		{ "proxy-url", "connections go to the server itself, proxies are not used" },
		{ NULL, NULL },
	};
	const char *server, *name;
	int r;

	r = refuse_fields(e, refused, err);
	if (r == 0)
		r = get_string(e, "server", &server, err);
	if (r == 0)
		r = get_string(e, "tls-server-name", &name, err);
	if (r == 0)
		r = get_pem(e, "certificate-authority", &ret->ca, err);
	if (r < 0)
		return r;
	if (!server)
		return refuse(e, NULL, "server", err, "is missing");
	ret->server = bh_strdup(server);
	ret->server_name = name ? bh_strdup(name) : NULL;
	return 0;
}

static int read_user(const struct entry *e, struct bh_kube_access *ret, struct bh_err *err)
{
	static const char *const refused[][2] = {
		{ "exec", "no program is run for credentials; use a client certificate, token or "
			  "tokenFile" },
		{ "auth-provider",
		  "is not supported; use a client certificate, token or tokenFile" },
		{ "username", "passwords are not supported; use a client certificate, token or "
			      "tokenFile" },
		{ "password", "passwords are not supported; use a client certificate, token or "
			      "tokenFile" },
		{ "as", "impersonation is not supported" },
		{ "as-uid", "impersonation is not supported" },
		{ "as-groups", "impersonation is not supported" },
		{ "as-user-extra", "impersonation is not supported" },
		{ NULL, NULL },
	};
	const char *token, *token_file;
	int r;

	r = refuse_fields(e, refused, err);
	if (r == 0)
		r = get_pem(e, "client-certificate", &ret->cert, err);
	if (r == 0)
		r = get_pem(e, "client-key", &ret->key, err);
	if (r == 0)
		r = get_string(e, "token", &token, err);
	if (r == 0)
		r = get_string(e, "tokenFile", &token_file, err);
	if (r < 0)
		return r;
	if ((ret->cert.text || ret->cert.file) != (ret->key.text || ret->key.file))
		return refuse(e, NULL, "client-certificate", err,
			      "a certificate and its client-key go together, one is missing");
	if (token_file)
		ret->token.file = file_beside(e->path, token_file);
	else if (token)
		ret->token.text = bh_strdup(token);
	return 0;
}

/* --- the file -------------------------------------------------------------------- */

static int read_context(struct bh_docs *docs, const char *path, const char *name,
			struct bh_kube_access *ret, struct bh_err *err)
{
	struct entry context, cluster, user;
	const char *cluster_name, *user_name;
	int r;

	r = find_entry(docs, path, "context", name, &context, err);
	if (r == 0)
		r = get_string(&context, "cluster", &cluster_name, err);
	if (r == 0)
		r = get_string(&context, "user", &user_name, err);
	if (r < 0)
		return r;
	if (!cluster_name)
		return refuse(&context, NULL, "cluster", err, "is missing");
	r = find_entry(docs, path, "cluster", cluster_name, &cluster, err);
	if (r == 0)
		r = read_cluster(&cluster, ret, err);
	/* Without a user we are nobody, which a proxy on the loopback may want. */
	if (r < 0 || !user_name)
		return r;
	r = find_entry(docs, path, "user", user_name, &user, err);
	return r < 0 ? r : read_user(&user, ret, err);
}

int bh_kubeconfig_parse(struct bh_kube_access *ret, const char *path, const char *text, size_t len,
			const char *context, struct bh_err *err)
{
	bh_auto(bh_docs_free) struct bh_docs *docs = NULL;
	const json_t *root;
	const char *kind;
	int r;

	r = bh_docs_parse(path, text, len, &docs, err);
	if (r < 0)
		return r;
	root = bh_docs_count(docs) == 1 ? bh_docs_root(docs, 0) : NULL;
	kind = json_string_value(json_object_get(root, "kind"));
	/* kubectl takes a file without a kind, too. */
	if (!json_is_object(root) || (kind && strcmp(kind, "Config") != 0))
		return bh_err(err, -EINVAL, "%s: is not a kubeconfig, an object of kind Config",
			      path);
	if (!context)
		context = json_string_value(json_object_get(root, "current-context"));
	if (!context || !*context)
		return bh_err(err, -EINVAL, "%s: current-context is missing", path);
	return read_context(docs, path, context, ret, err);
}
