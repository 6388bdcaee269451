#!/usr/bin/env python3
"""Writes manifests of a large cluster for the simulator's benchmark.

usage: sim_gen.py DIR WORKLOADS PODS_PER_WORKLOAD POLICIES_PER_WORKLOAD [CHANGED]

Deterministic.  Each workload is reached by a few others of its namespace and by
one namespace beside it, and reaches a few, a name server and a block outside.
CHANGED: so many workloads' first policy names another port.
"""
import os
import sys

PER_NAMESPACE = 20


def pod(ns, app, i, number):
    return f"""---
apiVersion: v1
kind: Pod
metadata:
  name: {app}-{i}
  namespace: {ns}
  labels: {{app: {app}, tier: t{number % 7}}}
  ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: {app}, uid: u{number}, controller: true}}]
spec:
  containers: [{{name: main, image: main, ports: [{{name: http, containerPort: {8000 + number % 50}}}]}}]
status:
  hostIP: 192.168.49.2
  podIP: 10.{number // 250}.{number % 250}.{i + 1}
  podIPs: [{{ip: 10.{number // 250}.{number % 250}.{i + 1}}}]
"""


def policy(ns, name, app, spec):
    return f"""---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: {ns}}}
spec:
  podSelector: {{matchLabels: {{app: {app}}}}}
{spec}"""


def ingress(app_names, number, next_ns, port):
    peers = ", ".join(
        f"{{podSelector: {{matchLabels: {{app: {a}}}}}}}" for a in app_names)
    return f"""  ingress:
  - from: [{peers}]
    ports: [{{port: http}}, {{port: {port}}}]
  - from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {next_ns}}}}},
             podSelector: {{matchLabels: {{tier: t{number % 7}}}}}}}]
    ports: [{{port: {9000 + number % 20}, endPort: {9020 + number % 20}}}]
"""


def egress(app_names, number):
    peers = ", ".join(
        f"{{podSelector: {{matchLabels: {{app: {a}}}}}}}" for a in app_names)
    return f"""  policyTypes: [Egress]
  egress:
  - to: [{peers}]
  - to: [{{namespaceSelector: {{}}, podSelector: {{matchLabels: {{tier: t0}}}}}}]
    ports: [{{port: 53, protocol: UDP}}]
  - to: [{{ipBlock: {{cidr: 203.0.113.{16 * (number % 16)}/28}}}}]
    ports: [{{port: 443}}]
"""


def main():
    folder, workloads, pods, policies = sys.argv[1], *map(int, sys.argv[2:5])
    changed = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    n_spaces = (workloads + PER_NAMESPACE - 1) // PER_NAMESPACE

    os.makedirs(folder, exist_ok=True)
    for s in range(n_spaces):
        ns, next_ns = f"ns{s}", f"ns{(s + 1) % n_spaces}"
        first, last = s * PER_NAMESPACE, min((s + 1) * PER_NAMESPACE, workloads)
        with open(f"{folder}/{ns}.yaml", "w") as out:
            out.write(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {ns}}}\n")
            for w in range(first, last):
                peers = [[f"app{first + (w + sign * k) % PER_NAMESPACE}" for k in (1, 3, 7)]
                         for sign in (1, -1)]
                port = 7000 if w < changed else 7001
                for i in range(pods):
                    out.write(pod(ns, f"app{w}", i, w))
                for p in range(policies):
                    spec = egress(peers[1], w + p) if p % 2 else \
                        ingress(peers[0], w + p, next_ns, port)
                    out.write(policy(ns, f"p{p}-app{w}", f"app{w}", spec))


main()
