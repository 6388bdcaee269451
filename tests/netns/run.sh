#!/bin/bash
# run.sh [CASE...]   runs tests/netns/NNN-*.sh against the real bulkheadd
#
# Each case has network, mount and process namespaces of its own, so that nothing
# of the machine is touched and nothing is left behind.  A case passes with exit
# status 0, is skipped with 77 (its last line says why), and fails with anything else
# or after CASE_TIMEOUT seconds.  BH_BUILD is the build tree, build/release if not set.
set -u
cd "$(dirname "$0")"
export BH_BUILD=${BH_BUILD:-$PWD/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")
# Cases mostly wait, so a few run at a time.
jobs=${JOBS:-3}
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# A machine where namespaces cannot be made skips everything, once for all.
why=
if [ "$(id -u)" != 0 ]; then
	why="network namespaces need root"
elif ! unshare --net --mount --pid --fork --kill-child --mount-proc true 2>/dev/null; then
	why="this machine makes no namespaces"
elif ! command -v nft >/dev/null || ! command -v ip >/dev/null; then
	why="nft and ip are needed (nftables, iproute2)"
fi

[ $# = 0 ] && set -- [0-9][0-9][0-9]-*.sh

run_case() {
	timeout -k 5 "${CASE_TIMEOUT:-180}" unshare --net --mount --pid --fork --kill-child \
		--mount-proc bash "./$1.sh" >"$logs/$1.log" 2>&1 </dev/null
	echo $? >"$logs/$1.rc"
}

if [ -z "$why" ]; then
	for case; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
		run_case "$(basename "$case" .sh)" &
	done
	wait
fi

passed=0 failed=0 skipped=0
for case; do
	case=$(basename "$case" .sh)
	rc=77
	[ -n "$why" ] && echo "$why" >"$logs/$case.log" || rc=$(cat "$logs/$case.rc")
	case $rc in
	0)
		echo "ok      $case"
		passed=$((passed + 1))
		;;
	77)
		echo "skipped $case: $(tail -n 1 "$logs/$case.log")"
		skipped=$((skipped + 1))
		;;
	*)
		echo "FAILED  $case (exit status $rc)"
		sed 's/^/    | /' "$logs/$case.log"
		failed=$((failed + 1))
		;;
	esac
done

echo "netns: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
