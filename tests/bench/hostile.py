#!/usr/bin/env python3
"""hostile.py [KIND...]   what objects that a tenant may make to hurt others cost them

One JSON line for each kind of tests/tools/hostile.py and each of two moments: `edit`, the objects
come while the agent runs, and `start`, they are there when it starts.  Meanwhile another tenant
makes pods, one after the other, that its default deny must isolate, and another program adds
tables of its own.  Needs root; works in a network namespace of its own.
"""
import json, os, re, shlex, shutil, socket, struct, subprocess, sys, tempfile, threading, time

BUILD = os.environ.get("BH_BUILD", "build/release")
TOOL = os.path.join(os.path.dirname(__file__), "..", "tools", "hostile.py")
LIMIT_S = 120

SHOP = """{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
---
{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"namespace": "shop", "name": "deny"},
 "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
"""


def write(path, text):
    tmp = os.path.join(os.path.dirname(path), "." + os.path.basename(path))
    with open(tmp, "w") as f:
        f.write(text)
    os.rename(tmp, path)


class Kernel:
    """Asks for single elements: nft(8) would read every set first, which takes longer than what is measured."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER

    @staticmethod
    def attr(kind, data):
        return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)

    def has(self, map_name, ip):
        nested = 0x8000
        key = self.attr(1 | nested, self.attr(1, socket.inet_aton(ip)))  # NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
        body = struct.pack("=BBH", 1, 0, 0) + self.attr(1, b"bulkhead\0") + self.attr(2, map_name.encode() + b"\0")
        body += self.attr(3 | nested, self.attr(1 | nested, key))  # NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_LIST_ELEM
        # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM; NLM_F_REQUEST
        self.socket.send(struct.pack("=IHHII", 16 + len(body), 10 << 8 | 13, 1, 1, 0) + body)
        # An element, or NLMSG_ERROR.
        return struct.unpack_from("=IH", self.socket.recv(65536))[1] != 2


class Node:
    def __init__(self, work):
        self.work, self.n_pods, self.agent, self.kernel = work, 0, None, Kernel()
        self.policies = os.path.join(work, "policies")
        self.control = os.path.join(work, "control.sock")
        os.mkdir(self.policies)
        write(os.path.join(self.policies, "shop.yaml"), SHOP)

    def start(self):
        self.log = open(os.path.join(self.work, "agent.log"), "a")
        self.agent = subprocess.Popen([BUILD + "/bulkheadd", "--policies", self.policies, "--control", self.control,
                                       "--node", "here"], stdout=self.log, stderr=self.log)

    def settle(self):
        """Seconds until what was written is in the kernel."""
        begin = time.monotonic()
        while time.monotonic() < begin + LIMIT_S:
            if subprocess.run([BUILD + "/bulkhead", "--control", self.control, "status", "--wait", "--timeout",
                               str(LIMIT_S)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.02)
        return time.monotonic() - begin

    def closed(self):
        out = subprocess.run([BUILD + "/bulkhead", "--control", self.control, "status", "-o", "json"],
                             capture_output=True, text=True).stdout
        try:
            return next((p["error"] for p in json.loads(out)["policies_status"] if p["error"]), "")
        except (ValueError, KeyError):
            return "no status"

    def cpu_s(self):
        with open("/proc/%d/stat" % self.agent.pid) as f:
            user, system = f.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self):
        with open("/proc/%d/status" % self.agent.pid) as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024

    def add_pod(self):
        """Makes a pod of the other tenant; seconds until it is isolated."""
        self.n_pods += 1
        ip = "10.9.%d.%d" % (self.n_pods >> 8, self.n_pods & 255)
        write(os.path.join(self.policies, "pod%d.yaml" % self.n_pods), json.dumps(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": "v%d" % self.n_pods},
             "spec": {"nodeName": "here", "containers": [{"name": "c", "image": "x"}]},
             "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}))
        begin = time.monotonic()
        while time.monotonic() < begin + LIMIT_S and not self.kernel.has("in4", ip):
            time.sleep(0.002)
        return time.monotonic() - begin

    def stop(self):
        self.agent.terminate()
        self.agent.wait()
        subprocess.run(["nft", "flush", "ruleset"])


class Neighbours:
    """The other tenant and the other program, while the block runs."""

    def __init__(self, node):
        self.node, self.stopped = node, False
        self.pod_s, self.nft_s = [], []
        self.threads = [threading.Thread(target=self.pods), threading.Thread(target=self.tables)]

    def pods(self):
        while not self.stopped:
            self.pod_s.append(self.node.add_pod())
            time.sleep(0.02)

    def tables(self):
        i = 0
        while not self.stopped:
            begin = time.monotonic()
            subprocess.run(["nft", "add", "table", "inet", "other%d" % i])
            self.nft_s.append(time.monotonic() - begin)
            time.sleep(0.02)
            i += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *args):
        self.stopped = True
        for t in self.threads:
            t.join()


def measure(kind, moment):
    work = tempfile.mkdtemp(prefix="hostile")
    node = Node(work)
    made = os.path.join(work, "made")
    subprocess.run([TOOL, kind, made] + shlex.split(os.environ.get("HOSTILE", "")), check=True, stdout=subprocess.DEVNULL)
    if moment == "edit":
        node.start()
        node.settle()
    with Neighbours(node) as others:
        if moment == "edit":
            time.sleep(0.3)
        os.rename(made + "/evil.json", node.policies + "/evil.json")
        if moment == "start":
            node.start()
        settle_s, cpu_s = node.settle(), node.cpu_s()
        time.sleep(0.3)
    row = {"bench": "hostile", "kind": kind, "moment": moment, "settle_s": round(settle_s, 2),
           "cpu_s": round(cpu_s, 2),
           "other_tenant_s": round(max(others.pod_s), 2), "other_program_s": round(max(others.nft_s), 2),
           "peak_mb": round(node.peak_mb(), 1), "closed": node.closed()}
    node.stop()
    shutil.rmtree(work)
    print(json.dumps(row), flush=True)


def main():
    if os.environ.get("BH_HOSTILE_INSIDE") != "1":
        os.environ["BH_HOSTILE_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable] + sys.argv)
    kinds = sys.argv[1:] or subprocess.run([TOOL, "--list"], capture_output=True, text=True).stdout.split()
    for kind in kinds:
        for moment in ("edit", "start"):
            measure(kind, moment)


main()
