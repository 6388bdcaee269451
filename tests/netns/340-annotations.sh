# Where an annotation counts is the configuration's affair, and what does not count is said.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod ops/tool 13 app=tool
serve shop/db tcp:80
serve ops/tool tcp:80
netpol shop/db "bulkhead.dev/mode: audit" <<YAML
podSelector: {matchLabels: {app: db}}
YAML
netpol ops/tool "bulkhead.dev/mode: audit" <<YAML
podSelector: {}
policyTypes: [Ingress]
YAML
namespace shop
namespace ops

step "a policy's own audit, by default"
agent_start
open shop/web tcp shop/db 80
[ "$(status .ignored_annotations)" = "[]" ] || fail "ignored: $(status .ignored_annotations)"
agent_stop

step "nowhere"
agent_start --annotations mode=none
blocked shop/web tcp shop/db 80
blocked shop/web tcp ops/tool 80
[ "$(status .ignored_annotations_total)" = 2 ] || fail "$(status .ignored_annotations)"
"$BULKHEAD" --control "$CONTROL" status | grep -q \
	"NetworkPolicy shop/db: bulkhead.dev/mode: ignored: the configuration says" ||
	fail "not in the text: $("$BULKHEAD" --control "$CONTROL" status)"
"$BULKHEAD" sim explain shop/web shop/db 80 "$POLICIES" --annotations mode=none \
	>"$WORK/sim" 2>/dev/null || [ $? = 1 ] || fail "no answer"
grep -q "enforced as its annotation" "$WORK/sim" || fail "not explained: $(cat "$WORK/sim")"
agent_stop

step "in trusted namespaces"
agent_start --annotations trusted-namespaces --trusted-namespace ops --metrics 127.0.0.1:9633
blocked shop/web tcp shop/db 80
open shop/web tcp ops/tool 80
curl -s http://127.0.0.1:9633/policies |
	grep -q '"annotation": *"bulkhead.dev/mode"' || fail "not in /policies"
agent_stop

step "a namespace's audit leaves the default deny of the agent alone"
namespace shop "bulkhead.dev/mode: audit" "bulkhead.dev/default-deny: none"
namespace ops "bulkhead.dev/mode: audit"
unpolicy shop.db
unpolicy ops.tool
agent_start --default-deny ingress --trusted-namespace ops
blocked shop/web tcp shop/db 80
open shop/web tcp ops/tool 80
eventually logged "action == 'flow-audit-denied' and dst == 'ops/tool'"
[ "$(status .ignored_annotations_total)" = 2 ] || fail "$(status .ignored_annotations)"

step "the simulator says the same"
"$BULKHEAD" sim eval shop/web shop/db 80 "$POLICIES" --default-deny ingress \
	--trusted-namespace ops >"$WORK/sim" 2>"$WORK/sim.err" && fail "allowed: $(cat "$WORK/sim")"
grep -q "Namespace shop: annotation bulkhead.dev/default-deny: ignored" "$WORK/sim.err" ||
	fail "not said: $(cat "$WORK/sim.err")"
"$BULKHEAD" sim eval shop/web ops/tool 80 "$POLICIES" --default-deny ingress \
	--trusted-namespace ops >/dev/null || fail "denied"
"$BULKHEAD" sim eval shop/web shop/db 80 "$POLICIES" --default-deny ingress \
	--annotations all >/dev/null || fail "denied, although all may"
