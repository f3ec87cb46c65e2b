"""What is taken over from rustdesk-server, and that the two never run on the same ports.

Of that package there are its configuration's names and its files' places; its init script is a
stub. HBB_UCI=FILE runs these with OpenWrt's own uci in place of the stub.
"""

import os
import re
import socket
import sqlite3
import subprocess
import sys
import unittest

from scratch import BUSYBOX, FILES, UNSHARE, Scratch

THEIRS = "etc/config/rustdesk-server"
SCRIPT = (FILES / "hbb-former").read_text()
# Answers 'enabled', and notes what else it is told.
INIT = """#!/bin/sh
case "$1" in
enabled) [ -e /etc/rc.d/S98rustdesk-server ] ;;
disable) rm /etc/rc.d/S98rustdesk-server ;;
stop) rm -f /tmp/theirs-runs ;;
esac
"""
UBUS = """#!/bin/sh
case "$*" in
*rustdesk*) [ ! -e /tmp/theirs-runs ] || echo '{"instances":{"hbbs":{"command":["hbbs"]}}}' ;;
*) exec /bin/ubus.model "$@" ;;
esac
"""
NETWORK = """
config interface 'loopback'
	option ipaddr '127.0.0.1'

config interface 'wan'
	option proto 'dhcp'

config interface 'guest'
	option ipaddr '10.9.0.1'

config interface 'lan'
	option ipaddr '192.168.1.1/24'
"""
ALL = """
config rustdesk-server
	option enabled '1'
	option enabled_relay '1'
	option open_firewall '1'
	option server_port '30000'
	option server_key '-'
	list server_relay_servers 'relay.example.org:40000'
	list server_relay_servers '192.0.2.7'
	list server_relay_servers 'bad/relay'
	list server_rendezvous_servers 'other.example.org'
	option server_mask '192.168.0.0/16'
	option server_rmem '1000'
	option server_serial '3'
	option server_software_url 'https://example.org'
	option server_env_always_use_relay '1'
	option server_env_rust_log 'trace'
	option relay_port '40000'
	option relay_key 'other'
	option relay_env_limit_speed '4'
	option relay_env_single_bandwidth '2'
	option relay_env_total_bandwidth '16'
	option relay_env_downgrade_threshold '3'
	option relay_env_downgrade_start_check '600'
"""
BOTH = "config rustdesk-server\n\toption enabled '1'\n\toption enabled_relay '1'\n"


class Former(unittest.TestCase):
    def setUp(self):
        self.root = Scratch(self).install()
        self.shipped = self.root.read("etc/config/hbb")
        self.root.write("etc/config/network", NETWORK)
        (self.root.path / "bin/ubus").rename(self.root.path / "bin/ubus.model")
        self.root.write("bin/ubus", UBUS)
        (self.root.path / "bin/ubus").chmod(0o755)
        self.log = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.log.close)
        self.log.bind(str(self.root.path / "dev/log"))

    def anew(self):
        """As before the install."""
        self.root.run("rm -rf /etc/hbb /etc/rustdesk /tmp/etc /tmp/run/hbb /tmp/calls")
        self.root.write("etc/config/hbb", self.shipped)
        self.root.write("etc/uci-defaults/90-hbb", (FILES / "hbb.defaults").read_text())

    def theirs(self, config, key=True):
        """Their package, installed and running."""
        self.root.write(THEIRS, config)
        self.root.write("etc/rc.d/S98rustdesk-server", "")
        self.root.write("tmp/theirs-runs", "")
        self.root.write("etc/init.d/rustdesk-server", INIT)
        (self.root.path / "etc/init.d/rustdesk-server").chmod(0o755)
        if key:
            self.root.run("mkdir -p /etc/rustdesk && hbb keygen --data /etc/rustdesk")

    def install(self):
        """As default_postinst has it; gives what is said on the terminal, which the log has too."""
        step = '([ -f "$1" ] && cd /etc/uci-defaults && . "$1") && rm -f "$1"'
        words = ["/bin/ash", "-c", step, "ash", "/etc/uci-defaults/90-hbb"]
        ended = self.root.execute(words, "")
        self.assertEqual(ended.stderr, "")
        said = [line.removeprefix("hbb: ") for line in ended.stdout.splitlines()]
        self.assertEqual([line.removeprefix("notice ") for line in self.root.log()], said)
        self.root.write("tmp/calls", "")
        return said

    def ours(self, *names):
        code = "; ".join(f"uci -q get hbb.{name} || echo" for name in names)
        return self.root.execute(["/bin/ash", "-c", code], "").stdout.splitlines()

    def is_off(self):
        return not (self.root.path / "etc/rc.d/S98rustdesk-server").exists()

    def start(self):
        self.root.run("/etc/init.d/hbb stop; /etc/init.d/hbb start")
        return bool(self.root.procd.services["hbb"]["instances"])

    def test_settings_and_key_are_taken_over_and_the_rest_is_named(self):
        self.theirs(ALL)
        said = self.install()
        self.assertEqual(self.ours(
            "server.enabled", "server.role", "server.port", "server.key", "server.require_key",
            "server.lan", "server.always_use_relay", "server.log_level", "relay.port",
            "relay.servers", "limits.limit_speed", "limits.single_bandwidth",
            "limits.total_bandwidth", "limits.downgrade_threshold",
            "limits.downgrade_start_check", "firewall.zone"),
            ["1", "all", "30000", "", "1", "lan", "1", "debug", "40000",
             "relay.example.org:40000 192.0.2.7", "4", "16", "128", "", "600", "wan"])
        for name in ["id_ed25519", "id_ed25519.pub"]:
            self.assertEqual(self.root.read(f"etc/hbb/{name}"), self.root.read(f"etc/rustdesk/{name}"))
            self.assertEqual((self.root.path / f"etc/hbb/{name}").stat().st_mode & 0o777, 0o600)
        self.assertEqual((self.root.path / "etc/config/hbb").stat().st_mode & 0o777, 0o600)
        self.assertTrue(self.is_off())
        self.assertFalse((self.root.path / "tmp/theirs-runs").exists())
        told = "\n".join(said)
        for word in ["the key pair", "port 30000", "total_bandwidth 128 Mb/s (16 MB/s there)", "open from wan"]:
            self.assertIn(word, told)
        for word in ["server 'bad/relay'", "server_rmem '1000'", "server_serial", "server_software_url",
                     "server_rendezvous_servers", "relay_key", "downgrade_threshold '3'"]:
            self.assertRegex(told, f"not taken over: .*{re.escape(word)}")
        self.assertIn("stopped and will not start at boot", said[-1])
        # What came of it is valid: the real program says so.
        self.assertTrue(self.start(), self.root.log())
        self.assertIn("--port=30000", self.root.read("tmp/etc/hbb/flags"))
        # It is done once.
        self.assertFalse((self.root.path / "etc/uci-defaults/90-hbb").exists())
        self.assertEqual(list((self.root.path / "tmp").glob("tmp.*")), [])
        self.assertEqual(list((self.root.path / "etc/config").glob(".*")), [])

    def test_a_plain_one_needs_nothing_but_its_key(self):
        self.theirs(BOTH)
        said = self.install()
        self.assertEqual(said[0], "taken over from rustdesk-server: the key pair")
        self.assertEqual(self.ours("server.role", "server.port", "relay.port"), ["all", "21116", ""])
        self.assertTrue(self.start())

    def test_devices_it_knows_are_known_here(self):
        self.theirs(BOTH)
        database = sqlite3.connect(self.root.path / "tmp/rustdesk_db_v2.sqlite3")
        database.execute("create table peer (id text, uuid blob, pk blob, info text)")
        database.execute("insert into peer values ('123456789', 'a device', ?, '{}')", [bytes(32)])
        database.commit()
        database.close()
        self.assertIn("has 1 devices now", self.install()[-1])
        self.assertTrue(self.start())
        self.assertTrue((self.root.path / "etc/hbb/hbb.store").exists())
        # What cannot be read is told, and all else is as ever.
        self.anew()
        self.theirs(BOTH)
        self.root.write("tmp/rustdesk_db_v2.sqlite3", "SQLite format 3 it is not")
        said = self.install()
        self.assertIn("the key pair", said[0])
        self.assertIn("devices of /tmp/rustdesk_db_v2.sqlite3: ", said[-1])

    def test_each_server_alone(self):
        for config, want in [
            ("option enabled '1'", ["rendezvous", "1", ""]),
            ("option enabled_relay 'on'\n\toption relay_port '4000'", ["relay", "0", "4000"]),
            ("option enabled_relay '1'\n\toption relay_key '_'", ["relay", "1", ""]),
        ]:
            with self.subTest(config):
                self.anew()
                self.theirs(f"config rustdesk-server\n\t{config}\n")
                said = self.install()
                self.assertEqual(self.ours("server.role", "server.require_key", "relay.port"), want)
                self.assertTrue(self.start(), said + self.root.log())

    def test_what_it_was_told_in_ports_that_hbb_cannot_have(self):
        for config, word in [
            ("option server_port '80'", "server_port '80', as hbb takes 1025"),
            ("option relay_port '1000'", "relay_port '1000', as hbb takes 1024"),
            ("option relay_port '5000'", "relay_port '5000', as clients must be told"),
            ("option server_mask '172.16.0.0/12'", "server_mask '172.16.0.0/12', as no network"),
            ("option server_mask 'many'", "server_mask 'many', as no network"),
            ("option relay_env_total_bandwidth '1000000'", "relay_env_total_bandwidth"),
        ]:
            with self.subTest(config):
                self.anew()
                self.theirs(f"{BOTH}\t{config}\n")
                self.assertIn(f"not taken over: {word}", "\n".join(self.install()))
                self.assertTrue(self.start(), self.root.log())

    def test_a_secret_key_of_the_settings_is_taken_over_and_not_told(self):
        self.theirs(f"{BOTH}\toption server_key 'a shared word'\n", key=False)
        said = self.install()
        self.assertEqual(self.ours("server.key"), ["a shared word"])
        self.assertNotIn("shared", "\n".join(said))
        # The public key of the files is what hbb asks for by itself, and then it can sign.
        self.anew()
        self.theirs(BOTH)
        public = self.root.read("etc/rustdesk/id_ed25519.pub")
        self.root.write(THEIRS, f"{BOTH}\toption server_key '{public.strip()}'\n")
        self.install()
        self.assertEqual(self.ours("server.key"), [""])

    def test_where_nobody_used_it_nothing_is_said_and_done(self):
        self.theirs("config rustdesk-server\n\toption enabled '0'\n", key=False)
        self.assertEqual((self.install(), self.is_off()), ([], False))
        self.assertEqual(self.root.read("etc/config/hbb"), self.shipped)
        self.root.run(f"rm /{THEIRS}")
        self.anew()
        self.assertEqual(self.install(), [])

    def test_one_turned_off_before_gives_its_key_all_the_same(self):
        self.theirs("config rustdesk-server\n\toption enabled '0'\n\toption server_port '4000'\n")
        self.install()
        self.assertEqual(self.ours("server.enabled", "server.role", "server.port"),
                         ["1", "all", "4000"])

    def test_a_server_that_is_set_up_is_left_alone(self):
        own = self.shipped.replace("'21116'", "'5000'")
        for prepare in [lambda: self.root.write("etc/config/hbb", own),
                        lambda: self.root.run("mkdir /etc/hbb; hbb keygen --data /etc/hbb")]:
            self.anew()
            self.theirs(ALL)
            prepare()
            before = self.root.read("etc/config/hbb"), self.root.read("etc/hbb/id_ed25519")
            self.assertIn("nothing taken over", self.install()[0])
            after = self.root.read("etc/config/hbb"), self.root.read("etc/hbb/id_ed25519")
            self.assertEqual((before, self.is_off()), (after, False))

    def test_what_counts_as_new_is_what_is_shipped(self):
        listed = re.search(r"^SHIPPED='(.*?)'$", SCRIPT, re.M | re.S).group(1).split()
        names = [pair.partition("=")[0] for pair in listed]
        self.assertEqual(self.ours(*names), [pair.partition("=")[2] for pair in listed])
        written = re.findall(r'(?:put |"hbb\.)(\w+\.\w+)[ =]', SCRIPT)
        limits = re.findall(r"^\tlimit (\w+) ", SCRIPT, re.M)
        self.assertGreaterEqual(len(written), 9)
        self.assertLessEqual({*written, *(f"limits.{name}" for name in limits)}, set(names))

    def test_before_anybody_listens_to_the_log_the_kernel_is_told(self):
        self.theirs(BOTH)
        (self.root.path / "dev/log").unlink()
        self.root.run(". /etc/uci-defaults/90-hbb")
        self.assertIn("hbb: rustdesk-server is stopped", self.root.read("dev/kmsg"))

    def test_a_full_flash_changes_nothing_and_the_next_boot_tries_again(self):
        self.theirs(ALL)
        outside = self.root.path
        for room in [0, 1]:     # for nothing at all; for the key, but not for the configuration
            ended = subprocess.run(
                [UNSHARE, "-rnm", BUSYBOX, "sh", "-c", FULL, "sh", str(outside), str(room)],
                capture_output=True, text=True, timeout=60, check=False,
                env={"PATH": os.environ["PATH"]})
            with self.subTest(room=room):
                full, _, later = ended.stdout.partition("== room\n")
                self.assertIn("no room to take over", full, ended)
                self.assertIn("== unchanged\n", full, ended)
                self.assertIn("== tried again, theirs goes on\n", full, ended)
                self.assertIn("taken over from rustdesk-server: the key pair, ", later, ended)
                self.assertIn("== done\n", later, ended)

    def test_the_two_never_run_on_the_same_ports(self):
        self.theirs(BOTH)
        self.root.run("mkdir /etc/hbb; hbb keygen --data /etc/hbb")
        self.assertFalse(self.start(), "it is enabled and runs")
        self.assertIn("err rustdesk-server is there too, on the same ports", self.root.log()[-2])
        self.root.run("rm /etc/rc.d/S98rustdesk-server")
        self.assertFalse(self.start(), "it runs")
        self.root.run("rm /tmp/theirs-runs")
        self.assertTrue(self.start(), "it is off")
        self.root.write("etc/rc.d/S98rustdesk-server", "")
        self.assertFalse(self.start(), "it will start at boot")
        self.root.write("etc/config/hbb", self.shipped.replace("'21116'", "'30000'"))
        self.assertTrue(self.start(), "other ports")
        self.root.write(THEIRS, BOTH + "\toption relay_port '30002'\n")
        self.assertFalse(self.start(), "its relay's WebSocket is our ID server's")
        self.root.write(THEIRS, BOTH.replace("'1'", "'0'"))
        self.assertTrue(self.start(), "it has nothing to run")


# /etc in a small file system that is full, then has room: what the package does in each.
FULL = """
root="$1"
kept=/tmp/former.$$
cp -a "$root/etc" "$kept"
mount -t tmpfs -o size=128k,nr_inodes=200 none "$root/etc" && cp -a "$kept/." "$root/etc"
rm -r "$kept"
# Blocks are of 4 KiB: each of the two key files takes one, and the folder none.
dd if=/dev/zero of="$root/etc/fill" bs=4k 2>/dev/null
[ "$2" = 0 ] || truncate -s -8k "$root/etc/fill"
cat >"$root/tmp/full" <<'EOF'
export PATH=/stubs:/sbin:/usr/bin:/bin
sum() { cat /etc/config/* | md5sum; ls -A /etc/config /etc/rustdesk; }
step() { ([ -f "$1" ] && cd /etc/uci-defaults && . "$1") && rm -f "$1"; }
before="$(sum)"
step /etc/uci-defaults/90-hbb
[ "$(sum)" != "$before" ] || [ -e /etc/hbb/id_ed25519 ] || echo '== unchanged'
[ ! -e /etc/uci-defaults/90-hbb ] || ! /etc/init.d/rustdesk-server enabled ||
	echo '== tried again, theirs goes on'
rm /etc/fill
echo '== room'
step /etc/uci-defaults/90-hbb
[ -e /etc/uci-defaults/90-hbb ] || [ ! -s /etc/hbb/id_ed25519 ] ||
	[ "$(uci -q get hbb.server.port)" != 30000 ] || echo '== done'
EOF
exec chroot "$root" /bin/ash /tmp/full
"""

if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
