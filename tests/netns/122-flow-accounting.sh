# Records, status and kernel counters account for every denied packet.
. ./lib.sh
node_up
pod shop/web 11 app=web tier=front
pod shop/api 12 app=api
pod shop/db 13 app=db
pod shop/job 14 app=job
pod lab/tool 15 app=tool
outside 192.0.2.10 2001:db8:1::10
for p in db job; do
	netpol shop/$p <<YAML
podSelector: {matchLabels: {app: $p}}
policyTypes: [Ingress, Egress]
YAML
done

step "what the limit leaves out is a gap record of the pod, others keep theirs"
agent_start --log-rate 0
burst shop/web "${ADDR4[shop/db]}" 1000 400 1
blocked shop/job tcp out 81
logged "port == 81 and src == 'shop/job'" || fail "another pod's record is missing"
for i in 1 2; do eventually logged "action == 'gap'" && break; done
logged "action == 'gap' and r['gap.reason'] == 'rate-limit' and r['k8s.pod.name'] == 'db' and
	r['evidence.lost'] > 0 and r['pod.address'] == '${ADDR4[shop/db]}' and
	r['policy.verdict'] == 'denied'" || fail "no gap of the pod"

# balanced: the books of status, the kernel and the log are at rest and agree
balanced() {
	"$BULKHEAD" --control "$CONTROL" status -o json >"$WORK/status.json"
	nft -j list counters table inet bulkhead >"$WORK/counters.json"
	{ cat "$FLOW_LOG".* "$FLOW_LOG" 2>/dev/null || true; } | python3 -c '
import json, sys
p = json.load(open(sys.argv[1]))["packets"]
kernel = {c["counter"]["name"]: c["counter"]["packets"]
          for c in json.load(open(sys.argv[2]))["nftables"] if "counter" in c}
records = [json.loads(l) for l in sys.stdin]
boot = records[-1]["event.boot"]
mine = [r for r in records if r["event.boot"] == boot]
counted = sum(r.get("flow.count", 0) for r in mine if r["event.action"] == "flow-denied")
gaps = sum(r.get("evidence.lost", 0) for r in mine if r["event.action"] == "gap")
print(p, kernel, counted, gaps)
assert p["pending"] == p["in_flight"] == p["lost"] == 0
assert p["denied"] == p["recorded"] + p["suppressed"]
assert p["recorded"] == counted
assert p["suppressed"] == gaps
assert kernel["denied"] - int(sys.argv[3]) == p["denied"]
assert kernel["logged"] - int(sys.argv[4]) == p["logged"]
for boot in {r["event.boot"] for r in records}:
    seq = [r["event.sequence"] for r in records if r["event.boot"] == boot]
    assert seq == list(range(1, len(seq) + 1)), seq
' "$WORK/status.json" "$WORK/counters.json" "$1" "$2" >"$WORK/log/balance" 2>&1
}
counted() { nft list counter inet bulkhead "$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }

step "the books balance, also when the kernel's limit holds packets back"
agent_stop
before="$(counted denied) $(counted logged)"
agent_start --log-rate 10
burst shop/web "${ADDR4[shop/db]}" 2000 300 1
burst shop/api "${ADDR6[shop/db]}" 2000 1 5
[ "$(status .packets.suppressed)" -gt 0 ] || fail "nothing was suppressed: $(status .packets)"
for i in 1 2 3; do
	for k in $(seq 40); do balanced $before && break 2 || sleep 0.1; done
done
balanced $before || fail "$(cat "$WORK/log/balance")"
logged "action == 'gap' and r['gap.reason'] == 'kernel-rate-limit' and r['evidence.lost'] > 0" ||
	fail "the kernel's limit is not in the log"

step "rotation: no record is lost between the files"
mv "$FLOW_LOG" "$FLOW_LOG.1"
blocked shop/web tcp shop/db 6001
kill -HUP "$AGENT_PID"
eventually test -e "$FLOW_LOG"
blocked shop/web tcp shop/db 6002
eventually logged "port == 6002"
never_logged "port == 6001"
eventually balanced $before

step "bulkhead flows shows the same, filtered"
flows() { "$BULKHEAD" --control "$CONTROL" flows -o json "$@"; }
boot=$(tail -n 1 "$FLOW_LOG" | python3 -c 'import json,sys; print(json.load(sys.stdin)["event.boot"])')
cat "$FLOW_LOG.1" "$FLOW_LOG" | grep "\"$boot\"" >"$WORK/all.json"
flows >"$WORK/shown.json"
diff "$WORK/all.json" "$WORK/shown.json" || fail "memory and file differ"
burst lab/tool "${ADDR4[shop/db]}" 6003 1 1
blocked shop/job tcp out 6004
eventually logged "port == 6004 and r['network.type'] == 'ipv6'"
# only FILTER... : the destination ports that are left, each once
only() {
	flows "$@" | python3 -c '
import json, sys
print(*sorted({p for p in (json.loads(l).get("destination.port", 0) for l in sys.stdin) if p > 6000}))'
}
[ "$(only --pod lab)" = 6003 ] || fail "--pod lab: $(only --pod lab)"
[ "$(only --pod lab/tool)" = 6003 ] || fail "--pod lab/tool"
[ "$(only --pod shop/job)" = 6004 ] || fail "--pod shop/job"
[ "$(only --pod shop/db)" = "6001 6002 6003" ] || fail "--pod shop/db: $(only --pod shop/db)"
[ "$(only --pod shop)" = "6001 6002 6003 6004" ] || fail "--pod shop"
[ "$(only --verdict denied --since 1h)" = "6001 6002 6003 6004" ] || fail "--verdict denied"
[ -z "$(only --verdict audit)" ] || fail "--verdict audit"
[ -z "$(only --since 2100-01-01T00:00:00Z)" ] || fail "--since"
[ "$(only --file "$FLOW_LOG" --pod shop/db)" = "6002 6003" ] || fail "--file"
"$BULKHEAD" --control "$CONTROL" flows --pod lab | grep 'lab/tool.*shop/db' >"$WORK/log/text" || fail "as text"
