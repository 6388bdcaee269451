# Nothing is committed before every source has told what exists.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML
agent_start
blocked shop/web tcp shop/db 80
agent_stop
before=$(nft -s list table inet bulkhead)

step "the policy is gone, but the runtime does not answer: the rules stay"
unpolicy shop.db
agent_exec --runtime unix://$WORK/no-runtime.sock
eventually eval 'status .not_ready | grep -q "source cri"'
[ "$(status .in_sync)" = false ] || fail "it says that it is in sync"
blocked shop/web tcp shop/db 80
[ "$(nft -s list table inet bulkhead)" = "$before" ] || fail "the rules were touched"
eventually eval 'status .problems | grep -q no-runtime.sock'
