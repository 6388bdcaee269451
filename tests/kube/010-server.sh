# The server, and the relay before it, that the other cases rest upon.
. ./lib.sh
server_node_up
relay_start

step "it is a real one: of the version asked for, with TLS and RBAC"
kubectl version -o json | grep '"gitVersion": "v[1-9]' >/dev/null || fail "no version"
kubectl get namespace shop >/dev/null
certificate nobody /CN=nobody
kubeconfig "$WORK/nobody.conf" "$(by_certificate nobody)"
said=$(kubectl --kubeconfig "$WORK/nobody.conf" get pods -A 2>&1) && fail "nobody may list pods"
grep -q 'User "nobody" cannot list resource "pods"' <<<"$said" || fail "$said"

step "a pod has the addresses that its status says"
pod shop/web 11 app=web
[ "$(kubectl get pod -n shop web -o 'jsonpath={.status.podIPs[*].ip}')" = "10.244.0.11 fd00:244::11" ] ||
	fail "$(kubectl get pod -n shop web -o yaml)"

kubeconfig "$WORK/relay.conf" "$(by_certificate admin)" "$RELAY_URL"
through() { kubectl --kubeconfig "$WORK/relay.conf" --request-timeout "$@" >"$WORK/through" 2>&1; }
watch_pods() {
	kubectl --kubeconfig "$WORK/relay.conf" get pods -A --watch -o name >"$WORK/watch" 2>&1 &
	WATCH=$!
	eventually grep -q pod/web "$WORK/watch"
}

step "the relay forwards"
through 5s get pod -n shop web || fail "$(cat "$WORK/through")"

step "hold: nothing moves and nothing ends, and it comes later"
watch_pods
relay hold
pod_object "$NODE_NAME" shop/web color=red
sleep 0.5
kill -0 $WATCH || fail "the connection ended"
[ "$(grep -c pod/web "$WORK/watch")" = 1 ] || fail "it came through: $(cat "$WORK/watch")"
through 1s get pod -n shop web && fail "a new connection came through"
relay pass
eventually sh -c "[ \$(grep -c pod/web '$WORK/watch') -ge 2 ]"

step "delay: it takes that long"
relay delay 300
start=$(date +%s%N)
through 20s get --raw /version || fail "$(cat "$WORK/through")"
[ $(($(date +%s%N) - start)) -ge 600000000 ] || fail "it took less than two ways"
relay pass

step "cut: what is open ends, in the middle of an answer"
relay cut 100
pod_object "$NODE_NAME" shop/web color=blue
eventually eval "! kill -0 $WATCH"
through 5s get pod -n shop web || fail "$(cat "$WORK/through")"

step "off: refused, and it comes back"
relay off
through 5s get pod -n shop web && fail "it came through"
grep -q refused "$WORK/through" || fail "$(cat "$WORK/through")"
relay pass
through 5s get pod -n shop web || fail "$(cat "$WORK/through")"
