# What a tenant who may make pods, or policies, in a namespace of their own can write
# into them changes nothing for others, and lets nobody escape.
. ./lib.sh
server_node_up
namespace a-tenant
cluster_policies
write "a ClusterNetworkPolicy" <<YAML
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: no-tenant}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
  ingress:
  - action: Deny
    from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: a-tenant}}}]
YAML
pod shop/web app=web
pod shop/api app=api
pod shop/db app=db
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]
YAML
serve shop/web tcp:80
serve shop/db tcp:80
agent_start
open shop/api tcp shop/web 80
open shop/web tcp shop/db 80

# tenant_pod NAME: on another node; the metadata and spec that Python's m and s say
tenant_pod() {
	N_PODS=$((N_PODS + 1))
	pod_net "a-tenant/$1" $((10 + N_PODS))
	python3 - "$@" >"$WORK/pod.json" <<-'PY'
		import json, sys
		m = {"namespace": "a-tenant", "name": sys.argv[1]}
		s = {"nodeName": "elsewhere", "automountServiceAccountToken": False}
		c = {"name": "main", "image": "none"}
		exec(sys.argv[2])
		print(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": m, "spec": {**s, "containers": [c]}}))
	PY
	kubectl create --raw /api/v1/namespaces/a-tenant/pods -f "$WORK/pod.json" >/dev/null ||
		fail "the server does not take it"
	pod_status "a-tenant/$1" Running
	eventually is_known "a-tenant/$1"
}
is_known() {
	local answer
	answer=$("$BULKHEAD" --control "$CONTROL" explain "$1" shop/db 80/TCP 2>&1 || true)
	[[ $answer == *no-tenant* ]]
}

step "pods that are large or strange are denied like any other of their namespace"
tenant_pod plain ''
tenant_pod nul 'm["annotations"] = {"bulkhead.dev/x": "\0"}'
tenant_pod owner 'm["ownerReferences"] = [{"apiVersion": "v1", "kind": "x", "name": "a\0b", "uid": "1"}]'
tenant_pod large 'c["args"] = ["<" * 1000000]'
tenant_pod labels 'm["labels"] = {f"label-{i}": "" for i in range(20000)}'
tenant_pod ports 'c["ports"] = [{"containerPort": i % 60000 + 1} for i in range(30000)]'
for p in plain nul owner large labels ports; do blocked "a-tenant/$p" tcp shop/db 80; done
problem "a-tenant/labels"

step "an annotation that we look for, with far more than we look for, stops nothing"
kubectl annotate pod -n a-tenant plain "k8s.io/initial-events-end=$(printf 'x%.0s' {1..5000})" >/dev/null
kubectl label pod -n shop api app=gone --overwrite >/dev/null
eventually eval "[ \"\$(try_one 4 500 shop/api tcp shop/web 80)\" = timeout ]"
agent_stop
kubectl label pod -n shop api app=api --overwrite >/dev/null
agent_start
open shop/api tcp shop/web 80

step "a policy with more than can be read closes its namespace, and is named"
python3 - >"$WORK/policy.json" <<'PY'
import json
blocks = [{"ipBlock": {"cidr": "20.%d.%d.0/24" % (i >> 8, i & 255)}} for i in range(34000)]
print(json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                  "metadata": {"namespace": "shop", "name": "geo"},
                  "spec": {"podSelector": {}, "ingress": [{"from": blocks}]}}))
PY
kubectl create --raw /apis/networking.k8s.io/v1/namespaces/shop/networkpolicies \
	-f "$WORK/policy.json" >/dev/null || fail "the server does not take it"
problem "shop/geo"
eventually eval "[ \"\$(try_one 4 500 shop/web tcp shop/db 80)\" = timeout ]"
[ "$(status .policies_status | grep -o geo | wc -l)" -ge 1 ] || fail "status does not show it"
kubectl delete networkpolicy -n shop geo >/dev/null
eventually eval "[ \"\$(try_one 4 500 shop/web tcp shop/db 80)\" = open ]"
