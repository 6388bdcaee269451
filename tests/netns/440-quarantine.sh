# An operator cuts a pod off: every connection of it ends, both ways and whatever policies
# allow, nothing new opens, and it stays so over a crash until it is released or its time is
# over.
. ./lib.sh
node_up "${NODE_KIND:-bridge}"
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/twin 13 app=db
outside 192.0.2.10 2001:db8::10
serve shop/web tcp:80 tcp:90
serve shop/db tcp:80 tcp:90
serve shop/twin tcp:80
serve out tcp:80
quarantine() { "$BULKHEAD" --control "$CONTROL" quarantine "$@" || fail "not set: $*"; }
release() { "$BULKHEAD" --control "$CONTROL" release "$@" || fail "not released: $*"; }
# The first word that anything asks: an Admin tier that allows it all.
policy admin <<YAML
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: everything}
spec:
  priority: 0
  subject: {namespaces: {}}
  ingress:
  - {name: all, action: Allow, from: [{namespaces: {}}]}
  egress:
  - {name: all, action: Allow, to: [{namespaces: {}}, {networks: [0.0.0.0/0, "::/0"]}]}
YAML
agent_start --metrics 127.0.0.1:9633
for f in 4 6; do
	declare -n addr=ADDR$f
	stream to$f shop/web tcp "${addr[shop/db]}" 80
	stream from$f shop/db tcp "${addr[shop/web]}" 80
	stream twin$f shop/web tcp "${addr[shop/twin]}" 80
done

step "what lives is cut, both ways, and nothing is new"
quarantine shop/db --reason "talks to a miner"
for f in 4 6; do
	stream_is_cut to$f
	stream_is_cut from$f
	stream_lives twin$f
done
blocked shop/web tcp shop/db 90
blocked shop/db tcp shop/web 90
blocked shop/db tcp out 80
open node tcp shop/db 80

step "it is told"
"$BULKHEAD" --control "$CONTROL" status >"$WORK/text" || fail "not ready: $(cat "$WORK/text")"
grep -q "shop/db: 1 pod: talks to a miner" "$WORK/text" || fail "$(cat "$WORK/text")"
[ "$(status .quarantines.0.by)/$(status .quarantines.0.pods)" = operator/1 ] ||
	fail "$(status .quarantines)"
curl -s http://127.0.0.1:9633/metrics >"$WORK/metrics"
grep -qx 'bulkhead_quarantines{by="operator"} 1' "$WORK/metrics" || fail "no metric"
eventually logged "action == 'quarantine-set' and r['quarantine.target'] == 'shop/db' and
	r['quarantine.by'] == 'operator' and r['quarantine.user'] == 0 and
	r['quarantine.reason'] == 'talks to a miner'"
eventually logged "r['policy.reason'] == 'quarantine' and dst == 'shop/db' and dir == 'ingress' and
	r['policy.rule']['kind'] == 'Quarantine'"
eventually logged "r['policy.reason'] == 'quarantine' and src == 'shop/db' and dir == 'egress'"
"$BULKHEAD" --control "$CONTROL" explain shop/web shop/db 80 >"$WORK/text" && fail "allowed"
grep -q "denied by the quarantine of shop/db" "$WORK/text" || fail "$(cat "$WORK/text")"

step "a crash changes nothing"
agent_kill
blocked shop/web tcp shop/db 90
agent_start
blocked shop/web tcp shop/db 90
blocked shop/db tcp shop/web 90
open shop/web tcp shop/twin 80
[ "$(status .quarantines.0.reason)" = "talks to a miner" ] || fail "$(status .quarantines)"

step "only what is allowed stays in reach"
quarantine shop/db --allow "${ADDR4[shop/web]}/32" --allow "${ADDR6[shop/web]}/128"
open shop/web tcp shop/db 80
open shop/db tcp shop/web 80
blocked shop/db tcp out 80

step "released"
release shop/db
open shop/db tcp out 80
eventually logged "action == 'quarantine-released' and r['quarantine.target'] == 'shop/db'"
"$BULKHEAD" --control "$CONTROL" release shop/db 2>"$WORK/text" && fail "released twice"
grep -q "no operator set a quarantine" "$WORK/text" || fail "$(cat "$WORK/text")"

step "by labels, for a while, in spite of a stop meanwhile"
quarantine shop/app=db --for 4s
blocked shop/db tcp out 80
blocked shop/web tcp shop/twin 80
agent_stop
sleep 4
agent_start
open shop/web tcp shop/twin 80
open shop/db tcp out 80
eventually logged "action == 'quarantine-released' and r['quarantine.by'] == 'time'"
quarantine shop/app=db --for 1s
eventually eval '[ "$(status .quarantines)" = "[]" ]'
