# What is known of quarantines outlives its files: one copy that is damaged or gone costs
# nothing, and where all are, the rules in the kernel and those kept for the boot say that
# there was a list, so that every pod is closed until an operator has set what is wanted.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod ops/tool 13 app=tool
serve shop/db tcp:80
serve ops/tool tcp:80
STATE=$WORK/state
FIRST=$STATE/quarantine.cache
COPIES=("$FIRST" "$STATE/quarantine.copy" "$CONTROL.quarantine.cache")
quarantine() { "$BULKHEAD" --control "$CONTROL" quarantine "$@" || fail "not set: $*"; }
is() { # open|timeout WHERE WHOM
	local got
	got=$(try_one 4 $([ "$1" = open ] && echo $OPEN_MS || echo $BLOCKED_MS) "$2" tcp "$3" 80)
	[ "$got" = "$1" ] || fail "$2 -> $3 is $got and should be $1"
}
spoil() { # KIND FILE
	case $1 in
	changed) sed -i 's/"db"/"dc"/' "$2" ;;
	deleted) rm "$2" ;;
	owned) chown 4711 "$2" ;;
	folder) rm "$2" && mkdir "$2" ;;
	esac
}
agent_start --state "$STATE"
[ ! -e "$FIRST" ] || fail "a list of nothing"
quarantine shop/db --reason "an incident"
is timeout shop/web shop/db

step "one copy is spoilt between two runs"
for kind in deleted owned folder; do
	agent_stop
	spoil $kind "$FIRST"
	agent_start --state "$STATE"
	[ "$(status .quarantines.0.reason)" = "an incident" ] || fail "$kind: $(status .quarantines)"
	cmp <(tail -n +2 "$FIRST" | head -n -1) <(tail -n +2 "${COPIES[2]}" | head -n -1) ||
		fail "$kind: not written anew"
done
is timeout shop/web shop/db
is open shop/web ops/tool
rm -r "$STATE"/*.damaged

step "every copy but one goes, the folder of the state with them"
agent_stop
rm -r "$STATE"
agent_start --state "$STATE"
is timeout shop/web shop/db

step "copies go while the agent runs, which dies later"
rm "${COPIES[@]}"
settle
agent_kill
rm "${COPIES[1]}" "${COPIES[2]}"
agent_start --state "$STATE"
is timeout shop/web shop/db
is open shop/web ops/tool

lost() { # KIND: what every copy was, with an agent that starts then
	agent_exec --state "$STATE"
	eventually eval "status .not_ready | grep -q 'every pod of this node is in quarantine'"
	eventually eval '[ "$(status .generation)" -ge 1 ]'
	is timeout shop/web shop/db
	is timeout shop/web ops/tool
}
for kind in changed deleted; do
	step "all copies are $kind: the rules in the kernel know"
	agent_kill
	for f in "${COPIES[@]}"; do spoil $kind "$f"; done
	lost $kind
	"$BULKHEAD" --control "$CONTROL" status >"$WORK/text" || true
	grep -q "shop/\*: 2 pods" "$WORK/text" || fail "$(cat "$WORK/text")"
	quarantine shop/db --reason "again"
	agent_kill
	lost "and good again, but of a list that was lost"
	pod ops/new$kind 2${#kind} app=new
	is timeout ops/new$kind ops/tool
	"$BULKHEAD" --control "$CONTROL" release --lost || fail "not given up"
	"$BULKHEAD" --control "$CONTROL" status --wait >"$WORK/text" || fail "$(cat "$WORK/text")"
	is open shop/web ops/tool
	is timeout shop/web shop/db
	eventually logged "action == 'quarantine-released' and r['quarantine.target'] == '*/*'"
done
[ -e "$FIRST.damaged" ] || fail "what was damaged is gone"

step "the machine starts again without the list: the rules kept for the boot know"
agent_stop
rm "${COPIES[@]}"
nft delete table inet bulkhead
nft delete table netdev bulkhead
nft delete table bridge bulkhead
lost
"$BULKHEAD" --control "$CONTROL" release --all || fail "not released"
"$BULKHEAD" --control "$CONTROL" status --wait >"$WORK/text" || fail "$(cat "$WORK/text")"
is open shop/web shop/db

step "a list that was emptied is no loss when it goes"
agent_stop
rm "${COPIES[@]}"
agent_start --state "$STATE"
is open shop/web shop/db
