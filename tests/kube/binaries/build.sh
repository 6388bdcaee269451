#!/bin/bash
# build.sh [PROGRAM...]   Kubernetes' own programs, built once per machine
#
# Builds what of it is neither there yet nor in KUBEBUILDER_ASSETS, all of it if
# nothing is named, and prints the folder they are in.  It is outside of the
# repository, named after the version, and may be deleted at any time.  Exit status
# 77 with the reason where they cannot be built: no Go, an old one, or no modules to
# be had.
set -u
cd "$(dirname "$0")"
# As go.mod has it.  Discovery and `kubectl version` report what is stamped in.
version=$(awk '$1 == "require" && $2 == "k8s.io/kubernetes" { print $3 }' go.mod)
go_needed=$(awk '$1 == "go" { print $2 }' go.mod)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/bulkhead/kube-$version
sources=(cmd/kube-apiserver cmd/kubectl cmd/kube-controller-manager cmd/kubelet
	cmd/kube-scheduler cmd/kube-proxy test/images/agnhost)

skip() {
	echo "$*"
	exit 77
}

is_there() { [ -x "$cache/$1" ] || [ -x "${KUBEBUILDER_ASSETS:-/nowhere}/$1" ]; }

# missing PROGRAM...: the source folders of those that are not there
missing() {
	local s
	for s in "${sources[@]}"; do
		case " $* " in *" ${s##*/} "*) is_there "${s##*/}" || echo "$s" ;; esac
	done
}

stamp() {
	local v=${version#v} package=k8s.io/component-base/version
	echo "-s -w -X $package.gitVersion=$version -X $package.gitMajor=${v%%.*}" \
		"-X $package.gitMinor=$(cut -d . -f 2 <<<"$v")"
}

# A program is there whole or not at all.
build() {
	CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "$(stamp)" \
		-o "$cache/$1.new" "k8s.io/kubernetes/$2" && mv "$cache/$1.new" "$cache/$1"
}

[ $# = 0 ] && set -- "${sources[@]##*/}"
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
	for source in $(missing "$@"); do
		echo "building ${source##*/} $version" >&2
		build "${source##*/}" "$source" || exit 1
	done
fi
echo "$cache"
