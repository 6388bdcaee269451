# Broadcast and multicast are traffic of the pods at both ends.
. ./lib.sh
node_up bridge
LOGS+=("$WORK/log/got-free" "$WORK/log/free2")
pod shop/attacker 11 app=attacker
pod shop/db 12 app=db
pod shop/quiet 13 app=quiet
pod shop/free 14 app=free
pod shop/free2 15 app=free
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML
netpol shop/quiet <<YAML
podSelector: {matchLabels: {app: quiet}}
policyTypes: [Egress]
YAML
agent_start
cat >$WORK/echo.py <<'PY'
import select, socket
socks = []
for family, any in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((any, 5353))
    socks.append(s)
print("ready", flush=True)
while True:
    for s in select.select(socks, [], [])[0]:
        d, a = s.recvfrom(2000)
        print("GOT", d.decode(), a, flush=True)
        s.sendto(b"answer", a)
PY
for p in db free; do
	spawn shop/$p python3 $WORK/echo.py >$WORK/log/got-$p 2>&1
	eventually grep -q ready $WORK/log/got-$p
done
cat >$WORK/send.py <<'PY'
import socket, sys
name = sys.argv[1]
i = socket.if_nametoindex("eth0")
for dest in ("10.244.0.255", "255.255.255.255", "224.0.0.1", "224.0.0.251", "ff02::1", "ff02::fb"):
    v6 = ":" in dest
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.settimeout(0.2)
    if v6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, i)
    to = (dest, 5353, 0, i) if v6 else (dest, 5353)
    s.sendto((name + " " + dest).encode(), to)
    try: print("ANSWER", s.recvfrom(100))
    except OSError: pass
    # An answer to a group must not have opened the pair.
    try: s.sendto((name + " then unicast").encode(), ("10.244.0.12", 5353) if not v6 else ("fd00:244::12", 5353, 0, 0))
    except OSError: pass
PY
send() { in_pod "$1" setpriv --bounding-set -all --inh-caps -all python3 $WORK/send.py "$2"; }

step "an ingress-isolated pod gets nothing, and so answers nothing"
send shop/attacker attacker >$WORK/log/attacker
send shop/free2 free2 >$WORK/log/free2
! grep GOT $WORK/log/got-db || fail "db got something"

step "pods that are not isolated hear each other's groups"
for to in 10.244.0.255 255.255.255.255 224.0.0.1 ff02::1; do
	grep -q "GOT free2 $to" $WORK/log/got-free || fail "free did not hear free2 at $to"
done
grep -q ANSWER $WORK/log/free2 || fail "no answer to a group"

step "an egress-isolated pod reaches nobody by a group"
send shop/quiet quiet >/dev/null
! grep "GOT quiet" $WORK/log/got-free || fail "free heard quiet"
eventually logged "action == 'flow-denied' and src == 'shop/quiet' and r['destination.address'] == '255.255.255.255'"
eventually logged "action == 'flow-denied' and src == 'shop/attacker' and dst == 'shop/db' and r['destination.address'] == '255.255.255.255' and by == ['shop/db']"

explains denied default-deny not-subject shop/quiet 224.0.0.1 5353/udp
explains denied default-deny default-deny --to 255.255.255.255 shop/quiet shop/db 5353/udp

step "an ipBlock opens a group to its sender, an any-peer rule to its receiver"
netpol shop/quiet <<YAML
podSelector: {matchLabels: {app: quiet}}
policyTypes: [Egress]
egress: [{to: [{ipBlock: {cidr: 224.0.0.0/4}}, {ipBlock: {cidr: 10.244.0.255/32}}], ports: [{port: 5353, protocol: UDP}]}]
YAML
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: [{ports: [{port: 5353, protocol: UDP}]}]
YAML
settle
send shop/quiet again >/dev/null
for to in 10.244.0.255 224.0.0.1; do
	for p in free db; do grep -q "GOT again $to" $WORK/log/got-$p || fail "$p did not hear quiet at $to"; done
done
! grep -E "GOT again (255|ff02)" $WORK/log/got-free || fail "free heard what the rule does not name"

step "an ingress rule for certain peers opens groups for these, on any number of ports"
netpol shop/quiet <<YAML
podSelector: {matchLabels: {app: quiet}}
policyTypes: [Egress]
egress: [{}]
YAML
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: quiet}}}, {ipBlock: {cidr: 10.244.0.14/32}}]
  ports: [{port: 1000, endPort: 60000, protocol: UDP}]
YAML
settle
send shop/quiet peer >/dev/null
send shop/free byaddr >/dev/null
send shop/attacker other >/dev/null
for to in 10.244.0.255 255.255.255.255 224.0.0.1 ff02::1; do
	grep -q "GOT peer $to" $WORK/log/got-db || fail "db did not hear quiet at $to"
done
grep -q "GOT byaddr 224.0.0.1" $WORK/log/got-db || fail "db did not hear free at 224.0.0.1"
! grep -E "GOT (other|byaddr ff02)" $WORK/log/got-db || fail "db heard whom no rule names"
eventually logged "action == 'flow-denied' and dir == 'ingress' and src == 'shop/attacker' and dst == 'shop/db' and r['destination.address'] == '224.0.0.1' and near"
explains allowed rule rule --to 224.0.0.1 shop/quiet shop/db 5353/udp
explains denied not-isolated default-deny --to ff02::1 shop/attacker shop/db 5353/udp
explains denied not-isolated default-deny --to 10.244.0.255 shop/attacker shop/db 5353/udp
"$BULKHEAD" --control "$CONTROL" explain shop/free 224.0.0.251 5353/udp >$WORK/log/copies
grep -q 'a copy for pod shop/db: allowed, rule' $WORK/log/copies && grep -q 'a copy for pod shop/attacker: allowed, not-isolated' $WORK/log/copies ||
	fail "$(cat $WORK/log/copies)"

step "policy that allows all allows groups"
netpol shop/quiet <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
ingress: [{}]
egress: [{}]
YAML
unpolicy shop.db
settle
send shop/attacker last >/dev/null
for p in free db; do grep -q "GOT last ff02::1" $WORK/log/got-$p || fail "$p did not hear a group"; done

step "a subnet's broadcast address is no pod's, also where unknown addresses are closed"
agent_stop
agent_start --closed-until-known 10.244.0.0/24
send shop/attacker closed >/dev/null
for p in free db; do grep -q "GOT closed 10.244.0.255" $WORK/log/got-$p || fail "$p did not hear a broadcast"; done
blocked shop/attacker udp 10.244.0.77 5353
explains allowed rule not-subject shop/attacker 10.244.0.255 5353/udp
explains denied rule no-pod-yet shop/attacker 10.244.0.77 5353/udp
never_logged "r['policy.reason'] == 'no-pod-yet' and r['destination.address'] == '10.244.0.255'"
