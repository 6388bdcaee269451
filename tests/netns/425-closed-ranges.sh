# Where the closed ranges come from, that a restart keeps them, and the skeleton that
# --boot loads.
. ./lib.sh
node_up ptp
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80
STATE=$WORK/state
ranges() { status .closed_until_known.ranges; }
from() { status .closed_until_known.from; }

step "off where nobody asks for it, and it says so"
agent_start
[ "$(ranges)" = "[]" ] || fail "$(ranges)"
from | grep -q "no --default-deny" || fail "$(from)"
nft list set inet bulkhead closed4 >/dev/null 2>&1 && fail "rules that nobody asked for"
agent_stop
nft delete table inet bulkhead

step "as given"
agent_start --closed-until-known 10.244.0.0/25 --closed-until-known fd00:244::/64
[ "$(ranges)" = '["10.244.0.0-10.244.0.127", "fd00:244::-fd00:244::ffff:ffff:ffff:ffff"]' ] || fail "$(ranges)"
open shop/web tcp shop/db 80
pod_net shop/late 13
blocked shop/late tcp shop/db 80
explains denied no-pod-yet not-isolated 10.244.0.13 shop/db 80
explains denied not-isolated no-pod-yet shop/db 10.244.0.13 80
pod_net shop/beyond 200
FAMILIES=4 open shop/beyond tcp shop/db 80
agent_stop
nft delete table inet bulkhead

step "without CNI configuration, nothing is closed until the node's object names ranges"
mkdir "$WORK/cni"
agent_start --node n1 --closed-until-known auto --cni-config "$WORK/cni" --state "$STATE"
from | grep -q "no podCIDRs of this node are known" || fail "$(from)"
FAMILIES=4 open shop/late tcp shop/db 80
write node-n1 <<YAML
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.0.0/24, podCIDRs: [10.244.0.0/24, "fd00:244::/64"]}
YAML
write node-n2 <<YAML
apiVersion: v1
kind: Node
metadata: {name: n2}
spec: {podCIDRs: [10.244.1.0/24]}
YAML
eventually eval 'from | grep -q "podCIDRs of node n1"'
eventually eval '! in_kernel closed4 10.244.1.1 && in_kernel closed4 10.244.0.255'
blocked shop/late tcp shop/db 80
open shop/web tcp shop/db 80

step "a restart without the object keeps them closed"
agent_stop
rm "$POLICIES/node-n1.yaml"
agent_start --node n1 --closed-until-known auto --cni-config "$WORK/cni" --state "$STATE"
from | grep -q "as before" || fail "$(from)"
blocked shop/late tcp shop/db 80
open shop/web tcp shop/db 80

step "CNI configuration that comes later is followed, and says why where it is of no use"
echo '{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.244.0.0/24", "rangeStart": "10.244.0.100", "rangeEnd": "10.244.0.150"}}' >"$WORK/cni/20-pods.conf"
ip link add dummy9 type dummy || ip link add dummy9 type bridge
eventually eval '[ "$(ranges)" = "[\"10.244.0.100-10.244.0.150\"]" ]'
open shop/late tcp shop/db 80
echo '{"plugins": [{"type": "macvlan", "ipam": {"type": "dhcp"}}]}' >"$WORK/cni/10-lan.conflist"
eventually eval 'from | grep -q "plugin macvlan takes addresses from dhcp"'
echo '{"plug' >"$WORK/cni/10-lan.conflist"
eventually eval 'from | grep -q "is no JSON"'
agent_stop

step "the skeleton: nothing saved, the ranges are closed, the agent takes over"
rm -r "$STATE" "$WORK/cni"/*
nft delete table inet bulkhead
boot() { "$BULKHEADD" --policies "$POLICIES" --boot "$@" >"$WORK/log/boot" 2>&1 || fail "$(cat "$WORK/log/boot")"; }
boot
nft list table inet bulkhead >/dev/null 2>&1 && fail "a table that closes nothing was loaded"
boot --closed-until-known 10.244.0.0/24 --closed-until-known fd00:244::/64
grep -q "closed 2 ranges until pods are known" "$WORK/log/boot" || fail "$(cat "$WORK/log/boot")"
blocked shop/web tcp shop/db 80
agent_start --closed-until-known 10.244.0.0/24 --closed-until-known fd00:244::/64
open shop/web tcp shop/db 80
blocked shop/late tcp shop/db 80
