#!/bin/bash
# lib.sh: a node whose pods are run by a real containerd, for the cases of run.sh.
#
# What tests/netns/lib.sh offers (policies, the agent, packets), with the pods'
# part done by the runtime: labels and addresses come from it, not from manifests.
#
#	node_up [bridge|ptp]		containerd with that CNI plugin
#	pod shop/web app=web ...	runs a sandbox; PORTS as in netns/lib.sh,
#					POD_OPTIONS for the client (--uid U, ...)
#	pod_gone shop/web		stops and removes it
#	container shop/web NAME COMMAND...	runs a container in it
#	agent_start [OPTION...]		as there, on this runtime
#	sandbox shop/web		its id
. ../netns/lib.sh
. ./node.sh

declare -A SANDBOX=()

node_up() {
	node_start "${1:-bridge}" || fail "the node does not start: $(tail "$NODE_DIR"/*.log)"
	ADDR4[node]=$NODE_GATEWAY4 ADDR6[node]=$NODE_GATEWAY6
}

# The annotation that names ports, from "http=8080/TCP dns=53/UDP".
ports_json() {
	local p out=
	for p; do
		out="$out,{\"name\":\"${p%%=*}\",\"containerPort\":$(sed -E 's|.*=(.*)/.*|\1|' \
			<<<"$p"),\"protocol\":\"${p##*/}\"}"
	done
	echo "[${out#,}]"
}

# read_addrs NS/NAME: asks the runtime
read_addrs() {
	local ips
	mapfile -t ips < <(cri ip "${SANDBOX[$1]}")
	ADDR4[$1]=${ips[0]:-} ADDR6[$1]=${ips[1]:-}
}

pod() {
	local pod=$1 l options=()
	shift
	for l; do options+=(--label "$l"); done
	[ -n "${PORTS:-}" ] && options+=(--annotation "bulkhead.dev/ports=$(ports_json $PORTS)")
	SANDBOX[$pod]=$(cri run ${POD_OPTIONS:-} "${options[@]}" "$pod") || fail "no sandbox $pod"
	read_addrs "$pod"
	ln -sf "$(cri netns "${SANDBOX[$pod]}")" "/run/netns/$(netns_of "$pod")"
}

sandbox() { echo "${SANDBOX[$1]}"; }

pod_gone() {
	cri rm "${SANDBOX[$1]}"
	rm -f "/run/netns/$(netns_of "$1")"
	unset "SANDBOX[$1]"
}

container() {
	local id=${SANDBOX[$1]} name=$2
	shift 2
	cri start "$id" "$name" $NODE_BUSYBOX -- /bin/busybox "$@"
}

agent_exec() {
	"$BULKHEADD" --policies "$POLICIES" --runtime "unix://$CRI_SOCKET" --node "$NODE_NAME" \
		--control "$CONTROL" --flow-log "$FLOW_LOG" --log-level debug "${SECCOMP[@]}" "$@" \
		>>"$WORK/log/agent" 2>&1 &
	AGENT_PID=$!
}

# source_start [OPTION...]: the agent's source alone; what it tells goes to SOURCE_LOG
SOURCE_LOG=$WORK/log/source
source_start() {
	cri watch "$@" >"$SOURCE_LOG" 2>&1 &
	SOURCE_PID=$!
	told synced
}
# told TEXT: some line contains it; told_last NS/NAME TEXT: the last one of that pod does
told() { eventually grep -qF -- "$1" "$SOURCE_LOG"; }
told_last() { eventually sh -c 'grep -F " $1 " "$3" | tail -n 1 | grep -qF -- "$2"' - "$1" "$2" "$SOURCE_LOG"; }
