# The systemd units: how much they leave to the agent, as `systemd-analyze security`
# counts (of 100), and that it is enough.
. ./lib.sh
command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
for u in bulkheadd bulkhead-boot; do
	sed 's|@SBINDIR@|/usr/sbin|; s|@SYSCONFDIR@|/etc|' "$TOP/packaging/systemd/$u.service" >"$WORK/$u.service"
done
unit=$WORK/bulkheadd.service

# exposed_at_most N UNIT
exposed_at_most() {
	step "${2##*/} is exposed no more than $1"
	systemd-analyze security --offline=true --threshold="$1" --no-pager "$2" >"$WORK/security" 2>&1 ||
		fail "$(cat "$WORK/security")"
	tail -n 1 "$WORK/security"
	grep "Unknown" "$WORK/security" && fail "systemd does not know this"
	return 0
}
exposed_at_most 20 "$unit"
exposed_at_most 20 "$WORK/bulkhead-boot.service"

step "its filter of system calls allows what the agent needs"
systemd-analyze syscall-filter --no-pager 2>/dev/null >"$WORK/groups" || true
python3 - "$unit" "$WORK/groups" "$TOP/tests/seccomp/calls" <<'PY' || fail "they are denied"
import sys
groups, name = {}, None
for line in open(sys.argv[2]):
    word = line.strip()
    if line.startswith("@"):
        name = word
        groups[name] = set()
    elif name and word and not word.startswith("#"):
        groups[name].add(word)
def calls(word):
    return set().union(*map(calls, groups[word])) if word.startswith("@") else {word}
allowed = set()
for line in open(sys.argv[1]):
    if not line.startswith("SystemCallFilter="):
        continue
    value = line.strip().split("=", 1)[1]
    words = set().union(*map(calls, value.lstrip("~").split()))
    allowed = allowed - words if value.startswith("~") else allowed | words
# What it does before its own filter is loaded, besides.
needed = {"execve", "capset", "capget", "prctl", "seccomp", "mkdir", "chmod", "listen", "umask"}
needed |= {line.split()[0] for line in open(sys.argv[3]) if line[0] != "#"}
print(*sorted(needed - allowed))
sys.exit(len(allowed) < 100 or not needed <= allowed)
PY

step "pods' network namespaces below /run/netns are seen"
grep -qE "^(MountFlags|PrivateNetwork|InaccessiblePaths|TemporaryFileSystem|RootDirectory)=" "$unit" &&
	fail "mounts of the machine would not arrive"
grep -q "^ProtectProc=invisible" "$unit" && grep -qE "^(User|Group|DynamicUser)=" "$unit" &&
	fail "hidepid hides nothing from group root alone"
exit 0
