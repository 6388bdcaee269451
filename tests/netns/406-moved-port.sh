# A pod that may change its own network does not get rid of its port.
. "$(dirname "$0")/lib.sh"

without_port() { [ "$(status .ports.pods_without_port)" = "$1" ]; }

node_up "${NODE_KIND:-bridge}"
pod shop/db 11 app=db
pod shop/rogue 12 app=rogue
serve shop/db tcp:80
netpol shop/rogue <<YAML
podSelector: {matchLabels: {app: rogue}}
policyTypes: [Egress]
YAML
agent_start
blocked shop/rogue tcp shop/db 80

step "its end in a namespace of its own making"
ip netns add hidden
in_pod shop/rogue ip link set eth0 netns hidden 2>/dev/null ||
	nsenter --net=/run/netns/shop.rogue ip link set eth0 netns hidden
in_hidden() { nsenter --net=/run/netns/hidden "$@"; }
in_hidden sh -ec "ip addr add ${ADDR4[shop/rogue]}/24 dev eth0
	ip addr add ${ADDR6[shop/rogue]}/64 dev eth0 nodad; ip link set eth0 up"
sleep 0.5
without_port 0 || fail "it has no port any more: $(status .ports)"
for a in "${ADDR4[shop/db]}" "${ADDR6[shop/db]}"; do
	[ "$(in_hidden "$PROBE" try -t $BLOCKED_MS tcp "$a" 80 || true)" = timeout ] || fail "$a is open"
done

step "links that change all the time keep nobody waiting"
(for i in $(seq 1 4000); do echo "link set v1 alias a$i"; echo "link set v1 down"; echo "link set v1 up"; done |
	ip -batch - >/dev/null 2>&1) &
flood=$!
for i in 1 2 3; do
	timeout 5 "$BULKHEAD" --control "$CONTROL" status >/dev/null || fail "no answer"
done
wait $flood || true
pod shop/late 13 app=rogue
settle
for i in $(seq 50); do without_port 0 && break; sleep 0.1; done; without_port 0 || fail "$(status .ports)"
blocked shop/late tcp shop/db 80
