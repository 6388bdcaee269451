# Where the sets of what was cut are full, the pair of addresses is shut; where that has no room
# either, it is cut and said.
. ./lib.sh
node_up "${NODE_KIND:-bridge}"
pod shop/client 11 app=client
pod shop/feed 12 app=feed
FAMILIES=4
allow() {
	netpol shop/feed <<YAML
podSelector: {matchLabels: {app: feed}}
policyTypes: [Ingress]
ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [$1]}]
YAML
}
# The server sends and sends: its packets begin a connection of its own, where nothing tracks them.
cat >"$WORK/push.py" <<'PY'
import socket, sys, time
if sys.argv[1] == "serve":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((sys.argv[2], 9000))
    print("ready", flush=True)
    peer = s.recvfrom(100)[1]
    while True:
        try: s.sendto(b"push", peer)
        except OSError: pass
        time.sleep(0.05)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[2], 6000))
s.sendto(b"hello", (sys.argv[3], 9000))
while True: print("got", s.recv(100).decode(), flush=True)
PY
# fill SET PREFIX N: with what concerns nobody
fill() {
	python3 - "$@" <<'PY' | nft -f -
import sys
name, n = sys.argv[1], int(sys.argv[2])
tail = " . tcp . 1 . 2" if name == "cut4" else " . tcp"
for at in range(0, n, 4096):
    print("add element inet bulkhead %s { %s }" % (name, ", ".join(
        "198.18.%d.%d . 198.19.0.1%s timeout 10m" % (i // 256, i % 256, tail) for i in range(at, min(n, at + 4096)))))
PY
}
allow "{port: 9000, protocol: UDP}"
agent_start
FEED= CLIENT=
# A connection that the client opens, where nothing of an earlier one is left.
connect() {
	[ -z "$FEED" ] || kill $FEED $CLIENT
	conntrack -F 2>/dev/null
	spawn shop/feed python3 "$WORK/push.py" serve 10.244.0.12 >"$WORK/log/feed"
	FEED=$!
	eventually grep -q ready "$WORK/log/feed"
	spawn shop/client python3 "$WORK/push.py" ask 10.244.0.11 10.244.0.12 >"$WORK/log/client"
	CLIENT=$!
	eventually grep -q got "$WORK/log/client"
}
got() { grep -c got "$WORK/log/client"; }
lives() { local n; n=$(got); sleep 0.6; [ "$(got)" -gt "$n" ]; }
is_cut() { ! lives; }

connect
step "no room for ports: the pair of addresses is shut"
fill cut4 32768
allow "{port: 1}"
settle
is_cut || fail "the connection lives"
nft get element inet bulkhead cut_pair4 '{ 10.244.0.12 . 10.244.0.11 . udp }' >/dev/null || fail "no pair"

step "no room at all: cut, and said that it may come back"
allow "{port: 9000, protocol: UDP}"
settle
nft flush set inet bulkhead cut_pair4
fill cut_pair4 8192
connect
allow "{port: 1}"
settle
eventually logged "action == 'revocation-failed'"
grep -q "may live on" "$WORK/log/agent" || fail "it does not say so"
"$BULKHEAD" --control "$CONTROL" status | grep -q "without room to keep them from coming back" || fail "status does not say it"
