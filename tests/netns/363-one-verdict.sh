# One folder, one verdict: --check-config, the agent and the simulator find the same folders
# wrong, name the same file, and judge the same flows.
. ./lib.sh
FAMILIES=4 BLOCKED_MS=200
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:81
mv "$POLICIES" "$WORK/base"
BAD=db.yaml
NAMES=(good unknown-field misplaced-field wrong-case selector-of-old no-yaml cut-yaml two-keys
	wrong-type two-files twice kind-misspelt pod-misspelt warned skipped-kind no-object)
head_of() { printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: shop, name: db}\nspec:\n'; }
allow() { head_of; printf '  podSelector: {matchLabels: {app: db}}\n  ingress:\n  - from: [{podSelector: {matchLabels: {app: web}}}]\n    ports: [{port: 80}]\n'; }
make_good() { allow >$BAD; }
make_unknown-field() { allow | sed 's/- from/- form/' >$BAD; }
make_misplaced-field() { allow | sed 's/- from/- to/' >$BAD; }
make_wrong-case() { allow | sed 's/podSelector: {matchLabels: {app: db/podselector: {matchLabels: {app: db/' >$BAD; }
make_selector-of-old() { allow | sed 's/podSelector: {matchLabels: {app: db}}/podSelector: {app: db}/' >$BAD; }
make_no-yaml() { allow >ok.yaml; sed -i 's/name: db/name: other/' ok.yaml; echo "a: [" >$BAD; }
make_cut-yaml() { allow | head -n 6 | sed 's/ingress:/ingress: [/' >$BAD; }
make_two-keys() { allow >$BAD; echo '  podSelector: {}' >>$BAD; }
make_wrong-type() { allow | sed 's/port: 80/port: [80]/' >$BAD; }
make_two-files() { allow >a.yaml; allow | sed 's/port: 80/port: 81/' >$BAD; }
make_twice() { allow >$BAD; echo --- >>$BAD; allow | sed 's/port: 80/port: 81/' >>$BAD; }
make_kind-misspelt() { allow | sed 's/kind: NetworkPolicy/kind: NetworkPolicies/' >$BAD; }
make_pod-misspelt() { sed 's/podIP:/podip:/; s/name: web/name: third/' pod-shop.web.yaml >$BAD; }
make_warned() { allow | sed 's/app: web}}}/app: web}}}, {ipBlock: {cidr: 192.0.2.1\/24}}/' >$BAD; }
make_skipped-kind() { allow >a.yaml; printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n' >$BAD; }
make_no-object() { allow >a.yaml; echo "# nothing" >$BAD; }

# simulated: what the simulator says of a flow, with what it cannot read left out
simulated() {
	"$BULKHEAD" sim eval --keep-going shop/web shop/db "$1" "$POLICIES" >"$WORK/log/sim" 2>&1
	case $? in
	0) echo open ;;
	1) echo timeout ;;
	*) cat "$WORK/log/sim" ;;
	esac
}

for name in "${NAMES[@]}"; do
	step "$name"
	rm -rf "$POLICIES"
	cp -a "$WORK/base" "$POLICIES"
	cd "$POLICIES"
	"make_$name"
	cd - >/dev/null
	check=0 sim=0
	"$BULKHEADD" --policies "$POLICIES" --check-config >"$WORK/log/check" 2>&1 || check=$?
	"$BULKHEAD" sim list "$POLICIES" >"$WORK/log/sim" 2>&1 || sim=$?
	agent_exec
	eventually status .ready
	# A part of the world is in force after a second.
	eventually eval 'status .policies_status && nft list table inet bulkhead'
	case $name in
	good | warned | skipped-kind | no-object)
		[ "$check $sim" = "0 0" ] || fail "check $check, simulator $sim: $(cat "$WORK/log/check" "$WORK/log/sim")"
		eventually eval '[ "$(status .ready)" = true ]'
		;;
	*)
		[ "$check" = 1 ] || fail "--check-config exits with $check: $(cat "$WORK/log/check")"
		[ "$sim" = 3 ] || fail "the simulator exits with $sim: $(cat "$WORK/log/sim")"
		status .problems >"$WORK/log/problems"
		for of in check sim problems; do
			grep -q "$BAD" "$WORK/log/$of" || fail "$of: $(cat "$WORK/log/$of")"
		done
		;;
	esac
	for port in 80 81; do
		want=$(simulated $port)
		eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db '$port')" = '"'$want'"' ]'
	done
	agent_stop
	rm -f "$CONTROL".*cache
	nft delete table inet bulkhead
done
