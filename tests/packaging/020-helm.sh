# The Helm chart gives what the plain manifests hold.
. ./lib.sh
found helm ./helm.sh
found kubernetes ../kube/binaries/build.sh kubectl
kubectl=$kubernetes/kubectl
[ -x "$kubectl" ] || kubectl=$KUBEBUILDER_ASSETS/kubectl
chart=$TOP/packaging/helm/bulkhead

# rendered [OPTION...]: the chart's objects
rendered() {
	"$helm" template bulkhead "$chart" --namespace bulkhead --kube-version 1.34.0 "$@"
}

step "it has nothing to complain about"
"$helm" lint --strict "$chart" || fail "helm lint"

# Both through kustomize, which sorts, without what the one or the other must add: helm
# makes the namespace, and has labels and a checksum of its own.
normal() {
	local dir=$1 label
	{
		echo "sortOptions: {order: legacy}"
		echo "resources: [$2]"
		echo "patches:"
		[ "$dir" = "$WORK/helm" ] || echo '- patch: "{apiVersion: v1, kind: Namespace, metadata: {name: bulkhead}, $patch: delete}"'
		if [ "$dir" = "$WORK/helm" ]; then
			echo "- target: {name: bulkhead}"
			echo "  patch: |-"
			for label in app.kubernetes.io~1instance app.kubernetes.io~1managed-by \
				app.kubernetes.io~1version helm.sh~1chart; do
				echo "    - {op: remove, path: /metadata/labels/$label}"
			done
			echo "- target: {kind: DaemonSet}"
			echo "  patch: |-"
			echo "    - {op: remove, path: /spec/template/metadata/annotations}"
		fi
	} >"$dir/kustomization.yaml"
	"$kubectl" kustomize "$dir"
}

step "with its defaults, the same objects"
mkdir "$WORK/helm" "$WORK/plain"
cp -R "$TOP/packaging/kubernetes" "$WORK/plain/kubernetes"
rendered >"$WORK/helm/all.yaml" || fail "helm template"
normal "$WORK/plain" kubernetes >"$WORK/plain.yaml" || fail "kustomize"
normal "$WORK/helm" all.yaml >"$WORK/helm.yaml" || fail "kustomize of the chart"
[ "$(grep -c '^kind:' "$WORK/plain.yaml")" = 5 ] || fail "$(grep '^kind:' "$WORK/plain.yaml")"
diff -u "$WORK/plain.yaml" "$WORK/helm.yaml" || fail "they differ"

step "a value is where it belongs"
while read -r value want; do
	rendered --set "$value" | grep -qxE " *(- )?$want" || fail "--set $value: no line '$want'"
done <<'ROWS'
image.repository=registry.example/net/bulkhead image: registry.example/net/bulkhead:0\.2\.0
image.tag=1.2.3 image: bulkhead:1\.2\.3
mode=audit mode: audit
defaultDeny=both default-deny: both
exemptNamespaces={a,b-c} exempt-namespace: \[a, b-c\]
exemptNamespaces=null exempt-namespace: ""
runtime.endpoint=unix:///run/crio/crio.sock runtime: unix:///run/crio/crio\.sock
runtime.endpoint=unix:///run/crio/crio.sock path: /run/crio
metrics.port=19633 port: 19633
metrics.port=19633 metrics: 127\.0\.0\.1:19633
stateDir=/srv/bulkhead path: /srv/bulkhead
extraConfig.log-rate=20 log-rate: 20
extraConfig.seccomp=kill seccomp: kill
extraConfig.port-guard=no port-guard: .?no.?
extraConfig.closed-until-known=auto closed-until-known: auto
extraConfig.flow-log-rate=64K flow-log-rate: 64K
extraConfig.annotations=none annotations: none
appArmorProfile.type=Localhost,appArmorProfile.localhostProfile=bulkheadd localhostProfile: bulkheadd
resources.limits.memory=1Gi memory: 1Gi
nodeSelector.pool=net pool: net
serviceAccount.name=other serviceAccountName: other
ROWS

step "a change of the configuration replaces the agents"
[ "$(rendered | grep checksum/)" != "$(rendered --set mode=audit | grep checksum/)" ] || fail "same checksum"

step "wrong values are refused"
for value in mode=enforced defaultDeny=all 'exemptNamespaces={Kube System}' metrics.port=0 \
	runtime.endpoint=tcp://127.0.0.1:1 extraConfig.kubeconfig=x appArmorProfile.type=None replicas=2 stateDir=var; do
	rendered --set "$value" >"$WORK/out" 2>&1 && fail "--set $value is taken"
	grep -q "meet the specifications of the schema" "$WORK/out" || fail "$value: $(cat "$WORK/out")"
done
