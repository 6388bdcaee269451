#!/bin/bash
# run.sh [CASE...]   runs tests/kube/NNN-*.sh against Kubernetes' own programs
#
# Each case has network, mount and process namespaces of its own, with an API server
# or a whole node in them (see server.sh and cluster.sh); nothing of the machine is
# touched.  Cases from 500 on are whole nodes.  A case passes with exit status 0, is
# skipped with 77 (its last line says why), and fails with anything else or after
# CASE_TIMEOUT seconds.  JOBS cases run at a time.  BH_BUILD is the build tree,
# build/release if not set.
set -u
cd "$(dirname "$0")"
export BH_BUILD=${BH_BUILD:-$PWD/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")
. ../runtime/node.sh
. ./server.sh
jobs=${JOBS:-3}
logs=$(mktemp -d)
name=bulkhead-kube-$$

declare -A holders=()
end_cases() {
	local h
	trap '' INT TERM HUP
	for h in "${!holders[@]}"; do kill -KILL "$h" && wait "$h"; done
	for h in "${holders[@]}"; do node_clean "$name-$h"; done
	rm -rf "$logs"
}
trap 'end_cases 2>/dev/null' EXIT
trap 'exit 130' INT TERM HUP

# server_missing: succeeds and prints why, if an API server cannot run here
server_missing() {
	local p
	[ "$(id -u)" = 0 ] || { echo "network namespaces need root"; return 0; }
	unshare --net --mount --pid --fork --kill-child --mount-proc true 2>/dev/null ||
		{ echo "this machine makes no namespaces"; return 0; }
	for p in etcd etcdctl openssl nft ip python3; do
		command -v $p >/dev/null || { echo "$p is not installed"; return 0; }
	done
	return 1
}

# not_built [PROGRAM...]: succeeds and prints why, if there are no such programs.
# Sources that are there and do not build fail everything.
not_built() {
	binaries/build.sh "$@" >"$logs/build" 2>"$logs/build.err"
	case $? in
	0) return 1 ;;
	77) tail -n 1 "$logs/build" ;;
	*)
		tail -n 40 "$logs/build.err" >&2
		kill $$
		;;
	esac
}

# name_of CASE: of its node
name_of() { echo "$name-${1%%-*}"; }

run_case() {
	local case=$1
	(
		node_enter "$(name_of "$case")" timeout -k 5 "${CASE_TIMEOUT:-180}" bash "./$case.sh"
	) >"$logs/$case.log" 2>&1 </dev/null &
	holders[$!]=${case%%-*}
	started[$!]=$SECONDS
	cases[$!]=$case
}

# Waits until one of those that run has ended.
end_one() {
	local pid rc
	wait -n -p pid "${!holders[@]}"
	rc=$?
	echo "$rc" >"$logs/${cases[$pid]}.rc"
	echo $((SECONDS - started[$pid])) >"$logs/${cases[$pid]}.s"
	node_clean "$name-${holders[$pid]}"
	unset "holders[$pid]"
}

[ $# = 0 ] && set -- [0-9][0-9][0-9]-*.sh
set -- "${@##*/}"
set -- "${@%.sh}"
declare -A started=() cases=() why=()

no_server=$(server_missing || not_built etcd kube-apiserver kubectl)
no_cluster=$no_server
case " $* " in
*" "[5-9]*) [ -n "$no_server" ] || no_cluster=$(node_missing || not_built) ;;
esac
[ -n "$no_server" ] || kube_path "$(binaries/build.sh kubectl)"

for case; do
	case $case in
	[5-9]*) why[$case]=$no_cluster ;;
	*) why[$case]=$no_server ;;
	esac
	[ -z "${why[$case]}" ] || continue
	while [ ${#holders[@]} -ge "$jobs" ]; do end_one; done
	run_case "$case"
done
while [ ${#holders[@]} -gt 0 ]; do end_one; done

passed=0 failed=0 skipped=0
for case; do
	rc=77
	[ -n "${why[$case]}" ] && echo "${why[$case]}" >"$logs/$case.log" || rc=$(cat "$logs/$case.rc")
	case $rc in
	0)
		echo "ok      $case ($(cat "$logs/$case.s") s)"
		passed=$((passed + 1))
		;;
	77)
		echo "skipped $case: $(tail -n 1 "$logs/$case.log")"
		skipped=$((skipped + 1))
		;;
	*)
		echo "FAILED  $case (exit status $rc, $(cat "$logs/$case.s") s)"
		sed 's/^/    | /' "$logs/$case.log"
		failed=$((failed + 1))
		;;
	esac
done

echo "kube: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
