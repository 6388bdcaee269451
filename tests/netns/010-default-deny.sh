# A policy that selects pods and allows nothing closes them, and nobody else.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod other/tool 13 app=tool
for p in shop/web shop/db other/tool; do
	serve $p tcp:80 udp:53 sctp:7000
done
agent_start

step "without a policy everything is open"
for proto in "tcp 80" "udp 53" "sctp 7000" icmp; do
	set -- $proto
	open shop/web $1 shop/db ${2:-}
done

step "default deny of ingress and egress in shop"
netpol shop/default-deny <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
YAML
settle
for proto in "tcp 80" "udp 53" "sctp 7000" icmp; do
	set -- $proto
	blocked shop/web $1 shop/db ${2:-}
	blocked other/tool $1 shop/web ${2:-}
	blocked shop/web $1 other/tool ${2:-}
done

step "the node reaches its own pods, they do not reach it"
open node tcp shop/web 80
open node icmp shop/db
blocked shop/web icmp node

step "other namespaces are untouched"
open node tcp other/tool 80
open other/tool icmp node

step "neighbour discovery lives: entries are learnt anew"
ip neigh flush dev br0
in_pod shop/web ip neigh flush dev eth0
open node tcp shop/web 80

step "the denials are in the flow log, with the policy that isolates"
eventually grep -q default-deny "$FLOW_LOG"

step "without the policy everything is open again"
unpolicy shop.default-deny
settle
open other/tool tcp shop/web 80
open shop/web icmp node
