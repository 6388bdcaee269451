# A record says who, what and why; records and counters account for every packet.
. ./lib.sh
node_up
pod shop/web 11 app=web tier=front
pod shop/api 12 app=api
pod shop/db 13 app=db
pod shop/job 14 app=job
pod lab/tool 15 app=tool
pod lab/brief 16 app=brief
outside 192.0.2.10 2001:db8:1::10
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {matchLabels: {app: api}}}]
  ports: [{port: 5432}]
- from: [{namespaceSelector: {matchLabels: {team: ops}}}]
  ports: [{port: 9100}]
- from: [{ipBlock: {cidr: 192.0.2.128/25}}, {ipBlock: {cidr: "2001:db8:2::/64"}}]
  ports: [{port: 443}]
YAML
netpol shop/job <<YAML
podSelector: {matchLabels: {app: job}}
policyTypes: [Egress]
egress:
- to:
  - ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.10/32]}
  - ipBlock: {cidr: "2001:db8:1::/64", except: ["2001:db8:1::10/128"]}
YAML
agent_start

# denied TYPE CONDITIONS...: a record of that kind, for both families
denied() {
	local type
	for type in ipv4 ipv6; do
		eventually logged "action == 'flow-denied' and r['policy.verdict'] == 'denied' and
			r['network.type'] == '$type' and r['policy.explained_from'] == 'world' and
			r['policy.reason'] == 'default-deny' and count == 1 and $*"
	done
}
# near RULE WHY
near() { echo "near[0] == {'name': 'shop/db', 'rule_index': $1, 'why': '$2'}"; }
into_db="dst == 'shop/db' and dir == 'ingress' and by == ['shop/db'] and
	r['destination.k8s.pod.labels'] == {'app': 'db'} and
	r['source.identity.confidence'] == r['destination.identity.confidence']"

step "podSelector, port, protocol, namespaceSelector, ipBlock"
blocked shop/web tcp shop/db 5432
denied "src == 'shop/web' and proto == 'tcp' and port == 5432 and r['source.port'] > 0 and
	r['source.k8s.pod.labels'] == {'app': 'web', 'tier': 'front'} and
	r['source.identity.confidence'] == 'exact' and $into_db and $(near 0 podSelector)"
blocked shop/api tcp shop/db 5433
denied "src == 'shop/api' and port == 5433 and $into_db and $(near 0 port)"
blocked shop/api udp shop/db 5432
denied "src == 'shop/api' and proto == 'udp' and port == 5432 and $into_db and $(near 0 protocol)"
blocked lab/tool tcp shop/db 9100
denied "src == 'lab/tool' and port == 9100 and $into_db and $(near 1 namespaceSelector)"
blocked out tcp shop/db 443
denied "r['source.entity'] == 'external' and r['source.k8s.pod.name'] is None and
	port == 443 and dst == 'shop/db' and $(near 2 ipBlock)"

step "ICMP has a type and a code, and no ports"
blocked shop/api icmp shop/db
denied "src == 'shop/api' and (proto, r['icmp.type'], r['icmp.code']) in
	[('icmp', 8, 0), ('ipv6-icmp', 128, 0)] and port is None and r['source.port'] is None and
	$into_db and $(near 0 protocol)"

step "egress"
blocked shop/job tcp out 80
denied "src == 'shop/job' and r['destination.entity'] == 'external' and dir == 'egress' and
	by == ['shop/job'] and near == [{'name': 'shop/job', 'rule_index': 0, 'why': 'ipBlock'}]"
blocked shop/job icmp node
denied "src == 'shop/job' and r['destination.entity'] == 'node' and dir == 'egress'"

step "repeats are one record at once and one for the rest"
burst shop/web "${ADDR4[shop/db]}" 700 1 20
eventually logged "port == 700 and count == 1"
[ "$(status .packets.pending)" = 19 ] || fail "$(status .packets.pending) pending, not 19"
burst lab/brief "${ADDR4[shop/db]}" 701 1 3

step "a pod that is gone is still named"
rm "$POLICIES/pod-lab.brief.yaml"
settle
eventually logged "action == 'pod-unbound' and r['k8s.pod.name'] == 'brief' and
	r['k8s.pod.ip'][:2] == ['${ADDR4[lab/brief]}', '${ADDR6[lab/brief]}']"
burst lab/brief "${ADDR6[shop/db]}" 702 1 1
eventually logged "port == 702 and src == 'lab/brief' and
	r['source.k8s.pod.labels'] == {'app': 'brief'} and
	r['source.identity.confidence'] == 'recent' and by == ['shop/db']"

step "events: pods and policies come, change and go"
eventually logged "action == 'pod-bound' and 'k8s.pod.uid' not in r and r['k8s.namespace.name'] == 'shop' and
	r['k8s.pod.name'] == 'web' and r['k8s.pod.labels'] == {'app': 'web', 'tier': 'front'} and
	r['k8s.pod.ip'][:2] == ['${ADDR4[shop/web]}', '${ADDR6[shop/web]}']"
for change in added changed removed; do
	case $change in
	removed) unpolicy lab.extra ;;
	*) netpol lab/extra <<<"podSelector: {matchLabels: {app: $change}}" ;;
	esac
	settle
	eventually logged "action == 'policy-changed' and r['policy.change'] == '$change' and
		r['policy.rule'] == {'kind': 'NetworkPolicy', 'namespace': 'lab', 'name': 'extra'}"
done
# Repeats are written after ten seconds.
sleep 5
eventually eval "[ \"\$(status .packets.pending)\" = 0 ]"
logged "port == 700 and count == 19 and r['event.start'] <= r['event.end']" ||
	fail "no record of the repeats"
logged "port == 701 and count == 2 and src == 'lab/brief'" || fail "repeats of a pod that is gone"
