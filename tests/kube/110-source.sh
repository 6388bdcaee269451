# The agent's source alone: list, watch, and what goes wrong on the way to the server.
. ./lib.sh
server_node_up
relay_start
PORTS="http=8080/TCP" pod shop/web app=web
remote_pod shop/far 192.0.2.10 2001:db8::10 app=far

step "what is there before is told before it is in sync, in pages of one object"
source_start --silence 3000 --page-size 1
same
told 'key == "shop/web" and addrs == ["10.244.0.11", "fd00:244::11"] and e["ports"] == 1'
told "key == 'shop/web' and e['node'] == '$NODE_NAME' and labels['app'] == 'web'"

# change: objects of every kind come, change and go
N=0
change() {
	local i
	N=$((N + 1))
	kubectl delete pod -n shop far --force --grace-period=0 >/dev/null 2>&1
	kubectl label pod -n shop web "n=$N" --overwrite >/dev/null
	kubectl label namespace shop "n=$N" --overwrite >/dev/null
	remote_pod shop/far "192.0.2.$N" "2001:db8::$N" app=far
	netpol "shop/p$N" <<-YAML
		podSelector: {}
	YAML
	[ $N = 1 ] || kubectl delete networkpolicy -n shop "p$((N - 1))" >/dev/null
}

step "what changes is told as it happens"
change
same

step "connections reset, again and again"
for i in 1 2; do
	relay drop
	change
done
same

step "cut in the middle of an object of 200 kB"
mark
relay cut 50000
python3 -c 'print("""{"metadata": {"labels": {"big": "yes"}, "annotations": {"note": "%s"}}}""" % ("a" * 200000))' >"$WORK/patch"
kubectl patch pod -n shop web --type=merge --patch-file "$WORK/patch" >/dev/null
told 'key == "shop/web" and labels.get("big") == "yes"'
[ "$(was_told 'key == "shop/web"' | wc -l)" = 1 ] || fail "told more than once"
same

step "cut again and again while an object of 200 kB is what has to come"
for i in 1 20000 100000; do relay cut $i; done
change
same

step "bytes that come late"
relay delay 300
change
same
relay pass

step "a connection that went silent without an end is found out and replaced"
relay freeze
change
same

step "the server is away, and is back"
mark
relay off
told 'event == "problem" and "does not answer" in text'
change
never_told 'event in ("put", "delete")'
relay pass
same
told 'event == "problem" and not text'

step "told no more than what changed"
mark
relay drop
sleep 1
change
same
never_told 'event in ("put", "delete") and kind == "Node"'
