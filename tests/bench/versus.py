"""The relay beside other forwarders on the same loads, taking turns: HAProxy with splicing, and
the plainest loop that copies 64 KiB at a time. Forwarders stand in a network namespace, the load
outside, a veth pair between. What counts is CPU seconds per GB carried. Only hbb knows what a
WebSocket is: what it needs for messages is held against the others' plain bytes."""

import os
import shutil
import socket
import statistics
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import legs
from server import Server, Spent, free_port

SOURCE = Path(__file__).with_name("load.c")
HAPROXY = """
global
    nbthread 1
    maxconn 1000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    {splice}
    option clitcpka
listen relay
    bind 0.0.0.0:{port}
    server sink {here}:{backend}
"""
# Name, pairs, and what `load` is told: chunk and bytes of each pair, or chunk, interval in
# microseconds and count.
LOADS = [
    ("64 KiB, 1 pair", 1, ("pump", 65_536, 3_000_000_000)),
    ("64 KiB, 4 pairs", 4, ("pump", 65_536, 1_000_000_000)),
    ("1400 B, 1 pair", 1, ("pump", 1_400, 600_000_000)),
    ("1400 B, 4 pairs", 4, ("pump", 1_400, 200_000_000)),
    ("64 KiB at 20 Mbit/s, 8 pairs", 8, ("pace", 65_536, 26_214, 154)),
    ("1400 B at 20 Mbit/s, 8 pairs", 8, ("pace", 1_400, 560, 7_200)),
]
WEB = ", WebSocket"
BULK, ECHO = ("pump", 65_536, 10**15), ("echo", 200, 4_000, 750)


class Place:
    """A network namespace for the forwarder; removed in the end."""

    def __init__(self):
        self.name = f"hbb-bench-{os.getpid()}"
        self.here, self.host = "10.213.7.1", "10.213.7.2"
        self.prefix = ["ip", "netns", "exec", self.name]
        self.made("netns", "add", self.name)
        self.made("link", "add", "hbb-bench", "type", "veth", "peer", "hbb-far", "netns", self.name)
        self.made("addr", "add", f"{self.here}/30", "dev", "hbb-bench")
        self.made("link", "set", "hbb-bench", "up")
        self.made("-n", self.name, "addr", "add", f"{self.host}/30", "dev", "hbb-far")
        self.made("-n", self.name, "link", "set", "hbb-far", "up")

    @staticmethod
    def made(*words):
        if subprocess.run(["ip", *words]).returncode:
            raise SystemExit("namespaces need root and the package iproute2")

    def remove(self):
        subprocess.run(["ip", "link", "del", "hbb-bench"])
        subprocess.run(["ip", "netns", "del", self.name])


class Relay:
    """hbb; its pairs are two legs of one token."""

    name = "hbb"

    def __init__(self, folder, binary, _load, place):
        self.server = Server(binary, folder, place)
        self.number = 0

    def pair(self):
        self.number += 1
        return legs.pair(self.server.port, self.number, self.server.host)

    def web_pair(self):
        self.number += 1
        return legs.web_pair(self.server.port, self.number, self.server.host)


class Forwarder:
    """A program that connects each caller with one backend, which stands here."""

    def __init__(self, folder, command, place):
        self.backend = socket.create_server((place.here, 0))
        self.port, self.host = free_port(), place.host
        words = command(folder, self.port, (place.here, self.backend.getsockname()[1]))
        log = open(Path(folder) / "forwarder", "ab")
        process = subprocess.Popen([*place.prefix, *words], stderr=log)
        self.server = Server.of(process)
        self.first = self.connect_patiently()

    def connect_patiently(self):
        for _ in range(500):
            try:
                return self.pair()
            except OSError:
                time.sleep(0.01)
        raise SystemExit("a forwarder does not start")

    def pair(self):
        caller = socket.create_connection((self.host, self.port), 5)
        callee, _ = self.backend.accept()
        for end in (caller, callee):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return [caller, callee]


class Haproxy(Forwarder):
    name = "HAProxy"
    splice = "option splice-auto"

    def __init__(self, folder, _binary, _load, place):
        super().__init__(folder, self.command, place)

    def command(self, folder, port, backend):
        settings = Path(folder) / "haproxy"
        here, number = backend
        words = {"splice": self.splice, "port": port, "here": here, "backend": number}
        settings.write_text(HAPROXY.format(**words))
        return ["haproxy", "-db", "-q", "-f", settings]


class Spliced(Haproxy):
    """It splices always, not only where it thinks that helps."""

    name = "HAProxy, forced"
    splice = "option splice-request\n    option splice-response"


class Copy(Forwarder):
    name = "copy loop"

    def __init__(self, folder, _binary, load, place):
        command = lambda _, port, backend: [load, "copy", str(port), *map(str, backend)]
        super().__init__(folder, command, place)


@contextmanager
def running(kind, folder, binary, load):
    place = Place()
    try:
        forwarder = kind(folder, binary, load, place)
    except BaseException:
        place.remove()
        raise
    try:
        yield forwarder
    finally:
        forwarder.server.process.kill()
        forwarder.server.process.wait()
        place.remove()


def compare(folder, binary, rounds=5, forced=False):
    """For each load, of each forwarder: medians of its CPU seconds per GB, of the GB each second;
    and of an echo beside bulk the p50, p99 and worst in microseconds. With each, what it is held
    against."""
    load = build(folder)
    kinds = [Relay, Copy]
    if shutil.which("haproxy"):
        kinds += [Haproxy, Spliced] if forced else [Haproxy]
    seen = {}
    for turn in range(rounds):
        for kind in kinds[turn % len(kinds):] + kinds[: turn % len(kinds)]:
            with running(kind, folder, binary, load) as forwarder:
                for name, figures in one_turn(forwarder, load):
                    seen.setdefault(name, {}).setdefault(kind.name, []).append(figures)
    median = lambda runs: [statistics.median(column) for column in zip(*runs)]
    order = [kind.name for kind in kinds]
    medians = {name: {kind: median(by_kind[kind]) for kind in order if kind in by_kind}
               for name, by_kind in seen.items()}
    return {name: (figures, medians[name.removesuffix(WEB)]) for name, figures in medians.items()}


def one_turn(forwarder, load):
    """Each load and its figures."""
    for name, pairs, words in LOADS:
        giga = pairs * carried(*words) / 1e9
        legs = opened(forwarder.pair, pairs)
        yield name, carry(forwarder.server, legs, (load, *words), giga)
        if isinstance(forwarder, Relay):
            legs = opened(forwarder.web_pair, pairs)
            yield name + WEB, carry(forwarder.server, legs, (load, "web", *words), giga)
    yield "echo", echo_beside_bulk(forwarder, load)
    if isinstance(forwarder, Relay):
        yield "echo" + WEB, echo_beside_bulk(forwarder, load, "web")


def build(folder):
    load = Path(folder) / "load"
    subprocess.run(["gcc", "-O2", "-o", load, SOURCE, "-lpthread"], check=True)
    return load


def carried(kind, chunk, *size):
    """Bytes of each pair."""
    return size[0] // chunk * chunk if kind == "pump" else size[1] * chunk


def carry(server, pairs, command, giga):
    with pairs as held:
        with Spent(server) as spent:
            seconds = float(finish(start(command, held)))
        return spent.cpu / 1e9 / giga, giga / seconds


def echo_beside_bulk(forwarder, load, *web, bulk=4):
    pair = forwarder.web_pair if web else forwarder.pair
    with opened(pair, bulk) as held, opened(forwarder.pair, 1) as one:
        busy = start((load, *web, *BULK), held)
        time.sleep(0.3)
        figures = [float(word) for word in finish(start((load, *ECHO), one)).split()]
        busy.kill()
        busy.wait()
        return figures


@contextmanager
def opened(pair, pairs):
    held = [pair() for _ in range(pairs)]
    try:
        yield held
    finally:
        for leg in (leg for both in held for leg in both):
            leg.close()
        time.sleep(0.1)


def start(command, held):
    files = [[leg.fileno() for leg in both] for both in held]
    named = [f"{one}:{other}" for one, other in files]
    return subprocess.Popen([*map(str, command), *named], stdout=subprocess.PIPE, text=True,
                            pass_fds=[file for both in files for file in both])


def finish(process):
    text = process.communicate()[0]
    if process.returncode:
        raise SystemExit("a forwarder lost bytes")
    return text


def yardsticks(figures, column):
    """What others need, by name; those that ran."""
    names = (kind.name for kind in (Copy, Haproxy, Spliced))
    return {name: figures[name][column] for name in names if name in figures}
