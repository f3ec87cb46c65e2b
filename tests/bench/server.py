"""The real binary: starts it, stops it, reads what it costs from /proc and strace."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

# Peers come from 127.x, and clients are no proxies: as such each connection would be warned of.
FLAGS = {
    "--trusted-proxies": "192.0.2.1",
    "--single-bandwidth": "1000000", "--total-bandwidth": "1000000", "--max-peers": "131072",
    "--max-sessions": "2048", "--max-connections": "4096", "--registrations-per-minute": "65535",
    "--new-peers-per-day": "65535", "--writes-per-day": "0",
}


class Server:
    """A running `hbb serve` on a free port, logging to a file beside its data."""

    def __init__(self, binary, data, place=None, more=(), under=()):
        self.port = free_port()
        self.host = place.host if place else "127.0.0.1"
        self.began = time.monotonic()
        log = open(Path(data) / "log", "ab")
        # Words of the same length wherever the folder is: the heap begins with them.
        flags = FLAGS | dict(zip(more[::2], more[1::2]))
        arguments = ["serve", "--data", ".", "--port", str(self.port), "--key="]
        arguments += [word for flag in flags.items() for word in flag]
        words = [*(place.prefix if place else []), *under, binary, *arguments]
        self.process = subprocess.Popen(words, cwd=data, stdout=log, stderr=log)
        self.pid = self.process.pid
        self.wait_ready()
        self.start_seconds = time.monotonic() - self.began

    @classmethod
    def of(cls, process):
        """Another program's process, to be measured the same way."""
        other = cls.__new__(cls)
        other.process, other.pid = process, process.pid
        return other

    def wait_ready(self):
        while True:
            if self.process.poll() is not None:
                raise SystemExit(f"hbb ended with {self.process.returncode}; see its log")
            try:
                return socket.create_connection((self.host, self.port + 1), 1).close()
            except OSError:
                time.sleep(0.01)

    def stop(self):
        """Seconds from SIGTERM to the end."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - began

    def memory(self):
        """KiB resident: all of it, its anonymous part, and the most there ever was."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        kib = lambda name: int(re.search(rf"{name}:\s+(\d+)", text)[1])
        return kib("VmRSS"), kib("RssAnon"), kib("VmHWM")

    def cpu(self):
        """Nanoseconds on a processor so far, by name of the thread."""
        spent = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            nanoseconds = int((task / "schedstat").read_text().split()[0])
            spent[name] = spent.get(name, 0) + nanoseconds
        return spent

    def switches(self):
        """How often its threads went to sleep so far."""
        texts = [p.read_text() for p in Path(f"/proc/{self.pid}/task").glob("*/status")]
        return sum(int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", t)[1]) for t in texts)

    def io(self):
        """Bytes given to write calls, and bytes sent to the disk, so far."""
        text = Path(f"/proc/{self.pid}/io").read_text()
        number = lambda name: int(re.search(rf"^{name}: (\d+)", text, re.M)[1])
        return number("wchar"), number("write_bytes")


class Spent:
    """What a server spends on the block it surrounds."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.cpu_before, self.io_before = self.server.cpu(), self.server.io()
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began
        after = self.server.cpu()
        self.threads = {name: after[name] - self.cpu_before.get(name, 0) for name in after}
        self.cpu = sum(self.threads.values())
        self.written, self.to_disk = (
            now - then for now, then in zip(self.server.io(), self.io_before)
        )


class Syscalls:
    """Counts the calls a server makes during a block, with strace; timings mean nothing then."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        arguments = ["strace", "-f", "-c", "-U", "calls,name", "-p", str(self.server.pid)]
        self.strace = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        for line in self.strace.stderr:
            if "attached" in line:
                break
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGTERM)
        text = self.strace.communicate()[1]
        rows = re.findall(r"^\s*(\d+)\s+([a-z_]\w*)\s*$", text, re.M)
        self.calls = {name: int(count) for count, name in rows if name != "total"}

    def each(self, count, least=0.0005):
        """The calls per operation, the most frequent first."""
        rows = sorted(self.calls.items(), key=lambda row: -row[1])
        return ", ".join(f"{name} {n / count:.3g}" for name, n in rows if n / count >= least)


def free_port():
    """A UDP and TCP port with free neighbours, below those the kernel gives to whoever asks."""
    for port in range(11_000 + os.getpid() % 200 * 10, 13_990, 10):
        try:
            for offset in range(-1, 4):
                with socket.socket() as probe:
                    probe.bind(("", port + offset))
            return port
        except OSError:
            continue
    raise SystemExit("no free port")
