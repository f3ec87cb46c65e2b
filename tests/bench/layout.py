#!/usr/bin/env python3
"""Writes cross/seldom and cross/often anew. Seldom run are the functions that a start, registrations,
punches and relayed sessions do not run, by the bytes that they have in the x86_64 program, the
largest first; often run are those of a heartbeat and of a relayed chunk. `cross/link` lays either
side by side. They need not be true to the last: a name that is no longer there does nothing.

    cross/build --with debian x86_64-unknown-linux-musl && tests/bench/layout.py
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.machinery import SourceFileLoader
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import lockstep  # noqa: E402
from server import Server  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "dist/x86_64-unknown-linux-musl/hbb.unstripped"
LINES = 250
OFTEN = ("heartbeat", "relayed chunk of 1400 B", "relayed chunk of 64 KiB")


def main():
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    loader = SourceFileLoader("layout", str(ROOT / "cross/layout"))
    layout = importlib.util.module_from_spec(importlib.util.spec_from_loader("layout", loader))
    loader.exec_module(layout)
    with tempfile.TemporaryDirectory(prefix="hbb-seldom-") as folder:
        run, often = traced(Path(folder))
    run = {layout.path(name) for name in run}
    seldom, hot = Counter(), Counter()
    for function in layout.functions(PROGRAM):
        if function.path not in run:
            seldom[function.path] += function.size
        elif function.plain in often:
            hot[function.plain] += function.size
    largest = seldom.most_common(LINES)
    write(layout.SELDOM, (path for path, _ in largest))
    write(layout.OFTEN, hot)
    print(f"{sum(size for _, size in largest):,} of {seldom.total():,} bytes that are seldom run")
    print(f"{hot.total():,} bytes that are often run")


def write(file, names):
    file.write_text("".join(f"{name}\n" for name in sorted(names)))


def traced(folder):
    """The names of the functions that ran, and of those that ran for what is often asked."""
    out = folder / "calls"
    under = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
    try:
        server = Patient(PROGRAM, folder, more=("--public", "127.0.0.1"), under=under)
    except FileNotFoundError:
        sys.exit("valgrind is missing; install the package valgrind")
    often = set()
    for name, _ in lockstep.Units(server).all():
        print(name)
        # What ran until a unit began is written out, then what it ran itself.
        if name in OFTEN:
            often |= named(max(folder.glob("calls.*"), key=lambda file: int(file.suffix[1:])))
    server.process.terminate()
    server.process.wait()
    return set().union(*map(named, folder.glob("calls*"))), often


def named(file):
    """The names of the functions with costs of their own in what valgrind wrote, without those that
    waited meanwhile for what they called."""
    names, ran, at, called = {}, set(), None, False
    for line in file.read_text().splitlines():
        if found := re.match(r"c?fn=\((\d+)\)(?: (.*))?$", line):
            number, name = found.groups()
            if name:
                names[number] = re.sub(r"'\d+$", "", name)
            if line.startswith("fn"):
                at = names[number]
        elif line.startswith("calls="):
            called = True
        elif line[:1] in tuple("0123456789+-*"):
            if not called:
                ran.add(at)
            called = False
    return ran


class Patient(Server):
    """Counts nothing: each thing is asked as often as elsewhere, and what runs meanwhile is told
    apart from what ran before."""

    def each(self, play, times=lockstep.TIMES):
        self.write_out()
        for turn in range(times):
            play(turn)
        self.write_out()
        return {}, 0

    def write_out(self):
        subprocess.run(["callgrind_control", "--dump", str(self.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
