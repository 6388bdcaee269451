# The container image: what is in it, and that it enforces when a real containerd runs
# it as the DaemonSet says.
. ./lib.sh
max_bytes=25000000
image=$WORK/image.tar

step "made twice, it is the same"
"$TOP/packaging/image.sh" "$image" bulkhead.test/bulkhead:1 || fail "image.sh"
"$TOP/packaging/image.sh" "$WORK/again.tar" bulkhead.test/bulkhead:1 || fail "image.sh"
cmp "$image" "$WORK/again.tar" || fail "it differs"
rm "$WORK/again.tar"

step "under 25 MB, nothing but the programs and their libraries"
mkdir "$WORK/image"
tar -C "$WORK/image" -xf "$image"
size=$(stat -c %s "$WORK/image/layer.tar")
echo "$size bytes"
[ "$size" -lt $max_bytes ] || fail "$size bytes"
tar -tf "$WORK/image/layer.tar" | grep -v '/$' | sort >"$WORK/files"
cat >"$WORK/known" <<'REGEXPS'
^\./etc/(passwd|group)$
^\./usr/sbin/bulkheadd$
^\./usr/bin/bulkhead$
^\./(usr/)?lib(64)?/([a-z0-9_]+-linux-gnu[a-z0-9]*/)?(lib[A-Za-z0-9._+-]+|ld-linux[a-z0-9_-]*)\.so(\.[0-9.]+)?$
REGEXPS
grep -vEf "$WORK/known" "$WORK/files" && fail "these are in it"

step "Containerfile makes the same: one list of files, and how it is started"
grep -q '^ *packaging/rootfs.sh /installed /rootfs$' "$TOP/packaging/Containerfile" ||
	fail "its files are others"
python3 - "$TOP/packaging/Containerfile" "$WORK/image/config.json" <<'PY' || fail "they differ"
import json, re, sys
last = open(sys.argv[1]).read().split("\nFROM ")[-1]
of = lambda word: re.findall(r"^%s (.*)$" % word, last, re.M)
want = {"Env": of("ENV"), "Entrypoint": json.loads(of("ENTRYPOINT")[0]), "Cmd": json.loads(of("CMD")[0])}
have = json.load(open(sys.argv[2]))["config"]
print(want, have)
sys.exit(want != have)
PY

step "run by containerd"
. ../runtime/node.sh
why=$(node_missing) && skip "image built and looked at, not run: $why"
export IMAGE=$image
cd ../runtime
(node_enter "$NODE_NAME" timeout -k 5 120 bash ../packaging/agent-in-container.sh) || exit
