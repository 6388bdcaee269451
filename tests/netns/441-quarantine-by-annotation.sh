# An annotation quarantines a pod where the configuration trusts the namespace, and is said
# to be ignored elsewhere.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod ops/tool 12 app=tool
pod ops/other 13 app=tool
serve shop/web tcp:80
serve ops/tool tcp:80
serve ops/other tcp:80
annotate() { # POD VALUE
	local f
	f=$POLICIES/pod-$(netns_of "$1").yaml
	sed "/^  annotations:/a\\    bulkhead.dev/quarantine: \"$2\"" "$f" >"$WORK/.a"
	mv "$WORK/.a" "$f"
}
annotate shop/web yes
# Nothing else is cut then.
agent_start --trusted-namespace ops --revoke no
open ops/tool tcp shop/web 80
[ "$(status .ignored_annotations.0.annotation)" = bulkhead.dev/quarantine ] ||
	fail "$(status .ignored_annotations)"
"$BULKHEAD" --control "$CONTROL" status >"$WORK/text"
grep -q "Pod shop/web: bulkhead.dev/quarantine: ignored: it counts in trusted" "$WORK/text" ||
	fail "$(cat "$WORK/text")"

step "where it counts: that pod, and not its twin"
stream tool shop/web tcp "${ADDR4[ops/tool]}" 80
stream other shop/web tcp "${ADDR4[ops/other]}" 80
annotate ops/tool "an incident"
settle
stream_is_cut tool
stream_lives other
blocked ops/tool tcp shop/web 80
open ops/other tcp shop/web 80
eventually logged "action == 'quarantine-set' and r['quarantine.by'] == 'annotation' and
	r['k8s.pod.name'] == 'tool'"
[ "$(status .quarantines.0.by)/$(status .quarantines.0.pods)" = annotation/1 ] ||
	fail "$(status .quarantines)"
"$BULKHEAD" sim explain shop/web ops/tool 80 "$POLICIES" --trusted-namespace ops \
	>"$WORK/text" 2>/dev/null || fail "the simulator does not answer"
grep -q "denied by the quarantine by annotation in namespace ops" "$WORK/text" ||
	fail "$(cat "$WORK/text")"
pod_manifest ops/tool app=tool
settle
open ops/tool tcp shop/web 80
eventually logged "action == 'quarantine-released' and r['quarantine.by'] == 'annotation'"

agent_stop

step "an agent in audit says that it cuts nothing"
agent_start --trusted-namespace ops --mode audit
"$BULKHEAD" --control "$CONTROL" quarantine shop/web 2>"$WORK/text" || fail "not set"
grep -q "in audit as a whole" "$WORK/text" || fail "not said: $(cat "$WORK/text")"
open ops/tool tcp shop/web 80
eventually logged "action == 'flow-audit-denied' and dst == 'shop/web' and
	r['policy.reason'] == 'quarantine'"

step "only root sets and releases"
chgrp 4711 "$CONTROL"
chmod 755 "$WORK"
member() { setpriv --reuid 4711 --regid 4711 --clear-groups "$BULKHEAD" --control "$CONTROL" "$@"; }
member status >/dev/null 2>&1 || fail "the group is not let in"
for verb in "quarantine shop/web" "release shop/web" "release --all"; do
	member $verb 2>"$WORK/text" && fail "a member of the group may: $verb"
	grep -q "only root may set or release" "$WORK/text" || fail "$(cat "$WORK/text")"
done
[ "$(status .quarantines.0.name)" = web ] || fail "$(status .quarantines)"
