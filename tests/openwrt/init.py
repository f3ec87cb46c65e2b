"""What the init script would tell procd, for configurations as shipped, edited and wrong."""

import json
import re
import tomllib
import unittest

from scratch import ROOT, Scratch

INIT = "/etc/init.d/hbb"
FLAGS = "tmp/etc/hbb/flags"
FIXED = "tmp/etc/hbb/fixed"
# As long as one.
SECRET = ("notforthelog" * 8)[:86] + "=="
PORTS = "tcp 21115 21116 21117 21118 21119, udp 21116"
OPEN = "wan tcp 21115 21116 21117 21118 21119\nwan udp 21116\n"
SHIPPED = """\
--data=/etc/hbb
--control=/var/run/hbb/hbb.sock
--port=21116
--role=all
--log-level=info
--max-peers=4096
--max-connections=1024
--max-sessions=128
--writes-per-day=64
"""
INSTANCE = {
    "command": ["/usr/bin/hbb", "serve", "--flags", "/var/etc/hbb/flags"],
    "file": ["/var/etc/hbb/fixed"],
    "user": "hbb",
    "group": "hbb",
    "limits": {"nofile": "32768 32768"},
    "respawn": ["3600", "5", "0"],
    "stdout": True,
    "stderr": True,
}
JAIL = {
    "no_new_privs": True,
    "capabilities": "/etc/capabilities/hbb.json",
    "jail": {"name": "hbb", "ronly": True, "procfs": True,
             "mount": {"/etc/hbb": "1", "/var/run/hbb": "1", "/var/etc/hbb": "0", "/etc/hosts": "0"}},
}
RELOAD = ["run_script", "/etc/init.d/hbb", "reload"]
CHANGED = ["config.change", ["if", ["eq", "package", "hbb"], RELOAD], 1000]
TRIGGERS = [
    CHANGED,
    ["service.data.update", [["run_script", "/usr/libexec/hbb-firewall", "tell"]], 3000],
]


def mdns(port=21116, role="all"):
    return {f"hbb_{port}": {"service": "_hbb._tcp.local", "port": port, "txt": [f"role={role}"]}}


def instance(**data):
    """As procd has it by default, with other data."""
    return INSTANCE | {"data": {"mdns": mdns()} | data}


def mounted(path):
    return ["mount.add", ["if", ["eq", "target", path],
                          ["run_script", "/etc/init.d/hbb", "restart"]], 1000]


def rule(protocol, *ports):
    return {"type": "rule", "name": f"hbb-wan-{protocol}", "src": "wan", "proto": protocol,
            "dest_port": list(ports), "target": "ACCEPT"}


RULES = [rule("tcp", "21115", "21116", "21118", "21117", "21119"), rule("udp", "21116")]


class Acts(unittest.TestCase):
    """Puts lines into the configuration and has the script act."""

    def setUp(self):
        self.root = Scratch(self).install()

    def put(self, pattern, line):
        """Puts a line in place of one of the shipped configuration."""
        text = self.root.read("etc/config/hbb")
        text, count = re.subn(rf"^\t#?(option|list) {pattern}.*$", f"\t{line}", text, flags=re.M)
        self.assertEqual(count, 1, pattern)
        self.root.write("etc/config/hbb", text)

    def act(self, action):
        """Gives code, stderr, and what procd was told; instances are None if it was not."""
        before = len(self.root.procd.sent)
        code, said = self.root.run(f"{INIT} {action}")
        self.assertNotIn("not found", said)
        return code, said, self.told(before)

    def told(self, before):
        told = {"instances": None, "triggers": None}
        for method, message in self.root.procd.sent[before:]:
            if method in ("set", "add"):
                told |= {key: message[key] for key in ("instances", "triggers")}
            told[method] = message
        return told

    def flags(self):
        return self.root.read(FLAGS).splitlines()

    def held(self):
        """What procd has of hbb."""
        return self.root.procd.services["hbb"]["instances"].get("hbb")

    def running(self):
        self.assertEqual(self.act("start")[2]["instances"], {"hbb": instance()})
        return self.held()["pid"]

    def refused(self, *words):
        """Neither start nor reload gives a new instance; the log names the cause."""
        code, said, sent = self.act("start")
        self.assertEqual((sent["instances"], self.root.read(FLAGS)), ({}, ""), said)
        for word in words:
            self.assertIn(word, said + "\n".join(self.root.log()))
        self.assertTrue(sent["triggers"], "a later change is heard")


class Init(Acts):
    def test_the_shipped_configuration_starts_it(self):
        code, said, sent = self.act("start")
        self.assertEqual((code, said), (0, ""))
        self.assertEqual((sent["instances"], sent["triggers"]), ({"hbb": instance()}, TRIGGERS))
        self.assertEqual(self.root.read(FLAGS), SHIPPED)
        self.assertEqual((self.root.path / FLAGS).stat().st_mode & 0o777, 0o640)
        for folder in ["tmp/run/hbb", "tmp/etc/hbb"]:
            self.assertEqual((self.root.path / folder).stat().st_mode & 0o777, 0o750)
        self.assertEqual((self.root.path / "etc/hbb").stat().st_mode & 0o777, 0o700)
        self.assertEqual(self.root.calls("chown"), [
            "-Rh hbb:hbb /etc/hbb", "hbb:hbb /var/run/hbb", "root:hbb /var/etc/hbb",
            "root:hbb /var/etc/hbb/flags.new"])

    def test_where_there_are_jails_it_has_one(self):
        self.root.write("sbin/ujail", "")
        (self.root.path / "sbin/ujail").chmod(0o755)
        self.assertEqual(self.act("start")[2]["instances"], {"hbb": instance() | JAIL})

    def test_every_option_becomes_its_flag(self):
        for pattern, line in [
            ("public", "option public 'rd.example.org'"), ("port '21116'", "option port '4000'"),
            ("role", "option role 'all'"), ("single_port", "option single_port 'off'"),
            ("require_key", "option require_key '0'"), ("log_level", "option log_level 'debug'"),
            ("always_use_relay", "option always_use_relay 'yes'"),
            ("lan", "option lan 'lan'"), ("interface", "option interface 'lan'"), ("port '21117'", "option port '4443'"),
            ("trusted_proxies", "list trusted_proxies '10.0.0.1'\n\tlist trusted_proxies '::1'"),
            ("proxy_header", "option proxy_header 'x-forwarded-for'"),
            ("proxy_protocol", "option proxy_protocol '1'"),
            ("quiet_start", "option quiet_start '1'"),
            ("no_api_port", "option no_api_port '1'"),
            ("servers", "list servers 'a.example:1'\n\tlist servers 'b.example'"),
            ("max_peers", "option max_peers '5'"), ("max_sessions", "option max_sessions '7'"),
            ("max_connections", "option max_connections '6'"),
            ("registrations_per_minute", "option registrations_per_minute '8'"),
            ("writes_per_day", "option writes_per_day '3'"),
            ("forget_after", "option forget_after '90'"),
            ("new_peers_per_day", "option new_peers_per_day '9'\n\toption console '1'"),
            ("threads", "option threads 'auto'"), ("dscp", "option dscp '34'"),
            ("total_bandwidth", "option total_bandwidth '0.5'"),
            ("single_bandwidth", "option single_bandwidth '0.4'"),
            ("limit_speed", "option limit_speed '0.3'"),
            ("downgrade_threshold", "option downgrade_threshold '0.5'"),
            ("downgrade_start_check", "option downgrade_start_check '60'"),
        ]:
            self.put(pattern, line)
        # An address of this machine is needed to listen on.
        code, said = self.root.run(f"ip link set lo up; ip addr add 192.168.1.1/24 dev lo; "
                                   f"{INIT} start")
        self.assertEqual((code, said), (0, ""))
        self.assertEqual(self.flags(), [
            "--data=/etc/hbb", "--control=/var/run/hbb/hbb.sock", "--public=rd.example.org", "--port=4000", "--no-api-port", "--role=all", "--key=",
            "--always-use-relay", "--trusted-proxies=10.0.0.1,::1",
            "--proxy-header=x-forwarded-for", "--proxy-protocol", "--quiet-start", "--log-level=debug",
            "--mask=192.168.1.1/24", "--local-ip=192.168.1.1", "--bind=192.168.1.1",
            "--relay-port=4443", "--relay-threads=auto", "--dscp=34", "--relay-servers=a.example:1,b.example", "--max-peers=5",
            "--max-connections=6", "--max-sessions=7", "--registrations-per-minute=8",
            "--new-peers-per-day=9", "--forget-after=90", "--writes-per-day=3", "--total-bandwidth=0.5", "--single-bandwidth=0.4",
            "--limit-speed=0.3", "--downgrade-threshold=0.5", "--downgrade-start-check=60"])

    def test_disabled_it_opens_no_instance_and_no_port(self):
        self.put("enabled", "option enabled '0'")
        self.put("zone", "list zone 'wan'")
        code, said, sent = self.act("start")
        self.assertEqual((code, said, sent["instances"]), (0, "", {}))
        self.assertNotIn("hbb_", self.root.read("etc/config/firewall"))

    def test_values_of_the_wrong_kind_are_named(self):
        for pattern, line, word in [
            ("port '21116'", "option port '80'", "err refused: hbb.server.port=80: must be range"),
            ("role", "option role 'both'", "hbb.server.role=both"),
            ("max_peers", "option max_peers 'many'", "hbb.limits.max_peers=many"),
            ("enabled", "option enabled 'maybe'", "hbb.server.enabled=maybe"),
            ("port '21117'", "option port '65535'", "hbb.relay.port=65535"),
            ("method", "option method 'iptables'", "hbb.firewall.method=iptables"),
            ("threads", "option threads '65'", "hbb.relay.threads=65"),
            ("blocklist", "list blocklist 'a.example'", "hbb.lists.blocklist=a.example"),
            ("downgrade_threshold", "option downgrade_threshold '2'", "--downgrade-threshold"),
        ]:
            with self.subTest(word):
                shipped = self.root.read("etc/config/hbb")
                self.put(pattern, line)
                self.put("key ", f"option key '{SECRET}'")
                self.refused(word, "not started")
                self.assertNotIn(SECRET, self.root.read("tmp/calls"))
                self.root.write("etc/config/hbb", shipped)

    def test_values_that_are_of_the_kind_but_mean_nothing_are_named(self):
        for pattern, line, word in [
            ("lan", "option lan 'nosuch'", "server.lan: there is no network 'nosuch'"),
            ("interface", "option interface 'wan'", "server.interface: there is no network 'wan'"),
            # 'uci set' makes an option of what was meant as a list.
            ("trusted_proxies", "option trusted_proxies 'x y'", "--trusted-proxies 'x y'"),
            ("servers", "option servers 'bad relay'", "--relay-servers 'bad relay'"),
            ("key ", "option key 'nonsense key'", "server.key is no key"),
            ("key ", f"option key '{SECRET[:-4]}'", "server.key is no key"),
        ]:
            with self.subTest(line):
                shipped = self.root.read("etc/config/hbb")
                self.put(pattern, line)
                self.refused(f"err refused: {word}", "not started")
                self.root.write("etc/config/hbb", shipped)
        # One of a relay alone may be any word; of what is no list, one is taken.
        self.put("role", "option role 'relay'")
        self.put("public", "option public '192.0.2.1'")
        self.put("key ", "option key 'a-word'")
        self.put("trusted_proxies", "option trusted_proxies '10.0.0.1'")
        self.act("start")
        self.assertLess({"--key=a-word", "--trusted-proxies=10.0.0.1"}, set(self.flags()))

    def test_what_check_refuses_is_logged_in_its_words(self):
        self.put("single_port", "option single_port '1'")
        self.refused("err refused: --single-port: clients expect the relay", "not started")

    def test_a_missing_user_is_no_reason_to_run_as_root(self):
        self.root.write("etc/passwd", "root:x:0:0:root:/root:/bin/ash\n")
        self.refused("err the user or group hbb is missing")

    def test_data_that_holds_other_things_is_left_alone(self):
        for data, word in [("/etc", "holds other things"), ("/mnt/sda1/hbb", "no mounted disk"),
                           ("hbb", "whole path"), ("/etc/hbb/../config", "whole path")]:
            with self.subTest(data):
                shipped = self.root.read("etc/config/hbb")
                self.put("data", f"option data '{data}'")
                self.refused(word)
                self.root.write("etc/config/hbb", shipped)
        self.assertEqual(self.root.calls("chown"), [])

    def test_the_key_goes_to_no_place_that_a_reboot_empties(self):
        """/var is memory on a router, whatever it is elsewhere."""
        self.root.run("mkdir /etc/hbb && hbb keygen --data /etc/hbb")
        key, shipped = self.key("etc/hbb"), self.root.read("etc/config/hbb")
        for data in ["/var/lib/hbb", "/tmp/hbb", "/srv/link"]:
            with self.subTest(data):
                self.root.run("mkdir -p /srv /tmp/there && ln -sfn /tmp/there /srv/link")
                self.put("data", f"option data '{data}'")
                self.refused("is in memory")
                self.assertEqual(self.key("etc/hbb"), key)
                self.root.write("etc/config/hbb", shipped)
        # Who names the key elsewhere may have the rest there. The stub of chown gives nothing away.
        self.root.run("chmod 0644 /etc/hbb/id_ed25519")
        self.put("data", "option data '/var/lib/hbb'")
        self.put("key_file", "option key_file '/etc/hbb/id_ed25519'")
        self.assertIn("hbb", self.act("start")[2]["instances"])

    def test_a_configuration_that_cannot_be_read_is_named(self):
        for text, word in [("config server 'server\n", "unterminated"), ("", "is empty"),
                           ("config servers\n", "no section named")]:
            with self.subTest(word):
                self.root.write("etc/config/hbb", text)
                self.refused(word)

    def test_a_second_server_is_not_promised(self):
        shipped = self.root.read("etc/config/hbb")
        for name in ["'office'", ""]:
            with self.subTest(name):
                self.root.write("etc/config/hbb", f"{shipped}\nconfig server {name}\n")
                _, said, sent = self.act("start")
                self.assertIn("one server runs here", said)
                self.assertIn("one server runs here", self.root.read("tmp/etc/hbb.refused"))
                self.assertEqual(sent["instances"], {"hbb": instance()})

    def test_what_a_power_cut_leaves_is_its_own(self):
        self.root.run("mkdir /etc/hbb && hbb keygen --data /etc/hbb")
        for draft in ["id_ed25519.new", "hbb.store.new", "banned.txt.new", "hbb.restore.new",
                      "blocklist.txt.new"]:
            self.root.write(f"etc/hbb/{draft}", "")
        self.assertIn("hbb", self.act("start")[2]["instances"])

    def test_a_mounted_disk_is_waited_for_and_used(self):
        self.put("data", "option data '/mnt/sda1/hbb'")
        trigger = mounted("/mnt/sda1/hbb")
        self.assertIn(trigger, self.act("start")[2]["triggers"])
        self.assertFalse((self.root.path / "mnt").exists())
        self.root.write("proc/mounts", "/dev/sda1 /mnt/sda1 ext4 rw 0 0\n")
        self.assertIn("hbb", self.act("start")[2]["instances"])

    def test_a_disk_that_comes_late_is_heard_of_without_blockd(self):
        """block-mount tells procd nothing, and fstab need not name the disk."""
        plugged = "ACTION=add; . /etc/hotplug.d/block/90-hbb"
        self.put("data", "option data '/mnt/sda1/hbb'")
        self.refused("no mounted disk")
        self.root.write("proc/mounts", "/dev/sda1 /mnt/sda1 ext4 rw 0 0\n")
        self.assertEqual(self.root.run(plugged), (0, ""))
        pid = self.held()["pid"]
        self.assertEqual((self.root.run(plugged), self.held()["pid"]), ((0, ""), pid))
        # What somebody stopped stays so.
        self.act("stop")
        self.root.run(plugged)
        self.assertNotIn("hbb", self.root.procd.services)

    def test_a_disk_that_lost_the_key_is_given_no_other(self):
        """Made anew, or another one in its place."""
        self.root.write("proc/mounts", "/dev/sda1 /mnt/sda1 ext4 rw 0 0\n")
        self.put("data", "option data '/mnt/sda1/hbb'")
        # Nothing was there at the first start, nor at a second if the first came to nothing.
        for _ in range(2):
            self.assertIn("hbb", self.act("start")[2]["instances"])
        self.root.run("hbb keygen --data /mnt/sda1/hbb")
        self.assertIn("hbb", self.act("start")[2]["instances"])
        key = self.root.read("mnt/sda1/hbb/id_ed25519")
        self.act("stop")
        self.root.run("rm /mnt/sda1/hbb/*")
        self.refused("/mnt/sda1/hbb had a key and has none")
        self.root.write("mnt/sda1/hbb/id_ed25519", key)
        self.assertIn("hbb", self.act("start")[2]["instances"])
        # As the message says.
        self.root.run("rm /mnt/sda1/hbb/* /etc/hbb.data")
        self.assertIn("hbb", self.act("start")[2]["instances"])

    def key(self, folder):
        return self.root.read(f"{folder}/id_ed25519.pub")

    def test_other_data_takes_key_and_store_along(self):
        self.root.run("mkdir /etc/hbb /mnt && hbb keygen --data /etc/hbb")
        more = {"banned.txt": "123456789\n", "rules.conf": "deny to=123456789\n"}
        for name, text in more.items():
            self.root.write(f"etc/hbb/{name}", text)
        key, pid = self.key("etc/hbb"), self.running()
        for line in ["option data '/srv/hbb'", "option data '/srv/two'", "option data '/etc/hbb'"]:
            was, now = self.root.read("etc/hbb.data").split("\n")[0] or "/etc/hbb", line.split("'")[1]
            self.put("data", line)
            self.assertEqual(self.act("reload")[0], 0)
            self.assertEqual(self.key(now[1:]), key)
            self.assertEqual({name: self.root.read(f"{now}/{name}"[1:]) for name in more}, more)
            self.assertEqual(list((self.root.path / was[1:]).iterdir()), [], "nothing is left twice")
            self.assertIn(f"--data={now}", self.flags())
            self.assertNotEqual(self.held()["pid"], pid, "it was ended before")
            # The message to procd is whole though another was sent while it was made.
            pid = self.held()["pid"]
            self.act("stop")
            self.act("start")
        self.assertEqual(self.root.read("etc/hbb.data"), "")
        # Not what a stranger put there.
        self.root.run("ln -s /etc/passwd /etc/hbb/blacklist.txt")
        self.put("data", "option data '/srv/hbb'")
        self.act("start")
        self.assertEqual((self.key("srv/hbb"), self.root.read("srv/hbb/blacklist.txt")), (key, ""))

    def test_no_other_key_is_made_where_the_one_there_was_cannot_be_had(self):
        self.root.write("etc/hbb.data", "/mnt/sda1/hbb\n")
        self.refused("err data /etc/hbb has no key, and /mnt/sda1/hbb, which had it, is not there")

    def test_what_cannot_be_moved_is_served_where_it_is(self):
        full = ("mkdir -p /srv /etc/hbb; mount -t tmpfs -o size=16k tmpfs /srv; "
                "hbb keygen --data /etc/hbb; yes 192.0.2.1 | head -n 3000 >/etc/hbb/blocklist.txt; "
                f"{INIT} start; ls /srv/hbb >/tmp/left")
        self.put("data", "option data '/srv/hbb'")
        _, said = self.root.run(full)
        self.assertIn("served from /etc/hbb, as before", said)
        self.assertIn("--data=/etc/hbb", self.flags())
        self.assertTrue(self.key("etc/hbb"))
        self.assertEqual((self.held()["running"], self.root.read("tmp/left")), (True, ""))

    def test_full_flash_keeps_it_from_nothing_but_new_lists(self):
        """No file can be made, and what is there takes no owner, the one it has not either."""
        self.root.write("etc/passwd", "hbb:x:0:0::/:/bin/false\n")
        self.root.write("etc/group", "hbb:x:0:\n")
        self.root.write("stubs/chown", '#!/bin/sh\n[ "$1" != -Rh ]\n')
        full = ("mkdir -p /etc/hbb; mount -t tmpfs -o nr_inodes=20,mode=0700 tmpfs /etc/hbb; "
                "hbb keygen --data /etc/hbb; echo 192.0.2.7 by hand >/etc/hbb/blocklist.txt; n=0; "
                "while touch /etc/hbb/banned.txt$n; do n=$((n + 1)); done 2>/dev/null; "
                f"{INIT} start; cat /etc/hbb/blocklist.txt >/tmp/list")
        self.assertEqual(self.root.run(full), (0, ""))
        self.assertTrue(self.held()["running"])
        self.act("stop")
        self.put("blocklist", "list blocklist '198.51.100.0/24'")
        self.assertIn("no room in /etc/hbb for blocklist.txt", self.root.run(full)[1])
        self.assertEqual(self.root.read("tmp/list"), "192.0.2.7 by hand\n")

    def test_full_memory_is_named(self):
        _, said = self.root.run("mkdir /var/run/hbb; mount -t tmpfs -o nr_inodes=1 tmpfs "
                                f"/var/run/hbb; {INIT} start")
        self.assertIn("there is no room in /var/run/hbb for bad-ends", said)

    def test_a_move_that_was_cut_short_is_made_anew(self):
        device = {"id": "123456789", "uuid": "61", "pk": "07" * 32, "created_at": None}
        self.root.write("tmp/devices", json.dumps([device]))
        self.root.run("mkdir -p /etc/hbb /srv/hbb; echo 7 >/etc/hbb/banned.txt; hbb keygen --data "
                      "/etc/hbb; hbb import --data /etc/hbb /tmp/devices; "
                      "echo half >/srv/hbb/hbb.store.new")
        self.put("data", "option data '/srv/hbb'")
        key = self.key("etc/hbb")
        # The devices were there already, but not the key, which is the last; or the owner copied
        # that alone.
        for there in ["hbb.store", "id_ed25519"]:
            with self.subTest(there):
                self.root.run(f"cp /etc/hbb/{there} /srv/hbb")
                self.act("start")
                self.assertEqual((self.key("srv/hbb"), self.root.read("srv/hbb/banned.txt")),
                                 (key, "7\n"))
                self.assertTrue((self.root.path / "srv/hbb/hbb.store").exists())
                self.assertFalse((self.root.path / "etc/hbb/id_ed25519").exists())
            self.act("stop")
            self.root.run("mv /srv/hbb/* /etc/hbb; rm /etc/hbb.data")

    def test_another_key_where_data_leads_is_told_of(self):
        self.root.run("mkdir -p /etc/hbb /srv/hbb; for of in etc srv; do "
                      "hbb keygen --data /$of/hbb; done")
        self.put("data", "option data '/srv/hbb'")
        for _ in range(2):
            self.act("start")
        told = [line for line in self.root.log() if "another key" in line]
        self.assertEqual(told, ["warn data: /srv/hbb has another key than /etc/hbb had; clients need "
                                "it, or: set data back"])

    def test_keys_of_another_server_are_taken_over(self):
        self.root.run("mkdir /etc/hbb && hbb keygen --data /etc/hbb")
        self.assertIn("hbb", self.act("start")[2]["instances"])
        self.root.write("etc/hbb/id_ed25519", "no key")
        self.act("stop")
        self.refused("err refused:", "id_ed25519")

    def test_a_key_file_elsewhere_is_used_and_put_into_the_jail(self):
        self.root.write("sbin/ujail", "")
        (self.root.path / "sbin/ujail").chmod(0o755)
        self.put("key_file", "option key_file '/mnt/sda1/key'")
        trigger = mounted("/mnt/sda1/key")
        self.assertIn(trigger, self.act("start")[2]["triggers"])
        self.refused("err refused:", "There is no key file /mnt/sda1/key")
        self.root.run("mkdir -p /mnt/sda1 /tmp/made && hbb keygen --data /tmp/made && "
                      "cp /tmp/made/id_ed25519 /mnt/sda1/key")
        # The check is root's, who may read it; hbb itself would end, again and again.
        self.refused("err refused: server.key_file '/mnt/sda1/key': the user hbb may not read it")
        self.root.run("chmod 0644 /mnt/sda1/key")
        mount = self.act("start")[2]["instances"]["hbb"]["jail"]["mount"]
        self.assertEqual(mount, JAIL["jail"]["mount"] | {"/mnt/sda1/key": "0"})
        self.assertIn("--key-file=/mnt/sda1/key", self.flags())
        self.assertIn("--key-file=/mnt/sda1/key", self.root.read(FIXED))

    def test_reload_after_a_live_option_sends_a_signal(self):
        pid = self.running()
        self.put("max_peers", "option max_peers '99'")
        before = self.root.read(FIXED)
        # The ports are ours, so check finds them taken.
        sent = len(self.root.procd.sent)
        self.assertEqual(self.root.run(f"nc -l -p 21116 & sleep 1; {INIT} reload; kill $!"), (0, ""))
        sent = self.told(sent)
        # The same instance, which procd leaves running.
        self.assertEqual((sent["instances"], self.root.read(FIXED)), ({"hbb": instance()}, before))
        self.assertEqual((sent["signal"]["signal"], self.held()["pid"]), ("HUP", pid))
        self.assertIn("--max-peers=99", self.flags())

    def test_it_is_announced_at_its_port_unless_it_shall_not_be(self):
        for lines, want in [
            ({"role": "option role 'relay'", "key ": "option key 'x'"}, mdns(21117, "relay")),
            ({"port '21117'": "option port '4443'"}, mdns(4443, "relay")),
            ({"mdns": "option mdns '0'"}, None),
        ]:
            for pattern, line in lines.items():
                self.put(pattern, line)
            self.put("public", "option public '192.0.2.1'")
            data = self.act("start")[2]["instances"]["hbb"]["data"]
            self.assertEqual(data.get("mdns"), want)

    def test_rules_stand_while_it_runs_and_nothing_is_written_for_them(self):
        pid = self.running()
        before = self.root.read("etc/config/firewall")
        self.put("zone", "list zone 'wan'")
        self.assertEqual(self.act("reload")[2]["instances"], {"hbb": instance(firewall=RULES)})
        # One object, so what umdns is told is there too; other data is no reason to restart.
        self.assertEqual((self.held()["data"]["mdns"], self.held()["pid"]), (mdns(), pid))
        # Until the firewall has them, nobody says that they are there.
        self.assertNotIn("open from", "\n".join(self.root.log()))
        self.root.procd.settle()
        self.assertEqual(self.shown(), OPEN)
        self.assertEqual(self.root.log()[-1], f"info firewall: open from: wan; {PORTS}")
        self.act("stop")
        self.root.procd.settle()
        self.assertEqual(self.shown(), "")
        self.assertEqual(self.root.read("etc/config/firewall"), before)

    def shown(self):
        return self.root.execute(["/usr/libexec/hbb-firewall", "shown"], "").stdout

    def test_a_firewall_that_does_not_take_the_rules_is_told_of(self):
        self.root.write("etc/init.d/firewall", "#!/bin/sh\n")
        self.put("zone", "list zone 'wan'")
        self.act("start")
        self.root.procd.settle()
        self.assertIn(f"err firewall: from wan the ports should be open ({PORTS}), but the "
                      "firewall has none", self.root.log()[-1])

    def test_with_method_uci_the_rules_are_those_of_the_file(self):
        self.running()
        self.put("zone", "list zone 'wan'")
        self.put("method", "option method 'uci'")
        self.assertEqual(self.act("reload")[2]["instances"], {"hbb": instance()})
        self.assertIn("hbb_wan_tcp", self.root.read("etc/config/firewall"))
        self.assertEqual(self.root.log()[-1], f"info firewall: open from: wan; {PORTS}")
        # An upgrade from a version whose rules were there, for which nothing was chosen.
        self.put("method", "")
        self.assertEqual(self.act("reload")[2]["instances"], {"hbb": instance(firewall=RULES)})
        self.assertNotIn("hbb_", self.root.read("etc/config/firewall"))

    def test_what_is_told_of_the_firewall_is_told_once(self):
        for _ in range(2):
            self.act("start")
            self.root.procd.settle()
            self.act("reload")
            self.act("stop")
        told = [line for line in self.root.log() if "no zone chosen" in line]
        self.assertEqual(len(told), 1)

    def test_lists_of_the_configuration_become_files_and_go_with_it(self):
        self.put("blacklist", "list blacklist '192.0.2.0/24'\n\tlist blacklist '2001:db8::1'")
        self.root.write("etc/hbb/blocklist.txt", "198.51.100.7 by hand\n")
        self.act("start")
        black, block = "etc/hbb/blacklist.txt", "etc/hbb/blocklist.txt"
        self.assertEqual(self.root.read(black), "192.0.2.0/24 from-uci\n2001:db8::1 from-uci\n")
        self.assertEqual(self.root.read(block), "198.51.100.7 by hand\n")
        written = (self.root.path / black).stat().st_mtime_ns
        self.running()
        self.act("reload")
        self.assertEqual((self.root.path / black).stat().st_mtime_ns, written, "flash is spared")
        self.root.write("etc/config/hbb", "config server 'server'\n")
        self.act("reload")
        self.assertEqual((self.root.read(black), self.root.read(block)),
                         ("", "198.51.100.7 by hand\n"))

    def test_a_link_in_place_of_a_list_is_not_written_through(self):
        self.root.write("etc/hbb/blacklist.txt", "")
        self.root.run("ln -sf /etc/passwd /etc/hbb/blacklist.txt")
        self.put("blacklist", "list blacklist '192.0.2.0/24'")
        self.act("start")
        self.assertNotIn("192", self.root.read("etc/passwd"))
        self.assertIn("192", self.root.read("etc/hbb/blacklist.txt"))

    def test_a_restart_is_for_what_the_program_names(self):
        program = (ROOT / "src/config/mod.rs").read_text()
        named = program.split("fn restart_needed")[1].split("];")[0]
        script = (ROOT / "openwrt/files/hbb.init").read_text()
        ours = "|".join(re.findall(r"^FIXED_NAMES=(?:'|\"\$FIXED_NAMES\|)(.*)['\"]$", script, re.M))
        self.assertEqual(sorted(ours.split("|")), sorted(re.findall(r'"--([a-z-]+)"', named)))

    def test_reload_after_another_port_lets_procd_restart_it(self):
        pid = self.running()
        before = self.root.read(FIXED)
        self.put("port '21116'", "option port '4000'")
        sent = self.act("reload")[2]
        # The command is the same; that this file is another makes procd restart.
        self.assertEqual(sent["instances"], {"hbb": instance(mdns=mdns(4000))})
        self.assertNotEqual(self.root.read(FIXED), before)
        self.assertNotEqual(self.held()["pid"], pid)
        self.assertNotIn("signal", sent)

    def test_reload_with_a_mistake_leaves_what_runs(self):
        pid = self.running()
        before = self.root.read(FLAGS)
        self.put("max_peers", "option max_peers '0'")
        code, said, sent = self.act("reload")
        self.assertEqual((code, sent["instances"]), (1, None))
        self.assertIn("hbb.limits.max_peers=0", said)
        self.assertEqual((self.root.read(FLAGS), self.held()["pid"]), (before, pid))
        # Nor does a start, which procd would take for the end of all that it does not name.
        self.assertIn("not started", self.act("start")[1])
        self.assertEqual(self.held()["pid"], pid)

    def test_a_reload_that_is_refused_names_its_reason_alone(self):
        self.running()
        self.put("key_file", "option key_file '/nowhere'")
        _, said = self.root.run(f"nc -l -p 21116 & sleep 1; {INIT} reload; kill $!")
        self.assertEqual([line.split(":")[1] for line in said.splitlines()],
                         [" refused", " not reloaded"], said)
        self.assertIn("There is no key file /nowhere", said)

    def test_a_port_of_another_program_is_no_reason_to_end_what_runs(self):
        pid = self.running()
        self.put("port '21116'", "option port '4000'")
        serve = "mkdir -p /tmp/d; hbb serve --data /tmp/d --control /var/run/hbb/hbb.sock >/dev/null 2>&1 &"
        _, said = self.root.run(f"{serve} nc -l -p 4000 & sleep 2; {INIT} reload; kill %1 %2")
        self.assertEqual([line.split(":")[1] for line in said.splitlines()],
                         [" refused", " not reloaded"], said)
        self.assertIn("TCP port 4000 is taken", said)
        self.assertEqual(self.held()["pid"], pid)
        # Its own it may go on having, and move to free ones.
        self.put("port '4000'", "option port '21117'")
        self.assertEqual(self.root.run(f"{serve} sleep 2; {INIT} reload; kill %1"), (0, ""))
        self.assertNotEqual(self.held()["pid"], pid)

    def test_reload_when_disabled_stops_it(self):
        self.running()
        self.put("enabled", "option enabled '0'")
        self.assertEqual(self.act("reload")[2]["instances"], {})
        self.assertIsNone(self.held(), "procd has ended it")
        self.put("enabled", "option enabled '1'")
        self.assertEqual(self.act("reload")[2]["instances"], {"hbb": instance()})

    def test_however_often_it_crashes_it_is_started_again(self):
        self.running()
        for crash in range(1, 20):
            self.assertEqual(self.root.procd.crash("hbb", "hbb"), 5, crash)

    def test_the_first_change_after_an_install_is_heard(self):
        for folder in ["", "/var/run/config.check/"]:
            with self.subTest(folder):
                self.root.write("tmp/run/config.md5", f"{'0' * 32}  {folder}firewall\n")
                self.act("start")
                self.act("start")
                _, sums = self.root.read("tmp/run/config.md5").splitlines()
                self.assertRegex(sums, rf"^[0-9a-f]{{32}}  {folder}hbb$")
                self.assertEqual(self.root.run(f"uci show hbb | md5sum | grep {sums[:32]}")[0], 0)

    def test_a_network_that_is_down_is_waited_for(self):
        self.root.write("tmp/lan-is-down", "")
        self.put("lan", "option lan 'lan'")
        sent = self.act("start")[2]
        self.assertIn(["interface.*", ["if", ["eq", "interface", "lan"], RELOAD], 1000],
                      sent["triggers"])
        self.assertEqual(self.flags(), SHIPPED.splitlines())
        self.put("interface", "option interface 'lan'")
        self.act("stop")
        self.refused("has no IPv4 address yet")
        self.assertIn("has no IPv4 address yet", self.root.read("tmp/etc/hbb.refused"), "LuCI's")

    def test_each_class_of_board_gets_its_limits(self):
        for path in (ROOT / "board").glob("*.toml"):
            board = tomllib.loads(path.read_text())
            names = ["peers", "connections", "sessions"]
            want = [f"--max-{name}={board['limits'][name]}" for name in names]
            want.append(f"--writes-per-day={board['limits']['writes_a_day']}")
            for share in (0.76, 0.95):
                with self.subTest(path.stem, share=share):
                    self.root.write("proc/meminfo",
                                    f"MemTotal: {int(board['ram_mb'] * 1024 * share)} kB\n")
                    self.act("start")
                    self.assertEqual(self.flags()[-4:], want)

    def test_less_memory_than_any_class_and_own_limits(self):
        self.root.write("proc/meminfo", "MemTotal: 32768 kB\n")
        self.put("max_sessions", "option max_sessions '9'")
        self.act("start")
        self.assertEqual(self.flags(), SHIPPED.splitlines()[:5] + ["--max-sessions=9"])

    def test_the_configuration_stays_as_it_was_shipped(self):
        before = self.root.read("etc/config/hbb")
        self.running()
        self.act("reload")
        self.assertEqual(self.root.read("etc/config/hbb"), before)

    def test_stop_leaves_nothing_in_memory_but_who_was_here(self):
        self.running()
        list = self.root.path / "tmp/run/hbb/whereabouts"
        list.write_text("1800000000\n123456789 192.168.1.9:50000 192.168.1.1")
        self.act("stop")
        self.assertFalse((self.root.path / "tmp/etc/hbb").exists())
        self.assertTrue(list.exists())
        self.act("start")
        self.assertTrue(list.exists())


if __name__ == "__main__":
    unittest.main()
