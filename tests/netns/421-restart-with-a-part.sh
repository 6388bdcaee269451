# A restart whose sources do not all answer: what was in force stays, and new pods are
# closed as far as policies are known.
. ./lib.sh
node_up ptp
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/tool 13 app=tool
serve shop/web tcp:80
serve shop/db tcp:80
serve shop/tool tcp:80
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
YAML
agent_start
open shop/web tcp shop/db 80
blocked shop/tool tcp shop/db 80
agent_kill
before=$(nft -s list table inet bulkhead)

step "policies were opened, tightened and widened meanwhile: nothing changes for pods that were there"
unpolicy shop.db
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Ingress]
YAML
netpol shop/new <<YAML
podSelector: {matchLabels: {app: new}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
YAML
agent_exec --runtime unix://$WORK/no-runtime.sock
eventually eval 'status .not_ready | grep -q "source cri is not in sync yet, the rules found in the kernel stay in force"'
[ "$(nft -s list table inet bulkhead)" = "$before" ] || fail "the rules were touched"
open shop/web tcp shop/db 80
blocked shop/tool tcp shop/db 80
open shop/tool tcp shop/web 80

step "a new pod is closed by the policy that is known"
pod shop/new 14 app=new
serve shop/new tcp:80
eventually eval "[ \"\$(try_one 4 $BLOCKED_MS shop/tool tcp shop/new 80)\" = timeout ]"
blocked shop/tool tcp shop/new 80
open shop/web tcp shop/new 80
blocked shop/tool tcp shop/db 80
open shop/web tcp shop/db 80

step "the table goes: nothing is in force, so what is known is enforced"
nft delete table inet bulkhead
eventually eval 'status .not_ready | grep -q "what is known without it is in force"'
blocked shop/tool tcp shop/web 80
blocked shop/tool tcp shop/new 80
open shop/tool tcp shop/db 80
agent_stop

step "all sources are there again"
agent_start
blocked shop/tool tcp shop/web 80
open shop/tool tcp shop/db 80
