"""A scratch root with busybox, the real hbb, our files, and stubs in place of OpenWrt's parts.

The stubs (stubs/) are small and our own: what they do not do, a test here cannot show.
"""

import gzip
import importlib.machinery
import importlib.util
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
from procd import Procd  # noqa: E402 (no bytecode beside it)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FILES = ROOT / "openwrt/files"
EPOCH = "1700000000"
PLUGIN = "usr/share/rpcd/ucode/hbb.uc"
# A zopfli that remembers goes first.
os.environ["PATH"] = f"{HERE}/kept:{os.environ['PATH']}"
PROGRAM = b"\x7fELF stands for hbb" * 100


def need(program, package):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        sys.exit(f"the program {program} is needed: install the package {package}")
    return path


BUSYBOX = need("busybox", "busybox")
UNSHARE = need("unshare", "util-linux")
HBB = os.environ.get("HBB_BIN") or sys.exit("HBB_BIN must name the program hbb")


def packer():
    """openwrt/package as a module."""
    path = str(ROOT / "openwrt/package")
    sys.path.insert(0, str(ROOT / "openwrt"))
    loader = importlib.machinery.SourceFileLoader("packer", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("packer", loader))
    loader.exec_module(module)
    return module


def run_packer(dist, program, *architectures, full=None, **environment):
    """openwrt/package with the same program for all triples, and one for those of hbb-full."""
    for triple in [*packer().TRIPLES.values(), *packer().MORE_TRIPLES.values()]:
        for folder, content in [(Path(dist) / triple, program), (Path(dist) / "full" / triple, full)]:
            if content:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "hbb").write_bytes(content)
    env = os.environ | {"HBB_DIST": dist, "SOURCE_DATE_EPOCH": EPOCH} | environment
    return subprocess.run([ROOT / "openwrt/package", *architectures], env=env, text=True,
                          capture_output=True, check=False)


def members(package):
    """[(TarInfo, content)] of a gzipped tar."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(package))) as tar:
        return [(info, tar.extractfile(info).read() if info.isfile() else b"") for info in tar]


def contents(package):
    return {info.name.removeprefix("./"): content for info, content in members(package)}


class Scratch:
    """Ends with the test; its network is its own, so ports are free and no name is known."""

    def __init__(self, test):
        self.path = Path(tempfile.mkdtemp(prefix="hbb-openwrt-"))
        test.addCleanup(shutil.rmtree, self.path)
        self._folders()
        self._program(BUSYBOX, "bin/busybox")
        for applet in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
            if applet != "busybox":
                (self.path / "bin" / applet).symlink_to("busybox")
        self._program(need("flock", "util-linux"), "bin/flock")
        self._stubs()
        self.write("etc/passwd",
                   "root:x:0:0:root:/root:/bin/ash\nhbb:x:32768:32768::/:/bin/false\n")
        self.write("etc/group", "root:x:0:\nhbb:x:32768:\n")
        self.write("proc/meminfo", "MemTotal:         250000 kB\nMemFree: 1 kB\n")
        self.write("proc/mounts", "overlayfs:/overlay / overlay rw 0 0\n")
        self.write("etc/config/firewall", FIREWALL)
        self.write("etc/config/network", NETWORK)
        self.procd = Procd(test, self)

    def _folders(self):
        for name in ["bin", "sbin", "stubs", "dev", "etc/config", "lib/functions", "tmp/run",
                     "usr/bin", "usr/libexec", "usr/share/libubox", "proc"]:
            (self.path / name).mkdir(parents=True)
        (self.path / "var").symlink_to("tmp")

    def _program(self, source, name):
        target = self.path / name
        target.unlink(missing_ok=True)
        shutil.copy(source, target)
        target.chmod(0o755)
        listed = subprocess.run(["ldd", source], capture_output=True, text=True, check=False)
        for word in listed.stdout.split():
            if word.startswith("/"):
                library = self.path / word[1:]
                library.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, library)

    def _stubs(self):
        for name, place in [("functions.sh", "lib/functions.sh"), ("rc.common", "etc/rc.common"),
                            ("network.sh", "lib/functions/network.sh"), ("uci", "sbin/uci"),
                            ("ubus", "bin/ubus"), ("nft", "stubs/nft"),
                            ("procd.sh", "lib/functions/procd.sh"),
                            ("jshn.sh", "usr/share/libubox/jshn.sh")]:
            shutil.copy(HERE / "stubs" / name, self.path / place)
        for name in ["logger", "chown"]:
            self.write(f"stubs/{name}", f'#!/bin/sh\necho "{name} $*" >>/tmp/calls\n')
        # The real one shows what the stub cannot.
        if os.environ.get("HBB_UCI"):
            self._program(os.environ["HBB_UCI"], "sbin/uci")
        self.write("etc/init.d/firewall",
                   "#!/bin/sh\necho $1 >>/tmp/reloads\nexec ubus call firewall load '{}'\n")
        for path in ["etc/rc.common", "sbin/uci", "bin/ubus", "stubs/nft", "stubs/logger",
                     "stubs/chown", "etc/init.d/firewall"]:
            (self.path / path).chmod(0o755)

    def install(self, app=False, compat=False, full=False):
        """Our files where the packages have them, those of the LuCI app and of hbb-compat too if
        they are wanted, or of hbb-full in place of hbb."""
        made = packer()
        names = ["hbb-full" if full else "hbb", *(["hbb-compat"] if compat else [])]
        files = {}
        for name in names:
            files |= made.Recipe(made.MAKEFILE.read_text(), name).files(Path(HBB))
        if app:
            for one in made.applications():
                files |= one.files(None) if full or not one.full else {}
        for path, entry in files.items():
            target = self.path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(entry.mode):
                target.symlink_to(entry.content.decode())
            else:
                target.write_bytes(entry.content)
                target.chmod(entry.mode)
        self._program(HBB, "usr/bin/hbb")
        return self

    def write(self, path, text):
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path):
        target = self.path / path
        return target.read_text() if target.exists() else ""

    def run(self, script, **environment):
        """Runs a text in ash inside; gives exit code and stderr."""
        ended = self.execute(["/bin/ash", "-c", script], "", environment)
        return ended.returncode, ended.stderr

    def execute(self, words, said, environment=()):
        env = {"PATH": "/stubs:/usr/sbin:/usr/bin:/sbin:/bin", **dict(environment)}
        command = [UNSHARE, "-rnm", "chroot", self.path, *words]
        return subprocess.run(command, env=env, input=said, capture_output=True, text=True,
                              timeout=60, check=False)

    def call_plugin(self, *words, said="", name="hbb"):
        """What rpcd answers of a plugin of ours, or of a method of it; arguments are said as JSON."""
        plugin = PLUGIN.replace("hbb.uc", f"{name}.uc")
        command = [need("node", "nodejs"), HERE / "stubs/rpcd.js", self.path, plugin, *words]
        ended = subprocess.run(command, input=said, capture_output=True, text=True, timeout=60,
                               check=False)
        assert (ended.returncode, ended.stderr) == (0, ""), (words, ended)
        return ended.stdout

    def calls(self, program):
        """What a recording stub was called with."""
        lines = self.read("tmp/calls").splitlines()
        return [line.split(" ", 1)[1] for line in lines if line.startswith(f"{program} ")]

    def log(self):
        return [line.removeprefix("-t hbb -p daemon.") for line in self.calls("logger")]


FIREWALL = """
config defaults
	option input 'REJECT'

config zone
	option name 'lan'
	option input 'ACCEPT'

config zone
	option name 'wan'
	option input 'REJECT'

config rule 'mine'
	option name 'Allow-Ping'
	option src 'wan'
	option target 'ACCEPT'
"""

NETWORK = """
config interface 'loopback'
	option device 'lo'

config interface 'lan'
	option device 'br-lan'
"""
