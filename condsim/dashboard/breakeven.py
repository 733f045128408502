"""When does it start or stop paying?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.scenario import NAMES
from condsim.dashboard.parts.shell import the_scenario
from condsim.dashboard.parts.work import through
from condsim.errors import CondsimError
from condsim.predict.simulate import the_profile
from condsim.show.plots import breakeven_figure
from condsim.show.text import number
from condsim.study.breakeven import BATCH, SHARE, SKEW, axes, crossings, grid

NOTHING = "nothing"
WORDS = {
    BATCH: "batch",
    SKEW: "skew of the experts (Zipf exponent)",
    SHARE: "share of rows or blocks that run",
}


def named(axis: str) -> str:
    """An axis for a person."""
    return WORDS.get(axis, f"{axis}, times what it is")


def values(text: str | None, usual: list[float]) -> list[float]:
    """Numbers of a text field. Raises CondsimError for what is not one."""
    if not text or not text.strip():
        return usual
    try:
        found = sorted({float(part) for part in text.replace(";", ",").split(",") if part.strip()})
    except ValueError as e:
        raise CondsimError(
            f"{text!r} is not a list of numbers ({e}); write for example {', '.join(f'{v:g}' for v in usual[:3])}"
        ) from None
    if not found or len(found) > 40 or not all(abs(v) < 1e15 for v in found):
        raise CondsimError(f"an axis takes 1 to 40 finite numbers, got {text!r}")
    return found


scenario = the_scenario()
trace = library.opened(scenario.name)
profile = the_profile(trace, scenario.profile(trace, library.device))
known = axes(trace, profile)
routing = [a for a in (SHARE, SKEW) if a in known]
with st.container(horizontal=True, vertical_alignment="bottom"):
    x = st.selectbox("Along", list(known), key="x", bind="query-params", format_func=named)
    xs = values(
        st.text_input(
            "Its values",
            placeholder=", ".join(f"{v:g}" for v in known[x]),
            key="xs",
            bind="query-params",
        ),
        known[x],
    )
    rest = [NOTHING, *(a for a in known if a != x)]
    y = st.selectbox(
        "And against",
        rest,
        rest.index(routing[0]) if routing and routing[0] in rest else 0,
        key="y",
        bind="query-params",
        format_func=named,
    )
    usual = known.get(y, [])
    text = st.text_input(
        "Its values ",
        placeholder=", ".join(f"{v:g}" for v in usual),
        key="ys",
        bind="query-params",
        disabled=y == NOTHING,
    )
    ys = values(text, usual) if y != NOTHING else []
other = None if y == NOTHING else y
options = {
    "strategy": scenario.strategy,
    "baseline": scenario.baseline,
    **{k: v for k, v in scenario.options().items() if v is not None and k not in (x, other)},
}
total = len(xs) * max(len(ys), 1)
done = through(
    "breakeven",
    (scenario, x, tuple(xs), y, tuple(ys)),
    total,
    lambda: grid(trace, profile, x, xs, other, ys, **options),
    auto=False,
)
points = pd.DataFrame([p for p in done if "speedup" in p])
if points.empty:
    if done:
        st.error(str(done[0].get("error")), title="No point could be simulated")
    else:
        st.info("It runs when you press Run, and can be stopped; what is done by then is shown.")
    st.stop()
found = crossings(points)
along = named(x)
unsure = int((points["verdict"] == charts.UNSURE).sum())
if found.empty:
    side = ("pays" if (points["speedup"] > 1).all() else "does not pay") + (
        ", or is too close to call," if unsure else ""
    )
    st.markdown(
        f"#### It {side} everywhere on this {'line' if other is None else 'map'} ({len(points)} of {total} points)."
    )
elif other is None:
    st.markdown(
        "#### "
        + "; ".join(f"it {r['what']} at {along} {number(r['x'])}" for r in found.to_dict("records"))
        + "."
    )
else:
    low, high = number(found["x"].min()), number(found["x"].max())
    st.markdown(
        f"#### It crosses 1x at {along} {low}."
        if low == high
        else f"#### It crosses 1x between {along} {low} and {high}."
    )
basis = f" Predicted on {profile.name}, {'calibrated' if profile.calibrated else 'estimated'}."
hypothetical = (
    " Routing is drawn anew for this axis: the model's own decisions are not these."
    if {x, y} & {SKEW, SHARE}
    else ""
)
scaled = (
    " A profile number that is varied counts as estimated."
    if {x, y} - {BATCH, SKEW, SHARE, NOTHING}
    else ""
)
st.caption(
    f"{unsure} of {len(points)} points are too close to call (?, dashed): their 90 % interval holds 1x.{basis}{hypothetical}{scaled}"
)
labels = (along, None if other is None else named(other))
call = ", ".join(
    [
        "trace",
        "None" if scenario.device is None else repr(scenario.device),
        repr(x),
        repr(xs),
        *([repr(y), repr(ys)] if other else []),
    ]
)
given = "".join(f", {k}={v!r}" for k, v in options.items() if v is not None)
code = (
    "import pandas as pd\nfrom condsim.study.breakeven import crossings, grid\n\n"
    + f"points = pd.DataFrame(grid({call}{given}))\nprint(points, crossings(points))"
)
one = scenario.command(flags=tuple(n for n in NAMES if n != BATCH))
command = (
    f"for batch in {' '.join(f'{v:g}' for v in xs)}; do {one} --batch $batch; done"
    if labels == (BATCH, None)
    else scenario.command()
)
figure(
    "breakeven",
    charts.breakeven(points, labels),
    points,
    lambda: breakeven_figure(points, labels),
    scenario,
    "Speedup over the chosen axes",
    command,
    scenario.python(code),
)
if not found.empty:
    st.dataframe(
        found,
        hide_index=True,
        key="crossings",
        alt="Where the speedup crosses 1x",
        column_config={"x": along, "y": labels[1]},
    )
for problem in dict.fromkeys(p["error"] for p in done if "error" in p):
    st.caption(problem)
