# --default-deny and its annotation close what no policy selects, per direction.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod kube-system/dns 13 app=dns
pod kube-system/proxy 14 app=proxy
pod lab/tool 15 app=tool
outside 192.0.2.10 2001:db8:1::10
for p in shop/web shop/db kube-system/dns kube-system/proxy lab/tool out; do
	serve $p tcp:80 udp:53
done

step "ingress"
agent_start --default-deny ingress
blocked shop/web tcp shop/db 80
blocked out udp shop/db 53
blocked kube-system/dns icmp lab/tool
open node tcp shop/db 80
open shop/web tcp out 80
open shop/web icmp node
eventually logged "action == 'flow-denied' and src == 'shop/web' and dst == 'shop/db' and
	dir == 'ingress' and r['policy.rule']['kind'] == 'DefaultDeny'"

step "kube-system is exempt, as long as it is not named otherwise"
open shop/web udp kube-system/dns 53
open kube-system/dns tcp kube-system/proxy 80
agent_stop

step "egress"
agent_start --default-deny egress
blocked shop/web tcp shop/db 80
blocked lab/tool udp out 53
blocked shop/web icmp node
open out tcp shop/db 80
open kube-system/dns tcp shop/db 80
open node tcp shop/db 80
eventually logged "action == 'flow-denied' and src == 'lab/tool' and dst == 'external' and
	dir == 'egress' and r['policy.rule']['kind'] == 'DefaultDeny'"
agent_stop

step "both, with another namespace exempt"
agent_start --default-deny both --exempt-namespace lab
blocked shop/web tcp shop/db 80
blocked shop/web tcp out 80
blocked out tcp shop/web 80
blocked lab/tool tcp kube-system/dns 80
blocked kube-system/dns tcp lab/tool 80
open lab/tool tcp out 80
open out tcp lab/tool 80

step "a policy replaces the baseline for its pods, in its direction alone"
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {}}, {namespaceSelector: {}}]
  ports: [{port: 80}]
YAML
settle
open lab/tool tcp shop/db 80
blocked lab/tool udp shop/db 53
blocked shop/db tcp lab/tool 80
blocked shop/web tcp shop/db 80
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress: [{}]
YAML
settle
open shop/web tcp shop/db 80
open shop/web tcp out 80
blocked lab/tool tcp shop/web 80
eventually logged "src == 'lab/tool' and dst == 'shop/db' and port == 53 and by == ['shop/db']"

step "an audited policy replaces nothing"
netpol shop/db "bulkhead.dev/mode: audit" <<YAML
podSelector: {matchLabels: {app: db}}
ingress: [{}]
YAML
settle
blocked lab/tool tcp shop/db 80

step "a namespace that is not trusted takes nothing away from what the agent denies"
namespace shop "bulkhead.dev/default-deny: none"
unpolicy shop.db
unpolicy shop.web
settle
blocked shop/web tcp out 80
blocked out tcp shop/web 80
status .ignored_annotations.0.reason | grep -q "shop is no trusted namespace" ||
	fail "not said: $(status .ignored_annotations)"
agent_stop

step "a trusted namespace's word wins over the agent's, exempt or not"
agent_start --default-deny both --exempt-namespace lab --trusted-namespace shop
namespace lab "bulkhead.dev/default-deny: ingress"
settle
open shop/web tcp shop/db 80
open out tcp shop/web 80
open lab/tool tcp out 80
blocked out tcp lab/tool 80
namespace shop "bulkhead.dev/default-deny: egress"
settle
blocked shop/web tcp out 80
open out tcp shop/web 80

step "a slip of the pen closes, and is reported"
namespace shop "bulkhead.dev/default-deny: ingres"
settle
blocked out tcp shop/web 80
blocked shop/web tcp out 80
status .problems | grep -q ingres || fail "not reported: $(status .problems)"
agent_stop

step "annotations alone, without the option"
namespace shop "bulkhead.dev/default-deny: both"
namespace lab
agent_start
blocked out tcp shop/web 80
blocked shop/web tcp out 80
open out tcp lab/tool 80
open lab/tool tcp kube-system/dns 80
[ "$(status .problems)" = "[]" ] || fail "problems: $(status .problems)"
