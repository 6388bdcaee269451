#!/usr/bin/env python3
"""kube_load.py world PODS POLICIES NODES NODE     fills a cluster, through its etcd
kube_load.py churn PODS NODES NODE SECONDS          100 label changes of pods a second,
                                                    10 of them of peers of this node's

Objects as a cluster has them, with the parts that policy does not read: about 4 kB a
pod.  Written to etcd itself (JSON, which API servers read), because the API server
would take most of an hour for what is only the start of the measurement."""
import base64, http.client, json, sys, time, uuid

etcd = http.client.HTTPConnection("127.0.0.1", 2379)
SPACES, LOCAL = 100, 100


def put(objects):
    text = lambda s: base64.b64encode(s.encode()).decode()
    puts = [{"requestPut": {"key": text(key), "value": text(json.dumps(o))}} for key, o in objects]
    etcd.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
    answer = etcd.getresponse()
    body = answer.read()
    if answer.status != 200:
        sys.exit(f"etcd: {answer.status} {body[:200]}")


def meta(kind, i, name, namespace="", **more):
    uid = str(uuid.UUID(int=i + (sum(map(ord, kind)) << 100)))
    m = {"name": name, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z", **more}
    return {**m, "namespace": namespace} if namespace else m


def space(i):
    name = f"team-{i}"
    return f"/registry/namespaces/{name}", {
        "kind": "Namespace", "apiVersion": "v1",
        "metadata": meta("Namespace", i, name, labels={"kubernetes.io/metadata.name": name}),
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def node(i):
    return f"/registry/minions/node-{i}", {
        "kind": "Node", "apiVersion": "v1",
        "metadata": meta("Node", i, f"node-{i}", labels={"kubernetes.io/hostname": f"node-{i}"}),
        "spec": {}, "status": {"addresses": [{"type": "InternalIP", "address": f"172.20.{i >> 8}.{i & 255}"}]}}


def policy(i):
    ns = f"team-{i % SPACES}"
    return f"/registry/networkpolicies/{ns}/policy-{i}", {
        "kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1",
        "metadata": meta("NetworkPolicy", i, f"policy-{i}", ns, generation=1),
        "spec": {"podSelector": {"matchLabels": {"app": f"app-{i}"}}, "policyTypes": ["Ingress"],
                 "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": f"app-{i + SPACES}"}}}],
                              "ports": [{"protocol": "TCP", "port": 8080}]}]}}


def pod(i, n_pods, n_nodes, own, labels={}):
    """Ten pods an application, an application in one namespace, LOCAL pods on our node."""
    app = i // 10
    ns, name = f"team-{app % SPACES}", f"app-{app}-6d4cf56db6-{i:05d}"
    local = i % max(1, n_pods // LOCAL) == 0
    addrs = [f"10.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}", f"fd00::{i >> 16:x}:{i & 65535:x}"]
    env = [{"name": f"VARIABLE_{k}", "value": f"value-{i}-{k}"} for k in range(12)]
    return f"/registry/pods/{ns}/{name}", {
        "kind": "Pod", "apiVersion": "v1",
        "metadata": meta("Pod", i, name, ns, labels={"app": f"app-{app}", "pod-template-hash": "6d4cf56db6", **labels},
                         annotations={"kubectl.kubernetes.io/last-applied-configuration": "x" * 400},
                         ownerReferences=[{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True,
                                           "name": f"app-{app}-6d4cf56db6", "uid": str(uuid.UUID(int=app))}],
                         managedFields=[{"manager": "kubelet", "operation": "Update", "apiVersion": "v1",
                                         "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z",
                                         "fieldsV1": {"f:status": {f"f:part-{k}": {".": {}} for k in range(40)}}}]),
        "spec": {"nodeName": own if local else f"node-{i % n_nodes}", "serviceAccountName": "default",
                 "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
                 "securityContext": {}, "terminationGracePeriodSeconds": 30,
                 "containers": [{"name": "main", "image": "registry.example/app:1", "env": env,
                                 "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
                                 "terminationMessagePolicy": "File", "resources": {},
                                 "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}]},
        "status": {"phase": "Running", "qosClass": "BestEffort", "podIP": addrs[0], "podIPs": [{"ip": a} for a in addrs],
                   "conditions": [{"type": t, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                                  for t in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
                   "containerStatuses": [{"name": "main", "ready": True, "restartCount": 0, "image": "registry.example/app:1",
                                          "imageID": "registry.example/app@sha256:" + "a" * 64, "started": True,
                                          "containerID": "containerd://" + "b" * 64,
                                          "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "lastState": {}}]}}


def put_all(make, n):
    for first in range(0, n, 100):
        put([make(i) for i in range(first, min(first + 100, n))])


def world(n_pods, n_policies, n_nodes, own):
    put_all(space, SPACES)
    put_all(node, n_nodes)
    put_all(policy, n_policies)
    put_all(lambda i: pod(i, n_pods, n_nodes, own), n_pods)


def peer(n, n_pods):
    """A pod elsewhere that a policy on one of our pods lets in."""
    local = n % LOCAL * max(1, n_pods // LOCAL)
    return (local + SPACES * 10 + 1 + n % 9) % n_pods


def churn(n_pods, n_nodes, own, seconds):
    start, n = time.time(), 0
    while time.time() - start < seconds:
        changed = {(n + k) * 37 % n_pods: {"revision": str(n + k)} for k in range(9)}
        changed[peer(n // 10, n_pods)] = {"app": f"gone-{n}"}
        put([pod(i, n_pods, n_nodes, own, labels) for i, labels in changed.items()])
        n += len(changed)
        time.sleep(max(0, start + n / 100 - time.time()))
    print(n)


if sys.argv[1] == "world":
    world(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
else:
    churn(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
