# deb-on-machine.sh WORK   installs the package, for 040-deb.sh
#
# In namespaces of its own, on a copy of the machine that is a file system over its
# root; what is written goes to memory.
set -euo pipefail
work=$1
. ./lib.sh
trap - EXIT
layers=$work/layers root=$work/machine
mkdir "$layers" "$root"
mount -t tmpfs tmpfs "$layers"
mkdir "$layers/upper" "$layers/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" "$root" ||
	skip "package built and checked, not installed: no overlay over this file system"
for d in proc sys dev; do mount --rbind /$d "$root/$d"; done
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/systemd/system" "$root/deb"
cp "$work/bulkhead.deb" "$root/deb/old.deb"
cp "$work/newer/bulkhead.deb" "$root/deb/new.deb"
cp "$work/older/bulkhead.deb" "$root/deb/older.deb"
ip link set lo up

# There is no service manager to ask; what it is asked for is written down.  The
# answer to "is it enabled" is no, the answer to all else is success.
cat >"$root/usr/bin/systemctl" <<'SH'
#!/bin/sh
echo "$*" >>/deb/systemctl
[ "$1" != is-enabled ]
SH
chmod +x "$root/usr/bin/systemctl"
rm -f "$root/usr/sbin/policy-rc.d"
on_machine() { chroot "$root" "$@"; }
# asked WORD...: some call had all of them
asked() {
	local w lines
	lines=$(cat "$root/deb/systemctl" 2>/dev/null || true)
	for w; do lines=$(grep -- "$w" <<<"$lines" || true); done
	[ -n "$lines" ]
}
calls() { cat "$root/deb/systemctl" 2>/dev/null || true; }
package() { on_machine env DEBIAN_FRONTEND=noninteractive dpkg "$@" >"$work/dpkg" 2>&1 || fail "$(cat "$work/dpkg")"; }
# Without the element of a dynamic set, which ends by itself.
table() { nft -s list table inet bulkhead | grep -v "elements = { tcp }"; }

step "installed: not started and not enabled before it is configured"
package -i /deb/old.deb
asked start bulkheadd && fail "$(calls)"
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/bulkheadd.service" ] || fail "it is enabled"
on_machine bulkheadd --config /etc/bulkhead/bulkheadd.yaml --check-config || fail "its own configuration"
on_machine bash -c '. /usr/share/bash-completion/completions/bulkhead' || fail "completion"

step "upgraded while it runs: the rules stay, the restart is not waited for"
sed -i '/^runtime:/d; /^flow-log:/d' "$root/etc/bulkhead/bulkheadd.yaml"
on_machine cp -R /usr/share/bulkhead/examples/shop /etc/bulkhead/policies/shop
mkdir "$root/run/bulkhead"
on_machine bulkheadd --config /etc/bulkhead/bulkheadd.yaml >"$work/agent" 2>&1 &
on_machine bulkhead status --wait --timeout 20 >/dev/null || fail "$(cat "$work/agent")"
before=$(table)
: >"$root/deb/systemctl"
package --force-confold -i /deb/new.deb
asked try-restart --no-block bulkheadd || fail "$(calls)"
asked stop bulkheadd && fail "it is stopped: $(calls)"
[ "$before" = "$(table)" ] || fail "the rules changed"
grep -q "^runtime:" "$root/etc/bulkhead/bulkheadd.yaml" && fail "the changed configuration is replaced"
[ -e "$root/etc/bulkhead/policies/shop/web.yaml" ] || fail "policies are gone"

step "going back to 0.1.0 is refused, and nothing is changed by it"
version() { on_machine dpkg-query -W -f '${Version} ${Status}' bulkhead; }
was=$(version)
on_machine env DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /deb/older.deb >"$work/dpkg" 2>&1 &&
	fail "it was installed: $(cat "$work/dpkg")"
grep -q "0.1.0 would open what this version closes" "$work/dpkg" || fail "$(cat "$work/dpkg")"
[ "$(version)" = "$was" ] || fail "$was is now $(version): $(cat "$work/dpkg")"
[ "$before" = "$(table)" ] || fail "the rules changed"
[ -d "$root/run/bulkhead/control.sock.lock" ] || fail "an agent of 0.1.0 could start"

step "... unless somebody allows it; upgraded again"
on_machine env DEBIAN_FRONTEND=noninteractive BULKHEAD_ALLOW_DOWNGRADE=1 \
	dpkg --force-confold -i /deb/older.deb >"$work/dpkg" 2>&1 || fail "$(cat "$work/dpkg")"
[ "$(version)" = "0.1.0 install ok installed" ] || fail "$(version)"
[ ! -e "$root/run/bulkhead/control.sock.lock" ] || fail "an agent of 0.1.0 could not start"
package --force-confold -i /deb/new.deb
touch "$root/etc/bulkhead/allow-downgrade"
package --force-confold -i /deb/older.deb
rm "$root/etc/bulkhead/allow-downgrade"
package --force-confold -i /deb/new.deb
[ "$before" = "$(table)" ] || fail "the rules changed"

step "removed: the agent stops, the rules stay with a hint, configuration and state too"
mkdir -p "$root/var/lib/bulkhead" "$root/var/log/bulkhead"
touch "$root/var/lib/bulkhead/kube.cache" "$root/var/log/bulkhead/flows.json"
: >"$root/deb/systemctl"
package -r bulkhead
asked stop bulkheadd || fail "$(calls)"
grep -q "nft delete table inet bulkhead" "$work/dpkg" || fail "$(cat "$work/dpkg")"
[ "$before" = "$(table)" ] || fail "the rules changed"
for f in etc/bulkhead/bulkheadd.yaml var/lib/bulkhead/kube.cache var/log/bulkhead/flows.json; do
	[ -e "$root/$f" ] || fail "$f is gone"
done

step "purged: state and configuration go, policies are the administrator's, rules stay"
package -P bulkhead
for f in etc/bulkhead/bulkheadd.yaml etc/logrotate.d/bulkhead var/lib/bulkhead var/log/bulkhead \
	usr/sbin/bulkheadd lib/systemd/system/bulkheadd.service lib/systemd/system/bulkhead-boot.service; do
	[ ! -e "$root/$f" ] || fail "$f is left"
done
[ -e "$root/etc/bulkhead/policies/shop/web.yaml" ] || fail "policies are gone"
[ "$before" = "$(table)" ] || fail "the rules changed"
