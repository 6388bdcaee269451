# What the API said last is kept over a restart while it is away.
. ./lib.sh
server_node_up
relay_start
kubeconfig "$WORK/state.conf" "$(by_certificate admin)" "$RELAY_URL"

agent_exec() {
	"$BULKHEADD" --kubeconfig "$WORK/state.conf" --node "$NODE_NAME" --state "$WORK/state" \
		--control "$CONTROL" --flow-log "$FLOW_LOG" --metrics "unix:$WORK/metrics" \
		--log-level debug "${SECCOMP[@]}" >>"$WORK/log/agent" 2>&1 &
	AGENT_PID=$!
}
http() { curl -s --unix-socket "$WORK/metrics" "http://localhost$1"; }
# policies EXPR: of the page's policies p
policies() {
	http /policies | python3 -c '
import json, sys
print(*[eval(sys.argv[1], dict(p=p)) for p in json.load(sys.stdin)["policies"]])' "$1"
}
waits() { "$BULKHEAD" --control "$CONTROL" status --wait --timeout "$1" "${@:2}" >/dev/null 2>&1; }
is_stale() { [ "$(status .sources.0.stale)" = "$1" ]; }

pod shop/web 11 app=web
pod shop/api 12 app=api
pod shop/other 13 app=other
write web <<YAML
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]
YAML
serve shop/web tcp:80
agent_start
open shop/api tcp shop/web 80
blocked shop/other tcp shop/web 80

step "/policies names uid and generation of what is in the kernel"
uid=$(kubectl get networkpolicy -n shop web -o 'jsonpath={.metadata.uid}')
[ "$(policies 'p["uid"], p["generation"], p["pods"], p["enforced"], p["error"]')" = \
	"('$uid', 1, 1, True, None)" ] || fail "$(http /policies)"
waits 5 --policy shop/web@1 || fail "generation 1 is in the kernel"
waits 1 --policy shop/web@2 && fail "there is no generation 2"
waits 1 --policy shop/none && fail "there is no such policy"

step "an API that goes away changes nothing, readiness neither, and is told"
relay off
eventually is_stale true
[ "$(http /readyz)" = ok ] || fail "$(http /readyz)"
[ "$(http /healthz)" = ok ] || fail "$(http /healthz)"
http /metrics | grep '^bulkhead_kube_connected 0' >/dev/null || fail "$(http /metrics)"
open shop/api tcp shop/web 80
blocked shop/other tcp shop/web 80

step "the state is on disk, for nobody else to read"
agent_stop
[ "$(stat -c %a "$WORK/state" "$WORK/state/kube.cache" | xargs)" = "700 600" ] ||
	fail "$(ls -la "$WORK/state")"
[ "$(ls "$WORK/state" | xargs)" = "boot.rules kube.cache" ] || fail "$(ls "$WORK/state")"

step "a restart without the API enforces it, says so, and is not ready"
nft delete table inet bulkhead
agent_exec
eventually eval '[ "$(status .state.in_use)" = true ]'
blocked shop/other tcp shop/web 80
open shop/api tcp shop/web 80
http /readyz | grep 'its state of .* is in force' >/dev/null || fail "$(http /readyz)"
[ "$(http /healthz)" = ok ] || fail "$(http /healthz)"
[ "$(status .sources.0.in_sync)" = false ] || fail "in sync without a server"

step "back again, it learns what changed meanwhile, deletions too"
kubectl patch networkpolicy -n shop web --type=merge -p \
	'{"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]}]}}' >/dev/null
pod_gone shop/api
relay pass
waits 30 --policy shop/web@2 || fail "generation 2 is not in the kernel"
[ "$(status .state.in_use)" = false ] || fail "still in use"
[ "$(status .pods)" = 2 ] || fail "$(status .pods) pods"
open shop/other tcp shop/web 80

step "it is written while the agent runs, not only when it ends"
before=$(stat -c %i "$WORK/state/kube.cache")
eventually eval "[ \$(stat -c %i '$WORK/state/kube.cache') != $before ]"
agent_kill

step "a state that is damaged is refused and named; rules stay"
relay off
sed -i 's/"shop"/"shoq"/' "$WORK/state/kube.cache"
agent_exec
eventually grep -q 'kube.cache.*is damaged' "$WORK/log/agent"
open shop/other tcp shop/web 80
[ "$(status .state.in_use)" = false ] || fail "a damaged state is in use"
relay pass
waits 30 || fail "not ready"
