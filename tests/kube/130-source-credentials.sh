# Permissions, tokens and certificates that are missing, wrong, or change.
. ./lib.sh
server_node_up
relay_start
remote_pod shop/p1 192.0.2.1 2001:db8::1 app=web

step "a permission that was never there: named, and the rest is told"
agent_account
agent_may 1 '["get"]'
mark
"$BH_BUILD/tests/tools/kube" watch --kubeconfig "$AGENT_CONFIG" >"$SOURCE_LOG" &
SOURCE_PID=$!
told 'event == "problem" and re.search("(list|watch) networkpolicies", text)'
told 'key == "shop/p1"'
never_told 'event == "synced"'

step "given: in sync without a restart"
agent_may_again
told 'event == "synced"'
same

step "the verb watch is taken away: named, and nothing is forgotten"
mark
agent_may 0 '["get", "list"]'
relay drop
told 'event == "problem" and "watch pods" in text'
never_told 'event == "delete"'
mark
agent_may_again
told 'event == "problem" and not text'
remote_pod shop/p2 192.0.2.2 2001:db8::2 app=web
same

step "a token that the server does not know: said, and nothing is forgotten"
mark
echo nonsense >"$AGENT_TOKEN"
relay drop
told 'event == "problem" and "does not accept our credentials" in text'
remote_pod shop/p3 192.0.2.3 2001:db8::3 app=web

step "a new one in the same file is used without being told"
token_new
same

step "a server with a certificate of another CA is not believed"
mark
ca other-ca
certificate server /CN=kube-apiserver other-ca
kubeconfig "$ADMIN" "$(by_certificate admin)" "" "$SERVER_DIR/other-ca.crt"
apiserver_kill
apiserver_start
told 'event == "problem" and "certificate" in text'
never_told 'event == "delete"'
remote_pod shop/p4 192.0.2.4 2001:db8::4 app=web

step "until the file of the CA is the new one"
cp "$SERVER_DIR/other-ca.crt" "$AGENT_CA"
same

step "nor is one whose name is another"
mark
SERVER_NAMES=DNS:elsewhere.example
certificate server /CN=elsewhere.example other-ca
kubeconfig "$ADMIN" "$(by_certificate admin)" "" "$SERVER_DIR/other-ca.crt"
sed -i "s|server: |tls-server-name: elsewhere.example, &|" "$ADMIN"
apiserver_kill
apiserver_start
told 'event == "problem" and re.search("name|match", text)'
