"""The LuCI app without a browser: its package, the rpcd plugin before the real server, rights,
menu and translations.

app.py --template prints what po/templates/hbb.pot has to be; full_app.py does so for hbb-full's.
"""

import json
import re
import subprocess
import sys
import time
import unittest

from packages import BUILDROOT, EPOCH, Adb, all_made, contents, installed, members
from scratch import HBB, HERE, PLUGIN, ROOT, Scratch, need

sys.path[:0] = [str(HERE / "luci"), str(ROOT / "openwrt")]
import lmo  # noqa: E402 (beside openwrt/package)
from devices import HOSTILE, Server  # noqa: E402

FOLDER = ROOT / "openwrt/luci-app-hbb"
VIEWS = FOLDER / "htdocs/luci-static/resources"
DAEMON = FOLDER / "daemon.js"
MENU = FOLDER / "root/usr/share/luci/menu.d/luci-app-hbb.json"
ACL = FOLDER / "root/usr/share/rpcd/acl.d/luci-app-hbb.json"
BYTES_MAX = 12 << 10
FILES = {
    "usr/share/luci/menu.d/luci-app-hbb.json": 0o644,
    "usr/share/rpcd/acl.d/luci-app-hbb.json": 0o644,
    PLUGIN: 0o644,
    "www/luci-static/resources/tools/hbb.js": 0o644,
    **{f"www/luci-static/resources/view/hbb/{view}.js": 0o644
       for view in ["log", "peers", "sessions", "settings", "status"]},
}


def ipk():
    return all_made()["ipk/x86_64/luci-app-hbb_0.1.0-r1_all.ipk"]


def apk():
    return all_made()["apk/x86_64/luci-app-hbb-0.1.0-r1.apk"]


class Package(unittest.TestCase):
    def test_it_is_small(self):
        for package in [ipk(), apk()]:
            self.assertLessEqual(len(package), BYTES_MAX)

    def test_files_modes_and_owners_are_the_same_in_both(self):
        data = members(contents(ipk())["data.tar.gz"])
        self.assertEqual({info.name[2:]: info.mode for info, _ in data if info.isfile()}, FILES)
        self.assertEqual({(info.uid, info.gid, info.mtime) for info, _ in data},
                         {(0, 0, int(EPOCH))})
        files = installed(apk())
        listed = files.pop("lib/apk/packages/luci-app-hbb.list")[3].decode().split()
        self.assertEqual(listed, sorted(f"/{path}" for path in FILES))
        self.assertEqual({path: mode for path, (mode, *_) in files.items()}, FILES)
        content = contents(contents(ipk())["data.tar.gz"])
        self.assertEqual({path: files[path][3] for path in FILES},
                         {path: content[path] for path in FILES})

    def test_what_is_left_out_of_the_files_changes_nothing(self):
        content = contents(contents(ipk())["data.tar.gz"])
        node = need("node", "nodejs")
        for path in sorted((FOLDER / "htdocs").rglob("*.js")):
            made = content[f"www/{path.relative_to(FOLDER / 'htdocs')}"].decode()
            for text in [path.read_text(), made]:
                checked = subprocess.run([node, "--check", "-"], input=f"(function(){{{text}\n}})",
                                         capture_output=True, text=True, check=False)
                self.assertEqual(checked.returncode, 0, checked.stderr)
            self.assertEqual(words_of(made), words_of(path.read_text()), path.name)
        for path in [MENU, ACL]:
            made = content[str(path.relative_to(FOLDER / "root"))]
            self.assertEqual(json.loads(made), json.loads(path.read_text()))

    def test_it_fits_any_architecture_and_needs_hbb_and_luci(self):
        about = contents(contents(ipk())["control.tar.gz"])
        self.assertEqual({name for name, content in about.items() if content},
                         {"control", "postinst", "prerm", "postinst-pkg", "prerm-pkg", "postrm"})
        fields = dict(line.split(": ", 1) for line in about["control"].decode().splitlines())
        want = {"Package": "luci-app-hbb", "Version": "0.1.0-r1", "Architecture": "all",
                "Depends": "hbb, libc, luci-base", "Section": "luci",
                "Source": "openwrt/luci-app-hbb"}
        self.assertLessEqual(want.items(), fields.items())
        self.assertNotIn("Require-User", fields)
        info = Adb(apk()).root[0]
        self.assertEqual((info[0], info[4], info[14]),
                         (b"luci-app-hbb", b"noarch", [[b"hbb"], [b"libc"], [b"luci-base"]]))

    def test_the_lists_of_the_feeds_name_it(self):
        listed = all_made()["ipk/x86_64/Packages"].decode()
        self.assertIn("Filename: luci-app-hbb_0.1.0-r1_all.ipk\n"
                      f"Size: {len(ipk())}\n", listed)
        _hbb, _compat, info, _german = Adb(all_made()["apk/x86_64/packages.adb"]).root[1]
        self.assertEqual((info[0], info[12]), (b"luci-app-hbb", len(apk())))

    def test_installing_it_tells_rpcd_and_empties_luci_s_cache(self):
        root = Scratch(self).install(app=True)
        root.write("stubs/killall", '#!/bin/sh\necho "killall $*" >>/tmp/calls\n')
        (root.path / "stubs/killall").chmod(0o755)
        for name in ["luci-indexcache", "luci-indexcache.1.json", "luci-modulecache/x"]:
            root.write(f"tmp/{name}", "")
        about = contents(contents(ipk())["control.tar.gz"])
        for name, content in about.items():
            if content:
                root.write(f"usr/lib/opkg/info/luci-app-hbb.{name}", content.decode())
        postinst = "sh /usr/lib/opkg/info/luci-app-hbb.postinst"
        root.run("mkdir /image; cp -r /lib /usr /image")
        self.assertEqual(root.run(postinst, IPKG_INSTROOT="/image"), (0, ""))
        self.assertEqual(root.calls("killall"), [], "an image is built without touching the host")
        self.assertEqual(root.run(postinst), (0, ""))
        self.assertEqual(root.calls("killall"), ["-HUP rpcd"])
        self.assertEqual([p.name for p in (root.path / "tmp").glob("luci-*")], [])
        root.run("rm -r /usr/lib/opkg")
        root.write("tmp/script", Adb(apk()).root[2][2].decode())
        self.assertEqual(root.run("sh /tmp/script"), (0, ""))
        self.assertEqual(root.calls("killall"), ["-HUP rpcd"] * 2)
        self.assertEqual(root.procd.sent, [], "hbb itself is left alone")

    def test_removing_it_tells_rpcd_and_empties_luci_s_cache(self):
        root = Scratch(self).install(app=True)
        root.write("stubs/killall", '#!/bin/sh\necho "killall $*" >>/tmp/calls\n')
        (root.path / "stubs/killall").chmod(0o755)
        scripts = [contents(contents(ipk())["control.tar.gz"])["postrm"], Adb(apk()).root[2][4]]
        for at, script in enumerate(scripts, 1):
            root.write("tmp/luci-indexcache.1.json", "")
            root.write("tmp/script", script.decode())
            self.assertEqual(root.run("sh /tmp/script", IPKG_INSTROOT="/image"), (0, ""))
            self.assertEqual(len(root.calls("killall")), at - 1)
            self.assertEqual(root.run("sh /tmp/script"), (0, ""))
            self.assertEqual(root.calls("killall"), ["-HUP rpcd"] * at)
            self.assertFalse((root.path / "tmp/luci-indexcache.1.json").exists())

    def test_make_reads_the_makefile_of_the_feed(self):
        # Stubs of buildroot's and LuCI's rules, which print what they were told.
        top = Scratch(self).path / "top"
        for name, text in [("rules.mk", BUILDROOT), ("feeds/luci/luci.mk", LUCI_MK)]:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(text)
        command = [need("make", "make"), "-s", "-f", FOLDER / "Makefile", f"TOPDIR={top}", "told"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        self.assertEqual(told.split("\n")[0], "luci-app-hbb 0.1.0-1 all +luci-base +hbb")
        self.assertIn("killall -HUP rpcd", told)


def words_of(script):
    """What is left of JavaScript without comments and blanks outside of texts."""
    parts = re.split(r"('(?:[^'\\\n]|\\.)*')", re.sub(r"(?m)^\s*//.*$", "", script))
    return [part if at % 2 else "".join(part.split()) for at, part in enumerate(parts)]


# A stub of luci.mk.
LUCI_MK = """
export SCRIPT=$(Package/$(PKG_NAME)/postinst)
told:
\t@echo "$(PKG_NAME) $(PKG_VERSION)-$(PKG_RELEASE) $(LUCI_PKGARCH) $(LUCI_DEPENDS)"
\t@printenv SCRIPT
"""


class Plugin(unittest.TestCase):
    """In a stub of rpcd and ucode; what it runs is real, under busybox."""

    def setUp(self):
        self.root = Scratch(self).install(app=True)

    def call(self, method, **arguments):
        return json.loads(self.root.call_plugin(method, said=json.dumps(arguments)))

    def methods(self):
        return json.loads(self.root.call_plugin())

    def test_answers_are_those_of_hbb(self):
        server = Server(self, HBB, self.root)
        device = server.register("111111111")
        server.register("222222222").close()
        for method in ["sessions", "limits", "bans"]:
            self.assertEqual(self.call(method), server.ctl(method))
        status, want = self.call("status"), server.ctl("status")
        self.assertIs(status.pop("running"), True)
        self.assertEqual(set(status) - {"boot", "refused"}, set(want))
        self.assertEqual([status[name] for name in ["key", "port", "peers"]],
                         [want[name] for name in ["key", "port", "peers"]])
        page = self.call("peers", count=1)
        self.assertEqual(([peer["id"] for peer in page["peers"]], page["next"]),
                         (["111111111"], "111111111"))
        rest = self.call("peers", after="111111111", part="222")
        self.assertEqual([peer["id"] for peer in rest["peers"]], ["222222222"])
        device.close()

    def test_changes_are_made(self):
        server = Server(self, HBB, self.root)
        server.register("222222222").close()
        device = {"what": "222222222"}
        for method, arguments in [("ban", {"what": "2001:db8::/32"}), ("ban", device),
                                  ("unban", device), ("forget", {"id": "222222222"}),
                                  ("forget", {"id": "222222222", "free": True}),
                                  ("set_limit", {"name": "limit-speed", "value": "0.5"})]:
            self.assertEqual(list(self.call(method, **arguments)), ["done"], method)
        self.assertEqual(server.ctl("bans"), {"bans": ["2001:db8::/32"]})
        self.assertEqual(server.ctl("peers")["peers"], [])
        self.assertEqual(server.ctl("limits")["limits"]["limit-speed"], 0.5)
        self.assertEqual(list(self.call("reload")), ["done"])
        self.assertEqual(server.ctl("limits")["limits"]["limit-speed"], 32)
        legs = server.relayed(b"plugin")
        number = server.ctl("sessions")["sessions"][0]["number"]
        self.assertEqual(list(self.call("disconnect", number=number)), ["done"])
        self.assertEqual(server.ctl("sessions"), {"sessions": []})
        for odd in ["yes", 2, -1]:
            self.assertEqual(list(self.call("forget", id="222222222", free=odd)), ["error"])
        # What hbb refuses is said in its words.
        self.assertIn("error", self.call("disconnect", number=number))
        for leg in legs:
            leg.close()

    def test_nothing_a_caller_gives_reaches_a_shell_or_becomes_a_flag(self):
        server = Server(self, HBB, self.root)
        before = server.ctl("status")["peers"]
        for bad in ["", "-h", "--json", "a b", "a\nb", "a\tb", "x" * 49, "\u0007",
                    {"a": "b c"}, "$(touch${IFS}/tmp/owned)", "`touch${IFS}/tmp/owned`", "';id;'"]:
            for method, name in [("forget", "id"), ("ban", "what"), ("unban", "what"),
                                 ("disconnect", "number"), ("peers", "after"),
                                 ("export", "host"), ("export", "format")]:
                if bad == "" and method in ("peers", "export"):
                    continue  # as if it was not given
                if name == "host" and bad == "x" * 49:
                    continue  # may be one
                answer = self.call(method, **{name: bad})
                if method == "ban" and "done" in answer:
                    # A word of printable characters is an id, whatever it looks like.
                    self.call("unban", what=bad)
                elif method != "peers":
                    self.assertEqual(list(answer), ["error"], (method, bad))
            self.assertEqual(list(self.call("set_limit", name=bad, value="1")), ["error"])
            self.assertEqual(list(self.call("set_limit", name="max-peers", value=bad)), ["error"])
        self.assertFalse((self.root.path / "tmp/owned").exists())
        self.assertEqual(server.ctl("bans"), {"bans": []})
        self.assertEqual(server.ctl("status")["peers"], before)
        self.assertEqual(self.call("no_such_method"), {"error": "no such method"})

    def test_hostile_ids_that_are_stored_are_told_banned_and_forgotten(self):
        server = Server(self, HBB, self.root)
        server.use_store("hostile")
        self.assertEqual({peer["id"] for peer in self.call("peers")["peers"]}, set(HOSTILE))
        seen, after = [], {}
        while after is not None and len(seen) < len(HOSTILE) + 1:
            page = self.call("peers", count=1, **after)
            seen += [peer["id"] for peer in page["peers"]]
            after = page["next"] and {"after": page["next"]}
        self.assertEqual(set(seen), set(HOSTILE))
        for name in HOSTILE:
            self.assertIn("done", self.call("ban", what=f"id={name}"), name)
            (banned,) = self.call("bans")["bans"]
            self.assertEqual(banned.removeprefix("id="), name)
            self.assertIn("done", self.call("unban", what=banned), name)
            self.assertIn("done", self.call("forget", id=f"id={name}"), name)
        self.assertEqual(self.call("peers")["peers"], [])
        self.assertFalse((self.root.path / "tmp/owned").exists())

    def test_a_device_of_the_lan_that_is_away_is_woken(self):
        server = Server(self, HBB, self.root)
        server.register("111111111").close()
        here = server.register("222222222")
        away = self.eventually_away("111111111")
        self.assertNotIn("wake", away, "nothing is there that wakes")
        self.root.write("usr/bin/etherwake", '#!/bin/sh\necho "$*" >>/tmp/woken\n')
        (self.root.path / "usr/bin/etherwake").chmod(0o755)
        self.root.write("proc/net/arp", "IP address HW type Flags HW address Mask Device\n"
                        "127.0.0.1  0x1  0x0  00:00:00:00:00:00  *  br-lan\n")
        self.assertNotIn("wake", self.eventually_away("111111111"), "no neighbour")
        self.root.write("tmp/dhcp.leases", "1700000000 02:00:5e:10:00:07 127.0.0.1 desk 01:02\n")
        peers = {peer["id"]: peer.get("wake") for peer in self.call("peers")["peers"]}
        self.assertEqual(peers, {"111111111": True, "222222222": None})
        self.assertEqual(self.call("wake", address=away["address"]), {"done": "02:00:5e:10:00:07"})
        self.assertEqual(self.root.read("tmp/woken"), "-b -i br-lan 02:00:5e:10:00:07\n")
        for bad in ["", "192.0.2.1:5", "-x", "desk", "`id`"]:
            self.assertEqual("error" in self.call("wake", address=bad), bad != "desk", bad)
        here.close()

    def eventually_away(self, name):
        for _ in range(100):
            (found,) = self.call("peers", part=name)["peers"]
            if not found["online"]:
                return found
            time.sleep(0.1)
        raise AssertionError("it is still here")

    def test_a_server_that_does_not_run_is_told(self):
        self.root.run("uci set hbb.server.enabled=0; uci commit hbb")
        self.root.write("var/etc/hbb.refused", 'refused: "a"\nand b\n')
        self.assertEqual(self.call("status"), {
            "running": False, "boot": False, "refused": ['refused: "a"', "and b"],
            "enabled": False})
        for method in ["peers", "sessions", "bans", "limits", "reload", "export"]:
            self.assertEqual(self.call(method), {"error": "hbb is not running"})
        # So is one that ended and left its socket.
        server = Server(self, HBB, self.root)
        server.process.kill()
        server.process.wait()
        self.assertTrue(server.socket.exists())
        self.assertIs(self.call("status")["running"], False)
        self.assertEqual(self.call("sessions")["error"], "hbb is not running")

    def test_the_export_names_the_host_that_was_asked_for(self):
        server = Server(self, HBB, self.root)
        self.assertIn("--host", self.call("export")["error"])
        text = self.call("export", host="rd.example.org", format="text")["text"]
        self.assertIn(f"rd.example.org:{server.port}", text)
        self.assertIn(server.key(), text)
        self.assertIn("█", self.call("export", host="192.0.2.1", format="qr")["qr"])
        name = self.call("export", host="2001:db8::1", format="exe")["exe"]
        self.assertRegex(name, r"^rustdesk-licensed-\w+\.exe$")

    def test_zones_tell_the_rules_in_force(self):
        self.root.write("etc/config/network", "config interface 'loopback'\n"
                        "config interface 'lan'\n")
        self.root.run("uci add_list hbb.firewall.zone=wan; uci commit hbb")
        closed = {"name": "wan", "open": False, "chosen": True, "tcp": "", "udp": ""}
        lan = {"name": "lan", "open": True, "chosen": False, "tcp": "", "udp": ""}
        self.assertEqual(self.call("zones"), {"method": "procd", "zones": [lan, closed],
                                              "networks": ["lan"]})
        # What procd was told is not yet what the firewall has.
        self.root.run("/etc/init.d/hbb start")
        self.assertEqual(self.call("zones")["zones"], [lan, closed])
        self.root.procd.settle()
        ports = {"tcp": "21115 21116 21117 21118 21119", "udp": "21116"}
        self.assertEqual(self.call("zones")["zones"], [lan, closed | ports])
        self.root.run("/etc/init.d/hbb stop")
        self.root.procd.settle()
        self.assertEqual(self.call("zones")["zones"], [lan, closed])
        self.root.run("uci set hbb.firewall.method=uci; uci commit hbb; "
                      "/usr/libexec/hbb-firewall apply")
        self.assertEqual(self.call("zones")["zones"], [lan, closed | ports])

    def test_rights_cover_each_method_once(self):
        group, settings = json.loads(ACL.read_text()).values()
        read, write = group["read"]["ubus"]["hbb"], group["write"]["ubus"]["hbb"]
        self.assertEqual(sorted(read + write), sorted(self.methods()))
        changes = ["disconnect", "forget", "ban", "unban", "set_limit", "reload", "wake"]
        self.assertEqual(write, changes)
        self.assertEqual(settings["read"], {"uci": ["hbb"]})
        self.assertEqual(settings["write"], {"uci": ["hbb"]})
        self.assertEqual(ACL.stat().st_mode & 0o022, 0, "ubusd refuses it")

    def test_no_right_reads_a_secret_key(self):
        # The configuration may hold one, so it is read with the right to the settings alone; of
        # files none is read, and of programs the init script alone is run, with these words.
        group, settings = json.loads(ACL.read_text()).values()
        self.assertEqual(set(group["read"]) | set(group["write"]), {"ubus", "file"})
        self.assertNotIn("file", group["read"])
        words = [f"/etc/init.d/hbb {word}" for word in ["start", "stop", "restart", "enable",
                                                        "disable"]]
        self.assertEqual(group["write"]["file"], {word: ["exec"] for word in words})
        self.assertEqual(set(group["read"]["ubus"]), {"hbb", "log"})
        self.assertEqual(set(group["write"]["ubus"]), {"hbb", "file"})
        self.assertNotIn("file", settings["read"] | settings["write"])
        server = Server(self, HBB, self.root)
        secret = self.root.read("etc/hbb/id_ed25519").strip()
        self.assertGreater(len(secret), 80)
        told = [self.root.call_plugin(method, said="{}") for method in group["read"]["ubus"]["hbb"]]
        self.assertNotIn(secret, "".join(told))
        server.stop()

    def test_each_option_of_the_configuration_can_be_set(self):
        told = (ROOT / "openwrt/files/hbb.config").read_text()
        options = set(re.findall(r"^\s#?(?:option|list) (\w+)", told, re.M))
        full = ROOT / "openwrt/luci-app-hbb-full/htdocs/luci-static/resources/view/hbb/accounts.js"
        pages = (VIEWS / "view/hbb/settings.js").read_text() + full.read_text()
        there = set(re.findall(r"'(?:relay_)?(\w+)'", pages))
        # How the rules of the firewall are written is nothing for a page.
        self.assertEqual(options - there, {"method"})

    def test_each_entry_of_the_menu_is_a_view(self):
        views = [entry["action"]["path"] for entry in json.loads(MENU.read_text()).values()
                 if entry["action"]["type"] == "view"]
        there = [f"hbb/{path.stem}" for path in (VIEWS / "view/hbb").iterdir()]
        self.assertEqual(sorted(views), sorted(there))


def texts(folder=FOLDER):
    """What is shown of views, menu and rights, with the files it is in."""
    found = {}
    string = r"'(?:[^'\\]|\\.)*'"
    for path in [*sorted((folder / "htdocs").rglob("*.js")), folder / "daemon.js"]:
        for match in re.finditer(rf"\b_\(({string}(?:\s*\+\s*{string})*)\)", path.read_text()):
            parts = re.findall(string, match.group(1))
            text = "".join(part[1:-1].replace("\\'", "'") for part in parts)
            found.setdefault(text, set()).add(str(path.relative_to(folder)))
    for part, name in [("luci/menu.d", "title"), ("rpcd/acl.d", "description")]:
        path = folder / f"root/usr/share/{part}/{folder.name}.json"
        for entry in json.loads(path.read_text()).values():
            found.setdefault(entry[name], set()).add(str(path.relative_to(folder)))
    return found


# What po2lmo of LuCI was seen to make of texts, in each remainder of their bytes by four.
KNOWN = {b"a": 291415938, b"Up": 945874295, b"Log": 4006376445, "Ger\u00e4te".encode(): 3300931079,
         "f\u00fcr".encode(): 1982330644, b"Devices": 335594471, "na\u00ef".encode(): 56990155}


def template(folder=FOLDER):
    blocks = ['msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n']
    for text, places in sorted(texts(folder).items()):
        lines = "".join(f"#: {place}\n" for place in sorted(places))
        blocks.append(f"{lines}msgid {json.dumps(text, ensure_ascii=False)}\nmsgstr \"\"\n")
    return "\n".join(blocks)


class Translations(unittest.TestCase):
    def test_the_template_has_every_text(self):
        self.assertEqual((FOLDER / "po/templates/hbb.pot").read_text(), template())

    def test_no_text_is_left_out_by_its_form(self):
        for path in VIEWS.rglob("*.js"):
            calls = len(re.findall(r"\b_\(", path.read_text()))
            seen = len(re.findall(r"\b_\('(?:[^'\\]|\\.)*'(?:\s*\+\s*'(?:[^'\\]|\\.)*')*\)",
                                  path.read_text()))
            # What the server says is translated as it comes.
            told = path.read_text().count("_(why)")
            self.assertEqual(calls - seen, told, path.name)

    def test_what_the_server_says_is_as_it_says_it(self):
        sources = "".join((ROOT / path).read_text() for path in [
            f"openwrt/luci-app-hbb/root/{PLUGIN}", "src/net/control/owners.rs",
            "src/net/control/answer.rs", "src/config/doubts.rs"])
        said = re.sub(r"\\\n\s*", "", sources).replace(" (--role)", "").replace("{port}", "%s")
        told = [text for text, places in texts().items() if "daemon.js" in places]
        self.assertGreater(len(told), 10)
        for text in told:
            self.assertTrue(text in said, text)
        # None is missing that 'ctl' or a doubt can tell.
        names = r'(?:NO_\w+|BUSY|NOT_STORED|OWN): &(?:\'static )?str = "([^"]*)"'
        for line in re.findall(names, said):
            self.assertIn(re.sub(r"; 'hbb.*", "", line), told)

    def test_the_catalogue_is_that_of_the_german_one(self):
        package = contents(contents(all_made()["ipk/x86_64/luci-i18n-hbb-de_0.1.0-r1_all.ipk"])
                           ["data.tar.gz"])
        files = {path: content for path, content in package.items() if content}
        self.assertEqual(files.pop("etc/uci-defaults/luci-i18n-hbb-de").decode(),
                         "uci set luci.languages.de='Deutsch (German)'; uci commit luci\n")
        ((path, catalogue),) = files.items()
        self.assertEqual(path, "usr/lib/lua/luci/i18n/hbb.de.lmo")
        read = lmo.read(catalogue)
        # As po2lmo of LuCI makes them: the rule for plurals, and hashes it was seen to give.
        self.assertEqual(read[0], "nplurals=2; plural=n != 1;")
        self.assertEqual([lmo.digest(text) for text in KNOWN], list(KNOWN.values()))
        text = (FOLDER / "po/de/hbb.po").read_text()
        self.assertEqual(read[lmo.digest(b"Devices")], "Ger\u00e4te")
        changed = sum(one != other for one, other in
                      re.findall(r'^msgid "(.+)"\nmsgstr "(.*)"$', text, re.M))
        self.assertEqual(len(read) - 1, changed)

    def test_the_german_one_is_whole_and_keeps_the_places_of_words(self):
        text = (FOLDER / "po/de/hbb.po").read_text()
        pairs = re.findall(r'^msgid (".*")\nmsgstr (".*")$', text, re.M)
        said = {json.loads(one): json.loads(other) for one, other in pairs}
        said.pop("", None)
        self.assertEqual(set(said), set(texts()))
        for one, other in said.items():
            self.assertTrue(other, one)
            places = [re.findall(r"%\w", word) for word in (one, other)]
            self.assertEqual(places[0], places[1], one)


if __name__ == "__main__":
    if sys.argv[1:] == ["--template"]:
        sys.stdout.write(template())
    else:
        unittest.main()
