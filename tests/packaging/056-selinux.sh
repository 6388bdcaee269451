# The SELinux module: it compiles, and is loaded where the kernel has SELinux.
. ./lib.sh
[ -e /usr/share/selinux/devel/Makefile ] || skip "selinux-policy-dev is not installed"

step "compiled"
cp -R "$TOP/packaging/selinux" "$WORK/selinux"
make -C "$WORK/selinux" -f /usr/share/selinux/devel/Makefile bulkhead.pp >"$WORK/log" 2>&1 &&
	[ -s "$WORK/selinux/bulkhead.pp" ] || fail "$(cat "$WORK/log")"

step "loaded"
[ -d /sys/fs/selinux/policy_capabilities ] || skip "module compiled, not loaded: this kernel has no SELinux"
[ "$(id -u)" = 0 ] && command -v semodule >/dev/null || skip "module compiled, not loaded: semodule and root are needed"
semodule -l | grep -qx bulkhead && skip "module compiled, not loaded: the machine has one of its own"
trap 'semodule -r bulkhead; rm -rf "$WORK"' EXIT
semodule -i "$WORK/selinux/bulkhead.pp" || fail "not loaded"
