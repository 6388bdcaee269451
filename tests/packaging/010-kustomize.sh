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
