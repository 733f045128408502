"""What there is: devices with the units of their numbers, and what a trace holds."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from condsim.cli.machine import numbers
from condsim.hardware import hardware, profiles
from condsim.show.catalogue import profile_list, profile_table, trace_lines, unit_of


def printed(*renderables: Any) -> str:
    """What a wide terminal without colours shows."""
    console = Console(file=io.StringIO(), width=300, color_system=None)
    for renderable in renderables:
        console.print(renderable)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("memory.hbm.bandwidth", "B/s"),
        ("memory.l2.bytes", "B"),
        ("peak_flops.bf16", "FLOP/s"),
        ("matmul_efficiency", ""),
        ("power.idle_w", "W"),
        ("power.j_per_flop", "J/FLOP"),
        ("host.dispatch", "s"),
        ("links.nvlink", "B/s"),
    ],
)
def test_a_number_has_its_unit(path: str, unit: str) -> None:
    assert unit_of(path) == unit


@pytest.mark.parametrize("name", profiles())
def test_every_number_of_a_profile_is_shown(name: str) -> None:
    rows = numbers(hardware(name))
    text = printed(profile_table(rows, "a device [x]"))
    assert text.startswith("a device [x]")
    for row in rows:
        assert row["what"] in text


def test_devices_are_listed_by_class() -> None:
    known = {name: hardware(name) for name in profiles()}
    _, *lines = printed(profile_list(known)).splitlines()
    listed = [line.split()[:2] for line in lines if line.split()[1] in known]
    assert len(listed) == len(known)
    classes = [kind for kind, _ in listed]
    assert classes == sorted(classes)


def test_a_trace_says_what_it_holds() -> None:
    site = {"name": "a", "mechanism": "moe", "branches": 8, "top_k": 2}
    case = {
        "strategy": "looped",
        "phase": "prefill",
        "batch": 4,
        "protocol": "loop",
        "baseline": "same-params",
        "runtime": "compiled",
        "speedup": 1.5,
        "latency_s": 2e-3,
    }
    about = {
        "name": "mine",
        "sites": [site, site | {"name": "b"}],
        "steps": 3,
        "units": 12,
        "parameters": 1234567,
        "quality_name": "accuracy",
        "quality": {"conditional": 0.91},
        "notes": ["a note"],
        "measurements": [case],
    }
    text = printed(*trace_lines(about, "folder"))
    assert "mine in folder" in text
    assert "2 sites (moe, 8 branches, top 2), 3 steps, 12 units, 1,234,567 parameters" in text
    assert "accuracy: conditional 0.910" in text
    assert "note: a note" in text
    assert "looped, compiled" in text
    assert "1.50x" in text
