# The agent's own filter of system calls: what it denies, what is left after that, and
# what the operator sees of it.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:5432
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- ports: [{port: 80}]
YAML
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
export BH_INTRUDE=$WORK/intrude
grep -q __asan_init "$BULKHEADD" && has_asan=1 || has_asan=

# intruded_start MODE [VARIABLE=VALUE...]: the agent, ready to be told what to call
intruded_start() {
	local SECCOMP=(--seccomp "$1")
	: >"$WORK/log/agent"
	agent_exec_env "${@:2}"
	"$BULKHEAD" --control "$CONTROL" status --wait --timeout 30 >"$WORK/log/status" 2>&1 ||
		fail "the agent is not ready: $(cat "$WORK/log/status")"
}
agent_exec_env() {
	env LD_PRELOAD="$BH_BUILD/tests/tools/preload/intrude.so" "$@" "$BULKHEADD" \
		--policies "$POLICIES" --control "$CONTROL" --flow-log "$FLOW_LOG" --log-level debug \
		--metrics "unix:$WORK/metrics" "${SECCOMP[@]}" >>"$WORK/log/agent" 2>&1 &
	AGENT_PID=$!
}
# intrude CALL: the next answer makes it
intrude() {
	rm -f "$BH_INTRUDE.result"
	echo "$1" >"$BH_INTRUDE.new"
	mv "$BH_INTRUDE.new" "$BH_INTRUDE"
	timeout 10 "$BULKHEAD" --control "$CONTROL" status >/dev/null 2>&1 || true
}
# kills CALL: the agent is ended by SIGSYS, the call returns nothing
kills() {
	local rc=0
	intrude "$1"
	wait "$AGENT_PID" 2>/dev/null || rc=$?
	AGENT_PID=
	[ $rc = $((128 + $(kill -l SYS))) ] || fail "$1: exit status $rc, $(cat "$BH_INTRUDE.result" || true)"
	[ ! -e "$BH_INTRUDE.result" ] || fail "$1 was made: $(cat "$BH_INTRUDE.result")"
}
# gets CALL RESULT...: one of these, and the agent goes on
gets() {
	local got
	intrude "$1"
	got=$(cat "$BH_INTRUDE.result") || fail "$1: no result"
	grep -qxF -- "$got" <<<"$(printf '%s\n' "${@:2}")" || fail "$1 is $got, not $2"
	kill -0 "$AGENT_PID" || fail "$1: the agent is gone"
}
enforces() {
	open shop/web tcp shop/db 80
	blocked shop/web tcp shop/db 5432
}
table() { nft -s list table inet bulkhead | grep -v expires; }
metric() { curl -s --unix-socket "$WORK/metrics" http://localhost/metrics | grep "^bulkhead_seccomp_in_force"; }

step "in force, and said so"
intruded_start kill
[ "$(sed -n 's/^Seccomp:[[:blank:]]*//p' "/proc/$AGENT_PID/status")" = 2 ] || fail "no filter"
[ "$(status .seccomp.mode) $(status .seccomp.in_force) $(status .seccomp.kernel)" = "kill true filter" ] ||
	fail "$(status .seccomp)"
grep -q "filtered, mode kill" "$WORK/log/status" || fail "$(cat "$WORK/log/status")"
[ "$(metric)" = 'bulkhead_seccomp_in_force{mode="kill"} 1' ] || fail "$(metric)"
enforces

step "kill: a call that is in no list ends the agent; the rules stay and the next one takes over"
before=$(table)
gets socket-unix done
for call in memfd_create socket-packet; do
	kills $call
	[ "$before" = "$(table)" ] || fail "the rules changed"
	[ $call = memfd_create ] || enforces
	intruded_start kill
	[ "$before" = "$(table)" ] || fail "the rules changed"
done
agent_stop

step "errno: such a call fails, and the agent works on"
intruded_start errno
for call in memfd_create io_uring_setup socket-packet socket-vsock socket-alg mprotect-exec mmap-wx \
	clone3 clone-newns ioctl-tiocsti; do
	gets $call ENOSYS
done
# Sanitizers need all of these.
[ -n "$has_asan" ] || { gets prctl-mm ENOSYS; gets kill-term ENOSYS; }
enforces

step "what only an intruder calls ends the agent even so"
for call in execve mount setns bpf; do
	kills $call
	intruded_start errno
done
[ "$before" = "$(table)" ] || fail "the rules changed"
enforces
agent_stop

step "log: the call is made; what only an intruder calls is not"
intruded_start log
gets memfd_create EFAULT
gets socket-packet EPERM
[ "$(status .seccomp.mode) $(status .seccomp.in_force)" = "log true" ] || fail "$(status .seccomp)"
kills mount

step "off: no filter, which the log and the status say"
intruded_start off
gets memfd_create EFAULT
gets mount EFAULT EPERM
[ "$(status .seccomp.in_force) $(status .seccomp.kernel)" = "false disabled" ] || fail "$(status .seccomp)"
grep -q "not filtered (--seccomp off)" "$WORK/log/status" || fail "$(cat "$WORK/log/status")"
grep -q "system calls are not filtered" "$WORK/log/agent" || fail "nothing in the log"
agent_stop

step "a kernel that refuses: the agent enforces without, and says why"
intruded_start kill BH_NO_SECCOMP=1
grep -q "the kernel takes no filter of system calls" "$WORK/log/agent" || fail "nothing in the log"
[ "$(status .seccomp.in_force)" = false ] || fail "$(status .seccomp)"
grep -q "not filtered: the kernel takes no filter" "$WORK/log/status" || fail "$(cat "$WORK/log/status")"
[ "$(metric)" = 'bulkhead_seccomp_in_force{mode="kill"} 0' ] || fail "$(metric)"
enforces
agent_stop
