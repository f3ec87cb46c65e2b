"""The page for operators in headless Chromium, against the real server: every button. With
HBB_PICTURES, a folder, pictures of each page are left there, at a desk, on a phone, in the dark."""

import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "openwrt"), str(HERE.parent / "openwrt/luci")]
from axe import findings  # noqa: E402
from browser import Browser  # noqa: E402
from devices import Server, free_port, is_over  # noqa: E402
from wire import field, frame  # noqa: E402

HBB = os.environ["HBB_BIN"]
CHROMIUM = shutil.which("chromium") or sys.exit("Chromium is needed: install the package chromium")
PASSWORD = "correct horse & battery"


class Folder:
    """What devices.Server wants of a root."""

    def __init__(self, test):
        self.path = Path(tempfile.mkdtemp(prefix="hbb-web-"))
        test.addCleanup(shutil.rmtree, self.path)

    def write(self, name, text):
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def read(self, name):
        return (self.path / name).read_text()


class Pages(unittest.TestCase):
    def setUp(self):
        self.serve()
        self.browser = Browser(self, CHROMIUM)

    def serve(self, host="127.0.0.1:", more=""):
        port = free_port(self)
        self.hbb = Server(self, HBB, Folder(self), f"--accounts\n--web={host}{port}\n{more}")
        self.url = f"http://127.0.0.1:{port}/"
        self.user("admin", admin=True)

    def user(self, name, admin=False):
        for words, said in [(["user", "add", name], PASSWORD + "\n"),
                            (["user", "set", name, "admin=yes"], "")][:1 + admin]:
            subprocess.run([HBB, "ctl", "--control", self.hbb.socket, *words], input=said,
                           text=True, check=True, capture_output=True)

    def sign_in(self, name="admin", password=PASSWORD):
        self.browser.open(self.url)
        self.browser.wait("document.querySelector('input[name=name]')")
        self.browser.run(f"document.querySelector('input[name=name]').value = {name!r};"
                         f"document.querySelector('input[name=password]').value = {password!r};"
                         "document.querySelector('button').click()")

    def signed_in(self, name="admin"):
        self.sign_in(name)
        self.browser.wait("document.querySelector('main h2')")

    def shows(self, text, shown=True):
        found = f"document.body.innerText.includes({text!r})"
        self.browser.wait(found if shown else f"!{found}", f"{text}, shown: {shown}")

    def open(self, page):
        self.browser.run(f"location.hash = {page!r}")
        self.browser.wait(f"document.querySelector('main h2')?.innerText == {page!r}")

    def press(self, text, within="main"):
        buttons = (f"[...document.querySelectorAll('{within} button')]"
                   f".filter(b => b.textContent.trim() == {text!r})")
        self.browser.wait(f"{buttons}.length >= 1", f"a button {text}")
        self.browser.run(f"{buttons}[0].click()")

    def press_beside(self, row, text):
        """A button in the row of a table that holds a text."""
        found = (f"[...document.querySelectorAll('main tbody tr')].find(r => r.innerText.includes({row!r}))"
                 f"?.querySelectorAll('button')")
        found = f"[...{found} || []].find(b => b.textContent == {text!r})"
        self.browser.wait(found, f"a button {text} beside {row}")
        self.browser.run(f"{found}.click()")

    def fill(self, name, text, within="main"):
        place = f"document.querySelector('{within} [name={name}]')"
        self.browser.wait(place, name)
        self.browser.run(f"{place}.value = {text!r}")

    def typed(self, *words):
        """By keys: those of this name, and texts."""
        codes = {"Tab": 9, "Enter": 13}
        for word in words:
            if word not in codes:
                self.browser.ask("Input.insertText", {"text": word})
                continue
            key = {"key": word, "code": word, "windowsVirtualKeyCode": codes[word],
                   **({"text": "\r"} if word == "Enter" else {})}
            self.browser.ask("Input.dispatchKeyEvent", {"type": "keyDown", **key})
            self.browser.ask("Input.dispatchKeyEvent", {"type": "keyUp", **key})

    def saved(self, text):
        """What a button saves."""
        self.browser.run("window.kept = null; URL.createObjectURL = (b) => { window.kept = b; return '#'; };"
                         "HTMLAnchorElement.prototype.click = () => {}")
        self.press(text)
        return self.browser.run("window.kept.text()")

    def by(self, scheme):
        self.browser.ask("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def exported(self, form):
        words = ["export", "--data", self.hbb.root.path / "etc/hbb", "--port", str(self.hbb.port),
                 "--host", "127.0.0.1", "--format", form]
        return subprocess.run([HBB, *words], capture_output=True, text=True, check=True).stdout

    def pictured(self, name):
        if folder := os.environ.get("HBB_PICTURES"):
            for width, form in [(1100, "desk"), (390, "phone")]:
                self.browser.ask("Emulation.setDeviceMetricsOverride", {
                    "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
                self.browser.picture(Path(folder) / f"{name}-{form}.png")
            self.browser.ask("Emulation.setDeviceMetricsOverride", {
                "width": 1100, "height": 900, "deviceScaleFactor": 1, "mobile": False})

    def cookie(self):
        form = urllib.parse.urlencode({"name": "admin", "password": PASSWORD, "code": ""}).encode()
        cookie = self.asked("sign-in", form)[2]["Set-Cookie"]
        for word in ["HttpOnly", "SameSite=Strict"]:
            self.assertIn(word, cookie)
        # Below a path of a proxy it is of that path, and others on that host do not see it.
        self.assertNotIn("Path", cookie)
        return cookie.split(";")[0]

    def command(self, words, cookie):
        return self.asked("ctl", json.dumps(words).encode(), {"X-Hbb": "1", "Cookie": cookie})

    def asked(self, path, body=None, headers=None):
        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_):
                return None

        request = urllib.request.Request(self.url + path, body, headers or {})
        try:
            with urllib.request.build_opener(Stay).open(request, timeout=20) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read(), refused.headers


class SignIn(Pages):
    def test_c195_only_administrators_sign_in_with_their_password(self):
        self.user("bob")
        self.sign_in(password="wrong")
        self.shows("Wrong credentials")
        self.sign_in("bob")
        self.shows("Only administrators")
        self.sign_in("<i>x</i>")
        self.shows("Wrong credentials")
        self.pictured("sign-in")
        self.signed_in()
        self.shows(self.hbb.key())
        self.shows("0 online, 0 registered")
        self.press("Sign out", "header")
        self.browser.wait("document.querySelector('input[name=password]')")
        # A cookie that was signed out is worth nothing.
        self.browser.open(self.url)
        self.browser.wait("document.querySelector('input[name=password]')")

    def test_c195_who_is_made_as_the_page_says_may_sign_in(self):
        for words in re.findall("<code>hbb ctl (.*?)</code>", self.asked("")[1].decode()):
            words = [HBB, "ctl", "--control", self.hbb.socket, *words.replace("NAME", "eve").split()]
            subprocess.run(words, input=PASSWORD + "\n", text=True, check=True, capture_output=True)
        self.signed_in("eve")

    def test_c209_a_second_browser_ends_nobodys_session(self):
        first, second = self.cookie(), self.cookie()
        for cookie in [first, second]:
            self.assertEqual(self.command(["status"], cookie)[0], 200)
        for _ in range(3):
            last = self.cookie()
        self.assertEqual([self.command(["status"], cookie)[0] for cookie in [first, last]],
                         [401, 200])


class Strangers(Pages):
    def test_c196_what_another_origin_or_no_cookie_asks_is_refused(self):
        cookie = self.cookie()
        for headers, status in [({"X-Hbb": "1", "Cookie": cookie}, 200),
                                ({"Cookie": cookie}, 401), ({"X-Hbb": "1"}, 401),
                                ({"X-Hbb": "1", "Cookie": cookie + "0"}, 401),
                                ({"X-Hbb": "1", "Cookie": cookie, "Origin": "http://evil"}, 403),
                                ({"X-Hbb": "1", "Cookie": cookie, "Origin": "null"}, 403)]:
            self.assertEqual(self.asked("ctl", b'["status"]', headers)[0], status, headers)
        whole = {"X-Hbb": "1", "Cookie": cookie}
        for body, status in [(b"[", 400), (b'["a\\nb"]', 400), (b"[1]", 400),
                             (b'["' + b"x" * 600 + b'"]', 400), (b"x" * 65_536, 400), (b"x" * 65_537, 413)]:
            self.assertEqual(self.asked("ctl", body, whole)[0], status, body[:20])
        # The devices' secrets are not for it.
        self.assertIn(b"error", self.asked("ctl", b'["records"]', whole)[1])
        self.assertEqual(self.asked("nothing")[0], 404)
        # Where a browser is after a wrong password, and asks again.
        self.assertEqual(self.asked("sign-in")[0], 303)
        status, _, headers = self.asked("")
        self.assertEqual(status, 200)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertIn("frame-ancestors 'none'", headers["Content-Security-Policy"])

    def test_c207_a_name_that_may_be_a_strangers_is_refused(self):
        """A page of theirs could have its name lead here, and would be of one origin with this."""
        self.serve(more="--public=rd.example.org\n")
        form = urllib.parse.urlencode({"name": "admin", "password": PASSWORD}).encode()
        for host, status in [("evil.example", 403), ("127.0.0.1.evil.example:8114", 403),
                             ("rd.example.org", 303), ("nas.lan:8114", 303), ("[::1]:8114", 303)]:
            more = {"Host": host, "Origin": f"http://{host}"}
            self.assertEqual(self.asked("sign-in", form, more)[0], status, host)

    def test_c197_the_page_comes_packed_as_every_browser_takes_it(self):
        for name, part in [("page.js", b"'use strict'"), ("page.css", b"prefers-color-scheme: dark")]:
            _, body, headers = self.asked(name)
            self.assertEqual(headers["Content-Encoding"], "gzip")
            self.assertIn(part, gzip.decompress(body))
        at = urllib.parse.urlsplit(self.url)
        with socket.create_connection((at.hostname, at.port), 20) as link:
            link.sendall(b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            with link.makefile("rb") as told:
                self.assertTrue(told.read().endswith(b"\r\n\r\n"))


class Buttons(Pages):
    def test_c197_devices_are_banned_let_in_and_forgotten(self):
        device = self.hbb.register("123456789")
        self.addCleanup(device.close)
        self.signed_in()
        self.open("Devices")
        self.shows("123456789")
        self.pictured("devices")
        self.press("Ban")
        self.press("Ban", "dialog")
        self.shows("Unban")
        self.assertEqual(self.hbb.ctl("bans")["bans"], ["123456789"])
        self.press("Unban")
        self.shows("Unban", False)
        device.close()
        self.press("Forget")
        self.press("Forget", "dialog")
        self.shows("No device has registered yet")
        self.open("Bans")
        self.fill("what", "203.0.113.0/24")
        self.press("Ban")
        # What was said names it before the list does, which empties the form.
        self.shows("Unban")
        self.fill("what", "no-address/")
        self.press("Ban")
        self.browser.wait("document.getElementById('said').className == 'bad'")

    def test_c197_a_device_that_waits_is_let_in(self):
        self.serve(more="--private\n")
        self.hbb.register("123456789").close()
        self.signed_in()
        self.open("Waiting")
        self.shows("123456789")
        self.pictured("waiting")
        self.press("Make a code")
        self.browser.wait("document.querySelector('dialog code')?.innerText.startsWith('rustdesk --deploy')")
        self.press("Close", "dialog")
        self.press("Approve")
        self.shows("Nobody waits")
        self.assertEqual(self.hbb.ctl("pending")["pending"], [])

    def test_c197_a_session_is_ended(self):
        legs = self.hbb.relayed(b"a-session-of-mine")
        self.signed_in()
        self.open("Sessions")
        self.press("End")
        self.press("End", "dialog")
        self.shows("No session is relayed")
        self.assertTrue(all(is_over(leg) for leg in legs))
        [leg.close() for leg in legs]

    def test_c197_users_are_added_disabled_and_removed(self):
        self.signed_in()
        self.open("Users")
        self.fill("name", "carol c")
        self.browser.wait("document.querySelector('main :invalid[name=name]')?.validity.patternMismatch")
        self.fill("name", "carol")
        self.fill("password", "carols password")
        self.press("Add user")
        self.shows("carol")
        users = {user["name"]: user for user in self.hbb.ctl("user", "list")["users"]}
        self.assertFalse(users["carol"]["disabled"])
        self.press_beside("carol", "Disable")
        self.press("Disable", "dialog")
        self.shows("Enable")
        self.assertTrue(self.hbb.ctl("user", "list")["users"][1]["disabled"])
        self.press_beside("carol", "Enable")
        self.shows("Enable", False)
        self.press_beside("carol", "Edit")
        self.fill("display", "Carol C.", "dialog")
        self.fill("group", "sales", "dialog")
        self.browser.run("document.querySelector('dialog [name=admin]').checked = true")
        self.press("Save", "dialog")
        # The last of what was changed, one word after the other.
        self.browser.wait("document.body.innerText.split('administrator').length == 4")
        carol = self.hbb.ctl("user", "list")["users"][1]
        self.assertEqual([carol[name] for name in ["display", "group", "admin", "email"]],
                         ["Carol C.", "sales", True, ""])
        self.press_beside("carol", "Password")
        self.fill("password", PASSWORD, "dialog")
        self.press("Set", "dialog")
        self.shows("The password was changed")
        self.press_beside("carol", "Codes on")
        self.press("Codes on", "dialog")
        self.browser.wait("document.querySelector('dialog svg.qr path')")
        self.assertTrue(self.hbb.ctl("user", "list")["users"][1]["totp"])
        self.assertEqual(self.browser.run("document.querySelector('dialog code').innerText.length"), 32)
        self.assertEqual(findings(self.browser), [])
        self.press("Close", "dialog")
        self.press_beside("carol", "Codes off")
        self.press("Codes off", "dialog")
        self.shows("The password alone is enough")
        self.press_beside("carol", "Remove")
        self.press("Remove", "dialog")
        self.shows("carol", False)

    def test_c197_devices_are_put_into_groups_and_taken_out_by_keys_alone(self):
        self.user("carol")
        subprocess.run([HBB, "ctl", "--control", self.hbb.socket, "user", "set", "carol", "group=sales"],
                       check=True, capture_output=True)
        self.signed_in()
        self.open("Users")
        self.browser.run("document.querySelector('main [name=group]').focus()")
        self.typed("sales", "Tab", "123456789", "Enter")
        self.shows("Take out")
        self.assertEqual(self.hbb.ctl("group", "list")["groups"],
                         [{"group": "sales", "user": None, "device": "123456789"},
                          {"group": "sales", "user": "carol", "device": None}])
        for scheme in ["dark", "light"]:
            self.by(scheme)
            self.assertEqual(findings(self.browser), [])
        self.pictured("users")
        self.browser.run("[...document.querySelectorAll('main button')]"
                         ".find(b => b.textContent == 'Take out').focus()")
        self.typed("Enter")
        self.shows("Take out", False)
        self.assertEqual([one["user"] for one in self.hbb.ctl("group", "list")["groups"]], ["carol"])
        self.assertEqual(self.browser.errors, [])

    def test_c197_books_are_made_filled_shared_and_removed(self):
        self.user("bob")
        self.signed_in()
        self.open("Books")
        self.fill("name", "Head office")
        self.press("Add book")
        self.browser.wait("document.querySelector('main td a')")
        self.browser.run("document.querySelector('main td a').click()")
        self.shows("The book is empty")
        self.fill("id", "123456789")
        self.fill("alias", "Gate, =1+1")
        self.fill("tags", "door; yard")
        self.press("Add device")
        self.shows("door, yard")
        self.fill("who", "bob")
        self.press("Share")
        self.shows("Unshare")
        self.press_beside("123456789", "Edit")
        self.fill("note", "<b>ring</b>", "dialog")
        self.press("Save", "dialog")
        self.shows("<b>ring</b>")
        for scheme in ["dark", "light"]:
            self.by(scheme)
            self.assertEqual(findings(self.browser), [])
        self.pictured("book")
        # What is sent is one line of ctl's.
        self.fill("note", "n" * 500)
        self.press("Save note")
        self.shows("too long")
        self.browser.errors.clear()
        # As narrow as WCAG has it, nothing is wider than the page.
        self.browser.ask("Emulation.setDeviceMetricsOverride", {
            "width": 320, "height": 900, "deviceScaleFactor": 1, "mobile": True})
        self.assertEqual(self.browser.run("document.documentElement.scrollWidth"), 320)
        # More than the server takes at once, in parts, of which the last has a wrong entry at first.
        text = 'id,alias\r\n' + "".join(f'{number},"a\n""{number}"""\r\n' for number in range(2000, 2600))
        for text, said in [("{}", "no entries"), (text + ",x\r\n", "Entry 601: This cannot be the ID"),
                           (text, "Entries that were read: 600")]:
            self.browser.run(f"{{ const d = new DataTransfer(); d.items.add(new File([{text!r}], 'a'));"
                             "document.querySelector('[name=file]').files = d.files }")
            self.press("Import")
            self.shows(said)
        self.press("Show more")
        table = self.saved("Save as CSV")
        self.assertTrue(table.startswith("id,alias,tags,"))
        self.assertIn('123456789,"Gate, =1+1","door;yard",<b>ring</b>', table)
        self.assertIn('2599,"a\n""2599"""', table)
        self.fill("part", "2598")
        self.press("Search")
        self.press_beside("2598", "Remove")
        self.press("Remove", "dialog")
        self.shows("There is none")
        self.fill("name", "Yard")
        self.press("Rename")
        self.shows("admin/Yard")
        book = self.hbb.ctl("book", "list")["books"][0]
        self.assertEqual([book["name"], book["entries"], book["shares"]], ["Yard", 600, "bob=read"])
        self.press_beside("bob", "Unshare")
        self.shows("Nobody but the owner")
        self.press("Remove book")
        self.press("Remove", "dialog")
        self.shows("There are no address books")
        self.assertEqual(self.browser.errors, [])

    def test_c197_rules_are_shown_and_asked_the_log_read_and_limits_set(self):
        self.hbb.root.write("etc/hbb/rules.conf", 'deny to=123456789 say="not <b>today</b>"\n')
        self.hbb.ctl("reload")
        self.hbb.register("123456789").close()
        self.signed_in()
        self.open("Rules")
        self.shows('deny to=123456789 say="not <b>today</b>"')
        self.fill("from", "192.0.2.1")
        self.fill("to", "123456789")
        self.fill("at", "Mon 14:00")
        self.press("Test")
        self.shows("refused  not <b>today</b>")
        self.pictured("rules")
        self.fill("at", "today")
        self.press("Test")
        self.shows("must be a time such as")
        token = self.cookie().split("=", 1)[1]
        dialled = field(8, field(1, "123456789") + field(2, 1) + field(3, self.hbb.key()) + field(5, token))
        with socket.create_connection(("127.0.0.1", self.hbb.port), 20) as asks:
            asks.sendall(frame(dialled))
            self.assertTrue(asks.recv(1))
        self.open("Log")
        self.shows("denied")
        row = self.browser.run("[...document.querySelectorAll('main tbody td')].map(d => d.innerText)")
        self.assertEqual(row[2], "admin", "the user who asked")
        self.assertTrue(self.saved("Save as CSV").startswith("number,at,last,from,to,"))
        told = json.loads(self.saved("Save as lines of JSON").splitlines()[0])
        known = self.hbb.ctl("log")["log"][0]
        self.assertEqual([told[name] for name in ["from", "to", "reason"]],
                         [known[name] for name in ["from", "to", "reason"]])
        self.pictured("log")
        self.fill("id", "987654321")
        self.press("Search")
        self.shows("There is none")
        for page, name in [("Log", "from"), ("Devices", "part")]:
            self.open(page)
            # The form stays.
            for text in ["a b", ""]:
                self.fill(name, text)
                self.press("Search")
                self.shows("': must be ", bool(text))
        self.open("Limits")
        self.browser.run("document.querySelector('[aria-label=max-sessions]').value = '7';"
                         "document.querySelector('[aria-label=max-sessions]').closest('form').requestSubmit()")
        self.shows("max-sessions is 7")
        self.assertEqual(self.hbb.ctl("limits")["limits"]["max-sessions"], 7)

    def test_c197_clients_are_given_what_export_gives(self):
        self.signed_in()
        self.shows(self.exported("string").strip())
        self.browser.wait("document.querySelector('svg.qr path')")
        lines = [line for line in self.exported("qr").splitlines() if line]
        dark = {(x, 2 * at + below) for at, line in enumerate(lines) for x, block in enumerate(line)
                for below, light in enumerate(["\u2588\u2580", "\u2588\u2584"])
                if block not in light and 2 * at + below < len(line)}
        path = self.browser.run("document.querySelector('svg.qr path').getAttribute('d')")
        drawn = {tuple(map(int, part.split("h")[0].split())) for part in path.split("M")[1:]}
        self.assertEqual(drawn, dark)


class Readers(Pages):
    def test_c198_without_an_address_private_ones_alone_are_served(self):
        """A proxy on this machine that tells nobody's address speaks for strangers; who asks for
        this machine and by no proxy is on it (C208)."""
        self.serve(host="", more="--public=rd.example.org\n")
        name = {"Host": "rd.example.org"}
        for more in [{}, {"Host": "localhost:8114"}]:
            self.assertEqual(self.asked("", None, more)[0], 200, more)
        self.assertNotIn("proxy-header-missing", self.hbb.root.read("tmp/log"))
        for more, status in [(name, 403), ({"X-Forwarded-For": "127.0.0.1"}, 403), ({"Via": "1.1 a"}, 403),
                             ({"X-Real-IP": "203.0.113.9"}, 403),
                             ({"X-Real-IP": "192.168.1.9"}, 200),
                             ({"X-Real-IP": "192.168.1.9", **name}, 200)]:
            self.assertEqual(self.asked("", None, more)[0], status, more)

    def test_c198_it_can_be_read_by_everybody(self):
        """axe-core finds nothing serious, by day and night; and without scripts there is the state
        of the server."""
        self.signed_in()
        for scheme in ["light", "dark"]:
            self.by(scheme)
            for page in ["Status", "Devices", "Waiting", "Sessions", "Log", "Users", "Books", "Rules",
                         "Bans", "Limits"]:
                self.open(page)
                self.assertEqual(findings(self.browser), [], f"{page}, {scheme}")
            self.open("Status")
            self.pictured(f"status-{scheme}")
        self.browser.ask("Emulation.setScriptExecutionDisabled", {"value": True})
        self.browser.open(self.url)
        self.browser.wait("document.querySelector('noscript pre, main pre')")
        self.assertEqual(self.browser.errors, [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
