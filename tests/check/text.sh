#!/bin/sh
# No trailing blanks, no tabs in YAML, no leftovers; man pages are clean.
set -eu
cd "$(dirname "$0")/../.."
bad=0
if git grep -nIE '[[:blank:]]+$' -- '*.c' '*.h' '*.sh' '*.md' '*.yaml' Makefile; then
	echo "trailing blanks"
	bad=1
fi
if git grep -nIE '\b(TODO|FIXME|XXX)\b' -- '*.c' '*.h' '*.sh' Makefile ':!tests/check/text.sh'; then
	echo "left open"
	bad=1
fi
# Of an empty array there is no pointer that the C library would take.
if git grep -nE '\b(qsort|bsearch)\(' -- src policy tests/fuzz ':!include/bh/alloc.h'; then
	echo "bh_sort() and bh_search() take empty arrays too"
	bad=1
fi
if command -v mandoc >/dev/null; then
	for m in packaging/man/*.[1-8]; do
		mandoc -Tlint -W warning "$m" || bad=1
	done
fi
for s in $(git ls-files '*.sh') .ci/run; do
	case $(head -n 1 "$s") in
	'#!/bin/sh') sh -n "$s" || bad=1 ;;
	*) bash -n "$s" || bad=1 ;; # also what others source
	esac
done
exit $bad
