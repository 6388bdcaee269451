# ClusterNetworkPolicy in the agent: Admin rules decide first, Pass leaves it to
# NetworkPolicies, Baseline speaks only where no NetworkPolicy isolates; records say
# which rule it was; edits and removal take effect.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/open 13 app=open
pod ops/probe 14 app=probe
serve shop/db tcp:80 tcp:81 tcp:82
serve shop/open tcp:80 tcp:81

# cluster_policy NAME: standard input is the spec
cluster_policy() {
	{
		echo "apiVersion: policy.networking.k8s.io/v1alpha2"
		echo "kind: ClusterNetworkPolicy"
		echo "metadata: {name: $1}"
		echo "spec:"
		sed 's/^/  /'
	} | policy "$1"
}

# A NetworkPolicy opens 80 and 81 of db to everybody in its namespace, and nothing else.
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {}}]
  ports: [{port: 80}, {port: 81}]
YAML
agent_start
open shop/web tcp shop/db 80
blocked ops/probe tcp shop/db 82

step "Admin: Deny over what a NetworkPolicy allows, Accept over what it denies"
admin() {
	cluster_policy admin <<YAML
tier: Admin
priority: 10
subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}
ingress:
- name: no-81
  action: Deny
  from: [{namespaces: {}}]
  protocols: [{tcp: {destinationPort: {number: 81}}}]
- name: probes
  action: ${1:-Accept}
  from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: ops}}}]
YAML
}
admin
settle
open shop/web tcp shop/db 80
blocked shop/web tcp shop/db 81
open ops/probe tcp shop/db 82
blocked ops/probe tcp shop/db 81
eventually logged 'action == "flow-denied" and src == "shop/web" and dst == "shop/db" and port == 81 and
	r["policy.rule"]["kind"] == "ClusterNetworkPolicy" and r["policy.rule"]["name"] == "admin" and
	r["policy.rule"]["rule_index"] == 0'

step "Pass leaves it to the NetworkPolicy, which denies"
admin Pass
settle
blocked ops/probe tcp shop/db 82
open shop/web tcp shop/db 80

step "Baseline speaks where no NetworkPolicy isolates"
cluster_policy baseline <<YAML
tier: Baseline
priority: 5
subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
ingress:
- action: Deny
  from: [{namespaces: {}}]
  protocols: [{tcp: {destinationPort: {number: 80}}}]
YAML
settle
blocked shop/web tcp shop/open 80
open shop/web tcp shop/open 81
open shop/web tcp shop/db 80
eventually logged 'action == "flow-denied" and dst == "shop/open" and port == 80 and
	r["policy.rule"]["name"] == "baseline"'

step "removed: as before"
unpolicy admin
unpolicy baseline
settle
open shop/web tcp shop/db 81
open shop/web tcp shop/open 80
blocked ops/probe tcp shop/db 82
agent_stop
