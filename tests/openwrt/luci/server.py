"""A stub of uhttpd and rpcd, not OpenWrt's: serves LuCI's files, and the ubus calls of its pages.

Calls of the objects hbb and hbb-full run the real plugins in a scratch root, with the arguments
rpcd gives them; rights are those of the real acl.d files. The object uci works on the scratch root's files; the
init script does what the test says. Texts are translated by the catalogue of the package.
"""

import collections
import fnmatch
import http.server
import json
import mimetypes
import re
import socket
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
APP = HERE.parent.parent.parent / "openwrt/luci-app-hbb"
FULL_APP = APP.with_name("luci-app-hbb-full")
sys.path.append(str(APP.parent))
import lmo  # noqa: E402 (beside openwrt/package)

ACCESS_DENIED = 6
PAGE = """<!DOCTYPE html>
<html lang="%s" data-darkmode="%s"><head><meta charset="utf-8"><title>hbb</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/luci-static/bootstrap/cascade.css">
<link rel="stylesheet" media="only screen and (max-device-width: 854px)"
  href="/luci-static/bootstrap/mobile.css">
<script src="/cgi-bin/luci/admin/translations/%s"></script>
<script src="/luci-static/resources/cbi.js"></script></head>
<body><header><a class="brand" href="/">router</a><ul class="nav" id="topmenu"></ul>
<div id="indicators" class="pull-right"></div></header>
<div id="maincontent" class="container"><div id="tabmenu" style="display:none"></div>
<div id="view"></div></div>
<script src="/luci-static/resources/luci.js"></script>
<script>L = new LuCI(%s);
L.require("ui").then(function(ui) { return ui.instantiateView("%s"); });</script>
</body></html>"""


class Config:
    """One file of /etc/config, as rpcd's object uci tells it."""

    def __init__(self, text):
        self.sections = {}
        name = None
        for kind, first, second in re.findall(r"^\s*(config|option|list) (\S+) ?(.*)$", text, re.M):
            first, second = first.strip("'"), second.strip("'")
            if kind == "config":
                name = second or f"cfg{len(self.sections):02}"
                self.sections[name] = {".type": first, ".name": name, ".anonymous": not second}
            elif kind == "option":
                self.sections[name][first] = second
            else:
                self.sections[name].setdefault(first, []).append(second)

    def text(self):
        lines = []
        for name, section in self.sections.items():
            lines.append(f"\nconfig {section['.type']} '{name}'")
            for option, value in section.items():
                if option[0] != ".":
                    word = "list" if isinstance(value, list) else "option"
                    values = value if isinstance(value, list) else [value]
                    lines += [f"\t{word} {option} '{one}'" for one in values]
        return "\n".join(lines) + "\n"


class Uci:
    """The object uci: changes wait until they are applied."""

    def __init__(self, root):
        self.root = root
        self.pending = {}
        self.calls = []
        # What follows from a change of a configuration.
        self.applied = lambda: None

    def config(self, name):
        if name not in self.pending:
            self.pending[name] = Config(self.root.read(f"etc/config/{name}"))
        return self.pending[name]

    def call(self, method, args):
        if method not in ("get", "changes"):
            self.calls.append((method, args))
        return getattr(self, method)(**{key: args[key] for key in args if key[0] != "u"})

    def get(self, config, **_):
        return {"values": self.config(config).sections}

    def set(self, config, section, values):
        self.config(config).sections[section].update(values)
        return {}

    def add(self, config, type, name, values=None):  # noqa: A002 (rpcd's word)
        section = {".type": type, ".name": name, ".anonymous": False, **(values or {})}
        self.config(config).sections[name] = section
        return {"section": name}

    def delete(self, config, section, options=()):
        for option in options:
            self.config(config).sections[section].pop(option, None)
        return {}

    def order(self, **_):
        return {}

    def changes(self, **_):
        changed = [name for name, config in self.pending.items()
                   if config.text() != Config(self.root.read(f"etc/config/{name}")).text()]
        return {"changes": {name: [["set"]] for name in changed}}

    def apply(self):
        self.calls.append(("apply", {}))
        for name in self.changes()["changes"]:
            self.root.write(f"etc/config/{name}", self.pending[name].text())
        self.applied()
        return {}

    def confirm(self, **_):
        return {}

    revert = confirm


class Router:
    """One login: 'read' or 'write', in one language."""

    def __init__(self, root, folders, rights="write", language="en", host="127.0.0.1"):
        self.root, self.folders, self.rights = root, folders, rights
        self.language, self.dark = language, False
        self.uci = Uci(root)
        self.lock = threading.Lock()
        # Which of the apps are there.
        self.apps = [app for app in [APP, FULL_APP]
                     if (root.path / f"usr/share/rpcd/acl.d/{app.name}.json").exists()]
        kinds = ["read", "write"] if rights == "write" else ["read"]
        self.groups = [group[kind] for group in self.acl() for kind in kinds]
        self.name, self.log = "127.0.0.1", []
        self.asked = collections.Counter()      # calls of the object hbb, by method
        # What 'file exec' of the init script does: gives its exit code and stderr.
        self.service = lambda action: (0, "")
        router = self

        class Handler(Http):
            here = router

        class Web(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        self.server = Web((host, 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def acl(self):
        """All groups of rights."""
        files = [app / f"root/usr/share/rpcd/acl.d/{app.name}.json" for app in self.apps]
        return [group for file in files for group in json.loads(file.read_text()).values()]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def address(self, view):
        return f"http://{self.name}:{self.server.server_port}/cgi-bin/luci/{view}"

    def page(self, view):
        node = {"satisfied": True, "readonly": self.rights == "read", "title": "hbb"}
        env = {"resource": "/luci-static/resources", "media": "/luci-static/bootstrap",
               "scriptname": "/cgi-bin/luci", "ubuspath": "/ubus/", "sessionid": "0" * 32,
               "token": "x", "requestpath": ["admin", "services", "hbb", view],
               "dispatchpath": ["admin", "services", "hbb", view], "pollinterval": 1,
               "nodespec": node, "apply_rollback": 90, "apply_holdoff": 1, "apply_timeout": 5,
               "apply_display": 0.5}
        words = (self.language, str(self.dark).lower(), self.language, json.dumps(env))
        return (PAGE % (*words, f"hbb/{view}")).encode()

    def translations(self, language):
        """As LuCI gives them to pages: by hash, of all catalogues that are installed."""
        texts = {}
        for path in (self.root.path / "usr/lib/lua/luci/i18n").glob(f"*.{language}.lmo"):
            read = lmo.read(path.read_bytes())
            texts |= {f"{key:08x}": text for key, text in read.items() if key}
        return ("window.TR=" + json.dumps(texts)).encode()

    def file(self, path):
        for folder in [*(app / "htdocs" for app in self.apps), *self.folders]:
            if (folder / path).is_file():
                return (folder / path).read_bytes()
        return None

    def allowed(self, name, method, args):
        if name == "uci":
            # Some rights, and those on LuCI's own configuration, every login has.
            if method in ("changes", "apply", "confirm", "revert") or args["config"] == "luci":
                return True
            read = method == "get"
            granted = [group["read" if read else "write"] for group in self.acl()]
            return any(args["config"] in group.get("uci", []) for group in granted
                       if group in self.groups)
        return any(method in group.get("ubus", {}).get(name, []) for group in self.groups)

    def may_run(self, command):
        return any(fnmatch.fnmatchcase(command, pattern) and "exec" in rights
                   for group in self.groups for pattern, rights in group.get("file", {}).items())

    def ubus(self, name, method, args):
        """[code, answer], as rpcd gives it."""
        if (name, method) == ("session", "access"):
            return [0, {"access": True}]
        if name in ("luci", "system", "network", "session") or (name == "uci" and
                                                                args.get("config") == "system"):
            return [0, {"values": {}}]
        with self.lock:
            if not self.allowed(name, method, args):
                return [ACCESS_DENIED]
            if name == "uci":
                return [0, self.uci.call(method, args)]
            if name == "log":
                return [0, {"log": self.log}]
            if name == "file":
                return self.executed(args["command"], args["params"])
            return [0, self.plugin(name, method, args)]

    def executed(self, program, words):
        if not self.may_run(" ".join([program, *words])):
            return [ACCESS_DENIED]
        code, said = self.service(words[0])
        return [0, {"code": code, "stderr": said}]

    def plugin(self, name, method, args):
        self.asked[method] += 1
        return json.loads(self.root.call_plugin(method, said=json.dumps(args), name=name))


class Http(http.server.BaseHTTPRequestHandler):
    here = None

    def do_GET(self):
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("cgi-bin/luci/admin/translations"):
            return self.answer(self.here.translations(path.rpartition("/")[2]), "text/javascript")
        if path.startswith("cgi-bin/luci/"):
            return self.answer(self.here.page(path.rpartition("/")[2]), "text/html")
        body = self.here.file(path)
        if body is None and path.endswith(".ico"):
            body = b""
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        return self.answer(body, kind)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.startswith("/ubus"):
            return self.answer(*self.applied())
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        answers = [{"jsonrpc": "2.0", "id": call["id"], "result": self.result(call)}
                   for call in calls]
        said = json.dumps(answers if isinstance(asked, list) else answers[0]).encode()
        return self.answer(said, "application/json")

    def applied(self):
        """LuCI applies by addresses of its own: the changes, then whether they shall stay."""
        if "apply" not in self.path:
            return b"", "text/plain", 204
        with self.here.lock:
            self.here.uci.apply()
        return b'{"token": "x"}', "application/json"

    def result(self, call):
        if call["method"] == "list":
            return {}
        _session, name, method, args = call["params"]
        return self.here.ubus(name, method, args)

    def answer(self, body, kind, code=200):
        self.send_response(code if body is not None else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass
