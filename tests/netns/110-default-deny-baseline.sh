# --default-deny closes namespaces without a policy each; exemptions and annotations.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod kube-system/dns 13 app=dns
pod open/tool 14 app=tool
for p in shop/db kube-system/dns open/tool; do
	serve $p tcp:80 udp:53
done
write namespaces <<YAML
apiVersion: v1
kind: Namespace
metadata:
  name: strict
  annotations: {bulkhead.dev/default-deny: both}
YAML
pod strict/a 15 app=a
serve strict/a tcp:80

step "without the option only the annotated namespace is closed"
agent_start
open shop/web tcp shop/db 80
blocked shop/web tcp strict/a 80
blocked strict/a tcp shop/db 80
agent_stop

step "ingress only: egress stays open, kube-system is exempt"
agent_start --default-deny ingress
blocked shop/web tcp shop/db 80
open shop/web tcp kube-system/dns 80
blocked strict/a tcp kube-system/dns 80

step "a policy opens what it allows, over the baseline"
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
YAML
settle
open shop/web tcp shop/db 80
blocked open/tool tcp shop/db 80
agent_stop

step "both directions, another exemption"
agent_start --default-deny both --exempt-namespace open
blocked shop/web udp kube-system/dns 53
blocked open/tool tcp kube-system/dns 80
open node tcp open/tool 80
