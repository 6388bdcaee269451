# Addresses of this node's ranges are closed until a pod is known to have them: no
# packet before that, and with default deny none after it.
. ./lib.sh
node_up "${KIND:-ptp}"
outside 192.0.2.10 2001:db8::10
pod kube-system/open 11 app=open
pod shop/web 12 app=web
mkdir "$WORK/cni"
cat >"$WORK/cni/10-pods.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "$NODE_KIND", "ipam": {"type": "host-local", "ranges": [
    [{"subnet": "$V4.0/24"}], [{"subnet": "${V6}:/64"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON

# arrivals NAME WHERE: counts UDP packets to port 9 of both families from now on
cat >"$WORK/arrivals.py" <<'PY'
import select, socket, sys
n, socks = 0, []
for f, a in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    s = socket.socket(f, socket.SOCK_DGRAM)
    if f == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((a, 9))
    socks.append(s)
print(0, flush=True)
while True:
    for s in select.select(socks, [], [])[0]:
        s.recv(100)
        n += 1
        print(n, flush=True)
PY
arrivals() {
	spawn "$2" python3 "$WORK/arrivals.py" >"$WORK/log/arrived-$1" 2>&1
	eventually grep -q . "$WORK/log/arrived-$1"
}
arrived() { tail -n 1 "$WORK/log/arrived-$1"; }
# sends WHERE ADDRESS...: a packet each millisecond to each, from a new source port now and then
cat >"$WORK/sends.py" <<'PY'
import itertools, socket, sys, time
for i in itertools.count():
    for a in sys.argv[1:]:
        if i % 20 == 0:
            s4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            (s6 if ":" in a else s4).sendto(b"x", (a, 9))
        except OSError:
            pass
    time.sleep(0.001)
PY
sends() { spawn "$1" python3 "$WORK/sends.py" "${@:2}"; }
both() { echo "${ADDR4[$1]} ${ADDR6[$1]}"; }

step "with default deny, the ranges of the CNI configuration are closed"
agent_start --default-deny both --cni-config "$WORK/cni"
status .closed_until_known.from | grep -q 10-pods.conflist || fail "$(status .closed_until_known)"
in_kernel closed4 "$V4.5" >/dev/null || fail "no range is closed"
arrivals open kube-system/open
arrivals out out
serve kube-system/open tcp:80
open node tcp kube-system/open 80

step "a pod that sends and is sent to from its first moment: nothing passes before it is known"
ADDR4[shop/late]=$V4.20 ADDR6[shop/late]=${V6}:20
sends kube-system/open $(both shop/late)
pod_net shop/late 20
arrivals late shop/late
sends shop/late $(both kube-system/open) $(both out)
sleep 1
[ "$(arrived open) $(arrived out) $(arrived late)" = "0 0 0" ] ||
	fail "leaked to open, out, late: $(arrived open) $(arrived out) $(arrived late)"
step "its node may ask it, and it cannot ask its node"
serve shop/late tcp:80
open node tcp shop/late 80
serve node tcp:8080
blocked shop/late tcp node 8080

step "nor after it"
pod_manifest shop/late app=late
eventually in_kernel local4 "$V4.20"
sleep 1
[ "$(arrived open) $(arrived out) $(arrived late)" = "0 0 0" ] ||
	fail "leaked after it was known: $(arrived open) $(arrived out) $(arrived late)"
eventually eval "logged 'r[\"policy.reason\"] == \"no-pod-yet\" and dir == \"egress\"'"
eventually eval "logged 'r[\"policy.reason\"] == \"no-pod-yet\" and dir == \"ingress\"'"
logged 'src == "shop/late" and (r["policy.rule"] or {}).get("kind") == "DefaultDeny"' >/dev/null ||
	fail "no record of the default deny"

step "a policy that allows it opens it"
netpol shop/late <<YAML
podSelector: {matchLabels: {app: late}}
policyTypes: [Ingress, Egress]
ingress: [{}]
egress: [{}]
YAML
eventually eval '[ "$(arrived open)" -gt 10 ] && [ "$(arrived out)" -gt 10 ] && [ "$(arrived late)" -gt 10 ]'

step "the pod goes: its address is closed again"
rm "$POLICIES/pod-shop.late.yaml"
eventually not_in_kernel local4 "$V4.20"
n=$(arrived open)
sleep 0.5
m=$(arrived open)
# Connections that were allowed end with the pod.
[ "$((m - n))" -lt 300 ] || fail "it is open still"

step "audit denies nothing, and records it"
agent_stop
agent_start --default-deny both --cni-config "$WORK/cni" --mode audit
n=$(arrived open)
eventually eval "[ \"\$(arrived open)\" -gt $((n + 50)) ]"
eventually eval "logged 'action == \"flow-audit-denied\" and r[\"policy.reason\"] == \"no-pod-yet\"'"
