"""Packages and an index by the real apk-tools, and openwrt/adb.py's of the same input.

The files of apk-reference/ were written by 'apk mkpkg' and 'apk mkndx'; its README names their
version. All that is compressed has to be the same, byte for byte. What deflate makes of it is not
compared: apk takes zlib, and openwrt/deflate.py takes zopfli for its smaller result.

reference.py remake APK    writes them anew by the program APK, as root (or under fakeroot)
"""

import os
import stat
import subprocess
import sys
import tempfile
import unittest
import zlib
from collections import namedtuple
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
REFERENCE = HERE / "apk-reference"
sys.path.insert(0, str(HERE.parent.parent / "openwrt"))
import adb  # noqa: E402 (found by the line above)

MTIME = 1_700_000_000
DESCRIPTION = "daemon"  # also the name of a package: apk writes it a second time
Entry = namedtuple("Entry", "content mode")
Case = namedtuple("Case", "info files scripts")
SCRIPT = "#!/bin/sh\n" + "echo a script of more than 255 bytes\n" * 10


def data(text, mode=0o644):
    return Entry(text.encode(), mode)


# "etc/config-old" sorts before "etc/config/..." as text, and after it as folders do.
DAEMON = Case(
    info={
        "name": "daemon",
        "version": "1.2.3-r4",
        "description": "A daemon.\nSeveral lines, and \"quotes\".\n  An indented one.",
        "arch": "aarch64_cortex-a53",
        "license": "MIT OR Apache-2.0",
        "origin": "openwrt/daemon",
        "maintainer": "Some One <some.one@example.org>",
        "url": "https://example.org/daemon",
        "provides": ["daemon-any"],
    },
    files={
        "etc/config/daemon": data("config daemon\n", 0o600),
        "etc/config-old/daemon": data("config daemon\n"),
        "etc/empty": data(""),
        "etc/init.d/daemon": data("#!/bin/sh /etc/rc.common\n", 0o755),
        "lib/apk/packages/daemon.conffiles": data("/etc/config/daemon\n"),
        "lib/apk/packages/daemon.conffiles_static": data(f"/etc/config/daemon {'0' * 64}\n"),
        "lib/apk/packages/daemon.list": data("/etc/config/daemon\n/usr/bin/daemon\n"),
        "lib/apk/packages/daemon.rusers": data("daemon:daemon\n"),
        "usr/bin/daemon": data("\x7fELF stands for a program; " * 3_000, 0o755),
        "usr/bin/daemon-helper": data("\x7fELF", 0o4755),
    },
    scripts={
        "post-install": SCRIPT,
        "post-upgrade": SCRIPT + "# of more than 64 KiB\n" * 3_000,
        "pre-deinstall": "#!/bin/sh\n",
    },
)
APP = Case(
    info={
        "name": "app-daemon",
        "version": "0.1.0-r1",
        "description": "A text of more than 255 bytes, which has a longer length. " * 5,
        "arch": "noarch",
        "license": "MIT",
        "depends": ["libc", "luci-base", "daemon", "luci", "libc"],
        "provides": ["app-daemon-any", "app-any"],
    },
    files={
        "usr/share/rpcd/acl.d/app.json": data("{}\n"),
        "www/daemon.js": data("'use strict';\n"),
        "www/view/größe.js": data("'use strict';\n"),
    },
    scripts={
        "post-install": "#!/bin/sh\nexit 0\n",
        "post-deinstall": "#!/bin/sh\nexit 0\n",
    },
)
# A variant that has the name of another too, and links.
FULL = Case(
    info={
        "name": "daemon-full",
        "version": "1.2.3-r4",
        "arch": "aarch64_cortex-a53",
        "provides": ["daemon-full-any", "daemon=1.2.3-r4"],
        "provider-priority": 100,
    },
    files={
        "usr/bin/daemon": data("\x7fELF", 0o755),
        "usr/bin/daemon-old": Entry(b"daemon", stat.S_IFLNK | 0o777),
        "usr/bin/older": Entry(b"/usr/bin/daemon", stat.S_IFLNK | 0o777),
    },
    scripts={},
)
BARE = Case(info={"name": "bare", "version": "1", "arch": "noarch"}, files={}, scripts={})
CASES = [DAEMON, APP, FULL, BARE]


def file_name(case):
    return f"{case.info['name']}-{case.info['version']}.apk"


def uncompressed(container):
    """What is under the deflate of an apk container of the third format."""
    if container[:4] != b"ADBd":
        raise AssertionError(f"{container[:4]} is no compressed container")
    return zlib.decompress(container[4:], -15)


class Reference(unittest.TestCase):
    def same(self, name, ours):
        theirs = uncompressed((REFERENCE / name).read_bytes())
        ours = uncompressed(ours)
        if ours != theirs:
            at = len(os.path.commonprefix([ours, theirs]))
            self.fail(f"{name}, byte {at}: {ours[at:at + 40]} in place of {theirs[at:at + 40]}")

    def test_packages_are_those_of_apk_mkpkg(self):
        for case in CASES:
            package, _facts = adb.package(*case, MTIME)
            self.same(file_name(case), package)

    def test_the_index_is_that_of_apk_mkndx(self):
        all_facts = []
        for case in CASES:
            _package, facts = adb.package(*case, MTIME)
            facts["file-size"] = (REFERENCE / file_name(case)).stat().st_size
            all_facts.append(facts)
        self.same("packages.adb", adb.index(all_facts, DESCRIPTION))


def lay_out(folder, case):
    """The files under folder/files and the scripts beside it; gives the arguments of apk mkpkg."""
    top = folder / "files"
    top.mkdir(parents=True)
    for path, entry in case.files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISLNK(entry.mode):
            (top / path).symlink_to(entry.content.decode())
        else:
            (top / path).write_bytes(entry.content)
            (top / path).chmod(entry.mode)
    arguments = ["--files", str(top)]
    for name, value in case.info.items():
        value = " ".join(value) if isinstance(value, list) else value
        arguments += ["--info", f"{name}:{value}"]
    for name, text in case.scripts.items():
        (folder / name).write_text(text)
        arguments += ["--script", f"{name}:{folder / name}"]
    return arguments


def remake(apk):
    os.umask(0o022)
    os.environ["SOURCE_DATE_EPOCH"] = str(MTIME)
    names = [file_name(case) for case in CASES]
    with tempfile.TemporaryDirectory() as scratch:
        for case, name in zip(CASES, names, strict=True):
            arguments = lay_out(Path(scratch, name), case)
            subprocess.run([apk, "mkpkg", *arguments, "--output", REFERENCE / name], check=True)
    subprocess.run([apk, "mkndx", "--allow-untrusted", "--description", DESCRIPTION,
                    "--output", "packages.adb", *names], cwd=REFERENCE, check=True)
    subprocess.run([apk, "--version"], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["remake"]:
        remake(sys.argv[2])
    else:
        unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
