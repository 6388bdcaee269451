# A manifest of which nothing is known: not ready, with the others in force, and the rules that
# the kernel has where there are any; never "the last good version".
. ./lib.sh
FAMILIES=4 BLOCKED_MS=200
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80
deny() {
	netpol shop/deny <<YAML
podSelector: {}
policyTypes: [Ingress]
YAML
}
FILE=$POLICIES/bad.yaml
forget() { rm -f "$CONTROL".*cache; }
BAD=(not_yaml of_another broken_pod)
not_yaml() { echo "spec: [" >"$FILE"; }
of_another() { deny_text >"$FILE"; chown 4711 "$FILE"; chmod 0600 "$FILE"; }
misspelt_kind() { deny_text | sed 's/NetworkPolicy/NetworkPolicey/' >"$FILE"; }
broken_pod() { sed 's/labels:/lables:/' "$POLICIES/pod-shop.db.yaml" >"$FILE"; }
deny_text() { cat "$WORK/deny"; }
deny
cp "$POLICIES/policy-shop.deny.yaml" "$WORK/deny"
check_fails() {
	local rc=0
	"$BULKHEADD" --policies "$POLICIES" --check-config >"$WORK/log/check" 2>&1 || rc=$?
	[ $rc = 1 ] || fail "$1: --check-config exits with $rc: $(cat "$WORK/log/check")"
	grep -q bad.yaml "$WORK/log/check" || fail "$1: $(cat "$WORK/log/check")"
}
# not_ready WHEN: it says why, `status` exits with 1, and the deny is in force
not_ready() {
	eventually eval 'status .not_ready | grep -q "bad.yaml"'
	"$BULKHEAD" --control "$CONTROL" status >"$WORK/log/status" && fail "$1: status exits with 0"
	! grep -q "last good" "$WORK/log/status" || fail "$1: $(cat "$WORK/log/status")"
	eventually in_kernel in4 "${ADDR4[shop/db]}"
	blocked shop/web tcp shop/db 80
}
for bad in "${BAD[@]}"; do
	step "$bad: a first start"
	$bad
	check_fails "$bad"
	agent_exec
	not_ready "$bad"
	step "$bad: a restart of which nothing is known but the rules"
	agent_stop
	forget
	mv "$POLICIES/policy-shop.deny.yaml" "$FILE.away"
	agent_exec
	sleep 1.5
	not_ready "$bad"
	mv "$FILE.away" "$POLICIES/policy-shop.deny.yaml"
	rm "$FILE"
	eventually eval '[ "$(status .ready)" = true ]'
	[ "$(status .problems)" = "[]" ] || fail "$bad: $(status .problems)"
	agent_stop
	forget
	"$BULKHEAD" --control "$CONTROL" cleanup --yes >/dev/null 2>&1 || nft delete table inet bulkhead
done

step "damaged: what was in force is not known, and said so"
agent_start
agent_stop
state=$(echo "$CONTROL".*cache)
echo x >>"$state"
not_yaml
agent_exec
not_ready "damaged"
status .problems | grep -q "manifests.cache" || fail "$(status .problems)"
agent_stop
forget
rm "$FILE"

step "killed before a change was written: what it was about is not known, and its rules stay"
unpolicy shop.deny
agent_start
eventually test -s "$(echo "$CONTROL").manifests.cache"
cp "$CONTROL.manifests.cache" "$WORK/before"
deny
eventually in_kernel in4 "${ADDR4[shop/db]}"
agent_kill
cp "$WORK/before" "$CONTROL.manifests.cache"
echo "spec: [" >"$POLICIES/policy-shop.deny.yaml"
agent_exec
eventually eval 'status .not_ready | grep -q "shop.deny.yaml"'
sleep 1.5
blocked shop/web tcp shop/db 80
