#include "test.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "bh/ports.h"
#include "../../src/node/link.h"

/* A message in the making. */
struct msg {
	_Alignas(struct nlmsghdr) char buf[512];
};

static struct nlmsghdr *begin(struct msg *m, uint16_t type, const void *head, size_t len)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(m->buf);

	h->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(h, len), head, len);
	return h;
}

static struct nlmsghdr *begin_link(struct msg *m, uint16_t type, int ifindex, uint8_t family)
{
	const struct ifinfomsg i = { .ifi_family = family, .ifi_index = ifindex };

	return begin(m, type, &i, sizeof(i));
}

static void put_kind(struct nlmsghdr *h, const char *kind)
{
	struct nlattr *nest = mnl_attr_nest_start(h, IFLA_LINKINFO);

	mnl_attr_put_strz(h, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(h, nest);
}

/* --- links -------------------------------------------------------------------------------- */

static void a_port_is_read_with_where_it_leads(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct msg m;
	struct nlmsghdr *h = begin_link(&m, RTM_NEWLINK, 7, 0);
	struct bh_link link;

	(void)state;
	mnl_attr_put_strz(h, IFLA_IFNAME, "v1");
	mnl_attr_put_u32(h, IFLA_LINK, 3);
	mnl_attr_put_u32(h, IFLA_MASTER, 5);
	mnl_attr_put_u32(h, IFLA_LINK_NETNSID, 0);
	mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), mac);
	put_kind(h, "veth");
	mnl_attr_put_u32(h, 900, 1); /* of a newer kernel */
	assert_int_equal(bh_link_parse(h, &link), 0);
	assert_int_equal(link.ifindex, 7);
	assert_string_equal(link.name, "v1");
	assert_int_equal(link.peer, 3);
	assert_int_equal(link.master, 5);
	assert_int_equal(link.nsid, 0);
	assert_true(link.is_veth && !link.is_bridge && link.has_mac);
	assert_memory_equal(link.mac, mac, 6);
}

static void a_link_that_leads_nowhere_has_no_namespace(void **state)
{
	struct msg m;
	struct nlmsghdr *h = begin_link(&m, RTM_NEWLINK, 7, 0);
	struct bh_link link;

	(void)state;
	mnl_attr_put_strz(h, IFLA_IFNAME, "br0");
	put_kind(h, "bridge");
	assert_int_equal(bh_link_parse(h, &link), 0);
	assert_int_equal(link.nsid, BH_NO_NSID);
	assert_int_equal(link.peer, 0);
	assert_true(link.is_bridge && !link.is_veth && !link.has_mac);
}

static void what_a_bridge_tells_of_its_ports_is_no_news_of_links(void **state)
{
	struct msg m;
	struct nlmsghdr *h = begin_link(&m, RTM_DELLINK, 7, AF_BRIDGE);
	struct bh_link link;

	(void)state;
	mnl_attr_put_strz(h, IFLA_IFNAME, "v1");
	assert_int_equal(bh_link_parse(h, &link), -ENOMSG);
}

static void malformed_links_are_refused(void **state)
{
	static const char long_name[20] = "0123456789abcdefghi";
	static const struct {
		int ifindex;
		uint16_t type;
		size_t len;
		const void *data;
	} rows[] = {
		{ 0, IFLA_IFNAME, 3, "v1" },
		{ -1, IFLA_IFNAME, 3, "v1" },
		{ 7, IFLA_IFNAME, 2, "v1" }, /* without its end */
		{ 7, IFLA_IFNAME, 1, "" },   /* no name */
		{ 7, IFLA_IFNAME, 0, "" },   /* nothing */
		{ 7, IFLA_IFNAME, 20, long_name },
		{ 7, IFLA_MTU, 4, "\1\0\0\0" }, /* no name at all */
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct msg m;
		struct nlmsghdr *h = begin_link(&m, RTM_NEWLINK, rows[i].ifindex, 0);
		struct bh_link link;

		mnl_attr_put(h, rows[i].type, rows[i].len, rows[i].data);
		assert_int_equal(bh_link_parse(h, &link), -EBADMSG);
	}
	for (size_t i = 0; i < 3; i++) {
		static const uint16_t types[] = { IFLA_LINK, IFLA_MASTER, IFLA_LINK_NETNSID };
		struct msg m;
		struct nlmsghdr *h = begin_link(&m, RTM_NEWLINK, 7, 0);
		struct bh_link link;

		mnl_attr_put_strz(h, IFLA_IFNAME, "v1");
		mnl_attr_put_u16(h, types[i], 1);
		assert_int_equal(bh_link_parse(h, &link), -EBADMSG);
	}
}

/* --- addresses and routes ---------------------------------------------------------------- */

static void only_link_local_addresses_of_the_link_count(void **state)
{
	static const struct {
		const char *addr;
		uint32_t ifindex;
		uint8_t flags;
		int want;
	} rows[] = {
		{ "fe80::1", 3, 0, 1 },
		{ "fe80::1", 3, IFA_F_TENTATIVE, 1 },
		{ "fe80::1", 3, IFA_F_DADFAILED, 0 },
		{ "febf::1", 3, 0, 1 },
		{ "fec0::1", 3, 0, 0 },
		{ "fd00::1", 3, 0, 0 },
		{ "fe80::1", 4, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		const struct ifaddrmsg head = { .ifa_family = AF_INET6,
						.ifa_index = rows[i].ifindex,
						.ifa_flags = rows[i].flags };
		struct bh_addr a, got;
		struct msg m;
		struct nlmsghdr *h = begin(&m, RTM_NEWADDR, &head, sizeof(head));

		assert_ok(bh_addr_parse(rows[i].addr, &a, NULL), NULL);
		mnl_attr_put(h, IFA_ADDRESS, 16, a.bytes);
		assert_int_equal(bh_link_local_parse(h, 3, &got), rows[i].want);
		if (rows[i].want)
			assert_true(bh_addr_eq(&a, &got));
	}
}

static void only_routes_to_one_address_without_gateway_lead_to_a_port(void **state)
{
	static const struct {
		uint8_t family, len, type;
		bool has_gateway;
		int want;
	} rows[] = {
		{ AF_INET, 32, RTN_UNICAST, false, 1 },   { AF_INET6, 128, RTN_UNICAST, false, 1 },
		{ AF_INET, 24, RTN_UNICAST, false, 0 },   { AF_INET6, 64, RTN_UNICAST, false, 0 },
		{ AF_INET6, 32, RTN_UNICAST, false, 0 },  { AF_INET, 32, RTN_LOCAL, false, 0 },
		{ AF_INET, 32, RTN_BLACKHOLE, false, 0 }, { AF_INET, 32, RTN_UNICAST, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		const struct rtmsg head = { .rtm_family = rows[i].family,
					    .rtm_dst_len = rows[i].len,
					    .rtm_type = rows[i].type };
		uint32_t ifindex = 0;
		struct msg m;
		struct nlmsghdr *h = begin(&m, RTM_NEWROUTE, &head, sizeof(head));

		mnl_attr_put_u32(h, RTA_OIF, 9);
		if (rows[i].has_gateway)
			mnl_attr_put_u32(h, RTA_GATEWAY, 1);
		assert_int_equal(bh_host_route_parse(h, &ifindex), rows[i].want);
		assert_int_equal(ifindex, rows[i].want ? 9 : 0);
	}
}

/* --- extra addresses ----------------------------------------------------------------------- */

static void extra_addresses_name_pod_and_address(void **state)
{
	static const struct {
		const char *text, *ns, *pod, *cidr;
		bool is_prefix;
	} rows[] = {
		{ "shop/web-1=10.0.0.9", "shop", "web-1", "10.0.0.9/32", false },
		{ "shop/web-*=fd00::9", "shop", "web-", "fd00::9/128", true },
		{ "shop/*=10.1.0.0/16", "shop", "", "10.1.0.0/16", true },
		{ "shop/r=fd00:1::/64", "shop", "r", "fd00:1::/64", false },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct bh_extra_addr e;
		struct bh_err err = { 0 };
		char text[BH_CIDR_STRLEN];

		assert_ok(bh_extra_addr_parse(rows[i].text, &e, &err), &err);
		assert_string_equal(e.namespace, rows[i].ns);
		assert_string_equal(e.pod, rows[i].pod);
		assert_int_equal(e.is_prefix, rows[i].is_prefix);
		assert_string_equal(bh_cidr_format(&e.addrs, text), rows[i].cidr);
		free(e.namespace);
		free(e.pod);
	}
}

static void what_is_no_extra_address_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "is not NAMESPACE/POD=" },
		{ "web=10.0.0.1", "is not NAMESPACE/POD=" },
		{ "shop/=10.0.0.1", "is not NAMESPACE/POD=" },
		{ "/web=10.0.0.1", "is not NAMESPACE/POD=" },
		{ "shop/web", "is not NAMESPACE/POD=" },
		{ "shop=10.0.0.0/8", "is not NAMESPACE/POD=" },
		{ "*/web=10.0.0.1", "only at the end of POD" },
		{ "shop/*b=10.0.0.1", "only at the end of POD" },
		{ "shop/web=10.0.0", "shop/web=10.0.0" },
		{ "shop/web=0.0.0.0/0", "too large" },
		{ "shop/web=::/0", "too large" },
		{ "shop/web=10.0.0.1/24", "10.0.0.1/24" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct bh_extra_addr e;
		struct bh_err err = { 0 };

		assert_err(bh_extra_addr_parse(rows[i].text, &e, &err), &err, -EINVAL, rows[i].why);
	}
}

static void extra_addresses_are_of_pods_by_name_or_beginning(void **state)
{
	struct bh_extra_addr e;

	(void)state;
	assert_ok(bh_extra_addr_parse("shop/web-*=10.0.0.1", &e, NULL), NULL);
	assert_true(bh_extra_addr_is_of(&e, "shop", "web-1"));
	assert_true(bh_extra_addr_is_of(&e, "shop", "web-"));
	assert_false(bh_extra_addr_is_of(&e, "shop", "web"));
	assert_false(bh_extra_addr_is_of(&e, "shop2", "web-1"));
	free(e.namespace);
	free(e.pod);
	assert_ok(bh_extra_addr_parse("shop/web=10.0.0.1", &e, NULL), NULL);
	assert_true(bh_extra_addr_is_of(&e, "shop", "web"));
	assert_false(bh_extra_addr_is_of(&e, "shop", "web-1"));
	free(e.namespace);
	free(e.pod);
}

static void paths_of_namespaces_are_plain_and_absolute(void **state)
{
	static const struct {
		const char *path;
		bool is_good;
	} rows[] = {
		{ "/run/netns/cni-1", true },
		{ "/run/netns/..x", true },
		{ "", false },
		{ "run/netns/x", false },
		{ "/", false },
		{ "/run/../etc/x", false },
		{ "/run/netns/..", false },
		{ "/run/net ns", false },
		{ "/run/netns/x\n", false },
		{ "/run/netns/\x7f", false },
		{ "/run/netns/\xc3\xa9", false },
	};
	char path[BH_NETNS_PATH_MAX + 2];

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++)
		if (bh_netns_path_is_good(rows[i].path) != rows[i].is_good)
			fail_msg("'%s'", rows[i].path);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[BH_NETNS_PATH_MAX + 1] = '\0';
	assert_false(bh_netns_path_is_good(path));
	path[BH_NETNS_PATH_MAX] = '\0';
	assert_true(bh_netns_path_is_good(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_is_read_with_where_it_leads),
		cmocka_unit_test(a_link_that_leads_nowhere_has_no_namespace),
		cmocka_unit_test(what_a_bridge_tells_of_its_ports_is_no_news_of_links),
		cmocka_unit_test(malformed_links_are_refused),
		cmocka_unit_test(only_link_local_addresses_of_the_link_count),
		cmocka_unit_test(only_routes_to_one_address_without_gateway_lead_to_a_port),
		cmocka_unit_test(extra_addresses_name_pod_and_address),
		cmocka_unit_test(what_is_no_extra_address_is_refused),
		cmocka_unit_test(extra_addresses_are_of_pods_by_name_or_beginning),
		cmocka_unit_test(paths_of_namespaces_are_plain_and_absolute),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
