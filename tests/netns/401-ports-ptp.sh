# Whose port is which where each pod has a link of its own: by route where no
# network namespace is known, and not where two routes lead to one link.
. "$(dirname "$0")/lib.sh"

without_port() {
	[ "$(status .ports.pods_without_port)" = "$1" ]
}
why() {
	"$BULKHEAD" --control "$CONTROL" status | grep -F "$1: " | grep -qF "$2"
}

node_up ptp
NETNS_ANNOTATION=no
pod shop/web-1 11 app=web
pod shop/web-2 12 app=web
agent_start
step "the routes to the pods lead to their ports"
without_port 0 || fail "$("$BULKHEAD" --control "$CONTROL" status)"

step "a route to a network proves nothing"
ip route del $V4.11/32
ip -6 route del ${V6}:11/128
ip route add $V4.8/29 dev v1
ip -6 route add ${V6}:8/125 dev v1
agent_stop
agent_start
without_port 1 || fail "$("$BULKHEAD" --control "$CONTROL" status)"
why shop/web-1 "no route of this node leads to its address alone" || fail "no reason"
ip route add $V4.11/32 dev v1
ip -6 route add ${V6}:11/128 dev v1
eventually without_port 0

step "routes of two pods that lead to one link prove nothing"
ADDR4[shop/twin]=$V4.13 ADDR6[shop/twin]=${V6}:13
ip route add $V4.13/32 dev v2
pod_manifest shop/twin
settle
without_port 2 || fail "$("$BULKHEAD" --control "$CONTROL" status)"
why shop/twin "pod shop/web-2 is said to be behind the same link" || fail "no reason"
why shop/web-2 "pod shop/twin is said to be behind the same link" || fail "no reason"

step "a namespace that is known goes before a route"
NETNS_ANNOTATION=yes
pod_manifest shop/web-2 app=web
settle
eventually without_port 1
why shop/twin "leads to the port of pod shop/web-2" ||
	fail "$("$BULKHEAD" --control "$CONTROL" status)"
rm "$POLICIES/pod-shop.twin.yaml"
settle
without_port 0 || fail "$("$BULKHEAD" --control "$CONTROL" status)"

step "a route with a gateway is no port"
ip route del $V4.11/32
ip -6 route del ${V6}:11/128
ip route add $V4.11/32 via $V4.12 dev v2 onlink
NETNS_ANNOTATION=no pod_manifest shop/web-1 app=other
agent_stop
agent_start
eventually without_port 1
