#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/kube/access.h"
#include "bh/buf.h"
#include "bh/kube.h"

#define PATH "/etc/bulkhead/cluster.yaml"

/* A file with one cluster, user and context; the arguments are flow mappings. */
#define CONFIG(cluster, user)                                                                      \
	"apiVersion: v1\n"                                                                         \
	"kind: Config\n"                                                                           \
	"current-context: main\n"                                                                  \
	"contexts:\n"                                                                              \
	"- {name: main, context: {cluster: c, user: u}}\n"                                         \
	"clusters:\n"                                                                              \
	"- {name: c, cluster: " cluster "}\n"                                                      \
	"users:\n"                                                                                 \
	"- {name: u, user: " user "}\n"
#define SERVER "server: 'https://10.0.0.1:6443'"

static int parse(const char *text, const char *context, struct bh_kube_access *a,
		 struct bh_err *err)
{
	return bh_kubeconfig_parse(a, PATH, text, strlen(text), context, err);
}

static void assert_text(const char *got, const char *want)
{
	if (!want)
		assert_null(got);
	else
		assert_string_equal(got ? got : "(null)", want);
}

static void credentials_are_inline_or_files_beside_the_kubeconfig(void **state)
{
	static const struct {
		const char *text, *ca, *ca_file, *cert_file, *key_file, *token, *token_file, *name;
	} rows[] = {
		{ CONFIG("{" SERVER "}", "{}"), .ca = NULL },
		{ CONFIG("{" SERVER ", certificate-authority: ca.crt}", "{token: abc}"),
		  .ca_file = "/etc/bulkhead/ca.crt", .token = "abc" },
		{ CONFIG("{" SERVER ", certificate-authority: /x/ca.crt}",
			 "{client-certificate: pki/c.crt, client-key: /k}"),
		  .ca_file = "/x/ca.crt", .cert_file = "/etc/bulkhead/pki/c.crt",
		  .key_file = "/k" },
		/* As with kubectl: data wins over the file, the token's file over the token. */
		{ CONFIG("{" SERVER
			 ", certificate-authority: /x, certificate-authority-data: aGk=}",
			 "{token: abc, tokenFile: t}"),
		  .ca = "hi", .token_file = "/etc/bulkhead/t" },
		{ CONFIG("{" SERVER ", tls-server-name: kubernetes.default.svc}", "{token: abc}"),
		  .token = "abc", .name = "kubernetes.default.svc" },
		/* What is empty or off is as if it were not there. */
		{ CONFIG("{" SERVER ", insecure-skip-tls-verify: false, proxy-url: ''}",
			 "{exec: null, username: '', token: abc}"),
		  .token = "abc" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct bh_kube_access a = { 0 };
		struct bh_err err = { 0 };

		assert_ok(parse(rows[i].text, NULL, &a, &err), &err);
		assert_string_equal(a.server, "https://10.0.0.1:6443");
		assert_text(a.ca.text, rows[i].ca);
		assert_text(a.ca.file, rows[i].ca_file);
		assert_text(a.cert.file, rows[i].cert_file);
		assert_text(a.key.file, rows[i].key_file);
		assert_text(a.token.text, rows[i].token);
		assert_text(a.token.file, rows[i].token_file);
		assert_text(a.server_name, rows[i].name);
		bh_kube_access_done(&a);
	}
}

static void a_context_may_be_chosen(void **state)
{
	static const char text[] =
		"{kind: Config, current-context: a, contexts: [{name: a, context: {cluster: c}}, "
		"{name: b, context: {cluster: d, user: u}}], clusters: [{name: c, cluster: "
		"{server: "
		"s1}}, {name: d, cluster: {server: s2}}], users: [{name: u, user: {token: t}}]}";
	struct bh_kube_access a = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse(text, "b", &a, &err), &err);
	assert_string_equal(a.server, "s2");
	assert_string_equal(a.token.text, "t");
	bh_kube_access_done(&a);
	assert_ok(parse(text, NULL, &a, &err), &err);
	assert_string_equal(a.server, "s1");
	assert_null(a.token.text);
	bh_kube_access_done(&a);
	assert_err(parse(text, "x", &a, &err), &err, -EINVAL, PATH ": no context is named 'x'");
}

static void bad_files_are_refused_with_file_line_and_field(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *want;
	} rows[] = {
		{ "", -EINVAL, PATH ": is not a kubeconfig, an object of kind Config" },
		{ "kind: Pod", -EINVAL, PATH ": is not a kubeconfig, an object of kind Config" },
		{ "kind: Config", -EINVAL, PATH ": current-context is missing" },
		{ "{kind: Config, current-context: a}", -EINVAL, PATH ": no context is named 'a'" },
		{ "{kind: Config, current-context: a, contexts: [{name: a}]}", -EINVAL,
		  PATH ":1: context 'a' has no field 'context'" },
		{ "{kind: Config, current-context: a, contexts: [{name: a, context: {}}]}", -EINVAL,
		  PATH ":1: context 'a': cluster: is missing" },
		{ "{kind: Config, current-context: a, contexts: [{name: a, context: {cluster: "
		  "c}}]}",
		  -EINVAL, PATH ": no cluster is named 'c'" },
		{ "kind: Config\ncurrent-context: a\ncontexts:\n- {name: a, context: {cluster: "
		  "c}}\n"
		  "- {name: a, context: {cluster: d}}\n",
		  -EINVAL, PATH ":5: context 'a' is there twice" },
		{ CONFIG("{}", "{}"), -EINVAL, PATH ":7: cluster 'c': server: is missing" },
		{ CONFIG("{server: 7}", "{}"), -EINVAL,
		  PATH ":7: cluster 'c': server: is not a string" },
		{ CONFIG("{" SERVER ", insecure-skip-tls-verify: true}", "{}"), -ENOTSUP,
		  PATH
		  ":7: cluster 'c': insecure-skip-tls-verify: the server's certificate is always "
		  "checked; name its CA with certificate-authority" },
		{ CONFIG("{" SERVER ", proxy-url: 'http://p'}", "{}"), -ENOTSUP,
		  PATH
		  ":7: cluster 'c': proxy-url: connections go to the server itself, proxies are "
		  "not used" },
		{ CONFIG("{" SERVER ", certificate-authority-data: '*'}", "{}"), -EINVAL,
		  PATH ":7: cluster 'c': certificate-authority-data: is not text in base64" },
		/* A byte 0 would end the text early. */
		{ CONFIG("{" SERVER ", certificate-authority-data: AGE=}", "{}"), -EINVAL,
		  PATH ":7: cluster 'c': certificate-authority-data: is not text in base64" },
		{ CONFIG("{" SERVER "}", "{exec: {command: aws}}"), -ENOTSUP,
		  PATH ":9: user 'u': exec: no program is run for credentials; use a client "
		       "certificate, token or tokenFile" },
		{ CONFIG("{" SERVER "}", "{auth-provider: {name: gcp}}"), -ENOTSUP,
		  PATH ":9: user 'u': auth-provider: is not supported; use a client certificate, "
		       "token or tokenFile" },
		{ CONFIG("{" SERVER "}", "{username: root, password: x}"), -ENOTSUP,
		  PATH ":9: user 'u': username: passwords are not supported; use a client "
		       "certificate, token or tokenFile" },
		{ CONFIG("{" SERVER "}", "{token: t, as: admin}"), -ENOTSUP,
		  PATH ":9: user 'u': as: impersonation is not supported" },
		{ CONFIG("{" SERVER "}", "{token: t, as-groups: [x]}"), -ENOTSUP,
		  PATH ":9: user 'u': as-groups: impersonation is not supported" },
		{ CONFIG("{" SERVER "}", "{client-certificate: x}"), -EINVAL,
		  PATH ":9: user 'u': client-certificate: a certificate and its client-key go "
		       "together, one is missing" },
		{ CONFIG("{" SERVER "}", "{client-key-data: aGk=}"), -EINVAL,
		  PATH ":9: user 'u': client-certificate: a certificate and its client-key go "
		       "together, one is missing" },
		{ "kind: Config\n\tcurrent-context: a", -EINVAL, PATH ":2:" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct bh_kube_access a = { 0 };
		struct bh_err err = { 0 };

		assert_err(parse(rows[i].text, NULL, &a, &err), &err, rows[i].code, rows[i].want);
		bh_kube_access_done(&a);
	}
}

/* --- with files ------------------------------------------------------------------ */

static char folder[] = "/tmp/bh-kubeconfig-XXXXXX";

static char *write_file(const char *name, const char *text)
{
	char *path = bh_asprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	bh_auto_free char *command = bh_asprintf("rm -r %s", folder);

	(void)state;
	return system(command);
}

static int check(const char *text, bool allows_plain, struct bh_err *err)
{
	bh_auto_free char *path = write_file("config", text);
	const struct bh_kube_config config = { .kubeconfig = path, .allows_plain = allows_plain };

	return bh_kube_check(&config, err);
}

#define URL(url) CONFIG("{server: '" url "'}", "{token: t}")

static void the_servers_url_is_checked(void **state)
{
	static const struct {
		const char *text;
		bool allows_plain;
		int code;
		const char *part; /* NULL: accepted */
	} rows[] = {
		{ URL("https://10.0.0.1:6443"), false, 0, NULL },
		{ URL("https://[fd00::1]:6443/"), false, 0, NULL },
		{ URL("https://api.example/k8s/clusters/c-1"), false, 0, NULL },
		{ URL("http://127.0.0.1:8001"), true, 0, NULL },
		{ URL("http://localhost:8001"), true, 0, NULL },
		{ URL("http://[::1]:8001"), true, 0, NULL },
		{ URL("http://127.0.0.1:8001"), false, -ENOTSUP,
		  "server 'http://127.0.0.1:8001': is not encrypted, and that was not asked for" },
		{ URL("http://10.0.0.1:8001"), true, -ENOTSUP,
		  "server 'http://10.0.0.1:8001': is not encrypted; only https:// is allowed" },
		{ URL("http://127.0.0.1.example:8001"), true, -ENOTSUP,
		  "only https:// is allowed" },
		{ URL("http://[::ffff:127.0.0.1]:80"), true, -ENOTSUP, "only https:// is allowed" },
		{ URL("ftp://127.0.0.1"), true, -EINVAL, "does not begin with https://" },
		{ URL("https://u:p@10.0.0.1"), false, -EINVAL,
		  "more than a host, a port and a path" },
		{ URL("https://10.0.0.1/?a=b"), false, -EINVAL, "more than a host, a port" },
		{ URL("https://10.0.0.1/#x"), false, -EINVAL, "more than a host, a port" },
		{ URL("https://10.0.0.1:99999"), false, -EINVAL, "is not a URL" },
		{ URL("https://"), false, -EINVAL, "is not a URL" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct bh_err err = { 0 };
		int r = check(rows[i].text, rows[i].allows_plain, &err);

		if (rows[i].part)
			assert_err(r, &err, rows[i].code, rows[i].part);
		else
			assert_ok(r, &err);
	}
}

static void tokens_are_trimmed_and_hold_nothing_that_a_header_cannot(void **state)
{
	static const struct {
		const char *text, *want, *part;
	} rows[] = {
		{ "abc", "abc", NULL },
		{ " \n abc.def-_=\r\n", "abc.def-_=", NULL },
		{ "", NULL, "there is no token in it" },
		{ "\n \n", NULL, "there is no token in it" },
		{ "abc\r\nX-Evil: 1", NULL, "is not a token" },
		{ "a b", NULL, "is not a token" },
		{ "a\x01", NULL, "is not a token" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto_free char *path = write_file("token", rows[i].text), *token = NULL;
		const struct bh_secret secret = { .file = path };
		struct bh_err err = { 0 };
		int r = bh_token_read(&secret, &token, &err);

		if (rows[i].want)
			assert_ok(r, &err);
		else
			assert_err(r, &err, -EINVAL, rows[i].part);
		assert_text(token, rows[i].want);
	}
}

/* Two keys and certificates, made here: a file in the repository would expire. */
static void make_certificate(const char *name)
{
	bh_auto_free char *command = bh_asprintf(
		"cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
		"-keyout %s.key -out %s.crt -days 1 -subj /CN=%s 2>openssl.log",
		folder, name, name, name);

	if (system(command) != 0)
		fail_msg("openssl(1) cannot make a certificate: see %s", folder);
}

static void certificates_and_keys_are_read_and_checked(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *part; /* NULL: accepted */
	} rows[] = {
		{ CONFIG("{" SERVER ", certificate-authority: a.crt}",
			 "{client-certificate: a.crt, client-key: a.key}"),
		  0, NULL },
		{ CONFIG("{" SERVER ", certificate-authority: none}", "{}"), -ENOENT,
		  "certificate-authority: " },
		{ CONFIG("{" SERVER ", certificate-authority: a.key}", "{}"), -EINVAL,
		  "a.key: there is no certificate in it" },
		{ CONFIG("{" SERVER ", certificate-authority-data: aGk=}", "{}"), -EINVAL,
		  "certificate-authority-data: there is no certificate in it" },
		{ CONFIG("{" SERVER "}", "{client-certificate: a.key, client-key: a.key}"), -EINVAL,
		  "a.key: there is no certificate in it" },
		{ CONFIG("{" SERVER "}", "{client-certificate: a.crt, client-key: a.crt}"), -EINVAL,
		  "a.crt: there is no private key without a pass phrase in it" },
		{ CONFIG("{" SERVER "}", "{client-certificate: a.crt, client-key: b.key}"), -EINVAL,
		  "b.key: is not the key of the client certificate" },
		{ CONFIG("{" SERVER "}", "{tokenFile: none}"), -ENOENT, "token: " },
	};
	size_t i;

	(void)state;
	make_certificate("a");
	make_certificate("b");
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct bh_err err = { 0 };
		int r = check(rows[i].text, false, &err);

		if (rows[i].part)
			assert_err(r, &err, rows[i].code, rows[i].part);
		else
			assert_ok(r, &err);
	}
}

static void without_kubeconfig_it_takes_a_pod_of_a_cluster(void **state)
{
	const struct bh_kube_config config = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_err(bh_kube_check(&config, &err), &err, -EINVAL,
		   "no kubeconfig is given, and this is not a pod of a cluster");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_are_inline_or_files_beside_the_kubeconfig),
		cmocka_unit_test(a_context_may_be_chosen),
		cmocka_unit_test(bad_files_are_refused_with_file_line_and_field),
		cmocka_unit_test(the_servers_url_is_checked),
		cmocka_unit_test(tokens_are_trimmed_and_hold_nothing_that_a_header_cannot),
		cmocka_unit_test(certificates_and_keys_are_read_and_checked),
		cmocka_unit_test(without_kubeconfig_it_takes_a_pod_of_a_cluster),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
