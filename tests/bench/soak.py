"""Much of everything, and what is left of it in the end: descriptors, memory."""

import os
import select
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import legs
import wire
from peers import HOME, Peers, enrol, nat_test
from server import Server

DEVICES, WINDOW = 1_000, 256
# Heartbeats, connections, relayed pairs; the second with HBB_LONG=1.
AMOUNTS = (200_000, 4_000, 400), (10_000_000, 200_000, 20_000)
# The steps of that, the first of which comes before the beginning: tables grow to what this load
# needs of them. What the rest may leave behind are some pages of the allocator.
STEPS = 10
KEPT_KIB_MAX = 64


def rows(binary, data_folder):
    """What was done so far, descriptors, KiB resident, seconds; raises if something was kept."""
    heartbeats, connections, pairs = AMOUNTS["HBB_LONG" in os.environ]
    with data_folder() as data, running(binary, data) as server:
        enrol(server.port, 0, DEVICES)
        peers = Peers(server.port, DEVICES, WINDOW)
        peers.settle()
        step(server, peers, heartbeats // STEPS, connections // STEPS, pairs // STEPS)
        began, start = time.monotonic(), settled(server)
        yield "one step, the beginning", *start, 0
        for number in range(1, STEPS + 1):
            step(server, peers, heartbeats // STEPS, connections // STEPS, pairs // STEPS)
            done = f"{number * heartbeats // STEPS:,} heartbeats, " \
                   f"{number * connections // STEPS:,} connections, {number * pairs // STEPS:,} pairs"
            yield done, *settled(server), time.monotonic() - began
        end = settled(server)
        peers.close()
    if end[0] != start[0] or end[1] > start[1] + KEPT_KIB_MAX:
        raise SystemExit(f"soak: {start[0]} descriptors and {start[1]} KiB became {end[0]} and {end[1]}")


@contextmanager
def running(binary, data):
    server = Server(binary, data)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def step(server, peers, heartbeats, connections, pairs):
    """In turns, as a device that is not heard from for 30 s is gone."""
    turns = max(1, heartbeats // DEVICES)
    for turn in range(turns):
        peers.keep_alive()
        for number in share(connections, turn, turns):
            connect(server.port, peers, number)
        for number in share(pairs, turn, turns):
            relay(server.port, number)


def share(many, turn, turns):
    return range(many * turn // turns, many * (turn + 1) // turns)


def connect(port, peers, number):
    """Every tenth asks for a device and is told of it."""
    if number % 10:
        return nat_test(port, f"127.1.0.{number % 60 + 1}")
    peer = number // 10 % DEVICES
    with socket.create_connection((HOME, port), 10, ("127.2.0.1", 0)) as initiator:
        initiator.sendall(wire.frame(wire.punch_request(peer, 4_000)))
        device = peers.sockets[peer % WINDOW]
        select.select([device], [], [], 10)
        told = wire.fields(wire.fields(device.recv(2048))[9])
        device.send(wire.punch_sent(peer, told[1]))
        wire.read_frame(initiator)


def relay(port, number):
    both = (legs.web_pair if number % 2 else legs.pair)(port, number)
    for leg in both:
        leg.close()


def settled(server):
    """Descriptors and KiB resident, when what was closed is gone."""
    time.sleep(2)
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir())), server.memory()[0]
