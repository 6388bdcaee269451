# What must go on working on guarded ports: the ordinary life of pods, on bridges.
. ./lib.sh
KIND=${KIND:-bridge}
export PYTHONPATH=$PWD
node_up "$KIND"
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/free 13 app=free
outside 192.0.2.10 2001:db8::10
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Ingress, Egress]
egress:
- to: [{podSelector: {matchLabels: {app: db}}}, {podSelector: {matchLabels: {app: web}}}]
- to: [{ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: "2001:db8::/64"}}, {ipBlock: {cidr: 10.244.0.1/32}}, {ipBlock: {cidr: "fd00:244::1/128"}}, {ipBlock: {cidr: 10.96.0.1/32}}]
ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
YAML
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: [{from: [{podSelector: {matchLabels: {app: web}}}, {ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: "2001:db8::/64"}}]}]
YAML
for p in shop/db out shop/web shop/free; do serve $p tcp:80 udp:53 tcp:8080; done
agent_start
eventually eval '[ "$(nft list set netdev bulkhead src6 | grep -o fd00 | wc -l)" = 3 ]'
cold() {
	local p
	for p in shop/web shop/db shop/free; do in_pod $p ip neigh flush all; done
	ip neigh flush all
}

step "from cold caches, in both families"
cold; open shop/web tcp shop/db 80
cold; open shop/web udp shop/db 53
cold; open out tcp shop/db 80
cold; open node tcp shop/db 80
open node tcp shop/web 8080
open shop/web tcp out 80
open shop/web udp out 53
open shop/free tcp out 80
blocked shop/free tcp shop/db 80
blocked shop/web tcp shop/free 80

step "pings of the own node, fragments, port unreachable, path MTU"
for f in 4 6; do
	n=${ADDR4[node]} d=${ADDR4[shop/db]} o=192.0.2.10
	[ $f = 4 ] || { n=${ADDR6[node]} d=${ADDR6[shop/db]} o=2001:db8::10; }
	in_pod shop/web ping -c1 -W2 $n >/dev/null || fail "IPv$f ping of the own node"
	in_pod shop/web ping -c1 -W2 -s 4000 $d >/dev/null || fail "IPv$f fragments"
	[ "$(try_one $f 3000 shop/web tcp shop/db 81)" = refused ] || fail "IPv$f port unreachable"
	ip link set up0 mtu 1300
	in_pod out ip link set eth0 mtu 1300
	in_pod shop/web ping -M do -c2 -i0.2 -W1 -s 1400 $o >/dev/null || true
	in_pod shop/web ip route get $o | grep -q 'mtu 1300' || fail "IPv$f path MTU"
	ip link set up0 mtu 1500
	in_pod out ip link set eth0 mtu 1500
done

step "duplicate address detection"
in_pod shop/db sh -ec "sysctl -qw net.ipv6.conf.eth0.accept_dad=1 net.ipv6.conf.all.accept_dad=1
	ip link set eth0 down; ip link set eth0 up
	ip -6 addr add fd00:244::12/$([ "$KIND" = ptp ] && echo 128 || echo 64) dev eth0
	ip route replace default via 10.244.0.1 dev eth0 onlink; ip -6 route replace default via fd00:244::1 dev eth0 onlink"
eventually eval '! in_pod shop/db ip -6 addr show dev eth0 | grep -E "tentative|dadfailed"'
open node tcp shop/db 80

step "router solicitations reach the node, its advertisements the pod"
in_pod shop/web sysctl -qw net.ipv6.conf.eth0.accept_ra=1
dev=br0
[ "$KIND" = ptp ] && dev=v1
before=$(awk '$1 == "Icmp6InRouterSolicits" { print $2 }' /proc/net/snmp6)
in_pod shop/web python3 - <<'PY'
import socket, struct
from frames import link_local
i = socket.if_nametoindex("eth0")
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.bind((link_local(), 0, 0, i))
s.sendto(struct.pack("!BBHI", 133, 0, 0, 0), ("ff02::2", 0, 0, i))
PY
eventually eval '[ "$(awk "\$1 == \"Icmp6InRouterSolicits\" { print \$2 }" /proc/net/snmp6)" -gt "$before" ]'
python3 - $dev <<'PY'
import socket, struct, sys
from frames import link_local
i = socket.if_nametoindex(sys.argv[1])
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.bind((link_local(sys.argv[1]), 0, 0, i))
s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + struct.pack("!BBBBIII16s", 3, 4, 64, 0xc0, 86400, 14400, 0, socket.inet_pton(10, "2001:db8:77::")), ("ff02::1", 0, 0, i))
PY
eventually eval 'in_pod shop/web ip -6 route | grep 2001:db8:77'

step "a Service that leads back to its client"
nft -f - <<'X'
table ip svc {
	chain pre { type nat hook prerouting priority dstnat; ip daddr 10.96.0.1 tcp dport 80 dnat to 10.244.0.11:8080; }
	chain post { type nat hook postrouting priority srcnat; ip saddr 10.244.0.11 ip daddr 10.244.0.11 masquerade; }
}
X
[ "$KIND" = ptp ] || bridge link set dev v1 hairpin on
[ "$(try_one 4 $OPEN_MS shop/web tcp 10.96.0.1 80)" = open ] || fail "hairpin"

never_logged "r['policy.reason'] == 'spoofed' and r['source.address'] in ('10.244.0.11', '10.244.0.12', '10.244.0.13')"
[ "$KIND" = ptp ] && exit 0

step "DHCP, for pods that are not isolated; for others where the operator says so"
cat >$WORK/dhcpd.py <<'PY'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 25, b"br0\0")
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.bind(("", 67))
print("ready", flush=True)
while True:
    d, a = s.recvfrom(2000)
    kind = 2 if d[242] == 1 else 5
    r = b"\2" + d[1:16] + socket.inet_aton("10.244.0.11") + socket.inet_aton("10.244.0.1") + d[24:236] + b"\x63\x82\x53\x63\x35\1" + bytes([kind]) + b"\x36\4" + socket.inet_aton("10.244.0.1") + b"\x33\4\0\0\x0e\x10\x01\4\xff\xff\xff\0\xff"
    s.sendto(r.ljust(300, b"\0"), ("255.255.255.255", 68))
PY
python3 $WORK/dhcpd.py >$WORK/log/dhcpd 2>&1 &
eventually grep -q ready $WORK/log/dhcpd
printf '#!/bin/sh\nexit 0\n' >$WORK/udhcpc.sh
chmod +x $WORK/udhcpc.sh
lease() { in_pod "$1" timeout 5 busybox udhcpc -i eth0 -n -q -t 2 -T 1 -s $WORK/udhcpc.sh 2>&1 | grep -qE 'bound|obtained'; }
lease shop/free || fail "free gets no lease"
! lease shop/web || fail "web, which is isolated, got a lease"
agent_stop
agent_start --pod-dhcp yes
lease shop/web || fail "web gets no lease although the operator lets it"
