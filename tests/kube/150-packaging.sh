# The package's manifests are what a server takes.
. ./lib.sh
server_node_up
agent_account

step "every object, as it would be installed"
n=$(kubectl apply -k "$PACKAGED" --server-side --dry-run=server | tee "$WORK/applied" | wc -l)
[ "$n" -ge 6 ] || fail "only these: $(cat "$WORK/applied")"

step "no field that the server does not know"
kubectl apply -k "$PACKAGED" --server-side --dry-run=server --validate=strict >/dev/null ||
	fail "it is not valid"

step "its account may read what it needs, and nothing else"
may() { kubectl auth can-i --as=system:serviceaccount:bulkhead:bulkhead "$@" -A >/dev/null 2>&1; }
for resource in namespaces nodes pods networkpolicies.networking.k8s.io; do
	for verb in get list watch; do
		may $verb $resource || fail "it may not $verb $resource"
	done
	for verb in create update patch delete; do
		may $verb $resource && fail "it may $verb $resource"
	done
done
for resource in secrets configmaps serviceaccounts services events; do
	may list $resource && fail "it may list $resource"
done
exit 0
