"""The rules of OpenWrt's packages feed for the folder that is handed in, line by line.

Read from its CONTRIBUTING.md, its review rules, its formalities.json, and from the scripts of its
pipeline: the formal checks of commits, and the runtime test that starts every program.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
from pathlib import Path

from scratch import ROOT, Scratch, need, packer

SPDX = {"MIT", "Apache-2.0"}
PROGRAM_FOLDERS = ("bin/", "sbin/", "usr/bin/", "usr/sbin/", "usr/libexec/")
# What the pipeline tries, in its order.
VERSION_FLAGS = ["--version", "-version", "version", "-v", "-V", "--help", "-help", "-?"]
CRATE = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]


def handed_in():
    """Files of dist/openwrt by path, and the names in the tarball."""
    with tempfile.TemporaryDirectory() as dist:
        env = os.environ | {"HBB_DIST": dist}
        said = subprocess.run([ROOT / "openwrt/package", "source"], env=env, text=True,
                              capture_output=True, check=True).stdout
        top = Path(dist) / "openwrt"
        files = {str(path.relative_to(top)): path.read_bytes()
                 for path in top.rglob("*") if path.is_file()}
        with tarfile.open(next(top.glob("*.tar.xz"))) as tar:
            return files, tar.getnames(), said.splitlines()[-1]


if not (ROOT / ".git").exists():
    sys.exit("the source tarball is made from a checkout, and this is none")
FILES, NAMES, SAID = handed_in()
MAKEFILE = FILES["feed/net/hbb/Makefile"].decode()
TEST = FILES["feed/net/hbb/test.sh"].decode()
COMMIT = FILES["feed/commit"].decode()


def variable(name):
    found = re.findall(rf"^{name}:=(.*)$", MAKEFILE, re.M)
    assert len(found) == 1, (name, found)
    return found[0]


def block(name):
    return re.search(rf"^define Package/{name}\n(.*?)^endef$", MAKEFILE, re.M | re.S).group(1)


class Makefile(unittest.TestCase):
    def test_name_version_and_release(self):
        self.assertEqual(variable("PKG_NAME"), "hbb")
        self.assertEqual(variable("PKG_VERSION"), CRATE["version"])
        # What apk takes for a version.
        self.assertRegex(variable("PKG_VERSION"), r"^\d+(\.\d+)*$")
        self.assertRegex(variable("PKG_RELEASE"), r"^[1-9]\d*$")

    def test_the_source_is_an_archive_of_that_version_with_its_hash(self):
        self.assertNotIn("PKG_SOURCE_PROTO", MAKEFILE)
        self.assertEqual(variable("PKG_SOURCE"), "$(PKG_NAME)-$(PKG_VERSION).tar.xz")
        # A release of the repository: no head of a branch, no latest one. The one place where
        # that repository is named is Cargo.toml.
        self.assertEqual(variable("PKG_SOURCE_URL"),
                         f"{CRATE['repository']}/releases/download/v$(PKG_VERSION)")
        tarball = FILES[f"hbb-{CRATE['version']}.tar.xz"]
        self.assertEqual(variable("PKG_HASH"), hashlib.sha256(tarball).hexdigest())
        self.assertEqual(SAID, f"PKG_HASH:={variable('PKG_HASH')}")
        self.assertEqual(handed_in(), (FILES, NAMES, SAID), "the same each time")

    def test_the_tarball_has_all_that_is_built_and_installed_and_no_more_than_one_folder(self):
        top = f"hbb-{CRATE['version']}"
        self.assertEqual({name.split("/")[0] for name in NAMES}, {top})
        wanted = re.findall(r"\$\(PKG_BUILD_DIR\)/(\S+)", block("hbb/install"))
        self.assertGreaterEqual(len(wanted), 6)
        for name in [*wanted, "Cargo.toml", "Cargo.lock", "src/main.rs", "src/core/Cargo.toml",
                     *variable("PKG_LICENSE_FILES").split()]:
            self.assertIn(f"{top}/{name}", NAMES)
        # The folder with the hash cannot be in what is hashed.
        self.assertFalse([name for name in NAMES if name.startswith(f"{top}/openwrt/hbb")])

    def test_maintainer_and_licence(self):
        self.assertRegex(variable("PKG_MAINTAINER"), r"^\S+( \S+)+ <[^@\s<>]+@[^@\s<>]+>$")
        self.assertNotIn("noreply", variable("PKG_MAINTAINER"))
        self.assertLessEqual(set(variable("PKG_LICENSE").replace(" OR ", " ").split()), SPDX)
        self.assertEqual(variable("PKG_LICENSE"), CRATE["license"])

    def test_who_maintains_and_where_is_said_alike_everywhere(self):
        """PKG_MAINTAINER, and repository in Cargo.toml, are where they change."""
        known = {variable("PKG_MAINTAINER").split("<")[1].rstrip(">"),
                 CRATE["repository"].removeprefix("https://")}
        listed = subprocess.check_output(["git", "-C", ROOT, "grep", "-hoE",
                                          r"[a-z]*@?hbb\.example[a-z/]*", "--", "board", "openwrt",
                                          "Cargo.toml"], text=True)
        places = {place.removesuffix("/releases/download/v") for place in listed.split()}
        self.assertLessEqual(places, known | {"hbb.example"})

    def test_what_is_included_and_in_which_order(self):
        lines = [line for line in MAKEFILE.splitlines() if line.startswith(("include", "$(eval"))]
        self.assertEqual(lines, ["include $(TOPDIR)/rules.mk", "include $(INCLUDE_DIR)/package.mk",
                                 "include ../../lang/rust/rust-package.mk",
                                 "$(eval $(call RustBinPackage,hbb))",
                                 "$(eval $(call RustBinPackage,hbb-full))",
                                 "$(eval $(call BuildPackage,hbb))",
                                 "$(eval $(call BuildPackage,hbb-full))",
                                 "$(eval $(call BuildPackage,hbb-compat))"])
        at = MAKEFILE.index(lines[1])
        self.assertNotRegex(MAKEFILE[at:], r"(?m)^PKG_\w+:=", "set before package.mk reads it")
        self.assertEqual(variable("PKG_BUILD_DEPENDS"), "rust/host")
        self.assertEqual(variable("PKG_BUILD_PARALLEL"), "1")

    def test_the_name_is_written_out_where_something_is_defined_or_called(self):
        for line in re.findall(r"^.*(?:define|call|eval).*$", MAKEFILE, re.M):
            self.assertNotIn("PKG_NAME", line)

    def test_how_lines_begin_and_end(self):
        self.assertTrue(MAKEFILE.endswith("\n") and not MAKEFILE.endswith("\n\n"))
        for text in [MAKEFILE, TEST]:
            self.assertNotIn("\r", text)
            self.assertIsNone(re.search(r"[ \t]$", text, re.M))
            self.assertIn("SPDX-License-Identifier", text)
        parts = [("hbb/install", r"\t\$\("), ("hbb-compat/install", r"\t\$\("),
                 ("hbb/conffiles", r"/\S+$")]
        for name in packer().PACKAGES:
            parts += [(name, r"  [A-Z_]+:="), (f"{name}/description", r"  \S")]
        for part, start in parts:
            for line in block(part).splitlines():
                self.assertRegex(line, f"^{start}", part)
        for part in ["hbb/postinst", "hbb/prerm"]:
            self.assertTrue(block(part).startswith("#!/bin/sh\n"), part)

    def test_metadata_and_conffiles(self):
        for name in packer().PACKAGES:
            fields = self.fields(name)
            self.assertEqual(fields["SECTION"], "net")
            self.assertEqual(fields["CATEGORY"], "Network")
            self.assertEqual(fields["URL"], CRATE["repository"])
            self.assertLessEqual(len(fields["TITLE"]), 60)
            # What is compiled names the machines that Rust has; the rest fits all.
            self.assertEqual(fields["DEPENDS"].startswith("$(RUST_ARCH_DEPENDS)"),
                             fields.get("PKGARCH") != "all")
        config = re.findall(r"\$\(INSTALL_CONF\) \S+ \$\(1\)(\S+)", block("hbb/install"))
        self.assertEqual(block("hbb/conffiles").split(), config)


    def fields(self, name):
        return dict(re.findall(r"^  (\w+):=(.*)$", block(name), re.M))

    def test_of_two_variants_one_is_the_default_and_the_other_stands_for_it(self):
        hbb, full, compat = (self.fields(name) for name in packer().PACKAGES)
        self.assertEqual((hbb["VARIANT"], hbb["DEFAULT_VARIANT"]), ("router", "1"))
        self.assertEqual((full["VARIANT"], full["PROVIDES"]), ("full", "hbb"))
        self.assertFalse({"DEFAULT_VARIANT", "CONFLICTS"} & set(full))
        self.assertEqual((compat["DEPENDS"], compat["PKGARCH"]), ("+hbb", "all"))
        # The same files and one more, and the router's is built without features.
        self.assertIn("\ndefine Package/hbb-full/install\n$(call Package/hbb/install,$(1))\n", MAKEFILE)
        for part in ["conffiles", "postinst", "prerm"]:
            self.assertIn(f"\nPackage/hbb-full/{part} = $(Package/hbb/{part})\n", MAKEFILE)
        self.assertEqual(self.cargo(BUILD_VARIANT="router"), "--no-default-features")
        self.assertEqual(self.cargo(BUILD_VARIANT="full"), "")

    def cargo(self, **variables):
        """What make hands to cargo beside what the feed's rules do."""
        (line,) = re.findall(r"^Build/Compile=.*$", MAKEFILE, re.M)
        text = f"Build/Compile/Cargo=$(2)\n{line}\nall: ; @echo '$(Build/Compile)'\n"
        words = [f"{name}={value}" for name, value in variables.items()]
        return subprocess.check_output([need("make", "make"), "-sf", "-", *words], input=text,
                                       text=True).strip()


class Programs(unittest.TestCase):
    def test_every_program_tells_the_version(self):
        root = Scratch(self).install(app=True, compat=True)
        made = packer()
        recipes = [*(made.Recipe(MAKEFILE, name) for name in made.PACKAGES), *made.applications()]
        files = [recipe.files(Path(os.environ["HBB_BIN"])) for recipe in recipes]
        programs = [path for one in files for path, entry in one.items()
                    if path.startswith(PROGRAM_FOLDERS) and entry.mode & 0o111]
        self.assertLessEqual({"usr/bin/hbb", "usr/bin/hbbs", "usr/bin/rustdesk-utils"},
                             set(programs))
        for path in programs:
            said = (root.execute([f"/{path}", flag], "") for flag in VERSION_FLAGS)
            self.assertTrue(any(CRATE["version"] in ended.stdout + ended.stderr for ended in said),
                            f"{path} tells no version: no place for it is {PROGRAM_FOLDERS}")

    def test_the_tests_output_is_seen(self):
        self.assertTrue(TEST.startswith("#!/bin/sh\n"))
        self.assertNotRegex(TEST, r"grep.* (-\w*q|--quiet)")
        self.assertIn("grep -F", TEST)

    def test_the_init_script_is_procds(self):
        text = (ROOT / "openwrt/files/hbb.init").read_text()
        self.assertTrue(text.startswith("#!/bin/sh /etc/rc.common\n"))
        self.assertIn("\nUSE_PROCD=1\n", text)
        self.assertIn("\nstart_service() {", text)
        code = [line for line in text.splitlines() if not line.strip().startswith("#")]
        for line in code:
            self.assertNotRegex(line, r"[^&>]&\s*$|pidfile|start-stop-daemon", line)


class Commit(unittest.TestCase):
    def test_the_message_is_as_the_formal_checks_want_it(self):
        subject, empty, *body = COMMIT.rstrip("\n").split("\n")
        self.assertRegex(subject, r"^hbb: [a-z]")
        self.assertLessEqual(len(subject), 50)
        self.assertFalse(subject.endswith("."))
        self.assertEqual(empty, "")
        self.assertLessEqual(max(map(len, body)), 75)
        self.assertEqual(body[-2:], ["", f"Signed-off-by: {variable('PKG_MAINTAINER')}"])
        self.assertTrue("".join(body[:-2]).strip(), "it says what it is")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
