# Whose port is which: by the network namespace that the manifest names, on a
# bridge, with all that may change about it.
. "$(dirname "$0")/lib.sh"

# port NS/NAME: the pod's ports as the agent sees them, one a line: none for a pod
# that has none
without_port() {
	[ "$(status .ports.pods_without_port)" = "$1" ]
}
# why NS/NAME TEXT: the pod has no port, for that reason
why() {
	"$BULKHEAD" --control "$CONTROL" status | grep -F "$1: " | grep -qF "$2"
}

node_up bridge
pod shop/web-1 11 app=web
pod shop/web-2 12 app=web
agent_start
step "two pods of a bridge have their ports"
without_port 0 || fail "$("$BULKHEAD" --control "$CONTROL" status)"

step "a pod whose namespace comes later"
ADDR4[shop/late]=$V4.13 ADDR6[shop/late]=${V6}:13
pod_manifest shop/late app=web
settle
why shop/late "cannot open its network namespace" || fail "no reason is told"
N_LINKS=3
attach_bridge shop.late $V4.13 ${V6}:13
eventually without_port 0

step "a link that goes and comes again"
ip link del v1
eventually without_port 1
why shop/web-1 "no link of this node leads into its network namespace" ||
	fail "$("$BULKHEAD" --control "$CONTROL" status)"
ip link add v1 type veth peer name eth0 netns shop.web-1
ip link set v1 master br0 up
eventually without_port 0

step "two pods that name one namespace have no port"
cp "$POLICIES/pod-shop.web-2.yaml" "$WORK/copy"
sed -i -e 's/name: web-2/name: twin/' -e "s/$V4.12/$V4.99/; s/${V6}:12/${V6}:99/" "$WORK/copy"
mv "$WORK/copy" "$POLICIES/pod-twin.yaml"
settle
without_port 2 || fail "$("$BULKHEAD" --control "$CONTROL" status)"
why shop/twin "pod shop/web-2 names the same network namespace" || fail "no reason"
why shop/web-2 "pod shop/twin names the same network namespace" || fail "no reason"
rm "$POLICIES/pod-twin.yaml"
settle
eventually without_port 0

step "what is no namespace is told"
sed -i "s|/run/netns/shop.web-1|$WORK/plain|" "$POLICIES/pod-shop.web-1.yaml"
touch "$WORK/plain"
settle
why shop/web-1 "$WORK/plain is no network namespace" || fail "no reason"
sed -i "s|$WORK/plain|/etc/../run/netns/shop.web-1|" "$POLICIES/pod-shop.web-1.yaml"
settle
[ "$(status .problems)" != "[]" ] || fail "a path with .. is taken"
pod_manifest shop/web-1 app=web
settle
eventually without_port 0

step "a namespace that is another one now, at the same path"
ip netns del shop.web-1
eventually without_port 1
N_LINKS=4
attach_bridge shop.web-1 $V4.11 ${V6}:11
eventually without_port 0

step "a restart finds them"
agent_kill
agent_start
without_port 0 || fail "after a restart"
