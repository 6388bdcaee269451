# Garbage at the control socket, in the folder and a disk that is full: the agent
# lives, says what it lost, and enforces.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:81
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: 81}]
YAML
mkdir "$WORK/disk"
mount -t tmpfs -o size=64k tmpfs "$WORK/disk"
FLOW_LOG=$WORK/disk/flow.log
agent_start
pid=$AGENT_PID

enforces() {
	kill -0 "$pid" || fail "$1: the agent died"
	[ "$AGENT_PID" = "$pid" ] || fail "$1: another agent"
	blocked shop/web tcp shop/db 80
	open shop/web tcp shop/db 81
	eventually eval '[ "$(status .ready)" = true ]'
	echo "ok: $1"
}

# at_socket: a program that has `connect()` for the control socket
at_socket() {
	{
		echo "import os, socket, sys, time"
		echo "def connect():"
		echo "    s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect('$CONTROL'); return s"
		cat
	} | timeout 60 python3 - || fail "the attack itself failed"
}

step "the control socket"
at_socket <<'PY'
s = connect()
try:
    for i in range(1024):
        s.sendall(b"x" * 65536)
    sys.exit("64 MB without an end of line were taken")
except OSError:
    pass
PY
enforces "a line without end"
at_socket <<'PY'
for junk in [b"\0" * 100 + b"\n", b"{\n", b"[]\n", b"null\n", b'{"method": 5}\n', b'{"method": "no"}\n',
             b'{"method": "status", "params": ' + b"[" * 3000 + b"\n", b"\xff\xfe\n", b"\n" * 1000,
             b'{"method":"explain","params":{"source":"a","destination":5}}\n',
             os.urandom(5000) + b"\n"]:
    s = connect()
    try:
        s.sendall(junk)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
    except ConnectionError:
        pass
PY
enforces "no requests at all"
at_socket <<'PY'
many = []
for i in range(500):
    try:
        s = connect()
        s.settimeout(0.2)
        many.append(s)
    except OSError:
        break
print(len(many), "connections")
PY
enforces "500 connections that say nothing"
spawn node python3 - <<PY
import socket, time
many = []
for i in range(50):
    s = socket.socket(socket.AF_UNIX)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    s.connect("$CONTROL")
    s.sendall(b'{"method": "render"}\n' if i % 2 else b'{"method": "flows", "params": {"follow": true}}\n')
    many.append(s)
open("$WORK/slow", "w").close()
time.sleep(600)
PY
SLOW=$!
eventually test -e "$WORK/slow"
enforces "fifty who ask and never read"
kill $SLOW

step "the folder"
head -c 16M /dev/zero | tr '\0' 'a' >"$POLICIES/all-a.yaml"
python3 -c "print('a:\\n' + '- {a: [b, c]}\\n' * 1000000)" >"$POLICIES/many-nodes.yaml"
head -c 20M /dev/urandom >"$POLICIES/noise.json"
mkfifo "$POLICIES/fifo.yaml"
ln -s /dev/zero "$POLICIES/zero.yaml"
ln -s loop.yaml "$POLICIES/loop.yaml"
ln -s . "$POLICIES/self"
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$POLICIES/socket.yaml')"
python3 -c "print('[' * 1000000)" >"$POLICIES/deep.json"
settle
enforces "huge, deep, endless and no files at all"
status .problems
rm -rf "$POLICIES"/{all-a.yaml,many-nodes.yaml,noise.json,fifo.yaml,zero.yaml,loop.yaml,self,socket.yaml,deep.json}
settle
[ "$(status .problems)" = "[]" ] || fail "problems stay: $(status .problems)"
enforces "all gone again"

mv "$POLICIES" "$WORK/away"
sleep 1
blocked shop/web tcp shop/db 80
kill -0 "$pid" || fail "the agent died without its folder"
step "the folder is away: what was known stays in force"
mkdir "$POLICIES"
cp -a "$WORK/away/." "$POLICIES/"
eventually eval '[ "$(status .ready)" = true ]'
settle
enforces "another folder in its place"
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML
settle
blocked shop/web tcp shop/db 81
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: 81}]
YAML
settle
enforces "and it is followed"

step "the flow log on a full disk"
head -c 1M /dev/zero >"$WORK/disk/full" 2>/dev/null || true
for i in 1 2 3; do
	for p in $(seq 1 40); do echo "udp ${ADDR4[shop/db]} $((1000 * i + p)) blocked"; done |
		in_pod shop/web "$PROBE" matrix -t 200 >/dev/null
done
enforces "no room for a record"
rm "$WORK/disk/full"
blocked shop/web tcp shop/db 80
has_gap() { grep -q '"event.action": *"gap"' "$FLOW_LOG"; }
for i in $(seq 20); do
	blocked shop/web udp shop/db $((2000 + i))
	! has_gap || break
done
eventually has_gap
grep '"gap"' "$FLOW_LOG" | tail -n 1
python3 - "$FLOW_LOG" <<'PY' || fail "a half line in the flow log"
import json, sys
for line in open(sys.argv[1], "rb"):
    assert line.endswith(b"\n"), line
    json.loads(line)
PY
agent_stop
