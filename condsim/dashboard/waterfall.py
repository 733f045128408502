"""Where did the saving go?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.inputs import second_scenario
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.shell import the_scenario
from condsim.predict.prediction import Prediction
from condsim.predict.waterfall import WORLDS, bars, switched_off
from condsim.show.plots import waterfall_figure
from condsim.show.text import sentence, shares, spoken, times
from condsim.study.answer import Answer

COLUMNS: dict[str, Any] = {
    "world": "effect",
    "factor": st.column_config.NumberColumn(
        format="x%.3f", help="Speedup with this effect over the speedup before it."
    ),
    "alone": st.column_config.NumberColumn(
        format="x%.3f", help="Its factor if it were the only effect."
    ),
    "without": st.column_config.NumberColumn(
        format="%.3fx", help="The speedup if this effect did not exist."
    ),
    "speedup": st.column_config.NumberColumn(format="%.3fx"),
    "conditional_ms": st.column_config.NumberColumn(
        "conditional, ms a step",
        format="%.4g",
        help="What it adds to a step of the conditional model.",
    ),
    "baseline_ms": st.column_config.NumberColumn(
        "dense, ms a step", format="%.4g", help="What it adds to a step of the dense model."
    ),
}


@dataclass(frozen=True)
class World:
    """One scenario's waterfall as it is drawn, with the effects that are switched off. measured: None where the world does not exist."""

    scenario: Scenario
    prediction: Prediction
    measured: float | None
    chain: pd.DataFrame
    bars: pd.DataFrame

    @classmethod
    def of(cls, scenario: Scenario, found: Answer, off: list[str]) -> World:
        p, measured = found.prediction, found.measured_speedup
        if off:
            chain, measured = switched_off(p.waterfall, off), None
            end = float(chain["speedup"].iloc[-1])
            p = replace(p, _waterfall=lambda: chain, speedup=end, speedup_interval=(end, end))
        return cls(
            scenario,
            p,
            measured,
            p.waterfall,
            bars(p.waterfall, p.speedup, p.speedup_interval, measured),
        )

    def show(self, name: str, off: list[str], height: int, beside: World | None = None) -> None:
        """Draw it. beside: what is to have the same axis."""
        python = self.scenario.python(
            f"from condsim.predict.waterfall import switched_off\nprint(switched_off(p.waterfall, {off}))"
            if off
            else "print(p.waterfall)"
        )
        chart = charts.waterfall(
            self.bars, self.prediction.baseline, height, None if beside is None else beside.bars
        )
        figure(
            name,
            chart,
            self.bars,
            lambda: waterfall_figure(self.prediction, self.measured),
            self.scenario,
            sentence(self.prediction),
            self.scenario.command("--plot", f"{self.scenario.name}.svg"),
            python,
        )


scenario = the_scenario()
found = library.answered(scenario)
st.markdown(f"#### {sentence(found.prediction)}")
about = "As if this did not exist, on either side."
off = st.pills(
    "Switch effects off",
    WORLDS[1:],
    selection_mode="multi",
    format_func=spoken,
    key="off",
    bind="query-params",
    help=about,
)
second = second_scenario(scenario)
here = World.of(scenario, found, off)
chain = here.chain
if second is None:
    here.show("waterfall", off, 400)
    steps = len(found.prediction.steps)
    table = chain.assign(
        world=chain["world"].map(spoken),
        **{f"{side}_ms": chain[f"{side}_s"] / steps * 1e3 for side in ("conditional", "baseline")},
    )
    st.dataframe(
        table.drop(columns=["conditional_s", "baseline_s"]),
        hide_index=True,
        column_config=COLUMNS,
        key="chain",
        alt="Each effect: factor, speedup after it, alone, without it, milliseconds it adds to a step",
    )
else:
    there = World.of(second, library.answered(second), off)
    for column, world, other, name in zip(
        st.columns(2), (here, there), (there, here), ("waterfall", "waterfall-second"), strict=True
    ):
        with column:
            p = world.prediction
            st.caption(f"{world.scenario.name}, {p.profile}, {p.strategy}, batch {p.batch}")
            world.show(name, off, 340, other)
    second_factor = there.chain["factor"]
    both = chain[["meaning", "factor"]].assign(
        world=chain["world"].map(spoken),
        second=second_factor,
        ratio=second_factor / chain["factor"],
    )
    st.markdown(
        "**What differs**: the second scenario's factor over the first's; their product is the quotient of the two speedups."
    )
    form = st.column_config.NumberColumn
    names: dict[str, Any] = {
        "world": "effect",
        "factor": form("first", format="x%.3f"),
        "second": form(format="x%.3f"),
        "ratio": form("second / first", format="x%.3f"),
    }
    about, order = (
        "Each effect's factor in both scenarios and their quotient",
        ["world", "meaning", "factor", "second", "ratio"],
    )
    st.dataframe(
        both, hide_index=True, column_order=order, column_config=names, key="both", alt=about
    )
if off:
    st.info(
        f"Without {', '.join(map(spoken, off))}: no interval and no measurement belong to a world that does not exist."
    )
st.caption(
    f"Predicted, {found.prediction.basis}: rests on {shares(found.prediction.estimated)}. Switching off, alone and without are simulated as well."
)
if found.measured is not None and not off:
    own = times(found.measured["predicted_speedup"])
    st.caption(
        f"The measured bar is {found.measured['pairs']} pairs on this device; for exactly these steps {own} is predicted."
    )
