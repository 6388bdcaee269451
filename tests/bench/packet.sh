#!/bin/bash
# packet.sh [ROUNDS]   what rules cost a packet, for several layouts in turn
#
# Three network namespaces: a source pod, a node that forwards, a destination pod;
# both directions of both pods are judged.  All layouts are measured in the same
# ones, loaded anew each time: namespaces that are equal but for their memory differ
# by more than the rules do.  Every measurement is paired with one of another layout
# just before it, and rounds go over all pairs in turn, so drift of the machine hits
# all alike.  Prints one JSON line per pair: medians in ns, and the median of the
# pairs' ratios.  "conntrack" against itself shows the noise.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${BH_BUILD:=$here/../../build/release}"
rounds=${1:-15}
blast=$BH_BUILD/tests/bench/blast
id=bhb$$
tmp=$(mktemp -d)
pids=

cleanup() {
	for p in $pids; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	for ns in $(ip netns list | awk -v id="$id-" 'index($1, id) == 1 { print $1 }'); do
		ip netns del "$ns"
	done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# N policies on the source's egress and N on the destination's ingress; the one
# that allows the flow stands in the middle.
world() {
	awk -v n="$1" 'BEGIN {
		print "{apiVersion: v1, kind: Namespace, metadata: {name: bench}}"
		pod("src", "app: src", "10.1.0.2")
		pod("dst", "app: dst", "10.2.0.2")
		for (i = 0; i < n; i++)
			for (k = 0; k < 3; k++)
				pod("peer-" i "-" k, "grp: g" i, addr(i, k))
		for (i = 0; i < n; i++) {
			mid = i == int(n / 2)
			policy("in-" i, "dst", "ingress", "from", mid ? "app: src" : "grp: g" i, mid ? 7777 : 10000 + i)
			policy("eg-" i, "src", "egress", "to", mid ? "app: dst" : "grp: g" i, mid ? 7777 : 10000 + i)
		}
	}
	function addr(i, k) { return "10." (100 + int(i / 250)) "." i % 250 "." k + 1 }
	function pod(name, labels, ip) {
		printf "---\n{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: bench, labels: {%s}}, ", name, labels
		printf "spec: {nodeName: %s}, status: {podIPs: [{ip: %s}]}}\n", name ~ /^peer/ ? "other" : "node", ip
	}
	function policy(name, app, dir, word, peer, port) {
		printf "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: %s, namespace: bench}, ", name
		printf "spec: {podSelector: {matchLabels: {app: %s}}, policyTypes: [%s], ", app, dir == "ingress" ? "Ingress" : "Egress"
		printf "%s: [{%s: [{podSelector: {matchLabels: {%s}}}], ports: [{protocol: UDP, port: %d}]}]}}\n", dir, word, peer, port
	}'
}

# The same as the common peers write it: a rule for each policy.
rule_per_policy() {
	awk -v n="$1" 'BEGIN {
		print "table inet peers {"
		for (i = 0; i < n; i++) {
			mid = i == int(n / 2)
			a = "10." (100 + int(i / 250)) "." i % 250 "."
			set("s" i, mid ? "10.1.0.2" : a "1, " a "2, " a "3")
			set("d" i, mid ? "10.2.0.2" : a "1, " a "2, " a "3")
		}
		chain("egress", "daddr @d", n)
		chain("ingress", "saddr @s", n)
		print "chain forward { type filter hook forward priority filter; policy accept;"
		print "ct state established,related accept"
		print "ip saddr 10.1.0.2 jump egress\nip daddr 10.2.0.2 jump ingress\n}\n}"
	}
	function set(name, elems) { printf "set %s { type ipv4_addr; elements = { %s } }\n", name, elems }
	function chain(name, match_, n,    i) {
		printf "chain %s {\n", name
		for (i = 0; i < n; i++)
			printf "ip %s%d udp dport { %d } return\n", match_, i, i == int(n / 2) ? 7777 : 10000 + i
		print "drop\n}"
	}'
}

rules() {
	case $1 in
	conntrack) echo 'table inet base { chain forward { type filter hook forward priority filter; policy accept; ct state established,related accept
}
}' ;;
	rules-*) rule_per_policy "${1#*-}" ;;
	bulkhead-*)
		mkdir -p "$tmp/$1"
		world "${1#*-}" >"$tmp/$1/world.yaml"
		"$BH_BUILD/bulkhead" render --policies "$tmp/$1" --node node
		;;
	esac
}

setup() {
	local ns
	for ns in s r d; do
		ip netns add "$id-$ns"
		ip -n "$id-$ns" link set lo up
	done
	ip link add veth0 netns "$id-s" type veth peer name src netns "$id-r"
	ip link add veth0 netns "$id-d" type veth peer name dst netns "$id-r"
	ip -n "$id-s" addr add 10.1.0.2/24 dev veth0
	ip -n "$id-d" addr add 10.2.0.2/24 dev veth0
	ip -n "$id-r" addr add 10.1.0.1/24 dev src
	ip -n "$id-r" addr add 10.2.0.1/24 dev dst
	for ns in "s veth0" "d veth0" "r src" "r dst"; do
		ip -n "$id-${ns% *}" link set "${ns#* }" up
	done
	ip -n "$id-s" route add default via 10.1.0.1
	ip -n "$id-d" route add default via 10.2.0.1
	ip netns exec "$id-r" sysctl -qw net.ipv4.ip_forward=1
	ip netns exec "$id-r" sysctl -qw net.netfilter.nf_conntrack_max=262144 2>/dev/null || true
	ip netns exec "$id-d" "$blast" echo 7777 &
	pids="$pids $!"
}

sizes="1 10 100 1000"
pairs="conntrack:conntrack"
for n in $sizes; do pairs="$pairs conntrack:rules-$n conntrack:bulkhead-$n"; done
pairs="$pairs bulkhead-1:bulkhead-1000"
for l in conntrack $(for n in $sizes; do echo "rules-$n" "bulkhead-$n"; done); do
	{ echo "flush ruleset"; rules "$l"; } >"$tmp/$l.nft"
done
setup
sleep 0.5

# measure LAYOUT: "EST NEW" in ns per packet
measure() {
	local est new seen try
	ip netns exec "$id-r" nft -f "$tmp/$1.nft"
	for try in 1 2 3 4 5 6; do
		est=$(ip netns exec "$id-s" taskset -c 0 "$blast" est 100000 10.2.0.2 7777)
		new=$(ip netns exec "$id-s" taskset -c 0 "$blast" new 40000 10.1.0.2 10.2.0.2 7777)
		seen=$(ip netns exec "$id-r" sysctl -n net.netfilter.nf_conntrack_count)
		ip netns exec "$id-r" conntrack -F >/dev/null 2>&1
		# A busy machine drops packets before the rules: not what we time.
		[ "$seen" -lt 40000 ] || { echo "$est $new"; return; }
	done
	echo "$1: only $seen of 40000 connections passed" >&2
	exit 1
}

# The first round warms up.
for round in $(seq 0 "$rounds"); do
	for pair in $pairs; do
		base=$(measure "${pair%:*}")
		this=$(measure "${pair#*:}")
		[ "$round" = 0 ] || echo "$pair $base $this"
	done
done >"$tmp/runs"

python3 - "$tmp/runs" <<'PY'
import json, statistics, sys
runs = {}
for line in open(sys.argv[1]):
    pair, *ns = line.split()
    runs.setdefault(pair, []).append([float(n) for n in ns])
for pair, rows in runs.items():
    base, layout = pair.split(":")
    med = lambda f: statistics.median(f(r) for r in rows)
    print(json.dumps({"bench": "packet", "base": base, "layout": layout, "rounds": len(rows),
                      "established_ns": round(med(lambda r: r[2])),
                      "established_ratio": round(med(lambda r: r[2] / r[0]), 3),
                      "new_ns": round(med(lambda r: r[3])), "new_ratio": round(med(lambda r: r[3] / r[1]), 3)}))
PY
