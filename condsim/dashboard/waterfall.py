"""Where did the saving go?"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from condsim.answer import Answer
from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.inputs import second_scenario
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.shell import the_scenario
from condsim.plots import waterfall_figure
from condsim.show import sentence
from condsim.waterfall import WORLDS, bars, switched_off

COLUMNS = {
    "factor": st.column_config.NumberColumn(format="x%.3f", help="Speedup with this effect over the speedup before it."),
    "alone": st.column_config.NumberColumn(format="x%.3f", help="Its factor if it were the only effect."),
    "without": st.column_config.NumberColumn(format="%.3fx", help="The speedup if this effect did not exist."),
    "speedup": st.column_config.NumberColumn(format="%.3fx"),
    "conditional_s": st.column_config.NumberColumn("conditional, s", format="%.3e"),
    "baseline_s": st.column_config.NumberColumn("dense, s", format="%.3e"),
}


def shown(found: Answer, scenario: Scenario, name: str, off: list[str], height: int) -> pd.DataFrame:
    """Draw one scenario's waterfall. Returns its chain."""
    p = found.prediction
    chain = switched_off(p.waterfall, off) if off else p.waterfall
    end = float(chain["speedup"].iloc[-1]) if off else p.speedup
    interval = (end, end) if off else p.speedup_interval
    drawn = bars(chain, end, interval, None if off else found.measured_speedup)
    python = scenario.python(f"from condsim.waterfall import switched_off\nprint(switched_off(p.waterfall, {off}))" if off else "print(p.waterfall)")
    pictured = replace(p, _waterfall=lambda: chain, speedup=end, speedup_interval=interval)
    figure(
        name, charts.waterfall(drawn, p.baseline, height), drawn, lambda: waterfall_figure(pictured, None if off else found.measured_speedup), scenario,
        sentence(p), scenario.command("--plot", f"{scenario.name}.svg"), python,
    )  # fmt: skip
    return chain


scenario = the_scenario()
found = library.answered(scenario)
st.markdown(f"#### {sentence(found.prediction)}")
off = st.pills("Switch effects off", WORLDS[1:], selection_mode="multi", key="off", bind="query-params", help="As if this did not exist, on either side.")
second = second_scenario(scenario)
if second is None:
    chain = shown(found, scenario, "waterfall", off, 400)
    st.dataframe(chain, hide_index=True, column_config=COLUMNS, key="chain", alt="Each effect: factor, speedup after it, alone, without it, seconds it adds")
else:
    other = library.answered(second)
    left, right = st.columns(2)
    with left:
        st.caption(f"{scenario.name}, {found.prediction.profile}, {found.prediction.strategy}, batch {found.prediction.batch}")
        chain = shown(found, scenario, "waterfall", off, 340)
    with right:
        st.caption(f"{second.name}, {other.prediction.profile}, {other.prediction.strategy}, batch {other.prediction.batch}")
        beside = shown(other, second, "waterfall-second", off, 340)
    both = chain[["world", "meaning", "factor"]].assign(second=beside["factor"], ratio=beside["factor"] / chain["factor"])
    st.markdown("**What differs**: the second scenario's factor over the first's; their product is the quotient of the two speedups.")
    names = {"factor": COLUMNS["factor"], "second": COLUMNS["factor"], "ratio": st.column_config.NumberColumn(format="x%.3f")}
    st.dataframe(both, hide_index=True, column_config=names, key="both", alt="Each effect's factor in both scenarios and their quotient")
if off:
    st.info(f"Without {', '.join(off)}: no interval and no measurement belong to a world that does not exist.")
if found.measured_speedup is not None and not off and found.measured is not None:
    own = found.measured["predicted_speedup"]
    st.caption(f"The measured bar is {found.measured['pairs']} pairs on this device; its own steps were predicted as {own:.2f}x.")
