"""Advice for a terminal, a line of evidence after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from condsim.predict.verdict import PAYS
from condsim.predict.waterfall import IDEAL
from condsim.show.text import interval, number, percent, seconds, shares, spoken, times

if TYPE_CHECKING:
    import pandas as pd

    from condsim.decide.advise.advice import Advice
    from condsim.decide.advise.call import Call
    from condsim.predict.prediction import Prediction
    from condsim.study.answer import Answer

STYLES = {"faster": "bold green", "slower": "bold red"}
MOST_EFFECTS = 4
FEWER_FLOPS = "FLOPs alone"
SIMULATED = ("it says", "speedup", "90 % interval", "a step", "as fast a unit", "outputs")
"""Columns of a change that was simulated."""
WHY_NOT = "why not"
UNITS = {"skew": "", "share": "", "batch": "", "context": " positions", "bandwidth": "x"}
"""Axis → what follows its value."""


def advice_lines(advice: Advice) -> Iterator[Text | Table]:
    """What the advisor says: the verdict, then a row a question."""
    p = advice.answer.prediction
    asked = (
        advice.subject,
        p.profile,
        p.strategy,
        p.runtime,
        p.dtype,
        p.phase,
        f"batch {p.batch}",
        f"against {p.baseline}",
        advice.load,
    )
    yield Text(" · ".join(asked), "bold")
    yield _verdict(advice.call)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for title, lines in rows_of(advice):
        for place, line in enumerate(lines):
            heading = "" if place else title
            table.add_row(Text(heading, "bold"), Text(line))
    yield table
    for note in advice.notes:
        yield Text(f"note: {note}", "dim")


def rows_of(advice: Advice) -> Iterator[tuple[str, list[str]]]:
    """Each question, and the sentences that answer it."""
    yield "WHY", why_lines(advice)
    yield "BIGGEST", [biggest_line(advice)]
    yield "FLIPS", [flip_line(row) for row in advice.flips.to_dict("records")]
    yield "BASIS", basis_lines(advice)
    yield "NOT SEEN", not_seen_lines(advice)
    yield "VERIFY", list(advice.verify)


def _verdict(call: Call) -> Text:
    style = STYLES.get(call.verdict, "bold yellow")
    return Text(verdict_sentence(call), style)


def verdict_sentence(call: Call) -> str:
    """The verdict, the interval that decides, and what it is held against."""
    says = PAYS[call.verdict].capitalize()
    if call.reason:
        return f"{says}: {call.reason}."
    speedup, threshold = times(call.speedup), times(call.threshold)
    return f"{says}: {speedup} ({_interval_of(call)}; threshold {threshold})."


def _interval_of(call: Call) -> str:
    """The interval that decides, and what it is of."""
    of = "measured" if call.basis == "measured" else f"90 % interval, {call.basis}"
    between = interval((call.low, call.high))
    return f"{between}, {of}"


def answer_sentence(title: str, call: Call, p: Prediction) -> str:
    """The answer in one sentence: verdict, both models' seconds, the interval that decides.

    title: of the model.
    """
    says = PAYS[call.verdict].capitalize()
    if call.reason:
        return f"{says}: {title} on {p.profile}: {call.reason}."
    latency, dense = seconds(p.latency_s), seconds(p.baseline_s)
    model = f"{title} takes {latency} a step on {p.profile}"
    rival = f"its {p.baseline} dense model {dense}"
    speedup = times(call.speedup)
    return f"{says}: {model}, {rival}: {speedup} as fast ({_interval_of(call)})."


BESIDE_THE_WATERFALL = (
    "An effect saves here where it takes fewer seconds than in the dense model. The waterfall asks "
    "more: whether its seconds shrink as much as the FLOPs do. So it may cost there and save here."
)
"""What tells effects in seconds from those of the waterfall, which are factors."""


def why_lines(advice: Advice) -> list[str]:
    """The effects in seconds, the largest first."""
    return why_lines_of(advice.answer.prediction, advice.why)


def why_lines_of(p: Prediction, why: pd.DataFrame) -> list[str]:
    """The effects in seconds. why: of `condsim.decide.advise.why`."""
    changed = _saves_or_costs(p.baseline_s - p.latency_s)
    latency, dense = seconds(p.latency_s), seconds(p.baseline_s)
    whole = f"a step {changed}: {latency} instead of {dense}"
    parts = []
    for row in why.head(MOST_EFFECTS).to_dict("records"):
        effect = FEWER_FLOPS if row["effect"] == IDEAL else spoken(row["effect"])
        parts.append(f"{effect} {_saves_or_costs(row['saves_s'])}")
    return [whole, ", ".join(parts)]


def _saves_or_costs(saved_s: float) -> str:
    verb = "saves" if saved_s >= 0 else "costs"
    return f"{verb} {seconds(abs(saved_s))}"


def biggest_line(advice: Advice) -> str:
    """The change that gains most."""
    return biggest_line_of(advice.biggest, advice.changes, advice.answer.prediction)


def biggest_line_of(best: Mapping[str, Any] | None, changes: pd.DataFrame, now: Prediction) -> str:
    """The change that gains most. changes: all that were tried. now: what is predicted."""
    tried = int(changes["speedup"].notna().sum())
    if best is None:
        return f"none of {tried} single changes gains (strategy, runtime, dtype, batch, placement)"
    before, after = times(now.speedup), _speedup_of(best)
    pays = PAYS[best["verdict"]]
    line = f"{best['change']} {best['to']}: {before} to {after}, {pays}; "
    line += f"{number(best['per_unit'])} times as fast a unit, of {tried} that were simulated"
    outputs = best["outputs"]
    return line if outputs == "as captured" else f"{line}; {outputs}"


def _speedup_of(row: Mapping[Any, Any]) -> str:
    """A row's speedup with its interval."""
    speedup = times(row["speedup"])
    between = interval((row["low"], row["high"]))
    return f"{speedup} ({between})"


def changes_in_words(changes: pd.DataFrame) -> pd.DataFrame:
    """Single changes as a person reads them, a row each. changes: of
    `condsim.decide.advise.changes`; what could not be simulated says why, where there is any."""
    import pandas as pd

    rows = [_change_in_words(row) for row in changes.to_dict("records")]
    table = pd.DataFrame(rows)
    if len(table) and not table[WHY_NOT].any():
        table = table.drop(columns=WHY_NOT)
    return table


def _change_in_words(row: Mapping[Any, Any]) -> dict[str, str]:
    named = {"change": row["change"], "to": row["to"]}
    if isinstance(row["error"], str):
        return named | dict.fromkeys(SIMULATED, "") | {WHY_NOT: row["error"]}
    pays, speedup = PAYS[row["verdict"]], times(row["speedup"])
    between = interval((row["low"], row["high"]))
    latency = seconds(row["latency_s"])
    per_unit = f"{number(row['per_unit'])} times"
    cells = (pays, speedup, between, latency, per_unit, row["outputs"])
    simulated = dict(zip(SIMULATED, cells, strict=True))
    return named | simulated | {WHY_NOT: ""}


def flip_line(row: dict[Any, Any]) -> str:
    """Where the verdict changes along an axis."""
    axis, says = row["axis"], row["says"]
    unit = UNITS.get(axis, "")
    here = f"{axis} {plain(row['here'])}{unit}"
    if not _known(row["verdict"]):
        return str(says)
    pays = PAYS[row["verdict"]]
    if isinstance(says, str):
        return f"{here}: {pays}, {says}"
    before, at = plain(row["before"]), plain(row["at"])
    then_pays = PAYS[row["to"]]
    line = f"{here}: {pays}; from {before} to {at}{unit} that changes: "
    line += f"{then_pays}, {_speedup_of(row)}"
    if math.isfinite(row["crosses"]):
        crosses = plain(row["crosses"])
        line += f"; crosses at {crosses}{unit}{_crossing(row)}"
    return line


def plain(value: float) -> str:
    """A value of an axis: three digits, and no zeros after the point."""
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _known(value: Any) -> bool:
    return isinstance(value, str)


def _crossing(row: dict[Any, Any]) -> str:
    """The interval of a crossing, as far as it was looked for."""
    low, high = row["crosses_low"], row["crosses_high"]
    if math.isnan(low) and math.isnan(high):
        return ""
    first = f"below {plain(row['first'])}"
    if math.isfinite(low):
        first = plain(low)
    last = f"above {plain(row['last'])}"
    if math.isfinite(high):
        last = plain(high)
    return f" [{first}, {last}]"


def basis_lines(advice: Advice) -> list[str]:
    """What the verdict rests on."""
    return basis_lines_of(advice.answer, advice.call, advice.rests_on)


def basis_lines_of(answer: Answer, call: Call, moves: pd.DataFrame | None = None) -> list[str]:
    """What a verdict rests on. moves: of `condsim.decide.advise.basis.sensitivity`, None where it
    is not asked for."""
    p, measured = answer.prediction, answer.measured
    lines = []
    if measured is not None:
        line = _measured_line(measured)
        if call.basis != "measured":
            line += "; noisy" if measured["noisy"] else f"; the verdict is of {p.protocol}"
        lines.append(line)
    lines.append(f"prediction: {shares(p.estimated)}")
    if moves is not None and len(moves):
        top = moves.iloc[0]
        share = percent(min(top["share"], 1), sign=False)
        known_to = f"{top['uncertainty']:.0%}"
        lines.append(
            f"the seconds of {top['source']} move the speedup most: {share} of its variance "
            f"(known to ±{known_to})"
        )
    return lines


def _measured_line(measured: Mapping[str, Any]) -> str:
    """What was measured. measured: of `condsim.study.answer.measured_beside`."""
    speedup = times(measured["measured_speedup"])
    between = interval((measured["measured_low"], measured["measured_high"]))
    processes = measured["processes"]
    word = "processes" if processes > 1 else "process"
    pairs = f"{measured['pairs']} pairs in {processes} {word}"
    return f"measured {speedup} ({between}) over {pairs}, {measured['protocol']}"


def not_seen_lines(advice: Advice) -> list[str]:
    """What the routing was not tested on."""
    seen = advice.not_seen
    if seen is None:
        return ["the routing is drawn from published figures, not captured: nothing was seen"]
    short = seen.in_short()
    doubt = ", and that estimate is doubtful" if short["doubtful"] else ""
    unit = short["unit"]
    unseen = percent(short["unseen_mass"], sign=False)
    what = f"{unseen} of what a new {unit} does ({short['kind']}, {short['site']})"
    lines = [f"{what}, from {short['units']:,} {unit}s{doubt}"]
    if "worst_s" in short:
        observed, possible = seconds(short["worst_s"]), seconds(short["structural_worst_s"])
        ratio = number(short["worst_over_mean"])
        lines.append(
            f"worst observed {observed} alone, {ratio} times the mean; worst possible {possible}"
        )
    return lines
