"""Which crate a symbol comes from, by its mangled name: Rust's v0 (`_R`), its legacy (`_ZN`), or C.

A generic function counts for the crate that defines it, not for the one that needed it.
"""

import re

C_LIBRARY = "musl and the like"
OUTLINED = "shared by outlining"    # pieces of equal code that the compiler took out of functions
_NAMELESS = re.compile(r"(\.L)?anon\.")
_SWITCH = re.compile(r"(\.L)?switch\.table\.")
_NUMBERED = re.compile(r"s[0-9a-zA-Z]*_")
_IDENTIFIER = re.compile(r"(u?)(\d+)_?")
_LEGACY = re.compile(r"_ZN(\d+)")
_ESCAPED = re.compile(r"\$[A-Za-z0-9]+\$|[^A-Za-z0-9_.]")
_WORD = re.compile(r"[a-z_][a-z0-9_]*(?=\.\.)", re.ASCII)


def crate_of(name):
    """The crate's name; `OUTLINED`, or `C_LIBRARY`, for a symbol that is not Rust's; None for a
    constant that has a number only."""
    if _NAMELESS.match(name):
        return None
    name = _SWITCH.sub("", name)
    if name.startswith("_R"):
        return _v0(name) or C_LIBRARY
    if name.startswith("_ZN"):
        return _legacy(name) or C_LIBRARY
    return OUTLINED if name.startswith("OUTLINED_FUNCTION_") else C_LIBRARY


def _v0(name):
    """Walks down to the first crate root, `C`; whatever stands before is a mark of one letter."""
    at = 2
    while at < len(name):
        mark = name[at]
        at += 1
        if mark == "N":                         # a nested path: its namespace is a letter too
            at += 1
        elif mark in "MXCG":
            numbered = _NUMBERED.match(name, at)
            at = numbered.end() if numbered else at
            if mark == "C":
                return _identifier(name, at)
    return None


def _identifier(name, at):
    found = _IDENTIFIER.match(name, at)
    return found and name[found.end():found.end() + int(found.group(2))]


def _legacy(name):
    """The first part is the crate, or `_$LT$type$u20$as$u20$trait$GT$` with paths inside."""
    found = _LEGACY.match(name)
    if not found:
        return None
    part = name[found.end():found.end() + int(found.group(1))]
    if "$" not in part:
        return part
    word = _WORD.search(_ESCAPED.sub(" ", part.lstrip("_")))
    return word.group() if word else "core"
