# Frames whose MAC addresses lead elsewhere than their IP addresses, and errors about others' connections.
. ./lib.sh
KIND=${KIND:-bridge}
export PYTHONPATH=$PWD
node_up "$KIND"
pod shop/attacker 11 app=attacker
pod shop/db 12 app=db
pod shop/free 13 app=free
pod shop/web 14 app=web
outside 192.0.2.10 2001:db8::10
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress, Egress]
egress: [{to: [{podSelector: {matchLabels: {app: web}}}, {ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: "2001:db8::/64"}}]}]
YAML
netpol shop/attacker <<YAML
podSelector: {matchLabels: {app: attacker}}
policyTypes: [Egress]
egress: [{to: [{podSelector: {matchLabels: {app: web}}}, {ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: 224.0.0.0/4}}, {ipBlock: {cidr: 10.244.0.255/32}}]}]
YAML
agent_start
eventually eval '[ "$(nft list set netdev bulkhead src6 | grep -o fe80 | wc -l)" = 4 ]'
cat >$WORK/rx.py <<'PY'
import socket, struct
t = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); t.bind(("eth0", 0))
t.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex("eth0"), 1, 0, b""))  # promiscuous
mac = t.getsockname()[4]
print("ready", flush=True)
while True:
    f = t.recv(2000)
    if b"frame" in f and f[6:12] != mac: print("GOT", f[f.index(b"frame"):][:60].decode(), flush=True)
PY
for p in db free web; do
	spawn shop/$p python3 $WORK/rx.py >$WORK/log/got-$p 2>&1
	eventually grep -q ready $WORK/log/got-$p
done
serve out udp:53
mac() { in_pod "$1" ip -o link show dev eth0 | grep -o 'ether [0-9a-f:]*' | cut -d' ' -f2; }
# The connections that the errors are about.
spawn shop/db python3 -c '
import socket, time
for src, dsts in (("10.244.0.12", ("10.244.0.14", "192.0.2.10")), ("fd00:244::12", ("fd00:244::14", "2001:db8::10"))):
    for d in dsts:
        s = socket.socket(socket.AF_INET6 if ":" in src else socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((src, 4444)); s.sendto(b"x", (d, 53))
print("sent", flush=True)
time.sleep(60)' >$WORK/log/db-sent
eventually grep -q sent $WORK/log/db-sent
cat >$WORK/tx.py <<'PY'
import sys
from frames import *
f = Port()
db, free, web, node = map(mac_bytes, sys.argv[1:5])
me4, me6 = "10.244.0.11", "fd00:244::11"
ALLOWED = (("10.244.0.14", "fd00:244::14"), ("192.0.2.10", "fd00:244::14"))
for name, m in (("free", free), ("db", db), ("unknown", b"\x02\xaa\xaa\xaa\xaa\xaa"), ("broadcast", BROADCAST),
                ("group", bytes.fromhex("01005e000001")), ("group6", bytes.fromhex("333300000001"))):
    for a, b in ALLOWED:
        f.send(m, IP, udp(me4, a, 4000, 53, ("frame to %s of %s" % (name, a)).encode()))
        f.send(m, IP6, udp(me6, b, 4000, 53, ("frame to %s of %s" % (name, b)).encode()))
        f.send(m, IP6, icmp6(128, me6, b, b"....frame echo to " + name.encode(), 255))
for peer4, peer6 in (("10.244.0.14", "fd00:244::14"), ("192.0.2.10", "2001:db8::10")):
    inner = udp("10.244.0.12", peer4, 4444, 53, b"frame error IPv4")
    for t, c, rest in ((3, 3, 0), (3, 4, 1300), (11, 0, 0), (12, 0, 0), (4, 0, 0), (5, 1, 0x0af4000b)):
        b = struct.pack("!BBHI", t, c, 0, rest) + inner
        b = b[:2] + struct.pack("!H", checksum(b)) + b[4:]
        for m in (db, node): f.send(m, IP, ip4(me4, "10.244.0.12", 1, b))
    inner = udp("fd00:244::12", peer6, 4444, 53, b"frame error IPv6")
    for t, rest in ((1, 0), (2, 1300), (3, 0), (4, 0)):
        for m in (db, node): f.send(m, IP6, icmp6(t, me6, "fd00:244::12", struct.pack("!I", rest) + inner, 64))
# What the policy allows passes, the last of it as the sign that all before was seen.
for to, a in ((BROADCAST, "10.244.0.255"), (bytes.fromhex("01005e00000a"), "224.0.0.10"), (free, "224.0.0.10"), (web, "10.244.0.14")):
    f.send(to, IP, udp(me4, a, 4000, 53, b"frame control " + a.encode()))
f.send(web, IP6, udp(me6, "fd00:244::14", 4000, 53, b"frame control v6"))
PY
dev=br0
[ "$KIND" = ptp ] && dev=v1
node=$(ip -o link show dev $dev | grep -o 'ether [0-9a-f:]*' | cut -d' ' -f2)
[ "$KIND" = ptp ] && web=$node || web=$(mac shop/web)
in_pod shop/attacker setpriv --bounding-set -all,+net_raw --inh-caps -all python3 $WORK/tx.py "$(mac shop/db)" "$(mac shop/free)" "$web" "$node"
eventually grep -q 'control v6' $WORK/log/got-web

step "what policy allows passes, groups among it"
grep -q 'control 10.244.0.14' $WORK/log/got-web || fail "web got nothing"
if [ "$KIND" = bridge ]; then
	for a in 10.244.0.255 224.0.0.10; do grep -q "control $a" $WORK/log/got-free || fail "free did not hear $a"; done
fi

step "an isolated pod reaches no other by the MAC address"
! grep -E 'frame (to|echo)' $WORK/log/got-free $WORK/log/got-db || fail "a misaddressed frame came through"
if [ "$KIND" = bridge ]; then
	eventually logged "action == 'flow-denied' and src == 'shop/attacker' and dst == 'shop/free' and r['policy.reason'] == 'unlisted' and r['destination.address'] == '10.244.0.14'"
fi

step "nobody tells errors of others' connections, nor changes their path MTU"
! grep -E 'frame error' $WORK/log/got-db || fail "a forged error came through"
for a in 10.244.0.14 192.0.2.10 fd00:244::14 2001:db8::10; do
	! in_pod shop/db ip route get $a | grep -q 'mtu 1300' || fail "the path MTU to $a is forged"
done
eventually logged "action == 'flow-denied' and src == 'shop/attacker' and dst == 'shop/db' and proto == 'icmp' and r['icmp.type'] == 3"
eventually logged "action == 'flow-denied' and src == 'shop/attacker' and dst == 'shop/db' and proto == 'ipv6-icmp' and r['icmp.type'] == 2"
