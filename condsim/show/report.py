"""The same story as one self-contained HTML file, for people who were not there: no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import pandas as pd

from condsim import __version__
from condsim.predict.waterfall import losses
from condsim.show.plots import accuracy_figure, load_figure, rendered, waterfall_figure
from condsim.show.text import error_line, number, percent, sentence, shares, si, times
from condsim.study import routing
from condsim.study.answer import Answer
from condsim.study.compare import cause_of, compare, errors_by, errors_of
from condsim.trace import Trace

STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: white; border-radius: 4px; padding: .3rem; }
code, pre { font-size: .85rem; } pre { overflow-x: auto; border: 1px solid var(--line); padding: .6rem; }
.verdict { font-size: 1.2rem; font-weight: 600; } .small { opacity: .75; font-size: .85rem; }
"""


def report(trace: Trace, found: Answer, rows: Iterable[Mapping[str, Any]], command: str) -> str:
    """The HTML of a report.

    found: the answer to the scenario. rows: of `condsim.study.ranking.every`, other devices; may be empty. command: what makes this file again.
    """
    p = found.prediction
    parts = [
        f"<h1>Does conditional computation pay for {escape(trace.name)}?</h1>",
        f"<p class='verdict'>{escape(sentence(p))}</p>",
        _numbers(found),
        _picture(waterfall_figure(p, found.measured_speedup), sentence(p)),
        _lost(p),
        _table(_chain(p.waterfall)),
        *_accuracy(trace, p.profile),
        *_devices(rows),
        *_routing(trace),
        *_basis(trace, p, command),
    ]
    title = escape(f"{trace.name} on {p.profile}")
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{title}</title><style>{STYLE}</style>"
    return (
        f"<!doctype html><html lang='en'><head>{head}</head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _numbers(found: Answer) -> str:
    p, m, word = found.prediction, found.measured, found.prediction.bases
    steps = [(f"latency p{q}", p.percentile(q), p.percentile(q, "baseline_s")) for q in (50, 99)]
    rows = [
        {"": f"speedup over {b}", "model": times(s), "dense": "", "rests on": word["speedup"]}
        for b, s in found.speedups.items()
    ]
    rows += [
        {
            "": "latency a step",
            "model": si(p.latency_s, "s"),
            "dense": si(p.baseline_s, "s"),
            "rests on": word["latency_s"],
        },
        *(
            {
                "": what,
                "model": si(own, "s"),
                "dense": si(dense, "s"),
                "rests on": word["latency_s"],
            }
            for what, own, dense in steps
        ),
        {
            "": "energy a step",
            "model": si(p.energy_j, "J"),
            "dense": si(p.baseline_energy_j, "J"),
            "rests on": word["energy_j"],
        },
        {
            "": "peak memory",
            "model": si(p.peak_bytes, "B"),
            "dense": si(p.baseline_peak_bytes, "B"),
            "rests on": word["peak_bytes"],
        },
    ]
    if m is not None:
        rows.append(
            {
                "": "measured speedup",
                "model": times(m["measured_speedup"]),
                "dense": "",
                "rests on": "measured",
            }
        )
        rows.append(
            {
                "": "measured latency",
                "model": si(m["measured_latency_s"], "s"),
                "dense": si(m["measured_baseline_s"], "s"),
                "rests on": "measured",
            }
        )
    return _table(pd.DataFrame(rows))


def _lost(p: Any) -> str:
    items = "".join(
        f"<li>{escape(r['meaning'])} ({escape(r['world'])}): x{number(r['factor'])}, without it {times(r['without'])}</li>"
        for r in losses(p.waterfall).to_dict("records")
    )
    return f"<h2>What costs most</h2><ul>{items or '<li>nothing</li>'}</ul>"


def _chain(chain: pd.DataFrame) -> pd.DataFrame:
    shown = chain[["world", "meaning"]].copy()
    for column, form in (
        ("factor", lambda v: f"x{number(v)}"),
        ("speedup", times),
        ("alone", lambda v: f"x{number(v)}"),
        ("without", times),
    ):
        shown[column] = [form(v) for v in chain[column]]
    return shown


def _accuracy(trace: Trace, profile: str) -> list[str]:
    table = compare([trace])
    if table.empty:
        return [
            "<h2>Is it true?</h2><p>Nothing was measured of this trace yet: <code>condsim measure</code> does it.</p>"
        ]
    groups = errors_by(table, "strategy")
    shown = groups[["strategy", "cases"]].assign(
        **{c: [percent(v, c == "bias") for v in groups[c]] for c in groups.columns[2:]}
    )
    worst = table.loc[table["error"].abs().sort_values(ascending=False).index[:3]]
    causes = "".join(
        f"<li>{escape(r['strategy'])}, batch {r['batch']}, over {r['baseline']}: {percent(r['error'])}; {escape(cause_of(r))}</li>"
        for r in worst.to_dict("records")
    )
    line = escape(error_line(errors_of(table)))
    return [
        "<h2>Is it true?</h2>",
        f"<p>{line}.</p>",
        _picture(accuracy_figure(table, "strategy"), line),
        _table(shown),
        f"<p>The worst:</p><ul>{causes}</ul>",
    ]


def _devices(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    good = [r for r in rows if "error" not in r]
    if not good:
        return []
    shown = pd.DataFrame(
        {
            "device": [r["profile"] for r in good],
            "dtype": [r["dtype"] for r in good],
            "speedup": [times(r["speedup"]) for r in good],
            "90 % interval": [" ... ".join(number(v) for v in r["speedup_interval"]) for r in good],
            "verdict": [r["verdict"] for r in good],
            "latency": [si(r["latency_s"], "s") for r in good],
            "energy": [si(r["energy_j"], "J") for r in good],
            "rests on": [r["basis"] for r in good],
        }
    )
    return [
        "<h2>On other devices</h2>",
        _table(shown),
        "<p class='small'>Each over its own dense baseline; energy is estimated everywhere.</p>",
    ]


def _routing(trace: Trace) -> list[str]:
    table = routing.load(trace)
    value = "relative" if (table["mechanism"] == "moe").all() else "share"
    return [
        "<h2>What the model decided</h2>",
        _picture(load_figure(table, value), f"{value} load of each branch at each site"),
        f"<p class='small'>{trace.units:,} units in {len(trace.steps):,} steps, counted from the captured decisions: measured.</p>",
    ]


def _basis(trace: Trace, p: Any, command: str) -> list[str]:
    made = trace.header.provenance
    notes = "".join(f"<li>{escape(n)}</li>" for n in p.notes)
    versions = ", ".join(f"{k} {v}" for k, v in made.versions.items())
    return [
        "<h2>What it rests on</h2>",
        f"<p>The prediction: {escape(shares(p.estimated))}. Device {escape(p.profile)}, {p.dtype}, {p.runtime}, {p.strategy}.</p>",
        f"<ul>{notes}</ul>" if notes else "",
        f"<p>Captured {escape(made.taken)} from {escape(made.model)} ({escape(versions)}).</p>",
        f"<pre>{escape(command)}</pre>",
        f"<p class='small'>condsim {__version__}</p>",
    ]


def _table(table: pd.DataFrame) -> str:
    def cell(tag: str, value: object) -> str:
        text = str(value)
        return (
            f"<{tag}{' class=n' if text.lstrip('x+-')[:1].isdigit() else ''}>{escape(text)}</{tag}>"
        )

    head = "".join(f"<th>{escape(str(c))}</th>" for c in table.columns)
    return (
        f"<table><tr>{head}</tr>"
        + "".join(
            "<tr>" + "".join(cell("td", v) for v in row) + "</tr>"
            for row in table.itertuples(index=False)
        )
        + "</table>"
    )


def _picture(figure: Any, says: str) -> str:
    data = base64.b64encode(rendered(figure, "svg")).decode()
    return f"<img alt='{escape(says, quote=True)}' src='data:image/svg+xml;base64,{data}'>"
