# What audit would deny passes and is logged as that; it loosens nothing else.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/api 13 app=api
pod lab/tool 14 app=tool
for p in shop/web shop/db shop/api lab/tool; do
	serve $p tcp:80 tcp:81 udp:53
done
closed() {
	netpol "$@" <<YAML
podSelector: {matchLabels: {app: ${APP:-db}}}
policyTypes: [${TYPE:-Ingress}]
YAML
}

step "the whole agent in audit: packets pass, both directions are logged"
closed shop/db-in
APP=web TYPE=Egress closed shop/web-out
agent_start --mode audit
open shop/web tcp shop/db 80
open shop/api udp shop/db 53
open shop/web icmp shop/api
for type in ipv4 ipv6; do
	audited="action == 'flow-audit-denied' and r['network.type'] == '$type' and
		r['policy.verdict'] == 'audit-denied'"
	# What both ends would deny is denied by the source's end alone, when enforced.
	for want in "src == 'shop/web' and dst == 'shop/db' and port == 80 and
			dir == 'egress' and by == ['shop/web-out']" \
		"src == 'shop/api' and dst == 'shop/db' and port == 53 and proto == 'udp' and
			dir == 'ingress' and by == ['shop/db-in']" \
		"src == 'shop/web' and dst == 'shop/api' and 'icmp' in proto and
			dir == 'egress' and by == ['shop/web-out']"; do
		eventually logged "$audited and $want"
	done
done
never_logged "action == 'flow-denied'"
[ "$(status .packets.denied)" = 0 ] || fail "denied packets in audit"
[ "$(status .packets.audit.denied)" -ge 6 ] || fail "too few packets in the audit book"
[ "$(status .mode)" = audit ] || fail "status does not say audit"
agent_stop

step "the same policies, enforced"
agent_start
blocked shop/web tcp shop/db 80
blocked shop/api udp shop/db 53
blocked shop/web icmp shop/api
eventually logged "action == 'flow-denied' and src == 'shop/api' and dst == 'shop/db' and
	dir == 'ingress' and by == ['shop/db-in']"

step "one policy in audit, alone in its direction"
closed shop/db-in "bulkhead.dev/mode: audit"
settle
: >"$FLOW_LOG"
open shop/api tcp shop/db 80
blocked shop/web tcp shop/db 80
eventually logged "action == 'flow-audit-denied' and src == 'shop/api' and dst == 'shop/db' and
	dir == 'ingress' and by == ['shop/db-in']"
eventually logged "action == 'flow-denied' and src == 'shop/web' and dst == 'shop/db' and
	dir == 'egress' and by == ['shop/web-out']"

step "an audited policy beside an enforced one allows nothing and closes nothing"
netpol shop/db-api <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: api}}}]
  ports: [{port: 80}]
YAML
netpol shop/db-audited "bulkhead.dev/mode: audit" <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: api}}}]
  ports: [{port: 81}]
YAML
unpolicy shop.web-out
settle
: >"$FLOW_LOG"
open shop/api tcp shop/db 80
blocked shop/api tcp shop/db 81
blocked shop/web tcp shop/db 80
eventually logged "action == 'flow-denied' and src == 'shop/api' and dst == 'shop/db' and
	port == 81 and by == ['shop/db-api']"
never_logged "action == 'flow-audit-denied'"

step "the other direction of a pod that is enforced in one"
TYPE=Egress closed shop/db-out "bulkhead.dev/mode: audit"
settle
: >"$FLOW_LOG"
open shop/db tcp shop/api 80
blocked shop/web tcp shop/db 80
eventually logged "action == 'flow-audit-denied' and src == 'shop/db' and dst == 'shop/api' and
	dir == 'egress' and by == ['shop/db-out']"
never_logged "action == 'flow-audit-denied' and dir == 'ingress'"

step "audited at one end, enforced at the other: denied"
APP=api closed shop/api-in
settle
: >"$FLOW_LOG"
blocked shop/db tcp shop/api 80
eventually logged "action == 'flow-denied' and src == 'shop/db' and dst == 'shop/api' and
	dir == 'ingress' and by == ['shop/api-in']"
unpolicy shop.api-in

step "a namespace in audit"
namespace lab "bulkhead.dev/mode: audit"
APP=tool closed lab/tool-in
settle
: >"$FLOW_LOG"
open shop/web tcp lab/tool 80
blocked shop/web tcp shop/db 80
eventually logged "action == 'flow-audit-denied' and src == 'shop/web' and dst == 'lab/tool' and
	dir == 'ingress' and by == ['lab/tool-in']"

step "without the annotations it is enforced, and what passed so far is cut"
stream lab shop/web tcp "${ADDR4[lab/tool]}" 81
namespace lab
TYPE=Egress closed shop/db-out
settle
stream_is_cut lab
: >"$FLOW_LOG"
blocked shop/web tcp lab/tool 80
blocked shop/db tcp shop/api 80
eventually logged "action == 'flow-denied' and dst == 'lab/tool' and by == ['lab/tool-in']"
eventually logged "action == 'flow-denied' and src == 'shop/db' and dir == 'egress' and
	by == ['shop/db-out']"
