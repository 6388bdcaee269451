#!/bin/bash
# guard.sh [ROUNDS]   what the guard of pods' ports costs a packet
#
# Two isolated pods of one node, on a bridge and on routed ports, with the rules that
# the agent made.  The guard's tables are on and dormant in turn, so that each pair is
# measured one right after the other.  Prints one JSON line per kind of port.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export BH_BUILD=${BH_BUILD:-$here/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")
if [ "${1:-}" != --inside ]; then
	for kind in bridge ptp; do
		unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$kind" "${1:-9}"
	done
	exit
fi
kind=$2 rounds=$3
cd "$here/../netns"
. ./lib.sh
blast=$BH_BUILD/tests/bench/blast

node_up "$kind"
pod bench/src 11 app=src
pod bench/dst 12 app=dst
for p in src dst; do
	netpol bench/$p <<YAML
podSelector: {matchLabels: {app: $p}}
policyTypes: [Ingress, Egress]
ingress: [{from: [{podSelector: {}}], ports: [{port: 7777, protocol: UDP}, {port: 7778}]}]
egress: [{to: [{podSelector: {}}], ports: [{port: 7777, protocol: UDP}, {port: 7778}]}]
YAML
done
agent_start
eventually eval 'nft list set netdev bulkhead src4 | grep -q 10.244.0.12'
# The rules stay, and nobody repairs them.
agent_stop
sysctl -qw net.netfilter.nf_conntrack_max=262144 2>/dev/null || true
spawn bench/dst "$blast" echo 7777
spawn bench/dst taskset -c 0 "$blast" sink 7778
sleep 0.5

set_guard() {
	local t
	for t in netdev bridge; do
		if [ "$1" = on ]; then echo "add table $t bulkhead"; else echo "add table $t bulkhead { flags dormant; }"; fi
	done | nft -f -
}

measure() {
	local est new bulk try
	set_guard "$1"
	for try in 1 2 3 4 5 6; do
		est=$(in_pod bench/src taskset -c 0 "$blast" est 100000 10.244.0.12 7777)
		new=$(in_pod bench/src taskset -c 0 "$blast" new 40000 10.244.0.11 10.244.0.12 7777)
		[ "$(sysctl -n net.netfilter.nf_conntrack_count)" -lt 40000 ] || break
		conntrack -F >/dev/null 2>&1
	done
	conntrack -F >/dev/null 2>&1
	bulk=$(in_pod bench/src taskset -c 0 "$blast" bulk 300 10.244.0.12 7778)
	echo "$est $new $bulk"
}

for round in $(seq 0 "$rounds"); do
	off=$(measure off)
	on=$(measure on)
	[ "$round" = 0 ] || echo "$off $on"
done >"$WORK/runs"
python3 - "$WORK/runs" "$kind" <<'PY'
import json, statistics, sys
rows = [[float(n) for n in line.split()] for line in open(sys.argv[1])]
med = lambda f: statistics.median(f(r) for r in rows)
row = {"bench": "guard", "ports": sys.argv[2], "rounds": len(rows)}
for at, name in enumerate(("established", "new", "bulk")):
    unit = "ns_per_kib" if name == "bulk" else "ns"
    row[f"{name}_{unit}"] = round(med(lambda r: r[at + 3] - r[at]), 1)
    row[f"{name}_ratio"] = round(med(lambda r: r[at + 3] / r[at]), 3)
print(json.dumps(row))
PY
