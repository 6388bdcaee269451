# The runtime is killed: rules stay, it is said, and what happened is found later.
. ./lib.sh
. ./shop.sh
node_up
shop_pods
shop_policies
agent_start
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432
rules() { nft -s list table inet bulkhead | sed -E 's/(packets|bytes) [0-9]+/\1 N/g'; }
before=$(rules)
api4=${ADDR4[shop/api]}

step "containerd is killed: the rules stay and status says why"
containerd_kill
eventually eval "status .problems | grep -q 'does not answer'"
[ "$(rules)" = "$before" ] || fail "the rules changed"
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432

step "meanwhile a pod dies"
kill -KILL "$(pgrep -P "$(pgrep -f "containerd-shim.*$(sandbox shop/api)" | head -n 1)")"

step "policies still take effect"
netpol shop/other <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: other}}}]
YAML
eventually eval "[ \"\$(try_one 4 500 shop/other tcp shop/db 5432)\" = open ]"
unpolicy shop.other
eventually eval "[ \"\$(try_one 4 500 shop/other tcp shop/db 5432)\" = timeout ]"

step "containerd is back: the dead pod is gone from the kernel, the problem is over"
containerd_start
eventually not_in_kernel in4 "$api4"
eventually eval "status .problems | grep -qv 'does not answer'"
pod shop/api2 app=api
in_kernel in4 "${ADDR4[shop/api2]}"
open shop/api2 tcp shop/db 5432
blocked shop/other tcp shop/db 5432
