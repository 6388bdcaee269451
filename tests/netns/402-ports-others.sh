# Pods that have no port on this node, and are told about; links of nobody.
. "$(dirname "$0")/lib.sh"

without_port() {
	[ "$(status .ports.pods_without_port)" = "$1" ]
}
why() {
	"$BULKHEAD" --control "$CONTROL" status | grep -F "$1: " | grep -qF "$2"
}

node_up bridge
ip link add up0 type veth peer name up1
ip netns add shop.mac
ip link add link up0 name mac0 type macvlan mode bridge 2>/dev/null ||
	skip "this kernel has no macvlan"
ip link set mac0 netns shop.mac name eth0
ADDR4[shop/mac]=$V4.30 ADDR6[shop/mac]=${V6}:30
pod_manifest shop/mac
NETNS_ANNOTATION=no pod shop/none 31
agent_start
step "a macvlan has no end on the node"
without_port 2 || fail "$("$BULKHEAD" --control "$CONTROL" status)"
why shop/mac "macvlan" || fail "$("$BULKHEAD" --control "$CONTROL" status)"
step "on a bridge, a pod of which no namespace is known has none"
why shop/none "its network namespace is not known" || fail "no reason"

step "host-network pods are none of it"
sed '/^status:/,$d' "$POLICIES/pod-shop.mac.yaml" | sed 's/name: mac/name: host/' >"$WORK/copy"
printf 'spec:\n  hostNetwork: true\n' >>"$WORK/copy"
mv "$WORK/copy" "$POLICIES/pod-host.yaml"
settle
without_port 2 || fail "$("$BULKHEAD" --control "$CONTROL" status)"

step "metrics"
agent_stop
agent_start --metrics 127.0.0.1:9101
eventually eval "curl -s http://127.0.0.1:9101/metrics | grep -q '^bulkhead_pods_without_port 2'"
