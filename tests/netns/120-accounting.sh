# Denied packets add up: recorded, suppressed, pending and lost make all of them.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML
agent_start --log-rate 20

# A scan: many ports of one pod, over both families, from one pod.
for i in 1 2 3; do
	for p in $(seq 1 150); do
		echo "tcp ${ADDR4[shop/db]} $p blocked"
		echo "udp ${ADDR6[shop/db]} $p blocked"
	done | in_pod shop/web "$PROBE" matrix -t 300 >"$WORK/log/scan" || fail "$(cat "$WORK/log/scan")"
done

adds_up() {
	"$BULKHEAD" --control "$CONTROL" status -o json | python3 -c '
import json, sys
p = json.load(sys.stdin)["packets"]
ok = p["in_flight"] == 0 and p["denied"] >= 900
ok = ok and p["denied"] == p["recorded"] + p["suppressed"] + p["pending"] + p["lost"]
ok = ok and p["suppressed"] > 0 and p["recorded"] > 0
print(p)
sys.exit(not ok)'
}
eventually adds_up
[ "$(nft list counter inet bulkhead denied | sed -n 's/.*packets \([0-9]*\).*/\1/p')" = \
	"$(status .packets.denied)" ] || fail "the kernel counts otherwise: $(status .packets)"

step "killed and started again, it counts from its own start"
agent_kill
blocked shop/web tcp shop/db 80
agent_start
[ "$(status .packets.denied)" = 0 ] || fail "$(status .packets)"
blocked shop/web tcp shop/db 80
eventually eval '[ "$(status .packets.recorded)" -ge 1 ]'
