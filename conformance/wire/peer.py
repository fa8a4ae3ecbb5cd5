#!/usr/bin/env python3
"""What the hosts of `traffic` say to each other beyond ping and curl. Runs inside their namespaces."""

import http.server
import socket
import struct
import sys
import threading
import time

SERVER = ["10.9.2.2", "fd00:9:2::2"]


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve():
    """HTTP on port 8000, and an echo of datagrams and of streams on port 7."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bytes(range(256)) * 400)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    threading.Thread(target=Server(("::", 8000), Page).serve_forever, daemon=True).start()
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.bind(("::", 7))
    streams = socket.create_server(("::", 7), family=socket.AF_INET6, dualstack_ipv6=True)

    def echo():
        while True:
            connection, _ = streams.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except ConnectionResetError:
                pass  # That is what one of them is for.
            connection.close()

    threading.Thread(target=echo, daemon=True).start()
    while True:
        data, sender = datagrams.recvfrom(65536)
        datagrams.sendto(data, sender)


def talk():
    """Datagrams small, odd, large, with extension headers and to nobody; a stream with urgent data, and one cut off."""
    for address in SERVER:
        with socket.socket(family(address), socket.SOCK_DGRAM) as udp:
            udp.settimeout(1)
            for size in [0, 1, 37, 1000, 5000]:
                udp.sendto(b"x" * size, (address, 7))
                try:
                    udp.recv(65536)
                except OSError:
                    pass
            udp.sendto(b"nobody", (address, 9999))
            time.sleep(0.1)
            if family(address) == socket.AF_INET6:
                # Router alert and padding; a destination option that says to be passed over; segment routing at its end.
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, bytes([0, 0, 5, 2, 0, 0, 1, 0]))
                udp.sendto(b"hop by hop", (address, 7))
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 0x1E, 2, 9, 9, 1, 0]))
                udp.sendto(b"both", (address, 7))
                udp.sendto(b"both in fragments" * 200, (address, 7))
                # One that says to be answered when it is unknown.
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 0x9E, 2, 9, 9, 1, 0]))
                udp.sendto(b"unknown", (address, 7))
        with socket.create_connection((address, 7)) as tcp:
            tcp.sendall(b"before")
            tcp.send(b"!", socket.MSG_OOB)
            tcp.sendall(b"after")
            time.sleep(0.2)
            tcp.recv(4096)
        tcp = socket.create_connection((address, 7))
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tcp.sendall(b"cut off")
        tcp.close()
    # The sender marks what no protocol number of ours is.
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 253) as raw:
        raw.sendto(b"experiment", ("10.9.2.2", 0))
    join()
    time.sleep(2)


def join():
    """Groups of both families, with and without a source, for a moment."""
    group = socket.inet_aton("239.1.2.3")
    interface = socket.inet_aton("10.9.1.2")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + interface)
        time.sleep(0.3)
        IP_ADD_SOURCE_MEMBERSHIP = 39
        other = socket.inet_aton("232.1.1.1")
        udp.setsockopt(socket.IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, other + interface + socket.inet_aton("10.1.1.1"))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        udp.sendto(b"to the group", ("239.1.2.3", 5000))
        time.sleep(0.5)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        index = socket.if_nametoindex("eth0")
        group = socket.inet_pton(socket.AF_INET6, "ff05::1234")
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("I", index))
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        udp.sendto(b"to the group", ("ff05::1234", 5000))
        time.sleep(0.5)
    time.sleep(0.5)


def solicit():
    """Asks for router advertisements."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as icmp:
        icmp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth1"))
        icmp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        icmp.sendto(bytes([133, 0, 0, 0, 0, 0, 0, 0]), ("ff02::2", 0))


if __name__ == "__main__":
    if sys.argv[1] != "serve":
        socket.setdefaulttimeout(2)
    {"serve": serve, "talk": talk, "join": join, "solicit": solicit}[sys.argv[1]]()
