"""What cross/release gathers, from files that only have the names of the real ones: sums, their
signature, and the bill of materials, which is held against what cargo says is linked."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from scratch import ROOT, TRIPLES, need, run

VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
GIVEN = [
    *(f"full/{triple}/hbb" for triple in TRIPLES),
    f"debian/hbb_{VERSION}_arm64.deb",
    f"debian/hbb-compat_{VERSION}_all.deb",
    "openwrt/ipk/aarch64_generic/hbb_x_aarch64_generic.ipk",
    "openwrt/apk/aarch64_generic/hbb-x.apk",
    "hbb-rpi-arm64.img.xz",
    "hbb-rpi-arm64.update",
]
MADE = {
    f"hbb-{VERSION}.tar.xz",
    *(f"hbb-{VERSION}-{triple}" for triple in TRIPLES),
    f"hbb_{VERSION}_arm64.deb",
    f"hbb-compat_{VERSION}_all.deb",
    "hbb_x_aarch64_generic.ipk",
    "hbb-x_aarch64_generic.apk",
    f"hbb-{VERSION}-rpi-arm64.img.xz",
    f"hbb-{VERSION}-rpi-arm64.update",
    f"hbb-{VERSION}.cdx.json",
}


def gather(dist, key=""):
    """Runs cross/release on files of these names, and gives what it printed."""
    for name in GIVEN:
        path = Path(dist, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return run(ROOT / "cross/release", env=os.environ | {"HBB_DIST": dist, "HBB_SIGN_KEY": key})


def verify(release, signers):
    """What ssh-keygen and sha256sum say, as cross/release tells people to ask."""
    with (release / "SHA256SUMS").open() as sums:
        signature = subprocess.run(
            [need("ssh-keygen", "openssh-client"), "-Y", "verify", "-f", signers, "-I", "hbb",
             "-n", "hbb-release", "-s", release / "SHA256SUMS.sig"],
            stdin=sums, capture_output=True, check=False)
    contents = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
                              cwd=release, capture_output=True, check=False)
    return signature.returncode == 0, contents.returncode == 0


class Release(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.dist = scratch.name
        self.release = Path(self.dist, "release")

    def test_without_a_key_it_says_that_it_is_unsigned(self):
        said = gather(self.dist)
        self.assertIn("unsigned", said)
        self.assertEqual({path.name for path in self.release.iterdir()}, MADE | {"SHA256SUMS"})
        named = {line.split()[1] for line in (self.release / "SHA256SUMS").read_text().splitlines()}
        self.assertEqual(named, MADE)

    def test_a_changed_file_or_sum_is_found(self):
        key, signers = Path(self.dist, "key"), Path(self.dist, "signers")
        run(need("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", key)
        signers.write_text(f"hbb {key.with_suffix('.pub').read_text()}")
        self.assertIn("\nsigned", gather(self.dist, str(key)))
        self.assertEqual(verify(self.release, signers), (True, True))
        program, sums = self.release / f"hbb-{VERSION}-{TRIPLES[0]}", self.release / "SHA256SUMS"
        was = program.read_text()
        program.write_text("another program")
        self.assertEqual(verify(self.release, signers), (True, False))
        program.write_text(was)
        sums.write_text(sums.read_text().replace("0", "1", 1))
        self.assertEqual(verify(self.release, signers), (False, False))

    def test_a_key_that_cannot_sign_ends_it(self):
        with self.assertRaisesRegex(AssertionError, "cannot sign"):
            gather(self.dist, "/dev/null")

    def test_a_missing_file_ends_it(self):
        (broken,) = [name for name in GIVEN if name.endswith(".update")]
        GIVEN.remove(broken)
        self.addCleanup(GIVEN.append, broken)
        with self.assertRaisesRegex(AssertionError, "see --help for what comes first"):
            gather(self.dist)

    def test_the_bill_has_each_crate_and_nothing_of_this_machine(self):
        gather(self.dist)
        text = (self.release / f"hbb-{VERSION}.cdx.json").read_text()
        self.assertNotIn(str(ROOT), text)
        bill = json.loads(text)
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
        self.assertEqual(bill["metadata"]["component"]["version"], VERSION)
        billed = {(part["name"], part["version"]) for part in bill["components"]}
        tree = run("cargo", "tree", "--locked", "--manifest-path", ROOT / "Cargo.toml", "--target",
                   TRIPLES[0], "--edges", "normal", "--prefix", "none", "--format", "{p}")
        linked = {tuple(line.split()[:2]) for line in tree.splitlines()}
        linked = {(name, version.removeprefix("v")) for name, version in linked} - {("hbb", VERSION)}
        self.assertGreater(len(linked), 50)
        self.assertEqual(billed, linked)
        for part in bill["components"]:
            self.assertTrue(part["licenses"], part["name"])
            if "registry+" in part["bom-ref"]:
                self.assertTrue(part["hashes"], part["name"])

    def test_the_same_input_gives_the_same_bill(self):
        made = []
        for _ in range(2):
            gather(self.dist)
            made.append((self.release / f"hbb-{VERSION}.cdx.json").read_bytes())
        self.assertEqual(made[0], made[1])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
