# SPDX-License-Identifier: MIT OR Apache-2.0
"""Deflate as small as it gets: zopfli searches where gzip takes the first good match, and any
reader of gzip reads the result. The same input gives the same bytes."""

import functools
import subprocess
import sys
import tempfile


def gzip(content):
    """A gzip file, without a name and a time."""
    return _zopfli("--gzip", content)


def raw(content):
    """The bare stream."""
    return _zopfli("--deflate", content)


@functools.lru_cache(maxsize=None)
def _zopfli(form, content):
    with tempfile.NamedTemporaryFile() as file:     # zopfli wants to know the length first
        file.write(content)
        file.flush()
        try:
            return subprocess.run(["zopfli", form, "-c", file.name],
                                  capture_output=True, check=True).stdout
        except FileNotFoundError:
            sys.exit("zopfli is missing; install the package zopfli, or run cross/setup")
