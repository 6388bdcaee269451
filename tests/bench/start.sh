#!/bin/bash
# start.sh [PODS]   from the runtime's event that has a pod's addresses to the kernel
#
# A private containerd (tests/runtime/node.sh) starts PODS pods one after the other,
# which a policy isolates.  Prints one JSON line: the time from the event as containerd
# stamped it to the element as seen by another listener of nftables (both processes'
# wake-ups included), the agent's own time from fact to acknowledgement, and the
# agent's resident memory with all of them.
set -eu
cd "$(dirname "$0")/../runtime"
export BH_BUILD=${BH_BUILD:-$PWD/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")

if [ "${1:-}" != inside ]; then
	. ./node.sh
	why=$(node_missing) && { echo "skipped: $why" >&2; exit 0; }
	name=bulkhead-bench-$$
	trap 'node_clean $name' EXIT
	(node_enter "$name" bash "../bench/$(basename "$0")" inside "${1:-100}") </dev/null
	exit
fi

. ./lib.sh
pods=$2
node_up
netpol shop/all <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
YAML
agent_start --metrics 127.0.0.1:9633
ctr -a "$NODE_DIR/containerd.sock" -n k8s.io events >"$WORK/events" &
python3 -c '
import subprocess, sys, time
p = subprocess.Popen(["nft", "monitor", "elements"], stdout=subprocess.PIPE, text=True, bufsize=1)
for line in p.stdout:
    print(time.time_ns(), line, end="", flush=True)' >"$WORK/elements" &
sleep 0.5
for i in $(seq "$pods"); do
	pod "shop/p$i" app=p >/dev/null
	echo "${SANDBOX[shop/p$i]} ${ADDR4[shop/p$i]}" >>"$WORK/pods"
done
sleep 1
curl -s http://127.0.0.1:9633/metrics >"$WORK/metrics"
rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$AGENT_PID/status")

python3 - "$WORK" "$rss" <<'PY'
import datetime, json, re, sys
work, rss = sys.argv[1:]
events = {}
for line in open(work + "/events"):
    m = re.match(r'(\d+-\d+-\d+ \d+:\d+:\d+)\.(\d+) \+0000 UTC \S+ /containers/(?:create|update) .*?"id":"(\w+)"', line)
    if m:
        at = datetime.datetime.strptime(m[1] + "+0000", "%Y-%m-%d %H:%M:%S%z").timestamp()
        events.setdefault(m[3], []).append(int(at) * 10**9 + int(m[2].ljust(9, "0")[:9]))
elements = {}
for line in open(work + "/elements"):
    m = re.match(r"(\d+) add element inet bulkhead in4 \{ ([\d.]+) ", line)
    if m:
        elements.setdefault(m[2], int(m[1]))
us = []
for line in open(work + "/pods"):
    sandbox, addr = line.split()
    before = [t for t in events.get(sandbox, []) if addr in elements and t < elements[addr]]
    if before:
        us.append((elements[addr] - max(before)) / 1000)
us.sort()
metrics = dict(line.rsplit(" ", 1) for line in open(work + "/metrics") if not line.startswith("#"))
n = float(metrics["bulkhead_change_duration_seconds_count"])
print(json.dumps({"bench": "start", "pods": len(us), "p50_us": round(us[len(us) // 2]),
                  "p99_us": round(us[int(len(us) * 0.99)]), "max_us": round(us[-1]),
                  "agent_mean_us": round(float(metrics["bulkhead_change_duration_seconds_sum"]) / n * 1e6),
                  "rss_kb": int(rss)}))
PY
agent_stop
