"""Where large results lie while something is timed, told by the pages that fault."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from condsim.timing.allocator import building, settle_allocator, timing

MB = 250_000  # elements


def new_mb(megabytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(megabytes * MB)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return faults * resource.getpagesize() / 1e6
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's malloc")


def counted(script: str) -> list[float]:
    """What a fresh process prints, a number a line."""
    command = [sys.executable, "-c", COUNT + script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


def test_results_of_some_megabytes_are_soon_not_new() -> None:
    new = counted("settle_allocator()\nfor _ in range(12): print(new_mb(8))")
    assert new[0] == pytest.approx(8, rel=0.1)
    assert new[-1] < 0.5


def test_what_was_built_leaves_no_room_for_results_that_are_mapped_anew() -> None:
    script = """
with building():
    weights = [torch.ones(20 * MB) for _ in range(4)]
    del weights
    with timing():
        new_mb(40)
        print(new_mb(40))
"""
    assert counted(script) == pytest.approx([40], rel=0.1)
