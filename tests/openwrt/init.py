"""What the init script would tell procd, for configurations as shipped, edited and wrong."""

import re
import tomllib
import unittest

from scratch import ROOT, Scratch

INIT = "/etc/init.d/hbb"
FLAGS = "tmp/etc/hbb/flags"
FIXED = "tmp/etc/hbb/fixed"
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
    "user": ["hbb"],
    "group": ["hbb"],
    "limits": ["nofile=32768 32768"],
    "respawn": ["3600", "30", "0"],
    "stdout": ["1"],
    "stderr": ["1"],
    "mdns": ["hbb", "tcp", "21116", "role=all"],
}
JAIL = {
    "no_new_privs": ["1"],
    "capabilities": ["/etc/capabilities/hbb.json"],
    "jail": {"name": "hbb", "ronly": True,
             "mount": {"/etc/hbb": "1", "/var/run/hbb": "1", "/var/etc/hbb": "0", "/etc/hosts": "0"}},
}


def message(text):
    """The message to procd that the calls make up: as `ubus call service set` has it."""
    service = {"instances": {}, "triggers": []}
    instance = {}
    for line in text.splitlines():
        name, *words = line.split("\t")
        if name == "open_instance":
            instance = service["instances"][words[0]] = {}
        elif name == "set_param":
            instance[words[0]] = words[1:]
        elif name == "add_jail":
            instance["jail"] = {"name": words[0], "mount": {}} | dict.fromkeys(words[1:], True)
        elif name in ("add_jail_mount", "add_jail_mount_rw"):
            value = "1" if name.endswith("rw") else "0"
            instance["jail"]["mount"] |= dict.fromkeys(words, value)
        elif name == "add_mdns":
            instance["mdns"] = words
        elif name.startswith("json_"):
            instance.setdefault("data", []).append([name.removeprefix("json_"), *words])
        elif name.endswith("_trigger"):
            service["triggers"].append([name, *words])
        elif name in ("send_signal", "delete_service"):
            service[name] = words
    return service


def rule(protocol, *ports):
    """The calls that make up one rule of the zone wan."""
    return [["add_object", ""], ["add_string", "type", "rule"],
            ["add_string", "name", f"hbb-wan-{protocol}"], ["add_string", "src", "wan"],
            ["add_string", "proto", protocol], ["add_array", "dest_port"],
            *(["add_string", "", port] for port in ports), ["close_array"],
            ["add_string", "target", "ACCEPT"], ["close_object"]]


class Init(unittest.TestCase):
    def setUp(self):
        self.root = Scratch(self).install()

    def put(self, pattern, line):
        """Puts a line in place of one of the shipped configuration."""
        text = self.root.read("etc/config/hbb")
        text, count = re.subn(rf"^\t#?(option|list) {pattern}.*$", f"\t{line}", text, flags=re.M)
        self.assertEqual(count, 1, pattern)
        self.root.write("etc/config/hbb", text)

    def act(self, action):
        self.root.write("tmp/procd", "")
        code, said = self.root.run(f"{INIT} {action}")
        self.assertNotIn("not found", said)
        return code, said, message(self.root.read("tmp/procd"))

    def flags(self):
        return self.root.read(FLAGS).splitlines()

    def running(self):
        """Starts, and has procd say that it runs."""
        self.assertEqual(self.act("start")[2]["instances"], {"hbb": INSTANCE})
        self.root.write("tmp/running", "")

    def refused(self, *words):
        """Neither start nor reload gives a new instance; the log names the cause."""
        code, said, sent = self.act("start")
        self.assertEqual((sent["instances"], self.root.read(FLAGS)), ({}, ""), said)
        for word in words:
            self.assertIn(word, said + "\n".join(self.root.log()))
        self.assertTrue(sent["triggers"], "a later change is heard")

    def test_the_shipped_configuration_starts_it(self):
        code, said, sent = self.act("start")
        self.assertEqual((code, said), (0, ""))
        triggers = [["add_reload_trigger", "hbb"]]
        self.assertEqual(sent, {"instances": {"hbb": INSTANCE}, "triggers": triggers})
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
        self.assertEqual(self.act("start")[2]["instances"], {"hbb": INSTANCE | JAIL})

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
            "--new-peers-per-day=9", "--writes-per-day=3", "--total-bandwidth=0.5", "--single-bandwidth=0.4",
            "--limit-speed=0.3", "--downgrade-threshold=0.5", "--downgrade-start-check=60"])

    def test_disabled_it_opens_no_instance_and_no_port(self):
        self.put("enabled", "option enabled '0'")
        self.put("zone", "list zone 'wan'")
        code, said, sent = self.act("start")
        self.assertEqual((code, said, sent["instances"]), (0, "", {}))
        self.assertNotIn("hbb_", self.root.read("etc/config/firewall"))

    def test_values_of_the_wrong_kind_are_named(self):
        for pattern, line, word in [
            ("port '21116'", "option port '80'", "err refused: hbb.server.port=80 validates as"),
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
                self.put("key ", "option key 'not for the log'")
                self.refused(word, "not started")
                self.assertNotIn("not for the log", self.root.read("tmp/calls"))
                self.root.write("etc/config/hbb", shipped)

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

    def test_what_a_power_cut_leaves_is_its_own(self):
        self.root.run("mkdir /etc/hbb && hbb keygen --data /etc/hbb")
        for draft in ["id_ed25519.new", "hbb.store.new", "banned.txt.new"]:
            self.root.write(f"etc/hbb/{draft}", "")
        self.assertIn("hbb", self.act("start")[2]["instances"])

    def test_a_mounted_disk_is_waited_for_and_used(self):
        self.put("data", "option data '/mnt/sda1/hbb'")
        trigger = ["add_restart_mount_trigger", "/mnt/sda1/hbb"]
        self.assertIn(trigger, self.act("start")[2]["triggers"])
        self.assertFalse((self.root.path / "mnt").exists())
        self.root.write("proc/mounts", "/dev/sda1 /mnt/sda1 ext4 rw 0 0\n")
        self.assertIn("hbb", self.act("start")[2]["instances"])

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
        trigger = ["add_restart_mount_trigger", "/mnt/sda1/key"]
        self.assertIn(trigger, self.act("start")[2]["triggers"])
        self.refused("err refused:", "There is no key file /mnt/sda1/key")
        self.root.run("mkdir -p /mnt/sda1 /tmp/made && hbb keygen --data /tmp/made && "
                      "cp /tmp/made/id_ed25519 /mnt/sda1/key")
        mount = self.act("start")[2]["instances"]["hbb"]["jail"]["mount"]
        self.assertEqual(mount, JAIL["jail"]["mount"] | {"/mnt/sda1/key": "0"})
        self.assertIn("--key-file=/mnt/sda1/key", self.flags())
        self.assertIn("--key-file=/mnt/sda1/key", self.root.read(FIXED))

    def test_reload_after_a_live_option_sends_a_signal(self):
        self.running()
        self.put("max_peers", "option max_peers '99'")
        before = self.root.read(FIXED)
        # The ports are ours, so check finds them taken.
        self.root.write("tmp/procd", "")
        self.root.run(f"nc -l -p 21116 & sleep 1; {INIT} reload; kill $!")
        sent = message(self.root.read("tmp/procd"))
        # The same instance, which procd leaves running.
        self.assertEqual((sent["instances"], self.root.read(FIXED)), ({"hbb": INSTANCE}, before))
        self.assertEqual(sent["send_signal"], ["hbb", "hbb", "HUP"])
        self.assertIn("--max-peers=99", self.flags())

    def test_it_is_announced_at_its_port_unless_it_shall_not_be(self):
        for lines, want in [
            ({"role": "option role 'relay'", "key ": "option key 'x'"},
             ["hbb", "tcp", "21117", "role=relay"]),
            ({"port '21117'": "option port '4443'"}, ["hbb", "tcp", "4443", "role=relay"]),
            ({"mdns": "option mdns '0'"}, None),
        ]:
            for pattern, line in lines.items():
                self.put(pattern, line)
            self.put("public", "option public '192.0.2.1'")
            self.assertEqual(self.act("start")[2]["instances"]["hbb"].get("mdns"), want)

    def test_with_method_procd_the_rules_stand_while_it_runs(self):
        self.running()
        self.put("zone", "list zone 'wan'")
        self.put("method", "option method 'procd'")
        sent = self.act("reload")[2]
        self.assertNotIn("hbb_", self.root.read("etc/config/firewall"))
        self.assertEqual(sent["instances"]["hbb"]["data"], [
            ["add_array", "firewall"],
            *rule("tcp", "21115", "21116", "21118", "21117", "21119"), *rule("udp", "21116"),
            ["close_array"]])
        # Back, and the rules are those of the file.
        self.put("method", "option method 'uci'")
        self.assertEqual(self.act("reload")[2]["instances"], {"hbb": INSTANCE})
        self.assertIn("hbb_wan_tcp", self.root.read("etc/config/firewall"))

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
        named = program[program.index("fn restart_needed"):program.index("into_iter().filter(|(_")]
        script = (ROOT / "openwrt/files/hbb.init").read_text()
        ours = "|".join(re.findall(r"^FIXED_NAMES=(?:'|\"\$FIXED_NAMES\|)(.*)['\"]$", script, re.M))
        self.assertEqual(sorted(ours.split("|")), sorted(re.findall(r'"--([a-z-]+)"', named)))

    def test_reload_after_another_port_lets_procd_restart_it(self):
        self.running()
        before = self.root.read(FIXED)
        self.put("port '21116'", "option port '4000'")
        sent = self.act("reload")[2]
        # The command is the same; that this file is another makes procd restart.
        moved = {"mdns": ["hbb", "tcp", "4000", "role=all"]}
        self.assertEqual(sent["instances"], {"hbb": INSTANCE | moved})
        self.assertNotEqual(self.root.read(FIXED), before)
        self.assertNotIn("send_signal", sent)

    def test_reload_with_a_mistake_leaves_what_runs(self):
        self.running()
        before = self.root.read(FLAGS)
        self.put("max_peers", "option max_peers '0'")
        code, said, sent = self.act("reload")
        self.assertEqual((code, sent), (1, {"instances": {}, "triggers": []}))
        self.assertIn("hbb.limits.max_peers=0", said)
        self.assertEqual(self.root.read(FLAGS), before)
        self.assertNotIn("set_service", self.root.read("tmp/procd"))

    def test_reload_when_disabled_stops_it(self):
        self.running()
        self.put("enabled", "option enabled '0'")
        self.assertEqual(self.act("reload")[2]["instances"], {})
        self.assertIn("set_service", self.root.read("tmp/procd"))

    def test_a_network_that_is_down_is_waited_for(self):
        self.root.write("tmp/lan-is-down", "")
        self.put("lan", "option lan 'lan'")
        sent = self.act("start")[2]
        self.assertIn(["add_reload_interface_trigger", "lan"], sent["triggers"])
        self.assertEqual(self.flags(), SHIPPED.splitlines())
        self.put("interface", "option interface 'lan'")
        self.act("stop")
        self.refused("has no IPv4 address yet")

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
