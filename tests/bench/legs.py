"""Relay legs: pairs that are idle, pump bytes, or play ping-pong."""

import multiprocessing
import socket
import time

import wire


def pair(port, number):
    """Two joined legs, from two addresses."""
    token = f"5d2c8a10-0000-4000-8000-{number:012x}"
    legs = []
    for side in (1, 2):
        leg = socket.socket()
        leg.bind((f"127.{10 + side}.{number // 250}.{number % 250 + 1}", 0))
        leg.connect(("127.0.0.1", port + 1))
        leg.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        leg.sendall(wire.frame(wire.request_relay(token)))
        legs.append(leg)
    # The first byte through proves that they are joined.
    legs[0].sendall(b"!")
    wire.exactly(legs[1], 1)
    return legs


def pump(legs, chunk, total):
    """Sends `total` bytes in chunks of `chunk` from one leg to the other; seconds it took."""
    total -= total % chunk
    reader = multiprocessing.Process(target=drain, args=(legs[1], total))
    reader.start()
    data = bytes(chunk)
    began = time.monotonic()
    for _ in range(total // chunk):
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
