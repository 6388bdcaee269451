# Whoever claims a local pod's address does not take it out of the rules.
. "$(dirname "$0")/lib.sh"

show() { "$BULKHEAD" --control "$CONTROL" status; }
# claim NS/NAME NODE ADDRESS TIME: a pod of another node with that address
claim() {
	write "claim-$(netns_of "$1")" <<-YAML
		apiVersion: v1
		kind: Pod
		metadata:
		  namespace: ${1%/*}
		  name: ${1#*/}
		  creationTimestamp: "$4"
		spec: {nodeName: $2}
		status: {phase: Running, podIP: "$3"}
	YAML
}

node_up "${NODE_KIND:-bridge}"
pod shop/db 11 app=db
pod shop/other 12 app=other
NETNS_ANNOTATION=no
pod shop/bare 13 app=db
serve shop/db tcp:5432
serve shop/bare tcp:5432
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: []
YAML
agent_start --node here
blocked shop/other tcp shop/db 5432
blocked shop/other tcp shop/bare 5432

step "a newer pod of another node, and a pod that is known by its port"
claim evil/evil there $V4.11 2999-01-01T00:00:00Z
settle
blocked shop/other tcp shop/db 5432
show | grep -qF "$V4.11 of pod shop/db is claimed by pod evil/evil of node there" || fail "$(show)"
show | grep -F "$V4.11 of pod shop/db" | grep -qF closed && fail "it is closed: $(show)"

step "a node object that claims it"
rm "$POLICIES"/claim-*
write node-there <<YAML
apiVersion: v1
kind: Node
metadata: {name: there}
status: {addresses: [{type: InternalIP, address: "$V4.11"}]}
YAML
settle
blocked shop/other tcp shop/db 5432
show | grep -qF "$V4.11 of pod shop/db is claimed by node there" || fail "$(show)"
rm "$POLICIES/node-there.yaml"
settle

if [ "$NODE_KIND" = bridge ]; then
	step "where nothing but the manifest tells of the pod, it is closed"
	netpol shop/db <<-YAML
		podSelector: {matchLabels: {app: db}}
		ingress: [{}]
	YAML
	settle
	open shop/other tcp shop/bare 5432
	claim evil/evil there $V4.13 2999-01-01T00:00:00Z
	settle
	FAMILIES=4 blocked shop/other tcp shop/bare 5432
	show | grep -F "$V4.13 of pod shop/bare is claimed by pod evil/evil" | grep -qF closed ||
		fail "$(show)"
	"$BULKHEAD" --control "$CONTROL" explain shop/other shop/bare 5432/tcp >"$WORK/why" || true
	grep -qF "nobody can tell" "$WORK/why" || fail "explain does not say why: $(cat "$WORK/why")"
	logged "dst == 'shop/bare' and r['policy.reason'] == 'contested'"
	rm "$POLICIES"/claim-*
	settle
	open shop/other tcp shop/bare 5432
fi

if [ "$NODE_KIND" = bridge ]; then
	step "two pods of other nodes: a denial is about both, nothing by labels allows either"
	outside 192.0.2.10 2001:db8::10
	serve out tcp:80
	policy denial <<-YAML
		apiVersion: policy.networking.k8s.io/v1alpha2
		kind: ClusterNetworkPolicy
		metadata: {name: denial}
		spec:
		  tier: Admin
		  priority: 10
		  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
		  egress:
		  - name: bad
		    action: Deny
		    to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: bad}}}}]
	YAML
	claim remote/good there 192.0.2.10 2026-02-01T00:00:00Z
	settle
	FAMILIES=4 open shop/other tcp out 80
	claim remote/bad elsewhere 192.0.2.10 2026-01-01T00:00:00Z
	sed -i '/^metadata:/a\  labels: {app: bad}' "$POLICIES/claim-$(netns_of remote/bad).yaml"
	settle
	FAMILIES=4 blocked shop/other tcp out 80
	unpolicy denial
	settle
	FAMILIES=4 open shop/other tcp out 80
	netpol shop/other <<-YAML
		podSelector: {matchLabels: {app: other}}
		policyTypes: [Egress]
		egress: [{to: [{namespaceSelector: {}}]}]
	YAML
	settle
	FAMILIES=4 blocked shop/other tcp out 80
	rm "$POLICIES/claim-$(netns_of remote/bad).yaml"
	settle
	FAMILIES=4 open shop/other tcp out 80
	unpolicy shop.other
	rm "$POLICIES"/claim-*
	settle
fi
[ "$(status .address_conflicts)" = "[]" ] || fail "$(status .address_conflicts)"
