# The API server by its name: the resolver's thread, the name service's shared objects
# and DNS work under the agent's filter of system calls.
. ./lib.sh
ip link set lo up
echo "nameserver 127.0.0.1" >"$WORK/resolv.conf"
# hesiod is one that the C library has to load, and that then has no hosts.
echo "hosts: files hesiod dns" >"$WORK/nsswitch.conf"
mount --bind "$WORK/resolv.conf" /etc/resolv.conf
mount --bind "$WORK/nsswitch.conf" /etc/nsswitch.conf

# A name server for api.bulkhead.test, once without room in a datagram so that it is asked
# over TCP too, and the port where the API would be.
cat >"$WORK/server.py" <<'PY'
import select, socket, struct
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp, api = socket.socket(), socket.socket()
for s in tcp, api:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
udp.bind(("127.0.0.1", 53))
tcp.bind(("127.0.0.1", 53))
api.bind(("127.0.0.1", 6443))
tcp.listen()
api.listen()
print("ready", flush=True)

def answer(query, is_whole):
    end = query.index(b"\0", 12) + 5
    name, kind = query[12:end - 4], struct.unpack("!H", query[end - 4:end - 2])[0]
    is_found = kind == 1 and is_whole
    flags = 0x8180 | (0 if is_whole else 0x0200)
    reply = query[:2] + struct.pack("!HHHHH", flags, 1, is_found, 0, 0) + query[12:end]
    if is_found:
        reply += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + b"\x7f\0\0\1"
    return reply

n = 0
while True:
    for s in select.select([udp, tcp, api], [], [])[0]:
        if s is udp:
            query, peer = udp.recvfrom(4096)
            n += 1
            udp.sendto(answer(query, n > 2), peer)
            print("udp", flush=True)
        elif s is tcp:
            c = tcp.accept()[0]
            c.settimeout(2)
            try:
                while True:
                    head = c.recv(2, socket.MSG_WAITALL)
                    if len(head) < 2:
                        break
                    reply = answer(c.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL), True)
                    c.sendall(struct.pack("!H", len(reply)) + reply)
                    print("tcp", flush=True)
            except TimeoutError:
                pass
            c.close()
        else:
            api.accept()[0].close()
            print("api", flush=True)
PY
python3 "$WORK/server.py" >"$WORK/log/server" 2>&1 &
eventually grep -q ready "$WORK/log/server"
cat >"$WORK/kubeconfig" <<'YAML'
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://api.bulkhead.test:6443"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
YAML
chmod 600 "$WORK/kubeconfig"
agent_exec --kubeconfig "$WORK/kubeconfig" --node n1

step "it is asked for over UDP and TCP, and found"
eventually grep -q udp "$WORK/log/server"
eventually grep -q tcp "$WORK/log/server"
eventually grep -q api "$WORK/log/server"

step "the agent goes on"
kill -0 "$AGENT_PID" || fail "it is gone"
[ "$(status .seccomp.in_force)" = true ] || fail "$(status .seccomp)"
agent_stop
