"""Which device, strategy, model?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.inputs import AS_MEASURED
from condsim.dashboard.parts.scenario import Scenario, python
from condsim.dashboard.parts.shell import the_scenario
from condsim.dashboard.parts.work import through
from condsim.errors import CondsimError
from condsim.show.plots import pareto_figure
from condsim.show.text import number, times
from condsim.strategies.choose import strategies_of
from condsim.study.ranking import beside, every, front

RANKS = {
    "latency a unit": "latency_per_unit_s",
    "energy a unit": "energy_per_unit_j",
    "speedup": "speedup",
    "peak memory": "peak_bytes",
}
AXES = ("latency_per_unit_s", "energy_per_unit_j")
LABELS = ("latency a unit, s", "energy a unit, J (estimated)")
NUMBER = st.column_config.NumberColumn
COLUMNS: dict[str, Any] = {
    "speedup": NUMBER(format="%.2fx", help="Over its own dense baseline, on the same device."),
    "interval": "90 % interval",
    "basis": "rests on",
    "latency_us": NUMBER("latency a unit, µs", format="%.4g"),
    "energy_mj": NUMBER("energy a unit, mJ", format="%.3g"),
    "peak_mb": NUMBER("peak memory, MB", format="%.3g"),
    "against": "against the reference",
}


def against(row: Any) -> str:
    """A row beside the reference: how many times, or why there is no such number."""
    if row["not_comparable"]:
        return f"not comparable: {row['not_comparable']}"
    return f"{times(row['times_faster'])} as fast, {times(row['times_energy'])} the energy"


def rows(scenarios: list[Scenario]) -> Iterator[dict[str, Any]]:
    """One row a scenario, or why there is none."""
    for s in scenarios:

        def row(trace: Any, profile: Any, s: Scenario = s) -> dict[str, Any]:
            return {
                "kind": profile.kind,
                "trace": s.name,
                **next(every(trace, [profile], [s.strategy], s.baseline, **s.options())),
            }

        try:
            yield library.kept("row", s, row)
        except CondsimError as error:  # a profile that cannot be read
            yield {
                "profile": s.device,
                "strategy": s.strategy or "as captured",
                "error": str(error),
            }


scenario = the_scenario()
trace = library.opened(scenario.name)
own = [AS_MEASURED] if trace.profile is not None else []
ways = strategies_of(trace)
here = scenario.strategy or "as captured"
with st.container(horizontal=True):
    devices = st.multiselect(
        "Devices",
        [*own, *library.devices()],
        default=[*own, *library.devices()],
        key="devices",
        bind="query-params",
    )
    strategies = st.multiselect(
        "Strategies", ["as captured", *ways], default=[here], key="strategies", bind="query-params"
    )
    models = st.multiselect(
        "Traces", list(library.traces()), default=[scenario.name], key="models", bind="query-params"
    )
asked = [
    replace(
        scenario,
        name=m,
        where=library.where(m),
        device=None if d == AS_MEASURED else d,
        strategy=None if s == "as captured" else s,
        dtype=None,
        runtime=None,
    )
    for m in models
    for d in devices
    for s in strategies
    if d != AS_MEASURED or library.opened(m).profile is not None
]
if not asked:
    st.info("Choose at least one device, one strategy and one trace.")
    st.stop()
found = through("compare", tuple(asked), len(asked), lambda: rows(asked))
good = [r for r in found if "error" not in r]
if not good:
    for r in found:
        st.caption(f"{r['profile']}, {r['strategy']}: {r['error']}")
    st.stop()
table = pd.DataFrame(good)
table["name"] = (
    table["profile"] + ", " + table["strategy"] + (", " + table["trace"] if len(models) > 1 else "")
)
table["low"], table["high"] = zip(*table["speedup_interval"], strict=True)
table["latency_per_unit_s"], table["energy_per_unit_j"] = (
    table["latency_s"] / table["batch"],
    table["energy_j"] / table["batch"],
)
with st.container(horizontal=True, vertical_alignment="bottom"):
    rank = st.selectbox("Rank by", list(RANKS), key="rank", bind="query-params")
    limit = st.number_input(
        "Latency a step at most, ms", 0.0, value=None, key="most_ms", bind="query-params"
    )
    memory = st.number_input(
        "Peak memory at most, MB", 0.0, value=None, key="most_mb", bind="query-params"
    )
    reference = st.selectbox(
        "Compare with", list(table["name"]), key="reference", bind="query-params"
    )
table = beside(table, list(table["name"]).index(reference))
within = (table["latency_s"] <= (limit or float("inf")) * 1e-3) & (
    table["peak_bytes"] <= (memory or float("inf")) * 1e6
)
table = table[within].sort_values(RANKS[rank], ascending=rank != "speedup").reset_index(drop=True)
if table.empty:
    st.info("Nothing is within these limits; raise one of them.")
    st.stop()
table["front"] = front(*(table[a].to_numpy() for a in AXES))
best = table.iloc[0]
st.markdown(
    f"#### By {rank}: {best['name']}; over {best['baseline']}: {best['verdict']} ({best['basis']})"
)
mixed = [
    f"{c}: {', '.join(map(str, table[c].unique()))}"
    for c in ("trace", "dtype", "batch", "phase", "baseline")
    if table[c].nunique() > 1
]
if mixed:
    st.caption(
        f"These rows are not all alike ({'; '.join(mixed)}): a quotient is shown only where they are. Quality differs between models and is not weighed here."
    )
shown = pd.DataFrame(
    {
        "name": table["name"],
        "verdict": table["verdict"],
        "speedup": table["speedup"],
        "interval": [
            f"{number(low)} ... {number(high)}"
            for low, high in zip(table["low"], table["high"], strict=True)
        ],
        "basis": table["basis"],
        "latency_us": table["latency_per_unit_s"] * 1e6,
        "energy_mj": table["energy_per_unit_j"] * 1e3,
        "peak_mb": table["peak_bytes"] / 1e6,
        "against": [against(r) for r in table.to_dict("records")],
        "dtype": table["dtype"],
        "batch": table["batch"],
    }
)
st.dataframe(
    shown,
    hide_index=True,
    column_config=COLUMNS,
    key="ranking",
    alt=f"Devices and strategies, best {rank} first",
)
st.caption(
    "Energy is estimated everywhere. A unit: an image, a sequence, or a sequence at one position."
)
flags = scenario.flags("batch", "baseline", "phase", "threshold")
command = shlex.join(
    [
        "condsim",
        "simulate",
        scenario.where,
        "--device",
        "all",
        "--strategy",
        "all" if len(strategies) > 1 else here,
        *flags,
    ]
)
if here == "as captured" and len(strategies) == 1:
    command = shlex.join(["condsim", "simulate", scenario.where, "--device", "all", *flags])
arguments = ", ".join(
    [
        repr(scenario.baseline),
        *(f"{k}={v!r}" for k, v in scenario.options().items() if v is not None),
    ]
)
code = python(
    [scenario.where],
    "from condsim.study.ranking import every",
    f"devices = [condsim.hardware(n) for n in {[d for d in devices if d != AS_MEASURED]!r}]"
    + (" + [trace.profile]" if AS_MEASURED in devices else ""),
    f"print(*every(trace, devices, {[None if s == 'as captured' else s for s in strategies]!r}, {arguments}), sep='\\n')",
)
figure(
    "pareto",
    charts.pareto(table, *AXES, LABELS),
    table,
    lambda: pareto_figure(table, *AXES, LABELS),
    scenario,
    "Energy against latency a unit; the points that no other beats are joined",
    command,
    code,
)
for r in found:
    if "error" in r:
        st.caption(f"{r['profile']}, {r['strategy']}: {r['error']}")
