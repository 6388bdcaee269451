#!/bin/sh
# rootfs.sh INSTALLED ROOTFS   makes the image's file tree
#
# INSTALLED is what `make install DESTDIR=INSTALLED PREFIX=/usr` put there.  The tree
# gets the two programs, stripped, and the shared libraries that they need, from the
# machine that built them: the same list for Containerfile and image.sh.
set -eu
installed=$1 rootfs=$2

mkdir -p "$rootfs/usr/bin" "$rootfs/usr/sbin" "$rootfs/etc" "$rootfs/run" "$rootfs/tmp" \
	"$rootfs/var/lib/bulkhead"
strip -o "$rootfs/usr/sbin/bulkheadd" "$installed/usr/sbin/bulkheadd"
strip -o "$rootfs/usr/bin/bulkhead" "$installed/usr/bin/bulkhead"
echo 'root:x:0:0:root:/:/sbin/nologin' >"$rootfs/etc/passwd"
echo 'root:x:0:' >"$rootfs/etc/group"

# Under the paths that the loader tries without a configuration.
ldd "$installed/usr/sbin/bulkheadd" "$installed/usr/bin/bulkhead" |
	awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && $1 !~ /:$/ { print $1 }' | sort -u |
	while read -r lib; do
		mkdir -p "$rootfs$(dirname "$lib")"
		cp -L "$lib" "$rootfs$lib"
	done
