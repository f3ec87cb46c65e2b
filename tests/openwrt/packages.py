"""The packages: how they are laid out, what they say of themselves, what their scripts do."""

import functools
import gzip
import hashlib
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
import zlib
from pathlib import Path

from scratch import (EPOCH, FIREWALL, HBB, PROGRAM, ROOT, Scratch, contents, members, need, packer,
                     run_packer)

PACKER = packer()
RECIPE_OF = {name: PACKER.Recipe((ROOT / "openwrt/hbb/Makefile").read_text(), name)
             for name in PACKER.PACKAGES}
RECIPE = RECIPE_OF["hbb"]
MODES = {
    "etc/capabilities/hbb.json": 0o644,
    "etc/config/hbb": 0o600,
    "etc/hotplug.d/block/90-hbb": 0o644,
    "etc/init.d/hbb": 0o755,
    "etc/uci-defaults/90-hbb": 0o755,
    "lib/upgrade/keep.d/hbb": 0o644,
    "usr/bin/hbb": 0o755,
    "usr/libexec/hbb-firewall": 0o755,
    "usr/share/hbb-boards": 0o644,
    "usr/share/hbb-former": 0o755,
    "usr/share/hbb.sh": 0o644,
}
FULL_MODES = MODES | {"usr/share/hbb-full.sh": 0o644}
FULL_PROGRAM = PROGRAM + b" with all its parts"
FULL_PAGES = ["app-hbb-full", "i18n-hbb-full-de"]
FULL_IPK = "ipk/x86_64/hbb-full_0.1.0-r1_x86_64.ipk"


def made(*words, full=None):
    """Packages and lists of all architectures by path, of a program that is a few bytes."""
    with tempfile.TemporaryDirectory() as dist:
        ended = run_packer(dist, PROGRAM, *words, full=full)
        if ended.returncode:
            raise AssertionError(ended.stderr)
        top = Path(dist) / "openwrt"
        return {str(path.relative_to(top)): path.read_bytes()
                for path in top.rglob("*") if path.is_file()}


@functools.cache
def all_made():
    """It takes seconds: for the tests alone that look into it."""
    return made()


ARCHITECTURES = ["aarch64_cortex-a53", "aarch64_generic", "arm_cortex-a7_neon-vfpv4",
                 "arm_cortex-a9_vfpv3-d16", "x86_64"]


@functools.cache
def full_made():
    return made("x86_64", full=FULL_PROGRAM)


def ipk(architecture="x86_64"):
    return all_made()[f"ipk/{architecture}/hbb_0.1.0-r1_{architecture}.ipk"]


def apk(architecture="x86_64"):
    return all_made()[f"apk/{architecture}/hbb-0.1.0-r1.apk"]


class Recipe(unittest.TestCase):
    def test_the_version_is_the_crates(self):
        crate = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
        self.assertEqual(RECIPE.variable("PKG_VERSION"), crate["version"])
        self.assertEqual(RECIPE.variable("PKG_LICENSE"), crate["license"])

    def test_make_installs_what_the_packages_hold(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "bin").mkdir()
            (folder / "bin/hbb").write_bytes(PROGRAM)
            for name in ["rules.mk", "package.mk", "lang/rust/rust-package.mk", "net/hbb/Makefile"]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).touch()
            # From where it is in the feed.
            shutil.copy(ROOT / "openwrt/hbb/Makefile", folder / "net/hbb")
            (folder / "rules.mk").write_text(BUILDROOT)
            make = [need("make", "make"), "-s", "-C", folder / "net/hbb", "install",
                    f"TOPDIR={folder}", f"INCLUDE_DIR={folder}", f"PKG_BUILD_DIR={ROOT}",
                    f"PKG_INSTALL_DIR={folder}", f"TO={folder}/to"]
            subprocess.run(make, check=True)
            self.same(folder / "to/hbb", MODES, ipk())
            (folder / "to/hbb-full/usr/bin/hbb").write_bytes(FULL_PROGRAM)
            self.same(folder / "to/hbb-full", FULL_MODES, full_made()[FULL_IPK])
            links = {path.name: str(path.readlink())
                     for path in (folder / "to/hbb-compat/usr/bin").iterdir()}
            self.assertEqual(links, dict.fromkeys(["hbbr", "hbbs", "rustdesk-utils"], "hbb"))

    def same(self, folder, modes, package):
        files = {str(path.relative_to(folder)): path
                 for path in folder.rglob("*") if path.is_file()}
        self.assertEqual({name: path.stat().st_mode & 0o777 for name, path in files.items()},
                         modes)
        data = contents(contents(package)["data.tar.gz"])
        for name, path in files.items():
            self.assertEqual(path.read_bytes(), data[name], name)

    def test_the_feeds_own_test_passes(self):
        env = os.environ | {"PATH": f"{Path(HBB).resolve().parent}:{os.environ['PATH']}"}
        for version, code in [(RECIPE.variable("PKG_VERSION"), 0), ("9.9", 1)]:
            ended = subprocess.run(["sh", ROOT / "openwrt/hbb/test.sh", "hbb", version], env=env,
                                   capture_output=True, check=False)
            self.assertEqual(ended.returncode, code, ended.stderr)


# A stub of buildroot: the install macros with their modes, and one target.
BUILDROOT = """
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
INSTALL_CONF:=install -m0600
LN:=ln -sf
define BuildPackage
install: install-$(1)
install-$(1): ; $$(call Package/$(1)/install,$(TO)/$(1))
endef
.ONESHELL:
"""


class Ipk(unittest.TestCase):
    def test_all_three_tars_are_as_opkg_reads_them(self):
        for name in ARCHITECTURES:
            outer = contents(ipk(name))
            self.assertEqual(list(outer), ["debian-binary", "data.tar.gz", "control.tar.gz"])
            self.assertEqual(outer["debian-binary"], b"2.0\n")
            self.plain(ipk(name))
            for tar in [outer["control.tar.gz"], outer["data.tar.gz"]]:
                self.plain(tar)
                names = [info.name for info, _ in members(tar)]
                self.assertEqual(names, sorted(names))

    def plain(self, tar):
        """GNU headers alone, of files and folders of root's, of one time."""
        raw = gzip.decompress(tar)
        for info, _ in members(tar):
            self.assertIn(info.type, [tarfile.REGTYPE, tarfile.DIRTYPE])
            self.assertEqual((info.uid, info.gid, info.mtime), (0, 0, int(EPOCH)), info.name)
            self.assertTrue(info.name.startswith("."), info.name)
            at = info.offset
            self.assertEqual(raw[at + 257:at + 265], b"ustar  \0")
            self.assertIn(raw[at + 156:at + 157], b"05")

    def test_files_and_their_modes(self):
        data = members(contents(ipk())["data.tar.gz"])
        modes = {info.name[2:]: info.mode for info, _ in data if info.isfile()}
        self.assertEqual(modes, MODES)
        self.assertEqual({info.mode for info, _ in data if info.isdir()}, {0o755})
        self.assertEqual(contents(contents(ipk())["data.tar.gz"])["usr/bin/hbb"], PROGRAM)

    def test_the_control_file(self):
        for name in ARCHITECTURES:
            control = contents(contents(ipk(name))["control.tar.gz"])["control"].decode()
            size = sum(len(c) for c in contents(contents(ipk(name))["data.tar.gz"]).values())
            self.assertEqual(control, f"""\
Package: hbb
Version: 0.1.0-r1
Source: openwrt/hbb
SourceName: hbb
License: MIT OR Apache-2.0
LicenseFiles: LICENSE-MIT LICENSE-APACHE
Section: net
Require-User: hbb:hbb
SourceDateEpoch: {EPOCH}
URL: https://hbb.example/hbb
Maintainer: hbb maintainers <maintainers@hbb.example>
Architecture: {name}
Installed-Size: {size}
Description: ID and rendezvous server and relay for RustDesk clients in one small binary.
 Runs jailed as its own user; opens no port of the firewall until zones are chosen.
""")
        about = members(contents(ipk())["control.tar.gz"])
        modes = {info.name[2:]: info.mode for info, _ in about if info.isfile()}
        scripts = dict.fromkeys(["postinst", "postinst-pkg", "prerm", "prerm-pkg"], 0o755)
        self.assertEqual(modes, scripts | {"control": 0o644, "conffiles": 0o644})
        self.assertEqual(contents(contents(ipk())["control.tar.gz"])["conffiles"],
                         b"/etc/config/hbb\n")

    def test_the_feeds_list_names_the_package(self):
        for name in ARCHITECTURES:
            text = all_made()[f"ipk/{name}/Packages"]
            self.assertEqual(gzip.decompress(all_made()[f"ipk/{name}/Packages.gz"]), text)
            own, _compat, _app, _german, rest = text.decode().split("\n\n")
            fields = dict(line.split(": ", 1) for line in own.splitlines() if ": " in line)
            self.assertEqual(all_made()[f"ipk/{name}/{fields['Filename']}"], ipk(name))
            self.assertEqual(fields["Size"], str(len(ipk(name))))
            self.assertEqual(fields["SHA256sum"], hashlib.sha256(ipk(name)).hexdigest())
            self.assertEqual(rest, "")

    def test_no_package_is_larger_than_608_kib(self):
        with tempfile.TemporaryDirectory() as dist:
            ended = run_packer(dist, os.urandom(608 << 10), "x86_64")
            self.assertEqual(ended.returncode, 1)
            self.assertRegex(ended.stderr, r"^hbb_0.1.0-r1_x86_64.ipk: [\d,]+ bytes over")
            self.assertFalse((Path(dist) / "openwrt").exists())

    def test_full_packages_and_those_of_more_architectures_have_limits_of_their_own(self):
        for device, full, kib in [("x86_64", False, 608), ("i386_pentium4", False, 704),
                                  ("mips_24kc", False, 704), ("mipsel_24kc", False, 704),
                                  ("x86_64", True, 768)]:
            PACKER.fits("one", bytes(kib << 10), device, full)
            with self.assertRaisesRegex(SystemExit, f"one: 1 bytes over .* {kib << 10:,}$"):
                PACKER.fits("one", bytes((kib << 10) + 1), device, full)

    def test_more_architectures_are_made_when_named(self):
        built = (ROOT / "cross/triples").read_text()
        for name, triple in PACKER.MORE_TRIPLES.items():
            self.assertRegex(built, rf"(?m)^more_triples=\(.*\b{triple}\b")
            self.assertNotIn(f"ipk/{name}/Packages", all_made())
            with tempfile.TemporaryDirectory() as dist:
                self.assertEqual(run_packer(dist, PROGRAM, name).returncode, 0)
                text = (Path(dist) / "openwrt/ipk" / name / "Packages").read_text()
                self.assertIn(f"\nArchitecture: {name}\n", text)

    def test_the_same_input_gives_the_same_bytes(self):
        self.assertEqual(made(), all_made())


def fields_of(package):
    control = contents(contents(package)["control.tar.gz"])["control"].decode()
    return dict(line.split(": ", 1) for line in control.splitlines() if line[0] != " ")


class Variants(unittest.TestCase):
    """hbb-full in place of hbb."""

    def full(self, kind="ipk"):
        return full_made()["ipk/x86_64/hbb-full_0.1.0-r1_x86_64.ipk" if kind == "ipk"
                           else "apk/x86_64/hbb-full-0.1.0-r1.apk"]

    def test_the_full_one_is_made_if_its_program_is_there_or_it_is_named(self):
        self.assertFalse([name for name in all_made() if "full" in name])
        self.assertEqual({name for name in full_made() if "full" in name},
                         {FULL_IPK, "apk/x86_64/hbb-full-0.1.0-r1.apk",
                          *(f"ipk/x86_64/luci-{name}_0.1.0-r1_all.ipk" for name in FULL_PAGES),
                          *(f"apk/x86_64/luci-{name}-0.1.0-r1.apk" for name in FULL_PAGES)})
        with tempfile.TemporaryDirectory() as dist:
            ended = run_packer(dist, PROGRAM, "hbb-full", "x86_64")
            self.assertEqual(ended.returncode, 1)
            self.assertRegex(ended.stderr, "full/x86_64-unknown-linux-musl/hbb is missing: "
                             ".* cross/build --full ")

    def test_the_full_one_differs_in_its_program_and_its_section(self):
        own, full = (contents(contents(one)["data.tar.gz"]) for one in [ipk(), self.full()])
        self.assertEqual((own.pop("usr/bin/hbb"), full.pop("usr/bin/hbb")), (PROGRAM, FULL_PROGRAM))
        self.assertIn(b"full_flags", full.pop("usr/share/hbb-full.sh"))
        self.assertEqual(own, full)
        own, full = (contents(contents(one)["control.tar.gz"]) for one in [ipk(), self.full()])
        self.assertNotEqual(own.pop("control"), full.pop("control"))
        self.assertEqual(own, full)
        files = installed(self.full("apk"))
        self.assertIn("lib/apk/packages/hbb-full.conffiles", files)
        self.assertEqual({path for path in files if "/apk/" not in path}, set(FULL_MODES))

    def test_the_full_one_stands_for_the_other_and_is_not_installed_beside_it(self):
        fields = fields_of(self.full())
        want = {"Package": "hbb-full", "Provides": "hbb", "Source": "openwrt/hbb",
                "SourceName": "hbb", "Require-User": "hbb:hbb"}
        self.assertLessEqual(want.items(), fields.items())
        # opkg refuses it for the files of both. Of a conflict that it once saw opkg keeps hbb in
        # mind, and refuses each later version of this one.
        self.assertNotIn("Conflicts", fields)
        # Of a name with a version apk installs one alone; hbb is taken where either would do.
        info = Adb(self.full("apk")).root[0]
        self.assertEqual(info[13:], [None, None, [[b"hbb", b"0.1.0-r1"], [b"hbb-full-any"]]])
        self.assertFalse({"Provides", "Conflicts"} & set(fields_of(ipk())))


class Compat(unittest.TestCase):
    """Upstream's names, beside hbb or hbb-full."""

    def test_it_has_links_alone_and_fits_any_architecture(self):
        links = {f"usr/bin/{name}": "hbb" for name in ["hbbr", "hbbs", "rustdesk-utils"]}
        package = all_made()["ipk/x86_64/hbb-compat_0.1.0-r1_all.ipk"]
        data = members(contents(package)["data.tar.gz"])
        self.assertEqual({info.name[2:]: info.linkname for info, _ in data if not info.isdir()},
                         links)
        self.assertTrue(all(info.issym() or info.isdir() for info, _ in data))
        self.assertEqual({(info.uid, info.gid) for info, _ in data}, {(0, 0)})
        want = {"Package": "hbb-compat", "Architecture": "all", "Depends": "hbb, libc",
                "Conflicts": "rustdesk-server", "Installed-Size": "0"}
        self.assertLessEqual(want.items(), fields_of(package).items())
        adb = Adb(all_made()["apk/x86_64/hbb-compat-0.1.0-r1.apk"])
        self.assertEqual(adb.root[0][4], b"noarch")
        made = {name.decode(): target for folder, _, *more in adb.root[1] if folder == b"usr/bin"
                for name, _acl, _size, _mtime, _hash, target in more[0]}
        link = struct.pack("<H", stat.S_IFLNK) + b"hbb"
        self.assertEqual(made, {path.rpartition("/")[2]: link for path in links})

    def test_under_those_names_the_program_is_what_they_were(self):
        root = Scratch(self).install(compat=True)
        for name, word in [("hbbs", "--relay-servers"), ("hbbr", "--port"),
                           ("rustdesk-utils", "genkeypair")]:
            ended = root.execute([f"/usr/bin/{name}", "--help"], "")
            self.assertIn(word, ended.stdout + ended.stderr, name)
            ended = root.execute([f"/usr/bin/{name}", "--version"], "")
            self.assertIn(RECIPE.variable("PKG_VERSION"), ended.stdout + ended.stderr, name)


class Adb:
    """Reads what apk's manual page apk-v3(5) describes; shares nothing with the writer."""

    def __init__(self, package):
        assert package[:4] == b"ADBd"
        self.raw = zlib.decompress(package[4:], -15)
        assert self.raw[:4] == b"ADB."
        self.schema = self.raw[4:8]
        self.blocks, at = [], 8
        while at < len(self.raw):
            word = struct.unpack_from("<I", self.raw, at)[0]
            size = word & 0x3FFFFFFF
            self.blocks.append((word >> 30, self.raw[at + 4:at + size]))
            at += size + -size % 8
        self.tree = self.blocks[0][1]
        self.root = self.value(struct.unpack_from("<I", self.tree, 4)[0])

    def value(self, word):
        kind, at = word >> 28, word & 0x0FFFFFFF
        if kind == 0:
            return None
        if kind == 1:
            return at
        if kind == 2:
            return struct.unpack_from("<I", self.tree, at)[0]
        if kind in (8, 9, 10):
            form = {8: "<B", 9: "<H", 10: "<I"}[kind]
            size = struct.unpack_from(form, self.tree, at)[0]
            at += struct.calcsize(form)
            return self.tree[at:at + size]
        assert kind in (0xD, 0xE), hex(word)
        count = struct.unpack_from("<I", self.tree, at)[0]
        return [self.value(one) for one in struct.unpack_from(f"<{count - 1}I", self.tree, at + 4)]


def installed(package):
    """{path: (mode, owner, group, content)} of an apk package, its hashes checked."""
    adb = Adb(package)
    data = {struct.unpack_from("<II", block): block[8:] for kind, block in adb.blocks if kind == 2}
    files = {}
    for at, (folder, _, *more) in enumerate(adb.root[1], 1):
        for number, (name, acl, size, mtime, digest) in enumerate(more[0] if more else [], 1):
            content = data.pop((at, number), b"")
            assert (len(content), mtime) == (size, int(EPOCH)), name
            assert hashlib.sha256(content).digest() == digest, name
            path = f"{(folder or b'').decode()}/{name.decode()}".lstrip("/")
            files[path] = (acl[0], acl[1], acl[2], content)
    assert not data, "contents that belong to no file"
    return files


class Apk(unittest.TestCase):
    def test_it_is_a_package_of_the_third_format(self):
        for name in ARCHITECTURES:
            adb = Adb(apk(name))
            self.assertEqual(adb.schema, b"pckg")
            info = adb.root[0]
            self.assertEqual(info[:2] + info[4:6], [b"hbb", b"0.1.0-r1", name.encode(),
                                                    b"MIT OR Apache-2.0"])
            # Its identity is the hash of the tree with zeros in that place.
            identity = info[2]
            self.assertEqual(adb.tree.count(identity), 1)
            blank = adb.tree.replace(identity, bytes(20))
            self.assertEqual(identity, hashlib.sha256(blank).digest()[:20])

    def test_files_are_those_of_the_ipk_and_what_openwrt_asks_for(self):
        files = installed(apk())
        modes = {path: mode for path, (mode, *_) in files.items()}
        own = "lib/apk/packages/hbb"
        extra = [f"{own}.{end}" for end in ["conffiles", "conffiles_static", "list", "rusers"]]
        self.assertEqual(modes, MODES | dict.fromkeys(extra, 0o644))
        self.assertEqual({entry[1:3] for entry in files.values()}, {(b"root", b"root")})
        data = contents(contents(ipk())["data.tar.gz"])
        self.assertEqual({path: files[path][3] for path in MODES},
                         {path: data[path] for path in MODES})
        listed = files[f"{own}.list"][3].decode().split()
        self.assertEqual(listed, sorted(f"/{path}" for path in [*MODES, f"{own}.rusers"]))
        self.assertEqual(files[f"{own}.rusers"][3], b"hbb:hbb\n")
        self.assertEqual(files[f"{own}.conffiles"][3], b"/etc/config/hbb\n")
        digest = hashlib.sha256(files["etc/config/hbb"][3]).hexdigest()
        static = files[f"{own}.conffiles_static"][3].decode()
        self.assertEqual(static, f"/etc/config/hbb {digest}\n")

    def test_the_index_names_the_package(self):
        for name in ARCHITECTURES:
            adb = Adb(all_made()[f"apk/{name}/packages.adb"])
            self.assertEqual(adb.schema, b"indx")
            info, _compat, _app, _german = adb.root[1]
            self.assertEqual((info[0], info[4], info[12]), (b"hbb", name.encode(), len(apk(name))))
            self.assertEqual(info[2], hashlib.sha256(Adb(apk(name)).tree).digest())

    def test_the_index_tells_what_a_package_needs_and_stands_for(self):
        info, compat, app, german = Adb(all_made()["apk/x86_64/packages.adb"]).root[1]
        # The variant to take of several has a priority.
        self.assertEqual(info[13:], [100, None, [[b"hbb-any"]]])
        self.assertEqual(compat[14:], [[[b"hbb"], [b"libc"]], [[b"hbb-compat-any"]]])
        self.assertEqual(app[14:], [[[b"hbb"], [b"libc"], [b"luci-base"]],
                                    [[b"luci-app-hbb-any"]]])
        self.assertEqual((german[0], german[4], german[14]),
                         (b"luci-i18n-hbb-de", b"noarch", [[b"libc"], [b"luci-app-hbb"]]))


class Scripts(unittest.TestCase):
    """Under busybox, with stubs of OpenWrt's functions, in a scratch root."""

    def setUp(self):
        self.root = Scratch(self)

    def unpack(self):
        """What opkg does with an ipk, with the real program put in."""
        self.root.install()
        about = contents(contents(ipk())["control.tar.gz"])
        for name, content in about.items():
            if content:
                self.root.write(f"usr/lib/opkg/info/hbb.{name}", content.decode())

    def opkg(self, script, **environment):
        code, said = self.root.run(f"sh /usr/lib/opkg/info/hbb.{script}", **environment)
        self.assertEqual((code, said), (0, ""))

    def apk(self, script):
        texts = dict(zip(PACKER.adb.SCRIPTS, (text and text.decode() for text in
                                              Adb(apk()).root[2]), strict=False))
        self.root.write("tmp/script", texts[script])
        self.assertEqual(self.root.run("sh /tmp/script"), (0, ""))

    def upgrade_by_opkg(self):
        """What ran before is stopped by the package that goes, and started by the one that comes."""
        self.opkg("prerm", PKG_UPGRADE="1")
        self.opkg("postinst", PKG_UPGRADE="1")

    def upgrade_by_apk(self):
        self.root.write("lib/apk/packages/hbb.list", "")
        self.apk("post-upgrade")

    def held(self, what):
        """The instances or triggers that procd has of hbb."""
        return self.root.procd.services.get("hbb", {}).get(what)

    def stays_as_it_was(self, upgrade):
        self.root.run("/etc/init.d/hbb start")
        upgrade()
        self.assertTrue(self.held("instances"))
        self.root.run("/etc/init.d/hbb stop")
        upgrade()
        # Nor does a change of the configuration start it.
        self.assertFalse(self.held("instances") or self.held("triggers"))
        self.assertIn("was stopped before the upgrade", self.root.log()[-1])
        self.root.run("/etc/init.d/hbb start")
        self.assertTrue(self.held("instances"), "started by hand it runs")

    def test_an_upgrade_by_opkg_leaves_what_is_stopped_stopped(self):
        self.unpack()
        self.stays_as_it_was(self.upgrade_by_opkg)

    def test_an_upgrade_by_apk_leaves_what_is_stopped_stopped(self):
        self.root.install()
        self.stays_as_it_was(self.upgrade_by_apk)

    def test_the_first_upgrade_from_a_package_that_notes_nothing_starts_it(self):
        self.unpack()
        self.opkg("postinst", PKG_UPGRADE="1")
        self.assertTrue(self.held("instances"))

    def procd(self):
        """What it was told to do since the last question."""
        told = [method for method, _ in self.root.procd.sent if method in ("set", "add", "delete")]
        self.root.procd.sent.clear()
        return told

    def test_install_upgrade_and_removal_by_opkg(self):
        self.unpack()
        self.opkg("postinst", PKG_UPGRADE="0")
        self.assertEqual(self.procd(), ["set"])
        self.assertIn("no zone chosen", "\n".join(self.root.log()))
        # The rules of chosen zones outlive an upgrade and go with the package.
        self.root.run("uci add_list hbb.firewall.zone=wan; uci set hbb.firewall.method=uci; "
                      "uci commit hbb; /etc/init.d/hbb start")
        self.assertIn("hbb_wan_tcp", self.root.read("etc/config/firewall"))
        self.opkg("prerm", PKG_UPGRADE="1")
        self.assertIn("hbb_wan_tcp", self.root.read("etc/config/firewall"))
        self.opkg("postinst", PKG_UPGRADE="1")
        self.opkg("prerm")
        self.assertEqual(self.root.read("etc/config/firewall"), FIREWALL + "\n")
        self.assertEqual(self.procd()[-1], "delete")

    def test_by_default_no_install_upgrade_or_removal_writes_to_the_firewalls_file(self):
        self.unpack()
        self.root.run("uci add_list hbb.firewall.zone=wan; uci commit hbb")
        place = self.root.path / "etc/config/firewall"
        written = place.stat()
        self.opkg("postinst", PKG_UPGRADE="0")
        self.upgrade_by_opkg()
        self.opkg("prerm")
        self.assertEqual((place.stat().st_ino, place.stat().st_mtime_ns),
                         (written.st_ino, written.st_mtime_ns))

    def test_an_image_is_built_without_touching_the_host(self):
        self.unpack()
        self.root.run("mkdir -p /image && cp -r /usr /lib /etc /image && rm -r /usr/share/hbb*")
        self.opkg("postinst", IPKG_INSTROOT="/image")
        self.opkg("prerm", IPKG_INSTROOT="/image")
        self.assertEqual((self.procd(), self.root.log()), ([], []))

    def test_no_script_means_none(self):
        self.unpack()
        self.opkg("postinst", IPKG_NO_SCRIPT="1")
        self.assertEqual(self.root.read("tmp/calls"), "")

    def test_install_upgrade_and_removal_by_apk(self):
        self.root.install()
        self.apk("post-install")
        self.assertEqual(self.root.read("tmp/calls").splitlines()[:2],
                         ["add_group_and_user hbb", "default_postinst hbb upgrade="])
        self.assertEqual(self.procd(), ["set"])
        # apk leaves the old program running, so the package restarts it; not one that is off.
        self.apk("post-upgrade")
        self.assertEqual(self.procd(), ["set", "delete", "set"])
        self.apk("pre-deinstall")
        self.assertEqual(self.procd(), ["delete"])


class Style(unittest.TestCase):
    def test_every_script_passes_shellcheck(self):
        shellcheck = need("shellcheck", "shellcheck")
        about = contents(contents(ipk())["control.tar.gz"])
        scripts = {name: about[name].decode() for name in about if name.startswith("p")}
        scripts |= PACKER.apk_scripts(RECIPE)
        app = PACKER.applications()[0]
        for part in ["postinst", "postrm"]:
            scripts[f"app's {part}"] = app.script(part)
        for path in [*(ROOT / "openwrt").rglob("*"), *(ROOT / "tests/openwrt/stubs").iterdir()]:
            if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh"):
                scripts[path.name] = path.read_text()
        self.assertGreaterEqual(len(scripts), 15)
        for name, text in scripts.items():
            stubs = ["-e", "SC1091,SC2154,SC2068,SC2086"] if name in MADE_BY_RULE else []
            ended = subprocess.run([shellcheck, "-xs", "sh", *stubs, "-"], input=text, text=True,
                                   cwd=ROOT, capture_output=True, check=False)
            self.assertEqual(ended.stdout, "", name)


# These have the lines that OpenWrt's build writes, unquoted as it does.
MADE_BY_RULE = ["postinst", "prerm", "post-install", "post-upgrade", "pre-deinstall"]

if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
