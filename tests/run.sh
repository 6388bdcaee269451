#!/bin/bash
# run.sh GROUP... [-- GROUP...]   runs groups of tests and ends with "N passed, N failed, N skipped"
#
# Groups run one after the other; those behind "--" at the same time as those before it.
# Groups: check tidy unit golden fuzz netns runtime packaging kube page, each as GROUP or GROUP:VARIANT
# (see VARIANT in the Makefile; release if not named).  What cannot run on this
# machine is counted as skipped, with its reason.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
log=$dir/log

say() { printf '%-9s %-34s %s\n' "$1" "$2" "$3"; }

tell() {
	if [ "$3" != 0 ]; then
		say FAILED "$1" "$2 passed, $3 failed, $4 skipped"
		sed 's/^/    | /' "$log"
	elif [ "$4" != 0 ]; then
		say ok "$1" "$2 passed, $4 skipped"
		grep -iE '# skip|skipp' "$log" | sed 's/^/    | /' | head -n 20
	else
		say ok "$1" "$2 passed"
	fi
}

# count NAME P F S: adds up, and shows the log of what failed, in one piece
count() {
	passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
	tell "$@" >"$log.told"
	flock "$dir" cat "$log.told"
}

# one NAME COMMAND...: exit 0 passed, 77 skipped, else failed
one() {
	local name=$1
	shift
	"$@" >"$log" 2>&1 </dev/null
	case $? in
	0) count "$name" 1 0 0 ;;
	77)
		sed -i 's/^/skipped: /' "$log"
		count "$name" 0 0 1
		;;
	*) count "$name" 0 1 0 ;;
	esac
}

# cmocka NAME BINARY: counts the lines of its TAP output
cmocka() {
	local rc p f s
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$2" >"$log" 2>&1 </dev/null
	rc=$?
	s=$(grep -cE '^ok .*# SKIP' "$log")
	p=$(($(grep -cE '^ok ' "$log") - s))
	f=$(grep -cE '^not ok ' "$log")
	# A crash has no line of its own.
	[ $rc != 0 ] && [ "$f" = 0 ] && f=1 && echo "exit status $rc" >>"$log"
	[ $((p + f + s)) = 0 ] && f=1
	count "$1" "$p" "$f" "$s"
}

# runner NAME COMMAND...: a script that ends with "name: N passed, N failed[, N skipped]"
runner() {
	local name=$1 last p f s rc
	shift
	"$@" >"$log" 2>&1 </dev/null
	rc=$?
	last=$(grep -E '^[a-z]+: [0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
	p=$(sed -E 's/.*: ([0-9]+) passed.*/\1/' <<<"$last")
	f=$(sed -E 's/.* ([0-9]+) failed.*/\1/' <<<"$last")
	s=$(sed -nE 's/.* ([0-9]+) skipped.*/\1/p' <<<"$last")
	[ -z "$last" ] && p=0 f=1
	[ $rc != 0 ] && [ "$f" = 0 ] && f=1
	count "$name" "$p" "$f" "${s:-0}"
}

build() {
	make -j"$(nproc)" VARIANT="$1" WERROR="${WERROR:-}" "${@:2}" >"$log" 2>&1 </dev/null && return 0
	count "build:$1" 0 1 0
	return 1
}

# set_variant GROUP[:VARIANT]: group, variant and tag, which is what the output calls it
set_variant() {
	group=${1%%:*} variant=release tag=$1
	[ "$group" = "$1" ] || variant=${1#*:}
}

run_group() {
	local t start=$SECONDS
	set_variant "$1"
	[ -e "$dir/$variant.built" ] || return 0
	export BH_BUILD=$PWD/build/$variant
	case $group in
	check)
		for t in headers layers format text; do
			one "$t" "tests/check/$t.sh"
		done
		;;
	tidy) one tidy tests/check/tidy.sh "$BH_BUILD" ;;
	unit)
		for t in tests/unit/test_*.c; do
			t=$(basename "$t" .c)
			cmocka "$tag $t" "$BH_BUILD/tests/unit/$t"
		done
		;;
	fuzz)
		for t in tests/fuzz/fuzz_*.c; do
			t=$(basename "$t" .c)
			one "$tag $t" "$BH_BUILD/tests/fuzz/$t" "tests/fuzz/corpus/${t#fuzz_}"
		done
		;;
	golden | netns | runtime | packaging | kube | page) runner "$tag" "tests/$group/run.sh" ;;
	*)
		echo "no such group: $group"
		failed=$((failed + 1))
		;;
	esac
	echo "          $tag: $((SECONDS - start)) s"
}

# run_lane NUMBER GROUP...
run_lane() {
	local lane=$1 group
	log=$dir/log.$lane
	shift
	for group; do run_group "$group"; done
	echo "$passed $failed $skipped" >"$dir/sum.$lane"
}

for group; do
	[ "$group" = -- ] && continue
	set_variant "$group"
	[ -e "$dir/$variant.tried" ] && continue
	touch "$dir/$variant.tried"
	build "$variant" all tests && touch "$dir/$variant.built"
done

first=()
while [ $# != 0 ] && [ "$1" != -- ]; do
	first+=("$1")
	shift
done
shift $(($# != 0))
base="$passed $failed $skipped"
passed=0 failed=0 skipped=0
run_lane 2 "$@" &
run_lane 1 ${first+"${first[@]}"} &
wait
for sum in "$base" "$(cat "$dir/sum.1" || echo 0 1 0)" "$(cat "$dir/sum.2" || echo 0 1 0)"; do
	read -r p f s <<<"$sum"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
