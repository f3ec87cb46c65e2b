"""The page for operators in headless Chromium, against the real server: every button. With
HBB_PICTURES, a folder, pictures of each page are left there, at a desk, on a phone, in the dark."""

import os
import shutil
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
from browser import Browser  # noqa: E402
from devices import Server, free_port, is_over  # noqa: E402

HBB = os.environ["HBB_BIN"]
CHROMIUM = shutil.which("chromium") or sys.exit("Chromium is needed: install the package chromium")
TARGET = Path(os.environ["HBB_MADE"])
PASSWORD = "correct horse & battery"
# Holds axe-core 4; from PyPI, as other pinned tools.
AXE = "axe-core-python==0.1.0"


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


def axe():
    """The script of axe-core, fetched once."""
    folder = TARGET / "axe-core-python-0.1.0"
    script = folder / "axe_core_python/axe.min.js"
    if not script.exists():
        made = subprocess.run([sys.executable, "-m", "venv", TARGET / "axe-venv"], check=False)
        if made.returncode:
            sys.exit("cannot make a venv: install the package python3-venv")
        subprocess.run([TARGET / "axe-venv/bin/pip", "install", "-q", "--no-deps",
                        "--disable-pip-version-check", "--target", folder, AXE], check=True)
    return script.read_text()


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

    def signed_in(self):
        self.sign_in()
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

    def fill(self, name, text):
        self.browser.run(f"document.querySelector('main [name={name}]').value = {text!r}")

    def pictured(self, name):
        if folder := os.environ.get("HBB_PICTURES"):
            for width, form in [(1100, "desk"), (390, "phone")]:
                self.browser.ask("Emulation.setDeviceMetricsOverride", {
                    "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
                self.browser.picture(Path(folder) / f"{name}-{form}.png")

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
                             (b'["' + b"x" * 600 + b'"]', 400), (b"x" * 5000, 413)]:
            self.assertEqual(self.asked("ctl", body, whole)[0], status, body[:20])
        # The devices' secrets are not for it.
        self.assertIn(b"error", self.asked("ctl", b'["records"]', whole)[1])
        self.assertEqual(self.asked("nothing")[0], 404)
        status, _, headers = self.asked("")
        self.assertEqual(status, 200)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertIn("frame-ancestors 'none'", headers["Content-Security-Policy"])

    def cookie(self):
        form = urllib.parse.urlencode({"name": "admin", "password": PASSWORD, "code": ""}).encode()
        cookie = self.asked("sign-in", form)[2]["Set-Cookie"]
        for word in ["HttpOnly", "SameSite=Strict"]:
            self.assertIn(word, cookie)
        return cookie.split(";")[0]


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
        self.shows("203.0.113.0/24")
        self.fill("what", "not an address/")
        self.press("Ban")
        self.browser.wait("document.getElementById('said').className == 'bad'")

    def test_c197_a_device_that_waits_is_let_in(self):
        self.serve(more="--private\n")
        self.hbb.register("123456789").close()
        self.signed_in()
        self.open("Waiting")
        self.shows("123456789")
        self.pictured("waiting")
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
        self.fill("name", "carol")
        self.fill("password", "carols password")
        self.press("Add user")
        self.shows("carol")
        self.pictured("users")
        users = {user["name"]: user for user in self.hbb.ctl("user", "list")["users"]}
        self.assertFalse(users["carol"]["disabled"])
        row = ("[...document.querySelectorAll('main tr')].find(r => r.innerText.includes('carol'))"
               ".querySelectorAll('button')")
        self.browser.run(f"{row}[0].click()")
        self.shows("Enable")
        self.assertTrue(self.hbb.ctl("user", "list")["users"][1]["disabled"])
        self.browser.run(f"{row}[1].click()")
        self.press("Remove", "dialog")
        self.shows("carol", False)


class Readers(Pages):
    def test_c198_without_an_address_private_ones_alone_are_served(self):
        """A proxy on this machine that tells nobody's address speaks for strangers."""
        self.serve(host="", more="--trusted-proxies=127.0.0.2\n")
        self.assertEqual(self.asked("")[0], 200)
        self.serve(host="")
        for more, status in [({}, 403), ({"X-Real-IP": "203.0.113.9"}, 403),
                             ({"X-Real-IP": "192.168.1.9"}, 200)]:
            self.assertEqual(self.asked("", None, more)[0], status, more)

    def test_c198_it_can_be_read_by_everybody(self):
        """axe-core finds nothing serious, by day and night; and without scripts there is the state
        of the server."""
        script = axe()
        self.signed_in()
        for scheme in ["light", "dark"]:
            self.browser.ask("Emulation.setEmulatedMedia", {
                "features": [{"name": "prefers-color-scheme", "value": scheme}]})
            for page in ["Status", "Devices", "Sessions", "Users", "Bans"]:
                self.open(page)
                self.assertEqual(self.findings(script), [], f"{page}, {scheme}")
            self.open("Status")
            self.pictured(f"status-{scheme}")
        self.browser.ask("Emulation.setScriptExecutionDisabled", {"value": True})
        self.browser.open(self.url)
        self.browser.wait("document.querySelector('noscript pre, main pre')")
        self.assertEqual(self.browser.errors, [])

    def findings(self, script):
        # Straight into the page: its own rules would not let it load anything.
        self.browser.run(f"{{ {script}; null }}")
        found = self.browser.run(
            "axe.run(document, { resultTypes: ['violations'] }).then(r => r.violations"
            ".filter(v => ['serious', 'critical'].includes(v.impact))"
            ".map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' ')))")
        return found


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
