"""What axe-core finds in a page that is serious. It is fetched once, from PyPI as other pinned tools,
into the folder HBB_MADE."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

# Holds axe-core 4.
AXE = "axe-core-python==0.1.0"


def findings(browser, within="html"):
    """Each rule that is broken below `within`, and by what."""
    # Straight into the page: its own rules would not let it load anything.
    browser.run(f"{{ {script()}; null }}")
    return browser.run(
        f"axe.run(document.querySelector({within!r}), {{ resultTypes: ['violations'] }}).then(r => r.violations"
        ".filter(v => ['serious', 'critical'].includes(v.impact))"
        ".map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' ')))")


def script():
    """The script of axe-core, fetched by one of those who run at the same time."""
    made = Path(os.environ["HBB_MADE"])
    folder = made / "axe-core-python-0.1.0"
    text = folder / "axe_core_python/axe.min.js"
    with open(made / "axe.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not text.exists():
            fetch(made / "axe-venv", folder)
    return text.read_text()


def fetch(venv, folder):
    made = subprocess.run([sys.executable, "-m", "venv", venv], check=False)
    if made.returncode:
        sys.exit("cannot make a venv: install the package python3-venv")
    subprocess.run([venv / "bin/pip", "install", "-q", "--no-deps",
                    "--disable-pip-version-check", "--target", folder, AXE], check=True)
