#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bh/file.h"
#include "bh/node.h"

struct place {
	char folder[32];
};

static int make_place(void **state)
{
	struct place *p = bh_calloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/test_cni.XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	*state = p;
	return 0;
}

static void remove_file(const struct place *p, const char *name)
{
	bh_auto_free char *path = bh_asprintf("%s/%s", p->folder, name);

	unlink(path);
}

static int remove_place(void **state)
{
	struct place *p = *state;

	assert_int_equal(rmdir(p->folder), 0);
	free(p);
	return 0;
}

static void write_file(const struct place *p, const char *name, const char *text)
{
	bh_auto_free char *path = bh_asprintf("%s/%s", p->folder, name);
	bh_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(bh_write_all(fd, text, strlen(text)), 0);
}

/* "10.1.0.0-10.1.0.254 fd00::-fd00::ff", "by node", or why not. */
static void describe(const struct bh_cni *c, struct bh_buf *out)
{
	bh_buf_puts(out, c->why);
	if (c->is_by_node)
		bh_buf_puts(out, "by node");
	for (size_t i = 0; i < c->n; i++) {
		char first[BH_ADDR_STRLEN], last[BH_ADDR_STRLEN];

		bh_buf_printf(out, "%s%s-%s", out->len > 0 ? " " : "",
			      bh_addr_format(&c->ranges[i].first, first),
			      bh_addr_format(&c->ranges[i].last, last));
	}
}

#define IPAM(TYPE, IPAM_TEXT)                                                                      \
	"{\"plugins\": [{\"type\": \"" TYPE "\", \"ipam\": " IPAM_TEXT                             \
	"}, {\"type\": \"portmap\"}]}"
#define LOCAL(TYPE, TEXT) IPAM(TYPE, "{\"type\": \"host-local\", " TEXT "}")

static void ranges_are_those_of_this_node_alone(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{ LOCAL("bridge", "\"subnet\": \"10.1.0.0/24\""), "10.1.0.0-10.1.0.254" },
		{ LOCAL("ptp", "\"subnet\": \"10.1.0.0/24\""), "10.1.0.0-10.1.0.255" },
		{ LOCAL("bridge", "\"ranges\": [[{\"subnet\": \"10.1.0.0/24\"}, {\"subnet\": "
				  "\"10.1.2.0/24\"}], [{\"subnet\": \"fd00::/120\"}]]"),
		  "10.1.0.0-10.1.0.254 10.1.2.0-10.1.2.254 fd00::-fd00::ff" },
		/* Shared between nodes. */
		{ LOCAL("macvlan", "\"subnet\": \"10.1.0.0/16\", \"rangeStart\": \"10.1.3.10\", "
				   "\"rangeEnd\": \"10.1.3.20\""),
		  "10.1.3.10-10.1.3.20" },
		{ LOCAL("calico", "\"subnet\": \"usePodCidr\""), "by node" },
		{ "{\"plugins\": [{\"type\": \"flannel\", \"delegate\": {}}]}", "by node" },
		{ "{\"type\": \"ptp\", \"ipam\": {\"type\": \"host-local\", \"subnet\": "
		  "\"10.1.0.0/30\"}}",
		  "10.1.0.0-10.1.0.3" },
		{ IPAM("calico", "{\"type\": \"calico-ipam\"}"),
		  "plugin calico takes addresses from calico-ipam" },
		{ "{\"plugins\": [{\"type\": \"cilium-cni\"}]}", "no plugin of it names ranges" },
		{ LOCAL("bridge", "\"subnet\": \"10.1.0.0\""),
		  "plugin bridge has a range that cannot be read: 10.1.0.0" },
		{ LOCAL("bridge", "\"subnet\": \"10.1.0.0/24\", \"rangeEnd\": \"10.2.0.9\""),
		  "plugin bridge has a range that cannot be read: 10.1.0.0/24" },
		{ "[]", "no plugin of it names ranges" },
		{ "{\"plugins\": [1, [], {\"type\": 1, \"ipam\": {\"ranges\": {}}}]}",
		  "plugin  takes addresses from " },
	};
	const struct place *p = *state;

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_buf_done) struct bh_buf got = { 0 };
		bh_auto(bh_cni_done) struct bh_cni cni = { 0 };
		struct bh_err err = { 0 };

		write_file(p, "10-x.conflist", t[i].text);
		assert_ok(bh_cni_read(p->folder, &cni, &err), &err);
		describe(&cni, &got);
		assert_string_equal(bh_buf_str(&got), t[i].want);
	}
	remove_file(p, "10-x.conflist");
}

static void the_first_file_by_name_counts(void **state)
{
	const struct place *p = *state;
	bh_auto(bh_cni_done) struct bh_cni cni = { 0 };
	struct bh_err err = { 0 };

	assert_int_equal(bh_cni_read("/nonexistent", &cni, NULL), -ENOENT);
	write_file(p, "00-readme.txt", "no");
	write_file(p, ".10.conf", "no");
	assert_err(bh_cni_read(p->folder, &cni, &err), &err, -ENOENT, "no configuration");
	write_file(p, "20.json", LOCAL("ptp", "\"subnet\": \"10.2.0.0/24\""));
	write_file(p, "10.conf", "{");
	assert_err(bh_cni_read(p->folder, &cni, &err), &err, -EINVAL, "10.conf' is no JSON");
	remove_file(p, "10.conf");
	assert_ok(bh_cni_read(p->folder, &cni, &err), &err);
	assert_int_equal(cni.n, 1);
	remove_file(p, "20.json");
	remove_file(p, ".10.conf");
	remove_file(p, "00-readme.txt");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ranges_are_those_of_this_node_alone, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(the_first_file_by_name_counts, make_place,
						remove_place),
	};

	return cmocka_run_group_tests_name("cni", tests, NULL, NULL);
}
