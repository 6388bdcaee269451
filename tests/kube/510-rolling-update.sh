# A rolling update while traffic runs: nothing that is allowed is lost, nothing that is
# denied comes through, from each new pod's first packet on.
. ./clusterlib.sh
cluster_up
cluster_probe_image
apply <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: shop}
YAML

# server NAME COMMAND...: a pod that stays
server() {
	local name=$1
	shift
	apply "pod $name" <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {namespace: shop, name: $name, labels: {app: $name}}
		spec:
		  terminationGracePeriodSeconds: 1
		  containers:
		  - {name: main, image: $CLUSTER_PROBE, command: [$(printf '"%s",' "$@")]}
	YAML
}
server db /bin/probe serve tcp:5432
server vault /bin/probe serve tcp:5432
server client /bin/busybox sleep 100000
kubectl wait -n shop --for=condition=Ready pod/db pod/vault pod/client --timeout=60s >/dev/null ||
	fail "the servers do not run"
find_pods shop
db=${ADDR4[shop/db]} vault=${ADDR4[shop/vault]}

step "policies: api asks db and nobody else, client asks api, nobody asks vault"
netpol shop/default <<YAML
podSelector: {}
policyTypes: [Ingress, Egress]
YAML
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}]
YAML
netpol shop/api <<YAML
podSelector: {matchLabels: {app: api}}
policyTypes: [Ingress, Egress]
ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}]
egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]
YAML
netpol shop/client <<YAML
podSelector: {matchLabels: {app: client}}
policyTypes: [Egress]
egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}]
YAML
agent_start
enforced shop/default shop/db shop/api shop/client

# What each pod of it does first: one packet each that is allowed, that is denied by
# its own egress, and that would be by the other end's ingress.  A second packet of
# the first connection would come after a second.
apply <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: shop, name: api}
spec:
  replicas: 3
  strategy: {rollingUpdate: {maxSurge: 2, maxUnavailable: 0}}
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
      - name: main
        image: $CLUSTER_PROBE
        command:
        - /bin/busybox
        - sh
        - -c
        - |
          echo "db \$(/bin/probe try -t 900 tcp $db 5432)"
          echo "vault \$(/bin/probe try -t 300 tcp $vault 5432)"
          exec /bin/probe serve tcp:8080
        ports: [{containerPort: 8080}]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 4}}}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: api}
spec:
  selector: {app: api}
  ports: [{port: 80, targetPort: 8080}]
YAML
rolled_out shop api
service=$(kubectl get service -n shop api -o 'jsonpath={.spec.clusterIP}')
find_pods shop
eventually eval "[ \"\$(try_one 4 900 shop/client tcp $service 80)\" = open ]"

# Logs go with their pods: collected while they are there, and some just go.
collect() {
	local f
	while sleep 0.2; do
		for f in /var/log/pods/shop_api-*/main/0.log; do
			cp "$f" "$WORK/firsts/$(basename "$(dirname "$(dirname "$f")")")" || true
		done 2>/dev/null
	done
}
mkdir -p "$WORK/firsts"
collect &

step "rolled twice, while the client asks through the Service and others try what they may not"
echo "tcp $service 80 open" >"$WORK/allowed"
echo "tcp $db 5432 blocked" >"$WORK/denied"
# Slow enough that no port is taken again meanwhile: what conntrack remembers of a pod
# that is gone would lead there.
spawn shop/client "$PROBE" matrix -t 900 -n 0 -i 1 <"$WORK/allowed" >"$WORK/log/allowed" 2>&1
allowed=$!
spawn shop/client "$PROBE" matrix -t 200 -n 0 <"$WORK/denied" >"$WORK/log/denied" 2>&1
denied=$!
start=$SECONDS
for i in 1 2; do
	kubectl rollout restart -n shop deployment/api >/dev/null
	rolled_out shop api
done
took=$((SECONDS - start))
kill -TERM $allowed $denied
wait $allowed || fail "allowed, and did not get through: $(tail -n 5 "$WORK/log/allowed")"
wait $denied || fail "denied, and got through: $(tail -n 5 "$WORK/log/denied")"
echo "in $took s: allowed: $(tail -n 1 "$WORK/log/allowed"); denied: $(tail -n 1 "$WORK/log/denied")"

step "every pod's first packets were judged"
eventually eval "[ \$(cat $WORK/firsts/* | grep -c 'F vault') -ge 9 ]"
cat "$WORK"/firsts/* | cut -d ' ' -f 4- | sort | uniq -c
[ "$(cat "$WORK"/firsts/* | grep -c 'F db open')" = "$(ls "$WORK/firsts" | wc -l)" ] ||
	fail "a pod's first allowed packet was lost"
cat "$WORK"/firsts/* | grep 'F vault' | grep -vq timeout && fail "a pod's first denied packet got through"
exit 0
