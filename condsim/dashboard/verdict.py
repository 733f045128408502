"""Does it pay here?"""

from __future__ import annotations

import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure, take_away
from condsim.dashboard.parts.shell import the_scenario
from condsim.predict.waterfall import bars, losses
from condsim.show.plots import waterfall_figure
from condsim.show.text import number, percent, sentence, shares, si, times

scenario = the_scenario()
found = library.answered(scenario)
p, measured = found.prediction, found.measured

head, _, rest = sentence(p).partition(": ")
st.markdown(
    f"#### :{ ({'faster': 'green', 'slower': 'red'}.get(p.verdict, 'orange')) }-badge[{head}] {rest}"
)
others = [f"{times(v)} over {b}" for b, v in found.speedups.items() if b != p.baseline]
said = f"measured {times(found.measured_speedup)}" if measured else "not measured"
cards = (
    ("speedup", f"Over {p.baseline}", times(p.speedup), ", ".join([*others, said])),
    (
        "latency_s",
        "Latency a step",
        si(p.latency_s, "s"),
        f"p50 {si(p.percentile(50), 's')}, p99 {si(p.percentile(99), 's')}, dense {si(p.baseline_s, 's')}",
    ),
    ("energy_j", "Energy a step", si(p.energy_j, "J"), f"dense {si(p.baseline_energy_j, 'J')}"),
    ("peak_bytes", "Peak memory", si(p.peak_bytes, "B"), f"dense {si(p.baseline_peak_bytes, 'B')}"),
)
for column, (what, label, value, below) in zip(st.columns([4, 5, 3, 3]), cards, strict=True):
    column.metric(
        f"{label}, {p.bases[what]}", value, below, delta_color="off", delta_arrow="off", border=True
    )

left, right = st.columns([7, 5], gap="medium")
with left:
    st.markdown("**Where the FLOP saving went**")
    drawn = bars(p.waterfall, p.speedup, p.speedup_interval, found.measured_speedup)
    figure(
        "verdict",
        charts.waterfall(drawn, p.baseline, height=360),
        drawn,
        lambda: waterfall_figure(p, found.measured_speedup),
        scenario,
        sentence(p),
        scenario.command(),
        scenario.python(),
    )
with right:
    st.markdown("**What costs most**")
    lost = losses(p.waterfall).to_dict("records")
    st.markdown(
        "\n".join(
            f"- {r['meaning']} (`{r['world']}`): **x{number(r['factor'])}**, without it {times(r['without'])}"
            for r in lost
        )
        or "Nothing does."
    )
    st.markdown("**Is it true?**")
    if measured is None:
        st.markdown(
            f"Not measured on this device. `condsim measure {scenario.where}` times it on the machine that you are at."
        )
    else:
        st.markdown(
            f"- Measured **{times(measured['measured_speedup'])}** over {measured['pairs']} pairs, predicted {times(measured['predicted_speedup'])} "
            f"for the same steps: **{percent(measured['error'])}**.\n"
            f"- Latency measured {si(measured['measured_latency_s'], 's')}, dense {si(measured['measured_baseline_s'], 's')}."
            + ("\n- The machine was noisy while this was measured." if measured["noisy"] else "")
        )
    st.markdown(f"The prediction rests on {shares(p.estimated)}.")
    for note in p.notes:
        st.caption(note)
    numbers = found.table()
    st.code(scenario.command(), language="bash", wrap_lines=True)
    with st.container(horizontal=True):
        with st.popover("All numbers", icon=":material/table:"):
            st.dataframe(
                numbers,
                hide_index=True,
                key="numbers",
                alt="Every number of this page with its basis",
            )
        take_away("numbers", numbers, scenario, scenario.command("--json"), scenario.python())
