# SPDX-License-Identifier: MIT OR Apache-2.0
"""Catalogues of translated texts in the form LuCI reads, .lmo, made of .po files.

The texts, each filled up to four bytes; then for each, by rising key, four numbers of 32 bits, most
significant byte first: the hash of the original, the number of plural forms, where the translation
begins and its bytes; last, where that table begins. A text that is as its original is left out;
the rule for plural forms has the hash 0.
"""

import json
import re
import struct

MASK = 0xFFFFFFFF
ENTRY = struct.Struct(">4I")


def from_po(text):
    """A catalogue of the plain entries of a .po file."""
    pairs = re.findall(r'^msgid (".*")\nmsgstr (".*")$', text, re.M)
    forms = re.search(r'^"Plural-Forms: (.*)\\n"$', text, re.M)
    texts = [(0, 0, forms.group(1).encode())] if forms else []
    for one, other in pairs:
        key, value = (json.loads(word).encode() for word in (one, other))
        if key and value and key != value:
            texts.append((digest(key), 1, value))
    blob, entries = b"", []
    for key, count, value in texts:
        entries.append((key, count, len(blob), len(value)))
        blob += value + b"\0" * (-len(value) % 4)
    table = b"".join(ENTRY.pack(*entry) for entry in sorted(entries))
    return blob + table + struct.pack(">I", len(blob))


def read(catalogue):
    """Texts by the hashes of their originals."""
    (start,) = struct.unpack(">I", catalogue[-4:])
    entries = ENTRY.iter_unpack(catalogue[start:-4])
    return {key: catalogue[at:at + size].decode() for key, _forms, at, size in entries}


def digest(data):
    """Paul Hsieh's SuperFastHash, seeded with the length."""
    value, whole = len(data), len(data) & ~3
    for at in range(0, whole, 4):
        low, high = struct.unpack_from("<HH", data, at)
        value = value + low & MASK
        value = (value << 16 ^ high << 11 ^ value) & MASK
        value = value + (value >> 11) & MASK
    value = tail(value, data[whole:])
    for left, right in [(3, 5), (4, 17), (25, 6)]:
        value = (value ^ value << left) & MASK
        value = value + (value >> right) & MASK
    return value


def tail(value, rest):
    """The last one to three bytes; the last alone counts as a signed number."""
    if not rest:
        return value
    signed = rest[-1] - (256 if rest[-1] > 127 else 0)
    if len(rest) == 3:
        value = value + int.from_bytes(rest[:2], "little") & MASK
        value = (value ^ value << 16 ^ signed << 18) & MASK
        return value + (value >> 11) & MASK
    if len(rest) == 2:
        value = value + int.from_bytes(rest, "little") & MASK
        value = (value ^ value << 11) & MASK
        return value + (value >> 17) & MASK
    value = value + signed & MASK
    value = (value ^ value << 10) & MASK
    return value + (value >> 1) & MASK
