#!/bin/sh
# Dependencies point one way (see README, "How it is built inside"):
#   daemon, cli -> adapters, never each other -> object, yaml, curl -> policy -> nl, base
# Fails with one line for each #include that does not.
set -eu
cd "$(dirname "$0")/../.."

awk '
function may(from, to,    i, n, list) {
	if (from == to || to == "base")
		return 1
	n = split(allowed[from], list, " ")
	for (i = 1; i <= n; i++)
		if (list[i] == to)
			return 1
	return 0
}
BEGIN {
	home("base", "err alloc buf addr hash log file backoff clock nearest")
	home("policy", "model source selector trust world eval plan compile render guard")
	home("nl", "nl")
	home("yaml", "docs")
	home("curl", "multi")
	home("object", "object workload fact")
	home("nft", "nft")
	home("manifest", "manifest")
	home("kube", "kube")
	home("cri", "cri")
	home("node", "node ports")
	home("flow", "packet nflog history flowlog record")
	home("serve", "serve")
	home("sim", "sim conns")
	adapters = "nft manifest kube cri node flow serve sim"
	allowed["object"] = "policy"
	n = split(adapters, a, " ")
	for (i = 1; i <= n; i++)
		allowed[a[i]] = "policy object yaml curl nl"
	allowed["daemon"] = allowed["cli"] = "policy object yaml nl " adapters
}
function home(folder, headers,    i, n, list) {
	n = split(headers, list, " ")
	for (i = 1; i <= n; i++)
		folder_of[list[i]] = folder
}
/^#include "bh\// {
	split(FILENAME, path, "/")
	folder = path[1] == "src" ? path[2] : path[1]
	header = $2
	gsub(/^"bh\/|\.h"$/, "", header)
	if (!(header in folder_of)) {
		printf "%s:%d: bh/%s.h has no folder in tests/check/layers.sh\n", FILENAME, FNR, header
		bad = 1
	} else if (!may(folder, folder_of[header])) {
		printf "%s:%d: %s/ must not use bh/%s.h of %s/\n", FILENAME, FNR, folder, header, folder_of[header]
		bad = 1
	} else if (header == "log" && folder !~ /^(base|daemon|cli)$/) {
		printf "%s:%d: only daemon/ and cli/ log\n", FILENAME, FNR
		bad = 1
	}
}
/^#include "\.\.|^#include "[a-z]+\// {
	if ($2 !~ /^"bh\// && $2 !~ /\.pb-c\.h"$/) {
		printf "%s:%d: private headers of other folders stay private: %s\n", FILENAME, FNR, $2
		bad = 1
	}
}
FILENAME ~ /^policy\// && /^#include <(jansson|uv|curl|yaml|libmnl|libnftnl|time|sys\/|stdio)/ && !/sys\/types/ {
	printf "%s:%d: policy/ does no I/O and uses no library: %s\n", FILENAME, FNR, $2
	bad = 1
}
END { exit bad }
' policy/*.[ch] src/*/*.[ch]
