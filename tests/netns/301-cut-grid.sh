# What policy revokes stays cut, however many source and destination ports a pair of
# pods uses at a time, whichever protocol, and whichever end goes on sending.
. ./lib.sh
node_up "${NODE_KIND:-bridge}"
G=${G:-3}
pod shop/client 11 app=client
pod shop/feed 12 app=feed
cat >"$WORK/grid.py" <<'PY'
# grid.py serve G | grid.py ask G PORT ADDRESS...: G x G connections of each kind to each
# address, from ports from PORT on.  "push": the server sends and sends; "talk": the client does, and gets answers.
import selectors, socket, sys, time

KINDS = [(p, m) for p in ("tcp", "udp") for m in ("push", "talk")]
role, G = sys.argv[1], int(sys.argv[2])

def base(proto, mode):
    return 8000 + 100 * KINDS.index((proto, mode))

def make(proto, addr):
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET,
                      socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return s

def serve():
    sel, streams, datagrams = selectors.DefaultSelector(), [], {}
    for proto, mode in KINDS:
        for p in range(G):
            s = make(proto, "::")
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            s.bind(("::", base(proto, mode) + p))
            if proto == "tcp":
                s.listen(100)
            sel.register(s, selectors.EVENT_READ, (proto, mode, True))
    print("ready", flush=True)
    last = time.time()
    while True:
        for key, _ in sel.select(0.05):
            proto, mode, is_first = key.data
            s = key.fileobj
            try:
                if proto == "udp":
                    data, peer = s.recvfrom(2000)
                    if mode == "talk":
                        s.sendto(data, peer)
                    else:
                        datagrams[(s, peer)] = True
                elif is_first:
                    c = s.accept()[0]
                    c.setblocking(False)
                    sel.register(c, selectors.EVENT_READ, (proto, mode, False))
                    if mode == "push":
                        streams.append(c)
                else:
                    data = s.recv(2000)
                    if not data:
                        raise OSError
                    s.send(data)
            except BlockingIOError:
                pass
            except OSError:
                if not is_first:
                    sel.unregister(s)
        if time.time() - last > 0.1:
            last = time.time()
            for c in streams:
                try: c.send(b"p")
                except OSError: pass
            for s, peer in datagrams:
                try: s.sendto(b"p", peer)
                except OSError: pass

def ask():
    sel, socks = selectors.DefaultSelector(), {}
    first = int(sys.argv[3])
    for addr in sys.argv[4:]:
        for proto, mode in KINDS:
            for a in range(G):
                for b in range(G):
                    s = make(proto, addr)
                    s.bind(("::" if ":" in addr else "0.0.0.0", first + base(proto, mode) % 1000 + a))
                    s.settimeout(5)
                    s.connect((addr, base(proto, mode) + b))
                    s.setblocking(False)
                    s.send(b"q")
                    sel.register(s, selectors.EVENT_READ)
                    socks[s] = (proto, mode, ":" in addr)
    print("connected", len(socks), flush=True)
    while True:
        got, end, last = set(), time.time() + 1, 0
        while time.time() < end:
            if time.time() - last > 0.1:
                last = time.time()
                for s, (proto, mode, _) in socks.items():
                    if mode == "talk":
                        try: s.send(b"t")
                        except OSError: pass
            for key, _ in sel.select(0.05):
                try:
                    if key.fileobj.recv(65536): got.add(key.fileobj)
                except OSError: pass
        print("alive", len(got), sorted({" ".join(map(str, socks[s])) for s in got}), flush=True)

serve() if role == "serve" else ask()
PY
say() { # NAME DIRECTION PEER|-: NAME's pods are open to PEER in that direction, or to nobody
	local d=${2,,} key=from
	[ "$d" = egress ] && key=to
	netpol "shop/$1" <<YAML
podSelector: {matchLabels: {app: $1}}
policyTypes: [$2]
$([ "$3" = - ] || echo "$d: [{$key: [{podSelector: {matchLabels: {app: $3}}}]}]")
YAML
	[ -z "$AGENT_PID" ] || settle
}
all=$((8 * G * G))
alive() { tail -n 1 "$WORK/log/ask" | grep -q "^alive $1 "; }
# The second after the one that was under way has none.
none() {
	sleep 2.2
	alive 0 || fail "$1: $(tail -n 1 "$WORK/log/ask")"
	[ "$(status .revocation.live)" = 0 ] || fail "$(status .revocation)"
}

say feed Ingress client
agent_start
spawn shop/feed python3 "$WORK/grid.py" serve "$G" >"$WORK/log/serve" 2>&1
server=$!
eventually grep -q ready "$WORK/log/serve"
ask() {
	spawn shop/client setpriv --bounding-set -all --inh-caps -all python3 "$WORK/grid.py" ask \
		"$G" "$1" "${ADDR4[shop/feed]}" "${ADDR6[shop/feed]}" >"$WORK/log/ask" 2>&1
	eventually alive $all
}
ask 7000

step "the server's ingress is taken away"
say feed Ingress -
none "ingress of the server"
blocked shop/client tcp shop/feed 8000

step "allowed again: all of them go on"
say feed Ingress client
eventually alive $all

step "the client's egress is taken away"
# By now the server may have opened flows of UDP to its peers, which are its own to open.
kill $!
ask 6000
say client Egress -
none "egress of the client"

step "nothing of it outlives its use"
n_cuts() { nft -j list table inet bulkhead | python3 -c '
import json, sys
print(sum(len(x["set"].get("elem", [])) for x in json.load(sys.stdin)["nftables"]
          if "set" in x and x["set"]["name"] in ("cut4", "cut6", "cut_pair4", "cut_pair6")))'; }
[ "$(n_cuts)" -ge $((all / 2)) ] || fail "$(n_cuts) cuts in the kernel"
kill $! $server
# Their last packets are on the way.
sleep 1
rm "$POLICIES/pod-shop.client.yaml"
settle
[ "$(n_cuts)" = 0 ] || fail "$(n_cuts) cuts left of a pod that is gone"
