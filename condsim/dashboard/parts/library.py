"""Which traces and devices there are; what is on disk is read once, and again when it changes."""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import streamlit as st

import condsim
from condsim import files
from condsim.catalogue.parts.answer import options_of, with_rivals
from condsim.cli.browser import GIVEN
from condsim.dashboard.parts.models import asked_model, drawn_trace
from condsim.dashboard.parts.scenario import Scenario
from condsim.decide.subject import ModelSubject, Subject, TraceSubject
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

# Traces


def traces() -> dict[str, Path]:
    """All traces by their names in a link.

    Those of `condsim demo` here, those that come with condsim, the one that the app was started
    with, and what this browser tab uploaded; of two with the same name the later one.
    """
    return {**_in(Path("demo-out")), **shipped(), **given(), **uploaded()}


def shipped() -> dict[str, Path]:
    """Traces that come with condsim, by name."""
    return _in(resource("traces"))


def given() -> dict[str, Path]:
    """The trace that the app was started with, by name; empty where it was started without."""
    text = os.environ.get(GIVEN)
    if not text:
        return {}
    folder = Path(text)
    return {folder.resolve().name: folder} if folder.exists() else {}


UPLOADED = "uploaded"
"""Names of the uploads that a session knows of."""


@st.cache_resource(show_spinner=False)
def uploads() -> Path:
    """The folder where uploaded traces are kept until the server ends.

    What servers that were killed have left is removed.
    """
    until_the_end = contextlib.ExitStack()
    atexit.register(until_the_end.close)
    return until_the_end.enter_context(files.temporary_folder("condsim-uploads-"))


def uploaded() -> dict[str, Path]:
    """What this browser tab uploaded, by name, and what its address names: a link was passed on."""
    everything = _in(uploads())
    named = {word for key in st.query_params for word in st.query_params.get_all(key)}
    known = st.session_state.get(UPLOADED, frozenset()) | (named & everything.keys())
    st.session_state[UPLOADED] = known
    return {name: path for name, path in everything.items() if name in known}


def add_upload(name: str) -> None:
    """Let this browser tab see an upload."""
    st.session_state[UPLOADED] = st.session_state.get(UPLOADED, frozenset()) | {name}


def _in(folder: Path) -> dict[str, Path]:
    """Traces in the folders of a folder, by the folder's name; hidden ones are being written."""
    return {path.parent.name: path.parent for path in sorted(folder.glob("[!.]*/trace.json"))}


def where(name: str) -> str:
    """What the command line is given for a trace: its name where it is shipped, else its folder.

    The name of an asked model stands for the model with its options (`reproduce.subject_words`).
    """
    if asked_model(name) is not None:
        return name
    folder = traces()[name]
    return name if folder == shipped().get(name) else str(folder)


def open_trace(name: str) -> Trace:
    """A trace of the library. Raises CondsimError where it cannot be read."""
    if asked_model(name) is not None:
        return drawn_trace(name)
    folder = traces()[name]
    return _trace_in(str(folder), stamp(folder))


@st.cache_resource(max_entries=8, show_spinner=False)
def _trace_in(folder: str, stamp: tuple[int, int]) -> Trace:
    return condsim.load(folder)


def subject(name: str) -> Subject:
    """What a name of the library stands for: a trace, or a model of the catalogue."""
    asked = asked_model(name)
    return TraceSubject(open_trace(name)) if asked is None else ModelSubject(asked.model)


def version(name: str) -> object:
    """Changes when what a name of the library stands for does."""
    return None if asked_model(name) is not None else stamp(traces()[name])


def stamp(folder: Path) -> tuple[int, int]:
    """Changes when a file of the folder does: (newest modification in ns, bytes)."""
    stamps = [files.stamp(f) for f in sorted(folder.rglob("*")) if f.is_file()]
    present = [s for s in stamps if s is not None]  # a save may move files meanwhile
    newest = max((modified_ns for _, modified_ns, _ in present), default=0)
    return newest, sum(size for size, *_ in present)


# Devices


def devices() -> list[str]:
    """Names of devices, this machine first where it was calibrated."""
    own = _own_profile(_calibrations())
    names = [name for name in profiles() if name != own]
    return names if own is None else [THIS_MACHINE, *names]


def device(name: str) -> HardwareProfile:
    """A profile by name. Raises CondsimError where it is unknown or cannot be read."""
    return _profile_of(name, _modified_ns(name))


@st.cache_resource(max_entries=64, show_spinner=False)
def _profile_of(name: str, modified_ns: int) -> HardwareProfile:
    return hardware(name)


def _modified_ns(name: str | None) -> int:
    """When a device's file changed; 0 where it has none."""
    if name == THIS_MACHINE:
        name = _own_profile(_calibrations())
    path = profiles().get(name or "")
    return 0 if path is None else path.stat().st_mtime_ns


def _calibrations() -> tuple[tuple[str, int], ...]:
    """(name, modification in ns) of each file in the folder of calibrations."""
    files = sorted(cache_folder().glob("*.yaml"))
    return tuple((path.name, path.stat().st_mtime_ns) for path in files)


@st.cache_resource(max_entries=1, show_spinner=False)
def _own_profile(calibrations: tuple[tuple[str, int], ...]) -> str | None:
    """Name of this machine's calibration, None where there is none. Reading all takes a while."""
    profile = this_machine() if calibrations else None
    return None if profile is None else profile.name


# Results


def answer_to(scenario: Scenario) -> Answer:
    """The answer to a scenario, with the dense rivals of a model by name; computed once."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> Answer:
        return beside_rivals(scenario, answer_alone_to(scenario))

    return computed_once("answer", scenario, compute)


def answer_alone_to(scenario: Scenario) -> Answer:
    """The answer to a scenario without rivals, which take a while to record; computed once."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> Answer:
        return answer_alone(scenario, trace, profile)

    return computed_once("answer alone", scenario, compute)


def answer_on(scenario: Scenario, trace: Trace, profile: HardwareProfile | None) -> Answer:
    """The answer to a scenario on any device, with rivals. trace: of the scenario."""
    return beside_rivals(scenario, answer_alone(scenario, trace, profile))


def answer_alone(scenario: Scenario, trace: Trace, profile: HardwareProfile | None) -> Answer:
    """The answer to a scenario on any device, without rivals. trace: of the scenario."""
    options = scenario.options()
    asked = asked_model(scenario.name)
    if asked is not None:
        assert profile is not None
        options = options_of(asked.model, asked.question, profile, options)
    return answer(trace, profile, scenario.strategy, scenario.baseline, **options)


def beside_rivals(scenario: Scenario, alone: Answer) -> Answer:
    """An answer with the dense rivals of a model by name."""
    asked = asked_model(scenario.name)
    return alone if asked is None else with_rivals(alone, asked.model, asked.question)


def computed_once(
    what: str, scenario: Scenario, compute: Callable[[Trace, HardwareProfile | None], T]
) -> T:
    """compute(trace, profile), once for each `what` and scenario while neither file changes.

    The result is shared by all sessions: nobody may change it.
    """
    versions = (version(scenario.name), _modified_ns(scenario.device))

    def compute_now() -> T:
        trace = open_trace(scenario.name)
        return compute(trace, scenario.profile(trace, device))

    return _computed(what, scenario, versions, compute_now)


@st.cache_resource(max_entries=256, show_spinner=False)
def _computed(what: str, scenario: Scenario, versions: object, _compute: Callable[[], T]) -> T:
    """Streamlit compares all arguments but the one with an underscore."""
    return _compute()
