# A new pod's rules are in the kernel before its first container can send.
. ./lib.sh
node_up
pod shop/db app=db
serve shop/db tcp:5432
agent_start

# What the container does first, and then forever to stay.
try_and_stay="/bin/busybox nc -w 2 ${ADDR4[shop/db]} 5432 </dev/null >/dev/null 2>&1 && echo CONNECTED || echo no; exec /bin/busybox sleep 1000"
said() { cat "$CRI_LOGS/shop_$1"/main.log 2>/dev/null; }

step "without a policy the first connection of a container comes through"
pod shop/free app=client
container shop/free main sh -c "$try_and_stay" >/dev/null
eventually sh -c "grep -q CONNECTED '$CRI_LOGS/shop_free/main.log'"

step "with one, it never does, in ten pods"
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress: []
YAML
netpol shop/client <<YAML
podSelector: {matchLabels: {app: client}}
policyTypes: [Egress]
YAML
settle
for i in 1 2 3 4 5 6 7 8 9 10; do
	pod "shop/c$i" app=client
	in_kernel eg4 "${ADDR4[shop/c$i]}" || fail "c$i runs, and its address is not in the kernel"
	in_kernel eg6 "${ADDR6[shop/c$i]}" || fail "c$i runs, and its address is not in the kernel"
	container "shop/c$i" main sh -c "$try_and_stay" >/dev/null
done
for i in 1 2 3 4 5 6 7 8 9 10; do
	eventually sh -c "grep -qE 'CONNECTED|no' '$CRI_LOGS/shop_c$i/main.log'"
	said "c$i" | grep -q CONNECTED && fail "c$i came through"
done

step "and where only the other end is closed, neither"
unpolicy shop.client
settle
for i in 11 12 13; do
	pod "shop/c$i" app=client
	container "shop/c$i" main sh -c "$try_and_stay" >/dev/null
	eventually sh -c "grep -qE 'CONNECTED|no' '$CRI_LOGS/shop_c$i/main.log'"
	said "c$i" | grep -q CONNECTED && fail "c$i came through"
done
exit 0
