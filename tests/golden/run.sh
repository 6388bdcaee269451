#!/bin/sh
# run.sh [--update] [CASE...]   worlds, the tables they make, and what happens to flows in them
#
# A case is a folder: world.yaml; options of tests/tools/golden.c in `args`;
# expect.nft, the table; expect.eval, flows with their verdicts.  With
# --update the expectations are written anew.  Where root and nft are
# there, nft must take each table too.  Without CASE, hostile.sh runs as well.
set -u
cd "$(dirname "$0")"
golden=${BH_BUILD:-../../build/release}/tests/tools/golden
update=
[ "${1:-}" = --update ] && update=1 && shift
hostile=
[ $# = 0 ] && set -- */ && hostile=1
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
can_load=
[ "$(id -u)" = 0 ] && unshare -n nft list ruleset >/dev/null 2>&1 && can_load=1

# result OK TEXT...
result() {
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		shift
		echo "FAILED $*"
	fi
}

# compare CASE FILE: what the program printed against what is expected
compare() {
	if [ -n "$update" ]; then
		cp "$tmp/out" "$1/$2"
	fi
	diff -u "$1/$2" "$tmp/out"
	result $? "$1: $2"
}

for case; do
	case=${case%/}
	args=
	[ -f "$case/args" ] && args=$(cat "$case/args")
	# shellcheck disable=SC2086 # options are words
	"$golden" $args "$case/world.yaml" >"$tmp/out" 2>"$tmp/err" || cat "$tmp/err"
	compare "$case" expect.nft
	if [ -n "$can_load" ]; then
		unshare -n nft -f "$tmp/out"
		result $? "$case: nft refuses the table"
	fi
	[ -f "$case/expect.eval" ] || continue
	sed 's/ -> .*//' "$case/expect.eval" >"$tmp/tuples"
	# shellcheck disable=SC2086
	"$golden" $args --eval "$tmp/tuples" "$case/world.yaml" >"$tmp/out" 2>"$tmp/err" || cat "$tmp/err"
	compare "$case" expect.eval
	! grep 'BUT NOT IN THE PLAN' "$tmp/out"
	result $? "$case: plan and evaluator disagree"
done

if [ -n "$hostile" ] && [ -z "$update" ]; then
	BH_BUILD=$(dirname "$golden")/../.. ./hostile.sh >"$tmp/hostile"
	grep FAILED -A 3 "$tmp/hostile"
	# shellcheck disable=SC2046 # two numbers
	set -- $(sed -n 's/^hostile: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$tmp/hostile")
	passed=$((passed + ${1:-0})) failed=$((failed + ${2:-1}))
fi

echo "golden: $passed passed, $failed failed"
[ "$failed" = 0 ]
