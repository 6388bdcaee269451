# Frames of every kind (every_kind.py): none reaches an isolated pod, and none of an isolated pod reaches anybody.
. ./lib.sh
KIND=${KIND:-bridge}
export PYTHONPATH=$PWD
node_up "$KIND"
pod shop/attacker 11 app=attacker
pod shop/db 12 app=db
pod shop/free 13 app=free
pod shop/web 14 app=web
outside 192.0.2.10 2001:db8::10
for p in db attacker; do
	netpol shop/$p <<YAML
podSelector: {matchLabels: {app: $p}}
policyTypes: [$([ $p = db ] && echo Ingress, )Egress]
egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 53, protocol: UDP}]}]
YAML
done
agent_start
eventually eval '[ "$(nft list set netdev bulkhead src6 | grep -o fe80 | wc -l)" = 4 ]'
# The time is over in which connections that are older than the rules go on.
nft delete element inet bulkhead pickup '{ tcp }'
cat >$WORK/rx.py <<'PY'
import socket
# What goes out is no news.
t = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
t.bind(("eth0", 0))
t.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
print("ready", flush=True)
while True:
    f, a = t.recvfrom(65535)
    if a[2] != 4 and b"frame " in f: print("GOT", f[f.index(b"frame "):][:60], flush=True)
PY
cat >$WORK/rx-node.py <<'PY'
import select, socket
raw = []
for family, protos in ((socket.AF_INET, (1, 2, 4, 6, 17, 33, 41, 46, 47, 50, 51, 89, 103, 112, 132, 136, 253)),
                       (socket.AF_INET6, (4, 6, 17, 33, 41, 46, 47, 50, 51, 58, 59, 89, 103, 132, 136, 253))):
    for p in protos:
        raw.append(socket.socket(family, socket.SOCK_RAW, p))
print("ready", flush=True)
while True:
    for s in select.select(raw, [], [])[0]:
        d = s.recv(65535)
        if b"frame " in d: print("GOT", d[d.index(b"frame "):][:60], flush=True)
PY
for p in shop/db shop/free shop/web out node; do
	name=$(netns_of $p)
	spawn $p python3 $WORK/rx$([ $p = node ] && echo -node || true).py >$WORK/log/got-$name 2>&1
	eventually grep -q ready $WORK/log/got-$name
done
mac() { in_pod "$1" ip -o link show dev eth0 | grep -o 'ether [0-9a-f:]*' | cut -d' ' -f2; }
node=$(ip -o link show dev $([ "$KIND" = ptp ] && echo v1 || echo br0) | grep -o 'ether [0-9a-f:]*' | cut -d' ' -f2)
[ "$KIND" = ptp ] && web=$node || web=$(mac shop/web)
routes() { for p in shop/db shop/free node; do in_pod $p sh -c 'ip route; ip -6 route; ip -6 addr' | grep -v cache; done | sed 's, tentative,,'; }
send() { in_pod "$1" setpriv --bounding-set -all,+net_raw --inh-caps -all python3 every_kind.py "${@:2}" "$(mac shop/db)" "$(mac shop/free)" "$web" "$node"; }
before=$(routes)

step "from an isolated pod to everybody, and from one that is not to an isolated one"
send shop/attacker 10.244.0.11 fd00:244::11 attacker
node=$([ "$KIND" = ptp ] && ip -o link show dev v4 | grep -o 'ether [0-9a-f:]*' | cut -d' ' -f2 || echo $node)
send shop/web 10.244.0.14 fd00:244::14 web
# The receivers have seen all before it.
in_pod shop/attacker python3 -c '
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"frame control", ("10.244.0.14", 53))'
eventually grep -q control $WORK/log/got-shop.web

step "nothing came through"
! grep GOT $WORK/log/got-shop.db || fail "db got something"
! grep -h "frame attacker" $WORK/log/got-* || fail "a frame of the attacker's came through"

step "no route, address or neighbour changed"
[ "$(routes)" = "$before" ] || fail "$(diff <(echo "$before") <(routes))"
for p in shop/db shop/free node; do
	! in_pod $p ip neigh | grep -v '^10.244.0.11 ' | grep -v '^fd00:244::11 ' | grep -v '^fe80' | grep -i "$(mac shop/attacker)" || fail "the neighbour cache of $p is poisoned"
done

step "a MAC and interfaces that the pod makes itself end at its port"
in_pod shop/web sh -ec "
	ip link add mv0 link eth0 type macvlan mode bridge; ip link set mv0 up; ip addr add 10.244.0.15/32 dev mv0
	ip route add 10.244.0.13/32 dev mv0 src 10.244.0.15"
in_pod shop/web python3 -c '
import socket
from frames import *
f = Port("mv0")
f.send(BROADCAST, IP, udp("10.244.0.15", "10.244.0.13", 4000, 53, b"frame of a child"))
f.send(BROADCAST, IP, udp("10.244.0.14", "10.244.0.13", 4000, 53, b"frame of a child"))'
in_pod shop/web sh -ec 'ip link del mv0; ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:77; ip link set eth0 up'
in_pod shop/web python3 -c '
from frames import *
f = Port()
f.send(BROADCAST, IP, udp("10.244.0.14", "10.244.0.13", 4000, 53, b"frame of another MAC"))'
eventually logged "src == 'shop/web' and r['policy.reason'] == 'spoofed' and r['source.address'] == '10.244.0.15'"
! grep -E "child|another MAC" $WORK/log/got-* || fail "a frame with another MAC came through"
