/* Run by harness.py within the page: d is its document, w its window. */
const rows = id => [...d.querySelectorAll(`#${id} tbody tr`)].filter(r => r.offsetParent !== null);
const text = id => d.getElementById(id).textContent;

check("nothing is wider than the screen", d.documentElement.scrollWidth <= width, d.documentElement.scrollWidth);
check("nothing is loaded from elsewhere", w.performance.getEntriesByType("resource").length === 0,
	w.performance.getEntriesByType("resource").map(e => e.name));
check("every section has a heading and a link to it",
	[...d.querySelectorAll("nav a")].every(a => d.querySelector(a.getAttribute("href") + " h2")) &&
	d.querySelectorAll("nav a").length >= 5, d.querySelectorAll("nav a").length);
check("unprotected workloads stand before the connections",
	d.getElementById("open").compareDocumentPosition(d.getElementById("connections")) & 4, "after");
check("the unprotected workload is named", text("open").includes("shop/open"), text("open"));
check("the protected one is not", !text("open").includes("shop/db"), text("open"));
check("the finding is there with its place", /selects no pod[^]*policies\.yaml:\d+/.test(text("findings")), text("findings"));
check("connections are listed", rows("connections").length > 3, rows("connections").length);
check("a name that looks like markup is text", text("findings").includes("<b>") &&
	d.querySelectorAll("main b, main script").length === 0, text("findings"));
check("the graph has a line for each connection between different workloads",
	d.querySelectorAll("#graph path[role=button]").length > 3, d.querySelectorAll("#graph path[role=button]").length);
check("the matrix has a button for each allowed pair",
	d.querySelectorAll("table.matrix td button").length >= d.querySelectorAll("#graph path[role=button]").length,
	d.querySelectorAll("table.matrix td button").length);

/* By keyboard alone: search, choose a line, read why, go back. */
press(d, "/");
check("/ goes to the search box", d.activeElement.id === "search", d.activeElement.id);
d.activeElement.value = "shop/db 5432";
d.activeElement.dispatchEvent(new w.Event("input"));
await wait(300);
check("search leaves what has all words", rows("connections").length > 0 &&
	rows("connections").every(r => r.textContent.includes("shop/db") && r.textContent.includes("5432")),
	text("connections"));
const line = d.querySelector("#graph path[role=button]");
line.focus();
press(line, "Enter");
const why = d.getElementById("why");
check("Enter on a line says why", !why.hidden && why.textContent.includes("5432"), why.textContent);
check("and names policy, file and line", /NetworkPolicy shop\/db, ingress rule 0 \(.*policies\.yaml:\d+\)/.test(why.textContent),
	why.textContent);
press(d, "Escape");
check("Escape closes it and returns to the line", why.hidden && d.activeElement === line, d.activeElement.tagName);

d.getElementById("search").value = "";
d.getElementById("search").dispatchEvent(new w.Event("input"));
await wait(300);
const namespaces = d.getElementById("namespace");
namespaces.value = "monitoring";
namespaces.dispatchEvent(new w.Event("change"));
check("a namespace leaves its own connections", rows("connections").length > 0 &&
	rows("connections").every(r => r.textContent.includes("monitoring/")), text("connections"));
namespaces.value = "";
namespaces.dispatchEvent(new w.Event("change"));

/* Readable: text against its background, WCAG 2 AA, in the scheme that is on. */
const rgb = c => c.match(/[\d.]+/g).map(Number);
const light = c => rgb(c).slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
	.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
function backdrop(e) {
	for (; e; e = e.parentElement) {
		const c = w.getComputedStyle(e).backgroundColor;
		if (rgb(c)[3] !== 0) return c;
	}
	return "rgb(255, 255, 255)";
}
const faint = [...d.querySelectorAll("h1, h2, p, th, td, td *, label, a, .badge")].filter(e => e.textContent && e.offsetParent !== null)
	.map(e => [e, light(w.getComputedStyle(e).color), light(backdrop(e))])
	.filter(([, a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5).map(([e]) => e.className + " " + e.textContent);
check("every text stands out from its background", faint.length === 0, faint.slice(0, 3));
if (d.getElementById("changes").hidden === false) {
	for (const kind of ["added", "removed"])
		check(`what was ${kind} is there, by word and by colour`, d.querySelector(`#changes tr.${kind} .badge`), text("changes"));
	check("each change says why", rows("changes").every(r => r.querySelector("li")), text("changes"));
}
