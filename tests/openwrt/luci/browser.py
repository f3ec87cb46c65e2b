"""Headless Chromium, told what to do over a pipe: opens pages, runs JavaScript in them, takes
pictures. Knows nothing of LuCI."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

SECONDS = 30


class Browser:
    """Ends with the test."""

    def __init__(self, test, program):
        profile = tempfile.mkdtemp(prefix="hbb-chromium-")
        test.addCleanup(shutil.rmtree, profile, ignore_errors=True)
        commands, self.send = os.pipe()
        self.receive, answers = os.pipe()
        for end in [commands, answers]:
            os.set_inheritable(end, True)
        # Chromium reads from 3 and writes to 4.
        script = f'exec "$@" 3<&{commands} 4>&{answers}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", program, "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            pass_fds=[commands, answers], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        test.addCleanup(self.close)
        self.count, self.unread, self.session = 0, b"", None
        self.errors = []
        self.attach()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.send)
        os.close(self.receive)

    def attach(self):
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        asked = {"targetId": page["targetId"], "flatten": True}
        self.session = self.ask("Target.attachToTarget", asked)["sessionId"]
        for domain in ["Page", "Runtime", "Log"]:
            self.ask(f"{domain}.enable")
        # Without it a page that nobody looks at has no clipboard.
        self.ask("Emulation.setFocusEmulationEnabled", {"enabled": True})

    def ask(self, method, params=None):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params or {}}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.hear(answer)

    def read(self):
        while b"\0" not in self.unread:
            if not select.select([self.receive], [], [], SECONDS)[0]:
                raise TimeoutError("Chromium says nothing")
            more = os.read(self.receive, 1 << 20)
            if not more:
                raise EOFError("Chromium ended")
            self.unread += more
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def hear(self, event):
        """Keeps what went wrong in the page."""
        about = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
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
