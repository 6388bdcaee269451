# The tables of a later version in force, with objects that this one does not know and
# others under names that it does not know: left alone while a source is missing, then
# replaced without a moment that is more open or that drops what is allowed.  What a later
# version kept on disk is not read as something else.
. ./lib.sh
. ./data/world-0.1.0.sh
node_up "${NODE_KIND:-bridge}"
old_world
agent_start --node n1

# later FAMILY SED-SCRIPT: the table as of a version to come; standard input goes into it
later() {
	cat >"$WORK/more"
	nft -s list table "$1" bulkhead | sed -E "$2" >"$WORK/table"
	sed "1r $WORK/more" "$WORK/table" >>"$WORK/later.nft"
}
agent_kill
later inet 's/\bin4\b/into4/g; s/\beg6\b/from6/g; s/\blocal4\b/own_pods4/g' <<'NFT'
	comment "bulkhead, format 9"
	ct helper ftp_of_pods { type "ftp" protocol tcp; l3proto ip; }
	quota of_a_tenant { over 25 mbytes used 0 bytes }
	limit of_a_tenant_too { rate 10 mbytes/second }
	set local4 { type ipv4_addr . inet_service . mark; flags interval; elements = { 10.0.0.0/8 . 80 . 0x1 } }
	map in4 { type mark : verdict; }
	chain nat_of_pods { type nat hook postrouting priority srcnat; policy accept; }
	chain routes_of_pods { type route hook output priority mangle; policy accept; }
NFT
later netdev 's/\bmacs\b/hwaddrs/g; s/\bown4\b/mine4/g' <<'NFT'
	map macs { type ether_addr : mark; elements = { 02:00:00:00:00:01 : 0x7 } }
NFT
later bridge 's/\bdst6\b/to6/g' <<'NFT'
	set dst6 { type mark; elements = { 7 } }
NFT
for f in inet netdev bridge; do echo "delete table $f bulkhead" >>"$WORK/gone.nft"; done
cat "$WORK/gone.nft" "$WORK/later.nft" >"$WORK/all.nft"
nft -f "$WORK/all.nft" || fail "not loaded: $(cat "$WORK/all.nft")"
stream live shop/web tcp "${ADDR4[shop/db]}" 80
# Without elements: those of limits come with packets.
before=$(nft -st list ruleset)
watch_verdicts web shop/web tcp shop/db 80 open tcp shop/db 5001 open tcp shop/db 5432 blocked
watch_verdicts tool shop/tool tcp shop/db 80 blocked tcp out 80 open tcp out 81 blocked
watch_verdicts free other/free tcp shop/db 80 blocked tcp shop/tool 80 open tcp shop/web 80 open

step "a source is missing: the tables stay as they are"
agent_exec --node n1 --runtime unix://$WORK/no-runtime.sock
eventually eval 'status .not_ready | grep -q "the rules found in the kernel stay in force"'
sleep 0.3
[ "$(nft -st list ruleset)" = "$before" ] || fail "the rules were touched"
agent_kill

step "taken over under traffic"
agent_start --node n1
sleep 0.5
verdicts_were_right
stream_lives live
for name in of_a_tenant nat_of_pods into4 hwaddrs to6 "format 9"; do
	nft list ruleset | grep -q "$name" && fail "$name is left: $(nft list ruleset)"
done

step "quarantines in a format to come are not taken for none"
"$BULKHEAD" --control "$CONTROL" quarantine shop/web
agent_stop
for f in "$CONTROL".quarantine.*; do
	python3 - "$f" <<'PY'
import hashlib, sys
body = open(sys.argv[1]).read().rsplit("\n", 2)[0] + "\n"
body = body.replace('"version":1', '"version":2')
open(sys.argv[1], "w").write(
    body + '{"sha256":"' + hashlib.sha256(body.encode()).hexdigest() + '"}\n')
PY
done
agent_exec --node n1
eventually eval "status .not_ready | grep -q 'has version 2, this program reads 1'"
blocked shop/web tcp shop/db 80
blocked other/free tcp shop/tool 80
