# An address that changes hands takes no rights along; the node's own is never a pod's.
. ./lib.sh
node_up
pod shop/api 11 app=api
pod shop/db 12 app=db
pod shop/job 13 app=api
outside 192.0.2.10 2001:db8:1::10
serve shop/db tcp:80 tcp:81 udp:53
serve node tcp:9000
serve out tcp:80
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: api}}}]
  ports: [{port: 80}, {port: 53, protocol: UDP}]
YAML
agent_start
open shop/api tcp shop/db 80
open shop/job tcp shop/db 80

step "another pod with the same address and other labels"
stream tcp4 shop/api tcp "${ADDR4[shop/db]}" 80
stream udp6 shop/api udp "${ADDR6[shop/db]}" 53
# The new pod lives in the old one's network: even its ports and connections go on.
rm "$POLICIES/pod-shop.api.yaml"
ADDR4[shop/other]=${ADDR4[shop/api]} ADDR6[shop/other]=${ADDR6[shop/api]}
pod_manifest shop/other app=other
settle
stream_is_cut tcp4
stream_is_cut udp6
blocked shop/api tcp shop/db 80
eventually logged "src == 'shop/other' and dst == 'shop/db' and port == 80 and
	r['source.k8s.pod.labels'] == {'app': 'other'}"

step "a selected pod's address goes to one that nothing selects, and back"
rm "$POLICIES/pod-shop.db.yaml"
ADDR4[shop/plain]=${ADDR4[shop/db]} ADDR6[shop/plain]=${ADDR6[shop/db]}
pod_manifest shop/plain app=plain
settle
open shop/api tcp shop/db 81
rm "$POLICIES/pod-shop.plain.yaml"
pod_manifest shop/db app=db
settle
blocked shop/api tcp shop/db 81
open shop/job tcp shop/db 80

# The rate limits' sets remember addresses for a minute; they allow nothing.
in_sets() {
	nft list table inet bulkhead | sed '/set lim_/,/^\t}/d' | grep -E "$V4\.13|${V6}:13" || true
}

step "a finished pod is in no set, its address in its status or not"
for phase in Succeeded Failed; do
	pod_manifest shop/job app=api
	settle
	open shop/job tcp shop/db 80
	[ -n "$(in_sets)" ] || fail "the pod is in no set"
	sed -i "s/phase: Running/phase: $phase/" "$POLICIES/pod-shop.job.yaml"
	settle
	blocked shop/job tcp shop/db 80
	[ -z "$(in_sets)" ] || fail "a finished pod is in a set: $(in_sets)"
done
sed -i "s/phase: $phase/phase: Running/" "$POLICIES/pod-shop.job.yaml"
settle
open shop/job tcp shop/db 80

step "a finished pod, selected itself, does not close its address"
netpol shop/job <<YAML
podSelector: {matchLabels: {app: api}}
policyTypes: [Ingress, Egress]
YAML
settle
blocked shop/job tcp shop/db 80
sed -i "s/phase: Running/phase: Succeeded/" "$POLICIES/pod-shop.job.yaml"
settle
open shop/job tcp out 80
unpolicy shop.job

step "a pod on the host's network opens and closes nothing of the node"
write pod-shop.agent <<YAML
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: agent, labels: {app: api}}
spec: {hostNetwork: true}
status:
  phase: Running
  podIP: 192.0.2.10
  podIPs: [{ip: 192.0.2.10}, {ip: "2001:db8:1::10"}]
YAML
write pod-shop.own <<YAML
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: own, labels: {app: db}}
spec: {hostNetwork: true}
status:
  phase: Running
  podIP: $V4.1
  podIPs: [{ip: $V4.1}, {ip: "${V6}:1"}]
YAML
settle
blocked out tcp shop/db 80
open shop/api tcp node 9000
open node tcp shop/db 81
nft list table inet bulkhead >"$WORK/table"
! grep -E "192\.0\.2\.10|2001:db8:1::10|$V4\.1[ ,]|${V6}:1[ ,]" "$WORK/table" ||
	fail "a node's address is in a set"
