#!/usr/bin/env python3
"""sim_batch.py [PODS POLICIES QUESTIONS]   `bulkhead sim eval --batch`, timed

Prints one JSON line.  The world and the questions are the same every time.
"""
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time

N_NAMESPACES = 20
PORTS = [53, 80, 443, 8080]


def world(n_pods, n_policies):
    ns = ["n%d" % i for i in range(N_NAMESPACES)]
    for i, name in enumerate(ns):
        yield {"apiVersion": "v1", "kind": "Namespace",
               "metadata": {"name": name, "labels": {"team": "t%d" % (i % 5)}}}
    for i in range(n_pods):
        yield {"apiVersion": "v1", "kind": "Pod",
               "metadata": {"namespace": ns[i % N_NAMESPACES], "name": "p%d" % i,
                            "labels": {"app": "a%d" % (i // N_NAMESPACES % 10)}}}
    for i in range(n_policies):
        peers = [{"podSelector": {"matchLabels": {"app": "a%d" % random.randrange(10)}}},
                 {"namespaceSelector": {"matchLabels": {"team": "t%d" % random.randrange(5)}}},
                 {"ipBlock": {"cidr": "192.0.2.0/24"}}]
        yield {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
               "metadata": {"namespace": ns[i % N_NAMESPACES], "name": "policy%d" % i},
               "spec": {"podSelector": {"matchLabels": {"app": "a%d" % (i // N_NAMESPACES % 10)}},
                        "policyTypes": ["Ingress", "Egress"] if i % 3 == 0 else ["Ingress"],
                        "ingress": [{"from": peers, "ports": [{"port": p} for p in (80, 443)]}],
                        "egress": [{"to": [peers[1]]},
                                   {"to": [{"ipBlock": {"cidr": "0.0.0.0/0",
                                                        "except": ["10.0.0.0/8"]}}]}]}}


def question(n_pods):
    src, dst = random.randrange(n_pods), random.randrange(n_pods)
    outside = random.randrange(4) == 0
    return {"src": "n%d/p%d" % (src % N_NAMESPACES, src),
            "dst": "203.0.113.%d" % (dst % 250) if outside
            else "n%d/p%d" % (dst % N_NAMESPACES, dst),
            "protocol": random.choice(["TCP", "TCP", "UDP"]),
            "port": random.choice(PORTS), "family": 4}


def main():
    n_pods, n_policies, n = (int(a) for a in (sys.argv[1:] or ["1000", "300", "1000000"]))
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/world.json", "w") as f:
            json.dump({"apiVersion": "v1", "kind": "List",
                       "items": list(world(n_pods, n_policies))}, f)
        with open(folder + "/questions", "w") as f:
            for _ in range(n):
                f.write(json.dumps(question(n_pods)) + "\n")
        start = time.monotonic()
        with subprocess.Popen([os.environ["BH_BUILD"] + "/bulkhead", "sim", "eval", "--batch",
                               folder + "/questions", folder + "/world.json"],
                              stdout=subprocess.PIPE) as p:
            lines = denied = 0
            for line in p.stdout:
                lines += 1
                denied += b'"verdict": "denied", "egress"' in line
        seconds = time.monotonic() - start
        if p.returncode != 0 or lines != n:
            sys.exit("sim eval: status %d, %d of %d answers" % (p.returncode, lines, n))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"bench": "sim_batch", "pods": n_pods, "policies": n_policies,
                      "questions": n, "denied": denied, "seconds": round(seconds, 2),
                      "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
                      "rss_kb": used.ru_maxrss}))


main()
