#!/bin/bash
# helm.sh   prints where helm is
#
# The one of the machine, or one that is built once per machine into a cache outside
# of the repository.  Exit status 77 with the reason where it cannot be had.
set -u
version=v3.18.6 go_needed=1.24
cache=${XDG_CACHE_HOME:-$HOME/.cache}/bulkhead/helm-$version

skip() {
	echo "$*"
	exit 77
}

command -v helm && exit
if [ ! -x "$cache/helm" ]; then
	command -v go >/dev/null || skip "Go $go_needed or newer is needed to build helm"
	have=$(go env GOVERSION 2>/dev/null)
	[ "$(printf '%s\n' $go_needed "${have#go}" | sort -V | head -n 1)" = $go_needed ] ||
		skip "Go $go_needed or newer is needed to build helm, this is ${have#go}"
	mkdir -p "$cache" || exit
	# Another run may be at it.
	exec 9>"$cache/lock"
	flock 9 || exit
	# The folder is outside of any module, and a program is there whole or not at all.
	[ -x "$cache/helm" ] ||
		why=$(cd "$cache" && CGO_ENABLED=0 GOBIN=$cache/new go install helm.sh/helm/v3/cmd/helm@$version 2>&1 &&
			mv new/helm . && rmdir new) ||
		skip "helm cannot be built: $(tail -n 1 <<<"$why")"
fi
echo "$cache/helm"
