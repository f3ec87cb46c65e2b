"""A server that crashes again and again, started as procd starts it: at what pauses it serves."""

import time
import unittest

from scratch import Scratch

INIT = "/etc/init.d/hbb"
SECONDS = 20
# Without what it logs meanwhile: killed, as a crash would end it, or stopped, as procd does that.
RUN = """
rm -f /tmp/said
/usr/bin/hbb serve --flags /var/etc/hbb/flags >/tmp/said 2>&1 & hbb=$!
tries=0
until grep -qE 'info ready|start-delayed' /tmp/said 2>/dev/null || [ $tries -ge 400 ]; do
	tries=$((tries + 1)); usleep 50000
done
kill -%s $hbb; wait $hbb
"""


class Crashes(unittest.TestCase):
    def setUp(self):
        self.root = Scratch(self).install()
        self.assertEqual(self.root.run(f"{INIT} start")[0], 0)

    def ends(self, name="KILL"):
        """One life: how long it was to wait, 0 for not at all, and its exit code."""
        code, said = self.root.run(RUN % name)
        said += self.root.read("tmp/said")
        if "start-delayed" not in said:
            self.assertIn("info ready", said)
            return 0, code
        return int(said.split("start-delayed bad-ends=")[1].split("secs=")[1].split()[0]), code

    def test_it_waits_longer_after_each_and_a_good_end_begins_anew(self):
        self.assertEqual([self.ends()[0] for _ in range(8)], [0, 0, 5, 15, 35, 75, 155, 295])
        before = time.monotonic()
        self.assertEqual(self.ends("TERM"), (295, 0), "a stop is heard while it waits")
        self.assertLess(time.monotonic() - before, SECONDS)
        self.assertEqual([self.ends()[0] for _ in range(3)], [0, 0, 5])

    def test_what_an_operator_starts_or_reloads_does_not_wait(self):
        for action in ["start", "reload", "restart"]:
            self.assertEqual([self.ends()[0] for _ in range(3)], [0, 0, 5], action)
            self.assertEqual(self.root.run(f"{INIT} {action}")[0], 0)
        self.assertEqual(self.ends("TERM"), (0, 0))

    def test_a_reload_ends_the_pause(self):
        for _ in range(3):
            self.ends()
        served = RUN[RUN.index("tries=0"):].replace("|start-delayed", "")
        script = RUN[:RUN.index("kill")] + "kill -HUP $hbb\n" + served
        code, said = self.root.run(script % "TERM")
        said += self.root.read("tmp/said")
        self.assertEqual(code, 0, said)
        self.assertIn("start-delayed", said)
        self.assertIn("info ready", said)

    def test_one_that_cannot_start_waits_too(self):
        self.root.write("etc/hbb/id_ed25519", "damaged")
        code, said = 0, ""
        script = RUN.replace("info ready", "id_ed25519").replace("kill", "kill 2>/dev/null")
        for _ in range(3):
            code = self.root.run(script % "TERM")[0]
        said = self.root.read("tmp/said")
        self.assertIn("start-delayed bad-ends=2 secs=5", said)
        self.assertEqual(code, 0, said)

    def test_where_nobody_asks_for_it_nothing_is_counted(self):
        (self.root.path / "tmp/run/hbb/bad-ends").unlink()
        self.assertEqual([self.ends()[0] for _ in range(4)], [0, 0, 0, 0])
        self.assertFalse((self.root.path / "tmp/run/hbb/bad-ends").exists())


if __name__ == "__main__":
    unittest.main()
