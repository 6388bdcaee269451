# A source that never answers does not keep the others out, on a node without rules.
. ./lib.sh
node_up ptp
pod shop/web 11 app=web
pod shop/db 12 app=db
pod other/tool 13 app=tool
serve shop/db tcp:80
serve shop/web tcp:80
serve other/tool tcp:80
serve node tcp:8080
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML
cat >"$WORK/kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: x}}]
YAML
api_away=(--kubeconfig "$WORK/kubeconfig" --allow-plain-http yes --node n1)
# Somebody else tracks connections already, as kube-proxy does.
nft -f - <<NFT
table inet tracker { chain c { type filter hook forward priority 10; ct state new counter; }; }
NFT
open shop/web tcp shop/db 80
stream live shop/web tcp "${ADDR4[shop/db]}" 80

step "the folder's policy is enforced, the agent is not ready and says what is missing"
agent_exec "${api_away[@]}"
eventually eval "[ \"\$(try_one 4 $BLOCKED_MS shop/web tcp shop/db 80)\" = timeout ]"
blocked shop/web tcp shop/db 80
open shop/db tcp other/tool 80
[ "$(status .ready)" = false ] || fail "it says that it is ready"
[ "$(status .in_sync)" = false ] || fail "it says that it is in sync"
status .not_ready | grep -q "source kube is not in sync yet, what is known without it is in force" ||
	fail "it does not say what is missing: $(status .not_ready)"
logged 'action == "flow-denied" and dst == "shop/db"' >/dev/null || fail "no record of what is denied"

step "what follows is followed, and the missing source cuts nothing yet"
netpol other/tool <<YAML
podSelector: {}
policyTypes: [Ingress]
YAML
eventually eval "[ \"\$(try_one 4 $BLOCKED_MS shop/db tcp other/tool 80)\" = timeout ]"
stream_lives live
agent_kill

step "a restart holds what was in force, and new policies of the folder close still"
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
YAML
agent_exec "${api_away[@]}"
eventually eval 'status .not_ready | grep -q "the rules found in the kernel stay in force"'
blocked shop/db tcp other/tool 80
blocked shop/web tcp node 8080
open shop/db tcp shop/web 80
agent_stop
nft delete table inet bulkhead
unpolicy shop.web

step "default deny needs no source that answers"
unpolicy shop.db
unpolicy other.tool
agent_exec "${api_away[@]}" --default-deny both
eventually eval "[ \"\$(try_one 4 $BLOCKED_MS shop/db tcp other/tool 80)\" = timeout ]"
blocked shop/web tcp shop/db 80
blocked shop/db tcp shop/web 80
agent_kill
