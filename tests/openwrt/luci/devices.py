"""The real server with its socket in a scratch root, and devices that use it, over TCP in clear."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent / "bench"))
from wire import exactly, field, frame  # noqa: E402 (beside this folder's)

SECONDS = 20
# Ids that earlier versions let in and this one does not.
HOSTILE = (Path(__file__).resolve().parent.parent / "hostile.txt").read_text().replace(
    "\\u202e", "\u202e").splitlines()
DEVICE_KEY = bytes(range(32))
PORTS = 5


def free_port(test):
    """One whose neighbours are free too, and which no other test takes until this one ends: a
    claim is held beside them. Above those of the tests in Rust and below those that the kernel
    gives to whoever asks for any."""
    for port in range(32008, 32760, 8):
        taken = []
        try:
            taken.append(socket.create_server(("127.0.0.1", port + PORTS)))
            for at in range(PORTS):
                taken.append(socket.create_server(("127.0.0.1", port - 1 + at)))
            test.addCleanup(taken.pop(0).close)
            return port
        except OSError:
            continue
        finally:
            for one in taken:
                one.close()
    raise OSError("no free ports")


class Server:
    """Ends with the test. Its flags are in a file, so that it can be reloaded."""

    def __init__(self, test, program, root, more=""):
        self.program, self.root, self.port = program, root, free_port(test)
        for folder in ["tmp/run/hbb", "tmp/etc/hbb", "etc/hbb"]:
            (root.path / folder).mkdir(parents=True, exist_ok=True)
        self.socket = root.path / "tmp/run/hbb/hbb.sock"
        common = (f"--port={self.port}\n--new-peers-per-day=9999\n--registrations-per-minute=9999\n"
                  f"--writes-per-day=0\n{more}")
        # As the router's processes see it, and as ours do.
        root.write("tmp/etc/hbb/flags", f"--data=/etc/hbb\n{common}")
        flags = root.path / "flags"
        flags.write_text(f"--data={root.path}/etc/hbb\n--control={self.socket}\n"
                         f"--bind=127.0.0.1\n{common}")
        self.log = open(root.path / "tmp/log", "wb")
        test.addCleanup(self.log.close)
        self.start()
        test.addCleanup(self.stop)

    def start(self):
        command = [self.program, "serve", "--flags", self.root.path / "flags"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        until = time.monotonic() + SECONDS
        while not self.socket.exists():
            running = self.process.poll() is None and time.monotonic() < until
            assert running, self.root.read("tmp/log")
            time.sleep(0.02)

    def use_store(self, name):
        """Starts anew with a store that tests/openwrt.rs made: 'hostile' of HOSTILE, or 'many'."""
        self.stop()
        self.socket.unlink(missing_ok=True)
        shutil.copy(Path(os.environ["HBB_MADE"]) / f"{name}.store",
                    self.root.path / "etc/hbb/hbb.store")
        self.start()

    def stop(self):
        self.process.terminate()
        self.process.wait(SECONDS)

    def ctl(self, *words):
        command = [self.program, "ctl", "--control", self.socket, "--json", *words]
        return json.loads(subprocess.run(command, capture_output=True, check=False).stdout)

    def key(self):
        return self.root.read("etc/hbb/id_ed25519.pub").strip()

    def register(self, name, device=b"views"):
        """A device that stays online as long as this connection is open."""
        asked = field(15, field(1, name.encode()) + field(2, device) + field(3, DEVICE_KEY))
        device = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        device.sendall(frame(asked))
        assert device.recv(1), "not registered"
        return device

    def relayed(self, token):
        """The two legs of a session; something went through it."""
        wish = field(18, field(2, token) + field(6, self.key().encode()))
        legs = [socket.create_connection(("127.0.0.1", self.port + 1), SECONDS) for _ in "ab"]
        for leg in legs:
            leg.sendall(frame(wish))
        legs[0].sendall(b"x" * 5000)
        exactly(legs[1], 5000)
        return legs


def is_over(leg):
    try:
        while leg.recv(1000):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True
