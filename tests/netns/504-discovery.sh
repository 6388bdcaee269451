# Of neighbour discovery a pod sends what is about its own addresses; it is no router and no channel.
. ./lib.sh
node_up bridge
pod shop/attacker 11 app=attacker
pod shop/db 12 app=db
pod shop/free 13 app=free
netpol shop/deny <<YAML
podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [free]}]}
policyTypes: [Ingress, Egress]
YAML
agent_start
eventually eval 'nft list set netdev bulkhead src6 | grep -q fd00:244::13'
for p in db free; do in_pod shop/$p sysctl -qw net.ipv6.conf.eth0.accept_ra=2 net.ipv6.conf.eth0.accept_redirects=1; done
sysctl -qw net.ipv6.conf.br0.accept_ra=2
cat >$WORK/rx.py <<'PY'
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6); print("ready", flush=True)
while True:
    d, a = s.recvfrom(2000)
    if b"secret" in d: print("GOT type", d[0], a[0], d[4:], flush=True)
PY
for p in shop/db shop/free node; do
	spawn $p python3 $WORK/rx.py >$WORK/log/got-$(netns_of $p) 2>&1
	eventually grep -q ready $WORK/log/got-$(netns_of $p)
done
mac() { in_pod "$1" ip -o link show dev eth0 | grep -o 'ether [0-9a-f:]*' | cut -d' ' -f2; }
cat >$WORK/tx.py <<'PY'
import sys
from frames import *
f = Port(); ll = link_local(); me = "fd00:244::11"
for to, mac in (("fd00:244::12", sys.argv[1]), ("fd00:244::13", sys.argv[2]), ("fd00:244::1", sys.argv[3]), ("ff02::1", "33:33:00:00:00:01"), ("ff02::2", "33:33:00:00:00:02")):
    m = mac_bytes(mac)
    for src in (me, ll):
        for t in (130, 131, 132, 133, 134, 135, 136, 137, 143):
            for hops in (1, 64, 255):
                if t == 133 and to == "ff02::2" and hops == 255: continue  # passes to routers; too long with this
                f.send(m, IP6, icmp6(t, src, to, b"secret %3d %3d, and more of it than an option holds" % (t, hops), hops))
        f.send(m, IP6, router_advert(src, "2001:db8:bad::", to))
        f.send(m, IP6, advert(src, "fd00:244::13", f.mac, to))
        f.send(m, IP6, icmp6(134, src, to, b"secret RA behind a hop-by-hop header".ljust(40), 255))
PY
for p in db free attacker; do eventually eval "! in_pod shop/$p ip -6 addr show dev eth0 | grep -q tentative"; done
before_db=$(in_pod shop/db ip -6 route; in_pod shop/db ip -6 addr)
before_free=$(in_pod shop/free ip -6 route; in_pod shop/free ip -6 addr)
before_node=$(ip -6 route; ip -6 addr)
in_pod shop/free ping -c 1 -W 2 fd00:244::1 >/dev/null
PYTHONPATH=$PWD in_pod shop/attacker setpriv --bounding-set -all,+net_raw --inh-caps -all python3 $WORK/tx.py "$(mac shop/db)" "$(mac shop/free)" "$(ip -o link show dev br0 | grep -o 'ether [0-9a-f:]*' | cut -d' ' -f2)"
sleep 0.5
step "no payload arrives by types that policy does not judge"
for p in shop.db shop.free; do ! grep GOT $WORK/log/got-$p || fail "$p got something"; done
# Reports of listeners are for the router, which the node is.
! grep GOT $WORK/log/got-node | grep -vE 'type (131|132|143)' || fail "the node got something"
step "no route, address or neighbour changes"
[ "$(in_pod shop/db ip -6 route; in_pod shop/db ip -6 addr)" = "$before_db" ] || fail "db: $(in_pod shop/db ip -6 route)"
[ "$(in_pod shop/free ip -6 route; in_pod shop/free ip -6 addr)" = "$before_free" ] || fail "free: $(in_pod shop/free ip -6 route)"
[ "$(ip -6 route; ip -6 addr)" = "$before_node" ] || fail "node: $(ip -6 route)"
! in_pod shop/db ip -6 neigh | grep "fd00:244::13.*$(mac shop/attacker)" || fail "db's neighbour cache is poisoned"
eventually logged "action == 'flow-denied' and src == 'shop/attacker' and r['policy.reason'] == 'discovery' and r['icmp.type'] == 134"
eventually logged "src == 'shop/attacker' and r['policy.reason'] == 'discovery' and r['icmp.type'] == 136"
