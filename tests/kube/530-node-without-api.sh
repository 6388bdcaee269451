# A node whose API server is away goes on: what the runtime tells of its pods is
# enforced, for pods that the API has never seen and for those that get another address.
. ./clusterlib.sh
cluster_up
# pod_yaml NAME APP COMMAND...
pod_yaml() {
	local name=$1 app=$2
	shift 2
	cat <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {namespace: shop, name: $name, labels: {app: $app}}
		spec:
		  terminationGracePeriodSeconds: 1
		  containers:
		  - {name: main, image: $CLUSTER_AGNHOST, command: [$(printf '"%s",' "$@")]}
	YAML
}
server=(/agnhost netexec --http-port=8080)
kubectl create namespace shop >/dev/null
pod_yaml web web "${server[@]}" | apply web
pod_yaml client client /agnhost pause | apply client
kubectl wait -n shop --for=condition=Ready pod --all --timeout=60s >/dev/null || fail "no pods"
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}]
YAML
netpol shop/vault <<YAML
podSelector: {matchLabels: {app: vault}}
policyTypes: [Ingress, Egress]
YAML
agent_start
enforced shop/web shop/vault

# sandbox NS/NAME: of its running one, the id; nothing if there is none
sandbox() { cri list | awk -v p="$1" '$2 == p && $3 == "ready" { print $1 }'; }
# find_pod NS/NAME: ADDR4, ADDR6 and the network, as the runtime has them
find_pod() {
	local id
	wait_until 30 "$1 runs" eval "[ -n \"\$(sandbox $1)\" ]" || fail "$(cri list)"
	id=$(sandbox "$1")
	{ read -r "ADDR4[$1]"; read -r "ADDR6[$1]"; } < <(cri ip "$id")
	ln -sfn "$(cri netns "$id")" "/run/netns/${1/\//.}"
}
# static NAME APP: a pod that the kubelet has from a file
static() { pod_yaml "$1" "$2" "${server[@]}" >"$CLUSTER_DIR/static/$1.yaml"; }
answers() { [ "$(try_one 4 500 "$@")" = open ]; }
find_pod shop/web
find_pod shop/client
open shop/client tcp shop/web 8080

step "the API goes away, and two pods start that it knows nothing of"
apiserver_kill
eventually eval "status .problems | grep -q 6443"
static late client
static vault vault
late=shop/late-$NODE_NAME vault=shop/vault-$NODE_NAME
find_pod "$late"
find_pod "$vault"
eventually answers "$late" tcp shop/web 8080
open "$late" tcp shop/web 8080
blocked shop/client tcp "$vault" 8080
blocked "$vault" tcp shop/web 8080
blocked "$vault" tcp shop/client 8080

step "a pod whose sandbox died is enforced, and let in, at its next address"
old=${ADDR4[shop/web]}
cri rm "$(sandbox shop/web)"
eventually eval "[ -n \"\$(sandbox shop/web)\" ]"
find_pod shop/web
[ "${ADDR4[shop/web]}" != "$old" ] || fail "it has the same address"
eventually answers shop/client tcp shop/web 8080
open shop/client tcp shop/web 8080
open "$late" tcp shop/web 8080
blocked "$vault" tcp shop/web 8080
cri rm "$(sandbox shop/client)"
eventually eval "[ -n \"\$(sandbox shop/client)\" ]"
find_pod shop/client
open shop/client tcp shop/web 8080
not_in_kernel in4 "$old"

step "a denied packet is told with who it was"
eventually eval "grep -q '\"source.k8s.pod.name\":\"vault-$NODE_NAME\"' '$FLOW_LOG'"

step "back again: the same pods, and nothing changes for them"
apiserver_start
no_problem 6443
wait_until 100 "the mirror pod is there" kubectl get pod -n shop "late-$NODE_NAME" ||
	fail "the kubelet makes no mirror pod"
"$BULKHEAD" --control "$CONTROL" status --wait --timeout 30 >/dev/null || fail "not ready"
[ "$(status .pods)" = 4 ] || fail "$(status .pods) pods"
open "$late" tcp shop/web 8080
open shop/client tcp shop/web 8080
blocked "$vault" tcp shop/web 8080
blocked shop/client tcp "$vault" 8080
