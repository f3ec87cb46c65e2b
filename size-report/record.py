"""The recorded sizes: baseline/TRIPLE.toml, and the table in README.md made from them."""

import tomllib
from pathlib import Path

import boards

HERE = Path(__file__).resolve().parent
START, END = "<!-- table: size-report/measure --record -->", "<!-- end of table -->"
OTHER = "other: headers, strings, padding"
TOP = 12
STALE = 0.01


def baseline(triple):
    """`stripped`, `gzip` and `crates` as recorded, or None."""
    file = HERE / "baseline" / f"{triple}.toml"
    return tomllib.loads(file.read_text()) if file.exists() else None


def other(stripped, crates):
    """The bytes that no crate's symbol covers."""
    return stripped - sum(crates.values())


def write(measured):
    """Baselines of what was measured; the table holds the others' as they stand."""
    for triple, sizes in measured.items():
        lines = ["# Written by size-report/measure --record.",
                 f"stripped = {sizes.stripped}", f"gzip = {sizes.gzip}",
                 f"full = {sizes.full}", "", "[crates]"]
        lines += [f'"{name}" = {sum(share)}' for name, share in sorted(sizes.crates.items())]
        file = HERE / "baseline" / f"{triple}.toml"
        file.write_text("\n".join(lines) + "\n")
    before, _, after = _readme()
    table = "\n".join(_table(_recorded()))
    (HERE / "README.md").write_text(f"{before}{START}\n{table}\n{END}{after}")


def is_stale(measured):
    """True if the table lacks a triple, or is off by more than a hundredth."""
    rows = {cells[0]: cells[1:] for cells in map(_cells, _readme()[1].splitlines()) if cells}
    shown = zip(rows.get("bytes", []), rows.get("stripped", []), rows.get("gzip -9", []))
    shown = {head: (stripped, packed) for head, stripped, packed in shown}
    measured = {_head(triple): sizes for triple, sizes in measured.items()}
    return any(head not in shown or _is_off(shown[head][0], sizes.stripped)
               or _is_off(shown[head][1], sizes.gzip) for head, sizes in measured.items())


def _is_off(cell, number):
    digits = cell.replace(",", "")
    return not digits.isdigit() or abs(int(digits) - number) > STALE * number


def _recorded():
    recorded = {triple: baseline(triple) for triple in boards.triples()}
    return {triple: sizes for triple, sizes in recorded.items() if sizes}


def _head(triple):
    """A triple's name short enough for a column: its first word."""
    return triple.split("-")[0]


def _table(recorded):
    """A column for each triple; the crates that are the largest in any of them first."""
    names = {name for each in recorded.values() for name in each["crates"]}
    weight = {name: max(each["crates"].get(name, 0) for each in recorded.values())
              for name in names}
    ordered = sorted(names, key=lambda name: (-weight[name], name))
    yield f"| bytes | {' | '.join(f'`{_head(triple)}`' for triple in recorded)} |"
    yield "|---" + "|--:" * len(recorded) + "|"
    yield _row("stripped", [each["stripped"] for each in recorded.values()])
    yield _row("gzip -9", [each["gzip"] for each in recorded.values()])
    yield _row("stripped, with all features", [each["full"] for each in recorded.values()])
    for name in ordered[:TOP]:
        yield _row(name, [each["crates"].get(name, 0) for each in recorded.values()])
    yield _row(f"{len(ordered) - TOP} smaller crates", [
        sum(each["crates"].get(name, 0) for name in ordered[TOP:]) for each in recorded.values()])
    yield _row(OTHER, [other(each["stripped"], each["crates"]) for each in recorded.values()])


def _row(name, numbers):
    return f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |"


def _cells(line):
    return [cell.strip(" `") for cell in line.strip("|").split("|")] if line[:1] == "|" else []


def _readme():
    """README's text before, in and after the table."""
    before, _, rest = (HERE / "README.md").read_text().partition(START)
    table, _, after = rest.partition(END)
    return before, table, after
