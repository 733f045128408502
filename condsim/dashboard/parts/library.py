"""Which traces and devices there are, opened once and kept: what is on disk is read again when it changes."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import streamlit as st

import condsim
from condsim import files
from condsim.dashboard import GIVEN
from condsim.dashboard.parts.scenario import Scenario
from condsim.hardware import (
    THIS_MACHINE,
    HardwareProfile,
    cache_folder,
    hardware,
    profiles,
    this_machine,
)
from condsim.resources import resource
from condsim.study.answer import Answer, answer
from condsim.trace import Trace

T = TypeVar("T")


def shipped() -> dict[str, Path]:
    """Traces that come with condsim, by name."""
    return _in(resource("traces"))


def given() -> dict[str, Path]:
    """The trace that the app was started with, by name."""
    text = os.environ.get(GIVEN)
    folder = Path(text or "").resolve()
    return {folder.name: Path(text)} if text and folder.exists() else {}


def traces() -> dict[str, Path]:
    """All traces by the name in a link: the given ones, the shipped ones, those of `condsim demo` here, and what was uploaded."""
    return {**_in(Path("demo-out")), **shipped(), **given(), **_in(uploads())}


def _in(folder: Path) -> dict[str, Path]:
    return {p.parent.name: p.parent for p in sorted(folder.glob("*/trace.json"))}


@st.cache_resource(show_spinner=False)
def uploads() -> Path:
    """Where uploaded traces are kept until the server ends."""
    folder = Path(tempfile.mkdtemp(prefix="condsim-uploads-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def where(name: str) -> str:
    """What the command line is given for a trace: its name where it comes with condsim, else its folder."""
    folder = traces()[name]
    return name if folder == shipped().get(name) else str(folder)


def stamp(folder: Path) -> tuple[int, int]:
    """Changes when a file of the folder does: (newest modification in ns, bytes)."""
    stamps = (files.stamp(f) for f in sorted(folder.rglob("*")) if f.is_file())
    found = [s for s in stamps if s is not None]  # a save may move files meanwhile
    newest = max((modified_ns for _, modified_ns, _ in found), default=0)
    return newest, sum(size for size, *_ in found)


def opened(name: str) -> Trace:
    """A trace of the library. Raises CondsimError where it cannot be read."""
    folder = traces()[name]
    return _opened(str(folder), stamp(folder))


@st.cache_resource(max_entries=8, show_spinner=False)
def _opened(folder: str, stamp: tuple[int, int]) -> Trace:
    return condsim.load(folder)


def devices() -> list[str]:
    """Names of devices, this machine first where it was calibrated."""
    own = _own(_calibrations())
    return [*([THIS_MACHINE] if own is not None else []), *(n for n in profiles() if n != own)]


def device(name: str) -> HardwareProfile:
    """A profile by name. Raises CondsimError where it is unknown or cannot be read."""
    return _device(name, _modified(name))


def _modified(name: str | None) -> int:
    """When a device's file changed, ns; 0 where it has none."""
    path = profiles().get((_own(_calibrations()) if name == THIS_MACHINE else name) or "")
    return path.stat().st_mtime_ns if path is not None else 0


def _calibrations() -> tuple[tuple[str, int], ...]:
    """What is in the folder of calibrations."""
    return tuple((p.name, p.stat().st_mtime_ns) for p in sorted(cache_folder().glob("*.yaml")))


@st.cache_resource(max_entries=1, show_spinner=False)
def _own(calibrations: tuple[tuple[str, int], ...]) -> str | None:
    """Name of this machine's calibration: reading them all takes a while."""
    found = this_machine() if calibrations else None
    return None if found is None else found.name


@st.cache_resource(max_entries=64, show_spinner=False)
def _device(name: str, modified: int) -> HardwareProfile:
    return hardware(name)


def answered(scenario: Scenario) -> Answer:
    """The answer to a scenario, computed once."""
    return kept(
        "answer",
        scenario,
        lambda trace, profile: answer(
            trace, profile, scenario.strategy, scenario.baseline, **scenario.options()
        ),
    )


def kept(
    what: str,
    scenario: Scenario,
    compute: Callable[[Trace, HardwareProfile | None], T],
    *more: object,
) -> T:
    """compute(trace, profile), once for each (what, scenario, more) as long as trace and profile do not change. The result is shared: nobody may change it."""
    changes = (stamp(traces()[scenario.name]), _modified(scenario.device))

    def compute_it() -> T:
        trace = opened(scenario.name)
        return compute(trace, scenario.profile(trace, device))

    return _kept(what, scenario, changes, more, compute_it)


@st.cache_resource(max_entries=256, show_spinner=False)
def _kept(
    what: str, scenario: Scenario, changes: object, more: object, _compute: Callable[[], T]
) -> T:
    return _compute()
