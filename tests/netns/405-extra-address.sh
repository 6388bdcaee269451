# Addresses and networks that the operator of the node gives to pods.
. "$(dirname "$0")/lib.sh"

VIP4=$V4.200 VIP6=${V6}:200
# say SRC FROM TO: a datagram from that address of the pod; heard TEXT: the web server's log has it
say() {
	in_pod "$1" python3 - "$2" "$3" <<'PY'
import socket, sys
src, dst = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ":" in src else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((src, 7777))
s.sendto(src.encode(), (dst, 5353))
PY
}
heard() { eventually grep -qF "GOT $1" "$WORK/log/rx"; }
unheard() {
	sleep 0.3
	! grep -qF "GOT $1" "$WORK/log/rx" || fail "$1 came through"
}

node_up "${NODE_KIND:-bridge}"
pod shop/vip-1 11 app=vip
pod shop/client 12 app=client
pod shop/other 13 app=other
pod shop/router 14 app=router
in_pod shop/vip-1 sh -ec "ip addr add $VIP4/32 dev eth0; ip addr add $VIP6/128 dev eth0 nodad"
in_pod shop/router sh -ec "ip addr add 10.77.0.5/32 dev lo; ip addr add fd00:77::5/128 dev lo
	ip addr add 10.78.0.5/32 dev lo"
if [ "$NODE_KIND" = ptp ]; then
	ip route add $VIP4/32 dev v1
	ip -6 route add $VIP6/128 dev v1
	# What comes from a router's networks is not dropped for want of a way back.
	ip route add 10.77.0.0/24 dev v4
	ip route add 10.78.0.0/24 dev v4
	ip -6 route add fd00:77::/64 dev v4
fi
serve shop/vip-1 tcp:80
spawn shop/client python3 -u -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("::", 5353))
print("ready")
while True: print("GOT", s.recvfrom(2000)[0].decode())' >"$WORK/log/rx" 2>&1
eventually grep -q ready "$WORK/log/rx"
netpol shop/vip <<YAML
podSelector: {matchLabels: {app: vip}}
ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]
YAML

step "without the operator's word they are nobody's"
agent_start
blocked shop/client tcp "$VIP4" 80
FAMILIES=6 blocked shop/client tcp "$VIP6" 80
say shop/vip-1 "$VIP4" "${ADDR4[shop/client]}"
say shop/router 10.77.0.5 "${ADDR4[shop/client]}"
unheard "$VIP4"
unheard 10.77.0.5
agent_stop
: >"$FLOW_LOG"

step "with it, an address is the pod's like its others"
agent_start --extra-address "shop/vip-*=$VIP4" --extra-address "shop/vip-1=$VIP6" \
	--extra-address shop/router=10.77.0.0/24 --extra-address shop/router=fd00:77::/64
# The client may still be told that nobody answered for them before.
eventually eval "[ \"\$(try_one 4 $OPEN_MS shop/client tcp $VIP4 80)\" = open ]"
eventually eval "[ \"\$(try_one 6 $OPEN_MS shop/client tcp $VIP6 80)\" = open ]"
blocked shop/other tcp "$VIP4" 80
blocked shop/other tcp "$VIP6" 80
say shop/vip-1 "$VIP4" "${ADDR4[shop/client]}"
say shop/vip-1 "$VIP6" "${ADDR6[shop/client]}"
heard "$VIP4"
heard "$VIP6"
eventually logged "dst == 'shop/vip-1' and r['destination.address'] == '$VIP4' and action == 'flow-denied'"

step "and a network is let pass at its port, and no other"
say shop/router 10.77.0.5 "${ADDR4[shop/client]}"
say shop/router fd00:77::5 "${ADDR6[shop/client]}"
say shop/router 10.78.0.5 "${ADDR4[shop/client]}"
heard 10.77.0.5
heard fd00:77::5
unheard 10.78.0.5
in_pod shop/router ping -6 -q -c 1 -W 1 -I fd00:77::5 "${ADDR6[shop/client]}" >/dev/null 2>&1 || true
settle
never_logged "r['source.address'] == 'fd00:77::5'"
pod_gone shop/router
settle
eventually eval "! nft list table netdev bulkhead | grep -q extra_arp"

step "one that cannot be is an error that names it"
"$BULKHEADD" --check-config --policies "$POLICIES" --extra-address shop/x=0.0.0.0/0 2>"$WORK/err" &&
	fail "taken"
grep -qF "0.0.0.0/0 is too large" "$WORK/err" || fail "$(cat "$WORK/err")"
