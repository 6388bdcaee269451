#!/bin/bash
# agent.sh: the agent on an API server, for lib.sh and clusterlib.sh.
#
#	agent_start [OPTION...]	as in tests/netns/lib.sh, under the package's account,
#				through the relay where that was started
#	enforced shop/web...	the policies as they are now are in the kernel
#	problem TEXT		status has one that says so; no_problem: none does
#	token_new		another token in the same file
#	agent_may RULE VERBS	other rights than the package's; agent_may_again: those

# By the clock: what is tried may take long itself.
eventually() {
	wait_until 40 "it comes true: $*" "$@" || fail "never came true: $*"
}

AGENT_CONFIG=$WORK/agent.conf
AGENT_TOKEN=$WORK/token
METRICS=$WORK/metrics.sock
AGENT_CA=$WORK/agent-ca.crt
AGENT_OPTIONS=()
PACKAGED=../../packaging/kubernetes

# The account, and what it may do, are those that the package has.
agent_account() {
	kubectl apply -f "$PACKAGED/namespace.yaml" -f "$PACKAGED/serviceaccount.yaml" \
		-f "$PACKAGED/rbac.yaml" >/dev/null || fail "no account for the agent"
	token_new
	cp "$SERVER_DIR/ca.crt" "$AGENT_CA"
	kubeconfig "$AGENT_CONFIG" "tokenFile: $AGENT_TOKEN" "${RELAY_PID:+$RELAY_URL}" "$AGENT_CA"
}

# agent_may RULE VERBS: instead of what the package has as that rule; agent_may_again
agent_may() {
	kubectl patch clusterrole bulkhead --type=json \
		-p "[{\"op\": \"replace\", \"path\": \"/rules/$1/verbs\", \"value\": $2}]" >/dev/null ||
		fail "the role is not changed"
}
agent_may_again() { write "the role" <"$PACKAGED/rbac.yaml"; }

# As a kubelet does it: the file is replaced, whole.
token_new() {
	kubectl create token -n bulkhead bulkhead --duration=1h >"$AGENT_TOKEN.new" || fail "no token"
	mv "$AGENT_TOKEN.new" "$AGENT_TOKEN"
}

agent_exec() {
	[ -e "$AGENT_CONFIG" ] || agent_account
	"$BULKHEADD" --kubeconfig "$AGENT_CONFIG" --node "$NODE_NAME" --state "$WORK/state" \
		"${AGENT_OPTIONS[@]}" \
		--control "$CONTROL" --metrics "unix:$METRICS" --flow-log "$FLOW_LOG" --log-level debug \
		"${SECCOMP[@]}" "$@" \
		>>"$WORK/log/agent" 2>&1 &
	AGENT_PID=$!
}

# enforced NS/NAME...: the policies as the server has them now are in the kernel
enforced() {
	local p wanted=()
	for p; do
		wanted+=("$p@$(kubectl get networkpolicy -n "${p%/*}" "${p#*/}" \
			-o 'jsonpath={.metadata.generation}')")
	done
	./enforced.py "$METRICS" 30 "${wanted[@]}" >/dev/null || fail "the agent does not get there"
}

# problem TEXT: the agent has one that says so; no_problem: none does
problem() { eventually eval "status .problems | grep -qF -- '$1'"; }
no_problem() { eventually eval "status .problems | grep -qvF -- '$1'"; }
