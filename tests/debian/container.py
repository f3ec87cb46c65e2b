"""The container, for which no engine is here: its files are linted and held to what they name, and
its program is started as an engine would."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from scratch import DIST, ROOT, TRIPLES, lint, loaded, need

FOLDER = ROOT / "board/container"


class Container(unittest.TestCase):
    dockerfile = (FOLDER / "Dockerfile").read_text()

    def test_the_compose_file_is_clean_and_mounts_the_data(self):
        self.assertEqual(lint(FOLDER / "compose.yaml"), "")
        service = loaded(FOLDER / "compose.yaml")["services"]["hbb"]
        self.assertEqual(service["volumes"], ["./data:/data"])
        self.assertEqual(service["command"], json.loads(self.word("CMD")))
        build = service["build"]
        context = (FOLDER / build["context"]).resolve()
        self.assertEqual(context / build["dockerfile"], FOLDER / "Dockerfile")

    def word(self, name):
        return re.search(rf"^{name} (.*)$", self.dockerfile, re.M)[1]

    def test_it_holds_one_program_of_each_machine(self):
        stages = re.findall(r"^FROM scratch AS (\w+)\nCOPY dist/full/(\S+)/hbb /hbb$",
                            self.dockerfile, re.M)
        self.assertEqual([stage for stage, _ in stages], ["amd64", "arm64", "arm"])
        self.assertEqual(sorted(triple for _, triple in stages), sorted(TRIPLES))
        ignored = (FOLDER / "Dockerfile.dockerignore").read_text().split()
        self.assertEqual(ignored, ["*", "!dist/full/*/hbb"])

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


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
