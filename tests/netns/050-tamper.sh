# Another program's change to our table is noticed, logged and repaired.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML
agent_start
blocked shop/web tcp shop/db 80

# What the packet path changes by itself is left out: counters, rate limits.
table() {
	nft list table inet bulkhead | sed -e 's/packets [0-9]* bytes [0-9]*//' -e '/set lim_/,/^\t}/d' -e '/set pickup {/,/^\t}/d' -e '/set cut_proto {/,/^\t}/d'
}
table >"$WORK/good"

# tampered N: that many events, and the table is as it was
tampered() {
	eventually eval "[ \"\$(status .tamper_events)\" = $1 ]"
	table >"$WORK/now"
	diff "$WORK/good" "$WORK/now" || fail "the table is not what it was"
	blocked shop/web tcp shop/db 80
}

step "a rule that opens everything"
nft insert rule inet bulkhead forward accept
tampered 1
grep '"tamper"' "$FLOW_LOG" | grep -q nft || fail "no record names the program"

step "the table deleted"
nft delete table inet bulkhead
tampered 2

step "a pod taken out of its map"
nft flush map inet bulkhead in4
tampered 3

step "other tables are nobody's business"
nft add table inet foreign
nft delete table inet foreign
sleep 0.3
[ "$(status .tamper_events)" = 3 ] || fail "another table's change counted"
