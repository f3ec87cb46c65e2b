"""The amd64 package on a clean Debian: in a chroot, where no systemd runs, and on a booted one,
whose systemd confines the daemon as the unit says while devices register and sessions pass."""

import ctypes
import json
import re
import sys
import unittest
from pathlib import Path

from scratch import ROOT, Copy, Machine, compat, need, package, run

PORT = "21116"
# As the kernel's table of sockets has it.
LISTENING = f":{int(PORT):04X} "
OPEN = "--data /var/lib/hbb\n--key=\n"


class Chroot(unittest.TestCase):
    """As when an image is made."""

    def test_installed_removed_and_purged(self):
        system = Copy(self)
        system("dpkg", "-i", system.put(package()))
        self.assertIn("hbb ", system("hbb", "--version"))
        self.assertIn(":/var/lib/hbb:/usr/sbin/nologin", system("getent", "passwd", "hbb"))
        self.assertEqual(system.stat("/etc/hbb/hbb.conf"), "root hbb 640")
        self.assertEqual(system("systemctl", "is-enabled", "hbb").strip(), "enabled")
        self.assertEqual(system("dpkg", "--verify", "hbb"), "")
        self.assertEqual(system("systemd-analyze", "verify", "--man=no", "hbb.service"), "")
        system("dpkg", "-r", "hbb")
        self.assertTrue((system.root / "etc/hbb/hbb.conf").exists())
        system("dpkg", "--purge", "hbb")
        self.assertEqual(system("find", "/etc", "/usr", "/var/lib", "-name", "*hbb*",
                                "-not", "-path", "*/deb-systemd-helper*"), "")

    def test_upstreams_names_come_and_go(self):
        system = Copy(self)
        links = system.put(compat())
        self.assertIn("depends on hbb", system("dpkg", "-i", links, check=False))
        system("dpkg", "-i", system.put(package()), links)
        for name in ["hbbs", "hbbr", "rustdesk-utils"]:
            self.assertIn("hbb ", system(name, "--version"))
            self.assertIn(name, system(name, "--help"))
        system("dpkg", "--purge", "hbb-compat")
        self.assertEqual(system("find", "/usr", "/etc", "-name", "hbb[sr]", "-o", "-name",
                                "hbb-compat*", "-o", "-name", "rustdesk*"), "")
        self.assertIn("hbb ", system("hbb", "--version"))

    def test_what_the_administrator_set_is_kept(self):
        system = Copy(self)
        system("dpkg-statoverride", "--add", "root", "adm", "600", "/etc/hbb/hbb.conf")
        deb = system.put(package())
        system("dpkg", "-i", deb)
        self.assertEqual(system.stat("/etc/hbb/hbb.conf"), "root adm 600")
        system("systemctl", "disable", "hbb")
        system.write("/etc/hbb/hbb.conf", "# mine\n")
        system("dpkg", "-i", "--force-confold", deb)
        self.assertNotEqual(system("systemctl", "is-enabled", "hbb", check=False).strip(),
                            "enabled")
        self.assertEqual((system.root / "etc/hbb/hbb.conf").read_text(), "# mine\n")


UNIT = """[Unit]
After=network.target

[Service]
WorkingDirectory=/var/lib/rustdesk-server
ExecStart=/usr/bin/%s
Restart=always

[Install]
WantedBy=multi-user.target
"""
UNITS = {"rustdesk-hbbs": "hbbs -r rd.example.org:21117 -k _", "rustdesk-hbbr": "hbbr -k _"}
# The ports of upstream's two programs.
THEIRS = {"tcp": {21115, 21116, 21117, 21118, 21119}, "udp": {21116}}


class Units(unittest.TestCase):
    """Upstream's two units, as guides write them, beside each other."""

    def test_they_run_on_the_links_and_keep_their_key(self):
        machine = Machine(self)
        debs = [machine.put(package()), machine.put(compat())]
        machine("dpkg", "-i", *debs)
        machine("systemctl", "disable", "--now", "hbb")
        folder = "/var/lib/rustdesk-server"
        machine("mkdir", folder)
        for name, words in UNITS.items():
            machine.write(f"/etc/systemd/system/{name}.service", UNIT % words)
        machine("systemctl", "daemon-reload")
        for name in UNITS:
            machine("systemctl", "enable", "--now", name)
            machine._until(f"{name} serves", lambda name=name: "info ready" in self.said(
                machine, name))
        key = machine("cat", f"{folder}/id_ed25519.pub")
        self.assertEqual(len(key.strip()), 44, key)
        self.assertEqual(machine.stat(f"{folder}/id_ed25519"), "root root 600")
        for kind, ports in THEIRS.items():
            self.assertLessEqual(ports, self.bound(machine, kind))
        machine("systemctl", "restart", *UNITS)
        self.both_serve(machine)
        for name in UNITS:
            self.assertEqual(machine("systemctl", "is-active", name).strip(), "active")
        self.assertEqual(machine("cat", f"{folder}/id_ed25519.pub"), key)
        self.sockets_are_named(machine)
        self.guides_go_on(machine, folder, key)
        machine("systemctl", "disable", "--now", *UNITS)
        self.assertEqual(self.bound(machine, "tcp") & THEIRS["tcp"], set())
        machine("dpkg", "--purge", "hbb-compat", "hbb")
        self.assertEqual(machine("cat", f"{folder}/id_ed25519.pub"), key, "no package's folder")

    def test_units_of_upstreams_packages_stay_if_copied_as_the_page_says(self):
        """hbb-compat conflicts with those packages, so that they go, and what is in them."""
        machine = Machine(self)
        folder = "/var/lib/rustdesk-server"
        machine("mkdir", folder)
        theirs = [self.upstreams_package(machine, name, words) for name, words in UNITS.items()]
        machine("dpkg", "-i", *theirs)
        page = (ROOT / "MIGRATING.md").read_text()
        copy, enable = [re.search(rf"^    ({words}.*?) *#", page, re.M)[1] for words in [
            "cp /lib/systemd", "systemctl enable --now rustdesk"]]
        machine("sh", "-ec", copy)
        machine("dpkg", "-r", *[Path(deb).name.split("_")[0] for deb in theirs])
        machine("dpkg", "-i", machine.put(package()), machine.put(compat()))
        machine("systemctl", "disable", "--now", "hbb")
        machine("sh", "-ec", enable)
        for name in UNITS:
            machine._until(f"{name} serves", lambda name=name: "info ready" in self.said(
                machine, name))
        self.assertEqual(len(machine("cat", f"{folder}/id_ed25519.pub").strip()), 44)

    def upstreams_package(self, machine, unit, words):
        """A package of that name with a unit in it; what it starts is not needed here."""
        name = unit.replace("rustdesk-", "rustdesk-server-")
        made = f"/var/tmp/{name}"
        machine.write(f"{made}/DEBIAN/control", f"Package: {name}\nVersion: 1.1.14\n"
                      "Architecture: all\nMaintainer: A <a@example.org>\nDescription: one\n")
        machine.write(f"{made}/lib/systemd/system/{unit}.service", UNIT % words)
        machine("dpkg-deb", "-b", made, f"{made}_1_all.deb")
        return f"{made}_1_all.deb"

    def sockets_are_named(self, machine):
        """As `ss -ltnup` of guides shows them."""
        shown = run(*machine._inside("-n"), need("ss", "iproute2"), "-ltnup")
        for name, ports in {"hbbs": {21115, 21116, 21118}, "hbbr": {21117, 21119}}.items():
            for port in ports:
                self.assertRegex(shown, rf'tcp .*:{port} .*users:\(\("{name}"')
        self.assertRegex(shown, r'udp .*:21116 .*users:\(\("hbbs"')

    def guides_go_on(self, machine, folder, key):
        """Backup of the folder, a new key by deleting the old or by another's pair, a user of its
        own, and what is handed out."""
        sh = lambda words: machine("sh", "-ec", f"cd {folder}; {words}")
        pair = sh("cp -a . /srv/backup; mkdir /srv/pair; cd /srv/pair; hbbs -g; cat *.pub")
        new = self.again(machine, folder, "rm id_ed25519 id_ed25519.pub")
        self.assertNotEqual(new, key)
        self.assertEqual(machine.stat(f"{folder}/id_ed25519"), "root root 600")
        self.assertEqual(self.again(machine, folder, "cp /srv/pair/id_ed25519* ."),
                         pair.splitlines()[-1])
        back = "find -delete; cp -a /srv/backup/. ."
        self.assertEqual(self.again(machine, folder, back), key)
        # Upstream's would serve without any key where its user cannot read it.
        machine("useradd", "--system", "rustdesk")
        for name in UNITS:
            machine.write(f"/etc/systemd/system/{name}.service.d/user.conf",
                          "[Service]\nUser=rustdesk\nRestartSec=1\n")
        machine("systemctl", "daemon-reload")
        machine("systemctl", "restart", *UNITS)
        for name in UNITS:
            machine._until(f"{name} says why not", lambda name=name: "Permission denied" in
                           self.said(machine, name))
        self.assertEqual(self.bound(machine, "tcp") & THEIRS["tcp"], set())
        self.assertEqual(self.again(machine, folder, "chown -R rustdesk: ."), key)
        # A start leaves no server.conf: the name of the server is not among its words.
        self.assertNotIn("server.conf", sh("ls"))
        sh("hbb export --data . --host rd.example.org --write /srv/handout")
        text = machine("cat", "/srv/handout/server.conf")
        self.assertIn(f'key = "{key.strip()}"', text)
        self.assertIn('custom-rendezvous-server = "rd.example.org"', text)

    def again(self, machine, folder, words):
        """Stops both units, does this in their folder, starts them; their public key then."""
        machine("systemctl", "stop", *UNITS)
        machine("sh", "-ec", f"cd {folder}; {words}")
        machine("systemctl", "start", *UNITS)
        self.both_serve(machine)
        return machine("cat", f"{folder}/id_ed25519.pub")

    def both_serve(self, machine):
        for kind, ports in THEIRS.items():
            machine._until("both serve", lambda kind=kind, ports=ports: ports <= self.bound(
                machine, kind))

    def said(self, machine, unit):
        return machine("journalctl", "-o", "cat", "--no-pager", "-u", unit)

    def bound(self, machine, kind):
        """Ports of the kernel's tables of sockets."""
        rows = machine("cat", f"/proc/net/{kind}", f"/proc/net/{kind}6").splitlines()
        words = [row.split() for row in rows if ":" in row.split()[0]]
        return {int(row[1].rsplit(":", 1)[1], 16) for row in words}


class Booted(unittest.TestCase):
    def setUp(self):
        self.machine = Machine(self)
        self.deb = self.machine.put(package())

    def install(self):
        self.machine("dpkg", "-i", self.deb)

    def opened(self):
        """Serves clients that show no key, as the client here does not."""
        self.machine.write("/etc/hbb/hbb.conf", OPEN)
        self.machine("systemctl", "restart", "hbb")

    def test_it_runs_when_installed_and_serves_confined(self):
        machine = self.machine
        self.install()
        self.assertEqual(machine("systemctl", "is-active", "hbb").strip(), "active")
        self.assertIn(LISTENING, machine("cat", "/proc/net/tcp6"))
        self.opened()
        machine.try_out("session.py", PORT, "20")
        # Of one network no more are told in a minute; the count is in the status below.
        self.assertEqual(machine.journal().count("info peer-added"), 6)
        # Where the kernel has Landlock, the unit does not keep it away.
        files = "yes" if ctypes.CDLL(None).syscall(444, None, 0, 1) > 0 else "no"
        self.assertIn(f"privileges=yes dumps=yes files={files} calls=yes", machine.journal())
        user = machine("id", "-u", "hbb").strip()
        self.assertEqual(machine.status("Uid"), [user] * 4)
        self.assertEqual(machine.status("NoNewPrivs"), ["1"])
        self.assertEqual(machine.status("Seccomp"), ["2"])
        for kind in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]:
            self.assertEqual(int(machine.status(kind)[0], 16), 0, kind)
        self.assertEqual(machine.stat("/var/lib/hbb"), "hbb hbb 750")
        self.assertEqual(machine.stat("/run/hbb"), "hbb hbb 750")
        self.assertEqual(machine.stat("/var/lib/hbb/id_ed25519"), "hbb hbb 600")
        self.assertEqual(machine.stat("/run/hbb/hbb.sock"), "hbb hbb 660")
        status = json.loads(machine("hbb", "ctl", "--json", "status"))
        peers = {"registered": 20, "online": 20, "limit": 1024, "kept": 0}
        self.assertEqual(status["peers"], peers)
        machine("hbb", "ctl", "ban", "192.0.2.0/24")
        self.assertEqual(machine.stat("/var/lib/hbb/banned.txt"), "hbb hbb 600")
        refused = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        said = machine(*refused, "hbb", "ctl", "--control=/run/hbb/hbb.sock", "status",
                       check=False)
        self.assertNotIn("uptime", said)
        said = machine("runuser", "-u", "hbb", "--", "hbb", "export", "--flags",
                       "/etc/hbb/hbb.conf", "--host", "192.0.2.1", "--format", "text")
        self.assertIn(machine("cat", "/var/lib/hbb/id_ed25519.pub").strip(), said)

    def test_it_asks_for_no_system_call_that_is_refused(self):
        """Such a call ends the process here, where the unit only refuses it."""
        self.machine.write("/etc/systemd/system/hbb.service.d/kill.conf",
                           "[Service]\nSystemCallErrorNumber=kill\nRestart=no\n")
        self.install()
        self.opened()
        self.machine.try_out("session.py", PORT, "20")
        self.machine("systemctl", "reload", "hbb")
        self.machine.wait_journal("info reloaded")
        self.machine("systemctl", "stop", "hbb")
        self.assertEqual(self.machine.unit("Result"), "success")
        # And so does one that is: the filter is there.
        self.machine.write("/etc/systemd/system/hbb.service.d/kill.conf",
                           "[Service]\nSystemCallErrorNumber=kill\nRestart=no\n"
                           "SystemCallFilter=~epoll_wait epoll_pwait epoll_pwait2\n")
        self.machine("systemctl", "daemon-reload")
        self.machine("systemctl", "start", "hbb", check=False)
        self.machine.wait("ActiveState", "failed")
        self.assertIn(self.machine.unit("Result"), ["core-dump", "signal"])

    def test_the_rest_of_the_system_is_out_of_reach(self):
        """Asked from inside the daemon's own mounts, as its user."""
        machine = self.machine
        self.install()
        inside = ["nsenter", "-t", machine.unit("MainPID"), "-m", "--", "runuser", "-u", "hbb",
                  "--", "sh", "-c"]
        for path in ["/etc/x", "/usr/x", "/var/x", "/var/lib/dpkg/x"]:
            self.assertEqual(machine(*inside, f"touch {path} 2>&1 || echo no").strip()[-2:], "no")
        machine(*inside, "touch /var/lib/hbb/x && touch /run/hbb/x")
        self.assertEqual(machine(*inside, "ls /dev/kmsg /dev/mem 2>/dev/null; echo").strip(), "")

    def test_reload_is_told_and_a_wrong_file_changes_nothing(self):
        machine = self.machine
        self.install()
        pid = machine.unit("MainPID")
        machine("systemctl", "reload", "hbb")
        machine.wait_journal("info reloaded")
        machine.write("/etc/hbb/hbb.conf", "--max-peers none\n")
        machine("systemctl", "reload", "hbb")
        machine.wait_journal("reload-refused")
        machine.wait("ActiveState", "active")
        self.assertEqual(machine.unit("MainPID"), pid)
        machine("systemctl", "restart", "hbb", check=False)
        machine.wait("ActiveState", "failed")
        self.assertEqual(machine.unit("NRestarts"), "0", "a wrong file is not tried again")
        self.assertIn("max-peers", machine.journal())

    def test_one_that_hangs_is_killed_and_started_again(self):
        machine = self.machine
        machine.write("/etc/systemd/system/hbb.service.d/soon.conf",
                      "[Service]\nWatchdogSec=2\nRestartSec=1\n")
        self.install()
        first = machine.unit("MainPID")
        machine("sleep", "5")
        self.assertEqual(machine.unit("MainPID"), first, "it feeds the watchdog")
        machine("sh", "-c", f"kill -STOP {first}")
        machine.wait("NRestarts", "1")
        machine.wait("ActiveState", "active")
        self.assertNotEqual(machine.unit("MainPID"), first)
        self.assertIn("Watchdog timeout", machine.journal())

    def test_upgrade_keeps_key_peers_and_settings_and_removal_the_data(self):
        machine = self.machine
        self.install()
        self.opened()
        machine.try_out("session.py", PORT, "3")
        key = machine("cat", "/var/lib/hbb/id_ed25519")
        first = machine.unit("MainPID")
        machine("dpkg", "-i", "--force-confold", self.deb)
        self.assertNotEqual(machine.unit("MainPID"), first, "the new program runs")
        machine.wait_journal("peers-loaded count=3")
        self.assertEqual(machine("cat", "/var/lib/hbb/id_ed25519"), key)
        self.assertEqual(machine("cat", "/etc/hbb/hbb.conf"), OPEN)
        self.assertEqual(machine.stat("/etc/hbb/hbb.conf"), "root hbb 640")
        machine("systemctl", "disable", "--now", "hbb")
        machine("dpkg", "-i", "--force-confold", self.deb)
        self.assertEqual(machine("systemctl", "is-enabled", "hbb", check=False).strip(),
                         "disabled")
        machine("dpkg", "-r", "hbb")
        self.assertNotIn(LISTENING, machine("cat", "/proc/net/tcp6"))
        self.assertEqual(machine("cat", "/var/lib/hbb/id_ed25519"), key)
        self.install()
        self.assertEqual(machine("cat", "/etc/hbb/hbb.conf"), OPEN)
        machine("dpkg", "--purge", "hbb")
        left = machine("sh", "-c", "ls -d /var/lib/hbb /run/hbb /etc/hbb /usr/bin/hbb 2>&1",
                       check=False)
        self.assertEqual(left.count("No such file"), 4, left)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
