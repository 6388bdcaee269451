# Tagged frames and EtherTypes other than IPv4, IPv6 and ARP do not pass a pod's port.
. ./lib.sh
node_up bridge
pod shop/attacker 11 app=attacker
pod shop/db 12 app=db
pod shop/free 13 app=free
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML
netpol shop/attacker <<YAML
podSelector: {matchLabels: {app: attacker}}
policyTypes: [Egress]
YAML
agent_start
eventually eval 'nft list set netdev bulkhead src4 | grep -q 10.244.0.13'
cat >$WORK/rx.py <<'PY'
import socket, threading
from frames import *
def udp_in():
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.bind(("::", 5353))
    while True: print("GOT udp", u.recvfrom(2000)[0].decode(), flush=True)
threading.Thread(target=udp_in, daemon=True).start()
t = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); t.bind(("eth0", 0))
print("ready", flush=True)
while True:
    f = t.recv(2000)
    if b"frame" in f: print("GOT frame", f[f.index(b"frame"):][:40], flush=True)
PY
cat >$WORK/tx.py <<'PY'
import sys
from frames import *
f = Port()
dst = mac_bytes(sys.argv[1])
TAGS = {"8021q": [(0x8100, 0)], "8021q-prio": [(0x8100, 0xe000)], "8021ad": [(0x88a8, 0)], "qinq": [(0x88a8, 0), (0x8100, 0)],
        "double": [(0x8100, 0), (0x8100, 0)], "vid1": [(0x8100, 1)], "9100": [(0x9100, 0)]}
for name, tags in TAGS.items():
    for a, b in (("10.244.0.11", sys.argv[2]), ("fd00:244::11", sys.argv[3])):
        f.send(dst, IP6 if ":" in a else IP, udp(a, b, 4000, 5353, b"frame tag " + name.encode()), tags)
        f.send(BROADCAST, IP6 if ":" in a else IP, udp(a, b, 4000, 5353, b"frame broadcast " + name.encode()), tags)
for t in (0x88b5, 0x8864, 0x0026, 0x88cc, 0x8847, 0x0600, 0x888e, 0x8906):
    f.send(dst, t, b"frame type %04x" % t)
f.send(dst, ARP, b"frame as arp")
if len(sys.argv) > 4: f.send(dst, IP, udp("10.244.0.11", sys.argv[2], 4000, 5353, b"frame plain"))
PY
export PYTHONPATH=$PWD
for p in db free; do
	spawn shop/$p python3 $WORK/rx.py >$WORK/log/got-$p 2>&1
	eventually grep -q ready $WORK/log/got-$p
done
mac() { in_pod "$1" ip -o link show dev eth0 | grep -o 'ether [0-9a-f:]*' | cut -d' ' -f2; }
raw() { in_pod "$1" setpriv --bounding-set -all,+net_raw --inh-caps -all python3 $WORK/tx.py "${@:2}"; }

step "in no form, to no pod, also where neither end is isolated"
raw shop/attacker "$(mac shop/db)" 10.244.0.12 fd00:244::12
raw shop/attacker "$(mac shop/free)" 10.244.0.13 fd00:244::13
netpol shop/attacker <<YAML
podSelector: {matchLabels: {app: attacker}}
policyTypes: [Egress]
egress: [{}]
YAML
settle
raw shop/attacker "$(mac shop/free)" 10.244.0.13 fd00:244::13 control
eventually grep -q 'frame plain' $WORK/log/got-free
! grep -E 'tag|broadcast|type|arp' $WORK/log/got-free || fail "a frame came through"
! grep GOT $WORK/log/got-db || fail "db got something"

step "the records name the pod that did it"
eventually logged "action == 'flow-denied' and dir == 'egress' and src == 'shop/attacker' and r['policy.reason'] == 'frame'"
eventually logged "r['policy.reason'] == 'frame' and r['network.type'] == '0x88b5' and src == 'shop/attacker'"
