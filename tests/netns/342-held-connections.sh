# Whoever is on the machine may connect to the health listener, and hold what it gets: the
# service manager's probes are answered within a second.
. ./lib.sh
node_up
agent_start --metrics 127.0.0.1:9633

# probe_all: each page, within a second
probe_all() {
	local p got
	for p in healthz readyz metrics healthz; do
		got=$(curl -s -m 1 -o /dev/null -w '%{http_code}' "http://127.0.0.1:9633/$p" || true)
		[ "$got" = 200 ] || fail "$1: /$p is $got"
	done
}

# attack NAME: runs Python, which has `connect()`, as nobody; H is its pid
attack() {
	setpriv --bounding-set -all --inh-caps -all python3 -c '
import socket, sys, time
def connect():
    s = socket.socket()
    s.settimeout(1)
    try:
        s.connect(("127.0.0.1", 9633))
    except OSError:
        return None
    return s
def send(s, data):
    try:
        s.send(data)
        return s
    except OSError:
        return None
'"$(cat)" 2>/dev/null &
	H=$!
	sleep 0.5
}

# probe_under NAME: while the attack goes on, several times
probe_under() {
	local i
	for i in 1 2 3; do
		probe_all "$1"
		sleep 0.3
	done
	kill -0 "$H" || fail "the attack ended by itself"
	kill "$H"
	wait "$H" 2>/dev/null || true
}

step "half requests that trickle on"
attack <<'PY'
held = []
while True:
    for i in range(40):
        s = connect()
        if s:
            held.append(send(s, b"GET /healthz HTTP/1.1\r\nX: "))
    held = [h for h in held if h and send(h, b"a")][-400:]
    time.sleep(0.1)
PY
probe_under trickle

step "connections that say nothing, as fast as they can be made"
attack <<'PY'
held = []
while True:
    held = (held + [connect()])[-500:]
PY
probe_under connects

step "answers that nobody reads, and requests behind each other"
attack <<'PY'
held = []
while True:
    s = connect()
    if s:
        held.append(send(s, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20))
    held = held[-200:]
    time.sleep(0.01)
PY
probe_under unread

step "one that held a connection is let go"
attack <<'PY'
s = connect()
send(s, b"GET /healthz HTTP/1.1\r\nX: ")
start = time.monotonic()
try:
    while s.recv(1) != b"": pass
except OSError:
    pass
time.sleep(60)
PY
eventually eval "[ \"\$(ss -Htn state established 'sport = :9633' | wc -l)\" = 0 ]"
kill "$H"
wait "$H" 2>/dev/null || true
probe_all after
[ "$(status .ready)" = true ] || fail "not ready"
