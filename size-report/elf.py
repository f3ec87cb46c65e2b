"""Reads just enough of an ELF file, 32 or 64 bit: sections and symbols. Knows nothing of crates."""

import struct
from collections import namedtuple

Section = namedtuple("Section", "name kind flags address offset size link")
Symbol = namedtuple("Symbol", "name kind address size section")

KIND_SYMBOLS, KIND_NO_BITS = 2, 8
FLAG_LOADED, FLAG_CODE = 2, 4
MACHINE_ARM = 40
OBJECT, FUNCTION = 1, 2


class NotElf(Exception):
    """The file is no ELF file, or one this reader does not know."""


class Elf:
    """One file, read whole: ours are a few megabytes at most."""

    def __init__(self, data):
        if data[:4] != b"\x7fELF" or len(data) < 52 or data[4] not in (1, 2) or data[5] != 1:
            raise NotElf("not a little-endian ELF file")
        self.data = data
        self.wide = data[4] == 2
        try:
            self.machine = struct.unpack_from("<H", data, 18)[0]
            self.sections = self._sections()
        except (struct.error, IndexError, ValueError) as cause:
            raise NotElf("cut short") from cause

    def _sections(self):
        at = struct.unpack_from("<Q", self.data, 40)[0] if self.wide else \
            struct.unpack_from("<I", self.data, 32)[0]
        entry, count, names = struct.unpack_from("<HHH", self.data, 58 if self.wide else 46)
        layout = "<IIQQQQI" if self.wide else "<IIIIIII"
        rows = [struct.unpack_from(layout, self.data, at + entry * i) for i in range(count)]
        base = rows[names][4] if rows else 0
        return [Section(self._text(base + row[0]), *row[1:]) for row in rows]

    def _text(self, at):
        return self.data[at:self.data.index(b"\0", at)].decode("utf-8", "replace")

    def symbols(self):
        """Functions and objects that have a size, without ARM's mark for Thumb code."""
        for table in (s for s in self.sections if s.kind == KIND_SYMBOLS):
            names = self.sections[table.link].offset
            step = 24 if self.wide else 16
            for at in range(table.offset, table.offset + table.size, step):
                symbol = self._symbol(at, names)
                if symbol.kind in (OBJECT, FUNCTION) and symbol.size:
                    yield symbol

    def _symbol(self, at, names):
        if self.wide:
            name, info, _, section, address, size = struct.unpack_from("<IBBHQQ", self.data, at)
        else:
            name, address, size, info, _, section = struct.unpack_from("<IIIBBH", self.data, at)
        if self.machine == MACHINE_ARM and info & 15 == FUNCTION:
            address &= ~1
        return Symbol(self._text(names + name), info & 15, address, size, section)

    def loaded(self):
        """Sections that take bytes of the file and are loaded, by index: what stripping keeps."""
        return {at: section for at, section in enumerate(self.sections)
                if section.flags & FLAG_LOADED and section.kind != KIND_NO_BITS and section.size}
