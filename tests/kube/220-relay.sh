# What goes wrong between agent and server, and that nothing is lost by it.
. ./lib.sh
. ../runtime/shop.sh
server_node_up
relay_start
shop_pods
shop_policies
agent_start
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432

# An annotation of 100 kB, which kubectl makes another of: many reads to arrive.
big() {
	python3 -c 'import sys; print("note: \"" + sys.argv[1] * 100000 + "\"")' "$1"
}
N=0
# change: something new is applied, and gets to the kernel
change() {
	N=$((N + 1))
	netpol shop/change "${1:-n: \"$N\"}" <<-YAML
		podSelector: {matchLabels: {app: db}}
		ingress:
		- ports: [{port: $((6000 + N))}]
	YAML
}

step "cut in the middle of an object: followed again, and the object is whole"
relay cut 30000
change "$(big a)"
enforced shop/change

step "every connection reset, five times"
for i in 1 2 3 4 5; do
	relay drop
	change
	enforced shop/change
done

step "a server that answers late is waited for"
relay delay 500
change
enforced shop/change
relay pass

step "a server that does not answer at all, for a while"
relay hold
change
sleep 2
open shop/api tcp shop/db 5432
relay pass
enforced shop/change

step "the rules were as they are all the time"
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432
