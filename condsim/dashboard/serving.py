"""What do requests wait for?"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from condsim.dashboard.charts import serving as charts
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.current import captured_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import flags, keywords, python
from condsim.dashboard.parts.scenario import Scenario
from condsim.hardware import HardwareProfile
from condsim.program.regime import TRAIN
from condsim.serve.exits import EXIT_POLICIES
from condsim.serve.prices.side import phases_of
from condsim.serve.requests import poisson
from condsim.serve.serve import serve
from condsim.serve.service import Service
from condsim.serve.serving import Serving
from condsim.serve.timeline import write_chrome_trace
from condsim.show.escape import markdown
from condsim.show.plots import serving_figure
from condsim.show.serving import error_line, rows, sentence
from condsim.trace import Trace

MOST_RATE = 1e7
REQUESTS = 1000
SHARES_DRAWN = 101
ASKED = ("strategy", "baseline", "dtype", "runtime", "threshold", "phase")
"""Fields of a scenario that serving takes: the batch follows from the queue."""


def page() -> None:
    """Lay the page out."""
    scenario = captured_scenario()
    trace = library.open_trace(scenario.name)
    if TRAIN in phases_of(trace):
        st.info("These are training steps, which answer no request. Choose a trace of a forward.")
        return
    load = load_input(trace)
    served = library.computed_once(f"serving {load}", scenario, load.serve_with(scenario))
    st.markdown(f"#### {markdown(sentence(served))}")
    left, right = st.columns(2)
    asked = recipe(scenario, load)
    with left:
        show(latencies_of(served), asked)
    with right:
        show(queues_of(served), asked)
    st.dataframe(numbers(served), hide_index=True, key="numbers", alt="Numbers of serving, by side")
    st.caption(markdown(f"{error_line(served)}."))
    st.download_button(
        "Download for Perfetto",
        lambda: perfetto(served),
        f"{scenario.name}-serving.json",
        "application/json",
        on_click="ignore",
        icon=":material/download:",
        help="Open it in ui.perfetto.dev: a process a side, a thread a replica.",
    )


@dataclass(frozen=True)
class Load:
    """What the page asks beside the scenario. rate: requests a second."""

    rate: float
    service: Service

    def serve_with(self, scenario: Scenario) -> Any:
        """Return what serves a trace on a profile."""
        asked = {name: getattr(scenario, name) for name in ASKED}

        def compute(trace: Trace, profile: HardwareProfile | None) -> Serving:
            requests = poisson(self.rate, REQUESTS)
            return serve(trace, profile, requests, **self.service.arguments(), **asked)

        return compute


def load_input(trace: Trace) -> Load:
    """Let the user choose the load and the server."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rate = boxes.number("Requests a second", "rate", low=1e-3, usual=100.0, width=160)
        most = boxes.whole_number("At most in a batch", 1, 256, 16, "max_batch", width=160)
        replicas = boxes.whole_number("Replicas", 1, 64, 1, "replicas", width=120)
        exits = "leave"
        if any(site.routing.leaves for site in trace.sites):
            exits = boxes.one_of_few("Early exits", list(EXIT_POLICIES), "exits")
    usual = min(max(rate or 100.0, 1e-3), MOST_RATE)
    return Load(usual, Service(max_batch=most, replicas=replicas, exits=exits))


def latencies_of(served: Serving) -> Figure:
    """How many requests are answered by when."""
    shares = np.linspace(0, 1, SHARES_DRAWN)
    tables = []
    for name, side in served.sides.items():
        latency_ms = np.quantile(side.latency_s, shares) * 1e3
        columns = {"side": name, "latency_ms": latency_ms, "percent": shares * 100}
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    return _figure("latencies", charts.latencies(table), table, served, "Latencies of requests")


def queues_of(served: Serving) -> Figure:
    """How many requests wait, over time."""
    tables = [side.over_time.assign(side=name) for name, side in served.sides.items()]
    table = pd.concat(tables, ignore_index=True)[["side", "start_s", "waiting", "running"]]
    return _figure("queues", charts.queues(table), table, served, "Requests that wait, over time")


def _figure(name: str, chart: Any, table: pd.DataFrame, served: Serving, says: str) -> Figure:
    return Figure(name, chart, table, draw=lambda: serving_figure(served), says=says)


def numbers(served: Serving) -> pd.DataFrame:
    """A row a number, in words, a column a side."""
    return pd.DataFrame(list(rows(served)))


def recipe(scenario: Scenario, load: Load) -> Recipe:
    """How to get the same numbers."""
    server: Mapping[str, Any] = load.service.arguments()
    words = ["condsim", "serve", scenario.where, *flags(scenario, ("device", *ASKED))]
    words += ["--poisson", f"{load.rate:g}/s", "--count", str(REQUESTS)]
    for name, value in server.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    changed = scenario.changed()
    arguments = ["trace", repr(changed.pop("device", None)), "requests"]
    asked = {name: value for name, value in changed.items() if name in ASKED}
    call = f"served = condsim.serve({', '.join([*arguments, *keywords({**server, **asked})])})"
    code = python(
        [scenario.where],
        "from condsim.serve.requests import poisson",
        f"requests = poisson({load.rate!r}, {REQUESTS})",
        call,
        "print(served.verdict, served.table())",
    )
    return Recipe(scenario, shlex.join(words), code)


def perfetto(served: Serving) -> bytes:
    """The first steps as a file that ui.perfetto.dev opens."""
    with tempfile.TemporaryDirectory() as folder:
        file = write_chrome_trace(served, Path(folder) / "serving.json")
        return file.read_bytes()


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
