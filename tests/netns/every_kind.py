"""Sends a frame of every kind that might get around policy; each has "frame WHO WHAT" in it.

	every_kind.py ADDR4 ADDR6 WHO DB-MAC FREE-MAC WEB-MAC NODE-MAC

From `attacker` to db, free, the node and the outside, else to db only.
"""
import sys
from frames import *

f = Port()
ll = link_local()
me4, me6, who = sys.argv[1:4]
db, free, web, node = map(mac_bytes, sys.argv[4:8])
web4, web6, node4, node6 = "10.244.0.14", "fd00:244::14", "10.244.0.1", "fd00:244::1"
targets = [("db", db, "10.244.0.12", "fd00:244::12"), ("free", free, "10.244.0.13", "fd00:244::13"),
           ("node", node, node4, node6), ("out", node, "192.0.2.10", "2001:db8::10")]
ident = 100


def tag(text):
    return ("frame %s %s" % (who, text)).encode()


def packet4(dst, proto, payload, options=b"", frag=0, ident=1, ttl=64, src=None):
    h = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), ident, frag, ttl,
                    proto, 0, addr(src or me4), addr(dst)) + options
    return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + payload


def tcp(src, dst, flags, data, sport):
    s = struct.pack("!HHIIBBHHH", sport, 80, 1000, 2000, 5 << 4, flags, 65535, 0, 0) + data
    return s[:16] + struct.pack("!H", checksum(pseudo(addr(src), addr(dst), 6, len(s)) + s)) + s[18:]


def dgram(src, dst, data, sport=4000, dport=53):
    s = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    return s[:6] + struct.pack("!H", checksum(pseudo(addr(src), addr(dst), 17, len(s)) + s) or 0xFFFF) + s[8:]


def icmp4(kind, data):
    b = struct.pack("!BBHI", kind, 0, 0, 1) + data
    return b[:2] + struct.pack("!H", checksum(b)) + b[4:]


def fragments(to, dst, proto, parts):
    global ident
    ident += 1
    for offset, has_more, part in parts:
        f.send(to, IP, packet4(dst, proto, part, frag=has_more << 13 | offset // 8, ident=ident))


def fragments6(to, dst, nexthdr, parts):
    global ident
    ident += 1
    for offset, has_more, part in parts:
        f.send(to, IP6, ip6(me6, dst, 44, struct.pack("!BBHI", nexthdr, 0, offset | has_more, ident) + part, 255))


def transports(name, m, d4, d6):
    for flags in range(64):
        f.send(m, IP, packet4(d4, 6, tcp(me4, d4, flags, tag("TCP flags %d" % flags), 4000 + flags)))
        f.send(m, IP6, ip6(me6, d6, 6, tcp(me6, d6, flags, tag("TCP6 flags %d" % flags), 4000 + flags)))
    for proto in (0, 2, 4, 33, 41, 46, 47, 50, 51, 55, 89, 94, 97, 103, 108, 112, 115, 132, 136, 137, 253, 255):
        body = tag("protocol %d" % proto)
        if proto == 4: body = ip4(me4, d4, 17, dgram(me4, d4, body))
        if proto == 41: body = ip6(me6, d6, 17, dgram(me6, d6, body))
        if proto in (33, 132, 136): body = struct.pack("!HHII", 4000, 80, 0, 0) + body
        f.send(m, IP, packet4(d4, proto, body))
        if proto: f.send(m, IP6, ip6(me6, d6, proto, body))
    for sport, dport in ((67, 68), (68, 67), (546, 547), (547, 546), (53, 53), (0, 0), (4789, 4789), (5353, 5353), (1900, 1900)):
        text = tag("UDP %d-%d" % (sport, dport))
        f.send(m, IP, packet4(d4, 17, dgram(me4, d4, text, sport, dport)))
        f.send(m, IP6, ip6(me6, d6, 17, dgram(me6, d6, text, sport, dport)))
        f.send(m, IP6, ip6(ll, d6, 17, dgram(ll, d6, text, sport, dport)))
        for to in (m, BROADCAST) if who == "attacker" else ():
            f.send(to, IP, packet4("255.255.255.255", 17, dgram("0.0.0.0", "255.255.255.255", text, sport, dport), src="0.0.0.0"))
    for kind in list(range(20)) + [30, 40, 42, 253]:
        f.send(m, IP, packet4(d4, 1, icmp4(kind, tag("ICMP %d" % kind))))
    for kind in [1, 2, 3, 4, 100, 127, 128, 129] + list(range(138, 162)) + [200, 255]:
        f.send(m, IP6, icmp6(kind, me6, d6, bytes(4) + tag("ICMPv6 %d" % kind), 255))


def options_and_fragments(name, m, d4, d6):
    for text, o in (("LSRR", b"\x83\x07\x04" + addr(d4) + b"\0"), ("SSRR", b"\x89\x07\x04" + addr(d4) + b"\0"), ("RR", b"\x07\x07\x04" + bytes(5)),
                    ("RA", b"\x94\x04\0\0"), ("CIPSO", b"\x86\x06\0\0\0\1\0\0"), ("NOP", b"\1" * 40)):
        f.send(m, IP, packet4(d4, 17, dgram(me4, d4, tag("option " + text)), o))
        if who == "attacker": f.send(node, IP, packet4(node4, 17, dgram(me4, d4, tag("option %s by the node" % text)), o))
    u, t = dgram(me4, d4, tag("fragments").ljust(64)), tcp(me4, d4, 2, tag("tiny"), 4000)
    fragments(m, d4, 17, [(8, 1, tag("lone").ljust(64))])
    fragments(m, d4, 17, [(1480, 0, tag("lone last"))])
    fragments(m, d4, 17, [(0, 1, u[:8]), (8, 0, u[8:])])
    fragments(m, d4, 6, [(0, 1, t[:8]), (8, 0, t[8:])])
    fragments(m, d4, 17, [(0, 1, dgram(me4, d4, bytes(24))[:16]), (0, 1, u), (16, 0, u[16:])])
    f.send(m, IP, packet4(d4, 17, u, frag=0x8000))
    f.send(m, IP, packet4(d4, 17, u, ttl=1))


def extensions(name, m, d4, d6):
    u = lambda text: dgram(me6, d6, tag(text))
    pad = lambda nexthdr: struct.pack("!BBBB4x", nexthdr, 0, 1, 4)
    for text, nexthdr, body in (
            ("hop-by-hop", 0, pad(17) + u("hop-by-hop")), ("destination", 60, pad(17) + u("destination")), ("both", 0, pad(60) + pad(17) + u("both")),
            ("RH0", 43, struct.pack("!BBBBI", 17, 2, 0, 1, 0) + addr(d6) + u("RH0")), ("RH2", 43, struct.pack("!BBBBI", 17, 2, 2, 1, 0) + addr(d6) + u("RH2")),
            ("SRH", 43, struct.pack("!BBBBBBH", 17, 2, 4, 0, 0, 0, 0) + addr(d6) + u("SRH")), ("atomic", 44, struct.pack("!BBHI", 17, 0, 0, 77) + u("atomic")),
            ("none", 59, u("none")), ("mobility", 135, struct.pack("!BBBBHH", 59, 0, 0, 0, 0, 0) + u("mobility")), ("HIP", 139, u("HIP")),
            ("shim6", 140, u("shim6")), ("AH", 51, struct.pack("!BBHII", 17, 1, 0, 1, 1) + u("AH")), ("deep", 60, pad(60) * 30 + pad(17) + u("deep"))):
        f.send(m, IP6, ip6(me6, d6, nexthdr, body))
        if nexthdr == 43 and who == "attacker": f.send(node, IP6, ip6(me6, node6, nexthdr, body))
    for kind in (133, 134, 135, 136, 137):
        x = struct.pack("!BBHI", kind, 0, 0, 0) + addr(me6) + tag("ND %d" % kind).ljust(16)
        x = x[:2] + struct.pack("!H", checksum(pseudo(addr(me6), addr(d6), 58, len(x)) + x)) + x[4:]
        for nexthdr, h in ((0, pad(58)), (60, pad(58)), (43, struct.pack("!BBBBI", 58, 0, 0, 0, 0)), (44, struct.pack("!BBHI", 58, 0, 0, 99 + kind))):
            f.send(m, IP6, ip6(me6, d6, nexthdr, h + x, 255))
        # The header behind the first fragment, in it, and in none.
        fragments6(m, d6, 60, [(0, 1, pad(58)), (8, 0, x)])
        fragments6(m, d6, 58, [(0, 1, x[:8]), (8, 0, x[8:])])
        fragments6(m, d6, 58, [(40, 0, tag("lone ND %d" % kind))])
    fragments6(m, d6, 17, [(40, 1, tag("lone UDP").ljust(40))])


def addresses(name, m, d4, d6):
    for s in ("127.0.0.1", "0.0.0.0", "0.0.0.1", "240.0.0.1", "255.255.255.255", "224.0.0.1", "169.254.1.1", "100.64.0.1", d4, node4):
        f.send(m, IP, udp(s, d4, 4000, 53, tag("from " + s)))
    for s in ("::", "::1", "::ffff:10.244.0.11", "::10.244.0.11", "2002:0af4:000b::1", "64:ff9b::10.244.0.11", "fec0::11", "fc00::11", "ff02::1", "fe80::1",
              "fe80::dead", d6, node6):
        f.send(m, IP6, udp(s, d6, 4000, 53, tag("from " + s)))
    for d in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "240.0.0.1", "255.255.255.255", "224.0.0.1", "239.1.2.3", "10.244.0.255", "10.244.0.0", "169.254.1.1"):
        for to in (m, BROADCAST) if who == "attacker" else (m,): f.send(to, IP, udp(me4, d, 4000, 53, tag("to " + d)))
    for d in ("::", "::1", "::ffff:10.244.0.12", "::10.244.0.12", "2002:0af4:000c::1", "fec0::12", "ff01::1", "ff02::1", "ff05::2", "ff0e::1", "ff02::1:ff00:12",
              "ff00::1", "fe80::1", "fd00:244::"):
        for to in (m, b"\x33\x33\0\0\0\1") if who == "attacker" else (m,): f.send(to, IP6, udp(me6, d, 4000, 53, tag("to " + d)))
    for mac in (web, node, b"\2\0\0\0\0\x99", b"\1\0\x5e\0\0\1", bytes(6)):
        if mac == f.mac: continue
        f.send(m, IP, udp(me4, d4, 4000, 53, tag("as another MAC")), src=mac)
        f.send(m, IP6, udp(me6, d6, 4000, 53, tag("as another MAC")), src=mac)
    for op in (1, 2, 3, 4, 8, 9, 10):
        for mac, a in ((f.mac, node4), (f.mac, d4), (node, node4), (b"\2\0\0\0\0\x99", me4), (f.mac, "0.0.0.0")):
            if (mac, a) == (f.mac, me4): continue
            for to in (m, BROADCAST): f.send(to, ARP, arp(op, mac, a, bytes(6), a, tag("ARP")[:18]))
    f.send(m, IP6, advert(me6, d6, f.mac, d6))
    f.send(b"\x33\x33\0\0\0\1", IP6, advert(me6, node6, f.mac))


def layers(name, m, d4, d6):
    p4, p6 = udp(me4, d4, 4000, 53, tag("as IPv6")), udp(me6, d6, 4000, 53, tag("as IPv4"))
    f.send(m, IP6, p4)
    f.send(m, IP, p6)
    f.send(m, IP6, ip6(me6, d6, 17, b"") + tag("trailer"))
    jumbo = ip6(me6, d6, 0, struct.pack("!BBBBI", 17, 0, 0xC2, 4, 70000) + dgram(me6, d6, tag("jumbo")))
    f.send(m, IP6, jumbo[:4] + b"\0\0" + jumbo[6:])
    q, ad = 0x8100, 0x88A8
    for tags in ([(q, 0)], [(ad, 0)], [(ad, 0), (q, 0)], [(q, 1)], [(q, 2)], [(q, 100)], [(q, 4094)], [(q, 4095)], [(q, 0), (ad, 0)], [(ad, 1), (q, 1)], [(ad, 4095), (q, 0)],
                 [(0x9100, 0)], [(0x9200, 0)], [(0x9300, 0), (q, 0)], [(ad, 0), (q, 0), (q, 0)], [(0x892F, 0)], [(0x88E5, 0x2C00)], [(0xF1C1, 0)]):
        for to in (m, BROADCAST):
            f.send(to, IP, udp(me4, d4, 4000, 53, tag("tags %r" % tags)), tags)
            f.send(to, IP6, udp(me6, d6, 4000, 53, tag("tags6 %r" % tags)), tags)
            f.send(to, ARP, arp(1, f.mac, me4, bytes(6), d4, tag("ARP")), tags)
    for kind, h in ((0x8847, b"\0\0\1\xff"), (0x8848, b"\0\0\1\xff"), (0x8863, b"\x11\x09\0\0\0\x20"), (0x8864, b"\x11\0\0\1\0\x40\0\x21"), (0x894F, bytes(8)), (0x8906, b""),
                    (0x88CC, b""), (0x888E, b""), (0x86DC, b""), (0x22F3, b""), (0x8035, b""), (0x6558, b""), (0x880B, b""), (4, b""), (0x600, b""), (0xFFFF, b""), (60, b"\xaa\xaa\3\0\0\0\x08\0")):
        f.send(m, kind, h + udp(me4, d4, 4000, 53, tag("type %04x" % kind)))
    for g in ("0180c2000000", "0180c2000003", "0180c200000e", "01000ccccccc", "01005e000001", "333300000001", "ffffffffffff"):
        f.send(bytes.fromhex(g), IP, udp(me4, d4, 4000, 53, tag("to MAC " + g)))


for target in targets if who == "attacker" else targets[:1]:
    for send in (transports, options_and_fragments, extensions, addresses, layers): send(*target)
