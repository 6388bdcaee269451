#!/bin/bash
# kube.sh [PODS [POLICIES [NODES]]]   the whole agent on a real API server with that many objects
#
# A private etcd and kube-apiserver (tests/kube/server.sh); a hundred of the pods are
# this node's.  Prints one JSON line: from the agent's start to rules in force, its
# memory and CPU until then, what it received, and the same figures for 20 s of 100
# pod changes a second.
set -eu
cd "$(dirname "$0")/../kube"
export BH_BUILD=${BH_BUILD:-$PWD/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")
pods=${1:-100000} policies=${2:-10000} nodes=${3:-5000}

if [ "${pods}" != inside ]; then
	. ../runtime/node.sh
	. ./server.sh
	binaries/build.sh etcd kube-apiserver kubectl >/dev/null 2>&1 ||
		{ echo "skipped: no kube-apiserver (Go 1.24 and the module proxy build it)" >&2; exit 0; }
	command -v etcd >/dev/null || { echo "skipped: etcd is not installed" >&2; exit 0; }
	kube_path "$(binaries/build.sh kubectl)"
	name=bulkhead-bench-$$
	trap 'node_clean $name' EXIT
	(node_enter "$name" bash "../bench/$(basename "$0")" inside "$pods" "$policies" "$nodes") </dev/null
	exit
fi

. ./lib.sh
pods=$2 policies=$3 nodes=$4
server_node_up
agent_account
"../bench/kube_load.py" world "$pods" "$policies" "$nodes" "$NODE_NAME"
# What the server has not read yet it reads now, and not while we look.
kubectl get --raw "/api/v1/pods?limit=1" >/dev/null

metric() { curl -s --unix-socket "$METRICS" http://x/metrics | awk -v m="bulkhead_$1" '$1 == m { print $2 }'; }
# user and system time, in hundredths of a second
ticks() { awk '{ print $14 + $15 }' "/proc/$AGENT_PID/stat"; }
memory() { awk -v f="$1:" '$1 == f { print $2 }' "/proc/$AGENT_PID/status"; }

start=$(date +%s%N)
"$BULKHEADD" --kubeconfig "$AGENT_CONFIG" --node "$NODE_NAME" --control "$CONTROL" \
	--metrics "unix:$METRICS" >"$WORK/log/agent" 2>&1 &
AGENT_PID=$!
wait_until 20 "the agent listens" test -S "$CONTROL" || fail "it does not"
"$BULKHEAD" --control "$CONTROL" status --wait --timeout 300 >/dev/null
ready=$(date +%s%N)
cpu=$(ticks)
peak=$(memory VmHWM)
bytes=$(metric kube_received_bytes_total)
known=$(status .pods)
sleep 5
steady=$(memory VmRSS)
before=$(ticks)
before_bytes=$(metric kube_received_bytes_total)
count=$(metric change_duration_seconds_count)
sum=$(metric change_duration_seconds_sum)
changes=$("../bench/kube_load.py" churn "$pods" "$nodes" "$NODE_NAME" 20)
sleep 1
python3 - <<PY
import json
cpu, count = $(ticks) - $before, $(metric change_duration_seconds_count) - $count
print(json.dumps({
    "bench": "kube", "pods": $known, "policies": $policies, "nodes": $nodes,
    "ready_ms": ($ready - $start) // 10**6, "cpu_ms": $cpu * 10, "received_mb": round($bytes / 1e6, 1),
    "peak_mb": round($peak / 1024, 1), "steady_mb": round($steady / 1024, 1),
    "changes": $changes, "change_cpu_percent": round(cpu / 20, 2),
    "change_kb_per_s": round(($(metric kube_received_bytes_total) - $before_bytes) / 20e3),
    "change_mean_ms": round(($(metric change_duration_seconds_sum) - $sum) / max(1, count) * 1000, 1),
    "connects": $(metric kube_connects_total)}))
PY
agent_stop
