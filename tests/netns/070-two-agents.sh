# What one agent has, a second one cannot take: it says so and ends.
. ./lib.sh
node_up
pod shop/web 11 app=web
agent_start
before=$(nft -s list table inet bulkhead)

# refused TEXT OPTION...: exit status 1 and a message
refused() {
	local want=$1 out rc=0
	shift
	out=$(timeout 20 "$BULKHEADD" --policies "$POLICIES" "$@" 2>&1) || rc=$?
	[ $rc = 1 ] || fail "exit status $rc: $out"
	grep -q -- "$want" <<<"$out" || fail "'$want' not in: $out"
}
step "the same control socket"
refused "another agent is running" --control "$CONTROL"
step "the same NFLOG group"
refused "--nflog-group 180" --control "$WORK/other.sock"
[ "$(nft -s list table inet bulkhead)" = "$before" ] || fail "the rules were touched"

step "wrong usage is exit status 2"
for args in "" "--no-such-option" "--policies"; do
	rc=0
	"$BULKHEADD" $args >/dev/null 2>&1 || rc=$?
	[ $rc = 2 ] || fail "'$args': exit status $rc"
done

step "in another network namespace, with its own socket, a second agent works"
unshare --net "$BULKHEADD" --policies "$POLICIES" --control "$WORK/other.sock" \
	>"$WORK/log/other" 2>&1 &
"$BULKHEAD" --control "$WORK/other.sock" status --wait --timeout 20 >/dev/null ||
	fail "$(cat "$WORK/log/other")"
