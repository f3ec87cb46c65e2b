# SPDX-License-Identifier: MIT OR Apache-2.0
"""Signatures by keys that are files: usign's form for opkg's lists, apk's own for lists and packages.

usign and signify share their formats, so signify-openbsd signs; its keys must have no passphrase.
apk's are PEM files of RSA or of a curve, by which openssl signs. Knows nothing of hbb.
"""

import base64
import hashlib
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

SIGNATURE_VERSION, SHA512 = 0, 4
KEY_ID_BYTES = 16


def run(package, *words):
    try:
        ended = subprocess.run(words, capture_output=True, check=False)
    except FileNotFoundError:
        sys.exit(f"{words[0]} is missing; install the package {package}")
    if ended.returncode:
        sys.exit(f"{words[0]}: {ended.stderr.decode(errors='replace').strip()}")
    return ended.stdout


class Usign:
    """Secret key: algorithm, function and rounds of a passphrase, salt, sum, number, key pair."""

    LAYOUT = "!2s2sL16s8s8s32s32s"

    def __init__(self, path):
        self.path = path
        try:
            raw = base64.b64decode(Path(path).read_text().splitlines()[1], validate=True)
            algorithm, _, rounds, _, _, number, _, public = struct.unpack(self.LAYOUT, raw)
        except (IndexError, ValueError, struct.error) as cause:
            sys.exit(f"{path} is no secret key of usign or signify: {cause}")
        if rounds:
            sys.exit(f"{path} has a passphrase; make one without: signify-openbsd -G -n")
        self.public = _commented("public key", algorithm + number + public)

    def sign(self, content):
        """What opkg finds beside a list, with .sig at its end."""
        with tempfile.TemporaryDirectory() as folder:
            message, signature = Path(folder, "list"), Path(folder, "list.sig")
            message.write_bytes(content)
            run("signify-openbsd", "signify-openbsd", "-S", "-s", self.path, "-m", message,
                "-x", signature)
            return signature.read_bytes()


def _commented(comment, raw):
    return f"untrusted comment: {comment}\n".encode() + base64.b64encode(raw) + b"\n"


class Apk:
    """What is signed: the kind of file, the signature's head with the key's id, the tree's hash."""

    def __init__(self, path):
        self.path = path
        self.public = run("openssl", "openssl", "pkey", "-in", path, "-pubout")
        coded = run("openssl", "openssl", "pkey", "-in", path, "-pubout", "-outform", "DER")
        self.id = hashlib.sha512(_bare(coded)).digest()[:KEY_ID_BYTES]

    def sign(self, schema, tree):
        """The signature's block of a file whose kind is schema and whose first block is tree."""
        head = bytes([SIGNATURE_VERSION, SHA512]) + self.id
        with tempfile.NamedTemporaryFile() as file:
            file.write(schema + head + hashlib.sha512(tree).digest())
            file.flush()
            return head + run("openssl", "openssl", "dgst", "-sha512", "-sign", self.path, file.name)


def _bare(coded):
    """The key in a public key's DER: a sequence of its algorithm and of a string of bits, in which
    one byte tells how many bits at the end are none."""
    inside = _value(coded, 0)[0]
    return _value(inside, _value(inside, 0)[1])[0][1:]


def _value(coded, at):
    """What stands at a place in DER, and where the next begins."""
    size, at = coded[at + 1], at + 2
    if size & 0x80:
        more = size & 0x7F
        size, at = int.from_bytes(coded[at:at + more], "big"), at + more
    return coded[at:at + size], at + size
