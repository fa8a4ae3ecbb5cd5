#!/usr/bin/env python3
"""Linux's side of the cases: programs on the kernel's sockets."""

import hashlib
import http.server
import json
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time


def connect(host, port, timeout=20):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect((host, int(port)))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def bulk(host, port, up, down):
    """The other end of crates/stack/examples/bulk.rs."""
    up, down = int(up), int(down)
    noise = random.Random(up).randbytes(8 << 20)
    s = connect(host, port)
    began = time.monotonic()
    s.sendall(struct.pack(">QQ", up, down))
    failures = []

    def send():
        try:
            digest, left, at = hashlib.sha256(), up, 0
            while left:
                # A little further each time, so that no two pieces are alike.
                at = (at + 65_537) % (len(noise) - (1 << 20))
                piece = memoryview(noise)[at : at + min(left, 1 << 20)]
                digest.update(piece)
                s.sendall(piece)
                left -= len(piece)
            s.sendall(digest.digest())
            s.shutdown(socket.SHUT_WR)
        except OSError as error:
            failures.append(f"sending: {error}, {left} bytes are left")

    sender = threading.Thread(target=send)
    sender.start()
    digest, left, buffer = hashlib.sha256(), down, bytearray(1 << 20)
    try:
        while left:
            read = s.recv_into(buffer, min(left, len(buffer)))
            if not read:
                break
            digest.update(memoryview(buffer)[:read])
            left -= read
        rest = b""
        while piece := s.recv(4096):
            rest += piece
        if left:
            failures.append(f"{left} of {down} bytes are missing")
        elif rest != digest.digest():
            failures.append(f"the checksum is wrong: {rest.hex()}")
    except OSError as error:
        failures.append(f"receiving: {error}, {left} bytes are left")
    sender.join()
    took = time.monotonic() - began
    rate = (up + down) * 8 / took / 1e6
    print(f"  {host}: {up / 1e6:.0f} MB to it, {down / 1e6:.0f} MB from it in {took:.2f} s ({rate:.0f} Mbit/s)")
    return "; ".join(failures)


def udp(host, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    for length in (0, 1, 1400, 1473, 9000, 60000):
        said = bytes(i % 251 for i in range(length))
        s.sendto(said, (host, int(port)))
        heard = s.recv(65535)
        if heard != said:
            return f"{length} bytes were said, {len(heard)} heard"


def http_server(directory, port):
    """Serves the files of a directory, and takes new ones by PUT."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *args):
            super().__init__(*args, directory=directory)

        def do_PUT(self):
            if self.headers.get("Expect") == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            left = int(self.headers["Content-Length"])
            with open(self.translate_path(self.path), "wb") as file:
                while left and (piece := self.rfile.read(min(left, 1 << 20))):
                    file.write(piece)
                    left -= len(piece)
            self.send_response(500 if left else 201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    server = Server(("::", int(port)), Handler)
    print("the server is ready", flush=True)
    server.serve_forever()


class WebSocket:
    """A client of the hub, over a socket that does not block; text frames of less than 64 KiB."""

    UPGRADE = (
        "GET /connection/websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    def __init__(self, host, port, source="0.0.0.0"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Linux chooses the port when it knows the other end.
        self.socket.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        self.socket.bind((source, 0))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex((host, int(port)))
        self.host = host
        self.upgraded = False
        self.received = b""
        self.pinged, self.pings = time.monotonic(), 0

    def begin(self):
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self.socket.sendall(self.UPGRADE.format(self.host).encode())

    def say(self, *commands):
        payload = "\n".join(json.dumps(command) for command in commands).encode()
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else struct.pack(">BH", 0xFE, len(payload))
        # A mask of zeros leaves the payload as it is.
        self.socket.sendall(b"\x81" + length + bytes(4) + payload)

    def hear(self):
        """What has come: replies and pushes; answers the server's pings."""
        try:
            piece = self.socket.recv(65536)
        except BlockingIOError:
            return []
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.received += piece
        if not self.upgraded:
            head, found, rest = self.received.partition(b"\r\n\r\n")
            if not found:
                return []
            if b" 101 " not in head:
                raise ConnectionError(head.decode())
            self.upgraded, self.received = True, rest
        heard = []
        while len(self.received) >= 2:
            first, length = self.received[0], self.received[1]
            begin = 2
            if length == 126:
                if len(self.received) < 4:
                    break
                (length,) = struct.unpack_from(">H", self.received, 2)
                begin = 4
            if len(self.received) < begin + length:
                break
            payload, self.received = self.received[begin : begin + length], self.received[begin + length :]
            if first & 0x0F == 8:
                since = time.monotonic() - self.pinged
                raise ConnectionError(f"the server said goodbye: {payload}; it pinged {self.pings} times, last {since:.1f} s ago")
            for line in payload.decode().split("\n"):
                message = json.loads(line)
                if message == {}:
                    self.pinged, self.pings = time.monotonic(), self.pings + 1
                    self.say({})
                else:
                    heard.append(message)
        return heard


def connections(host, port, count, source):
    """Connects a crowd to one room, says something when told to (the end of standard input), waits until all heard it."""
    count = int(count)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < count + 100:
        return f"{count} connections need as many open files, and {most} are allowed: ulimit -n"
    poll = select.epoll()
    crowd, dialing, inside, begun = {}, set(), set(), time.monotonic()
    told, said, heard, phase = False, None, set(), begun
    while len(heard) < count:
        if time.monotonic() - phase > 40:
            return f"of {count} connections {len(crowd)} were begun, {len(inside)} are in, {len(heard)} heard"
        while len(crowd) < count and len(crowd) - len(inside) < 400:
            client = WebSocket(host, port, source)
            crowd[client.socket.fileno()] = client
            dialing.add(client.socket.fileno())
            poll.register(client.socket, select.EPOLLOUT)
        for fileno, _ in poll.poll(0.1):
            if fileno == 0:
                poll.unregister(0)
                told, phase = True, time.monotonic()
                crowd[min(inside)].say({"id": 9, "publish": {"channel": "crowd", "data": "hello"}})
                continue
            client = crowd[fileno]
            if fileno in dialing:
                dialing.remove(fileno)
                client.begin()
                poll.modify(fileno, select.EPOLLIN)
                continue
            was = client.upgraded
            for message in client.hear():
                if "error" in message:
                    return f"the server says {message}"
                if message.get("id") == 2:
                    inside.add(fileno)
                    if len(inside) == count:
                        said = time.monotonic()
                        print(f"all are in after {said - begun:.1f} s", flush=True)
                        poll.register(0, select.EPOLLIN)
                if message.get("push", {}).get("pub", {}).get("data") == "hello":
                    heard.add(fileno)
            if client.upgraded and not was:
                client.say({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "crowd"}})
    # Each says one thing more, and is answered.
    took = time.monotonic() - phase
    for client in crowd.values():
        client.say({"id": 3, "ping": {}})
    answered, phase = set(), time.monotonic()
    while len(answered) < count:
        if time.monotonic() - phase > 40:
            return f"only {len(answered)} of {count} were answered"
        for fileno, _ in poll.poll(0.1):
            if any(message.get("id") == 3 for message in crowd[fileno].hear()):
                answered.add(fileno)
    for client in crowd.values():
        client.socket.close()
    print(f"{count} connections within {said - begun:.1f} s, all heard the message within {took * 1000:.0f} ms")


def alive(host, port):
    """Talks to the server all the time, until told to stop (SIGINT); fails when it is silent for ten seconds."""
    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(1))
    client = WebSocket(host, port)
    select.select([], [client.socket], [], 10)
    client.begin()
    asked, answers, worst = 0, 0, 0.0
    since = time.monotonic()
    while not (stop and asked == answers):
        if client.upgraded and asked == answers and not stop:
            asked += 1
            client.say({"id": asked, "ping": {}} if asked > 1 else {"id": asked, "connect": {}})
            since = time.monotonic()
        if select.select([client.socket], [], [], 0.1)[0]:
            for message in client.hear():
                if message.get("id") == asked:
                    answers += 1
                    worst = max(worst, time.monotonic() - since)
                    if answers == 1:
                        print("connected", flush=True)
                    time.sleep(0.02)
        if time.monotonic() - since > 10:
            return f"no answer for ten seconds, after {answers}"
    print(f"{answers} answers, the slowest after {worst * 1000:.0f} ms")


def flood(host, port, device, rate, seconds):
    """SYNs from addresses that never answer (198.18.0.0/15), so many in a second."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    target, port, rate, seconds = socket.inet_aton(host), int(port), int(rate), float(seconds)
    options = bytes.fromhex("020405b40402080a00000001000000000103030a")

    def checksum(data):
        total = sum(struct.unpack(f">{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return ~total & 0xFFFF

    draw, packets = random.Random(1), []
    for _ in range(20_000):
        source = struct.pack(">I", 0xC6120000 + draw.randrange(1 << 17))
        head = struct.pack(">HHIIBBHHH", draw.randrange(1024, 65536), port, draw.getrandbits(32), 0, 0xA0, 2, 64240, 0, 0)
        sum_ = checksum(source + target + struct.pack(">HH", 6, len(head) + len(options)) + head + options)
        segment = head[:16] + struct.pack(">H", sum_) + head[18:] + options
        packets.append(struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0) + source + target + segment)
    print("flooding", flush=True)
    sent, lost, begun = 0, 0, time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        while sent < passed * rate:
            try:
                raw.sendto(packets[sent % len(packets)], (host, 0))
            except OSError:
                lost += 1
            sent += 1
        time.sleep(0.001)
    print(f"{sent - lost} SYNs within {seconds:.0f} s")


if __name__ == "__main__":
    commands = {"bulk": bulk, "udp": udp, "http": http_server, "connections": connections, "alive": alive, "flood": flood}
    failure = commands[sys.argv[1]](*sys.argv[2:])
    if failure:
        print(f"  {failure}")
        sys.exit(1)
