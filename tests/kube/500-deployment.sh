# Policies on the pods of a Deployment, reached by address and through a Service.
. ./clusterlib.sh
cluster_up

apply <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: shop, name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: $CLUSTER_AGNHOST
        command: [/agnhost, netexec, --http-port=8080, --udp-port=8081]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
        livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1, failureThreshold: 2}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: web}
spec:
  selector: {app: web}
  ipFamilyPolicy: RequireDualStack
  ports: [{port: 80, targetPort: http}]
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: client, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: $CLUSTER_AGNHOST
    command: [/agnhost, pause]
    livenessProbe: {exec: {command: [/agnhost, --help]}, periodSeconds: 1, failureThreshold: 2}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: other, labels: {app: other}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: $CLUSTER_AGNHOST, command: [/agnhost, pause]}
YAML
kubectl wait -n shop --for=condition=Ready pod/client pod/other --timeout=60s >/dev/null || fail "no clients"
rolled_out shop web
find_pods shop
mapfile -t web < <(pods_of shop app=web)
web=shop/${web[0]}
read -r service4 service6 < <(kubectl get service -n shop web -o 'jsonpath={.spec.clusterIPs[*]}{"\n"}')

everything_open() {
	open shop/client tcp "$web" 8080
	connects shop/client udp "${ADDR4[$web]}:8081"
	eventually connect_from shop/client tcp "$service4:80"
	eventually connect_from shop/client tcp "[$service6]:80"
	open shop/other tcp "$web" 8080
}
step "before the agent, and with it and no policy, everything is open"
everything_open
agent_start
everything_open

step "default deny and one way in, by kubectl: in force on every packet"
netpol shop/default <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
YAML
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
ingress:
- from: [{podSelector: {matchLabels: {app: client}}}]
  ports: [{port: http}]
YAML
netpol shop/client <<YAML
podSelector: {matchLabels: {app: client}}
policyTypes: [Egress]
egress:
- to: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: http}]
YAML
enforced shop/default shop/web shop/client
open shop/client tcp "$web" 8080
connects shop/client tcp "${ADDR4[$web]}:8080"
blocked shop/other tcp "$web" 8080
blocked "$web" tcp shop/client 8080
timeout_from shop/other tcp "${ADDR4[$web]}:8080"
timeout_from shop/client udp "${ADDR4[$web]}:8081"

step "a Service is judged by the pod that kube-proxy chose, at the pod's port"
for i in 1 2 3 4; do
	connects shop/client tcp "$service4:80"
	connects shop/client tcp "[$service6]:80"
done
timeout_from shop/other tcp "$service4:80"
timeout_from shop/other tcp "[$service6]:80"

step "a label given by kubectl opens, taken away it closes"
kubectl label pod -n shop other app=client --overwrite >/dev/null
eventually connect_from shop/other tcp "$service4:80"
kubectl label pod -n shop other app=other --overwrite >/dev/null
eventually eval "! connect_from shop/other tcp '$service4:80' 500ms"

step "the kubelet's probes go on under default deny"
sleep 3
[ "$(kubectl get pods -n shop -o 'jsonpath={.items[*].status.containerStatuses[*].restartCount}' | tr -d ' 0')" = "" ] ||
	fail "something was restarted: $(kubectl get pods -n shop)"
kubectl wait -n shop --for=condition=Ready pod --all --timeout=5s >/dev/null || fail "a pod is not ready"
[ "$(status .problems)" = "[]" ] || fail "$(status .problems)"

step "more replicas are covered as they come"
kubectl scale -n shop deployment/web --replicas=4 >/dev/null
rolled_out shop web
find_pods shop
for web in $(pods_of shop app=web); do
	open shop/client tcp "shop/$web" 8080
	blocked shop/other tcp "shop/$web" 8080
done
