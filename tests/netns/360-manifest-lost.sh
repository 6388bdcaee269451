# Whatever happens to a manifest short of its deletion, at runtime or before a start, what it
# had in force stays: with --state, and without it as long as the rules last.
. ./lib.sh
FAMILIES=4 BLOCKED_MS=200
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:81
FILE=$POLICIES/policy-shop.db.yaml
allow() {
	netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: $1}]
YAML
}
allow 80
cp "$FILE" "$WORK/good"
# in_force WHEN: the policy is, and the status says what is wrong
in_force() {
	blocked shop/web tcp shop/db 81
	open shop/web tcp shop/db 80
	status .problems >"$WORK/log/problems"
	grep -q "policy-shop.db.yaml.*the last good version stays in force" "$WORK/log/problems" ||
		fail "$1: $(cat "$WORK/log/problems")"
	[ "$(status .ready)" = true ] || fail "$1: not ready: $(status .not_ready)"
}
reload() { "$BULKHEAD" --control "$CONTROL" reload "$@" || fail "reload $*"; }
# A user whom file permissions stop, as they stop an agent without CAP_DAC_OVERRIDE.
agents_file_of_another() {
	chown 4711 "$FILE"
	chmod 0600 "$FILE"
}
BAD=('truncate_it' 'cut_off' 'not_yaml' 'agents_file_of_another' 'a_folder' 'a_pipe' 'nowhere'
	'no_object' 'unknown_field')
truncate_it() { : >"$FILE"; }
cut_off() { head -c 100 "$WORK/good" >"$FILE"; }
not_yaml() { echo "spec: [" >>"$FILE"; }
a_folder() { rm "$FILE"; mkdir "$FILE"; }
a_pipe() { rm "$FILE"; mkfifo "$FILE"; }
nowhere() { ln -sfn /nowhere "$FILE"; }
no_object() { echo "# was here" >"$FILE"; }
unknown_field() { sed -i 's/- from:/- form:/' "$FILE"; }
mend() {
	rm -rf "$FILE"
	cp "$WORK/good" "$FILE"
	settle
	[ "$(status .problems)" = "[]" ] || fail "not mended: $(status .problems)"
}

step "broken while the agent runs, and over a restart"
agent_start
for bad in "${BAD[@]}"; do
	$bad
	reload
	in_force "$bad, at runtime"
	case $bad in
	truncate_it | not_yaml | a_folder) agent_kill ;;
	*) agent_stop ;;
	esac
	agent_start
	in_force "$bad, over a restart"
	mend
done
agent_stop

step "broken before the start, with --state"
agent_start --state "$WORK/state"
for bad in truncate_it agents_file_of_another not_yaml; do
	agent_stop
	# Only the folder of --state knows.
	rm -f "$CONTROL".*cache
	$bad
	agent_start --state "$WORK/state"
	in_force "$bad, before the start"
	mend
done
agent_stop

step "deleted on purpose, before the start: it is gone"
rm "$FILE"
agent_start --state "$WORK/state"
open shop/web tcp shop/db 81
agent_stop
