"""Inputs of a scenario, one function each, bound to the query of the link.

Each gives None where its default is chosen, as the fields of a scenario do. An input that a second
scenario has as well takes its label and its key, and what is `wanted` at first.
"""

from __future__ import annotations

import streamlit as st

from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.models import asked_model
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.mechanisms import MECHANISMS
from condsim.predict.choose import choose_strategies, strategies_of_runtime, strategies_on
from condsim.predict.simulate import resolve_profile
from condsim.protocols import PROTOCOLS, usual
from condsim.runtimes import choose_runtime, runtimes_of
from condsim.runtimes.runtime import SERVED
from condsim.steps.rebatch import captured_batch
from condsim.strategies import BASELINES, name_of
from condsim.trace import Trace

AS_MEASURED = "as-measured"
"""Stands among devices for the profile that the trace was measured on."""
BATCH_HELP = "Units a step: images, sequences, or sequences at one position."
BASELINE_HELP = (
    "same-params: every row runs every branch, nobody leaves early."
    " same-flops: one dense branch of the mean work, without routing.\n"
    "Only the pair tells the truth."
)
PROTOCOL_HELP = "\n".join(f"- {protocol.says}." for protocol in PROTOCOLS.values())
THRESHOLD_HELP = "Decide anew at the exits, from the scores that they kept. Empty: as captured."


def trace_input() -> str | None:
    """The name of a trace, None where none was chosen yet. What was chosen cannot be taken away."""
    if st.session_state.get("trace") is None and "last trace" in st.session_state:
        st.session_state["trace"] = st.session_state["last trace"]
    named = st.session_state.get("trace") or st.query_params.get("trace")
    models = [named] if asked_model(named) is not None else []
    names = [*library.traces(), *models]
    boxes.settle("trace", boxes.OneOf("trace", names, None))
    chosen = st.selectbox(
        "Trace",
        names,
        index=None,
        key="trace",
        bind=boxes.BOUND,
        placeholder="Choose a trace",
    )
    if chosen is not None:
        st.session_state["last trace"] = chosen
    return chosen


def device_input(
    trace: Trace, label: str = "Device", key: str = "device", wanted: str | None = None
) -> str | None:
    """The name of a device's profile, None for the one that the trace was measured on."""
    known = known_devices(trace)
    usual = wanted or AS_MEASURED
    chosen = boxes.one_of(
        label,
        known,
        usual if usual in known else known[0],
        key,
        text=lambda name: _device_label(name, trace),
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
    runtime: str | None,
    label: str = "Strategy",
    key: str = "strategy",
    wanted: str | None = None,
) -> str | None:
    """One of the strategies that the device has, None for the captured one.

    None, too, where nothing says what the model executes. runtime: of `runtime_input`. Raises
    CondsimError where the device has no strategy at all.
    """
    if not trace.header.has_programs:
        return None
    known = strategies_on(trace, profile, runtime)
    if not known:
        raise CondsimError(
            f"{profile.name} can run trace {trace.name!r} with no strategy; choose another device"
        )
    captured = name_of(trace.header.captured)
    how = choose_runtime(runtime, profile)
    own = name_of(strategies_of_runtime(trace, choose_strategies(trace, None), how))
    if own != captured:  # what runs where no strategy is named
        captured, known = own, list(dict.fromkeys([own, *known]))
    usual = next((name for name in (wanted, captured) if name in known), known[0])
    chosen = boxes.one_of(label, known, usual, key)
    return None if chosen == captured else chosen


def phase_input(trace: Trace) -> str | None:
    """One of the trace's phases, None where it has only one."""
    phases = phases_of(trace)
    if len(phases) == 1:
        boxes.absent("phase", f"a phase; this trace has only {phases[0]}")
        return None
    return boxes.one_of("Phase", phases, phases[0], "phase")


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
    captured = captured_batch(trace, phase)
    most = int(trace.steps.loc[trace.steps["phase"] == phase, "units"].sum())
    usual = captured if wanted is None or wanted > most else wanted
    chosen = boxes.whole_number(label, 1, most, usual, key, help=about)
    return None if chosen == captured else chosen


def baseline_input() -> str:
    """What the speedup is over."""
    return boxes.one_of_few("Speedup over", BASELINES, "baseline", help=BASELINE_HELP)


def dtype_input(profile: HardwareProfile) -> str | None:
    """One of the dtypes that the device has, None for the profile's own."""
    chosen = boxes.one_of("dtype", list(profile.peak_flops), profile.dtype, "dtype")
    return None if chosen == profile.dtype else chosen


def runtime_input(profile: HardwareProfile, served: bool = False) -> str | None:
    """One of the runtimes that the device has, None for the profile's own.

    served: at first as serving engines run a model, where the device can.
    """
    own = choose_runtime(None, profile).name
    usual = SERVED.name if served and SERVED.is_for(profile) else own
    chosen = boxes.one_of(
        "Runtime",
        runtimes_of(profile),
        usual,
        "runtime",
        help="How operators become kernels.",
    )
    return None if chosen == own else chosen


def protocol_input(trace: Trace, phase: str | None) -> str | None:
    """What runs between two runs of a step, None for what is usual for the trace's phase."""
    steps = trace.captured_steps(phase or phases_of(trace)[0])
    default = usual(steps).name
    chosen = boxes.one_of("Protocol", list(PROTOCOLS), default, "protocol", help=PROTOCOL_HELP)
    return None if chosen == default else chosen


def threshold_input(trace: Trace) -> float | None:
    """The threshold of all exits; None: as captured, or where a site has no threshold."""
    for site in trace.sites:
        if not MECHANISMS[site.mechanism].leaves or not site.has_scores:
            boxes.absent("threshold", "a threshold; this trace has not only exits with scores")
            return None
    return boxes.number("Exit threshold", "threshold", help=THRESHOLD_HELP, format="%g")
