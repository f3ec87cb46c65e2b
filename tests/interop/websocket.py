"""A WebSocket client that was not written here (`websockets`), against the real server. Called as
websocket.py HOST PORT KEY CHECK; prints what went wrong and exits 1."""

import base64
import sys

from client import REGISTER_PK, TEST_NAT, Connection, field
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def request_relay(key, token):
    return field(18, field(2, token) + field(6, base64.b64encode(key)))


def opened(host, port, path, **more):
    """Pings by the library itself stay on: the server must answer them."""
    return connect(f"ws://{host}:{port}{path}", compression=None, open_timeout=10, **more)


def c031(host, port, _key):
    """Registration on P+2: the answer is one binary message with a keep-alive."""
    for path in ("/", "/ws/id"):
        with opened(host, port + 2, path) as socket:
            socket.send(REGISTER_PK)
            answer = socket.recv(timeout=10)
            assert isinstance(answer, bytes), "not a binary message"
            assert answer[:3] == bytes.fromhex("820102") and answer[4] > 0, answer.hex()
            socket.send(b"")
            socket.send([TEST_NAT[:1], TEST_NAT[1:]])
            assert socket.recv(timeout=10)[:2] == bytes.fromhex("aa01"), "fragments"


def c068(host, port, key):
    """A relay leg beside one over TCP: messages of every size, both ways, and in fragments those
    that may be held until they are whole (C108)."""
    tcp = Connection(host, port + 1)
    tcp.write(request_relay(key, b"python"))
    with opened(host, port + 3, "/ws/relay", max_size=None) as socket:
        socket.send(request_relay(key, b"python"))
        for size in (1, 125, 126, 16_384, 70_000, 3_000_000):
            payload = bytes(index * 7 & 255 for index in range(1000)) * (size // 1000 + 1)
            payload = payload[:size]
            socket.send(payload)
            assert tcp.read() == payload, f"{size} bytes to TCP"
            tcp.write(payload)
            assert socket.recv(timeout=10) == payload, f"{size} bytes to the WebSocket"
            payload = payload[:240_000]
            socket.send(payload[at:at + 60_000] for at in range(0, len(payload), 60_000))
            assert tcp.read() == payload, f"{size} bytes in fragments"


def c073(host, port, _key):
    """A ping is answered with its own payload, a close with a close."""
    with opened(host, port + 2, "/") as socket:
        assert socket.ping(b"still there?").wait(10), "no pong"
        socket.close(1000)
        try:
            socket.recv(timeout=10)
            raise AssertionError("a message after the close")
        except ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 1000, closed


def main():
    host, port, key, check = sys.argv[1:]
    globals()[check](host, int(port), base64.b64decode(key))


if __name__ == "__main__":
    main()
