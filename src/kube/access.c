#include "access.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/file.h"
#include "bh/kube.h"

#define ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount/"
/* A bundle of all public authorities has about 220 kB. */
#define MAX_SECRET (1 << 20)
#define MAX_CONFIG (4 << 20)

static void secret_done(struct bh_secret *s)
{
	free(s->text);
	free(s->file);
}

void bh_kube_access_done(struct bh_kube_access *a)
{
	free(a->server);
	free(a->host);
	free(a->port);
	free(a->server_name);
	secret_done(&a->ca);
	secret_done(&a->cert);
	secret_done(&a->key);
	secret_done(&a->token);
	*a = (struct bh_kube_access){ 0 };
}

/* --- secrets --------------------------------------------------------------------- */

int bh_secret_read(const struct bh_secret *s, const char *what, char **ret, struct bh_err *err)
{
	size_t len;
	int r;

	*ret = NULL;
	if (s->text)
		*ret = bh_strdup(s->text);
	if (s->text || !s->file)
		return 0;
	r = bh_read_file(s->file, MAX_SECRET, ret, &len, err);
	return r < 0 ? bh_err_wrap(err, r, "%s", what) : 0;
}

int bh_token_read(const struct bh_secret *s, char **ret, struct bh_err *err)
{
	const char *from = s->file ? s->file : "token";
	bh_auto_free char *text = NULL;
	char *token, *p;
	int r;

	*ret = NULL;
	r = bh_secret_read(s, "token", &text, err);
	if (r < 0 || !text)
		return r;
	token = text + strspn(text, " \t\r\n");
	for (p = token + strlen(token); p > token && isspace((unsigned char)p[-1]); p--)
		p[-1] = '\0';
	if (!*token)
		return bh_err(err, -EINVAL, "%s: there is no token in it", from);
	for (p = token; *p; p++) {
		if (!isgraph((unsigned char)*p))
			return bh_err(err, -EINVAL,
				      "%s: is not a token, it has bytes that no "
				      "token has",
				      from);
	}
	*ret = bh_strdup(token);
	return 0;
}

/* --- the server's URL ------------------------------------------------------------ */

static bool is_loopback(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static char *url_part(CURLU *url, CURLUPart part, unsigned int flags)
{
	char *s = NULL, *copy;

	if (curl_url_get(url, part, &s, flags) != CURLUE_OK || !s)
		return NULL;
	copy = bh_strdup(s);
	curl_free(s);
	return copy;
}

static int take_url(CURLU *url, struct bh_kube_access *a, bool allows_plain, struct bh_err *err)
{
	bh_auto_free char *scheme = url_part(url, CURLUPART_SCHEME, 0);
	bh_auto_free char *user = url_part(url, CURLUPART_USER, 0);
	bh_auto_free char *query = url_part(url, CURLUPART_QUERY, 0);
	bh_auto_free char *fragment = url_part(url, CURLUPART_FRAGMENT, 0);
	bh_auto_free char *whole = NULL;
	size_t len;

	if (user || query || fragment)
		return bh_err(err, -EINVAL, "has more than a host, a port and a path");
	a->is_plain = scheme && strcmp(scheme, "http") == 0;
	if (!a->is_plain && (!scheme || strcmp(scheme, "https") != 0))
		return bh_err(err, -EINVAL, "does not begin with https://");
	a->host = url_part(url, CURLUPART_HOST, 0);
	a->port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	whole = url_part(url, CURLUPART_URL, 0);
	if (!a->host || !a->port || !whole)
		return bh_err(err, -EINVAL, "is not a URL");
	len = strlen(a->host);
	if (*a->host == '[' && len > 2) {
		memmove(a->host, a->host + 1, len - 2);
		a->host[len - 2] = '\0';
	}
	if (a->is_plain && !is_loopback(a->host))
		return bh_err(err, -ENOTSUP, "is not encrypted; only https:// is allowed");
	if (a->is_plain && !allows_plain)
		return bh_err(err, -ENOTSUP, "is not encrypted, and that was not asked for");
	for (len = strlen(whole); len > 0 && whole[len - 1] == '/'; len--)
		whole[len - 1] = '\0';
	free(a->server);
	a->server = bh_take_ptr(whole);
	return 0;
}

static int check_server(struct bh_kube_access *a, bool allows_plain, struct bh_err *err)
{
	CURLU *url = curl_url();
	bh_auto_free char *given = bh_strdup(a->server);
	int r;

	if (!url)
		abort();
	/* Like kubectl: without a scheme it is a host. */
	if (curl_url_set(url, CURLUPART_URL, a->server, CURLU_DEFAULT_SCHEME) == CURLUE_OK)
		r = take_url(url, a, allows_plain, err);
	else
		r = bh_err(err, -EINVAL, "is not a URL");
	curl_url_cleanup(url);
	return r < 0 ? bh_err_wrap(err, r, "server '%.100s'", given) : 0;
}

/* --- where it comes from --------------------------------------------------------- */

static int load_in_cluster(struct bh_kube_access *a, struct bh_err *err)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");

	if (!host || !*host || !port || !*port)
		return bh_err(err, -EINVAL,
			      "no kubeconfig is given, and this is not a pod of a "
			      "cluster: KUBERNETES_SERVICE_HOST or _PORT is not set");
	a->server =
		bh_asprintf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	a->ca.file = bh_strdup(ACCOUNT_FOLDER "ca.crt");
	a->token.file = bh_strdup(ACCOUNT_FOLDER "token");
	return 0;
}

static int load_kubeconfig(struct bh_kube_access *a, const struct bh_kube_config *c,
			   struct bh_err *err)
{
	bh_auto_free char *text = NULL;
	size_t len;
	int r;

	r = bh_read_file(c->kubeconfig, MAX_CONFIG, &text, &len, err);
	if (r < 0)
		return r;
	return bh_kubeconfig_parse(a, c->kubeconfig, text, len, c->context, err);
}

int bh_kube_access_load(struct bh_kube_access *ret, const struct bh_kube_config *config,
			struct bh_err *err)
{
	struct bh_kube_access a = { 0 };
	int r;

	r = config->kubeconfig ? load_kubeconfig(&a, config, err) : load_in_cluster(&a, err);
	if (r == 0) {
		r = check_server(&a, config->allows_plain, err);
		if (r < 0 && config->kubeconfig)
			bh_err_wrap(err, r, "%s", config->kubeconfig);
	}
	if (r < 0) {
		bh_kube_access_done(&a);
		return r;
	}
	*ret = a;
	return 0;
}

/* --- checks ---------------------------------------------------------------------- */

static const char *source_of(const struct bh_secret *s, const char *what)
{
	return s->file ? s->file : what;
}

/* No terminal is asked for the pass phrase of a key. */
static int no_pass_phrase(char *buf, int size, int for_writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)for_writing;
	(void)ctx;
	return -1;
}

static X509 *first_certificate(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return cert;
}

static EVP_PKEY *private_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

static int check_ca(const struct bh_kube_access *a, struct bh_err *err)
{
	bh_auto_free char *pem = NULL;
	X509 *cert;
	int r;

	r = bh_secret_read(&a->ca, "certificate-authority", &pem, err);
	if (r < 0 || !pem)
		return r;
	cert = first_certificate(pem);
	if (!cert)
		return bh_err(err, -EINVAL, "%s: there is no certificate in it",
			      source_of(&a->ca, "certificate-authority-data"));
	X509_free(cert);
	return 0;
}

static int check_client(const struct bh_kube_access *a, struct bh_err *err)
{
	bh_auto_free char *cert_pem = NULL, *key_pem = NULL;
	X509 *cert;
	EVP_PKEY *key;
	int r;

	r = bh_secret_read(&a->cert, "client-certificate", &cert_pem, err);
	if (r == 0)
		r = bh_secret_read(&a->key, "client-key", &key_pem, err);
	if (r < 0 || !cert_pem || !key_pem)
		return r;
	cert = first_certificate(cert_pem);
	key = private_key(key_pem);
	if (!cert)
		r = bh_err(err, -EINVAL, "%s: there is no certificate in it",
			   source_of(&a->cert, "client-certificate-data"));
	else if (!key)
		r = bh_err(err, -EINVAL, "%s: there is no private key without a pass phrase in it",
			   source_of(&a->key, "client-key-data"));
	else if (X509_check_private_key(cert, key) != 1)
		r = bh_err(err, -EINVAL, "%s: is not the key of the client certificate",
			   source_of(&a->key, "client-key-data"));
	X509_free(cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return r;
}

int bh_kube_access_check(const struct bh_kube_access *a, struct bh_err *err)
{
	bh_auto_free char *token = NULL;
	int r;

	r = check_ca(a, err);
	if (r == 0)
		r = check_client(a, err);
	if (r == 0)
		r = bh_token_read(&a->token, &token, err);
	return r;
}
