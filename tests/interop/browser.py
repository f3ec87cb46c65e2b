"""A real browser against the real server: headless Chromium registers over WebSocket and serves a
relay leg whose partner is here, over TCP. Called as browser.py HOST PORT KEY CHROMIUM."""

import base64
import http.server
import pathlib
import queue
import random
import subprocess
import sys
import tempfile
import threading

from client import REGISTER_PK, Connection
from websocket import request_relay

SECONDS = 60
# Longer than Chromium puts in one frame.
PAYLOAD_BYTES = 400_000


class Page(http.server.BaseHTTPRequestHandler):
    """Gives out the page, takes what it found."""

    results = queue.Queue()

    def do_GET(self):
        page = pathlib.Path(__file__).with_name("browser.html").read_bytes()
        self.answer(page if self.path.startswith("/page") else b"")

    def do_POST(self):
        said = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(b"")
        self.results.put(said)

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def partner(host, port, key, found):
    """Sends the browser a long frame and wants it back as one."""
    leg = Connection(host, port + 1)
    leg.socket.settimeout(SECONDS)
    leg.write(request_relay(key, b"browser"))
    payload = random.Random(68).randbytes(PAYLOAD_BYTES)
    leg.write(payload)
    try:
        found.append("" if leg.read() == payload else "other bytes came back")
    except (EOFError, OSError) as error:
        found.append(f"nothing came back: {error}")


def main():
    host, port, key, chromium = sys.argv[1:]
    port, key = int(port), base64.b64decode(key)
    server = http.server.ThreadingHTTPServer((host, 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = []
    leg = threading.Thread(target=partner, args=(host, port, key, found))
    leg.start()
    address = (f"http://{host}:{server.server_port}/page?id=ws://{host}:{port + 2}/ws/id"
               f"&relay=ws://{host}:{port + 3}/ws/relay&register={REGISTER_PK.hex()}"
               f"&leg={request_relay(key, b'browser').hex()}")
    with tempfile.TemporaryDirectory() as profile:
        browser = subprocess.Popen(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", f"--user-data-dir={profile}", address],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            said = Page.results.get(timeout=SECONDS)
        except queue.Empty:
            said = "the page said nothing"
        leg.join(SECONDS)
        browser.kill()
        noise = browser.stderr.read().decode(errors="replace")
        browser.wait()
    problems = [problem for problem in [said, *found] if problem]
    if problems:
        sys.exit("\n".join([*problems, noise[-2000:]]))


if __name__ == "__main__":
    main()
