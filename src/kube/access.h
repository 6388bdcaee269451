/*
 * Where the API server is and who we are to it: from a kubeconfig, or from what
 * a pod is given.
 */
#ifndef BH_KUBE_ACCESS_H
#define BH_KUBE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "bh/err.h"

struct bh_kube_config;

/* Given inline, or the file it is read from whenever it is used; or neither. */
struct bh_secret {
	char *text, *file;
};

struct bh_kube_access {
	char *server; /* "https://10.96.0.1:443", without a slash at the end */
	bool is_plain;
	char *host, *port; /* of server; an IPv6 address without brackets */
	char *server_name; /* that the certificate must have; NULL: host */
	struct bh_secret ca, cert, key, token;
};

/* Fills @ret, which must be zero, from config->kubeconfig or the environment. */
int bh_kube_access_load(struct bh_kube_access *ret, const struct bh_kube_config *config,
			struct bh_err *err);
void bh_kube_access_done(struct bh_kube_access *a);
/* Reads every secret once and checks what can be checked without the server. */
int bh_kube_access_check(const struct bh_kube_access *a, struct bh_err *err);

/*
 * The secret's text; NULL where none is given.  *ret belongs to the caller.
 */
int bh_secret_read(const struct bh_secret *s, const char *what, char **ret, struct bh_err *err);
/* The same without white space around; refused if it can not be in a header. */
int bh_token_read(const struct bh_secret *s, char **ret, struct bh_err *err);

/* kubeconfig.c: without the server's URL being looked at. */
int bh_kubeconfig_parse(struct bh_kube_access *ret, const char *path, const char *text, size_t len,
			const char *context, struct bh_err *err);

#endif
