#!/bin/bash
# clusterlib.sh: a whole cluster of one node, for the cases of run.sh from 500 on.
#
# What tests/netns/lib.sh offers, with pods that Kubernetes runs:
#
#	cluster_up		as in cluster.sh, or the case fails
#	apply			standard input to the API server
#	rolled_out NS NAME	its Deployment is as it was asked to be
#	pods_of NS LABEL=VALUE	names of its running pods
#	find_pods NS		ADDR4, ADDR6 and the network of its pods, for in_pod
#				and all that sends packets
#	exec_in NS/NAME COMMAND...	through API server and kubelet
#	connects NS/NAME PROTO ADDRESS:PORT
#				agnhost does, started in that pod; timeout_from: it
#				gets no answer
#
# and what agent.sh has.
. ../netns/lib.sh
. ../runtime/node.sh
. ./server.sh
. ./cluster.sh
. ./agent.sh
LOGS+=("$SERVER_DIR/apiserver.log" "$CLUSTER_DIR/kubelet.log" "$CLUSTER_DIR/kube-proxy.log")

eval "start_$(declare -f cluster_up)"
cluster_up() {
	start_cluster_up || fail "the cluster does not start"
	ADDR4[node]=$NODE_GATEWAY4 ADDR6[node]=$NODE_GATEWAY6
	AGENT_OPTIONS=(--runtime "unix://$CRI_SOCKET")
}

apply() { kubectl apply -f - >"$WORK/log/apply" || fail "kubectl apply: ${1:-}"; }
# The netns library's policies go there as well.
write() { apply "$1"; }
unpolicy() { kubectl delete networkpolicy -n "${1%%.*}" "${1#*.}" >/dev/null; }

rolled_out() {
	kubectl rollout status -n "$1" "deployment/$2" --timeout=60s >"$WORK/log/rollout" 2>&1 ||
		fail "deployment $1/$2: $(kubectl describe pods -n "$1" | tail -n 40)"
}

pods_of() {
	kubectl get pods -n "$1" -l "$2" --field-selector status.phase=Running \
		-o go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}'
}

find_pods() {
	local name ips
	while read -r name ips; do
		set -- "$1" $ips
		ADDR4[$1/$name]=$2 ADDR6[$1/$name]=$3
	done < <(kubectl get pods -n "$1" --field-selector status.phase=Running \
		-o 'jsonpath={range .items[*]}{.metadata.name} {.status.podIPs[*].ip}{"\n"}{end}')
	pod_links "$1"
}

exec_in() {
	local pod=$1
	shift
	kubectl exec -n "${pod%/*}" "${pod#*/}" -- "$@"
}

connect_from() {
	exec_in "$1" /agnhost connect "$3" --protocol="$2" --timeout="${4:-2s}" 2>&1
}
connects() {
	local got
	got=$(connect_from "$1" "$2" "$3" 5s) || fail "$1 -> $3/$2: $got"
}
timeout_from() {
	local got
	got=$(connect_from "$1" "$2" "$3" 1s) && fail "$1 -> $3/$2 is open"
	grep -q TIMEOUT <<<"$got" || fail "$1 -> $3/$2: $got"
}
