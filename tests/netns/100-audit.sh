# Audit lets pass and says what it would have denied, and loosens nothing else.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:5432
deny_all='podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]'

step "an audited policy alone: open, and logged as audit"
netpol shop/db "bulkhead.dev/mode: audit" <<<"$deny_all"
agent_start
open shop/web tcp shop/db 80
eventually grep -q flow-audit-denied "$FLOW_LOG"
grep -q '"flow-denied"' "$FLOW_LOG" && fail "something was denied"

step "beside an enforced policy, what that one denies stays denied"
netpol shop/enforced <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- ports: [{port: 80}]
YAML
settle
open shop/web tcp shop/db 80
blocked shop/web tcp shop/db 5432

step "an established connection is not cut by audit"
stream live shop/web tcp "${ADDR4[shop/db]}" 80
netpol shop/db "bulkhead.dev/mode: audit" <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
YAML
settle
stream_lives live

step "a whole agent in audit denies nothing"
agent_stop
unpolicy shop.enforced
netpol shop/db <<<"$deny_all"
agent_start --mode audit
open shop/web tcp shop/db 5432
[ "$(status .packets.denied)" = 0 ] || fail "denied: $(status .packets)"
