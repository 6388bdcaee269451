# What the host and the network plugin send for a new pod, before its addresses are known,
# is no forgery: its link-local address is its own from the beginning, and what cannot be
# decided yet is said to be that.
. ./lib.sh
node_up "${CNI:-bridge}"
agent_start

step "pods come: solicitations and reports pass, what is about an address not yet known does not"
for i in 1 2 3; do pod "shop/p$i" app=p; done
# The kernel repeats its solicitations for some seconds.
sleep 3
eventually logged "action == 'pod-bound' and r['k8s.pod.name'] == 'p3'"
never_logged "action == 'flow-denied' and not (r['policy.reason'] == 'no-pod-yet' and
	(r['network.type'] == 'arp' or r['icmp.type'] == 135))"
for i in 1 2 3; do
	[ "$(records | grep -c "flow-denied.*\"source.k8s.pod.name\":\"p$i\"")" -le 1 ] ||
		fail "p$i: $(records | grep "p$i")"
done

step "a forgery is one, as soon as the addresses are known"
in_pod shop/p1 ip addr add 10.88.0.99/32 dev eth0
in_pod shop/p1 ping -c 1 -W 1 -I 10.88.0.99 "${ADDR4[shop/p2]}" >/dev/null && fail "answered"
eventually logged "action == 'flow-denied' and src == 'shop/p1' and r['policy.reason'] == 'spoofed'"
