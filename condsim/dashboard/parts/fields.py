"""Inputs of a scenario, one function each, bound to the query of the link.

Each gives None where its default is chosen, as the fields of a scenario do. An input that a second
scenario has as well takes its label and its key, and what is `wanted` at first.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from condsim.dashboard.parts import library
from condsim.errors import unknown
from condsim.hardware import HardwareProfile
from condsim.mechanisms import MECHANISMS
from condsim.predict.simulate import resolve_profile
from condsim.runtimes import RUNTIMES
from condsim.show.escape import markdown
from condsim.steps.rebatch import captured_batch
from condsim.strategies import BASELINES, name_of
from condsim.strategies.choose import strategies_on
from condsim.trace import Trace

AS_MEASURED = "as-measured"
"""Stands among devices for the profile that the trace was measured on."""
BATCH_HELP = "Units a step: images, sequences, or sequences at one position."
BASELINE_HELP = (
    "same-params: every row runs every branch, nobody leaves early."
    " same-flops: one dense branch of the mean work, without routing.\n"
    "Only the pair tells the truth."
)
THRESHOLD_HELP = "Decide anew at the exits, from the scores that they kept. Empty: as captured."


def device_input(
    trace: Trace, label: str = "Device", key: str = "device", wanted: str | None = None
) -> str | None:
    """The name of a device's profile, None for the one that the trace was measured on."""
    known = known_devices(trace)
    warn_if_unknown(key, [_device_label(name, trace) for name in known])
    chosen = st.selectbox(
        label,
        known,
        _index(known, wanted or AS_MEASURED),
        key=key,
        bind="query-params",
        format_func=lambda name: _device_label(name, trace),
    )
    return None if chosen == AS_MEASURED else chosen


def known_devices(trace: Trace) -> list[str]:
    """Devices that a trace can be asked about, as they stand in a link."""
    as_measured = [] if trace.profile is None else [AS_MEASURED]
    return [*as_measured, *library.devices()]


def profile_of(trace: Trace, device: str | None) -> HardwareProfile:
    """The profile that a device's name stands for. Raises CondsimError where it cannot be read.

    device: of `device_input`, so that None is given only where the trace has a profile.
    """
    return resolve_profile(trace, None) if device is None else library.device(device)


def _device_label(name: str, trace: Trace) -> str:
    if name == AS_MEASURED and trace.profile is not None:
        return f"{trace.profile.name} (measured on)"
    return name


def strategy_input(
    trace: Trace,
    profile: HardwareProfile,
    label: str = "Strategy",
    key: str = "strategy",
    wanted: str | None = None,
) -> str | None:
    """One of the strategies that the device has, None for the captured one.

    None, too, where nothing says what the model executes.
    """
    if not trace.header.has_programs:
        return None
    known = strategies_on(trace, profile)
    captured = name_of(trace.header.captured)
    warn_if_unknown(key, known)
    usual = wanted if wanted in known else captured
    index = _index(known, usual)
    chosen = st.selectbox(label, known, index, key=key, bind="query-params")
    return None if chosen == captured else chosen


def phase_input(trace: Trace) -> str | None:
    """One of the trace's phases, None where it has only one."""
    phases = phases_of(trace)
    warn_if_unknown("phase", phases)
    if len(phases) == 1:
        return None
    return st.selectbox("Phase", phases, key="phase", bind="query-params")


def phases_of(trace: Trace) -> list[str]:
    """The phases of a trace, in their order."""
    return list(dict.fromkeys(trace.steps["phase"]))


def batch_input(
    trace: Trace,
    phase: str | None,
    label: str = "Batch",
    key: str = "batch",
    wanted: int | None = None,
    about: str | None = BATCH_HELP,
) -> int | None:
    """Units a step, None for the captured batch. phase: None where the trace has only one."""
    phase = phase or phases_of(trace)[0]
    usual = captured_batch(trace, phase)
    most = int(trace.steps.loc[trace.steps["phase"] == phase, "units"].sum())
    _keep_within(key, 1, most)
    start = usual if wanted is None or wanted > most else wanted
    chosen = st.number_input(label, 1, most, start, key=key, bind="query-params", help=about)
    return None if chosen == usual else int(chosen)


def baseline_input() -> str:
    """What the speedup is over."""
    warn_if_unknown("baseline", BASELINES)
    chosen = st.segmented_control(
        "Speedup over",
        BASELINES,
        default=BASELINES[0],
        required=True,
        key="baseline",
        bind="query-params",
        help=BASELINE_HELP,
    )
    return chosen or BASELINES[0]


def dtype_input(profile: HardwareProfile) -> str | None:
    """One of the dtypes that the device has, None for the profile's own."""
    known = list(profile.peak_flops)
    warn_if_unknown("dtype", known)
    index = known.index(profile.dtype)
    chosen = st.selectbox("dtype", known, index, key="dtype", bind="query-params")
    return None if chosen == profile.dtype else chosen


def runtime_input(profile: HardwareProfile) -> str | None:
    """One of the runtimes, None for the profile's own."""
    known = list(RUNTIMES)
    warn_if_unknown("runtime", known)
    usual = profile.runtime if profile.runtime in known else known[0]
    chosen = st.selectbox(
        "Runtime",
        known,
        known.index(usual),
        key="runtime",
        bind="query-params",
        help="How operators become kernels.",
    )
    return None if chosen == usual else chosen


def threshold_input(trace: Trace) -> float | None:
    """The threshold of all exits; None: as captured, or where a site has no threshold."""
    for site in trace.sites:
        if not MECHANISMS[site.mechanism].leaves or not site.has_scores:
            return None
    return st.number_input(
        "Exit threshold",
        value=None,
        key="threshold",
        bind="query-params",
        help=THRESHOLD_HELP,
        format="%g",
    )


def _index(known: Sequence[str], usual: str) -> int:
    """Place of the usual choice, 0 where it is not among those that are known."""
    return known.index(usual) if usual in known else 0


def warn_if_unknown(key: str, known: Sequence[str]) -> None:
    """Say where a link names what is not here, instead of quietly showing something else.

    known: as the browser shows them, since it writes the link.
    """
    asked = st.query_params.get(key)
    if asked is None or key in st.session_state or asked in known:
        return
    problem = markdown(str(unknown(key, asked, known)))
    st.warning(f"The link names {problem}. Showing the default instead.")


def _keep_within(key: str, low: int, high: int) -> None:
    """Keep a number that another trace allowed inside of what this one allows.

    Says where a link is outside of it.
    """
    if key in st.session_state:
        number = st.session_state[key] or 0
        if not low <= number <= high:
            del st.session_state[key]
        return
    asked = st.query_params.get(key)
    if asked is None or (asked.isdecimal() and low <= int(asked) <= high):
        return
    st.warning(
        f"The link names {key} {markdown(asked)}; this trace has {low} to {high}."
        " Showing the default instead."
    )
