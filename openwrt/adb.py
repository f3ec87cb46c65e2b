# SPDX-License-Identifier: MIT OR Apache-2.0
"""Packages and indexes of apk-tools 3: a tree of values ("adb"), then the files' contents.

Written from the manual page apk-v3(5). Values are laid out in the order apk itself writes them,
so that packages and indexes are the same, byte for byte, as those of 'apk mkpkg' and 'apk mkndx',
but for how well they are compressed; tests/openwrt/reference.py compares. Knows nothing of hbb.
"""

import hashlib
import stat
import struct

import deflate

BLOCK_ADB, BLOCK_SIGNATURE, BLOCK_DATA = 0, 1, 2
INT, INT_32, INT_64, BLOB_8, BLOB_16, BLOB_32, OBJECT = 0x1, 0x2, 0x3, 0x8, 0x9, 0xA, 0xE
NULL = 0
PRIORITY = "provider-priority"
INFO = ["name", "version", "hashes", "description", "arch", "license", "origin", "maintainer",
        "url", "repo-commit", "build-time", "installed-size", "file-size", PRIORITY]
RELATIONS = ["depends", "provides"]
SCRIPTS = ["trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall",
           "pre-upgrade", "post-upgrade"]
IDENTITY_BYTES = 20


class Tree:
    """The values of one block; each write gives the word that refers to what was written."""

    def __init__(self):
        self.data = bytearray(8)  # versions 0 and 0, two bytes unused, the root's word
        self.known = {}

    def _put(self, raw, align):
        at = self.known.get(raw)
        if at is None or at % align:
            at = self._append(raw, align)
            self.known[raw] = at
        return at

    def _append(self, raw, align):
        self.data += bytes(-len(self.data) % align)
        self.data += raw
        return len(self.data) - len(raw)

    def blob(self, content, once=True):
        """Bytes or text. The same content is kept once, unless it has to be apart."""
        content = content.encode() if isinstance(content, str) else bytes(content)
        if not content:
            return NULL
        kind, form, align = ((BLOB_8, "<B", 1) if len(content) <= 0xFF else
                             (BLOB_16, "<H", 2) if len(content) <= 0xFFFF else (BLOB_32, "<I", 4))
        raw = struct.pack(form, len(content)) + content
        return kind << 28 | (self._put if once else self._append)(raw, align)

    def int(self, value):
        if value < 1 << 28:
            return INT << 28 | value
        kind, form = (INT_32, "<I") if value < 1 << 32 else (INT_64, "<Q")
        return kind << 28 | self._put(struct.pack(form, value), 4)

    def object(self, words):
        """Also for arrays: apk takes both kinds for one and writes this one."""
        words = list(words)
        while words and words[-1] == NULL:
            words.pop()
        if not words:
            return NULL
        raw = struct.pack(f"<{len(words) + 1}I", len(words) + 1, *words)
        return OBJECT << 28 | self._put(raw, 4)

    def root(self, word):
        struct.pack_into("<I", self.data, 4, word)

    def offset(self, word):
        """Where a blob of at most 255 bytes has its content."""
        return (word & 0x0FFFFFFF) + 1


def block(kind, payload):
    raw = struct.pack("<I", kind << 30 | len(payload) + 4) + payload
    return raw + bytes(-len(raw) % 8)


def container(schema, tree, blocks, sign):
    """A file of that kind; sign gives the signature's block of schema and tree, and may be None."""
    head = [block(BLOCK_ADB, bytes(tree.data))]
    if sign:
        head.append(block(BLOCK_SIGNATURE, sign(schema, tree.data)))
    return b"ADBd" + deflate.raw(b"ADB." + schema + b"".join(head + blocks))


def _info(tree, info):
    """The words of a package's facts that are known, and of the lists of RELATIONS."""
    words = [tree.blob(info.get(name, "")) for name in INFO if name != PRIORITY]
    words.append(tree.int(info[PRIORITY]) if info.get(PRIORITY) else NULL)
    return words + [_names(tree, info.get(name, [])) for name in RELATIONS]


def _names(tree, names):
    """A list of packages, some as NAME=VERSION: written as given, listed sorted and once."""
    words = {}
    for name in names:
        words[_bare(name)] = tree.object(tree.blob(part) for part in name.split("="))
    return tree.object(words[name] for name in sorted(words))


def _bare(name):
    return name.split("=")[0]


def _acl(tree, mode):
    return tree.object([tree.int(mode), tree.blob("root"), tree.blob("root")])


def _file(tree, name, entry, mtime):
    words = {1: tree.blob(name), 5: NULL, 6: NULL}
    if stat.S_ISLNK(entry.mode):
        words[6] = tree.blob(struct.pack("<H", stat.S_IFLNK) + entry.content)
    else:
        words[5] = tree.blob(hashlib.sha256(entry.content).digest())
    words |= {4: tree.int(mtime), 3: tree.int(len(entry.content))}
    words[2] = _acl(tree, stat.S_IMODE(entry.mode))
    return tree.object(words[field] for field in range(1, 7))


def _folder(tree, path, files, mtime):
    words = [_file(tree, name, entry, mtime) for name, entry in files]
    name = tree.blob(path)
    acl = _acl(tree, 0o755)
    return tree.object([name, acl, tree.object(words)])


def _tree_of(folders, info, scripts, mtime):
    """The package's tree, its hash with zeros in the place of that hash, and the files' size."""
    tree = Tree()
    texts = _info(tree, info)
    paths = [_folder(tree, path, files, mtime) for path, files in folders]
    size = sum(len(entry.content) for _, files in folders for _, entry in files
               if not stat.S_ISLNK(entry.mode)) or 1
    texts[INFO.index("installed-size")] = tree.int(size)
    identity = tree.blob(bytes(IDENTITY_BYTES), once=False)
    texts[INFO.index("hashes")] = identity
    words = [tree.object(texts), tree.object(paths)]
    words.append(tree.object(tree.blob(scripts.get(name, "")) for name in SCRIPTS))
    tree.root(tree.object(words))
    digest = hashlib.sha256(tree.data).digest()[:IDENTITY_BYTES]
    at = tree.offset(identity)
    tree.data[at:at + IDENTITY_BYTES] = digest
    return tree, digest, size


def package(info, files, scripts, mtime, sign=None):
    """A package: its bytes, and its facts as an index tells them.

    info is texts by the names of INFO, and lists of names by those of RELATIONS; files has entries
    with content and mode by path, without a leading slash, of links the content is what they point
    to; scripts has texts by the names of SCRIPTS. A package of no bytes counts as one byte, as apk counts it. sign is as in container.
    """
    folders = _folders(files)
    tree, identity, size = _tree_of(folders, info, scripts, mtime)
    blocks = []
    for at, (_, members) in enumerate(folders, 1):
        for number, (_, entry) in enumerate(members, 1):
            if entry.content and not stat.S_ISLNK(entry.mode):
                blocks.append(block(BLOCK_DATA, struct.pack("<II", at, number) + entry.content))
    raw = container(b"pckg", tree, blocks, sign)
    digest = hashlib.sha256(tree.data).digest()
    facts = {"info": info, "identity": identity, "hash": digest, "installed-size": size,
             "file-size": len(raw)}
    return raw, facts


def _folders(files):
    """[(path, [(name, entry)])], the root first as the empty path, all sorted."""
    folders = {"": []}
    for path in sorted(files):
        folder, _, name = path.rpartition("/")
        while folder not in folders:
            folders[folder] = []
            folder = folder.rpartition("/")[0]
        folders[path.rpartition("/")[0]].append((name, files[path]))
    return sorted(folders.items())


def index(all_facts, description, sign=None):
    """packages.adb, the list of a repository. sign is as in container."""
    tree = Tree()
    packages = {}
    for facts in all_facts:
        words = _listed(tree, facts)
        words[INFO.index("file-size")] = tree.int(facts["file-size"])
        words[INFO.index("hashes")] = tree.blob(facts["hash"])
        packages[facts["info"]["name"]] = tree.object(words)
    about = tree.blob(description, once=False)  # apk shares no text with those it copied
    tree.root(tree.object([about, tree.object(packages[name] for name in sorted(packages))]))
    return container(b"indx", tree, [], sign)


def _listed(tree, facts):
    """The words of a package's own facts. apk copies all of them, the identity too, though it
    then puts the package's hash in that place."""
    relations = {name: sorted(facts["info"].get(name, []), key=_bare) for name in RELATIONS}
    words = _info(tree, facts["info"] | relations | {"hashes": facts["identity"]})
    words[INFO.index("installed-size")] = tree.int(facts["installed-size"])
    return words
