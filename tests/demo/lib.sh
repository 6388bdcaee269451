#!/bin/bash
# lib.sh: what the demos share; sourced with bash after tests/runtime/node.sh.
#
# A demo runs itself again inside a node of its own (see `outside`), and there tells
# its story with step, ok, say, quote and wrong.  DIR is its folder there.

# --- how it looks ----------------------------------------------------------------

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
	BOLD='' DIM='' GREEN='' RED='' PLAIN=''
fi

STEP=0
step() {
	STEP=$((STEP + 1))
	printf '\n%s%d  %s%s\n' "$BOLD" $STEP "$1" "$PLAIN"
}
ok() { printf '   %s✓%s %s\n' "$GREEN" "$PLAIN" "$1"; }
say() { printf '     %s\n' "$1"; }
wrong() {
	printf '   %s✗ %s%s\n' "$RED" "$1" "$PLAIN"
	if [ -s "$DIR/agent.log" ]; then
		printf '\n%sThe agent said:%s\n' "$BOLD" "$PLAIN"
		tail -n 20 "$DIR/agent.log" | sed 's/^/   /'
	fi
	exit 1
}

# --- outside: a node of its own, and no trace of it afterwards -------------------

HOLDER=
end_node() {
	if [ -n "$HOLDER" ]; then
		kill -KILL "$HOLDER"
		wait "$HOLDER"
	fi 2>/dev/null
	node_clean "$NAME"
}
stopped() {
	trap '' INT TERM HUP
	end_node
	HOLDER=
	printf '\n%sStopped; everything is removed.%s\n' "$DIM" "$PLAIN"
	exit 130
}

# outside FILE...: runs the caller's inside, if these files are built
outside() {
	local why rc p
	if why=$(node_missing); then
		echo "demo: $why" >&2
		exit 1
	fi
	for p; do
		[ -x "$BH_BUILD/$p" ] || { echo "demo: $BH_BUILD/$p is not built" >&2; exit 1; }
	done
	NAME=bulkhead-demo-$$
	trap end_node EXIT
	trap stopped INT TERM HUP
	(node_enter "$NAME" bash "$PWD/${0##*/}" --inside) </dev/null &
	HOLDER=$!
	wait $HOLDER
	rc=$?
	HOLDER=
	end_node
	printf '%sEverything is removed.%s\n' "$DIM" "$PLAIN"
	exit $rc
}

# --- inside ----------------------------------------------------------------------

# Prints standard input within the terminal's width, under a command as typed.
WIDTH=$( (stty size <&1 | cut -d ' ' -f 2) 2>/dev/null)
[ "${WIDTH:-0}" -ge 60 ] || WIDTH=100
quote() {
	printf '     %s$ %s%s\n' "$DIM" "$1" "$PLAIN"
	python3 -c 'import sys, textwrap
for line in sys.stdin:
    text = line.strip()
    indent = 7 + len(line.rstrip("\n")) - len(line.rstrip("\n").lstrip())
    print(textwrap.fill(text, int(sys.argv[1]), initial_indent=" " * indent,
                        subsequent_indent=" " * (indent + 4), break_long_words=False,
                        break_on_hyphens=False))' "$WIDTH"
}
