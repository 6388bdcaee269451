#include "test.h"

#include "bh/eval.h"
#include "world_text.h"

static const struct bh_world_config node_a = { .node = "node-a" };

/*
 * Who talks in most rows.  client and web are on node-a, the world's node;
 * far is elsewhere.
 */
#define PODS                                                                                       \
	"ns shop label=team:red\n"                                                                 \
	"ns other label=team:blue\n"                                                               \
	"node node-a 192.168.0.1 fe80::1 label=zone:z1\n"                                          \
	"node node-b 192.168.0.2\n"                                                                \
	"pod shop/web 10.0.0.1 fd00::1 label=app:web port=http:TCP:8080 node=node-a\n"             \
	"pod shop/client 10.0.0.2 fd00::2 label=app:client node=node-a\n"                          \
	"pod other/far 10.0.1.1 label=app:client port=dns:UDP:53 node=node-b\n"

/* An end is "ns/name" or an address; a flow is "src dst PROTO[:port]". */
static const struct bh_pod *find_end(const struct bh_world *w, char *text, struct bh_flow *f,
				     bool is_src, const struct bh_flow *like)
{
	const struct bh_pod *pod;
	char *name = text;
	char *ns = strsep(&name, "/");
	size_t i;

	if (!name) {
		*(is_src ? &f->src : &f->dst) = wt_addr(ns);
		return NULL;
	}
	pod = bh_world_pod_by_name(w, ns, name);
	assert_non_null(pod);
	for (i = 0; i < pod->n_addrs; i++)
		if (!like || pod->addrs[i].family == like->src.family) {
			*(is_src ? &f->src : &f->dst) = pod->addrs[i];
			return pod;
		}
	return pod;
}

static struct bh_flow flow_of(const struct bh_world *w, const char *text)
{
	struct bh_flow f = { 0 };
	char buf[128], *at = buf, *src, *dst;

	snprintf(buf, sizeof(buf), "%s", text);
	src = strsep(&at, " ");
	dst = strsep(&at, " ");
	f.protocol = wt_protocol(strsep(&at, ":"));
	f.dst_port = at ? (uint16_t)atoi(at) : 0;
	f.src_pod = find_end(w, src, &f, true, NULL);
	f.dst_pod = find_end(w, dst, &f, false, strchr(text, '/') ? &f : NULL);
	return f;
}

struct row {
	const char *what; /* item of the semantics, and its sentence */
	const char *world;
	const char *flow;
	enum bh_verdict verdict;
	enum bh_reason egress, ingress;
};

#define OK   BH_VERDICT_ALLOWED
#define DENY BH_VERDICT_DENIED
#define NS   BH_REASON_NOT_SUBJECT
#define OPEN BH_REASON_NOT_ISOLATED
#define RULE BH_REASON_RULE
#define SHUT BH_REASON_DEFAULT_DENY

static void check_rows(const struct row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
		struct bh_result r = { 0 };
		struct bh_flow f;

		world_text(w, BH_SOURCE_MANIFEST, PODS);
		world_text(w, BH_SOURCE_MANIFEST, rows[i].world);
		f = flow_of(w, rows[i].flow);
		bh_eval(w, &f, &r);
		if (r.verdict != rows[i].verdict || r.dir[BH_EGRESS].reason != rows[i].egress ||
		    r.dir[BH_INGRESS].reason != rows[i].ingress)
			fail_msg("%s: %s: got %s, egress %s, ingress %s", rows[i].what,
				 rows[i].flow, bh_verdict_str(r.verdict),
				 bh_reason_str(r.dir[BH_EGRESS].reason),
				 bh_reason_str(r.dir[BH_INGRESS].reason));
	}
}

/* shop/web takes what the rules @in say, and nothing else. */
#define WEB(rules) "policy shop/p pods=app=web types=ingress\n" rules
/* shop/client may send what the rules @eg say, and nothing else. */
#define CLIENT(rules) "policy shop/c pods=app=client types=egress\n" rules

static void isolation_is_per_direction_and_default_deny(void **state)
{
	static const struct row rows[] = {
		{ "1: nothing selects the pod: open", "", "shop/client shop/web TCP:80", OK, OPEN,
		  OPEN },
		{ "1: selected for ingress: shut", WEB(""), "shop/client shop/web TCP:80", DENY,
		  OPEN, SHUT },
		{ "1: ... in that direction only", WEB(""), "shop/web shop/client TCP:80", OK, OPEN,
		  OPEN },
		{ "1: selected for egress: shut", CLIENT(""), "shop/client shop/web TCP:80", DENY,
		  SHUT, OPEN },
		{ "1: a policy is about its own namespace", "policy other/p types=both",
		  "shop/client shop/web TCP:80", OK, OPEN, OPEN },
		{ "1: an empty selector is every pod of it", "policy shop/p types=both",
		  "other/far shop/web TCP:80", DENY, OPEN, SHUT },
		{ "2: [Egress] alone does not isolate ingress",
		  "policy shop/p types=egress\nin peer=nothing", "other/far shop/web TCP:80", OK,
		  OPEN, OPEN },
		{ "2: rules of a direction that is not in policyTypes allow nothing",
		  "policy shop/p types=ingress\neg\nin\n" CLIENT(""), "shop/client shop/web TCP:80",
		  DENY, SHUT, RULE },
		{ "3: no ingress rules: nothing allowed", WEB(""), "8.8.8.8 shop/web TCP:80", DENY,
		  NS, SHUT },
		{ "3: [{}]: everything allowed", WEB("in"), "8.8.8.8 shop/web TCP:80", OK, NS,
		  RULE },
		{ "10: both ends judge, the destination forbids", WEB("") "\n" CLIENT("eg"),
		  "shop/client shop/web TCP:80", DENY, RULE, SHUT },
		{ "10: both ends judge, the source forbids",
		  "policy shop/p pods=app=web types=ingress\nin\n"
		  "policy shop/q pods=app=client types=egress",
		  "shop/client shop/web TCP:80", DENY, SHUT, RULE },
		{ "10: both ends judge, both allow",
		  "policy shop/p pods=app=web types=ingress\nin\n"
		  "policy shop/q pods=app=client types=egress\neg",
		  "shop/client shop/web TCP:80", OK, RULE, RULE },
		{ "11: policies add up",
		  "policy shop/a pods=app=web types=ingress\n"
		  "policy shop/b pods=app=web types=ingress\nin port=TCP:80\n"
		  "policy shop/c types=both",
		  "other/far shop/web TCP:80", OK, OPEN, RULE },
		{ "12: who may be reached may not therefore connect: a reply is no new flow",
		  "policy shop/p pods=app=web types=both\nin", "shop/web shop/client TCP:80", DENY,
		  SHUT, OPEN },
		{ "33: isolation holds in a family that no rule mentions",
		  WEB("in peer=cidr/10.0.0.0/8"), "fd00::2 shop/web TCP:80", DENY, OPEN, SHUT },
		{ "33: ... while the family that it mentions is served",
		  WEB("in peer=cidr/10.0.0.0/8"), "10.0.0.2 shop/web TCP:80", OK, OPEN, RULE },
		{ "59: a policy that failed validation isolates both directions",
		  "policy shop/p pods=app=web types=ingress invalid\nin\neg",
		  "shop/web shop/client TCP:80", DENY, SHUT, OPEN },
		{ "59: ... and allows nothing by itself",
		  "policy shop/p pods=app=web types=ingress invalid\nin",
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "59: ... and does not block what others allow",
		  "policy shop/p pods=app=web types=ingress invalid\n"
		  "policy shop/q pods=app=web types=ingress\nin",
		  "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "59: ... and leaves other pods alone",
		  "policy shop/p pods=app=web types=ingress invalid",
		  "shop/client other/far TCP:80", OK, OPEN, OPEN },
		{ "60: a pod of unknown labels is closed to everybody",
		  "pod shop/young 10.0.0.9 nolabels node=node-a", "shop/client shop/young TCP:80",
		  DENY, OPEN, BH_REASON_NO_LABELS },
		{ "60: ... and reaches nobody, whatever policies say",
		  "pod shop/young 10.0.0.9 nolabels node=node-a\npolicy shop/p types=both\nin\neg",
		  "shop/young 8.8.8.8 TCP:80", DENY, BH_REASON_NO_LABELS, NS },
		{ "60: ... and does not escape a rule that denies its whole namespace",
		  "pod other/young 10.0.0.9 nolabels node=node-b\n"
		  "cluster c tier=admin ns=* pods=*\n"
		  "in deny peer=ns/kubernetes.io/metadata.name=other",
		  "other/young shop/web TCP:80", DENY, BH_REASON_NO_LABELS, RULE },
		{ "60: ... nor is it let in for labels that it may have",
		  "pod other/young 10.0.0.9 nolabels node=node-b\n" WEB(
			  "in peer=ns/*&pods/!quarantine"),
		  "other/young shop/web TCP:80", DENY, BH_REASON_NO_LABELS, SHUT },
	};

	(void)state;
	check_rows(rows, BH_ARRAY_LEN(rows));
}

static void peers_are_who_the_api_says(void **state)
{
	static const struct row rows[] = {
		{ "4: no from: everybody, also outside", WEB("in port=TCP:80"),
		  "8.8.8.8 shop/web TCP:80", OK, NS, RULE },
		{ "4: no to: everybody", CLIENT("eg"), "shop/client 8.8.8.8 TCP:80", OK, RULE, NS },
		{ "6: podSelector alone is the policy's own namespace",
		  WEB("in peer=pods/app=client"), "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "6: ... not another one", WEB("in peer=pods/app=client"),
		  "other/far shop/web TCP:80", DENY, OPEN, SHUT },
		{ "6: ... also where namespaces look alike", WEB("in peer=pods/*"),
		  "other/far shop/web TCP:80", DENY, OPEN, SHUT },
		{ "6: with namespaceSelector in one element: both must match",
		  WEB("in peer=ns/team=blue&pods/app=client"), "other/far shop/web TCP:80", OK,
		  OPEN, RULE },
		{ "6: ... the namespace is not enough", WEB("in peer=ns/team=blue&pods/app=db"),
		  "other/far shop/web TCP:80", DENY, OPEN, SHUT },
		{ "6: ... the pod is not enough", WEB("in peer=ns/team=blue&pods/app=client"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "6: as two elements: either", WEB("in peer=ns/team=blue peer=pods/app=client"),
		  "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "6: as two elements: the other", WEB("in peer=ns/team=blue peer=pods/app=db"),
		  "other/far shop/web TCP:80", OK, OPEN, RULE },
		{ "7: namespaceSelector {} is every namespace", WEB("in peer=ns/*"),
		  "other/far shop/web TCP:80", OK, OPEN, RULE },
		{ "7: ... of pods, not of the outside", WEB("in peer=ns/*"),
		  "8.8.8.8 shop/web TCP:80", DENY, NS, SHUT },
		{ "8: NotIn matches pods without the key", WEB("in peer=pods/tier!=x"),
		  "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "8: NotIn does not match the value", WEB("in peer=pods/app!=client"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "8: DoesNotExist matches pods without the key", WEB("in peer=pods/!tier"),
		  "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "8: In does not match pods without the key", WEB("in peer=pods/tier=x"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "8: Exists does not match pods without the key", WEB("in peer=pods/+tier"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "8: labels and expressions must all hold", WEB("in peer=pods/app=client,+tier"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "8: the policy's own selector works alike",
		  "policy shop/p pods=app!=client,!tier types=ingress",
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "9: namespaces bear their name as a label",
		  WEB("in peer=ns/kubernetes.io/metadata.name=other"), "other/far shop/web TCP:80",
		  OK, OPEN, RULE },
		{ "9: ... also those that nobody described",
		  "pod third/pod 10.3.0.1\n" WEB("in peer=ns/kubernetes.io/metadata.name=third"),
		  "third/pod shop/web TCP:80", OK, OPEN, RULE },
		{ "13: an address in cidr is in the block", WEB("in peer=cidr/10.0.0.0/8"),
		  "10.7.0.1 shop/web TCP:80", OK, NS, RULE },
		{ "13: except takes out of the block", WEB("in peer=cidr/10.0.0.0/8-10.7.0.0/16"),
		  "10.7.0.1 shop/web TCP:80", DENY, NS, SHUT },
		{ "13: ... of its own cidr only",
		  WEB("in peer=cidr/10.0.0.0/8-10.7.0.0/16 peer=cidr/10.7.0.0/24"),
		  "10.7.0.1 shop/web TCP:80", OK, NS, RULE },
		{ "13: ... not out of another rule",
		  WEB("in peer=cidr/0.0.0.0/0-10.7.0.0/16\nin "
		      "peer=cidr/10.7.0.1/32"),
		  "10.7.0.1 shop/web TCP:80", OK, NS, RULE },
		{ "14: ipBlock matches pods' addresses as well", WEB("in peer=cidr/10.0.0.2/32"),
		  "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "14: ... on egress too", CLIENT("eg peer=cidr/10.0.0.1/32"),
		  "shop/client shop/web TCP:80", OK, RULE, OPEN },
		{ "26: a host-network pod is not a podSelector's peer",
		  "pod shop/agent 192.168.0.2 label=app:client host node=node-b\n" WEB(
			  "in peer=pods/app=client"),
		  "192.168.0.2 shop/web TCP:80", DENY, NS, SHUT },
		{ "26: ... also when the caller names it",
		  "pod shop/agent 192.168.0.2 label=app:client host node=node-b\n" WEB(
			  "in peer=pods/app=client"),
		  "shop/agent shop/web TCP:80", DENY, NS, SHUT },
		{ "26: ... but its address is in an ipBlock",
		  "pod shop/agent 192.168.0.2 label=app:client host node=node-b\n" WEB(
			  "in peer=cidr/192.168.0.0/24"),
		  "192.168.0.2 shop/web TCP:80", OK, NS, RULE },
		{ "26: a host-network pod is not subject",
		  "pod shop/agent 192.168.0.2 host node=node-b\npolicy shop/p types=both",
		  "8.8.8.8 192.168.0.2 TCP:80", OK, NS, NS },
		{ "27: a finished pod is not a peer",
		  "pod shop/job 10.0.0.8 label=app:client finished\n" WEB("in peer=pods/*"),
		  "10.0.0.8 shop/web TCP:80", DENY, NS, SHUT },
		{ "27: a finished pod is not subject",
		  "pod shop/job 10.0.0.8 finished\npolicy shop/p types=both",
		  "8.8.8.8 10.0.0.8 TCP:80", OK, NS, NS },
		{ "28: an address is the newest pod's",
		  "pod shop/v1 10.0.0.8 label=app:old at=1\npod shop/v2 10.0.0.8 label=app:new "
		  "at=2\n" WEB("in peer=pods/app=old"),
		  "10.0.0.8 shop/web TCP:80", DENY, OPEN, SHUT },
		{ "30: a pod without address is judged where the caller names it",
		  "pod shop/new label=app:client\n" WEB("in peer=pods/app=client"),
		  "shop/new shop/web TCP:80", OK, OPEN, RULE },
		{ "30: ... and is in no ipBlock",
		  "pod shop/new label=app:client\n" WEB("in peer=cidr/0.0.0.0/0"),
		  "shop/new shop/web TCP:80", DENY, OPEN, SHUT },
		{ "31: after a change of labels the new ones count",
		  "pod shop/client 10.0.0.2 label=app:db node=node-a\n" WEB(
			  "in peer=pods/app=client"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "32: a selector's peer may use both families", WEB("in peer=pods/app=client"),
		  "fd00::2 shop/web TCP:80", OK, OPEN, RULE },
		{ "32: a rule with IPv4 blocks only allows no IPv6", WEB("in peer=cidr/0.0.0.0/0"),
		  "fd00::9 shop/web TCP:80", DENY, NS, SHUT },
		{ "32: ... nor the other way", WEB("in peer=cidr/::/0"), "8.8.8.8 shop/web TCP:80",
		  DENY, NS, SHUT },
		{ "32: mapped addresses are IPv4", WEB("in peer=cidr/10.0.0.0/8"),
		  "::ffff:10.9.9.9 shop/web TCP:80", OK, NS, RULE },
		{ "52: a peer of unknown kind matches nobody", WEB("in peer=nothing"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "52: ... and does not spoil its neighbours",
		  WEB("in peer=nothing peer=pods/app=client"), "shop/client shop/web TCP:80", OK,
		  OPEN, RULE },
	};

	(void)state;
	check_rows(rows, BH_ARRAY_LEN(rows));
}

static void ports_are_those_of_the_destination_pod(void **state)
{
	static const struct row rows[] = {
		{ "4: no ports: every protocol and port", WEB("in peer=pods/*"),
		  "shop/client shop/web UDP:5", OK, OPEN, RULE },
		{ "4: ... incl. ICMP", WEB("in peer=pods/*"), "shop/client shop/web ICMP", OK, OPEN,
		  RULE },
		{ "4: ... incl. ICMPv6", WEB("in"), "fd00::2 shop/web ICMP6", OK, OPEN, RULE },
		{ "5: TCP without port: all of TCP", WEB("in port=TCP"),
		  "shop/client shop/web TCP:65535", OK, OPEN, RULE },
		{ "5: ... not UDP", WEB("in port=TCP"), "shop/client shop/web UDP:53", DENY, OPEN,
		  SHUT },
		{ "5: ... not ICMP", WEB("in port=TCP port=UDP port=SCTP"),
		  "shop/client shop/web ICMP", DENY, OPEN, SHUT },
		{ "11: one of several ports is enough", WEB("in port=TCP:80 port=UDP:53"),
		  "shop/client shop/web UDP:53", OK, OPEN, RULE },
		{ "16: ports are the pod's, after DNAT", WEB("in port=TCP:8080"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "17: ingress: a named port is the selected pod's", WEB("in port=TCP:http"),
		  "shop/client shop/web TCP:8080", OK, OPEN, RULE },
		{ "17: ... with that number only", WEB("in port=TCP:http"),
		  "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "17: ... each pod has a number of its own",
		  "pod shop/web2 10.0.0.7 label=app:web port=http:TCP:9090\n" WEB(
			  "in port=TCP:http"),
		  "shop/client shop/web2 TCP:9090", OK, OPEN, RULE },
		{ "17: ... not another pod's number",
		  "pod shop/web2 10.0.0.7 label=app:web port=http:TCP:9090\n" WEB(
			  "in port=TCP:http"),
		  "shop/client shop/web2 TCP:8080", DENY, OPEN, SHUT },
		{ "17: ... the protocol must agree", WEB("in port=UDP:http"),
		  "shop/client shop/web UDP:8080", DENY, OPEN, SHUT },
		{ "17: ... one name may stand for two protocols",
		  "pod shop/dns 10.0.0.7 label=app:web port=dns:TCP:53 port=dns:UDP:5353\n" WEB(
			  "in port=UDP:dns"),
		  "shop/client shop/dns UDP:5353", OK, OPEN, RULE },
		{ "17: ... no such port: matches nothing, not everything",
		  WEB("in port=TCP:metrics"), "shop/client shop/web TCP:8080", DENY, OPEN, SHUT },
		{ "17: ... the peer does not matter, ingress from a block works",
		  WEB("in peer=cidr/0.0.0.0/0 port=TCP:http"), "8.8.8.8 shop/web TCP:8080", OK, NS,
		  RULE },
		{ "17: egress: a named port is the destination pod's",
		  CLIENT("eg peer=ns/team=blue port=UDP:dns"), "shop/client other/far UDP:53", OK,
		  RULE, OPEN },
		{ "17: ... not the source's",
		  "pod shop/client 10.0.0.2 label=app:client port=dns:UDP:77 node=node-a\n" CLIENT(
			  "eg peer=ns/* port=UDP:dns"),
		  "shop/client other/far UDP:77", DENY, SHUT, OPEN },
		{ "17: ... to anybody who has it", CLIENT("eg port=UDP:dns"),
		  "shop/client other/far UDP:53", OK, RULE, OPEN },
		{ "17: ... the outside has no names", CLIENT("eg port=UDP:dns"),
		  "shop/client 8.8.8.8 UDP:53", DENY, SHUT, NS },
		{ "18: egress: a named port and an ipBlock match nothing",
		  CLIENT("eg peer=cidr/0.0.0.0/0 port=UDP:dns"), "shop/client 8.8.8.8 UDP:53", DENY,
		  SHUT, NS },
		{ "18: ... also where a pod lives in the block",
		  CLIENT("eg peer=cidr/10.0.0.0/8 port=UDP:dns"), "shop/client other/far UDP:53",
		  DENY, SHUT, OPEN },
		{ "18: ... another peer of the rule still counts",
		  CLIENT("eg peer=cidr/10.0.0.0/8 peer=ns/team=blue port=UDP:dns"),
		  "shop/client other/far UDP:53", OK, RULE, OPEN },
		{ "18: ... and so does a number beside the name",
		  CLIENT("eg peer=cidr/10.0.0.0/8 port=UDP:dns port=UDP:53"),
		  "shop/client other/far UDP:53", OK, RULE, OPEN },
		{ "19: named ports of any container count",
		  "pod shop/web 10.0.0.1 label=app:web port=http:TCP:8080 port=mesh:TCP:15000 "
		  "node=node-a\n" WEB("in port=TCP:mesh"),
		  "shop/client shop/web TCP:15000", OK, OPEN, RULE },
		{ "20: endPort: the first", WEB("in port=TCP:100-200"),
		  "shop/client shop/web TCP:100", OK, OPEN, RULE },
		{ "20: endPort: the last", WEB("in port=TCP:100-200"),
		  "shop/client shop/web TCP:200", OK, OPEN, RULE },
		{ "20: endPort: below", WEB("in port=TCP:100-200"), "shop/client shop/web TCP:99",
		  DENY, OPEN, SHUT },
		{ "20: endPort: above", WEB("in port=TCP:100-200"), "shop/client shop/web TCP:201",
		  DENY, OPEN, SHUT },
		{ "21: SCTP is SCTP", WEB("in port=SCTP:80"), "shop/client shop/web SCTP:80", OK,
		  OPEN, RULE },
		{ "21: ... and not TCP", WEB("in port=SCTP:80"), "shop/client shop/web TCP:80",
		  DENY, OPEN, SHUT },
		{ "any protocol and port matches ICMP too", WEB("in port=any"),
		  "shop/client shop/web ICMP", OK, OPEN, RULE },
		{ "a port of any protocol does not match ICMP", WEB("in port=any:80"),
		  "shop/client shop/web ICMP", DENY, OPEN, SHUT },
		{ "a port of any protocol matches each that has ports", WEB("in port=any:80"),
		  "shop/client shop/web SCTP:80", OK, OPEN, RULE },
	};

	(void)state;
	check_rows(rows, BH_ARRAY_LEN(rows));
}

static void nodes_are_exempt_towards_their_own_pods_only(void **state)
{
	static const struct row rows[] = {
		{ "22: a pod's own node may always reach it", WEB(""),
		  "192.168.0.1 shop/web TCP:80", OK, NS, BH_REASON_OWN_NODE },
		{ "24: from any of its addresses", WEB(""), "fe80::1 shop/web TCP:80", OK, NS,
		  BH_REASON_OWN_NODE },
		{ "22: ... also a pod whose labels are unknown",
		  "pod shop/young 10.0.0.9 nolabels node=node-a", "192.168.0.1 shop/young TCP:80",
		  OK, NS, BH_REASON_OWN_NODE },
		{ "22: ... and one of whose node nothing is said: it is local",
		  "pod shop/here 10.0.0.9\npolicy shop/p types=both",
		  "192.168.0.1 shop/here TCP:80", OK, NS, BH_REASON_OWN_NODE },
		{ "23: another node is not exempt", WEB(""), "192.168.0.2 shop/web TCP:80", DENY,
		  NS, SHUT },
		{ "23: ... nor ours towards pods elsewhere", "policy other/p types=ingress",
		  "192.168.0.1 other/far TCP:80", DENY, NS, SHUT },
		{ "23: ... whose own node may", "policy other/p types=ingress",
		  "192.168.0.2 other/far TCP:80", OK, NS, BH_REASON_OWN_NODE },
		{ "23: pod to own node is policed", CLIENT(""), "shop/client 192.168.0.1 TCP:10250",
		  DENY, SHUT, NS },
		{ "23: ... and can be allowed by address", CLIENT("eg peer=cidr/192.168.0.1/32"),
		  "shop/client 192.168.0.1 TCP:10250", OK, RULE, NS },
		{ "22: a host-network pod of the node is the node",
		  "pod shop/agent 192.168.0.1 host node=node-a\n" WEB(""),
		  "shop/agent shop/web TCP:80", OK, NS, BH_REASON_OWN_NODE },
		{ "25: a pod cannot block itself", "policy shop/p types=both",
		  "shop/web shop/web TCP:80", OK, BH_REASON_SELF, BH_REASON_SELF },
		{ "25: ... by address", "policy shop/p types=both", "10.0.0.1 10.0.0.1 TCP:80", OK,
		  BH_REASON_SELF, BH_REASON_SELF },
	};

	(void)state;
	check_rows(rows, BH_ARRAY_LEN(rows));
}

#define ADMIN(prio) "cluster a" #prio " tier=admin prio=" #prio " ns=* pods=app=web\n"
#define BASE(prio)  "cluster b" #prio " tier=baseline prio=" #prio " ns=* pods=app=web\n"

static void tiers_speak_in_order(void **state)
{
	static const struct row rows[] = {
		{ "Admin denies before policies allow", ADMIN(1) "in deny\n" WEB("in"),
		  "shop/client shop/web TCP:80", DENY, OPEN, RULE },
		{ "Admin allows before policies deny", ADMIN(1) "in allow\n" WEB(""),
		  "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "53: an Admin Allow ends that direction only", ADMIN(1) "in allow\n" CLIENT(""),
		  "shop/client shop/web TCP:80", DENY, SHUT, RULE },
		{ "the lower number goes first", ADMIN(2) "in deny\n" ADMIN(1) "in allow",
		  "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "the first matching rule of a policy counts",
		  ADMIN(1) "in deny port=TCP:80\nin allow", "shop/client shop/web TCP:80", DENY,
		  OPEN, RULE },
		{ "... rules that do not match are passed by",
		  ADMIN(1) "in deny port=TCP:81\nin allow", "shop/client shop/web TCP:80", OK, OPEN,
		  RULE },
		{ "53: Pass skips the rest of the tier", ADMIN(1) "in pass\n" ADMIN(2) "in deny\n",
		  "shop/client shop/web TCP:80", OK, OPEN, OPEN },
		{ "53: ... and goes on with the policies",
		  ADMIN(1) "in pass\n" ADMIN(2) "in allow\n" WEB(""), "shop/client shop/web TCP:80",
		  DENY, OPEN, SHUT },
		{ "53: a policy without rules isolates nothing", ADMIN(1) BASE(1),
		  "shop/client shop/web TCP:80", OK, OPEN, OPEN },
		{ "Baseline denies where nothing isolates", BASE(1) "in deny",
		  "shop/client shop/web TCP:80", DENY, OPEN, RULE },
		{ "54: ... not a pod that is isolated in the direction",
		  BASE(1) "in deny\n" WEB("in"), "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "54: ... but one that is isolated in the other",
		  BASE(1) "in deny\npolicy shop/p types=egress", "shop/client shop/web TCP:80",
		  DENY, SHUT, RULE },
		{ "54: the NetworkPolicy tier is final for who it isolates",
		  BASE(1) "in allow\n" WEB(""), "shop/client shop/web TCP:80", DENY, OPEN, SHUT },
		{ "55: of equal priority the name goes first",
		  "cluster z tier=admin prio=1 ns=* pods=*\nin deny\n"
		  "cluster y tier=admin prio=1 ns=* pods=*\nin allow",
		  "shop/client shop/web TCP:80", OK, OPEN, RULE },
		{ "namespaces of a cluster policy are selected",
		  "cluster a tier=admin ns=team=blue pods=*\nin deny",
		  "shop/client shop/web TCP:80", OK, OPEN, OPEN },
		{ "a cluster policy's peer without namespaces is nobody",
		  "cluster a tier=admin ns=* pods=*\nin deny peer=pods/*",
		  "shop/client shop/web TCP:80", OK, OPEN, OPEN },
		{ "nodes are peers of egress rules",
		  "cluster a tier=admin ns=* pods=*\neg deny peer=node/zone=z1",
		  "shop/client 192.168.0.1 TCP:80", DENY, RULE, NS },
		{ "... by their labels",
		  "cluster a tier=admin ns=* pods=*\neg deny peer=node/zone=z1",
		  "shop/client 192.168.0.2 TCP:80", OK, OPEN, NS },
		{ "default deny comes behind all of Baseline",
		  "ns shop deny=ingress\n" BASE(1000) "in allow", "shop/client shop/web TCP:80", OK,
		  OPEN, RULE },
		{ "... and is not passed by", "ns shop deny=ingress\n" BASE(1) "in pass",
		  "shop/client shop/web TCP:80", DENY, OPEN, RULE },
		{ "... though the rest of Baseline is",
		  "ns shop deny=ingress\n" BASE(1) "in pass\n" BASE(2) "in allow",
		  "shop/client shop/web TCP:80", DENY, OPEN, RULE },
		{ "default deny of a namespace closes it", "ns shop deny=ingress",
		  "other/far shop/web TCP:80", DENY, OPEN, RULE },
		{ "... in that direction", "ns shop deny=ingress", "shop/web other/far TCP:80", OK,
		  OPEN, OPEN },
		{ "... unless a policy allows", "ns shop deny=both\n" WEB("in"),
		  "other/far shop/web TCP:80", OK, OPEN, RULE },
		{ "... or a Baseline rule, which goes first",
		  "ns shop deny=ingress\n" BASE(-1) "in allow", "other/far shop/web TCP:80", OK,
		  OPEN, RULE },
	};

	(void)state;
	check_rows(rows, BH_ARRAY_LEN(rows));
}

/* --- quarantine ------------------------------------------------------------------------- */

/* Two pods of other nodes claim one address, the one with app=bad or the one without. */
#define TWO                                                                                        \
	"pod red/a 10.0.9.9 label=app:good port=dns:UDP:53 node=node-b at=2\n"                     \
	"pod blue/b 10.0.9.9 label=app:bad port=dns:UDP:54 node=node-c at=1\n"

static void who_cannot_be_told_is_everybody_for_denials_and_nobody_else(void **state)
{
	static const struct {
		const char *what, *world, *flow;
		enum bh_dir dir;
		enum bh_reason reason;
		enum bh_verdict verdict;
	} rows[] = {
		{ "a denial by labels that only one of them has",
		  ADMIN(1) "in deny peer=ns/*&pods/app=bad", "10.0.9.9 shop/web TCP:80", BH_INGRESS,
		  RULE, DENY },
		{ "... or the other", ADMIN(1) "eg deny peer=ns/*&pods/app=good",
		  "shop/web 10.0.9.9 TCP:80", BH_EGRESS, RULE, DENY },
		{ "... goes before what another tier allows",
		  ADMIN(1) "in deny peer=ns/*&pods/app=bad\n" WEB("in"), "10.0.9.9 shop/web TCP:80",
		  BH_INGRESS, RULE, DENY },
		{ "... and by namespaces", ADMIN(1) "in deny peer=ns/none=such",
		  "10.0.9.9 shop/web TCP:80", BH_INGRESS, RULE, DENY },
		{ "... by a Baseline rule too", BASE(1) "in deny peer=ns/*&pods/app=bad",
		  "10.0.9.9 shop/web TCP:80", BH_INGRESS, RULE, DENY },
		{ "... on the ports of the rule only",
		  ADMIN(1) "in deny peer=ns/*&pods/app=bad port=TCP:81", "10.0.9.9 shop/web TCP:80",
		  BH_INGRESS, OPEN, OK },
		{ "... on all where a port has a name, whose number is not known either",
		  ADMIN(1) "eg deny peer=ns/*&pods/app=bad port=UDP:dns",
		  "shop/web 10.0.9.9 UDP:54", BH_EGRESS, RULE, DENY },
		{ "... so too without peers", ADMIN(1) "eg deny port=UDP:dns",
		  "shop/web 10.0.9.9 UDP:54", BH_EGRESS, RULE, DENY },
		{ "no rule allows by labels", WEB("in peer=ns/*&pods/app=good"),
		  "10.0.9.9 shop/web TCP:80", BH_INGRESS, SHUT, DENY },
		{ "... or namespaces", WEB("in peer=ns/*"), "10.0.9.9 shop/web TCP:80", BH_INGRESS,
		  SHUT, DENY },
		{ "... or the name of a port",
		  "policy shop/p pods=app=web types=egress\neg port=UDP:dns",
		  "shop/web 10.0.9.9 UDP:53", BH_EGRESS, SHUT, DENY },
		{ "... but by address", WEB("in peer=cidr/10.0.9.0/24"), "10.0.9.9 shop/web TCP:80",
		  BH_INGRESS, RULE, OK },
		{ "... or to everybody", WEB("in"), "10.0.9.9 shop/web TCP:80", BH_INGRESS, RULE,
		  OK },
		{ "no rule passes", ADMIN(1) "in pass peer=ns/*\n" ADMIN(2) "in deny",
		  "10.0.9.9 shop/web TCP:80", BH_INGRESS, RULE, DENY },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
		struct bh_dir_verdict v;
		struct bh_flow f;

		world_text(w, BH_SOURCE_KUBE, PODS TWO);
		world_text(w, BH_SOURCE_KUBE, rows[i].world);
		assert_true(bh_world_pod_by_name(w, "red", "a")->is_contested);
		f = flow_of(w, rows[i].flow);
		bh_eval_dir(w, &f, rows[i].dir, &v);
		if (v.verdict != rows[i].verdict || v.reason != rows[i].reason)
			fail_msg("%s: got %s, %s", rows[i].what, bh_verdict_str(v.verdict),
				 bh_reason_str(v.reason));
	}
}

static void cut_off(struct bh_world *w, const char *name, const char *pod, const char *allow)
{
	struct bh_peer peer = { .kind = BH_PEER_CIDR };
	const struct bh_rule rules[] = {
		{ .action = BH_ALLOW, .has_peers = true, .peers = &peer, .n_peers = 1 },
		{ .action = BH_DENY },
	};
	const struct bh_rules all = { allow ? rules : rules + 1, allow ? 2 : 1 };
	const struct bh_fact fact = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_NODE,
		.policy = { .kind = BH_QUARANTINE,
			    .tier = BH_TIER_QUARANTINE,
			    .priority = allow != NULL,
			    .namespace = "shop",
			    .name = name,
			    .pod = pod,
			    .uid = "",
			    .rules = { [BH_INGRESS] = all, [BH_EGRESS] = all } },
	};
	struct bh_err err = { 0 };

	if (allow)
		assert_ok(bh_cidr_parse(allow, &peer.cidr, &err), &err);
	assert_ok(bh_world_apply(w, &fact, &err), &err);
}

static struct bh_result result_of(const struct bh_world *w, const char *text)
{
	const struct bh_flow f = flow_of(w, text);
	struct bh_result r;

	bh_eval(w, &f, &r);
	return r;
}

static void a_quarantine_goes_before_everything(void **state)
{
	struct bh_world_config config = { 0 };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&config);
	struct bh_result r;

	(void)state;
	world_text(w, BH_SOURCE_KUBE,
		   "pod shop/web 10.0.0.1 label=app:web\npod shop/twin 10.0.0.2 label=app:web\n"
		   "pod shop/client 10.0.0.3 label=app:web\n" ADMIN(1) "in allow\neg allow");
	cut_off(w, "a", "web", "10.0.0.3/32");
	assert_int_equal(result_of(w, "shop/client shop/web TCP:80").verdict, OK);
	assert_int_equal(result_of(w, "shop/web shop/client TCP:80").verdict, OK);
	r = result_of(w, "shop/web shop/twin TCP:80");
	assert_int_equal(r.verdict, DENY);
	assert_int_equal(r.dir[BH_EGRESS].reason, BH_REASON_QUARANTINE);
	assert_string_equal(r.dir[BH_EGRESS].rule.policy->name, "a");
	assert_int_equal(result_of(w, "shop/client shop/twin TCP:80").verdict, OK);

	/* One that allows nothing is asked before, whatever its name. */
	cut_off(w, "z", "web", NULL);
	r = result_of(w, "shop/client shop/web TCP:80");
	assert_int_equal(r.verdict, DENY);
	assert_int_equal(r.dir[BH_INGRESS].reason, BH_REASON_QUARANTINE);
	assert_string_equal(r.dir[BH_INGRESS].rule.policy->name, "z");

	config.mode = BH_AUDIT;
	bh_world_configure(w, &config);
	r = result_of(w, "shop/client shop/web TCP:80");
	assert_int_equal(r.verdict, OK);
	assert_int_equal(r.audit_verdict, DENY);
}

/* --- audit ------------------------------------------------------------------------------ */

static void a_world_in_audit_denies_nothing_for_unknown_labels(void **state)
{
	const struct bh_world_config audit = { .node = "node-a", .mode = BH_AUDIT };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&audit);
	struct bh_result r = { 0 };
	struct bh_flow f;

	(void)state;
	world_text(w, BH_SOURCE_MANIFEST, PODS "pod shop/young 10.0.0.9 nolabels node=node-a");
	f = flow_of(w, "shop/client shop/young TCP:80");
	bh_eval(w, &f, &r);
	assert_int_equal(r.verdict, OK);
	assert_int_equal(r.audit_verdict, DENY);
	assert_int_equal(r.dir[BH_INGRESS].verdict, OK);
	assert_int_equal(r.dir[BH_INGRESS].audit_verdict, DENY);
	assert_int_equal(r.dir[BH_INGRESS].reason, BH_REASON_NO_LABELS);

	bh_world_configure(w, &node_a);
	bh_eval(w, &f, &r);
	assert_int_equal(r.verdict, DENY);
}

static void audited_policies_count_as_absent_but_are_reported(void **state)
{
	static const struct {
		const char *what, *world;
		enum bh_verdict verdict;
		enum bh_reason reason;
		enum bh_verdict audit;
		const char *audit_by; /* who denies in audit */
		size_t n_isolating;
	} rows[] = {
		{ "an audited policy does not isolate", "policy shop/p types=ingress audit", OK,
		  OPEN, DENY, "p", 1 },
		{ "what it allows would be allowed", "policy shop/p types=ingress audit\nin", OK,
		  OPEN, OK, NULL, 0 },
		{ "its rules do not loosen what others deny",
		  "policy shop/p types=ingress audit\nin\npolicy shop/q types=ingress", DENY, SHUT,
		  OK, NULL, 0 },
		{ "it cannot deny what an enforced policy allows",
		  "policy shop/p types=ingress audit\npolicy shop/q types=ingress\nin", OK, RULE,
		  OK, NULL, 0 },
		{ "both isolate: enforced and denied",
		  "policy shop/p types=ingress audit\npolicy shop/q types=ingress", DENY, SHUT,
		  DENY, NULL, 0 },
		{ "a namespace in audit: all of its policies",
		  "ns shop audit\npolicy shop/p types=ingress\npolicy shop/q types=ingress", OK,
		  OPEN, DENY, "p", 2 },
		{ "... and its default deny", "ns shop audit deny=ingress", OK, OPEN, DENY,
		  "default-deny", 0 },
		{ "an audited Admin Deny", "cluster a tier=admin ns=* pods=* audit\nin deny", OK,
		  OPEN, DENY, "a", 0 },
		{ "an audited Pass decides nothing",
		  "cluster a tier=admin prio=1 ns=* pods=* audit\nin pass\n"
		  "cluster b tier=admin prio=2 ns=* pods=*\nin deny",
		  DENY, RULE, OK, NULL, 0 },
		{ "an audited Pass uncovers who isolates",
		  "cluster a tier=admin prio=1 ns=* pods=* audit\nin pass\n"
		  "cluster b tier=admin prio=2 ns=* pods=*\nin allow\npolicy shop/p types=ingress",
		  OK, RULE, DENY, "p", 1 },
		{ "an invalid policy in audit", "policy shop/p types=ingress invalid audit", OK,
		  OPEN, DENY, "p", 1 },
		{ "other directions are not concerned", "policy shop/p types=egress audit", OK,
		  OPEN, OK, NULL, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
		struct bh_dir_verdict v;
		struct bh_flow f;
		const char *by;

		world_text(w, BH_SOURCE_MANIFEST, PODS);
		world_text(w, BH_SOURCE_MANIFEST, rows[i].world);
		f = flow_of(w, "other/far shop/web TCP:80");
		bh_eval_dir(w, &f, BH_INGRESS, &v);
		if (v.verdict != rows[i].verdict || v.reason != rows[i].reason ||
		    v.audit_verdict != rows[i].audit)
			fail_msg("%s: got %s by %s, audit %s", rows[i].what,
				 bh_verdict_str(v.verdict), bh_reason_str(v.reason),
				 bh_verdict_str(v.audit_verdict));
		assert_int_equal(v.n_audit_isolating, rows[i].n_isolating);
		by = v.n_audit_isolating   ? v.audit_isolating[0]->name
		     : v.audit_rule.policy ? v.audit_rule.policy->name
					   : NULL;
		if (rows[i].audit_by)
			assert_string_equal(by, rows[i].audit_by);
		else
			assert_null(by);
	}
}

static void a_world_in_audit_denies_nothing(void **state)
{
	const struct bh_world_config audit = { .node = "node-a",
					       .default_deny = { true, true },
					       .mode = BH_AUDIT };
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&audit);
	struct bh_result r;
	struct bh_flow f;

	(void)state;
	world_text(w, BH_SOURCE_MANIFEST, PODS "policy shop/p types=both");
	f = flow_of(w, "other/far shop/web TCP:80");
	bh_eval(w, &f, &r);
	assert_int_equal(r.verdict, OK);
	assert_int_equal(r.audit_verdict, DENY);
	assert_string_equal(r.dir[BH_INGRESS].audit_isolating[0]->name, "p");
	assert_string_equal(r.dir[BH_EGRESS].audit_rule.policy->name, "default-deny");
}

/* --- why --------------------------------------------------------------------------------- */

static void denials_name_the_rules_that_came_nearest(void **state)
{
	static const struct {
		const char *rule, *src;
		int why; /* -1: none */
	} rows[] = {
		{ "in peer=pods/app=client port=UDP:80", "shop/client", BH_MISS_PROTOCOL },
		{ "in peer=pods/app=client port=TCP:81 port=UDP:80", "shop/client", BH_MISS_PORT },
		{ "in peer=pods/app=client port=TCP:http", "shop/client", BH_MISS_PORT },
		{ "in port=TCP:81", "8.8.8.8", BH_MISS_PORT },
		{ "in peer=pods/app=db port=TCP:80", "shop/client", BH_MISS_POD_SELECTOR },
		{ "in peer=ns/team=red&pods/app=db", "shop/client", BH_MISS_POD_SELECTOR },
		{ "in peer=pods/app=client", "other/far", BH_MISS_NAMESPACE_SELECTOR },
		{ "in peer=ns/team=green", "other/far", BH_MISS_NAMESPACE_SELECTOR },
		{ "in peer=ns/*", "8.8.8.8", BH_MISS_NAMESPACE_SELECTOR },
		{ "in peer=cidr/10.0.0.0/8", "8.8.8.8", BH_MISS_IP_BLOCK },
		{ "in peer=cidr/8.0.0.0/8-8.8.0.0/16", "8.8.8.8", BH_MISS_IP_BLOCK },
		/* The nearest of its peers counts. */
		{ "in peer=ns/team=green peer=cidr/10.0.0.0/8", "8.8.8.8", BH_MISS_IP_BLOCK },
		/* Two things wrong is not near. */
		{ "in peer=pods/app=db port=TCP:81", "shop/client", -1 },
		{ "in peer=nothing port=TCP:80", "shop/client", -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
		struct bh_dir_verdict v;
		struct bh_flow f;
		char text[1024];

		snprintf(text, sizeof(text), PODS WEB("%s"), rows[i].rule);
		world_text(w, BH_SOURCE_MANIFEST, text);
		snprintf(text, sizeof(text), "%s shop/web TCP:80", rows[i].src);
		f = flow_of(w, text);
		bh_eval_dir(w, &f, BH_INGRESS, &v);
		assert_int_equal(v.verdict, DENY);
		if (v.n_near != (rows[i].why >= 0) ||
		    (v.n_near && (int)v.near[0].why != rows[i].why))
			fail_msg("%s: %zu, %s", rows[i].rule, v.n_near, bh_miss_str(v.near[0].why));
		if (v.n_near) {
			assert_string_equal(v.near[0].ref.policy->name, "p");
			assert_int_equal(v.near[0].ref.rule_index, 0);
		}
	}
}

static void near_misses_are_ranked_and_cut(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
	struct bh_dir_verdict v;
	struct bh_flow f;

	(void)state;
	world_text(w, BH_SOURCE_MANIFEST,
		   PODS "policy shop/b types=ingress\nin peer=ns/team=green\nin port=TCP:1\n"
			"policy shop/a types=ingress\nin peer=cidr/9.0.0.0/8\nin peer=ns/team=x\n"
			"in port=TCP:2\nin port=UDP\n"
			"policy shop/c types=ingress audit\nin port=TCP:3");
	f = flow_of(w, "shop/client shop/web TCP:80");
	bh_eval_dir(w, &f, BH_INGRESS, &v);
	assert_int_equal(v.n_near, BH_MAX_NEAR_MISSES);
	assert_int_equal(v.near[0].why, BH_MISS_PROTOCOL);
	assert_int_equal(v.near[0].ref.rule_index, 3);
	assert_int_equal(v.near[1].why, BH_MISS_PORT);
	assert_string_equal(v.near[1].ref.policy->name, "a");
	assert_string_equal(v.near[2].ref.policy->name, "b");
	assert_int_equal(v.near[3].why, BH_MISS_IP_BLOCK);
}

static void default_deny_names_who_isolates(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
	struct bh_dir_verdict v;
	struct bh_flow f;
	char text[64];
	int i;

	(void)state;
	world_text(w, BH_SOURCE_MANIFEST,
		   PODS "policy shop/zz types=ingress\ncluster bad tier=admin ns=* pods=* invalid\n"
			"policy shop/other types=egress\npolicy shop/off types=ingress audit");
	f = flow_of(w, "shop/client shop/web TCP:80");
	bh_eval_dir(w, &f, BH_INGRESS, &v);
	assert_int_equal(v.reason, SHUT);
	assert_int_equal(v.n_isolating, 2);
	assert_string_equal(v.isolating[0]->name, "bad");
	assert_string_equal(v.isolating[1]->name, "zz");

	for (i = 0; i < 30; i++) {
		snprintf(text, sizeof(text), "policy shop/p%02d types=ingress", 29 - i);
		world_text(w, BH_SOURCE_MANIFEST, text);
	}
	bh_eval_dir(w, &f, BH_INGRESS, &v);
	assert_int_equal(v.n_isolating, 32);
	assert_string_equal(v.isolating[0]->name, "bad");
	assert_string_equal(v.isolating[1]->name, "p00");
	assert_string_equal(v.isolating[BH_MAX_ISOLATING - 1]->name, "p14");
}

static void the_deciding_rule_is_named(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
	struct bh_result r;
	struct bh_flow f;

	(void)state;
	world_text(w, BH_SOURCE_MANIFEST,
		   PODS "policy shop/b types=ingress\nin\n"
			"policy shop/a types=ingress\nin port=TCP:1\nin port=TCP:80");
	f = flow_of(w, "10.0.0.2 10.0.0.1 TCP:80");
	bh_eval(w, &f, &r);
	assert_string_equal(r.dir[BH_INGRESS].rule.policy->name, "a");
	assert_int_equal(r.dir[BH_INGRESS].rule.rule_index, 1);
	assert_int_equal(r.dir[BH_INGRESS].n_near, 0);
	assert_null(r.dir[BH_EGRESS].rule.policy);
	assert_string_equal(r.src.pod->name, "client");
	assert_string_equal(r.dst.pod->name, "web");
}

static void ends_are_pods_nodes_or_external(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
	static const struct {
		const char *addr;
		enum bh_entity entity;
	} rows[] = {
		{ "10.0.0.1", BH_ENTITY_POD },     { "fd00::1", BH_ENTITY_POD },
		{ "192.168.0.1", BH_ENTITY_NODE }, { "192.168.0.2", BH_ENTITY_NODE },
		{ "8.8.8.8", BH_ENTITY_EXTERNAL }, { "10.0.0.66", BH_ENTITY_EXTERNAL },
	};
	size_t i;

	(void)state;
	world_text(w, BH_SOURCE_MANIFEST, PODS "pod shop/agent 192.168.0.2 10.0.0.66 host");
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		struct bh_addr a = wt_addr(rows[i].addr);
		struct bh_end end = bh_eval_end(w, &a, NULL);

		assert_int_equal(end.entity, rows[i].entity);
		assert_int_equal(end.pod != NULL, rows[i].entity == BH_ENTITY_POD);
		assert_int_equal(end.node != NULL, rows[i].entity == BH_ENTITY_NODE);
	}
}

static void where_nobody_named_the_node_the_only_one_is_it(void **state)
{
	static const struct bh_world_config unnamed;
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&unnamed);
	struct bh_dir_verdict v;
	struct bh_flow f;

	(void)state;
	world_text(w, BH_SOURCE_MANIFEST,
		   "node one 192.168.0.1\npod shop/web 10.0.0.1\npolicy shop/p types=ingress");
	f = flow_of(w, "192.168.0.1 shop/web TCP:80");
	bh_eval_dir(w, &f, BH_INGRESS, &v);
	assert_int_equal(v.reason, BH_REASON_OWN_NODE);
	world_text(w, BH_SOURCE_MANIFEST, "node two 192.168.0.2");
	bh_eval_dir(w, &f, BH_INGRESS, &v);
	assert_int_equal(v.reason, SHUT);
}

static void a_node_judges_the_ends_that_it_hosts(void **state)
{
	static const struct {
		const char *world, *flow;
		enum bh_verdict both, here;
		bool is_src_here, is_dst_here;
	} rows[] = {
		{ "policy other/in pods= types=ingress", "shop/client other/far UDP:53", DENY, OK,
		  true, false },
		{ "policy other/eg pods= types=egress", "other/far shop/web TCP:8080", DENY, OK,
		  false, true },
		{ WEB(""), "other/far shop/web TCP:8080", DENY, DENY, false, true },
		{ CLIENT(""), "shop/client other/far UDP:53", DENY, DENY, true, false },
		{ WEB(""), "shop/client shop/web TCP:8080", DENY, DENY, true, true },
		{ CLIENT(""), "shop/client shop/web TCP:8080", DENY, DENY, true, true },
		{ WEB(""), "192.168.0.1 shop/web TCP:8080", OK, OK, false, true },
		{ "", "198.51.100.1 192.168.0.1 TCP:80", OK, OK, false, false },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
		struct bh_result r = { 0 };
		struct bh_flow f;

		world_text(w, BH_SOURCE_MANIFEST, PODS);
		world_text(w, BH_SOURCE_MANIFEST, rows[i].world);
		f = flow_of(w, rows[i].flow);
		bh_eval(w, &f, &r);
		assert_int_equal(r.verdict, rows[i].both);
		assert_int_equal(r.here, rows[i].here);
		assert_int_equal(r.src.is_here, rows[i].is_src_here);
		assert_int_equal(r.dst.is_here, rows[i].is_dst_here);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(isolation_is_per_direction_and_default_deny),
		cmocka_unit_test(peers_are_who_the_api_says),
		cmocka_unit_test(ports_are_those_of_the_destination_pod),
		cmocka_unit_test(nodes_are_exempt_towards_their_own_pods_only),
		cmocka_unit_test(tiers_speak_in_order),
		cmocka_unit_test(who_cannot_be_told_is_everybody_for_denials_and_nobody_else),
		cmocka_unit_test(a_quarantine_goes_before_everything),
		cmocka_unit_test(a_world_in_audit_denies_nothing_for_unknown_labels),
		cmocka_unit_test(audited_policies_count_as_absent_but_are_reported),
		cmocka_unit_test(a_world_in_audit_denies_nothing),
		cmocka_unit_test(denials_name_the_rules_that_came_nearest),
		cmocka_unit_test(near_misses_are_ranked_and_cut),
		cmocka_unit_test(default_deny_names_who_isolates),
		cmocka_unit_test(the_deciding_rule_is_named),
		cmocka_unit_test(ends_are_pods_nodes_or_external),
		cmocka_unit_test(a_node_judges_the_ends_that_it_hosts),
		cmocka_unit_test(where_nobody_named_the_node_the_only_one_is_it),
	};

	return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
