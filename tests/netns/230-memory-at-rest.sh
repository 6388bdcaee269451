# A node with 100 pods and 50 policies: what the agent holds and how often it wakes.
. ./lib.sh
# Addresses only: the agent needs no more of a pod than its manifest.
for n in $(seq 2 101); do
	ADDR4[shop/pod-$n]=$V4.$n ADDR6[shop/pod-$n]=${V6}:$n
	pod_manifest shop/pod-$n "app=app-$((n % 25))" "tier=tier-$((n % 5))" "instance=pod-$n"
done
for n in $(seq 50); do
	netpol "shop/policy-$n" <<YAML
podSelector: {matchLabels: {app: app-$((n % 25))}}
policyTypes: [Ingress, Egress]
ingress:
- from:
  - podSelector: {matchLabels: {tier: tier-$((n % 5))}}
  - ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.$n/32]}
  ports: [{port: $((8000 + n))}, {port: 53, protocol: UDP}]
egress:
- to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: app-$((n % 7))}}}]
YAML
done
ip link set lo up
agent_start "$@"
[ "$(status .local_pods)" = 100 ] || fail "pods: $(status .local_pods)"

field() { sed -n "s/^$1:[^0-9]*\([0-9]*\).*/\1/p" /proc/$AGENT_PID/status; }
kb() { awk "/^$1:/ { print \$2 }" /proc/$AGENT_PID/smaps_rollup; }
wakes() { cat /proc/$AGENT_PID/task/*/status | awk '/^voluntary/ { n += $2 } END { print n }'; }
sleep 1
rss=$(field VmRSS)
echo "VmRSS $rss kB: anonymous $(field RssAnon), files $(field RssFile); private dirty $(kb Private_Dirty) kB"
first=$(wakes)
sleep 10
echo "$(($(wakes) - first)) wake-ups in 10 s, $(ls /proc/$AGENT_PID/task | wc -l) threads"
[ -z "${DUMP_MAPS:-}" ] || cat /proc/$AGENT_PID/smaps >"$DUMP_MAPS"
if grep -q libasan /proc/$AGENT_PID/maps || nm -D "$BULKHEADD" | grep -q __asan_init; then
	skip "the address sanitizer's shadow is most of the memory"
fi
[ "$rss" -lt 16384 ] || fail "VmRSS is $rss kB"
