"""Signatures of the lists and packages, by keys made here, checked by signify and openssl.

HBB_APK=FILE has apk itself, built from its sources, check those of its own form as well.
"""

import base64
import hashlib
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

from scratch import PROGRAM, need, run_packer

SIGNIFY = need("signify-openbsd", "signify-openbsd")
OPENSSL = need("openssl", "openssl")
CURVE = ["ecparam", "-name", "prime256v1", "-genkey", "-noout"]
RSA = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]


def blocks(package):
    """[(kind, payload)] of an apk file, and its kind."""
    raw = zlib.decompress(package[4:], -15)
    found, at = [], 8
    while at < len(raw):
        word = struct.unpack_from("<I", raw, at)[0]
        size = word & 0x3FFFFFFF
        found.append((word >> 30, raw[at + 4:at + size]))
        at += size + -size % 8
    return found, raw[4:8]


class Signed(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = Path(scratch.name)
        self.secret, self.public = self.path / "made.sec", self.path / "made.pub"
        subprocess.run([SIGNIFY, "-G", "-n", "-s", self.secret, "-p", self.public], check=True)

    def pem(self, words):
        path = self.path / "key.pem"
        subprocess.run([OPENSSL, *words, "-out", path], check=True, capture_output=True)
        return path

    def made(self, **keys):
        keys = {name: str(path) for name, path in keys.items()}
        ended = run_packer(str(self.path), PROGRAM, "x86_64", **keys)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return self.path / "openwrt"

    def signify(self, public, message, signature):
        words = [SIGNIFY, "-V", "-q", "-p", public, "-m", message, "-x", signature]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def test_opkgs_list_is_signed_as_usign_does(self):
        top = self.made(HBB_USIGN_KEY=self.secret)
        told, message = top / "ipk/hbb.pub", top / "ipk/x86_64/Packages"
        signature = top / "ipk/x86_64/Packages.sig"
        for public in [told, self.public]:
            self.assertTrue(self.signify(public, message, signature))
        # opkg asks for a key named after the number that both have.
        key, sig = (base64.b64decode(path.read_text().splitlines()[1]) for path in [told, signature])
        self.assertEqual((len(key), len(sig), key[:10]), (42, 74, sig[:10]))
        self.assertTrue(signature.read_text().startswith("untrusted comment: "))
        message.write_bytes(message.read_bytes().replace(b"hbb", b"hbc", 1))
        self.assertFalse(self.signify(self.public, message, signature))

    def test_apks_list_and_packages_are_signed_as_apk_does(self):
        for words in [CURVE, RSA]:
            with self.subTest(words[0]):
                key = self.pem(words)
                top = self.made(HBB_APK_KEY=key)
                files = sorted((top / "apk/x86_64").iterdir())
                self.assertGreaterEqual(len(files), 3)
                for file in files:
                    self.assertTrue(self.openssl(top / "apk/hbb.pem", file.read_bytes()), file)
                    self.assertFalse(self.openssl(top / "apk/hbb.pem", file.read_bytes(), b"\1"))
                self.apk(top / "apk/hbb.pem", files)

    def openssl(self, public, package, change=b""):
        """Whether the signature is that of the hash of the tree, some bytes later perhaps."""
        (first, tree), (second, signed), *rest = blocks(package)[0]
        self.assertEqual((first, second, {kind for kind, _ in rest} - {2}), (0, 1, set()))
        self.assertEqual(signed[:2], bytes([0, 4]))
        coded = subprocess.check_output([OPENSSL, "pkey", "-pubin", "-in", public, "-text", "-noout"])
        self.assertIn(b"Public-Key", coded)
        message, signature = self.path / "message", self.path / "signature"
        hashed = hashlib.sha512(tree + change).digest()
        message.write_bytes(blocks(package)[1] + signed[:18] + hashed)
        signature.write_bytes(signed[18:])
        words = [OPENSSL, "dgst", "-sha512", "-verify", public, "-signature", signature, message]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def apk(self, public, files):
        """What apk itself says, where there is one: the id of the key is its own affair."""
        if not os.environ.get("HBB_APK"):
            return
        keys = self.path / "keys"
        keys.mkdir(exist_ok=True)
        verify = [os.environ["HBB_APK"], "verify", "--keys-dir", keys, *files]
        said = subprocess.run(verify, capture_output=True, text=True, check=False)
        self.assertIn("UNTRUSTED", said.stdout + said.stderr)
        (keys / "hbb.pem").write_bytes(public.read_bytes())
        said = subprocess.run(verify, capture_output=True, text=True, check=False)
        self.assertEqual(said.returncode, 0, said)
        (keys / "hbb.pem").unlink()

    def test_the_id_of_a_key_is_the_hash_of_it_bare(self):
        """Of a curve's that is the point; apk takes the key by that, and knows no other."""
        key = self.pem(CURVE)
        top = self.made(HBB_APK_KEY=key)
        coded = subprocess.check_output([OPENSSL, "pkey", "-in", key, "-pubout", "-outform", "DER"])
        signed = blocks((top / "apk/x86_64/packages.adb").read_bytes())[0][1][1]
        self.assertEqual(signed[2:18], hashlib.sha512(coded[-65:]).digest()[:16])

    def test_without_keys_there_are_no_signatures(self):
        top = self.made()
        names = {path.name for path in top.rglob("*") if path.is_file()}
        self.assertEqual(names & {"Packages.sig", "hbb.pub", "hbb.pem"}, set())
        self.assertEqual(len(blocks((top / "apk/x86_64/packages.adb").read_bytes())[0]), 1)

    def test_what_is_no_key_is_refused_by_name(self):
        wrong = self.path / "wrong"
        wrong.write_text("no key\n")
        for name, word in [("HBB_USIGN_KEY", "no secret key"), ("HBB_APK_KEY", "openssl: ")]:
            ended = run_packer(str(self.path), PROGRAM, "x86_64", **{name: str(wrong)})
            self.assertEqual(ended.returncode, 1)
            self.assertIn(word, ended.stderr)
            self.assertFalse((self.path / "openwrt").exists())
        # A passphrase would be asked for on the terminal, of which a release has none.
        raw = bytearray(base64.b64decode(self.secret.read_text().splitlines()[1]))
        raw[7] = 42
        wrong.write_text(f"untrusted comment: x\n{base64.b64encode(raw).decode()}\n")
        ended = run_packer(str(self.path), PROGRAM, "x86_64", HBB_USIGN_KEY=str(wrong))
        self.assertIn("has a passphrase", ended.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
