# The machine starts again: its last rules are there before the agent, which takes them
# over without a more open moment.
. ./lib.sh
STATE=/mnt/state
# What outlives the machine's end; lib.sh has a /run of its own each time.
[ "${1:-}" = again ] || mount -t tmpfs tmpfs /mnt
node_with_pods() {
	node_up ptp
	pod shop/web 11 app=web
	pod shop/db 12 app=db
	pod shop/tool 13 app=tool
	serve shop/db tcp:80
	serve shop/tool tcp:80
}
# boot EXIT-STATUS TEXT [OPTION...]
boot() {
	local rc=0
	"$BULKHEADD" --policies "$POLICIES" --state "$STATE" --boot "${@:3}" >"$WORK/log/boot" 2>&1 || rc=$?
	[ $rc = "$1" ] || fail "--boot ended with $rc: $(cat "$WORK/log/boot")"
	grep -q "$2" "$WORK/log/boot" || fail "$(cat "$WORK/log/boot")"
}

# This case starts itself again in another network namespace, with the folders kept.
if [ "${1:-}" = again ]; then
	node_with_pods
	cp /mnt/policies/policy-* "$POLICIES"
	open shop/tool tcp shop/db 80
	step "booted: the table is there before any agent"
	boot 0 "loaded the rules of 20"
	watch_verdicts web shop/web tcp shop/db 80 open
	watch_verdicts tool shop/tool tcp shop/db 80 blocked
	sleep 0.3
	nft -s list table inet bulkhead >"$WORK/booted"
	boot 0 "in force already"
	[ "$(nft -s list table inet bulkhead)" = "$(cat "$WORK/booted")" ] || fail "it was touched"
	step "a pod that was open is not among those that are known"
	grep -A3 'set local4' "$WORK/booted" | grep -q 10.244.0.13 && fail "an open pod's address is known"
	step "an agent whose sources do not answer leaves it in force"
	agent_exec --state "$STATE" --runtime unix://$WORK/no-runtime.sock
	eventually eval 'status .not_ready | grep -q "the rules found in the kernel stay in force"'
	blocked shop/tool tcp shop/db 80
	agent_kill
	step "the agent takes it over"
	agent_start --state "$STATE"
	grep -q "found table inet bulkhead, patching it" "$WORK/log/agent" || fail "it was not patched"
	sleep 0.3
	verdicts_were_right
	agent_stop
	exit 0
fi

node_with_pods
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress, Egress]
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
YAML
step "nothing is saved yet"
boot 0 "nothing is loaded"
nft list table inet bulkhead >/dev/null 2>&1 && fail "a table without rules was loaded"

step "the rules are saved after a commit, for nobody else to read"
agent_start --state "$STATE"
eventually test -s "$STATE/boot.rules"
[ "$(stat -c %a "$STATE" "$STATE/boot.rules" | xargs)" = "700 600" ] || fail "$(ls -la "$STATE")"
eventually eval '[ "$(status .boot_rules.writes)" = 1 ]'
step "and again when the agent ends"
before=$(stat -c %i "$STATE/boot.rules")
pod shop/late 14 app=db
settle
agent_stop
[ "$(stat -c %i "$STATE/boot.rules")" != "$before" ] || fail "the last change was not saved"
[ "$(ls -A "$STATE" | grep -v "^manifests.cache$")" = boot.rules ] || fail "$(ls -A "$STATE")"

step "a file that is damaged, another node's or another user's is refused"
refused() {
	boot 1 "$@"
	! nft list table inet bulkhead >/dev/null 2>&1 || fail "it was loaded"
}
cp -a "$POLICIES" /mnt/policies
nft delete table inet bulkhead
refused "is of node '.*', and this is 'other'" --node other
cp -p "$STATE/boot.rules" /mnt/good
sed -i 's/shop/shoq/' "$STATE/boot.rules"
refused "is damaged"
head -c 3000 /mnt/good >"$STATE/boot.rules"
refused "is damaged"
: >"$STATE/boot.rules"
refused "is damaged"
cp -p /mnt/good "$STATE/boot.rules"
chmod g+w "$STATE/boot.rules"
refused "is not only ours to write"
mv /mnt/good "$STATE/boot.rules"

step "the machine starts again"
unshare --net bash "$0" again
