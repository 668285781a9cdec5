"""Freed pictures' memory is kept for the next ones."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

TURNS = """
import resource, sys
import numpy as np
from worker.line.memory import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
for turn in range(20):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pictures = [np.ones(8_000_000, np.uint8) for _ in range(3)]
    del pictures
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_picture_takes_the_pages_that_the_one_before_gave_back() -> None:
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", TURNS, how], timeout=60))
        for how in ("kept", "usual")
    }

    pages = 18 * 24_000_000 / resource.getpagesize()
    assert faults["kept"] < 0.05 * pages
    assert faults["usual"] > 2 * faults["kept"]
