#!/bin/bash
# hostile.sh [KIND...]   every kind of tests/tools/hostile.py is compiled within its bounds
#
# Each in 256 MiB of address space and 20 s of processor time, which a machine that is ten
# times slower needs; another tenant's default deny is there, and the table is small.
# Prints "hostile: N passed, N failed".
set -u
cd "$(dirname "$0")"
: "${BH_BUILD:=../../build/release}"
tool=../tools/hostile.py
mapfile -t kinds < <("$tool" --list)
# AddressSanitizer takes terabytes of addresses and ten times as long: some kinds must do.
memory=262144 cpu=20
case $BH_BUILD in *asan*) memory=unlimited cpu=200 kinds=(grid nested peers-grid unions names anchors) ;; esac
[ $# = 0 ] || kinds=("$@")
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# The budgets of one profile, and a few rules and pods beside; those of a namespace.
most_lines=140000
most_lines_of_all=530000

fail() {
	failed=$((failed + 1))
	echo "FAILED hostile $1: $2"
	head -n 3 "$tmp/err"
}

for kind in "${kinds[@]}"; do
	rm -rf "$tmp/policies"
	"$tool" "$kind" "$tmp/policies" >/dev/null || { fail "$kind" "it is not made"; continue; }
	cat >"$tmp/policies/shop.yaml" <<YAML
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: db}, spec: {nodeName: here, containers: [{name: c, image: x}]},
 status: {phase: Running, podIP: 10.9.0.1, podIPs: [{ip: 10.9.0.1}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: shop, name: deny}, spec: {podSelector: {}}}
YAML
	if ! (ulimit -v $memory && ulimit -t $cpu && exec "$BH_BUILD/bulkhead" render --node here \
		--policies "$tmp/policies") >"$tmp/out" 2>"$tmp/err"; then
		fail "$kind" "it is not compiled in $memory kB and $cpu s"
	elif ! grep -q '10.9.0.1 : jump in_' "$tmp/out"; then
		fail "$kind" "the other tenant's pod is not isolated"
	elif [ "$(wc -l <"$tmp/out")" -gt $([ "$kind" = crowd ] && echo $most_lines_of_all || echo $most_lines) ]; then
		fail "$kind" "$(wc -l <"$tmp/out") lines of rules"
	else
		passed=$((passed + 1))
	fi
done
echo "hostile: $passed passed, $failed failed"
[ "$failed" = 0 ]
