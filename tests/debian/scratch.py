"""Debian systems to install on: a clean root by debootstrap, made once and copied for each test,
entered by chroot or booted, systemd and all, by systemd-nspawn in namespaces of its own."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DIST = ROOT / "dist"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SUITE = "bookworm"
PATIENCE = 60
TRIPLES = re.search(r"^triples=\((.*)\)", (ROOT / "cross/triples").read_text(), re.M)[1].split()
LINES = "{extends: default, rules: {line-length: {max: 100}}}"


def need(program, package):
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        sys.exit(f"the program {program} is needed: install the package {package}")
    return path


def run(*words, check=True, **more):
    """Gives what it printed, both streams; fails with that."""
    ended = subprocess.run([str(word) for word in words], text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, check=False, **more)
    if check and ended.returncode:
        raise AssertionError(f"{words}: exit code {ended.returncode}\n{ended.stdout}")
    return ended.stdout


def lint(path):
    """What yamllint minds."""
    return run(need("yamllint", "yamllint"), "--strict", "-d", LINES, path)


def loaded(path):
    """A YAML file as the library of yamllint reads it."""
    code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"
    return json.loads(run("/usr/bin/python3", "-c", code, input=path.read_text()))


def package(architecture="amd64"):
    (path,) = (DIST / "debian").glob(f"hbb_*_{architecture}.deb")
    return path


def compat():
    (path,) = (DIST / "debian").glob("hbb-compat_*_all.deb")
    return path


def clean_root():
    """The untouched system; its packages' files are not kept."""
    made = TARGET / f"debian/{SUITE}"
    made.mkdir(parents=True, exist_ok=True)
    # Tests run side by side: the first makes it, the others wait.
    with open(made / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "complete").exists():
            make_clean_root(made / "root")
            (made / "complete").touch()
    return made / "root"


def make_clean_root(root):
    if os.geteuid():
        sys.exit("debootstrap, chroot and systemd-nspawn are for root alone")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    run(need("debootstrap", "debootstrap"), "--variant=minbase",
        "--include=systemd,systemd-sysv,dbus", SUITE, root)
    for archive in (root / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()


class Copy:
    """A copy of the clean root, removed with the test."""

    def __init__(self, test):
        folder = Path(tempfile.mkdtemp(prefix="hbb-debian-"))
        test.addCleanup(shutil.rmtree, folder)
        self.root = folder / "root"
        run("cp", "-a", clean_root(), self.root)

    def __call__(self, *words, check=True):
        """Runs a program in it."""
        return run("chroot", self.root, *words, check=check, env=ENVIRONMENT)

    def put(self, file):
        """Copies a file to it; gives where it is there."""
        shutil.copy(file, self.root / "var/tmp")
        return f"/var/tmp/{Path(file).name}"

    def write(self, path, text):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def stat(self, path):
        """Owner, group, mode."""
        return self("stat", "-c", "%U %G %a", path).strip()


ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
               "LC_ALL": "C.UTF-8"}


# What systemd-nspawn keeps from a machine that a real one has.
OFF = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"


class Machine(Copy):
    """The copy, booted: systemd is its first process, its network is its own."""

    def __init__(self, test):
        super().__init__(test)
        self.nspawn = subprocess.Popen(
            [need("systemd-nspawn", "systemd-container"), "--quiet", "--boot", "--register=no",
             "--keep-unit", "--private-network", "--console=pipe", f"--system-call-filter={OFF}",
             "-D", self.root],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        test.addCleanup(self._end)
        self._until("it boots", lambda: self._init() and "running" in run(
            *self._inside("-a"), "systemctl", "is-system-running", check=False))

    def __call__(self, *words, check=True):
        return run(*self._inside("-a"), *words, check=check, env=ENVIRONMENT)

    def try_out(self, *words):
        """Runs a script of this folder on the machine's network."""
        return run(*self._inside("-n"), sys.executable, HERE / words[0], *words[1:])

    def unit(self, name):
        """A property of the service."""
        return self("systemctl", "show", "--value", "-p", name, "hbb").strip()

    def journal(self):
        return self("journalctl", "-o", "cat", "--no-pager", "-u", "hbb")

    def wait(self, name, value):
        self._until(f"{name} is {value}", lambda: self.unit(name) == value)

    def wait_journal(self, words):
        self._until(f"the journal says {words}", lambda: words in self.journal())

    def status(self, name):
        """A line of the kernel's of the main process."""
        text = self("cat", f"/proc/{self.unit('MainPID')}/status")
        return next(line.split(":", 1)[1].split() for line in text.splitlines()
                    if line.startswith(f"{name}:"))

    def _until(self, what, is_so):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.nspawn.poll() is not None:
                raise AssertionError(f"the machine ended: {self.nspawn.stdout.read()}")
            if is_so():
                return
            time.sleep(0.1)
        said = ""
        with contextlib.suppress(AssertionError):
            said = self("systemctl", "status", "hbb", check=False) + self.journal()
        raise AssertionError(f"not in {PATIENCE} s: {what}\n{said}")

    def _init(self):
        """The number of its first process, outside."""
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")
        return children.read_text().split()[:1]

    def _inside(self, namespaces):
        return ["nsenter", "-t", *self._init(), namespaces]

    def _end(self):
        init = self._init()
        if init:
            subprocess.run(["kill", "-KILL", *init], check=False)
        self.nspawn.stdout.close()
        self.nspawn.wait()
