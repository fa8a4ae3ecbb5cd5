"""libcurl as a client: sends what is at standard input to a URL as one message, and writes what comes back.

    curl.py URL text|binary [FRAGMENTS]
    curl.py version
"""

import os
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "node_modules", "python"))

import curl_cffi  # noqa: E402
from curl_cffi import Curl, CurlECode, CurlError, CurlInfo, CurlOpt, CurlWsFlag  # noqa: E402


def main():
    if sys.argv[1] == "version":
        print(curl_cffi.__curl_version__)
        return
    url, kind = sys.argv[1:3]
    fragments = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    message = sys.stdin.buffer.read()
    flag = CurlWsFlag.TEXT if kind == "text" else CurlWsFlag.BINARY
    curl = Curl()
    curl.setopt(CurlOpt.URL, url.encode())
    curl.setopt(CurlOpt.CONNECT_ONLY, 2)
    curl.perform()
    size = -(-len(message) // fragments)
    for index in range(fragments):
        part = message[index * size : (index + 1) * size]
        more = CurlWsFlag.CONT if index < fragments - 1 else 0
        while part:
            part = part[ready(curl, True, lambda: curl.ws_send(part, flag | more)) :]
    came = bytearray()
    while True:
        part, meta = ready(curl, False, curl.ws_recv)
        if not meta.flags & flag:
            raise SystemExit(f"a frame with flags {meta.flags}")
        came += part
        if meta.bytesleft == 0 and not meta.flags & CurlWsFlag.CONT:
            break
    curl.ws_send((1000).to_bytes(2, "big"), CurlWsFlag.CLOSE)
    part, meta = ready(curl, False, curl.ws_recv)
    if not meta.flags & CurlWsFlag.CLOSE or part[:2] != (1000).to_bytes(2, "big"):
        raise SystemExit("no close frame came back")
    curl.close()
    sys.stdout.buffer.write(came)


def ready(curl, writing, operation):
    """Does it as soon as the socket allows."""
    socket = curl.getinfo(CurlInfo.ACTIVESOCKET)
    while True:
        try:
            return operation()
        except CurlError as error:
            if error.code != CurlECode.AGAIN:
                raise
        if not any(select.select([] if writing else [socket], [socket] if writing else [], [], 20)):
            raise SystemExit("nothing happened for 20 s")


main()
