"""One thing at a time asked of a server that runs under qemu-user with our plug-in, which counts its
instructions and its calls into the kernel. The server sleeps before and after each, and has one
processor with who asks it, who is not interrupted by it: so what was sent together is there
together, and the counts repeat."""

import mmap
import os
import socket
import statistics
import struct
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import legs
import wire
from peers import HOME, nat_test
from server import Server

SOURCE = Path(__file__).with_name("count.c")
SLOTS = 1024
EMULATORS = {"x86_64": "qemu-x86_64", "aarch64": "qemu-aarch64", "armv7": "qemu-arm"}
# Not counted: clock_gettime, which a real kernel answers from a page that it shares, without a call;
# and brk, mmap, mprotect, munmap, mremap and madvise, by which the allocator takes and gives back
# pages, or does not, as the heap happens to lie.
CLOCK_AND_HEAP = {
    "x86_64": {228, 12, 9, 10, 11, 25, 28},
    "aarch64": {113, 214, 222, 226, 215, 216, 233},
    "armv7": {263, 403, 45, 192, 125, 91, 163, 220},
}
# How often two threads find each other asleep is the machine's affair: futex is not counted where
# the store's took part, which syncs.
FUTEX = {"x86_64": {202}, "aarch64": {98}, "armv7": {240, 422}}
SYNC = {"x86_64": 75, "aarch64": 83, "armv7": 148}
QUIET_SECONDS = 0.002
TIMES = 15
DEVICES, SENDERS = 100, 60


@contextmanager
def counted(binary, machine, folder, more=()):
    """A server, as long as it is needed; the processor and priority are this program's meanwhile."""
    processors = os.sched_getaffinity(0)
    server = Counted(binary, machine, folder, more)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, processors)


class Counted(Server):
    """A server whose counts are read while it runs."""

    def __init__(self, binary, machine, folder, more=()):
        plugin, counts = Path(folder) / "count.so", Path(folder) / "counts"
        if not plugin.exists():
            subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", plugin, SOURCE], check=True)
        counts.write_bytes(bytes(SLOTS * 8))
        self.ignored, self.futex, self.sync = CLOCK_AND_HEAP[machine], FUTEX[machine], SYNC[machine]
        self.file = open(counts, "rb")
        self.counts = mmap.mmap(self.file.fileno(), SLOTS * 8, prot=mmap.PROT_READ)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        under = [EMULATORS[machine], "-plugin", f"{plugin},counts={counts}"]
        super().__init__(binary, folder, more=more, under=["chrt", "--batch", "0", *under])
        priority = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, priority, os.sched_param(1))

    def read(self):
        instructions, *calls = struct.unpack(f"{SLOTS}Q", self.counts)
        made = {number: many for number, many in enumerate(calls) if number not in self.ignored}
        return instructions, Counter(made)

    def quiet(self):
        """Waits until all threads sleep and nothing is counted any more; what was counted."""
        before = None
        while (now := self.read()) != before or not self.asleep():
            before = now
            time.sleep(QUIET_SECONDS)
        return now

    def asleep(self):
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            if (task / "stat").read_text().rpartition(")")[2].split()[0] != "S":
                return False
        return True

    def made(self, calls):
        if self.sync not in calls:
            return calls
        return {number: many for number, many in calls.items() if number not in self.futex}

    def each(self, play, times=TIMES):
        """What `play(turn)` costs: the calls most often seen, and the median of instructions."""
        instructions, calls = [], Counter()
        before = self.quiet()
        for turn in range(times):
            play(turn)
            after = self.quiet()
            instructions.append(after[0] - before[0])
            calls[frozenset(self.made(after[1] - before[1]).items())] += 1
            before = after
        return dict(calls.most_common(1)[0][0]), int(statistics.median(instructions))


class Units:
    """What is counted: a method each, which names it, in the order in which one needs another."""

    def __init__(self, server):
        self.server, self.port = server, server.port
        self.devices = [self.device(number) for number in range(DEVICES)]

    def device(self, number):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((f"127.1.0.{number % SENDERS + 1}", 0))
        opened.connect((HOME, self.port))
        opened.settimeout(20)
        return opened

    def all(self):
        """Name and costs of each."""
        server = self.server
        yield "NAT test, connection and all", server.each(self.nat_test, SENDERS)
        yield "registration of a new device", server.each(self.register, DEVICES)
        yield "registration of a known device", server.each(self.register)
        yield "heartbeat", server.each(self.heartbeat)
        yield "punch, first of a key, by UDP", server.each(self.punch_by_udp)
        yield "punch by UDP", server.each(self.punch_by_udp)
        yield "punch by TCP", server.each(self.punch_by_tcp)
        yield "relayed pair, made and closed", server.each(self.relayed_pair)
        yield from self.chunks("relayed chunk", legs.pair, lambda data: data, 0)
        yield from self.chunks("WebSocket message", legs.web_pair, legs.masked, 2)

    def chunks(self, name, pair, sent, header):
        both = pair(self.port, 1_000)
        for size, text, more in ((1_400, "1400 B", header and 4), (65_536, "64 KiB", header and 10)):
            data = sent(bytes(size))

            def carry(_):
                both[0].sendall(data)
                wire.exactly(both[1], size + more)

            yield f"{name} of {text}", self.server.each(carry)
        for leg in both:
            leg.close()

    def nat_test(self, turn):
        nat_test(self.port, f"127.1.0.{turn % SENDERS + 1}")

    def connected(self, source):
        stream = socket.socket()
        stream.settimeout(20)
        stream.bind((source, 0))
        stream.connect((HOME, self.port))
        return stream

    def ask(self, number, request, expected):
        self.devices[number].send(request(number))
        if (answer := self.devices[number].recv(2048)) != expected:
            raise SystemExit(f"unexpected answer {answer.hex()}")

    def register(self, turn):
        self.ask(turn, wire.register_pk, wire.REGISTERED)

    def heartbeat(self, turn):
        self.ask(turn, wire.register_peer, wire.PRESENT)

    def punch_by_udp(self, turn):
        self.punch(turn, self.devices[turn].send, udp_port=4000)

    def punch_by_tcp(self, turn):
        def answer(sent):
            with self.connected("127.3.0.1") as target:
                target.sendall(wire.frame(sent))

        self.punch(turn, answer)

    def punch(self, turn, answer, udp_port=None):
        with self.connected("127.2.0.1") as initiator:
            initiator.sendall(wire.frame(wire.punch_request(turn, udp_port)))
            told = wire.fields(wire.fields(self.devices[turn].recv(2048))[9])
            answer(wire.punch_sent(turn, told[1]))
            if 2 not in wire.fields(wire.fields(wire.read_frame(initiator))[11]):
                raise SystemExit("a punch was answered without a signed key")

    def relayed_pair(self, turn):
        for leg in legs.pair(self.port, turn):
            leg.close()
