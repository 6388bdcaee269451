# The plain manifests: what they let the agent do.
. ./lib.sh
found kubernetes ../kube/binaries/build.sh kubectl
kubectl=$kubernetes/kubectl
[ -x "$kubectl" ] || kubectl=$KUBEBUILDER_ASSETS/kubectl
"$kubectl" kustomize "$TOP/packaging/kubernetes" >"$WORK/all" || fail "kustomize"

step "exactly these objects"
kinds=$(sed -n 's/^kind: //p' "$WORK/all" | sort | tr '\n' ' ')
[ "$kinds" = "ClusterRole ClusterRoleBinding ConfigMap DaemonSet Namespace ServiceAccount " ] ||
	fail "$kinds"

step "it may read five kinds and write nothing"
allowed=$(sed -n '/^kind: ClusterRole$/,/^---/p' "$WORK/all" | grep -E '^  - ' | sort -u | tr -d ' \n')
[ "$allowed" = -clusternetworkpolicies-get-list-namespaces-networking.k8s.io-networkpolicies-nodes-pods-policy.networking.k8s.io-watch-'""' ] ||
	[ "$allowed" = -'""'-clusternetworkpolicies-get-list-namespaces-networking.k8s.io-networkpolicies-nodes-pods-policy.networking.k8s.io-watch ] ||
	fail "$allowed"

step "the container has one capability and a root that it cannot write"
sed -n '/^kind: DaemonSet$/,$p' "$WORK/all" >"$WORK/daemonset"
for line in "readOnlyRootFilesystem: true" "allowPrivilegeEscalation: false" \
	"type: RuntimeDefault" "hostNetwork: true" "priorityClassName: system-node-critical"; do
	grep -q "$line" "$WORK/daemonset" || fail "no $line"
done
grep -q "privileged: true" "$WORK/daemonset" && fail "it is privileged"
[ "$(grep -A 5 capabilities: "$WORK/daemonset" | tr -d ' \n')" = \
	"capabilities:add:-NET_ADMINdrop:-ALLreadOnlyRootFilesystem:true" ] ||
	fail "$(grep -A 5 capabilities: "$WORK/daemonset")"

step "the image's version is the program's"
version=$("$BH_BUILD/bulkheadd" --version | awk '{ print $2 }')
grep -q "image: bulkhead:$version$" "$WORK/daemonset" || fail "$(grep image: "$WORK/daemonset")"

step "the agent understands its configuration"
[ "$(id -u)" = 0 ] || skip "manifests checked, the configuration not: its account's files need root"
sed -n '/bulkheadd.yaml: |/,/^kind:/{s/^    //p}' "$WORK/all" >"$WORK/bulkheadd.yaml"
grep -q "^kubeconfig: in-cluster" "$WORK/bulkheadd.yaml" || fail "$(cat "$WORK/all")"
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test -keyout "$WORK/key" -out "$WORK/ca.crt" 2>/dev/null
echo token >"$WORK/token"
in_pod() {
	KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=6443 unshare --mount sh -ec '
		work=$1
		shift
		mount -t tmpfs tmpfs /run
		mkdir -p /run/secrets/kubernetes.io/serviceaccount
		cp "$work/token" "$work/ca.crt" /run/secrets/kubernetes.io/serviceaccount/
		exec "$@"' - "$WORK" "$@"
}
in_pod "$BH_BUILD/bulkheadd" --config "$WORK/bulkheadd.yaml" --node=worker-1 --check-config ||
	fail "it does not"
