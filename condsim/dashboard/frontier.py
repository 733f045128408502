"""Is it faster at equal quality?"""

from __future__ import annotations

import shlex
from pathlib import Path

import streamlit as st

from condsim.dashboard.charts import frontier as charts
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import flags
from condsim.dashboard.parts.scenario import Scenario
from condsim.decide.frontier.frontier import Frontier, frontier
from condsim.decide.frontier.settings import FOLDER, RIVALS, traces_in
from condsim.decide.noise.noise import FOLDER as NOISE
from condsim.decide.noise.noise import NoiseReport, noise
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.show.escape import markdown
from condsim.show.frontier import points_listing
from condsim.show.frontier_figure import frontier_figure
from condsim.show.noise import inputs_listing, noise_sentence, paths_listing
from condsim.trace import Trace

TARGETS = ("1.1", "1.3", "1.5", "2")
TOLERANCES = ("0", "0.005", "0.01", "0.02")


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = boxes.one_of("Times as fast", TARGETS, "1.3", "target")
        tolerance = boxes.one_of("As good: at most worse by", TOLERANCES, "0.005", "tolerance")
    found = compared(scenario, float(target), float(tolerance))
    st.markdown(f"#### {markdown(found.sentence)}")
    if found.rival_sentence:
        st.markdown(markdown(found.rival_sentence))
    show(figure_of(found), recipe(scenario, target, tolerance))
    words = points_listing(found).for_page()
    st.dataframe(words, hide_index=True, key="points", alt="Every point")
    for note in found.notes:
        st.caption(markdown(note))
    show_noise(scenario)


def compared(scenario: Scenario, target: float, tolerance: float) -> Frontier:
    """Quality against speed on the chosen device, computed once."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> Frontier:
        folder = folder_of(scenario)
        return frontier(
            trace,
            resolve_profile(trace, profile),
            [scenario.changed().get("batch")],
            settings=traces_in(folder / FOLDER),
            rivals=traces_in(folder / RIVALS),
            target=target,
            tolerance=tolerance,
            phase=scenario.changed().get("phase"),
        )

    return library.computed_once(f"frontier {target} {tolerance}", scenario, compute)


def folder_of(scenario: Scenario) -> Path:
    """Where the trace is."""
    return library.traces()[scenario.name]


def figure_of(found: Frontier) -> Figure:
    """Quality against speed."""
    return Figure(
        "frontier",
        charts.points(found.points, found.quality_name, found.target, found.higher_is_better),
        found.points,
        draw=lambda: frontier_figure(found),
        says="Quality of each setting and dense rival against its speed",
    )


def show_noise(scenario: Scenario) -> None:
    """Show what noise on the inputs does, where that was captured."""
    folder = folder_of(scenario)
    noisy = traces_in(folder / NOISE)
    if not noisy:
        return
    found = noise_of(scenario)
    st.markdown(f"**Noisy inputs.** {markdown(noise_sentence(found))}")
    inputs, paths = inputs_listing(found).for_page(), paths_listing(found).for_page()
    st.dataframe(inputs, hide_index=True, key="noise", alt="Clean and noisy inputs")
    st.dataframe(paths, hide_index=True, key="paths", alt="Quality by path")


def noise_of(scenario: Scenario) -> NoiseReport:
    """What noise does on the chosen device, computed once."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> NoiseReport:
        noisy = traces_in(folder_of(scenario) / NOISE)
        changed = scenario.changed()
        asked = {name: changed.get(name) for name in ("batch", "phase")}
        return noise(trace, profile, noisy=noisy, **asked)

    return library.computed_once("noise", scenario, compute)


def recipe(scenario: Scenario, target: str, tolerance: str) -> Recipe:
    """How to get the same."""
    words = ["condsim", "frontier", scenario.where, *flags(scenario, ("device", "batch", "phase"))]
    words += ["--target", target, "--tolerance", tolerance]
    changed = scenario.changed()
    arguments = [repr(scenario.where)]
    if "device" in changed:
        arguments.append(repr(changed["device"]))
    arguments += [f"target={target}", f"tolerance={tolerance}"]
    if "phase" in changed:
        arguments.append(f"phase={changed['phase']!r}")
    line = f"print(condsim.frontier({', '.join(arguments)}).sentence)"
    return Recipe(scenario, shlex.join(words), f"import condsim\n\n{line}")


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
