# One pod with very many connections delays neither another's rules nor another's cuts,
# and leaves no more behind than its budget.
. ./lib.sh
node_up ptp
pod evil/a 11 app=a
pod shop/web 21 app=web
pod shop/db 22 app=db
serve shop/db tcp:80 tcp:81
outside 192.0.2.10 2001:db8::10
in_pod out nft 'add table inet x
	add chain inet x i { type filter hook input priority -300; }
	add rule inet x i udp dport 1-65535 drop'
deny() { # NS/NAME DIRECTION
	netpol "$1" <<YAML
podSelector: {matchLabels: {app: ${1#*/}}}
policyTypes: [$2]
YAML
}
netpol evil/a <<YAML
podSelector: {}
policyTypes: [Egress]
egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]
YAML
agent_start
stream cut shop/web tcp "${ADDR4[shop/db]}" 80
burst evil/a 192.0.2.10 1 30000 1
entries() { cat /proc/sys/net/netfilter/nf_conntrack_count; }
[ "$(entries)" -ge 30000 ] || skip "this machine tracks only $(entries) connections"

step "the other's rules and its cut"
deny evil/a Egress
"$BULKHEAD" --control "$CONTROL" reload
deny shop/db Ingress
"$BULKHEAD" --control "$CONTROL" reload
start=$(date +%s%N)
until [ "$(in_pod shop/web "$PROBE" try -t 100 tcp "${ADDR4[shop/db]}" 80 || true)" = timeout ]; do :; done
ms=$((($(date +%s%N) - start) / 1000000))
[ $ms -lt 2000 ] || fail "another pod's rules took $ms ms"
until tail -n 1 "$WORK/log/stream-cut" | grep -q miss; do sleep 0.05; done
ms=$((($(date +%s%N) - start) / 1000000))
[ $ms -lt 3000 ] || fail "another pod's cut took $ms ms"

step "all of them are cut in the end, and status tells when"
settle
[ "$(entries)" -lt 100 ] || fail "$(entries) are left: $(status .revocation)"
n=$(nft -j list set inet bulkhead cut4 | python3 -c '
import json, sys
print(sum(len(x["set"].get("elem", [])) for x in json.load(sys.stdin)["nftables"] if "set" in x))')
[ "$n" -le 1100 ] || fail "$n elements are left"
[ "$(status .revocation.trouble)" = null ] || fail "$(status .revocation)"
