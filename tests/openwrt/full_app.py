"""The LuCI app of hbb-full: its package, the rpcd plugin before the real server, rights, translations,
and its pages in headless Chromium as views.py has them.

full_app.py --template prints what po/templates/hbb-full.pot has to be.
"""

import json
import re
import socket
import subprocess
import sys
import unittest
import urllib.request

from app import template, texts
from packages import contents, fields_of, full_made, members
from scratch import HBB, ROOT, Scratch
from views import FITS, SECONDS, Pages

from axe import findings  # noqa: E402 (views finds it)
from devices import DEVICE_KEY, Server, exactly, field, frame, free_port  # noqa: E402 (views finds them)

FOLDER = ROOT / "openwrt/luci-app-hbb-full"
SHARE = FOLDER / "root/usr/share"
BYTES_MAX = 6 << 10
ID = "123456789"
FLAGS = "--private\n--accounts\n--trusted-proxies=127.0.0.2\n"


def ipk(name="luci-app-hbb-full"):
    return full_made()[f"ipk/x86_64/{name}_0.1.0-r1_all.ipk"]


def dial(server, name, token=""):
    """Somebody asks for a device, logged in by a token; gives the answer's bytes."""
    wish = field(8, field(1, name.encode()) + field(3, server.key().encode()) + field(5, token))
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as line:
        line.sendall(frame(wish))
        return exactly(line, 2)


class Package(unittest.TestCase):
    def test_it_is_small_and_made_where_hbb_full_is(self):
        for name in ["ipk/x86_64/luci-app-hbb-full_0.1.0-r1_all.ipk",
                     "apk/x86_64/luci-app-hbb-full-0.1.0-r1.apk"]:
            self.assertLess(len(full_made()[name]), BYTES_MAX)
        fields = fields_of(ipk())
        self.assertEqual(fields["Depends"], "hbb-full, libc, luci-app-hbb")
        self.assertEqual(fields_of(ipk("luci-i18n-hbb-full-de"))["Depends"],
                         "libc, luci-app-hbb-full")

    def test_its_files_are_beside_those_of_the_other(self):
        data = members(contents(ipk())["data.tar.gz"])
        files = {info.name[2:]: info.mode for info, _ in data if info.isfile()}
        want = ["usr/share/luci/menu.d/luci-app-hbb-full.json",
                "usr/share/rpcd/acl.d/luci-app-hbb-full.json", "usr/share/rpcd/ucode/hbb-full.uc",
                *(f"www/luci-static/resources/view/hbb/{view}.js"
                  for view in ["accounts", "approval", "connections"])]
        self.assertEqual(files, dict.fromkeys(want, 0o644))
        other = contents(full_made()["ipk/x86_64/luci-app-hbb_0.1.0-r1_all.ipk"])["data.tar.gz"]
        self.assertFalse(set(files) & {info.name[2:] for info, _ in members(other)
                                       if info.isfile()})

    def test_each_entry_of_the_menu_is_a_view(self):
        menu = json.loads((SHARE / "luci/menu.d/luci-app-hbb-full.json").read_text())
        views = [entry["action"]["path"] for entry in menu.values()]
        there = [f"hbb/{path.stem}" for path in FOLDER.rglob("view/hbb/*.js")]
        self.assertEqual(sorted(views), sorted(there))


class Plugin(unittest.TestCase):
    def setUp(self):
        self.root = Scratch(self).install(app=True, full=True)

    def call(self, method, **arguments):
        said = json.dumps(arguments)
        return json.loads(self.root.call_plugin(method, said=said, name="hbb-full"))

    def test_who_waits_is_told_let_in_refused_and_invited(self):
        server = Server(self, HBB, self.root, FLAGS)
        for name in [ID, "234567890"]:
            server.register(name).close()
        waiting = self.call("pending")
        self.assertEqual((waiting["private"], waiting["accounts"]), (True, True))
        self.assertEqual({one["id"] for one in waiting["pending"]}, {ID, "234567890"})
        address = waiting["pending"][0]["address"]
        self.assertIn("Nobody waits", self.call("approve", id="345678901")["error"])
        self.assertEqual(list(self.call("approve", id=f"id={ID}", address=address)), ["done"])
        self.assertEqual(list(self.call("refuse", id="234567890")), ["done"])
        self.assertEqual(self.call("pending")["pending"], [])
        self.assertEqual([peer["id"] for peer in server.ctl("peers")["peers"]], [ID])
        self.assertEqual(server.ctl("bans"), {"bans": ["234567890"]})
        made = self.call("invite", hours=2)
        self.assertRegex(made["code"], r"^([a-z0-9]{4}-){3}[a-z0-9]{4}$")
        self.assertEqual(made["hours"], 2)
        self.assertIn("error", self.call("invite", hours=1000))

    def test_the_log_is_that_of_hbb_page_by_page(self):
        server = Server(self, HBB, self.root, FLAGS)
        for name in ["111111111", "222222222", "333333333"]:
            dial(server, name)
        want = server.ctl("log")
        self.assertEqual(len(want["log"]), 3)
        self.assertEqual(self.call("log", since="1h"), want)
        first = self.call("log", since="1h", count=1)["log"]
        rest = self.call("log", after=first[0]["number"], count=9)["log"]
        self.assertEqual(first + rest, want["log"])

    def test_nothing_a_caller_gives_becomes_a_flag_or_two_words(self):
        server = Server(self, HBB, self.root, FLAGS)
        for bad in ["", "-h", "--json", "a b", "a\nb", "x" * 61, "$(touch${IFS}/tmp/owned)"]:
            for method, name in [("approve", "id"), ("refuse", "id")]:
                answer = self.call(method, **{name: bad})
                if method == "refuse" and "done" in answer:
                    server.ctl("unban", f"id={bad}")
                else:
                    self.assertEqual(list(answer), ["error"], (method, bad))
            if bad:
                self.assertEqual(list(self.call("approve", id=ID, address=bad)), ["error"])
                self.assertEqual(list(self.call("log", since=bad)), ["error"])
        self.assertEqual(self.call("log", count="1"), {"error": "Invalid argument"})
        self.assertFalse((self.root.path / "tmp/owned").exists())

    def test_what_is_not_switched_on_is_told(self):
        server = Server(self, HBB, self.root)
        self.assertEqual(self.call("pending"), {"pending": [], "private": False, "accounts": False})
        self.assertIn("--private", self.call("invite")["error"])
        server.stop()
        for method in ["pending", "log", "invite"]:
            self.assertEqual(self.call(method), {"error": "hbb is not running"})

    def test_rights_cover_each_method_once_and_reading_changes_nothing(self):
        path = SHARE / "rpcd/acl.d/luci-app-hbb-full.json"
        (group,) = json.loads(path.read_text()).values()
        read, write = (group[kind]["ubus"]["hbb-full"] for kind in ["read", "write"])
        self.assertEqual((read, write), (["pending", "log"], ["approve", "refuse", "invite"]))
        methods = json.loads(self.root.call_plugin(name="hbb-full"))
        self.assertEqual(sorted(read + write), sorted(methods))
        self.assertEqual(path.stat().st_mode & 0o022, 0, "ubusd refuses it")


class Translations(unittest.TestCase):
    def test_the_template_has_every_text(self):
        self.assertEqual((FOLDER / "po/templates/hbb-full.pot").read_text(), template(FOLDER))

    def test_the_german_one_is_whole_and_keeps_the_places_of_words(self):
        text = (FOLDER / "po/de/hbb-full.po").read_text()
        pairs = re.findall(r'^msgid (".*")\nmsgstr (".*")$', text, re.M)
        said = {json.loads(one): json.loads(other) for one, other in pairs}
        said.pop("", None)
        self.assertEqual(set(said), set(texts(FOLDER)))
        for one, other in said.items():
            self.assertTrue(other, one)
            self.assertEqual(*(re.findall(r"%\w", word) for word in (one, other)))

    def test_what_the_server_says_is_as_it_says_it(self):
        source = (ROOT / "src/net/control/approval.rs").read_text()
        source = re.sub(r"\\\n\s*", "", source)
        told = [text for text, places in texts(FOLDER).items() if "daemon.js" in places]
        for text in told:
            self.assertIn(text, source)
        for line in re.findall(r'^const (?!COLUMNS)[A-Z_]+: &str = "([^"]*)"', source, re.M):
            known = re.sub(r"; 'hbb.*", "", line) in told
            # Approved is what the page shows by itself; the last is the other app's.
            self.assertTrue(known or line.startswith(("The device is", "The store did")), line)


class Views(Pages):
    FULL, FLAGS = True, FLAGS

    def test_a_device_is_approved_one_refused_one_invited(self):
        for name in [ID, "234567890"]:
            self.hbb.register(name).close()
        self.open("approval")
        self.shows("234567890")
        self.press("Approve", ID)
        self.until(lambda: [p["id"] for p in self.hbb.ctl("peers")["peers"]] == [ID])
        self.shows(ID, False)
        self.press("Refuse", "234567890")
        self.shows("Refuse 234567890?")
        self.press("Refuse", within=".modal")
        self.until(lambda: self.hbb.ctl("bans")["bans"] == ["234567890"])
        self.shows("No device waits")
        self.press("Invite a device")
        shown = "document.getElementById('hbb-code')?.innerText"
        self.browser.wait(shown)
        code = self.browser.run(shown)
        self.assertRegex(code, r"^rustdesk --deploy --token [a-z0-9-]{19}$")
        self.browser.grant("clipboardReadWrite")
        self.press("Copy", within=".modal")
        self.assertEqual(self.browser.run("navigator.clipboard.readText()"), code)
        self.press("Close", within=".modal")
        self.hbb.stop()
        self.hbb = Server(self, HBB, self.root)
        self.open("approval")
        self.shows("Every device may register here.")
        self.assertNotIn("Invite a device", self.text())
        self.assertEqual(self.browser.errors, [])

    def test_the_log_of_connections_is_shown_and_filtered(self):
        api = free_port(self)
        self.hbb.stop()
        self.hbb = Server(self, HBB, self.root, f"{FLAGS}--api=127.0.0.1:{api}\n")
        subprocess.run([HBB, "ctl", "--control", self.hbb.socket, "user", "add", "anna"],
                       input=b"a long word\n", check=True, capture_output=True)
        asked = json.dumps({"username": "anna", "password": "a long word"}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{api}/api/login", asked) as answer:
            token = json.load(answer)["access_token"]
        for name, shown in [("W" * 48, ""), ("111111111", ""), ("222222222", token)]:
            dial(self.hbb, name, shown)
        self.browser.open(self.router.address("connections"), 1000, 300)
        for text in ["no such ID", "3 of 3", "127.0.0.1:", "W" * 48]:
            self.shows(text)
        self.assertTrue(self.browser.run(FITS), "names without blanks")
        first = self.browser.run("document.querySelectorAll('#hbb-connections tr')[1].innerText")
        self.assertIn("222222222", first, "the newest comes first")
        self.assertIn("anna", first, "the user who asked")
        self.fill("hbb-part", "111")
        self.shows("1 of 3")
        self.fill("hbb-since", "1h")
        self.until(lambda: self.router.asked["log"] > 1)
        self.shows("1 of 3")
        # As in German.
        self.browser.open(self.login("write", language="de").address("connections"))
        self.browser.wait(r"/\d+\.\d+\.\d{4}, \d/.test(document.body.innerText)")
        self.assertEqual(self.browser.errors, [])

    def test_settings_are_saved_and_what_is_refused_is_told(self):
        self.open("accounts")
        self.browser.run("document.querySelector('[id=\"cbid.hbb.accounts.private\"] "
                         "input[type=checkbox]').click()")
        self.fill("widget.cbid.hbb.accounts.max_users", "9")
        self.fill("widget.cbid.hbb.accounts.rules", "/etc/nowhere")
        self.browser.run("document.querySelector('.cbi-page-actions .cbi-button-apply').click()")
        self.until(lambda: "nowhere" in self.root.read("etc/config/hbb"))
        self.assertIn("accounts.rules '/etc/nowhere'", self.root.run("/etc/init.d/hbb start")[1])
        self.open("accounts")
        self.shows("Rules '/etc/nowhere': there is no such file")
        self.root.run("uci delete hbb.accounts.rules; uci commit hbb")
        self.assertEqual(self.root.run("/etc/init.d/hbb start"), (0, ""))
        flags = self.root.read("tmp/etc/hbb/flags").splitlines()
        self.assertLessEqual({"--private", "--max-users=9"}, set(flags))

    def test_everybody_can_read_and_use_them(self):
        """axe-core finds nothing serious in what is ours, by day and night, with dialogs open."""
        self.hbb.register(ID).close()
        dial(self.hbb, ID)
        for dark in [False, True]:
            self.router.dark = dark
            for view in ["approval", "connections", "accounts"]:
                self.open(view)
                self.shows(ID if view != "accounts" else "private")
                self.assertEqual(findings(self.browser, "#view"), [], f"{view}, dark: {dark}")
            self.open("approval")
            self.press("Refuse", ID)
            self.shows(f"Refuse {ID}?")
            self.assertEqual(findings(self.browser, ".modal"), [], f"refuse, dark: {dark}")

    def test_pages_are_right_in_each_width_in_german_and_without_rights(self):
        self.hbb.register(ID).close()
        self.open("approval", self.login("read"))
        self.shows(ID)
        enabled = self.browser.run("[...document.querySelectorAll('.cbi-section button')]"
                                   ".filter(b => !b.disabled).length")
        self.assertEqual(enabled, 0)
        dial(self.hbb, ID)
        for view in ["approval", "connections", "accounts"]:
            for name, width in [("desk", 1000), ("phone", 390), ("dark", 1000)]:
                self.router.dark = name == "dark"
                self.browser.open(self.router.address(view), width, 300)
                self.browser.wait("document.querySelector('#view h2')")
                self.looks_right(f"{view}-{name}", width)
        router = self.login("write", language="de")
        for view, text in [("approval", "Ablehnen"), ("connections", "keine solche ID"),
                           ("accounts", "Neue Ger\u00e4te freigeben")]:
            self.browser.open(router.address(view), 1000, 300)
            self.shows(text)
            self.looks_right(f"{view}-german", 1000)


if __name__ == "__main__":
    if sys.argv[1:] == ["--template"]:
        sys.stdout.write(template(FOLDER))
    else:
        unittest.main()
