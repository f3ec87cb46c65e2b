"""LuCI's views of hbb in headless Chromium: every button, against the real server and plugin.

LuCI's own classes are a stub (luci/runtime) unless HBB_LUCI names a checkout of LuCI. With
HBB_PICTURES, a folder, each view leaves a picture there in the width of a desk and of a phone.
"""

import os
import re
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from scratch import HBB, HERE, Scratch, need

sys.path.insert(0, str(HERE / "luci"))
from browser import Browser  # noqa: E402
from devices import HOSTILE, Server, is_over  # noqa: E402
from server import Router  # noqa: E402

CHROMIUM = need("chromium", "chromium")
ZBARIMG = need("zbarimg", "zbar-tools")
LUCI = os.environ.get("HBB_LUCI")
PLACES = ["modules/luci-base/htdocs", "themes/luci-theme-bootstrap/htdocs"]
RUNTIME = [Path(LUCI) / place for place in PLACES] if LUCI else [HERE / "luci/runtime"]
LOG = "Sat Nov 21 12:00:01 2026 daemon.info hbb[1]: new-peer peer=<b>bold</b>"
NETWORKS = "config interface 'loopback'\n\nconfig interface 'lan'\n\nconfig interface 'wan'\n"


class Views(unittest.TestCase):
    def setUp(self):
        self.root = Scratch(self).install(app=True)
        self.root.write("etc/config/network", NETWORKS)
        self.root.write("stubs/logread", f'#!/bin/sh\n[ "$*" = "-e hbb" ] && echo "{LOG}"\n')
        (self.root.path / "stubs/logread").chmod(0o755)
        self.hbb = Server(self, HBB, self.root)
        self.browser = Browser(self, CHROMIUM)
        self.router = self.login("write")

    def login(self, rights):
        router = Router(self.root, RUNTIME, rights)
        self.addCleanup(router.close)
        return router

    def open(self, view, router=None):
        self.browser.open((router or self.router).address(view))
        self.browser.wait("document.querySelector('#view h2')")

    def text(self):
        return self.browser.run("document.querySelector('#maincontent').innerText")

    def shows(self, text, shown=True):
        found = f"document.body.innerText.includes({text!r})"
        self.browser.wait(found if shown else f"!{found}", f"{text}, shown: {shown}")

    def press(self, text, row=None, within="body"):
        """The one button of this text, in the row of a table that has another text."""
        buttons = (f"[...document.querySelectorAll('{within} button')].filter(b => "
                   f"b.textContent.trim() == {text!r}"
                   + (f" && b.closest('tr')?.innerText.includes({row!r}))" if row else ")"))
        self.browser.wait(f"{buttons}.length == 1", f"one button {text} of {row}")
        self.browser.run(f"{buttons}[0].click()")

    def fill(self, field, text):
        self.browser.run(f"(function(f) {{ f.value = {text!r}; for (const kind of "
                         "['input', 'change', 'blur']) f.dispatchEvent(new Event(kind)); })"
                         f"(document.getElementById({field!r}))")

    def test_status_shows_what_clients_need_and_copies_it(self):
        self.open("status")
        text = self.text()
        for word in ["yes, for 00:00:", "0.1.0", f"UDP {self.hbb.port}", self.hbb.key(),
                     "0 online, 0 registered of at most 1024", "No zone is chosen",
                     "For clients that reach the router as 127.0.0.1"]:
            self.assertIn(word, text)
        self.browser.ask("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
        for field, want in [("hbb-key", self.hbb.key()), ("hbb-config", self.export("string"))]:
            self.browser.run(f"document.getElementById('{field}-copy').click()")
            copied = self.browser.run("navigator.clipboard.readText()")
            self.assertEqual(copied, want)
        self.shows("Copied")
        self.hbb.register("123456789")
        self.shows("1 registered")

    def test_status_shows_what_is_doubted_of_the_settings(self):
        doubt = "--relay-servers localhost: each client would look for it on its own machine"
        self.open("status")
        self.assertNotIn(doubt, self.text())
        flags = self.root.path / "flags"
        flags.write_text(flags.read_text() + "--relay-servers=localhost\n")
        self.hbb.process.send_signal(signal.SIGHUP)
        self.shows(doubt)

    def export(self, form):
        words = ["export", "--data", self.root.path / "etc/hbb", "--host", "127.0.0.1", "--port",
                 str(self.hbb.port), "--format", form]
        return subprocess.check_output([HBB, *words], text=True).strip("\n")

    def test_the_code_that_is_drawn_is_the_one_hbb_prints(self):
        self.open("status")
        path = self.browser.run("document.querySelector('#hbb-qr path').getAttribute('d')")
        drawn = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)}
        lines = self.export("qr").split("\n")
        dark = {(x, 2 * y + half) for y, line in enumerate(lines) for x, mark in enumerate(line)
                for half, light in enumerate(["█▀", "█▄"]) if mark not in light}
        # The text has a row more than the code, as each line has two.
        self.assertEqual(drawn, {(x, y) for x, y in dark if y < len(lines[0])})
        picture = self.root.path / "code.png"
        self.browser.picture(picture)
        read = subprocess.check_output([ZBARIMG, "-q", "--raw", picture], text=True)
        self.assertIn("127.0.0.1", read)
        self.assertIn(self.hbb.key(), read)

    def test_zones_say_what_is_reachable(self):
        self.root.write("etc/config/hbb", "config server server\nconfig firewall firewall\n"
                        "option method uci\nlist zone wan\n")
        self.root.run("/usr/libexec/hbb-firewall apply")
        self.open("status")
        rows = self.browser.run("[...document.querySelectorAll('#hbb-zones tr')].map(r => "
                                "[...r.cells].map(c => c.innerText))")
        every = "all, as the zone accepts all input"
        self.assertEqual(rows[1:], [["lan", every, every],
                                    ["wan", "21115 21116 21117 21118 21119", "21116"]])
        self.assertNotIn("No zone is chosen", self.text())

    def test_a_limit_is_set_until_the_reload(self):
        self.open("status")
        self.fill("hbb-limit-max-peers", "77")
        self.press("Set", "max-peers")
        self.shows("max-peers")
        self.until(lambda: self.limit() == 77)
        self.fill("hbb-limit-max-peers", "many")
        self.press("Set", "max-peers")
        self.shows("value: a number")
        self.press("Reload")
        self.until(lambda: self.limit() == 1024)
        self.browser.wait("document.getElementById('hbb-limit-max-peers').value == 1024")

    def limit(self):
        return self.hbb.ctl("limits")["limits"]["max-peers"]

    def until(self, happens):
        for _ in range(200):
            if happens():
                return
            time.sleep(0.05)
        self.fail(self.text())

    def test_devices_are_found_forgotten_banned_and_let_in_again(self):
        kept = [self.hbb.register(name) for name in ["111111111", "222222222", "333333333"]]
        kept.pop().close()
        self.open("peers")
        for word in ["111111111", "222222222", "333333333", "127.0.0.1:"]:
            self.shows(word)
        self.shows("offline")
        self.press("Forget", "333333333")
        self.press("Cancel", within=".modal")
        self.press("Forget", "333333333")
        self.press("Forget", within=".modal")
        self.until(lambda: [peer["id"] for peer in self.hbb.ctl("peers")["peers"]]
                   == ["111111111", "222222222"])
        self.shows("333333333?", False)
        self.press("Forget", "222222222")
        self.press("Give this ID to a new device", within=".modal")
        self.until(lambda: [peer["id"] for peer in self.hbb.ctl("peers")["peers"]] == ["111111111"])
        self.hbb.register("222222222", device=b"a new device").close()
        self.open("peers")
        self.press("Ban", "222222222")
        self.press("Ban", within=".modal")
        self.until(lambda: self.hbb.ctl("bans")["bans"] == ["222222222"])
        self.fill("hbb-ban", "192.0.2.0/24")
        self.press("Ban", within="#hbb-new-ban")
        self.until(lambda: "192.0.2.0/24" in self.hbb.ctl("bans")["bans"])
        self.press("Lift", "222222222", "#hbb-bans")
        self.press("Lift", "192.0.2.0/24", "#hbb-bans")
        self.until(lambda: self.hbb.ctl("bans")["bans"] == [])
        self.fill("hbb-part", "111")
        self.browser.wait("!document.querySelector('#hbb-peers').innerText.includes('222222222')")
        self.assertIn("111111111", self.text())
        self.fill("hbb-ban", "two words")
        self.press("Ban", within="#hbb-new-ban")
        self.shows("what: an id, an address or a network")

    def test_hostile_ids_are_text_and_every_button_does_its_work(self):
        self.hbb.store_hostile_ids()
        self.open("peers")
        self.browser.run("window.owned = 0; window.alert = () => { window.owned = 1; }")
        for name in HOSTILE:
            self.shows(name)
            for button in ["Forget", "Ban"]:
                self.press(button, name)
                title = f"{button} {name}?"
                shown = "document.querySelector('.modal h4').innerText"
                self.browser.wait(f"{shown} == {title!r}", title)
                self.assertEqual(self.markup(), 0, title)
                self.press("Cancel", within=".modal")
            self.press("Ban", name)
            self.press("Ban", within=".modal")
            self.until(lambda: len(self.hbb.ctl("bans")["bans"]) == 1)
            (banned,) = self.hbb.ctl("bans")["bans"]
            self.assertEqual(banned.removeprefix("id="), name)
            self.press("Lift", banned, "#hbb-bans")
            self.until(lambda: self.hbb.ctl("bans")["bans"] == [])
            self.press("Forget", name)
            self.press("Forget", within=".modal")
            self.until(lambda: name not in [p["id"] for p in self.hbb.ctl("peers")["peers"]])
            self.assertEqual(self.markup(), 0, name)
        self.assertEqual(self.hbb.ctl("peers")["peers"], [])
        self.assertEqual(self.browser.errors, [])

    def markup(self):
        """Elements that only an id could have brought, and scripts of theirs that ran."""
        return self.browser.run("document.querySelectorAll('#maincontent img, .modal img, "
                                "#maincontent b, .modal b').length + (window.owned || 0)")

    def test_many_devices_come_page_by_page(self):
        for number in range(60):
            self.hbb.register(f"{500_000_000 + number}").close()
        self.open("peers")
        count = "document.querySelectorAll('#hbb-peers tr').length - 1"
        self.browser.wait(f"{count} == 50")
        self.press("Show more")
        self.browser.wait(f"{count} == 60")
        self.browser.wait("document.getElementById('hbb-more').style.display == 'none'")

    def test_a_relayed_session_is_shown_and_ended(self):
        legs = self.hbb.relayed(b"views")
        self.open("sessions")
        self.shows("127.0.0.1:")
        self.shows("5.0 KB")
        self.assertEqual(len(self.hbb.ctl("sessions")["sessions"]), 1)
        self.press("End", "127.0.0.1:")
        self.press("End", within=".modal")
        self.shows("No session is relayed")
        self.assertEqual(self.hbb.ctl("sessions")["sessions"], [])
        self.assertTrue(all(is_over(leg) for leg in legs))

    def test_settings_are_saved_and_applied(self):
        self.root.write("etc/config/hbb", "config server 'server'\n\toption port '21116'\n"
                        "\toption log_level 'warn'\n\tlist trusted_proxies '10.0.0.1'\n"
                        "\nconfig limits 'limits'\n\toption max_peers '5'\n")
        self.open("settings")
        self.fill("widget.cbid.hbb.server.public", "rd.example.org")
        self.fill("widget.cbid.hbb.server.port", "4000")
        self.fill("widget.cbid.hbb.limits.max_peers", "")
        self.fill("widget.cbid.hbb.limits.single_bandwidth", "0.5")
        self.browser.run("document.querySelector('[id=\"cbid.hbb.server.mdns\"] "
                         "input[type=checkbox]').click()")
        self.press("Save")
        self.until(lambda: "rd.example.org" in str(self.router.uci.calls))
        said = {name: args for name, args in self.router.uci.calls if
                args.get("section") == "server"}
        self.assertLessEqual({"public": "rd.example.org", "port": "4000", "mdns": "0"}.items(),
                             said["set"]["values"].items())
        self.assertNotIn("rd.example.org", self.root.read("etc/config/hbb"))
        self.browser.run("document.querySelector('.cbi-page-actions .cbi-button-apply').click()")
        self.until(lambda: "rd.example.org" in self.root.read("etc/config/hbb"))
        # What was not touched is as it was; what was emptied is gone.
        code, said = self.root.run("/etc/init.d/hbb start")
        self.assertEqual((code, said), (0, ""))
        flags = self.root.read("tmp/etc/hbb/flags").splitlines()
        for flag in ["--public=rd.example.org", "--port=4000", "--single-bandwidth=0.5",
                     "--log-level=warn", "--trusted-proxies=10.0.0.1"]:
            self.assertIn(flag, flags)
        self.assertNotIn("--max-peers=5", flags)
        self.assertNotIn("mdns", self.root.procd.services["hbb"]["instances"]["hbb"]["data"])

    def test_the_log_is_text_and_never_markup(self):
        self.open("log")
        self.shows("new-peer peer=<b>bold</b>")

    def test_without_the_right_to_write_nothing_can_be_done(self):
        leg, _other = self.hbb.relayed(b"views")
        device = self.hbb.register("111111111")
        router = self.login("read")
        for view in ["status", "peers", "sessions"]:
            self.open(view, router)
            buttons = "[...document.querySelectorAll('.cbi-section button')]"
            names = self.browser.run(f"{buttons}.filter(b => !b.disabled).map(b => b.textContent)")
            self.assertEqual(set(names) - {"Copy", "Show more"}, set(), view)
        denied = self.browser.run(
            "fetch('/ubus/', {method: 'POST', body: JSON.stringify({jsonrpc: '2.0', id: 1, method: "
            "'call', params: ['0', 'hbb', 'forget', {id: '111111111'}]})}).then(r => r.json())")
        self.assertEqual(denied["result"], [6])
        self.assertEqual(len(self.hbb.ctl("peers")["peers"]), 1)
        leg.close()
        device.close()

    def test_a_server_that_does_not_run_is_told(self):
        self.hbb.stop()
        self.open("status")
        self.shows("hbb is not running. Its log says why")
        for view in ["peers", "sessions"]:
            self.open(view)
            self.shows("hbb is not running")

    def test_no_view_breaks_in_either_width(self):
        legs = self.hbb.relayed(b"views")
        device = self.hbb.register("123456789")
        self.hbb.register("987654321").close()
        self.hbb.ctl("ban", "192.0.2.0/24")
        for view in ["status", "peers", "sessions", "settings", "log"]:
            for name, width in [("desk", 1100), ("phone", 390)]:
                self.browser.open(self.router.address(view), width)
                self.browser.wait("document.querySelector('#view h2')")
                self.assertEqual(self.browser.errors, [], view)
                if LUCI:
                    wide = "document.documentElement.scrollWidth"
                    self.assertLessEqual(self.browser.run(wide), width, f"{view} {name}")
                if "HBB_PICTURES" in os.environ:
                    self.browser.picture(Path(os.environ["HBB_PICTURES"]) / f"{view}-{name}.png")
        for one in [*legs, device]:
            one.close()


if __name__ == "__main__":
    unittest.main()
