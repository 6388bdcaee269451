# The API goes away: what was known stays in force, new pods too, and when it is
# back one list makes up the difference.
. ./lib.sh
. ../runtime/shop.sh
server_node_up
relay_start
shop_pods
shop_policies
agent_start
open shop/api tcp shop/db 5432
stream api shop/api tcp "${ADDR4[shop/db]}" 5432
# What decides, without the counts and the limits that packets leave behind.
rules() {
	nft -s list table inet bulkhead | sed -E 's/(packets|bytes) [0-9]+/\1 N/g' |
		sed '/^\tset lim_/,/^\t}/d'
}
before=$(rules)
eventually test -e "$WORK/state/kube.cache"

step "gone: said once it is noticed, and nothing changes"
relay off
eventually eval "status .problems | grep -q 7443"
[ "$(rules)" = "$before" ] || fail "the rules changed"
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432
stream_lives api

step "killed and started without it: the last state is used, and marked stale"
agent_kill
agent_exec
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432
eventually eval "[ \"\$(status .state.in_use)\" = true ]"
[ "$(status .sources.0.stale)" = true ] || fail "it is not marked stale: $(status .sources)"
[ "$(rules)" = "$before" ] || fail "the rules changed: $(diff <(echo "$before") <(rules))"
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432
stream_lives api

step "meanwhile much happens"
unpolicy shop.web
netpol shop/other <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: other}}}]
YAML
gone4=${ADDR4[shop/web]}
pod_gone shop/web
pod shop/late app=api

step "back: the difference is patched, and what is allowed went on"
relay pass
enforced shop/other
open shop/other tcp shop/db 5432
open shop/late tcp shop/db 5432
eventually not_in_kernel in4 "$gone4"
no_problem 7443
stream_lives api
# An answer can be late on a busy machine; what a rule dropped has a record.
[ "$(grep -c miss "$WORK/log/stream-api")" -lt 3 ] || fail "lost: $(grep -c miss "$WORK/log/stream-api")"
! logged "src == 'shop/api' and dst == 'shop/db' and port == 5432" || fail "an allowed packet was dropped"
exit 0
