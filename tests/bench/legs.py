"""Relay legs: pairs that are idle, pump bytes, or play ping-pong."""

import multiprocessing
import socket
import time

import wire


def pair(port, number, host="127.0.0.1"):
    """Two joined legs, over loopback from two addresses."""
    token = f"5d2c8a10-0000-4000-8000-{number:012x}"
    legs = []
    for side in (1, 2):
        leg = opened(side, number, (host, port + 1))
        leg.sendall(wire.frame(wire.request_relay(token)))
        legs.append(leg)
    # The first byte through proves that they are joined.
    legs[0].sendall(b"!")
    wire.exactly(legs[1], 1)
    return legs


def web_pair(port, number, host="127.0.0.1"):
    """The same over WebSocket."""
    token = f"5d2c8a10-0000-4000-8001-{number:012x}"
    legs = []
    for side in (1, 2):
        leg = opened(side, number, (host, port + 3))
        leg.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    b"Sec-WebSocket-Version: 13\r\n\r\n")
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += wire.exactly(leg, 1)
        leg.sendall(masked(wire.request_relay(token)))
        legs.append(leg)
    legs[0].sendall(masked(b"!"))
    wire.exactly(legs[1], 3)
    return legs


def opened(side, number, to):
    leg = socket.socket()
    if to[0] == "127.0.0.1":
        leg.bind((f"127.{10 + side}.{number // 250}.{number % 250 + 1}", 0))
    leg.connect(to)
    leg.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return leg


def masked(payload):
    """A client's binary message; its mask is of zeros, which the relay applies like any other."""
    size = len(payload)
    if size < 126:
        return bytes([0x82, 0x80 | size]) + bytes(4) + payload
    if size < 0x10000:
        return b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4) + payload
    return b"\x82\xff" + size.to_bytes(8, "big") + bytes(4) + payload


def pump(legs, data, received, total):
    """Sends about `total` bytes as repeated `data`, each of which arrives as so many bytes;
    seconds it took."""
    count = total // received
    reader = multiprocessing.Process(target=drain, args=(legs[1], count * received))
    reader.start()
    began = time.monotonic()
    for _ in range(count):
        legs[0].sendall(data)
    reader.join()
    if reader.exitcode:
        raise SystemExit("the relay lost bytes")
    return time.monotonic() - began


def drain(leg, total):
    buffer, left = bytearray(256 * 1024), total
    while left > 0:
        got = leg.recv_into(buffer, min(left, len(buffer)))
        if not got:
            raise EOFError("the relay closed the leg")
        left -= got


def ping_pong(legs, chunk, rounds):
    """Chunks to and fro, one under way at a time, as mouse movements and small frames are."""
    data = bytes(chunk)
    for _ in range(rounds):
        legs[0].sendall(data)
        wire.exactly(legs[1], chunk)
        legs[1].sendall(data)
        wire.exactly(legs[0], chunk)
