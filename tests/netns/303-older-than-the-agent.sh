# Where nothing tracked connections before the rules came, those that policy allows go
# on, also if their server only sends and never hears from its client; those that it
# denies end, and no new one that it denies gets through meanwhile.
. ./lib.sh
node_up "${NODE_KIND:-bridge}"
pod shop/client 11 app=client
pod shop/feed 12 app=feed
pod shop/secret 13 app=secret
serve shop/feed push:9000 tcp:80
serve shop/secret push:9000 tcp:80
serve shop/client tcp:80
# The client is nobody's server, so what its server sends is denied as an opening.
netpol shop/client <<YAML
podSelector: {matchLabels: {app: client}}
policyTypes: [Ingress]
YAML
netpol shop/secret <<YAML
podSelector: {matchLabels: {app: secret}}
policyTypes: [Ingress]
YAML
pull() { # NAME POD FAMILY
	declare -n addr=ADDR$3
	spawn shop/client "$PROBE" pull "${addr[$2]}" 9000 >"$WORK/log/pull-$1" 2>&1
	eventually test -s "$WORK/log/pull-$1"
}
for f in 4 6; do
	pull feed$f shop/feed $f
	pull secret$f shop/secret $f
done
[ "$(cat /proc/sys/net/netfilter/nf_conntrack_count 2>/dev/null || echo 0)" = 0 ] ||
	skip "something tracks connections here already"
goes_on() {
	local before
	before=$(tail -n 1 "$WORK/log/pull-$1")
	eventually eval "[ \"\$(tail -n 1 '$WORK/log/pull-$1')\" != '$before' ]"
}
ends() {
	local i before
	for i in $(seq 20); do
		before=$(tail -n 1 "$WORK/log/pull-$1")
		sleep 1
		[ "$(tail -n 1 "$WORK/log/pull-$1")" != "$before" ] || return 0
	done
	fail "$1 lives on"
}

agent_start
step "nothing that is denied can be opened while others are picked up"
blocked shop/feed tcp shop/client 80
blocked shop/client tcp shop/secret 80
step "what is allowed goes on"
for f in 4 6; do goes_on feed$f; done
step "what is denied ends"
for f in 4 6; do ends secret$f; done
for f in 4 6; do goes_on feed$f; done

step "a restart within that time changes nothing"
agent_stop
agent_start
for f in 4 6; do goes_on feed$f; done
for f in 4 6; do ends secret$f; done

step "later, policy takes it away, and it does not come back in mid-stream"
netpol shop/feed <<YAML
podSelector: {matchLabels: {app: feed}}
policyTypes: [Ingress]
YAML
settle
for f in 4 6; do ends feed$f; done
