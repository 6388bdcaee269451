# The AppArmor profile: well-formed, and the agent enforces under it.
. ./lib.sh
command -v apparmor_parser >/dev/null || skip "apparmor_parser is not installed"

step "well-formed"
apparmor_parser --skip-kernel-load --skip-cache --base /etc/apparmor.d \
	"$TOP/packaging/apparmor/bulkheadd" 2>"$WORK/parser" || fail "$(cat "$WORK/parser")"

step "loaded"
[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] ||
	skip "profile parsed, not loaded: this kernel has no AppArmor"
[ "$(id -u)" = 0 ] || skip "profile parsed, not loaded: that needs root"
command -v aa-exec >/dev/null || skip "profile parsed, not loaded: aa-exec is not installed"
# A profile of the machine with the same name stays as it is.
profile=bulkhead-test-$$
sed "s/bulkheadd flags/$profile flags/; s/peer=bulkheadd/peer=$profile/
	s|^  include if exists.*|  $WORK/** rwk, $TOP/** mr,|" "$TOP/packaging/apparmor/bulkheadd" >"$WORK/profile"
apparmor_parser -r "$WORK/profile" || fail "not loaded"
trap 'apparmor_parser -R "$WORK/profile"; rm -rf "$WORK"' EXIT

step "the agent enforces under it"
mkdir "$WORK/policies"
cp "$TOP"/policy/examples/shop/*.yaml "$WORK/policies/"
unshare --net bash -ec '
	ip link set lo up
	aa-exec -p "$1" -- "$2/bulkheadd" --policies "$3/policies" --control "$3/control" \
		--flow-log "$3/flows" --seccomp kill >"$3/agent" 2>&1 &
	"$2/bulkhead" --control "$3/control" status --wait --timeout 20
	grep -q "^$1 (enforce)" /proc/$!/attr/current
	kill $!
	wait $!' - "$profile" "$BH_BUILD" "$WORK" >"$WORK/log" 2>&1 || fail "$(cat "$WORK/log" "$WORK/agent")"
