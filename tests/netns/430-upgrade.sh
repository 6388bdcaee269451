# The table of version 0.1.0 in force: this version takes it over without a moment that
# is more open or that drops what is allowed; also while a source is missing.
. ./lib.sh
. ./data/world-0.1.0.sh
node_up ptp
old_world
nft -f data/table-0.1.0.nft
check_world
stream live shop/web tcp "${ADDR4[shop/db]}" 80
before=$(nft -s list table inet bulkhead)

watch_verdicts web shop/web tcp shop/db 80 open tcp shop/db 5001 open tcp shop/db 5432 blocked
watch_verdicts tool shop/tool tcp shop/db 80 blocked tcp out 80 open tcp out 81 blocked
watch_verdicts free other/free tcp shop/db 80 blocked tcp shop/tool 80 open tcp shop/web 80 open

step "a source is missing: the old table stays as it is"
agent_exec --node n1 --runtime unix://$WORK/no-runtime.sock
eventually eval 'status .not_ready | grep -q "the rules found in the kernel stay in force"'
sleep 0.5
[ "$(nft -s list table inet bulkhead)" = "$before" ] || fail "the rules were touched"
agent_kill

step "taken over in one transaction"
agent_start --node n1
grep -q "found table inet bulkhead, patching it" "$WORK/log/agent" || fail "it was not patched"
in_kernel local4 10.244.0.14 >/dev/null || fail "the table is the old one"
sleep 0.5
verdicts_were_right
stream_lives live
check_world

step "the same where a change of policy comes with it"
agent_kill
nft delete table inet bulkhead
nft -f data/table-0.1.0.nft
unpolicy shop.tool
watch_verdicts web shop/web tcp shop/db 80 open tcp shop/db 5432 blocked
watch_verdicts free other/free tcp shop/db 80 blocked
agent_start --node n1
open shop/tool tcp out 81
verdicts_were_right
stream_lives live
