"""The classes of board: board/*.toml, what must be true of them, what they say to the build."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMITS = ("peers", "connections", "sessions", "writes_a_day")
WRITES_CEILING = 65_535             # MiB a day; 0 is no limit
KEYS = {"summary", "ram_mb", "flash_mb", "limits", "size", "cpu"}
CPU_KEYS = {"triple", "flags", "example"}
OF_NO_BOARD = {"x86_64-unknown-linux-musl": ("a PC as a router", 1_110_016)}
FULL_MORE_MAX = 267 << 10           # what all features may add to a router's program
BUILT_IN = "router-small"           # the class whose limits are the program's defaults


def triples():
    """The triples that cross/build knows."""
    listed = re.search(r"^triples=\((.*?)\)", _text("cross/triples"), re.M | re.S)
    return listed.group(1).split()


def boards():
    """All classes by name."""
    files = sorted((ROOT / "board").glob("*.toml"))
    return {file.stem: tomllib.loads(file.read_text()) for file in files}


def cpu_flags(board, triple):
    """What cross/build adds to tune for a class, or None if the class has no such processor."""
    for cpu in boards().get(board, {"cpu": []})["cpu"]:
        if cpu["triple"] == triple:
            return cpu["flags"]
    return None


def budgets(triple):
    """Pairs of a class that runs this triple and its budget for the stripped binary."""
    found = [(name, board["size"]["stripped_bytes_max"]) for name, board in boards().items()
             if any(cpu["triple"] == triple for cpu in board["cpu"])]
    return found or [OF_NO_BOARD[triple]]


def mistakes():
    """Sentences on what is wrong in board/*.toml; none, if all is well."""
    found = boards()
    wrong = [f"{name}: {text}" for name, board in found.items() for text in _of_board(board)]
    if not found:
        return ["there are no classes of board"]
    for limit, number in _small_router().items():
        if found.get(BUILT_IN, {}).get("limits", {}).get(limit) != number:
            wrong.append(f"{BUILT_IN}: limits.{limit} must be the built-in default, {number}")
    return wrong


def _of_board(board):
    """Stops at wrong keys: the rest reads them."""
    if set(board) != KEYS:
        return [f"the keys must be {', '.join(sorted(KEYS))}"]
    if set(board["limits"]) != set(LIMITS) or set(board["size"]) != {"stripped_bytes_max"}:
        return [f"limits must be {', '.join(LIMITS)}; size must be stripped_bytes_max"]
    if any(set(cpu) != CPU_KEYS for cpu in board["cpu"]):
        return [f"each cpu must have {', '.join(sorted(CPU_KEYS))}"]
    wrong = []
    ceilings = _ceilings()
    for limit in LIMITS:
        if not 1 <= board["limits"][limit] <= ceilings[limit]:
            wrong.append(f"limits.{limit} must be 1 to {ceilings[limit]}")
    if not 1 <= board["size"]["stripped_bytes_max"] <= board["flash_mb"] << 20:
        wrong.append("size.stripped_bytes_max must fit the flash")
    named = [cpu["triple"] for cpu in board["cpu"]]
    wrong += [f"cross/triples does not know {name}" for name in named if name not in triples()]
    if not named or len(set(named)) < len(named):
        wrong.append("a class needs a cpu, and one for each triple at most")
    # cross/build reads them as words.
    flags = [flag for cpu in board["cpu"] for flag in cpu["flags"]]
    wrong += [f"flag '{flag}' must be one word, -C..." for flag in flags
              if not re.fullmatch(r"-C\S+", flag)]
    return wrong


def _ceilings():
    """The constants of src/core/base/limits/mod.rs: what no setting may exceed."""
    constants = [limit for limit in LIMITS if limit != "writes_a_day"]
    found = {limit: _number(rf"const {limit.upper()}_CEILING: usize = ([\d_]+);")
             for limit in constants}
    return found | {"writes_a_day": WRITES_CEILING}


def _small_router():
    return {limit: _number(rf"const SMALL_ROUTER: .*?\b{limit}: ([\d_]+),") for limit in LIMITS}


def _number(pattern):
    return int(re.search(pattern, _text("src/core/base/limits/mod.rs"), re.S).group(1))


def _text(path):
    return (ROOT / path).read_text()
