"""Where did the saving go?"""

from __future__ import annotations

import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.shell import the_scenario
from condsim.plots import waterfall_figure
from condsim.show import sentence
from condsim.waterfall import bars

scenario = the_scenario()
found = library.answered(scenario)
p = found.prediction
st.markdown(f"#### {sentence(p)}")
drawn = bars(p.waterfall, p.speedup, p.speedup_interval, found.measured_speedup)
figure(
    "waterfall", charts.waterfall(drawn, p.baseline, height=420), drawn, lambda: waterfall_figure(p, found.measured_speedup), scenario,
    sentence(p), scenario.command("--plot", f"{scenario.name}.svg"), scenario.python("print(p.waterfall)"),
)  # fmt: skip
