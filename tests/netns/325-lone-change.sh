# A change of another node's pod that comes alone is in the kernel at once, and does not
# wait for others that it could be merged with.
. ./lib.sh
node_up ptp
pod shop/db 11 app=db
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: far}}}]}]
YAML
far() { # FIRST LAST
	local i
	for i in $(seq "$1" "$2"); do
		echo "---
apiVersion: v1
kind: Pod
metadata: {namespace: far, name: p$i, labels: {app: far}}
spec: {nodeName: elsewhere}
status: {phase: Running, podIP: 10.9.0.$i, podIPs: [{ip: 10.9.0.$i}]}"
	done | write "far$1"
}
metric() { curl -s --unix-socket "$WORK/metrics" http://x/metrics | awk -v m="bulkhead_$1" '$1 == m { print $2 }'; }
agent_start --node here --metrics "unix:$WORK/metrics"

step "eight changes, each alone: from the source's word to the kernel's acknowledgement"
sum=$(metric change_duration_seconds_sum) n=$(metric change_duration_seconds_count)
for i in $(seq 8); do
	far "$i" "$i"
	sleep 0.3
done
n=$(($(metric change_duration_seconds_count) - n))
[ "$n" = 8 ] || fail "$n changes were committed"
ms=$(awk "BEGIN { printf \"%d\", ($(metric change_duration_seconds_sum) - $sum) / $n * 1000 }")
# One that waited for others would take 50 ms more.
case $BH_BUILD in *asan*) most=80 ;; *) most=40 ;; esac
[ "$ms" -lt $most ] || fail "the mean is $ms ms"
agent_stop
