#!/usr/bin/env python3
"""Writes cross/seldom anew: the functions that a start, registrations, punches and relayed sessions
do not run, by the bytes that they have in the x86_64 program, the largest first. `cross/link` lays
them side by side. It need not be true to the last: a name that is no longer there does nothing.

    cross/build --with debian x86_64-unknown-linux-musl && tests/bench/seldom.py
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


def main():
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    loader = SourceFileLoader("layout", str(ROOT / "cross/layout"))
    layout = importlib.util.module_from_spec(importlib.util.spec_from_loader("layout", loader))
    loader.exec_module(layout)
    with tempfile.TemporaryDirectory(prefix="hbb-seldom-") as folder:
        run = {layout.path(name) for name in traced(Path(folder))}
    sizes = Counter()
    for _, size, _, path in layout.functions(PROGRAM):
        if path not in run:
            sizes[path] += size
    largest = sizes.most_common(LINES)
    layout.SELDOM.write_text("".join(f"{path}\n" for path in sorted(path for path, _ in largest)))
    print(f"{sum(size for _, size in largest):,} of {sizes.total():,} bytes that are seldom run")


def traced(folder):
    """The names of the functions that ran, as valgrind writes them out at the end."""
    out = folder / "calls"
    under = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
    try:
        server = Patient(PROGRAM, folder, more=("--public", "127.0.0.1"), under=under)
    except FileNotFoundError:
        sys.exit("valgrind is missing; install the package valgrind")
    units = lockstep.Units(server)
    for name, _ in units.all():
        print(name)
    server.process.terminate()
    server.process.wait()
    named = re.findall(r"^c?fn=\(\d+\) (.*)$", out.read_text(), re.M)
    return {re.sub(r"'\d+$", "", name) for name in named}


class Patient(Server):
    """Counts nothing: each thing is asked as often as elsewhere."""

    def each(self, play, times=lockstep.TIMES):
        for turn in range(times):
            play(turn)
        return {}, 0


if __name__ == "__main__":
    main()
