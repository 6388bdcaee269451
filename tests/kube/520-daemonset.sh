# The package installed as people do: its image run by the DaemonSet with its account,
# its rights and no others; and replaced while the rules stay in force.
. ./clusterlib.sh
cluster_up
[ -x /usr/bin/dpkg-query ] || skip "the image is made from Debian's packages"
version=$("$BULKHEAD" version | awk 'NR == 1 { print $NF }')
../../packaging/image.sh "$WORK/image.tar" "bulkhead:$version" >"$WORK/log/image" 2>&1 ||
	fail "no image: $(tail -n 5 "$WORK/log/image")"
node_ctr images import "$WORK/image.tar" >/dev/null || fail "the image is not taken"
rm "$WORK/image.tar"
# Where the package looks for the runtime.
mkdir -p /run/containerd
ln "$CRI_SOCKET" /run/containerd/containerd.sock

apply <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: $CLUSTER_AGNHOST, command: [/agnhost, netexec, --http-port=8080]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: client, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: $CLUSTER_AGNHOST, command: [/agnhost, pause]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: other, labels: {app: other}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: $CLUSTER_AGNHOST, command: [/agnhost, pause]}
YAML

step "kubectl apply -k: its pod runs and becomes ready"
kubectl apply -k "$PACKAGED" >/dev/null || fail "it is not applied"
# In cluster, the API server is at its Service's address, which kube-proxy makes.
kubectl rollout status -n bulkhead daemonset/bulkhead --timeout=90s >"$WORK/log/rollout" 2>&1 ||
	fail "$(kubectl describe pods -n bulkhead | tail -n 30; kubectl logs -n bulkhead daemonset/bulkhead | tail -n 20)"
kubectl wait -n shop --for=condition=Ready pod --all --timeout=60s >/dev/null || fail "no pods"
find_pods shop
agent_pod() { kubectl get pods -n bulkhead -o name | head -n 1; }
in_agent() { kubectl exec -n bulkhead "$(agent_pod)" -- "$@"; }

step "a policy is in force, and status in the pod says so"
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]
YAML
in_agent bulkhead status --wait --timeout 20 --policy shop/web@1 >/dev/null || fail "it is not in force"
open shop/client tcp shop/web 8080
blocked shop/other tcp shop/web 8080

step "replaced while somebody tries all the time"
echo "tcp ${ADDR4[shop/web]} 8080 blocked" >"$WORK/denied"
spawn shop/other "$PROBE" matrix -t 200 -n 0 <"$WORK/denied" >"$WORK/log/denied" 2>&1
denied=$!
before=$(agent_pod)
kubectl rollout restart -n bulkhead daemonset/bulkhead >/dev/null
kubectl rollout status -n bulkhead daemonset/bulkhead --timeout=90s >"$WORK/log/rollout" 2>&1 ||
	fail "$(cat "$WORK/log/rollout")"
[ "$(agent_pod)" != "$before" ] || fail "it is the same pod"
kill -TERM $denied
wait $denied || fail "denied, and got through: $(tail -n 3 "$WORK/log/denied")"
tail -n 1 "$WORK/log/denied"
open shop/client tcp shop/web 8080

step "uninstalled: the rules stay until they are removed"
kubectl delete -k "$PACKAGED" --timeout=60s >"$WORK/log/delete" 2>&1 || fail "$(cat "$WORK/log/delete")"
blocked shop/other tcp shop/web 8080
"$BULKHEAD" cleanup --control "$CONTROL" >"$WORK/log/cleanup" 2>&1 || fail "$(cat "$WORK/log/cleanup")"
open shop/other tcp shop/web 8080
