#!/usr/bin/env python3
"""Bulk goodput of Linux's TCP and of Fourwire's, over the same link of the same engine.

    conformance/lab/goodput.py linux --to DIR     the kernel's part, in real time; needs root
    conformance/lab/goodput.py lab --to DIR       the lab's part, in virtual time
    conformance/lab/goodput.py table --from DIR   both, side by side

--loss 0%,1% and --delay 10ms choose cells; --runs, --seeds and --seconds how much of each; --at-once how many kernel runs
go on at a time. What DIR has already is not run again. FOURWIRE names the binary.

A cell is one connection that sends as much as it can for a minute over a link of 20 Mbit/s each way, with a drop-tail
queue of one bandwidth-delay product, a delay (one way, so the round trip is twice that) and independent loss in both
directions. Both sides use CUBIC. The kernel's segments cross two veth pairs, with offloads off, and between them
`fourwire impair --between`; time is real there, so those processes run with real-time priority. Goodput is what the
receiving program has read after so many seconds from the start, the handshake among them.
"""

import argparse
import json
import math
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RATE = 20_000_000
LOSSES = ["0%", "0.1%", "1%", "3%"]
DELAYS = ["10ms", "50ms", "100ms"]
PORT = 5001
# Two-sided 95 % points of Student's t, by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 19: 2.093}
FOURWIRE = os.environ.get("FOURWIRE") or str(Path(__file__).resolve().parents[2] / "target/release/fourwire")


def queue(delay):
    """One bandwidth-delay product, in bytes."""
    return RATE // 8 * 2 * milliseconds(delay) // 1000


def milliseconds(delay):
    return int(delay.removesuffix("ms"))


# The kernel's part.


def sh(*command, quiet=False):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL if quiet else None)


def inside(space, *command):
    return ["ip", "netns", "exec", space, *command]


class Wires:
    """Three namespaces: two hosts, and the cable between them."""

    def __init__(self, label):
        self.spaces = [f"fw-{label}-{name}-{os.getpid()}" for name in ("near", "far", "cable")]

    def __enter__(self):
        try:
            self.lay()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], stderr=subprocess.DEVNULL)

    def lay(self):
        *hosts, cable = self.spaces
        for space in self.spaces:
            sh("ip", "netns", "add", space)
        for number, host in enumerate(hosts):
            wire = f"wire{number}"
            sh("ip", "link", "add", "eth0", "netns", host, "type", "veth", "peer", "name", wire, "netns", cable)
            sh("ip", "-n", host, "addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            sh(*inside(cable, "sysctl", "-qw", f"net.ipv6.conf.{wire}.disable_ipv6=1"))
            for space, interface in ((host, "eth0"), (cable, wire)):
                off = [word for feature in ("rx", "tx", "sg", "tso", "gso", "gro") for word in (feature, "off")]
                sh(*inside(space, "ethtool", "-K", interface, *off), quiet=True)
                sh("ip", "-n", space, "link", "set", interface, "up")
            sh(*inside(host, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic"))
            # What the run before has learnt of the path is forgotten.
            sh(*inside(host, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1"))


def prepare():
    """What only the first namespace can set, for all."""
    path = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    allowed = path.read_text().split()
    if "cubic" not in allowed:
        path.write_text(" ".join([*allowed, "cubic"]))
    # A burst fits into the socket by which the cable takes its frames.
    most = Path("/proc/sys/net/core/rmem_max")
    most.write_text(str(max(int(most.read_text()), 4 << 20)))


def urgent(priority, command):
    return ["chrt", "-f", str(priority), *command]


def linux_run(loss, delay, seconds, label):
    """One run; a dictionary of what was seen."""
    with Wires(label) as wires:
        near, far, cable = wires.spaces
        flags = ["--rate", str(RATE // 1_000_000) + "Mbit", "--delay", delay, "--queue", f"{queue(delay)}B"]
        if loss != "0%":
            flags += ["--loss", loss]
        log = tempfile.TemporaryFile("w+")
        impair = subprocess.Popen(
            inside(cable, *urgent(20, [FOURWIRE, "impair", "--between", "wire0,wire1", *flags])),
            stdout=log, stderr=subprocess.STDOUT)
        try:
            me = [sys.executable, __file__]
            sink = subprocess.Popen(inside(far, *urgent(10, [*me, "sink", "--seconds", str(seconds), "--delay", delay])),
                                    stdout=subprocess.PIPE, text=True)
            sink.stdout.readline()
            time.sleep(0.5)
            # ARP goes first: only TCP is to be measured.
            subprocess.run(inside(near, "ping", "-c", "3", "-i", "0.2", "10.77.0.2"), stdout=subprocess.DEVNULL)
            source = subprocess.Popen(inside(near, *urgent(10, [*me, "source", "--seconds", str(seconds)])),
                                      stdout=subprocess.PIPE, text=True)
            seen = json.loads(sink.communicate(timeout=seconds + 60)[0])
            seen |= json.loads(source.communicate(timeout=60)[0])
        finally:
            impair.send_signal(signal.SIGINT)
            impair.wait()
        log.seek(0)
        summary = log.read()
        late = re.findall(r"later than they should: (.*)", summary)
        if "longer than an interface's MTU" in summary or "no room for" in summary:
            sys.exit(f"the cable lost frames of itself:\n{summary}")
        return seen | {"late": late, "lost": re.findall(r"lost: (.*)", summary)}


def source(seconds):
    began = time.monotonic()
    connection = socket.create_connection(("10.77.0.2", PORT))
    used = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    connection.settimeout(0.5)
    piece = bytes(65536)
    while time.monotonic() - began < seconds + 1:
        try:
            connection.send(piece)
        except (TimeoutError, ConnectionError):
            pass
    print(json.dumps({"cubic": used == "cubic"}))


def sink(seconds, delay):
    listener = socket.create_server(("10.77.0.2", PORT))
    print("ready", flush=True)
    connection, _ = listener.accept()
    # The handshake has crossed the link three times since the start.
    end = time.monotonic() + seconds - 3 * milliseconds(delay) / 1000
    total = 0
    while (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            part = connection.recv(1 << 18)
        except TimeoutError:
            break
        if not part:
            break
        total += len(part)
    print(json.dumps({"bytes": total}), flush=True)


def linux(options):
    if os.geteuid() != 0:
        print("skipped: network namespaces and real-time priority need root")
        return
    prepare()
    jobs = []
    for number in range(options.runs):
        for loss in options.loss:
            for delay in options.delay:
                file = options.to / f"linux-{loss}-{delay}-{number}.json"
                if not file.exists():
                    jobs.append((loss, delay, number, file))

    def work(job):
        loss, delay, number, file = job
        label = f"{loss.rstrip('%')}-{delay}-{number}"
        seen = linux_run(loss, delay, options.seconds, label)
        seen |= {"seconds": options.seconds, "date": time.strftime("%Y-%m-%d"), "kernel": os.uname().release}
        if not seen["cubic"]:
            sys.exit("the kernel did not use CUBIC")
        file.write_text(json.dumps(seen) + "\n")
        print(f"{loss} {delay} run {number}: {mbit(seen):.3f} Mbit/s, late {'; '.join(seen['late'])}", flush=True)

    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(work, jobs))


# The lab's part.

SCENARIO = """\
lab = 1
name = "goodput"
about = "One connection that sends as much as it can."
stop = "{seconds}s"

[link]
path = {{ rate = "20Mbit", delay = "{delay}", queue = "{queue}B"{loss} }}

[node]
near = {{ on = ["path"] }}
far = {{ on = ["path"] }}

[[program]]
on = "far"
sink = {{ port = {port} }}

[[program]]
on = "near"
bulk = {{ to = "far:{port}" }}

[[expect]]
bound = {{ of = "count bytes", on = "far", least = "1" }}
"""


def lab(options):
    jobs = []
    for loss in options.loss:
        for delay in options.delay:
            file = options.to / f"lab-{loss}-{delay}.toml"
            lossy = "" if loss == "0%" else f', loss = "{loss}"'
            file.write_text(SCENARIO.format(delay=delay, queue=queue(delay), loss=lossy, port=PORT,
                                            seconds=options.seconds))
            jobs += [(loss, delay, seed, file) for seed in range(1, options.seeds + 1)]

    def work(job):
        loss, delay, seed, scenario = job
        file = options.to / f"lab-{loss}-{delay}-{seed}.json"
        if file.exists():
            return
        ran = subprocess.run([FOURWIRE, "lab", "run", str(scenario), "--seed", str(seed)],
                             capture_output=True, text=True)
        found = re.search(r"count bytes of far is [^:]*: (\d+)", ran.stdout)
        if ran.returncode != 0 or not found:
            sys.exit(f"{scenario} under seed {seed}:\n{ran.stdout}{ran.stderr}")
        file.write_text(json.dumps({"bytes": int(found[1]), "seconds": options.seconds}) + "\n")

    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(work, jobs))


# Both.


def mbit(seen):
    return seen["bytes"] * 8 / seen["seconds"] / 1e6


def interval(values):
    """The mean, and half of its 95 % interval."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return mean, math.nan
    t = STUDENT.get(len(values) - 1, 1.96)
    return mean, t * statistics.stdev(values) / math.sqrt(len(values))


def table(options):
    print("| loss | delay | Linux | its interval | lab | its interval | lab / Linux | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    apart = 0
    for loss in options.loss:
        for delay in options.delay:
            runs = [json.loads(file.read_text()) for file in sorted(options.to.glob(f"linux-{loss}-{delay}-*.json"))]
            seeds = [json.loads(file.read_text()) for file in sorted(options.to.glob(f"lab-{loss}-{delay}-*.json"))]
            if not runs or not seeds:
                continue
            theirs, spread = interval([mbit(run) for run in runs])
            ours, our_spread = interval([mbit(seed) for seed in seeds])
            ratio = ours / theirs
            agrees = abs(ratio - 1) <= 0.1 or abs(ours - theirs) <= spread
            apart += not agrees
            print(f"| {loss} | {delay} | {theirs:.2f} | {theirs - spread:.2f}..{theirs + spread:.2f} "
                  f"| {ours:.2f} | {ours - our_spread:.2f}..{ours + our_spread:.2f} | {ratio:.2f} "
                  f"| {'agrees' if agrees else '**apart**'} |")
    sys.exit(apart > 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["linux", "lab", "table", "source", "sink"])
    parser.add_argument("--to", "--from", type=Path, default=Path("goodput"), metavar="DIR")
    parser.add_argument("--loss", type=lambda text: text.split(","), default=LOSSES)
    parser.add_argument("--delay", type=lambda text: text.split(","), default=DELAYS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=1)
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    match options.part:
        case "source": source(options.seconds)
        case "sink": sink(options.seconds, options.delay[0])
        case "linux": linux(options)
        case "lab": lab(options)
        case "table": table(options)


if __name__ == "__main__":
    main()
