# An address that goes to another pod takes neither rules nor connections along, and
# a record names who had it.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 udp:53
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
YAML
agent_start
"$BULKHEAD" --control "$CONTROL" flows --follow -o json >"$WORK/log/follow" 2>&1 &
stream old shop/web udp "${ADDR4[shop/db]}" 53

step "the pod goes, another one gets its address"
rm "$POLICIES/pod-shop.web.yaml"
ADDR4[shop/thief]=${ADDR4[shop/web]} ADDR6[shop/thief]=${ADDR6[shop/web]}
pod_manifest shop/thief app=thief
settle
stream_is_cut old
got=$(in_pod shop/web "$PROBE" try -t 400 tcp "${ADDR4[shop/db]}" 80 || true)
[ "$got" = timeout ] || fail "the new pod is $got"

step "the record names the new one, the follower saw it come"
eventually grep -q '"source.k8s.pod.name":"thief"' "$FLOW_LOG"
eventually grep -q '"thief"' "$WORK/log/follow"
grep -q pod-unbound "$WORK/log/follow" || fail "no pod-unbound: $(cat "$WORK/log/follow")"

step "and back: at once"
rm "$POLICIES/pod-shop.thief.yaml"
pod_manifest shop/web app=web
settle
open shop/web tcp shop/db 80
