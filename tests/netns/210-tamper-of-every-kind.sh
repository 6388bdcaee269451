# Whatever another program does to our table is noticed, recorded with its name and
# repaired, and what was denied is denied again.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/job 13 app=job
serve shop/db tcp:80 tcp:81
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: job}}}]
  ports: [{port: 80}]
- from: [{ipBlock: {cidr: 192.0.2.0/24}}]
YAML
agent_start

# Sorted, because what is made anew comes last.  What the packet path changes by
# itself is left out: counters, rate limits, what is picked up.
table() {
	nft list table inet bulkhead | sed -e 's/packets [0-9]* bytes [0-9]*//' |
		python3 -c '
import sys
objects = "".join(sys.stdin.readlines()[1:-1]).split("\n\n")
print("\n\n".join(sorted(o.strip() for o in objects if not o.strip().startswith(("set lim_", "set pickup", "set cut_proto")))))'
}
table >"$WORK/good"
N=0
is_good() { table >"$WORK/now" 2>/dev/null && diff "$WORK/good" "$WORK/now"; }
n_records() { grep -c '"event.action": *"tamper"' "$FLOW_LOG" || true; }

# tamper WHAT COMMAND...: is noticed, recorded and repaired
tamper() {
	local what=$1
	shift
	"$@" || fail "$what could not be done"
	eventually is_good
	N=$((N + 1))
	eventually eval "[ \"\$(status .tamper_events)\" -ge $N ]"
	N=$(status .tamper_events)
	eventually eval "[ \$(n_records) = $N ]"
	grep '"tamper"' "$FLOW_LOG" | tail -n 1 >"$WORK/record"
	grep -q '"process.name": *"nft"' "$WORK/record" || fail "$what: no program in $(cat "$WORK/record")"
	blocked shop/web tcp shop/db 80
	open shop/job tcp shop/db 80
	blocked shop/job tcp shop/db 81
	echo "ok: $what: $(cat "$WORK/record" | sed 's/.*tamper.differences"://')"
}

# The first object of a kind whose line matches
name_of() { nft list table inet bulkhead | sed -n "s/^\t$1 \($2[^ ]*\) {.*/\1/p" | head -n 1; }
chain=$(name_of chain in_)
set=$(nft list chain inet bulkhead "$chain" | grep -o '@[a-z0-9_]*' | grep -v '@lim_' | head -n 1 | tr -d @)
[ -n "$chain" ] && [ -n "$set" ] || fail "no chain '$chain' or set '$set'"
rule() { nft -a list chain inet bulkhead "$1" | sed -n 's/.*# handle //p' | sed -n "$2p"; }

tamper "an accept at the top" nft insert rule inet bulkhead forward accept
tamper "an accept at the top of the pod's chain" nft insert rule inet bulkhead "$chain" accept
tamper "an accept at the end" nft add rule inet bulkhead forward accept
tamper "a rule deleted" nft delete rule inet bulkhead forward handle "$(rule forward 3)"
tamper "a rule replaced" nft replace rule inet bulkhead "$chain" handle "$(rule "$chain" 2)" accept
tamper "a chain emptied" nft flush chain inet bulkhead forward
tamper "all chains emptied" nft flush table inet bulkhead
tamper "a pod's element deleted" nft delete element inet bulkhead in4 "{ ${ADDR4[shop/db]} }"
tamper "a map emptied" nft flush map inet bulkhead in6
tamper "a peer set emptied" nft flush set inet bulkhead "$set"
tamper "the table deleted" nft delete table inet bulkhead
tamper "the ruleset flushed" nft flush ruleset
tamper "the table dormant" nft add table inet bulkhead '{ flags dormant; }'
tamper "a policy of drop" nft add chain inet bulkhead forward '{ policy drop; }'
tamper "a chain added" nft add chain inet bulkhead foreign
tamper "a set added" nft add set inet bulkhead foreign '{ type ipv4_addr; }'
tamper "a counter added" nft add counter inet bulkhead foreign
tamper "a base chain that accepts first" nft -f - <<NFT
table inet bulkhead {
	chain first { type filter hook forward priority -300; policy accept; accept; }
}
NFT
tamper "a chain with a jump into it" nft -f - <<NFT
add chain inet bulkhead foreign
add rule inet bulkhead foreign accept
insert rule inet bulkhead forward jump foreign
NFT
tamper "a pod led elsewhere" nft -f - <<NFT
add chain inet bulkhead foreign
delete element inet bulkhead in4 { ${ADDR4[shop/db]} }
add element inet bulkhead in4 { ${ADDR4[shop/db]} : goto foreign }
NFT
tamper "an element with a timeout" nft -f - <<NFT
add set inet bulkhead foreign { type ipv4_addr; flags timeout; }
add element inet bulkhead foreign { 192.0.2.1 timeout 1h }
NFT
tamper "a rule that refers to a set of ours" nft insert rule inet bulkhead input ip saddr @"$set" accept
flowtable='table inet bulkhead { flowtable fast { hook ingress priority 0; devices = { lo }; } }'
if nft -c -f - <<<"$flowtable" 2>/dev/null; then
	tamper "a flow table" nft -f - <<<"$flowtable"
fi
tamper "a named limit" nft add limit inet bulkhead foreign '{ rate 1/second; }'

step "ten at once"
for i in $(seq 10); do nft insert rule inet bulkhead forward accept; done
eventually is_good
blocked shop/web tcp shop/db 80
