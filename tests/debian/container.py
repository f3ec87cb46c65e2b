"""The container: its files are linted and held to what they name, its program is started as an engine
would, and an engine, Debian's podman, makes the image and runs it, as upstream's compose files too."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from scratch import DIST, HERE, PATIENCE, ROOT, TRIPLES, lint, loaded, need, run

FOLDER = ROOT / "board/container"


class Container(unittest.TestCase):
    dockerfile = (FOLDER / "Dockerfile").read_text()

    def test_the_compose_file_is_clean_and_mounts_the_data(self):
        self.assertEqual(lint(FOLDER / "compose.yaml"), "")
        service = loaded(FOLDER / "compose.yaml")["services"]["hbb"]
        self.assertEqual(service["volumes"], ["./data:/data"])
        self.assertEqual(service["command"], json.loads(self.word("CMD")))
        self.assertIn("max-size", service["logging"]["options"], "Docker keeps all")
        build = service["build"]
        context = (FOLDER / build["context"]).resolve()
        self.assertEqual(context, DIST, "no source, which Docker without BuildKit would copy")
        self.assertEqual((context / build["dockerfile"]).resolve(), FOLDER / "Dockerfile")

    def word(self, name):
        return re.search(rf"^{name} (.*)$", self.dockerfile, re.M)[1]

    def test_it_holds_one_program_of_each_machine(self):
        stages = re.findall(r"^FROM scratch AS (\w+)\nCOPY full/(\S+)/hbb /hbb$",
                            self.dockerfile, re.M)
        self.assertEqual([stage for stage, _ in stages], ["amd64", "arm64", "arm"])
        self.assertEqual(sorted(triple for _, triple in stages), sorted(TRIPLES))
        ignored = (FOLDER / "Dockerfile.dockerignore").read_text().split()
        self.assertEqual(ignored, ["*", "!full/*/hbb"])

    def test_its_ports_are_those_that_serve_opens(self):
        named = set(self.word("EXPOSE").split())
        tcp = {f"{port}/tcp" for port in range(21114, 21120)}
        self.assertEqual(named, tcp | {"21116/udp"})

    def test_the_program_serves_alone_as_the_first_process(self):
        """As an engine would start it: process 1 of namespaces of its own, nothing but itself and
        /data in its root, which it cannot write, with the image's user and words."""
        folder = Path(tempfile.mkdtemp(prefix="hbb-container-"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        shutil.copy(DIST / "full/x86_64-unknown-linux-musl/hbb", folder / "hbb")
        (folder / "data").mkdir()
        user, _ = map(int, self.word("USER").split(":"))
        os.chown(folder / "data", user, user)
        words = json.loads(self.word("ENTRYPOINT")) + json.loads(self.word("CMD"))
        server = self.started(folder, user, words)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.kill)
        said = []
        for line in server.stdout:
            said.append(line)
            if line.startswith("info ready"):
                break
        else:
            self.fail("".join(said))
        first = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]
        status = Path(f"/proc/{first}/status").read_text()
        self.assertRegex(status, r"NSpid:\t\d+\t1\n")
        self.assertRegex(status, rf"Uid:\t{user}\t")
        self.assertRegex(status, r"CapEff:\t0+\n")
        self.assertEqual((folder / "data/id_ed25519").stat().st_uid, user)
        check = self.word("HEALTHCHECK").split(" CMD ")[1]
        answer = subprocess.run(["chroot", f"--userspec={user}:{user}", folder,
                                 *json.loads(check)], capture_output=True, text=True)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        self.assertIn("registered", answer.stdout)
        os.kill(int(first), signal.SIGTERM)
        self.assertEqual(server.wait(5), 0)
        self.assertIn("info stopping", server.stdout.read())

    def started(self, folder, user, words):
        chroot = [need("chroot", "coreutils"), f"--userspec={user}:{user}", folder, *words]
        return subprocess.Popen(
            [need("unshare", "util-linux"), "--pid", "--fork", "--kill-child", "--net", "--ipc",
             *chroot], env={}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


# crun has no use for a machine with both kinds of cgroups, and none of either is needed here.
ALONE = ["unshare", "--mount", "sh", "-c",
         'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec podman "$@"', "podman"]
# What any machine allows; a health check is asked for here, not by systemd.
ANYWHERE = ["--cgroups=disabled", "--no-healthcheck", "--network=none",
            "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
# As the compose file has it.
CONFINED = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]


class Engine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("podman", "podman")
        need("crun", "crun")
        cls.folder = Path(tempfile.mkdtemp(prefix="hbb-engine-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        # As the file says to: no engine but BuildKit and newer Buildahs tell it the machine.
        words = re.search(r"^#   docker (build .*)$", (FOLDER / "Dockerfile").read_text(), re.M)[1]
        words = [*words.split(), "--isolation=chroot", "--format=docker"]
        run(*cls.alone(), *words, cwd=ROOT)

    def setUp(self):
        self.data = Path(tempfile.mkdtemp(dir=self.folder))
        os.chown(self.data, 65532, 65532)

    @classmethod
    def alone(cls):
        stores = [f"--root={cls.folder}/store", f"--runroot={cls.folder}/run"]
        return [*ALONE, "--storage-driver=vfs", "--cgroup-manager=cgroupfs", *stores]

    @classmethod
    def podman(cls, *words, check=True):
        return run(*cls.alone(), *words, check=check)

    def started(self, name, *words, variables=(), workdir=()):
        """A container that serves; its first process, seen from here."""
        sets = [f"--env={variable}" for variable in variables]
        log = loaded(FOLDER / "compose.yaml")["services"]["hbb"]["logging"]
        sets += [f"--log-driver={log['driver']}"]
        sets += [f"--log-opt={key}={value}" for key, value in log["options"].items()]
        self.podman("run", "-d", f"--name={name}", *ANYWHERE, *CONFINED, *sets, *workdir,
                    f"--volume={self.data}:/data", "hbb", *words)
        self.addCleanup(self.podman, "rm", "-f", name)
        end = time.monotonic() + PATIENCE
        while "info ready" not in self.podman("logs", name):
            self.assertLess(time.monotonic(), end, self.podman("logs", name))
            time.sleep(0.1)
        return self.podman("inspect", "--format={{.State.Pid}}", name).strip()

    def typed(self, process, port, line):
        """What a console in that container says."""
        code = ("import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
                "s.sendall(sys.argv[2].encode() + b'\\n'); print(s.makefile().read(), end='')")
        return run("nsenter", "-t", process, "-n", sys.executable, "-c", code, port, line)

    def test_the_image_serves_as_the_compose_file_has_it(self):
        process = self.started("hbb")
        status = Path(f"/proc/{process}/status").read_text()
        self.assertRegex(status, r"NSpid:\t\d+\t1\n")
        self.assertRegex(status, r"Uid:\t65532\t")
        self.assertRegex(status, r"CapEff:\t0+\n")
        self.assertEqual((self.data / "id_ed25519").stat().st_mode & 0o777, 0o600)
        health = self.podman("inspect", "--type=image", "--format={{json .HealthCheck}}", "hbb")
        words = json.loads(health)["Test"]
        self.assertEqual(words[0], "CMD")
        self.assertIn("registered", self.podman("exec", "hbb", *words[1:]))
        self.podman("stop", "-t", "5", "hbb")
        self.assertEqual(self.podman("inspect", "--format={{.State.ExitCode}}", "hbb").strip(), "0")
        self.assertIn("info stopping", self.podman("logs", "hbb"))

    def test_a_flags_file_is_read_as_the_page_says(self):
        words = re.search(r"^\| another flags file \|.*`command: \[(.*?)\]`",
                          (FOLDER / "README.md").read_text(), re.M)[1]
        (self.data / "flags").write_text("--max-peers 7\n")
        self.started("flags", *words.split(", "))
        self.assertIn(" 7 limit", self.podman("exec", "flags", "/hbb", "ctl", "--data", "/data",
                                              "status"))

    def test_at_the_containers_own_address_nobody_is_told_that(self):
        """Without root Podman passes on from there what comes to the ports, whoever sent it."""
        process = self.started("own", "serve", "--data", "/data", "--key=", "--public",
                               "rd.example.org")
        inside, own = ["nsenter", "-t", process, "-n"], "10.88.0.2"
        for words in ["link add e0 type veth peer name e1", f"addr add {own}/24 dev e0",
                      "link set e0 up", "link set e1 up"]:
            run(*inside, need("ip", "iproute2"), *words.split())
        relay = "rd.example.org:21117"
        told = run(*inside, sys.executable, HERE / "dialled.py", own, relay)
        self.assertEqual(told, f"{relay}\n")

    def test_upstreams_compose_files_go_on(self):
        """Two services of one folder, by their words, variables and .env."""
        (self.data / ".env").write_text("LIMIT_SPEED=4\nrelay-servers=of.env.example.org\n")
        there = ["--workdir=/data"]
        hbbs = self.started("hbbs", "hbbs", workdir=there, variables=[
            "ALWAYS_USE_RELAY=Y", "ENCRYPTED_ONLY=1", "TEST_HBBS=no", "RUST_LOG=debug",
            "RELAY_SERVERS=of.the.environment.example.org"])
        key = (self.data / "id_ed25519.pub").read_text()
        hbbr = self.started("hbbr", "hbbr", "-k", "_", workdir=there, variables=[
            "PORT=21126", "TOTAL_BANDWIDTH=100", "SINGLE_BANDWIDTH=16", "LIMIT_SPEED=8",
            "DOWNGRADE_THRESHOLD=0.5", "DOWNGRADE_START_CHECK=60"])
        self.assertEqual((self.data / "id_ed25519.pub").read_text(), key)
        self.assertIn("variable TEST_HBBS", self.podman("logs", "hbbs"))
        self.assertEqual(self.typed(hbbs, 21115, "aur"), "ALWAYS_USE_RELAY: true\n")
        self.assertEqual(self.typed(hbbs, 21115, "rs"), "of.env.example.org\n", "before variables")
        for word, value in [("tb", "100Mb/s"), ("sb", "16Mb/s"), ("dt", "0.5"), ("t", "60s"),
                            ("ls", "4Mb/s")]:
            self.assertEqual(self.typed(hbbr, 21127, word), value + "\n", word)
        for name in ["hbbs", "hbbr"]:
            self.podman("stop", "-t", "5", name)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
