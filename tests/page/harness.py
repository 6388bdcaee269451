#!/usr/bin/env python3
"""harness.py PAGE WIDTH CHECKS   prints a page that shows PAGE in a frame of that
width and runs CHECKS (a script) on it; the results are lines of its <pre>."""
import html, sys

page, width, checks = sys.argv[1:]
print(f"""<!DOCTYPE html><meta charset="utf-8"><title>harness</title>
<iframe id="frame" style="width: {width}px; height: 900px; border: 0" srcdoc="{html.escape(open(page).read())}"></iframe>
<pre id="result"></pre>
<script>
const result = document.getElementById("result"), width = {width};
const say = text => result.textContent += text + "\\n";
const check = (name, holds, seen) => say(holds ? "ok      " + name : "FAILED  " + name + " (" + seen + ")");
window.addEventListener("load", async () => {{
	const w = document.getElementById("frame").contentWindow, d = w.document;
	const wait = ms => new Promise(done => setTimeout(done, ms));
	const press = (target, key) => target.dispatchEvent(new w.KeyboardEvent("keydown", {{ key, bubbles: true }}));
	try {{
{open(checks).read()}
	}} catch (e) {{
		say("FAILED  the page threw: " + e);
	}}
	say("done");
}});
</script>""")
