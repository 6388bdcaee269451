#!/usr/bin/env python3
"""hostile.py KIND FOLDER [--bytes N] [--pods N]   writes objects that a tenant may make to hurt others
   hostile.py --list

Each kind is one way to make an agent multiply: every object is valid, and none is larger than
the Kubernetes API takes (1.5 MB).  FOLDER/evil.json gets a List with the objects of the tenant
`evil`, its pods among them; nothing else is in the folder.  --bytes is the size of the largest
object, --pods how many pods the tenant has besides the ones that the kind needs: as many as a
cluster has, and twenty of them on the node `here`.
"""
import argparse, json, os, sys

KINDS = {}
# The agent refuses an object of more than 100,000 values by name, before anything else.
MAX_VALUES = 95000


def kind(f):
    KINDS[f.__name__.replace("_", "-")] = f
    return f


def ip4(n):
    return ".".join(str(n >> s & 255) for s in (24, 16, 8, 0))


def ip6(n):
    return "2001:db8:%x:%x::%x" % (n >> 32 & 0xFFFF, n >> 16 & 0xFFFF, n & 0xFFFF)


def pod(name, i, labels, ports=(), node="here"):
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "evil", "name": name, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "x", "ports": list(ports)}]},
        "status": {"phase": "Running", "podIP": ip4((11 << 24) + i), "podIPs": [{"ip": ip4((11 << 24) + i)}]},
    }


def policy(name, spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": "evil", "name": name}, "spec": spec}


def ingress(rules, **more):
    return policy("x", dict({"podSelector": {}, "ingress": rules}, **more))


def size(x):
    return len(json.dumps(x, separators=(",", ":")))


def values_in(x):
    if isinstance(x, dict):
        return 1 + sum(values_in(v) for v in x.values())
    if isinstance(x, list):
        return 1 + sum(values_in(v) for v in x)
    return 1


def fill(limit, make):
    """make(0), make(1), ... for as long as they fit into @limit bytes and as many of the values."""
    out, used, left, i = [], 0, limit * MAX_VALUES // 1400000, 0
    while True:
        item = make(i)
        used += size(item) + 1
        left -= values_in(item)
        if used > limit or left < 0:
            return out
        out.append(item)
        i += 1


def port(n, **more):
    return dict({"port": 1 + n % 65535}, **more)


def block(n, bits=32):
    return {"ipBlock": {"cidr": "%s/%d" % (ip4(n), bits)}}


def block6(n, bits=128):
    return {"ipBlock": {"cidr": "%s/%d" % (ip6(n), bits)}}


def peer(**labels):
    return {"podSelector": {"matchLabels": labels}}


def everywhere(**labels):
    return {"namespaceSelector": {}, "podSelector": {"matchLabels": labels} if labels else {}}


ANYWHERE = {"ipBlock": {"cidr": "0.0.0.0/0"}}


@kind
def ranges(o):
    """many ports from anywhere, and many prefixes with few other ports"""
    rules = [{"from": [ANYWHERE], "ports": fill(o.bytes // 2, lambda i: port(2 * i))}]
    for k in range(5):
        rules.append({"from": fill(o.bytes // 10, lambda i: block((20 << 24) + 256 * (5 * i + k) + 1)),
                      "ports": [{"port": 60000 + 2 * k}]})
    return [ingress(rules)]


@kind
def ranges6(o):
    """the same in IPv6"""
    rules = [{"from": [{"ipBlock": {"cidr": "::/0"}}], "ports": fill(o.bytes // 2, lambda i: port(2 * i))}]
    for k in range(5):
        rules.append({"from": fill(o.bytes // 10, lambda i: block6(256 * (5 * i + k) + 1)),
                      "ports": [{"port": 60000 + 2 * k}]})
    return [ingress(rules)]


@kind
def grid(o):
    """twenty rules of many prefixes and many ports each, all different"""
    part = o.bytes // 40
    return [ingress([{"from": fill(part, lambda i: block((20 << 24) + 64 * i + k)),
                      "ports": fill(part, lambda i: port(20 * i + k))} for k in range(20)])]


@kind
def one_rule(o):
    """one rule of many selectors and many ports"""
    return [ingress([{"from": fill(o.bytes // 2, lambda i: peer(app="a%d" % i)),
                      "ports": fill(o.bytes // 2, lambda i: port(2 * i))}])]


@kind
def one_block_rule(o):
    """one rule of many prefixes and many ports"""
    return [ingress([{"from": fill(o.bytes // 2, lambda i: block((20 << 24) + 2 * i)),
                      "ports": fill(o.bytes // 2, lambda i: port(2 * i))}])]


@kind
def nested(o):
    """prefixes within each other, each with many ports"""
    part = o.bytes // 33
    return [ingress([{"from": [block(20 << 24 & (0xFFFFFFFF << (32 - k)) & 0xFFFFFFFF, k)] +
                      fill(part // 2, lambda i: block((20 << 24) + (i << 8) + k)),
                      "ports": fill(part // 2, lambda i: port(33 * i + k))} for k in range(33)])]


@kind
def peers(o):
    """many ports of every pod, and few ports of selectors that select nothing"""
    rules = [{"from": [everywhere()], "ports": fill(o.bytes - 2000, lambda i: port(2 * i))}]
    for k in range(5):
        rules.append({"from": [everywhere(x=str(k))], "ports": [{"port": 60000 + 2 * k}]})
    return [ingress(rules)]


@kind
def peers_grid(o):
    """twenty distinct large sets of ports, each of every pod by another selector"""
    def selector(k):
        return {"namespaceSelector": {}, "podSelector": {"matchExpressions": [
            {"key": "no", "operator": "NotIn", "values": [str(k)]}]}}
    return [ingress([{"from": [selector(k)], "ports": fill(o.bytes // 20 - 200, lambda i: port(20 * i + k))}
                     for k in range(20)])]


@kind
def peers_named(o):
    """many numbers and one name, so that no set of ports is only numbers"""
    rules = [{"from": [everywhere()], "ports": fill(o.bytes - 3000, lambda i: port(2 * i)) + [{"port": "web"}]}]
    for k in range(5):
        rules.append({"from": [everywhere(x=str(k))], "ports": [{"port": 60000 + 2 * k}, {"port": "web"}]})
    return [ingress(rules, policyTypes=["Ingress", "Egress"], egress=[
        {"to": r["from"], "ports": r["ports"]} for r in rules[1:]])]


@kind
def unions(o):
    """one large set of ports for many selectors, each of which has one port more"""
    n = fill(o.bytes // 3, lambda i: peer(app="a%d" % i))
    rules = [{"from": n, "ports": fill(o.bytes // 6, lambda i: port(2 * i))}]
    rules += fill(o.bytes // 2, lambda i: {"from": [peer(app="a%d" % (i % len(n)))], "ports": [port(2 * i + 1)]})
    return [ingress(rules)]


@kind
def overlap(o):
    """many selectors that all select every pod, with five ports"""
    def rule(i):
        return {"from": [{"namespaceSelector": {}, "podSelector": {"matchExpressions": [
            {"key": "no", "operator": "NotIn", "values": ["v%d" % i]}]}}], "ports": [port(i % 5)]}
    return [ingress(fill(o.bytes, rule))]


@kind
def names(o):
    """named ports: many names in the policy, many in a pod, in both directions"""
    ports = fill(o.bytes - 30000, lambda i: {"name": "p%d" % i, "containerPort": 1 + i % 65535})
    wanted = fill(o.bytes // 2 - 1000, lambda i: {"port": "p%d" % i})
    return [pod("named", 70000, {"app": "named"}, ports),
            policy("x", {"podSelector": {}, "policyTypes": ["Egress", "Ingress"],
                         "egress": [{"to": [everywhere()], "ports": wanted}],
                         "ingress": [{"ports": wanted}]})]


@kind
def joinq(o):
    """many rules of one prefix and one port each"""
    return [ingress(fill(o.bytes, lambda i: {"from": [block((20 << 24) + 2 * i)], "ports": [port(i)]}))]


@kind
def joinq6(o):
    """the same in IPv6"""
    return [ingress(fill(o.bytes, lambda i: {"from": [block6(2 * i)], "ports": [port(i)]}))]


@kind
def excepts(o):
    """one prefix without many"""
    return [ingress([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": fill(
        o.bytes - 300, lambda i: "%s/32" % ip4((20 << 24) + 4097 * i))}}]}])]


@kind
def excepts6(o):
    """one IPv6 prefix without many, far from each other, and five other sets of ports"""
    rules = [{"from": [{"ipBlock": {"cidr": "::/0", "except": fill(
        o.bytes - 3000, lambda i: "%x:%x:%x::1/128" % (i * 40503 & 0x3FFF, i & 0xFFFF, i * 7919 & 0xFFFF))}}],
        "ports": [{"port": 443}]}]
    for k in range(5):
        rules.append({"from": [block6(k << 32, 96)], "ports": [{"port": 60000 + 2 * k, "endPort": 60001 + 2 * k}]})
    return [ingress(rules)]


@kind
def rules(o):
    """many rules with a long range of ports and a selector each"""
    return [ingress(fill(o.bytes, lambda i: {
        "from": [{"namespaceSelector": {"matchLabels": {"k": "v%d" % i}}}],
        "ports": [{"port": 1000 + i % 9000, "endPort": 20000 + 2 * (i % 20000)}]}))]


@kind
def anywhere(o):
    """every second port by itself, and one long range"""
    return [ingress([{"ports": fill(o.bytes - 300, lambda i: port(2 * i)) + [{"port": 1000, "endPort": 2000}]}])]


@kind
def values(o):
    """selectors of many values"""
    listed = fill(o.bytes // 2 - 500, lambda i: "v%d" % i)
    def selector(operator):
        return {"matchExpressions": [{"key": "app", "operator": operator, "values": listed}]}
    return [ingress([{"from": [{"namespaceSelector": {}, "podSelector": selector("In")}]},
                     {"from": [{"namespaceSelector": {}, "podSelector": selector("NotIn")}]}])]


@kind
def anchors(o):
    """a selector of many namespaces and many values of a label"""
    return [ingress([{"from": [{
        "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In",
                                                    "values": fill(o.bytes // 2 - 500, lambda i: "n%d" % i)}]},
        "podSelector": {"matchExpressions": [{"key": "app", "operator": "In",
                                              "values": fill(o.bytes // 2 - 500, lambda i: "v%d" % i)}]}}]}])]


@kind
def subjects(o):
    """a policy that selects its pods by many values"""
    return [policy("x", {"podSelector": {"matchExpressions": [
        {"key": "app", "operator": "NotIn", "values": fill(o.bytes - 500, lambda i: "v%d" % i)}]},
        "policyTypes": ["Ingress"]})]


@kind
def expressions(o):
    """a policy that selects its pods by many expressions, all of which hold"""
    return [policy("x", {"podSelector": {"matchExpressions": fill(
        o.bytes - 500, lambda i: {"key": "k%d" % i, "operator": "DoesNotExist"})}, "policyTypes": ["Ingress"]})]


@kind
def labels(o):
    """a pod with many labels, and selectors that may concern it"""
    many = {"k%d" % i: "v" for i in range(o.bytes // 20)}
    return [pod("labelled", 70000, many),
            ingress(fill(o.bytes, lambda i: {"from": [peer(**{"k%d" % i: "v"})], "ports": [port(i)]}))]


@kind
def egress(o):
    """many ports to every pod by names and by numbers, in both directions"""
    def both(peers):
        return [{"ports": fill(o.bytes // 5, lambda i: port(2 * i))}] + fill(o.bytes // 5, lambda i: {
            peers: [block((20 << 24) + 16 * i, 28)], "ports": [port(3 * i), port(3 * i + 1)]})
    return [policy("x", {"podSelector": {}, "policyTypes": ["Egress", "Ingress"], "egress": both("to"),
                         "ingress": both("from")})]


@kind
def selectors(o):
    """many policies and many pods, each pod with a profile of its own"""
    out = [pod("q%d" % i, i, {"l%d" % j: "1" for j in range(200) if i * 2654435761 >> (j % 20) & 1})
           for i in range(min(o.pods, 250))]
    for j in range(200):
        out.append(policy("x%d" % j, {"podSelector": {"matchLabels": {"l%d" % j: "1"}}, "ingress": [
            {"from": [block((10 << 24) + (j << 8), 24)], "ports": [{"port": 1 + j}]}]}))
    return out


@kind
def many_large(o):
    """many policies that fill a budget each, for pods with a profile of their own"""
    out = []
    for j in range(30):
        out.append(pod("q%d" % j, 60000 + j, {"own": str(j)}))
        rules = [{"from": fill(o.bytes // 60, lambda i: block((20 << 24) + 64 * i + j)),
                  "ports": [port(j), port(2 * j + 1000)]}]
        rules += fill(o.bytes // 60, lambda i: {"from": [block((30 << 24) + 32 * i + j)], "ports": [port(i)]})
        out.append(policy("x%d" % j, {"podSelector": {"matchLabels": {"own": str(j)}}, "ingress": rules}))
    return out


@kind
def crowd(o):
    """small policies for pods with a profile of their own, each of which every pod makes large"""
    def selector(k):
        return {"namespaceSelector": {}, "podSelector": {"matchExpressions": [
            {"key": "no", "operator": "NotIn", "values": [str(k)]}]}}
    out = []
    for j in range(200):
        out.append(pod("q%d" % j, 60000 + j, {"own": str(j)}))
        out.append(policy("x%d" % j, {"podSelector": {"matchLabels": {"own": str(j)}}, "ingress": [
            {"from": [selector(k)], "ports": [port(60 * j + 9 * k + n) for n in range(9)]} for k in range(6)]}))
    return out


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("kind", nargs="?")
    p.add_argument("folder", nargs="?")
    p.add_argument("--list", action="store_true")
    p.add_argument("--bytes", type=int, default=1400000)
    p.add_argument("--pods", type=int, default=2000)
    o = p.parse_args()
    if o.list:
        print("\n".join(KINDS))
        return
    if o.kind not in KINDS or not o.folder:
        sys.exit(__doc__)
    items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "evil"}}]
    if o.kind != "selectors":
        items += [pod("p%d" % i, i, {"app": "a%d" % i}, node="here" if i < 20 else "elsewhere")
                  for i in range(o.pods)]
    items += KINDS[o.kind](o)
    os.makedirs(o.folder, exist_ok=True)
    # Written beside and moved, since an agent may watch the folder.
    tmp = os.path.join(o.folder, ".evil.tmp")
    with open(tmp, "w") as f:
        json.dump({"apiVersion": "v1", "kind": "List", "items": items}, f, separators=(",", ":"))
    os.rename(tmp, os.path.join(o.folder, "evil.json"))
    largest = max(size(i) for i in items)
    assert largest <= 1500000, largest
    print(json.dumps({"kind": o.kind, "objects": len(items), "largest": largest}))


main()
