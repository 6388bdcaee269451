# Link-local addresses are addresses of the pod: policy judges them, in clusters of IPv4 only too.
. ./lib.sh
node_up bridge
pod shop/attacker 11 app=attacker
pod shop/db 12 app=db
pod shop/web 13 app=web
pod shop/free 14 app=free
# Nobody has an IPv6 address but the kernel's own.
for p in attacker db web free; do in_pod shop/$p ip -6 addr flush dev eth0 scope global; done
sed -i '/fd00/d' "$POLICIES"/pod-*.yaml
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress, Egress]
ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
YAML
netpol shop/attacker <<YAML
podSelector: {matchLabels: {app: attacker}}
policyTypes: [Ingress, Egress]
YAML
for p in shop/db shop/web shop/free node; do serve $p tcp:80 udp:53; done
agent_start

ll() { in_pod "$1" ip -6 -o addr show dev "${2:-eth0}" scope link | awk '{print $4}' | cut -d/ -f1 | head -n 1; }
# The probe takes an address with its zone.
ll_open() { [ "$(in_pod "$1" "$PROBE" try -t $OPEN_MS "$2" "$(ll "$3")%eth0" "$4")" = open ] || fail "$* should be open"; }
ll_blocked() { [ "$(in_pod "$1" "$PROBE" try -t $BLOCKED_MS "$2" "$(ll "$3")%eth0" "$4")" = timeout ] || fail "$* should be blocked"; }

step "the ports are known"
for p in attacker db web free; do eventually eval "! in_pod shop/$p ip -6 addr show dev eth0 | grep -q tentative"; done
eventually eval '[ "$(nft list set netdev bulkhead src6 | grep -o fe80 | wc -l)" = 4 ]'

step "isolated pods do not talk over fe80::, in either direction"
for proto in tcp udp; do
	port=80; [ $proto = udp ] && port=53
	ll_blocked shop/attacker $proto shop/db $port
	ll_blocked shop/free $proto shop/db $port
	ll_blocked shop/attacker $proto shop/free $port
	ll_blocked shop/db $proto shop/free $port
done
eventually logged "action == 'flow-denied' and src == 'shop/attacker' and (r['destination.address'] or '').startswith('fe80') and port == 80"

step "an allow rule for a pod holds for its link-local address, and who is not isolated is open"
ll_open shop/web tcp shop/db 80
ll_open shop/web udp shop/db 53
ll_open shop/web tcp shop/free 80
ll_open shop/free udp shop/web 53

step "the node is no way around the egress policy"
node_ll=$(ip -6 -o addr show dev br0 scope link | awk '{print $4}' | cut -d/ -f1 | grep -v '^fe80::1$' | head -n 1)
for a in fe80::1 ${node_ll:-}; do
	[ "$(in_pod shop/attacker "$PROBE" try -t $BLOCKED_MS tcp "$a%eth0" 80)" = timeout ] || fail "attacker -> node by $a"
	[ "$(in_pod shop/free "$PROBE" try -t $OPEN_MS tcp "$a%eth0" 80)" = open ] || fail "free -> node by $a"
done

step "policy that allows all allows it"
netpol shop/attacker <<YAML
podSelector: {matchLabels: {app: attacker}}
policyTypes: [Ingress, Egress]
ingress: [{}]
egress: [{}]
YAML
settle
ll_open shop/attacker tcp shop/free 80
ll_open shop/free udp shop/web 53
ll_blocked shop/attacker tcp shop/db 80
[ "$(status .packets.lost)" = 0 ] || fail "packets are lost"
