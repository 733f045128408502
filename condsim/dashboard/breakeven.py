"""When does it start or stop paying?"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import breakeven as charts
from condsim.dashboard.charts.breakeven import UNSURE
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.current import captured_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import keywords, simulate_command, simulate_python
from condsim.dashboard.parts.scenario import FIELDS, Scenario
from condsim.dashboard.parts.work import Job, results_of
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.predict.verdict import PAYS
from condsim.show.breakeven import where_it_pays, without_effect_line
from condsim.show.breakeven_figure import breakeven_figure
from condsim.show.escape import markdown
from condsim.study.breakeven import (
    BATCH,
    SHARE,
    SKEW,
    axes,
    check_values,
    grid,
    without_effect,
    zones,
)

NOTHING = "nothing"
"""Stands among axes for having one axis only."""
TITLES = {
    NOTHING: NOTHING,
    BATCH: "batch",
    SKEW: "skew of the experts (Zipf exponent)",
    SHARE: "share of rows or blocks that run",
}
"""Axis → what it is called. Every other axis is a number of the profile."""
ONE_SCENARIO = "# one point of them; all points: in Python"
MOST_VALUES = 40
TOO_LARGE = 1e15


@dataclass(frozen=True)
class Axes:
    """What is varied, and over which values. y: None for a line."""

    x: str
    xs: Sequence[float]
    y: str | None = None
    ys: Sequence[float] = ()

    @property
    def names(self) -> set[str]:
        """Of the axes that are varied."""
        return {self.x} if self.y is None else {self.x, self.y}

    @property
    def points(self) -> int:
        """How many points there are."""
        return len(self.xs) * max(len(self.ys), 1)

    @property
    def titles(self) -> tuple[str, str | None]:
        """(of x, of y), for a person."""
        return title(self.x), None if self.y is None else title(self.y)


def page() -> None:
    """Lay the page out."""
    scenario = captured_scenario()
    trace = library.open_trace(scenario.name)
    profile = resolve_profile(trace, scenario.profile(trace, library.device))
    varied = axes_input(axes(trace, profile))
    options = options_of(scenario, varied)

    def simulate_all() -> Iterator[dict[str, Any]]:
        return grid(trace, profile, varied.x, varied.xs, varied.y, varied.ys, **options)

    request = (scenario, astuple(varied))  # plain values: Streamlit makes the page's classes anew
    job = Job("breakeven", request, varied.points, simulate_all, at_once=False)
    results = results_of(job)
    points = pd.DataFrame([result for result in results if "speedup" in result])
    if points.empty:
        show_that_nothing_is_there(results)
        return
    st.markdown(headline(points, varied))
    st.caption(markdown(caption(points, varied, profile)))
    show(figure_of(points, varied), recipe(scenario, varied))
    if "x" not in without_effect(points):
        show_zones(points, varied)
    for problem in problems(results):
        st.caption(markdown(problem))


def title(axis: str) -> str:
    """An axis for a person."""
    return TITLES.get(axis, f"{axis}, times what it is")


def axes_input(known: Mapping[str, list[float]]) -> Axes:
    """Let the user choose axes and values. known: axis → its usual values.

    Raises CondsimError for values that are not numbers.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        x = boxes.one_of("Along", list(known), next(iter(known)), "x", title)
        xs_text = boxes.text("Its values", "xs", placeholder=listed(known[x]))
        others = [NOTHING, *(axis for axis in known if axis != x)]
        y = boxes.one_of("And against", others, usual_y(known, others), "y", title)
        is_line = y == NOTHING
        usual = known.get(y, [])
        ys_text = boxes.text("Its values ", "ys", placeholder=listed(usual), disabled=is_line)
    xs = axis_values(x, xs_text, known[x])
    if is_line:
        return Axes(x, tuple(xs))
    return Axes(x, tuple(xs), y, tuple(axis_values(y, ys_text, usual)))


def usual_y(known: Container[str], others: Sequence[str]) -> str:
    """The second axis at first: what the routing is varied by; none if that is x.

    others: what can be chosen, NOTHING first.
    """
    of_routing = [axis for axis in (SHARE, SKEW) if axis in known]
    return of_routing[0] if of_routing and of_routing[0] in others else NOTHING


def axis_values(axis: str, text: str | None, usual: list[float]) -> list[float]:
    """`values` of an axis. Raises CondsimError also for a batch that is not whole."""
    numbers = values(text, usual)
    check_values(axis, numbers)
    return numbers


def listed(numbers: Sequence[float]) -> str:
    """Numbers as a user may write them."""
    return ", ".join(f"{value:g}" for value in numbers)


def values(text: str | None, usual: list[float]) -> list[float]:
    """Numbers of a text field, ascending; the usual ones where it is empty.

    Raises CondsimError for what is not a list of numbers.
    """
    if not text or not text.strip():
        return usual
    parts = [part for part in text.replace(";", ",").split(",") if part.strip()]
    try:
        numbers = sorted({float(part) for part in parts})
    except ValueError as error:
        example = listed(usual[:3])
        raise CondsimError(
            f"{text!r} is not a list of numbers ({error}); write for example {example}"
        ) from None
    finite = all(abs(value) < TOO_LARGE for value in numbers)
    if not finite or not 1 <= len(numbers) <= MOST_VALUES:
        raise CondsimError(f"an axis takes 1 to {MOST_VALUES} finite numbers, got {text!r}")
    return numbers


def options_of(scenario: Scenario, varied: Axes) -> dict[str, Any]:
    """Arguments of `condsim.simulate` at every point: those of the scenario that do not vary."""
    options = {"strategy": scenario.strategy, "baseline": scenario.baseline}
    for name, value in scenario.options().items():
        if value is not None and name not in varied.names:
            options[name] = value
    return options


def show_that_nothing_is_there(results: Sequence[Mapping[str, Any]]) -> None:
    """Say why there is no point to draw. results: so far."""
    if results:
        st.error(markdown(str(results[0].get("error"))), title="No point could be simulated")
    else:
        st.info("It runs when you press Run, and can be stopped; what is done by then is shown.")


def problems(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why points are missing, each reason once."""
    reasons = [result["error"] for result in results if "error" in result]
    return list(dict.fromkeys(reasons))


def headline(points: pd.DataFrame, varied: Axes) -> str:
    """Where it pays in one sentence, or that what is varied has no effect."""
    dead = without_effect(points)
    if len(dead) == len(varied.names):
        names = [title(varied.x), *([] if varied.y is None else [title(varied.y)])]
        return f"#### {markdown(without_effect_line(points, names))}"
    return f"#### {markdown(where_it_pays(points, title(varied.x), varied.points))}"


def show_zones(points: pd.DataFrame, varied: Axes) -> None:
    """Show where it pays, for each value of the second axis."""
    x_title, y_title = varied.titles
    found = zones(points)
    shown = found.assign(verdict=found["verdict"].map(PAYS))
    if y_title is None:
        shown = shown.drop(columns="y")
    st.dataframe(
        shown,
        hide_index=True,
        key="zones",
        alt="Where it pays, and where not",
        column_config={"y": y_title, "first": f"{x_title}, from", "last": "to"},
    )


def count_unsure(points: pd.DataFrame) -> int:
    """How many points are too close to call."""
    return int((points["verdict"] == UNSURE).sum())


def caption(points: pd.DataFrame, varied: Axes, profile: HardwareProfile) -> str:
    """What the points rest on."""
    basis = "calibrated" if profile.calibrated else "estimated"
    words = [
        f"{count_unsure(points)} of {len(points)} points are too close to call (?, dashed):"
        " their 90 % interval holds 1x. Values between the points were not simulated.",
        f"Predicted on {profile.name}, {basis}.",
    ]
    dead = without_effect(points)
    if len(dead) == 1 and varied.y is not None:
        name = varied.x if dead == ["x"] else varied.y
        words.append(without_effect_line(points, [title(name)]))
    if varied.names & {SKEW, SHARE}:
        words.append(
            "Routing is drawn anew for this axis: the model's own decisions are not these."
        )
    if varied.names - {BATCH, SKEW, SHARE}:
        words.append("A profile number that is varied counts as estimated.")
    return " ".join(words)


def figure_of(points: pd.DataFrame, varied: Axes) -> Figure:
    """The speedup over the axes."""
    x_title, y_title = varied.titles
    if y_title is None:
        chart = charts.line(points, x_title)
    else:
        chart = charts.heat_map(points, x_title, y_title)
    return Figure(
        "breakeven",
        chart,
        points,
        draw=lambda: breakeven_figure(points, varied.titles),
        says="Speedup over the chosen axes",
    )


def recipe(scenario: Scenario, varied: Axes) -> Recipe:
    """How to get the same points."""
    typed = command(scenario, varied)
    run = code(scenario, varied)
    return Recipe(scenario, typed, run)


def command(scenario: Scenario, varied: Axes) -> str:
    """What to type: a loop over batches; for other axes, which have no flag, the scenario only."""
    if varied.names != {BATCH}:
        return f"{simulate_command(scenario)}  {ONE_SCENARIO}"
    names = [name for name in FIELDS if name != BATCH]
    one = simulate_command(scenario, names=names)
    batches = " ".join(f"{value:g}" for value in varied.xs)
    return f"for batch in {batches}; do {one} --batch $batch; done"


def code(scenario: Scenario, varied: Axes) -> str:
    """What to run in Python."""
    arguments = ["trace", repr(scenario.device), repr(varied.x), repr(list(varied.xs))]
    if varied.y is not None:
        arguments += [repr(varied.y), repr(list(varied.ys))]
    arguments += keywords(options_of(scenario, varied))
    joined = ", ".join(arguments)
    return simulate_python(
        scenario,
        "import pandas as pd\n"
        "from condsim.study.breakeven import grid, zones\n\n"
        f"points = pd.DataFrame(grid({joined}))\n"
        "print(points, zones(points))",
    )


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
