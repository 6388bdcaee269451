# The Containerfile, built by a real builder on a base image made of Debian's packages:
# the same files as image.sh gives, and programs that run.
#
# The base image is kept for some weeks beside what else is built once per machine.
. ./lib.sh
base=docker.io/library/debian:12-slim
cached=${XDG_CACHE_HOME:-$HOME/.cache}/bulkhead/debian-12.tar
[ "$(id -u)" = 0 ] || skip "mounts need root"
for p in buildah debootstrap; do command -v $p >/dev/null || skip "$p is not installed"; done
unshare --mount true 2>/dev/null || skip "this machine makes no namespaces"
# What the builder keeps outside of its folders is seen by nobody else.
if [ "${1:-}" != inside ]; then
	mkdir -p /var/lib/containers /etc/cni
	unshare --mount bash "$0" inside || exit
	exit
fi
mount -t tmpfs tmpfs /var/lib/containers
mount -t tmpfs tmpfs /etc/cni

# Where this machine gets Debian 12 from; nothing if it does not.
mirror() {
	apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 2>/dev/null |
		awk '$2 == "bookworm" { print $1; exit }'
}
make_base() {
	local at=$WORK/base
	debootstrap --variant=minbase bookworm "$at" "$1" >"$WORK/log" 2>&1 || return
	rm -rf "$at"/var/cache/apt/*.bin "$at"/var/cache/apt/archives/*.deb "$at"/var/lib/apt/lists/*
	rm -f "$at"/etc/apt/sources.list
	cp -r /etc/apt/sources.list* "$at/etc/apt/"
	mkdir -p "${cached%/*}" && tar -C "$at" -cf "$cached.new" . && mv "$cached.new" "$cached" &&
		rm -rf "$at"
}
builder() {
	buildah --root "$WORK/images" --runroot "$WORK/run" --storage-driver vfs \
		--registries-conf "$WORK/registries" --registries-conf-dir "$WORK/none" "$@"
}

step "a base image"
if [ -z "$(find "$cached" -mtime -30 2>/dev/null)" ]; then
	from=$(mirror)
	[ -n "$from" ] || skip "no mirror of Debian 12 is known to apt here"
	make_base "$from" || skip "no base image: $(tail -n 1 "$WORK/log")"
fi
: >"$WORK/registries"
mkdir "$WORK/none"
id=$(builder from scratch)
builder add -q "$id" "$cached" / >/dev/null
builder commit -q --rm --signature-policy "$PWD/policy.json" "$id" $base >/dev/null

step "built"
builder bud --signature-policy "$PWD/policy.json" --isolation chroot --network host --pull-never \
	--no-cache -f "$TOP/packaging/Containerfile" -t bulkhead:test "$TOP" >"$WORK/log" 2>&1 ||
	fail "$(tail -n 30 "$WORK/log")"
at=$(builder mount "$(builder from --signature-policy "$PWD/policy.json" --pull-never bulkhead:test)")

step "the same files as image.sh gives"
"$TOP/packaging/image.sh" "$WORK/image.tar" bulkhead:test || fail "image.sh"
tar -C "$WORK" -xf "$WORK/image.tar" ./layer.tar
diff <(tar -tf "$WORK/layer.tar" | sed 's|^\./||; s|/$||; /^$/d' | sort) \
	<(cd "$at" && find . -mindepth 1 | sed 's|^\./||' | sort) || fail "they differ"

step "its programs run, with its libraries alone"
chroot "$at" /usr/sbin/bulkheadd --version >/dev/null || fail "bulkheadd does not run"
mkdir "$at/boutique"
cp "$TOP"/policy/examples/boutique/*.yaml "$at/boutique/"
chroot "$at" /usr/bin/bulkhead sim list /boutique >"$WORK/got" || fail "bulkhead does not run"
"$TOP/build/release/bulkhead" sim list "$TOP/policy/examples/boutique" >"$WORK/want"
[ -s "$WORK/want" ] && cmp "$WORK/got" "$WORK/want" || fail "it answers otherwise"
