# --check-config names every problem with its file, and touches nothing.
. ./lib.sh
check() { "$BULKHEADD" --check-config "$@"; }

netpol shop/good <<YAML
podSelector: {}
YAML
step "a good folder"
check --policies "$POLICIES" || fail "a good folder is refused"

step "a wrong one: each problem with file, object and field"
netpol shop/bad <<YAML
podSelector: {}
ingress:
- ports: [{port: 80, endPort: 79}]
YAML
echo "kind: [" | policy broken
out=$(check --policies "$POLICIES") && fail "a wrong folder is accepted"
grep -q "policy-shop.bad.yaml.*endPort" <<<"$out" || fail "$out"
grep -q "policy-broken.yaml" <<<"$out" || fail "$out"
nft list tables | grep -q bulkhead && fail "it touched the kernel"

step "the configuration itself: exit status 2, file and line"
printf 'policies: %s\nmode: maybe\n' "$POLICIES" >"$WORK/agent.yaml"
rc=0
out=$(check --config "$WORK/agent.yaml" 2>&1) || rc=$?
[ $rc = 2 ] || fail "exit status $rc"
grep -q "agent.yaml:2: mode: 'maybe'" <<<"$out" || fail "$out"
