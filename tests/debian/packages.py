"""The packages themselves: what they say, hold, and whether Debian's own checkers mind."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
from io import BytesIO
from pathlib import Path

from scratch import DIST, ROOT, compat, need, package, run

ARCHITECTURES = {"amd64": "x86_64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl",
                 "armhf": "armv7-unknown-linux-musleabihf"}
CRATE = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
CONFFILES = ["etc/hbb/hbb.conf", "etc/ufw/applications.d/hbb"]
MODES = {
    "etc/hbb/hbb.conf": 0o640,
    "etc/ufw/applications.d/hbb": 0o644,
    "usr/bin/hbb": 0o755,
    "usr/lib/firewalld/services/hbb.xml": 0o644,
    "usr/lib/systemd/system/hbb.service": 0o644,
    "usr/lib/sysusers.d/hbb.conf": 0o644,
    "usr/share/bash-completion/completions/hbb": 0o644,
    "usr/share/fish/vendor_completions.d/hbb.fish": 0o644,
    "usr/share/zsh/vendor-completions/_hbb": 0o644,
    "usr/share/doc/hbb/changelog.gz": 0o644,
    "usr/share/doc/hbb/copyright": 0o644,
    "usr/share/lintian/overrides/hbb": 0o644,
    "usr/share/man/man1/hbb.1.gz": 0o644,
    "usr/share/man/man5/hbb.conf.5.gz": 0o644,
}
# What a server on the internet cannot go without, and the clock ProtectClock= lets it read.
EXPOSED = {"RootDirectory", "PrivateNetwork", "IPAddressDeny", "DeviceAllow",
           "RestrictAddressFamilies"}


def parts(architecture, part):
    """[(TarInfo, content)] of `control` or `data`."""
    option = "--ctrl-tarfile" if part == "control" else "--fsys-tarfile"
    raw = subprocess.check_output(["dpkg-deb", option, package(architecture)])
    with tarfile.open(fileobj=BytesIO(raw)) as tar:
        return [(info, tar.extractfile(info).read() if info.isfile() else b"") for info in tar]


def contents(architecture, part):
    return {info.name.removeprefix("./"): content
            for info, content in parts(architecture, part) if info.isfile()}


def written(word):
    """Whether one of the files that the program is made of has this word."""
    files = (path for folder in ("src", "proto") for path in (ROOT / folder).rglob("*"))
    return any(re.search(rf"\b{re.escape(word)}\b", path.read_text(errors="replace"))
               for path in files if path.is_file())


class Contents(unittest.TestCase):
    def test_the_control_file_is_of_the_crate_and_the_machine(self):
        for name in ARCHITECTURES:
            control = contents(name, "control")["control"].decode()
            fields = dict(line.split(": ", 1) for line in control.splitlines() if line[0] != " ")
            self.assertEqual((fields["Package"], fields["Version"], fields["Architecture"]),
                             ("hbb", CRATE["version"], name))
            self.assertIn("systemd-sysusers", fields["Depends"])
            size = sum(len(content) for content in contents(name, "data").values())
            self.assertAlmostEqual(int(fields["Installed-Size"]), size / 1024, delta=16)

    def test_files_have_their_modes_and_are_roots(self):
        for name in ARCHITECTURES:
            data = parts(name, "data")
            self.assertEqual({info.name[2:]: info.mode for info, _ in data if info.isfile()},
                             MODES)
            folders = [info for info, _ in data if not info.isfile()]
            self.assertEqual({(info.isdir(), info.mode) for info in folders}, {(True, 0o755)})
            self.assertEqual({(i.uid, i.gid, i.uname, i.gname) for i, _ in data},
                             {(0, 0, "root", "root")})
            about = {info.name: info.mode for info, _ in parts(name, "control")}
            for script in ["postinst", "postrm", "prerm"]:
                self.assertEqual(about[f"./{script}"] & 0o777, 0o755, script)

    def test_sums_conffiles_and_the_program(self):
        for name, triple in ARCHITECTURES.items():
            data, about = contents(name, "data"), contents(name, "control")
            sums = dict(reversed(line.split(None, 1))
                        for line in about["md5sums"].decode().splitlines())
            self.assertEqual(sums, {path: hashlib.md5(content).hexdigest()
                                    for path, content in data.items()})
            self.assertEqual(about["conffiles"].decode().split(), [f"/{p}" for p in CONFFILES])
            self.assertEqual(data["usr/bin/hbb"], (DIST / "full" / triple / "hbb").read_bytes())

    def test_the_same_input_gives_the_same_bytes(self):
        made = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as dist:
                (Path(dist) / "full").symlink_to(DIST / "full")
                run(ROOT / "board/debian/package", "amd64",
                    env=os.environ | {"HBB_DIST": dist, "SOURCE_DATE_EPOCH": "1700000000"})
                debs = sorted(Path(dist).glob("debian/*.deb"))
                made.append([path.read_bytes() for path in debs])
        self.assertEqual(made[0], made[1])
        packed = [compat().read_bytes(), package().read_bytes()]
        self.assertEqual(len(made[0]), len(packed))
        for one, now in zip(made[0], packed, strict=True):
            self.assertNotEqual(one, now, "the time is of the commit")

    def test_upstreams_names_are_links_to_the_program_of_this_version(self):
        fields = run("dpkg-deb", "--field", compat(), "Package", "Version", "Architecture",
                     "Depends", "Conflicts", "Replaces").splitlines()
        former = "rustdesk-server-hbbr, rustdesk-server-hbbs, rustdesk-server-utils"
        version = CRATE["version"]
        self.assertEqual(sorted(fields), sorted([
            "Package: hbb-compat", f"Version: {version}", "Architecture: all",
            f"Depends: hbb (= {version})", f"Conflicts: {former}", f"Replaces: {former}"]))
        raw = subprocess.check_output(["dpkg-deb", "--fsys-tarfile", compat()])
        with tarfile.open(fileobj=BytesIO(raw)) as tar:
            found = {info.name: info.linkname for info in tar if "/bin/" in info.name}
        names = ["hbbr", "hbbs", "rustdesk-utils"]
        self.assertEqual(found, {f"./usr/bin/{name}": "hbb" for name in names})


class Checkers(unittest.TestCase):
    def test_lintian_minds_only_what_is_overridden_and_explained(self):
        said = run(need("lintian", "lintian"), "--allow-root", "--pedantic", "--display-info",
                   "--show-overrides", compat(), *map(package, ARCHITECTURES)).splitlines()
        tags = [line for line in said if re.match("[EWIP]: ", line)]
        # The compiler lays texts and machine code side by side: only a word we wrote counts.
        tags = [line for line in tags
                if "spelling-error-in-binary" not in line or written(line.split()[3])]
        self.assertEqual(tags, [])
        lines = (ROOT / "board/debian/lintian-overrides").read_text().splitlines()
        self.assertTrue(lines[0].startswith("# "))
        for before, line in zip(lines, lines[1:], strict=False):
            if line.startswith("hbb: "):
                self.assertTrue(before.startswith("# "), f"{line}: why?")
                self.assertEqual(said.count(f"O: {line}"), len(ARCHITECTURES), line)

    def test_pages_are_clean(self):
        pages = [ROOT / "board/debian" / name for name in ["hbb.1", "hbb.conf.5"]]
        self.assertEqual(run(need("mandoc", "mandoc"), "-Tlint", "-W", "warning", *pages), "")

    def test_ufw_reads_its_profiles(self):
        with tempfile.TemporaryDirectory() as folder:
            profiles = Path(folder) / "applications.d"
            profiles.mkdir()
            (profiles / "hbb").write_bytes((ROOT / "board/debian/hbb.ufw").read_bytes())
            # Its texts go through _, which the program defines.
            code = ("import builtins, sys, ufw.applications as a; builtins._ = str; "
                    "p = a.get_profiles(sys.argv[1]); "
                    "print({n: a.get_ports(p[n]) for n in p if a.verify_profile(n, p[n])})")
            need("ufw", "ufw")
            said = run("/usr/bin/python3", "-c", code, profiles)
        self.assertEqual(eval(said), {"hbb": ["21114:21119/tcp", "21116/udp"],
                                      "hbb single port": ["21116"]})

    def test_firewalld_opens_the_same_ports(self):
        xml = (ROOT / "board/debian/hbb.firewalld.xml").read_text()
        self.assertEqual(xml.count("<port "), 2)
        for protocol, port in [("tcp", "21114-21119"), ("udp", "21116")]:
            self.assertIn(f'<port protocol="{protocol}" port="{port}"/>', xml)
        run("/usr/bin/python3", "-c",
            "import sys, xml.etree.ElementTree as e; e.fromstring(sys.stdin.read())", input=xml)

    def test_limits_are_those_of_the_board(self):
        board = tomllib.loads((ROOT / "board/raspberry-pi.toml").read_text())["limits"]
        lines = (ROOT / "board/debian/hbb.conf").read_text().splitlines()
        flags = {"writes_a_day": "--writes-per-day"}
        for name, limit in board.items():
            self.assertIn(f"{flags.get(name, '--max-' + name)} {limit}", lines)

    def test_the_unit_is_confined(self):
        said = run(need("systemd-analyze", "systemd"), "security", "--offline=true",
                   "--no-pager", "--threshold=15", ROOT / "board/debian/hbb.service")
        exposed = {line.split()[1].split("=")[0] for line in said.splitlines()
                   if line.startswith("✗")}
        self.assertEqual(exposed, EXPOSED, said)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
