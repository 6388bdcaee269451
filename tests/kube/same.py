#!/usr/bin/env python3
"""same.py LOG < LIST

Succeeds if what the source told so far (the lines of tests/tools/kube.c in LOG)
leaves the same objects as LIST has, which is `kubectl get ... -A -o json`; else
prints what differs.  A refused object may be missing; it must not be half there.
"""
import json
import sys


def of_server(o):
    meta, status = o["metadata"], o.get("status", {})
    addrs = {
        "Pod": lambda: [a["ip"] for a in status.get("podIPs", [])],
        "Node": lambda: [a["address"] for a in status.get("addresses", [])
                         if a["type"] == "InternalIP"],
    }.get(o["kind"], list)()
    return (o["kind"], meta.get("namespace", ""), meta["name"]), (
        meta.get("labels", {}) if "Policy" not in o["kind"] else None,
        sorted(addrs),
    )


def of_source(lines):
    objects = {}
    for line in lines:
        if not line.endswith("\n"):
            continue
        e = json.loads(line)
        key = e.get("kind"), e.get("namespace") or "", e.get("name")
        if e["event"] == "put":
            objects[key] = e.get("labels"), sorted(e.get("addrs", []))
        elif e["event"] == "delete":
            objects.pop(key, None)
    return objects


told = of_source(open(sys.argv[1]))
there = dict(of_server(o) for o in json.load(sys.stdin)["items"])
for key in sorted(told.keys() | there.keys()):
    if told.get(key) != there.get(key):
        print("/".join(key), "told:", told.get(key), "there:", there.get(key))
sys.exit(told != there)
