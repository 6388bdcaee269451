# Entries that version 0.1.0 left in conntrack for an hour in the place of connections
# that it cut: they go, and what they kept out stays out.
. ./lib.sh
node_up
command -v conntrack >/dev/null || skip "conntrack(8) is not there"
pod shop/web 11 app=web
pod shop/db 12 app=db
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress: [{ports: [{port: 81, protocol: UDP}]}]
YAML
nft 'add table inet first; add chain inet first c { type filter hook forward priority 10; }
	add rule inet first c ct state invalid counter'
block() { # PORT
	conntrack -I -p udp -s "${ADDR4[shop/web]}" -d "${ADDR4[shop/db]}" --sport 5000 --dport "$1" \
		-r "${ADDR4[shop/db]}" -q "${ADDR4[shop/web]}" --reply-port-src 0 \
		--reply-port-dst "$2" -t 3600 -u FIXED_TIMEOUT >/dev/null
}
block 80 5000
block 81 5001
agent_start
conntrack -L -p udp >"$WORK/left" 2>/dev/null
! grep sport=5000 "$WORK/left" || fail "a block is left"
cut() {
	nft get element inet bulkhead cut4 \
		"{ ${ADDR4[shop/db]} . ${ADDR4[shop/web]} . udp . $1 . 5000 }" >/dev/null 2>&1
}
cut 80 || fail "what was denied may come back"
! cut 81 || fail "what is allowed is shut"
[ "$(status .revoked_connections)" = 0 ] || fail "$(status .revoked_connections) connections were cut"
