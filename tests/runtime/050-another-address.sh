# A pod that is started again has another address: rules follow it, and the old
# address means nothing any more.
. ./lib.sh
. ./shop.sh
node_up
shop_pods
shop_policies
agent_start
open shop/api tcp shop/db 5432

step "db starts again"
old4=${ADDR4[shop/db]} old6=${ADDR6[shop/db]}
pod_gone shop/db
POD_OPTIONS="--uid second" pod shop/db app=db
[ "${ADDR4[shop/db]}" != "$old4" ] || fail "the address is the same"
serve shop/db tcp:5432
in_kernel in4 "${ADDR4[shop/db]}"
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432
eventually not_in_kernel in4 "$old4"
eventually not_in_kernel in6 "$old6"

step "api starts again: what was allowed to it is allowed to it now"
old4=${ADDR4[shop/api]}
pod_gone shop/api
POD_OPTIONS="--uid second" pod shop/api app=api
open shop/api tcp shop/db 5432

step "whoever gets the old address gets nothing with it"
in_pod shop/other ip addr add "$old4/24" dev eth0
got=$(in_pod shop/other "$PROBE" try -t $BLOCKED_MS -s "$old4" tcp "${ADDR4[shop/db]}" 5432 || true)
[ "$got" = timeout ] || fail "the old address of api is let in: $got"

step "a pod that stays and is attempted again: its newest sandbox counts"
first=$(sandbox shop/api)
cri stop "$first"
POD_OPTIONS="--uid second --attempt 1" pod shop/api app=api
open shop/api tcp shop/db 5432
cri rm "$first"
open shop/api tcp shop/db 5432
