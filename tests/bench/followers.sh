#!/bin/bash
# followers.sh [FOLLOWERS [SECONDS]]   what the agent spends on those who follow the flow log
#
# Twelve isolated pods have some 1,000 new flows a second denied, without followers and
# with FOLLOWERS times `bulkhead flows --follow`.  Prints one JSON line: the agent's CPU time
# for each record, and its memory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export BH_BUILD=${BH_BUILD:-$here/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")
if [ "${1:-}" != --inside ]; then
	exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "${1:-20}" "${2:-8}"
fi
followers=$2 seconds=$3
pods=12 per_pod=84
cd "$here/../netns"
. ./lib.sh

node_up bridge
for i in $(seq "$pods"); do pod "bench/p$i" $((10 + i)) app=bench; done
netpol bench/all <<YAML
podSelector: {}
policyTypes: [Egress]
YAML
agent_start
eventually eval 'nft list map inet bulkhead eg4 | grep -q 10.244.0.22'

# ticks of the agent's CPU time, and its records
spent() { awk '{ print $14 + $15 }' "/proc/$AGENT_PID/stat"; }
records() { "$BULKHEAD" --control "$CONTROL" flows -o json | tail -n 1 | sed -E 's/.*"event.sequence":([0-9]+).*/\1/'; }

# load FIRST-PORT: new flows of each pod, as many a second as the flow log takes of one
load() {
	local i senders=()
	for i in $(seq "$pods"); do
		in_pod "bench/p$i" python3 - "$1" "$per_pod" "$seconds" "$((11 + i % pods))" <<'PY' &
import socket, sys, time
first, rate, seconds, host = map(int, sys.argv[1:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
start = time.monotonic()
for n in range(rate * seconds):
    time.sleep(max(0, start + n / rate - time.monotonic()))
    s.sendto(b"x", (f"10.244.0.{host}", first + n))
PY
		senders+=($!)
	done
	wait "${senders[@]}"
}

# measure FIRST-PORT: microseconds of CPU time a record
measure() {
	local ticks n
	ticks=$(spent) n=$(records || echo 0)
	load "$1"
	sleep 1
	echo $((($(spent) - ticks) * 1000000 / $(getconf CLK_TCK) / ($(records) - ${n:-0})))
}

load 1000
alone=$(measure 10000)
for i in $(seq "$followers"); do
	"$BULKHEAD" --control "$CONTROL" flows --follow -o json >/dev/null 2>&1 &
done
sleep 1
with=$(measure 20000)
rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$AGENT_PID/status")
printf '{"bench": "followers", "followers": %d, "records_per_s": %d, "alone_us": %d, "with_us": %d, "rss_kb": %d}\n' \
	"$followers" $((pods * per_pod)) "$alone" "$with" "$rss"
