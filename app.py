"""condsim in a browser: one trace, predicted beside measured, and where the FLOP saving went. `streamlit run app.py` (or `make app`).

A first page: it calls `condsim.simulate` and `condsim.compare` and shows what they return, computing nothing of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st

import condsim
from condsim.hardware import profiles
from condsim.resources import resource
from condsim.show import si, times
from condsim.simulate import strategies_of
from condsim.trace import Trace

CAPTURE = """import condsim

trace = condsim.capture(model, inputs)
trace.save("my-trace")"""


def found() -> dict[str, Path]:
    """Traces by name: those that come with condsim, of the demo, and of this folder."""
    places = [resource("traces"), Path("demo-out"), Path(os.environ.get("CONDSIM_TRACES", "."))]
    return {p.parent.name: p.parent for place in places if place.is_dir() for p in sorted(place.glob("*/trace.json"))}


@st.cache_resource(max_entries=4)
def opened(folder: str) -> Trace:
    return condsim.load(folder)


def waterfall(rows: pd.DataFrame, predicted: float, measured: float | None) -> alt.Chart:
    """Bars on a log axis; totals start at 1x, the dense baseline."""
    names, starts, ends = list(rows["world"]), [1.0, *rows["speedup"].iloc[:-1]], list(rows["speedup"])
    labels = [f"{ends[0]:.2f}x", *("x1" if f == 1 else f"x{f:.2f}" for f in rows["factor"].iloc[1:])]
    for name, value in (("predicted", predicted), ("measured", measured)):
        if value is not None:
            names, starts, ends, labels = [*names, name], [*starts, 1.0], [*ends, value], [*labels, f"{value:.2f}x"]
    total = {"flops", "predicted", "measured"}
    kind = ["total" if n in total else "gain" if e >= s else "loss" for n, s, e in zip(names, starts, ends, strict=True)]
    table = pd.DataFrame({"effect": names, "from": starts, "to": ends, "label": labels, "kind": kind})
    table["top"] = table[["from", "to"]].max(axis=1)
    scale = alt.Scale(type="log", nice=False, padding=12)
    base = alt.Chart(table).encode(x=alt.X("effect", sort=None, title=None, axis=alt.Axis(labelAngle=-35, labelOverlap=False)))
    colour = alt.Color("kind", scale=alt.Scale(domain=["total", "gain", "loss"], range=["#4c72b0", "#55a868", "#c44e52"]), legend=None)
    bars = base.mark_bar().encode(
        y=alt.Y("from", scale=scale, title="speedup over the dense baseline"), y2="to", color=colour, tooltip=["effect", "label", "to"]
    )
    text = base.mark_text(dy=-8).encode(y=alt.Y("top", scale=scale), text="label")
    dense = alt.Chart(pd.DataFrame({"y": [1.0]})).mark_rule(strokeDash=[4, 4]).encode(y=alt.Y("y", scale=scale))
    return bars + text + dense


def page() -> None:
    st.title("Does conditional computation pay here?")
    traces = found()
    if not traces:
        st.info("No trace yet. `condsim demo` makes some, or capture your own model:")
        st.code(CAPTURE)
        return
    name = st.sidebar.selectbox("Trace", list(traces))
    trace = opened(str(traces[name]))
    own = [trace.profile.name] if trace.profile is not None else []
    chosen = st.sidebar.selectbox("Device", [*own, *(p for p in profiles() if p not in own)])
    profile = trace.profile if chosen in own else condsim.hardware(chosen)
    strategy = st.sidebar.selectbox("Strategy", strategies_of(trace))
    baseline = st.sidebar.radio("Speedup over", ["same-params", "same-flops"])
    phases = list(dict.fromkeys(trace.steps["phase"]))
    phase = st.sidebar.selectbox("Phase", phases) if len(phases) > 1 else phases[0]
    captured = int(trace.steps.loc[trace.steps["phase"] == phase, "units"].mode().iloc[0])
    batch = int(st.sidebar.number_input("Batch", 1, int(trace.units), captured))
    p = condsim.simulate(trace, profile, strategy, batch, baseline, phase=phase)
    table = condsim.compare([trace], profile)
    same = table[table["same_machine"] & (table["strategy"] == p.strategy) & (table["baseline"] == baseline) & (table["batch"] == batch)]
    measured = float(same["measured_speedup"].iloc[0]) if len(same) else None

    columns = st.columns(4)
    columns[0].metric("speedup", times(p.speedup), f"{p.verdict}, {p.speedup_interval[0]:.2f} ... {p.speedup_interval[1]:.2f}", "off", delta_arrow="off")
    columns[1].metric("latency", si(p.latency_s, "s"), f"dense {si(p.baseline_s, 's')}", "off", delta_arrow="off")
    columns[2].metric("energy (estimated)", si(p.energy_j, "J"), f"dense {si(p.baseline_energy_j, 'J')}", "off", delta_arrow="off")
    columns[3].metric("peak memory", si(p.peak_bytes, "B"), f"dense {si(p.baseline_peak_bytes, 'B')}", "off", delta_arrow="off")
    st.caption(f"{p.basis}; rests on " + ", ".join(f"{basis} {share:.0%}" for basis, share in p.estimated.items()))
    st.subheader("Where the FLOP saving went")
    st.altair_chart(waterfall(p.waterfall, p.speedup, measured), width="stretch")
    st.subheader("Predicted and measured")
    if table.empty:
        st.write(f"Not measured: `condsim measure {traces[name]}` does it on this machine.")
    else:
        shown = ["strategy", "batch", "phase", "baseline", "predicted_speedup", "measured_speedup", "error", "same_machine"]
        st.dataframe(table[shown], hide_index=True, width="stretch")


try:
    page()
except condsim.CondsimError as error:
    st.error(str(error))
