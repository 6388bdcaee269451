# A program that rewrites tables of its own all the time, as kube-proxy does, neither
# keeps our commits back nor counts as tampering.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80
agent_start

cat >"$WORK/proxy" <<'NFT'
table ip proxy {
	map services { type ipv4_addr . inet_service : verdict; }
	chain pick { }
	chain services { type nat hook prerouting priority dstnat; ip daddr . tcp dport vmap @services; }
}
NFT
nft -f "$WORK/proxy"
# One process that keeps its socket, 50 transactions a second or more.
(
	n=0
	while :; do
		n=$((n + 1))
		echo "add element ip proxy services { 198.51.100.$((n % 250)) . 80 : goto pick }"
		echo "delete element ip proxy services { 198.51.100.$((n % 250)) . 80 }"
		sleep 0.008
	done
) | nft -i >/dev/null 2>&1 &
PROXY=$!
# And one that comes and goes.
(
	while :; do
		nft -f - <<'NFT'
add table inet proxy2
flush table inet proxy2
add chain inet proxy2 services
add rule inet proxy2 services accept
NFT
	done
) &
PROXY2=$!
gen() { python3 - <<'PY'
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0))
d = s.recv(4096)
at = 20
while at + 4 <= len(d):
    n, t = struct.unpack_from("=HH", d, at)
    if t == 1:
        print(struct.unpack_from(">I", d, at + 4)[0])
        break
    at += (n + 3) & ~3
PY
}
first=$(gen)
from=$(date +%s%N)
for i in $(seq 12); do
	if [ $((i % 2)) = 1 ]; then
		netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from: [{ipBlock: {cidr: 192.0.2.$i/32}}]
YAML
		settle
		blocked shop/web tcp shop/db 80
	else
		unpolicy shop.db
		settle
		open shop/web tcp shop/db 80
	fi
done
n=$(($(gen) - first)) ms=$((($(date +%s%N) - from) / 1000000))
kill $PROXY $PROXY2
echo "$n transactions in $ms ms"
[ $((n * 1000 / ms)) -ge 50 ] || skip "only $n transactions in $ms ms: not busy enough to tell"
[ "$(status .tamper_events)" = 0 ] || fail "others' tables counted as tampering"
[ "$(status .ready)" = true ] || fail "not ready"
