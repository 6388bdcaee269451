#!/usr/bin/env python3
"""enforced.py SOCKET SECONDS NS/NAME@GENERATION...

Asks the agent's /policies on that unix socket, again and again, until it says that
each of these NetworkPolicies is in the kernel in that generation.  Prints how many
milliseconds that took; fails with the agent's last answer if it takes too long.
"""
import http.client
import json
import socket
import sys
import time


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])


def ask():
    connection = Unix("localhost")
    connection.request("GET", "/policies")
    answer = connection.getresponse().read()
    connection.close()
    return json.loads(answer)


def is_enforced(answer, wanted):
    return answer["in_sync"] and wanted <= {
        f"{p['namespace']}/{p['name']}@{p['generation']}"
        for p in answer["policies"] if p["enforced"]
    }


start = time.monotonic()
answer = ask()
while not is_enforced(answer, set(sys.argv[3:])):
    if time.monotonic() - start > float(sys.argv[2]):
        sys.exit(f"not enforced: {sys.argv[3:]}: {json.dumps(answer)}")
    time.sleep(0.002)
    answer = ask()
print(round((time.monotonic() - start) * 1000))
