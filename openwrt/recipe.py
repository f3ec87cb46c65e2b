# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is in each package: read from the Makefiles of the two feeds, as far as their lines are
plain, and from the files beside them. Knows nothing of how packages are laid out."""

import json
import re
import stat
from collections import namedtuple
from pathlib import Path

import lmo

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = ROOT / "openwrt/hbb/Makefile"
APP = ROOT / "openwrt/luci-app-hbb"
FULL_APP = ROOT / "openwrt/luci-app-hbb-full"
LANGUAGES = {"de": "Deutsch (German)"}      # as luci.mk names them
LINK = stat.S_IFLNK | 0o777    # such an entry's content is what it points to
MODES = {"INSTALL_BIN": 0o755, "INSTALL_DATA": 0o644, "INSTALL_CONF": 0o600, "LN": LINK}
PROGRAM = "$(PKG_INSTALL_DIR)/bin/hbb"
SOURCES = "$(PKG_BUILD_DIR)/"

Entry = namedtuple("Entry", "content mode")


class Recipe:
    """What the feed's Makefile says, as far as its lines are plain."""

    def __init__(self, text, name=None):
        self.text = text
        self.name = name or self.variable("PKG_NAME")
        self.version = f"{self.variable('PKG_VERSION')}-r{self.variable('PKG_RELEASE')}"
        self.conffiles = self.block("conffiles").split()
        self.origin = f"openwrt/{self.variable('PKG_NAME')}"
        self.depends, self.provides, self.conflicts = [], [], []
        # Whether it fits any device, is the full variant, and the one to take of several.
        self.any, self.full, self.default = False, False, False
        self.describe()

    def describe(self):
        fields = dict(re.findall(r"^  (\w+):=(.*)$", self.block(), re.M))
        self.section, self.url = fields["SECTION"], fields["URL"]
        self.user = fields.get("USERID", "")
        self.description = self.block("description").strip()
        wanted = re.findall(r"\+(\S+)", fields.get("DEPENDS", ""))
        self.depends = sorted(["libc", *wanted]) if wanted else []
        self.provides = fields.get("PROVIDES", "").split()
        self.conflicts = fields.get("CONFLICTS", "").split()
        self.any = fields.get("PKGARCH") == "all"
        self.full = fields.get("VARIANT") == "full"
        self.default = fields.get("DEFAULT_VARIANT") == "1"

    def variable(self, name):
        found = re.search(rf"^{name}:=(.*)$", self.text, re.M)
        return found.group(1) if found else ""

    def block(self, part=""):
        """What is defined, or what is said to be the same as another package's; what that installs
        may be the first of it."""
        name = f"Package/{self.name}/{part}" if part else f"Package/{self.name}"
        same = re.search(rf"^{re.escape(name)} = \$\((\S+)\)$", self.text, re.M)
        name = re.escape(same.group(1) if same else name)
        found = re.search(rf"^define {name}\n(.*?)^endef$", self.text, re.M | re.S)
        text = found.group(1).replace("$$", "$") if found else ""
        called = re.compile(r"^\$\(call Package/(\S+)/install,\$\(1\)\)\n", re.M)
        return called.sub(lambda one: Recipe(self.text, one.group(1)).block("install"), text)

    def architecture(self, device, all_):
        """What a package for a device calls its own; all_ is the word for any."""
        return all_ if self.any else device

    def files(self, program):
        """Entries by path, without a leading slash."""
        line = re.compile(r"^\t\$\((INSTALL_\w+|LN)\) (\S+) \$\(1\)/(\S+)$", re.M)
        entries = {}
        for install, source, path in line.findall(self.block("install")):
            if install == "LN":
                content = source.encode()
            else:
                place = program if source == PROGRAM else ROOT / source.removeprefix(SOURCES)
                content = place.read_bytes()
            entries[path] = Entry(content, MODES[install])
        return entries

    def script(self, part):
        """Own text of a script, without the line that names the shell."""
        return self.block(part).removeprefix("#!/bin/sh\n")


class App(Recipe):
    """A LuCI app's Makefile, and where luci.mk installs an app's files."""

    def __init__(self, folder):
        self.folder = folder
        super().__init__((folder / "Makefile").read_text())

    def describe(self):
        self.section, self.user, self.url = "luci", "", ""
        self.description = self.variable("LUCI_DESCRIPTION")
        wanted = self.variable("LUCI_DEPENDS").replace("+", "").split()
        self.depends, self.any = sorted(["libc", *wanted]), True
        # There is no use for it where that is not made.
        self.full = "hbb-full" in wanted

    def files(self, _program):
        entries = {}
        for folder, place in [("root", ""), ("htdocs", "www/")]:
            for path in sorted((self.folder / folder).rglob("*")):
                if path.is_file():
                    runs = path.stat().st_mode & 0o100
                    name = f"{place}{path.relative_to(self.folder / folder)}"
                    content = bare(path.suffix, path.read_text()).encode()
                    entries[name] = Entry(content, 0o755 if runs else 0o644)
        return entries


# Texts, comments, regular expressions (behind a sign that no number ends with), words, blanks.
TOKEN = re.compile(r"""'(?:[^'\\\n]|\\.)*'|//[^\n]*|(?<=[(,=\[!&|])\s*/(?![/*])(?:[^/\\\[\n]|\\."""
                   r"""|\[(?:[^\]\\\n]|\\.)*\])+/\w*|\w+|\s+|.""", re.S)


def bare(suffix, text):
    """A file without comments and needless blanks: JSON, JavaScript as luci.mk installs it, and
    ucode."""
    if suffix == ".json":
        return json.dumps(json.loads(text), separators=(",", ":"))
    made, gap = "", ""
    for token in TOKEN.findall(text):
        if token.isspace():
            gap = token
        elif not token.startswith("//"):
            token = token.lstrip()
            # A blank stays between two words; ours have no two signs that would become another.
            made += (" " if gap and re.match(r"\w\w", made[-1:] + token[0]) else "") + token
            gap = ""
    return made


class Translation(App):
    """The package luci.mk makes of a folder of po/: a catalogue, and the language's name."""

    def __init__(self, folder, language):
        super().__init__(folder)
        self.language = language
        title = self.name
        self.domain = title.removeprefix("luci-app-")
        self.name = f"luci-i18n-{self.domain}-{language}"
        self.description = f"Translation for {title} - {LANGUAGES[language]}"
        self.depends = sorted(["libc", title])

    def block(self, part=""):
        return ""

    def script(self, part):
        return ""

    def files(self, _program):
        po = (self.folder / f"po/{self.language}/{self.domain}.po").read_text()
        known = f"luci.languages.{self.language}='{LANGUAGES[self.language]}'"
        script = f"uci set {known}; uci commit luci\n"
        return {
            f"etc/uci-defaults/{self.name}": Entry(script.encode(), 0o644),
            f"usr/lib/lua/luci/i18n/{self.domain}.{self.language}.lmo": Entry(lmo.from_po(po), 0o644),
        }


def applications():
    """The LuCI apps, and each in the languages that its po/ has."""
    made = []
    for folder in [APP, FULL_APP]:
        made.append(App(folder))
        languages = sorted(path.name for path in (folder / "po").iterdir() if path.name in LANGUAGES)
        made += [Translation(folder, language) for language in languages]
    return made
