"""hbb-full by the init script: what the section 'accounts' becomes, and what is refused of it."""

import re
import subprocess
import unittest

from init import FLAGS, FIXED, INIT, JAIL, Acts
from scratch import HBB, ROOT, Scratch

# Given by the script itself, or not for a service.
NO_OPTION = {"flags", "control", "user", "bind", "mask", "local-ip"}
# What an option is called that is not its flag.
OTHERS = {"relay-port": "port", "relay-servers": "servers", "relay-threads": "threads",
          "key": "require_key"}
RULES = "tmp/etc/hbb/rules"


class Full(Acts):
    def setUp(self):
        self.root = Scratch(self).install(full=True)

    def accounts(self, *lines):
        """The shipped configuration with these in that section."""
        text = "".join(f"\t{line}\n" for line in lines)
        shipped = (ROOT / "openwrt/files/hbb.config").read_text()
        self.root.write("etc/config/hbb", shipped.replace("config accounts 'accounts'\n",
                                                          f"config accounts 'accounts'\n{text}"))

    def test_what_it_has_more_is_set_in_a_section_of_its_own(self):
        self.act("start")
        self.assertNotIn("--accounts", self.flags())
        self.accounts("option accounts '1'", "option api '21114'", "option must_login '0'",
                      "option private 'on'", "option web '127.0.0.1:8114'", "option max_users '9'",
                      "option password_memory '8'", "option connection_log 'log'")
        self.act("reload")
        self.assertLessEqual({"--accounts", "--api=21114", "--web=127.0.0.1:8114", "--private",
                              "--max-users=9", "--password-memory=8", "--connection-log=log"},
                             set(self.flags()))
        self.assertNotIn("--must-login", self.flags())
        fixed = self.root.read(FIXED).splitlines()
        self.assertLessEqual({"--accounts", "--api=21114", "--connection-log=log"}, set(fixed))

    def test_each_flag_of_serve_is_an_option_and_told_in_the_configuration(self):
        said = subprocess.check_output([HBB, "serve", "--help"], text=True)
        flags = set(re.findall(r"^  --([a-z-]+)", said, re.M)) - NO_OPTION
        self.assertGreater(len(flags), 30)
        shipped = (ROOT / "openwrt/files/hbb.config").read_text()
        options = set(re.findall(r"^\t#?(?:option|list) (\w+) ", shipped, re.M))
        missing = {flag for flag in flags
                   if OTHERS.get(flag, flag.replace("-", "_")) not in options}
        self.assertEqual(missing, {"console"}, "which is left out on purpose")

    def test_values_that_mean_nothing_are_named(self):
        for line, word in [
            ("option private 'maybe'", "err refused: hbb.accounts.private=maybe: must be bool"),
            ("option max_users '0'", "err refused: hbb.accounts.max_users=0"),
            ("option must_login '1'", "err refused: --must-login: add --accounts"),
            ("option api 'x'", "--api 'x': must be"),
            ("option web '8114'", "--web: add --accounts"),
            # The check is root's, who may have those; hbb itself would crash, again and again.
            ("option web '80'", "err refused: accounts.web '80': hbb is not root"),
            ("option api '127.0.0.1:1023'", "err refused: accounts.api '127.0.0.1:1023': hbb is"),
            ("option connection_log '/var/log/hbb'", "accounts.connection_log '/var/log/hbb': memory"),
            ("option rules '/etc/nowhere'", "accounts.rules '/etc/nowhere': there is no such file"),
            ("option rules 'rules.conf'", "accounts.rules 'rules.conf': there is no such file"),
        ]:
            with self.subTest(line):
                self.accounts(line)
                self.refused(word, "not started")

    def test_the_routers_own_hbb_refuses_what_it_has_none_of(self):
        self.root = Scratch(self).install()
        self.accounts("option private '0'", "option connection_log 'off'")
        self.assertIn("hbb", self.act("start")[2]["instances"])
        self.act("stop")
        self.root.write(FLAGS, "")
        for name, value in [("accounts", "1"), ("private", "yes"), ("rules", "/etc/hbb.rules"),
                            ("connection_log", "file"), ("web", "8114"), ("max_users", "9")]:
            with self.subTest(name):
                self.accounts(f"option {name} '{value}'")
                self.refused(f"err refused: accounts.{name} is for hbb-full, and this is hbb; install "
                             "that in its place")

    def test_rules_are_copied_and_what_is_wrong_with_them_is_told(self):
        self.root.write("etc/hbb.rules", "deny to=123456789\n")
        (self.root.path / "etc/hbb.rules").chmod(0o600)
        self.root.write("sbin/ujail", "")
        (self.root.path / "sbin/ujail").chmod(0o755)
        self.accounts("option rules '/etc/hbb.rules'")
        jail = self.act("start")[2]["instances"]["hbb"]["jail"]
        self.assertEqual(jail, JAIL["jail"], "it is in a folder that is there already")
        self.assertIn("--rules=/var/etc/hbb/rules", self.flags())
        self.assertEqual(self.root.read(RULES), "deny to=123456789\n")
        self.assertEqual((self.root.path / RULES).stat().st_mode & 0o777, 0o640)
        self.assertIn("root:hbb /var/etc/hbb/rules.new", self.root.calls("chown"))
        # Another file is seen by a reload, and a wrong one changes nothing.
        pid = self.held()["pid"]
        self.root.write("etc/hbb.rules", "deny to=123456789 from=10.0.0.0/8\n")
        self.assertEqual(self.act("reload")[2]["signal"]["signal"], "HUP")
        self.assertIn("10.0.0.0/8", self.root.read(RULES))
        self.root.write("etc/hbb.rules", "allow\nnonsense\n")
        _, said, sent = self.act("reload")
        self.assertIn("refused: /etc/hbb.rules line 2", said)
        self.assertNotIn("signal", sent)
        self.assertIn("10.0.0.0/8", self.root.read(RULES))
        self.accounts()
        self.act("reload")
        self.assertFalse((self.root.path / RULES).exists())
        self.assertEqual(self.held()["pid"], pid, "no restart was needed")

    def test_a_file_of_the_log_is_in_data_and_in_nobodys_way(self):
        self.root.run("mkdir -p /etc/hbb; hbb keygen --data /etc/hbb")
        for value in ["file", "/etc/hbb/connections.log"]:
            self.accounts(f"option connection_log '{value}'")
            self.root.write("etc/hbb/connections.log", "{}\n")
            self.root.write("etc/hbb/connections.log.1", "{}\n")
            self.assertIn("hbb", self.act("start")[2]["instances"])
            self.assertIn("--connection-log=/etc/hbb/connections.log", self.flags())
        # It comes along, as all else.
        self.accounts("option connection_log 'file'")
        self.put("data", "option data '/srv/hbb'")
        self.assertEqual(self.root.run(f"{INIT} reload")[0], 0)
        self.assertIn("--connection-log=/srv/hbb/connections.log", self.flags())
        for name in ["connections.log", "connections.log.1"]:
            self.assertEqual(self.root.read(f"srv/hbb/{name}"), "{}\n")

    def test_what_is_named_outside_of_data_is_kept_over_an_upgrade_of_the_firmware(self):
        kept = self.root.read("lib/upgrade/keep.d/hbb").split()
        self.assertEqual(kept, ["/etc/hbb/", "/etc/hbb.data", "/etc/hbb.rules"])


if __name__ == "__main__":
    unittest.main()
