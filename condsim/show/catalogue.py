"""What there is, for a terminal: the devices that condsim knows, and what a trace holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from condsim.hardware import UNCERTAINTY, CheckedCase, Errors, SelfCheck
from condsim.show.tables import Column, table_of
from condsim.show.text import number, seconds, si, times

if TYPE_CHECKING:
    from condsim.catalogue import CatalogueModel
    from condsim.hardware import HardwareProfile

PROFILES = (
    Column("class", "class"),
    Column("name", "name"),
    Column("basis", "basis"),
    Column("latency off by", "off", right=True),
    Column("dtype", "dtype"),
    Column("description", "description", wraps=True),
)
NUMBERS = (
    Column("number", "what"),
    Column("value", "value", right=True),
    Column("basis", "basis"),
    Column("±", "uncertainty", right=True),
    Column("source", "source", wraps=True),
)
MODELS = (
    Column("model", "name"),
    Column("parameters", "parameters", right=True),
    Column("kind", "kind"),
    Column("licence of the weights", "licence"),
    Column("dense rivals", "rivals", wraps=True),
)
MEASUREMENTS = (
    Column("strategy", "strategy"),
    Column("phase", "phase"),
    Column("batch", "batch", right=True),
    Column("protocol", "protocol"),
    Column("against", "baseline"),
    Column("speedup", "speedup", times, right=True),
    Column("latency", "latency_s", seconds, right=True),
    Column("basis", "basis"),
)
CHECKED = (
    Column("module", "module"),
    Column("latency", "latency", right=True),
    Column("speedup", "speedup", right=True),
)
FILES = (
    Column("file", "name"),
    Column("sequences", "sequences", "{:,}".format, right=True),
    Column("tokens", "tokens", "{:,}".format, right=True),
    Column("padding", "padding", "{:,}".format, right=True),
    Column("constant runs", "constant", "{:,}".format, right=True),
    Column("unset ids", "unset", "{:,}".format, right=True),
    Column("out of range", "out_of_range", "{:,}".format, right=True),
    Column("experts twice", "repeated", "{:,}".format, right=True),
)
FILES_SHOWN = 20
UNITS = {
    "bytes": "B",
    "weight_cache_bytes": "B",
    "bandwidth": "B/s",
    "j_per_flop": "J/FLOP",
    "j_per_byte": "J/B",
    "peak_flops": "FLOP/s",
    "flops": "FLOP/s",
    "host": "s",
    "graphs": "s",
    "dispatch": "s",
    "extra_s": "s",
}
"""Part of the path of a profile's number → its unit."""


def profile_list(profiles: Mapping[str, HardwareProfile]) -> Table:
    """Devices by class. profiles: by name."""
    rows = []
    for name, profile in profiles.items():
        row = {
            "class": profile.kind,
            "name": name,
            "basis": "calibrated" if profile.calibrated else "data sheet",
            "off": _off(profile.self_check),
            "dtype": profile.dtype,
            "description": profile.description,
        }
        rows.append(row)
    rows.sort(key=_class_and_name)
    return table_of(PROFILES, rows)


def _off(check: SelfCheck | None) -> str:
    """The median and the worst error of a self-check."""
    if check is None:
        return ""
    errors = Errors.of_latency(check.cases)
    return f"{errors.median:.0%} / {errors.worst:.0%}"


def self_check_lines(check: SelfCheck) -> list[Text | Table]:
    """How far off a calibration was, module by module, and what to do where it is bad."""
    rows = []
    for module, cases in check.modules().items():
        rows.append(_checked_row(module, cases))
    rows.append(_checked_row("all", check.cases))
    title = "self-check: built-in modules, predicted and timed; |error|, median / worst"
    lines: list[Text | Table] = [table_of(CHECKED, rows, title)]
    if check.busy:
        busy = f"The machine was busy: {check.disturbed:.0%} of the timings were disturbed. "
        advice = "End what else runs (a neighbour on the same processor may be it), and calibrate "
        lines.append(Text(f"{busy}{advice}again.", "yellow"))
    return lines


def _checked_row(module: str, cases: Sequence[CheckedCase]) -> dict[str, str]:
    latency, speedup = Errors.of_latency(cases), Errors.of_speedup(cases)
    return {
        "module": module,
        "latency": f"{latency.median:.1%} / {latency.worst:.1%}",
        "speedup": f"{speedup.median:.1%} / {speedup.worst:.1%}",
    }


def _class_and_name(row: Mapping[str, str]) -> tuple[str, str]:
    return row["class"], row["name"]


def profile_table(numbers: Sequence[Mapping[str, Any]], description: str) -> Table:
    """One number a line: value, basis, uncertainty, source.

    numbers: of `condsim.cli.machine.numbers`.
    """
    rows = []
    for row in numbers:
        uncertainty = row["uncertainty"]
        if uncertainty is None:
            uncertainty = UNCERTAINTY[row["basis"]]
        shown = {
            "value": _value_with_unit(row["what"], row["value"]),
            "uncertainty": f"{uncertainty:.0%}",
            "source": row["source"] or "",
        }
        rows.append({**row, **shown})
    return table_of(NUMBERS, rows, description)


def _value_with_unit(path: str, value: float | None) -> str:
    if value is None:
        return "table"
    unit = unit_of(path)
    return si(value, unit) if unit else number(value)


def unit_of(path: str) -> str:
    """The unit of a profile's number by its path; empty for a quotient."""
    if path.endswith(("efficiency", "mixing")):
        return ""
    if path.endswith("_w"):
        return "W"
    if path.endswith("_s"):
        return "s"
    if path.startswith("links."):
        return "B/s"
    for name in reversed(path.split(".")):
        if name in UNITS:
            return UNITS[name]
    return ""


def trace_lines(about: Mapping[str, Any], folder: str) -> list[Text | Table]:
    """What a trace holds, and what was measured. about: of `condsim.cli.recorded.summary`."""
    title = Text(f"{about['name']} in {folder}", "bold")
    contents = Text(_contents(about))
    lines: list[Text | Table] = [title, contents]
    if about["quality"]:
        lines.append(Text(_quality(about)))
    for note in about["notes"]:
        lines.append(Text(f"note: {note}", "dim"))
    if about["measurements"]:
        lines.append(_measurements_table(about["measurements"]))
    return lines


def _quality(about: Mapping[str, Any]) -> str:
    values = []
    for side, value in about["quality"].items():
        values.append(f"{side} {number(value)}")
    listed = ", ".join(values)
    return f"{about['quality_name']}: {listed}"


def _contents(about: Mapping[str, Any]) -> str:
    kinds = []
    for site in about["sites"]:
        kind = f"{site['mechanism']}, {site['branches']} branches"
        if site["top_k"]:
            kind += f", top {site['top_k']}"
        if kind not in kinds:
            kinds.append(kind)
    sites = len(about["sites"])
    listed = "; ".join(kinds)
    contents = f"{sites} sites ({listed}), {about['steps']} steps, {about['units']} units"
    parameters = about["parameters"]
    return f"{contents}, {parameters:,} parameters" if parameters else f"{contents}, no programs"


def imported_files(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line a file that was imported. rows: of `condsim.importers.Imported.files`.

    Only `FILES_SHOWN` of many are there.
    """
    more = len(rows) - FILES_SHOWN
    title = f"the first {FILES_SHOWN} of {len(rows)} files" if more > 0 else None
    return table_of(FILES, rows[:FILES_SHOWN], title)


def _measurements_table(measurements: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for case in measurements:
        strategy = case["strategy"]
        if case["runtime"] != "eager":
            strategy += f", {case['runtime']}"
        row = {**case, "strategy": strategy, "basis": "measured"}
        rows.append(row)
    return table_of(MEASUREMENTS, rows)


# Models


def models_table(models: Iterable[CatalogueModel]) -> Table:
    """A row a model, conditional ones first."""
    rows = []
    for model in sorted(models, key=lambda one: (not one.conditional, one.name)):
        rows.append(
            {
                "name": model.name,
                "parameters": f"{model.parameters / 1e9:.1f}e9",
                "kind": "conditional" if model.conditional else "dense",
                "licence": model.licence,
                "rivals": ", ".join(model.rivals),
            }
        )
    return table_of(MODELS, rows)


def model_lines(model: CatalogueModel) -> list[Text]:
    """What is known of one model."""
    config = ", ".join(f"{name} {value}" for name, value in model.config.items())
    lines = [
        Text(f"{model.title}: {model.parameters / 1e9:.1f}e9 parameters, {model.licence}", "bold"),
        Text(f"configuration ({model.source}): {model.model_type}, {config}"),
    ]
    if model.routing:
        lines.append(Text(f"routing is drawn from the statistics of {model.routing}"))
    lines += [Text(f"against {name}: {why}") for name, why in model.rivals.items()]
    return lines
