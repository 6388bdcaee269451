#!/bin/bash
# lib.sh: a node of a cluster whose only other part is a real API server, for the
# cases of run.sh.
#
# What tests/netns/lib.sh offers (policies, the agent, packets) with manifests going
# to the API server instead of a folder.  There is no kubelet: pods are network
# namespaces, and what a kubelet would tell of them the case tells.
#
#	server_node_up [FLAG...]	the node's network and an API server
#	pod shop/web app=web ...	network and Pod object; PORTS as there
#	pod_gone shop/web		both go
#	remote_pod shop/web ADDR4 ADDR6 LABEL...
#					the object of a pod elsewhere
#	cluster_policies		the server has ClusterNetworkPolicies from now on
#	relay_start, relay COMMAND	a relay before the server (tests/tools/relay.c)
# and what agent.sh has.
. ../netns/lib.sh
. ../runtime/node.sh
. ./server.sh
. ./agent.sh
SOURCE_LOG=$WORK/log/source
LOGS+=("$SOURCE_LOG" "$WORK/log/source-errors" "$WORK/log/relay")

server_node_up() {
	node_up bridge
	ip addr add $SERVER_IP4/32 dev lo
	# Without a controller manager no namespace has accounts.
	server_up --disable-admission-plugins=ServiceAccount "$@" || fail "no API server"
	node_object "$NODE_NAME" 192.0.2.1
	namespace shop
}

# --- objects ---------------------------------------------------------------------

# What the netns library writes to a folder, the server gets.
write() { kubectl apply -f - >/dev/null || fail "kubectl apply: $1"; }
unpolicy() { kubectl delete networkpolicy -n "${1%%.*}" "${1#*.}" >/dev/null; }

# status_of KIND NAME NAMESPACE JSON: what a kubelet would write
status_of() {
	kubectl patch "$1" "$2" -n "$3" --subresource=status --type=merge -p "{\"status\": $4}" \
		>/dev/null || fail "no status of $1 $3/$2"
}

node_object() {
	write "node $1" <<-X
		{apiVersion: v1, kind: Node, metadata: {name: $1}}
	X
	status_of node "$1" default "{\"addresses\": [{\"type\": \"InternalIP\", \"address\": \"$2\"}]}"
}

# pod_object NODE NS/NAME [LABEL=VALUE...], as a kubelet leaves it once it runs
pod_object() {
	local node=$1 pod=$2 l p
	shift 2
	{
		echo "apiVersion: v1"
		echo "kind: Pod"
		echo "metadata:"
		echo "  namespace: ${pod%/*}"
		echo "  name: ${pod#*/}"
		echo "  labels:"
		for l in bulkhead.test/pod=yes "$@"; do echo "    ${l%%=*}: \"${l#*=}\""; done
		echo "spec:"
		echo "  nodeName: $node"
		echo "  terminationGracePeriodSeconds: 0"
		echo "  containers:"
		echo "  - name: main"
		echo "    image: none"
		echo "    ports:"
		for p in ${PORTS:-}; do
			echo "    - name: ${p%%=*}"
			echo "      containerPort: $(sed -E 's|.*=(.*)/.*|\1|' <<<"$p")"
			echo "      protocol: ${p##*/}"
		done
	} | write "pod $pod"
	pod_status "$pod" Running
}

# pod_status NS/NAME PHASE: with the addresses that it has
pod_status() {
	local a4=${ADDR4[$1]} a6=${ADDR6[$1]}
	status_of pod "${1#*/}" "${1%/*}" \
		"{\"phase\": \"$2\", \"podIP\": \"$a4\", \"podIPs\": [{\"ip\": \"$a4\"}, {\"ip\": \"$a6\"}]}"
}

pod_manifest() { pod_object "$NODE_NAME" "$@"; }

remote_pod() {
	ADDR4[$1]=$2 ADDR6[$1]=$3
	pod_object elsewhere "$1" "${@:4}"
}

pod() {
	N_PODS=$((${N_PODS:-0} + 1))
	pod_net "$1" $((10 + N_PODS))
	pod_manifest "$@"
}

pod_gone() {
	kubectl delete pod -n "${1%/*}" "${1#*/}" --force --grace-period=0 >/dev/null 2>&1
	ip netns del "$(netns_of "$1")" 2>/dev/null || true
}

cluster_policies() {
	write "the kind" <clusternetworkpolicies.yaml
	wait_until 20 "the kind is there" kubectl get clusternetworkpolicies ||
		fail "there are no ClusterNetworkPolicies"
}

# --- the agent's source alone ----------------------------------------------------

# source_start [OPTION...]: what it tells goes to SOURCE_LOG, a JSON object a line
source_start() {
	[ -e "$AGENT_CONFIG" ] || agent_account
	mark
	"$BH_BUILD/tests/tools/kube" watch --kubeconfig "$AGENT_CONFIG" "$@" \
		>>"$SOURCE_LOG" 2>"$WORK/log/source-errors" &
	SOURCE_PID=$!
	told 'event == "synced"'
}
source_kill() {
	kill -KILL "$SOURCE_PID"
	wait "$SOURCE_PID" 2>/dev/null || true
}

# mark: told looks at what comes from here on
MARK=0
mark() {
	MARK=0
	[ ! -e "$SOURCE_LOG" ] || MARK=$(wc -l <"$SOURCE_LOG")
}

# told EXPR, never_told EXPR: this Python expression holds for some line, or for none;
# event, kind, key (ns/name), labels, addrs, subject and text are its members, e is the line
was_told() {
	tail -n +$((MARK + 1)) "$SOURCE_LOG" | python3 -c '
import json, re, sys
expr = compile("(" + sys.argv[1] + ")", "expression", "eval")
found = False
for line in sys.stdin:
    if not line.endswith("\n"):
        continue
    e = json.loads(line)
    names = {n: e.get(n) or "" for n in ("event", "kind", "labels", "addrs", "subject", "text")}
    names["key"] = ((e.get("namespace") or "") + "/" + (e.get("name") or "")).strip("/")
    if eval(expr, {"re": re, "e": e}, names):
        print(line, end="")
        found = True
sys.exit(0 if found else 3)' "$1"
}
told() { eventually was_told "$1"; }

# An expression that fails is no answer.
never_told() {
	local rc=0
	was_told "$1" >/dev/null || rc=$?
	[ $rc = 3 ] || fail "told, or not an answer ($rc): $1"
}

# What was told, taken together, is what the server has.
is_same() {
	kubectl get -A -o json namespaces,nodes,pods,networkpolicies ${1:-} | ./same.py "$SOURCE_LOG"
}
same() { wait_until 40 "the source has told all" is_same "$@" || fail "$(is_same "$@")"; }

# --- between agent and server ----------------------------------------------------

RELAY_URL=https://127.0.0.1:7443
relay_start() {
	mkfifo "$WORK/relay"
	"$BH_BUILD/tests/tools/relay" 127.0.0.1 7443 $SERVER_IP4 $SERVER_PORT \
		<"$WORK/relay" >"$WORK/log/relay" &
	RELAY_PID=$!
	exec 8>"$WORK/relay"
	eventually grep -q ready "$WORK/log/relay"
}

# relay COMMAND: is in force afterwards; prints the answer
relay() {
	local n
	n=$(wc -l <"$WORK/log/relay")
	echo "$*" >&8
	eventually sh -c "[ \$(wc -l <'$WORK/log/relay') -gt $n ]"
	tail -n 1 "$WORK/log/relay"
}
