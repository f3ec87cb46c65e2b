#!/usr/bin/env python3
"""Measures the real hbb binary and prints tables; README.md says more.

    tests/bench/bench.py                     everything
    tests/bench/bench.py memory relay        only these parts
    tests/bench/bench.py others --splice     beside HAProxy that splices always, too
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import growth  # noqa: E402
import legs  # noqa: E402
import price  # noqa: E402
import soak  # noqa: E402
import versus  # noqa: E402
import wire  # noqa: E402
from peers import Peers, enrol, percentile  # noqa: E402
from server import Server, Spent, Syscalls  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TRIPLE = "x86_64-unknown-linux-musl"
CANDIDATES = [
    ROOT / "dist" / TRIPLE / "hbb",
    TARGET / TRIPLE / "release/hbb",
    TARGET / "release/hbb",
]
MEGA = 1_000_000
PACED = 2_000
AT_ONCE = 64
PACE_SECONDS = 0.002


def main():
    print(f"{BINARY} {BINARY.stat().st_size} bytes")
    for part in OPTIONS.parts or PARTS:
        PARTS[part]()


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5, help="runs of others in turns; 5")
    parser.add_argument("--splice", action="store_true",
                        help="others: add HAProxy with splice-request and splice-response, "
                             "which splices what splice-auto would copy")
    chosen = parser.parse_args()
    if unknown := [part for part in chosen.parts if part not in PARTS]:
        parser.error(f"no such part: {unknown[0]}")
    return chosen


def binary():
    given = [Path(os.environ["HBB_BIN"])] if "HBB_BIN" in os.environ else CANDIDATES
    for path in given:
        if path.is_file():
            return path.resolve()
    raise SystemExit("no binary; build one with 'cargo build --release' or name it in HBB_BIN")


@contextmanager
def data_folder():
    # On the disk of the build, not in a file system in memory: commits shall cost what they cost.
    folder = tempfile.mkdtemp(prefix="bench-", dir=TARGET if TARGET.is_dir() else ROOT)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def server(data, *more):
    running = Server(BINARY, data, more=more)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def table(title, *header):
    print(f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")


def row(*cells):
    texts = (f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in cells)
    print(f"| {' | '.join(texts)} |", flush=True)


def memory():
    table("Memory", "state", "target MiB", "RSS MiB", "anonymous", "peak", "store MiB", "seconds")
    with data_folder() as data:
        known = 0
        for count, target in ((0, 2), (10_000, 8), (100_000, 30.5)):
            if count:
                with server(data) as running:
                    began = time.monotonic()
                    enrol(running.port, known, count)
                    show(f"{count:,} registered", target, running, data, began)
                    known = count
                    began = time.monotonic()
                    stopping = running.stop()
                row("its stop", "", "", "", "", store_mib(data), stopping)
            with server(data) as running:
                show(f"start with {count:,}", target, running, data, running.began,
                     running.start_seconds)
                if not count:
                    idle(running)


def idle(running, seconds=5):
    with Spent(running) as spent:
        before = running.switches()
        time.sleep(seconds)
        woken = running.switches() - before
    row(f"idle for {seconds} s: woken {woken} times", "", "", "", "", "", spent.cpu / 1e9)


def show(state, target, running, data, began, seconds=None):
    now = (time.monotonic() - began) if seconds is None else seconds
    row(state, target, *(kib / 1024 for kib in running.memory()), store_mib(data), now)


def store_mib(data):
    return (Path(data) / "hbb.store").stat().st_size / 1024 / 1024


def registration(count=10_000):
    table(f"{count:,} new registrations, by requests outstanding", "outstanding", "each second",
          "CPU µs", "of it store", "p50 ms", "p99 ms", "written B", "to disk B", "sent again")
    for window, some in ((1, count // 20), (32, count), (256, count)):
        with data_folder() as data, server(data) as running:
            many = Peers(running.port, some, window)
            many.prove(running.port)
            with Spent(running) as spent:
                latencies, again = many.register()
            many.close()
            row(window, some / spent.seconds, spent.cpu / some / 1e3,
                spent.threads.get("store", 0) / some / 1e3,
                percentile(latencies, 50) * 1e3, percentile(latencies, 99) * 1e3,
                spent.written // some, spent.to_disk // some, again)


def signalling(count=10_000, punches=500):
    table("Signalling", "message", "outstanding", "each second", "CPU µs", "p50 µs", "p99 µs")
    with data_folder() as data, server(data) as running:
        # A peer that moves to another port registers again.
        everybody = Peers(running.port, count, 256, sources=1)
        everybody.prove(running.port)
        everybody.register()
        everybody.close()
        for window in (1, 32, 256):
            many = Peers(running.port, count, window, sources=1)
            many.settle()
            with Spent(running) as spent:
                latencies, _ = many.keep_alive()
            row("RegisterPeer", window, count / spent.seconds, spent.cpu / count / 1e3,
                percentile(latencies, 50) * 1e6, percentile(latencies, 99) * 1e6)
            many.close()
        few = Peers(running.port, PACED, 1, sources=1)
        few.settle()
        with Spent(running) as spent:
            few.keep_alive_paced(PACE_SECONDS)
        row("RegisterPeer, one now and then", "", PACED / spent.seconds,
            spent.cpu / PACED / 1e3, "", "")
        few.close()
        many = Peers(running.port, punches, 250, sources=1)
        for name, play in (("first punch of a key, target over TCP", punch_over_tcp),
                           ("further punch, target over TCP", punch_over_tcp),
                           ("further punch, target over UDP", punch_over_udp)):
            # An answer over TCP waits 20 ms (C139), and a device is away after 30 s.
            many.settle()
            with Spent(running) as spent:
                took = sorted(play(running.port, many, peer) for peer in range(punches))
            row(name, 1, punches / spent.seconds, spent.cpu / punches / 1e3,
                percentile(took, 50) * 1e6, percentile(took, 99) * 1e6)
        for name, over_udp in (("target over TCP", False), ("target over UDP", True)):
            many.settle()
            with Spent(running) as spent:
                for first in range(0, punches // AT_ONCE * AT_ONCE, AT_ONCE):
                    punch_at_once(running.port, many, range(first, first + AT_ONCE), over_udp)
            done = punches // AT_ONCE * AT_ONCE
            row(f"further punch, {name}", AT_ONCE, done / spent.seconds, spent.cpu / done / 1e3,
                "", "")


def flood(devices=1000, seconds=5):
    table("Heartbeats at a rate", "each second", "sent", "dropped by the kernel", "answered",
          "lost here", "CPU µs")
    with data_folder() as data, server(data) as running:
        load = versus.build(data)
        many = Peers(running.port, devices, 32)
        many.prove(running.port)
        many.register()
        words = [f"{many.socket_of(peer).fileno()}:{wire.register_peer(peer).hex()}"
                 for peer in range(devices)]
        files = [opened.fileno() for opened in many.sockets]
        for rate in (1_000, 10_000, 40_000):
            dropped = overflowed(data)
            with Spent(running) as spent:
                told = subprocess.run([load, "beat", str(rate), str(seconds), *words],
                                      pass_fds=files, check=True, capture_output=True, text=True)
            sent, answered = map(int, told.stdout.split())
            # The next datagram tells of those dropped before it.
            many.keep_alive_paced(0)
            dropped = overflowed(data) - dropped
            row(rate, sent, dropped, answered, sent - dropped - answered, spent.cpu / sent / 1e3)


def overflowed(data):
    told = subprocess.run([BINARY, "ctl", "--data", data, "--json", "status"], check=True,
                          capture_output=True, text=True)
    return json.loads(told.stdout)["udp"]["overflowed"]


def punch_over_udp(port, many, peer):
    return punch(port, many, peer, lambda answer: many.socket_of(peer).send(answer), udp_port=4000)


def punch_over_tcp(port, many, peer):
    def answer_over_tcp(answer):
        with socket.create_connection(("127.0.0.1", port), 5, ("127.3.0.1", 0)) as target:
            target.sendall(wire.frame(answer))

    return punch(port, many, peer, answer_over_tcp)


def punch(port, many, peer, answer, udp_port=None):
    """An initiator connects and asks, the target hears and answers, the initiator hears."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 5, ("127.2.0.1", 0)) as initiator:
        initiator.sendall(wire.frame(wire.punch_request(peer, udp_port)))
        told = wire.fields(wire.fields(many.socket_of(peer).recv(2048))[9])
        answer(wire.punch_sent(peer, told[1]))
        if 2 not in wire.fields(wire.fields(wire.read_frame(initiator))[11]):
            raise SystemExit("a punch was answered without a signed key")
    return time.perf_counter() - began


def punch_at_once(port, many, peers, over_udp):
    """All ask, then all targets answer, then all hear; each step waits for the one before. They
    come from networks of their own: of one, the server holds so many connections and no more."""
    asking = [socket.create_connection(("127.0.0.1", port), 5, (f"127.2.{at % AT_ONCE}.1", 0))
              for at in peers]
    for initiator, peer in zip(asking, peers, strict=True):
        initiator.sendall(wire.frame(wire.punch_request(peer, 4000 if over_udp else None)))
    answering = []
    for peer in peers:
        told = wire.fields(wire.fields(many.socket_of(peer).recv(2048))[9])
        answer = wire.punch_sent(peer, told[1])
        if over_udp:
            many.socket_of(peer).send(answer)
        else:
            target = socket.create_connection(("127.0.0.1", port), 5,
                                              (f"127.3.{peer % AT_ONCE}.1", 0))
            target.sendall(wire.frame(answer))
            answering.append(target)
    for target in answering:
        target.close()
    for initiator in asking:
        if 2 not in wire.fields(wire.fields(wire.read_frame(initiator))[11]):
            raise SystemExit("a punch was answered without a signed key")
        initiator.close()


def stream(running, name, both, load):
    data, received, giga = load
    with Spent(running) as spent:
        seconds = legs.pump(both, data, received, giga * 1000 * MEGA)
    row(name, giga / seconds, spent.cpu / 1e9 / giga,
        spent.cpu / 1e3 / (giga * 1000 * MEGA / received))
    close(both)


def relay(giga=2, pairs=1000):
    streams(giga)
    idle_pairs(pairs)


def streams(giga):
    table("Relay", "traffic", "GB each second", "CPU s per GB", "CPU µs per chunk")
    with data_folder() as data, server(data) as running:
        for chunk in (64 * 1024, 1400):
            stream(running, f"stream of {chunk} B", legs.pair(running.port, 0),
                   (bytes(chunk), chunk, giga))
        for chunk, header in ((64 * 1024, 10), (1400, 4)):
            stream(running, f"WebSocket messages of {chunk} B", legs.web_pair(running.port, 0),
                   (legs.masked(bytes(chunk)), chunk + header, giga))
        both, rounds = legs.pair(running.port, 0), 20_000
        with Spent(running) as spent:
            legs.ping_pong(both, 1400, rounds)
        moved = rounds * 2 * 1400 / 1e9
        row("one 1400 B chunk at a time", moved / spent.seconds, spent.cpu / 1e9 / moved,
            spent.cpu / 1e3 / rounds / 2)
        close(both)


def idle_pairs(pairs):
    table("Idle pairs", "pairs", "RSS KiB more", "KiB each", "CPU %", "RSS KiB more after")
    idle_pairs_of("TCP", legs.pair, pairs)
    idle_pairs_of("WebSocket", legs.web_pair, pairs)


def idle_pairs_of(kind, pair, pairs):
    # A relay alone: beside a rendezvous, an address has only a part of the places for tokens that
    # did not pass there.
    with data_folder() as data, server(data, "--role", "relay") as running:
        # The first pair brings in pages of the program, which are no cost of pairs.
        close(pair(running.port, pairs))
        time.sleep(0.5)
        before = running.memory()[0]
        held = [pair(running.port, number) for number in range(pairs)]
        time.sleep(1)
        more = running.memory()[0] - before
        with Spent(running) as spent:
            time.sleep(5)
        for both in held:
            close(both)
        time.sleep(1)
        after = running.memory()[0] - before
        row(f"{pairs:,} over {kind}", more, more / pairs, spent.cpu / 1e9 / spent.seconds * 100,
            after)


def others():
    with data_folder() as data:
        compared = versus.compare(data, BINARY, OPTIONS.rounds, OPTIONS.splice)
    echo, _ = compared.pop("echo")
    beside_web, _ = compared.pop("echo" + versus.WEB)
    beside = [f"to {name}" for name in versus.yardsticks(echo, 0)]
    table(f"Relay beside others, medians of {OPTIONS.rounds}", "load", "forwarder",
          "CPU s per GB", *beside, "GB each second")
    for load, (figures, others) in compared.items():
        for name, (cpu, rate) in figures.items():
            ratios = (cpu / other for other in versus.yardsticks(others, 0).values())
            row(load, name, cpu, *ratios, rate)
    table(f"An echo beside 4 bulk pairs, medians of {OPTIONS.rounds}", "forwarder", "p50 µs",
          "p99 µs", *beside, "worst µs")
    rows = [*echo.items(), *((f"{name}, WebSocket bulk", it) for name, it in beside_web.items())]
    for name, (half, most, worst) in rows:
        ratios = (most / other for other in versus.yardsticks(echo, 1).values())
        row(name, half, most, *ratios, worst)


def growing():
    header = "calls each", "instructions each"
    for what, rows in growth.tables(BINARY, data_folder):
        table(f"{what}, under qemu-user", "of how many", *header)
        for many, calls, instructions in rows:
            row(f"{many:,}", calls, f"{instructions:,}")


def priced():
    table("CPU µs of each", "what", "of the plainest program", "of hbb", "ratio")
    for cells in price.rows(BINARY, data_folder, punch_at_once):
        row(*cells)


def soaking():
    table("Soak", "done", "descriptors", "RSS KiB", "seconds")
    for cells in soak.rows(BINARY, data_folder):
        row(*cells)


def close(both):
    for leg in both:
        leg.close()


def syscalls(count=10_000, punches=500):
    table("Calls into the kernel, under strace", "what", "calls each")
    if not shutil.which("strace"):
        return row("strace is not installed", "")
    for window in (1, 32, 256):
        some = count // 20 if window == 1 else count
        with data_folder() as data, server(data) as running:
            many = Peers(running.port, some, window)
            many.prove(running.port)
            with Syscalls(running) as seen:
                many.register()
            row(f"new registration, {window} outstanding", seen.each(some))
            syncs = sum(seen.calls.get(name, 0) for name in ("fsync", "fdatasync"))
            row("its registrations for each sync", some / max(syncs, 1))
            with Syscalls(running) as seen:
                many.keep_alive()
            row(f"RegisterPeer, {window} outstanding", seen.each(some))
            if window == 1:
                with Syscalls(running) as seen:
                    many.keep_alive_paced(PACE_SECONDS)
                row("RegisterPeer, one now and then", seen.each(some))
            if window == 32:
                with Syscalls(running) as seen:
                    for peer in range(punches):
                        punch_over_tcp(running.port, many, peer)
                row("punch, target over TCP", seen.each(punches))
                both = legs.pair(running.port, 0)
                with Syscalls(running) as seen:
                    legs.ping_pong(both, 1400, punches)
                row("relayed chunk, one at a time", seen.each(punches * 2))
            many.close()


PARTS = {
    "memory": memory,
    "registration": registration,
    "signalling": signalling,
    "flood": flood,
    "price": priced,
    "relay": relay,
    "others": others,
    "syscalls": syscalls,
    "growth": growing,
    "soak": soaking,
}
OPTIONS = options()
BINARY = binary()

if __name__ == "__main__":
    main()
