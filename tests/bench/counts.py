#!/usr/bin/env python3
"""Counts what one heartbeat, punch or relayed chunk costs the released binaries: calls into the
kernel and instructions, compared with size-report/counts.md.

Fails when calls differ from what is recorded, or instructions are more by a tenth. Needs root, gcc
and Debian's package qemu-user.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import lockstep  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "size-report" / "counts.md"
TRIPLES = {
    "x86_64": "x86_64-unknown-linux-musl",
    "aarch64": "aarch64-unknown-linux-musl",
    "armv7": "armv7-unknown-linux-musleabihf",
}
# Two runs of one binary differ by 0.5 %, on ARMv7 by 6 %: each start draws a seed that says where a
# search in a table begins, and where the heap lies says what the allocator does.
NOTED, REFUSED = 0.02, 0.1
HEAD = ["each", *(f"calls, `{m}`" for m in TRIPLES), *(f"instructions, `{m}`" for m in TRIPLES),
        "the calls on x86_64"]


def main():
    chosen = options()
    recorded = read()
    # Columns that are not counted now stay as they were.
    rows, wrong = {}, []
    for machine in chosen.machines or TRIPLES:
        binary = (chosen.binary or ROOT / "dist" / TRIPLES[machine] / "hbb").resolve()
        for name, (calls, instructions) in count(binary, machine):
            before = recorded.get(name, [""] * (len(HEAD) - 1))
            cells = rows.setdefault(name, list(before))
            fill(cells, machine, calls, instructions)
            told = compare(name, machine, before, cells, wrong)
            print(f"{machine:8} {name:33}{cells[column(machine)]:>4} calls,"
                  f"{instructions:>10,} instructions{told}", flush=True)
    if chosen.record:
        write(rows)
        return 0
    wrong += [f"'{name}' is recorded, but not counted" for name in recorded if name not in rows]
    for text in wrong:
        print(f"counts: {text}", file=sys.stderr)
    if wrong:
        print("counts: if that is wanted, run tests/bench/counts.py --record, and say in the commit "
              "what it buys", file=sys.stderr)
    return 1 if wrong else 0


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help=", ".join(TRIPLES))
    parser.add_argument("--record", action="store_true", help="write size-report/counts.md anew")
    parser.add_argument("--binary", type=Path, help="not the one in dist/; with one MACHINE")
    chosen = parser.parse_args()
    if unknown := [machine for machine in chosen.machines if machine not in TRIPLES]:
        parser.error(f"no such machine: {unknown[0]}")
    if chosen.binary and len(chosen.machines) != 1:
        parser.error("--binary needs one machine")
    return chosen


def count(binary, machine):
    if not binary.is_file():
        raise SystemExit(f"no {binary}; run: cross/build --with debian {TRIPLES[machine]}")
    with tempfile.TemporaryDirectory(prefix="hbb-counts-") as folder:
        with lockstep.counted(binary, machine, folder) as server:
            yield from lockstep.Units(server).all()


def column(machine, instructions=False):
    return list(TRIPLES).index(machine) + instructions * len(TRIPLES)


def fill(cells, machine, calls, instructions):
    cells[column(machine)] = str(sum(calls.values()))
    cells[column(machine, True)] = f"{instructions:,}"
    if machine == "x86_64":
        names = call_names()
        each = sorted((names.get(number, str(number)), many) for number, many in calls.items())
        cells[-1] = ", ".join(name if many == 1 else f"{name} {many}" for name, many in each)


def call_names():
    """Number to name on x86_64, by the kernel's header."""
    lines = subprocess.run(["gcc", "-E", "-dM", "-include", "asm/unistd_64.h", "-xc", "/dev/null"],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    defined = (line.split() for line in lines if line.startswith("#define __NR_"))
    return {int(number): name.removeprefix("__NR_") for _, name, number in defined}


def compare(name, machine, before, now, wrong):
    """What is new, in words; `wrong` grows by what is refused."""
    at, many = column(machine), column(machine, True)
    if not before[at]:
        wrong.append(f"{machine}: '{name}' is not recorded")
        return ", new"
    told = ""
    if before[at] != now[at]:
        told = f", {before[at]} calls recorded"
        which = f"; now {now[-1]}; then {before[-1]}" if machine == "x86_64" else ""
        wrong.append(f"{machine}: '{name}' makes {now[at]} calls, recorded are {before[at]}{which}")
    past, present = (int(cells[many].replace(",", "")) for cells in (before, now))
    change = present / past - 1
    if abs(change) > NOTED:
        told += f", {change:+.1%}"
    if change > REFUSED:
        wrong.append(f"{machine}: '{name}' takes {present:,} instructions, {change:.1%} more than "
                     f"the {past:,} recorded")
    return told


def read():
    """Name to cells, as recorded."""
    if not RECORD.exists():
        return {}
    lines = (line for line in RECORD.read_text().splitlines() if line.startswith("| "))
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {name: rest for name, *rest in cells if name not in (HEAD[0], "---")}


def write(rows):
    """The table; what stands above it stays."""
    above = RECORD.read_text().partition("| each")[0] if RECORD.exists() else ""
    lines = [HEAD, ["---", *["--:"] * (len(HEAD) - 2), "---"],
             *([name, *cells] for name, cells in rows.items())]
    RECORD.write_text(above + "".join(f"| {' | '.join(line)} |\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
