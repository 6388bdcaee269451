#!/bin/bash
# run.sh   looks at the simulator's HTML in a real browser, headless Chromium: at
# desktop and phone width, in light and dark, by keyboard, and printed.
set -u
cd "$(dirname "$0")"
bulkhead=$(realpath "${BH_BUILD:-../../build/release}")/bulkhead
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

end() {
	echo "page: $passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ]
	exit
}
browser=$(command -v chromium chromium-browser | head -n 1)
if [ -z "$browser" ]; then
	echo "skipped: there is no Chromium (package chromium)"
	skipped=1
	end
fi
# Works without a sandbox of its own, as root needs it, and shows files of ours only.
look() {
	timeout 120 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars \
		--user-data-dir="$work/profile" --disable-background-networking --no-first-run "$@" 2>>"$work/browser.log"
}

# Names of objects cannot look like markup, but those of files can.
cp -R before "$work/<b>before<b>"
cp -R after "$work/<b>after<b>"
"$bulkhead" sim list -o html "$work/<b>before<b>" >"$work/list.html" || failed=$((failed + 1))
"$bulkhead" sim diff -o html "$work/<b>before<b>" "$work/<b>after<b>" >"$work/diff.html" || [ $? = 1 ] || failed=$((failed + 1))

# page_is NAME PAGE WIDTH [OPTION...]
page_is() {
	local name=$1 page=$2 width=$3 line
	shift 3
	./harness.py "$work/$page.html" "$width" checks.js >"$work/harness.html"
	look "$@" --window-size="$((width + 40)),1000" --virtual-time-budget=5000 --dump-dom "file://$work/harness.html" |
		sed -n '/<pre id="result">/,/<\/pre>/p' | sed 's/<[^>]*>//g' >"$work/result"
	echo "# $name"
	cat "$work/result"
	passed=$((passed + $(grep -c '^ok ' "$work/result")))
	failed=$((failed + $(grep -c '^FAILED ' "$work/result")))
	grep -q '^done$' "$work/result" || { echo "FAILED  the checks did not end: $(tail -n 1 "$work/browser.log")"; failed=$((failed + 1)); }
}
page_is "desktop, light" list 1440
page_is "desktop, dark" list 1440 --blink-settings=preferredColorScheme=0
page_is "phone, changes" diff 390
page_is "desktop, changes, dark" diff 1440 --blink-settings=preferredColorScheme=0

# picture_is NAME PAGE WIDTH HEIGHT: a screenshot of that size that shows something
picture_is() {
	look --window-size="$3,$4" --screenshot="$work/picture.png" "file://$work/$2.html" >/dev/null
	if python3 - "$work/picture.png" "$3" "$4" <<'PY'
import struct, sys, zlib
png = open(sys.argv[1], "rb").read()
width, height = struct.unpack(">II", png[16:24])
at, data = 8, b""
while at < len(png):
    n, kind = struct.unpack(">I4s", png[at:at + 8])
    data += png[at + 8:at + 8 + n] if kind == b"IDAT" else b""
    at += 12 + n
sys.exit((width, height) != (int(sys.argv[2]), int(sys.argv[3])) or len(set(zlib.decompress(data))) < 32)
PY
	then echo "ok      $1" && passed=$((passed + 1))
	else echo "FAILED  $1" && failed=$((failed + 1)); fi
	[ -z "${PICTURES:-}" ] || cp "$work/picture.png" "$PICTURES/$2-$3.png"
}
picture_is "a screenshot at desktop width" list 1440 900
picture_is "a screenshot at phone width" diff 390 844
look --print-to-pdf="$work/page.pdf" "file://$work/diff.html" >/dev/null
if [ "$(head -c 4 "$work/page.pdf" 2>/dev/null)" = %PDF ]; then
	echo "ok      it can be printed" && passed=$((passed + 1))
else
	echo "FAILED  it can be printed" && failed=$((failed + 1))
fi
end
