# An edited policy is in force, and a live connection that it no longer allows is cut;
# others live on.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:5432 udp:53 push:9000
allow() {
	netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [$1]
YAML
}
allow "{port: 80}, {port: 5432}, {port: 53, protocol: UDP}, {port: 9000}"
agent_start --metrics "unix:$WORK/metrics"

open shop/web tcp shop/db 80
open shop/web tcp shop/db 5432
for f in 4 6; do
	declare -n addr=ADDR$f
	stream kept$f shop/web tcp "${addr[shop/db]}" 80
	stream tcp$f shop/web tcp "${addr[shop/db]}" 5432
	stream udp$f shop/web udp "${addr[shop/db]}" 53
	# The server sends and sends; the client says nothing.
	spawn shop/web "$PROBE" pull "${addr[shop/db]}" 9000 >"$WORK/log/pull$f"
	eventually test -s "$WORK/log/pull$f"
done

step "ports 5432, 53 and 9000 are taken away"
allow "{port: 80}"
settle
for f in 4 6; do
	stream_is_cut tcp$f
	stream_is_cut udp$f
	stream_lives kept$f
	pulled=$(tail -n 1 "$WORK/log/pull$f")
	sleep 1
	[ "$(tail -n 1 "$WORK/log/pull$f")" = "$pulled" ] || fail "a server revived its connection"
done
blocked shop/web tcp shop/db 5432
blocked shop/web udp shop/db 53
open shop/web tcp shop/db 80
[ "$(status .revoked_connections)" -ge 6 ] || fail "$(status .revoked_connections) revoked"

step "what is allowed again works at once, over the same connection too"
allow "{port: 80}, {port: 5432}"
settle
stream_lives tcp4
open shop/web tcp shop/db 5432
allow "{port: 80}"
settle
stream_is_cut tcp4

step "what the rules do not depend on looks through no connections"
walks() {
	curl -s --unix-socket "$WORK/metrics" http://x/metrics |
		awk '$1 == "bulkhead_revocation_walks_total" { print $2 }'
}
stream_lives kept4
before=$(walks)
[ "$before" -gt 0 ] || fail "nothing was looked through before"
pod_manifest shop/web app=web revision=2
settle
[ "$(walks)" = "$before" ] || fail "$(walks) walks, $before before"
pod_manifest shop/web app=other
settle
[ "$(walks)" -gt "$before" ] || fail "a pod that is let in no more, and nobody looks"
stream_is_cut kept4
pod_manifest shop/web app=web
settle

step "a file that does not parse changes nothing and is named"
echo "spec: [" | policy shop.db
"$BULKHEAD" --control "$CONTROL" reload
eventually eval 'status .problems | grep -q policy-shop.db.yaml'
open shop/web tcp shop/db 80
blocked shop/web tcp shop/db 5432

step "inotify alone brings an edit into force"
allow "{port: 5432}"
eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db 5432)" = open ]'
blocked shop/web tcp shop/db 80
[ "$(status .problems)" = "[]" ] || fail "problems: $(status .problems)"
