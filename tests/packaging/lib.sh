# lib.sh: what the cases of run.sh share.
set -euo pipefail
TOP=$(realpath ../..)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

fail() {
	echo "FAILED at line ${BASH_LINENO[*]:0:2}: $*"
	exit 1
}
skip() {
	echo "$*"
	exit 77
}
step() { echo "# $*"; }

# found VARIABLE COMMAND...: what it prints, or skipped as it says
found() {
	local -n ret=$1
	local rc=0
	shift
	ret=$("$@" 2>/dev/null | tail -n 1) || rc=$?
	[ $rc = 0 ] || { [ $rc = 77 ] && skip "$ret" || fail "$*: exit status $rc"; }
}
