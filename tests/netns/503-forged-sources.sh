# A source address must be the pod's: forged ones end at its port, on bridges and routed ports.
. ./lib.sh
run() {
	node_up $1
	pod shop/attacker 11 app=attacker
	pod shop/db 12 app=db
	pod shop/web 13 app=web
	outside 192.0.2.10 2001:db8::10
	netpol shop/attacker <<YAML
podSelector: {matchLabels: {app: attacker}}
policyTypes: [Egress]
YAML
	netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
YAML
	agent_start
	eventually eval 'nft list set netdev bulkhead src6 | grep -q fd00:244::13'
	cat >$WORK/rx.py <<'PY'
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", 5353)); print("ready", flush=True)
while True: print("GOT", s.recvfrom(2000), flush=True)
PY
	for p in shop/db out node; do
		spawn $p python3 $WORK/rx.py >$WORK/log/got-$(netns_of $p) 2>&1
		eventually grep -q ready $WORK/log/got-$(netns_of $p)
	done
}
forge() { in_pod "$1" setpriv --bounding-set -all$2 --inh-caps -all python3 - "${@:3}" <<'PY'
import socket, sys
for pair in sys.argv[1:]:
    src, dst = pair.split(",")
    v6 = ":" in src
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, 78 if v6 else 15, 1)  # IPV6_FREEBIND, IP_FREEBIND
        s.bind((src, 7777)); s.sendto(pair.encode(), (dst, 5353))
    except OSError as e: print(pair, e)
PY
}
run "${1:-bridge}"
# IPv4 needs NET_RAW (IP_TRANSPARENT is NET_ADMIN's); IPv6 needs nothing.
forge4() { PYTHONPATH=$PWD in_pod "$1" setpriv --bounding-set -all,+net_raw --inh-caps -all python3 - "${@:2}" <<'PY'
import socket, sys
from frames import *
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for pair in sys.argv[1:]:
    src, dst = pair.split(",")
    try: s.sendto(udp(src, dst, 7777, 5353, pair.encode()), (dst, 0))
    except OSError as e: print(pair, e)
PY
}
step "addresses of a peer, of nobody, of the node and of the outside are no way round"
forge shop/attacker "" fd00:244::13,fd00:244::12 fd00:244::13,2001:db8::10 fd00:244::dead,2001:db8::10 \
	2001:db8::77,2001:db8::10 fd00:244::1,fd00:244::12 fd00:244::dead,fd00:244::1
forge4 shop/attacker 10.244.0.13,10.244.0.12 10.244.0.77,192.0.2.10 10.244.0.1,10.244.0.12 192.0.2.10,10.244.0.12 \
	127.0.0.1,10.244.0.12 0.0.0.0,192.0.2.10 10.244.0.12,10.244.0.12 10.244.0.77,10.244.0.1
step "a pod that no policy selects cannot forge either, and has its own address"
forge shop/web "" fd00:244::dead,2001:db8::10 fd00:244::13,fd00:244::12
forge4 shop/web 10.244.0.99,192.0.2.10 10.244.0.13,10.244.0.12
eventually grep -q "fd00:244::13,fd00:244::12" $WORK/log/got-shop.db
eventually grep -q "10.244.0.13,10.244.0.12" $WORK/log/got-shop.db
[ "$(grep -hc GOT $WORK/log/got-shop.db)" = 2 ] || fail "db got $(grep GOT $WORK/log/got-shop.db)"
! grep -h GOT $WORK/log/got-out $WORK/log/got-node || fail "a forged packet came through"
eventually logged "action == 'flow-denied' and src == 'shop/attacker' and r['policy.reason'] == 'spoofed' and r['source.address'] == 'fd00:244::13'"
eventually logged "src == 'shop/web' and r['policy.reason'] == 'spoofed' and r['source.address'] == '10.244.0.99'"
explains denied spoofed default-deny --from fd00:244::13 shop/attacker shop/db 5353/udp
explains denied spoofed not-subject --from 10.244.0.99 shop/web 192.0.2.10 5353/udp
