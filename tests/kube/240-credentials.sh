# Permissions, tokens and certificates that are missing, wrong, or change.
. ./lib.sh
. ../runtime/shop.sh
server_node_up
relay_start
shop_pods
shop_policies
agent_start
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432

step "the permission to watch is taken away: named, and the last state stays"
agent_may 0 '["get", "list"]'
relay drop
problem "watch pods"
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432

step "given back: followed again"
agent_may_again
no_problem "watch pods"
pod shop/late app=api
eventually in_kernel in4 "${ADDR4[shop/late]}"
open shop/late tcp shop/db 5432

step "a token that nobody knows: said, and the last state stays"
echo nonsense >"$AGENT_TOKEN"
relay drop
problem 401
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432

step "a new one in the same file is read without being told"
token_new
no_problem 401
netpol shop/other <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: other}}}]
YAML
enforced shop/other
open shop/other tcp shop/db 5432

step "a server with a certificate of another CA is not believed"
ca other-ca
certificate server /CN=kube-apiserver other-ca
kubeconfig "$ADMIN" "$(by_certificate admin)" "" "$SERVER_DIR/other-ca.crt"
apiserver_kill
apiserver_start
problem certificate
open shop/api tcp shop/db 5432
blocked shop/web tcp shop/db 5432

step "until the file of the CA is the new one"
cp "$SERVER_DIR/other-ca.crt" "$AGENT_CA"
no_problem certificate
unpolicy shop.other
eventually eval "[ \"\$(try_one 4 500 shop/other tcp shop/db 5432)\" = timeout ]"
open shop/api tcp shop/db 5432
