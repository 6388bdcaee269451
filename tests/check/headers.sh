#!/bin/sh
# Every public header compiles alone, and its guard is named after it.
set -eu
cd "$(dirname "$0")/../.."
bad=0
for h in include/bh/*.h; do
	${CC:-gcc} -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude -fsyntax-only \
		-include "$h" -x c /dev/null $(pkg-config --cflags libuv jansson) || bad=1
	guard=BH_$(basename "$h" .h | tr a-z- A-Z_)_H
	grep -q "^#ifndef $guard\$" "$h" || { echo "$h: the guard is not $guard"; bad=1; }
done
exit $bad
