# The package's manifests are what a server takes.
. ./lib.sh
server_node_up
agent_account

step "every object, as it would be installed"
n=$(kubectl apply -k "$PACKAGED" --server-side --dry-run=server | tee "$WORK/applied" | wc -l)
[ "$n" -ge 6 ] || fail "only these: $(cat "$WORK/applied")"

step "no field that the server does not know"
kubectl apply -k "$PACKAGED" --server-side --dry-run=server --validate=strict >/dev/null ||
	fail "it is not valid"

step "its account may read what it needs, and nothing else"
may() { kubectl auth can-i --as=system:serviceaccount:bulkhead:bulkhead "$@" -A >/dev/null 2>&1; }
for resource in namespaces nodes pods networkpolicies.networking.k8s.io; do
	for verb in get list watch; do
		may $verb $resource || fail "it may not $verb $resource"
	done
	for verb in create update patch delete; do
		may $verb $resource && fail "it may $verb $resource"
	done
done
for resource in secrets configmaps serviceaccounts services events; do
	may list $resource && fail "it may list $resource"
done

# The Deployment's own command, as its account, against nodes with taints of others as well.
step "the start-up taint is taken from nodes whose agent is ready, and from no others"
kubectl create namespace bulkhead >/dev/null 2>&1 || true
kubectl apply -f "$PACKAGED/startup-taint.yaml" >/dev/null || fail "it cannot be applied"
for n in ready starting bare; do
	kubectl create -f - >/dev/null <<YAML
{apiVersion: v1, kind: Node, metadata: {name: $n}, spec: {taints: [{key: example.com/other, effect: NoSchedule}, {key: bulkhead.dev/not-ready, effect: NoSchedule}]}}
YAML
	[ $n = bare ] && continue
	kubectl create -f - >/dev/null <<YAML
{apiVersion: v1, kind: Pod, metadata: {name: agent-$n, namespace: bulkhead, labels: {app.kubernetes.io/name: bulkhead}},
 spec: {serviceAccountName: bulkhead-startup-taint, nodeName: $n, containers: [{name: main, image: none}]}}
YAML
	kubectl -n bulkhead patch pod agent-$n --subresource=status -p "{\"status\": {\"conditions\": [
		{\"type\": \"Initialized\", \"status\": \"True\"},
		{\"type\": \"Ready\", \"status\": \"$([ $n = ready ] && echo True || echo False)\"}]}}" >/dev/null
done
# The server adds one of its own.
taints() { kubectl get node "$1" -o jsonpath='{.spec.taints[*].key}' | tr ' ' '\n'; }
is_tainted() { taints "$1" | grep -qx bulkhead.dev/not-ready; }
python3 - "$PACKAGED/startup-taint.yaml" >"$WORK/command" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
block = re.search(r"\n( +)- \|\n((?:\1  .*\n)+)", text)
print("\n".join(line[len(block[1]) + 2:] for line in block[2].splitlines()))
PY
cat >"$WORK/as" <<SH
kubectl() { command kubectl --kubeconfig "$ADMIN" --cache-dir "$SERVER_DIR/kubectl" --as=system:serviceaccount:bulkhead:bulkhead-startup-taint "\$@"; }
SH
(cat "$WORK/as" "$WORK/command") >"$WORK/taint.sh"
sh "$WORK/taint.sh" >"$WORK/log/taint" 2>&1 &
taker=$!
LOGS+=("$WORK/log/taint")
eventually eval '! is_tainted ready'
taints ready | grep -qx example.com/other || fail "it took another taint: $(taints ready)"
kill $taker
for n in starting bare; do
	is_tainted $n || fail "$n: $(taints $n)"
done
exit 0
