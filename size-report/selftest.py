"""Checks board/*.toml, and the reader of files and names against examples made here."""

import struct

import boards
from elf import Elf, NotElf
from names import C_LIBRARY, OUTLINED, crate_of
from split import Share, shares

NAMES = {
    # v0: a function, a method, a trait's method for an outside type, a closure in a generic.
    "_RNvNtCsfGxewKQqOmK_3hbb5relay4pair": "hbb",
    "_RNvMs_NtCs1234_4redb5tableNtB4_5Table3get": "redb",
    "_RNvXs0_NtCs1234_4core3fmtjNtB5_5Debug3fmt": "core",
    "_RNCINvNtCs1234_5alloc3vec4grownE0Csabc_3hbb": "alloc",
    "_RNvYRNtCs1234_3std6ThreadNtNtCs5678_4core3fmt5Debug3fmtCsabc_3hbb": "std",
    # Legacy: plain, a trait for a type, a reference, a primitive.
    "_ZN4redb5table5Table3get17h0123456789abcdefE": "redb",
    "_ZN60_$LT$hbb..relay..Pair$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE":
        "hbb",
    "_ZN45_$LT$$RF$smol..Task$u20$as$u20$core..X$GT$3fmt17h0123456789abcdefE": "smol",
    "_ZN40_$LT$u8$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE": "core",
    # C, the outliner, and what only looks like Rust.
    "memcpy": C_LIBRARY,
    "_R": C_LIBRARY,
    "_ZN": C_LIBRARY,
    "OUTLINED_FUNCTION_12": OUTLINED,
    ".Lswitch.table._RNvNtCs12_3nix5errno4last": "nix",
    ".Lanon.0123456789abcdef.7": None,
}
FUNCTION, OBJECT = 2, 1
CODE, DATA, ZEROS = 1, 2, 3         # sections of the example below
# Name, address, size, kind, section. Thumb code has an odd address; two share one; one overlaps.
SYMBOLS = [
    ("memcpy", 0x1001, 16, FUNCTION, CODE),
    ("_RNvCs1_3hbb4main", 0x1010, 8, FUNCTION, CODE),
    ("_RNvCs1_4core4same", 0x1010, 8, FUNCTION, CODE),
    ("_RNvCs1_4core4tail", 0x1014, 12, FUNCTION, CODE),
    ("_RNvCs1_3hbb5TABLE", 0x2000, 4, OBJECT, DATA),
    ("_RNvCs1_3hbb6BUFFER", 0x3000, 64, OBJECT, ZEROS),
]
SHARES = {C_LIBRARY: Share(16, 0), "hbb": Share(8, 4), "core": Share(8, 0)}


def mistakes():
    """Sentences on what is wrong; none, if all is well."""
    wrong = boards.mistakes()
    for name, crate in NAMES.items():
        if crate_of(name) != crate:
            wrong.append(f"{name} is of {crate}, not {crate_of(name)}")
    for wide in (False, True):
        found = shares(Elf(example(wide)))
        if found != SHARES:
            wrong.append(f"the {64 if wide else 32}-bit example holds {SHARES}, not {found}")
    for broken in (b"", b"#!/bin/sh\n" * 9, example(True)[:80]):
        try:
            Elf(broken)
            wrong.append(f"a file of {len(broken)} bytes is read though it is none of ours")
        except NotElf:
            pass
    return wrong


def example(wide):
    """An ELF file of six sections, the 32-bit one for ARM."""
    texts = b"\0"
    table = bytes(24 if wide else 16)
    for name, address, size, kind, section in SYMBOLS:
        if wide:
            address &= ~1
            table += struct.pack("<IBBHQQ", len(texts), kind, 0, section, address, size)
        else:
            table += struct.pack("<IIIBBH", len(texts), address, size, kind, 0, section)
        texts += name.encode() + b"\0"
    bodies = [b"", bytes(32), bytes(4), b"", table, texts]
    # Kind, flags, address; names are left empty, so that any text serves as their table.
    heads = [(0, 0, 0), (1, 6, 0x1000), (1, 3, 0x2000), (8, 3, 0x3000), (2, 0, 0), (3, 0, 0)]
    start = 64
    sections = b""
    for body, (kind, flags, address) in zip(bodies, heads):
        size = 64 if kind == 8 else len(body)
        layout = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
        sections += struct.pack(layout, 0, kind, flags, address, start, size, 5, 0, 0, 0)
        start += len(body)
    machine = 183 if wide else 40
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    layout = "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH"
    entry = len(sections) // 6
    head = struct.pack(layout, 3, machine, 1, 0, 0, start, 0, 64, 0, 0, entry, 6, 5)
    return (ident + head).ljust(64, b"\0") + b"".join(bodies) + sections
