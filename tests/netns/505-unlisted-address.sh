# An address that a pod has and no object lists is closed if the pod is isolated; on both kinds of ports.
. ./lib.sh
node_up ptp
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/free 13 app=free
for p in db free; do sed -i '/fd00/d' "$POLICIES"/pod-shop.$p.yaml; done
serve shop/db tcp:80 udp:53
serve shop/web tcp:80
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress, Egress]
ingress: [{from: [{podSelector: {matchLabels: {app: free}}}]}]
YAML
agent_start
eventually eval 'nft list set netdev bulkhead src4 | grep -q 10.244.0.13'
for proto in tcp udp; do
	port=80; [ $proto = udp ] && port=53
	for f in 4 6; do
		[ "$(try_one $f $BLOCKED_MS shop/web $proto shop/db $port)" = timeout ] || fail "IPv$f $proto web -> db"
	done
done
[ "$(try_one 6 $BLOCKED_MS shop/db tcp shop/web 80)" = timeout ] || fail "db -> web from an unlisted address"
[ "$(try_one 4 $OPEN_MS shop/free tcp shop/db 80)" = open ] || fail "free -> db"
step "the node's own probes reach the listed address"
[ "$(try_one 4 $OPEN_MS node tcp shop/db 80)" = open ] || fail "node -> db"
eventually logged "dst == 'shop/db' and r['policy.reason'] == 'unlisted' and r['destination.address'] == 'fd00:244::12'"
eventually logged "src == 'shop/db' and r['policy.reason'] == 'spoofed' and r['source.address'] == 'fd00:244::12'"
explains denied not-isolated unlisted --to fd00:244::12 shop/web shop/db 80
explains denied spoofed not-isolated --from fd00:244::12 shop/db shop/web 80
