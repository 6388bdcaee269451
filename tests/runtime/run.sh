#!/bin/bash
# run.sh [CASE...]   runs tests/runtime/NNN-*.sh against a real containerd
#
# Each case is a node of its own (see node.sh); nothing of the machine's containers,
# network or firewall is touched.  A case passes with exit status 0, is skipped with
# 77 (its last line says why), and fails with anything else or after CASE_TIMEOUT
# seconds.  BH_BUILD is the build tree, build/release if not set.
set -u
cd "$(dirname "$0")"
export BH_BUILD=${BH_BUILD:-$PWD/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")
. ./node.sh
passed=0 failed=0 skipped=0
log=$(mktemp)
name=bulkhead-test-$$
holder=
end_node() {
	[ -n "$holder" ] && kill -KILL "$holder" && wait "$holder"
	node_clean "$name"
	rm -f "$log"
}
trap 'end_node 2>/dev/null' EXIT
trap 'exit 130' INT TERM HUP

why=$(node_missing) || why=
[ $# = 0 ] && set -- [0-9][0-9][0-9]-*.sh
for case; do
	case=$(basename "$case" .sh)
	if [ -n "$why" ]; then
		echo "skipped $case: $why"
		skipped=$((skipped + 1))
		continue
	fi
	(node_enter "$name" timeout -k 5 "${CASE_TIMEOUT:-120}" bash "./$case.sh") \
		>"$log" 2>&1 </dev/null &
	holder=$!
	wait $holder
	rc=$?
	holder=
	node_clean "$name"
	case $rc in
	0)
		echo "ok      $case"
		passed=$((passed + 1))
		;;
	77)
		echo "skipped $case: $(tail -n 1 "$log")"
		skipped=$((skipped + 1))
		;;
	*)
		echo "FAILED  $case (exit status $rc)"
		sed 's/^/    | /' "$log"
		failed=$((failed + 1))
		;;
	esac
done

echo "runtime: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
