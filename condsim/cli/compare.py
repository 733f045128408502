"""compare: predictions beside the measurements that traces hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from condsim.cli.arguments import (
    check_known,
    check_output_file,
    open_trace,
    profile_for,
)
from condsim.cli.commands import cli_command
from condsim.cli.output import command, out, print_json, suggest
from condsim.errors import CondsimError
from condsim.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

    from condsim.trace import Trace

PARTS = ("segment", "operator")


@cli_command("compare", "Put predictions beside measurements.", place=150)
def compare(
    *traces: str,
    device: str | None = None,
    by: str | None = None,
    json: bool = False,
    csv: Path | None = None,
) -> None:
    """Put predictions beside the measurements that the traces hold.

    Parameters
    ----------
    traces
        Folders of traces, or names of those that come with condsim.
    device
        Predict on this profile instead of the one that each trace was measured under.
    by
        segment or operator: where the time of a step goes, predicted beside measured (condsim
        measure TRACE --by segment measures it).
    json
        Print JSON.
    csv
        Also write the table to this file.
    """
    if not traces:
        raise CondsimError("compare needs at least one trace: condsim compare TRACE ...")
    check_known("by", by, PARTS)
    check_output_file(csv)
    opened = [open_trace(where) for where in traces]
    not_measured = _not_measured(opened, by)
    if len(not_measured) == len(opened):
        for trace in opened:
            trace.require_programs()
        raise _nothing_measured(not_measured, traces[0], by)
    from condsim.study.compare import compare as compare_with_measured

    profile = None if device is None else profile_for(device, None)
    table = compare_with_measured(opened, profile, by or "case")
    if csv is not None:
        from condsim.show.escape import csv as as_csv

        write_whole(csv, as_csv(table))
    if by is not None:
        _show_parts(table, by, not_measured, json)
        more = not_measured[0] if not_measured else opened[0].name
        next_commands = [command("measure", more, "--by", "segment")]
    else:
        _show_cases(table, not_measured, json)
        next_commands = [command("simulate", traces[0])]
        if not_measured:
            next_commands.append(command("measure", not_measured[0]))
    if not json:
        suggest(*next_commands)


def _not_measured(traces: list[Trace], by: str | None) -> list[str]:
    """Names of the traces that hold no measurement of what is compared."""
    names = []
    for trace in traces:
        measurements = trace.measurements if by is None else trace.segments
        if measurements.empty:
            names.append(trace.name)
    return names


def _nothing_measured(names: list[str], first: str, by: str | None) -> CondsimError:
    """What to do where no trace was measured. first: what the user called the first trace."""
    listed = ", ".join(names)
    if by is None:
        what, measure = "nothing was measured", command("measure", first)
    else:
        what = "nothing was measured by segment"
        measure = command("measure", first, "--by", "segment")
    return CondsimError(f"{listed}: {what} yet; `{measure}` does")


def _show_cases(table: pd.DataFrame, not_measured: list[str], json: bool) -> None:
    """Print a row a measured case, and the statistics. table: of `condsim.compare`."""
    from condsim.study.compare import errors_of

    summary = errors_of(table)
    if json:
        data = {"rows": table, "summary": summary, "not_measured": not_measured}
        print_json({"command": "compare", **data})
        return
    from condsim.show.comparison import comparison_table
    from condsim.show.text import error_line

    console = out()
    console.print(comparison_table(table))
    console.print(error_line(summary))


def _show_parts(table: pd.DataFrame, by: str, not_measured: list[str], json: bool) -> None:
    """Print a row a segment or operator, and how much of their errors cancels.

    table: of `condsim.study.parts.compare_parts`.
    """
    from condsim.study.parts import cancelled

    summary = cancelled(table)
    if json:
        data = {"rows": table, "summary": summary, "not_measured": not_measured}
        print_json({"command": "compare", "by": by, **data})
        return
    from condsim.show.comparison import parts_table
    from condsim.show.text import cancelled_line

    console = out()
    console.print(parts_table(table, by))
    console.print(cancelled_line(summary, by))
