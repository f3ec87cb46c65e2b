"""A model of procd, of fw4 and of reload_config, as far as an init script can tell.

It takes the messages of `ubus call service ...` from a pair of pipes in the scratch root, where
stubs/ubus leaves them. What it does is what procd 2025-10 and firewall4 2025-12 were seen to do:
a second member of one name takes the place of the first, `set` ends instances that are no longer
named and `add` does not, an instance is started anew if anything but its data is another, and what
is triggered runs one after the other in the order of its delay.
"""

import json
import os
import re
import threading

# What is compared, of the parameters that the package uses.
COMPARED = ("command", "file", "user", "group", "limits", "respawn", "jail", "no_new_privs",
            "capabilities")
RULE = ('\t\t{proto} dport {ports} counter packets 0 bytes 0 accept comment '
        '"!fw4: {name}"\n')


class Procd:
    """Answers until the test ends; `services` is what procd holds."""

    def __init__(self, test, root):
        self.root = root
        self.services = {}
        self.sent = []          # the words of each call, and what came with it
        self.due = []           # (delay, command) of what was triggered
        self.pids = 1000
        self.pipes = [root.path / "tmp/ubus.in", root.path / "tmp/ubus.out"]
        for pipe in self.pipes:
            os.mkfifo(pipe)
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        test.addCleanup(self._end, thread)

    def _serve(self):
        while (asked := self.pipes[0].read_text()) != "end":
            try:
                answer = self.answer(asked)
            except (KeyError, TypeError, ValueError) as error:
                answer = f"the model failed: {error!r}"
            self.pipes[1].write_text(answer)

    def _end(self, thread):
        self.pipes[0].write_text("end")
        thread.join()

    def answer(self, asked):
        """What `ubus call` prints."""
        where, method, text = asked.split(" ", 2)
        message = json.loads(text or "{}")
        if where == "firewall":
            self.load_firewall()
            return ""
        self.sent.append((method, message))
        answer = getattr(self, f"on_{method}")(message)
        return json.dumps(answer, indent="\t") if answer is not None else ""

    # --- The calls.

    def on_set(self, message, keep=False):
        service = self.services.setdefault(message["name"], {"instances": {}, "triggers": []})
        # Before the instances, so what their data triggers is told to the new ones.
        service["triggers"] = message.get("triggers", [])
        named = message.get("instances", {})
        for name in [] if keep else set(service["instances"]) - set(named):
            self._data_changed(service["instances"].pop(name))
        for name, config in named.items():
            self._put(service["instances"], name, config | {"files": self._contents(config)})

    def on_add(self, message):
        self.on_set(message, keep=True)

    def _put(self, instances, name, config):
        old = instances.get(name)
        instances[name] = config
        config["running"], config["pid"] = True, old["pid"] if old else None
        same = old and old["running"] and old["files"] == config["files"] and all(
            old.get(key) == config.get(key) for key in COMPARED)
        if not same:
            self.pids += 1
            config["pid"] = self.pids
        if not old or old.get("data") != config.get("data"):
            self._data_changed(old or {})
            self._data_changed(config)

    def _contents(self, config):
        """Those of the files whose change restarts it."""
        return [self.root.read(path.replace("/var/", "tmp/", 1).lstrip("/"))
                for path in config.get("file", [])]

    def on_delete(self, message):
        service = self.services.get(message.get("name"), {"instances": {}})
        for name in list(service["instances"]):
            if message.get("instance", name) == name:
                self._data_changed(service["instances"].pop(name))
        if "instance" not in message:
            self.services.pop(message.get("name"), None)

    def on_list(self, message):
        want = message.get("name")
        return {name: service for name, service in self.services.items() if want in (None, name)}

    def on_get_data(self, message):
        found = {}
        for name, service in self.on_list(message).items():
            for instance, config in service["instances"].items():
                for kind, data in config.get("data", {}).items():
                    if message.get("type", kind) == kind:
                        found.setdefault(name, {}).setdefault(instance, {})[kind] = data
        return found

    def on_signal(self, message):
        del message

    def on_event(self, message):
        self._trigger(message["type"], message.get("data", {}))

    # --- What is triggered.

    def _data_changed(self, config):
        for kind in config.get("data", {}):
            self._trigger("service.data.update", {"name": kind})
            if kind == "firewall":
                self.due.append((1000, ["/etc/init.d/firewall", "reload"]))

    def _trigger(self, event, data):
        for service in self.services.values():
            for trigger in service["triggers"]:
                if trigger[0] == event:
                    self._act(trigger[1], trigger[2], data)

    def _act(self, action, delay, data):
        if action[0] == "if":
            (_, key, value), action = action[1], action[2]
            if data.get(key) != value:
                return
        elif isinstance(action[0], list):
            action = action[0]
        # Once, however often it was triggered.
        self.due = [one for one in self.due if one[1] != action[1:]] + [(delay, action[1:])]

    def settle(self):
        """Time passes until nothing is triggered any more."""
        for _ in range(20):
            if not self.due:
                return
            self.due.sort(key=lambda one: one[0])
            _, command = self.due.pop(0)
            self.root.run(" ".join(command))
        raise AssertionError("it triggers itself")

    def crash(self, service, instance):
        """The seconds after which it is started again. After so many times as its setting says it is
        not, and that nothing is triggered by."""
        config = self.services[service]["instances"][instance]
        _, after, tries = map(int, config["respawn"])
        config["crashes"] = config.get("crashes", 0) + 1
        config["running"] = not tries or config["crashes"] <= tries
        return after if config["running"] else None

    # --- fw4.

    def load_firewall(self):
        """Makes of its configuration and of procd's data what nft would list."""
        folder = self.root.path / "tmp/nft"
        folder.mkdir(exist_ok=True)
        text = self.root.read("etc/config/firewall")
        rules = re.findall(r"^config rule '([^']*)'\n((?:\t.*\n)*)", text, re.M)
        rules = [(dict(re.findall(r"\toption (\w+) '([^']*)'", body))) for _, body in rules]
        for zone in re.findall(r"^config zone\n\toption name '([^']*)'", text, re.M):
            lines = [self._line(rule, rule["dest_port"].split(), rule["name"])
                     for rule in rules if rule.get("src") == zone and "dest_port" in rule]
            for name, service in self.on_get_data({"type": "firewall"}).items():
                for instance, data in service.items():
                    lines += [self._line(rule, rule["dest_port"], f"ubus:{name}[{instance}] rule {n}")
                              for n, rule in enumerate(data["firewall"]) if rule.get("src") == zone]
            (folder / f"input_{zone}").write_text(
                f"table inet fw4 {{\n\tchain input_{zone} {{\n{''.join(lines)}"
                f"\t\tjump reject_from_{zone}\n\t}}\n}}\n")

    @staticmethod
    def _line(rule, ports, name):
        text = ports[0] if len(ports) == 1 else "{ " + ", ".join(sorted(ports)) + " }"
        return RULE.format(proto=rule["proto"], ports=text, name=name)
