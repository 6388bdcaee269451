"""Frames as they are on the wire, for the cases about pods' ports.

	from frames import *
	f = Port("eth0")                     # needs CAP_NET_RAW
	f.send(mac, IP, udp4(src, dst, 4000, 5353, b"x"))
	f.send(mac, IP, ..., tags=[(0x8100, 0)])
"""
import socket
import struct

IP, IP6, ARP = 0x0800, 0x86DD, 0x0806
BROADCAST = b"\xff" * 6


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def addr(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def pseudo(src, dst, proto, length):
    if len(src) == 4:
        return src + dst + struct.pack("!BBH", 0, proto, length)
    return src + dst + struct.pack("!II", length, proto)


def ip4(src, dst, proto, payload):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0, addr(src),
                    addr(dst))
    return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + payload


def ip6(src, dst, proto, payload, hops=64):
    return struct.pack("!IHBB", 6 << 28, len(payload), proto, hops) + addr(src) + addr(dst) + payload


def udp(src, dst, sport, dport, data):
    s = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    c = checksum(pseudo(addr(src), addr(dst), 17, len(s)) + s) or 0xFFFF
    s = s[:6] + struct.pack("!H", c) + s[8:]
    return ip6(src, dst, 17, s) if ":" in src else ip4(src, dst, 17, s)


def icmp6(kind, src, dst, body, hops=255):
    s = struct.pack("!BBH", kind, 0, 0) + body
    c = checksum(pseudo(addr(src), addr(dst), 58, len(s)) + s)
    return ip6(src, dst, 58, s[:2] + struct.pack("!H", c) + s[4:], hops)


def advert(src, target, mac, dst="ff02::1"):
    """A neighbour advertisement with the override flag (RFC 4861 4.4)."""
    return icmp6(136, src, dst, struct.pack("!I", 0x20000000) + addr(target) + b"\2\1" + mac)


def router_advert(src, prefix, dst="ff02::1"):
    """Default router for 30 minutes, high preference, with a prefix for addresses (RFC 4861 4.2)."""
    return icmp6(134, src, dst, struct.pack("!BBHII", 64, 0x08, 1800, 0, 0) + struct.pack(
        "!BBBBIII16s", 3, 4, 64, 0xC0, 86400, 14400, 0, addr(prefix)))


def arp(op, sender_mac, sender, target_mac, target, padding=b""):
    return struct.pack("!HHBBH", 1, IP, 6, 4, op) + sender_mac + addr(sender) + target_mac + addr(
        target) + padding


class Port:
    def __init__(self, dev="eth0"):
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.raw.bind((dev, 0))
        self.mac = self.raw.getsockname()[4]

    def send(self, dst, ethertype, payload, tags=(), src=None):
        head = dst + (src or self.mac)
        for tpid, tci in tags:
            head += struct.pack("!HH", tpid, tci)
        self.raw.send((head + struct.pack("!H", ethertype) + payload).ljust(60, b"\0"))


def link_local(dev="eth0"):
    for line in open("/proc/net/if_inet6"):
        f = line.split()
        if f[5] == dev and f[0].startswith("fe80"):
            return ":".join(f[0][k:k + 4] for k in range(0, 32, 4))
    return None
