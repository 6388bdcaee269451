# A folder of policies that is empty, gone, or under another mount keeps what it had in force
# until the operator accepts it; at runtime and over restarts.
. ./lib.sh
FAMILIES=4 BLOCKED_MS=200
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80
netpol shop/deny <<YAML
podSelector: {}
policyTypes: [Ingress]
YAML
reload() { "$BULKHEAD" --control "$CONTROL" reload "$@" || fail "reload $*"; }
kept() {
	eventually eval "status .problems | grep -q -- '--accept-empty'"
	blocked shop/web tcp shop/db 80
	[ "$(status .ready)" = true ] || fail "$1: not ready: $(status .not_ready)"
	status .policies_status | grep -q '"deny"' || fail "$1: the policy is not listed"
}
fine() {
	eventually eval '[ "$(status .problems)" = "[]" ]'
	blocked shop/web tcp shop/db 80
}
agent_start
blocked shop/web tcp shop/db 80

step "another mount over it, noticed without a reload"
mount -t tmpfs empty "$POLICIES"
kept "mounted over"
umount "$POLICIES"
fine

step "all files gone, and the agent started on that"
cp -a "$POLICIES" "$WORK/away"
rm "$POLICIES"/*.yaml
kept "emptied"
agent_stop
agent_start
kept "started on an empty folder"
agent_kill
mount -t tmpfs empty "$POLICIES"
agent_start
kept "started on an empty mount"
umount "$POLICIES"

step "the folder is missing"
rm -r "$POLICIES"
kept "missing"
agent_stop
agent_start
kept "started without the folder"
cp -a "$WORK/away" "$POLICIES"
fine

step "the folder is another's, a file, or a link that leads nowhere or to nothing"
instead() { # WHAT COMMAND...: in the folder's place, while the agent runs and at its start
	mv "$POLICIES" "$WORK/aside"
	"${@:2}"
	"$BULKHEAD" --control "$CONTROL" reload
	for when in runs starts; do
		eventually eval 'status .problems | grep -q "in force"'
		blocked shop/web tcp shop/db 80
		[ "$(status .ready)" = true ] || fail "$1, $when: $(status .not_ready)"
		[ $when = starts ] || { agent_stop; agent_start; }
	done
	rm -rf "$POLICIES"
	mv "$WORK/aside" "$POLICIES"
	"$BULKHEAD" --control "$CONTROL" reload
	fine
}
of_another() { mkdir -m 0700 "$POLICIES"; chown 4711 "$POLICIES"; }
instead "of another" of_another
instead "a file" touch "$POLICIES"
instead "a dangling link" ln -s /nowhere "$POLICIES"
mkdir "$WORK/empty"
instead "a link to an empty folder" ln -s "$WORK/empty" "$POLICIES"

step "a subfolder that is a volume of its own"
mkdir "$POLICIES/team"
mount -t tmpfs team "$POLICIES/team"
mv "$POLICIES/policy-shop.deny.yaml" "$POLICIES/team/"
settle
fine
umount "$POLICIES/team"
kept "the volume is not mounted"
agent_stop
agent_start
kept "the volume is not mounted at the start"

step "a member of the socket's group may not accept it"
chgrp 4711 "$CONTROL"
member() { setpriv --reuid 4711 --regid 4711 --clear-groups "$BULKHEAD" --control "$CONTROL" "$@"; }
chmod 0711 "$WORK"
member reload || fail "a member cannot reload"
out=$(member reload --accept-empty 2>&1) && fail "a member can accept"
grep -q "only root" <<<"$out" || fail "$out"
kept "refused"

step "accepted: it is gone, over a restart, too"
reload --accept-empty
eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db 80)" = open ]'
[ "$(status .problems)" = "[]" ] || fail "$(status .problems)"
agent_stop
agent_start
open shop/web tcp shop/db 80
agent_stop

step "nothing is known of the run before: the rules in the kernel stay"
cp "$WORK/away"/* "$POLICIES/"
agent_start
agent_stop
rm -f "$CONTROL".*cache
rm "$POLICIES"/*.yaml
agent_exec
eventually eval 'status .not_ready | grep -q "accept-empty"'
sleep 1.5
blocked shop/web tcp shop/db 80
reload --accept-empty
eventually eval '[ "$(status .ready)" = true ]'
agent_stop

step "a folder that never had anything is nothing to doubt"
agent_start
[ "$(status .problems)" = "[]" ] || fail "$(status .problems)"
rm -f "$CONTROL".*cache
agent_stop
rm -f "$CONTROL".*cache
agent_start
[ "$(status .problems)" = "[]" ] || fail "$(status .problems)"
