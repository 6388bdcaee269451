# An API server that floods by HTTP/2: memory and time are bounded, the error is named, and what the folder says is enforced.
. ./lib.sh
node_up
FAMILIES=4
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=api -addext subjectAltName=IP:127.0.0.1 \
	-keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>/dev/null
cat >"$WORK/kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $WORK/cert.pem}}]
users: [{name: a, user: {token: secret}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
EOF
# A scripted double: a real API server sends none of this.
cat >"$WORK/server.py" <<'PY'
import socket, ssl, struct, sys, threading, time
mode = sys.argv[1]
ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ctx.load_cert_chain(sys.argv[2] + "/cert.pem", sys.argv[2] + "/key.pem")
ctx.set_alpn_protocols(["h2"])
HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = 1, 3, 4, 5, 6, 7, 8, 9

def frame(kind, flags, stream, body=b""):
    return struct.pack("!I", len(body))[1:] + struct.pack("!BBI", kind, flags, stream) + body

def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + (b"\x7f" + varint(len(value) - 127) if len(value) >= 127 else bytes([len(value)])) + value

def varint(n):
    out = b""
    while n >= 128: out += bytes([n % 128 + 128]); n //= 128
    return out + bytes([n])

OK = b"\x88" + literal(b"content-type", b"application/json")

def attack(c):
    """What is sent for ever, after what begins it."""
    if mode == "continuation":
        return frame(HEADERS, 0, 1, OK), b"".join(frame(CONTINUATION, 0, 1, literal(b"x-a", b"b" * 64) * 100) for _ in range(8))
    if mode == "empty-continuation":
        return frame(HEADERS, 0, 1, OK), frame(CONTINUATION, 0, 1) * 4000
    if mode == "hpack":
        # One long field is put into the table, and named by one byte a time.
        return frame(HEADERS, 0, 1, OK + b"\x40\3x-b\x7f" + varint(3900 - 127) + b"c" * 3900), frame(CONTINUATION, 0, 1, b"\xbe" * 16000)
    if mode == "headers":
        return b"", frame(HEADERS, 4, 1, b"\x08\x03103" + literal(b"x-a", b"b" * 100)) * 400
    if mode == "settings": return b"", frame(SETTINGS, 0, 0, struct.pack("!HI", 3, 100)) * 2000
    if mode == "ping": return b"", frame(PING, 0, 0, b"12345678") * 2000
    if mode == "empty-data": return frame(HEADERS, 4, 1, OK), frame(0, 0, 1) * 4000
    if mode == "window": return b"", frame(UPDATE, 0, 0, struct.pack("!I", 1)) * 2000
    if mode == "push": return b"", frame(PUSH, 4, 1, struct.pack("!I", 2) + OK) * 500
    if mode == "reset": return frame(RST, 0, 1, struct.pack("!I", 8)), b""
    if mode == "goaway": return frame(GOAWAY, 0, 0, struct.pack("!II", 0, 11)), b""
    if mode == "garbage": return b"", b"\xff" * 65536
    if mode == "slow": return frame(HEADERS, 4, 1, OK), None
    raise SystemExit(mode)

def serve(s):
    try:
        c = ctx.wrap_socket(s, server_side=True)
        c.sendall(frame(SETTINGS, 0, 0))
        time.sleep(0.2)  # until the client has asked
        threading.Thread(target=drain, args=(c,), daemon=True).start()
        first, rest = attack(c)
        c.sendall(first)
        print("begun", flush=True)
        while rest: c.sendall(rest)
        while rest is None: c.sendall(frame(0, 0, 1, b"{")); time.sleep(0.5)
        time.sleep(0.5)
    except OSError as e: print("ended:", e, flush=True)
    finally: s.close()

def drain(c):
    try:
        while c.recv(65536): pass
    except OSError: pass

l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(("127.0.0.1", 6443))
l.listen()
print("ready", flush=True)
while True: threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
PY
cpu_ms() { awk '{ print ($14 + $15) * 10 }' "/proc/$AGENT_PID/stat"; }
rss_kb() { awk "\$1 == \"$1:\" { print \$2 }" "/proc/$AGENT_PID/status"; }
deny() {
	netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: [$1]
YAML
}
# A sanitizer keeps 256 MB of what was freed.
case $BH_BUILD in
*/asan) max_kb=600000 ;;
*) max_kb=200000 ;;
esac
declare -A WHY=([continuation]="CONTINUATION" [ping]="without a pause" [settings]="Flooding")
deny ""
# What else there is: empty-continuation headers settings empty-data window push reset goaway garbage slow
for mode in ${MODES:-continuation hpack ping}; do
	python3 "$WORK/server.py" "$mode" "$WORK" >"$WORK/log/server-$mode" 2>&1 &
	server=$!
	eventually grep -q ready "$WORK/log/server-$mode"
	agent_exec --kubeconfig "$WORK/kubeconfig" --node n1
	eventually grep -q begun "$WORK/log/server-$mode"
	before=$(cpu_ms)
	start=$(date +%s%N)
	sleep 1
	deny "{from: [{podSelector: {matchLabels: {app: web}}}]}"
	eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db 80)" = open ]'
	deny ""
	eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db 80)" = timeout ]'
	took_ms=$((($(date +%s%N) - start) / 1000000))
	cpu=$((($(cpu_ms) - before) * 100 / took_ms))
	echo "$mode: peak $(rss_kb VmHWM) kB, $cpu % CPU, $(grep -c begun "$WORK/log/server-$mode") connections, $took_ms ms"
	[ "$(rss_kb VmHWM)" -lt $max_kb ] || fail "$mode: memory"
	[ $cpu -lt 90 ] || fail "$mode: all of a CPU"
	[ "$(status .ready)" = false ] || fail "$mode: ready"
	eventually grep -qE "warning: https://127.0.0.1:6443: .*${WHY[$mode]:-.}" "$WORK/log/agent"
	kill $server; wait $server 2>/dev/null || true
	agent_stop
	"$BULKHEAD" cleanup >/dev/null
done
