"""How many bytes of a stripped binary each crate takes, by the symbols of its unstripped twin."""

import gzip
from collections import namedtuple

from elf import FLAG_CODE, Elf, NotElf
from names import crate_of

# full: of the program with all features, stripped. crates: name to Share; the bytes that no symbol covers are `stripped` less all shares.
Sizes = namedtuple("Sizes", "stripped gzip crates full")
Share = namedtuple("Share", "code data")


class NoTwin(Exception):
    """The unstripped file does not belong to the stripped one, or names nothing."""


def sizes_of(stripped, twin, full):
    """Both as bytes."""
    try:
        ours, named = Elf(stripped), Elf(twin)
    except NotElf as cause:
        raise NoTwin(f"cannot be read: {cause}") from cause
    if _shape(ours) != _shape(named):
        raise NoTwin("was not linked together with its unstripped twin")
    crates = shares(named)
    if not crates:
        raise NoTwin("has a twin without symbols")
    return Sizes(len(stripped), len(gzip.compress(stripped, 9, mtime=0)), crates, full)


def shares(elf):
    """Each byte counts once: for the first symbol that covers it, of several at one address for
    the longest, then the first by name. (The linker folds equal functions into one.)"""
    loaded = elf.loaded()
    crates = {}
    covered = {at: 0 for at in loaded}
    symbols = [symbol for symbol in elf.symbols()
               if symbol.section in loaded and crate_of(symbol.name)]
    for symbol in sorted(symbols, key=lambda symbol: (symbol.address, -symbol.size, symbol.name)):
        end = symbol.address + symbol.size
        fresh = end - max(symbol.address, covered[symbol.section])
        if fresh <= 0:
            continue
        covered[symbol.section] = end
        crate = crate_of(symbol.name)
        code, data = crates.get(crate, (0, 0))
        is_code = loaded[symbol.section].flags & FLAG_CODE
        crates[crate] = Share(code + fresh, data) if is_code else Share(code, data + fresh)
    return crates


def _shape(elf):
    return [(section.name, section.size) for section in elf.loaded().values()]
