# ICMP errors about allowed flows pass, others are judged; IPv6 neighbours are found.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/spy 13 app=spy
outside 192.0.2.10 2001:db8:1::10
serve shop/db tcp:80 udp:53
serve out tcp:80 udp:53
netpol shop/all <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
egress:
- to:
  - podSelector: {matchLabels: {app: db}}
  - ipBlock: {cidr: 192.0.2.0/24}
  - ipBlock: {cidr: "2001:db8:1::/64"}
  ports: [{port: 80}, {port: 53, protocol: UDP}, {port: 54, protocol: UDP}]
YAML
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: 80}, {port: 53, protocol: UDP}, {port: 54, protocol: UDP}]
YAML
agent_start

# refused SRC PROTO DST PORT: the ICMP error came back
refused() {
	local f got
	for f in 4 6; do
		got=$(try_one $f $OPEN_MS "$@")
		[ "$got" = refused ] || fail "IPv$f $* is $got and should be refused"
	done
}

step "port unreachable, from a pod and from outside"
open shop/web udp shop/db 53
refused shop/web udp shop/db 54
refused shop/web udp out 54
blocked shop/spy udp shop/db 54

step "neighbour discovery between isolated pods: nothing else would work"
for i in 1 2; do
	ip -6 neigh flush dev br0
	for p in shop/web shop/db shop/spy; do
		in_pod $p ip -6 neigh flush dev eth0
	done
	open shop/web tcp shop/db 80
	open shop/web tcp out 80
	open node tcp shop/db 80
	blocked shop/web icmp shop/db
	blocked shop/spy tcp shop/db 80
done

# A route beyond `out` with a small MTU makes it answer with the errors.
step "path MTU: fragmentation needed and packet too big"
in_pod out sh -ec "
	sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip link add far0 type veth peer name far1; ip link set far0 up; ip link set far1 up
	ip addr add 198.51.100.1/24 dev far0; ip addr add 2001:db8:9::1/64 dev far0 nodad
	ip route add 198.51.100.9/32 dev far0 mtu lock 1300
	ip -6 route add 2001:db8:9::9/128 dev far0 mtu 1300"
ip route add 198.51.100.0/24 via "${ADDR4[out]}"
ip -6 route add 2001:db8:9::/64 via "${ADDR6[out]}"
netpol shop/far <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: 198.51.100.0/24}}, {ipBlock: {cidr: "2001:db8:9::/64"}}]
  ports: [{port: 53, protocol: UDP}]
YAML
settle
for to in 198.51.100.9 2001:db8:9::9; do
	in_pod shop/web python3 - "$to" <<'PY' || fail "no path MTU of $to"
import errno, socket, sys, time
addr = sys.argv[1]
v6 = ":" in addr
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, 23, 2)  # IPV6_MTU_DISCOVER, always
else:
    s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, always
s.connect((addr, 53))
for i in range(50):
    try:
        s.send(bytes(1400))
    except OSError as e:
        sys.exit(e.errno != errno.EMSGSIZE)
    time.sleep(0.1)
sys.exit(1)
PY
done
in_pod shop/web ip route get 198.51.100.9 | grep -q 'mtu 1300' || fail "IPv4 has no path MTU"
in_pod shop/web ip route get 2001:db8:9::9 | grep -q 'mtu 1300' || fail "IPv6 has no path MTU"

# Raw errors that quote a flow nobody has: the pod must not see them.
step "an error about no known flow is judged like any packet"
for f in 4 6; do
	declare -n addr=ADDR$f
	in_pod shop/db timeout 20 python3 - $f >"$WORK/log/errors$f" <<'PY' &
import socket, sys
v6 = sys.argv[1] == "6"
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, 58 if v6 else 1)
print("listening", flush=True)
while True:
    data, peer = s.recvfrom(2048)
    kind = data[0] if v6 else data[(data[0] & 15) * 4]
    if kind in ((1, 2) if v6 else (3,)):
        print("got", kind, "from", peer[0], flush=True)
PY
	eventually grep -q listening "$WORK/log/errors$f"
	in_pod out python3 - "${addr[out]}" "${addr[shop/db]}" <<'PY'
import ipaddress, socket, struct, sys
src, dst = map(ipaddress.ip_address, sys.argv[1:])
def checksum(b):
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff
udp = struct.pack("!HHHH", 40000, 50000, 8, 0)
if src.version == 4:
    inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 1, 0, 64, 17, 0, dst.packed, src.packed)
    inner = inner[:10] + struct.pack("!H", checksum(inner)) + inner[12:]
    body = struct.pack("!BBHI", 3, 3, 0, 0) + inner + udp
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
else:
    inner = struct.pack("!IHBB16s16s", 6 << 28, 8, 17, 64, dst.packed, src.packed)
    body = struct.pack("!BBHI", 1, 4, 0, 0) + inner + udp  # its checksum is the kernel's work
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.sendto(body, (str(dst), 0))
PY
done
eventually logged "src == 'external' and dst == 'shop/db' and proto == 'icmp' and
	r['icmp.type'] == 3 and by == ['shop/all', 'shop/db']"
eventually logged "src == 'external' and dst == 'shop/db' and proto == 'ipv6-icmp' and
	r['icmp.type'] == 1 and by == ['shop/all', 'shop/db']"
for f in 4 6; do
	! grep got "$WORK/log/errors$f" || fail "an unrelated error came through"
done
