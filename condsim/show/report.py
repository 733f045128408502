"""The whole story as one self-contained HTML file, for people who were not there.

The file has no script and loads nothing from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from condsim import __version__
from condsim.mechanisms import MECHANISMS
from condsim.predict.prediction import Prediction
from condsim.predict.verdict import PAYS
from condsim.predict.waterfall import losses
from condsim.protocols import PROTOCOLS
from condsim.show.accuracy import accuracy_line, not_checked_line
from condsim.show.accuracy_figures import accuracy_figure
from condsim.show.html import Html, joined, tag
from condsim.show.html_blocks import listed, picture, table_of
from condsim.show.notes import said_once
from condsim.show.plots import load_figure, waterfall_figure
from condsim.show.report_advice import advice_sections, memory_section
from condsim.show.text import (
    interval,
    joules,
    number,
    percent,
    seconds,
    sentence,
    shares,
    size,
    times,
)
from condsim.study import routing
from condsim.study.answer import PERCENTILES, Answer
from condsim.study.cases import was_measured_on
from condsim.study.compare import cause_of, compare, errors_by
from condsim.trace import Trace

if TYPE_CHECKING:
    from condsim.decide.advise.advice import Advice

STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: white; border-radius: 4px; padding: .3rem; }
code, pre { font-size: .85rem; } \
pre { overflow-x: auto; border: 1px solid var(--line); padding: .6rem; }
.verdict { font-size: 1.2rem; font-weight: 600; } .small { opacity: .75; font-size: .85rem; }
"""
ERRORS_IN_WORDS = {
    "median_abs_error": "median |error|",
    "p90_abs_error": "90th percentile",
    "worst_abs_error": "worst",
}
"""Column of `errors_by` → what a reader sees."""
WORST_CASES = 3
"""So many cases of the largest error are explained."""


def report(
    trace: Trace,
    answer: Answer,
    rows: Iterable[Mapping[str, Any]],
    command: str,
    advice: Advice | None = None,
) -> str:
    """The HTML of a report.

    answer: to the scenario. advice: on the same, None where none is asked for.
    rows: of `condsim.study.ranking.predict_all`, of several devices; may be empty.
    command: the command line that makes this file again.
    """
    p = answer.prediction
    sections = [
        *_verdict(trace.name, answer),
        *_losses(p),
        *(() if advice is None else advice_sections(advice)),
        *memory_section(p),
        *_accuracy(trace, answer),
        *_devices(rows),
        *_routing(trace),
        *_basis(trace, p, command),
    ]
    return _page(f"{trace.name} on {p.profile}", joined(*sections, between="\n"))


def _page(title: str, body: Html) -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    page = tag("html", head, tag("body", body), lang="en")
    return f"<!doctype html>{page}\n"


def _verdict(name: str, answer: Answer) -> Iterator[Html]:
    """The question, the answer, its numbers and the waterfall. name: of the trace."""
    p = answer.prediction
    verdict = sentence(p)
    numbers = pd.DataFrame(_numbers(answer), columns=["", "model", "dense", "rests on"])
    yield tag("h1", f"Does conditional computation pay for {name}?")
    yield tag("p", verdict, class_="verdict")
    yield tag("p", f"What is asked: {PROTOCOLS[p.protocol].says}.")
    yield table_of(numbers)
    yield picture(waterfall_figure(p, answer.measured), verdict)


def _numbers(answer: Answer) -> Iterator[tuple[str, str, str, str]]:
    """What is predicted and measured: name, conditional model, dense baseline, basis."""
    p = answer.prediction
    basis = p.bases
    for baseline, speedup in answer.speedups.items():
        yield f"speedup over {baseline}", times(speedup), "", basis["speedup"]
    yield "latency a step", seconds(p.latency_s), seconds(p.baseline_s), basis["latency_s"]
    for q in PERCENTILES:
        model, dense = seconds(p.percentile(q)), seconds(p.percentile(q, "baseline_s"))
        yield f"latency p{q}", model, dense, basis["latency_s"]
    yield "energy a step", joules(p.energy_j), joules(p.baseline_energy_j), basis["energy_j"]
    model, dense = size(p.peak_bytes), size(p.baseline_peak_bytes)
    yield "peak memory", model, dense, basis["peak_bytes"]
    measured = answer.measured
    if measured is not None:
        protocol = measured["protocol"]
        predicted = f"{times(measured['predicted_speedup'])} predicted, {protocol}"
        yield "measured speedup", times(measured["measured_speedup"]), predicted, "measured"
        model = seconds(measured["measured_latency_s"])
        dense = seconds(measured["measured_baseline_s"])
        yield "measured latency", model, dense, "measured"


def _losses(p: Prediction) -> Iterator[Html]:
    """The effects that cost most, and the whole waterfall."""
    items = []
    for row in losses(p.waterfall).to_dict("records"):
        effect = f"{row['meaning']} ({row['world']})"
        factor, without = number(row["factor"]), times(row["without"])
        items.append(f"{effect}: x{factor}, without it {without}")
    yield tag("h2", "What costs most")
    yield listed(items or ["nothing"])
    yield table_of(_waterfall(p.waterfall))


def _waterfall(chain: pd.DataFrame) -> pd.DataFrame:
    """The waterfall as text. chain: of `condsim.predict.waterfall.waterfall`."""
    shown = chain[["world", "meaning"]].copy()
    shown["factor"] = [f"x{number(value)}" for value in chain["factor"]]
    shown["speedup"] = [times(value) for value in chain["speedup"]]
    shown["alone"] = [f"x{number(value)}" for value in chain["alone"]]
    shown["without"] = [times(value) for value in chain["without"]]
    return shown.rename(columns={"world": "effect"})


def _accuracy(trace: Trace, answer: Answer) -> Iterator[Html]:
    """Predictions beside what was measured on the device of the answer; one line on the machine of
    the trace where nothing was."""
    yield tag("h2", "Is it true?")
    if trace.measurements.empty:
        measure = tag("code", "condsim measure")
        yield tag("p", "Nothing was measured of this trace yet: ", measure, " does it.")
        return
    if not was_measured_on(trace, answer.profile):
        p = answer.prediction
        yield tag("p", not_checked_line(p.profile, p.basis))
        yield from _accuracy_elsewhere(trace)
        return
    table = compare(trace, answer.profile)
    statistics = accuracy_line(table)
    yield tag("p", f"{statistics}.")
    yield picture(accuracy_figure(table, "strategy"), statistics)
    yield table_of(_errors_by_strategy(table))
    yield tag("p", "The worst:")
    yield listed(_worst_cases(table))


def _accuracy_elsewhere(trace: Trace) -> Iterator[Html]:
    """One line on the machine that the trace was measured on, where it is known."""
    if trace.profile is not None and was_measured_on(trace, trace.profile):
        line = accuracy_line(compare(trace))
        yield tag("p", f"{line}.")


def _errors_by_strategy(table: pd.DataFrame) -> pd.DataFrame:
    errors = errors_by(table, "strategy")
    shown = errors[["strategy", "cases"]].copy()
    for column in errors.columns[2:]:
        shown[column] = [percent(value, sign=column == "bias") for value in errors[column]]
    return shown.rename(columns=ERRORS_IN_WORDS)


def _worst_cases(table: pd.DataFrame) -> list[str]:
    """The cases of the largest error, each with what explains it."""
    by_error = table["error"].abs().sort_values(ascending=False).index
    cases = []
    for row in table.loc[by_error[:WORST_CASES]].to_dict("records"):
        case = f"{row['strategy']}, batch {row['batch']}, {row['protocol']}"
        case += f", over {row['baseline']}"
        cases.append(f"{case}: {percent(row['error'])}; {cause_of(row)}")
    return cases


def _devices(rows: Iterable[Mapping[str, Any]]) -> Iterator[Html]:
    """What the trace gains on other devices; nothing where it could be predicted on none."""
    shown = [_device(row) for row in rows if "error" not in row]
    if shown:
        yield tag("h2", "On other devices")
        yield table_of(pd.DataFrame(shown))
        note = "Each over its own dense baseline; energy is estimated everywhere."
        yield tag("p", note, class_="small")


def _device(row: Mapping[str, Any]) -> dict[str, str]:
    """One line of the table of devices."""
    return {
        "device": row["profile"],
        "dtype": row["dtype"],
        "speedup": times(row["speedup"]),
        "90 % interval": interval(row["speedup_interval"]),
        "does it pay": PAYS[row["verdict"]],
        "latency": seconds(row["latency_s"]),
        "energy": joules(row["energy_j"]),
        "rests on": row["basis"],
    }


def _routing(trace: Trace) -> Iterator[Html]:
    """The load of each branch: relative to the mean where routers aim at an even load."""
    table = routing.load(trace)
    mechanisms = [MECHANISMS[name] for name in trace.mechanisms]
    balanced = all(mechanism.balanced for mechanism in mechanisms)
    value = "relative" if balanced else "share"
    steps = f"{trace.units:,} units in {len(trace.steps):,} steps"
    counted = f"{steps}, counted from the captured decisions: measured."
    yield tag("h2", "What the model decided")
    yield picture(load_figure(table, value), f"{value} load of each branch at each site")
    yield tag("p", counted, class_="small")


def _basis(trace: Trace, p: Prediction, command: str) -> Iterator[Html]:
    """What the prediction rests on, where the trace comes from, and how to make the file again."""
    provenance = trace.header.provenance
    versions = [f"{name} {version}" for name, version in provenance.versions.items()]
    device = f"Device {p.profile}, {p.dtype}, {p.runtime}, {p.strategy}."
    origin = f"Captured {provenance.taken} from {provenance.model}"
    yield tag("h2", "What it rests on")
    yield tag("p", f"The prediction: {shares(p.estimated)}. {device}")
    if p.notes:
        yield listed(said_once(p.notes))
    yield tag("p", f"{origin} ({', '.join(versions)}).")
    yield tag("pre", command)
    yield tag("p", f"condsim {__version__}", class_="small")
