"""The sidebar: every input of a scenario. Each is bound to the URL, so that a link is the scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import streamlit as st

from condsim.dashboard.parts import library, upload
from condsim.dashboard.parts.scenario import Scenario
from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile
from condsim.runtimes import RUNTIMES
from condsim.steps.rebatch import captured_batch
from condsim.strategies import BASELINES, name_of
from condsim.strategies.choose import able_on
from condsim.trace import Trace

BOUND = (
    "trace",
    "device",
    "strategy",
    "batch",
    "baseline",
    "phase",
    "dtype",
    "runtime",
    "threshold",
)
CAPTURE = """\
import condsim

trace = condsim.capture(model, inputs)
trace.save("my-trace")"""
AS_MEASURED = "as-measured"
BATCH_HELP = "Units a step: images, sequences, or sequences at one position."
BASELINE_HELP = """same-params: every row runs every branch, nobody leaves early. same-flops: one dense branch of the mean work, without routing.
Only the pair tells the truth."""


def scenario() -> Scenario | None:
    """The scenario of the sidebar, None where no trace is chosen yet. Raises CondsimError where the trace or device cannot be read."""
    with st.sidebar:
        names = list(library.traces())
        _of_the_link("trace", names)
        name = st.selectbox(
            "Trace",
            names,
            index=None,
            key="trace",
            bind="query-params",
            placeholder="Choose a trace",
            on_change=_another_trace,
        )
        with st.popover("Open a trace", icon=":material/upload_file:", width="stretch"):
            uploader()
        if name is None:
            return None
        trace = library.opened(name)
        return _of(trace, name)


def _of(trace: Trace, name: str) -> Scenario:
    own = [] if trace.profile is None else [AS_MEASURED]
    known = [*own, *library.devices()]
    _of_the_link("device", [_labelled(d, trace) for d in known])
    chosen = st.selectbox(
        "Device",
        known,
        key="device",
        bind="query-params",
        format_func=lambda d: _labelled(d, trace),
    )
    device = None if chosen == AS_MEASURED else chosen
    profile = trace.profile if device is None else library.device(device)
    captured = name_of(trace.header.captured)
    ways = able_on(trace, profile)
    _of_the_link("strategy", ways)
    strategy = st.selectbox(
        "Strategy",
        ways,
        ways.index(captured) if captured in ways else 0,
        key="strategy",
        bind="query-params",
    )
    phases = list(dict.fromkeys(trace.steps["phase"]))
    _of_the_link("phase", phases)
    phase = (
        st.selectbox("Phase", phases, key="phase", bind="query-params")
        if len(phases) > 1
        else phases[0]
    )
    usual, most = (
        captured_batch(trace, phase),
        int(trace.steps.loc[trace.steps["phase"] == phase, "units"].sum()),
    )
    _within("batch", 1, most)
    batch = int(
        st.number_input("Batch", 1, most, usual, key="batch", bind="query-params", help=BATCH_HELP)
    )
    _of_the_link("baseline", BASELINES)
    baseline = st.segmented_control(
        "Speedup over",
        BASELINES,
        default=BASELINES[0],
        required=True,
        key="baseline",
        bind="query-params",
        help=BASELINE_HELP,
    )
    dtype, runtime, threshold = _more(trace, profile)
    return Scenario(
        name,
        library.where(name),
        device,
        None if strategy == captured else strategy,
        None if batch == usual else batch,
        baseline or BASELINES[0],
        dtype,
        runtime,
        threshold,
        phase if len(phases) > 1 else None,
    )


def second_scenario(first: Scenario) -> Scenario | None:
    """A second scenario to lay beside the first, None where none is asked for. It differs in what is chosen; the rest is as in the first."""
    if not st.toggle("A second scenario beside it", key="second", bind="query-params"):
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = list(library.traces())
        name = st.selectbox(
            "Its trace", names, names.index(first.name), key="trace2", bind="query-params"
        )
        trace = library.opened(name)
        known = [*([] if trace.profile is None else [AS_MEASURED]), *library.devices()]
        usual = AS_MEASURED if first.device is None else first.device
        _of_the_link("device2", [_labelled(d, trace) for d in known])
        device = st.selectbox(
            "Its device",
            known,
            known.index(usual) if usual in known else 0,
            key="device2",
            bind="query-params",
            format_func=lambda d: _labelled(d, trace),
        )
        ways = able_on(
            trace,
            trace.profile
            if device == AS_MEASURED and trace.profile is not None
            else library.device(device),
        )
        captured = name_of(trace.header.captured)
        way = first.strategy if name == first.name and first.strategy in ways else captured
        _of_the_link("strategy2", ways)
        strategy = st.selectbox(
            "Its strategy",
            ways,
            ways.index(way) if way in ways else 0,
            key="strategy2",
            bind="query-params",
        )
        phase = first.phase if first.phase in list(trace.steps["phase"]) else None
        phases = list(dict.fromkeys(trace.steps["phase"]))
        phase = phase or (phases[0] if len(phases) > 1 else None)
        usual_batch, most = (
            captured_batch(trace, phase or phases[0]),
            int(trace.steps.loc[trace.steps["phase"] == (phase or phases[0]), "units"].sum()),
        )
        _within("batch2", 1, most)
        start = first.batch if first.batch is not None and first.batch <= most else usual_batch
        batch = int(st.number_input("Its batch", 1, most, start, key="batch2", bind="query-params"))
    chosen = None if device == AS_MEASURED else device
    same = chosen == first.device
    return replace(
        first,
        name=name,
        where=library.where(name),
        device=chosen,
        strategy=None if strategy == captured else strategy,
        batch=None if batch == usual_batch else batch,
        phase=phase,
        dtype=first.dtype if same else None,
        runtime=first.runtime if same else None,
        threshold=first.threshold if name == first.name else None,
    )


def _more(trace: Trace, profile: HardwareProfile) -> tuple[str | None, str | None, float | None]:
    """dtype, runtime and threshold, None where they are the default."""
    with st.expander(
        "More", expanded=any(k in st.query_params for k in ("dtype", "runtime", "threshold"))
    ):
        dtypes = list(profile.peak_flops)
        _of_the_link("dtype", dtypes)
        dtype = st.selectbox(
            "dtype", dtypes, dtypes.index(profile.dtype), key="dtype", bind="query-params"
        )
        ways = list(RUNTIMES)
        _of_the_link("runtime", ways)
        usual = profile.runtime if profile.runtime in ways else ways[0]
        runtime = st.selectbox(
            "Runtime",
            ways,
            ways.index(usual),
            key="runtime",
            bind="query-params",
            help="How operators become kernels.",
        )
        threshold = None
        if all(s.mechanism == "early_exit" and s.has_scores for s in trace.sites):
            about = "Decide anew at the exits, from the scores that they kept. Empty: as captured."
            threshold = st.number_input(
                "Exit threshold",
                value=None,
                key="threshold",
                bind="query-params",
                help=about,
                format="%g",
            )
    return (
        None if dtype == profile.dtype else dtype,
        None if runtime == usual else runtime,
        threshold,
    )


def _labelled(device: str, trace: Trace) -> str:
    return f"{trace.profile.name} (measured on)" if device == AS_MEASURED else device


def _another_trace() -> None:
    """A new trace starts at its own batch and strategy."""
    for key in ("batch", "strategy", "phase", "threshold"):
        st.session_state.pop(key, None)


def _of_the_link(key: str, known: list[str] | tuple[str, ...]) -> None:
    """Say where a link names what is not here, instead of quietly showing something else. known: as the browser shows them, since it writes the link."""
    asked = st.query_params.get(key)
    if asked is not None and key not in st.session_state and asked not in known:
        st.warning(f"The link names {unknown(key, asked, known)}. Showing the default instead.")


def _within(key: str, low: int, high: int) -> None:
    """Keep a number that another trace allowed inside of what this one allows; say where a link is outside of it."""
    asked = st.query_params.get(key)
    if (
        asked is not None
        and key not in st.session_state
        and not (asked.isdecimal() and low <= int(asked) <= high)
    ):
        st.warning(
            f"The link names {key} {asked}; this trace has {low} to {high}. Showing the default instead."
        )
    if key in st.session_state and not low <= (st.session_state[key] or 0) <= high:
        del st.session_state[key]


def choose(name: str) -> None:
    """Callback: make a trace the current one."""
    st.session_state["trace"] = name
    _another_trace()


def uploader() -> None:
    """Take a trace from the user. What is wrong with it is said here; the current trace stays."""
    most = upload.LIMIT_BYTES >> 20
    st.file_uploader(
        "A zip of a trace", type="zip", key="zip", max_upload_size=most, on_change=_take_zip
    )
    st.file_uploader(
        "Or its folder",
        accept_multiple_files="directory",
        key="folder",
        max_upload_size=most,
        on_change=_take_folder,
    )
    st.caption("It stays on this machine, and is forgotten when the app ends.")
    if problem := st.session_state.get("upload_problem"):
        st.error(problem, title="This was not taken")
    elif kept := st.session_state.get("upload_kept"):
        st.success(f"{kept} is shown now.")


def _take_zip() -> None:
    """Callback."""
    packed = st.session_state["zip"]
    if packed is not None:
        _take(lambda into: upload.keep_zip(packed, packed.name, into))


def _take_folder() -> None:
    """Callback."""
    files = st.session_state["folder"]
    if files:
        called = PurePosixPath(files[0].name).parts[0]
        _take(lambda into: upload.keep_files([(f.name, f) for f in files], called, into))


def _take(keep: Callable[[Path], str]) -> None:
    st.session_state["upload_problem"] = st.session_state["upload_kept"] = None
    try:
        kept = keep(library.uploads())
    except CondsimError as error:
        st.session_state["upload_problem"] = str(error)
        return
    st.session_state["upload_kept"] = kept
    choose(kept)
