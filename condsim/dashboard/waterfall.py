"""Where did the saving go?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import waterfall as charts
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import simulate_command, simulate_python
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.second import second_scenario
from condsim.predict.prediction import Prediction
from condsim.predict.waterfall import WORLDS, bars, switched_off
from condsim.show.escape import markdown
from condsim.show.plots import waterfall_figure
from condsim.show.text import sentence, shares, spoken, times
from condsim.study.answer import Answer

EFFECTS = WORLDS[1:]
"""What can be switched off: the FLOP ratio, which all begins with, cannot."""
EVERY_EFFECT = "# with every effect; without some of them: in Python"
NUMBER = st.column_config.NumberColumn
COLUMNS: Mapping[str, Any] = {
    "world": "effect",
    "factor": NUMBER(format="x%.3f", help="Speedup with this effect over the speedup before it."),
    "alone": NUMBER(format="x%.3f", help="Its factor if it were the only effect."),
    "without": NUMBER(format="%.3fx", help="The speedup if this effect did not exist."),
    "speedup": NUMBER(format="%.3fx"),
    "conditional_ms": NUMBER(
        "conditional, ms a step",
        format="%.4g",
        help="What it adds to a step of the conditional model.",
    ),
    "baseline_ms": NUMBER(
        "dense, ms a step", format="%.4g", help="What it adds to a step of the dense model."
    ),
}
COLUMNS_OF_TWO: Mapping[str, Any] = {
    "world": "effect",
    "factor": NUMBER("first", format="x%.3f"),
    "second": NUMBER(format="x%.3f"),
    "ratio": NUMBER("second / first", format="x%.3f"),
}


@dataclass(frozen=True)
class World:
    """A scenario's prediction where some effects do not exist.

    off: names of those effects; empty: the world as it is. measured: of
    `condsim.study.answer.measured_beside`, None where an effect is off.
    """

    scenario: Scenario
    prediction: Prediction
    measured: Mapping[str, Any] | None
    off: Sequence[str] = ()

    @cached_property
    def bars(self) -> pd.DataFrame:
        """The waterfall as it is drawn."""
        p = self.prediction
        interval = None if self.off else p.speedup_interval
        return bars(p.waterfall, p.speedup, interval, self.measured)

    @property
    def says(self) -> str:
        """What is predicted, in one sentence."""
        p = self.prediction
        if not self.off:
            return sentence(p)
        effects = ", ".join(spoken(effect) for effect in self.off)
        return f"Without {effects}: {times(p.speedup)} over {p.baseline} on {p.profile}."

    @property
    def caption(self) -> str:
        """What was predicted."""
        p = self.prediction
        return f"{self.scenario.name}, {p.profile}, {p.strategy}, batch {p.batch}"

    def figure(self, name: str, height: int, beside: World | None = None) -> Figure:
        """The waterfall. beside: another world, which is to have the same axis."""
        p = self.prediction
        other = None if beside is None else beside.bars
        chart = charts.waterfall(self.bars, p.baseline, height, other)
        return Figure(
            name,
            chart,
            self.bars,
            draw=lambda: waterfall_figure(p, self.measured),
            says=self.says,
        )

    def recipe(self) -> Recipe:
        """How to get the same waterfall."""
        last = "print(p.waterfall)"
        if self.off:
            last = (
                "from condsim.predict.waterfall import switched_off\n"
                f"print(switched_off(p.waterfall, {list(self.off)}))"
            )
        file = f"{self.scenario.name}.svg"
        command = simulate_command(self.scenario, "--plot", file)
        if self.off:
            command += f"  {EVERY_EFFECT}"
        code = simulate_python(self.scenario, last)
        return Recipe(self.scenario, command, code)


def world_without(scenario: Scenario, answer: Answer, off: Sequence[str]) -> World:
    """A scenario's world where the effects named in `off` do not exist, on either side."""
    if not off:
        return World(scenario, answer.prediction, answer.measured)
    chain = switched_off(answer.prediction.waterfall, off)
    speedup = float(chain["speedup"].iloc[-1])
    later = replace(answer.prediction.later, waterfall=lambda: chain)
    interval = (speedup, speedup)
    prediction = replace(answer.prediction, later=later, speedup=speedup, speedup_interval=interval)
    return World(scenario, prediction, None, off)


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    answer = library.answer_to(scenario)
    headline = st.empty()
    off = boxes.some_of_few(
        "Switch effects off",
        EFFECTS,
        "off",
        spoken,
        help="As if this did not exist, on either side.",
    )
    second = second_scenario(scenario)
    world = world_without(scenario, answer, off)
    headline.markdown(f"#### {markdown(world.says)}")
    if second is None:
        show_one(world)
    else:
        second_answer = library.answer_to(second)
        show_two(world, world_without(second, second_answer, off))
    if off:
        whole = times(answer.prediction.speedup)
        st.info(
            f"With every effect it is {whole}. No interval and no measurement belong to a world"
            " that does not exist."
        )
    for words in captions(answer, off):
        st.caption(words)


def show_one(world: World) -> None:
    """Show a waterfall and its numbers."""
    show(world.figure("waterfall", 400), world.recipe())
    st.dataframe(
        numbers(world.prediction),
        hide_index=True,
        column_config=COLUMNS,
        key="chain",
        alt="Each effect: factor, speedup after it, alone, without it,"
        " milliseconds it adds to a step",
    )


def show_two(first: World, second: World) -> None:
    """Show two waterfalls on one axis, and what differs between them."""
    left, right = st.columns(2)
    with left:
        st.caption(markdown(first.caption))
        show(first.figure("waterfall", 340, second), first.recipe())
    with right:
        st.caption(markdown(second.caption))
        show(second.figure("waterfall-second", 340, first), second.recipe())
    st.markdown(
        "**What differs**: the second scenario's factor over the first's; their product is the"
        " quotient of the two speedups."
    )
    st.dataframe(
        factors_of_both(first.prediction, second.prediction),
        hide_index=True,
        column_order=["world", "meaning", "factor", "second", "ratio"],
        column_config=COLUMNS_OF_TWO,
        key="both",
        alt="Each effect's factor in both scenarios and their quotient",
    )


def numbers(prediction: Prediction) -> pd.DataFrame:
    """The waterfall for a person: spoken names, and the milliseconds that an effect adds to a step.

    Columns: world, meaning, factor, speedup, alone, without, conditional_ms, baseline_ms.
    """
    chain = prediction.waterfall
    steps = len(prediction.steps)
    conditional_s = chain["conditional_s"] / steps
    baseline_s = chain["baseline_s"] / steps
    table = chain.drop(columns=["conditional_s", "baseline_s"])
    return table.assign(
        world=chain["world"].map(spoken),
        conditional_ms=conditional_s * 1e3,
        baseline_ms=baseline_s * 1e3,
    )


def factors_of_both(first: Prediction, second: Prediction) -> pd.DataFrame:
    """Each effect's factor in both, and their quotient: meaning, factor, world, second, ratio."""
    chain = first.waterfall
    first_factor = chain["factor"]
    second_factor = second.waterfall["factor"]
    names = chain["world"].map(spoken)
    table = chain[["meaning", "factor"]]
    return table.assign(world=names, second=second_factor, ratio=second_factor / first_factor)


def captions(answer: Answer, off: Sequence[str]) -> list[str]:
    """What the numbers rest on. off: effects that are switched off."""
    p, measured = answer.prediction, answer.measured
    words = [
        f"Predicted, {p.basis}: rests on {shares(p.estimated)}."
        " Switching off, alone and without are simulated as well."
    ]
    if measured is not None and not off:
        predicted = times(measured["predicted_speedup"])
        words.append(
            f"The measured bar is {measured['pairs']} pairs on this device, protocol"
            f" {measured['protocol']}; for exactly these steps {predicted} is predicted."
        )
    return words


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
