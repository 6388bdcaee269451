#!/bin/bash
# run.sh [CASE...]   runs tests/packaging/NNN-*.sh
#
# A case passes with exit status 0, is skipped with 77 (its last line says why), and
# fails with anything else or after CASE_TIMEOUT seconds.  Those that install or run
# something do it in namespaces of their own; nothing of the machine is touched.
# BH_BUILD is the build tree; what is packaged is always build/release.
set -u
cd "$(dirname "$0")"
BH_BUILD=$(realpath "${BH_BUILD:-../../build/release}")
export BH_BUILD
. ../runtime/node.sh
passed=0 failed=0 skipped=0
log=$(mktemp)
name=bulkhead-packaging-$$
trap 'node_clean $name; rm -f "$log"' EXIT

[ $# = 0 ] && set -- [0-9][0-9][0-9]-*.sh
for case; do
	case=$(basename "$case" .sh)
	start=$SECONDS
	NODE_NAME=$name timeout -k 5 "${CASE_TIMEOUT:-600}" bash "./$case.sh" >"$log" 2>&1 </dev/null
	case $? in
	0)
		echo "ok      $case ($((SECONDS - start)) s)"
		passed=$((passed + 1))
		;;
	77)
		echo "skipped $case: $(tail -n 1 "$log")"
		skipped=$((skipped + 1))
		;;
	*)
		echo "FAILED  $case"
		sed 's/^/    | /' "$log"
		failed=$((failed + 1))
		;;
	esac
done

echo "packaging: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
