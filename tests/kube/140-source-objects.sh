# Objects that are large or cannot be read, and a kind that the server comes to have later.
. ./lib.sh
server_node_up
remote_pod shop/small 192.0.2.1 2001:db8::1 app=small
# The server writes each of its characters as six.
python3 - >"$WORK/huge.json" <<'PY'
import json
print(json.dumps({
    "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": "huge"},
    "spec": {"nodeName": "elsewhere",
             "containers": [{"name": "main", "image": "none", "args": ["<" * 1000000]}]}}))
PY
kubectl create --raw /api/v1/namespaces/shop/pods -f "$WORK/huge.json" >/dev/null || fail "the server does not take it"
source_start

step "over 4 MB: named, what policy is about is told, and so is what comes before and after it"
told 'event == "problem" and "shop/huge" in subject and "over 4 MiB" in text'
told 'key == "shop/huge" and event == "put" and e["node"] == "elsewhere"'
told 'key == "shop/small"'
remote_pod shop/later 192.0.2.2 2001:db8::2 app=later
told 'key == "shop/later"'

step "the same while it is watched"
mark
kubectl label pod -n shop huge n=1 >/dev/null
remote_pod shop/latest 192.0.2.3 2001:db8::3 app=latest
told 'key == "shop/latest"'

step "gone: its problem is over"
mark
kubectl delete pod -n shop huge --force --grace-period=0 >/dev/null 2>&1
told 'event == "problem" and not text and "huge" in subject'
same

step "a static pod has the uid by which the runtime knows it, from its mirror's annotation"
mark
write "a mirror pod" <<YAML
apiVersion: v1
kind: Pod
metadata:
  {namespace: shop, name: static-n1, annotations: {kubernetes.io/config.mirror: 0123456789abcdef0123456789abcdef}}
spec:
  nodeName: elsewhere
  automountServiceAccountToken: false
  containers: [{name: main, image: none}]
YAML
told 'key == "shop/static-n1" and e["uid"] == "0123456789abcdef0123456789abcdef"'
mark
kubectl label pod -n shop static-n1 n=1 >/dev/null
told 'key == "shop/static-n1" and event == "put" and labels.get("n") == "1"'
never_told 'event == "delete"'
kubectl delete pod -n shop static-n1 --force --grace-period=0 >/dev/null 2>&1
told 'key == "shop/static-n1" and event == "delete" and e["uid"] == "0123456789abcdef0123456789abcdef"'

step "ClusterNetworkPolicies are followed once the server has them"
cluster_policies
write "a ClusterNetworkPolicy" <<YAML
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: deny-all}
spec:
  tier: Baseline
  priority: 10
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
YAML
told 'kind == "ClusterNetworkPolicy" and key == "deny-all"'
