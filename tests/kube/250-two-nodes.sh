# Two nodes with an agent each: both ends of a connection are judged, each where it is.
. ./lib.sh
server_node_up
MINE=("$CONTROL" "$METRICS" "$FLOW_LOG")
FAR_LOG=$WORK/far-flow.log
THEIRS=("$WORK/far-control.sock" "$WORK/far-metrics.sock" "$FAR_LOG")
LOGS+=("$WORK/log/far-agent" "$FAR_LOG")

# --- the other node: its network, and pods behind it ---
far() { nsenter --net=/run/netns/far "$@"; }
wire far between 172.31.254.2/24 fd00:254::2/64
ip addr add 172.31.254.1/24 dev between
ip addr add fd00:254::1/64 dev between nodad
far sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
far ip route add default via 172.31.254.1
far ip -6 route add default via fd00:254::1
ip route add 10.245.0.0/24 via 172.31.254.2
ip -6 route add fd00:245::/64 via fd00:254::2
ADDR4[far]=172.31.254.2 ADDR6[far]=fd00:254::2
far_pod() {
	local name
	name=$(netns_of "$1")
	ADDR4[$1]=10.245.0.$2 ADDR6[$1]=fd00:245::$2
	wire "$name" "far$2" "${ADDR4[$1]}/32" "${ADDR6[$1]}/128"
	ip link set "far$2" netns far
	far sh -ec "ip link set far$2 up
		ip addr add 10.245.0.1/32 dev far$2
		ip addr add fd00:245::1/128 dev far$2 nodad
		ip route add ${ADDR4[$1]} dev far$2
		ip -6 route add ${ADDR6[$1]} dev far$2"
	ip netns exec "$name" sh -ec "
		ip route add 10.245.0.1 dev eth0; ip route add default via 10.245.0.1
		ip -6 route add fd00:245::1 dev eth0; ip -6 route add default via fd00:245::1"
	pod_object far "$1" "${@:3}"
}
far_agent_start() {
	far "$BULKHEADD" --kubeconfig "$AGENT_CONFIG" --node far --control "${THEIRS[0]}" \
		--metrics "unix:${THEIRS[1]}" --flow-log "$FAR_LOG" --trusted-namespace shop \
		"${SECCOMP[@]}" >"$WORK/log/far-agent" 2>&1 &
	eventually test -S "${THEIRS[0]}"
	"$BULKHEAD" --control "${THEIRS[0]}" status --wait --timeout 30 >/dev/null ||
		fail "the other agent is not ready"
}
# enforced_everywhere NS/NAME@GENERATION...: what a pipeline asks of every node
enforced_everywhere() {
	./enforced.py "${MINE[1]}" 30 "$@" >/dev/null || fail "not enforced here"
	./enforced.py "${THEIRS[1]}" 30 "$@" >/dev/null || fail "not enforced there"
}
# logged_by here|there EXPR
logged_by() {
	local FLOW_LOG=${MINE[2]}
	[ "$1" = here ] || FLOW_LOG=${THEIRS[2]}
	logged "$2"
}
never_logged_by() {
	local FLOW_LOG=${MINE[2]}
	[ "$1" = here ] || FLOW_LOG=${THEIRS[2]}
	never_logged "$2"
}

node_object far 172.31.254.2
pod shop/web app=web
pod shop/other app=other
far_pod shop/db 11 app=db
serve shop/web tcp:8080
serve shop/db tcp:5432 tcp:22
agent_start --trusted-namespace shop
far_agent_start

step "without a policy everything is open"
open shop/web tcp shop/db 5432
open shop/db tcp shop/web 8080
open node tcp shop/db 5432

step "ingress is judged by the node of the destination, which knows the source"
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
YAML
enforced_everywhere shop/db@1
open shop/web tcp shop/db 5432
blocked shop/other tcp shop/db 5432
blocked shop/web tcp shop/db 22
eventually logged_by there "src == 'shop/other' and dst == 'shop/db' and port == 5432 and
	dir == 'ingress' and r['node.name'] == 'far' and by == ['shop/db'] and
	r['source.k8s.node.name'] == '$NODE_NAME' and r['source.identity.confidence'] == 'exact'"
never_logged_by here "action == 'flow-denied'"

step "another node is nobody special; the pod's own is"
blocked node tcp shop/db 5432
[ "$(far "$PROBE" try -t 2000 tcp "${ADDR4[shop/db]}" 5432)" = open ] || fail "its own node is not let in"

step "egress is judged by the node of the source"
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress: [{to: [{podSelector: {matchLabels: {app: other}}}]}]
YAML
enforced_everywhere shop/db@1 shop/web@1
blocked shop/web tcp shop/db 5432
eventually logged_by here "src == 'shop/web' and dst == 'shop/db' and dir == 'egress' and
	r['destination.k8s.node.name'] == 'far' and by == ['shop/web']"
# It does not even reach the other node.
never_logged_by there "src == 'shop/web' and port == 5432"

step "both ends allow it, and a live connection is cut by whichever end takes it back"
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]
YAML
enforced_everywhere shop/db@1 shop/web@2
stream first shop/web tcp "${ADDR4[shop/db]}" 5432
kubectl label pod -n shop db app=vault --overwrite >/dev/null
stream_is_cut first
kubectl label pod -n shop db app=db --overwrite >/dev/null
stream second shop/web tcp "${ADDR4[shop/db]}" 5432
kubectl label pod -n shop web app=other --overwrite >/dev/null
stream_is_cut second

step "one annotation in the API puts pods of both nodes into quarantine, and lets them out"
unpolicy shop.web
unpolicy shop.db
kubectl label pod -n shop web app=web --overwrite >/dev/null
eventually eval '[ "$(try_one 4 2000 shop/web tcp shop/db 5432)" = open ]'
stream third shop/web tcp "${ADDR4[shop/db]}" 5432
stream fourth shop/db tcp "${ADDR4[shop/web]}" 8080
kubectl annotate pod -n shop db other bulkhead.dev/quarantine="an incident" >/dev/null
stream_is_cut third
stream_is_cut fourth
blocked shop/web tcp shop/db 5432
blocked shop/other tcp shop/web 8080
open node tcp shop/web 8080
eventually logged_by here "action == 'quarantine-set' and r['k8s.pod.name'] == 'other'"
eventually logged_by there "action == 'quarantine-set' and r['k8s.pod.name'] == 'db'"
kubectl annotate pod -n shop db other bulkhead.dev/quarantine- >/dev/null
eventually logged_by there "action == 'quarantine-released' and r['k8s.pod.name'] == 'db'"
open shop/web tcp shop/db 5432
open shop/other tcp shop/web 8080
