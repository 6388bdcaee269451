# Cuts of SCTP associations and of connections behind NAT.  SCTP's packets are made here: the kernel tracks
# them with or without a stack of its own for them.
. ./lib.sh
node_up "${NODE_KIND:-bridge}"
export PYTHONPATH=$PWD
pod shop/client 11 app=client
pod shop/feed 12 app=feed
outside 192.0.2.10 2001:db8::10
# Checksums of SCTP are none of the case.
sysctl -qw net.netfilter.nf_conntrack_checksum=0
allow() {
	netpol shop/feed <<YAML
podSelector: {matchLabels: {app: feed}}
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {matchLabels: {app: client}}}]
  ports: [$1]
- from: [{ipBlock: {cidr: 192.0.2.0/24}}]
  ports: [$1]
YAML
}
allow "{port: 7000, protocol: SCTP}, {port: 53, protocol: UDP}"
agent_start
# Older connections are not picked up any more.
nft delete element inet bulkhead pickup '{ tcp }'

# sctp.py ADDRESS PEER PORT PEER-PORT: prints what comes, sends what it reads, each with the association's tags.
cat >"$WORK/sctp.py" <<'PY'
import select, socket, struct, sys
me, peer, port, peer_port = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
CHUNKS = {"init": (1, struct.pack("!IIHHI", 0x1111, 65536, 1, 1, 1)), "init-ack": (2, struct.pack("!IIHHI", 0x2222, 65536, 1, 1, 1) + struct.pack("!HH4s", 7, 8, b"cook")),
          "cookie-echo": (10, b"cook"), "cookie-ack": (11, b""), "data": (0, struct.pack("!IHHI", 1, 0, 0, 0) + b"data")}
v6 = ":" in me
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, 132)
s.bind((me, 0))
print("ready", flush=True)
while True:
    for r in select.select([s, sys.stdin], [], [])[0]:
        if r is s:
            d = s.recv(2000)
            d = d if v6 else d[20:]
            if struct.unpack("!HH", d[:4]) == (peer_port, port):
                print("got", [n for n, c in CHUNKS.items() if c[0] == d[12]][0], flush=True)
            continue
        line = sys.stdin.readline()
        if not line: sys.exit()
        name, vtag = line.split()
        kind, body = CHUNKS[name]
        flags = 3 if name == "data" else 0
        s.sendto(struct.pack("!HHII", port, peer_port, int(vtag, 16), 0) + struct.pack("!BBH", kind, flags, 4 + len(body)) + body, (peer, 0))
PY
declare -A IN=()
# end NAME POD ADDRESS PEER PORT PEER-PORT
end() {
	mkfifo "$WORK/in-$1"
	spawn "$2" python3 "$WORK/sctp.py" "${@:3}" <"$WORK/in-$1" >"$WORK/log/sctp-$1" 2>&1 &
	exec {IN[$1]}>"$WORK/in-$1"
	eventually grep -q ready "$WORK/log/sctp-$1"
}
say() { echo "$2 $3" >&"${IN[$1]}"; }
# count NAME CHUNK N: so many came
came() { [ "$(grep -c "got $2\$" "$WORK/log/sctp-$1")" = "$3" ]; }

for f in 4 6; do
	declare -n addr=ADDR$f
	step "IPv$f: an association that is allowed"
	end c$f shop/client "${addr[shop/client]}" "${addr[shop/feed]}" 6000 7000
	end s$f shop/feed "${addr[shop/feed]}" "${addr[shop/client]}" 7000 6000
	say c$f init 0; eventually came s$f init 1
	say s$f init-ack 1111; eventually came c$f init-ack 1
	say c$f cookie-echo 2222; eventually came s$f cookie-echo 1
	say s$f cookie-ack 1111; eventually came c$f cookie-ack 1
	say c$f data 2222; eventually came s$f data 1
	say s$f data 1111; eventually came c$f data 1
done

step "a connection from outside to a Service, behind DNAT and SNAT"
nft -f - <<'X'
table ip svc {
	chain pre { type nat hook prerouting priority dstnat; ip daddr 192.0.2.1 udp dport 5300 dnat to 10.244.0.12:53; }
	chain post { type nat hook postrouting priority srcnat; ip daddr 10.244.0.12 udp dport 53 masquerade; }
}
X
serve shop/feed udp:53
stream nat out udp 192.0.2.1 5300
stream_lives nat

step "what the policy takes back is cut at both ends, and not picked up by either"
allow "{port: 1, protocol: TCP}"
settle
stream_is_cut nat
for f in 4 6; do
	for i in 1 2 3; do say c$f data 2222; say s$f data 1111; sleep 0.1; done
	# SCTP's packets are judged when nothing tracks them: a new association is denied, too.
	say c$f init 0
done
sleep 0.5
for f in 4 6; do
	came s$f data 1 || fail "IPv$f: the server got data of a revoked association"
	came s$f init 1 || fail "IPv$f: the server got a new association"
	came c$f data 1 || fail "IPv$f: the client got data of a revoked association"
done
! conntrack -L -p sctp 2>/dev/null | grep -q dport || fail "tracked again: $(conntrack -L -p sctp 2>/dev/null)"
! grep "may live on" "$WORK/log/agent" || fail "something could not be cut"
