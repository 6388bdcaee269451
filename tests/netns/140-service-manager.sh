# Type=notify: started once rules are in force, watchdog, reload, stop.
. ./lib.sh
node_up
pod shop/web 11 app=web
python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(s.recv(4096).decode().replace("\n", " "), flush=True)' "$WORK/notify" >"$WORK/log/notify" &
eventually grep -q bound "$WORK/log/notify"
says() { eventually grep -q "$1" "$WORK/log/notify"; }

export NOTIFY_SOCKET=$WORK/notify WATCHDOG_USEC=400000
agent_exec --runtime unix://$WORK/no-runtime.sock
unset NOTIFY_SOCKET WATCHDOG_USEC

step "a source is missing: started once rules are in force, alive, and not ready"
says "STATUS=Not ready"
grep -q READY=1 "$WORK/log/notify" && fail "it said READY=1 without rules"
says "WATCHDOG=1"
says READY=1
nft list table inet bulkhead >/dev/null || fail "started without rules"
[ "$(status .ready)" = false ] || fail "it is ready"
tail -n 1 "$WORK/log/notify" | grep -q "STATUS=Enforcing" && fail "it says that all is well"
agent_stop
says "STOPPING=1"
nft delete table inet bulkhead
: >"$WORK/log/notify"

step "a source is missing and rules of before are in force: started, and not ready"
nft -f - <<NFT
table inet bulkhead { chain forward { type filter hook forward priority 0; }; }
NFT
export NOTIFY_SOCKET=$WORK/notify
agent_exec --runtime unix://$WORK/no-runtime.sock
unset NOTIFY_SOCKET
says READY=1
says "STATUS=Not ready: source cri is not in sync yet, the rules found in the kernel stay in force"
[ "$(status .ready)" = false ] || fail "it is ready"
agent_stop
nft delete table inet bulkhead
: >"$WORK/log/notify"

step "ready once the rules are in the kernel"
export NOTIFY_SOCKET=$WORK/notify
agent_exec
unset NOTIFY_SOCKET
says READY=1
nft list table inet bulkhead >/dev/null || fail "ready without rules"
kill -HUP "$AGENT_PID"
says "RELOADING=1 MONOTONIC_USEC="
eventually eval "sed '1,/RELOADING/d' '$WORK/log/notify' | grep -q READY=1"
