/*
 * The simulator's page: its data can be read, and cannot leave its place.
 */
#include "cli_run.h"

#include <sys/stat.h>

#define POLICY                                                                                     \
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, namespace: "  \
	"x}, "                                                                                     \
	"spec: {podSelector: {matchLabels: {app: a}}, ingress: [{from: [{podSelector: "            \
	"{matchLabels: {app: b}}}], ports: [{port: 80}]}]}}\n"
#define POD(name)                                                                                  \
	"---\n{apiVersion: v1, kind: Pod, metadata: {name: " name                                  \
	", namespace: x, labels: {app: " name "}}}\n"

/* The page's data, parsed. */
static json_t *data_of(const struct cli_test *t)
{
	static const char open[] = "<script type=\"application/json\" id=\"data\">";
	const char *start = strstr(bh_buf_str(&t->out), open), *end;
	json_error_t error;
	json_t *data;

	assert_non_null(start);
	start += strlen(open);
	end = strstr(start, "</script>");
	assert_non_null(end);
	data = json_loadb(start, (size_t)(end - start), 0, &error);
	if (!data)
		fail_msg("%s", error.text);
	return data;
}

static void the_page_says_what_is_allowed_and_why(void **state)
{
	struct cli_test *t = *state;
	json_t *data, *edge, *reason;

	cli_run_with(t, POLICY POD("a") POD("b"),
		     CLI_ARGS("sim", "list", "--focus", "x/a", "--direction", "ingress", "-o",
			      "html", "-"));
	assert_status(t, 0);
	data = data_of(t);
	assert_int_equal(json_array_size(json_object_get(data, "edges")), 1);
	edge = json_array_get(json_object_get(data, "edges"), 0);
	assert_string_equal(json_string_value(json_array_get(
				    json_object_get(data, "conns"),
				    (size_t)json_integer_value(json_array_get(edge, 2)))),
			    "TCP 80");
	reason = json_array_get(json_array_get(edge, 5), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(data, "reasons"),
							     (size_t)json_integer_value(reason))),
			    "TCP 80: NetworkPolicy x/a, ingress rule 0 (stdin:1)");
	json_decref(data);
}

static void nothing_ends_the_script_element_early(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *dir = bh_asprintf("%s/<", t->dir);
	bh_auto_free char *file = bh_asprintf("%s/script><script>alert(1).yaml", dir);
	json_t *data;
	FILE *f;

	assert_int_equal(mkdir(dir, 0700), 0);
	f = fopen(file, "w");
	assert_non_null(f);
	fputs(POLICY POD("c"), f);
	fclose(f);
	cli_run(t, "sim", "list", "-o", "html", dir);
	assert_status(t, 0);
	data = data_of(t);
	assert_non_null(strstr(bh_buf_str(&t->out), "\\u003c/script>\\u003cscript>alert(1).yaml"));
	json_decref(data);
	unlink(file);
	rmdir(dir);
}

/* A file's name may be any bytes; JSON is UTF-8. */
static void a_file_of_any_name_is_named(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *file = bh_asprintf("%s/\xff.yaml", t->dir);
	json_t *data, *finding, *reasons;
	FILE *f = fopen(file, "w");
	size_t i;

	assert_non_null(f);
	fputs(POLICY POD("a")
		      POD("b") "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "
			       "metadata: {name: idle, namespace: x}, spec: {podSelector: "
			       "{matchLabels: {app: c}}}}\n",
	      f);
	fclose(f);
	cli_run(t, "sim", "list", "-o", "html", file);
	assert_status(t, 0);
	data = data_of(t);
	finding = json_array_get(json_object_get(data, "findings"), 0);
	assert_non_null(finding);
	assert_contains(json_string_value(json_object_get(finding, "file")), "/\\xff.yaml");
	reasons = json_object_get(data, "reasons");
	for (i = 0; i < json_array_size(reasons); i++)
		if (strstr(json_string_value(json_array_get(reasons, i)),
			   "NetworkPolicy x/a, ingress rule 0 (") &&
		    strstr(json_string_value(json_array_get(reasons, i)), "/\\xff.yaml:1)"))
			break;
	assert_true(i < json_array_size(reasons));
	json_decref(data);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(the_page_says_what_is_allowed_and_why),
		CLI_TEST(nothing_ends_the_script_element_early),
		CLI_TEST(a_file_of_any_name_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
