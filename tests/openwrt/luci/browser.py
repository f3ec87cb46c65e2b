"""Headless Chromium, told what to do over a pipe: opens pages, runs JavaScript in them, takes
pictures. Knows nothing of LuCI."""

import atexit
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

SECONDS = 30


class Chromium:
    """The program, which all tests of a process share: to start it takes as long as most of them."""

    shared = None

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="hbb-chromium-")
        commands, self.send = os.pipe()
        self.receive, answers = os.pipe()
        for end in [commands, answers]:
            os.set_inheritable(end, True)
        # Chromium reads from 3 and writes to 4.
        script = f'exec "$@" 3<&{commands} 4>&{answers}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", program, "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=[commands, answers], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.count, self.unread = 0, b""

    @classmethod
    def get(cls, program):
        if cls.shared is None:
            cls.shared = cls(program)
            atexit.register(cls.shared.close)
        return cls.shared

    def close(self):
        """Of one that does not answer any more the next test gets another."""
        Chromium.shared = None
        atexit.unregister(self.close)
        self.process.kill()
        self.process.wait()
        os.close(self.send)
        os.close(self.receive)
        shutil.rmtree(self.profile, ignore_errors=True)

    def ask(self, method, params, session, hear):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if answer.get("sessionId") == session:
                hear(answer)

    def read(self):
        while b"\0" not in self.unread:
            more = select.select([self.receive], [], [], SECONDS)[0]
            more = more and os.read(self.receive, 1 << 20)
            if not more:
                self.close()
                raise TimeoutError("Chromium says nothing")
            self.unread += more
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)


class Browser:
    """A page with a profile of its own, which ends with the test."""

    def __init__(self, test, program):
        self.chromium = Chromium.get(program)
        self.session, self.errors = None, []
        self.context = self.ask("Target.createBrowserContext")["browserContextId"]
        test.addCleanup(self.close)
        wanted = {"url": "about:blank", "browserContextId": self.context}
        asked = {"targetId": self.ask("Target.createTarget", wanted)["targetId"], "flatten": True}
        self.session = self.ask("Target.attachToTarget", asked)["sessionId"]
        for domain in ["Page", "Runtime", "Log"]:
            self.ask(f"{domain}.enable")
        # Without it a page that nobody looks at has no clipboard.
        self.ask("Emulation.setFocusEmulationEnabled", {"enabled": True})

    def close(self):
        if self.chromium is Chromium.shared:
            self.session = None
            self.ask("Target.disposeBrowserContext", {"browserContextId": self.context})

    def grant(self, *permissions):
        asked = {"permissions": permissions, "browserContextId": self.context}
        self.chromium.ask("Browser.grantPermissions", asked, None, self.hear)

    def ask(self, method, params=None):
        return self.chromium.ask(method, params, self.session, self.hear)

    def hear(self, event):
        """Keeps what went wrong in the page."""
        about = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and about["type"] == "error":
            self.errors.append(str([one.get("description", one.get("value")) for one in about["args"]]))
        elif event.get("method") == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")

    def open(self, url, width=1100, height=900):
        self.errors.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", size)
        self.ask("Page.navigate", {"url": url})

    def run(self, script):
        """What an expression gives, a promise awaited."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True,
                 "userGesture": True}
        answer = self.ask("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, script, what=None):
        """Until an expression is true."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                value = self.run(f"Boolean({script})")
            except RuntimeError:
                value = None  # the page is just being replaced
            if value:
                return
            time.sleep(0.05)
        body = self.run("document.body.innerText")
        raise AssertionError(f"not so: {what or script}\n{self.errors}\n{body}")

    def picture(self, path):
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        asked = {"format": "png", "clip": clip, "captureBeyondViewport": True}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", asked)["data"]))
