# A thousand peers and ports are as few rules as ten, and each is judged right; SCTP
# is a protocol of its own.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/last 13 app=last
outside 192.0.2.10 2001:db8:1::10
serve shop/db tcp:80 tcp:7000 udp:7000 sctp:7000 sctp:7001 tcp:20000 tcp:20009

# large N: so many peers (blocks, and pods that do not live here) and ports
large() {
	python3 - "$1" <<'PY' | write many
import sys
n = int(sys.argv[1])
for i in range(n):
    print(f"""---
apiVersion: v1
kind: Pod
metadata: {{namespace: far, name: p{i}, labels: {{app: far}}}}
spec: {{nodeName: elsewhere}}
status:
  phase: Running
  podIPs: [{{ip: 10.{9 + i // 250}.0.{i % 250 + 1}}}, {{ip: "fd00:9::{i + 1:x}"}}]""")
print("""---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: far}}""")
for i in range(n - 1):
    print(f"    - ipBlock: {{cidr: 172.{16 + i // 250}.{i % 250}.0/25}}")
    print(f"    - ipBlock: {{cidr: 'fd00:aa:{i + 1:x}::/48'}}")
print("""    - ipBlock: {cidr: 192.0.2.10/32}
    - ipBlock: {cidr: '2001:db8:1::10/128'}
    ports:""")
for i in range(n):
    print(f"    - port: {20000 + i}")
print("""  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 7000, protocol: SCTP}]""")
PY
}
# Lines of all chains.
rules() { nft list table inet bulkhead | sed -n '/^\tchain/,/^\t}/p' | wc -l; }
packets() {
	open out tcp shop/db 20000
	open out tcp shop/db 20009
	blocked out tcp shop/db 80
	blocked shop/last tcp shop/db 20000
	blocked shop/web tcp shop/db 20000
	open shop/web sctp shop/db 7000
	blocked shop/web sctp shop/db 7001
	blocked shop/web tcp shop/db 7000
	blocked shop/web udp shop/db 7000
	blocked shop/last sctp shop/db 7000
	blocked out sctp shop/db 7000
}

step "ten"
large 10
agent_start --node here
few=$(rules)
[ "$few" -gt 20 ] || fail "no rules: $few"
packets
eventually logged "src == 'shop/last' and proto == 'sctp' and port == 7000 and
	dst == 'shop/db' and near[0]['why'] == 'podSelector'"
eventually logged "src == 'shop/web' and proto == 'udp' and port == 7000 and
	near[0] == {'name': 'shop/db', 'rule_index': 1, 'why': 'protocol'}"

step "a thousand"
large 1000
settle
many=$(rules)
[ "$many" = "$few" ] || fail "$few lines of rules for ten peers, $many for a thousand"
packets
step "the last of the thousand ports"
serve shop/db tcp:20999
open out tcp shop/db 20999
[ "$(status .problems)" = "[]" ] || fail "problems: $(status .problems)"

step "ten again: what is gone is closed"
large 10
settle
[ "$(rules)" = "$few" ] || fail "the rules are not as few as before"
blocked out tcp shop/db 20999
packets
