# Allow rules let through what they name, in both families, and nothing else.
. ./lib.sh
node_up "${NODE_KIND:-bridge}"
pod shop/web 11 app=web tier=front
pod shop/api 12 app=api
PORTS="pg=5432/TCP" pod shop/db 13 app=db
pod other/tool 14 app=web
outside 192.0.2.10 2001:db8:1::10
for p in shop/web shop/api shop/db other/tool out; do
	serve $p tcp:80 tcp:5432 tcp:8080 tcp:8090 udp:53
done

netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchLabels: {app: api}}
  ports:
  - {port: pg}
YAML
netpol shop/api <<YAML
podSelector: {matchLabels: {app: api}}
policyTypes: [Ingress, Egress]
ingress:
- from:
  - podSelector: {matchExpressions: [{key: tier, operator: In, values: [front]}]}
  ports:
  - {port: 8080, endPort: 8085}
egress:
- to:
  - podSelector: {matchLabels: {app: db}}
  ports: [{port: 5432}]
- to:
  - ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}
  - ipBlock: {cidr: "2001:db8:1::/64"}
  ports: [{port: 80}]
- ports: [{port: 53, protocol: UDP}]
YAML
agent_start

step "named port, from the one peer"
open shop/api tcp shop/db 5432
blocked shop/api tcp shop/db 80
blocked shop/web tcp shop/db 5432
blocked other/tool tcp shop/db 5432
blocked out tcp shop/db 5432

step "a range of ports, from a label of the same namespace"
open shop/web tcp shop/api 8080
blocked shop/web tcp shop/api 8090
blocked other/tool tcp shop/api 8080

step "egress to an address block and to anybody's port"
open shop/api tcp out 80
blocked shop/api tcp out 8080
open shop/api udp out 53
open shop/api udp shop/web 53
blocked shop/api tcp shop/web 80

step "pods that nothing selects are open"
open shop/web tcp other/tool 80
open other/tool tcp shop/web 8080
open shop/db tcp out 80

step "a new pod with the label is allowed, one that loses it is not"
pod shop/api-2 15 app=api
settle
open shop/api-2 tcp shop/db 5432
pod_manifest shop/api-2 app=other
settle
blocked shop/api-2 tcp shop/db 5432

step "ICMP is not among the allowed ports"
blocked shop/web icmp shop/db
