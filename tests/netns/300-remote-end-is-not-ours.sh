# A connection whose other end runs on another node is cut by what this node's rules
# say of the end that runs here, and never by what the other node's would.
. ./lib.sh
node_up "${NODE_KIND:-bridge}"
pod shop/web 11 app=web
outside 192.0.2.10 2001:db8::10
serve out tcp:80 udp:53
serve shop/web tcp:8080
write pod-far <<YAML
apiVersion: v1
kind: Pod
metadata: {namespace: far, name: db, labels: {app: db}}
spec: {nodeName: another}
status: {phase: Running, podIP: 192.0.2.10, podIPs: [{ip: 192.0.2.10}, {ip: "2001:db8::10"}]}
YAML
agent_start --node here
deny() { # NS DIRECTION
	netpol "$1/deny" <<YAML
podSelector: {}
policyTypes: [$2]
YAML
}
stream tcp4 shop/web tcp 192.0.2.10 80
stream tcp6 shop/web tcp 2001:db8::10 80
stream udp4 shop/web udp 192.0.2.10 53
stream in4 out tcp "${ADDR4[shop/web]}" 8080
streams="tcp4 tcp6 udp4 in4"

step "the other node's policies deny it in both directions: nothing is cut here"
deny far Ingress
settle
deny far Egress
settle
for s in $streams; do stream_lives $s; done
[ "$(status .revoked_connections)" = 0 ] || fail "$(status .revoked_connections) cut"

step "explain tells which end is judged here"
explain() { "$BULKHEAD" --control "$CONTROL" explain "$@" || true; }
explain shop/web far/db 80/TCP >"$WORK/log/explain"
grep -q "^by the rules of this node: allowed, egress is judged here, ingress is judged on node another$" \
	"$WORK/log/explain" || fail "$(cat "$WORK/log/explain")"
[ "$(explain -o json far/db shop/web 8080/TCP |
	python3 -c 'import json,sys; r=json.load(sys.stdin); print(r["verdict"], r["here"], r["egress"]["here"], r["ingress"]["here"])')" = \
	"denied allowed False True" ] || fail "$(explain -o json far/db shop/web 8080/TCP)"

step "a restart cuts nothing either"
agent_stop
agent_start --node here
for s in $streams; do stream_lives $s; done
[ "$(status .revoked_connections)" = 0 ] || fail "$(status .revoked_connections) cut after a restart"

step "this node's own end is cut"
deny shop Egress
settle
for s in tcp4 tcp6 udp4; do stream_is_cut $s; done
stream_lives in4
deny shop Ingress
settle
stream_is_cut in4
