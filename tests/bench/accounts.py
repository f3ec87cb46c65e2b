#!/usr/bin/env python3
"""What accounts cost: memory with 50 users and 5,000 entries in their address books, and bytes
written in a day in which 100 devices do nothing but say that they are there. Needs root, cc, and
a program that is linked dynamically, whose clock is moved. TMPDIR must be on a disk.

    cargo build --release && tests/bench/accounts.py      # HBB_BIN names another program
    HBB_LONG=1 tests/bench/accounts.py                    # each heartbeat there is by HTTP, too
"""

import base64
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import wire
from server import Server

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("HBB_BIN", str(ROOT / "target/release/hbb"))
LONG = "HBB_LONG" in os.environ
USERS, ENTRIES = 50, 100
DEVICES, BEAT_SECS, DAY_SECS = 100, 15, 86_400
# Of a device's heartbeats by HTTP one in so many is sent; by UDP all are.
ONE_IN = 1 if LONG else 20
API = 13_900
FLAGS = ("--accounts", "--password-memory", "4")


def main():
    if os.environ.get("HBB_BENCH_INSIDE") != "1":
        # In a network of its own each device has an address; on this machine's it would be a proxy.
        script = ("ip link set lo up && ip addr add 100.64.255.1 dev lo && "
                  "ip route add local 100.64.0.0/16 dev lo && exec \"$@\"")
        os.environ["HBB_BENCH_INSIDE"] = "1"
        words = ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, __file__]
        os.execvp(words[0], words)
    memory()
    day()


def ctl(folder, words, stdin=""):
    words = [BINARY, "ctl", "--data", folder, *words]
    ended = subprocess.run(words, input=stdin, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{words}: {ended.stderr}")
    return ended.stdout


def settled(server):
    time.sleep(2)
    return server.memory()[0]


def memory():
    with tempfile.TemporaryDirectory(prefix="hbb-accounts-") as folder:
        server = Started(folder, ())
        without = settled(server)
        server.stop()
        server = Started(folder, FLAGS)
        empty = settled(server)
        rows = "id,alias,tags,note,hash,username,hostname,platform\n" + "".join(
            f"{200_000_000 + n},Room {n},office;floor {n % 9},,,user{n},desk-{n},Windows\n"
            for n in range(ENTRIES))
        for number in range(USERS):
            name = f"user{number:02}"
            ctl(folder, ["user", "add", name], "correct horse battery\n")
            ctl(folder, ["book", "add", name])
            ctl(folder, ["book", "import", name], rows)
        live = settled(server)
        server.stop()
        server = Started(folder, FLAGS)
        again = settled(server)
        server.stop()
    many = f"{USERS} users and {USERS * ENTRIES:,} entries"
    print(f"RSS: {without} KiB without accounts, {empty} KiB with none of them, "
          f"{live} KiB with {many}, {again} KiB after a start")
    print(f"     that is {max(live, again) - without} KiB more, of 2,048")
    if again - without > 2048:
        sys.exit("that is too much")


class Started(Server):
    """The bench's server with these flags, perhaps by a clock of its own."""

    def __init__(self, folder, flags, under=()):
        # Switches take the place of flags that change nothing here.
        self.flags = flags
        super().__init__(BINARY, folder, under=[*under, "sh", "-c", self.script(), "sh"])

    def script(self):
        return f'exec "$@" {" ".join(self.flags)}'


class Clock:
    """Reads `ahead` seconds more than is true."""

    def __init__(self, folder):
        self.file, library = Path(folder) / "clock", Path(folder) / "clock.so"
        source = ROOT / "tests/model/clock.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        self.under = ["env", f"LD_PRELOAD={library}", f"HBB_CLOCK={self.file}"]
        self.file.write_bytes(bytes(16))

    def set(self, ahead):
        with open(self.file, "r+b") as file:
            file.write(struct.pack("qq", ahead, ahead))


def day():
    with tempfile.TemporaryDirectory(prefix="hbb-clock-") as beside, \
            tempfile.TemporaryDirectory(prefix="hbb-day-") as folder:
        clock = Clock(beside)
        server = Started(folder, (*FLAGS, f"--api {API}"), clock.under)
        devices = [Device(server.port, number) for number in range(DEVICES)]
        for device in devices:
            device.register()
            device.call("sysinfo", f'"hostname":"desk","os":"Linux","version":"1.4.9"')
        hours, began = [], time.monotonic()
        for second in range(0, DAY_SECS, BEAT_SECS):
            if second % 3600 == 0:
                hours.append(server.io()[1])
            # What has passed in truth has passed.
            clock.set(max(0, round(second - (time.monotonic() - began))))
            for number, device in enumerate(devices):
                device.beat()
                if (second // BEAT_SECS + number) % ONE_IN == 0:
                    device.call("heartbeat", '"ver":1004090')
        hours.append(server.io()[1])
        stored = ctl(folder, ["--json", "peers"])
        server.stop()
    if stored.count('"name":"desk"') != DEVICES:
        sys.exit("the server does not know what the devices are")
    first, rest = hours[1] - hours[0], hours[-1] - hours[1]
    beats = DEVICES * DAY_SECS // BEAT_SECS
    print(f"a day of {DEVICES} devices, {beats:,} heartbeats by UDP, {beats // ONE_IN:,} by HTTP: "
          f"{hours[0]:,} bytes written when they registered, {first:,} in the first hour, "
          f"{rest:,} in the {len(hours) - 2} after it")
    if not hours[0] or not first:
        sys.exit("nothing was written: TMPDIR is no disk")
    if rest:
        sys.exit("there was nothing to write")


class Device:
    def __init__(self, port, number):
        self.number, self.port = number, port
        self.ip = f"100.64.{number + 1}.1"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.ip, 0))
        self.socket.connect(("100.64.255.1", port))
        self.socket.settimeout(10)
        uuid = f"{number:08x}-7b1c-4f6e-9d52-3a1b5c7d9e0f"
        self.uuid = base64.b64encode(uuid.encode()).decode()

    def ask(self, payload):
        self.socket.send(payload)
        return self.socket.recv(2048)

    def register(self):
        with socket.create_connection(("100.64.255.1", self.port), 10, (self.ip, 0)) as proof:
            proof.sendall(wire.frame(wire.NAT_TEST))
            proof.recv(100)
        if self.ask(wire.register_pk(self.number)) != wire.REGISTERED:
            sys.exit(f"device {self.number} is not registered")

    def beat(self):
        # On a slow machine it was away for long enough to be asked who it is.
        if self.ask(wire.register_peer(self.number)) == wire.PRESENT:
            return
        if self.ask(wire.register_pk(self.number)) != wire.REGISTERED:
            sys.exit(f"device {self.number} is not known")

    def call(self, path, members):
        body = f'{{"id":"{wire.peer_id(self.number)}","uuid":"{self.uuid}",{members}}}'
        head = f"POST /api/{path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
        request = (head + body).encode()
        with socket.create_connection(("100.64.255.1", API), 10, (self.ip, 0)) as call:
            call.sendall(request)
            said = b""
            while part := call.recv(4096):
                said += part
        if not re.search(rb"(SYSINFO_UPDATED|\{\})$", said):
            sys.exit(f"{path}: {said!r}")


if __name__ == "__main__":
    main()
