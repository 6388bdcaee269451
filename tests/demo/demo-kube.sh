#!/bin/bash
# demo-kube.sh   the shop on a Kubernetes cluster of one node, by kubectl
#
# The cluster is Kubernetes' own programs, built from their sources once per machine
# (6-9 minutes, see tests/kube/binaries/build.sh), in namespaces of its own.  Runs as
# root, touches nothing of the machine, and removes everything when it ends, however
# it ends.  Every tick is a packet that was sent or a state that was read; exit status
# 0 only if all of it was as it must be.  BH_BUILD is the build tree.
set -u
cd "$(dirname "$0")"
export BH_BUILD=${BH_BUILD:-$PWD/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")
. ../runtime/node.sh
. ./lib.sh
. ../kube/server.sh
. ../kube/cluster.sh
if [ "${1:-}" != --inside ]; then
	programs=$(../kube/binaries/build.sh) || { echo "demo-kube: $programs" >&2; exit 1; }
	kube_path "$programs"
	outside bulkheadd bulkhead tests/tools/cri tests/tools/probe
fi

# --- inside ----------------------------------------------------------------------

mount -t tmpfs tmpfs /run || exit 1
DIR=/run/demo
CONTROL=$DIR/control.sock
PROBE=$BH_BUILD/tests/tools/probe
EXAMPLES=../../policy/examples/shop
PACKAGED=../../packaging/kubernetes
mkdir -p "$DIR" /run/netns
declare -A IP=()

bulkhead() { "$BH_BUILD/bulkhead" --control "$CONTROL" "$@"; }
quiet() { "$@" >"$DIR/quiet" 2>&1 || wrong "$*: $(tail -n 3 "$DIR/quiet")"; }

# deployment NAME COMMAND...: with a Service of its name at the same port
deployment() {
	local name=$1 port=${*: -1}
	shift
	cat <<-YAML
		---
		apiVersion: apps/v1
		kind: Deployment
		metadata: {namespace: shop, name: $name}
		spec:
		  selector: {matchLabels: {app: $name}}
		  template:
		    metadata: {labels: {app: $name}}
		    spec:
		      terminationGracePeriodSeconds: 10
		      containers:
		      - name: server
		        image: $CLUSTER_PROBE
		        command: [/bin/probe, serve, "tcp:$port"]
		        readinessProbe: {tcpSocket: {port: $port}, periodSeconds: 1}
		        lifecycle: {preStop: {sleep: {seconds: 4}}}
		---
		apiVersion: v1
		kind: Service
		metadata: {namespace: shop, name: $name}
		spec: {selector: {app: $name}, ports: [{port: $port}]}
	YAML
}

# Each app's newest pod: its network as /run/netns/APP and its address.
find_pods() {
	local app name ip
	pod_links shop
	while read -r app name ip; do
		ln -sf "$(readlink "/run/netns/shop.$name")" "/run/netns/$app"
		IP[$app]=$ip
	done < <(kubectl get pods -n shop --sort-by=.metadata.creationTimestamp --no-headers \
		-o 'custom-columns=A:.metadata.labels.app,N:.metadata.name,I:.status.podIP')
}

# --- who reaches whom ------------------------------------------------------------

PAIRS=(web:api:8080 web:db:5432 api:web:8080 api:db:5432 db:api:8080
	attacker:web:8080 attacker:api:8080 attacker:db:5432)
# What policy/examples/shop allows: who is asked may be asked, and who asks may ask.
ALLOWED=" web:api:8080 api:db:5432 "

# reach APP ADDRESS PORT: open or timeout
reach() { nsenter --net="/run/netns/$1" "$PROBE" try -t 700 tcp "$2" "$3"; }

# judged PAIR open|timeout: by the pod's address and through its Service
judged() {
	local from to port service
	IFS=: read -r from to port <<<"$1"
	service=$(kubectl get service -n shop "$to" -o 'jsonpath={.spec.clusterIP}')
	[ "$(reach "$from" "${IP[$to]}" "$port")" = "$2" ] &&
		[ "$(reach "$from" "$service" "$port")" = "$2" ]
}

# all_judged before|after: with a line for each pair
all_judged() {
	local pair want from to port
	for pair in "${PAIRS[@]}"; do
		want=open
		[ "$1" = before ] || [[ $ALLOWED == *" $pair "* ]] || want=timeout
		# A busy machine answers late, and a Service takes a moment to be there.
		wait_until 10 "$pair is $want" judged "$pair" $want || wrong "$pair is not $want"
		[ "$1" = before ] && continue
		IFS=: read -r from to port <<<"$pair"
		ok "$(printf '%-9s -> %-4s %-5s %s' "$from" "$to" "$port" "${want/timeout/closed}")"
	done
}

# --- the story -------------------------------------------------------------------

printf '%sBulkhead%s  %sa shop on Kubernetes%s\n' "$BOLD" "$PLAIN" "$DIM" "$PLAIN"

step "A cluster of one node"
cluster_up && cluster_probe_image || wrong "the cluster does not start: $(tail -n 3 "$CLUSTER_DIR"/*.log)"
kubectl get nodes | quote "kubectl get nodes"
ok "API server, controllers, scheduler, kubelet, kube-proxy and containerd in $SECONDS s"

step "The shop"
quiet kubectl apply -f "$EXAMPLES/namespace.yaml"
{
	deployment web 8080
	deployment api 8080
	deployment db 5432
	deployment attacker 9
} >"$DIR/shop.yaml"
quiet kubectl apply -f "$DIR/shop.yaml"
for app in web api db attacker; do
	quiet kubectl rollout status -n shop "deployment/$app" --timeout=60s
done
find_pods
kubectl get pods -n shop -o 'custom-columns=NAME:.metadata.name,STATUS:.status.phase,IP:.status.podIP' |
	quote "kubectl get pods -n shop"
all_judged before
ok "without policies everybody reaches everybody, by address and through Services"

step "The agent, with the rights that packaging/kubernetes gives it"
quiet kubectl apply -f "$PACKAGED/namespace.yaml" -f "$PACKAGED/serviceaccount.yaml" -f "$PACKAGED/rbac.yaml"
kubectl create token -n bulkhead bulkhead >"$DIR/token" || wrong "no token"
kubeconfig "$DIR/agent.conf" "tokenFile: $DIR/token"
"$BH_BUILD/bulkheadd" --kubeconfig "$DIR/agent.conf" --node "$NODE_NAME" --state "$DIR/state" \
	--runtime "unix://$CRI_SOCKET" --control "$CONTROL" --flow-log "$DIR/flows.json" \
	>"$DIR/agent.log" 2>&1 &
bulkhead status --wait --timeout 20 >/dev/null || wrong "the agent is not ready"
ok "it reads pods, namespaces, nodes and policies, and writes nothing"

step "Policies, by kubectl"
applied=()
for p in default-deny web api db; do applied+=(-f "$p.yaml"); done
quiet eval "(cd '$EXAMPLES' && kubectl apply ${applied[*]})"
quote "cd policy/examples/shop; kubectl apply ${applied[*]}" <"$DIR/quiet"
for p in default-deny dns web api db; do
	bulkhead status --wait --timeout 20 --policy shop/$p >/dev/null || wrong "shop/$p is not in force"
done
all_judged after
ok "by address and through Services, in both cases at the pod's port"

step "Why was that denied?"
recorded() { bulkhead flows --pod shop/$attacker --verdict denied | grep ':5432 ' >"$DIR/denied"; }
attacker=$(kubectl get pods -n shop -l app=attacker -o 'jsonpath={.items[0].metadata.name}')
wait_until 10 "the denial is recorded" recorded || wrong "it is not recorded"
bulkhead flows --pod "shop/$attacker" --verdict denied | grep -A 1 ':5432 ' | head -n 2 |
	quote "bulkhead flows --pod shop/$attacker --verdict denied"
ok "the record names both pods and the policies"

step "A rolling update while traffic runs"
service=$(kubectl get service -n shop api -o 'jsonpath={.spec.clusterIP}')
db=$(kubectl get service -n shop db -o 'jsonpath={.spec.clusterIP}')
# traffic FROM ADDRESS PORT open|blocked FILE: over and over
traffic() {
	exec nsenter --net="/run/netns/$1" "$PROBE" matrix -t 900 -n 0 -i 1 <<<"tcp $2 $3 $4" >"$5" 2>&1
}
traffic web "$service" 8080 open "$DIR/allowed" &
allowed=$!
traffic attacker "$db" 5432 blocked "$DIR/denied" &
denied=$!
quiet kubectl rollout restart -n shop deployment/api deployment/db
quiet kubectl rollout status -n shop deployment/api --timeout=60s
quiet kubectl rollout status -n shop deployment/db --timeout=60s
kill -TERM $allowed $denied
wait $allowed || wrong "web did not always reach api: $(tail -n 2 "$DIR/allowed")"
wait $denied || wrong "the attacker reached db: $(tail -n 2 "$DIR/denied")"
ok "$(awk '{ print $1 }' <<<"$(tail -n 1 "$DIR/allowed")") connections of web to api: none lost"
ok "the attacker's to db: none got through"
find_pods
wait_until 10 "api reaches db" judged api:db:5432 open && judged attacker:db:5432 timeout ||
	wrong "the new pods are not judged as the old ones"
ok "the new pods are judged as the old ones were"

step "Status"
bulkhead status | sed "s|$NODE_DIR/||; s|$NODE_NAME|node|" | quote "bulkhead status"
is_well() {
	bulkhead status -o json | python3 -c '
import json, sys
s = json.load(sys.stdin)
sys.exit(not (s["ready"] and not s["problems"]))'
}
is_well || wrong "there are problems"
ok "in sync, no problems"

printf '\n%s%d steps in %d s, all as it must be.%s\n' "$BOLD$GREEN" $STEP $SECONDS "$PLAIN"
