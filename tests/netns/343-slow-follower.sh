# A follower that does not read costs the agent no more than its share, and is told what it
# missed when it reads again; others go on.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
netpol shop/deny <<YAML
podSelector: {}
policyTypes: [Ingress]
YAML
agent_start --log-rate 0

step "a follower stops reading"
"$BULKHEAD" --control "$CONTROL" flows --follow -o json >"$WORK/slow" 2>"$WORK/slow.err" &
SLOW=$!
eventually grep -q pod-bound "$WORK/slow"
kill -STOP $SLOW
rss() { awk '/VmRSS/ { print $2 }' "/proc/$AGENT_PID/status"; }
before=$(rss)
# flood FROM TO: a record each, as many as the flow log takes of one pod
flood() {
	in_pod "$1" python3 - "${ADDR4[$2]}" "${ADDR6[$2]}" <<'PY'
import socket, sys, time
socks = [(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), sys.argv[1]),
         (socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), sys.argv[2])]
port, end = 1000, time.monotonic() + 6
while time.monotonic() < end:
    for i in range(12):
        port += 1
        for s, addr in socks:
            s.sendto(b"x", (addr, port))
    time.sleep(0.1)
PY
}
flood shop/web shop/db &
flood shop/db shop/web
wait $!
# A sanitizer keeps what was freed.
case $BH_BUILD in
*/asan) ;;
*) [ $(($(rss) - before)) -lt 16384 ] || fail "$(($(rss) - before)) kB more" ;;
esac
[ "$(status .ready)" = true ] || fail "not ready"

step "it reads again"
kill -CONT $SLOW
eventually grep -q '"gap.reason":"reader-too-slow"' "$WORK/slow"
python3 - "$WORK/slow" <<'PY' || fail "numbers are missing without a gap record"
import json, sys
last = None
for line in open(sys.argv[1]):
    if not line.endswith("\n"):
        break
    r = json.loads(line)
    first = r.get("gap.first_sequence", r["event.sequence"])
    assert last is None or first == last + 1, (last, line)
    last = r["event.sequence"]
PY
kill $SLOW
wait $SLOW 2>/dev/null || true
