# Ports of pods of a real runtime: known when their sandbox is there, whatever they say.
. ./lib.sh
node_up "${CNI:-bridge}"
agent_start

# without_port N OF
without_port() {
	[ "$(status .ports.pods_without_port)" = "$1" ] && [ "$(status .ports.pods)" = "$2" ]
}
# at_port NS/NAME: the port of the pod lets pass its own MAC
at_port() {
	local mac link
	mac=$(in_pod "$1" ip -o link show eth0 | sed -E 's/.*ether ([0-9a-f:]+).*/\1/')
	link=$(ip -o link | grep -F "@if$(in_pod "$1" ip -o link show eth0 | cut -d: -f1):" |
		awk -F'[ :@]+' '{ print $2 }' | tail -n 1)
	[ -n "$link" ] || fail "$1 has no link"
	# Several pods' ends have the same number: one of the links is this pod's.
	for link in $(ip -o link | grep -F "@if$(in_pod "$1" ip -o link show eth0 | cut -d: -f1):" |
		awk -F'[ :@]+' '{ print $2 }'); do
		nft get element netdev bulkhead macs "{ \"$link\" . $mac }" >/dev/null 2>&1 &&
			return 0
	done
	return 1
}

step "a pod's port is guarded when its sandbox is there, before a process starts"
for i in 1 2 3 4 5; do
	pod "shop/p$i" app=p
	at_port "shop/p$i" || fail "p$i runs, and its port is not known: $(status .ports)"
done
eventually without_port 0 5
[ "$(status .ports.listings)" = 1 ] || fail "links were listed again"

step "its link-local address is its own"
local6=$(in_pod shop/p1 ip -6 -o addr show eth0 scope link | sed -E 's/.*inet6 ([0-9a-f:]+).*/\1/')
local_is() { "$BULKHEAD" --control "$CONTROL" explain "$2" "fe80::1" 80/tcp | grep -q "shop/$1"; }
eventually local_is p1 "$local6"

step "an annotation of the pod says nothing about its namespace"
POD_OPTIONS="--annotation bulkhead.dev/netns=$(readlink /run/netns/shop.p1)" pod shop/liar app=liar
at_port shop/liar || fail "the port of liar is not its own"
without_port 0 6 || fail "$(status .ports)"

step "a restart finds them all"
agent_kill
agent_start
without_port 0 6 || fail "after a restart: $(status .ports)"

step "a pod that goes is none any more"
pod_gone shop/liar
eventually without_port 0 5
