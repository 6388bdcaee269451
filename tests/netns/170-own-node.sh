# A pod's own node reaches it whatever the policy; the pod does not reach the node,
# and other nodes are nobody special.
. ./lib.sh
node_up "${NODE_KIND:-bridge}"
pod shop/web 11 app=web
pod shop/db 12 app=db
outside 192.0.2.10 2001:db8:1::10
serve shop/web tcp:80 udp:53
serve shop/db tcp:80
serve node tcp:9000 udp:9001
write nodes <<YAML
apiVersion: v1
kind: Node
metadata: {name: here}
status:
  addresses:
  - {type: InternalIP, address: 192.0.2.1}
---
apiVersion: v1
kind: Node
metadata: {name: there}
status:
  addresses:
  - {type: InternalIP, address: 192.0.2.10}
  - {type: InternalIP, address: "2001:db8:1::10"}
YAML
netpol shop/all <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
YAML
agent_start --node here

step "probes of the own node, from whatever address it has"
open node tcp shop/web 80
open node udp shop/web 53
open node icmp shop/web
ip addr add 203.0.113.7/32 dev lo
ip addr add 2001:db8:77::7/128 dev lo
for pair in "203.0.113.7 4" "192.0.2.1 4" "2001:db8:77::7 6" "2001:db8:1::1 6"; do
	set -- $pair
	declare -n addr=ADDR$2
	got=$("$PROBE" try -t $OPEN_MS -s "$1" tcp "${addr[shop/web]}" 80)
	[ "$got" = open ] || fail "from $1: $got"
done

step "the pod does not reach its node, at any address"
blocked shop/web tcp node 9000
blocked shop/web udp node 9001
blocked shop/web icmp node
FAMILIES=4 blocked shop/web tcp 203.0.113.7 9000
blocked shop/web tcp 2001:db8:77::7 9000
eventually logged "src == 'shop/web' and dst == 'node' and dir == 'egress' and port == 9000 and
	by == ['shop/all']"

step "another node's address is not exempt"
blocked out tcp shop/web 80
blocked out icmp shop/web
eventually logged "r['source.address'] == '192.0.2.10' and r['source.entity'] == 'node' and
	r['source.k8s.node.name'] == 'there' and dst == 'shop/web' and dir == 'ingress'"

step "egress to the node as the policy says"
netpol shop/to-node <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: $V4.1/32}}, {ipBlock: {cidr: "${V6}:1/128"}}]
  ports: [{port: 9000}]
YAML
settle
open shop/web tcp node 9000
blocked shop/web udp node 9001
blocked shop/db tcp node 9000
