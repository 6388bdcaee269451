#!/bin/sh
# image.sh ARCHIVE [NAME:TAG]   the image of Containerfile without a registry
#
# Builds here instead of in a container and writes a docker-archive, for
# `ctr -n k8s.io images import` and `podman load`.
set -eu
archive=$(realpath -m "$1")
name=${2:-bulkhead:0.2.0}
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

make --no-print-directory -s install DESTDIR="$tmp/installed" PREFIX=/usr SYSCONFDIR=/etc >/dev/null
packaging/rootfs.sh "$tmp/installed" "$tmp/rootfs"

# The same tree gives the same bytes.
mkdir "$tmp/image"
tar -C "$tmp/rootfs" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$tmp/image/layer.tar" .
digest=$(sha256sum "$tmp/image/layer.tar" | cut -d' ' -f1)
arch=$(dpkg --print-architecture)
cat >"$tmp/image/config.json" <<X
{"architecture": "$arch", "os": "linux",
 "config": {"Env": ["PATH=/usr/sbin:/usr/bin"], "Entrypoint": ["/usr/sbin/bulkheadd"], "Cmd": ["--help"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]},
 "history": [{"created_by": "packaging/image.sh"}]}
X
echo "[{\"Config\": \"config.json\", \"RepoTags\": [\"$name\"], \"Layers\": [\"layer.tar\"]}]" >"$tmp/image/manifest.json"
tar -C "$tmp/image" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$archive" .
