# The Debian package: what lintian says, and what installing, upgrading, removing and
# purging it do.
. ./lib.sh
for p in dpkg-buildpackage dh lintian; do
	command -v $p >/dev/null || skip "$p is not installed"
done
make -s -C "$TOP" deb >"$WORK/log" 2>&1 || fail "make deb: $(tail -n 30 "$WORK/log")"
deb=$(ls "$TOP"/build/deb/bulkhead_*.deb)

step "lintian finds nothing"
lintian --allow-root --fail-on error,warning "$TOP"/build/deb/*.changes || fail "lintian"

step "its version is the program's, its programs those of the build"
version=$("$BH_BUILD/bulkheadd" --version | awk '{ print $2 }')
[ "$(dpkg-deb -f "$deb" Version)" = "$version" ] || fail "$(dpkg-deb -f "$deb" Version)"
dpkg-deb -x "$deb" "$WORK/root"
for p in usr/sbin/bulkheadd usr/bin/bulkhead; do
	[ "$(readelf -n "$WORK/root/$p" | grep 'Build ID')" = \
		"$(readelf -n "$TOP/build/release/${p##*/}" | grep 'Build ID')" ] || fail "$p is another"
done

step "all that make install brings is in it"
make -s -C "$TOP" install DESTDIR="$WORK/install" PREFIX=/usr UNITDIR=/lib/systemd/system >/dev/null
files_of() { (cd "$1" && find . -mindepth 1 \( -type f -o -empty \) ! -path './usr/share/doc/*' \
	! -path './usr/share/lintian/*' | sed 's|\(/man/.*\)\.gz$|\1|' | sort); }
diff <(files_of "$WORK/install") <(files_of "$WORK/root") || fail "they differ"
grep -rn '@[A-Z]*@' "$WORK/install/etc" "$WORK/install/lib" "$WORK/install/usr/share" && fail "not filled in"

step "installed on a machine"
[ "$(id -u)" = 0 ] || skip "package built and checked, not installed: that needs root"
mkdir "$WORK/newer"
dpkg-deb -R "$deb" "$WORK/newer/tree"
sed -i 's/^Version: .*/&+1/' "$WORK/newer/tree/DEBIAN/control"
echo "# As of the next version." >>"$WORK/newer/tree/etc/bulkhead/bulkheadd.yaml"
dpkg-deb --root-owner-group -Zgzip -b "$WORK/newer/tree" "$WORK/newer/bulkhead.deb" >/dev/null
# As version 0.1.0: its script before removal says yes to whatever dpkg asks.
mkdir "$WORK/older"
dpkg-deb -R "$deb" "$WORK/older/tree"
sed -i 's/^Version: .*/Version: 0.1.0/' "$WORK/older/tree/DEBIAN/control"
printf '#!/bin/sh\nexit 0\n' >"$WORK/older/tree/DEBIAN/prerm"
dpkg-deb --root-owner-group -Zgzip -b "$WORK/older/tree" "$WORK/older/bulkhead.deb" >/dev/null
cp "$deb" "$WORK/bulkhead.deb"
timeout -k 5 120 unshare --net --mount --pid --fork --kill-child --mount-proc \
	bash ./deb-on-machine.sh "$WORK"
