#!/bin/bash
# collect.sh [GROUP...]   records the system calls of the agent in tests/seccomp/calls
#
# Runs netns, runtime and kube, or the groups that are named, with every agent under
# strace(1) and its filter on `log`, and writes each call that an agent made after the
# filter was loaded, with the groups that made it.  Groups that do not run here, or only
# the cases named in CASES, keep their lines.  tests/unit/test_seccomp.c compares the
# record with the table of src/daemon/syscalls.c.  It takes about three times as long as
# the groups themselves.
set -eu
cd "$(dirname "$0")/../.."
BH_BUILD=$(realpath "${BH_BUILD:-build/release}")
record=$PWD/tests/seccomp/calls
[ "$(id -u)" = 0 ] && command -v strace >/dev/null || {
	echo "root and strace are needed"
	exit 77
}
[ $# -gt 0 ] || set -- netns runtime kube
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/build/tests" "$work/seen"
ln -s "$BH_BUILD/bulkhead" "$work/build/"
ln -s "$BH_BUILD/tests/tools" "$work/build/tests/"

# From strace's lines, each call once; with the argument that is checked.
cat >"$work/reduce.awk" <<'AWK'
{
	sub(/^[0-9]+ +/, "")
	sub(/ <unfinished \.\.\.>$/, "")
	if (!is_armed) {
		is_armed = /^seccomp\(SECCOMP_SET_MODE_FILTER, .*= 0$/
		next
	}
	if (!match($0, /^[a-z0-9_]+\(/))
		next
	call = substr($0, 1, RLENGTH - 1)
	split(substr($0, RLENGTH + 1), arg, /, |\)/)
	i = call ~ /^(socket|socketpair|prctl)$/ ? 1 : call ~ /^(ioctl|kill)$/ ? 2 : call ~ /^(mmap|mprotect|tgkill)$/ ? 3 : 0
	if (i)
		call = call " " arg[i]
	if (!(call in seen)) {
		seen[call]
		print call
		fflush()
	}
}
AWK

# In place of the agent; its pid stays the agent's (-D).
cat >"$work/build/bulkheadd" <<SH
#!/bin/bash
for a; do
	shift
	case \$a in
	--check-config | --version | --help) exec $BH_BUILD/bulkheadd "\$a" "\$@" ;;
	kill) set -- "\$@" log ;;
	*) set -- "\$@" "\$a" ;;
	esac
done
out=\$(mktemp "$work/seen/\$BH_GROUP.XXXXXX")
exec strace -D -f -qq -e abbrev=all -o "|awk -f $work/reduce.awk >\$out" $BH_BUILD/bulkheadd "\$@"
SH
chmod +x "$work/build/bulkheadd"

for group; do
	echo "$group"
	BH_GROUP=$group BH_BUILD=$work/build JOBS=2 CASE_TIMEOUT=600 "tests/$group/run.sh" ${CASES:-} | tail -n 1
done

touch "$record"
{
	echo "# System calls that the agent made in the test suite after its filter was loaded, and"
	echo "# the groups of tests that made them; written by tests/seccomp/collect.sh."
	{
		for group; do
			cat "$work/seen/$group".* 2>/dev/null | sort -u | sed "s/$/\t$group/"
		done
		# Groups that did not run, or not whole.
		grep -v '^#' "$record" | awk -F '\t' -v ran=" $([ -n "${CASES:-}" ] || echo "$*") " '{
			n = split($2, groups, " ")
			for (i = 1; i <= n; i++)
				if (!index(ran, " " groups[i] " "))
					print $1 "\t" groups[i]
		}'
	} | sort -u | awk -F '\t' '
		$1 != last { if (NR > 1) print last "\t" groups; last = $1; groups = $2; next }
		{ groups = groups " " $2 }
		END { if (last) print last "\t" groups }'
} >"$work/calls"
mv "$work/calls" "$record"
