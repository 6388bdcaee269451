# What is wrong in a folder changes nothing and is named with file and line; the last
# good version stays in force.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:81 tcp:82
allow() {
	netpol "${2:-shop/db}" <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: $1}]
YAML
}
check() {
	local rc=0
	"$BULKHEADD" --policies "$POLICIES" --check-config >"$WORK/log/check" 2>&1 || rc=$?
	[ "$rc" = "$1" ] || fail "--check-config exits with $rc, not $1: $(cat "$WORK/log/check")"
}
problem() {
	"$BULKHEAD" --control "$CONTROL" reload >/dev/null 2>&1 || true
	for want; do
		eventually eval "status .problems >'$WORK/log/problems'; grep -- '$want' '$WORK/log/problems'"
		grep -q -- "$want" "$WORK/log/check" || fail "--check-config does not name '$want'"
	done
	# The last good version.
	open shop/web tcp shop/db 80
	blocked shop/web tcp shop/db 81
}
mended() {
	allow 80
	settle
	[ "$(status .problems)" = "[]" ] || fail "problems: $(status .problems)"
	check 0
	open shop/web tcp shop/db 80
}
allow 80
agent_start
check 0
FILE=$POLICIES/policy-shop.db.yaml

step "YAML that ends too early"
{ cat "$FILE"; echo "  egress: ["; } >"$WORK/bad"
mv "$WORK/bad" "$FILE"
check 1
problem "policy-shop.db.yaml.*line 1[0-9]"
mended

step "a NUL byte, bytes that are no UTF-8, an alias, the wrong type"
n=0
for bad in 'podSelector: "a\0b"' 'podSelector: {matchLabels: {app: "\xff"}}' \
	'podSelector: &a {}\ningress: [*a]' 'podSelector: []' 'podSelector: {}\npodSelector: {}'; do
	printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: shop, name: db}\nspec:\n' >"$WORK/bad"
	printf "$bad\n" | sed 's/^/  /' >>"$WORK/bad"
	mv "$WORK/bad" "$FILE"
	check 1
	problem "policy-shop.db.yaml"
done
mended

step "a policy that fails validation: object and field"
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- ports: [{port: 81, endPort: 80}]
YAML
check 1
problem "policy-shop.db.yaml" "shop/db" "endPort"
mended

step "one bad file does not hold up the others"
echo "kind: [" | write broken
pod shop/api 13 app=web
check 1
"$BULKHEAD" --control "$CONTROL" reload >/dev/null 2>&1 || true
eventually eval '[ "$(try_one 4 300 shop/api tcp shop/db 80)" = open ]'
problem "broken.yaml.*line [12]"
rm "$POLICIES/broken.yaml"
mended

step "the same object in two files"
allow 81 shop/db
cp "$FILE" "$POLICIES/z-again.yaml"
allow 80
check 1
problem "z-again.yaml" "shop/db"
rm "$POLICIES/z-again.yaml"
mended

step "a file that is gone takes its policy along"
rm "$FILE"
eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db 81)" = open ]'
mended
blocked shop/web tcp shop/db 81

step "a ConfigMap volume: files are links into a folder that is switched at once"
agent_stop
CM=$WORK/volume
volume() {
	mkdir "$CM/..$1"
	cat >"$CM/..$1/db.yaml"
	ln -sfn "..$1" "$CM/..data.new"
	mv -T "$CM/..data.new" "$CM/..data"
}
mkdir "$CM"
mv "$POLICIES"/pod-*.yaml "$CM/"
sed 's/port: 80/port: 81/' "$FILE" | volume 1
ln -s ..data/db.yaml "$CM/db.yaml"
POLICIES=$CM agent_start
open shop/web tcp shop/db 81
blocked shop/web tcp shop/db 80
sed 's/port: 80/port: 82/' "$FILE" | volume 2
rm -r "$CM/..1"
eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db 82)" = open ]'
blocked shop/web tcp shop/db 81
echo "spec: [" | volume 3
rm -r "$CM/..2"
eventually eval 'status .problems >"$WORK/log/problems"; grep db.yaml "$WORK/log/problems"'
open shop/web tcp shop/db 82
blocked shop/web tcp shop/db 81
sed 's/port: 80/port: 81/' "$FILE" | volume 4
eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db 81)" = open ]'
eventually eval '[ "$(status .problems)" = "[]" ]'
