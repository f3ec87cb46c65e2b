"""The rules hbb-firewall makes, and what the snippets let through, by zone."""

import subprocess
import textwrap
import unittest

from router import SERVED, ZONES
from scratch import FIREWALL, HERE, ROOT, UNSHARE, Scratch, need

NFT = need("nft", "nftables")
SNIPPETS = ROOT / "openwrt/snippets"
FIREWALL_PATH = "etc/config/firewall"


def rules(zone, tcp, udp):
    text = ""
    for protocol, ports in [("tcp", tcp), ("udp", udp)]:
        if ports:
            text += textwrap.dedent(f"""\
                config rule 'hbb_{zone}_{protocol}'
                \toption name 'hbb-{zone}-{protocol}'
                \toption src '{zone}'
                \toption proto '{protocol}'
                \toption dest_port '{ports}'
                \toption target 'ACCEPT'

                """)
    return text


# The section of hbb's configuration.
FILE = "config firewall firewall\n"


class Rules(unittest.TestCase):
    def setUp(self):
        self.root = Scratch(self).install()

    def apply(self, text, action="apply"):
        """With the rules in the firewall's file, which is not the default."""
        if text is not None:
            self.root.write("etc/config/hbb", text.replace(FILE, f"{FILE}option method uci\n"))
        return self.root.run(f"/usr/libexec/hbb-firewall {action}")

    def expect(self, added):
        self.assertEqual(self.root.read(FIREWALL_PATH), FIREWALL + ("\n" if added else "") + added)

    def reloads(self):
        """How often the firewall was told to read its file."""
        return self.root.read("tmp/reloads").count("reload")

    def test_without_a_zone_nothing_is_opened(self):
        for text in [None, f"config server server\n{FILE}"]:
            self.assertEqual(self.apply(text), (0, ""))
            self.assertEqual(self.root.read(FIREWALL_PATH), FIREWALL)
        self.assertEqual((self.reloads(), self.root.log()), (0, []))

    def test_each_role_opens_its_ports_in_the_chosen_zone(self):
        for server, relay, tcp, udp in [
            ("", "", "21115 21116 21118 21117 21119", "21116"),
            ("option port 4000", "option port 443", "3999 4000 4002 443 445", "4000"),
            ("option role rendezvous", "", "21115 21116 21118", "21116"),
            ("option role relay", "", "21117 21119", ""),
            ("option single_port yes", "", "21116", "21116"),
        ]:
            with self.subTest(server + relay):
                self.apply(f"config server server\n{server}\nconfig relay relay\n{relay}\n"
                           f"{FILE}list zone wan\n")
                self.expect(rules("wan", tcp, udp))
                shown = self.root.execute(["/usr/libexec/hbb-firewall", "shown"], "").stdout
                want = f"wan tcp {' '.join(sorted(tcp.split(), key=int))}\n"
                self.assertEqual(shown, want + (f"wan udp {udp}\n" if udp else ""))

    def test_a_zone_that_is_taken_out_is_closed_and_a_second_apply_writes_nothing(self):
        chosen = f"config server server\n{FILE}"
        ports = ("21115 21116 21118 21117 21119", "21116")
        self.apply(f"{chosen}list zone lan\nlist zone wan\n")
        self.expect(rules("lan", *ports) + rules("wan", *ports))
        self.apply(f"{chosen}list zone wan\n")
        self.expect(rules("wan", *ports))
        self.apply(None)
        self.assertEqual(self.reloads(), 2)
        self.apply(None, "remove")
        self.assertEqual(self.root.read(FIREWALL_PATH), FIREWALL + "\n")
        self.apply(None, "remove")
        self.assertEqual(self.reloads(), 3)

    def test_what_others_have_in_the_file_stays_to_the_byte(self):
        others = f"# mine: 'hbb_'\n{FIREWALL}\n# more\nconfig  rule\n\toption name hbb_x\n"
        self.root.write(FIREWALL_PATH, others)
        self.apply(f"config server server\n{FILE}list zone wan\n")
        text = self.root.read(FIREWALL_PATH)
        self.assertTrue(text.startswith(f"{others}\nconfig rule 'hbb_wan_tcp'\n"), text)
        self.apply(None, "remove")
        self.assertEqual(self.root.read(FIREWALL_PATH), f"{others}\n")

    def test_an_unknown_zone_is_left_out_and_the_others_are_opened(self):
        self.apply(f"config server server\n{FILE}list zone wna\nlist zone 'w n'\nlist zone wan\n")
        self.expect(rules("wan", "21115 21116 21118 21117 21119", "21116"))

    def full(self, *acts):
        """What is in the firewall's file and around it after each act where flash is full."""
        self.root.write("tmp/before", self.root.read(FIREWALL_PATH))
        script = ["cp -a /etc /tmp/etc; mount -t tmpfs -o size=200k tmpfs /etc; cp -a /tmp/etc/. /etc",
                  "cat /dev/zero >/etc/full 2>/dev/null || dd if=/tmp/fill of=/etc/full bs=1k"]
        for act in acts:
            script += [act, "cat /etc/config/firewall >>/tmp/after; ls -A /etc/config >>/tmp/beside"]
        self.root.write("tmp/fill", "x" * 300_000)
        _, said = self.root.run("\n".join(script))
        self.assertEqual(self.root.read("tmp/after"), self.root.read("tmp/before") * len(acts), said)
        self.assertEqual(set(self.root.read("tmp/beside").split()), {"firewall", "hbb", "network"})

    def test_a_full_flash_leaves_the_firewalls_file_as_it_was(self):
        self.apply(f"config server server\n{FILE}list zone wan\n")
        self.assertIn("hbb_wan_tcp", self.root.read(FIREWALL_PATH))
        hbb = self.root.read("etc/config/hbb")
        self.root.write("tmp/new", hbb.replace("list zone wan", "list zone lan"))
        other = "mount -o bind /tmp/new /etc/config/hbb; /etc/init.d/hbb reload"
        self.full("/usr/libexec/hbb-firewall remove", other)
        self.assertEqual(len([line for line in self.root.log() if "no room in flash" in line]), 2)

    def test_where_the_rules_are_no_sections_a_full_flash_is_no_matter(self):
        self.root.write("etc/config/hbb", f"config server server\n{FILE}list zone wan\n")
        self.full("/etc/init.d/hbb start", "/usr/libexec/hbb-firewall remove")
        self.assertNotIn("no room", "\n".join(self.root.log()))

    def test_a_port_that_is_no_number_changes_nothing(self):
        code, _ = self.apply("config server server\noption role relay\nconfig relay relay\n"
                             f"option port x\n{FILE}list zone wan\n")
        self.assertEqual((code, self.root.read(FIREWALL_PATH)), (1, FIREWALL))

    def test_unsaved_changes_of_others_are_not_saved_with_ours(self):
        self.root.run("uci set firewall.mine.target=DROP")
        code, _ = self.apply(f"config server server\n{FILE}list zone wan\n")
        self.assertEqual((code, self.root.read(FIREWALL_PATH)), (1, FIREWALL))

    def test_the_snippet_for_iptables_adds_each_rule_once(self):
        self.root.write("tmp/fw3", (SNIPPETS / "hbb.fw3").read_text())
        # Has a rule once it was inserted, as iptables has.
        self.root.write("stubs/iptables", '#!/bin/sh\nrule="${*#* }"\ncase "$1" in\n'
                        '-C) grep -qxF -e "$rule" /tmp/chain ;;\n-I) echo "$rule" >>/tmp/chain ;;\n'
                        "esac\n")
        (self.root.path / "stubs/iptables").chmod(0o755)
        for _ in range(2):
            self.assertEqual(self.root.run("touch /tmp/chain; sh /tmp/fw3")[0], 0)
        end = "-m comment --comment hbb -j ACCEPT"
        self.assertEqual(self.root.read("tmp/chain").splitlines(), [
            f"input_wan_rule -p tcp --dport 21115:21119 {end}",
            f"input_wan_rule -p udp --dport 21116 {end}"])


# A firewall of the shape firewall4 makes: one chain per zone, what is included first in it.
TABLE = """
table inet fw4 {
    chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ct state established,related accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        iifname "wan" jump input_wan
        iifname "guest" jump input_guest
    }
    chain input_wan {
        include "%s"
        reject
    }
    chain input_guest {
        reject
    }
}
"""
class Packets(unittest.TestCase):
    def test_nft_takes_the_snippet(self):
        text = TABLE % (SNIPPETS / "hbb.nft")
        ended = subprocess.run([UNSHARE, "-rn", NFT, "-c", "-f", "-"], input=text, text=True,
                               capture_output=True, check=False)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))

    def test_packets_pass_in_the_chosen_zone_alone(self):
        command = [UNSHARE, "-rn", "python3", HERE / "router.py", NFT, need("ip", "iproute2")]
        ended = subprocess.run(command, input=TABLE % (SNIPPETS / "hbb.nft"), text=True,
                               capture_output=True, timeout=60, check=False)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        passed = [("tcp", 21115), ("tcp", 21116), ("tcp", 21119), ("udp", 21116)]
        want = {f"{zone} {host} {name} {port}": zone == "wan" and (name, port) in passed
                for zone, nets in ZONES.items() for net in nets for name, port in SERVED
                for host in [f"{net}1"]}
        got = dict(line.rsplit(" ", 1) for line in ended.stdout.splitlines())
        self.assertEqual(got, {place: str(passes) for place, passes in want.items()})


if __name__ == "__main__":
    unittest.main()
