"""LuCI's views of hbb in headless Chromium: every button, against the real server and plugin.

LuCI's own classes are a stub (luci/runtime) unless HBB_LUCI names a checkout of LuCI. With
HBB_PICTURES, a folder, each view leaves a picture there in the width of a desk and of a phone.
"""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
import urllib.request
from pathlib import Path

from scratch import HBB, HERE, Scratch, need

sys.path.insert(0, str(HERE / "luci"))
from browser import Browser  # noqa: E402
from devices import HOSTILE, SECONDS, Server, is_over  # noqa: E402
from server import Router  # noqa: E402

CHROMIUM = need("chromium", "chromium")
ZBARIMG = need("zbarimg", "zbar-tools")
LUCI = os.environ.get("HBB_LUCI")
PLACES = ["modules/luci-base/htdocs", "themes/luci-theme-bootstrap/htdocs"]
RUNTIME = [Path(LUCI) / place for place in PLACES] if LUCI else [HERE / "luci/runtime"]
LOG = [{"msg": f"hbb[1]: {text}", "time": 1790000000000 + at, "id": at, "priority": 30, "source": 1}
       for at, text in enumerate(["oldest", "new-peer peer=<b>bold</b>", "newest"])]
FITS = "document.documentElement.scrollWidth <= innerWidth"
# Pages that are a tab of another.
VIEWS = {"limits": "settings"}
NETWORKS = "config interface 'loopback'\n\nconfig interface 'lan'\n\nconfig interface 'wan'\n"


class Pages(unittest.TestCase):
    """A browser before one router, whose server has these flags more."""

    FULL, FLAGS = False, ""

    def setUp(self):
        self.root = Scratch(self).install(app=True, full=self.FULL)
        self.root.write("etc/config/network", NETWORKS)
        self.hbb = Server(self, HBB, self.root, self.FLAGS)
        self.browser = Browser(self, CHROMIUM)
        self.router = self.login("write")

    def login(self, rights, **more):
        router = Router(self.root, RUNTIME, rights, **more)
        router.log = LOG
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

    def until(self, happens):
        for _ in range(200):
            if happens():
                return
            time.sleep(0.05)
        self.fail(self.text())

    def looks_right(self, name, width):
        self.assertEqual(self.browser.errors, [], name)
        if LUCI:
            wide = "document.documentElement.scrollWidth"
            self.assertLessEqual(self.browser.run(wide), width, name)
        if "HBB_PICTURES" in os.environ:
            self.browser.picture(Path(os.environ["HBB_PICTURES"]) / f"{name}.png")


class Views(Pages):
    def test_status_shows_what_clients_need_and_copies_it(self):
        self.open("status")
        text = self.text()
        for word in ["Running", "0.1.0", f"UDP {self.hbb.port}", self.hbb.key(),
                     "0 online, 0 registered of at most 1024", "Nobody outside gets in",
                     "For clients that reach the router as 127.0.0.1"]:
            self.assertIn(word, text)
        self.browser.grant("clipboardReadWrite")
        for field, want in [("hbb-id", f"127.0.0.1:{self.hbb.port}"), ("hbb-key", self.hbb.key()),
                            ("hbb-config", self.export("string")), ("hbb-exe", self.export("exe"))]:
            self.browser.run(f"document.getElementById('{field}-copy').click()")
            copied = self.browser.run("navigator.clipboard.readText()")
            self.assertEqual(copied, want)
        self.shows("Copied")
        # What is asked for most comes first.
        first = self.browser.run("document.querySelector('#hbb-clients td:nth-child(2)').innerText")
        self.assertTrue(first.startswith("Cop") and f"127.0.0.1:{self.hbb.port}" in first, first)
        self.hbb.register("123456789")
        self.shows("1 registered")

    def test_status_is_shown_of_each_role(self):
        for role, there, absent in [
                ("relay", ["This router only relays", "0 of at most"], ["Devices"]),
                ("rendezvous", ["0 online, 0 registered", "ID server"], ["Relayed sessions"])]:
            self.hbb.stop()
            self.hbb = Server(self, HBB, self.root, f"--role={role}\n--key=\n")
            for view in ["status", "peers", "sessions", "settings", "log"]:
                self.open(view)
                self.assertEqual(self.browser.errors, [], (role, view))
            self.open("peers" if role == "relay" else "sessions")
            self.shows("a relay alone" if role == "relay" else "relays nothing")
            self.assertNotIn("--role", self.text())
            self.open("status")
            for word in there:
                self.shows(word)
            facts = self.browser.run("document.querySelector('#hbb-status').innerText")
            for word in absent:
                self.assertNotIn(word, facts)
            # It goes on after the first redraws.
            asked = self.router.asked["status"]
            self.until(lambda before=asked: self.router.asked["status"] > before + 2)
            self.browser.run("1")
            self.assertEqual(self.browser.errors, [])

    def test_clients_of_an_address_or_name_of_any_kind_are_served(self):
        for name, host in [("localhost", "127.0.0.1"), ("[::1]", "::1")]:
            router = self.login("write", host=host)
            router.name = name
            self.open("status", router)
            self.browser.wait("document.querySelector('#hbb-qr path')", name)
            shown = self.browser.run("document.getElementById('hbb-id').innerText")
            self.assertEqual(shown, f"{name}:{self.hbb.port}")

    def test_it_is_stopped_started_and_kept_from_starting(self):
        done = []

        def service(action):
            done.append(action)
            if action in ("stop", "restart"):
                self.hbb.stop()
            if action in ("start", "restart"):
                self.hbb.start()
            link = self.root.path / "etc/rc.d/S95hbb"
            link.parent.mkdir(exist_ok=True)
            if action == "enable":
                link.symlink_to("../init.d/hbb")
            if action == "disable":
                link.unlink()
            return 0, ""

        service("enable")
        self.router.service = service
        self.open("status")
        state = "document.querySelector('#hbb-state')"
        self.press("Restart")
        self.until(lambda: done[-1] == "restart")
        self.press("Stop")
        self.browser.wait(f"{state}.innerText.includes('Stopped')")
        self.shows("Shown while the server runs")
        self.press("Start")
        self.browser.wait(f"{state}.innerText.includes('Running')")
        self.browser.wait("document.querySelector('#hbb-qr path')")
        for action, checked in [("disable", "false"), ("enable", "true")]:
            self.browser.run("document.getElementById('hbb-boot').click()")
            self.until(lambda want=action: done[-1] == want)
            self.browser.wait(f"document.getElementById('hbb-boot').checked == {checked}")
        self.assertEqual(done, ["enable", "restart", "stop", "start", "disable", "enable"])
        # What the script says is shown; what is switched off has no button to start it.
        self.router.service = lambda action: (
            1, "hbb: refused: hbb.server.port=99: must be port")
        self.press("Restart")
        self.shows("Port: “99” is not possible.")
        self.hbb.stop()
        self.root.run("uci set hbb.server.enabled=0; uci commit hbb")
        self.shows("Switched off in Settings")
        self.assertNotIn("Start", self.browser.run(
            f"[...{state}.querySelectorAll('button')].map(b => b.textContent)"))

    def test_wan_is_opened_and_closed_again(self):
        self.root.run("uci set hbb.firewall.method=uci; uci commit hbb")
        self.open("status")
        self.shows("closed: you did not open it")
        self.press("Open", "wan")
        self.until(lambda: "list zone 'wan'" in self.root.read("etc/config/hbb"))
        # LuCI loads the page anew. The rules are there when the script has made them.
        self.shows("closed: the firewall lacks the rules")
        self.root.run("/usr/libexec/hbb-firewall apply")
        self.open("status")
        self.shows("open: TCP 21115 21116 21117 21118 21119, UDP 21116")
        self.shows("Nobody outside", False)
        self.press("Close", "wan")
        self.until(lambda: "wan" not in self.root.read("etc/config/hbb"))
        self.shows("Nobody outside gets in")

    def test_what_is_refused_after_it_was_applied_is_told(self):
        self.router.uci.applied = lambda: self.root.run("/etc/init.d/hbb reload")
        self.open("settings")
        self.fill("widget.cbid.hbb.server.key", "nonsense")
        self.browser.run("document.querySelector('.cbi-page-actions .cbi-button-apply').click()")
        self.shows("Key is no key: give what is in an id_ed25519")
        self.assertIn("option key 'nonsense'", self.root.read("etc/config/hbb"))
        self.root.run("uci delete hbb.server.key; uci commit hbb; /etc/init.d/hbb reload")
        self.open("settings")
        self.shows("is no key", False)

    def test_status_shows_what_is_doubted_of_the_settings(self):
        doubt = "Other relays localhost: each client would look for it on its own machine"
        self.open("status")
        self.shows("Running")
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

    def test_devices_are_found_forgotten_banned_and_let_in_again(self):
        kept = [self.hbb.register(name) for name in ["111111111", "222222222", "333333333"]]
        kept.pop().close()
        self.open("peers")
        for word in ["111111111", "222222222", "333333333", "127.0.0.1:"]:
            self.shows(word)
        self.shows("ago")
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
        self.browser.wait(f"{self.row('222222222')}.innerText.includes('banned')")
        self.press("Lift ban", "222222222")
        self.until(lambda: self.hbb.ctl("bans")["bans"] == [])
        self.shows("Lift ban", False)
        self.fill("hbb-part", "111")
        self.browser.wait("!document.querySelector('#hbb-peers').innerText.includes('222222222')")
        self.assertIn("111111111", self.text())

    def row(self, text, table="#hbb-peers"):
        return (f"[...document.querySelectorAll('{table} tr')].find(r => "
                f"r.innerText.includes({text!r}))")

    def test_devices_are_shown_by_what_they_tell_of_themselves(self):
        """With accounts, as in hbb-full: name, system and user."""
        self.hbb.stop()
        flags, api = self.root.path / "flags", self.hbb.port + 4
        flags.write_text(f"{flags.read_text()}--accounts\n--api={api}\n"
                         "--trusted-proxies=127.0.0.2\n")
        self.hbb.start()
        kept = [self.hbb.register(name) for name in ["111111111", "222222222"]]
        told = {"id": "111111111", "uuid": base64.b64encode(b"views").decode(), "version": "1.4.9",
                "os": "Linux / Debian", "hostname": "desk", "username": "anna"}
        asked = urllib.request.Request(f"http://127.0.0.1:{api}/api/sysinfo",
                                       json.dumps(told).encode())
        with urllib.request.urlopen(asked, timeout=20) as answer:
            self.assertEqual(answer.read(), b"SYSINFO_UPDATED")
        self.open("peers")
        self.browser.wait(f"{self.row('111111111')}.innerText.includes('desk, Linux / Debian, anna')")
        self.browser.run("(function(f) { f.value = 'DESK'; f.dispatchEvent(new Event('input')); })"
                         "(document.getElementById('hbb-part'))")
        self.shows("222222222", False)
        self.shows("111111111")
        # A name without blanks pushes no button out of sight.
        told["hostname"] = "W" * 64
        with urllib.request.urlopen(asked.full_url, json.dumps(told).encode(), 20) as answer:
            self.assertEqual(answer.read(), b"SYSINFO_UPDATED")
        self.browser.open(self.router.address("peers"), 1000, 300)
        self.shows("W" * 64)
        self.assertTrue(self.browser.run(FITS))
        [device.close() for device in kept]

    def test_a_device_that_is_away_is_woken(self):
        self.hbb.register("111111111").close()
        self.write_waker()
        self.until(lambda: not self.hbb.ctl("peers")["peers"][0]["online"])
        self.open("peers")
        self.press("Wake", "111111111")
        self.until(lambda: "02:00:5e:10:00:07" in self.root.read("tmp/woken"))

    def write_waker(self):
        self.root.write("usr/bin/etherwake", '#!/bin/sh\necho "$*" >>/tmp/woken\n')
        (self.root.path / "usr/bin/etherwake").chmod(0o755)
        self.root.write("tmp/dhcp.leases", "1700000000 02:00:5e:10:00:07 127.0.0.1 desk 01:02\n")

    def test_devices_are_sorted_and_told_how_long_ago(self):
        kept = self.hbb.register("555555555")
        for name in ["30", "4000000001", "1234567"]:
            self.hbb.register(name.rjust(6, "7")).close()
        self.open("peers")
        shown = ("[...document.querySelectorAll('#hbb-peers tr td:first-child strong')]"
                 ".map(c => c.innerText)")
        self.browser.wait(f"{shown}.length == 4")
        order = ["777730", "1234567", "555555555", "4000000001"]
        self.assertEqual(self.browser.run(shown), order)
        self.browser.run("document.querySelector('#hbb-peers th').click()")
        self.assertEqual(self.browser.run(shown), order[::-1])
        self.browser.run("document.querySelectorAll('#hbb-peers th')[3].click()")
        self.assertEqual(self.browser.run(shown)[0], "555555555")
        self.shows("online for less than a minute")
        self.shows("less than a minute ago")
        kept.close()

    def test_a_thousand_devices_are_shown_without_delay(self):
        self.hbb.use_store("many")
        started = time.monotonic()
        self.open("peers")
        count = "document.querySelectorAll('#hbb-peers tr').length - 1"
        self.browser.wait(f"{count} == 1000")
        opened = time.monotonic() - started
        spent = self.browser.run(
            "(function() { const start = performance.now(), field = "
            "document.getElementById('hbb-part'); field.value = '50000'; field.dispatchEvent("
            "new Event('input')); field.value = ''; field.dispatchEvent(new Event('input')); "
            "document.querySelector('#hbb-peers th').click(); "
            "return performance.now() - start; })()")
        print(f"1,000 devices: opened in {opened:.2f} s, filtered twice and sorted in "
              f"{spent:.0f} ms", file=sys.stderr)
        self.assertLess(spent, 3000)
        self.press("Show more")
        self.browser.wait(f"{count} == 1010")
        self.browser.wait("document.getElementById('hbb-more').style.display == 'none'")

    def test_hostile_ids_are_text_and_every_button_does_its_work(self):
        self.hbb.use_store("hostile")
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
            self.press("Lift ban", name)
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

    def test_a_relayed_session_is_shown_and_ended(self):
        device = self.hbb.register("123456789")
        legs = self.hbb.relayed(b"views")
        self.open("sessions")
        self.shows("127.0.0.1:")
        self.shows("5.0 KB")
        self.assertEqual(len(self.hbb.ctl("sessions")["sessions"]), 1)
        # Who has that address is told.
        self.assertIn("123456789", self.browser.run(f"{self.row('127.0.0.1:', '#hbb-sessions')}"
                                                    ".innerText"))
        self.press("Disconnect", "127.0.0.1:")
        self.press("Disconnect", within=".modal")
        self.shows("No session is relayed")
        self.assertEqual(self.hbb.ctl("sessions")["sessions"], [])
        self.assertTrue(all(is_over(leg) for leg in legs))
        device.close()

    def test_settings_are_saved_and_applied(self):
        self.root.write("etc/config/hbb", "config server 'server'\n\toption port '21116'\n"
                        "\toption log_level 'warn'\n\tlist trusted_proxies '10.0.0.1'\n"
                        "\nconfig limits 'limits'\n\toption max_peers '5'\n")
        self.open("settings")
        self.fill("widget.cbid.hbb.server.public", "rd.example.org")
        self.fill("widget.cbid.hbb.server.port", "4000")
        self.fill("widget.cbid.hbb.server.max_peers", "")
        self.fill("widget.cbid.hbb.server.single_bandwidth", "0.5")
        self.fill("widget.cbid.hbb.server.relay_port", "4001")
        self.fill("widget.cbid.hbb.server.downgrade_threshold", "33")
        self.fill("widget.cbid.hbb.server.downgrade_start_check", "0.33")
        self.browser.run("document.querySelector('[id=\"cbid.hbb.server.mdns\"] "
                         "input[type=checkbox]').click()")
        self.press("Save")
        self.until(lambda: all(word in str(self.router.uci.calls)
                               for word in ["rd.example.org", "4001"]))
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
                     "--relay-port=4001", "--downgrade-threshold=0.33",
                     "--downgrade-start-check=20",
                     "--log-level=warn", "--trusted-proxies=10.0.0.1"]:
            self.assertIn(flag, flags)
        self.assertNotIn("--max-peers=5", flags)
        self.assertNotIn("mdns", self.root.procd.services["hbb"]["instances"]["hbb"]["data"])

    def test_bans_are_made_and_lifted_in_settings(self):
        self.hbb.ctl("ban", "222222222")
        self.open("settings")
        self.fill("hbb-ban", "192.0.2.0/24")
        self.press("Ban", within="#hbb-new-ban")
        self.until(lambda: "192.0.2.0/24" in self.hbb.ctl("bans")["bans"])
        self.press("Lift", "222222222", "#hbb-bans")
        self.press("Lift", "192.0.2.0/24", "#hbb-bans")
        self.until(lambda: self.hbb.ctl("bans")["bans"] == [])
        self.fill("hbb-ban", "two words")
        self.press("Ban", within="#hbb-new-ban")
        self.shows("Enter an ID, an address, or a network such as 192.0.2.0/24.")

    def test_a_secret_key_is_not_taken_and_what_is_refused_is_told(self):
        self.root.write("var/etc/hbb.refused", "refused: hbb.relay.port=99: must be "
                        "range(1024,65533)\nrefused: --relay-servers 'a b': no name\n")
        self.open("settings")
        for text in ["Relay's port: “99” is not possible.", "Other relays 'a b': no name"]:
            self.shows(text)
        (self.root.path / "var/etc/hbb.refused").unlink()
        self.open("settings")
        self.shows("is not possible", False)
        self.fill("widget.cbid.hbb.server.key", "A" * 88)
        self.browser.run("[...document.querySelectorAll('.cbi-page-actions button')].find(b => "
                         "b.textContent.trim() == 'Save').click()")
        self.browser.run("new Promise(r => setTimeout(r, 1000))")
        self.assertNotIn("AAAA", str(self.router.uci.calls))

    def test_the_log_is_text_and_the_newest_line_first(self):
        self.open("log")
        lines = "document.getElementById('syslog').value.split('\\n')"
        self.browser.wait(f"{lines}.length == 3")
        shown = self.browser.run(lines)
        self.assertTrue(shown[0].endswith("hbb[1]: newest"), shown)
        self.assertTrue(shown[1].endswith("hbb[1]: new-peer peer=<b>bold</b>"), shown)
        self.router.log = LOG + [{**LOG[0], "msg": "hbb[1]: after"}, {**LOG[0], "msg": "dnsmasq"}]
        self.browser.wait(f"{lines}[0].endsWith('after')")

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
        self.shows("Stopped")
        for view in ["peers", "sessions"]:
            self.open(view)
            self.shows("hbb is not running")
            self.shows("Show more", False)

    def test_no_view_breaks_in_either_width(self):
        legs = self.hbb.relayed(b"views")
        device = self.hbb.register("123456789")
        self.hbb.register("987654321").close()
        self.hbb.ctl("ban", "987654321")
        for view in ["status", "peers", "sessions", "settings", "limits", "log"]:
            for name, width in [("desk", 1000), ("phone", 390), ("dark", 1000)]:
                self.router.dark = name == "dark"
                self.browser.open(self.router.address(VIEWS.get(view, view)), width, 300)
                self.browser.wait("document.querySelector('#view h2')")
                if view in VIEWS:
                    self.tab("Limits")
                self.looks_right(f"{view}-{name}", width)
        for one in [*legs, device]:
            one.close()

    def test_pages_are_german_where_the_catalogue_is(self):
        device = self.hbb.register("123456789")
        router = self.login("write", language="de")
        for view, texts in [("status", ["L\u00e4uft seit", "ID-Server", "Anhalten"]),
                            ("peers", ["online seit weniger als einer Minute", "Sperren"]),
                            ("settings", ["Offen f\u00fcr", "Allgemein"]),
                            ("sessions", ["Keine Sitzung wird weitergeleitet"])]:
            self.browser.open(router.address(view), 1000, 300)
            for text in texts:
                self.shows(text)
            self.looks_right(f"{view}-german", 1000)
        # What the server says too.
        self.hbb.stop()
        self.browser.open(router.address("peers"))
        self.shows("Der Server l\u00e4uft nicht")
        device.close()

    def tab(self, title):
        """LuCI shows one tab at a time; the stub all."""
        self.browser.run("[...document.querySelectorAll('.cbi-tabmenu a')].filter(a => "
                         f"a.innerText.trim() == {title!r}).forEach(a => a.click())")


if __name__ == "__main__":
    unittest.main()
