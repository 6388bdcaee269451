# Pods of a Deployment on a whole cluster, reached by address and through a Service.
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
  - {name: main, image: $CLUSTER_AGNHOST, command: [/agnhost, pause]}
YAML
kubectl wait -n shop --for=condition=Ready pod/client --timeout=60s >/dev/null || fail "no client"
rolled_out shop web
find_pods shop
mapfile -t web < <(pods_of shop app=web)
web=shop/${web[0]}
read -r service4 service6 < <(kubectl get service -n shop web -o 'jsonpath={.spec.clusterIPs[*]}{"\n"}')

step "without a policy everything is open"
open shop/client tcp "$web" 8080
connects shop/client udp "${ADDR4[$web]}:8081"
connects shop/client tcp "${ADDR4[$web]}:8080"
eventually connect_from shop/client tcp "$service4:80"
eventually connect_from shop/client tcp "[$service6]:80"
