#!/bin/bash
# build.sh [PROGRAM...]   Kubernetes' own programs and its etcd, built once per machine
#
# Builds what of it is neither there yet nor in KUBEBUILDER_ASSETS, all of it if
# nothing is named, and prints the folder they are in.  It is outside of the
# repository, named after the version, and may be deleted at any time.  Exit status
# 77 with the reason where they cannot be built: no Go, an old one, or no modules to
# be had.
set -u
cd "$(dirname "$0")"
# As go.mod has it, and with it the etcd that it is made for.  Discovery and `kubectl
# version` report what is stamped in.
version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' go.mod)
go_needed=$(awk '$1 == "go" { print $2 }' go.mod)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/bulkhead/kube-$version
programs=(etcd kube-apiserver kubectl kube-controller-manager kubelet kube-scheduler
	kube-proxy agnhost)

package_of() {
	case $1 in
	etcd) echo go.etcd.io/etcd/server/v3 ;;
	agnhost) echo k8s.io/kubernetes/test/images/agnhost ;;
	*) echo "k8s.io/kubernetes/cmd/$1" ;;
	esac
}

skip() {
	echo "$*"
	exit 77
}

is_there() { [ -x "$cache/$1" ] || [ -x "${KUBEBUILDER_ASSETS:-/nowhere}/$1" ]; }

# missing PROGRAM...: those that are not there
missing() {
	local p
	for p; do is_there "$p" || echo "$p"; done
}

stamp() {
	local v=${version#v} package=k8s.io/component-base/version
	echo "-s -w -X $package.gitVersion=$version -X $package.gitMajor=${v%%.*}" \
		"-X $package.gitMinor=$(cut -d . -f 2 <<<"$v")"
}

# A program is there whole or not at all.
build() {
	CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "$(stamp)" \
		-o "$cache/$1.new" "$(package_of "$1")" && mv "$cache/$1.new" "$cache/$1"
}

[ $# = 0 ] && set -- "${programs[@]}"
if [ -n "$(missing "$@")" ]; then
	command -v go >/dev/null || skip "Go $go_needed or newer is needed to build $*"
	have=$(go env GOVERSION 2>/dev/null)
	[ "$(printf '%s\n' "$go_needed" "${have#go}" | sort -V | head -n 1)" = "$go_needed" ] ||
		skip "Go $go_needed or newer is needed to build $*, this is ${have#go}"
	mkdir -p "$cache" || exit
	# Another run may be at it.
	exec 9>"$cache/lock"
	flock 9 || exit
	why=$(go mod download k8s.io/kubernetes 2>&1) ||
		skip "the Go modules of Kubernetes cannot be had: $(tail -n 1 <<<"$why")"
	for p in $(missing "$@"); do
		echo "building $p, of Kubernetes $version" >&2
		build "$p" || exit 1
	done
fi
echo "$cache"
