/*
 * Rules of pods' ports = plans = kernel, with real frames.
 *
 * Random worlds of pods on ports, bridged or routed, get frames of every kind that the
 * port guard knows: tagged, of other types, with forged senders, to groups, link-local,
 * discovery, to addresses that no object lists.  Where each may arrive is judged here from
 * the rules as they are written down (bulkheadd(8), PORTS OF PODS; bulkhead-policy(7)),
 * with the evaluator for what policies say, and compared with the three plans, walked
 * through as a bridge and the IP layer would, and with the kernel.
 */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include "bh/eval.h"
#include "bh/guard.h"
#include "bh/nft.h"
#include "bh/render.h"
#include "lab.h"
#include "planwalk.h"
#include "world_text.h"

#define N_PODS      8u
#define UNKNOWN     N_PODS /* a port of no known pod */
#define N_PORTS     (N_PODS + 1)
#define NODE        N_PORTS /* in lists of where a frame arrives */
#define WORLDS      10u
#define FRAMES      1200u
#define NODE_PORT   5353
#define BRIDGE_LINK 1000u /* where there is no kernel */
#define FIRST_LINK  2000u

static const uint8_t group_mac4[6] = { 0x01, 0x00, 0x5e, 0, 0, 1 };
static const uint8_t group_mac6[6] = { 0x33, 0x33, 0, 0, 0, 1 };
static const uint8_t everyone[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

struct probe {
	const char *kind;
	unsigned int from;
	uint8_t dmac[6], smac[6];
	size_t n_tags;
	uint16_t tags[2];
	uint16_t type;
	struct bh_addr src, dst; /* of ARP: sender and target */
	uint8_t protocol, hops;
	uint16_t sport, port;
	bool has_extension; /* hop-by-hop options */
	uint8_t icmp;
	struct bh_addr target;
	uint16_t arp_op, arp_htype;
	uint8_t sha[6];
	size_t extra; /* bytes at the end, before the number */
	uint32_t id;
	const char *refused; /* why it does not pass its port; NULL: it does */
	bool want[N_PORTS + 1];
	bool has_come[N_PORTS + 1];
};

struct oracle {
	uint64_t seed;
	bool is_bridged, has_kernel;
	struct lab lab;
	int node_fd[BH_FAMILY_COUNT_];
	struct bh_nft *nft;
	uint32_t bridge;
	uint32_t links[N_PORTS];
	bool is_shut; /* the unknown port: the operator closes those */
	bool allows_dhcp;
	bool has_v6[N_PODS], has_v4[N_PODS];
	struct bh_buf text; /* the world */
	struct bh_world *w;
	struct bh_compiler *c;
	struct bh_guard *g;
	const struct bh_pod *pods[N_PORTS];
	struct probe *probes;
	size_t n_probes;
	unsigned int world;
	size_t n_refused, n_wanted;
};

/* --- chance ------------------------------------------------------------------- */

static uint32_t next(struct oracle *o, uint32_t n)
{
	o->seed = o->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(o->seed >> 33) % n;
}

static bool chance(struct oracle *o, uint32_t percent)
{
	return next(o, 100) < percent;
}

#define PICK(o, array) ((array)[next((o), (uint32_t)BH_ARRAY_LEN(array))])

/* --- addresses ---------------------------------------------------------------- */

static struct bh_addr addr4(unsigned int host)
{
	return (struct bh_addr){ .family = BH_IPV4, .bytes = { 10, 0, 0, (uint8_t)host } };
}

static struct bh_addr addr6(unsigned int host)
{
	return (struct bh_addr){ .family = BH_IPV6, .bytes = { 0xfd, [15] = (uint8_t)host } };
}

static struct bh_addr addr_ll(unsigned int host)
{
	return (struct bh_addr){ .family = BH_IPV6, .bytes = { 0xfe, 0x80, [15] = (uint8_t)host } };
}

/* Of pod @i; another hundred further is what it has and no object lists. */
#define HOST(i)     (10 + (i))
#define UNLISTED(i) (110 + (i))
#define NODE_HOST   1

static struct bh_addr parse(const char *text)
{
	struct bh_addr a = { 0 };

	assert_ok(bh_addr_parse(text, &a, NULL), NULL);
	return a;
}

static bool is_multicast(const struct bh_addr *a)
{
	return a->family == BH_IPV4 ? (a->bytes[0] & 0xf0) == 0xe0 : a->bytes[0] == 0xff;
}

static bool is_zero(const struct bh_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

/* --- worlds ------------------------------------------------------------------- */

static void add_rules(struct oracle *o, const char *dir)
{
	static const char *const peers[] = {
		"pods/app=a",
		"pods/app=b",
		"pods/app=a|b",
		"ns/kind=x",
		"ns/*",
		"cidr/10.0.0.0/24",
		"cidr/10.0.0.12/31",
		"cidr/10.0.0.255/32",
		"cidr/224.0.0.0/4",
		"cidr/224.0.0.251/32",
		"cidr/255.255.255.255/32",
		"cidr/0.0.0.0/0",
		"cidr/::/0",
		"cidr/fe80::/10",
		"cidr/fd00::/64",
		"cidr/ff00::/8",
		"cidr/ff02::1/128",
	};
	static const char *const ports[] = { "UDP",       "UDP:5353", "UDP:1000-60000",
					     "UDP:80-90", "TCP:80",   "any" };

	for (uint32_t n = next(o, 4); n > 0; n--) {
		bh_buf_puts(&o->text, dir);
		for (uint32_t k = next(o, 3); k > 0; k--)
			bh_buf_printf(&o->text, " peer=%s", PICK(o, peers));
		if (chance(o, 70))
			bh_buf_printf(&o->text, " port=%s", PICK(o, ports));
		bh_buf_putc(&o->text, '\n');
	}
}

static void make_text(struct oracle *o)
{
	static const char *const spaces[] = { "red", "green" };
	static const char *const apps[] = { "a", "b", "c" };
	static const char *const types[] = { "ingress", "egress", "both" };

	bh_buf_reset(&o->text);
	bh_buf_puts(&o->text, "ns red label=kind:x\nns green label=kind:y\n"
			      "node n1 10.0.0.1 fd00::1\n");
	for (unsigned int i = 0; i < N_PODS; i++) {
		o->has_v4[i] = !chance(o, 15);
		o->has_v6[i] = !o->has_v4[i] || chance(o, 70);
		bh_buf_printf(&o->text, "pod %s/p%u node=n1 label=app:%s", i % 2 ? "red" : "green",
			      i, PICK(o, apps));
		if (o->has_v4[i])
			bh_buf_printf(&o->text, " 10.0.0.%u", HOST(i));
		if (o->has_v6[i])
			bh_buf_printf(&o->text, " fd00::%x", HOST(i));
		bh_buf_putc(&o->text, '\n');
	}
	for (uint32_t i = 0; i < 5; i++) {
		bh_buf_printf(&o->text, "policy %s/n%u pods=app=%s types=%s%s%s\n", PICK(o, spaces),
			      i, PICK(o, apps), PICK(o, types), chance(o, 15) ? " audit" : "",
			      chance(o, 5) ? " invalid" : "");
		add_rules(o, "in");
		add_rules(o, "eg");
	}
}

static void tell_port(struct oracle *o, unsigned int i)
{
	struct bh_addr local = addr_ll(HOST(i));
	struct bh_pod_port port = { .ifindex = o->links[i],
				    .has_mac = true,
				    .bridge = o->is_bridged ? o->bridge : 0 };
	char name[16];
	struct bh_fact fact = { .kind = BH_KIND_POD,
				.source = BH_SOURCE_NODE,
				.pod = { .namespace = i % 2 ? "red" : "green",
					 .name = name,
					 .uid = "",
					 .node = "",
					 .pod_ports = &port,
					 .n_pod_ports = 1,
					 .addrs = &local,
					 .n_addrs = 1 } };

	snprintf(name, sizeof(name), "p%u", i);
	snprintf(port.name, sizeof(port.name), "p%u", i);
	lab_far_mac(i, port.mac);
	assert_ok(bh_world_apply(o->w, &fact, NULL), NULL);
}

static void start_world(struct oracle *o)
{
	const struct bh_compile_config log = { .log_group = 5, .log_rate = 10, .log_burst = 20 };

	make_text(o);
	o->w = bh_world_new(&(struct bh_world_config){ .node = "n1" });
	world_text(o->w, BH_SOURCE_MANIFEST, bh_buf_str(&o->text));
	for (unsigned int i = 0; i < N_PODS; i++)
		tell_port(o, i);
	o->c = bh_compiler_new(o->w, &log);
	o->allows_dhcp = chance(o, 40);
	o->g = bh_guard_new(o->w, o->c,
			    &(struct bh_guard_config){ .log = log, .allows_dhcp = o->allows_dhcp });
	bh_compiler_update(o->c);
	bh_guard_set_broadcasts(o->g, (const struct bh_addr[]){ addr4(255) }, 1);
	o->is_shut = chance(o, 50);
	bh_guard_update(o->g,
			&(struct bh_guard_link){ .ifindex = o->links[UNKNOWN],
						 .name = "p8",
						 .is_closed = o->is_shut },
			1);
	for (unsigned int i = 0; i < N_PODS; i++) {
		o->pods[i] = bh_guard_pod_of(o->g, o->links[i]);
		assert_non_null(o->pods[i]);
	}
}

static void end_world(struct oracle *o)
{
	bh_guard_free(&o->g);
	bh_compiler_free(&o->c);
	bh_world_free(&o->w);
}

static struct bh_plan *plan_of(struct oracle *o, enum bh_table t)
{
	return t == BH_TABLE_INET ? bh_compiler_plan(o->c) : bh_guard_plan(o->g, t);
}

/* --- the judge ---------------------------------------------------------------- */

static bool owns(const struct oracle *o, unsigned int i, const struct bh_addr *a)
{
	for (size_t k = 0; o->pods[i] && k < o->pods[i]->n_addrs; k++)
		if (bh_addr_eq(&o->pods[i]->addrs[k], a))
			return true;
	return false;
}

static bool allows_all(const struct bh_policy *p, enum bh_dir dir)
{
	for (size_t i = 0; !p->invalid && i < p->rules[dir].n; i++) {
		const struct bh_rule *r = &p->rules[dir].items[i];
		bool has_any = !r->has_ports;

		for (size_t k = 0; k < r->n_ports; k++)
			has_any = has_any ||
				  (r->ports[k].protocol == 0 && !r->ports[k].name &&
				   r->ports[k].first == 0 && r->ports[k].last == UINT16_MAX);
		if (!r->has_peers && has_any)
			return true;
	}
	return false;
}

/* Policies in force isolate it, and none of them allows everything. */
static bool is_closed(const struct oracle *o, unsigned int i, enum bh_dir dir)
{
	const struct bh_policy *const *policies;
	bool is_isolated = false;
	size_t n;

	if (i == UNKNOWN)
		return false;
	n = bh_world_policies_of(o->w, o->pods[i]->namespace, &policies);
	for (size_t k = 0; k < n; k++) {
		const struct bh_policy *p = policies[k];

		if (!bh_policy_isolates(p, dir) || !bh_world_selects(o->w, p, o->pods[i]) ||
		    bh_world_policy_mode(o->w, p) == BH_AUDIT)
			continue;
		is_isolated = true;
		if (allows_all(p, dir))
			return false;
	}
	return is_isolated;
}

static bool allows(const struct oracle *o, const struct probe *p, enum bh_dir dir,
		   const struct bh_pod *src, const struct bh_pod *dst)
{
	const struct bh_flow flow = { .src = p->src,
				      .dst = p->dst,
				      .protocol = p->protocol,
				      .dst_port = p->port,
				      .src_pod = src,
				      .dst_pod = dst };
	struct bh_dir_verdict v;

	bh_eval_dir(o->w, &flow, dir, &v);
	return v.verdict == BH_VERDICT_ALLOWED;
}

static size_t icmp_len(const struct probe *p)
{
	switch (p->icmp) {
	case ND_ROUTER_SOLICIT: return 8 + p->extra + 8;
	case ND_ROUTER_ADVERT: return 16 + p->extra + 8;
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT: return 24 + p->extra + 8;
	case ND_REDIRECT: return 40 + p->extra + 8;
	default: return 8 + p->extra + 16;
	}
}

/* Discovery: only about oneself, on this link, to its groups, and nothing of routers. */
static const char *refuse_discovery(const struct oracle *o, const struct probe *p)
{
	const struct bh_addr routers = parse("ff02::2");
	const bool is_own = owns(o, p->from, &p->src), is_none = is_zero(&p->src);
	const bool is_about_own = owns(o, p->from, &p->target);

	switch (p->icmp) {
	case ND_ROUTER_ADVERT:
	case ND_REDIRECT:
	case MLD_LISTENER_QUERY: return BH_GUARD_DISCOVERY;
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT:
		if (p->has_extension || p->hops != 255 || icmp_len(p) > 40)
			return BH_GUARD_DISCOVERY;
		if (p->icmp == ND_NEIGHBOR_SOLICIT && is_none)
			return is_about_own ? NULL : BH_GUARD_DISCOVERY;
		if (p->icmp == ND_NEIGHBOR_ADVERT && !is_about_own)
			return BH_GUARD_DISCOVERY;
		return is_own ? NULL : BH_GUARD_SPOOFED;
	case ND_ROUTER_SOLICIT:
		if (p->has_extension || p->hops != 255 || icmp_len(p) > 16 ||
		    !bh_addr_eq(&p->dst, &routers))
			return BH_GUARD_DISCOVERY;
		return is_own || is_none ? NULL : BH_GUARD_SPOOFED;
	default: /* MLD reports */
		if (p->hops != 1 || p->dst.bytes[0] != 0xff || p->dst.bytes[1] != 2)
			return BH_GUARD_DISCOVERY;
		return is_own || is_none ? NULL : BH_GUARD_SPOOFED;
	}
}

static bool is_discovery(const struct probe *p)
{
	return p->protocol == IPPROTO_ICMPV6 && p->icmp != ICMP6_ECHO_REQUEST;
}

static const char *refuse_arp(const struct oracle *o, const struct probe *p)
{
	uint8_t mac[6];

	lab_far_mac(p->from, mac);
	if (p->arp_htype != 1 || 28 + p->extra + 6 > 46 || memcmp(p->sha, mac, 6) != 0)
		return BH_GUARD_SPOOFED;
	if (owns(o, p->from, &p->src))
		return NULL;
	return p->arp_op == 1 && is_zero(&p->src) && owns(o, p->from, &p->dst) ? NULL
									       : BH_GUARD_SPOOFED;
}

/* RFC 2131: a client that has no address yet. */
static bool is_dhcp(const struct probe *p)
{
	const struct bh_addr all = parse("255.255.255.255");

	return p->type == ETH_P_IP && is_zero(&p->src) && bh_addr_eq(&p->dst, &all) &&
	       p->protocol == IPPROTO_UDP && p->sport == 68 && p->port == 67;
}

/* Whose addresses are there is not known, but what no pod may send is. */
static const char *refuse_unknown(const struct oracle *o, const struct probe *p)
{
	if (o->is_shut)
		return BH_GUARD_NO_POD;
	if (p->n_tags || (p->type != ETH_P_IP && p->type != ETH_P_IPV6 && p->type != ETH_P_ARP))
		return BH_GUARD_FRAME;
	if (p->protocol == IPPROTO_ICMPV6 &&
	    (p->icmp == ND_ROUTER_ADVERT || p->icmp == ND_REDIRECT ||
	     p->icmp == MLD_LISTENER_QUERY))
		return BH_GUARD_DISCOVERY;
	return NULL;
}

static const char *refuse(const struct oracle *o, const struct probe *p)
{
	uint8_t mac[6];

	if (p->from == UNKNOWN)
		return refuse_unknown(o, p);
	lab_far_mac(p->from, mac);
	if (p->n_tags || (p->type != ETH_P_IP && p->type != ETH_P_IPV6 && p->type != ETH_P_ARP))
		return BH_GUARD_FRAME;
	if (memcmp(p->smac, mac, 6) != 0)
		return BH_GUARD_SPOOFED;
	if (p->type == ETH_P_ARP)
		return refuse_arp(o, p);
	if (is_discovery(p))
		return refuse_discovery(o, p);
	if (is_dhcp(p) && (o->allows_dhcp || !is_closed(o, p->from, BH_EGRESS)))
		return NULL;
	return owns(o, p->from, &p->src) ? NULL : BH_GUARD_SPOOFED;
}

static bool is_mac_of_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

static bool is_for_mac(const struct probe *p, unsigned int to)
{
	uint8_t mac[6];

	lab_far_mac(to, mac);
	return is_mac_of_group(p->dmac) || memcmp(p->dmac, mac, 6) == 0;
}

/* Whose rules judge what is for the address, wherever it is copied to. */
static bool owners_allow(const struct oracle *o, const struct probe *p)
{
	for (unsigned int i = 0; i < N_PODS; i++)
		if (owns(o, i, &p->dst) &&
		    !allows(o, p, BH_INGRESS, is_zero(&p->src) ? NULL : o->pods[p->from],
			    o->pods[i]))
			return false;
	return true;
}

static bool sender_allows(const struct oracle *o, const struct probe *p)
{
	return is_zero(&p->src) || allows(o, p, BH_EGRESS, o->pods[p->from], NULL);
}

/* Of a server, which is no pod. */
static bool is_dhcp_answer(const struct oracle *o, const struct probe *p)
{
	return o->allows_dhcp && o->is_bridged && p->from == UNKNOWN && p->type == ETH_P_IP &&
	       p->protocol == IPPROTO_UDP && p->sport == 67 && p->port == 68;
}

static bool may_enter(const struct oracle *o, const struct probe *p, unsigned int to)
{
	const bool is_group =
		is_multicast(&p->dst) || (p->type == ETH_P_IP && is_mac_of_group(p->dmac));

	if (owns(o, to, &p->dst))
		return true; /* owners_allow() */
	if (to == UNKNOWN || (is_dhcp_answer(o, p) && is_closed(o, to, BH_INGRESS)))
		return true;
	if (is_group && o->is_bridged)
		return allows(o, p, BH_INGRESS, is_zero(&p->src) ? NULL : o->pods[p->from],
			      o->pods[to]);
	return !is_closed(o, to, BH_INGRESS);
}

/*
 * Policy judges the address, a bridge delivers by MAC: an isolated sender reaches no pod
 * by another's address.
 */
static bool is_misaddressed(const struct oracle *o, const struct probe *p, unsigned int to)
{
	const struct bh_addr all[] = { parse("255.255.255.255"), addr4(255) };

	return to != UNKNOWN && is_closed(o, p->from, BH_EGRESS) && !owns(o, to, &p->dst) &&
	       !is_multicast(&p->dst) && !bh_addr_eq(&p->dst, &all[0]) &&
	       !bh_addr_eq(&p->dst, &all[1]);
}

/* Of what passes the sender's port, by a bridge. */
static bool may_cross(const struct oracle *o, const struct probe *p, unsigned int to)
{
	if (to == p->from || !is_for_mac(p, to))
		return false;
	if (p->type == ETH_P_ARP)
		return true;
	if (is_discovery(p))
		/* The rest is between pods and routers, and a router may be there. */
		return p->icmp == ND_NEIGHBOR_SOLICIT || p->icmp == ND_NEIGHBOR_ADVERT ||
		       to == UNKNOWN;
	return sender_allows(o, p) && owners_allow(o, p) && !is_misaddressed(o, p, to) &&
	       may_enter(o, p, to);
}

/* The port where the node's routes end; N_PORTS: none. */
static unsigned int route_of(const struct bh_addr *a)
{
	const struct bh_addr net = a->family == BH_IPV4 ? addr4(0) : addr6(0);
	unsigned int host = a->bytes[bh_family_len(a->family) - 1], i;

	for (i = 0; i < N_PORTS; i++)
		if (memcmp(a->bytes, net.bytes, bh_family_len(a->family) - 1) == 0 &&
		    (host == HOST(i) || host == UNLISTED(i)))
			break;
	return i;
}

/* Link-local packets and those for groups are not routed (RFC 4291 2.5.6). */
static bool is_routed_to(const struct probe *p, unsigned int to)
{
	const bool is_local = p->type == ETH_P_IPV6 && p->src.bytes[0] == 0xfe;

	return (p->type == ETH_P_IP || p->type == ETH_P_IPV6) && !is_mac_of_group(p->dmac) &&
	       !is_discovery(p) && !is_local && route_of(&p->dst) == to;
}

/* What the node hears of, on the one UDP port it listens on. */
static bool is_for_node(const struct oracle *o, const struct probe *p)
{
	static const char *const bridged[] = { "10.0.0.1",  "fd00::1", "fe80::1",
					       "224.0.0.1", "ff02::1", "255.255.255.255",
					       "10.0.0.255" };
	uint8_t mac[6];

	lab_near_mac(p->from, mac);
	if (p->protocol != IPPROTO_UDP || p->port != NODE_PORT ||
	    (memcmp(p->dmac, o->is_bridged ? lab_bridge_mac : mac, 6) != 0 &&
	     !is_mac_of_group(p->dmac)))
		return false;
	for (size_t i = 0; i < BH_ARRAY_LEN(bridged) - !o->is_bridged; i++) {
		struct bh_addr a = parse(bridged[i]);

		/* The IP layer drops what is for a host in a frame for all (RFC 1122 3.3.6). */
		if (bh_addr_eq(&a, &p->dst))
			return true;
	}
	return false;
}

static void judge(const struct oracle *o, struct probe *p)
{
	p->refused = refuse(o, p);
	if (p->refused)
		return;
	for (unsigned int i = 0; i < N_PORTS && o->is_bridged; i++)
		p->want[i] = may_cross(o, p, i);
	for (unsigned int i = 0; i < N_PORTS && !o->is_bridged; i++)
		p->want[i] = is_routed_to(p, i) && sender_allows(o, p) && owners_allow(o, p) &&
			     may_enter(o, p, i);
	p->want[NODE] = is_for_node(o, p) && sender_allows(o, p);
}

/* --- probes -------------------------------------------------------------------- */

static struct bh_addr some_group(struct oracle *o, enum bh_family family)
{
	static const char *const groups[BH_FAMILY_COUNT_][5] = {
		[BH_IPV4] = { "224.0.0.1", "224.0.0.251", "239.1.2.3", "255.255.255.255",
			      "10.0.0.255" },
		[BH_IPV6] = { "ff02::1", "ff02::fb", "ff05::1:3", "ff02::1:2", "ff08::5" },
	};

	return parse(groups[family][next(o, 5)]);
}

/* An own address of the pod's of the family; false if it has none. */
static bool own_addr(struct oracle *o, unsigned int i, enum bh_family family, bool is_local,
		     struct bh_addr *ret)
{
	*ret = family == BH_IPV4 ? addr4(HOST(i)) : is_local ? addr_ll(HOST(i)) : addr6(HOST(i));
	if (i == UNKNOWN)
		return true;
	return family == BH_IPV4 ? o->has_v4[i] : is_local || o->has_v6[i];
}

static struct bh_addr strange_addr(struct oracle *o, enum bh_family family)
{
	unsigned int i = next(o, N_PODS);

	switch (next(o, 4)) {
	case 0: return family == BH_IPV4 ? addr4(HOST(i)) : addr6(HOST(i));
	case 1: return family == BH_IPV4 ? addr4(UNLISTED(i)) : addr6(UNLISTED(i));
	case 2: return family == BH_IPV4 ? parse("192.0.2.9") : parse("2001:db8::9");
	default: return family == BH_IPV4 ? parse("169.254.7.7") : addr_ll(HOST(i));
	}
}

static void to_mac(struct oracle *o, struct probe *p, unsigned int to)
{
	if (to < N_PORTS && o->is_bridged)
		lab_far_mac(to, p->dmac);
	else if (o->is_bridged)
		memcpy(p->dmac, lab_bridge_mac, 6);
	else
		lab_near_mac(p->from, p->dmac);
}

/* A UDP or echo packet between two pods, or to the node. */
static void make_unicast(struct oracle *o, struct probe *p)
{
	static const uint16_t ports[] = { NODE_PORT, NODE_PORT, 85, 53, 61000 };
	enum bh_family family = chance(o, 50) ? BH_IPV4 : BH_IPV6;
	bool is_local = chance(o, 30);
	unsigned int to = chance(o, 15) ? NODE : next(o, N_PODS);

	p->kind = "unicast";
	while (p->from < N_PODS && !own_addr(o, p->from, family, is_local, &p->src))
		p->from = next(o, N_PODS);
	/* It may have any address, a pod's too. */
	while (p->from == UNKNOWN && !own_addr(o, UNKNOWN, family, is_local, &p->src))
		family = 1 - family;
	if (p->from == UNKNOWN && chance(o, 30))
		p->src = strange_addr(o, family);
	lab_far_mac(p->from, p->smac);
	while (to < N_PODS && (to == p->from || !own_addr(o, to, family, is_local, &p->dst)))
		to = chance(o, 10) ? NODE : next(o, N_PODS);
	if (to == NODE)
		p->dst = family == BH_IPV4 ? addr4(NODE_HOST)
			 : is_local        ? addr_ll(NODE_HOST)
					   : addr6(NODE_HOST);
	to_mac(o, p, to);
	p->type = family == BH_IPV4 ? ETH_P_IP : ETH_P_IPV6;
	p->protocol = family == BH_IPV6 && chance(o, 10) ? IPPROTO_ICMPV6 : IPPROTO_UDP;
	p->icmp = ICMP6_ECHO_REQUEST;
	p->hops = 64;
	p->port = p->protocol == IPPROTO_UDP ? PICK(o, ports) : 0;
	p->has_extension = family == BH_IPV6 && chance(o, 5);
}

static void make_tagged(struct oracle *o, struct probe *p)
{
	static const uint16_t vids[] = { 0, 0, 1, 100 };

	make_unicast(o, p);
	p->kind = "tagged";
	p->n_tags = 1 + chance(o, 30);
	p->tags[0] = chance(o, 50) ? ETH_P_8021Q : ETH_P_8021AD;
	p->tags[1] = ETH_P_8021Q;
	p->target.bytes[0] = (uint8_t)PICK(o, vids); /* the tag's VLAN */
}

static void make_other_type(struct oracle *o, struct probe *p)
{
	static const uint16_t types[] = { 0x88cc, 0x8863, 0x8864, 0x0026, 0x8847, 0x9000, 0x0805 };

	make_unicast(o, p);
	p->kind = "type";
	p->type = PICK(o, types);
	if (chance(o, 30))
		memcpy(p->dmac, everyone, 6);
}

static void make_forged(struct oracle *o, struct probe *p)
{
	make_unicast(o, p);
	p->kind = "forged address";
	p->src = strange_addr(o, p->src.family);
}

static void make_forged_mac(struct oracle *o, struct probe *p)
{
	make_unicast(o, p);
	p->kind = "forged MAC";
	lab_far_mac(next(o, N_PODS), p->smac);
}

static void make_group(struct oracle *o, struct probe *p)
{
	make_unicast(o, p);
	p->kind = "group";
	p->protocol = IPPROTO_UDP;
	p->port = p->port ? p->port : NODE_PORT;
	p->dst = some_group(o, p->src.family);
	if (chance(o, 85))
		memcpy(p->dmac,
		       p->src.family == BH_IPV6                 ? group_mac6
		       : is_multicast(&p->dst) && chance(o, 80) ? group_mac4
								: everyone,
		       6);
}

/* In a frame for all, or for another than the owner. */
static void make_astray(struct oracle *o, struct probe *p)
{
	make_unicast(o, p);
	p->kind = "astray";
	if (chance(o, 50))
		memcpy(p->dmac, everyone, 6);
	else
		to_mac(o, p, next(o, N_PODS));
}

static void make_unlisted(struct oracle *o, struct probe *p)
{
	unsigned int to;

	make_unicast(o, p);
	p->kind = "unlisted";
	to = (p->from + 1 + next(o, N_PODS - 1)) % N_PODS;
	p->dst = p->src.family == BH_IPV4  ? addr4(UNLISTED(to))
		 : p->src.bytes[0] == 0xfe ? addr_ll(UNLISTED(to))
					   : addr6(UNLISTED(to));
	to_mac(o, p, to);
}

static void make_discovery(struct oracle *o, struct probe *p)
{
	static const uint8_t types[] = { ND_ROUTER_SOLICIT,
					 ND_ROUTER_ADVERT,
					 ND_NEIGHBOR_SOLICIT,
					 ND_NEIGHBOR_SOLICIT,
					 ND_NEIGHBOR_ADVERT,
					 ND_NEIGHBOR_ADVERT,
					 ND_REDIRECT,
					 MLD_LISTENER_QUERY,
					 MLD_LISTENER_REPORT,
					 MLD_LISTENER_REDUCTION,
					 BH_MLD2_LISTENER_REPORT };
	static const char *const groups[] = { "ff02::1", "ff02::2", "ff02::16", "ff02::1:ff00:c",
					      "ff05::2" };
	unsigned int other = next(o, N_PODS);

	p->kind = "discovery";
	p->type = ETH_P_IPV6;
	p->protocol = IPPROTO_ICMPV6;
	p->icmp = PICK(o, types);
	/* The others are not a pod's: they may come from a router. */
	while (p->from == UNKNOWN &&
	       (p->icmp == ND_ROUTER_SOLICIT || p->icmp == MLD_LISTENER_REPORT ||
		p->icmp == MLD_LISTENER_REDUCTION || p->icmp == BH_MLD2_LISTENER_REPORT))
		p->icmp = PICK(o, types);
	p->hops = chance(o, 80) ? (p->icmp < ND_ROUTER_SOLICIT || p->icmp > ND_REDIRECT ? 1 : 255)
				: PICK(o, ((const uint8_t[]){ 1, 64, 254, 255 }));
	if (p->from == UNKNOWN)
		p->hops = 255;
	p->has_extension = chance(o, 10);
	p->extra = chance(o, 85) ? 0 : 8u * (1 + next(o, 4));
	p->src = chance(o, 60)   ? addr_ll(HOST(p->from))
		 : chance(o, 40) ? (struct bh_addr){ .family = BH_IPV6 }
				 : strange_addr(o, BH_IPV6);
	p->target = chance(o, 60) ? addr_ll(HOST(p->from)) : strange_addr(o, BH_IPV6);
	p->dst = chance(o, 75) ? parse(PICK(o, groups)) : addr_ll(HOST(other));
	if (is_multicast(&p->dst))
		memcpy(p->dmac, group_mac6, 6);
	else
		to_mac(o, p, other);
}

static void make_arp(struct oracle *o, struct probe *p)
{
	p->kind = "ARP";
	p->type = ETH_P_ARP;
	p->arp_htype = chance(o, 95) ? 1 : 6;
	p->arp_op = (uint16_t)(1 + next(o, 2));
	lab_far_mac(chance(o, 80) ? p->from : next(o, N_PODS), p->sha);
	p->src = chance(o, 60)   ? addr4(HOST(p->from))
		 : chance(o, 50) ? addr4(0)
				 : strange_addr(o, BH_IPV4);
	if (p->src.bytes[3] == 0)
		p->src = (struct bh_addr){ .family = BH_IPV4 };
	p->dst = chance(o, 40) ? addr4(HOST(p->from)) : addr4(HOST(next(o, N_PODS)));
	p->extra = chance(o, 80) ? 12 : 30;
	if (chance(o, 50))
		memcpy(p->dmac, everyone, 6);
	else
		to_mac(o, p, next(o, N_PODS));
}

static void make_dhcp(struct oracle *o, struct probe *p)
{
	p->kind = "DHCP";
	p->type = ETH_P_IP;
	p->protocol = IPPROTO_UDP;
	p->src = (struct bh_addr){ .family = BH_IPV4 };
	p->dst = chance(o, 80) ? parse("255.255.255.255") : addr4(HOST(next(o, N_PODS)));
	p->sport = chance(o, 80) ? 68 : 1068;
	p->port = chance(o, 80) ? 67 : NODE_PORT;
	memcpy(p->dmac, everyone, 6);
	if (p->from != UNKNOWN && chance(o, 80))
		return;
	p->kind = "DHCP answer";
	p->src = chance(o, 70) ? addr4(HOST(p->from)) : strange_addr(o, BH_IPV4);
	p->sport = chance(o, 80) ? 67 : 1067;
	p->port = chance(o, 80) ? 68 : NODE_PORT;
	if (chance(o, 30))
		to_mac(o, p, next(o, N_PODS));
}

static void (*const makers[])(struct oracle *, struct probe *) = {
	make_unicast,   make_tagged, make_other_type, make_forged,   make_forged_mac,
	make_group,     make_group,  make_astray,     make_unlisted, make_discovery,
	make_discovery, make_arp,    make_dhcp,
};

/*
 * A pod to itself is no business of policy, and does not leave it: only who forges its
 * address looks like that.
 */
static bool is_to_itself(const struct oracle *o, const struct probe *p)
{
	for (unsigned int i = 0; i < N_PODS; i++)
		if (owns(o, i, &p->src) &&
		    (owns(o, i, &p->dst) || (p->from == UNKNOWN && is_for_mac(p, i))))
			return true;
	return false;
}

static void make_probes(struct oracle *o)
{
	for (size_t i = 0; i < o->n_probes; i++) {
		struct probe *p = &o->probes[i];

		*p = (struct probe){ .from = next(o, N_PORTS),
				     .id = (o->world << 16) + (uint32_t)i,
				     .sport = (uint16_t)(2000 + i) };
		lab_far_mac(p->from, p->smac);
		makers[i % BH_ARRAY_LEN(makers)](o, p);
		if (p->type != ETH_P_ARP && is_to_itself(o, p))
			p->src = p->src.family == BH_IPV4 ? parse("192.0.2.9")
							  : parse("2001:db8::9");
		judge(o, p);
		o->n_refused += p->refused != NULL;
		for (unsigned int k = 0; k <= NODE; k++)
			o->n_wanted += p->want[k];
	}
}

/* --- their bytes ----------------------------------------------------------------- */

static void put(struct walk_frame *f, const void *bytes, size_t len)
{
	assert_true(f->len + len <= sizeof(f->bytes));
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static void put_zeros(struct walk_frame *f, size_t len)
{
	static const uint8_t zeros[64];

	put(f, zeros, len);
}

static void put16(struct walk_frame *f, unsigned int value)
{
	put(f, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

/* RFC 1071, over the bytes from @at on and what the pseudo header adds. */
static void put_sum(struct walk_frame *f, size_t from, size_t at, uint32_t sum)
{
	for (size_t i = from; i < f->len; i += 2)
		sum += (uint32_t)(f->bytes[i] << 8 | (i + 1 < f->len ? f->bytes[i + 1] : 0));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	f->bytes[at] = (uint8_t)(sum >> 8);
	f->bytes[at + 1] = (uint8_t)sum;
}

static uint32_t pseudo_sum(const struct probe *p, size_t len)
{
	uint32_t sum = (uint32_t)len + p->protocol;

	for (size_t i = 0; i < bh_family_len(p->src.family); i += 2)
		sum += (uint32_t)(p->src.bytes[i] << 8 | p->src.bytes[i + 1]) +
		       (uint32_t)(p->dst.bytes[i] << 8 | p->dst.bytes[i + 1]);
	return sum;
}

static const uint8_t magic[2] = { 'B', 'H' };

static void put_id(struct walk_frame *f, const struct probe *p)
{
	put(f, magic, 2);
	put16(f, p->id >> 16);
	put16(f, p->id & 0xffff);
}

static void put_icmp6(struct walk_frame *f, const struct probe *p)
{
	const bool is_about = p->icmp == ND_NEIGHBOR_SOLICIT || p->icmp == ND_NEIGHBOR_ADVERT ||
			      p->icmp == ND_REDIRECT;
	const size_t from = f->len;

	put(f, (uint8_t[]){ p->icmp, 0, 0, 0 }, 4);
	put_zeros(f, 4);
	if (is_about)
		put(f, p->target.bytes, 16);
	put_zeros(f, icmp_len(p) - (f->len - from) - 8);
	/* The last option of discovery, or the end of a group's address. */
	put(f, (uint8_t[]){ 14, 1 }, 2);
	put_id(f, p);
	put_sum(f, from, from + 2, pseudo_sum(p, f->len - from));
}

static void put_udp(struct walk_frame *f, const struct probe *p)
{
	const size_t from = f->len;

	put16(f, p->sport);
	put16(f, p->port);
	put16(f, 8 + 8);
	put16(f, 0);
	put_zeros(f, 2);
	put_id(f, p);
	put_sum(f, from, from + 6, pseudo_sum(p, f->len - from));
}

static void put_transport(struct walk_frame *f, const struct probe *p)
{
	if (p->protocol == IPPROTO_UDP)
		put_udp(f, p);
	else
		put_icmp6(f, p);
}

static void put_ip4(struct walk_frame *f, const struct probe *p)
{
	const size_t from = f->len;

	put(f, (uint8_t[]){ 0x45, 0, 0, 20 + 16, 0, 1, 0, 0, 64, p->protocol, 0, 0 }, 12);
	put(f, p->src.bytes, 4);
	put(f, p->dst.bytes, 4);
	put_sum(f, from, from + 10, 0);
	put_transport(f, p);
}

static void put_ip6(struct walk_frame *f, const struct probe *p)
{
	const size_t from = f->len;

	put(f, (uint8_t[]){ 0x60, 0, 0, 0, 0, 0, p->has_extension ? 0 : p->protocol, p->hops }, 8);
	put(f, p->src.bytes, 16);
	put(f, p->dst.bytes, 16);
	if (p->has_extension)
		put(f, (uint8_t[]){ p->protocol, 0, 5, 2, 0, 0, 1, 0 }, 8);
	put_transport(f, p);
	f->bytes[from + 5] = (uint8_t)(f->len - from - 40);
}

static void put_arp(struct walk_frame *f, const struct probe *p)
{
	put16(f, p->arp_htype);
	put16(f, ETH_P_IP);
	put(f, (uint8_t[]){ 6, 4 }, 2);
	put16(f, p->arp_op);
	put(f, p->sha, 6);
	put(f, p->src.bytes, 4);
	put_zeros(f, 6);
	put(f, p->dst.bytes, 4);
	put_zeros(f, p->extra);
	put_id(f, p);
}

static struct walk_frame frame_of(const struct probe *p)
{
	struct walk_frame f = { .len = 0 };

	put(&f, p->dmac, 6);
	put(&f, p->smac, 6);
	for (size_t i = 0; i < p->n_tags; i++) {
		put16(&f, p->tags[i]);
		put16(&f, p->target.bytes[0]);
	}
	put16(&f, p->type);
	if (p->type == ETH_P_IP)
		put_ip4(&f, p);
	else if (p->type == ETH_P_IPV6)
		put_ip6(&f, p);
	else if (p->type == ETH_P_ARP)
		put_arp(&f, p);
	else {
		put_zeros(&f, 40);
		put_id(&f, p);
	}
	return f;
}

/* --- a disagreement ------------------------------------------------------------------ */

static void complain(struct oracle *o, const struct probe *p, unsigned int to, const char *who,
		     bool has_come)
{
	char src[BH_ADDR_STRLEN], dst[BH_ADDR_STRLEN], target[BH_ADDR_STRLEN];
	struct bh_addr t = p->target;

	t.family = BH_IPV6;
	fprintf(stderr, "%s", bh_buf_str(&o->text));
	if (getenv("BH_ORACLE_RULES")) {
		for (enum bh_table k = 0; k < BH_TABLE_COUNT_; k++) {
			struct bh_buf rules = { 0 };

			bh_render(plan_of(o, k), &rules);
			fprintf(stderr, "%s\n", bh_buf_str(&rules));
			bh_buf_done(&rules);
		}
	}
	fail_msg(
		"%s world %u: %s from p%u to %s%u: %s -> %s to %02x:%02x..%02x, type %04x protocol "
		"%u port %u icmp %u hops %u target %s: the rules say %s (%s), %s says %s",
		o->is_bridged ? "bridged" : "routed", o->world, p->kind, p->from,
		to == NODE ? "node " : "p", to, bh_addr_format(&p->src, src),
		bh_addr_format(&p->dst, dst), p->dmac[0], p->dmac[1], p->dmac[5], p->type,
		p->protocol, p->port, p->icmp, p->hops, bh_addr_format(&t, target),
		p->want[to] ? "it arrives" : "it does not",
		p->refused ? p->refused : "passes its port", who,
		has_come ? "it does" : "it does not");
}

/* --- plans --------------------------------------------------------------------------- */

static const struct bh_plan_chain *chain_of_port(struct oracle *o, unsigned int i)
{
	const struct bh_plan_chain *const *chains;
	size_t n = bh_plan_chains(plan_of(o, BH_TABLE_NETDEV), &chains);
	char name[16];

	snprintf(name, sizeof(name), "p%u", i);
	for (size_t k = 0; k < n; k++)
		if (chains[k]->device && strcmp(chains[k]->device, name) == 0)
			return chains[k];
	abort();
}

static bool passes(struct oracle *o, enum bh_table t, const char *hook, struct walk_frame *f,
		   struct fate *fate)
{
	return walk_hook(plan_of(o, t), bh_plan_chain(plan_of(o, t), hook), f, fate);
}

/* Frames with a tag are none of br_netfilter's, nor of the IP layer's. */
static bool is_ip(const struct walk_frame *f)
{
	uint16_t type = walk_u16(f->bytes + 12);

	return type == ETH_P_IP || type == ETH_P_IPV6;
}

static bool walk_across(struct oracle *o, const struct probe *p, struct walk_frame f,
			unsigned int to)
{
	struct fate fate = { 0 };

	if (to == p->from || !is_for_mac(p, to))
		return false;
	f.iif = o->links[p->from];
	f.oif = o->links[to];
	if (!passes(o, BH_TABLE_BRIDGE, "forward", &f, &fate))
		return false;
	f.iif = f.oif = o->bridge;
	if (is_ip(&f) && !passes(o, BH_TABLE_INET, "forward", &f, &fate))
		return false;
	/* The mark is the guard's own. */
	assert_int_equal(f.priority, 0);
	return true;
}

static bool walk_routed(struct oracle *o, const struct probe *p, struct walk_frame f,
			unsigned int to)
{
	struct fate fate = { 0 };

	if (!is_ip(&f) || !is_routed_to(p, to))
		return false;
	f.iif = o->links[p->from];
	f.oif = o->links[to];
	return passes(o, BH_TABLE_INET, "forward", &f, &fate);
}

static void check_plans(struct oracle *o)
{
	for (size_t i = 0; i < o->n_probes; i++) {
		const struct probe *p = &o->probes[i];
		struct walk_frame f = frame_of(p), in = f;
		struct fate fate = { 0 }, at_node = { 0 };
		bool is_in;

		in.iif = f.iif = o->links[p->from];
		is_in = walk_hook(plan_of(o, BH_TABLE_NETDEV), chain_of_port(o, p->from), &f,
				  &fate);
		if (is_in == (p->refused != NULL) ||
		    (p->refused && strcmp(p->refused, fate.reason) != 0))
			complain(o, p, p->from, *fate.reason ? fate.reason : "the port's chain",
				 is_in);
		for (unsigned int to = 0; to < N_PORTS; to++) {
			bool comes = is_in && (o->is_bridged ? walk_across(o, p, f, to)
							     : walk_routed(o, p, f, to));

			if (comes != p->want[to])
				complain(o, p, to, "the plan", comes);
		}
		in.iif = o->is_bridged ? o->bridge : in.iif;
		is_in = is_in && is_for_node(o, p) && is_ip(&in) &&
			passes(o, BH_TABLE_INET, "input", &in, &at_node);
		if (is_in != p->want[NODE])
			complain(o, p, NODE, "the plan", is_in);
	}
}

/* --- the kernel ---------------------------------------------------------------------- */

static void listen_at_node(struct oracle *o)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(NODE_PORT) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(NODE_PORT) };
	int one = 1, size = 8 << 20;

	o->node_fd[BH_IPV4] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	o->node_fd[BH_IPV6] = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(
		setsockopt(o->node_fd[BH_IPV6], IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++)
		(void)setsockopt(o->node_fd[f], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	assert_int_equal(bind(o->node_fd[BH_IPV4], (struct sockaddr *)&a4, sizeof(a4)), 0);
	assert_int_equal(bind(o->node_fd[BH_IPV6], (struct sockaddr *)&a6, sizeof(a6)), 0);
}

static void make_node(struct oracle *o)
{
	const struct bh_addr own[] = { addr4(NODE_HOST), addr6(NODE_HOST) };
	struct bh_err err = { 0 };

	for (size_t i = 0; i < BH_ARRAY_LEN(own); i++)
		assert_ok(lab_add_node_addr(&o->lab, &own[i], &err), &err);
	if (o->is_bridged)
		assert_int_equal(system("ip addr add 10.0.0.1/24 broadcast 10.0.0.255 dev br0"), 0);
	for (unsigned int i = 0; i < N_PORTS && !o->is_bridged; i++) {
		const struct bh_addr to[] = { addr4(HOST(i)), addr4(UNLISTED(i)), addr6(HOST(i)),
					      addr6(UNLISTED(i)) };
		bh_auto_free char *local = bh_asprintf("ip addr add fe80::1/64 dev p%u nodad", i);

		for (size_t k = 0; k < BH_ARRAY_LEN(to); k++)
			assert_ok(lab_route(&o->lab, &to[k], i, &err), &err);
		assert_int_equal(system(local), 0);
	}
}

static void start_kernel(struct oracle *o)
{
	struct bh_err err = { 0 };
	int r = lab_start(&o->lab, N_PORTS, &err);

	o->has_kernel = r == 0;
	if (r == 0 && o->is_bridged)
		r = lab_bridge(&o->lab, N_PORTS, &err);
	if (r == -EPERM || r == -EOPNOTSUPP) {
		print_message("without the kernel: %s\n", bh_err_text(&err));
		if (o->has_kernel)
			lab_stop(&o->lab);
		o->has_kernel = false;
		return;
	}
	assert_ok(r, &err);
	make_node(o);
	listen_at_node(o);
	assert_ok(bh_nft_new(&o->nft, &err), &err);
}

static void commit(struct oracle *o)
{
	struct bh_delta *deltas[BH_TABLE_COUNT_];
	struct bh_err err = { 0 };

	assert_ok(bh_nft_cleanup(o->nft, &err), &err);
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		deltas[t] = bh_plan_delta(plan_of(o, t));
	assert_ok(bh_nft_commit(o->nft, (const struct bh_delta *const *)deltas, BH_TABLE_COUNT_,
				NULL, &err),
		  &err);
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		bh_delta_free(&deltas[t]);
		bh_plan_settle(plan_of(o, t));
	}
	assert_ok(lab_forget_connections(&err), &err);
}

/*
 * And no answer of the node to one with a forged source: errors are longer, echoes have
 * other addresses.  A packet socket sees no outer tag.
 */
static bool is_itself(const struct probe *p, const uint8_t *bytes, size_t len)
{
	const struct walk_frame sent = frame_of(p);
	const bool is_v4 = p->type == ETH_P_IP;
	const size_t at = ETH_HLEN + 4 * p->n_tags + (is_v4 ? 12 : 8);

	if (len > sent.len || len + 8 < sent.len)
		return false;
	if (!is_v4 && p->type != ETH_P_IPV6)
		return true;
	return memcmp(sent.bytes + at, bytes + at - (sent.len - len), is_v4 ? 8 : 32) == 0;
}

static void note_arrival(struct oracle *o, const uint8_t *bytes, size_t len, unsigned int to)
{
	size_t i;

	if (len < 6 || memcmp(bytes + len - 6, magic, 2) != 0 ||
	    walk_u16(bytes + len - 4) != o->world)
		return;
	i = walk_u16(bytes + len - 2);
	if (i >= o->n_probes || o->probes[i].from == to)
		return;
	if (to == NODE || is_itself(&o->probes[i], bytes, len))
		o->probes[i].has_come[to] = true;
}

static void take_arrivals(struct oracle *o, int wait_ms)
{
	uint8_t bytes[WALK_FRAME_MAX];
	unsigned int port;
	ssize_t n;
	size_t len;

	while ((len = lab_receive_frame(&o->lab, wait_ms, bytes, sizeof(bytes), &port)) > 0)
		note_arrival(o, bytes, len, port);
	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++)
		while ((n = recv(o->node_fd[f], bytes, sizeof(bytes), 0)) > 0)
			note_arrival(o, bytes, (size_t)n, NODE);
}

static void check_kernel(struct oracle *o)
{
	commit(o);
	for (size_t i = 0; i < o->n_probes; i++) {
		struct walk_frame f = frame_of(&o->probes[i]);

		assert_int_equal(lab_send_frame(&o->lab, o->probes[i].from, f.bytes, f.len), 0);
		if (i % 64 == 63)
			take_arrivals(o, 0);
	}
	take_arrivals(o, 100);
	for (size_t i = 0; i < o->n_probes; i++)
		for (unsigned int to = 0; to <= NODE; to++)
			if (o->probes[i].has_come[to] != o->probes[i].want[to])
				complain(o, &o->probes[i], to, "the kernel",
					 o->probes[i].has_come[to]);
}

static void stop_kernel(struct oracle *o)
{
	if (!o->has_kernel)
		return;
	bh_nft_free(&o->nft);
	close(o->node_fd[BH_IPV4]);
	close(o->node_fd[BH_IPV6]);
	lab_stop(&o->lab);
}

/* --- all of it ------------------------------------------------------------------------ */

static void find_links(struct oracle *o)
{
	char name[16];

	o->bridge = o->has_kernel && o->is_bridged ? if_nametoindex("br0") : BRIDGE_LINK;
	for (unsigned int i = 0; i < N_PORTS; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		o->links[i] = o->has_kernel ? if_nametoindex(name) : FIRST_LINK + i;
	}
}

static void run(bool is_bridged)
{
	const char *only = getenv("BH_ORACLE_SEED");
	struct oracle o = { .is_bridged = is_bridged, .n_probes = FRAMES };

	o.probes = bh_calloc(o.n_probes, sizeof(*o.probes));
	start_kernel(&o);
	find_links(&o);
	for (o.world = only ? (unsigned int)atoi(only) : 0; o.world < WORLDS || only; o.world++) {
		o.seed = o.world * 2654435761u + is_bridged;
		start_world(&o);
		make_probes(&o);
		check_plans(&o);
		if (o.has_kernel)
			check_kernel(&o);
		end_world(&o);
		if (only)
			break;
	}
	print_message("%zu frames refused, %zu arrivals expected\n", o.n_refused, o.n_wanted);
	/* Chance must not have left one side out. */
	assert_true(o.n_refused > FRAMES / 10 && o.n_wanted > FRAMES / 10);
	stop_kernel(&o);
	bh_buf_done(&o.text);
	free(o.probes);
}

static void on_a_bridge_frames_arrive_where_the_rules_say(void **state)
{
	(void)state;
	run(true);
}

static void by_routed_ports_frames_arrive_where_the_rules_say(void **state)
{
	(void)state;
	run(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_a_bridge_frames_arrive_where_the_rules_say),
		cmocka_unit_test(by_routed_ports_frames_arrive_where_the_rules_say),
	};

	return cmocka_run_group_tests_name("port oracle", tests, NULL, NULL);
}
