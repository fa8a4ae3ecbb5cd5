#!/usr/bin/env python3
"""Compares what tshark and our parsers read in one capture, field by field.

    verdict.py CAPTURE DISSECT [--ours]

DISSECT is the example of that name in `crates/wire`. With --ours the capture was written by us: then nothing in it may
displease Wireshark. Prints what differs, and what was compared; exit status 0 when nothing differs.
"""

import collections
import ipaddress
import subprocess
import sys

# Packets are compared as they came, checksums with them.
OPTIONS = ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
           "ip.check_checksum:TRUE", "udp.check_checksum:TRUE", "tcp.check_checksum:TRUE",
           "wlan.check_checksum:TRUE", "tcp.analyze_sequence_numbers:FALSE"]
# Of the layers above IP only the outer packet is compared: we do not read further into one that an error quotes.
WITH_QUOTED = ("ip.", "ipv6.", "frame.", "dhcp.option.", "icmpv6.opt.", "icmpv6.mld", "igmp.", "tcp.options.sack")
# Padding and ends, of which we do not speak.
PASSED_OVER = {"ip.opt.type": {"0", "1"}, "dhcp.option.type": {"0", "255"}}
SEPARATOR = "\x1f"


def main():
    capture, dissect, *ours = sys.argv[1:]
    fields = run([dissect, "--fields"]).split()
    ours_said = [line.split("\t") for line in run([dissect, capture]).splitlines()]
    asked = [field for field in fields if field != "error"]
    quiet = ["_ws.malformed", "_ws.expert.severity", "_ws.expert.message"]
    theirs = tshark(capture, asked + quiet)
    assert ours_said[0] == fields, "the example prints other fields than it says"
    rows = ours_said[1:]
    wrong = []
    if len(rows) != len(theirs):
        wrong.append(f"{len(rows)} packets where tshark sees {len(theirs)}")
    compared, values = collections.Counter(), 0
    for number, (mine, other) in enumerate(zip(rows, theirs), 1):
        mine = {field: value.split(",") if value else [] for field, value in zip(fields, mine)}
        error = ",".join(mine.pop("error"))
        if error:
            wrong.append(f"packet {number}: we say: {error}")
        is_fragment = any(value not in ("", "0") for field in
                          ("ip.flags.mf", "ip.frag_offset", "ipv6.fraghdr.more", "ipv6.fraghdr.offset")
                          for value in mine[field][:1])
        is_error = mine["icmp.type"][:1] in (["3"], ["5"], ["11"], ["12"]) or mine["icmpv6.type"][:1] in (
            ["1"], ["2"], ["3"], ["4"], ["137"])
        for field in asked:
            if is_fragment and not field.startswith(("frame.", "eth.", "ip.", "ipv6.")):
                continue
            if is_error and field.startswith(("udp.", "tcp.", "icmp.ident", "icmp.seq", "icmpv6.echo.")):
                continue
            a, b = normal(field, mine[field]), normal(field, other[field])
            if not field.startswith(WITH_QUOTED):
                a, b = a[:1], b[:1]
            if field.endswith("checksum.status"):
                # What a quoted packet says of itself is not looked at, nor what has no checksum to look at.
                a, b = a[:1], [status for status in b[:1] if status == "1"]
                if field.startswith("udp") and other[field][:1] == ["3"]:
                    b = a
            if a != b:
                wrong.append(f"packet {number}: {field}: we say {a}, tshark {b}")
            elif a:
                compared[field.split(".")[0]] += 1
                values += len(a)
        if ours:
            loud = [severity for severity in other["_ws.expert.severity"] if int(severity) >= 0x600000]
            if loud or other["_ws.malformed"]:
                wrong.append(f"packet {number}: tshark complains: {other['_ws.expert.message']}")
    for line in wrong[:40]:
        print(line)
    if len(wrong) > 40:
        print(f"… and {len(wrong) - 40} more")
    kinds = ", ".join(f"{layer} {count}" for layer, count in sorted(compared.items()))
    name = capture.rsplit("/", 1)[-1]
    print(f"{name}: {len(rows)} packets, {values} values equal, {len(wrong)} differ ({kinds})")
    sys.exit(bool(wrong) or not rows)


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def tshark(capture, fields):
    """What tshark says of each packet: for each field its values."""
    command = ["tshark", "-n", "-r", capture, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a",
               "-E", f"aggregator={SEPARATOR}"]
    for option in OPTIONS:
        command += ["-o", option]
    for field in fields:
        command += ["-e", field]
    packets = []
    for line in run(command).split("\n")[:-1]:
        values = line.split("\t")
        assert len(values) == len(fields), line
        packets.append({field: value.split(SEPARATOR) if value else [] for field, value in zip(fields, values)})
    return packets


def normal(field, values):
    """Values without the ways to write them."""
    out = []
    for value in values:
        if value in PASSED_OVER.get(field, ()):
            continue
        value = {"True": "1", "False": "0"}.get(value, value)
        try:
            value = str(int(value, 0))
        except ValueError:
            pass
        if field.endswith(("src", "dst", "address")):
            try:
                value = str(ipaddress.ip_address(value))
            except ValueError:
                pass
        out.append(value)
    return out


if __name__ == "__main__":
    main()
