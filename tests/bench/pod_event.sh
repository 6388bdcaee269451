#!/bin/bash
# pod_event.sh [PODS]   the agent's processor time for one pod that comes or goes on its node
#
# PODS pods of this node (1,000) are there as files, which a policy isolates; they have no
# network namespace.  Pods come and go one by one, each after a pause in which the agent has
# done all that it does for the one before, walks over conntrack included: as files, and in a
# private containerd (tests/runtime/node.sh) with a port each, which is several events for
# the agent.  Conntrack is empty, or has 200 or 20,000 entries of other pods.  Prints one JSON
# line for each.
set -eu
cd "$(dirname "$0")/../runtime"
export BH_BUILD=${BH_BUILD:-$PWD/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")

if [ "${1:-}" != inside ]; then
	. ./node.sh
	why=$(node_missing) && { echo "skipped: $why" >&2; exit 0; }
	command -v conntrack >/dev/null || { echo "skipped: conntrack is not installed" >&2; exit 0; }
	name=bulkhead-bench-$$
	trap 'node_clean $name' EXIT
	(node_enter "$name" bash "../bench/$(basename "$0")" inside "${1:-1000}") </dev/null
	exit
fi

. ./lib.sh
pods=$2 events=${EVENTS:-8} pause=0.8
node_up

# cpu_ns: of all threads of the agent
cpu_ns() { cat /proc/"$AGENT_PID"/task/*/schedstat | awk '{ n += $1 } END { printf "%d", n }'; }

pod_file() { # NAME ADDRESS...
	local name=$1 ips=
	shift
	for a; do ips="$ips,{\"ip\":\"$a\"}"; done
	echo '{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"'"$name"'","labels":{"app":"web"},
"annotations":{"bulkhead.dev/netns":"/run/netns/none"}},
"spec":{"nodeName":"'"$NODE_NAME"'","containers":[{"name":"c","image":"x"}]},
"status":{"phase":"Running","podIP":"'"$1"'","podIPs":['"${ips#,}"']}}' >"$POLICIES/.new"
	mv "$POLICIES/.new" "$POLICIES/$name.json"
}

entries() { # N
	conntrack -F 2>/dev/null
	[ "$1" = 0 ] && return
	python3 -c '
import sys
for i in range(int(sys.argv[1])):
    print("-I -s 10.1.%d.%d -d 10.2.%d.%d -p udp --sport %d --dport 53 -t 3600 -u SEEN_REPLY" %
          (i >> 8, i & 255, i >> 8, i & 255, 1024 + i))' "$1" >"$WORK/entries"
	conntrack -R "$WORK/entries" >/dev/null 2>&1
}

by_file_come() { pod_file "extra$1" "10.7.1.$1"; }
by_file_go() { rm "$POLICIES/extra$1.json"; }
by_file_dual_come() { pod_file "extra$1" "10.7.1.$1" "fd00:7::$1"; }
by_file_dual_go() { by_file_go "$1"; }
by_runtime_come() { pod "shop/extra$1" app=web >/dev/null; }
by_runtime_go() { pod_gone "shop/extra$1"; }

measure() { # KIND ENTRIES
	local before come=0 go=0 i
	entries "$2"
	sleep 2
	for i in $(seq "$events"); do
		before=$(cpu_ns)
		"$1_come" "$i"
		sleep $pause
		come=$((come + $(cpu_ns) - before))
		before=$(cpu_ns)
		"$1_go" "$i"
		sleep $pause
		go=$((go + $(cpu_ns) - before))
	done
	before=$(cpu_ns)
	sleep 3
	python3 -c '
import json, sys
kind, pods, entries, n, come, go, rest = sys.argv[1], *map(float, sys.argv[2:])
print(json.dumps({"bench": "pod_event", "by": kind, "pods": int(pods), "entries": int(entries),
                  "come_ms": round(come / n / 1e6 - rest, 2), "go_ms": round(go / n / 1e6 - rest, 2)}))' \
		"${1#by_}" "$pods" "$2" "$events" "$come" "$go" \
		"$(awk "BEGIN { print ($(cpu_ns) - $before) / 3e6 * $pause }")"
}

netpol shop/all <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
YAML
for i in $(seq "$pods"); do pod_file "p$i" "10.6.$((i >> 8)).$((i & 255))"; done
for kind in by_file by_file_dual by_runtime; do
	case $kind in
	by_runtime) agent_start --revoke yes ;;
	*)
		"$BULKHEADD" --policies "$POLICIES" --node "$NODE_NAME" --control "$CONTROL" \
			--flow-log "$FLOW_LOG" >>"$WORK/log/agent" 2>&1 &
		AGENT_PID=$!
		"$BULKHEAD" --control "$CONTROL" status --wait --timeout 60 >/dev/null
		;;
	esac
	sleep 2
	for n in 0 200 20000; do measure $kind $n; done
	agent_stop
done
