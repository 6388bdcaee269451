# Pods, namespaces and policies of the API in force on packets, and how soon.
. ./lib.sh
. ../runtime/shop.sh
server_node_up
shop_pods
agent_start

step "without a policy everything is open"
open shop/other tcp shop/db 5432

step "the shop's policies in force"
shop_policies
enforced shop/default shop/web shop/api shop/db
open shop/other tcp shop/web 8080
open shop/web tcp shop/api 8080
open shop/api tcp shop/db 5432
open node tcp shop/db 5432
blocked shop/other tcp shop/api 8080
blocked shop/other tcp shop/db 5432
blocked shop/web icmp shop/api

step "a named port is the one that the pod's spec says"
netpol shop/named <<YAML
podSelector: {matchLabels: {app: web}}
ingress:
- ports: [{port: dns, protocol: UDP}]
YAML
enforced shop/named
open shop/other udp shop/web 53

step "an edited policy is waited for by its generation"
netpol shop/named <<YAML
podSelector: {matchLabels: {app: web}}
ingress:
- ports: [{port: http}]
YAML
enforced shop/named
blocked shop/other udp shop/web 53

step "a pod's label, and a namespace's"
kubectl label pod -n shop other app=api --overwrite >/dev/null
open shop/other tcp shop/db 5432
kubectl label pod -n shop other app=other --overwrite >/dev/null
eventually eval "[ \"\$(try_one 4 500 shop/other tcp shop/db 5432)\" = timeout ]"
namespace guests
pod guests/g app=guest
netpol shop/guests <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{namespaceSelector: {matchLabels: {may: look}}}]
YAML
enforced shop/guests
blocked guests/g tcp shop/db 5432
kubectl label namespace guests may=look >/dev/null
open guests/g tcp shop/db 5432
kubectl label namespace guests may- >/dev/null
eventually eval "[ \"\$(try_one 4 500 guests/g tcp shop/db 5432)\" = timeout ]"

step "a pod elsewhere is known by the addresses that its status says"
netpol shop/far <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress:
- to: [{podSelector: {matchLabels: {app: far}}}]
YAML
enforced shop/far
outside 192.0.2.10 2001:db8::10
serve out tcp:80
blocked shop/web tcp out 80
remote_pod shop/far 192.0.2.10 2001:db8::10 app=far
open shop/web tcp 192.0.2.10 80
open shop/web tcp 2001:db8::10 80

step "one that finished, or is gone, owns no address"
pod_status shop/far Succeeded
eventually eval "[ \"\$(try_one 4 500 shop/web tcp 192.0.2.10 80)\" = timeout ]"
pod_status shop/web Failed
eventually not_in_kernel in4 "${ADDR4[shop/web]}"
gone4=${ADDR4[shop/api]} gone6=${ADDR6[shop/api]}
in_kernel in4 "$gone4" >/dev/null
pod_gone shop/api
eventually not_in_kernel in4 "$gone4"
eventually not_in_kernel in6 "$gone6"

step "from the server's answer to the kernel, twenty times"
times=()
for i in $(seq 20); do
	{
		sleep 0.3
		netpol shop/timed <<-YAML
			podSelector: {matchLabels: {app: db}}
			ingress:
			- ports: [{port: $((6000 + i))}]
		YAML
		date +%s%N >"$WORK/answered"
	} &
	./enforced.py "$METRICS" 30 "shop/timed@$i" >/dev/null || fail "not enforced"
	now=$(date +%s%N)
	wait $!
	times+=($(((now - $(cat "$WORK/answered")) / 1000000)))
done
mapfile -t times < <(printf '%s\n' "${times[@]}" | sort -n)
echo "kernel after kubectl: ${times[10]} ms median, ${times[19]} ms at most"
[ "${times[19]}" -lt 2000 ] || fail "that is too long"
